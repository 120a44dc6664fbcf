//! From extents to bytes, in one ascending pass.

use super::format::*;
use super::layout::NtfsLayout;
use super::place::{Place, Request, Segment, SegmentBytes};
use super::system;
use crate::content::{BlobRequest, BlobStore, ReadOptions};
use crate::error::Result;
use crate::types::VolumeOffset;

/// Receives the bytes of a volume in ascending order. What it does not receive is zero.
pub type VolumeSink<'a> = dyn FnMut(VolumeOffset, &[u8]) -> Result<()> + 'a;

/// Bytes that are handed on at once.
const CHUNK: usize = 64 << 10;

impl NtfsLayout {
    /// Writes the volume. Every blob is read once for each file that has it, in the order of the store.
    ///
    /// `options` can be just a number of threads; then every digest is checked.
    pub fn write(
        &self,
        store: &dyn BlobStore,
        options: impl Into<ReadOptions>,
        sink: &mut VolumeSink<'_>,
    ) -> Result<()> {
        let data_start = self.requests.iter().find_map(|request| match request.place {
            Place::Clusters(offset) => Some(offset),
            Place::Record(_) => None,
        });
        let mft_start = VolumeOffset(self.mft.lcn.unwrap_or(0) * self.sizes.cluster_size);
        let before_data = data_start.unwrap_or(mft_start);
        let split = self.segments.partition_point(|segment| segment.offset < before_data);
        let before_mft = self.segments.partition_point(|segment| segment.offset < mft_start);
        self.write_segments(&self.segments[..split], sink)?;
        let options = options.into();
        let resident = self.write_blobs(&self.requests, store, options, sink)?;
        self.write_segments(&self.segments[split..before_mft], sink)?;
        self.write_records(&resident, mft_start, sink)?;
        self.write_blobs(&self.late_requests, store, options, sink)?;
        self.write_segments(&self.segments[before_mft..], sink)
    }

    /// Writes the blobs that have clusters, and returns those that lie in records.
    fn write_blobs(
        &self,
        all: &[Request],
        store: &dyn BlobStore,
        options: ReadOptions,
        sink: &mut VolumeSink<'_>,
    ) -> Result<ResidentBlobs> {
        let requests: Vec<BlobRequest> = all.iter().map(|request| request.blob).collect();
        let mut resident = ResidentBlobs::with_room_for(all);
        let (mut current, mut done) = (usize::MAX, 0);
        store.read_forms(&requests, options, &mut |index, bytes| {
            if index != current {
                (current, done) = (index, 0);
            }
            match all[index].place {
                Place::Clusters(start) => sink(VolumeOffset(start.0 + done), bytes)?,
                Place::Record(number) => resident.append(number, bytes, done == 0),
            }
            done += bytes.len() as u64;
            Ok(())
        })?;
        Ok(resident)
    }

    /// The blobs that lie in records, as `read` gives them.
    pub(super) fn resident_blobs(
        &self,
        read: &mut dyn FnMut(BlobRequest, u64) -> Result<Vec<u8>>,
    ) -> Result<ResidentBlobs> {
        let mut resident = ResidentBlobs::with_room_for(&self.requests);
        for request in &self.requests {
            if let Place::Record(number) = request.place {
                resident.append(number, &read(request.blob, request.len)?, true);
            }
        }
        Ok(resident)
    }

    /// Writes the MFT, and its mirror if that lies behind it.
    pub(super) fn write_all_records(&self, resident: &ResidentBlobs, sink: &mut VolumeSink<'_>) -> Result<()> {
        self.write_records(resident, VolumeOffset(self.mft.lcn.unwrap_or(0) * self.sizes.cluster_size), sink)
    }

    fn write_segments(&self, segments: &[Segment], sink: &mut VolumeSink<'_>) -> Result<()> {
        static ONES: [u8; CHUNK] = [0xFF; CHUNK];
        for Segment { offset, bytes } in segments {
            match bytes {
                SegmentBytes::Owned(bytes) => sink(*offset, bytes)?,
                SegmentBytes::Index { place, .. } => sink(*offset, &self.index_blocks(*place))?,
                SegmentBytes::Ones(len) => {
                    let mut done = 0;
                    while done < *len {
                        let count = (*len - done).min(CHUNK as u64);
                        sink(VolumeOffset(offset.0 + done), &ONES[..count as usize])?;
                        done += count;
                    }
                }
            }
        }
        Ok(())
    }

    /// The blocks of the index of the directory at `place`, which must not be the root.
    pub(super) fn index_blocks(&self, place: u32) -> Vec<u8> {
        self.files.index_blocks(place as usize, Vec::new())
    }

    fn write_records(&self, resident: &ResidentBlobs, start: VolumeOffset, sink: &mut VolumeSink<'_>) -> Result<()> {
        let mut out = Records { start, written: 0, buffer: Vec::with_capacity(CHUNK), mirror: Vec::new(), sink };
        let is_mirror_late = self.mft_mirr.lcn > self.mft.lcn;
        let mirror_len = if is_mirror_late { self.mft_mirr.size as usize } else { 0 };
        let (time, record_size) = (self.options.time, self.sizes.record_size);
        let free = vec![0; record_size as usize];
        let mut next_resident = 0..;
        let mut late = || resident.get(next_resident.next().expect("endless"));
        // The root directory comes first among the files, so its resident blobs have the first numbers.
        let root = self.files.records(&self.files.files[0], &mut late);
        for number in 0..record::FIRST_USER {
            let bytes = match number {
                record::ROOT => root[0].clone(),
                record::FIRST_RESERVED..record::FIRST_FREE => system::reserved_record(number, time, record_size),
                record::FIRST_FREE..record::QUOTA => free.clone(),
                _ => {
                    let file = self.system.iter().find(|file| file.record == number);
                    file.expect("every system record has a file").record(time, record_size)
                }
            };
            out.push(&bytes, mirror_len)?;
        }
        let mut next = record::FIRST_USER;
        for file in &self.files.files[1..] {
            // Records that belong to no file.
            (next..file.record).try_for_each(|_| out.push(&free, mirror_len))?;
            next = file.record;
            for bytes in self.files.records(file, &mut late) {
                out.push(&bytes, mirror_len)?;
                next += 1;
            }
        }
        out.flush()?;
        if is_mirror_late {
            let mirror = std::mem::take(&mut out.mirror);
            sink(VolumeOffset(self.mft_mirr.lcn.unwrap_or(0) * self.sizes.cluster_size), &mirror)?;
        }
        Ok(())
    }
}

/// Joins MFT records to larger pieces.
struct Records<'a, 's> {
    start: VolumeOffset,
    written: u64,
    buffer: Vec<u8>,
    mirror: Vec<u8>,
    sink: &'a mut VolumeSink<'s>,
}

impl Records<'_, '_> {
    fn push(&mut self, record: &[u8], mirror_len: usize) -> Result<()> {
        if self.mirror.len() < mirror_len {
            self.mirror.extend_from_slice(record);
        }
        self.buffer.extend_from_slice(record);
        if self.buffer.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            (self.sink)(VolumeOffset(self.start.0 + self.written), &self.buffer)?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }
}

/// Blobs that are small enough for a record; they are kept until the MFT is written.
pub(super) struct ResidentBlobs {
    bytes: Vec<u8>,
    /// By number: the range of the blob in `bytes`.
    ranges: Vec<(u32, u32)>,
}

impl ResidentBlobs {
    fn with_room_for(requests: &[Request]) -> Self {
        let resident = requests.iter().filter(|request| matches!(request.place, Place::Record(_)));
        let (count, len) = resident.fold((0, 0), |(count, len), request| (count + 1, len + request.len as usize));
        Self { bytes: Vec::with_capacity(len), ranges: Vec::with_capacity(count) }
    }

    /// Appends a piece to the blob with this number. The pieces of a blob come one after another.
    fn append(&mut self, number: u32, piece: &[u8], is_first: bool) {
        let number = number as usize;
        if self.ranges.len() <= number {
            self.ranges.resize(number + 1, (0, 0));
        }
        if is_first {
            self.ranges[number].0 = self.bytes.len() as u32;
        }
        self.bytes.extend_from_slice(piece);
        self.ranges[number].1 = self.bytes.len() as u32;
    }

    fn get(&self, number: usize) -> &[u8] {
        let (start, end) = self.ranges[number];
        &self.bytes[start as usize..end as usize]
    }
}

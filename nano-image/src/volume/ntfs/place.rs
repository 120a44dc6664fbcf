//! Allocates the clusters of everything on the volume.

use std::collections::BTreeSet;

use super::attributes::I30;
use super::files::{Files, Zone};
use super::format::*;
use super::index::IndexEntry;
use super::pack::Packing;
use super::record::*;
use super::system::{BOOT_SIZE, SystemFile};
use crate::content::{BlobRequest, Extent};
use crate::types::{Utf16Name, VolumeOffset};

/// Bytes that are known before the first blob is read.
#[derive(Debug)]
pub(super) struct Segment {
    pub offset: VolumeOffset,
    pub bytes: SegmentBytes,
}

#[derive(Debug)]
pub(super) enum SegmentBytes {
    Owned(Vec<u8>),
    /// The blocks of the index of the directory with this index. They are made when they are written.
    Index {
        place: u32,
        len: u64,
    },
    /// This number of bytes 0xFF.
    Ones(u64),
}

/// A blob and its destination.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub blob: BlobRequest,
    /// Length in bytes.
    pub len: u64,
    pub place: Place,
    /// Number of the first record of its file.
    pub record: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// In clusters from this position on.
    Clusters(VolumeOffset),
    /// In an MFT record: the number of the resident blob, counted in record order.
    Record(u32),
}

impl SegmentBytes {
    pub fn len(&self) -> u64 {
        match self {
            Self::Owned(bytes) => bytes.len() as u64,
            Self::Index { len, .. } | Self::Ones(len) => *len,
        }
    }
}

/// Allocates clusters in ascending order.
pub(super) struct Allocator {
    /// The first free cluster.
    pub next: u64,
    pub cluster_size: u64,
    /// Bytes that have their position.
    pub segments: Vec<Segment>,
}

impl Allocator {
    /// For a volume with this cluster size in bytes.
    pub fn new(cluster_size: u64) -> Self {
        Self { next: 0, cluster_size, segments: Vec::new() }
    }

    pub fn place(&mut self, run: &mut Allocation) -> Allocation {
        run.lcn = Some(self.next);
        self.next += run.clusters;
        *run
    }

    pub fn segment(&mut self, run: &Allocation, bytes: SegmentBytes) {
        let offset = VolumeOffset(run.lcn.unwrap_or(0) * self.cluster_size);
        self.segments.push(Segment { offset, bytes });
    }
}

/// Something that needs clusters, and the number of its run, which has no position yet.
pub(super) struct Unplaced<T> {
    zone: Zone,
    run: usize,
    what: T,
}

/// What a kept file has, or clusters for it where it has nothing.
pub(super) struct KeptParts {
    parts: Vec<Unplaced<SegmentBytes>>,
    unused: u64,
}

/// Bytes at the start and the end of a kept file, and of records at the start of the MFT, in which machines differ: a hive
/// has the root key at its start and room for more at its end.
const KEPT_START: u64 = 8 << 10;
const KEPT_END: u64 = 64 << 10;
const KEPT_RECORDS: u64 = 40 << 10;
/// Bytes of a block of a differencing VHDX.
const BLOCK: u64 = 1 << 20;

/// All that is to be placed, in the order of records.
pub(super) struct Parts {
    /// Blobs that lie in records.
    pub resident: Vec<Request>,
    blobs: Vec<Unplaced<Request>>,
    bytes: Vec<Unplaced<SegmentBytes>>,
}

impl Parts {
    /// Finishes the indexes, and lists the parts of all files.
    pub fn of(files: &mut Files, mut root: Vec<(Utf16Name, IndexEntry)>) -> Self {
        let mut parts = Self { resident: Vec::new(), blobs: Vec::new(), bytes: Vec::new() };
        for place in 0..files.files.len() {
            files.finish_index(place, if place == 0 { &root } else { &[] });
            let first_run = files.runs.len();
            files.files[place].first_run = first_run as u32;
            let mut runs = Vec::new();
            let file = &files.files[place];
            let zone = file.zone;
            let record = file.record;
            let request = |stream: &BlobStream, place| Request { blob: stream.request, len: stream.len, place, record };
            let mut attributes = files.attributes(file);
            let packing = Packing::of(&mut attributes, files.cluster_size, files.record_size);
            for attribute in &attributes {
                match &attribute.form {
                    Form::NonResident(run, source) => {
                        let number = first_run + runs.len();
                        let mut add = |what| parts.bytes.push(Unplaced { zone, run: number, what });
                        match source {
                            Source::Hole => {}
                            Source::Stream(stream) => {
                                let what = request(stream, Place::Record(0));
                                parts.blobs.push(Unplaced { zone, run: number, what });
                            }
                            Source::Value(bytes) => add(SegmentBytes::Owned(bytes.to_vec())),
                            Source::Generated if attribute.kind == attribute_type::ATTRIBUTE_LIST => {
                                add(SegmentBytes::Owned(packing.attribute_list(&attributes, file.record)));
                            }
                            Source::Generated => {
                                debug_assert_eq!(
                                    (attribute.kind, &*attribute.name),
                                    (attribute_type::INDEX_ALLOCATION, &I30[..])
                                );
                                // The entries of system files are known only here.
                                add(if place == 0 {
                                    SegmentBytes::Owned(files.index_blocks(0, std::mem::take(&mut root)))
                                } else {
                                    SegmentBytes::Index { place: place as u32, len: run.size }
                                });
                            }
                        }
                        runs.push(*run);
                    }
                    Form::ResidentStream(stream) => {
                        let place = Place::Record(parts.resident.len() as u32);
                        parts.resident.push(request(stream, place));
                    }
                    Form::Resident(_) => {}
                }
            }
            drop(attributes);
            files.runs.extend(runs);
        }
        parts
    }

    pub fn blobs(&self, zone: Zone) -> impl Iterator<Item = &Unplaced<Request>> {
        self.blobs.iter().filter(move |part| part.zone == zone || (part.zone == Zone::Kept && zone == Zone::Settled))
    }

    pub fn bytes(&mut self, zone: Zone) -> Vec<Unplaced<SegmentBytes>> {
        self.bytes.extract_if(.., |part| part.zone == zone).collect()
    }

    /// What is kept, in its order.
    pub fn kept(&mut self, files: &Files) -> Vec<KeptParts> {
        let mut all = self.bytes(Zone::Kept).into_iter().peekable();
        let of_each = files.kept.iter().zip(files.tree.kept()).map(|(place, kept)| {
            let end = place
                .map_or(0, |place| files.files.get(place + 1).map_or(files.runs.len(), |file| file.first_run as usize));
            let parts: Vec<_> = std::iter::from_fn(|| all.next_if(|part| part.run < end)).collect();
            let unused = if parts.is_empty() { kept.room.div_ceil(files.cluster_size) } else { 0 };
            KeptParts { parts, unused }
        });
        of_each.collect()
    }
}

impl Allocator {
    /// Places the system files except `$MFT`, which lies behind the files, and except its mirror if that contains
    /// records of files.
    pub fn place_system(&mut self, system: &mut [SystemFile]) {
        let boot = self.place(run_of(system, record::BOOT));
        debug_assert_eq!((boot.size, boot.lcn), (BOOT_SIZE, Some(0)));
        if self.is_mirror_early() {
            self.place(run_of(system, record::MFT_MIRR));
        }
        // The log is large. What depends on the machine lies before it, near the boot file.
        let (log, others): (Vec<_>, Vec<_>) = system
            .iter_mut()
            .filter(|file| !matches!(file.record, record::MFT | record::MFT_MIRR | record::BOOT))
            .partition(|file| file.record == record::LOG_FILE);
        for file in others.into_iter().chain(log) {
            for attribute in &mut file.attributes {
                if let Form::NonResident(run, source) = &mut attribute.form
                    && run.lcn.is_some()
                {
                    self.place(run);
                    if let Source::Value(bytes) = source {
                        self.segment(run, SegmentBytes::Owned(std::mem::take(bytes).into_owned()));
                    }
                }
            }
        }
        let log_file = *run_of(system, record::LOG_FILE);
        self.segment(&log_file, SegmentBytes::Ones(log_file.allocated()));
    }

    /// Whether `$MFTMirr` lies before all files: with clusters of 4 KiB it contains only system records.
    pub fn is_mirror_early(&self) -> bool {
        self.cluster_size == 4096
    }

    /// Places blobs in their order and adds them to `requests`, which may contain blobs that need no position. Returns
    /// the range of clusters that they take.
    pub fn place_blobs<'a>(
        &mut self,
        files: &mut Files,
        requests: &mut Vec<Request>,
        blobs: impl Iterator<Item = &'a Unplaced<Request>>,
    ) -> Extent {
        let mut blobs: Vec<&Unplaced<Request>> = blobs.collect();
        // Equal blobs of several files stay together: sorting keeps the order of records.
        blobs.sort_by_key(|blob| blob.what.blob);
        let start = self.next * self.cluster_size;
        for Unplaced { run, what, .. } in blobs {
            let run = self.place(&mut files.runs[*run]);
            let place = Place::Clusters(VolumeOffset(run.lcn.unwrap_or(0) * self.cluster_size));
            requests.push(Request { place, ..*what });
        }
        requests.sort_by_key(|request| request.blob);
        Extent { start, len: self.next * self.cluster_size - start }
    }

    pub fn place_bytes(&mut self, files: &mut Files, all: Vec<Unplaced<SegmentBytes>>) {
        for Unplaced { run, what, .. } in all {
            let run = self.place(&mut files.runs[run]);
            self.segment(&run, what);
        }
    }

    /// Takes the last indexes out of `settled`, so many that what differs between machines lies in the fewest blocks of the
    /// disk if they are placed behind the MFT. `between` clusters lie before what is kept; the volume starts at byte `start`
    /// of the disk.
    pub fn take_behind(
        &self,
        files: &Files,
        settled: &mut Vec<Unplaced<SegmentBytes>>,
        kept: &[KeptParts],
        start: u64,
        between: u64,
    ) -> Vec<Unplaced<SegmentBytes>> {
        let clusters = |part: &Unplaced<SegmentBytes>| files.runs[part.run].clusters;
        let of_kept = |kept: &KeptParts| kept.parts.iter().map(clusters).sum::<u64>().max(kept.unused);
        let lens: Vec<u64> = kept.iter().map(of_kept).map(|clusters| clusters * self.cluster_size).collect();
        let blocks = |first: u64| {
            let (mut at, mut blocks) = (start + first * self.cluster_size, BTreeSet::new());
            for len in lens.iter().chain([&KEPT_RECORDS]) {
                let [to, from] = [KEPT_START.min(*len), len - KEPT_END.min(*len)];
                for (from, to) in [(at, at + to), (at + from, at + len)] {
                    blocks.extend(from / BLOCK..to.div_ceil(BLOCK));
                }
                at += len;
            }
            blocks.len()
        };
        let is_index = |part: &Unplaced<SegmentBytes>| matches!(part.what, SegmentBytes::Index { .. });
        let first = self.next + settled.iter().map(clusters).sum::<u64>() + between;
        // From which part on indexes go behind, and how many clusters they have.
        let from = settled.iter().enumerate().rev().filter(|(_, part)| is_index(part));
        let choices = from.scan(0, |moved, (from, part)| {
            *moved += clusters(part);
            Some((from, *moved))
        });
        let choices = choices.take_while(|(_, moved)| moved * self.cluster_size <= BLOCK);
        let best = [(settled.len(), 0)].into_iter().chain(choices).min_by_key(|(_, moved)| blocks(first - moved));
        let from = best.filter(|_| !kept.is_empty()).map_or(settled.len(), |(from, _)| from);
        settled.extract_if(from.., |part| is_index(part)).collect()
    }

    /// Places what is kept, with room for what is not there: returns that, as first clusters and numbers of clusters.
    pub fn place_kept(&mut self, files: &mut Files, all: Vec<KeptParts>) -> Vec<(u64, u64)> {
        let mut unused = Vec::new();
        for KeptParts { parts, unused: clusters } in all {
            unused.extend((clusters > 0).then_some((self.next, clusters)));
            self.next += clusters;
            self.place_bytes(files, parts);
        }
        unused
    }
}

/// The run of the unnamed stream of a system file.
pub(super) fn run_of(system: &mut [SystemFile], number: u64) -> &mut Allocation {
    find_run(system, number, attribute_type::DATA)
}

pub(super) fn bitmap_run(system: &mut [SystemFile]) -> &mut Allocation {
    find_run(system, record::MFT, attribute_type::BITMAP)
}

fn find_run(system: &mut [SystemFile], number: u64, kind: u32) -> &mut Allocation {
    system
        .iter_mut()
        .filter(|file| file.record == number)
        .flat_map(|file| &mut file.attributes)
        .find_map(|attribute| match &mut attribute.form {
            Form::NonResident(run, _) if attribute.kind == kind && attribute.name.is_empty() => Some(run),
            _ => None,
        })
        .expect("the system file has such a stream")
}

#[cfg(test)]
mod tests;

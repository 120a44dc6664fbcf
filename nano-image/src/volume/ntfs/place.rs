//! Which clusters everything has.

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
    /// The blocks of the index of the directory at this place, made when they are written.
    Index {
        place: u32,
        len: u64,
    },
    /// So many bytes 0xFF.
    Ones(u64),
}

/// A blob and where it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub blob: BlobRequest,
    /// Bytes.
    pub len: u64,
    pub place: Place,
    /// The first record of its file.
    pub record: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Clusters from here on.
    Clusters(VolumeOffset),
    /// An MFT record: the number of the resident blob, counted in record order.
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

/// Gives out clusters, ascending.
pub(super) struct Allocator {
    /// The first free cluster.
    pub next: u64,
    pub cluster_size: u64,
    /// Bytes that have their place.
    pub segments: Vec<Segment>,
}

impl Allocator {
    /// For a volume with clusters of so many bytes.
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

/// What has clusters, and the number of its run, which is not placed yet.
pub(super) struct Unplaced<T> {
    zone: Zone,
    run: usize,
    what: T,
}

/// All that is to be placed, in the order of records.
pub(super) struct Parts {
    /// Blobs that lie in records.
    pub resident: Vec<Request>,
    blobs: Vec<Unplaced<Request>>,
    bytes: Vec<Unplaced<SegmentBytes>>,
}

impl Parts {
    /// Finishes the indexes, and lists what all files have.
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
                                // The entries of system files are known here alone.
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
}

impl Allocator {
    /// Places the system files but `$MFT`, whose place is behind the files, and its mirror where that has records of files.
    pub fn place_system(&mut self, system: &mut [SystemFile]) {
        let boot = self.place(run_of(system, record::BOOT));
        debug_assert_eq!((boot.size, boot.lcn), (BOOT_SIZE, Some(0)));
        if self.is_mirror_early() {
            self.place(run_of(system, record::MFT_MIRR));
        }
        // The log is large: what depends on the machine lies before it, near the boot file.
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

    /// Whether `$MFTMirr` lies before all files: with clusters of 4 KiB it holds nothing but system records.
    pub fn is_mirror_early(&self) -> bool {
        self.cluster_size == 4096
    }

    /// Places blobs in their order and adds them to `requests`, which may have some that need no place. Returns where
    /// they are.
    pub fn place_blobs<'a>(
        &mut self,
        files: &mut Files,
        requests: &mut Vec<Request>,
        blobs: impl Iterator<Item = &'a Unplaced<Request>>,
    ) -> Extent {
        let mut blobs: Vec<&Unplaced<Request>> = blobs.collect();
        // Blobs of one file that is there twice stay together: sorting keeps the order of records.
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

    /// Places what is kept, with room for what is not there: returns that, as first clusters and numbers of clusters.
    pub fn place_kept(&mut self, files: &mut Files, all: Vec<Unplaced<SegmentBytes>>) -> Vec<(u64, u64)> {
        let (tree, mut all, mut unused) = (files.tree.clone(), all.into_iter().peekable(), Vec::new());
        for (number, kept) in tree.kept().iter().enumerate() {
            let own: Vec<_> = files.kept[number].map_or_else(Vec::new, |place| {
                let end = files.files.get(place + 1).map_or(files.runs.len(), |file| file.first_run as usize);
                std::iter::from_fn(|| all.next_if(|part| part.run < end)).collect()
            });
            if own.is_empty() {
                let clusters = kept.room.div_ceil(self.cluster_size);
                unused.extend((clusters > 0).then_some((self.next, clusters)));
                self.next += clusters;
            }
            self.place_bytes(files, own);
        }
        unused
    }
}

/// Where the unnamed stream of a system file is.
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

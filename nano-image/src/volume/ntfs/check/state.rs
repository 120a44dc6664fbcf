//! What the passes of a check know about the volume.

use std::collections::{BTreeMap, BTreeSet};

use super::boot::Geometry;
use super::clusters::Clusters;
use super::file::{Facts, File};
use super::mft::Record;
use super::names::Names;
use super::stream::Stream;
use crate::content::ReadAt;
use crate::report::{Finding, Findings};
use crate::types::{Utf16Name, upcase};
use crate::volume::ntfs::format::*;

/// The most extension records of a file that are used; its attribute list has no room for more.
const MAX_EXTENSIONS: usize = 8192;

/// What is known about the volume so far.
pub(super) struct Check<'a> {
    pub volume: &'a dyn ReadAt,
    pub geometry: Geometry,
    pub mft: Stream<'a>,
    pub findings: Findings,
    pub clusters: Clusters,
    /// Files by record number.
    pub files: BTreeMap<u64, Facts>,
    /// The names that files say they have.
    pub names: Names,
    /// Records that are in use but cannot be used.
    pub broken: BTreeSet<u64>,
    /// Extension records of each base record, and the sequence numbers that they expect it to have.
    pub extensions: BTreeMap<u64, Vec<(u64, u16)>>,
    /// Files with attribute lists.
    pub listed: Vec<u64>,
    pub indexes: Vec<IndexJob>,
    /// Object ids with their files, and with their origin if the file states it.
    pub object_ids: BTreeMap<[u8; 16], (u64, Option<[u8; 48]>)>,
    /// The table that orders names: the volume's own, if it is sound.
    pub upcase: Vec<u16>,
}

/// An index that is still to be walked.
pub(super) struct IndexJob {
    /// Its position in the volume.
    pub at: u64,
    pub file: u64,
    pub name: Utf16Name,
}

/// The record `number`, read without reporting anything.
pub(super) fn load(mft: &Stream<'_>, geometry: &Geometry, number: u64) -> Option<Record> {
    let mut bytes = vec![0; geometry.record_size];
    let offset = number.checked_mul(geometry.record_size as u64)?;
    let sound = mft.read(&mut bytes, offset) && bytes.starts_with(b"FILE");
    let record = Record::parse(number, mft.place(offset)?, bytes, geometry, &mut Findings::default());
    record.filter(|record| sound && record.header.flags.get() & record_flag::IN_USE != 0)
}

impl<'a> Check<'a> {
    pub fn new(volume: &'a dyn ReadAt, geometry: Geometry, mft: Stream<'a>, findings: Findings) -> Self {
        Self {
            volume,
            geometry,
            mft,
            findings,
            clusters: Clusters::new(geometry.clusters, geometry.cluster_size),
            files: BTreeMap::new(),
            names: Names::default(),
            broken: BTreeSet::new(),
            extensions: BTreeMap::new(),
            listed: Vec::new(),
            indexes: Vec::new(),
            object_ids: BTreeMap::new(),
            upcase: upcase::table().to_vec(),
        }
    }

    /// The file with base record `number` and all its extensions, read without reporting anything.
    pub fn load_file(&self, number: u64) -> Option<File> {
        let base = load(&self.mft, &self.geometry, number).filter(Record::is_base)?;
        let sequence = base.header.sequence.get();
        let extensions = self.extensions.get(&number).into_iter().flatten();
        let ours = extensions.filter(|(_, expected)| *expected == sequence).take(MAX_EXTENSIONS);
        let extensions = ours.filter_map(|(number, _)| load(&self.mft, &self.geometry, *number));
        Some(File::new(base, extensions.collect()))
    }

    /// A whole attribute of a file.
    pub fn stream(&self, number: u64, kind: u32, name: &str) -> Option<Stream<'a>> {
        self.file_stream(&self.load_file(number)?, kind, name)
    }

    pub fn file_stream(&self, file: &File, kind: u32, name: &str) -> Option<Stream<'a>> {
        Stream::new(self.volume, &self.geometry, &file.parts(kind, name))
    }

    pub fn record_place(&self, number: u64) -> Option<u64> {
        self.mft.place(number.checked_mul(self.geometry.record_size as u64)?)
    }

    pub fn fold(&self, units: &[u16]) -> Vec<u16> {
        units.iter().map(|&unit| self.upcase[usize::from(unit)]).collect()
    }

    pub fn bad(&mut self, code: &'static str, structure: &str, at: impl Into<Option<u64>>, message: impl Into<String>) {
        self.findings.add(Finding::new(code, structure, message).at(at));
    }
}

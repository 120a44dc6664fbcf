//! A file while it is checked, and the facts about it that are kept.

use super::mft::{Attribute, Record};
use crate::volume::ntfs::format::*;

/// Name of a directory's index.
pub(super) const NAME_INDEX: &str = "$I30";

/// Facts about a file that are kept for comparisons with other files.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    pub sequence: u16,
    /// [`record_flag`].
    pub record_flags: u16,
    /// Whether it has an attribute list.
    pub has_list: bool,
    /// Whether the index of a directory could not be read completely.
    pub index_broken: bool,
    /// Number of names, without those for DOS.
    pub names: u16,
    /// [`attribute`](crate::tree::attribute) bits.
    pub attributes: u32,
    /// Key of `$SII`; 0 if there is none.
    pub security_id: u32,
    /// Tag of the reparse point; 0 if there is none.
    pub reparse_tag: u32,
    /// Whether the data of the reparse point is in the file's records.
    pub reparse_resident: bool,
    /// Bytes of the extended attributes without padding.
    pub packed_ea_size: u16,
    /// Whether it has a descriptor of its own.
    pub has_descriptor: bool,
    /// Bytes of the unnamed stream; `None` for a directory.
    pub data_size: Option<u64>,
    /// Bytes that are allocated for the unnamed stream: including and excluding its holes.
    pub allocated_size: [u64; 2],
    /// FILETIMEs of creation, modification and record change.
    pub times: [u64; 3],
    /// The copies of these facts in the first name.
    pub named: Named,
    /// Directory of the first name.
    pub parent: FileReference,
}

/// The facts of a file as they were when one of its names was given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Named {
    pub data_size: u64,
    pub allocated_size: u64,
    pub attributes: u32,
    pub times: [u64; 3],
}

impl Facts {
    /// The facts in the base record.
    pub fn of_base(record: &Record) -> Self {
        Self {
            sequence: record.header.sequence.get(),
            record_flags: record.header.flags.get(),
            has_list: record.attributes.iter().any(|a| a.kind == attribute_type::ATTRIBUTE_LIST),
            ..Self::default()
        }
    }

    pub fn is_directory(&self) -> bool {
        self.record_flags & record_flag::DIRECTORY != 0
    }
}

/// A base record with its extensions.
pub(super) struct File {
    pub base: Record,
    pub extensions: Vec<Record>,
}

impl File {
    pub fn new(base: Record, extensions: Vec<Record>) -> Self {
        Self { base, extensions }
    }

    pub fn reference(&self) -> FileReference {
        self.base.reference()
    }

    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.base.attributes.iter().chain(self.extensions.iter().flat_map(|record| &record.attributes))
    }

    /// The parts of an attribute in the order of their VCNs.
    pub fn parts(&self, kind: u32, name: &str) -> Vec<&Attribute> {
        let mut parts: Vec<&Attribute> = self.attributes().filter(|attribute| attribute.is(kind, name)).collect();
        parts.sort_by_key(|part| part.lowest_vcn());
        parts
    }

    /// The value of the first attribute of a type, if it is resident.
    pub fn value(&self, kind: u32) -> Option<&[u8]> {
        self.attributes().find(|attribute| attribute.kind == kind)?.value()
    }
}

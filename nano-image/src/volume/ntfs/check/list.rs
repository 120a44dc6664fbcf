//! Compares attribute lists with the attributes in a file's records.

use std::collections::BTreeSet;

use zerocopy::FromBytes;

use super::Check;
use super::boot::Geometry;
use super::file::File;
use super::mft::{Attribute, kind_name, name_of};
use super::stream::Stream;
use crate::content::ReadAt;
use crate::types::Utf16Name;
use crate::volume::ntfs::format::*;

/// The longest list that NTFS makes.
const MAX: u64 = 256 << 10;

/// An entry of a list.
pub(super) struct CheckedListEntry {
    pub kind: u32,
    pub name: Utf16Name,
    pub lowest_vcn: u64,
    pub reference: FileReference,
    pub instance: u16,
}

/// The entries of the list among `attributes`; `None` if it is damaged or there is none.
pub(super) fn entries(
    volume: &dyn ReadAt,
    geometry: &Geometry,
    attributes: &[Attribute],
) -> Option<Vec<CheckedListEntry>> {
    let list = attributes.iter().find(|attribute| attribute.kind == attribute_type::ATTRIBUTE_LIST)?;
    let bytes = Stream::new(volume, geometry, &[list])?.whole(MAX)?;
    let (mut entries, mut rest) = (Vec::new(), &bytes[..]);
    while !rest.is_empty() {
        let (entry, _) = AttributeListEntry::read_from_prefix(rest).ok()?;
        let len = usize::from(entry.length.get());
        let sane = len >= size_of::<AttributeListEntry>() && len % 8 == 0;
        let (this, after) = rest.split_at_checked(len).filter(|_| sane)?;
        let name_at = usize::from(entry.name_offset);
        let name = match usize::from(entry.name_length) {
            0 => &[],
            units => this.get(name_at..name_at + 2 * units)?,
        };
        entries.push(CheckedListEntry {
            kind: entry.kind.get(),
            name: name_of(name),
            lowest_vcn: entry.lowest_vcn.get(),
            reference: FileReference(entry.reference.get()),
            instance: entry.instance.get(),
        });
        rest = after;
    }
    Some(entries)
}

impl Check<'_> {
    /// Checks that the list of `file` names every attribute except itself once, in order.
    pub fn attribute_list(&mut self, file: &File) {
        let Some(list) = file.base.attributes.iter().find(|a| a.kind == attribute_type::ATTRIBUTE_LIST) else { return };
        let text = list.text();
        let bad = |check: &mut Self, message: String| check.bad("ntfs-attribute-list", &text, list.at, message);
        let Some(entries) = entries(self.volume, &self.geometry, &file.base.attributes) else {
            return bad(self, "is damaged".into());
        };
        let records = || std::iter::once(&file.base).chain(&file.extensions);
        let mut listed = BTreeSet::new();
        for entry in &entries {
            let what = || {
                let name = if entry.name.units().is_empty() { String::new() } else { format!(":{}", entry.name) };
                format!("{}{name} number {} from VCN {}", kind_name(entry.kind), entry.instance, entry.lowest_vcn)
            };
            let number = entry.reference.record();
            let Some(record) = records().find(|record| record.number == number) else {
                bad(self, format!("says that {} is in record {number}, which does not belong to this file", what()));
                continue;
            };
            if record.header.sequence.get() != entry.reference.sequence() {
                let (listed, actual) = (entry.reference.sequence(), record.header.sequence.get());
                bad(self, format!("names record {number} of sequence {listed}; it has {actual}"));
            }
            let is = |attribute: &&Attribute| {
                attribute.kind == entry.kind
                    && attribute.instance == entry.instance
                    && attribute.name == entry.name
                    && attribute.lowest_vcn() == entry.lowest_vcn
            };
            if !record.attributes.iter().any(|attribute| is(&attribute)) {
                bad(self, format!("says that {} is in record {number}, where it is not", what()));
            }
            if !listed.insert((number, entry.instance)) {
                bad(self, format!("names {} twice", what()));
            }
        }
        for attribute in file.attributes().filter(|attribute| attribute.kind != attribute_type::ATTRIBUTE_LIST) {
            if !listed.contains(&(attribute.record, attribute.instance)) {
                bad(self, format!("lacks {}, number {}", attribute.text(), attribute.instance));
            }
        }
        for pair in entries.windows(2) {
            let key = |entry: &CheckedListEntry| (entry.kind, self.fold(entry.name.units()), entry.lowest_vcn);
            if key(&pair[0]) > key(&pair[1]) {
                let [before, after] = [&pair[0], &pair[1]].map(|entry| kind_name(entry.kind));
                bad(self, format!("is not in order: {before} comes before {after}"));
            }
        }
    }
}

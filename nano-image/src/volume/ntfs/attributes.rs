//! The attributes of one file, and its MFT records.

use std::borrow::Cow;

use zerocopy::IntoBytes;

use super::files::{DirectoryIndex, File, Files, Link};
use super::format::*;
use super::index;
use super::pack::Packing;
use super::record::*;
use super::wof;
use crate::tree::{Node, Times, attribute};
use crate::types::Utf16Name;

/// Name of a directory's index.
pub(super) static I30: [u16; 4] = [b'$' as u16, b'I' as u16, b'3' as u16, b'0' as u16];
/// Attribute bits that are stored unchanged: read-only, hidden, system, archive, temporary, offline, not indexed. The
/// others depend on how the volume holds the file: compressed and sparse files are stored plain.
const STORED_ATTRIBUTES: u32 = 0x0000_3127;

impl Files {
    /// The attributes of a file in the order of its records, before [`Packing`]. Their runs have no position yet.
    pub fn attributes<'a>(&'a self, file: &'a File) -> Vec<Attribute<'a>> {
        let node = &self.tree[file.node];
        let mut attributes = vec![Attribute::resident(
            attribute_type::STANDARD_INFORMATION,
            &[],
            standard_information(node.times, stored_attributes(node), file.security_id),
        )];
        for link in self.names(file) {
            for (name, namespace) in link.names() {
                let value = self.file_name(file, link, name, namespace);
                attributes.push(Attribute::resident(attribute_type::FILE_NAME, &[], value));
            }
        }
        if let Some(object_id) = &node.object_id {
            attributes.push(Attribute::resident(attribute_type::OBJECT_ID, &[], &**object_id));
        }
        if let Some(compact) = &node.compact {
            attributes.extend(wof::data_attributes(node, compact, self.cluster_size));
        } else {
            let unnamed = node.data.iter().map(|data| (&[][..], data));
            let named = node.streams.iter().map(|stream| (stream.name.units(), &stream.content));
            let streams = unnamed.chain(named);
            attributes.extend(streams.map(|(name, data)| Attribute::stream(attribute_type::DATA, name, data)));
            if file.room > 0 {
                let unnamed = |attribute: &&mut Attribute<'_>| {
                    attribute.kind == attribute_type::DATA && attribute.name.is_empty()
                };
                attributes
                    .iter_mut()
                    .find(unnamed)
                    .into_iter()
                    .for_each(|data| data.keep_room(file.room, self.cluster_size));
            }
        }
        attributes.extend(self.index_attributes(file));
        if let Some(reparse) = &node.reparse {
            let mut value = reparse.tag.to_le_bytes().to_vec();
            value.extend_from_slice(&(reparse.data.len() as u16).to_le_bytes());
            value.extend_from_slice(&[0; 2]);
            value.extend_from_slice(&reparse.data);
            attributes.push(Attribute::resident(attribute_type::REPARSE_POINT, &[], value));
        } else if let Some(compact) = &node.compact {
            let value = wof::reparse_point(compact.algorithm);
            attributes.push(Attribute::resident(attribute_type::REPARSE_POINT, &[], value));
        }
        if let Some(list) = &node.extended_attributes {
            attributes.push(Attribute::resident(attribute_type::EA_INFORMATION, &[], ea_information(list)));
            attributes.push(Attribute::resident(attribute_type::EA, &[], ea_list(list)));
        }
        attributes
    }

    fn index_attributes<'a>(&'a self, file: &'a File) -> Vec<Attribute<'a>> {
        let root = |value: Cow<'a, [u8]>| Attribute::resident(attribute_type::INDEX_ROOT, &I30, value);
        match &file.index {
            DirectoryIndex::None => Vec::new(),
            DirectoryIndex::Small(value) => vec![root(Cow::Borrowed(value))],
            DirectoryIndex::Large(blocks) => {
                let blocks = *blocks as usize;
                let run = Allocation::unplaced((blocks * INDEX_BLOCK_SIZE) as u64, self.cluster_size);
                vec![
                    root(index::large_root(self.index_kind(), blocks).into()),
                    Attribute::generated(attribute_type::INDEX_ALLOCATION, &I30, run),
                    Attribute::index_bitmap(&I30, index::bitmap(blocks).into(), self.cluster_size),
                ]
            }
        }
    }

    /// Value of a `$FILE_NAME`. The directory's index repeats it.
    pub fn file_name(&self, file: &File, link: &Link, name: &Utf16Name, namespace: u8) -> Vec<u8> {
        let node = &self.tree[file.node];
        let flag = if node.is_directory() { file_name_flag::DIRECTORY } else { 0 };
        let extended = match (wof::reparse_tag(node), &node.extended_attributes) {
            (Some(tag), _) => tag,
            (None, Some(list)) => packed_ea_size(list).into(),
            (None, None) => 0,
        };
        let fixed = FileName {
            parent: self.reference(link.parent).0.into(),
            times: times(node.times),
            allocated_size: file.allocated_size.into(),
            data_size: file.data_size.into(),
            attributes: (stored_attributes(node) | flag).into(),
            extended: extended.into(),
            name_length: name.units().len() as u8,
            namespace,
        };
        file_name(fixed, name)
    }

    /// The sealed records of a file: the base record, then the extension records. `late` gives the values of the
    /// resident blobs, in the order of the attributes.
    pub fn records<'a>(&'a self, file: &File, mut late: impl FnMut() -> &'a [u8]) -> Vec<Vec<u8>> {
        let mut attributes = self.attributes(file);
        let packing = Packing::of(&mut attributes, self.cluster_size, self.record_size);
        let is_directory = self.tree[file.node].is_directory();
        let flags = record_flag::IN_USE | if is_directory { record_flag::DIRECTORY } else { 0 };
        let names = attributes.iter().filter(|attribute| attribute.kind == attribute_type::FILE_NAME).count();
        let mut builders = vec![RecordBuilder::new(file.record, flags, self.record_size).link_count(names as u16)];
        for number in 1..packing.record_count() as u64 {
            let base = FileReference::of_fresh(file.record);
            let builder = RecordBuilder::new(file.record + number, record_flag::IN_USE, self.record_size);
            builders.push(builder.extending(base));
        }
        let list = packing.attribute_list(&attributes, file.record);
        let mut runs = self.runs[file.first_run as usize..].iter();
        for (attribute, record) in attributes.iter_mut().zip(&packing.placement) {
            let mut value = &[][..];
            match &mut attribute.form {
                Form::NonResident(run, _) => *run = *runs.next().expect("every run has been placed"),
                Form::Resident(bytes) if attribute.kind == attribute_type::ATTRIBUTE_LIST => {
                    *bytes = Cow::Borrowed(&list);
                }
                Form::Resident(_) => {}
                Form::ResidentStream(_) => value = late(),
            }
            builders[*record].push(attribute, value);
        }
        builders.into_iter().map(RecordBuilder::finish).collect()
    }
}

/// Attribute bits of `$STANDARD_INFORMATION`.
pub(super) fn stored_attributes(node: &Node) -> u32 {
    let reparse = if wof::reparse_tag(node).is_some() { attribute::REPARSE_POINT } else { 0 };
    let sparse = if node.compact.is_some() { attribute::SPARSE_FILE } else { 0 };
    node.attributes & STORED_ATTRIBUTES | reparse | sparse
}

/// Value of a `$STANDARD_INFORMATION`.
pub(super) fn standard_information(file_times: Times, attributes: u32, security_id: u32) -> Vec<u8> {
    let value = StandardInformation {
        times: times(file_times),
        attributes: attributes.into(),
        maximum_versions: 0.into(),
        version: 0.into(),
        class_id: 0.into(),
        owner_id: 0.into(),
        security_id: security_id.into(),
        quota_charged: 0.into(),
        usn: 0.into(),
    };
    value.as_bytes().to_vec()
}

/// Value of a `$FILE_NAME`.
pub(super) fn file_name(fixed: FileName, name: &Utf16Name) -> Vec<u8> {
    let mut value = fixed.as_bytes().to_vec();
    value.extend_from_slice(&name.to_le_bytes());
    value
}

/// The four times in NTFS's order.
pub(super) fn times(times: Times) -> [zerocopy::byteorder::little_endian::U64; 4] {
    [times.created, times.modified, times.changed, times.accessed].map(|time| time.0.into())
}

/// Bytes of the extended attributes without padding and offsets, as stored in `$FILE_NAME` and `$EA_INFORMATION`.
fn packed_ea_size(list: &[u8]) -> u16 {
    ea_entries(list).map(|(entry, _)| entry as u16).fold(0, u16::wrapping_add)
}

/// Value of `$EA_INFORMATION`: packed size, number of entries with the need-EA flag, size of `$EA`.
fn ea_information(list: &[u8]) -> Vec<u8> {
    let needed = ea_entries(list).filter(|(_, flags)| flags & 0x80 != 0).count() as u16;
    let mut value = packed_ea_size(list).to_le_bytes().to_vec();
    value.extend_from_slice(&needed.to_le_bytes());
    value.extend_from_slice(&(list.len().next_multiple_of(4) as u32).to_le_bytes());
    value
}

/// Value of `$EA`. In it the last entry, too, holds the distance to the next, which is the end.
fn ea_list(list: &[u8]) -> Vec<u8> {
    let mut value = list.to_vec();
    let (mut last, mut next) = (0, 0);
    while let Some(offset) = value.get(last..last + 4) {
        next = u32::from_le_bytes(offset.try_into().expect("4 bytes")) as usize;
        if next == 0 || last + next >= value.len() {
            break;
        }
        last += next;
    }
    if next == 0 && last < value.len() {
        value.resize(value.len().next_multiple_of(4), 0);
        let distance = ((value.len() - last) as u32).to_le_bytes();
        value[last..last + 4].copy_from_slice(&distance);
    }
    value
}

/// Packed size and flags of each entry of a FILE_FULL_EA_INFORMATION list ([MS-FSCC] 2.4.16).
fn ea_entries(list: &[u8]) -> impl Iterator<Item = (usize, u8)> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let entry = rest.filter(|entry| entry.len() >= 8)?;
        let next = u32::from_le_bytes(entry[..4].try_into().expect("4 bytes")) as usize;
        rest = if next == 0 { None } else { entry.get(next..) };
        Some((5 + usize::from(entry[5]) + usize::from(u16::from_le_bytes([entry[6], entry[7]])), entry[4]))
    })
}

//! Decodes the parts of a metadata resource: security descriptors, directory entries, streams, tagged items.

use zerocopy::FromBytes;

use super::format::{
    DirectoryEntry, ExtendedAttribute, SecurityHeader, StreamEntry, TAG_EXTENDED_ATTRIBUTES, TAG_LINUX_XATTRS,
    TAG_OBJECT_ID, TAG_UNIX_DATA, TaggedItem,
};
use crate::error::{Error, Result};
use crate::tree::{Times, attribute};
use crate::types::{FileTime, Utf16Name, text};

/// SHA-1 of contents; zero if the stream is empty.
pub(super) type Digest = [u8; 20];

/// The bytes of a metadata resource.
pub(super) struct Metadata<'a> {
    bytes: &'a [u8],
    /// Start and length of each security descriptor.
    descriptors: Vec<(u64, u64)>,
    /// Byte offset of the root's entry.
    root: u64,
}

/// A directory entry and what belongs to it.
#[derive(Debug)]
pub(super) struct RawEntry {
    pub attributes: u32,
    /// Number of its descriptor.
    pub security: Option<u32>,
    /// Byte offset of the directory's list; 0 if there is none.
    pub children: u64,
    pub times: Times,
    /// Unnamed streams in their order, starting with that of the entry itself.
    pub unnamed: Vec<Digest>,
    pub named: Vec<(Utf16Name, Digest)>,
    /// Tag and flags of a reparse point.
    pub reparse: Option<(u32, u16)>,
    /// 0 if there is none.
    pub link_group: u64,
    pub name: Utf16Name,
    pub short_name: Option<Utf16Name>,
    pub object_id: Option<Box<[u8]>>,
    /// As a packed list of FILE_FULL_EA_INFORMATION.
    pub extended_attributes: Option<Vec<u8>>,
    /// Tags that have no field here.
    pub other_tags: Vec<u32>,
    /// Whether it has metadata of a Unix file.
    pub has_unix_data: bool,
    /// Whether it ends with bytes that are not a tagged item. libwim ignores such bytes too.
    pub has_tail: bool,
}

/// Bytes of known length, with the current position.
struct Cursor<'a> {
    bytes: &'a [u8],
    /// Byte offset of `bytes` in the metadata resource.
    base: u64,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize, what: &str) -> Result<&'a [u8]> {
        let (head, tail) = self
            .bytes
            .split_at_checked(len)
            .ok_or_else(|| corrupt(self.base, format_args!("{what} reaches beyond its end")))?;
        (self.bytes, self.base) = (tail, self.base + len as u64);
        Ok(head)
    }

    /// A name of `len` bytes and the zero unit after it.
    fn name(&mut self, len: u16) -> Result<Option<Utf16Name>> {
        if len == 0 {
            return Ok(None);
        }
        if !len.is_multiple_of(2) {
            return Err(corrupt(self.base, format_args!("a name has half a character")));
        }
        let bytes = self.take(usize::from(len), "a name")?;
        // The zero unit has no meaning: a writer may leave it out at the very end.
        self.bytes = self.bytes.get(2..).unwrap_or_default();
        self.base += 2;
        Ok(Some(Utf16Name::from_units(text::units(bytes).collect::<Vec<u16>>())))
    }

    /// Skips to the next multiple of 8 of the resource.
    fn align(&mut self) {
        let padding = (self.base.next_multiple_of(8) - self.base) as usize;
        self.bytes = self.bytes.get(padding..).unwrap_or_default();
        self.base += padding as u64;
    }
}

fn corrupt(offset: u64, message: std::fmt::Arguments<'_>) -> Error {
    Error::corrupt(format!("bad image metadata: {message}, at byte {offset:#x} of the metadata resource"))
}

impl<'a> Metadata<'a> {
    /// Finds the descriptors and the root in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let short = || corrupt(0, format_args!("it is too short for its security data"));
        let (header, _) = SecurityHeader::ref_from_prefix(bytes).map_err(|_| short())?;
        let total = u64::from(header.total_len.get()).max(8);
        if total > bytes.len() as u64 {
            return Err(short());
        }
        let count = header.count.get() as usize;
        let lengths = bytes[8..total as usize].get(..count.checked_mul(8).ok_or_else(short)?).ok_or_else(short)?;
        let mut start = 8 + lengths.len() as u64;
        let mut descriptors = Vec::with_capacity(count);
        for len in lengths.as_chunks::<8>().0 {
            let len = u64::from_le_bytes(*len);
            descriptors.push((start, len));
            start = start.checked_add(len).filter(|end| *end <= total).ok_or_else(short)?;
        }
        Ok(Self { bytes, descriptors, root: total.next_multiple_of(8) })
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Byte offset of the root's entry.
    pub fn root(&self) -> u64 {
        self.root
    }

    /// The bytes of security descriptor `number`.
    pub fn descriptor(&self, number: u32) -> Option<&'a [u8]> {
        let (start, len) = *self.descriptors.get(number as usize)?;
        Some(&self.bytes[start as usize..(start + len) as usize])
    }

    /// The entry at byte `offset` and the offset of the next one; `None` at the end of a list.
    pub fn entry(&self, offset: u64) -> Result<Option<(RawEntry, u64)>> {
        let beyond = || corrupt(offset, format_args!("a directory entry begins beyond the end"));
        if !offset.is_multiple_of(8) {
            return Err(corrupt(offset, format_args!("a directory entry does not begin at a multiple of 8")));
        }
        let rest = usize::try_from(offset).ok().and_then(|start| self.bytes.get(start..)).ok_or_else(beyond)?;
        let (len, _) = u64::read_from_prefix(rest).map_err(|_| beyond())?;
        let len = u64::from_le(len);
        if len <= 8 {
            return Ok(None);
        }
        let whole = usize::try_from(len).ok().and_then(|len| rest.get(..len));
        let bytes = whole.ok_or_else(|| corrupt(offset, format_args!("a directory entry reaches beyond the end")))?;
        let mut cursor = Cursor { bytes, base: offset };
        let fixed = cursor.take(size_of::<DirectoryEntry>(), "a directory entry")?;
        let fixed = DirectoryEntry::ref_from_bytes(fixed).expect("a struct without padding of this size");
        let name = cursor.name(fixed.name_len.get())?.unwrap_or_else(|| "".into());
        let short_name = cursor.name(fixed.short_name_len.get())?;
        let attributes = fixed.attributes.get();
        let group = fixed.link_group.get();
        let is_reparse = attributes & attribute::REPARSE_POINT != 0;
        let mut entry = RawEntry {
            attributes,
            security: Some(fixed.security.get()).filter(|number| *number != u32::MAX),
            children: fixed.children.get(),
            times: Times {
                created: FileTime(fixed.created.get()),
                modified: FileTime(fixed.written.get()),
                changed: FileTime(fixed.written.get()),
                accessed: FileTime(fixed.accessed.get()),
            },
            unnamed: vec![fixed.digest],
            named: Vec::new(),
            reparse: is_reparse.then_some((group as u32, (group >> 48) as u16)),
            link_group: if is_reparse { 0 } else { group },
            name,
            short_name,
            object_id: None,
            extended_attributes: None,
            other_tags: Vec::new(),
            has_unix_data: false,
            has_tail: false,
        };
        cursor.align();
        entry.read_tagged_items(cursor)?;
        let next = self.read_streams(&mut entry, offset + len, fixed.stream_count.get())?;
        Ok(Some((entry, next)))
    }

    /// Reads `count` stream entries from byte `offset` on and returns the offset after them.
    fn read_streams(&self, entry: &mut RawEntry, offset: u64, count: u16) -> Result<u64> {
        let mut offset = offset.next_multiple_of(8);
        for _ in 0..count {
            let beyond = || corrupt(offset, format_args!("a stream entry reaches beyond the end"));
            let rest = self.bytes.get(offset as usize..).ok_or_else(beyond)?;
            let (len, _) = u64::read_from_prefix(rest).map_err(|_| beyond())?;
            let len = u64::from_le(len);
            let bytes = usize::try_from(len).ok().and_then(|len| rest.get(..len)).ok_or_else(beyond)?;
            let mut cursor = Cursor { bytes, base: offset };
            let fixed = cursor.take(size_of::<StreamEntry>(), "a stream entry")?;
            let fixed = StreamEntry::ref_from_bytes(fixed).expect("a struct without padding of this size");
            match cursor.name(fixed.name_len.get())? {
                Some(name) => entry.named.push((name, fixed.digest)),
                None => entry.unnamed.push(fixed.digest),
            }
            offset = (offset + len).next_multiple_of(8);
        }
        Ok(offset)
    }
}

impl RawEntry {
    fn read_tagged_items(&mut self, mut cursor: Cursor<'_>) -> Result<()> {
        while cursor.bytes.len() >= size_of::<TaggedItem>() {
            let base = cursor.base;
            let item = cursor.take(size_of::<TaggedItem>(), "a tagged item")?;
            let item = TaggedItem::ref_from_bytes(item).expect("a struct without padding of this size");
            let Ok(data) = cursor.take(item.len.get() as usize, "a tagged item") else {
                self.has_tail = true;
                break;
            };
            cursor.align();
            match item.tag.get() {
                // Padding.
                0 if data.is_empty() => {}
                TAG_OBJECT_ID if data.len() == 16 || data.len() == 64 => self.object_id = Some(data.into()),
                TAG_OBJECT_ID => {
                    return Err(corrupt(base, format_args!("an object id of {} bytes", data.len())));
                }
                TAG_EXTENDED_ATTRIBUTES => self.extended_attributes = Some(full_ea_information(data, base)?),
                TAG_UNIX_DATA | TAG_LINUX_XATTRS => self.has_unix_data = true,
                tag => self.other_tags.push(tag),
            }
        }
        Ok(())
    }
}

/// Repacks the extended attributes of a tagged item as a list of FILE_FULL_EA_INFORMATION ([MS-FSCC] 2.4.16). An item
/// has: offset of the next one (u32, 0 in the last), flags, length of the name (u8 each), length of the value (u16),
/// name, zero byte, value. Each item begins at a multiple of 4.
fn full_ea_information(item: &[u8], base: u64) -> Result<Vec<u8>> {
    let mut cursor = Cursor { bytes: item, base };
    let (mut list, mut last) = (Vec::new(), 0);
    while !cursor.bytes.is_empty() {
        let start = cursor.base;
        let fixed = cursor.take(size_of::<ExtendedAttribute>(), "an extended attribute")?;
        let fixed = ExtendedAttribute::ref_from_bytes(fixed).expect("a struct without padding of this size");
        let name = cursor.take(usize::from(fixed.name_len) + 1, "an extended attribute")?;
        let value = cursor.take(usize::from(fixed.value_len.get()), "an extended attribute")?;
        let (zero, name) = name.split_last().expect("at least the zero byte");
        if *zero != 0 || name.is_empty() || name.contains(&0) {
            return Err(corrupt(start, format_args!("bad name of an extended attribute")));
        }
        if !list.is_empty() {
            list.resize(list.len().next_multiple_of(4), 0);
            let offset = (list.len() - last) as u32;
            list[last..last + 4].copy_from_slice(&offset.to_le_bytes());
        }
        last = list.len();
        list.extend([0, 0, 0, 0, fixed.flags, fixed.name_len]);
        list.extend(fixed.value_len.to_bytes());
        list.extend(name);
        list.push(0);
        list.extend(value);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_attributes_are_repacked() {
        let item = [2, 0, 1, 0x80, b'A', 0, 7, 8, 0, 0, 2, 0, b'B', b'C', 0];
        let list = full_ea_information(&item, 0).unwrap();
        let first = [12, 0, 0, 0, 0x80, 1, 2, 0, b'A', 0, 7, 8];
        let second = [0, 0, 0, 0, 0, 2, 0, 0, b'B', b'C', 0];
        assert_eq!(list, [&first[..], &second[..]].concat());
        for len in 1..item.len() {
            assert!(len == 8 || full_ea_information(&item[..len], 0).is_err(), "{len}");
        }
    }

    #[test]
    fn security_data_must_fit() {
        let bytes = |total: u32, count: u32, len: u64| {
            let mut bytes = [total.to_le_bytes(), count.to_le_bytes()].concat();
            bytes.extend(len.to_le_bytes());
            bytes.extend([0; 20]);
            bytes
        };
        let good = bytes(36, 1, 20);
        let metadata = Metadata::new(&good).unwrap();
        assert_eq!((metadata.descriptor(0), metadata.root()), (Some(&[0; 20][..]), 40));
        assert_eq!(metadata.descriptor(1), None);
        assert_eq!(Metadata::new(&[0; 8]).unwrap().root(), 8);
        for bad in [bytes(37, 1, 20), bytes(36, 1, 21), bytes(36, 4, 8), bytes(36, u32::MAX, 1), bytes(36, 1, u64::MAX)]
        {
            assert!(Metadata::new(&bad).is_err());
        }
    }
}

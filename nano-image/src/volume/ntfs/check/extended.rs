//! Extended attributes, and the flags of records and streams.

use super::Check;
use super::file::{Facts, File, NAME_INDEX};
use super::mft::{Attribute, record_text};
use crate::tree::attribute as file_attribute;
use crate::volume::ntfs::format::*;

/// The longest list that NTFS stores, in bytes.
const MAX_LIST: u64 = 64 << 10;
/// Bytes of an entry before its name: distance to the next entry, flags, lengths of name and value.
const ENTRY_HEADER: usize = 8;

/// Sums over the list of a file's extended attributes.
#[derive(Debug, PartialEq, Eq)]
struct Sums {
    /// Bytes without padding and distances.
    packed: u64,
    /// Number of entries that a program must understand.
    needed: u64,
    /// Total bytes.
    len: u64,
}

impl Check<'_> {
    /// Compares `$EA` with `$EA_INFORMATION`; returns the packed size in the latter.
    pub fn extended_attributes(&mut self, file: &File) -> u16 {
        let text = record_text(file.base.number);
        let information = file.value(attribute_type::EA_INFORMATION);
        let list = file.parts(attribute_type::EA, "");
        let (information, list) = match (information, list.first()) {
            (None, None) => return 0,
            (Some(information), Some(_)) => (information, list),
            (found, _) => {
                let (has, lacks) =
                    if found.is_some() { ("$EA_INFORMATION", "$EA") } else { ("$EA", "$EA_INFORMATION") };
                self.bad("ntfs-ea", &text, file.base.at, format!("has {has}, but no {lacks}"));
                return 0;
            }
        };
        let Ok(information) = <[u8; 8]>::try_from(information) else {
            let message = format!("has {} bytes of $EA_INFORMATION, not 8", information.len());
            self.bad("ntfs-ea", &text, file.base.at, message);
            return 0;
        };
        let half = |at: usize| u16::from_le_bytes([information[at], information[at + 1]]);
        let (packed, needed) = (half(0), half(2));
        let len = u64::from(half(4)) | u64::from(half(6)) << 16;
        let bytes = self.file_stream(file, attribute_type::EA, "").and_then(|stream| stream.whole(MAX_LIST));
        let message = match bytes.as_deref().map(|bytes| bytes.get(..len as usize).ok_or(bytes.len())) {
            None => format!("has an $EA of {} bytes that cannot be read", list[0].size()),
            Some(Err(found)) => format!("has an $EA of {found} bytes; $EA_INFORMATION says {len}"),
            Some(Ok(bytes)) => match sums(bytes) {
                None => "has a damaged $EA".to_owned(),
                Some(sums) if sums != (Sums { packed: packed.into(), needed: needed.into(), len }) => format!(
                    "has {packed} packed bytes, {needed} needed entries and {len} bytes by $EA_INFORMATION; \
                     its $EA has {}, {} and {}",
                    sums.packed, sums.needed, sums.len
                ),
                Some(_) => return packed,
            },
        };
        self.bad("ntfs-ea", &text, file.base.at, message);
        packed
    }

    /// Compares the flags of the base record with what the file has.
    pub fn record_flags(&mut self, file: &File, facts: &Facts) {
        let (number, flags) = (file.base.number, facts.record_flags);
        let is_view =
            |a: &Attribute| a.kind == attribute_type::INDEX_ROOT && !a.is(attribute_type::INDEX_ROOT, NAME_INDEX);
        let has_view = file.attributes().any(is_view);
        let known = record_flag::IN_USE | record_flag::DIRECTORY | record_flag::IN_EXTEND | record_flag::VIEW_INDEX;
        let message = match () {
            () if flags & !known != 0 => "which there are not",
            () if (flags & record_flag::VIEW_INDEX != 0) != has_view && has_view => "but has an index of a view",
            () if (flags & record_flag::VIEW_INDEX != 0) != has_view => "but has no index of a view",
            () => return,
        };
        let message = format!("has the flags {flags:#06x}, {message}");
        self.bad("ntfs-record", &record_text(number), file.base.at, message);
    }

    /// Reports files that are marked as lying in `$Extend`, but do not.
    pub fn extend_flags(&mut self) {
        let marked = |(number, facts): &(&u64, &Facts)| {
            facts.record_flags & record_flag::IN_EXTEND != 0 && !self.is_below_extend(**number)
        };
        let wrong: Vec<u64> = self.files.iter().filter(marked).map(|(number, _)| *number).collect();
        for number in wrong {
            let message = format!("has the flag {:#06x}, but is not in $Extend", record_flag::IN_EXTEND);
            self.bad("ntfs-record", &record_text(number), self.record_place(number), message);
        }
    }

    /// Compares the flags of the contents with the file's attribute bits.
    pub fn data_flags(&mut self, data: &Attribute, bits: u32) {
        let pairs = [
            (attribute_flag::COMPRESSION_MASK, file_attribute::COMPRESSED),
            (attribute_flag::ENCRYPTED, file_attribute::ENCRYPTED),
            (attribute_flag::SPARSE, file_attribute::SPARSE_FILE),
        ];
        if data.record >= record::FIRST_USER
            && pairs.iter().any(|&(flag, bit)| data.flags & flag != 0 && bits & bit == 0)
        {
            let message = format!("has the flags {:#06x}; the file's attributes are {bits:#x}", data.flags);
            self.bad("ntfs-attribute", &data.text(), data.at, message);
        }
    }
}

/// Sums over a list of FILE_FULL_EA_INFORMATION ([MS-FSCC] 2.4.16); `None` if it is damaged.
fn sums(list: &[u8]) -> Option<Sums> {
    let mut sums = Sums { packed: 0, needed: 0, len: 0 };
    let mut at = 0;
    while at < list.len() {
        let entry = &list[at..];
        let header = entry.first_chunk::<ENTRY_HEADER>()?;
        let next = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let (name, value) = (usize::from(header[5]), usize::from(u16::from_le_bytes([header[6], header[7]])));
        // The name ends with a zero that its length does not count.
        let len = ENTRY_HEADER + name + 1 + value;
        let next = if next == 0 { entry.len() } else { next };
        if name == 0 || len > next || next > len.next_multiple_of(4) || next > entry.len() || entry[8 + name] != 0 {
            return None;
        }
        sums.packed += (len - 4) as u64;
        sums.needed += u64::from(header[4] >> 7);
        at += next;
    }
    sums.len = at as u64;
    Some(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_add_up() {
        let first = [20, 0, 0, 0, 0x80, 3, 6, 0, b'O', b'N', b'E', 0, 1, 2, 3, 4, 5, 6, 0, 0];
        let last = [0, 0, 0, 0, 0, 1, 1, 0, b'A', 0, 7, 0];
        let list = [&first[..], &last].concat();
        assert_eq!(sums(&list), Some(Sums { packed: 14 + 7, needed: 1, len: 32 }));
        assert_eq!(sums(&[]), Some(Sums { packed: 0, needed: 0, len: 0 }));
        for (at, byte) in [(0, 24), (0, 16), (5, 0), (5, 9), (6, 9), (11, 1), (20, 8), (26, 9)] {
            let mut list = list.clone();
            list[at] = byte;
            assert_eq!(sums(&list), None, "byte {at}");
        }
    }
}

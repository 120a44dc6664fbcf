//! `$Secure`: every distinct security descriptor, with its number and hash.

use std::collections::BTreeMap;

use zerocopy::IntoBytes;

use super::format::*;
use super::index::IndexEntry;
use crate::error::{Error, Result};
use crate::security::{ObjectClass, constant};

/// The first security id that Windows uses.
const FIRST_ID: u32 = 0x100;
/// `$SDS` consists of pairs of blocks of this length: the second is a copy of the first, and no entry crosses a block.
pub(super) const BLOCK: u64 = 0x4_0000;

/// Access rights of SYSTEM and Administrators to the system files: read-only, and writable.
const READ_ACCESS: u32 = 0x0012_0089;
const WRITE_ACCESS: u32 = 0x0012_019F;

/// Collects descriptors and numbers them.
#[derive(Debug)]
pub(super) struct SecurityTable {
    ids: BTreeMap<Vec<u8>, u32>,
    /// Descriptors with their position in `$SDS`, in the order of their numbers.
    entries: Vec<(SecurityHeader, Vec<u8>)>,
    end: u64,
}

impl SecurityTable {
    /// A table that holds the two descriptors of the system files.
    pub fn new() -> Self {
        let mut table = Self { ids: BTreeMap::new(), entries: Vec::new(), end: 0 };
        for access in [READ_ACCESS, WRITE_ACCESS] {
            table.add(&system_descriptor(access)).expect("a short descriptor");
        }
        table
    }

    /// Id of the read-only system files' descriptor.
    pub const SYSTEM_READ_ONLY: u32 = FIRST_ID;
    /// Id of the writable system files' descriptor.
    pub const SYSTEM_WRITABLE: u32 = FIRST_ID + 1;

    /// The id of `descriptor`; equal bytes get the same id.
    pub fn add(&mut self, descriptor: &[u8]) -> Result<u32> {
        if let Some(id) = self.ids.get(descriptor) {
            return Ok(*id);
        }
        let length = (size_of::<SecurityHeader>() + descriptor.len()) as u64;
        if length > BLOCK || descriptor.len() > 0x1_0000 {
            return Err(Error::unsupported(format!("a security descriptor of {} bytes", descriptor.len()))
                .with_hint("NTFS stores at most 65,536 bytes"));
        }
        let id = FIRST_ID + self.entries.len() as u32;
        let mut offset = self.end.next_multiple_of(16);
        if offset % BLOCK + length > BLOCK {
            offset = offset.next_multiple_of(BLOCK);
        }
        if (offset / BLOCK) % 2 == 1 {
            offset = (offset / BLOCK + 1) * BLOCK;
        }
        let header = SecurityHeader {
            hash: hash(descriptor).into(),
            security_id: id.into(),
            offset: offset.into(),
            length: (length as u32).into(),
        };
        self.end = offset + length;
        self.entries.push((header, descriptor.to_vec()));
        self.ids.insert(descriptor.to_vec(), id);
        Ok(id)
    }

    /// The descriptor with `id`.
    pub fn get(&self, id: u32) -> &[u8] {
        &self.entries[(id - FIRST_ID) as usize].1
    }

    /// Contents of `$SDS`.
    pub fn sds(&self) -> Vec<u8> {
        let mut sds = vec![0; (self.end + BLOCK) as usize];
        for (header, descriptor) in &self.entries {
            for copy in [0, BLOCK] {
                let start = (header.offset.get() + copy) as usize;
                sds[start..start + 20].copy_from_slice(header.as_bytes());
                sds[start + 20..start + 20 + descriptor.len()].copy_from_slice(descriptor);
            }
        }
        sds
    }

    /// Entries of `$SII`, by id.
    pub fn sii(&self) -> Vec<IndexEntry> {
        self.entries
            .iter()
            .map(|(header, _)| IndexEntry::view(&header.security_id.to_bytes(), 0x14, header.as_bytes()))
            .collect()
    }

    /// Entries of `$SDH`, by hash and id.
    pub fn sdh(&self) -> Vec<IndexEntry> {
        let mut headers: Vec<&SecurityHeader> = self.entries.iter().map(|(header, _)| header).collect();
        headers.sort_by_key(|header| (header.hash.get(), header.security_id.get()));
        headers
            .into_iter()
            .map(|header| {
                let key = [header.hash.to_bytes(), header.security_id.to_bytes()].concat();
                // Windows ends each entry with "II" in UTF-16, which is part of neither key nor data.
                let mut entry = IndexEntry::view(&key, 0x18, header.as_bytes());
                entry.append_tail(b"I\0I\0");
                entry
            })
            .collect()
    }
}

/// Descriptor of a system file: owned by Administrators, with `access` for SYSTEM and Administrators.
fn system_descriptor(access: u32) -> Vec<u8> {
    constant(&format!("O:BAG:BAD:(A;;{access:#x};;;SY)(A;;{access:#x};;;BA)"), ObjectClass::File)
}

/// The hash of a descriptor: the sum of its words, rotated by 3 bits before each addition.
pub(super) fn hash(descriptor: &[u8]) -> u32 {
    descriptor.chunks_exact(4).fold(0, |hash: u32, word| {
        u32::from_le_bytes(word.try_into().expect("4 bytes")).wrapping_add(hash.rotate_left(3))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_entry_crosses_a_block_and_the_copies_are_alike() {
        let mut table = SecurityTable::new();
        for seed in 0..2000u32 {
            let mut descriptor = vec![0; 300 + seed as usize % 90];
            descriptor[..4].copy_from_slice(&seed.to_le_bytes());
            table.add(&descriptor).unwrap();
        }
        let sds = table.sds();
        for (header, descriptor) in &table.entries {
            let (offset, length) = (header.offset.get(), u64::from(header.length.get()));
            assert_eq!(offset / BLOCK, (offset + length - 1) / BLOCK);
            assert_eq!((offset / BLOCK) % 2, 0);
            let (first, copy) = (offset as usize + 20, (offset + BLOCK) as usize + 20);
            assert_eq!(&sds[first..first + descriptor.len()], &descriptor[..]);
            assert_eq!(&sds[copy..copy + descriptor.len()], &descriptor[..]);
        }
    }

    #[test]
    fn the_hash_is_that_of_windows() {
        // Descriptor 0x100 of a volume formatted by mkntfs. Its `$SDH` has the hash 0xF80312F0.
        assert_eq!(hash(&system_descriptor(READ_ACCESS)), 0xF803_12F0);
    }
}

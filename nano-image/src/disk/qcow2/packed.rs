//! Reads compressed clusters.

use std::collections::BTreeMap;
use std::io;

use super::format::*;
use crate::content::ReadAt;
use crate::disk::layer::{Packed, inflate};

/// Compressed clusters: their L2 entries, by number of the cluster on the disk.
pub(super) struct Compressed {
    pub entries: BTreeMap<u64, u64>,
    pub cluster_bits: u32,
    /// Length of the file in bytes.
    pub len: u64,
}

/// Where a compressed cluster begins, and its largest possible length: the entry counts sectors of 512 bytes.
pub(super) fn place(entry: u64, cluster_bits: u32) -> (u64, u64) {
    let bits = 62 - (cluster_bits - 8);
    let offset = entry & ((1 << bits) - 1);
    let sectors = (entry & !(ENTRY_COPIED | ENTRY_COMPRESSED)) >> bits;
    (offset, (sectors + 1) * 512 - offset % 512)
}

impl Packed for Compressed {
    fn blocks(&self) -> Vec<u64> {
        self.entries.keys().copied().collect()
    }

    fn contains(&self, block: u64) -> bool {
        self.entries.contains_key(&block)
    }

    fn unpack(&self, file: &dyn ReadAt, block: u64, bytes: &mut [u8]) -> io::Result<()> {
        let missing = || io::Error::new(io::ErrorKind::InvalidData, "no such compressed cluster");
        let (offset, len) = place(*self.entries.get(&block).ok_or_else(missing)?, self.cluster_bits);
        // The file may end within the last sector.
        let len = len.min(self.len.saturating_sub(offset));
        let mut packed = vec![0; len as usize];
        file.read_exact_at(&mut packed, offset)?;
        inflate(&packed, false, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_an_offset_and_sectors() {
        // Clusters of 64 KiB: 54 bits of offset, 8 of sectors.
        assert_eq!(place(ENTRY_COMPRESSED | 3 << 54 | 0x5_0123, 16), (0x5_0123, 4 * 512 - 0x123));
        assert_eq!(place(ENTRY_COMPRESSED | 0x5_0000, 16), (0x5_0000, 512));
    }
}

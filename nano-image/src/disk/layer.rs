//! Images that hold only a part of a disk: which of its bytes they hold, and what they say about the image with the
//! rest.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::content::ReadAt;
use crate::types::Guid;

/// Bytes of a bitmap that are read at once; they cover 16 MiB of the disk or more.
const BITMAP_PIECE: u64 = 4096;

/// What a differencing image says about its blocks and its parent.
pub(super) struct Layer {
    pub parent: ParentLink,
    /// Blocks that are zeros even if the parent has something else there.
    pub zeros: BTreeSet<u64>,
    /// For blocks of which only a part is in the file: file offset of the bits that say which sectors are.
    pub bitmaps: BTreeMap<u64, u64>,
    /// Number of bytes that one bit stands for.
    pub sector_size: u64,
    /// Whether the highest bit of a byte stands for its first sector.
    pub high_bit_first: bool,
}

/// How a differencing image names its parent.
pub(super) struct ParentLink {
    /// Paths in the order in which they are tried, with `/` as the separator.
    pub paths: Vec<String>,
    /// The parent's identifier; `None` if the format has none.
    pub id: Option<Guid>,
    /// QEMU's name of its format; `None` if only its signature tells.
    pub format: Option<String>,
}

impl Layer {
    /// Whether byte `inside` of a block that is in the file belongs to this image, and for how many of the `wanted`
    /// bytes from there on the answer is the same.
    pub fn owns(&self, file: &dyn ReadAt, block: u64, inside: u64, wanted: u64) -> io::Result<(bool, u64)> {
        let Some(start) = self.bitmaps.get(&block) else { return Ok((true, wanted)) };
        let (first, last) = (inside / self.sector_size, (inside + wanted - 1) / self.sector_size);
        let bytes = (last / 8 - first / 8 + 1).min(BITMAP_PIECE);
        let mut bits = vec![0; bytes as usize];
        file.read_exact_at(&mut bits, start + first / 8)?;
        let bit = |sector: u64| {
            let (byte, number) = (bits[(sector / 8 - first / 8) as usize], sector % 8);
            byte >> (if self.high_bit_first { 7 - number } else { number }) & 1 == 1
        };
        let (owned, end) = (bit(first), last.min((first / 8 + bytes) * 8 - 1));
        let alike = (first..=end).take_while(|sector| bit(*sector) == owned).count() as u64;
        Ok((owned, ((first + alike) * self.sector_size - inside).min(wanted)))
    }
}

/// Access to compressed blocks.
pub(super) trait Packed: Send + Sync {
    /// The numbers of all compressed blocks, in ascending order.
    fn blocks(&self) -> Vec<u64>;

    /// Whether the block is compressed.
    fn contains(&self, block: u64) -> bool;

    /// Fills `bytes` with a whole block.
    fn unpack(&self, file: &dyn ReadAt, block: u64, bytes: &mut [u8]) -> io::Result<()>;
}

/// Decompresses `packed`, a raw deflate or zlib stream, to `bytes`.
pub(super) fn inflate(packed: &[u8], zlib: bool, bytes: &mut [u8]) -> io::Result<()> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a compressed block is damaged");
    let mut decompress = flate2::Decompress::new(zlib);
    decompress.decompress(packed, bytes, flate2::FlushDecompress::Finish).map_err(|_| damaged())?;
    if decompress.total_out() == bytes.len() as u64 { Ok(()) } else { Err(damaged()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_in_both_orders_and_across_pieces() {
        let mut file = vec![0u8; 40_000];
        file[100] = 0b0000_0110;
        file[101] = 0xFF;
        let layer = |high_bit_first, sector_size| Layer {
            parent: ParentLink { paths: Vec::new(), id: None, format: None },
            zeros: BTreeSet::new(),
            bitmaps: BTreeMap::from([(3, 100)]),
            sector_size,
            high_bit_first,
        };
        let low = layer(false, 512);
        assert_eq!(low.owns(&file, 3, 0, 10_000).unwrap(), (false, 512));
        assert_eq!(low.owns(&file, 3, 600, 10_000).unwrap(), (true, 2 * 512 - 88));
        assert_eq!(low.owns(&file, 3, 3 * 512, 10_000).unwrap(), (false, 5 * 512));
        assert_eq!(low.owns(&file, 3, 8 * 512 + 7, 100).unwrap(), (true, 100));
        assert_eq!(low.owns(&file, 3, 8 * 512, 1 << 20).unwrap(), (true, 4096));
        assert_eq!(low.owns(&file, 2, 0, 77).unwrap(), (true, 77), "a whole block");
        let high = layer(true, 4096);
        assert_eq!(high.owns(&file, 3, 0, 1 << 20).unwrap(), (false, 5 * 4096));
        assert_eq!(high.owns(&file, 3, 5 * 4096, 1 << 20).unwrap(), (true, 2 * 4096));
        let (owned, len) = low.owns(&file, 3, 16 * 512, 100 << 20).unwrap();
        assert!(!owned && len == BITMAP_PIECE * 8 * 512, "{len}");
        assert!(low.owns(&file, 3, 0, u64::from(u32::MAX)).is_ok());
    }
}

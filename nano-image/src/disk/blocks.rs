//! Which blocks of a disk are in the file, and where.

use crate::content::Extent;
use crate::error::{Error, ErrorKind, Result};
use crate::types::ByteSize;

/// Neighbouring blocks that are in the file, one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockRun {
    /// Number of the first block on the disk.
    pub first: u64,
    /// Number of blocks.
    pub count: u64,
    /// Number of blocks of the file that come before.
    pub rank: u64,
}

/// The monotone map from the disk to the file: the used blocks lie in the file in the order of the disk.
#[derive(Clone, Debug)]
pub(super) struct BlockMap {
    /// Bytes per block.
    pub block_size: u64,
    /// File offset of the first block, including its lead.
    pub start: u64,
    /// Bytes in the file before each block's data (the VHD's sector bitmap).
    pub lead: u64,
    /// In ascending order, with gaps between them.
    pub runs: Vec<BlockRun>,
}

impl BlockMap {
    /// All of `blocks` blocks are in the file.
    pub fn fixed(block_size: u64, blocks: u64, start: u64) -> Self {
        Self { block_size, start, lead: 0, runs: vec![BlockRun { first: 0, count: blocks, rank: 0 }] }
    }

    /// The blocks that `used` touches are in the file.
    pub fn dynamic(block_size: u64, used: &[Extent], start: u64, lead: u64) -> Self {
        let mut runs: Vec<BlockRun> = Vec::new();
        for extent in used {
            let (first, end) = (extent.start / block_size, extent.end().div_ceil(block_size));
            match runs.last_mut() {
                Some(run) if first <= run.first + run.count => run.count = run.count.max(end - run.first),
                last => {
                    let rank = last.map_or(0, |run| run.rank + run.count);
                    runs.push(BlockRun { first, count: end - first, rank });
                }
            }
        }
        Self { block_size, start, lead, runs }
    }

    /// How many blocks are in the file.
    pub fn count(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.rank + run.count)
    }

    /// File offset of the block that has `rank` blocks before it, including its lead.
    pub fn offset_of_rank(&self, rank: u64) -> u64 {
        self.start + rank * (self.lead + self.block_size)
    }

    /// File offset behind the last block.
    pub fn end(&self) -> u64 {
        self.offset_of_rank(self.count())
    }
}

/// `used` without empty extents and with neighbours joined; an error if it is not ascending or not on the disk.
pub(super) fn joined(used: &[Extent], disk_size: ByteSize) -> Result<Vec<Extent>> {
    let mut joined: Vec<Extent> = Vec::with_capacity(used.len());
    let mut end = 0;
    for extent in used.iter().filter(|extent| extent.len > 0) {
        let next = extent.start.checked_add(extent.len).filter(|&next| next <= disk_size.bytes());
        let Some(next) = next else {
            let message = format!("the disk of {disk_size} has no room for {} bytes", extent.len);
            return Err(Error::too_small(message).at(extent.start));
        };
        match joined.last_mut() {
            Some(_) if extent.start < end => {
                return Err(Error::new(ErrorKind::TooSmall, "two parts of the disk overlap").at(extent.start));
            }
            Some(last) if extent.start == end => last.len += extent.len,
            _ => joined.push(*extent),
        }
        end = next;
    }
    Ok(joined)
}

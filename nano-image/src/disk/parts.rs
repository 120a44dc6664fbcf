//! The parts of an image file that is laid out, and tables that are made while they are written.

use std::fmt;
use std::sync::Arc;

use super::blocks::{BlockMap, BlockRun};
use crate::error::Result;
use crate::types::Guid;

/// Bytes of a table that are made at once.
const PIECE: u64 = 64 << 10;

/// Everything that a format adds to the disk's bytes.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// Structures before the first block, with their file offsets, in ascending order.
    pub head: Vec<(u64, Structure)>,
    /// Where the blocks are.
    pub blocks: BlockMap,
    /// The bytes before each block.
    pub leads: Leads,
    /// Structures after the last block, in ascending order.
    pub tail: Vec<(u64, Vec<u8>)>,
    /// Length of the file; if blocks are compressed, the largest possible length.
    pub file_size: u64,
    /// The identifier of the disk's data in the file, as in [`Opened`](super::map::Opened).
    pub content_id: Option<Guid>,
    /// Compresses the blocks, if they are to be compressed.
    pub packing: Option<Arc<dyn Packing>>,
}

/// How blocks are compressed. The place of each is known only once it is written, so there are no leads and no tail.
pub(super) trait Packing: fmt::Debug + Send + Sync {
    /// Begins a pass over the blocks. The file has `position` bytes before them.
    fn begin(&self, position: u64) -> Box<dyn Packer>;
}

/// A pass over blocks, in the order of the disk.
pub(super) trait Packer {
    /// The bytes of a structure that come before the block with this number, and those that stand for the block.
    fn block(&mut self, number: u64, bytes: &[u8]) -> Result<[&[u8]; 2]>;

    /// The bytes of the file after the last block.
    fn finish(&mut self) -> Result<&[u8]>;
}

/// Bytes before each block.
#[derive(Clone, Debug)]
pub(super) enum Leads {
    /// Nothing.
    None,
    /// The same bytes before each.
    Same(Vec<u8>),
    /// Different bytes before each block of the file.
    Each(Vec<Vec<u8>>),
}

impl Leads {
    /// The lead of the block that has `rank` blocks before it.
    pub fn of_rank(&self, rank: u64) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Same(bytes) => bytes,
            Self::Each(all) => all.get(rank as usize).map_or(&[], Vec::as_slice),
        }
    }
}

/// A structure before the blocks.
#[derive(Clone, Debug)]
pub(super) enum Structure {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Text that contains the name of the file in the place of `{name}`.
    Named {
        /// The text.
        text: String,
        /// The name.
        name: String,
    },
    /// A table of blocks, which may be too large to keep: a fixed VHDX of 64 TiB has one of 512 MiB.
    Table(Arc<dyn Table>),
    /// The same bytes, repeated.
    Repeated {
        /// The bytes that are repeated; [`PIECE`] is a multiple of their length.
        unit: &'static [u8],
        /// Number of repetitions.
        count: u64,
    },
}

/// A table that says where each block is in the file.
pub(super) trait Table: fmt::Debug + Send + Sync {
    /// How many entries it has.
    fn len(&self) -> u64;

    /// The number of the entry for a block of the disk. It grows with the number of the block.
    fn slot(&self, block: u64) -> u64;

    /// Bytes of an entry.
    fn width(&self) -> u64;

    /// The byte that fills the entries of blocks that are not in the file.
    fn absent(&self) -> u8 {
        0
    }

    /// Appends the entry for a block of the disk that begins, including its lead, at this file offset.
    fn entry(&self, block: u64, offset: u64, bytes: &mut Vec<u8>);
}

impl Structure {
    /// Hands out the bytes of the structure at file offset `start`, in ascending pieces with their file offsets. Bytes
    /// that are not handed out are zero.
    pub fn write(&self, start: u64, blocks: &BlockMap, put: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        match self {
            Self::Bytes(bytes) => put(start, bytes),
            Self::Named { text, name } => put(start, text.replace("{name}", name).as_bytes()),
            Self::Table(table) => write_table(&**table, start, blocks, put),
            Self::Repeated { unit, count } => {
                let piece = unit.repeat((PIECE / unit.len() as u64).min(*count) as usize);
                let end = start + unit.len() as u64 * count;
                (start..end).step_by(piece.len().max(1)).try_for_each(|at| {
                    let len = (end - at).min(piece.len() as u64) as usize;
                    put(at, &piece[..len])
                })
            }
        }
    }
}

impl From<Vec<u8>> for Structure {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

fn write_table(
    table: &dyn Table,
    start: u64,
    blocks: &BlockMap,
    put: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let (width, absent) = (table.width(), table.absent());
    let mut piece: Vec<u8> = Vec::with_capacity(PIECE as usize);
    // Number of the next entry that is not in `piece`.
    let mut next = 0;
    let mut advance = |piece: &mut Vec<u8>, next: &mut u64, slot: u64, force: bool| -> Result<()> {
        // Entries of absent blocks in between; they are not handed out if they are zero.
        let gap = slot - *next;
        if !piece.is_empty() && (force || (gap > 0 && absent == 0) || piece.len() as u64 + width > PIECE) {
            put(start + *next * width - piece.len() as u64, piece)?;
            piece.clear();
        }
        while absent != 0 && *next < slot {
            let count = (slot - *next).min((PIECE - piece.len() as u64) / width);
            piece.resize(piece.len() + (count * width) as usize, absent);
            *next += count;
            if piece.len() as u64 + width > PIECE {
                put(start + *next * width - piece.len() as u64, piece)?;
                piece.clear();
            }
        }
        *next = slot;
        Ok(())
    };
    for &BlockRun { first, count, rank } in &blocks.runs {
        for i in 0..count {
            advance(&mut piece, &mut next, table.slot(first + i), false)?;
            table.entry(first + i, blocks.offset_of_rank(rank + i), &mut piece);
            next += 1;
        }
    }
    advance(&mut piece, &mut next, table.len(), false)?;
    advance(&mut piece, &mut next, table.len(), true)
}

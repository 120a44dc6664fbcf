//! Maps the bytes of a disk to an image file, and reads tables that do so.

use std::collections::BTreeMap;
use std::io;

use super::layer::{Layer, Packed};
use super::subformat::Subformat;
use crate::content::{Extent, ReadAt};
use crate::error::{Error, ErrorKind, Result};
use crate::types::{ByteSize, Guid};

/// Bytes of a table that are read at once.
const PIECE: u64 = 1 << 20;
/// Number of places in a chunk of [`Places`].
const CHUNK: usize = 1024;
/// Marks a block without a place.
const ABSENT: u32 = u32::MAX;

/// What the reader of a format finds out about a file.
pub(super) struct Opened {
    /// `None` if the format has none.
    pub subformat: Option<Subformat>,
    /// Bytes per block; `None` if the file has no blocks.
    pub block_size: Option<u64>,
    /// Bytes of the disk.
    pub size: u64,
    pub logical_sector_size: u32,
    /// The disk's identifier.
    pub id: Option<Guid>,
    pub map: Map,
    /// Parts of the file that hold structures of the format.
    pub structures: Vec<(Extent, &'static str)>,
    /// The identifier by which a differencing image recognises the disk as its parent; `None` if the format has none.
    pub content_id: Option<Guid>,
    /// Which bytes belong to this image; `None` if all do.
    pub layer: Option<Layer>,
    /// Blocks that are compressed. They have no place in `map`.
    pub packed: Option<Box<dyn Packed>>,
}

impl Opened {
    /// A whole disk with sectors of 512 bytes, without further facts.
    pub fn new(
        subformat: Option<Subformat>,
        block_size: Option<u64>,
        size: u64,
        map: Map,
        structures: Vec<(Extent, &'static str)>,
    ) -> Self {
        let (content_id, layer, packed) = (None, None, None);
        let logical_sector_size = 512;
        Self { subformat, block_size, size, logical_sector_size, id: None, map, structures, content_id, layer, packed }
    }
}

/// Where the disk's bytes are in the file.
pub(super) enum Map {
    /// The disk is contiguous from this file offset on.
    Linear(u64),
    /// The disk is divided into blocks.
    Blocks {
        /// Bytes per block.
        block_size: u64,
        /// Unit of `places`, bytes.
        unit: u64,
        /// Bytes between a block's place and its data.
        lead: u64,
        /// Each block's place in the file; a block without one reads as zeros.
        places: Places,
    },
}

/// The place of each block, in some unit. What has no place takes no memory, if enough of it is together; blocks that are
/// parts of one entry of a table share its place.
#[derive(Debug)]
pub(super) struct Places {
    chunks: BTreeMap<u64, Chunk>,
    /// Blocks per entry.
    parts: u64,
    len: u64,
}

/// Places of entries; if these have parts, also which parts have a place.
#[derive(Debug)]
struct Chunk {
    places: Box<[u32; CHUNK]>,
    parts: Option<Box<[u32; CHUNK]>>,
}

impl Default for Places {
    fn default() -> Self {
        Self::of_parts(1)
    }
}

impl Places {
    /// The places of a table whose entries have this many blocks, at most 32.
    pub fn of_parts(parts: u64) -> Self {
        Self { chunks: BTreeMap::new(), parts, len: 0 }
    }

    /// Adds the place of the next block.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a place that is farther away than any real file is long.
    pub fn push(&mut self, place: Option<u64>) -> Result<()> {
        self.push_entry(place, 1)
    }

    /// Adds the parts of the next entry: they follow each other from `place` on, which is counted in entries, and those
    /// with a bit in `present` are there.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_entry(&mut self, place: Option<u64>, present: u32) -> Result<()> {
        if let Some(place) = place {
            let place = u32::try_from(place).ok().filter(|&place| place != ABSENT);
            let place = place.ok_or_else(|| Error::unsupported(format!("block {} is too far away", self.len)))?;
            let (entry, has_parts) = (self.len / self.parts, self.parts > 1);
            let chunk = self.chunks.entry(entry / CHUNK as u64).or_insert_with(|| Chunk {
                places: Box::new([ABSENT; CHUNK]),
                parts: has_parts.then(|| Box::new([0; CHUNK])),
            });
            let index = (entry % CHUNK as u64) as usize;
            chunk.places[index] = place;
            if let Some(parts) = &mut chunk.parts {
                parts[index] = present;
            }
        }
        self.len += self.parts;
        Ok(())
    }

    /// Adds `count` blocks without a place, which are whole entries.
    pub fn push_absent(&mut self, count: u64) {
        self.len += count;
    }

    /// Number of blocks.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The place of a block.
    pub fn get(&self, block: u64) -> Option<u64> {
        let (entry, part) = (block / self.parts, block % self.parts);
        let chunk = self.chunks.get(&(entry / CHUNK as u64))?;
        chunk.place((entry % CHUNK as u64) as usize, part).map(|place| place * self.parts + part)
    }

    /// The blocks that have a place, ascending, with it.
    pub fn present(&self) -> impl Iterator<Item = (u64, u64)> {
        self.chunks.iter().flat_map(move |(number, chunk)| {
            (0..CHUNK).flat_map(move |index| {
                let entry = number * CHUNK as u64 + index as u64;
                let place = move |part| Some(chunk.place(index, part)? * self.parts + part);
                (0..self.parts).filter_map(move |part| Some((entry * self.parts + part, place(part)?)))
            })
        })
    }

    /// The same, with the number of blocks that follow each other, each `step` units behind the one before.
    pub fn runs(&self, step: u64) -> impl Iterator<Item = (u64, u64, u64)> {
        let mut all = self.present().peekable();
        std::iter::from_fn(move || {
            let (block, place) = all.next()?;
            let mut count = 1;
            while all.next_if_eq(&(block + count, place + count * step)).is_some() {
                count += 1;
            }
            Some((block, place, count))
        })
    }
}

impl Chunk {
    /// The place of this part of an entry, if it has one.
    fn place(&self, index: usize, part: u64) -> Option<u64> {
        let is_there = self.parts.as_ref().is_none_or(|parts| parts[index] >> part & 1 == 1);
        Some(self.places[index]).filter(|&place| place != ABSENT && is_there).map(u64::from)
    }
}

impl Map {
    /// The file offset of a byte of the disk, and the number of bytes that are contiguous from there on.
    pub fn piece(&self, offset: u64) -> (Option<u64>, u64) {
        match self {
            Self::Linear(start) => (Some(start + offset), u64::MAX),
            Self::Blocks { block_size, unit, lead, places } => {
                let (block, inside) = (offset / block_size, offset % block_size);
                (places.get(block).map(|place| place * unit + lead + inside), block_size - inside)
            }
        }
    }

    /// Checks that the map covers the disk and points into the file.
    pub fn check(&self, disk_size: u64, file_len: u64) -> Result<()> {
        match self {
            Self::Linear(start) => match start.checked_add(disk_size) {
                Some(end) if end <= file_len => Ok(()),
                _ => Err(Error::corrupt(format!("the file ends before its disk of {} does", ByteSize::new(disk_size)))
                    .at(file_len)),
            },
            Self::Blocks { block_size, unit, lead, places } => {
                if places.len() < disk_size.div_ceil(*block_size) {
                    return Err(Error::corrupt("the block allocation table is shorter than the disk"));
                }
                for (block, place) in places.present() {
                    let needed = disk_size.saturating_sub(block * block_size).min(*block_size);
                    let start = place * unit + lead;
                    if start + needed > file_len {
                        return Err(Error::corrupt(format!("block {block} lies behind the end of the file")).at(start));
                    }
                }
                Ok(())
            }
        }
    }
}

/// Reads a table of `count` entries of `N` bytes at file offset `start`, part by part. Hands out each entry with its
/// number and file offset.
pub(super) fn read_entries<const N: usize>(
    file: &dyn ReadAt,
    start: u64,
    count: u64,
    mut each: impl FnMut(u64, u64, [u8; N]) -> Result<()>,
) -> Result<()> {
    let (width, mut piece) = (N as u64, Vec::new());
    for first in (0..count).step_by((PIECE / width) as usize) {
        let offset = start + first * width;
        piece.resize(((count - first) * width).min(PIECE / width * width) as usize, 0);
        read_into(file, offset, &mut piece)?;
        for (index, entry) in (0..).zip(piece.chunks_exact(N)) {
            each(first + index, offset + index * width, entry.try_into().expect("a chunk has its length"))?;
        }
    }
    Ok(())
}

/// Reads `N` bytes at `offset`.
pub(super) fn read_array<const N: usize>(file: &dyn ReadAt, offset: u64) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    read_into(file, offset, &mut bytes)?;
    Ok(bytes)
}

/// Fills `bytes` from `offset`.
pub(super) fn read_into(file: &dyn ReadAt, offset: u64, bytes: &mut [u8]) -> Result<()> {
    file.read_exact_at(bytes, offset).map_err(|e| read_error(e).at(offset))
}

/// Whether `file` has `bytes` at `offset`; `false` if the file ends before.
pub(super) fn has(file: &dyn ReadAt, offset: u64, bytes: &[u8]) -> Result<bool> {
    let mut found = vec![0; bytes.len()];
    match read_into(file, offset, &mut found) {
        Ok(()) => Ok(found == bytes),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(false),
        Err(error) => Err(error),
    }
}

/// The error for a failed read. It is called damage if the file is too short.
pub(super) fn read_error(error: io::Error) -> Error {
    // For the system, an offset beyond i64 is a bad argument.
    if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput) {
        return Error::corrupt("the file ends too early");
    }
    Error::new(ErrorKind::Io, "cannot read").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart_from_none() {
        let mut places = Places::default();
        places.push_absent(1500);
        places.push(Some(0)).unwrap();
        places.push(None).unwrap();
        places.push(Some(7)).unwrap();
        places.push_absent(1 << 50);
        assert_eq!(places.len(), 1503 + (1 << 50));
        assert_eq!(
            [1499, 1500, 1501, 1502, 1503, 9 << 40].map(|block| places.get(block)),
            [None, Some(0), None, Some(7), None, None]
        );
        assert_eq!(places.present().collect::<Vec<_>>(), [(1500, 0), (1502, 7)]);
        assert!(places.push(Some(u64::from(ABSENT))).is_err());
    }

    #[test]
    fn parts_of_an_entry_share_its_place() {
        let mut places = Places::of_parts(32);
        places.push_absent(64);
        places.push_entry(Some(5), 0b1101).unwrap();
        places.push_entry(None, 0).unwrap();
        (0..4096).for_each(|entry| places.push_entry(Some(7 + entry), u32::MAX).unwrap());
        assert_eq!(places.len(), 32 * 4100);
        assert_eq!(
            [63, 64, 65, 66, 67, 68, 96, 128, 131].map(|block| places.get(block)),
            [None, Some(160), None, Some(162), Some(163), None, None, Some(224), Some(227)]
        );
        assert_eq!(places.present().count(), 3 + 32 * 4096);
        assert_eq!(places.runs(1).collect::<Vec<_>>(), [(64, 160, 1), (66, 162, 2), (128, 224, 32 * 4096)]);
        assert_eq!(places.chunks.len(), 5, "memory for entries, not for their parts");
    }
}

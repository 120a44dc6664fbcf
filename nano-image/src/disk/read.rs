//! Reads disk images back.

use std::io;
use std::sync::Arc;

use super::{Format, vhd, vhdx};
use crate::content::{Extent, ReadAt};
use crate::error::{Error, ErrorKind, Result};
use crate::types::{ByteSize, DiskOffset, FileOffset, Guid};

/// Bytes of a virtual disk, read from its image file.
pub struct DiskReader {
    file: Arc<dyn ReadAt>,
    format: Format,
    size: u64,
    logical_sector_size: u32,
    id: Option<Guid>,
    map: Map,
    structures: Vec<(Extent, &'static str)>,
    file_len: u64,
}

/// What a part of an image file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileContent {
    /// A structure of the format.
    Structure(&'static str),
    /// Bytes of the disk, from this one on.
    Disk(DiskOffset),
    /// Nothing that the format tells of.
    Unused,
}

/// Where the disk's bytes are in the file.
pub(super) enum Map {
    /// The disk lies in one piece from this file offset on.
    Linear(u64),
    /// The disk lies in blocks.
    Blocks {
        /// Bytes per block.
        block_size: u64,
        /// Unit of `table`, bytes.
        unit: u64,
        /// Bytes between the place in `table` and the block's data.
        lead: u64,
        /// Each block's place in the file; 0: not in the file, reads as zeros.
        table: Vec<u32>,
    },
}

/// What a format's reader finds out.
pub(super) struct Opened {
    pub format: Format,
    pub size: u64,
    pub logical_sector_size: u32,
    pub id: Option<Guid>,
    pub map: Map,
    /// Parts of the file that hold the format's own structures.
    pub structures: Vec<(Extent, &'static str)>,
}

/// Opens a VHDX, a VHD or (anything else) a raw image.
///
/// # Errors
/// [`ErrorKind::Corrupt`] if the file breaks its format, [`ErrorKind::Unsupported`] for differencing disks and for a
/// VHDX with a log to replay.
pub fn open(file: Arc<dyn ReadAt>) -> Result<DiskReader> {
    let len = file.len().map_err(io_error)?;
    let signature = if len >= 8 { read_array(&*file, 0)? } else { [0; 8] };
    let opened = if signature == vhdx::format::FILE_SIGNATURE {
        vhdx::open(&*file, len)?
    } else if vhd::is_vhd(&*file, len)? {
        vhd::open(&*file, len)?
    } else {
        Opened {
            format: Format::Raw,
            size: len,
            logical_sector_size: 512,
            id: None,
            map: Map::Linear(0),
            structures: Vec::new(),
        }
    };
    let Opened { format, size, logical_sector_size, id, map, structures } = opened;
    map.check(size, len)?;
    Ok(DiskReader { file, format, size, logical_sector_size, id, map, structures, file_len: len })
}

impl DiskReader {
    /// Format, subformat and block size.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Size of the virtual disk.
    pub fn size(&self) -> ByteSize {
        ByteSize::new(self.size)
    }

    /// Logical sector size in bytes: 512 or 4096.
    pub fn logical_sector_size(&self) -> u32 {
        self.logical_sector_size
    }

    /// The disk's identifier (VHDX page 83 id, VHD unique id); raw images have none.
    pub fn id(&self) -> Option<Guid> {
        self.id
    }

    /// Where the byte at `offset` of the disk is in the file; `None`: not in the file, reads as zero.
    pub fn file_offset(&self, offset: DiskOffset) -> Option<FileOffset> {
        if offset.0 >= self.size {
            return None;
        }
        self.map.piece(offset.0).0.map(FileOffset)
    }

    /// What each part of the file holds: ascending, all of the file, nothing twice.
    pub fn file_contents(&self) -> Vec<(Extent, FileContent)> {
        let structures = self.structures.iter().map(|(extent, name)| (*extent, FileContent::Structure(name)));
        let mut parts: Vec<(Extent, FileContent)> = structures.collect();
        match &self.map {
            Map::Linear(start) => {
                parts.push((Extent { start: *start, len: self.size }, FileContent::Disk(DiskOffset(0))));
            }
            Map::Blocks { block_size, unit, lead, table } => {
                // In the order of the file, a place once however often the table has it.
                let mut places: Vec<(u32, u32)> = table
                    .iter()
                    .zip(0..)
                    .filter(|(place, _)| **place != 0)
                    .map(|(place, block)| (*place, block))
                    .collect();
                places.sort_unstable();
                places.dedup_by_key(|(place, _)| *place);
                for (place, block) in places {
                    let (start, disk) = (u64::from(place) * unit, u64::from(block) * block_size);
                    if *lead > 0 {
                        parts.push((Extent { start, len: *lead }, FileContent::Structure("sector bitmaps")));
                    }
                    let len = self.size.saturating_sub(disk).min(*block_size);
                    parts.push((Extent { start: start + lead, len }, FileContent::Disk(DiskOffset(disk))));
                }
            }
        }
        parts.sort_by_key(|(extent, _)| (extent.start, extent.len));
        let (mut contents, mut at): (Vec<(Extent, FileContent)>, u64) = (Vec::new(), 0);
        for (extent, content) in parts {
            let end = extent.start.saturating_add(extent.len).min(self.file_len);
            let start = extent.start.max(at);
            if start >= end {
                continue;
            }
            if start > at {
                contents.push((Extent { start: at, len: start - at }, FileContent::Unused));
            }
            let content = match content {
                FileContent::Disk(DiskOffset(disk)) => FileContent::Disk(DiskOffset(disk + (start - extent.start))),
                other => other,
            };
            contents.push((Extent { start, len: end - start }, content));
            at = end;
        }
        if at < self.file_len {
            contents.push((Extent { start: at, len: self.file_len - at }, FileContent::Unused));
        }
        contents
    }

    /// The parts of the disk that are in the file, ascending, in disk bytes; everything else reads as zeros.
    pub fn allocated(&self) -> Vec<Extent> {
        let mut extents: Vec<Extent> = Vec::new();
        match &self.map {
            Map::Linear(_) => extents.push(Extent { start: 0, len: self.size }),
            Map::Blocks { block_size, table, .. } => {
                for (block, _) in (0..).zip(table).filter(|(_, place)| **place != 0) {
                    let start = block * block_size;
                    let len = (*block_size).min(self.size - start);
                    match extents.last_mut() {
                        Some(last) if last.end() == start => last.len += len,
                        _ => extents.push(Extent { start, len }),
                    }
                }
            }
        }
        extents
    }
}

impl ReadAt for DiskReader {
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while !buf.is_empty() {
            let (place, len) = self.map.piece(offset);
            let len = usize::try_from(len).map_or(buf.len(), |len| len.min(buf.len()));
            let (piece, rest) = buf.split_at_mut(len);
            match place {
                Some(place) => self.file.read_exact_at(piece, place)?,
                None => piece.fill(0),
            }
            (buf, offset) = (rest, offset + len as u64);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.size)
    }
}

impl Map {
    /// The file offset for a byte of the disk, and how many bytes from there on are in one piece.
    fn piece(&self, offset: u64) -> (Option<u64>, u64) {
        match self {
            Self::Linear(start) => (Some(start + offset), u64::MAX),
            Self::Blocks { block_size, unit, lead, table } => {
                let (block, inside) = (offset / block_size, offset % block_size);
                let place = u64::from(table[block as usize]);
                ((place != 0).then(|| place * unit + lead + inside), block_size - inside)
            }
        }
    }

    /// That the map covers the disk and points into the file.
    fn check(&self, disk_size: u64, file_len: u64) -> Result<()> {
        match self {
            Self::Linear(start) => match start.checked_add(disk_size) {
                Some(end) if end <= file_len => Ok(()),
                _ => Err(Error::corrupt(format!("the file ends before its disk of {} does", ByteSize::new(disk_size)))
                    .at(file_len)),
            },
            Self::Blocks { block_size, unit, lead, table } => {
                if (table.len() as u64) < disk_size.div_ceil(*block_size) {
                    return Err(Error::corrupt("the block allocation table is shorter than the disk"));
                }
                for (block, &place) in (0..).zip(table).filter(|(_, place)| **place != 0) {
                    let needed = disk_size.saturating_sub(block * block_size).min(*block_size);
                    let start = u64::from(place) * unit + lead;
                    if start + needed > file_len {
                        return Err(Error::corrupt(format!("block {block} lies behind the end of the file")).at(start));
                    }
                }
                Ok(())
            }
        }
    }
}

/// Reads `N` bytes at `offset`.
pub(super) fn read_array<const N: usize>(file: &dyn ReadAt, offset: u64) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    read_into(file, offset, &mut bytes)?;
    Ok(bytes)
}

/// Fills `bytes` from `offset`.
pub(super) fn read_into(file: &dyn ReadAt, offset: u64, bytes: &mut [u8]) -> Result<()> {
    file.read_exact_at(bytes, offset).map_err(|e| io_error(e).at(offset))
}

fn io_error(error: io::Error) -> Error {
    // The system takes an offset beyond i64 for a bad argument.
    if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput) {
        return Error::corrupt("the file ends too early");
    }
    Error::new(ErrorKind::Io, "cannot read").with_source(error)
}

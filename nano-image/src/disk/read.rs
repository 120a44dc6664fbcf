//! Reads disk images back.

use std::io;
use std::sync::Arc;

use super::foreign;
use super::formats::{self, Format};
use super::map::{Map, Opened, read_error};
use crate::content::{Extent, ReadAt};
use crate::error::Result;
use crate::types::{ByteSize, DiskOffset, FileOffset, Guid};

/// Bytes of a virtual disk, read from its image file.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{DiskReader, Format};
///
/// let disk: DiskReader = nano_image::open_disk(std::sync::Arc::new(vec![0; 1 << 20]))?;
/// assert_eq!(disk.format(), Format::RAW);
/// # Ok(())
/// # }
/// ```
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

/// Opens a disk image; what is in no other format is a raw image.
///
/// # Errors
/// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if the file breaks its format,
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for formats that are not read, differencing disks and a
/// VHDX with a log to replay.
pub fn open(file: Arc<dyn ReadAt>) -> Result<DiskReader> {
    let file_len = file.len().map_err(read_error)?;
    foreign::refuse(&*file)?;
    let row = formats::row_of(&*file, file_len)?;
    let Opened { subformat, block_size, size, logical_sector_size, id, map, structures } =
        (row.open)(&*file, file_len)?;
    map.check(size, file_len)?;
    let format = Format::found(row, subformat, block_size);
    Ok(DiskReader { file, format, size, logical_sector_size, id, map, structures, file_len })
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
            Map::Blocks { block_size, unit, lead, places } => {
                // In the order of the file, a place once however often the table has it.
                let mut places: Vec<(u64, u64)> = places.present().map(|(block, place)| (place, block)).collect();
                places.sort_unstable();
                places.dedup_by_key(|(place, _)| *place);
                for (place, block) in places {
                    let (start, disk) = (place * unit, block * block_size);
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
            Map::Blocks { block_size, places, .. } => {
                for (block, _) in places.present() {
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

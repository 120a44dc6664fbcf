//! Reads disk images back.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::foreign;
use super::formats::{self, Format};
use super::layer::{Layer, Packed, ParentLink};
use super::map::{Map, Opened, read_error};
use super::row::Row;
use crate::content::{Extent, ReadAt};
use crate::error::{Error, Result};
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
    content_id: Option<Guid>,
    /// Which bytes belong to this file; `None` if all do.
    layer: Option<Layer>,
    /// The image with the other bytes.
    parent: Option<Box<DiskReader>>,
    packed: Option<Box<dyn Packed>>,
    /// The compressed block that was read last.
    unpacked: Mutex<(Option<u64>, Vec<u8>)>,
    /// Its own path, then the paths of what it builds on.
    files: Vec<PathBuf>,
}

/// Where bytes of a disk are.
enum Source {
    File(u64),
    Zeros,
    Packed(u64),
    Parent,
}

/// What a part of an image file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileContent {
    /// A structure of the format.
    Structure(&'static str),
    /// Bytes of the disk, starting with this one.
    Disk(DiskOffset),
    /// Nothing that the format describes.
    Unused,
}

/// Opens a disk image. A file that has no other format is a raw image. For an image that builds on another one, use
/// [`open_path`](super::open_path).
///
/// # Errors
/// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if the file breaks its format,
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for formats that are not read, differencing disks and a
/// VHDX with a log to replay.
pub fn open(file: Arc<dyn ReadAt>) -> Result<DiskReader> {
    let reader = open_as(file, None)?;
    if reader.layer.is_some() {
        let title = reader.format.title();
        return Err(Error::unsupported(format!(
            "the {title} is a differencing disk: without its parent it cannot be read"
        ))
        .with_hint("open it by its path, with the parent in its place"));
    }
    Ok(reader)
}

/// Opens a disk image in the format of `row`, or in the one that its signature tells. Its parent may be missing.
pub(super) fn open_as(file: Arc<dyn ReadAt>, row: Option<&'static Row>) -> Result<DiskReader> {
    let file_len = file.len().map_err(read_error)?;
    if row.is_none() {
        foreign::refuse(&*file)?;
    }
    let row = row.map_or_else(|| formats::row_of(&*file, file_len), Ok)?;
    let Opened { subformat, block_size, size, logical_sector_size, id, map, structures, content_id, layer, packed } =
        (row.open)(&*file, file_len)?;
    map.check(size, file_len)?;
    let format = Format::found(row, subformat, block_size);
    let (parent, files, unpacked) = (None, Vec::new(), Mutex::default());
    Ok(DiskReader {
        file,
        format,
        size,
        logical_sector_size,
        id,
        map,
        structures,
        file_len,
        content_id,
        layer,
        parent,
        packed,
        unpacked,
        files,
    })
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

    /// Length of its file, without the files that it builds on.
    pub fn file_size(&self) -> ByteSize {
        ByteSize::new(self.file_len)
    }

    /// Logical sector size in bytes: 512 or 4096.
    pub fn logical_sector_size(&self) -> u32 {
        self.logical_sector_size
    }

    /// The disk's identifier (VHDX page 83 id, VHD unique id); `None` for raw images.
    pub fn id(&self) -> Option<Guid> {
        self.id
    }

    /// Where the byte at `offset` of the disk is in the file; `None` if it is not there (it is zero, compressed, or in
    /// the parent).
    pub fn file_offset(&self, offset: DiskOffset) -> Option<FileOffset> {
        if offset.0 >= self.size {
            return None;
        }
        match self.source(offset.0, 1) {
            Ok((Source::File(place), _)) => Some(FileOffset(place)),
            _ => None,
        }
    }

    /// The files from which it is read, if it was opened by its path: its own, then those that it builds on.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The identifier by which a differencing disk recognises it as its parent.
    pub(crate) fn content_id(&self) -> Option<Guid> {
        self.content_id
    }

    /// The parent, if it has one.
    pub(super) fn parent_link(&self) -> Option<&ParentLink> {
        self.layer.as_ref().map(|layer| &layer.parent)
    }

    /// Adds the path of the file.
    pub(super) fn add_file(&mut self, path: PathBuf) {
        self.files.push(path);
    }

    pub(super) fn set_parent(&mut self, parent: DiskReader) {
        self.files.extend(parent.files.iter().cloned());
        self.parent = Some(Box::new(parent));
    }

    /// Where the bytes from `offset` on are, and how many of `wanted` are contiguous there.
    fn source(&self, offset: u64, wanted: u64) -> io::Result<(Source, u64)> {
        let (place, len) = self.map.piece(offset);
        let len = len.min(wanted);
        let Map::Blocks { block_size, .. } = &self.map else {
            return Ok((place.map_or(Source::Zeros, Source::File), len));
        };
        let (block, inside) = (offset / block_size, offset % block_size);
        if self.packed.as_ref().is_some_and(|packed| packed.contains(block)) {
            return Ok((Source::Packed(block), len));
        }
        match (&self.layer, place) {
            (None, place) => Ok((place.map_or(Source::Zeros, Source::File), len)),
            (Some(layer), None) if layer.zeros.contains(&block) => Ok((Source::Zeros, len)),
            (Some(_), None) => Ok((Source::Parent, len)),
            (Some(layer), Some(place)) => {
                let (is_own, len) = layer.owns(&*self.file, block, inside, len)?;
                Ok((if is_own { Source::File(place) } else { Source::Parent }, len))
            }
        }
    }

    /// Bytes of a block; the whole disk if it is contiguous.
    fn block_size(&self) -> u64 {
        match &self.map {
            Map::Blocks { block_size, .. } => *block_size,
            Map::Linear(_) => self.size,
        }
    }

    /// Fills `buf` from byte `inside` of a compressed block.
    fn unpack(&self, block: u64, inside: u64, buf: &mut [u8]) -> io::Result<()> {
        let (Some(packed), Map::Blocks { block_size, .. }) = (&self.packed, &self.map) else { return Ok(()) };
        let mut last = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != Some(block) {
            last.0 = None;
            last.1.resize(*block_size as usize, 0);
            packed.unpack(&*self.file, block, &mut last.1)?;
            last.0 = Some(block);
        }
        buf.copy_from_slice(&last.1[inside as usize..][..buf.len()]);
        Ok(())
    }

    /// The parts of the file in ascending order. They cover the file without gaps or overlaps.
    pub fn file_contents(&self) -> Vec<(Extent, FileContent)> {
        let structures = self.structures.iter().map(|(extent, name)| (*extent, FileContent::Structure(name)));
        let mut parts: Vec<(Extent, FileContent)> = structures.collect();
        match &self.map {
            Map::Linear(start) => {
                parts.push((Extent { start: *start, len: self.size }, FileContent::Disk(DiskOffset(0))));
            }
            Map::Blocks { block_size, unit, lead, places } => {
                let step = (lead + block_size) / unit;
                for (block, place, count) in places.runs(step) {
                    // What lies before the data of each block parts it from the block before.
                    let (len, blocks) = if *lead > 0 { (1, count) } else { (count, 1) };
                    for number in 0..blocks {
                        let (start, disk) = ((place + number * step) * unit, (block + number) * block_size);
                        if *lead > 0 {
                            parts.push((Extent { start, len: *lead }, FileContent::Structure("sector bitmaps")));
                        }
                        let len = self.size.saturating_sub(disk).min(len * block_size);
                        parts.push((Extent { start: start + lead, len }, FileContent::Disk(DiskOffset(disk))));
                    }
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

    /// The parts of the disk that are in its files, in ascending order, in bytes of the disk. Everything else reads as
    /// zeros.
    pub fn allocated(&self) -> Vec<Extent> {
        let Map::Blocks { block_size, unit, lead, places } = &self.map else {
            return vec![Extent { start: 0, len: self.size }];
        };
        let packed = self.packed.iter().flat_map(|packed| packed.blocks()).map(|block| (block, 1));
        let own = places.runs((lead + block_size) / unit).map(|(block, _, count)| (block, count)).chain(packed).map(
            |(block, count)| {
                let start = block * block_size;
                Extent { start, len: (count * block_size).min(self.size - start) }
            },
        );
        let inherited = self.parent.iter().flat_map(|parent| parent.allocated());
        let inherited = inherited.filter(|extent| extent.start < self.size);
        let inherited = inherited.map(|extent| Extent { len: extent.len.min(self.size - extent.start), ..extent });
        let mut all: Vec<Extent> = own.chain(inherited).collect();
        all.sort_unstable();
        let mut extents: Vec<Extent> = Vec::new();
        for extent in all {
            match extents.last_mut() {
                Some(last) if extent.start <= last.end() => last.len = last.len.max(extent.end() - last.start),
                _ => extents.push(extent),
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
            let (source, len) = self.source(offset, buf.len() as u64)?;
            let len = usize::try_from(len).map_or(buf.len(), |len| len.min(buf.len()));
            let (piece, rest) = buf.split_at_mut(len);
            match (source, &self.parent) {
                (Source::File(place), _) => self.file.read_exact_at(piece, place)?,
                (Source::Zeros, _) => piece.fill(0),
                (Source::Packed(block), _) => self.unpack(block, offset % self.block_size(), piece)?,
                (Source::Parent, Some(parent)) => {
                    // A disk may be larger than its parent.
                    let held = parent.size.saturating_sub(offset).min(piece.len() as u64) as usize;
                    let (held, beyond) = piece.split_at_mut(held);
                    parent.read_exact_at(held, offset)?;
                    beyond.fill(0);
                }
                (Source::Parent, None) => return Err(io::Error::other("the parent of the disk is not open")),
            }
            (buf, offset) = (rest, offset + len as u64);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.size)
    }
}

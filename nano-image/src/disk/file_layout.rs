//! The layout of an image file, and the one pass that writes it.

use sha2::{Digest, Sha256};

use super::blocks::{BlockMap, joined};
use super::formats::Format;
use super::parent::{GRAIN, Parent};
use super::parts::{Packer, Parts, Structure};
use super::row::{DiskSize, Request};
use super::sink::{Output, ZEROS};
use super::subformat::Subformat;
use crate::content::Extent;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Identity;
use crate::types::{ByteSize, DiskOffset, FileOffset, FileTime, Guid};

/// The layout of an image file. It is complete before any data is read.
///
/// A lower disk offset always has a lower file offset, and everything that is not disk data (headers, block
/// allocation table, footers) is known, so the file is written from start to end.
#[derive(Clone, Debug)]
pub struct FileLayout {
    format: Format,
    used: Vec<Extent>,
    pub(super) parts: Parts,
}

impl FileLayout {
    /// Lays out a disk whose bytes are zero outside of `used` (ascending extents in bytes of the disk).
    ///
    /// Identifiers come from `identity`; `time` is the VHD's time stamp.
    ///
    /// # Errors
    /// [`ErrorKind::Recipe`] if the format has no such disk or block size, [`ErrorKind::TooSmall`] if `used` overlaps
    /// or is not on the disk.
    pub fn new(
        format: Format,
        disk: impl Into<DiskSize>,
        used: &[Extent],
        identity: &Identity,
        time: FileTime,
    ) -> Result<Self> {
        Self::over_parent(None, format, disk, used, identity, time)
    }

    /// Like [`new`](Self::new), for a [differencing](Format::differencing) disk: `used` are the pages of 4 KiB that
    /// differ from `parent`, or are not zero.
    ///
    /// # Errors
    /// As for `new`.
    pub fn over_parent(
        parent: Option<&Parent<'_>>,
        format: Format,
        disk: impl Into<DiskSize>,
        used: &[Extent],
        identity: &Identity,
        time: FileTime,
    ) -> Result<Self> {
        if parent.is_some() != (format.subformat() == Some(Subformat::Differencing)) {
            return Err(Error::recipe("a differencing disk needs a parent, and no other has one"));
        }
        let DiskSize { bytes: disk_size, sector_size } = disk.into();
        if disk_size.bytes() == 0 || !disk_size.bytes().is_multiple_of(u64::from(sector_size.max(1))) {
            let what = format!("a disk of {disk_size} is not a whole number of {sector_size}-byte sectors");
            return Err(Error::recipe(what));
        }
        let used = joined(used, disk_size)?;
        if parent.is_some()
            && used.iter().any(|e| e.start % GRAIN != 0 || (e.len % GRAIN != 0 && e.end() != disk_size.bytes()))
        {
            return Err(Error::recipe("a differencing disk holds whole pages of 4 KiB"));
        }
        let (subformat, block_size) = (None, 0);
        let request = Request { subformat, block_size, disk_size, sector_size, used: &used, identity, time, parent };
        let parts = format.parts(request)?;
        Ok(Self { format, used, parts })
    }

    /// Sets the file's name, which some formats contain. A name that they cannot contain changes nothing. The length of
    /// the file does not depend on it.
    pub fn name_file(&mut self, path: &std::path::Path) {
        let name = path.file_name().and_then(std::ffi::OsStr::to_str);
        let is_plain = |name: &&str| name.len() <= 255 && !name.contains(|c: char| c == '"' || c.is_control());
        let Some(wanted) = name.filter(is_plain) else { return };
        for (_, structure) in &mut self.parts.head {
            if let Structure::Named { name, .. } = structure {
                wanted.clone_into(name);
            }
        }
    }

    /// The format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Length of the file: exact, or if [blocks are compressed](Self::is_packed) the largest possible length.
    pub fn file_size(&self) -> ByteSize {
        ByteSize::new(self.parts.file_size)
    }

    /// Whether blocks are compressed, so that the length of the file is known only once it is written.
    pub fn is_packed(&self) -> bool {
        self.parts.packing.is_some()
    }

    /// The parts of the disk that may be non-zero, ascending, with gaps between them.
    pub fn used(&self) -> &[Extent] {
        &self.used
    }

    /// The identifier of the disk's data that the file will have, if the format has one.
    pub(crate) fn content_id(&self) -> Option<Guid> {
        self.parts.content_id
    }

    /// The byte of the disk that is at `offset` of the file; `None` if a structure of the format is there, or if blocks
    /// are compressed.
    pub fn disk_offset(&self, offset: FileOffset) -> Option<DiskOffset> {
        if self.is_packed() {
            return None;
        }
        let blocks = &self.parts.blocks;
        let stride = blocks.lead + blocks.block_size;
        let inside = offset.0.checked_sub(blocks.start)?;
        let rank = inside / stride;
        let run = blocks.runs[..blocks.runs.partition_point(|run| run.rank <= rank)].last()?;
        if rank >= run.rank + run.count {
            return None;
        }
        let inside = (inside % stride).checked_sub(blocks.lead)?;
        Some(DiskOffset((run.first + rank - run.rank) * blocks.block_size + inside))
    }

    /// Starts the pass: writes everything before the first data byte.
    pub fn writer<'a>(&'a self, output: &'a mut dyn Output) -> Result<Writer<'a>> {
        self.start(output, None)
    }

    /// Like [`writer`](Self::writer), and also makes the SHA-256 of the file.
    pub fn digesting_writer<'a>(&'a self, output: &'a mut dyn Output) -> Result<Writer<'a>> {
        self.start(output, Some(Sha256::new()))
    }

    fn start<'a>(&'a self, output: &'a mut dyn Output, digest: Option<Sha256>) -> Result<Writer<'a>> {
        let (position, leads, extent, run, disk, packed) = (0, 0, 0, 0, 0, None);
        let mut writer = Writer { file_layout: self, output, digest, position, leads, extent, run, disk, packed };
        for (offset, structure) in &self.parts.head {
            structure.write(*offset, &self.parts.blocks, &mut |offset, bytes| writer.put(offset, bytes))?;
        }
        if let Some(packing) = &self.parts.packing {
            let BlockMap { start, block_size, .. } = self.parts.blocks;
            writer.skip_to(start)?;
            writer.packed =
                Some(Packed { packer: packing.begin(start), number: None, block: vec![0; block_size as usize] });
        }
        Ok(writer)
    }
}

/// Writes a disk's bytes, in ascending order, into its image file.
pub struct Writer<'a> {
    file_layout: &'a FileLayout,
    output: &'a mut dyn Output,
    /// Digest of the bytes before `position`.
    digest: Option<Sha256>,
    /// File offset of the next byte of `output`.
    position: u64,
    /// Number of blocks whose leads are written.
    leads: u64,
    /// Index of the used extent of the last write.
    extent: usize,
    /// Index of the block run of the last write.
    run: usize,
    /// Disk offset after the last write.
    disk: u64,
    packed: Option<Packed>,
}

/// Facts about a file that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Length of the file.
    pub file_size: ByteSize,
    /// SHA-256 of the file, if it was asked for.
    pub digest: Option<[u8; 32]>,
}

/// The block that is collected for compression.
struct Packed {
    packer: Box<dyn Packer>,
    number: Option<u64>,
    block: Vec<u8>,
}

impl Writer<'_> {
    /// Writes the disk's bytes at `offset`. Calls must ascend and stay inside the extents of the layout. Bytes of those
    /// extents that are never written are zero.
    pub fn write_at(&mut self, offset: DiskOffset, bytes: &[u8]) -> Result<()> {
        let (mut start, mut rest) = (offset.0, bytes);
        self.check(start, rest.len() as u64)?;
        if self.packed.is_some() {
            self.disk = start + rest.len() as u64;
            return self.gather(start, rest);
        }
        let blocks = &self.file_layout.parts.blocks;
        while !rest.is_empty() {
            let block = start / blocks.block_size;
            while blocks.runs[self.run].first + blocks.runs[self.run].count <= block {
                self.run += 1;
            }
            let run = blocks.runs[self.run];
            // Without leads, the blocks of a run are contiguous in the file too.
            let end = if blocks.lead == 0 { run.first + run.count } else { block + 1 } * blocks.block_size;
            let (piece, after) = rest.split_at(rest.len().min((end - start) as usize));
            let rank = run.rank + (block - run.first);
            self.put_leads(rank + 1)?;
            let offset = blocks.offset_of_rank(rank) + blocks.lead + start % blocks.block_size;
            self.put(offset, piece)?;
            (start, rest) = (start + piece.len() as u64, after);
        }
        self.disk = start;
        Ok(())
    }

    /// Writes what follows the last data byte, finishes the output, and returns the facts about it.
    pub fn finish(mut self) -> Result<Written> {
        if let Some(mut packed) = self.packed.take() {
            self.put_packed(&mut packed)?;
            self.output.stand_for(None);
            self.put(self.position, packed.packer.finish()?)?;
            return self.end();
        }
        let parts = &self.file_layout.parts;
        self.put_leads(parts.blocks.count())?;
        for (offset, bytes) in &parts.tail {
            self.put(*offset, bytes)?;
        }
        self.skip_to(parts.file_size)?;
        self.end()
    }

    fn end(self) -> Result<Written> {
        self.output.finish()?;
        let digest = self.digest.map(|digest| digest.finalize().into());
        Ok(Written { file_size: ByteSize::new(self.position), digest })
    }

    /// Collects the disk's bytes at `start`, and writes blocks that are complete.
    fn gather(&mut self, mut start: u64, mut rest: &[u8]) -> Result<()> {
        let Some(mut packed) = self.packed.take() else { return Ok(()) };
        let block_size = packed.block.len() as u64;
        while !rest.is_empty() {
            let number = start / block_size;
            if packed.number != Some(number) {
                self.put_packed(&mut packed)?;
                packed.number = Some(number);
            }
            let inside = (start % block_size) as usize;
            let (piece, after) = rest.split_at(rest.len().min(packed.block.len() - inside));
            packed.block[inside..inside + piece.len()].copy_from_slice(piece);
            (start, rest) = (start + piece.len() as u64, after);
        }
        self.packed = Some(packed);
        Ok(())
    }

    /// Writes the collected block.
    fn put_packed(&mut self, packed: &mut Packed) -> Result<()> {
        if let Some(number) = packed.number.take() {
            let len = packed.block.len() as u64;
            let [before, block] = packed.packer.block(number, &packed.block)?;
            self.output.stand_for(None);
            self.put(self.position, before)?;
            self.output.stand_for(Some(Extent { start: number * len, len }));
            self.put(self.position, block)?;
            packed.block.fill(0);
        }
        Ok(())
    }

    /// Checks that writes ascend and lie in the layout.
    fn check(&mut self, start: u64, len: u64) -> Result<()> {
        if start < self.disk {
            let message = format!("a write to the disk goes back from byte {:#x} to {start:#x}", self.disk);
            return Err(Error::new(ErrorKind::Io, message));
        }
        let used = &self.file_layout.used;
        while used.get(self.extent).is_some_and(|extent| extent.end() <= start) {
            self.extent += 1;
        }
        let inside = used.get(self.extent).is_some_and(|e| e.start <= start && len <= e.end() - start);
        if len > 0 && !inside {
            let message = format!("a write of {len} bytes to byte {start:#x} of the disk is not in the layout");
            return Err(Error::new(ErrorKind::Io, message));
        }
        Ok(())
    }

    /// Writes the leads of all blocks before `rank` that have not been written yet.
    fn put_leads(&mut self, rank: u64) -> Result<()> {
        let parts = &self.file_layout.parts;
        if parts.blocks.lead > 0 {
            while self.leads < rank {
                self.put(parts.blocks.offset_of_rank(self.leads), parts.leads.of_rank(self.leads))?;
                self.leads += 1;
            }
        }
        Ok(())
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.skip_to(offset)?;
        self.output.write_all(bytes)?;
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn skip_to(&mut self, offset: u64) -> Result<()> {
        debug_assert!(offset >= self.position, "the layout ascends");
        if offset > self.position {
            self.output.skip(offset - self.position)?;
            if let Some(digest) = &mut self.digest {
                digest_zeros(digest, offset - self.position);
            }
            self.position = offset;
        }
        Ok(())
    }
}

fn digest_zeros(digest: &mut Sha256, mut count: u64) {
    while count > 0 {
        let piece = count.min(ZEROS.len() as u64);
        digest.update(&ZEROS[..piece as usize]);
        count -= piece;
    }
}

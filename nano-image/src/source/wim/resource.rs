//! Resources: where blobs lie in the parts of a WIM, and where the chunks of a resource are.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::format::{Compression, PipableChunkHeader, SolidHeader};
use crate::content::{ReadAt, StoredForm, WofAlgorithm};
use crate::error::{Error, Result};
use crate::types::FileOffset;

/// Uncompressed resources are read in pieces of this many bytes, as if they had chunks.
const RAW_CHUNK: u64 = 128 << 10;
/// Entries of a chunk table read at once.
const WINDOW: u64 = 512;

/// How the chunks of a compressed [`Resource`] are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceForm {
    /// A table of offsets, then the chunks: the form that a WOF-compressed file of NTFS also has.
    Plain,
    /// wimlib's form for pipes: a header before each chunk, the table at the end.
    Pipable,
    /// A table of lengths, then the chunks. The resource holds several blobs.
    Solid,
}

/// A stored range of bytes that holds one blob, or several if it is solid.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Which part of the WIM it lies in, from 0.
    pub part: u16,
    /// Its first byte in that part.
    pub offset: FileOffset,
    /// Its length in that part, in bytes.
    pub stored_len: u64,
    /// Length of its contents, in bytes.
    pub len: u64,
    /// How its chunks are compressed; [`Compression::None`] if it is not compressed.
    pub compression: Compression,
    /// How many bytes each chunk but the last decompresses to; 0 without compression.
    pub chunk_size: u32,
    /// How the chunks are stored.
    pub form: ResourceForm,
}

/// A file of the WIM.
pub(super) struct Part {
    pub path: PathBuf,
    pub data: Arc<dyn ReadAt>,
    /// Length in bytes.
    pub len: u64,
}

impl Part {
    pub fn read(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.data.read_exact_at(buf, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.corrupt("the WIM is truncated", offset),
            _ => Error::io("read the WIM", &self.path, error).at(offset),
        })
    }

    pub fn corrupt(&self, message: impl Into<String>, offset: u64) -> Error {
        Error::corrupt(message).with_path(&self.path).at(offset)
    }
}

/// Position and lengths of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Byte offset in the part.
    pub offset: u64,
    /// Stored length in bytes, 1..=`len`; a chunk is stored raw if it equals `len`.
    pub stored_len: u32,
    /// Uncompressed length in bytes.
    pub len: u32,
}

impl Resource {
    /// Refuses a resource that does not fit into its part, or that is too short for its chunks.
    pub(super) fn check(&self, part: &Part) -> Result<()> {
        let corrupt = |message: &str| Err(part.corrupt(message, self.offset.0));
        if self.offset.0.checked_add(self.stored_len).is_none_or(|end| end > part.len) {
            return Err(part
                .corrupt("a resource reaches beyond the end of the WIM: it is truncated", self.offset.0)
                .with_hint("copy the file again and compare its size and hash with the original"));
        }
        if self.compression == Compression::None {
            let same = self.stored_len == self.len;
            return if same { Ok(()) } else { corrupt("an uncompressed resource has two different lengths") };
        }
        let valid = self.chunk_size.is_power_of_two()
            && self.compression.chunk_shifts().contains(&self.chunk_size.trailing_zeros());
        if !valid {
            let message = format!("chunks of {} bytes with {:?} compression", self.chunk_size, self.compression);
            return Err(Error::unsupported(message).with_path(&part.path).at(self.offset.0));
        }
        // Every chunk has at least one byte, so the stored length bounds the length of the contents.
        let stored = self.table_len().and_then(|len| len.checked_add(self.overhead())?.checked_add(self.chunk_count()));
        if stored.is_none_or(|len| len > self.stored_len) {
            return corrupt("a compressed resource is too short for its chunks");
        }
        Ok(())
    }

    /// The form of the whole resource that can be copied into a WOF file byte for byte, if it has one.
    pub(super) fn stored_form(&self) -> Option<StoredForm> {
        let algorithms = match (self.form, self.compression) {
            (ResourceForm::Plain, Compression::Lzx) => &[WofAlgorithm::Lzx][..],
            (ResourceForm::Plain, Compression::Xpress) => {
                &[WofAlgorithm::Xpress4k, WofAlgorithm::Xpress8k, WofAlgorithm::Xpress16k]
            }
            _ => return None,
        };
        let algorithm = *algorithms.iter().find(|algorithm| algorithm.chunk_size() == self.chunk_size)?;
        Some(StoredForm { algorithm, len: self.stored_len })
    }

    /// The stored bytes as an uncompressed resource of their own.
    pub(super) fn as_stored(&self) -> Self {
        Self { len: self.stored_len, compression: Compression::None, chunk_size: 0, ..self.clone() }
    }

    /// How many bytes each chunk but the last holds; also for an uncompressed resource.
    pub(super) fn step(&self) -> u64 {
        if self.compression == Compression::None { RAW_CHUNK } else { u64::from(self.chunk_size) }
    }

    fn chunk_count(&self) -> u64 {
        self.len.div_ceil(self.step())
    }

    fn entry_len(&self) -> u64 {
        if self.form != ResourceForm::Solid && self.len > u64::from(u32::MAX) { 8 } else { 4 }
    }

    fn entry_count(&self) -> u64 {
        let chunks = self.chunk_count();
        if self.form == ResourceForm::Solid { chunks } else { chunks.saturating_sub(1) }
    }

    fn table_len(&self) -> Option<u64> {
        self.entry_count().checked_mul(self.entry_len())
    }

    /// Number of bytes that are neither table nor chunks.
    fn overhead(&self) -> u64 {
        match self.form {
            ResourceForm::Plain => 0,
            ResourceForm::Pipable => self.chunk_count().saturating_mul(size_of::<PipableChunkHeader>() as u64),
            ResourceForm::Solid => size_of::<SolidHeader>() as u64,
        }
    }

    fn table_offset(&self) -> u64 {
        let table_len = self.table_len().unwrap_or(0);
        match self.form {
            ResourceForm::Plain => self.offset.0,
            ResourceForm::Pipable => self.offset.0 + self.stored_len - table_len,
            ResourceForm::Solid => self.offset.0 + self.overhead(),
        }
    }
}

/// Reads chunk tables through a window, so that memory does not depend on what a table states.
///
/// The stored lengths of a solid resource must be added up. The sum up to the current chunk is kept, so chunks that are
/// asked for in ascending order cost one step each.
pub(super) struct ChunkTable {
    /// The resource whose table is in the window.
    resource: Option<usize>,
    /// The current chunk, and its offset from the first chunk.
    mark: Mark,
    window: Vec<u8>,
    /// First entry in the window.
    first: u64,
}

/// A place in a solid resource to return to.
#[derive(Clone, Copy, Default)]
pub(super) struct Mark {
    chunk: u64,
    position: u64,
}

impl ChunkTable {
    pub fn new() -> Self {
        Self { resource: None, mark: Mark::default(), window: Vec::new(), first: 0 }
    }

    /// The current place. It stays valid until a chunk of another resource is asked for.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Goes back to `mark` of the same resource.
    pub fn restore(&mut self, mark: Mark) {
        self.mark = mark;
    }

    /// Place and lengths of chunk `index` of `resource`, whose number is `number`.
    pub fn chunk(&mut self, number: usize, resource: &Resource, part: &Part, index: u64) -> Result<Chunk> {
        if self.resource != Some(number) {
            (self.resource, self.mark, self.first) = (Some(number), Mark::default(), 0);
            self.window.clear();
        }
        let step = resource.step();
        let len = step.min(resource.len - index * step) as u32;
        if resource.compression == Compression::None {
            return Ok(Chunk { offset: resource.offset.0 + index * step, stored_len: len, len });
        }
        let data_len = resource.stored_len - resource.table_len().unwrap_or(0) - resource.overhead();
        let (start, end) = if resource.form == ResourceForm::Solid {
            if index < self.mark.chunk {
                self.mark = Mark::default();
            }
            while self.mark.chunk < index {
                let stored_len = self.entry(resource, part, self.mark.chunk)?;
                // If the sum saturates, the check below fails.
                self.mark =
                    Mark { chunk: self.mark.chunk + 1, position: self.mark.position.saturating_add(stored_len) };
            }
            (self.mark.position, self.mark.position.saturating_add(self.entry(resource, part, index)?))
        } else {
            let start = if index == 0 { 0 } else { self.entry(resource, part, index - 1)? };
            let last = index + 1 == resource.chunk_count();
            (start, if last { data_len } else { self.entry(resource, part, index)? })
        };
        if start >= end || end > data_len || end - start > u64::from(len) {
            let entry = resource.table_offset() + index.min(resource.entry_count()) * resource.entry_len();
            return Err(part.corrupt("bad chunk table", entry));
        }
        let data_offset = match resource.form {
            ResourceForm::Plain | ResourceForm::Solid => resource.offset.0 + resource.stored_len - data_len,
            ResourceForm::Pipable => resource.offset.0 + (index + 1) * size_of::<PipableChunkHeader>() as u64,
        };
        Ok(Chunk { offset: data_offset + start, stored_len: (end - start) as u32, len })
    }

    fn entry(&mut self, resource: &Resource, part: &Part, index: u64) -> Result<u64> {
        let entry_len = resource.entry_len();
        let held = self.window.len() as u64 / entry_len;
        if index < self.first || index - self.first >= held {
            let count = WINDOW.min(resource.entry_count() - index);
            self.window.resize((count * entry_len) as usize, 0);
            self.first = index;
            if let Err(error) = part.read(&mut self.window, resource.table_offset() + index * entry_len) {
                self.window.clear();
                return Err(error);
            }
        }
        let at = ((index - self.first) * entry_len) as usize;
        let mut bytes = [0; 8];
        bytes[..entry_len as usize].copy_from_slice(&self.window[at..at + entry_len as usize]);
        Ok(u64::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(bytes: Vec<u8>) -> Part {
        Part { path: "test.wim".into(), len: bytes.len() as u64, data: Arc::new(bytes) }
    }

    fn resource(form: ResourceForm, stored_len: u64, len: u64) -> Resource {
        let compression = Compression::Xpress;
        Resource { part: 0, offset: FileOffset(0), stored_len, len, compression, chunk_size: 4096, form }
    }

    fn chunks(resource: &Resource, part: &Part) -> Vec<(u64, u32, u32)> {
        let mut table = ChunkTable::new();
        let chunk = |index| table.chunk(0, resource, part, index).map(|c| (c.offset, c.stored_len, c.len));
        (0..resource.chunk_count()).map(chunk).collect::<Result<_>>().unwrap()
    }

    #[test]
    fn each_form_finds_its_chunks() {
        let mut plain = vec![10, 0, 0, 0, 14, 0, 0, 0];
        plain.resize(25, 0);
        let chunks_of_three = [(8, 10, 4096), (18, 4, 4096), (22, 3, 8)];
        assert_eq!(chunks(&resource(ResourceForm::Plain, 25, 8200), &part(plain)), chunks_of_three);

        let mut pipable = vec![0; 3 * 4 + 17];
        pipable.extend([10, 0, 0, 0, 14, 0, 0, 0]);
        let found = chunks(&resource(ResourceForm::Pipable, pipable.len() as u64, 8200), &part(pipable));
        assert_eq!(found, [(4, 10, 4096), (18, 4, 4096), (26, 3, 8)]);

        let mut solid = vec![0; 16];
        solid.extend([10, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0]);
        solid.resize(28 + 17, 0);
        let found = chunks(&resource(ResourceForm::Solid, solid.len() as u64, 8200), &part(solid));
        assert_eq!(found, [(28, 10, 4096), (38, 4, 4096), (42, 3, 8)]);
    }

    #[test]
    fn tables_that_lie_are_refused() {
        for entries in [[14, 10], [0, 14], [10, 200]] {
            let mut bytes: Vec<u8> = entries.into_iter().flat_map(u32::to_le_bytes).collect();
            bytes.resize(25, 0);
            let (resource, part) = (resource(ResourceForm::Plain, 25, 8200), part(bytes));
            resource.check(&part).unwrap();
            let mut table = ChunkTable::new();
            assert!((0..3).any(|index| table.chunk(0, &resource, &part, index).is_err()), "{entries:?}");
        }
    }

    #[test]
    fn a_resource_must_have_room_for_its_chunks() {
        let part = part(vec![0; 100]);
        assert!(resource(ResourceForm::Plain, 101, 100).check(&part).is_err());
        assert!(resource(ResourceForm::Plain, 100, u64::MAX).check(&part).is_err());
        assert!(resource(ResourceForm::Solid, 100, 17 * 4096).check(&part).is_err());
        resource(ResourceForm::Solid, 100, 16 * 4096).check(&part).unwrap();
    }
}

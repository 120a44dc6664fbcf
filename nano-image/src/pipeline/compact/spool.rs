//! A scratch file with compressed files.

use std::path::Path;
use std::sync::Arc;

use crate::content::{Added, Content, Extent, Overlay, Scratch};
use crate::error::Result;

/// Writes the scratch file.
pub(super) struct Writer {
    scratch: Scratch,
    blobs: Vec<Extent>,
    /// End of the last finished blob, and where the current one is written.
    end: u64,
    position: u64,
}

impl Writer {
    /// A new file in `folder`.
    pub fn create(folder: &Path) -> Result<Self> {
        Ok(Self { scratch: Scratch::create(folder)?, blobs: Vec::new(), end: 0, position: 0 })
    }

    /// Begins a blob, leaving room for `table_len` bytes at its start.
    pub fn begin(&mut self, table_len: u64) {
        self.position = self.end + table_len;
    }

    /// Appends to the current blob.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.scratch.write_at(bytes, self.position)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Bytes of the current blob, including its table.
    pub fn len(&self) -> u64 {
        self.position - self.end
    }

    /// Completes the current blob with its table, and returns its number.
    pub fn complete(&mut self, table: &[u8]) -> Result<usize> {
        self.scratch.write_at(table, self.end)?;
        self.blobs.push(Extent { start: self.end, len: self.len() });
        self.end = self.position;
        Ok(self.blobs.len() - 1)
    }

    /// Adds all that was written to `overlay`, in the order of the numbers.
    pub fn finish(self, overlay: &mut Overlay) -> Result<Vec<Content>> {
        let scratch = Arc::new(self.scratch);
        self.blobs.into_iter().map(|extent| overlay.add(Added::Scratch(scratch.clone(), extent))).collect()
    }
}

//! A scratch file with compressed files, and the store that has them beside the source's blobs.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::content::{BlobId, BlobRequest, BlobSink, BlobStore, Extent, ReadAt, ReadOptions, StoredForm};
use crate::error::{Error, Result};

/// Bytes handed on at once.
const PIECE: u64 = 1 << 20;

/// A file that is removed when it is no longer used.
struct Scratch {
    path: PathBuf,
    file: File,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

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
        for attempt in 0..100 {
            let path = folder.join(format!(".nano-image-{}-{attempt}.scratch", std::process::id()));
            match File::options().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => {
                    return Ok(Self { scratch: Scratch { path, file }, blobs: Vec::new(), end: 0, position: 0 });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create a scratch file in", folder, error)),
            }
        }
        Err(Error::io("create a scratch file in", folder, std::io::ErrorKind::AlreadyExists.into()))
    }

    /// Begins a blob, leaving room for `table_len` bytes at its start.
    pub fn begin(&mut self, table_len: u64) -> Result<()> {
        self.seek(self.end + table_len)
    }

    /// Appends to the current blob.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.scratch.file.write_all(bytes).map_err(|error| self.error(error))?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Bytes of the current blob, its table included.
    pub fn len(&self) -> u64 {
        self.position - self.end
    }

    /// Completes the current blob with its table, and returns its number.
    pub fn complete(&mut self, table: &[u8]) -> Result<u32> {
        let (extent, end) = (Extent { start: self.end, len: self.len() }, self.position);
        self.seek(extent.start)?;
        self.append(table)?;
        self.blobs.push(extent);
        (self.end, self.position) = (end, end);
        Ok(self.blobs.len() as u32 - 1)
    }

    /// The store that has the blobs of `inner`, and those written here from the number `first` on.
    pub fn finish(self, inner: Arc<dyn BlobStore>, first: u32) -> Result<Store> {
        let scratch = &self.scratch;
        scratch.file.set_len(self.end).map_err(|error| self.error(error))?;
        Ok(Store { inner, first, scratch: self.scratch, blobs: self.blobs })
    }

    fn seek(&mut self, position: u64) -> Result<()> {
        self.position = position;
        self.scratch.file.seek(SeekFrom::Start(position)).map_err(|error| self.error(error)).map(|_| ())
    }

    fn error(&self, error: std::io::Error) -> Error {
        Error::io("write the scratch file", &self.scratch.path, error)
    }
}

/// The blobs of a store, and after them those of the scratch file.
pub(super) struct Store {
    inner: Arc<dyn BlobStore>,
    first: u32,
    scratch: Scratch,
    blobs: Vec<Extent>,
}

impl Store {
    /// Reads blobs of the scratch file; `skipped` requests came before.
    fn read_own(&self, requests: impl Iterator<Item = BlobId>, skipped: usize, sink: &mut BlobSink<'_>) -> Result<()> {
        let mut buffer = Vec::new();
        for (index, id) in requests.enumerate() {
            let extent = self.extent(id)?;
            let mut done = 0;
            while done < extent.len {
                let count = (extent.len - done).min(PIECE);
                buffer.resize(count as usize, 0);
                let read = self.scratch.file.read_exact_at(&mut buffer, extent.start + done);
                read.map_err(|error| Error::io("read the scratch file", &self.scratch.path, error))?;
                sink(skipped + index, &buffer)?;
                done += count;
            }
        }
        Ok(())
    }

    fn extent(&self, id: BlobId) -> Result<Extent> {
        let extent = self.blobs.get((id.0 - self.first) as usize);
        extent.copied().ok_or_else(|| Error::not_found(format!("there is no compressed file number {}", id.0)))
    }
}

impl BlobStore for Store {
    fn read_blobs(&self, requests: &[BlobId], jobs: usize, sink: &mut BlobSink<'_>) -> Result<()> {
        let split = requests.partition_point(|id| id.0 < self.first);
        self.inner.read_blobs(&requests[..split], jobs, sink)?;
        self.read_own(requests[split..].iter().copied(), split, sink)
    }

    fn read_blob(&self, id: BlobId, limit: u64) -> Result<Vec<u8>> {
        if id.0 < self.first {
            return self.inner.read_blob(id, limit);
        }
        if self.extent(id)?.len > limit {
            return Err(Error::unsupported(format!("a compressed file has more than {limit} bytes")));
        }
        let mut bytes = Vec::new();
        self.read_own([id].into_iter(), 0, &mut |_, piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn stored_form(&self, id: BlobId) -> Option<StoredForm> {
        if id.0 < self.first { self.inner.stored_form(id) } else { None }
    }

    fn read_forms(&self, requests: &[BlobRequest], options: ReadOptions, sink: &mut BlobSink<'_>) -> Result<()> {
        let split = requests.partition_point(|request| request.id.0 < self.first);
        self.inner.read_forms(&requests[..split], options, sink)?;
        self.read_own(requests[split..].iter().map(|request| request.id), split, sink)
    }
}

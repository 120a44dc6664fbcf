//! Where an image goes: ascending bytes and runs of zeros.

use std::fs::File;
use std::io::{self, BufWriter, IoSlice, Seek, SeekFrom, Write};
use std::path::PathBuf;

use crate::error::{Error, Result};

/// Zeros are compared, hashed and written in pieces of this. The program holds them, so they are few.
pub(super) static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Bytes are gathered until one write has at least this size.
const WRITE_SIZE: usize = 1 << 20;

/// Zeros below this length are written rather than skipped: a hole would cost a seek and split the write.
const MIN_HOLE: u64 = (64 << 10) + 1;

/// Receives a file from its first byte to its last.
pub trait Output {
    /// The next bytes.
    fn write_all(&mut self, bytes: &[u8]) -> Result<()>;

    /// The next `zeros` bytes are zero.
    fn skip(&mut self, zeros: u64) -> Result<()>;

    /// There are no more bytes; those buffered are written.
    fn finish(&mut self) -> Result<()>;
}

/// A file, sparse where the file system can: runs of zeros become holes.
///
/// Small writes are gathered into writes of 1 MiB and more; large ones are not copied.
#[derive(Debug)]
pub struct FileOutput {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
    /// File offset of the first byte in `buffer`.
    position: u64,
    /// Longer runs of zeros become holes.
    min_hole: u64,
}

impl FileOutput {
    /// Writes to `file`, whose content is dropped first; `path` names it in errors.
    pub fn new(file: File, path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        // Holes are zero only in a file that had no bytes there.
        file.set_len(0).map_err(|e| Error::io("empty", &path, e))?;
        Ok(Self { file, path, buffer: Vec::with_capacity(WRITE_SIZE), position: 0, min_hole: MIN_HOLE })
    }

    /// Leaves runs of `len` zeros and more out, for files that hold little else.
    pub fn min_hole(mut self, len: u64) -> Self {
        self.min_hole = len;
        self
    }

    /// Creates or empties the file at `path`.
    #[cfg(any(test, feature = "internals"))]
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let file = File::create(&path).map_err(|e| Error::io("create", &path, e))?;
        Self::new(file, path)
    }

    /// Writes the buffer, then `bytes`, with as few calls as the system takes.
    fn flush_with(&mut self, bytes: &[u8]) -> Result<()> {
        let mut slices = [IoSlice::new(&self.buffer), IoSlice::new(bytes)];
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match self.file.write_vectored(rest) {
                Ok(0) => return Err(Error::io("write", &self.path, io::ErrorKind::WriteZero.into()).at(self.position)),
                Ok(n) => {
                    IoSlice::advance_slices(&mut rest, n);
                    self.position += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io("write", &self.path, e).at(self.position)),
            }
        }
        self.buffer.clear();
        Ok(())
    }
}

impl Output for FileOutput {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() < WRITE_SIZE {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.flush_with(bytes)
    }

    fn skip(&mut self, zeros: u64) -> Result<()> {
        if zeros < self.min_hole && !self.buffer.is_empty() {
            self.buffer.resize(self.buffer.len() + zeros as usize, 0);
            return Ok(());
        }
        self.flush_with(&[])?;
        self.position += zeros;
        self.file.seek(SeekFrom::Start(self.position)).map_err(|e| Error::io("seek", &self.path, e))?;
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.flush_with(&[])?;
        // A hole at the end has no write that would extend the file.
        self.file.set_len(self.position).map_err(|e| Error::io("extend", &self.path, e))
    }
}

/// Any stream: a pipe, a compressor, a hash. Zeros are written out.
#[derive(Debug)]
pub struct StreamOutput<W: Write> {
    stream: BufWriter<W>,
    name: PathBuf,
}

impl<W: Write> StreamOutput<W> {
    /// Writes to `stream`, which errors call `name`.
    pub fn new(stream: W, name: impl Into<PathBuf>) -> Self {
        Self { stream: BufWriter::with_capacity(WRITE_SIZE, stream), name: name.into() }
    }
}

impl<W: Write> Output for StreamOutput<W> {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).map_err(|e| Error::io("write", &self.name, e))
    }

    fn skip(&mut self, mut zeros: u64) -> Result<()> {
        while zeros > 0 {
            let n = zeros.min(ZEROS.len() as u64);
            self.write_all(&ZEROS[..n as usize])?;
            zeros -= n;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.stream.flush().map_err(|e| Error::io("write", &self.name, e))
    }
}

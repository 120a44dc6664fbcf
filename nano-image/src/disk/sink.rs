//! Outputs for an image: ascending bytes and runs of zeros.

use std::fs::File;
use std::io::{self, BufWriter, IoSlice, Seek, SeekFrom, Write};
use std::path::PathBuf;

use crate::content::Extent;
use crate::error::{Error, Result};

/// Zeros are compared, hashed and written in pieces of this size. The array is part of the program, so it is small.
pub(super) static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Bytes are collected until one write has at least this size.
const WRITE_SIZE: usize = 1 << 20;

/// Fewer zeros than this are written instead of skipped: a hole would cost a seek and split the write.
const MIN_HOLE: u64 = (64 << 10) + 1;

/// Receives a file from its first byte to its last.
pub trait Output {
    /// The next bytes.
    fn write_all(&mut self, bytes: &[u8]) -> Result<()>;

    /// Says that the next bytes are compressed and stand for these bytes of the disk; `None` if they are not.
    fn stand_for(&mut self, _disk: Option<Extent>) {}

    /// The next `zeros` bytes are zero.
    fn skip(&mut self, zeros: u64) -> Result<()>;

    /// There are no more bytes. Writes what is still buffered.
    fn finish(&mut self) -> Result<()>;
}

/// A file, sparse where the file system can: runs of zeros become holes.
///
/// Small writes are collected into writes of 1 MiB and more; large ones are not copied.
#[derive(Debug)]
pub struct FileOutput {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
    /// File offset of the first byte in `buffer`.
    position: u64,
    /// The shortest run of zeros that becomes a hole.
    min_hole: u64,
}

impl FileOutput {
    /// Writes to `file`, whose contents are dropped first. Errors call it `path`.
    pub fn new(file: File, path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        // Holes are zeros only in a file that had no bytes there before.
        file.set_len(0).map_err(|e| Error::io("empty", &path, e))?;
        Ok(Self { file, path, buffer: Vec::with_capacity(WRITE_SIZE), position: 0, min_hole: MIN_HOLE })
    }

    /// Makes holes only of runs of at least `len` zeros, for files that hold little else.
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

    /// Writes the buffer, then `bytes`, with as few system calls as possible.
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
        // No write extends the file to a hole at its end.
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

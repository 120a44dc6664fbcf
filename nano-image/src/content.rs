//! Bytes of known length, produced later, and where they come from.

use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::error::Result;

/// Random access to the bytes of an input.
pub trait ReadAt: Send + Sync {
    /// Fills `buf` from the bytes at `offset`; a short input is [`io::ErrorKind::UnexpectedEof`].
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether there are no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

impl ReadAt for File {
    #[cfg(unix)]
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buf, offset)
    }

    #[cfg(windows)]
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(self, buf, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => (buf, offset) = (&mut buf[n..], offset + n as u64),
            }
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = start.checked_add(buf.len()).and_then(|end| self.get(start..end));
        buf.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

/// A part of something larger, e.g. a partition of a disk. Nothing outside of it can be read.
pub struct Window<'a> {
    whole: &'a dyn ReadAt,
    extent: Extent,
}

impl<'a> Window<'a> {
    /// The bytes of `extent` in `whole`; what lies behind the end of `whole` is missing.
    pub fn new(whole: &'a dyn ReadAt, extent: Extent) -> Self {
        Self { whole, extent }
    }
}

impl ReadAt for Window<'_> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|&end| end <= self.extent.len);
        let start = end.and_then(|_| self.extent.start.checked_add(offset));
        self.whole.read_exact_at(buf, start.ok_or(io::ErrorKind::UnexpectedEof)?)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.whole.len()?.saturating_sub(self.extent.start).min(self.extent.len))
    }
}

/// Number of a blob in its [`BlobStore`]. Ascending numbers are the order in which the store reads best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub u32);

/// The bytes of a stream.
#[derive(Clone, Debug)]
pub enum Content {
    /// Bytes in memory: generated files, hives, reparse data.
    Bytes(Arc<[u8]>),
    /// A blob of the source, `len` bytes long.
    Blob {
        /// Which blob.
        id: BlobId,
        /// Its length in bytes; never 0 (an empty stream is `Bytes`).
        len: u64,
    },
}

impl Content {
    /// No bytes.
    pub fn empty() -> Self {
        Self::Bytes(Arc::from([]))
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blob { len, .. } => *len,
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// Receives a piece of a blob: the index of the request, and the bytes that follow those already received.
pub type BlobSink<'a> = dyn FnMut(usize, &[u8]) -> Result<()> + 'a;

/// A source of blobs, read in one pass.
pub trait BlobStore: Send + Sync {
    /// Reads `requests` (ascending, repeats allowed), checks every blob's digest and hands the bytes to `sink` in
    /// request order, each blob in pieces from its start to its end.
    ///
    /// Up to `jobs` threads decompress; the pieces and their order do not depend on it. Memory is bounded by `jobs`
    /// and the store's chunk size. An error of `sink` ends the read and is returned. A digest that does not match is
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) and comes after the blob's pieces.
    fn read_blobs(&self, requests: &[BlobId], jobs: usize, sink: &mut BlobSink<'_>) -> Result<()>;

    /// Reads one whole blob of at most `limit` bytes.
    fn read_blob(&self, id: BlobId, limit: u64) -> Result<Vec<u8>>;
}

/// A run of bytes in some address space: disk, volume or file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent {
    /// First byte.
    pub start: u64,
    /// Number of bytes.
    pub len: u64,
}

impl Extent {
    /// The byte after the last.
    pub fn end(self) -> u64 {
        self.start + self.len
    }
}

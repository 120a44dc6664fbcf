//! Bytes whose length is known before they are produced, and where they come from.

mod files;
mod identity;
mod new_file;
mod overlay;
mod scratch;
mod sparse;

use std::fs::File;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
pub use files::{InputFile, InputFiles, InputKind};
pub use identity::{FileIdentity, UsedFile, keep_apart};
pub use new_file::{NewFile, NewFileOptions, NewFiles};
pub(crate) use overlay::Added;
pub use overlay::Overlay;
pub(crate) use scratch::Scratch;
pub(crate) use sparse::allow_holes;

/// Random access to the bytes of an input.
///
/// ```
/// use nano_image::ReadAt;
///
/// let mut two = [0; 2];
/// vec![1, 2, 3].read_exact_at(&mut two, 1).unwrap();
/// assert_eq!(two, [2, 3]);
/// ```
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
        let metadata = self.metadata()?;
        // A disk device of the host reports no length, but its end can be found.
        #[cfg(unix)]
        if std::os::unix::fs::FileTypeExt::is_block_device(&metadata.file_type()) {
            let mut device = self;
            return io::Seek::seek(&mut device, io::SeekFrom::End(0));
        }
        Ok(metadata.len())
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
pub struct Window {
    whole: Arc<dyn ReadAt>,
    extent: Extent,
}

impl Window {
    /// The bytes of `extent` in `whole`. Bytes behind the end of `whole` are missing.
    pub fn new(whole: Arc<dyn ReadAt>, extent: Extent) -> Self {
        Self { whole, extent }
    }
}

impl ReadAt for Window {
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
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// The form in which a blob is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlobForm {
    /// Its contents.
    Contents,
    /// The bytes in which its store keeps it, see [`BlobStore::stored_form`].
    Stored,
}

/// A blob in one of its forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlobRequest {
    /// Which blob.
    pub id: BlobId,
    /// In which form.
    pub form: BlobForm,
}

/// How the Windows Overlay Filter (WOF) compresses a file: `FILE_PROVIDER_COMPRESSION_*` of wofapi.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WofAlgorithm {
    /// XPRESS with Huffman codes, chunks of 4 KiB.
    Xpress4k = 0,
    /// LZX, chunks of 32 KiB.
    Lzx = 1,
    /// XPRESS, chunks of 8 KiB.
    Xpress8k = 2,
    /// XPRESS, chunks of 16 KiB.
    Xpress16k = 3,
}

impl WofAlgorithm {
    /// How many bytes each chunk but the last holds.
    pub fn chunk_size(self) -> u32 {
        match self {
            Self::Xpress4k => 0x1000,
            Self::Lzx => 0x8000,
            Self::Xpress8k => 0x2000,
            Self::Xpress16k => 0x4000,
        }
    }
}

/// A compressed form of a blob that the store holds and that can be copied into a WOF file byte for byte: a table of
/// chunk offsets, then the chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredForm {
    /// How its chunks are compressed.
    pub algorithm: WofAlgorithm,
    /// Its length in bytes; never 0.
    pub len: u64,
}

/// Whether the digests of a source are checked while it is read.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{Format, Recipe, SourceCheck, Sources};
///
/// let plan = Recipe::image("1").build()?.plan(&Sources::wim("nano.wim"), &())?;
/// let layout = plan.layout(&())?.source_check(SourceCheck::None);
/// layout.write_file("nano.vhdx", Format::VHDX, &())?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SourceCheck {
    /// All are checked. What is copied in its compressed form is decompressed for the check.
    #[default]
    Full,
    /// None is checked: the source is trusted.
    None,
}

/// How a store is read. The options do not change the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// Threads that decompress, at most.
    pub jobs: usize,
    /// Whether digests are checked.
    pub check: SourceCheck,
}

impl From<usize> for ReadOptions {
    /// This number of jobs, and a full check.
    fn from(jobs: usize) -> Self {
        Self { jobs, check: SourceCheck::Full }
    }
}

/// Receives a piece of a blob: the index of the request, and the bytes that follow those already received.
pub type BlobSink<'a> = dyn FnMut(usize, &[u8]) -> Result<()> + 'a;

/// Requests for the contents of `blobs`.
pub(crate) fn contents_of(blobs: &[BlobId]) -> Vec<BlobRequest> {
    blobs.iter().map(|id| BlobRequest { id: *id, form: BlobForm::Contents }).collect()
}

/// The whole blob `id` of `store`. The store says that it has `len` bytes.
pub(crate) fn read_whole(store: &dyn BlobStore, id: BlobId, len: u64) -> Result<Vec<u8>> {
    // Memory beyond this is taken only as the bytes arrive.
    const RESERVE: u64 = 16 << 20;
    let mut bytes = Vec::with_capacity(len.min(RESERVE) as usize);
    store.read_blobs(&[id], 1, &mut |_, piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(bytes)
}

/// A source of blobs, read in one pass.
pub trait BlobStore: Send + Sync {
    /// Reads `requests` (ascending, repeats allowed), checks every blob's digest and hands the bytes to `sink` in
    /// request order, each blob in pieces from its start to its end.
    ///
    /// Up to `jobs` threads decompress; pieces and order are the same for any number. Memory is bounded by `jobs` and
    /// the store's chunk size. An error of `sink` ends the read and is returned. A digest that does not match is
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), and is reported after the blob's pieces were sent.
    fn read_blobs(&self, requests: &[BlobId], jobs: usize, sink: &mut BlobSink<'_>) -> Result<()>;

    /// Reads one whole blob of at most `limit` bytes.
    fn read_blob(&self, id: BlobId, limit: u64) -> Result<Vec<u8>>;

    /// The form that [`BlobForm::Stored`] delivers; `None` if the store has the blob in no such form.
    fn stored_form(&self, _id: BlobId) -> Option<StoredForm> {
        None
    }

    /// Like [`read_blobs`](Self::read_blobs), for requests of both forms, in ascending order.
    ///
    /// # Errors
    /// Also [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a blob without a stored form.
    fn read_forms(&self, requests: &[BlobRequest], options: ReadOptions, sink: &mut BlobSink<'_>) -> Result<()> {
        if requests.iter().any(|request| request.form == BlobForm::Stored) {
            return Err(Error::unsupported("this source has no compressed form of its files to copy"));
        }
        let ids: Vec<BlobId> = requests.iter().map(|request| request.id).collect();
        self.read_blobs(&ids, options.jobs, sink)
    }
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

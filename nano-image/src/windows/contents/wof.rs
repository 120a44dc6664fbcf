//! Reads files that the Windows Overlay Filter (WOF, Compact OS) compresses.

use std::io;
use std::sync::Mutex;

use zerocopy::FromBytes;

use crate::content::{ReadAt, WofAlgorithm};
use crate::error::{Error, Result};
use crate::source::wim::WofDecompressor;
use crate::volume::ntfs::format::{WofReparsePoint, attribute_type};
use crate::volume::ntfs::{NtfsFile, NtfsReader, NtfsStream};

/// `IO_REPARSE_TAG_WOF`
pub const TAG: u32 = 0x8000_0017;
/// Name of the stream with the compressed form.
pub const STREAM: &str = "WofCompressedData";
/// `WOF_PROVIDER_FILE`
const PROVIDER_FILE: u32 = 2;

/// How WOF compresses a file; `None` if it does not.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported) for a file whose contents are in a WIM (WIMBoot), or with an unknown
/// algorithm.
pub fn algorithm(file: &NtfsFile) -> Result<Option<WofAlgorithm>> {
    if file.reparse_tag() != Some(TAG) {
        return Ok(None);
    }
    let point = file.attributes().find(|attribute| attribute.kind() == attribute_type::REPARSE_POINT);
    let point = point.and_then(|point| WofReparsePoint::read_from_prefix(point.resident()?).ok());
    let (point, _) =
        point.ok_or_else(|| Error::corrupt("the reparse point of the overlay filter (WOF) is too short"))?;
    if point.provider.get() != PROVIDER_FILE {
        return Err(Error::unsupported("the file's contents are in a WIM beside the image (WIMBoot)"));
    }
    match point.algorithm.get() {
        0 => Ok(Some(WofAlgorithm::Xpress4k)),
        1 => Ok(Some(WofAlgorithm::Lzx)),
        2 => Ok(Some(WofAlgorithm::Xpress8k)),
        3 => Ok(Some(WofAlgorithm::Xpress16k)),
        other => Err(Error::unsupported(format!("the overlay filter's (WOF) algorithm {other} is not known"))),
    }
}

/// Name of an algorithm in compact.exe.
pub fn name(algorithm: WofAlgorithm) -> &'static str {
    match algorithm {
        WofAlgorithm::Xpress4k => "XPRESS4K",
        WofAlgorithm::Lzx => "LZX",
        WofAlgorithm::Xpress8k => "XPRESS8K",
        WofAlgorithm::Xpress16k => "XPRESS16K",
    }
}

/// The contents of a compressed file. It holds two chunks in memory.
pub struct WofStream<'a> {
    stored: NtfsStream<'a>,
    size: u64,
    chunk_size: u64,
    chunks: u64,
    /// Bytes of an entry of the table of chunks.
    entry_size: u64,
    state: Mutex<State>,
}

struct State {
    decompressor: WofDecompressor,
    /// Number of the chunk in `bytes`.
    number: Option<u64>,
    bytes: Vec<u8>,
    stored: Vec<u8>,
}

impl<'a> WofStream<'a> {
    /// The contents of `file`, which `algorithm` compresses.
    pub fn open(reader: &NtfsReader<'a>, file: &NtfsFile, algorithm: WofAlgorithm) -> Result<Self> {
        let stored = reader.stream(file, STREAM)?;
        let stored = stored.ok_or_else(|| Error::corrupt(format!("the compressed file has no stream `{STREAM}`")))?;
        let size = file.streams().find(|(name, _)| name.units().is_empty()).map_or(0, |(_, size)| size);
        let chunk_size = u64::from(algorithm.chunk_size());
        let chunks = size.div_ceil(chunk_size);
        let entry_size = if size > u64::from(u32::MAX) { 8 } else { 4 };
        let decompressor = WofDecompressor::new(algorithm)?;
        let state = State { decompressor, number: None, bytes: Vec::new(), stored: Vec::new() };
        Ok(Self { stored, size, chunk_size, chunks, entry_size, state: Mutex::new(state) })
    }

    /// Position of a chunk in the stored form. The table has the offsets of all chunks except the first.
    fn place(&self, number: u64) -> io::Result<(u64, u64)> {
        let table = (self.chunks - 1) * self.entry_size;
        let offset = |number: u64| match number.checked_sub(1) {
            None => Ok(0),
            Some(index) => {
                let mut entry = [0; 8];
                self.stored.read_exact_at(&mut entry[..self.entry_size as usize], index * self.entry_size)?;
                Ok::<u64, io::Error>(u64::from_le_bytes(entry))
            }
        };
        let len = self.stored.size().checked_sub(table);
        let start = offset(number)?;
        let end = if number + 1 == self.chunks { len } else { Some(offset(number + 1)?) };
        let fits = |end: &u64| *end > start && end - start <= self.chunk_size && len.is_some_and(|len| *end <= len);
        let end = end.filter(fits).ok_or_else(|| damaged(number))?;
        Ok((table + start, end - start))
    }

    fn load(&self, state: &mut State, number: u64) -> io::Result<()> {
        if state.number == Some(number) {
            return Ok(());
        }
        state.number = None;
        let (start, len) = self.place(number)?;
        state.stored.resize(len as usize, 0);
        self.stored.read_exact_at(&mut state.stored, start)?;
        state.bytes.resize((self.size - number * self.chunk_size).min(self.chunk_size) as usize, 0);
        if !state.decompressor.decompress(&state.stored, &mut state.bytes) {
            return Err(damaged(number));
        }
        state.number = Some(number);
        Ok(())
    }
}

fn damaged(number: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("chunk {number} of the compressed file is damaged"))
}

impl ReadAt for WofStream<'_> {
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        while !buf.is_empty() {
            self.load(&mut state, offset / self.chunk_size)?;
            let inside = &state.bytes[(offset % self.chunk_size) as usize..];
            let (piece, rest) = buf.split_at_mut(buf.len().min(inside.len()));
            piece.copy_from_slice(&inside[..piece.len()]);
            (offset, buf) = (offset + piece.len() as u64, rest);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.size)
    }
}

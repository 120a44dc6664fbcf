//! Decompresses the blocks of a folder.

use flate2::{Decompress, FlushDecompress, Status};

use super::Method;
use super::format::{MAX_BLOCK, MSZIP_MAGIC};
use crate::error::{Error, Result};
use crate::source::lzx::FolderDecoder;

/// A decompressor whose state carries over from block to block of a folder.
pub(super) enum Codec {
    Stored(Vec<u8>),
    Mszip(Mszip),
    Lzx(Box<FolderDecoder>),
}

impl Codec {
    pub fn new(method: Method) -> Result<Self> {
        Ok(match method {
            Method::Stored => Self::Stored(Vec::new()),
            Method::Mszip => Self::Mszip(Mszip::new()),
            Method::Lzx { window_bits } => Self::Lzx(Box::new(FolderDecoder::new(window_bits))),
            Method::Quantum => return Err(Error::unsupported("a folder compressed with Quantum")),
        })
    }

    /// Decompresses `block` to `len` bytes (at most [`MAX_BLOCK`]). It may change `block`. After an error, nothing more
    /// of the folder can be read.
    pub fn decompress(&mut self, block: &mut Vec<u8>, len: usize, is_last: bool) -> Result<&[u8], String> {
        match self {
            Self::Stored(bytes) if block.len() == len => {
                std::mem::swap(bytes, block);
                Ok(bytes)
            }
            Self::Stored(_) => Err(format!("a stored block of {} bytes whose header says {len}", block.len())),
            Self::Mszip(mszip) => mszip.decompress(block, len),
            Self::Lzx(lzx) => lzx.decompress(block, len, is_last),
        }
    }
}

/// MSZIP: each block is a deflate stream that may refer to the 32 KiB before it.
pub(super) struct Mszip {
    inflate: Decompress,
    /// The last [`MAX_BLOCK`] bytes before the block, then the block, then one byte by which too much output is
    /// noticed.
    buffer: Vec<u8>,
    history: usize,
}

impl Mszip {
    fn new() -> Self {
        Self { inflate: Decompress::new(false), buffer: vec![0; 2 * MAX_BLOCK + 1], history: 0 }
    }

    fn decompress(&mut self, block: &[u8], len: usize) -> Result<&[u8], String> {
        let Some(deflated) = block.strip_prefix(&MSZIP_MAGIC) else {
            return Err("an MSZIP block that does not begin with `CK`".into());
        };
        let (history, out) = self.buffer.split_at_mut(MAX_BLOCK);
        self.inflate.reset(false);
        if self.history > 0 {
            let dictionary = &history[MAX_BLOCK - self.history..];
            self.inflate.set_dictionary(dictionary).map_err(|error| format!("MSZIP: {error}"))?;
        }
        let status = self.inflate.decompress(deflated, &mut out[..=len], FlushDecompress::Finish);
        let made = self.inflate.total_out() as usize;
        match status {
            Ok(Status::StreamEnd) if made == len => {}
            Err(error) => return Err(format!("an MSZIP block is damaged after {made} of {len} bytes: {error}")),
            Ok(_) => return Err(format!("an MSZIP block does not decompress to the {len} bytes that it should")),
        }
        // The last MAX_BLOCK bytes become the history.
        self.buffer.copy_within(len..len + MAX_BLOCK, 0);
        self.history = (self.history + len).min(MAX_BLOCK);
        Ok(&self.buffer[MAX_BLOCK - len..MAX_BLOCK])
    }
}

//! Decompresses the blocks of a folder.

use std::panic::{AssertUnwindSafe, catch_unwind};

use flate2::{Decompress, FlushDecompress, Status};
use lzxd::{Lzxd, WindowSize};

use super::Method;
use super::format::{MAX_BLOCK, MSZIP_MAGIC};
use crate::error::{Error, Result};

/// State that goes on from block to block of a folder.
pub(super) enum Codec {
    Stored(Vec<u8>),
    Mszip(Mszip),
    Lzx(Box<Lzx>),
}

impl Codec {
    pub fn new(method: Method) -> Result<Self> {
        Ok(match method {
            Method::Stored => Self::Stored(Vec::new()),
            Method::Mszip => Self::Mszip(Mszip::new()),
            Method::Lzx { window_bits } => Self::Lzx(Box::new(Lzx::new(window_bits))),
            Method::Quantum => return Err(Error::unsupported("a folder compressed with Quantum")),
        })
    }

    /// What `block` decompresses to: `len` bytes (at most [`MAX_BLOCK`]). `block` may be changed. After an error the
    /// folder cannot be read on.
    pub fn decompress(&mut self, block: &mut Vec<u8>, len: usize, is_last: bool) -> Result<&[u8], String> {
        match self {
            Self::Stored(bytes) if block.len() == len => {
                std::mem::swap(bytes, block);
                Ok(bytes)
            }
            Self::Stored(_) => Err(format!("a stored block of {} bytes that is said to be {len}", block.len())),
            Self::Mszip(mszip) => mszip.decompress(block, len),
            Self::Lzx(lzx) => lzx.decompress(block, len, is_last),
        }
    }
}

/// MSZIP: each block is a deflate stream that may refer to the 32 KiB before it.
pub(super) struct Mszip {
    inflate: Decompress,
    /// The last [`MAX_BLOCK`] bytes before the block, then the block, then a byte for one too many.
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
            Err(error) => return Err(format!("an MSZIP block is broken after {made} of {len} bytes: {error}")),
            Ok(_) => return Err(format!("an MSZIP block does not decompress to the {len} bytes that it should")),
        }
        // The last MAX_BLOCK bytes become the history.
        self.buffer.copy_within(len..len + MAX_BLOCK, 0);
        self.history = (self.history + len).min(MAX_BLOCK);
        Ok(&self.buffer[MAX_BLOCK - len..MAX_BLOCK])
    }
}

/// LZX.
///
/// `lzxd` 0.2.7 has two faults that matter here, and each is dealt with:
/// - It leaves calls to the first byte of the folder as they are. So E8 translation is done here, and switched off
///   there: it is announced by the first bit of the stream, and the 32 bits behind it are the size of the "file".
///   Bits are counted from the highest of 16-bit words, so without the first two words, and with the first bit of
///   the third as 0, the stream is the same without translation.
/// - A match of a length that only a broken stream has overflows an addition, which panics in debug builds.
pub(super) struct Lzx {
    decoder: Lzxd,
    /// Bytes decompressed so far.
    position: u64,
    /// Size of the "file" of E8 translation.
    translation_size: Option<i32>,
    bytes: Vec<u8>,
}

/// E8 translation stops here.
const TRANSLATION_END: u64 = 1 << 30;

impl Lzx {
    fn new(window_bits: u8) -> Self {
        let window = match window_bits {
            15 => WindowSize::KB32,
            16 => WindowSize::KB64,
            17 => WindowSize::KB128,
            18 => WindowSize::KB256,
            19 => WindowSize::KB512,
            20 => WindowSize::MB1,
            _ => WindowSize::MB2,
        };
        Self { decoder: Lzxd::new(window), position: 0, translation_size: None, bytes: Vec::new() }
    }

    fn decompress(&mut self, block: &mut Vec<u8>, len: usize, is_last: bool) -> Result<&[u8], String> {
        if len != MAX_BLOCK && !is_last {
            return Err(format!("an LZX block of {len} bytes that is not the last of its folder"));
        }
        if self.position == 0 {
            self.read_translation(block)?;
        }
        run(&mut self.decoder, block, len, &mut self.bytes)?;
        if let Some(size) = self.translation_size.filter(|_| self.position < TRANSLATION_END) {
            translate_back(&mut self.bytes, self.position, size);
        }
        self.position += len as u64;
        Ok(&self.bytes)
    }

    /// Reads the announcement of E8 translation and takes it off the first block.
    fn read_translation(&mut self, block: &mut Vec<u8>) -> Result<(), String> {
        let word = |index: usize| Some(u16::from_le_bytes([*block.get(index)?, *block.get(index + 1)?]));
        let short = || "an LZX block that ends within its header".to_owned();
        let first = word(0).ok_or_else(short)?;
        if first & 0x8000 != 0 {
            let (second, third) = (word(2).ok_or_else(short)?, word(4).ok_or_else(short)?);
            let bits = u64::from(first) << 32 | u64::from(second) << 16 | u64::from(third);
            self.translation_size = Some((bits >> 15) as u32 as i32);
            block.drain(..4);
            block[1] &= 0x7F;
        }
        Ok(())
    }
}

/// Lets `decoder` decompress `block` into `bytes`.
fn run(decoder: &mut Lzxd, block: &[u8], len: usize, bytes: &mut Vec<u8>) -> Result<(), String> {
    bytes.clear();
    // The decoder is not used again after an error.
    let result = catch_unwind(AssertUnwindSafe(|| {
        decoder.decompress_next(block, len).map(|made| bytes.extend_from_slice(made)).map_err(|error| error.to_string())
    }));
    result.unwrap_or_else(|_| Err("a match that is too far away".into())).map_err(|error| format!("LZX: {error}"))
}

/// Makes the operands of x86 calls (E8) relative again, in `bytes` that begin at `position` of the folder.
fn translate_back(bytes: &mut [u8], position: u64, size: i32) {
    let mut at = 0;
    // Calls in the last 10 bytes are left alone.
    while at + 10 < bytes.len() {
        if bytes[at] != 0xE8 {
            at += 1;
            continue;
        }
        let here = (position + at as u64) as i32; // below TRANSLATION_END
        let operand = bytes[at + 1..at + 5].first_chunk_mut().expect("4 bytes");
        let absolute = i32::from_le_bytes(*operand);
        if absolute >= -here && absolute < size {
            let relative = if absolute >= 0 { absolute - here } else { absolute.wrapping_add(size) };
            *operand = relative.to_le_bytes();
        }
        at += 5;
    }
}

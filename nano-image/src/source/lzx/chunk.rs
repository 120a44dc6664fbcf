//! Chunks of WIMs: each is LZX on its own.

use super::bits::{Bits, CUT, PADDING, swap_words};
use super::calls;
use super::copy::SLACK;
use super::decode::{TOO_LONG, decode};
use super::header::{Codes, EMPTY, Kind, read_kind, stored_offsets};

/// The file size that is assumed when calls are translated: in WIMs it is the same for every file.
const CALLS_SIZE: i32 = 12_000_000;
/// Bytes of a block if its header says so with one bit.
const BLOCK: usize = 32768;

/// Decompresses chunks one by one.
pub struct ChunkDecoder {
    window_bits: u8,
    codes: Codes,
    swapped: Vec<u8>,
    buffer: Vec<u8>,
}

impl ChunkDecoder {
    /// A decoder for chunks of up to 2^`window_bits` bytes, 15 to 21.
    pub fn new(window_bits: u8) -> Self {
        let len = 1 << window_bits;
        let (swapped, buffer) = (vec![0; len + PADDING], vec![0; len + SLACK]);
        Self { window_bits, codes: Codes::new(window_bits), swapped, buffer }
    }

    /// Fills `output` from `chunk`, which must be shorter.
    pub fn decompress(&mut self, chunk: &[u8], output: &mut [u8]) -> Result<(), &'static str> {
        if chunk.len() >= output.len() || output.len() > 1 << self.window_bits {
            return Err("LZX: a chunk is too long");
        }
        swap_words(chunk, &mut self.swapped);
        let swapped = &self.swapped[..chunk.len() / 2 * 2 + PADDING];
        let mut bits = Bits::new(swapped, 0);
        self.codes.reset();
        let mut recent = [1; 3];
        let mut at = 0;
        while at < output.len() {
            let (kind, len) = read_block(&mut bits, self.window_bits)?;
            if len > output.len() - at {
                return Err(TOO_LONG);
            }
            if kind == Kind::Stored {
                let (offsets, from) = stored_offsets(bits.position(), chunk)?;
                if offsets.contains(&0) {
                    return Err("LZX: an offset of 0");
                }
                recent = offsets;
                self.buffer[at..at + len].copy_from_slice(chunk.get(from..from + len).ok_or(CUT)?);
                bits = Bits::new(swapped, (from + len).next_multiple_of(2).min(swapped.len()));
            } else {
                self.codes.read(&mut bits, kind)?;
                decode(&mut bits, &self.codes, &mut recent, &mut self.buffer, at, at + len)?;
            }
            at += len;
        }
        output.copy_from_slice(&self.buffer[..output.len()]);
        calls::restore(output, 0, CALLS_SIZE);
        Ok(())
    }
}

/// Reads the kind and length of a block.
fn read_block(bits: &mut Bits<'_>, window_bits: u8) -> Result<(Kind, usize), &'static str> {
    let kind = read_kind(bits)?;
    let len = match bits.take(1)? {
        1 => BLOCK,
        _ if window_bits == 15 => bits.take(16)? as usize,
        _ => bits.take(24)? as usize,
    };
    if len == 0 { Err(EMPTY) } else { Ok((kind, len)) }
}

//! Folders of cabinets: frames of 32 KiB with one continuing state.

use super::bits::{Bits, CUT, PADDING, swap_words};
use super::calls;
use super::copy::SLACK;
use super::decode::decode;
use super::header::{Codes, EMPTY, Kind, read_kind, stored_offsets};

/// Bytes of each frame but the last.
pub const FRAME: usize = 32768;
/// Calls (E8) are not translated from here on.
const TRANSLATION_END: u64 = 1 << 30;

/// State that carries over from frame to frame of a folder.
pub struct FolderDecoder {
    codes: Codes,
    window: usize,
    /// The last decompressed bytes, at least a window of them. They end at `at`.
    buffer: Vec<u8>,
    at: usize,
    /// Bytes decompressed so far.
    position: u64,
    /// File size for the translation of calls (E8).
    translation_size: Option<i32>,
    kind: Kind,
    /// Bytes left in the block.
    left: usize,
    /// Whether a byte of padding, after a stored block of odd length, is still to come.
    is_padded: bool,
    recent: [u32; 3],
    swapped: Vec<u8>,
    made: Vec<u8>,
}

impl FolderDecoder {
    /// A decoder with a window of 2^`window_bits` bytes, 15 to 21.
    pub fn new(window_bits: u8) -> Self {
        let window = 1 << window_bits;
        Self {
            codes: Codes::new(window_bits),
            window,
            buffer: vec![0; 2 * window + SLACK],
            at: 0,
            position: 0,
            translation_size: None,
            kind: Kind::Verbatim,
            left: 0,
            is_padded: false,
            recent: [1; 3],
            swapped: Vec::new(),
            made: Vec::new(),
        }
    }

    /// Decompresses the frame `bytes` to `len` bytes. `len` is [`FRAME`] unless the frame `is_last`. After an error,
    /// nothing more of the folder can be read.
    pub fn decompress(&mut self, bytes: &[u8], len: usize, is_last: bool) -> Result<&[u8], String> {
        if len > FRAME || (len != FRAME && !is_last) {
            return Err(format!("an LZX block of {len} bytes that is not the last of its folder"));
        }
        if self.at + len > 2 * self.window {
            self.buffer.copy_within(self.at - self.window..self.at, 0);
            self.at = self.window;
        }
        self.decode(bytes, len)?;
        self.made.clear();
        self.made.extend_from_slice(&self.buffer[self.at - len..self.at]);
        if let Some(size) = self.translation_size.filter(|_| self.position < TRANSLATION_END) {
            calls::restore(&mut self.made, self.position as usize, size);
        }
        self.position += len as u64;
        Ok(&self.made)
    }

    fn decode(&mut self, bytes: &[u8], len: usize) -> Result<(), &'static str> {
        let mut input = Input::new(bytes, std::mem::take(&mut self.swapped));
        let result = self.decode_blocks(&mut input, self.at + len);
        self.swapped = input.swapped;
        result
    }

    fn decode_blocks(&mut self, input: &mut Input<'_>, end: usize) -> Result<(), &'static str> {
        if self.position == 0 {
            let mut bits = input.bits()?;
            if bits.take(1)? == 1 {
                self.translation_size = Some(bits.take(32)? as i32);
            }
            input.at_bit = bits.position();
        }
        while self.at < end {
            if self.left == 0 {
                self.begin_block(input)?;
            }
            let limit = self.left.min(end - self.at);
            if self.kind == Kind::Stored {
                let from = input.at_byte();
                let bytes = input.bytes.get(from..from + limit).ok_or(CUT)?;
                self.buffer[self.at..self.at + limit].copy_from_slice(bytes);
                input.go_to(from + limit);
            } else {
                let mut bits = input.bits()?;
                decode(&mut bits, &self.codes, &mut self.recent, &mut self.buffer, self.at, self.at + limit)?;
                input.at_bit = bits.position();
            }
            self.at += limit;
            self.left -= limit;
        }
        // If a block ends here, its padding is in this frame if there is room for it.
        self.is_padded &= self.left > 0 || input.at_byte() >= input.bytes.len();
        Ok(())
    }

    /// Reads the header of a block.
    fn begin_block(&mut self, input: &mut Input<'_>) -> Result<(), &'static str> {
        if std::mem::take(&mut self.is_padded) {
            input.go_to(input.at_byte() + 1);
        }
        let mut bits = input.bits()?;
        self.kind = read_kind(&mut bits)?;
        self.left = bits.take(24)? as usize;
        if self.left == 0 {
            return Err(EMPTY);
        }
        if self.kind == Kind::Stored {
            self.is_padded = self.left % 2 == 1;
            let (offsets, behind) = stored_offsets(bits.position(), &input.bytes[input.start..])?;
            // Offsets that reach beyond the window cannot be used.
            self.recent = offsets.map(|offset| if offset as usize <= self.window { offset } else { 0 });
            input.go_to(input.start + behind);
            return Ok(());
        }
        self.codes.read(&mut bits, self.kind)?;
        input.at_bit = bits.position();
        Ok(())
    }
}

/// The bytes of a frame, and the position in them.
struct Input<'a> {
    bytes: &'a [u8],
    /// `bytes` from `start` on, with the bytes of words swapped.
    swapped: Vec<u8>,
    start: usize,
    /// The next bit, from `start` on.
    at_bit: usize,
}

impl<'a> Input<'a> {
    /// Starts reading; `swapped` is a buffer to be reused.
    fn new(bytes: &'a [u8], swapped: Vec<u8>) -> Self {
        let mut input = Self { bytes, swapped, start: 0, at_bit: 0 };
        input.swap();
        input
    }

    fn swap(&mut self) {
        let rest = &self.bytes[self.start..];
        self.swapped.resize(rest.len() / 2 * 2 + PADDING, 0);
        swap_words(rest, &mut self.swapped);
    }

    fn bits(&self) -> Result<Bits<'_>, &'static str> {
        Bits::at_bit(&self.swapped, self.at_bit)
    }

    /// Index of the byte whose first bit is the next bit.
    fn at_byte(&self) -> usize {
        self.start + self.at_bit / 8
    }

    /// Moves to byte `at`. Only behind a stored block can words begin at an odd byte, so this happens at most once in a
    /// frame.
    fn go_to(&mut self, at: usize) {
        let at = at.min(self.bytes.len());
        if (at - self.start).is_multiple_of(2) {
            self.at_bit = 8 * (at - self.start);
        } else {
            (self.start, self.at_bit) = (at, 0);
            self.swap();
        }
    }
}

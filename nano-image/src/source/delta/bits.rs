//! A stream of bits (§2 of [`format`](super::format)).

use crate::error::{Error, Result};

/// The most bits that one load of eight bytes gives, whatever bit it begins at.
const LOAD: u32 = 57;

/// Reads bits from a stream, the lowest of each byte first.
#[derive(Clone)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Position of the stream's first byte in the file.
    offset: u64,
    /// Index of the next bit, and the end.
    at: usize,
    end: usize,
}

impl<'a> Bits<'a> {
    /// Starts reading a stream whose first byte is at `offset` of the file.
    pub fn new(bytes: &'a [u8], offset: u64) -> Result<Self> {
        let mut bits = Self { bytes, offset, at: 0, end: bytes.len() * 8 };
        bits.end -= bits.take(3)? as usize;
        Ok(bits)
    }

    /// The error `message` at the next bit.
    pub fn corrupt(&self, message: impl Into<String>) -> Error {
        Error::corrupt(message).at(self.place())
    }

    /// Position in the file of the byte with the next bit.
    pub fn place(&self) -> u64 {
        self.offset + self.at as u64 / 8
    }

    /// How many bits are left.
    pub fn left(&self) -> usize {
        self.end.saturating_sub(self.at)
    }

    /// The next bits, at least [`LOAD`] of them. Behind the end they are zeros.
    #[inline]
    pub fn peek(&self) -> u64 {
        let start = self.at / 8;
        let word = match self.bytes.get(start..start + 8) {
            Some(bytes) => u64::from_le_bytes(bytes.try_into().expect("eight bytes")),
            None => {
                let mut word = [0; 8];
                let rest = self.bytes.get(start..).unwrap_or_default();
                word[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(word)
            }
        };
        word >> (self.at % 8)
    }

    /// Skips `count` bits.
    #[inline]
    pub fn skip(&mut self, count: u32) -> Result<()> {
        if self.left() < count as usize {
            return Err(self.corrupt("the delta is truncated"));
        }
        self.at += count as usize;
        Ok(())
    }

    /// A number of `count` bits, at most 64.
    #[inline]
    pub fn take(&mut self, count: u32) -> Result<u64> {
        if count > LOAD {
            let low = self.take(32)?;
            return Ok(low | self.take(count - 32)? << 32);
        }
        let word = self.peek();
        self.skip(count)?;
        Ok(word & ((1 << count) - 1))
    }

    /// One bit.
    pub fn flag(&mut self) -> Result<bool> {
        Ok(self.take(1)? == 1)
    }

    /// Counts the 0 bits before the next 1 bit, and takes that too. `max` is less than [`LOAD`].
    pub fn zeros(&mut self, max: u32) -> Result<u32> {
        let count = self.peek().trailing_zeros();
        if count > max && self.left() > max as usize {
            return Err(self.corrupt("a number of the delta is too large"));
        }
        self.skip(count.saturating_add(1))?;
        Ok(count)
    }

    /// Reads a number in the variable-length form, of up to 64 bits.
    pub fn number(&mut self) -> Result<i64> {
        let digits = self.zeros(15)?;
        Ok(self.take(4 * (digits + 1))? as i64)
    }

    /// Reads a size or count: a number that must not be negative.
    pub fn size(&mut self) -> Result<u64> {
        let place = self.place();
        let number = self.number()?;
        u64::try_from(number).map_err(|_| Error::corrupt(format!("a size of {number}")).at(place))
    }

    /// Reads a buffer: its bytes, and where it begins in the file.
    pub fn buffer(&mut self) -> Result<Buffer<'a>> {
        let len = self.size()?;
        let start = self.at.div_ceil(8);
        let end = usize::try_from(len).ok().and_then(|len| start.checked_add(len));
        let bytes = end.and_then(|end| self.bytes.get(start..end));
        let bytes = bytes.ok_or_else(|| self.corrupt("the delta is truncated"))?;
        self.at = (start + bytes.len()) * 8;
        Ok(Buffer { bytes, offset: self.offset + start as u64 })
    }

    /// Checks that no bits are left.
    pub fn finish(&self) -> Result<()> {
        match self.left() {
            0 => Ok(()),
            left => Err(self.corrupt(format!("{left} bits of the delta are left over"))),
        }
    }
}

/// A buffer inside a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffer<'a> {
    pub bytes: &'a [u8],
    /// Position of its first byte in the file.
    pub offset: u64,
}

impl<'a> Buffer<'a> {
    /// Reads the buffer as a stream.
    pub fn bits(self) -> Result<Bits<'a>> {
        Bits::new(self.bytes, self.offset)
    }
}

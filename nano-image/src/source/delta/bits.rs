//! A stream of bits.

use crate::error::{Error, Result};

/// Takes bits from a stream, the lowest of each byte first.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Offset in the file of the first byte.
    offset: u64,
    /// Next bit, and the one after the last.
    at: usize,
    end: usize,
}

impl<'a> Bits<'a> {
    /// Begins a stream, whose first byte is at `offset` of the file.
    pub fn new(bytes: &'a [u8], offset: u64) -> Result<Self> {
        let mut bits = Self { bytes, offset, at: 0, end: bytes.len() * 8 };
        bits.end -= bits.take(3)? as usize;
        Ok(bits)
    }

    /// The error `message` at the next bit.
    pub fn corrupt(&self, message: impl Into<String>) -> Error {
        Error::corrupt(message).at(self.place())
    }

    /// Offset in the file of the next bit's byte.
    pub fn place(&self) -> u64 {
        self.offset + self.at as u64 / 8
    }

    /// A number of `count` bits, at most 32.
    pub fn take(&mut self, count: u32) -> Result<u64> {
        if self.end.saturating_sub(self.at) < count as usize {
            return Err(self.corrupt("the delta is truncated"));
        }
        let mut word = [0; 8];
        let bytes = &self.bytes[self.at / 8..];
        let len = bytes.len().min(8);
        word[..len].copy_from_slice(&bytes[..len]);
        let value = u64::from_le_bytes(word) >> (self.at % 8) & ((1 << count) - 1);
        self.at += count as usize;
        Ok(value)
    }

    /// One bit.
    pub fn flag(&mut self) -> Result<bool> {
        Ok(self.take(1)? == 1)
    }

    /// How many bits 0 there are before the next bit 1, which is taken, too.
    pub fn zeros(&mut self, max: u32) -> Result<u32> {
        for count in 0..=max {
            if self.flag()? {
                return Ok(count);
            }
        }
        Err(self.corrupt("a number of the delta is too large"))
    }

    /// A number of any length up to 32 bits.
    pub fn number(&mut self) -> Result<u64> {
        let digits = self.zeros(7)?;
        self.take(4 * (digits + 1))
    }

    /// The bytes of a buffer, and where it begins in the file.
    pub fn buffer(&mut self) -> Result<(&'a [u8], u64)> {
        let len = self.number()? as usize;
        let start = self.at.div_ceil(8);
        let bytes = start.checked_add(len).and_then(|end| self.bytes.get(start..end));
        let bytes = bytes.ok_or_else(|| self.corrupt("the delta is truncated"))?;
        self.at = (start + len) * 8;
        Ok((bytes, self.offset + start as u64))
    }
}

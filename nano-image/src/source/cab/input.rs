//! Buffered reading of a cabinet from front to back.

use std::path::Path;

use zerocopy::{FromBytes, IntoBytes};

use crate::content::ReadAt;
use crate::error::{Error, Result};

/// Bytes read at once.
const BUFFER: usize = 128 << 10;

/// A position in a cabinet that advances as bytes are taken.
pub(super) struct Input<'a> {
    data: &'a dyn ReadAt,
    path: &'a Path,
    /// Offset in `data` of the first byte of `buffer`.
    offset: u64,
    end: u64,
    buffer: Vec<u8>,
    /// How many bytes of `buffer` have been taken.
    taken: usize,
}

impl<'a> Input<'a> {
    /// Begins at byte `offset` of `data` and ends at `end`.
    pub fn new(data: &'a dyn ReadAt, path: &'a Path, offset: u64, end: u64) -> Self {
        Self { data, path, offset, end, buffer: Vec::new(), taken: 0 }
    }

    /// Offset in the file of the next byte.
    pub fn position(&self) -> u64 {
        self.offset + self.taken as u64
    }

    /// The error `message` at byte `offset`.
    pub fn corrupt(&self, message: impl Into<String>, offset: u64) -> Error {
        Error::corrupt(message).at(offset).with_path(self.path)
    }

    /// Takes `len` bytes. Errors call them `what`.
    pub fn take(&mut self, len: usize, what: &str) -> Result<&[u8]> {
        if self.fill(len)? < len {
            return Err(self.corrupt(format!("the cabinet ends within {what}: it is truncated"), self.position()));
        }
        self.taken += len;
        Ok(&self.buffer[self.taken - len..self.taken])
    }

    /// Takes a structure.
    pub fn take_struct<T: FromBytes + IntoBytes>(&mut self, what: &str) -> Result<T> {
        let bytes = self.take(size_of::<T>(), what)?;
        Ok(T::read_from_bytes(bytes).expect("bytes of this size"))
    }

    /// Takes a string of at most `max` bytes and the 0 behind it.
    pub fn take_string(&mut self, max: usize, what: &str) -> Result<Vec<u8>> {
        let known = self.fill(max + 1)?.min(max + 1);
        let bytes = &self.buffer[self.taken..self.taken + known];
        let Some(len) = bytes.iter().position(|byte| *byte == 0) else {
            let message = match known > max {
                true => format!("{what} has more than {max} bytes"),
                false => format!("the cabinet ends within {what}: it is truncated"),
            };
            return Err(self.corrupt(message, self.position()));
        };
        let string = bytes[..len].to_vec();
        self.taken += len + 1;
        Ok(string)
    }

    /// Fills the buffer until it has `len` bytes or the input ends; returns how many there are.
    fn fill(&mut self, len: usize) -> Result<usize> {
        let known = self.buffer.len() - self.taken;
        if known < len {
            self.buffer.drain(..self.taken);
            self.offset += self.taken as u64;
            self.taken = 0;
            let from = self.offset + known as u64;
            let more = self.end.saturating_sub(from).min((BUFFER.max(len) - known) as u64) as usize;
            self.buffer.resize(known + more, 0);
            let io = |error| Error::io("read the cabinet", self.path, error);
            self.data.read_exact_at(&mut self.buffer[known..], from).map_err(io)?;
        }
        Ok(self.buffer.len() - self.taken)
    }
}

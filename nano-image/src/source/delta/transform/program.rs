//! The basis, a program, while its addresses are changed.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::source::delta::pe::{Pe, read_u16, read_u32, read_u64};
use crate::source::delta::preprocess::Preprocess;
use crate::source::delta::rift::Rift;

/// Marks of a byte: a step wrote it, or it is not code; and it lies in a table, where no number is guessed to be an
/// address.
pub(super) const OWNED: u8 = 1;
pub(super) const BOUNDARY: u8 = 2;

/// The basis while it is changed. Offsets are positions in the file.
pub(super) struct Program<'a> {
    pub bytes: Vec<u8>,
    /// [`OWNED`] and [`BOUNDARY`] of each byte.
    pub marks: Vec<u8>,
    /// The headers before any change.
    pub pe: Pe,
    /// Maps addresses of the basis to those of the result.
    pub addresses: &'a Rift,
    /// Image base of the result.
    pub image_base: u64,
    /// How many bytes may still be looked at.
    work: usize,
}

impl<'a> Program<'a> {
    pub fn new(basis: &[u8], pe: Pe, result: &'a Preprocess) -> Self {
        Self {
            bytes: basis.to_vec(),
            marks: vec![0; basis.len()],
            pe,
            addresses: &result.addresses,
            image_base: result.image_base,
            work: basis.len().saturating_mul(16),
        }
    }

    /// Counts `count` bytes as looked at. This ends the work on tables that lead to the same bytes again and again.
    pub fn work(&mut self, count: usize) -> Result<()> {
        let left = self.work.checked_sub(count);
        self.work = left.ok_or_else(|| Error::corrupt("the tables of the basis overlap without end"))?;
        Ok(())
    }

    /// The address in the result of `rva`.
    pub fn map(&self, rva: u32) -> u32 {
        self.addresses.map_address(rva)
    }

    /// Offset of address `rva`.
    pub fn offset(&self, rva: u32) -> Option<usize> {
        self.pe.offset(rva)
    }

    pub fn u16(&self, at: usize) -> Option<u16> {
        read_u16(&self.bytes, at)
    }

    pub fn u32(&self, at: usize) -> Option<u32> {
        read_u32(&self.bytes, at)
    }

    pub fn u64(&self, at: usize) -> Option<u64> {
        read_u64(&self.bytes, at)
    }

    pub fn write_u32(&mut self, at: usize, value: u32) {
        self.write(at, &value.to_le_bytes());
    }

    pub fn write_u64(&mut self, at: usize, value: u64) {
        self.write(at, &value.to_le_bytes());
    }

    /// Writes `value`, if it fits into the file.
    pub fn write(&mut self, at: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..).and_then(|bytes| bytes.get_mut(..value.len())) {
            place.copy_from_slice(value);
        }
    }

    /// Replaces the address at `at` by that of the result, unless it is 0.
    pub fn map_field(&mut self, at: usize) {
        if let Some(rva) = self.u32(at).filter(|rva| *rva != 0) {
            self.write_u32(at, self.map(rva));
        }
    }

    /// Like [`map_field`](Self::map_field), and marks the field as not code.
    pub fn map_owned_field(&mut self, at: usize) {
        self.map_field(at);
        self.mark(at..at + 4, OWNED);
    }

    /// Adds `marks` to those bytes of `range` that are in the file.
    pub fn mark(&mut self, range: Range<usize>, marks: u8) {
        let range = self.inside(range);
        self.marks[range].iter_mut().for_each(|mark| *mark |= marks);
    }

    /// Whether a byte of `range` has one of `marks`.
    pub fn is_marked(&self, range: Range<usize>, marks: u8) -> bool {
        self.marks[self.inside(range)].iter().any(|mark| mark & marks != 0)
    }

    /// The part of `range` that is in the file.
    pub fn inside(&self, range: Range<usize>) -> Range<usize> {
        let end = range.end.min(self.bytes.len());
        range.start.min(end)..end
    }
}

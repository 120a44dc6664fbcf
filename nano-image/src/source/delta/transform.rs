//! How a program that is the basis is changed before it is copied from (§11): its addresses become those of the result,
//! so that more of it is equal.
//!
//! What leads out of the file is left as it is: a basis may be quite another program than the result, and the hash of
//! the result tells what went wrong. Structures that ask for more work than any real file are refused.

mod amd64;
mod exports;
mod i386;
mod imports;
mod instruction;
mod mark;
mod relocations;
mod resources;

use std::ops::Range;

use super::format::{
    FLAG_AMD64_CODE, FLAG_AMD64_FUNCTIONS, FLAG_EXPORTS, FLAG_HEADERS, FLAG_I386_CALLS, FLAG_I386_JUMPS, FLAG_IMPORTS,
    FLAG_LOCK_PREFIXES, FLAG_MARK, FLAG_RELOCATIONS, FLAG_RESOURCES, FLAG_UNBIND, FLAGS_MANAGED,
};
use super::pe::format::{
    CHECK_SUM, CLR, IMAGE_BASE_32, IMAGE_BASE_64, LOAD_CONFIG, LOCK_PREFIX_TABLE, OTHER_MACHINES, TIME_DATE_STAMP,
};
use super::pe::{Pe, read_u16, read_u32, read_u64};
use super::preprocess::Preprocess;
use super::rift::Rift;
use crate::error::{Error, Result};

/// Marks of a byte: a step wrote it or it is no code; and it is in a table, where no number is taken for an address.
const OWNED: u8 = 1;
const BOUNDARY: u8 = 2;

type Step = fn(&mut Program<'_>) -> Result<()>;

/// The bytes of `basis`, whose headers are `pe`, after all steps that `flags` ask for.
pub(super) fn transform(basis: &[u8], pe: Pe, result: &Preprocess, flags: u64) -> Result<Vec<u8>> {
    refuse(basis, &pe, flags)?;
    let (i386, amd64) = (pe.is_i386(), pe.is_amd64());
    let mut program = Program {
        bytes: basis.to_vec(),
        marks: vec![0; basis.len()],
        pe,
        addresses: &result.addresses,
        image_base: result.image_base,
        work: basis.len().saturating_mul(16),
    };
    let (coff, optional) = (program.pe.coff, program.pe.optional);
    program.write_u32(optional + CHECK_SUM, 0);
    program.write_u32(coff + TIME_DATE_STAMP, result.time_date_stamp);
    let steps: [(u64, bool, Step); 10] = [
        (FLAG_UNBIND, true, imports::unbind),
        (FLAG_MARK, true, mark::mark),
        (FLAG_IMPORTS, true, imports::imports),
        (FLAG_EXPORTS, true, exports::exports),
        (FLAG_RESOURCES, true, resources::resources),
        (FLAG_RELOCATIONS, true, relocations::relocations),
        (FLAG_I386_JUMPS, i386, i386::jumps),
        (FLAG_I386_CALLS, i386, i386::calls),
        (FLAG_AMD64_CODE, amd64, amd64::code),
        (FLAG_AMD64_FUNCTIONS, amd64, amd64::functions),
    ];
    for (flag, fits, step) in steps {
        if flags & flag != 0 && fits {
            step(&mut program)?;
        }
    }
    match program.pe.is_64 {
        true => program.write_u64(optional + IMAGE_BASE_64, result.image_base),
        false => program.write_u32(optional + IMAGE_BASE_32, result.image_base as u32),
    }
    Ok(program.bytes)
}

/// Names what is not handled.
fn refuse(basis: &[u8], pe: &Pe, flags: u64) -> Result<()> {
    let refused = |what: &str| Err(Error::unsupported(format!("a delta {what}")));
    if let Some((_, name)) = OTHER_MACHINES.iter().find(|(machine, _)| *machine == pe.machine) {
        return refused(&format!("for programs of {name}"));
    }
    if pe.directory(CLR).is_some() && flags & FLAGS_MANAGED != 0 {
        return refused("between files of managed code (.NET)");
    }
    if flags & FLAG_HEADERS != 0 {
        return refused("that changes headers (flag 0x10000)");
    }
    let lock_prefixes = pe.directory(LOAD_CONFIG).and_then(|(rva, _)| {
        let at = pe.offset(rva)?;
        read_u32(basis, at).filter(|size| *size as usize >= LOCK_PREFIX_TABLE + 4)?;
        read_u32(basis, at + LOCK_PREFIX_TABLE)
    });
    if flags & FLAG_LOCK_PREFIXES != 0 && pe.is_i386() && lock_prefixes.is_some_and(|table| table != 0) {
        return refused("for a program with a table of lock prefixes");
    }
    Ok(())
}

/// The basis while it is changed. Offsets are those of the file.
struct Program<'a> {
    bytes: Vec<u8>,
    /// [`OWNED`] and [`BOUNDARY`] of each byte.
    marks: Vec<u8>,
    /// The headers as they were.
    pe: Pe,
    /// Addresses of the basis to those of the result.
    addresses: &'a Rift,
    /// Base of the result.
    image_base: u64,
    /// Bytes that may still be looked at.
    work: usize,
}

impl Program<'_> {
    /// Notes that `count` bytes are looked at. Tables that lead to the same bytes again and again end here.
    fn work(&mut self, count: usize) -> Result<()> {
        let left = self.work.checked_sub(count);
        self.work = left.ok_or_else(|| Error::corrupt("the tables of the basis overlap without end"))?;
        Ok(())
    }

    /// The address in the result of `rva`.
    fn map(&self, rva: u32) -> u32 {
        self.addresses.map_address(rva)
    }

    /// Offset of address `rva`.
    fn offset(&self, rva: u32) -> Option<usize> {
        self.pe.offset(rva)
    }

    fn u16(&self, at: usize) -> Option<u16> {
        read_u16(&self.bytes, at)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        read_u32(&self.bytes, at)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        read_u64(&self.bytes, at)
    }

    fn write_u32(&mut self, at: usize, value: u32) {
        self.write(at, &value.to_le_bytes());
    }

    fn write_u64(&mut self, at: usize, value: u64) {
        self.write(at, &value.to_le_bytes());
    }

    /// Writes what is whole inside of the file.
    fn write(&mut self, at: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..).and_then(|bytes| bytes.get_mut(..value.len())) {
            place.copy_from_slice(value);
        }
    }

    /// The address at `at` becomes that of the result; 0 is none.
    fn map_field(&mut self, at: usize) {
        if let Some(rva) = self.u32(at).filter(|rva| *rva != 0) {
            self.write_u32(at, self.map(rva));
        }
    }

    /// The same, and the field is no code.
    fn map_owned_field(&mut self, at: usize) {
        self.map_field(at);
        self.mark(at..at + 4, OWNED);
    }

    /// Adds `marks` to the bytes of `range` that are in the file.
    fn mark(&mut self, range: Range<usize>, marks: u8) {
        let range = self.inside(range);
        self.marks[range].iter_mut().for_each(|mark| *mark |= marks);
    }

    /// Whether a byte of `range` has one of `marks`.
    fn is_marked(&self, range: Range<usize>, marks: u8) -> bool {
        self.marks[self.inside(range)].iter().any(|mark| mark & marks != 0)
    }

    /// The part of `range` that is in the file.
    fn inside(&self, range: Range<usize>) -> Range<usize> {
        let end = range.end.min(self.bytes.len());
        range.start.min(end)..end
    }
}

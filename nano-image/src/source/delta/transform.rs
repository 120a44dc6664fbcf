//! How a basis that is a program is changed before it is copied from (§11): its addresses become those of the result,
//! so that more of it is equal.
//!
//! What points outside of the file is left unchanged: the basis may be quite another program than the result, and the
//! hash of the result tells when something went wrong. Structures that would cost more work than any real file are
//! refused.

mod amd64;
mod exports;
mod i386;
mod imports;
mod instruction;
mod mark;
mod program;
mod relocations;
mod resources;

use super::format::{
    FLAG_AMD64_CODE, FLAG_AMD64_FUNCTIONS, FLAG_EXPORTS, FLAG_HEADERS, FLAG_I386_CALLS, FLAG_I386_JUMPS, FLAG_IMPORTS,
    FLAG_LOCK_PREFIXES, FLAG_MARK, FLAG_RELOCATIONS, FLAG_RESOURCES, FLAG_UNBIND, FLAGS_MANAGED,
};
use super::pe::format::{
    CHECK_SUM, CLR, IMAGE_BASE_32, IMAGE_BASE_64, LOAD_CONFIG, LOCK_PREFIX_TABLE, OTHER_MACHINES, TIME_DATE_STAMP,
};
use super::pe::{Pe, read_u32};
use super::preprocess::Preprocess;
use crate::error::{Error, Result};
use program::Program;

type Step = fn(&mut Program<'_>) -> Result<()>;

/// The bytes of `basis`, whose headers are `pe`, after all steps that `flags` ask for.
pub(super) fn transform(basis: &[u8], pe: Pe, result: &Preprocess, flags: u64) -> Result<Vec<u8>> {
    refuse(basis, &pe, flags)?;
    let (i386, amd64) = (pe.is_i386(), pe.is_amd64());
    let mut program = Program::new(basis, pe, result);
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

/// Refuses what is not handled, and names it.
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

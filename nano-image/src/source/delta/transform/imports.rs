//! Imports (§11.1, §11.3). Source of the structures: Microsoft, "PE Format", the `.idata` section.

use super::program::{BOUNDARY, OWNED, Program};
use crate::error::Result;
use crate::source::delta::pe::format::{
    CHARACTERISTICS, FIRST_THUNK, FORWARDER_CHAIN, IMPORT_DESCRIPTOR, IMPORT_NAME, IMPORT_TIME, IMPORTS,
    ORIGINAL_FIRST_THUNK, Section,
};

/// Characteristics of a section that can be read and written.
const READ_WRITE: u32 = 0xC000_0000;

/// Undoes the binding of imports: removes the addresses of imported functions that were written into the file.
pub(super) fn unbind(program: &mut Program<'_>) -> Result<()> {
    let thunk_len = program.thunk_len();
    for descriptor in program.import_descriptors() {
        if descriptor.time == 0 {
            continue;
        }
        program.write_u32(descriptor.at + IMPORT_TIME, 0);
        program.write_u32(descriptor.at + FORWARDER_CHAIN, 0);
        let places = (program.offset(descriptor.original_first_thunk), program.offset(descriptor.first_thunk));
        let (Some(mut from), Some(mut to)) = places else { continue };
        while let Some(thunk) = program.thunk(from).filter(|thunk| *thunk != 0) {
            program.work(thunk_len)?;
            program.write_thunk(to, thunk);
            (from, to) = (from + thunk_len, to + thunk_len);
        }
    }
    for index in 0..program.pe.sections.len() {
        if program.pe.sections[index].name == *b".idata\0\0" {
            let at = program.pe.section_table + size_of::<Section>() * index + CHARACTERISTICS;
            program.write_u32(at, program.pe.sections[index].characteristics.get() | READ_WRITE);
        }
    }
    Ok(())
}

/// Maps the addresses of names and of tables.
pub(super) fn imports(program: &mut Program<'_>) -> Result<()> {
    for descriptor in program.import_descriptors() {
        names(program, descriptor.original_first_thunk, true)?;
        match descriptor.time {
            0 => names(program, descriptor.first_thunk, false)?,
            _ => bound(program, descriptor.first_thunk)?,
        }
        for field in [ORIGINAL_FIRST_THUNK, IMPORT_NAME, FIRST_THUNK] {
            program.map_owned_field(descriptor.at + field);
        }
    }
    Ok(())
}

/// Maps thunks, each of which is an ordinal or the address of a name. With `by_first`, all thunks of a list are taken
/// for ordinals if the first one is.
fn names(program: &mut Program<'_>, list: u32, by_first: bool) -> Result<()> {
    let thunk_len = program.thunk_len();
    let Some(mut at) = program.offset(list).filter(|_| list != 0) else { return Ok(()) };
    let mut ordinals = None;
    while let Some(thunk) = program.thunk(at).filter(|thunk| *thunk != 0) {
        program.work(thunk_len)?;
        let is_ordinal = thunk >> (8 * thunk_len - 1) == 1;
        let ordinals = *ordinals.get_or_insert(by_first && is_ordinal);
        if let Some(name) = u32::try_from(thunk).ok().filter(|_| !is_ordinal && !ordinals) {
            program.write_u32(at, program.map(name));
            mark_name(program, name)?;
        }
        program.mark(at..at + thunk_len, OWNED);
        at += thunk_len;
    }
    Ok(())
}

/// Marks hint and name as data.
fn mark_name(program: &mut Program<'_>, name: u32) -> Result<()> {
    let Some(start) = program.offset(name) else { return Ok(()) };
    let text = program.bytes.get(start + 2..).unwrap_or_default();
    let len = 2 + text.iter().position(|byte| *byte == 0).map_or(text.len(), |len| len + 1);
    program.work(len)?;
    program.mark(start..start + len, OWNED | BOUNDARY);
    Ok(())
}

/// Maps thunks that are addresses of functions, absolute in memory.
fn bound(program: &mut Program<'_>, list: u32) -> Result<()> {
    let thunk_len = program.thunk_len();
    let Some(mut at) = program.offset(list).filter(|_| list != 0) else { return Ok(()) };
    while let Some(thunk) = program.thunk(at).filter(|thunk| *thunk != 0) {
        program.work(thunk_len)?;
        let address = program.addresses.map(thunk.wrapping_sub(program.pe.image_base) as i64);
        program.write_thunk(at, program.image_base.wrapping_add(address as u64));
        program.mark(at..at + thunk_len, OWNED);
        at += thunk_len;
    }
    Ok(())
}

/// What a program imports from one file.
struct Descriptor {
    at: usize,
    original_first_thunk: u32,
    time: u32,
    first_thunk: u32,
}

impl Program<'_> {
    /// All descriptors, in their current state.
    fn import_descriptors(&self) -> Vec<Descriptor> {
        let mut descriptors = Vec::new();
        let Some(mut at) = self.pe.directory(IMPORTS).and_then(|(rva, _)| self.offset(rva)) else {
            return descriptors;
        };
        while self.u32(at + FIRST_THUNK).is_some() {
            let field = |offset| self.u32(at + offset).expect("before the last field");
            let (original_first_thunk, first_thunk) = (field(ORIGINAL_FIRST_THUNK), field(FIRST_THUNK));
            if original_first_thunk == 0 && field(IMPORT_NAME) == 0 && first_thunk == 0 {
                break;
            }
            descriptors.push(Descriptor { at, original_first_thunk, time: field(IMPORT_TIME), first_thunk });
            at += IMPORT_DESCRIPTOR;
        }
        descriptors
    }

    fn thunk_len(&self) -> usize {
        if self.pe.is_64 { 8 } else { 4 }
    }

    fn thunk(&self, at: usize) -> Option<u64> {
        if self.pe.is_64 { self.u64(at) } else { self.u32(at).map(u64::from) }
    }

    fn write_thunk(&mut self, at: usize, thunk: u64) {
        match self.pe.is_64 {
            true => self.write_u64(at, thunk),
            false => self.write_u32(at, thunk as u32),
        }
    }
}

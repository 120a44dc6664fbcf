//! Code for AMD64 and its function table (§11.8–9). Source of the structures: Microsoft, "x64 exception handling".

use super::instruction::{Instruction, MAX_LEN};
use super::program::{BOUNDARY, OWNED, Program};
use crate::error::Result;
use crate::source::delta::pe::format::{
    EXCEPTIONS, RUNTIME_FUNCTION, UNWIND_CODE, UNWIND_CODES, UNWIND_COUNT, UNWIND_FLAGS,
};

/// Maps the addresses that instructions refer to, function by function. Bytes that belong to several functions are
/// mapped several times.
pub(super) fn code(program: &mut Program<'_>) -> Result<()> {
    for at in program.functions() {
        let (Some(begin), Some(end)) = (program.u32(at), program.u32(at + 4)) else { break };
        if begin == 0 || end <= begin {
            continue;
        }
        let Some(start) = program.offset(begin) else { continue };
        let len = ((end - begin) as usize).min(program.bytes.len().saturating_sub(start));
        program.work(len)?;
        let mut done = 0;
        while done < len {
            done += instruction(program, start + done, begin.wrapping_add(done as u32), len - done);
        }
    }
    Ok(())
}

/// Maps the instruction at offset `at` and address `rva`, of at most `max` bytes. Returns its length.
fn instruction(program: &mut Program<'_>, at: usize, rva: u32, max: usize) -> usize {
    if program.marks[at] & (OWNED | BOUNDARY) != 0 {
        return 1;
    }
    let Instruction { len, field } = Instruction::decode(&program.bytes[at..at + max.min(MAX_LEN)]);
    if let Some(boundary) = program.marks[at..at + len].iter().position(|mark| mark & BOUNDARY != 0) {
        return boundary;
    }
    if let Some(field) = field {
        let next = rva.wrapping_add(len as u32);
        let distance = program.u32(at + field).expect("inside of the instruction");
        let target = next.wrapping_add(distance);
        program.write_u32(at + field, program.map(target).wrapping_sub(program.map(next)));
    }
    len
}

/// Maps the function table: begin and end of each function, its unwind data, and the handler or further function in
/// that.
pub(super) fn functions(program: &mut Program<'_>) -> Result<()> {
    let Some((rva, size)) = program.pe.directory(EXCEPTIONS) else { return Ok(()) };
    for at in program.functions() {
        let Some(unwind) = program.u32(at + 8) else { break };
        let inside = unwind >= rva && unwind - rva <= size;
        if let Some(start) = program.offset(unwind).filter(|_| !inside) {
            let header = program.bytes.get(start).zip(program.bytes.get(start + UNWIND_COUNT));
            if let Some((flags, count)) = header
                && flags & UNWIND_FLAGS != 0
            {
                let codes = usize::from(*count).next_multiple_of(2);
                program.map_field(start + UNWIND_CODES + UNWIND_CODE * codes);
            }
        }
        for field in [0, 4, 8] {
            program.map_field(at + field);
        }
    }
    Ok(())
}

impl Program<'_> {
    /// Offsets of the records of the function table.
    fn functions(&self) -> impl Iterator<Item = usize> + use<> {
        let table = self.pe.directory(EXCEPTIONS).and_then(|(rva, size)| {
            let start = self.offset(rva)?;
            Some(self.inside(start..start + size as usize))
        });
        let table = table.unwrap_or(0..0);
        (0..table.len() / RUNTIME_FUNCTION).map(move |index| table.start + RUNTIME_FUNCTION * index)
    }
}

//! Distances in code for i386 (§11.7), found without decoding instructions.

use std::ops::Range;

use super::program::{OWNED, Program};
use crate::error::Result;

/// Opcodes, and the length of each together with its distance of 32 bits.
const CALL: u8 = 0xE8;
const JUMP: u8 = 0xE9;
const JUMP_SHORT: u8 = 0xEB;
/// First byte of conditional jumps; the second is 0x80 plus the condition. The short form is one byte, 0x70 plus the
/// condition.
const TWO_BYTES: u8 = 0x0F;
const CONDITIONAL_SHORT: u8 = 0x70;
const LEN: usize = 5;

/// Maps jumps. They become short jumps where possible.
pub(super) fn jumps(program: &mut Program<'_>) -> Result<()> {
    for_code(program, |program, at, code| {
        let opcode = match program.bytes[at..] {
            [JUMP, ..] => at,
            [TWO_BYTES, 0x80..=0x8F, ..] => at + 1,
            _ => return at + 1,
        };
        if opcode + LEN >= code.file.end {
            return at + 1;
        }
        let Some((old, new)) = program.distances(opcode, code) else { return at + 1 };
        if i8::try_from(old).is_ok() {
            return at + 1;
        }
        match i8::try_from(new) {
            Ok(short) if opcode == at => program.write(at, &[JUMP_SHORT, short as u8]),
            Ok(short) if !program.is_marked(at..opcode, OWNED) => {
                let condition = program.bytes[opcode] & 0xF;
                program.write(at, &[CONDITIONAL_SHORT | condition, short as u8]);
            }
            _ => program.write_u32(opcode + 1, new as u32),
        }
        opcode + LEN
    })
}

/// Maps calls.
pub(super) fn calls(program: &mut Program<'_>) -> Result<()> {
    for_code(program, |program, at, code| {
        if program.bytes[at] != CALL || at + LEN > code.file.end {
            return at + 1;
        }
        let Some((_, new)) = program.distances(at, code) else { return at + 1 };
        program.write_u32(at + 1, new as u32);
        at + LEN
    })
}

/// The code of a section.
struct Code {
    file: Range<usize>,
    rva: u32,
}

/// Calls `step` at each offset of code; `step` returns the next offset.
fn for_code(program: &mut Program<'_>, step: fn(&mut Program<'_>, usize, &Code) -> usize) -> Result<()> {
    for index in 0..program.pe.sections.len() {
        let section = &program.pe.sections[index];
        let code = Code { file: program.inside(section.code()), rva: section.rva.get() };
        program.work(code.file.len())?;
        let mut at = code.file.start;
        while at < code.file.end {
            at = step(program, at, &code);
        }
    }
    Ok(())
}

impl Program<'_> {
    /// The distance of the branch at `opcode`, and its distance in the result; `None` if it does not lead to code.
    fn distances(&self, opcode: usize, code: &Code) -> Option<(i32, i32)> {
        let old = self.u32(opcode + 1)?;
        if self.is_marked(opcode..opcode + LEN, OWNED) {
            return None;
        }
        let next = code.rva.wrapping_add((opcode + LEN - code.file.start) as u32);
        let target = next.wrapping_add(old);
        if !self.is_code(target) {
            return None;
        }
        let new = self.map(target).wrapping_sub(self.map(next));
        Some((old as i32, new as i32))
    }

    fn is_code(&self, rva: u32) -> bool {
        let inside = rva > 0 && rva < self.pe.size_of_image;
        inside && self.offset(rva).is_some_and(|at| !self.is_marked(at..at + 1, OWNED))
    }
}

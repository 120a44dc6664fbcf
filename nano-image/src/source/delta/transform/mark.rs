//! Marks what is not code (§11.2).

use super::program::{BOUNDARY, OWNED, Program};
use crate::error::Result;
use crate::source::delta::pe::format::{DIRECTORY_COUNT, EXECUTE};
use crate::source::delta::pe_map::offset_to_address;

/// Marks headers and tables; in programs for i386 also everything outside of code sections.
pub(super) fn mark(program: &mut Program<'_>) -> Result<()> {
    if program.pe.is_i386() {
        program.marks.fill(OWNED);
        for section in &program.pe.sections {
            if section.characteristics.get() & EXECUTE != 0 {
                let start = section.raw_offset.get() as usize;
                let end = (start + section.raw_size.get() as usize).min(program.marks.len());
                program.marks[start.min(end)..end].iter_mut().for_each(|mark| *mark &= !OWNED);
            }
        }
    }
    program.mark(0..program.pe.size_of_headers as usize, OWNED | BOUNDARY);
    let offsets = offset_to_address(&program.pe).reverse()?;
    for index in 0..DIRECTORY_COUNT {
        let Some((rva, size)) = program.pe.directory(index) else { continue };
        let start = usize::try_from(offsets.map(rva.into())).unwrap_or(usize::MAX);
        program.mark(start..start.saturating_add(size as usize), OWNED | BOUNDARY);
    }
    Ok(())
}

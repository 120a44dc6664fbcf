//! Resources (§11.5). Source of the structures: Microsoft, "PE Format", the `.rsrc` section.

use super::program::{OWNED, Program};
use crate::error::Result;
use crate::source::delta::pe::format::{NAMED_ENTRIES, NUMBERED_ENTRIES, RESOURCE_BIT, RESOURCE_DIRECTORY, RESOURCES};

/// Maps the offsets of names, directories and data.
pub(super) fn resources(program: &mut Program<'_>) -> Result<()> {
    let Some((rva, size)) = program.pe.directory(RESOURCES) else { return Ok(()) };
    let Some(start) = program.offset(rva) else { return Ok(()) };
    let table = Table { rva, start, size: size as usize };
    // Directories still to be visited, as offsets in the table.
    let mut waiting = vec![0];
    while let Some(directory) = waiting.pop() {
        program.work(RESOURCE_DIRECTORY)?;
        let counts = [NAMED_ENTRIES, NUMBERED_ENTRIES].map(|field| program.u16(start + directory + field));
        let [Some(named), Some(numbered)] = counts else { continue };
        for index in 0..usize::from(named) + usize::from(numbered) {
            let entry = directory + RESOURCE_DIRECTORY + 8 * index;
            if entry + 8 > table.size {
                break;
            }
            program.work(8)?;
            if let Some(next) = table.entry(program, entry) {
                waiting.push(next);
            }
        }
    }
    Ok(())
}

/// The table of resources.
struct Table {
    rva: u32,
    /// Its offset in the file.
    start: usize,
    size: usize,
}

impl Table {
    /// Maps the entry at this offset of the table; returns the directory that it leads to.
    fn entry(&self, program: &mut Program<'_>, entry: usize) -> Option<usize> {
        let at = self.start + entry;
        let name = program.u32(at)?;
        if name & RESOURCE_BIT != 0 {
            self.write(program, at, RESOURCE_BIT | self.map(program, name & !RESOURCE_BIT));
        }
        let target = program.u32(at + 4)?;
        let offset = (target & !RESOURCE_BIT) as usize;
        if target & RESOURCE_BIT != 0 {
            self.write(program, at + 4, RESOURCE_BIT | self.map(program, target & !RESOURCE_BIT));
            // Only forwards, so that there are no cycles.
            return Some(offset).filter(|offset| *offset > entry && *offset < self.size);
        }
        if offset + 4 <= self.size {
            let data = program.u32(self.start + offset)?;
            self.write(program, self.start + offset, self.map(program, data));
        }
        None
    }

    /// The offset in the result for `offset`, both counted from the start of the table. Data has addresses instead of
    /// offsets, but the makers of deltas treat both alike.
    fn map(&self, program: &Program<'_>, offset: u32) -> u32 {
        program.map(self.rva.wrapping_add(offset)).wrapping_sub(program.map(self.rva))
    }

    fn write(&self, program: &mut Program<'_>, at: usize, value: u32) {
        program.write_u32(at, value);
        program.mark(at..at + 4, OWNED);
    }
}

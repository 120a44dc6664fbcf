//! Relocations (§11.6). Source of the structures: Microsoft, "PE Format", the `.reloc` section.

use super::program::{BOUNDARY, OWNED, Program};
use crate::error::Result;
use crate::source::delta::pe::format::{
    RELOCATION_64, RELOCATION_BLOCK, RELOCATION_END, RELOCATION_HIGH, RELOCATION_HIGH_ADJUST, RELOCATION_HIGH_LOW,
    RELOCATION_LOW, RELOCATIONS,
};

/// Bits of an entry that hold the offset in the page.
const OFFSET: u16 = 0xFFF;

/// Maps the numbers that the entries point to, and rewrites the table.
pub(super) fn relocations(program: &mut Program<'_>) -> Result<()> {
    let Some((rva, size)) = program.pe.directory(RELOCATIONS) else {
        if program.pe.is_i386() {
            guess(program);
        }
        return Ok(());
    };
    let Some(start) = program.offset(rva).filter(|start| *start < program.bytes.len()) else { return Ok(()) };
    let mut entries = read(program, start, size as usize);
    for entry in &entries {
        program.relocate(entry.rva, entry.kind);
    }
    for entry in &mut entries {
        entry.rva = program.map(entry.rva);
    }
    entries.sort_by_key(|entry| entry.rva);
    let limit = match program.pe.section(rva) {
        Some(section) => section.raw_offset.get() as usize + section.raw_size.get() as usize,
        None => start + size as usize,
    };
    write(program, &entries, start, limit.min(program.bytes.len()));
    Ok(())
}

/// An entry: the address of a number that depends on the image base.
struct Relocation {
    rva: u32,
    kind: u16,
    /// A second number, which entries of one type have.
    extra: Option<u16>,
}

/// The entries of the table at `start`.
fn read(program: &Program<'_>, start: usize, size: usize) -> Vec<Relocation> {
    let mut entries = Vec::new();
    let end = start.saturating_add(size).min(program.bytes.len());
    let mut block = start;
    while block + RELOCATION_BLOCK <= end {
        let (Some(page), Some(len)) = (program.u32(block), program.u32(block + 4)) else { break };
        if (len as usize) < RELOCATION_BLOCK {
            break;
        }
        let block_end = (block + len as usize).min(end);
        let mut at = block + RELOCATION_BLOCK;
        while at + 2 <= block_end {
            let Some(entry) = program.u16(at) else { break };
            at += 2;
            let kind = entry >> 12;
            if kind == RELOCATION_END {
                break;
            }
            let mut extra = None;
            if kind == RELOCATION_HIGH_ADJUST {
                extra = program.u16(at).filter(|_| at + 2 <= block_end);
                at += 2;
            }
            entries.push(Relocation { rva: page.wrapping_add((entry & OFFSET).into()), kind, extra });
        }
        block += len as usize;
    }
    entries
}

/// Writes the table: a block for each page, its length a multiple of 4.
fn write(program: &mut Program<'_>, entries: &[Relocation], start: usize, limit: usize) {
    let mut at = start;
    for page in entries.chunk_by(|one, other| one.rva >> 12 == other.rva >> 12) {
        let mut block = Vec::new();
        for entry in page {
            block.push(entry.kind << 12 | entry.rva as u16 & OFFSET);
            block.extend(entry.extra);
        }
        if block.len() % 2 == 1 {
            block.push(RELOCATION_END << 12);
        }
        let len = RELOCATION_BLOCK + 2 * block.len();
        if limit.saturating_sub(at) < len {
            break;
        }
        program.write_u32(at, page[0].rva & !u32::from(OFFSET));
        program.write_u32(at + 4, len as u32);
        for (index, entry) in block.into_iter().enumerate() {
            program.write(at + RELOCATION_BLOCK + 2 * index, &entry.to_le_bytes());
        }
        at += len;
    }
}

/// If there is no table, takes every number that could be an address for one.
fn guess(program: &mut Program<'_>) {
    let base = program.pe.image_base as u32;
    let mut at = program.pe.size_of_headers as usize;
    while let Some(value) = program.u32(at) {
        let rva = value.wrapping_sub(base);
        if value <= base || rva >= program.pe.size_of_image {
            at += 1;
            continue;
        }
        if !program.is_marked(at..at + 4, BOUNDARY) {
            program.write_u32(at, (program.image_base as u32).wrapping_add(program.map(rva)));
            program.mark(at..at + 4, OWNED);
        }
        at += 4;
    }
}

impl Program<'_> {
    /// Replaces the number at address `rva` by that of the result.
    fn relocate(&mut self, rva: u32, kind: u16) {
        let Some(at) = self.offset(rva) else { return };
        let base = self.pe.image_base;
        match kind {
            RELOCATION_HIGH_LOW => {
                let Some(value) = self.u32(at) else { return };
                let address = self.map(value.wrapping_sub(base as u32));
                self.write_u32(at, (self.image_base as u32).wrapping_add(address));
                self.mark(at..at + 4, OWNED);
            }
            RELOCATION_64 => {
                let Some(value) = self.u64(at) else { return };
                let address = self.addresses.map(i64::from(value.wrapping_sub(base) as u32));
                self.write_u64(at, self.image_base.wrapping_add(address as u64));
                self.mark(at..at + 8, OWNED);
            }
            RELOCATION_HIGH | RELOCATION_LOW | RELOCATION_HIGH_ADJUST => self.mark(at..at + 2, OWNED),
            _ => {}
        }
    }
}

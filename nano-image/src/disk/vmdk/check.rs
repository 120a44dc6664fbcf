//! Checks that both grain directories agree, and that no two grains share a place.

use super::format::*;
use super::read;
use crate::content::ReadAt;
use crate::disk::map::read_entries;
use crate::error::Result;
use crate::report::{Finding, Findings};

/// Adds what is wrong with a file of `len` bytes.
pub(crate) fn check(file: &dyn ReadAt, len: u64, findings: &mut Findings) {
    // What keeps the file from being read is reported when it is opened.
    let (Ok(header), Ok(_)) = (read::header(file, 0), read::open(file, len)) else { return };
    if header.unclean_shutdown != 0 {
        let message = "says that the file was not closed";
        findings.add(Finding::new("vmdk-unclean", "VMDK header", message).at(72));
    }
    // Compressed grains have no fixed length, and there is no copy of their tables.
    if header.flags.get() & FLAG_COMPRESSED != 0 {
        return findings.skip("places of compressed grains (VMDK)");
    }
    if let Err(error) = compare(file, len, &header, findings) {
        findings.add(Finding::new("vmdk-table", "grain tables", error.message()).at(error.offset()));
    }
}

fn compare(file: &dyn ReadAt, len: u64, header: &SparseHeader, findings: &mut Findings) -> Result<()> {
    let grains = header.capacity.get().div_ceil(header.grain_size.get());
    let own = tables(file, header.gd_offset.get(), grains)?;
    let is_redundant = header.flags.get() & FLAG_REDUNDANT != 0;
    let copies = if is_redundant { tables(file, header.rgd_offset.get(), grains)? } else { Vec::new() };
    let grain = header.grain_size.get() * SECTOR;
    let mut places: Vec<(u64, u64, u64)> = Vec::new();
    for (number, (table, _)) in own.iter().enumerate().filter(|(_, (table, _))| *table != 0) {
        let entries = entries(file, *table)?;
        if is_redundant {
            let copy = copies.get(number).map(|(table, _)| self::entries(file, *table)).transpose()?;
            let copy: Vec<u32> = copy.iter().flatten().map(|(entry, _)| *entry).collect();
            let differs = entries.iter().zip(&copy).position(|((entry, _), other)| entry != other);
            if let Some(index) = differs {
                let message = format!("is not what the other copy says ({})", copy[index]);
                let what = format!("entry {index} of grain table {number}");
                findings.add(Finding::new("vmdk-table", what, message).at(entries[index].1));
            }
        }
        let first = number as u64 * TABLE_ENTRIES;
        let real = entries.iter().zip(first..).filter(|((sector, _), _)| *sector > ZERO_GRAIN);
        places.extend(real.map(|((sector, at), grain)| (u64::from(*sector) * SECTOR, grain, *at)));
    }
    places.sort_unstable();
    let overhead = header.overhead.get().saturating_mul(SECTOR);
    let mut end = overhead;
    for (start, number, at) in places {
        let what = format!("grain {number}");
        if start < end {
            let on = if start < overhead { "the tables" } else { "another grain" };
            findings.add(Finding::new("vmdk-overlap", what, format!("lies on {on} at {start:#x}")).at(at));
        } else if start + grain > len && (number + 1) * grain <= header.capacity.get() * SECTOR {
            let message = format!("should be at {start:#x}, but the file has only {len:#x} bytes");
            findings.add(Finding::new("vmdk-overlap", what, message).at(at));
        }
        end = end.max(start + grain);
    }
    Ok(())
}

/// Positions of the grain tables in a directory, and of the directory's entries.
fn tables(file: &dyn ReadAt, directory: u64, grains: u64) -> Result<Vec<(u64, u64)>> {
    let mut tables = Vec::new();
    let start = directory.saturating_mul(SECTOR);
    read_entries(file, start, grains.div_ceil(TABLE_ENTRIES), |_, at, bytes| {
        tables.push((u64::from(u32::from_le_bytes(bytes)) * SECTOR, at));
        Ok(())
    })?;
    Ok(tables)
}

/// The entries of a table, with their file offsets.
fn entries(file: &dyn ReadAt, table: u64) -> Result<Vec<(u32, u64)>> {
    let mut entries = Vec::with_capacity(TABLE_ENTRIES as usize);
    read_entries(file, table, TABLE_ENTRIES, |_, at, bytes| {
        entries.push((u32::from_le_bytes(bytes), at));
        Ok(())
    })?;
    Ok(entries)
}

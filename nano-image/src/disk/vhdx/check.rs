//! Checks both copies of everything, and that no two things share a place in the file.

use zerocopy::{FromBytes, IntoBytes};

use super::format::*;
use crate::content::ReadAt;
use crate::report::{Finding, Findings};
use crate::types::Guid;

/// Bytes of the block allocation table that are read at once.
const TABLE_PIECE: u64 = 1 << 20;

/// Adds what is wrong with a file of `len` bytes.
pub(crate) fn check(file: &dyn ReadAt, len: u64, findings: &mut Findings) {
    let mut space = Space::new(len);
    space.claim("header section", 0, MIB, findings);
    headers(file, &mut space, findings);
    let regions = regions(file, findings);
    for (guid, entry) in &regions {
        space.claim(&format!("region {guid}"), entry.file_offset.get(), entry.length.get().into(), findings);
    }
    let find = |wanted: Guid| regions.iter().find(|(guid, _)| *guid == wanted).map(|(_, entry)| entry);
    // What is missing or damaged there is reported when the file is opened.
    if let (Some(bat), Some(metadata)) = (find(BAT_REGION), find(METADATA_REGION))
        && let Some(Sizes { disk: disk_size, block: block_size, sector: sector_size, has_parent }) =
            sizes(file, metadata)
    {
        let table = Table { file, start: bat.file_offset.get(), len: bat.length.get().into() };
        if has_parent {
            return findings.skip("places of blocks (differencing VHDX)");
        }
        table.check(disk_size, block_size, sector_size, len, &mut space, findings);
    }
}

fn headers(file: &dyn ReadAt, space: &mut Space, findings: &mut Findings) {
    let mut valid: Vec<Header> = Vec::new();
    for (number, offset) in (1..).zip(HEADER_OFFSETS) {
        let mut bytes = [0; size_of::<Header>()];
        let read = file.read_exact_at(&mut bytes, offset).is_ok();
        let header = Header::read_from_bytes(&bytes).expect("the array has the struct's size");
        bytes[4..8].fill(0);
        let sum = crc32c::crc32c(&bytes);
        let message = match () {
            () if !read => "cannot be read".to_owned(),
            () if header.signature != HEADER_SIGNATURE => "has no signature `head`".to_owned(),
            () if header.checksum.get() != sum => {
                format!("has the checksum {:#010x}, not {sum:#010x}", header.checksum)
            }
            () => {
                valid.push(header);
                continue;
            }
        };
        findings.add(Finding::new("vhdx-header", format!("VHDX header {number}"), message).at(offset));
    }
    if let [first, second] = &valid[..]
        && first.sequence_number == second.sequence_number
        && first.as_bytes() != second.as_bytes()
    {
        let message = format!("both have the sequence number {}, but differ", first.sequence_number);
        findings.add(Finding::new("vhdx-header", "VHDX headers", message).at(HEADER_OFFSETS[0]));
    }
    let Some(newest) = valid.iter().max_by_key(|header| header.sequence_number.get()) else { return };
    if newest.log_guid != [0; 16] {
        let message = "holds changes that are not yet in place: the file was not closed";
        findings.add(Finding::new("vhdx-log", "VHDX log", message).at(newest.log_offset.get()));
    }
    space.claim("log", newest.log_offset.get(), newest.log_length.get().into(), findings);
}

/// The regions of the first valid table.
fn regions(file: &dyn ReadAt, findings: &mut Findings) -> Vec<(Guid, RegionEntry)> {
    let mut tables = Vec::new();
    for (number, offset) in (1..).zip(REGION_TABLE_OFFSETS) {
        let mut table = vec![0; REGION_TABLE_SIZE];
        let read = file.read_exact_at(&mut table, offset).is_ok();
        let (header, _) = RegionTableHeader::read_from_prefix(&table).expect("the table holds its header");
        table[4..8].fill(0);
        let sum = crc32c::crc32c(&table);
        let message = match () {
            () if !read => "cannot be read".to_owned(),
            () if header.signature != REGION_SIGNATURE => "has no signature `regi`".to_owned(),
            () if header.checksum.get() != sum => {
                format!("has the checksum {:#010x}, not {sum:#010x}", header.checksum)
            }
            () => {
                tables.push(table);
                continue;
            }
        };
        findings.add(Finding::new("vhdx-region-table", format!("VHDX region table {number}"), message).at(offset));
    }
    if let [first, second] = &tables[..]
        && first != second
    {
        let finding = Finding::new("vhdx-region-table", "VHDX region table 2", "differs from the first");
        findings.add(finding.at(REGION_TABLE_OFFSETS[1]));
    }
    let Some(table) = tables.first() else { return Vec::new() };
    let (header, entries) = RegionTableHeader::read_from_prefix(table).expect("the table holds its header");
    let count = header.entry_count.get().min(MAX_TABLE_ENTRIES) as usize;
    let entries = entries.chunks_exact(size_of::<RegionEntry>()).take(count);
    let entries = entries.map(|entry| RegionEntry::read_from_bytes(entry).expect("the chunk has the struct's size"));
    entries.map(|entry| (Guid::from_bytes(entry.guid), entry)).collect()
}

/// Sizes in bytes.
struct Sizes {
    disk: u64,
    block: u64,
    sector: u64,
    has_parent: bool,
}

/// Bytes of the disk, of a block and of a sector; `None` if they are wrong, which is reported when the file is opened.
fn sizes(file: &dyn ReadAt, region: &RegionEntry) -> Option<Sizes> {
    let start = region.file_offset.get();
    let mut table = vec![0; METADATA_TABLE_SIZE];
    file.read_exact_at(&mut table, start).ok()?;
    let (header, entries) = MetadataTableHeader::read_from_prefix(&table).ok()?;
    let count = usize::from(header.entry_count.get());
    let value = |id: Guid| {
        let mut entries = entries.chunks_exact(size_of::<MetadataEntry>()).take(count);
        let entry = entries.find_map(|entry| {
            MetadataEntry::read_from_bytes(entry).ok().filter(|entry| Guid::from_bytes(entry.item_id) == id)
        })?;
        let mut bytes = [0; 8];
        let len = (entry.length.get() as usize).min(8);
        file.read_exact_at(&mut bytes[..len], start.checked_add(entry.offset.get().into())?).ok()?;
        Some(u64::from_le_bytes(bytes))
    };
    let parameters = value(FILE_PARAMETERS)?;
    let (block_size, has_parent) = (parameters & u64::from(u32::MAX), parameters >> 32 & u64::from(HAS_PARENT) != 0);
    let (disk_size, sector_size) = (value(VIRTUAL_DISK_SIZE)?, value(LOGICAL_SECTOR_SIZE)?);
    let sane = block_size.is_power_of_two()
        && (BLOCK_SIZES[0]..=BLOCK_SIZES[1]).contains(&block_size)
        && [512, 4096].contains(&sector_size)
        && disk_size <= MAX_DISK_SIZE;
    sane.then_some(Sizes { disk: disk_size, block: block_size, sector: sector_size, has_parent })
}

struct Table<'a> {
    file: &'a dyn ReadAt,
    start: u64,
    len: u64,
}

impl Table<'_> {
    fn check(
        &self,
        disk_size: u64,
        block_size: u64,
        sector_size: u64,
        file_len: u64,
        space: &mut Space,
        findings: &mut Findings,
    ) {
        let chunk_ratio = chunk_ratio(sector_size, block_size);
        let entries = bat_entries(disk_size.div_ceil(block_size), chunk_ratio);
        let entry_size = size_of::<BatEntry>() as u64;
        if entries * entry_size > self.len {
            let message = format!("has {} bytes; {entries} entries need {}", self.len, entries * entry_size);
            findings.add(Finding::new("vhdx-bat", "block allocation table", message).at(self.start));
            return;
        }
        let mut piece = Vec::new();
        for first in (0..entries).step_by((TABLE_PIECE / entry_size) as usize) {
            let offset = self.start + first * entry_size;
            piece.resize(((entries - first) * entry_size).min(TABLE_PIECE) as usize, 0);
            if self.file.read_exact_at(&mut piece, offset).is_err() {
                let finding = Finding::new("vhdx-bat", "block allocation table", "cannot be read");
                return findings.add(finding.at(offset));
            }
            for (index, bytes) in (first..).zip(piece.chunks_exact(entry_size as usize)) {
                let entry = BatEntry::read_from_bytes(bytes).expect("the chunk has the entry's size").get();
                let (state, place) = (entry & BLOCK_STATE_MASK, (entry >> 20) * MIB);
                let is_bitmap = index % (chunk_ratio + 1) == chunk_ratio;
                let known: &[u64] = match is_bitmap {
                    // A disk without a parent has no sector bitmaps, but its table may have room for them.
                    true => &[BLOCK_NOT_PRESENT, BLOCK_FULLY_PRESENT],
                    false => &[BLOCK_NOT_PRESENT, BLOCK_UNDEFINED, BLOCK_ZERO, BLOCK_UNMAPPED, BLOCK_FULLY_PRESENT],
                };
                let text = || match is_bitmap {
                    true => format!("sector bitmap {}", index / (chunk_ratio + 1)),
                    false => format!("block {}", index - index / (chunk_ratio + 1)),
                };
                let mut bad = |message: String| {
                    findings.add(Finding::new("vhdx-bat", text(), message).at(offset + (index - first) * entry_size));
                };
                if !known.contains(&state) {
                    bad(format!("is in the unknown state {state}"));
                } else if state == BLOCK_FULLY_PRESENT {
                    let block = index - index / (chunk_ratio + 1);
                    // The last block may end where the disk ends.
                    let needed = match is_bitmap {
                        true => MIB,
                        false => disk_size.saturating_sub(block * block_size).min(block_size),
                    };
                    if place.checked_add(needed).is_none_or(|end| end > file_len) {
                        bad(format!("should be at {place:#x}, but the file has only {file_len:#x} bytes"));
                    } else {
                        space.claim(&text(), place, needed, findings);
                    }
                }
            }
        }
    }
}

/// Which MiB of the file are in use.
struct Space {
    taken: Vec<u64>,
    file_len: u64,
}

impl Space {
    fn new(file_len: u64) -> Self {
        Self { taken: vec![0; file_len.div_ceil(MIB).div_ceil(64) as usize], file_len }
    }

    fn claim(&mut self, what: &str, start: u64, len: u64, findings: &mut Findings) {
        let mut bad = |message: String| {
            findings.add(Finding::new("vhdx-overlap", what.to_owned(), message).at(start));
        };
        if start.checked_add(len).is_none_or(|end| end > self.file_len) {
            return bad(format!("is not in the file of {} bytes", self.file_len));
        }
        if !start.is_multiple_of(MIB) {
            return bad("does not begin on a whole MiB".into());
        }
        let mut taken = false;
        for unit in start / MIB..(start + len).div_ceil(MIB) {
            let (word, bit) = ((unit / 64) as usize, 1 << (unit % 64));
            taken |= self.taken[word] & bit != 0;
            self.taken[word] |= bit;
        }
        if taken {
            bad(format!("lies on something else between {start:#x} and {:#x}", start + len));
        }
    }
}

//! Checks both tables and the protective MBR.

use zerocopy::FromBytes;

use super::MAX_ENTRIES;
use super::format::{Header, PartitionEntry, SIGNATURE};
use crate::content::ReadAt;
use crate::report::{Finding, Findings};
use crate::types::Guid;

const SECTOR: usize = 512;
/// Type of the partition that covers the disk in a protective MBR.
const TYPE_PROTECTIVE: u8 = 0xEE;
const MIN_HEADER: usize = size_of::<Header>();

/// A table with correct checksums.
struct Table {
    header: Header,
    entries: Vec<u8>,
}

/// Finds what is wrong with the partition table of `disk`: primary table, backup and protective MBR. Offsets of the
/// findings count from the start of the disk.
pub fn check(disk: &dyn ReadAt, sector_size: u32) -> Findings {
    let mut findings = Findings::default();
    let sector = u64::from(sector_size);
    let Some(last) = disk.len().ok().and_then(|len| (len / sector).checked_sub(1)).filter(|&last| last > 2) else {
        return findings;
    };
    protective(disk, last, &mut findings);
    let primary = table(disk, "primary", 1, None, sector, &mut findings);
    let alternate = primary.as_ref().map_or(last, |table| table.header.alternate_lba.get());
    // After a disk was enlarged, its backup table is where the end was.
    let mut signature = [0; SIGNATURE.len()];
    let read = disk.read_exact_at(&mut signature, alternate.saturating_mul(sector)).is_ok();
    let place = if read && signature == SIGNATURE && alternate > 1 { alternate } else { last };
    if place != last {
        let message = format!("is in sector {place}, not in the disk's last one, {last}");
        findings.add(Finding::new("gpt-backup", "backup partition table", message).at(place * sector));
    } else if alternate != last {
        let message = format!("says that the other header is in sector {alternate}, not {last}");
        findings.add(Finding::new("gpt-header", "primary partition table header", message).at(sector));
    }
    let backup = table(disk, "backup", place, Some(1), sector, &mut findings);
    if let (Some(primary), Some(backup)) = (&primary, &backup) {
        let differs = |a: &Header, b: &Header| {
            (a.disk_guid, a.first_usable_lba, a.last_usable_lba, a.entry_count, a.entry_size)
                != (b.disk_guid, b.first_usable_lba, b.last_usable_lba, b.entry_count, b.entry_size)
        };
        if differs(&primary.header, &backup.header) || primary.entries != backup.entries {
            let finding = Finding::new("gpt-backup", "backup partition table", "differs from the primary one");
            findings.add(finding.at(last * sector));
        }
    }
    if let Some(table) = primary.or(backup) {
        partitions(&table, last, sector, &mut findings);
    }
    findings
}

/// Checks the protective MBR, which keeps old programs away (§5.2.3).
fn protective(disk: &dyn ReadAt, last: u64, findings: &mut Findings) {
    let mut bad = |message: String| findings.add(Finding::new("gpt-mbr", "protective MBR", message).at(0));
    let mut bytes = [0; SECTOR];
    if disk.read_exact_at(&mut bytes, 0).is_err() || bytes[510..] != [0x55, 0xAA] {
        return bad("has no signature 55 AA".into());
    }
    let word = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes")));
    let records = (0..4).map(|index| 446 + 16 * index);
    let Some(at) = records.into_iter().find(|&at| bytes[at + 4] == TYPE_PROTECTIVE) else {
        return bad("has no partition of type 0xEE".into());
    };
    let (first, count) = (word(at + 8), word(at + 12));
    // Windows writes 0xFFFFFFFF for any size.
    if first != 1 || count == 0 || (count > last && count != 0xFFFF_FFFF) {
        bad(format!("has {count} sectors from {first} on in its partition of type 0xEE; the disk has {}", last + 1));
    }
}

/// The table whose header is in sector `lba`, if all its checksums are correct.
fn table(
    disk: &dyn ReadAt,
    name: &str,
    lba: u64,
    other: Option<u64>,
    sector: u64,
    findings: &mut Findings,
) -> Option<Table> {
    let text = format!("{name} partition table header");
    let mut bad = |code, message: String| findings.add(Finding::new(code, text.clone(), message).at(lba * sector));
    let mut bytes = vec![0; sector as usize];
    if disk.read_exact_at(&mut bytes, lba * sector).is_err() || !bytes.starts_with(&SIGNATURE) {
        bad("gpt-header", "has no signature `EFI PART`".into());
        return None;
    }
    let (header, _) = Header::read_from_prefix(&bytes).expect("a sector holds the header");
    let size = header.header_size.get() as usize;
    if !(MIN_HEADER..=bytes.len()).contains(&size) {
        bad("gpt-header", format!("says that it has {size} bytes"));
        return None;
    }
    bytes[16..20].fill(0);
    let sum = crc32fast::hash(&bytes[..size]);
    if header.checksum.get() != sum {
        bad("gpt-checksum", format!("has the checksum {:#010x}, not {sum:#010x}", header.checksum));
        return None;
    }
    if header.my_lba.get() != lba {
        bad("gpt-header", format!("says that it is in sector {}, not {lba}", header.my_lba));
    }
    if let Some(other) = other.filter(|&other| header.alternate_lba.get() != other) {
        bad("gpt-header", format!("says that the other header is in sector {}, not {other}", header.alternate_lba));
    }
    let (count, entry_size) = (header.entry_count.get(), header.entry_size.get() as usize);
    if count > MAX_ENTRIES || entry_size < size_of::<PartitionEntry>() || entry_size > 4096 || entry_size % 8 != 0 {
        bad("gpt-header", format!("has {count} entries of {entry_size} bytes"));
        return None;
    }
    // The entries lie between their header and the sectors that partitions can use.
    let (first_usable, last_usable) = (header.first_usable_lba.get(), header.last_usable_lba.get());
    let first = header.entries_lba.get();
    let end = first.saturating_add((u64::from(count) * entry_size as u64).div_ceil(sector));
    let placed = if lba == 1 { first > 1 && end <= first_usable } else { first > last_usable && end <= lba };
    if !placed {
        bad("gpt-header", format!("says that its entries are in the sectors {first} to {}", end.saturating_sub(1)));
    }
    let mut entries = vec![0; count as usize * entry_size];
    let at = header.entries_lba.get().saturating_mul(sector);
    if disk.read_exact_at(&mut entries, at).is_err() {
        bad(
            "gpt-header",
            format!("says that its entries are in sector {}, where they cannot be read", header.entries_lba),
        );
        return None;
    }
    let sum = crc32fast::hash(&entries);
    if header.entries_checksum.get() != sum {
        let message = format!("have the checksum {:#010x}, not {sum:#010x}", header.entries_checksum);
        findings.add(Finding::new("gpt-checksum", format!("{name} partition table entries"), message).at(at));
        return None;
    }
    Some(Table { header, entries })
}

fn partitions(table: &Table, last: u64, sector: u64, findings: &mut Findings) {
    let header = &table.header;
    let at = header.entries_lba.get().saturating_mul(sector);
    let (first_usable, last_usable) = (header.first_usable_lba.get(), header.last_usable_lba.get());
    if first_usable > last_usable || last_usable > last {
        let message = format!("says that sectors {first_usable} to {last_usable} are usable, of {}", last + 1);
        findings.add(Finding::new("gpt-header", "partition table header", message).at(header.my_lba.get() * sector));
    }
    let mut known: Vec<(u32, PartitionEntry)> = Vec::new();
    for (bytes, number) in table.entries.chunks_exact(header.entry_size.get() as usize).zip(1..) {
        let (entry, _) = PartitionEntry::read_from_prefix(bytes).expect("the chunk holds the struct");
        if entry.type_guid == [0; 16] {
            continue;
        }
        let (first, end) = (entry.first_lba.get(), entry.last_lba.get());
        let mut bad = |message: String| {
            let place = at.saturating_add(u64::from(number - 1) * u64::from(header.entry_size.get()));
            findings.add(Finding::new("gpt-partition", format!("partition {number}"), message).at(place));
        };
        if first > end || first < first_usable || end > last_usable {
            bad(format!("has the sectors {first} to {end}, but only {first_usable} to {last_usable} are usable"));
        }
        if entry.guid == [0; 16] {
            bad("has no identifier".into());
        }
        for (other_number, other) in &known {
            if first <= other.last_lba.get() && other.first_lba.get() <= end {
                bad(format!("overlaps partition {other_number}"));
            }
            if entry.guid == other.guid {
                bad(format!("has the identifier {} of partition {other_number}", Guid::from_bytes(entry.guid)));
            }
        }
        known.push((number, entry));
    }
}

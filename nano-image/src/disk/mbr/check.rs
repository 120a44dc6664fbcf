//! Checks the partitions of a master boot record.

use super::{ACTIVE, SECTOR, TYPE_GPT};
use crate::content::ReadAt;
use crate::report::{Finding, Findings};
use crate::types::ByteSize;

/// Where the partitions' entries begin, and the bytes of each.
const ENTRIES: usize = 446;
const ENTRY_SIZE: usize = 16;

/// Finds what is wrong with the partitions of the master boot record of `disk`, which has `size` bytes. Partitions are
/// called by the numbers of their entries.
pub fn check(disk: &dyn ReadAt, size: ByteSize, sector_size: u32) -> Findings {
    let mut findings = Findings::default();
    let mut sector = [0; SECTOR as usize];
    let (Ok(()), Ok(Some((mbr, numbers)))) =
        (disk.read_exact_at(&mut sector, 0), super::read_numbered(disk, sector_size))
    else {
        return findings;
    };
    let place = |number: u32| ENTRIES + ENTRY_SIZE * (number as usize - 1);
    let end = |index: usize| {
        let partition = &mbr.partitions[index];
        partition.start.0.saturating_add(partition.len.bytes())
    };
    for (index, (partition, &number)) in mbr.partitions.iter().zip(&numbers).enumerate() {
        let mut bad = |message: String| {
            let text = format!("partition {number}");
            findings.add(Finding::new("mbr-partition", text, message).at(place(number) as u64));
        };
        let start = partition.start.0;
        if start == 0 || partition.len.bytes() == 0 || end(index) > size.bytes() {
            bad(format!("has the bytes {start} to {}; the disk has {}", end(index), size.bytes()));
        }
        for (other, number) in numbers.iter().enumerate().take(index) {
            if start < end(other) && mbr.partitions[other].start.0 < end(index) {
                bad(format!("overlaps partition {number}"));
            }
        }
        if partition.partition_type == TYPE_GPT {
            bad("says that the disk has a GPT; there is none that can be read".into());
        }
    }
    // A BIOS treats any other value as damage, and Windows as the absence of a partition table.
    for number in 1..=4 {
        let at = place(number);
        if ![0, ACTIVE].contains(&sector[at]) {
            let message = format!("has the active flag {:#04x}, neither 0x00 nor 0x80", sector[at]);
            findings.add(Finding::new("mbr-partition", format!("partition {number}"), message).at(at as u64));
        }
    }
    let active = mbr.partitions.iter().filter(|partition| partition.active).count();
    if active > 1 {
        let message = format!("{active} partitions are active");
        findings.add(Finding::new("mbr-partition", "MBR", message).at(ENTRIES as u64));
    }
    findings
}

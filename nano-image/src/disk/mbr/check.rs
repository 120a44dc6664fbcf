//! Checks the partitions of a master boot record.

use super::Mbr;
use crate::report::{Finding, Findings};
use crate::types::ByteSize;

/// Finds what is wrong with the partitions of `mbr`, on a disk of `size`.
pub fn check(mbr: &Mbr, size: ByteSize) -> Findings {
    let mut findings = Findings::default();
    let end = |index: usize| {
        let partition = &mbr.partitions[index];
        partition.start.0.saturating_add(partition.len.bytes())
    };
    for (index, partition) in mbr.partitions.iter().enumerate() {
        let mut bad = |message: String| {
            let text = format!("partition {}", index + 1);
            findings.add(Finding::new("mbr-partition", text, message).at(446 + 16 * index as u64));
        };
        let start = partition.start.0;
        if start == 0 || partition.len.bytes() == 0 || end(index) > size.bytes() {
            bad(format!("has the bytes {start} to {}; the disk has {}", end(index), size.bytes()));
        }
        for other in 0..index {
            if start < end(other) && mbr.partitions[other].start.0 < end(index) {
                bad(format!("overlaps partition {}", other + 1));
            }
        }
    }
    let active = mbr.partitions.iter().filter(|partition| partition.active).count();
    if active > 1 {
        findings.add(Finding::new("mbr-partition", "MBR", format!("{active} partitions are active")).at(446));
    }
    findings
}

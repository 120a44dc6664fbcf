//! Checks that every cluster is used as often as its refcount says, and only for one thing.

use std::collections::BTreeSet;

use super::format::*;
use super::read;
use crate::content::ReadAt;
use crate::disk::map::read_entries;
use crate::error::Result;
use crate::report::{Finding, Findings};

/// The most clusters of a file that are counted: 16 TiB in clusters of 64 KiB.
const MAX_CLUSTERS: u64 = 1 << 28;

/// Adds what is wrong with a file of `len` bytes.
pub(crate) fn check(file: &dyn ReadAt, len: u64, findings: &mut Findings) {
    // What keeps the file from being read is reported when it is opened.
    let (Ok(header), Ok(_)) = (read::header(file), read::open(file, len)) else { return };
    if header.incompatible_features.get() & INCOMPATIBLE_DIRTY != 0 {
        let message = "says that refcounts may be wrong: the file was not closed";
        findings.add(Finding::new("qcow2-dirty", "qcow2 header", message).at(72));
    }
    // Refcounts of other widths, and those of snapshots, are not checked.
    if header.version.get() < VERSION || header.refcount_order.get() != REFCOUNT_ORDER || header.nb_snapshots.get() != 0
    {
        return findings.skip("refcounts of qcow2 (of another width, or with snapshots)");
    }
    // Nor are bitmaps of an extension, which have clusters of their own.
    if header.autoclear_features.get() != 0 {
        return findings.skip("refcounts of qcow2 (with bitmaps)");
    }
    // Several compressed clusters may share a cluster of the file.
    if read::open(file, len).is_ok_and(|opened| opened.packed.is_some()) {
        return findings.skip("refcounts of qcow2 (with compressed clusters)");
    }
    let cluster: u64 = 1 << header.cluster_bits.get();
    let count = len.div_ceil(cluster);
    if count > MAX_CLUSTERS {
        let message = format!("are not checked: the file has {count} of them, more than {MAX_CLUSTERS}");
        return findings.add(Finding::new("qcow2-refcount", "clusters", message));
    }
    let mut usage = Usage { counts: vec![0; count as usize], cluster };
    let mut found = Findings::default();
    match usage.count(file, &header, &mut found).and_then(|()| usage.compare(file, &header, &mut found)) {
        Ok(()) => findings.append(found, |_| {}),
        Err(error) => {
            findings.append(found, |_| {});
            findings.add(Finding::new("qcow2-table", "qcow2 tables", error.message()).at(error.offset()));
        }
    }
}

/// How often each cluster of the file is used. A third use is reported like a second.
struct Usage {
    counts: Vec<u8>,
    cluster: u64,
}

impl Usage {
    fn add(&mut self, what: impl Fn() -> String, offset: u64, len: u64, at: u64, findings: &mut Findings) {
        for index in offset / self.cluster..(offset.saturating_add(len)).div_ceil(self.cluster) {
            match self.counts.get_mut(index as usize) {
                Some(count @ 0) => *count = 1,
                Some(count) => {
                    *count = 2;
                    let message = format!("lies on something else at {:#x}", index * self.cluster);
                    findings.add(Finding::new("qcow2-overlap", what(), message).at(at));
                }
                None => {
                    let message = format!("lies behind the end of the file, at {offset:#x}");
                    findings.add(Finding::new("qcow2-overlap", what(), message).at(at));
                    return;
                }
            }
        }
    }

    fn count(&mut self, file: &dyn ReadAt, header: &Header, findings: &mut Findings) -> Result<()> {
        self.add(|| "header".to_owned(), 0, self.cluster, 0, findings);
        let l1 = header.l1_table_offset.get();
        self.add(|| "L1 table".to_owned(), l1, u64::from(header.l1_size.get()) * ENTRY_SIZE, 40, findings);
        let table = header.refcount_table_offset.get();
        let table_len = u64::from(header.refcount_table_clusters.get()) * self.cluster;
        self.add(|| "refcount table".to_owned(), table, table_len, 48, findings);
        let blocks = offsets(file, table, table_len / ENTRY_SIZE, u64::MAX)?;
        for (_, offset, at) in blocks {
            self.add(|| "refcounts".to_owned(), offset, self.cluster, at, findings);
        }
        // The reader has already checked that no cluster of the disk's data is used twice.
        let is_extended = header.has_extended_l2();
        let entries = l2_entries(self.cluster, is_extended);
        let tables = header.size.get().div_ceil(self.cluster).div_ceil(entries);
        for (table, offset, at) in offsets(file, l1, tables, ENTRY_OFFSET)? {
            self.add(|| "L2 table".to_owned(), offset, self.cluster, at, findings);
            let first = table * entries;
            let all = match is_extended {
                true => offsets_of::<16>(file, offset, entries, ENTRY_OFFSET)?,
                false => offsets(file, offset, entries, ENTRY_OFFSET)?,
            };
            for (block, offset, at) in all {
                self.add(|| format!("cluster {}", first + block), offset, self.cluster, at, findings);
            }
        }
        Ok(())
    }

    fn compare(&self, file: &dyn ReadAt, header: &Header, findings: &mut Findings) -> Result<()> {
        let table_len = u64::from(header.refcount_table_clusters.get()) * self.cluster;
        let per_block = refcounts_per_block(self.cluster);
        // A block that is used twice has been reported before. It must not be read again and again.
        let mut seen = BTreeSet::new();
        let mut told = vec![false; self.counts.len().div_ceil(per_block as usize)];
        let blocks = offsets(file, header.refcount_table_offset.get(), table_len / ENTRY_SIZE, u64::MAX)?;
        for (block, offset, _) in blocks {
            if let Some(told) = told.get_mut(block as usize) {
                *told = true;
            }
            if !seen.insert(offset) {
                continue;
            }
            read_entries(file, offset, per_block, |index, at, bytes| {
                let (cluster, count) = (block * per_block + index, u16::from_be_bytes(bytes));
                let used = self.counts.get(cluster as usize).copied().unwrap_or(0);
                if count != u16::from(used) {
                    let message = format!("is used {used} times, but its refcount is {count}");
                    let what = format!("cluster at {:#x}", cluster * self.cluster);
                    findings.add(Finding::new("qcow2-refcount", what, message).at(at));
                }
                Ok(())
            })?;
        }
        for (index, _) in told.iter().enumerate().filter(|(_, told)| !**told) {
            let first = index * per_block as usize;
            let end = self.counts.len().min(first + per_block as usize);
            if self.counts[first..end].iter().any(|count| *count > 0) {
                let what = format!("clusters from {:#x} on", first as u64 * self.cluster);
                let finding = Finding::new("qcow2-refcount", what, "are used, but have no refcounts");
                findings.add(finding.at(header.refcount_table_offset.get()));
            }
        }
        Ok(())
    }
}

/// The entries of a table that lead somewhere: number, the file offset in them, and their own file offset.
fn offsets(file: &dyn ReadAt, start: u64, count: u64, mask: u64) -> Result<Vec<(u64, u64, u64)>> {
    offsets_of::<8>(file, start, count, mask)
}

/// The same for entries of `N` bytes that begin with an offset.
fn offsets_of<const N: usize>(file: &dyn ReadAt, start: u64, count: u64, mask: u64) -> Result<Vec<(u64, u64, u64)>> {
    let mut found = Vec::new();
    read_entries(file, start, count, |index, at, bytes: [u8; N]| {
        let offset = u64::from_be_bytes(bytes[..8].try_into().expect("8 bytes")) & mask;
        if offset != 0 {
            found.push((index, offset, at));
        }
        Ok(())
    })?;
    Ok(found)
}

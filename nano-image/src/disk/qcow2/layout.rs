//! The layout of a qcow2 file: header, L1 table, refcount table, refcounts, L2 tables, then the clusters in disk order.
//! Every cluster is used once, so every refcount is 1.

use std::collections::BTreeMap;
use std::sync::Arc;

use zerocopy::IntoBytes;
use zerocopy::big_endian::U64;

use super::format::*;
use crate::content::Extent;
use crate::disk::blocks::BlockMap;
use crate::disk::parent::{GRAIN, Parent};
use crate::disk::parts::{Leads, Parts, Structure, Table};
use crate::disk::row::Request;
use crate::error::{Error, Result};

/// The L2 tables, one after another. There are tables only for those parts of the disk that have a cluster in the file.
#[derive(Clone, Debug)]
struct L2Tables {
    /// Number of entries of a table.
    entries: u64,
    /// Number of each table in the L1 table, in ascending order.
    tables: Vec<u64>,
    /// For extended entries: which subclusters of each cluster are in the file, starting with the lowest bit.
    subclusters: Option<BTreeMap<u64, u32>>,
}

impl Table for L2Tables {
    fn len(&self) -> u64 {
        self.tables.len() as u64 * self.entries
    }

    fn slot(&self, block: u64) -> u64 {
        let rank = self.tables.partition_point(|table| *table < block / self.entries) as u64;
        rank * self.entries + block % self.entries
    }

    fn width(&self) -> u64 {
        l2_entry_size(self.subclusters.is_some())
    }

    fn entry(&self, block: u64, offset: u64, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(U64::new(offset | ENTRY_COPIED).as_bytes());
        if let Some(subclusters) = &self.subclusters {
            bytes.extend_from_slice(U64::new(subclusters.get(&block).copied().unwrap_or(0).into()).as_bytes());
        }
    }
}

/// Numbers of clusters of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clusters {
    l1: u64,
    refcount_table: u64,
    refcount_blocks: u64,
    l2: u64,
    data: u64,
}

impl Clusters {
    /// With enough refcounts for all clusters, including those of the refcounts.
    fn new(cluster_size: u64, l1: u64, l2: u64, data: u64) -> Self {
        let mut clusters = Self { l1, refcount_table: 0, refcount_blocks: 0, l2, data };
        loop {
            let refcount_blocks = clusters.total().div_ceil(refcounts_per_block(cluster_size));
            let refcount_table = (refcount_blocks * ENTRY_SIZE).div_ceil(cluster_size);
            let next = Self { refcount_table, refcount_blocks, ..clusters };
            if next == clusters {
                return clusters;
            }
            clusters = next;
        }
    }

    fn total(&self) -> u64 {
        1 + self.l1 + self.refcount_table + self.refcount_blocks + self.l2 + self.data
    }
}

/// What follows the header of an overlay: the format of the backing file, and its name. Also the file offset of the
/// name.
fn backing(parent: &Parent<'_>) -> Result<(Vec<u8>, usize)> {
    if parent.path.len() > MAX_BACKING_NAME {
        return Err(Error::recipe(format!("a path of {} bytes leads to the golden image", parent.path.len()))
            .with_hint(format!("a qcow2 image has room for {MAX_BACKING_NAME}")));
    }
    let extension = ExtensionHeader { kind: BACKING_FORMAT.into(), length: (parent.format.len() as u32).into() };
    let mut bytes = [extension.as_bytes(), parent.format.as_bytes()].concat();
    bytes.resize(bytes.len().next_multiple_of(8) + size_of::<ExtensionHeader>(), 0);
    let offset = size_of::<Header>() + bytes.len();
    bytes.extend_from_slice(parent.path.as_bytes());
    Ok((bytes, offset))
}

/// The subclusters of each cluster that `used` touches.
fn subclusters(cluster: u64, used: &[Extent]) -> BTreeMap<u64, u32> {
    let mut all = BTreeMap::new();
    let size = cluster / SUBCLUSTERS;
    for number in used.iter().flat_map(|extent| extent.start / size..extent.end().div_ceil(size)) {
        *all.entry(number / SUBCLUSTERS).or_insert(0) |= 1 << (number % SUBCLUSTERS);
    }
    all
}

/// Lays out a qcow2 file.
pub(crate) fn parts(request: &Request<'_>) -> Result<Parts> {
    let &Request { block_size: cluster, disk_size, used, parent, .. } = request;
    // An overlay with large clusters holds only the parts of them that differ.
    let is_extended = parent.is_some() && cluster > GRAIN;
    let entries = l2_entries(cluster, is_extended);
    let l1_entries = disk_size.bytes().div_ceil(cluster).div_ceil(entries);
    if l1_entries * ENTRY_SIZE > MAX_L1_SIZE {
        let message = format!("a qcow2 image with clusters of {cluster} bytes cannot hold a disk of {disk_size}");
        return Err(Error::recipe(message).with_hint("choose larger clusters (--block-size 2M)"));
    }
    let mut blocks = BlockMap::dynamic(cluster, used, 0, 0);
    let mut tables: Vec<u64> = Vec::new();
    for run in &blocks.runs {
        let (first, last) = (run.first / entries, (run.first + run.count - 1) / entries);
        tables.extend((first..=last).filter(|table| tables.last().is_none_or(|end| end < table)).collect::<Vec<_>>());
    }
    let clusters =
        Clusters::new(cluster, (l1_entries * ENTRY_SIZE).div_ceil(cluster), tables.len() as u64, blocks.count());

    let l1_offset = cluster;
    let refcount_table_offset = l1_offset + clusters.l1 * cluster;
    let refcounts_offset = refcount_table_offset + clusters.refcount_table * cluster;
    let l2_offset = refcounts_offset + clusters.refcount_blocks * cluster;
    blocks.start = l2_offset + clusters.l2 * cluster;

    let backing = parent.map(backing).transpose()?;
    let header = Header {
        magic: MAGIC,
        version: VERSION.into(),
        backing_file_offset: (backing.as_ref().map_or(0, |(_, offset)| *offset as u64)).into(),
        backing_file_size: (parent.map_or(0, |parent| parent.path.len() as u32)).into(),
        cluster_bits: cluster.trailing_zeros().into(),
        size: disk_size.bytes().into(),
        crypt_method: 0.into(),
        l1_size: (l1_entries as u32).into(),
        l1_table_offset: l1_offset.into(),
        refcount_table_offset: refcount_table_offset.into(),
        refcount_table_clusters: (clusters.refcount_table as u32).into(),
        nb_snapshots: 0.into(),
        snapshots_offset: 0.into(),
        incompatible_features: if is_extended { INCOMPATIBLE_EXTENDED_L2 } else { 0 }.into(),
        compatible_features: 0.into(),
        autoclear_features: 0.into(),
        refcount_order: REFCOUNT_ORDER.into(),
        header_length: HEADER_LENGTH.into(),
    };
    let mut l1 = vec![U64::ZERO; l1_entries as usize];
    for (table, offset) in tables.iter().zip((l2_offset..).step_by(cluster as usize)) {
        l1[*table as usize] = (offset | ENTRY_COPIED).into();
    }
    let refcount_blocks = (refcounts_offset..l2_offset).step_by(cluster as usize).map(U64::new);
    let refcount_table: Vec<U64> = refcount_blocks.collect();
    let subclusters = is_extended.then(|| subclusters(cluster, used));
    let file_size = blocks.end();
    debug_assert_eq!(file_size, clusters.total() * cluster);
    Ok(Parts {
        head: vec![
            (0, [header.as_bytes(), backing.as_ref().map_or(&[], |(bytes, _)| bytes)].concat().into()),
            (l1_offset, l1.as_bytes().to_vec().into()),
            (refcount_table_offset, refcount_table.as_bytes().to_vec().into()),
            (refcounts_offset, Structure::Repeated { unit: REFCOUNT_ONE, count: clusters.total() }),
            (l2_offset, Structure::Table(Arc::new(L2Tables { entries, tables, subclusters }))),
        ],
        blocks,
        leads: Leads::None,
        tail: Vec::new(),
        file_size,
        packing: None,
        content_id: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_refcount_for_every_cluster() {
        for data in [0, 1, 2047, 2048, 32_700, 32_768, 1 << 24] {
            for cluster_size in [4 << 10, 64 << 10, 2 << 20] {
                let clusters = Clusters::new(cluster_size, 1, 3, data);
                let room = clusters.refcount_blocks * refcounts_per_block(cluster_size);
                assert!(room >= clusters.total(), "{clusters:?}");
                assert!(clusters.refcount_table * cluster_size >= clusters.refcount_blocks * ENTRY_SIZE);
            }
        }
    }
}

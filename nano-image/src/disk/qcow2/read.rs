//! Reads header, L1 and L2 tables of qcow2 from untrusted files.

use std::collections::{BTreeMap, BTreeSet};

use zerocopy::FromBytes;

use super::backing;
use super::format::*;
use super::packed::{self, Compressed};
use super::subclusters::{self, CONVERT};
use crate::content::{Extent, ReadAt};
use crate::disk::layer::Packed;
use crate::disk::map::{Map, Opened, Places, has, read_array, read_entries};
use crate::disk::subformat::Subformat;
use crate::error::{Error, Result};

/// The smallest [`Header::cluster_bits`] with extended L2 entries: a subcluster has at least a sector.
const SUBCLUSTER_BITS: u32 = 14;

/// Whether a file has the signature of qcow2. Version 1, which is another format, has it too.
pub(crate) fn is_qcow2(file: &dyn ReadAt, _: u64) -> Result<bool> {
    has(file, 0, &MAGIC)
}

/// Reads everything but the clusters of a file of `len` bytes.
pub(crate) fn open(file: &dyn ReadAt, len: u64) -> Result<Opened> {
    let header = header(file)?;
    let (cluster, size) = (1 << header.cluster_bits.get(), header.size.get());
    let is_extended = header.has_extended_l2();
    let entries = l2_entries(cluster, is_extended);
    let l1_entries = u64::from(header.l1_size.get());
    let l1 = Extent { start: header.l1_table_offset.get(), len: l1_entries * ENTRY_SIZE };
    if l1_entries < size.div_ceil(cluster).div_ceil(entries) || l1.len > MAX_L1_SIZE {
        return Err(Error::corrupt(format!("an L1 table of {l1_entries} entries does not fit the disk")).at(36));
    }
    if l1.start.checked_add(l1.len).is_none_or(|end| end > len) {
        return Err(Error::corrupt("the L1 table is not in the file").at(40));
    }
    let mut tables = Vec::new();
    read_entries(file, l1.start, size.div_ceil(cluster).div_ceil(entries), |_, at, bytes| {
        tables.push((u64::from_be_bytes(bytes) & ENTRY_OFFSET, at));
        Ok(())
    })?;
    let mut structures = vec![
        (Extent { start: 0, len: cluster }, "header"),
        (l1, "L1 table"),
        (
            Extent {
                start: header.refcount_table_offset.get(),
                len: u64::from(header.refcount_table_clusters.get()) * cluster,
            },
            "refcount table",
        ),
    ];
    // Tables may not be shared by two parts of the disk: otherwise a small file could ask for much memory.
    let mut seen = BTreeSet::new();
    let (mut compressed, mut zeros) = (BTreeMap::new(), BTreeSet::new());
    let has_backing = header.backing_file_offset.get() != 0;
    // With extended entries, blocks are subclusters.
    let parts = if is_extended { SUBCLUSTERS } else { 1 };
    let mut places = Places::of_parts(parts);
    for (table, at) in tables {
        let blocks = (size.div_ceil(cluster) - places.len() / parts).min(entries);
        if table == 0 {
            places.push_absent(blocks * parts);
            continue;
        }
        if !table.is_multiple_of(cluster) || table.checked_add(cluster).is_none_or(|end| end > len) {
            return Err(Error::corrupt(format!("an L2 table at {table:#x} is not a cluster of the file")).at(at));
        }
        if !seen.insert(table) {
            return Err(Error::corrupt(format!("the L2 table at {table:#x} is used twice")).at(at));
        }
        structures.push((Extent { start: table, len: cluster }, "L2 tables"));
        if is_extended {
            let zeros = has_backing.then_some(&mut zeros);
            subclusters::read(file, table, blocks, cluster, &mut places, zeros)?;
            continue;
        }
        read_entries(file, table, blocks, |_, at, bytes| {
            let (entry, block) = (u64::from_be_bytes(bytes), places.len());
            if entry & ENTRY_COMPRESSED != 0 {
                check_compressed(&header, entry, len).map_err(|error| error.at(at))?;
                compressed.insert(block, entry);
                return places.push(None);
            }
            let place = place(entry, cluster).map_err(|error| error.at(at))?;
            if has_backing && entry & ENTRY_ZERO != 0 {
                zeros.insert(block);
            }
            places.push(place).map_err(|error| error.at(at))
        })?;
    }
    let map = Map::Blocks { block_size: cluster / parts, unit: cluster / parts, lead: 0, places };
    let cluster_bits = header.cluster_bits.get();
    let compressed = Compressed { entries: compressed, cluster_bits, len };
    let packed = (!compressed.entries.is_empty()).then(|| Box::new(compressed) as Box<dyn Packed>);
    let layer = backing::layer(file, &header, zeros)?;
    let subformat = layer.is_some().then_some(Subformat::Differencing);
    Ok(Opened { layer, packed, ..Opened::new(subformat, Some(cluster), size, map, structures) })
}

/// Checks that a compressed cluster lies in the file, and that its compression method is supported.
fn check_compressed(header: &Header, entry: u64, len: u64) -> Result<()> {
    if header.version.get() >= VERSION && header.incompatible_features.get() & INCOMPATIBLE_COMPRESSION != 0 {
        let error = Error::unsupported("the qcow2 image has clusters that are compressed with Zstandard");
        return Err(error.with_hint(CONVERT));
    }
    if packed::place(entry, header.cluster_bits.get()).0 >= len {
        return Err(Error::corrupt("a compressed cluster lies behind the end of the file"));
    }
    Ok(())
}

/// The header, if the file needs nothing that is not handled.
pub(super) fn header(file: &dyn ReadAt) -> Result<Header> {
    // In version 2 it ends at byte 72.
    let version: [u8; 4] = read_array(file, 4)?;
    let bytes: [u8; size_of::<Header>()] = match u32::from_be_bytes(version) {
        2 => {
            let short: [u8; 72] = read_array(file, 0)?;
            let mut bytes = [0; size_of::<Header>()];
            bytes[..72].copy_from_slice(&short);
            bytes
        }
        3 => read_array(file, 0)?,
        version => {
            let error = Error::unsupported(format!("version {version} of QCOW is not handled")).at(4);
            return Err(error.with_hint(CONVERT));
        }
    };
    let header = Header::read_from_bytes(&bytes).expect("the array has the struct's size");
    let bits = header.cluster_bits.get();
    if !(CLUSTER_BITS[0]..=CLUSTER_BITS[1]).contains(&bits) {
        return Err(Error::corrupt(format!("a qcow2 image cannot have clusters of 2^{bits} bytes")).at(20));
    }
    if header.has_extended_l2() && bits < SUBCLUSTER_BITS {
        return Err(Error::corrupt(format!("clusters of 2^{bits} bytes have no parts")).at(20));
    }
    let size = header.size.get();
    if size == 0 || !size.is_multiple_of(512) || size > MAX_L1_SIZE << (2 * bits - 6) {
        return Err(Error::corrupt(format!("this qcow2 image cannot hold a disk of {size} bytes")).at(24));
    }
    if header.crypt_method.get() != 0 {
        return Err(Error::unsupported("the qcow2 image is encrypted").at(32).with_hint(CONVERT));
    }
    // The compression method matters only if something is compressed.
    let known = INCOMPATIBLE_DIRTY | INCOMPATIBLE_COMPRESSION | INCOMPATIBLE_EXTENDED_L2;
    match header.incompatible_features.get() & !known {
        0 => Ok(header),
        features if features & INCOMPATIBLE_CORRUPT != 0 => {
            let error = Error::corrupt("the qcow2 image is marked as damaged").at(72);
            Err(error.with_hint("repair it: qemu-img check -r all FILE"))
        }
        features => {
            let error =
                Error::unsupported(format!("the qcow2 image needs features that are not handled: {features:#x}"));
            Err(error.at(72).with_hint(CONVERT))
        }
    }
}

/// The cluster of the file to which an L2 entry leads.
fn place(entry: u64, cluster: u64) -> Result<Option<u64>> {
    let offset = entry & ENTRY_OFFSET;
    if entry & ENTRY_RESERVED != 0 || !offset.is_multiple_of(cluster) {
        return Err(Error::corrupt(format!("bad L2 entry {entry:#x}")));
    }
    Ok((entry & ENTRY_ZERO == 0 && offset != 0).then_some(offset / cluster))
}

//! The layout of a monolithicSparse file: header, description, the redundant and the main grain directory with their
//! tables, then the grains in disk order.

use std::sync::Arc;

use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::description::{description, too_much};
use super::format::*;
use super::stream;
use crate::disk::blocks::BlockMap;
use crate::disk::parts::{Leads, Parts, Structure, Table};
use crate::disk::row::Request;
use crate::disk::subformat::Subformat;
use crate::error::{Error, Result};

/// All grain tables, one after another.
#[derive(Clone, Copy, Debug)]
struct GrainTables {
    tables: u64,
}

impl Table for GrainTables {
    fn len(&self) -> u64 {
        self.tables * TABLE_ENTRIES
    }

    fn slot(&self, block: u64) -> u64 {
        block
    }

    fn width(&self) -> u64 {
        4
    }

    fn entry(&self, _: u64, offset: u64, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(U32::new((offset / SECTOR) as u32).as_bytes());
    }
}

/// Lays out a VMDK file.
pub(crate) fn parts(request: &Request<'_>) -> Result<Parts> {
    let &Request { subformat, block_size: grain, disk_size, used, identity, .. } = request;
    if disk_size.bytes() > MAX_DISK_SIZE || !disk_size.bytes().is_multiple_of(grain) {
        return Err(Error::recipe(format!("a VMDK cannot hold a disk of {disk_size}"))
            .with_hint("choose a whole number of MiB, up to 2 TiB (--size)"));
    }
    if subformat == Some(Subformat::StreamOptimized) {
        return stream::parts(request);
    }
    let capacity = disk_size.bytes() / SECTOR;
    let tables = disk_size.bytes().div_ceil(grain).div_ceil(TABLE_ENTRIES);
    let directory_sectors = (tables * 4).div_ceil(SECTOR);
    let table_sectors = TABLE_ENTRIES * 4 / SECTOR;
    let rgd = 1 + DESCRIPTOR_SECTORS;
    let rgt = rgd + directory_sectors;
    let gd = rgt + tables * table_sectors;
    let gt = gd + directory_sectors;
    let overhead = (gt + tables * table_sectors).next_multiple_of(grain / SECTOR);

    let blocks = BlockMap::dynamic(grain, used, overhead * SECTOR, 0);
    let file_size = blocks.end();
    if file_size / SECTOR > u64::from(u32::MAX) {
        return Err(too_much(disk_size));
    }
    let header = SparseHeader {
        magic: MAGIC,
        version: 1.into(),
        flags: (FLAG_NEWLINES | FLAG_REDUNDANT).into(),
        capacity: capacity.into(),
        grain_size: (grain / SECTOR).into(),
        descriptor_offset: 1.into(),
        descriptor_size: DESCRIPTOR_SECTORS.into(),
        table_entries: (TABLE_ENTRIES as u32).into(),
        rgd_offset: rgd.into(),
        gd_offset: gd.into(),
        overhead: overhead.into(),
        unclean_shutdown: 0,
        newlines: NEWLINES,
        compression: 0.into(),
        reserved: [0; 433],
    };
    let directory = |first: u64| -> Vec<u8> {
        (0..tables).flat_map(|table| ((first + table * table_sectors) as u32).to_le_bytes()).collect()
    };
    let text = description("monolithicSparse", capacity, identity.bytes.signature("VMDK content"));
    let description = Structure::Named { text, name: "disk.vmdk".into() };
    let table = || Structure::Table(Arc::new(GrainTables { tables }));
    Ok(Parts {
        head: vec![
            (0, header.as_bytes().to_vec().into()),
            (SECTOR, description),
            (rgd * SECTOR, directory(rgt).into()),
            (rgt * SECTOR, table()),
            (gd * SECTOR, directory(gt).into()),
            (gt * SECTOR, table()),
        ],
        blocks,
        leads: Leads::None,
        tail: Vec::new(),
        file_size,
        packing: None,
        content_id: None,
    })
}

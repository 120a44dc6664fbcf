//! The layout of a VHD file: fixed is the disk and a footer; dynamic is a copy of the footer, the header, the block
//! allocation table, the blocks in disk order with their bitmaps, and the footer.

use std::sync::Arc;

use zerocopy::IntoBytes;
use zerocopy::big_endian::{U32, U64};

use super::format::*;
use crate::disk::blocks::BlockMap;
use crate::disk::parts::{Parts, Structure, Table};
use crate::disk::row::Request;
use crate::disk::subformat::Subformat;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::types::{ByteSize, FileTime};

const HEADER_OFFSET: u64 = size_of::<Footer>() as u64;
const TABLE_OFFSET: u64 = HEADER_OFFSET + size_of::<DynamicHeader>() as u64;

/// The block allocation table. It fills whole sectors.
#[derive(Clone, Copy, Debug)]
struct BlockTable {
    entries: u64,
}

impl Table for BlockTable {
    fn len(&self) -> u64 {
        self.entries
    }

    fn slot(&self, block: u64) -> u64 {
        block
    }

    fn width(&self) -> u64 {
        size_of::<U32>() as u64
    }

    fn absent(&self) -> u8 {
        BAT_UNUSED as u8
    }

    fn entry(&self, offset: u64, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(U32::new((offset / SECTOR) as u32).as_bytes());
    }
}

/// Lays out a VHD.
pub(crate) fn lay_out(request: &Request<'_>) -> Result<Parts> {
    let &Request { subformat, block_size: block, disk_size, used, identity, time } = request;
    if disk_size.bytes() > MAX_DISK_SIZE {
        return Err(Error::recipe(format!("a VHD cannot hold a disk of {disk_size}, the most is 2040 GiB"))
            .with_hint("choose VHDX"));
    }
    if !disk_size.bytes().is_multiple_of(ByteSize::mib(1).bytes()) {
        return Err(Error::recipe(format!("a disk of {disk_size} is not a whole number of MiB"))
            .with_hint("Azure refuses such a VHD; round the size up"));
    }
    let size = disk_size.bytes();
    match subformat {
        Some(Subformat::Fixed) => Ok(Parts {
            head: Vec::new(),
            blocks: BlockMap::fixed(size, 1, 0),
            lead: Vec::new(),
            tail: vec![(size, footer(size, TYPE_FIXED, NO_OFFSET, identity, time))],
            file_size: size + size_of::<Footer>() as u64,
        }),
        _ => {
            let entries = size.div_ceil(block);
            let table = BlockTable { entries: entries.next_multiple_of(SECTOR / size_of::<U32>() as u64) };
            let start = TABLE_OFFSET + table.entries * table.width();
            let blocks = BlockMap::dynamic(block, used, start, bitmap_size(block));
            let footer = footer(size, TYPE_DYNAMIC, HEADER_OFFSET, identity, time);
            let end = blocks.end();
            Ok(Parts {
                head: vec![
                    (0, footer.clone().into()),
                    (HEADER_OFFSET, dynamic_header(entries, block).into()),
                    (TABLE_OFFSET, Structure::Table(Arc::new(table))),
                ],
                lead: bitmap(block),
                blocks,
                tail: vec![(end, footer)],
                file_size: end + size_of::<Footer>() as u64,
            })
        }
    }
}

fn footer(size: u64, disk_type: u32, data_offset: u64, identity: &Identity, time: FileTime) -> Vec<u8> {
    let (cylinders, heads, sectors_per_track) = geometry(size / SECTOR);
    let seconds = time.unix_seconds().saturating_sub(EPOCH_UNIX_SECONDS);
    let mut footer = Footer {
        cookie: FOOTER_COOKIE,
        features: FEATURE_RESERVED.into(),
        version: VERSION.into(),
        data_offset: data_offset.into(),
        timestamp: u32::try_from(seconds).unwrap_or(u32::MAX).into(),
        // Readers take the size from `current_size` only for creators they know; for others QEMU multiplies the
        // geometry, which cuts off the end of the disk. So the file names Windows 10's creator.
        creator_application: *b"win ",
        creator_version: 0x000A_0000.into(),
        creator_host_os: *b"Wi2k",
        original_size: size.into(),
        current_size: size.into(),
        cylinders: cylinders.into(),
        heads,
        sectors_per_track,
        disk_type: disk_type.into(),
        checksum: U32::ZERO,
        // A differencing disk knows its parent by it.
        unique_id: identity.bytes.guid("vhd unique id").to_bytes(),
        saved_state: 0,
        reserved: [0; 427],
    };
    footer.checksum = checksum(footer.as_bytes()).into();
    footer.as_bytes().to_vec()
}

fn dynamic_header(entries: u64, block_size: u64) -> Vec<u8> {
    let mut header = DynamicHeader {
        cookie: HEADER_COOKIE,
        data_offset: U64::new(NO_OFFSET),
        table_offset: TABLE_OFFSET.into(),
        version: VERSION.into(),
        max_table_entries: (entries as u32).into(),
        block_size: (block_size as u32).into(),
        checksum: U32::ZERO,
        parent_unique_id: [0; 16],
        parent_timestamp: U32::ZERO,
        reserved: U32::ZERO,
        parent_name: [0; 512],
        parent_locators: [0; 192],
        reserved2: [0; 256],
    };
    header.checksum = checksum(header.as_bytes()).into();
    header.as_bytes().to_vec()
}

/// The sector bitmap of a block: every sector is used. Readers that honour it see the zeros that the file holds.
fn bitmap(block_size: u64) -> Vec<u8> {
    let mut bitmap = vec![0xFF; (block_size / SECTOR / 8) as usize];
    bitmap.resize(bitmap_size(block_size) as usize, 0);
    bitmap
}

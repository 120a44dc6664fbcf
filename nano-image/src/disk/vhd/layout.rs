//! The layout of a VHD file. A fixed one is the disk and a footer. A dynamic one is a copy of the footer, the header,
//! the block allocation table, the blocks in disk order with their bitmaps, and the footer.

use std::sync::Arc;

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::format::*;
use crate::content::Extent;
use crate::disk::blocks::BlockMap;
use crate::disk::parent::Parent;
use crate::disk::parts::{Leads, Parts, Structure, Table};
use crate::disk::row::Request;
use crate::disk::subformat::Subformat;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::types::text::to_utf16;
use crate::types::{ByteSize, FileTime, Guid};

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

    fn entry(&self, _: u64, offset: u64, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(U32::new((offset / SECTOR) as u32).as_bytes());
    }
}

/// Lays out a VHD.
pub(crate) fn parts(request: &Request<'_>) -> Result<Parts> {
    let &Request { subformat, block_size: block, disk_size, used, identity, time, parent, .. } = request;
    if disk_size.bytes() > MAX_DISK_SIZE {
        return Err(Error::recipe(format!("a VHD cannot hold a disk of {disk_size}, only up to 2040 GiB"))
            .with_hint("choose VHDX"));
    }
    if !disk_size.bytes().is_multiple_of(ByteSize::mib(1).bytes()) {
        return Err(Error::recipe(format!("a disk of {disk_size} is not a whole number of MiB"))
            .with_hint("Azure refuses such a VHD; round the size up"));
    }
    let (size, content_id) = (disk_size.bytes(), Some(unique_id(identity)));
    match subformat {
        Some(Subformat::Fixed) => Ok(Parts {
            head: Vec::new(),
            blocks: BlockMap::fixed(size, 1, 0),
            leads: Leads::None,
            tail: vec![(size, footer(size, TYPE_FIXED, NO_OFFSET, identity, time))],
            file_size: size + size_of::<Footer>() as u64,
            packing: None,
            content_id,
        }),
        _ => {
            let entries = size.div_ceil(block);
            let table = BlockTable { entries: entries.next_multiple_of(SECTOR / size_of::<U32>() as u64) };
            let path_offset = TABLE_OFFSET + table.entries * table.width();
            let path: Vec<u8> = parent.map(path_of).unwrap_or_default();
            let start = path_offset + path.len().next_multiple_of(SECTOR as usize) as u64;
            let blocks = BlockMap::dynamic(block, used, start, bitmap_size(block));
            let disk_type = if parent.is_some() { TYPE_DIFFERENCING } else { TYPE_DYNAMIC };
            let footer = footer(size, disk_type, HEADER_OFFSET, identity, time);
            let end = blocks.end();
            let leads = match parent {
                Some(_) => Leads::Each(bitmaps(&blocks, used)),
                None => Leads::Same(bitmap(block)),
            };
            Ok(Parts {
                head: vec![
                    (0, footer.clone().into()),
                    (HEADER_OFFSET, dynamic_header(entries, block, parent, path_offset, path.len()).into()),
                    (TABLE_OFFSET, Structure::Table(Arc::new(table))),
                    (path_offset, path.into()),
                ],
                leads,
                blocks,
                tail: vec![(end, footer)],
                file_size: end + size_of::<Footer>() as u64,
                packing: None,
                content_id,
            })
        }
    }
}

fn footer(size: u64, disk_type: u32, data_offset: u64, identity: &Identity, time: FileTime) -> Vec<u8> {
    let (cylinders, heads, sectors_per_track) = geometry(size / SECTOR);
    let mut footer = Footer {
        cookie: FOOTER_COOKIE,
        features: FEATURE_RESERVED.into(),
        version: VERSION.into(),
        data_offset: data_offset.into(),
        timestamp: timestamp(time),
        // Readers take the size from `current_size` only if they know the creator. For other creators QEMU computes it
        // from the geometry, which cuts off the end of the disk. So the file names Windows 10's creator.
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
        // A differencing disk recognises its parent by it.
        unique_id: unique_id(identity).to_bytes(),
        saved_state: 0,
        reserved: [0; 427],
    };
    footer.checksum = checksum(footer.as_bytes()).into();
    footer.as_bytes().to_vec()
}

/// Seconds since 2000.
fn timestamp(time: FileTime) -> U32 {
    u32::try_from(time.unix_seconds().saturating_sub(EPOCH_UNIX_SECONDS)).unwrap_or(u32::MAX).into()
}

fn unique_id(identity: &Identity) -> Guid {
    identity.bytes.guid("vhd unique id")
}

/// The parent's path. The absolute path is left out: if it were wrong, Windows would treat the file as damaged.
fn path_of(parent: &Parent<'_>) -> Vec<u8> {
    to_utf16(&parent.windows_path())
}

fn dynamic_header(entries: u64, block_size: u64, parent: Option<&Parent<'_>>, path: u64, path_len: usize) -> Vec<u8> {
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
        parent_name: [U16::ZERO; 256],
        parent_locators: FromZeros::new_zeroed(),
        reserved2: [0; 256],
    };
    if let Some(parent) = parent {
        header.parent_unique_id = unique_id(parent.identity).to_bytes();
        header.parent_timestamp = timestamp(parent.time);
        let name = parent.path.rsplit('/').next().unwrap_or_default();
        // The last unit stays zero.
        let units = name.encode_utf16().take(header.parent_name.len() - 1);
        header.parent_name.iter_mut().zip(units).for_each(|(place, unit)| *place = unit.into());
        header.parent_locators[0] = ParentLocator {
            platform_code: RELATIVE_PATH,
            data_space: (path_len.next_multiple_of(SECTOR as usize) as u32).into(),
            data_length: (path_len as u32).into(),
            reserved: U32::ZERO,
            data_offset: path.into(),
        };
    }
    header.checksum = checksum(header.as_bytes()).into();
    header.as_bytes().to_vec()
}

/// The sector bitmap of a block: every sector is used. Readers that follow it read the zeros in the file.
fn bitmap(block_size: u64) -> Vec<u8> {
    let mut bitmap = vec![0xFF; (block_size / SECTOR / 8) as usize];
    bitmap.resize(bitmap_size(block_size) as usize, 0);
    bitmap
}

/// The sector bitmap of each block of a differencing disk: which sectors are in the file, highest bit first.
fn bitmaps(blocks: &BlockMap, used: &[Extent]) -> Vec<Vec<u8>> {
    let mut bitmaps = vec![vec![0; bitmap_size(blocks.block_size) as usize]; blocks.count() as usize];
    let all = blocks.runs.iter().flat_map(|run| run.first..run.first + run.count);
    let (mut rest, mut used) = (bitmaps.iter_mut(), used.iter().peekable());
    for block in all {
        let bitmap = rest.next().expect("one for each block");
        let (start, end) = (block * blocks.block_size, (block + 1) * blocks.block_size);
        while let Some(extent) = used.peek() {
            let sectors = extent.start.max(start) / SECTOR..extent.end().min(end).div_ceil(SECTOR);
            for sector in sectors.map(|sector| sector - start / SECTOR) {
                bitmap[(sector / 8) as usize] |= 0x80 >> (sector % 8);
            }
            if extent.end() > end {
                break;
            }
            used.next();
        }
    }
    bitmaps
}

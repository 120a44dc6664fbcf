//! The layout of a VHDX file: headers, log, metadata, block allocation table, then the blocks in disk order.

use std::sync::Arc;

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use super::differencing;
use super::format::*;
use crate::disk::blocks::BlockMap;
use crate::disk::parts::{Leads, Parts, Structure, Table};
use crate::disk::row::Request;
use crate::disk::subformat::Subformat;
use crate::error::{Error, Result};
use crate::types::{ByteSize, Guid};

const LOG_OFFSET: u64 = MIB;
const METADATA_OFFSET: u64 = 2 * MIB;
const BAT_OFFSET: u64 = 3 * MIB;

/// Hyper-V's default.
const PHYSICAL_SECTOR: u32 = 4096;

/// The block allocation table.
#[derive(Clone, Copy, Debug)]
struct BlockTable {
    entries: u64,
    chunk_ratio: u64,
}

impl Table for BlockTable {
    fn len(&self) -> u64 {
        self.entries
    }

    fn slot(&self, block: u64) -> u64 {
        // Between two chunks there is the entry of a sector bitmap, here zero.
        block + block / self.chunk_ratio
    }

    fn width(&self) -> u64 {
        size_of::<BatEntry>() as u64
    }

    fn entry(&self, _: u64, offset: u64, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(BatEntry::new(offset | BLOCK_FULLY_PRESENT).as_bytes());
    }
}

/// Lays out a VHDX.
pub(crate) fn parts(request: &Request<'_>) -> Result<Parts> {
    let &Request { subformat, block_size: block, disk_size, sector_size, used, identity, parent, .. } = request;
    if disk_size.bytes() > MAX_DISK_SIZE {
        return Err(Error::recipe(format!("a VHDX cannot hold a disk of {disk_size}, only up to 64 TiB")));
    }

    let chunk_ratio = chunk_ratio(sector_size.into(), block);
    let payload_blocks = disk_size.bytes().div_ceil(block);
    let entries = match parent {
        Some(_) => differencing_bat_entries(payload_blocks, chunk_ratio),
        None => bat_entries(payload_blocks, chunk_ratio),
    };
    let table = BlockTable { entries, chunk_ratio };
    let table_size = (table.entries * table.width()).next_multiple_of(MIB);
    let start = BAT_OFFSET + table_size;
    let (mut blocks, flags) = match subformat {
        Some(Subformat::Differencing) => (BlockMap::dynamic(block, used, start, 0), HAS_PARENT),
        Some(Subformat::Fixed) => (BlockMap::fixed(block, payload_blocks, start), LEAVE_BLOCKS_ALLOCATED),
        _ => (BlockMap::dynamic(block, used, start, 0), 0),
    };

    let regions = region_table(table_size as u32);
    let form = subformat.unwrap_or(Subformat::Dynamic).name();
    let of_parent = parent.map(|parent| format!(" of {}", parent.identity.bytes)).unwrap_or_default();
    let ids = WriteGuids {
        file: identity.bytes.guid(&format!("vhdx file write, {form} blocks of {block}{of_parent}")),
        data: identity.bytes.guid(differencing::DATA_WRITE),
    };
    let mut head = vec![(0, identifier().into())];
    head.extend(HEADER_OFFSETS.iter().zip(1..).map(|(&offset, number)| (offset, header(ids, number).into())));
    head.extend(REGION_TABLE_OFFSETS.iter().map(|&offset| (offset, regions.clone().into())));
    // The parent has the same identifier.
    let disk = parent.map_or(&identity.disk, |parent| &parent.identity.disk);
    let locator = parent.map(differencing::parent_locator);
    let disk = VirtualDisk { size: disk_size, sector_size, id: disk.guid("vhdx virtual disk") };
    let metadata = metadata(block as u32, flags, disk, locator.as_deref());
    head.extend(metadata.map(|(offset, bytes)| (offset, bytes.into())));
    match parent {
        Some(_) => {
            let sector = sector_size.into();
            head.extend(differencing::tables(BAT_OFFSET, start, chunk_ratio, sector, &mut blocks, used));
        }
        None => head.push((BAT_OFFSET, Structure::Table(Arc::new(table)))),
    }
    let file_size = blocks.end();
    Ok(Parts {
        head,
        blocks,
        leads: Leads::None,
        tail: Vec::new(),
        file_size,
        packing: None,
        content_id: Some(ids.data),
    })
}

fn identifier() -> Vec<u8> {
    let mut identifier = FileIdentifier { signature: FILE_SIGNATURE, creator: [U16::ZERO; 256] };
    for (unit, char) in identifier.creator.iter_mut().zip("nano-image".encode_utf16()) {
        *unit = char.into();
    }
    identifier.as_bytes().to_vec()
}

/// Identifiers that say that files have the same bytes ([MS-VHDX] 2.2.2): of the file, and of the data that users of
/// the disk see.
#[derive(Clone, Copy)]
struct WriteGuids {
    file: Guid,
    data: Guid,
}

fn header(ids: WriteGuids, sequence_number: u64) -> Vec<u8> {
    let mut header = Header {
        signature: HEADER_SIGNATURE,
        checksum: U32::ZERO,
        sequence_number: sequence_number.into(),
        file_write_guid: ids.file.to_bytes(),
        data_write_guid: ids.data.to_bytes(),
        log_guid: Guid::NIL.to_bytes(),
        log_version: U16::ZERO,
        version: VERSION.into(),
        log_length: (MIB as u32).into(),
        log_offset: LOG_OFFSET.into(),
        reserved: [0; 4016],
    };
    header.checksum = crc32c::crc32c(header.as_bytes()).into();
    header.as_bytes().to_vec()
}

fn region_table(bat_size: u32) -> Vec<u8> {
    let region = |guid: Guid, offset: u64, length: u32| RegionEntry {
        guid: guid.to_bytes(),
        file_offset: offset.into(),
        length: length.into(),
        required: 1.into(),
    };
    let entries = [region(BAT_REGION, BAT_OFFSET, bat_size), region(METADATA_REGION, METADATA_OFFSET, MIB as u32)];
    let mut header = RegionTableHeader {
        signature: REGION_SIGNATURE,
        checksum: U32::ZERO,
        entry_count: (entries.len() as u32).into(),
        reserved: U32::ZERO,
    };
    let mut table = [header.as_bytes(), entries.as_bytes()].concat();
    table.resize(REGION_TABLE_SIZE, 0);
    header.checksum = crc32c::crc32c(&table).into();
    table[..size_of::<RegionTableHeader>()].copy_from_slice(header.as_bytes());
    // The rest is zero.
    table.truncate(size_of::<RegionTableHeader>() + entries.as_bytes().len());
    table
}

/// What belongs to the disk rather than to the file.
struct VirtualDisk {
    size: ByteSize,
    sector_size: u32,
    id: Guid,
}

/// The metadata table and the items behind it.
fn metadata(block_size: u32, flags: u32, disk: VirtualDisk, locator: Option<&[u8]>) -> [(u64, Vec<u8>); 2] {
    let parameters = FileParameters { block_size: block_size.into(), flags: flags.into() };
    let of_disk = ITEM_IS_VIRTUAL_DISK | ITEM_IS_REQUIRED;
    let (disk_size, disk_id) = (disk.size.bytes().to_le_bytes(), disk.id.to_bytes());
    let (logical, physical) = (disk.sector_size.to_le_bytes(), PHYSICAL_SECTOR.to_le_bytes());
    let mut items: Vec<(Guid, u32, &[u8])> = vec![
        (FILE_PARAMETERS, ITEM_IS_REQUIRED, parameters.as_bytes()),
        (VIRTUAL_DISK_SIZE, of_disk, &disk_size),
        (VIRTUAL_DISK_ID, of_disk, &disk_id),
        (LOGICAL_SECTOR_SIZE, of_disk, &logical),
        (PHYSICAL_SECTOR_SIZE, of_disk, &physical),
    ];
    items.extend(locator.map(|locator| (PARENT_LOCATOR, ITEM_IS_REQUIRED, locator)));
    let header = MetadataTableHeader {
        signature: METADATA_SIGNATURE,
        reserved: U16::ZERO,
        entry_count: (items.len() as u16).into(),
        reserved2: [0; 20],
    };
    let (mut table, mut values) = (header.as_bytes().to_vec(), Vec::new());
    for (id, flags, value) in items {
        let entry = MetadataEntry {
            item_id: id.to_bytes(),
            offset: ((METADATA_TABLE_SIZE + values.len()) as u32).into(),
            length: (value.len() as u32).into(),
            flags: flags.into(),
            reserved: U32::ZERO,
        };
        table.extend_from_slice(entry.as_bytes());
        values.extend_from_slice(value);
    }
    [(METADATA_OFFSET, table), (METADATA_OFFSET + METADATA_TABLE_SIZE as u64, values)]
}

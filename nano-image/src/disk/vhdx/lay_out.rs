//! The layout of a VHDX file: headers, log, metadata, block allocation table, then the blocks in disk order.

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U64};

use super::format::*;
use crate::content::Extent;
use crate::disk::Subformat;
use crate::disk::blocks::{BlockMap, BlockRun};
use crate::disk::container::Parts;
use crate::error::{Error, Result};
use crate::identity::{Identity, Seed};
use crate::types::{ByteSize, Guid};

const LOG_OFFSET: u64 = MIB;
const METADATA_OFFSET: u64 = 2 * MIB;
const BAT_OFFSET: u64 = 3 * MIB;

const LOGICAL_SECTOR: u32 = 512;
/// Hyper-V's default.
const PHYSICAL_SECTOR: u32 = 4096;

/// Entries of the block allocation table made at a time: a fixed disk of 64 TiB has 512 MiB of them.
const ENTRIES_PER_PIECE: u64 = 8192;

/// The block allocation table, made from the block map while it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    chunk_ratio: u64,
}

impl Table {
    /// Hands out the entries that are not zero, ascending, with their file offset.
    pub(crate) fn for_each_piece(
        &self,
        blocks: &BlockMap,
        mut put: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut piece: Vec<BatEntry> = Vec::with_capacity(ENTRIES_PER_PIECE as usize);
        for &BlockRun { first, count, rank } in &blocks.runs {
            let mut done = 0;
            while done < count {
                let block = first + done;
                // A sector bitmap's entry, zero here, lies between two chunks.
                let n = (count - done).min(ENTRIES_PER_PIECE).min(self.chunk_ratio - block % self.chunk_ratio);
                let offset = |i: u64| blocks.offset_of_rank(rank + done + i);
                piece.clear();
                piece.extend((0..n).map(|i| U64::new(offset(i) | BLOCK_FULLY_PRESENT)));
                put(BAT_OFFSET + (block + block / self.chunk_ratio) * size_of::<BatEntry>() as u64, piece.as_bytes())?;
                done += n;
            }
        }
        Ok(())
    }
}

/// Lays out a VHDX; sizes of disk and blocks are checked.
pub(crate) fn lay_out(
    subformat: Subformat,
    block_size: ByteSize,
    disk_size: ByteSize,
    used: &[Extent],
    identity: &Identity,
) -> Result<Parts> {
    let block = block_size.bytes();
    if !block.is_power_of_two() || !(BLOCK_SIZES[0]..=BLOCK_SIZES[1]).contains(&block) {
        return Err(Error::recipe(format!("a VHDX cannot have blocks of {block_size}"))
            .with_hint("choose a power of two from 1 MiB to 256 MiB"));
    }
    if disk_size.bytes() > MAX_DISK_SIZE {
        return Err(Error::recipe(format!("a VHDX cannot hold a disk of {disk_size}, the most is 64 TiB")));
    }

    let chunk_ratio = chunk_ratio(LOGICAL_SECTOR.into(), block);
    let payload_blocks = disk_size.bytes().div_ceil(block);
    let table_size = bat_entries(payload_blocks, chunk_ratio) * size_of::<BatEntry>() as u64;
    let table_size = table_size.next_multiple_of(MIB);
    let start = BAT_OFFSET + table_size;
    let (blocks, flags) = match subformat {
        Subformat::Dynamic => (BlockMap::dynamic(block, used, start, 0), 0),
        Subformat::Fixed => (BlockMap::fixed(block, payload_blocks, start), LEAVE_BLOCKS_ALLOCATED),
    };

    let regions = region_table(table_size as u32);
    let ids = WriteGuids {
        file: identity.bytes.guid(&format!("vhdx file write, {} blocks of {block}", subformat.name())),
        data: identity.bytes.guid("vhdx data write"),
    };
    let mut head = vec![(0, identifier())];
    head.extend(HEADER_OFFSETS.iter().zip(1..).map(|(&offset, number)| (offset, header(ids, number))));
    head.extend(REGION_TABLE_OFFSETS.iter().map(|&offset| (offset, regions.clone())));
    head.extend(metadata(block as u32, flags, disk_size, &identity.disk));
    let file_size = blocks.end();
    Ok(Parts { head, table: Some(Table { chunk_ratio }), blocks, lead: Vec::new(), tail: Vec::new(), file_size })
}

fn identifier() -> Vec<u8> {
    let mut identifier = FileIdentifier { signature: FILE_SIGNATURE, creator: [U16::ZERO; 256] };
    for (unit, char) in identifier.creator.iter_mut().zip("nano-image".encode_utf16()) {
        *unit = char.into();
    }
    identifier.as_bytes().to_vec()
}

/// What says that a file has the same bytes ([MS-VHDX] 2.2.2): the file, and the data that users of the disk see.
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
    table
}

/// The metadata table and the items behind it.
fn metadata(block_size: u32, flags: u32, disk_size: ByteSize, seed: &Seed) -> [(u64, Vec<u8>); 2] {
    let parameters = FileParameters { block_size: block_size.into(), flags: flags.into() };
    let disk = ITEM_IS_VIRTUAL_DISK | ITEM_IS_REQUIRED;
    let items: [(Guid, u32, &[u8]); 5] = [
        (FILE_PARAMETERS, ITEM_IS_REQUIRED, parameters.as_bytes()),
        (VIRTUAL_DISK_SIZE, disk, &disk_size.bytes().to_le_bytes()),
        (VIRTUAL_DISK_ID, disk, &seed.guid("vhdx virtual disk").to_bytes()),
        (LOGICAL_SECTOR_SIZE, disk, &LOGICAL_SECTOR.to_le_bytes()),
        (PHYSICAL_SECTOR_SIZE, disk, &PHYSICAL_SECTOR.to_le_bytes()),
    ];
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

//! Reads VHDX headers, metadata and block allocation table from untrusted files.

use std::collections::{BTreeMap, BTreeSet};

use zerocopy::{FromBytes, IntoBytes};

use super::format::*;
use super::locator;
use crate::content::{Extent, ReadAt};
use crate::disk::layer::{Layer, ParentLink};
use crate::disk::map::{Map, Opened, Places, has, read_array, read_entries, read_into};
use crate::disk::subformat::Subformat;
use crate::error::{Error, Result};
use crate::types::Guid;

/// Whether a file has the signature of a VHDX, or the structures that follow a damaged one.
pub(crate) fn is_vhdx(file: &dyn ReadAt, _: u64) -> Result<bool> {
    if has(file, 0, &FILE_SIGNATURE)? {
        return Ok(true);
    }
    for offset in REGION_TABLE_OFFSETS {
        if has(file, offset, &REGION_SIGNATURE)? && has(file, HEADER_OFFSETS[0], &HEADER_SIGNATURE)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads everything but the blocks of a file of `len` bytes.
pub(crate) fn open(file: &dyn ReadAt, len: u64) -> Result<Opened> {
    if !has(file, 0, &FILE_SIGNATURE)? {
        let hint = "the rest looks like a VHDX; write these 8 bytes again, or take a copy of the file";
        return Err(Error::corrupt("the file does not begin with `vhdxfile`").at(0).with_hint(hint));
    }
    let header = header(file)?;
    if header.log_guid != [0; 16] {
        return Err(Error::unsupported("the VHDX was not closed: its log holds changes that are not yet in place")
            .at(header.log_offset.get())
            .with_hint("open it once with Hyper-V (Mount-VHD) or run `qemu-img check -r all` on it"));
    }
    let regions = regions(file, len)?;
    let metadata = Metadata::read(file, region(&regions, METADATA_REGION, "metadata")?)?;

    let payload_blocks = metadata.disk_size.div_ceil(metadata.block_size);
    let chunk_ratio = chunk_ratio(metadata.logical_sector_size.into(), metadata.block_size);
    let bat = region(&regions, BAT_REGION, "block allocation table")?;
    let entries = match metadata.parent {
        Some(_) => differencing_bat_entries(payload_blocks, chunk_ratio),
        None => bat_entries(payload_blocks, chunk_ratio),
    };
    if entries * size_of::<BatEntry>() as u64 > bat.length.get().into() {
        return Err(Error::corrupt("the block allocation table is shorter than the disk").at(bat.file_offset.get()));
    }
    let mut blocks = Blocks::default();
    blocks.read(file, bat.file_offset.get(), entries, &metadata, len)?;
    let Blocks { places, zeros, partial, bitmaps: bitmap_blocks } = blocks;
    let kib = |start: u64, len: u64| Extent { start: start << 10, len: len << 10 };
    let region = |entry: &RegionEntry| Extent { start: entry.file_offset.get(), len: entry.length.get().into() };
    let mut structures = vec![
        (kib(0, 64), "file identifier"),
        (kib(64, 64), "header 1"),
        (kib(128, 64), "header 2"),
        (kib(192, 64), "region table 1"),
        (kib(256, 64), "region table 2"),
        (Extent { start: header.log_offset.get(), len: header.log_length.get().into() }, "log"),
    ];
    for (guid, entry) in &regions {
        let name = match *guid {
            BAT_REGION => "block allocation table",
            METADATA_REGION => "metadata",
            _ => "other regions",
        };
        structures.push((region(entry), name));
    }
    let sector_size = u64::from(metadata.logical_sector_size);
    let layer = match metadata.parent {
        None => None,
        Some(parent) => {
            structures.extend(bitmap_blocks.values().map(|at| (Extent { start: *at, len: MIB }, "sector bitmaps")));
            let mut bitmaps = BTreeMap::new();
            for block in partial {
                let bits = bitmap_blocks.get(&(block / chunk_ratio));
                let bits =
                    bits.ok_or_else(|| Error::corrupt(format!("block {block} of the VHDX lacks its sector bitmap")))?;
                bitmaps.insert(block, bits + block % chunk_ratio * (metadata.block_size / sector_size / 8));
            }
            Some(Layer { parent, zeros, bitmaps, sector_size, high_bit_first: false })
        }
    };
    let subformat = match (&layer, metadata.fixed) {
        (Some(_), _) => Subformat::Differencing,
        (None, true) => Subformat::Fixed,
        (None, false) => Subformat::Dynamic,
    };
    let (block_size, size) = (metadata.block_size, metadata.disk_size);
    let map = Map::Blocks { block_size, unit: MIB, lead: 0, places };
    Ok(Opened {
        logical_sector_size: metadata.logical_sector_size,
        id: Some(metadata.id),
        content_id: Some(Guid::from_bytes(header.data_write_guid)),
        layer,
        ..Opened::new(Some(subformat), Some(block_size), size, map, structures)
    })
}

/// The valid header with the higher sequence number.
fn header(file: &dyn ReadAt) -> Result<Header> {
    let mut newest: Option<Header> = None;
    for offset in HEADER_OFFSETS {
        let mut bytes: [u8; size_of::<Header>()] = read_array(file, offset)?;
        let header = Header::read_from_bytes(&bytes).expect("the array has the struct's size");
        bytes[4..8].fill(0);
        let valid = header.signature == HEADER_SIGNATURE && header.checksum.get() == crc32c::crc32c(&bytes);
        if valid && newest.is_none_or(|newest| newest.sequence_number.get() < header.sequence_number.get()) {
            newest = Some(header);
        }
    }
    let header = newest.ok_or_else(|| Error::corrupt("neither VHDX header is valid").at(HEADER_OFFSETS[0]))?;
    if header.version.get() != VERSION || header.log_version.get() != 0 {
        let version = header.version.get();
        return Err(Error::unsupported(format!("VHDX version {version} is not handled")).at(HEADER_OFFSETS[0] + 66));
    }
    Ok(header)
}

/// The regions of the first valid table. They are checked to lie in the file.
fn regions(file: &dyn ReadAt, len: u64) -> Result<BTreeMap<Guid, RegionEntry>> {
    let (offset, table) = REGION_TABLE_OFFSETS
        .iter()
        .find_map(|&offset| {
            let mut table = vec![0; REGION_TABLE_SIZE];
            read_into(file, offset, &mut table).ok()?;
            let (header, _) = RegionTableHeader::read_from_prefix(&table).ok()?;
            let mut summed = header;
            summed.checksum = 0.into();
            table[..size_of::<RegionTableHeader>()].copy_from_slice(summed.as_bytes());
            let valid = header.signature == REGION_SIGNATURE && header.checksum.get() == crc32c::crc32c(&table);
            valid.then_some((offset, table))
        })
        .ok_or_else(|| Error::corrupt("neither VHDX region table is valid").at(REGION_TABLE_OFFSETS[0]))?;
    let (header, entries) = RegionTableHeader::read_from_prefix(&table).expect("the table holds its header");
    let entries = entries_of::<RegionEntry>(entries, header.entry_count.get(), offset)?;

    let mut regions = BTreeMap::new();
    for entry in entries {
        let guid = Guid::from_bytes(entry.guid);
        let (start, length) = (entry.file_offset.get(), u64::from(entry.length.get()));
        let in_file = start.checked_add(length).is_some_and(|end| end <= len);
        if start < MIB || !start.is_multiple_of(MIB) || !length.is_multiple_of(MIB) || length == 0 || !in_file {
            return Err(Error::corrupt(format!("VHDX region {guid} is not aligned or not in the file")).at(offset));
        }
        if ![BAT_REGION, METADATA_REGION].contains(&guid) && entry.required.get() & 1 != 0 {
            return Err(Error::unsupported(format!("VHDX region {guid} is required but not known")).at(offset));
        }
        if regions.insert(guid, entry).is_some() {
            return Err(Error::corrupt(format!("VHDX region {guid} exists twice")).at(offset));
        }
    }
    Ok(regions)
}

fn region<'a>(regions: &'a BTreeMap<Guid, RegionEntry>, guid: Guid, name: &str) -> Result<&'a RegionEntry> {
    let missing = || Error::corrupt(format!("the VHDX has no {name} region")).at(REGION_TABLE_OFFSETS[0]);
    regions.get(&guid).ok_or_else(missing)
}

/// The `count` entries at the start of `bytes`, which are the rest of a table at file offset `offset`.
fn entries_of<T: FromBytes>(bytes: &[u8], count: u32, offset: u64) -> Result<Vec<T>> {
    if count > MAX_TABLE_ENTRIES {
        return Err(Error::corrupt(format!("a VHDX table has {count} entries, more than 2047")).at(offset));
    }
    let entries = bytes.chunks_exact(size_of::<T>()).take(count as usize);
    Ok(entries.map(|entry| T::read_from_bytes(entry).expect("the chunk has the struct's size")).collect())
}

struct Metadata {
    /// The parent of a differencing disk.
    parent: Option<ParentLink>,
    block_size: u64,
    fixed: bool,
    disk_size: u64,
    id: Guid,
    logical_sector_size: u32,
}

impl Metadata {
    fn read(file: &dyn ReadAt, region: &RegionEntry) -> Result<Self> {
        let start = region.file_offset.get();
        let mut table = vec![0; METADATA_TABLE_SIZE];
        read_into(file, start, &mut table)?;
        let (header, entries) = MetadataTableHeader::read_from_prefix(&table).expect("the table holds its header");
        if header.signature != METADATA_SIGNATURE {
            return Err(Error::corrupt("the VHDX metadata table has no signature").at(start));
        }
        let mut items = BTreeMap::new();
        for entry in entries_of::<MetadataEntry>(entries, header.entry_count.get().into(), start)? {
            let id = Guid::from_bytes(entry.item_id);
            let (offset, length) = (u64::from(entry.offset.get()), u64::from(entry.length.get()));
            let in_region = offset >= METADATA_TABLE_SIZE as u64 && offset + length <= region.length.get().into();
            if length > 0 && (length > MAX_ITEM_SIZE.into() || !in_region) {
                return Err(Error::corrupt(format!("VHDX metadata item {id} is not in its region")).at(start));
            }
            let known = [
                FILE_PARAMETERS,
                VIRTUAL_DISK_SIZE,
                VIRTUAL_DISK_ID,
                LOGICAL_SECTOR_SIZE,
                PHYSICAL_SECTOR_SIZE,
                PARENT_LOCATOR,
            ];
            if !known.contains(&id) && entry.flags.get() & ITEM_IS_REQUIRED != 0 {
                return Err(Error::unsupported(format!("VHDX metadata item {id} is required but not known")).at(start));
            }
            if items.insert(id, (start + offset, length)).is_some() {
                return Err(Error::corrupt(format!("VHDX metadata item {id} exists twice")).at(start));
            }
        }

        let parameters: FileParameters = item(file, &items, FILE_PARAMETERS, "file parameters")?;
        let parent = match parameters.flags.get() & HAS_PARENT {
            0 => None,
            _ => {
                let missing = || Error::corrupt("the differencing VHDX does not say what its parent is").at(start);
                let &(offset, len) = items.get(&PARENT_LOCATOR).ok_or_else(missing)?;
                Some(locator::read(file, offset, len)?)
            }
        };
        let block_size = u64::from(parameters.block_size.get());
        if !block_size.is_power_of_two() || !(BLOCK_SIZES[0]..=BLOCK_SIZES[1]).contains(&block_size) {
            return Err(Error::corrupt(format!("a VHDX cannot have blocks of {block_size} bytes")).at(start));
        }
        let logical_sector_size =
            item::<zerocopy::little_endian::U32>(file, &items, LOGICAL_SECTOR_SIZE, "logical sector size")?.get();
        if ![512, 4096].contains(&logical_sector_size) {
            return Err(Error::corrupt(format!("a VHDX cannot have sectors of {logical_sector_size} bytes")).at(start));
        }
        let disk_size =
            item::<zerocopy::little_endian::U64>(file, &items, VIRTUAL_DISK_SIZE, "virtual disk size")?.get();
        if disk_size == 0 || disk_size > MAX_DISK_SIZE || !disk_size.is_multiple_of(logical_sector_size.into()) {
            return Err(Error::corrupt(format!("a VHDX cannot hold a disk of {disk_size} bytes")).at(start));
        }
        let id = Guid::from_bytes(item(file, &items, VIRTUAL_DISK_ID, "virtual disk id")?);
        let fixed = parameters.flags.get() & LEAVE_BLOCKS_ALLOCATED != 0;
        Ok(Self { parent, block_size, fixed, disk_size, id, logical_sector_size })
    }
}

/// The value of a metadata item that must exist.
fn item<T: FromBytes + IntoBytes>(
    file: &dyn ReadAt,
    items: &BTreeMap<Guid, (u64, u64)>,
    id: Guid,
    name: &str,
) -> Result<T> {
    let &(offset, length) =
        items.get(&id).ok_or_else(|| Error::corrupt(format!("the VHDX has no metadata item for its {name}")))?;
    if length != size_of::<T>() as u64 {
        return Err(Error::corrupt(format!("the VHDX metadata item for the {name} has {length} bytes")).at(offset));
    }
    let mut value = T::new_zeroed();
    read_into(file, offset, value.as_mut_bytes())?;
    Ok(value)
}

/// What the block allocation table says.
#[derive(Default)]
struct Blocks {
    /// The place of each payload block, in MiB.
    places: Places,
    /// For a differencing disk: blocks that are zeros, and blocks of which a part is in the file.
    zeros: BTreeSet<u64>,
    partial: Vec<u64>,
    /// Positions in bytes of the blocks with sector bitmaps, by number of the chunk.
    bitmaps: BTreeMap<u64, u64>,
}

impl Blocks {
    /// Reads the `entries` at `start`. The region lies in the file and holds all of them, so a small file cannot ask
    /// for much memory.
    fn read(&mut self, file: &dyn ReadAt, start: u64, entries: u64, metadata: &Metadata, len: u64) -> Result<()> {
        let chunk_ratio = chunk_ratio(metadata.logical_sector_size.into(), metadata.block_size);
        let payload_blocks = metadata.disk_size.div_ceil(metadata.block_size);
        let has_parent = metadata.parent.is_some();
        read_entries(file, start, entries, |index, at, bytes| {
            let entry = BatEntry::from_bytes(bytes).get();
            let (state, place) = (entry & BLOCK_STATE_MASK, entry >> 20);
            let bad = || Error::corrupt(format!("bad VHDX block entry {entry:#x}")).at(at);
            if index % (chunk_ratio + 1) == chunk_ratio {
                if has_parent && state == BITMAP_PRESENT {
                    let in_file = place
                        .checked_mul(MIB)
                        .filter(|at| *at > 0 && at.checked_add(MIB).is_some_and(|end| end <= len));
                    self.bitmaps.insert(index / (chunk_ratio + 1), in_file.ok_or_else(bad)?);
                }
                return Ok(());
            }
            let block = self.places.len();
            // After the end of the disk, the entries of the last chunk have no meaning.
            if block >= payload_blocks {
                return Ok(());
            }
            self.places.push(match state {
                BLOCK_NOT_PRESENT => None,
                BLOCK_UNDEFINED | BLOCK_ZERO | BLOCK_UNMAPPED => {
                    if has_parent {
                        self.zeros.insert(block);
                    }
                    None
                }
                BLOCK_FULLY_PRESENT if place != 0 => Some(place),
                BLOCK_PARTIALLY_PRESENT if place != 0 && has_parent => {
                    self.partial.push(block);
                    Some(place)
                }
                _ => return Err(bad()),
            })
        })
    }
}

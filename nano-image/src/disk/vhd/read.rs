//! Reads VHD footer, header and block allocation table from untrusted files.

use zerocopy::{FromBytes, IntoBytes};

use super::format::*;
use super::parent;
use crate::content::{Extent, ReadAt};
use crate::disk::map::{Map, Opened, Places, read_array, read_entries};
use crate::disk::subformat::Subformat;
use crate::error::{Error, Result};
use crate::types::Guid;

/// Other tools write 512 KiB or 2 MiB; smaller blocks only make the table large.
const MIN_BLOCK_SIZE: u64 = 64 << 10;
const FOOTER_SIZE: u64 = size_of::<Footer>() as u64;

/// Whether a file of `len` bytes has a VHD footer at its end or, like dynamic disks, at its start.
pub(crate) fn is_vhd(file: &dyn ReadAt, len: u64) -> Result<bool> {
    if len < FOOTER_SIZE {
        return Ok(false);
    }
    Ok(read_array(file, len - FOOTER_SIZE)? == FOOTER_COOKIE || read_array(file, 0)? == FOOTER_COOKIE)
}

/// Reads everything but the blocks of a file of `len` bytes.
pub(crate) fn open(file: &dyn ReadAt, len: u64) -> Result<Opened> {
    // A dynamic disk that lost its end still has the copy at its start.
    let footer = match footer(file, len - FOOTER_SIZE) {
        Ok(footer) => footer,
        Err(error) => match footer(file, 0) {
            Ok(footer) if footer.disk_type.get() != TYPE_FIXED => footer,
            _ => return Err(error),
        },
    };
    let size = footer.current_size.get();
    if size == 0 || size > MAX_DISK_SIZE || !size.is_multiple_of(SECTOR) {
        return Err(Error::corrupt(format!("a VHD cannot hold a disk of {size} bytes")).at(len - FOOTER_SIZE + 48));
    }
    let mut structures = vec![(Extent { start: len - FOOTER_SIZE, len: FOOTER_SIZE }, "footer")];
    let mut layer = None;
    let (subformat, block_size, map) = match footer.disk_type.get() {
        TYPE_FIXED if size > len - FOOTER_SIZE => {
            return Err(Error::corrupt("the file is shorter than its disk").at(len));
        }
        TYPE_FIXED => (Subformat::Fixed, None, Map::Linear(0)),
        TYPE_DYNAMIC | TYPE_DIFFERENCING => {
            let header = footer.data_offset.get();
            let (block_size, map, table) = blocks(file, header, size, len)?;
            structures.push((Extent { start: 0, len: FOOTER_SIZE }, "copy of the footer"));
            structures.push((Extent { start: header, len: size_of::<DynamicHeader>() as u64 }, "header"));
            structures.push((table, "block allocation table"));
            if footer.disk_type.get() == TYPE_DIFFERENCING {
                layer = Some(parent::layer(file, header, block_size, &map)?);
                (Subformat::Differencing, Some(block_size), map)
            } else {
                (Subformat::Dynamic, Some(block_size), map)
            }
        }
        other => return Err(Error::unsupported(format!("VHD disk type {other} is not handled"))),
    };
    let id = Some(Guid::from_bytes(footer.unique_id));
    Ok(Opened { id, content_id: id, layer, ..Opened::new(Some(subformat), block_size, size, map, structures) })
}

fn footer(file: &dyn ReadAt, offset: u64) -> Result<Footer> {
    let bytes: [u8; size_of::<Footer>()] = read_array(file, offset)?;
    let footer = Footer::read_from_bytes(&bytes).expect("the array has the struct's size");
    let mut summed = footer;
    summed.checksum = 0.into();
    if footer.cookie != FOOTER_COOKIE || footer.checksum.get() != checksum(summed.as_bytes()) {
        return Err(Error::corrupt("the VHD footer has a bad signature or checksum").at(offset));
    }
    if footer.version.get() >> 16 != VERSION >> 16 {
        return Err(Error::unsupported(format!("VHD version {:#x} is not handled", footer.version.get())).at(offset));
    }
    Ok(footer)
}

/// Block size and map of a dynamic disk, and the position of its table.
///
/// The sector bitmaps are not read: a sector that was never used is zero in the file, and other readers ignore them
/// too.
fn blocks(file: &dyn ReadAt, offset: u64, size: u64, len: u64) -> Result<(u64, Map, Extent)> {
    let bytes: [u8; size_of::<DynamicHeader>()] = read_array(file, offset)?;
    let header = DynamicHeader::read_from_bytes(&bytes).expect("the array has the struct's size");
    let mut summed = header;
    summed.checksum = 0.into();
    if header.cookie != HEADER_COOKIE || header.checksum.get() != checksum(summed.as_bytes()) {
        return Err(Error::corrupt("the VHD header has a bad signature or checksum").at(offset));
    }
    let block_size = u64::from(header.block_size.get());
    if !block_size.is_power_of_two() || block_size < MIN_BLOCK_SIZE {
        return Err(Error::corrupt(format!("a VHD cannot have blocks of {block_size} bytes")).at(offset + 32));
    }
    let entries = size.div_ceil(block_size);
    let table_offset = header.table_offset.get();
    let table_end = table_offset.checked_add(entries * 4);
    if entries > header.max_table_entries.get().into() || table_end.is_none_or(|end| end > len) {
        return Err(Error::corrupt("the VHD block allocation table is shorter than the disk").at(table_offset));
    }

    let mut places = Places::default();
    read_entries(file, table_offset, entries, |index, at, bytes| match u32::from_be_bytes(bytes) {
        0 => Err(Error::corrupt(format!("block {index} of the VHD lies on its footer")).at(at)),
        BAT_UNUSED => places.push(None),
        sector => places.push(Some(sector.into())),
    })?;
    let extent = Extent { start: table_offset, len: (entries * 4).next_multiple_of(SECTOR) };
    Ok((block_size, Map::Blocks { block_size, unit: SECTOR, lead: bitmap_size(block_size), places }, extent))
}

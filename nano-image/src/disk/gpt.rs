//! GUID partition tables (UEFI 2.10 §5), written and parsed by the crate `gpt`.

mod check;
mod format;

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use gpt::disk::LogicalBlockSize;
use gpt::header::Header;
use gpt::mbr::ProtectiveMBR;
use uuid::Uuid;

use super::map::read_into;
use crate::content::ReadAt;
use crate::error::{Error, Result};
use crate::types::{ByteSize, DiskOffset, Guid};
pub use check::check;

/// Type of the EFI system partition.
pub const EFI_SYSTEM: Guid =
    Guid::from_fields(0xC12A_7328, 0xF81F, 0x11D2, [0xBA, 0x4B, 0x00, 0xA0, 0xC9, 0x3E, 0xC9, 0x3B]);
/// Type of the Microsoft reserved partition.
pub const MICROSOFT_RESERVED: Guid =
    Guid::from_fields(0xE3C9_E316, 0x0B5C, 0x4DB8, [0x81, 0x7D, 0xF9, 0x2D, 0xF0, 0x02, 0x15, 0xAE]);
/// Type of a Windows volume.
pub const BASIC_DATA: Guid =
    Guid::from_fields(0xEBD0_A0A2, 0xB9E5, 0x4433, [0x87, 0xC0, 0x68, 0xB6, 0xB7, 0x26, 0x99, 0xC7]);

/// Type of a partition with the recovery environment of Windows.
pub const RECOVERY: Guid =
    Guid::from_fields(0xDE94_BBA4, 0x06D1, 0x4D40, [0xA1, 0x6A, 0xBF, 0xD5, 0x01, 0x79, 0xD6, 0xAC]);

/// Attribute bit: the machine needs the partition, so tools must not remove it.
pub const ATTRIBUTE_REQUIRED: u64 = 1;
/// Attribute bit of [`BASIC_DATA`]: Windows gives the volume no drive letter.
pub const ATTRIBUTE_NO_DRIVE_LETTER: u64 = 1 << 63;

/// Number of entries of a table, the same as all tools write.
const ENTRIES: u32 = 128;
/// Bytes per entry; the crate reads no other size.
const ENTRY_SIZE: u32 = 128;
/// The most entries that [`read`] accepts.
const MAX_ENTRIES: u32 = 1024;
/// Longest name, UTF-16 units.
const MAX_NAME: usize = 36;

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// What it is for: [`EFI_SYSTEM`], [`MICROSOFT_RESERVED`], [`BASIC_DATA`] …
    pub type_guid: Guid,
    /// Its unique identifier.
    pub guid: Guid,
    /// Name, at most 36 UTF-16 units.
    pub name: String,
    /// `ATTRIBUTE_*` bits.
    pub attributes: u64,
    /// First byte.
    pub start: DiskOffset,
    /// Length.
    pub len: ByteSize,
}

/// A partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The disk's identifier.
    pub disk_guid: Guid,
    /// In the order of the table.
    pub partitions: Vec<Partition>,
}

/// The sectors of a table: protective MBR and primary table at the start of the disk, backup at its end.
///
/// # Errors
/// [`ErrorKind::Recipe`](crate::ErrorKind::Recipe) if a partition does not consist of whole sectors, overlaps another
/// or has a name that is too long; [`ErrorKind::TooSmall`](crate::ErrorKind::TooSmall) if one is not in the usable part
/// of the disk.
pub fn build(table: &Table, disk_size: ByteSize, sector_size: u32) -> Result<Vec<(DiskOffset, Vec<u8>)>> {
    let block = block_size(sector_size)?;
    let sector = u64::from(sector_size);
    let sectors = disk_size.bytes() / sector;
    // Header and entries, and at the start also the MBR.
    let table_sectors = 1 + u64::from(ENTRIES * ENTRY_SIZE).div_ceil(sector);
    if sectors <= 2 * table_sectors + 1 {
        return Err(Error::too_small(format!("a disk of {disk_size} has no room for a partition table")));
    }
    let usable = 1 + table_sectors..sectors - table_sectors;
    let entries = entries(&table.partitions, sector, usable)?;

    let tail_len = table_sectors * sector;
    let mut device = Ends {
        head: vec![0; (tail_len + sector) as usize],
        tail: vec![0; tail_len as usize],
        len: sectors * sector,
        position: 0,
    };
    let written = gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(block)
        .create_from_device(&mut device, Some(Uuid::from_bytes_le(table.disk_guid.to_bytes())))
        .and_then(|mut disk| disk.update_partitions(entries).and_then(|()| disk.write()));
    if let Err(error) = written {
        return Err(Error::recipe("cannot make the partition table").with_source(error));
    }
    let protected = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    device.head[..512].copy_from_slice(&ProtectiveMBR::with_lb_size(protected).to_bytes());
    let tail_start = DiskOffset(device.len - tail_len);
    Ok(vec![(DiskOffset(0), device.head), (tail_start, device.tail)])
}

#[cfg(any(test, feature = "internals"))]
/// Reads the table of a disk, or its backup if the primary one is damaged; `None` if the disk has neither.
///
/// # Errors
/// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if both are damaged or a partition is not on the disk.
pub fn read(disk: &dyn ReadAt, sector_size: u32) -> Result<Option<Table>> {
    Ok(read_numbered(disk, sector_size)?.map(|(table, _)| table))
}

/// Like [`read`], with the numbers of the partitions' entries, from 1. These are the numbers that other tools show,
/// even if entries between them are free.
///
/// # Errors
/// Those of [`read`].
pub fn read_numbered(disk: &dyn ReadAt, sector_size: u32) -> Result<Option<(Table, Vec<u32>)>> {
    let len = disk.len().map_err(|e| Error::corrupt("cannot read the disk's size").with_source(e))?;
    let sector = u64::from(sector_size);
    if len < 3 * sector {
        return Ok(None);
    }
    let mut failure = None;
    for at in [sector, (len / sector - 1) * sector] {
        let mut signature = [0; 8];
        read_into(disk, at, &mut signature)?;
        if signature == *b"EFI PART" {
            match read_table(disk, at, sector_size, len) {
                Ok(table) => return Ok(Some(table)),
                Err(error) => _ = failure.get_or_insert(error),
            }
        }
    }
    failure.map_or(Ok(None), Err)
}

/// The partitions in the form of the crate, checked against the `usable` sectors.
fn entries(
    partitions: &[Partition],
    sector: u64,
    usable: std::ops::Range<u64>,
) -> Result<BTreeMap<u32, gpt::partition::Partition>> {
    let mut entries = BTreeMap::new();
    for (partition, number) in partitions.iter().zip(1..) {
        let Partition { type_guid, guid, name, attributes, start, len } = partition;
        let bad = |what: &str| Error::recipe(format!("partition {number} (`{name}`) {what}"));
        if !start.0.is_multiple_of(sector) || !len.bytes().is_multiple_of(sector) || len.bytes() == 0 {
            return Err(bad("is not on whole sectors"));
        }
        if name.encode_utf16().count() > MAX_NAME {
            return Err(bad("has a name of more than 36 characters"));
        }
        if number > ENTRIES || *type_guid == Guid::NIL {
            return Err(bad("has no place in the table"));
        }
        let first = start.0 / sector;
        let end = first.saturating_add(len.bytes() / sector);
        if first < usable.start || end > usable.end {
            let message = format!(
                "partition {number} (`{name}`) is not between sectors {} and {} of the disk",
                usable.start,
                usable.end - 1
            );
            return Err(Error::too_small(message));
        }
        let entry = gpt::partition::Partition {
            part_type_guid: Uuid::from_bytes_le(type_guid.to_bytes()).into(),
            part_guid: Uuid::from_bytes_le(guid.to_bytes()),
            first_lba: first,
            last_lba: end - 1,
            flags: *attributes,
            name: name.clone(),
        };
        let overlaps = |other: &gpt::partition::Partition| other.first_lba < end && first <= other.last_lba;
        if entries.values().any(overlaps) {
            return Err(bad("overlaps another"));
        }
        entries.insert(number, entry);
    }
    Ok(entries)
}

fn read_table(disk: &dyn ReadAt, at: u64, sector_size: u32, len: u64) -> Result<(Table, Vec<u32>)> {
    let (block, sector) = (block_size(sector_size)?, u64::from(sector_size));
    // The crate expects the header in the second sector.
    let mut sectors = vec![0; 2 * sector_size as usize];
    read_into(disk, at, &mut sectors[sector_size as usize..])?;
    let mut header = gpt::header::read_header_from_arbitrary_device(&mut Cursor::new(sectors), block)
        .map_err(|e| Error::corrupt("bad partition table header").at(at).with_source(e))?;
    let Header { part_start, num_parts, part_size, .. } = header;
    if part_size != ENTRY_SIZE || num_parts > MAX_ENTRIES {
        let message = format!("a partition table of {num_parts} entries of {part_size} bytes is not handled");
        return Err(Error::unsupported(message).at(at));
    }
    let array_at = part_start.saturating_mul(sector);
    let mut array = vec![0; (num_parts * part_size) as usize];
    read_into(disk, array_at, &mut array)?;
    // The crate does not check this checksum.
    if crc32fast::hash(&array) != header.crc32_parts {
        return Err(Error::corrupt("the partition table entries do not match their checksum").at(array_at));
    }
    header.part_start = 0;
    let entries = gpt::partition::file_read_partitions(&mut Cursor::new(array), &header, block)
        .map_err(|e| Error::corrupt("bad partition table").at(array_at).with_source(e))?;
    let numbers = entries.keys().copied().collect();
    let partitions = entries.into_iter().map(|(number, entry)| {
        let bytes = |sectors: u64| sectors.checked_mul(sector).filter(|&bytes| bytes <= len);
        let (start, end) = (bytes(entry.first_lba), entry.last_lba.checked_add(1).and_then(bytes));
        let (Some(start), Some(end)) = (start, end.filter(|_| entry.first_lba <= entry.last_lba)) else {
            return Err(Error::corrupt(format!("partition {number} is not on the disk")).at(array_at));
        };
        Ok(Partition {
            type_guid: Guid::from_bytes(entry.part_type_guid.guid.to_bytes_le()),
            guid: Guid::from_bytes(entry.part_guid.to_bytes_le()),
            name: entry.name,
            attributes: entry.flags,
            start: DiskOffset(start),
            len: ByteSize::new(end - start),
        })
    });
    let disk_guid = Guid::from_bytes(header.disk_guid.to_bytes_le());
    Ok((Table { disk_guid, partitions: partitions.collect::<Result<_>>()? }, numbers))
}

fn block_size(sector_size: u32) -> Result<LogicalBlockSize> {
    LogicalBlockSize::try_from(u64::from(sector_size))
        .map_err(|_| Error::recipe(format!("sectors of {sector_size} bytes are not 512 or 4096")))
}

/// A disk of which only the two ends exist. The crate wants to seek in a device of the full size.
#[derive(Debug)]
struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
    len: u64,
    position: u64,
}

impl Ends {
    /// Takes `len` bytes at the position, and moves it behind them.
    fn take(&mut self, len: usize) -> io::Result<&mut [u8]> {
        let tail_start = self.len - self.tail.len() as u64;
        let (bytes, start) = if self.position >= tail_start {
            (&mut self.tail, self.position - tail_start)
        } else {
            (&mut self.head, self.position)
        };
        self.position += len as u64;
        let start = start as usize;
        bytes.get_mut(start..start + len).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl Read for Ends {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        buf.copy_from_slice(self.take(buf.len())?);
        Ok(buf.len())
    }
}

impl Write for Ends {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.take(buf.len())?.copy_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Ends {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(delta) => self.len.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

//! Master boot records, for disks that a BIOS boots.

mod check;

use gpt::disk::LogicalBlockSize;
use gpt::mbr::{PartRecord, ProtectiveMBR};

use super::map::read_array;
use crate::content::ReadAt;
use crate::error::{Error, Result};
use crate::types::{ByteSize, DiskOffset};
pub use check::check;

/// Partition type of NTFS.
pub const TYPE_NTFS: u8 = 0x07;
/// Partition type of the recovery environment of Windows, which gets no drive letter.
pub const TYPE_RECOVERY: u8 = 0x27;
/// Partition type of a protective MBR: the disk has a GPT.
pub const TYPE_GPT: u8 = 0xEE;
/// Bytes of room for boot code.
pub const BOOT_CODE_SIZE: usize = 440;

const SECTOR: u64 = 512;
/// [`PartRecord::boot_indicator`] of the partition that the boot code starts.
const ACTIVE: u8 = 0x80;

/// One partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// `TYPE_*`.
    pub partition_type: u8,
    /// Whether the boot code starts it.
    pub active: bool,
    /// First byte.
    pub start: DiskOffset,
    /// Length.
    pub len: ByteSize,
}

/// A master boot record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mbr {
    /// The disk's identifier.
    pub disk_signature: u32,
    /// Machine code, at most [`BOOT_CODE_SIZE`] bytes.
    pub boot_code: Vec<u8>,
    /// At most four primary partitions.
    pub partitions: Vec<Partition>,
}

/// The disk's first sector, 512 bytes.
///
/// # Errors
/// [`ErrorKind::Recipe`](crate::ErrorKind::Recipe) if a partition does not consist of whole sectors or lies beyond 2
/// TiB, if there is too much boot code, or if there are more than four partitions.
pub fn build(mbr: &Mbr) -> Result<[u8; 512]> {
    let mut record = ProtectiveMBR::new();
    let mut boot_code = [0; BOOT_CODE_SIZE];
    let Some(place) = boot_code.get_mut(..mbr.boot_code.len()) else {
        return Err(Error::recipe(format!("{} bytes of boot code, but at most 440 fit", mbr.boot_code.len())));
    };
    place.copy_from_slice(&mbr.boot_code);
    record.set_bootcode(boot_code);
    record.set_disk_signature(mbr.disk_signature.to_le_bytes());
    if mbr.partitions.len() > 4 {
        return Err(Error::recipe("a master boot record has room for four partitions"));
    }
    record.set_partition(0, PartRecord::zero());
    for (index, partition) in mbr.partitions.iter().enumerate() {
        record.set_partition(index, entry(partition)?);
    }
    Ok(record.to_bytes())
}

#[cfg(any(test, feature = "internals"))]
/// Reads the record of a disk with sectors of `sector_size` bytes; `None` if the disk has none.
pub fn read(disk: &dyn ReadAt, sector_size: u32) -> Result<Option<Mbr>> {
    Ok(read_numbered(disk, sector_size)?.map(|(mbr, _)| mbr))
}

/// Like [`read`], with the numbers of the partitions' entries, from 1. They count even if entries between them are
/// free.
pub fn read_numbered(disk: &dyn ReadAt, sector_size: u32) -> Result<Option<(Mbr, Vec<u32>)>> {
    if disk.len().is_ok_and(|len| len < SECTOR) {
        return Ok(None);
    }
    let sector: [u8; SECTOR as usize] = read_array(disk, 0)?;
    let Ok(record) = ProtectiveMBR::from_bytes(&sector, LogicalBlockSize::Lb512) else { return Ok(None) };
    let records = (0..4).filter_map(|index| Some((index as u32 + 1, record.partition(index)?)));
    let (numbers, records): (Vec<u32>, Vec<PartRecord>) = records.filter(|(_, entry)| entry.os_type != 0).unzip();
    let partitions = records.iter().map(|entry| Partition {
        partition_type: entry.os_type,
        active: entry.boot_indicator == ACTIVE,
        start: DiskOffset(u64::from(entry.lb_start) * u64::from(sector_size)),
        len: ByteSize::new(u64::from(entry.lb_size) * u64::from(sector_size)),
    });
    let mbr = Mbr {
        disk_signature: u32::from_le_bytes(*record.disk_signature()),
        boot_code: record.bootcode().to_vec(),
        partitions: partitions.collect(),
    };
    Ok(Some((mbr, numbers)))
}

fn entry(partition: &Partition) -> Result<PartRecord> {
    let (start, len) = (partition.start.0, partition.len.bytes());
    if !start.is_multiple_of(SECTOR) || !len.is_multiple_of(SECTOR) || len == 0 {
        return Err(Error::recipe("the partition is not on whole sectors").at(start));
    }
    let (Ok(first), Ok(count)) = (u32::try_from(start / SECTOR), u32::try_from(len / SECTOR)) else {
        return Err(Error::recipe("a master boot record cannot describe a partition beyond 2 TiB")
            .at(start)
            .with_hint("choose UEFI (GPT) or a smaller disk"));
    };
    let [start_head, start_sector, start_track] = chs(first);
    let [end_head, end_sector, end_track] = chs(first.saturating_add(count - 1));
    Ok(PartRecord {
        boot_indicator: if partition.active { ACTIVE } else { 0 },
        start_head,
        start_sector,
        start_track,
        os_type: partition.partition_type,
        end_head,
        end_sector,
        end_track,
        lb_start: first,
        lb_size: count,
    })
}

/// Head, sector with the cylinder's high bits, and cylinder, in the geometry of 255 heads and 63 sectors that every
/// BIOS uses for large disks. Positions that it cannot express get the largest value.
fn chs(lba: u32) -> [u8; 3] {
    let (sector, track) = (lba % 63 + 1, lba / 63);
    let (head, cylinder) = (track % 255, track / 255);
    if cylinder > 1023 {
        return [0xFE, 0xFF, 0xFF];
    }
    [head as u8, (sector | (cylinder >> 8) << 6) as u8, cylinder as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_active_ntfs_partition_as_windows_writes_it() {
        let partition = Partition {
            partition_type: TYPE_NTFS,
            active: true,
            start: DiskOffset(1 << 20),
            len: ByteSize::new((8 << 30) - (2 << 20)),
        };
        let mbr = Mbr { disk_signature: 0x1234_5678, boot_code: vec![0x33, 0xC0], partitions: vec![partition] };
        let bytes = build(&mbr).unwrap();
        assert_eq!(bytes[..2], [0x33, 0xC0]);
        assert_eq!(bytes[440..446], [0x78, 0x56, 0x34, 0x12, 0, 0]);
        assert_eq!(bytes[446..462], [0x80, 0x20, 0x21, 0, 7, 0xFE, 0xFF, 0xFF, 0, 8, 0, 0, 0, 0xF0, 0xFF, 0]);
        assert_eq!(bytes[462..510], [0; 48]);
        assert_eq!(bytes[510..], [0x55, 0xAA]);
        let back = read(&bytes.to_vec(), 512).unwrap().unwrap();
        assert_eq!((back.disk_signature, back.partitions), (mbr.disk_signature, mbr.partitions));
    }
}

//! The partition table.

use crate::content::ReadAt;
use crate::disk::{DiskReader, Format, gpt, mbr, not_a_disk};
use crate::error::Result;
use crate::inspect::model::{Partition, PartitionTable, Scheme};

/// Names of GPT partition types (UEFI 2.10 §5.3.3; "Partition types" of Windows; the Linux discoverable partitions
/// specification).
const GPT_TYPES: [(&str, &str); 11] = [
    ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "EFI system"),
    ("e3c9e316-0b5c-4db8-817d-f92df00215ae", "Microsoft reserved"),
    ("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "basic data"),
    ("de94bba4-06d1-4d40-a16a-bfd50179d6ac", "Windows recovery"),
    ("5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", "LDM metadata"),
    ("af9b60a0-1431-4f62-bc68-3311714a69ad", "LDM data"),
    ("e75caf8f-f680-4cee-afa3-b001e56efc2d", "storage spaces"),
    ("21686148-6449-6e6f-744e-656564454649", "BIOS boot"),
    ("0fc63daf-8483-4772-8e79-3d69d8477de4", "Linux data"),
    ("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "Linux swap"),
    ("e6d6d379-f507-44c2-a23c-238f2a3df928", "Linux LVM"),
];
/// Names of MBR partition types ("PARTITION_INFORMATION_MBR" of Windows).
const MBR_TYPES: [(u8, &str); 13] = [
    (0x01, "FAT12"),
    (0x04, "FAT16"),
    (0x05, "extended"),
    (0x06, "FAT16"),
    (0x07, "NTFS or exFAT"),
    (0x0B, "FAT32"),
    (0x0C, "FAT32 (LBA)"),
    (0x0E, "FAT16 (LBA)"),
    (0x0F, "extended (LBA)"),
    (0x27, "Windows recovery"),
    (0x82, "Linux swap"),
    (0x83, "Linux"),
    (0xEF, "EFI system"),
];

/// Reads the table of `disk`. A disk without a table is a single partition.
pub(crate) fn read(disk: &DiskReader, notes: &mut Vec<String>) -> Result<PartitionTable> {
    if let Some((table, numbers)) = gpt::read_numbered(disk, disk.logical_sector_size())? {
        let partitions = table.partitions.into_iter().zip(numbers).map(|(partition, number)| {
            let partition_type = partition.type_guid.to_string();
            let known = GPT_TYPES.iter().find(|(guid, _)| *guid == partition_type);
            Partition {
                number,
                name: partition.name,
                type_name: known.map(|(_, name)| (*name).to_owned()),
                partition_type,
                guid: Some(partition.guid.to_string()),
                active: false,
                attributes: partition.attributes,
                start: partition.start.0,
                size: partition.len.bytes(),
                volume: None,
            }
        });
        let disk_id = Some(table.disk_guid.to_string());
        return Ok(PartitionTable { scheme: Scheme::Gpt, disk_id, partitions: partitions.collect() });
    }
    let mut sector = [0; 512];
    let volume = disk.read_exact_at(&mut sector, 0).is_ok() && crate::volume::signature(&sector).is_some();
    if !volume && let Some((table, numbers)) = mbr::read_numbered(disk, disk.logical_sector_size())? {
        let mut partitions = Vec::new();
        for (partition, number) in table.partitions.iter().zip(numbers) {
            let kind = partition.partition_type;
            if matches!(kind, 0x05 | 0x0F) {
                notes.push(format!("partition {number}: the drives in an extended partition are not read"));
            }
            if kind == mbr::TYPE_GPT {
                notes.push(format!("partition {number} says that the disk has a GPT, but there is none"));
            }
            let known = MBR_TYPES.iter().find(|(known, _)| *known == kind);
            partitions.push(Partition {
                number,
                name: String::new(),
                partition_type: format!("{kind:02x}"),
                type_name: known.map(|(_, name)| (*name).to_owned()),
                guid: None,
                active: partition.active,
                attributes: 0,
                start: partition.start.0,
                size: partition.len.bytes(),
                volume: None,
            });
        }
        let disk_id = Some(format!("{:08x}", table.disk_signature));
        return Ok(PartitionTable { scheme: Scheme::Mbr, disk_id, partitions });
    }
    if !volume {
        if let Some(error) = not_a_disk(disk).filter(|_| disk.format() == Format::RAW) {
            return Err(error);
        }
        notes.push("the disk has neither a partition table nor a known volume".to_owned());
    }
    let whole = Partition {
        number: 1,
        name: String::new(),
        partition_type: String::new(),
        type_name: Some("whole disk".to_owned()),
        guid: None,
        active: false,
        attributes: 0,
        start: 0,
        size: disk.size().bytes(),
        volume: None,
    };
    Ok(PartitionTable { scheme: Scheme::None, disk_id: None, partitions: vec![whole] })
}

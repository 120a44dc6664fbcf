//! Checks the chain from firmware to Windows on an image.

use super::Verify;
use crate::content::ReadAt;
use crate::error::Result;
use crate::inspect::model::{Partition, PartitionTable, Scheme};
use crate::inspect::read::files::Files;
use crate::inspect::read::hives;
use crate::inspect::read::image::Image;
use crate::registry::Hive;
use crate::types::DiskOffset;
use crate::volume::ntfs::format::{attribute_flag, attribute_type};
use crate::windows::boot::{BootDevice, Firmware};
use crate::windows::boot_chain::{self, BootDisk, BootPartition, BootVolume, FileForm, VolumeFile};
use crate::windows::contents::wof;

/// Types of partitions from which UEFI firmware starts (GPT, MBR).
const EFI_SYSTEM: [&str; 2] = ["c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "ef"];
/// Upper bound of the boot code of a volume: the sectors of NTFS' `$Boot`.
const BOOT_SECTORS: usize = 16 * 512;
const SECTOR: usize = 512;

impl Verify {
    /// Checks the chain, if there is Windows on the disk or something that would start it.
    pub(super) fn boot_chain(&mut self, image: &Image) {
        let table = image.partition_table();
        if table.scheme == Scheme::None {
            return self.not_checked.push("boot chain (no partition table)".to_owned());
        }
        let volumes: Vec<Option<Files<'_>>> =
            table.partitions.iter().map(|partition| image.files(partition.number).ok()).collect();
        let has = |path: &str| {
            let found = |files: &Files<'_>| matches!(files.find(path), Ok(Some(_)));
            volumes.iter().flatten().any(found)
        };
        if ![r"Windows\System32", r"EFI\Microsoft\Boot\BCD", r"Boot\BCD"].into_iter().any(has) {
            return self.not_checked.push("boot chain (no Windows on the disk)".to_owned());
        }
        let uefi = table.partitions.iter().any(is_efi_system);
        let active = table.partitions.iter().any(|partition| partition.active);
        let firmware = match table.scheme {
            Scheme::Mbr if active || !uefi => Firmware::Bios,
            _ => Firmware::Uefi,
        };
        let partitions = table.partitions.iter().zip(&volumes).map(|(partition, files)| BootPartition {
            number: partition.number,
            device: device(table, partition),
            is_system: match firmware {
                Firmware::Uefi => is_efi_system(partition),
                Firmware::Bios => partition.active,
            },
            volume: files.as_ref().map(|files| files as &dyn BootVolume),
            boot_record: image.partition_bytes(partition.number).and_then(|bytes| start(bytes, BOOT_SECTORS)),
        });
        let disk = BootDisk { firmware, partitions: partitions.collect(), boot_record: start(image.disk(), SECTOR) };
        self.findings.append(boot_chain::check(&disk), |_| {});
        let name = if firmware == Firmware::Uefi { "UEFI" } else { "BIOS" };
        self.checked.push(format!("boot chain ({name})"));
    }
}

fn is_efi_system(partition: &Partition) -> bool {
    EFI_SYSTEM.contains(&partition.partition_type.as_str())
}

/// How a store identifies a partition.
fn device(table: &PartitionTable, partition: &Partition) -> BootDevice {
    let disk = table.disk_id.as_deref().unwrap_or_default();
    match (disk.parse(), partition.guid.as_ref().and_then(|guid| guid.parse().ok())) {
        (Ok(disk), Some(partition)) => BootDevice::Gpt { disk, partition },
        _ => BootDevice::Mbr {
            signature: u32::from_str_radix(disk, 16).unwrap_or(0),
            offset: DiskOffset(partition.start),
        },
    }
}

fn start(bytes: &dyn ReadAt, len: usize) -> Option<Vec<u8>> {
    let mut start = vec![0; len];
    bytes.read_exact_at(&mut start, 0).ok().map(|()| start)
}

impl BootVolume for Files<'_> {
    fn file(&self, path: &str) -> Result<Option<VolumeFile>> {
        let Some(file) = self.find(path)?.filter(|file| !file.is_directory()) else { return Ok(None) };
        let Some(record) = self.ntfs_file(file)? else {
            let len = self.open_stream(file, "")?.map_or(0, |stream| stream.len().unwrap_or(0));
            return Ok(Some(VolumeFile { len, form: FileForm::Plain }));
        };
        let data = record.attributes().find(|a| a.kind() == attribute_type::DATA && a.name().units().is_empty());
        let flags = data.map_or(0, |data| data.flags());
        let form = match () {
            () if record.reparse_tag() == Some(wof::TAG) => FileForm::Wof,
            () if flags & attribute_flag::COMPRESSION_MASK != 0 => FileForm::Lznt1,
            () => FileForm::Plain,
        };
        Ok(Some(VolumeFile { len: data.map_or(0, |data| data.size()), form }))
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.read_file(path, limit)
    }

    fn hive(&self, path: &str) -> Result<Option<Hive>> {
        self.find(path)?.map_or(Ok(None), |file| hives::open(self, path, file))
    }
}

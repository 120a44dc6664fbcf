//! The partitions of the disk.

use super::recipe::{Firmware, Recipe};
use crate::disk::{gpt, mbr};
use crate::error::{Error, Result};
use crate::identity::Seed;
use crate::types::{ByteSize, DiskOffset, Guid};
use crate::windows::boot::recovery::entry_id;
use crate::windows::boot::{BootDevice, PartitionIds};
use crate::windows::recovery::{Disk, RecoveryPartition};

/// Alignment of partitions.
const ALIGNMENT: ByteSize = ByteSize::mib(1);
/// The Microsoft reserved partition, which Windows expects on every GPT disk.
const MSR_SIZE: ByteSize = ByteSize::mib(16);

/// The partitions of the disk.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub(super) enum Scheme {
    /// EFI system partition, Microsoft reserved partition, Windows, and perhaps its recovery environment.
    Gpt {
        disk_guid: Guid,
        esp: gpt::Partition,
        msr: gpt::Partition,
        windows: gpt::Partition,
        recovery: Option<gpt::Partition>,
    },
    /// One active partition, and perhaps one for the recovery environment.
    Mbr { signature: u32, windows: mbr::Partition, recovery: Option<mbr::Partition> },
}

impl Scheme {
    /// The partitions of `recipe`, with the identifiers that `seed` gives.
    pub fn new(recipe: &Recipe, seed: &Seed) -> Result<Self> {
        let (start, end) = windows_partition(recipe)?;
        let len = ByteSize::new(end - start);
        // At the end of the disk: so an update can let it grow by taking room from the Windows partition.
        let recovery_start = DiskOffset(end);
        if recipe.firmware() == Firmware::Bios {
            let windows =
                mbr::Partition { partition_type: mbr::TYPE_NTFS, active: true, start: DiskOffset(start), len };
            let recovery = recipe.recovery_size().map(|len| mbr::Partition {
                partition_type: mbr::TYPE_RECOVERY,
                active: false,
                start: recovery_start,
                len,
            });
            return Ok(Self::Mbr { signature: seed.signature("disk"), windows, recovery });
        }
        let partition = |type_guid, name: &str, start, len| gpt::Partition {
            type_guid,
            guid: seed.guid(name),
            name: name.into(),
            attributes: 0,
            start: DiskOffset(start),
            len,
        };
        let (esp_start, msr_start) = (ALIGNMENT.bytes(), ALIGNMENT.bytes() + recipe.esp_size().bytes());
        Ok(Self::Gpt {
            disk_guid: seed.guid("disk"),
            esp: partition(gpt::EFI_SYSTEM, "EFI system partition", esp_start, recipe.esp_size()),
            msr: partition(gpt::MICROSOFT_RESERVED, "Microsoft reserved partition", msr_start, MSR_SIZE),
            windows: partition(gpt::BASIC_DATA, "Basic data partition", start, len),
            recovery: recipe.recovery_size().map(|len| gpt::Partition {
                attributes: gpt::ATTRIBUTE_REQUIRED | gpt::ATTRIBUTE_NO_DRIVE_LETTER,
                ..partition(gpt::RECOVERY, "Recovery partition", recovery_start.0, len)
            }),
        })
    }

    /// Where the Windows volume is.
    pub fn windows(&self) -> (DiskOffset, ByteSize) {
        match self {
            Self::Gpt { windows, .. } => (windows.start, windows.len),
            Self::Mbr { windows, .. } => (windows.start, windows.len),
        }
    }

    /// Where the volume of the recovery environment is.
    pub fn recovery(&self) -> Option<(DiskOffset, ByteSize)> {
        match self {
            Self::Gpt { recovery, .. } => recovery.as_ref().map(|partition| (partition.start, partition.len)),
            Self::Mbr { recovery, .. } => recovery.map(|partition| (partition.start, partition.len)),
        }
    }

    /// The recovery partition for boot entries, and for the file that says where it is; `seed` is the disk's.
    pub fn recovery_place(&self, seed: &Seed) -> Option<(BootDevice, RecoveryPartition)> {
        let entry = entry_id(seed);
        match self {
            Self::Gpt { disk_guid, recovery, .. } => recovery.as_ref().map(|partition| {
                let device = BootDevice::Gpt { disk: *disk_guid, partition: partition.guid };
                (device, RecoveryPartition { disk: Disk::Gpt(*disk_guid), start: partition.start, entry })
            }),
            Self::Mbr { signature, recovery, .. } => recovery.map(|partition| {
                let device = BootDevice::Mbr { signature: *signature, offset: partition.start };
                (device, RecoveryPartition { disk: Disk::Mbr(*signature), start: partition.start, entry })
            }),
        }
    }

    /// The identifiers by which boot entries name the partitions.
    pub fn ids(&self) -> PartitionIds {
        match self {
            Self::Gpt { disk_guid, esp, windows, .. } => {
                PartitionIds::Gpt { disk: *disk_guid, system: esp.guid, windows: windows.guid }
            }
            Self::Mbr { signature, windows, .. } => {
                PartitionIds::Mbr { signature: *signature, system: windows.start, windows: windows.start }
            }
        }
    }

    /// The disk's GUID (GPT) or signature (MBR), as in the report.
    pub fn disk_id(&self) -> String {
        match self {
            Self::Gpt { disk_guid, .. } => disk_guid.to_string(),
            Self::Mbr { signature, .. } => format!("{signature:08x}"),
        }
    }

    /// The partition table of a GPT disk; empty for an MBR disk.
    pub fn table(&self) -> gpt::Table {
        match self {
            Self::Gpt { disk_guid, esp, msr, windows, recovery } => {
                let partitions = [esp, msr, windows].into_iter().chain(recovery).cloned().collect();
                gpt::Table { disk_guid: *disk_guid, partitions }
            }
            Self::Mbr { .. } => gpt::Table { disk_guid: Guid::NIL, partitions: Vec::new() },
        }
    }
}

/// First byte of the Windows partition, and the byte after its last.
fn windows_partition(recipe: &Recipe) -> Result<(u64, u64)> {
    let (first, disk_size) = (ALIGNMENT.bytes(), recipe.disk_size());
    let (start, end) = match recipe.firmware() {
        // The last MiB holds the backup of the partition table.
        Firmware::Uefi => {
            let start = first + recipe.esp_size().bytes() + MSR_SIZE.bytes();
            (start, disk_size.bytes().saturating_sub(ALIGNMENT.bytes()))
        }
        Firmware::Bios => (first, disk_size.bytes()),
    };
    let recovery = recipe.recovery_size().map_or(0, ByteSize::bytes);
    let end = end.saturating_sub(recovery);
    if end <= start {
        let needed = ByteSize::new(start + recovery + 2 * ALIGNMENT.bytes());
        return Err(Error::too_small(format!("a disk of {disk_size} has no room for its partitions"))
            .with_needed(needed)
            .with_hint(format!("even without files a disk needs {needed}")));
    }
    Ok((start, end))
}

//! The machine that boots, and the disk from which it boots.

use crate::types::{DiskOffset, Guid};

/// Which firmware starts the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// UEFI: files for a FAT32 system partition.
    Uefi,
    /// BIOS: files for the root of the active NTFS partition.
    Bios,
}

/// How the store identifies partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BcdDevice {
    /// By identity: exact, even beside other disks with Windows.
    Partition(PartitionIds),
    /// As "the volume that has the file". This survives a change of disk identities, but takes the first of several
    /// volumes.
    Locate,
}

/// Identities of the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionIds {
    /// Unique GUIDs of a GPT disk and its partitions.
    Gpt {
        /// Disk GUID.
        disk: Guid,
        /// Partition of the boot manager.
        system: Guid,
        /// Partition of Windows.
        windows: Guid,
    },
    /// Signature of an MBR disk and where its partitions begin.
    Mbr {
        /// Disk signature (MBR offset 440).
        signature: u32,
        /// Start of the partition of the boot manager.
        system: DiskOffset,
        /// Start of the partition of Windows.
        windows: DiskOffset,
    },
}

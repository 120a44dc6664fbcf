//! On-disk structures of FAT32, "Microsoft Extensible Firmware Initiative FAT32 File System Specification" 1.03
//! (2000); section names are its own. <https://download.microsoft.com/download/1/6/1/161ba512-40e2-4cc9-843a-923143f3456c/fatgen103.doc>
//!
//! All integers are little-endian.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A volume with fewer clusters is FAT16, whatever its boot sector says (FAT type determination).
pub const MIN_CLUSTERS: u32 = 65_525;
/// The most clusters that can be numbered (FAT type determination).
pub const MAX_CLUSTERS: u32 = 0x0FFF_FFF5;
/// Number of the first cluster; the two FAT entries before it hold flags.
pub const FIRST_CLUSTER: u32 = 2;
/// The bits of a FAT entry that hold the number of the next cluster.
pub const ENTRY_MASK: u32 = 0x0FFF_FFFF;
/// FAT entries from this value on end a chain.
pub const END_OF_CHAIN: u32 = 0x0FFF_FFF8;
/// The FAT entry of the last cluster of a chain.
pub const LAST: u32 = 0x0FFF_FFFF;
/// The largest size of a directory in bytes.
pub const MAX_DIRECTORY: usize = 65_536 * size_of::<DirectoryEntry>();

/// Media type of a hard disk.
pub const MEDIA_FIXED: u8 = 0xF8;
/// Sector of the [`FsInfo`].
pub const FS_INFO_SECTOR: u16 = 1;
/// Sector of the copy of the boot sector; the copy of the [`FsInfo`] follows it.
pub const BACKUP_BOOT_SECTOR: u16 = 6;
/// Last two bytes of a boot sector.
pub const BOOT_SIGNATURE: U16 = U16::new(0xAA55);
/// [`BootSector::extended_signature`]: serial, label and type follow.
pub const EXTENDED_SIGNATURE: u8 = 0x29;

/// Boot sector and BIOS parameter block, sector 0.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct BootSector {
    /// 0: jump to the boot code.
    pub jump: [u8; 3],
    /// 3: name of the program that formatted the volume; some readers expect "MSDOS5.0".
    pub oem_name: [u8; 8],
    /// 11: bytes per sector.
    pub bytes_per_sector: U16,
    /// 13: sectors per cluster, a power of two.
    pub sectors_per_cluster: u8,
    /// 14: sectors before the first FAT.
    pub reserved_sectors: U16,
    /// 16: number of FATs, 2.
    pub fats: u8,
    /// 17: 0 on FAT32.
    pub root_entries: U16,
    /// 19: 0 on FAT32.
    pub total_sectors_16: U16,
    /// 21: [`MEDIA_FIXED`].
    pub media: u8,
    /// 22: 0 on FAT32.
    pub fat_sectors_16: U16,
    /// 24: geometry for the BIOS.
    pub sectors_per_track: U16,
    /// 26: geometry for the BIOS.
    pub heads: U16,
    /// 28: sectors of the disk before the partition.
    pub hidden_sectors: U32,
    /// 32: sectors of the volume.
    pub total_sectors: U32,
    /// 36: sectors per FAT.
    pub fat_sectors: U32,
    /// 40: 0 means that all FATs are the same.
    pub extended_flags: U16,
    /// 42: 0.
    pub version: U16,
    /// 44: first cluster of the root directory.
    pub root_cluster: U32,
    /// 48: [`FS_INFO_SECTOR`].
    pub fs_info_sector: U16,
    /// 50: [`BACKUP_BOOT_SECTOR`].
    pub backup_boot_sector: U16,
    /// 52: zero.
    pub reserved: [u8; 12],
    /// 64: BIOS drive number, 0x80.
    pub drive_number: u8,
    /// 65: zero.
    pub reserved1: u8,
    /// 66: [`EXTENDED_SIGNATURE`].
    pub extended_signature: u8,
    /// 67: serial number of the volume.
    pub serial: U32,
    /// 71: label, padded with spaces.
    pub label: [u8; 11],
    /// 82: "FAT32   ".
    pub type_name: [u8; 8],
    /// 90: boot code.
    pub boot_code: [u8; 420],
    /// 510: [`BOOT_SIGNATURE`].
    pub signature: U16,
}
const _: () = assert!(size_of::<BootSector>() == 512);

/// FSInfo sector: hints about free space.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct FsInfo {
    /// 0: "RRaA".
    pub lead_signature: [u8; 4],
    /// 4: zero.
    pub reserved1: [u8; 480],
    /// 484: "rrAa".
    pub signature: [u8; 4],
    /// 488: number of free clusters.
    pub free_clusters: U32,
    /// 492: where to look for a free cluster.
    pub next_free: U32,
    /// 496: zero.
    pub reserved2: [u8; 14],
    /// 510: [`BOOT_SIGNATURE`].
    pub boot_signature: U16,
}
const _: () = assert!(size_of::<FsInfo>() == 512);

/// Attribute: read-only.
pub const ATTRIBUTE_READ_ONLY: u8 = 0x01;
/// Attribute: hidden.
pub const ATTRIBUTE_HIDDEN: u8 = 0x02;
/// Attribute: belongs to the operating system.
pub const ATTRIBUTE_SYSTEM: u8 = 0x04;
/// Attribute: the entry is the volume's label.
pub const ATTRIBUTE_LABEL: u8 = 0x08;
/// Attribute: the entry is a directory.
pub const ATTRIBUTE_DIRECTORY: u8 = 0x10;
/// Attribute: changed since the last backup.
pub const ATTRIBUTE_ARCHIVE: u8 = 0x20;
/// Attributes: the entry is a [`LongNameEntry`].
pub const ATTRIBUTE_LONG_NAME: u8 = 0x0F;

/// First byte of the name of an entry after which there are no more.
pub const NAME_END: u8 = 0;
/// First byte of the name of a deleted entry.
pub const NAME_DELETED: u8 = 0xE5;
/// [`DirectoryEntry::case`]: the name before the dot is in lower case.
pub const CASE_LOWER_BASE: u8 = 0x08;
/// [`DirectoryEntry::case`]: the extension is in lower case.
pub const CASE_LOWER_EXTENSION: u8 = 0x10;

/// A file, directory or label.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct DirectoryEntry {
    /// 0: name of 8 and extension of 3 characters, padded with spaces.
    pub name: [u8; 11],
    /// 11: `ATTRIBUTE_*`.
    pub attributes: u8,
    /// 12: `CASE_*` flags of Windows NT.
    pub case: u8,
    /// 13: creation time, 10 ms from the even second.
    pub created_hundredths: u8,
    /// 14: creation time: 2 seconds in bits 0–4, minutes in 5–10, hours in 11–15.
    pub created_time: U16,
    /// 16: creation date: day in bits 0–4, month in 5–8, years since 1980 in 9–15.
    pub created_date: U16,
    /// 18: date of last access.
    pub accessed_date: U16,
    /// 20: high half of the first cluster's number.
    pub cluster_high: U16,
    /// 22: time of last write.
    pub modified_time: U16,
    /// 24: date of last write.
    pub modified_date: U16,
    /// 26: low half of the first cluster's number.
    pub cluster_low: U16,
    /// 28: length, bytes; 0 for directories.
    pub size: U32,
}
const _: () = assert!(size_of::<DirectoryEntry>() == 32);

impl DirectoryEntry {
    /// Number of the first cluster; 0: there is none, or it is the root directory's.
    pub fn cluster(&self) -> u32 {
        u32::from(self.cluster_high.get()) << 16 | u32::from(self.cluster_low.get())
    }
}

/// UTF-16 units in one [`LongNameEntry`].
pub const UNITS_PER_ENTRY: usize = 13;
/// Bit of [`LongNameEntry::order`] in the first entry, which holds the end of the name.
pub const LAST_LONG_ENTRY: u8 = 0x40;

/// A part of a long name. The parts come before the entry of their file, last part first.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct LongNameEntry {
    /// 0: number of the part, from 1; [`LAST_LONG_ENTRY`].
    pub order: u8,
    /// 1: units 1–5; after the end of the name one 0, then 0xFFFF.
    pub units1: [U16; 5],
    /// 11: [`ATTRIBUTE_LONG_NAME`].
    pub attributes: u8,
    /// 12: zero.
    pub entry_type: u8,
    /// 13: checksum of the short name.
    pub checksum: u8,
    /// 14: units 6–11.
    pub units2: [U16; 6],
    /// 26: zero.
    pub cluster: U16,
    /// 28: units 12–13.
    pub units3: [U16; 2],
}
const _: () = assert!(size_of::<LongNameEntry>() == 32);

/// Checksum of a short name, which links long entries to it (Calculating the checksum of the short name).
pub fn short_name_checksum(name: &[u8; 11]) -> u8 {
    name.iter().fold(0, |sum: u8, &byte| sum.rotate_right(1).wrapping_add(byte))
}

//! On-disk structures of VHDX; section numbers are those of [MS-VHDX] revision 8.0.
//! <https://learn.microsoft.com/openspecs/windows_protocols/ms-vhdx>
//!
//! All integers are little-endian.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::types::Guid;

/// Unit of regions, blocks and the log, bytes (§2.1).
pub const MIB: u64 = 1 << 20;

/// File offsets of the two headers, in bytes (§2.2). Each fixed structure has 64 KiB.
pub const HEADER_OFFSETS: [u64; 2] = [64 << 10, 128 << 10];
/// File offsets of the two copies of the region table, bytes (§2.2).
pub const REGION_TABLE_OFFSETS: [u64; 2] = [192 << 10, 256 << 10];
/// Length of a region table including padding, in bytes; its checksum covers all of it (§2.2.3.1).
pub const REGION_TABLE_SIZE: usize = 64 << 10;
/// Length of the metadata table including padding, in bytes; items follow it (§2.6.1.1).
pub const METADATA_TABLE_SIZE: usize = 64 << 10;
/// The most entries of a region or metadata table (§2.2.3.1, §2.6.1.1).
pub const MAX_TABLE_ENTRIES: u32 = 2047;
/// Largest metadata item, bytes (§2.6.1.2).
pub const MAX_ITEM_SIZE: u32 = 1 << 20;
/// Largest virtual disk, bytes (§2.6.2.2).
pub const MAX_DISK_SIZE: u64 = 64 << 40;
/// Smallest and largest block, bytes (§2.6.2.1).
pub const BLOCK_SIZES: [u64; 2] = [MIB, 256 * MIB];

/// `vhdxfile` (§2.2.1).
pub const FILE_SIGNATURE: [u8; 8] = *b"vhdxfile";
/// `head` (§2.2.2).
pub const HEADER_SIGNATURE: [u8; 4] = *b"head";
/// `regi` (§2.2.3.1).
pub const REGION_SIGNATURE: [u8; 4] = *b"regi";
/// `metadata` (§2.6.1.1).
pub const METADATA_SIGNATURE: [u8; 8] = *b"metadata";
/// Version of headers and file (§2.2.2).
pub const VERSION: u16 = 1;

/// Region of the block allocation table (§2.2.3.2).
pub const BAT_REGION: Guid =
    Guid::from_fields(0x2DC2_7766, 0xF623, 0x4200, [0x9D, 0x64, 0x11, 0x5E, 0x9B, 0xFD, 0x4A, 0x08]);
/// Region of the metadata (§2.2.3.2).
pub const METADATA_REGION: Guid =
    Guid::from_fields(0x8B7C_A206, 0x4790, 0x4B9A, [0xB8, 0xFE, 0x57, 0x5F, 0x05, 0x0F, 0x88, 0x6E]);

/// Item: block size and flags (§2.6.2.1).
pub const FILE_PARAMETERS: Guid =
    Guid::from_fields(0xCAA1_6737, 0xFA36, 0x4D43, [0xB3, 0xB6, 0x33, 0xF0, 0xAA, 0x44, 0xE7, 0x6B]);
/// Item: size of the disk in bytes, u64 (§2.6.2.2).
pub const VIRTUAL_DISK_SIZE: Guid =
    Guid::from_fields(0x2FA5_4224, 0xCD1B, 0x4876, [0xB2, 0x11, 0x5D, 0xBE, 0xD8, 0x3B, 0xF4, 0xB8]);
/// Item: the disk's SCSI page 83 identifier, a GUID (§2.6.2.3).
pub const VIRTUAL_DISK_ID: Guid =
    Guid::from_fields(0xBECA_12AB, 0xB2E6, 0x4523, [0x93, 0xEF, 0xC3, 0x09, 0xE0, 0x00, 0xC7, 0x46]);
/// Item: logical sector size in bytes, u32 (§2.6.2.4).
pub const LOGICAL_SECTOR_SIZE: Guid =
    Guid::from_fields(0x8141_BF1D, 0xA96F, 0x4709, [0xBA, 0x47, 0xF2, 0x33, 0xA8, 0xFA, 0xAB, 0x5F]);
/// Item: physical sector size in bytes, u32 (§2.6.2.5).
pub const PHYSICAL_SECTOR_SIZE: Guid =
    Guid::from_fields(0xCDA3_48C7, 0x445D, 0x4471, [0x9C, 0xC9, 0xE9, 0x88, 0x52, 0x51, 0xC5, 0x56]);
/// Item: where the parent of a differencing disk is (§2.6.2.6).
pub const PARENT_LOCATOR: Guid =
    Guid::from_fields(0xA8D3_5F2D, 0xB30B, 0x454D, [0xAB, 0xF7, 0xD3, 0xD8, 0x48, 0x34, 0xAB, 0x0C]);

/// File type identifier, at file offset 0 (§2.2.1).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct FileIdentifier {
    /// 0: [`FILE_SIGNATURE`].
    pub signature: [u8; 8],
    /// 8: name of the program that made the file, UTF-16, zero-padded; for diagnosis only.
    pub creator: [U16; 256],
}
const _: () = assert!(size_of::<FileIdentifier>() == 520);

/// Header. Of the two copies, the valid one with the higher sequence number is used (§2.2.2).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    /// 0: [`HEADER_SIGNATURE`].
    pub signature: [u8; 4],
    /// 4: CRC-32C of the 4 KiB, with this field zero.
    pub checksum: U32,
    /// 8: grows with every update.
    pub sequence_number: U64,
    /// 16: GUID that changes with every first write after an open.
    pub file_write_guid: [u8; 16],
    /// 32: GUID that changes with the disk's content.
    pub data_write_guid: [u8; 16],
    /// 48: GUID of the log entries to replay; zero if there are none.
    pub log_guid: [u8; 16],
    /// 64: version of the log, 0.
    pub log_version: U16,
    /// 66: [`VERSION`].
    pub version: U16,
    /// 68: length of the log, bytes, a multiple of 1 MiB.
    pub log_length: U32,
    /// 72: file offset of the log, bytes, a multiple of 1 MiB.
    pub log_offset: U64,
    /// 80: zero.
    pub reserved: [u8; 4016],
}
const _: () = assert!(size_of::<Header>() == 4096);

/// Start of a region table (§2.2.3.1).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RegionTableHeader {
    /// 0: [`REGION_SIGNATURE`].
    pub signature: [u8; 4],
    /// 4: CRC-32C of the 64 KiB, with this field zero.
    pub checksum: U32,
    /// 8: number of entries that follow, at most [`MAX_TABLE_ENTRIES`].
    pub entry_count: U32,
    /// 12: zero.
    pub reserved: U32,
}
const _: () = assert!(size_of::<RegionTableHeader>() == 16);

/// One region (§2.2.3.2).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RegionEntry {
    /// 0: [`BAT_REGION`] or [`METADATA_REGION`].
    pub guid: [u8; 16],
    /// 16: file offset, bytes, a multiple of 1 MiB.
    pub file_offset: U64,
    /// 24: length, bytes, a multiple of 1 MiB.
    pub length: U32,
    /// 28: 1 if a reader that does not know the region must refuse the file.
    pub required: U32,
}
const _: () = assert!(size_of::<RegionEntry>() == 32);

/// Start of the metadata region (§2.6.1.1).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct MetadataTableHeader {
    /// 0: [`METADATA_SIGNATURE`].
    pub signature: [u8; 8],
    /// 8: zero.
    pub reserved: U16,
    /// 10: number of entries that follow, at most [`MAX_TABLE_ENTRIES`].
    pub entry_count: U16,
    /// 12: zero.
    pub reserved2: [u8; 20],
}
const _: () = assert!(size_of::<MetadataTableHeader>() == 32);

/// One metadata item (§2.6.1.2).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct MetadataEntry {
    /// 0: which item.
    pub item_id: [u8; 16],
    /// 16: offset from the start of the region, bytes, at least 64 KiB.
    pub offset: U32,
    /// 20: length, bytes.
    pub length: U32,
    /// 24: `ITEM_*` flags.
    pub flags: U32,
    /// 28: zero.
    pub reserved: U32,
}
const _: () = assert!(size_of::<MetadataEntry>() == 32);

/// [`MetadataEntry::flags`]: belongs to the disk, not to the file.
pub const ITEM_IS_VIRTUAL_DISK: u32 = 2;
/// [`MetadataEntry::flags`]: a reader that does not know the item must refuse the file.
pub const ITEM_IS_REQUIRED: u32 = 4;

/// Item [`FILE_PARAMETERS`] (§2.6.2.1).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct FileParameters {
    /// 0: bytes per block, a power of two.
    pub block_size: U32,
    /// 4: [`LEAVE_BLOCKS_ALLOCATED`], [`HAS_PARENT`].
    pub flags: U32,
}
const _: () = assert!(size_of::<FileParameters>() == 8);

/// [`FileParameters::flags`]: a fixed disk.
pub const LEAVE_BLOCKS_ALLOCATED: u32 = 1;
/// [`FileParameters::flags`]: a differencing disk.
pub const HAS_PARENT: u32 = 2;

/// Start of item [`PARENT_LOCATOR`]; entries and their texts follow (§2.6.2.6.1).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ParentLocatorHeader {
    /// 0: [`PARENT_LOCATOR_TYPE`].
    pub locator_type: [u8; 16],
    /// 16: zero.
    pub reserved: U16,
    /// 18: number of [entries](ParentLocatorEntry).
    pub key_value_count: U16,
}
const _: () = assert!(size_of::<ParentLocatorHeader>() == 20);

/// A key and its value: UTF-16LE without a terminator, at offsets from the start of the item (§2.6.2.6.2).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ParentLocatorEntry {
    /// 0: offset of the key, bytes.
    pub key_offset: U32,
    /// 4: offset of the value, bytes.
    pub value_offset: U32,
    /// 8: length of the key, bytes.
    pub key_length: U16,
    /// 10: length of the value, bytes.
    pub value_length: U16,
}
const _: () = assert!(size_of::<ParentLocatorEntry>() == 12);

/// [`ParentLocatorHeader::locator_type`]: the parent is a VHDX (§2.6.2.6.3).
pub const PARENT_LOCATOR_TYPE: Guid =
    Guid::from_fields(0xB04A_EFB7, 0xD19E, 0x4A81, [0xB7, 0x89, 0x25, 0xB8, 0xE9, 0x44, 0x59, 0x13]);
/// Key: [`Header::data_write_guid`] of the parent, in braces and lower case.
pub const PARENT_LINKAGE: &str = "parent_linkage";
/// Key: path of the parent relative to the folder of the child.
pub const RELATIVE_PATH: &str = "relative_path";

/// Entry of the block allocation table: state in bits 0–2, file offset in MiB in bits 20–63 (§2.5.1).
pub type BatEntry = U64;

/// Bits of a [`BatEntry`] that hold the state.
pub const BLOCK_STATE_MASK: u64 = 7;
/// Payload block state: never written, reads as zeros.
pub const BLOCK_NOT_PRESENT: u64 = 0;
/// Payload block state: content may be anything.
pub const BLOCK_UNDEFINED: u64 = 1;
/// Payload block state: zeros.
pub const BLOCK_ZERO: u64 = 2;
/// Payload block state: trimmed.
pub const BLOCK_UNMAPPED: u64 = 3;
/// Payload block state: the block is in the file.
pub const BLOCK_FULLY_PRESENT: u64 = 6;
/// Payload block state: the sectors in the sector bitmap are in the file, the rest is in the parent.
pub const BLOCK_PARTIALLY_PRESENT: u64 = 7;
/// Sector bitmap block state: the block is in the file.
pub const BITMAP_PRESENT: u64 = 6;

/// Number of payload blocks that one sector bitmap block serves. The table has a bitmap entry after each such group of
/// payload entries (§2.5).
pub fn chunk_ratio(logical_sector_size: u64, block_size: u64) -> u64 {
    (logical_sector_size << 23) / block_size
}

/// Number of entries in the table of a differencing disk, which consists of whole chunks with a bitmap entry each
/// (§2.5).
pub fn differencing_bat_entries(payload_blocks: u64, chunk_ratio: u64) -> u64 {
    payload_blocks.div_ceil(chunk_ratio) * (chunk_ratio + 1)
}

/// Number of entries in the table of a disk that is not differencing (§2.5).
pub fn bat_entries(payload_blocks: u64, chunk_ratio: u64) -> u64 {
    payload_blocks + payload_blocks.saturating_sub(1) / chunk_ratio
}

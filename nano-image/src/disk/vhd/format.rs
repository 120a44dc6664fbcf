//! On-disk structures of VHD, "Virtual Hard Disk Image Format Specification" 1.0 (Microsoft, 2006).
//! <https://www.microsoft.com/download/details.aspx?id=23850>
//!
//! All integers are big-endian.

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes per sector, the unit of the block allocation table.
pub const SECTOR: u64 = 512;
/// Largest disk, bytes: 2040 GiB.
pub const MAX_DISK_SIZE: u64 = 2040 << 30;
/// `conectix`.
pub const FOOTER_COOKIE: [u8; 8] = *b"conectix";
/// `cxsparse`.
pub const HEADER_COOKIE: [u8; 8] = *b"cxsparse";
/// Version 1.0 of footer and header.
pub const VERSION: u32 = 0x0001_0000;
/// [`Footer::features`]: always set.
pub const FEATURE_RESERVED: u32 = 2;
/// "No offset" in [`Footer::data_offset`] of a fixed disk and [`DynamicHeader::data_offset`].
pub const NO_OFFSET: u64 = u64::MAX;
/// Entry of the block allocation table for a block that is not in the file.
pub const BAT_UNUSED: u32 = u32::MAX;
/// 2000-01-01 00:00 UTC, the zero of [`Footer::timestamp`], in seconds since 1970.
pub const EPOCH_UNIX_SECONDS: u64 = 946_684_800;

/// [`Footer::disk_type`]: fixed.
pub const TYPE_FIXED: u32 = 2;
/// [`Footer::disk_type`]: dynamic.
pub const TYPE_DYNAMIC: u32 = 3;
/// [`Footer::disk_type`]: differencing.
pub const TYPE_DIFFERENCING: u32 = 4;

/// Footer: the file's last 512 bytes. Dynamic disks have a copy of it at the start.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Footer {
    /// 0: [`FOOTER_COOKIE`].
    pub cookie: [u8; 8],
    /// 8: [`FEATURE_RESERVED`] and others.
    pub features: U32,
    /// 12: [`VERSION`].
    pub version: U32,
    /// 16: file offset of the [`DynamicHeader`], bytes, or [`NO_OFFSET`].
    pub data_offset: U64,
    /// 24: seconds since 2000-01-01 00:00 UTC.
    pub timestamp: U32,
    /// 28: the program that made the file.
    pub creator_application: [u8; 4],
    /// 32: its version, major and minor in 16 bits each.
    pub creator_version: U32,
    /// 36: the operating system it ran on.
    pub creator_host_os: [u8; 4],
    /// 40: size of the disk at creation, bytes.
    pub original_size: U64,
    /// 48: size of the disk now, bytes.
    pub current_size: U64,
    /// 56: geometry: cylinders.
    pub cylinders: U16,
    /// 58: geometry: heads.
    pub heads: u8,
    /// 59: geometry: sectors per track.
    pub sectors_per_track: u8,
    /// 60: `TYPE_*`.
    pub disk_type: U32,
    /// 64: ones' complement of the sum of all bytes, with this field zero.
    pub checksum: U32,
    /// 68: identifier of the disk.
    pub unique_id: [u8; 16],
    /// 84: 1 if the disk is in a saved state.
    pub saved_state: u8,
    /// 85: zero.
    pub reserved: [u8; 427],
}
const _: () = assert!(size_of::<Footer>() == 512);

/// Header of a dynamic disk.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct DynamicHeader {
    /// 0: [`HEADER_COOKIE`].
    pub cookie: [u8; 8],
    /// 8: [`NO_OFFSET`].
    pub data_offset: U64,
    /// 16: file offset of the block allocation table, bytes.
    pub table_offset: U64,
    /// 24: [`VERSION`].
    pub version: U32,
    /// 28: number of blocks of the disk.
    pub max_table_entries: U32,
    /// 32: bytes per block, without its sector bitmap.
    pub block_size: U32,
    /// 36: ones' complement of the sum of all bytes, with this field zero.
    pub checksum: U32,
    /// 40: the parent's identifier. This and the other fields about the parent are zero if there is none.
    pub parent_unique_id: [u8; 16],
    /// 56: the parent's [`Footer::timestamp`].
    pub parent_timestamp: U32,
    /// 60: zero.
    pub reserved: U32,
    /// 64: the parent's name, UTF-16BE.
    pub parent_name: [U16; 256],
    /// 576: where the parent may be.
    pub parent_locators: [ParentLocator; 8],
    /// 768: zero.
    pub reserved2: [u8; 256],
}
const _: () = assert!(size_of::<DynamicHeader>() == 1024);

/// One way to find the parent of a differencing disk: a path, which lies elsewhere in the file.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ParentLocator {
    /// 0: [`RELATIVE_PATH`], [`ABSOLUTE_PATH`] or another code; zero if the locator is unused.
    pub platform_code: [u8; 4],
    /// 4: room for the path, in bytes in Microsoft's files, although the specification says sectors.
    pub data_space: U32,
    /// 8: bytes of the path.
    pub data_length: U32,
    /// 12: zero.
    pub reserved: U32,
    /// 16: file offset of the path, bytes.
    pub data_offset: U64,
}
const _: () = assert!(size_of::<ParentLocator>() == 24);

/// [`ParentLocator::platform_code`]: UTF-16LE, relative to the folder of the child.
pub const RELATIVE_PATH: [u8; 4] = *b"W2ru";
/// [`ParentLocator::platform_code`]: UTF-16LE, from the root of a volume. If it is wrong, Windows refuses the file.
pub const ABSOLUTE_PATH: [u8; 4] = *b"W2ku";

/// Ones' complement of the sum of `bytes`; the structure's checksum field must be zero.
pub fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(0, |sum: u32, &byte| sum.wrapping_add(byte.into()))
}

/// Length of the sector bitmap before each block of `block_size` bytes, padded to a sector.
pub fn bitmap_size(block_size: u64) -> u64 {
    (block_size / SECTOR / 8).next_multiple_of(SECTOR)
}

/// Cylinders, heads and sectors per track for a disk of `sectors` (appendix "CHS Calculation").
pub fn geometry(sectors: u64) -> (u16, u8, u8) {
    let sectors = sectors.min(65535 * 16 * 255);
    let (mut heads, mut per_track);
    let mut tracks;
    if sectors >= 65535 * 16 * 63 {
        (heads, per_track) = (16, 255);
        tracks = sectors / per_track;
    } else {
        per_track = 17;
        tracks = sectors / per_track;
        heads = tracks.div_ceil(1024).max(4);
        if tracks >= heads * 1024 || heads > 16 {
            (heads, per_track) = (16, 31);
            tracks = sectors / per_track;
        }
        if tracks >= heads * 1024 {
            (heads, per_track) = (16, 63);
            tracks = sectors / per_track;
        }
    }
    ((tracks / heads) as u16, heads as u8, per_track as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometry_follows_the_specification() {
        // Values of Virtual PC's rule for 1 MiB, 1 GiB, 8 GiB, 127 GiB and anything larger.
        assert_eq!(geometry(2048), (30, 4, 17));
        assert_eq!(geometry(1 << 21), (2080, 16, 63));
        assert_eq!(geometry(8 << 21), (16644, 16, 63));
        assert_eq!(geometry(127 << 21), (65278, 16, 255));
        assert_eq!(geometry(2040 << 21), (65535, 16, 255));
    }
}

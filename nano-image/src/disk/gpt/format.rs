//! On-disk structures of a GUID partition table (UEFI 2.10 §5.3). All integers are little-endian.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `EFI PART`.
pub const SIGNATURE: [u8; 8] = *b"EFI PART";

/// Header (§5.3.2), in the second sector of the disk and in the last.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    /// 0: [`SIGNATURE`].
    pub signature: [u8; 8],
    /// 8: 0x00010000.
    pub revision: U32,
    /// 12: bytes of the header that the checksum covers, at least 92.
    pub header_size: U32,
    /// 16: CRC-32 of the header, with this field zero.
    pub checksum: U32,
    /// 20: zero.
    pub reserved: U32,
    /// 24: sector of this header.
    pub my_lba: U64,
    /// 32: sector of the other header.
    pub alternate_lba: U64,
    /// 40: first sector that partitions can use.
    pub first_usable_lba: U64,
    /// 48: last sector that partitions can use.
    pub last_usable_lba: U64,
    /// 56: the disk's identifier.
    pub disk_guid: [u8; 16],
    /// 72: first sector of the entries.
    pub entries_lba: U64,
    /// 80: number of entries.
    pub entry_count: U32,
    /// 84: bytes of an entry, 128 × 2ⁿ.
    pub entry_size: U32,
    /// 88: CRC-32 of all entries.
    pub entries_checksum: U32,
}
const _: () = assert!(size_of::<Header>() == 92);

/// One partition (§5.3.3).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct PartitionEntry {
    /// 0: type of the partition; zero if the entry is free.
    pub type_guid: [u8; 16],
    /// 16: its identifier.
    pub guid: [u8; 16],
    /// 32: first sector.
    pub first_lba: U64,
    /// 40: last sector.
    pub last_lba: U64,
    /// 48: attribute bits.
    pub attributes: U64,
    /// 56: name, UTF-16, padded with zeros.
    pub name: [U16; 36],
}
const _: () = assert!(size_of::<PartitionEntry>() == 128);

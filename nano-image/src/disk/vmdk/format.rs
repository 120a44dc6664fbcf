//! On-disk structures of hosted sparse VMDK files ("Virtual Disk Format 5.0", "Hosted Sparse Extents").
//!
//! All integers are little-endian; sizes and positions count sectors of 512 bytes.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::types::ByteSize;

/// Unit of sizes and positions, in bytes.
pub const SECTOR: u64 = 512;
/// Bytes of the grains that are written, the same as VMware's.
pub const GRAIN: ByteSize = ByteSize::kib(64);
/// [`SparseHeader::magic`].
pub const MAGIC: [u8; 4] = *b"KDMV";
/// Entries of a grain table.
pub const TABLE_ENTRIES: u64 = 512;
/// Sectors of the description.
pub const DESCRIPTOR_SECTORS: u64 = 20;
/// The largest disk that VMware's hosted products accept.
pub const MAX_DISK_SIZE: u64 = 2 << 40;
/// [`SparseHeader::gd_offset`]: the header at the end of the file has the position.
pub const GD_AT_END: u64 = u64::MAX;
/// Entry of a grain table: the grain is zeros, if [`FLAG_ZERO_GRAINS`] is set.
pub const ZERO_GRAIN: u32 = 1;

/// [`SparseHeader::flags`]: the header contains line ends, so that damage by a transfer as text can be found.
pub const FLAG_NEWLINES: u32 = 1;
/// [`SparseHeader::flags`]: there is a second copy of directory and tables.
pub const FLAG_REDUNDANT: u32 = 1 << 1;
/// [`SparseHeader::flags`]: entries of 1 stand for zeros.
pub const FLAG_ZERO_GRAINS: u32 = 1 << 2;
/// [`SparseHeader::flags`]: grains are compressed.
pub const FLAG_COMPRESSED: u32 = 1 << 16;
/// [`SparseHeader::flags`]: markers say what follows.
pub const FLAG_MARKERS: u32 = 1 << 17;
/// [`SparseHeader::compression`]: zlib.
pub const COMPRESSION_DEFLATE: u16 = 1;
/// [`SparseHeader::newlines`].
pub const NEWLINES: [u8; 4] = *b"\n \r\n";

/// The first sector of the file.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct SparseHeader {
    /// 0: [`MAGIC`].
    pub magic: [u8; 4],
    /// 4: 1 to 3.
    pub version: U32,
    /// 8: `FLAG_*`.
    pub flags: U32,
    /// 12: size of the disk.
    pub capacity: U64,
    /// 20: size of a grain, a power of two of 8 or more.
    pub grain_size: U64,
    /// 28: position of the description.
    pub descriptor_offset: U64,
    /// 36: its size.
    pub descriptor_size: U64,
    /// 44: [`TABLE_ENTRIES`].
    pub table_entries: U32,
    /// 48: position of the second grain directory.
    pub rgd_offset: U64,
    /// 56: position of the grain directory.
    pub gd_offset: U64,
    /// 64: size of everything before the first grain.
    pub overhead: U64,
    /// 72: 1 if the file was not closed.
    pub unclean_shutdown: u8,
    /// 73: [`NEWLINES`].
    pub newlines: [u8; 4],
    /// 77: 0 or [`COMPRESSION_DEFLATE`].
    pub compression: U16,
    /// 79: zero.
    pub reserved: [u8; 433],
}
const _: () = assert!(size_of::<SparseHeader>() == 512);

/// [`Marker::kind`]: the end of the file.
pub const MARKER_END: u32 = 0;
/// [`Marker::kind`]: a grain table.
pub const MARKER_TABLE: u32 = 1;
/// [`Marker::kind`]: the grain directory.
pub const MARKER_DIRECTORY: u32 = 2;
/// [`Marker::kind`]: the header that has the position of the directory.
pub const MARKER_FOOTER: u32 = 3;

/// Precedes everything but grains after the first grain; it fills a sector.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Marker {
    /// 0: number of sectors that follow.
    pub sectors: U64,
    /// 8: 0, which means that no grain follows.
    pub size: U32,
    /// 12: `MARKER_*`.
    pub kind: U32,
}
const _: () = assert!(size_of::<Marker>() == 16);

/// Precedes a compressed grain.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct GrainMarker {
    /// 0: first sector of the grain on the disk.
    pub lba: U64,
    /// 8: bytes of the compressed grain, which follows.
    pub size: U32,
}
const _: () = assert!(size_of::<GrainMarker>() == 12);

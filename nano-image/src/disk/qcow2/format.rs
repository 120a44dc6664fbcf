//! On-disk structures of qcow2, versions 2 and 3.
//! <https://www.qemu.org/docs/master/interop/qcow2.html>
//!
//! All integers are big-endian. A cluster is the unit of everything in the file.

use zerocopy::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `QFI` and 0xFB.
pub const MAGIC: [u8; 4] = *b"QFI\xFB";
/// Version that is written.
pub const VERSION: u32 = 3;
/// [`Header::header_length`] without optional fields.
pub const HEADER_LENGTH: u32 = size_of::<Header>() as u32;
/// The smallest and the largest [`Header::cluster_bits`] that QEMU accepts.
pub const CLUSTER_BITS: [u32; 2] = [9, 21];
/// [`Header::refcount_order`]: 16 bits for each cluster.
pub const REFCOUNT_ORDER: u32 = 4;
/// [`Header::incompatible_features`]: refcounts may be wrong.
pub const INCOMPATIBLE_DIRTY: u64 = 1;
/// [`Header::incompatible_features`]: structures may be wrong.
pub const INCOMPATIBLE_CORRUPT: u64 = 1 << 1;
/// [`Header::incompatible_features`]: [clusters are compressed](ENTRY_COMPRESSED) with another method.
pub const INCOMPATIBLE_COMPRESSION: u64 = 1 << 3;
/// [`Header::incompatible_features`]: a bitmap of [`SUBCLUSTERS`] parts follows each entry of an L2 table.
pub const INCOMPATIBLE_EXTENDED_L2: u64 = 1 << 4;
/// Number of parts of a cluster that an extended L2 entry describes.
pub const SUBCLUSTERS: u64 = 32;
/// Entry of the L1 or L2 table: there is exactly one reference to the cluster.
pub const ENTRY_COPIED: u64 = 1 << 63;
/// Entry of an L2 table: the cluster is compressed.
pub const ENTRY_COMPRESSED: u64 = 1 << 62;
/// Entry of an L2 table, version 3: the cluster reads as zeros.
pub const ENTRY_ZERO: u64 = 1;
/// Entry of the L1 or L2 table: file offset of the cluster in bytes; 0 if there is none.
pub const ENTRY_OFFSET: u64 = 0x00FF_FFFF_FFFF_FE00;
/// Bits of an L2 entry that are zero.
pub const ENTRY_RESERVED: u64 = 0x3F00_0000_0000_01FE;
/// Bytes of an entry of the L1, L2 or refcount table.
pub const ENTRY_SIZE: u64 = 8;
/// A refcount of 1.
pub const REFCOUNT_ONE: &[u8] = &1u16.to_be_bytes();
/// The largest L1 table that QEMU accepts, in bytes.
pub const MAX_L1_SIZE: u64 = 32 << 20;

/// The header, without the further fields of version 3.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    /// 0: [`MAGIC`].
    pub magic: [u8; 4],
    /// 4: 2 or 3.
    pub version: U32,
    /// 8: file offset of the name of the backing file in bytes; 0 if there is none.
    pub backing_file_offset: U64,
    /// 16: length of that name.
    pub backing_file_size: U32,
    /// 20: log₂ of the bytes of a cluster.
    pub cluster_bits: U32,
    /// 24: size of the disk, bytes.
    pub size: U64,
    /// 32: 0 if the disk is not encrypted.
    pub crypt_method: U32,
    /// 36: number of entries of the L1 table.
    pub l1_size: U32,
    /// 40: file offset of the L1 table, bytes.
    pub l1_table_offset: U64,
    /// 48: file offset of the refcount table, bytes.
    pub refcount_table_offset: U64,
    /// 56: number of clusters of the refcount table.
    pub refcount_table_clusters: U32,
    /// 60: number of snapshots.
    pub nb_snapshots: U32,
    /// 64: file offset of their table, bytes.
    pub snapshots_offset: U64,
    /// 72: what a reader must know. This and all fields below exist only in version 3.
    pub incompatible_features: U64,
    /// 80: what a reader may ignore.
    pub compatible_features: U64,
    /// 88: what a writer must clear if it does not know it.
    pub autoclear_features: U64,
    /// 96: log₂ of the bits of a refcount.
    pub refcount_order: U32,
    /// 100: bytes of the header.
    pub header_length: U32,
}
const _: () = assert!(size_of::<Header>() == 104);

/// What may follow the header; an extension of type 0 ends the list.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ExtensionHeader {
    /// 0: 0, [`BACKING_FORMAT`], or another type.
    pub kind: U32,
    /// 4: number of bytes that follow; they are padded to a multiple of 8.
    pub length: U32,
}
const _: () = assert!(size_of::<ExtensionHeader>() == 8);

/// [`ExtensionHeader::kind`]: name of the backing file's format.
pub const BACKING_FORMAT: u32 = 0xE279_2ACA;
/// Longest name of a backing file, bytes.
pub const MAX_BACKING_NAME: usize = 1023;

/// Bytes of an entry of an L2 table.
pub fn l2_entry_size(is_extended: bool) -> u64 {
    if is_extended { 2 * ENTRY_SIZE } else { ENTRY_SIZE }
}

/// Entries of an L2 table.
pub fn l2_entries(cluster_size: u64, is_extended: bool) -> u64 {
    cluster_size / l2_entry_size(is_extended)
}

impl Header {
    /// Whether entries of L2 tables are extended. Version 2 has no features.
    pub fn has_extended_l2(&self) -> bool {
        self.version.get() >= VERSION && self.incompatible_features.get() & INCOMPATIBLE_EXTENDED_L2 != 0
    }
}

/// Refcounts in a cluster.
pub fn refcounts_per_block(cluster_size: u64) -> u64 {
    cluster_size / REFCOUNT_ONE.len() as u64
}

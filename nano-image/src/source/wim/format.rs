//! Structures of a WIM file, all little-endian and packed.
//!
//! Sources: Microsoft, "Windows Imaging File Format (WIM)", October 2007 (header, resources, blob table, security
//! data, directory entries, streams); later additions (LZMS, solid resources, tagged items) are known from files and
//! public descriptions. wimlib's pipable variant is described in its manual page wimoptimize(1).
//!
//! A WIM is a [`Header`], resources, the blob table and XML data. A resource is data, stored raw or as a series of
//! chunks that decompress to `chunk_size` bytes each (the last one to the rest):
//!
//! - plain: a table of the offsets of the second and later chunks, relative to the end of the table (u32 each; u64
//!   if the uncompressed length exceeds u32), then the chunks; a chunk as long as its contents is stored raw;
//! - pipable: the same with the table at the end, and a [`PipableChunkHeader`] before each chunk, which the offsets
//!   leave out;
//! - solid: a [`SolidHeader`], the stored length of each chunk (u32), then the chunks; it holds many blobs.
//!
//! The metadata resource of an image is a [`SecurityHeader`], the lengths (u64) of the descriptors, and the
//! descriptors. From the next multiple of 8 on there follow the [`DirectoryEntry`] of the root, the lists of the
//! directories and, after each entry, its [`StreamEntry`]s. A list ends with a length of 0.

use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Magic of a WIM file.
pub const MAGIC: [u8; 8] = *b"MSWIM\0\0\0";
/// Magic of a pipable WIM file (wimlib only).
pub const PIPABLE_MAGIC: [u8; 8] = *b"WLPWM\0\0\0";

/// Version of a WIM that may have solid resources.
pub const VERSION_SOLID: u32 = 0xE00;

/// First bytes of every part of a WIM.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// +0x00: [`MAGIC`] or [`PIPABLE_MAGIC`].
    pub magic: [u8; 8],
    /// +0x08: length of this header in bytes, 208.
    pub header_size: U32,
    /// +0x0C: format version.
    pub version: U32,
    /// +0x10: flags.
    pub flags: U32,
    /// +0x14: default chunk size of compressed resources in bytes.
    pub chunk_size: U32,
    /// +0x18: identity, the same in all parts of a split WIM.
    pub guid: [u8; 16],
    /// +0x28: number of this part, from 1.
    pub part_number: U16,
    /// +0x2A: number of parts.
    pub total_parts: U16,
    /// +0x2C: number of images.
    pub image_count: U32,
    /// +0x30: blob table.
    pub blob_table: ResourceHeader,
    /// +0x48: XML data.
    pub xml: ResourceHeader,
    /// +0x60: metadata resource of the bootable image.
    pub boot_metadata: ResourceHeader,
    /// +0x78: number of the bootable image, from 1; 0 if there is none.
    pub boot_index: U32,
    /// +0x7C: integrity table.
    pub integrity: ResourceHeader,
    /// +0x94: zero.
    pub reserved: [u8; 60],
}
const _: () = assert!(size_of::<Header>() == 208);

/// Place of a resource.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ResourceHeader {
    /// +0x00: stored length in bytes (low 56 bits) and flags (high 8 bits).
    pub stored_len_and_flags: U64,
    /// +0x08: byte offset in the file.
    pub offset: U64,
    /// +0x10: uncompressed length in bytes.
    pub len: U64,
}
const _: () = assert!(size_of::<ResourceHeader>() == 24);

impl ResourceHeader {
    /// Stored length in bytes.
    pub fn stored_len(&self) -> u64 {
        self.stored_len_and_flags.get() & ((1 << 56) - 1)
    }

    /// How many bytes libwim reads of it: for a resource that is stored raw it ignores the stored length and takes the
    /// uncompressed one.
    pub fn read_len(&self) -> u64 {
        const COMPRESSED: u64 = 4 << 56;
        match self.stored_len_and_flags.get() & COMPRESSED {
            0 => self.stored_len().max(self.len.get()),
            _ => self.stored_len(),
        }
    }
}

/// First bytes of a solid resource.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SolidHeader {
    /// +0x00: uncompressed length in bytes.
    pub len: U64,
    /// +0x08: chunk size in bytes.
    pub chunk_size: U32,
    /// +0x0C: [`Compression`].
    pub compression: U32,
}
const _: () = assert!(size_of::<SolidHeader>() == 16);

/// Precedes each chunk of a pipable resource: the stored length of the chunk.
pub type PipableChunkHeader = U32;

/// How chunks are compressed; the values are those in the header of a solid resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Stored raw.
    None = 0,
    /// XPRESS with Huffman codes.
    Xpress = 1,
    /// LZX.
    Lzx = 2,
    /// LZMS.
    Lzms = 3,
}

impl Compression {
    /// From the value in the header of a solid resource.
    pub fn from_format(value: u32) -> Option<Self> {
        [Self::None, Self::Xpress, Self::Lzx, Self::Lzms].into_iter().find(|compression| *compression as u32 == value)
    }

    /// Log2 of the smallest and the largest chunk size. LZMS allows 1 GiB, but Microsoft's tools accept at most 64 MiB,
    /// and memory must be bounded.
    pub fn chunk_shifts(self) -> std::ops::RangeInclusive<u32> {
        match self {
            Self::None => 0..=0,
            Self::Xpress => 12..=16,
            Self::Lzx => 15..=21,
            Self::Lzms => 15..=28,
        }
    }
}

/// First bytes of a metadata resource.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SecurityHeader {
    /// +0x00: length in bytes of this header, the lengths and the descriptors; 0 means 8.
    pub total_len: U32,
    /// +0x04: number of descriptors.
    pub count: U32,
}
const _: () = assert!(size_of::<SecurityHeader>() == 8);

/// A name in a directory. It begins at a multiple of 8. Behind it are the long name and the short name, each with a
/// zero unit that its length does not count, and each absent if the length is 0. From the next multiple of 8 on,
/// [`TaggedItem`]s follow.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DirectoryEntry {
    /// +0x00: length in bytes without stream entries; a length up to 8 ends the list, and nothing follows it.
    pub len: U64,
    /// +0x08: file attributes ([MS-FSCC] 2.6).
    pub attributes: U32,
    /// +0x0C: number of the security descriptor; -1 for none.
    pub security: U32,
    /// +0x10: byte offset of the directory's list in the metadata resource; 0 if there is none.
    pub children: U64,
    /// +0x18: unused.
    pub unused: [u8; 16],
    /// +0x28: creation (FILETIME).
    pub created: U64,
    /// +0x30: last access (FILETIME).
    pub accessed: U64,
    /// +0x38: last write (FILETIME).
    pub written: U64,
    /// +0x40: SHA-1 of the unnamed stream, or of the reparse data; zero if it is empty.
    pub digest: [u8; 20],
    /// +0x54: unknown.
    pub unknown: [u8; 4],
    /// +0x58: hard-link group, 0 if there is none; for a reparse point, the tag (low 32 bits) and the flags (high 16).
    pub link_group: U64,
    /// +0x60: number of stream entries.
    pub stream_count: U16,
    /// +0x62: length of the short name in bytes.
    pub short_name_len: U16,
    /// +0x64: length of the long name in bytes.
    pub name_len: U16,
}
const _: () = assert!(size_of::<DirectoryEntry>() == 102);

/// For a reparse point: its target was not made relative to the image's root at capture.
pub const REPARSE_NOT_FIXED: u16 = 1;

/// A further stream. It begins at a multiple of 8; its name follows as in a [`DirectoryEntry`].
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct StreamEntry {
    /// +0x00: length in bytes.
    pub len: U64,
    /// +0x08: reserved.
    pub reserved: U64,
    /// +0x10: SHA-1 of the contents; zero if the stream is empty.
    pub digest: [u8; 20],
    /// +0x24: length of the name in bytes; 0 for an unnamed stream.
    pub name_len: U16,
}
const _: () = assert!(size_of::<StreamEntry>() == 38);

/// Metadata that the directory entry has no field for. `len` bytes follow, padded to a multiple of 8.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TaggedItem {
    /// +0x00: [`TAG_OBJECT_ID`] …
    pub tag: U32,
    /// +0x04: length of the data in bytes.
    pub len: U32,
}
const _: () = assert!(size_of::<TaggedItem>() == 8);

/// The object id, of 16 or 64 bytes.
pub const TAG_OBJECT_ID: u32 = 1;
/// Extended attributes: packed [`ExtendedAttribute`]s.
pub const TAG_EXTENDED_ATTRIBUTES: u32 = 2;
/// Owner, mode and device of a Unix file (wimlib only).
pub const TAG_UNIX_DATA: u32 = 0x337D_D873;
/// Extended attributes of Linux, as wimlib 1.11 and 1.12 wrote them.
pub const TAG_LINUX_XATTRS: u32 = 0x337D_D874;

/// An extended attribute; the name, a zero byte and the value follow, without padding.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ExtendedAttribute {
    /// +0x00: length of the value in bytes.
    pub value_len: U16,
    /// +0x02: length of the name in bytes, without the zero byte.
    pub name_len: u8,
    /// +0x03: 0, or 0x80 (FILE_NEED_EA).
    pub flags: u8,
}
const _: () = assert!(size_of::<ExtendedAttribute>() == 4);

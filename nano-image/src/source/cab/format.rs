//! Structures of a cabinet file, all little-endian and packed.
//!
//! Source: [MS-CAB], "Cabinet File Format"; MSZIP blocks: [MS-MCI]; the LZX and Quantum method numbers and the flag
//! for UTF-8 names: Microsoft Cabinet SDK (`fci.h`, `fdi.h`).
//!
//! A cabinet is a [`Header`], a [`Reserve`] and reserved bytes if flagged, the names of the neighbours in its set if
//! flagged (two strings each, ending with 0), the [`Folder`]s, the [`File`]s, each followed by its name (ending with
//! 0), and the [`Data`] blocks. A folder is a series of blocks that decompress to one stream, in which the files lie
//! one after another. The last folder of a cabinet may continue in the next one of the set, and a block may be cut in
//! two: the header of its first part then says that it decompresses to 0 bytes.

use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// First bytes of a cabinet.
pub const MAGIC: [u8; 4] = *b"MSCF";
/// The only major version.
pub const VERSION_MAJOR: u8 = 1;

/// [`Header::flags`]: a previous cabinet of the set is named.
pub const HAS_PREVIOUS: u16 = 1;
/// [`Header::flags`]: a next cabinet of the set is named.
pub const HAS_NEXT: u16 = 2;
/// [`Header::flags`]: there is a [`Reserve`].
pub const HAS_RESERVE: u16 = 4;

/// [`File::folder`]: the file began in the previous cabinet; its folder is the first.
pub const CONTINUED_FROM_PREVIOUS: u16 = 0xFFFD;
/// [`File::folder`]: the file continues in the next cabinet; its folder is the last.
pub const CONTINUED_TO_NEXT: u16 = 0xFFFE;
/// [`File::folder`]: the file began in the previous cabinet and continues in the next; there is one folder.
pub const CONTINUED_BOTH: u16 = 0xFFFF;

/// [`File::attributes`]: the name is UTF-8.
pub const NAME_IS_UTF8: u16 = 0x80;
/// The longest name, in bytes.
pub const MAX_NAME: usize = 255;

/// The most bytes that a block decompresses to.
pub const MAX_BLOCK: usize = 32768;

/// Low bits of [`Folder::compression`]: the method.
pub const METHOD: u16 = 0x000F;
/// Bytes are stored as they are.
pub const METHOD_STORED: u16 = 0;
/// MSZIP.
pub const METHOD_MSZIP: u16 = 1;
/// Quantum.
pub const METHOD_QUANTUM: u16 = 2;
/// LZX; bits 8–12 are the exponent of the window size.
pub const METHOD_LZX: u16 = 3;

/// First bytes of each MSZIP block.
pub const MSZIP_MAGIC: [u8; 2] = *b"CK";

/// CFHEADER.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// +0x00: [`MAGIC`].
    pub magic: [u8; 4],
    /// +0x04: 0.
    pub reserved1: U32,
    /// +0x08: length of the cabinet in bytes.
    pub len: U32,
    /// +0x0C: 0.
    pub reserved2: U32,
    /// +0x10: offset of the first [`File`] in the cabinet, in bytes.
    pub files_offset: U32,
    /// +0x14: 0.
    pub reserved3: U32,
    /// +0x18: minor version, 3.
    pub version_minor: u8,
    /// +0x19: [`VERSION_MAJOR`].
    pub version_major: u8,
    /// +0x1A: number of folders.
    pub folder_count: U16,
    /// +0x1C: number of files.
    pub file_count: U16,
    /// +0x1E: flags.
    pub flags: U16,
    /// +0x20: the same in all cabinets of a set.
    pub set_id: U16,
    /// +0x22: number of this cabinet in its set, from 0.
    pub number: U16,
}
const _: () = assert!(size_of::<Header>() == 36);

/// Lengths of reserved fields, behind the header.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Reserve {
    /// +0x00: bytes behind this structure.
    pub header: U16,
    /// +0x02: bytes behind each [`Folder`].
    pub folder: u8,
    /// +0x03: bytes behind each [`Data`].
    pub data: u8,
}
const _: () = assert!(size_of::<Reserve>() == 4);

/// CFFOLDER.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Folder {
    /// +0x00: offset of the first [`Data`] in the cabinet, in bytes.
    pub data_offset: U32,
    /// +0x04: number of blocks in this cabinet.
    pub block_count: U16,
    /// +0x06: how the blocks are compressed.
    pub compression: U16,
}
const _: () = assert!(size_of::<Folder>() == 8);

/// CFFILE, without the name.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct File {
    /// +0x00: length in bytes.
    pub len: U32,
    /// +0x04: offset in what the folder decompresses to, in bytes.
    pub offset: U32,
    /// +0x08: index of the folder, or one of the `CONTINUED_` values.
    pub folder: U16,
    /// +0x0A: date: year since 1980 (7 bits), month (4), day (5).
    pub date: U16,
    /// +0x0C: time: hour (5 bits), minute (6), seconds / 2 (5).
    pub time: U16,
    /// +0x0E: DOS attributes, and [`NAME_IS_UTF8`].
    pub attributes: U16,
}
const _: () = assert!(size_of::<File>() == 16);

/// CFDATA, without the bytes.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Data {
    /// +0x00: checksum of the two lengths and the bytes; 0 if there is none.
    pub checksum: U32,
    /// +0x04: number of bytes here.
    pub len: U16,
    /// +0x06: number of bytes that they decompress to; 0 if the rest of the block is in the next cabinet.
    pub uncompressed_len: U16,
}
const _: () = assert!(size_of::<Data>() == 8);

/// The checksum of a block: exclusive or of its little-endian u32s; up to three bytes at the end form a big-endian
/// number. `seed` is the checksum of other bytes of the block.
pub fn checksum(bytes: &[u8], seed: u32) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let sum = words.iter().fold(seed, |sum, word| sum ^ u32::from_le_bytes(*word));
    sum ^ rest.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

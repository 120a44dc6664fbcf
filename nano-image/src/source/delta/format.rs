//! Values of DCM files and PA30 deltas.
//!
//! A DCM file is [`DCM_MAGIC`] and a PA30 delta. That is a [`Header`] and a stream of bits, in which a number is n
//! bits 0, a bit 1 and 4 (n + 1) bits, and a buffer is a number (its length), bits up to the next whole byte, and its
//! bytes. A stream begins with three bits: how many bits of its last byte are unused. Bits are taken from the lowest.
//!
//! Numbers of the outer stream: file type set, file type, flags, length of the result, hash algorithm; then three
//! buffers: hash, preprocessing, patch. The patch is a stream, too: whether there is a rift table, how its symbols are
//! coded (see `prefix_code`), and the symbols (see `decode`).

use zerocopy::byteorder::little_endian::U64;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// First bytes of a DCM file.
pub const DCM_MAGIC: [u8; 4] = *b"DCM\x01";
/// First bytes of a PA30 delta.
pub const PA30_MAGIC: [u8; 4] = *b"PA30";
/// File type of plain data.
pub const TYPE_RAW: u64 = 1;

/// First bytes of a PA30 delta.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// +0x00: [`PA30_MAGIC`].
    pub magic: [u8; 4],
    /// +0x04: time of the result, as FILETIME.
    pub time: U64,
}
const _: () = assert!(size_of::<Header>() == 12);

/// Symbols of the main code: literals, then 8 for each of 43 slots.
pub const MAIN_SYMBOLS: usize = 600;
/// Symbols of the code for lengths.
pub const LENGTH_SYMBOLS: usize = 256;
/// Symbols of the code for the low bits of distances.
pub const ALIGNED_SYMBOLS: usize = 16;
/// Symbols of the code for the lengths of codes.
pub const PRE_SYMBOLS: usize = 39;
/// Longest code, in bits.
pub const MAX_CODE: u8 = 16;

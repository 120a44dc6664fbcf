//! Values of DCM files and of PA30 and PA31 deltas.
//!
//! Microsoft does not document these formats; what is known comes from files and public descriptions. In the modules
//! beside this one, § refers to this table:
//!
//! | § | |
//! |---|---|
//! | 2 | Streams of bits. A stream begins with three bits that say how many bits of its last byte are unused. Bits are taken from each byte lowest first. A *number* is z 0 bits, a 1 bit and 4 (z + 1) bits. A *buffer* is a number (its length), padding to the next whole byte, and its bytes. |
//! | 3 | Header. A DCM file is [`DCM_MAGIC`] and a delta; a delta is a [`Preamble`] and a stream. In PA30 that is file type set, file type, flags, length of the result, hash algorithm (numbers); hash, preprocessing, patch (buffers). In PA31 the numbers and the hash are in a buffer of their own, followed by three numbers and the hash of the basis. |
//! | 4 | Prefix codes: see `prefix_code`. |
//! | 5 | Rift tables: see `rift`. |
//! | 6–8 | The patch: a rift table, how its symbols are coded (`segments`), and symbols (`patch`). |
//! | 9–10 | The preprocessing: which address of the basis became which of the result, see `preprocess` and `pe_map`. |
//! | 11 | How the basis, if it is a program, is changed before it is copied from: see `transform`. |
//! | 12 | The filter that is applied to the result: see `e8`. |

use zerocopy::byteorder::little_endian::U64;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// First bytes of a DCM file.
pub const DCM_MAGIC: [u8; 4] = *b"DCM\x01";
/// First bytes of a delta of Windows Vista and later.
pub const PA30_MAGIC: [u8; 4] = *b"PA30";
/// First bytes of a delta of Windows Server 2025.
pub const PA31_MAGIC: [u8; 4] = *b"PA31";
/// First bytes of a delta from before Windows Vista.
pub const PA19_MAGIC: [u8; 4] = *b"PA19";
/// First bytes of a patch that the Compression API made (LZMS).
pub const COMPRESSION_API_MAGIC: [u8; 4] = [0x0A, 0x51, 0xE5, 0xC0];

/// First bytes of a delta.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Preamble {
    /// +0x00: [`PA30_MAGIC`] or [`PA31_MAGIC`].
    pub magic: [u8; 4],
    /// +0x04: time of the result, as FILETIME.
    pub time: U64,
}
const _: () = assert!(size_of::<Preamble>() == 12);

/// Bit of the file type set: a delta from the new file back to the old one, with another body.
pub const REVERSE: u64 = 0x100;
/// File type of plain data.
pub const FILE_TYPE_RAW: u64 = 1;
/// File type of programs for IA64.
pub const FILE_TYPE_IA64: u64 = 4;
/// All file types: plain, i386, IA64, AMD64; and those of newer delta makers, which know managed code: i386, AMD64,
/// ARM, ARM64.
pub const FILE_TYPES: [u64; 8] = [FILE_TYPE_RAW, 2, FILE_TYPE_IA64, 8, 0x10, 0x20, 0x40, 0x80];

/// Numbers of hash algorithms, of the Windows cryptography API.
pub const HASH_NONE: i64 = 0;
pub const HASH_MD5: i64 = 0x8003;
pub const HASH_SHA1: i64 = 0x8004;
pub const HASH_SHA256: i64 = 0x800C;

/// Flags of a delta: the steps by which a basis that is a program is changed, in this order, except that
/// [`FLAG_UNBIND`] comes first. Only [`FLAG_E8`] concerns the result, of any file type.
pub const FLAG_E8: u64 = 0x1;
pub const FLAG_MARK: u64 = 0x2;
pub const FLAG_IMPORTS: u64 = 0x4;
pub const FLAG_EXPORTS: u64 = 0x8;
pub const FLAG_RESOURCES: u64 = 0x10;
pub const FLAG_RELOCATIONS: u64 = 0x20;
pub const FLAG_LOCK_PREFIXES: u64 = 0x40;
pub const FLAG_I386_JUMPS: u64 = 0x80;
pub const FLAG_I386_CALLS: u64 = 0x100;
pub const FLAG_AMD64_CODE: u64 = 0x200;
pub const FLAG_AMD64_FUNCTIONS: u64 = 0x400;
pub const FLAG_UNBIND: u64 = 0x2000;
/// Managed code and its metadata, in the old and the new form.
pub const FLAGS_MANAGED: u64 = 0x4000 | 0x8000 | 0x20_0000 | 0x40_0000;
pub const FLAG_HEADERS: u64 = 0x1_0000;

/// Symbols of the main code: literals, then 8 for each of 43 slots.
pub const MAIN_SYMBOLS: usize = 600;
/// Symbols of the code for lengths.
pub const LENGTH_SYMBOLS: usize = 256;
/// Symbols of the code for the low bits of distances.
pub const ALIGNED_SYMBOLS: usize = 16;
/// Symbols of the code for the lengths of codes.
pub const PRE_SYMBOLS: usize = 39;
/// The longest code, in bits.
pub const MAX_CODE: u8 = 16;

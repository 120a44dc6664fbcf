//! On-disk structures of regf 1.3–1.6.
//!
//! Source: the public description of the format (<https://github.com/msuhanov/regf>, "Windows registry file format
//! specification"). All integers are little-endian. Offsets between structures count from the end of the base block.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Length of the base block; the first bin follows.
pub const BASE_BLOCK_LEN: usize = 4096;
/// Bytes of the base block that the checksum covers.
pub const CHECKSUM_COVERS: usize = 508;
/// Bins start at multiples of this, and their lengths are multiples of it.
pub const BIN_ALIGNMENT: u32 = 4096;
/// Lengths of cells are multiples of this.
pub const CELL_ALIGNMENT: u32 = 8;
/// "No cell".
pub const NO_CELL: u32 = 0xFFFF_FFFF;
/// Offsets with this bit mean volatile storage, which is never in a file: bins end below it.
pub const MAX_BINS_LEN: u32 = 0x7FFF_F000;

/// Signature of a base block, also in the log files.
pub const REGF: [u8; 4] = *b"regf";
/// Signature of a bin.
pub const HBIN: [u8; 4] = *b"hbin";
/// Signature of a key node.
pub const NK: [u8; 2] = *b"nk";
/// Signature of a key value.
pub const VK: [u8; 2] = *b"vk";
/// Signature of a key security item.
pub const SK: [u8; 2] = *b"sk";
/// Signature of big data.
pub const DB: [u8; 2] = *b"db";
/// Signature of a list of subkeys without hints.
pub const LI: [u8; 2] = *b"li";
/// Signature of a list of subkeys with the first four characters.
pub const LF: [u8; 2] = *b"lf";
/// Signature of a list of subkeys with hashes.
pub const LH: [u8; 2] = *b"lh";
/// Signature of a list of lists.
pub const RI: [u8; 2] = *b"ri";

/// Base block type of a hive.
pub const TYPE_PRIMARY: u32 = 0;
/// Base block format: direct memory load.
pub const FORMAT_MEMORY: u32 = 1;

/// First minor version that keeps long values in several cells.
pub const MINOR_BIG_DATA: u32 = 4;
/// First minor version with `lh` lists.
pub const MINOR_HASH_LEAF: u32 = 5;

/// Base block types of logs that hold dirty sectors (up to Windows 8).
pub const TYPES_OLD_LOG: [u32; 2] = [1, 2];
/// Base block type of logs that hold entries (since Windows 8.1).
pub const TYPE_LOG: u32 = 6;
/// Logs are made of sectors of this length.
pub const LOG_SECTOR: usize = 512;
/// Signature of the bitmap of dirty sectors in an old log.
pub const DIRT: [u8; 4] = *b"DIRT";
/// Signature of a log entry.
pub const HVLE: [u8; 4] = *b"HvLE";
/// Seed of the Marvin32 hashes of log entries.
pub const MARVIN_SEED: u64 = 0x82EF_4D88_7A4E_55C5;

/// Key node flag: root of its hive.
pub const KEY_HIVE_ENTRY: u16 = 0x0004;
/// Key node flag: cannot be deleted.
pub const KEY_NO_DELETE: u16 = 0x0008;
/// Key node flag: the name is Latin-1, one byte a character.
pub const KEY_COMP_NAME: u16 = 0x0020;
/// Key value flag: the name is Latin-1, one byte a character.
pub const VALUE_COMP_NAME: u16 = 0x0001;
/// Bit of a value's data length: the data is in the offset field.
pub const VALUE_INLINE: u32 = 0x8000_0000;
/// The longest data in one cell from [`MINOR_BIG_DATA`] on, and the number of bytes in each cell of big data.
pub const BIG_DATA_SEGMENT: usize = 16_344;
/// Longest data before [`MINOR_BIG_DATA`].
pub const MAX_PLAIN_DATA: usize = 1 << 20;
/// The most entries that Windows puts into one `lf` or `lh` list: as many as fit into one page beside the bin header.
pub const MAX_HINTED_LEAF: usize = 507;
/// The most entries that Windows puts into one `li` list.
pub const MAX_PLAIN_LEAF: usize = 1013;

/// Longest name of a key in UTF-16 units.
pub const MAX_KEY_NAME: usize = 255;
/// Longest name of a value in UTF-16 units.
pub const MAX_VALUE_NAME: usize = 16_383;

/// Start of a hive or log file; the rest of the 4,096 bytes is reserved.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BaseBlock {
    /// 0x000: [`REGF`].
    pub signature: [u8; 4],
    /// 0x004: incremented when a write begins.
    pub primary_sequence: U32,
    /// 0x008: incremented when a write ends. In a dirty hive it differs from the primary number.
    pub secondary_sequence: U32,
    /// 0x00C: FILETIME.
    pub last_written: U64,
    /// 0x014: 1.
    pub major: U32,
    /// 0x018: 3 to 6.
    pub minor: U32,
    /// 0x01C: [`TYPE_PRIMARY`]; 1, 2 and 6 are logs.
    pub file_type: U32,
    /// 0x020: [`FORMAT_MEMORY`].
    pub file_format: U32,
    /// 0x024: cell of the root key.
    pub root_cell: U32,
    /// 0x028: length of all bins in bytes.
    pub bins_len: U32,
    /// 0x02C: 1 (sector size in units of 512 bytes).
    pub clustering: U32,
    /// 0x030: last part of the path of the file, UTF-16, NUL-padded.
    pub file_name: [u8; 64],
    /// 0x070: resource manager, log and transaction manager GUIDs, flags, reserved.
    pub reserved: [u8; 396],
    /// 0x1FC: XOR of the 127 words before it.
    pub checksum: U32,
}
const _: () = assert!(size_of::<BaseBlock>() == 512);

/// Start of a bin; cells follow.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BinHeader {
    /// 0x00: [`HBIN`].
    pub signature: [u8; 4],
    /// 0x04: position of this bin.
    pub offset: U32,
    /// 0x08: length in bytes, this header included.
    pub len: U32,
    /// 0x0C: unused.
    pub reserved: [u8; 8],
    /// 0x14: FILETIME; used only in the first bin.
    pub time: U64,
    /// 0x1C: unused on disk.
    pub spare: U32,
}
const _: () = assert!(size_of::<BinHeader>() == 32);

/// Key node, `nk`; the name follows.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct KeyNode {
    /// 0x00: [`NK`].
    pub signature: [u8; 2],
    /// 0x02: `KEY_*` flags.
    pub flags: U16,
    /// 0x04: FILETIME.
    pub last_written: U64,
    /// 0x0C: access bits and layering (1.6).
    pub access: U32,
    /// 0x10: cell of the parent; unused in the root.
    pub parent: U32,
    /// 0x14: number of subkeys.
    pub subkey_count: U32,
    /// 0x18: unused in a file.
    pub volatile_subkey_count: U32,
    /// 0x1C: cell of the list of subkeys.
    pub subkey_list: U32,
    /// 0x20: unused in a file.
    pub volatile_subkey_list: U32,
    /// 0x24: number of values.
    pub value_count: U32,
    /// 0x28: cell of the list of values.
    pub value_list: U32,
    /// 0x2C: cell of the security item.
    pub security: U32,
    /// 0x30: cell of the class name.
    pub class: U32,
    /// 0x34: length of the longest subkey name, in bytes of UTF-16.
    pub max_subkey_name_len: U16,
    /// 0x36: virtualization and debug flags.
    pub user_flags: U16,
    /// 0x38: length of the longest class name of a subkey, in bytes.
    pub max_subkey_class_len: U32,
    /// 0x3C: length of the longest value name, in bytes of UTF-16.
    pub max_value_name_len: U32,
    /// 0x40: length of the longest value, in bytes.
    pub max_value_data_len: U32,
    /// 0x44: unused on disk.
    pub work: U32,
    /// 0x48: length of the name in bytes.
    pub name_len: U16,
    /// 0x4A: length of the class name in bytes.
    pub class_len: U16,
}
const _: () = assert!(size_of::<KeyNode>() == 76);

/// Key value, `vk`; the name follows.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct KeyValue {
    /// 0x00: [`VK`].
    pub signature: [u8; 2],
    /// 0x02: length of the name in bytes; 0 for the default value.
    pub name_len: U16,
    /// 0x04: length of the data in bytes, possibly with [`VALUE_INLINE`].
    pub data_len: U32,
    /// 0x08: cell of the data, or the data itself.
    pub data: U32,
    /// 0x0C: `REG_*` type.
    pub kind: U32,
    /// 0x10: [`VALUE_COMP_NAME`].
    pub flags: U16,
    /// 0x12: unused.
    pub spare: U16,
}
const _: () = assert!(size_of::<KeyValue>() == 20);

/// Key security item, `sk`. A self-relative security descriptor follows it. All items of a hive form a ring.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct KeySecurity {
    /// 0x00: [`SK`].
    pub signature: [u8; 2],
    /// 0x02: unused.
    pub reserved: [u8; 2],
    /// 0x04: cell of the next item.
    pub next: U32,
    /// 0x08: cell of the previous item.
    pub previous: U32,
    /// 0x0C: number of keys that use it.
    pub references: U32,
    /// 0x10: length of the descriptor in bytes.
    pub len: U32,
}
const _: () = assert!(size_of::<KeySecurity>() == 20);

/// Start of a list. In `li`, `lf` and `lh` entries follow: a cell, and in `lf` and `lh` also a hint. In `ri` the cells
/// of lists follow.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ListHeader {
    /// 0x00: [`LI`], [`LF`], [`LH`] or [`RI`].
    pub signature: [u8; 2],
    /// 0x02: number of entries.
    pub count: U16,
}
const _: () = assert!(size_of::<ListHeader>() == 4);

/// Big data, `db`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BigData {
    /// 0x00: [`DB`].
    pub signature: [u8; 2],
    /// 0x02: number of segments.
    pub count: U16,
    /// 0x04: cell with the cells of the segments.
    pub list: U32,
}
const _: () = assert!(size_of::<BigData>() == 8);

/// Start of a log entry. Page references follow it, then the pages.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LogEntry {
    /// 0x00: [`HVLE`].
    pub signature: [u8; 4],
    /// 0x04: length in bytes, a multiple of [`LOG_SECTOR`].
    pub len: U32,
    /// 0x08: flags of the base block.
    pub flags: U32,
    /// 0x0C: one more than in the entry before.
    pub sequence: U32,
    /// 0x10: length of all bins after this entry.
    pub bins_len: U32,
    /// 0x14: number of pages.
    pub pages: U32,
    /// 0x18: Marvin32 of the bytes from 0x28 on.
    pub body_hash: U64,
    /// 0x20: Marvin32 of the bytes before.
    pub head_hash: U64,
}
const _: () = assert!(size_of::<LogEntry>() == 40);

/// Where a page of a log entry belongs.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PageReference {
    /// 0x00: position among the bins.
    pub offset: U32,
    /// 0x04: length in bytes.
    pub len: U32,
}
const _: () = assert!(size_of::<PageReference>() == 8);

/// The XOR of the words of a base block before its checksum, except that 0 and −1 are not used.
pub fn checksum(base_block: &[u8]) -> u32 {
    let words = base_block[..CHECKSUM_COVERS].chunks_exact(4);
    match words.fold(0, |sum, word| sum ^ u32::from_le_bytes([word[0], word[1], word[2], word[3]])) {
        0 => 1,
        u32::MAX => u32::MAX - 1,
        sum => sum,
    }
}

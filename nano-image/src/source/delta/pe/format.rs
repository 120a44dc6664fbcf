//! Headers of programs. Source: Microsoft, "PE Format".

use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// First bytes of a program.
pub const DOS_MAGIC: [u8; 2] = *b"MZ";
pub const PE_MAGIC: [u8; 4] = *b"PE\0\0";
/// Position of the offset of the headers (`e_lfanew`).
pub const HEADER_OFFSET: usize = 0x3C;

pub const MACHINE_I386: u16 = 0x14C;
pub const MACHINE_AMD64: u16 = 0x8664;
/// IA64, ARM (three kinds) and ARM64.
pub const OTHER_MACHINES: [(u16, &str); 5] =
    [(0x200, "IA64"), (0x1C0, "ARM"), (0x1C2, "ARM"), (0x1C4, "ARM"), (0xAA64, "ARM64")];

/// Magics of the optional header.
pub const PE32: u16 = 0x10B;
pub const PE32_PLUS: u16 = 0x20B;

/// Characteristics of a section: it contains code.
pub const EXECUTE: u32 = 0x2000_0000;

/// The signature and the COFF header.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Coff {
    /// +0x00: [`PE_MAGIC`].
    pub magic: [u8; 4],
    /// +0x04
    pub machine: U16,
    /// +0x06
    pub section_count: U16,
    /// +0x08
    pub time_date_stamp: U32,
    /// +0x0C
    pub symbols: [u8; 8],
    /// +0x14
    pub optional_len: U16,
    /// +0x16
    pub characteristics: U16,
}
const _: () = assert!(size_of::<Coff>() == 24);
/// Offset of the time stamp in [`Coff`].
pub const TIME_DATE_STAMP: usize = 8;

/// The optional header of PE32, up to the directories.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Optional32 {
    /// +0x00: [`PE32`].
    pub magic: U16,
    /// +0x02
    pub sizes: [u8; 26],
    /// +0x1C
    pub image_base: U32,
    pub rest: OptionalRest,
    /// +0x48
    pub stack: [u8; 20],
    /// +0x5C
    pub directory_count: U32,
}
const _: () = assert!(size_of::<Optional32>() == 96);

/// The optional header of PE32+, up to the directories.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Optional64 {
    /// +0x00: [`PE32_PLUS`].
    pub magic: U16,
    /// +0x02
    pub sizes: [u8; 22],
    /// +0x18
    pub image_base: U64,
    pub rest: OptionalRest,
    /// +0x48
    pub stack: [u8; 36],
    /// +0x6C
    pub directory_count: U32,
}
const _: () = assert!(size_of::<Optional64>() == 112);
/// Offsets of the image base in [`Optional32`] and [`Optional64`].
pub const IMAGE_BASE_32: usize = 0x1C;
pub const IMAGE_BASE_64: usize = 0x18;

/// The fields that both optional headers have at the same place.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OptionalRest {
    /// +0x20: alignments and versions.
    pub versions: [u8; 24],
    /// +0x38
    pub size_of_image: U32,
    /// +0x3C
    pub size_of_headers: U32,
    /// +0x40
    pub check_sum: U32,
    /// +0x44: subsystem, characteristics.
    pub subsystem: [u8; 4],
}
const _: () = assert!(size_of::<OptionalRest>() == 40);
/// Offset of the checksum in both optional headers.
pub const CHECK_SUM: usize = 0x40;

/// An entry of the data directories.
#[derive(Clone, Copy, Debug, Default, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Directory {
    /// +0x00: address.
    pub rva: U32,
    /// +0x04: bytes.
    pub size: U32,
}
const _: () = assert!(size_of::<Directory>() == 8);

/// The largest number of directories, and the directories that are used here.
pub const DIRECTORY_COUNT: usize = 16;
pub const EXPORTS: usize = 0;
pub const IMPORTS: usize = 1;
pub const RESOURCES: usize = 2;
pub const EXCEPTIONS: usize = 3;
pub const RELOCATIONS: usize = 5;
pub const LOAD_CONFIG: usize = 10;
pub const CLR: usize = 14;

/// Length of an import descriptor, and offsets of its fields.
pub const IMPORT_DESCRIPTOR: usize = 20;
pub const ORIGINAL_FIRST_THUNK: usize = 0;
pub const IMPORT_TIME: usize = 4;
pub const FORWARDER_CHAIN: usize = 8;
pub const IMPORT_NAME: usize = 12;
pub const FIRST_THUNK: usize = 16;

/// Offsets of fields in the export directory: its name; two counts; addresses of three tables.
pub const EXPORT_NAME: usize = 12;
pub const FUNCTION_COUNT: usize = 20;
pub const NAME_COUNT: usize = 24;
pub const FUNCTIONS: usize = 28;
pub const NAMES: usize = 32;
pub const NAME_ORDINALS: usize = 36;

/// Length of a resource directory, and the offsets of the two counts of its entries: those with names, and those with
/// numbers.
pub const RESOURCE_DIRECTORY: usize = 16;
pub const NAMED_ENTRIES: usize = 12;
pub const NUMBERED_ENTRIES: usize = 14;
/// Bit of the name or offset in an entry: the name is text, the offset leads to a directory.
pub const RESOURCE_BIT: u32 = 1 << 31;

/// Length of the header of a block of relocations, and the types of its entries.
pub const RELOCATION_BLOCK: usize = 8;
pub const RELOCATION_END: u16 = 0;
pub const RELOCATION_HIGH: u16 = 1;
pub const RELOCATION_LOW: u16 = 2;
pub const RELOCATION_HIGH_LOW: u16 = 3;
pub const RELOCATION_HIGH_ADJUST: u16 = 4;
pub const RELOCATION_64: u16 = 10;

/// Length of an entry of the exception directory of AMD64: the addresses of a function's begin, its end and its unwind
/// data.
pub const RUNTIME_FUNCTION: usize = 12;
/// Bits of the first byte of unwind data: handlers, or the data of another function, follow the codes.
pub const UNWIND_FLAGS: u8 = 0x38;
/// Offset of the number of codes in unwind data; offset of the first code; length of a code.
pub const UNWIND_COUNT: usize = 2;
pub const UNWIND_CODES: usize = 4;
pub const UNWIND_CODE: usize = 2;

/// Offset, in the load configuration of PE32, of the address of a table of lock prefixes. The size of the load
/// configuration is at 0.
pub const LOCK_PREFIX_TABLE: usize = 32;

/// An entry of the section table.
#[derive(Clone, Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Section {
    /// +0x00
    pub name: [u8; 8],
    /// +0x08
    pub virtual_size: U32,
    /// +0x0C
    pub rva: U32,
    /// +0x10
    pub raw_size: U32,
    /// +0x14
    pub raw_offset: U32,
    /// +0x18: relocations, line numbers.
    pub unused: [u8; 12],
    /// +0x24
    pub characteristics: U32,
}
const _: () = assert!(size_of::<Section>() == 40);
/// Offset of the characteristics in [`Section`].
pub const CHARACTERISTICS: usize = 0x24;

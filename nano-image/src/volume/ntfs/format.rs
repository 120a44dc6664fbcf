//! On-disk structures of NTFS 3.1.
//!
//! All integers are little-endian. Sources: the public NTFS documentation of the Linux-NTFS project, and [MS-FSCC] for
//! attribute bits and reparse data. The facts below were checked against volumes formatted by Windows 10 and Server
//! 2022. Index blocks are 4 KiB on every volume that this library writes.

use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of an index block.
pub const INDEX_BLOCK_SIZE: usize = 4096;
/// Every stride of this length in a record or block ends in the update sequence number, whatever the sector size of the
/// disk.
pub const SECTOR_SIZE: usize = 512;
/// Position of the update sequence array in a record, after the header.
pub const RECORD_USA_OFFSET: usize = 0x30;
/// Ends the attributes of a record: the type 0xFFFFFFFF and four bytes of padding.
pub const RECORD_END_SIZE: usize = 8;

/// Flag of a sparse attribute.
pub const ATTRIBUTE_SPARSE: u16 = 0x8000;
/// Log₂ of the number of clusters in a compression unit; holes are whole units.
pub const SPARSE_UNIT_SHIFT: u8 = 4;

/// Numbers of the system files' MFT records.
pub mod record {
    #![allow(missing_docs)]
    pub const MFT: u64 = 0;
    pub const MFT_MIRR: u64 = 1;
    pub const LOG_FILE: u64 = 2;
    pub const VOLUME: u64 = 3;
    pub const ATTR_DEF: u64 = 4;
    pub const ROOT: u64 = 5;
    pub const BITMAP: u64 = 6;
    pub const BOOT: u64 = 7;
    pub const BAD_CLUS: u64 = 8;
    pub const SECURE: u64 = 9;
    pub const UP_CASE: u64 = 10;
    pub const EXTEND: u64 = 11;
    /// Records 12–15 are in use but have no name; 16–23 are free.
    pub const FIRST_RESERVED: u64 = 12;
    pub const FIRST_FREE: u64 = 16;
    pub const QUOTA: u64 = 24;
    pub const OBJ_ID: u64 = 25;
    pub const REPARSE: u64 = 26;
    /// The first record for the volume's own files.
    pub const FIRST_USER: u64 = 27;
}

/// Attribute types. The attributes of a record are in this order.
pub mod attribute_type {
    #![allow(missing_docs)]
    pub const STANDARD_INFORMATION: u32 = 0x10;
    pub const ATTRIBUTE_LIST: u32 = 0x20;
    pub const FILE_NAME: u32 = 0x30;
    pub const OBJECT_ID: u32 = 0x40;
    pub const SECURITY_DESCRIPTOR: u32 = 0x50;
    pub const VOLUME_NAME: u32 = 0x60;
    pub const VOLUME_INFORMATION: u32 = 0x70;
    pub const DATA: u32 = 0x80;
    pub const INDEX_ROOT: u32 = 0x90;
    pub const INDEX_ALLOCATION: u32 = 0xA0;
    pub const BITMAP: u32 = 0xB0;
    pub const REPARSE_POINT: u32 = 0xC0;
    pub const EA_INFORMATION: u32 = 0xD0;
    pub const EA: u32 = 0xE0;
    pub const LOGGED_UTILITY_STREAM: u32 = 0x100;
    pub const END: u32 = 0xFFFF_FFFF;
}

/// Flags of an MFT record.
pub mod record_flag {
    #![allow(missing_docs)]
    pub const IN_USE: u16 = 1;
    pub const DIRECTORY: u16 = 2;
    pub const IN_EXTEND: u16 = 4;
    pub const VIEW_INDEX: u16 = 8;
}

/// Attribute bits in `$FILE_NAME` that are not in [MS-FSCC].
pub mod file_name_flag {
    #![allow(missing_docs)]
    pub const DIRECTORY: u32 = 0x1000_0000;
    pub const VIEW_INDEX: u32 = 0x2000_0000;
}

/// Namespaces of `$FILE_NAME`.
pub mod namespace {
    #![allow(missing_docs)]
    pub const POSIX: u8 = 0;
    pub const WIN32: u8 = 1;
    pub const DOS: u8 = 2;
    pub const WIN32_AND_DOS: u8 = 3;
}

/// Collation rules of indexes.
pub mod collation {
    #![allow(missing_docs)]
    pub const FILE_NAME: u32 = 1;
    pub const ULONG: u32 = 0x10;
    pub const SID: u32 = 0x11;
    pub const SECURITY_HASH: u32 = 0x12;
    pub const ULONGS: u32 = 0x13;
}

/// Flags of `$VOLUME_INFORMATION`.
pub mod volume_flag {
    /// Windows checks the volume at the next mount.
    pub const DIRTY: u16 = 1;
}

/// Flags of an attribute.
pub mod attribute_flag {
    #![allow(missing_docs)]
    /// Bits that name a compression method; 1 is LZNT1.
    pub const COMPRESSION_MASK: u16 = 0x00FF;
    pub const ENCRYPTED: u16 = 0x4000;
    pub const SPARSE: u16 = 0x8000;
}

/// Flags of an index entry.
pub mod entry_flag {
    #![allow(missing_docs)]
    pub const HAS_SUBNODE: u16 = 1;
    pub const LAST: u16 = 2;
}

macro_rules! on_disk {
    ($($(#[$doc:meta])* struct $name:ident = $size:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
        #[repr(C)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)+ }
        const _: () = assert!(size_of::<$name>() == $size);
    )+};
}

on_disk! {
    /// First sector of the volume, and its copy in the last one.
    struct BootSector = 512 {
        /// 0x00: jump to the boot code.
        jump: [u8; 3],
        /// 0x03: `NTFS` and four spaces.
        oem_id: [u8; 8],
        /// 0x0B: bytes.
        bytes_per_sector: U16,
        /// 0x0D: sectors; above 128 stored as 256 − log₂.
        sectors_per_cluster: u8,
        /// 0x0E: zero.
        unused1: [u8; 7],
        /// 0x15: 0xF8, fixed disk.
        media: u8,
        /// 0x16: zero.
        unused2: [u8; 2],
        /// 0x18: sectors.
        sectors_per_track: U16,
        /// 0x1A
        heads: U16,
        /// 0x1C: sectors before the partition.
        hidden_sectors: U32,
        /// 0x20: zero.
        unused3: [u8; 4],
        /// 0x24: 80 00 80 00.
        signature: [u8; 4],
        /// 0x28: sectors, without the backup boot sector.
        total_sectors: U64,
        /// 0x30: cluster.
        mft_lcn: U64,
        /// 0x38: cluster.
        mft_mirr_lcn: U64,
        /// 0x40: clusters, or minus log₂ of bytes.
        clusters_per_record: i8,
        /// 0x41
        unused4: [u8; 3],
        /// 0x44: clusters, or minus log₂ of bytes.
        clusters_per_index_block: i8,
        /// 0x45
        unused5: [u8; 3],
        /// 0x48
        serial_number: U64,
        /// 0x50: zero.
        checksum: U32,
        /// 0x54
        boot_code: [u8; 426],
        /// 0x1FE: 55 AA.
        end_marker: [u8; 2],
    }

    /// Header of an MFT record.
    struct RecordHeader = 0x30 {
        /// 0x00: `FILE`.
        magic: [u8; 4],
        /// 0x04: offset from the start of the record.
        usa_offset: U16,
        /// 0x06: number of words: the number and one per stride.
        usa_count: U16,
        /// 0x08: $LogFile sequence number.
        lsn: U64,
        /// 0x10: how often the record was used.
        sequence: U16,
        /// 0x12: number of `$FILE_NAME` attributes, DOS names included.
        link_count: U16,
        /// 0x14: offset from the start of the record.
        attributes_offset: U16,
        /// 0x16: [`record_flag`].
        flags: U16,
        /// 0x18: bytes up to the end marker, including its padding.
        used_size: U32,
        /// 0x1C: bytes.
        allocated_size: U32,
        /// 0x20: reference of the base record; 0 in a base record.
        base_reference: U64,
        /// 0x28: greater than the instance of every attribute.
        next_instance: U16,
        /// 0x2A
        unused: U16,
        /// 0x2C: this record's number.
        record_number: U32,
    }

    /// The start of every attribute.
    struct AttributeHeader = 0x10 {
        /// 0x00: [`attribute_type`].
        kind: U32,
        /// 0x04: bytes, a multiple of 8.
        length: U32,
        /// 0x08: 0 resident, 1 not.
        non_resident: u8,
        /// 0x09: UTF-16 units.
        name_length: u8,
        /// 0x0A: offset from the start of the attribute.
        name_offset: U16,
        /// 0x0C: 0x0001 compressed, 0x4000 encrypted, 0x8000 sparse.
        flags: U16,
        /// 0x0E: unique within the record.
        instance: U16,
    }

    /// Follows [`AttributeHeader`] in a resident attribute.
    struct ResidentHeader = 8 {
        /// 0x10: bytes.
        value_length: U32,
        /// 0x14: offset from the start of the attribute.
        value_offset: U16,
        /// 0x16: 1 when the value is in an index (`$FILE_NAME`).
        indexed: u8,
        /// 0x17
        unused: u8,
    }

    /// Follows [`AttributeHeader`] in a non-resident attribute.
    struct NonResidentHeader = 0x30 {
        /// 0x10: VCN.
        lowest_vcn: U64,
        /// 0x18: VCN; −1 for an empty stream.
        highest_vcn: U64,
        /// 0x20: offset from the start of the attribute.
        mapping_pairs_offset: U16,
        /// 0x22: log₂ of clusters; 0 if it is not compressed.
        compression_unit: u8,
        /// 0x23
        unused: [u8; 5],
        /// 0x28: bytes in whole clusters.
        allocated_size: U64,
        /// 0x30: bytes.
        data_size: U64,
        /// 0x38: bytes.
        initialized_size: U64,
    }

    /// Follows [`NonResidentHeader`] in a sparse attribute.
    struct SparseHeader = 8 {
        /// 0x40: bytes of the clusters that are not holes.
        total_allocated: U64,
    }

    /// Value of the `$REPARSE_POINT` of a file that the Windows Overlay Filter decompresses: the header of reparse data
    /// ([MS-FSCC] 2.1.2.2), WOF_EXTERNAL_INFO and FILE_PROVIDER_EXTERNAL_INFO_V1 (wofapi.h).
    struct WofReparsePoint = 24 {
        /// 0x00: IO_REPARSE_TAG_WOF.
        tag: U32,
        /// 0x04: bytes after `reserved`.
        length: U16,
        /// 0x06
        reserved: U16,
        /// 0x08: WOF_CURRENT_VERSION, 1.
        version: U32,
        /// 0x0C: WOF_PROVIDER_FILE, 2.
        provider: U32,
        /// 0x10: FILE_PROVIDER_CURRENT_VERSION, 1.
        provider_version: U32,
        /// 0x14: FILE_PROVIDER_COMPRESSION_*.
        algorithm: U32,
    }

    /// Value of `$STANDARD_INFORMATION`.
    struct StandardInformation = 72 {
        /// 0x00: FILETIMEs: creation, modification, record change, access.
        times: [U64; 4],
        /// 0x20: attribute bits.
        attributes: U32,
        /// 0x24
        maximum_versions: U32,
        /// 0x28
        version: U32,
        /// 0x2C
        class_id: U32,
        /// 0x30
        owner_id: U32,
        /// 0x34: key of `$Secure:$SII`.
        security_id: U32,
        /// 0x38
        quota_charged: U64,
        /// 0x40
        usn: U64,
    }

    /// Value of `$FILE_NAME`, before the name itself.
    struct FileName = 66 {
        /// 0x00: reference of the directory.
        parent: U64,
        /// 0x08: as in [`StandardInformation`].
        times: [U64; 4],
        /// 0x28: bytes of the unnamed stream on disk.
        allocated_size: U64,
        /// 0x30: bytes of the unnamed stream.
        data_size: U64,
        /// 0x38: attribute bits and [`file_name_flag`].
        attributes: U32,
        /// 0x3C: reparse tag, or packed size of the extended attributes.
        extended: U32,
        /// 0x40: UTF-16 units.
        name_length: u8,
        /// 0x41: [`namespace`].
        namespace: u8,
    }

    /// Value of `$VOLUME_INFORMATION`.
    struct VolumeInformation = 12 {
        /// 0x00: zero.
        unused: U64,
        /// 0x08: 3.
        major_version: u8,
        /// 0x09: 1.
        minor_version: u8,
        /// 0x0A: [`volume_flag`].
        flags: U16,
    }

    /// Entry of `$ATTRIBUTE_LIST`, before the name.
    struct AttributeListEntry = 26 {
        /// 0x00: [`attribute_type`].
        kind: U32,
        /// 0x04: bytes, a multiple of 8.
        length: U16,
        /// 0x06: UTF-16 units.
        name_length: u8,
        /// 0x07: bytes from the start of the entry.
        name_offset: u8,
        /// 0x08: VCN.
        lowest_vcn: U64,
        /// 0x10: reference of the record that holds the attribute.
        reference: U64,
        /// 0x18: the attribute's instance.
        instance: U16,
    }

    /// Value of `$INDEX_ROOT`, before [`IndexHeader`].
    struct IndexRootHeader = 0x10 {
        /// 0x00: type of the indexed attribute; 0 in a view.
        attribute_type: U32,
        /// 0x04: [`collation`].
        collation: U32,
        /// 0x08: bytes.
        index_block_size: U32,
        /// 0x0C: in VCN units, which are clusters, or sectors if a cluster is larger than a block.
        clusters_per_index_block: u8,
        /// 0x0D
        unused: [u8; 3],
    }

    /// Describes the entries of a node.
    struct IndexHeader = 0x10 {
        /// 0x00: bytes from this header to the first entry.
        entries_offset: U32,
        /// 0x04: bytes from this header to the end of the entries.
        total_size: U32,
        /// 0x08: bytes from this header to the end of the node.
        allocated_size: U32,
        /// 0x0C: 1 if there are sub-nodes.
        flags: u8,
        /// 0x0D
        unused: [u8; 3],
    }

    /// Start of an index block, before [`IndexHeader`].
    struct IndexBlockHeader = 0x18 {
        /// 0x00: `INDX`.
        magic: [u8; 4],
        /// 0x04: bytes from the start of the block.
        usa_offset: U16,
        /// 0x06: words.
        usa_count: U16,
        /// 0x08: $LogFile sequence number.
        lsn: U64,
        /// 0x10: this block's VCN.
        vcn: U64,
    }

    /// Start of an index entry, before the key.
    struct IndexEntryHeader = 0x10 {
        /// 0x00: file reference; in a view, offset and length of the data in its two low words.
        reference: U64,
        /// 0x08: bytes, a multiple of 8, including the sub-node's VCN at the end.
        length: U16,
        /// 0x0A: bytes.
        key_length: U16,
        /// 0x0C: [`entry_flag`].
        flags: U16,
        /// 0x0E
        unused: U16,
    }

    /// Header of an entry of `$Secure:$SDS`, and the data of `$SII` and `$SDH`.
    struct SecurityHeader = 20 {
        /// 0x00: hash of the descriptor.
        hash: U32,
        /// 0x04
        security_id: U32,
        /// 0x08: bytes from the start of `$SDS`.
        offset: U64,
        /// 0x10: bytes, including this header.
        length: U32,
    }

    /// Row of `$AttrDef`.
    struct AttributeDefinition = 160 {
        /// 0x00: UTF-16.
        name: [U16; 64],
        /// 0x80: [`attribute_type`].
        kind: U32,
        /// 0x84
        display_rule: U32,
        /// 0x88
        collation: U32,
        /// 0x8C: 0x02 indexed, 0x40 always resident, 0x80 may be non-resident.
        flags: U32,
        /// 0x90: bytes.
        minimum_size: U64,
        /// 0x98: bytes.
        maximum_size: U64,
    }
}

/// A record number and its sequence number, as directories and indexes store them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileReference(pub u64);

impl FileReference {
    /// Reference of `record` with this sequence number.
    pub const fn new(record: u64, sequence: u16) -> Self {
        Self(record | (sequence as u64) << 48)
    }

    /// The record number.
    pub const fn record(self) -> u64 {
        self.0 & 0xFFFF_FFFF_FFFF
    }

    /// The sequence number.
    pub const fn sequence(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// Reference of a record that this library wrote. System records have their own number as sequence number (record 0
    /// has 1, which ntfs3 insists on); all later ones have 1.
    pub const fn of_fresh(record: u64) -> Self {
        let sequence = if record == 0 || record >= record::FIRST_FREE { 1 } else { record as u16 };
        Self::new(record, sequence)
    }
}

/// Bytes of an MFT record on a disk with sectors of `sector_size` bytes: Windows never makes it smaller than a sector.
pub const fn record_size(sector_size: u32) -> u64 {
    if sector_size > 1024 { sector_size as u64 } else { 1024 }
}

/// Position of the attributes in a record: after the header and the update sequence array, which has a word for each
/// stride and one for the number, and after padding.
pub const fn record_attributes_offset(record_size: u64) -> usize {
    align8(RECORD_USA_OFFSET + 2 * (record_size as usize / SECTOR_SIZE + 1))
}

/// Seals a record or index block: puts the update sequence number 1 at the end of each stride, and saves the bytes that
/// were there in the update sequence array at `usa_offset`.
pub fn seal(bytes: &mut [u8], usa_offset: usize) {
    bytes[usa_offset..usa_offset + 2].copy_from_slice(&[1, 0]);
    for sector in 1..=bytes.len() / SECTOR_SIZE {
        let end = sector * SECTOR_SIZE;
        bytes.copy_within(end - 2..end, usa_offset + 2 * sector);
        bytes[end - 2..end].copy_from_slice(&[1, 0]);
    }
}

/// `len` rounded up to a multiple of 8, the alignment of attributes and index entries.
pub const fn align8(len: usize) -> usize {
    (len + 7) & !7
}

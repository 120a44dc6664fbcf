//! The system files, which every NTFS volume has besides its own files.

use zerocopy::IntoBytes;

use super::attributes::{I30, file_name, standard_information, times};
use super::files::Files;
use super::format::attribute_type::{BITMAP, DATA, FILE_NAME, VOLUME_INFORMATION, VOLUME_NAME};
use super::format::*;
use super::index::{self, Index, IndexEntry, IndexKind};
use super::record::*;
use super::secure::SecurityTable;
use super::wof;
use crate::tree::{Times, attribute};
use crate::types::{Utf16Name, upcase};

/// A system file with a name.
#[derive(Debug)]
pub(super) struct SystemFile {
    pub record: u64,
    pub name: &'static str,
    flags: u16,
    attribute_bits: u32,
    security_id: u32,
    /// Attributes after `$FILE_NAME`, sorted.
    pub attributes: Vec<Attribute<'static>>,
}

/// Sizes that the system files depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct SystemSizes {
    pub cluster_size: u64,
    /// Bytes of a record.
    pub record_size: u64,
    pub clusters: u64,
    /// Number of records, including spare ones.
    pub records: u64,
    /// Records in `$MFTMirr`.
    pub mirrored_records: u64,
    /// Bytes of `$LogFile`.
    pub log_file: u64,
}

/// Bytes of `$Boot`.
pub(super) const BOOT_SIZE: u64 = 8192;

/// Names of the system files in the root directory, in its order.
pub(super) const ROOT_NAMES: [(&str, u64); 12] = [
    ("$AttrDef", record::ATTR_DEF),
    ("$BadClus", record::BAD_CLUS),
    ("$Bitmap", record::BITMAP),
    ("$Boot", record::BOOT),
    ("$Extend", record::EXTEND),
    ("$LogFile", record::LOG_FILE),
    ("$MFT", record::MFT),
    ("$MFTMirr", record::MFT_MIRR),
    ("$Secure", record::SECURE),
    ("$UpCase", record::UP_CASE),
    ("$Volume", record::VOLUME),
    (".", record::ROOT),
];

/// Length in bytes of the root directory's entries for system files.
pub(super) fn root_entries_len() -> usize {
    ROOT_NAMES.iter().map(|(name, _)| index::directory_entry_len(name.len())).sum()
}

impl SystemFile {
    /// All system files, by record number. Their runs have no position yet.
    pub fn all(
        sizes: SystemSizes,
        label: &Utf16Name,
        files: &Files,
        security: &SecurityTable,
        time: Times,
    ) -> Vec<Self> {
        let cluster_size = sizes.cluster_size;
        let generated = |size| Attribute::generated(DATA, &[], Allocation::unplaced(size, cluster_size));
        let value = |bytes| Attribute::value(DATA, &[], bytes, cluster_size);
        let views = views(files, time, cluster_size);
        let upcase_bytes = upcase::table().iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let upcase = vec![value(upcase_bytes), Attribute::resident(DATA, units("$Info"), upcase_info())];
        let mut all = vec![
            mft(sizes),
            Self::new(record::MFT_MIRR, "$MFTMirr", vec![generated(sizes.mirrored_records * sizes.record_size)]),
            Self::new(record::LOG_FILE, "$LogFile", vec![generated(sizes.log_file)]),
            volume(label),
            Self::new(record::ATTR_DEF, "$AttrDef", vec![value(attribute_definitions())]),
            Self::new(record::BITMAP, "$Bitmap", vec![generated(sizes.clusters.div_ceil(64) * 8)]),
            Self::new(record::BOOT, "$Boot", vec![generated(BOOT_SIZE)]),
            bad_clusters(sizes),
            secure(security, cluster_size),
            Self::new(record::UP_CASE, "$UpCase", upcase),
            extend(&views, time, cluster_size),
        ];
        all.extend(views);
        all
    }

    fn new(record: u64, name: &'static str, attributes: Vec<Attribute<'static>>) -> Self {
        Self {
            record,
            name,
            flags: record_flag::IN_USE,
            attribute_bits: attribute::HIDDEN | attribute::SYSTEM,
            security_id: SecurityTable::SYSTEM_READ_ONLY,
            attributes,
        }
    }

    /// A file that has views: indexes of something other than names.
    fn with_views(record: u64, name: &'static str, flags: u16, attributes: Vec<Attribute<'static>>) -> Self {
        Self {
            flags: record_flag::IN_USE | record_flag::VIEW_INDEX | flags,
            attribute_bits: attribute::HIDDEN | attribute::SYSTEM | file_name_flag::VIEW_INDEX,
            security_id: SecurityTable::SYSTEM_WRITABLE,
            ..Self::new(record, name, attributes)
        }
    }

    /// The entry in the file's directory.
    pub fn entry(&self, time: Times) -> (Utf16Name, IndexEntry) {
        let entry = IndexEntry::directory(FileReference::of_fresh(self.record), self.file_name(time));
        (self.name.into(), entry)
    }

    /// The sealed record.
    pub fn record(&self, time: Times, record_size: u64) -> Vec<u8> {
        let mut builder = RecordBuilder::new(self.record, self.flags, record_size).link_count(1);
        let information = standard_information(time, self.attribute_bits, self.security_id);
        builder.push(&Attribute::resident(attribute_type::STANDARD_INFORMATION, &[], information), &[]);
        builder.push(&Attribute::resident(attribute_type::FILE_NAME, &[], self.file_name(time)), &[]);
        for attribute in &self.attributes {
            builder.push(attribute, &[]);
        }
        builder.finish()
    }

    fn file_name(&self, time: Times) -> Vec<u8> {
        let is_in_extend = self.record >= record::FIRST_FREE;
        let (allocated_size, data_size) = self
            .attributes
            .iter()
            .find(|attribute| attribute.kind == attribute_type::DATA && attribute.name.is_empty())
            .map_or((0, 0), |attribute| match &attribute.form {
                Form::NonResident(run, _) => (run.allocated(), run.size),
                _ => (0, 0),
            });
        let directory = if self.flags & record_flag::DIRECTORY != 0 { file_name_flag::DIRECTORY } else { 0 };
        let name = Utf16Name::from(self.name);
        let fixed = FileName {
            parent: FileReference::of_fresh(if is_in_extend { record::EXTEND } else { record::ROOT }).0.into(),
            times: times(time),
            allocated_size: allocated_size.into(),
            data_size: data_size.into(),
            attributes: (self.attribute_bits | directory).into(),
            extended: 0.into(),
            name_length: name.units().len() as u8,
            namespace: if is_in_extend { namespace::POSIX } else { namespace::WIN32_AND_DOS },
        };
        file_name(fixed, &name)
    }
}

fn mft(sizes: SystemSizes) -> SystemFile {
    let generated = |kind, size| Attribute::generated(kind, &[], Allocation::unplaced(size, sizes.cluster_size));
    let attributes =
        vec![generated(DATA, sizes.records * sizes.record_size), generated(BITMAP, sizes.records.div_ceil(64) * 8)];
    SystemFile::new(record::MFT, "$MFT", attributes)
}

fn volume(label: &Utf16Name) -> SystemFile {
    let information = [0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0];
    let attributes = vec![
        Attribute::resident(VOLUME_NAME, &[], label.to_le_bytes()),
        Attribute::resident(VOLUME_INFORMATION, &[], information.to_vec()),
        Attribute::resident(DATA, &[], vec![]),
    ];
    let security_id = SecurityTable::SYSTEM_WRITABLE;
    SystemFile { security_id, ..SystemFile::new(record::VOLUME, "$Volume", attributes) }
}

/// No clusters are bad: `$Bad` is one hole of the volume's size.
fn bad_clusters(sizes: SystemSizes) -> SystemFile {
    let SystemSizes { cluster_size, clusters, .. } = sizes;
    let hole = Allocation { size: clusters * cluster_size, clusters, lcn: None, cluster_size };
    let attributes = vec![Attribute::resident(DATA, &[], vec![]), Attribute::generated(DATA, units("$Bad"), hole)];
    SystemFile::new(record::BAD_CLUS, "$BadClus", attributes)
}

fn secure(security: &SecurityTable, cluster_size: u64) -> SystemFile {
    let mut attributes = vec![Attribute::value(DATA, units("$SDS"), security.sds(), cluster_size)];
    attributes.extend(view(units("$SDH"), collation::SECURITY_HASH, &security.sdh(), cluster_size));
    attributes.extend(view(units("$SII"), collation::ULONG, &security.sii(), cluster_size));
    attributes.sort_by_key(|attribute| attribute.kind);
    SystemFile::with_views(record::SECURE, "$Secure", 0, attributes)
}

/// The files in `$Extend`.
fn views(files: &Files, time: Times, cluster_size: u64) -> [SystemFile; 3] {
    let mut quota = view(units("$O"), collation::SID, &[quota_owner()], cluster_size);
    quota.extend(view(units("$Q"), collation::ULONG, &quota_entries(time), cluster_size));
    let objects = view(units("$O"), collation::ULONGS, &object_ids(files), cluster_size);
    let reparse = view(units("$R"), collation::ULONGS, &reparse_points(files), cluster_size);
    [(record::QUOTA, "$Quota", quota), (record::OBJ_ID, "$ObjId", objects), (record::REPARSE, "$Reparse", reparse)]
        .map(|(number, name, attributes)| SystemFile::with_views(number, name, record_flag::IN_EXTEND, attributes))
}

/// The directory `$Extend`, which contains the `views`.
fn extend(views: &[SystemFile], time: Times, cluster_size: u64) -> SystemFile {
    let kind = IndexKind { attribute_type: FILE_NAME, collation: collation::FILE_NAME, cluster_size };
    let mut entries: Vec<(Utf16Name, IndexEntry)> = views.iter().map(|file| file.entry(time)).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let entries: Vec<IndexEntry> = entries.into_iter().map(|(_, entry)| entry).collect();
    let attributes = index_attributes(&I30, index::build(kind, &entries, MAX_VIEW_ROOT), cluster_size);
    SystemFile {
        flags: record_flag::IN_USE | record_flag::DIRECTORY,
        security_id: SecurityTable::SYSTEM_WRITABLE,
        ..SystemFile::new(record::EXTEND, "$Extend", attributes)
    }
}

/// Records 12–15, which are in use but have no name.
pub(super) fn reserved_record(number: u64, time: Times, record_size: u64) -> Vec<u8> {
    let mut builder = RecordBuilder::new(number, record_flag::IN_USE, record_size);
    let bits = attribute::HIDDEN | attribute::SYSTEM;
    let information = standard_information(time, bits, SecurityTable::SYSTEM_WRITABLE);
    builder.push(&Attribute::resident(attribute_type::STANDARD_INFORMATION, &[], information), &[]);
    builder.push(&Attribute::resident(attribute_type::DATA, &[], vec![]), &[]);
    builder.finish()
}

/// Largest value of a view's `$INDEX_ROOT`: `$Secure` has two of them beside 0x118 bytes of other attributes.
const MAX_VIEW_ROOT: usize = 0x110;
/// Largest resident `$BITMAP` of a view, in bytes; `$Secure` may have two of these as well.
const MAX_VIEW_BITMAP: usize = 64;

/// The attributes of a view.
fn view(name: &'static [u16], collation: u32, entries: &[IndexEntry], cluster_size: u64) -> Vec<Attribute<'static>> {
    let kind = IndexKind { attribute_type: 0, collation, cluster_size };
    index_attributes(name, index::build(kind, entries, MAX_VIEW_ROOT), cluster_size)
}

fn index_attributes(name: &'static [u16], index: Index, cluster_size: u64) -> Vec<Attribute<'static>> {
    let bitmap = index::bitmap(index.blocks.len() / INDEX_BLOCK_SIZE);
    let mut attributes = vec![Attribute::resident(attribute_type::INDEX_ROOT, name, index.root)];
    if !index.blocks.is_empty() {
        attributes.push(Attribute::value(attribute_type::INDEX_ALLOCATION, name, index.blocks, cluster_size));
        attributes.push(if bitmap.len() <= MAX_VIEW_BITMAP {
            Attribute::resident(attribute_type::BITMAP, name, bitmap)
        } else {
            Attribute::value(attribute_type::BITMAP, name, bitmap, cluster_size)
        });
    }
    attributes
}

/// A stream name as units with static lifetime.
fn units(name: &'static str) -> &'static [u16] {
    const NAMES: [(&str, &[u16]); 7] = [
        ("$Bad", &[0x24, 0x42, 0x61, 0x64]),
        ("$SDS", &[0x24, 0x53, 0x44, 0x53]),
        ("$SDH", &[0x24, 0x53, 0x44, 0x48]),
        ("$SII", &[0x24, 0x53, 0x49, 0x49]),
        ("$Info", &[0x24, 0x49, 0x6E, 0x66, 0x6F]),
        ("$O", &[0x24, 0x4F]),
        ("$Q", &[0x24, 0x51]),
    ];
    NAMES.iter().find(|(known, _)| *known == name).map_or(&[0x24, 0x52], |(_, units)| units)
}

/// `$UpCase:$Info`: its size, the CRC-64 of the table, and the Windows version that the table is from (10.0).
fn upcase_info() -> Vec<u8> {
    [0x20, 0xDADC_7E77_6B1B_690C_u64, 10, 0].iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// `$ObjId:$O`: object id → file, birth volume, birth object, domain.
fn object_ids(files: &Files) -> Vec<IndexEntry> {
    let mut ids: Vec<([u8; 16], Vec<u8>)> = Vec::new();
    for file in &files.files {
        if let Some(id) = &files.tree[file.node].object_id {
            let mut key = [0; 16];
            key.copy_from_slice(&id[..16]);
            let mut data = FileReference::of_fresh(file.record).0.to_le_bytes().to_vec();
            data.extend_from_slice(&id[16..]);
            data.resize(56, 0);
            ids.push((key, data));
        }
    }
    ids.sort_by_key(|(key, _)| words(key));
    ids.iter().map(|(key, data)| IndexEntry::view(key, 0x20, data)).collect()
}

/// `$Reparse:$R`: tag and file; no data.
fn reparse_points(files: &Files) -> Vec<IndexEntry> {
    let mut keys: Vec<Vec<u8>> = files
        .files
        .iter()
        .filter_map(|file| {
            let tag = wof::reparse_tag(&files.tree[file.node])?;
            Some([&tag.to_le_bytes()[..], &FileReference::of_fresh(file.record).0.to_le_bytes()].concat())
        })
        .collect();
    keys.sort_by_key(|key| words(key));
    keys.iter().map(|key| IndexEntry::view(key, 0x1C, &[])).collect()
}

/// `COLLATION_NTOFS_ULONGS` compares keys as 32-bit words.
fn words(key: &[u8]) -> Vec<u32> {
    key.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("4 bytes"))).collect()
}

const ADMINISTRATORS: [u8; 16] = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
/// Quota ids: the defaults, and the first owner.
const QUOTA_DEFAULTS: u32 = 1;
const QUOTA_FIRST_OWNER: u32 = 0x100;

/// `$Quota:$O`: owner → quota id. Volumes are formatted with Administrators as the first owner.
fn quota_owner() -> IndexEntry {
    IndexEntry::view(&ADMINISTRATORS, 0x20, &QUOTA_FIRST_OWNER.to_le_bytes())
}

/// `$Quota:$Q`: version 2, flags 1 (default limits), nothing used, no threshold, no limit.
fn quota_entries(time: Times) -> Vec<IndexEntry> {
    let data = |sid: &[u8]| {
        let mut data = [2u32.to_le_bytes(), 1u32.to_le_bytes()].concat();
        for word in [0, time.changed.0, u64::MAX, u64::MAX, 0] {
            data.extend_from_slice(&word.to_le_bytes());
        }
        data.extend_from_slice(sid);
        data
    };
    vec![
        IndexEntry::view(&QUOTA_DEFAULTS.to_le_bytes(), 0x14, &data(&[])),
        IndexEntry::view(&QUOTA_FIRST_OWNER.to_le_bytes(), 0x14, &data(&ADMINISTRATORS)),
    ]
}

/// Contents of `$AttrDef`, which are the same on every volume.
pub(super) fn attribute_definitions() -> Vec<u8> {
    const ANY: u64 = u64::MAX;
    const ROWS: [(&str, u32, u32, u64, u64); 15] = [
        ("$STANDARD_INFORMATION", 0x10, 0x40, 48, 72),
        ("$ATTRIBUTE_LIST", 0x20, 0x80, 0, ANY),
        ("$FILE_NAME", 0x30, 0x42, 68, 578),
        ("$OBJECT_ID", 0x40, 0x40, 0, 256),
        ("$SECURITY_DESCRIPTOR", 0x50, 0x80, 0, ANY),
        ("$VOLUME_NAME", 0x60, 0x40, 2, 256),
        ("$VOLUME_INFORMATION", 0x70, 0x40, 12, 12),
        ("$DATA", 0x80, 0, 0, ANY),
        ("$INDEX_ROOT", 0x90, 0x40, 0, ANY),
        ("$INDEX_ALLOCATION", 0xA0, 0x80, 0, ANY),
        ("$BITMAP", 0xB0, 0x80, 0, ANY),
        ("$REPARSE_POINT", 0xC0, 0x80, 0, 16384),
        ("$EA_INFORMATION", 0xD0, 0x40, 8, 8),
        ("$EA", 0xE0, 0, 0, 65536),
        ("$LOGGED_UTILITY_STREAM", 0x100, 0x80, 0, 65536),
    ];
    let mut bytes = Vec::with_capacity(2560);
    for (name, kind, flags, minimum_size, maximum_size) in ROWS {
        let mut units = [0.into(); 64];
        units.iter_mut().zip(name.encode_utf16()).for_each(|(unit, value)| *unit = value.into());
        let row = AttributeDefinition {
            name: units,
            kind: kind.into(),
            display_rule: 0.into(),
            collation: 0.into(),
            flags: flags.into(),
            minimum_size: minimum_size.into(),
            maximum_size: maximum_size.into(),
        };
        bytes.extend_from_slice(row.as_bytes());
    }
    // A row of zeros ends the table.
    bytes.resize(2560, 0);
    bytes
}

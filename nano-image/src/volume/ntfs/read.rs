//! Reads NTFS volumes from untrusted bytes.
//!
//! Damage is an error of the call that meets it. Nothing is trusted that the size of the volume does not allow.

mod details;
mod index;
mod lznt1;
mod mft;
mod runs;
mod stream;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use zerocopy::FromBytes;

use super::format::*;
use crate::content::ReadAt;
use crate::error::{Error, ErrorKind, Result};
use crate::types::{ByteSize, Utf16Name};
pub use details::{NtfsAttribute, NtfsDescriptors, NtfsName};
use index::Index;
pub use index::NtfsEntry;
pub use lznt1::NtfsCompressedStream;
use mft::{Attribute, AttributeValue, Geometry, Record, attribute_list};
pub use runs::NtfsRun;
pub use stream::NtfsStream;

/// The longest attribute list that NTFS makes.
const MAX_ATTRIBUTE_LIST: u64 = 256 << 10;
/// Bytes of a bitmap that are read at once.
const BITMAP_PIECE: u64 = 1 << 20;
/// Name of a directory's index.
const NAME_INDEX: &str = "$I30";
/// Reparse tag of a file that the Windows Overlay Filter compresses ([MS-FSCC] 2.1.2.1, IO_REPARSE_TAG_WOF).
const TAG_WOF: u32 = 0x8000_0017;

/// An NTFS volume.
pub struct NtfsReader<'a> {
    volume: &'a dyn ReadAt,
    geometry: Geometry,
    sectors: u64,
    sector_size: u64,
    serial: u64,
    /// The unnamed stream of `$MFT`.
    mft: NtfsStream<'a>,
}

/// Facts about a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NtfsVolume {
    /// Major and minor version: 3, 1 since Windows XP.
    pub version: (u8, u8),
    /// Label; empty if there is none.
    pub label: String,
    /// Serial number.
    pub serial: u64,
    /// Whether Windows checks the volume at the next mount.
    pub dirty: bool,
    /// Bytes of a cluster.
    pub cluster_size: ByteSize,
    /// Number of clusters.
    pub clusters: u64,
    /// Number of clusters in use.
    pub used_clusters: u64,
    /// Bytes of an MFT record.
    pub record_size: ByteSize,
    /// MFT records.
    pub records: u64,
    /// MFT records in use, including those of the system.
    pub records_in_use: u64,
}

/// A file or directory: its record together with all extensions.
pub struct NtfsFile {
    reference: FileReference,
    flags: u16,
    attributes: Vec<Attribute>,
}

impl<'a> NtfsReader<'a> {
    /// Reads the boot sector and the position of the MFT.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if they are damaged or do not fit the length of `volume`.
    pub fn open(volume: &'a dyn ReadAt) -> Result<Self> {
        let mut bytes = [0; size_of::<BootSector>()];
        read_into(volume, 0, &mut bytes)?;
        let boot = BootSector::read_from_bytes(&bytes).expect("the array has the struct's size");
        let bad = |what: &str| Error::corrupt(format!("the NTFS boot sector {what}"));
        if boot.oem_id != *b"NTFS    " || boot.end_marker != [0x55, 0xAA] {
            return Err(bad("has no signature").at(3));
        }
        let sector_size = u64::from(boot.bytes_per_sector.get());
        let sectors_per_cluster = match boot.sectors_per_cluster {
            few @ 0..=128 => u64::from(few),
            // 256 − log₂.
            many => 1u64.checked_shl(256 - u32::from(many)).unwrap_or(0),
        };
        let sane_sector = (256..=4096).contains(&sector_size) && sector_size.is_power_of_two();
        let cluster_size = sectors_per_cluster.saturating_mul(sector_size);
        if !sane_sector || !cluster_size.is_power_of_two() || cluster_size > 2 << 20 {
            return Err(bad("gives no valid cluster size").at(0x0B));
        }
        let sectors = boot.total_sectors.get();
        let clusters = sectors / sectors_per_cluster;
        let len = volume.len().map_err(|e| Error::corrupt("cannot read the volume's size").with_source(e))?;
        if sectors.checked_mul(sector_size).is_none_or(|size| size > len) || clusters == 0 {
            return Err(bad(&format!("describes {sectors} sectors, which do not fit the partition")).at(0x28));
        }
        if clusters > u64::from(u32::MAX) {
            return Err(bad("describes more than 2³² clusters").at(0x28));
        }
        let record_size = match boot.clusters_per_record {
            clusters @ 1.. => clusters as u64 * cluster_size,
            log => 1u64.checked_shl(-i32::from(log) as u32).unwrap_or(0),
        };
        if ![512, 1024, 2048, 4096].contains(&record_size) {
            return Err(bad(&format!("describes MFT records of {record_size} bytes")).at(0x40));
        }
        let geometry = Geometry { cluster_size, clusters, record_size: record_size as usize };

        let first = |lcn: u64| {
            if lcn >= clusters {
                return Err(bad("has the MFT outside of the volume").at(0x30));
            }
            let mut bytes = vec![0; geometry.record_size];
            read_into(volume, lcn * cluster_size, &mut bytes)?;
            Record::parse(record::MFT, bytes, &geometry).map_err(|error| error.at(lcn * cluster_size))
        };
        let mft = first(boot.mft_lcn.get()).or_else(|error| first(boot.mft_mirr_lcn.get()).map_err(|_| error))?;
        let mft = whole_mft(volume, &mft, &geometry)?;
        Ok(Self { volume, geometry, sectors, sector_size, serial: boot.serial_number.get(), mft })
    }

    /// Size of the file system, without the backup boot sector.
    pub fn size(&self) -> ByteSize {
        ByteSize::new(self.sectors * self.sector_size)
    }

    /// Reads the facts about the volume in `$Volume`, `$Bitmap` and `$MFT`.
    pub fn volume(&self) -> Result<NtfsVolume> {
        let volume = self.file_in(record::VOLUME)?;
        let resident = |kind| volume.attribute(kind, &"".into()).and_then(Attribute::resident);
        let information = resident(attribute_type::VOLUME_INFORMATION)
            .and_then(|bytes| VolumeInformation::read_from_prefix(bytes).ok())
            .ok_or_else(|| Error::corrupt("$Volume has no $VOLUME_INFORMATION"))?
            .0;
        let label = resident(attribute_type::VOLUME_NAME).map(mft::name_of);
        let bitmap = self.file_in(record::BITMAP)?;
        let clusters = self.open_attribute(&bitmap, attribute_type::DATA, "")?;
        let clusters = clusters.ok_or_else(|| Error::corrupt("$Bitmap has no data"))?;
        let mft = self.file_in(record::MFT)?;
        let in_use = self.open_attribute(&mft, attribute_type::BITMAP, "")?;
        let in_use = in_use.ok_or_else(|| Error::corrupt("$MFT has no $BITMAP"))?;
        Ok(NtfsVolume {
            version: (information.major_version, information.minor_version),
            label: label.map(|label| label.to_string()).unwrap_or_default(),
            serial: self.serial,
            dirty: information.flags.get() & volume_flag::DIRTY != 0,
            cluster_size: ByteSize::new(self.geometry.cluster_size),
            clusters: self.geometry.clusters,
            used_clusters: count_bits(&clusters, self.geometry.clusters)?,
            record_size: ByteSize::new(self.geometry.record_size as u64),
            records: self.records(),
            records_in_use: count_bits(&in_use, self.records())?,
        })
    }

    /// The file at `path`; `None` if there is none. Names are separated by `\` or `/`, and case is ignored; the empty
    /// path is the root. Reparse points are not followed.
    pub fn find(&self, path: &str) -> Result<Option<FileReference>> {
        let mut file = self.file_in(record::ROOT)?;
        for name in path.split(['\\', '/']).filter(|name| !name.is_empty()) {
            if !file.is_directory() {
                return Ok(None);
            }
            match self.index(&file)?.find(&name.into())? {
                Some(found) => file = self.file(found)?,
                None => return Ok(None),
            }
        }
        Ok(Some(file.reference))
    }

    /// A file's record.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] also if the record now belongs to another file.
    pub fn file(&self, reference: FileReference) -> Result<NtfsFile> {
        let file = self.file_in(reference.record())?;
        if file.reference.sequence() != reference.sequence() {
            let number = reference.record();
            return Err(Error::corrupt(format!(
                "MFT record {number} does not belong to the file that a directory lists"
            )));
        }
        Ok(file)
    }

    /// The names in a directory, in the order of its index, without names for DOS and without the root's name for
    /// itself.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if it is not a directory.
    pub fn list(&self, directory: FileReference) -> Result<Vec<NtfsEntry>> {
        let mut entries = self.index(&self.file(directory)?)?.list()?;
        entries.retain(|entry| entry.reference.record() != directory.record());
        Ok(entries)
    }

    /// Opens the stream `name` of `file`; `None` if there is no such stream. The contents have the empty name.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the stream is compressed or encrypted.
    pub fn stream(&self, file: &NtfsFile, name: &str) -> Result<Option<NtfsStream<'a>>> {
        if name.is_empty() && file.reparse_tag() == Some(TAG_WOF) {
            let message = "the file is compressed by the Windows overlay filter (WOF), which is not handled";
            return Err(Error::unsupported(message));
        }
        self.open_attribute(file, attribute_type::DATA, name)
    }

    /// The contents of the file at `path`, of at most `limit` bytes; `None` if there is no such file.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if it is larger, compressed or encrypted.
    pub fn read_file(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let read = || {
            let Some(reference) = self.find(path)? else { return Ok(None) };
            let Some(stream) = self.stream(&self.file(reference)?, "")? else { return Ok(None) };
            if stream.size() > limit.min(self.size().bytes()) {
                let (size, limit) = (ByteSize::new(stream.size()), ByteSize::new(limit));
                return Err(Error::unsupported(format!("the file has {size}; more than {limit} are not read")));
            }
            let mut bytes = vec![0; stream.size() as usize];
            read_into(&stream, 0, &mut bytes)?;
            Ok(Some(bytes))
        };
        read().map_err(|error: Error| error.with_path(path))
    }

    /// The file in record `number`.
    fn file_in(&self, number: u64) -> Result<NtfsFile> {
        let base = self.record(number)?;
        if !base.is_base() {
            return Err(Error::corrupt(format!("MFT record {number} is not a file")));
        }
        let reference = FileReference::new(number, base.header.sequence.get());
        let flags = base.header.flags.get();
        let list = base.attributes.iter().find(|attribute| attribute.kind == attribute_type::ATTRIBUTE_LIST);
        let attributes = match list {
            Some(list) => {
                let list = read_list(self.volume, number, list, &self.geometry)?;
                collect(reference, &base, &list, &|number| self.record(number))?
            }
            None => base.attributes,
        };
        Ok(NtfsFile { reference, flags, attributes })
    }

    fn record(&self, number: u64) -> Result<Record> {
        read_record(&self.mft, number, &self.geometry)
    }

    fn records(&self) -> u64 {
        self.mft.size() / self.geometry.record_size as u64
    }

    fn index(&self, directory: &NtfsFile) -> Result<Index<'a>> {
        let number = directory.reference.record();
        let root = directory.attribute(attribute_type::INDEX_ROOT, &NAME_INDEX.into());
        let root = root.and_then(Attribute::resident).filter(|_| directory.is_directory());
        let root = root.ok_or_else(|| Error::not_found(format!("MFT record {number} is not a directory")))?;
        let blocks = self.open_attribute(directory, attribute_type::INDEX_ALLOCATION, NAME_INDEX)?;
        Index::new(number, root, blocks, self.geometry.cluster_size)
    }

    fn open_attribute(&self, file: &NtfsFile, kind: u32, name: &str) -> Result<Option<NtfsStream<'a>>> {
        let attribute = file.attribute(kind, &name.into());
        let open = |attribute| NtfsStream::new(self.volume, self.geometry.cluster_size, attribute);
        attribute.map(open).transpose()
    }
}

impl NtfsFile {
    /// Record and sequence number.
    pub fn reference(&self) -> FileReference {
        self.reference
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.flags & record_flag::DIRECTORY != 0
    }

    /// Names and lengths in bytes of all streams; the contents have the empty name.
    pub fn streams(&self) -> impl Iterator<Item = (&Utf16Name, u64)> {
        let streams = self.attributes.iter().filter(|attribute| attribute.kind == attribute_type::DATA);
        streams.map(|stream| (&stream.name, stream.len()))
    }

    /// Tag of the reparse point ([MS-FSCC] 2.1.2.1); `None` if it is not a reparse point.
    pub fn reparse_tag(&self) -> Option<u32> {
        let point = self.attributes.iter().find(|attribute| attribute.kind == attribute_type::REPARSE_POINT)?;
        match &point.value {
            AttributeValue::Resident(bytes) => Some(u32::from_le_bytes(*bytes.first_chunk()?)),
            // The filters that are known here have no such large data outside of the record.
            AttributeValue::NonResident { .. } => Some(0),
        }
    }

    fn attribute(&self, kind: u32, name: &Utf16Name) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.is(kind, name))
    }
}

/// The unnamed stream of `$MFT`. Its later parts may be in records that its earlier parts lead to.
fn whole_mft<'a>(volume: &'a dyn ReadAt, base: &Record, geometry: &Geometry) -> Result<NtfsStream<'a>> {
    let unnamed = Utf16Name::from("");
    let bad = |what: &str| Error::corrupt(format!("$MFT {what}"));
    let data = base.attributes.iter().find(|attribute| attribute.is(attribute_type::DATA, &unnamed));
    let mut data = data.ok_or_else(|| bad("has no data"))?.clone();
    let AttributeValue::NonResident { data_size, .. } = data.value else {
        return Err(bad("lies in its own record"));
    };
    if let Some(list) = base.attributes.iter().find(|attribute| attribute.kind == attribute_type::ATTRIBUTE_LIST) {
        for entry in read_list(volume, record::MFT, list, geometry)? {
            if entry.kind != attribute_type::DATA || entry.lowest_vcn.0 == 0 || !entry.name.units().is_empty() {
                continue;
            }
            if let AttributeValue::NonResident { data_size, runs, .. } = &mut data.value {
                *data_size = runs.end().0 * geometry.cluster_size;
            }
            let so_far = NtfsStream::new(volume, geometry.cluster_size, &data)?;
            let extension = read_record(&so_far, entry.reference.record(), geometry)?;
            let part = extension.attributes.into_iter().find(|attribute| attribute.instance == entry.instance);
            append(&mut data, part).ok_or_else(|| bad("has damaged extensions"))?;
        }
        if let AttributeValue::NonResident { data_size: size, .. } = &mut data.value {
            *size = data_size;
        }
    }
    let records = data_size / geometry.record_size as u64;
    if data_size > geometry.clusters * geometry.cluster_size || records > u64::from(u32::MAX) {
        return Err(bad(&format!("cannot have {data_size} bytes")));
    }
    NtfsStream::new(volume, geometry.cluster_size, &data)
}

/// The attributes that an attribute list names, joined from their parts.
fn collect(
    base_reference: FileReference,
    base: &Record,
    list: &[mft::ListEntry],
    record: &dyn Fn(u64) -> Result<Record>,
) -> Result<Vec<Attribute>> {
    let number = base_reference.record();
    let bad = || Error::corrupt(format!("MFT record {number} has a damaged attribute list"));
    let mut extensions: BTreeMap<u64, Record> = BTreeMap::new();
    let mut attributes: Vec<Attribute> = Vec::new();
    let extension = |reference: FileReference| {
        let extension = record(reference.record())?;
        let owner = FileReference(extension.header.base_reference.get());
        let ours = owner == base_reference && extension.header.sequence.get() == reference.sequence();
        if ours { Ok(extension) } else { Err(bad()) }
    };
    for entry in list {
        let record = match extensions.entry(entry.reference.record()) {
            _ if entry.reference.record() == number => base,
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(extension(entry.reference)?),
        };
        let part = record.attributes.iter().find(|part| {
            part.is(entry.kind, &entry.name) && part.instance == entry.instance && part.lowest_vcn() == entry.lowest_vcn
        });
        let part = part.ok_or_else(bad)?;
        match attributes.last_mut() {
            Some(last) if entry.lowest_vcn.0 > 0 => {
                append(last, Some(part.clone())).ok_or_else(bad)?;
            }
            _ => attributes.push(part.clone()),
        }
    }
    Ok(attributes)
}

/// Appends the next part of an attribute; `None` if it does not follow the parts so far.
fn append(attribute: &mut Attribute, part: Option<Attribute>) -> Option<()> {
    let part = part.filter(|part| part.is(attribute.kind, &attribute.name))?;
    match (&mut attribute.value, part.value) {
        (AttributeValue::NonResident { runs, .. }, AttributeValue::NonResident { runs: next, .. }) => runs.append(next),
        _ => None,
    }
}

fn read_list(volume: &dyn ReadAt, number: u64, list: &Attribute, geometry: &Geometry) -> Result<Vec<mft::ListEntry>> {
    let bad = || Error::corrupt(format!("MFT record {number} has a damaged attribute list"));
    let stream = NtfsStream::new(volume, geometry.cluster_size, list)?;
    if stream.size() > MAX_ATTRIBUTE_LIST {
        return Err(bad());
    }
    let mut bytes = vec![0; stream.size() as usize];
    read_into(&stream, 0, &mut bytes)?;
    attribute_list(&bytes).ok_or_else(bad)
}

fn read_record(mft: &NtfsStream<'_>, number: u64, geometry: &Geometry) -> Result<Record> {
    let mut bytes = vec![0; geometry.record_size];
    let outside = || Error::corrupt(format!("the MFT has no record {number}"));
    let offset = number.checked_mul(geometry.record_size as u64).ok_or_else(outside)?;
    if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > mft.size()) {
        return Err(outside());
    }
    read_into(mft, offset, &mut bytes)?;
    Record::parse(number, bytes, geometry)
}

/// Number of ones among the first `count` bits.
fn count_bits(bitmap: &NtfsStream<'_>, count: u64) -> Result<u64> {
    if bitmap.size() < count.div_ceil(8) {
        return Err(Error::corrupt(format!("a bitmap of {} bytes is too short for {count} bits", bitmap.size())));
    }
    let (mut ones, mut piece) = (0, Vec::new());
    for start in (0..count.div_ceil(8)).step_by(BITMAP_PIECE as usize) {
        piece.resize((count.div_ceil(8) - start).min(BITMAP_PIECE) as usize, 0);
        read_into(bitmap, start, &mut piece)?;
        let bits = (count - start * 8).min(piece.len() as u64 * 8);
        if !bits.is_multiple_of(8) {
            *piece.last_mut().expect("not empty") &= (1 << (bits % 8)) - 1;
        }
        ones += piece.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
    }
    Ok(ones)
}

fn read_into(volume: &dyn ReadAt, offset: u64, bytes: &mut [u8]) -> Result<()> {
    volume.read_exact_at(bytes, offset).map_err(|error| {
        let kind = if error.kind() == std::io::ErrorKind::UnexpectedEof { ErrorKind::Corrupt } else { ErrorKind::Io };
        Error::new(kind, "cannot read the NTFS volume").at(offset).with_source(error)
    })
}

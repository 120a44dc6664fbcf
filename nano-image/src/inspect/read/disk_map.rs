//! Who owns which bytes of a disk: partition tables, file system structures, streams of files.

use std::collections::BTreeMap;
use std::ops::Range;

use super::files::{Fat, FileId, FileNumber, Files, Kind};
use super::image::Image;
use crate::content::Extent;
use crate::error::{Error, Result};
use crate::inspect::model::{Partition, Scheme};
use crate::types::Utf16Name;
use crate::volume::ntfs::NtfsReader;
use crate::volume::ntfs::format::{attribute_type, namespace, record};
use crate::windows::contents::wof;

/// Folder of the component store. Its folders have the names (key forms) of components.
const COMPONENT_STORE: &str = r"\Windows\WinSxS\";
/// Folders in it that do not belong to a component.
const NO_COMPONENTS: [&str; 6] = ["Manifests", "Catalogs", "FileMaps", "Temp", "Backup", "InstallTemp"];

/// The bytes of a disk with their owners.
pub(crate) struct DiskMap {
    pub owners: Vec<Owner>,
    /// In ascending order, without overlap. Bytes outside of them have no owner.
    spans: Vec<Span>,
    partitions: Vec<(Extent, u32)>,
    /// Files of NTFS volumes by partition and record.
    pub files: BTreeMap<(u32, u64), FileInfo>,
    /// What could not be read.
    pub notes: Vec<String>,
}

/// A range of bytes with one owner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// First byte on the disk.
    pub start: u64,
    pub len: u64,
    pub owner: u32,
    /// Position of that byte within the owner.
    pub inside: u64,
}

/// The owner of bytes.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub partition: Option<u32>,
    pub kind: OwnerKind,
    /// Its name: a path in the volume, or a structure.
    pub name: String,
    /// Its real length in bytes. What follows in its clusters is slack.
    pub size: u64,
    /// Number of its MFT record.
    pub record: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnerKind {
    /// Contents of a file, compressed or not.
    Contents,
    /// A named stream.
    Stream(String),
    /// A directory, or the index of one.
    Directory,
    /// Another attribute of a file, by its type.
    Attribute(u32),
    /// A file of the file system itself.
    System,
    /// A structure of a partition table.
    Table,
}

/// A file of an NTFS volume.
#[derive(Clone, Debug)]
pub(crate) struct FileInfo {
    /// One of its paths, if possible one outside of the component store.
    pub path: String,
    /// Name of the component that it belongs to.
    pub component: Option<String>,
    pub is_directory: bool,
}

impl DiskMap {
    /// Reads all partition tables, directories and MFT records of an image.
    pub fn read(image: &Image) -> Result<Self> {
        let table = image.partition_table();
        let partitions = &table.partitions;
        let mut map = Self {
            owners: Vec::new(),
            spans: Vec::new(),
            partitions: Vec::new(),
            files: BTreeMap::new(),
            notes: image.notes().to_vec(),
        };
        map.tables(image);
        for partition in partitions {
            let extent = Extent { start: partition.start, len: partition.size };
            let is_new = !map.partitions.iter().any(|(other, _)| {
                other.start < extent.start.saturating_add(extent.len) && extent.start < other.start + other.len
            });
            if !is_new {
                map.notes.push(format!("partition {} overlaps another and is not read", partition.number));
                continue;
            }
            let end = extent.start.saturating_add(extent.len).min(image.disk().size().bytes());
            map.partitions
                .push((Extent { start: extent.start, len: end.saturating_sub(extent.start) }, partition.number));
            match image.files(partition.number) {
                Ok(files) => map.volume(image, &files, partition)?,
                // A partition without a volume is described by its type.
                Err(error) if error.kind() == crate::error::ErrorKind::Unsupported => {}
                Err(error) => map.note(partition.number, &error),
            }
        }
        map.spans.sort_by_key(|span| span.start);
        let mut at = 0;
        map.spans.retain_mut(|span| {
            let cut = at.max(span.start) - span.start;
            if cut >= span.len {
                return false;
            }
            (span.start, span.len, span.inside) = (span.start + cut, span.len - cut, span.inside + cut);
            at = span.start + span.len;
            true
        });
        map.partitions.sort_by_key(|(extent, _)| extent.start);
        Ok(map)
    }

    /// Visits the parts of `extent` of the disk in order, each with its span or, where there is no owner, with the
    /// partition.
    pub fn parts(&self, extent: Extent, visit: &mut dyn FnMut(Extent, std::result::Result<Span, Option<u32>>)) {
        let (mut at, end) = (extent.start, extent.start + extent.len);
        while at < end {
            let after = self.spans.partition_point(|span| span.start <= at);
            let here = after.checked_sub(1).map(|index| self.spans[index]).filter(|span| at - span.start < span.len);
            if let Some(span) = here {
                let cut = at - span.start;
                let len = (span.len - cut).min(end - at);
                let part = Span { start: at, len, owner: span.owner, inside: span.inside + cut };
                visit(Extent { start: at, len }, Ok(part));
                at += len;
                continue;
            }
            let next = self.spans.get(after).map_or(end, |span| span.start.min(end));
            let partition = self.partition_at(at);
            let border = match partition {
                Some((extent, _)) => extent.end(),
                None => {
                    let starts = self.partitions.iter().map(|(extent, _)| extent.start);
                    starts.filter(|&start| start > at).min().unwrap_or(end)
                }
            };
            let len = next.min(border).min(end) - at;
            visit(Extent { start: at, len }, Err(partition.map(|(_, number)| number)));
            at += len;
        }
    }

    /// The partition that contains a byte of the disk.
    pub fn partition_at(&self, at: u64) -> Option<(Extent, u32)> {
        self.partitions.iter().find(|(extent, _)| extent.start <= at && at - extent.start < extent.len).copied()
    }

    fn note(&mut self, partition: u32, error: &Error) {
        self.notes.push(format!("partition {partition}: {error}"));
    }

    fn owner(&mut self, owner: Owner) -> u32 {
        self.owners.push(owner);
        self.owners.len() as u32 - 1
    }

    fn structure(&mut self, partition: Option<u32>, kind: OwnerKind, name: &str, extent: Extent) {
        let owner = self.owner(Owner { partition, kind, name: name.to_owned(), size: extent.len, record: None });
        self.spans.push(Span { start: extent.start, len: extent.len, owner, inside: 0 });
    }

    /// The sectors of the partition table (UEFI 2.10 §5.3: 128 entries of 128 bytes).
    fn tables(&mut self, image: &Image) {
        let sector = u64::from(image.disk().logical_sector_size());
        let size = image.disk().size().bytes();
        let entries = (128 * 128_u64).next_multiple_of(sector);
        let parts = match image.partition_table().scheme {
            Scheme::None => return,
            Scheme::Mbr => vec![("MBR", 0, sector)],
            Scheme::Gpt => vec![
                ("protective MBR", 0, sector),
                ("GPT header", sector, sector),
                ("GPT entries", 2 * sector, entries),
                ("backup of the GPT entries", size.saturating_sub(sector + entries), entries),
                ("backup of the GPT header", size.saturating_sub(sector), sector),
            ],
        };
        for (name, start, len) in parts {
            self.structure(None, OwnerKind::Table, name, Extent { start, len });
        }
    }

    fn volume(&mut self, image: &Image, files: &Files<'_>, partition: &Partition) -> Result<()> {
        match files.kind() {
            Kind::Fat(fat) => self.fat(fat, partition),
            Kind::Ntfs(reader) => {
                let records = mft_records(image, reader, partition).unwrap_or_else(|error| {
                    self.note(partition.number, &error);
                    Vec::new()
                });
                self.ntfs(files, reader, &records, partition)
            }
        }
    }

    fn fat(&mut self, fat: &Fat<'_>, partition: &Partition) -> Result<()> {
        let number = Some(partition.number);
        let at = |extent: Extent| Extent { start: partition.start + extent.start, len: extent.len };
        for (extent, name) in fat.reader.regions() {
            if name != "clusters" {
                self.structure(number, OwnerKind::System, name, at(extent));
            }
        }
        match fat.reader.root_extents() {
            Ok(extents) => self.extents(partition, OwnerKind::Directory, "\\".to_owned(), None, None, &extents),
            Err(error) => self.note(partition.number, &error),
        }
        for entry in &fat.entries {
            let (kind, size) = match entry.is_directory {
                true => (OwnerKind::Directory, None),
                false => (OwnerKind::Contents, Some(entry.size.into())),
            };
            match fat.reader.extents(entry) {
                Ok(extents) => self.extents(partition, kind, format!("\\{}", entry.path), size, None, &extents),
                Err(error) => self.note(partition.number, &error),
            }
        }
        Ok(())
    }

    /// Adds an owner whose bytes lie one after another in `extents` of the volume.
    fn extents(
        &mut self,
        partition: &Partition,
        kind: OwnerKind,
        name: String,
        size: Option<u64>,
        record: Option<u64>,
        extents: &[Extent],
    ) {
        let size = size.unwrap_or_else(|| extents.iter().map(|extent| extent.len).sum());
        let owner = self.owner(Owner { partition: Some(partition.number), kind, name, size, record });
        let mut inside = 0;
        for extent in extents {
            let start = partition.start.saturating_add(extent.start);
            self.spans.push(Span { start, len: extent.len, owner, inside });
            inside += extent.len;
        }
    }

    fn ntfs(
        &mut self,
        files: &Files<'_>,
        reader: &NtfsReader<'_>,
        records: &[Range<u64>],
        partition: &Partition,
    ) -> Result<()> {
        self.names(files, partition.number)?;
        for number in records.iter().cloned().flatten() {
            match reader.owner_of_record(number) {
                Ok(Some(owner)) if owner == number => {}
                // It is free, or belongs to another file; records that were never used have no signature.
                _ => continue,
            }
            if let Err(error) = self.record(reader, partition, number) {
                self.note(partition.number, &error);
            }
        }
        let size = reader.size().bytes();
        if let Some(len) = partition.size.checked_sub(size).filter(|&len| len > 0) {
            let sector = len.min(512);
            let backup = Extent { start: partition.start + size, len: sector };
            self.structure(Some(partition.number), OwnerKind::System, "backup boot sector", backup);
        }
        Ok(())
    }

    /// Collects the paths of all files.
    fn names(&mut self, files: &Files<'_>, partition: u32) -> Result<()> {
        let root = files.root()?;
        let names = &mut self.files;
        let walked = files.walk(root, "", &mut |path, _: &Utf16Name, file: FileId| {
            let FileNumber::Ntfs(reference) = file.number else { return Ok(false) };
            let path = format!("\\{path}");
            let in_store =
                path.get(..COMPONENT_STORE.len()).is_some_and(|start| start.eq_ignore_ascii_case(COMPONENT_STORE));
            let component = in_store.then(|| path[COMPONENT_STORE.len()..].split_once('\\')).flatten();
            let component = component.map(|(name, _)| name).filter(|name| !NO_COMPONENTS.contains(name));
            let component = component.map(str::to_owned);
            let info = names.entry((partition, reference.record()));
            let info = info.or_insert_with(|| FileInfo {
                path: path.clone(),
                component: None,
                is_directory: file.is_directory(),
            });
            if !in_store
                && info
                    .path
                    .get(..COMPONENT_STORE.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(COMPONENT_STORE))
            {
                info.path = path;
            }
            if component.is_some() {
                info.component = component;
            }
            Ok(true)
        });
        if let Err(error) = walked {
            self.note(partition, &error);
        }
        let root = FileInfo { path: "\\".to_owned(), component: None, is_directory: true };
        self.files.insert((partition, record::ROOT), root);
        Ok(())
    }

    fn record(&mut self, reader: &NtfsReader<'_>, partition: &Partition, number: u64) -> Result<()> {
        let file = reader.file_in_record(number)?;
        let known = self.files.get(&(partition.number, number)).map(|info| info.path.clone());
        let is_system = number < record::FIRST_FREE && number != record::ROOT
            || file.names().iter().any(|name| name.parent.record() == record::EXTEND);
        let path = known.unwrap_or_else(|| {
            let names = file.names();
            let name = names.iter().find(|name| name.namespace != namespace::DOS);
            let name = name.map_or_else(|| format!("(record {number})"), |name| name.name.to_string());
            if is_system { name } else { format!("(lost) {name}") }
        });
        let is_wof = file.reparse_tag() == Some(wof::TAG);
        let cluster = reader.cluster_size().bytes();
        for attribute in file.attributes() {
            let runs = attribute.runs().filter_map(|run| Some((run.vcn, run.lcn?, run.clusters)));
            let runs: Vec<_> = runs.collect();
            if runs.is_empty() {
                continue;
            }
            let stream = attribute.name().to_string();
            let kind = match attribute.kind() {
                _ if is_system => OwnerKind::System,
                attribute_type::DATA if stream.is_empty() || is_wof && stream == wof::STREAM => OwnerKind::Contents,
                attribute_type::DATA => OwnerKind::Stream(stream.clone()),
                attribute_type::INDEX_ALLOCATION => OwnerKind::Directory,
                other => OwnerKind::Attribute(other),
            };
            let name = match attribute.kind() {
                attribute_type::DATA if is_system && stream.is_empty() => path.clone(),
                attribute_type::BITMAP if is_system && stream.is_empty() => format!("{path}:$BITMAP"),
                _ if is_system && !stream.is_empty() => format!("{path}:{stream}"),
                _ => path.clone(),
            };
            let (size, record) = (attribute.size(), Some(number));
            let owner = self.owner(Owner { partition: Some(partition.number), kind, name, size, record });
            for (vcn, lcn, clusters) in runs {
                let start = partition.start.saturating_add(lcn.0 * cluster);
                self.spans.push(Span { start, len: clusters * cluster, owner, inside: vcn.0 * cluster });
            }
        }
        Ok(())
    }
}

/// The MFT records that are in the image file, in ascending order. An MFT may contain a hole as large as the volume.
fn mft_records(image: &Image, reader: &NtfsReader<'_>, partition: &Partition) -> Result<Vec<Range<u64>>> {
    let (cluster, record_size) = (reader.cluster_size().bytes(), reader.record_size().bytes());
    let allocated = image.disk().allocated();
    let mft = reader.file_in_record(record::MFT)?;
    let is_data = |kind, name: &Utf16Name| kind == attribute_type::DATA && name.units().is_empty();
    let data = mft.attributes().find(|attribute| is_data(attribute.kind(), attribute.name()));
    let (mut ranges, mut next): (Vec<Range<u64>>, u64) = (Vec::new(), 0);
    for run in data.into_iter().flat_map(|data| data.runs()) {
        let Some(lcn) = run.lcn else { continue };
        let start = partition.start.saturating_add(lcn.0 * cluster);
        let end = start.saturating_add(run.clusters * cluster);
        let first = allocated.partition_point(|extent| extent.end() <= start);
        for extent in allocated[first..].iter().take_while(|extent| extent.start < end) {
            let at = |disk: u64| run.vcn.0 * cluster + (disk - start);
            let from = at(extent.start.max(start)) / record_size;
            let to = at(extent.end().min(end)).div_ceil(record_size).min(reader.record_count());
            if from.max(next) < to {
                ranges.push(from.max(next)..to);
                next = to;
            }
        }
    }
    Ok(ranges)
}

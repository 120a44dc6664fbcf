//! What is different between two images, by what it means: container, partitions, files, registry, boot entries.

mod boot;
mod files;
mod hive;
mod text;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::Serialize;

use super::model::{Container, Partition};
use super::read::container;
use super::read::files::read_error;
use super::read::image::Image;
use super::tell::value;
use crate::content::ReadAt;
use crate::error::{Error, Result};
use crate::progress::Observer;
pub use text::DiffText;

/// Bytes compared at a time.
const PIECE: u64 = 1 << 20;
/// Code that a BIOS starts, in the first sector of a disk.
const MBR_BOOT_CODE: usize = 440;

/// A kind of difference, which a comparison can leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Category {
    /// How the file holds the disk.
    Container,
    /// Place, size, name and type of partitions.
    Partition,
    /// Label, version and cluster size of volumes.
    Volume,
    /// Files and directories that one image does not have.
    File,
    /// Contents of files.
    Content,
    /// Named streams.
    Stream,
    /// Attribute bits and extended attributes of files.
    Attributes,
    /// Times of files and registry keys.
    Times,
    /// GUIDs, serial numbers, signatures, and references to them.
    Identifiers,
    /// Security descriptors.
    Security,
    /// Hard links and short names.
    Links,
    /// Links, junctions and other reparse points.
    Reparse,
    /// Registry keys and values.
    Registry,
    /// Boot code and boot entries.
    Boot,
    /// How the same contents are stored: compressed, or the order within a hive.
    Storage,
}

impl Category {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Container,
        Self::Partition,
        Self::Volume,
        Self::File,
        Self::Content,
        Self::Stream,
        Self::Attributes,
        Self::Times,
        Self::Identifiers,
        Self::Security,
        Self::Links,
        Self::Reparse,
        Self::Registry,
        Self::Boot,
        Self::Storage,
    ];

    /// One lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Partition => "partition",
            Self::Volume => "volume",
            Self::File => "file",
            Self::Content => "content",
            Self::Stream => "stream",
            Self::Attributes => "attributes",
            Self::Times => "times",
            Self::Identifiers => "identifiers",
            Self::Security => "security",
            Self::Links => "links",
            Self::Reparse => "reparse",
            Self::Registry => "registry",
            Self::Boot => "boot",
            Self::Storage => "storage",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Category {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|category| category.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::recipe(format!("`{text}` is no kind of difference")).with_hint(format!("there are {names}"))
        })
    }
}

/// One difference. Without `old` the thing is only in the second image, without `new` only in the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Difference {
    /// Kind.
    pub category: Category,
    /// Number of the partition; none for what is of the whole disk.
    pub partition: Option<u32>,
    /// File, from the root of its volume.
    pub path: Option<String>,
    /// Registry key, or identifier of a boot entry, in that file.
    pub key: Option<String>,
    /// What of it.
    pub what: String,
    /// In the first image, for people.
    pub old: Option<String>,
    /// In the second image.
    pub new: Option<String>,
}

/// The result of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compared {
    /// Number of differences.
    pub differences: u64,
    /// What could not be compared, and why; a sentence each.
    pub notes: Vec<String>,
}

/// Compares the images `a` and `b` and calls `found` for each difference, in the order of the partitions and
/// directories. Kinds in `ignore` are left out.
///
/// Compared is what an image means: where files lie, and what follows from their contents (bitmaps, `$LogFile`, the
/// MFT's order, the size of the image file), is not. Files are compared by size, then byte by byte, in the order in
/// which they lie on the first volume; registry hives and boot configuration stores by their keys and values.
///
/// # Errors
/// As [`Image::open`]; what `found` returns; [`Cancelled`](crate::ErrorKind::Cancelled).
pub fn diff(
    a: &Path,
    b: &Path,
    ignore: &BTreeSet<Category>,
    observer: &dyn Observer,
    found: &mut dyn FnMut(&Difference) -> Result<()>,
) -> Result<Compared> {
    let (a, b) = (Image::open(a)?, Image::open(b)?);
    let mut report = Report { ignore, observer, found, done: Compared::default() };
    containers(&container(a.disk(), a.file_size()), &container(b.disk(), b.file_size()), &mut report)?;
    let (old, new) = (a.partition_table(), b.partition_table());
    let disk = Place::default();
    let schemes = [old, new].map(|table| format!("{:?}", table.scheme).to_lowercase());
    report.values(Category::Partition, &disk, "partition table", Some(&schemes[0]), Some(&schemes[1]))?;
    report.values(Category::Identifiers, &disk, "disk identifier", old.disk_id.as_ref(), new.disk_id.as_ref())?;
    if old.scheme == new.scheme && !old.partitions.iter().any(|partition| partition.start == 0) {
        boot_code(&disk, &[a.disk(), b.disk()], 0..MBR_BOOT_CODE, &mut report)?;
    }
    for index in 0..old.partitions.len().max(new.partitions.len()) {
        match (old.partitions.get(index), new.partitions.get(index)) {
            (Some(old), Some(new)) => partitions(&a, &b, old, new, &mut report)?,
            (old, new) => {
                let place = Place { partition: old.or(new).map(|partition| partition.number), ..Place::default() };
                report.values(Category::Partition, &place, "partition", old.map(summary), new.map(summary))?;
            }
        }
    }
    Ok(report.done)
}

/// Where a difference is.
#[derive(Clone, Debug, Default)]
struct Place {
    partition: Option<u32>,
    path: Option<String>,
    key: Option<String>,
}

impl Place {
    fn with_key(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }
}

/// Takes differences.
struct Report<'r> {
    ignore: &'r BTreeSet<Category>,
    observer: &'r dyn Observer,
    found: &'r mut dyn FnMut(&Difference) -> Result<()>,
    done: Compared,
}

impl Report<'_> {
    fn wants(&self, category: Category) -> bool {
        !self.ignore.contains(&category)
    }

    fn tell(&mut self, difference: &Difference) -> Result<()> {
        if self.observer.cancelled() {
            return Err(Error::cancelled());
        }
        if self.wants(difference.category) {
            self.done.differences += 1;
            (self.found)(difference)?;
        }
        Ok(())
    }

    /// Tells two values if they differ.
    fn values<T: PartialEq + fmt::Display>(
        &mut self,
        category: Category,
        place: &Place,
        what: &str,
        old: Option<T>,
        new: Option<T>,
    ) -> Result<()> {
        if old == new {
            return Ok(());
        }
        let [old, new] = [old, new].map(|value| value.map(|value| value.to_string()));
        self.tell(&difference(category, place, what, old, new))
    }

    fn note(&mut self, place: &Place, error: &Error) {
        let partition = place.partition.map(|number| format!("partition {number}")).unwrap_or_default();
        let path = place.path.as_ref().map(|path| format!(": {path}")).unwrap_or_default();
        let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
        self.done.notes.push(format!("{partition}{path}: {error}{source}"));
    }
}

fn difference(category: Category, place: &Place, what: &str, old: Option<String>, new: Option<String>) -> Difference {
    let Place { partition, path, key } = place.clone();
    Difference { category, partition, path, key, what: what.to_owned(), old, new }
}

fn containers(a: &Container, b: &Container, report: &mut Report<'_>) -> Result<()> {
    let place = Place::default();
    let mut text = |what, old: Option<String>, new| report.values(Category::Container, &place, what, old, new);
    text("format", Some(a.format.clone()), Some(b.format.clone()))?;
    text("subformat", a.subformat.clone(), b.subformat.clone())?;
    let bytes = |size: u64| format!("{size} bytes");
    text("block size", a.block_size.map(bytes), b.block_size.map(bytes))?;
    text("sector size", Some(bytes(a.sector_size.into())), Some(bytes(b.sector_size.into())))?;
    text("size of the disk", Some(bytes(a.virtual_size)), Some(bytes(b.virtual_size)))?;
    report.values(Category::Identifiers, &place, "identifier of the virtual disk", a.id.as_ref(), b.id.as_ref())
}

fn partitions(a: &Image, b: &Image, old: &Partition, new: &Partition, report: &mut Report<'_>) -> Result<()> {
    let place = Place { partition: Some(old.number), ..Place::default() };
    let mut values =
        |what, old: String, new: String| report.values(Category::Partition, &place, what, Some(old), Some(new));
    values("start", format!("byte {}", old.start), format!("byte {}", new.start))?;
    values("size", format!("{} bytes", old.size), format!("{} bytes", new.size))?;
    values("name", old.name.clone(), new.name.clone())?;
    let kind = |partition: &Partition| partition.type_name.clone().unwrap_or(partition.partition_type.clone());
    if old.partition_type != new.partition_type {
        values("type", kind(old), kind(new))?;
    }
    values("active", old.active.to_string(), new.active.to_string())?;
    values("attributes", format!("{:#x}", old.attributes), format!("{:#x}", new.attributes))?;
    report.values(Category::Identifiers, &place, "GUID", old.guid.as_ref(), new.guid.as_ref())?;
    let (Some(bytes_a), Some(bytes_b)) = (a.partition_bytes(old.number), b.partition_bytes(new.number)) else {
        return Ok(());
    };
    match (a.files(old.number), b.files(new.number)) {
        (Ok(files_a), Ok(files_b)) => {
            let sides = [(a, &files_a), (b, &files_b)];
            files::compare(sides, &place, report)?;
            let bpb_end = if files_a.ntfs().is_some() { 0x54 } else { 0x5A };
            if files_a.ntfs().is_some() == files_b.ntfs().is_some() {
                boot_code(&place, &[bytes_a, bytes_b], bpb_end..0x1FE, report)?;
            }
            if files_a.ntfs().is_some() && files_b.ntfs().is_some() {
                // The boot code of an NTFS volume has 16 sectors.
                boot_code(&place, &[bytes_a, bytes_b], 0x200..0x2000, report)?;
            }
            Ok(())
        }
        (Err(a), Err(b)) => match first_difference(bytes_a, bytes_b) {
            Ok(None) => Ok(()),
            Ok(Some(at)) => {
                // Both are the same kind of unreadable; if not, the reason is worth telling.
                if a.message() != b.message() {
                    report.note(&place, &a);
                    report.note(&place, &b);
                }
                let text = format!("byte {at}");
                report.values(Category::Content, &place, "first byte that differs", None, Some(text))
            }
            Err(error) => {
                report.note(&place, &error);
                Ok(())
            }
        },
        (a, b) => {
            let text = |side: std::result::Result<_, Error>| match side {
                Ok(_) => "readable files".to_owned(),
                Err(error) => error.message().to_owned(),
            };
            report.values(Category::Volume, &place, "volume", Some(text(a.map(drop))), Some(text(b.map(drop))))
        }
    }
}

fn summary(partition: &Partition) -> String {
    let kind = partition.type_name.as_ref().unwrap_or(&partition.partition_type);
    format!("{kind}, {} bytes at byte {}", partition.size, partition.start)
}

/// Compares code at the start of a disk or volume.
fn boot_code(
    place: &Place,
    sides: &[&dyn ReadAt; 2],
    range: std::ops::Range<usize>,
    report: &mut Report<'_>,
) -> Result<()> {
    let read = |side: &dyn ReadAt| {
        let mut bytes = vec![0; range.len()];
        side.read_exact_at(&mut bytes, range.start as u64).ok().map(|()| bytes)
    };
    let [Some(old), Some(new)] = sides.map(read) else { return Ok(()) };
    let Some(at) = old.iter().zip(&new).position(|(old, new)| old != new) else { return Ok(()) };
    let shown = |code: &[u8]| match code.iter().all(|&byte| byte == 0) {
        true => "none".to_owned(),
        false => format!("{} at byte {}", value::hex(&code[at..code.len().min(at + 16)]), range.start + at),
    };
    report.values(Category::Boot, place, "boot code", Some(shown(&old)), Some(shown(&new)))
}

/// The first byte at which two streams differ, or where the shorter ends.
fn first_difference(a: &dyn ReadAt, b: &dyn ReadAt) -> Result<Option<u64>> {
    let failed = |error| read_error(error, "cannot read the image");
    let (len_a, len_b) = (a.len().map_err(failed)?, b.len().map_err(failed)?);
    let (mut old, mut new) = (Vec::new(), Vec::new());
    let common = len_a.min(len_b);
    let mut at = 0;
    while at < common {
        let len = (common - at).min(PIECE) as usize;
        old.resize(len, 0);
        new.resize(len, 0);
        a.read_exact_at(&mut old, at).map_err(failed)?;
        b.read_exact_at(&mut new, at).map_err(failed)?;
        if old != new {
            let inside = old.iter().zip(&new).position(|(old, new)| old != new).unwrap_or(0);
            return Ok(Some(at + inside as u64));
        }
        at += len as u64;
    }
    Ok((len_a != len_b).then_some(common))
}

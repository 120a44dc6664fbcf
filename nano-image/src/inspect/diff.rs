//! What differs between two images, by meaning: container, partitions, files, registry, boot entries.

mod boot;
mod files;
mod hive;
mod report;
mod text;

use std::collections::BTreeSet;
use std::path::Path;

use self::report::{Place, Report, first_difference};
use super::model::{Category, Compared, Container, Difference, Partition};
use super::read::container;
use super::read::image::Image;
use crate::content::ReadAt;
use crate::error::{Error, Result};
use crate::progress::Observer;
pub use text::DiffText;

/// Code that a BIOS starts, in the first sector of a disk.
const MBR_BOOT_CODE: usize = 440;

/// Compares the images `a` and `b` and calls `found` for each difference, in the order of the partitions and
/// directories. Kinds in `ignore` are left out.
///
/// Images are compared by what they mean. What does not matter is left out: where files lie, and what follows from
/// their contents (bitmaps, `$LogFile`, the order of the MFT, the size of the image file). Files are compared by size,
/// then byte by byte, in the order in which they lie on the first volume; registry hives and boot configuration stores
/// are compared by their keys and values.
///
/// # Errors
/// As [`Image::open`]; errors of `found`; [`Cancelled`](crate::ErrorKind::Cancelled).
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
                // Both volumes cannot be read. Only different reasons are worth reporting.
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
        false => format!("{} at byte {}", hex::encode(&code[at..code.len().min(at + 16)]), range.start + at),
    };
    report.values(Category::Boot, place, "boot code", Some(shown(&old)), Some(shown(&new)))
}

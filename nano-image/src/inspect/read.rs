//! Reads the description of an image from it.

pub(super) mod boot;
pub(super) mod disk_map;
pub(super) mod files;
pub(super) mod hives;
pub(super) mod image;
pub(super) mod listing;
pub(super) mod locate;
mod partition;
mod registry;
pub(super) mod size;
pub(super) mod stores;
pub(super) mod volume;
pub(super) mod windows;

use std::path::Path;

use self::image::Image;
use super::model::{Boot, Container, Inspection, Partition};
use crate::content::Extent;
use crate::disk::DiskReader;
use crate::error::{Error, Result};

/// Inspects the image file at `path`.
///
/// # Errors
/// [`Io`](crate::ErrorKind::Io) and [`NotFound`](crate::ErrorKind::NotFound) if the file cannot be read;
/// [`Corrupt`](crate::ErrorKind::Corrupt) and [`Unsupported`](crate::ErrorKind::Unsupported) for its container and
/// partition table. What is wrong below them becomes one of the [notes](Inspection::notes).
pub fn open(path: impl AsRef<Path>) -> Result<Inspection> {
    let image = Image::open(path)?;
    let mut notes = image.notes().to_vec();
    let mut table = image.partition_table().clone();
    let (mut boot, mut installations) = (Boot::default(), Vec::new());
    for index in 0..table.partitions.len() {
        let partition = &table.partitions[index];
        let (number, extent) = (partition.number, Extent { start: partition.start, len: partition.size });
        let mut note = |what: &str, error: Error| notes.push(format!("partition {number}: {what}: {error}"));
        // Each byte of the disk is read once, however many partitions claim it.
        let overlaps = |other: &&Partition| {
            other.start < extent.start.saturating_add(extent.len)
                && extent.start < other.start.saturating_add(other.size)
        };
        if let Some(other) = table.partitions[..index].iter().find(overlaps) {
            let other = format!("overlaps partition {}", other.number);
            note("it is not read", Error::corrupt(other).at(extent.start));
            continue;
        }
        let Some(window) = image.partition_bytes(number) else { continue };
        let (facts, contents) = match volume::read(window, &mut note) {
            Ok(read) => read,
            Err(error) => {
                note("its volume is not readable", error);
                continue;
            }
        };
        if let Some(contents) = contents {
            boot::inspect(&contents, &table, partition, &mut boot, &mut note);
            drop(contents);
            match image.files(number) {
                Ok(files) => installations.extend(windows::inspect(&files, &mut note)),
                Err(error) => note("its files are not readable", error),
            }
        }
        table.partitions[index].volume = facts;
    }
    Ok(Inspection {
        path: image.path().display().to_string(),
        container: container(image.disk(), image.file_size()),
        partition_table: table,
        boot,
        windows: installations,
        notes,
    })
}

/// How `disk` is stored in its file of `file_size` bytes.
pub(super) fn container(disk: &DiskReader, file_size: u64) -> Container {
    let format = disk.format();
    Container {
        format: format.name().to_owned(),
        subformat: format.subformat().map(|subformat| subformat.name().to_owned()),
        block_size: format.block_size().map(|size| size.bytes()),
        sector_size: disk.logical_sector_size(),
        id: disk.id().map(|id| id.to_string()),
        virtual_size: disk.size().bytes(),
        file_size,
        allocated: disk.allocated().iter().map(|extent| extent.len).sum(),
    }
}

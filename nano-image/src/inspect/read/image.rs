//! An open image file: its disk and partitions.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::Files;
use super::partition;
use crate::content::{Extent, ReadAt, Window};
use crate::disk::{self, DiskReader};
use crate::error::{Error, Result};
use crate::inspect::model::{Partition, PartitionTable, Scheme};

/// A disk image of any maker.
pub struct Image {
    path: PathBuf,
    file_size: u64,
    disk: Arc<DiskReader>,
    table: PartitionTable,
    notes: Vec<String>,
    parts: Vec<Window>,
}

impl Image {
    /// Opens the image file at `path`.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) and [`NotFound`](crate::ErrorKind::NotFound) if the file cannot be read;
    /// [`Corrupt`](crate::ErrorKind::Corrupt) and [`Unsupported`](crate::ErrorKind::Unsupported) for its container and
    /// partition table.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let disk = Arc::new(disk::open_path(path)?);
        let file_size = disk.file_size().bytes();
        let named = |error: Error| error.with_path(path);
        let mut notes = Vec::new();
        let table = partition::read(&disk, &mut notes).map_err(named)?;
        let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        if let Some(error) = disk::not_read_by_name(extension).filter(|_| table.scheme == Scheme::None) {
            return Err(named(error));
        }
        let part =
            |partition: &Partition| Window::new(disk.clone(), Extent { start: partition.start, len: partition.size });
        let parts = table.partitions.iter().map(part).collect();
        Ok(Self { path: path.to_owned(), file_size, disk, table, notes, parts })
    }

    /// The image file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the image file.
    pub fn file_size(&self) -> u64 {
        self.file_size
    }

    /// The disk.
    pub fn disk(&self) -> &DiskReader {
        &self.disk
    }

    /// Its partition table, without the contents of the partitions.
    pub fn partition_table(&self) -> &PartitionTable {
        &self.table
    }

    /// Remarks about the partition table, one sentence each.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The bytes of partition `number`.
    pub(crate) fn partition_bytes(&self, number: u32) -> Option<&dyn ReadAt> {
        let index = self.table.partitions.iter().position(|partition| partition.number == number)?;
        self.parts.get(index).map(|part| part as &dyn ReadAt)
    }

    /// The files of partition `number`.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such partition,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if it has no FAT32 or NTFS volume.
    pub fn files(&self, number: u32) -> Result<Files<'_>> {
        let bytes = self.partition_bytes(number).ok_or_else(|| {
            let error = Error::not_found(format!("the disk has no partition {number}")).with_path(&self.path);
            error.with_hint(self.partitions_text())
        })?;
        Files::open(bytes, number).map_err(|error| {
            error.with_path(format!("{}: partition {number}", self.path.display())).with_hint(self.partitions_text())
        })
    }

    /// The files of the partition with Windows, or else of the only partition with files.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if that is not clear.
    pub fn main_files(&self) -> Result<Files<'_>> {
        let mut readable = Vec::new();
        for partition in &self.table.partitions {
            if let Ok(files) = self.files(partition.number) {
                if matches!(files.find("Windows"), Ok(Some(found)) if found.is_directory()) {
                    return Ok(files);
                }
                readable.push(files);
            }
        }
        let count = readable.len();
        match readable.pop() {
            Some(files) if count == 1 => Ok(files),
            // That error says more than a general one.
            None if self.table.partitions.len() == 1 => self.files(self.table.partitions[0].number),
            _ => {
                let message = if count == 0 { "has files that can be read" } else { "is the one of Windows" };
                Err(Error::not_found(format!("no partition {message}"))
                    .with_path(&self.path)
                    .with_hint(self.partitions_text()))
            }
        }
    }

    fn partitions_text(&self) -> String {
        let partitions = self.table.partitions.iter().map(|partition| {
            let kind = partition.type_name.as_ref().unwrap_or(&partition.partition_type);
            format!("{} ({kind})", partition.number)
        });
        let list: Vec<String> = partitions.collect();
        format!("name one of the partitions: {}", list.join(", "))
    }
}

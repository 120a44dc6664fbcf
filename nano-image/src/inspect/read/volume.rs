//! The volume of a partition.

use crate::content::ReadAt;
use crate::error::{Error, ErrorKind, Result};
use crate::inspect::model::{FatVolume, NtfsVolume, OtherVolume, Volume};
use crate::types::ByteSize;
use crate::volume::fat::{FatEntry, FatReader};
use crate::volume::ntfs::NtfsReader;
use crate::volume::signature;
use crate::windows::contents::is_hibernated;

/// A volume whose files can be read.
pub(crate) enum Contents<'a> {
    Fat { reader: Box<FatReader<'a>>, entries: Vec<FatEntry> },
    Ntfs(NtfsReader<'a>),
}

impl Contents<'_> {
    /// The file at `path`, at most `limit` bytes; case is ignored.
    pub fn read_file(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Fat { reader, entries } => {
                let Some(entry) = fat_file(entries, path) else { return Ok(None) };
                if u64::from(entry.size) > limit {
                    let (size, limit) = (ByteSize::new(entry.size.into()), ByteSize::new(limit));
                    let message = format!("the file has {size}; more than {limit} are not read");
                    return Err(Error::unsupported(message).with_path(path));
                }
                reader.read(entry).map(Some)
            }
            Self::Ntfs(reader) => reader.read_file(path, limit),
        }
    }

    /// Whether there is a file at `path`.
    pub fn has_file(&self, path: &str) -> Result<bool> {
        match self {
            Self::Fat { entries, .. } => Ok(fat_file(entries, path).is_some()),
            Self::Ntfs(reader) => match reader.find(path)? {
                Some(file) => Ok(!reader.file(file)?.is_directory()),
                None => Ok(false),
            },
        }
    }
}

fn fat_file<'e>(entries: &'e [FatEntry], path: &str) -> Option<&'e FatEntry> {
    entries.iter().find(|entry| !entry.is_directory && entry.path.eq_ignore_ascii_case(path))
}

/// The description of `volume`, and access to its files; neither if it has no known signature.
pub(crate) fn read<'a>(
    volume: &'a dyn ReadAt,
    note: &mut dyn FnMut(&str, Error),
) -> Result<(Option<Volume>, Option<Contents<'a>>)> {
    let mut sector = [0; 512];
    match volume.read_exact_at(&mut sector, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            return Err(Error::corrupt("it does not lie on the disk"));
        }
        Err(error) => return Err(Error::new(ErrorKind::Io, "cannot read its first sector").with_source(error)),
    }
    let Some(name) = signature(&sector) else { return Ok((None, None)) };
    match name {
        "FAT32" => {
            let reader = FatReader::open(volume)?;
            let entries = reader.entries().unwrap_or_else(|error| {
                note("its FAT directories are not readable", error);
                Vec::new()
            });
            let (directories, files): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.is_directory);
            let serial = reader.serial();
            let facts = FatVolume {
                label: reader.label(),
                serial: format!("{:04X}-{:04X}", serial >> 16, serial & 0xFFFF),
                files: files.len() as u64,
                directories: directories.len() as u64,
                file_bytes: files.iter().map(|file| u64::from(file.size)).sum(),
            };
            Ok((Some(Volume::Fat32(facts)), Some(Contents::Fat { reader: Box::new(reader), entries })))
        }
        "NTFS" => {
            let reader = NtfsReader::open(volume)?;
            let facts = match reader.volume() {
                Ok(facts) => Some(Volume::Ntfs(NtfsVolume {
                    version: format!("{}.{}", facts.version.0, facts.version.1),
                    label: facts.label,
                    serial: format!("{:016X}", facts.serial),
                    cluster_size: facts.cluster_size.bytes(),
                    size: facts.clusters * facts.cluster_size.bytes(),
                    used_clusters: facts.used_clusters,
                    free_clusters: facts.clusters - facts.used_clusters,
                    mft_records: facts.records,
                    mft_records_in_use: facts.records_in_use,
                    dirty: facts.dirty,
                    hibernated: is_hibernated(&reader),
                })),
                Err(error) => {
                    note("its NTFS system files are not readable", error);
                    None
                }
            };
            Ok((facts, Some(Contents::Ntfs(reader))))
        }
        name => Ok((Some(Volume::Other(OtherVolume { name: name.to_owned() })), None)),
    }
}

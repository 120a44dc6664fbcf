//! Reads FAT32 volumes from untrusted bytes.

mod check;

use std::collections::BTreeSet;

use zerocopy::FromBytes;

use super::format::*;
use crate::content::{Extent, ReadAt};
use crate::error::{Error, ErrorKind, Result};
pub use check::check;

/// Bytes of the FAT that are read at once.
const FAT_PIECE: u64 = 4096;
/// A path with more folders is treated as damage.
const MAX_DEPTH: usize = 64;

/// A FAT32 volume.
pub struct FatReader<'a> {
    volume: &'a dyn ReadAt,
    boot: BootSector,
    /// Offset of the first FAT, bytes.
    fat: u64,
    /// Offset of the first cluster, bytes.
    data: u64,
    cluster_size: u64,
    clusters: u32,
}

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FatEntry {
    /// Path from the root, with backslashes.
    pub path: String,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// `ATTRIBUTE_*` bits.
    pub attributes: u8,
    /// Length in bytes; 0 for directories.
    pub size: u32,
    /// Last write: date in the high half, time in the low half, in the form of [`DirectoryEntry`].
    pub modified: u32,
    cluster: u32,
}

impl<'a> FatReader<'a> {
    /// Reads the boot sector.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if it is damaged, [`ErrorKind::Unsupported`] for FAT12 and FAT16.
    pub fn open(volume: &'a dyn ReadAt) -> Result<Self> {
        let mut bytes = [0; size_of::<BootSector>()];
        read_into(volume, 0, &mut bytes)?;
        let boot = BootSector::read_from_bytes(&bytes).expect("the array has the struct's size");
        let sector = u64::from(boot.bytes_per_sector.get());
        let per_cluster = u64::from(boot.sectors_per_cluster);
        if boot.signature != BOOT_SIGNATURE || ![512, 1024, 2048, 4096].contains(&sector) {
            return Err(Error::corrupt("the volume has no FAT boot sector").at(0));
        }
        if boot.fat_sectors_16.get() != 0 || boot.root_entries.get() != 0 {
            return Err(Error::unsupported("FAT12 and FAT16 volumes are not handled"));
        }
        let (total, fat_sectors) = (u64::from(boot.total_sectors.get()), u64::from(boot.fat_sectors.get()));
        let reserved = u64::from(boot.reserved_sectors.get());
        let data = reserved + u64::from(boot.fats) * fat_sectors;
        let len = volume.len().map_err(|e| Error::corrupt("cannot read the volume's size").with_source(e))?;
        let sane = per_cluster.is_power_of_two() && boot.fats > 0 && reserved > 0 && data < total;
        if !sane || total * sector > len {
            return Err(Error::corrupt("the FAT boot sector does not fit the volume").at(0));
        }
        let clusters = (total - data) / per_cluster;
        if clusters > MAX_CLUSTERS.into() || (clusters + u64::from(FIRST_CLUSTER)) * 4 > fat_sectors * sector {
            return Err(Error::corrupt("the FAT is too short for the volume").at(36));
        }
        let (fat, data, cluster_size) = (reserved * sector, data * sector, per_cluster * sector);
        Ok(Self { volume, boot, fat, data, cluster_size, clusters: clusters as u32 })
    }

    /// Serial number of the volume.
    pub fn serial(&self) -> u32 {
        self.boot.serial.get()
    }

    /// Label in the boot sector, without padding; `NO NAME` if there is none.
    pub fn label(&self) -> String {
        String::from_utf8_lossy(&self.boot.label).trim_end().to_owned()
    }

    /// All files and directories. Each directory comes before its contents.
    pub fn entries(&self) -> Result<Vec<FatEntry>> {
        let mut entries = Vec::new();
        // No cluster belongs to two directories, so that all directories together are not larger than the volume.
        let mut seen = BTreeSet::new();
        let mut open = vec![(String::new(), self.boot.root_cluster.get(), 0)];
        while let Some((path, cluster, depth)) = open.pop() {
            let runs = self.chain(cluster, MAX_DIRECTORY as u64)?;
            for cluster in runs.iter().flat_map(|run| (run.start..run.end()).step_by(self.cluster_size as usize)) {
                if !seen.insert(cluster) || depth > MAX_DEPTH {
                    return Err(Error::corrupt(format!("the FAT folders form a cycle at `{path}`")).at(cluster));
                }
            }
            let bytes = self.read_runs(&runs, runs.iter().map(|run| run.len).sum())?;
            let first = entries.len();
            parse(&bytes, &path, &mut entries);
            let subdirectories = entries[first..].iter().filter(|entry| entry.is_directory);
            open.extend(subdirectories.map(|entry| (entry.path.clone(), entry.cluster, depth + 1)));
        }
        Ok(entries)
    }

    /// The content of a file.
    pub fn read(&self, entry: &FatEntry) -> Result<Vec<u8>> {
        if entry.is_directory || entry.size == 0 {
            return Ok(Vec::new());
        }
        let runs = self.chain(entry.cluster, entry.size.into()).map_err(|e| e.with_path(&entry.path))?;
        if runs.iter().map(|run| run.len).sum::<u64>() < entry.size.into() {
            let message = format!("the file has fewer clusters than its {} bytes need", entry.size);
            return Err(Error::corrupt(message).with_path(&entry.path));
        }
        self.read_runs(&runs, entry.size.into())
    }

    /// Positions of the clusters of a file or directory; empty for an empty file.
    pub fn extents(&self, entry: &FatEntry) -> Result<Vec<Extent>> {
        let enough = match entry.is_directory {
            true => MAX_DIRECTORY as u64,
            false if entry.size == 0 => return Ok(Vec::new()),
            false => entry.size.into(),
        };
        self.chain(entry.cluster, enough).map_err(|e| e.with_path(&entry.path))
    }

    /// Positions of the clusters of the root directory.
    pub fn root_extents(&self) -> Result<Vec<Extent>> {
        self.chain(self.boot.root_cluster.get(), MAX_DIRECTORY as u64)
    }

    /// Positions of boot sectors, FATs and clusters.
    pub fn regions(&self) -> Vec<(Extent, &'static str)> {
        let fat_size = u64::from(self.boot.fat_sectors.get()) * u64::from(self.boot.bytes_per_sector.get());
        let mut regions = vec![(Extent { start: 0, len: self.fat }, "boot sectors")];
        let fats = (0..u64::from(self.boot.fats)).map(|n| Extent { start: self.fat + n * fat_size, len: fat_size });
        regions.extend(fats.map(|fat| (fat, "FAT")));
        let clusters = u64::from(self.clusters) * self.cluster_size;
        regions.push((Extent { start: self.data, len: clusters }, "clusters"));
        regions
    }

    /// The clusters of a chain as runs of bytes of the volume, until there are at least `enough` bytes.
    fn chain(&self, first: u32, enough: u64) -> Result<Vec<Extent>> {
        let mut runs: Vec<Extent> = Vec::new();
        let (mut cluster, mut len, mut piece, mut piece_at) = (first, 0, Vec::new(), u64::MAX);
        loop {
            let index = cluster.checked_sub(FIRST_CLUSTER).filter(|&index| index < self.clusters);
            let Some(index) = index else {
                return Err(Error::corrupt(format!("cluster {cluster} is not on the FAT volume")));
            };
            let start = self.data + u64::from(index) * self.cluster_size;
            match runs.last_mut() {
                Some(run) if run.end() == start => run.len += self.cluster_size,
                _ => runs.push(Extent { start, len: self.cluster_size }),
            }
            // This also ends a chain that forms a cycle.
            len += self.cluster_size;
            let at = u64::from(cluster) * 4;
            if piece_at != at / FAT_PIECE {
                piece_at = at / FAT_PIECE;
                let end = u64::from(self.clusters + FIRST_CLUSTER) * 4;
                piece.resize((end - piece_at * FAT_PIECE).min(FAT_PIECE) as usize, 0);
                read_into(self.volume, self.fat + piece_at * FAT_PIECE, &mut piece)?;
            }
            let inside = (at % FAT_PIECE) as usize;
            let entry = u32::from_le_bytes(piece[inside..inside + 4].try_into().expect("4 bytes"));
            cluster = entry & ENTRY_MASK;
            if cluster >= END_OF_CHAIN || len >= enough {
                return Ok(runs);
            }
        }
    }

    fn read_runs(&self, runs: &[Extent], len: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len as usize];
        let mut rest = &mut bytes[..];
        for run in runs {
            let (piece, after) = rest.split_at_mut(rest.len().min(run.len as usize));
            read_into(self.volume, run.start, piece)?;
            rest = after;
        }
        Ok(bytes)
    }
}

/// Adds the entries in a directory's bytes to `entries`.
fn parse(bytes: &[u8], parent: &str, entries: &mut Vec<FatEntry>) {
    let mut long = LongName::default();
    for slot in bytes.chunks_exact(size_of::<DirectoryEntry>()) {
        let entry = DirectoryEntry::read_from_bytes(slot).expect("the chunk has the struct's size");
        match entry.name[0] {
            NAME_END => break,
            NAME_DELETED => {
                long = LongName::default();
                continue;
            }
            _ => {}
        }
        if entry.attributes & 0x3F == ATTRIBUTE_LONG_NAME {
            long.push(LongNameEntry::read_from_bytes(slot).expect("the chunk has the struct's size"));
            continue;
        }
        let long = std::mem::take(&mut long);
        if entry.attributes & ATTRIBUTE_LABEL != 0 || entry.name[0] == b'.' {
            continue;
        }
        let name = long.name(&entry.name).unwrap_or_else(|| short_name(&entry));
        let is_directory = entry.attributes & ATTRIBUTE_DIRECTORY != 0;
        entries.push(FatEntry {
            path: if parent.is_empty() { name } else { format!("{parent}\\{name}") },
            is_directory,
            attributes: entry.attributes,
            size: if is_directory { 0 } else { entry.size.get() },
            modified: u32::from(entry.modified_date.get()) << 16 | u32::from(entry.modified_time.get()),
            cluster: entry.cluster(),
        });
    }
}

/// Collects the parts of a long name, which come in reverse order.
#[derive(Default)]
struct LongName {
    parts: Vec<LongNameEntry>,
}

impl LongName {
    fn push(&mut self, part: LongNameEntry) {
        if part.order & LAST_LONG_ENTRY != 0 {
            self.parts.clear();
        }
        self.parts.push(part);
    }

    /// The name, if the parts are complete and belong to `short`.
    fn name(&self, short: &[u8; 11]) -> Option<String> {
        let (checksum, count) = (short_name_checksum(short), self.parts.len());
        let expected = (1..=count).rev();
        let complete = self.parts.iter().zip(expected).all(|(part, number)| {
            let last = if number == count { LAST_LONG_ENTRY } else { 0 };
            usize::from(part.order) == number | usize::from(last) && part.checksum == checksum
        });
        if count == 0 || !complete {
            return None;
        }
        let parts = self.parts.iter().rev();
        let units = parts.flat_map(|part| [&part.units1[..], &part.units2[..], &part.units3[..]].concat());
        let units: Vec<u16> = units.map(|unit| unit.get()).take_while(|&unit| unit != 0).collect();
        Some(String::from_utf16_lossy(&units))
    }
}

fn short_name(entry: &DirectoryEntry) -> String {
    let part = |bytes: &[u8], lower: bool| {
        let text: String = bytes.iter().map(|&byte| if byte.is_ascii() { byte as char } else { '\u{FFFD}' }).collect();
        let text = text.trim_end().to_owned();
        if lower { text.to_ascii_lowercase() } else { text }
    };
    let base = part(&entry.name[..8], entry.case & CASE_LOWER_BASE != 0);
    let extension = part(&entry.name[8..], entry.case & CASE_LOWER_EXTENSION != 0);
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

fn read_into(volume: &dyn ReadAt, offset: u64, bytes: &mut [u8]) -> Result<()> {
    volume.read_exact_at(bytes, offset).map_err(|error| {
        let kind = if error.kind() == std::io::ErrorKind::UnexpectedEof { ErrorKind::Corrupt } else { ErrorKind::Io };
        Error::new(kind, "cannot read the FAT volume").at(offset).with_source(error)
    })
}

//! Makes a FAT32 volume from files that are all known beforehand. Every file and directory is one run of clusters.

use std::collections::BTreeMap;

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromZeros, IntoBytes};

use super::format::*;
use super::name::{Names, folded};
use crate::error::{Error, Result};
use crate::types::{ByteSize, DiskOffset, FileTime, VolumeOffset};

const MIN_RESERVED_SECTORS: u32 = 32;
const FATS: u32 = 2;
/// The data area starts at a multiple of this, so that clusters do not straddle physical sectors.
const ALIGNMENT: u32 = 4096;
const SETTABLE_ATTRIBUTES: u8 = ATTRIBUTE_READ_ONLY | ATTRIBUTE_HIDDEN | ATTRIBUTE_SYSTEM | ATTRIBUTE_ARCHIVE;

/// What to format.
#[derive(Clone, Debug)]
pub struct FatOptions {
    /// Size of the partition.
    pub size: ByteSize,
    /// Logical sector size of the disk, bytes: 512 or 4096.
    pub sector_size: u32,
    /// Serial number of the volume.
    pub serial: u32,
    /// Label, at most 11 ASCII characters; empty if there is none.
    pub label: String,
    /// Where the partition starts on the disk.
    pub start: DiskOffset,
    /// Time of every entry, taken as local time.
    pub time: FileTime,
}

/// A file of the volume.
#[derive(Clone, Copy, Debug)]
pub struct FatFile<'a> {
    /// Path from the root, with backslashes: `EFI\Boot\bootx64.efi`. Missing directories are made.
    pub path: &'a str,
    /// Content.
    pub bytes: &'a [u8],
    /// [`ATTRIBUTE_READ_ONLY`], [`ATTRIBUTE_HIDDEN`], [`ATTRIBUTE_SYSTEM`], [`ATTRIBUTE_ARCHIVE`].
    pub attributes: u8,
}

/// The used parts of a FAT32 volume with `files`, in ascending order. The rest of the volume is zero.
///
/// # Errors
/// [`ErrorKind::TooSmall`](crate::ErrorKind::TooSmall) if the volume is too small for FAT32 or for the files;
/// [`ErrorKind::Recipe`](crate::ErrorKind::Recipe) for names and sizes that FAT cannot hold.
pub fn build(options: &FatOptions, files: &[FatFile<'_>]) -> Result<Vec<(VolumeOffset, Vec<u8>)>> {
    let geometry = Geometry::new(options)?;
    let label = label(&options.label)?;
    let mut directories = directories(files)?;

    // Directories first, then the files in the given order.
    let mut next = FIRST_CLUSTER;
    let mut chains = Vec::new();
    let mut allocate = |len: usize| {
        let count = len.div_ceil(geometry.cluster_size() as usize) as u64;
        if count == 0 {
            return Ok(0);
        }
        let first = next;
        let end = u64::from(next) + count;
        if end > u64::from(geometry.clusters + FIRST_CLUSTER) {
            return Err(geometry.full(files, options.size));
        }
        next = end as u32;
        chains.push(first..next);
        Ok(first)
    };
    for (index, directory) in directories.iter_mut().enumerate() {
        let slots = directory.slots + if index == 0 { usize::from(label.is_some()) } else { 2 };
        let len = slots * size_of::<DirectoryEntry>();
        if len > MAX_DIRECTORY {
            return Err(Error::recipe("a folder has too many files for FAT"));
        }
        directory.cluster = allocate(len)?;
        // The root has a cluster even if it is empty.
        if directory.cluster == 0 {
            directory.cluster = allocate(1)?;
        }
    }
    let file_clusters = files.iter().map(|file| allocate(file.bytes.len())).collect::<Result<Vec<_>>>()?;

    let free = geometry.clusters - (next - FIRST_CLUSTER);
    let next_free = if free == 0 { u32::MAX } else { next };
    let stamp = Stamp::new(options.time);
    let mut segments = geometry.reserved(options, label.unwrap_or(*b"NO NAME    "), free, next_free);
    let fat = fat(&chains, next);
    for number in 0..FATS {
        segments.push((geometry.fat_offset(number), fat.clone()));
    }
    for index in 0..directories.len() {
        let bytes = directory_bytes(&directories, index, files, &file_clusters, label, &stamp);
        segments.push((geometry.cluster_offset(directories[index].cluster), bytes));
    }
    for (file, cluster) in files.iter().zip(file_clusters).filter(|(_, cluster)| *cluster != 0) {
        segments.push((geometry.cluster_offset(cluster), file.bytes.to_vec()));
    }
    Ok(segments)
}

/// Positions of the areas of the volume.
struct Geometry {
    sector_size: u32,
    hidden_sectors: u32,
    sectors_per_cluster: u32,
    reserved_sectors: u32,
    fat_sectors: u32,
    total_sectors: u32,
    clusters: u32,
}

impl Geometry {
    /// Clusters of the size that Windows chooses, unless they must be smaller so that there are enough for FAT32.
    fn new(options: &FatOptions) -> Result<Self> {
        let sector_size = options.sector_size;
        if ![512, 4096].contains(&sector_size) {
            return Err(Error::recipe(format!("sectors of {sector_size} bytes are not 512 or 4096")));
        }
        let sectors = options.size.bytes() / u64::from(sector_size);
        let before = options.start.0 / u64::from(sector_size);
        let (Ok(total_sectors), Ok(hidden_sectors)) = (u32::try_from(sectors), u32::try_from(before)) else {
            let message = format!("FAT32 cannot hold a volume of {} at byte {:#x}", options.size, options.start.0);
            return Err(Error::recipe(message));
        };
        let preferred: u32 = match options.size.bytes() >> 20 {
            ..=64 => 512,
            65..=128 => 1 << 10,
            129..=256 => 2 << 10,
            257..=8192 => 4 << 10,
            8193..=16384 => 8 << 10,
            16385..=32768 => 16 << 10,
            _ => 32 << 10,
        };
        let mut sectors_per_cluster = (preferred / sector_size).max(1);
        loop {
            let geometry = Self::with(sector_size, hidden_sectors, total_sectors, sectors_per_cluster);
            match geometry {
                Some(geometry) if (MIN_CLUSTERS..=MAX_CLUSTERS).contains(&geometry.clusters) => return Ok(geometry),
                _ if sectors_per_cluster > 1 => sectors_per_cluster /= 2,
                _ => {
                    let needed = ByteSize::mib(if sector_size == 512 { 33 } else { 257 });
                    let message = format!("a volume of {} is too small for FAT32", options.size);
                    return Err(Error::too_small(message).with_hint(format!("give it {needed} or more")));
                }
            }
        }
    }

    fn with(sector_size: u32, hidden_sectors: u32, total_sectors: u32, sectors_per_cluster: u32) -> Option<Self> {
        let entries = total_sectors.checked_sub(MIN_RESERVED_SECTORS)? / sectors_per_cluster + FIRST_CLUSTER;
        // A few sectors more than the clusters need, because the FATs themselves take space.
        let fat_sectors = entries.div_ceil(sector_size / 4);
        let data = MIN_RESERVED_SECTORS + FATS * fat_sectors;
        let aligned = data.next_multiple_of(ALIGNMENT / sector_size);
        let clusters = total_sectors.checked_sub(aligned)? / sectors_per_cluster;
        let reserved_sectors = MIN_RESERVED_SECTORS + (aligned - data);
        Some(Self {
            sector_size,
            hidden_sectors,
            sectors_per_cluster,
            reserved_sectors,
            fat_sectors,
            total_sectors,
            clusters,
        })
    }

    fn cluster_size(&self) -> u32 {
        self.sector_size * self.sectors_per_cluster
    }

    fn fat_offset(&self, number: u32) -> VolumeOffset {
        let sector = self.reserved_sectors + number * self.fat_sectors;
        VolumeOffset(u64::from(sector) * u64::from(self.sector_size))
    }

    fn cluster_offset(&self, cluster: u32) -> VolumeOffset {
        let data = self.fat_offset(FATS).0;
        VolumeOffset(data + u64::from(cluster - FIRST_CLUSTER) * u64::from(self.cluster_size()))
    }

    fn full(&self, files: &[FatFile<'_>], size: ByteSize) -> Error {
        let needed = ByteSize::new(files.iter().map(|file| file.bytes.len() as u64).sum());
        let room = ByteSize::new(u64::from(self.clusters) * u64::from(self.cluster_size()));
        Error::too_small(format!(
            "files of {needed} do not fit into a FAT32 volume of {size}, which has room for {room}"
        ))
        .with_hint("give the EFI system partition more room")
    }

    /// The reserved sectors that are not zero: boot sector and FSInfo, and their copies.
    fn reserved(
        &self,
        options: &FatOptions,
        label: [u8; 11],
        free_clusters: u32,
        next_free: u32,
    ) -> Vec<(VolumeOffset, Vec<u8>)> {
        let boot = BootSector {
            jump: [0xEB, 0x58, 0x90],
            oem_name: *b"MSDOS5.0",
            bytes_per_sector: (self.sector_size as u16).into(),
            sectors_per_cluster: self.sectors_per_cluster as u8,
            reserved_sectors: (self.reserved_sectors as u16).into(),
            fats: FATS as u8,
            root_entries: U16::ZERO,
            total_sectors_16: U16::ZERO,
            media: MEDIA_FIXED,
            fat_sectors_16: U16::ZERO,
            sectors_per_track: 63.into(),
            heads: 255.into(),
            hidden_sectors: self.hidden_sectors.into(),
            total_sectors: self.total_sectors.into(),
            fat_sectors: self.fat_sectors.into(),
            extended_flags: U16::ZERO,
            version: U16::ZERO,
            root_cluster: FIRST_CLUSTER.into(),
            fs_info_sector: FS_INFO_SECTOR.into(),
            backup_boot_sector: BACKUP_BOOT_SECTOR.into(),
            reserved: [0; 12],
            drive_number: 0x80,
            reserved1: 0,
            extended_signature: EXTENDED_SIGNATURE,
            serial: options.serial.into(),
            label,
            type_name: *b"FAT32   ",
            boot_code: halt(),
            signature: BOOT_SIGNATURE,
        };
        let info = FsInfo {
            lead_signature: *b"RRaA",
            reserved1: [0; 480],
            signature: *b"rrAa",
            free_clusters: free_clusters.into(),
            next_free: next_free.into(),
            reserved2: [0; 14],
            boot_signature: BOOT_SIGNATURE,
        };
        let sectors = [(0, boot.as_bytes()), (u64::from(FS_INFO_SECTOR), info.as_bytes())];
        let copies = [0, u64::from(BACKUP_BOOT_SECTOR)].into_iter().flat_map(|base| {
            sectors.map(|(sector, bytes)| (VolumeOffset((base + sector) * u64::from(self.sector_size)), bytes.to_vec()))
        });
        copies.collect()
    }
}

/// Boot code that halts, for a BIOS that starts the volume.
fn halt() -> [u8; 420] {
    let mut code = [0; 420];
    // hlt; jmp back to it
    code[..3].copy_from_slice(&[0xF4, 0xEB, 0xFD]);
    code
}

fn label(label: &str) -> Result<Option<[u8; 11]>> {
    let mut padded = [b' '; 11];
    let legal = |c: u8| c.is_ascii_graphic() && !br#""*+,./:;<=>?[\]|"#.contains(&c) || c == b' ';
    let Some(place) = padded.get_mut(..label.len()).filter(|_| label.bytes().all(legal)) else {
        return Err(Error::recipe(format!("`{label}` cannot be the label of a FAT volume"))
            .with_hint("write at most 11 ASCII letters and digits"));
    };
    place.copy_from_slice(label.to_ascii_uppercase().as_bytes());
    Ok((!label.is_empty()).then_some(padded))
}

/// A directory that has no clusters yet.
#[derive(Default)]
struct Directory {
    parent: usize,
    cluster: u32,
    /// Number of directory entries for its children, including those of long names.
    slots: usize,
    names: Names,
    subdirectories: BTreeMap<Vec<u16>, usize>,
    children: Vec<Child>,
}

struct Child {
    long: Vec<LongNameEntry>,
    short: [u8; 11],
    target: Target,
}

/// What an entry stands for, by index.
#[derive(Clone, Copy)]
enum Target {
    Directory(usize),
    File(usize),
}

impl Directory {
    fn add(&mut self, name: &str, target: Target) -> Result<()> {
        let (long, short) = self.names.add(name)?;
        self.slots += long.len() + 1;
        self.children.push(Child { long, short, target });
        Ok(())
    }
}

/// The directories for `files`. The first is the root; parents come before their children.
fn directories(files: &[FatFile<'_>]) -> Result<Vec<Directory>> {
    let mut directories = vec![Directory::default()];
    for (index, file) in files.iter().enumerate() {
        let in_path = |error: Error| error.with_path(file.path);
        if u32::try_from(file.bytes.len()).is_err() {
            return Err(in_path(Error::recipe("a file on FAT must be smaller than 4 GiB")));
        }
        if file.attributes & !SETTABLE_ATTRIBUTES != 0 {
            return Err(in_path(Error::recipe(format!("FAT files cannot have the attributes {:#x}", file.attributes))));
        }
        let mut at = 0;
        let mut names = file.path.split('\\').peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                directories[at].add(name, Target::File(index)).map_err(in_path)?;
                break;
            }
            let key = folded(name);
            let existing = directories[at].subdirectories.get(&key).copied();
            at = match existing {
                Some(index) => index,
                None => {
                    let new = directories.len();
                    directories[at].add(name, Target::Directory(new)).map_err(in_path)?;
                    directories[at].subdirectories.insert(key, new);
                    directories.push(Directory { parent: at, ..Default::default() });
                    new
                }
            };
        }
    }
    Ok(directories)
}

fn directory_bytes(
    directories: &[Directory],
    index: usize,
    files: &[FatFile<'_>],
    file_clusters: &[u32],
    label: Option<[u8; 11]>,
    stamp: &Stamp,
) -> Vec<u8> {
    let directory = &directories[index];
    let mut bytes = Vec::new();
    let mut entry = |name: &[u8; 11], attributes: u8, cluster: u32, size: u32| {
        bytes.extend_from_slice(stamp.entry(name, attributes, cluster, size).as_bytes());
    };
    if index == 0 {
        if let Some(label) = label {
            entry(&label, ATTRIBUTE_LABEL, 0, 0);
        }
    } else {
        entry(b".          ", ATTRIBUTE_DIRECTORY, directory.cluster, 0);
        // Here the root is called cluster 0.
        let parent = if directory.parent == 0 { 0 } else { directories[directory.parent].cluster };
        entry(b"..         ", ATTRIBUTE_DIRECTORY, parent, 0);
    }
    for Child { long, short, target } in &directory.children {
        bytes.extend_from_slice(long.as_bytes());
        let entry = match *target {
            Target::Directory(child) => stamp.entry(short, ATTRIBUTE_DIRECTORY, directories[child].cluster, 0),
            Target::File(file) => {
                let FatFile { bytes, attributes, .. } = files[file];
                stamp.entry(short, attributes, file_clusters[file], bytes.len() as u32)
            }
        };
        bytes.extend_from_slice(entry.as_bytes());
    }
    bytes
}

/// The FAT up to its last used entry.
fn fat(chains: &[std::ops::Range<u32>], end: u32) -> Vec<u8> {
    let mut fat = vec![U32::ZERO; end as usize];
    // The media type, and the flags "cleanly unmounted" and "no disk errors", both set.
    fat[0] = (END_OF_CHAIN & !0xFF | u32::from(MEDIA_FIXED)).into();
    fat[1] = LAST.into();
    for chain in chains {
        for cluster in chain.clone() {
            fat[cluster as usize] = if cluster + 1 == chain.end { LAST } else { cluster + 1 }.into();
        }
    }
    fat.as_bytes().to_vec()
}

/// The time of all entries.
struct Stamp {
    date: u16,
    time: u16,
    hundredths: u8,
}

impl Stamp {
    /// Times before 1980 and after 2107 become the nearest time that FAT can hold.
    fn new(time: FileTime) -> Self {
        let (year, month, day, hour, minute, second) = match time.civil() {
            (..1980, ..) => (1980, 1, 1, 0, 0, 0),
            (2108.., ..) => (2107, 12, 31, 23, 59, 59),
            civil => civil,
        };
        let date = (year - 1980) as u16 * 512 + u16::from(month) * 32 + u16::from(day);
        let time = u16::from(hour) * 2048 + u16::from(minute) * 32 + u16::from(second / 2);
        Self { date, time, hundredths: second % 2 * 100 }
    }

    fn entry(&self, name: &[u8; 11], attributes: u8, cluster: u32, size: u32) -> DirectoryEntry {
        DirectoryEntry {
            name: *name,
            attributes,
            created_hundredths: self.hundredths,
            created_time: self.time.into(),
            created_date: self.date.into(),
            accessed_date: self.date.into(),
            cluster_high: ((cluster >> 16) as u16).into(),
            modified_time: self.time.into(),
            modified_date: self.date.into(),
            cluster_low: (cluster as u16).into(),
            size: size.into(),
            ..DirectoryEntry::new_zeroed()
        }
    }
}

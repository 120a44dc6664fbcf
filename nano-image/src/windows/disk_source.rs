//! A Windows on a disk image as a source: the files of its volume become a [`FileTree`] and a [`VolumeStore`]. Nothing
//! is written to the old image.
//!
//! Only complete volumes are accepted: a volume that is dirty, hibernated or encrypted, and contents that are elsewhere
//! (deduplicated, in a cloud) are refused by name.

mod facts;
mod pump;
mod store;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use store::VolumeStore;
pub use tree::{VolumeFiles, read_volume};

use super::contents::is_hibernated;
use super::edit::{HiveFile, ImageEdit};
use crate::content::{BlobStore, Extent, InputFiles, ReadAt, Window};
use crate::disk::{self, gpt, mbr};
use crate::error::{Error, Result};
use crate::progress::Observer;
use crate::source::wim::ImageInfo;
use crate::tree::{FileTree, NodeId};
use crate::types::Utf16Name;
use crate::volume::{ntfs::NtfsReader, signature};

/// The hive that every Windows has.
const SYSTEM_HIVE: &str = HiveFile::System.path();
/// The key of SYSTEM in which Windows stores the drive letters of volumes.
const MOUNTED_DEVICES: &str = "MountedDevices";
/// What a BIOS machine starts from at the root of the volume: files, and the folder of the store.
const BOOT_FILES: [&str; 3] = ["bootmgr", "BOOTNXT", "BOOTSECT.BAK"];
const BOOT_FOLDER: &str = "Boot";
/// The store in that folder. Without it the folder is not for booting.
const STORE: &str = r"Boot\BCD";

/// A Windows of a disk image.
pub struct DiskSource {
    /// The image, then the images that it builds on.
    files: Vec<PathBuf>,
    store: Arc<VolumeStore>,
    tree: FileTree,
    info: ImageInfo,
    digest: [u8; 32],
    warnings: Vec<String>,
}

/// A partition that has a volume.
struct Candidate {
    number: u32,
    volume: Arc<dyn ReadAt>,
    kind: &'static str,
}

impl DiskSource {
    /// Opens the disk image at `path` among the files of `from`, and reads the volume with Windows, or that of
    /// `partition`. All contents are read once, for their digests.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if no volume has Windows, [`Recipe`](crate::ErrorKind::Recipe) if
    /// several do, [`Unsupported`](crate::ErrorKind::Unsupported) for a volume that cannot be used,
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for damage.
    pub fn open(from: &InputFiles, path: &Path, partition: Option<u32>, observer: &dyn Observer) -> Result<Self> {
        Self::read(from, path, partition, observer).map_err(|error| match error.path() {
            // The error is about a file on the volume: the image is named, too.
            Some(inner) if inner != path => {
                let inner = inner.display().to_string();
                error.within(format_args!("`{inner}` of the disk {}", path.display()))
            }
            _ => error.with_path(path),
        })
    }

    fn read(from: &InputFiles, path: &Path, partition: Option<u32>, observer: &dyn Observer) -> Result<Self> {
        let (files, candidates) = candidates(from, path)?;
        let mut found = Vec::new();
        for candidate in &candidates {
            if candidate.kind != "NTFS" || partition.is_some_and(|number| number != candidate.number) {
                continue;
            }
            let reader = match NtfsReader::open(&*candidate.volume) {
                Ok(reader) => reader,
                Err(_) if partition.is_none() && candidates.len() > 1 => continue,
                Err(error) => return Err(error.within(format_args!("partition {}", candidate.number))),
            };
            if reader.find(SYSTEM_HIVE).is_ok_and(|file| file.is_some()) {
                found.push(candidate);
            }
        }
        let number = |candidate: &&Candidate| candidate.number.to_string();
        let chosen = match &found[..] {
            [only] => only,
            [] => return Err(no_windows(&candidates, partition)),
            several => {
                let numbers: Vec<String> = several.iter().map(number).collect();
                let message = format!("partitions {} have a Windows each", numbers.join(" and "));
                return Err(Error::recipe(message).with_hint("choose one with --image PARTITION"));
            }
        };
        let mut source = Self::of_volume(&chosen.volume, chosen.number, observer)
            .map_err(|error| error.within(format_args!("partition {}", chosen.number)))?;
        source.files = files;
        let others = candidates.iter().filter(|other| other.number != chosen.number && other.kind != "FAT32");
        let others: Vec<String> = others.map(|other| format!("{} ({})", other.number, other.kind)).collect();
        if !others.is_empty() {
            source.warnings.push(format!("of the disk only Windows is taken, not partition {}", others.join(", ")));
        }
        Ok(source)
    }

    fn of_volume(volume: &Arc<dyn ReadAt>, number: u32, observer: &dyn Observer) -> Result<Self> {
        let reader = NtfsReader::open(&**volume)?;
        refuse_unclean(&reader)?;
        let VolumeFiles { tree, store, mut warnings } = read_volume(volume)?;
        let mut store = store;
        store.digest(observer)?;
        let digest = store.tree_digest(&tree);
        let info = ImageInfo { index: number, ..facts::read(&reader, &tree, &mut warnings)? };
        let files = Vec::new();
        Ok(Self { files, store: Arc::new(store), tree, info, digest, warnings })
    }

    /// The image file.
    pub fn path(&self) -> &Path {
        self.files.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// The image file, then those of the images that it builds on.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Facts about Windows from the registry; the index is the number of the partition.
    pub fn info(&self) -> &ImageInfo {
        &self.info
    }

    /// The contents of all files.
    pub fn store(&self) -> Arc<dyn BlobStore> {
        self.store.clone()
    }

    /// SHA-256 of everything in the tree, including the digests of contents.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Names, attributes, descriptors and streams of all files, and what the user should know about them.
    pub fn take_tree(&mut self) -> (FileTree, Vec<String>) {
        let empty = FileTree::new(crate::tree::Node::directory(Default::default()));
        (std::mem::replace(&mut self.tree, empty), std::mem::take(&mut self.warnings))
    }

    /// Number of files that the overlay filter compresses.
    pub fn compact_files(&self) -> usize {
        self.store.compact_files()
    }
}

/// Removes from the image what belongs to its old disk, and returns what the user may want to know. Drive letters are
/// bound to identifiers of partitions, and Windows would give the new volume another letter. Boot files beside Windows
/// start the old disk; the new disk gets its own ones, elsewhere if its firmware is UEFI.
///
/// # Errors
/// Those of reading the hive.
pub fn forget_disk(edit: &mut ImageEdit<'_>) -> Result<String> {
    let mut gone = Vec::new();
    let is_folder = |name: &str| edit.tree.find(name).is_some_and(|node| edit.tree[node].is_directory());
    let has_store = edit.tree.find(STORE).is_some();
    for (name, is_there) in BOOT_FILES
        .map(|name| (name, edit.tree.find(name).is_some() && !is_folder(name)))
        .into_iter()
        .chain([(BOOT_FOLDER, has_store && is_folder(BOOT_FOLDER))])
    {
        let known = Utf16Name::from(name);
        let root = Some(NodeId::ROOT).filter(|_| is_there);
        if let Some(children) = root.and_then(|root| edit.tree[root].children.as_mut()) {
            children.retain(|name, _| !name.eq_ignore_case(&known));
            gone.push(format!(r"\{name}"));
        }
    }
    let has_letters =
        |hive: &crate::registry::Hive| hive.find(MOUNTED_DEVICES).is_some_and(|key| !hive.value_names(key).is_empty());
    if edit.hive(HiveFile::System)?.is_some_and(has_letters) {
        let hive = edit.edit(HiveFile::System)?;
        if let Some(key) = hive.find(MOUNTED_DEVICES) {
            for name in hive.value_names(key) {
                hive.delete_value(key, name)?;
            }
        }
    }
    let gone = if gone.is_empty() { String::new() } else { format!(" ({})", gone.join(", ")) };
    Ok(format!("boot files and boot settings of the disk are left out{gone}: new ones are made; see --boot-setting"))
}

/// The files of the disk image at `path`, and its partitions that have a volume of a known kind.
fn candidates(files: &InputFiles, path: &Path) -> Result<(Vec<PathBuf>, Vec<Candidate>)> {
    let disk = Arc::new(disk::open_in(files, path)?);
    let sector_size = disk.logical_sector_size();
    let whole = Extent { start: 0, len: disk.size().bytes() };
    let parts: Vec<(u32, Extent)> = if kind_of(&*disk, 0).is_some() {
        vec![(1, whole)]
    } else if let Some((table, numbers)) = gpt::read_numbered(&*disk, sector_size)? {
        let extents = table.partitions.iter().map(|part| Extent { start: part.start.0, len: part.len.bytes() });
        numbers.into_iter().zip(extents).collect()
    } else if let Some((table, numbers)) = mbr::read_numbered(&*disk, sector_size)? {
        let extents = table.partitions.iter().map(|part| Extent { start: part.start.0, len: part.len.bytes() });
        numbers.into_iter().zip(extents).collect()
    } else {
        return Err(Error::not_found("the disk has neither a partition table nor a known volume"));
    };
    let with_volume = parts.into_iter().filter_map(|(number, extent)| {
        let kind = kind_of(&*disk, extent.start)?;
        Some(Candidate { number, volume: Arc::new(Window::new(disk.clone(), extent)), kind })
    });
    let candidates = with_volume.collect();
    Ok((disk.files().to_vec(), candidates))
}

/// The file system whose boot sector is at byte `start` of the disk.
fn kind_of(disk: &dyn ReadAt, start: u64) -> Option<&'static str> {
    let mut sector = [0; 512];
    disk.read_exact_at(&mut sector, start).ok()?;
    signature(&sector)
}

fn no_windows(candidates: &[Candidate], partition: Option<u32>) -> Error {
    let list = |candidate: &Candidate| format!("{} ({})", candidate.number, candidate.kind);
    let list: Vec<String> = candidates.iter().map(list).collect();
    let volumes = if list.is_empty() { "no partition has a known volume".into() } else { list.join(", ") };
    let chosen = |candidate: &&Candidate| partition.is_none_or(|number| number == candidate.number);
    if let Some(locked) = candidates.iter().filter(chosen).find(|candidate| candidate.kind == "BitLocker") {
        let message = format!("partition {} is encrypted by BitLocker, which is not handled", locked.number);
        return Error::unsupported(message).with_hint("turn BitLocker off in that Windows (manage-bde -off C:)");
    }
    let what = match partition {
        Some(number) => format!("partition {number} has no Windows"),
        None => "no partition has a Windows".into(),
    };
    Error::not_found(format!("{what}: there is no `{SYSTEM_HIVE}`")).with_hint(format!("partitions: {volumes}"))
}

/// Refuses a volume whose files may not be what Windows last saw.
fn refuse_unclean(reader: &NtfsReader<'_>) -> Result<()> {
    if reader.volume()?.dirty {
        let hint = "start that Windows and shut it down, or run chkdsk, then take the disk";
        return Err(Error::unsupported("the volume is dirty: Windows did not close it").with_hint(hint));
    }
    if is_hibernated(reader) {
        let message = "Windows is hibernated (fast startup): part of the volume is in its memory image";
        return Err(Error::unsupported(message).with_hint("shut that Windows down with `shutdown /s /t 0`"));
    }
    Ok(())
}

impl std::fmt::Debug for DiskSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskSource").field("files", &self.files).field("info", &self.info).finish_non_exhaustive()
    }
}

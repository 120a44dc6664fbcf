//! Chooses and copies the files of the image that the system partition gets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{BootFile, BootOptions, Firmware};
use crate::content::{BlobId, BlobStore as _, Content};
use crate::error::{Error, Result};
use crate::tree::{FileTree, NodeId, Times, attribute};
use crate::types::{Utf16Name, upcase};
use crate::windows::edit::ImageEdit;
use crate::windows::program;

/// The most bytes of all boot files.
const MAX_TOTAL: u64 = 512 << 20;
/// The deepest folder with boot files.
const MAX_DEPTH: usize = 16;
/// Attributes that a copy keeps.
const KEPT: u32 = attribute::READONLY | attribute::HIDDEN | attribute::SYSTEM | attribute::ARCHIVE;

/// A file to copy.
struct Copy {
    path: String,
    content: Content,
    attributes: u32,
    times: Times,
}

/// Files of the system partition, by their paths in upper case.
#[derive(Clone)]
pub struct Collected {
    files: BTreeMap<Vec<u16>, BootFile>,
    directories: Vec<(String, u32)>,
    /// Languages of the boot manager.
    pub(super) locales: BTreeSet<String>,
}

/// Copies the boot files of the image.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) if the image has no boot manager.
pub fn collect(image: &ImageEdit<'_>, options: &BootOptions) -> Result<Collected> {
    let mut copies = Vec::new();
    let mut copy = |from: &str, to: &str| copy_folder(image.tree, from, to, &mut copies);
    match options.firmware {
        Firmware::Uefi => {
            copy(r"Windows\Boot\EFI", r"EFI\Microsoft\Boot")?;
            copy(r"Windows\Boot\Fonts", r"EFI\Microsoft\Boot\Fonts")?;
            copy(r"Windows\Boot\Resources", r"EFI\Microsoft\Boot\Resources")?;
        }
        Firmware::Bios => {
            copy(r"Windows\Boot\PCAT", "Boot")?;
            copy(r"Windows\Boot\Fonts", r"Boot\Fonts")?;
            copy(r"Windows\Boot\Resources", r"Boot\Resources")?;
        }
    }
    let mut collected = Collected::read(image, copies, options.jobs)?;
    match options.firmware {
        Firmware::Uefi => collected.finish_uefi()?,
        Firmware::Bios => collected.finish_bios()?,
    }
    Ok(collected)
}

fn copy_folder(tree: &FileTree, from: &str, to: &str, copies: &mut Vec<Copy>) -> Result<()> {
    let Some(folder) = tree.find(from) else { return Ok(()) };
    let mut pending: Vec<(NodeId, String, usize)> = vec![(folder, to.to_owned(), 0)];
    while let Some((folder, path, depth)) = pending.pop() {
        if depth > MAX_DEPTH {
            return Err(Error::corrupt(format!("folders lie more than {MAX_DEPTH} deep")).with_path(from));
        }
        for (name, entry) in tree[folder].children.iter().flatten() {
            let name = String::from_utf16(name.units()).map_err(|_| {
                Error::unsupported(format!("boot file `{name}`: its name is not UTF-16")).with_path(from)
            })?;
            let (node, path) = (&tree[entry.node], format!(r"{path}\{name}"));
            match &node.data {
                _ if node.is_directory() => pending.push((entry.node, path, depth + 1)),
                data => copies.push(Copy {
                    path,
                    content: data.clone().unwrap_or_else(Content::empty),
                    attributes: node.attributes & KEPT,
                    times: node.times,
                }),
            }
        }
    }
    Ok(())
}

impl Collected {
    /// Reads all blobs in one pass.
    fn read(image: &ImageEdit<'_>, copies: Vec<Copy>, jobs: usize) -> Result<Self> {
        let mut blobs: BTreeMap<BlobId, Vec<u8>> = BTreeMap::new();
        let mut total: u64 = 0;
        for copy in &copies {
            total = total.saturating_add(copy.content.len());
            if let Content::Blob { id, .. } = copy.content {
                blobs.entry(id).or_default();
            }
        }
        if total > MAX_TOTAL {
            let what = format!("boot files of {total} bytes; {MAX_TOTAL} at most are expected");
            return Err(Error::unsupported(what).with_path(r"Windows\Boot"));
        }
        let requests: Vec<BlobId> = blobs.keys().copied().collect();
        image.blobs.read_blobs(&requests, jobs, &mut |index, piece| {
            blobs.entry(requests[index]).or_default().extend_from_slice(piece);
            Ok(())
        })?;
        let blobs: BTreeMap<BlobId, Arc<[u8]>> = blobs.into_iter().map(|(id, bytes)| (id, bytes.into())).collect();
        let mut collected = Self { files: BTreeMap::new(), directories: Vec::new(), locales: BTreeSet::new() };
        for copy in copies {
            let bytes = match copy.content {
                Content::Bytes(bytes) => bytes,
                Content::Blob { id, .. } => blobs[&id].clone(),
            };
            collected.add(BootFile { path: copy.path, bytes, attributes: copy.attributes, times: copy.times });
        }
        Ok(collected)
    }

    /// Adds a file. It replaces an earlier one with the same path.
    fn add(&mut self, file: BootFile) {
        self.files.insert(folded(&file.path), file);
    }

    /// Whether there is a file at `path`.
    pub fn contains(&self, path: &str) -> bool {
        self.files.contains_key(&folded(path))
    }

    fn finish_uefi(&mut self) -> Result<()> {
        let manager = self.files.get(&folded(r"EFI\Microsoft\Boot\bootmgfw.efi")).ok_or_else(|| {
            Error::not_found("the image has no UEFI boot manager: it should be `Windows\\Boot\\EFI\\bootmgfw.efi`")
                .with_path(r"Windows\Boot\EFI\bootmgfw.efi")
                .with_hint("use an image that can boot (with its Guest, Host or OEM boot files), or BIOS firmware")
        })?;
        let name = removable_name(&manager.bytes).map_err(|e| e.with_path(r"Windows\Boot\EFI\bootmgfw.efi"))?;
        let copy = BootFile { path: format!(r"EFI\Boot\{name}"), ..manager.clone() };
        self.add(copy);
        self.find_locales(r"EFI\Microsoft\Boot", "bootmgfw.efi.mui");
        Ok(())
    }

    /// Moves `bootmgr` and `bootnxt` to the root, as hidden files.
    fn finish_bios(&mut self) -> Result<()> {
        let mut manager = self.files.remove(&folded(r"Boot\bootmgr")).ok_or_else(|| {
            Error::not_found("the image has no BIOS boot manager: it should be `Windows\\Boot\\PCAT\\bootmgr`")
                .with_path(r"Windows\Boot\PCAT\bootmgr")
                .with_hint("use UEFI firmware (generation 2 machines), or an image with BIOS boot files")
        })?;
        let hidden = attribute::HIDDEN | attribute::SYSTEM;
        manager.path = "bootmgr".into();
        manager.attributes = attribute::READONLY | hidden | attribute::ARCHIVE;
        self.add(manager);
        if let Some(mut next) = self.files.remove(&folded(r"Boot\bootnxt")) {
            next.path = "BOOTNXT".into();
            next.attributes = hidden | attribute::ARCHIVE;
            self.add(next);
        }
        self.directories.push(("Boot".into(), hidden));
        self.find_locales("Boot", "bootmgr.exe.mui");
        Ok(())
    }

    /// Finds the languages: the folders below `folder` that contain `mui`.
    fn find_locales(&mut self, folder: &str, mui: &str) {
        let locale = |path: &str| {
            let (directory, name) = path.rsplit_once('\\')?;
            let (parent, locale) = directory.rsplit_once('\\')?;
            (name.eq_ignore_ascii_case(mui) && parent == folder).then(|| locale.to_owned())
        };
        self.locales = self.files.values().filter_map(|file| locale(&file.path)).collect();
    }

    /// Adds the store and the boot status file.
    pub fn add_generated(&mut self, options: &BootOptions, store: Vec<u8>) {
        let folder = match options.firmware {
            Firmware::Uefi => r"EFI\Microsoft\Boot",
            Firmware::Bios => "Boot",
        };
        // Version 4, header of 24 bytes, log of 64 KiB.
        let mut status = vec![0; 65_536];
        status[..12].copy_from_slice(&[4, 0, 0, 0, 0x18, 0, 0, 0, 0, 0, 1, 0]);
        for (name, bytes) in [("BCD", store), ("BOOTSTAT.DAT", status)] {
            let (path, times) = (format!(r"{folder}\{name}"), Times::all(options.time));
            self.add(BootFile { path, bytes: bytes.into(), attributes: attribute::ARCHIVE, times });
        }
    }

    /// Files in order, and directories with their attributes.
    pub fn into_parts(self) -> (Vec<BootFile>, Vec<(String, u32)>) {
        (self.files.into_values().collect(), self.directories)
    }
}

fn folded(path: &str) -> Vec<u16> {
    Utf16Name::from(path).units().iter().map(|unit| upcase::fold(*unit)).collect()
}

/// Name of the loader that UEFI firmware starts from an unknown disk (UEFI 2.10 §3.5.1.1).
fn removable_name(bytes: &[u8]) -> Result<&'static str> {
    match program::machine(bytes) {
        Some(program::AMD64) => Ok("bootx64.efi"),
        Some(program::ARM64) => Ok("bootaa64.efi"),
        Some(program::I386) => Ok("bootia32.efi"),
        Some(program::ARM) => Ok("bootarm.efi"),
        Some(other) => Err(Error::unsupported(format!("boot manager for the unknown processor {other:#06x}"))),
        None => Err(Error::corrupt("boot manager is not a PE program")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_removable_name_follows_the_processor() {
        let program = |machine: u16| {
            let mut bytes = vec![0; 0x100];
            bytes[..2].copy_from_slice(b"MZ");
            bytes[0x3C] = 0x80;
            bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
            bytes[0x84..0x86].copy_from_slice(&machine.to_le_bytes());
            bytes
        };
        assert_eq!(removable_name(&program(0x8664)).unwrap(), "bootx64.efi");
        assert_eq!(removable_name(&program(0xAA64)).unwrap(), "bootaa64.efi");
        assert!(removable_name(&program(0x0200)).is_err());
        assert!(removable_name(b"MZ").is_err());
        let mut wild = program(0x8664);
        wild[0x3C..0x40].fill(0xFF);
        assert!(removable_name(&wild).is_err());
    }
}

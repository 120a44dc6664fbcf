//! The recovery environment (Windows RE) on its own partition.
//!
//! Sources: "UEFI/GPT-based hard drive partitions" and "Windows Recovery Environment (Windows RE)" on
//! learn.microsoft.com; files and stores of machines that Windows has set up.

use super::boot::recovery::{FOLDER, IMAGE, RAM_DISK};
use super::edit::{HiveFile, ImageEdit};
use crate::error::{Error, Result};
use crate::tree::{FileTree, Node, Times, attribute};
use crate::types::{DiskOffset, Guid, Utf16Name};

/// The folder of the environment in images, and the file that says where it is.
const HOME: &str = r"Windows\System32\Recovery";
const SETTINGS: &str = "ReAgent.xml";
const RAM_DISKS: [&str; 2] = [r"Windows\Boot\DVD\EFI\boot.sdi", r"Windows\Boot\DVD\PCAT\boot.sdi"];

/// Where the environment will be.
#[derive(Clone, Copy, Debug)]
pub struct RecoveryPartition {
    /// The disk.
    pub disk: Disk,
    /// First byte of the partition.
    pub start: DiskOffset,
    /// Identifier of the boot entry that starts it.
    pub entry: Guid,
}

/// Identity of a disk.
#[derive(Clone, Copy, Debug)]
pub enum Disk {
    /// By its GUID.
    Gpt(Guid),
    /// By its signature.
    Mbr(u32),
}

/// Takes the environment out of `image`: returns the files for its partition. The file that says where it is stays in
/// the image.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) if the image has no environment.
pub fn take(image: &mut ImageEdit<'_>, place: &RecoveryPartition) -> Result<FileTree> {
    let missing = |path: &str| {
        Error::not_found("the image has no recovery environment for a partition of its own")
            .with_path(path)
            .with_hint("leave --recovery-size out")
    };
    let content = |image: &ImageEdit<'_>, path: &str| {
        image.tree.find(path).and_then(|node| image.tree[node].data.clone()).filter(|data| !data.is_empty())
    };
    let home = format!(r"{HOME}\{IMAGE}");
    let winre = content(image, &home).ok_or_else(|| missing(&home))?;
    let ram_disk = RAM_DISKS.iter().find_map(|path| content(image, path)).ok_or_else(|| missing(RAM_DISKS[0]))?;
    let settings = settings(place, is_server(image)?);
    let times = Times::all(image.time);
    let mut tree = FileTree::new(Node::directory(times));
    let folder = FOLDER.trim_start_matches('\\');
    for (name, data) in [(IMAGE, winre), (RAM_DISK, ram_disk), (SETTINGS, settings.clone().into_bytes().into())] {
        tree.write_file(&format!(r"{folder}\{name}"), data, times)?;
    }
    for path in [folder.split('\\').next().unwrap_or(folder), folder] {
        if let Some(node) = tree.find(path) {
            tree[node].attributes |= attribute::HIDDEN | attribute::SYSTEM;
        }
    }
    image.write(&format!(r"{HOME}\{SETTINGS}"), settings.into_bytes())?;
    if let Some(children) = image.tree.find(HOME).and_then(|home| image.tree[home].children.as_mut()) {
        let name = Utf16Name::from(IMAGE);
        children.retain(|known, _| !known.eq_ignore_case(&name));
    }
    Ok(tree)
}

fn is_server(image: &mut ImageEdit<'_>) -> Result<bool> {
    let Some(hive) = image.hive(HiveFile::Software)? else { return Ok(false) };
    let key = hive.find(r"Microsoft\Windows NT\CurrentVersion");
    let kind = key.and_then(|key| hive.value(key, "InstallationType")?.text()).unwrap_or_default();
    Ok(!kind.eq_ignore_ascii_case("Client"))
}

/// The contents of the file that says where the environment is, as reagentc writes them when it is switched on.
fn settings(place: &RecoveryPartition, is_server: bool) -> String {
    let nobody = Guid::NIL;
    let (id, guid) = match place.disk {
        Disk::Gpt(guid) => (0, guid),
        Disk::Mbr(signature) => (signature, nobody),
    };
    let (entry, start) = (place.entry, place.start.0);
    let nowhere =
        |name: &str, more: &str| format!("<{name} path=\"\" id=\"0\" offset=\"0\" guid=\"{{{nobody}}}\"{more}/>");
    let state = |name: &str, state: u32| format!("<{name} state=\"{state}\"/>");
    let lines = [
        format!("<WinreBCD id=\"{{{entry}}}\"/>"),
        format!("<WinreLocation path=\"{FOLDER}\" id=\"{id}\" offset=\"{start}\" guid=\"{{{guid}}}\"/>"),
        nowhere("ImageLocation", ""),
        nowhere("PBRImageLocation", " index=\"0\""),
        nowhere("PBRCustomImageLocation", " index=\"0\""),
        state("InstallState", 1),
        state("OsInstallAvailable", 0),
        state("CustomImageAvailable", 0),
        state("IsAutoRepairOn", 1),
        state("WinREStaged", 0),
        "<OperationParam path=\"\"/>".into(),
        state("OperationPermanent", 0),
        "<OsBuildVersion path=\"\"/>".into(),
        state("OemTool", 0),
        state("IsServer", is_server.into()),
        nowhere("DownlevelWinreLocation", ""),
        state("IsWimBoot", 0),
        state("NarratorScheduled", 0),
        state("ScheduledOperation", 4),
    ];
    let lines: String = lines.iter().map(|line| format!("  {line}\r\n")).collect();
    format!(
        "\u{feff}<?xml version='1.0' encoding='utf-8'?>\r\n\r\n<WindowsRE version=\"2.0\">\r\n{lines}</WindowsRE>\r\n"
    )
}

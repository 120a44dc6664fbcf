//! Boot files and the BCD store, as bcdboot makes them.
//!
//! Everything comes from the image itself: `Windows\Boot` holds the boot manager with its languages, fonts and
//! resources, `Windows\System32\config\BCD-Template` the settings of the store. The loaders carry Microsoft's
//! signature, so they are copied byte for byte.
//!
//! Sources: BCDBoot command-line options and "Boot Configuration Data" on learn.microsoft.com; what stores and
//! templates made by Windows hold.

pub mod bcd;
mod device;
mod files;
mod settings;
mod template;
#[cfg(test)]
pub(super) mod tests;

use std::sync::Arc;

pub use device::BootDevice;
pub use settings::{BootSettings, DebugTransport, Ems, edit_template};

use crate::content::Content;
use crate::error::Result;
use crate::identity::Seed;
use crate::tree::{FileTree, Times};
use crate::types::{DiskOffset, FileTime, Guid};
use crate::windows::edit::ImageEdit;

/// Which firmware starts the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// UEFI: files for a FAT32 system partition.
    Uefi,
    /// BIOS: files for the root of the active NTFS partition.
    Bios,
}

/// How the store names partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BcdDevice {
    /// By identity: exact, also beside other disks with Windows.
    Partition(PartitionIds),
    /// "The volume that has the file": survives a change of disk identities, takes the first of several.
    Locate,
}

/// Identities of the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionIds {
    /// Unique GUIDs of a GPT disk and its partitions.
    Gpt {
        /// Disk GUID.
        disk: Guid,
        /// Partition of the boot manager.
        system: Guid,
        /// Partition of Windows.
        windows: Guid,
    },
    /// Signature of an MBR disk and where its partitions begin.
    Mbr {
        /// Disk signature (MBR offset 440).
        signature: u32,
        /// Start of the partition of the boot manager.
        system: DiskOffset,
        /// Start of the partition of Windows.
        windows: DiskOffset,
    },
}

/// What to boot, and how.
#[derive(Clone, Debug)]
pub struct BootOptions {
    /// Which files and which store.
    pub firmware: Firmware,
    /// How the store names partitions.
    pub device: BcdDevice,
    /// Language of the boot manager, e.g. `de-DE`; `None` takes the image's.
    pub locale: Option<String>,
    /// Name in the boot menu; `None` takes the product name of the image.
    pub description: Option<String>,
    /// Changes to the boot settings.
    pub settings: BootSettings,
    /// Source of the identifiers of the store's entries.
    pub seed: Seed,
    /// Time of the store and of generated files.
    pub time: FileTime,
    /// Threads that decompress.
    pub jobs: usize,
}

/// A file of the system partition.
#[derive(Clone, Debug)]
pub struct BootFile {
    /// Path from the root of the partition, separated by `\`.
    pub path: String,
    /// Contents.
    pub bytes: Arc<[u8]>,
    /// [`attribute`](crate::tree::attribute) bits: read-only, hidden, system, archive.
    pub attributes: u32,
    /// Times.
    pub times: Times,
}

/// The contents of the system partition.
#[derive(Clone, Debug)]
pub struct BootPlan {
    /// Files, sorted by path in upper case, without duplicates.
    pub files: Vec<BootFile>,
    /// Directories that are more than plain: path and [`attribute`](crate::tree::attribute) bits.
    pub directories: Vec<(String, u32)>,
    /// Identifier of the entry that starts Windows.
    pub loader: Guid,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Collects the boot files of `image`, and makes the store.
///
/// # Errors
/// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when the image has no boot manager,
/// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) when its BCD template or boot manager is damaged.
pub fn plan(image: &mut ImageEdit<'_>, options: &BootOptions) -> Result<BootPlan> {
    let mut warnings = Vec::new();
    let mut collected = files::collect(image, options)?;
    let (store, loader) = template::store(image, &collected, options, &mut warnings)?;
    let bytes = store.to_bytes(options.firmware, options.time)?;
    collected.add_generated(options, bytes);
    let (files, directories) = collected.into_parts();
    Ok(BootPlan { files, directories, loader, warnings })
}

impl BootPlan {
    /// Puts the files into the tree of the volume that is both system partition and Windows, as a BIOS needs them.
    ///
    /// # Errors
    /// [`ErrorKind::Recipe`](crate::ErrorKind::Recipe) when a directory of the image is in the way.
    pub fn add_to(&self, tree: &mut FileTree) -> Result<()> {
        for file in &self.files {
            let node = tree.write_file(&file.path, Content::Bytes(file.bytes.clone()), file.times)?;
            tree[node].attributes = file.attributes;
            tree[node].times = file.times;
        }
        for (path, attributes) in &self.directories {
            if let Some(node) = tree.find(path) {
                tree[node].attributes |= attributes;
            }
        }
        Ok(())
    }
}

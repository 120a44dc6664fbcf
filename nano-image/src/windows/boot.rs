//! Boot files and the BCD store, as bcdboot makes them.
//!
//! Everything comes from the image itself. `Windows\Boot` holds the boot manager with its languages, fonts and
//! resources; `Windows\System32\config\BCD-Template` holds the settings of the store. The loaders carry Microsoft's
//! signature, so they are copied byte for byte.
//!
//! Sources: BCDBoot command-line options and "Boot Configuration Data" on learn.microsoft.com; contents of stores and
//! templates that Windows made.

pub mod bcd;
mod device;
mod elements;
mod files;
pub mod names;
mod options;
pub mod recovery;
mod setting;
mod settings;
mod target;
mod template;
#[cfg(test)]
pub(super) mod tests;

pub use device::BootDevice;
pub use files::{Collected, collect};
pub use options::{BootFile, BootOptions};
pub use setting::BootSetting;
pub use settings::{BootSettings, DebugTransport, Ems, edit_template};
pub use target::{BcdDevice, Firmware, PartitionIds};

use crate::content::Content;
use crate::error::Result;
use crate::tree::FileTree;
use crate::types::Guid;
use crate::windows::edit::ImageEdit;

/// The contents of the system partition.
#[derive(Clone, Debug)]
pub struct BootPlan {
    /// Files, sorted by path in upper case, without duplicates.
    pub files: Vec<BootFile>,
    /// Directories with attributes: path and [`attribute`](crate::tree::attribute) bits.
    pub directories: Vec<(String, u32)>,
    /// Identifier of the entry that starts Windows.
    #[cfg_attr(not(any(test, feature = "internals")), expect(dead_code, reason = "tests look for the entry"))]
    pub loader: Guid,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Collects the boot files of `image`, and creates the store.
///
/// # Errors
/// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if the image has no boot manager;
/// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if its BCD template or boot manager is damaged.
pub fn plan(image: &mut ImageEdit<'_>, options: &BootOptions) -> Result<BootPlan> {
    let collected = collect(image, options)?;
    plan_with(collected, image, options)
}

/// Like [`plan`], with boot files that were [collected](collect) from the image before.
///
/// # Errors
/// As `plan`.
pub fn plan_with(mut collected: Collected, image: &mut ImageEdit<'_>, options: &BootOptions) -> Result<BootPlan> {
    let mut warnings = Vec::new();
    let (store, loader) = template::store(image, &collected, options, &mut warnings)?;
    let bytes = store.to_bytes(options.firmware, options.time)?;
    let on = store.objects.get(&loader).map(bcd::BcdObject::against_secure_boot).unwrap_or_default();
    if options.firmware == Firmware::Uefi && !on.is_empty() {
        let on = on.join(", ");
        warnings
            .push(format!("the boot settings have {on}: the machine must have Secure Boot off, or they do nothing"));
    }
    collected.add_generated(options, bytes);
    let (files, directories) = collected.into_parts();
    Ok(BootPlan { files, directories, loader, warnings })
}

impl BootPlan {
    /// Adds the files to the tree of a volume that is both system partition and Windows volume, as BIOS machines use
    /// it.
    ///
    /// # Errors
    /// [`ErrorKind::Recipe`](crate::ErrorKind::Recipe) if a directory of the image is in the way.
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

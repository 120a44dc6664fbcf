//! Options of a boot plan, and the files that it makes.

use std::sync::Arc;

use super::BootDevice;
use super::settings::BootSettings;
use super::target::{BcdDevice, Firmware};
use crate::identity::Seed;
use crate::tree::Times;
use crate::types::FileTime;

/// What to boot, and how.
#[derive(Clone, Debug)]
pub struct BootOptions {
    /// Decides which files are copied and which store is made.
    pub firmware: Firmware,
    /// How the store identifies partitions.
    pub device: BcdDevice,
    /// The partition of the recovery environment, if it has one.
    pub recovery: Option<BootDevice>,
    /// Language of the boot manager, e.g. `de-DE`; with `None` that of the image.
    pub locale: Option<String>,
    /// Name in the boot menu; with `None` the product name of the image.
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

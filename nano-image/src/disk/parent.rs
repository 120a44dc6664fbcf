//! The parent of a differencing disk, which holds only what differs from it.

use crate::identity::Identity;
use crate::types::FileTime;

/// Bytes of a differencing disk's grain, which is in the file completely or not at all. Hosts with sectors of 4 KiB
/// need whole sectors, and some readers of VHD misread other grains.
pub(super) const GRAIN: u64 = 4096;

/// The parent of a differencing disk: an image of ours, laid out with these identifiers and this time.
#[derive(Clone, Copy, Debug)]
pub struct Parent<'a> {
    /// Its path relative to the folder of the child, with `/` as the separator.
    pub path: &'a str,
    /// Name of its format.
    pub format: &'a str,
    /// The source of its identifiers.
    pub identity: &'a Identity,
    /// Its time stamp.
    pub time: FileTime,
}

impl Parent<'_> {
    /// Its path in the form of a relative Windows path: `.\golden.vhdx`.
    pub(super) fn windows_path(&self) -> String {
        let path = self.path.replace('/', "\\");
        if path.starts_with("..\\") || path.starts_with(".\\") { path } else { format!(".\\{path}") }
    }
}

//! The image that a differencing disk leaves as it is, and of which it holds what differs.

use crate::identity::Identity;
use crate::types::FileTime;

/// Bytes of a differencing disk's grain: all of it is in the file or none. Hosts with sectors of 4 KiB need whole ones,
/// and readers of VHD take other grains wrong.
pub(super) const GRAIN: u64 = 4096;

/// The parent of a differencing disk: an image of ours, laid out with these identifiers and this time.
#[derive(Clone, Copy, Debug)]
pub struct Parent<'a> {
    /// Where it is, as seen from the folder of the child, with `/` between the parts.
    pub path: &'a str,
    /// Name of its format.
    pub format: &'a str,
    /// What its identifiers come from.
    pub identity: &'a Identity,
    /// Its time stamp.
    pub time: FileTime,
}

impl Parent<'_> {
    /// Its path as Windows writes relative paths: `.\golden.vhdx`.
    pub(super) fn windows_path(&self) -> String {
        let path = self.path.replace('/', "\\");
        if path.starts_with("..\\") || path.starts_with(".\\") { path } else { format!(".\\{path}") }
    }
}

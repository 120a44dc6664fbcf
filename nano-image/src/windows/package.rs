//! Packages: what Windows adds to an image with `dism /add-package`, done offline.

pub mod apply;
pub mod cabinet;
pub mod identity;
pub mod installed;
mod macros;
pub mod manifest;
pub mod mum;
pub mod name;
pub mod payload;
pub mod resolve;
mod sddl;
#[cfg(test)]
mod testing;
mod xml;

use std::path::Path;

use crate::types::FileTime;

/// How packages are installed.
#[derive(Clone, Copy, Debug)]
pub struct InstallOptions<'a> {
    /// Architecture of the image, e.g. `amd64`.
    pub architecture: &'a str,
    /// Time of everything that is written.
    pub time: FileTime,
    /// Folder for files that do not fit into memory.
    pub scratch: Option<&'a Path>,
    /// Whether it is an error if something that a package asks for is not done.
    pub strict: bool,
}

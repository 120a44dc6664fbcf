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
pub mod record;
pub mod resolve;
mod sddl;
#[cfg(test)]
mod testing;
mod xml;

use std::path::Path;

use crate::types::FileTime;

pub use cabinet::CabinetSource;

/// Packages to install.
#[derive(Clone, Debug, Default)]
pub struct Install {
    /// Cabinets of packages and of their languages, in any order.
    pub cabinets: Vec<CabinetSource>,
    /// Updates, which come last.
    pub servicing: Vec<CabinetSource>,
    /// Names of features to turn on.
    pub features: Vec<String>,
}

/// How packages are installed.
#[derive(Clone, Copy, Debug)]
pub struct InstallOptions<'a> {
    /// The image's processor architecture, as component names have it: `amd64`.
    pub architecture: &'a str,
    /// Time of everything that is changed.
    pub time: FileTime,
    /// Folder for what does not fit into memory.
    pub scratch: Option<&'a Path>,
    /// Whether it is an error if something that a package asks for cannot be done.
    pub strict: bool,
}

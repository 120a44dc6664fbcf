//! What is installed, and how.

use std::path::Path;

use super::cabinet::CabinetSource;

/// Bytes of packages that stay in memory.
pub(super) const MEMORY: u64 = 64 << 20;

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
    /// Folder for what does not fit into memory.
    pub scratch: Option<&'a Path>,
    /// Whether it is an error if something that a package asks for is not done, or cannot be noted.
    pub strict: bool,
}

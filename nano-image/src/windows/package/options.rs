//! What is installed, and how.

use std::path::Path;

use super::cabinet::CabinetSource;
use crate::content::InputFiles;
use crate::types::Architecture;

/// Bytes of packages that stay in memory.
pub(super) const MEMORY: u64 = 64 << 20;

/// Packages to install.
#[derive(Clone, Debug, Default)]
pub struct Install {
    /// Cabinets of packages and of their languages, in any order.
    pub cabinets: Vec<CabinetSource>,
    /// Updates, which come last.
    pub servicing: Vec<CabinetSource>,
    /// Names of features to turn on, in these or in the image.
    pub features: Vec<String>,
    /// Names of features to leave off that would come with others.
    pub off: Vec<String>,
    /// Cabinets in which features, and files that the image lacks for them, are looked for.
    pub sources: Vec<CabinetSource>,
    /// Where what lies beside them is found.
    pub files: InputFiles,
}

/// How packages are installed.
#[derive(Clone, Copy, Debug)]
pub struct InstallOptions<'a> {
    /// The image's processor architecture.
    pub architecture: Architecture,
    /// Folder for what does not fit into memory.
    pub scratch: Option<&'a Path>,
    /// Whether it is an error if something that a package asks for is not done, or cannot be noted.
    pub strict: bool,
}

//! What is installed, and how.

use std::path::Path;

use super::cabinet::CabinetSource;
use crate::content::InputFiles;
use crate::types::Architecture;

/// Bytes of packages' files that are kept in memory.
pub(super) const MEMORY: u64 = 64 << 20;

/// Packages to install.
#[derive(Clone, Debug, Default)]
pub struct Install {
    /// Cabinets of packages and of their languages, in any order.
    pub cabinets: Vec<CabinetSource>,
    /// Updates, which are installed last.
    pub servicing: Vec<CabinetSource>,
    /// Names of features to turn on, from these or from the image.
    pub features: Vec<String>,
    /// Names of features to keep off that others would turn on.
    pub off: Vec<String>,
    /// Cabinets that are searched for features, and for files of features that the image does not have.
    pub sources: Vec<CabinetSource>,
    /// Where files beside the cabinets are found.
    pub files: InputFiles,
}

/// How packages are installed.
#[derive(Clone, Copy, Debug)]
pub struct InstallOptions<'a> {
    /// The image's processor architecture.
    pub architecture: Architecture,
    /// Folder for what does not fit into memory.
    pub scratch: Option<&'a Path>,
    /// Whether it is an error if something that a package asks for is not done or cannot be recorded.
    pub strict: bool,
}

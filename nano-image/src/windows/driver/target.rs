//! The Windows that gets a driver, and the names of sections that are for it.
//!
//! Source: "Combining Platform Extensions with Operating System Versions" on learn.microsoft.com.

use std::fmt;

use super::inf::number;
use crate::error::{Error, Result};
use crate::types::Architecture;

/// Product types.
const VER_NT_WORKSTATION: u32 = 1;
const VER_NT_SERVER: u32 = 3;
/// Version of Windows if the image does not state it: Windows Server 2016.
const DEFAULT_VERSION: (u32, u32, u32) = (10, 0, 14393);

/// Architecture and version of Windows.
#[derive(Clone, Debug)]
pub(super) struct Target {
    architecture: Architecture,
    /// `PROCESSOR_ARCHITECTURE_*`.
    pub number: u16,
    /// Major, minor, build.
    version: (u32, u32, u32),
    /// Whether it is not a server.
    is_client: bool,
}

impl Target {
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for an unknown architecture.
    pub fn new(architecture: Architecture, version: Option<(u32, u32, u32)>) -> Result<Self> {
        let number = match architecture {
            Architecture::X86 => 0,
            Architecture::Arm => 5,
            Architecture::Amd64 => 9,
            Architecture::Arm64 => 12,
            _ => return Err(Error::unsupported(format!("drivers for {architecture} are not known"))),
        };
        Ok(Self { architecture, number, version: version.unwrap_or(DEFAULT_VERSION), is_client: false })
    }

    /// The same target, which is not a server if `is_client`.
    pub fn client(self, is_client: bool) -> Self {
        Self { is_client, ..self }
    }

    /// Whether it is not a server.
    pub fn is_client(&self) -> bool {
        self.is_client
    }

    /// Number of its build.
    pub fn build(&self) -> u32 {
        self.version.2
    }

    /// Its architecture. Its text is the one in names of driver packages, e.g. `amd64`.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Suffixes of section names for this target, most specific first.
    pub fn platforms(&self) -> [String; 3] {
        [format!(".NT{}", self.architecture), ".NT".into(), String::new()]
    }

    /// Whether a Models section without a platform is for this target.
    pub fn takes_undecorated(&self) -> bool {
        self.architecture == Architecture::X86
    }

    /// How closely a platform of the Manufacturer section (`NTamd64.10.0...14393`) fits; `None` if it does not fit.
    pub fn rank(&self, platform: &str) -> Option<Rank> {
        let mut parts = platform.split('.').map(str::trim);
        let name = parts.next()?.to_ascii_lowercase();
        let architecture = name.strip_prefix("nt")?;
        let names_architecture = Architecture::named(architecture) == Some(self.architecture);
        if !(names_architecture || architecture.is_empty() && self.takes_undecorated()) {
            return None;
        }
        let mut next = || match parts.next() {
            None | Some("") => Some(None),
            Some(text) => number(text).map(Some),
        };
        let (major, minor, product, suite, build) = (next()?, next()?, next()?, next()?, next()?);
        // The suites of a server are not known before it runs.
        let own = if self.is_client { VER_NT_WORKSTATION } else { VER_NT_SERVER };
        if product.is_some_and(|product| product != own) || suite.is_some() {
            return None;
        }
        let wanted = (major.unwrap_or(0), minor.unwrap_or(0), build.unwrap_or(0));
        (wanted <= self.version).then_some((wanted, product.is_some(), names_architecture))
    }
}

/// Version, whether the product type is named, and whether the processor is named; the greatest is the closest.
type Rank = ((u32, u32, u32), bool, bool);

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, build) = self.version;
        write!(f, "Windows {major}.{minor}.{build} on {}", self.architecture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_platform_wins() {
        let target = Target::new(Architecture::Amd64, Some((10, 0, 14393))).unwrap();
        let order = ["NTamd64", "ntAMD64.6.3", "NTamd64.10.0", "NTamd64.10.0.3", "NTamd64.10.0...14393"];
        let ranks: Vec<Rank> = order.iter().map(|platform| target.rank(platform).unwrap()).collect();
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        for other in
            ["NTx86", "NT", "amd64", "NTamd64.10.0.1", "NTamd64.10.0...14394", "NTamd64.11", "NTamd64.x", "NTarm64"]
        {
            assert_eq!(target.rank(other), None, "{other}");
        }
        assert!(Target::new(Architecture::Other(1), None).is_err());
    }
}

//! Names of Nano Server's packages, from the first preview to the release, and the words that New-NanoServerImage uses
//! for them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::files::same;

/// Edition of Windows Server.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// let recipe = nano_image::Recipe::only_image().edition(nano_image::Edition::Standard).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Edition {
    /// Standard.
    Standard,
    /// Datacenter.
    Datacenter,
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standard => "Standard",
            Self::Datacenter => "Datacenter",
        })
    }
}

/// What the image will run on.
///
/// ```
/// assert_eq!(nano_image::Deployment::Guest.package(), "Microsoft-NanoServer-Guest-Package");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Deployment {
    /// A virtual machine: its drivers are in the Guest package.
    Guest,
    /// A physical machine.
    Host,
}

impl Deployment {
    /// Name of its package.
    pub fn package(self) -> &'static str {
        match self {
            Self::Guest => "Microsoft-NanoServer-Guest-Package",
            Self::Host => "Microsoft-NanoServer-Host-Package",
        }
    }
}

/// A package for which New-NanoServerImage has a switch.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// let recipe = nano_image::Recipe::image("1").role(nano_image::Role::Storage).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Role {
    /// File server.
    Storage,
    /// Hyper-V.
    Compute,
    /// Windows Defender.
    Defender,
    /// Failover clusters.
    Clustering,
    /// Drivers of the network and storage adapters that Server Core has.
    OemDrivers,
    /// Windows containers.
    Containers,
}

impl Role {
    /// Name of its package.
    pub fn package(self) -> &'static str {
        match self {
            Self::Storage => "Microsoft-NanoServer-Storage-Package",
            Self::Compute => "Microsoft-NanoServer-Compute-Package",
            Self::Defender => "Microsoft-NanoServer-Defender-Package",
            Self::Clustering => "Microsoft-NanoServer-FailoverCluster-Package",
            Self::OemDrivers => "Microsoft-NanoServer-OEM-Drivers-Package",
            Self::Containers => "Microsoft-NanoServer-Containers-Package",
        }
    }
}

/// The first build (Technical Preview 5) with a Host package, and whose image contains the reverse forwarders.
const TP5_BUILD: u32 = 14300;

/// Prefix and suffix of package names.
const PREFIX: &str = "Microsoft-NanoServer-";
const SUFFIX: &str = "-Package";

/// Packages that were renamed after Technical Preview 4.
const RENAMED: [(&str, &str); 2] = [
    ("Microsoft-Windows-Server-SCVMM-Package", "Microsoft-NanoServer-SCVMM-Package"),
    ("Microsoft-Windows-Server-SCVMM-Compute-Package", "Microsoft-NanoServer-SCVMM-Compute-Package"),
];

/// The release with this build of Windows, if its media had Nano Server.
///
/// ```
/// assert_eq!(nano_image::release(14393), Some("Windows Server 2016"));
/// ```
pub fn release(build: u32) -> Option<&'static str> {
    Some(match build {
        10074 => "Technical Preview 2",
        10514 => "Technical Preview 3",
        10586 => "Technical Preview 4",
        14300 => "Technical Preview 5",
        14393 => "Windows Server 2016",
        _ => return None,
    })
}

/// The names that `wanted` can stand for, most likely first: the name itself, and its name in other releases. `IIS` is
/// short for `Microsoft-NanoServer-IIS-Package`. Of an identity (`Name~token~amd64~~10.0.14393.0`) the first part
/// counts.
pub(super) fn meanings(wanted: &str) -> Vec<String> {
    let wanted = wanted.trim();
    let wanted = wanted.split('~').next().unwrap_or(wanted);
    let long = format!("{PREFIX}{wanted}{SUFFIX}");
    let mut names = vec![wanted.to_owned(), long];
    for (old, new) in RENAMED {
        for (one, other) in [(old, new), (new, old)] {
            if names.iter().any(|name| same(name, one)) {
                names.push(other.to_owned());
            }
        }
    }
    names
}

/// The part of `name` that distinguishes it from other packages.
pub(super) fn short(name: &str) -> &str {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    name.strip_suffix(SUFFIX).unwrap_or(name)
}

/// Why media of this build have no package `name`, although an image of it has the same contents built in.
pub(super) fn needs_no_package(name: &str, build: u32) -> Option<&'static str> {
    if build < TP5_BUILD && same(name, Deployment::Host.package()) {
        return Some("media before Technical Preview 5 have no such package");
    }
    if build >= TP5_BUILD && same(name, "Microsoft-OneCore-ReverseForwarders-Package") {
        return Some("images from Technical Preview 5 on have it built in");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_releases_are_understood() {
        assert!(meanings("iis").contains(&"Microsoft-NanoServer-iis-Package".into()));
        for name in ["SCVMM", "Microsoft-NanoServer-SCVMM-Package"] {
            assert!(meanings(name).contains(&"Microsoft-Windows-Server-SCVMM-Package".into()), "{name}");
        }
        assert!(meanings("microsoft-windows-server-scvmm-compute-package").len() > 2);
        assert!(needs_no_package(Deployment::Host.package(), 10586).is_some());
        assert!(needs_no_package(Deployment::Host.package(), 14393).is_none());
        assert!(needs_no_package("Microsoft-OneCore-ReverseForwarders-Package", 14300).is_some());
        assert_eq!(short("Microsoft-NanoServer-IIS-Package"), "IIS");
        assert_eq!(meanings("A-Package~31bf3856ad364e35~amd64~~10.0.14393.0")[0], "A-Package");
    }
}

//! What was built, and what a check found wrong.

mod finding;

use serde::{Deserialize, Serialize};

pub use finding::{Finding, Findings};

/// Raised when the same recipe and sources give other bytes than in the version before.
pub const LAYOUT_VERSION: u32 = 5;

/// What a build made. It depends only on the recipe and the sources.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{Format, Recipe, Sources};
///
/// let plan = Recipe::image("1").build()?.plan(&Sources::wim("nano.wim"), &())?;
/// let report = plan.layout(&())?.write_file("nano.vhdx", Format::VHDX, &())?;
/// println!("{}", serde_json::to_string(&report).expect("a report is JSON"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Report {
    /// [`LAYOUT_VERSION`] of the build. Another version may make other bytes of the same recipe and sources.
    #[serde(default)]
    pub layout_version: u32,
    /// Index of the image in the WIM.
    pub image_index: u32,
    /// Name of the image in the WIM.
    pub image_name: String,
    /// Seed of all identifiers; building with it again gives the same image.
    pub seed: String,
    /// Bytes of the virtual disk.
    pub disk_size: u64,
    /// The disk's GUID (GPT) or signature (MBR).
    pub disk_id: String,
    /// The serial number of the Windows volume, 16 hexadecimal digits.
    #[serde(default)]
    pub volume_serial: String,
    /// Partitions in the order of the table.
    pub partitions: Vec<PartitionReport>,
    /// Bytes of a cluster of the Windows volume.
    pub cluster_size: u64,
    /// Bytes of the Windows volume in use.
    pub volume_used: u64,
    /// Bytes of the Windows volume.
    pub volume_size: u64,
    /// Files of the Windows volume; one with several names counts once.
    #[serde(default)]
    pub files: u64,
    /// Directories of the Windows volume, without its root.
    #[serde(default)]
    pub directories: u64,
    /// Image files in the order of the targets.
    pub outputs: Vec<OutputReport>,
    /// What is kept compressed; `None` for a plain image.
    #[serde(default)]
    pub compact: Option<CompactReport>,
    /// Packages that were installed, in their order.
    #[serde(default)]
    pub packages: Vec<InstalledPackage>,
    /// Windows' build before and after updates; `None` without updates.
    #[serde(default)]
    pub build: Option<BuildChange>,
    /// Drivers that were added, and INF files that were passed over.
    #[serde(default)]
    pub drivers: Vec<DriverReport>,
    /// Decisions of the build that the user may want to know, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What the user should know, one sentence each.
    pub warnings: Vec<String>,
}

/// What an installation of packages did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InstallReport {
    /// Packages in the order of their installation.
    pub packages: Vec<InstalledPackage>,
    /// Features that were turned on, with the features that they need or bring along.
    #[serde(default)]
    pub features: Vec<String>,
    /// Windows' build before and after updates; `None` without updates.
    #[serde(default)]
    pub build: Option<BuildChange>,
    /// What the user should know, one sentence each.
    pub warnings: Vec<String>,
}

/// Windows' build (`14393.351`: number and revision) before and after an installation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BuildChange {
    /// The build before.
    pub before: String,
    /// The build after.
    pub after: String,
}

/// A package that was installed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InstalledPackage {
    /// `Name~token~arch~lang~version`.
    pub id: String,
    /// Identifier of the package that it is a part of; `None` for a package that was asked for.
    #[serde(default)]
    pub part_of: Option<String>,
    /// Bytes of files that were not in the image before; registry hives are not counted.
    pub bytes_added: u64,
    /// Files of components that were put into the image.
    pub files: u64,
    /// Components that were put into the image.
    pub components: u64,
    /// How many of the components replace an earlier version.
    #[serde(default)]
    pub replaced: u64,
    /// What the package asks for and the build did not do.
    #[serde(default)]
    pub not_applied: Vec<NotApplied>,
    /// How far it is installed.
    pub tier: Tier,
}

/// How far a package is installed. In JSON it is the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Tier {
    /// 1: all its files and settings are in place.
    #[default]
    InPlace,
    /// 2: also, Windows lists the package as installed.
    Recorded,
}

impl From<Tier> for u8 {
    fn from(tier: Tier) -> Self {
        match tier {
            Tier::InPlace => 1,
            Tier::Recorded => 2,
        }
    }
}

impl TryFrom<u8> for Tier {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        match number {
            1 => Ok(Self::InPlace),
            2 => Ok(Self::Recorded),
            _ => Err("a package is installed to tier 1 or 2"),
        }
    }
}

/// Something that a component asks for and the build did not do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NotApplied {
    /// Name of the component in the component store (its key form).
    pub component: String,
    /// The element of its manifest that asks for it.
    pub element: String,
    /// The name that tells it from other elements of this kind, if it has one.
    #[serde(default)]
    pub name: Option<String>,
    /// Why it was not done.
    pub why: String,
}

/// The files that the Windows volume keeps compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CompactReport {
    /// How many.
    pub files: u64,
    /// Bytes of their contents.
    pub contents: u64,
    /// Bytes of their compressed forms.
    pub compressed: u64,
}

/// An INF file of a driver, and what was done with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DriverReport {
    /// Its name in lower case; for a file that was passed over, its path in the folder.
    pub inf: String,
    /// Its name in the image, e.g. `oem0.inf`; `None` if it was passed over, for the reason in
    /// [`not_applied`](Self::not_applied).
    pub published: Option<String>,
    /// Directory in the driver store.
    pub package: String,
    /// Who made it.
    pub provider: String,
    /// Class of its devices, e.g. `SCSIAdapter`.
    pub class: String,
    /// Version, e.g. `100.93.104.24000`.
    pub version: String,
    /// Hardware ids and compatible ids of the devices that it drives.
    pub devices: Vec<String>,
    /// Services that it installs.
    pub services: Vec<String>,
    /// Whether the driver is installed already when Windows starts. Windows installs others from the driver store when
    /// it finds a device.
    pub boot_critical: bool,
    /// Whether it has a catalog. Whether that is a valid signature is decided by Windows.
    pub has_catalog: bool,
    /// Files of the package.
    pub files: u64,
    /// Bytes that it adds to the volume.
    pub bytes_added: u64,
    /// What the INF file of a boot-critical driver asks for and the build did not do.
    pub not_applied: Vec<String>,
    /// What the user should know, one sentence each.
    pub warnings: Vec<String>,
}

/// A partition of the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PartitionReport {
    /// Name in the table.
    pub name: String,
    /// Type: a GUID, or two hexadecimal digits on an MBR disk.
    pub partition_type: String,
    /// Unique GUID; `None` on an MBR disk.
    pub guid: Option<String>,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
}

impl PartitionReport {
    /// A partition with these values.
    pub fn new(name: &str, partition_type: String, guid: Option<String>, start: u64, size: u64) -> Self {
        Self { name: name.into(), partition_type, guid, start, size }
    }
}

/// An image file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct OutputReport {
    /// Format, e.g. `vhdx`.
    pub format: String,
    /// `dynamic`, `fixed`, `monolithicSparse` or `streamOptimized`; `None` for formats that have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subformat: Option<String>,
    /// Bytes of a block of a VHDX or dynamic VHD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_size: Option<u64>,
    /// Bytes of the file.
    pub file_size: u64,
    /// Whether `file_size` is only the largest possible size: how well blocks compress is known only once they are
    /// written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_bound: bool,
    /// SHA-256 of the file in hexadecimal digits, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl OutputReport {
    /// A file with these values.
    pub fn new(format: &str, file_size: u64) -> Self {
        Self { format: format.into(), subformat: None, block_size: None, file_size, is_bound: false, sha256: None }
    }
}

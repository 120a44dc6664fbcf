//! Types for lists of files, of registry contents and of boot stores, and for what is at a byte.

use serde::Serialize;

use super::Windows;

/// `SERVICE_KERNEL_DRIVER`, `SERVICE_FILE_SYSTEM_DRIVER`, `SERVICE_ADAPTER`, `SERVICE_RECOGNIZER_DRIVER` (winnt.h).
const DRIVERS: u32 = 0x0F;
/// State of a package: `CbsInstallStateInstalled` and `…Permanent`, times 16.
const INSTALLED: [u32; 2] = [0x70, 0x80];

/// A file or directory in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct FileRow {
    /// Number of the partition.
    pub partition: u32,
    /// Path from the root of the volume.
    pub path: String,
    /// Whether it is a directory.
    pub directory: bool,
    /// Bytes of the contents.
    pub size: u64,
    /// Bytes of the clusters of all its streams. Contents that lie in the MFT have no clusters.
    pub allocated: u64,
    /// Attribute bits as letters: A archive, S system, H hidden, R read-only …
    pub attributes: String,
    /// Number of its hard links.
    pub links: u32,
    /// Last change of the contents, in UTC; on FAT in local time.
    pub modified: String,
    /// How the contents are compressed.
    pub compression: Option<String>,
    /// Where it leads, if it is a link or junction.
    pub target: Option<String>,
    /// Named streams.
    pub streams: Vec<StreamRow>,
}

/// A named stream in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct StreamRow {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
}

/// What is at a byte of an image file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Location {
    /// The byte of the image file.
    pub offset: u64,
    /// Structure of the container that contains it; `None` if the byte belongs to the disk.
    pub structure: Option<String>,
    /// First byte of that structure or block in the file.
    pub structure_start: u64,
    /// Position on the disk.
    pub disk_offset: Option<u64>,
    /// Number of the partition that contains it.
    pub partition: Option<u32>,
    /// Position in the partition.
    pub partition_offset: Option<u64>,
    /// Number of the cluster that contains it.
    pub cluster: Option<u64>,
    /// What it belongs to, in words.
    pub owner: String,
    /// File, from the root of its volume.
    pub path: Option<String>,
    /// Named stream of that file.
    pub stream: Option<String>,
    /// Position in the file, stream or structure.
    pub byte: Option<u64>,
    /// Whether it lies after the end of its owner, in the owner's last cluster.
    pub slack: bool,
    /// Number of the MFT record that contains it or describes the file.
    pub record: Option<u64>,
}

/// A boot configuration store, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct StoreDetails {
    /// Number of the partition that has it.
    pub partition: u32,
    /// Its path there.
    pub path: String,
    /// Its objects, by identifier.
    pub objects: Vec<BootObject>,
}

/// An object of a store: boot manager, loader, settings …
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BootObject {
    /// Identifier.
    pub id: String,
    /// The identifier as bcdedit shows it: `{bootmgr}`.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// Its settings, by code.
    pub elements: Vec<BootElement>,
}

/// A setting of a boot entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BootElement {
    /// Its code, eight hexadecimal digits.
    pub code: String,
    /// Its name in bcdedit.
    pub name: String,
    /// Its value in words.
    pub value: String,
}

/// What the registry of an installation lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RegistryDetails {
    /// The installation.
    #[serde(flatten)]
    pub windows: Windows,
    /// Services and drivers, by name.
    pub services: Vec<Service>,
    /// Packages that servicing knows, by identity.
    pub packages: Vec<Package>,
    /// What could not be read, one sentence each.
    pub notes: Vec<String>,
}

/// A service or driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Service {
    /// Name of its key.
    pub name: String,
    /// `boot`, `system`, `automatic`, `manual` or `disabled`; `None` if it does not start by itself, or is damaged.
    pub start: Option<String>,
    /// `driver`, `file system driver`, `own process`, `shared process` or a number.
    #[serde(rename = "type")]
    pub kind: String,
    /// Number of that type.
    #[serde(skip)]
    pub type_bits: u32,
    /// Its program.
    pub image_path: Option<String>,
}

impl Service {
    /// Whether it is a driver.
    pub fn is_driver(&self) -> bool {
        self.type_bits & DRIVERS != 0
    }
}

/// A package of component based servicing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Package {
    /// Identity: name, token, architecture, language, version.
    pub id: String,
    /// State in words: `installed`, `staged` …
    pub state: String,
    /// Number of that state.
    pub state_code: u32,
    /// Whether DISM lists it. Others belong to one that it lists.
    pub visible: bool,
    /// When it was installed, in UTC.
    pub installed_at: Option<String>,
}

impl Package {
    /// Whether it is installed.
    pub fn is_installed(&self) -> bool {
        INSTALLED.contains(&self.state_code)
    }
}

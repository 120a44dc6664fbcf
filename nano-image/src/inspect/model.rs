//! Types that describe images and their contents. Sizes and positions are in bytes.

mod details;
mod difference;
mod size;
mod verification;

use serde::Serialize;

pub use details::{
    BootElement, BootObject, FileRow, Location, Package, RegistryDetails, Service, StoreDetails, StreamRow,
};
pub use difference::{Category, Compared, Difference};
pub(crate) use size::SizeTree;
pub use size::{SizeReport, SizeRow};
pub use verification::Verification;

/// Describes an image and its contents. Sizes and positions are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Inspection {
    /// The image file.
    pub path: String,
    /// How the file holds the disk.
    pub container: Container,
    /// The disk's partition table, and each partition's volume.
    pub partition_table: PartitionTable,
    /// How the disk boots.
    pub boot: Boot,
    /// Windows installations.
    pub windows: Vec<Windows>,
    /// What could not be read, and why, one sentence each.
    pub notes: Vec<String>,
}

/// How an image file holds a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Container {
    /// The format's [name](crate::disk::Format::name).
    pub format: String,
    /// `dynamic` or `fixed`; `None` for raw images.
    pub subformat: Option<String>,
    /// Size of a block of a dynamic image.
    pub block_size: Option<u64>,
    /// Logical sector size.
    pub sector_size: u32,
    /// The virtual disk's identifier; `None` for raw images.
    pub id: Option<String>,
    /// Size of the virtual disk.
    pub virtual_size: u64,
    /// Size of the image file.
    pub file_size: u64,
    /// How much of the virtual disk is in the file.
    pub allocated: u64,
}

/// Kind of a partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Scheme {
    /// GUID partition table.
    Gpt,
    /// Master boot record.
    Mbr,
    /// No table: a volume may fill the disk.
    None,
}

/// A disk's partitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PartitionTable {
    /// Kind of table.
    pub scheme: Scheme,
    /// The disk's GUID (GPT) or signature of eight hexadecimal digits (MBR).
    pub disk_id: Option<String>,
    /// In the order of the table. A disk without one is a single partition.
    pub partitions: Vec<Partition>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Partition {
    /// Number of its entry in the table, from 1: entries between partitions may be free.
    pub number: u32,
    /// Name in the table; empty on an MBR disk.
    pub name: String,
    /// Type: a GUID, or two hexadecimal digits on an MBR disk; empty without a table.
    pub partition_type: String,
    /// Name of the type, if it is known.
    pub type_name: Option<String>,
    /// Unique GUID; `None` on an MBR disk.
    pub guid: Option<String>,
    /// Whether a BIOS boots from it (MBR).
    pub active: bool,
    /// Attribute bits in the table; 0 on an MBR disk.
    #[serde(skip)]
    pub attributes: u64,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// What it contains; `None` if it is empty or cannot be read.
    pub volume: Option<Volume>,
}

/// What a partition holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "file-system", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Volume {
    /// FAT32.
    Fat32(FatVolume),
    /// NTFS.
    Ntfs(NtfsVolume),
    /// Another file system, recognised only by its signature.
    Other(OtherVolume),
}

/// A FAT32 volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct FatVolume {
    /// Label in the boot sector.
    pub label: String,
    /// Serial number, `XXXX-XXXX` in hexadecimal.
    pub serial: String,
    /// Number of files.
    pub files: u64,
    /// Number of directories, without the root.
    pub directories: u64,
    /// Bytes of all files.
    pub file_bytes: u64,
}

/// An NTFS volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct NtfsVolume {
    /// Version, `3.1` since Windows XP.
    pub version: String,
    /// Label; empty if there is none.
    pub label: String,
    /// Serial number, 16 hexadecimal digits.
    pub serial: String,
    /// Bytes of a cluster.
    pub cluster_size: u64,
    /// Bytes of all clusters.
    pub size: u64,
    /// Number of clusters in use.
    pub used_clusters: u64,
    /// Number of free clusters.
    pub free_clusters: u64,
    /// Number of MFT records.
    pub mft_records: u64,
    /// Number of MFT records in use, including those of the system.
    pub mft_records_in_use: u64,
    /// Whether Windows checks the volume at the next mount.
    pub dirty: bool,
    /// Whether the Windows on it is hibernated, perhaps for a fast start. It then treats changes by others as damage.
    pub hibernated: bool,
}

/// A file system that is not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct OtherVolume {
    /// Its name.
    pub name: String,
}

/// How a disk boots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Boot {
    /// Number of the partition with the program in `EFI\Boot` that firmware without boot settings starts.
    pub removable_path: Option<u32>,
    /// Name of that program, which tells the architecture: `bootx64.efi`, `bootaa64.efi`.
    pub removable_program: Option<String>,
    /// Whether it has a signature, which Secure Boot requires. The signer is not checked.
    pub removable_signed: Option<bool>,
    /// Boot configuration stores.
    pub stores: Vec<BootStore>,
}

/// A boot configuration store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BootStore {
    /// Number of the partition that has it.
    pub partition: u32,
    /// Its path there.
    pub path: String,
    /// `uefi` or `bios`.
    pub firmware: String,
    /// Seconds that the menu waits.
    pub timeout: Option<u64>,
    /// Identifier of the entry that is started by default.
    pub default: Option<String>,
    /// Boot manager, then loaders in the order of the menu.
    pub entries: Vec<BootEntry>,
}

/// An entry of a boot configuration store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BootEntry {
    /// Identifier.
    pub id: String,
    /// Whether it is the boot manager; else it is a loader.
    pub boot_manager: bool,
    /// Name in the menu.
    pub description: Option<String>,
    /// Program.
    pub path: Option<String>,
    /// Where the program is.
    pub device: Option<BootDevice>,
    /// Where Windows is.
    pub os_device: Option<BootDevice>,
    /// Directory of Windows.
    pub system_root: Option<String>,
    /// Settings that are on and that a machine with Secure Boot does not allow: `testsigning`, `debug` …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub against_secure_boot: Vec<String>,
}

/// A device that a boot entry names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BootDevice {
    /// What it is.
    pub kind: BootDeviceKind,
    /// Number of the partition, if it is on this disk.
    pub partition: Option<u32>,
    /// In words: `partition 3`, `locate \Windows\System32\winload.efi`, `boot` …
    pub text: String,
}

/// Kind of a [`BootDevice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BootDeviceKind {
    /// The partition from which the firmware started.
    Boot,
    /// A partition, by its identity.
    Partition,
    /// The volume that contains a certain file.
    Locate,
    /// Another kind.
    Other,
}

/// A Windows installation, as its registry describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Windows {
    /// Number of its partition.
    pub partition: u32,
    /// `ProductName`.
    pub product: Option<String>,
    /// `EditionID`.
    pub edition: Option<String>,
    /// `InstallationType`: `Nano Server`, `Server Core`, `Server`, `Client`.
    pub installation_type: Option<String>,
    /// Major, minor, build and revision, e.g. `10.0.14393.2248`.
    pub version: Option<String>,
    /// Name of the machine.
    pub computer_name: Option<String>,
    /// Number of installed packages.
    pub packages: u64,
    /// Number of services.
    pub services: u64,
    /// Number of drivers among the services' keys.
    pub drivers: u64,
}

//! What to build: every choice that decides the bytes of an image.

mod builder;
mod check;

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

pub use builder::RecipeBuilder;

use crate::disk::DiskSize;
use crate::error::{Error, Result};
use crate::identity::Seed;
use crate::types::{ByteSize, FileTime, form};
use crate::windows::boot;
use crate::windows::boot::BootSettings;
use crate::windows::compact::Compact;
use crate::windows::configure::{MachineConfig, Secret};
use crate::windows::host::Host;
use crate::windows::media::{Deployment, Edition, ImageChoice, Role};

/// Cluster size of a compact volume: NTFS compresses nothing in larger clusters, and no documentation says that Windows
/// reads compact files there.
pub(super) const COMPACT_CLUSTER_SIZE: ByteSize = ByteSize::kib(4);

/// Logical sector size of disks that do not have 512 bytes per sector (4K native).
pub(super) const LARGE_SECTORS: ByteSize = ByteSize::kib(4);
/// FAT32 has at least 65,525 clusters, here of 4 KiB; this is the smallest size that Windows' documentation gives.
pub(super) const LARGE_SECTORS_ESP_SIZE: ByteSize = ByteSize::mib(260);

/// Which firmware starts the machine.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// let recipe = nano_image::Recipe::image("1").firmware(nano_image::Firmware::Bios).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// UEFI: a GPT disk with an EFI system partition (Hyper-V generation 2).
    #[default]
    Uefi,
    /// BIOS: an MBR disk with one active partition (Hyper-V generation 1).
    Bios,
}

impl From<Firmware> for boot::Firmware {
    fn from(firmware: Firmware) -> Self {
        match firmware {
            Firmware::Uefi => Self::Uefi,
            Firmware::Bios => Self::Bios,
        }
    }
}

/// How boot entries name the partition that they start Windows from.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// let recipe = nano_image::Recipe::image("1").bcd_device(nano_image::BcdDevice::Locate).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BcdDevice {
    /// By its identity, as bcdboot does: exact, even if another disk has Windows too.
    #[default]
    Partition,
    /// As the volume that has the loader: for clones whose disk identities will change.
    Locate,
}

/// Everything that decides the bytes of an image, except the sources and the format. Made by [`Recipe::image`] and
/// similar functions, or read by serde: either way it has been checked, and it cannot be changed.
///
/// Its serde form is that of recipe files: keys and values are the flags of `nano-image build` and their values. The
/// password is never written and never read.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{ByteSize, Compact, Deployment, Edition, Recipe};
///
/// let recipe = Recipe::new(Edition::Datacenter, Deployment::Guest)
///     .package("IIS")
///     .disk_size(ByteSize::gib(8))
///     .compact(Compact::Copy)
///     .computer_name("web-01")
///     .build()?;
/// let same = r#"{"edition": "datacenter", "deployment": "guest", "package": "IIS", "size": "8G", "compact": true,
///     "computer-name": "web-01"}"#;
/// assert_eq!(serde_json::from_str::<Recipe>(same).unwrap(), recipe);
/// assert!(serde_json::from_str::<Recipe>(r#"{"compact": true, "cluster-size": "64K"}"#).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Choices", into = "Choices")]
pub struct Recipe {
    pub(super) choices: Choices,
    pub(super) administrator_password: Option<Secret>,
}

/// The choices of a recipe, a key for each flag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Choices {
    #[serde(deserialize_with = "form::optional_text", skip_serializing_if = "form::is_default")]
    pub image: Option<String>,
    #[serde(skip_serializing_if = "form::is_default")]
    pub edition: Option<Edition>,
    #[serde(skip_serializing_if = "form::is_default")]
    pub deployment: Option<Deployment>,
    pub storage: bool,
    pub compute: bool,
    pub defender: bool,
    pub clustering: bool,
    pub oem_drivers: bool,
    pub containers: bool,
    #[serde(deserialize_with = "form::list", skip_serializing_if = "form::is_default")]
    pub package: Vec<String>,
    #[serde(deserialize_with = "form::list", skip_serializing_if = "form::is_default")]
    pub feature: Vec<String>,
    pub strict: bool,
    pub size: ByteSize,
    #[serde(rename = "for", skip_serializing_if = "form::is_default")]
    pub host: Option<Host>,
    /// By default the host's choice, else UEFI.
    #[serde(skip_serializing_if = "form::is_default")]
    pub firmware: Option<Firmware>,
    /// Size of a logical sector.
    pub sector_size: ByteSize,
    /// By default the size that Windows uses for such sectors.
    #[serde(skip_serializing_if = "form::is_default")]
    pub esp_size: Option<ByteSize>,
    #[serde(skip_serializing_if = "form::is_default")]
    pub recovery_size: Option<ByteSize>,
    #[serde(skip_serializing_if = "form::is_default")]
    pub cluster_size: Option<ByteSize>,
    #[serde(deserialize_with = "form::switched", skip_serializing_if = "form::is_default")]
    pub compact: Option<Compact>,
    #[serde(deserialize_with = "form::text")]
    pub label: String,
    /// By default the host's choice, else the partition.
    #[serde(skip_serializing_if = "form::is_default")]
    pub bcd_device: Option<BcdDevice>,
    #[serde(skip_serializing_if = "form::is_default")]
    pub timestamp: Option<u64>,
    #[serde(skip_serializing_if = "form::is_default")]
    pub seed: Option<Seed>,
    #[serde(flatten)]
    pub machine: MachineConfig,
    #[serde(flatten)]
    pub boot: BootSettings,
    /// Keys that do not exist.
    #[serde(flatten, deserialize_with = "names", skip_serializing)]
    pub unknown: Vec<String>,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            image: None,
            edition: None,
            deployment: None,
            storage: false,
            compute: false,
            defender: false,
            clustering: false,
            oem_drivers: false,
            containers: false,
            package: Vec::new(),
            feature: Vec::new(),
            strict: false,
            size: ByteSize::gib(4),
            host: None,
            firmware: None,
            sector_size: ByteSize::new(512),
            esp_size: None,
            recovery_size: None,
            cluster_size: None,
            compact: None,
            label: "Windows".into(),
            bcd_device: None,
            timestamp: None,
            seed: None,
            machine: MachineConfig::default(),
            boot: BootSettings::default(),
            unknown: Vec::new(),
        }
    }
}

impl Recipe {
    /// Index or name of the image in the WIM; without it and an [`edition`](Self::edition), the only one.
    pub fn image_name(&self) -> Option<&str> {
        self.choices.image.as_deref()
    }

    /// Edition of Windows Server, which chooses the image.
    pub fn edition(&self) -> Option<Edition> {
        self.choices.edition
    }

    /// What the image will run on.
    pub fn deployment(&self) -> Option<Deployment> {
        self.choices.deployment
    }

    /// Packages for which this crate has a short name.
    pub fn roles(&self) -> Vec<Role> {
        self.choices.roles().filter(|(_, is_on)| *is_on).map(|(role, _)| role).collect()
    }

    /// Names of further packages of the media.
    pub fn packages(&self) -> &[String] {
        &self.choices.package
    }

    /// Updates to install from packages that are only installed if they are chosen.
    pub fn features(&self) -> &[String] {
        &self.choices.feature
    }

    /// Whether it is an error if something in a package cannot be applied.
    pub fn strict(&self) -> bool {
        self.choices.strict
    }

    /// Size of the virtual disk.
    pub fn disk_size(&self) -> ByteSize {
        self.choices.size
    }

    /// What the image will run on, if it is made for a certain host.
    pub fn host(&self) -> Option<Host> {
        self.choices.host
    }

    /// Firmware of the machine.
    pub fn firmware(&self) -> Firmware {
        self.choices.firmware()
    }

    /// Size of the EFI system partition; a BIOS disk has none.
    pub fn esp_size(&self) -> ByteSize {
        self.choices.esp_size()
    }

    /// Size of the disk's logical sectors: 512 or 4096 bytes.
    pub fn sector_size(&self) -> ByteSize {
        self.choices.sector_size
    }

    /// Size of the virtual disk and its sectors.
    pub(super) fn disk(&self) -> DiskSize {
        DiskSize { bytes: self.disk_size(), sector_size: self.sector_size().bytes() as u32 }
    }

    /// Size of the partition of the recovery environment; `None` for no such partition.
    pub fn recovery_size(&self) -> Option<ByteSize> {
        self.choices.recovery_size
    }

    /// Cluster size of the Windows volume; `None` for what Windows chooses for its size.
    pub fn cluster_size(&self) -> Option<ByteSize> {
        self.choices.cluster_size
    }

    /// How files are compressed on the Windows volume (Compact OS); `None` keeps them plain.
    pub fn compact(&self) -> Option<Compact> {
        self.choices.compact
    }

    /// Label of the Windows volume.
    pub fn label(&self) -> &str {
        &self.choices.label
    }

    /// How boot entries name the partition that they start from.
    pub fn bcd_device(&self) -> BcdDevice {
        self.choices.bcd_device()
    }

    /// The time of what the build makes, in seconds since 1970; `None` for the creation time of the source image.
    pub fn timestamp(&self) -> Option<u64> {
        self.choices.timestamp
    }

    /// What all identifiers are derived from; `None` for recipe and sources.
    pub fn seed(&self) -> Option<Seed> {
        self.choices.seed
    }

    /// Name, answer file, addresses, files and registry of the machine.
    pub fn machine(&self) -> &MachineConfig {
        &self.choices.machine
    }

    /// Debugging, emergency management and test signing.
    pub fn boot(&self) -> &BootSettings {
        &self.choices.boot
    }

    /// The boot settings together with those of the host.
    pub(super) fn all_boot_settings(&self) -> BootSettings {
        self.host().map_or_else(|| self.boot().clone(), |host| host.add_to(self.boot()))
    }

    /// Which image is chosen.
    pub(super) fn choice(&self) -> ImageChoice<'_> {
        match (&self.choices.image, self.choices.edition) {
            (Some(image), _) => ImageChoice::Named(image),
            (None, Some(edition)) => ImageChoice::Edition(edition),
            (None, None) => ImageChoice::Only,
        }
    }

    /// Names of all packages: that of the deployment, those of roles, then the others in their order.
    pub(super) fn package_names(&self) -> Vec<String> {
        let roles = self.roles().into_iter().map(Role::package);
        let named = self.deployment().map(Deployment::package).into_iter().chain(roles);
        named.map(str::to_owned).chain(self.packages().iter().cloned()).collect()
    }

    /// The time of what the build makes; `source` is the time of the source.
    pub(super) fn time(&self, source: FileTime) -> FileTime {
        self.timestamp().map_or(source, FileTime::from_unix_seconds)
    }
}

impl Choices {
    fn firmware(&self) -> Firmware {
        let of_host = self.host.and_then(Host::usual_firmware).map(|firmware| match firmware {
            boot::Firmware::Uefi => Firmware::Uefi,
            boot::Firmware::Bios => Firmware::Bios,
        });
        self.firmware.or(of_host).unwrap_or_default()
    }

    fn esp_size(&self) -> ByteSize {
        let usual = if self.sector_size == LARGE_SECTORS { LARGE_SECTORS_ESP_SIZE } else { ByteSize::mib(100) };
        self.esp_size.unwrap_or(usual)
    }

    fn bcd_device(&self) -> BcdDevice {
        let locates = self.host.is_some_and(|host| host.locates(self.firmware().into()));
        self.bcd_device.unwrap_or(if locates { BcdDevice::Locate } else { BcdDevice::Partition })
    }

    /// All roles, in their order, and whether each is chosen.
    fn roles(&self) -> impl Iterator<Item = (Role, bool)> {
        [
            (Role::Storage, self.storage),
            (Role::Compute, self.compute),
            (Role::Defender, self.defender),
            (Role::Clustering, self.clustering),
            (Role::OemDrivers, self.oem_drivers),
            (Role::Containers, self.containers),
        ]
        .into_iter()
    }
}

impl TryFrom<Choices> for Recipe {
    type Error = Error;

    fn try_from(choices: Choices) -> Result<Self> {
        choices.check()?;
        let (firmware, device, esp_size) =
            (Some(choices.firmware()), Some(choices.bcd_device()), Some(choices.esp_size()));
        let choices = Choices { firmware, bcd_device: device, esp_size, ..choices };
        Ok(Self { choices, administrator_password: None })
    }
}

impl From<Recipe> for Choices {
    fn from(recipe: Recipe) -> Self {
        recipe.choices
    }
}

/// The keys that nothing has read.
fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let rest: BTreeMap<String, IgnoredAny> = Deserialize::deserialize(deserializer)?;
    Ok(rest.into_keys().collect())
}

#[cfg(test)]
#[path = "recipe/tests.rs"]
mod tests;

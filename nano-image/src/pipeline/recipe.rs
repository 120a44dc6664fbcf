//! What to build, and from what.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::boot_config::BootConfig;
use crate::error::{Error, Result};
use crate::identity::Seed;
use crate::types::{ByteSize, FileTime};
use crate::windows::compact::Compact;

use crate::windows::configure::{MachineConfig, Secret};
use crate::windows::media::{Deployment, Edition, ImageChoice, Media, Role};

/// Cluster size of a compact volume, bytes: NTFS compresses nothing in larger ones, and nothing says that Windows
/// reads compact files there.
pub(super) const COMPACT_CLUSTER_SIZE: u64 = 4096;

/// The files that an image is made of.
#[derive(Clone, Debug)]
pub struct Sources {
    media: PathBuf,
    /// Whether `media` is a WIM, whatever it looks like.
    is_wim: bool,
    parts: Vec<PathBuf>,
    pub(super) scratch: Option<PathBuf>,
    pub(super) servicing_packages: Vec<PathBuf>,
    pub(super) drivers: Vec<PathBuf>,
}

impl Sources {
    /// Install media: an ISO image, a folder with its files, or a WIM. See [`Media`].
    pub fn media(path: impl Into<PathBuf>) -> Self {
        Self {
            media: path.into(),
            is_wim: false,
            parts: Vec::new(),
            scratch: None,
            servicing_packages: Vec::new(),
            drivers: Vec::new(),
        }
    }

    /// A WIM file: `.wim`, `.esd`, or the first part of a split `.swm` set, whose other parts are found beside it.
    /// Packages are in the folder `Packages` beside it.
    pub fn wim(path: impl Into<PathBuf>) -> Self {
        Self { is_wim: true, ..Self::media(path) }
    }

    /// A further part of a split WIM that does not lie beside the first.
    pub fn part(mut self, path: impl Into<PathBuf>) -> Self {
        self.parts.push(path.into());
        self
    }

    /// An update that is installed after all packages: a `.cab` or `.msu` file.
    pub fn servicing_package(mut self, path: impl Into<PathBuf>) -> Self {
        self.servicing_packages.push(path.into());
        self
    }

    /// A driver: an INF file, or a folder in which all are taken.
    pub fn driver(mut self, path: impl Into<PathBuf>) -> Self {
        self.drivers.push(path.into());
        self
    }

    /// A folder for what must be made before the image can be laid out (see [`Compact`]), and for opening a WIM
    /// inside an ISO image: files that are removed with the plan.
    pub fn scratch(mut self, folder: impl Into<PathBuf>) -> Self {
        self.scratch = Some(folder.into());
        self
    }

    pub(super) fn open(&self) -> Result<Media> {
        match self.is_wim {
            true => Media::wim(&self.media, &self.parts),
            false => Media::open(&self.media, &self.parts),
        }
    }
}

/// Which firmware starts the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// UEFI: a GPT disk with an EFI system partition (Hyper-V generation 2).
    #[default]
    Uefi,
    /// BIOS: an MBR disk with one active partition (Hyper-V generation 1).
    Bios,
}

/// How boot entries name the partition that they start from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BcdDevice {
    /// By its identity, as bcdboot does: exact, also beside other disks with Windows.
    #[default]
    Partition,
    /// As the volume that has the loader: for clones whose disk identities will change.
    Locate,
}

/// Where the identifiers of an image come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SeedChoice {
    /// From the recipe and the source image: the same inputs give the same identifiers.
    #[default]
    Derived,
    /// From this seed: images of the same inputs that meet on one host must differ.
    Given(Seed),
}

/// Everything that decides the bytes of an image, but the sources and the container. Made by [`Recipe::image`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct Recipe {
    /// Index or name of the image in the WIM; without it and the edition, the only one.
    #[serde(default)]
    pub image: Option<String>,
    /// Edition of Windows Server, which chooses the image.
    #[serde(default)]
    pub edition: Option<Edition>,
    /// What the image will run on: adds its package.
    #[serde(default)]
    pub deployment: Option<Deployment>,
    /// Packages that have a name of their own here.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// Names of further packages of the media.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Updates of packages to install that are not installed without a choice.
    #[serde(default)]
    pub features: Vec<String>,
    /// Whether what cannot be applied of a package is an error.
    #[serde(default)]
    pub strict: bool,
    /// Size of the virtual disk, bytes.
    pub disk_size: u64,
    /// Firmware of the machine.
    pub firmware: Firmware,
    /// Size of the EFI system partition, bytes; without meaning for BIOS.
    pub esp_size: u64,
    /// Bytes of a cluster of the Windows volume; `None` is Windows' choice for its size.
    pub cluster_size: Option<u64>,
    /// How files are compressed on the Windows volume (Compact OS); `None` keeps them plain.
    pub compact: Option<Compact>,
    /// Label of the Windows volume.
    pub label: String,
    /// How boot entries name the partition that they start from.
    pub bcd_device: BcdDevice,
    /// Times of what the build makes, in seconds since 1970; `None` is the creation time of the source image.
    pub timestamp: Option<u64>,
    /// 64 hexadecimal digits from which all identifiers are derived; `None` derives them from recipe and source.
    pub seed: Option<String>,
    /// Name, answer file, addresses, files and registry of the machine.
    #[serde(flatten)]
    pub machine: MachineConfig,
    /// Debugging, emergency management and test signing.
    #[serde(flatten)]
    pub boot: BootConfig,
    /// Never written and never read: a password comes from the caller alone.
    #[serde(skip)]
    pub(super) administrator_password: Option<Secret>,
}

impl Recipe {
    /// Begins a recipe for Nano Server from its media: an edition, and the drivers of what it will run on. The
    /// defaults: a 4 GiB disk, an EFI system partition of 100 MiB, clusters as Windows chooses them, boot entries that
    /// name the partition.
    #[allow(clippy::new_ret_no_self, reason = "a recipe is checked when it is complete")]
    pub fn new(edition: Edition, deployment: Deployment) -> RecipeBuilder {
        Self::only_image().edition(edition).deployment(deployment)
    }

    /// Begins a recipe for an image of the WIM, by index or name; see [`new`](Self::new) for the defaults.
    pub fn image(image: impl Into<String>) -> RecipeBuilder {
        let mut builder = Self::only_image();
        builder.recipe.image = Some(image.into());
        builder
    }

    /// Begins a recipe for the only image of a WIM; see [`new`](Self::new) for the defaults.
    pub fn only_image() -> RecipeBuilder {
        RecipeBuilder {
            recipe: Self {
                image: None,
                edition: None,
                deployment: None,
                roles: Vec::new(),
                packages: Vec::new(),
                features: Vec::new(),
                strict: false,
                disk_size: ByteSize::gib(4).bytes(),
                firmware: Firmware::Uefi,
                esp_size: ByteSize::mib(100).bytes(),
                cluster_size: None,
                compact: None,
                label: "Windows".into(),
                bcd_device: BcdDevice::Partition,
                timestamp: None,
                seed: None,
                machine: MachineConfig::default(),
                boot: BootConfig::default(),
                administrator_password: None,
            },
        }
    }

    /// Which image is meant.
    pub(super) fn choice(&self) -> ImageChoice<'_> {
        match (&self.image, self.edition) {
            (Some(image), _) => ImageChoice::Named(image),
            (None, Some(edition)) => ImageChoice::Edition(edition),
            (None, None) => ImageChoice::Only,
        }
    }

    /// Names of all packages: that of the deployment, those of roles, and the others in their order.
    pub(super) fn package_names(&self) -> Vec<String> {
        let mut roles = self.roles.clone();
        roles.sort();
        let named = self.deployment.map(Deployment::package).into_iter().chain(roles.into_iter().map(Role::package));
        named.map(str::to_owned).chain(self.packages.iter().cloned()).collect()
    }

    /// The time of what the build makes, given the source's.
    pub(super) fn time(&self, source: FileTime) -> FileTime {
        self.timestamp.map_or(source, FileTime::from_unix_seconds)
    }

    /// Rules of New-NanoServerImage that concern packages.
    fn check_packages(&self) -> Result<()> {
        if self.image.is_some() && self.edition.is_some() {
            return Err(Error::recipe("an image and an edition are given").with_hint("leave one of them out"));
        }
        if self.deployment == Some(Deployment::Guest) && self.roles.contains(&Role::OemDrivers) {
            let (guest, oem) = (Deployment::Guest.package(), Role::OemDrivers.package());
            return Err(Error::recipe("drivers of physical machines for a guest").with_hint(format!(
                "{guest} has the drivers of a guest; to have the others all the same, name the package {oem}"
            )));
        }
        match self.packages.iter().chain(&self.features).find(|name| name.trim().is_empty()) {
            Some(_) => Err(Error::recipe("a package or feature without a name")),
            None => Ok(()),
        }
    }

    /// The seed, given a digest of the source image.
    pub(super) fn seed(&self, source: &[u8]) -> Result<Seed> {
        use sha2::{Digest, Sha256};
        if let Some(seed) = &self.seed {
            return seed.parse();
        }
        // The canonical recipe: every field in its order, each on a line; the digest stands for the image, however it
        // was named.
        let canonical = format!(
            "nano-image recipe 1\n{}\n{:?}\n{}\n{:?}\n{:?}\n{}\n{:?}\n{:?}\n{}\n{:?}\n",
            self.disk_size,
            self.firmware,
            self.esp_size,
            self.cluster_size,
            self.compact,
            self.label,
            self.bcd_device,
            self.timestamp,
            self.machine.canonical(),
            self.boot
        );
        Ok(Seed::from_bytes(Sha256::new().chain_update(canonical).chain_update(source).finalize().into()))
    }
}

/// Chains the choices of a [`Recipe`].
#[derive(Clone, Debug)]
pub struct RecipeBuilder {
    recipe: Recipe,
}

impl RecipeBuilder {
    /// Edition of Windows Server, which chooses the image.
    pub fn edition(mut self, edition: Edition) -> Self {
        self.recipe.edition = Some(edition);
        self
    }

    /// What the image will run on: adds its package.
    pub fn deployment(mut self, deployment: Deployment) -> Self {
        self.recipe.deployment = Some(deployment);
        self
    }

    /// Adds the package of a role.
    pub fn role(mut self, role: Role) -> Self {
        self.recipe.roles.push(role);
        self
    }

    /// Adds a package of the media, by name; see [`Media::package`].
    pub fn package(mut self, name: impl Into<String>) -> Self {
        self.recipe.packages.push(name.into());
        self
    }

    /// Installs an update of a package that is not installed without a choice, by name.
    pub fn feature(mut self, name: impl Into<String>) -> Self {
        self.recipe.features.push(name.into());
        self
    }

    /// Makes it an error if something of a package cannot be applied.
    pub fn strict(mut self, strict: bool) -> Self {
        self.recipe.strict = strict;
        self
    }

    /// Size of the virtual disk.
    pub fn disk_size(mut self, size: ByteSize) -> Self {
        self.recipe.disk_size = size.bytes();
        self
    }

    /// Firmware of the machine.
    pub fn firmware(mut self, firmware: Firmware) -> Self {
        self.recipe.firmware = firmware;
        self
    }

    /// Size of the EFI system partition.
    pub fn esp_size(mut self, size: ByteSize) -> Self {
        self.recipe.esp_size = size.bytes();
        self
    }

    /// Cluster size of the Windows volume: 4–64 KiB.
    pub fn cluster_size(mut self, size: ByteSize) -> Self {
        self.recipe.cluster_size = Some(size.bytes());
        self
    }

    /// Compresses the files of the Windows volume (Compact OS).
    pub fn compact(mut self, compact: Compact) -> Self {
        self.recipe.compact = Some(compact);
        self
    }

    /// Label of the Windows volume, at most 32 characters.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.recipe.label = label.into();
        self
    }

    /// How boot entries name the partition that they start from.
    pub fn bcd_device(mut self, device: BcdDevice) -> Self {
        self.recipe.bcd_device = device;
        self
    }

    /// Times of what the build makes.
    pub fn timestamp(mut self, unix_seconds: u64) -> Self {
        self.recipe.timestamp = Some(unix_seconds);
        self
    }

    /// Where the identifiers come from.
    pub fn seed(mut self, seed: SeedChoice) -> Self {
        self.recipe.seed = match seed {
            SeedChoice::Derived => None,
            SeedChoice::Given(seed) => Some(seed.to_string()),
        };
        self
    }

    /// Name, answer file, addresses, files and registry of the machine.
    pub fn machine(mut self, machine: MachineConfig) -> Self {
        self.recipe.machine = machine;
        self
    }

    /// Name of the machine: 1 to 15 characters, or `*` to let Windows choose at first boot.
    pub fn computer_name(mut self, name: impl Into<String>) -> Self {
        self.recipe.machine.computer_name = Some(name.into());
        self
    }

    /// Password of the administrator.
    pub fn administrator_password(mut self, password: Secret) -> Self {
        self.recipe.administrator_password = Some(password);
        self
    }

    /// Debugging, emergency management and test signing.
    pub fn boot(mut self, boot: BootConfig) -> Self {
        self.recipe.boot = boot;
        self
    }

    /// Checks the recipe; no file is touched.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) for what contradicts a limit.
    pub fn build(self) -> Result<Recipe> {
        let recipe = self.recipe;
        if !recipe.disk_size.is_multiple_of(ByteSize::mib(1).bytes()) {
            return Err(Error::recipe(format!("a disk of {} bytes is not a whole number of MiB", recipe.disk_size)));
        }
        if !recipe.esp_size.is_multiple_of(ByteSize::mib(1).bytes()) {
            return Err(Error::recipe(format!(
                "an EFI system partition of {} bytes is not a whole number of MiB",
                recipe.esp_size
            )));
        }
        if recipe.compact.is_some() {
            if recipe.cluster_size.is_some_and(|size| size != COMPACT_CLUSTER_SIZE) {
                let error = Error::recipe("a compact image needs clusters of 4 KiB");
                return Err(error.with_hint("leave the cluster size out"));
            }
            if recipe.disk_size > ByteSize::tib(16).bytes() {
                return Err(Error::recipe("a compact image has at most 16 TiB, for its clusters have 4 KiB"));
            }
        }
        if recipe.label.encode_utf16().count() > 32 {
            return Err(Error::recipe(format!("the label `{}` has more than 32 characters", recipe.label)));
        }
        if let Some(seed) = &recipe.seed {
            seed.parse::<Seed>()?;
        }
        recipe.check_packages()?;
        recipe.machine.check()?;
        recipe.boot.settings()?;
        Ok(recipe)
    }
}

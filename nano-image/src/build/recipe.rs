//! What to build, and from what.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::boot_config::BootConfig;
use crate::error::{Error, Result};
use crate::identity::Seed;
use crate::types::{ByteSize, FileTime};
use crate::windows::compact::Compact;

/// Cluster size of a compact volume, bytes: NTFS compresses nothing in larger ones, and nothing says that Windows
/// reads compact files there.
pub(super) const COMPACT_CLUSTER_SIZE: u64 = 4096;
use crate::windows::configure::{MachineConfig, Secret};

/// The files that an image is made of.
#[derive(Clone, Debug)]
pub struct Sources {
    pub(super) wim: PathBuf,
    pub(super) parts: Vec<PathBuf>,
    pub(super) scratch: Option<PathBuf>,
}

impl Sources {
    /// A WIM file: `.wim`, `.esd`, or the first part of a split `.swm` set, whose other parts are found beside it.
    pub fn wim(path: impl Into<PathBuf>) -> Self {
        Self { wim: path.into(), parts: Vec::new(), scratch: None }
    }

    /// A further part of a split WIM that does not lie beside the first.
    pub fn part(mut self, path: impl Into<PathBuf>) -> Self {
        self.parts.push(path.into());
        self
    }

    /// A folder for what must be compressed before the image can be laid out (see [`Compact`]): a file that is
    /// removed with the plan.
    pub fn scratch(mut self, folder: impl Into<PathBuf>) -> Self {
        self.scratch = Some(folder.into());
        self
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
    /// Index or name of the image in the WIM.
    pub image: String,
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
    /// Begins a recipe for an image of the WIM, by index or name. The defaults: a 4 GiB disk, an EFI system partition
    /// of 100 MiB, clusters as Windows chooses them, boot entries that name the partition.
    pub fn image(image: impl Into<String>) -> RecipeBuilder {
        RecipeBuilder {
            recipe: Self {
                image: image.into(),
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

    /// The time of what the build makes, given the source's.
    pub(super) fn time(&self, source: FileTime) -> FileTime {
        self.timestamp.map_or(source, FileTime::from_unix_seconds)
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
        recipe.machine.check()?;
        recipe.boot.settings()?;
        Ok(recipe)
    }
}

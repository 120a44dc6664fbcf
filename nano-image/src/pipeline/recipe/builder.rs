//! A recipe while it is put together.

use super::{BcdDevice, Choices, Firmware, Recipe};
use crate::error::Result;
use crate::identity::Seed;
use crate::types::ByteSize;
use crate::windows::boot::BootSettings;
use crate::windows::compact::Compact;
use crate::windows::configure::{MachineConfig, Secret};
use crate::windows::host::Host;
use crate::windows::media::{Deployment, Edition, Role};

/// Chains the choices of a [`Recipe`].
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{ErrorKind, Recipe};
///
/// let error = Recipe::image("1").label("x".repeat(300)).build().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Recipe);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RecipeBuilder {
    choices: Choices,
    administrator_password: Option<Secret>,
}

impl Recipe {
    /// Begins a recipe for Nano Server from its media: an edition, and the drivers of what it will run on. The
    /// defaults: a 4 GiB disk with sectors of 512 bytes, an EFI system partition of 100 MiB, clusters as Windows chooses them, boot entries that
    /// name the partition.
    #[allow(clippy::new_ret_no_self, reason = "a recipe is checked when it is complete")]
    pub fn new(edition: Edition, deployment: Deployment) -> RecipeBuilder {
        Self::only_image().edition(edition).deployment(deployment)
    }

    /// Begins a recipe for an image of the WIM, by index or name; see [`new`](Self::new) for the defaults.
    pub fn image(image: impl Into<String>) -> RecipeBuilder {
        RecipeBuilder::of(Choices { image: Some(image.into()), ..Choices::default() })
    }

    /// Begins a recipe for the only image of a WIM; see [`new`](Self::new) for the defaults.
    pub fn only_image() -> RecipeBuilder {
        RecipeBuilder::of(Choices::default())
    }
}

impl RecipeBuilder {
    pub(super) fn of(choices: Choices) -> Self {
        Self { choices, administrator_password: None }
    }

    /// Edition of Windows Server, which chooses the image.
    pub fn edition(mut self, edition: Edition) -> Self {
        self.choices.edition = Some(edition);
        self
    }

    /// What the image will run on: adds its package.
    pub fn deployment(mut self, deployment: Deployment) -> Self {
        self.choices.deployment = Some(deployment);
        self
    }

    /// Adds the package of a role.
    pub fn role(mut self, role: Role) -> Self {
        *match role {
            Role::Storage => &mut self.choices.storage,
            Role::Compute => &mut self.choices.compute,
            Role::Defender => &mut self.choices.defender,
            Role::Clustering => &mut self.choices.clustering,
            Role::OemDrivers => &mut self.choices.oem_drivers,
            Role::Containers => &mut self.choices.containers,
        } = true;
        self
    }

    /// Adds a package of the media, by name; see [`Media::package`](crate::Media::package).
    pub fn package(mut self, name: impl Into<String>) -> Self {
        self.choices.package.push(name.into());
        self
    }

    /// Installs an update from a package that is only installed if it is chosen, by name.
    pub fn feature(mut self, name: impl Into<String>) -> Self {
        self.choices.feature.push(name.into());
        self
    }

    /// Makes it an error if something of a package cannot be applied.
    pub fn strict(mut self, strict: bool) -> Self {
        self.choices.strict = strict;
        self
    }

    /// Size of the virtual disk.
    pub fn disk_size(mut self, size: ByteSize) -> Self {
        self.choices.size = size;
        self
    }

    /// What the image will run on: sets the defaults for firmware and boot settings, sets what that host needs, and
    /// makes it an error if the image lacks drivers for the host's devices.
    pub fn host(mut self, host: Host) -> Self {
        self.choices.host = Some(host);
        self
    }

    /// Firmware of the machine.
    pub fn firmware(mut self, firmware: Firmware) -> Self {
        self.choices.firmware = Some(firmware);
        self
    }

    /// Size of the disk's logical sectors, 512 or 4096 bytes. 4096 needs UEFI, and VHDX or a raw image.
    pub fn sector_size(mut self, size: ByteSize) -> Self {
        self.choices.sector_size = size;
        self
    }

    /// Size of the EFI system partition.
    pub fn esp_size(mut self, size: ByteSize) -> Self {
        self.choices.esp_size = Some(size);
        self
    }

    /// Puts the recovery environment of the image onto its own partition, the last one, of this size.
    pub fn recovery_size(mut self, size: ByteSize) -> Self {
        self.choices.recovery_size = Some(size);
        self
    }

    /// Cluster size of the Windows volume: 4–64 KiB.
    pub fn cluster_size(mut self, size: ByteSize) -> Self {
        self.choices.cluster_size = Some(size);
        self
    }

    /// Compresses the files of the Windows volume (Compact OS).
    pub fn compact(mut self, compact: Compact) -> Self {
        self.choices.compact = Some(compact);
        self
    }

    /// Label of the Windows volume, at most 32 characters.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.choices.label = label.into();
        self
    }

    /// How boot entries name the partition that they start Windows from.
    pub fn bcd_device(mut self, device: BcdDevice) -> Self {
        self.choices.bcd_device = Some(device);
        self
    }

    /// The time that everything the build makes gets.
    pub fn timestamp(mut self, unix_seconds: u64) -> Self {
        self.choices.timestamp = Some(unix_seconds);
        self
    }

    /// What all identifiers are derived from, instead of recipe and sources: images made from the same inputs must
    /// differ if they meet on one host.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.choices.seed = Some(seed);
        self
    }

    /// Name, answer file, addresses, files and registry of the machine.
    pub fn machine(mut self, machine: MachineConfig) -> Self {
        self.choices.machine = machine;
        self
    }

    /// Name of the machine: 1 to 15 characters, or `*` to let Windows choose at first boot.
    pub fn computer_name(mut self, name: impl Into<String>) -> Self {
        self.choices.machine.computer_name = Some(name.into());
        self
    }

    /// Password of the administrator.
    pub fn administrator_password(mut self, password: Secret) -> Self {
        self.administrator_password = Some(password);
        self
    }

    /// Password of a [`local_user`](MachineConfig::local_user); call it after [`machine`](Self::machine).
    pub fn user_password(mut self, name: impl Into<String>, password: Secret) -> Self {
        self.choices.machine.user_passwords.insert(name.into(), password);
        self
    }

    /// Debugging, emergency management and test signing.
    pub fn boot(mut self, boot: BootSettings) -> Self {
        self.choices.boot = boot;
        self
    }

    /// Checks the recipe; no file is touched.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) for what contradicts a limit or another choice.
    pub fn build(self) -> Result<Recipe> {
        let recipe = Recipe::try_from(self.choices)?;
        Ok(Recipe { administrator_password: self.administrator_password, ..recipe })
    }
}

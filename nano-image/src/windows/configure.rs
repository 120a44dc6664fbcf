//! Turns an image into one machine: name, password, answer file, addresses, first-boot script, files, registry.
//!
//! [`MachineConfig`] is the part of a recipe that describes the machine. [`MachineConfig::prepare`] reads and checks
//! everything that it names before an image is touched; [`Prepared::apply`] edits the image. Everything is written to
//! places that Windows itself reads: hives, `Windows\Panther\Unattend.xml`, `Windows\Setup\Scripts\SetupComplete.cmd`.

mod accounts;
mod apply;
mod check;
mod cloud_init;
mod computer_name;
mod domain;
mod files;
mod firewall;
mod first_boot;
mod keys;
mod locale;
mod network;
mod prepare;
mod reg_file;
mod reg_user;
mod secret;
mod servicing;
mod setup_complete;
mod ssh;
mod time_zone;
mod unattend;
mod users;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use files::FileCopy;
pub use prepare::Prepared;
pub use reg_user::RegUser;
pub use secret::Secret;
pub use servicing::Servicing;
pub use users::LocalUser;

#[cfg(feature = "internals")]
use crate::error::Result;
use crate::types::form;

/// The part of a recipe that describes the machine. By default nothing is changed.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{MachineConfig, Recipe, RemoteManagement};
///
/// let machine = MachineConfig {
///     interface: Some("Ethernet".into()),
///     ipv4_address: Some("10.0.0.5/24".into()),
///     remote_management: Some(RemoteManagement::Offline),
///     copy: vec![r"tools:\Tools".parse()?],
///     ..MachineConfig::default() // more will come
/// };
/// let recipe = Recipe::image("1").machine(machine).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct MachineConfig {
    /// 1 to 15 characters, or `*` to let Windows choose at first boot. With `None` the image's name stays.
    #[serde(skip_serializing_if = "form::is_default")]
    pub computer_name: Option<String>,
    /// Also set the name in the specialize pass, for images that are generalized. This costs one more restart at first
    /// boot.
    #[serde(skip_serializing_if = "form::is_default")]
    pub name_in_specialize: bool,
    /// An answer file.
    #[serde(skip_serializing_if = "form::is_default")]
    pub unattend: Option<PathBuf>,
    /// File that `djoin /Provision` wrote. It contains the computer name.
    #[serde(skip_serializing_if = "form::is_default")]
    pub domain_blob: Option<PathBuf>,
    /// A domain in which to create an account. This cannot be done offline; the error says how to make a blob instead.
    #[serde(skip_serializing_if = "form::is_default")]
    pub domain_name: Option<String>,
    /// Reuse the account in the domain. Refused like `domain_name`.
    #[serde(skip_serializing_if = "form::is_default")]
    pub reuse_domain_node: bool,
    /// Name or index of the interface for the addresses, e.g. `Ethernet`.
    #[serde(deserialize_with = "form::optional_text", skip_serializing_if = "form::is_default")]
    pub interface: Option<String>,
    /// `10.0.0.5` with [`ipv4_mask`](Self::ipv4_mask), or `10.0.0.5/24`.
    #[serde(skip_serializing_if = "form::is_default")]
    pub ipv4_address: Option<String>,
    /// Subnet mask.
    #[serde(skip_serializing_if = "form::is_default")]
    pub ipv4_mask: Option<Ipv4Addr>,
    /// Default gateway.
    #[serde(skip_serializing_if = "form::is_default")]
    pub ipv4_gateway: Option<Ipv4Addr>,
    /// DNS servers, the preferred first.
    #[serde(deserialize_with = "form::list", skip_serializing_if = "form::is_default")]
    pub ipv4_dns: Vec<Ipv4Addr>,
    /// `fd00::5` or `fd00::5/64`.
    #[serde(skip_serializing_if = "form::is_default")]
    pub ipv6_address: Option<String>,
    /// DNS servers, the preferred first.
    #[serde(deserialize_with = "form::list", skip_serializing_if = "form::is_default")]
    pub ipv6_dns: Vec<Ipv6Addr>,
    /// Allow WinRM from other subnets.
    #[serde(deserialize_with = "form::switched", skip_serializing_if = "form::is_default")]
    pub remote_management: Option<RemoteManagement>,
    /// Commands that run once as SYSTEM when setup is complete.
    #[serde(deserialize_with = "form::list", skip_serializing_if = "form::is_default")]
    pub setup_command: Vec<String>,
    /// Time zone by its name in Windows, e.g. `W. Europe Standard Time`.
    #[serde(skip_serializing_if = "form::is_default")]
    pub time_zone: Option<String>,
    /// Locale of the system and of new users, e.g. `de-DE`.
    #[serde(skip_serializing_if = "form::is_default")]
    pub locale: Option<String>,
    /// Display language of Windows, which the image must have.
    #[serde(skip_serializing_if = "form::is_default")]
    pub ui_language: Option<String>,
    /// Languages and keyboards: `0407:00000407` or `de-DE`, separated by `;`. Without it, those of the locale.
    #[serde(skip_serializing_if = "form::is_default")]
    pub input_locale: Option<String>,
    /// Answer all questions of the first boot. There must be an account then.
    #[serde(skip_serializing_if = "form::is_default")]
    pub skip_oobe: bool,
    /// Product key: five groups of five letters and digits.
    #[serde(skip_serializing_if = "form::is_default")]
    pub product_key: Option<String>,
    /// Use the edition's key for a key management server.
    #[serde(skip_serializing_if = "form::is_default")]
    pub kms: bool,
    /// Accounts to create; each needs a password.
    #[serde(deserialize_with = "form::list", skip_serializing_if = "form::is_default")]
    pub local_user: Vec<LocalUser>,
    /// Log on the first of them automatically this number of times; on a server without such accounts, the
    /// administrator.
    #[serde(skip_serializing_if = "form::is_default")]
    pub auto_logon: Option<u32>,
    /// Allow Remote Desktop.
    #[serde(skip_serializing_if = "form::is_default")]
    pub rdp: bool,
    /// Files with public keys, by which administrators can log on by SSH.
    #[serde(deserialize_with = "form::list", skip_serializing_if = "form::is_default")]
    pub ssh_key: Vec<PathBuf>,
    /// Commands that run when an administrator logs on for the first time.
    #[serde(deserialize_with = "form::list", skip_serializing_if = "form::is_default")]
    pub first_logon_command: Vec<String>,
    /// Installer of cloudbase-init (MSI), or a folder with it and its settings. It is installed at first boot.
    #[serde(skip_serializing_if = "form::is_default")]
    pub cloud_init: Option<PathBuf>,
    /// Passwords of [`local_user`](Self::local_user)s, by name. They have no serde form, because a recipe shows no
    /// secrets.
    #[serde(skip)]
    pub user_passwords: BTreeMap<String, Secret>,
    /// Files and folders to copy into the image.
    #[serde(deserialize_with = "form::list", skip_serializing_if = "form::is_default")]
    pub copy: Vec<FileCopy>,
    /// Registry files. Their edits are applied last.
    #[serde(deserialize_with = "form::list", skip_serializing_if = "form::is_default")]
    pub reg: Vec<PathBuf>,
    /// Whose keys `HKEY_CURRENT_USER` stands for in registry files. Without it such keys are refused.
    #[serde(skip_serializing_if = "form::is_default")]
    pub reg_user: Option<RegUser>,
}

/// How the firewall is opened for remote management.
///
/// ```
/// use nano_image::{MachineConfig, RemoteManagement};
///
/// let machine = MachineConfig { remote_management: Some(RemoteManagement::Script), ..MachineConfig::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RemoteManagement {
    /// By rules in the SYSTEM hive.
    Offline,
    /// By commands in `SetupComplete.cmd`, as Microsoft's tool does it.
    Script,
}

impl form::Switched for RemoteManagement {
    const ON: Self = Self::Offline;
}

/// What was done to an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// The name that was set; `None` if Windows or the image decides.
    pub computer_name: Option<String>,
    /// Decisions that the user may want to know.
    pub notes: Vec<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Reads and judges an answer file and writes it again; for fuzzing.
#[cfg(feature = "internals")]
pub fn rewrite_answer_file(bytes: &[u8]) -> Result<Vec<u8>> {
    let file = crate::windows::answer::AnswerFile::parse(bytes)?;
    file.judge(bytes, &crate::windows::answer::Target::default());
    Ok(file.to_bytes())
}

/// The contents of a .reg file; for fuzzing.
#[cfg(feature = "internals")]
pub fn read_reg_file(bytes: &[u8]) -> Result<String> {
    reg_file::RegFile::parse(bytes, None).map(|file| format!("{file:?}"))
}

#[cfg(test)]
mod tests;

//! The user whose keys `HKEY_CURRENT_USER` stands for in registry files.

use serde::{Deserialize, Serialize};

/// The user for whom `HKEY_CURRENT_USER` stands in registry files: before Windows runs, there is no current user.
///
/// ```
/// use nano_image::{MachineConfig, RegUser};
///
/// let machine =
///     MachineConfig { reg: vec!["user.reg".into()], reg_user: Some(RegUser::Default), ..MachineConfig::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RegUser {
    /// New users: their initial settings in `Users\Default\NTUSER.DAT`.
    Default,
    /// The account SYSTEM.
    System,
}

impl RegUser {
    /// The root of its keys.
    pub(super) const fn root(self) -> &'static str {
        match self {
            Self::Default => r"HKEY_USERS\Default",
            Self::System => r"HKEY_USERS\.DEFAULT",
        }
    }

    /// Its name in flags.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::System => "system",
        }
    }
}

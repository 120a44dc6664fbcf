//! Whose keys the current user's are in registry files.

use serde::{Deserialize, Serialize};

/// Whom `HKEY_CURRENT_USER` in registry files means: there is no current user before Windows runs.
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
    /// What new users get: `Users\Default\NTUSER.DAT`.
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

    /// As flags name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::System => "system",
        }
    }
}

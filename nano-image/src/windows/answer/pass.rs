//! The configuration passes of an installation.

/// A configuration pass, in the order of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    /// Setup on install media.
    WindowsPe,
    /// An image that is not running. This program applies the pass as DISM does.
    OfflineServicing,
    /// `sysprep /generalize`.
    Generalize,
    /// The first start of a generalized image.
    Specialize,
    /// Audit mode, before a user is logged on.
    AuditSystem,
    /// Audit mode.
    AuditUser,
    /// The first start, before the first logon.
    OobeSystem,
    /// In the schema of answer files, but no documented version of Windows runs it.
    OobeUser,
}

impl Pass {
    /// The documented passes.
    pub const ALL: [Self; 7] = [
        Self::WindowsPe,
        Self::OfflineServicing,
        Self::Generalize,
        Self::Specialize,
        Self::AuditSystem,
        Self::AuditUser,
        Self::OobeSystem,
    ];

    /// The pass with this name, in any case.
    pub fn find(name: &str) -> Option<Self> {
        let all = Self::ALL.into_iter().chain([Self::OobeUser]);
        all.into_iter().find(|pass| pass.name().eq_ignore_ascii_case(name))
    }

    /// Its name in answer files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WindowsPe => "windowsPE",
            Self::OfflineServicing => "offlineServicing",
            Self::Generalize => "generalize",
            Self::Specialize => "specialize",
            Self::AuditSystem => "auditSystem",
            Self::AuditUser => "auditUser",
            Self::OobeSystem => "oobeSystem",
            Self::OobeUser => "oobeUser",
        }
    }

    /// Whether its settings take effect in an image that is deployed ready made: while it is built, or at its first
    /// start.
    pub const fn comes_into_force(self) -> bool {
        matches!(self, Self::OfflineServicing | Self::Specialize | Self::OobeSystem)
    }

    /// When a pass runs that never runs in such an image.
    pub(super) const fn runs_only(self) -> &'static str {
        match self {
            Self::WindowsPe => "when Setup installs Windows from media",
            Self::Generalize => "when sysprep generalizes a machine",
            Self::AuditSystem | Self::AuditUser => "in audit mode",
            _ => "in no known Windows",
        }
    }
}

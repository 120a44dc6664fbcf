//! States of packages and of their updates, as the registry has them.

use std::fmt;

/// How far a package or an update is installed (`CbsInstallState`, cbsapi.h); the registry has sixteen times this
/// number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum State {
    /// It is not installed.
    Absent,
    /// Windows is looking for what it needs.
    Resolving,
    /// Windows has found what it needs.
    Resolved,
    /// Its files are being put into the component store.
    Staging,
    /// Its files are in the component store; a feature in this state is off.
    Staged,
    /// Windows removes it when it starts.
    UninstallRequested,
    /// Windows installs it when it starts.
    InstallRequested,
    /// It is installed; a feature in this state is on.
    Installed,
    /// It is installed and cannot be removed.
    Permanent,
    /// Another number.
    Other(u32),
}

/// In the order of their numbers.
const KNOWN: [State; 9] = [
    State::Absent,
    State::Resolving,
    State::Resolved,
    State::Staging,
    State::Staged,
    State::UninstallRequested,
    State::InstallRequested,
    State::Installed,
    State::Permanent,
];

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Absent => "absent",
            Self::Resolving => "resolving",
            Self::Resolved => "resolved",
            Self::Staging => "staging",
            Self::Staged => "staged",
            Self::UninstallRequested => "uninstall pending",
            Self::InstallRequested => "install pending",
            Self::Installed => "installed",
            Self::Permanent => "permanent",
            Self::Other(_) => "unknown",
        })
    }
}

impl State {
    /// The state that is `number` in the registry.
    pub fn of(number: u32) -> Self {
        let known = number.is_multiple_of(16).then(|| KNOWN.get(number as usize / 16).copied()).flatten();
        known.unwrap_or(Self::Other(number))
    }

    /// The number of this state in the registry.
    pub fn number(self) -> u32 {
        match self {
            Self::Other(number) => number,
            known => KNOWN.iter().position(|other| *other == known).unwrap_or_default() as u32 * 16,
        }
    }

    /// Whether it is there for packages that need it.
    pub fn is_installed(self) -> bool {
        self.number() >= Self::UninstallRequested.number()
    }

    /// Whether it will be in use after the next start.
    pub fn is_on(self) -> bool {
        self.number() > Self::UninstallRequested.number()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_registry() {
        assert_eq!([0x40, 0x70, 0x80].map(State::of), [State::Staged, State::Installed, State::Permanent]);
        for number in [0, 0x10, 0x50, 0x71, 0x90, u32::MAX] {
            assert_eq!(State::of(number).number(), number);
        }
        assert!(State::UninstallRequested.is_installed() && !State::UninstallRequested.is_on());
        assert!(!State::Staged.is_installed() && State::Permanent.is_on());
    }
}

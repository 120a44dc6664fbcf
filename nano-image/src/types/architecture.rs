//! Processor architectures.

use std::fmt;

use serde::{Serialize, Serializer};

/// Processor architecture: the values of PROCESSOR_ARCHITECTURE in SYSTEM_INFO. Its text is the one in names of Windows
/// components.
///
/// ```
/// use nano_image::Architecture;
///
/// assert_eq!(Architecture::Amd64.to_string(), "amd64");
/// assert_eq!(Architecture::named("ARM64"), Some(Architecture::Arm64));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Architecture {
    /// 0.
    X86,
    /// 5.
    Arm,
    /// 6.
    Ia64,
    /// 9.
    Amd64,
    /// 12.
    Arm64,
    /// Any other value.
    Other(u32),
}

impl fmt::Display for Architecture {
    /// The text in names of Windows components, e.g. `amd64`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::X86 => f.write_str("x86"),
            Self::Arm => f.write_str("arm"),
            Self::Ia64 => f.write_str("ia64"),
            Self::Amd64 => f.write_str("amd64"),
            Self::Arm64 => f.write_str("arm64"),
            Self::Other(value) => write!(f, "architecture {value}"),
        }
    }
}

impl Serialize for Architecture {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Architecture {
    /// The architectures that occur in names of Windows components.
    const NAMED: [Self; 5] = [Self::X86, Self::Arm, Self::Ia64, Self::Amd64, Self::Arm64];

    /// The architecture that `name` stands for in names of Windows components, in any case; `None` for `neutral`,
    /// `msil`, `wow64` and other words.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|known| known.to_string().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_components() {
        for one in Architecture::NAMED {
            assert_eq!(Architecture::named(&one.to_string().to_uppercase()), Some(one));
        }
        assert_eq!(["wow64", "neutral", "msil", ""].map(Architecture::named), [None; 4]);
    }
}

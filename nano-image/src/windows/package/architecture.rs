//! What assemblies are made for: the values of `processorArchitecture`.

use std::borrow::Cow;
use std::fmt;

use crate::types::Architecture;

/// What an assembly is made for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum AssemblyArchitecture {
    /// Not stated.
    #[default]
    Unsaid,
    /// Processors of this kind: `amd64`.
    Processor(Architecture),
    /// 32-bit programs on 64-bit Windows: `wow64`.
    Wow64,
    /// Managed code for any processor: `msil`.
    Msil,
    /// Any processor: `neutral`.
    Neutral,
    /// Anything, in patterns: `*`.
    Any,
    /// Another word, such as `arm64.x86`, in lower case.
    Other(String),
}

impl AssemblyArchitecture {
    /// The value for a word in a manifest, in any case.
    pub fn named(word: &str) -> Self {
        let lower = word.to_ascii_lowercase();
        match &*lower {
            "" => Self::Unsaid,
            "wow64" => Self::Wow64,
            "msil" => Self::Msil,
            "neutral" => Self::Neutral,
            "*" => Self::Any,
            _ => Architecture::named(&lower).map_or(Self::Other(lower), Self::Processor),
        }
    }

    /// The word, as it is in names.
    pub fn word(&self) -> Cow<'_, str> {
        match self {
            Self::Unsaid => "".into(),
            Self::Processor(architecture) => architecture.to_string().into(),
            Self::Wow64 => "wow64".into(),
            Self::Msil => "msil".into(),
            Self::Neutral => "neutral".into(),
            Self::Any => "*".into(),
            Self::Other(word) => word.into(),
        }
    }

    /// Whether a package for this can be installed in images of `image`.
    pub fn is_for(&self, image: Architecture) -> bool {
        match self {
            Self::Processor(architecture) => *architecture == image,
            Self::Unsaid | Self::Neutral | Self::Any => true,
            Self::Wow64 | Self::Msil | Self::Other(_) => false,
        }
    }

    /// Whether components for this do nothing in images of `image`, which run only their own kind of programs.
    pub fn is_foreign_to(&self, image: Architecture) -> bool {
        match self {
            Self::Processor(architecture) => *architecture != image,
            Self::Wow64 => true,
            _ => false,
        }
    }
}

impl fmt::Display for AssemblyArchitecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for word in ["", "amd64", "x86", "arm64", "ia64", "wow64", "msil", "neutral", "*", "arm64.x86"] {
            assert_eq!(AssemblyArchitecture::named(&word.to_uppercase()).to_string(), word);
        }
        let named = AssemblyArchitecture::named;
        assert_eq!(named("AMD64"), AssemblyArchitecture::Processor(Architecture::Amd64));
        assert_eq!(named("arm64.x86"), AssemblyArchitecture::Other("arm64.x86".into()));
    }

    #[test]
    fn images_take_their_own_and_what_is_for_all() {
        let fits = |word: &str| AssemblyArchitecture::named(word).is_for(Architecture::Amd64);
        assert!(["AMD64", "neutral", "", "*"].into_iter().all(fits));
        assert!(!["x86", "arm64", "wow64", "msil", "vax"].into_iter().any(fits));
        let foreign = |word: &str| AssemblyArchitecture::named(word).is_foreign_to(Architecture::Amd64);
        assert!(foreign("x86") && foreign("wow64") && !foreign("amd64") && !foreign("msil") && !foreign("neutral"));
    }
}

//! Identities of assemblies and packages: the contents of `<assemblyIdentity>`.

use std::fmt;
use std::str::FromStr;

use super::architecture::AssemblyArchitecture;
use crate::error::{Error, Result};

/// A version of four numbers, `10.0.14393.0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub [u16; 4]);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, build, revision] = self.0;
        write!(f, "{major}.{minor}.{build}.{revision}")
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers: Vec<u16> = text.split('.').map_while(|part| part.parse().ok()).collect();
        match <[u16; 4]>::try_from(numbers) {
            Ok(numbers) if text.split('.').count() == 4 => Ok(Self(numbers)),
            _ => Err(Error::corrupt(format!("`{text}` is not a version of four numbers"))),
        }
    }
}

/// The identity of an assembly or a package. Two are the same if all fields are equal, ignoring case
/// ([`is`](Self::is)).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssemblyIdentity {
    /// Name as written.
    pub name: String,
    /// Version; `0.0.0.0` if it is missing.
    pub version: Version,
    /// What it is made for.
    pub architecture: AssemblyArchitecture,
    /// Language as written (`en-US`), or `*` for any in a dependency; `None` means neutral.
    pub language: Option<String>,
    /// Token of the maker's key, 16 hexadecimal digits; empty if it is missing.
    pub public_key_token: String,
    /// Type, e.g. `win32` or `dualModeDriver`.
    pub kind: Option<String>,
    /// `nonSxS` for components of Windows; packages have none.
    pub version_scope: Option<String>,
}

impl AssemblyIdentity {
    /// From names and values of the attributes of an `<assemblyIdentity>` element.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for a missing name or a malformed version.
    pub fn from_attributes<'a>(attributes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut identity = Self {
            name: String::new(),
            version: Version::default(),
            architecture: AssemblyArchitecture::Unsaid,
            language: None,
            public_key_token: String::new(),
            kind: None,
            version_scope: None,
        };
        for (name, value) in attributes {
            identity.set(name, value)?;
        }
        match identity.name.is_empty() {
            true => Err(Error::corrupt("an assembly identity without a name")),
            false => Ok(identity),
        }
    }

    /// Parses the output of [`identity_text`](Self::identity_text); `None` for other text.
    pub fn from_identity_text(text: &str) -> Option<Self> {
        let (name, fields) = text.split_once(", ")?;
        let fields = fields.split(", ").map(|field| field.split_once('=')).collect::<Option<Vec<_>>>()?;
        Self::from_attributes([("name", name)].into_iter().chain(fields)).ok()
    }

    /// Parses a package identifier (`Name~token~arch~lang~version`); `None` for other text.
    pub fn from_package_id(id: &str) -> Option<Self> {
        let [name, token, architecture, language, version] = id.split('~').collect::<Vec<_>>().try_into().ok()?;
        let fields = [
            ("name", name),
            ("publicKeyToken", token),
            ("processorArchitecture", architecture),
            ("language", language),
            ("version", version),
        ];
        Self::from_attributes(fields).ok()
    }

    /// Sets the field for the attribute `name` of `<assemblyIdentity>`.
    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let given = || Some(value.to_owned()).filter(|value| !value.is_empty());
        match name.to_ascii_lowercase().as_str() {
            "name" => self.name = value.to_owned(),
            "version" => self.version = value.parse()?,
            "processorarchitecture" => self.architecture = AssemblyArchitecture::named(value),
            "language" | "culture" => {
                let neutral = ["", "neutral", "none"].iter().any(|word| value.eq_ignore_ascii_case(word));
                self.language = (!neutral).then(|| value.to_owned());
            }
            "publickeytoken" => self.public_key_token = value.to_owned(),
            "type" => self.kind = given(),
            "versionscope" => self.version_scope = given(),
            // The type of build; it is not part of any name.
            _ => {}
        }
        Ok(())
    }

    /// Whether both name the same assembly.
    pub fn is(&self, other: &Self) -> bool {
        self.version == other.version && self.is_family(other)
    }

    /// Whether both name the same assembly, except for the version.
    pub fn is_family(&self, other: &Self) -> bool {
        let same = |one: &Option<String>, other: &Option<String>| {
            one.as_deref().unwrap_or_default().eq_ignore_ascii_case(other.as_deref().unwrap_or_default())
        };
        self.name.eq_ignore_ascii_case(&other.name)
            && self.architecture == other.architecture
            && self.public_key_token.eq_ignore_ascii_case(&other.public_key_token)
            && same(&self.language, &other.language)
            && same(&self.kind, &other.kind)
            && same(&self.version_scope, &other.version_scope)
    }

    /// Whether `wanted`, in which fields may be missing, stands for this identity. Missing fields can be anything,
    /// except that a missing language means neutral.
    pub fn is_meant_by(&self, wanted: &Self) -> bool {
        let fits = |field: &str, wanted: &str| wanted.is_empty() || field.eq_ignore_ascii_case(wanted);
        self.is_named_by(wanted)
            && (wanted.version == Version::default() || wanted.version == self.version)
            && [AssemblyArchitecture::Unsaid, self.architecture.clone()].contains(&wanted.architecture)
            && fits(&self.public_key_token, &wanted.public_key_token)
    }

    /// Whether `wanted` has this name and language, whatever its version, architecture and maker.
    pub fn is_named_by(&self, wanted: &Self) -> bool {
        let language = |one: &Self| one.language.clone().unwrap_or_default();
        self.name.eq_ignore_ascii_case(&wanted.name) && language(self).eq_ignore_ascii_case(&language(wanted))
    }

    /// Whether this identity fits `pattern`, in which fields may be `*`, except for the version.
    pub fn fits(&self, pattern: &Self) -> bool {
        let fits = |field: &str, pattern: &str| pattern == "*" || field.eq_ignore_ascii_case(pattern);
        fits(&self.name, &pattern.name)
            && [AssemblyArchitecture::Any, self.architecture.clone()].contains(&pattern.architecture)
            && fits(&self.public_key_token, &pattern.public_key_token)
            && fits(self.language.as_deref().unwrap_or(""), pattern.language.as_deref().unwrap_or(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let version: Version = "10.0.14393.0".parse().unwrap();
        assert_eq!((version, version.to_string().as_str()), (Version([10, 0, 14393, 0]), "10.0.14393.0"));
        assert!(version < "10.0.14393.1".parse().unwrap());
        for bad in ["", "1", "1.2.3", "1.2.3.4.5", "1.2.3.x", "1.2.3.65536", "1.2.3.-1", "1..2.3"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    #[test]
    fn identities_are_read_back_from_their_texts() {
        let fields = [("name", "A-Package"), ("version", "1.2.3.4"), ("processorArchitecture", "amd64")];
        let neutral = AssemblyIdentity::from_attributes(fields.into_iter().chain([("language", "neutral")])).unwrap();
        assert_eq!(neutral.language, None);
        let more = [("language", "en-US"), ("publicKeyToken", "0123456789abcdef"), ("buildType", "release")];
        let package = AssemblyIdentity::from_attributes(fields.into_iter().chain(more)).unwrap();
        assert_eq!(AssemblyIdentity::from_package_id(&package.package_id()).as_ref(), Some(&package));
        let component = AssemblyIdentity {
            kind: Some("dualModeDriver".into()),
            version_scope: Some("NonSxS".into()),
            ..package.clone()
        };
        assert_eq!(AssemblyIdentity::from_identity_text(&component.identity_text()).as_ref(), Some(&component));
        assert!(!component.is(&package));
        let pattern = AssemblyIdentity { language: Some("*".into()), ..neutral.clone() };
        assert!(neutral.fits(&pattern) && !package.fits(&pattern), "the token is no wildcard");
        assert!(AssemblyIdentity::from_package_id("a~b~c~d").is_none());
        assert!(AssemblyIdentity::from_attributes([("version", "1.2.3.4")]).is_err());
    }
}

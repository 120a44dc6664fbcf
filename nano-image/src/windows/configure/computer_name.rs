//! The computer name: its rules, and how it is set offline.
//!
//! This project began with a name that Windows' own tools could not set offline (0x80220001, and a machine called
//! MINWINPC). So nothing here depends on the settings engine of the image: the name is written to where Windows reads
//! it.

use crate::error::Result;
use crate::registry::Value;
use crate::types::upcase;
use crate::windows::answer::check_computer_name;
use crate::windows::edit::{HiveFile, ImageEdit, control_sets};

/// Who chooses the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NameChoice {
    /// This name.
    Given(String),
    /// Windows, at first boot (`*`).
    AtFirstBoot,
}

impl NameChoice {
    /// A valid name, or `*`.
    pub fn parse(name: &str) -> Result<Self> {
        if name == "*" {
            return Ok(Self::AtFirstBoot);
        }
        check_computer_name(name)?;
        Ok(Self::Given(name.into()))
    }

    /// The text for an answer file.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Given(name) => name,
            Self::AtFirstBoot => "*",
        }
    }

    /// Whether Windows takes both for the same name.
    pub fn same(&self, other: &Self) -> bool {
        upper(self.as_str()) == upper(other.as_str())
    }
}

/// A warning about a name that is possible but unwise.
pub(super) fn doubts(name: &str) -> Option<String> {
    if name.starts_with('-') || name.ends_with('-') {
        return Some(format!("the computer name `{name}` begins or ends with a hyphen, which DNS does not allow"));
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Some(format!("the computer name `{name}` is not a standard DNS name: letters, digits and hyphens are"));
    }
    None
}

/// The name in capitals, as a NetBIOS name.
pub(super) fn upper(name: &str) -> String {
    let units: Vec<u16> = name.encode_utf16().map(upcase::fold).collect();
    String::from_utf16_lossy(&units)
}

const COMPUTER_NAME: &str = r"Control\ComputerName\ComputerName";
const TCPIP: &str = r"Services\Tcpip\Parameters";

/// Writes `name` to every control set, like SetComputerNameEx for a physical name.
pub(super) fn write(image: &mut ImageEdit<'_>, name: &str) -> Result<()> {
    let hive = image.edit(HiveFile::System)?;
    for set in control_sets(hive)? {
        let key = hive.create_key(set, COMPUTER_NAME)?;
        hive.set_value(key, "ComputerName", Value::sz(&upper(name)))?;
        let key = hive.create_key(set, TCPIP)?;
        hive.set_value(key, "Hostname", Value::sz(name))?;
        hive.set_value(key, "NV Hostname", Value::sz(name))?;
    }
    Ok(())
}

/// The name in the image's SYSTEM hive, if it has one.
pub(super) fn read(image: &mut ImageEdit<'_>) -> Result<Option<String>> {
    let Some(hive) = image.hive(HiveFile::System)? else { return Ok(None) };
    let name = |set| hive.value(hive.find_from(set, COMPUTER_NAME)?, "ComputerName")?.text();
    Ok(control_sets(hive)?.into_iter().find_map(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_windows_refuses_are_refused_with_a_hint() {
        for name in ["", "a-name-of-16-abc", "12345", "a b", "a.b", "a*", "a\tb", "a\u{a0}b", "\u{7f}"] {
            let error = NameChoice::parse(name).unwrap_err();
            assert_eq!(error.kind(), crate::error::ErrorKind::Recipe, "{name}");
            assert!(error.hint().is_some(), "{name}");
        }
        for bad in r##" {|}~[\]^':;<=>?@!"#$%`()+/.,*&"##.chars() {
            assert!(NameChoice::parse(&format!("a{bad}b")).is_err(), "{bad}");
        }
        for name in ["a", "web-01", "a-name-of-15-ab", "1a", "under_score", "größe"] {
            assert_eq!(NameChoice::parse(name).unwrap().as_str(), name);
        }
        assert_eq!(NameChoice::parse("*").unwrap(), NameChoice::AtFirstBoot);
    }

    #[test]
    fn case_does_not_make_another_name() {
        let name = |text| NameChoice::parse(text).unwrap();
        assert!(name("web-01").same(&name("WEB-01")));
        assert!(!name("web-01").same(&name("*")));
        assert_eq!(upper("größe-1"), "GRÖßE-1");
    }

    #[test]
    fn unwise_names_are_doubted() {
        assert!(doubts("web-01").is_none());
        assert!(doubts("-web").is_some() && doubts("web-").is_some() && doubts("under_score").is_some());
    }
}

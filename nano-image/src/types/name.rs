//! File names as NTFS and WIM store them.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::upcase;

/// A name of UTF-16 code units, unpaired surrogates allowed, in the order of an NTFS directory index
/// (`COLLATION_FILENAME`): upper-case forms first, then, for names that differ only in case, the units themselves.
///
/// Equality is exact; [`eq_ignore_case`](Self::eq_ignore_case) compares as Windows does. Clones share the units.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Utf16Name(Arc<[u16]>);

impl Utf16Name {
    /// From code units.
    pub fn from_units(units: impl Into<Arc<[u16]>>) -> Self {
        Self(units.into())
    }

    /// The code units.
    pub fn units(&self) -> &[u16] {
        &self.0
    }

    /// The stored form: two bytes a unit, little-endian.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|unit| unit.to_le_bytes()).collect()
    }

    /// Whether Windows takes both for the same name.
    pub fn eq_ignore_case(&self, other: &Self) -> bool {
        self.cmp_ignore_case(other) == Ordering::Equal
    }

    /// Order of the upper-case forms alone.
    pub fn cmp_ignore_case(&self, other: &Self) -> Ordering {
        let table = upcase::table();
        let fold = |unit: &u16| table[usize::from(*unit)];
        self.0.iter().map(fold).cmp(other.0.iter().map(fold))
    }
}

impl From<&str> for Utf16Name {
    fn from(text: &str) -> Self {
        Self(text.encode_utf16().collect())
    }
}

impl Ord for Utf16Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cmp_ignore_case(other).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Utf16Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Utf16Name {
    /// As text; unpaired surrogates as U+FFFD.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        char::decode_utf16(self.0.iter().copied())
            .try_for_each(|unit| write!(f, "{}", unit.unwrap_or(char::REPLACEMENT_CHARACTER)))
    }
}

impl fmt::Debug for Utf16Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_a_directory_index() {
        let mut names: Vec<Utf16Name> = ["b", "_", "A", "a", "aa", "é", "É", "Z"].map(Utf16Name::from).into();
        names.sort();
        let sorted: Vec<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(sorted, ["A", "a", "aa", "b", "Z", "_", "É", "é"]);
        assert!(Utf16Name::from("Ünï").eq_ignore_case(&"ÜNÏ".into()));
    }
}

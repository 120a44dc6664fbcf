//! Names of keys and values: Latin-1 or UTF-16.

use std::cmp::Ordering;

use crate::types::{Utf16Name, upcase};

/// A stored name.
#[derive(Clone, Copy)]
pub(super) struct StoredName<'a> {
    /// Bytes as stored.
    pub bytes: &'a [u8],
    /// Whether they are Latin-1, one byte a character.
    pub latin1: bool,
}

impl<'a> StoredName<'a> {
    /// UTF-16 units.
    pub fn units(self) -> impl Iterator<Item = u16> + 'a {
        let step = if self.latin1 { 1 } else { 2 };
        self.bytes.chunks_exact(step).map(|unit| u16::from_le_bytes([unit[0], unit.get(1).copied().unwrap_or(0)]))
    }

    /// Number of UTF-16 units.
    pub fn unit_count(self) -> usize {
        self.bytes.len() / if self.latin1 { 1 } else { 2 }
    }

    /// Order of the upper-case forms, in which Windows sorts the subkeys of a key.
    pub fn cmp_folded(self, other: impl Iterator<Item = u16>) -> Ordering {
        let table = upcase::table();
        let fold = |unit: u16| table[usize::from(unit)];
        self.units().map(fold).cmp(other.map(fold))
    }

    /// Whether Windows takes both for the same name.
    pub fn eq_folded(self, other: &[u16]) -> bool {
        self.unit_count() == other.len() && self.cmp_folded(other.iter().copied()) == Ordering::Equal
    }

    /// As a name.
    pub fn to_name(self) -> Utf16Name {
        Utf16Name::from_units(self.units().collect::<Vec<_>>())
    }
}

/// The form in which Windows stores `units`: the bytes, and whether they are Latin-1.
pub(super) fn encode(units: &[u16]) -> (Vec<u8>, bool) {
    match units.iter().map(|unit| u8::try_from(*unit).ok()).collect() {
        Some(latin1) => (latin1, true),
        None => (units.iter().flat_map(|unit| unit.to_le_bytes()).collect(), false),
    }
}

/// Hash of a name in `lh` lists.
pub(super) fn hash(units: &[u16]) -> u32 {
    units.iter().fold(0, |sum: u32, unit| sum.wrapping_mul(37).wrapping_add(upcase::fold(*unit).into()))
}

/// Hint of a name in `lf` lists: its first four characters, or zeros if one of them is not Latin-1.
pub(super) fn hint(units: &[u16]) -> u32 {
    let mut hint = [0; 4];
    for (byte, unit) in hint.iter_mut().zip(units) {
        match u8::try_from(*unit) {
            Ok(latin1) => *byte = latin1,
            Err(_) => return 0,
        }
    }
    u32::from_le_bytes(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn names_are_latin1_where_they_can_be() {
        assert_eq!(encode(&units("é")), (vec![0xE9], true));
        assert_eq!(encode(&units("aš")), (vec![0x61, 0, 0x61, 1], false));
    }

    #[test]
    fn order_is_that_of_upper_case_units() {
        let latin = StoredName { bytes: b"a_b", latin1: true };
        assert_eq!(latin.cmp_folded(units("A_B").into_iter()), Ordering::Equal);
        // In upper case `_` comes after the letters; in lower case it would come before them.
        assert_eq!(latin.cmp_folded(units("aab").into_iter()), Ordering::Greater);
        assert!(StoredName { bytes: &[0xFF], latin1: true }.eq_folded(&[0x178]));
    }

    #[test]
    fn hashes_ignore_case() {
        assert_eq!(hash(&units("Ab")), 0x41 * 37 + 0x42);
        assert_eq!(hint(&units("Abcde")), u32::from_le_bytes(*b"Abcd"));
        assert_eq!(hint(&units("aš")), 0);
    }
}

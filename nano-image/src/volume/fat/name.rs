//! Short (8.3) and long file names.

use std::collections::{BTreeMap, BTreeSet};

use zerocopy::little_endian::U16;

use super::format::*;
use crate::error::{Error, Result};
use crate::types::upcase;

/// Longest name, UTF-16 units.
const MAX_UNITS: usize = 255;

/// The names of one directory. No two are equal in any case, and each has a short name of its own.
#[derive(Debug, Default)]
pub(super) struct Names {
    long: BTreeSet<Vec<u16>>,
    short: BTreeSet<[u8; 11]>,
    /// The number with which the next name with this base and extension is tried.
    tails: BTreeMap<Vec<u8>, u32>,
}

impl Names {
    /// Adds `name` to the directory. Returns its long name entries and its short name; there are no long name entries
    /// if the short name says everything.
    ///
    /// # Errors
    /// [`ErrorKind::Recipe`](crate::ErrorKind::Recipe) if FAT cannot hold the name, or the directory has it already.
    pub fn add(&mut self, name: &str) -> Result<(Vec<LongNameEntry>, [u8; 11])> {
        let units: Vec<u16> = name.encode_utf16().collect();
        let bad = |c: char| c < ' ' || r#""*/:<>?\|"#.contains(c);
        let trimmed = name.trim_end_matches(['.', ' ']);
        if units.is_empty() || units.len() > MAX_UNITS || trimmed.len() < name.len() || name.contains(bad) {
            return Err(Error::recipe(format!("`{name}` cannot be a file name on FAT")));
        }
        if !self.long.insert(folded(name)) {
            return Err(Error::recipe(format!("`{name}` is twice in its folder")));
        }
        let (base, extension, fits) = parts(name);
        let short = padded(&base, &extension);
        let fits = fits && self.short.insert(short);
        let short = if fits { short } else { self.numbered(&base, &extension) };
        let same = fits && !name.contains(|c: char| c.is_ascii_lowercase());
        Ok((if same { Vec::new() } else { long_entries(&units, &short) }, short))
    }

    /// A short name with a numeric tail that is still free.
    fn numbered(&mut self, base: &[u8], extension: &[u8]) -> [u8; 11] {
        let key = [&base[..base.len().min(6)], b".", extension].concat();
        let next = self.tails.entry(key).or_insert(1);
        loop {
            let tail = format!("~{next}");
            *next += 1;
            let base = [&base[..base.len().min(8 - tail.len())], tail.as_bytes()].concat();
            let short = padded(&base, extension);
            if self.short.insert(short) {
                return short;
            }
        }
    }
}

/// The form of a name in which names are compared.
pub(super) fn folded(name: &str) -> Vec<u16> {
    let table = upcase::table();
    name.encode_utf16().map(|unit| table[usize::from(unit)]).collect()
}

/// Base and extension for a short name, and whether they equal the name except for case.
fn parts(name: &str) -> (Vec<u8>, Vec<u8>, bool) {
    let (base, extension) = match name.rfind('.') {
        Some(dot) if dot > 0 => (&name[..dot], &name[dot + 1..]),
        _ => (name, ""),
    };
    let mut fits = true;
    let mut convert = |text: &str, max: usize| {
        let mut bytes = Vec::new();
        for c in text.chars() {
            match c {
                ' ' | '.' => fits = false,
                c if c.is_ascii_alphanumeric() || "$%'-_@~`!(){}^#&".contains(c) => {
                    bytes.push(c.to_ascii_uppercase() as u8);
                }
                _ => {
                    fits = false;
                    bytes.push(b'_');
                }
            }
        }
        fits &= bytes.len() <= max;
        bytes.truncate(max);
        bytes
    };
    let (base, extension) = (convert(base, 8), convert(extension, 3));
    (base, extension, fits)
}

fn padded(base: &[u8], extension: &[u8]) -> [u8; 11] {
    let mut name = [b' '; 11];
    name[..base.len()].copy_from_slice(base);
    name[8..8 + extension.len()].copy_from_slice(extension);
    name
}

fn long_entries(units: &[u16], short: &[u8; 11]) -> Vec<LongNameEntry> {
    let count = units.len().div_ceil(UNITS_PER_ENTRY);
    let mut padded: Vec<U16> = units.iter().map(|&unit| unit.into()).collect();
    if padded.len() < count * UNITS_PER_ENTRY {
        padded.push(U16::ZERO);
        padded.resize(count * UNITS_PER_ENTRY, U16::MAX_VALUE);
    }
    let parts = padded.chunks_exact(UNITS_PER_ENTRY).zip(1..=count as u8);
    let entries = parts.map(|(part, number)| LongNameEntry {
        order: if usize::from(number) == count { number | LAST_LONG_ENTRY } else { number },
        units1: part[..5].try_into().expect("5 units"),
        attributes: ATTRIBUTE_LONG_NAME,
        entry_type: 0,
        checksum: short_name_checksum(short),
        units2: part[5..11].try_into().expect("6 units"),
        cluster: U16::ZERO,
        units3: part[11..].try_into().expect("2 units"),
    });
    entries.rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names() {
        let mut names = Names::default();
        let mut short = |name: &str| {
            let (long, short) = names.add(name).unwrap();
            (long.len(), String::from_utf8(short.to_vec()).unwrap())
        };
        assert_eq!(short("BCD"), (0, "BCD        ".into()));
        assert_eq!(short("bootx64.efi"), (1, "BOOTX64 EFI".into()));
        assert_eq!(short("bootmgfw.efi.mui"), (2, "BOOTMG~1MUI".into()));
        assert_eq!(short("bootmgr.efi.mui"), (2, "BOOTMG~2MUI".into()));
        assert_eq!(short("BOOTMG~3.MUI"), (0, "BOOTMG~3MUI".into()));
        assert_eq!(short("bootmgxx.efi.mui"), (2, "BOOTMG~4MUI".into()));
        assert_eq!(short(".hidden"), (1, "HIDDEN~1   ".into()));
        assert_eq!(short("exactly-13-ch"), (1, "EXACTL~1   ".into()));
        assert_eq!(short("ünï"), (1, "_N_~1      ".into()));
        for number in 5..12 {
            let tail = format!("~{number}");
            assert!(short(&format!("bootmgr-{number}.long.mui")).1.contains(&tail));
        }
        for bad in ["", "BcD", "a:b", "a/b", "dot.", "space ", "..", &"x".repeat(256)] {
            assert!(names.add(bad).is_err(), "{bad}");
        }
    }
}

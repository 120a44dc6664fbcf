//! The names that files say they have, and the rules for names.

use std::hash::{DefaultHasher, Hash, Hasher};

use zerocopy::FromBytes;

use crate::types::Utf16Name;
use crate::volume::ntfs::format::*;

/// The names that files say they have, as hashes: a name has up to 510 bytes, and there may be millions.
#[derive(Default)]
pub(super) struct Names {
    list: Vec<Name>,
}

#[derive(Clone, Copy)]
struct Name {
    hash: u64,
    file: u32,
    found: bool,
}

impl Names {
    /// Adds a name of `file` in the directory `parent`.
    pub fn add(&mut self, parent: FileReference, file: FileReference, namespace: u8, name: &[u8]) {
        // There are at most 2³² records.
        let number = file.record() as u32;
        self.list.push(Name { hash: hash(parent, file, namespace, name), file: number, found: false });
    }

    /// Must be called when all names have been added.
    pub fn sort(&mut self) {
        self.list.sort_unstable_by_key(|name| name.hash);
    }

    /// Records that a directory has the name; returns whether the file has it, too.
    pub fn find(&mut self, parent: FileReference, file: FileReference, namespace: u8, name: &[u8]) -> bool {
        let wanted = hash(parent, file, namespace, name);
        let first = self.list.partition_point(|name| name.hash < wanted);
        let same = self.list[first..].iter_mut().take_while(|name| name.hash == wanted);
        let mut same = same.filter(|name| !name.found && u64::from(name.file) == file.record());
        same.next().is_some_and(|name| !std::mem::replace(&mut name.found, true))
    }

    /// Files with names that are in no directory, in ascending order.
    pub fn missing(&self) -> Vec<u64> {
        let mut files: Vec<u64> = self.list.iter().filter(|name| !name.found).map(|name| name.file.into()).collect();
        files.sort_unstable();
        files.dedup();
        files
    }

    pub fn is_missing(&self, parent: FileReference, file: FileReference, namespace: u8, name: &[u8]) -> bool {
        let wanted = hash(parent, file, namespace, name);
        let first = self.list.partition_point(|name| name.hash < wanted);
        self.list[first..].iter().take_while(|name| name.hash == wanted).any(|name| !name.found)
    }
}

fn hash(parent: FileReference, file: FileReference, namespace: u8, name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (parent.0, file.0, namespace, name).hash(&mut hasher);
    hasher.finish()
}

/// The fixed part of a `$FILE_NAME` and the bytes of its name; `None` if it is damaged.
pub(super) fn parse(value: &[u8]) -> Option<(FileName, &[u8])> {
    let (fixed, name) = FileName::read_from_prefix(value).ok()?;
    (name.len() == 2 * usize::from(fixed.name_length) && !name.is_empty()).then_some((fixed, name))
}

/// Why `name` is not allowed in `namespace`.
pub(super) fn fault(namespace: u8, name: &Utf16Name) -> Option<String> {
    let units = name.units();
    if namespace > namespace::WIN32_AND_DOS {
        return Some(format!("is of namespace {namespace}, which does not exist"));
    }
    let forbidden = match namespace {
        namespace::POSIX => "\0/",
        _ => "\"*/:<>?\\|",
    };
    let control = |unit: u16| unit < 0x20 && namespace != namespace::POSIX;
    let is_forbidden = |&unit: &u16| control(unit) || forbidden.encode_utf16().any(|other| other == unit);
    if let Some(unit) = units.iter().copied().find(is_forbidden) {
        return Some(format!("has the character U+{unit:04X}, which is not allowed"));
    }
    if namespace == namespace::DOS {
        let mut parts = units.split(|&unit| unit == u16::from(b'.'));
        let (base, extension) = (parts.next().unwrap_or_default(), parts.next());
        let short = !base.is_empty()
            && base.len() <= 8
            && extension.is_none_or(|extension| (1..=3).contains(&extension.len()))
            && parts.next().is_none()
            && !units.contains(&u16::from(b' '));
        if !short {
            return Some("is not a DOS name of 8.3 characters".to_owned());
        }
    }
    None
}

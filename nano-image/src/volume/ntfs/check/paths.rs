//! Follows the names of files: from directory to directory up to the root, and to entries in directories.

use super::Check;
use super::mft::{name_of, record_text};
use super::names::parse;
use crate::volume::ntfs::format::*;

/// Longer paths are not shown.
const MAX_DEPTH: usize = 256;

impl Check<'_> {
    /// Checks that the parents of all files exist, and that each directory leads to the root.
    pub fn parents(&mut self) {
        let mut sound = std::collections::BTreeSet::from([record::ROOT]);
        let mut circles = Vec::new();
        for (&number, facts) in self.files.iter().filter(|(_, facts)| facts.is_directory() && facts.names > 0) {
            let (mut path, mut at) = (vec![number], facts.parent.record());
            while !sound.contains(&at) {
                if path.contains(&at) {
                    circles.push(number);
                    break;
                }
                path.push(at);
                // A parent that does not exist has been reported already.
                match self.files.get(&at).filter(|_| path.len() < MAX_DEPTH * 4) {
                    Some(facts) => at = facts.parent.record(),
                    None => break,
                }
            }
            sound.extend(path);
        }
        for number in circles {
            let message = "its parents form a cycle and do not lead to the root";
            self.bad("ntfs-orphan", &record_text(number), self.record_place(number), message);
        }
    }

    /// Reports names of files that are in no directory.
    pub fn missing_entries(&mut self) {
        for number in self.names.missing() {
            let Some(file) = self.load_file(number) else { continue };
            let reference = file.reference();
            for attribute in file.attributes().filter(|attribute| attribute.kind == attribute_type::FILE_NAME) {
                let Some((fixed, name)) = attribute.value().and_then(parse) else { continue };
                let parent = FileReference(fixed.parent.get());
                if !self.names.is_missing(parent, reference, fixed.namespace, name) {
                    continue;
                }
                let shown = name_of(name);
                let (code, message) = match self.files.get(&parent.record()) {
                    None if self.broken.contains(&parent.record()) => continue,
                    None => ("ntfs-parent", format!("its directory, record {}, is not a file", parent.record())),
                    Some(facts) if facts.sequence != parent.sequence() => {
                        let (number, named) = (parent.record(), parent.sequence());
                        let message =
                            format!("`{shown}` names record {number} of sequence {named}; it has {}", facts.sequence);
                        ("ntfs-parent", message)
                    }
                    Some(facts) if !facts.is_directory() => {
                        ("ntfs-parent", format!("`{shown}` is in record {}, which is not a directory", parent.record()))
                    }
                    // The damage that hides its entries has been reported already.
                    Some(facts) if facts.index_broken => continue,
                    Some(_) => {
                        let (space, number) = (fixed.namespace, parent.record());
                        let message =
                            format!("its name `{shown}` (namespace {space}) is not in the index of directory {number}");
                        ("ntfs-index-missing", message)
                    }
                };
                self.bad(code, &record_text(number), attribute.at, message);
            }
        }
    }

    /// Whether the file is in a directory of `$Extend`, or below one.
    pub fn is_below_extend(&self, number: u64) -> bool {
        let mut at = number;
        for _ in 0..MAX_DEPTH {
            match self.files.get(&at) {
                Some(facts) if facts.parent.record() == record::EXTEND => return true,
                Some(facts) if facts.names > 0 && at != record::ROOT => at = facts.parent.record(),
                _ => return false,
            }
        }
        false
    }

    /// Path of a file, from the nearest directory that is known; `None` if nothing is known.
    pub fn path(&self, number: u64) -> Option<String> {
        let mut parts = Vec::new();
        let mut at = number;
        for _ in 0..MAX_DEPTH {
            if at == record::ROOT {
                break;
            }
            let base = || self.load_file(self.base_of(at).filter(|_| at == number)?);
            let Some(file) = self.load_file(at).or_else(base) else { break };
            let names = file.attributes().filter(|attribute| attribute.kind == attribute_type::FILE_NAME);
            let mut names = names.filter_map(|attribute| parse(attribute.value()?));
            let Some((fixed, name)) = names.find(|(fixed, _)| fixed.namespace != namespace::DOS) else { break };
            parts.push(name_of(name).to_string());
            at = FileReference(fixed.parent.get()).record();
        }
        if parts.is_empty() && number != record::ROOT {
            return None;
        }
        parts.reverse();
        let root = if at == record::ROOT { "\\" } else { "?\\" };
        Some(format!("{root}{}", parts.join("\\")))
    }

    /// The base record that `extension` belongs to.
    fn base_of(&self, extension: u64) -> Option<u64> {
        let has = |list: &[(u64, u16)]| list.iter().any(|(number, _)| *number == extension);
        self.extensions.iter().find(|(_, list)| has(list)).map(|(base, _)| *base)
    }
}

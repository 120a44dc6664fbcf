//! Compares directories with the files that they list.

use super::file::{Facts, NAME_INDEX};
use super::index::CheckedEntry;
use super::mft::{name_of, record_text};
use super::names;
use super::state::{Check, IndexJob};
use crate::report::{Finding, Findings};
use crate::tree::attribute;
use crate::volume::ntfs::format::*;

/// Attribute bits that a directory repeats: all that Windows knows, except those for directories, devices and normal
/// files.
const KEPT_ATTRIBUTES: u32 = 0x00FF_FFFF & !0xD0;

impl Check<'_> {
    /// Walks one index.
    pub fn index(&mut self, job: &IndexJob) {
        let Some(file) = self.load_file(job.file) else { return };
        let name = job.name.to_string();
        match (job.file, name.as_str()) {
            (_, NAME_INDEX) => self.directory(job),
            (record::SECURE, "$SII" | "$SDH") => {}
            (_, "$R") if self.is_in_extend(job.file) => self.reparse_index(job),
            (_, "$O") if self.is_object_ids(job.file) => self.object_id_index(job),
            _ => _ = self.walk(&file, &job.name, &mut |_, _| {}),
        }
    }

    fn directory(&mut self, job: &IndexJob) {
        let Some(file) = self.load_file(job.file) else { return };
        let own = file.reference();
        let text = format!("{}, index {NAME_INDEX}", record_text(job.file));
        let (mut names, files) = (std::mem::take(&mut self.names), std::mem::take(&mut self.files));
        let broken = std::mem::take(&mut self.broken);
        let mut visit = |findings: &mut Findings, entry: &CheckedEntry<'_>| {
            let mut bad = |code, message: String| {
                findings.add(Finding::new(code, text.clone(), message).at(entry.at));
            };
            let Some((key, name)) = names::parse(entry.key) else {
                return bad("ntfs-index", "has a damaged name".into());
            };
            let (parent, child) = (FileReference(key.parent.get()), entry.reference);
            let shown = name_of(name);
            if parent != own {
                let (found, expected) = (parent.0, own.0);
                bad("ntfs-index", format!("`{shown}` says that its directory is {found:#x}, not {expected:#x}"));
            }
            let found = names.find(own, child, key.namespace, name);
            let Some(facts) = files.get(&child.record()) else {
                if !broken.contains(&child.record()) {
                    bad(
                        "ntfs-index-dangling",
                        format!("`{shown}` leads to record {}, which is not a file", child.record()),
                    );
                }
                return;
            };
            if facts.sequence != child.sequence() {
                let (number, found, expected) = (child.record(), child.sequence(), facts.sequence);
                let message = format!("`{shown}` leads to record {number} of sequence {found}; it has {expected}");
                return bad("ntfs-index-dangling", message);
            }
            if !found {
                let (number, space) = (child.record(), key.namespace);
                let message = format!("`{shown}` (namespace {space}) leads to record {number}, which has no such name");
                bad("ntfs-index-dangling", message);
            }
            if let Some(message) = duplicates_fault(&key, facts, child.record()) {
                bad("ntfs-duplicate", format!("`{shown}`, record {}, {message}", child.record()));
            }
        };
        let whole = self.walk(&file, &job.name, &mut visit);
        (self.names, self.files, self.broken) = (names, files, broken);
        if let Some(facts) = self.files.get_mut(&job.file) {
            facts.index_broken = !whole;
        }
    }
}

/// Why the copy of a file's facts in its directory is wrong; `None` if it is not.
///
/// When a file is closed, Windows updates only the copy of the name by which it was opened. So for a file with several
/// names the copy may be old. For a file that the system keeps open, the copy stays as it was when the file got the
/// name, like the copy in its record. For directories only the creation time is kept; the access time is never kept.
fn duplicates_fault(key: &FileName, facts: &Facts, number: u64) -> Option<String> {
    let bits = key.attributes.get();
    if (bits & file_name_flag::DIRECTORY != 0) != facts.is_directory() {
        let (entry, record) = if facts.is_directory() { ("a file", "a directory") } else { ("a directory", "a file") };
        return Some(format!("is {entry} in the entry, {record} in its record"));
    }
    if number < record::FIRST_USER || facts.names != 1 {
        return None;
    }
    let named = &facts.named;
    let kept = attribute::REPARSE_POINT | attribute::SPARSE_FILE | attribute::COMPRESSED | attribute::ENCRYPTED;
    let same = |other: u32, mask: u32| bits & mask == other & mask;
    if !same(facts.attributes, kept)
        || !same(facts.attributes, KEPT_ATTRIBUTES) && !same(named.attributes, KEPT_ATTRIBUTES)
    {
        return Some(format!("has attributes {:#x} in the entry, {:#x} in its record", bits, facts.attributes));
    }
    let extended = key.extended.get();
    let packed = u32::from(facts.packed_ea_size);
    match facts.reparse_tag {
        // ntfs-3g drops the size of extended attributes; the upper half is used for their alignment.
        0 if packed == 0 && extended != 0 || ![0, packed].contains(&(extended & 0xFFFF)) => {
            return Some(format!(
                "has {extended:#x} bytes of extended attributes in the entry, {packed} in its record"
            ));
        }
        // ntfs-3g writes something else here if the data is not in the record. `$Reparse` is what counts.
        tag if tag != 0 && tag != extended && facts.reparse_resident => {
            return Some(format!("has the tag {extended:#010x} in the entry, {tag:#010x} in its record"));
        }
        _ => {}
    }
    let kept_times = if facts.is_directory() { 1 } else { 3 };
    let times = [0, 1, 2].map(|index| key.times[index].get());
    for (index, name) in ["creation", "modification", "record change"].into_iter().enumerate().take(kept_times) {
        let (time, actual) = (times[index], facts.times[index]);
        // If the entry is old, the file has changed since, never before.
        let is_old = time == named.times[index] && time < actual;
        if time != actual && !is_old {
            let (entry, record) = (time, actual);
            return Some(format!("has the time of {name} {} in the entry, {} in its record", entry, record));
        }
    }
    let (size, allocated) = (key.data_size.get(), key.allocated_size.get());
    if facts.is_directory() {
        return ((size, allocated) != (0, 0)).then(|| format!("is a directory of {size} bytes, {allocated} allocated"));
    }
    // A directory has no contents to compare.
    let actual = facts.data_size?;
    if size != actual && size != named.data_size {
        return Some(format!("has {size} bytes in the entry, {actual} in its record"));
    }
    (!facts.allocated_size.contains(&allocated) && allocated != named.allocated_size)
        .then(|| format!("has {allocated} allocated bytes in the entry, {} in its record", facts.allocated_size[0]))
}

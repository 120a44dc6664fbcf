//! Directories against the files that they name.

use super::Check;
use super::file::{Facts, NAME_INDEX};
use super::index::{Entry, IndexJob};
use super::mft::{name_of, record_text};
use super::names;
use crate::report::{Finding, Findings};
use crate::tree::attribute;
use crate::volume::ntfs::format::*;

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
        let mut visit = |findings: &mut Findings, entry: &Entry<'_>| {
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
            let found = names.find(own.record(), child, key.namespace, name);
            let Some(facts) = files.get(&child.record()) else {
                if !broken.contains(&child.record()) {
                    bad(
                        "ntfs-index-dangling",
                        format!("`{shown}` leads to record {}, which is no file", child.record()),
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

/// What in the copy of a file's facts that a directory keeps is not so.
///
/// Windows updates the copy only through the name that the file was opened by, when it is closed: of a file with
/// several names, sizes may be old, and those of a file that the system keeps open stay as they were when it got the
/// name, like the copy in its record. The reparse tag is not compared: ntfs-3g puts something else there when the data are
/// not in the record, and `$Reparse` is what counts.
fn duplicates_fault(key: &FileName, facts: &Facts, number: u64) -> Option<String> {
    let bits = key.attributes.get();
    if (bits & file_name_flag::DIRECTORY != 0) != facts.is_directory() {
        let (entry, record) = if facts.is_directory() { ("a file", "a directory") } else { ("a directory", "a file") };
        return Some(format!("is {entry} in the entry, {record} in its record"));
    }
    if number < record::FIRST_USER {
        return None;
    }
    let kept = attribute::REPARSE_POINT | attribute::SPARSE_FILE | attribute::COMPRESSED | attribute::ENCRYPTED;
    if facts.names == 1 && bits & kept != facts.attributes & kept {
        return Some(format!("has attributes {:#x} in the entry, {:#x} in its record", bits, facts.attributes));
    }
    // ntfs-3g leaves the allocated size as it was.
    let size = facts.data_size.filter(|_| facts.names == 1 && !facts.is_directory())?;
    let entry = key.data_size.get();
    (entry != size && entry != facts.named_size)
        .then(|| format!("has {entry} bytes in the entry, {size} in its record"))
}

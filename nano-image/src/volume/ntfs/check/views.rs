//! Views of the volume's files: `$Reparse` and `$ObjId` in `$Extend`.

use std::collections::BTreeSet;

use super::index::CheckedEntry;
use super::mft::record_text;
use super::state::{Check, IndexJob};
use crate::report::{Finding, Findings};
use crate::volume::ntfs::format::*;

impl Check<'_> {
    /// Whether the file is one of those in `$Extend`.
    pub fn is_in_extend(&self, number: u64) -> bool {
        self.files.get(&number).is_some_and(|facts| facts.parent.record() == record::EXTEND)
    }

    /// Whether the file is `$ObjId`. `$Quota` has an index of the same name.
    pub fn is_object_ids(&self, number: u64) -> bool {
        self.is_in_extend(number) && self.path(number).is_some_and(|path| path.eq_ignore_ascii_case(r"\$Extend\$ObjId"))
    }

    /// Checks that `$R` lists every reparse point: tag, then file.
    pub fn reparse_index(&mut self, job: &IndexJob) {
        let Some(file) = self.load_file(job.file) else { return };
        let text = format!("{}, index $R", record_text(job.file));
        let files = std::mem::take(&mut self.files);
        let mut seen = BTreeSet::new();
        let mut visit = |findings: &mut Findings, entry: &CheckedEntry<'_>| {
            let mut bad = |message: String| {
                findings.add(Finding::new("ntfs-reparse-index", text.clone(), message).at(entry.at));
            };
            let Some((tag, reference)) = entry.key.split_first_chunk::<4>() else {
                return bad(format!("has a key of {} bytes, not 12", entry.key.len()));
            };
            let Some(reference) = reference.first_chunk::<8>().map(|bytes| FileReference(u64::from_le_bytes(*bytes)))
            else {
                return bad(format!("has a key of {} bytes, not 12", entry.key.len()));
            };
            let (tag, number) = (u32::from_le_bytes(*tag), reference.record());
            match files.get(&number) {
                Some(facts) if facts.sequence == reference.sequence() && facts.reparse_tag == tag => {
                    seen.insert(number);
                }
                Some(facts) if facts.reparse_tag != 0 => {
                    let actual = facts.reparse_tag;
                    bad(format!("gives record {number} the tag {tag:#010x}; it has {actual:#010x}"));
                }
                _ => bad(format!("has record {number} with tag {tag:#010x}, which is not a reparse point")),
            }
        };
        let whole = self.walk(&file, &job.name, &mut visit);
        self.files = files;
        if whole {
            self.reparse_points_without(&seen);
        }
    }

    fn reparse_points_without(&mut self, seen: &BTreeSet<u64>) {
        let points = self.files.iter().filter(|(number, facts)| facts.reparse_tag != 0 && !seen.contains(number));
        let missing: Vec<(u64, u32)> = points.map(|(number, facts)| (*number, facts.reparse_tag)).collect();
        for (number, tag) in missing {
            let message = format!("is a reparse point of tag {tag:#010x}, which $Extend\\$Reparse:$R does not have");
            self.bad("ntfs-reparse-index", &record_text(number), self.record_place(number), message);
        }
    }

    /// Records the value of an `$OBJECT_ID`: the id, and possibly the file's origin.
    pub fn object_id(&mut self, number: u64, value: &[u8], at: u64) {
        let text = record_text(number);
        let Some((id, births)) = value.split_first_chunk::<16>().filter(|(_, births)| [0, 48].contains(&births.len()))
        else {
            let message = format!("has an $OBJECT_ID of {} bytes, not 16 or 64", value.len());
            return self.bad("ntfs-object-id", &text, at, message);
        };
        // The volume's own id is not indexed by all programs that make volumes.
        let known = (number, births.try_into().ok());
        if number != record::VOLUME && self.object_ids.insert(*id, known).is_some() {
            self.bad("ntfs-object-id", &text, at, "has the object id of another file");
        }
    }

    /// Checks that `$O` lists every object id, with its file and origin.
    pub fn object_id_index(&mut self, job: &IndexJob) {
        let Some(file) = self.load_file(job.file) else { return };
        let text = format!("{}, index $O", record_text(job.file));
        let ids = std::mem::take(&mut self.object_ids);
        let files = std::mem::take(&mut self.files);
        let mut seen = BTreeSet::new();
        let mut visit = |findings: &mut Findings, entry: &CheckedEntry<'_>| {
            let mut bad = |message: String| {
                findings.add(Finding::new("ntfs-object-id", text.clone(), message).at(entry.at));
            };
            let (id, data) = (<[u8; 16]>::try_from(entry.key), <[u8; 56]>::try_from(entry.data));
            let (Ok(id), Ok(data)) = (id, data) else {
                return bad(format!("has {} bytes of key, {} of data", entry.key.len(), entry.data.len()));
            };
            let (reference, births) = data.split_first_chunk().expect("there are 56 bytes");
            let reference = FileReference(u64::from_le_bytes(*reference));
            let number = reference.record();
            if number == record::VOLUME {
                return;
            }
            let known = files.get(&number).is_some_and(|facts| facts.sequence == reference.sequence());
            match ids.get(&id).filter(|(owner, _)| known && *owner == number) {
                None => bad(format!("has an id for record {number}, which the record does not have")),
                Some((_, Some(own))) if own[..] != *births => {
                    bad(format!("gives the id of record {number} another origin than the record does"));
                }
                Some(_) => {}
            }
            seen.insert(id);
        };
        let whole = self.walk(&file, &job.name, &mut visit);
        self.files = files;
        for &number in ids.iter().filter(|(id, _)| whole && !seen.contains(*id)).map(|(_, (number, _))| number) {
            let message = "has an object id that $Extend\\$ObjId:$O does not have";
            self.bad("ntfs-object-id", &record_text(number), self.record_place(number), message);
        }
    }

    /// Reports reparse points and object ids on a volume that has no view for them.
    pub fn missing_views(&mut self, jobs: &[IndexJob]) {
        if !jobs.iter().any(|job| job.name.to_string() == "$R" && self.is_in_extend(job.file)) {
            self.reparse_points_without(&BTreeSet::new());
        }
    }
}

//! What a check found wrong.

use std::collections::BTreeMap;

use serde::Serialize;

/// Something wrong with a structure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Finding {
    /// Kind of damage, the same in every version: `ntfs-bitmap`, `gpt-checksum` …
    pub code: &'static str,
    /// Number of the partition; `None` if it concerns the whole disk.
    pub partition: Option<u32>,
    /// The structure: `MFT record 64`, `$Bitmap`, `backup boot sector` …
    pub structure: String,
    /// Path of the file that the structure describes, if it is known.
    pub path: Option<String>,
    /// The first damaged byte, in the checked volume, disk or file.
    pub offset: Option<u64>,
    /// What is there and what was expected.
    pub message: String,
}

impl Finding {
    /// A finding about `structure`.
    pub fn new(code: &'static str, structure: impl Into<String>, message: impl Into<String>) -> Self {
        let (structure, message) = (structure.into(), message.into());
        Self { code, partition: None, structure, path: None, offset: None, message }
    }

    /// Names the byte.
    pub fn at(mut self, offset: impl Into<Option<u64>>) -> Self {
        self.offset = offset.into();
        self
    }

    /// Names the file.
    pub fn with_path(mut self, path: impl Into<Option<String>>) -> Self {
        self.path = path.into();
        self
    }
}

/// Findings in the order in which they were made. Only the first [`PER_CODE`](Self::PER_CODE) of each kind are kept, so
/// that a volume full of damage does not fill the memory; the others are counted.
#[derive(Debug, Default)]
pub struct Findings {
    kept: Vec<Finding>,
    counts: BTreeMap<&'static str, u64>,
    skipped: Vec<&'static str>,
}

impl Findings {
    /// How many findings of one kind are kept.
    pub const PER_CODE: u64 = 100;

    /// Adds a finding.
    pub fn add(&mut self, finding: Finding) {
        let count = self.counts.entry(finding.code).or_default();
        *count += 1;
        if *count <= Self::PER_CODE {
            self.kept.push(finding);
        }
    }

    /// Adds the findings of a part of what is checked, each changed by `edit`.
    pub fn append(&mut self, part: Self, mut edit: impl FnMut(&mut Finding)) {
        for mut finding in part.kept {
            edit(&mut finding);
            self.add(finding);
        }
        self.skipped.extend(part.skipped);
        for (code, count) in part.counts {
            *self.counts.entry(code).or_default() += count.saturating_sub(Self::PER_CODE);
        }
    }

    /// Notes what was not checked.
    pub fn skip(&mut self, what: &'static str) {
        self.skipped.push(what);
    }

    /// Parts that were not checked.
    pub fn skipped(&self) -> &[&'static str] {
        &self.skipped
    }

    /// The findings that were kept.
    pub fn kept(&self) -> &[Finding] {
        &self.kept
    }

    /// The findings that were kept, so that more can be added to them.
    pub fn kept_mut(&mut self) -> &mut [Finding] {
        &mut self.kept
    }

    /// How many there were of each kind.
    pub fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_of_a_kind_are_counted_but_not_kept() {
        let mut all = Findings::default();
        for part in 0..2 {
            let mut findings = Findings::default();
            (0..150).for_each(|number| findings.add(Finding::new("a", number.to_string(), "x")));
            findings.add(Finding::new("b", "y", "z").at(7));
            all.append(findings, |finding| finding.partition = Some(part));
        }
        assert_eq!(all.counts().iter().collect::<Vec<_>>(), [(&"a", &300), (&"b", &2)]);
        assert_eq!(all.kept().len() as u64, Findings::PER_CODE + 2);
        assert_eq!(all.kept().last().map(|last| (last.partition, last.offset)), Some((Some(1), Some(7))));
    }
}

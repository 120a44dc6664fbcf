//! A verification as text for a terminal.

use std::fmt;

use crate::inspect::model::Verification;
use crate::types::printable;

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Image        {}", printable(&self.path))?;
        writeln!(f, "Checked      {}", printable(&self.checked.join("; ")))?;
        if !self.not_checked.is_empty() {
            writeln!(f, "Not checked  {}", printable(&self.not_checked.join("; ")))?;
        }
        for note in &self.notes {
            writeln!(f, "Note         {}", printable(note))?;
        }
        if self.is_clean() {
            return writeln!(f, "Nothing is wrong in what was checked");
        }
        let total: u64 = self.counts.values().sum();
        writeln!(f, "{total} finding{}", if total == 1 { "" } else { "s" })?;
        for finding in &self.findings {
            write!(f, "  {}: ", finding.code)?;
            if let Some(number) = finding.partition {
                write!(f, "partition {number}, ")?;
            }
            write!(f, "{}", printable(&finding.structure))?;
            if let Some(path) = &finding.path {
                write!(f, " ({})", printable(path))?;
            }
            write!(f, ": {}", printable(&finding.message))?;
            if let Some(offset) = finding.offset {
                write!(f, " (at byte {offset:#x})")?;
            }
            writeln!(f)?;
        }
        for (code, count) in &self.counts {
            let shown = self.findings.iter().filter(|finding| finding.code == *code).count() as u64;
            if shown < *count {
                writeln!(f, "  {code}: and {} more", count - shown)?;
            }
        }
        Ok(())
    }
}

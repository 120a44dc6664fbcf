//! Checks container files, including what their readers do not need.

use super::formats;
use crate::content::ReadAt;
use crate::error::ErrorKind;
use crate::report::{Finding, Findings};

/// Finds what is wrong with the container in `file`, including what keeps it from being opened. In a raw image nothing
/// can be wrong. Offsets of the findings count from the start of the file.
pub fn check(file: &dyn ReadAt) -> Findings {
    let mut findings = Findings::default();
    if let Ok(len) = file.len()
        && let Ok(row) = formats::row_of(file, len)
    {
        (row.check)(file, len, &mut findings);
        if findings.is_empty()
            && let Err(error) = (row.open)(file, len)
            && error.kind() == ErrorKind::Corrupt
        {
            findings.add(Finding::new("image", "image", error.message()).at(error.offset()));
        }
    }
    findings
}

//! Checks containers: what their readers do not need, too.

use super::formats;
use crate::content::ReadAt;
use crate::report::Findings;

/// Finds what is wrong with the container in `file`. A raw image has nothing to be wrong, and a file that cannot be
/// read is what opening it tells. Offsets of the findings are bytes of the file.
pub fn check(file: &dyn ReadAt) -> Findings {
    let mut findings = Findings::default();
    if let Ok(len) = file.len()
        && let Ok(row) = formats::row_of(file, len)
    {
        (row.check)(file, len, &mut findings);
    }
    findings
}

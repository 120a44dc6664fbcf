//! Checks containers: what their readers do not need, too.

use super::{vhd, vhdx};
use crate::content::ReadAt;
use crate::report::Findings;

/// Finds what is wrong with the container in `file`. A raw image has nothing to be wrong. Offsets of the findings are
/// bytes of the file.
pub fn check(file: &dyn ReadAt) -> Findings {
    let mut findings = Findings::default();
    let len = file.len().unwrap_or(0);
    let mut signature = [0; 8];
    let readable = file.read_exact_at(&mut signature, 0).is_ok();
    if readable && signature == vhdx::format::FILE_SIGNATURE {
        vhdx::check(file, len, &mut findings);
    } else if vhd::is_vhd(file, len).unwrap_or(false) {
        vhd::check(file, len, &mut findings);
    }
    findings
}

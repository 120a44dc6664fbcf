//! Joining a domain with a blob that `djoin /Provision` made.
//!
//! The blob goes into the specialize pass, so that Windows itself joins the domain at first boot: what `djoin
//! /RequestODJ` writes offline are encrypted LSA secrets.

use super::unattend::OFFLINE;
use crate::error::{Error, Result};
use crate::types::text;
use crate::windows::answer::{AnswerFile, UNATTENDED_JOIN};

/// Larger files are not blobs.
pub(super) const MAX_LEN: u64 = 1 << 20;

const PASS: &str = "specialize";
const JOIN: [&str; 3] = ["Identification", "Provisioning", "AccountData"];
const OFFLINE_JOIN: [&str; 3] = ["OfflineIdentification", "Provisioning", "AccountData"];

/// The text of a blob file: Base64 in UTF-16LE, as djoin writes it, or in ASCII.
pub(super) fn read_blob(bytes: &[u8]) -> Result<String> {
    let bad = || {
        Error::corrupt("not a domain-join blob: it is not Base64 text")
            .with_hint("give the file that `djoin /Provision … /SaveFile` wrote")
    };
    let units = bytes.strip_prefix(&[0xFF, 0xFE]).or_else(|| (bytes.get(1) == Some(&0)).then_some(bytes));
    let text = match units {
        Some(bytes) => text::utf16(bytes).ok_or_else(bad)?,
        None => String::from_utf8(bytes.to_vec()).map_err(|_| bad())?,
    };
    let text: String = text.trim_end_matches('\0').split_whitespace().collect();
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    if text.is_empty() || !text.len().is_multiple_of(4) || !text.bytes().all(is_base64) {
        return Err(bad());
    }
    Ok(text)
}

/// Refuses a second way of joining a domain.
pub(super) fn check_conflict(file: &AnswerFile) -> Result<()> {
    for (pass, setting) in [(PASS, "Identification"), (OFFLINE, "OfflineIdentification")] {
        if file.text(pass, UNATTENDED_JOIN, &[setting]).is_some() {
            return Err(Error::recipe(format!(
                "a domain-join blob is given, and the answer file joins a domain too: {UNATTENDED_JOIN}/{setting} ({pass})"
            ))
            .with_hint("remove one of them"));
        }
    }
    Ok(())
}

/// Writes the blob, or the one in the answer file's offlineServicing pass, to the specialize pass.
pub(super) fn apply(file: &mut AnswerFile, blob: Option<&str>) {
    let offline = file.text(OFFLINE, UNATTENDED_JOIN, &OFFLINE_JOIN);
    if let Some(blob) = blob.or(offline.as_deref()) {
        file.set(PASS, UNATTENDED_JOIN, &JOIN, blob);
    }
    if offline.is_some() {
        file.remove(OFFLINE, UNATTENDED_JOIN, OFFLINE_JOIN[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_are_read_as_djoin_writes_them() {
        let wide: Vec<u8> = "ARAIAMzM\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let marked: Vec<u8> = [0xFF, 0xFE].into_iter().chain(wide.iter().copied()).collect();
        for bytes in [wide, marked, b"ARAI\r\nAMzM\r\n".to_vec()] {
            assert_eq!(read_blob(&bytes).unwrap(), "ARAIAMzM");
        }
        for bad in [&b""[..], b"ARA", b"<xml/>..", &[0xFF, 0xFE], &[0xFF; 8]] {
            assert!(read_blob(bad).unwrap_err().hint().is_some());
        }
    }

    #[test]
    fn an_offline_join_becomes_one_at_first_boot() {
        let mut file = AnswerFile::empty();
        file.set(OFFLINE, UNATTENDED_JOIN, &OFFLINE_JOIN, "ARAIAMzM");
        assert!(check_conflict(&file).is_err());
        apply(&mut file, None);
        assert_eq!(file.text(PASS, UNATTENDED_JOIN, &JOIN).unwrap(), "ARAIAMzM");
        assert!(file.settings(OFFLINE).is_empty());
    }
}

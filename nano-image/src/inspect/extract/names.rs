//! Names of the image's files on a host.
//!
//! One rule holds on every host, so that the same command copies the same files: a name is taken as it is or not at
//! all, and not if Windows' programs would read it as another: with a character that they give a meaning, with a dot
//! or space at its end, the name of a device, or one that differs in case only from a name that its folder has.

use std::ffi::OsString;

use crate::error::{Error, Result};
use crate::types::Utf16Name;

/// Names of devices, also with an extension ("Naming Files, Paths, and Namespaces" on learn.microsoft.com).
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
/// Devices that a digit follows.
const NUMBERED: [&str; 2] = ["COM", "LPT"];

/// A name as the host has it.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported) for one that Windows' programs would read as another.
pub(super) fn host_name(name: &Utf16Name) -> Result<OsString> {
    let text = name.to_string();
    match fault(&text) {
        Some(fault) => Err(Error::unsupported(format!("`{text}` {fault}: no file of a host is called so"))
            .with_hint("print it with cat")),
        None => Ok(units_to_host(name.units(), text)),
    }
}

/// The name of a stream behind that of its file, whose other characters Windows takes as they are.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported) for one that leads elsewhere.
pub(super) fn stream_name(name: &Utf16Name) -> Result<OsString> {
    let text = name.to_string();
    if text.is_empty() || text.contains(['/', '\\', ':', '\0']) {
        return Err(Error::unsupported(format!("`{text}` is no name of a stream on a host")));
    }
    Ok(units_to_host(name.units(), text))
}

fn fault(text: &str) -> Option<String> {
    let special = |c: char| c < ' ' || r#"<>:"/\|?*"#.contains(c);
    if let Some(c) = text.chars().find(|&c| special(c)) {
        return Some(format!("has the character {c:?}"));
    }
    if text.is_empty() || text.ends_with(['.', ' ']) {
        return Some("is empty or ends in a dot or space".to_owned());
    }
    let base = text.split('.').next().unwrap_or_default().trim_end_matches(' ').to_uppercase();
    let numbered = |device: &&str| {
        let digit = base.strip_prefix(*device).unwrap_or_default();
        matches!(digit, "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
    };
    let is_device = DEVICES.contains(&base.as_str()) || NUMBERED.iter().any(numbered);
    is_device.then(|| "is the name of a device".to_owned())
}

/// Unpaired surrogates in three bytes each, as UTF-8 would have them, so that two names stay two.
#[cfg(unix)]
fn units_to_host(units: &[u16], text: String) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    if !text.contains(char::REPLACEMENT_CHARACTER) {
        return text.into();
    }
    let mut bytes = Vec::new();
    for unit in char::decode_utf16(units.iter().copied()) {
        match unit {
            Ok(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(error) => {
                let unit = error.unpaired_surrogate();
                bytes.extend([0xE0 | (unit >> 12) as u8, 0x80 | (unit >> 6 & 0x3F) as u8, 0x80 | (unit & 0x3F) as u8]);
            }
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(windows)]
fn units_to_host(units: &[u16], _text: String) -> OsString {
    std::os::windows::ffi::OsStringExt::from_wide(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_windows_reads_otherwise_are_refused() {
        let refused = [
            "",
            ".",
            "..",
            "a.",
            "a ",
            "C:evil.txt",
            "a/b",
            r"a\b",
            "a:b",
            "what?",
            "a*",
            "\u{7}",
            "NUL",
            "nul.txt",
            "Con",
            "aux .h",
            "com1",
            "LPT9.log",
            "COM²",
            "conin$",
        ];
        for name in refused {
            assert!(host_name(&name.into()).is_err(), "{name:?}");
        }
        for name in ["a", "...a", " a", "com", "com10", "console", "nul1", "auxiliary.h", "漢字", "semi;colon", "a.b.c"]
        {
            assert_eq!(host_name(&name.into()).unwrap(), OsString::from(name));
        }
    }
}

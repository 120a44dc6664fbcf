//! Names of files of an image on the host.
//!
//! The same rule holds on every host, so that the same command copies the same files: a name is used unchanged or
//! refused. It is refused if Windows programs would read it as another: if it has a character with a special meaning, a
//! dot or space at its end, the name of a device, or if it differs only in case from another name in its folder.

use std::ffi::OsString;

use crate::error::{Error, Result};
use crate::types::{Utf16Name, windows_name_fault};

/// A name in the form of the host.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported) for a name that Windows programs would read as another.
pub(super) fn host_name(name: &Utf16Name) -> Result<OsString> {
    let text = name.to_string();
    match windows_name_fault(&text) {
        Some(fault) => Err(Error::unsupported(format!("`{text}` {fault}: no file on a host can have this name"))
            .with_hint("print it with cat")),
        None => Ok(units_to_host(name.units(), text)),
    }
}

/// The name of a stream, which follows that of its file. Windows takes its other characters as they are.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported) for one that leads elsewhere.
pub(super) fn stream_name(name: &Utf16Name) -> Result<OsString> {
    let text = name.to_string();
    if text.is_empty() || text.contains(['/', '\\', ':', '\0']) {
        return Err(Error::unsupported(format!("`{text}` cannot be the name of a stream on a host")));
    }
    Ok(units_to_host(name.units(), text))
}

/// Unpaired surrogates become three bytes each, as in UTF-8, so that different names stay different.
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

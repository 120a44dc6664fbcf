//! Names of the image's files on a host.
//!
//! One rule holds on every host, so that the same command copies the same files: a name is taken as it is or not at
//! all, and not if Windows' programs would read it as another: with a character that they give a meaning, with a dot
//! or space at its end, the name of a device, or one that differs in case only from a name that its folder has.

use std::ffi::OsString;

use crate::error::{Error, Result};
use crate::types::{Utf16Name, windows_name_fault};

/// A name as the host has it.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported) for one that Windows' programs would read as another.
pub(super) fn host_name(name: &Utf16Name) -> Result<OsString> {
    let text = name.to_string();
    match windows_name_fault(&text) {
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

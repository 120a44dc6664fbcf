//! Compressed component manifests: DCM files, which hold a PA30 delta against a fixed dictionary.
//!
//! No library for Rust reads PA30. The form is not documented by its maker; what is known of it comes from files and
//! public descriptions. What is read is what manifests use: data without a transformation for programs, without a rift
//! table and without a hash of the result. Everything else is refused by name.
//!
//! The dictionary is Microsoft's and not part of this library: [`dictionary`] takes it from the servicing stack of the
//! image.

mod bits;
mod decode;
mod dictionary;
mod format;
mod prefix_code;

use std::borrow::Cow;

pub use dictionary::dictionary;

use crate::error::{Error, Result};

/// The longest manifest that is made of a delta, in bytes; the largest known ones have some 3 MB.
const MAX_MANIFEST: usize = 64 << 20;

/// Whether a file is one of the compressed kinds that go with a dictionary or another file (`DCM`, `DCN`, `DCD` …).
pub fn is_compressed(file: &[u8]) -> bool {
    matches!(file, [b'D', b'C', _, 1, ..])
}

/// The XML text of a manifest file: the file as it is unless it is [compressed](is_compressed). `dictionary` is the
/// one of the image's servicing stack (see [`dictionary`](dictionary())); a wrong one gives wrong text, since most manifests carry no hash.
///
/// # Errors
///
/// [`Corrupt`](crate::ErrorKind::Corrupt) says at which byte; [`Unsupported`](crate::ErrorKind::Unsupported) names
/// the feature.
pub fn expand_manifest<'a>(file: &'a [u8], dictionary: &[u8]) -> Result<Cow<'a, [u8]>> {
    if !is_compressed(file) {
        return Ok(Cow::Borrowed(file));
    }
    let (magic, delta) = file.split_at(format::DCM_MAGIC.len());
    if magic != format::DCM_MAGIC {
        let kind = char::from(magic[2]);
        return Err(Error::unsupported(format!("a manifest of the compressed kind DC{kind}")).at(0));
    }
    decode::apply(delta, magic.len() as u64, dictionary, MAX_MANIFEST).map(Cow::Owned)
}

/// What the PA30 delta `delta` makes of `source`, at most `limit` bytes.
///
/// # Errors
///
/// Those of [`expand_manifest`].
pub fn apply(delta: &[u8], source: &[u8], limit: usize) -> Result<Vec<u8>> {
    decode::apply(delta, 0, source, limit)
}

#[cfg(test)]
mod tests;

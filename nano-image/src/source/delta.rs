//! Deltas of Windows updates (PA30, PA31), and compressed component manifests (DCM files), which are deltas against a
//! fixed dictionary.
//!
//! No library for Rust reads these. [`apply`] makes a file from its basis and a delta, and checks the hash that the
//! delta holds. What is not handled is refused by name: reverse deltas, PA19, LZMS bodies, managed code, programs for
//! ARM and IA64.
//!
//! The dictionary is Microsoft's and not part of this library: [`dictionary`] reads it from the servicing stack of the
//! image.

mod bits;
mod dictionary;
mod e8;
mod format;
mod hash;
mod header;
mod patch;
mod pe;
mod pe_map;
mod prefix_code;
mod preprocess;
mod rift;
mod segments;
mod transform;

use std::borrow::Cow;

pub use dictionary::dictionary;
pub use hash::{Hash, HashAlgorithm};
pub use header::Header;

use self::bits::Buffer;
use self::pe::Pe;
use self::preprocess::Preprocess;
use self::rift::Breakpoint;
use crate::error::{Error, Result};
use crate::types::ByteSize;

/// The longest manifest that a delta may produce; the largest known ones have some 3 MB.
const MAX_MANIFEST: ByteSize = ByteSize::mib(64);

/// Whether a file is one of the compressed kinds that need a dictionary or another file (`DCM`, `DCN`, `DCD` …).
pub fn is_compressed(file: &[u8]) -> bool {
    matches!(file, [b'D', b'C', _, 1, ..])
}

/// The XML text of a manifest file; a file that is not [compressed](is_compressed) is returned unchanged. `dictionary`
/// must be that of the image's servicing stack (see [`dictionary`](dictionary())). A wrong one gives wrong text without
/// an error, since most manifests carry no hash.
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
    apply_at(dictionary, delta, magic.len() as u64, MAX_MANIFEST).map(Cow::Owned)
}

#[cfg(any(test, feature = "internals"))]
/// What the header of `delta` says.
///
/// # Errors
///
/// [`Corrupt`](crate::ErrorKind::Corrupt) says at which byte; [`Unsupported`](crate::ErrorKind::Unsupported) names what
/// cannot be applied to any basis: PA19, reverse deltas, LZMS bodies.
pub fn header(delta: &[u8]) -> Result<Header> {
    header::Parts::read(delta, 0).map(|parts| parts.header)
}

/// Applies `delta` to `basis`; the result has at most `limit` bytes. Its hash is checked if the delta holds one. For a
/// delta that needs no basis, pass an empty one. Basis, result and a copy of the basis are in memory.
///
/// # Errors
///
/// [`Corrupt`](crate::ErrorKind::Corrupt) says at which byte of the delta (also if basis and delta do not belong
/// together); [`Unsupported`](crate::ErrorKind::Unsupported) names the feature.
pub fn apply(basis: &[u8], delta: &[u8], limit: ByteSize) -> Result<Vec<u8>> {
    apply_at(basis, delta, 0, limit)
}

/// Applies the delta at `offset` of its file.
fn apply_at(basis: &[u8], delta: &[u8], offset: u64, limit: ByteSize) -> Result<Vec<u8>> {
    let header::Parts { header, preprocess, patch } = header::Parts::read(delta, offset)?;
    if header.target_size > limit {
        let message = format!("a delta for {}, more than {limit}", header.target_size);
        return Err(Error::corrupt(message).at(offset));
    }
    if header.source_hash.as_ref().is_some_and(|hash| !hash.is_of(basis)) {
        return Err(Error::corrupt("the delta was made for another basis").at(offset));
    }
    if header.file_type == format::FILE_TYPE_IA64 {
        return Err(Error::unsupported("a delta for programs of IA64").at(offset));
    }
    let len = header.target_size.bytes() as usize;
    let (basis, map) = prepare(basis, &header, preprocess)?;
    let mut target = patch::apply(patch, &basis, map, len)?;
    if header.flags & format::FLAG_E8 != 0 {
        e8::undo(&mut target);
    }
    if header.target_hash.as_ref().is_some_and(|hash| !hash.is_of(&target)) {
        return Err(Error::corrupt("the result does not have the hash that the delta states").at(offset));
    }
    Ok(target)
}

/// The basis in the form from which the patch copies, and where in it the parts of the result likely are.
fn prepare<'a>(basis: &'a [u8], header: &Header, preprocess: Buffer<'_>) -> Result<(Cow<'a, [u8]>, Vec<Breakpoint>)> {
    if preprocess.bytes.is_empty() {
        return Ok((Cow::Borrowed(basis), Vec::new()));
    }
    if !header.is_pe() {
        return Err(Error::unsupported("a delta of plain data with preprocessing").at(preprocess.offset));
    }
    let result = Preprocess::read(preprocess)?;
    let about_basis = |error: Error| error.at(preprocess.offset);
    let pe = match Pe::parse(basis) {
        Ok(pe) => pe,
        // The basis is not a program, although the result is one: then only the tables give the map. The hash tells
        // whether that was right.
        Err(_) if header.target_hash.is_some() => {
            let map = [result.address_to_offset.0, result.addresses.0].concat();
            return Ok((Cow::Borrowed(basis), map));
        }
        Err(error) => {
            let message = format!("the basis is not a program: {}", error.message());
            return Err(about_basis(Error::corrupt(message)));
        }
    };
    let mut map = pe_map::pe_map(&pe, &result).map_err(about_basis)?.0;
    for entry in &mut map {
        entry.source = entry.source.wrapping_add(basis.len() as i64);
    }
    let basis = transform::transform(basis, pe, &result, header.flags).map_err(about_basis)?;
    Ok((Cow::Owned(basis), map))
}

#[cfg(test)]
mod tests;

//! Finds cabinets inside other files.

use std::path::Path;

use zerocopy::FromBytes;

use super::format::{Header, MAGIC, VERSION_MAJOR};
use crate::content::ReadAt;
use crate::error::{Error, Result};

/// Bytes read at once.
const BUFFER: u64 = 256 << 10;

/// Offsets of the cabinets in `data`, which errors call `path`: every place with a credible header that is not inside
/// of the cabinet before it. Reads all of `data`.
///
/// # Errors
///
/// [`Io`](crate::ErrorKind::Io).
pub fn find(data: &dyn ReadAt, path: impl AsRef<Path>) -> Result<Vec<u64>> {
    search(data, path.as_ref(), usize::MAX)
}

/// Like [`find`], and stops after `limit` cabinets.
pub(super) fn search(data: &dyn ReadAt, path: &Path, limit: usize) -> Result<Vec<u64>> {
    let io = |error| Error::io("read the cabinet", path, error);
    let len = data.len().map_err(io)?;
    let mut found = Vec::new();
    let mut buffer = Vec::new();
    let mut at = 0;
    while at < len && found.len() < limit {
        buffer.resize(BUFFER.min(len - at) as usize, 0);
        data.read_exact_at(&mut buffer, at).map_err(io)?;
        let mut next = at + (buffer.len() - (size_of::<Header>() - 1).min(buffer.len() - 1)) as u64;
        for (index, bytes) in buffer.windows(size_of::<Header>()).enumerate() {
            let place = at + index as u64;
            let Some(cabinet_len) = credible_len(bytes, len - place) else { continue };
            found.push(place);
            next = place + cabinet_len;
            break;
        }
        at = next;
    }
    Ok(found)
}

/// The length of the cabinet that begins with `bytes`, if there can be one in the `rest` of the file.
fn credible_len(bytes: &[u8], rest: u64) -> Option<u64> {
    if bytes[..4] != MAGIC {
        return None;
    }
    let (header, _) = Header::read_from_prefix(bytes).ok()?;
    let (len, files) = (u64::from(header.len.get()), header.files_offset.get());
    let reserved = header.reserved1.get() | header.reserved2.get() | header.reserved3.get();
    let is_credible = header.version_major == VERSION_MAJOR
        && reserved == 0
        && header.folder_count != 0
        && header.file_count != 0
        && files as usize >= size_of::<Header>()
        && u64::from(files) < len
        && len <= rest;
    is_credible.then_some(len)
}

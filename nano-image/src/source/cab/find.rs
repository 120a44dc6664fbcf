//! Finds a cabinet inside another file, e.g. a self-extracting program.

use std::path::Path;

use zerocopy::FromBytes;

use super::format::{Header, MAGIC, VERSION_MAJOR};
use crate::content::ReadAt;
use crate::error::{Error, Result};

/// Bytes read at once.
const BUFFER: u64 = 256 << 10;

/// Where the first cabinet in `data` begins: the first place with a plausible header. Errors call the file `path`.
pub(super) fn find(data: &dyn ReadAt, path: &Path) -> Result<Option<u64>> {
    let io = |error| Error::io("read the cabinet", path, error);
    let len = data.len().map_err(io)?;
    let mut buffer = Vec::new();
    let mut at = 0;
    while at < len {
        buffer.resize(BUFFER.min(len - at) as usize, 0);
        data.read_exact_at(&mut buffer, at).map_err(io)?;
        let mut headers = buffer.windows(size_of::<Header>()).zip(at..);
        if let Some((_, place)) = headers.find(|(bytes, place)| is_credible(bytes, len - place)) {
            return Ok(Some(place));
        }
        at += (buffer.len() - (size_of::<Header>() - 1).min(buffer.len() - 1)) as u64;
    }
    Ok(None)
}

/// Whether `bytes` can be the start of a cabinet, in a file that has `rest` bytes from here on.
fn is_credible(bytes: &[u8], rest: u64) -> bool {
    let Ok((header, _)) = Header::read_from_prefix(bytes) else { return false };
    let (len, files) = (u64::from(header.len.get()), header.files_offset.get());
    let reserved = header.reserved1.get() | header.reserved2.get() | header.reserved3.get();
    header.magic == MAGIC
        && header.version_major == VERSION_MAJOR
        && reserved == 0
        && header.folder_count != 0
        && header.file_count != 0
        && files as usize >= size_of::<Header>()
        && u64::from(files) < len
        && len <= rest
}

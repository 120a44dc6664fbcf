//! Reads the contents of files in all forms that an NTFS volume can have: plain, compressed by NTFS (LZNT1), compressed
//! by the overlay filter (WOF), or not on the volume.

pub mod elsewhere;
pub mod wof;

use crate::content::ReadAt;
use crate::error::{Error, Result};
use crate::volume::ntfs::{NtfsFile, NtfsReader};

/// The bytes of a stream.
pub type Stream<'a> = Box<dyn ReadAt + 'a>;

/// The stream `name` of `file`; `None` if there is no such stream. The contents have the empty name, and are
/// decompressed.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported) if it is encrypted, or if its contents are not on the volume:
/// deduplicated files, and placeholders of cloud storage.
pub fn open<'a>(reader: &NtfsReader<'a>, file: &NtfsFile, name: &str) -> Result<Option<Stream<'a>>> {
    if name.is_empty() {
        if let Some(error) = elsewhere::error(file) {
            return Err(error);
        }
        if let Some(algorithm) = wof::algorithm(file)? {
            return Ok(Some(Box::new(wof::WofStream::open(reader, file, algorithm)?)));
        }
    }
    if let Some(stream) = reader.compressed_stream(file, name)? {
        return Ok(Some(Box::new(stream)));
    }
    Ok(reader.stream(file, name)?.map(|stream| Box::new(stream) as Stream<'a>))
}

/// Whether a Windows on the volume is hibernated: `hiberfil.sys` then holds its memory. After resuming, that file is
/// zeros or begins with `wake`.
pub fn is_hibernated(reader: &NtfsReader<'_>) -> bool {
    let start = || {
        let file = reader.file(reader.find("hiberfil.sys")?.ok_or_else(|| Error::not_found("no hiberfil.sys"))?)?;
        let mut start = [0; 4];
        match reader.stream(&file, "")? {
            Some(stream) if stream.read_exact_at(&mut start, 0).is_ok() => Ok::<_, Error>(start),
            _ => Ok([0; 4]),
        }
    };
    start().is_ok_and(|start| start.eq_ignore_ascii_case(b"hibr"))
}

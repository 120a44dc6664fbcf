//! The contents of files, in whatever form an NTFS volume has them: plain, compressed by NTFS (LZNT1) or by the overlay
//! filter (WOF), or in another place.

pub mod elsewhere;
pub mod wof;

use crate::content::ReadAt;
use crate::error::{Error, Result};
use crate::volume::ntfs::{NtfsFile, NtfsReader};

/// The bytes of a stream.
pub type Stream<'a> = Box<dyn ReadAt + 'a>;

/// The stream `name` of `file`; the empty name means the contents, which come decompressed. `None` if there is no
/// such stream.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported) if it is encrypted, or if its contents are not on the volume:
/// deduplicated, or a placeholder of a cloud.
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

/// Whether a Windows on the volume is hibernated: its memory is in `hiberfil.sys`, which is zeros or says `wake` after
/// it was resumed.
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

//! Registry hives of a volume.

use super::files::{FileId, Files};
use crate::error::Result;
use crate::registry::Hive;

/// The hive that `file` at `path` is, with what is in its logs; `None`: it does not begin as one.
pub(crate) fn open(files: &Files<'_>, path: &str, file: FileId) -> Result<Option<Hive>> {
    let Some(stream) = files.open_stream(file, "")? else { return Ok(None) };
    let mut magic = [0; 4];
    if stream.read_exact_at(&mut magic, 0).is_err() || magic != *b"regf" {
        return Ok(None);
    }
    drop(stream);
    Hive::open(path, |name, limit| match name == path {
        true => files.read_contents(file, limit),
        false => files.read_file(name, limit),
    })
}

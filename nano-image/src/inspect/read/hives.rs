//! Registry hives of a volume.

use super::files::{FileId, Files};
use crate::error::Result;
use crate::registry::Hive;

/// The SOFTWARE hive of a Nano Server has 7 MiB, of a full installation up to 150.
pub(crate) const MAX_HIVE: u64 = 256 << 20;
/// Extensions of the logs of a hive.
const LOGS: [&str; 3] = [".LOG1", ".LOG2", ".LOG"];

/// The hive that `file` at `path` is, with what is in its logs; `None`: it does not begin as one.
pub(crate) fn open(files: &Files<'_>, path: &str, file: FileId) -> Result<Option<Hive>> {
    let Some(stream) = files.open_stream(file, "")? else { return Ok(None) };
    let mut magic = [0; 4];
    if stream.read_exact_at(&mut magic, 0).is_err() || magic != *b"regf" {
        return Ok(None);
    }
    drop(stream);
    let Some(bytes) = files.read_contents(file, MAX_HIVE)? else { return Ok(None) };
    if matches!(Hive::is_dirty(&bytes), Ok(false)) {
        return Hive::parse(bytes).map(Some);
    }
    let mut logs = Vec::new();
    for extension in LOGS {
        logs.extend(files.read_file(&format!("{path}{extension}"), MAX_HIVE)?);
    }
    let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
    Hive::recover(bytes, &logs).map(Some)
}

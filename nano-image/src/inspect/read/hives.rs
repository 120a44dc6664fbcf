//! Registry hives of a volume.

use super::files::{FileId, Files};
use crate::error::{Error, Result};
use crate::registry::{Hive, KeyId};
use crate::windows::edit::{self, HiveFile};

const SOFTWARE: &str = HiveFile::Software.path();
const SYSTEM: &str = HiveFile::System.path();

/// The hive in `file` at `path`, completed from its logs; `None` if it does not begin like a hive.
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

/// The hives SOFTWARE and SYSTEM, if they exist and can be read.
pub(crate) fn software_and_system(
    files: &Files<'_>,
    note: &mut dyn FnMut(&str, Error),
) -> (Option<Hive>, Option<Hive>) {
    let mut hive = |path: &str| {
        let found = files.find(path).and_then(|file| match file {
            Some(file) => open(files, path, file)?.map(Ok).transpose(),
            None => Ok(None),
        });
        found.unwrap_or_else(|error| {
            note(&format!("the registry hive `{path}` is not readable"), error);
            None
        })
    };
    (hive(SOFTWARE), hive(SYSTEM))
}

/// The control set with which the machine starts.
pub(crate) fn control_set(hive: &Hive) -> Option<KeyId> {
    hive.find(&edit::control_set(hive))
}

/// A value as text; `None` if it is empty.
pub(crate) fn text(hive: &Hive, key: KeyId, name: &str) -> Option<String> {
    hive.value(key, name)?.text().filter(|text| !text.is_empty())
}

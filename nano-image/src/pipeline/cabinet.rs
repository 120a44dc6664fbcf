//! Packages and updates that are given as files.

use std::path::Path;

use crate::content::InputFiles;
use crate::error::{Error, Result};
use crate::windows::package::CabinetSource;

/// The first bytes of cabinets and of WIM files, in which updates are delivered.
const MAGICS: [[u8; 4]; 2] = [*b"MSCF", *b"MSWI"];

/// Opens the package at `path`.
pub(super) fn open(files: &InputFiles, path: &Path) -> Result<CabinetSource> {
    if files.is_folder(path) {
        let error = Error::not_found("this is a folder, but a package is expected").with_path(path);
        return Err(error.with_hint("name each .cab or .msu file"));
    }
    let data = files.open(path).map_err(|error| Error::io("open the package", path, error))?;
    let source = CabinetSource { path: path.to_owned(), data };
    // Some files contain cabinets, ISO images for example: any of them would be found.
    let mut magic = [0; 4];
    if source.data.read_exact_at(&mut magic, 0).is_err() || !MAGICS.contains(&magic) {
        let error = Error::corrupt("not a cabinet").at(0).with_path(path);
        return Err(error.with_hint("name a .cab or .msu file; packages of media are named as they are listed there"));
    }
    Ok(source)
}

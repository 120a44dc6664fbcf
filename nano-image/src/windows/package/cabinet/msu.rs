//! `.msu` files: cabinets with the cabinets of an update and of what it needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::classify::{self, Kind};
use super::{Cabinet, CabinetSource};
use crate::content::{ReadAt, Scratch};
use crate::error::{Error, Result};
use crate::source::cab::CabFile;

/// Inner cabinets that stay in memory, in bytes each.
const MEMORY: u32 = 8 << 20;
/// What the update site, and no installation, needs.
const FOR_SCANS: &str = "wsusscan.cab";

/// The package cabinets of `sources`: of an `.msu` file those inside of it, in its order. Large ones are kept in files
/// in the folder `scratch`.
///
/// # Errors
/// Those of [`Cabinet::open`], [`Unsupported`](crate::ErrorKind::Unsupported) for an `.msu` file with anything that is
/// no whole package; [`Recipe`](crate::ErrorKind::Recipe) if a scratch folder is needed and not given.
pub fn unpack(sources: &[CabinetSource], scratch: Option<&Path>) -> Result<Vec<CabinetSource>> {
    let mut unpacked = Vec::new();
    for source in sources {
        let cabinet = Cabinet::open(source.data.clone(), &source.path)?;
        match Kind::of(cabinet.files()) {
            Kind::Package => unpacked.push(source.clone()),
            Kind::Msu => inner(&cabinet, &source.path, scratch, &mut unpacked)?,
            Kind::Refused(error) => return Err(error.with_path(&source.path)),
        }
    }
    Ok(unpacked)
}

/// An inner cabinet as it is decompressed.
enum Inner {
    Memory(Vec<u8>),
    File(Scratch, u64),
}

fn inner(cabinet: &Cabinet, path: &Path, scratch: Option<&Path>, unpacked: &mut Vec<CabinetSource>) -> Result<()> {
    let files = cabinet.files();
    let is_wanted = |file: &CabFile| {
        let name = classify::path(file).to_ascii_lowercase();
        name.ends_with(".cab") && !name.contains('\\') && name != FOR_SCANS
    };
    let mut current: Option<(usize, Inner)> = None;
    let mut finish = |current: Option<(usize, Inner)>| {
        let Some((index, inner)) = current else { return };
        let name: PathBuf = path.join(classify::path(&files[index]));
        let data: Arc<dyn ReadAt> = match inner {
            Inner::Memory(bytes) => Arc::new(bytes),
            Inner::File(file, _) => Arc::new(file),
        };
        unpacked.push(CabinetSource { path: name, data });
    };
    cabinet.extract(&is_wanted, &mut |index, piece| {
        if current.as_ref().is_none_or(|(other, _)| *other != index) {
            finish(current.take());
            let inner = match (files[index].size <= MEMORY, scratch) {
                (true, _) => Inner::Memory(Vec::new()),
                (false, Some(folder)) => Inner::File(Scratch::create(folder)?, 0),
                (false, None) => {
                    let what = "an update that does not fit into memory, and there is no scratch folder";
                    let hint = "name a folder with room for the packages' files";
                    return Err(Error::recipe(what).with_path(path).with_hint(hint));
                }
            };
            current = Some((index, inner));
        }
        match &mut current {
            Some((_, Inner::Memory(bytes))) => bytes.extend_from_slice(piece),
            Some((_, Inner::File(file, end))) => {
                file.write_at(piece, *end)?;
                *end += piece.len() as u64;
            }
            None => {}
        }
        Ok(())
    })?;
    finish(current);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use fixtures::CabBuilder;
    use fixtures::cab::Method;

    fn source(name: &str, files: &[(&str, Vec<u8>)]) -> CabinetSource {
        let files = files.iter().map(|(name, bytes)| (*name, bytes.clone()));
        let bytes = CabBuilder::new().folder(Method::Mszip, files).to_bytes();
        CabinetSource { path: name.into(), data: Arc::new(bytes) }
    }

    fn bytes(source: &CabinetSource) -> Vec<u8> {
        let mut bytes = vec![0; source.data.len().unwrap() as usize];
        source.data.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn cabinets_inside_of_an_msu_file_are_taken_out() {
        let package = source("p.cab", &[("update.mum", vec![1])]);
        let large = vec![7; MEMORY as usize + 1];
        let inner = [
            ("WSUSSCAN.cab", vec![0; 10]),
            ("Windows10.0-KB1-x64.cab", bytes(&package)),
            ("Windows10.0-KB1.xml", vec![2]),
            ("large.CAB", large.clone()),
        ];
        let msu = source("u.msu", &inner);
        let folder = tempfile::tempdir().unwrap();
        let unpacked = unpack(&[package.clone(), msu.clone()], Some(folder.path())).unwrap();
        let names: Vec<String> = unpacked.iter().map(|source| source.path.display().to_string()).collect();
        assert_eq!(names[0], "p.cab");
        assert!(names[1].ends_with("Windows10.0-KB1-x64.cab") && names[2].ends_with("large.CAB"), "{names:?}");
        assert_eq!(bytes(&unpacked[1]), bytes(&package));
        assert_eq!(bytes(&unpacked[2]), large);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(unpacked);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(unpack(&[msu], None).unwrap_err().kind(), ErrorKind::Recipe);
        let deltas = source("u.msu", &[("a.cab", vec![1]), ("a.psf", vec![2])]);
        assert_eq!(unpack(&[deltas], None).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}

//! Files that contain packages: `.msu` files (cabinets, and since 24H2 WIM files), and cabinets that form one package
//! together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::classify::{self, CABINET_LIST, Kind};
use super::{CabinetSource, wim};
use crate::content::{InputFiles, ReadAt, Scratch};
use crate::error::{Error, Result};
use crate::source::cab::Cabinet;
use crate::windows::package::files::{Carrier, Unpacked};
use crate::windows::package::spool::Spool;

/// Inner files up to this number of bytes stay in memory.
const MEMORY: u64 = 8 << 20;
/// Bytes copied at once.
const PIECE: u64 = 1 << 20;
/// Prefixes and suffixes of files that no installation needs: they are for the update site and the setup program.
const FOR_OTHERS: [&str; 4] = ["wsusscan.cab", "desktopdeployment", "aggregatedmetadata.cab", "onepackage.aggregated"];
/// Files nested deeper in each other are refused.
const MAX_DEPTH: usize = 4;

/// The packages of `sources`. For an `.msu` file, those inside it in its order. Large inner files are stored in the
/// scratch folder of `spool`. What lies beside a source is found in `files`.
///
/// # Errors
/// Those of [`Cabinet::open`] and of WIM files; [`Unsupported`](crate::ErrorKind::Unsupported) for incomplete packages
/// and other files; [`Recipe`](crate::ErrorKind::Recipe) if a scratch folder is needed and not given.
pub(in crate::windows::package) fn unpack(
    sources: &[CabinetSource],
    files: &InputFiles,
    spool: &Spool,
) -> Result<Vec<Unpacked>> {
    let mut unpacked = Vec::new();
    for source in sources {
        if let Some(error) = classify::refusal(&source.path.to_string_lossy()) {
            return Err(error.with_path(&source.path));
        }
        let carrier = match begins_with(source, wim::MAGIC) {
            true if files.in_memory(&source.path).is_none() => wim::open(&source.path, &source.path, None)?,
            true => {
                let mut copy = copied(source, spool)?;
                let named = copy.named_path()?;
                wim::open(&named, &source.path, Some(copy))?
            }
            false => Carrier::Cabinet(Cabinet::open(source.data.clone(), &source.path)?),
        };
        open(carrier, &source.path, 0, spool, &mut unpacked)?;
        // The deltas for a cabinet that was taken out of its .msu file lie beside it.
        if let [.., Unpacked { path, psf: psf @ None, .. }] = &mut unpacked[..]
            && *path == source.path
        {
            let beside = source.path.with_extension("psf");
            *psf = files.open(&beside).ok().map(|file| (beside, file));
        }
    }
    Ok(unpacked)
}

/// A file inside another one.
struct Inner {
    path: PathBuf,
    /// Its name in lower case.
    name: String,
    data: Taken,
}

/// The bytes of a file that was taken out.
enum Taken {
    Memory(Vec<u8>),
    File(Scratch, u64),
}

/// Adds the packages in `carrier` to `unpacked`.
fn open(carrier: Carrier, path: &Path, depth: usize, spool: &Spool, unpacked: &mut Vec<Unpacked>) -> Result<()> {
    let names: Vec<String> = carrier.members().into_iter().map(|(name, _)| name.to_lowercase()).collect();
    match Kind::of(names.iter().map(String::as_str)) {
        Kind::Package => unpacked.push(Unpacked { path: path.to_owned(), carriers: vec![carrier], psf: None }),
        Kind::Refused(error) => return Err(error.with_path(path)),
        _ if depth >= MAX_DEPTH => {
            return Err(Error::unsupported("packages inside of packages inside of packages").with_path(path));
        }
        Kind::Pieces => {
            let mut carriers = Vec::new();
            let (mut inner, psf) = take(&carrier, path, spool)?;
            inner.retain(|inner| inner.name != CABINET_LIST);
            for inner in inner {
                carriers.push(inner.open()?.0);
            }
            unpacked.push(Unpacked { path: path.to_owned(), carriers, psf });
        }
        Kind::Msu => {
            let first = unpacked.len();
            let (inner, psf) = take(&carrier, path, spool)?;
            if inner.is_empty() {
                let what = "no update: there is no package in it";
                return Err(Error::unsupported(what).with_path(path).with_hint("give the .msu file of an update"));
            }
            for inner in inner {
                let (carrier, path) = inner.open()?;
                open(carrier, &path, depth + 1, spool, unpacked)?;
            }
            if let Some((psf_path, psf)) = psf {
                let stem = psf_path.file_stem().map(|stem| stem.to_ascii_lowercase());
                let is_own =
                    |package: &Unpacked| package.path.file_stem().map(|stem| stem.to_ascii_lowercase()) == stem;
                let packages = &mut unpacked[first..];
                // If one of several packages has the name of the file, it is that one; otherwise the last, because the
                // servicing stack comes first.
                let own = packages.iter().position(is_own).or_else(|| packages.len().checked_sub(1));
                if let Some(own) = own {
                    packages[own].psf = Some((psf_path, psf));
                }
            }
        }
    }
    Ok(())
}

type Psf = Option<(PathBuf, Arc<dyn ReadAt>)>;

/// Takes the packages and the `.psf` file at the top level out of `carrier`.
fn take(carrier: &Carrier, path: &Path, spool: &Spool) -> Result<(Vec<Inner>, Psf)> {
    let members = carrier.members();
    let is_wanted = |name: &str| {
        let name = name.to_ascii_lowercase();
        let is_other = FOR_OTHERS.iter().any(|other| name.starts_with(other) || name.ends_with(other));
        let is_package = [".cab", ".wim", ".psf"].iter().any(|ending| name.ends_with(ending));
        is_package && !is_other && !name.contains('\\')
    };
    let wanted: BTreeSet<usize> =
        members.iter().enumerate().filter(|(_, (name, _))| is_wanted(name)).map(|(number, _)| number).collect();
    let mut taken: Vec<(usize, Taken)> = Vec::new();
    carrier.extract(&wanted, &mut |number, piece| {
        if taken.last().is_none_or(|(other, _)| *other != number) {
            let (name, len) = &members[number];
            let is_small = *len <= MEMORY && !name.to_ascii_lowercase().ends_with(".wim");
            let new = match is_small {
                true => Taken::Memory(Vec::new()),
                false => Taken::File(spool.create().map_err(|error| error.with_path(path))?, 0),
            };
            taken.push((number, new));
        }
        match taken.last_mut() {
            Some((_, Taken::Memory(bytes))) => bytes.extend_from_slice(piece),
            Some((_, Taken::File(file, end))) => {
                file.write_at(piece, *end)?;
                *end += piece.len() as u64;
            }
            None => {}
        }
        Ok(())
    })?;
    taken.sort_by_key(|(number, _)| *number);
    let (mut inner, mut psf) = (Vec::new(), None);
    for (number, data) in taken {
        let name = &members[number].0;
        let file = Inner { path: path.join(name), name: name.to_ascii_lowercase(), data };
        match file.name.ends_with(".psf") {
            true => psf = Some((file.path.clone(), file.data.read_at())),
            false => inner.push(file),
        }
    }
    Ok((inner, psf))
}

impl Taken {
    fn read_at(self) -> Arc<dyn ReadAt> {
        match self {
            Self::Memory(bytes) => Arc::new(bytes),
            Self::File(file, _) => Arc::new(file),
        }
    }
}

impl Inner {
    /// Its files, and its name in messages.
    fn open(self) -> Result<(Carrier, PathBuf)> {
        let Self { path, name, data } = self;
        let carrier = match data {
            Taken::File(mut scratch, _) if name.ends_with(".wim") => {
                let file = scratch.named_path()?;
                wim::open(&file, &path, Some(scratch))?
            }
            data => Carrier::Cabinet(Cabinet::open(data.read_at(), &path)?),
        };
        Ok((carrier, path))
    }
}

/// A copy of `source`, which is in memory, for libwim, which opens files only by path.
fn copied(source: &CabinetSource, spool: &Spool) -> Result<Scratch> {
    let failed = |error| Error::io("read", &source.path, error);
    let copy = spool.create().map_err(|error| error.with_path(&source.path))?;
    let (len, mut at, mut buffer) = (source.data.len().map_err(failed)?, 0, Vec::new());
    while at < len {
        buffer.resize((len - at).min(PIECE) as usize, 0);
        source.data.read_exact_at(&mut buffer, at).map_err(failed)?;
        copy.write_at(&buffer, at)?;
        at += buffer.len() as u64;
    }
    Ok(copy)
}

fn begins_with(source: &CabinetSource, magic: [u8; 8]) -> bool {
    let mut start = [0; 8];
    source.data.read_exact_at(&mut start, 0).is_ok() && start == magic
}

#[cfg(all(test, feature = "internals"))]
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

    fn names(unpacked: &[Unpacked]) -> Vec<String> {
        unpacked.iter().map(|package| package.path.display().to_string().replace('\\', "/")).collect()
    }

    #[test]
    fn cabinets_inside_of_an_msu_file_are_taken_out() {
        let package = source("p.cab", &[("update.mum", vec![1])]);
        let noise: Vec<u8> = (0..MEMORY as u32 * 2).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let stored = [("update.mum", vec![1]), (r"a\large", noise)].map(|(name, bytes)| (name, bytes));
        let large = CabBuilder::new().folder(Method::Stored, stored).to_bytes();
        let inner = [
            ("WSUSSCAN.cab", vec![0; 10]),
            ("DesktopDeployment_x86.cab", vec![0; 10]),
            ("Windows10.0-KB1-x64.cab", bytes(&package)),
            ("Windows10.0-KB1.xml", vec![2]),
            ("Windows10.0-KB1-x64.psf", vec![3; 200]),
            ("large.CAB", large),
        ];
        let msu = source("u.msu", &inner);
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(Some(folder.path()), 0);
        let unpacked = unpack(&[package.clone(), msu.clone()], &InputFiles::default(), &spool).unwrap();
        assert_eq!(names(&unpacked), ["p.cab", "u.msu/Windows10.0-KB1-x64.cab", "u.msu/large.CAB"]);
        assert!(unpacked[1].psf.is_some() && unpacked[2].psf.is_none());
        drop(unpacked);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let error = unpack(&[msu], &InputFiles::default(), &Spool::new(None, 0)).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Recipe);
    }

    #[test]
    fn cabinets_of_a_list_are_one_package() {
        let part = |name, file| bytes(&source(name, &[(file, vec![1])]));
        let pieces = [
            ("cabinet.cablist.ini", b"[CabinetList]".to_vec()),
            ("Cab_1_for_KB1_PSFX.cab", part("1", "update.mum")),
            ("Cab_2_for_KB1_PSFX.cab", part("2", r"amd64_a\f\a.dll")),
        ];
        let cabinet = source("windows10.0-kb1.cab", &pieces);
        let msu = source("u.msu", &[("windows10.0-kb1.cab", bytes(&cabinet))]);
        let unpacked = unpack(&[msu], &InputFiles::default(), &Spool::new(None, 0)).unwrap();
        assert_eq!(names(&unpacked), ["u.msu/windows10.0-kb1.cab"]);
        assert_eq!(unpacked[0].carriers.len(), 2);
    }

    #[test]
    fn what_is_no_update_is_refused_by_name() {
        let package = source("p.cab", &[("update.mum", vec![1])]);
        for (name, files) in [
            ("windows10.0-kb1-x64_express.cab", vec![("update.mum", vec![1])]),
            ("u.msu", vec![("windows10.0-kb1-baseless.cab", bytes(&package))]),
            ("u.msu", vec![("WSUSSCAN.cab", vec![1])]),
            ("u.msu", vec![("only.psf", vec![1])]),
        ] {
            let error =
                unpack(&[source(name, &files)], &InputFiles::default(), &Spool::new(None, 0)).map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("msu")), "{error}");
        }
    }
}

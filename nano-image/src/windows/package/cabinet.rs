//! Package cabinets, read as their contents are needed.
//!
//! A package consists of a description (`update.mum`) and those of the packages in it, their catalogs, a manifest for
//! each component, and the files of components in folders with the manifests' names. An update has tens of thousands of
//! descriptions, of which an image needs few: each is found by the name of its file and read only then.

mod classify;
mod msu;
mod summary;
mod wim;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::contents::{Contents, Dictionary, Mum, PackageSource, Part, ROOT, lower_id, read_mum};
use super::files::{Files, Unpacked};
use super::spool::Spool;
use crate::content::ReadAt;
use crate::error::{Error, Result};

pub(super) use msu::unpack;
pub use summary::{Summary, summary};

/// A `.cab` or `.msu` file to install.
#[derive(Clone)]
pub struct CabinetSource {
    /// Its name in messages.
    pub path: PathBuf,
    /// The file.
    pub data: Arc<dyn ReadAt>,
}

impl fmt::Debug for CabinetSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CabinetSource").field("path", &self.path).finish_non_exhaustive()
    }
}

impl CabinetSource {
    /// The file at `path` of the host.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) and [`Io`](crate::ErrorKind::Io).
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let file = std::fs::File::open(&path).map_err(|error| Error::io("open the package", &path, error))?;
        Ok(Self { path, data: Arc::new(file) })
    }
}

/// A package cabinet whose file names have been read.
pub(super) struct Opened {
    pub contents: Contents,
    /// The package for which it was made.
    root: Arc<Mum>,
}

/// A package cabinet whose packages and components are read when they are needed.
#[derive(Debug)]
pub struct PackageCabinet<'a> {
    root: Arc<Mum>,
    /// What is in it.
    pub source: PackageSource<'a>,
}

impl Opened {
    /// Reads the description of `package`. Its files are kept in `spool`: all at once, or as they are needed.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for broken cabinets and descriptions,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if there is no `update.mum`.
    pub fn read(package: Unpacked, spool: Arc<Spool>, at_once: bool) -> Result<Self> {
        let files = Files::open(package, spool)?;
        let is_read = |part: Part| part.is_metadata() || (at_once && part == Part::Payload);
        files.fetch(files.names().filter(|name| is_read(Part::of(name))))?;
        let root = read_mum(&files, ROOT)?.ok_or_else(|| {
            Error::unsupported("the cabinet is not a package: it has no update.mum")
                .with_path(files.path())
                .with_hint("give a package as it is on the install media, or an .msu file")
        })?;
        Ok(Self { contents: Contents::new(files)?, root })
    }

    /// The identifier of its package, for comparison.
    pub fn id(&self) -> String {
        lower_id(&self.root.package.identity)
    }

    /// The package for which the cabinet was made.
    pub fn root(&self) -> &Arc<Mum> {
        &self.root
    }
}

impl<'a> PackageCabinet<'a> {
    /// For a cabinet whose file names have been read. Compressed manifests are read with `dictionary`.
    pub(super) fn new(opened: Opened, dictionary: &'a Dictionary<'a>) -> Self {
        let Opened { contents, root } = opened;
        Self { root, source: PackageSource::new(contents, dictionary) }
    }

    /// The package for which the cabinet was made.
    pub fn root(&self) -> &Arc<Mum> {
        &self.root
    }
}

#[cfg(all(test, feature = "internals"))]
mod tests {
    use super::*;
    use crate::windows::package::testing;

    fn collected(folder: &str) -> Vec<CabinetSource> {
        let Some(folder) = fixtures::outside::shared(folder) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "cab" || extension == "msu"));
        paths.sort();
        assert!(!paths.is_empty());
        paths.into_iter().map(|path| CabinetSource::open(path).unwrap()).collect()
    }

    /// A real cabinet of a package that is collected beside the repository, where it is: MSZIP, a signature behind
    /// it, and plain manifests.
    #[test]
    fn a_collected_cabinet() {
        for source in collected("data/cbs") {
            let dictionary = testing::plain();
            let cabinet = testing::open(&source, &dictionary).unwrap();
            assert!(cabinet.root().catalog.is_some() && cabinet.source.manifest_names().count() > 10);
            for stem in cabinet.source.manifest_names() {
                let file = cabinet.source.parse(stem).unwrap();
                assert_eq!(file.stem, file.manifest.identity.key_form());
                assert_eq!(file.manifest.is_deployment, !file.manifest.dependencies.is_empty());
            }
            assert_eq!(summary(&source).unwrap().packages, [cabinet.root().package.clone()]);
        }
    }

    /// Real updates that are collected beside the repository: their files are deltas of each other. Descriptions and
    /// manifests of all are understood.
    #[test]
    fn collected_updates() {
        // Packages, manifests, files and their bytes of each.
        let known = [
            ("Windows6.1-KB2883457-amd64.cab", 5, 4, 6, 3_454_464),
            ("Windows6.1-KB2999226-x64.msu", 5, 10, 96, 5_173_200),
            ("Windows8.1-KB2999226-x64.msu", 4, 5, 32, 2_393_576),
        ];
        for source in collected("data/updates") {
            let name = source.path.file_name().unwrap().to_str().unwrap();
            let Some(known) = known.iter().find(|known| known.0 == name) else { continue };
            let dictionary = testing::plain();
            let cabinet = testing::open(&source, &dictionary).unwrap();
            let manifests = cabinet.source.manifest_names().map(|stem| cabinet.source.parse(stem).unwrap());
            let files: usize = manifests.map(|file| file.manifest.files.len()).sum();
            let summary = summary(&source).unwrap();
            let found =
                (name, summary.packages.len(), cabinet.source.manifest_names().count(), files, summary.payload_len);
            assert_eq!(&found, known);
            assert_eq!(summary.files as usize, files);
        }
    }
}

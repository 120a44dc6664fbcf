//! Package cabinets: what is in them, read in one pass.
//!
//! A cabinet holds the description of a package (`update.mum`) and of the packages in it, their catalogs, a manifest
//! for each component, and the files of components in folders of the manifests' names. Descriptions, catalogs and
//! manifests stay in memory; everything else goes to a [`PayloadSink`] as it is decompressed.

mod classify;
mod msu;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::identity::AssemblyIdentity;
use super::manifest::Manifest;
use super::mum::Package;
use crate::content::ReadAt;
use crate::error::{Error, Result};
use crate::source::cab::{CabFile, Cabinet};
use crate::source::delta;
use classify::{Kind, Part};

pub use msu::unpack;

/// Descriptions, catalogs and manifests of one cabinet, in bytes in all; the largest known ones have some 100 MB.
const MAX_METADATA: u64 = 512 << 20;

/// A `.cab` or `.msu` file to install.
#[derive(Clone)]
pub struct CabinetSource {
    /// What messages call it.
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
    /// The file at `path` of the machine that builds.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) and [`Io`](crate::ErrorKind::Io).
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let file = std::fs::File::open(&path).map_err(|error| Error::io("open the package", &path, error))?;
        Ok(Self { path, data: Arc::new(file) })
    }
}

/// Takes the files of components while a cabinet is decompressed.
pub trait PayloadSink {
    /// A file of `len` bytes begins. Its path is as in the cabinet, with `\` and without one at the start:
    /// `<key form>\<source name>`.
    fn begin(&mut self, path: &str, len: u64) -> Result<()>;

    /// The next bytes of it.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;
}

/// What a package cabinet says of itself, without its components.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The packages in it: the one that it is made for, and then those inside of that, in the order of the cabinet.
    pub packages: Vec<Package>,
    /// Files of components.
    pub files: u64,
    /// Their bytes.
    pub payload_len: u64,
}

/// Reads what is said of the packages in a cabinet; components are decompressed at most, and not kept.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported) for cabinets that are no packages,
/// [`Corrupt`](crate::ErrorKind::Corrupt) for broken ones.
pub fn summary(source: &CabinetSource) -> Result<Summary> {
    let cabinet = open(source)?;
    let parts = cabinet.files().iter().map(|file| (file, Part::of(file)));
    let (mut files, mut payload_len) = (0, 0);
    for (file, part) in parts {
        if part == Part::Payload {
            (files, payload_len) = (files + 1, payload_len + u64::from(file.size));
        }
    }
    let mut raw = Raw::default();
    raw.read(&cabinet, &|part| part == Part::Description, None)?;
    let packages = raw.packages(&source.path)?.into_iter().map(|mum| mum.package).collect();
    Ok(Summary { packages, files, payload_len })
}

/// A package cabinet that is read and understood.
#[derive(Debug)]
pub struct PackageCabinet {
    /// What messages call it.
    pub path: PathBuf,
    /// The packages in it; the first is the one that the cabinet is made for.
    pub packages: Vec<Arc<Mum>>,
    /// Components by their [key form](AssemblyIdentity::key_form).
    manifests: BTreeMap<String, Arc<StoredManifest>>,
}

/// A package's description and catalog.
#[derive(Debug)]
pub struct Mum {
    /// What it says.
    pub package: Package,
    /// The `.mum` file.
    pub bytes: Arc<[u8]>,
    /// The `.cat` file beside it.
    pub catalog: Option<Arc<[u8]>>,
}

/// A component's manifest.
#[derive(Debug)]
pub struct StoredManifest {
    /// Name of the file without ending, and of the folder with the component's files in the cabinet.
    pub stem: String,
    /// The file, which may be compressed.
    pub stored: Arc<[u8]>,
    /// SHA-256 of its text.
    pub digest: [u8; 32],
    /// What it says.
    pub manifest: Manifest,
}

impl PackageCabinet {
    /// The manifest of the component `identity`.
    pub fn manifest(&self, identity: &AssemblyIdentity) -> Option<&Arc<StoredManifest>> {
        self.manifests.get(&identity.key_form())
    }

    /// All components, in the order of their key forms.
    pub fn manifests(&self) -> impl Iterator<Item = &Arc<StoredManifest>> {
        self.manifests.values()
    }
}

/// A cabinet whose payload is handed on and whose other files are in memory.
#[derive(Default)]
pub struct Raw {
    /// Names in lower case, and contents, in the order of the cabinet.
    descriptions: Vec<(String, Arc<[u8]>)>,
    catalogs: BTreeMap<String, Arc<[u8]>>,
    manifests: Vec<(String, Arc<[u8]>)>,
}

impl Raw {
    /// Decompresses the whole cabinet once; what is payload goes to `sink`.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for cabinets that are no packages,
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for broken ones; those of `sink`.
    pub fn open(source: &CabinetSource, sink: &mut dyn PayloadSink) -> Result<Self> {
        let mut raw = Self::default();
        raw.read(&open(source)?, &|part| part != Part::Other, Some(sink))?;
        Ok(raw)
    }

    /// Whether a manifest is compressed, so that a dictionary is needed.
    pub fn is_compressed(&self) -> bool {
        self.manifests.iter().any(|(_, bytes)| delta::is_compressed(bytes))
    }

    /// Understands descriptions and manifests; compressed ones with the `dictionary`.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for what is broken, and for a manifest that is not of the component that
    /// its name says; [`Unsupported`](crate::ErrorKind::Unsupported).
    pub fn parse(self, path: &Path, dictionary: &[u8]) -> Result<PackageCabinet> {
        let packages: Vec<_> = self.packages(path)?.into_iter().map(Arc::new).collect();
        let mut manifests = BTreeMap::new();
        for (stem, stored) in self.manifests {
            let in_file = |error: Error| error.with_path(path.join(format!("{stem}.manifest")));
            let file = parse_manifest(stem.clone(), stored, dictionary).map_err(in_file)?;
            manifests.insert(file.manifest.identity.key_form(), Arc::new(file));
        }
        Ok(PackageCabinet { path: path.to_owned(), packages, manifests })
    }

    fn read(
        &mut self,
        cabinet: &Cabinet,
        wanted: &dyn Fn(Part) -> bool,
        sink: Option<&mut dyn PayloadSink>,
    ) -> Result<()> {
        let mut sink = sink;
        let files = cabinet.files();
        let is_kept = |file: &CabFile| matches!(Part::of(file), Part::Description | Part::Catalog | Part::Manifest);
        let kept: u64 = files.iter().filter(|file| is_kept(file)).map(|file| u64::from(file.size)).sum();
        if kept > MAX_METADATA {
            let what = format!("a package with {kept} bytes of descriptions; {MAX_METADATA} at most are handled");
            return Err(Error::unsupported(what));
        }
        let (mut current, mut bytes) = (None, Vec::new());
        cabinet.extract(&|file| wanted(Part::of(file)), &mut |index, piece| {
            let file = &files[index];
            let is_payload = Part::of(file) == Part::Payload;
            if current != Some(index) {
                if let Some(last) = current.replace(index) {
                    self.keep(&files[last], std::mem::take(&mut bytes));
                }
                if let Some(sink) = sink.as_mut().filter(|_| is_payload) {
                    sink.begin(&classify::path(file), file.size.into())?;
                }
            }
            match sink.as_mut().filter(|_| is_payload) {
                Some(sink) => sink.append(piece)?,
                None => bytes.extend_from_slice(piece),
            }
            Ok(())
        })?;
        if let Some(last) = current {
            self.keep(&files[last], bytes);
        }
        Ok(())
    }

    fn keep(&mut self, file: &CabFile, bytes: Vec<u8>) {
        let name = classify::path(file).to_ascii_lowercase();
        let stem = name.rsplit_once('.').map_or(&*name, |(stem, _)| stem).to_owned();
        match Part::of(file) {
            Part::Description => self.descriptions.push((stem, bytes.into())),
            Part::Catalog => drop(self.catalogs.insert(stem, bytes.into())),
            Part::Manifest => self.manifests.push((stem, bytes.into())),
            Part::Payload | Part::Other => {}
        }
    }

    /// The packages, the main one first.
    fn packages(&self, path: &Path) -> Result<Vec<Mum>> {
        let mut mums = Vec::new();
        for (stem, bytes) in &self.descriptions {
            let in_file = |error: Error| error.with_path(path.join(format!("{stem}.mum")));
            let package = Package::parse(bytes).map_err(in_file)?;
            if let Some(name) = &package.psf_name {
                return Err(classify::refuse(&format!("its files are deltas in `{name}`")).with_path(path));
            }
            let mum = Mum { package, bytes: bytes.clone(), catalog: self.catalogs.get(stem).cloned() };
            mums.insert(if stem == "update" { 0 } else { mums.len() }, mum);
        }
        Ok(mums)
    }
}

/// Opens a cabinet that is a package.
fn open(source: &CabinetSource) -> Result<Cabinet> {
    let cabinet = Cabinet::open(source.data.clone(), &source.path)?;
    match Kind::of(cabinet.files()) {
        Kind::Package => Ok(cabinet),
        Kind::Msu => Err(Error::unsupported("an .msu file inside of another one").with_path(&source.path)),
        Kind::Refused(error) => Err(error.with_path(&source.path)),
    }
}

fn parse_manifest(stem: String, stored: Arc<[u8]>, dictionary: &[u8]) -> Result<StoredManifest> {
    let text = delta::expand_manifest(&stored, dictionary)?;
    let manifest = Manifest::parse(&text)?;
    let name = manifest.identity.key_form();
    // The hash at the end tells identities apart; the rest of the name is for people.
    let hash = |name: &str| name.rsplit_once('_').map(|(_, hash)| hash.to_owned());
    if hash(&name) != hash(&stem) {
        let what = format!("the name of the manifest is not that of its component, `{name}`");
        let hint = if delta::is_compressed(&stored) { "the image's dictionary may not fit the package" } else { "" };
        let error = Error::corrupt(what);
        return Err(if hint.is_empty() { error } else { error.with_hint(hint) });
    }
    let digest = Sha256::digest(&text).into();
    Ok(StoredManifest { stem, digest, manifest, stored: stored.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windows::package::testing::Nowhere;

    /// A real cabinet of a package that is collected beside the repository, where it is: MSZIP, a signature behind
    /// it, and plain manifests.
    #[test]
    fn a_collected_cabinet() {
        let Some(folder) = fixtures::outside::shared("data/cbs") else { return };
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let mut count = 0;
        for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "cab")) {
            count += 1;
            let source = CabinetSource::open(&path).unwrap();
            let raw = Raw::open(&source, &mut Nowhere).unwrap();
            let manifests = raw.manifests.len();
            assert!(!raw.is_compressed());
            let cabinet = raw.parse(&path, &[]).unwrap();
            assert!(
                cabinet.packages[0].catalog.is_some() && cabinet.manifests().count() == manifests && manifests > 10
            );
            for file in cabinet.manifests() {
                assert_eq!(file.stem, file.manifest.identity.key_form());
                assert_eq!(file.manifest.is_deployment, !file.manifest.dependencies.is_empty());
            }
            assert_eq!(summary(&source).unwrap().packages, [cabinet.packages[0].package.clone()]);
        }
        assert!(count > 0);
    }
}

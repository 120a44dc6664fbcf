//! Package cabinets: what is in them, read as it is asked for.
//!
//! A package is a description (`update.mum`) and those of the packages in it, their catalogs, a manifest for each
//! component, and the files of components in folders of the manifests' names. An update has tens of thousands of
//! descriptions, of which an image needs few: each is found by the name of its file, and read then.

mod classify;
mod msu;
mod summary;
mod wim;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sha2::{Digest, Sha256};

use super::files::{Files, Unpacked};
use super::identity::AssemblyIdentity;
use super::manifest::Manifest;
use super::mum::Package;
use super::spool::Spool;
use crate::content::ReadAt;
use crate::error::{Error, Result};
use crate::source::{delta, update};
use classify::Part;

pub(super) use msu::unpack;
pub use summary::{Summary, summary};

/// What manifests of the servicing stack have in their names.
const STACK: &str = "_microsoft-windows-servicingstack_";

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

/// The dictionary of compressed manifests, which is read when the first one is met.
pub struct Dictionary<'a> {
    read: Box<dyn Fn() -> Result<Vec<u8>> + Send + Sync + 'a>,
    bytes: OnceLock<Vec<u8>>,
}

impl<'a> Dictionary<'a> {
    /// What `read` gives.
    pub fn new(read: impl Fn() -> Result<Vec<u8>> + Send + Sync + 'a) -> Self {
        Self { read: Box::new(read), bytes: OnceLock::new() }
    }

    /// The text of a manifest file and what it says.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt), [`Unsupported`](crate::ErrorKind::Unsupported), and those of the
    /// dictionary.
    pub fn parse(&self, stored: &[u8]) -> Result<(Manifest, [u8; 32])> {
        let dictionary = if delta::is_compressed(stored) { self.get()? } else { &[] };
        let text = delta::expand_manifest(stored, dictionary)?;
        Ok((Manifest::parse(&text)?, Sha256::digest(&text).into()))
    }

    fn get(&self) -> Result<&[u8]> {
        if self.bytes.get().is_none() {
            // Another thread may have been quicker, with the same bytes.
            let _ = self.bytes.set((self.read)()?);
        }
        Ok(self.bytes.get().map_or(&[], Vec::as_slice))
    }
}

/// A package cabinet whose names are known.
pub(super) struct Opened {
    pub files: Files,
    /// The package that it is made for.
    root: Arc<Mum>,
    /// Names without ending of the descriptions, by package identifier in lower case.
    packages: BTreeMap<String, (AssemblyIdentity, String)>,
    /// Names without ending of manifests, by the hash at their end, which tells components apart.
    manifests: BTreeMap<String, String>,
    /// The same names in order.
    stems: BTreeSet<String>,
}

/// A package cabinet, whose packages and components are read when they are asked for.
pub struct PackageCabinet<'a> {
    opened: Opened,
    dictionary: &'a Dictionary<'a>,
    parsed: Mutex<BTreeMap<String, Arc<StoredManifest>>>,
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

impl Opened {
    /// Reads the description of `package`, whose files are kept in `spool`: all of them at once, or as they are needed.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for broken cabinets and descriptions,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if there is no `update.mum`.
    pub fn read(package: Unpacked, spool: Arc<Spool>, at_once: bool) -> Result<Self> {
        let files = Files::open(package, spool)?;
        let is_read = |part: Part| part.is_metadata() || (at_once && part == Part::Payload);
        files.fetch(files.names().filter(|name| is_read(Part::of(name))))?;
        let metadata = files.names().filter(|name| Part::of(name).is_metadata());
        let (mut manifests, mut stems, mut descriptions) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        for name in metadata {
            let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned();
            match Part::of(name) {
                Part::Manifest => {
                    let hash = stem.rsplit_once('_').map_or("", |(_, hash)| hash).to_owned();
                    manifests.insert(hash, stem.clone());
                    stems.insert(stem);
                }
                Part::Description if stem != "update" => descriptions.push(stem),
                _ => {}
            }
        }
        let root = read_mum(&files, "update")?.ok_or_else(|| {
            Error::unsupported("the cabinet is not a package: it has no update.mum")
                .with_path(files.path())
                .with_hint("give a package as it is on the install media, or an .msu file")
        })?;
        let mut packages = BTreeMap::new();
        packages.insert(lower_id(&root.package.identity), (root.package.identity.clone(), "update".to_owned()));
        for stem in descriptions {
            // Names are identifiers; what is called otherwise is looked into.
            let identity = match AssemblyIdentity::from_package_id(&stem) {
                Some(identity) => identity,
                None if stem.starts_with("update-") => continue,
                None => match read_mum(&files, &stem)? {
                    Some(mum) => mum.package.identity.clone(),
                    None => continue,
                },
            };
            packages.entry(lower_id(&identity)).or_insert((identity, stem));
        }
        Ok(Self { files, root, packages, manifests, stems })
    }

    /// The identifier of its package, for comparison.
    pub fn id(&self) -> String {
        lower_id(&self.root.package.identity)
    }

    /// Whether it brings a new servicing stack, which other packages are installed with.
    pub fn is_stack(&self) -> bool {
        self.stems.iter().any(|stem| stem.contains(STACK))
    }

    /// The package that the cabinet is made for.
    pub fn root(&self) -> &Arc<Mum> {
        &self.root
    }

    /// How many packages there are in it.
    pub fn package_count(&self) -> usize {
        self.packages.len()
    }

    /// How many components there are in it.
    pub fn manifest_count(&self) -> usize {
        self.stems.len()
    }

    /// How its files are packed.
    pub fn form(&self) -> &'static str {
        match (self.is_express(), self.files.has_parts()) {
            (true, _) => "express",
            (false, true) => "intra-package-deltas",
            (false, false) => "whole",
        }
    }

    /// Whether its files are deltas of files of the image.
    pub fn is_express(&self) -> bool {
        use update::member::{Kind, split};
        self.files.names().any(|name| matches!(split(name), Some((Kind::Forward | Kind::Null, ..))))
    }

    /// The package with the identifier `id`, in lower case.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for a description that cannot be understood, or of another package.
    pub fn package(&self, id: &str) -> Result<Option<Arc<Mum>>> {
        let Some((_, stem)) = self.packages.get(id) else { return Ok(None) };
        if stem == "update" {
            return Ok(Some(self.root.clone()));
        }
        let mum = read_mum(&self.files, stem)?;
        if let Some(mum) = &mum
            && lower_id(&mum.package.identity) != id
        {
            let what = format!(
                "the name of the description is not that of its package, `{}`",
                mum.package.identity.package_id()
            );
            return Err(Error::corrupt(what).with_path(self.files.path().join(format!("{stem}.mum"))));
        }
        Ok(mum)
    }
}

impl<'a> PackageCabinet<'a> {
    /// Of names that are known; compressed manifests are read with `dictionary`.
    pub(super) fn new(opened: Opened, dictionary: &'a Dictionary<'a>) -> Self {
        Self { opened, dictionary, parsed: Mutex::default() }
    }

    /// What messages call it.
    pub fn path(&self) -> &Path {
        self.opened.files.path()
    }

    /// The package that the cabinet is made for.
    pub fn root(&self) -> &Arc<Mum> {
        &self.opened.root
    }

    /// Names of all packages in it.
    pub fn identities(&self) -> impl Iterator<Item = &AssemblyIdentity> {
        self.opened.packages.values().map(|(identity, _)| identity)
    }

    /// The package with the identifier `id`, in lower case.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for a description that cannot be understood, or of another package.
    pub fn package(&self, id: &str) -> Result<Option<Arc<Mum>>> {
        self.opened.package(id)
    }

    /// The manifest of the component `identity`.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for what is broken, and for a manifest that is not of the component that
    /// its name says; [`Unsupported`](crate::ErrorKind::Unsupported).
    pub fn manifest(&self, identity: &AssemblyIdentity) -> Result<Option<Arc<StoredManifest>>> {
        let key = identity.key_form();
        let hash = key.rsplit_once('_').map_or("", |(_, hash)| hash);
        self.opened.manifests.get(hash).map(|stem| self.parse(stem)).transpose()
    }

    /// Manifests of the components that `pattern` fits, whose language may be `*`, in any version.
    ///
    /// # Errors
    /// Those of [`manifest`](Self::manifest).
    pub fn matching(&self, pattern: &AssemblyIdentity) -> Result<Vec<Arc<StoredManifest>>> {
        let key = pattern.key_form();
        let start = key.split_once(&format!("_{}_", pattern.version)).map_or(&*key, |(start, _)| start);
        let start = format!("{start}_");
        let stems = self.opened.stems.range(start.clone()..).take_while(|stem| stem.starts_with(&start));
        let mut found = Vec::new();
        for stem in stems {
            let file = self.parse(stem)?;
            if file.manifest.identity.fits(pattern) {
                found.push(file);
            }
        }
        Ok(found)
    }

    /// Names of all manifests without ending, which are key forms of components.
    #[cfg(test)]
    pub fn manifest_names(&self) -> impl Iterator<Item = &str> {
        self.opened.stems.iter().map(String::as_str)
    }

    /// Its files.
    pub(super) fn files(&self) -> &Files {
        &self.opened.files
    }

    /// Whether its files are deltas of files of the image.
    pub fn is_express(&self) -> bool {
        self.opened.is_express()
    }

    fn parse(&self, stem: &str) -> Result<Arc<StoredManifest>> {
        if let Some(known) = self.parsed.lock().unwrap_or_else(PoisonError::into_inner).get(stem) {
            return Ok(known.clone());
        }
        let name = format!("{stem}.manifest");
        let in_file = |error: Error| error.with_path(self.path().join(&name));
        let stored = self.files().read(&name)?.unwrap_or_else(|| Arc::from([]));
        let file = Arc::new(parse_manifest(stem, stored, self.dictionary).map_err(in_file)?);
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner).insert(stem.to_owned(), file.clone());
        Ok(file)
    }
}

impl fmt::Debug for PackageCabinet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PackageCabinet").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// The identifier of a package, for comparison.
pub(super) fn lower_id(identity: &AssemblyIdentity) -> String {
    identity.package_id().to_ascii_lowercase()
}

fn read_mum(files: &Files, stem: &str) -> Result<Option<Arc<Mum>>> {
    let name = format!("{stem}.mum");
    let Some(bytes) = files.read(&name)? else { return Ok(None) };
    let package = Package::parse(&bytes).map_err(|error| error.with_path(files.path().join(name)))?;
    let catalog = files.read(&format!("{stem}.cat"))?;
    Ok(Some(Arc::new(Mum { package, bytes, catalog })))
}

fn parse_manifest(stem: &str, stored: Arc<[u8]>, dictionary: &Dictionary<'_>) -> Result<StoredManifest> {
    let (manifest, digest) = dictionary.parse(&stored)?;
    let name = manifest.identity.key_form();
    // The hash at the end tells identities apart; the rest of the name is for people.
    let hash = |name: &str| name.rsplit_once('_').map(|(_, hash)| hash.to_owned());
    if hash(&name) != hash(stem) {
        let what = format!("the name of the manifest is not that of its component, `{name}`");
        let hint = if delta::is_compressed(&stored) { "the image's dictionary may not fit the package" } else { "" };
        let error = Error::corrupt(what);
        return Err(if hint.is_empty() { error } else { error.with_hint(hint) });
    }
    Ok(StoredManifest { stem: stem.to_owned(), digest, manifest, stored })
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
            assert!(cabinet.root().catalog.is_some() && cabinet.manifest_names().count() > 10);
            for stem in cabinet.manifest_names() {
                let file = cabinet.parse(stem).unwrap();
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
            let manifests = cabinet.manifest_names().map(|stem| cabinet.parse(stem).unwrap());
            let files: usize = manifests.map(|file| file.manifest.files.len()).sum();
            let summary = summary(&source).unwrap();
            let found = (name, summary.packages.len(), cabinet.manifest_names().count(), files, summary.payload_len);
            assert_eq!(&found, known);
            assert_eq!(summary.files as usize, files);
        }
    }
}

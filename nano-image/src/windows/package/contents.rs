//! The packages and components of one source (a cabinet or an image), by name. They are read as they are needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sha2::{Digest, Sha256};

use super::files::Files;
use super::identity::AssemblyIdentity;
use super::manifest::Manifest;
use super::mum::Package;
use crate::error::{Error, Result};
use crate::source::{delta, update};

/// Name, without the extension, of the description for which a cabinet was made.
pub(super) const ROOT: &str = "update";
/// What the names of the servicing stack's manifests contain.
const STACK: &str = "_microsoft-windows-servicingstack_";

/// The dictionary for compressed manifests. It is read when the first such manifest is met.
pub struct Dictionary<'a> {
    read: Box<dyn Fn() -> Result<Vec<u8>> + Send + Sync + 'a>,
    bytes: OnceLock<Vec<u8>>,
}

impl<'a> Dictionary<'a> {
    /// The result of reading it.
    pub fn new(read: impl Fn() -> Result<Vec<u8>> + Send + Sync + 'a) -> Self {
        Self { read: Box::new(read), bytes: OnceLock::new() }
    }

    /// The text of a manifest file, and its parsed contents.
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
            // Another thread may have been faster; its bytes are the same.
            let _ = self.bytes.set((self.read)()?);
        }
        Ok(self.bytes.get().map_or(&[], Vec::as_slice))
    }
}

/// A package's description and catalog.
#[derive(Debug)]
pub struct Mum {
    /// Its parsed contents.
    pub package: Package,
    /// The `.mum` file.
    pub bytes: Arc<[u8]>,
    /// The `.cat` file beside it.
    pub catalog: Option<Arc<[u8]>>,
}

/// A component's manifest.
#[derive(Debug)]
pub struct StoredManifest {
    /// Name of the file without the extension, which is also the name of the folder with the component's files in the
    /// cabinet.
    pub stem: String,
    /// The file, which may be compressed.
    pub stored: Arc<[u8]>,
    /// SHA-256 of its text.
    pub digest: [u8; 32],
    /// Its parsed contents.
    pub manifest: Manifest,
}

/// The role of a file in a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `.mum` at the top.
    Description,
    /// `.cat` at the top.
    Catalog,
    /// `.manifest` at the top.
    Manifest,
    /// In a folder.
    Payload,
    /// Anything else at the top.
    Other,
}

impl Part {
    /// Of a path with `\` between names, in lower case.
    pub fn of(path: &str) -> Self {
        if path.contains('\\') {
            return Self::Payload;
        }
        match path.rsplit_once('.').map(|(_, ending)| ending) {
            Some("mum") => Self::Description,
            Some("cat") => Self::Catalog,
            Some("manifest") => Self::Manifest,
            _ => Self::Other,
        }
    }

    /// Whether it describes the package.
    pub fn is_metadata(self) -> bool {
        matches!(self, Self::Description | Self::Catalog | Self::Manifest)
    }
}

/// The contents of a source, by name.
pub(super) struct Contents {
    pub files: Files,
    /// Names without extension of the descriptions, by package identifier in lower case.
    packages: BTreeMap<String, (AssemblyIdentity, String)>,
    /// Names without extension of manifests, by the hash at their end, which distinguishes components.
    manifests: BTreeMap<String, String>,
    /// The same names in order.
    stems: BTreeSet<String>,
}

impl Contents {
    /// Sorts `files` by name. Descriptions whose names are not identifiers are read to get their identity.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for a description that cannot be understood.
    pub fn new(files: Files) -> Result<Self> {
        let (mut packages, mut manifests, mut stems) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for name in files.names() {
            let stem = || name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned();
            match Part::of(name) {
                Part::Manifest => {
                    let stem = stem();
                    let hash = stem.rsplit_once('_').map_or("", |(_, hash)| hash).to_owned();
                    manifests.insert(hash, stem.clone());
                    stems.insert(stem);
                }
                Part::Description => {
                    let stem = stem();
                    let identity = match AssemblyIdentity::from_package_id(&stem) {
                        Some(identity) => identity,
                        None if stem.starts_with("update-") => continue,
                        None => match read_mum(&files, &stem)? {
                            Some(mum) => mum.package.identity.clone(),
                            None => continue,
                        },
                    };
                    let id = lower_id(&identity);
                    // The cabinet's package may also be there under its own name.
                    if stem == ROOT || !packages.contains_key(&id) {
                        packages.insert(id, (identity, stem));
                    }
                }
                _ => {}
            }
        }
        Ok(Self { files, packages, manifests, stems })
    }

    /// Names of all packages.
    pub fn identities(&self) -> impl Iterator<Item = &AssemblyIdentity> {
        self.packages.values().map(|(identity, _)| identity)
    }

    /// Whether it contains a new servicing stack, with which other packages are installed.
    pub fn is_stack(&self) -> bool {
        self.stems.iter().any(|stem| stem.contains(STACK))
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
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for a description that cannot be understood, or that belongs to another
    /// package.
    pub fn package(&self, id: &str) -> Result<Option<Arc<Mum>>> {
        let Some((_, stem)) = self.packages.get(id) else { return Ok(None) };
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

/// A source whose packages and components are read when they are needed.
pub struct PackageSource<'a> {
    contents: Contents,
    dictionary: &'a Dictionary<'a>,
    parsed: Mutex<BTreeMap<String, Arc<StoredManifest>>>,
}

impl<'a> PackageSource<'a> {
    /// For contents whose names are known. Compressed manifests are read with `dictionary`.
    pub(super) fn new(contents: Contents, dictionary: &'a Dictionary<'a>) -> Self {
        Self { contents, dictionary, parsed: Mutex::default() }
    }

    /// Its name in messages.
    pub fn path(&self) -> &Path {
        self.contents.files.path()
    }

    /// Names of all packages in it.
    pub fn identities(&self) -> impl Iterator<Item = &AssemblyIdentity> {
        self.contents.identities()
    }

    /// The package with the identifier `id`, in lower case.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for a description that cannot be understood, or of another package.
    pub fn package(&self, id: &str) -> Result<Option<Arc<Mum>>> {
        self.contents.package(id)
    }

    /// The manifest of the component `identity`.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for damage, and for a manifest whose component is not the one in its
    /// name; [`Unsupported`](crate::ErrorKind::Unsupported).
    pub fn manifest(&self, identity: &AssemblyIdentity) -> Result<Option<Arc<StoredManifest>>> {
        let key = identity.key_form();
        let hash = key.rsplit_once('_').map_or("", |(_, hash)| hash);
        self.contents.manifests.get(hash).map(|stem| self.parse(stem)).transpose()
    }

    /// Manifests of the components that fit `pattern` in any version. The pattern's language may be `*`.
    ///
    /// # Errors
    /// Those of [`manifest`](Self::manifest).
    pub fn matching(&self, pattern: &AssemblyIdentity) -> Result<Vec<Arc<StoredManifest>>> {
        let key = pattern.key_form();
        let start = key.split_once(&format!("_{}_", pattern.version)).map_or(&*key, |(start, _)| start);
        let start = format!("{start}_");
        let stems = self.contents.stems.range(start.clone()..).take_while(|stem| stem.starts_with(&start));
        let mut found = Vec::new();
        for stem in stems {
            let file = self.parse(stem)?;
            if file.manifest.identity.fits(pattern) {
                found.push(file);
            }
        }
        Ok(found)
    }

    /// Names of all manifests without the extension; they are key forms of components.
    #[cfg(test)]
    pub fn manifest_names(&self) -> impl Iterator<Item = &str> {
        self.contents.stems.iter().map(String::as_str)
    }

    /// Its files.
    pub(super) fn files(&self) -> &Files {
        &self.contents.files
    }

    /// Whether it also has the files of the component. Windows can be told to remove those of features from an image.
    pub fn is_whole(&self, file: &StoredManifest) -> bool {
        let has = |name: &str| self.files().has(&format!(r"{}\{name}", file.stem).to_lowercase());
        file.manifest.files.iter().all(|file| file.payload_names().any(has))
    }

    /// Whether its files are deltas of files of the image.
    pub fn is_express(&self) -> bool {
        self.contents.is_express()
    }

    pub(super) fn parse(&self, stem: &str) -> Result<Arc<StoredManifest>> {
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

impl fmt::Debug for PackageSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PackageSource").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// The identifier of a package, for comparison.
pub(super) fn lower_id(identity: &AssemblyIdentity) -> String {
    identity.package_id().to_ascii_lowercase()
}

pub(super) fn read_mum(files: &Files, stem: &str) -> Result<Option<Arc<Mum>>> {
    let name = format!("{stem}.mum");
    let Some(bytes) = files.read(&name)? else { return Ok(None) };
    let package = Package::parse(&bytes).map_err(|error| error.with_path(files.path().join(name)))?;
    let catalog = files.read(&format!("{stem}.cat"))?;
    Ok(Some(Arc::new(Mum { package, bytes, catalog })))
}

fn parse_manifest(stem: &str, stored: Arc<[u8]>, dictionary: &Dictionary<'_>) -> Result<StoredManifest> {
    let (manifest, digest) = dictionary.parse(&stored)?;
    let name = manifest.identity.key_form();
    // Only the hash at the end distinguishes identities; the rest of the name is for people.
    let hash = |name: &str| name.rsplit_once('_').map(|(_, hash)| hash.to_owned());
    if hash(&name) != hash(stem) {
        let what = format!("the name of the manifest is not that of its component, `{name}`");
        let hint = if delta::is_compressed(&stored) { "the image's dictionary may not fit the package" } else { "" };
        let error = Error::corrupt(what);
        return Err(if hint.is_empty() { error } else { error.with_hint(hint) });
    }
    Ok(StoredManifest { stem: stem.to_owned(), digest, manifest, stored })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        assert_eq!(
            ["a~b~~.mum", "a.cat", "a.manifest"].map(Part::of),
            [Part::Description, Part::Catalog, Part::Manifest]
        );
        assert_eq!(["amd64_a\\a.manifest", "x.txt"].map(Part::of), [Part::Payload, Part::Other]);
    }
}

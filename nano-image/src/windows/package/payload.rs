//! The files of components: made from the contents of their cabinets, and kept until the image is written.
//!
//! Only files that are installed or staged are made. Several threads do it; the result does not depend on them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::base::Bases;
use super::contents::PackageSource;
use super::files::{Files, Kept, apply_delta};
use super::manifest::{Digest, DigestAlgorithm, ManifestFile};
use super::resolve::Resolution;
use crate::content::{BlobStore as _, Content, Overlay};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Observer;
use crate::source::update::member::{self, Kind};

/// The largest file that is made from a delta, in bytes.
const MAX_FILE: u64 = 2 << 30;

/// The files of all components that are installed.
pub struct Payload {
    /// For each cabinet: files by their paths in lower case.
    cabinets: Vec<BTreeMap<String, PayloadFile>>,
    paths: Vec<PathBuf>,
}

/// The files that were made, before they are in the image's store.
pub(super) struct Produced {
    cabinets: Vec<Vec<Done>>,
    paths: Vec<PathBuf>,
}

/// A file of a component.
#[derive(Clone, Debug)]
pub struct PayloadFile {
    /// Its contents, in the store of the image.
    pub content: Content,
    sha256: [u8; 32],
}

/// A file that must be made.
struct Wanted<'a> {
    /// Folder of the component in the cabinet, in lower case.
    folder: String,
    /// Name in it, in lower case, and its form in the cabinet. `None` if the file has not changed since the version
    /// with which the image was released.
    name: String,
    form: Option<Kind>,
    digest: Option<&'a Digest>,
}

/// A file that was made.
struct Done {
    path: String,
    kept: Kept,
}

impl Produced {
    /// Makes all files of the components in `resolution` from `cabinets`. `bases` are the files of the image.
    ///
    /// # Errors
    /// Those of [`Files::obtain`]; [`Unsatisfied`](crate::ErrorKind::Unsatisfied) for a delta to a file that the image
    /// does not have.
    pub fn make(
        cabinets: &[&PackageSource<'_>],
        resolution: &Resolution,
        bases: &Bases<'_>,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let mut wanted: Vec<Vec<Wanted<'_>>> = cabinets.iter().map(|_| Vec::new()).collect();
        let express: Vec<bool> = cabinets.iter().map(|cabinet| cabinet.is_express()).collect();
        let components = resolution.packages.iter().flat_map(|package| &package.components);
        for component in components.filter(|component| !component.in_store) {
            let files = component.manifest.manifest.files.iter();
            let cabinet = component.cabinet;
            let found = files
                .filter_map(|file| want(cabinets[cabinet].files(), &component.manifest.stem, file, express[cabinet]));
            wanted[cabinet].extend(found);
        }
        let make = |(cabinet, wanted): (&&PackageSource<'_>, _)| make_all(cabinet, wanted, bases, observer);
        let paths = cabinets.iter().map(|cabinet| cabinet.path().to_owned()).collect();
        Ok(Self { cabinets: cabinets.iter().zip(wanted).map(make).collect::<Result<_>>()?, paths })
    }

    /// Adds the files to the image's store, in the order of the cabinets.
    ///
    /// # Errors
    /// Those of [`Overlay::add`].
    pub fn add_to(self, blobs: &mut Overlay) -> Result<Payload> {
        let number = |done| number(done, blobs);
        Ok(Payload { cabinets: self.cabinets.into_iter().map(number).collect::<Result<_>>()?, paths: self.paths })
    }
}

impl Payload {
    /// The name of cabinet number `cabinet` in messages.
    pub fn path(&self, cabinet: usize) -> &Path {
        self.paths.get(cabinet).map_or(Path::new(""), PathBuf::as_path)
    }

    /// A file of the component whose folder in cabinet number `cabinet` is called `folder`.
    pub fn find(&self, cabinet: usize, folder: &str, file: &ManifestFile) -> Option<&PayloadFile> {
        let files = self.cabinets.get(cabinet)?;
        let mut names = file.payload_names().map(|name| format!(r"{folder}\{name}").to_lowercase());
        names.find_map(|name| files.get(&name))
    }

    /// Whether `file`, which is in `blobs`, has the digest.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) if a file cannot be read again.
    pub fn verify(&self, file: &PayloadFile, digest: &Digest, blobs: &Overlay) -> Result<bool> {
        match (digest.algorithm, &file.content) {
            (DigestAlgorithm::Sha256, _) => Ok(digest.value == file.sha256),
            (DigestAlgorithm::Sha1, Content::Bytes(bytes)) => Ok(Sha1::digest(bytes)[..] == digest.value),
            (DigestAlgorithm::Sha1, Content::Blob { id, .. }) => {
                let mut hash = Sha1::new();
                blobs.read_blobs(&[*id], 1, &mut |_, piece| {
                    hash.update(piece);
                    Ok(())
                })?;
                Ok(hash.finalize()[..] == digest.value)
            }
        }
    }
}

/// The form in which the package has a file of the component with the folder `folder`; `None` if it does not have it.
fn want<'a>(files: &Files, folder: &str, file: &'a ManifestFile, is_express: bool) -> Option<Wanted<'a>> {
    let folder = folder.to_lowercase();
    let names: Vec<String> = file.payload_names().map(str::to_lowercase).collect();
    let forms = [Kind::Whole, Kind::Forward, Kind::Null];
    let found = names.iter().find_map(|name| {
        let form = forms.into_iter().find(|form| files.has(&member::path(*form, &folder, name)))?;
        Some((name.clone(), Some(form)))
    });
    let unchanged = || names.first().filter(|_| is_express).map(|name| (name.clone(), None));
    let (name, form) = found.or_else(unchanged)?;
    Some(Wanted { folder, name, form, digest: file.digest.as_ref() })
}

/// Makes the files of a cabinet, in the order of the cabinet.
fn make_all(
    cabinet: &PackageSource<'_>,
    wanted: Vec<Wanted<'_>>,
    bases: &Bases<'_>,
    observer: &dyn Observer,
) -> Result<Vec<Done>> {
    let files = cabinet.files();
    let source = |wanted: &Wanted<'_>| wanted.form.map(|form| member::path(form, &wanted.folder, &wanted.name));
    let sources: Vec<Option<String>> = wanted.iter().map(source).collect();
    files.fetch(sources.iter().flatten().map(String::as_str))?;
    let positions = files.positions(sources.iter().flatten().map(String::as_str));
    // Files that are made from the same file are made by one thread, so that nothing is made twice.
    let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (index, source) in sources.iter().enumerate() {
        let root = source.as_ref().and_then(|source| files.root(source));
        let own = if root.is_some() { 0 } else { index };
        groups.entry((root, own)).or_default().push(index);
    }
    let groups: Vec<Vec<usize>> = groups.into_values().collect();
    let results: Vec<Mutex<Option<Result<Kept>>>> = wanted.iter().map(|_| Mutex::new(None)).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(groups.len());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                    for index in group.iter().filter(|_| !observer.cancelled()) {
                        let result = make(files, &wanted[*index], sources[*index].as_deref(), bases);
                        *results[*index].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                    }
                }
            });
        }
    });
    let mut done = Vec::new();
    for ((wanted, source), result) in wanted.iter().zip(&sources).zip(results) {
        let result = result.into_inner().unwrap_or_else(PoisonError::into_inner);
        let kept = result.unwrap_or_else(|| Err(Error::cancelled()))?;
        let position = source.as_ref().and_then(|source| positions.get(source.as_str()).copied());
        done.push((
            position.unwrap_or((usize::MAX, usize::MAX)),
            Done { path: format!(r"{}\{}", wanted.folder, wanted.name), kept },
        ));
    }
    done.sort_by(|one, other| (one.0, &one.1.path).cmp(&(other.0, &other.1.path)));
    Ok(done.into_iter().map(|(_, done)| done).collect())
}

fn make(files: &Files, wanted: &Wanted<'_>, source: Option<&str>, bases: &Bases<'_>) -> Result<Kept> {
    let Wanted { folder, name, form, digest } = wanted;
    let in_file = |error: Error| {
        let mut named = Error::new(error.kind(), format!("the file `{name}` of `{folder}`: {}", error.message()));
        if let Some(hint) = error.hint() {
            named = named.with_hint(hint);
        }
        named.with_path(error.path().unwrap_or(files.path()))
    };
    let missing = || Error::not_found(format!(r"the file `{folder}\{name}` is missing")).with_path(files.path());
    let kept = source.map(|source| files.obtain(source)).transpose()?.flatten();
    match (form, kept) {
        (Some(Kind::Whole), Some(kept)) => match kept.sha256 {
            Some(_) => Ok(kept),
            None => Ok(Kept { sha256: Some(Sha256::digest(files.bytes(&kept)?).into()), ..kept }),
        },
        (Some(Kind::Null), Some(kept)) => {
            let made = member::delta(&files.bytes(&kept)?).and_then(|delta| apply_delta(&[], delta, MAX_FILE));
            files.add(&made.map_err(in_file)?.into())
        }
        (Some(Kind::Forward), Some(kept)) => {
            let member = files.bytes(&kept)?;
            let made = member::delta(&member).and_then(|delta| forward(delta, folder, name, *digest, bases));
            files.add(&made.map_err(in_file)?.into())
        }
        (None, _) => files.add(&unchanged(folder, name, *digest, bases).map_err(in_file)?),
        _ => Err(missing()),
    }
}

/// Applies a delta to the version of the file for which it was made. The digest in the delta proves which one that is.
fn forward(delta: &[u8], folder: &str, name: &str, digest: Option<&Digest>, bases: &Bases<'_>) -> Result<Vec<u8>> {
    let mut last = None;
    let mut fits = |made: Result<Vec<u8>>| match made {
        Ok(made) if digest.is_none_or(|digest| digest.fits(&made)) => Some(made),
        Ok(_) => None,
        Err(error) => {
            last = Some(error);
            None
        }
    };
    let found = bases.of(folder, name);
    for base in &found {
        let bytes = bases.read(base)?;
        if let Some(made) = fits(apply_delta(&bytes, delta, MAX_FILE)) {
            return Ok(made);
        }
        let Some(reverse) = bases.reverse(base, name)? else { continue };
        let released = member::delta(&reverse).and_then(|reverse| apply_delta(&bytes, reverse, MAX_FILE));
        if let Some(made) = fits(released.and_then(|released| apply_delta(&released, delta, MAX_FILE))) {
            return Ok(made);
        }
    }
    match last {
        Some(error) if error.kind() == ErrorKind::Unsupported => Err(error),
        last => {
            let versions: Vec<String> = found.iter().map(|base| base.version.to_string()).collect();
            let has = match &versions[..] {
                [] => "the image has no version of it".to_owned(),
                versions => format!("it is not made for version {} in the image", versions.join(", ")),
            };
            let error = Error::new(ErrorKind::Unsatisfied, format!("it is a delta of a file that is not there: {has}"))
                .with_hint("take an image whose component store was not cleaned up, or the release's own image");
            Err(match last {
                Some(last) => error.with_source(last),
                None => error,
            })
        }
    }
}

/// A file that has not changed since a version in the image.
fn unchanged(folder: &str, name: &str, digest: Option<&Digest>, bases: &Bases<'_>) -> Result<Arc<[u8]>> {
    if let Some(digest) = digest {
        for base in bases.of(folder, name) {
            let bytes = bases.read(&base)?;
            if digest.fits(&bytes) {
                return Ok(bytes);
            }
        }
    }
    let what = "the update has no such file, and the image no version of it with the digest that the manifest says";
    Err(Error::new(ErrorKind::Unsatisfied, what)
        .with_hint("take an image whose component store was not cleaned up, or copy the update again"))
}

/// Numbers the files of a cabinet, independently of what else is read at the same time.
fn number(done: Vec<Done>, blobs: &mut Overlay) -> Result<BTreeMap<String, PayloadFile>> {
    let mut numbered = BTreeMap::new();
    for Done { path, kept } in done {
        // If several files have the same name, the first one is used.
        if let Entry::Vacant(vacant) = numbered.entry(path) {
            let sha256 = kept.sha256.unwrap_or_default();
            vacant.insert(PayloadFile { content: blobs.add(kept.made)?, sha256 });
        }
    }
    Ok(numbered)
}

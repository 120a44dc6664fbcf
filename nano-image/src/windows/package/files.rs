//! The files of one package by name, however they are packed: members of cabinets or of a WIM image, deltas of each
//! other (`_manifest_.cix.xml`), or ranges of a `.psf` file.
//!
//! Nothing is unpacked before it is needed, and only once: [`fetch`](Files::fetch) takes everything that is wanted out
//! of the cabinets in one pass, [`read`](Files::read) makes a file from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::spool::{Spool, Writer};
use crate::content::{Added, BlobId, BlobStore, Content, ReadAt};
use crate::error::{Error, Result};
use crate::source::cab::Cabinet;
use crate::source::update::{self, FileId, Index, Parts, Source, StoredAt};
use crate::source::{cab, delta};
use crate::types::ByteSize;

/// The index of a container of deltas.
pub(super) const INDEX: &str = "_manifest_.cix.xml";
/// Suffix of indexes of `.psf` files.
pub(super) const PSF_INDEX: &str = ".psf.cix.xml";
/// The largest index, in bytes.
const MAX_INDEX: u64 = 1 << 30;

/// A file that contains other files.
pub(super) enum Carrier {
    /// A cabinet.
    Cabinet(Cabinet),
    /// An image of a WIM, or the image that is being built: paths and contents.
    Image { store: Arc<dyn BlobStore>, files: Vec<(String, Content)> },
}

/// A package as it was found, with what contains its files.
pub(super) struct Unpacked {
    /// What messages call it.
    pub path: PathBuf,
    /// Its parts, which together form one tree of files.
    pub carriers: Vec<Carrier>,
    /// The `.psf` file beside it.
    pub psf: Option<(PathBuf, Arc<dyn ReadAt>)>,
}

/// The files of a package.
pub(super) struct Files {
    path: PathBuf,
    carriers: Vec<Carrier>,
    /// By path in lower case.
    members: BTreeMap<String, Member>,
    /// The index from which files are made, and whether the members are only parts of files.
    index: Option<(Index, bool)>,
    psf: Option<(PathBuf, Arc<dyn ReadAt>)>,
    spool: Arc<Spool>,
    kept: Mutex<BTreeMap<Key, Kept>>,
}

/// Position of a member.
#[derive(Clone, Copy)]
struct Member {
    carrier: usize,
    /// Its number in the carrier.
    number: usize,
    len: u64,
}

/// Key of a member in the spool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Member(String),
    File(FileId),
}

/// A file in the spool.
#[derive(Clone)]
pub(super) struct Kept {
    pub made: Added,
    /// Its digest, if it has been computed.
    pub sha256: Option<[u8; 32]>,
}

impl Carrier {
    /// Paths of the members, `\` between names, and lengths in bytes, in order.
    pub fn members(&self) -> Vec<(String, u64)> {
        match self {
            Self::Cabinet(cabinet) => {
                cabinet.files().iter().map(|file| (member_path(file), u64::from(file.size))).collect()
            }
            Self::Image { files, .. } => files.iter().map(|(path, content)| (path.clone(), content.len())).collect(),
        }
    }

    /// Hands the members `wanted` (ascending numbers) to `sink`, as number and piece.
    pub fn extract(&self, wanted: &BTreeSet<usize>, sink: &mut dyn FnMut(usize, &[u8]) -> Result<()>) -> Result<()> {
        match self {
            Self::Cabinet(cabinet) => cabinet.extract_indexes(wanted, sink),
            Self::Image { store, files, .. } => {
                let mut blobs: Vec<(BlobId, usize)> = Vec::new();
                for number in wanted {
                    match &files[*number].1 {
                        Content::Blob { id, .. } => blobs.push((*id, *number)),
                        Content::Bytes(bytes) => sink(*number, bytes)?,
                    }
                }
                blobs.sort();
                let ids: Vec<BlobId> = blobs.iter().map(|(id, _)| *id).collect();
                store.read_blobs(&ids, 1, &mut |request, piece| sink(blobs[request].1, piece))
            }
        }
    }
}

/// Path of a file in a cabinet, with `\` between names and none at the start.
pub(super) fn member_path(file: &cab::CabFile) -> String {
    let path = file.name.replace('/', "\\");
    path.trim_start_matches(".\\").trim_start_matches('\\').to_owned()
}

impl Files {
    /// The files of `package`. What is taken out of it is kept in `spool`.
    ///
    /// # Errors
    /// Those of its index, and of the carriers.
    pub fn open(package: Unpacked, spool: Arc<Spool>) -> Result<Self> {
        let Unpacked { path, carriers, psf } = package;
        let mut members = BTreeMap::new();
        for (carrier, content) in carriers.iter().enumerate() {
            for (number, (name, len)) in content.members().into_iter().enumerate() {
                members.insert(name.to_lowercase(), Member { carrier, number, len });
            }
        }
        let mut files = Self { path, carriers, members, index: None, psf, spool, kept: Mutex::default() };
        files.index = files.read_index()?;
        Ok(files)
    }

    /// What messages call the package.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of all files, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let index = self.index.iter().flat_map(|(index, _)| index.files().map(|(_, file)| &*file.name));
        let is_plain = !self.has_parts();
        self.members.keys().filter(move |_| is_plain).map(String::as_str).chain(index)
    }

    /// Whether the members of the cabinet are only parts of its files.
    pub fn has_parts(&self) -> bool {
        self.index.as_ref().is_some_and(|(_, members_are_parts)| *members_are_parts)
    }

    /// Number of files in folders, and their bytes.
    pub fn payload_len(&self) -> (u64, u64) {
        let is_plain = !self.has_parts();
        let members = self.members.iter().filter(|_| is_plain).map(|(name, member)| (&**name, member.len));
        let index = self.index.iter().flat_map(|(index, _)| index.files().map(|(_, file)| (&*file.name, file.len)));
        let payload = members.chain(index).filter(|(name, _)| name.contains('\\'));
        payload.fold((0, 0), |(files, bytes), (_, len)| (files + 1, bytes + len))
    }

    /// Whether there is the file `name`, in lower case.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Positions of the files `names`: files with lower positions are read first.
    pub fn positions<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> BTreeMap<&'a str, (usize, usize)> {
        let position = |name: &str| match self.find(name)? {
            Key::Member(name) => self.members.get(&name).map(|member| (member.carrier, member.number)),
            Key::File(id) => Some((self.carriers.len(), id.number())),
        };
        names.into_iter().filter_map(|name| Some((name, position(name)?))).collect()
    }

    /// The file at the start of the chain from which `name` is made. Files with the same one are best made one after
    /// another.
    pub fn root(&self, name: &str) -> Option<FileId> {
        let (Key::File(mut id), Some((index, _))) = (self.find(name)?, &self.index) else { return None };
        for _ in 0..index.len() {
            match index.file(id).basis {
                Some(basis) => id = basis,
                None => break,
            }
        }
        Some(id)
    }

    /// Takes everything from which the files `names` are made out of the cabinets, in one pass. What was taken out
    /// before is not read again.
    ///
    /// # Errors
    /// Those of cabinets and of the index; [`Recipe`](crate::ErrorKind::Recipe) without a scratch folder.
    pub fn fetch<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let mut ids = Vec::new();
        let mut wanted: BTreeMap<usize, BTreeMap<usize, String>> = BTreeMap::new();
        let mut want = |name: &str| {
            if let Some(member) = self.members.get(name)
                && self.kept(&Key::Member(name.to_owned())).is_none()
            {
                wanted.entry(member.carrier).or_default().insert(member.number, name.to_owned());
            }
        };
        for name in names {
            match self.find(name) {
                Some(Key::Member(name)) => want(&name),
                Some(Key::File(id)) => ids.push(id),
                None => {}
            }
        }
        if let Some((index, _)) = &self.index {
            for id in index.needed(ids).map_err(|error| error.with_path(&self.path))? {
                if let Some(Source { place: StoredAt::Member(name), .. }) = &index.file(id).source {
                    want(name);
                }
            }
        }
        wanted.iter().try_for_each(|(carrier, members)| self.take(&self.carriers[*carrier], members))
    }

    /// The contents of the file `name`; `None` if there is none.
    ///
    /// # Errors
    /// Those of [`fetch`](Self::fetch), and of deltas.
    pub fn read(&self, name: &str) -> Result<Option<Arc<[u8]>>> {
        match self.obtain(name)? {
            Some(kept) => self.spool.read(&kept.made).map(Some),
            None => Ok(None),
        }
    }

    /// Where the contents of the file `name` are kept; `None` if there is no such file.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn obtain(&self, name: &str) -> Result<Option<Kept>> {
        let Some(key) = self.find(name) else { return Ok(None) };
        if let Some(kept) = self.kept(&key) {
            return Ok(Some(kept));
        }
        if !self.is_fetched(&key) {
            self.fetch([name])?;
        }
        if let (Key::File(id), Some((index, _))) = (&key, &self.index) {
            update::hydrate(index, *id, self).map_err(|error| match error.path() {
                Some(_) => error,
                None => error.with_path(&self.path),
            })?;
        }
        Ok(self.kept(&key))
    }

    /// Keeps `bytes`, which were made from files of the package.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) without a scratch folder.
    pub fn add(&self, bytes: &Arc<[u8]>) -> Result<Kept> {
        Ok(Kept { made: self.spool.keep(bytes)?, sha256: Some(Sha256::digest(bytes).into()) })
    }

    /// The bytes of a kept file.
    pub fn bytes(&self, kept: &Kept) -> Result<Arc<[u8]>> {
        self.spool.read(&kept.made)
    }

    fn find(&self, name: &str) -> Option<Key> {
        let member = || self.members.contains_key(name).then(|| Key::Member(name.to_owned()));
        match &self.index {
            Some((index, true)) => index.find(name).map(Key::File),
            Some((index, false)) => member().or_else(|| index.find(name).map(Key::File)),
            None => member(),
        }
    }

    fn kept(&self, key: &Key) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Whether everything from which a file is made has been taken out.
    fn is_fetched(&self, key: &Key) -> bool {
        let (Key::File(id), Some((index, _))) = (key, &self.index) else { return false };
        let mut next = Some(*id);
        for id in std::iter::from_fn(|| {
            let id = next.filter(|id| self.kept(&Key::File(*id)).is_none())?;
            next = index.file(id).basis;
            Some(id)
        })
        .take(index.len())
        {
            if let Some(Source { place: StoredAt::Member(name), .. }) = &index.file(id).source
                && self.kept(&Key::Member(name.clone())).is_none()
            {
                return false;
            }
        }
        true
    }

    fn note(&self, key: Key, kept: Kept) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(key, kept);
    }

    /// Takes members out of a carrier, by number.
    fn take(&self, carrier: &Carrier, members: &BTreeMap<usize, String>) -> Result<()> {
        let mut current: Option<(usize, Writer, Sha256)> = None;
        let finish = |current: Option<(usize, Writer, Sha256)>| {
            let Some((number, writer, hash)) = current else { return Ok(()) };
            let kept = Kept { made: writer.finish()?, sha256: Some(hash.finalize().into()) };
            self.note(Key::Member(members[&number].clone()), kept);
            Ok(())
        };
        carrier.extract(&members.keys().copied().collect(), &mut |number, piece| {
            if current.as_ref().is_none_or(|(other, ..)| *other != number) {
                finish(current.take())?;
                let len = members.get(&number).and_then(|name| self.members.get(name)).map_or(0, |member| member.len);
                current = Some((number, self.spool.writer(len)?, Sha256::new()));
            }
            let Some((_, writer, hash)) = &mut current else { return Ok(()) };
            hash.update(piece);
            writer.append(piece)
        })?;
        finish(current)
    }

    /// The index, if the package has one, and whether its members are only parts of files.
    fn read_index(&self) -> Result<Option<(Index, bool)>> {
        let in_file = |name: &str, error: Error| error.with_path(self.path.join(name));
        let is_index = |name: &&String| *name == INDEX || (name.ends_with(PSF_INDEX) && !name.contains('\\'));
        if let Some(name) = self.members.keys().find(is_index) {
            let bytes = self.read(name)?.unwrap_or_else(|| Arc::from([]));
            let index = Index::parse(&bytes).map_err(|error| in_file(name, error))?;
            return Ok(Some((index, name == INDEX)));
        }
        let Some((path, psf)) = &self.psf else { return Ok(None) };
        let Some(extent) = update::embedded_index(&**psf).map_err(|error| error.with_path(path))? else {
            return Ok(None);
        };
        let read = || {
            let mut bytes = vec![0; extent.len as usize];
            psf.read_exact_at(&mut bytes, extent.start).map_err(|error| Error::io("read the update", path, error))?;
            Index::parse(&apply_delta(&[], &bytes, MAX_INDEX)?)
        };
        read().map(|index| Some((index, false))).map_err(|error| error.with_path(path))
    }
}

/// Applies `delta` to `basis`; the result has at most `limit` bytes.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) and [`Unsupported`](crate::ErrorKind::Unsupported).
pub(super) fn apply_delta(basis: &[u8], delta: &[u8], limit: u64) -> Result<Vec<u8>> {
    delta::apply(basis, delta, ByteSize::new(limit))
}

impl Parts for Files {
    fn source(&self, source: &Source) -> Result<Arc<[u8]>> {
        match &source.place {
            StoredAt::Member(name) => match self.kept(&Key::Member(name.clone())) {
                Some(kept) => self.spool.read(&kept.made),
                None => Err(Error::corrupt(format!("its part `{name}` is not in the update"))
                    .with_hint("the file is not complete: copy it again")),
            },
            StoredAt::Range(extent) => {
                let missing = || {
                    Error::not_found("it is in the .psf file of the update, which is not beside it")
                        .with_hint("give the whole .msu file, or put the .psf file beside the .cab file")
                };
                let (path, psf) = self.psf.as_ref().ok_or_else(missing)?;
                let io = |error| Error::io("read the update", path, error);
                let end = extent.start.checked_add(extent.len);
                if end.is_none_or(|end| psf.len().map_or(true, |len| end > len)) {
                    let what = "it lies behind the end of the .psf file: that is truncated or of another update";
                    return Err(Error::corrupt(what).at(extent.start).with_path(path));
                }
                let mut bytes = vec![0; extent.len as usize];
                psf.read_exact_at(&mut bytes, extent.start).map_err(io)?;
                Ok(bytes.into())
            }
        }
    }

    fn apply(&self, basis: &[u8], delta: &[u8], len: u64) -> Result<Vec<u8>> {
        apply_delta(basis, delta, len)
    }

    fn kept(&self, file: FileId) -> Result<Option<Arc<[u8]>>> {
        self.kept(&Key::File(file)).map(|kept| self.spool.read(&kept.made)).transpose()
    }

    fn keep(&self, file: FileId, contents: &Arc<[u8]>) -> Result<()> {
        let source = self.index.as_ref().and_then(|(index, _)| index.file(file).source.as_ref());
        let member = match source {
            // A file that is stored uncompressed in the cabinet is kept already.
            Some(Source { kind: update::SourceKind::Raw, place: StoredAt::Member(name), .. }) => {
                self.kept(&Key::Member(name.clone()))
            }
            _ => None,
        };
        let kept = match member {
            Some(kept) => kept,
            None => self.add(contents)?,
        };
        self.note(Key::File(file), kept);
        Ok(())
    }
}

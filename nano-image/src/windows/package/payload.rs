//! The files of components: taken out of their cabinets once, and kept until the image is written.
//!
//! Cabinets are decompressed by several threads. Small amounts stay in memory, the rest goes to a scratch file; what
//! the image gets does not depend on which.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::cabinet::{CabinetSource, PayloadSink, Raw};
use super::manifest::{Digest, DigestAlgorithm, ManifestFile};
use crate::content::{BlobId, BlobStore, Content, Extent, Made, Scratch, WithMade};
use crate::error::{Error, Result};
use crate::progress::Observer;

/// Bytes of payload that stay in memory.
const MEMORY: u64 = 64 << 20;
/// Number of the first file. A WIM has fewer blobs, and files of the machine that builds have higher numbers.
const FIRST: u32 = 1 << 30;
const MAX_FILES: usize = 1 << 29;

/// The files of all cabinets.
pub struct Payload {
    /// For each cabinet: files by their paths in lower case.
    cabinets: Vec<BTreeMap<String, PayloadFile>>,
    paths: Vec<PathBuf>,
    store: Arc<WithMade>,
}

/// A file of a component.
#[derive(Clone, Debug)]
pub struct PayloadFile {
    /// Its contents, in the store of [`Payload::store`].
    pub content: Content,
    sha256: [u8; 32],
}

/// What the threads share.
struct Shared<'a> {
    /// Bytes that may still be kept in memory.
    memory: AtomicU64,
    folder: Option<&'a Path>,
    scratch: Mutex<Option<(Arc<Scratch>, u64)>>,
    observer: &'a dyn Observer,
}

impl Payload {
    /// Decompresses `cabinets`, several at a time, and keeps their files; `scratch` is a folder for what is not kept in
    /// memory. `store` is the image's; [`store`](Self::store) has its blobs too.
    ///
    /// # Errors
    /// Those of [`Raw::open`], of the first cabinet that has one; [`Recipe`](crate::ErrorKind::Recipe) if a scratch
    /// folder is needed and not given.
    pub fn read(
        cabinets: &[CabinetSource],
        store: Arc<dyn BlobStore>,
        scratch: Option<&Path>,
        observer: &dyn Observer,
    ) -> Result<(Vec<Raw>, Self)> {
        let memory = AtomicU64::new(MEMORY);
        let shared = Shared { memory, folder: scratch, scratch: Mutex::new(None), observer };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(cabinets.len());
        let next = AtomicUsize::new(0);
        let results: Vec<Mutex<Option<Result<Read>>>> = cabinets.iter().map(|_| Mutex::new(None)).collect();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(source) = cabinets.get(index) else { break };
                        let read = read(source, &shared);
                        *results[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
                    }
                });
            }
        });
        let (mut raws, mut files, mut made) = (Vec::new(), Vec::new(), Vec::new());
        for result in results {
            let result = result.into_inner().unwrap_or_else(PoisonError::into_inner);
            let read = result.unwrap_or_else(|| Err(Error::cancelled()))?;
            raws.push(read.raw);
            files.push(number(read.files, &mut made)?);
        }
        let scratch = shared.scratch.into_inner().unwrap_or_else(PoisonError::into_inner);
        let scratch = scratch.and_then(|(scratch, _)| Arc::into_inner(scratch));
        let store = Arc::new(WithMade::new(store, FIRST, made, scratch));
        let paths = cabinets.iter().map(|source| source.path.clone()).collect();
        Ok((raws, Self { cabinets: files, paths, store }))
    }

    /// The store that reads the image's blobs and the files.
    pub fn store(&self) -> Arc<dyn BlobStore> {
        self.store.clone()
    }

    /// What messages call the cabinet number `cabinet`.
    pub fn path(&self, cabinet: usize) -> &Path {
        self.paths.get(cabinet).map_or(Path::new(""), PathBuf::as_path)
    }

    /// The file of the component whose folder in the cabinet number `cabinet` is `folder`.
    pub fn find(&self, cabinet: usize, folder: &str, file: &ManifestFile) -> Option<&PayloadFile> {
        let files = self.cabinets.get(cabinet)?;
        let mut names = file.payload_names().map(|name| format!(r"{folder}\{name}").to_ascii_lowercase());
        names.find_map(|name| files.get(&name))
    }

    /// Whether `file` has the digest; `false` says that it has another one.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) if a file cannot be read again.
    pub fn verify(&self, file: &PayloadFile, digest: &Digest) -> Result<bool> {
        match (digest.algorithm, &file.content) {
            (DigestAlgorithm::Sha256, _) => Ok(digest.value == file.sha256),
            (DigestAlgorithm::Sha1, Content::Bytes(bytes)) => Ok(Sha1::digest(bytes)[..] == digest.value),
            (DigestAlgorithm::Sha1, Content::Blob { id, .. }) => {
                let mut hash = Sha1::new();
                self.store.read_blobs(&[*id], 1, &mut |_, piece| {
                    hash.update(piece);
                    Ok(())
                })?;
                Ok(hash.finalize()[..] == digest.value)
            }
        }
    }
}

/// A cabinet that is read.
struct Read {
    raw: Raw,
    files: Vec<(String, Made, [u8; 32])>,
}

fn read(source: &CabinetSource, shared: &Shared<'_>) -> Result<Read> {
    let mut collector = Collector { shared, current: None, files: Vec::new() };
    let raw = Raw::open(source, &mut collector)?;
    collector.end()?;
    Ok(Read { raw, files: collector.files })
}

/// Gives the files of a cabinet their numbers, which do not depend on what else is read at the same time.
fn number(files: Vec<(String, Made, [u8; 32])>, made: &mut Vec<Made>) -> Result<BTreeMap<String, PayloadFile>> {
    let mut numbered = BTreeMap::new();
    for (path, file, sha256) in files {
        let len = match &file {
            Made::Memory(bytes) => bytes.len() as u64,
            Made::Scratch(extent) => extent.len,
        };
        let content = if len == 0 {
            Content::empty()
        } else {
            made.push(file);
            Content::Blob { id: BlobId(FIRST + made.len() as u32 - 1), len }
        };
        numbered.insert(path, PayloadFile { content, sha256 });
    }
    match made.len() > MAX_FILES {
        true => Err(Error::unsupported("the packages have too many files")),
        false => Ok(numbered),
    }
}

/// Takes the files of a cabinet.
struct Collector<'a> {
    shared: &'a Shared<'a>,
    current: Option<Current>,
    files: Vec<(String, Made, [u8; 32])>,
}

struct Current {
    path: String,
    hash: Sha256,
    place: Place,
}

enum Place {
    Memory(Vec<u8>),
    Scratch { scratch: Arc<Scratch>, extent: Extent, written: u64 },
}

impl Collector<'_> {
    fn end(&mut self) -> Result<()> {
        let Some(Current { path, hash, place }) = self.current.take() else { return Ok(()) };
        let made = match place {
            Place::Memory(bytes) => Made::Memory(bytes.into()),
            Place::Scratch { extent, written, .. } if written == extent.len => Made::Scratch(extent),
            Place::Scratch { .. } => return Err(Error::corrupt(format!("the file `{path}` ends early"))),
        };
        self.files.push((path, made, hash.finalize().into()));
        Ok(())
    }
}

impl PayloadSink for Collector<'_> {
    fn begin(&mut self, path: &str, len: u64) -> Result<()> {
        self.end()?;
        if self.shared.observer.cancelled() {
            return Err(Error::cancelled());
        }
        let memory = &self.shared.memory;
        let take = memory.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(len));
        let place = match take {
            Ok(_) => Place::Memory(Vec::with_capacity(len as usize)),
            Err(_) => self.shared.reserve(len)?,
        };
        self.current = Some(Current { path: path.to_ascii_lowercase(), hash: Sha256::new(), place });
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        current.hash.update(bytes);
        match &mut current.place {
            Place::Memory(memory) => memory.extend_from_slice(bytes),
            Place::Scratch { scratch, extent, written } => {
                scratch.write_at(bytes, extent.start + *written)?;
                *written += bytes.len() as u64;
            }
        }
        Ok(())
    }
}

impl Shared<'_> {
    /// Room for `len` bytes in the scratch file, which is made when it is first needed.
    fn reserve(&self, len: u64) -> Result<Place> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, end) = match &mut *scratch {
            Some(scratch) => scratch,
            none => {
                let Some(folder) = self.folder else {
                    let what = "the packages have more files than fit into memory, and there is no scratch folder";
                    return Err(Error::recipe(what).with_hint("name a folder with room for the packages' files"));
                };
                none.insert((Arc::new(Scratch::create(folder)?), 0))
            }
        };
        let extent = Extent { start: *end, len };
        *end += len;
        Ok(Place::Scratch { scratch: file.clone(), extent, written: 0 })
    }
}

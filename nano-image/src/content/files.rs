//! Files that a build reads: those of the machine that builds, and files in memory in front of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{ReadAt, identity};
use crate::error::{Error, Result};

/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// Where a build finds the files that it is told to read: in memory under that path, or else on the host.
#[derive(Clone, Default)]
pub struct InputFiles {
    memory: Arc<BTreeMap<PathBuf, Arc<dyn ReadAt>>>,
    /// Whether files of the host are ignored.
    only_memory: bool,
}

/// What is at a path. Links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// A folder. In memory, every path is one that has a file below it.
    Folder,
    /// A file with its length in bytes.
    File(u64),
    /// A pipe, a device or the like.
    Other,
}

impl InputFiles {
    /// Only the file `data` at `path`.
    pub fn only(path: impl Into<PathBuf>, data: Arc<dyn ReadAt>) -> Self {
        let mut files = Self { only_memory: true, ..Self::default() };
        files.add(path, data);
        files
    }

    /// The same files in memory, without those of the host.
    #[must_use]
    pub fn without_host(&self) -> Self {
        Self { only_memory: true, ..self.clone() }
    }

    /// Adds a file in memory. It replaces an earlier one with the same path.
    pub fn add(&mut self, path: impl Into<PathBuf>, data: Arc<dyn ReadAt>) {
        Arc::make_mut(&mut self.memory).insert(plain(&path.into()), data);
    }

    /// The file at `path` in memory, if there is one.
    pub fn in_memory(&self, path: &Path) -> Option<&Arc<dyn ReadAt>> {
        self.memory.get(&plain(path))
    }

    /// Whether everything at `path` is in memory, and nothing of it on the host.
    pub fn is_all_in_memory(&self, path: &Path) -> bool {
        let is_folder = || self.names_in(path).next().is_some();
        self.in_memory(path).is_some() || (is_folder() && (self.only_memory || !path.exists()))
    }

    /// What is at `path`.
    ///
    /// # Errors
    /// If there is nothing at `path`, or it cannot be reached.
    pub fn kind(&self, path: &Path) -> io::Result<InputKind> {
        if let Some(data) = self.in_memory(path) {
            return data.len().map(InputKind::File);
        }
        if self.names_in(path).next().is_some() {
            return Ok(InputKind::Folder);
        }
        self.ask_host()?;
        let metadata = fs::metadata(path)?;
        Ok(match metadata.is_file() {
            _ if metadata.is_dir() => InputKind::Folder,
            true => InputKind::File(metadata.len()),
            false => InputKind::Other,
        })
    }

    /// Whether there is a folder at `path`.
    pub fn is_folder(&self, path: &Path) -> bool {
        self.kind(path).is_ok_and(|kind| kind == InputKind::Folder)
    }

    /// Whether there is a file at `path`.
    pub fn is_file(&self, path: &Path) -> bool {
        self.kind(path).is_ok_and(|kind| matches!(kind, InputKind::File(_)))
    }

    /// Whether `path` is a symbolic link. Files in memory are never links.
    ///
    /// # Errors
    /// As [`kind`](Self::kind).
    pub fn is_link(&self, path: &Path) -> io::Result<bool> {
        if self.in_memory(path).is_some() || self.names_in(path).next().is_some() {
            return Ok(false);
        }
        self.ask_host()?;
        Ok(fs::symlink_metadata(path)?.is_symlink())
    }

    /// Opens the file at `path`.
    ///
    /// # Errors
    /// As [`File::open`].
    pub fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadAt>> {
        match self.in_memory(path) {
            Some(data) => Ok(data.clone()),
            None => self.ask_host().and_then(|()| Ok(Arc::new(File::open(path)?) as Arc<dyn ReadAt>)),
        }
    }

    /// Paths of the entries of `folder`, sorted. An empty path is the current folder.
    ///
    /// # Errors
    /// As [`fs::read_dir`], if no file in memory is in the folder.
    pub fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found: BTreeSet<PathBuf> = self.names_in(folder).map(|name| folder.join(name)).collect();
        let shown = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        match self.ask_host().and_then(|()| fs::read_dir(shown)) {
            Ok(entries) => {
                for entry in entries {
                    found.insert(folder.join(entry?.file_name()));
                }
            }
            Err(error) if found.is_empty() => return Err(error),
            Err(_) => {}
        }
        Ok(found.into_iter().collect())
    }

    /// The path with its links resolved: all paths to a file give the same one.
    ///
    /// # Errors
    /// As [`fs::canonicalize`].
    pub fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        if self.in_memory(path).is_some() || self.names_in(path).next().is_some() {
            return Ok(plain(path));
        }
        self.ask_host().and_then(|()| fs::canonicalize(path))
    }

    /// Refuses a `path` in `folder` that links lead out of the folder: the user named the folder, not files elsewhere.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported); [`Io`](crate::ErrorKind::Io) for links that lead nowhere.
    pub fn check_inside(&self, path: &Path, folder: &Path) -> Result<()> {
        if self.in_memory(path).is_some() { Ok(()) } else { identity::stays_inside(path, folder) }
    }

    /// The whole file at `path`, if it has at most `limit` bytes. Errors call what is expected `what`.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) and [`Io`](crate::ErrorKind::Io);
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if it is larger.
    pub fn read(&self, path: &Path, limit: u64, what: &str) -> Result<Vec<u8>> {
        let read = || {
            let mut bytes = Vec::new();
            match self.in_memory(path) {
                Some(data) => {
                    bytes.resize(data.len()?.min(limit + 1) as usize, 0);
                    data.read_exact_at(&mut bytes, 0)?;
                }
                None => {
                    self.ask_host()?;
                    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
                }
            }
            Ok(bytes)
        };
        let bytes = read().map_err(|error| Error::io("read", path, error))?;
        if bytes.len() as u64 > limit {
            return Err(Error::unsupported(format!("more than {limit} bytes: this is not {what}")).with_path(path));
        }
        Ok(bytes)
    }

    /// Names of the entries of `folder` that are in memory, in order; a name may be repeated.
    fn names_in(&self, folder: &Path) -> impl Iterator<Item = PathBuf> {
        let folder = plain(folder);
        let below = self.memory.range(folder.clone()..).map(|(path, _)| path);
        let below = below.take_while({
            let folder = folder.clone();
            move |path| path.starts_with(&folder)
        });
        below.filter_map(move |path| match path.strip_prefix(&folder).ok()?.components().next()? {
            Component::Normal(name) => Some(PathBuf::from(name)),
            _ => None,
        })
    }

    /// Fails if files of the host are ignored.
    fn ask_host(&self) -> io::Result<()> {
        if self.only_memory { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
    }
}

impl std::fmt::Debug for InputFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.memory.keys()).finish()
    }
}

/// `path` without its `.` components.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// A file whose contents go into the image.
#[derive(Clone)]
pub struct InputFile {
    path: PathBuf,
    /// Its bytes, if they are in memory. Files of the host are opened when needed.
    data: Option<Arc<dyn ReadAt>>,
    len: u64,
    digest: [u8; 32],
}

impl InputFile {
    /// Reads the file once, so that a later change is noticed.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) and [`Io`](crate::ErrorKind::Io).
    pub fn open(files: &InputFiles, path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let data = files.in_memory(&path).cloned();
        if data.is_none() {
            files.ask_host().map_err(|error| Error::io("read", &path, error))?;
        }
        let mut file = Self { path, data, len: 0, digest: [0; 32] };
        let (mut len, mut hash) = (0, Sha256::new());
        file.each_piece(|piece| {
            len += piece.len() as u64;
            hash.update(piece);
            Ok(())
        })?;
        (file.len, file.digest) = (len, hash.finalize().into());
        Ok(file)
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bytes.
    #[cfg(any(test, feature = "internals"))]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// SHA-256 of the contents.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Hands the contents to `sink`.
    pub(super) fn send(&self, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let changed = || Error::corrupt("the file has changed since the build began").with_path(&self.path);
        let (mut left, mut hash) = (self.len, Sha256::new());
        self.each_piece(|piece| {
            left = left.checked_sub(piece.len() as u64).ok_or_else(changed)?;
            hash.update(piece);
            sink(piece)
        })?;
        let digest: [u8; 32] = hash.finalize().into();
        if left == 0 && digest == self.digest { Ok(()) } else { Err(changed()) }
    }

    fn each_piece(&self, mut sink: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let failed = |error| Error::io("read", &self.path, error);
        let mut buffer = vec![0; CHUNK];
        if let Some(data) = &self.data {
            let (len, mut at) = (data.len().map_err(failed)?, 0);
            while at < len {
                let piece = &mut buffer[..(len - at).min(CHUNK as u64) as usize];
                data.read_exact_at(piece, at).map_err(failed)?;
                at += piece.len() as u64;
                sink(piece)?;
            }
            return Ok(());
        }
        let mut file = File::open(&self.path).map_err(failed)?;
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(len) => sink(&buffer[..len])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_memory_stand_before_those_of_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, text) in [("a", "host"), ("b", "host"), ("sub/c", "host")] {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), text).unwrap();
        }
        let mut files = InputFiles::default();
        for name in ["b", "./sub/d", "new/deep/e"] {
            files.add(at(name), Arc::new(b"mem".to_vec()));
        }
        let text = |files: &InputFiles, name: &str| files.read(&at(name), 9, "a text").ok().map(|bytes| bytes.len());
        assert_eq!(["a", "b", "sub/./d", "f"].map(|name| text(&files, name)), [Some(4), Some(3), Some(3), None]);
        let names = |files: &InputFiles, name: &str| -> Vec<PathBuf> {
            let paths = files.list(&at(name)).unwrap_or_default();
            paths.iter().map(|path| path.strip_prefix(folder.path()).unwrap().into()).collect()
        };
        assert_eq!(names(&files, ""), ["a", "b", "new", "sub"].map(PathBuf::from));
        assert_eq!(names(&files, "sub"), ["sub/c", "sub/d"].map(PathBuf::from));
        assert_eq!(names(&files.without_host(), "sub"), ["sub/d"].map(PathBuf::from));
        assert_eq!(text(&files.without_host(), "a"), None);
        assert!(files.is_folder(&at("new/deep")) && files.is_file(&at("new/deep/e")) && !files.is_file(&at("new")));
        assert!(files.list(&at("none")).is_err() && files.kind(&at("none")).is_err());
        assert_eq!(files.kind(&at("b")).unwrap(), InputKind::File(3));
        files.check_inside(&at("new/deep/e"), &at("new")).unwrap();
        assert!(files.read(&at("b"), 2, "a text").unwrap_err().message().contains("a text"));
        let file = InputFile::open(&files, at("b")).unwrap();
        assert_eq!((file.len(), *file.digest()), (3, Sha256::digest(b"mem").into()));
    }

    #[test]
    fn the_current_folder_has_what_has_no_folder() {
        let files = InputFiles::only("a", Arc::new(vec![1]));
        assert_eq!(files.list(Path::new("")).unwrap(), [Path::new("a")]);
        assert_eq!(files.list(Path::new(".")).unwrap(), [Path::new("./a")]);
        assert!(files.is_file(Path::new("./a")) && files.list(Path::new("/")).is_err());
    }
}

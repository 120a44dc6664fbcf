//! The same with what the standard library has everywhere. Modes do not exist.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::kind::Kind;

/// A folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub fn open(path: &Path) -> io::Result<Self> {
        match fs::metadata(path)?.is_dir() {
            true => Ok(Self { path: path.to_owned() }),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub fn kind(&self, name: &OsStr) -> io::Result<Option<Kind>> {
        match fs::symlink_metadata(self.path.join(name)) {
            Ok(metadata) if metadata.is_symlink() => Ok(Some(Kind::Link)),
            Ok(metadata) if metadata.is_dir() => Ok(Some(Kind::Folder)),
            Ok(metadata) if metadata.is_file() => Ok(Some(Kind::Regular)),
            Ok(_) => Ok(Some(Kind::Other)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn create_unnamed(&self, _: Option<u32>, _: &OsStr) -> io::Result<Option<File>> {
        Ok(None)
    }

    pub fn create_named(&self, name: &OsStr, _: Option<u32>) -> io::Result<File> {
        let file = File::options().read(true).write(true).create_new(true).open(self.path.join(name))?;
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::AlreadyExists.into()),
            _ => Ok(file),
        }
    }

    pub fn open_path(&self, _: &File) -> PathBuf {
        // No file is without a name.
        self.path.clone()
    }

    pub fn link(&self, _: &File, _: &OsStr) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The name is taken by a file of ours, which is replaced, where there are no links.
    pub fn rename_new(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match fs::hard_link(self.path.join(from), self.path.join(to)) {
            Ok(()) => self.remove(from),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            Err(_) => {
                drop(self.create_named(to, None)?);
                self.rename(from, to)
            }
        }
    }

    pub fn exchange(&self, _: &OsStr, _: &OsStr) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    pub fn remove_own(&self, name: &OsStr, _: &File) -> io::Result<()> {
        self.remove(name)
    }

    pub fn remove_leftovers(&self, wanted: &dyn Fn(&OsStr) -> bool) -> Vec<OsString> {
        let Ok(entries) = fs::read_dir(&self.path) else { return Vec::new() };
        let unheld = |name: &OsString| {
            let file = File::options().read(true).write(true).open(self.path.join(name));
            file.is_ok_and(|file| file.try_lock().is_ok())
        };
        let names = entries.flatten().map(|entry| entry.file_name()).filter(|name| wanted(name));
        let mut removed: Vec<OsString> = names.filter(unheld).filter(|name| self.remove(name).is_ok()).collect();
        removed.sort();
        removed
    }

    pub fn flush(&self) {}
}

//! The same as `unix`, with only what the standard library has everywhere. There are no permission bits.
//!
//! On Windows a file that is being written is protected by its sharing mode: nobody else can open it for writing. A
//! lock would forbid reading, too. A name is taken by a hard link, which never replaces a file.

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

    /// Checks that an existing file can be replaced. It cannot while a program has it open without sharing deletion.
    pub fn check_replaceable(&self, name: &OsStr) -> io::Result<()> {
        #[cfg(windows)]
        {
            use std::os::windows::fs::OpenOptionsExt;
            /// The right to delete or rename a file (winnt.h).
            const DELETE: u32 = 0x1_0000;
            File::options().access_mode(DELETE).open(self.path.join(name))?;
        }
        #[cfg(not(windows))]
        let _ = name;
        Ok(())
    }

    /// Why no file can have the name; `None` if one can.
    pub fn name_fault(name: &OsStr) -> Option<String> {
        crate::types::windows_name_fault(&name.to_string_lossy()).filter(|_| cfg!(windows))
    }

    pub fn create_named(&self, name: &OsStr, _: Option<u32>) -> io::Result<File> {
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        #[cfg(windows)]
        {
            use std::os::windows::fs::OpenOptionsExt;
            /// FILE_SHARE_READ and FILE_SHARE_DELETE (winnt.h). Without the latter the file could not be renamed.
            const SHARED: u32 = 1 | 4;
            options.share_mode(SHARED);
        }
        let file = options.open(self.path.join(name))?;
        #[cfg(not(windows))]
        if let Err(fs::TryLockError::WouldBlock) = file.try_lock() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(file)
    }

    pub fn open_path(&self, _: &File) -> PathBuf {
        // Here every file has a name.
        self.path.clone()
    }

    pub fn link(&self, _: &File, _: &OsStr) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Renames a file, if the new name is free. Without hard links an empty file of ours takes the name first, and is
    /// replaced.
    pub fn rename_new(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match fs::hard_link(self.path.join(from), self.path.join(to)) {
            Ok(()) => self.remove(from),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            Err(_) => {
                drop(self.create_named(to, None)?);
                self.rename(from, to).inspect_err(|_| {
                    let _ = self.remove(to);
                })
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
            let path = self.path.join(name);
            // Opening something that is not a file might wait forever.
            let is_file = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
            let file = || File::options().read(true).write(true).open(&path);
            is_file && file().is_ok_and(|file| file.try_lock().is_ok())
        };
        let names = entries.flatten().map(|entry| entry.file_name()).filter(|name| wanted(name));
        let mut removed: Vec<OsString> = names.filter(unheld).filter(|name| self.remove(name).is_ok()).collect();
        removed.sort();
        removed
    }

    pub fn flush(&self) {}
}

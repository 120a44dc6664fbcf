//! Names in a folder that stays open, so that a build is not disturbed when the folder is moved.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawMode};

use super::kind::Kind;

/// The permission bits of new files, before the process's umask.
const USUAL: u32 = 0o666;
/// Until the chosen permission bits are set, nobody else can open the file.
const PRIVATE: u32 = 0o600;

/// A folder that is open.
#[derive(Debug)]
pub(super) struct Folder {
    folder: OwnedFd,
    path: PathBuf,
}

impl Folder {
    pub fn open(path: &Path) -> io::Result<Self> {
        // With `O_PATH`, files can be created in a folder that cannot be listed.
        #[cfg(target_os = "linux")]
        let how = OFlags::PATH;
        #[cfg(not(target_os = "linux"))]
        let how = OFlags::RDONLY;
        let folder = rustix::fs::open(path, how | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { folder, path: path.to_owned() })
    }

    /// What the name leads to; links are not followed.
    pub fn kind(&self, name: &OsStr) -> io::Result<Option<Kind>> {
        match rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Kind::Regular,
                FileType::Directory => Kind::Folder,
                FileType::Symlink => Kind::Link,
                _ => Kind::Other,
            })),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks that an existing file can be replaced. It always can: programs that have it open keep the old one.
    pub fn check_replaceable(&self, _: &OsStr) -> io::Result<()> {
        Ok(())
    }

    /// Why no file can have the name; here every name is possible.
    pub fn name_fault(_: &OsStr) -> Option<String> {
        None
    }

    /// A file without a name that can get one later; `None` where the system or file system cannot do that. `probe` is
    /// a name used to try it.
    #[cfg(target_os = "linux")]
    pub fn create_unnamed(&self, mode: Option<u32>, probe: &OsStr) -> io::Result<Option<File>> {
        use rustix::io::Errno;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let first = mode_of(mode.map_or(USUAL, |_| PRIVATE));
        let file = match rustix::fs::openat(&self.folder, ".", flags, first) {
            Ok(file) => File::from(file),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT | Errno::NOSYS) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Some file systems, and systems without /proc, cannot give such a file a name later. A build must not fail at
        // its end.
        if self.link(&file, probe).and_then(|()| self.remove(probe)).is_err() {
            return Ok(None);
        }
        // A file that had a name and lost it cannot get another. So the file that was used for the trial is dropped.
        let file = File::from(rustix::fs::openat(&self.folder, ".", flags, first)?);
        set_mode(&file, mode)?;
        // The file may get a temporary name later. Where there are no locks, nobody else takes it for a leftover
        // either.
        let _ = file.try_lock();
        Ok(Some(file))
    }

    #[cfg(not(target_os = "linux"))]
    pub fn create_unnamed(&self, _: Option<u32>, _: &OsStr) -> io::Result<Option<File>> {
        Ok(None)
    }

    /// A new file, locked as long as it is open.
    pub fn create_named(&self, name: &OsStr, mode: Option<u32>) -> io::Result<File> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::RDWR | OFlags::CLOEXEC;
        let first = mode_of(mode.map_or(USUAL, |_| PRIVATE));
        let file = File::from(rustix::fs::openat(&self.folder, name, flags, first)?);
        set_mode(&file, mode)?;
        // Where there are no locks, nobody else takes the file for a leftover either.
        if matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)) || !self.has(name, &file)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(file)
    }

    /// The path under which the system shows an open file, as Linux does.
    pub fn open_path(&self, file: &File) -> PathBuf {
        format!("/proc/self/fd/{}", file.as_raw_fd()).into()
    }

    /// Gives a file without a name the name `name`, if it is free.
    pub fn link(&self, file: &File, name: &OsStr) -> io::Result<()> {
        let path = self.open_path(file);
        Ok(rustix::fs::linkat(rustix::fs::CWD, path, &self.folder, name, AtFlags::SYMLINK_FOLLOW)?)
    }

    /// Renames a file, if the new name is free.
    pub fn rename_new(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_vendor = "apple"))]
        {
            use rustix::io::Errno;
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(&self.folder, from, &self.folder, to, flags) {
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
                done => return Ok(done?),
            }
        }
        match rustix::fs::linkat(&self.folder, from, &self.folder, to, AtFlags::empty()) {
            Ok(()) => self.remove(from),
            Err(rustix::io::Errno::EXIST) => Err(io::ErrorKind::AlreadyExists.into()),
            // On a file system without hard links, an empty file of ours takes the name first, and is replaced.
            Err(_) => {
                drop(self.create_named(to, None)?);
                self.rename(from, to).inspect_err(|_| {
                    let _ = self.remove(to);
                })
            }
        }
    }

    /// Exchanges two files.
    pub fn exchange(&self, a: &OsStr, b: &OsStr) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_vendor = "apple"))]
        {
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            Ok(rustix::fs::renameat_with(&self.folder, a, &self.folder, b, flags)?)
        }
        #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
        {
            let _ = (a, b);
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// Renames a file, and replaces what has the new name.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.folder, from, &self.folder, to)?)
    }

    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.folder, name, AtFlags::empty())?)
    }

    /// Removes `name` if it still leads to `file`.
    pub fn remove_own(&self, name: &OsStr, file: &File) -> io::Result<()> {
        match self.has(name, file)? {
            true => self.remove(name),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Removes files whose names are `wanted` and that no process has locked. What cannot be removed is left there.
    pub fn remove_leftovers(&self, wanted: &dyn Fn(&OsStr) -> bool) -> Vec<OsString> {
        let Ok(entries) = fs::read_dir(&self.path) else { return Vec::new() };
        let names = entries.flatten().map(|entry| entry.file_name()).filter(|name| wanted(name));
        let mut removed: Vec<OsString> = names.filter(|name| self.remove_unheld(name).unwrap_or(false)).collect();
        removed.sort();
        removed
    }

    fn remove_unheld(&self, name: &OsStr) -> io::Result<bool> {
        // Without NONBLOCK, opening a pipe would wait.
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.folder, name, flags, Mode::empty())?);
        if !file.metadata()?.is_file() || file.try_lock().is_err() {
            return Ok(false);
        }
        self.remove_own(name, &file).map(|()| true)
    }

    /// Flushes the folder, so that the names last. If it cannot be opened, the files are safe all the same.
    pub fn flush(&self) {
        if let Ok(folder) = File::open(&self.path) {
            let _ = folder.sync_all();
        }
    }

    /// Whether `name` leads to `file`.
    fn has(&self, name: &OsStr, file: &File) -> io::Result<bool> {
        let own = rustix::fs::fstat(file)?;
        let there = rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok((own.st_dev, own.st_ino) == (there.st_dev, there.st_ino))
    }
}

/// On macOS a mode has 16 bits, on Linux 32.
fn mode_of(bits: u32) -> Mode {
    Mode::from_raw_mode(bits as RawMode)
}

fn set_mode(file: &File, mode: Option<u32>) -> io::Result<()> {
    match mode {
        Some(mode) => Ok(rustix::fs::fchmod(file, mode_of(mode))?),
        None => Ok(()),
    }
}

//! A file for data that does not fit into memory.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::ReadAt;
use super::new_file::NewFile;
use crate::error::{Error, Result};

/// A file that is removed when it is no longer used.
pub(crate) struct Scratch {
    folder: PathBuf,
    file: NewFile,
}

impl Scratch {
    /// A new file in `folder`.
    pub fn create(folder: &Path) -> Result<Self> {
        let file = NewFile::scratch(folder).map_err(|error| Error::io("create a scratch file in", folder, error))?;
        Ok(Self { folder: folder.to_owned(), file })
    }

    /// A path, for code that opens files only by path.
    pub fn named_path(&mut self) -> Result<PathBuf> {
        self.file.named_path().map_err(|error| Error::io("name a scratch file in", &self.folder, error))
    }

    /// Writes `bytes` at `offset`.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let written = write_all_at(self.file.file(), bytes, offset);
        written.map_err(|error| Error::io("write the scratch file in", &self.folder, error))
    }

    /// Reads the bytes at `offset`.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let read = self.file.file().read_exact_at(buffer, offset);
        read.map_err(|error| Error::io("read the scratch file in", &self.folder, error))
    }
}

impl ReadAt for Scratch {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.file().read_exact_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        ReadAt::len(self.file.file())
    }
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => (bytes, offset) = (&bytes[n..], offset + n as u64),
        }
    }
    Ok(())
}

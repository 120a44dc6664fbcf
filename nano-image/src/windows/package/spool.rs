//! Bytes that are kept until the image is written: small amounts in memory, the rest in a scratch file.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::content::{Added, Extent, Scratch};
use crate::error::{Error, Result};

/// A store for bytes, which several threads may use.
pub(super) struct Spool {
    /// How many more bytes may be kept in memory.
    memory: AtomicU64,
    folder: Option<PathBuf>,
    /// The scratch file, which is created when it is first needed, and its length.
    scratch: Mutex<Option<(Arc<Scratch>, u64)>>,
}

/// Receives bytes in pieces.
pub(super) enum Writer {
    Memory(Vec<u8>, u64),
    Scratch { scratch: Arc<Scratch>, extent: Extent, written: u64 },
}

impl Spool {
    /// Keeps `memory` bytes in memory and the rest in a file in `folder`.
    pub fn new(folder: Option<&Path>, memory: u64) -> Self {
        Self { memory: AtomicU64::new(memory), folder: folder.map(Path::to_owned), scratch: Mutex::new(None) }
    }

    /// Starts storing `len` bytes.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) if a scratch folder is needed and not given.
    pub fn writer(&self, len: u64) -> Result<Writer> {
        let take = self.memory.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(len));
        if take.is_ok() {
            return Ok(Writer::Memory(Vec::with_capacity(len as usize), len));
        }
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, end) = match &mut *scratch {
            Some(scratch) => scratch,
            none => none.insert((Arc::new(self.create()?), 0)),
        };
        let extent = Extent { start: *end, len };
        *end += len;
        Ok(Writer::Scratch { scratch: file.clone(), extent, written: 0 })
    }

    /// A separate scratch file.
    ///
    /// # Errors
    /// Those of [`writer`](Self::writer).
    pub fn create(&self) -> Result<Scratch> {
        let missing = || {
            let what = "the packages have more files than fit into memory, and there is no scratch folder";
            Error::recipe(what).with_hint("name a folder with room for the packages' files")
        };
        Scratch::create(self.folder.as_deref().ok_or_else(missing)?)
    }

    /// Keeps `bytes`.
    ///
    /// # Errors
    /// Those of [`writer`](Self::writer).
    pub fn keep(&self, bytes: &Arc<[u8]>) -> Result<Added> {
        match self.writer(bytes.len() as u64)? {
            Writer::Memory(..) => Ok(Added::Memory(bytes.clone())),
            mut writer => {
                writer.append(bytes)?;
                writer.finish()
            }
        }
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io).
    pub fn read(&self, made: &Added) -> Result<Arc<[u8]>> {
        let (scratch, extent) = match made {
            Added::Memory(bytes) => return Ok(bytes.clone()),
            Added::Scratch(scratch, extent) => (scratch, extent),
            Added::File(_) => return Err(Error::unsupported("a file of the machine that builds is not kept")),
        };
        let mut bytes = vec![0; extent.len as usize];
        scratch.read_at(&mut bytes, extent.start)?;
        Ok(bytes.into())
    }
}

impl Writer {
    /// The next bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Memory(memory, len) if memory.len() + bytes.len() <= *len as usize => memory.extend_from_slice(bytes),
            Self::Scratch { scratch, extent, written } if *written + bytes.len() as u64 <= extent.len => {
                scratch.write_at(bytes, extent.start + *written)?;
                *written += bytes.len() as u64;
            }
            _ => return Err(Error::corrupt("a file is longer than its announced length")),
        }
        Ok(())
    }

    /// Where the bytes are.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if some are missing.
    pub fn finish(self) -> Result<Added> {
        match self {
            Self::Memory(memory, len) if memory.len() as u64 == len => Ok(Added::Memory(memory.into())),
            Self::Scratch { scratch, extent, written } if written == extent.len => Ok(Added::Scratch(scratch, extent)),
            _ => Err(Error::corrupt("a file ends early")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_goes_to_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(Some(folder.path()), 10);
        let kept: Vec<(Arc<[u8]>, Added)> = [4usize, 9, 6, 300]
            .iter()
            .map(|len| {
                let bytes: Arc<[u8]> = vec![*len as u8; *len].into();
                (bytes.clone(), spool.keep(&bytes).unwrap())
            })
            .collect();
        let in_memory: Vec<bool> = kept.iter().map(|(_, made)| matches!(made, Added::Memory(_))).collect();
        assert_eq!(in_memory, [true, false, true, false]);
        for (bytes, made) in &kept {
            assert_eq!(&spool.read(made).unwrap(), bytes);
        }
        let mut short = spool.writer(5).unwrap();
        short.append(b"abc").unwrap();
        assert!(short.append(b"def").is_err() && short.finish().is_err());
        assert!(Spool::new(None, 3).writer(4).is_err());
        drop((spool, kept));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

//! Files of the machine that builds.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// A file whose contents go into the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFile {
    path: PathBuf,
    len: u64,
    digest: [u8; 32],
}

impl HostFile {
    /// Reads the file once, so that a later change is found.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) and [`Io`](crate::ErrorKind::Io).
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let (path, mut len) = (path.into(), 0);
        let mut hash = Sha256::new();
        read(&path, |piece| {
            len += piece.len() as u64;
            hash.update(piece);
            Ok(())
        })?;
        Ok(Self { path, len, digest: hash.finalize().into() })
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
        read(&self.path, |piece| {
            left = left.checked_sub(piece.len() as u64).ok_or_else(changed)?;
            hash.update(piece);
            sink(piece)
        })?;
        let digest: [u8; 32] = hash.finalize().into();
        if left == 0 && digest == self.digest { Ok(()) } else { Err(changed()) }
    }
}

/// The whole file at `path` of the machine that builds, which has at most `limit` bytes; `what` names what it must be.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) and [`Io`](crate::ErrorKind::Io);
/// [`Unsupported`](crate::ErrorKind::Unsupported) if it is larger.
pub fn read_file(path: &Path, limit: u64, what: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(|error| Error::io("read", path, error))?;
    if bytes.len() as u64 > limit {
        return Err(Error::unsupported(format!("more than {limit} bytes: this is not {what}")).with_path(path));
    }
    Ok(bytes)
}

fn read(path: &Path, mut sink: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let failed = |error| Error::io("read", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => sink(&buffer[..len])?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

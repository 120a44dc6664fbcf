//! Files of the machine that builds, as blobs.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{BlobForm, BlobId, BlobRequest, BlobSink, BlobStore, Content, ReadOptions, StoredForm};
use crate::error::{Error, Result};

/// Numbers from here on are files; a WIM has fewer blobs.
const FIRST: u32 = 1 << 31;
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
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// SHA-256 of the contents.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Hands the contents to `sink`.
    fn send(&self, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
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

/// A store whose blobs are followed by files.
pub struct WithFiles {
    store: Arc<dyn BlobStore>,
    files: Vec<HostFile>,
}

impl WithFiles {
    /// `store` with `files`.
    pub fn new(store: Arc<dyn BlobStore>, files: Vec<HostFile>) -> Self {
        Self { store, files }
    }

    /// What the file number `index` holds, for a tree whose blobs such a store reads.
    pub fn content(index: usize, file: &HostFile) -> Content {
        match file.len {
            0 => Content::empty(),
            len => Content::Blob { id: BlobId(FIRST + index as u32), len },
        }
    }

    fn file(&self, id: BlobId) -> Result<&HostFile> {
        let file = id.0.checked_sub(FIRST).and_then(|index| self.files.get(index as usize));
        file.ok_or_else(|| Error::not_found(format!("there is no file for the blob number {}", id.0)))
    }
}

impl BlobStore for WithFiles {
    fn read_blobs(&self, requests: &[BlobId], jobs: usize, sink: &mut BlobSink<'_>) -> Result<()> {
        let split = requests.partition_point(|id| id.0 < FIRST);
        self.store.read_blobs(&requests[..split], jobs, sink)?;
        for (index, id) in requests.iter().enumerate().skip(split) {
            self.file(*id)?.send(&mut |piece| sink(index, piece))?;
        }
        Ok(())
    }

    fn stored_form(&self, id: BlobId) -> Option<StoredForm> {
        if id.0 < FIRST { self.store.stored_form(id) } else { None }
    }

    fn read_forms(&self, requests: &[BlobRequest], options: ReadOptions, sink: &mut BlobSink<'_>) -> Result<()> {
        let split = requests.partition_point(|request| request.id.0 < FIRST);
        self.store.read_forms(&requests[..split], options, sink)?;
        for (index, request) in requests.iter().enumerate().skip(split) {
            if request.form == BlobForm::Stored {
                return Err(Error::unsupported("a file has no compressed form to copy"));
            }
            self.file(request.id)?.send(&mut |piece| sink(index, piece))?;
        }
        Ok(())
    }

    fn read_blob(&self, id: BlobId, limit: u64) -> Result<Vec<u8>> {
        if id.0 < FIRST {
            return self.store.read_blob(id, limit);
        }
        let file = self.file(id)?;
        if file.len > limit {
            let what = format!("file of {} bytes; {limit} at most are expected", file.len);
            return Err(Error::unsupported(what).with_path(&file.path));
        }
        let mut bytes = Vec::new();
        file.send(&mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers;

    impl BlobStore for Numbers {
        fn read_blobs(&self, requests: &[BlobId], _jobs: usize, sink: &mut BlobSink<'_>) -> Result<()> {
            requests.iter().enumerate().try_for_each(|(index, id)| sink(index, &[id.0 as u8]))
        }

        fn read_blob(&self, id: BlobId, _limit: u64) -> Result<Vec<u8>> {
            Ok(vec![id.0 as u8])
        }
    }

    #[test]
    fn files_follow_the_blobs_of_the_store_and_changes_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        let bytes: Vec<u8> = (0..CHUNK as u32 + 1000).map(|n| n as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = HostFile::open(&path).unwrap();
        let Content::Blob { id, len } = WithFiles::content(0, &file) else { panic!("not empty") };
        assert_eq!(len, bytes.len() as u64);
        let store = WithFiles::new(Arc::new(Numbers), vec![file]);
        let mut got = vec![Vec::new(); 4];
        let mut sink = |index: usize, piece: &[u8]| {
            got[index].extend_from_slice(piece);
            Ok(())
        };
        store.read_blobs(&[BlobId(1), BlobId(7), id, id], 1, &mut sink).unwrap();
        assert!(got == [vec![1], vec![7], bytes.clone(), bytes.clone()]);
        assert_eq!(store.read_blob(id, len).unwrap(), bytes);
        assert!(store.read_blob(id, len - 1).is_err() && store.read_blob(BlobId(id.0 + 1), 9).is_err());
        std::fs::write(&path, [&[1], &bytes[1..]].concat()).unwrap();
        assert!(store.read_blob(id, len).unwrap_err().message().contains("changed"));
        std::fs::write(&path, &bytes[1..]).unwrap();
        assert!(store.read_blobs(&[id], 1, &mut |_, _| Ok(())).is_err());
    }
}

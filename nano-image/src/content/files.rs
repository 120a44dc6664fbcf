//! Files of the machine that builds, as blobs.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{BlobForm, BlobId, BlobRequest, BlobSink, BlobStore, Content, ReadOptions, StoredForm};
use crate::error::{Error, Result};

/// The first file has this number, unless its user chose another; a WIM has fewer blobs.
const FIRST: BlobId = BlobId(1 << 31);
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

/// A store, and files beside its blobs.
///
/// Each user of files has numbers of its own, so one such store can be around another.
pub struct WithFiles {
    store: Arc<dyn BlobStore>,
    first: BlobId,
    files: Vec<HostFile>,
}

impl WithFiles {
    /// `store` with `files`, numbered from 2³¹ on.
    pub fn new(store: Arc<dyn BlobStore>, files: Vec<HostFile>) -> Self {
        Self::numbered(FIRST, store, files)
    }

    /// `store` with `files`, numbered from `first` on; `store` must have no blobs with these numbers.
    pub fn numbered(first: BlobId, store: Arc<dyn BlobStore>, files: Vec<HostFile>) -> Self {
        Self { store, first, files }
    }

    /// What the file number `index` of a [`new`](Self::new) store holds, for a tree whose blobs such a store reads.
    pub fn content(index: usize, file: &HostFile) -> Content {
        Self::content_from(FIRST, index, file)
    }

    /// What the file number `index` of a store that is [`numbered`](Self::numbered) from `first` on holds.
    pub fn content_from(first: BlobId, index: usize, file: &HostFile) -> Content {
        match file.len {
            0 => Content::empty(),
            len => Content::Blob { id: BlobId(first.0 + index as u32), len },
        }
    }

    fn file(&self, id: BlobId) -> Option<&HostFile> {
        self.files.get(id.0.checked_sub(self.first.0)? as usize)
    }

    /// Splits ascending requests: how many come before the files, and before what follows them.
    fn split<T>(&self, requests: &[T], id: impl Fn(&T) -> BlobId) -> (usize, usize) {
        let end = u64::from(self.first.0) + self.files.len() as u64;
        let before = requests.partition_point(|request| id(request) < self.first);
        (before, requests.partition_point(|request| u64::from(id(request).0) < end))
    }

    /// Hands the contents of files to `sink`; the first request has the number `number`.
    fn send(&self, ids: impl Iterator<Item = BlobId>, number: usize, sink: &mut BlobSink<'_>) -> Result<()> {
        for (index, id) in ids.enumerate() {
            if let Some(file) = self.file(id) {
                file.send(&mut |piece| sink(number + index, piece))?;
            }
        }
        Ok(())
    }
}

impl BlobStore for WithFiles {
    fn read_blobs(&self, requests: &[BlobId], jobs: usize, sink: &mut BlobSink<'_>) -> Result<()> {
        let (before, after) = self.split(requests, |id| *id);
        self.store.read_blobs(&requests[..before], jobs, sink)?;
        self.send(requests[before..after].iter().copied(), before, sink)?;
        match &requests[after..] {
            [] => Ok(()),
            rest => self.store.read_blobs(rest, jobs, &mut |index, piece| sink(after + index, piece)),
        }
    }

    fn stored_form(&self, id: BlobId) -> Option<StoredForm> {
        if self.file(id).is_none() { self.store.stored_form(id) } else { None }
    }

    fn read_forms(&self, requests: &[BlobRequest], options: ReadOptions, sink: &mut BlobSink<'_>) -> Result<()> {
        let (before, after) = self.split(requests, |request| request.id);
        self.store.read_forms(&requests[..before], options, sink)?;
        let own = &requests[before..after];
        if own.iter().any(|request| request.form == BlobForm::Stored) {
            return Err(Error::unsupported("a file has no compressed form to copy"));
        }
        self.send(own.iter().map(|request| request.id), before, sink)?;
        match &requests[after..] {
            [] => Ok(()),
            rest => self.store.read_forms(rest, options, &mut |index, piece| sink(after + index, piece)),
        }
    }

    fn read_blob(&self, id: BlobId, limit: u64) -> Result<Vec<u8>> {
        let Some(file) = self.file(id) else { return self.store.read_blob(id, limit) };
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers;

    impl BlobStore for Numbers {
        fn read_blobs(&self, requests: &[BlobId], _jobs: usize, sink: &mut BlobSink<'_>) -> Result<()> {
            requests.iter().enumerate().try_for_each(|(index, id)| sink(index, &[id.0 as u8]))
        }

        fn read_blob(&self, id: BlobId, _limit: u64) -> Result<Vec<u8>> {
            if id < FIRST { Ok(vec![id.0 as u8]) } else { Err(Error::not_found("no such number")) }
        }

        fn stored_form(&self, id: BlobId) -> Option<StoredForm> {
            Some(StoredForm { algorithm: crate::content::WofAlgorithm::Lzx, len: id.0.into() })
        }

        fn read_forms(&self, requests: &[BlobRequest], _: ReadOptions, sink: &mut BlobSink<'_>) -> Result<()> {
            requests.iter().enumerate().try_for_each(|(index, request)| sink(index, &[request.id.0 as u8]))
        }
    }

    /// Either user of files may come first, and the store's own blobs may lie between and behind theirs.
    #[test]
    fn stores_with_files_go_into_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, name).unwrap();
            HostFile::open(path).unwrap()
        };
        let low = || vec![file("a"), file("bb")];
        let high = || vec![file("ccc")];
        let second = BlobId(3 << 30);
        let inside: Arc<dyn BlobStore> = Arc::new(WithFiles::new(Arc::new(Numbers), low()));
        let outside: Arc<dyn BlobStore> = Arc::new(WithFiles::numbered(second, Arc::new(Numbers), high()));
        let stores = [WithFiles::numbered(second, inside, high()), WithFiles::new(outside, low())];
        let ids = [BlobId(5), FIRST, BlobId(FIRST.0 + 1), BlobId(FIRST.0 + 2), second, BlobId(second.0 + 9)];
        for store in stores {
            let mut got = vec![String::new(); ids.len()];
            let mut sink = |index: usize, piece: &[u8]| {
                got[index].push_str(std::str::from_utf8(piece).unwrap());
                Ok(())
            };
            store.read_blobs(&ids, 1, &mut sink).unwrap();
            let requests = ids.map(|id| BlobRequest { id, form: BlobForm::Contents });
            store.read_forms(&requests, 1.into(), &mut sink).unwrap();
            assert_eq!(got, ["\x05\x05", "aa", "bbbb", "\x02\x02", "cccccc", "\x09\x09"]);
            assert_eq!(store.read_blob(second, 3).unwrap(), b"ccc");
            assert_eq!(store.read_blob(ids[2], 3).unwrap(), b"bb");
            assert!(store.stored_form(ids[2]).is_none() && store.stored_form(second).is_none());
            assert!(store.stored_form(BlobId(5)).is_some());
            let stored = [BlobRequest { id: second, form: BlobForm::Stored }];
            assert!(store.read_forms(&stored, 1.into(), &mut |_, _| Ok(())).is_err());
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

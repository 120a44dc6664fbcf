//! Contents that a build made itself: in memory or in a scratch file, beside the blobs of a source.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{BlobForm, BlobId, BlobRequest, BlobSink, BlobStore, Extent, ReadAt, ReadOptions, StoredForm};
use crate::error::{Error, Result};

/// Bytes handed on at once.
const PIECE: u64 = 1 << 20;

/// A file that is removed when it is no longer used.
pub(crate) struct Scratch {
    path: PathBuf,
    file: File,
}

impl Scratch {
    /// A new file in `folder`.
    pub fn create(folder: &Path) -> Result<Self> {
        for attempt in 0..100 {
            let path = folder.join(format!(".nano-image-{}-{attempt}.scratch", std::process::id()));
            match File::options().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { path, file }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create a scratch file in", folder, error)),
            }
        }
        Err(Error::io("create a scratch file in", folder, io::ErrorKind::AlreadyExists.into()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `bytes` at `offset`.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        write_all_at(&self.file, bytes, offset).map_err(|error| Error::io("write the scratch file", &self.path, error))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let read = self.file.read_exact_at(buffer, offset);
        read.map_err(|error| Error::io("read the scratch file", &self.path, error))
    }
}

impl ReadAt for Scratch {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        ReadAt::len(&self.file)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
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

/// Where the bytes of a made blob are.
#[derive(Clone)]
pub(crate) enum Made {
    /// In memory.
    Memory(Arc<[u8]>),
    /// In the scratch file.
    Scratch(Extent),
}

/// The blobs of a store, and blobs that were made.
pub(crate) struct WithMade {
    inner: Arc<dyn BlobStore>,
    /// Number of the first made blob. The store may have numbers before and after the made ones.
    first: u32,
    blobs: Vec<Made>,
    scratch: Option<Arc<Scratch>>,
}

impl WithMade {
    /// `inner` with `blobs` from the number `first` on.
    pub fn new(inner: Arc<dyn BlobStore>, first: u32, blobs: Vec<Made>, scratch: Option<Arc<Scratch>>) -> Self {
        Self { inner, first, blobs, scratch }
    }

    fn get(&self, id: BlobId) -> Option<&Made> {
        self.blobs.get(id.0.checked_sub(self.first)? as usize)
    }

    fn send(&self, made: &Made, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let extent = match made {
            Made::Memory(bytes) => return sink(bytes),
            Made::Scratch(extent) => *extent,
        };
        let Some(scratch) = &self.scratch else { return Err(Error::not_found("there is no scratch file")) };
        let mut buffer = Vec::new();
        let mut done = 0;
        while done < extent.len {
            buffer.resize((extent.len - done).min(PIECE) as usize, 0);
            scratch.read_at(&mut buffer, extent.start + done)?;
            sink(&buffer)?;
            done += buffer.len() as u64;
        }
        Ok(())
    }

    /// Ranges of ascending requests: before the made blobs, they, after them.
    fn split(&self, count: usize, id: impl Fn(usize) -> u32) -> (usize, usize) {
        let end = u64::from(self.first) + self.blobs.len() as u64;
        let before = (0..count).take_while(|index| id(*index) < self.first).count();
        let own = (before..count).take_while(|index| u64::from(id(*index)) < end).count();
        (before, before + own)
    }
}

impl Made {
    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Scratch(extent) => extent.len,
        }
    }
}

impl BlobStore for WithMade {
    fn read_blobs(&self, requests: &[BlobId], jobs: usize, sink: &mut BlobSink<'_>) -> Result<()> {
        let (before, own) = self.split(requests.len(), |index| requests[index].0);
        self.inner.read_blobs(&requests[..before], jobs, sink)?;
        for (index, id) in requests.iter().enumerate().take(own).skip(before) {
            self.get(*id).map_or(Ok(()), |made| self.send(made, &mut |piece| sink(index, piece)))?;
        }
        match &requests[own..] {
            [] => Ok(()),
            rest => self.inner.read_blobs(rest, jobs, &mut |index, piece| sink(own + index, piece)),
        }
    }

    fn read_blob(&self, id: BlobId, limit: u64) -> Result<Vec<u8>> {
        let Some(made) = self.get(id) else { return self.inner.read_blob(id, limit) };
        if made.len() > limit {
            let what = format!("a file of {} bytes; {limit} at most are expected", made.len());
            return Err(Error::unsupported(what));
        }
        let mut bytes = Vec::new();
        self.send(made, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn stored_form(&self, id: BlobId) -> Option<StoredForm> {
        if self.get(id).is_none() { self.inner.stored_form(id) } else { None }
    }

    fn read_forms(&self, requests: &[BlobRequest], options: ReadOptions, sink: &mut BlobSink<'_>) -> Result<()> {
        let (before, own) = self.split(requests.len(), |index| requests[index].id.0);
        self.inner.read_forms(&requests[..before], options, sink)?;
        for (index, request) in requests.iter().enumerate().take(own).skip(before) {
            if request.form == BlobForm::Stored {
                return Err(Error::unsupported("a made file has no compressed form to copy"));
            }
            self.get(request.id).map_or(Ok(()), |made| self.send(made, &mut |piece| sink(index, piece)))?;
        }
        match &requests[own..] {
            [] => Ok(()),
            rest => self.inner.read_forms(rest, options, &mut |index, piece| sink(own + index, piece)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each blob is its number in four bytes; the stored form has a fifth.
    struct Numbers;

    impl BlobStore for Numbers {
        fn read_blobs(&self, requests: &[BlobId], _: usize, sink: &mut BlobSink<'_>) -> Result<()> {
            requests.iter().enumerate().try_for_each(|(index, id)| sink(index, &id.0.to_le_bytes()))
        }

        fn read_blob(&self, id: BlobId, _: u64) -> Result<Vec<u8>> {
            Ok(id.0.to_le_bytes().to_vec())
        }

        fn stored_form(&self, _: BlobId) -> Option<StoredForm> {
            Some(StoredForm { algorithm: crate::content::WofAlgorithm::Lzx, len: 5 })
        }

        fn read_forms(&self, requests: &[BlobRequest], _: ReadOptions, sink: &mut BlobSink<'_>) -> Result<()> {
            requests.iter().enumerate().try_for_each(|(index, request)| {
                sink(index, &request.id.0.to_le_bytes())?;
                if request.form == BlobForm::Stored { sink(index, &[9]) } else { Ok(()) }
            })
        }
    }

    #[test]
    fn made_blobs_lie_between_those_of_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(folder.path()).unwrap();
        let big: Vec<u8> = (0..PIECE as u32 + 1000).map(|number| number as u8).collect();
        scratch.write_at(&big, 7).unwrap();
        let blobs = vec![
            Made::Memory(Arc::from([1u8, 2])),
            Made::Scratch(Extent { start: 7, len: big.len() as u64 }),
            Made::Memory(Arc::from([])),
        ];
        let store = WithMade::new(Arc::new(Numbers), 10, blobs, Some(Arc::new(scratch)));
        let ids = [3, 9, 10, 11, 11, 12, 13, 1 << 31].map(BlobId);
        let mut got = vec![Vec::new(); ids.len()];
        store
            .read_blobs(&ids, 1, &mut |index, piece| {
                got[index].extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
        let number = |number: u32| number.to_le_bytes().to_vec();
        let expected =
            [number(3), number(9), vec![1, 2], big.clone(), big.clone(), vec![], number(13), number(1 << 31)];
        assert!(got == expected);
        assert!(store.stored_form(BlobId(9)).is_some() && store.stored_form(BlobId(10)).is_none());
        assert_eq!(store.read_blob(BlobId(11), big.len() as u64).unwrap(), big);
        assert!(store.read_blob(BlobId(11), 5).is_err());
        let form = |id, form| BlobRequest { id: BlobId(id), form };
        let requests = [form(9, BlobForm::Stored), form(10, BlobForm::Contents), form(14, BlobForm::Stored)];
        let mut got = vec![Vec::new(); 3];
        store
            .read_forms(&requests, ReadOptions::from(1), &mut |index, piece| {
                got[index].extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
        assert_eq!(got, [[number(9), vec![9]].concat(), vec![1, 2], [number(14), vec![9]].concat()]);
        assert!(store.read_forms(&[form(11, BlobForm::Stored)], 1.into(), &mut |_, _| Ok(())).is_err());
        drop(store);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the scratch file is removed");
    }
}

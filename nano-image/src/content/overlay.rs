//! The blobs of a source together with added contents: files of the host, and what the build makes.

use std::sync::Arc;

use super::{
    BlobForm, BlobId, BlobRequest, BlobSink, BlobStore, Content, Extent, InputFile, ReadOptions, Scratch, StoredForm,
};
use crate::error::{Error, Result};

/// Bytes handed on at once.
const PIECE: u64 = 1 << 20;

/// A store with added contents. Their numbers follow those of the store, in the order in which they were added, so that
/// a pass over all blobs reads the store first.
#[derive(Clone)]
pub struct Overlay {
    base: Arc<dyn BlobStore>,
    /// Number of the first added content.
    first: u32,
    added: Vec<Added>,
}

/// An added content.
#[derive(Clone)]
pub(crate) enum Added {
    /// Bytes in memory.
    Memory(Arc<[u8]>),
    /// Bytes of a scratch file.
    Scratch(Arc<Scratch>, Extent),
    /// A file of the host.
    File(InputFile),
}

impl Overlay {
    /// The store `base`; its blobs from `first` on are not used.
    pub fn new(base: Arc<dyn BlobStore>, first: BlobId) -> Self {
        Self { base, first: first.0, added: Vec::new() }
    }

    /// The number that the next added content will get.
    pub fn next(&self) -> BlobId {
        BlobId(self.first.saturating_add(self.added.len() as u32))
    }

    /// Adds a content.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if there are no numbers left.
    pub(crate) fn add(&mut self, added: Added) -> Result<Content> {
        let len = added.len();
        if len == 0 {
            return Ok(Content::empty());
        }
        let number = u32::try_from(self.added.len()).ok().and_then(|number| self.first.checked_add(number));
        let id = BlobId(number.ok_or_else(|| Error::unsupported("the image would have too many files"))?);
        self.added.push(added);
        Ok(Content::Blob { id, len })
    }

    /// The added content with the number `id`; `None` if the blob belongs to the store.
    fn find(&self, id: BlobId) -> Result<Option<&Added>> {
        let Some(number) = id.0.checked_sub(self.first) else { return Ok(None) };
        let found = self.added.get(number as usize);
        found.map(Some).ok_or_else(|| Error::not_found(format!("there is no blob {}", id.0)))
    }

    /// Hands the contents of added blobs to `sink`; the first one is request `number`.
    fn send(&self, ids: impl Iterator<Item = BlobId>, number: usize, sink: &mut BlobSink<'_>) -> Result<()> {
        for (index, id) in ids.enumerate() {
            if let Some(added) = self.find(id)? {
                added.send(&mut |piece| sink(number + index, piece))?;
            }
        }
        Ok(())
    }
}

impl Added {
    fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Scratch(_, extent) => extent.len,
            Self::File(file) => file.len(),
        }
    }

    fn send(&self, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let (scratch, extent) = match self {
            Self::Memory(bytes) => return sink(bytes),
            Self::File(file) => return file.send(sink),
            Self::Scratch(scratch, extent) => (scratch, extent),
        };
        let (mut buffer, mut done) = (Vec::new(), 0);
        while done < extent.len {
            buffer.resize((extent.len - done).min(PIECE) as usize, 0);
            scratch.read_at(&mut buffer, extent.start + done)?;
            sink(&buffer)?;
            done += buffer.len() as u64;
        }
        Ok(())
    }
}

impl BlobStore for Overlay {
    fn read_blobs(&self, requests: &[BlobId], jobs: usize, sink: &mut BlobSink<'_>) -> Result<()> {
        let (theirs, own) = requests.split_at(requests.partition_point(|id| id.0 < self.first));
        self.base.read_blobs(theirs, jobs, sink)?;
        self.send(own.iter().copied(), theirs.len(), sink)
    }

    fn read_blob(&self, id: BlobId, limit: u64) -> Result<Vec<u8>> {
        let Some(added) = self.find(id)? else { return self.base.read_blob(id, limit) };
        if added.len() > limit {
            let error = Error::unsupported(format!("the file has {} bytes; at most {limit} are expected", added.len()));
            return Err(match added {
                Added::File(file) => error.with_path(file.path()),
                _ => error,
            });
        }
        let mut bytes = Vec::new();
        added.send(&mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn stored_form(&self, id: BlobId) -> Option<StoredForm> {
        if id.0 < self.first { self.base.stored_form(id) } else { None }
    }

    fn read_forms(&self, requests: &[BlobRequest], options: ReadOptions, sink: &mut BlobSink<'_>) -> Result<()> {
        let (theirs, own) = requests.split_at(requests.partition_point(|request| request.id.0 < self.first));
        if own.iter().any(|request| request.form == BlobForm::Stored) {
            return Err(Error::unsupported("an added file has no compressed form to copy"));
        }
        self.base.read_forms(theirs, options, sink)?;
        self.send(own.iter().map(|request| request.id), theirs.len(), sink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::InputFiles;

    /// Each blob consists of its number in four bytes; the stored form has a fifth byte.
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

    fn id(content: &Content) -> BlobId {
        match content {
            Content::Blob { id, .. } => *id,
            Content::Bytes(_) => panic!("no blob"),
        }
    }

    #[test]
    fn added_contents_follow_the_blobs_of_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Arc::new(Scratch::create(folder.path()).unwrap());
        let big: Vec<u8> = (0..PIECE as u32 + 1000).map(|number| number as u8).collect();
        scratch.write_at(&big, 7).unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "file").unwrap();
        let mut store = Overlay::new(Arc::new(Numbers), BlobId(10));
        let extent = Extent { start: 7, len: big.len() as u64 };
        assert!(store.add(Added::Memory(Arc::from([]))).unwrap().is_empty());
        let added = [
            store.add(Added::Memory(Arc::from([1u8, 2]))).unwrap(),
            store.add(Added::Scratch(scratch, extent)).unwrap(),
            store.add(Added::File(InputFile::open(&InputFiles::default(), &path).unwrap())).unwrap(),
        ];
        assert_eq!(added.each_ref().map(id), [10, 11, 12].map(BlobId));
        assert_eq!(added.each_ref().map(Content::len), [2, big.len() as u64, 4]);

        let ids = [3, 9, 10, 11, 11, 12].map(BlobId);
        let number = |number: u32| number.to_le_bytes().to_vec();
        let expected = [number(3), number(9), vec![1, 2], big.clone(), big.clone(), b"file".to_vec()];
        let mut got = vec![Vec::new(); ids.len()];
        let mut sink = |index: usize, piece: &[u8]| {
            got[index].extend_from_slice(piece);
            Ok(())
        };
        store.read_blobs(&ids, 1, &mut sink).unwrap();
        assert!(got == expected);
        assert_eq!(store.read_blob(BlobId(11), big.len() as u64).unwrap(), big);
        assert!(store.read_blob(BlobId(11), 5).is_err() && store.read_blob(BlobId(12), 3).is_err());
        assert!(
            store.read_blob(BlobId(13), 9).is_err() && store.read_blobs(&[BlobId(13)], 1, &mut |_, _| Ok(())).is_err()
        );

        assert!(store.stored_form(BlobId(9)).is_some() && store.stored_form(BlobId(10)).is_none());
        let form = |id, form| BlobRequest { id: BlobId(id), form };
        let requests = [form(9, BlobForm::Stored), form(9, BlobForm::Contents), form(10, BlobForm::Contents)];
        let mut got = vec![Vec::new(); 3];
        let mut sink = |index: usize, piece: &[u8]| {
            got[index].extend_from_slice(piece);
            Ok(())
        };
        store.read_forms(&requests, ReadOptions::from(1), &mut sink).unwrap();
        assert_eq!(got, [[number(9), vec![9]].concat(), number(9), vec![1, 2]]);
        assert!(store.read_forms(&[form(11, BlobForm::Stored)], 1.into(), &mut |_, _| Ok(())).is_err());
        std::fs::remove_file(&path).unwrap();
        drop(store);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the scratch file is removed");
    }

    #[test]
    fn a_file_that_changes_after_it_was_added_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        let bytes: Vec<u8> = (0..(256 << 10) + 1000).map(|number| number as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let mut store = Overlay::new(Arc::new(Numbers), BlobId(1));
        let id = id(&store.add(Added::File(InputFile::open(&InputFiles::default(), &path).unwrap())).unwrap());
        assert_eq!(store.read_blob(id, bytes.len() as u64).unwrap(), bytes);
        std::fs::write(&path, [&[1], &bytes[1..]].concat()).unwrap();
        assert!(store.read_blob(id, 1 << 20).unwrap_err().message().contains("changed"));
        std::fs::write(&path, &bytes[1..]).unwrap();
        assert!(store.read_blobs(&[id], 1, &mut |_, _| Ok(())).is_err());
    }

    #[test]
    fn numbers_that_run_out_are_an_error() {
        let mut store = Overlay::new(Arc::new(Numbers), BlobId(u32::MAX));
        let bytes = || Added::Memory(Arc::from([1u8]));
        assert!(store.add(bytes()).is_ok() && store.add(bytes()).is_err());
    }
}

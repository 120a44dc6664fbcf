//! The contents of a volume's files, in the order in which they lie on it.

use std::io;
use std::sync::Arc;

use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use super::pump::pump;
use crate::content::{
    BlobForm, BlobId, BlobRequest, BlobSink, BlobStore, Content, Extent, ReadAt, ReadOptions, SourceCheck, StoredForm,
    contents_of, read_whole,
};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::{Observer, Phase};
use crate::tree::{FileTree, NodeId};
use crate::types::{ByteSize, Utf16Name};
use crate::volume::ntfs::format::{FileReference, attribute_type};
use crate::volume::ntfs::{NtfsFile, NtfsReader};
use crate::windows::contents::{self, wof};

/// Bytes handed on at once.
const PIECE: u64 = 256 << 10;
/// Stands for a digest that is not known yet.
const NOT_READ: [u8; 20] = [0; 20];

/// The contents of a volume's files. A [`BlobId`] counts them by the position of their first cluster.
pub struct VolumeStore {
    volume: Arc<dyn ReadAt>,
    blobs: Vec<Blob>,
}

/// A stream of a file.
pub(super) struct Blob {
    file: FileReference,
    /// Empty for the contents.
    stream: Utf16Name,
    len: u64,
    kind: BlobKind,
    /// SHA-1 of its bytes on the volume.
    digest: [u8; 20],
}

/// How a stream is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlobKind {
    /// Uncompressed, possibly with holes.
    Plain,
    /// Compressed by NTFS.
    Lznt1,
    /// Compressed by the overlay filter.
    Wof(StoredForm),
}

impl Blob {
    pub fn new(file: FileReference, stream: Utf16Name, len: u64, kind: BlobKind) -> Self {
        Self { file, stream, len, kind, digest: NOT_READ }
    }

    /// Its bytes on the volume: their ranges in the stream, and the stream.
    fn stored<'a>(&self, reader: &NtfsReader<'a>, file: &NtfsFile) -> Result<(Vec<Extent>, Box<dyn ReadAt + 'a>)> {
        let name = match self.kind {
            BlobKind::Wof(_) => Utf16Name::from(wof::STREAM),
            _ => self.stream.clone(),
        };
        let find =
            || file.attributes().find(|data| data.kind() == attribute_type::DATA && data.name().eq_ignore_case(&name));
        let attribute = find().ok_or_else(|| changed("a stream is gone"))?;
        let whole = |len| vec![Extent { start: 0, len }];
        if self.kind == BlobKind::Lznt1 {
            let stream = contents::open(reader, file, &name.to_string())?.ok_or_else(|| changed("a stream is gone"))?;
            return Ok((whole(self.len), stream));
        }
        // Holes of sparse files may be larger than the volume, so their zeros are not read.
        let mut parts = attribute.stored_parts(reader.cluster_size());
        parts.dedup_by(|next, last| {
            let touches = last.end() == next.start;
            last.len += if touches { next.len } else { 0 };
            touches
        });
        Ok((parts, Box::new(reader.attribute_stream(attribute)?)))
    }

    /// SHA-1 of its bytes on the volume, and of their ranges.
    fn measure(&self, reader: &NtfsReader<'_>, cancelled: &dyn Fn() -> bool) -> Result<[u8; 20]> {
        let file = reader.file(self.file)?;
        let (parts, stream) = self.stored(reader, &file)?;
        let mut hash = Sha1::new();
        for part in &parts {
            hash.update(part.start.to_le_bytes());
            read_pieces(&*stream, *part, &mut |piece| {
                hash.update(piece);
                if cancelled() { Err(Error::cancelled()) } else { Ok(()) }
            })?;
        }
        Ok(hash.finalize().into())
    }

    /// Hands the bytes in one of its forms to `sink`.
    fn send(
        &self,
        reader: &NtfsReader<'_>,
        form: BlobForm,
        check: SourceCheck,
        sink: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let file = reader.file(self.file)?;
        let (parts, stored) = self.stored(reader, &file)?;
        let stream = match (form, self.kind) {
            (BlobForm::Stored, BlobKind::Wof(_)) | (BlobForm::Contents, BlobKind::Plain | BlobKind::Lznt1) => stored,
            (BlobForm::Stored, _) => return Err(Error::unsupported("the file has no compressed form to copy")),
            (BlobForm::Contents, BlobKind::Wof(_)) => {
                contents::open(reader, &file, "")?.ok_or_else(|| changed("a stream is gone"))?
            }
        };
        let len = if form == BlobForm::Stored { self.stored_len() } else { self.len };
        let whole = Extent { start: 0, len };
        let is_checked = check == SourceCheck::Full && self.digest != NOT_READ;
        let is_as_stored = parts == [whole] && (form == BlobForm::Stored || !matches!(self.kind, BlobKind::Wof(_)));
        if !is_checked {
            return read_pieces(&*stream, whole, sink);
        }
        let other = || changed("a file has other contents than before");
        // If a file is not passed on in its stored form, it is first read for its digest.
        if !is_as_stored {
            let digest = self.measure(reader, &|| false)?;
            return if digest == self.digest { read_pieces(&*stream, whole, sink) } else { Err(other()) };
        }
        let mut hash = Sha1::new().chain_update(whole.start.to_le_bytes());
        read_pieces(&*stream, whole, &mut |piece| {
            hash.update(piece);
            sink(piece)
        })?;
        if hash.finalize()[..] == self.digest { Ok(()) } else { Err(other()) }
    }
}

impl VolumeStore {
    /// The store for `blobs`, numbered in this order.
    pub(super) fn new(volume: Arc<dyn ReadAt>, blobs: Vec<Blob>) -> Self {
        Self { volume, blobs }
    }

    /// Reads everything once, for the digests.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for damage, and those of the system.
    pub fn digest(&mut self, observer: &dyn Observer) -> Result<()> {
        let reader = NtfsReader::open(&*self.volume)?;
        let total = self.blobs.iter().map(Blob::stored_len).sum();
        observer.begin(Phase::Read, Some(ByteSize::new(total)));
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let (blobs, mut digests, mut done) = (&self.blobs, vec![[0; 20]; self.blobs.len()], 0);
        let cancelled = || observer.cancelled();
        pump(
            blobs.len(),
            jobs,
            &|index, sink| {
                let blob = &blobs[index];
                sink(&blob.measure(&reader, &cancelled).map_err(|error| name(error, &reader, blob))?)
            },
            &mut |index, digest| {
                digests[index].copy_from_slice(digest);
                done += blobs[index].stored_len();
                observer.advance(ByteSize::new(done));
                Ok(())
            },
        )?;
        drop(reader);
        for (blob, digest) in self.blobs.iter_mut().zip(digests) {
            blob.digest = digest;
        }
        Ok(())
    }

    /// SHA-256 of everything in `tree`, whose contents are in this store.
    pub fn tree_digest(&self, tree: &FileTree) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        tree.descriptors().iter().for_each(|descriptor| add(descriptor));
        for number in 0..tree.node_count() as u32 {
            let node = &tree[NodeId(number)];
            let security = node.security.map_or(u32::MAX, |id| id.0);
            add(&[node.attributes.to_le_bytes(), security.to_le_bytes()].concat());
            let times = [node.times.created, node.times.modified, node.times.changed, node.times.accessed];
            add(&times.map(|time| time.0.to_le_bytes()).concat());
            let named = node.streams.iter().map(|stream| (stream.name.to_le_bytes(), &stream.content));
            for (name, content) in node.data.iter().map(|data| (Vec::new(), data)).chain(named) {
                add(&name);
                match content {
                    Content::Bytes(bytes) => add(bytes),
                    Content::Blob { id, len } => {
                        let blob = &self.blobs[id.0 as usize];
                        let form = if let BlobKind::Wof(form) = blob.kind { form.algorithm as u8 } else { u8::MAX };
                        add(&[&blob.digest[..], &len.to_le_bytes(), &[form]].concat());
                    }
                }
            }
            if let Some(reparse) = &node.reparse {
                add(&reparse.tag.to_le_bytes());
                add(&reparse.data);
            }
            add(node.object_id.as_deref().unwrap_or_default());
            add(node.extended_attributes.as_deref().unwrap_or_default());
            for (name, entry) in node.children.iter().flatten() {
                add(&name.to_le_bytes());
                add(&entry.short_name.as_ref().map(Utf16Name::to_le_bytes).unwrap_or_default());
                add(&entry.node.0.to_le_bytes());
            }
        }
        hash.finalize().into()
    }

    /// How many files are compressed by the overlay filter.
    pub fn compact_files(&self) -> usize {
        self.blobs.iter().filter(|blob| matches!(blob.kind, BlobKind::Wof(_))).count()
    }

    fn get(&self, id: BlobId) -> Result<&Blob> {
        self.blobs.get(id.0 as usize).ok_or_else(|| Error::not_found(format!("the volume has no blob {}", id.0)))
    }
}

impl Blob {
    fn stored_len(&self) -> u64 {
        match self.kind {
            BlobKind::Wof(form) => form.len,
            _ => self.len,
        }
    }
}

impl BlobStore for VolumeStore {
    fn read_blobs(&self, requests: &[BlobId], jobs: usize, sink: &mut BlobSink<'_>) -> Result<()> {
        self.read_forms(&contents_of(requests), jobs.into(), sink)
    }

    fn read_blob(&self, id: BlobId, limit: u64) -> Result<Vec<u8>> {
        let blob = self.get(id)?;
        if blob.len > limit {
            let message = format!("file of {} bytes; {limit} at most are expected", blob.len);
            return Err(Error::unsupported(message));
        }
        read_whole(self, id, blob.len)
    }

    fn stored_form(&self, id: BlobId) -> Option<StoredForm> {
        match self.get(id).ok()?.kind {
            BlobKind::Wof(form) => Some(form),
            _ => None,
        }
    }

    fn read_forms(&self, requests: &[BlobRequest], options: ReadOptions, sink: &mut BlobSink<'_>) -> Result<()> {
        if requests.is_empty() {
            return Ok(());
        }
        let reader = NtfsReader::open(&*self.volume)?;
        pump(
            requests.len(),
            options.jobs,
            &|index, sink| {
                let BlobRequest { id, form } = requests[index];
                let blob = self.get(id)?;
                blob.send(&reader, form, options.check, sink).map_err(|error| name(error, &reader, blob))
            },
            sink,
        )
    }
}

fn read_pieces(stream: &dyn ReadAt, extent: Extent, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let (mut buffer, mut done) = (Vec::new(), 0);
    while done < extent.len {
        buffer.resize((extent.len - done).min(PIECE) as usize, 0);
        stream.read_exact_at(&mut buffer, extent.start + done).map_err(read_error)?;
        sink(&buffer)?;
        done += buffer.len() as u64;
    }
    Ok(())
}

fn read_error(error: io::Error) -> Error {
    let is_damage = matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData);
    let kind = if is_damage { ErrorKind::Corrupt } else { ErrorKind::Io };
    Error::new(kind, "cannot read a file of the volume").with_source(error)
}

fn changed(what: &str) -> Error {
    Error::corrupt(format!("the disk has changed since the build began: {what}"))
}

/// Adds the name of the file to `error`.
fn name(error: Error, reader: &NtfsReader<'_>, blob: &Blob) -> Error {
    match reader.file(blob.file).ok().and_then(|file| file.names().into_iter().next()) {
        Some(first) if error.path().is_none() && error.kind() != ErrorKind::Cancelled => {
            error.with_path(first.name.to_string())
        }
        _ => error,
    }
}

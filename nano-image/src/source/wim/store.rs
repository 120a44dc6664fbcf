//! The blobs of a WIM in the order of their positions.

use std::path::Path;
use std::sync::Arc;

use super::ffi::{BlobEntry, Info};
use super::format::{Compression, SolidHeader};
use super::resource::{Part, Resource, ResourceForm};
use crate::content::{BlobId, Extent, ReadAt, StoredForm};
use crate::error::{Error, Result};
use crate::types::FileOffset;
use zerocopy::FromBytes;

/// The blobs of a WIM's files. A [`BlobId`] counts them by part, offset of their resource, and offset in the resource.
pub struct WimStore {
    pub(super) parts: Arc<[Part]>,
    /// Sorted by part and offset.
    pub(super) resources: Vec<Resource>,
    blobs: Vec<Blob>,
    /// Sorted by digest.
    by_digest: Vec<BlobId>,
}

/// Position of a blob.
#[derive(Clone, Copy)]
pub(super) struct Blob {
    pub digest: [u8; 20],
    /// Index of its resource.
    pub resource: u32,
    /// Offset in the decompressed resource.
    pub offset: u64,
    pub len: u64,
}

impl WimStore {
    /// Number of blobs. Their ids are the numbers from 0 to this, exclusive.
    pub fn blob_count(&self) -> u32 {
        self.blobs.len() as u32
    }

    /// The blob with this SHA-1.
    pub fn find(&self, digest: &[u8; 20]) -> Option<BlobId> {
        let index = self.by_digest.binary_search_by(|id| self.blob(*id).digest.cmp(digest)).ok()?;
        Some(self.by_digest[index])
    }

    /// SHA-1 of a blob.
    ///
    /// # Panics
    ///
    /// Like the methods below, if the store has no blob `id`.
    pub fn digest(&self, id: BlobId) -> [u8; 20] {
        self.blob(id).digest
    }

    /// Length of a blob in bytes.
    pub fn blob_len(&self, id: BlobId) -> u64 {
        self.blob(id).len
    }

    /// The resource that holds a blob.
    pub fn resource(&self, id: BlobId) -> &Resource {
        &self.resources[self.blob(id).resource as usize]
    }

    /// A blob as it is stored (see [`resource`](Self::resource) for its form): the file and the range in it. `None` for
    /// a blob in a solid resource, which several blobs share. The SHA-1 is not checked.
    pub fn stored(&self, id: BlobId) -> Option<(&Arc<dyn ReadAt>, Extent)> {
        let resource = self.resource(id);
        let extent = Extent { start: resource.offset.0, len: resource.stored_len };
        (resource.form != ResourceForm::Solid).then(|| (&self.parts[usize::from(resource.part)].data, extent))
    }

    fn blob(&self, id: BlobId) -> &Blob {
        &self.blobs[id.0 as usize]
    }

    pub(super) fn get(&self, id: BlobId) -> Result<&Blob> {
        self.blobs.get(id.0 as usize).ok_or_else(|| Error::not_found(format!("the WIM has no blob number {}", id.0)))
    }

    /// The form in which a blob can be copied; `None` for an empty blob.
    pub(super) fn form(&self, blob: &Blob) -> Option<StoredForm> {
        self.resources[blob.resource as usize].stored_form().filter(|_| blob.len > 0)
    }

    /// The files of the parts.
    pub(super) fn files(&self) -> Vec<&Path> {
        self.parts.iter().map(|part| &*part.path).collect()
    }

    /// The store for `entries`, which lie in `parts`.
    pub(super) fn new(parts: Arc<[Part]>, info: &Info, mut entries: Vec<BlobEntry>) -> Result<Self> {
        entries.sort_by_key(|entry| {
            (entry.part_number, entry.solid.map_or(entry.offset, |solid| solid.offset), entry.offset, entry.digest)
        });
        let blobs = Vec::with_capacity(entries.len());
        let mut store = Self { parts, resources: Vec::new(), blobs, by_digest: Vec::new() };
        // The solid resource at the end of `resources`, and where its blobs end so far.
        let mut solid = None;
        for entry in &entries {
            let resource = match entry.solid {
                Some(place) if solid.is_some_and(|(part, open, _)| (part, open) == (entry.part_number, place)) => None,
                _ => Some(store.read_resource(info, entry)?),
            };
            if let Some(resource) = resource {
                solid = entry.solid.map(|place| (entry.part_number, place, 0));
                store.resources.push(resource);
            }
            let resource = &store.resources[store.resources.len() - 1];
            let corrupt = |message: &str| {
                let message = format!("blob {} {message}", hex::encode(entry.digest));
                Err(store.parts[usize::from(resource.part)].corrupt(message, resource.offset.0))
            };
            let offset = if entry.solid.is_some() { entry.offset } else { 0 };
            let Some(end) = offset.checked_add(entry.len).filter(|end| *end <= resource.len) else {
                return corrupt("reaches beyond the end of its solid resource");
            };
            if let Some((.., reach)) = &mut solid {
                if offset < *reach {
                    return corrupt("overlaps another in its solid resource");
                }
                *reach = end;
            }
            let blob =
                Blob { digest: entry.digest, resource: store.resources.len() as u32 - 1, offset, len: entry.len };
            store.blobs.push(blob);
        }
        store.resources.shrink_to_fit();
        store.by_digest = (0..store.blob_count()).map(BlobId).collect();
        store.by_digest.sort_unstable_by_key(|id| (store.blobs[id.0 as usize].digest, *id));
        Ok(store)
    }

    /// The resource that holds `entry`, checked against the part.
    fn read_resource(&self, info: &Info, entry: &BlobEntry) -> Result<Resource> {
        let index = (entry.part_number as usize).wrapping_sub(1);
        let part = self.parts.get(index).ok_or_else(|| {
            Error::corrupt(format!(
                "blob {} is in part {}, which does not exist",
                hex::encode(entry.digest),
                entry.part_number
            ))
            .with_path(&self.parts[0].path)
        })?;
        let resource = match entry.solid {
            Some(solid) => {
                let mut header = [0; size_of::<SolidHeader>()];
                part.read(&mut header, solid.offset)?;
                let header = SolidHeader::ref_from_bytes(&header).expect("a struct without padding of this size");
                if info.pipable {
                    return Err(Error::unsupported("a solid resource in a pipable WIM").with_path(&part.path));
                }
                if header.len.get() != solid.len {
                    return Err(part.corrupt("a solid resource has two different lengths", solid.offset));
                }
                let compression = Compression::from_format(header.compression.get()).ok_or_else(|| {
                    let message = format!("unknown compression {} of a solid resource", header.compression);
                    Error::unsupported(message).with_path(&part.path).at(solid.offset)
                })?;
                Resource {
                    part: index as u16,
                    offset: FileOffset(solid.offset),
                    stored_len: solid.stored_len,
                    len: solid.len,
                    compression,
                    chunk_size: header.chunk_size.get(),
                    form: ResourceForm::Solid,
                }
            }
            None => Resource {
                part: index as u16,
                offset: FileOffset(entry.offset),
                stored_len: entry.stored_len,
                len: entry.len,
                compression: if entry.is_compressed { info.compression } else { Compression::None },
                chunk_size: if entry.is_compressed { info.chunk_size } else { 0 },
                form: if info.pipable { ResourceForm::Pipable } else { ResourceForm::Plain },
            },
        };
        resource.check(part)?;
        Ok(resource)
    }
}

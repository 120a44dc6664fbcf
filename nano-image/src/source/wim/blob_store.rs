//! Implements [`BlobStore`](crate::content::BlobStore) for the blobs of a WIM.

use super::read::read_forms;
use super::store::WimStore;
use crate::content::{BlobId, BlobRequest, BlobSink, BlobStore, ReadOptions, StoredForm, contents_of, read_whole};
use crate::error::{Error, Result};

impl BlobStore for WimStore {
    fn read_blobs(&self, requests: &[BlobId], jobs: usize, sink: &mut BlobSink<'_>) -> Result<()> {
        read_forms(self, &contents_of(requests), jobs.into(), sink)
    }

    fn read_blob(&self, id: BlobId, limit: u64) -> Result<Vec<u8>> {
        let blob = self.get(id)?;
        if blob.len > limit {
            let message =
                format!("blob {} has {} bytes; at most {limit} are expected", hex::encode(blob.digest), blob.len);
            return Err(Error::unsupported(message).with_path(&self.parts[0].path));
        }
        read_whole(self, id, blob.len)
    }

    fn stored_form(&self, id: BlobId) -> Option<StoredForm> {
        self.form(self.get(id).ok()?)
    }

    fn read_forms(&self, requests: &[BlobRequest], options: ReadOptions, sink: &mut BlobSink<'_>) -> Result<()> {
        read_forms(self, requests, options, sink)
    }
}

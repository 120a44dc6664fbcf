//! Reads the blobs of a WIM for whoever needs their contents.

use super::read::read_forms;
use super::store::WimStore;
use crate::content::{BlobForm, BlobId, BlobRequest, BlobSink, BlobStore, ReadOptions, StoredForm};
use crate::error::{Error, Result};

/// Reserved at once for a blob that is read whole; more only as the data comes.
const RESERVE: u64 = 16 << 20;

impl BlobStore for WimStore {
    fn read_blobs(&self, requests: &[BlobId], jobs: usize, sink: &mut BlobSink<'_>) -> Result<()> {
        let contents = |id: &BlobId| BlobRequest { id: *id, form: BlobForm::Contents };
        let requests: Vec<BlobRequest> = requests.iter().map(contents).collect();
        read_forms(self, &requests, jobs.into(), sink)
    }

    fn read_blob(&self, id: BlobId, limit: u64) -> Result<Vec<u8>> {
        let blob = self.get(id)?;
        if blob.len > limit {
            let message =
                format!("blob {} has {} bytes; at most {limit} are expected", hex::encode(blob.digest), blob.len);
            return Err(Error::unsupported(message).with_path(&self.parts[0].path));
        }
        let mut bytes = Vec::with_capacity(blob.len.min(RESERVE) as usize);
        self.read_blobs(&[id], 1, &mut |_, piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn stored_form(&self, id: BlobId) -> Option<StoredForm> {
        self.form(self.get(id).ok()?)
    }

    fn read_forms(&self, requests: &[BlobRequest], options: ReadOptions, sink: &mut BlobSink<'_>) -> Result<()> {
        read_forms(self, requests, options, sink)
    }
}

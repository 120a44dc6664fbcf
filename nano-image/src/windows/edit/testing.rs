//! Helpers for the tests of all rooms that edit images.

use std::sync::Arc;

use super::{HiveFile, ImageEdit};
use crate::content::{BlobId, BlobSink, BlobStore, Overlay};
use crate::error::{Error, Result};
use crate::registry::Hive;
use crate::tree::FileTree;
use crate::types::FileTime;

/// The store of a tree whose contents are all in memory.
#[derive(Debug)]
pub struct NoBlobs;

impl BlobStore for NoBlobs {
    fn read_blobs(&self, requests: &[BlobId], _: usize, _: &mut BlobSink<'_>) -> Result<()> {
        match requests {
            [] => Ok(()),
            [id, ..] => self.read_blob(*id, 0).map(|_| ()),
        }
    }

    fn read_blob(&self, id: BlobId, _: u64) -> Result<Vec<u8>> {
        Err(Error::not_found(format!("there is no blob {}", id.0)))
    }
}

/// Edits the image `tree`, whose contents are all in memory, at `time`.
pub fn edit<T>(
    tree: &mut FileTree,
    time: FileTime,
    change: impl FnOnce(&mut ImageEdit<'_>) -> Result<T>,
) -> Result<(T, Overlay)> {
    let mut image = ImageEdit::new(tree, Arc::new(NoBlobs), time);
    let done = change(&mut image)?;
    Ok((done, image.finish()?))
}

/// A hive of an image whose contents are all in memory.
pub fn hive(tree: &FileTree, file: HiveFile) -> Hive {
    let mut tree = tree.clone();
    let mut image = ImageEdit::new(&mut tree, Arc::new(NoBlobs), FileTime(0));
    image.needed(file).unwrap().clone()
}

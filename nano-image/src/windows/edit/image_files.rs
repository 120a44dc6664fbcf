//! Read-only access to the files of an image, wherever the image is.

use super::ImageEdit;
use crate::error::Result;

/// An image of which files are read.
pub trait ImageFiles {
    /// Names of the files and folders in the folder at `path`; empty if there is no such folder.
    ///
    /// # Errors
    /// Those of reading it.
    fn names(&self, path: &str) -> Result<Vec<String>>;

    /// The whole file at `path` of at most `limit` bytes; `None` if there is none.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if it is larger, and those of reading it.
    fn read_file(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>>;
}

impl ImageFiles for ImageEdit<'_> {
    fn names(&self, path: &str) -> Result<Vec<String>> {
        let children = self.tree.find(path).and_then(|node| self.tree[node].children.as_ref());
        Ok(children.into_iter().flatten().map(|(name, _)| name.to_string()).collect())
    }

    fn read_file(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.read(path, limit)
    }
}

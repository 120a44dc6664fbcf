//! Files of an image that is being edited. New files inherit their descriptor from their directory when the volume is
//! laid out.

use super::ImageEdit;
use crate::content::{BlobStore as _, Content};
use crate::error::{Error, Result};
use crate::security::{ObjectClass, constant};
use crate::tree::{Entry, Node, NodeId, Times, attribute};
use crate::types::Utf16Name;

/// Full access for SYSTEM and Administrators, and for nobody else; nothing is inherited.
pub(super) const PRIVATE: &str = "O:BAG:SYD:P(A;;FA;;;SY)(A;;FA;;;BA)";

impl ImageEdit<'_> {
    /// The whole file at `path` of at most `limit` bytes; `None` if there is none.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if it is larger, and those of the store.
    pub fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(data) = self.tree.find(path).and_then(|node| self.tree[node].data.as_ref()) else { return Ok(None) };
        if data.len() > limit {
            let what = format!("file of {} bytes; {limit} at most are expected", data.len());
            return Err(Error::unsupported(what).with_path(path));
        }
        match data {
            Content::Bytes(bytes) => Ok(Some(bytes.to_vec())),
            Content::Blob { id, .. } => self.blobs.read_blob(*id, limit).map(Some).map_err(|e| e.with_path(path)),
        }
    }

    /// Sets the contents of the file at `path`. It is created if it is missing.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) if a directory is there.
    pub fn write(&mut self, path: &str, data: impl Into<Content>) -> Result<NodeId> {
        self.forget_hive(path);
        let known = self.tree.node_count();
        let node = self.tree.write_file(path, data, Times::all(self.time))?;
        self.inherit_from(known);
        Ok(node)
    }

    /// Writes a file that only SYSTEM and Administrators can open.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_private(&mut self, path: &str, data: Vec<u8>) -> Result<()> {
        let node = self.write(path, data)?;
        self.tree[node].security = Some(self.tree.add_descriptor(&constant(PRIVATE, ObjectClass::File)));
        self.tree[node].attributes &= !attribute::READONLY;
        Ok(())
    }

    /// Creates the directories of `path` that are missing.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if a file is in the way.
    pub fn create_directories(&mut self, path: &str) -> Result<NodeId> {
        let known = self.tree.node_count();
        let node = self.tree.create_directories(path, Times::all(self.time))?;
        self.inherit_from(known);
        Ok(node)
    }

    /// A new file, which has no name yet.
    pub fn add_file(&mut self, content: Content) -> NodeId {
        self.tree.add_node(Node::file(Times::all(self.time), content))
    }

    /// The file at `path`. A directory there is an error.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe).
    pub fn file(&self, path: &str) -> Result<Option<NodeId>> {
        match self.tree.find(path) {
            Some(node) if self.tree[node].is_directory() => {
                Err(Error::recipe(format!("`{path}` is a directory in the image, not a file")))
            }
            found => Ok(found),
        }
    }

    /// Gives the path `path` to the file `node`. A file that had this path loses it, keeps its other names, and is
    /// returned.
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub fn link(&mut self, path: &str, node: NodeId) -> Result<Option<NodeId>> {
        let (directory, name) = path.rsplit_once('\\').unwrap_or(("", path));
        let directory = self.create_directories(directory)?;
        let old = self.file(path)?;
        if old == Some(node) {
            return Ok(None);
        }
        self.forget_hive(path);
        let name = Utf16Name::from(name);
        if let (Some(old), Some(children)) = (old, &mut self.tree[directory].children) {
            children.retain(|known, entry| entry.node != old || !known.eq_ignore_case(&name));
        }
        self.tree.link(directory, name, Entry { short_name: None, node })?;
        Ok(old)
    }

    fn inherit_from(&mut self, first: usize) {
        for number in first..self.tree.node_count() {
            self.tree[NodeId(number as u32)].security = None;
        }
    }
}

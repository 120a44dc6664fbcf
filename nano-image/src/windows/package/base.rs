//! Files of the image to which deltas apply: those of other versions of a component in its store.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::identity::Version;
use super::installed::STORE;
use crate::content::{BlobStore, Content};
use crate::error::{Error, Result};
use crate::tree::{FileTree, NodeId};

/// The largest file to which a delta is applied, in bytes.
const MAX_BASE: u64 = 2 << 30;

/// The component store of an image, by component and version.
pub(super) struct Bases<'a> {
    tree: &'a FileTree,
    store: &'a dyn BlobStore,
    /// Folders, by their names without version and hash, in lower case.
    folders: BTreeMap<String, Vec<(Version, NodeId)>>,
}

/// A version of a file in the image.
pub(super) struct Base {
    /// The version of its component.
    pub version: Version,
    folder: NodeId,
    node: NodeId,
}

impl<'a> Bases<'a> {
    /// The store in `tree`, whose contents are in `store`.
    pub fn new(tree: &'a FileTree, store: &'a dyn BlobStore) -> Self {
        let mut folders: BTreeMap<String, Vec<(Version, NodeId)>> = BTreeMap::new();
        let entries = tree.find(STORE).and_then(|node| tree[node].children.as_ref()).into_iter().flatten();
        for (name, entry) in entries {
            if let Some((family, version)) = family(&name.to_string().to_lowercase()) {
                folders.entry(family).or_default().push((version, entry.node));
            }
        }
        folders.values_mut().for_each(|versions| versions.sort());
        Self { tree, store, folders }
    }

    /// The versions in the image of the file `file` of the component `component` (a key form). The oldest comes first,
    /// because most deltas are made for it.
    pub fn of(&self, component: &str, file: &str) -> Vec<Base> {
        let Some((family, _)) = family(&component.to_lowercase()) else { return Vec::new() };
        let versions = self.folders.get(&family).into_iter().flatten();
        let base = |(version, folder): &(Version, NodeId)| {
            Some(Base { version: *version, folder: *folder, node: self.within(*folder, file)? })
        };
        versions.filter_map(base).collect()
    }

    /// The contents of a version.
    ///
    /// # Errors
    /// Those of the image's store.
    pub fn read(&self, base: &Base) -> Result<Arc<[u8]>> {
        self.bytes(base.node)
    }

    /// The delta beside it that leads back to the version with which the image was released, if the image has it.
    ///
    /// # Errors
    /// Those of the image's store.
    pub fn reverse(&self, base: &Base, file: &str) -> Result<Option<Arc<[u8]>>> {
        self.within(base.folder, &format!(r"r\{file}")).map(|node| self.bytes(node)).transpose()
    }

    /// The file at `path` below a directory.
    fn within(&self, folder: NodeId, path: &str) -> Option<NodeId> {
        let mut node = folder;
        for name in path.split('\\') {
            node = self.tree.child(node, &name.into())?;
        }
        (!self.tree[node].is_directory()).then_some(node)
    }

    fn bytes(&self, node: NodeId) -> Result<Arc<[u8]>> {
        match &self.tree[node].data {
            Some(Content::Bytes(bytes)) => Ok(bytes.clone()),
            Some(Content::Blob { len, .. }) if *len > MAX_BASE => {
                Err(Error::unsupported(format!("a file of {len} bytes in the image to apply a delta to")))
            }
            Some(Content::Blob { id, len }) => self.store.read_blob(*id, *len).map(Into::into),
            None => Ok(Arc::from([])),
        }
    }
}

/// Name without version and hash, and version, from a key form (`arch_name_token_version_language_hash`). Names in key
/// forms may be shortened; digests make up for that.
fn family(key: &str) -> Option<(String, Version)> {
    let mut parts = key.rsplitn(4, '_');
    let (_, language, version, start) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some((format!("{start}_{language}"), version.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Node, Times};
    use crate::windows::edit::testing::NoBlobs;

    #[test]
    fn versions_of_a_file_are_found_by_the_name_of_the_component() {
        let mut tree = FileTree::new(Node::directory(Times::default()));
        let mut add = |path: &str, bytes: &[u8]| {
            tree.write_file(&format!(r"{STORE}\{path}"), bytes.to_vec(), Times::default()).unwrap();
        };
        add(r"amd64_a_b_31bf_10.0.9.2_none_22\x.dll", b"new");
        add(r"amd64_a_b_31bf_10.0.9.2_none_22\r\x.dll", b"back");
        add(r"amd64_a_b_31bf_10.0.9.1_none_11\x.dll", b"old");
        add(r"amd64_a_b_31bf_10.0.9.1_en-us_33\x.dll", b"other");
        add(r"Catalogs\x.cat", b"none");
        let bases = Bases::new(&tree, &NoBlobs);
        let found = bases.of("AMD64_a_b_31bf_10.0.9.7_none_77", "X.dll");
        let contents: Vec<_> = found.iter().map(|base| bases.read(base).unwrap().to_vec()).collect();
        assert_eq!(contents, [b"old".to_vec(), b"new".to_vec()]);
        assert_eq!(bases.reverse(&found[0], "x.dll").unwrap(), None);
        assert_eq!(bases.reverse(&found[1], "x.dll").unwrap().as_deref(), Some(&b"back"[..]));
        assert!(bases.of("amd64_c_31bf_10.0.9.7_none_77", "x.dll").is_empty() && bases.of("x", "x").is_empty());
    }
}

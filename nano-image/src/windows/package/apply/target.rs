//! The image that gets components, and the component versions of its files.

use std::collections::BTreeMap;

use crate::content::Content;
use crate::error::Result;
use crate::tree::{FileTree, NodeId};
use crate::windows::edit::ImageEdit;
use crate::windows::package::identity::Version;
use crate::windows::package::installed::STORE;

/// Keys in SOFTWARE of service groups and of event providers.
pub(super) const SVCHOST: &str = r"Microsoft\Windows NT\CurrentVersion\Svchost";
pub(super) const WINEVT: &str = r"Microsoft\Windows\CurrentVersion\WINEVT";
/// Key of firewall rules in the control set.
pub(super) const RULES: &str = r"Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules";

/// The image, and the component versions of its files.
pub(super) struct Target<'e, 'i> {
    pub image: &'e mut ImageEdit<'i>,
    pub warnings: Vec<String>,
    /// Versions of the components to which files belong.
    versions: BTreeMap<NodeId, Version>,
}

impl<'e, 'i> Target<'e, 'i> {
    pub fn new(image: &'e mut ImageEdit<'i>) -> Self {
        let versions = versions(image.tree);
        Self { image, warnings: Vec::new(), versions }
    }

    /// Adds a file unless it exists; returns the number of bytes added.
    pub fn add(&mut self, path: &str, content: Content) -> Result<u64> {
        if self.image.tree.find(path).is_some() {
            return Ok(0);
        }
        let len = content.len();
        let node = self.image.add_file(content);
        self.image.link(path, node)?;
        Ok(len)
    }

    /// Gives `node`, from a component of `version`, the name at `path`. An existing file loses the name, unless it is
    /// from a later version: then nothing happens, and the result is `false`.
    pub fn link(&mut self, path: &str, node: NodeId, version: Version) -> Result<bool> {
        let existing = self.image.file(path)?.filter(|existing| *existing != node);
        if existing.and_then(|existing| self.versions.get(&existing)).is_some_and(|other| *other > version) {
            return Ok(false);
        }
        self.image.link(path, node)?;
        self.versions.insert(node, version);
        Ok(true)
    }

    /// The descriptor of the directory at `path`, or of the nearest directory above it that has its own.
    pub fn descriptor(&self, path: &str) -> Option<&[u8]> {
        let mut node = NodeId::ROOT;
        let tree = &self.image.tree;
        let mut found = tree[node].security;
        for name in path.split('\\').filter(|name| !name.is_empty()) {
            let Some(child) = tree.child(node, &name.into()) else { break };
            node = child;
            found = tree[node].security.or(found);
        }
        found.and_then(|id| tree.descriptors().get(id.0 as usize)).map(|bytes| &**bytes)
    }
}

/// Versions of the files in the component store, from the names of their folders.
fn versions(tree: &FileTree) -> BTreeMap<NodeId, Version> {
    let mut versions = BTreeMap::new();
    let folders = tree.find(STORE).and_then(|node| tree[node].children.as_ref()).into_iter().flatten();
    for (name, entry) in folders {
        // …_VERSION_LANGUAGE_HASH
        let version = name.to_string().rsplit('_').nth(2).and_then(|version| version.parse::<Version>().ok());
        let Some(version) = version else { continue };
        let mut open = vec![entry.node];
        while let Some(node) = open.pop() {
            for entry in tree[node].children.iter().flatten().map(|(_, entry)| entry) {
                match tree[entry.node].is_directory() {
                    true => open.push(entry.node),
                    false => {
                        let known = versions.entry(entry.node).or_insert(version);
                        *known = version.max(*known);
                    }
                }
            }
        }
    }
    versions
}

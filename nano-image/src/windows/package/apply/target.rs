//! The image that components are put into: its tree, its hives, and which version of a component a file is of.

use std::collections::BTreeMap;

use super::STORE;
use crate::content::{BlobStore, Content};
use crate::error::{Error, Result};
use crate::registry::{Hive, KeyId};
use crate::tree::{Entry, FileTree, Node, NodeId, Times};
use crate::types::{FileTime, Utf16Name};
use crate::windows::package::identity::Version;

/// Path of the hive of the system.
pub(super) const SYSTEM: &str = r"Windows\System32\config\SYSTEM";
/// Path of the hive of programs.
pub(super) const SOFTWARE: &str = r"Windows\System32\config\SOFTWARE";

/// The image under edit. Hives are opened when they are first asked for, and saved once.
pub(super) struct Target<'a> {
    pub tree: &'a mut FileTree,
    pub times: Times,
    pub warnings: Vec<String>,
    store: &'a dyn BlobStore,
    /// By path; `None` for one that the image lacks.
    hives: BTreeMap<&'static str, Option<Hive>>,
    /// Versions of the components that files are of.
    versions: BTreeMap<NodeId, Version>,
}

impl<'a> Target<'a> {
    pub fn new(tree: &'a mut FileTree, store: &'a dyn BlobStore, time: FileTime) -> Self {
        let versions = versions(tree);
        let (times, warnings, hives) = (Times::all(time), Vec::new(), BTreeMap::new());
        Self { tree, times, warnings, store, hives, versions }
    }

    /// The hive at `path`; `None` if the image has none.
    pub fn hive(&mut self, path: &'static str) -> Result<Option<&mut Hive>> {
        if !self.hives.contains_key(path) {
            let mut hive = Hive::open(self.tree, self.store, path)?;
            if let Some(hive) = &mut hive {
                hive.set_time(self.times.modified);
            }
            self.hives.insert(path, hive);
        }
        Ok(self.hives.get_mut(path).and_then(Option::as_mut))
    }

    /// Name of the control set that Windows starts with.
    pub fn control_set(&mut self) -> Result<String> {
        let Some(hive) = self.hive(SYSTEM)? else {
            return Err(Error::not_found("the image has no such registry hive").with_path(SYSTEM));
        };
        let select = hive.find("Select");
        let number = |name: &str| select.and_then(|key| hive.value(key, name)).and_then(|value| value.as_dword());
        let number = number("Current").or_else(|| number("Default")).filter(|number| (1..1000).contains(number));
        Ok(format!("ControlSet{:03}", number.unwrap_or(1)))
    }

    /// The key at `path` of the current control set, made if it is missing.
    pub fn system_key(&mut self, path: &str) -> Result<(&mut Hive, KeyId)> {
        let path = format!(r"{}\{path}", self.control_set()?);
        self.key(SYSTEM, &path)
    }

    /// The key at `path` of the hive `hive`, made if it is missing.
    pub fn key(&mut self, hive: &'static str, path: &str) -> Result<(&mut Hive, KeyId)> {
        let missing = || Error::not_found("the image has no such registry hive").with_path(hive);
        let hive = self.hive(hive)?.ok_or_else(missing)?;
        let key = hive.create_key(hive.root(), path)?;
        Ok((hive, key))
    }

    /// Saves the hives; returns what the user should know.
    pub fn finish(mut self) -> Result<Vec<String>> {
        for (path, hive) in std::mem::take(&mut self.hives) {
            if let Some(hive) = hive {
                hive.save(self.tree, path)?;
            }
        }
        Ok(self.warnings)
    }

    /// Adds a file, unless there is one; returns the bytes added. Its descriptor is inherited.
    pub fn add(&mut self, path: &str, content: Content) -> Result<u64> {
        if self.tree.find(path).is_some() {
            return Ok(0);
        }
        let (folder, name) = path.rsplit_once('\\').unwrap_or(("", path));
        let folder = self.make_directories(folder)?;
        let len = content.len();
        let node = self.tree.add_node(Node::file(self.times, content));
        self.tree.link(folder, name.into(), Entry { short_name: None, node })?;
        Ok(len)
    }

    /// Makes the directories of `path` that are missing; they inherit their descriptors.
    pub fn make_directories(&mut self, path: &str) -> Result<NodeId> {
        let known = self.tree.node_count();
        let node = self.tree.create_directories(path, self.times)?;
        for number in known..self.tree.node_count() {
            self.tree[NodeId(number as u32)].security = None;
        }
        Ok(node)
    }

    /// Gives `node`, of a component of `version`, the name at `path`. A file there loses the name, unless it is of a
    /// later version: then nothing happens, and the answer is `false`.
    pub fn link(&mut self, path: &str, node: NodeId, version: Version) -> Result<bool> {
        let (folder, name) = path.rsplit_once('\\').unwrap_or(("", path));
        let folder = self.make_directories(folder)?;
        let name = Utf16Name::from(name);
        if let Some(existing) = self.tree.child(folder, &name) {
            if existing == node {
                return Ok(true);
            }
            if self.tree[existing].is_directory() {
                return Err(Error::unsupported(format!("`{path}` is a directory in the image, not a file")));
            }
            if self.versions.get(&existing).is_some_and(|other| *other > version) {
                return Ok(false);
            }
            if let Some(children) = &mut self.tree[folder].children {
                children.retain(|other, entry| entry.node != existing || !other.eq_ignore_case(&name));
            }
        }
        self.tree.link(folder, name, Entry { short_name: None, node })?;
        self.versions.insert(node, version);
        Ok(true)
    }

    /// The descriptor of the directory at `path` or of the nearest one above it that has its own.
    pub fn descriptor(&self, path: &str) -> Option<&[u8]> {
        let mut node = NodeId::ROOT;
        let mut found = self.tree[node].security;
        for name in path.split('\\').filter(|name| !name.is_empty()) {
            let Some(child) = self.tree.child(node, &name.into()) else { break };
            node = child;
            found = self.tree[node].security.or(found);
        }
        found.and_then(|id| self.tree.descriptors().get(id.0 as usize)).map(|bytes| &**bytes)
    }
}

/// Versions of the files in the component store, from the names of its folders.
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

//! Finding and making nodes by path.

use super::{Entry, FileTree, Node, NodeId, Times};
use crate::content::Content;
use crate::error::{Error, Result};
use crate::types::Utf16Name;

impl FileTree {
    /// The node that is called `name` in `directory`. Names are compared as Windows does; an exact match wins.
    pub fn child(&self, directory: NodeId, name: &Utf16Name) -> Option<NodeId> {
        let children = self[directory].children.as_ref()?;
        if let Some(entry) = children.get(name) {
            return Some(entry.node);
        }
        // Names that differ only in case are neighbours; those before `name` end where the folded form changes.
        let below = children.range(..name).next_back();
        let above = children.range(name..).next();
        below.into_iter().chain(above).find(|(key, _)| key.eq_ignore_case(name)).map(|(_, entry)| entry.node)
    }

    /// The node at `path`, whose parts are separated by `\` or `/`; the empty path is the root.
    pub fn find(&self, path: &str) -> Option<NodeId> {
        parts(path).try_fold(NodeId::ROOT, |directory, part| self.child(directory, &part.into()))
    }

    /// Creates the directories of `path` that are missing and returns the last one. New ones get `times` and the
    /// descriptor of the nearest directory that existed.
    pub fn create_directories(&mut self, path: &str, times: Times) -> Result<NodeId> {
        parts(path).try_fold(NodeId::ROOT, |directory, part| {
            let name = Utf16Name::from(part);
            if let Some(child) = self.child(directory, &name) {
                return Ok(child);
            }
            let security = self[directory].security;
            let node = self.add_node(Node { security, ..Node::directory(times) });
            self.link(directory, name, Entry { short_name: None, node })?;
            Ok(node)
        })
    }

    /// Sets the contents of the file at `path`. An existing file keeps its attributes, descriptor and links; a missing
    /// one is created, with its directories.
    pub fn write_file(&mut self, path: &str, data: impl Into<Content>, times: Times) -> Result<NodeId> {
        let path = path.trim_matches(['\\', '/']);
        let (directory, name) = path.rsplit_once(['\\', '/']).unwrap_or(("", path));
        let directory = self.create_directories(directory, times)?;
        let name = Utf16Name::from(name);
        if let Some(existing) = self.child(directory, &name) {
            let node = &mut self[existing];
            if node.is_directory() {
                return Err(Error::recipe(format!("`{path}` is a directory in the image, not a file")));
            }
            (node.data, node.compact) = (Some(data.into()), None);
            (node.times.modified, node.times.changed) = (times.modified, times.changed);
            return Ok(existing);
        }
        let security = self[directory].security;
        let node = self.add_node(Node { security, ..Node::file(times, data.into()) });
        self.link(directory, name, Entry { short_name: None, node })?;
        Ok(node)
    }
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split(['\\', '/']).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_ignore_case_and_slash_style() {
        let mut tree = FileTree::new(Node::directory(Times::default()));
        let id = tree.write_file(r"Windows\System32\config\SYSTEM", vec![1], Times::default()).unwrap();
        assert_eq!(tree.find("windows/system32/Config/system"), Some(id));
        assert_eq!(tree.find("windows/system"), None);
        assert_eq!(tree.write_file("WINDOWS/system32/config/System", vec![2, 3], Times::default()).unwrap(), id);
        assert_eq!(tree[id].data.as_ref().unwrap().len(), 2);
        assert!(tree.write_file("Windows", vec![], Times::default()).is_err());
    }

    #[test]
    fn twins_in_case_are_both_kept_and_an_exact_name_wins() {
        let mut tree = FileTree::new(Node::directory(Times::default()));
        for name in ["readme", "README"] {
            let node = tree.add_node(Node::file(Times::default(), Content::empty()));
            tree.link(NodeId::ROOT, name.into(), Entry { short_name: None, node }).unwrap();
        }
        assert_ne!(tree.find("readme"), tree.find("README"));
        assert!(tree.find("Readme").is_some());
    }
}

//! The component store of an image as a source of packages: what is staged in it.

use std::path::PathBuf;
use std::sync::Arc;

use super::contents::Contents;
use super::files::{Carrier, Files, Unpacked};
use super::installed::STORE;
use super::spool::Spool;
use crate::content::Content;
use crate::error::Result;
use crate::tree::{FileTree, NodeId};
use crate::windows::edit::ImageEdit;

/// Descriptions of packages.
pub(super) const PACKAGES: &str = r"Windows\servicing\Packages";

/// The packages and components in the store of `image`; file contents that are read are kept in `spool`.
///
/// # Errors
/// The errors of descriptions whose names are not identifiers.
pub(super) fn contents(image: &ImageEdit<'_>, spool: Arc<Spool>) -> Result<Contents> {
    let tree = &*image.tree;
    let mut files = Vec::new();
    add(tree, PACKAGES, |name| name.ends_with(".mum"), &mut files);
    add(tree, &format!(r"{STORE}\Manifests"), |name| name.ends_with(".manifest"), &mut files);
    let folders = tree.find(STORE).and_then(|node| tree[node].children.as_ref()).into_iter().flatten();
    for (name, entry) in folders {
        let name = name.to_string();
        // Key forms of components have the fields of an identity between these.
        if name.matches('_').count() >= 5 {
            add_all(tree, entry.node, &name, &mut files);
        }
    }
    let store = Arc::new(image.blobs.clone());
    let package = Unpacked { path: PathBuf::from(STORE), carriers: vec![Carrier::Image { store, files }], psf: None };
    Contents::new(Files::open(package, spool)?)
}

/// Adds the files of a folder whose names, in lower case, are wanted.
fn add(tree: &FileTree, folder: &str, is_wanted: fn(&str) -> bool, files: &mut Vec<(String, Content)>) {
    let children = tree.find(folder).and_then(|node| tree[node].children.as_ref()).into_iter().flatten();
    for (name, entry) in children {
        let name = name.to_string();
        if let Some(data) = tree[entry.node].data.as_ref().filter(|_| is_wanted(&name.to_ascii_lowercase())) {
            files.push((name, data.clone()));
        }
    }
}

/// Adds all files below a folder, which has the path `path`.
fn add_all(tree: &FileTree, folder: NodeId, path: &str, files: &mut Vec<(String, Content)>) {
    let mut open = vec![(folder, path.to_owned())];
    while let Some((node, path)) = open.pop() {
        for (name, entry) in tree[node].children.iter().flatten() {
            let path = format!(r"{path}\{name}");
            match &tree[entry.node].data {
                Some(data) => files.push((path, data.clone())),
                None => open.push((entry.node, path)),
            }
        }
    }
}

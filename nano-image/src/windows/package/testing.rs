//! Images for the tests of this room.

use std::collections::BTreeMap;
use std::sync::Arc;

use fixtures::packages::State;

use super::cabinet::{CabinetSource, Opened, PackageCabinet, unpack};
use super::contents::Dictionary;
use super::files::Unpacked;
use super::installed::{SERVICING, WINNERS};
use super::spool::Spool;
use crate::content::InputFiles;
use crate::error::{Error, Result};
use crate::tree::{Entry, FileTree, Node, NodeId, Times};
use crate::windows::edit::HiveFile;
use crate::windows::edit::testing::hive;

/// The cabinet `source`, whose manifests are read with `dictionary`.
pub fn open<'a>(source: &CabinetSource, dictionary: &'a Dictionary<'a>) -> Result<PackageCabinet<'a>> {
    let spool = Arc::new(Spool::new(None, 1 << 30));
    let [package] =
        <[Unpacked; 1]>::try_from(unpack(std::slice::from_ref(source), &InputFiles::default(), &spool)?).ok().unwrap();
    Ok(PackageCabinet::new(Opened::read(package, spool, true)?, dictionary))
}

/// No dictionary.
pub fn plain() -> Dictionary<'static> {
    Dictionary::new(|| Err(Error::not_found("no dictionary")))
}

/// The files and hives of `state`, hard links as such.
pub fn image(state: &State) -> FileTree {
    let mut tree = FileTree::new(Node::directory(Times::default()));
    let mut nodes: Vec<(usize, NodeId)> = Vec::new();
    for (path, number, data) in state.files() {
        match nodes.iter().find(|(other, _)| *other == number) {
            Some((_, node)) => {
                let (directory, name) = path.rsplit_once('\\').unwrap_or(("", path));
                let directory = tree.create_directories(directory, Times::default()).unwrap();
                tree.link(directory, name.into(), Entry { short_name: None, node: *node }).unwrap();
            }
            None => nodes.push((number, tree.write_file(path, data.to_vec(), Times::default()).unwrap())),
        }
    }
    for (path, bytes) in state.hive_files() {
        tree.write_file(&path, bytes, Times::default()).unwrap();
    }
    tree
}

/// All values of a hive: key and name, type and data.
pub fn values(tree: &FileTree, file: HiveFile) -> BTreeMap<(String, String), (u32, Vec<u8>)> {
    let hive = hive(tree, file);
    let mut found = BTreeMap::new();
    let mut stack = vec![(hive.root(), String::new())];
    while let Some((key, path)) = stack.pop() {
        for (name, value) in hive.values(key) {
            found.insert((path.clone(), name.to_string()), (value.kind.0, value.data));
        }
        for child in hive.subkeys(key) {
            stack.push((child, format!(r"{path}\{}", hive.name(child)).trim_start_matches('\\').to_owned()));
        }
    }
    found
}

/// Checks that the component store and the servicing stack of `tree` have the notes of `state`, and, if it is
/// `exact`, no others.
pub fn compare_notes(tree: &FileTree, state: &State, exact: bool) {
    let expected = image(state);
    for file in [HiveFile::Components, HiveFile::Software] {
        // The rest of SOFTWARE is what components ask for themselves.
        let is_note = |key: &(String, String), _: &mut _| {
            file == HiveFile::Components || [SERVICING, WINNERS].iter().any(|note| key.0.starts_with(note))
        };
        let (mut ours, mut theirs) = (values(tree, file), values(&expected, file));
        ours.retain(is_note);
        theirs.retain(is_note);
        let places = ["InstallLocation", "InstallTimeHigh", "InstallTimeLow"];
        for (key, value) in &theirs {
            let found = ours.get(key);
            assert!(places.contains(&&*key.1) || found == Some(value), "{key:?}: {found:?}, not {value:?}");
        }
        for (key, value) in &ours {
            assert!(!exact || theirs.contains_key(key), "{key:?}: {value:?} is not expected");
        }
    }
}

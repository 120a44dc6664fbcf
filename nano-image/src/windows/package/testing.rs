//! Images for the tests of this room.

use fixtures::packages::State;

use super::cabinet::PayloadSink;
use crate::content::{BlobId, BlobSink, BlobStore};
use crate::error::{Error, Result};
use crate::tree::{Entry, FileTree, Node, NodeId, Times};

/// A store of a tree that has all contents in memory.
#[derive(Debug)]
pub struct NoBlobs;

impl BlobStore for NoBlobs {
    fn read_blobs(&self, requests: &[BlobId], _: usize, _: &mut BlobSink<'_>) -> Result<()> {
        match requests {
            [] => Ok(()),
            [id, ..] => Err(Error::not_found(format!("there is no blob {}", id.0))),
        }
    }

    fn read_blob(&self, id: BlobId, _: u64) -> Result<Vec<u8>> {
        Err(Error::not_found(format!("there is no blob {}", id.0)))
    }
}

/// Throws the files of components away.
pub struct Nowhere;

impl PayloadSink for Nowhere {
    fn begin(&mut self, _: &str, _: u64) -> Result<()> {
        Ok(())
    }

    fn append(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }
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

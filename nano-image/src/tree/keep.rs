//! What may differ between machines of one recipe: the layout keeps its place, so that nothing else moves.

use super::{FileTree, Kept, NodeId, Settled};
use crate::content::{BlobId, Content};

impl FileTree {
    /// Keeps a place; the order of the calls is the order on the volume.
    pub fn keep(&mut self, kept: Kept) {
        self.kept.push(kept);
    }

    /// Files that get a fixed place.
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// Says that the nodes that are there now, and blobs before `next`, are those of every machine.
    pub fn settle(&mut self, next: BlobId) {
        self.settled = Settled(Some((self.nodes.len() as u32, next)));
    }

    /// Whether `node` is there for every machine.
    pub fn is_settled(&self, node: NodeId) -> bool {
        self.settled.0.is_some() && !self.is_late(node)
    }

    /// Whether `node` was added for one machine.
    pub fn is_late(&self, node: NodeId) -> bool {
        self.settled.0.is_some_and(|(nodes, _)| node.0 >= nodes)
    }

    /// Whether the blob `id` was added for one machine.
    pub fn is_late_blob(&self, id: BlobId) -> bool {
        self.settled.0.is_some_and(|(_, next)| id >= next)
    }

    /// Whether `content` was added for one machine.
    pub fn is_late_content(&self, content: &Content) -> bool {
        matches!(content, Content::Blob { id, .. } if self.is_late_blob(*id))
    }
}

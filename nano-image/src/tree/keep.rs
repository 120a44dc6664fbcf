//! What may differ between machines of one recipe: the layout keeps its place, so that nothing else moves.

use super::{FileTree, NodeId, SecurityId};
use crate::content::{BlobId, Content};

/// A file or directory whose place does not depend on what is in it, or whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Path, separated by `\`.
    pub path: String,
    /// Bytes that there is room for; what is longer gets a multiple. 0 for a directory.
    pub room: u64,
    /// The descriptor that it has, if it does not inherit one.
    pub security: Option<SecurityId>,
}

/// Where the nodes and blobs end that all machines of a recipe have alike; the others lie behind them on the volume.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settled(Option<(u32, BlobId)>);

impl FileTree {
    /// Keeps a place; the order of the calls is the order on the volume.
    pub fn keep(&mut self, kept: Kept) {
        self.kept.push(kept);
    }

    /// What has a place of its own.
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

//! What may differ between machines of one recipe: the layout reserves its place, so that nothing else moves.

use std::sync::Arc;

use super::{FileTree, Kept, Node, NodeId, Settled};
use crate::content::{BlobId, Content};

impl FileTree {
    /// Reserves a place; the order of the calls is the order on the volume.
    pub fn keep(&mut self, kept: Kept) {
        self.kept.push(kept);
    }

    /// Files and directories with a reserved place.
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// Says that all nodes so far, and the blobs before `next`, belong to every machine.
    pub fn settle(&mut self, next: BlobId) {
        self.settled = Settled(Some((self.nodes.len() as u32, next)));
    }

    /// Whether `node` belongs to every machine.
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

    /// The nodes in which this tree and `other`, of the same image, differ, if they differ only in times, attributes,
    /// and contents in memory. `None` if they differ in files, names, descriptors, or in blobs of one machine.
    pub fn changed_since(&self, other: &Self) -> Option<Vec<NodeId>> {
        let is_like = (self.nodes.len(), &self.kept, self.settled) == (other.nodes.len(), &other.kept, other.settled)
            && self.descriptors == other.descriptors;
        if !is_like {
            return None;
        }
        let mut changed = Vec::new();
        for ((number, one), two) in (0..).map(NodeId).zip(&self.nodes).zip(&other.nodes) {
            // Trees of one image share the nodes that no machine changed.
            if Arc::ptr_eq(one, two) {
                continue;
            }
            if !self.has_shape(one, two) {
                return None;
            }
            if (one.times, one.attributes) != (two.times, two.attributes) || one.data != two.data {
                changed.push(number);
            }
        }
        Some(changed)
    }

    /// Whether two nodes differ only in times, attributes, and contents in memory.
    fn has_shape(&self, one: &Node, two: &Node) -> bool {
        let is_plain = |node: &Node| {
            node.compact.is_none()
                && node.streams.is_empty()
                && node.reparse.is_none()
                && node.object_id.is_none()
                && node.extended_attributes.is_none()
        };
        let has_shape = match (&one.data, &two.data) {
            (None, None) | (Some(Content::Bytes(_)), Some(Content::Bytes(_))) => true,
            // The blobs that were added for one machine have numbers that other machines use for other blobs.
            (Some(one), Some(two)) => one == two && !self.is_late_content(one),
            _ => false,
        };
        has_shape && is_plain(one) && is_plain(two) && (one.security, &one.children) == (two.security, &two.children)
    }
}

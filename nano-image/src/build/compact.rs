//! Decides which files of the volume are compressed.

use super::recipe::COMPACT_CLUSTER_SIZE;
use crate::content::BlobStore;
use crate::error::{Error, Result};
use crate::report::CompactReport;
use crate::source::wim::ImageInfo;
use crate::tree::{CompactSource, FileTree, NodeId};
use crate::windows::compact::{self, Compact};

/// Marks the files of `tree` that `choice` compresses and says what they come to.
pub(super) fn apply(
    tree: &mut FileTree,
    store: &dyn BlobStore,
    choice: Compact,
    image: &ImageInfo,
) -> Result<CompactReport> {
    let build = image.version.map(|version| version.build);
    let pending = compact::mark(tree, store, choice, build, COMPACT_CLUSTER_SIZE)?;
    if !pending.is_empty() {
        return Err(Error::unsupported("recompression"));
    }
    Ok(report(tree))
}

/// What the marked files come to.
fn report(tree: &FileTree) -> CompactReport {
    let mut report = CompactReport::default();
    for node in (0..tree.node_count() as u32).map(NodeId) {
        let node = &tree[node];
        let Some(compact) = &node.compact else { continue };
        report.files += 1;
        report.contents += node.data.as_ref().map_or(0, |data| data.len());
        report.compressed += match &compact.source {
            CompactSource::Copy { len, .. } => *len,
            CompactSource::Made(content) => content.len(),
        };
    }
    report
}

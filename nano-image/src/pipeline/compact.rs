//! Decides which files of the volume are compressed, and compresses those that the source does not have so.
//!
//! The size of a compressed file must be known before anything is laid out, so what is compressed goes to a scratch
//! file, in the order of the source, and the image takes it from there.

mod pack;
mod spool;

use std::path::Path;
use std::sync::Arc;

use super::recipe::COMPACT_CLUSTER_SIZE;
use super::sources::Sources;
use crate::content::{BlobId, BlobStore, Content};
use crate::error::{Error, Result};
use crate::progress::Observer;
use crate::report::CompactReport;
use crate::source::wim::ImageInfo;
use crate::tree::{CompactForm, CompactSource, FileTree, NodeId};
use crate::windows::compact::{self, Compact, Pending};

/// Marks the files of `tree` that `choice` compresses, and says what they come to. Afterwards `store` also has what
/// had to be compressed for that.
pub(super) fn apply(
    tree: &mut FileTree,
    store: &mut Arc<dyn BlobStore>,
    choice: Compact,
    image: &ImageInfo,
    wim: &Path,
    sources: &Sources,
    observer: &dyn Observer,
) -> Result<CompactReport> {
    let build = image.version.map(|version| version.build);
    let pending = compact::mark(tree, &**store, choice, build, COMPACT_CLUSTER_SIZE.bytes())
        .map_err(|error| error.with_path(wim))?;
    if !pending.is_empty() {
        let Some(folder) = &sources.scratch else {
            let message = format!("{} files are to be compressed, but there is no scratch folder", pending.len());
            return Err(Error::recipe(message).with_hint("name a folder with room for the compressed files"));
        };
        let mut spool = spool::Writer::create(folder)?;
        let blobs = pack::compress(tree, &**store, &pending, &mut spool, observer)?;
        let first = first_free_id(tree);
        for (Pending { node, algorithm }, blob) in pending.iter().zip(blobs) {
            if let Some((number, len)) = blob {
                let source = CompactSource::Made(Content::Blob { id: BlobId(first + number), len });
                tree[*node].compact = Some(CompactForm { algorithm: *algorithm, source });
            }
        }
        *store = Arc::new(spool.finish(store.clone(), first));
    }
    Ok(report(tree))
}

/// The number after the last blob that `tree` mentions.
fn first_free_id(tree: &FileTree) -> u32 {
    let nodes = (0..tree.node_count() as u32).map(|number| &tree[NodeId(number)]);
    let contents = nodes.flat_map(|node| node.data.iter().chain(node.streams.iter().map(|stream| &stream.content)));
    let next = |content: &Content| match content {
        Content::Blob { id, .. } => id.0 + 1,
        Content::Bytes(_) => 0,
    };
    contents.map(next).max().unwrap_or(0)
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

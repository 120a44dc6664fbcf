//! Decides which files of the volume are compressed, and compresses those that are not compressed in the source.
//!
//! The size of a compressed file must be known before anything is laid out. So files are compressed into a scratch
//! file, in the order of the source, and the image takes them from there.

mod pack;
mod spool;

use std::path::Path;

use super::recipe::COMPACT_CLUSTER_SIZE;
use super::sources::Sources;
use crate::content::Overlay;
use crate::error::{Error, Result};
use crate::progress::Observer;
use crate::report::CompactReport;
use crate::source::wim::ImageInfo;
use crate::tree::{CompactForm, CompactSource, FileTree, NodeId};
use crate::windows::compact::{self, Compact, Pending};

/// Marks the files of `tree` that `choice` compresses, and reports their number and bytes. `blobs` has the contents,
/// and gets those that are compressed here.
pub(super) fn apply(
    tree: &mut FileTree,
    blobs: &mut Overlay,
    choice: Compact,
    image: &ImageInfo,
    wim: &Path,
    sources: &Sources,
    observer: &dyn Observer,
) -> Result<CompactReport> {
    let build = image.version.map(|version| version.build);
    let pending = compact::mark(tree, blobs, choice, build, COMPACT_CLUSTER_SIZE.bytes())
        .map_err(|error| error.with_path(wim))?;
    if !pending.is_empty() {
        let Some(folder) = &sources.scratch else {
            let message = format!("{} files are to be compressed, but there is no scratch folder", pending.len());
            return Err(Error::recipe(message).with_hint("name a folder with room for the compressed files"));
        };
        let mut spool = spool::Writer::create(folder)?;
        let packed = pack::compress(tree, blobs, &pending, &mut spool, observer)?;
        let made = spool.finish(blobs)?;
        for (Pending { node, algorithm }, number) in pending.iter().zip(packed) {
            if let Some(content) = number.and_then(|number| made.get(number)) {
                let source = CompactSource::Made(content.clone());
                tree[*node].compact = Some(CompactForm { algorithm: *algorithm, source }.into());
            }
        }
    }
    Ok(report(tree))
}

/// Adds up the number and the bytes of the marked files.
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

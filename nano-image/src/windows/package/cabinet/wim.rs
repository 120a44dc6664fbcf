//! WIM files with updates, which exist since Windows 11 24H2 and Server 2025.

use std::path::Path;

use crate::content::{Content, Scratch};
use crate::error::{Error, Result};
use crate::source::wim::Wim;
use crate::tree::NodeId;
use crate::windows::package::files::Carrier;

/// What WIM files begin with.
pub(super) const MAGIC: [u8; 8] = *b"MSWIM\0\0\0";

/// Directories nested deeper are not looked into.
const MAX_DEPTH: usize = 16;

/// The files of the first image of the WIM at `path`, which errors call `name`. `scratch` is the file that contains it.
///
/// # Errors
/// Those of [`Wim::open`], and [`Unsupported`](crate::ErrorKind::Unsupported) for a WIM without an image.
pub(super) fn open(path: &Path, name: &Path, scratch: Option<Scratch>) -> Result<Carrier> {
    let read = || {
        let wim = Wim::open(path, &[])?;
        let Some(first) = wim.images().first() else {
            return Err(Error::unsupported("a WIM without an image: no update"));
        };
        let tree = wim.read_image(first.index)?.tree;
        let mut files = Vec::new();
        let mut open = vec![(NodeId::ROOT, String::new(), 0)];
        while let Some((node, folder, depth)) = open.pop() {
            for (entry_name, entry) in tree[node].children.iter().flatten() {
                let path = format!("{folder}{entry_name}");
                let child = &tree[entry.node];
                if !child.is_directory() {
                    files.push((path, child.data.clone().unwrap_or_else(Content::empty)));
                } else if depth < MAX_DEPTH {
                    open.push((entry.node, format!(r"{path}\"), depth + 1));
                }
            }
        }
        files.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(Carrier::Image { store: wim.store().clone(), files })
    };
    let carrier = read().map_err(|error| error.with_path(name));
    // Its parts are open files, so the name is no longer needed.
    drop(scratch);
    carrier
}

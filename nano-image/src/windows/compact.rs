//! Compact OS: which files of an image may be compressed, and in which form.
//!
//! Windows decompresses such files with a filter driver (WOF). What starts before the driver is read by the boot
//! loader, which before Windows 10 1903 supports only XPRESS4K. Files that are written in place stay plain, because a
//! write would decompress them at once. The rules follow what Microsoft's own tools leave plain.

use serde::{Deserialize, Serialize};

use crate::content::{BlobId, BlobStore, Content, WofAlgorithm};
use crate::error::{Error, Result};
use crate::tree::{CompactForm, CompactSource, FileTree, NodeId};
use crate::types::form;

/// How the files of an image are compressed.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// let recipe = nano_image::Recipe::image("1").compact(nano_image::Compact::Lzx).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Compact {
    /// As they are compressed in the source, byte for byte. Files in a form that Windows does not support stay plain.
    Copy,
    /// XPRESS, chunks of 4 KiB: the fastest to read.
    Xpress4k,
    /// XPRESS, chunks of 8 KiB.
    Xpress8k,
    /// XPRESS, chunks of 16 KiB.
    Xpress16k,
    /// LZX, chunks of 32 KiB: the smallest.
    Lzx,
}

impl form::Switched for Compact {
    const ON: Self = Self::Copy;
}

/// A file that must be compressed, because the source has no compressed form of it that can be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Which file.
    pub node: NodeId,
    /// How it is compressed.
    pub algorithm: WofAlgorithm,
}

/// The forms that are allowed for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Limit {
    Plain,
    Xpress4k,
    Any,
}

/// The folders to which a rule applies.
enum Scope {
    Anywhere,
    /// This folder; the empty name is the root.
    In(&'static str),
    /// This folder and all below it.
    Under(&'static str),
}

use Scope::{Anywhere, In, Under};

/// The first build of Windows 10.
const FIRST_BUILD: u32 = 10240;
/// From this build on (1903) the boot loader supports every form.
const ANY_FORM_BUILD: u32 = 18362;

/// Never compressed: what Windows or firmware writes in place, or reads before any driver. Names are in lower case; `*`
/// stands for any characters.
const PLAIN: &[(Scope, &str)] = &[
    (Under(r"windows\system32\config"), "*"),
    (Under(r"windows\system32\smi\store"), "*"),
    // Settings of one machine have reserved places on the volume.
    (In(r"windows\panther"), "unattend.xml"),
    (In(r"windows\setup\scripts"), "setupcomplete.cmd"),
    (Anywhere, "ntuser.dat*"),
    (Anywhere, "usrclass.dat*"),
    (Anywhere, "bootstat.dat"),
    (In(""), "pagefile.sys"),
    (In(""), "swapfile.sys"),
    (In(""), "hiberfil.sys"),
    // Boot files: on a BIOS disk, boot code reads them; and bcdboot always copies from Windows\Boot.
    (In(""), "bootmgr"),
    (In(""), "bootnxt"),
    (Under("boot"), "*"),
    (Under("efi"), "*"),
    (Under(r"windows\boot"), "*"),
    // Foreign boot loaders, which do not support compact files, read what a boot check puts on the volume.
    (Under(r"windows\boot-check"), "*"),
];

/// Files that the boot loader reads.
const BOOT: &[(Scope, &str)] = &[
    (Anywhere, "winload.*"),
    (Anywhere, "winresume.*"),
    (In(r"windows\apppatch"), "drvmain.sdb"),
    (In(r"windows\fonts"), "vgaoem.fon"),
    (In(r"windows\fonts"), "vgasys.fon"),
    (In(r"windows\inf"), "errata.inf"),
    (In(r"windows\system32"), "ntoskrnl.exe"),
    (In(r"windows\system32"), "ntkrnlpa.exe"),
    (In(r"windows\system32"), "apisetschema.dll"),
    (In(r"windows\system32"), "bootvid.dll"),
    (In(r"windows\system32"), "ci.dll"),
    (In(r"windows\system32"), "kernelbase.dll"),
    (In(r"windows\system32"), "pshed.dll"),
    (In(r"windows\system32"), "api-ms-win*.dll"),
    (In(r"windows\system32"), "ext-ms-win*.dll"),
    (In(r"windows\system32"), "hal*.dll"),
    (In(r"windows\system32"), "kbd*.dll"),
    (In(r"windows\system32"), "kd*.dll"),
    (In(r"windows\system32"), "mcupdate_*.dll"),
    (In(r"windows\system32"), "clfs.sys"),
    (In(r"windows\system32"), "*.nls"),
    (In(r"windows\system32\codeintegrity"), "driver.stl"),
    (In(r"windows\system32\drivers"), "*.sys"),
];

/// Marks the files of `tree` that the volume should hold compressed: those that `choice` and the rules for Windows
/// `build` allow and that save at least a cluster of `cluster_size` bytes. Returns the files that must be compressed
/// for that, in the order of their blobs; with [`Compact::Copy`] there are none. Settled nodes are not changed.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported) for a Windows that has no Compact OS, or is not known.
pub fn mark(
    tree: &mut FileTree,
    store: &dyn BlobStore,
    choice: Compact,
    build: Option<u32>,
    cluster_size: u64,
) -> Result<Vec<Pending>> {
    let mut pending: Vec<(Option<BlobId>, Pending)> = Vec::new();
    for (node, limit) in limits(tree, build)? {
        if tree.is_settled(node) {
            continue;
        }
        let Some(data) = &tree[node].data else { continue };
        let (id, len) = match data {
            Content::Blob { id, len } => (Some(*id), *len),
            Content::Bytes(bytes) => (None, bytes.len() as u64),
        };
        let wanted = match (choice, limit) {
            (_, Limit::Plain) => continue,
            (Compact::Copy, _) => None,
            (_, Limit::Xpress4k) | (Compact::Xpress4k, _) => Some(WofAlgorithm::Xpress4k),
            (Compact::Xpress8k, _) => Some(WofAlgorithm::Xpress8k),
            (Compact::Xpress16k, _) => Some(WofAlgorithm::Xpress16k),
            (Compact::Lzx, _) => Some(WofAlgorithm::Lzx),
        };
        let stored = id.and_then(|id| Some((id, store.stored_form(id)?)));
        match (stored, wanted) {
            (Some((id, form)), wanted) if wanted.unwrap_or(form.algorithm) == form.algorithm => {
                let is_allowed = limit == Limit::Any || form.algorithm == WofAlgorithm::Xpress4k;
                if is_allowed && saves(len, form.len, cluster_size) {
                    let source = CompactSource::Copy { id, len: form.len };
                    tree[node].compact = Some(CompactForm { algorithm: form.algorithm, source }.into());
                }
            }
            (_, Some(algorithm)) if len > cluster_size => pending.push((id, Pending { node, algorithm })),
            _ => {}
        }
    }
    pending.sort_by_key(|(id, pending)| (*id, pending.node));
    Ok(pending.into_iter().map(|(_, pending)| pending).collect())
}

/// Whether `compressed` bytes take fewer clusters than `len`.
pub fn saves(len: u64, compressed: u64, cluster_size: u64) -> bool {
    compressed.div_ceil(cluster_size) < len.div_ceil(cluster_size)
}

/// The forms that the rules allow for each file that may be compressed, by number.
fn limits(tree: &FileTree, build: Option<u32>) -> Result<Vec<(NodeId, Limit)>> {
    let needs = "Compact OS came with Windows 10 (build 10240); build a plain image";
    let build = match build {
        None => {
            let message = "the source does not say which Windows it holds, so a compact image might not start";
            return Err(Error::unsupported(message).with_hint(needs));
        }
        Some(build) if build < FIRST_BUILD => {
            let message = format!("Windows build {build} cannot read the files of a compact image");
            return Err(Error::unsupported(message).with_hint(needs));
        }
        Some(build) => build,
    };
    let boot_limit = if build < ANY_FORM_BUILD { Limit::Xpress4k } else { Limit::Any };
    let mut limits = vec![None; tree.node_count()];
    let mut pending = vec![(NodeId::ROOT, String::new())];
    while let Some((directory, path)) = pending.pop() {
        for (name, entry) in tree[directory].children.iter().flatten() {
            let is_directory = tree[entry.node].is_directory();
            // These are not changed.
            if !is_directory && tree.is_settled(entry.node) {
                continue;
            }
            let name = name.to_string().to_lowercase();
            if is_directory {
                let separator = if path.is_empty() { "" } else { r"\" };
                pending.push((entry.node, format!("{path}{separator}{name}")));
                continue;
            }
            let limit = if matches_any(PLAIN, &path, &name) {
                Limit::Plain
            } else if matches_any(BOOT, &path, &name) {
                boot_limit
            } else {
                Limit::Any
            };
            // Of a file's names the strictest one decides.
            let known = &mut limits[entry.node.0 as usize];
            *known = Some(known.unwrap_or(Limit::Any).min(limit));
        }
    }
    let numbered = (0..).map(NodeId).zip(limits);
    Ok(numbered.filter(|(node, _)| is_suitable(tree, *node)).filter_map(|(node, limit)| Some((node, limit?))).collect())
}

/// Whether the file can have the filter's reparse point and stream.
fn is_suitable(tree: &FileTree, node: NodeId) -> bool {
    let node = &tree[node];
    let stream = "WofCompressedData".into();
    !node.is_directory()
        && node.reparse.is_none()
        && node.extended_attributes.is_none()
        && !node.streams.iter().any(|named| named.name.eq_ignore_case(&stream))
}

fn matches_any(rules: &[(Scope, &str)], folder: &str, name: &str) -> bool {
    rules.iter().any(|(place, pattern)| {
        let is_place = match place {
            Anywhere => true,
            In(wanted) => folder == *wanted,
            Under(wanted) => folder.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('\\')),
        };
        is_place && matches(pattern, name)
    })
}

/// Whether `name` fits `pattern`, in which one `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((start, end)) => name.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
    }
}

#[cfg(test)]
#[path = "compact/tests.rs"]
mod tests;

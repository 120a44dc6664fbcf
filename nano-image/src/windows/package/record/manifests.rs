//! Reads facts from the manifests in an image's component store that the COMPONENTS hive should contain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::content::{BlobId, BlobStore as _, Content};
use crate::error::Result;
use crate::windows::edit::ImageEdit;
use crate::windows::package::contents::Dictionary;
use crate::windows::package::installed::{self, STORE};
use crate::windows::package::name::truncated_file;

/// How many manifests are in memory at once.
const BATCH: usize = 256;
/// The largest manifest, in bytes.
const MAX_MANIFEST: u64 = 64 << 20;

/// Facts about a component that the hive should contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    /// SHA-256 of the manifest's text.
    pub digest: [u8; 32],
    /// Names of the values that list its files.
    pub files: BTreeSet<String>,
}

/// Facts about those of `components` (key forms in lower case) whose manifests are in the store of `image`. Manifests
/// that cannot be understood are left out.
///
/// # Errors
/// Those of the image's store.
pub(super) fn read(image: &ImageEdit<'_>, components: &BTreeSet<String>) -> Result<BTreeMap<String, Noted>> {
    let dictionary = Dictionary::new(|| installed::dictionary(image));
    let tree = &image.tree;
    let folder = tree.find(&format!(r"{STORE}\Manifests")).and_then(|node| tree[node].children.as_ref());
    let (mut noted, mut in_memory, mut blobs) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (name, entry) in folder.into_iter().flatten() {
        let name = name.to_string().to_ascii_lowercase();
        let Some(key) = name.strip_suffix(".manifest").filter(|key| components.contains(*key)) else { continue };
        let key = key.to_owned();
        match &tree[entry.node].data {
            Some(Content::Blob { id, len }) if *len <= MAX_MANIFEST => blobs.push((*id, key)),
            Some(Content::Bytes(bytes)) => in_memory.push((key, bytes.to_vec())),
            _ => {}
        }
    }
    understand(in_memory, &dictionary, &mut noted);
    // Sorted in the order in which the source is read.
    blobs.sort();
    let ids: Vec<BlobId> = blobs.iter().map(|(id, _)| *id).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut batch: Vec<(String, Vec<u8>)> = Vec::new();
    let mut last = None;
    image.blobs.read_blobs(&ids, threads, &mut |request, piece| {
        if last.replace(request) != Some(request) {
            if batch.len() == BATCH {
                understand(std::mem::take(&mut batch), &dictionary, &mut noted);
            }
            batch.push((blobs[request].1.clone(), Vec::new()));
        }
        if let Some((_, bytes)) = batch.last_mut() {
            bytes.extend_from_slice(piece);
        }
        Ok(())
    })?;
    understand(batch, &dictionary, &mut noted);
    Ok(noted)
}

/// Parses manifests, several at a time.
fn understand(batch: Vec<(String, Vec<u8>)>, dictionary: &Dictionary<'_>, noted: &mut BTreeMap<String, Noted>) {
    let found = Mutex::new(noted);
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(batch.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((key, stored)) = batch.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Ok((manifest, digest)) = dictionary.parse(stored) else { continue };
                    let files = manifest.files.iter().map(|file| truncated_file(&file.name)).collect();
                    let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    found.insert(key.clone(), Noted { digest, files });
                }
            });
        }
    });
}

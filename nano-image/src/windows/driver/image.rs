//! Drivers in ISO images, which are read in place: each file in an image gets the path of the image joined with its own
//! path, as if the image were a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::content::{InputFiles, InputKind};
use crate::error::{Error, Result};
use crate::source::iso::Iso;

/// The most entries of an image; virtio-win has some 3,000. Folders of a damaged image may form cycles.
const MAX_ENTRIES: usize = 1 << 16;
/// The deepest nesting of folders.
const MAX_DEPTH: usize = 32;

/// `files` together with the contents of the images among `drivers`; also the paths of these images.
///
/// # Errors
/// Those of [`Iso::open`]; [`Unsupported`](crate::ErrorKind::Unsupported) for images with too many files.
pub(super) fn with_images(drivers: &[PathBuf], files: &InputFiles) -> Result<(InputFiles, Vec<PathBuf>)> {
    let (mut all, mut images) = (files.clone(), Vec::new());
    for path in drivers {
        if !images.contains(path) && is_image(path, files)? {
            add(path, files, &mut all)?;
            images.push(path.clone());
        }
    }
    Ok((all, images))
}

/// Whether a file is an ISO image: by its name, or by the descriptor at the start of UDF and ISO 9660.
fn is_image(path: &Path, files: &InputFiles) -> Result<bool> {
    const DESCRIPTOR: u64 = 16 * 2048 + 1;
    // Missing files are reported together later.
    if !matches!(files.kind(path), Ok(InputKind::File(_))) {
        return Ok(false);
    }
    let has_end = |end: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(end));
    let file = files.open(path).map_err(|error| Error::io("open", path, error))?;
    let mut identifier = [0; 5];
    let is_there = file.read_exact_at(&mut identifier, DESCRIPTOR).is_ok();
    Ok(has_end("iso") || !has_end("inf") && is_there && matches!(&identifier, b"CD001" | b"BEA01"))
}

fn add(path: &Path, files: &InputFiles, all: &mut InputFiles) -> Result<()> {
    let data = files.open(path).map_err(|error| Error::io("open", path, error))?;
    let iso = Iso::open(data, path)?;
    let (mut open, mut count) = (vec![(String::new(), 0)], 0);
    while let Some((folder, depth)) = open.pop() {
        for entry in iso.entries(&folder)? {
            count += 1;
            if count > MAX_ENTRIES || depth > MAX_DEPTH {
                let what = format!("more than {MAX_ENTRIES} files, or folders nested deeper than {MAX_DEPTH}");
                return Err(Error::unsupported(what).with_path(path));
            }
            let inner = if folder.is_empty() { entry.name } else { format!("{folder}/{}", entry.name) };
            match entry.is_directory {
                true => open.push((inner, depth + 1)),
                false => all.add(path.join(&inner), Arc::new(iso.file(&inner)?)),
            }
        }
    }
    Ok(())
}

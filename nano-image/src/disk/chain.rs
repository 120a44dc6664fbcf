//! Opens a disk image by its path, with the images that it builds on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::formats;
use super::layer::ParentLink;
use super::read::{DiskReader, open_as};
use crate::content::{InputFiles, ReadAt};
use crate::error::{Error, ErrorKind, Result};

/// Longest chain that is followed. It also ends loops.
const MAX_DEPTH: u32 = 64;

/// Opens the disk image at `path`. The images that a differencing disk, or a qcow2 image with a backing file, builds on
/// are found by the paths in it, relative to its folder. They must be the ones that it was made from.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// let disk = nano_image::open_disk_path("web-01.avhdx")?;
/// println!("{} bytes of {} files", disk.size(), disk.files().len());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of [`open`](super::open); [`NotFound`](ErrorKind::NotFound) if a parent is missing,
/// [`Corrupt`](ErrorKind::Corrupt) if it has changed or is not the right one.
pub fn open_path(path: impl AsRef<Path>) -> Result<DiskReader> {
    open_in(&InputFiles::default(), path.as_ref())
}

/// [`open_path`] for one of `files`.
pub(crate) fn open_in(files: &InputFiles, path: &Path) -> Result<DiskReader> {
    // Asked first, because Windows cannot open a directory.
    if files.is_folder(path) {
        return Err(Error::not_found("a directory is not a disk image").with_path(path));
    }
    let file = files.open(path).map_err(|error| Error::io("open", path, error))?;
    open_layer(files, path, file, None, MAX_DEPTH)
}

fn open_layer(
    files: &InputFiles,
    path: &Path,
    file: Arc<dyn ReadAt>,
    format: Option<&str>,
    depth: u32,
) -> Result<DiskReader> {
    let row = format.and_then(formats::row_of_qemu);
    let named = |error: Error| error.with_path(path);
    let mut reader = open_as(file, row).map_err(named)?;
    reader.add_file(path.to_owned());
    let Some(link) = reader.parent_link() else { return Ok(reader) };
    if depth == 0 {
        return Err(named(Error::unsupported(format!("more than {MAX_DEPTH} disk images build on one another"))));
    }
    let parent_path = find(files, path, link).map_err(named)?;
    let parent = files.open(&parent_path).map_err(|error| Error::io("open", &parent_path, error))?;
    let parent = open_layer(files, &parent_path, parent, link.format.as_deref(), depth - 1)?;
    check(&reader, link, &parent, &parent_path).map_err(named)?;
    reader.set_parent(parent);
    Ok(reader)
}

/// The path of the parent that exists.
fn find(files: &InputFiles, child: &Path, link: &ParentLink) -> Result<PathBuf> {
    let folder = child.parent().unwrap_or(Path::new(""));
    let mut tried: Vec<PathBuf> = Vec::new();
    for path in &link.paths {
        // A Windows path that begins with a drive leads nowhere here, but the file may lie beside the child.
        let is_elsewhere = path.starts_with("//") || path.as_bytes().get(1) == Some(&b':');
        let path = if is_elsewhere { path.rsplit('/').next().unwrap_or_default() } else { path };
        let path = folder.join(path);
        if files.is_file(&path) {
            return Ok(path);
        }
        if !tried.contains(&path) {
            tried.push(path);
        }
    }
    let tried: Vec<String> = tried.iter().map(|path| format!("`{}`", path.display())).collect();
    let (message, hint) = match tried.is_empty() {
        true => ("it does not say where the image that it builds on is".to_owned(), "merge both first (Merge-VHD)"),
        false => {
            let hint = "put the parent back where it was when the disk was made, under its old name";
            (format!("the image that it builds on is not there: {}", tried.join(" or ")), hint)
        }
    };
    Err(Error::new(ErrorKind::NotFound, message).with_hint(hint))
}

/// Checks that `parent` is the image from which `child` was made.
fn check(child: &DiskReader, link: &ParentLink, parent: &DiskReader, path: &Path) -> Result<()> {
    let path = path.display();
    if let Some(wanted) = link.id
        && parent.content_id() != Some(wanted)
    {
        let found = parent.content_id().map_or("none".to_owned(), |id| id.to_string());
        let message =
            format!("the image that it builds on has changed, or is another: `{path}` has the identifier {found}");
        let hint = format!("the identifier must be {wanted}: find that image, or make this disk again");
        return Err(Error::corrupt(message).with_hint(hint));
    }
    if child.logical_sector_size() != parent.logical_sector_size() && child.format().name() == parent.format().name() {
        return Err(Error::corrupt(format!("it and `{path}`, which it builds on, have sectors of different sizes")));
    }
    Ok(())
}

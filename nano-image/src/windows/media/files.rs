//! The files of a medium: a folder, or an ISO image that is read in place. Names match in any case, as on Windows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::content::{InputFiles, InputKind, ReadAt};
use crate::error::{Error, Result};
use crate::source::iso::Iso;

/// A folder with more entries than this is refused.
const MAX_ENTRIES: usize = 1 << 16;

/// The place of the files.
pub(super) enum Files {
    Folder(InputFiles, PathBuf),
    Iso { iso: Box<Iso>, path: PathBuf },
}

/// A file of a medium.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// let media = nano_image::Media::open("WS2016.iso", &[])?;
/// let wim: &nano_image::MediaFile = &media.wims()[0];
/// println!("{}: {} bytes", wim.path.display(), wim.size);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct MediaFile {
    /// Its path; for a file in an ISO image, the path of the image joined with the path inside it.
    pub path: PathBuf,
    /// Length in bytes.
    pub size: u64,
    /// Path in the ISO image; empty for a file in memory.
    inside: Option<String>,
}

/// A directory of a medium.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    /// With `/` between names, written as on the medium; empty for the root.
    path: String,
    /// Names of directories, sorted.
    pub directories: Vec<String>,
    /// Sorted by name.
    pub files: Vec<MediaFile>,
}

impl MediaFile {
    /// The file at `path`, which `files` have.
    pub(super) fn at(files: &InputFiles, path: &Path) -> Result<Self> {
        let kind = files.kind(path).map_err(|error| Error::io("open", path, error))?;
        let size = if let InputKind::File(size) = kind { size } else { 0 };
        Ok(Self { path: path.to_owned(), size, inside: files.in_memory(path).map(|_| String::new()) })
    }

    /// Its name; empty if it is not Unicode.
    pub fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Its name without extension.
    pub(super) fn stem(&self) -> &str {
        self.path.file_stem().and_then(|name| name.to_str()).unwrap_or_default()
    }

    pub(super) fn has_extension(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
    }

    /// Whether it is a file of the host: neither in memory nor inside an ISO image.
    pub(super) fn is_plain(&self) -> bool {
        self.inside.is_none()
    }
}

impl Files {
    /// The root.
    pub fn root(&self) -> Result<Directory> {
        self.list("")
    }

    /// The directory `name` of `parent`, if there is one.
    pub fn directory(&self, parent: &Directory, name: &str) -> Result<Option<Directory>> {
        let exact = parent.directories.iter().find(|found| *found == name);
        match exact.or_else(|| parent.directories.iter().find(|found| same(found, name))) {
            Some(found) if parent.path.is_empty() => self.list(found).map(Some),
            Some(found) => self.list(&format!("{}/{found}", parent.path)).map(Some),
            None => Ok(None),
        }
    }

    /// Opens a file that a directory of this medium lists.
    pub fn open(&self, file: &MediaFile) -> Result<Arc<dyn ReadAt>> {
        match (self, &file.inside) {
            (Self::Iso { iso, .. }, Some(inside)) => {
                Ok(Arc::new(iso.file(inside).map_err(|error| error.with_path(&file.path))?))
            }
            (Self::Folder(files, _), _) => files.open(&file.path).map_err(|error| Error::io("open", &file.path, error)),
            (Self::Iso { .. }, None) => Err(Error::not_found("not in the ISO image").with_path(&file.path)),
        }
    }

    fn list(&self, path: &str) -> Result<Directory> {
        let mut directory = Directory { path: path.into(), directories: Vec::new(), files: Vec::new() };
        match self {
            Self::Folder(files, folder) => {
                let folder = folder.join(path);
                let paths = files.list(&folder).map_err(|error| Error::io("list the folder", &folder, error))?;
                if paths.len() > MAX_ENTRIES {
                    let message = format!("a folder of more than {MAX_ENTRIES} entries");
                    return Err(Error::unsupported(message).with_path(&folder));
                }
                for path in paths {
                    // A link to nothing is not a file.
                    let Ok(kind) = files.kind(&path) else { continue };
                    match (kind, path.file_name().and_then(|name| name.to_str())) {
                        (InputKind::Folder, Some(name)) => directory.directories.push(name.to_owned()),
                        (InputKind::File(_), Some(_)) => directory.files.push(MediaFile::at(files, &path)?),
                        _ => {}
                    }
                }
            }
            Self::Iso { iso, path: image } => {
                for entry in iso.entries(path)? {
                    let inside = if path.is_empty() { entry.name.clone() } else { format!("{path}/{}", entry.name) };
                    if entry.is_directory {
                        directory.directories.push(entry.name);
                    } else {
                        // With the separators of the host.
                        let path = image.join(inside.split('/').collect::<PathBuf>());
                        directory.files.push(MediaFile { path, size: entry.size, inside: Some(inside) });
                    }
                }
            }
        }
        directory.directories.sort();
        directory.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(directory)
    }
}

impl Directory {
    /// The file `name`, if there is one.
    pub fn file(&self, name: &str) -> Option<&MediaFile> {
        let exact = self.files.iter().find(|file| file.name() == name);
        exact.or_else(|| self.files.iter().find(|file| same(file.name(), name)))
    }

    /// All names, directories with a `/`.
    pub fn names(&self) -> Vec<String> {
        let directories = self.directories.iter().map(|name| format!("{name}/"));
        directories.chain(self.files.iter().map(|file| file.name().to_owned())).collect()
    }
}

/// Whether Windows takes both for the same name.
pub(super) fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

//! What an image is made from: an image of a WIM, or the Windows of a disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sources::Sources;
use crate::content::{BlobStore, UsedFile};
use crate::error::{Error, Result};
use crate::progress::Observer;
use crate::source::wim::{ImageInfo, Wim};
use crate::tree::FileTree;
use crate::windows::disk_source::DiskSource;
use crate::windows::media::{ImageChoice, Media};

/// What an image is made from.
pub(super) enum Base {
    Wim {
        wim: Wim,
        index: u32,
        /// Path of the WIM, for messages.
        path: PathBuf,
    },
    Disk(Box<DiskSource>),
}

impl Base {
    /// Opens the image that `choice` selects in `sources`. Adds what the user should know to `warnings`.
    pub fn open(
        choice: ImageChoice<'_>,
        sources: &Sources,
        media: &Media,
        observer: &dyn Observer,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        if let Some(disk) = sources.disk_image() {
            let partition = partition(choice).map_err(|error| error.with_path(disk))?;
            return Ok(Self::Disk(Box::new(DiskSource::open(&sources.files, disk, partition, observer)?)));
        }
        let (wim, file, index) = media.find_image(choice, sources.scratch.as_deref(), warnings)?;
        let path = file.path.clone();
        Ok(Self::Wim { wim, index, path })
    }

    /// The description of the image.
    pub fn info(&self) -> ImageInfo {
        match self {
            Self::Wim { wim, index, .. } => {
                let info = wim.images().iter().find(|info| info.index == *index).cloned().unwrap_or_default();
                ImageInfo { index: *index, ..info }
            }
            Self::Disk(disk) => disk.info().clone(),
        }
    }

    /// For messages.
    pub fn path(&self) -> &Path {
        match self {
            Self::Wim { path, .. } => path,
            Self::Disk(disk) => disk.path(),
        }
    }

    /// The files of the WIM.
    pub fn wim_files(&self) -> Vec<PathBuf> {
        match self {
            Self::Wim { wim, .. } => wim.files().into_iter().map(Path::to_owned).collect(),
            Self::Disk(_) => Vec::new(),
        }
    }

    /// The image files of the disk.
    pub fn disk_files(&self) -> Vec<PathBuf> {
        match self {
            Self::Wim { .. } => Vec::new(),
            Self::Disk(disk) => disk.files().to_vec(),
        }
    }

    /// All files that it reads.
    pub fn used_files(&self) -> impl Iterator<Item = UsedFile> {
        let wims = self.wim_files().into_iter().map(|path| UsedFile::new("the WIM", path));
        wims.chain(self.disk_files().into_iter().map(|path| UsedFile::new("the disk", path)))
    }

    /// A digest of names and contents of all files.
    pub fn digest(&self) -> Result<Vec<u8>> {
        match self {
            Self::Wim { wim, index, .. } => Ok(wim.image_digest(*index)?.to_vec()),
            Self::Disk(disk) => Ok(disk.digest().to_vec()),
        }
    }

    /// The contents of all files.
    pub fn store(&self) -> Arc<dyn BlobStore> {
        match self {
            Self::Wim { wim, .. } => wim.store().clone(),
            Self::Disk(disk) => disk.store(),
        }
    }

    /// Its files, and what the user should know about them. The files of a disk can be taken only once.
    pub fn read(&mut self) -> Result<(FileTree, Vec<String>)> {
        match self {
            Self::Wim { wim, index, .. } => {
                let image = wim.read_image(*index)?;
                Ok((image.tree, image.warnings))
            }
            Self::Disk(disk) => Ok(disk.take_tree()),
        }
    }

    /// The disk, if this is one.
    pub fn disk(&self) -> Option<&DiskSource> {
        match self {
            Self::Wim { .. } => None,
            Self::Disk(disk) => Some(disk),
        }
    }
}

/// The partition that is chosen like an image; `None` means the only one with Windows.
fn partition(choice: ImageChoice<'_>) -> Result<Option<u32>> {
    match choice {
        ImageChoice::Only => Ok(None),
        ImageChoice::Named(text) => text.parse().map(Some).map_err(|_| {
            let error = Error::recipe(format!("`{text}` is not the number of a partition"));
            error.with_hint("for a disk, --image takes the number of the partition that has Windows")
        }),
        ImageChoice::Edition(_) => {
            Err(Error::recipe("a disk has no editions to choose from").with_hint("leave out the edition"))
        }
    }
}

//! The files that an image is made of.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::windows::media::Media;

/// The files that an image is made of.
#[derive(Clone, Debug)]
pub struct Sources {
    media: PathBuf,
    /// Whether `media` is a WIM, whatever it looks like.
    is_wim: bool,
    parts: Vec<PathBuf>,
    pub(super) scratch: Option<PathBuf>,
    pub(super) servicing_packages: Vec<PathBuf>,
    pub(super) drivers: Vec<PathBuf>,
}

impl Sources {
    /// Install media: an ISO image, a folder with its files, or a WIM. See [`Media`].
    pub fn media(path: impl Into<PathBuf>) -> Self {
        Self {
            media: path.into(),
            is_wim: false,
            parts: Vec::new(),
            scratch: None,
            servicing_packages: Vec::new(),
            drivers: Vec::new(),
        }
    }

    /// A WIM file: `.wim`, `.esd`, or the first part of a split `.swm` set, whose other parts are found beside it.
    /// Packages are in the folder `Packages` beside it.
    pub fn wim(path: impl Into<PathBuf>) -> Self {
        Self { is_wim: true, ..Self::media(path) }
    }

    /// A further part of a split WIM that does not lie beside the first.
    pub fn part(mut self, path: impl Into<PathBuf>) -> Self {
        self.parts.push(path.into());
        self
    }

    /// An update that is installed after all packages: a `.cab` or `.msu` file.
    pub fn servicing_package(mut self, path: impl Into<PathBuf>) -> Self {
        self.servicing_packages.push(path.into());
        self
    }

    /// A driver: an INF file, or a folder in which all are taken.
    pub fn driver(mut self, path: impl Into<PathBuf>) -> Self {
        self.drivers.push(path.into());
        self
    }

    /// A folder for what must be made before the image can be laid out (see [`Compact`](crate::Compact)), and for
    /// opening a WIM inside an ISO image: files that are removed with the plan.
    pub fn scratch(mut self, folder: impl Into<PathBuf>) -> Self {
        self.scratch = Some(folder.into());
        self
    }

    /// The media or WIM, and whether it is a WIM, whatever it looks like.
    pub(super) fn source(&self) -> (&Path, bool) {
        (&self.media, self.is_wim)
    }

    /// Further parts of a split WIM.
    pub(super) fn parts(&self) -> &[PathBuf] {
        &self.parts
    }

    pub(super) fn open(&self) -> Result<Media> {
        match self.is_wim {
            true => Media::wim(&self.media, &self.parts),
            false => Media::open(&self.media, &self.parts),
        }
    }
}

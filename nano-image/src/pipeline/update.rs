//! Updates: what is in one, and what of it an image needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::content::ReadAt;
use crate::error::{Error, Result};
use crate::source::wim::Wim;
use crate::types::{Architecture, FileTime};
use crate::windows::edit::ImageEdit;
use crate::windows::package::{Applicability, CabinetSource, Install, UpdateDetails, applicability, describe};

/// An update: an `.msu` file, or a cabinet of one.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// # use fixtures::packages::update;
/// # let bytes = update::to_cabinet(&update::intra(&update::cumulative(50, 10)));
/// use nano_image::Update;
///
/// let update = Update::data(std::sync::Arc::new(bytes), "Windows10.0-KB4000002-x64.cab");
/// assert_eq!(update.describe(None)?[0].kb.as_deref(), Some("KB4000002"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Update(CabinetSource);

impl Update {
    /// The file at `path`.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) and [`Io`](crate::ErrorKind::Io).
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        CabinetSource::open(path).map(Self)
    }

    /// A file that `data` has, e.g. in memory; messages call it `name`.
    pub fn data(data: Arc<dyn ReadAt>, name: impl Into<PathBuf>) -> Self {
        Self(CabinetSource { path: name.into(), data })
    }

    /// Tells what is in it, a package each. What is large is kept in the folder `scratch` meanwhile.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for files that are no packages,
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for broken ones; [`Recipe`](crate::ErrorKind::Recipe) if a scratch folder
    /// is needed and none is given.
    pub fn describe(&self, scratch: Option<&Path>) -> Result<Vec<UpdateDetails>> {
        describe(&self.0, scratch)
    }

    /// Tells what of it image `index` of `wim` needs.
    ///
    /// # Errors
    /// Those of [`describe`](Self::describe); [`Unsatisfied`](crate::ErrorKind::Unsatisfied) if it does not apply;
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such image.
    pub fn applies(&self, wim: &Wim, index: u32, scratch: Option<&Path>) -> Result<Applicability> {
        let info = wim.images().iter().find(|info| info.index == index);
        let info = info.ok_or_else(|| Error::not_found(format!("no image {index}")))?;
        let architecture = info.architecture.unwrap_or(Architecture::Amd64);
        let mut tree = wim.read_image(index)?.tree;
        let mut image = ImageEdit::new(&mut tree, wim.store().clone(), FileTime(0));
        let what = Install { servicing: vec![self.0.clone()], ..Install::default() };
        applicability(&mut image, &what, architecture, scratch)
    }
}

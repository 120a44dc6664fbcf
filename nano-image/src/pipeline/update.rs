//! Updates: what is in one, and what an image needs of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sources::Sources;
use crate::content::ReadAt;
use crate::error::Result;
use crate::types::Architecture;
use crate::windows::package::{Applicability, CabinetSource, Install, UpdateDetails, applicability, describe};

/// An update: an `.msu` file, or a cabinet from one.
///
/// ```
/// # #[cfg(feature = "internals")] // The tests of a package alone have no fixtures.
/// # fn main() -> nano_image::Result<()> {
/// # use fixtures::packages::update;
/// # let bytes = update::to_cabinet(&update::intra(&update::cumulative(50, 10)));
/// use nano_image::Update;
///
/// let update = Update::data(std::sync::Arc::new(bytes), "Windows10.0-KB4000002-x64.cab");
/// assert_eq!(update.describe(None)?[0].kb.as_deref(), Some("KB4000002"));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "internals"))]
/// # fn main() {}
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

    /// A file whose bytes `data` gives, for example from memory; messages call it `name`.
    pub fn data(data: Arc<dyn ReadAt>, name: impl Into<PathBuf>) -> Self {
        Self(CabinetSource { path: name.into(), data })
    }

    /// Describes the packages in it. Large contents are kept in the folder `scratch` while this runs.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for files that are not packages,
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for broken ones; [`Recipe`](crate::ErrorKind::Recipe) if a scratch folder
    /// is needed and none is given.
    pub fn describe(&self, scratch: Option<&Path>) -> Result<Vec<UpdateDetails>> {
        describe(&self.0, scratch)
    }

    /// Says what the image with the name or number `image` of `sources` needs of it; without one, the only image there.
    /// Large contents are kept in the scratch folder of the sources while this runs.
    ///
    /// # Errors
    /// Those of [`describe`](Self::describe); [`Unsatisfied`](crate::ErrorKind::Unsatisfied) if it does not apply;
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such image.
    pub fn applies(&self, sources: &Sources, image: Option<&str>) -> Result<Applicability> {
        let what = Install { servicing: vec![self.0.clone()], ..Install::default() };
        sources.look(image, |looked| {
            let architecture = looked.info.architecture.unwrap_or(Architecture::Amd64);
            applicability(looked.edit, &what, architecture, sources.scratch.as_deref())
        })
    }
}

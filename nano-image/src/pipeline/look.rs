//! Looks into an image of the sources, without a build.

use super::base::Base;
use super::sources::Sources;
use crate::error::Result;
use crate::source::wim::ImageInfo;
use crate::windows::edit::ImageEdit;
use crate::windows::media::ImageChoice;
use crate::windows::package::{self, ImageServicing};

/// What a look gets to see.
pub(super) struct Looked<'a, 'b> {
    /// Its files and hives; changes to them are lost.
    pub edit: &'a mut ImageEdit<'b>,
    pub info: ImageInfo,
}

impl Sources {
    /// What `look` sees in the image with the name or number `image` (the partition, for a disk); without one, in the
    /// only image.
    pub(super) fn look<T>(&self, image: Option<&str>, look: impl FnOnce(Looked<'_, '_>) -> Result<T>) -> Result<T> {
        let media = self.open()?;
        let choice = image.map_or(ImageChoice::Only, ImageChoice::Named);
        let mut base = Base::open(choice, self, &media, &(), &mut Vec::new())?;
        let (info, path) = (base.info(), base.path().to_owned());
        let (mut tree, _) = base.read()?;
        let edit = &mut ImageEdit::new(&mut tree, base.store(), info.creation_time);
        look(Looked { edit, info }).map_err(|error| error.with_path(path))
    }

    /// Lists the features, capabilities and packages of the image with the name or number `image` (the number of the
    /// partition, for a disk); without one, of the only image.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such image, or if it has no list of packages;
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if one of its hives is broken.
    ///
    /// ```no_run
    /// # fn main() -> nano_image::Result<()> {
    /// let has = nano_image::Sources::wim("install.wim").servicing(Some("2"))?;
    /// println!("{} features", has.features.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn servicing(&self, image: Option<&str>) -> Result<ImageServicing> {
        self.look(image, |looked| package::list(looked.edit, self.scratch.as_deref()))
    }
}

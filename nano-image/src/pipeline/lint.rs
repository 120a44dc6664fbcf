//! Judging an answer file for an image of the sources.

use std::path::Path;

use super::sources::Sources;
use crate::error::Result;
use crate::types::Architecture;
use crate::windows::answer::{ImageSetup, Lint};
use crate::windows::edit::HiveFile;

impl Sources {
    /// Judges the answer file at `answer` for the image with the name or number `image`; without one, for the only
    /// image.
    ///
    /// # Errors
    /// Those of [`Lint::file`]; [`NotFound`](crate::ErrorKind::NotFound) if there is no such image,
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if one of its hives is broken.
    ///
    /// ```no_run
    /// # fn main() -> nano_image::Result<()> {
    /// let lint = nano_image::Sources::wim("install.wim").lint(Some("2"), "unattend.xml")?;
    /// println!("{lint}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn lint(&self, image: Option<&str>, answer: impl AsRef<Path>) -> Result<Lint> {
        self.look(image, |looked| {
            let (edit, mut setup) = (looked.edit, ImageSetup::default());
            if let Some(hive) = edit.hive(HiveFile::Software)? {
                setup.read_software(hive);
            }
            if let Some(hive) = edit.hive(HiveFile::System)? {
                setup.read_system(hive);
            }
            setup.read_files(|path, limit| edit.read(path, limit))?;
            setup.architecture = looked.info.architecture.or(Some(Architecture::Amd64));
            Lint::with_image(&self.files, answer.as_ref(), setup, Some(&*edit))
        })
    }
}

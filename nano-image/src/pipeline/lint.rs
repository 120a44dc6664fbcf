//! Judging an answer file for an image of the sources.

use std::path::Path;

use super::sources::Sources;
use crate::error::Result;
use crate::source::wim::Architecture;
use crate::windows::answer::{ImageSetup, Lint};
use crate::windows::edit::{HiveFile, ImageEdit};
use crate::windows::media::ImageChoice;

impl Sources {
    /// Judges the answer file at `answer` for the image with the name or number `image`; without it for the only one.
    ///
    /// # Errors
    /// Those of [`Lint::file`]; [`NotFound`](crate::ErrorKind::NotFound) if there is no such image,
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for its hives.
    ///
    /// ```no_run
    /// # fn main() -> nano_image::Result<()> {
    /// let lint = nano_image::Sources::wim("install.wim").lint(Some("2"), "unattend.xml")?;
    /// println!("{lint}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn lint(&self, image: Option<&str>, answer: impl AsRef<Path>) -> Result<Lint> {
        let media = self.open()?;
        let choice = image.map_or(ImageChoice::Only, ImageChoice::Named);
        let (wim, file, index) = media.find_image(choice, self.scratch.as_deref(), &mut Vec::new())?;
        let info = wim.images().iter().find(|info| info.index == index).cloned().unwrap_or_default();
        let mut read = wim.read_image(index)?;
        let mut edit = ImageEdit::new(&mut read.tree, wim.store().clone(), info.creation_time);
        let mut setup = ImageSetup::default();
        let mut fill = || -> Result<()> {
            if let Some(hive) = edit.hive(HiveFile::Software)? {
                setup.read_software(hive);
            }
            if let Some(hive) = edit.hive(HiveFile::System)? {
                setup.read_system(hive);
            }
            setup.read_files(|path, limit| edit.read(path, limit))
        };
        fill().map_err(|error| error.with_path(&file.path))?;
        setup.architecture = Some(info.architecture.unwrap_or(Architecture::Amd64).to_string());
        Lint::with_image(&self.files, answer.as_ref(), setup, Some(&edit))
    }
}

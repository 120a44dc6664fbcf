//! Everything that is said about one answer file, ready to be shown.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::{AnswerFile, ImageRemark, ImageSetup, MAX_LEN, Manifests, Remark, Verdict};
use crate::content::InputFiles;
use crate::error::{Error, ErrorKind, Result};
use crate::types::{Architecture, printable};
use crate::windows::edit::ImageFiles;

/// What becomes of an answer file, setting by setting.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{Architecture, Lint, Verdict};
///
/// let lint = Lint::file("unattend.xml", Some(Architecture::Amd64))?;
/// for remark in lint.remarks.iter().filter(|remark| remark.verdict != Verdict::Applied) {
///     println!("{remark}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Lint {
    /// The file.
    pub path: String,
    /// The architecture for which it is judged. If it is not given, components for all architectures count.
    pub architecture: Option<Architecture>,
    /// Remarks about the file, in its order.
    pub remarks: Vec<Remark>,
    /// Remarks about the image.
    pub image: Vec<ImageRemark>,
}

impl Lint {
    /// Judges the file at `path`, for an image of `architecture`, if that is known.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) and [`Io`](crate::ErrorKind::Io) if it cannot be read. What is wrong
    /// with it becomes a remark.
    pub fn file(path: impl AsRef<Path>, architecture: Option<Architecture>) -> Result<Self> {
        let image = ImageSetup { architecture, ..ImageSetup::default() };
        Self::with_image(&InputFiles::default(), path.as_ref(), image, None)
    }

    /// Judges the file at `path`, one of `from`, for an image with the files `files`.
    pub(crate) fn with_image(
        from: &InputFiles,
        path: &Path,
        mut image: ImageSetup,
        files: Option<&dyn ImageFiles>,
    ) -> Result<Self> {
        let bytes = from.read(path, MAX_LEN, "an answer file")?;
        let remarks = match AnswerFile::parse(&bytes) {
            Ok(mut file) => {
                image.architecture.into_iter().for_each(|architecture| file.is_for(architecture));
                if let Some(files) = files {
                    image.read_components(&file, &Manifests::new(files)?, files);
                }
                file.judge(&bytes, &image.target())
            }
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported) => {
                vec![Remark::of_error(&error, &bytes)]
            }
            Err(error) => return Err(Error::with_path(error, path)),
        };
        let of_image = image.remarks(true);
        Ok(Self { path: path.display().to_string(), architecture: image.architecture, remarks, image: of_image })
    }

    /// Number of remarks with this verdict, about the file and the image.
    pub fn count(&self, verdict: Verdict) -> usize {
        let of_file = self.remarks.iter().filter(|remark| remark.verdict == verdict).count();
        of_file + self.image.iter().filter(|remark| remark.verdict == verdict).count()
    }

    /// Whether nothing is refused.
    pub fn is_accepted(&self) -> bool {
        self.count(Verdict::Refused) == 0
    }
}

impl fmt::Display for Lint {
    /// A line for each setting that is refused or told, in the form of compiler messages, with hints. With `{:#}` also
    /// those that are applied.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &printable(&self.path);
        let hint = |f: &mut fmt::Formatter<'_>, hint: &Option<String>| match hint {
            Some(hint) => writeln!(f, "  hint: {}", printable(hint)),
            None => Ok(()),
        };
        let all = f.alternate();
        for remark in self.remarks.iter().filter(|remark| all || remark.verdict != Verdict::Applied) {
            let Remark { verdict, line, column, message, .. } = remark;
            writeln!(f, "{path}:{line}:{column}: {verdict}: {}", printable(message))?;
            hint(f, &remark.hint)?;
        }
        for remark in &self.image {
            writeln!(f, "image: {}: {}", remark.verdict, printable(&remark.message))?;
            hint(f, &remark.hint)?;
        }
        let of = |verdict| format!("{} {verdict}", self.count(verdict));
        let all = [Verdict::Refused, Verdict::Told, Verdict::Applied].map(of).join(", ");
        let end = if self.is_accepted() { "" } else { "; Windows would stop at it, and so does a build" };
        writeln!(f, "{path}: {all}{end}")
    }
}

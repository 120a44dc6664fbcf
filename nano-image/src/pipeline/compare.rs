//! Whether a file is what a build would make.

use std::path::Path;

use serde::Serialize;

use super::layout::Layout;
use super::scheme::Scheme;
use crate::content::ReadAt;
use crate::disk::{CompareOutput, FileLayout, Format};
use crate::error::Result;
use crate::progress::Observer;
use crate::types::{ByteSize, DiskOffset, FileOffset, VolumeOffset};

/// The first byte in which a file differs from what a build makes.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{Format, Recipe, Sources};
///
/// let plan = Recipe::image("1").build()?.plan(&Sources::wim("nano.wim"), &())?;
/// let path = std::path::Path::new("nano.vhdx");
/// let file = std::fs::File::open(path).expect("it is there");
/// match plan.layout(&())?.compare(&file, path, Format::VHDX, &())? {
///     Some(difference) => println!("differs at byte {}: {}", difference.offset, difference.what),
///     None => println!("this is what is built"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Difference {
    /// File offset.
    pub offset: u64,
    /// The byte that the build makes; `None` if the file should end before it.
    pub expected: Option<u8>,
    /// The byte of the file; `None` if the file ends before it.
    pub found: Option<u8>,
    /// Where that is on the disk; `None` in a structure of the format. Of compressed bytes it is the start of the block
    /// that they stand for.
    pub disk_offset: Option<u64>,
    /// What the build has there, in a few words.
    pub what: String,
}

impl Layout<'_> {
    /// Compares `file`, an image in `format`, with what [`write`](Self::write) would make, and tells the first
    /// difference. Nothing is written; the sources are read up to the difference. Errors call the file `path`.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn compare(
        &self,
        file: &dyn ReadAt,
        path: &Path,
        format: Format,
        observer: &dyn Observer,
    ) -> Result<Option<Difference>> {
        let mut file_layout = self.file_layout(format)?;
        file_layout.name_file(path);
        let mut output = CompareOutput::new(file, path)?;
        let compared = file_layout.writer(&mut output).and_then(|writer| self.write_disk(vec![writer], observer));
        let Some(difference) = output.difference() else { return compared.map(|_| None) };
        let packed = difference.packed.filter(|_| difference.expected.is_some());
        let disk_offset = match packed {
            Some(block) => Some(DiskOffset(block.start)),
            None => file_layout.disk_offset(FileOffset(difference.offset)),
        };
        Ok(Some(Difference {
            offset: difference.offset,
            expected: difference.expected,
            found: difference.found,
            disk_offset: disk_offset.map(|offset| offset.0),
            what: match disk_offset {
                _ if difference.expected.is_none() => "the end of the file".into(),
                None => format!("a structure of the {} format", file_layout.format().name()),
                Some(offset) => {
                    let what = self.describe(offset, &file_layout);
                    let block = packed.map(|block| format!("{} from there, compressed: ", ByteSize::new(block.len)));
                    block.unwrap_or_default() + &what
                }
            },
        }))
    }

    /// Says in a few words what is at `offset` of the disk.
    pub(super) fn describe(&self, offset: DiskOffset, file_layout: &FileLayout) -> String {
        let (start, size) = self.plan.scheme.windows();
        if let Some(inside) = offset.0.checked_sub(start.0).filter(|inside| *inside < size.bytes()) {
            return format!("Windows volume, {}", self.ntfs.describe(VolumeOffset(inside)));
        }
        for (start, volume) in self.volumes() {
            let inside = offset.0.checked_sub(start.0).filter(|inside| *inside < volume.size().bytes());
            if let Some(inside) = inside {
                return format!("recovery volume, {}", volume.describe(VolumeOffset(inside)));
            }
        }
        let is_used = file_layout.used().iter().any(|extent| (extent.start..extent.end()).contains(&offset.0));
        match &self.plan.scheme {
            Scheme::Gpt { esp, .. } if (esp.start.0..esp.start.0 + esp.len.bytes()).contains(&offset.0) => {
                "EFI system partition".into()
            }
            _ if is_used => "partition table".into(),
            _ => "free space outside the volumes".into(),
        }
    }
}

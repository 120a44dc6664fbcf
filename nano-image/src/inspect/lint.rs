//! Judges an answer file for a disk image.

use std::path::Path;

use super::read::hives::software_and_system;
use super::read::image::Image;
use crate::content::InputFiles;
use crate::error::Result;
use crate::types::Architecture;
use crate::windows::answer::{ImageSetup, Lint};
use crate::windows::program;

/// Judges the answer file at `answer` for the Windows in `image`.
///
/// # Errors
/// Those of [`Lint::file`] and [`Image::main_files`]; [`Corrupt`](crate::ErrorKind::Corrupt) for hives.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// let lint = nano_image::inspect::lint(&nano_image::inspect::Image::open("core.vhdx")?, "unattend.xml")?;
/// println!("{lint}");
/// # Ok(())
/// # }
/// ```
pub fn lint(image: &Image, answer: impl AsRef<Path>) -> Result<Lint> {
    let files = image.main_files()?;
    let mut failed = None;
    let (software, system) = software_and_system(&files, &mut |_, error| failed = Some(error));
    if let Some(error) = failed {
        return Err(error.with_path(image.path()));
    }
    let mut setup = ImageSetup::default();
    software.iter().for_each(|hive| setup.read_software(hive));
    system.iter().for_each(|hive| setup.read_system(hive));
    setup.read_files(|path, limit| files.read_file(path, limit)).map_err(|error| error.with_path(image.path()))?;
    if setup.architecture.is_none() {
        setup.architecture = loader(&files)?;
    }
    Lint::with_image(&InputFiles::default(), answer.as_ref(), setup, Some(&files))
}

/// The architecture of Windows' kernel, or of what loads it.
fn loader(files: &super::Files<'_>) -> Result<Option<Architecture>> {
    const PROGRAMS: [&str; 4] = [
        r"Windows\System32\ntoskrnl.exe",
        r"Windows\System32\winload.efi",
        r"Windows\System32\winload.exe",
        r"Windows\Boot\EFI\bootmgfw.efi",
    ];
    /// Kernels have some 12 MiB.
    const MAX_LEN: u64 = 64 << 20;
    for path in PROGRAMS {
        let program = files.read_file(path, MAX_LEN)?;
        if let Some(architecture) = program.as_deref().and_then(program::architecture) {
            return Ok(Some(architecture));
        }
    }
    Ok(None)
}

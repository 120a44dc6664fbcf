//! `nano-image lint`.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use nano_image::inspect::{self, Image};
use nano_image::{Architecture, Error, Lint, Result, Sources};

use crate::args;
use crate::report::output;

/// The first bytes of a WIM.
const WIM: &[u8] = b"MSWIM\0\0\0";

/// Says what Windows will do with an answer file.
pub fn run(arguments: &args::Lint) -> Result<ExitCode> {
    let image = arguments.image.as_deref();
    let lint = match (&arguments.wim, &arguments.media, image) {
        (Some(wim), ..) => Sources::wim(wim).lint(image, &arguments.file),
        (None, Some(media), _) => Sources::media(media).scratch(std::env::temp_dir()).lint(image, &arguments.file),
        (None, None, Some(path)) if is_wim(Path::new(path))? => Sources::wim(path).lint(None, &arguments.file),
        (None, None, Some(path)) => inspect::lint(&Image::open(path)?, &arguments.file),
        (None, None, None) => {
            Lint::file(&arguments.file, arguments.architecture.as_deref().and_then(Architecture::named))
        }
    }?;
    if arguments.json {
        let json = serde_json::to_string_pretty(&lint).expect("what is said is JSON");
        output(&format!("{json}\n"))?;
    } else {
        output(&if arguments.all { format!("{lint:#}") } else { lint.to_string() })?;
    }
    Ok(if lint.is_accepted() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn is_wim(path: &Path) -> Result<bool> {
    let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    let mut start = Vec::new();
    // A directory cannot be read, and so is not a WIM.
    let read = file.take(WIM.len() as u64).read_to_end(&mut start);
    Ok(read.is_ok() && start == WIM)
}

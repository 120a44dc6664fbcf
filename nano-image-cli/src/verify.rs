//! `nano-image verify`.

use std::process::ExitCode;

use nano_image::Result;
use nano_image::inspect::verify::{Manifest, VerifyOptions, verify};

use crate::args::Verify;
use crate::report::output;

/// Says what is wrong with a disk image.
pub fn run(arguments: &Verify) -> Result<ExitCode> {
    let mut options = VerifyOptions::default();
    options.manifest = arguments.manifest.as_ref().map(Manifest::read).transpose()?;
    let verification = verify(&arguments.image, &options)?;
    if arguments.json {
        let json = serde_json::to_string_pretty(&verification).expect("a verification is JSON");
        output(&format!("{json}\n"))?;
    } else {
        output(&verification.to_string())?;
    }
    Ok(if verification.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

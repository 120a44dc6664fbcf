//! Flags of `nano-image lint`.

use std::path::PathBuf;

use clap::Args;

/// Say what Windows refuses, ignores and applies in an answer file, with line and column
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Lint {
    /// Answer file: Unattend.xml, Autounattend.xml
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Image that it is for: a disk image or a WIM; with --wim or --media, the name or number of an image in there
    ///
    /// The check uses its architecture, time zones, languages, its state of setup, and the answer files that it has
    /// itself.
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,

    /// WIM with the image
    #[arg(long, value_name = "FILE", conflicts_with = "media")]
    pub wim: Option<PathBuf>,

    /// Install media with the image: an ISO image or a folder
    #[arg(long, value_name = "PATH")]
    pub media: Option<PathBuf>,

    /// Architecture of the image, if no image is named [default: components for all architectures count]
    #[arg(long, value_name = "NAME", value_parser = ["amd64", "x86", "arm64", "arm"])]
    #[arg(conflicts_with_all = ["image", "wim", "media"])]
    pub architecture: Option<String>,

    /// Also list what is applied
    #[arg(long)]
    pub all: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  nano-image lint unattend.xml
  nano-image lint unattend.xml --image core.vhdx
  nano-image lint unattend.xml --wim install.wim --image 2
  nano-image lint --json unattend.xml | jq '.remarks[] | select(.verdict == \"refused\") | .message'

docs/answer-files.md lists what is refused, told and applied.

Exit status:
  0 nothing is refused   1 something is   2 wrong usage   3 no such file or image   4 an image is not readable
  6 input/output error";

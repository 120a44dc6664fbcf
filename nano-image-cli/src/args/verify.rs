//! Flags of `nano-image verify`.

use std::path::PathBuf;

use clap::Args;

/// Check a disk image: its format, partition table, file systems, registry, boot entries, contents of files
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Verify {
    /// Disk image to check, made by any program; or a volume without a disk
    #[arg(value_name = "IMAGE")]
    pub image: PathBuf,

    /// List of what files must contain, with lines of DIGEST SIZE PATH[:STREAM]
    ///
    /// Digests are SHA-256 or SHA-1, in hexadecimal digits; paths begin with `/` at the root of the Windows volume.
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  nano-image verify nano.vhdx
  nano-image verify nano.vhdx --manifest files.txt
  nano-image verify --json nano.vhdx | jq '.findings[].message'

Exit status:
  0 nothing is wrong   1 something is   2 wrong usage   3 no such file   4 not handled   6 input/output error";

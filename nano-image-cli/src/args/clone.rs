//! Flags of `clone`.

use std::path::PathBuf;

use clap::Args;

/// Make many machines of one image: disks that hold what differs from it
#[derive(Args, Debug)]
#[command(after_long_help = CLONE_EXAMPLES)]
#[command(override_usage = "nano-image clone [OPTIONS] <GOLDEN> --machines <FILE> -o <PATTERN> <flags of `build`>")]
pub struct Clone {
    /// Image that `build` made of the same recipe and sources; it must never be started or written to
    #[arg(value_name = "GOLDEN", id = "golden")]
    pub golden: PathBuf,

    /// List of machines: CSV, JSON lines, or TOML with a [[machine]] each
    ///
    /// A machine has a `name`, and any of the flags of `build` for one machine: addresses, `secret` (where the password
    /// is), answer file, copied files, time zone … They take the place of the recipe's. The name is also the
    /// computer's, unless `computer-name` or a domain-join blob says otherwise. A column may be there twice.
    #[arg(help_heading = "Machines", long, value_name = "FILE", required = true)]
    pub machines: PathBuf,

    /// Write whole images
    #[arg(help_heading = "Machines", long)]
    pub full: bool,

    /// Make every N-th machine only, beginning with number I (from 0): for engines that share the work
    #[arg(help_heading = "Machines", long, value_name = "I/N", value_parser = shard)]
    pub shard: Option<(usize, usize)>,

    /// Compare every byte of the golden image with its recipe, not its identifiers and structures alone
    #[arg(help_heading = "Machines", long = "check", id = "check_golden")]
    pub check_golden: bool,

    #[command(flatten)]
    pub build: super::Build,
}

fn shard(text: &str) -> Result<(usize, usize), String> {
    let numbers = text.split_once('/').and_then(|(one, all)| Some((one.parse().ok()?, all.parse().ok()?)));
    match numbers {
        Some((one, all)) if one < all => Ok((one, all)),
        _ => Err(format!("`{text}` is no shard: write I/N, with I from 0 to N-1, e.g. 0/4")),
    }
}

const CLONE_EXAMPLES: &str = "\
Examples:
  nano-image build --recipe web.toml -o golden.vhdx --metadata-file golden.json
  nano-image clone golden.vhdx --recipe golden.json --machines web.csv -o 'out/{name}.vhdx'
  nano-image clone golden.vhdx --recipe golden.json --machines web.toml -o 'out/{name}.qcow2' --shard 0/4

A list, web.csv:
  name,secret,ipv4-address
  web-0001,admin=file:secrets/web-0001,10.0.0.11/24
  web-0002,admin=file:secrets/web-0002,10.0.0.12/24

A file that is there is kept if it is what would be made, so a second run makes what is missing.";

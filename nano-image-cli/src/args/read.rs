//! Flags of the commands that read existing images.

use std::path::PathBuf;

use clap::Args;
use nano_image::inspect::Category;

/// What inspect describes in detail.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub struct InspectMore {
    /// List all files: attributes, links, sizes, times, paths
    #[arg(help_heading = "Instead", long)]
    pub files: bool,

    /// Tell what the registry lists: version, name, services and how they start, packages
    #[arg(help_heading = "Instead", long)]
    pub hives: bool,

    /// Print all boot entries with all their settings
    #[arg(help_heading = "Instead", long)]
    pub boot: bool,

    /// List the packages that servicing knows, with their states
    #[arg(help_heading = "Instead", long)]
    pub packages: bool,

    /// Tell what lies at this byte of the image file
    #[arg(help_heading = "Instead", long, value_name = "OFFSET", value_parser = offset)]
    pub map: Option<u64>,
}

/// Print a file of a disk image
#[derive(Args, Debug)]
#[command(after_long_help = CAT_EXAMPLES)]
pub struct Cat {
    /// Disk image to read, made by any program
    #[arg(value_name = "IMAGE")]
    pub image: PathBuf,

    /// File in the image, with \ or /; case does not matter; FILE:NAME is a named stream
    #[arg(value_name = "PATH")]
    pub path: String,

    /// Partition that has the file [default: the one of Windows]
    #[arg(short, long, value_name = "N", value_parser = super::number::<u32>("as `inspect` counts them"))]
    pub partition: Option<u32>,
}

/// Copy files of a disk image into a folder
#[derive(Args, Debug)]
#[command(after_long_help = EXTRACT_EXAMPLES)]
pub struct Extract {
    /// Disk image to read, made by any program
    #[arg(value_name = "IMAGE")]
    pub image: PathBuf,

    /// Files and folders in the image, with \ or /; case does not matter [default: everything]
    #[arg(value_name = "PATH")]
    pub paths: Vec<String>,

    /// Folder to copy them into, where they keep their paths; it is made if it does not exist
    #[arg(short = 'C', long, value_name = "DIR")]
    pub directory: PathBuf,

    /// Partition that has the files [default: the one of Windows]
    #[arg(short, long, value_name = "N", value_parser = super::number::<u32>("as `inspect` counts them"))]
    pub partition: Option<u32>,

    /// Copy named streams too, as files called NAME:STREAM
    #[arg(long)]
    pub streams: bool,

    /// Print no summary; what cannot be copied is still named
    #[arg(short, long)]
    pub quiet: bool,
}

/// Tell what differs between two disk images: partitions, files, registry, boot entries
#[derive(Args, Debug)]
#[command(after_long_help = DIFF_EXAMPLES)]
pub struct Diff {
    /// First disk image, made by any program
    #[arg(value_name = "A")]
    pub a: PathBuf,

    /// Second disk image
    #[arg(value_name = "B")]
    pub b: PathBuf,

    /// Kinds of differences that do not count
    ///
    /// container, partition, volume, file, content, stream, attributes, times, identifiers, security, links, reparse,
    /// registry, boot, storage
    #[arg(long, value_name = "KIND,...", value_delimiter = ',')]
    pub ignore: Vec<Category>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Print nothing, only set the exit status
    #[arg(short, long, conflicts_with = "json")]
    pub quiet: bool,
}

/// How sizes are shown.
#[derive(Args, Debug)]
pub struct ShowSize {
    /// Number of folders, components and files to print
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = super::number::<usize>("0 or more"))]
    pub top: usize,

    /// Also write a picture: an SVG in which each file's area is its size
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// An offset in a file: decimal, hexadecimal with `0x`, or with a unit.
fn offset(text: &str) -> Result<u64, String> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let parsed = match hex {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok().or_else(|| Some(text.parse::<nano_image::ByteSize>().ok()?.bytes())),
    };
    parsed.ok_or_else(|| "give a number of bytes: 1048576, 0x100000 or 1M".to_owned())
}

const CAT_EXAMPLES: &str = "\
Examples:
  nano-image cat nano.vhdx Windows/Panther/Unattend.xml
  nano-image cat nano.vhdx 'Windows\\System32\\config\\SYSTEM' > SYSTEM
  nano-image cat nano.vhdx -p 1 EFI/Microsoft/Boot/BCD > BCD
  nano-image cat nano.vhdx 'Users/Public/setup.exe:Zone.Identifier'

Compressed files (Compact OS) come decompressed.";

const EXTRACT_EXAMPLES: &str = "\
Examples:
  nano-image extract nano.vhdx -C all
  nano-image extract nano.vhdx Windows/System32/config Windows/inf -C out
  nano-image extract nano.vhdx -p 1 -C esp

Nothing that exists is replaced. Links and junctions are not copied but told, as are names that Windows reads otherwise:
with < > : \" / \\ | ? *, with a dot or space at the end, of devices (NUL, COM1), or the same but for case.

Exit status:
  0 all was copied   1 all but links   3 no such file   4 something could not be copied   6 input/output error";

const DIFF_EXAMPLES: &str = "\
Examples:
  nano-image diff old.vhdx new.vhdx
  nano-image diff old.vhdx new.vhd --ignore times,identifiers,container
  nano-image diff --json old.vhdx new.vhdx | jq -r '.differences[] | select(.category == \"registry\") | .key'

Hives and boot stores are compared by their keys and values, compressed files by what they hold. Where files lie on the
disk, and what follows from that, is not compared.

Exit status:
  0 no differences   1 differences   4 something could not be compared, and nothing else differs";

pub const SIZE_EXAMPLES: &str = "\
Examples:
  nano-image size nano.vhdx
  nano-image size nano.vhdx --svg nano.svg
  nano-image size --json nano.vhdx | jq '.components[:10]'
  nano-image size --media WS2016.iso --edition datacenter --package IIS --svg web.svg

With --media, --wim, --disk or --recipe and other flags of `build` it tells of the image that they would give, which is made
in the folder for scratch files (--scratch) and removed.

All kinds of bytes together are the size of the file. A file with hard links counts once: for its name outside of the
component store (WinSxS), and for the component that has it there.";

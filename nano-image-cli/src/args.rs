//! Flags and their help texts.

mod about;
mod clone;
mod help;
mod lint;
mod machine;
mod output;
mod packages;
mod parse;
pub mod read;
mod reports;
mod verify;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use nano_image::Preset;
use nano_image::{BcdDevice, ByteSize, Compact, Edition, Firmware, Host, Seed, SourceCheck, Subformat};

pub use lint::Lint;
pub use output::{OutputArgument, preset_names};
use parse::{number, parsed};
pub use verify::Verify;

/// Builds bootable Windows Nano Server disk images offline, from the install media
#[derive(Debug, Parser)]
#[command(name = "nano-image", version, long_version = LONG_VERSION.as_str())]
#[command(arg_required_else_help = true, after_long_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Build(Box<Build>),
    /// Tell what `build` would make with the same flags: partitions, files, packages, exact sizes; writes nothing
    #[command(long_about = None, after_long_help = PLAN_EXAMPLES)]
    Plan(Box<Build>),
    Clone(Box<Clones>),
    Packages(PackagesOf),
    Images(Images),
    Inspect(Inspect),
    Cat(read::Cat),
    Extract(read::Extract),
    Diff(read::Diff),
    Size(Box<Size>),
    RunHint(RunHint),
    Verify(Verify),
    Lint(Lint),
    Completions(about::Completions),
    Man(about::Man),
    Schema(about::Schema),
}

/// Build a disk image from install media or a WIM
#[derive(Args, Debug)]
#[command(after_long_help = BUILD_EXAMPLES)]
pub struct Build {
    /// Take flags from a TOML or JSON file whose keys are their names; flags on the command line win
    ///
    /// Paths in the file are relative to it. Flags that may be repeated are lists, switches are true or false. A file
    /// that --metadata-file wrote works too: its recipe is taken, with the paths that were given then.
    #[arg(help_heading = "Source", long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,

    /// Install media to read: an ISO image, or a folder with its files
    #[arg(help_heading = "Source", long, value_name = "PATH", conflicts_with = "wim")]
    pub media: Option<PathBuf>,

    /// WIM to read: .wim, .esd, or the first part of a split set (.swm); packages are in `Packages` beside it
    #[arg(help_heading = "Source", long, value_name = "FILE")]
    pub wim: Option<PathBuf>,

    /// Disk image with Windows to read (VHDX, VHD, qcow2, raw), made by any program: its files become the new image
    ///
    /// The old disk is not written to. Partitions, boot files and identifiers are made anew; --media then only provides
    /// packages to add.
    #[arg(help_heading = "Source", long, value_name = "IMAGE", conflicts_with_all = ["wim", "swm", "edition"])]
    pub disk: Option<PathBuf>,

    /// Another part of a split WIM, if it does not lie beside the first part
    #[arg(help_heading = "Source", long, value_name = "PART")]
    pub swm: Vec<PathBuf>,

    /// Edition of Windows Server, which chooses the image
    #[arg(
        help_heading = "Source",
        long,
        value_enum,
        ignore_case = true,
        value_name = "EDITION",
        conflicts_with = "image"
    )]
    pub edition: Option<Edition>,

    /// Image of the WIM, by index, name or edition; for a disk, its partition; may be left out if there is only one
    #[arg(help_heading = "Source", long, value_name = "INDEX|NAME")]
    pub image: Option<String>,

    /// File to write; `-` writes to standard output; may be repeated: all files are written in one pass over the
    /// sources
    ///
    /// A list of keys describes an output with its own settings: type=vhd,subformat=fixed,block-size=2M,path=FILE. The
    /// type oci makes an OCI image with a qcow2 image, for KubeVirt: as a folder, or as a file if its name ends in .tar
    #[arg(help_heading = "Output", short, long, value_name = "FILE", required = true, value_parser = OutputArgument::parse)]
    pub output: Vec<OutputArgument>,

    /// Format of the image file [default: from the extension of the output]
    #[arg(help_heading = "Output", long, value_parser = presets())]
    pub format: Option<Preset>,

    /// Kind of the image file [default: dynamic; azure: fixed; vmdk: monolithicSparse]
    #[arg(help_heading = "Output", long, value_enum, ignore_case = true)]
    pub subformat: Option<Subformat>,

    /// Bytes per block, e.g. 2M: each format has its own sizes [default: vhdx 1M, vhd 2M]
    #[arg(help_heading = "Output", long, value_name = "SIZE", value_parser = parsed::<ByteSize>)]
    pub block_size: Option<ByteSize>,

    /// Size of the virtual disk
    #[arg(help_heading = "Disk", long, default_value = "4G", value_parser = parsed::<ByteSize>)]
    pub size: ByteSize,

    /// Logical sector size of the disk: 512, or 4096 for VHDX and raw images that UEFI starts
    #[arg(help_heading = "Disk", long, value_name = "BYTES", default_value = "512", value_parser = parsed::<ByteSize>)]
    pub sector_size: ByteSize,

    /// Size of the EFI system partition [default: 100M; with sectors of 4096 bytes 260M]
    #[arg(help_heading = "Disk", long, value_name = "SIZE", value_parser = parsed::<ByteSize>)]
    pub esp_size: Option<ByteSize>,

    /// What the image will run on: chooses format, firmware and boot settings where flags do not, sets what that host
    /// needs, and checks that the image has drivers for its devices
    #[arg(help_heading = "Disk", long = "for", value_enum, value_name = "HOST")]
    pub host: Option<Host>,

    /// Make a partition for the recovery environment (WinRE), the last one; without it the environment stays in Windows
    #[arg(help_heading = "Disk", long, value_name = "SIZE", value_parser = parsed::<ByteSize>)]
    pub recovery_size: Option<ByteSize>,

    /// Firmware of the machine: uefi makes a GPT disk, bios an MBR disk [default: the host's; vhd and azure: bios, else uefi]
    #[arg(help_heading = "Disk", long, value_enum)]
    pub firmware: Option<Firmware>,

    /// Cluster size of the Windows volume [default: as Windows chooses for its size]
    #[arg(help_heading = "Disk", long, value_name = "SIZE", value_parser = parsed::<ByteSize>)]
    pub cluster_size: Option<ByteSize>,

    /// Keep files compressed on the Windows volume (Compact OS) [without a value: copy]
    ///
    /// The value says how to compress files that are not already compressed like this in the WIM.
    #[arg(long, value_enum, value_name = "FORM", num_args = 0..=1, require_equals = true)]
    #[arg(help_heading = "Disk", default_missing_value = "copy")]
    pub compact: Option<Compact>,

    /// Folder for scratch files, e.g. for compressing before the image is laid out [default: that of the first output]
    #[arg(help_heading = "Output", long, value_name = "FOLDER")]
    pub scratch: Option<PathBuf>,

    /// Which contents of the WIM are compared with their SHA-1 digests
    #[arg(help_heading = "Source", long, value_enum, value_name = "WHAT", default_value = "full")]
    pub source_check: SourceCheck,

    /// Label of the Windows volume
    #[arg(help_heading = "Disk", long, default_value = "Windows")]
    pub label: String,

    #[command(flatten)]
    pub packages: packages::Packages,

    #[command(flatten)]
    pub machine: machine::Machine,

    #[command(flatten)]
    pub network: machine::Network,

    #[command(flatten)]
    pub boot: machine::Boot,

    /// Build the image even if it cannot start: without boot files, hives or drivers that Windows starts with
    #[arg(help_heading = "Boot", long)]
    pub allow_unbootable: bool,

    /// How boot entries name the Windows partition: by its identity, or as the volume that has the loader [default:
    /// partition; with --for and BIOS: locate, but azure]
    #[arg(help_heading = "Boot", long, value_enum, value_name = "HOW")]
    pub bcd_device: Option<BcdDevice>,

    /// What identifiers are derived from: 64 hexadecimal digits, or `random` [default: recipe and WIM]
    #[arg(help_heading = "Output", long, value_name = "HEX|random", value_parser = seed)]
    pub seed: Option<SeedArgument>,

    /// The time of what the build makes, in seconds since 1970 [default: $SOURCE_DATE_EPOCH, else the image's creation]
    #[arg(help_heading = "Output", long, value_name = "SECONDS", value_parser = number::<u64>("seconds since 1970"))]
    pub timestamp: Option<u64>,

    /// Threads that decompress; the bytes do not depend on it [default: one per processor]
    #[arg(help_heading = "Output", short, long, value_name = "N", value_parser = number::<NonZeroUsize>("1 or more"))]
    pub jobs: Option<NonZeroUsize>,

    /// Replace an existing file
    #[arg(help_heading = "Output", long)]
    pub force: bool,

    /// Permissions of the files that are written, octal [default: the system's; if the image has secrets: 600]
    #[arg(help_heading = "Output", long, value_name = "MODE", value_parser = mode)]
    pub output_mode: Option<u32>,

    /// How to show progress, on standard error
    #[arg(help_heading = "Output", long, value_enum, value_name = "HOW", default_value = "auto")]
    pub progress: ProgressStyle,

    #[command(flatten)]
    pub reports: reports::Reports,

    /// Print the report as JSON to standard output; if the image goes there, as one line to standard error
    #[arg(help_heading = "Output", long)]
    pub json: bool,

    /// Print no progress and no summary, only warnings and errors
    #[arg(help_heading = "Output", short, long)]
    pub quiet: bool,
}

/// List the editions and packages of install media, or the features and packages of an image, or describe one
/// package or update
#[derive(Args, Debug)]
#[command(after_long_help = PACKAGES_EXAMPLES)]
pub struct PackagesOf {
    /// Install media: an ISO image, a folder with its files, or a WIM with `Packages` beside it; or an update
    /// (.msu, .cab)
    #[arg(value_name = "MEDIA", required_unless_present_any = ["wim", "disk"])]
    pub media: Option<PathBuf>,

    /// Package to describe; IIS is short for Microsoft-NanoServer-IIS-Package
    #[arg(value_name = "NAME")]
    pub name: Option<String>,

    /// List the features and packages of an image of this WIM; for an update, tell what of it applies to the image
    #[arg(long, value_name = "WIM", conflicts_with = "disk")]
    pub wim: Option<PathBuf>,

    /// The same for the Windows of this disk image
    #[arg(long, value_name = "FILE")]
    pub disk: Option<PathBuf>,

    /// Image of the media or WIM: its index or name; for a disk, the partition with Windows
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// List the images of a WIM
#[derive(Args, Debug)]
#[command(after_long_help = IMAGES_EXAMPLES)]
pub struct Images {
    /// WIM to read: .wim, .esd, or the first part of a split set (.swm)
    #[arg(value_name = "WIM")]
    pub wim: PathBuf,

    /// Another part of a split WIM, if it does not lie beside the first part
    #[arg(long, value_name = "PART")]
    pub swm: Vec<PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Tell what a disk image contains: its format, partitions, volumes, boot entries, Windows
#[derive(Args, Debug)]
#[command(after_long_help = INSPECT_EXAMPLES)]
pub struct Inspect {
    /// Disk image to read, made by any program
    #[arg(value_name = "IMAGE")]
    pub image: PathBuf,

    #[command(flatten)]
    pub more: read::InspectMore,

    /// Print the commands that start it, like run-hint
    #[arg(long)]
    pub launch: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Print commands that start a disk image: Hyper-V, QEMU, libvirt, Azure, Proxmox
#[derive(Args, Debug)]
#[command(after_long_help = RUN_HINT_EXAMPLES)]
pub struct RunHint {
    /// Disk image
    #[arg(value_name = "IMAGE")]
    pub image: PathBuf,

    /// Name of the machine [default: the name of the file]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Memory of the machine [default: what suits the Windows on the disk]
    #[arg(long, value_name = "SIZE", value_parser = parsed::<ByteSize>)]
    pub memory: Option<ByteSize>,

    /// Hyper-V's switch, libvirt's network or Proxmox' bridge to connect the machine to
    #[arg(long, value_name = "NAME")]
    pub switch: Option<String>,

    /// Print only this set of commands; may be given several times
    #[arg(long, value_name = "SET", value_enum)]
    pub set: Vec<CommandSet>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Tell what takes up the space of a disk image, or of one that `build` would make: folders, components, file system
///
/// With the flags of `build` it describes the image that they would make.
#[derive(Args, Debug)]
#[command(after_long_help = read::SIZE_EXAMPLES)]
#[command(override_usage = "nano-image size [OPTIONS] <IMAGE>\n       nano-image size [OPTIONS] <flags of `build`>")]
pub struct Size {
    /// Disk image to read, made by any program
    #[arg(value_name = "IMAGE", id = "image_file", required_unless_present_any = ["media", "wim", "disk", "recipe"])]
    pub image: Option<PathBuf>,

    #[command(flatten)]
    pub show: read::ShowSize,

    #[command(flatten)]
    pub build: Build,
}

/// Make many machines from one image: disks that hold only what differs from it
#[derive(Args, Debug)]
#[command(after_long_help = clone::EXAMPLES)]
#[command(override_usage = "nano-image clone [OPTIONS] <GOLDEN> --machines <FILE> -o <PATTERN>")]
pub struct Clones {
    /// Image that `build` made from the same recipe and sources; it must never be started or written to
    #[arg(value_name = "GOLDEN", id = "golden")]
    pub golden: PathBuf,

    /// List of machines: CSV, JSON lines, or TOML with a [[machine]] each
    ///
    /// A machine has a `name`, and any of the flags of `build` for one machine: addresses, `secret` (where the password
    /// is), answer file, copied files, time zone … They replace the recipe's. The name is also the computer's name,
    /// unless `computer-name` or a domain-join blob says otherwise. A column may occur twice.
    #[arg(help_heading = "Machines", long, value_name = "FILE", required = true)]
    pub machines: PathBuf,

    /// Write whole images, not differences
    #[arg(help_heading = "Machines", long)]
    pub full: bool,

    /// Make only every N-th machine, beginning with number I (from 0): to share the work among several runs
    #[arg(help_heading = "Machines", long, value_name = "I/N", value_parser = clone::shard)]
    pub shard: Option<(usize, usize)>,

    /// Compare every byte of the golden image with its recipe, not only identifiers and structures
    #[arg(help_heading = "Machines", long = "check", id = "check_golden")]
    pub check_golden: bool,

    #[command(flatten)]
    pub build: Build,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressStyle {
    /// A bar on a terminal, else plain
    Auto,
    /// A bar; plain if there is no terminal
    Bar,
    /// A line for each phase, and one from time to time
    Plain,
    /// A JSON object per line, for programs; warnings and errors too
    Json,
    /// Nothing
    None,
}

/// The program or host whose commands start an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CommandSet {
    /// PowerShell
    HyperV,
    /// A shell
    Qemu,
    /// virt-install
    Libvirt,
    /// az and azcopy
    Azure,
    /// qm
    Proxmox,
}

#[derive(Clone, Copy, Debug)]
pub enum SeedArgument {
    Random,
    Given(Seed),
}

/// The commands that take the flags of `build`.
pub const WITH_BUILD_FLAGS: [&str; 4] = ["build", "plan", "size", "clone"];

/// The command line. `plan` and `size` take the flags of `build` and need no output.
pub fn command() -> clap::Command {
    let lenient = |command: clap::Command| command.mut_arg("output", |output| output.required(false));
    // `build --check` compares images that it made; a clone has a golden image, too, and so its own flag.
    let other_check = |clone: clap::Command| clone.mut_arg("check", |check| check.long("check-image").hide(true));
    let command = Arguments::command().mut_subcommand("plan", lenient).mut_subcommand("size", lenient);
    let command = command.mut_subcommand("clone", other_check);
    // These values are names from a short list: their case means nothing.
    let names: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    let any_case = |inner: clap::Command| {
        inner.mut_args(|arg| match arg.get_action().takes_values() {
            true => arg.ignore_case(true),
            false => arg,
        })
    };
    let command =
        names.iter().fold(command, |command, name| command.mut_subcommand(name, |inner| tidy(any_case(inner))));
    let command = tidy(command);
    // Flags of `build` would mean nothing for an existing image.
    let build = command.find_subcommand("build").expect("a subcommand");
    let flags = build.get_arguments().map(|arg| arg.get_id().clone()).filter(|id| id != "force" && id != "json");
    let flags: Vec<clap::Id> = flags.collect();
    command.mut_subcommand("size", |size| size.mut_arg("image_file", |image| image.conflicts_with_all(flags)))
}

/// The text after the flags, as terminals can show it.
fn tidy(command: clap::Command) -> clap::Command {
    match command.get_after_long_help().map(|text| help::tidy(&text.to_string())) {
        Some(text) => command.after_long_help(text),
        None => command,
    }
}

impl Build {
    /// The path that is read: the disk, the media or the WIM.
    ///
    /// # Errors
    /// If none is given.
    pub fn source(&self) -> nano_image::Result<&PathBuf> {
        self.disk.as_ref().or(self.media.as_ref()).or(self.wim.as_ref()).ok_or_else(|| {
            nano_image::Error::recipe("no source is given").with_hint(
                "name install media with --media PATH, a WIM with --wim FILE, or a disk image with --disk IMAGE",
            )
        })
    }

    /// Whether errors are written for programs.
    pub fn json_errors(&self) -> bool {
        self.progress == ProgressStyle::Json
    }
}

/// The names of formats, and what each one is for.
fn presets() -> impl TypedValueParser<Value = Preset> {
    let names = Preset::all().map(|preset| PossibleValue::new(preset.name()).help(preset.about()));
    PossibleValuesParser::new(names)
        .map(|name| Preset::named(&name.to_ascii_lowercase()).expect("one of the possible values"))
}

/// Permission bits as chmod(1) takes them.
fn mode(text: &str) -> Result<u32, String> {
    if cfg!(windows) {
        return Err("Windows has no such permissions; those of the folder apply".into());
    }
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| format!("`{text}` is not a mode: three octal digits, e.g. 640"))
}

fn seed(text: &str) -> Result<SeedArgument, String> {
    match text {
        _ if text.eq_ignore_ascii_case("random") => Ok(SeedArgument::Random),
        _ => parsed(text).map(SeedArgument::Given),
    }
}

static LONG_VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{}\nlibwim {}", env!("CARGO_PKG_VERSION"), nano_image::libwim_version()));

const EXAMPLES: &str = "\
Examples:
  nano-image packages WS2016.iso
  nano-image build --media WS2016.iso --edition datacenter --deployment guest --package IIS -o web.vhdx
  nano-image images install.wim
  nano-image inspect nano.vhdx
  nano-image run-hint nano.vhdx
  nano-image verify nano.vhdx

Exit status:
  0 done   1 verify, diff or --check found something   2 wrong usage or recipe   3 not found   4 broken or unsupported input
  5 disk too small   6 input/output error   130 stopped   141 the reader of the image went away";

const BUILD_EXAMPLES: &str = "\
Examples:
  A web server for Hyper-V, from the media as Microsoft ships them:
    nano-image build --media WS2016.iso --edition datacenter --deployment guest --package IIS -o web.vhdx
  With the last update, and drivers of KVM:
    nano-image build --media WS2016.iso --edition standard --storage --driver virtio-win/ \
      --servicing-package windows10.0-kb4103723.msu --format raw -o kvm.raw
  Hyper-V generation 2, 8 GiB:
    nano-image build --wim NanoServer.wim --image 2 -o nano.vhdx --size 8G
  Hyper-V generation 1:
    nano-image build --wim NanoServer.wim --image 2 -o nano.vhd
  Azure:
    nano-image build --wim NanoServer.wim --image 2 -o nano.vhd --format azure
  A small disk, made fast, of files as the WIM has them compressed:
    nano-image build --wim NanoServer.wim --image 2 -o nano.vhdx --compact
  A machine with a name, an address and a password from the environment:
    nano-image build --wim NanoServer.wim --image 2 -o web-01.vhdx --computer-name web-01 \
      --secret admin=env:PASSWORD --interface Ethernet --ipv4-address 10.0.0.5/24 --ipv4-gateway 10.0.0.1
  Many machines of one kind, with what they share in a file:
    nano-image build --recipe nano.toml --computer-name web-02 -o web-02.vhdx
  Compressed on the way:
    nano-image build --wim NanoServer.wim --image 2 --format raw -o - | zstd > nano.raw.zst
  A second machine on the same host, from the same WIM:
    nano-image build --wim NanoServer.wim --image 2 -o web-02.vhdx --seed random
  What was built, from what, and whether it can be built again:
    nano-image build --recipe nano.toml -o nano.vhdx --metadata-file nano.json --sbom nano.cdx.json
    nano-image build --recipe nano.toml --check nano.vhdx

The same WIM and flags give the same bytes. Sizes take K, M, G, T (powers of 1024).";

const PLAN_EXAMPLES: &str = "\
Examples:
  nano-image plan --media WS2016.iso --edition datacenter --deployment guest --storage
  nano-image plan --recipe nano.toml --json | jq '.outputs[].\"file-size\"'";

const PACKAGES_EXAMPLES: &str = "\
Examples:
  nano-image packages WS2016.iso
  nano-image packages WS2016.iso IIS
  nano-image packages windows10.0-kb5012345-x64.msu
  nano-image packages windows10.0-kb5012345-x64.msu --wim NanoServer.wim --image 1
  nano-image packages --wim install.wim --image 2
  nano-image packages --json --disk core.vhdx | jq -r '.features[] | select(.state == \"disabled\") | .name'
  nano-image packages --json WS2016.iso | jq -r '.packages[].name'";

const IMAGES_EXAMPLES: &str = "\
Examples:
  nano-image images NanoServer.wim
  nano-image images --json install.esd | jq '.[].name'";

const RUN_HINT_EXAMPLES: &str = "\
Examples:
  nano-image run-hint nano.vhdx
  nano-image run-hint web-01.qcow2 --set libvirt --memory 2G --switch lab
  nano-image run-hint --json nano.raw | jq -r .qemu | sh";

const INSPECT_EXAMPLES: &str = "\
Examples:
  nano-image inspect nano.vhdx
  nano-image inspect --json nano.vhdx | jq '.boot.stores[].entries'
  nano-image inspect --files nano.vhdx | grep -i winload
  nano-image inspect --hives --json nano.vhdx | jq '.[].services[] | select(.start == \"automatic\") | .name'
  nano-image inspect --boot nano.vhdx
  nano-image inspect --map 0x1400000 nano.vhdx

--files prints attributes, links, size, bytes of clusters, last change, path, and where it applies [compression],
-> target of a link, [:named streams].";

//! `nano-image build`.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nano_image::source::wim::Wim;
use nano_image::{BcdDevice, ByteSize, Error, ErrorKind, Firmware, Format, Recipe, Report, Result};
use nano_image::{Seed, SeedChoice, Sources, Subformat};

use crate::args::{BcdDeviceName, Build, FirmwareName, FormatName, ProgressStyle, SeedArgument, SubformatName};
use crate::progress::{Progress, stop_on_signals};
use crate::{images, report};

/// Builds an image and reports on it.
pub fn run(arguments: &Build) -> Result<()> {
    let started = Instant::now();
    // What can be refused without reading anything is refused first.
    let name = format_name(arguments)?;
    let format = format(name, arguments)?;
    check_output(arguments)?;
    let timestamp = timestamp(arguments)?;
    let seed = seed(arguments)?;

    stop_on_signals()?;
    let image = match &arguments.image {
        Some(image) => image.clone(),
        None => images::only(&Wim::open(&arguments.wim, &arguments.swm)?)
            .map_err(|error| error.with_path(&arguments.wim))?
            .to_string(),
    };
    let mut recipe = Recipe::image(image)
        .disk_size(arguments.size)
        .esp_size(arguments.esp_size)
        .firmware(firmware(name, arguments))
        .label(&arguments.label)
        .bcd_device(match arguments.bcd_device {
            BcdDeviceName::Partition => BcdDevice::Partition,
            BcdDeviceName::Locate => BcdDevice::Locate,
        })
        .seed(seed);
    if let Some(size) = arguments.cluster_size {
        recipe = recipe.cluster_size(size);
    }
    if let Some(seconds) = timestamp {
        recipe = recipe.timestamp(seconds);
    }
    let recipe = recipe.build()?;
    let sources = arguments.swm.iter().fold(Sources::wim(&arguments.wim), Sources::part);

    let progress = Progress::new(if arguments.quiet && arguments.progress != ProgressStyle::Json {
        ProgressStyle::None
    } else {
        arguments.progress
    });
    let plan = recipe.plan(&sources, &progress)?;
    let mut layout = plan.layout(format, &progress)?;
    if let Some(jobs) = arguments.jobs {
        layout = layout.jobs(jobs.get());
    }
    let made = if arguments.to_stdout() {
        layout.write_to(&mut io::stdout().lock(), &progress)?
    } else {
        layout.write_file(&arguments.output, &progress)?
    };
    drop(progress);

    if !arguments.quiet && arguments.progress != ProgressStyle::Json {
        report::message(&summary(arguments, &made, started.elapsed()));
    }
    if arguments.json {
        let json = serde_json::to_string_pretty(&made).expect("a report is JSON") + "\n";
        if !arguments.to_stdout() {
            return report::output(&json);
        }
        report::message(&json);
    }
    Ok(())
}

/// The format that is asked for, or else that of the output's extension.
fn format_name(arguments: &Build) -> Result<FormatName> {
    if let Some(name) = arguments.format {
        return Ok(name);
    }
    let hint = "say which with --format vhdx, vhd, raw or azure";
    if arguments.to_stdout() {
        return Err(Error::recipe("standard output has no extension to tell the format").with_hint(hint));
    }
    let extension = arguments.output.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    match extension.as_deref() {
        Some("vhdx") => Ok(FormatName::Vhdx),
        Some("vhd") => Ok(FormatName::Vhd),
        Some("raw" | "img") => Ok(FormatName::Raw),
        _ => Err(Error::recipe("the extension does not tell the format").with_path(&arguments.output).with_hint(hint)),
    }
}

fn format(name: FormatName, arguments: &Build) -> Result<Format> {
    let given = arguments.subformat.map(|subformat| match subformat {
        SubformatName::Dynamic => Subformat::Dynamic,
        SubformatName::Fixed => Subformat::Fixed,
    });
    let subformat = given.unwrap_or(Subformat::Dynamic);
    let size = |default: ByteSize| arguments.block_size.unwrap_or(default);
    match name {
        FormatName::Vhdx => Ok(Format::Vhdx { subformat, block_size: size(ByteSize::mib(1)) }),
        FormatName::Vhd if given == Some(Subformat::Fixed) && arguments.block_size.is_some() => {
            Err(Error::recipe("a fixed VHD has no blocks: --block-size does not apply"))
        }
        FormatName::Vhd => Ok(Format::Vhd { subformat, block_size: size(ByteSize::mib(2)) }),
        FormatName::Raw | FormatName::Azure if arguments.block_size.is_some() => {
            Err(Error::recipe("--block-size applies to VHDX and dynamic VHD only"))
        }
        FormatName::Raw if given.is_some() => Err(Error::recipe("--subformat applies to VHDX and VHD only")),
        FormatName::Raw => Ok(Format::Raw),
        FormatName::Azure if given == Some(Subformat::Dynamic) => {
            Err(Error::recipe("Azure takes fixed VHDs only").with_hint("leave out --subformat"))
        }
        FormatName::Azure => Ok(Format::AZURE),
    }
}

fn firmware(name: FormatName, arguments: &Build) -> Firmware {
    match (arguments.firmware, name) {
        (Some(FirmwareName::Uefi), _) => Firmware::Uefi,
        (Some(FirmwareName::Bios), _) => Firmware::Bios,
        (None, FormatName::Vhd | FormatName::Azure) => Firmware::Bios,
        (None, FormatName::Vhdx | FormatName::Raw) => Firmware::Uefi,
    }
}

/// That the output can be written and destroys nothing.
fn check_output(arguments: &Build) -> Result<()> {
    if arguments.to_stdout() {
        if io::stdout().is_terminal() {
            return Err(Error::recipe("standard output is a terminal: a disk image is nothing to read there")
                .with_hint("send it to a file or a program: nano-image … -o - | zstd > nano.raw.zst"));
        }
        return Ok(());
    }
    let output = &arguments.output;
    if let Some(source) = [&arguments.wim].into_iter().chain(&arguments.swm).find(|source| same_file(source, output)) {
        return Err(Error::recipe("the output is the WIM that is read").with_path(source));
    }
    let Ok(metadata) = fs::symlink_metadata(output) else {
        let parent: PathBuf = match output.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
            _ => ".".into(),
        };
        return match fs::metadata(&parent) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => Err(Error::new(ErrorKind::NotFound, "not a directory").with_path(parent)),
            Err(error) => Err(Error::io("open the directory of the output", parent, error)),
        };
    };
    if metadata.is_dir() {
        return Err(Error::recipe("the output is a directory").with_path(output));
    }
    if !arguments.force {
        let error = Error::recipe("the output exists already").with_path(output);
        return Err(error.with_hint("use --force to replace it"));
    }
    if !metadata.is_file() && !metadata.is_symlink() {
        // The finished file is renamed into place: that would replace a device or pipe, not write to it.
        let error = Error::recipe("the output is not a regular file").with_path(output);
        return Err(error.with_hint("write to standard output with -o -, and send that where it shall go"));
    }
    Ok(())
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

/// The flag, or else SOURCE_DATE_EPOCH (<https://reproducible-builds.org/specs/source-date-epoch/>).
fn timestamp(arguments: &Build) -> Result<Option<u64>> {
    let variable = std::env::var_os("SOURCE_DATE_EPOCH").filter(|value| !value.is_empty());
    match (arguments.timestamp, variable) {
        (Some(seconds), _) => Ok(Some(seconds)),
        (None, Some(value)) => {
            let seconds = value.to_str().and_then(|value| value.parse().ok());
            let message = || format!("SOURCE_DATE_EPOCH is `{}`, not seconds since 1970", value.display());
            seconds.map(Some).ok_or_else(|| Error::recipe(message()).with_hint("unset it, or use --timestamp"))
        }
        (None, None) => Ok(None),
    }
}

fn seed(arguments: &Build) -> Result<SeedChoice> {
    match arguments.seed {
        None => Ok(SeedChoice::Derived),
        Some(SeedArgument::Given(seed)) => Ok(SeedChoice::Given(seed)),
        Some(SeedArgument::Random) => {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes)
                .map_err(|error| Error::new(ErrorKind::Io, "the system gives no random bytes").with_source(error))?;
            Ok(SeedChoice::Given(Seed::from_bytes(bytes)))
        }
    }
}

fn summary(arguments: &Build, made: &Report, duration: Duration) -> String {
    let file = if arguments.to_stdout() { "standard output".into() } else { arguments.output.display().to_string() };
    let size = ByteSize::new;
    format!(
        "{}: {} for a disk of {}, Windows volume {} of {} used\nimage {}: {}\nseed {}\n{:.1} s\n",
        report::printable(&file),
        size(made.file_size),
        size(made.disk_size),
        size(made.volume_used),
        size(made.volume_size),
        made.image_index,
        report::printable(&made.image_name),
        made.seed,
        duration.as_secs_f64(),
    )
}

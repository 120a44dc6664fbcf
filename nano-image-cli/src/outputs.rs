//! Where an image goes: `-o FILE`, or `-o type=vhd,subformat=fixed,path=FILE`.

mod files;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use nano_image::{Error, Firmware, Format, Host, Preset, Result, UsualFirmware, not_written, oci_files};

use crate::args::{Build, OutputArgument, preset_names};
pub use files::{Folder, OutputOptions, Outputs, is_stdout, is_stream};

impl OutputArgument {
    /// The file at `path`, in `format` unless flags say otherwise.
    pub fn of(path: &Path, format: Format, arguments: &Build) -> Self {
        let preset = Preset::from(format);
        if arguments.format.is_some_and(|given| given != preset) {
            return Self { path: path.into(), format: None, subformat: None, block_size: None, is_oci: false };
        }
        let subformat = format.subformat();
        Self {
            path: path.into(),
            format: Some(preset),
            subformat: subformat.filter(|_| arguments.subformat.is_none()),
            block_size: format.block_size().filter(|_| arguments.block_size.is_none()),
            is_oci: false,
        }
    }
}

/// A checked output.
pub struct Output {
    /// `-` means standard output.
    pub path: PathBuf,
    pub format: Format,
    /// Whether this path gets an OCI image with the disk image in it.
    pub is_oci: bool,
}

impl Output {
    /// The files that it consists of.
    pub fn files(&self) -> Vec<PathBuf> {
        if self.is_oci { oci_files(&self.path) } else { vec![self.path.clone()] }
    }

    /// What messages call it.
    pub fn label(&self) -> String {
        if is_stdout(&self.path) { "standard output".into() } else { self.path.display().to_string() }
    }

    /// What `list` means; existing files are not looked at.
    pub fn described(list: &[OutputArgument], arguments: &Build) -> Result<Vec<Self>> {
        let describe = |argument: &OutputArgument| {
            let format = format(argument, arguments)?;
            format.check(arguments.size, arguments.sector_size)?;
            if argument.is_oci && is_stream(&argument.path) {
                return Err(Error::recipe("an OCI image cannot be written to a stream")
                    .with_hint("give a folder, or a file whose name ends in .tar: -o type=oci,path=web.tar"));
            }
            Ok(Self { path: argument.path.clone(), format, is_oci: argument.is_oci })
        };
        list.iter().map(describe).collect()
    }

    /// Warnings about formats that the host does not take.
    pub fn doubts(outputs: &[Self], host: Option<Host>) -> Vec<String> {
        let Some(host) = host else { return Vec::new() };
        let known = host.formats().iter().filter_map(|name| Preset::named(name)?.format(None, None).ok());
        let known: Vec<Format> = known.collect();
        let is_taken = |format: Format| match host {
            Host::Azure => known.contains(&format),
            _ => known.iter().any(|known| known.name() == format.name()),
        };
        let other = outputs.iter().filter(|output| !is_taken(output.format));
        let taken = if host == Host::Azure { "VHD of fixed size".into() } else { host.formats().join(", ") };
        let doubt =
            |output: &Self| format!("{}: {} does not take such images, only {taken}", output.label(), host.name());
        other.map(doubt).collect()
    }

    /// The firmware that flags ask for or that suits the first output, and warnings about the others; `None` if the
    /// host decides.
    pub fn firmware(outputs: &[Self], arguments: &Build) -> (Option<Firmware>, Option<String>) {
        if arguments.firmware.is_some() || arguments.host.is_some_and(Host::has_usual_firmware) {
            return (arguments.firmware, None);
        }
        let usual = |output: &Self| match output.format.usual_firmware() {
            UsualFirmware::Bios => Firmware::Bios,
            _ => Firmware::Uefi,
        };
        let firmware = outputs.first().map_or(Firmware::Uefi, usual);
        let other = outputs
            .iter()
            .find(|output| output.format.usual_firmware() != UsualFirmware::Any && usual(output) != firmware);
        let name = |firmware| if firmware == Firmware::Uefi { "UEFI" } else { "BIOS" };
        let warning = other.map(|output| {
            format!("{} is made for {} like the first output; --firmware chooses", output.label(), name(firmware))
        });
        (Some(firmware), warning)
    }
}

/// The format that flags ask for, or else the one of the extension.
fn format(output: &OutputArgument, arguments: &Build) -> Result<Format> {
    let preset = match output.format.or(arguments.format) {
        // KubeVirt takes raw images too, but their holes save no space there.
        _ if output.is_oci => Preset::named("qcow2").expect("a format"),
        Some(preset) => preset,
        None => of_host(output, arguments.host).map_or_else(|| of_path(output), Ok)?,
    };
    preset.format(output.subformat.or(arguments.subformat), output.block_size.or(arguments.block_size))
}

/// The host's format, if the extension does not tell one; Azure takes only a special kind of VHD files.
fn of_host(output: &OutputArgument, host: Option<Host>) -> Option<Preset> {
    let usual = host?.formats().iter().find_map(|name| Preset::named(name))?;
    let extension = output.path.extension().and_then(OsStr::to_str).unwrap_or_default();
    let told = Preset::of_extension(extension).filter(|_| !is_stdout(&output.path));
    let is_azure = host == Some(Host::Azure) && told.is_some_and(|told| told.name() == "vhd");
    (told.is_none() && not_written(extension).is_none() || is_azure).then_some(usual)
}

fn of_path(output: &OutputArgument) -> Result<Preset> {
    let hint = format!("say which with --format {}", preset_names().join(", "));
    if is_stdout(&output.path) {
        return Err(Error::recipe("standard output has no extension to tell the format").with_hint(hint));
    }
    let extension = output.path.extension().and_then(OsStr::to_str).unwrap_or_default();
    Preset::of_extension(extension).ok_or_else(|| {
        let error = not_written(extension);
        let error = error.unwrap_or_else(|| Error::recipe("the extension does not tell the format").with_hint(hint));
        error.with_path(&output.path)
    })
}

//! Where an image goes: `-o FILE`, or `-o type=vhd,subformat=fixed,path=FILE`.

mod files;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use nano_image::{
    ByteSize, Error, Firmware, Format, Host, Preset, Result, Subformat, UsualFirmware, nearest, not_written,
};

use crate::args::Build;
pub use files::{OutputOptions, Outputs, is_stdout, is_stream};

/// A value of `-o`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputArgument {
    path: PathBuf,
    format: Option<Preset>,
    subformat: Option<Subformat>,
    block_size: Option<ByteSize>,
}

impl std::fmt::Display for OutputArgument {
    /// The path.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.path.display().fmt(f)
    }
}

const KEYS: [&str; 4] = ["path", "type", "subformat", "block-size"];

impl OutputArgument {
    /// Reads the argument. It is a list of keys if its first key is one of them; otherwise it is a path.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut output = Self { path: PathBuf::new(), format: None, subformat: None, block_size: None };
        if !is_list(text) {
            if let Some((first, _)) = text.split_once('=')
                && KEYS.iter().any(|key| text.contains(&format!(",{key}=")))
            {
                return Err(unknown("key", first, &KEYS));
            }
            return Ok(Self { path: text.into(), ..output });
        }
        for pair in text.split(',') {
            let (key, value) = pair.split_once('=').ok_or_else(|| format!("`{pair}` is not KEY=VALUE"))?;
            match key {
                "path" => output.path = value.into(),
                "type" => output.format = Some(preset(value)?),
                "subformat" => output.subformat = Some(one_of(value)?),
                "block-size" => output.block_size = Some(value.parse().map_err(|error: Error| error.to_string())?),
                _ => return Err(unknown("key", key, &KEYS)),
            }
        }
        if output.path.as_os_str().is_empty() { Err("`path=FILE` is missing".into()) } else { Ok(output) }
    }

    /// The file at `path`, in `format` as far as flags do not say otherwise.
    pub fn of(path: &Path, format: Format, arguments: &Build) -> Self {
        let preset = Preset::from(format);
        if arguments.format.is_some_and(|given| given != preset) {
            return Self { path: path.into(), format: None, subformat: None, block_size: None };
        }
        let subformat = format.subformat();
        Self {
            path: path.into(),
            format: Some(preset),
            subformat: subformat.filter(|_| arguments.subformat.is_none()),
            block_size: format.block_size().filter(|_| arguments.block_size.is_none()),
        }
    }

    /// The argument with its path as seen from `folder`.
    pub fn relative_to(folder: &Path, text: &str) -> OsString {
        let join =
            |path: &str| if is_stream(Path::new(path)) { path.into() } else { folder.join(path).into_os_string() };
        if !is_list(text) {
            return join(text);
        }
        let pairs = text.split(',').map(|pair| match pair.strip_prefix("path=") {
            Some(path) => [OsStr::new("path="), &join(path)].into_iter().collect(),
            None => OsString::from(pair),
        });
        pairs.collect::<Vec<OsString>>().join(OsStr::new(","))
    }
}

fn preset(text: &str) -> std::result::Result<Preset, String> {
    Preset::named(&text.to_ascii_lowercase()).ok_or_else(|| unknown("value", text, &preset_names()))
}

fn preset_names() -> Vec<&'static str> {
    Preset::all().map(Preset::name).collect()
}

fn one_of<T: ValueEnum>(text: &str) -> std::result::Result<T, String> {
    T::from_str(text, true).map_err(|_| {
        let names =
            T::value_variants().iter().filter_map(|value| Some(value.to_possible_value()?.get_name().to_owned()));
        let names: Vec<String> = names.collect();
        unknown("value", text, &names.iter().map(String::as_str).collect::<Vec<_>>())
    })
}

fn unknown(what: &str, wrong: &str, names: &[&str]) -> String {
    let hint = nearest(wrong, names.iter().copied()).map(|name| format!("; did you mean `{name}`?"));
    format!("there is no {what} `{wrong}`, only {}{}", names.join(", "), hint.unwrap_or_default())
}

fn is_list(text: &str) -> bool {
    KEYS.iter().any(|key| text.strip_prefix(key).is_some_and(|rest| rest.starts_with('=')))
}

/// A checked output.
pub struct Output {
    /// `-` is standard output.
    pub path: PathBuf,
    pub format: Format,
}

impl Output {
    /// What a person calls it.
    pub fn label(&self) -> String {
        if is_stdout(&self.path) { "standard output".into() } else { self.path.display().to_string() }
    }

    /// What `list` means, without a look at what is there.
    pub fn described(list: &[OutputArgument], arguments: &Build) -> Result<Vec<Self>> {
        let describe = |argument: &OutputArgument| {
            let format = format(argument, arguments)?;
            format.check(arguments.size)?;
            Ok(Self { path: argument.path.clone(), format })
        };
        list.iter().map(describe).collect()
    }

    /// What to say of formats that the host does not take.
    pub fn doubts(outputs: &[Self], host: Option<Host>) -> Vec<String> {
        let Some(host) = host else { return Vec::new() };
        let other = outputs.iter().filter(|output| !host.formats().contains(&Preset::from(output.format).name()));
        let doubt = |output: &Self| {
            format!("{}: {} takes no such images, but {}", output.label(), host.name(), host.formats().join(", "))
        };
        other.map(doubt).collect()
    }

    /// The firmware that is asked for or suits the first output, and what to say of the others; none if the host has one.
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

/// The format that is asked for, or else that of the extension.
fn format(output: &OutputArgument, arguments: &Build) -> Result<Format> {
    let preset = match output.format.or(arguments.format) {
        Some(preset) => preset,
        None => of_host(output, arguments.host).map_or_else(|| of_path(output), Ok)?,
    };
    preset.format(output.subformat.or(arguments.subformat), output.block_size.or(arguments.block_size))
}

/// The host's format, where the extension does not tell one; Azure takes VHD files of a kind of its own.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_path_unless_it_begins_with_a_key() {
        for path in ["a.vhdx", "-", "dir,with=signs/a.vhdx", "type"] {
            assert_eq!(OutputArgument::parse(path).unwrap().path, Path::new(path));
        }
        let output = OutputArgument::parse("type=vhd,subformat=fixed,path=b.vhd").unwrap();
        assert_eq!((output.format, output.subformat), (Preset::named("vhd"), Some(Subformat::Fixed)));
        let relative = |text| OutputArgument::relative_to(Path::new("folder"), text);
        assert_eq!(relative("a.vhdx"), "folder/a.vhdx");
        assert_eq!(relative("-"), "-");
        assert_eq!(relative("type=vhd,path=b.vhd"), "type=vhd,path=folder/b.vhd");
        for bad in
            ["type=vhd", "type=vhdz,path=a", "tpye=vhd,path=a", "path=a,size=3", "path=a,fixed", "block-size=x,path=a"]
        {
            assert!(OutputArgument::parse(bad).is_err(), "{bad}");
        }
        for (bad, name) in
            [("type=vhdz,path=a", "vhd"), ("tpye=vhd,path=a", "type"), ("path=a,subfromat=x", "subformat")]
        {
            let error = OutputArgument::parse(bad).unwrap_err();
            assert!(error.ends_with(&format!("did you mean `{name}`?")), "{error}");
        }
    }
}

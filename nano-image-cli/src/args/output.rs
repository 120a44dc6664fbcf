//! Values of `-o`: a file, or `type=vhd,subformat=fixed,path=FILE`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use nano_image::{ByteSize, Error, Preset, Subformat, nearest};

use crate::outputs::is_stream;

/// A value of `-o`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputArgument {
    pub path: PathBuf,
    pub format: Option<Preset>,
    pub subformat: Option<Subformat>,
    pub block_size: Option<ByteSize>,
    /// Whether the image goes into an OCI image.
    pub is_oci: bool,
}

impl std::fmt::Display for OutputArgument {
    /// The path.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.path.display().fmt(f)
    }
}

/// The type of a disk image in an OCI image.
const OCI: &str = "oci";
const KEYS: [&str; 4] = ["path", "type", "subformat", "block-size"];

impl OutputArgument {
    /// Reads the argument. It is a list of keys if it begins with a known key; otherwise it is a path.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut output = Self { path: PathBuf::new(), format: None, subformat: None, block_size: None, is_oci: false };
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
                "type" if value.eq_ignore_ascii_case(OCI) => output.is_oci = true,
                "type" => output.format = Some(preset(value)?),
                "subformat" => output.subformat = Some(one_of(value)?),
                "block-size" => output.block_size = Some(value.parse().map_err(|error: Error| error.to_string())?),
                _ => return Err(unknown("key", key, &KEYS)),
            }
        }
        if output.path.as_os_str().is_empty() { Err("`path=FILE` is missing".into()) } else { Ok(output) }
    }

    /// The argument, with a path that is relative to `folder`.
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
    Preset::named(&text.to_ascii_lowercase())
        .ok_or_else(|| unknown("value", text, &[&preset_names()[..], &[OCI]].concat()))
}

pub fn preset_names() -> Vec<&'static str> {
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

#[cfg(test)]
mod tests {
    use std::path::MAIN_SEPARATOR;

    use super::*;

    #[test]
    fn a_path_is_a_path_unless_it_begins_with_a_key() {
        for path in ["a.vhdx", "-", "dir,with=signs/a.vhdx", "type"] {
            assert_eq!(OutputArgument::parse(path).unwrap().path, Path::new(path));
        }
        let output = OutputArgument::parse("type=vhd,subformat=fixed,path=b.vhd").unwrap();
        assert_eq!((output.format, output.subformat), (Preset::named("vhd"), Some(Subformat::Fixed)));
        let relative = |text| OutputArgument::relative_to(Path::new("folder"), text);
        assert_eq!(relative("a.vhdx"), Path::new("folder").join("a.vhdx"));
        assert_eq!(relative("-"), "-");
        assert_eq!(relative("type=vhd,path=b.vhd"), format!("type=vhd,path=folder{MAIN_SEPARATOR}b.vhd").as_str());
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

//! `--recipe FILE`: flags of `build` in a TOML or JSON file.
//!
//! A key is the long name of a flag, so the file is turned into flags: names, forms and limits are the same for both.
//! In the other direction, [`value`] returns everything that decides the bytes of a build.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use nano_image::{Error, Recipe, Result, Subformat};
use nano_image::{FileCopy, Preset, SourceCheck, nearest};
use serde_json::{Map, Value, json};
use toml::de::DeValue;

use crate::args::{Build, OutputArgument, WITH_BUILD_FLAGS, command};
use crate::{text_file, usage};

/// Keys that name files or the form of outputs, or that do not change any byte: inputs and outputs are recorded with
/// their digests.
pub const FILES_AND_FORMS: [&str; 18] = [
    "wim",
    "disk",
    "media",
    "swm",
    "servicing-package",
    "driver",
    "unattend",
    "domain-blob",
    "copy",
    "reg",
    "ssh-key",
    "cloud-init",
    "secret",
    "format",
    "subformat",
    "block-size",
    "source-check",
    "allow-unbootable",
];
/// Flags that cannot be keys.
pub const NO_KEYS: [&str; 4] = ["recipe", "check", "help", "version"];

/// The command line, without requiring flags of `build` that a recipe file may have.
pub fn lenient_command() -> Command {
    let lenient = |build: Command| build.mut_args(|arg| arg.required(false));
    WITH_BUILD_FLAGS.into_iter().fold(command(), |command, name| command.mut_subcommand(name, lenient))
}

/// The flags that the recipe file named in `given` adds, except those that are given already or that exclude given
/// ones.
pub fn flags(given: &ArgMatches) -> Result<Vec<OsString>> {
    let Some(path) = given.get_one::<PathBuf>("recipe") else { return Ok(Vec::new()) };
    let text = text_file::read(path, "recipe")?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let is_given = |id: &str| given.value_source(id) == Some(ValueSource::CommandLine);
    let command = lenient_command();
    let build = command.find_subcommand("build").expect("a subcommand");
    read(&text, folder, &|id| is_given(id) || rivals(build, id).any(is_given)).map_err(|error| error.with_path(path))
}

/// Flags that cannot be used together with the flag `id`, whichever of the two says so.
fn rivals<'a>(build: &'a Command, id: &'a str) -> impl Iterator<Item = &'a str> {
    let excludes = |one: &Arg, other: &str| build.get_arg_conflicts_with(one).iter().any(|arg| arg.get_id() == other);
    let own = build.get_arguments().find(|arg| arg.get_id() == id);
    build
        .get_arguments()
        .filter(move |arg| excludes(arg, id) || own.is_some_and(|own| excludes(own, arg.get_id().as_str())))
        .map(|arg| arg.get_id().as_str())
}

/// What `recipe` and the flags for its sources and outputs say: as a recipe file, in JSON, that gives the same bytes.
pub fn value(arguments: &Build, recipe: &Recipe) -> Result<Value> {
    let not_text = |error| Error::unsupported(format!("the recipe cannot be written as JSON: {error}"));
    let mut value = serde_json::to_value(recipe).map_err(not_text)?;
    let object = value.as_object_mut().expect("a recipe is an object");
    let packages = &arguments.packages;
    let texts = |paths: &[PathBuf]| paths.iter().map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>();
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    for (key, value) in [
        ("media", json!(arguments.media.as_ref().map(text))),
        ("wim", json!(arguments.wim.as_ref().map(text))),
        ("disk", json!(arguments.disk.as_ref().map(text))),
        ("swm", json!(texts(&arguments.swm))),
        ("servicing-package", json!(texts(&packages.servicing_package))),
        ("driver", json!(texts(&packages.driver))),
        // Where it comes from, not what it is: any other text has been refused.
        ("secret", json!(arguments.machine.secret)),
        ("format", json!(arguments.format.map(Preset::name))),
        ("subformat", json!(arguments.subformat.map(Subformat::name))),
        ("block-size", json!(arguments.block_size)),
        // This decides no byte, but whether there is an image at all.
        ("allow-unbootable", json!(arguments.allow_unbootable.then_some(true))),
        ("source-check", json!(Some(arguments.source_check).filter(|check| *check != SourceCheck::default()))),
    ] {
        if !value.is_null() && value != json!([]) {
            object.insert(key.into(), value);
        }
    }
    Ok(value)
}

/// The flags in `text`, without those whose identifier `is_given`.
fn read(text: &str, folder: &Path, is_given: &dyn Fn(&str) -> bool) -> Result<Vec<OsString>> {
    let (entries, folder) = match text.trim_start().starts_with('{') {
        true => json_entries(text, folder)?,
        false => (toml_entries(text)?, folder),
    };
    let command = lenient_command();
    let build = command.find_subcommand("build").expect("a subcommand");
    let keys: Vec<(&str, &Arg)> = build
        .get_arguments()
        .filter_map(|arg| Some((arg.get_long()?, arg)))
        .filter(|(name, _)| !NO_KEYS.contains(name))
        .collect();
    let mut all = Vec::new();
    for RecipeEntry { key: name, value, place } in &entries {
        let wrong = |message: &str| Error::recipe(format!("{place}{message}"));
        let Some((_, arg)) = keys.iter().find(|(known, _)| known == name) else {
            let error = wrong(&format!("there is no key `{name}`"));
            return Err(error.with_hint(match nearest(name, keys.iter().map(|(known, _)| *known)) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "the keys are the flags that `nano-image build --help` lists".into(),
            }));
        };
        let flags = values(arg, value, folder).map_err(|message| wrong(&format!("`{name}` {message}")))?;
        let alone = ["nano-image", "build"].map(OsString::from).into_iter().chain(flags.iter().cloned());
        if let Err(error) = lenient_command().try_get_matches_from(alone) {
            return Err(wrong(&format!("`{name}`: {}", usage::message(&error))));
        }
        if !is_given(arg.get_id().as_str()) {
            all.extend(flags);
        }
    }
    Ok(all)
}

/// A key of a recipe file.
struct RecipeEntry {
    key: String,
    value: Value,
    /// Where it is in the file, for messages; empty if unknown.
    place: String,
}

/// The keys of a TOML file, in their order.
fn toml_entries(text: &str) -> Result<Vec<RecipeEntry>> {
    let table = text_file::toml(text)?;
    let lines = text_file::Lines::of(text);
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        let place = format!("line {}: ", lines.number(value.span().start));
        RecipeEntry { key: key.to_string(), value: json_of(value.get_ref()), place }
    };
    Ok(entries.into_iter().map(entry).collect())
}

/// The keys of a JSON file, and the folder that its paths are relative to: for a file that --metadata-file wrote, the
/// keys of the recipe in it, and the folder in which the build ran.
fn json_entries<'a>(text: &str, folder: &'a Path) -> Result<(Vec<RecipeEntry>, &'a Path)> {
    let mut value: Value = serde_json::from_str(text).map_err(|error| text_file::json_mistake(&error, 1))?;
    let folder = match value["build"]["recipe"].is_object() {
        true => {
            value = value["build"]["recipe"].take();
            Path::new("")
        }
        false => folder,
    };
    let Value::Object(object) = value else { return Err(Error::recipe("this is JSON, but not a recipe")) };
    let entries = object.into_iter().filter(|(_, value)| !value.is_null());
    Ok((entries.map(|(key, value)| RecipeEntry { place: String::new(), key, value }).collect(), folder))
}

/// The same value in JSON. Values that JSON does not have become some that no flag accepts.
pub fn json_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => text.to_string().into(),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.into(),
            // As text it is refused with its digits, unless the flag takes text.
            Err(_) => number.to_string().into(),
        },
        DeValue::Float(number) => number.as_str().parse::<f64>().unwrap_or(f64::NAN).into(),
        DeValue::Boolean(is_on) => (*is_on).into(),
        DeValue::Array(array) => array.iter().map(|value| json_of(value.get_ref())).collect(),
        DeValue::Table(_) => Value::Object(Map::new()),
        DeValue::Datetime(_) => Value::Null,
    }
}

/// The flags for one key.
pub fn values(arg: &Arg, value: &Value, folder: &Path) -> Result<Vec<OsString>, String> {
    let name = arg.get_long().unwrap_or_default();
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let may_lack_value = is_switch || arg.get_num_args().is_some_and(|count| count.min_values() == 0);
    match value {
        Value::Bool(is_on) if may_lack_value => Ok(is_on.then(|| format!("--{name}").into()).into_iter().collect()),
        _ if is_switch => Err("is true or false".into()),
        Value::Array(array) if matches!(arg.get_action(), ArgAction::Append) => {
            array.iter().map(|value| flag(arg, value, folder)).collect()
        }
        Value::Array(_) => Err("takes one value".into()),
        value => Ok(vec![flag(arg, value, folder)?]),
    }
}

/// `--name=value`.
fn flag(arg: &Arg, value: &Value, folder: &Path) -> Result<OsString, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if !number.is_f64() => number.to_string(),
        Value::Object(_) => return Err("is not a table: keys stand at the top of the file".into()),
        _ => return Err("takes text or a whole number".into()),
    };
    let name = arg.get_long().unwrap_or_default();
    let value = match (name, text.split_once("=file:")) {
        ("output", _) => OutputArgument::relative_to(folder, &text),
        ("copy", _) => match text.parse::<FileCopy>() {
            Ok(FileCopy { source, destination }) => {
                let mut value = folder.join(source).into_os_string();
                destination.iter().for_each(|destination| value.push(format!(":{destination}")));
                value
            }
            // It is refused when the flag is read.
            Err(_) => text.into(),
        },
        ("secret", Some((whose, path))) => {
            let mut value = OsString::from(format!("{whose}=file:"));
            value.push(folder.join(path));
            value
        }
        _ if arg.get_value_parser().type_id() == std::any::TypeId::of::<PathBuf>() => folder.join(text).into(),
        _ => text.into(),
    };
    let mut flag = OsString::from(format!("--{name}="));
    flag.push(value);
    Ok(flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How paths in the folder begin.
    const INSIDE: &str = if cfg!(windows) { "folder\\" } else { "folder/" };

    fn flags(text: &str) -> Result<Vec<String>> {
        let flags = read(text, Path::new("folder"), &|id| id == "label")?;
        Ok(flags.into_iter().map(|flag| flag.into_string().unwrap()).collect())
    }

    #[test]
    fn keys_become_flags_and_paths_are_relative_to_the_file() {
        let text = "
            wim = 'nano.wim'
            swm = ['a.swm', '/b.swm']
            output = ['a.vhdx', 'type=vhd,path=b.vhd', '-']
            size = '8G'
            image = 2
            label = 'given on the command line'
            force = true
            json = false
            compact = true
            ems = '1,9600'
            unattend = 'answer.xml'
            setup-command = '--odd -value'
            ipv4-dns = ['10.0.0.1', '10.0.0.2']
            secret = 'admin=file:password'
            copy = ['tools', 'x:Windows/y', '/z:C:\\z']
            reg = 'a.reg'
        ";
        let expected = [
            "--wim=folder/nano.wim",
            "--swm=folder/a.swm",
            "--swm=/b.swm",
            "--output=folder/a.vhdx",
            "--output=type=vhd,path=folder/b.vhd",
            "--output=-",
            "--size=8G",
            "--image=2",
            "--force",
            "--compact",
            "--ems=1,9600",
            "--unattend=folder/answer.xml",
            "--setup-command=--odd -value",
            "--ipv4-dns=10.0.0.1",
            "--ipv4-dns=10.0.0.2",
            "--secret=admin=file:folder/password",
            "--copy=folder/tools",
            "--copy=folder/x:Windows/y",
            "--copy=/z:C:\\z",
            "--reg=folder/a.reg",
        ]
        .map(|flag| flag.replace("folder/", INSIDE));
        assert_eq!(flags(text).unwrap(), expected);
        assert!(flags("compact = false\nems = false").unwrap().is_empty());
    }

    #[test]
    fn a_recipe_may_be_json() {
        let recipe = r#"{"label": "x", "size": 268435456, "wim": "a.wim", "compact": "lzx", "ems": true, "seed": null,
            "storage": true, "compute": false, "copy": ["tools:Tools"]}"#;
        let expected =
            ["--copy=F/tools:Tools", "--compact=lzx", "--ems", "--size=268435456", "--storage", "--wim=F/a.wim"];
        let sorted = |flags: Vec<String>| std::collections::BTreeSet::from_iter(flags);
        let at = |folder: &str| expected.map(|flag| flag.replace("F/", folder)).to_vec();
        assert_eq!(sorted(flags(recipe).unwrap()), sorted(at(INSIDE)));
        // Metadata has the paths that the build was given.
        let metadata = format!(r#"{{"build": {{"recipe": {recipe}}}, "run": {{}}}}"#);
        assert_eq!(sorted(flags(&metadata).unwrap()), sorted(at("")));
        for (text, part) in [("{", "line 1: begins like JSON"), (r#"{"siez": 1}"#, "there is no key `siez`")] {
            let error = flags(text).unwrap_err();
            assert!(error.message().contains(part), "{error}");
        }
    }

    #[test]
    fn flags_exclude_each_other_in_both_directions() {
        let command = lenient_command();
        let build = command.find_subcommand("build").unwrap();
        let rivals = |id| rivals(build, id).collect::<Vec<_>>();
        assert_eq!((rivals("wim"), rivals("media")), (vec!["media", "disk"], vec!["wim"]));
        assert_eq!(rivals("disk"), ["wim", "swm", "edition"]);
        assert_eq!((rivals("image"), rivals("edition")), (vec!["edition"], vec!["disk", "image"]));
        assert_eq!((rivals("metadata_file"), rivals("sbom")), (vec!["check"], vec!["check"]));
        assert!(rivals("size").is_empty());
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, parts) in [
            ("size = '4G'\nsiez = 1", ["line 2: ", "`siez`"]),
            ("size = '4X'", ["line 1: ", "`4X` is not a size"]),
            ("\nlabel = ['a']", ["line 2: ", "`label` takes one value"]),
            ("force = 'yes'", ["line 1: ", "`force` is true or false"]),
            ("size = true", ["line 1: ", "`size` takes text"]),
            ("size = 1.5", ["line 1: ", "`size` takes text"]),
            ("[network]\nsize = 1", ["line 1: ", "no key `network`"]),
            ("compact = 'lzy'", ["line 1: ", "`compact`: there is no `lzy`; did you mean `lzx`"]),
            ("recipe = 'other.toml'", ["line 1: ", "no key `recipe`"]),
            ("size = 1\nsize = 2", ["line 2: ", "twice"]),
            ("size = ", ["line 1: ", ""]),
            ("wim = \"C:\\Users\"", ["line 1: ", "backslash"]),
            ("\nwim = \"nano.wim\n", ["line 2: ", "a quote is not closed"]),
            ("copy = ':x'", ["line 1: ", "nothing to copy"]),
            ("size = 99999999999999999999", ["line 1: ", "not a size"]),
        ] {
            let error = flags(text).unwrap_err();
            assert!(parts.iter().all(|part| error.message().contains(part)), "{text}: {error}");
        }
        let hint = |text| flags(text).unwrap_err().hint().unwrap().to_owned();
        assert_eq!(hint("computer_name = 'a'"), "did you mean `computer-name`?");
        assert_eq!(hint("siez = 1"), "did you mean `size`?");
        assert!(hint("colour = 1").contains("--help"));
    }

    #[test]
    fn the_examples_are_recipes() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        if !workspace.join("fixtures").exists() {
            return eprintln!("not run: the package alone has no examples");
        }
        let folder = workspace.join("examples");
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let recipes: Vec<PathBuf> = paths.filter(|path| path.extension() == Some("toml".as_ref())).collect();
        assert!(recipes.len() >= 7, "{recipes:?}");
        for path in recipes {
            let text = std::fs::read_to_string(&path).unwrap();
            let given = flags(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let command = ["nano-image", "build"].map(String::from).into_iter().chain(given.clone());
            super::command().try_get_matches_from(command).unwrap();
            // Keys that are shown as comments can be uncommented.
            let all = |line: &str| line.strip_prefix("#: ").unwrap_or(line).to_owned() + "\n";
            let more = read(&text.lines().map(all).collect::<String>(), Path::new(""), &|_| false).unwrap();
            let shown = text.lines().filter(|line| line.starts_with("#: ")).count();
            assert!(more.len() >= given.len() + shown, "{}: {more:?}", path.display());
        }
    }
}

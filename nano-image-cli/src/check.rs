//! `nano-image build --check`: compares a build, which writes nothing, with an image or a metadata file.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use nano_image::{
    ByteSize, Difference, Error, FileIdentity, Format, Layout, Plan, Recipe, Result, Subformat, Target, inspect,
    open_disk,
};
use serde_json::{Value, json};

use crate::args::{Build, OutputArgument};
use crate::metadata;
use crate::outputs::Output;
use crate::progress::Progress;
use crate::recipe::FILES_AND_FORMS;
use crate::report::{message, output, printable};

/// A larger file cannot be metadata.
const MAX_METADATA: u64 = 256 << 20;

/// How many differences of metadata are printed.
const MAX_TOLD: usize = 20;

/// What a build is compared with.
pub enum Existing {
    Image(PathBuf, File),
    /// `build` of a metadata file, and the outputs of its run.
    Metadata(PathBuf, Value, Vec<Value>),
}

impl Existing {
    /// Opens the file and finds out what it is.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |error| Error::io("open", path, error);
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            return Err(Error::recipe("this is not a regular file: it cannot be compared").with_path(path));
        }
        let mut file = File::open(path).map_err(io)?;
        let mut first = [0; 1];
        if file.read(&mut first).map_err(io)? == 0 || first != *b"{" {
            return Ok(Self::Image(path.into(), file));
        }
        file.rewind().map_err(io)?;
        let mut text = Vec::new();
        file.take(MAX_METADATA).read_to_end(&mut text).map_err(io)?;
        let mut value: Value = serde_json::from_slice(&text)
            .map_err(|error| Error::corrupt(format!("this begins like JSON, but is not: {error}")).with_path(path))?;
        if !value["build"]["outputs"].is_array() {
            return Err(Error::corrupt("this has no `build` with `outputs`: it is not a metadata file").with_path(path));
        }
        let outputs = value["run"]["outputs"].as_array().cloned().unwrap_or_default();
        Ok(Self::Metadata(path.into(), value["build"].take(), outputs))
    }

    /// The outputs of the build: those that flags name, or else those of the existing file.
    pub fn outputs(&self, arguments: &Build) -> Result<Vec<Output>> {
        if !arguments.output.is_empty() {
            return Output::described(&arguments.output, arguments);
        }
        let described = match self {
            Self::Image(path, file) => {
                let opened = file.try_clone().map_err(|error| Error::io("open", path, error))?;
                let format = open_disk(Arc::new(opened)).map_or(Format::RAW, |disk| disk.format());
                // Any file could be a raw image; a broken image of another format must not be taken for one.
                let by_name = OutputArgument::parse(&path.to_string_lossy()).map_err(Error::recipe)?;
                if format == Format::RAW && Output::described(std::slice::from_ref(&by_name), arguments).is_ok() {
                    vec![by_name]
                } else {
                    vec![OutputArgument::of(path, format, arguments)]
                }
            }
            Self::Metadata(path, build, of_run) => {
                // Some formats contain the name of the file.
                let name = |number: usize| of_run.get(number)?.as_str().filter(|name| *name != "-").map(PathBuf::from);
                let outputs = build["outputs"].as_array().into_iter().flatten();
                let described = outputs.enumerate().map(|(number, output)| {
                    let format = format(output).ok_or_else(|| {
                        Error::corrupt(format!("output {number} has an unknown format")).with_path(path)
                    })?;
                    let unnamed = || Path::new(&number.to_string()).join("disk").with_extension(format.extension());
                    let path = name(number).unwrap_or_else(unnamed);
                    Ok(OutputArgument::of(&path, format, arguments))
                });
                described.collect::<Result<_>>()?
            }
        };
        Output::described(&described, arguments)
    }

    /// Compares, prints the differences, and returns the exit status.
    pub fn compare(
        &self,
        layout: Layout<'_>,
        outputs: &[Output],
        inputs: Option<metadata::Inputs>,
        facts: metadata::Facts<'_>,
        progress: Progress,
        arguments: &Build,
    ) -> Result<ExitCode> {
        let (path, value, text) = match self {
            Self::Image(path, file) => {
                let output = Self::output_of(path, outputs)?;
                let difference = layout.compare(file, path, output.format, &progress)?;
                let mut text: Vec<String> = difference.iter().map(tell).collect();
                let other_seed = difference.is_some() && has_other_seed(path, facts.plan);
                if other_seed {
                    text.push(
                        "has the identifiers of another seed: it has another recipe or source, or --seed was used"
                            .into(),
                    );
                }
                let is_of_container = |difference: &Difference| {
                    difference.disk_offset.is_none() && difference.expected.is_some() && difference.found.is_some()
                };
                if !other_seed && difference.as_ref().is_some_and(is_of_container) {
                    text.push(
                        "may be made with another password, file or choice: identifiers in there depend on the bytes"
                            .into(),
                    );
                }
                let same = difference.is_none();
                (path, json!({ "same": same, "difference": difference, "other-seed": other_seed }), text)
            }
            Self::Metadata(path, expected, _) => {
                let layout = layout.digests(true);
                let mut sinks: Vec<io::Sink> = outputs.iter().map(|_| io::sink()).collect();
                let targets = outputs.iter().zip(&mut sinks);
                let targets =
                    targets.map(|(output, sink)| Target::named_stream(sink, &output.path, output.format)).collect();
                let made = layout.write(targets, &progress)?;
                let inputs = inputs.map(metadata::Inputs::join).transpose()?.unwrap_or_default();
                let mut found = metadata::build(&facts, &layout, &made, &inputs)?;
                let mut expected = expected.clone();
                compare_by_meaning(&mut expected["recipe"], &mut found["recipe"]);
                let mut differences = Vec::new();
                compare_values("build", &expected, &found, &mut differences);
                // Another version may make the same bytes.
                differences.retain(|(key, ..)| !key.starts_with("build.tool"));
                let text = differences.iter().map(|(key, expected, found)| format!("{key} is {found}, not {expected}"));
                let mut text: Vec<String> = text.collect();
                if let Some(more) = text.len().checked_sub(MAX_TOLD).filter(|more| *more > 0) {
                    text.truncate(MAX_TOLD);
                    text.push(format!("{more} more differences, which --json lists"));
                }
                let list = differences.iter();
                let list: Vec<Value> = list
                    .map(|(key, expected, found)| json!({ "key": key, "expected": expected, "found": found }))
                    .collect();
                (path, json!({ "same": list.is_empty(), "differences": list }), text)
            }
        };
        drop(progress);
        if arguments.json {
            output(&format!("{value:#}\n"))?;
        } else if !text.is_empty() {
            let name = printable(&path.display().to_string());
            output(&text.iter().map(|line| format!("{name}: {}\n", printable(line))).collect::<String>())?;
        } else if !arguments.quiet {
            message(&format!("{}: this is what is built\n", printable(&path.display().to_string())));
        }
        Ok(if text.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }

    /// The output that the image is compared with.
    fn output_of<'o>(path: &Path, outputs: &'o [Output]) -> Result<&'o Output> {
        let same = |a: &Path, b: &Path| matches!((FileIdentity::of(a), FileIdentity::of(b)), (Ok(a), Ok(b)) if a == b);
        let is_it = |output: &&Output| same(&output.path, path);
        match (outputs.iter().find(is_it), outputs) {
            (Some(output), _) | (None, [output]) => Ok(output),
            _ => {
                let error = Error::recipe("it is not clear which of the outputs this is").with_path(path);
                Err(error.with_hint("name one output with -o"))
            }
        }
    }
}

/// The format that an output in a metadata file names.
fn format(output: &Value) -> Option<Format> {
    let subformat = output["subformat"].as_str();
    let subformat = Subformat::ALL.into_iter().find(|known| subformat == Some(known.name()));
    let block_size = output["block-size"].as_u64().map(ByteSize::new);
    Format::named(output["format"].as_str()?)?.with(subformat, block_size).ok()
}

/// Describes the first difference in a sentence.
fn tell(difference: &Difference) -> String {
    let byte = |byte: Option<u8>| byte.map_or("nothing".into(), |byte| format!("{byte:02x}"));
    let disk = difference.disk_offset.map(|offset| format!(", byte {offset:#x} of the disk")).unwrap_or_default();
    format!(
        "differs at byte {:#x}{disk} ({}): {} is built, {} is there",
        difference.offset,
        difference.what,
        byte(difference.expected),
        byte(difference.found),
    )
}

/// Whether the image is readable but has other identifiers than the build: then almost everything differs somewhere.
fn has_other_seed(path: &Path, plan: &Plan) -> bool {
    let id = inspect::open(path).ok().and_then(|inspection| inspection.partition_table.disk_id);
    id.is_some_and(|id| !id.eq_ignore_ascii_case(&plan.disk_id()))
}

/// Makes two recipes comparable: both get all keys, also those that have a default or that an older version did not
/// have. The names of files and outputs are left out, because their digests are compared.
fn compare_by_meaning(expected: &mut Value, found: &mut Value) {
    for recipe in [&mut *expected, &mut *found] {
        if let Some(keys) = recipe.as_object_mut() {
            keys.retain(|key, _| !FILES_AND_FORMS.contains(&key.as_str()));
        }
    }
    let whole = |recipe: &Value| -> serde_json::Result<Value> {
        let recipe: Recipe = serde_json::from_value(recipe.clone())?;
        let mut value = serde_json::to_value(&recipe)?;
        value["firmware"] = json!(recipe.firmware());
        value["esp-size"] = json!(recipe.esp_size());
        value["bcd-device"] = json!(recipe.bcd_device());
        Ok(value)
    };
    // A recipe of another version may have keys that are unknown here.
    if let (Ok(one), Ok(two)) = (whole(expected), whole(found)) {
        (*expected, *found) = (one, two);
    }
}

/// All values inside that differ: key, expected, found. What an older version did not record about the result does not
/// count, but digests must be there.
fn compare_values(key: &str, expected: &Value, found: &Value, differences: &mut Vec<(String, Value, Value)>) {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            let is_needed = |name: &&String| key.starts_with("build.recipe") || *name == "sha256";
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)).filter(is_needed));
            for name in names {
                let (a, b) = (a.get(name).unwrap_or(&Value::Null), b.get(name).unwrap_or(&Value::Null));
                compare_values(&format!("{key}.{name}"), a, b, differences);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for index in 0..a.len().max(b.len()) {
                let (a, b) = (a.get(index).unwrap_or(&Value::Null), b.get(index).unwrap_or(&Value::Null));
                compare_values(&format!("{key}[{index}]"), a, b, differences);
            }
        }
        _ if expected == found => {}
        _ => differences.push((key.into(), expected.clone(), found.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_differ_in_their_leaves() {
        let a = json!({ "x": [1, { "y": 2 }], "same": [true], "gone": "g" });
        let b = json!({ "x": [1, { "y": 3, "sha256": "0" }, 4], "same": [true], "new": 1 });
        let mut found = Vec::new();
        compare_values("b", &a, &b, &mut found);
        let keys: Vec<&str> = found.iter().map(|(key, ..)| &**key).collect();
        assert_eq!(keys, ["b.gone", "b.x[1].y", "b.x[1].sha256", "b.x[2]"]);
    }
}

//! `nano-image completions` and `schema`: the flags in forms that other programs read.

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command};
use clap_complete::Shell;
use nano_image::Result;
use serde_json::{Map, Value, json};
use std::any::TypeId;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::args;
use crate::recipe::NO_KEYS;
use crate::report::output;

/// Prints the completions of a shell.
pub fn completions(shell: Shell) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "nano-image", &mut text);
    let text = String::from_utf8_lossy(&text);
    // If the name of a program has a hyphen, the labels that clap writes for bash are not those that it looks for
    // (<https://github.com/clap-rs/clap/issues/6421>).
    output(&text.replace("nano__subcmd__image__", "nano__image__"))
}

/// Prints the schema of recipe files.
pub fn schema() -> Result<()> {
    output(&format!("{:#}\n", schema_of(&args::command())))
}

/// JSON Schema (draft 2020-12) of a recipe file: the flags of `build`.
fn schema_of(command: &Command) -> Value {
    let build = command.find_subcommand("build").expect("a subcommand");
    let keys = build.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg)));
    let keys = keys.filter(|(name, _)| !NO_KEYS.contains(name));
    let properties: Map<String, Value> = keys.map(|(name, arg)| (name.to_owned(), property(arg))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Recipe of nano-image",
        "description": "Flags of `nano-image build`, by their long names. Paths are relative to the file.",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

/// The schema for the value of a key.
fn property(arg: &Arg) -> Value {
    let mut property = Map::new();
    let texts = [arg.get_help(), arg.get_long_help()].into_iter().flatten().map(ToString::to_string);
    if let Some(text) = texts.max_by_key(String::len) {
        property.insert("description".into(), text.into());
    }
    let default = arg.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
    match arg.get_action() {
        ArgAction::SetTrue => {
            property.insert("type".into(), "boolean".into());
        }
        ArgAction::Append => {
            let value = value(arg);
            property.insert("anyOf".into(), json!([value, { "type": "array", "items": value }]));
        }
        // The value may be left out.
        _ if arg.get_num_args().is_some_and(|count| count.min_values() == 0) => {
            property.insert("anyOf".into(), json!([{ "type": "boolean" }, value(arg)]));
        }
        _ => {
            if let Value::Object(value) = value(arg) {
                property.extend(value);
            }
            if let Some(default) = default {
                property.insert("default".into(), default.into());
            }
        }
    }
    property.into()
}

/// A single value.
fn value(arg: &Arg) -> Value {
    let names: Vec<String> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !names.is_empty() {
        return json!({ "enum": names });
    }
    let kind = ValueParser::type_id(arg.get_value_parser());
    if kind == TypeId::of::<u64>() || kind == TypeId::of::<NonZeroUsize>() {
        json!({ "type": "integer", "minimum": 0 })
    } else if kind == TypeId::of::<PathBuf>() {
        json!({ "type": "string" })
    } else {
        // A number stands for its digits, for example the index of an image.
        json!({ "type": ["string", "integer"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_says_what_flags_say() {
        let schema = schema_of(&args::command());
        let property = |name: &str| &schema["properties"][name];
        assert_eq!(property("force")["type"], "boolean");
        assert_eq!(
            property("format")["enum"],
            json!(nano_image::Preset::all().map(nano_image::Preset::name).collect::<Vec<_>>())
        );
        assert_eq!((&property("size")["default"], &property("wim")["type"]), (&"4G".into(), &"string".into()));
        assert_eq!(property("output")["anyOf"][1]["type"], "array");
        assert_eq!(property("compact")["anyOf"][0]["type"], "boolean");
        assert_eq!(property("timestamp")["type"], "integer");
        assert!(property("metadata-file")["description"].as_str().unwrap().contains("SHA-256"));
        assert!(property("recipe").is_null() && property("check").is_null() && property("help").is_null());
    }
}

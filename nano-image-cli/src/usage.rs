//! Mistakes on the command line, told in the same form as all other errors.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use nano_image::{Error, nearest};

/// The error in place of `error` from the arguments of `command`; `None` if it is not a mistake but the requested help.
pub fn mistake(error: &clap::Error, command: &Command) -> Option<Error> {
    let hint = |message: String, hint: String| Some(Error::recipe(message).with_hint(hint));
    let name = command.get_display_name().unwrap_or(command.get_name()).replace("nano-image-", "nano-image ");
    let help = format!("{name} --help");
    let wrong = text(error, ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            None
        }
        ErrorKind::InvalidSubcommand => {
            let wrong = text(error, ContextKind::InvalidSubcommand);
            let names = command.get_subcommands().filter(|inner| !inner.is_hide_set()).map(Command::get_name);
            let message = format!("there is no command `{wrong}`");
            match nearest(&wrong, names) {
                Some(name) => hint(message, format!("did you mean `{name}`?")),
                None => hint(message, "`nano-image help` lists the commands".into()),
            }
        }
        ErrorKind::UnknownArgument if wrong.starts_with('-') => {
            let message = format!("there is no flag `{wrong}`");
            let known = command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(Arg::get_long);
            match nearest(wrong.trim_start_matches('-'), known) {
                Some(name) => hint(message, format!("did you mean `--{name}`?")),
                None => hint(message, format!("`{help}` lists the flags")),
            }
        }
        ErrorKind::UnknownArgument => {
            hint(format!("`{wrong}` is one word too many"), "text with spaces stands in quotes".into())
        }
        ErrorKind::MissingRequiredArgument => {
            hint(format!("{} is missing", list(error, ContextKind::InvalidArg)), format!("`{help}` has examples"))
        }
        _ => Some(match reason(error) {
            (reason, Some(hint)) => Error::recipe(format!("{}: {reason}", flag(&wrong))).with_hint(hint),
            (reason, None) => Error::recipe(format!("{}: {reason}", flag(&wrong))),
        }),
    }
}

/// What is wrong with the flag that `error` is about, and a hint.
pub fn reason(error: &clap::Error) -> (String, Option<String>) {
    let value = text(error, ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::InvalidValue if value.is_empty() => ("its value is missing".into(), None),
        ErrorKind::InvalidValue => {
            let hint = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(known)) => {
                    let near = nearest(&value, known.iter().map(String::as_str));
                    let near = near.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
                    Some(format!("{near}it takes {}", known.join(", ")))
                }
                _ => None,
            };
            (format!("there is no `{value}`"), hint)
        }
        ErrorKind::ValueValidation => (error.source().map_or(value, ToString::to_string), None),
        ErrorKind::NoEquals => ("its value may be left out, so write `=` before it".into(), None),
        ErrorKind::ArgumentConflict => {
            let prior = list(error, ContextKind::PriorArg);
            match prior == flag(&text(error, ContextKind::InvalidArg)) {
                true => ("it is given twice".into(), Some("leave one out".into())),
                false => (format!("it cannot be used with {prior}"), Some("leave one of them out".into())),
            }
        }
        ErrorKind::TooFewValues | ErrorKind::TooManyValues | ErrorKind::WrongNumberOfValues => {
            ("it does not take this number of values".into(), None)
        }
        ErrorKind::InvalidUtf8 => ("this is not text".into(), None),
        _ => ("this is not understood".into(), None),
    }
}

/// The same on one line, for a flag that is named before it.
pub fn message(error: &clap::Error) -> String {
    match reason(error) {
        (reason, Some(hint)) => format!("{reason}; {hint}"),
        (reason, None) => reason,
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    }
}

/// Flags as they are written without values.
fn list(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::Strings(all)) => all.iter().map(|arg| flag(arg)).collect::<Vec<_>>().join(", "),
        Some(ContextValue::String(one)) => flag(one),
        _ => String::new(),
    }
}

/// `--format` of `--format <FORMAT>`; `IMAGE` of `<IMAGE>`.
fn flag(arg: &str) -> String {
    match arg.starts_with('-') {
        true => arg.split([' ', '=', '[']).next().unwrap_or(arg).to_owned(),
        false => arg.chars().filter(|c| !"<>[].".contains(*c)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[&str]) -> String {
        let mut command = crate::args::command();
        let given = std::iter::once(&"nano-image").chain(words);
        let error = command.try_get_matches_from_mut(given).unwrap_err();
        let inner = words.first().and_then(|name| command.find_subcommand(name)).unwrap_or(&command);
        let error = mistake(&error, inner).unwrap();
        format!("{error} | {}", error.hint().unwrap_or_default())
    }

    #[test]
    fn mistakes_are_told_in_our_words() {
        for (words, expected) in [
            (&["buidl"][..], "there is no command `buidl` | did you mean `build`?"),
            (&["zzzz"], "there is no command `zzzz` | `nano-image help` lists the commands"),
            (&["build", "--wmi", "a"], "there is no flag `--wmi` | did you mean `--wim`?"),
            (&["verify", "--zzzzzz"], "there is no flag `--zzzzzz` | `nano-image verify --help` lists the flags"),
            (&["build", "-o", "a", "b"], "`b` is one word too many | text with spaces stands in quotes"),
            (
                &["build", "-o", "a", "--firmware", "beos"],
                "--firmware: there is no `beos` | did you mean `bios`? it takes uefi, bios",
            ),
            (
                &["build", "-o", "a", "--progress", "zzzzzz"],
                "--progress: there is no `zzzzzz` | it takes auto, bar, plain, json, none",
            ),
            (&["build", "-o"], "--output: its value is missing | "),
            (&["build", "-o", "a", "--jobs", "0"], "--jobs: `0` is not what it takes: a whole number, 1 or more | "),
            (&["build", "-o", "a", "--size", "1G", "--size", "2G"], "--size: it is given twice | leave one out"),
            (
                &["build", "-o", "a", "--wim", "a", "--media", "b"],
                "--wim: it cannot be used with --media | leave one of them out",
            ),
            (&["inspect"], "IMAGE is missing | `nano-image inspect --help` has examples"),
            (&["diff", "a"], "B is missing | `nano-image diff --help` has examples"),
        ] {
            assert_eq!(said(words), expected, "{words:?}");
        }
    }
}

//! `nano-image man`: manual pages from the texts of the flags.

use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use nano_image::{Error, FileTime, Result, UsedFile};

use crate::args;
use crate::images;
use crate::outputs::{OutputOptions, Outputs};
use crate::report::output;

/// When this version was released, set by `scripts/release`: seconds since 1970.
const RELEASED: Option<&str> = option_env!("NANO_IMAGE_RELEASED");
const MANUAL: &str = "Manual of nano-image";
/// Parts of the text after a command's flags that are sections of their own.
const SECTIONS: [(&str, &str); 3] =
    [("Examples:", "EXAMPLES"), ("Example:", "EXAMPLES"), ("Exit status:", "EXIT STATUS")];

/// Prints the manual page, or writes all of them into a folder.
pub fn man(folder: Option<&Path>, replace: bool) -> Result<()> {
    let mut command = args::command().disable_help_subcommand(true);
    command.build();
    let Some(folder) = folder else {
        return output(&String::from_utf8_lossy(&page(&command)?.1));
    };
    let mut pages = Vec::new();
    collect_pages(&command, &mut pages)?;
    let wanted: Vec<UsedFile> =
        pages.iter().map(|(name, _)| UsedFile::new("the manual page", folder.join(name))).collect();
    let mut outputs = Outputs::open(&wanted, &[], OutputOptions { replace, mode: None })?;
    for (index, (_, page)) in pages.iter().enumerate() {
        outputs.write(index, page)?;
    }
    outputs.publish()
}

/// The pages of a command and of its visible subcommands.
fn collect_pages(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        collect_pages(inner, pages)?;
    }
    pages.push(page(command)?);
    Ok(())
}

/// The page of a command, and the name of its file.
fn page(command: &Command) -> Result<(String, Vec<u8>)> {
    let man = Man::new(command.clone())
        .date(released().unwrap_or_default())
        .source(concat!("nano-image ", env!("CARGO_PKG_VERSION")))
        .manual(MANUAL);
    let mut text = Vec::new();
    let mut rendered = man.render_title(&mut text).and_then(|()| man.render_name_section(&mut text));
    rendered = rendered.and_then(|()| synopsis(command).to_writer(&mut text));
    rendered = rendered.and_then(|()| man.render_description_section(&mut text));
    if command.get_arguments().any(|arg| !arg.is_hide_set()) {
        rendered = rendered.and_then(|()| man.render_options_section(&mut text));
    }
    if command.get_subcommands().any(|inner| !inner.is_hide_set()) {
        rendered = rendered.and_then(|()| man.render_subcommands_section(&mut text));
    }
    rendered = rendered.and_then(|()| more(command).to_writer(&mut text));
    rendered.map_err(|error| Error::io("write", "the manual page", error))?;
    Ok((man.get_filename(), ascii(&text).into_bytes()))
}

/// How the command is called, with the flags in short: all of them follow.
fn synopsis(command: &Command) -> Roff {
    let usage = command.clone().render_usage().to_string();
    let mut roff = Roff::default();
    roff.control("SH", ["SYNOPSIS"]);
    roff.control("nf", []);
    usage.trim_start_matches("Usage:").lines().for_each(|line| {
        roff.text([roman(line.trim())]);
    });
    roff.control("fi", []);
    roff
}

/// Writes characters that are not ASCII as groff escapes, which work whatever encoding groff expects.
fn ascii(text: &[u8]) -> String {
    let escaped = |c: char| match c.is_ascii() {
        true => c.to_string(),
        false => format!("\\[u{:04X}]", u32::from(c)),
    };
    String::from_utf8_lossy(text).chars().map(escaped).collect()
}

/// The sections after those of the flags.
fn more(command: &Command) -> Roff {
    let mut roff = Roff::default();
    let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let mut notes = false;
    for block in help.split("\n\n") {
        let first = block.lines().next().unwrap_or_default();
        match SECTIONS.iter().find(|(title, _)| *title == first) {
            Some((_, section)) => {
                roff.control("SH", [*section]);
                roff.control("nf", []);
                block.lines().skip(1).for_each(|line| {
                    roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
                });
                roff.control("fi", []);
            }
            None if first.is_empty() => {}
            None => {
                if !std::mem::replace(&mut notes, true) {
                    roff.control("SH", ["NOTES"]);
                }
                roff.control("PP", []);
                roff.text([roman(block.replace('\n', " "))]);
            }
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    let others = match command.get_subcommands().next() {
        Some(_) => command.get_subcommands().map(page_name).collect::<Vec<_>>(),
        None => vec!["nano-image".into()],
    };
    roff.text([roman(others.iter().map(|name| format!("{name}(1)")).collect::<Vec<_>>().join(", "))]);
    roff
}

fn page_name(command: &Command) -> String {
    command.get_display_name().unwrap_or(command.get_name()).to_owned()
}

/// The day of the release.
fn released() -> Option<String> {
    let seconds = RELEASED?.parse().ok()?;
    Some(images::created(FileTime::from_unix_seconds(seconds))?.split_once('T')?.0.to_owned())
}

//! What goes to standard output and standard error, and the exit code.

use std::borrow::Cow;
use std::error::Error as _;
use std::io::{self, Write};
use std::process::ExitCode;

pub use nano_image::printable;
use nano_image::report::InstalledPackage;
use nano_image::{ByteSize, Error, ErrorKind, Report, Result, is_shown, table};
use serde_json::json;

/// An error for programs.
pub fn as_json(error: &Error) -> serde_json::Value {
    let kind = format!("{:?}", error.kind()).to_lowercase();
    json!({
        "error": error.to_string(), "kind": kind, "causes": causes(error), "hint": error.hint(),
        "needed": error.needed().map(|size| size.bytes()),
    })
}

fn causes(error: &Error) -> Vec<String> {
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    causes
}

/// Prints on standard error what failed; the exit code tells the kind of error.
pub fn failure(error: &Error, is_json: bool) -> ExitCode {
    if is_json {
        message(&format!("{}\n", as_json(error)));
        return exit_code(error.kind());
    }
    let mut text = format!("{RED}error:{RESET} {}\n", printable(&error.to_string()));
    for cause in causes(error) {
        text += &format!("  {BOLD}caused by:{RESET} {}\n", printable(&cause));
    }
    if let Some(hint) = error.hint() {
        text += &format!("  {GREEN}hint:{RESET} {}\n", printable(hint));
    }
    message(&text);
    exit_code(error.kind())
}

/// A warning as a line of text.
pub fn warning(text: &str) -> String {
    format!("{YELLOW}warning:{RESET} {}\n", printable(text))
}

/// Writes `text` to standard error, in colours if that is a terminal. If that fails, there is nobody to tell.
pub fn message(text: &str) {
    let _ = anstream::stderr().lock().write_all(shown(text, "\n\t\x1b").as_bytes());
}

/// Writes `text` to standard output. A reader that has read enough is not an error.
pub fn output(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(shown(text, "\n\t\r").as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if !is_closed_pipe(&error) => Err(Error::io("write", "standard output", error)),
        _ => Ok(()),
    }
}

/// Rows under a title with the number of rows.
pub fn titled<const N: usize>(title: &str, heads: Option<[&str; N]>, rows: &[[String; N]]) -> String {
    let heads = heads.filter(|_| !rows.is_empty());
    format!("\n{title}: {}\n", rows.len()) + &table("  ", heads, 0, rows)
}

/// Whether the reader of a pipe went away.
pub fn is_closed_pipe(error: &io::Error) -> bool {
    /// ERROR_PIPE_NOT_CONNECTED (winerror.h), which the standard library does not name.
    const NOT_CONNECTED: i32 = 233;
    error.kind() == io::ErrorKind::BrokenPipe || cfg!(windows) && error.raw_os_error() == Some(NOT_CONNECTED)
}

/// Escapes what is not [shown](is_shown) as JSON does, except the characters of `plain`. In text, names from images are
/// escaped where they are inserted; for JSON it is done here, and its meaning stays the same.
fn shown<'a>(text: &'a str, plain: &str) -> Cow<'a, str> {
    let is_plain = |character: char| is_shown(character) || plain.contains(character);
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_plain(character) {
            shown.push(character);
        } else {
            character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| shown += &format!("\\u{unit:04x}"));
        }
    }
    Cow::Owned(shown)
}

/// Decisions, and tables of the packages and drivers of an image with the size of each; empty if there are none.
pub fn additions(report: &Report) -> String {
    let mut text: String = report.notes.iter().map(|note| format!("{}\n", printable(note))).collect();
    // The parts of a package count as its own, and so do its languages.
    let mut rows: Vec<(&str, [u64; 3])> = Vec::new();
    for package in report.packages.iter().filter(|package| package.part_of.is_none()) {
        let name = package.id.split('~').next().unwrap_or_default();
        let index = rows.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            rows.push((name, [0; 3]));
            rows.len() - 1
        });
        for part in parts_of(report, package) {
            add(&mut rows[index].1, [part.files, part.components, part.bytes_added]);
        }
    }
    if rows.len() > 1 {
        let mut all = [0; 3];
        rows.iter().for_each(|(_, sums)| add(&mut all, *sums));
        rows.push(("all", all));
    }
    if let Some(build) = &report.build {
        let replaced: u64 = report.packages.iter().map(|package| package.replaced).sum();
        text += &match build.before == build.after {
            true => format!("build {}, {replaced} components replaced\n", build.after),
            false => format!("build {} becomes {}, {replaced} components replaced\n", build.before, build.after),
        };
    }
    if !rows.is_empty() {
        let rows: Vec<[String; 5]> = rows
            .into_iter()
            .map(|(name, [files, components, bytes])| {
                let size = ByteSize::new(bytes).to_string();
                [name.into(), files.to_string(), components.to_string(), bytes.to_string(), size]
            })
            .collect();
        text += &table("", Some(["package", "files", "components", "bytes", "size"]), 0, &rows);
    }
    let drivers = report.drivers.iter().filter_map(|driver| {
        let published = driver.published.clone()?;
        let size = ByteSize::new(driver.bytes_added).to_string();
        let (class, version) = (driver.class.clone(), driver.version.clone());
        Some([driver.inf.clone(), published, class, version, driver.bytes_added.to_string(), size])
    });
    let drivers: Vec<[String; 6]> = drivers.collect();
    if !drivers.is_empty() {
        text += &table("", Some(["driver", "published", "class", "version", "bytes", "size"]), 0, &drivers);
    }
    text
}

/// The package and the packages that it consists of.
fn parts_of<'a>(report: &'a Report, package: &'a InstalledPackage) -> Vec<&'a InstalledPackage> {
    let mut parts = vec![package];
    let mut next = 0;
    while let Some(owner) = parts.get(next).map(|part| &part.id) {
        let of_it = |part: &&InstalledPackage| part.part_of.as_ref() == Some(owner);
        let found: Vec<_> = report.packages.iter().filter(of_it).collect();
        parts.extend(found);
        next += 1;
    }
    parts
}

fn add(sums: &mut [u64; 3], more: [u64; 3]) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

pub fn exit_code(kind: ErrorKind) -> ExitCode {
    ExitCode::from(match kind {
        ErrorKind::Recipe => 2,
        ErrorKind::NotFound | ErrorKind::Unsatisfied => 3,
        ErrorKind::Corrupt | ErrorKind::Unsupported => 4,
        ErrorKind::TooSmall => 5,
        ErrorKind::Cancelled => 130,
        // `Io`, and all kinds that may be added.
        _ => 6,
    })
}

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const GREEN: &str = "\x1b[1;32m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_means_the_same_and_shows_nothing_else() {
        let name = "a\u{9b}\u{202e}\u{e0041}é\n";
        let text = json!({ "name": name }).to_string() + "\n";
        let text = shown(&text, "\n");
        assert_eq!(text, "{\"name\":\"a\\u009b\\u202e\\udb40\\udc41é\\n\"}\n");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["name"], name);
    }
}

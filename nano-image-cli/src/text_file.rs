//! Files that people write, which are recipes and lists of machines: their encodings, and mistakes in their TOML or
//! JSON.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use nano_image::{Error, ErrorKind, Result};
use toml::de::DeTable;

/// No person writes larger files.
const MAX_LEN: u64 = 256 << 20;

/// The text of the file at `path`; messages call it `what`.
pub fn read(path: &Path, what: &str) -> Result<String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_LEN + 1).read_to_end(&mut bytes))
        .map_err(|error| Error::io("read", path, error))?;
    if bytes.len() as u64 > MAX_LEN {
        return Err(Error::unsupported(format!("more than 256 MiB: this is not a {what}")).with_path(path));
    }
    // PowerShell's `>` writes UTF-16.
    decoded(&bytes, what).map_err(|error| error.with_path(path))
}

/// UTF-8, or UTF-16 with a byte order mark.
fn decoded(bytes: &[u8], what: &str) -> Result<String> {
    let wrong = |encoding: &str| {
        let hint = "save it as UTF-8, or as UTF-16 with a byte order mark";
        Error::new(ErrorKind::Corrupt, format!("bad {what}: it is not {encoding}")).with_hint(hint)
    };
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, odd) = rest.as_chunks();
        let text = String::from_utf16(&pairs.iter().copied().map(unit).collect::<Vec<_>>());
        text.ok().filter(|_| odd.is_empty()).ok_or_else(|| wrong("UTF-16, as its first bytes say"))
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] | rest => {
            let text = std::str::from_utf8(rest).map_err(|error| wrong("UTF-8").at(error.valid_up_to() as u64))?;
            Ok(text.to_owned())
        }
    }
}

/// Where the lines of a text end.
pub struct Lines(Vec<usize>);

impl Lines {
    pub fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    /// The number of the line that has the byte `at`, from 1.
    pub fn number(&self, at: usize) -> usize {
        self.0.partition_point(|end| *end < at) + 1
    }
}

/// The table in `text`.
pub fn toml(text: &str) -> Result<toml::Spanned<DeTable<'_>>> {
    DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let written = text.get(..at).unwrap_or(text).rsplit('\n').next().unwrap_or_default();
        let value = written.split_once('=').map(|(_, value)| value.trim_start());
        let message = match value {
            _ if error.message().contains("duplicate") => ": the key is there twice",
            // A value that begins with a letter is not a number either, whatever was expected.
            Some(value) if !value.contains(['"', '\'', '[']) => ": text without quotes, or a missing value",
            Some(value) if value.starts_with('"') && value.contains('\\') => {
                ": a backslash in double quotes begins a special character"
            }
            Some(value) if value.starts_with(['"', '\'']) && !value[1..].contains(&value[..1]) => {
                ": a quote is not closed"
            }
            _ => "",
        };
        Error::recipe(format!("line {}: this is not TOML{message}", Lines::of(text).number(at))).with_hint(
            "text stands in quotes, paths of Windows best in single ones: label = \"Windows\", wim = 'D:\\nano.wim'",
        )
    })
}

/// Describes a mistake in JSON that begins on a certain line of the file.
pub fn json_mistake(error: &serde_json::Error, first_line: usize) -> Error {
    let (line, column) = (first_line - 1 + error.line().max(1), error.column());
    let message = match error.classify() {
        serde_json::error::Category::Eof => format!("line {line}: begins like JSON, but ends too early"),
        serde_json::error::Category::Data => format!("line {line}: this is JSON, but not an object"),
        _ => format!("line {line}: begins like JSON, but is not, at character {column}"),
    };
    Error::recipe(message).with_hint(r#"text stands in double quotes, and each backslash twice: "wim": "D:\\nano.wim""#)
}

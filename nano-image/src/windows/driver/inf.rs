//! INF files: sections of lines, with replaceable strings.
//!
//! Source: "General Syntax Rules for INF Files" on learn.microsoft.com.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::types::text::{Text, Unmarked};

/// Larger files are not read.
pub(super) const MAX_LEN: u64 = 16 << 20;
/// The most characters that reading one file may visit or produce. This limits sections that name each other many
/// times.
const BUDGET: u64 = 256 << 20;

/// An INF file.
#[derive(Debug)]
pub(super) struct Inf {
    /// By their names in lower case.
    sections: BTreeMap<String, Section>,
    /// Replaceable strings, by their names in lower case.
    strings: BTreeMap<String, String>,
    budget: Cell<u64>,
}

/// The lines of all sections with the same name.
#[derive(Debug, Default)]
struct Section {
    lines: Vec<Line>,
    /// Number of characters in the lines.
    len: u64,
}

/// `key = field, field …`, or only fields. Quotes are removed, but strings are not replaced yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Number in the file, from 1.
    pub number: u32,
    pub key: Option<String>,
    pub fields: Vec<String>,
}

impl Line {
    /// A field; `None` if it is empty or missing.
    pub fn field(&self, index: usize) -> Option<&str> {
        self.fields.get(index).map(String::as_str).filter(|field| !field.is_empty())
    }

    pub fn has_key(&self, name: &str) -> bool {
        self.key.as_ref().is_some_and(|key| key.eq_ignore_ascii_case(name))
    }

    /// The text for messages: key and fields, shortened if it is long.
    pub fn shown(&self) -> String {
        const MAX: usize = 120;
        let fields = self.fields.iter().filter(|field| !field.is_empty()).cloned().collect::<Vec<_>>().join(", ");
        let text = format!("{} {fields}", self.key.as_deref().unwrap_or_default());
        match text.char_indices().nth(MAX) {
            Some((end, _)) => format!("{}…", text[..end].trim()),
            None => text.trim().to_owned(),
        }
    }
}

impl Inf {
    /// Reads a file in UTF-16, UTF-8 with a byte order mark, or Windows-1252.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) with the line.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let text = Text::decode(bytes, "INF file", Unmarked::Ansi)?.text;
        let mut inf = Self { sections: BTreeMap::new(), strings: BTreeMap::new(), budget: Cell::new(BUDGET) };
        let mut section: Option<String> = None;
        let mut stray = None;
        let mut lines = text.lines().zip(1_u32..);
        while let Some((text, number)) = lines.next() {
            let mut scan = Scan::default();
            let mut goes_on = scan.line(text);
            while goes_on {
                let Some((text, _)) = lines.next() else { break };
                goes_on = scan.line(text);
            }
            if let Some(name) = scan.section_name(number)? {
                inf.sections.entry(name.clone()).or_default();
                section = Some(name);
            } else if let Some(line) = scan.finish(number) {
                let Some(section) = section.as_ref().and_then(|name| inf.sections.get_mut(name)) else {
                    stray.get_or_insert(number);
                    continue;
                };
                section.len += 16 + line.fields.iter().chain(&line.key).map(|text| text.len() as u64 + 1).sum::<u64>();
                section.lines.push(line);
            }
        }
        // Windows refuses such text only in old files, which have no strings.
        if let Some(number) = stray.filter(|_| !inf.has("Strings")) {
            return Err(bad_line(number, "it stands before the first section")
                .with_hint("only comments may do so: is this an INF file?"));
        }
        // Strings of a language are used where there are no neutral ones; images speak English before they get other
        // languages.
        for name in ["strings", "strings.0409"] {
            for line in inf.sections.get(name).map_or(&[][..], |section| &section.lines) {
                if let (Some(key), Some(value)) = (&line.key, line.fields.first()) {
                    inf.strings.entry(key.to_lowercase()).or_insert_with(|| value.clone());
                }
            }
        }
        Ok(inf)
    }

    /// Whether there is such a section, even if it is empty.
    pub fn has(&self, section: &str) -> bool {
        self.sections.contains_key(&section.to_lowercase())
    }

    /// The lines of a section; empty if there is no such section.
    pub fn lines(&self, section: &str) -> Result<&[Line]> {
        let Some(section) = self.sections.get(&section.to_lowercase()) else { return Ok(&[]) };
        self.spend(section.len)?;
        Ok(&section.lines)
    }

    /// The first field of the first line `key` of a section, expanded; `None` if it is missing or empty.
    pub fn value(&self, section: &str, key: &str) -> Result<Option<String>> {
        let line = self.lines(section)?.iter().find(|line| line.has_key(key));
        let value = line.and_then(|line| line.field(0)).map(|field| self.expand(field)).transpose()?;
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// All fields of all lines `key` of a section, expanded, each name once.
    pub fn list(&self, section: &str, key: &str) -> Result<Vec<String>> {
        let mut list = Vec::new();
        let mut known = std::collections::BTreeSet::new();
        for line in self.lines(section)?.iter().filter(|line| line.has_key(key)) {
            for field in line.fields.iter().filter(|field| !field.is_empty()) {
                let name = self.expand(field)?;
                if known.insert(name.to_lowercase()) {
                    list.push(name);
                }
            }
        }
        Ok(list)
    }

    /// A replaceable string.
    pub fn string(&self, name: &str) -> Option<&str> {
        self.strings.get(&name.to_lowercase()).map(String::as_str)
    }

    /// `text` with its strings replaced. Directory identifiers (`%12%`) are kept.
    pub fn expand(&self, text: &str) -> Result<String> {
        self.expand_with(text, &|_| None)
    }

    /// `text` with its strings replaced, and directory identifiers replaced by `directory`. Anything else is kept.
    pub fn expand_with(&self, text: &str, directory: &dyn Fn(u32) -> Option<String>) -> Result<String> {
        let mut rest = text;
        let mut expanded = String::new();
        while let Some(start) = rest.find('%') {
            expanded.push_str(&rest[..start]);
            let after = &rest[start + 1..];
            let Some(end) = after.find('%') else {
                rest = &rest[start..];
                break;
            };
            let name = &after[..end];
            let number = name.parse().ok().and_then(directory);
            match (name, self.string(name), number) {
                ("", ..) => expanded.push('%'),
                (_, Some(string), _) => expanded.push_str(string),
                (_, None, Some(path)) => expanded.push_str(&path),
                (_, None, None) => {
                    expanded.push('%');
                    expanded.push_str(name);
                    // The second percent sign may begin the next name.
                    rest = &after[end..];
                    if name.parse::<u32>().is_ok() {
                        expanded.push('%');
                        rest = &after[end + 1..];
                    }
                    continue;
                }
            }
            rest = &after[end + 1..];
        }
        expanded.push_str(rest);
        self.spend(expanded.len() as u64)?;
        Ok(expanded)
    }

    /// Counts `cost` characters of work.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if the file costs more than any driver does.
    pub fn spend(&self, cost: u64) -> Result<()> {
        let left = self.budget.get().checked_sub(cost);
        self.budget.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or_else(|| {
            Error::unsupported("the INF file's sections refer to each other too often").with_hint("is it damaged?")
        })
    }
}

#[cfg(test)]
impl Inf {
    /// Characters of work so far.
    pub fn spent(&self) -> u64 {
        BUDGET - self.budget.get()
    }
}

/// An error in a line.
pub(super) fn bad_line(number: u32, what: &str) -> Error {
    Error::corrupt(format!("bad INF file: line {number}: {what}"))
}

/// Parses a number of an INF file: decimal or `0x…`, optionally negative; `None` if it is not a number.
pub(super) fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let hex = digits.strip_prefix("0x").or(digits.strip_prefix("0X"));
    let value = match hex {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { value.wrapping_neg() } else { value })
}

/// The parts of a line that is being read.
#[derive(Default)]
struct Scan {
    key: Option<String>,
    fields: Vec<String>,
    current: String,
    /// Length of `current` that is kept when blanks are trimmed.
    kept: usize,
    /// Whether there was anything but blanks and comments.
    any: bool,
    /// Whether the line begins with `[`, and whether `]` was found.
    header: Option<bool>,
}

impl Scan {
    /// Reads a line of the file; `true` if it continues in the next one.
    fn line(&mut self, text: &str) -> bool {
        let mut quoted = false;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if quoted {
                match c {
                    '"' if chars.peek() == Some(&'"') => {
                        chars.next();
                        self.keep('"');
                    }
                    '"' => quoted = false,
                    c => self.keep(c),
                }
                continue;
            }
            match (c, self.header) {
                (';', None | Some(true)) => break,
                (_, Some(true)) => {}
                (']', Some(false)) => self.header = Some(true),
                (c, Some(false)) => self.keep(c),
                ('[', None) if !self.any => {
                    self.header = Some(false);
                    self.any = true;
                }
                ('"', _) => {
                    quoted = true;
                    self.any = true;
                    self.kept = self.current.len();
                }
                ('=', _) if self.key.is_none() && self.fields.is_empty() => {
                    self.any = true;
                    self.key = Some(self.take());
                }
                (',', _) => {
                    self.any = true;
                    let field = self.take();
                    self.fields.push(field);
                }
                ('\\', _) if is_end(chars.clone()) => return true,
                (c, _) if is_blank(c) => {
                    if !self.current.is_empty() {
                        self.current.push(c);
                    }
                }
                (c, _) => self.keep(c),
            }
        }
        false
    }

    fn keep(&mut self, c: char) {
        self.any = true;
        self.current.push(c);
        self.kept = self.current.len();
    }

    /// The text so far, without blanks at its end.
    fn take(&mut self) -> String {
        self.current.truncate(self.kept);
        self.kept = 0;
        std::mem::take(&mut self.current)
    }

    fn section_name(&mut self, number: u32) -> Result<Option<String>> {
        match self.header {
            None => Ok(None),
            Some(false) => Err(bad_line(number, "the name of a section without `]`")),
            Some(true) => Ok(Some(self.take().trim_matches(is_blank).trim_matches('"').to_lowercase())),
        }
    }

    fn finish(mut self, number: u32) -> Option<Line> {
        if !self.any {
            return None;
        }
        let last = self.take();
        if !last.is_empty() || !self.fields.is_empty() {
            self.fields.push(last);
        }
        Some(Line { number, key: self.key, fields: self.fields })
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\u{1A}' | '\u{A0}')
}

/// Whether nothing but a comment follows.
fn is_end(rest: impl Iterator<Item = char>) -> bool {
    rest.into_iter().find(|c| !is_blank(*c)).is_none_or(|c| c == ';')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Inf {
        Inf::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn fields(text: &str) -> (Option<String>, Vec<String>) {
        let inf = parse(&format!("[a]\n{text}\n"));
        let lines = inf.lines("A").unwrap();
        assert_eq!(lines.len(), 1, "{text}");
        (lines[0].key.clone(), lines[0].fields.clone())
    }

    #[test]
    fn lines_are_split_as_windows_does() {
        let texts = |key: Option<&str>, list: &[&str]| {
            (key.map(str::to_owned), list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(fields("a = b, c ; d"), texts(Some("a"), &["b", "c"]));
        assert_eq!(fields(" viostor.sys,,,2"), texts(None, &["viostor.sys", "", "", "2"]));
        assert_eq!(fields("a=\"x;y,z=\"\"q\"\" \" , %b%"), texts(Some("a"), &["x;y,z=\"q\" ", "%b%"]));
        assert_eq!(fields("HKR, \"A B\\C\",,0x10, a=b"), texts(None, &["HKR", "A B\\C", "", "0x10", "a=b"]));
        assert_eq!(fields("a = b,\\ ; goes on\r\n\t c, \\\r\n d"), texts(Some("a"), &["b", "c", "d"]));
        assert_eq!(fields("a = %11%\\\"b c\".exe"), texts(Some("a"), &["%11%\\b c.exe"]));
        assert_eq!(fields("a = b c  d "), texts(Some("a"), &["b c  d"]));
        assert_eq!(fields("a ="), texts(Some("a"), &[]));
        assert_eq!(fields("a = \"\""), texts(Some("a"), &[]));
        assert_eq!(fields("\"a = b\" = c"), texts(Some("a = b"), &["c"]));
    }

    #[test]
    fn strings_are_replaced_once_and_directories_by_the_caller() {
        let inf = parse(
            "[x]\nk=1\n[Strings]\nName = \"a %Name%\"\nEmpty=\"\"\n[X]\nl=2\n[strings.0409]\nname=no\nOnly=\"english\"\n",
        );
        assert_eq!(inf.expand("%name%|%%|%12%\\|%other%|%ONLY%|%").unwrap(), "a %Name%|%|%12%\\|%other%|english|%");
        assert_eq!(inf.expand("100% of %name%").unwrap(), "100% of a %Name%");
        let path = |number| (number == 12).then(|| "DRIVERS".to_owned());
        assert_eq!(inf.expand_with("%12%\\a%11%", &path).unwrap(), "DRIVERS\\a%11%");
        assert_eq!(inf.expand("%%SystemRoot%%\\x").unwrap(), "%SystemRoot%\\x");
        assert_eq!(inf.lines("x").unwrap().len(), 2, "sections of one name are one");
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line) in [("; c\n\n[a\n", 3), ("; c\na = b\n", 2), ("[a]\nb=\\\nc\n[d", 4)] {
            let error = Inf::parse(text.as_bytes()).map(|_| ()).unwrap_err();
            assert!(error.message().contains(&format!("line {line}:")), "{error}");
        }
    }

    proptest::proptest! {
        /// Any text in quotes, with its quotes doubled, is read back unchanged in every encoding.
        #[test]
        fn fields_in_quotes_are_read_as_they_are(
            section in "[a-zA-Z0-9_-]{1,9}[a-zA-Z0-9. _-]{0,9}[a-zA-Z0-9_-]{1,2}",
            key in "[a-zA-Z0-9][a-zA-Z0-9 .;,=-]{0,18}[a-zA-Z0-9]",
            values in proptest::collection::vec("[^\r\n\0\u{feff}\u{85}\u{2028}\u{2029}]{0,30}", 1..6),
        ) {
            let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
            let list: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            let text = format!("[{section}]\r\n{} = {}\r\n", quoted(&key), list.join(", \\\r\n  "));
            let marked = [b"\xEF\xBB\xBF", text.as_bytes()].concat();
            let wide = [&[0xFF, 0xFE], &crate::types::text::to_utf16(&text)[..]].concat();
            for bytes in [marked, wide] {
                let inf = Inf::parse(&bytes).unwrap_or_else(|error| panic!("{error}: {text}"));
                let lines = inf.lines(&section).unwrap();
                proptest::prop_assert_eq!(lines.len(), 1);
                proptest::prop_assert!(lines[0].has_key(&key), "{:?}", lines[0]);
                // Empty fields at the end do not count.
                let mut wanted = values.clone();
                while wanted.last().is_some_and(String::is_empty) {
                    wanted.pop();
                }
                let mut fields = lines[0].fields.clone();
                while fields.last().is_some_and(String::is_empty) {
                    fields.pop();
                }
                proptest::prop_assert_eq!(&fields, &wanted);
            }
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(number("0x00010001"), Some(0x10001));
        assert_eq!((number(" 16 "), number("-1"), number("0XF")), (Some(16), Some(u32::MAX), Some(15)));
        assert_eq!((number(""), number("F9"), number("0x"), number("4294967296")), (None, None, None, None));
    }

    #[test]
    fn sections_that_multiply_end() {
        let text = format!("[a]\nb={}\n", vec!["%s%"; 100_000].join(","));
        let inf = parse(&format!("{text}[Strings]\ns={}\n", "x".repeat(100_000)));
        assert!(inf.list("a", "b").unwrap_err().message().contains("too often"));
    }
}

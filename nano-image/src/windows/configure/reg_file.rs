//! Registry edits from `.reg` files, as Registry Editor exports them.
//!
//! Source: "How to add, modify, or delete registry subkeys and values by using a .reg file" on learn.microsoft.com.

use super::RegUser;
use crate::error::{Error, Result};
use crate::registry::{Hive, KeyId, Value, ValueKind};
use crate::types::text::{Text, Unmarked};
use crate::windows::edit::{HiveKey, ImageEdit};

/// Larger files are not read.
pub(super) const MAX_LEN: u64 = 64 << 20;

/// The edits of a file, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RegFile {
    sections: Vec<Section>,
}

/// The edits of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Section {
    place: HiveKey,
    /// Whether to delete the key with everything below it.
    delete: bool,
    /// Names and values to set; a value of `None` is deleted.
    values: Vec<(String, Option<Value>)>,
}

impl RegFile {
    /// Reads a file of version 5.00 (UTF-16LE, or UTF-8) or 4 (`REGEDIT4`; ASCII, or UTF-8).
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) with the line, [`Unsupported`](crate::ErrorKind::Unsupported) for keys
    /// that are not in any hive of an image.
    pub fn parse(bytes: &[u8], user: Option<RegUser>) -> Result<Self> {
        // UTF-16 is also recognised by its zeros, because a byte order mark is easily lost.
        let unmarked = if bytes.get(1) == Some(&0) { Unmarked::Ansi } else { Unmarked::Utf8 };
        let text = Text::decode(bytes, ".reg file", unmarked)?.text;
        let mut lines = Lines { lines: text.lines().enumerate() };
        let wide = match lines.next().map(|(number, line)| (number, line.trim().to_owned())) {
            Some((_, line)) if line == "Windows Registry Editor Version 5.00" => true,
            Some((_, line)) if line == "REGEDIT4" => false,
            _ => {
                return Err(Error::corrupt("not a .reg file")
                    .with_hint("its first line must be `Windows Registry Editor Version 5.00` or `REGEDIT4`"));
            }
        };
        let mut file = Self::default();
        while let Some((number, line)) = lines.next() {
            let bad = |what: &str| Error::corrupt(format!("bad .reg file: line {number}: {what}"));
            let line = line.trim();
            if is_comment(line) {
                continue;
            }
            if let Some(key) = line.strip_prefix('[') {
                // Like Registry Editor, this ignores what follows the last bracket.
                let (key, _) = key.rsplit_once(']').ok_or_else(|| bad("a key without `]` at the end"))?;
                let (key, delete) = key.strip_prefix('-').map_or((key, false), |key| (key, true));
                let place = locate(key, user).map_err(|error| in_line(error, number))?;
                if delete && place.path.is_empty() {
                    return Err(bad("a whole hive cannot be deleted"));
                }
                file.sections.push(Section { place, delete, values: Vec::new() });
                continue;
            }
            let section = file.sections.last_mut().ok_or_else(|| bad("a value before the first key"))?;
            if section.delete {
                return Err(bad("a value in a key that is deleted"));
            }
            let (name, rest) = read_name(line).ok_or_else(|| bad("neither a key, a value nor a comment"))?;
            let value = lines.value(rest, wide).map_err(|what| bad(&what))?;
            section.values.push((name, value));
        }
        Ok(file)
    }

    /// Applies the edits.
    pub fn apply(&self, image: &mut ImageEdit<'_>) -> Result<()> {
        for section in &self.sections {
            let path = image.resolve(&section.place)?;
            let hive = image.edit(section.place.file)?;
            let key = hive.find(&path).filter(|key| *key != hive.root());
            if section.delete {
                key.map_or(Ok(()), |key| hive.delete_key(key))?;
                continue;
            }
            let key = hive.create_key(hive.root(), &path)?;
            for (name, value) in &section.values {
                edit(hive, key, name, value.as_ref())?;
            }
        }
        Ok(())
    }
}

fn edit(hive: &mut Hive, key: KeyId, name: &str, value: Option<&Value>) -> Result<()> {
    match value {
        Some(value) => hive.set_value(key, name, value.clone()),
        None => hive.delete_value(key, name).map(|_| ()),
    }
}

/// Whether a line is empty or a comment.
fn is_comment(line: &str) -> bool {
    line.is_empty() || line.starts_with([';', '#'])
}

/// Where a key is. Before Windows runs there is no current user, so it must be given whether SYSTEM or new users are
/// meant.
fn locate(key: &str, user: Option<RegUser>) -> Result<HiveKey> {
    let root = key.split('\\').next().unwrap_or_default();
    let is_current_user = ["HKEY_CURRENT_USER", "HKCU"].iter().any(|name| root.eq_ignore_ascii_case(name));
    let place = match (is_current_user, user) {
        (true, Some(user)) => HiveKey::find(&format!("{}{}", user.root(), &key[root.len()..])),
        (true, None) => None,
        (false, _) => HiveKey::find(key),
    };
    place.ok_or_else(|| {
        let error = Error::unsupported(format!("`{key}` is in no registry hive of the image"));
        error.with_hint(match is_current_user {
            true => {
                "there is no current user before Windows runs: with `--reg-user default` such keys are what new users get, \
                 with `--reg-user system` those of the account SYSTEM; or write HKEY_USERS\\Default or \
                 HKEY_USERS\\.DEFAULT, which is SYSTEM's in spite of its name"
            }
            false => {
                "only HKEY_LOCAL_MACHINE (SYSTEM, SOFTWARE, SAM, SECURITY, COMPONENTS, DRIVERS), HKEY_CLASSES_ROOT, \
                 HKEY_USERS\\Default (new users) and HKEY_USERS\\.DEFAULT (the account SYSTEM) exist before Windows \
                 runs"
            }
        })
    })
}

/// The name of a value, and what follows `=`.
fn read_name(line: &str) -> Option<(String, &str)> {
    let (name, rest) = match line.strip_prefix('@') {
        Some(rest) => (String::new(), rest),
        None => quoted(line)?,
    };
    Some((name, rest.trim_start().strip_prefix('=')?.trim_start()))
}

/// A text in quotes at the start of `text`, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let rest = unescape(text.strip_prefix('"')?, &mut out)?;
    Some((out, rest))
}

/// Adds `text` up to its closing quote to `out`, and returns what follows; `None` if the text continues in the next
/// line.
fn unescape<'t>(text: &'t str, out: &mut String) -> Option<&'t str> {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some(&text[at + 1..]),
            // A backslash before any other character is a plain backslash.
            '\\' => match text[at + 1..].chars().next() {
                Some(next @ ('"' | '\\')) => {
                    out.push(next);
                    chars.next();
                }
                _ => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    None
}

/// The lines of a file, counted from 1.
struct Lines<'t> {
    lines: std::iter::Enumerate<std::str::Lines<'t>>,
}

impl<'t> Lines<'t> {
    fn next(&mut self) -> Option<(usize, &'t str)> {
        self.lines.next().map(|(index, line)| (index + 1, line))
    }

    /// Parses the value `text`, which may continue in the next lines; `None` for a value that should be deleted.
    fn value(&mut self, text: &'t str, wide: bool) -> Result<Option<Value>, String> {
        if let Some(mut line) = text.strip_prefix('"') {
            let mut out = String::new();
            loop {
                if let Some(rest) = unescape(line, &mut out) {
                    return match rest.trim().is_empty() || rest.trim_start().starts_with(';') {
                        true => Ok(Some(Value::sz(&out))),
                        false => Err("more after a text".into()),
                    };
                }
                // A text may contain line ends.
                out.push_str("\r\n");
                line = self.next().ok_or("a text without end")?.1;
            }
        }
        let lower = text.to_ascii_lowercase();
        if lower.split(';').next().unwrap_or_default().trim() == "-" {
            return Ok(None);
        }
        if let Some(number) = lower.strip_prefix("dword:") {
            let number = number.split(';').next().unwrap_or_default().trim();
            let good = !number.is_empty() && number.len() <= 8 && number.bytes().all(|b| b.is_ascii_hexdigit());
            let number = u32::from_str_radix(number, 16).ok().filter(|_| good);
            return Ok(Some(Value::dword(number.ok_or("`dword:` without 1 to 8 hexadecimal digits")?)));
        }
        let rest = lower.strip_prefix("hex").ok_or("a value of no known form")?;
        let (kind, first) = match rest.strip_prefix('(') {
            None => (ValueKind::BINARY, rest.strip_prefix(':')),
            Some(rest) => {
                let (kind, rest) = rest.split_once(')').ok_or("`hex(` without `)`")?;
                let kind = u32::from_str_radix(kind, 16).map_err(|_| "`hex()` with no hexadecimal type")?;
                (ValueKind(kind), rest.strip_prefix(':'))
            }
        };
        let mut bytes = Vec::new();
        let mut line = first.ok_or("`hex` without `:`")?.to_owned();
        loop {
            let content = line.split(';').next().unwrap_or_default().trim();
            let (content, goes_on) = content.strip_suffix('\\').map_or((content, false), |content| (content, true));
            for byte in content.split(',').map(str::trim).filter(|byte| !byte.is_empty()) {
                let good = byte.len() <= 2 && byte.bytes().all(|b| b.is_ascii_hexdigit());
                let byte = u8::from_str_radix(byte, 16).ok().filter(|_| good);
                bytes.push(byte.ok_or("`hex` with something that is not a byte")?);
            }
            if !goes_on {
                break;
            }
            line = loop {
                let next = self.next().ok_or("`hex` continues after the last line")?.1;
                if !is_comment(next.trim()) {
                    break next.to_owned();
                }
            };
        }
        // Version 4 stores texts in bytes, version 5 in UTF-16LE.
        if !wide && matches!(kind, ValueKind::SZ | ValueKind::EXPAND_SZ | ValueKind::MULTI_SZ) {
            if !bytes.is_ascii() {
                return Err("a text in bytes that are not ASCII; export it as version 5.00".into());
            }
            bytes = bytes.iter().flat_map(|byte| [*byte, 0]).collect();
        }
        Ok(Some(Value::new(kind, bytes)))
    }
}

fn in_line(error: Error, number: usize) -> Error {
    error.within(format_args!("bad .reg file: line {number}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TIME, edit as edit_image, hive, image};
    use super::*;
    use crate::windows::edit::HiveFile;

    const EDITS: &str = "Windows Registry Editor Version 5.00\r\n\r\n; a comment\r\n\
        [HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\Größe]\r\n\
        @=\"default\"\r\n\"Te\\\"xt\\\\\"=\"a \\\"b\\\" c:\\\\d\\e\" ; why\r\n\"Number\"=dword:0000002a\r\n\
        \"Bytes\"=hex:01,02,\\\r\n  03\r\n\"Multi\"=hex(7):61,00,00,00,00,00\r\n\"Quad\"=hex(b):01,00,00,00,00,00,00,00\r\n\
        \"Lines\"=\"one\r\ntwo\"\r\n\"Empty\"=hex(0):\r\n\"Gone\"=-\r\n\r\n\
        [-HKLM\\System\\ControlSet002]\r\n[HKLM\\software\\New\\]\r\n";

    fn apply(text: &[u8]) -> Result<(Hive, Hive)> {
        let mut tree = image();
        let file = RegFile::parse(text, None)?;
        edit_image(&mut tree, TIME, |image| file.apply(image))?;
        Ok((hive(&tree, HiveFile::System), hive(&tree, HiveFile::Software)))
    }

    #[test]
    fn edits_of_every_form_are_made() {
        let units = EDITS.encode_utf16().flat_map(u16::to_le_bytes);
        for bytes in [EDITS.as_bytes().to_vec(), [0xFF, 0xFE].into_iter().chain(units).collect()] {
            let (system, software) = apply(&bytes).unwrap();
            let key = system.find(r"ControlSet001\Services\Größe").unwrap();
            let value = |name: &str| system.value(key, name);
            assert_eq!(value("").unwrap(), Value::sz("default"));
            assert_eq!(value("Te\"xt\\").unwrap(), Value::sz("a \"b\" c:\\d\\e"));
            assert_eq!(value("Number").unwrap(), Value::dword(42));
            assert_eq!(value("Bytes").unwrap(), Value::binary([1, 2, 3]));
            assert_eq!(value("Multi").unwrap(), Value::multi_sz(["a"]));
            assert_eq!(value("Quad").unwrap(), Value::qword(1));
            assert_eq!(value("Lines").unwrap(), Value::sz("one\r\ntwo"));
            assert_eq!(value("Empty").unwrap(), Value::new(ValueKind::NONE, []));
            assert_eq!(value("Gone"), None);
            assert!(system.find("ControlSet002").is_none() && system.find("CurrentControlSet").is_none());
            assert!(software.find("New").is_some());
        }
    }

    #[test]
    fn what_registry_editor_passes_over_is_passed_over() {
        let text = "Windows Registry Editor Version 5.00\r\n# a\r\n[HKLM\\SYSTEM\\A] ; b\r\n\"x\"=hex:01,\\\r\n\r\n; c\r\n\
            #02,\\\r\n  03\r\n[HKLM\\SYSTEM\\A[1]] text\r\n";
        // UTF-16 that has lost its byte order mark.
        for bytes in [text.as_bytes().to_vec(), crate::types::text::to_utf16(text)] {
            let (system, _) = apply(&bytes).unwrap();
            assert_eq!(system.value(system.find("A").unwrap(), "x").unwrap(), Value::binary([1, 3]));
            assert!(system.find("A[1]").is_some());
        }
    }

    #[test]
    fn the_current_user_is_whom_the_recipe_says() {
        let text = b"REGEDIT4\n[HKEY_CURRENT_USER\\A]\n[hkcu\\B]\n";
        for (user, file) in [(RegUser::Default, HiveFile::NewUser), (RegUser::System, HiveFile::Default)] {
            let file_of = |section: &Section| (section.place.file, section.place.path.clone());
            let places: Vec<_> = RegFile::parse(text, Some(user)).unwrap().sections.iter().map(file_of).collect();
            assert_eq!(places, [(file, "A".into()), (file, "B".into())]);
        }
    }

    #[test]
    fn version_4_has_texts_in_bytes() {
        let (system, _) = apply(b"REGEDIT4\n[HKLM\\SYSTEM\\A]\n\"x\"=hex(2):61,62,00\n").unwrap();
        assert_eq!(system.value(system.find("A").unwrap(), "x").unwrap(), Value::expand_sz("ab"));
        assert!(apply(b"REGEDIT4\n[HKLM\\SYSTEM\\A]\n\"x\"=hex(1):fc,00\n").is_err());
    }

    #[test]
    fn keys_of_no_hive_are_refused() {
        let of_new_users = apply(b"REGEDIT4\n[HKEY_USERS\\Default\\A]\n").err().unwrap();
        assert_eq!(of_new_users.path(), Some(std::path::Path::new(HiveFile::NewUser.path())), "the image has none");
        for key in [r"HKEY_CURRENT_USER\X", r"HKLM\HARDWARE", r"HKLM\SYSTEMX", "HKLM", "", r"HKU\S-1-5-19"] {
            assert!(locate(key, None).unwrap_err().hint().is_some(), "{key}");
        }
    }

    #[test]
    fn bad_files_are_refused_with_the_line() {
        for (lines, number) in [
            ("x", 2),
            ("\"a\"=\"b\"", 2),
            ("[HKCU\\A]", 2),
            ("[HKLM\\SYSTEM", 2),
            ("[-HKLM\\SYSTEM]", 2),
            ("[HKLM\\SYSTEM\\A]\n\"a\"=", 3),
            ("[HKLM\\SYSTEM\\A]\n\"a\"=\"b", 3),
            ("[HKLM\\SYSTEM\\A]\n\"a\"=\"b\"c", 3),
            ("[HKLM\\SYSTEM\\A]\n\"a\"=dword:123456789", 3),
            ("[HKLM\\SYSTEM\\A]\n\"a\"=dword:+1", 3),
            ("[HKLM\\SYSTEM\\A]\n\"a\"=hex:1,2,xx", 3),
            ("[HKLM\\SYSTEM\\A]\n\"a\"=hex:1,\\", 3),
            ("[HKLM\\SYSTEM\\A]\n\"a\"=hex(z):1", 3),
            ("[-HKLM\\SYSTEM\\A]\n\"a\"=\"b\"", 3),
        ] {
            let error = RegFile::parse(format!("REGEDIT4\n{lines}").as_bytes(), None).unwrap_err();
            assert!(error.message().contains(&format!("line {number}:")), "{lines}: {error}");
        }
        assert!(RegFile::parse(b"[HKLM\\SYSTEM]", None).unwrap_err().hint().is_some());
        assert!(RegFile::parse(b"", None).is_err() && RegFile::parse(&[0xFF, 0xFE, 0], None).is_err());
    }
}

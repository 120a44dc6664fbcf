//! Lines of AddReg and DelReg sections.
//!
//! Sources: "INF AddReg Directive" and "INF DelReg Directive" on learn.microsoft.com.

use super::inf::{Inf, Line, bad_line, number};
use super::place::{self, Style};
use crate::error::Result;
use crate::registry::{Value, ValueKind};

/// The data is bytes.
const BINARY: u32 = 0x1;
const NO_CLOBBER: u32 = 0x2;
const DELETE: u32 = 0x4;
const APPEND: u32 = 0x8;
const KEY_ONLY: u32 = 0x10;
const OVERWRITE_ONLY: u32 = 0x20;
/// Like `KEY_ONLY`, for keys that several versions of Windows share.
const KEY_ONLY_COMMON: u32 = 0x2000;
/// For 32-bit programs.
const KEY_32_BIT: u32 = 0x4000;
/// In a DelReg section: strings of a value are deleted.
const DELETE_STRINGS: u32 = 0x1_8002;
/// A 64-bit number, or its bytes.
const QWORD: u32 = 0xB_0001;
/// Bits that say how the data is written.
const TYPE: u32 = 0xFFFF_0001;

/// The root of a line's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// HKR: relative to what the section is for.
    Relative,
    /// HKLM.
    Machine,
    /// HKLM as 32-bit programs see it.
    Machine32,
    /// HKCR.
    Classes,
}

/// The change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Create the key.
    Key,
    Set(Value),
    /// Set the value if it does not exist.
    SetNew(Value),
    /// Set the value if it exists.
    SetOld(Value),
    /// Add those strings to the value that it does not contain.
    Append(Vec<String>),
    /// Remove these strings from the value.
    Remove(Vec<String>),
    /// Delete the value, or the key if there is no name.
    Delete,
}

/// An edit of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub root: Root,
    /// Path below the root.
    pub key: String,
    pub name: String,
    pub action: Action,
}

/// The edits that a section wants: those of its DelReg lines, which Windows also applies first, then those of its
/// AddReg lines. What cannot be done is added to `not_applied`.
pub(super) fn all(inf: &Inf, section: &str, package: &str, not_applied: &mut Vec<String>) -> Result<Vec<Edit>> {
    let mut edits = Vec::new();
    for (directive, one) in [("DelReg", deletion as fn(&Inf, &Line, &str) -> _), ("AddReg", addition)] {
        for section in inf.list(section, directive)? {
            edits.extend(read(inf, &section, package, not_applied, one)?);
        }
    }
    Ok(edits)
}

/// The edits of a section. `one` reads a line.
fn read(
    inf: &Inf,
    section: &str,
    package: &str,
    not_applied: &mut Vec<String>,
    one: fn(&Inf, &Line, &str) -> Result<Result<Edit, String>>,
) -> Result<Vec<Edit>> {
    let mut edits = Vec::new();
    for line in inf.lines(section)? {
        match one(inf, line, package)? {
            Ok(edit) => edits.push(edit),
            Err(why) => not_applied.push(format!("[{section}], line {}: {}: {why}", line.number, line.shown())),
        }
    }
    Ok(edits)
}

/// A field with its strings replaced, and with directories in the form `style`.
fn text(inf: &Inf, line: &Line, index: usize, package: &str, style: Style) -> Result<String> {
    let field = line.fields.get(index).map_or("", String::as_str);
    inf.expand_with(field, &|id| place::directory(id, package, style))
}

/// The key and value of a line.
struct Subject {
    root: Root,
    key: String,
    name: String,
    flags: u32,
}

/// The first fields of a line, or why the line is not applied.
fn subject(inf: &Inf, line: &Line, package: &str) -> Result<Result<Subject, String>> {
    let text = |index: usize| text(inf, line, index, package, Style::Absolute);
    let flags = match text(3)? {
        empty if empty.is_empty() => 0,
        flags => number(&flags).ok_or_else(|| bad_line(line.number, "the flags are not a number"))?,
    };
    let root = match text(0)?.to_ascii_uppercase().as_str() {
        "HKR" => Root::Relative,
        "HKLM" if flags & KEY_32_BIT != 0 => Root::Machine32,
        "HKLM" => Root::Machine,
        "HKCR" if flags & KEY_32_BIT != 0 => return Ok(Err("HKCR of programs of 32 bits is not edited".into())),
        "HKCR" => Root::Classes,
        root @ ("HKCU" | "HKU") => return Ok(Err(format!("{root} belongs to users, who do not exist yet"))),
        _ => return Err(bad_line(line.number, "an edit of the registry begins with HKR, HKLM, HKCR, HKCU or HKU")),
    };
    let (key, name) = (text(1)?, text(2)?);
    let key = key.split('\\').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\\");
    if key.split('\\').any(|part| part.encode_utf16().count() > 255) || name.encode_utf16().count() > 16_383 {
        return Err(bad_line(line.number, "the name of a registry key or value is too long"));
    }
    Ok(Ok(Subject { root, key, name, flags }))
}

/// The edit of a line of a DelReg section, or why there is none.
fn deletion(inf: &Inf, line: &Line, package: &str) -> Result<Result<Edit, String>> {
    let Subject { root, key, name, flags } = match subject(inf, line, package)? {
        Ok(subject) => subject,
        Err(why) => return Ok(Err(why)),
    };
    if flags & DELETE_STRINGS == DELETE_STRINGS {
        let texts = (4..line.fields.len()).map(|index| text(inf, line, index, package, Style::Absolute));
        let action = Action::Remove(texts.collect::<Result<Vec<_>>>()?);
        return Ok(Ok(Edit { root, key, name, action }));
    }
    let name = if flags & KEY_ONLY_COMMON != 0 { String::new() } else { name };
    if key.is_empty() && name.is_empty() {
        return Ok(Err("it names neither a key nor a value".into()));
    }
    Ok(Ok(Edit { root, key, name, action: Action::Delete }))
}

/// The edit of a line of an AddReg section, or why there is none.
fn addition(inf: &Inf, line: &Line, package: &str) -> Result<Result<Edit, String>> {
    let Subject { root, key, name, flags } = match subject(inf, line, package)? {
        Ok(subject) => subject,
        Err(why) => return Ok(Err(why)),
    };
    let text = |index: usize, style: Style| text(inf, line, index, package, style);
    if flags & (KEY_ONLY | KEY_ONLY_COMMON) != 0 {
        return Ok(Ok(Edit { root, key, name: String::new(), action: Action::Key }));
    }
    if flags & DELETE != 0 {
        return Ok(Ok(Edit { root, key, name, action: Action::Delete }));
    }
    let fields = line.fields.get(4..).unwrap_or_default();
    let fields = &fields[..fields.iter().rposition(|field| !field.is_empty()).map_or(0, |last| last + 1)];
    let value = match flags & TYPE {
        0 => Value::sz(&text(4, Style::Absolute)?),
        0x2_0000 => Value::expand_sz(&text(4, Style::Environment)?),
        0x1_0000 => {
            let texts = (4..line.fields.len()).map(|index| text(index, Style::Absolute)).collect::<Result<Vec<_>>>()?;
            if flags & APPEND != 0 {
                return Ok(Ok(Edit { root, key, name, action: Action::Append(texts) }));
            }
            Value::multi_sz(texts.iter().filter(|text| !text.is_empty()))
        }
        0x1_0001 if fields.len() <= 1 => {
            let text = text(4, Style::Absolute)?;
            let value = if text.is_empty() { Some(0) } else { number(&text) };
            Value::dword(value.ok_or_else(|| bad_line(line.number, "the value is not a number"))?)
        }
        QWORD if fields.len() == 1 => {
            let text = text(4, Style::Absolute)?;
            Value::qword(long_number(&text).ok_or_else(|| bad_line(line.number, "the value is not a number"))?)
        }
        binary if binary & BINARY != 0 => {
            let kind = match binary >> 16 {
                0 => ValueKind::BINARY,
                1 => ValueKind::DWORD,
                2 => ValueKind::NONE,
                kind => ValueKind(kind),
            };
            let mut data = Vec::with_capacity(fields.len());
            for field in fields.iter().filter(|field| !field.is_empty()) {
                let byte = inf.expand(field)?;
                let byte = byte.trim().trim_start_matches("0x").trim_start_matches("0X");
                data.push(
                    u8::from_str_radix(byte, 16)
                        .map_err(|_| bad_line(line.number, "the value is not a list of bytes"))?,
                );
            }
            Value::new(kind, data)
        }
        other => return Ok(Err(format!("values of the type {other:#x} are not known"))),
    };
    let action = match flags & (NO_CLOBBER | OVERWRITE_ONLY) {
        0 => Action::Set(value),
        NO_CLOBBER => Action::SetNew(value),
        _ => Action::SetOld(value),
    };
    Ok(Ok(Edit { root, key, name, action }))
}

/// Like [`number`], with 64 bits.
fn long_number(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok().or_else(|| text.parse::<i64>().ok().map(i64::cast_unsigned)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Edit {
        let inf = Inf::parse(format!("[a]\n{line}\n[Strings]\nD=0x10001\nM=0x10000\n").as_bytes()).unwrap();
        let mut not_applied = Vec::new();
        let mut edits = read(&inf, "a", "pkg", &mut not_applied, addition).unwrap();
        assert_eq!((edits.len(), not_applied.len()), (1, 0), "{line}: {not_applied:?}");
        edits.remove(0)
    }

    fn set(line: &str) -> Value {
        match one(line).action {
            Action::Set(value) => value,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_types_are_read() {
        assert_eq!(set("HKR,,a,,b"), Value::sz("b"));
        assert_eq!(set("HKR,,a,0,\"b, c\""), Value::sz("b, c"));
        assert_eq!(set("HKR,,a"), Value::sz(""));
        assert_eq!(set("HKR,,a,0x20000,\"%%SystemRoot%%\\b\""), Value::expand_sz(r"%SystemRoot%\b"));
        assert_eq!(set(r"HKR,,a,0x20000,%11%\b"), Value::expand_sz(r"%SystemRoot%\System32\b"));
        assert_eq!(set(r"HKR,,a,,%11%\b"), Value::sz(r"C:\Windows\System32\b"));
        assert_eq!(set("HKR,,a,%M%,b,\"c d\""), Value::multi_sz(["b", "c d"]));
        assert_eq!(set("HKR,,a,%D%,0x10"), Value::dword(16));
        assert_eq!(set("HKR,,a,%D%,-1"), Value::dword(u32::MAX));
        assert_eq!(set("HKR,,a,%D%,78,0,0,0"), Value::dword(0x78));
        assert_eq!(set("HKR,,a,1,00, 1F,0xff"), Value::binary([0, 0x1F, 0xFF]));
        assert_eq!(set("HKR,,a,0x20001"), Value::new(ValueKind::NONE, []));
        assert_eq!(set("HKR,,a,0xB0001,1,0,0,0,0,0,0,0"), Value::qword(1));
        assert_eq!(set("HKR,,a,0x000B0001,0x70000040003"), Value::qword(0x700_0004_0003));
        assert_eq!(set("HKR,,a,0xB0001,-1"), Value::qword(u64::MAX));
        assert_eq!(set("HKR,,a,0x80001,5"), Value::new(ValueKind::RESOURCE_LIST, [5]));
        assert_eq!(set("HKR,,a,%D%,7,"), Value::dword(7), "a comma at the end is no byte");
    }

    #[test]
    fn deletions_come_first() {
        let text = "[a]\nAddReg=b\nDelReg=c,d\n[b]\nHKR,,x,,y\n[c]\nHKLM,k,v\nHKR,k\nHKR,k,,0x2000\n\
            HKLM,k,v,0x18002,one,two\n[d]\nHKLM,k,v,0x4000\n";
        let inf = Inf::parse(text.as_bytes()).unwrap();
        let mut not_applied = Vec::new();
        let edits = all(&inf, "a", "p", &mut not_applied).unwrap();
        let delete = |root, name: &str| Edit { root, key: "k".into(), name: name.into(), action: Action::Delete };
        let removal = Action::Remove(vec!["one".into(), "two".into()]);
        let strings = Edit { action: removal, ..delete(Root::Machine, "v") };
        let relative = delete(Root::Relative, "");
        assert_eq!(edits[..4], [delete(Root::Machine, "v"), relative.clone(), relative, strings]);
        assert_eq!(edits[4], delete(Root::Machine32, "v"));
        assert_eq!((edits.len(), &edits[5].action), (6, &Action::Set(Value::sz("y"))));
        assert!(not_applied.is_empty(), "{not_applied:?}");
    }

    #[test]
    fn roots_and_actions_are_read() {
        assert_eq!(one("HKR,\"\\A B\\C\\\",,0x10").key, r"A B\C");
        assert_eq!(one("HKR,a,,0x10").action, Action::Key);
        assert_eq!(one("HKLM,a,b,4").action, Action::Delete);
        assert_eq!(one("HKCR,a,b,2,c").action, Action::SetNew(Value::sz("c")));
        assert_eq!(one("HKLM,a,b,0x20,c").action, Action::SetOld(Value::sz("c")));
        assert_eq!(one("HKLM,a,b,0x10008,c,d").action, Action::Append(vec!["c".into(), "d".into()]));
        assert_eq!((one("hklm,a").root, one("HKCR,a").root), (Root::Machine, Root::Classes));
        assert_eq!(one("HKLM,a,b,0x4000,c").root, Root::Machine32);
    }

    #[test]
    fn what_cannot_be_done_is_told_and_errors_name_the_line() {
        let inf = |line: &str| Inf::parse(format!("[a]\n\n{line}\n").as_bytes()).unwrap();
        let additions = ["HKCU,a", "HKU,a", "HKR,,a,0x30000,b", "HKCR,a,,0x4000,b"].map(|line| (line, true));
        // No driver deletes all of HKCR or of a hive.
        for (line, adds) in additions.into_iter().chain([("HKCR", false), ("HKLM,\\\\", false), ("HKR", false)]) {
            let mut not_applied = Vec::new();
            let one = if adds { addition } else { deletion };
            assert_eq!(read(&inf(line), "a", "p", &mut not_applied, one).unwrap(), [], "{line}");
            assert!(not_applied[0].starts_with("[a], line 3: "), "{not_applied:?}");
        }
        for line in ["HKXX,a", "HKR,,a,x,b", "HKR,,a,0x10001,b", "HKR,,a,1,100", "a=b"] {
            let error = read(&inf(line), "a", "p", &mut Vec::new(), addition).unwrap_err();
            assert!(error.message().contains("line 3"), "{line}: {error}");
        }
    }
}

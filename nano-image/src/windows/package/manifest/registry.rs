//! Registry keys, and the notation of their values.

use super::common::{is_true, security_name};
use super::model::{Manifest, Operation, RegistryKey, RegistryValue};
use crate::registry::{Value, ValueKind};
use crate::xml::Element;

impl RegistryValue {
    /// Its type; `None` if the name is not a type.
    pub fn kind(&self) -> Option<ValueKind> {
        value_kind(&self.type_name)
    }
}

impl Manifest {
    pub(super) fn read_registry_key(&mut self, element: &Element) {
        let Some(path) = element.attribute("keyName").filter(|path| !path.is_empty()) else {
            return self.unhandled(element, "a registry key without a name");
        };
        let mut key = RegistryKey { path: path.to_owned(), values: Vec::new(), security: security_name(element) };
        for part in element.elements() {
            match part.local() {
                "registryValue" => match read_value(part) {
                    Ok(value) => key.values.push(value),
                    Err(why) => self.unhandled(part, format!("{why} (in the key `{path}`)")),
                },
                // Values that belong to settings are read with the settings.
                "securityDescriptor" | "systemProtection" | "overridable" => {}
                _ => self.unhandled(part, format!("not known in the key `{path}`")),
            }
        }
        self.registry.push(key);
    }
}

fn read_value(element: &Element) -> Result<RegistryValue, String> {
    let type_name = element.attribute("valueType").unwrap_or("REG_SZ").to_owned();
    let operation = match element.attribute("operationHint").map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "replace") => Operation::Replace,
        Some("append") => Operation::Append,
        Some(other) => return Err(format!("the operation `{other}` is not known")),
    };
    if operation == Operation::Append && value_kind(&type_name) != Some(ValueKind::MULTI_SZ) {
        return Err("only a list can be appended to".into());
    }
    Ok(RegistryValue {
        name: element.attribute("name").unwrap_or_default().to_owned(),
        type_name,
        text: element.attribute("value").map(str::to_owned),
        keep_existing: is_true(element.attribute("mutable")),
        operation,
    })
}

/// The type called `name`: a `REG_` name or eight hexadecimal digits.
pub(super) fn value_kind(name: &str) -> Option<ValueKind> {
    const NAMES: [(&str, ValueKind); 12] = [
        ("REG_NONE", ValueKind::NONE),
        ("REG_SZ", ValueKind::SZ),
        ("REG_EXPAND_SZ", ValueKind::EXPAND_SZ),
        ("REG_BINARY", ValueKind::BINARY),
        ("REG_DWORD", ValueKind::DWORD),
        ("REG_DWORD_BIG_ENDIAN", ValueKind::DWORD_BIG_ENDIAN),
        ("REG_LINK", ValueKind::LINK),
        ("REG_MULTI_SZ", ValueKind::MULTI_SZ),
        ("REG_RESOURCE_LIST", ValueKind::RESOURCE_LIST),
        ("REG_FULL_RESOURCE_DESCRIPTOR", ValueKind::FULL_RESOURCE_DESCRIPTOR),
        ("REG_RESOURCE_REQUIREMENTS_LIST", ValueKind::RESOURCE_REQUIREMENTS_LIST),
        ("REG_QWORD", ValueKind::QWORD),
    ];
    let known = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, kind)| *kind);
    let digits = || name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    known.or_else(|| digits().then(|| u32::from_str_radix(name, 16).ok().map(ValueKind)).flatten())
}

/// The value of type `kind` in `text`, whose macros must be expanded.
///
/// # Errors
/// A message that says what is wrong with the text.
pub(in super::super) fn decode_value(kind: ValueKind, text: &str) -> Result<Value, String> {
    Ok(match kind {
        ValueKind::SZ => Value::sz(text),
        ValueKind::EXPAND_SZ => Value::expand_sz(text),
        ValueKind::MULTI_SZ => Value::multi_sz(decode_list(text)?),
        ValueKind::DWORD if text.is_empty() => Value::new(kind, []),
        ValueKind::DWORD => {
            let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or(text);
            let number = u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
            Value::dword(number.ok_or_else(|| format!("`{text}` is not a number of 32 bits"))?)
        }
        _ => Value::new(kind, hex::decode(text).map_err(|_| format!("`{text}` is not hexadecimal"))?),
    })
}

/// The items of `"a","b c"`. Items are quoted; a quote inside one is doubled.
pub(in super::super) fn decode_list(text: &str) -> Result<Vec<String>, String> {
    let mut items = Vec::new();
    let mut rest = text.trim();
    let bad = || format!("`{text}` is not a list of quoted items");
    while !rest.is_empty() {
        let mut item = String::new();
        let mut inner = rest.strip_prefix('"').ok_or_else(bad)?;
        loop {
            let (before, after) = inner.split_once('"').ok_or_else(bad)?;
            item.push_str(before);
            inner = after;
            match inner.strip_prefix('"') {
                Some(after) => {
                    item.push('"');
                    inner = after;
                }
                None => break,
            }
        }
        // An empty item would end the list.
        items.extend(Some(item).filter(|item| !item.is_empty()));
        rest = inner.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',').ok_or_else(bad)?.trim_start();
        }
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(kind: &str, text: &str) -> Result<Vec<u8>, String> {
        decode_value(value_kind(kind).unwrap(), text).map(|value| value.data)
    }

    #[test]
    fn values_of_all_types() {
        assert_eq!(data("REG_SZ", "aé").unwrap(), [0x61, 0, 0xE9, 0, 0, 0]);
        assert_eq!(data("reg_dword", "0x0000000A").unwrap(), [10, 0, 0, 0]);
        assert_eq!(data("REG_DWORD", "7").unwrap(), [7, 0, 0, 0]);
        assert_eq!(data("REG_QWORD", "0A88000000000000").unwrap(), 0x880Au64.to_le_bytes());
        assert_eq!(data("REG_BINARY", "02fF00").unwrap(), [2, 0xFF, 0]);
        assert!(data("REG_NONE", "").unwrap().is_empty());
        assert_eq!(data("00020001", "610000").unwrap(), [0x61, 0, 0]);
        assert_eq!(decode_value(value_kind("00100000").unwrap(), "").unwrap().kind, ValueKind(0x10_0000));
        assert_eq!(data("REG_MULTI_SZ", "").unwrap(), [0, 0]);
        assert_eq!(decode_list(r#""a","b, c" , "d""e""#).unwrap(), ["a", "b, c", "d\"e"]);
        for (kind, text) in [
            ("REG_DWORD", "0x100000000"),
            ("REG_DWORD", "x"),
            ("REG_DWORD", "+1"),
            ("REG_BINARY", "0"),
            ("REG_QWORD", "0g"),
        ] {
            assert!(data(kind, text).is_err(), "{kind} {text}");
        }
        for text in ["a", "\"a", "\"a\"b", "\"a\",b"] {
            assert!(data("REG_MULTI_SZ", text).is_err(), "{text}");
        }
        assert!(value_kind("REG_X").is_none() && value_kind("0002000").is_none());
    }
}

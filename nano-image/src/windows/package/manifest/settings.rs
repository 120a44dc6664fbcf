//! Settings (SMI) whose defaults are values in the registry.

use super::common::is_true;
use super::model::{Manifest, Setting};
use super::registry::{decode_list, value_kind};
use crate::registry::{Value, ValueKind};
use crate::xml::Element;

const XSD: &str = "http://www.w3.org/2001/XMLSchema";
const WCM: &str = "http://schemas.microsoft.com/WMIConfig/2002/State";

impl Manifest {
    pub(super) fn read_configuration(&mut self, configuration: &Element) {
        let schemas = configuration.all("configurationSchema").flat_map(|schema| schema.elements());
        for schema in schemas.filter(|schema| schema.local() == "schema" && &*schema.namespace == XSD) {
            for element in schema.elements().filter(|element| &*element.namespace == XSD) {
                if element.local() == "element" {
                    self.read_setting(element);
                }
            }
        }
    }

    fn read_setting(&mut self, element: &Element) {
        let wcm = |name| element.attribute_of(WCM, name);
        let is_complex = element.elements().any(|part| part.local() == "complexType");
        if is_complex {
            if has_default(element) {
                self.unhandled(element, "settings of several parts are not written");
            }
            return;
        }
        let (Some(default), Some(handler)) = (element.attribute("default"), wcm("handler")) else { return };
        // An installation does not write what only an answer file sets.
        if is_true(wcm("dataOnly")) && wcm("passes").is_some() {
            return;
        }
        let argument = handler.trim().strip_prefix("regkey(").and_then(|rest| rest.strip_suffix(')'));
        let path = argument.and_then(|text| text.trim().strip_prefix('\'')?.strip_suffix('\''));
        let Some(path) = path else {
            return self.unhandled(element, format!("settings that `{handler}` keeps are not written"));
        };
        let data_type = element.attribute("type").unwrap_or_default();
        let data_type = data_type.rsplit(':').next().unwrap_or_default();
        let kind = match wcm("legacyType") {
            Some(name) => value_kind(name),
            None => default_kind(data_type),
        };
        let Some(kind) = kind else {
            let name = wcm("legacyType").unwrap_or(data_type);
            return self.unhandled(element, format!("the type `{name}` is not known"));
        };
        // The notation of schemas for several items is not known.
        if kind == ValueKind::MULTI_SZ && decode_list(default).is_err() {
            return self.unhandled(element, "the default of a list is not written");
        }
        self.settings.push(Setting {
            path: path.to_owned(),
            name: wcm("legacyName").or(element.attribute("name")).unwrap_or_default().to_owned(),
            kind,
            default: default.to_owned(),
            security: wcm("accessControl").map(str::to_owned),
        });
    }
}

fn has_default(element: &Element) -> bool {
    element.attribute("default").is_some() || element.elements().any(has_default)
}

/// The type of value for a type of XML Schema.
fn default_kind(data_type: &str) -> Option<ValueKind> {
    Some(match data_type {
        "string" | "anyURI" | "token" | "normalizedString" => ValueKind::SZ,
        "integer" | "int" | "unsignedInt" | "short" | "unsignedShort" | "byte" | "unsignedByte" | "boolean"
        | "nonNegativeInteger" | "positiveInteger" => ValueKind::DWORD,
        "long" | "unsignedLong" => ValueKind::QWORD,
        "hexBinary" => ValueKind::BINARY,
        "multiString" => ValueKind::MULTI_SZ,
        _ => return None,
    })
}

/// The value of type `kind` for a default, whose macros must be expanded.
///
/// # Errors
/// A message that says what is wrong with the text.
pub(in super::super) fn decode_default(kind: ValueKind, text: &str) -> Result<Value, String> {
    let number = || {
        let text = text.trim();
        let hex = text.strip_prefix("0x").or(text.strip_prefix("0X"));
        match (text, hex) {
            ("true", _) => Ok(1),
            ("false", _) => Ok(0),
            (_, Some(hex)) => i128::from_str_radix(hex, 16),
            _ => text.parse::<i128>(),
        }
        .map_err(|_| format!("`{text}` is not a number"))
    };
    // Negative numbers are stored as two's complement.
    let range = |bits: u32| {
        let number = number()?;
        let fits = number < 1 << bits && number >= -(1 << (bits - 1));
        if fits { Ok(number) } else { Err(format!("`{text}` is not a number of {bits} bits")) }
    };
    Ok(match kind {
        ValueKind::SZ => Value::sz(text),
        ValueKind::EXPAND_SZ => Value::expand_sz(text),
        ValueKind::DWORD => Value::dword(range(32)? as u32),
        ValueKind::QWORD => Value::qword(range(64)? as u64),
        ValueKind::MULTI_SZ => Value::multi_sz(decode_list(text)?),
        _ => Value::new(kind, hex::decode(text).map_err(|_| format!("`{text}` is not hexadecimal"))?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_of_schemas() {
        let data = |kind, text| decode_default(kind, text).map(|value| value.data);
        assert_eq!(data(ValueKind::DWORD, "true").unwrap(), [1, 0, 0, 0]);
        assert_eq!(data(ValueKind::DWORD, "16").unwrap(), [16, 0, 0, 0], "decimal, unlike in registry keys");
        assert_eq!(data(ValueKind::DWORD, "4294967295").unwrap(), [0xFF; 4]);
        assert_eq!(data(ValueKind::DWORD, "-1").unwrap(), [0xFF; 4]);
        assert_eq!(data(ValueKind::QWORD, "-1").unwrap(), [0xFF; 8]);
        assert_eq!(data(ValueKind::SZ, "a").unwrap(), [0x61, 0, 0, 0]);
        assert_eq!(data(ValueKind::MULTI_SZ, "").unwrap(), [0, 0]);
        assert_eq!(data(ValueKind::BINARY, "0aFF").unwrap(), [10, 255]);
        for (kind, text) in [(ValueKind::DWORD, "4294967296"), (ValueKind::DWORD, "a"), (ValueKind::MULTI_SZ, "a;b")] {
            assert!(data(kind, text).is_err(), "{kind} {text}");
        }
    }
}

//! Typed data of values.

use std::fmt;

use crate::types::text::{to_utf16, units};

/// The `REG_*` type of a value; any number is legal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueKind(pub u32);

impl ValueKind {
    /// REG_NONE.
    pub const NONE: Self = Self(0);
    /// REG_SZ.
    pub const SZ: Self = Self(1);
    /// REG_EXPAND_SZ.
    pub const EXPAND_SZ: Self = Self(2);
    /// REG_BINARY.
    pub const BINARY: Self = Self(3);
    /// REG_DWORD.
    pub const DWORD: Self = Self(4);
    /// REG_DWORD_BIG_ENDIAN.
    pub const DWORD_BIG_ENDIAN: Self = Self(5);
    /// REG_LINK.
    pub const LINK: Self = Self(6);
    /// REG_MULTI_SZ.
    pub const MULTI_SZ: Self = Self(7);
    /// REG_RESOURCE_LIST.
    pub const RESOURCE_LIST: Self = Self(8);
    /// REG_FULL_RESOURCE_DESCRIPTOR.
    pub const FULL_RESOURCE_DESCRIPTOR: Self = Self(9);
    /// REG_RESOURCE_REQUIREMENTS_LIST.
    pub const RESOURCE_REQUIREMENTS_LIST: Self = Self(10);
    /// REG_QWORD.
    pub const QWORD: Self = Self(11);
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::NONE => "REG_NONE",
            Self::SZ => "REG_SZ",
            Self::EXPAND_SZ => "REG_EXPAND_SZ",
            Self::BINARY => "REG_BINARY",
            Self::DWORD => "REG_DWORD",
            Self::DWORD_BIG_ENDIAN => "REG_DWORD_BIG_ENDIAN",
            Self::LINK => "REG_LINK",
            Self::MULTI_SZ => "REG_MULTI_SZ",
            Self::RESOURCE_LIST => "REG_RESOURCE_LIST",
            Self::FULL_RESOURCE_DESCRIPTOR => "REG_FULL_RESOURCE_DESCRIPTOR",
            Self::RESOURCE_REQUIREMENTS_LIST => "REG_RESOURCE_REQUIREMENTS_LIST",
            Self::QWORD => "REG_QWORD",
            Self(other) => return write!(f, "type {other:#x}"),
        };
        f.write_str(name)
    }
}

impl fmt::Debug for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Type and data of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Type.
    pub kind: ValueKind,
    /// Data as stored.
    pub data: Vec<u8>,
}

impl Value {
    /// Any type and data.
    pub fn new(kind: ValueKind, data: impl Into<Vec<u8>>) -> Self {
        Self { kind, data: data.into() }
    }

    /// REG_SZ with its terminator.
    pub fn sz(text: &str) -> Self {
        Self::new(ValueKind::SZ, text_bytes(text))
    }

    /// REG_EXPAND_SZ with its terminator.
    pub fn expand_sz(text: &str) -> Self {
        Self::new(ValueKind::EXPAND_SZ, text_bytes(text))
    }

    /// REG_MULTI_SZ with all terminators. No string should be empty, because an empty string ends the list.
    pub fn multi_sz<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Self {
        let mut data: Vec<u8> = texts.into_iter().flat_map(|text| text_bytes(text.as_ref())).collect();
        data.extend([0, 0]);
        Self::new(ValueKind::MULTI_SZ, data)
    }

    /// REG_DWORD.
    pub fn dword(number: u32) -> Self {
        Self::new(ValueKind::DWORD, number.to_le_bytes())
    }

    /// REG_QWORD.
    pub fn qword(number: u64) -> Self {
        Self::new(ValueKind::QWORD, number.to_le_bytes())
    }

    /// REG_BINARY.
    pub fn binary(data: impl Into<Vec<u8>>) -> Self {
        Self::new(ValueKind::BINARY, data)
    }

    /// Text of REG_SZ, REG_EXPAND_SZ and REG_LINK up to the first NUL. What is not valid UTF-16 becomes U+FFFD.
    pub fn text(&self) -> Option<String> {
        matches!(self.kind, ValueKind::SZ | ValueKind::EXPAND_SZ | ValueKind::LINK).then(|| {
            let text: Vec<u16> = units(&self.data).take_while(|unit| *unit != 0).collect();
            String::from_utf16_lossy(&text)
        })
    }

    /// Strings of REG_MULTI_SZ up to the first empty one.
    pub fn texts(&self) -> Option<Vec<String>> {
        (self.kind == ValueKind::MULTI_SZ).then(|| {
            let all: Vec<u16> = units(&self.data).collect();
            let strings = all.split(|unit| *unit == 0).take_while(|text| !text.is_empty());
            strings.map(String::from_utf16_lossy).collect()
        })
    }

    /// Number of a REG_DWORD.
    pub fn as_dword(&self) -> Option<u32> {
        let bytes = self.data.as_slice().try_into().ok()?;
        match self.kind {
            ValueKind::DWORD => Some(u32::from_le_bytes(bytes)),
            ValueKind::DWORD_BIG_ENDIAN => Some(u32::from_be_bytes(bytes)),
            _ => None,
        }
    }

    /// Number of a REG_QWORD.
    pub fn as_qword(&self) -> Option<u64> {
        let bytes = self.data.as_slice().try_into().ok()?;
        (self.kind == ValueKind::QWORD).then(|| u64::from_le_bytes(bytes))
    }
}

fn text_bytes(text: &str) -> Vec<u8> {
    [to_utf16(text), vec![0; 2]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_terminated_utf16() {
        assert_eq!(Value::sz("aé").data, [0x61, 0, 0xE9, 0, 0, 0]);
        assert_eq!(Value::sz("aé").text().unwrap(), "aé");
        assert_eq!(Value::new(ValueKind::SZ, [0x61, 0, 0x62]).text().unwrap(), "a");
        assert_eq!(Value::multi_sz(["a", "b"]).data, [0x61, 0, 0, 0, 0x62, 0, 0, 0, 0, 0]);
        assert_eq!(Value::multi_sz(["a", "b"]).texts().unwrap(), ["a", "b"]);
        assert_eq!(Value::multi_sz::<&str>([]).data, [0, 0]);
        assert_eq!(Value::dword(5).as_dword(), Some(5));
        assert_eq!(Value::qword(5).as_dword(), None);
    }
}

//! Text in files of Windows: detection of its encoding, and UTF-16 in structures.

use std::borrow::Cow;

use crate::error::{Error, Result};

/// Code points of the bytes 0x80 to 0x9F in Windows-1252; the other bytes are those of Latin-1.
const WINDOWS_1252: [char; 32] = [
    '\u{20AC}', '\u{81}', '\u{201A}', '\u{192}', '\u{201E}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{2C6}', '\u{2030}',
    '\u{160}', '\u{2039}', '\u{152}', '\u{8D}', '\u{17D}', '\u{8F}', '\u{90}', '\u{2018}', '\u{2019}', '\u{201C}',
    '\u{201D}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2DC}', '\u{2122}', '\u{161}', '\u{203A}', '\u{153}', '\u{9D}',
    '\u{17E}', '\u{178}',
];

/// The encoding of a text that has no byte order mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmarked {
    /// UTF-8.
    Utf8,
    /// UTF-16LE if the second byte is 0, else the ANSI code page. No file says which page; Windows-1252 is the most
    /// common.
    Ansi,
}

/// The text of a file, without its byte order mark.
#[derive(Clone, Debug)]
pub struct Text<'a> {
    /// Borrowed where the file is UTF-8.
    pub text: Cow<'a, str>,
    /// Whether the file is UTF-16.
    pub is_utf16: bool,
    /// Length of the byte order mark.
    skipped: u64,
}

impl<'a> Text<'a> {
    /// Decodes a file, which errors call `what`: as UTF-8 or UTF-16 if its byte order mark says so, else as `unmarked`
    /// says.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for bytes that are not in the encoding, with the position of the first
    /// one if it is known.
    pub fn decode(bytes: &'a [u8], what: &str, unmarked: Unmarked) -> Result<Self> {
        let bad = |encoding: &str, why: &str, at: usize| {
            Error::corrupt(format!("bad {what}: it is not {encoding}{why}"))
                .at(at as u64)
                .with_hint("save it as UTF-8, or as UTF-16 with a byte order mark")
        };
        let utf16 = |skipped: usize, unit: fn([u8; 2]) -> u16| {
            let text = strict(&bytes[skipped..], unit)
                .map_err(|at| bad("UTF-16", ", as its first bytes say", skipped + at))?;
            Ok(Self { text: text.into(), is_utf16: true, skipped: skipped as u64 })
        };
        let utf8 = |skipped: usize| {
            let text = std::str::from_utf8(&bytes[skipped..]);
            let text = text.map_err(|error| bad("UTF-8", "", skipped + error.valid_up_to()))?;
            Ok(Self { text: text.into(), is_utf16: false, skipped: skipped as u64 })
        };
        match (bytes, unmarked) {
            ([0xFF, 0xFE, ..], _) => utf16(2, u16::from_le_bytes),
            ([0xFE, 0xFF, ..], _) => utf16(2, u16::from_be_bytes),
            ([0xEF, 0xBB, 0xBF, ..], _) => utf8(3),
            (_, Unmarked::Utf8) => utf8(0),
            ([first, 0, ..], Unmarked::Ansi) if first.is_ascii() => utf16(0, u16::from_le_bytes),
            (_, Unmarked::Ansi) => match bytes.iter().position(|byte| *byte == 0) {
                Some(at) => Err(Error::corrupt(format!("bad {what}: it holds bytes that are not text")).at(at as u64)),
                None => Ok(Self { text: windows_1252(bytes).into(), is_utf16: false, skipped: 0 }),
            },
        }
    }

    /// Converts positions in the text to positions in the file.
    pub fn places(&self) -> Places<'_> {
        Places { text: self, at: 0, place: self.skipped }
    }
}

/// Translates byte offsets in the decoded text to byte offsets in the file, in ascending order.
#[derive(Clone, Debug)]
pub struct Places<'a> {
    text: &'a Text<'a>,
    at: usize,
    place: u64,
}

impl Places<'_> {
    /// The position in the file of byte `at` of the text. `at` must not be smaller than in the last call.
    pub fn place(&mut self, at: u64) -> u64 {
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(self.text.text.len());
        if !self.text.is_utf16 {
            return at as u64 + self.text.skipped;
        }
        let passed = self.text.text.get(self.at..at).unwrap_or_default();
        self.place += 2 * passed.encode_utf16().count() as u64;
        self.at = self.at.max(at);
        self.place
    }
}

/// The code units of UTF-16LE bytes; an odd byte at the end is ignored.
pub fn units(bytes: &[u8]) -> impl Iterator<Item = u16> + Clone {
    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
}

/// Decodes UTF-16LE; `None` if there is an odd byte or an unpaired surrogate.
pub fn utf16(bytes: &[u8]) -> Option<String> {
    strict(bytes, u16::from_le_bytes).ok()
}

/// Decodes UTF-16LE; what is not valid becomes U+FFFD.
pub fn utf16_lossy(bytes: &[u8]) -> String {
    char::decode_utf16(units(bytes)).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// `text` as UTF-16LE.
pub fn to_utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// The text, or the offset of the first unit that is not UTF-16.
fn strict(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, usize> {
    let (mut text, mut at) = (String::with_capacity(bytes.len() / 2), 0);
    for c in char::decode_utf16(bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]))) {
        let c = c.map_err(|_| at)?;
        text.push(c);
        at += 2 * c.len_utf16();
    }
    if at == bytes.len() { Ok(text) } else { Err(at) }
}

fn windows_1252(bytes: &[u8]) -> String {
    let decode = |&byte: &u8| match byte {
        0x80..0xA0 => WINDOWS_1252[usize::from(byte) - 0x80],
        byte => char::from(byte),
    };
    bytes.iter().map(decode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_encodings_are_read() {
        let text = "[a]\r\nb=\"Größe €\"";
        let little = to_utf16(text);
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let decoded = |bytes: &[u8], unmarked| Text::decode(bytes, "file", unmarked).unwrap().text.into_owned();
        for bytes in [
            [&[0xFF, 0xFE], &little[..]].concat(),
            [&[0xFE, 0xFF], &big[..]].concat(),
            [&[0xEF, 0xBB, 0xBF], text.as_bytes()].concat(),
        ] {
            assert_eq!((decoded(&bytes, Unmarked::Utf8), decoded(&bytes, Unmarked::Ansi)), (text.into(), text.into()));
        }
        for bytes in [little, b"[a]\r\nb=\"Gr\xF6\xDFe \x80\"".to_vec()] {
            assert_eq!(decoded(&bytes, Unmarked::Ansi), text);
        }
        assert_eq!(decoded(text.as_bytes(), Unmarked::Utf8), text);
    }

    #[test]
    fn wrong_bytes_are_named() {
        for (bytes, unmarked, at) in [
            (&[0xFF, 0xFE, b'a', 0, 1][..], Unmarked::Utf8, 4),
            (&[0xFF, 0xFE, 0, 0xD8, b'a', 0], Unmarked::Ansi, 2),
            (&[0xEF, 0xBB, 0xBF, 0xFF], Unmarked::Ansi, 3),
            (b"ab\xFF", Unmarked::Utf8, 2),
            (b"MZ\x90\0", Unmarked::Ansi, 3),
        ] {
            let error = Text::decode(bytes, "file", unmarked).unwrap_err();
            assert_eq!(error.offset(), Some(at), "{bytes:?}: {error}");
            assert!(error.message().starts_with("bad file: "), "{error}");
        }
        assert_eq!(utf16(&[0x3D, 0xD8]), None);
        assert_eq!(utf16_lossy(&[0x3D, 0xD8, b'a', 0, 9]), "\u{FFFD}a");
    }

    #[test]
    fn places_are_those_of_the_file() {
        let bytes = [&[0xFF, 0xFE], &to_utf16("aü\u{1F600}b")[..]].concat();
        let text = Text::decode(&bytes, "file", Unmarked::Utf8).unwrap();
        let mut places = text.places();
        assert_eq!([0, 1, 3, 7, 8, 99].map(|at| places.place(at)), [2, 4, 6, 10, 12, 12]);
        let text = Text::decode(b"\xEF\xBB\xBFab", "file", Unmarked::Utf8).unwrap();
        assert_eq!(text.places().place(1), 4);
    }
}

//! Encodings of INF files.

use crate::error::{Error, Result};

/// Code points of the bytes 0x80 to 0x9F in Windows-1252; the other bytes are those of Latin-1.
const WINDOWS_1252: &str = "\u{20AC}\u{81}\u{201A}\u{192}\u{201E}\u{2026}\u{2020}\u{2021}\u{2C6}\u{2030}\u{160}\u{2039}\
    \u{152}\u{8D}\u{17D}\u{8F}\u{90}\u{2018}\u{2019}\u{201C}\u{201D}\u{2022}\u{2013}\u{2014}\u{2DC}\u{2122}\u{161}\
    \u{203A}\u{153}\u{9D}\u{17E}\u{178}";

/// The text of a file: UTF-16 (with a byte order mark, or little-endian without), UTF-8 with a byte order mark, and
/// otherwise the ANSI code page, of which nothing says which it is: Windows-1252 is that of most.
pub(super) fn decode(bytes: &[u8]) -> Result<String> {
    match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => {
            let text = std::str::from_utf8(rest).map_err(|error| {
                Error::corrupt("bad INF file: it is not UTF-8, as its byte order mark says")
                    .at(3 + error.valid_up_to() as u64)
            })?;
            Ok(text.to_owned())
        }
        [first, 0, ..] if first.is_ascii() => utf16(bytes, u16::from_le_bytes),
        _ => {
            if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
                return Err(Error::corrupt("not an INF file: it holds bytes that no text has").at(at as u64));
            }
            let high: Vec<char> = WINDOWS_1252.chars().collect();
            Ok(bytes
                .iter()
                .map(|&byte| if (0x80..0xA0).contains(&byte) { high[usize::from(byte) - 0x80] } else { byte.into() })
                .collect())
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String> {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
    let text = String::from_utf16(&units).ok().filter(|_| bytes.len().is_multiple_of(2));
    text.ok_or_else(|| Error::corrupt("bad INF file: it is not UTF-16, as its first bytes say"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_encodings_are_read() {
        let text = "[a]\r\nb=\"Größe €\"";
        let units: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for bytes in [
            [&[0xFF, 0xFE], &little[..]].concat(),
            [&[0xFE, 0xFF], &big[..]].concat(),
            little,
            [&[0xEF, 0xBB, 0xBF], text.as_bytes()].concat(),
            b"[a]\r\nb=\"Gr\xF6\xDFe \x80\"".to_vec(),
        ] {
            assert_eq!(decode(&bytes).unwrap(), text);
        }
        for bytes in [&[0xFF, 0xFE, 1][..], &[0xFF, 0xFE, 0, 0xD8], &[0xEF, 0xBB, 0xBF, 0xFF], b"MZ\x90\0"] {
            assert!(decode(bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(WINDOWS_1252.chars().count(), 32);
    }
}

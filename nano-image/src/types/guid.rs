//! GUIDs in Microsoft's mixed-endian byte order.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A GUID, kept in the byte order in which GPT, VHDX, NTFS and the registry store it: the first three fields are
/// little-endian (RFC 9562 §4, "variant" note; UEFI 2.10 appendix A).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid([u8; 16]);

impl Guid {
    /// The all-zero GUID.
    pub const NIL: Self = Self([0; 16]);

    /// From stored bytes (mixed-endian).
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// From the four fields of its text form, as C headers write it.
    pub const fn from_fields(a: u32, b: u16, c: u16, d: [u8; 8]) -> Self {
        let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
        Self([a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]])
    }

    /// The stored bytes (mixed-endian).
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for Guid {
    /// Lower case, without braces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for index in [3, 2, 1, 0, 16, 5, 4, 16, 7, 6, 16, 8, 9, 16, 10, 11, 12, 13, 14, 15] {
            match self.0.get(index) {
                Some(byte) => write!(f, "{byte:02x}")?,
                None => f.write_str("-")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Guid {
    type Err = Error;

    /// `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, with or without braces, in any case.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::recipe(format!("`{text}` is not a GUID"));
        let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
        let groups: Vec<&str> = inner.split('-').collect();
        if groups.iter().map(|g| g.len()).ne([8, 4, 4, 4, 12]) {
            return Err(bad());
        }
        let mut be = [0; 16];
        hex::decode_to_slice(groups.concat(), &mut be).map_err(|_| bad())?;
        be[0..4].reverse();
        be[4..6].reverse();
        be[6..8].reverse();
        Ok(Self(be))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_are_mixed_endian() {
        let text = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
        let guid: Guid = text.parse().unwrap();
        assert_eq!(guid.to_bytes()[..6], [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8]);
        assert_eq!(guid.to_string(), text);
        assert_eq!(format!("{{{text}}}").parse::<Guid>().unwrap(), guid);
        assert!("c12a7328".parse::<Guid>().is_err());
    }
}

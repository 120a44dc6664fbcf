//! Members of express packages for images (PSFX, since 1809): `<component>\f|r|n\<path>`. They are deltas after a
//! checksum.

use crate::error::{Error, Result};

/// What a member in a component's folder contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The file itself.
    Whole,
    /// `f`: a delta from the file with which the image was released to this one.
    Forward,
    /// `r`: a delta from this file to the one with which the image was released.
    Reverse,
    /// `n`: a delta that needs no basis.
    Null,
}

/// Splits the path of a member (`\` between names, lower case) into its kind, its component, and the path of the file
/// in the component's folder; `None` for what is not in a folder.
pub fn split(path: &str) -> Option<(Kind, &str, &str)> {
    let (component, file) = path.split_once('\\')?;
    let kind = match file.split_once('\\') {
        Some(("f", _)) => Kind::Forward,
        Some(("r", _)) => Kind::Reverse,
        Some(("n", _)) => Kind::Null,
        _ => Kind::Whole,
    };
    let file = if kind == Kind::Whole { file } else { &file[2..] };
    Some((kind, component, file))
}

/// The path of the member of this kind.
pub fn path(kind: Kind, component: &str, file: &str) -> String {
    match kind {
        Kind::Whole => format!(r"{component}\{file}"),
        Kind::Forward => format!(r"{component}\f\{file}"),
        Kind::Reverse => format!(r"{component}\r\{file}"),
        Kind::Null => format!(r"{component}\n\{file}"),
    }
}

/// The delta in a member: what follows its checksum (CRC-32), or the whole member if it has no checksum.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) if the checksum is wrong or there is no delta.
pub fn delta(member: &[u8]) -> Result<&[u8]> {
    let is_delta = |bytes: &[u8]| matches!(bytes.get(..4), Some(b"PA30" | b"PA31" | b"PA19"));
    if is_delta(member) {
        return Ok(member);
    }
    let (sum, delta) = match member.split_first_chunk::<4>() {
        Some((sum, delta)) if is_delta(delta) => (u32::from_le_bytes(*sum), delta),
        _ => return Err(Error::corrupt("not a delta").at(0)),
    };
    let actual = checksum(delta);
    match actual == sum {
        true => Ok(delta),
        false => Err(Error::corrupt(format!("the delta has the checksum {actual:#010x}, not {sum:#010x}")).at(0)),
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_kinds() {
        assert_eq!(split(r"amd64_a\f\x.dll"), Some((Kind::Forward, "amd64_a", "x.dll")));
        assert_eq!(split(r"amd64_a\r\en\x.dll"), Some((Kind::Reverse, "amd64_a", r"en\x.dll")));
        assert_eq!(split(r"amd64_a\n\x.dll"), Some((Kind::Null, "amd64_a", "x.dll")));
        assert_eq!(split(r"amd64_a\x.dll"), Some((Kind::Whole, "amd64_a", "x.dll")));
        assert_eq!(split("update.mum"), None);
        for name in [r"a\f\x", r"a\r\x\y", r"a\n\x", r"a\x"] {
            let (kind, component, file) = split(name).unwrap();
            assert_eq!(path(kind, component, file), name);
        }
    }

    #[test]
    fn a_checksum_comes_before_the_delta() {
        let framed = [&checksum(b"PA30abc").to_le_bytes()[..], b"PA30abc"].concat();
        assert_eq!(delta(&framed).unwrap(), b"PA30abc");
        assert_eq!(delta(b"PA31x").unwrap(), b"PA31x");
        let mut damaged = framed.clone();
        damaged[8] ^= 1;
        assert!(delta(&damaged).unwrap_err().to_string().contains("checksum"));
        assert!(delta(b"abc").is_err() && delta(b"12345678").is_err());
    }
}

//! Digests in indexes.

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The digest of a file or of a part of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1: indexes up to Windows 7.
    Sha1([u8; 20]),
    /// SHA-256: all later indexes.
    Sha256([u8; 32]),
}

impl Hash {
    /// Parses the attributes `alg` and `value` of an index; `None` for another algorithm or malformed digits.
    pub(super) fn parse(algorithm: &str, digits: &str) -> Option<Self> {
        match algorithm.to_ascii_uppercase().as_str() {
            "SHA1" => bytes(digits).map(Self::Sha1),
            "SHA256" => bytes(digits).map(Self::Sha256),
            _ => None,
        }
    }

    /// Whether it is the digest of `contents`.
    pub fn fits(&self, contents: &[u8]) -> bool {
        match self {
            Self::Sha1(hash) => Sha1::digest(contents)[..] == hash[..],
            Self::Sha256(hash) => Sha256::digest(contents)[..] == hash[..],
        }
    }
}

fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if digits.len() != 2 * N || !digits.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(bytes)
}

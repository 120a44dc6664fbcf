//! Hashes of results and bases (§3).

use std::fmt;

use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

use super::bits::Buffer;
use super::format::{HASH_MD5, HASH_NONE, HASH_SHA1, HASH_SHA256};
use crate::error::{Error, Result};

/// A hash that a delta holds, of its result or its basis.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    /// How it is made.
    pub algorithm: HashAlgorithm,
    bytes: Vec<u8>,
}

/// The algorithms that deltas use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HashAlgorithm {
    /// MD5, of Windows 6.x.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-256, of Windows 10 and later.
    Sha256,
}

impl Hash {
    /// Reads the hash in `buffer`, made by algorithm number `algorithm`; `None` if that number means "no hash", or if
    /// the buffer is empty and may be.
    pub(super) fn read(algorithm: i64, buffer: Buffer<'_>, may_be_empty: bool) -> Result<Option<Self>> {
        let bytes = buffer.bytes;
        let (algorithm, len) = match algorithm {
            HASH_NONE if bytes.is_empty() => return Ok(None),
            HASH_NONE => return Err(Error::corrupt("a hash without an algorithm").at(buffer.offset)),
            HASH_MD5 => (HashAlgorithm::Md5, 16),
            HASH_SHA1 => (HashAlgorithm::Sha1, 20),
            HASH_SHA256 => (HashAlgorithm::Sha256, 32),
            other => {
                let message = format!("a delta with a hash of algorithm {other:#x}");
                return Err(Error::unsupported(message).at(buffer.offset));
            }
        };
        if bytes.is_empty() && may_be_empty {
            return Ok(None);
        }
        if bytes.len() != len {
            let message = format!("a hash ({algorithm:?}) of {} bytes instead of {len}", bytes.len());
            return Err(Error::corrupt(message).at(buffer.offset));
        }
        Ok(Some(Self { algorithm, bytes: bytes.to_vec() }))
    }

    /// Whether this is the hash of `data`.
    pub fn is_of(&self, data: &[u8]) -> bool {
        self.bytes == Self::of(self.algorithm, data).bytes
    }

    fn of(algorithm: HashAlgorithm, data: &[u8]) -> Self {
        let bytes = match algorithm {
            HashAlgorithm::Md5 => Md5::digest(data).to_vec(),
            HashAlgorithm::Sha1 => Sha1::digest(data).to_vec(),
            HashAlgorithm::Sha256 => Sha256::digest(data).to_vec(),
        };
        Self { algorithm, bytes }
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.algorithm, hex::encode(&self.bytes))
    }
}

//! Every identifier of an image, derived from one seed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::types::{Guid, form};

/// The source of all GUIDs, serial numbers and signatures of one image. The same seed and purpose give the same
/// identifier, so images are reproducible; two seeds have no identifier in common.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// let seed: nano_image::Seed = "5e".repeat(32).parse()?;
/// let recipe = nano_image::Recipe::image("1").seed(seed).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seed([u8; 32]);

/// The seeds of the identifiers of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// For identifiers that say "the same disk": GUIDs of disk and partitions, serial numbers, the VHDX's virtual disk.
    pub disk: Seed,
    /// For identifiers that say "the same bytes": a differencing disk recognises its parent by them.
    pub bytes: Seed,
}

impl Seed {
    /// From 32 bytes, e.g. a SHA-256 digest of the inputs.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// The GUID for `purpose` (RFC 9562 §5.8, version 8).
    pub fn guid(&self, purpose: &str) -> Guid {
        let mut bytes: [u8; 16] = self.derive(purpose)[..16].try_into().expect("16 of 32 bytes");
        // The version lies in the high nibble of the third field, which is stored little-endian.
        bytes[7] = bytes[7] & 0x0F | 0x80;
        bytes[8] = bytes[8] & 0x3F | 0x80;
        Guid::from_bytes(bytes)
    }

    /// A non-zero 64-bit serial number for `purpose`.
    pub fn serial(&self, purpose: &str) -> u64 {
        u64::from_le_bytes(self.derive(purpose)[..8].try_into().expect("8 of 32 bytes")).max(1)
    }

    /// A non-zero 32-bit signature for `purpose`.
    pub fn signature(&self, purpose: &str) -> u32 {
        u32::from_le_bytes(self.derive(purpose)[..4].try_into().expect("4 of 32 bytes")).max(1)
    }

    /// 32 bytes for `purpose`.
    pub(crate) fn derive(&self, purpose: &str) -> [u8; 32] {
        Sha256::new().chain_update(self.0).chain_update(purpose).finalize().into()
    }
}

impl fmt::Display for Seed {
    /// 64 lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for Seed {
    type Err = Error;

    /// 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad =
            || Error::recipe(format!("`{text}` is not a seed")).with_hint("write 64 hexadecimal digits, or `random`");
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| bad())?;
        Ok(Self(bytes))
    }
}

form::as_text!(Seed);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_depend_on_seed_and_purpose_alone() {
        let (a, b) = (Seed::from_bytes([1; 32]), Seed::from_bytes([2; 32]));
        assert_eq!(a.guid("disk"), a.guid("disk"));
        assert_ne!(a.guid("disk"), a.guid("partition"));
        assert_ne!(a.guid("disk"), b.guid("disk"));
        assert_eq!(a.guid("disk").to_string().as_bytes()[14], b'8');
        assert_eq!(a.to_string().parse::<Seed>().unwrap(), a);
    }
}

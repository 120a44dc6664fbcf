//! Sizes as people write them.

use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use super::form;
use super::size::ByteSize;
use crate::error::Error;

impl FromStr for ByteSize {
    type Err = Error;

    /// A whole number with an optional unit, as qemu-img takes it: `4G`, `100 MiB`, `512M`, `1048576`. Units are
    /// powers of 1024.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || {
            Error::recipe(format!("`{text}` is not a size"))
                .with_hint("write a whole number and a unit: 512M, 4G, 1T (powers of 1024)")
        };
        let digits = text.trim().trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = text.trim()[digits.len()..].trim().to_ascii_lowercase();
        let shift = match unit.as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            _ => return Err(bad()),
        };
        let number: u64 = digits.parse().map_err(|_| bad())?;
        number.checked_mul(1 << shift).map(Self::new).ok_or_else(bad)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    /// A number of bytes, or text as [`FromStr`] takes it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: String = form::text(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

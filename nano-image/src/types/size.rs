//! Sizes and addresses.

use std::fmt;

use serde::Serialize;

/// A length in bytes.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::ByteSize;
///
/// assert_eq!("4G".parse::<ByteSize>()?, ByteSize::gib(4));
/// assert_eq!(ByteSize::mib(512).to_string(), "512 MiB");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ByteSize(u64);

impl ByteSize {
    /// `bytes` bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// `n` × 1024 bytes.
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// `n` × 1024² bytes.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// `n` × 1024³ bytes.
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }

    /// `n` × 1024⁴ bytes.
    pub const fn tib(n: u64) -> Self {
        Self(n << 40)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ByteSize {
    /// In the largest unit that divides it evenly, else with one decimal: `4 GiB`, `531.2 MiB`, `17 bytes`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        for (unit, shift) in UNITS {
            if self.0 >> shift > 0 {
                return if self.0.trailing_zeros() >= shift {
                    write!(f, "{} {unit}", self.0 >> shift)
                } else {
                    write!(f, "{:.1} {unit}", self.0 as f64 / (1u64 << shift) as f64)
                };
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

macro_rules! address {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);
    )+};
}

address! {
    /// Byte position from the start of the virtual disk.
    DiskOffset,
    /// Byte position from the start of a volume (partition).
    VolumeOffset,
    /// Byte position from the start of a file (an input or the image file).
    FileOffset,
    /// Logical block address: the number of a sector of the disk.
    Lba,
    /// Logical cluster number: the number of a cluster of the volume.
    Lcn,
    /// Virtual cluster number: the number of a cluster of a stream.
    Vcn,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_qemu_img_reads_them() {
        assert_eq!("4G".parse::<ByteSize>().unwrap(), ByteSize::gib(4));
        assert_eq!("100 MiB".parse::<ByteSize>().unwrap(), ByteSize::mib(100));
        assert_eq!("512".parse::<ByteSize>().unwrap(), ByteSize::new(512));
        for bad in ["", "4X", "G", "-1", "99999999T", "1.5G"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_print_in_the_largest_whole_unit() {
        assert_eq!(ByteSize::gib(4).to_string(), "4 GiB");
        assert_eq!(ByteSize::new(557_000_000).to_string(), "531.2 MiB");
        assert_eq!(ByteSize::new(17).to_string(), "17 bytes");
    }
}

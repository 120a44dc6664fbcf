//! Partition tables and disk image containers.
//!
//! A [`Container`] is a pure, monotone map from the disk's address space to the image file's: the whole file is known
//! (and its size exact) before the first data byte, and is written in one ascending pass to any [`Output`].
//! [`open`] reads images back, [`check()`] finds what is wrong with a container.

mod blocks;
mod check;
mod compare;
mod container;
pub mod gpt;
pub mod mbr;
mod read;
pub mod sink;
pub mod vhd;
pub mod vhdx;

pub use check::check;
pub use compare::{ByteDifference, CompareOutput};
pub use container::{Container, Writer};
pub use read::{DiskReader, FileContent, open};
pub use sink::{FileOutput, Output, StreamOutput};

use crate::error::Result;
use crate::identity::{Identity, Seed};
use crate::types::{ByteSize, FileTime};

/// File format of a disk image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// The disk's bytes and nothing else; sparse where the output can be.
    Raw,
    /// VHDX ([MS-VHDX]): Hyper-V from Windows Server 2012 on.
    Vhdx {
        /// Whether blocks without data are left out.
        subformat: Subformat,
        /// A power of two from 1 to 256 MiB.
        block_size: ByteSize,
    },
    /// VHD (Virtual Hard Disk Image Format Specification 1.0): Hyper-V, Azure, VirtualBox.
    Vhd {
        /// Whether blocks without data are left out.
        subformat: Subformat,
        /// 2 MiB or 512 KiB; without meaning when fixed.
        block_size: ByteSize,
    },
}

impl Format {
    /// Dynamic VHDX with 1 MiB blocks, the smallest: the file holds the least zeros.
    pub const VHDX: Self = Self::Vhdx { subformat: Subformat::Dynamic, block_size: ByteSize::mib(1) };
    /// Dynamic VHD with 2 MiB blocks, the specification's default.
    pub const VHD: Self = Self::Vhd { subformat: Subformat::Dynamic, block_size: ByteSize::mib(2) };
    /// What Azure accepts: a fixed VHD of whole MiB.
    pub const AZURE: Self = Self::Vhd { subformat: Subformat::Fixed, block_size: ByteSize::mib(2) };

    /// Checks whether a disk of `disk_size` can have this format, before anything of it is known.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) for a disk or block size that the format does not have.
    pub fn check(self, disk_size: ByteSize) -> Result<()> {
        let seed = Seed::from_bytes([0; 32]);
        let identity = Identity { disk: seed, bytes: seed };
        Container::lay_out(self, disk_size, &[], &identity, FileTime(0)).map(|_| ())
    }

    /// The usual file name extension, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Vhdx { .. } => "vhdx",
            Self::Vhd { .. } => "vhd",
        }
    }

    /// Subformat and block size, as far as the format has them.
    pub fn shape(self) -> (Option<Subformat>, Option<ByteSize>) {
        match self {
            Self::Raw => (None, None),
            Self::Vhd { subformat: Subformat::Fixed, .. } => (Some(Subformat::Fixed), None),
            Self::Vhdx { subformat, block_size } | Self::Vhd { subformat, block_size } => {
                (Some(subformat), Some(block_size))
            }
        }
    }
}

/// Whether a container's file holds every block or only those with data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Subformat {
    /// Only blocks with data are in the file.
    Dynamic,
    /// Every block is in the file.
    Fixed,
}

impl Subformat {
    /// One lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Fixed => "fixed",
        }
    }
}

//! The row of a format in the table of formats.

use super::map::Opened;
use super::parent::Parent;
use super::parts::Parts;
use super::subformat::Subformat;
use crate::content::{Extent, ReadAt};
use crate::error::Result;
use crate::identity::Identity;
use crate::report::Findings;
use crate::types::{ByteSize, FileTime};

/// The firmware of machines that boot from a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsualFirmware {
    /// UEFI.
    Uefi,
    /// A BIOS.
    Bios,
    /// Either.
    Any,
}

/// Size of a disk and of its sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSize {
    /// Bytes of the disk.
    pub bytes: ByteSize,
    /// Bytes of a logical sector.
    pub sector_size: u32,
}

impl From<ByteSize> for DiskSize {
    /// A disk with sectors of 512 bytes.
    fn from(bytes: ByteSize) -> Self {
        Self { bytes, sector_size: 512 }
    }
}

/// A format: everything about it that is needed outside of its folder.
pub(super) struct Row {
    /// Its name on a command line: one lower-case word.
    pub name: &'static str,
    /// Its name in a sentence.
    pub title: &'static str,
    /// What it is for, in a few words.
    pub about: &'static str,
    /// Extensions of its files, the usual one first.
    pub extensions: &'static [&'static str],
    /// QEMU's name for it.
    pub qemu: &'static str,
    /// libvirt's name for it; `None` if libvirt does not support it.
    pub libvirt: Option<&'static str>,
    /// The firmware that usually boots from it.
    pub firmware: UsualFirmware,
    /// Its subformats, and the block sizes of each. The first of each is the default.
    pub shapes: &'static [Shape],
    /// Logical sector sizes, bytes, that its disks can have.
    pub sectors: &'static [u32],
    /// Block sizes of its differencing images, the usual one first; empty if it has no such images.
    pub differencing: &'static [ByteSize],
    /// Names of variants that certain hosts need.
    pub presets: &'static [PresetRow],
    /// Whether a file of this length has this format.
    pub is: fn(&dyn ReadAt, u64) -> Result<bool>,
    /// Reads everything but the disk's bytes of a file.
    pub open: fn(&dyn ReadAt, u64) -> Result<Opened>,
    /// Adds what is wrong with a file.
    pub check: fn(&dyn ReadAt, u64, &mut Findings),
    /// Lays out a file.
    pub parts: fn(&Request<'_>) -> Result<Parts>,
}

/// A subformat, if the format has any, and its block sizes, if it has blocks.
pub(super) type Shape = (Option<Subformat>, &'static [ByteSize]);

/// The name of a variant of a format.
pub(super) struct PresetRow {
    /// The name: one lower-case word.
    pub name: &'static str,
    /// Who wants it, as the subject of a sentence.
    pub host: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// The only subformat that it may have.
    pub subformat: Subformat,
}

/// The content of a file that is to be laid out.
pub(super) struct Request<'a> {
    /// A subformat of the format.
    pub subformat: Option<Subformat>,
    /// A block size of the subformat; 0 if it has no blocks.
    pub block_size: u64,
    /// Size of the disk, a whole number of sectors.
    pub disk_size: ByteSize,
    /// Bytes of a logical sector. The format must support it.
    pub sector_size: u32,
    /// The parts of the disk that may be non-zero, in ascending order, with gaps between them.
    pub used: &'a [Extent],
    /// Source of identifiers.
    pub identity: &'a Identity,
    /// The time stamp, for formats that have one.
    pub time: FileTime,
    /// The parent of a differencing disk, for formats that have such disks. `used` is then what differs, in whole
    /// grains.
    pub parent: Option<&'a Parent<'a>>,
}

//! What a format of disk images is made of: its row in the table of formats.

use super::map::Opened;
use super::parent::Parent;
use super::parts::Parts;
use super::subformat::Subformat;
use crate::content::{Extent, ReadAt};
use crate::error::Result;
use crate::identity::Identity;
use crate::report::Findings;
use crate::types::{ByteSize, FileTime};

/// The firmware of the machines that take a format.
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

/// How large a disk and its sectors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSize {
    /// Of the disk.
    pub bytes: ByteSize,
    /// Bytes of a logical sector.
    pub sector_size: u32,
}

impl From<ByteSize> for DiskSize {
    /// With sectors of 512 bytes.
    fn from(bytes: ByteSize) -> Self {
        Self { bytes, sector_size: 512 }
    }
}

/// A format: all that is to be known of it outside of its folder.
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
    /// Block sizes of its differencing images, the usual one first; none if it has no such images.
    pub differencing: &'static [ByteSize],
    /// Names for a shape that a certain host wants.
    pub presets: &'static [PresetRow],
    /// Whether a file of so many bytes is one.
    pub is: fn(&dyn ReadAt, u64) -> Result<bool>,
    /// Reads everything but the disk's bytes of such a file.
    pub open: fn(&dyn ReadAt, u64) -> Result<Opened>,
    /// Adds what is wrong with such a file.
    pub check: fn(&dyn ReadAt, u64, &mut Findings),
    /// Lays out a file.
    pub parts: fn(&Request<'_>) -> Result<Parts>,
}

/// A subformat, if the format has any, and its block sizes, if it has blocks.
pub(super) type Shape = (Option<Subformat>, &'static [ByteSize]);

/// A name for one shape of a format.
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

/// What a file shall hold.
pub(super) struct Request<'a> {
    /// One that the format has.
    pub subformat: Option<Subformat>,
    /// One that the subformat has; 0 if it has no blocks.
    pub block_size: u64,
    /// Size of the disk, a whole number of sectors.
    pub disk_size: ByteSize,
    /// Bytes of a logical sector: a size that the format has.
    pub sector_size: u32,
    /// The parts that may hold other bytes than zero, in ascending order, with gaps between them.
    pub used: &'a [Extent],
    /// Makes identifiers.
    pub identity: &'a Identity,
    /// The time stamp, for formats that have one.
    pub time: FileTime,
    /// The parent of a differencing disk, for formats that have such; `used` is then what differs, in whole grains.
    pub parent: Option<&'a Parent<'a>>,
}

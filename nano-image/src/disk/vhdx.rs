//! VHDX, Hyper-V's disk image format ([MS-VHDX] "Virtual Hard Disk v2 (VHDX) File Format").
//!
//! Our own code, because the crates that write VHDX take their GUIDs from a random generator, so that every image would
//! be different, and those that read it panic on damaged files.

mod check;
mod differencing;
pub mod format;
mod layout;
mod locator;
mod read;

use super::row::{Row, UsualFirmware};
use super::subformat::Subformat;
use crate::types::ByteSize;

/// Powers of two (§2.6.2.1).
const BLOCK_SIZES: &[ByteSize] = &[
    ByteSize::mib(1),
    ByteSize::mib(2),
    ByteSize::mib(4),
    ByteSize::mib(8),
    ByteSize::mib(16),
    ByteSize::mib(32),
    ByteSize::mib(64),
    ByteSize::mib(128),
    ByteSize::mib(256),
];

pub(super) const FORMAT: Row = Row {
    name: "vhdx",
    title: "VHDX",
    about: "Hyper-V from Windows Server 2012 on (.vhdx)",
    extensions: &["vhdx"],
    qemu: "vhdx",
    libvirt: None,
    firmware: UsualFirmware::Uefi,
    shapes: &[(Some(Subformat::Dynamic), BLOCK_SIZES), (Some(Subformat::Fixed), BLOCK_SIZES)],
    sectors: &[512, 4096],
    differencing: BLOCK_SIZES,
    presets: &[],
    is: read::is_vhdx,
    open: read::open,
    check: check::check,
    parts: layout::parts,
};

//! VHD, the older disk image format of Hyper-V and the one of Azure (Virtual Hard Disk Image Format Specification 1.0).
//!
//! Our own code like [VHDX](super::vhdx): identifiers and times must come from the caller, and the layout must ascend.

mod check;
pub mod format;
mod layout;
mod parent;
mod read;

use super::row::{PresetRow, Row, UsualFirmware};
use super::subformat::Subformat;
use crate::types::ByteSize;

pub(super) const FORMAT: Row = Row {
    name: "vhd",
    title: "VHD",
    about: "Hyper-V, VirtualBox (.vhd)",
    extensions: &["vhd"],
    qemu: "vpc",
    libvirt: Some("vpc"),
    firmware: UsualFirmware::Bios,
    shapes: &[(Some(Subformat::Dynamic), &[ByteSize::mib(2), ByteSize::kib(512)]), (Some(Subformat::Fixed), &[])],
    sectors: &[512],
    differencing: &[ByteSize::mib(2), ByteSize::kib(512)],
    presets: &[PresetRow {
        name: "azure",
        host: "Azure",
        about: "Fixed VHD, as Azure takes it",
        subformat: Subformat::Fixed,
    }],
    is: read::is_vhd,
    open: read::open,
    check: check::check,
    parts: layout::parts,
};

//! VMDK, VMware's disk format, as one file: sparse (`monolithicSparse`), or compressed as in appliances
//! (`streamOptimized`).
//! "Virtual Disk Format 5.0" of VMware.
//!
//! Our own code, because no crate writes it in one ascending pass with sizes that are known beforehand.

mod check;
mod description;
mod format;
mod layout;
mod read;
mod stream;

use super::row::{Row, UsualFirmware};
use super::subformat::Subformat;

pub(super) const FORMAT: Row = Row {
    name: "vmdk",
    title: "VMDK",
    about: "VMware, VirtualBox (.vmdk)",
    extensions: &["vmdk"],
    qemu: "vmdk",
    libvirt: Some("vmdk"),
    firmware: UsualFirmware::Any,
    shapes: &[
        (Some(Subformat::MonolithicSparse), &[format::GRAIN]),
        (Some(Subformat::StreamOptimized), &[format::GRAIN]),
    ],
    sectors: &[512],
    differencing: &[],
    presets: &[],
    is: read::is_vmdk,
    open: read::open,
    check: check::check,
    parts: layout::parts,
};

//! VMDK, VMware's disk format, as one sparse file (`monolithicSparse`); that of appliances (`streamOptimized`) is read.
//! "Virtual Disk Format 5.0" of VMware.
//!
//! Home-made because no crate writes it in one ascending pass with sizes that are known beforehand.

mod check;
mod format;
mod lay_out;
mod read;

use super::row::{Row, UsualFirmware};

pub(super) const FORMAT: Row = Row {
    name: "vmdk",
    title: "VMDK",
    about: "VMware, VirtualBox (.vmdk)",
    extensions: &["vmdk"],
    qemu: "vmdk",
    libvirt: Some("vmdk"),
    firmware: UsualFirmware::Any,
    shapes: &[(None, &[format::GRAIN])],
    differencing: &[],
    presets: &[],
    is: read::is_vmdk,
    open: read::open,
    check: check::check,
    lay_out: lay_out::lay_out,
};

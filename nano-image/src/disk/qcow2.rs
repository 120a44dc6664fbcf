//! qcow2, QEMU's disk image format (QEMU's `docs/interop/qcow2.txt`), version 3.
//!
//! Our own code, because no crate writes it in one ascending pass with sizes that are known beforehand.

mod backing;
mod check;
mod format;
mod layout;
mod packed;
mod read;
mod subclusters;

use super::row::{Row, UsualFirmware};
use crate::types::ByteSize;

pub(super) const FORMAT: Row = Row {
    name: "qcow2",
    title: "qcow2",
    about: "QEMU, KVM, Proxmox, OpenStack (.qcow2)",
    extensions: &["qcow2"],
    qemu: "qcow2",
    libvirt: Some("qcow2"),
    firmware: UsualFirmware::Any,
    shapes: &[(
        None,
        &[
            ByteSize::kib(64),
            ByteSize::kib(4),
            ByteSize::kib(8),
            ByteSize::kib(16),
            ByteSize::kib(32),
            ByteSize::kib(128),
            ByteSize::kib(256),
            ByteSize::kib(512),
            ByteSize::mib(1),
            ByteSize::mib(2),
        ],
    )],
    sectors: &[512],
    // Without subclusters, a larger cluster would repeat the bytes around a page that differs.
    differencing: &[ByteSize::kib(4), ByteSize::kib(64)],
    presets: &[],
    is: read::is_qcow2,
    open: read::open,
    check: check::check,
    parts: layout::parts,
};

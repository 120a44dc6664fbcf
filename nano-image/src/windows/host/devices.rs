//! The devices of hosts, with the identifiers by which Windows looks for drivers.

use super::kind::Host;
use crate::windows::boot::Firmware;

/// A device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Device {
    /// Its name for messages.
    pub name: &'static str,
    bus: Bus,
}

#[derive(Clone, Copy, Debug)]
enum Bus {
    Pci {
        vendor: u16,
        device: u16,
        /// Subsystem and its vendor.
        subsystem: u32,
        revision: u8,
        /// Class, subclass, interface.
        class: u32,
    },
    /// An identifier of the bus itself.
    Id(&'static str),
}

impl Device {
    /// All its identifiers, most specific first.
    pub fn ids(&self) -> Vec<String> {
        let Bus::Pci { vendor, device, subsystem, revision, class } = self.bus else {
            let Bus::Id(id) = self.bus else { return Vec::new() };
            return vec![id.to_owned()];
        };
        let (own, short) = (format!(r"PCI\VEN_{vendor:04X}&DEV_{device:04X}"), class >> 8);
        vec![
            format!("{own}&SUBSYS_{subsystem:08X}&REV_{revision:02X}"),
            format!("{own}&SUBSYS_{subsystem:08X}"),
            format!("{own}&CC_{class:06X}"),
            format!("{own}&CC_{short:04X}"),
            format!("{own}&REV_{revision:02X}"),
            own.clone(),
            format!(r"PCI\VEN_{vendor:04X}&CC_{class:06X}"),
            format!(r"PCI\VEN_{vendor:04X}&CC_{short:04X}"),
            format!(r"PCI\CC_{class:06X}"),
            format!(r"PCI\CC_{short:04X}"),
        ]
    }

    /// The identifier that is best known.
    pub fn known_as(&self) -> String {
        match self.bus {
            Bus::Pci { vendor, device, .. } => format!(r"PCI\VEN_{vendor:04X}&DEV_{device:04X}"),
            Bus::Id(id) => id.into(),
        }
    }
}

const fn pci(name: &'static str, vendor: u16, device: u16, subsystem: u32, class: u32) -> Device {
    Device { name, bus: Bus::Pci { vendor, device, subsystem, revision: 0, class } }
}

/// A modern virtio device: its revision is 1, and its subsystem is the same for all kinds.
const fn modern(name: &'static str, device: u16, class: u32) -> Device {
    let bus = Bus::Pci { vendor: VIRTIO, device, subsystem: 0x1100_1AF4, revision: 1, class };
    Device { name, bus }
}

const VIRTIO: u16 = 0x1AF4;
const OLD_BLOCK: Device = pci("legacy virtio disk", VIRTIO, 0x1001, 0x0002_1AF4, 0x01_00_00);
const BLOCK: Device = modern("virtio disk", 0x1042, 0x01_00_00);
const OLD_SCSI: Device = pci("legacy virtio SCSI controller", VIRTIO, 0x1004, 0x0008_1AF4, 0x01_00_00);
const SCSI: Device = modern("virtio SCSI controller", 0x1048, 0x01_00_00);
const OLD_NETWORK: Device = pci("legacy virtio network adapter", VIRTIO, 0x1000, 0x0001_1AF4, 0x02_00_00);
const NETWORK: Device = modern("virtio network adapter", 0x1041, 0x02_00_00);

const VMBUS_SCSI: Device =
    Device { name: "SCSI controller of Hyper-V", bus: Bus::Id(r"VMBUS\{ba6163d9-04a1-4d29-b605-72e2ffb1dc7f}") };
const VMBUS_NETWORK: Device =
    Device { name: "network adapter of Hyper-V", bus: Bus::Id(r"VMBUS\{f8615163-df3e-46c5-913f-f2d2f965ed0e}") };
const PIIX_IDE: Device = pci("IDE controller", 0x8086, 0x7111, 0, 0x01_01_8A);

const VMWARE_PVSCSI: Device = pci("paravirtual SCSI controller", 0x15AD, 0x07C0, 0x07C0_15AD, 0x01_07_00);
const VMWARE_SAS: Device = pci("LSI SAS controller", 0x1000, 0x0054, 0x1976_15AD, 0x01_07_00);
const VMWARE_SATA: Device = pci("SATA controller", 0x15AD, 0x07E0, 0x07E0_15AD, 0x01_06_01);
const VMWARE_NVME: Device = pci("NVMe controller", 0x15AD, 0x07F0, 0x07F0_15AD, 0x01_08_02);
const VMXNET3: Device = pci("VMXNET3 adapter", 0x15AD, 0x07B0, 0x07B0_15AD, 0x02_00_00);
const E1000E: Device = pci("E1000e adapter", 0x8086, 0x10D3, 0x07D0_15AD, 0x02_00_00);

const VIRTUALBOX_SATA: Device = pci("SATA controller", 0x8086, 0x2829, 0, 0x01_06_01);
const VIRTUALBOX_NVME: Device = pci("NVMe controller", 0x80EE, 0x4E56, 0, 0x01_08_02);
const E1000: Device = pci("E1000 adapter", 0x8086, 0x100E, 0x001E_8086, 0x02_00_00);
const VIRTUALBOX_E1000: Device = pci("E1000 server adapter", 0x8086, 0x100F, 0x0750_15AD, 0x02_00_00);

/// What must have drivers: one of the alternatives, with all its devices.
type Alternatives = &'static [&'static [Device]];

/// The disks that a host may give to a machine.
pub(super) fn storage(host: Host, firmware: Firmware) -> Alternatives {
    match (host, firmware) {
        // The boot disk of a BIOS machine is attached to its IDE controller.
        (Host::HyperV | Host::Azure, Firmware::Bios) => &[&[PIIX_IDE]],
        (Host::HyperV | Host::Azure, Firmware::Uefi) => &[&[VMBUS_SCSI]],
        (Host::Kvm | Host::Kubevirt | Host::Openstack, _) => &[&[BLOCK, OLD_BLOCK], &[SCSI, OLD_SCSI]],
        (Host::CloudHypervisor, _) => &[&[BLOCK]],
        (Host::Vmware, _) => &[&[VMWARE_PVSCSI], &[VMWARE_SAS], &[VMWARE_SATA], &[VMWARE_NVME]],
        (Host::Virtualbox, Firmware::Bios) => &[&[VIRTUALBOX_SATA], &[PIIX_IDE], &[VIRTUALBOX_NVME]],
        (Host::Virtualbox, Firmware::Uefi) => &[&[VIRTUALBOX_SATA], &[VIRTUALBOX_NVME]],
    }
}

/// The network adapters that a host may give to a machine.
pub(super) fn network(host: Host) -> Alternatives {
    match host {
        Host::HyperV | Host::Azure => &[&[VMBUS_NETWORK]],
        Host::Kvm | Host::Kubevirt | Host::Openstack => &[&[NETWORK, OLD_NETWORK]],
        Host::CloudHypervisor => &[&[NETWORK]],
        Host::Vmware => &[&[VMXNET3], &[E1000E]],
        Host::Virtualbox => &[&[E1000], &[VIRTUALBOX_E1000]],
    }
}

//! Commands for hosts that take a copy of the disk.

use super::{Machine, PROCESSORS, sh};
use nano_image::Format;

impl Machine {
    /// A managed disk is uploaded as a fixed VHD, and a machine made of it.
    ///
    /// Source: "Upload a VHD to Azure or copy a managed disk to another region" on learn.microsoft.com.
    pub(super) fn azure(&self) -> String {
        let (mut script, mut path) = (String::new(), self.path.clone());
        if self.format != Format::VHD || self.is_dynamic {
            path += ".azure.vhd";
            let (from, to) = (sh(&self.path), sh(&path));
            let options = "subformat=fixed,force_size=on";
            script = format!("qemu-img convert -f {} -O vpc -o {options} {from} {to}\n", self.format.qemu_name());
        }
        let name = sh(&host_name(&self.name));
        let which = format!("--resource-group \"$GROUP\" --name {name}");
        let generation = if self.uefi { "V2" } else { "V1" };
        let architecture = if self.is_arm64 { " --architecture Arm64" } else { "" };
        let size = if self.is_arm64 { "Standard_D2ps_v5" } else { "Standard_B2s" };
        script
            + &format!(
                "az disk create {which} --os-type Windows --hyper-v-generation {generation}{architecture} \\\n  \
                 --upload-type Upload --upload-size-bytes {} --sku StandardSSD_LRS\n\
                 azcopy copy {} \"$(az disk grant-access {which} --access-level Write \\\n  \
                 --duration-in-seconds 86400 --query 'accessSas || accessSAS' --output tsv)\" --blob-type PageBlob\n\
                 az disk revoke-access {which}\n\
                 az vm create {which} --attach-os-disk {name} --os-type Windows --size {size}\n",
                self.size + VHD_FOOTER,
                sh(&path),
            )
    }

    /// A machine is made, and the disk copied to its storage, in whatever format that has.
    ///
    /// Source: the manual page of qm(1).
    pub(super) fn proxmox(&self) -> String {
        let (firmware, bus, model) = match self.uefi {
            true => (
                "--machine q35 --bios ovmf --efidisk0 \"$STORAGE:1,efitype=4m,pre-enrolled-keys=1\"",
                "sata0",
                "e1000e",
            ),
            false => ("--machine pc", "ide0", "e1000"),
        };
        let system = match (self.windows, self.wants_tpm) {
            (false, _) => "other",
            (true, false) => "win10",
            (true, true) => "win11",
        };
        let tpm = if self.wants_tpm { " --tpmstate0 \"$STORAGE:1,version=v2.0\"" } else { "" };
        let network = format!("{model},bridge={}", self.switch.as_deref().unwrap_or("vmbr0"));
        format!(
            "VMID=$(pvesh get /cluster/nextid) STORAGE=${{STORAGE:-local-lvm}}\n\
             qm create \"$VMID\" --name {} --memory {} --cores {PROCESSORS} --ostype {system} \\\n  \
             {firmware}{tpm} --net0 {}\n\
             qm disk import \"$VMID\" {} \"$STORAGE\" --target-disk {bus}\n\
             qm set \"$VMID\" --boot order={bus}\n\
             qm start \"$VMID\"\n",
            sh(&host_name(&self.name)),
            self.memory_mib,
            sh(&network),
            sh(&self.path),
        )
    }
}

/// Bytes behind the disk in a fixed VHD.
const VHD_FOOTER: u64 = 512;

/// The name as hosts want it: letters, digits and hyphens.
fn host_name(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    match plain.trim_matches('-') {
        "" => "machine".into(),
        plain => plain.chars().take(63).collect(),
    }
}

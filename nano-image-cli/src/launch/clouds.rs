//! Commands for hosts that take a copy of the disk.

use super::{Machine, PROCESSORS, sh};
use nano_image::Format;

impl Machine {
    /// Uploads a managed disk as a fixed VHD, and makes a machine from it.
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

    /// Makes a machine, and copies the disk to its storage, in whatever format that has.
    ///
    /// Source: the manual page of qm(1); `--target-disk` is in its source alone.
    pub(super) fn proxmox(&self) -> String {
        // With keys enrolled, Secure Boot is on.
        let keys = u8::from(self.secure_boot());
        let efi = format!("--bios ovmf --efidisk0 \"$STORAGE:1,efitype=4m,pre-enrolled-keys={keys}\"");
        let (firmware, bus, model) = match self.uefi {
            true => (format!("--machine q35 {efi}"), "sata0", "e1000e"),
            false => ("--machine pc".into(), "ide0", "e1000"),
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

/// Bytes that a fixed VHD has after the disk.
const VHD_FOOTER: u64 = 512;

/// The name in the form that hosts want: letters, digits and hyphens.
fn host_name(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    match plain.trim_matches('-') {
        "" => "machine".into(),
        plain => plain.chars().take(63).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::machine;
    use super::*;

    /// The flags of each command, as a script has them.
    fn flags(script: &str, command: &str) -> Vec<String> {
        let script = script.replace("\\\n", "");
        let (_, rest) = script.split_once(command).unwrap_or_else(|| panic!("{command}: {script}"));
        let words = rest.lines().next().unwrap().split(' ').take_while(|word| !word.starts_with("$("));
        words.filter(|word| word.starts_with("--")).map(|word| word.trim_end_matches([')', '"']).to_owned()).collect()
    }

    /// What `az` takes, by its reference of commands, and what each command cannot do without.
    #[test]
    fn azure_knows_all_flags() {
        let of_disk = ["--resource-group", "--name"];
        let arm = Machine { is_arm64: true, ..machine("vhdx", true) };
        for script in [machine("vhd", false).azure(), machine("vhdx", true).azure(), arm.azure()] {
            for (command, known, needed) in [
                (
                    "az disk create ",
                    &[
                        "--os-type",
                        "--hyper-v-generation",
                        "--architecture",
                        "--upload-type",
                        "--upload-size-bytes",
                        "--sku",
                    ][..],
                    &["--upload-type", "--upload-size-bytes"][..],
                ),
                (
                    "az disk grant-access ",
                    &["--access-level", "--duration-in-seconds", "--query", "--output", "--blob-type"],
                    &["--access-level", "--duration-in-seconds"],
                ),
                ("az disk revoke-access ", &[], &[]),
                ("az vm create ", &["--attach-os-disk", "--os-type", "--size"], &["--attach-os-disk", "--os-type"]),
            ] {
                let flags = flags(&script, command);
                assert!(of_disk.iter().chain(needed).all(|flag| flags.iter().any(|own| own == flag)), "{script}");
                assert!(flags.iter().all(|flag| of_disk.iter().chain(known).any(|known| known == flag)), "{flags:?}");
            }
            // 4 GiB and the footer of a fixed VHD.
            assert!(script.contains("--upload-size-bytes 4294967808"), "{script}");
        }
    }

    #[test]
    fn proxmox_turns_secure_boot_on_where_the_image_can() {
        let unsigned = Machine { insecure: Some("why".into()), ..machine("qcow2", true) };
        for (machine, part) in [
            (machine("qcow2", true), Some("pre-enrolled-keys=1")),
            (unsigned, Some("pre-enrolled-keys=0")),
            (machine("qcow2", false), None),
        ] {
            let script = machine.proxmox();
            assert_eq!(script.contains("--efidisk0"), part.is_some(), "{script}");
            assert!(part.is_none_or(|part| script.contains(part)), "{script}");
            let known = [
                "--name",
                "--memory",
                "--cores",
                "--ostype",
                "--machine",
                "--bios",
                "--efidisk0",
                "--tpmstate0",
                "--net0",
            ];
            assert!(flags(&script, "qm create ").iter().all(|flag| known.contains(&&**flag)), "{script}");
            assert_eq!(flags(&script, "qm disk import "), ["--target-disk"]);
            assert_eq!(flags(&script, "qm set "), ["--boot"]);
        }
    }
}

//! `nano-image run-hint` and `nano-image inspect --launch`: commands that start a disk image.

mod clouds;

use std::path::{Path, PathBuf};

use nano_image::inspect::{self, Inspection, Scheme};
use nano_image::{ByteSize, Error, Format, Result};
use serde_json::json;

use crate::args::{CommandSet, RunHint};
use crate::report::{message, output, printable, warning};

/// Memory with which Nano Server runs well; it needs at least half of that.
const MEMORY_MIB: u64 = 1024;
const PROCESSORS: u32 = 2;
/// The first build of Windows 11.
const FIRST_WINDOWS_11: u32 = 22000;
/// The firmware in Debian's package `ovmf`; other distributions keep it elsewhere.
const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const OVMF_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// The same for ARM64, in Debian's package `qemu-efi-aarch64`.
const AAVMF_CODE: &str = "/usr/share/AAVMF/AAVMF_CODE.fd";
const AAVMF_VARS: &str = "/usr/share/AAVMF/AAVMF_VARS.fd";

/// What the user wants of the machine.
#[derive(Default)]
pub struct Wishes<'a> {
    name: Option<&'a str>,
    memory: Option<ByteSize>,
    switch: Option<&'a str>,
    /// Which commands are wanted; empty for all.
    sets: &'a [CommandSet],
}

impl<'a> Wishes<'a> {
    pub fn of(arguments: &'a RunHint) -> Self {
        let (name, switch) = (arguments.name.as_deref(), arguments.switch.as_deref());
        Self { name, memory: arguments.memory, switch, sets: &arguments.set }
    }
}

/// Prints the commands that start the disk image at `path`.
pub fn run(path: &Path, wishes: &Wishes<'_>, as_json: bool) -> Result<()> {
    let inspection = inspect::open(path)?;
    let machine = Machine::of(path, &inspection, wishes)?;
    let boot = &inspection.boot;
    if boot.removable_path.is_none() && boot.stores.is_empty() {
        message(&warning("the disk has no boot manager: it may not start"));
    }
    // QEMU reads zeros where a VHD takes bytes from its parent, and refuses such VHDX files.
    let is_child = inspection.container.subformat.as_deref() == Some("differencing");
    let for_qemu = !(is_child && [Format::VHD, Format::VHDX].contains(&machine.format));
    if !for_qemu {
        message(&warning(
            "QEMU, libvirt and Proxmox do not read differencing VHD and VHDX disks, and Azure takes whole ones: give them a \
             qcow2 that `clone` makes, or a whole image: nano-image build --disk IMAGE -o whole.qcow2",
        ));
    }
    let for_large_sectors = !machine.has_large_sectors || machine.format == Format::RAW;
    if machine.has_large_sectors {
        message(&warning(
            "Azure and Proxmox have no disks with sectors of 4096 bytes, Hyper-V has them in VHDX files only, and QEMU reads \
             them from raw files only: nano-image build --disk IMAGE --sector-size 4096 -o OTHER makes one of the other",
        ));
    }
    let wanted = |set: CommandSet| wishes.sets.is_empty() || wishes.sets.contains(&set);
    let script = |set: CommandSet, make: &dyn Fn() -> String| wanted(set).then(make);
    let whole =
        |set: CommandSet, make: &dyn Fn() -> String| script(set, make).filter(|_| for_qemu && for_large_sectors);
    let small = |set: CommandSet, make: &dyn Fn() -> String| whole(set, make).filter(|_| !machine.has_large_sectors);
    let hyper_v = script(CommandSet::HyperV, &|| machine.hyper_v())
        .filter(|_| !machine.has_large_sectors || machine.format == Format::VHDX);
    let qemu = whole(CommandSet::Qemu, &|| machine.qemu());
    let libvirt = whole(CommandSet::Libvirt, &|| machine.libvirt());
    let azure = small(CommandSet::Azure, &|| machine.azure());
    // Proxmox has no machines with other processors.
    let proxmox = small(CommandSet::Proxmox, &|| machine.proxmox()).filter(|_| !machine.is_arm64);
    if as_json {
        let generation = if machine.uefi { 2 } else { 1 };
        let value = json!({
            "firmware": if machine.uefi { "uefi" } else { "bios" }, "generation": generation,
            "secure-boot": machine.secure_boot(), "powershell": hyper_v, "qemu": qemu, "virt-install": libvirt,
            "az": azure, "qm": proxmox,
        });
        return output(&format!("{value:#}\n"));
    }
    let folder = if cfg!(windows) { ", in the folder of the image" } else { "" };
    let all = [
        (
            "Hyper-V: PowerShell as administrator, in the folder of the image; Get-VMSwitch lists switches".into(),
            hyper_v,
        ),
        (format!("QEMU: a shell{folder}"), qemu),
        (format!("libvirt: a shell{folder}"), libvirt),
        (format!("Azure: a shell{folder}, after `az login`; GROUP is a resource group"), azure),
        (format!("Proxmox: a shell of the host{folder}; STORAGE is where disks are"), proxmox),
    ];
    let told = all.into_iter().filter_map(|(place, script)| Some(format!("# {place}\n{}", script?)));
    output(&told.collect::<Vec<_>>().join("\n"))
}

/// A machine that suits an image.
struct Machine {
    name: String,
    /// For a shell: begins with a slash or a dot, so that no program takes it for an option or an address.
    path: String,
    file_name: String,
    format: Format,
    uefi: bool,
    is_arm64: bool,
    /// Whether logical sectors have 4096 bytes.
    has_large_sectors: bool,
    /// Why Secure Boot must be off; `None` if it may be on.
    insecure: Option<String>,
    windows: bool,
    /// Windows 11, whose own setup needs a TPM.
    wants_tpm: bool,
    memory_mib: u64,
    switch: Option<String>,
    /// Size of the disk in bytes.
    size: u64,
    /// Whether the file holds only what is used.
    is_dynamic: bool,
}

/// Why an image does not start with Secure Boot on.
fn insecure(inspection: &Inspection, windows: bool) -> Option<String> {
    let boot = &inspection.boot;
    let entries = boot.stores.iter().flat_map(|store| &store.entries);
    let on: Vec<&str> = entries.flat_map(|entry| &entry.against_secure_boot).map(String::as_str).collect();
    match boot.removable_signed {
        _ if !windows => Some("Only Windows' own boot programs are signed for this:".into()),
        Some(false) => {
            Some(format!("{} is not signed:", boot.removable_program.as_deref().unwrap_or("the boot program")))
        }
        _ if !on.is_empty() => Some(format!("Secure Boot does not let {} be:", on.join(", "))),
        _ => None,
    }
}

impl Machine {
    /// Whether the machine has Secure Boot on.
    fn secure_boot(&self) -> bool {
        self.uefi && self.insecure.is_none()
    }

    fn of(path: &Path, inspection: &Inspection, wishes: &Wishes<'_>) -> Result<Self> {
        let absolute = std::path::absolute(path).map_err(|error| Error::io("find", path, error))?;
        let table = &inspection.partition_table;
        let is_active = table.partitions.iter().any(|partition| partition.active);
        let uefi = table.scheme == Scheme::Gpt || inspection.boot.removable_path.is_some() && !is_active;
        // A boot store, or a registry that can be read.
        let windows = !inspection.boot.stores.is_empty() || !inspection.windows.is_empty();
        let name = absolute.file_stem().map(PathBuf::from).unwrap_or_default();
        let file_name = text(&absolute.file_name().map(PathBuf::from).unwrap_or_default())?;
        // A shell runs on another host than Windows, where its paths lead nowhere.
        let path = if cfg!(windows) { format!("./{file_name}") } else { text(&absolute)? };
        let is_arm64 = inspection.boot.removable_program.as_deref() == Some("bootaa64.efi");
        let installed = inspection.windows.first();
        let of_type = |name| installed.is_some_and(|windows| windows.installation_type.as_deref() == Some(name));
        let build = installed.and_then(|windows| windows.version.as_deref()?.split('.').nth(2)?.parse().ok());
        let is_large = of_type("Client") || of_type("Server");
        let usual = if is_large { 4 * MEMORY_MIB } else { MEMORY_MIB } * if is_arm64 && !is_large { 2 } else { 1 };
        let memory_mib = wishes.memory.map_or(usual, |memory| memory.bytes() >> 20);
        if memory_mib == 0 {
            return Err(Error::recipe("a machine with less than 1 MiB of memory").with_hint("write e.g. --memory 2G"));
        }
        Ok(Self {
            name: wishes.name.map_or_else(|| text(&name), |name| word(name, "name of the machine"))?,
            path,
            file_name,
            format: Format::named(&inspection.container.format).unwrap_or(Format::RAW),
            uefi,
            is_arm64,
            has_large_sectors: inspection.container.sector_size > 512,
            insecure: insecure(inspection, windows),
            windows,
            wants_tpm: of_type("Client") && build.is_some_and(|build: u32| build >= FIRST_WINDOWS_11),
            memory_mib,
            switch: wishes.switch.map(|name| word(name, "name of the switch")).transpose()?,
            size: inspection.container.virtual_size,
            is_dynamic: inspection.container.subformat.as_deref() != Some("fixed"),
        })
    }

    /// Generation 2 machines take only VHDX, and no machine takes the formats of other hosts.
    fn hyper_v(&self) -> String {
        let mut script = String::new();
        let mut file = self.file_name.clone();
        match self.format.name() {
            "vhdx" => {}
            "vhd" if !self.uefi => {}
            "vhd" => {
                file = format!("{}.vhdx", self.name);
                let from = powershell(&self.file_name);
                let to = format!("(Join-Path $PWD.ProviderPath {})", powershell(&file));
                script += &format!("Convert-VHD -Path (Convert-Path -LiteralPath {from}) -DestinationPath {to}\n");
            }
            _ => {
                file = format!("{}.vhdx", self.name);
                let (from, to) = (powershell(&format!("./{}", self.file_name)), powershell(&format!("./{file}")));
                script += &format!("qemu-img convert -f {} -O vhdx {from} {to}\n", self.format.qemu_name());
            }
        }
        script += &format!(
            "$vm = New-VM -Name {} -Generation {} -MemoryStartupBytes {}MB -SwitchName {} \
             -VHDPath (Convert-Path -LiteralPath {})\n",
            powershell(&self.name),
            if self.uefi { 2 } else { 1 },
            self.memory_mib,
            powershell(self.switch.as_deref().unwrap_or("Default Switch")),
            powershell(&file),
        );
        script += &format!("Set-VMProcessor -VM $vm -Count {PROCESSORS}\n");
        script += &match (self.uefi, &self.insecure) {
            (true, None) => "# Off for drivers that are not signed for it:\n\
                Set-VMFirmware -VM $vm -EnableSecureBoot On -SecureBootTemplate MicrosoftWindows\n"
                .to_owned(),
            (true, Some(why)) => format!("# {why}\nSet-VMFirmware -VM $vm -EnableSecureBoot Off\n"),
            // Generation 1 has no Secure Boot.
            (false, _) => String::new(),
        };
        let tpm = "Set-VMKeyProtector -VM $vm -NewLocalKeyProtector\nEnable-VMTPM -VM $vm\n";
        match (self.uefi && self.windows, self.wants_tpm) {
            (true, true) => script += tpm,
            (true, false) => {
                script += &format!("# A TPM, for BitLocker:\n# {}\n", tpm.trim_end().replace('\n', "\n# "))
            }
            (false, _) => {}
        }
        script + "Start-VM -VM $vm\n"
    }

    /// A disk and a network card for which Windows has drivers.
    fn qemu(&self) -> String {
        if self.is_arm64 {
            return self.qemu_arm64();
        }
        let mut script = String::new();
        let mut arguments = vec![format!(
            "-machine {} -accel kvm -accel tcg -cpu max -smp {PROCESSORS} -m {}M",
            if self.uefi { "q35" } else { "pc" },
            self.memory_mib
        )];
        let disk = format!("format={},file={}", self.format.qemu_name(), self.path.replace(',', ",,"));
        if self.uefi {
            let vars = format!("{}.vars.fd", self.path);
            script += &format!("cp -n {OVMF_VARS} {}\n", sh(&vars));
            arguments.push(format!("-drive if=pflash,format=raw,unit=0,readonly=on,file={OVMF_CODE}"));
            let vars = format!("if=pflash,format=raw,unit=1,file={}", vars.replace(',', ",,"));
            arguments.push(format!("-drive {}", sh(&vars)));
            // Other kinds of disks for which Windows has drivers have sectors of 512 bytes.
            let device = if self.has_large_sectors { self.nvme() } else { "ide-hd,drive=disk".into() };
            arguments.push(format!("-drive {} -device {device}", sh(&format!("if=none,id=disk,{disk}"))));
            arguments.push("-nic user,model=e1000e".into());
        } else {
            arguments.push(format!("-drive {}", sh(&format!("if=ide,media=disk,{disk}"))));
            arguments.push("-nic user,model=e1000".into());
        }
        script + &format!("qemu-system-x86_64 {}\n", arguments.join(" \\\n  "))
    }

    /// A machine without a PC's devices: Windows has drivers for NVMe, USB, and the firmware's frame buffer.
    fn qemu_arm64(&self) -> String {
        let vars = format!("{}.vars.fd", self.path);
        let pflash = format!("if=pflash,format=raw,unit=1,file={}", vars.replace(',', ",,"));
        let disk = format!("if=none,id=disk,format={},file={}", self.format.qemu_name(), self.path.replace(',', ",,"));
        let arguments = [
            format!("-machine virt -accel kvm -accel tcg -cpu max -smp {PROCESSORS} -m {}M", self.memory_mib),
            format!("-drive if=pflash,format=raw,unit=0,readonly=on,file={AAVMF_CODE}"),
            format!("-drive {}", sh(&pflash)),
            format!("-drive {} -device {}", sh(&disk), self.nvme()),
            "-device ramfb -device qemu-xhci -device usb-kbd -device usb-tablet".into(),
        ];
        format!("cp -n {AAVMF_VARS} {}\nqemu-system-aarch64 {}\n", sh(&vars), arguments.join(" \\\n  "))
    }

    fn nvme(&self) -> String {
        let sectors = if self.has_large_sectors { ",logical_block_size=4096,physical_block_size=4096" } else { "" };
        format!("nvme,drive=disk,serial=1{sectors}")
    }

    fn libvirt(&self) -> String {
        let (mut script, mut path) = (String::new(), self.path.clone());
        let format = self.format.libvirt_name().unwrap_or_else(|| {
            path += ".qcow2";
            let (from, to) = (sh(&self.path), sh(&path));
            script = format!("qemu-img convert -f {} -O qcow2 {from} {to}\n", self.format.qemu_name());
            "qcow2"
        });
        // virt-install splits its options like a shell splits words, but at commas too.
        let path = format!("\"{}\"", path.replace('\\', r"\\").replace('"', "\\\""));
        let (machine, boot, bus, model) = match (self.is_arm64, self.uefi) {
            (true, _) => ("virt", " --arch aarch64 --boot uefi", "nvme", "e1000e"),
            (false, true) => ("q35", " --boot uefi", "sata", "e1000e"),
            (false, false) => ("pc", "", "ide", "e1000"),
        };
        let system = if self.windows { "win2k16" } else { "detect=off,require=off" };
        let (bus, sectors) = match self.has_large_sectors {
            true => ("nvme", ",blockio.logical_block_size=4096,blockio.physical_block_size=4096"),
            false => (bus, ""),
        };
        let disk = format!("path={path},format={format},bus={bus}{sectors}");
        let network = format!("network={},model={model}", self.switch.as_deref().unwrap_or("default"));
        script
            + &format!(
                "virt-install --name={} --memory {} --vcpus {PROCESSORS} --machine {machine}{boot} \\\n  --osinfo \
             {system} --import --disk {} \\\n  --network {} --noautoconsole\n",
                sh(&self.name),
                self.memory_mib,
                sh(&disk),
                sh(&network),
            )
    }
}

/// The path as text that is the same for a person and for a shell.
fn text(path: &Path) -> Result<String> {
    let text = path.to_str().filter(|text| printable(text) == *text);
    text.map(str::to_owned).ok_or_else(|| {
        Error::unsupported("the file's name has characters that cannot be shown in a command")
            .with_path(path)
            .with_hint("rename the file, or give it another name by a link")
    })
}

/// A word from the user, if it can be shown.
fn word(text: &str, what: &str) -> Result<String> {
    match !text.is_empty() && printable(text) == text {
        true => Ok(text.into()),
        false => Err(Error::recipe(format!("the {what} has characters that cannot be shown in a command, or none"))),
    }
}

/// `text` as a word of a POSIX shell.
fn sh(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./=,:@%+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `text` as a PowerShell string. PowerShell takes typographic quotes for quotes, too.
fn powershell(text: &str) -> String {
    let mut quoted = String::from("'");
    for character in text.chars() {
        if matches!(character, '\'' | '\u{2018}'..='\u{201b}') {
            quoted.push(character);
        }
        quoted.push(character);
    }
    quoted + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn machine(format: &str, uefi: bool) -> Machine {
        let (name, file_name) = ("it's".to_owned(), format!("it's.{format}"));
        let path = format!("/a, \"b\"/{file_name}");
        Machine {
            name,
            path,
            file_name,
            format: Format::named(format).unwrap(),
            uefi,
            is_arm64: false,
            has_large_sectors: false,
            insecure: None,
            windows: true,
            wants_tpm: false,
            memory_mib: MEMORY_MIB,
            switch: None,
            size: 4 << 30,
            is_dynamic: true,
        }
    }

    #[test]
    fn words_keep_their_meaning() {
        assert_eq!(sh("a-b/c.d=e"), "a-b/c.d=e");
        assert_eq!(sh("it's $HOME `x`"), r"'it'\''s $HOME `x`'");
        assert_eq!(sh(""), "''");
        assert_eq!(powershell("it's $(x)"), "'it''s $(x)'");
        assert_eq!(powershell("a\u{2019};b"), "'a\u{2019}\u{2019};b'");
        for bad in ["a\nb", "a\u{1b}[2J", "a\u{202e}b"] {
            assert!(text(Path::new(bad)).is_err());
        }
    }

    #[test]
    fn arm64_has_a_board_of_its_own() {
        let arm = Machine { is_arm64: true, ..machine("qcow2", true) };
        for part in ["qemu-system-aarch64 -machine virt", AAVMF_CODE, "-device nvme", "-device ramfb"] {
            assert!(arm.qemu().contains(part), "{part}: {}", arm.qemu());
        }
        assert!(arm.libvirt().contains("--machine virt --arch aarch64 --boot uefi"), "{}", arm.libvirt());
        assert!(machine("qcow2", true).qemu().contains("qemu-system-x86_64"));
    }

    #[test]
    fn large_sectors_have_a_disk_that_windows_knows() {
        let large = Machine { has_large_sectors: true, ..machine("raw", true) };
        let (qemu, libvirt) = (large.qemu(), large.libvirt());
        assert!(qemu.contains("-device nvme,drive=disk,serial=1,logical_block_size=4096"), "{qemu}");
        assert!(libvirt.contains("bus=nvme,blockio.logical_block_size=4096"), "{libvirt}");
        assert!(!machine("raw", true).qemu().contains("4096"));
    }

    #[test]
    fn hyper_v_gets_what_its_generations_take() {
        let script = machine("vhdx", true).hyper_v();
        for part in ["-Name 'it''s' -Generation 2", "-LiteralPath 'it''s.vhdx'", "-SecureBootTemplate MicrosoftWindows"]
        {
            assert!(script.contains(part), "{part}: {script}");
        }
        assert!(!script.contains("onvert-VHD"), "{script}");
        let script = machine("vhd", false).hyper_v();
        assert!(script.contains("-Generation 1") && !script.contains("Set-VMFirmware"), "{script}");
        assert!(machine("vhd", true).hyper_v().starts_with("Convert-VHD -Path"));
        assert!(
            machine("raw", true).hyper_v().starts_with("qemu-img convert -f raw -O vhdx './it''s.raw' './it''s.vhdx'")
        );
        let plain = Machine { insecure: Some("why".into()), ..machine("vhdx", true) };
        assert!(plain.hyper_v().contains("# why\nSet-VMFirmware -VM $vm -EnableSecureBoot Off"));
        assert!(!plain.secure_boot() && machine("vhdx", true).secure_boot() && !machine("vhd", false).secure_boot());
        let eleven = Machine { wants_tpm: true, ..machine("vhdx", true) };
        assert!(eleven.hyper_v().contains("\nEnable-VMTPM"), "{}", eleven.hyper_v());
        assert!(script.contains("-SwitchName 'Default Switch'") && !script.contains("TPM"), "{script}");
        assert!(machine("vhdx", true).hyper_v().contains("\n# Enable-VMTPM"));
    }
}

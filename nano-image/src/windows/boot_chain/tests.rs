//! A complete chain, from which each link is removed in turn.

use std::collections::BTreeMap;

use super::*;
use crate::registry::{HiveOptions, Value};
use crate::types::{DiskOffset, FileTime, Guid};
use crate::windows::boot::bcd::{BcdObject, BcdStore, element, object_type, well_known};
use crate::windows::boot_code;

/// Files by path in upper case.
#[derive(Clone, Default)]
struct Files(BTreeMap<String, (Vec<u8>, Option<FileForm>)>);

impl Files {
    fn put(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.0.insert(path.to_uppercase(), (bytes.into(), None));
    }

    fn remove(&mut self, path: &str) {
        self.0.remove(&path.to_uppercase()).expect("there is such a file");
    }

    fn compress(&mut self, path: &str) {
        self.0.get_mut(&path.to_uppercase()).expect("there is such a file").1 = Some(FileForm::Wof);
    }

    fn get(&self, path: &str) -> Option<&(Vec<u8>, Option<FileForm>)> {
        self.0.get(&path.trim_start_matches('\\').to_uppercase())
    }
}

impl BootVolume for Files {
    fn file(&self, path: &str) -> Result<Option<VolumeFile>> {
        let file = self.get(path);
        Ok(file.map(|(bytes, form)| VolumeFile { len: bytes.len() as u64, form: form.unwrap_or(FileForm::Plain) }))
    }

    fn read(&self, path: &str, _limit: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.get(path).map(|(bytes, _)| bytes.clone()))
    }

    fn hive(&self, path: &str) -> Result<Option<Hive>> {
        self.read(path, 0)?.filter(|bytes| bytes.starts_with(b"regf")).map(Hive::parse).transpose()
    }
}

/// A disk whose parts the tests change.
#[derive(Clone)]
struct Machine {
    firmware: Firmware,
    system: Files,
    windows: Files,
    store: BcdStore,
    master: Vec<u8>,
}

const DISK: Guid = Guid::from_fields(1, 0, 0, [0; 8]);
const ESP: BootDevice = BootDevice::Gpt { disk: DISK, partition: Guid::from_fields(2, 0, 0, [0; 8]) };
const WINDOWS: BootDevice = BootDevice::Gpt { disk: DISK, partition: Guid::from_fields(3, 0, 0, [0; 8]) };
const ACTIVE: BootDevice = BootDevice::Mbr { signature: 7, offset: DiskOffset(1 << 20) };
const LOADER: Guid = Guid::from_fields(9, 0, 0, [0; 8]);

fn program() -> Vec<u8> {
    let mut bytes = vec![0; 512];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3C] = 0x80;
    bytes[0x80..0x86].copy_from_slice(b"PE\0\0\x64\x86");
    bytes
}

fn hive(services: &[(&str, &[(&str, Value)])]) -> Vec<u8> {
    let mut hive = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
    let select = hive.create_key(hive.root(), "Select").unwrap();
    hive.set_value(select, "Current", Value::dword(2)).unwrap();
    hive.create_key(hive.root(), r"ControlSet002\Services").unwrap();
    for (name, values) in services {
        let key = hive.create_key(hive.root(), &format!(r"ControlSet002\Services\{name}")).unwrap();
        for (name, value) in *values {
            hive.set_value(key, *name, value.clone()).unwrap();
        }
    }
    hive.into_bytes()
}

/// A driver that starts at boot.
fn driver(control: u32) -> [(&'static str, Value); 3] {
    [("Start", Value::dword(0)), ("Type", Value::dword(1)), ("ErrorControl", Value::dword(control))]
}

fn machine(firmware: Firmware) -> Machine {
    let (system_device, windows_device, loader_path, manager_path) = match firmware {
        Firmware::Uefi => (ESP, WINDOWS, r"\Windows\system32\winload.efi", r"\EFI\Microsoft\Boot\bootmgfw.efi"),
        Firmware::Bios => (ACTIVE, ACTIVE, r"\Windows\system32\winload.exe", r"\bootmgr"),
    };
    let mut store = BcdStore::default();
    let mut manager = BcdObject::new(object_type::BOOT_MANAGER);
    manager.set_device(element::DEVICE, system_device);
    manager.set_string(element::PATH, manager_path);
    manager.set_object(element::DEFAULT, LOADER);
    store.objects.insert(well_known::BOOTMGR, manager);
    let mut loader = BcdObject::new(object_type::OS_LOADER);
    loader.set_device(element::DEVICE, windows_device);
    loader.set_device(element::OS_DEVICE, windows_device);
    loader.set_string(element::PATH, loader_path);
    loader.set_string(element::SYSTEM_ROOT, r"\Windows");
    store.objects.insert(LOADER, loader);
    let (mut system, mut windows) = (Files::default(), Files::default());
    system.put(r"EFI\Boot\bootx64.efi", program());
    system.put(r"EFI\Microsoft\Boot\bootmgfw.efi", program());
    windows.put("bootmgr", "program");
    windows.put(loader_path.trim_start_matches('\\'), "program");
    windows.put(r"Windows\System32\config\SYSTEM", hive(&[("disk", &driver(3)), ("wof", &driver(1))]));
    windows.put(r"Windows\System32\drivers\disk.sys", "program");
    windows.put(r"Windows\System32\drivers\wof.sys", "program");
    let mut master = boot_code::mbr_code().to_vec();
    master.resize(512, 0);
    Machine { firmware, system, windows, store, master }
}

impl Machine {
    fn set_hive(&mut self, services: &[(&str, &[(&str, Value)])]) {
        self.windows.put(r"Windows\System32\config\SYSTEM", hive(services));
    }

    fn loader(&mut self) -> &mut BcdObject {
        self.store.objects.get_mut(&LOADER).unwrap()
    }

    /// Codes of what is found.
    fn codes(&self) -> Vec<&'static str> {
        let (mut system, mut windows) = (self.system.clone(), self.windows.clone());
        let bytes = self.store.to_bytes(self.firmware, FileTime(1)).unwrap();
        let (volume, path) = match self.firmware {
            Firmware::Uefi => (&mut system, r"EFI\Microsoft\Boot\BCD"),
            Firmware::Bios => (&mut windows, r"Boot\BCD"),
        };
        if !self.store.objects.is_empty() {
            volume.put(path, bytes);
        }
        let partition = |number, device, is_system, volume| BootPartition {
            number,
            device,
            is_system,
            volume: Some(volume),
            boot_record: None,
        };
        let partitions = match self.firmware {
            Firmware::Uefi => {
                vec![partition(1, ESP, true, &system as &dyn BootVolume), partition(3, WINDOWS, false, &windows)]
            }
            Firmware::Bios => vec![partition(1, ACTIVE, true, &windows as &dyn BootVolume)],
        };
        let boot_record = (self.firmware == Firmware::Bios).then(|| self.master.clone());
        let found = check(&BootDisk { firmware: self.firmware, partitions, boot_record });
        found.kept().iter().map(|finding| finding.code).collect()
    }
}

/// Values of a service without a file, and the expected findings.
type DriverCase = (Vec<(&'static str, Value)>, &'static [&'static str]);
type Fault = (&'static str, fn(&mut Machine), &'static [&'static str]);

fn expect(firmware: Firmware, faults: &[Fault]) {
    assert_eq!(machine(firmware).codes(), [""; 0]);
    for (what, plant, codes) in faults {
        let mut machine = machine(firmware);
        plant(&mut machine);
        assert_eq!(machine.codes(), *codes, "{what}");
    }
}

#[test]
fn each_link_of_uefi_is_missed() {
    expect(
        Firmware::Uefi,
        &[
            ("removable program", |m| m.system.remove(r"EFI\Boot\bootx64.efi"), &["boot-program"]),
            ("zeros for a program", |m| m.system.put(r"EFI\Boot\bootx64.efi", [0; 100]), &["boot-program"]),
            ("other processor", |m| m.system.put(r"EFI\Boot\bootaa64.efi", program()), &["boot-program"]),
            ("boot manager", |m| m.system.remove(r"EFI\Microsoft\Boot\bootmgfw.efi"), &["boot-program"]),
            ("store", |m| m.store.objects.clear(), &["boot-store"]),
            (
                "store that is none",
                |m| {
                    m.store.objects.clear();
                    m.system.put(r"EFI\Microsoft\Boot\BCD", "regf");
                },
                &["boot-store"],
            ),
            ("manager's entry", |m| drop(m.store.objects.remove(&well_known::BOOTMGR)), &["boot-entry"]),
            ("loader's entry", |m| drop(m.store.objects.remove(&LOADER)), &["boot-entry", "boot-entry"]),
            ("device", |m| drop(m.loader().elements.remove(&element::DEVICE)), &["boot-entry"]),
            ("other disk", |m| m.loader().set_device(element::OS_DEVICE, ACTIVE), &["boot-entry"]),
            ("wrong partition", |m| m.loader().set_device(element::DEVICE, ESP), &["boot-loader"]),
            ("path", |m| m.loader().set_string(element::PATH, r"\Windows\winload.efi"), &["boot-loader"]),
            ("loader", |m| m.windows.put(r"Windows\system32\winload.efi", ""), &["boot-loader"]),
            ("root", |m| m.loader().set_string(element::SYSTEM_ROOT, r"\Winnt"), &["boot-hive"]),
            ("hive", |m| m.windows.remove(r"Windows\System32\config\SYSTEM"), &["boot-hive"]),
            ("empty hive", |m| m.windows.put(r"Windows\System32\config\SYSTEM", ""), &["boot-hive"]),
            ("compressed hive", |m| m.windows.compress(r"Windows\System32\config\SYSTEM"), &["boot-hive"]),
            ("driver", |m| m.windows.remove(r"Windows\System32\drivers\disk.sys"), &["boot-driver"]),
        ],
    );
}

#[test]
fn each_link_of_a_bios_is_missed() {
    expect(
        Firmware::Bios,
        &[
            ("boot code", |m| m.master.fill(0), &["boot-code"]),
            ("a byte of the boot code", |m| m.master[0] ^= 1, &["boot-code"]),
            ("boot manager", |m| m.windows.remove("bootmgr"), &["boot-program", "boot-program"]),
            ("compressed boot manager", |m| m.windows.compress("bootmgr"), &["boot-program"]),
            ("store", |m| m.store.objects.clear(), &["boot-store"]),
            ("loader", |m| m.windows.remove(r"Windows\system32\winload.exe"), &["boot-loader"]),
        ],
    );
}

#[test]
fn devices_may_be_told_by_a_file_and_other_entries_are_left_alone() {
    let mut machine = machine(Firmware::Uefi);
    machine.loader().set_device(element::DEVICE, BootDevice::Locate { element: element::PATH });
    machine.loader().set_device(element::OS_DEVICE, BootDevice::Locate { element: element::SYSTEM_ROOT });
    assert_eq!(machine.codes(), [""; 0]);
    // A recovery entry has a RAM disk, which is type 3.
    let mut recovery = BcdObject::new(object_type::OS_LOADER);
    let mut device = vec![0; 88];
    device[0x10] = 3;
    recovery.elements.insert(element::DEVICE, Value::binary(device));
    machine.store.objects.insert(Guid::from_fields(8, 0, 0, [0; 8]), recovery);
    assert_eq!(machine.codes(), [""; 0]);
    machine.loader().set_string(element::PATH, r"\Windows\absent.efi");
    assert_eq!(machine.codes(), ["boot-entry"]);
}

#[test]
fn only_drivers_that_the_loader_reads_must_be_there() {
    let mut machine = machine(Firmware::Uefi);
    let with = |values: &[(&'static str, Value)]| [&driver(1)[..], values].concat();
    let cases: [DriverCase; 11] = [
        (driver(1).to_vec(), &[WITHOUT_DRIVER]),
        (driver(0).to_vec(), &[]),
        (driver(2).to_vec(), &["boot-driver"]),
        (driver(1)[..2].to_vec(), &["boot-driver"]),
        (with(&[("Group", Value::sz("SCSI Miniport"))]), &["boot-driver"]),
        (with(&[("Start", Value::dword(1))]), &[]),
        (with(&[("Type", Value::dword(0x20))]), &[]),
        (with(&[("ImagePath", Value::expand_sz(r"\SystemRoot\System32\drivers\disk.sys"))]), &[]),
        (with(&[("ImagePath", Value::sz(r"system32\DRIVERS\disk.sys"))]), &[]),
        (with(&[("ImagePath", Value::sz(r#""\??\C:\Windows\System32\drivers\disk.sys""#))]), &[]),
        (with(&[("ImagePath", Value::sz(r"%systemroot%\System32\drivers\other.sys"))]), &[WITHOUT_DRIVER]),
    ];
    for (values, codes) in &cases {
        machine.set_hive(&[("absent", values)]);
        assert_eq!(machine.codes(), *codes, "{values:?}");
    }
    // The value for the hardware says that the driver is not read.
    let mut hive = Hive::parse(hive(&[("absent", &driver(3))])).unwrap();
    let key = hive.create_key(hive.root(), r"ControlSet002\Services\absent\StartOverride").unwrap();
    hive.set_value(key, "0", Value::dword(3)).unwrap();
    machine.windows.put(r"Windows\System32\config\SYSTEM", hive.into_bytes());
    assert_eq!(machine.codes(), [""; 0]);
}

#[test]
fn compressed_files_need_the_filter() {
    let mut machine = machine(Firmware::Uefi);
    machine.windows.put(r"Windows\System32\ntdll.dll", "library");
    for path in [r"Windows\system32\winload.efi", r"Windows\System32\drivers\disk.sys", r"Windows\System32\ntdll.dll"] {
        let mut machine = machine.clone();
        machine.windows.compress(path);
        assert_eq!(machine.codes(), [""; 0], "{path}");
        let mut without = machine.clone();
        without.set_hive(&[("disk", &driver(3))]);
        assert_eq!(without.codes(), ["boot-wof"], "{path}");
        machine.windows.remove(r"Windows\System32\drivers\wof.sys");
        assert_eq!(machine.codes(), [WITHOUT_DRIVER, "boot-wof"], "{path}");
    }
}

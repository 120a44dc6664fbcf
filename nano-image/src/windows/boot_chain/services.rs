//! Checks what the loader reads of a Windows: the SYSTEM hive, the services that start at boot, and the filter that
//! decompresses compressed files.

use super::{BootPartition, BootVolume, Chain, FileForm, WITHOUT_DRIVER};
use crate::error::Result;
use crate::registry::{Hive, KeyId};
use crate::windows::edit::control_set;

/// `Start` of a service whose driver is read by the loader.
const BOOT_START: u32 = 0;
/// `Type` of drivers: kernel, file system, recogniser.
const DRIVERS: [u32; 3] = [1, 2, 8];
/// `ErrorControl` of a driver whose absence is not even logged, and the highest value with which Windows still starts.
const IGNORE: u32 = 0;
const NORMAL: u32 = 1;
/// Groups of drivers that are needed to find the disk.
const CRITICAL_GROUPS: [&str; 5] =
    ["boot bus extender", "system bus extender", "scsi miniport", "boot file system", "primary disk"];
/// Files besides drivers that Windows reads before the filter runs.
const EARLY: [&str; 8] =
    ["ntoskrnl.exe", "hal.dll", "ntdll.dll", "smss.exe", "csrss.exe", "wininit.exe", "services.exe", "kernel32.dll"];
const WOF: &str = "Wof";
/// Device classes that are needed to find the disk, and the values that name filters for all their devices.
const CLASSES: [(&str, &str); 4] = [
    ("SCSIAdapter", "{4d36e97b-e325-11ce-bfc1-08002be10318}"),
    ("HDC", "{4d36e96a-e325-11ce-bfc1-08002be10318}"),
    ("DiskDrive", "{4d36e967-e325-11ce-bfc1-08002be10318}"),
    ("Volume", "{71a27cdd-812a-11d0-bec7-08002be2092f}"),
];
const FILTERS: [&str; 2] = ["UpperFilters", "LowerFilters"];

impl Chain<'_> {
    /// Checks the Windows in the folder `root` of `partition`. `compressed` are files that it needs and that are
    /// compressed.
    pub(super) fn windows(&mut self, partition: &BootPartition<'_>, root: &str, mut compressed: Vec<String>) {
        let path = format!(r"{root}\System32\config\SYSTEM");
        let Some(hive) = self.system_hive(partition, &path) else { return };
        let bad = |chain: &mut Self, message: &str| {
            chain.bad("boot-hive", "registry hive", Some(partition), Some(&path), message);
        };
        let select = hive.find("Select");
        let number = |name: &str| hive.value(select?, name)?.as_dword();
        let Some(number) = number("Current").or_else(|| number("Default")) else {
            return bad(self, r"does not say which control set is in use: it has no value `Select\Current`");
        };
        let set = format!("ControlSet{number:03}");
        let Some(services) = hive.find(&format!(r"{set}\Services")) else {
            return bad(self, &format!(r"has no key `{set}\Services`"));
        };
        let mut filter = false;
        for key in hive.subkeys(services) {
            let name = hive.name(key).to_string();
            if !starts_at_boot(&hive, key) {
                continue;
            }
            let file = driver_path(&hive, key, &name, root);
            let found = match self.file(partition, &file) {
                Ok(found) => found.filter(|found| found.len > 0),
                Err(error) => {
                    self.failed("boot-driver", &format!("service {name}"), partition, &file, &error);
                    continue;
                }
            };
            match found {
                Some(found) => {
                    filter |= name.eq_ignore_ascii_case(WOF);
                    if found.form == FileForm::Wof {
                        compressed.push(file);
                    }
                }
                None => self.missing(&hive, key, &name, partition, &file),
            }
        }
        self.filters(partition, &hive, &set, &path);
        for name in EARLY {
            let path = format!(r"{root}\System32\{name}");
            if matches!(self.file(partition, &path), Ok(Some(file)) if file.form == FileForm::Wof) {
                compressed.push(path);
            }
        }
        if let Some(first) = compressed.first().filter(|_| !filter) {
            let message = format!(
                "is compressed (WOF), one of {} files that Windows starts with; the driver that shows such files \
                 (service {WOF}, wof.sys) does not start at boot or is missing",
                compressed.len()
            );
            let first = first.clone();
            self.bad("boot-wof", "file", Some(partition), Some(&first), message);
        }
    }

    /// Reports filters of storage devices that are not services: Windows starts no device without its filters, and so
    /// finds no disk.
    fn filters(&mut self, partition: &BootPartition<'_>, hive: &Hive, set: &str, path: &str) {
        for (class, guid) in CLASSES {
            let Some(key) = hive.find(&format!(r"{set}\Control\Class\{guid}")) else { continue };
            for value in FILTERS {
                let names = hive.value(key, value).and_then(|value| value.texts()).unwrap_or_default();
                for name in names.iter().filter(|name| !name.is_empty()) {
                    if hive.find(&format!(r"{set}\Services\{name}")).is_none() {
                        let message = format!(
                            "names the filter {name} ({value} of the class {class}), which is no service: Windows finds \
                             no disk (0x7B)"
                        );
                        self.bad("boot-filter", "registry hive", Some(partition), Some(path), message);
                    }
                }
            }
        }
    }

    fn system_hive(&mut self, partition: &BootPartition<'_>, path: &str) -> Option<Hive> {
        const STRUCTURE: &str = "registry hive";
        let found = self.file(partition, path).and_then(|file| match file.filter(|file| file.len > 0) {
            Some(file) => {
                Ok(partition.volume.map(|volume| volume.hive(path)).transpose()?.flatten().map(|hive| (file, hive)))
            }
            None => Ok(None),
        });
        match found {
            Ok(Some((file, hive))) => {
                if file.form == FileForm::Wof {
                    let message = "is compressed (WOF): the loader reads it only plain";
                    self.bad("boot-hive", STRUCTURE, Some(partition), Some(path), message);
                }
                Some(hive)
            }
            Ok(None) => {
                let message = "is missing, empty or no hive: the loader finds no drivers";
                self.bad("boot-hive", STRUCTURE, Some(partition), Some(path), message);
                None
            }
            Err(error) => {
                self.failed("boot-hive", STRUCTURE, partition, path, &error);
                None
            }
        }
    }

    /// Reports a driver whose file is missing.
    fn missing(&mut self, hive: &Hive, key: KeyId, name: &str, partition: &BootPartition<'_>, file: &str) {
        let control = hive.value(key, "ErrorControl").and_then(|value| value.as_dword());
        let group = hive.value(key, "Group").and_then(|value| value.text()).unwrap_or_default();
        let is_critical = CRITICAL_GROUPS.contains(&group.to_lowercase().as_str());
        let code = match control {
            Some(IGNORE) if !is_critical => return,
            Some(NORMAL) if !is_critical => WITHOUT_DRIVER,
            _ => "boot-driver",
        };
        let message = "starts at boot, but its file is missing or empty";
        self.bad(code, &format!("service {name}"), Some(partition), Some(file), message);
    }
}

/// Whether the Windows in `root` can read compressed files: whether its filter starts at boot and has its file.
pub fn shows_compressed(volume: &dyn BootVolume, root: &str) -> Result<bool> {
    let Some(hive) = volume.hive(&format!(r"{root}\System32\config\SYSTEM"))? else { return Ok(false) };
    let key = hive.find(&format!(r"{}\Services\{WOF}", control_set(&hive)));
    let Some(key) = key.filter(|key| starts_at_boot(&hive, *key)) else { return Ok(false) };
    Ok(volume.file(&driver_path(&hive, key, WOF, root))?.is_some_and(|file| file.len > 0))
}

/// Whether the loader reads the service's driver. A value below `StartOverride` applies to the machine's hardware.
pub(in crate::windows) fn starts_at_boot(hive: &Hive, key: KeyId) -> bool {
    let number = |key: KeyId, name: &str| hive.value(key, name)?.as_dword();
    let overridden = hive.find_from(key, "StartOverride").and_then(|key| number(key, "0"));
    number(key, "Start") == Some(BOOT_START)
        && number(key, "Type").is_some_and(|kind| DRIVERS.contains(&kind))
        && overridden.is_none_or(|start| start == BOOT_START)
}

/// Path of a driver on the volume of the Windows in `root`.
pub(in crate::windows) fn driver_path(hive: &Hive, key: KeyId, name: &str, root: &str) -> String {
    let image = hive.value(key, "ImagePath").and_then(|value| value.text()).unwrap_or_default();
    let image = image.trim().trim_matches('"').replace('/', "\\");
    if image.is_empty() {
        return format!(r"{root}\System32\drivers\{name}.sys");
    }
    let after = |prefix: &str| {
        let (start, rest) = image.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then(|| rest.to_owned())
    };
    if let Some(rest) = [r"\SystemRoot\", r"%SystemRoot%\", r"SystemRoot\"].into_iter().find_map(after) {
        return format!(r"{root}\{rest}");
    }
    let absolute = after(r"\??\").unwrap_or_else(|| image.clone());
    match absolute.as_bytes() {
        [letter, b':', b'\\', ..] if letter.is_ascii_alphabetic() => absolute[3..].to_owned(),
        [b'\\', ..] => absolute[1..].to_owned(),
        // Other paths are relative to the Windows folder.
        _ => format!(r"{root}\{absolute}"),
    }
}

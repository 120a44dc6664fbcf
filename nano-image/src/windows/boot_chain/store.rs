//! Checks the boot configuration store: boot manager, entries, and the loaders in them.

use std::collections::BTreeSet;

use super::{BootDisk, BootPartition, Chain, Firmware};
use crate::types::Guid;
use crate::windows::boot::BootDevice;
use crate::windows::boot::bcd::{BcdObject, BcdStore, element, object_type, well_known};

const UEFI_STORE: &str = r"EFI\Microsoft\Boot\BCD";
const BIOS_STORE: &str = r"Boot\BCD";
/// Stores have some 30 KiB.
const MAX_STORE: u64 = 16 << 20;
const STRUCTURE: &str = "boot configuration";

impl<'d> Chain<'d> {
    /// Checks the store of the system partition, its entries, and each Windows that they start.
    pub(super) fn store(&mut self, system: &BootPartition<'_>) {
        let path = match self.disk.firmware {
            Firmware::Uefi => UEFI_STORE,
            Firmware::Bios => BIOS_STORE,
        };
        let store = match self.read(system, path, MAX_STORE) {
            Ok(Some(bytes)) => BcdStore::parse(bytes),
            Ok(None) => {
                let message = "is missing: the boot manager finds no Windows";
                return self.bad("boot-store", STRUCTURE, Some(system), Some(path), message);
            }
            Err(error) => Err(error),
        };
        let store = match store {
            Ok(store) => store,
            Err(error) => return self.failed("boot-store", STRUCTURE, system, path, &error),
        };
        if let Some(manager) = store.objects.get(&well_known::BOOTMGR) {
            self.manager(manager, system, path);
        } else {
            self.bad("boot-entry", STRUCTURE, Some(system), Some(path), "has no boot manager");
        }
        self.default(&store, system, path);
        let loaders = || store.objects.values().filter(|object| object.kind == object_type::OS_LOADER);
        if loaders().next().is_none() {
            self.bad("boot-entry", STRUCTURE, Some(system), Some(path), "has no entry that starts Windows");
        }
        let mut checked = BTreeSet::new();
        for loader in loaders() {
            self.loader(loader, system, path, &mut checked);
        }
    }

    /// Checks the program of the boot manager.
    fn manager(&mut self, manager: &BcdObject, system: &BootPartition<'_>, store: &str) {
        let Some(path) = manager.path() else { return };
        let Some(partition) = self.device(manager, manager.device(), "device", system, store) else { return };
        if matches!(self.file(partition, &path), Ok(file) if file.is_none_or(|file| file.len == 0)) {
            self.bad("boot-program", "boot program", Some(partition), Some(&path), "is missing or empty");
        }
    }

    /// Checks the entry that is started by default.
    fn default(&mut self, store: &BcdStore, system: &BootPartition<'_>, path: &str) {
        let manager = store.objects.get(&well_known::BOOTMGR);
        let lost = |id: &Guid| !store.objects.contains_key(id);
        if let Some(id) = manager.and_then(|manager| manager.object(element::DEFAULT)).filter(lost) {
            let message = format!("the default entry {id} is not there");
            self.bad("boot-entry", STRUCTURE, Some(system), Some(path), message);
        }
    }

    /// Checks a loader, and the Windows that it starts.
    fn loader(
        &mut self,
        entry: &BcdObject,
        system: &BootPartition<'_>,
        store: &str,
        checked: &mut BTreeSet<(u32, String)>,
    ) {
        let name = entry.description().unwrap_or_else(|| "Windows".to_owned());
        // Entries that start from a RAM disk (recovery) or from a file are not part of this chain.
        if matches!(entry.device(), Some(BootDevice::Other { .. })) {
            return;
        }
        let mut compressed = Vec::new();
        let Some(path) = entry.path() else {
            let message = format!("the entry `{name}` names no loader");
            return self.bad("boot-entry", STRUCTURE, Some(system), Some(store), message);
        };
        if let Some(partition) = self.device(entry, entry.device(), "device", system, store) {
            match self.file(partition, &path) {
                Ok(Some(file)) if file.len > 0 => {
                    if file.form == super::FileForm::Wof {
                        compressed.push(path.clone());
                    }
                }
                Ok(_) => {
                    let message = format!("is missing or empty: the entry `{name}` starts it");
                    self.bad("boot-loader", "loader", Some(partition), Some(&path), message);
                }
                Err(error) => self.failed("boot-loader", "loader", partition, &path, &error),
            }
        }
        if matches!(entry.os_device(), Some(BootDevice::Other { .. })) {
            return;
        }
        let Some(windows) = self.device(entry, entry.os_device(), "osdevice", system, store) else { return };
        let root = entry.string(element::SYSTEM_ROOT).unwrap_or_else(|| r"\Windows".to_owned());
        let root = root.trim_matches('\\').to_owned();
        if checked.insert((windows.number, root.to_uppercase())) {
            self.windows(windows, &root, compressed);
        }
    }

    /// The partition that a device of an entry stands for, with a volume that can be read.
    fn device(
        &mut self,
        entry: &BcdObject,
        device: Option<BootDevice>,
        what: &str,
        system: &BootPartition<'_>,
        store: &str,
    ) -> Option<&'d BootPartition<'d>> {
        let name = entry.description().unwrap_or_else(|| "Windows".to_owned());
        let disk: &'d BootDisk<'d> = self.disk;
        let partitions = &disk.partitions;
        let (found, lost) = match device {
            None => (None, "is not given".to_owned()),
            Some(BootDevice::Boot) => (partitions.iter().find(|part| part.number == system.number), String::new()),
            Some(device @ (BootDevice::Gpt { .. } | BootDevice::Mbr { .. })) => {
                (partitions.iter().find(|part| part.device == device), self.lost(device))
            }
            Some(BootDevice::Locate { element }) => {
                let path = entry.string(element).unwrap_or_default();
                // A locate device names a file, or the Windows folder.
                let has = |path: &str| {
                    let found = |part: &&BootPartition<'_>| matches!(self.file(part, path), Ok(Some(_)));
                    partitions.iter().find(found)
                };
                let kernel = format!(r"{path}\System32\ntoskrnl.exe");
                let hive = format!(r"{path}\System32\config\SYSTEM");
                let found = has(&path).or_else(|| has(&kernel)).or_else(|| has(&hive));
                (found.filter(|_| !path.is_empty()), format!("is the volume with {path}, and none has it"))
            }
            Some(BootDevice::Other { kind }) => (None, format!("is of type {kind}, which is not known")),
        };
        let message = match found {
            Some(partition) if partition.volume.is_some() => return Some(partition),
            Some(partition) => format!("is partition {}, which has no volume that can be read", partition.number),
            None => lost,
        };
        let message = format!("the {what} of `{name}` {message}");
        self.bad("boot-entry", STRUCTURE, Some(system), Some(store), message);
        None
    }

    /// Why no partition fits `device`.
    fn lost(&self, device: BootDevice) -> String {
        let disk_of = |device: BootDevice| match device {
            BootDevice::Gpt { disk, .. } => Some(disk.to_string()),
            BootDevice::Mbr { signature, .. } => Some(format!("{signature:08x}")),
            _ => None,
        };
        let disk = disk_of(device);
        let is_ours = self.disk.partitions.iter().any(|partition| disk_of(partition.device) == disk);
        let partition = match device {
            BootDevice::Gpt { partition, .. } => partition.to_string(),
            BootDevice::Mbr { offset, .. } => format!("at byte {}", offset.0),
            _ => String::new(),
        };
        match is_ours {
            true => format!("is the partition {partition} of this disk, which it does not have"),
            false => {
                format!("is the partition {partition} of disk {}, which is not this one", disk.unwrap_or_default())
            }
        }
    }
}

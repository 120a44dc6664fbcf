//! Boot files and boot configuration stores.

use super::volume::Contents;
use crate::error::Error;
use crate::inspect::model::{Boot, BootEntry, BootStore, Partition, PartitionTable, Scheme};
use crate::inspect::tell::bcd::device;
use crate::types::Guid;
use crate::windows::boot::BootDevice as Device;
use crate::windows::boot::bcd::{BcdObject, BcdStore, element, object_type, well_known};
use crate::windows::program::is_signed;

/// The programs that firmware without boot settings starts; that of 64-bit PCs first (UEFI 2.10 §3.5.1.1).
const REMOVABLE: [&str; 3] = ["bootx64.efi", "bootaa64.efi", "bootia32.efi"];
const UEFI_STORE: &str = r"EFI\Microsoft\Boot\BCD";
const BIOS_STORE: &str = r"Boot\BCD";
/// Boot managers have 1 to 3 MiB.
const MAX_PROGRAM: u64 = 64 << 20;
/// Stores have some 30 KiB.
const MAX_STORE: u64 = 16 << 20;

/// Adds the boot files and stores on `contents`, the volume of `partition`.
pub(crate) fn inspect(
    contents: &Contents<'_>,
    table: &PartitionTable,
    partition: &Partition,
    boot: &mut Boot,
    note: &mut dyn FnMut(&str, Error),
) {
    let bios = partition.active || table.scheme == Scheme::None;
    let uefi = matches!(contents, Contents::Fat { .. });
    for name in REMOVABLE.into_iter().filter(|_| uefi) {
        if boot.removable_path.is_some() {
            break;
        }
        let path = format!(r"EFI\Boot\{name}");
        match contents.has_file(&path) {
            Ok(true) => {
                (boot.removable_path, boot.removable_program) = (Some(partition.number), Some(name.to_owned()));
                match contents.read_file(&path, MAX_PROGRAM) {
                    Ok(program) => boot.removable_signed = program.and_then(|program| is_signed(&program)),
                    Err(error) => note(&path, error),
                }
            }
            Ok(false) => {}
            Err(error) => note(&path, error),
        }
    }
    for (path, firmware, _) in [(UEFI_STORE, "uefi", uefi), (BIOS_STORE, "bios", bios)].iter().filter(|place| place.2) {
        match contents.read_file(path, MAX_STORE).and_then(|bytes| bytes.map(BcdStore::parse).transpose()) {
            Ok(Some(bcd)) => boot.stores.push(store(&bcd, table, partition.number, path, firmware)),
            Ok(None) => {}
            Err(error) => note(&format!("the boot configuration `{path}` is not readable"), error),
        }
    }
}

fn store(bcd: &BcdStore, table: &PartitionTable, partition: u32, path: &str, firmware: &str) -> BootStore {
    let manager = bcd.objects.get(&well_known::BOOTMGR);
    let order = manager.and_then(|manager| manager.elements.get(&element::DISPLAY_ORDER)?.texts());
    let order: Vec<Guid> = order.unwrap_or_default().iter().filter_map(|id| id.parse().ok()).collect();
    let shown = |kind| [object_type::BOOT_MANAGER, object_type::OS_LOADER].contains(&kind);
    let mut objects: Vec<_> = bcd.objects.iter().filter(|(_, object)| shown(object.kind)).collect();
    objects.sort_by_key(|(id, object)| {
        let place = order.iter().position(|listed| listed == *id).unwrap_or(order.len());
        (object.kind != object_type::BOOT_MANAGER, place)
    });
    BootStore {
        partition,
        path: format!("\\{path}"),
        firmware: firmware.to_owned(),
        timeout: manager.and_then(|manager| manager.integer(element::TIMEOUT)),
        default: bcd.default_entry().map(|(id, _)| id.to_string()),
        entries: objects.into_iter().map(|(id, object)| entry(*id, object, table)).collect(),
    }
}

fn entry(id: Guid, object: &BcdObject, table: &PartitionTable) -> BootEntry {
    let boot_manager = object.kind == object_type::BOOT_MANAGER;
    let device = |found: Option<Device>| found.map(|found| device(found, object, table));
    BootEntry {
        id: id.to_string(),
        boot_manager,
        description: object.description(),
        path: object.path(),
        device: device(object.device()),
        os_device: device(object.os_device().filter(|_| !boot_manager)),
        system_root: object.string(element::SYSTEM_ROOT).filter(|_| !boot_manager),
        against_secure_boot: object.against_secure_boot().into_iter().map(str::to_owned).collect(),
    }
}

//! Lists from the registry of an installation: services, drivers, packages.

use super::hives::{control_set, text};
use crate::inspect::model::{Package, Service};
use crate::inspect::tell::words::time_text;
use crate::registry::{Hive, KeyId};
use crate::types::FileTime;
use crate::windows::package::state::State;

const PACKAGES: &str = r"Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages";
/// `SERVICE_WIN32`
const PROCESSES: u32 = 0x30;

/// Services and drivers of a SYSTEM hive.
pub(crate) fn services(hive: &Hive) -> Vec<Service> {
    let key = control_set(hive).and_then(|key| hive.find_from(key, "Services"));
    let keys = key.map(|key| hive.subkeys(key)).unwrap_or_default();
    keys.into_iter().filter_map(|key| service(hive, key)).collect()
}

fn service(hive: &Hive, key: KeyId) -> Option<Service> {
    // Keys without a type contain only settings.
    let type_bits = hive.value(key, "Type")?.as_dword()?;
    let start = hive.value(key, "Start").and_then(|start| start.as_dword());
    let starts = ["boot", "system", "automatic", "manual", "disabled"];
    let start = start.and_then(|start| starts.get(start as usize)).map(|start| (*start).to_owned());
    let kind = match type_bits {
        0x01 => "driver",
        0x02 => "file system driver",
        0x04 => "adapter",
        0x08 => "file system recognizer",
        bits if bits & PROCESSES == 0x10 => "own process",
        bits if bits & PROCESSES == 0x20 => "shared process",
        bits if bits & PROCESSES == PROCESSES => "process of either kind",
        _ => "",
    };
    let kind = if kind.is_empty() { format!("{type_bits:#x}") } else { kind.to_owned() };
    let name = hive.name(key).to_string();
    Some(Service { name, start, kind, type_bits, image_path: text(hive, key, "ImagePath") })
}

/// Packages of a SOFTWARE hive.
pub(crate) fn packages(hive: &Hive) -> Vec<Package> {
    let keys = hive.find(PACKAGES).map(|key| hive.subkeys(key)).unwrap_or_default();
    let package = |key| {
        let number = |name: &str| hive.value(key, name).and_then(|value| value.as_dword());
        let state_code = number("CurrentState").unwrap_or(0);
        let time = number("InstallTimeHigh").zip(number("InstallTimeLow"));
        let time = time.map(|(high, low)| FileTime(u64::from(high) << 32 | u64::from(low)));
        Package {
            id: hive.name(key).to_string(),
            state: State::of(state_code).to_string(),
            state_code,
            visible: number("Visibility") == Some(1),
            installed_at: time.filter(|time| time.0 != 0).map(time_text),
        }
    };
    keys.into_iter().map(package).collect()
}

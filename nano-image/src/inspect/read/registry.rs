//! What the registry of an installation lists: services, drivers, packages.

use serde::Serialize;

use super::image::Image;
use super::windows::{self, control_set, text};
use crate::inspect::model::Windows;
use crate::registry::{Hive, KeyId};
use crate::types::FileTime;

const PACKAGES: &str = r"Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages";
/// `SERVICE_KERNEL_DRIVER`, `SERVICE_FILE_SYSTEM_DRIVER`, `SERVICE_ADAPTER`, `SERVICE_RECOGNIZER_DRIVER` (winnt.h).
const DRIVERS: u32 = 0x0F;
/// `SERVICE_WIN32`
const PROCESSES: u32 = 0x30;
/// State of a package: `CbsInstallStateInstalled` and `…Permanent`, times 16.
const INSTALLED: [u32; 2] = [0x70, 0x80];

/// What the registry of an installation lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RegistryDetails {
    /// The installation.
    #[serde(flatten)]
    pub windows: Windows,
    /// Services and drivers, by name.
    pub services: Vec<Service>,
    /// Packages that servicing knows, by identity.
    pub packages: Vec<Package>,
    /// What could not be read, a sentence each.
    pub notes: Vec<String>,
}

/// A service or driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Service {
    /// Name of its key.
    pub name: String,
    /// `boot`, `system`, `automatic`, `manual` or `disabled`; none if it does not start by itself or is damaged.
    pub start: Option<String>,
    /// `driver`, `file system driver`, `own process`, `shared process` or a number.
    #[serde(rename = "type")]
    pub kind: String,
    /// Number of that type.
    #[serde(skip)]
    pub type_bits: u32,
    /// Its program.
    pub image_path: Option<String>,
}

/// A package of component based servicing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Package {
    /// Identity: name, token, architecture, language, version.
    pub id: String,
    /// State in words: `installed`, `staged` …
    pub state: String,
    /// Number of that state.
    pub state_code: u32,
    /// Whether DISM lists it; others belong to one that it lists.
    pub visible: bool,
    /// When it was installed, in UTC.
    pub installed_at: Option<String>,
}

impl Service {
    /// Whether it is a driver.
    pub fn is_driver(&self) -> bool {
        self.type_bits & DRIVERS != 0
    }
}

impl Package {
    /// Whether it is installed.
    pub fn is_installed(&self) -> bool {
        INSTALLED.contains(&self.state_code)
    }
}

/// What the registries of all installations in `image` list.
pub fn registry_details(image: &Image) -> Vec<RegistryDetails> {
    let mut found = Vec::new();
    for partition in &image.partition_table().partitions {
        let Ok(files) = image.files(partition.number) else { continue };
        let mut notes = Vec::new();
        let mut note = |what: &str, error| notes.push(format!("{what}: {error}"));
        let Some(windows) = windows::inspect(&files, &mut note) else { continue };
        let (software, system) = windows::hives(&files, &mut |_, _| {});
        let services = system.as_ref().map(services).unwrap_or_default();
        let packages = software.as_ref().map(packages).unwrap_or_default();
        found.push(RegistryDetails { windows, services, packages, notes });
    }
    found
}

/// Services and drivers of a SYSTEM hive.
pub(crate) fn services(hive: &Hive) -> Vec<Service> {
    let key = control_set(hive).and_then(|key| hive.find_from(key, "Services"));
    let keys = key.map(|key| hive.subkeys(key)).unwrap_or_default();
    keys.into_iter().filter_map(|key| service(hive, key)).collect()
}

fn service(hive: &Hive, key: KeyId) -> Option<Service> {
    // Keys without a type hold settings only.
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
        let state = match state_code {
            0x00 => "absent",
            0x10 => "resolving",
            0x20 => "resolved",
            0x30 => "staging",
            0x40 => "staged",
            0x50 => "uninstall pending",
            0x60 => "install pending",
            0x70 => "installed",
            0x80 => "permanent",
            _ => "unknown",
        };
        let time = number("InstallTimeHigh").zip(number("InstallTimeLow"));
        let time = time.map(|(high, low)| FileTime(u64::from(high) << 32 | u64::from(low)));
        Package {
            id: hive.name(key).to_string(),
            state: state.to_owned(),
            state_code,
            visible: number("Visibility") == Some(1),
            installed_at: time.filter(|time| time.0 != 0).map(super::listing::time_text),
        }
    };
    keys.into_iter().map(package).collect()
}

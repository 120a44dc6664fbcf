//! Reads facts about an installation from its registry.

use super::files::Files;
use super::hives::{control_set, software_and_system, text};
use super::image::Image;
use super::registry;
use crate::error::Error;
use crate::inspect::model::{RegistryDetails, Windows};
use crate::registry::{Hive, KeyId};

/// Lists from the registries of all installations in `image`.
pub fn registry_details(image: &Image) -> Vec<RegistryDetails> {
    let mut found = Vec::new();
    for partition in &image.partition_table().partitions {
        let Ok(files) = image.files(partition.number) else { continue };
        let mut notes = Vec::new();
        let mut note = |what: &str, error| notes.push(format!("{what}: {error}"));
        let Some(windows) = inspect(&files, &mut note) else { continue };
        let (software, system) = software_and_system(&files, &mut |_, _| {});
        let services = system.as_ref().map(registry::services).unwrap_or_default();
        let packages = software.as_ref().map(registry::packages).unwrap_or_default();
        found.push(RegistryDetails { windows, services, packages, notes });
    }
    found
}

/// The installation on the volume of `files`, if there is one.
pub(crate) fn inspect(files: &Files<'_>, note: &mut dyn FnMut(&str, Error)) -> Option<Windows> {
    files.ntfs()?;
    let (software, system) = software_and_system(files, note);
    if software.is_none() && system.is_none() {
        return None;
    }
    let mut windows = Windows { partition: files.partition(), ..Windows::default() };
    if let Some(hive) = &software
        && let Some(key) = hive.find(r"Microsoft\Windows NT\CurrentVersion")
    {
        let text = |name: &str| text(hive, key, name);
        windows.product = text("ProductName");
        windows.edition = text("EditionID");
        windows.installation_type = text("InstallationType");
        windows.version = version(hive, key);
    }
    if let Some(hive) = &software {
        let packages = registry::packages(hive);
        windows.packages = packages.iter().filter(|package| package.is_installed()).count() as u64;
    }
    if let Some(hive) = &system {
        windows.computer_name = computer_name(hive);
        let services = registry::services(hive);
        let drivers = services.iter().filter(|service| service.is_driver()).count();
        windows.drivers = drivers as u64;
        windows.services = (services.len() - drivers) as u64;
    }
    Some(windows)
}

fn computer_name(hive: &Hive) -> Option<String> {
    let key = hive.find_from(control_set(hive)?, r"Control\ComputerName\ComputerName")?;
    text(hive, key, "ComputerName")
}

/// Since Windows 10 the first two numbers are values of their own, and `CurrentVersion` stays 6.3.
fn version(hive: &Hive, key: KeyId) -> Option<String> {
    let number = |name: &str| hive.value(key, name)?.as_dword();
    let build = text(hive, key, "CurrentBuildNumber").or_else(|| text(hive, key, "CurrentBuild"))?;
    let version = match (number("CurrentMajorVersionNumber"), number("CurrentMinorVersionNumber")) {
        (Some(major), Some(minor)) => format!("{major}.{minor}"),
        _ => text(hive, key, "CurrentVersion")?,
    };
    let revision = number("UBR").map(|revision| format!(".{revision}")).unwrap_or_default();
    Some(format!("{version}.{build}{revision}"))
}

//! What the registry of an installation tells.

use super::files::Files;
use super::{hives, registry};
use crate::error::Error;
use crate::inspect::model::Windows;
use crate::registry::{Hive, KeyId};
use crate::windows::edit::{self, HiveFile};

pub(crate) const SOFTWARE: &str = HiveFile::Software.path();
pub(crate) const SYSTEM: &str = HiveFile::System.path();

/// The installation on the volume of `files`, if there is one.
pub(crate) fn inspect(files: &Files<'_>, note: &mut dyn FnMut(&str, Error)) -> Option<Windows> {
    files.ntfs()?;
    let (software, system) = hives(files, note);
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

/// The hives SOFTWARE and SYSTEM, as far as they are there and can be read.
pub(crate) fn hives(files: &Files<'_>, note: &mut dyn FnMut(&str, Error)) -> (Option<Hive>, Option<Hive>) {
    let mut hive = |path: &str| {
        let found = files.find(path).and_then(|file| match file {
            Some(file) => hives::open(files, path, file)?.map(Ok).transpose(),
            None => Ok(None),
        });
        found.unwrap_or_else(|error| {
            note(&format!("the registry hive `{path}` is not readable"), error);
            None
        })
    };
    (hive(SOFTWARE), hive(SYSTEM))
}

/// The set of control keys that the machine starts with.
pub(crate) fn control_set(hive: &Hive) -> Option<KeyId> {
    hive.find(&edit::control_set(hive))
}

fn computer_name(hive: &Hive) -> Option<String> {
    let key = hive.find_from(control_set(hive)?, r"Control\ComputerName\ComputerName")?;
    text(hive, key, "ComputerName")
}

/// Since Windows 10 the two first numbers are values of their own, and `CurrentVersion` stays 6.3.
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

pub(crate) fn text(hive: &Hive, key: KeyId, name: &str) -> Option<String> {
    hive.value(key, name)?.text().filter(|text| !text.is_empty())
}

//! What the registry of an installation tells.

use super::Windows;
use super::volume::Contents;
use crate::error::Error;
use crate::registry::{Hive, KeyId};

const SOFTWARE: &str = r"Windows\System32\config\SOFTWARE";
const SYSTEM: &str = r"Windows\System32\config\SYSTEM";
/// The SOFTWARE hive of a Nano Server has 7 MiB, of a full installation up to 150.
const MAX_HIVE: u64 = 256 << 20;

/// The installation on partition `partition`, if there is one.
pub(super) fn inspect(contents: &Contents<'_>, partition: u32, note: &mut dyn FnMut(&str, Error)) -> Option<Windows> {
    let Contents::Ntfs(_) = contents else { return None };
    let mut hive = |path: &str| {
        let hive = contents.read_file(path, MAX_HIVE).and_then(|bytes| bytes.map(Hive::parse).transpose());
        hive.unwrap_or_else(|error| {
            note(&format!("the registry hive `{path}` is not readable"), error);
            None
        })
    };
    let (software, system) = (hive(SOFTWARE), hive(SYSTEM));
    if software.is_none() && system.is_none() {
        return None;
    }
    let mut windows = Windows { partition, ..Windows::default() };
    if let Some(hive) = software
        && let Some(key) = hive.find(r"Microsoft\Windows NT\CurrentVersion")
    {
        let text = |name: &str| text(&hive, key, name);
        windows.product = text("ProductName");
        windows.edition = text("EditionID");
        windows.installation_type = text("InstallationType");
        windows.version = version(&hive, key);
    }
    windows.computer_name = system.and_then(|hive| {
        let current = hive.value(hive.find("Select")?, "Current")?.as_dword()?;
        let key = hive.find(&format!(r"ControlSet{current:03}\Control\ComputerName\ComputerName"))?;
        text(&hive, key, "ComputerName")
    });
    Some(windows)
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

fn text(hive: &Hive, key: KeyId, name: &str) -> Option<String> {
    hive.value(key, name)?.text().filter(|text| !text.is_empty())
}

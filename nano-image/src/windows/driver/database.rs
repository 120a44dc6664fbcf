//! The driver database in the registry, `DriverDatabase`.
//!
//! | key | contents |
//! |---|---|
//! | `DeviceIds\<id>` | which INF files are for a device |
//! | `DriverInfFiles\oemN.inf` | the package of an INF file |
//! | `DriverPackages\<package>` | what the package is; its devices (`Descriptors`) and install sections (`Configurations`) |

use std::collections::BTreeMap;

use super::add_reg::Root;
use super::edit_key::edit_key;
use super::package::Package;
use super::service::{Service, Text};
use super::target::Target;
use crate::error::Result;
use crate::registry::{Hive, KeyId, Value, ValueKind};
use crate::types::FileTime;

const ROOT: &str = "DriverDatabase";
/// First bytes of the `Version` of a package that did not come with Windows.
const VERSION_MARK: [u8; 2] = [0x00, 0xFF];
/// First bytes of entries of `DeviceIds`: in which way the INF file names the device. The feature score follows.
const HARDWARE_ID: u8 = 1;
const COMPATIBLE_ID: u8 = 2;
/// The flags that Windows gives to imported drivers.
const STATUS_FLAGS: u32 = 0x12;
/// Scores of signers (`SIGNERSCORE_*` of setupapi.h): Windows Hardware Quality Labs, any other, none.
const SIGNER_WHQL: u32 = 0x0D00_0005;
const SIGNER_OTHER: u32 = 0x0F00_0000;
const SIGNER_NONE: u32 = 0x8000_0000;

/// A package and its name in the image.
pub(super) struct Published<'a> {
    /// `oemN.inf`.
    pub name: &'a str,
    pub package: &'a Package,
    /// By their names in lower case.
    pub services: &'a BTreeMap<String, Service>,
    pub time: FileTime,
}

/// Whether a database has an INF file.
pub(super) fn has(hive: &Hive, name: &str) -> bool {
    hive.find(&format!(r"{ROOT}\DriverInfFiles\{name}")).is_some()
}

/// The package of an INF file.
pub(super) fn active_package(hive: &Hive, name: &str) -> Option<String> {
    hive.value(hive.find(&format!(r"{ROOT}\DriverInfFiles\{name}"))?, "Active")?.text()
}

/// The name of the INF file of a package.
pub(super) fn published_name(hive: &Hive, label: &str) -> Option<String> {
    hive.value(hive.find(&format!(r"{ROOT}\DriverPackages\{label}"))?, "")?.text()
}

/// Writes a package to the database of a hive. For a boot-critical package the database contains what the INF file
/// says; for others only where the package is.
pub(super) fn write(hive: &mut Hive, published: &Published<'_>, target: &Target) -> Result<()> {
    let Published { name, package, .. } = *published;
    let root = hive.create_key(hive.root(), ROOT)?;

    let class = format!("{{{}}}", package.version.class_guid);
    let key = hive.create_key(root, &format!(r"DeviceIds\{class}"))?;
    hive.set_value(key, name, Value::new(ValueKind::NONE, []))?;

    let key = hive.create_key(root, &format!(r"DriverInfFiles\{name}"))?;
    hive.set_value(key, "", Value::multi_sz([&package.label]))?;
    hive.set_value(key, "Active", Value::sz(&package.label))?;
    if package.boot_critical {
        let configurations = package.configurations.iter().map(|configuration| &configuration.name);
        hive.set_value(key, "Configurations", Value::multi_sz(configurations))?;
    }
    write_ids(hive, root, published)?;
    let key = hive.create_key(root, &format!(r"DriverPackages\{}", package.label))?;
    write_package(hive, key, published, target)?;
    if package.boot_critical {
        write_configurations(hive, key, published)?;
        write_devices(hive, key, published)?;
    }
    Ok(())
}

/// Marks the number of an INF file as used: one bit for each number, highest bit of a byte first.
pub(super) fn mark_number(hive: &mut Hive, number: u32, time: FileTime) -> Result<()> {
    let root = hive.create_key(hive.root(), ROOT)?;
    hive.set_value(root, "UpdateDate", Value::binary(time.0.to_le_bytes()))?;
    let mut map = hive.value(root, "OemInfMap").map(|value| value.data).unwrap_or_default();
    let byte = number as usize / 8;
    map.resize(map.len().max(byte + 1), 0);
    map[byte] |= 0x80 >> (number % 8);
    hive.set_value(root, "OemInfMap", Value::binary(map))
}

fn write_package(hive: &mut Hive, key: KeyId, published: &Published<'_>, target: &Target) -> Result<()> {
    let Published { name, package, time, .. } = *published;
    let version = &package.version;
    let mut bytes = Vec::with_capacity(48);
    bytes.extend(VERSION_MARK);
    bytes.extend(target.number.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(version.class_guid.to_bytes());
    bytes.extend(version.date.0.to_le_bytes());
    bytes.extend(version.version.iter().rev().flat_map(|part| part.to_le_bytes()));
    bytes.extend([0; 8]);
    let size = package.inf.len() as u64 + package.files.files.iter().map(|source| source.file.len()).sum::<u64>();
    let score = match (package.catalog, package.is_whql) {
        (None, _) => SIGNER_NONE,
        (Some(_), true) => SIGNER_WHQL,
        (Some(_), false) => SIGNER_OTHER,
    };
    for (value_name, value) in [
        ("", Value::sz(name)),
        ("InfName", Value::sz(&package.name)),
        ("Provider", Value::sz(&version.provider)),
        ("Version", Value::binary(bytes)),
        ("FileSize", Value::qword(size)),
        ("ImportDate", Value::binary(time.0.to_le_bytes())),
        ("SignerScore", Value::dword(score)),
        ("StatusFlags", Value::dword(STATUS_FLAGS)),
    ] {
        hive.set_value(key, value_name, value)?;
    }
    if let Some(catalog) = &version.catalog {
        hive.set_value(key, "Catalog", Value::sz(catalog))?;
    }
    Ok(())
}

fn write_configurations(hive: &mut Hive, package_key: KeyId, published: &Published<'_>) -> Result<()> {
    for configuration in &published.package.configurations {
        let key = hive.create_key(package_key, &format!(r"Configurations\{}", configuration.name))?;
        hive.set_value(key, "ConfigFlags", Value::dword(0))?;
        if let Some(service) = &configuration.service {
            hive.set_value(key, "Service", Value::sz(service))?;
        }
        for (name, edits) in [("Driver", &configuration.driver), ("Device", &configuration.device)] {
            for edit in edits.iter().flat_map(|edits| edits.iter()) {
                let parent = hive.create_key(key, name)?;
                edit_key(hive, parent, edit, true)?;
            }
        }
        let names = configuration.services.iter();
        for service in names.filter_map(|name| published.services.get(&name.to_lowercase())) {
            for edit in service.edits.iter().filter(|edit| edit.root == Root::Relative) {
                let parent = hive.create_key(key, &format!(r"Services\{}", service.name))?;
                edit_key(hive, parent, edit, true)?;
            }
        }
    }
    Ok(())
}

/// Writes the INF file to the entries of all its devices.
fn write_ids(hive: &mut Hive, root: KeyId, published: &Published<'_>) -> Result<()> {
    let Published { name, package, .. } = *published;
    let configurations = package.configurations.iter();
    let scores: BTreeMap<&str, u8> = configurations.map(|known| (known.name.as_str(), known.feature_score)).collect();
    for device in &package.models {
        let score = scores.get(device.model.configuration.as_str()).copied().unwrap_or(0xFF);
        let hardware = device.model.hardware.iter().map(|id| (id, HARDWARE_ID));
        let compatible = device.model.compatible.iter().map(|id| (id, COMPATIBLE_ID));
        for (id, kind) in hardware.chain(compatible) {
            let key = hive.create_key(root, &format!(r"DeviceIds\{id}"))?;
            let mark = [kind, score, 0, 0];
            // An exact match stays one, whatever other lines say.
            if hive.value(key, name).is_none_or(|known| known.data[..] > mark[..]) {
                hive.set_value(key, name, Value::binary(mark))?;
            }
        }
    }
    Ok(())
}

fn write_devices(hive: &mut Hive, package_key: KeyId, published: &Published<'_>) -> Result<()> {
    let mut strings = BTreeMap::new();
    for device in &published.package.models {
        let mut text = |text: &Text| match &text.name {
            Some(name) => {
                strings.insert(name.to_lowercase(), text.text.clone());
                format!("%{}%", name.to_lowercase())
            }
            None => text.text.clone(),
        };
        let (description, manufacturer) = (text(&device.description), text(&device.manufacturer));
        for id in device.model.hardware.iter().chain(&device.model.compatible) {
            let key = hive.create_key(package_key, &format!(r"Descriptors\{id}"))?;
            // If several lines name a device, Windows takes the first.
            if hive.value(key, "Configuration").is_none() {
                hive.set_value(key, "Configuration", Value::sz(&device.model.configuration))?;
                hive.set_value(key, "Description", Value::sz(&description))?;
                hive.set_value(key, "Manufacturer", Value::sz(&manufacturer))?;
            }
        }
    }
    if !strings.is_empty() {
        let key = hive.create_key(package_key, "Strings")?;
        for (name, text) in strings {
            hive.set_value(key, name.as_str(), Value::sz(&text))?;
        }
    }
    Ok(())
}

//! The form of the notes that the image has of its own packages.

use std::collections::{BTreeMap, BTreeSet};

use crate::registry::{Hive, KeyId, Value, ValueKind};
use crate::windows::package::identity::{AssemblyIdentity, Version};
use crate::windows::package::installed::{Installed, SERVICING, WINNERS};
use crate::windows::package::name::is_truncated_file;

/// CBS's state of an installed package.
pub(super) const INSTALLED: u32 = 0x70;
/// What exports of images have as the owner's flags of an installed package.
pub(super) const OWNER: u32 = 0x2_0070;
/// Values without which a package's key is of an unknown form, and the types of all known ones.
const REQUIRED: [&str; 2] = ["CurrentState", "InstallName"];
const KINDS: [(&str, ValueKind); 10] = [
    ("CurrentState", ValueKind::DWORD),
    ("InstallClient", ValueKind::SZ),
    ("InstallLocation", ValueKind::SZ),
    ("InstallName", ValueKind::SZ),
    ("InstallTimeHigh", ValueKind::DWORD),
    ("InstallTimeLow", ValueKind::DWORD),
    ("InstallUser", ValueKind::SZ),
    ("SelfUpdate", ValueKind::DWORD),
    ("Visibility", ValueKind::DWORD),
    ("Trusted", ValueKind::DWORD),
];
/// Deployments that are looked at.
const SAMPLES: usize = 64;

/// How the image notes its packages. `None`: it has no such notes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Names of values that its packages have.
    pub package_values: BTreeSet<&'static str>,
    /// What the owner of a package is noted with; one that was asked for owns itself.
    pub owner: Option<Value>,
    /// What the owner of a part of another package is noted with.
    pub owner_of_part: Option<Value>,
    /// The state of an installed update.
    pub installed_update: Option<u32>,
    /// Whether deployments have flags (`CF`).
    pub deployments_have_flags: bool,
    /// What a package in `PackageIndex` is noted with.
    pub index: Option<Value>,
    /// What a package in `PackageDetect` is noted with.
    pub detect: Option<Value>,
    /// What follows the identifier in a deployment's values, by the first letter of their names.
    pub extra: BTreeMap<char, Vec<u8>>,
}

impl Shape {
    /// The form of the notes in an image.
    ///
    /// # Errors
    /// Says what is of an unknown form.
    pub fn of(software: &Hive, components: &Hive) -> Result<Self, String> {
        let servicing = software.find(SERVICING).ok_or_else(|| format!("SOFTWARE has no key `{SERVICING}`"))?;
        let (key, identity) = reference(software, servicing)?;
        let id = identity.package_id();
        let mut shape = Self::default();
        for (name, kind) in KINDS {
            match software.value(key, name) {
                Some(value) if value.kind != kind => {
                    return Err(format!("the value `{name}` of the package `{id}` in the image has an unknown form"));
                }
                Some(_) => drop(shape.package_values.insert(name)),
                None if REQUIRED.contains(&name) => {
                    return Err(format!("the package `{id}` in the image has no value `{name}`"));
                }
                None => {}
            }
        }
        let odd = |what: &str| Err(format!("`{what}` of the package `{id}` in the image has an unknown form"));
        let values = |path: &str| {
            let key = software.find_from(key, path);
            key.map(|key| software.values(key)).unwrap_or_default()
        };
        if let Some((owner, value)) = values("Owners").into_iter().next() {
            if AssemblyIdentity::from_package_id(&owner.to_string()).is_none() || value.as_dword().is_none() {
                return odd("Owners");
            }
            // Flags go with the state of the package that has them: only those of packages in the same state count.
            shape.owner = Some(owner_flags(software, servicing, true).unwrap_or(Value::dword(OWNER)));
            shape.owner_of_part = Some(owner_flags(software, servicing, false).unwrap_or(Value::dword(OWNER)));
        }
        if let Some((_, value)) = values("Updates").into_iter().next() {
            if value.as_dword().is_none() {
                return odd("Updates");
            }
            shape.installed_update = Some(INSTALLED);
        }
        let versionless = any_version(&identity);
        if let Some(index) = software.find_from(servicing, "PackageIndex") {
            let index = software.child(index, versionless.as_str());
            let value = index.and_then(|index| software.value(index, id.as_str()));
            let Some(value) = value.filter(|value| value.kind == ValueKind::DWORD) else { return odd("PackageIndex") };
            shape.index = Some(value);
        }
        if let Some(detect) = software.find_from(servicing, "PackageDetect") {
            let mut noted = software.subkeys(detect).into_iter().flat_map(|parent| software.values(parent));
            shape.detect = match noted.next() {
                Some((child, value)) if AssemblyIdentity::from_package_id(&child.to_string()).is_some() => Some(value),
                Some(_) => return odd("PackageDetect"),
                None => Some(Value::dword(0)),
            };
        }
        check_winners(software)?;
        check_files(components)?;
        shape.extra = extra(components)?;
        shape.deployments_have_flags = deployments(components).any(|key| components.value(key, "CF").is_some());
        Ok(shape)
    }
}

/// The package whose notes are the example: the edition's, or else the first that is installed.
fn reference(software: &Hive, servicing: KeyId) -> Result<(KeyId, AssemblyIdentity), String> {
    let installed = Installed::listed(software, servicing);
    let identity = installed.edition().or_else(|| Some(&installed.packages().first()?.identity));
    let identity = identity.ok_or("the image lists no installed package")?.clone();
    let packages = software.find_from(servicing, "Packages");
    let key = packages.and_then(|packages| software.child(packages, identity.package_id().as_str()));
    Ok((key.ok_or("the image lists no installed package")?, identity))
}

/// What the image notes the owner of an installed package with: of one that owns itself, or of a part of another.
fn owner_flags(software: &Hive, servicing: KeyId, is_own: bool) -> Option<Value> {
    let packages = software.subkeys(software.find_from(servicing, "Packages")?).into_iter();
    let state = |key: &KeyId| software.value(*key, "CurrentState").and_then(|value| value.as_dword());
    packages.filter(|key| state(key) == Some(INSTALLED)).find_map(|key| {
        let owners = software.values(software.find_from(key, "Owners")?).into_iter();
        let mut same = owners.filter(|(owner, _)| owner.eq_ignore_case(&software.name(key)) == is_own);
        same.next().map(|(_, value)| value).filter(|value| value.as_dword().is_some())
    })
}

/// Each family of components names the series of the version in use.
fn check_winners(software: &Hive) -> Result<(), String> {
    let families = software.find(WINNERS).map(|key| software.subkeys(key)).unwrap_or_default();
    for family in families {
        let series = software.value(family, "").and_then(|value| value.text());
        if series.and_then(|series| software.child(family, series.as_str())).is_none() {
            let name = software.name(family);
            return Err(format!("`{name}` among the winners in the image names no series that it has"));
        }
    }
    Ok(())
}

/// The values that list files of components have names and forms as they are made here.
fn check_files(components: &Hive) -> Result<(), String> {
    let all = components.find(r"DerivedData\Components").map(|key| components.subkeys(key)).unwrap_or_default();
    for key in all {
        for (name, value) in components.values(key) {
            let name = name.to_string();
            if name.starts_with("f!") && (!is_truncated_file(&name) || value.kind != ValueKind::DWORD) {
                return Err(format!("`{name}` of `{}` in COMPONENTS has an unknown form", components.name(key)));
            }
        }
    }
    Ok(())
}

/// Deployments that are looked at.
fn deployments(components: &Hive) -> impl Iterator<Item = KeyId> {
    let deployments = components.find(r"CanonicalData\Deployments");
    deployments.map(|key| components.subkeys(key)).unwrap_or_default().into_iter().take(SAMPLES)
}

/// What follows the identifier in the values of deployments.
fn extra(components: &Hive) -> Result<BTreeMap<char, Vec<u8>>, String> {
    let mut extra = BTreeMap::new();
    for key in deployments(components) {
        for (name, value) in components.values(key) {
            let name = name.to_string();
            let Some(prefix) = ["p!CBS_", "s!CBS_", "i!CBS_"].iter().find(|prefix| name.starts_with(**prefix)) else {
                continue;
            };
            let odd = || format!("`{name}` of a deployment in COMPONENTS has an unknown form");
            let (lengths, rest) = value.data.split_at_checked(8).ok_or_else(odd)?;
            let length = |at: usize| {
                u32::from_le_bytes([lengths[at], lengths[at + 1], lengths[at + 2], lengths[at + 3]]) as usize
            };
            let (id_len, extra_len) = (length(0), length(4));
            if id_len.checked_add(extra_len) != Some(rest.len()) || value.kind != ValueKind::BINARY {
                return Err(odd());
            }
            extra.entry(prefix.as_bytes()[0].into()).or_insert_with(|| rest[id_len..].to_vec());
        }
    }
    Ok(extra)
}

/// The identifier of a package without its version.
pub(super) fn any_version(identity: &AssemblyIdentity) -> String {
    AssemblyIdentity { version: Version::default(), ..identity.clone() }.package_id()
}

//! The form of the notes that the image has of its own packages.

use std::collections::{BTreeMap, BTreeSet};

use super::gate::{PREFIXES, owner};
use crate::registry::{Hive, KeyId, Value, ValueKind};
use crate::windows::package::identity::{AssemblyIdentity, Version};
use crate::windows::package::installed::{Installed, SERVICING};
use crate::windows::package::state::State;

/// What exports of images have as the owner's flags of an installed package; the lower half is the package's state.
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

/// How the image records its packages; `None` if it has no records of that kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Names of values that its packages have.
    pub package_values: BTreeSet<&'static str>,
    /// Whether packages note their owners.
    has_owners: bool,
    /// What owners are noted with: whether it is the package itself, and the number of its state.
    owners: BTreeMap<(bool, u32), Value>,
    /// Whether packages note their updates.
    pub has_updates: bool,
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
            shape.has_owners = true;
        }
        shape.has_updates = !values("Updates").is_empty();
        shape.check_packages(software, servicing)?;
        let versionless = any_version(&identity);
        if let Some(index) = software.find_from(servicing, "PackageIndex") {
            let index = software.child(index, versionless.as_str());
            let value = index.and_then(|index| software.value(index, id.as_str()));
            let Some(value) = value.filter(|value| value.kind == ValueKind::DWORD) else { return odd("PackageIndex") };
            shape.index = Some(value);
            check_lists(software, servicing, "PackageIndex")?;
        }
        if let Some(detect) = software.find_from(servicing, "PackageDetect") {
            check_lists(software, servicing, "PackageDetect")?;
            let mut noted = software.subkeys(detect).into_iter().flat_map(|parent| software.values(parent));
            shape.detect = Some(noted.next().map_or(Value::dword(0), |(_, value)| value));
        }
        shape.extra = extra(components);
        let has_flags = |key: KeyId| components.value(key, "CF").is_some();
        shape.deployments_have_flags = deployments(components).into_iter().any(has_flags);
        Ok(shape)
    }

    /// What the owner of a package in `state` is noted with; one that was asked for owns itself.
    pub fn owner(&self, is_own: bool, state: State) -> Option<Value> {
        let usual = OWNER & !0xFFFF | state.number();
        let known = self.owners.get(&(is_own, state.number())).cloned();
        self.has_owners.then(|| known.unwrap_or(Value::dword(usual)))
    }

    /// The notes of all packages, from which the flags of owners are learnt: they go with the state of a package.
    fn check_packages(&mut self, software: &Hive, servicing: KeyId) -> Result<(), String> {
        let packages = software.find_from(servicing, "Packages").map(|key| software.subkeys(key)).unwrap_or_default();
        for key in packages {
            let id = software.name(key);
            let odd = |what: &str| Err(format!("`{what}` of the package `{id}` in the image has an unknown form"));
            for (name, kind) in KINDS {
                if software.value(key, name).is_some_and(|value| value.kind != kind) {
                    return odd(name);
                }
            }
            for name in ["Owners", "Updates"] {
                let values = software.child(key, name).map(|key| software.values(key)).unwrap_or_default();
                for (owner, value) in values {
                    let is_known = name == "Updates" || AssemblyIdentity::from_package_id(&owner.to_string()).is_some();
                    if !is_known || value.kind != ValueKind::DWORD {
                        return odd(name);
                    }
                    let state = software.value(key, "CurrentState").and_then(|value| value.as_dword());
                    if let Some(state) = state.filter(|_| name == "Owners") {
                        self.owners.entry((owner.eq_ignore_case(&id), state)).or_insert(value);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The values of a list of packages by the identifiers of packages: names are identifiers, and data numbers.
fn check_lists(software: &Hive, servicing: KeyId, list: &str) -> Result<(), String> {
    let keys = software.find_from(servicing, list).map(|key| software.subkeys(key)).unwrap_or_default();
    for key in keys {
        for (name, value) in software.values(key) {
            let identity = AssemblyIdentity::from_package_id(&name.to_string());
            let under = software.name(key).to_string();
            let fits = |identity: AssemblyIdentity| {
                list != "PackageIndex" || !under.contains('~') || any_version(&identity).eq_ignore_ascii_case(&under)
            };
            if !identity.is_some_and(fits) || value.kind != ValueKind::DWORD {
                return Err(format!(r"`{name}` in `{list}\{under}` of the image has an unknown form"));
            }
        }
    }
    Ok(())
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

/// What follows the identifier in the values of deployments, whose forms are checked.
fn extra(components: &Hive) -> BTreeMap<char, Vec<u8>> {
    let mut extra = BTreeMap::new();
    for key in deployments(components) {
        for (name, value) in components.values(key) {
            let name = name.to_string();
            let prefix = PREFIXES.into_iter().find(|prefix| name.starts_with(&format!("{prefix}!CBS_")));
            if let Some((prefix, (_, rest))) = prefix.zip(owner(&value)) {
                extra.entry(prefix).or_insert_with(|| rest.to_vec());
            }
        }
    }
    extra
}

fn deployments(components: &Hive) -> Vec<KeyId> {
    components.find(r"CanonicalData\Deployments").map(|key| components.subkeys(key)).unwrap_or_default()
}

/// The identifier of a package without its version.
pub(super) fn any_version(identity: &AssemblyIdentity) -> String {
    AssemblyIdentity { version: Version::default(), ..identity.clone() }.package_id()
}

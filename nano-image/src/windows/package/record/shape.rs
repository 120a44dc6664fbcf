//! The form of the image's own records of packages.

use std::collections::{BTreeMap, BTreeSet};

use super::gate::{PREFIXES, owner};
use crate::registry::{Hive, KeyId, Value, ValueKind};
use crate::windows::package::identity::{AssemblyIdentity, Version};
use crate::windows::package::installed::{Installed, SERVICING};
use crate::windows::package::state::State;

/// The flags of an owner of an installed package, in exports of images. The lower half is the package's state.
pub(super) const OWNER: u32 = 0x2_0070;
/// Values without which the form of a package's key is unknown, and the types of all known values.
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

/// The form of the image's records of packages. Fields are `None` or empty if it has no records of that kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Names of values that its packages have.
    pub package_values: BTreeSet<&'static str>,
    /// Whether packages have records of their owners.
    has_owners: bool,
    /// The value for an owner, by whether it is the package itself, and by the number of the package's state.
    owners: BTreeMap<(bool, u32), Value>,
    /// Whether packages have records of their updates.
    pub has_updates: bool,
    /// Whether deployments have flags (`CF`).
    pub deployments_have_flags: bool,
    /// The value for a package in `PackageIndex`.
    pub index: Option<Value>,
    /// The value for a package in `PackageDetect`.
    pub detect: Option<Value>,
    /// What follows the identifier in a deployment's values, by the first letter of the value's name.
    pub extra: BTreeMap<char, Vec<u8>>,
}

impl Shape {
    /// The form of the records in an image.
    ///
    /// # Errors
    /// A message that says what has an unknown form.
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

    /// The value for the owner of a package in `state`. A package that was asked for owns itself.
    pub fn owner(&self, is_own: bool, state: State) -> Option<Value> {
        let usual = OWNER & !0xFFFF | state.number();
        let known = self.owners.get(&(is_own, state.number())).cloned();
        self.has_owners.then(|| known.unwrap_or(Value::dword(usual)))
    }

    /// Checks the records of all packages, and learns the flags of owners, which depend on the state of a package.
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

/// Checks the values of a list of packages: names are package identifiers, and data are numbers.
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

/// The package whose records serve as the example: that of the edition, or else the first installed one.
fn reference(software: &Hive, servicing: KeyId) -> Result<(KeyId, AssemblyIdentity), String> {
    let installed = Installed::listed(software, servicing);
    let identity = installed.edition().or_else(|| Some(&installed.packages().first()?.identity));
    let identity = identity.ok_or("the image lists no installed package")?.clone();
    let packages = software.find_from(servicing, "Packages");
    let key = packages.and_then(|packages| software.child(packages, identity.package_id().as_str()));
    Ok((key.ok_or("the image lists no installed package")?, identity))
}

/// What follows the identifier in the values of deployments. Their forms are checked.
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

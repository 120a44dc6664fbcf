//! Checks that the names and values that are computed here are those of the image.

use std::collections::{BTreeMap, BTreeSet};

use super::manifests::Noted;
use crate::registry::{Hive, KeyId, Value, ValueKind};
use crate::windows::package::identity::{AssemblyIdentity, Version};
use crate::windows::package::installed::WINNERS;
use crate::windows::package::name::{is_truncated_file, truncated_id};

/// The key that lists components.
const COMPONENTS: &str = r"DerivedData\Components";
/// Prefixes of a deployment's values: planned, staged, installed.
pub(super) const PREFIXES: [char; 3] = ['p', 's', 'i'];

/// Compares the records of all components and deployments in the COMPONENTS hive, and the winners in SOFTWARE, with
/// those that would be made here from their identities and `manifests`. Returns the families, in lower case, that do
/// not say which series is in use.
///
/// # Errors
/// A message that names the first difference, or says that there are no records to compare with.
pub(super) fn check(
    components: &Hive,
    software: &Hive,
    manifests: &BTreeMap<String, Noted>,
) -> Result<BTreeSet<String>, String> {
    let mut families = BTreeSet::new();
    let gate = Gate { hive: components, deployments: children(components, r"CanonicalData\Deployments")? };
    let mut count = 0;
    for (name, key) in children(components, COMPONENTS)? {
        let identity = gate.identity(key, &name, "identity", AssemblyIdentity::key_form)?;
        families.insert(identity.versionless_key_form());
        gate.component(key, &name, manifests.get(&name))?;
        count += 1;
    }
    for (name, key) in &gate.deployments {
        gate.identity(*key, name, "appid", AssemblyIdentity::deployment_key)?;
        gate.deployment(*key, name)?;
        count += 1;
    }
    if count == 0 {
        return Err("COMPONENTS lists nothing to compare names with".into());
    }
    for (name, key) in children(components, r"CanonicalData\Catalogs").unwrap_or_default() {
        gate.owners(key, &name)?;
    }
    check_winners(software, &families)
}

/// Key forms, in lower case, of the components that the COMPONENTS hive lists.
pub(super) fn components(hive: &Hive) -> BTreeSet<String> {
    children(hive, COMPONENTS).map(|keys| keys.into_keys().collect()).unwrap_or_default()
}

/// Names in lower case of the keys below `path`.
fn children(hive: &Hive, path: &str) -> Result<BTreeMap<String, KeyId>, String> {
    let parent = hive.find(path).ok_or_else(|| format!("COMPONENTS has no key `{path}`"))?;
    let named = hive.subkeys(parent).into_iter().map(|key| (hive.name(key).to_string().to_ascii_lowercase(), key));
    Ok(named.collect())
}

struct Gate<'a> {
    hive: &'a Hive,
    deployments: BTreeMap<String, KeyId>,
}

impl Gate<'_> {
    /// The identity in the value `value` of the key, whose name must be what `name_of` derives from it.
    fn identity(
        &self,
        key: KeyId,
        name: &str,
        value: &str,
        name_of: fn(&AssemblyIdentity) -> String,
    ) -> Result<AssemblyIdentity, String> {
        let said = self.hive.value(key, value).filter(|value| value.kind == ValueKind::BINARY);
        let identity = said.as_ref().and_then(|value| std::str::from_utf8(&value.data).ok());
        let Some(identity) = identity.and_then(AssemblyIdentity::from_identity_text) else {
            return Err(format!("`{name}` in COMPONENTS does not say what it is (`{value}`)"));
        };
        match name_of(&identity) {
            computed if computed.eq_ignore_ascii_case(name) => Ok(identity),
            computed => Err(format!("`{name}` in COMPONENTS would be called `{computed}` here")),
        }
    }

    /// Checks the other values of a component. `noted` are facts from its manifest.
    fn component(&self, key: KeyId, name: &str, noted: Option<&Noted>) -> Result<(), String> {
        let odd = |value: &str| Err(format!("`{value}` of `{name}` in COMPONENTS has an unknown form"));
        let mut files = BTreeSet::new();
        for (value_name, value) in self.hive.values(key) {
            let value_name = value_name.to_string();
            if value_name.starts_with("f!") {
                if !is_truncated_file(&value_name) || value != Value::dword(1) {
                    return odd(&value_name);
                }
                files.insert(value_name);
            } else if value_name == "S256H" {
                let is_digest = value.kind == ValueKind::BINARY && value.data.len() == 32;
                if !is_digest || noted.is_some_and(|noted| noted.digest != value.data[..]) {
                    return Err(format!("`S256H` of `{name}` in COMPONENTS is not the digest of its manifest"));
                }
            }
        }
        self.owners(key, name)?;
        let Some(noted) = noted else { return Ok(()) };
        if let Some(missing) = noted.files.difference(&files).next() {
            return Err(format!("`{name}` in COMPONENTS would have the value `{missing}` here"));
        }
        match files.difference(&noted.files).next() {
            Some(other) => Err(format!("`{name}` in COMPONENTS would not have the value `{other}` here")),
            None => Ok(()),
        }
    }

    /// Checks the values `c!…`, which name deployments.
    fn owners(&self, key: KeyId, name: &str) -> Result<(), String> {
        for (value_name, value) in self.hive.values(key) {
            let value_name = value_name.to_string();
            let Some(deployment) = value_name.strip_prefix("c!") else { continue };
            if value != Value::binary([]) || !self.deployments.contains_key(&deployment.to_ascii_lowercase()) {
                return Err(format!("`{value_name}` of `{name}` in COMPONENTS has an unknown form"));
            }
        }
        Ok(())
    }

    /// Checks the values of a deployment that say which updates have it.
    fn deployment(&self, key: KeyId, name: &str) -> Result<(), String> {
        for (value_name, value) in self.hive.values(key) {
            let value_name = value_name.to_string();
            let Some(prefix) = PREFIXES.into_iter().find(|prefix| value_name.starts_with(&format!("{prefix}!CBS_")))
            else {
                continue;
            };
            let odd = || format!("`{value_name}` of `{name}` in COMPONENTS has an unknown form");
            let (id, _) = owner(&value).ok_or_else(odd)?;
            if truncated_id(prefix, id) != value_name {
                return Err(format!(
                    "`{value_name}` of `{name}` in COMPONENTS would be called `{}` here",
                    truncated_id(prefix, id)
                ));
            }
        }
        Ok(())
    }
}

/// The contents of a deployment's value: the identifier of package and update, and what follows it.
pub(super) fn owner(value: &Value) -> Option<(&str, &[u8])> {
    let (lengths, rest) = value.data.split_at_checked(8)?;
    let length = |at: usize| u32::from_le_bytes([lengths[at], lengths[at + 1], lengths[at + 2], lengths[at + 3]]);
    let (id, extra) = rest.split_at_checked(length(0) as usize)?;
    let fits = extra.len() == length(4) as usize && value.kind == ValueKind::BINARY;
    std::str::from_utf8(id).ok().filter(|_| fits).map(|id| (id, extra))
}

/// Checks that each family of components has the name that is computed here, names the series of the version in use,
/// and has that version there. A family without a version in use must name no series. Returns the families that should
/// name a series and do not.
fn check_winners(software: &Hive, families: &BTreeSet<String>) -> Result<BTreeSet<String>, String> {
    let mut silent = BTreeSet::new();
    let keys = software.find(WINNERS).map(|key| software.subkeys(key)).unwrap_or_default();
    for family in keys {
        let name = software.name(family).to_string();
        if !families.contains(&name.to_ascii_lowercase()) {
            return Err(format!("`{name}` among the winners in the image is of no component that it has"));
        }
        let text = |key: KeyId| software.value(key, "").and_then(|value| value.text());
        let odd = |what: &str| Err(format!("`{name}` among the winners in the image names no {what} that it has"));
        let all = software.subkeys(family);
        for series in &all {
            let Some(version) = text(*series) else { continue };
            let is_known = software.value(*series, version.as_str()) == Some(Value::binary([1]));
            if !is_known || version.parse::<Version>().is_err() {
                return odd("version");
            }
        }
        let is_used = all.iter().any(|series| text(*series).is_some());
        match text(family) {
            Some(series) if software.child(family, series.as_str()).and_then(text).is_some() => {}
            None if software.value(family, "").is_none() => {
                silent.extend(is_used.then(|| name.to_ascii_lowercase()));
            }
            _ => return odd("series"),
        }
    }
    Ok(silent)
}

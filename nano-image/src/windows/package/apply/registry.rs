//! Registry keys and settings of components.

use super::target::{SOFTWARE, SYSTEM, Target};
use super::{Part, Spot};
use crate::error::{Error, Result};
use crate::registry::{Hive, KeyId, Value};
use crate::report::InstalledPackage;
use crate::windows::package::manifest::{Operation, RegistryKey, RegistryValue, decode_default, decode_value};
use crate::windows::package::sddl::ObjectClass;

/// Roots, and the hive with the key in it that they stand for.
const ROOTS: [(&str, &str, &str); 10] = [
    (r"HKEY_LOCAL_MACHINE\SYSTEM", SYSTEM, ""),
    (r"HKEY_LOCAL_MACHINE\SOFTWARE", SOFTWARE, ""),
    (r"HKEY_LOCAL_MACHINE\SAM", r"Windows\System32\config\SAM", ""),
    (r"HKEY_LOCAL_MACHINE\SECURITY", r"Windows\System32\config\SECURITY", ""),
    (r"HKEY_LOCAL_MACHINE\COMPONENTS", r"Windows\System32\config\COMPONENTS", ""),
    (r"HKEY_LOCAL_MACHINE\DRIVERS", r"Windows\System32\config\DRIVERS", ""),
    (r"HKEY_CLASSES_ROOT", SOFTWARE, "Classes"),
    (r"HKEY_CURRENT_USER", r"Users\Default\NTUSER.DAT", ""),
    (r"HKEY_USERS\.DEFAULT", r"Windows\System32\config\DEFAULT", ""),
    (r"HKEY_USERS\S-1-5-18", r"Windows\System32\config\DEFAULT", ""),
];
const SHORT: [(&str, &str); 5] = [
    ("HKLM", "HKEY_LOCAL_MACHINE"),
    ("HKCR", "HKEY_CLASSES_ROOT"),
    ("HKCU", "HKEY_CURRENT_USER"),
    ("HKU", "HKEY_USERS"),
    ("HKCC", "HKEY_CURRENT_CONFIG"),
];

/// Where a key is: the path of the hive, and its path in it.
struct Place {
    hive: &'static str,
    key: String,
}

impl Part<'_> {
    pub(super) fn write_registry(&self, target: &mut Target<'_>, done: &mut InstalledPackage) -> Result<()> {
        for key in &self.manifest.registry {
            self.write_key(target, key, done)?;
        }
        for setting in &self.manifest.settings {
            let spot = Spot { element: "element", name: &setting.name };
            let Some((hive, key, is_new)) = self.open_key(target, &setting.path, spot, done)? else { continue };
            if is_new {
                self.protect_key(hive, key, setting.security.as_deref(), spot, done)?;
            }
            let value = decode_default(setting.kind, &self.macros.text(&setting.default)?);
            let bad = |why| Error::corrupt(format!("bad default of the setting `{}`: {why}", setting.name));
            hive.set_value(key, setting.name.as_str(), value.map_err(bad)?)?;
        }
        Ok(())
    }

    fn write_key(&self, target: &mut Target<'_>, wanted: &RegistryKey, done: &mut InstalledPackage) -> Result<()> {
        let (path, spot) = (&wanted.path, Spot { element: "registryKey", name: &wanted.path });
        let Some((hive, key, _)) = self.open_key(target, path, spot, done)? else { return Ok(()) };
        self.protect_key(hive, key, wanted.security.as_deref(), spot, done)?;
        for wanted in &wanted.values {
            let name = self.macros.text(&wanted.name)?;
            let existing = hive.value(key, name.as_str());
            if wanted.keep_existing && existing.is_some() {
                continue;
            }
            let bad = |why| {
                let type_name = &wanted.type_name;
                Error::corrupt(format!("bad value `{name}` ({type_name}) of the registry key `{path}`: {why}"))
            };
            let value = self.value(wanted, existing)?.map_err(bad)?;
            hive.set_value(key, name.as_str(), value)?;
        }
        Ok(())
    }

    fn value(&self, wanted: &RegistryValue, existing: Option<Value>) -> Result<Result<Value, String>> {
        let Some(kind) = wanted.kind() else { return Ok(Err("the type is not known".into())) };
        let Some(text) = &wanted.text else { return Ok(Ok(Value::new(kind, []))) };
        let value = decode_value(kind, &self.macros.text(text)?);
        let old = existing.and_then(|value| value.texts()).filter(|_| wanted.operation == Operation::Append);
        Ok(match (value, old) {
            (Ok(value), Some(mut items)) => {
                for item in value.texts().unwrap_or_default() {
                    if !items.iter().any(|old| old.eq_ignore_ascii_case(&item)) {
                        items.push(item);
                    }
                }
                Ok(Value::multi_sz(items))
            }
            (value, _) => value,
        })
    }

    /// The key that a manifest calls `path`, made if it is missing, and whether it was. `None` if the image keeps no
    /// such key; that is noted.
    fn open_key<'t>(
        &self,
        target: &'t mut Target<'_>,
        path: &str,
        spot: Spot<'_>,
        done: &mut InstalledPackage,
    ) -> Result<Option<(&'t mut Hive, KeyId, bool)>> {
        let Some(place) = place(target, &self.macros.key(path)?)? else {
            self.skip(done, spot, "the key is in no hive of an image");
            return Ok(None);
        };
        let Some(hive) = target.hive(place.hive)? else {
            self.skip(done, spot, format!("the image has no hive `{}`", place.hive));
            return Ok(None);
        };
        let is_new = hive.find(&place.key).is_none();
        let key = hive.create_key(hive.root(), &place.key)?;
        Ok(Some((hive, key, is_new)))
    }

    fn protect_key(
        &self,
        hive: &mut Hive,
        key: KeyId,
        name: Option<&str>,
        spot: Spot<'_>,
        done: &mut InstalledPackage,
    ) -> Result<()> {
        let parent = hive.parent(key).and_then(|parent| hive.security(parent));
        if let Some(descriptor) = self.descriptor(name, ObjectClass::Key, parent, spot, done)? {
            hive.set_security(key, &descriptor)?;
        }
        Ok(())
    }
}

/// Where the key at `path`, with macros expanded, is; `None` if it is in no hive that is a file.
fn place(target: &mut Target<'_>, path: &str) -> Result<Option<Place>> {
    let path = path.trim_matches('\\');
    let (root, rest) = path.split_once('\\').unwrap_or((path, ""));
    let is_root = |(short, long): &&(&str, &str)| root.eq_ignore_ascii_case(short) || root.eq_ignore_ascii_case(long);
    let root = SHORT.iter().find(is_root).map_or(root, |(_, root)| root);
    let path = if rest.is_empty() { root.to_owned() } else { format!(r"{root}\{rest}") };
    if let Some(rest) = below(&path, "HKEY_CURRENT_CONFIG") {
        let key = format!(r"{}\Hardware Profiles\0001\{rest}", target.control_set()?);
        return Ok(Some(Place { hive: SYSTEM, key }));
    }
    for (root, hive, key) in ROOTS {
        let Some(rest) = below(&path, root) else { continue };
        let key = match below(rest, "CurrentControlSet").filter(|_| hive == SYSTEM) {
            Some(rest) => format!(r"{}\{rest}", target.control_set()?),
            None => format!(r"{key}\{rest}"),
        };
        return Ok(Some(Place { hive, key }));
    }
    let is_known = path.starts_with("HKEY_LOCAL_MACHINE") || path.starts_with("HKEY_USERS");
    match is_known {
        true => Ok(None),
        false => Err(Error::corrupt(format!("`{root}` is no root of the registry"))),
    }
}

/// What of `path` is below `root`.
fn below<'a>(path: &'a str, root: &str) -> Option<&'a str> {
    let (start, rest) = path.split_at_checked(root.len())?;
    let is_below = start.eq_ignore_ascii_case(root) && (rest.is_empty() || rest.starts_with('\\'));
    is_below.then(|| rest.trim_start_matches('\\'))
}

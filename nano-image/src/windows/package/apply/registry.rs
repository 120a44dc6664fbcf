//! Registry keys and settings of components.

use super::target::Target;
use super::{Part, Spot};
use crate::error::{Error, Result};
use crate::registry::{Hive, KeyId, Value};
use crate::report::InstalledPackage;
use crate::security::ObjectClass;
use crate::windows::edit::HiveKey;
use crate::windows::package::manifest::{Operation, RegistryKey, RegistryValue, decode_default, decode_value};

impl Part<'_> {
    pub(super) fn write_registry(&self, target: &mut Target<'_, '_>, done: &mut InstalledPackage) -> Result<()> {
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

    fn write_key(&self, target: &mut Target<'_, '_>, wanted: &RegistryKey, done: &mut InstalledPackage) -> Result<()> {
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

    /// The key that a manifest calls `path`; it is created if it is missing. Also returns whether it was created.
    /// `None` if the image stores no such key, which is recorded.
    fn open_key<'t>(
        &self,
        target: &'t mut Target<'_, '_>,
        path: &str,
        spot: Spot<'_>,
        done: &mut InstalledPackage,
    ) -> Result<Option<(&'t mut Hive, KeyId, bool)>> {
        let path = self.macros.key(path)?;
        let Some(place) = HiveKey::find(&path) else {
            if !HiveKey::has_root(&path) {
                let root = path.split('\\').next().unwrap_or_default();
                return Err(Error::corrupt(format!("`{root}` is not a root of the registry")));
            }
            self.skip(done, spot, "the key is in no hive of an image");
            return Ok(None);
        };
        if target.image.hive(place.file)?.is_none() {
            self.skip(done, spot, format!("the image has no hive `{}`", place.file.path()));
            return Ok(None);
        }
        let path = target.image.resolve(&place)?;
        let hive = target.image.edit(place.file)?;
        let is_new = hive.find(&path).is_none();
        let key = hive.create_key(hive.root(), &path)?;
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

//! Applies the `AddReg` and `DelReg` lines of an INF file to a hive.

use std::collections::BTreeSet;

use super::add_reg::{Action, Edit};
use crate::error::Result;
use crate::registry::{Hive, KeyId, Value, ValueKind};

/// Makes an edit below `parent`. A deferred edit is only recorded, and Windows makes it later in the key of the device.
/// If it depends on the existing value, its type carries flags in the upper half.
pub(super) fn edit_key(hive: &mut Hive, parent: KeyId, edit: &Edit, deferred: bool) -> Result<()> {
    let flagged = |value: &Value, flag: u32| Value::new(ValueKind(value.kind.0 | flag << 16), value.data.clone());
    if let Action::Delete = edit.action {
        // The device of a deferred edit is not there yet: its key contains only what was recorded here.
        return match hive.find_from(parent, &edit.key) {
            Some(key) if !edit.name.is_empty() => hive.delete_value(key, edit.name.as_str()).map(|_| ()),
            Some(key) if !edit.key.is_empty() => hive.delete_key(key),
            _ => Ok(()),
        };
    }
    let is_there = |hive: &Hive| {
        hive.find_from(parent, &edit.key).is_some_and(|key| hive.value(key, edit.name.as_str()).is_some())
    };
    if matches!(edit.action, Action::SetOld(_)) && !deferred && !is_there(hive)
        || matches!(edit.action, Action::Remove(_)) && !is_there(hive)
    {
        return Ok(());
    }
    let key = hive.create_key(parent, &edit.key)?;
    let name = edit.name.as_str();
    match &edit.action {
        Action::Key | Action::Delete => Ok(()),
        Action::Set(value) => hive.set_value(key, name, value.clone()),
        Action::SetNew(value) if deferred => hive.set_value(key, name, flagged(value, 0x2)),
        Action::SetNew(_) if hive.value(key, name).is_some() => Ok(()),
        Action::SetOld(value) if deferred => hive.set_value(key, name, flagged(value, 0x20)),
        Action::SetNew(value) | Action::SetOld(value) => hive.set_value(key, name, value.clone()),
        Action::Append(texts) if deferred => hive.set_value(key, name, flagged(&Value::multi_sz(texts), 0x8)),
        Action::Append(texts) => append(hive, key, name, texts),
        Action::Remove(texts) => remove(hive, key, name, texts),
    }
}

/// Removes `texts` from the strings of a value.
fn remove(hive: &mut Hive, key: KeyId, name: &str, texts: &[String]) -> Result<()> {
    let Some(value) = hive.value(key, name) else { return Ok(()) };
    let Some(mut all) = value.texts() else { return Ok(()) };
    let gone: BTreeSet<String> = texts.iter().map(|text| text.to_lowercase()).collect();
    all.retain(|text| !gone.contains(&text.to_lowercase()));
    hive.set_value(key, name, Value::new(value.kind, Value::multi_sz(all).data))
}

/// Adds those of `texts` to the strings of a value that it does not contain.
pub(super) fn append(hive: &mut Hive, key: KeyId, name: &str, texts: &[String]) -> Result<()> {
    let mut all = hive.value(key, name).and_then(|value| value.texts()).unwrap_or_default();
    let mut known: BTreeSet<String> = all.iter().map(|text| text.to_lowercase()).collect();
    all.extend(texts.iter().filter(|text| !text.is_empty() && known.insert(text.to_lowercase())).cloned());
    hive.set_value(key, name, Value::multi_sz(all))
}

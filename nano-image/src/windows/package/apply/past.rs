//! Removes what only earlier versions had.

use super::target::{RULES, SVCHOST, Target, WINEVT};
use crate::content::Content;
use crate::error::Result;
use crate::registry::{Hive, KeyId, Value};
use crate::tree::NodeId;
use crate::windows::edit::HiveKey;
use crate::windows::package::installed::STORE;
use crate::windows::package::macros::Macros;
use crate::windows::package::manifest::{ManifestFile, Operation, ServiceGroup, decode_default, decode_value};
use crate::windows::package::resolve::Past;

/// The control set in use, as it is called in manifests.
const CONTROL_SET: &str = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet";

/// Removes names, values, settings, services and keys of `past`. What was changed by something else since then stays.
pub(super) fn remove(past: &Past, target: &mut Target<'_, '_>) -> Result<()> {
    let macros = Macros::new(&past.strings);
    for file in &past.files {
        remove_names(past, file, &macros, target)?;
    }
    for key in &past.registry {
        for value in &key.values {
            let data = value.kind().zip(value.text.as_ref()).filter(|_| value.operation == Operation::Replace);
            let Some((kind, text)) = data else { continue };
            if let Ok(written) = decode_value(kind, &macros.text(text)?) {
                remove_value(&macros.key(&key.path)?, &macros.text(&value.name)?, &written.data, target)?;
            }
        }
    }
    for setting in &past.settings {
        if let Ok(written) = decode_default(setting.kind, &macros.text(&setting.default)?) {
            remove_value(&macros.key(&setting.path)?, &setting.name, &written.data, target)?;
        }
    }
    remove_services(past, target)?;
    remove_events(past, target)?;
    for path in &past.keys {
        change(&macros.key(path)?, target, prune)?;
    }
    // Services had keys below them among these.
    for service in &past.services {
        change(&service_key(&service.name), target, prune)?;
    }
    Ok(())
}

fn service_key(name: &str) -> String {
    format!(r"{CONTROL_SET}\Services\{name}")
}

/// Removes services with everything that the service control manager stores about them, even if someone changed that:
/// without its program it is not a service. Other data under its key stays.
fn remove_services(past: &Past, target: &mut Target<'_, '_>) -> Result<()> {
    for service in &past.services {
        change(&service_key(&service.name), target, |hive, key| {
            let numbers = service.numbers.iter().map(|(name, _)| *name);
            let texts = service.texts.iter().map(|(name, _)| *name).chain(service.lists.iter().map(|(name, _)| *name));
            for name in numbers.chain(texts).chain(["ImagePath", "FailureActions"]) {
                hive.delete_value(key, name)?;
            }
            for name in ["Security", "TriggerInfo"] {
                if let Some(child) = hive.child(key, name) {
                    hive.delete_key(child)?;
                }
            }
            prune(hive, key)
        })?;
    }
    for ServiceGroup { group, service, .. } in &past.service_groups {
        change(&format!(r"HKEY_LOCAL_MACHINE\SOFTWARE\{SVCHOST}"), target, |hive, key| {
            let Some(mut services) = hive.value(key, group.as_str()).and_then(|value| value.texts()) else {
                return Ok(());
            };
            services.retain(|other| !other.eq_ignore_ascii_case(service));
            match services.is_empty() {
                true => hive.delete_value(key, group.as_str()).map(drop),
                false => hive.set_value(key, group.as_str(), Value::multi_sz(services)),
            }
        })?;
    }
    for rule in &past.firewall_rules {
        change(&format!(r"{CONTROL_SET}\{RULES}"), target, |hive, key| {
            hive.delete_value(key, rule.id.as_str()).map(drop)
        })?;
    }
    Ok(())
}

/// Removes event providers with their channels.
fn remove_events(past: &Past, target: &mut Target<'_, '_>) -> Result<()> {
    for provider in &past.event_providers {
        let guid = format!("{{{}}}", provider.guid);
        change(&format!(r"HKEY_LOCAL_MACHINE\SOFTWARE\{WINEVT}"), target, |hive, key| {
            if let Some(publisher) = hive.find_from(key, &format!(r"Publishers\{guid}")) {
                hive.delete_key(publisher)?;
            }
            let Some(channels) = hive.child(key, "Channels") else { return Ok(()) };
            for channel in &provider.channels {
                let Some(channel) = hive.child(channels, channel.name.as_str()) else { continue };
                let owner = hive.value(channel, "OwningPublisher").and_then(|value| value.text());
                if owner.is_some_and(|owner| owner.eq_ignore_ascii_case(&guid)) {
                    hive.delete_key(channel)?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Deletes a key if it is empty.
fn prune(hive: &mut Hive, key: KeyId) -> Result<()> {
    match hive.values(key).is_empty() && hive.subkeys(key).is_empty() && hive.parent(key).is_some() {
        true => hive.delete_key(key),
        false => Ok(()),
    }
}

fn remove_names(past: &Past, file: &ManifestFile, macros: &Macros<'_>, target: &mut Target<'_, '_>) -> Result<()> {
    let name = file.source_name.as_deref().unwrap_or(&file.name);
    let stored = macros.path(&format!(r"{STORE}\{}\{name}", past.key_form))?;
    let Some(stored) = target.image.tree.find(&stored) else { return Ok(()) };
    let folder = file.destination_path.as_ref().map(|folder| format!(r"{folder}\{}", file.installed_name()));
    for path in folder.iter().chain(&file.links) {
        let path = macros.path(path)?;
        let (folder, name) = path.rsplit_once('\\').unwrap_or(("", &path));
        let Some(folder) = target.image.tree.find(folder) else { continue };
        let Some(existing) = target.image.tree.child(folder, &name.into()) else { continue };
        let is_own = existing == stored || (file.writeable && has_same_content(target, existing, stored));
        if let Some(children) = target.image.tree[folder].children.as_mut().filter(|_| is_own) {
            children.retain(|other, entry| entry.node != existing || !other.eq_ignore_case(&name.into()));
        }
    }
    Ok(())
}

fn has_same_content(target: &Target<'_, '_>, one: NodeId, other: NodeId) -> bool {
    match (&target.image.tree[one].data, &target.image.tree[other].data) {
        (Some(Content::Blob { id, .. }), Some(Content::Blob { id: other, .. })) => id == other,
        (Some(Content::Bytes(bytes)), Some(Content::Bytes(other))) => bytes == other,
        _ => false,
    }
}

/// Removes the value `name` of the key at `path` if it has the data `written`.
fn remove_value(path: &str, name: &str, written: &[u8], target: &mut Target<'_, '_>) -> Result<()> {
    change(path, target, |hive, key| {
        if hive.value(key, name).is_some_and(|value| value.data == written) {
            hive.delete_value(key, name)?;
        }
        Ok(())
    })
}

/// Calls `what` for the key at `path` if it exists.
fn change(path: &str, target: &mut Target<'_, '_>, what: impl FnOnce(&mut Hive, KeyId) -> Result<()>) -> Result<()> {
    let Some(place) = HiveKey::find(path) else { return Ok(()) };
    if target.image.hive(place.file)?.is_none() {
        return Ok(());
    }
    let path = target.image.resolve(&place)?;
    let hive = target.image.edit(place.file)?;
    hive.find(&path).map_or(Ok(()), |key| what(hive, key))
}

//! Takes away what only the versions before had.

use super::target::Target;
use crate::content::Content;
use crate::error::Result;
use crate::tree::NodeId;
use crate::windows::edit::Place;
use crate::windows::package::installed::STORE;
use crate::windows::package::macros::Macros;
use crate::windows::package::manifest::{ManifestFile, Operation, decode_default, decode_value};
use crate::windows::package::resolve::Past;

/// Removes names, values and settings of `past`; what something else has changed since stays.
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
    Ok(())
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
    let Some(place) = Place::find(path) else { return Ok(()) };
    if target.image.hive(place.file)?.is_none() {
        return Ok(());
    }
    let path = target.image.resolve(&place)?;
    let hive = target.image.edit(place.file)?;
    if let Some(key) = hive.find(&path)
        && hive.value(key, name).is_some_and(|value| value.data == written)
    {
        hive.delete_value(key, name)?;
    }
    Ok(())
}

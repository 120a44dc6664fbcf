//! Finds what the installed versions have and the new ones do not: an update removes it.

use std::collections::BTreeSet;

use super::contents::Dictionary;
use super::identity::AssemblyIdentity;
use super::installed::{Installed, STORE};
use super::manifest::{Manifest, ManifestFile, ServiceGroup};
use super::resolve::{Past, Resolution};
use crate::error::Result;
use crate::types::Architecture;
use crate::windows::edit::ImageEdit;

/// The largest manifest in an image, in bytes.
const MAX_MANIFEST: u64 = 64 << 20;

/// What is removed from `image` when `resolution` is installed. Nothing is removed for versions whose manifest is not
/// in the store or cannot be understood.
///
/// # Errors
/// Those of the image's store.
pub(super) fn read(
    image: &ImageEdit<'_>,
    installed: &Installed,
    resolution: &Resolution,
    dictionary: &Dictionary<'_>,
    architecture: Architecture,
) -> Result<Vec<Past>> {
    let mut pasts = Vec::new();
    for component in resolution.packages.iter().flat_map(|package| &package.components) {
        let now = &component.manifest.manifest;
        let winner = installed.winner(&now.identity).filter(|winner| *winner < now.identity.version);
        // What is not installed for images of this architecture is not removed either.
        let is_applied = component.is_in_use() && !now.identity.architecture.is_foreign_to(architecture);
        let Some(version) = winner.filter(|_| is_applied) else { continue };
        let old = AssemblyIdentity { version, ..now.identity.clone() };
        let key_form = old.key_form();
        let path = format!(r"{STORE}\Manifests\{key_form}.manifest");
        let Some(stored) = image.read(&path, MAX_MANIFEST)? else { continue };
        let Ok((before, _)) = dictionary.parse(&stored) else { continue };
        pasts.extend(difference(key_form, before, now));
    }
    Ok(pasts)
}

/// Everything in `before` that is not in `now`; `None` if there is nothing.
fn difference(key_form: String, before: Manifest, now: &Manifest) -> Option<Past> {
    let paths: BTreeSet<String> = now.files.iter().flat_map(destinations).collect();
    let mut files = before.files;
    for file in &mut files {
        if file.destination_path.as_ref().is_some_and(|path| paths.contains(&destination(path, file.installed_name())))
        {
            file.destination_path = None;
        }
        file.links.retain(|link| !paths.contains(&normal(link)));
    }
    files.retain(|file| file.destination_path.is_some() || !file.links.is_empty());
    let keys = now.registry.iter().flat_map(|key| {
        let path = normal(&key.path);
        key.values.iter().map(move |value| (path.clone(), value.name.to_lowercase()))
    });
    let settings = now.settings.iter().map(|setting| (normal(&setting.path), setting.name.to_lowercase()));
    let values: BTreeSet<(String, String)> = keys.chain(settings).collect();
    let is_gone = |path: &str, name: &str| !values.contains(&(normal(path), name.to_lowercase()));
    let (mut registry, mut settings) = (before.registry, before.settings);
    let keys = gone_keys(registry.iter().map(|key| &*key.path).chain(settings.iter().map(|one| &*one.path)), now);
    for key in &mut registry {
        let path = key.path.clone();
        key.values.retain(|value| is_gone(&path, &value.name));
    }
    registry.retain(|key| !key.values.is_empty());
    settings.retain(|setting| is_gone(&setting.path, &setting.name));
    // For drivers, the keys of services may be among other keys.
    let has_key = |name: &str| {
        let end = format!(r"\services\{}", name.to_lowercase());
        now.registry.iter().any(|key| normal(&key.path).ends_with(&end))
    };
    let has_service = |name: &str| now.services.iter().any(|one| one.name.eq_ignore_ascii_case(name)) || has_key(name);
    let mut services = before.services;
    services.retain(|service| !has_service(&service.name));
    let mut service_groups = before.service_groups;
    service_groups.retain(|old| {
        let is_it = |new: &ServiceGroup| {
            new.group.eq_ignore_ascii_case(&old.group) && new.service.eq_ignore_ascii_case(&old.service)
        };
        !now.service_groups.iter().any(is_it)
    });
    let mut firewall_rules = before.firewall_rules;
    firewall_rules.retain(|old| !now.firewall_rules.iter().any(|new| new.id.eq_ignore_ascii_case(&old.id)));
    let mut event_providers = before.event_providers;
    event_providers.retain(|old| !now.event_providers.iter().any(|new| new.guid == old.guid));
    let past = Past {
        key_form,
        strings: before.strings,
        files,
        registry,
        settings,
        keys,
        services,
        service_groups,
        firewall_rules,
        event_providers,
    };
    past.is_something().then_some(past)
}

impl Past {
    fn is_something(&self) -> bool {
        let Self { files, registry, settings, keys, services, service_groups, firewall_rules, event_providers, .. } =
            self;
        let has_settings = !registry.is_empty() || !settings.is_empty() || !keys.is_empty();
        let has_services = !services.is_empty() || !service_groups.is_empty();
        !files.is_empty() || has_settings || has_services || !firewall_rules.is_empty() || !event_providers.is_empty()
    }
}

/// Those of `paths` that are not in `now`, neither as a key nor as the parent of one, deepest first.
fn gone_keys<'a>(paths: impl Iterator<Item = &'a str>, now: &Manifest) -> Vec<String> {
    let mut kept = BTreeSet::new();
    for path in now.registry.iter().map(|key| &*key.path).chain(now.settings.iter().map(|one| &*one.path)) {
        let path = normal(path);
        kept.extend(path.match_indices('\\').map(|(end, _)| path[..end].to_owned()));
        kept.insert(path);
    }
    let mut gone: Vec<String> = paths.filter(|path| !kept.contains(&normal(path))).map(str::to_owned).collect();
    gone.sort_by_cached_key(|path| (std::cmp::Reverse(path.matches('\\').count()), normal(path)));
    gone.dedup();
    gone
}

/// Paths of a file outside the store, in a form for comparison.
fn destinations(file: &ManifestFile) -> Vec<String> {
    let own = file.destination_path.iter().map(|path| destination(path, file.installed_name()));
    own.chain(file.links.iter().map(|link| normal(link))).collect()
}

fn destination(folder: &str, name: &str) -> String {
    normal(&format!(r"{}\{name}", folder.trim_end_matches('\\')))
}

fn normal(path: &str) -> String {
    path.trim_matches('\\').to_lowercase()
}

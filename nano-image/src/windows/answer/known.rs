//! What is documented about components, their settings and values.
//!
//! Source: "Unattended Windows Setup Reference" on learn.microsoft.com; each entry has a page there under its name.

mod components;
mod model;
mod network;
mod offline;
mod setup;
mod shell;
mod time_zones;

use crate::types::nearest;

pub use model::{Component, Key, Kind, Setting};
pub use offline::{is_applied_offline, is_opened_offline};
pub use time_zones::{is_time_zone, nearest_time_zone, without_daylight};

/// The prefix of most names of components.
const PREFIX: &str = "Microsoft-Windows-";

/// The component of this name, in any case.
pub fn component(name: &str) -> Option<&'static Component> {
    all().find(|component| component.name.eq_ignore_ascii_case(name))
}

/// The documented component that `name` may be meant to be.
pub fn nearest_component(name: &str) -> Option<&'static str> {
    nearest_name(name, all().map(|component| component.name))
}

/// The one of `names` that the component name `name` may be meant to be.
pub fn nearest_name<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // The common prefix would make different names look similar.
    let split = |name: &'a str| match name.get(..PREFIX.len()) {
        Some(start) if start.eq_ignore_ascii_case(PREFIX) => (&name[PREFIX.len()..], Some(name)),
        _ => (name, None),
    };
    let has_prefix = name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    let wanted = if has_prefix { &name[PREFIX.len()..] } else { name };
    let names: Vec<(&str, Option<&str>)> =
        names.map(split).filter(|(_, whole)| whole.is_some() == has_prefix).collect();
    let near = nearest(wanted, names.iter().map(|(name, _)| *name))?;
    names.iter().find(|(name, _)| *name == near).map(|(name, whole)| whole.unwrap_or(*name))
}

/// The component that has the setting `setting`.
pub fn owner(setting: &str) -> Option<&'static Component> {
    let complete = all().filter(|component| component.is_complete);
    complete.into_iter().find(|component| component.settings.iter().any(|known| known.name == setting))
}

fn all() -> impl Iterator<Item = &'static Component> {
    [shell::COMPONENTS, setup::COMPONENTS, network::COMPONENTS, components::COMPONENTS].into_iter().flatten()
}

/// Path of Microsoft's page about a component or one of its settings. All these pages follow this rule.
pub fn page(component: &str, path: &str) -> String {
    let name = [component, path].join("/").trim_end_matches('/').replace('/', "-").to_lowercase();
    format!("https://learn.microsoft.com/windows-hardware/customize/desktop/unattend/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_said_once() {
        fn check(place: &str, settings: &[Setting]) {
            for (at, setting) in settings.iter().enumerate() {
                assert!(settings[..at].iter().all(|other| other.name != setting.name), "{place}/{}", setting.name);
                if let Kind::Group(inner) = setting.kind {
                    check(&format!("{place}/{}", setting.name), inner);
                }
                if let (Some(Key::Child(key)), Kind::Group(inner)) = (setting.key, &setting.kind) {
                    assert!(inner.iter().any(|field| field.name == key), "{place}/{} has no {key}", setting.name);
                }
            }
        }
        let names: Vec<&str> = all().map(|component| component.name).collect();
        for (at, known) in all().enumerate() {
            assert!(!names[..at].contains(&known.name), "{}", known.name);
            check(known.name, known.settings);
        }
    }

    #[test]
    fn pages_are_named_as_microsoft_does() {
        let base =
            "https://learn.microsoft.com/windows-hardware/customize/desktop/unattend/microsoft-windows-shell-setup";
        assert_eq!(page("Microsoft-Windows-Shell-Setup", ""), base);
        let page = page("Microsoft-Windows-Shell-Setup", "AutoLogon/LogonCount");
        assert_eq!(page, format!("{base}-autologon-logoncount"));
    }
}

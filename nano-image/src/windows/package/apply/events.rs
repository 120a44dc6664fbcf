//! Event providers and their channels, as the event log stores them.

use super::Part;
use super::target::{Target, WINEVT};
use crate::error::Result;
use crate::registry::Value;
use crate::report::InstalledPackage;
use crate::windows::edit::HiveFile;
use crate::windows::package::manifest::EventProvider;

/// Number of the first channel that a provider defines; lower ones belong to Windows.
const FIRST_CHANNEL: u32 = 16;
/// Numbers of the channels that every Windows has (winmeta.xml).
const KNOWN_CHANNELS: [(&str, u32); 4] = [("TraceClassic", 0), ("System", 8), ("Application", 9), ("Security", 10)];

impl Part<'_> {
    pub(super) fn write_events(&self, target: &mut Target<'_, '_>, _done: &mut InstalledPackage) -> Result<()> {
        for provider in &self.manifest.event_providers {
            let guid = format!("{{{}}}", provider.guid);
            let (hive, key) = target.image.key(HiveFile::Software, &format!(r"{WINEVT}\Publishers\{guid}"))?;
            hive.set_value(key, "", Value::sz(&provider.name))?;
            hive.set_value(key, "Enabled", Value::dword(1))?;
            for (name, path) in &provider.files {
                hive.set_value(key, *name, Value::expand_sz(&self.macros.text(path)?))?;
            }
            let references = hive.create_child(key, "ChannelReferences")?;
            let channels = references_of(provider);
            hive.set_value(references, "Count", Value::dword(channels.len() as u32))?;
            for (number, (name, id, flags)) in channels.into_iter().enumerate() {
                let key = hive.create_child(references, number.to_string().as_str())?;
                hive.set_value(key, "", Value::sz(name))?;
                hive.set_value(key, "Id", Value::dword(id))?;
                hive.set_value(key, "Flags", Value::dword(flags))?;
            }
            for channel in &provider.channels {
                // The name is a single key, whatever characters it contains.
                let (hive, channels) = target.image.key(HiveFile::Software, &format!(r"{WINEVT}\Channels"))?;
                let key = hive.create_child(channels, channel.name.as_str())?;
                let numbers = [
                    ("Enabled", Some(channel.enabled.into())),
                    ("Type", Some(channel.kind)),
                    ("Isolation", Some(channel.isolation)),
                    ("MaxSize", channel.max_size),
                    ("Retention", channel.max_size.map(|_| if channel.retention { u32::MAX } else { 0 })),
                    ("AutoBackupLogFiles", channel.auto_backup.then_some(1)),
                ];
                hive.set_value(key, "OwningPublisher", Value::sz(&guid))?;
                for (name, number) in numbers {
                    if let Some(number) = number {
                        hive.set_value(key, name, Value::dword(number))?;
                    }
                }
                if let Some(access) = &channel.access {
                    hive.set_value(key, "ChannelAccess", Value::sz(access))?;
                }
            }
        }
        Ok(())
    }
}

/// Names, numbers and flags (1: it belongs to another provider) of the channels of a provider.
fn references_of(provider: &EventProvider) -> Vec<(&str, u32, u32)> {
    let mut next = FIRST_CHANNEL;
    let mut number = |given: Option<u32>, name: &str| {
        let known = KNOWN_CHANNELS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        given.or(known.map(|(_, number)| *number)).unwrap_or_else(|| {
            next += 1;
            next - 1
        })
    };
    let imported = provider.imported.iter().map(|channel| (channel.name.as_str(), channel.number, 1));
    let own = provider.channels.iter().map(|channel| (channel.name.as_str(), channel.number, 0));
    imported.chain(own).map(|(name, given, flags)| (name, number(given, name), flags)).collect()
}

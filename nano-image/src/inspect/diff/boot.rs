//! Boot configuration stores: entries and their elements.

use std::collections::BTreeMap;

use super::report::{Place, Report};
use crate::error::Result;
use crate::inspect::model::{Category, PartitionTable};
use crate::inspect::tell::bcd::{element_name, element_value, kind_name, object_name};
use crate::inspect::tell::value;
use crate::registry::Value;
use crate::types::Guid;
use crate::windows::boot::BootDevice;
use crate::windows::boot::bcd::{BcdObject, BcdStore};

/// Compares two stores. Each belongs to a disk with one of `tables`.
pub(super) fn compare(
    a: &BcdStore,
    b: &BcdStore,
    tables: [&PartitionTable; 2],
    place: &Place,
    report: &mut Report<'_>,
) -> Result<()> {
    let ids = partners(a, b);
    for (id, old) in &a.objects {
        let place = place.with_key(&object_name(*id));
        match ids.get(id) {
            Some(other) => {
                if id != other {
                    let texts = [id, other].map(|id| format!("{{{id}}}"));
                    report.values(Category::Identifiers, &place, "identifier", Some(&texts[0]), Some(&texts[1]))?;
                }
                let new = &b.objects[other];
                if old.kind != new.kind {
                    report.values(
                        Category::Boot,
                        &place,
                        "type",
                        Some(kind_name(old.kind)),
                        Some(kind_name(new.kind)),
                    )?;
                }
                objects([old, new], &ids, tables, &place, report)?;
            }
            None => report.values(Category::Boot, &place, "entry", Some(summary(old)), None)?,
        }
    }
    for (id, new) in b.objects.iter().filter(|(id, _)| !ids.values().any(|known| known == *id)) {
        report.values(Category::Boot, &place.with_key(&object_name(*id)), "entry", None, Some(summary(new)))?;
    }
    Ok(())
}

fn summary(object: &BcdObject) -> String {
    let description = object.description().map(|text| format!(" \"{text}\"")).unwrap_or_default();
    format!("{}{description}", kind_name(object.kind))
}

/// For each object of `a` its counterpart in `b`: the object with the same identifier, or else a similar one. Loaders
/// get new identifiers with every build.
fn partners(a: &BcdStore, b: &BcdStore) -> BTreeMap<Guid, Guid> {
    let same = a.objects.keys().filter(|id| b.objects.contains_key(id)).map(|id| (*id, *id));
    let mut ids: BTreeMap<Guid, Guid> = same.collect();
    let mut left: Vec<Guid> = b.objects.keys().filter(|id| !ids.contains_key(id)).copied().collect();
    for (id, old) in &a.objects {
        let is_like = |other: &Guid| {
            let new = &b.objects[other];
            (old.kind, old.description(), old.path()) == (new.kind, new.description(), new.path())
        };
        if !ids.contains_key(id)
            && let Some(index) = left.iter().position(is_like)
        {
            ids.insert(*id, left.remove(index));
        }
    }
    ids
}

fn objects(
    [old, new]: [&BcdObject; 2],
    ids: &BTreeMap<Guid, Guid>,
    tables: [&PartitionTable; 2],
    place: &Place,
    report: &mut Report<'_>,
) -> Result<()> {
    let codes: std::collections::BTreeSet<u32> = old.elements.keys().chain(new.elements.keys()).copied().collect();
    for code in codes {
        let (value_a, value_b) = (old.elements.get(&code), new.elements.get(&code));
        if value_a == value_b {
            continue;
        }
        let what = element_name(new.kind, code);
        let text_a = value_a.map(|value| element_value(code, value, old, tables[0]));
        let text_b = value_b.map(|value| element_value(code, value, new, tables[1]));
        let (Some(value_a), Some(value_b)) = (value_a, value_b) else {
            report.values(Category::Boot, place, &what, text_a, text_b)?;
            continue;
        };
        let is_reference = matches!(code >> 24 & 0xF, 3 | 4);
        if is_reference && translated(value_a, ids) == value_b.texts().or_else(|| value_b.text().map(|text| vec![text]))
        {
            // The entry that it refers to has another identifier, which is reported there.
            continue;
        }
        if text_a == text_b {
            // It is the same partition with another identity, or the words are the same although the data differs.
            let devices = [value_a, value_b].map(|value| identity(&value.data));
            let is_device = code >> 24 & 0xF == 1;
            let category = if is_device { Category::Identifiers } else { Category::Boot };
            let (old, new) = match devices {
                [Some(old), Some(new)] if is_device && old != new => (old, new),
                _ => value::pair(value_a, value_b),
            };
            report.values(category, place, &what, Some(old), Some(new))?;
        } else {
            report.values(Category::Boot, place, &what, text_a, text_b)?;
        }
    }
    Ok(())
}

/// How a device identifies its partition.
fn identity(data: &[u8]) -> Option<String> {
    match BootDevice::from_bytes(data)? {
        BootDevice::Gpt { disk, partition } => Some(format!("partition {partition} of disk {disk}")),
        BootDevice::Mbr { signature, offset } => {
            Some(format!("the partition at byte {} of disk {signature:08x}", offset.0))
        }
        _ => None,
    }
}

/// References, translated to the identifiers of the other store.
fn translated(value: &Value, ids: &BTreeMap<Guid, Guid>) -> Option<Vec<String>> {
    let texts = value.texts().or_else(|| value.text().map(|text| vec![text]))?;
    let translate = |text: String| match text.parse().ok().and_then(|id: Guid| ids.get(&id)) {
        Some(other) => format!("{{{other}}}"),
        None => text,
    };
    Some(texts.into_iter().map(translate).collect())
}

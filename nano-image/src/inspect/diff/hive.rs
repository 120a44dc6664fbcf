//! Registry hives: keys and values.

use std::cmp::Ordering;

use super::report::{Place, Report};
use crate::error::Result;
use crate::inspect::model::Category;
use crate::inspect::tell::value;
use crate::inspect::tell::words::time_text;
use crate::registry::{Hive, KeyId};
use crate::types::Utf16Name;

/// Compares all keys of two hives.
pub(super) fn compare(a: &Hive, b: &Hive, place: &Place, report: &mut Report<'_>) -> Result<()> {
    let mut open = vec![(String::new(), a.root(), b.root())];
    while let Some((path, old, new)) = open.pop() {
        key((a, old), (b, new), &place.with_key(&path), report)?;
        let mut deeper = Vec::new();
        for (name, old, new) in merged(sorted(subkeys(a, old)), sorted(subkeys(b, new))) {
            let path = if path.is_empty() { name.to_string() } else { format!("{path}\\{name}") };
            match (old, new) {
                (Some(old), Some(new)) => deeper.push((path, old, new)),
                (Some(old), None) => one_sided(a, old, path, place, report, false)?,
                (None, Some(new)) => one_sided(b, new, path, place, report, true)?,
                (None, None) => {}
            }
        }
        // In order, with a key before those below it.
        open.extend(deeper.into_iter().rev());
    }
    Ok(())
}

fn key((a, old): (&Hive, KeyId), (b, new): (&Hive, KeyId), place: &Place, report: &mut Report<'_>) -> Result<()> {
    for (name, old, new) in merged(sorted(a.values(old)), sorted(b.values(new))) {
        if old == new {
            continue;
        }
        let texts = match (&old, &new) {
            (Some(old), Some(new)) => {
                let (mut old_text, mut new_text) = value::pair(old, new);
                if old.kind != new.kind {
                    (old_text, new_text) = (format!("{}: {old_text}", old.kind), format!("{}: {new_text}", new.kind));
                }
                (Some(old_text), Some(new_text))
            }
            _ => (old.as_ref().map(value::text), new.as_ref().map(value::text)),
        };
        report.values(Category::Registry, place, &value_name(&name), texts.0, texts.1)?;
    }
    let class = |class: Option<&[u8]>| class.map(hex::encode);
    report.values(Category::Registry, place, "class", class(a.class(old)), class(b.class(new)))?;
    if a.security(old) != b.security(new) {
        let text = |descriptor: Option<&[u8]>| descriptor.map(value::descriptor);
        report.values(Category::Security, place, "security", text(a.security(old)), text(b.security(new)))?;
    }
    let times = [a.key_time(old), b.key_time(new)].map(time_text);
    report.values(Category::Times, place, "written", Some(&times[0]), Some(&times[1]))
}

/// Reports a key that only one hive has, with all its values and subkeys.
fn one_sided(
    hive: &Hive,
    key: KeyId,
    path: String,
    place: &Place,
    report: &mut Report<'_>,
    is_new: bool,
) -> Result<()> {
    let mut open = vec![(path, key)];
    while let Some((path, key)) = open.pop() {
        let place = place.with_key(&path);
        let mut tell = |what: &str, text: String| {
            let (old, new) = if is_new { (None, Some(text)) } else { (Some(text), None) };
            report.values(Category::Registry, &place, what, old, new)
        };
        let values = hive.values(key);
        tell("key", format!("{} values", values.len()))?;
        for (name, value) in sorted(values) {
            tell(&value_name(&name), value::text(&value))?;
        }
        let mut deeper = sorted(subkeys(hive, key));
        deeper.reverse();
        open.extend(deeper.into_iter().map(|(name, key)| (format!("{path}\\{name}"), key)));
    }
    Ok(())
}

fn value_name(name: &Utf16Name) -> String {
    if name.units().is_empty() { "value (default)".to_owned() } else { format!("value {name}") }
}

fn subkeys(hive: &Hive, key: KeyId) -> Vec<(Utf16Name, KeyId)> {
    hive.subkeys(key).into_iter().map(|key| (hive.name(key), key)).collect()
}

fn sorted<T>(mut named: Vec<(Utf16Name, T)>) -> Vec<(Utf16Name, T)> {
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named
}

/// Pairs what has the same name, ignoring case, in two sorted lists.
fn merged<T>(a: Vec<(Utf16Name, T)>, b: Vec<(Utf16Name, T)>) -> Vec<(Utf16Name, Option<T>, Option<T>)> {
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    let mut pairs = Vec::new();
    loop {
        let order = match (a.peek(), b.peek()) {
            (Some((old, _)), Some((new, _))) => old.cmp_ignore_case(new),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return pairs,
        };
        let old = if order == Ordering::Greater { None } else { a.next() };
        let new = if order == Ordering::Less { None } else { b.next() };
        let name = new.as_ref().or(old.as_ref()).map(|(name, _)| name.clone()).expect("one is there");
        pairs.push((name, old.map(|(_, old)| old), new.map(|(_, new)| new)));
    }
}

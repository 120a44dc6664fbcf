//! Compares what packages leave with the list that the makers of the packages give.

use std::collections::BTreeMap;

use fixtures::packages::wcp;

use super::*;
use crate::windows::package::{Install, install};

/// Checks the lines of [`State::lines_beyond`], and returns how many of each kind there were.
struct Judge<'a> {
    done: &'a Done,
    /// Number of a file in the list, and its node.
    nodes: BTreeMap<String, NodeId>,
    hives: BTreeMap<String, Hive>,
    faults: Vec<String>,
}

impl Judge<'_> {
    fn check(&mut self, fields: &[&str]) -> Result<(), String> {
        let done = self.done;
        let find = |path: &str| done.tree.find(path).ok_or("is missing");
        match *fields {
            ["file", path, digest, number] => {
                let node = find(path)?;
                let found = hex::encode(Sha256::digest(done.bytes(node)));
                let linked = *self.nodes.entry(number.to_owned()).or_insert(node);
                match (found == digest, linked == node) {
                    (true, true) => Ok(()),
                    (false, _) => Err("has other contents".into()),
                    (_, false) => Err("is no link of its file".into()),
                }
            }
            ["directory", path] => match done.tree[find(path)?].is_directory() {
                true => Ok(()),
                false => Err("is no directory".into()),
            },
            ["absent", path] => find(path).err().map(|_| ()).ok_or_else(|| "is there".into()),
            ["security", path, text] => {
                let id = done.tree[find(path)?].security.ok_or("has no descriptor")?;
                compare(text, &done.tree.descriptors()[id.0 as usize])
            }
            ["component", form, digest] => {
                let stored = done.file(&format!(r"Windows\WinSxS\Manifests\{form}.manifest"));
                let text = crate::source::delta::expand_manifest(&stored, &wcp::dictionary()).unwrap().into_owned();
                if hex::encode(Sha256::digest(text)) == digest { Ok(()) } else { Err("has another text".into()) }
            }
            ["package", id] => find(&format!(r"Windows\servicing\Packages\{id}.mum")).map(|_| ()).map_err(Into::into),
            ["not-applied", component, element] => {
                let mut gaps = done.report.packages.iter().flat_map(|package| &package.not_applied);
                let found = gaps.any(|gap| gap.component == component && gap.element == element);
                if found { Ok(()) } else { Err("is not in the report".into()) }
            }
            [kind, hive, key, ref rest @ ..] => {
                let hive = self.hives.entry(hive.to_owned()).or_insert_with(|| done.hive(hive));
                let found = hive.find(key).ok_or("is missing")?;
                match (kind, rest) {
                    ("key", []) => Ok(()),
                    ("key-security", [text]) => compare(text, hive.security(found).ok_or("has no descriptor")?),
                    (_, [name, rest @ ..]) => {
                        let value = hive.value(found, *name).ok_or("is missing")?;
                        check_value(kind, &value, rest)
                    }
                    _ => Err("is not understood".into()),
                }
            }
            _ => Err("is not understood".into()),
        }
    }
}

fn check_value(kind: &str, value: &crate::registry::Value, rest: &[&str]) -> Result<(), String> {
    let is_there = match (kind, rest) {
        ("value", [number, data]) => value.kind.0.to_string() == *number && hex::encode(&value.data) == *data,
        ("item", [item]) => value.texts().is_some_and(|items| items.iter().any(|other| other == item)),
        ("descriptor", [text]) => return compare(text, &value.data),
        ("rule", [fields]) => {
            let text = value.text().unwrap_or_default();
            let sorted = |text: &str| {
                let mut fields: Vec<String> =
                    text.trim_matches('|').split('|').filter(|field| *field != "v2.10").map(str::to_owned).collect();
                fields.sort();
                fields
            };
            sorted(&text) == sorted(fields)
        }
        _ => false,
    };
    if is_there { Ok(()) } else { Err(format!("is {value:?}")) }
}

/// Compares `O:SID G:SID D:[P](TYPE;FLAGS;MASK;SID)…`, whose parts may be missing, with a descriptor.
fn compare(text: &str, descriptor: &[u8]) -> Result<(), String> {
    let word = |at: usize| u32::from_le_bytes(descriptor[at..at + 4].try_into().unwrap()) as usize;
    let sid = |bytes: &[u8]| {
        let numbers = bytes[8..8 + 4 * usize::from(bytes[1])].chunks(4);
        let numbers = numbers.map(|number| format!("-{}", u32::from_le_bytes(number.try_into().unwrap())));
        format!("S-1-{}{}", bytes[7], numbers.collect::<String>())
    };
    let dacl = &descriptor[word(16)..];
    let mut entries = String::new();
    let mut at = 8;
    for _ in 0..u16::from_le_bytes([dacl[4], dacl[5]]) {
        let entry = &dacl[at..];
        let mask = u32::from_le_bytes(entry[4..8].try_into().unwrap());
        entries += &format!("({};{};{mask:#x};{})", if entry[0] == 0 { "A" } else { "D" }, entry[1], sid(&entry[8..]));
        at += usize::from(u16::from_le_bytes([entry[2], entry[3]]));
    }
    let protected = if descriptor[3] & 0x10 != 0 { "P" } else { "" };
    let parts = [
        format!("O:{}", sid(&descriptor[word(4)..])),
        format!("G:{}", sid(&descriptor[word(8)..])),
        format!("D:{protected}{entries}"),
    ];
    let rest = parts.iter().fold(text, |rest, part| rest.strip_prefix(part.as_str()).unwrap_or(rest));
    if rest.is_empty() { Ok(()) } else { Err(format!("is {}", parts.concat())) }
}

#[test]
fn all_packages_leave_what_another_implementation_expects() {
    let before = before();
    let pairs: Vec<nano::Pair> = nano::packages(1_000_000).into_iter().chain(nano::others()).collect();
    let servicing = nano::servicing(200_000);
    let dictionary = wcp::dictionary();
    let mut cabinets: Vec<&Cabinet> = pairs.iter().flat_map(|pair| [&pair.neutral, &pair.language]).collect();
    let source = |index: usize, cabinet: &Cabinet| {
        let manifests = if index.is_multiple_of(2) { Manifests::Plain } else { Manifests::Compressed(&dictionary) };
        let bytes = cabinet.to_bytes(Form { method: Method::Mszip, manifests });
        CabinetSource { path: format!("{index}.cab").into(), data: Arc::new(bytes) }
    };
    let what = Install {
        cabinets: cabinets.iter().enumerate().map(|(index, cabinet)| source(index, cabinet)).collect(),
        servicing: vec![source(0, &servicing)],
        ..Install::default()
    };
    cabinets.push(&servicing);
    let mut after = before.clone();
    after.install_all(&cabinets);

    let mut tree = image(&before);
    let options = InstallOptions { architecture: Architecture::Amd64, scratch: None, strict: false };
    let (report, store) = edit(&mut tree, TIME, |image| install(image, &what, &options, &())).unwrap();
    let done = Done { tree, store, report };
    let mut judge = Judge { done: &done, nodes: BTreeMap::new(), hives: BTreeMap::new(), faults: Vec::new() };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let lines = after.lines_beyond(&before);
    for line in &lines {
        // What servicing records is tested elsewhere.
        if ["config/COMPONENTS", "Component Based Servicing", r"SideBySide\Winners"]
            .iter()
            .any(|book| line.contains(book))
        {
            continue;
        }
        let fields: Vec<&str> = line.split('\t').collect();
        *counts.entry(fields[0]).or_default() += 1;
        if let Err(why) = judge.check(&fields) {
            judge.faults.push(format!("{line} {why}"));
        }
    }
    assert!(judge.faults.is_empty(), "{} faults\n{}", judge.faults.len(), judge.faults.join("\n"));
    let nodes: std::collections::BTreeSet<NodeId> = judge.nodes.values().copied().collect();
    assert_eq!(nodes.len(), judge.nodes.len(), "files that are not the same are links of one");
    let kinds: Vec<&str> = counts.keys().copied().collect();
    let expected = [
        "absent",
        "component",
        "descriptor",
        "directory",
        "file",
        "item",
        "key",
        "key-security",
        "not-applied",
        "package",
        "rule",
        "security",
        "value",
    ];
    assert_eq!(kinds, expected, "{counts:?}");
    assert!(counts["file"] > 200 && counts["value"] > 200 && counts["security"] > 50, "{counts:?}");
}

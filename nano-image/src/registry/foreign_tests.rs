//! hivex, an independent reader and writer of hives (package libwin-hivex-perl), must read what this room writes, and
//! this room what hivex writes.

#![allow(clippy::disallowed_methods, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::types::FileTime;

/// Values by key path and name: type and data. Keys without values are listed too.
type Contents = BTreeMap<String, BTreeMap<String, (u32, Vec<u8>)>>;

/// Whether this system can have such programs. If it can, they must be installed.
fn hivex_is_here() -> bool {
    if cfg!(windows) {
        eprintln!("not run: hivex does not exist for Windows");
    }
    !cfg!(windows)
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The contents that hivexregedit exports.
fn exported(path: &Path) -> Contents {
    let text = run(Command::new("hivexregedit").arg("--export").arg(path).arg("\\"));
    let mut contents = Contents::new();
    let mut key = String::new();
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        if let Some(path) = line.strip_prefix("[\\").and_then(|line| line.strip_suffix(']')) {
            key = path.to_owned();
            contents.entry(key.clone()).or_default();
            continue;
        }
        let (name, data) = line.rsplit_once('=').unwrap();
        let name = name.trim_matches('"').replace("\\\\", "\\");
        let value = match data.strip_prefix("dword:") {
            Some(number) => (4, u32::from_str_radix(number, 16).unwrap().to_le_bytes().to_vec()),
            None => {
                let (kind, bytes) = data.strip_prefix("hex(").unwrap().split_once("):").unwrap();
                let bytes = bytes.split(',').filter(|byte| !byte.is_empty());
                let kind = u32::from_str_radix(kind, 16).unwrap();
                (kind, bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect())
            }
        };
        let name = if name == "@" { String::new() } else { name };
        contents.get_mut(&key).unwrap().insert(name, value);
    }
    contents
}

/// The same contents, read by this room.
fn read(hive: &Hive) -> Contents {
    let mut contents = Contents::new();
    let mut pending = vec![(hive.root(), String::new())];
    while let Some((key, path)) = pending.pop() {
        for child in hive.subkeys(key) {
            let below = if path.is_empty() { String::new() } else { format!("{path}\\") };
            pending.push((child, format!("{below}{}", hive.name(child))));
        }
        let values = hive.values(key).into_iter();
        contents.insert(path, values.map(|(name, value)| (name.to_string(), (value.kind.0, value.data))).collect());
    }
    contents
}

fn hive(minor: u32) -> Hive {
    let options = HiveOptions::default().minor_version(minor).file_name(r"\SystemRoot\System32\Config\TEST");
    let mut hive = Hive::new(FileTime::from_unix_seconds(1_468_627_200), &options).unwrap();
    let key = hive.create_key(hive.root(), r"Software\Ключ\Größe").unwrap();
    for (name, value) in [
        ("", Value::sz("default")),
        ("text", Value::expand_sz(r"%SystemRoot%\x")),
        ("strings", Value::multi_sz(["a", "ß", "ж"])),
        ("number", Value::dword(0x8000_0001)),
        ("long number", Value::qword(1 << 40)),
        ("nothing", Value::new(ValueKind::NONE, [])),
        ("Имя", Value::binary([1, 2, 3])),
        ("odd", Value::new(ValueKind(0xFFFF_0012), vec![5; 16_344])),
        ("big", Value::binary((0..70_000u32).map(|at| (at % 251) as u8).collect::<Vec<u8>>())),
    ] {
        hive.set_value(key, name, value).unwrap();
    }
    for number in 0..1500 {
        let child = hive.create_child(key, format!("{number:04}").as_str()).unwrap();
        hive.set_value(child, "n", Value::dword(number)).unwrap();
    }
    for number in (0..1500).step_by(7) {
        let child = hive.child(key, format!("{number:04}").as_str()).unwrap();
        hive.delete_key(child).unwrap();
    }
    hive
}

#[test]
fn hivex_reads_what_we_write() {
    if !hivex_is_here() {
        return;
    }
    for minor in [3, 5] {
        let hive = hive(minor);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, hive.clone().into_bytes()).unwrap();
        let (theirs, ours) = (exported(file.path()), read(&hive));
        assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());
        for (key, values) in ours {
            assert_eq!(theirs[&key], values, "{key}");
        }
        let xml = run(Command::new("hivexml").arg(file.path()));
        assert_eq!(xml.matches("<mtime>2016-07-16T00:00:00Z</mtime>").count(), 1 + 1500 - 1500_usize.div_ceil(7) + 4);
        let text = run(Command::new("hivexget").arg(file.path()).args([r"Software\Ключ\Größe", "text"]));
        assert_eq!(text.trim_end(), r"%SystemRoot%\x");
    }
}

#[test]
fn we_read_and_edit_what_hivex_writes() {
    if !hivex_is_here() {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let before = hive(5);
    std::fs::write(&file, before.clone().into_bytes()).unwrap();
    let merge = tempfile::NamedTempFile::new().unwrap();
    let text = "Windows Registry Editor Version 5.00\n\n[\\Foreign]\n\"a\"=\"text\"\n\"b\"=dword:0000002a\n\n\
                [\\Foreign\\_under]\n\n[\\Foreign\\zz]\n\n[\\Foreign\\Below]\n@=hex(3):01,02\n\n[-\\Software\\Ключ\\Größe\\0008]\n";
    std::fs::write(&merge, text).unwrap();
    run(Command::new("hivexregedit").arg("--merge").arg("--encoding=UTF-16LE").arg(file.path()).arg(merge.path()));
    let mut hive = Hive::parse(std::fs::read(&file).unwrap()).unwrap();
    let mut expected = read(&before);
    expected.remove(r"Software\Ключ\Größe\0008");
    let after = read(&hive);
    for (key, values) in &expected {
        assert_eq!(after.get(key), Some(values), "{key}");
    }
    let key = hive.find("foreign").unwrap();
    assert_eq!(hive.value(key, "A").unwrap().text().unwrap(), "text");
    assert_eq!(hive.value(hive.find(r"foreign\below").unwrap(), "").unwrap().data, [1, 2]);
    assert!(hive.find(r"Foreign\_UNDER").is_some());
    hive.create_key(key, r"aa\bb").unwrap();
    hive.delete_key(hive.find(r"foreign\_under").unwrap()).unwrap();
    let bytes = hive.into_bytes();
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(exported(file.path()), read(&Hive::parse(bytes).unwrap()));
}

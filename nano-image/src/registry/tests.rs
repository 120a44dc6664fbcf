//! Hives that are created, edited and read back.

use super::*;
use crate::types::FileTime;

#[test]
fn a_new_hive_holds_what_was_put_in() {
    let mut hive = Hive::new(FileTime(7), &HiveOptions::default()).unwrap();
    let key = hive.create_key(hive.root(), r"Software\Über\Ключ").unwrap();
    hive.set_value(key, "", Value::sz("x")).unwrap();
    hive.set_value(key, "Größe", Value::dword(5)).unwrap();
    hive.set_value(key, "Имя", Value::binary(vec![9; 100_000])).unwrap();
    let hive = Hive::parse(hive.into_bytes()).unwrap();
    let key = hive.find(r"SOFTWARE\über\КЛЮЧ").unwrap();
    assert_eq!(hive.value(key, "").unwrap().text().unwrap(), "x");
    assert_eq!(hive.value(key, "größe").unwrap().as_dword(), Some(5));
    assert_eq!(hive.value(key, "имя").unwrap().data, vec![9; 100_000]);
    assert_eq!(hive.key_time(key), FileTime(7));
    assert_eq!(hive.security(key), hive.security(hive.root()));
}

/// Hives that lie beside the project on some machines: made by Windows, by its offline registry library or by hand;
/// some are damaged.
#[cfg(feature = "internals")]
#[test]
fn hives_of_others_are_read_or_refused_and_never_changed_by_reading() {
    const DAMAGED: [&str; 13] = [
        "BadListHive",
        "BadLogHive",
        "BadLogHive.LOG1",
        "BadLogHive.LOG2",
        "BadSubkeyHive",
        "DeletedDataHiveTruncated",
        "DuplicateSubkeysHive",
        "InvalidParentFragment",
        "InvalidParentHive",
        "TruncatedHive",
        "TruncatedHiveBin",
        "TruncatedNameHive",
        "corrupt_sub_key_list.hiv",
    ];
    // Logs, compressed files, and hives that other tools edited without updating the checksum.
    const OTHER: [&str; 3] = ["EffectiveSizeHive", "GarbageHive", "OldLogWithRemnantData"];
    let Some(folder) = fixtures::outside::shared("data/hives") else { return };
    let mut pending = vec![folder];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let bad = DAMAGED.contains(&name) || OTHER.contains(&name) || name.ends_with(".xz");
        match Hive::parse(bytes.clone()) {
            Ok(hive) => {
                assert!(!bad, "{name} was read");
                // In this hive someone changed a name but not its hint.
                assert!(all_hints_are_right(&hive) || name == "CompHive", "{name}");
                assert!(hive.into_bytes() == bytes, "{name} changed");
                assert_edit_is_local(bytes, name);
            }
            Err(error) => assert!(bad, "{name}: {error}"),
        }
    }
}

/// Whether Windows finds every key by the hint or hash in its list.
pub(super) fn all_hints_are_right(hive: &Hive) -> bool {
    let mut keys = vec![hive.root()];
    while let Some(key) = keys.pop() {
        if !hive.hints_are_right(key.0) {
            return false;
        }
        keys.extend(hive.subkeys(key));
    }
    true
}

/// Everything in a hive outside the key `without`, except the time of the root.
fn contents(hive: &Hive, without: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pending = vec![(hive.root(), String::new())];
    while let Some((key, path)) = pending.pop() {
        if path == without {
            continue;
        }
        let time = if path.is_empty() { FileTime(0) } else { hive.key_time(key) };
        lines.push(format!("{path} {time:?} {:?} {:?}", hive.class(key), hive.security(key)));
        lines.extend(hive.values(key).into_iter().map(|(name, value)| format!("{name} {value:?}")));
        let below = |child: KeyId| (child, format!(r"{path}\{}", hive.name(child)));
        pending.extend(hive.subkeys(key).into_iter().map(below));
    }
    lines
}

/// Checks that an edit changes only what it should, and that undoing it gives the same contents.
fn assert_edit_is_local(bytes: Vec<u8>, what: &str) {
    let mut hive = Hive::parse(bytes).unwrap();
    hive.set_time(FileTime(12_345));
    let before = contents(&hive, "-");
    let key = hive.create_key(hive.root(), r"Added key\Ж").unwrap();
    for number in 0..600 {
        hive.create_child(key, format!("{number}").as_str()).unwrap();
    }
    hive.set_value(key, "value", Value::binary(vec![0xA5; 40_000])).unwrap();
    hive.set_security(key, &descriptor_for(3, true)).unwrap();
    let mut hive = Hive::parse(hive.into_bytes()).unwrap();
    assert_eq!(contents(&hive, r"\Added key"), before, "{what}");
    let key = hive.find(r"added KEY\ж").unwrap();
    assert_eq!((hive.subkeys(key).len(), hive.value(key, "VALUE").unwrap().data.len()), (600, 40_000));
    hive.delete_key(hive.find("added key").unwrap()).unwrap();
    let bytes = hive.into_bytes();
    assert!(!bytes.windows(64).any(|window| window == [0xA5; 64]), "{what}: deleted data stay in the file");
    assert_eq!(contents(&Hive::parse(bytes).unwrap(), "-"), before, "{what}");
}

#[test]
fn an_edit_changes_nothing_else() {
    let mut hive = Hive::new(FileTime(7), &HiveOptions::default()).unwrap();
    for name in [r"a\b\c", r"a\d", "z", r"Ж\ä"] {
        let key = hive.create_key(hive.root(), name).unwrap();
        hive.set_class(key, name.as_bytes()).unwrap();
        hive.set_value(key, name, Value::sz(name)).unwrap();
    }
    assert_edit_is_local(hive.into_bytes(), "own hive");
}

fn three_keys(minor: u32) -> (Hive, KeyId) {
    let mut hive = Hive::new(FileTime(7), &HiveOptions::default().minor_version(minor)).unwrap();
    let key = hive.create_key(hive.root(), "parent").unwrap();
    for name in ["b", "d", "f"] {
        hive.create_child(key, name).unwrap();
    }
    (hive, key)
}

fn names(hive: &Hive, key: KeyId) -> String {
    hive.subkeys(key).into_iter().map(|key| hive.name(key).to_string()).collect()
}

/// Some tools sort names by other rules. Windows would not find such keys, but this library can edit such hives.
#[test]
fn keys_in_another_order_are_found_and_edited() {
    let (mut hive, key) = three_keys(5);
    let list = hive.live(key.0).unwrap().subkey_list.get();
    let (_, entries) = hive.cells.write::<format::ListHeader>(list).unwrap();
    entries[..24].rotate_left(8);
    let mut hive = Hive::parse(hive.into_bytes()).unwrap();
    assert!(!hive.ordered);
    for name in ["b", "d", "F"] {
        assert!(hive.child(key, name).is_some(), "{name}");
    }
    hive.create_child(key, "e").unwrap();
    hive.delete_key(hive.child(key, "b").unwrap()).unwrap();
    let hive = Hive::parse(hive.into_bytes()).unwrap();
    let mut left: Vec<char> = names(&hive, hive.find("parent").unwrap()).chars().collect();
    left.sort();
    assert_eq!(left, ['d', 'e', 'f']);
}

#[test]
fn names_that_occur_twice_are_found_in_any_order() {
    let (mut hive, key) = three_keys(5);
    let last = hive.child(key, "f").unwrap();
    hive.cells.write::<format::KeyNode>(last.0).unwrap().1[0] = b'B';
    let error = Hive::parse(hive.into_bytes()).map(drop).unwrap_err();
    assert!(error.to_string().contains("two subkeys are called `B`"), "{error}");
}

#[test]
fn lists_without_hints_are_read_and_edited() {
    let (mut hive, key) = three_keys(3);
    let list = hive.live(key.0).unwrap().subkey_list.get();
    let (header, entries) = hive.cells.write::<format::ListHeader>(list).unwrap();
    header.signature = format::LI;
    for index in 0..3 {
        entries.copy_within(8 * index..8 * index + 4, 4 * index);
    }
    entries[12..].fill(0);
    let mut hive = Hive::parse(hive.into_bytes()).unwrap();
    assert_eq!(names(&hive, key), "bdf");
    for name in ["a", "c", "e", "g", "h", "i"] {
        hive.create_child(key, name).unwrap();
    }
    hive.delete_key(hive.child(key, "d").unwrap()).unwrap();
    let hive = Hive::parse(hive.into_bytes()).unwrap();
    assert_eq!(names(&hive, key), "abcefghi");
}

#[test]
fn keys_without_descriptors_can_get_one() {
    let (mut hive, key) = three_keys(5);
    for key in [hive.root(), key].into_iter().chain(hive.subkeys(key)) {
        let item = hive.live(key.0).unwrap().security.get();
        hive.drop_reference(item).unwrap();
        hive.cells.write::<format::KeyNode>(key.0).unwrap().0.security = format::NO_CELL.into();
    }
    let mut hive = Hive::parse(hive.into_bytes()).unwrap();
    let new = hive.create_child(key, "new").unwrap();
    assert_eq!(hive.security(new), None);
    hive.set_security(new, &descriptor_for(1, false)).unwrap();
    hive.set_security(key, &descriptor_for(2, false)).unwrap();
    let hive = Hive::parse(hive.into_bytes()).unwrap();
    assert_eq!(hive.security(new), Some(&descriptor_for(1, false)[..]));
    assert_eq!(hive.security(key), Some(&descriptor_for(2, false)[..]));
    assert_eq!(hive.security(hive.root()), None);
}

#[test]
fn what_a_hive_cannot_hold_is_refused() {
    let (mut hive, key) = three_keys(3);
    let long = "x".repeat(256);
    for name in ["", r"a\b", long.as_str()] {
        assert!(hive.create_child(key, name).is_err(), "{name}");
    }
    let error = hive.set_value(key, "v", Value::binary(vec![0; (1 << 20) + 1])).unwrap_err();
    assert!(error.to_string().contains("1048576"), "{error}");
    assert!(hive.set_security(key, &[1; 19]).is_err());
    assert!(hive.delete_key(hive.root()).is_err());
    let gone = hive.child(key, "b").unwrap();
    hive.delete_key(gone).unwrap();
    assert!(hive.set_value(gone, "v", Value::dword(1)).is_err());
    assert_eq!((hive.value(gone, "v"), hive.subkeys(gone)), (None, vec![]));
    Hive::parse(hive.into_bytes()).unwrap();
}

/// A structure of a hive, to be damaged.
fn damage<T: zerocopy::FromBytes + zerocopy::IntoBytes + zerocopy::KnownLayout>(
    hive: &mut Hive,
    cell: u32,
    change: impl Fn(&mut T),
) {
    change(hive.cells.write::<T>(cell).unwrap().0);
}

#[test]
fn damage_is_named_with_its_place() {
    use format::{BigData, KeyNode, KeySecurity, KeyValue, ListHeader};
    type Damage = fn(&mut Hive, KeyId);
    let cases: [(&str, Damage); 11] = [
        ("names another parent", |hive, key| damage::<KeyNode>(hive, key.0, |node| node.parent = 40.into())),
        ("has 4 subkeys and lists 3", |hive, key| damage::<KeyNode>(hive, key.0, |node| node.subkey_count = 4.into())),
        ("name of a registry key is cut off", |hive, key| {
            damage::<KeyNode>(hive, key.0, |node| node.name_len = 999.into());
        }),
        ("class of a key is shorter", |hive, key| damage::<KeyNode>(hive, key.0, |node| node.class_len = 99.into())),
        // A key that is its own subkey.
        ("which is free, in use elsewhere or missing", |hive, key| {
            let list = hive.live(key.0).unwrap().subkey_list.get();
            hive.cells.write::<ListHeader>(list).unwrap().1[..4].copy_from_slice(&key.0.to_le_bytes());
        }),
        ("list of subkeys is cut off", |hive, key| {
            let list = hive.live(key.0).unwrap().subkey_list.get();
            damage::<ListHeader>(hive, list, |list| list.count = 60_000.into());
        }),
        ("list of values is shorter", |hive, key| damage::<KeyNode>(hive, key.0, |node| node.value_count = 99.into())),
        ("data of a registry value is shorter", |hive, key| {
            let value = hive.find_value(key.0, &[]).unwrap();
            damage::<KeyValue>(hive, value, |value| value.data_len = 900.into());
        }),
        ("more than four bytes", |hive, key| {
            let value = hive.find_value(key.0, &[]).unwrap();
            damage::<KeyValue>(hive, value, |value| value.data_len = 0x8000_0005.into());
        }),
        ("no big data of the length", |hive, key| {
            let value = hive.find_value(key.0, &[u16::from(b'l')]).unwrap();
            let data = hive.value_node(value).unwrap().0.data.get();
            damage::<BigData>(hive, data, |big| big.count = 2.into());
        }),
        ("ring of security descriptors is broken", |hive, key| {
            let item = hive.live(key.0).unwrap().security.get();
            damage::<KeySecurity>(hive, item, |item| item.previous = item.next);
        }),
    ];
    for (what, change) in cases {
        let (mut hive, key) = three_keys(5);
        hive.set_class(key, b"c").unwrap();
        hive.set_value(key, "", Value::sz("text")).unwrap();
        hive.set_value(key, "l", Value::binary(vec![1; 40_000])).unwrap();
        for (access, name) in ["b", "d", "f"].into_iter().enumerate() {
            let child = hive.child(key, name).unwrap();
            hive.set_security(child, &descriptor_for(access as u32, false)).unwrap();
        }
        change(&mut hive, key);
        let error = Hive::parse(hive.into_bytes()).map(drop).expect_err(what);
        assert!(error.to_string().contains(what), "{what}: {error}");
        assert!(error.offset().is_some_and(|offset| offset > 4096), "{error}");
    }
}

#[test]
fn a_gathered_key_is_the_same_and_its_edits_lie_together() {
    let mut hive = Hive::new(FileTime(5), &HiveOptions::default()).unwrap();
    let mut names = Vec::new();
    for number in 0..600 {
        let key = hive.create_key(hive.root(), &format!(r"Some\Key {number:03}\Below")).unwrap();
        hive.set_value(key, "", Value::sz("default")).unwrap();
        let key = hive.find(&format!(r"Some\Key {number:03}")).unwrap();
        hive.set_value(key, "Name", Value::sz("a value")).unwrap();
        hive.set_value(key, "Number", Value::dword(number)).unwrap();
        hive.set_class(key, b"c\0l\0").unwrap();
        names.push(format!(r"Some\Key {number:03}"));
    }
    let mut hive = Hive::parse(hive.into_bytes()).unwrap();
    hive.set_time(FileTime(9));
    let told = |hive: &Hive| -> Vec<_> {
        let all = names.iter().map(|path| hive.find(path).unwrap());
        all.map(|key| {
            let below = hive.subkeys(key);
            assert_eq!(below.iter().map(|child| hive.parent(*child)).collect::<Vec<_>>(), [Some(key)]);
            let values = (hive.values(key), hive.values(below[0]));
            (
                hive.name(key),
                values,
                hive.class(key).map(<[u8]>::to_vec),
                hive.security(key).map(<[u8]>::to_vec),
                hive.key_time(key),
            )
        })
        .collect()
    };
    let before = told(&hive);
    hive.reserve(64 << 10).unwrap();
    let start = hive.to_bytes().len() - (64 << 10);
    for path in [&names[0], &names[300], &names[599]] {
        hive.gather(hive.find(path).unwrap()).unwrap();
    }
    assert_eq!(hive.gather(hive.root()).unwrap(), hive.root());
    assert!(told(&hive) == before);
    let golden = Hive::parse(hive.to_bytes()).unwrap();
    assert!(told(&golden) == before);
    // Edited in the way that an image is edited for one machine.
    let mut edited = hive.clone();
    for path in [&names[0], &names[300], &names[599]] {
        let key = edited.find(path).unwrap();
        edited.set_value(key, "Name", Value::sz("another value, which is longer")).unwrap();
        edited.set_value(key, "More", Value::dword(1)).unwrap();
    }
    let (one, two) = (hive.to_bytes(), edited.to_bytes());
    assert_eq!(one.len(), two.len());
    let first = (0..one.len()).find(|at| one[*at] != two[*at]).unwrap();
    assert!(first >= start, "{first} < {start}");
}

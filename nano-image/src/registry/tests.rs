//! Hives made, edited and read back.

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

/// Hives that lie beside the project on some machines: made by Windows, by its offline registry library and by
/// hand, good and damaged.
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
    // Edited with other tools without a new checksum, logs, and compressed files.
    const OTHER: [&str; 3] = ["EffectiveSizeHive", "GarbageHive", "OldLogWithRemnantData"];
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/hives"));
    let mut pending = vec![folder.to_owned()];
    while let Some(path) = pending.pop().filter(|_| folder.is_dir()) {
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
                assert!(hive.into_bytes() == bytes, "{name} changed");
            }
            Err(error) => assert!(bad, "{name}: {error}"),
        }
    }
}

//! Hives and their contents.

use nano_image::registry::{Hive, HiveOptions, KeyId, Value};
use nano_image::types::FileTime;
use nano_image::windows::boot::Firmware;
use nano_image::windows::boot::bcd::{BcdObject, BcdStore};

use crate::Target;

pub const HIVE: Target = Target { name: "hive", run: hive, seeds: hive_seeds, rounds: 20_000 };
pub const BCD: Target = Target { name: "bcd", run: bcd, seeds: bcd_seeds, rounds: 10_000 };

const TIME: FileTime = FileTime(131_131_008_000_000_000);
/// Length of the base block.
const BASE: usize = 4096;

/// The input is the length of the hive in four bytes, the hive, and its log. A hive that can be read is written
/// unchanged; a new hive with all its keys and values is read as the same.
fn hive(input: &[u8]) -> bool {
    let Some((len, rest)) = input.split_first_chunk() else { return false };
    let (hive, log) = rest.split_at((u32::from_le_bytes(*len) as usize).min(rest.len()));
    let hive = sealed(hive.to_vec());
    if let Ok(parsed) = Hive::parse(hive.clone()) {
        assert!(parsed.into_bytes() == hive, "reading changes the hive");
    }
    let Ok(recovered) = Hive::recover(hive, &[&sealed(log.to_vec())]) else { return false };
    let keys = dump(&recovered);
    let bytes = recovered.into_bytes();
    let again = Hive::parse(bytes.clone()).expect("a recovered hive is whole");
    assert!(dump(&again) == keys, "a recovered hive changes when it is written");
    assert!(again.into_bytes() == bytes, "reading changes a recovered hive");
    let made = Hive::new(TIME, &HiveOptions::default()).and_then(|mut made| {
        for (path, values) in &keys {
            let mut key = made.root();
            for name in path {
                key = made.create_child(key, name.clone())?;
            }
            for (name, value) in values {
                made.set_value(key, name.clone(), value.clone())?;
            }
        }
        Ok(made)
    });
    if let Ok(made) = made {
        let made = Hive::parse(made.into_bytes()).expect("a hive of ours is whole");
        assert!(dump(&made) == keys, "a hive of the same keys has other ones");
    }
    true
}

type Name = nano_image::types::Utf16Name;
type Values = Vec<(Name, Value)>;

/// All keys by their paths, with their values, as written.
fn dump(hive: &Hive) -> Vec<(Vec<Name>, Values)> {
    let mut keys = Vec::new();
    let mut open: Vec<(Vec<Name>, KeyId)> = vec![(Vec::new(), hive.root())];
    while let Some((path, key)) = open.pop() {
        for child in hive.subkeys(key) {
            open.push(([&path[..], &[hive.name(child)]].concat(), child));
        }
        let mut values = hive.values(key);
        values.sort_by(|a, b| a.0.cmp(&b.0));
        keys.push((path, values));
    }
    keys.sort_by(|a, b| a.0.cmp(&b.0));
    keys
}

/// With the right checksum in the base block: without it, every change there would end the test at once.
fn sealed(mut hive: Vec<u8>) -> Vec<u8> {
    if hive.len() >= BASE {
        let sum =
            hive[..508].chunks_exact(4).fold(0, |sum, word| sum ^ u32::from_le_bytes(word.try_into().expect("four")));
        let sum = match sum {
            0 => 1,
            u32::MAX => u32::MAX - 1,
            sum => sum,
        };
        hive[508..512].copy_from_slice(&sum.to_le_bytes());
    }
    hive
}

fn hive_seeds() -> Vec<Vec<u8>> {
    let mut ours = Hive::new(TIME, &HiveOptions::default()).expect("a hive");
    let key = ours.create_key(ours.root(), r"Software\Größe\0008").expect("a key");
    for (name, value) in
        [("", Value::sz("text")), ("number", Value::dword(7)), ("long", Value::binary(vec![1; 20_000]))]
    {
        ours.set_value(key, name, value).expect("a value");
    }
    ours.set_class(key, b"c\0l\0").expect("a class");
    let mut theirs = fixtures::hive::Hive::new();
    for number in 0..40 {
        theirs.set(&format!(r"Key{number}\Sub"), "Name", fixtures::hive::value::sz("value"));
    }
    [ours.into_bytes(), theirs.to_bytes("SYSTEM")]
        .into_iter()
        .map(|hive| [&(hive.len() as u32).to_le_bytes()[..], &hive].concat())
        .collect()
}

/// A store that can be read is written as the same.
fn bcd(input: &[u8]) -> bool {
    let Ok(store) = BcdStore::parse(sealed(input.to_vec())) else { return false };
    if let Ok(bytes) = store.to_bytes(Firmware::Uefi, TIME) {
        assert!(BcdStore::parse(bytes).expect("it was just written") == store, "a store changes when it is written");
    }
    true
}

fn bcd_seeds() -> Vec<Vec<u8>> {
    let mut store = BcdStore::default();
    let mut manager = BcdObject::new(0x1010_0002);
    manager.set_string(0x1200_0004, "Windows Boot Manager");
    manager.set_integer(0x2500_0004, 30);
    manager.set_boolean(0x2600_0020, true);
    store.objects.insert(nano_image::types::Guid::from_bytes([3; 16]), manager);
    vec![store.to_bytes(Firmware::Uefi, TIME).expect("a store")]
}

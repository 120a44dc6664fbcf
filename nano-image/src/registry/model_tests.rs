//! Random edits against a simple model, and random damage.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::format::*;
use super::*;
use crate::types::{FileTime, Utf16Name, upcase};

/// A key of the model; its maps are keyed by upper-case name.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    name: String,
    values: BTreeMap<Vec<u16>, (String, Value)>,
    keys: BTreeMap<Vec<u16>, Model>,
    class: Vec<u8>,
    descriptor: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Edit {
    Create(Vec<String>),
    Delete(Vec<String>),
    Set(Vec<String>, String, u32, Vec<u8>),
    Unset(Vec<String>, String),
    Class(Vec<String>, Vec<u8>),
    Secure(Vec<String>, u32),
    Reopen,
}

fn folded(name: &str) -> Vec<u16> {
    Utf16Name::from(name).units().iter().map(|unit| upcase::fold(*unit)).collect()
}

impl Model {
    fn at(&mut self, path: &[String]) -> Option<&mut Model> {
        path.iter().try_fold(self, |key, name| key.keys.get_mut(&folded(name)))
    }

    fn create(&mut self, path: &[String]) -> &mut Model {
        path.iter().fold(self, |key, name| {
            let descriptor = key.descriptor.clone();
            key.keys.entry(folded(name)).or_insert(Model { name: name.clone(), descriptor, ..Model::default() })
        })
    }
}

fn read(hive: &Hive, key: KeyId) -> Model {
    let subkeys = hive.subkeys(key);
    let keys: BTreeMap<_, _> =
        subkeys.iter().map(|key| (folded(&hive.name(*key).to_string()), read(hive, *key))).collect();
    assert_eq!(keys.len(), subkeys.len());
    let values = hive.values(key);
    assert_eq!(hive.value_names(key).len(), values.len());
    Model {
        name: hive.name(key).to_string(),
        values: values
            .into_iter()
            .map(|(name, value)| (folded(&name.to_string()), (name.to_string(), value)))
            .collect(),
        keys,
        class: hive.class(key).unwrap_or_default().to_vec(),
        descriptor: hive.security(key).unwrap_or_default().to_vec(),
    }
}

fn apply(hive: &mut Hive, model: &mut Model, edit: Edit) {
    let path = |path: &[String]| path.join("\\");
    match edit {
        Edit::Create(names) => {
            hive.create_key(hive.root(), &path(&names)).unwrap();
            model.create(&names);
        }
        Edit::Delete(names) => {
            let (last, parent) = names.split_last().unwrap();
            let removed = model.at(parent).and_then(|parent| parent.keys.remove(&folded(last)));
            let key = hive.find(&path(&names));
            assert_eq!(key.is_some(), removed.is_some());
            key.inspect(|key| hive.delete_key(*key).unwrap());
        }
        Edit::Set(names, name, kind, data) => {
            let key = hive.create_key(hive.root(), &path(&names)).unwrap();
            let value = Value::new(ValueKind(kind), data);
            hive.set_value(key, name.as_str(), value.clone()).unwrap();
            let values = &mut model.create(&names).values;
            let entry = values.entry(folded(&name)).or_insert_with(|| (name, value.clone()));
            entry.1 = value;
        }
        Edit::Unset(names, name) => {
            let expected = model.at(&names).and_then(|key| key.values.remove(&folded(&name))).is_some();
            let found = hive.find(&path(&names)).is_some_and(|key| hive.delete_value(key, name.as_str()).unwrap());
            assert_eq!(found, expected);
        }
        Edit::Class(names, class) => {
            let key = hive.create_key(hive.root(), &path(&names)).unwrap();
            hive.set_class(key, &class).unwrap();
            model.create(&names).class = class;
        }
        Edit::Secure(names, access) => {
            let key = hive.create_key(hive.root(), &path(&names)).unwrap();
            hive.set_security(key, &descriptor_for(access, false)).unwrap();
            model.create(&names).descriptor = descriptor_for(access, false);
        }
        Edit::Reopen => *hive = reopen(hive),
    }
}

/// Writes the hive, checks that no cell leaked and all counts are right, and reads it again.
fn reopen(hive: &Hive) -> Hive {
    let bytes = hive.clone().into_bytes();
    let (checked, leaked) = check::examine(bytes.clone()).unwrap();
    assert!(leaked.is_empty(), "cells that nothing uses");
    assert!(checked.ordered);
    for (item, count) in &checked.descriptors.references {
        let (stored, _) = checked.cells.read::<KeySecurity>(*item).unwrap();
        assert_eq!((stored.references.get(), *count > 0), (*count, true));
    }
    assert!(tests::all_hints_are_right(&checked));
    Hive::parse(bytes).unwrap()
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-cA-C_]{1,2}",
        1 => "[äÄÿŸӝЖa-b_]{1,3}",
        1 => Just("k".repeat(255)),
        1 => (0u32..40).prop_map(|n| format!("key {n}")),
    ]
}

fn paths() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(names(), 1..4)
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    let lens = prop_oneof![4 => 0usize..12, 2 => 0usize..5000, 1 => 16_340usize..16_350, 1 => 0usize..60_000];
    (lens, any::<u8>()).prop_map(|(len, seed)| (0..len).map(|at| (at as u8).wrapping_mul(31) ^ seed).collect())
}

fn edits() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => paths().prop_map(Edit::Create),
        3 => paths().prop_map(Edit::Delete),
        6 => (paths(), names(), 0u32..13, data()).prop_map(|(path, name, kind, data)| Edit::Set(path, name, kind, data)),
        1 => (paths(), 0u32..13, data()).prop_map(|(path, kind, data)| Edit::Set(path, String::new(), kind, data)),
        3 => (paths(), names()).prop_map(|(path, name)| Edit::Unset(path, name)),
        1 => (paths(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(path, class)| Edit::Class(path, class)),
        2 => (paths(), 0u32..4).prop_map(|(path, access)| Edit::Secure(path, access)),
        1 => Just(Edit::Reopen),
    ]
}

fn small_hive() -> Vec<u8> {
    let mut hive = Hive::new(FileTime(5), &HiveOptions::default()).unwrap();
    let key = hive.create_key(hive.root(), r"one\two\three").unwrap();
    hive.set_class(key, b"c\0l\0").unwrap();
    hive.set_security(key, &descriptor_for(1, true)).unwrap();
    for number in 0..520 {
        hive.create_child(key, format!("{number}").as_str()).unwrap();
    }
    for len in [0, 3, 4, 5, 100, 40_000] {
        hive.set_value(key, format!("{len}").as_str(), Value::binary(vec![1; len])).unwrap();
    }
    hive.into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn edits_have_the_effect_of_the_model(minor in 3u32..=6, edits in prop::collection::vec(edits(), 1..80)) {
        let options = HiveOptions::default().minor_version(minor);
        let mut hive = Hive::new(FileTime(1), &options).unwrap();
        let mut model = read(&hive, hive.root());
        for edit in edits {
            apply(&mut hive, &mut model, edit);
        }
        prop_assert_eq!(&read(&hive, hive.root()), &model);
        let hive = reopen(&hive);
        prop_assert_eq!(&read(&hive, hive.root()), &model);
    }

    #[test]
    fn damaged_hives_never_panic(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = small_hive();
        for (index, byte) in damage {
            // Half of the damage goes to the start, where most structures are.
            let range = if byte % 2 == 0 { bytes.len() } else { BASE_BLOCK_LEN + 2048 };
            let at = index.index(range);
            bytes[at] ^= byte;
        }
        let sum = checksum(&bytes);
        bytes[CHECKSUM_COVERS..CHECKSUM_COVERS + 4].copy_from_slice(&sum.to_le_bytes());
        if let Ok(mut hive) = Hive::parse(bytes) {
            let _ = read(&hive, hive.root());
            for key in hive.subkeys(hive.root()) {
                let _ = hive.set_value(key, "new", Value::binary(vec![2; 20_000]));
                let _ = hive.create_key(key, r"new\key");
                let _ = hive.delete_key(key);
            }
            Hive::parse(hive.into_bytes()).unwrap();
        }
    }
}

#[test]
fn thousands_of_keys_in_any_order() {
    for minor in [3, 5] {
        let mut hive = Hive::new(FileTime(1), &HiveOptions::default().minor_version(minor)).unwrap();
        let key = hive.create_key(hive.root(), "many").unwrap();
        let name = |number: usize| format!("{:x}", (number * 7919) % 5003);
        for number in 0..5003 {
            hive.create_child(key, name(number).as_str()).unwrap();
        }
        let mut hive = reopen(&hive);
        let key = hive.find("many").unwrap();
        assert_eq!(hive.subkeys(key).len(), 5003);
        for number in (0..5003).filter(|number| number % 3 != 0) {
            let child = hive.child(key, name(number).as_str()).unwrap();
            hive.delete_key(child).unwrap();
        }
        let mut hive = reopen(&hive);
        assert_eq!(hive.subkeys(hive.find("many").unwrap()).len(), 5003_usize.div_ceil(3));
        hive.delete_key(hive.find("many").unwrap()).unwrap();
        assert_eq!(reopen(&hive).subkeys(hive.root()), []);
    }
}

#[test]
fn hundreds_of_values_in_one_key() {
    let mut hive = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
    let key = hive.create_key(hive.root(), "many").unwrap();
    for number in 0..900u32 {
        hive.set_value(key, format!("v{}", number % 600).as_str(), Value::dword(number)).unwrap();
    }
    for number in (0..600).step_by(2) {
        assert!(hive.delete_value(key, format!("V{number}").as_str()).unwrap());
    }
    let hive = reopen(&hive);
    let key = hive.find("many").unwrap();
    assert_eq!(hive.value_names(key).len(), 300);
    assert_eq!(hive.value(key, "v1").unwrap().as_dword(), Some(601));
    assert_eq!(hive.value(key, "v0"), None);
}

//! Control sets: the versions of the machine's settings in a SYSTEM hive. Windows uses one of them.

use super::HiveFile;
use crate::error::{Error, Result};
use crate::registry::{Hive, KeyId};

/// Name of the control set with which Windows starts: the one that `Select` names. Images that Windows has not set up
/// yet may lack `Select`, or name a set that does not exist. Then it is the first set that exists, or without any, the
/// first that Windows creates.
pub fn current(system: &Hive) -> String {
    let select = system.find("Select");
    let number = |name: &str| system.value(select?, name)?.as_dword().filter(|number| (1..1000).contains(number));
    let named = ["Current", "Default"].into_iter().find_map(number).map(|number| format!("ControlSet{number:03}"));
    let is_there = |name: &String| system.find(name).is_some();
    let first = || found(system).first().map(|key| system.name(*key).to_string());
    named.clone().filter(is_there).or_else(first).or(named).unwrap_or_else(|| "ControlSet001".into())
}

/// The keys `ControlSetNNN`, in the order of their numbers; never empty.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) if there is none.
pub fn all(system: &Hive) -> Result<Vec<KeyId>> {
    let sets = found(system);
    if sets.is_empty() {
        return Err(Error::corrupt("registry hive without any key `ControlSetNNN`").with_path(HiveFile::System.path()));
    }
    Ok(sets)
}

fn found(system: &Hive) -> Vec<KeyId> {
    let is_control_set = |name: String| {
        let name = name.to_ascii_uppercase();
        name.strip_prefix("CONTROLSET").is_some_and(|n| n.len() == 3 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let keys = system.subkeys(system.root()).into_iter();
    keys.filter(|key| is_control_set(system.name(*key).to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{HiveOptions, Value};
    use crate::types::FileTime;

    fn hive(sets: &[&str], select: &[(&str, u32)]) -> Hive {
        let mut hive = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
        for set in sets {
            hive.create_key(hive.root(), set).unwrap();
        }
        for (name, number) in select {
            let key = hive.create_key(hive.root(), "Select").unwrap();
            hive.set_value(key, *name, Value::dword(*number)).unwrap();
        }
        hive
    }

    #[test]
    fn the_set_that_select_names_wins_and_the_first_one_stands_in() {
        for (sets, select, expected) in [
            (&["ControlSet001", "ControlSet002"][..], &[("Current", 2), ("Default", 1)][..], "ControlSet002"),
            (&["ControlSet001", "ControlSet002"], &[("Default", 2)], "ControlSet002"),
            (&["ControlSet003", "ControlSet002"], &[], "ControlSet002"),
            (&["ControlSet002"], &[("Current", 1)], "ControlSet002"),
            (&["ControlSet002"], &[("Current", 0), ("Default", 7_000)], "ControlSet002"),
            (&[], &[("Current", 4)], "ControlSet004"),
            (&["ControlSet", "ControlSet00x"], &[], "ControlSet001"),
        ] {
            assert_eq!(current(&hive(sets, select)), expected, "{sets:?} {select:?}");
        }
    }
}

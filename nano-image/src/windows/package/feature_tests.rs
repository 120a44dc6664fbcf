//! Turns features of images on, and compares the result with what the generator of the images expects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fixtures::cab::Method;
use fixtures::packages::{Form, Manifests, State as Fixture, core};

use super::testing::{compare_notes, image};
use super::*;
use crate::error::ErrorKind;
use crate::tree::{FileTree, NodeId};
use crate::types::Architecture;
use crate::types::FileTime;
use crate::windows::edit::HiveFile;
use crate::windows::edit::testing::{edit, hive};

const OPTIONS: InstallOptions<'_> = InstallOptions { architecture: Architecture::Amd64, scratch: None, strict: true };
const TIME: FileTime = FileTime(131_000_000_000_000_000);

fn on(features: &[&str]) -> Install {
    Install { features: features.iter().map(|name| (*name).to_owned()).collect(), ..Install::default() }
}

fn run(tree: &mut FileTree, what: &Install) -> Result<InstallReport> {
    edit(tree, TIME, |image| install(image, what, &OPTIONS, &())).map(|(report, _)| report)
}

/// The cabinet of the media with the files of `Legacy-Runtime`.
fn on_demand() -> CabinetSource {
    let bytes = core::on_demand().to_bytes(Form { method: Method::Mszip, manifests: Manifests::Plain });
    CabinetSource { path: format!("{}.cab", core::ON_DEMAND).into(), data: Arc::new(bytes) }
}

/// Paths of all files but hives, and their nodes.
fn files(tree: &FileTree) -> BTreeMap<String, NodeId> {
    let mut found = BTreeMap::new();
    let mut open = vec![(NodeId::ROOT, String::new())];
    while let Some((node, path)) = open.pop() {
        for (name, entry) in tree[node].children.iter().flatten() {
            let path = format!(r"{path}\{name}").trim_start_matches('\\').to_lowercase();
            match tree[entry.node].is_directory() {
                true => open.push((entry.node, path)),
                false => drop(found.insert(path, entry.node)),
            }
        }
    }
    found.retain(|path, _| !path.starts_with(r"windows\system32\config\") && !path.ends_with("ntuser.dat"));
    found
}

/// Checks that files with their links, and all values of hives, are those of `state`.
fn compare(tree: &FileTree, state: &Fixture) {
    let (ours, mut numbers) = (files(tree), BTreeMap::new());
    let theirs: BTreeMap<String, usize> =
        state.files().map(|(path, number, _)| (path.to_lowercase(), number)).collect();
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (path, number) in &theirs {
        assert_eq!(numbers.entry(*number).or_insert(ours[path]), &ours[path], "{path} is another file");
    }
    assert_eq!(numbers.values().collect::<BTreeSet<_>>().len(), numbers.len(), "two files are one");
    compare_notes(tree, state, true);
    let expected = image(state);
    for file in [HiveFile::System, HiveFile::NewUser] {
        assert_eq!(testing::values(tree, file), testing::values(&expected, file), "{file:?}");
    }
}

#[test]
fn features_of_the_image_are_turned_on_with_their_parents() {
    for feature in ["Web-Server", "Web-Tools", "Fax-Server"] {
        let mut tree = image(&core::state(&[]));
        let report = run(&mut tree, &on(&[&feature.to_lowercase()])).unwrap();
        compare(&tree, &core::state(core::turned_on(feature)));
        let features: BTreeSet<&str> = report.features.iter().map(String::as_str).collect();
        assert_eq!(features, core::turned_on(feature).iter().copied().collect());
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        // A second time changes nothing, which is reported.
        let before = files(&tree);
        let report = run(&mut tree, &on(&[feature])).unwrap();
        assert_eq!(files(&tree), before);
        assert!(report.packages.is_empty() && report.warnings[0].contains("is on already"), "{report:?}");
    }
}

#[test]
fn two_features_are_turned_on_at_once_in_any_order() {
    let both = ["Fax-Server", "Web-Server"];
    let expected = core::state(&[core::turned_on("Fax-Server"), core::turned_on("Web-Server")].concat());
    for features in [both, [both[1], both[0]]] {
        let mut tree = image(&core::state(&[]));
        run(&mut tree, &on(&features)).unwrap();
        compare(&tree, &expected);
    }
}

#[test]
fn files_that_were_removed_come_from_the_media() {
    let feature = "Legacy-Runtime";
    let error = run(&mut image(&core::state(&[])), &on(&[feature])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsatisfied);
    let text = format!("{error} {}", error.hint().unwrap_or_default());
    assert!(text.contains("0x800f081f") && text.contains("legacyruntime"), "{text}");
    let mut tree = image(&core::state(&[]));
    let report = run(&mut tree, &Install { sources: vec![on_demand()], ..on(&[feature]) }).unwrap();
    compare(&tree, &core::state(core::turned_on(feature)));
    assert_eq!(report.features, [feature]);
    // It is only searched for features.
    let mut tree = image(&core::state(&[]));
    run(&mut tree, &Install { sources: vec![on_demand()], ..on(&["Fax-Server"]) }).unwrap();
    compare(&tree, &core::state(core::turned_on("Fax-Server")));
}

#[test]
fn unknown_features_are_told_with_the_nearest() {
    let mut tree = image(&core::state(&[]));
    let before = files(&tree);
    let error = run(&mut tree, &on(&["Web-Sever", "Quite-Another"])).unwrap_err();
    let text = error.to_string();
    for part in
        ["`Web-Sever` (0x800f080c); did you mean `Web-Server`?", "`Quite-Another`", "Fax-Server, Legacy-Runtime"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(error.missing(), ["Web-Sever", "Quite-Another"]);
    assert_eq!(files(&tree), before);
}

/// If something cannot be recorded, the feature is not turned on halfway.
#[test]
fn a_feature_that_cannot_be_recorded_is_an_error_if_that_is_wanted() {
    let change = |tree: &mut FileTree| {
        edit(tree, TIME, |image| {
            let hive = image.edit(HiveFile::Components)?;
            let component = hive.subkeys(hive.find(r"DerivedData\Components").unwrap())[0];
            hive.set_value(component, "f!other.dll", crate::registry::Value::dword(1))
        })
        .unwrap();
    };
    let mut tree = image(&core::state(&[]));
    change(&mut tree);
    let error = run(&mut tree.clone(), &on(&["Fax-Server"])).unwrap_err();
    assert!(error.to_string().contains("f!other.dll"), "{error}");
    let before = testing::values(&tree, HiveFile::Components);
    let options = InstallOptions { strict: false, ..OPTIONS };
    let what = on(&["Fax-Server"]);
    let (report, _) = edit(&mut tree, TIME, |image| install(image, &what, &options, &())).unwrap();
    assert!(report.warnings.iter().any(|warning| warning.contains("f!other.dll")), "{:?}", report.warnings);
    assert_eq!(testing::values(&tree, HiveFile::Components), before);
    assert!(tree.find(r"Windows\System32\drivers\genfax.sys").is_some());
    let software = hive(&tree, HiveFile::Software);
    let id = "Microsoft-Windows-FaxServer-Package~31bf3856ad364e35~amd64~~10.0.14393.0";
    let package = software.find(&format!(r"{}\Packages\{id}", installed::SERVICING)).unwrap();
    assert_eq!(software.value(package, "CurrentState").unwrap().as_dword(), Some(0x40));
}

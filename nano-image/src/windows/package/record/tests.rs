use std::sync::Arc;

use fixtures::Data;
use fixtures::cab::Method;
use fixtures::hive::value;
use fixtures::packages::{
    Cabinet, Component, Condition, Form, Identity, Manifests, Package, State as Fixture, Update, What, nano,
};
use fixtures::scenes::nano_cbs_state;

use super::shape::OWNER;
use super::*;
use crate::tree::{FileTree, Times};
use crate::types::Architecture;
use crate::windows::edit::testing::{edit, hive};
use crate::windows::package::cabinet::{CabinetSource, PackageCabinet};
use crate::windows::package::contents::Dictionary;
use crate::windows::package::installed::Installed;
use crate::windows::package::resolve::{Choice, Given, Purpose, Request, resolve};
use crate::windows::package::testing;

const TIME: FileTime = FileTime(131_000_000_000_000_000);

fn read<'a>(cabinet: &Cabinet, dictionary: &'a Dictionary<'a>) -> PackageCabinet<'a> {
    let form = Form { method: Method::Mszip, manifests: Manifests::Plain };
    let source = CabinetSource { path: "a.cab".into(), data: Arc::new(cabinet.to_bytes(form)) };
    testing::open(&source, dictionary).unwrap()
}

/// Records the package in the image.
fn install(tree: &mut FileTree, cabinet: &Cabinet) -> Recorded {
    install_telling(tree, cabinet).0
}

/// The same, and what is reported.
fn install_telling(tree: &mut FileTree, cabinet: &Cabinet) -> (Recorded, Vec<String>) {
    let mut warnings = Vec::new();
    let dictionary = testing::plain();
    let read = read(cabinet, &dictionary);
    let install = |image: &mut ImageEdit<'_>| {
        let installed = Installed::read(image)?;
        let given = [Given { cabinet: &read, purpose: Purpose::Package }];
        let (installed, architecture) = (&installed, Architecture::Amd64);
        let request = Request { given: &given, store: None, features: Choice::default(), installed, architecture };
        record(image, &resolve(&request)?, &mut warnings)
    };
    let recorded = edit(tree, TIME, install).unwrap().0;
    (recorded, warnings)
}

/// Edits a hive of the image.
fn change(tree: &mut FileTree, file: HiveFile, change: impl FnOnce(&mut Hive)) {
    edit(tree, TIME, |image| image.edit(file).map(change)).unwrap();
}

#[test]
fn notes_are_those_that_the_generator_of_images_makes() {
    let before = nano_cbs_state("ServerDatacenterNano");
    let guest = nano::guest();
    let mut after: Fixture = before.clone();
    after.install(&guest);
    let mut tree = testing::image(&before);
    assert_eq!(install(&mut tree, &guest), Recorded::Completely);
    testing::compare_notes(&tree, &after, true);
    let listed = edit(&mut tree, TIME, Installed::read).unwrap().0;
    let package = listed.packages().iter().find(|package| package.identity.name == guest.root.identity.name).unwrap();
    assert_eq!((package.state, package.updates.len()), (State::Installed, guest.root.updates.len()));
}

#[test]
fn an_odd_name_in_the_image_stops_it() {
    let state = nano_cbs_state("ServerDatacenterNano");
    let mut tree = testing::image(&state);
    change(&mut tree, HiveFile::Components, |hive| {
        let components = hive.find(r"DerivedData\Components").unwrap();
        let key = hive.create_child(components, "amd64_odd_31bf3856ad364e35_1.0.0.0_none_0123456789abcdef").unwrap();
        let identity = "Odd, Culture=neutral, Version=1.0.0.0, PublicKeyToken=31bf3856ad364e35, \
                        ProcessorArchitecture=amd64, versionScope=NonSxS";
        hive.set_value(key, "identity", Value::binary(identity)).unwrap();
    });
    let before = testing::values(&tree, HiveFile::Components);
    let Recorded::NotAtAll(why) = install(&mut tree, &nano::guest()) else { panic!("recorded") };
    assert!(why.contains("amd64_odd_") && why.contains("would be called"), "{why}");
    assert_eq!(testing::values(&tree, HiveFile::Components), before);
}

#[test]
fn unknown_forms_stop_it() {
    type Case = (HiveFile, &'static str, fn(&mut Hive));
    let cases: [Case; 6] = [
        (HiveFile::Software, "CurrentState", |hive| {
            let packages = hive.find(&format!(r"{SERVICING}\Packages")).unwrap();
            for key in hive.subkeys(packages) {
                hive.set_value(key, "InstallName", Value::dword(1)).unwrap();
            }
        }),
        (HiveFile::Software, "PackageIndex", |hive| {
            let index = hive.find(&format!(r"{SERVICING}\PackageIndex")).unwrap();
            for key in hive.subkeys(index) {
                hive.delete_key(key).unwrap();
            }
        }),
        (HiveFile::Software, "winners", |hive| {
            let family = hive.subkeys(hive.find(WINNERS).unwrap())[0];
            hive.set_value(family, "", Value::sz("9.9")).unwrap();
        }),
        (HiveFile::Components, "file", |hive| {
            let component = hive.subkeys(hive.find(r"DerivedData\Components").unwrap())[0];
            hive.set_value(component, "f!sapi_onecore.dll", Value::dword(1)).unwrap();
        }),
        (HiveFile::Components, "deployment", |hive| {
            let deployments = hive.find(r"CanonicalData\Deployments").unwrap();
            let key = hive.subkeys(deployments)[0];
            hive.set_value(key, "i!CBS_x", Value::binary([1, 2, 3])).unwrap();
        }),
        (HiveFile::Components, "nothing to compare", |hive| {
            for path in [r"DerivedData\Components", r"CanonicalData\Deployments"] {
                let parent = hive.find(path).unwrap();
                for key in hive.subkeys(parent) {
                    hive.delete_key(key).unwrap();
                }
            }
        }),
    ];
    let state = nano_cbs_state("ServerDatacenterNano");
    for (file, what, edit) in cases {
        let mut tree = testing::image(&state);
        change(&mut tree, file, edit);
        let recorded = install(&mut tree, &nano::guest());
        assert!(matches!(recorded, Recorded::NotAtAll(_)), "{what}");
    }
    let mut tree = testing::image(&state);
    tree.write_file(HiveFile::Components.path(), Vec::new(), Times::default()).unwrap();
    assert_eq!(install(&mut tree, &nano::guest()), Recorded::NotAtAll("the image has no COMPONENTS hive".into()));
}

/// A family that does not say which series is in use concerns only its own components.
#[test]
fn a_family_without_its_series_stops_what_changes_it() {
    let mut tree = testing::image(&nano_cbs_state("ServerDatacenterNano"));
    let update = nano::servicing(80_000);
    let family = update.components[0].identity.versionless();
    change(&mut tree, HiveFile::Software, |hive| {
        let family = hive.find(&format!(r"{WINNERS}\{family}")).unwrap();
        hive.delete_value(family, "").unwrap();
    });
    let before = testing::values(&tree, HiveFile::Components);
    let Recorded::NotAtAll(why) = install(&mut tree, &update) else { panic!("recorded") };
    assert!(why.contains(&family) && why.contains("series"), "{why}");
    assert_eq!(testing::values(&tree, HiveFile::Components), before);
    let (recorded, warnings) = install_telling(&mut tree, &nano::guest());
    assert_eq!(recorded, Recorded::Completely);
    assert!(matches!(&warnings[..], [one] if one.contains(&family) && one.contains("series")), "{warnings:?}");
}

/// Flags of owners depend on the state of a package, so those of a permanent edition are not used for others.
#[test]
fn flags_of_another_state_are_not_taken() {
    let mut tree = testing::image(&nano_cbs_state("ServerDatacenterNano"));
    change(&mut tree, HiveFile::Software, |hive| {
        let packages = hive.find(&format!(r"{SERVICING}\Packages")).unwrap();
        for key in hive.subkeys(packages) {
            hive.set_value(key, "CurrentState", Value::dword(0x80)).unwrap();
            let owners = hive.child(key, "Owners").unwrap();
            for name in hive.value_names(owners) {
                hive.set_value(owners, name, Value::dword(0x1234)).unwrap();
            }
        }
    });
    let guest = nano::guest();
    assert_eq!(install(&mut tree, &guest), Recorded::Completely);
    let software = hive(&tree, HiveFile::Software);
    let id = guest.root.identity.package_id();
    let owners = software.find(&format!(r"{SERVICING}\Packages\{id}\Owners")).unwrap();
    assert_eq!(software.value(owners, id.as_str()).unwrap().as_dword(), Some(OWNER));
}

/// An older component does not change the series of its family; a newer one does.
#[test]
fn the_family_of_a_component_names_the_series_in_use() {
    for (series, version, expected) in [("9.9", "9.9.0.0", "10.0"), ("11.0", "11.0.0.0", "11.0")] {
        let mut tree = testing::image(&nano_cbs_state("ServerDatacenterNano"));
        let guest = nano::guest();
        let family = guest.components[0].identity.versionless();
        change(&mut tree, HiveFile::Software, |hive| {
            let family = hive.create_key(hive.root(), &format!(r"{WINNERS}\{family}")).unwrap();
            hive.set_value(family, "", Value::sz(series)).unwrap();
            let key = hive.create_child(family, series).unwrap();
            hive.set_value(key, "", Value::sz(version)).unwrap();
            hive.set_value(key, version, Value::binary([1])).unwrap();
        });
        let other = guest.components[0].identity.clone().version(version);
        change(&mut tree, HiveFile::Components, |hive| {
            let path = format!(r"DerivedData\Components\{}", other.key_form());
            let key = hive.create_key(hive.root(), &path).unwrap();
            hive.set_value(key, "identity", Value::binary(other.text())).unwrap();
        });
        assert_eq!(install(&mut tree, &guest), Recorded::Completely);
        let software = hive(&tree, HiveFile::Software);
        let family = software.find(&format!(r"{WINNERS}\{family}")).unwrap();
        assert_eq!(software.value(family, "").unwrap().text().unwrap(), expected);
    }
}

/// What packages wait for is recorded in the form of the image's own records. If there is no example, this is reported.
#[test]
fn what_packages_wait_for_follows_the_examples_of_the_image() {
    let component =
        |name: &str, version: &str| Identity::component(&format!("Microsoft-Windows-{name}")).version(version);
    let key = |name: &str| component(name, "0.0.0.0").key_form();
    let foundation = nano::foundation_identity();
    let waiting = |name: &str, wanted: Identity, elevate: &'static str, what: Vec<What>| {
        let mut package = Package::new(Identity::package(name), std::slice::from_ref(&foundation), []).update();
        let update = Update::new("later", []).when(Condition::Update(Some(foundation.clone()), "Some-Role".into()));
        package.updates = vec![Update::new("fix", what).when(Condition::Component(wanted, elevate)), update];
        package
    };
    let mut state = nano_cbs_state("ServerDatacenterNano");
    let known = waiting("Package_for_KB1", component("kernel32", "10.0.14393.5"), "revision", Vec::new());
    let id = known.identity.package_id();
    state.add(&format!(r"Windows\servicing\Packages\{id}.mum"), Data::bytes(known.mum()));
    let software = state.hive("SOFTWARE");
    software.set(
        &format!(r"{SERVICING}\ComponentDetect\{}", key("kernel32")),
        &format!("{id}.fix"),
        value::sz("10.0.14393.5@5"),
    );
    software.set(&format!(r"{SERVICING}\UpdateDetect\Some-Role"), &format!("{id}.later"), value::dword(3));
    for (elevate, is_known) in [("revision", true), ("build", false)] {
        let library = Component::new(component("ntdll", "10.0.14393.7"));
        let deployment = Component::deployment(component("Fix-Deployment", "10.0.14393.7"), [&library.identity]);
        let what = vec![What::Component(deployment.identity.clone())];
        let root = waiting("Package_for_KB2", library.identity.clone(), elevate, what);
        let cabinet = Cabinet { root, children: Vec::new(), components: vec![library, deployment] };
        let mut tree = testing::image(&state);
        let recorded = install(&mut tree, &cabinet);
        let software = hive(&tree, HiveFile::Software);
        let value = |list: &str, key: &str, update: &str| {
            let key = software.find(&format!(r"{SERVICING}\{list}\{key}"))?;
            software.value(key, format!("{}.{update}", cabinet.root.identity.package_id()).as_str())
        };
        assert_eq!(value("UpdateDetect", "Some-Role", "later"), Some(Value::dword(3)));
        let noted = value("ComponentDetect", &key("ntdll"), "fix");
        match is_known {
            true => assert_eq!((recorded, noted), (Recorded::Completely, Some(Value::sz("10.0.14393.7@5")))),
            false => {
                assert!(matches!(recorded, Recorded::Except(why) if why.contains("ComponentDetect")) && noted.is_none())
            }
        }
    }
}

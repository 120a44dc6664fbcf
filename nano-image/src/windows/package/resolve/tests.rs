use std::sync::Arc;

use fixtures::cab::Method;
use fixtures::packages::{Cabinet, Component, Form, Identity, Manifests, Package, Update, What, nano, wcp};

use super::*;
use crate::error::ErrorKind;
use crate::types::Architecture;
use crate::types::FileTime;
use crate::windows::edit::ImageEdit;
use crate::windows::edit::testing::edit;
use crate::windows::package::cabinet::{CabinetSource, PackageCabinet, summary};
use crate::windows::package::contents::Dictionary;
use crate::windows::package::testing;
use crate::windows::package::tests::image;

fn read<'a>(cabinet: &Cabinet, dictionary: &'a Dictionary<'a>) -> PackageCabinet<'a> {
    let form = Form { method: Method::Mszip, manifests: Manifests::Plain };
    let path = format!("{}.cab", cabinet.root.identity.name);
    let source = CabinetSource { path: path.into(), data: Arc::new(cabinet.to_bytes(form)) };
    testing::open(&source, dictionary).unwrap()
}

fn installed() -> Installed {
    edit(&mut image(), FileTime(1), Installed::read).unwrap().0
}

/// Resolves these cabinets; servicing ones are those of updates.
fn run(cabinets: &[&Cabinet], features: &[&str]) -> Result<Resolution> {
    let dictionary = testing::plain();
    let read: Vec<PackageCabinet<'_>> = cabinets.iter().map(|cabinet| read(cabinet, &dictionary)).collect();
    let purpose = |made: &Cabinet| if made.root.release_type == "Update" { Purpose::Update } else { Purpose::Package };
    let given = read.iter().zip(cabinets).map(|(cabinet, made)| Given { cabinet, purpose: purpose(made) });
    let given: Vec<Given<'_>> = given.collect();
    let features: Vec<String> = features.iter().map(|feature| (*feature).to_owned()).collect();
    let features = Choice { on: &features, ..Choice::default() };
    let (installed, architecture) = (&installed(), Architecture::Amd64);
    resolve(&Request { given: &given, store: None, features, installed, architecture })
}

fn names(resolution: &Resolution) -> Vec<String> {
    resolution.packages.iter().map(|package| package.identity().name.clone()).collect()
}

/// A package of one deployment of components.
fn package(name: &str, parents: &[Identity], components: Vec<Component>) -> Cabinet {
    let deployment = Component::deployment(
        Identity::component(&format!("{name}-Deployment")),
        components.iter().map(|component| &component.identity),
    );
    let root = Package::new(Identity::package(name), parents, [What::Component(deployment.identity.clone())]);
    Cabinet { root, children: Vec::new(), components: components.into_iter().chain([deployment]).collect() }
}

fn component(name: &str) -> Component {
    Component::new(Identity::component(name))
}

#[test]
fn a_package_with_its_parts_in_order() {
    let guest = nano::guest();
    let resolution = run(&[&guest], &[]).unwrap();
    assert_eq!(names(&resolution), ["Microsoft-NanoServer-Guest-merged-Package", "Microsoft-NanoServer-Guest-Package"]);
    let [part, root] = &resolution.packages[..] else { unreachable!() };
    assert_eq!((part.owner, root.owner, root.components.len()), (Some(1), None, 0));
    let components: Vec<&str> =
        part.components.iter().map(|component| &*component.manifest.manifest.identity.name).collect();
    assert_eq!(components.last(), Some(&"Microsoft-NanoServer-Guest-merged-Deployment"));
    assert!(components.contains(&"Microsoft-Windows-GuestBus"), "{components:?}");
    for component in &part.components {
        assert_eq!(component.deployments[0].name, "Microsoft-NanoServer-Guest-merged-Deployment");
        assert!(!component.staged);
    }
}

#[test]
fn compressed_manifests_need_the_dictionary_of_the_image() {
    let read = |image: &mut ImageEdit<'_>| crate::windows::package::installed::dictionary(image);
    let (dictionary, _) = edit(&mut image(), FileTime(1), read).unwrap();
    assert_eq!(dictionary, wcp::dictionary());
    let guest = nano::guest();
    let form = Form { method: Method::Lzx(21), manifests: Manifests::Compressed(&dictionary) };
    let source = CabinetSource { path: "a.cab".into(), data: Arc::new(guest.to_bytes(form)) };
    let right = Dictionary::new(|| Ok(dictionary.clone()));
    let cabinet = testing::open(&source, &right).unwrap();
    assert_eq!(cabinet.source.manifest_names().count(), guest.components.len());
    let wrong = Dictionary::new(|| Ok(vec![b'x'; dictionary.len()]));
    let other = testing::open(&source, &wrong).unwrap();
    for component in &guest.components {
        let identity = AssemblyIdentity::from_identity_text(&component.identity.text()).unwrap();
        assert!(cabinet.source.manifest(&identity).unwrap().is_some());
        assert!(other.source.manifest(&identity).is_err());
    }
    let summary = summary(&source).unwrap();
    assert_eq!(summary.packages[0].identity.package_id(), guest.root.identity.package_id());
    assert_eq!(summary.files as usize, guest.components.iter().map(|component| component.files.len()).sum::<usize>());
}

#[test]
fn what_is_installed_is_left_out_with_a_note() {
    let mut edition = package("Microsoft-NanoServer-Edition-Package", &[], vec![component("Whatever")]);
    let resolution = run(&[&edition], &[]).unwrap();
    assert!(resolution.packages.is_empty());
    assert!(resolution.notes[0].contains("is installed already"), "{:?}", resolution.notes);
    edition.root.identity = edition.root.identity.version("10.0.14300.1000");
    let resolution = run(&[&edition], &[]).unwrap();
    assert!(resolution.packages.is_empty() && resolution.notes[0].contains("the image has version 10.0.14393.0"));
}

#[test]
fn parents_come_first_and_updates_last() {
    let foundation = nano::foundation_identity();
    let base = package("Base", std::slice::from_ref(&foundation), vec![component("B")]);
    let mut language = package("Base", std::slice::from_ref(&base.root.identity), vec![]);
    language.root.identity = language.root.identity.language("en-US");
    language.components[0].identity = Identity::component("Base-Deployment-LP").language("en-US");
    language.root.updates[0].what = vec![What::Component(language.components[0].identity.clone())];
    let mut update = package("Package_for_KB1", &[foundation], vec![component("U")]);
    update.root.release_type = "Update".into();
    let resolution = run(&[&update, &language, &base], &[]).unwrap();
    let languages: Vec<_> = resolution.packages.iter().map(|p| p.identity().language.as_deref()).collect();
    assert_eq!(names(&resolution), ["Base", "Base", "Package_for_KB1"]);
    assert_eq!(languages, [None, Some("en-US"), None]);
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let other = nano::edition_identity("ServerStandardNano");
    let one = package("Wrong-Edition", &[other], vec![]);
    let mut two = package("Lacks-Parts", &[nano::foundation_identity()], vec![component("Here")]);
    two.components[0]
        .dependencies
        .push(component("X").depends("install", &Identity::component("Gone")).dependencies.remove(0));
    two.root.updates.push(Update::new("child", [What::Package(Identity::package("No-Such-Package"))]));
    let mut three = package("For-Phones", &[], vec![]);
    three.root.identity.architecture = "arm".into();
    let error = run(&[&one, &two, &three], &["No-Such-Feature"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsatisfied);
    let names = ["Microsoft-NanoServer-Edition-ServerStandardNano-Package", "No-Such-Package", "No-Such-Feature"];
    assert!(names.iter().all(|name| error.missing().iter().any(|missing| missing == name)), "{:?}", error.missing());
    let text = error.to_string();
    for part in [
        "5 things",
        "`Wrong-Edition~31bf3856ad364e35~amd64~~10.0.14393.0` does not apply: parent `",
        "`Microsoft-NanoServer-Edition-ServerStandardNano-Package` 10.0.14393.0",
        "the image is `Microsoft-NanoServer-Edition-ServerDatacenterNano-Package~31bf3856ad364e35~amd64~~10.0.14393.0`",
        "`amd64_gone_31bf3856ad364e35_10.0.14393.0_none_",
        "needed by `amd64_here_",
        "`No-Such-Package~31bf3856ad364e35~amd64~~10.0.14393.0`, a part of `Lacks-Parts~",
        "is for arm, the image for amd64",
        "neither the image nor a package has the feature `No-Such-Feature` (0x800f080c); the image and the packages have none",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn circles_of_packages_are_refused_and_of_components_not() {
    let (one, two) = (Identity::package("One"), Identity::package("Two"));
    let [first, second] =
        [package("One", std::slice::from_ref(&two), vec![]), package("Two", std::slice::from_ref(&one), vec![])];
    let error = run(&[&first, &second], &[]).unwrap_err();
    assert!(error.to_string().contains("needs a package that needs it"), "{error}");
    let alone = run(&[&first], &[]).unwrap_err();
    assert!(alone.to_string().contains("parent `Two` 10.0.14393.0 is not in the image"), "{alone}");
    let a = component("A").depends("install", &Identity::component("B"));
    let b = component("B").depends("install", &Identity::component("A"));
    let resolution = run(&[&package("Circle", &[], vec![a, b])], &[]).unwrap();
    assert_eq!(resolution.packages[0].components.len(), 3);
}

#[test]
fn features_are_staged_unless_named() {
    let mut storage = package("Storage", &[], vec![component("S")]);
    storage.root.updates[0].selectable = Some(false);
    storage.root.updates[0].name = "File-Services".into();
    let staged = run(&[&storage], &[]).unwrap();
    assert_eq!(staged.packages[0].updates[0].state, UpdateState::Staged);
    assert!(staged.packages[0].components.iter().all(|component| component.staged));
    let on = run(&[&storage], &["file-services"]).unwrap();
    assert_eq!(on.packages[0].updates[0].state, UpdateState::Installed);
    assert!(on.packages[0].components.iter().all(|component| !component.staged));
}

#[test]
fn prerequisites_must_be_there() {
    let needy = component("Needy").depends("prerequisite", &Identity::component("Gone"));
    let user = component("User").depends("install", &needy.identity);
    let free = component("Free").depends("prerequisite", &Identity::component("Microsoft-Windows-ServicingStack"));
    let resolution = run(&[&package("P", &[], vec![user.clone(), needy.clone(), free])], &[]).unwrap();
    let names: Vec<&str> =
        resolution.packages[0].components.iter().map(|component| &*component.manifest.manifest.identity.name).collect();
    assert_eq!(names, ["Free", "P-Deployment"]);
    let package_of = |resolution: Resolution| resolution.packages.into_iter().next().unwrap();
    assert!(resolution.notes[0].contains("its prerequisite `amd64_gone_"), "{:?}", resolution.notes);
    let some = package_of(resolution);
    assert_eq!(some.updates[0].state, UpdateState::Installed);
    assert_eq!(some.components[0].deployments[0].name, "P-Deployment");
    // A deployment that has no parts left is removed too.
    let none = package_of(run(&[&package("P", &[], vec![user, needy])], &[]).unwrap());
    assert_eq!((none.components.len(), none.updates[0].state), (0, UpdateState::NotApplicable));
}

#[test]
fn texts_are_taken_in_every_language_that_is_there() {
    let base = package("Base", &[], vec![component("B").translated()]);
    let without = run(&[&base], &[]).unwrap();
    assert_eq!(without.packages[0].components.len(), 2);
    let mut both = base.clone();
    for language in ["en-US", "de-DE"] {
        both.components.push(Component::new(Identity::component("B.Resources").language(language)));
    }
    let resolution = run(&[&both], &[]).unwrap();
    let languages: Vec<_> = resolution.packages[0]
        .components
        .iter()
        .filter_map(|component| component.manifest.manifest.identity.language.clone())
        .collect();
    assert_eq!(languages, ["de-DE", "en-US"]);
}

#[test]
fn the_later_of_two_versions_is_taken() {
    let old = package("P", &[], vec![component("C")]);
    let mut new = old.clone();
    new.root.identity = new.root.identity.version("10.0.14393.5");
    let resolution = run(&[&new, &old, &old], &[]).unwrap();
    assert_eq!(resolution.packages.len(), 1);
    assert_eq!(resolution.packages[0].identity().version.to_string(), "10.0.14393.5");
    assert_eq!(resolution.notes.len(), 2, "{:?}", resolution.notes);
}

#[test]
fn large_updates_take_no_more_than_their_size() {
    const COUNT: usize = 2000;
    let foundation = nano::foundation_identity();
    let shared = component("Shared");
    let mut children = Vec::new();
    let mut components = vec![shared.clone()];
    for index in 0..COUNT {
        let deployment = Component::deployment(Identity::component(&format!("D{index}")), [&shared.identity]);
        let update = What::Component(deployment.identity.clone());
        let next = (index + 1 < COUNT).then(|| What::Package(Identity::package(&format!("Child-{}", index + 1))));
        let identity = Identity::package(&format!("Child-{index}"));
        children.push(Package::new(identity, std::slice::from_ref(&foundation), next.into_iter().chain([update])));
        components.push(deployment);
    }
    let first = What::Package(Identity::package("Child-0"));
    let root = Package::new(Identity::package("Large"), std::slice::from_ref(&foundation), [first]);
    let resolution = run(&[&Cabinet { root, children, components }], &[]).unwrap();
    assert_eq!(resolution.packages.len(), COUNT + 1);
    assert_eq!(resolution.packages[0].identity().name, format!("Child-{}", COUNT - 1), "the innermost is first");
    let shared = &resolution.packages[0].components[0];
    assert_eq!((&*shared.manifest.manifest.identity.name, shared.deployments.len()), ("Shared", COUNT));
}

use fixtures::cab::Method;
use fixtures::packages::{Cabinet, Form, Manifests, State, hostile, nano, wcp};
use fixtures::scenes::nano_cbs_state;

use std::sync::Arc;

use super::testing::compare_notes;
use super::*;
use crate::tree::FileTree;
use crate::types::Architecture;
use crate::types::FileTime;
use crate::windows::edit::HiveFile;
use crate::windows::edit::testing::edit;

const OPTIONS: InstallOptions<'_> = InstallOptions { architecture: Architecture::Amd64, scratch: None, strict: false };
const TIME: FileTime = FileTime(131_000_000_000_000_000);

fn source(name: &str, bytes: Vec<u8>) -> CabinetSource {
    CabinetSource { path: name.into(), data: Arc::new(bytes) }
}

/// Installs into an image of the Datacenter edition.
fn run(what: &Install, options: &InstallOptions<'_>) -> Result<(FileTree, InstallReport)> {
    let mut tree = image();
    let report = run_on(&mut tree, what, options)?;
    Ok((tree, report))
}

fn run_on(tree: &mut FileTree, what: &Install, options: &InstallOptions<'_>) -> Result<InstallReport> {
    edit(tree, TIME, |image| install(image, what, options, &())).map(|(report, _)| report)
}

/// An image of the Datacenter edition.
pub fn image() -> FileTree {
    testing::image(&nano_cbs_state("ServerDatacenterNano"))
}

/// Installs the package Guest.
pub fn install_guest(image: &mut ImageEdit<'_>) -> Result<InstallReport> {
    let form = Form { method: Method::Mszip, manifests: Manifests::Plain };
    let cabinets = vec![source("guest.cab", nano::guest().to_bytes(form))];
    install(image, &Install { cabinets, ..Install::default() }, &OPTIONS, &())
}

#[test]
fn all_packages_with_languages_and_an_update() {
    let pairs: Vec<nano::Pair> = nano::packages(400_000).into_iter().chain(nano::others()).collect();
    let servicing = nano::servicing(100_000);
    let dictionary = wcp::dictionary();
    let mut what = Install::default();
    let mut cabinets: Vec<&Cabinet> = Vec::new();
    for (index, pair) in pairs.iter().enumerate() {
        let form = match index % 2 {
            0 => Form { method: Method::Mszip, manifests: Manifests::Plain },
            _ => Form { method: Method::Lzx(18), manifests: Manifests::Compressed(&dictionary) },
        };
        // Languages come first: the order is not the caller's business.
        what.cabinets.push(source(&format!("{}_en-us.cab", pair.name), pair.language.to_bytes(form)));
        what.cabinets.push(source(&format!("{}.cab", pair.name), pair.neutral.to_bytes(form)));
        cabinets.extend([&pair.neutral, &pair.language]);
    }
    cabinets.push(&servicing);
    let form = Form { method: Method::Mszip, manifests: Manifests::Plain };
    what.servicing.push(source("KB4000001.cab", servicing.to_bytes(form)));
    let (tree, report) = run(&what, &OPTIONS).unwrap();
    assert!(report.packages.iter().all(|package| package.tier == Tier::Recorded), "{:?}", report.warnings);
    let ids: Vec<&str> = report.packages.iter().map(|package| &*package.id).collect();
    assert_eq!(ids.last(), Some(&&*servicing.root.identity.package_id()), "updates are last");
    let root = report.packages.iter().find(|package| package.id.starts_with("Microsoft-NanoServer-Guest-Package~"));
    assert_eq!(root.unwrap().part_of, None);
    let part = report.packages.iter().find(|package| package.id.starts_with("Microsoft-NanoServer-Guest-merged"));
    assert_eq!(part.unwrap().part_of.as_ref(), Some(&root.unwrap().id));
    let mut after: State = nano_cbs_state("ServerDatacenterNano");
    after.install_all(&cabinets);
    // A feature that is off is noted as staged, of which the list knows nothing.
    compare_notes(&tree, &after, false);

    // The same image again: everything is there.
    let again = run_on(&mut tree.clone(), &what, &OPTIONS).unwrap();
    assert!(again.packages.is_empty());
    assert_eq!(again.warnings.len(), what.cabinets.len() + 1);
    assert!(again.warnings.iter().all(|warning| warning.contains("is installed already")), "{:?}", again.warnings);
}

#[test]
fn the_order_of_cabinets_does_not_matter() {
    let form = Form { method: Method::Mszip, manifests: Manifests::Plain };
    let pair = nano::package("Guest", 100_000);
    let cabinets = [source("a.cab", pair.neutral.to_bytes(form)), source("b.cab", pair.language.to_bytes(form))];
    let mut after = nano_cbs_state("ServerDatacenterNano");
    after.install_all(&[&pair.neutral, &pair.language]);
    let [one, other] = [[0, 1], [1, 0]].map(|order| {
        let cabinets = order.map(|index| cabinets[index].clone()).to_vec();
        let (tree, report) = run(&Install { cabinets, ..Install::default() }, &OPTIONS).unwrap();
        compare_notes(&tree, &after, true);
        (testing::values(&tree, HiveFile::Components), report)
    });
    assert_eq!(one, other);
}

#[test]
fn what_is_doubtful_about_languages_is_said() {
    let form = Form { method: Method::Mszip, manifests: Manifests::Plain };
    let pair = nano::package("Guest", 100_000);
    let cabinets = vec![source("a.cab", pair.neutral.to_bytes(form))];
    let (_, report) = run(&Install { cabinets, ..Install::default() }, &OPTIONS).unwrap();
    let told = report.warnings.iter().filter(|warning| warning.contains("without texts"));
    assert_eq!(told.count(), 1, "{:?}", report.warnings);
    let cabinets = vec![source("a.cab", pair.neutral.to_bytes(form)), source("b.cab", pair.language.to_bytes(form))];
    let (_, report) = run(&Install { cabinets, ..Install::default() }, &OPTIONS).unwrap();
    assert!(!report.warnings.iter().any(|warning| warning.contains("without texts")), "{:?}", report.warnings);
}

#[test]
fn a_language_without_its_package_is_refused() {
    let form = Form { method: Method::Mszip, manifests: Manifests::Plain };
    let pair = nano::package("Guest", 100_000);
    let cabinets = vec![source("b.cab", pair.language.to_bytes(form))];
    let error = run(&Install { cabinets, ..Install::default() }, &OPTIONS).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("does not apply: parent `Microsoft-NanoServer-Guest-Package`"), "{error}");
}

#[test]
fn what_cannot_be_noted_is_told_and_strict_refuses_it() {
    let form = Form { method: Method::Mszip, manifests: Manifests::Plain };
    let what = Install { cabinets: vec![source("a.cab", nano::guest().to_bytes(form))], ..Install::default() };
    let image = || {
        let mut tree = image();
        tree.write_file(HiveFile::Components.path(), Vec::new(), Default::default()).unwrap();
        tree
    };
    let report = run_on(&mut image(), &what, &OPTIONS).unwrap();
    assert!(report.packages.iter().all(|package| package.tier == Tier::InPlace));
    assert!(report.warnings.iter().any(|warning| warning.contains("DISM will not list them")), "{:?}", report.warnings);
    let error = run_on(&mut image(), &what, &InstallOptions { strict: true, ..OPTIONS }).unwrap_err();
    assert!(error.message().contains("no COMPONENTS hive") && error.hint().is_some(), "{error}");
}

#[test]
fn every_faulty_package_has_a_clear_error() {
    let mut faults = Vec::new();
    for form in hostile::forms() {
        let name = format!("{}.cab", form.name);
        let what = Install { cabinets: vec![source(&name, form.bytes)], ..Install::default() };
        let result = run(&what, &InstallOptions { strict: true, ..OPTIONS }).map(|_| ());
        match (result, form.complaint) {
            (Ok(()), []) => {}
            (Ok(()), _) => faults.push(format!("{} is installed", form.name)),
            (Err(error), complaint) => {
                let text = error.to_string().to_lowercase();
                if !complaint.iter().any(|word| text.contains(&word.to_lowercase())) {
                    faults.push(format!("{}: {error}, not one of {complaint:?}", form.name));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn an_image_without_a_component_store_or_with_pending_operations_is_refused() {
    let what = Install::default();
    let mut tree = image();
    tree.write_file(r"Windows\WinSxS\pending.xml", vec![1], Default::default()).unwrap();
    let error = run_on(&mut tree, &what, &OPTIONS).unwrap_err();
    assert!(error.to_string().contains("0x800f082f"), "{error}");
    let mut tree = image();
    tree.write_file(HiveFile::Software.path(), Vec::new(), Default::default()).unwrap();
    let error = run_on(&mut tree, &what, &OPTIONS).unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::NotFound);
}

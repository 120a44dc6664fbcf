//! Whole updates, as they are delivered.

use fixtures::delta::DeltaBuilder;
use fixtures::delta::program::{self, Machine, Options};
use fixtures::packages::update::{self, Files};
use fixtures::packages::{
    Cabinet, Component, File, Form, Identity, Manifests, Package, RegistryValue, State, What, nano,
};
use fixtures::scenes::nano_cbs_state;
use fixtures::{Data, cab::Method};

use super::testing::{compare_notes, image, values};
use super::*;
use crate::content::{BlobStore, Content, InputFiles, Overlay};
use crate::source::cab;
use crate::tree::FileTree;
use crate::types::Architecture;
use crate::types::FileTime;
use crate::windows::edit::HiveFile;
use crate::windows::edit::testing::edit;

const TIME: FileTime = FileTime(131_000_000_000_000_000);

fn source(name: &str, bytes: Vec<u8>) -> CabinetSource {
    CabinetSource { path: name.into(), data: Arc::new(bytes) }
}

/// An image after an update.
struct Done {
    tree: FileTree,
    store: Overlay,
    report: InstallReport,
}

fn update(tree: FileTree, servicing: &[CabinetSource]) -> Result<Done> {
    update_with(tree, Install { servicing: servicing.to_vec(), ..Install::default() })
}

fn update_with(tree: FileTree, what: Install) -> Result<Done> {
    let folder = tempfile::tempdir().unwrap();
    let options = InstallOptions { architecture: Architecture::Amd64, scratch: Some(folder.path()), strict: false };
    let mut tree = tree;
    let (report, store) = edit(&mut tree, TIME, |image| install(image, &what, &options, &()))?;
    Ok(Done { tree, store, report })
}

impl Done {
    fn file(&self, path: &str) -> Vec<u8> {
        let node = self.tree.find(path).unwrap_or_else(|| panic!("no {path}"));
        match self.tree[node].data.as_ref().unwrap() {
            Content::Bytes(bytes) => bytes.to_vec(),
            Content::Blob { id, len } => self.store.read_blob(*id, *len).unwrap(),
        }
    }

    fn value(&self, key: &str, name: &str) -> Option<(u32, Vec<u8>)> {
        values(&self.tree, HiveFile::Software).remove(&(key.to_owned(), name.to_owned()))
    }

    /// Everything that two images can differ in.
    fn everything(&self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        let mut open = vec![(crate::tree::NodeId::ROOT, String::new())];
        while let Some((node, path)) = open.pop() {
            for (name, entry) in self.tree[node].children.iter().flatten() {
                let path = format!(r"{path}\{name}");
                match self.tree[entry.node].is_directory() {
                    true => open.push((entry.node, path)),
                    false => found.push((path.clone(), self.file(&path[1..]))),
                }
            }
        }
        found.sort();
        found
    }
}

fn edition() -> State {
    nano_cbs_state("ServerDatacenterNano")
}

/// A component with files of these contents, each linked in System32.
fn component(name: &str, version: &str, files: &[(&str, Vec<u8>)]) -> Component {
    let component = Component::new(Identity::component(name).version(version));
    files.iter().fold(component, |component, (name, bytes)| {
        component.file(File::new(name, "$(runtime.system32)", Data::bytes(bytes.clone())))
    })
}

/// An update of these components.
fn package(name: &str, components: Vec<Component>) -> Cabinet {
    let deployment = Identity::component(&format!("{name}-Deployment")).version(nano::SERVICED);
    let deployment = Component::deployment(deployment, components.iter().map(|component| &component.identity));
    let root = Identity::package(name).version("10.0.1.3");
    let root =
        Package::new(root, &[nano::foundation_identity()], [What::Component(deployment.identity.clone())]).update();
    Cabinet { root, children: Vec::new(), components: components.into_iter().chain([deployment]).collect() }
}

fn text(seed: u64, len: u64) -> Vec<u8> {
    Data::text(seed, len).to_vec()
}

#[test]
fn every_form_of_an_update_gives_the_same_image() {
    let update_of = nano::servicing(100_000);
    let whole = update_of.to_bytes(Form { method: Method::Mszip, manifests: Manifests::Plain });
    let intra = update::intra(&update_of);
    let express = update::express(&update_of, &[]);
    let (metadata, stream) = update::psf(&express);
    let name = |ending: &str| format!("Windows10.0-KB4000001-x64.{ending}");
    let msu = |files: Files| update::to_cabinet(&files);
    let folder = tempfile::tempdir().unwrap();
    let wim = folder.path().join("u.msu");
    let inside = vec![
        (name("wim"), update::to_wim(&metadata)),
        (name("psf"), stream.clone()),
        ("DesktopDeployment.cab".into(), vec![0]),
    ];
    std::fs::write(&wim, update::to_wim(&inside)).unwrap();
    let forms = [
        source("whole.cab", whole.clone()),
        source("intra.cab", update::to_cabinet(&intra)),
        source("express.cab", update::to_cabinet(&express)),
        source("pieces.cab", update::to_pieces(&express, 3)),
        source("u.msu", msu(vec![("WSUSSCAN.cab".into(), vec![1]), (name("cab"), update::to_cabinet(&intra))])),
        source("u.msu", msu(vec![(name("cab"), update::to_cabinet(&metadata)), (name("psf"), stream.clone())])),
        CabinetSource::open(&wim).unwrap(),
    ];
    let expected = update(image(&edition()), &forms[..1]).unwrap();
    assert_eq!(expected.report.packages.len(), 2, "{:?}", expected.report.warnings);
    for form in &forms[1..] {
        let done = update(image(&edition()), std::slice::from_ref(form)).unwrap();
        assert!(done.everything() == expected.everything(), "{}", form.path.display());
    }
    // The deltas beside a cabinet.
    let beside = folder.path().join("one.cab");
    std::fs::write(&beside, update::to_cabinet(&metadata)).unwrap();
    let error = update(image(&edition()), &[CabinetSource::open(&beside).unwrap()]).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains(".psf"), "{error}");
    std::fs::write(folder.path().join("one.psf"), &stream).unwrap();
    let done = update(image(&edition()), &[CabinetSource::open(&beside).unwrap()]).unwrap();
    assert!(done.everything() == expected.everything());
    // The same in memory.
    for (path, beside, stream) in [(&wim, "u.psf", vec![]), (&beside, "one.psf", stream)] {
        let data = Arc::new(std::fs::read(path).unwrap());
        let name = path.file_name().unwrap();
        let mut files = InputFiles::only(name, data.clone());
        files.add(beside, Arc::new(stream));
        let servicing = vec![CabinetSource { path: name.into(), data }];
        let done = update_with(image(&edition()), Install { servicing, files, ..Install::default() }).unwrap();
        assert!(done.everything() == expected.everything(), "{}", path.display());
    }
}

#[test]
fn deltas_of_the_image_s_files_find_the_version_that_they_are_made_for() {
    let (old, new) = ((1u64..=3).map(|n| text(n, 3000)), (11u64..=13).map(|n| text(n, 3000)));
    let (old, new): (Vec<_>, Vec<_>) = (old.collect(), new.collect());
    let released = component("Some", "10.0.14393.0", &[("a.dll", old[0].clone()), ("b.dll", old[1].clone())]);
    let later = component(
        "Some",
        "10.0.14393.900",
        &[
            ("a.dll", new[0].clone()),
            ("b.dll", old[1].clone()),
            ("c.dll", new[2].clone()),
            ("d.ini", b"small".to_vec()),
        ],
    );
    let cabinet = package("Package_for_KB1", vec![later]);
    let express = source("e.cab", update::to_cabinet(&update::express(&cabinet, std::slice::from_ref(&released))));
    let mut state = edition();
    state.install(&package("Base", vec![released.clone()]));
    let check = |done: &Done| {
        for (name, bytes) in [("a.dll", &new[0]), ("b.dll", &old[1]), ("c.dll", &new[2])] {
            assert!(done.file(&format!(r"Windows\System32\{name}")) == *bytes, "{name}");
        }
        assert_eq!(done.file(r"Windows\System32\d.ini"), b"small");
    };
    check(&update(image(&state), std::slice::from_ref(&express)).unwrap());

    // An image with a later version, and what makes the released one of it.
    let between = component("Some", "10.0.14393.500", &[("a.dll", text(5, 3000)), ("b.dll", old[1].clone())]);
    let mut state = edition();
    let folder = between.identity.key_form();
    state.install(&package("Base", vec![between]));
    let mut tree = image(&state);
    let error = update(image(&state), std::slice::from_ref(&express)).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::Unsatisfied, "{error}");
    assert!(error.to_string().contains("`a.dll`") && error.to_string().contains("10.0.14393.500"), "{error}");
    let reverse = update::member(&text(5, 3000), &old[0]);
    tree.write_file(&format!(r"Windows\WinSxS\{folder}\r\a.dll"), reverse, Default::default()).unwrap();
    check(&update(tree, &[express]).unwrap());
}

/// A delta of managed code is refused where its file is needed, and not looked at where it is for another edition.
#[test]
fn managed_code_of_another_edition_stops_nothing() {
    let mut pair = program::pair(Machine::Amd64, Options::default());
    let released = component("Managed", "10.0.14393.0", &[("m.dll", pair.basis.clone())]);
    let later = component("Managed", nano::SERVICED, &[("m.dll", pair.target.clone())]);
    pair.transformed.is_managed = true;
    let delta = DeltaBuilder::new(&pair.basis, &pair.target).program(&pair.transformed).to_bytes();
    let mut cabinet = package("Package_for_KB1", vec![component("Some", nano::SERVICED, &[("a.dll", text(1, 900))])]);
    let part = package("Package_2_for_KB1", vec![later]);
    let mut child = part.root;
    child.parents = vec![nano::edition_identity("ServerDatacenterNano")];
    cabinet.root.updates.push(fixtures::packages::Update::new("part", [What::Package(child.identity.clone())]));
    cabinet.children.push(child);
    cabinet.components.extend(part.components);
    let mut files = update::express(&cabinet, std::slice::from_ref(&released));
    let member = files.iter_mut().find(|(name, _)| name.ends_with(r"\f\m.dll")).unwrap();
    member.1 = update::member_of(&delta);
    let update_of = |edition: &str| {
        let mut state = nano_cbs_state(edition);
        state.install(&package("Base", vec![released.clone()]));
        update(image(&state), &[source("u.cab", update::to_cabinet(&files))])
    };
    let done = update_of("ServerStandardNano").unwrap();
    assert_eq!(done.file(r"Windows\System32\a.dll"), text(1, 900));
    assert!(done.file(r"Windows\System32\m.dll") == pair.basis);
    let error = update_of("ServerDatacenterNano").map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::Unsupported, "{error}");
    assert!(format!("{error:?}").contains("managed code") && format!("{error:?}").contains("m.dll"), "{error:?}");
}

#[test]
fn what_only_the_old_version_had_goes_away() {
    let key = r"HKEY_LOCAL_MACHINE\SOFTWARE\Some";
    let old = component("Some", "10.0.14393.0", &[("kept.dll", text(1, 900)), ("gone.dll", text(2, 900))])
        .key(key, [RegistryValue::sz("Gone", "x"), RegistryValue::sz("Changed", "x"), RegistryValue::sz("Kept", "x")]);
    let old_folder = old.identity.key_form();
    let new = component("Some", nano::SERVICED, &[("kept.dll", text(3, 900)), ("new.dll", text(4, 900))])
        .key(key, [RegistryValue::sz("Kept", "y")]);
    let mut state = edition();
    state.install(&package("Base", vec![old]));
    let mut tree = image(&state);
    let change = |image: &mut ImageEdit<'_>| {
        let (hive, some) = image.key(HiveFile::Software, "Some")?;
        hive.set_value(some, "Changed", crate::registry::Value::sz("by a user"))
    };
    edit(&mut tree, TIME, change).unwrap();
    let cabinet = package("Package_for_KB1", vec![new.clone()]);
    let done = update(tree, &[source("u.cab", update::to_cabinet(&update::intra(&cabinet)))]).unwrap();
    assert_eq!(done.file(r"Windows\System32\kept.dll"), text(3, 900));
    assert_eq!(done.file(r"Windows\System32\new.dll"), text(4, 900));
    assert!(done.tree.find(r"Windows\System32\gone.dll").is_none());
    assert_eq!(done.file(&format!(r"Windows\WinSxS\{old_folder}\gone.dll")), text(2, 900), "the store keeps it");
    assert!(done.value("Some", "Gone").is_none() && done.value("Some", "Changed").is_some());
    let utf16 = |text: &str| text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    assert_eq!(done.value("Some", "Kept").unwrap().1, utf16("y"));
    // Both are installed, and the later one is in use.
    let winner = format!(r"{}\{}\10.0", installed::WINNERS, new.identity.versionless());
    let winners = values(&done.tree, HiveFile::Software);
    let of = |name: &str| winners.iter().find(|((key, other), _)| key.eq_ignore_ascii_case(&winner) && other == name);
    assert_eq!(of("").unwrap().1.1, utf16(nano::SERVICED));
    assert!(of("10.0.14393.0").is_some() && of(nano::SERVICED).is_some());
}

/// A component whose next version has nothing leaves nothing outside of the store and its records.
#[test]
fn services_rules_events_and_keys_of_the_old_version_go_away() {
    let parts = nano::package("Compute", 80_000).neutral.components;
    let of_all = parts.into_iter().find(|part| !part.providers.is_empty() && !part.services.is_empty()).unwrap();
    assert!(!of_all.firewall.is_empty() && !of_all.registry.is_empty());
    let guest = nano::package("Guest", 80_000).neutral.components;
    let svchost = guest.into_iter().find(|part| !part.svchost.is_empty()).unwrap().svchost;
    let old = Component { dependencies: Vec::new(), online: Vec::new(), svchost, ..of_all };
    let new = Component::new(old.identity.clone().version(nano::SERVICED));
    let settings = |tree: &FileTree| {
        let mut all: Vec<_> = values(tree, HiveFile::System).into_iter().collect();
        let is_record = |key: &str| key.contains("Component Based Servicing") || key.contains("SideBySide");
        all.extend(values(tree, HiveFile::Software).into_iter().filter(|((key, _), _)| !is_record(key)));
        all
    };
    let before = settings(&image(&edition()));
    let mut state = edition();
    state.install(&package("Base", vec![old.clone()]));
    let mut tree = image(&state);
    assert!(settings(&tree).len() > before.len() + 20);
    let service = format!(r"Services\{}", old.services[0].name);
    edit(&mut tree, TIME, |image| {
        let (hive, key) = image.system_key(&service)?;
        hive.set_value(key, "Start", crate::registry::Value::dword(4))
    })
    .unwrap();
    let cabinet = package("Package_for_KB1", vec![new]);
    let done = update(tree, &[source("u.cab", update::to_cabinet(&update::intra(&cabinet)))]).unwrap();
    assert_eq!(settings(&done.tree), before);
    let system = crate::windows::edit::testing::hive(&done.tree, HiveFile::System);
    assert!(system.find(&format!(r"ControlSet001\{service}")).is_none());
}

/// A service of the packages of the fixtures.
fn some_service() -> fixtures::packages::Service {
    let parts = nano::package("Compute", 80_000).neutral.components;
    parts.into_iter().find_map(|part| part.services.into_iter().next()).unwrap()
}

/// What is not installed for an image's architecture is not taken away either: the names are those of the image's own.
#[test]
fn old_versions_for_another_architecture_take_nothing_away() {
    let service = some_service();
    let path = format!(r"ControlSet001\Services\{}", service.name);
    let key = r"HKEY_LOCAL_MACHINE\SOFTWARE\Some";
    for (architecture, stays) in [("amd64", false), ("x86", true), ("wow64", true), ("arm64", true)] {
        let mut old = component("Some", "10.0.14393.0", &[("gone.dll", text(2, 900))])
            .key(key, [RegistryValue::sz("Value", "x")])
            .service(service.clone(), None);
        old.identity.architecture = architecture.into();
        let mut new = component("Some", nano::SERVICED, &[]);
        new.identity.architecture = architecture.into();
        let mut state = edition();
        state.install(&package("Base", vec![old]));
        let cabinet = package("Package_for_KB1", vec![new]);
        let done = update(image(&state), &[source("u.cab", update::to_cabinet(&update::intra(&cabinet)))]).unwrap();
        let system = crate::windows::edit::testing::hive(&done.tree, HiveFile::System);
        let found = [
            done.tree.find(r"Windows\System32\gone.dll").is_some(),
            done.value("Some", "Value").is_some(),
            system.find(&path).is_some(),
        ];
        assert_eq!(found, [stays; 3], "{architecture}");
    }
}

/// Keys of a service that the component names itself go before the service's own, which is empty only then. What others
/// keep there stays, and so does the key above it.
#[test]
fn the_key_of_a_service_goes_after_those_below_it() {
    let service = some_service();
    let path = format!(r"ControlSet001\Services\{}", service.name);
    let below = |name: &str| format!(r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\{}\{name}", service.name);
    let old = component("Some", "10.0.14393.0", &[])
        .key(&below("Parameters"), [RegistryValue::sz("One", "x")])
        .key(&below(r"Parameters\Deep\Deeper"), [RegistryValue::sz("Two", "x")])
        .key(&below(r"Parameters\Deep"), [])
        .key(&below("Zeal"), [])
        .service(service.clone(), None);
    let cabinet = package("Package_for_KB1", vec![component("Some", nano::SERVICED, &[])]);
    let update_of = |tree| {
        let done = update(tree, &[source("u.cab", update::to_cabinet(&update::intra(&cabinet)))]).unwrap();
        crate::windows::edit::testing::hive(&done.tree, HiveFile::System)
    };
    let mut state = edition();
    state.install(&package("Base", vec![old]));
    let mut tree = image(&state);
    let before = crate::windows::edit::testing::hive(&tree, HiveFile::System);
    assert!(before.find(&format!(r"{path}\Parameters\Deep\Deeper")).is_some());
    let after = update_of(image(&state));
    assert!(after.find(&path).is_none());
    assert!(after.find(r"ControlSet001\Services").is_some());

    edit(&mut tree, TIME, |image| {
        let (hive, key) = image.system_key(&format!(r"Services\{}\Parameters\Deep", service.name))?;
        hive.set_value(key, "Of a user", crate::registry::Value::dword(4))
    })
    .unwrap();
    let after = update_of(tree);
    let names = |path: &str| after.find(path).map(|key| after.value_names(key).len() + after.subkeys(key).len());
    assert_eq!(names(&path), Some(1), "Parameters, but nothing of the service");
    assert_eq!(names(&format!(r"{path}\Parameters")), Some(1), "Deep");
    assert_eq!(names(&format!(r"{path}\Parameters\Deep")), Some(1), "the user's value");
}

#[test]
fn the_order_and_number_of_updates_do_not_matter() {
    let one = package("Package_for_KB1", vec![component("Some", "10.0.14393.100", &[("a.dll", text(1, 900))])]);
    let mut other = package("Package_for_KB2", vec![component("Some", "10.0.14393.200", &[("a.dll", text(2, 900))])]);
    other.components[1].identity = Identity::component("Other-Deployment").version(nano::SERVICED);
    other.root.updates[0].what = vec![What::Component(other.components[1].identity.clone())];
    let [one, other] = [one, other].map(|cabinet| source("u.cab", update::to_cabinet(&update::intra(&cabinet))));
    let run = |sources: &[&CabinetSource]| {
        let sources: Vec<CabinetSource> = sources.iter().map(|source| (*source).clone()).collect();
        update(image(&edition()), &sources).unwrap()
    };
    let expected = run(&[&one, &other]);
    assert_eq!(expected.file(r"Windows\System32\a.dll"), text(2, 900));
    for sources in [&[&other, &one][..], &[&other, &one, &other], &[&one, &one, &other]] {
        assert!(run(sources).everything() == expected.everything());
    }
    // One that comes too late is none, and no error.
    let done = update(run(&[&other]).tree, &[one]).map(|done| done.report).unwrap();
    assert_eq!(done.packages.len(), 1);
}

#[test]
fn a_new_servicing_stack_comes_first_and_brings_its_dictionary() {
    let dictionary = vec![b'd'; 9000];
    let wcp = fixtures::packages::wcp::wcp_dll(&dictionary);
    let stack = Component::new(Identity::component("Microsoft-Windows-ServicingStack").version("10.0.14393.4000"))
        .file(File { destination: None, ..File::new("wcp.dll", "", Data::bytes(wcp)) });
    let stack = package("Package_for_ServicingStack_4000", vec![stack]);
    let one = package("Package_for_KB1", vec![component("Some", nano::SERVICED, &[("a.dll", text(1, 900))])]);
    let form = |manifests| Form { method: Method::Mszip, manifests };
    let inside = vec![
        ("Windows10.0-KB1-x64.cab".to_owned(), one.to_bytes(form(Manifests::Compressed(&dictionary)))),
        ("SSU-14393.4000-x64.cab".to_owned(), stack.to_bytes(form(Manifests::Plain))),
    ];
    let msu = source("u.msu", update::to_cabinet(&inside));
    let done = update(image(&edition()), &[msu]).unwrap();
    let ids: Vec<&str> = done.report.packages.iter().map(|package| &*package.id).collect();
    assert!(ids[0].starts_with("Package_for_ServicingStack") && ids[1].starts_with("Package_for_KB1"), "{ids:?}");
    assert_eq!(done.file(r"Windows\System32\a.dll"), text(1, 900));
    let mut after = edition();
    after.install_all(&[&stack]);
    after.install_all(&[&one]);
    compare_notes(&done.tree, &after, false);
}

#[test]
fn parts_that_do_not_apply_are_counted_and_one_without_any_is_refused() {
    let sources = |count, applying| {
        let cabinet = update::cumulative(count, applying);
        source("u.cab", update::to_cabinet(&update::intra(&cabinet)))
    };
    let done = update(image(&edition()), &[sources(100, 20)]).unwrap();
    assert_eq!(done.report.packages.len(), 5, "four parts and the whole");
    assert!(done.report.warnings.iter().any(|note| note.contains("16 of 20 parts")), "{:?}", done.report.warnings);
    let error = update(image(&edition()), &[sources(100, 0)]).map(|_| ()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("does not apply: parent `Microsoft-Windows-Absent-0-Package`"), "{text}");
}

/// The files in a cabinet.
fn members(bytes: Vec<u8>) -> Files {
    let cabinet = cab::Cabinet::open(Arc::new(bytes), "u").unwrap();
    let mut files: Files = cabinet.files().iter().map(|file| (file.name.clone(), Vec::new())).collect();
    cabinet
        .extract(&|_| true, &mut |index, piece| {
            files[index].1.extend_from_slice(piece);
            Ok(())
        })
        .unwrap();
    files
}

/// A real update, collected beside the repository, that is made to fit a generated image: parents are its edition.
#[test]
fn a_collected_update_is_installed() {
    let Some(path) = fixtures::outside::shared("data/updates/Windows8.1-KB2999226-x64.msu") else { return };
    let error = update(image(&edition()), &[CabinetSource::open(&path).unwrap()]).map(|_| ()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("does not apply: parent `Microsoft-Windows-Client-Features-Package` 6.3.9600.16384"),
        "{text}"
    );

    let outer = members(std::fs::read(&path).unwrap());
    let inner = outer.iter().find(|(name, _)| name == "Windows8.1-KB2999226-x64.cab").unwrap();
    let mut files = members(inner.1.clone());
    let (_, index) = files.iter().find(|(name, _)| name == "_manifest_.cix.xml").unwrap();
    let mut index = String::from_utf8(index.clone()).unwrap();
    let hash = |bytes: &[u8]| fixtures::data::hex(&<sha2::Sha256 as sha2::Digest>::digest(bytes));
    for (name, bytes) in files.iter_mut().filter(|(name, _)| name.ends_with(".mum")) {
        let text = std::str::from_utf8(bytes).unwrap();
        let (start, rest) = text.split_once("<parent").unwrap();
        let (_, rest) = rest.split_once("</parent>").unwrap();
        let parent = "<parent integrate=\"delegate\"><assemblyIdentity name=\"Microsoft-NanoServer-Edition-Package\" \
                      version=\"10.0.14393.0\" language=\"neutral\" processorArchitecture=\"amd64\" \
                      publicKeyToken=\"31bf3856ad364e35\"/></parent>";
        let changed = format!("{start}{parent}{rest}").into_bytes();
        index = index.replace(&hash(bytes), &hash(&changed));
        let length = |len: usize| format!("name=\"{name}\" length=\"{len}\"");
        index = index.replace(&length(bytes.len()), &length(changed.len()));
        *bytes = changed;
    }
    files.iter_mut().find(|(name, _)| name == "_manifest_.cix.xml").unwrap().1 = index.into_bytes();
    let msu = update::to_cabinet(&vec![(inner.0.clone(), update::to_cabinet(&files))]);
    let done = update(image(&edition()), &[source("u.msu", msu)]).unwrap();
    let packages = &done.report.packages;
    assert_eq!(packages.len(), 4);
    assert!(packages.iter().all(|package| package.tier == Tier::Recorded), "{:?}", done.report.warnings);
    assert_eq!(packages.iter().map(|package| package.files).sum::<u64>(), 32);
    assert_eq!(packages.iter().map(|package| package.components).sum::<u64>(), 5);
    // The image's own is newer and stays; the store has both.
    let stored = |name: &str| format!(r"Windows\WinSxS\amd64_microsoft-windows-{name}");
    let library = done.file(&stored(r"ucrt_31bf3856ad364e35_6.3.9600.17898_none_9c78b943ed7b7cad\ucrtbase.dll"));
    assert_eq!(hash(&library), "2195fef9bd0a01d6b10a2ab77ff4f5bbca01d65d5f6590befc98d80102372605");
    let forwarder = "api-ms-win-crt-conio-l1-1-0.dll";
    let folder = "u..lcrt-apifwd-winblue_31bf3856ad364e35_6.3.9600.17898_none_b1193982fd4ee65e";
    let linked = done.tree.find(&format!(r"Windows\System32\{forwarder}"));
    assert!(linked.is_some() && linked == done.tree.find(&stored(&format!(r"{folder}\{forwarder}"))));
}

/// A real update, collected beside the repository, with a version for each branch.
#[test]
fn an_image_as_it_was_released_takes_the_general_branch_only() {
    let Some(path) = fixtures::outside::shared("data/updates/Windows6.1-KB2883457-amd64.cab") else { return };
    let tools = component("Microsoft-Windows-WinRE-Tools", "6.1.7601.17514", &[]);
    let mut base = package("WinPE-SRT-Package", vec![tools]);
    base.root.identity = base.root.identity.version("6.1.7601.17514");
    let mut state = edition();
    state.install(&base);
    let source = CabinetSource::open(&path).unwrap();
    let done = update(image(&state), std::slice::from_ref(&source)).unwrap();
    let packages = &done.report.packages;
    let sums = |of: fn(&crate::report::InstalledPackage) -> u64| packages.iter().map(of).sum::<u64>();
    assert_eq!((packages.len(), sums(|one| one.files), sums(|one| one.components)), (3, 3, 2));
    let store = r"Windows\WinSxS\amd64_microsoft-windows-winre-tools_31bf3856ad364e35_6.1.7601";
    assert!(done.tree.find(&format!("{store}.18246_none_2805177986c8631d")).is_some());
    assert!(done.tree.find(&format!("{store}.22435_none_289885cc9fdecac6")).is_none());
    // An image that has it is up to date, which is not an error.
    let again = update(done.tree, &[source]).unwrap();
    assert!(again.report.packages.is_empty());
}

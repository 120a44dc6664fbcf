//! Images of files that are in memory alone: the same as of files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fixtures::media::Release;
use fixtures::packages::{nano, wcp};
use fixtures::scenes::{self, Windows};
use nano_image::content::ReadAt;
use nano_image::{ByteSize, FileCopy, Format, MachineConfig, Recipe, Sources};

use crate::driver::{ADAPTER, stand_in};

const ANSWER: &str = "<unattend xmlns='urn:schemas-microsoft-com:unattend'><settings pass='specialize'>\
    <component name='Microsoft-Windows-Shell-Setup' processorArchitecture='amd64' publicKeyToken='31bf3856ad364e35' \
    language='neutral' versionScope='nonSxS'><RegisteredOwner>Me</RegisteredOwner></component></settings></unattend>";

/// Everything that a build can read, by its path below `root`.
fn inputs() -> Vec<(String, Vec<u8>)> {
    let media = Release::Tp4.files(&scenes::pe_stand_in(), 50_000);
    let mut files: Vec<_> = media.into_iter().map(|(path, bytes)| (format!("media/{path}"), bytes)).collect();
    let update = nano::servicing(100_000).to_bytes(Release::Tp4.form(&wcp::dictionary()));
    let mut add = |path: &str, bytes: &[u8]| files.push((path.to_owned(), bytes.to_vec()));
    add("update.cab", &update);
    add("drivers/teststor.inf", ADAPTER.as_bytes());
    add("drivers/teststor.sys", &stand_in("teststor.sys"));
    add("drivers/teststor.cat", &stand_in("teststor.cat"));
    add("unattend.xml", ANSWER.as_bytes());
    add(
        "settings.reg",
        b"Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Me]\r\n\"a\"=\"b\"\r\n",
    );
    add("tools/deep/small.cmd", b"echo hello");
    add("tools/large.bin", &stand_in("large").repeat(40));
    files
}

fn recipe(root: &Path) -> Recipe {
    let at = |name: &str| root.join(name);
    let copy = vec![FileCopy { source: at("tools"), destination: Some(r"\Tools".into()) }];
    let machine = MachineConfig {
        unattend: Some(at("unattend.xml")),
        reg: vec![at("settings.reg")],
        copy,
        ..MachineConfig::default()
    };
    Recipe::image("ServerTuva").package("Storage").disk_size(ByteSize::mib(512)).machine(machine).build().unwrap()
}

fn sources(root: &Path) -> Sources {
    let at = |name: &str| root.join(name);
    Sources::media(at("media")).servicing_package(at("update.cab")).driver(at("drivers"))
}

/// The image of `sources`, and the files of the machine that were read.
fn built(recipe: &Recipe, sources: &Sources, folder: &Path, name: &str) -> (Vec<u8>, Vec<PathBuf>) {
    let plan = recipe.plan(sources, &()).unwrap();
    let path = folder.join(name);
    plan.layout(&()).unwrap().write_file(&path, Format::VHDX, &()).unwrap();
    (fs::read(path).unwrap(), plan.inputs().iter().map(|input| input.path.clone()).collect())
}

#[test]
fn an_image_of_files_in_memory_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (root, scratch) = (folder.path().join("in"), folder.path().join("scratch"));
    fs::create_dir(&scratch).unwrap();
    let mut in_memory = sources(Path::new("nowhere")).scratch(&scratch);
    for (path, bytes) in inputs() {
        let on_disk = root.join(&path);
        fs::create_dir_all(on_disk.parent().unwrap()).unwrap();
        fs::write(on_disk, &bytes).unwrap();
        in_memory = in_memory.file(Path::new("nowhere").join(path), Arc::new(bytes));
    }
    let (expected, read) = built(&recipe(&root), &sources(&root).scratch(&scratch), folder.path(), "files.vhdx");
    assert!(read.len() > 8, "{read:?}");
    let (image, read) = built(&recipe(Path::new("nowhere")), &in_memory, folder.path(), "memory.vhdx");
    assert!(image == expected, "the images differ");
    assert!(read.is_empty(), "files were read: {read:?}");
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0, "nothing is left");

    // The disk of that, as a source.
    let again = Recipe::only_image().disk_size(ByteSize::mib(512)).build().unwrap();
    let data: Arc<dyn ReadAt> = Arc::new(image);
    let of_memory = Sources::disk("nowhere.vhdx").file("nowhere.vhdx", data).scratch(&scratch);
    let (image, read) = built(&again, &of_memory, folder.path(), "again.vhdx");
    assert!(read.is_empty(), "files were read: {read:?}");
    let of_file = Sources::disk(folder.path().join("files.vhdx")).scratch(&scratch);
    assert!(image == built(&again, &of_file, folder.path(), "again.vhdx").0, "the images differ");
}

#[test]
fn an_installer_in_memory_is_staged_as_one_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let wim = Windows::named("server-2022").unwrap().wim(&scenes::pe_stand_in()).to_bytes();
    let installer = b"an installer".to_vec();
    let built = |root: &Path, sources: Sources, name| {
        let machine = MachineConfig { cloud_init: Some(root.join("setup.msi")), ..MachineConfig::default() };
        let recipe = Recipe::only_image().disk_size(ByteSize::gib(4)).machine(machine).build().unwrap();
        built(&recipe, &sources, folder.path(), name).0
    };
    fs::write(folder.path().join("install.wim"), &wim).unwrap();
    fs::write(folder.path().join("setup.msi"), &installer).unwrap();
    let expected = built(folder.path(), Sources::wim(folder.path().join("install.wim")), "files.vhdx");
    let nowhere = Path::new("nowhere");
    let in_memory = Sources::wim(nowhere.join("install.wim"))
        .file(nowhere.join("install.wim"), Arc::new(wim))
        .file(nowhere.join("setup.msi"), Arc::new(installer))
        .scratch(folder.path());
    assert!(built(nowhere, in_memory, "memory.vhdx") == expected, "the images differ");
}

#[test]
fn memory_has_what_the_machine_that_builds_has_not() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(Path::new("nowhere"));
    let mut left = sources(Path::new("nowhere")).scratch(folder.path());
    let error = recipe.plan(&left, &()).err().unwrap();
    assert!(error.path().is_some_and(|path| path.starts_with("nowhere")), "{error}");
    // Of a driver one file is missing: the error says which.
    for (path, bytes) in inputs().into_iter().filter(|(path, _)| !path.ends_with(".sys")) {
        left = left.file(Path::new("nowhere").join(path), Arc::new(bytes));
    }
    let error = recipe.plan(&left, &()).err().unwrap();
    assert!(error.message().contains("teststor.sys"), "{error}");
}

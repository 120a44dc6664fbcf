use std::collections::BTreeMap;
use std::sync::Mutex;

use super::testing::{NoBlobs, edit, hive};
use super::*;
use crate::content::{BlobId, BlobSink};
use crate::registry::{HiveOptions, Value};
use crate::report::Tier;
use crate::tree::Node;
use crate::types::Architecture;

const TIME: FileTime = FileTime(9);

/// A hive with one key and one value in it.
fn bytes(key: &str) -> Vec<u8> {
    let mut hive = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
    let key = hive.create_key(hive.root(), key).unwrap();
    hive.set_value(key, "a", Value::dword(1)).unwrap();
    hive.into_bytes()
}

/// An image with SYSTEM and an empty SOFTWARE hive.
fn image() -> FileTree {
    let mut tree = FileTree::new(Node::directory(Times::default()));
    let mut write = |path: &str, bytes: Vec<u8>| tree.write_file(path, bytes, Times::default()).unwrap();
    write(HiveFile::System.path(), bytes("ControlSet003"));
    write(&format!("{}.LOG1", HiveFile::System.path()), vec![1, 2, 3]);
    write(&format!("{}.LOG2", HiveFile::System.path()), Vec::new());
    write(HiveFile::Software.path(), Vec::new());
    tree
}

fn data(tree: &FileTree, path: &str) -> Content {
    tree[tree.find(path).unwrap()].data.clone().unwrap()
}

#[test]
fn an_edited_hive_loses_its_logs_and_another_one_stays() {
    let mut tree = image();
    let (path, log) = (HiveFile::System.path(), format!("{}.LOG1", HiveFile::System.path()));
    edit(&mut tree, TIME, |image| {
        assert!(image.hive(HiveFile::System)?.is_some() && image.hive(HiveFile::Software)?.is_none());
        assert!(image.edit(HiveFile::Software).err().unwrap().hint().is_some());
        // Requested, but not changed.
        image.edit(HiveFile::System).map(|_| ())
    })
    .unwrap();
    assert_eq!((data(&tree, &log).len(), tree[tree.find(path).unwrap()].times.modified), (3, FileTime(0)));
    edit(&mut tree, TIME, |image| {
        let (hive, key) = image.system_key(r"Services\X")?;
        hive.set_value(key, "Start", Value::dword(2))
    })
    .unwrap();
    assert!(data(&tree, &log).is_empty());
    assert_eq!(tree[tree.find(path).unwrap()].times.modified, TIME);
    let system = hive(&tree, HiveFile::System);
    assert_eq!(system.key_time(system.find(r"ControlSet003\Services\X").unwrap()), TIME);
}

#[test]
fn a_file_that_replaces_a_hive_is_the_hive_from_then_on() {
    let mut tree = image();
    edit(&mut tree, TIME, |image| {
        assert_eq!(image.control_set()?, "ControlSet003");
        image.system_key("Lost")?;
        image.write(&HiveFile::System.path().to_lowercase(), bytes("ControlSet007"))?;
        assert_eq!(image.resolve(&HiveKey::find(r"HKLM\SYSTEM\CurrentControlSet\X").unwrap())?, r"ControlSet007\X");
        image.system_key("Kept").map(|_| ())
    })
    .unwrap();
    let system = hive(&tree, HiveFile::System);
    assert!(system.find("ControlSet003").is_none() && system.find(r"ControlSet007\Kept").is_some());
}

#[test]
fn links_take_names_over_and_new_directories_inherit() {
    let mut tree = image();
    let (one, other) = edit(&mut tree, TIME, |image| {
        let (one, other) = (image.add_file(vec![1].into()), image.add_file(vec![2].into()));
        assert_eq!(image.link(r"New\a", one)?, None);
        assert_eq!(image.link(r"New\b", one)?, None);
        assert_eq!(image.link(r"new\A", other)?, Some(one));
        assert!(image.link("Windows", one).is_err() && image.file(r"New\x")?.is_none());
        Ok((one, other))
    })
    .unwrap()
    .0;
    assert_eq!((tree.find(r"New\a"), tree.find(r"New\b")), (Some(other), Some(one)));
    assert_eq!(tree[tree.find("New").unwrap()].security, None);
}

/// A store whose blobs are hives; it counts how often each is read.
struct Counted {
    hives: BTreeMap<BlobId, Vec<u8>>,
    reads: Mutex<BTreeMap<BlobId, usize>>,
}

impl BlobStore for Counted {
    fn read_blobs(&self, requests: &[BlobId], jobs: usize, sink: &mut BlobSink<'_>) -> Result<()> {
        NoBlobs.read_blobs(requests, jobs, sink)
    }

    fn read_blob(&self, id: BlobId, _: u64) -> Result<Vec<u8>> {
        *self.reads.lock().unwrap().entry(id).or_default() += 1;
        Ok(self.hives[&id].clone())
    }
}

/// Packages, configuration, drivers and boot files need the same hives. The tree keeps the old ones until the end, so
/// reading one again would be counted.
#[cfg(feature = "internals")]
#[test]
fn each_hive_is_read_and_written_once_by_all_that_edit_an_image() {
    use crate::windows::boot::{BootOptions, edit_template, plan, tests as boot};
    use crate::windows::configure::MachineConfig;
    use crate::windows::driver::{self, tests as driver_tests};
    use crate::windows::package::tests as package;

    let mut tree = package::image();
    boot::add_boot_files(&mut tree);
    let mut hives = BTreeMap::new();
    for (number, file) in HiveFile::ALL.into_iter().enumerate() {
        let Some(node) = tree.find(file.path()) else { continue };
        let Some(Content::Bytes(bytes)) = tree[node].data.clone() else { panic!("{file:?}") };
        let id = BlobId(number as u32);
        tree[node].data = Some(Content::Blob { id, len: bytes.len() as u64 });
        hives.insert(id, bytes.to_vec());
    }
    let files = [HiveFile::System, HiveFile::Software, HiveFile::Components, HiveFile::BcdTemplate];
    assert!(files.iter().all(|file| hives.contains_key(&BlobId(*file as u32))));
    let store = Arc::new(Counted { hives, reads: Mutex::default() });
    let mut image = ImageEdit::new(&mut tree, store.clone(), TIME);

    let report = package::install_guest(&mut image).unwrap();
    assert!(report.packages.iter().all(|package| package.tier == Tier::Recorded), "{:?}", report.warnings);
    let config = MachineConfig { computer_name: Some("web-01".into()), ..MachineConfig::default() };
    config.prepare(None, Architecture::Amd64).unwrap().apply(&mut image).unwrap();
    let folder = driver_tests::Folder::new();
    driver::prepare(&[folder.storage()], &crate::content::InputFiles::default(), &driver_tests::options(), &())
        .unwrap()
        .apply(&mut image)
        .unwrap();
    let options: BootOptions = boot::serial_debugging();
    plan(&mut image, &options).unwrap();
    assert!(edit_template(&mut image, &options.settings).unwrap());
    for file in files {
        assert!(matches!(data(image.tree, file.path()), Content::Blob { .. }), "{file:?} is written too early");
    }
    image.finish().unwrap();
    for file in files {
        assert!(matches!(data(&tree, file.path()), Content::Bytes(_)), "{file:?} is not written");
    }
    let reads = store.reads.lock().unwrap();
    assert!(files.iter().all(|file| reads.get(&BlobId(*file as u32)) == Some(&1)), "{reads:?}");
    assert!(reads.values().all(|count| *count == 1), "{reads:?}");
}

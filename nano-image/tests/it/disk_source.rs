//! Windows volumes as sources: volumes of ntfs-3g, of Windows and of our own become trees, and these the same volume
//! again. The Sleuth Kit and 7-Zip compare what is on both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::judge;
use crate::support::ntfs_volume::Volume;
use fixtures::{Data, FileSpec, Tree, WimBuilder, scenes};
use nano_image::content::{BlobId, BlobStore, Content, Extent, ReadAt, Window};
use nano_image::tree::{FileTree, NodeId, Times};
use nano_image::types::{ByteSize, FileTime, Lba};
use nano_image::volume::ntfs::{NtfsLayout, NtfsOptions, NtfsReader};
use nano_image::windows::disk_source::{VolumeFiles, read_volume};
use nano_image::{Compact, ErrorKind, Format, Recipe, Sources};
use sha1::{Digest, Sha1};

const TIME: FileTime = FileTime(131_131_008_001_234_567);

fn options(size: u64) -> NtfsOptions {
    NtfsOptions {
        size: ByteSize::new(size),
        start: Lba(2048),
        sector_size: 512,
        cluster_size: None,
        serial_number: 0x1234_5678_9ABC_DEF0,
        label: "Windows".into(),
        time: Times::all(TIME),
        boot_code: None,
    }
}

/// Writes `tree` as a volume of `size` bytes into a file.
fn write(name: &str, tree: &FileTree, store: &dyn BlobStore, size: u64) -> PathBuf {
    let layout = NtfsLayout::new(Arc::new(tree.clone()), options(size)).unwrap();
    assert!(layout.warnings().is_empty(), "{:?}", layout.warnings());
    let path = judge::scratch(name);
    let mut file = File::create(&path).unwrap();
    file.set_len(size).unwrap();
    let mut sink = |at: nano_image::types::VolumeOffset, bytes: &[u8]| {
        file.seek(SeekFrom::Start(at.0)).unwrap();
        file.write_all(bytes).unwrap();
        Ok(())
    };
    layout.write(store, 2, &mut sink).unwrap();
    path
}

fn read(path: &Path) -> VolumeFiles {
    let volume: Arc<dyn ReadAt> = Arc::new(File::open(path).unwrap());
    let mut files = read_volume(&volume).unwrap();
    files.store.digest(&()).unwrap();
    files
}

/// SHA-1 of every blob that `tree` has, read in one pass.
fn sums(tree: &FileTree, store: &dyn BlobStore) -> BTreeMap<BlobId, String> {
    let nodes = (0..tree.node_count() as u32).map(|number| &tree[NodeId(number)]);
    let contents = nodes.flat_map(|node| node.data.iter().chain(node.streams.iter().map(|stream| &stream.content)));
    let ids: BTreeSet<BlobId> =
        contents.filter_map(|content| if let Content::Blob { id, .. } = content { Some(*id) } else { None }).collect();
    let ids: Vec<BlobId> = ids.into_iter().collect();
    let mut hashes = vec![Sha1::new(); ids.len()];
    let mut sink = |index: usize, piece: &[u8]| {
        hashes[index].update(piece);
        Ok(())
    };
    store.read_blobs(&ids, 2, &mut sink).unwrap();
    ids.into_iter().zip(hashes).map(|(id, hash)| (id, format!("{:x?}", hash.finalize()))).collect()
}

/// All that a tree says of each name, with the SHA-1 of every stream.
fn described(tree: &FileTree, store: &dyn BlobStore) -> BTreeMap<String, String> {
    let sums = sums(tree, store);
    let mut first_names: BTreeMap<NodeId, String> = BTreeMap::new();
    let mut all = BTreeMap::new();
    let mut open = vec![(NodeId::ROOT, String::new(), None)];
    while let Some((id, path, short)) = open.pop() {
        let node = &tree[id];
        let sum = |content: &Content| match content {
            Content::Bytes(bytes) => format!("{:x?}", Sha1::digest(bytes)),
            Content::Blob { id, .. } => sums[id].clone(),
        };
        let streams = node.streams.iter().map(|stream| (stream.name.to_le_bytes(), sum(&stream.content)));
        let streams: Vec<_> = node.data.iter().map(|data| (Vec::new(), sum(data))).chain(streams).collect();
        let security = node.security.map(|id| &tree.descriptors()[id.0 as usize]);
        let same_as = first_names.entry(id).or_insert_with(|| path.clone());
        let text = format!(
            "{:x} {:?} {security:x?} {streams:?} {:?} {:?} {:?} {short:?} {same_as}",
            node.attributes, node.times, node.reparse, node.object_id, node.extended_attributes
        );
        assert!(all.insert(path.clone(), text).is_none(), "{path}");
        let children: Vec<_> = node.children.iter().flatten().collect();
        for (name, entry) in children.into_iter().rev() {
            let units: String = name.units().iter().map(|unit| format!("{unit:04x}")).collect();
            let name = String::from_utf16(name.units()).unwrap_or(units);
            open.push((entry.node, format!("{path}/{name}"), entry.short_name.clone()));
        }
    }
    all
}

fn assert_same(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) {
    for (path, text) in one {
        assert_eq!(other.get(path), Some(text), "{path}");
    }
    assert_eq!(one.len(), other.len());
}

/// What The Sleuth Kit sees: names, streams, kinds, sizes and all times, without numbers of records.
fn listed(volume: &Path) -> Vec<String> {
    let text = judge::run("fls", &["-r", "-p", "-m", "/", volume.to_str().unwrap()]);
    // Copies of times in $FILE_NAME may be stale, and owners have numbers of the volume.
    let is_file = |line: &&str| {
        !line.contains("($FILE_NAME)")
            && !line.contains("|//$")
            && !line.contains("|/$")
            && !line.contains("OrphanFiles")
            // Names that were, in what is left over of an index.
            && !line.contains("(deleted)")
    };
    let without_number = |line: &str| {
        let mut fields: Vec<&str> = line.split('|').collect();
        for column in [5, 4, 2] {
            fields.remove(column);
        }
        // How large an index is depends on how it grew.
        if fields[2].starts_with('d') {
            fields[3] = "";
        }
        fields.join("|")
    };
    let mut lines: Vec<String> = text.lines().filter(is_file).map(without_number).collect();
    lines.sort();
    lines
}

/// Takes the volume in `path` over into a new one of `size` bytes, and compares both.
fn take_over(path: &Path, size: u64) -> PathBuf {
    let old = read(path);
    let name = format!("{}.new", path.file_name().unwrap().to_str().unwrap());
    let new = write(&name, &old.tree, &old.store, size);
    let again = read(&new);
    assert_same(&described(&old.tree, &old.store), &described(&again.tree, &again.store));
    let (before, after) = (listed(path), listed(&new));
    assert!(before.len() >= 6, "{before:?}");
    for (one, other) in before.iter().zip(&after) {
        assert_eq!(one, other);
    }
    assert_eq!(before.len(), after.len());
    // What is in order stays byte for byte as it is.
    let twice = write(&format!("{name}.again"), &again.tree, &again.store, size);
    judge::run("cmp", &[new.to_str().unwrap(), twice.to_str().unwrap()]);
    fs::remove_file(twice).unwrap();
    new
}

#[test]
fn volumes_of_ntfs_3g_are_taken_over_whole() {
    let scene = scenes::rich(300_000);
    let wim = judge::scratch("disk-source-rich.wim");
    scene.write_file(&wim).unwrap();
    let volume = judge::scratch("disk-source.ntfs");
    let _ = fs::remove_file(&volume);
    File::create(&volume).unwrap().set_len(128 << 20).unwrap();
    judge::run("mkntfs", &["-F", "-Q", "-q", "-c", "1024", volume.to_str().unwrap()]);
    judge::run("wimlib-imagex", &["apply", wim.to_str().unwrap(), "1", volume.to_str().unwrap()]);
    let new = take_over(&volume, 160 << 20);
    fs::remove_file(new).unwrap();
    fs::remove_file(volume).unwrap();
}

#[test]
fn a_volume_of_windows_is_taken_over_whole() {
    let Some(zip) = fixtures::outside::shared("data/vhd/ws2022-test.vhdx.zip") else { return };
    let folder = judge::scratch("disk-source-windows");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    judge::run("7zz", &["x", "-y", "-bd", &format!("-o{}", folder.display()), zip.to_str().unwrap()]);
    let image = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let disk = Arc::new(nano_image::disk::open(Arc::new(File::open(&image).unwrap())).unwrap());
    let inspection = nano_image::inspect::open(&image).unwrap();
    let part = inspection
        .partition_table
        .partitions
        .iter()
        .find(|part| matches!(part.type_name.as_deref(), Some("basic data")))
        .unwrap();
    let window = Window::new(disk, Extent { start: part.start, len: part.size });
    let mut bytes = vec![0; part.size as usize];
    window.read_exact_at(&mut bytes, 0).unwrap();
    let volume = folder.join("volume.ntfs");
    fs::write(&volume, bytes).unwrap();
    take_over(&volume, 96 << 20);
    fs::remove_dir_all(folder).unwrap();
}

/// The Windows volume of a raw image of `scene`, and the tree that it was made of.
fn ours(name: &str, wim: &WimBuilder, compact: Option<Compact>) -> Vec<u8> {
    let (path, image) = (judge::scratch(&format!("{name}.wim")), judge::scratch(&format!("{name}.raw")));
    wim.write_file(&path).unwrap();
    let recipe = Recipe::image("1").disk_size(ByteSize::mib(512));
    let recipe = compact.into_iter().fold(recipe, nano_image::RecipeBuilder::compact).build().unwrap();
    let sources = Sources::wim(&path).scratch(env!("CARGO_TARGET_TMPDIR"));
    let plan = recipe.plan(&sources, &()).unwrap();
    let report = plan.layout(&()).unwrap().write_file(&image, Format::RAW, &()).unwrap();
    let part = report.partitions.last().unwrap();
    let mut bytes = vec![0; part.size as usize];
    ReadAt::read_exact_at(&File::open(&image).unwrap(), &mut bytes, part.start).unwrap();
    fs::remove_file(image).unwrap();
    bytes
}

#[test]
fn compact_files_are_copied_or_decompressed() {
    let scene = scenes::nano_small(&scenes::pe_stand_in());
    let plain = ours("disk-source-plain", &scene, None);
    let bytes = ours("disk-source-compact", &scene, Some(Compact::Xpress8k));
    let files = |bytes: &[u8]| {
        let volume: Arc<dyn ReadAt> = Arc::new(bytes.to_vec());
        let mut files = read_volume(&volume).unwrap();
        files.store.digest(&()).unwrap();
        files
    };
    let (one, other) = (files(&plain), files(&bytes));
    assert!(other.store.compact_files() > 5 && one.store.compact_files() == 0);
    assert_same(&described(&one.tree, &one.store), &described(&other.tree, &other.store));
    assert_ne!(one.store.tree_digest(&one.tree), other.store.tree_digest(&other.tree));
    // The compressed form is the one that the volume has.
    let copied = (0..).map(BlobId).find(|id| other.store.stored_form(*id).is_some()).unwrap();
    let (form, mut stored) = (other.store.stored_form(copied).unwrap(), Vec::new());
    let request = nano_image::content::BlobRequest { id: copied, form: nano_image::content::BlobForm::Stored };
    let mut sink = |_: usize, piece: &[u8]| {
        stored.extend_from_slice(piece);
        Ok(())
    };
    other.store.read_forms(&[request], 2.into(), &mut sink).unwrap();
    assert_eq!(stored.len() as u64, form.len);
}

#[test]
fn a_directory_that_is_a_reparse_point_keeps_what_is_in_it() {
    let mut tree = Tree::new();
    tree.add("Cloud", FileSpec::directory().reparse(0x9000_701A, vec![0; 12]));
    tree.add(r"Cloud\file", FileSpec::file(Data::bytes(*b"contents")));
    let bytes = ours("disk-source-cloud", &WimBuilder::new().image("Cloud", with_boot_files(tree)), None);
    let reader = NtfsReader::open(&bytes).unwrap();
    assert_eq!(reader.read_file("Cloud/file", 100).unwrap().unwrap(), b"contents");
    let volume: Arc<dyn ReadAt> = Arc::new(bytes.clone());
    let files = read_volume(&volume).unwrap();
    assert_eq!(files.tree[files.tree.find("Cloud").unwrap()].reparse.as_ref().unwrap().tag, 0x9000_701A);
    assert!(files.tree.find("Cloud/file").is_some());
}

/// What a plan needs of any image.
fn with_boot_files(mut tree: Tree) -> Tree {
    tree.add(r"Windows\Boot\EFI\bootmgfw.efi", FileSpec::file(scenes::pe_stand_in()));
    tree
}

#[test]
fn contents_that_are_elsewhere_or_encrypted_are_refused_by_name() {
    let mut tree = Tree::new();
    tree.add(r"Folder\dedup.bin", FileSpec::file(Data::noise(1, 100_000)).reparse(0x8000_0013, vec![0; 24]));
    let bytes = ours("disk-source-dedup", &WimBuilder::new().image("Dedup", with_boot_files(tree)), None);
    let refused = |bytes: Vec<u8>| {
        let volume: Arc<dyn ReadAt> = Arc::new(bytes);
        read_volume(&volume).err().unwrap()
    };
    let error = refused(bytes.clone());
    assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("deduplicated"), "{error}");
    assert_eq!(error.path(), Some(Path::new(r"Folder\dedup.bin")));
    let mut volume = Volume::new(bytes);
    let file = volume.find("dedup.bin");
    volume.edit_attribute(file, 0x10, "", |attribute| attribute[24 + 0x21] |= 0x40);
    assert!(refused(volume.bytes).message().contains("encrypted"));
}

#[test]
fn contents_that_change_during_a_build_are_told() {
    struct Changing(std::sync::Mutex<Vec<u8>>);
    impl ReadAt for Changing {
        fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
            self.0.lock().unwrap().read_exact_at(buf, offset)
        }
        fn len(&self) -> std::io::Result<u64> {
            Ok(self.0.lock().unwrap().len() as u64)
        }
    }
    let noise = Data::noise(5, 300_000);
    let mut tree = Tree::new();
    tree.add("noise.bin", FileSpec::file(noise.clone()));
    let bytes = ours("disk-source-change", &WimBuilder::new().image("Change", with_boot_files(tree)), None);
    let start = noise.to_vec()[..64].to_vec();
    let at = (0..bytes.len()).step_by(4096).find(|at| bytes[*at..].starts_with(&start)).unwrap();
    let volume = Arc::new(Changing(std::sync::Mutex::new(bytes)));
    let whole: Arc<dyn ReadAt> = volume.clone();
    let mut files = read_volume(&whole).unwrap();
    files.store.digest(&()).unwrap();
    let Some(Content::Blob { id, len }) = files.tree[files.tree.find("noise.bin").unwrap()].data.clone() else {
        panic!()
    };
    assert_eq!(files.store.read_blob(id, len).unwrap(), noise.to_vec());
    volume.0.lock().unwrap()[at + 1000] ^= 1;
    let error = files.store.read_blob(id, len).unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.message().contains("changed"), "{error}");
}

#[test]
fn disks_that_cannot_be_a_source_are_refused_by_name() {
    let scene = scenes::nano_small(&scenes::pe_stand_in());
    let sound = ours("disk-source-sound", &scene, None);
    let plan = |name: &str, bytes: &[u8]| {
        let image = judge::scratch(&format!("disk-source-{name}.raw"));
        fs::write(&image, bytes).unwrap();
        let recipe = Recipe::only_image().disk_size(ByteSize::mib(512)).build().unwrap();
        let plan = recipe.plan(&Sources::disk(&image), &());
        fs::remove_file(&image).unwrap();
        let named = |error: nano_image::Error| {
            assert!(format!("{error}").contains(image.to_str().unwrap()), "{error}");
            error
        };
        plan.map(|plan| plan.disk_id()).map_err(named)
    };
    plan("sound", &sound).unwrap();
    let mut dirty = Volume::new(sound.clone());
    dirty.edit_attribute(3, 0x70, "", |attribute| attribute[24 + 10] |= 1);
    let mut locked = sound.clone();
    locked[3..11].copy_from_slice(b"-FVE-FS-");
    let mut tree = scene.images()[0].tree.clone();
    tree.add("hiberfil.sys", FileSpec::file(Data::bytes(*b"hibr and more")));
    let hibernated = ours("disk-source-hibernated", &WimBuilder::new().image("Hibernated", tree), None);
    let mut tree = Tree::new();
    tree.add("file", FileSpec::file(Data::empty()));
    let other = ours("disk-source-other", &WimBuilder::new().image("Other", with_boot_files(tree)), None);
    for (name, bytes, kind, what) in [
        ("dirty", dirty.bytes, ErrorKind::Unsupported, "dirty"),
        ("locked", locked, ErrorKind::Unsupported, "BitLocker"),
        ("hibernated", hibernated, ErrorKind::Unsupported, "hibernated"),
        ("other", other, ErrorKind::NotFound, "no partition has a Windows"),
        ("empty", vec![0; 1 << 20], ErrorKind::NotFound, "neither a partition table"),
    ] {
        let error = plan(name, &bytes).unwrap_err();
        assert!(error.kind() == kind && error.message().contains(what), "{name}: {error:?}");
        assert!(kind == ErrorKind::NotFound || error.hint().is_some(), "{name}");
    }
}

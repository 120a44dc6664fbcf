//! What is true of all volumes and stores, whatever is in them: they are read as they were made, and nothing is found
//! wrong with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use fixtures::Data;
use nano_image::content::{BlobId, BlobSink, BlobStore, Content};
use nano_image::tree::{Entry, FileTree, NamedStream, Node, NodeId, Times};
use nano_image::types::{ByteSize, DiskOffset, FileTime, Guid, Lba};
use nano_image::volume::{fat, ntfs};
use nano_image::windows::boot::Firmware;
use nano_image::windows::boot::bcd::{BcdObject, BcdStore};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

const TIME: FileTime = FileTime(131_131_008_000_000_000);

/// Blobs by their numbers.
struct Blobs(Vec<Vec<u8>>);

impl BlobStore for Blobs {
    fn read_blobs(&self, requests: &[BlobId], _jobs: usize, sink: &mut BlobSink<'_>) -> nano_image::Result<()> {
        requests.iter().enumerate().try_for_each(|(index, id)| sink(index, &self.0[id.0 as usize]))
    }

    fn read_blob(&self, id: BlobId, _limit: u64) -> nano_image::Result<Vec<u8>> {
        Ok(self.0[id.0 as usize].clone())
    }
}

impl Blobs {
    fn add(&mut self, bytes: &[u8]) -> Content {
        if bytes.is_empty() {
            return Content::empty();
        }
        self.0.push(bytes.to_vec());
        Content::Blob { id: BlobId(self.0.len() as u32 - 1), len: bytes.len() as u64 }
    }
}

/// Folders, the files in them, and lengths of contents and of a named stream. Small and large ones: in the record, in
/// clusters, and in several of them.
fn folders() -> impl Strategy<Value = BTreeMap<String, BTreeMap<String, (usize, Option<usize>)>>> {
    let name = || "[a-z][a-z0-9äöüß€ _-]{0,60}[a-z]";
    let len = || prop_oneof![0..64_usize, 600..800_usize, 0..200_000_usize];
    btree_map(name(), btree_map(name(), (len(), proptest::option::of(len())), 0..25), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn ntfs_volumes_hold_what_they_are_made_of(folders in folders(), cluster_shift in 12..=16_u32) {
        let mut tree = FileTree::new(Node::directory(Times::all(TIME)));
        let mut blobs = Blobs(Vec::new());
        let mut expected = Vec::new();
        let link = |tree: &mut FileTree, folder, name: &str, node| {
            let node = tree.add_node(node);
            tree.link(folder, name.into(), Entry { short_name: None, node }).unwrap();
            node
        };
        for (index, (folder_name, files)) in folders.iter().enumerate() {
            let folder = link(&mut tree, NodeId(0), folder_name, Node::directory(Times::all(TIME)));
            for (name, (len, stream)) in files {
                let bytes = Data::noise(index as u64, *len as u64).to_vec();
                let mut node = Node::file(Times::all(TIME), blobs.add(&bytes));
                let path = format!("{folder_name}\\{name}");
                if let Some(len) = stream {
                    let bytes = Data::text(index as u64, *len as u64).to_vec();
                    node.streams.push(NamedStream { name: "side".into(), content: blobs.add(&bytes) });
                    expected.push((path.clone(), "side", bytes));
                }
                expected.push((path, "", bytes));
                link(&mut tree, folder, name, node);
            }
        }
        let options = ntfs::NtfsOptions {
            size: ByteSize::mib(128),
            start: Lba(2048),
            sector_size: 512,
            cluster_size: Some(ByteSize::new(1 << cluster_shift)),
            serial_number: 1,
            label: "Any".into(),
            time: Times::all(TIME),
            boot_code: None,
        };
        let layout = ntfs::NtfsLayout::new(Arc::new(tree), options).unwrap();
        let mut volume = vec![0; layout.size().bytes() as usize];
        let mut write = |at: nano_image::types::VolumeOffset, bytes: &[u8]| {
            volume[at.0 as usize..][..bytes.len()].copy_from_slice(bytes);
            Ok(())
        };
        layout.write(&blobs, 1, &mut write).unwrap();
        let findings = ntfs::check(&volume);
        prop_assert!(findings.counts().is_empty(), "{:?}", findings.kept());
        let reader = ntfs::NtfsReader::open(&volume).unwrap();
        for (path, stream, bytes) in expected {
            let file = reader.file(reader.find(&path).unwrap().expect("the file is there")).unwrap();
            let stream = reader.stream(&file, stream).unwrap().expect("the stream is there");
            let mut read = vec![0; stream.size() as usize];
            nano_image::content::ReadAt::read_exact_at(&stream, &mut read, 0).unwrap();
            prop_assert!(read == bytes, "{path}");
        }
    }

    #[test]
    fn fat_volumes_hold_what_they_are_made_of(
        files in btree_map(
            prop_oneof!["[A-Z0-9]{1,8}\\.[A-Z]{1,3}", "[a-z][a-zäöü0-9 ._-]{0,50}[a-z]", "[a-z]{1,9}\\\\[a-z]{1,20}"],
            0..40_000_usize,
            0..30,
        ),
        sector_size in prop_oneof![Just(512_u32), Just(4096)],
    ) {
        // A path is a file or a folder, in any case.
        let mut seen = std::collections::BTreeSet::new();
        let folders: Vec<String> = files.keys().filter_map(|path| Some(path.split_once('\\')?.0.to_lowercase())).collect();
        let files: Vec<(String, Vec<u8>)> = files
            .into_iter()
            .filter(|(path, _)| seen.insert(path.to_lowercase()) && !folders.contains(&path.to_lowercase()))
            .map(|(path, len)| (path, Data::noise(len as u64, len as u64).to_vec()))
            .collect();
        let options = fat::FatOptions {
            size: ByteSize::mib(if sector_size == 512 { 40 } else { 300 }),
            sector_size,
            serial: 7,
            label: "ANY".into(),
            start: DiskOffset(1 << 20),
            time: TIME,
        };
        let wanted: Vec<fat::FatFile<'_>> =
            files.iter().map(|(path, bytes)| fat::FatFile { path, bytes, attributes: 0 }).collect();
        let mut volume = vec![0; options.size.bytes() as usize];
        for (at, bytes) in fat::build(&options, &wanted).unwrap() {
            volume[at.0 as usize..][..bytes.len()].copy_from_slice(&bytes);
        }
        let findings = fat::check(&volume);
        prop_assert!(findings.counts().is_empty(), "{:?}", findings.kept());
        let reader = fat::FatReader::open(&volume).unwrap();
        let entries = reader.entries().unwrap().into_iter().filter(|entry| !entry.is_directory);
        let mut read: Vec<(String, Vec<u8>)> =
            entries.map(|entry| (entry.path.clone(), reader.read(&entry).unwrap())).collect();
        let mut files = files;
        read.sort();
        files.sort();
        prop_assert!(read == files, "{:?}", read.iter().map(|(path, _)| path).collect::<Vec<_>>());
    }

    #[test]
    fn boot_stores_hold_what_they_are_made_of(
        objects in btree_map(any::<[u8; 16]>(), (any::<u32>(), vec((0..0x100_u32, ".{0,40}", any::<u64>()), 0..8)), 0..12),
    ) {
        let mut store = BcdStore::default();
        for (id, (kind, elements)) in objects {
            let mut object = BcdObject::new(kind);
            for (code, text, number) in elements {
                match number % 4 {
                    0 => object.set_string(0x1200_0000 | code, &text.replace('\0', "")),
                    1 => object.set_integer(0x1500_0000 | code, number),
                    2 => object.set_boolean(0x1600_0000 | code, number & 8 != 0),
                    _ => object.set_objects(0x1400_0000 | code, &[Guid::from_bytes(id)]),
                }
            }
            store.objects.insert(Guid::from_bytes(id), object);
        }
        for firmware in [Firmware::Uefi, Firmware::Bios] {
            let bytes = store.to_bytes(firmware, TIME).unwrap();
            prop_assert_eq!(&BcdStore::parse(bytes).unwrap(), &store);
        }
    }
}

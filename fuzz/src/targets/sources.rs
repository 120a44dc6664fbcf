//! The sources of images.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fixtures::cab::Method;
use fixtures::{CabBuilder, Data};
use nano_image::content::{BlobId, BlobStore, Content, ReadAt, WofAlgorithm};
use nano_image::source::cab::Cabinet;
use nano_image::source::delta;
use nano_image::source::iso::Iso;
use nano_image::source::wim::{Wim, WofCompressor, WofDecompressor};
use nano_image::{Error, Result};

use super::{MAX_READ, read_all};
use crate::Target;

pub const WIM: Target = Target { name: "wim", run: wim, seeds: wim_seeds, rounds: 1000 };
pub const CABINET: Target = Target { name: "cabinet", run: cabinet, seeds: cabinet_seeds, rounds: 6000 };
pub const LZX: Target = Target { name: "lzx", run: lzx, seeds: lzx_seeds, rounds: 20_000 };
pub const ISO: Target = Target { name: "iso", run: iso, seeds: iso_seeds, rounds: 2000 };
pub const DELTA: Target = Target { name: "delta", run: delta, seeds: delta_seeds, rounds: 20_000 };

/// Blobs of an image have the lengths that its tree gives, and reading them twice gives the same.
fn wim(input: &[u8]) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.wim");
    std::fs::write(&path, input).expect("a file");
    let Ok(wim) = Wim::open(&path, &[]) else { return false };
    let mut accepted = true;
    for image in wim.images() {
        let Ok(read) = wim.read_image(image.index) else {
            accepted = false;
            continue;
        };
        let again = wim.read_image(image.index).expect("it was read before").tree;
        assert_eq!(read.tree.node_count(), again.node_count());
        let mut lens = BTreeMap::new();
        for node in (0..read.tree.node_count() as u32).map(|number| &read.tree[nano_image::tree::NodeId(number)]) {
            if let Some(Content::Blob { id, len }) = &node.data {
                lens.insert(*id, *len);
            }
        }
        let ids: Vec<BlobId> = lens.iter().filter(|(_, len)| **len <= MAX_READ).map(|(id, _)| *id).collect();
        let mut got = vec![0; ids.len()];
        let result = wim.store().read_blobs(&ids, 1, &mut |index, bytes| {
            got[index] += bytes.len() as u64;
            Ok(())
        });
        accepted &= result.is_ok();
        if result.is_ok() {
            assert!(ids.iter().zip(&got).all(|(id, got)| lens[id] == *got), "a blob has another length than its file");
        }
    }
    accepted
}

fn wim_seeds() -> Vec<Vec<u8>> {
    vec![fixtures::scenes::tiny().to_bytes()]
}

/// The files of a cabinet have the lengths that it announces, each alone and all together, and are the same after they
/// were put into another cabinet.
fn cabinet(input: &[u8]) -> bool {
    let open = |bytes: Vec<u8>| Cabinet::open(Arc::new(bytes), "a.cab");
    let Ok(cabinet) = open(input.to_vec()) else { return false };
    if cabinet.files().iter().map(|file| u64::from(file.size)).sum::<u64>() > MAX_READ {
        return false;
    }
    let Ok(files) = extract(&cabinet) else { return false };
    for (file, bytes) in cabinet.files().iter().zip(&files) {
        assert_eq!(u64::from(file.size), bytes.len() as u64, "{}", file.name);
    }
    if let Some(last) = files.len().checked_sub(1) {
        let mut alone = Vec::new();
        let mut sink = |index: usize, bytes: &[u8]| {
            if index == last {
                alone.extend_from_slice(bytes);
            }
            Ok(())
        };
        let name = &cabinet.files()[last].name;
        cabinet.extract(&|file| file.name == *name, &mut sink).expect("it was extracted before");
        assert!(alone == files[last], "a file alone is another one");
    }
    let named: Vec<(String, Vec<u8>)> =
        files.iter().enumerate().map(|(index, bytes)| (format!("{index}.bin"), bytes.clone())).collect();
    let copy = CabBuilder::new().folder(Method::Mszip, named.iter().map(|(name, bytes)| (&**name, bytes.clone())));
    let again = extract(&open(copy.to_bytes()).expect("a cabinet of the fixtures")).expect("a cabinet of the fixtures");
    assert!(again == files, "the files change when they are packed again");
    true
}

fn extract(cabinet: &Cabinet) -> Result<Vec<Vec<u8>>> {
    let mut files = vec![Vec::new(); cabinet.files().len()];
    cabinet.extract(&|_| true, &mut |index, bytes| {
        files[index].extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(files)
}

fn cabinet_seeds() -> Vec<Vec<u8>> {
    let files =
        || [("a.txt", Data::text(1, 40_000).to_vec()), (r"b\c.bin", Data::noise(2, 3000).to_vec()), ("d", vec![])];
    [Method::Stored, Method::Mszip, Method::Lzx(16)]
        .map(|method| CabBuilder::new().folder(method, files()).to_bytes())
        .to_vec()
}

/// A chunk of LZX, which follows two bytes with its decompressed length, gives the same as with libwim.
fn lzx(input: &[u8]) -> bool {
    let Some((len, chunk)) = input.split_first_chunk() else { return false };
    let mut ours = vec![0; usize::from(u16::from_le_bytes(*len)).clamp(1, 1 << 15)];
    let mut decompressor = WofDecompressor::new(WofAlgorithm::Lzx).expect("memory");
    if !decompressor.decompress(chunk, &mut ours) {
        return false;
    }
    let mut theirs = vec![0; ours.len()];
    let mut libwim = WofDecompressor::libwim(WofAlgorithm::Lzx).expect("memory");
    assert!(libwim.decompress(chunk, &mut theirs), "libwim refuses it");
    assert!(ours == theirs, "libwim makes something else of it");
    true
}

fn lzx_seeds() -> Vec<Vec<u8>> {
    let mut compressor = WofCompressor::new(WofAlgorithm::Lzx).expect("memory");
    let mut seeds = Vec::new();
    for data in [Data::text(1, 1 << 15), Data::text(2, 3000), Data::text(3, 300)] {
        let bytes = data.to_vec();
        let mut seed = (bytes.len() as u16).to_le_bytes().to_vec();
        compressor.compress(&bytes, &mut seed);
        seeds.push(seed);
    }
    seeds
}

/// Every file of the lists can be opened and read, or the error says why.
fn iso(input: &[u8]) -> bool {
    let Ok(iso) = Iso::open(Arc::new(input.to_vec()), "a.iso") else { return false };
    let mut folders = vec![(String::new(), 0)];
    let mut accepted = true;
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = iso.entries(&folder) else {
            accepted = false;
            continue;
        };
        for entry in entries {
            let path = format!("{folder}/{}", entry.name);
            if entry.is_directory {
                if depth < 8 {
                    folders.push((path, depth + 1));
                }
            } else if let Ok(file) = iso.file(&path) {
                if file.len().expect("an open file has a length") <= MAX_READ {
                    accepted &= read_all(&file).is_some();
                }
            } else {
                accepted = false;
            }
        }
    }
    accepted
}

fn iso_seeds() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let (root, iso) = (folder.path().join("root"), folder.path().join("a.iso"));
    std::fs::create_dir_all(root.join("NanoServer/Packages")).expect("a folder");
    for (name, len) in [("one.txt", 3000), ("NanoServer/two.bin", 70_000), ("NanoServer/Packages/empty", 0)] {
        std::fs::write(root.join(name), Data::noise(len, len).to_vec()).expect("a file");
    }
    fixtures::media::write_iso(Path::new(&root), Path::new(&iso), "FUZZ").expect("genisoimage of scripts/install-deps");
    let plain = folder.path().join("b.iso");
    fixtures::media::write_driver_iso(Path::new(&root), Path::new(&plain))
        .expect("genisoimage of scripts/install-deps");
    [iso, plain].map(|iso| std::fs::read(iso).expect("an ISO image")).into()
}

/// A manifest that was decompressed can be compressed again to the same; a delta is never longer than it may be.
fn delta(input: &[u8]) -> bool {
    let dictionary = dictionary();
    let limit = nano_image::ByteSize::mib(1);
    if let Ok(made) = delta::apply(&dictionary, input, limit) {
        assert!(made.len() as u64 <= limit.bytes());
    }
    let text = delta::header(input.get(4..).unwrap_or_default()).and_then(|header| match header.target_size > limit {
        true => Err(Error::unsupported("too large to try")),
        false => delta::expand_manifest(input, &dictionary),
    });
    let Ok(text) = text else { return false };
    let again = fixtures::dcm::dcm(&text, &dictionary);
    assert!(*delta::expand_manifest(&again, &dictionary).expect("it was just made") == *text, "the text changes");
    true
}

fn dictionary() -> Vec<u8> {
    Data::text(1, 9066).to_vec()
}

fn delta_seeds() -> Vec<Vec<u8>> {
    let dictionary = dictionary();
    let like =
        [&dictionary[100..900], b"something new", &dictionary[..100], &[b' '; 300], &dictionary[40..700]].concat();
    [vec![b'x'; 3], Data::text(3, 4000).to_vec(), like]
        .iter()
        .map(|text| fixtures::dcm::dcm(text, &dictionary))
        .collect()
}

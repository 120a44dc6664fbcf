//! ISO images that genisoimage writes are read in place.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::judge::{run, scratch};
use fixtures::cab::Method;
use fixtures::{CabBuilder, Data, scenes};
use nano_image::content::ReadAt;
use nano_image::source::cab::Cabinet;
use nano_image::source::iso::Iso;
use nano_image::source::wim::Wim;
use nano_image::{ErrorKind, Result};
use proptest::prelude::*;

/// A folder with these files.
fn folder(name: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let folder = scratch(name);
    let _ = std::fs::remove_dir_all(&folder);
    for (name, bytes) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

/// An image of the folder, with UDF or without.
fn make(folder: &Path, udf: bool) -> PathBuf {
    let image = folder.with_extension("iso");
    // Zeros become holes.
    let script = format!(
        "genisoimage -quiet {} -input-charset utf-8 -iso-level 3 -J -joliet-long -V NANO -o - '{}' \
         | dd of='{}' bs=1M conv=sparse iflag=fullblock status=none",
        if udf { "-udf -allow-limited-size" } else { "" },
        folder.display(),
        image.display()
    );
    run("genisoimage", &["--version"]);
    run("bash", &["-c", &format!("set -o pipefail; {script}")]);
    image
}

fn open(path: &Path) -> Result<Iso> {
    Iso::open(Arc::new(File::open(path).unwrap()), path)
}

fn read(iso: &Iso, path: &str) -> Result<Vec<u8>> {
    let file = iso.file(path)?;
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    Ok(bytes)
}

/// Paths and lengths of all files, to a depth of 8.
fn walk(iso: &Iso, directory: &str, depth: u32, found: &mut Vec<(String, u64)>) -> Result<()> {
    for entry in iso.entries(directory)? {
        let path = format!("{directory}/{}", entry.name);
        match entry.is_directory {
            true if depth < 8 && found.len() < 1000 => walk(iso, &path, depth + 1, found)?,
            true => {}
            false => found.push((path, entry.size)),
        }
    }
    Ok(())
}

#[test]
fn files_are_listed_and_read() {
    let large = Data::noise(1, 5_000_000).to_vec();
    let many: Vec<(String, Vec<u8>)> =
        (0..300).map(|number| (format!("sources/file number {number:03}.txt"), vec![number as u8; number])).collect();
    let mut files: Vec<(&str, &[u8])> = many.iter().map(|(name, bytes)| (&name[..], &bytes[..])).collect();
    files.extend([("NanoServer/Grün ファイル.bin", &large[..]), ("empty", b""), ("a/b/c/d.txt", b"deep")]);
    let iso = open(&make(&folder("listed", &files), true)).unwrap();
    assert_eq!(iso.label(), "NANO");
    let mut found = Vec::new();
    walk(&iso, "", 0, &mut found).unwrap();
    found.sort();
    let mut want: Vec<(String, u64)> =
        files.iter().map(|(name, bytes)| (format!("/{name}"), bytes.len() as u64)).collect();
    want.sort();
    assert_eq!(found, want);
    for (name, bytes) in &files {
        assert!(read(&iso, name).unwrap() == *bytes, "{name}");
    }
    assert_eq!(read(&iso, r"A\B\c\D.TXT").unwrap(), b"deep");
    let file = iso.file("NanoServer/Grün ファイル.bin").unwrap();
    let mut piece = [0; 1000];
    file.read_exact_at(&mut piece, 4_999_000).unwrap();
    assert_eq!(piece, large[4_999_000..]);
    assert!(file.read_exact_at(&mut piece, 4_999_001).is_err());

    let error = iso.file("NanoServer/NanoServer.wim").unwrap_err();
    assert!(error.kind() == ErrorKind::NotFound && error.hint().unwrap().contains("Grün"), "{error}");
    for (wrong, what) in [("empty/x", "no `empty/x`"), ("sources", "directory")] {
        let error = iso.file(wrong).unwrap_err();
        assert!(error.kind() == ErrorKind::NotFound && error.message().contains(what), "{error}");
    }
    assert!(iso.entries("empty").unwrap_err().message().contains("is a file"));
}

#[test]
fn a_file_of_more_than_4_gib_is_read() {
    let folder = folder("large", &[("sources/small.txt", b"small")]);
    let len: u64 = (4 << 30) + 300_000_001;
    let marks = [0, (1 << 30) - 3, (4 << 30) - 4, len - 7];
    let mut file = File::create(folder.join("sources/install.wim")).unwrap();
    file.set_len(len).unwrap();
    for mark in marks {
        file.seek(SeekFrom::Start(mark)).unwrap();
        file.write_all(b"marker!").unwrap();
    }
    let path = make(&folder, true);
    let iso = open(&path).unwrap();
    let file = iso.file("sources/install.wim").unwrap();
    assert_eq!(file.len().unwrap(), len);
    let mut bytes = [1; 7];
    for mark in marks {
        file.read_exact_at(&mut bytes, mark).unwrap();
        assert_eq!(&bytes, b"marker!");
    }
    file.read_exact_at(&mut bytes, 3 << 30).unwrap();
    assert_eq!(bytes, [0; 7]);
    assert_eq!(read(&iso, "sources/small.txt").unwrap(), b"small");
    std::fs::remove_file(path).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_wim_and_a_cabinet_are_read_inside_the_image() {
    let wim = scenes::tiny().to_bytes();
    let text = Data::text(1, 70_000).to_vec();
    let cabinet = CabBuilder::new().folder(Method::Lzx(21), [("update.mum", text.clone())]).to_bytes();
    let package = "NanoServer/Packages/Microsoft-NanoServer-Guest-Package.cab";
    let folder = folder("media", &[("NanoServer/NanoServer.wim", &wim), (package, &cabinet)]);
    let iso = open(&make(&folder, true)).unwrap();

    let file: Arc<dyn ReadAt> = Arc::new(iso.file("nanoserver/nanoserver.wim").unwrap());
    let inside = Wim::open_within(file, "media.iso", env!("CARGO_TARGET_TMPDIR")).unwrap();
    let plain = Wim::open(folder.join("NanoServer/NanoServer.wim"), &[]).unwrap();
    assert_eq!(inside.images().len(), plain.images().len());
    for (index, _) in (1..).zip(plain.images()) {
        let (one, other) = (inside.read_image(index).unwrap(), plain.read_image(index).unwrap());
        assert_eq!(format!("{:?}", one.tree), format!("{:?}", other.tree));
    }

    let cabinet = Cabinet::open(Arc::new(iso.file(package).unwrap()), package).unwrap();
    let mut read = Vec::new();
    cabinet
        .extract(&|_| true, &mut |_, bytes| {
            read.extend_from_slice(bytes);
            Ok(())
        })
        .unwrap();
    assert!(read == text);
}

#[test]
fn other_images_are_refused() {
    let folder = folder("other", &[("a.txt", &[7; 100_000])]);
    let open = |bytes: &[u8]| Iso::open(Arc::new(bytes.to_vec()), "cut.iso");
    let error = open(&[0; 100_000]).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.hint().is_some(), "{error}");
    // ISO 9660 alone is read as well.
    let plain = std::fs::read(make(&folder, false)).unwrap();
    let mut read = [0; 100_000];
    open(&plain).unwrap().file("A.TXT").unwrap().read_exact_at(&mut read, 0).unwrap();
    assert_eq!(read, [7; 100_000]);
    let bytes = std::fs::read(make(&folder, true)).unwrap();
    assert_eq!(open(&bytes[..9]).unwrap_err().kind(), ErrorKind::Unsupported);
    // An image of which the end is missing: as much as there is of it is listed, and the file is refused.
    let start = bytes.windows(100).position(|window| window == [7; 100]).unwrap();
    let cut = open(&bytes[..start + 50_000]).unwrap();
    let error = cut.file("a.txt").map(|_| ()).unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.message().contains("truncated"), "{error}");
    for len in (0..start).step_by(10_000) {
        let _ = open(&bytes[..len]).and_then(|iso| iso.file("a.txt"));
    }
}

#[test]
fn damaged_images_give_errors_or_files_and_nothing_else() {
    let folder = folder("damaged", &[("a/one.txt", &[7; 5000]), ("a/b/two.txt", b"two"), ("three", b"")]);
    for has_udf in [true, false] {
        damage(&std::fs::read(make(&folder, has_udf)).unwrap());
    }
}

fn damage(bytes: &[u8]) {
    // All blocks with something in them, before the data.
    let blocks: Vec<usize> =
        (16..bytes.len() / 2048).filter(|block| bytes[block * 2048..][..2048] != [0; 2048]).collect();
    let any = any::<prop::sample::Index>;
    let config = ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(changes in prop::collection::vec((any(), any(), prop::num::u8::ANY), 1..8))| {
        let mut bytes = bytes.to_vec();
        for (block, at, byte) in changes {
            bytes[block.get(&blocks) * 2048 + at.index(512)] = byte;
        }
        if let Ok(iso) = Iso::open(Arc::new(bytes), "damaged.iso") {
            let mut found = Vec::new();
            let _ = walk(&iso, "", 0, &mut found);
            for (path, _) in found {
                if let Ok(file) = iso.file(&path) {
                    let _ = file.read_exact_at(&mut [0; 100], 0);
                }
            }
        }
    });
}

/// A user's own medium, which the environment names: all its cabinets and its WIM are read.
#[test]
fn real_media() {
    let Some(path) = fixtures::outside::iso() else { return };
    let iso = open(&path).unwrap();
    let mut found = Vec::new();
    walk(&iso, "/NanoServer", 0, &mut found).unwrap();
    let mut cabinets = 0;
    for (path, len) in &found {
        let file = iso.file(path).unwrap();
        assert_eq!(file.len().unwrap(), *len, "{path}");
        if path.ends_with(".cab") {
            let cabinet = Cabinet::open(Arc::new(file), path).unwrap();
            let (mut announced, mut read) = (0, 0);
            cabinet.files().iter().for_each(|file| announced += u64::from(file.size));
            cabinet
                .extract(&|_| true, &mut |_, bytes| {
                    read += bytes.len() as u64;
                    Ok(())
                })
                .unwrap();
            assert_eq!(announced, read, "{path}");
            cabinets += 1;
        }
    }
    let file: Arc<dyn ReadAt> = Arc::new(iso.file("NanoServer/NanoServer.wim").unwrap());
    let wim = Wim::open_within(file, &path, env!("CARGO_TARGET_TMPDIR")).unwrap();
    for image in wim.images() {
        println!("{}: {} nodes", image.name, wim.read_image(image.index).unwrap().tree.node_count());
    }
    println!("{} files, {cabinets} cabinets", found.len());
}

//! `extract` copies what is there, as it is there, and tells of everything else.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::judge;
use crate::support::ntfs_volume::*;
use crate::verify::{NTFS, compact, ours};
use fixtures::{FileSpec, Image, Tree, WimBuilder, scenes};
use nano_image::inspect::{self, ExtractOptions, Extracted, Image as Disk, list_files};
use nano_image::{ErrorKind, Format, Recipe, Sources};

/// Our volume, to be changed.
fn volume() -> Volume {
    let bytes = fs::read(ours()).unwrap();
    Volume::new(bytes[NTFS..bytes.len() - (1 << 20)].to_vec())
}

/// Extracts `paths` of a volume, with streams, into a new folder.
fn extract(name: &str, volume: &Volume, paths: &[&str]) -> (Extracted, PathBuf) {
    let (path, out) = (judge::scratch(&format!("{name}.ntfs")), judge::scratch(&format!("{name}.out")));
    fs::write(&path, &volume.bytes).unwrap();
    let _ = fs::remove_dir_all(&out);
    let image = Disk::open(&path).unwrap();
    let files = image.files(1).unwrap();
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    let mut options = ExtractOptions::default();
    options.streams = true;
    let done = inspect::extract(&files, &paths, &out, options, &()).unwrap();
    fs::remove_file(path).unwrap();
    (done, out)
}

#[test]
fn holes_stay_holes() {
    const CLUSTERS: usize = 1 << 20;
    let mut volume = volume();
    let file = volume.find("65536 noise");
    volume.edit_attribute(file, DATA, "", |attribute| {
        // The one run becomes a hole of 4 GiB, which has no place.
        let pairs = u16_at(attribute, 32) as usize;
        let len = usize::from((attribute[pairs] & 15) + (attribute[pairs] >> 4));
        attribute[pairs] = len as u8;
        attribute[pairs + 1..=pairs + len].copy_from_slice(&CLUSTERS.to_le_bytes()[..len]);
        attribute[24..32].copy_from_slice(&(CLUSTERS as u64 - 1).to_le_bytes());
        for at in [40, 48, 56] {
            attribute[at..at + 8].copy_from_slice(&(4096 * CLUSTERS as u64).to_le_bytes());
        }
    });
    let (done, out) = extract("extract-hole", &volume, &["Sizes/65536 noise", "Sizes/zeros", "Sizes/large"]);
    assert!(done.failures.is_empty(), "{:?}", done.failures);
    let of = |name: &str| fs::metadata(out.join("Sizes").join(name)).unwrap();
    assert_eq!(of("65536 noise").len(), 4096 * CLUSTERS as u64);
    assert!(of("65536 noise").blocks() * 512 < 1 << 20, "{} blocks", of("65536 noise").blocks());
    assert_eq!((of("zeros").len(), of("large").len()), (300_000, 300_000));
    assert!(fs::read(out.join("Sizes/large")).unwrap() == fixtures::Data::text(7, 300_000).to_vec());
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn names_are_those_of_the_volume() {
    let (done, out) = extract("extract-case", &volume(), &["C:\\sIZES/ZEROS", "wINDOWS/bOOT/efi"]);
    assert!(done.failures.is_empty(), "{:?}", done.failures);
    assert!(out.join("Sizes/zeros").exists() && out.join("Windows/Boot/EFI/bootmgfw.efi").exists());
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn names_that_windows_reads_otherwise_are_told_on_every_host() {
    let mut volume = volume();
    let (wide, leaf) = (volume.find("Wide"), volume.leaf(volume.find("Wide"), "$I30"));
    let mut rest = String::new();
    volume.edit_block(wide, "$I30", leaf, |block| {
        let name = entries(block)[2] + 16 + 66;
        let units = usize::from(block[name - 2]);
        rest = (2..units).map(|unit| char::from(block[name + 2 * unit])).collect();
        (block[name], block[name + 2]) = (b'C', b':');
    });
    let (done, out) = extract("extract-drive", &volume, &["Wide"]);
    assert_eq!(done.failures.len(), 1, "{:?}", done.failures);
    assert!(done.failures[0].contains(&format!("C:{rest}")) && done.failures[0].contains("the character ':'"));
    assert!(!PathBuf::from(format!("C:{rest}")).exists());
    assert!(
        fs::read_dir(out.join("Wide")).unwrap().all(|entry| !entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains(':'))
    );
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn a_bad_stream_name_loses_that_stream_only() {
    let mut tree = Tree::new();
    tree.add(r"Windows\Boot\EFI\bootmgfw.efi", FileSpec::file(scenes::pe_stand_in()));
    let streams = FileSpec::file("contents".into());
    let streams = ["aaa", "bbb", "ccc"].into_iter().fold(streams, |file, name| file.stream(name, name.into()));
    tree.add("streams", streams);
    let mut volume = built("extract-streams", tree);
    volume.edit_attribute(volume.find("streams"), DATA, "aaa", |attribute| {
        let name = u16_at(attribute, 10) as usize;
        attribute[name + 2] = b'\\';
    });
    let (done, out) = extract("extract-streams", &volume, &["streams"]);
    assert_eq!((done.files, done.failures.len()), (3, 1), "{done:?}");
    assert!(done.failures[0].starts_with(r"streams:a\a"), "{:?}", done.failures);
    for (name, contents) in [("streams", "contents"), ("streams:bbb", "bbb"), ("streams:ccc", "ccc")] {
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), contents);
    }
    fs::remove_dir_all(out).unwrap();
}

/// Builds a volume with the files of `tree`.
fn built(name: &str, tree: Tree) -> Volume {
    let (wim, path) = (judge::scratch(&format!("{name}.wim")), judge::scratch(&format!("{name}.raw")));
    WimBuilder::new().push(Image::new("Only", tree)).write_file(&wim).unwrap();
    let recipe = Recipe::image("1").disk_size(nano_image::ByteSize::mib(128)).esp_size(nano_image::ByteSize::mib(36));
    let plan = recipe.build().unwrap().plan(&Sources::wim(&wim), &()).unwrap();
    plan.layout(&()).unwrap().write_file(&path, Format::RAW, &()).unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(path).unwrap();
    Volume::new(bytes[NTFS..bytes.len() - (1 << 20)].to_vec())
}

#[test]
fn folders_with_tags_that_redirect_nothing_are_entered() {
    for (tag, enters) in [(0x9000_701Au32, true), (0xA000_0003, false)] {
        let mut volume = volume();
        let folder = volume.find("Wide");
        volume.edit_attribute(folder, 0x10, "", |attribute| attribute[24 + 0x21] |= 4);
        volume.edit(folder, |record| {
            // A $REPARSE_POINT of 8 and 12 bytes behind the last attribute.
            let used = u32_at(record, 24) as usize;
            let end = record[used - 8..used].to_vec();
            let mut attribute = [0; 48];
            attribute[..8].copy_from_slice(&[0xC0, 0, 0, 0, 48, 0, 0, 0]);
            (attribute[10], attribute[14], attribute[16], attribute[20]) = (24, record[40], 20, 24);
            attribute[24..28].copy_from_slice(&tag.to_le_bytes());
            attribute[28] = 12;
            record[used - 8..used + 40].copy_from_slice(&attribute);
            record[used + 40..used + 48].copy_from_slice(&end);
            record[24..28].copy_from_slice(&(used as u32 + 48).to_le_bytes());
            record[40] += 1;
        });
        let (done, out) = extract("extract-cloud", &volume, &["Wide"]);
        assert!(done.failures.is_empty(), "{:?}", done.failures);
        assert_eq!((done.files > 100, done.skipped.len()), (enters, usize::from(!enters)), "{done:?}");
        fs::remove_dir_all(out).unwrap();
    }
}

/// A compact file whose tag becomes that of deduplication: its contents are a hole.
#[test]
fn contents_that_are_elsewhere_are_an_error_and_no_zeros() {
    let mut volume = compact();
    let file = volume.find("1000000 text");
    volume.edit_attribute(file, 0xC0, "", |attribute| attribute[24] = 0x13);
    let (done, out) = extract("extract-elsewhere", &volume, &["Sizes/1000000 text", "Sizes/1000000 noise"]);
    assert_eq!(done.failures.len(), 1, "{:?}", done.failures);
    assert!(done.failures[0].contains("deduplicated"), "{:?}", done.failures);
    assert!(!out.join("Sizes/1000000 text").exists() && out.join("Sizes/1000000 noise").exists());
    fs::remove_dir_all(out).unwrap();
    // An offline file of a cloud; then one that is there.
    for (bits, hole) in [(0x40_0000, true), (0, false)] {
        let mut volume = compact();
        let name = if hole { "1000000 text" } else { "65536 noise" };
        let file = volume.find(name);
        if hole {
            volume.edit_attribute(file, 0xC0, "", |attribute| attribute[24..28].copy_from_slice(&[0x1A, 0, 0, 0x90]));
        }
        volume.edit_attribute(file, 0x10, "", |attribute| {
            let old = u32_at(attribute, 24 + 32);
            attribute[24 + 32..24 + 36].copy_from_slice(&(old | bits).to_le_bytes());
        });
        let path = judge::scratch("extract-offline.ntfs");
        fs::write(&path, &volume.bytes).unwrap();
        let image = Disk::open(&path).unwrap();
        let files = image.files(1).unwrap();
        let (file, _) = files.resolve(&format!("Sizes/{name}")).unwrap();
        match files.open_stream(file, "").map(|stream| stream.is_some()) {
            Err(error) => {
                assert!(hole && error.kind() == ErrorKind::Unsupported && error.to_string().contains("offline"))
            }
            Ok(found) => assert!(found && !hole),
        }
    }
}

#[test]
fn a_file_of_many_names_is_listed_and_linked() {
    const LINKS: usize = 1000;
    let mut tree = Tree::new();
    tree.add(r"Windows\Boot\EFI\bootmgfw.efi", FileSpec::file(scenes::pe_stand_in()));
    let file = tree.add("first", FileSpec::file("x".into()));
    for link in 1..LINKS {
        tree.link(&format!(r"Links\{link}"), file);
    }
    let volume = built("extract-links", tree);
    let path = judge::scratch("extract-links-list.ntfs");
    fs::write(&path, &volume.bytes).unwrap();
    let (mut rows, image) = (Vec::new(), Disk::open(&path).unwrap());
    let notes = list_files(&image, None, &mut |row| {
        rows.extend((row.links as usize == LINKS).then(|| row.path.clone()));
        Ok(())
    });
    assert!(notes.unwrap().is_empty());
    assert!(rows.len() == LINKS && rows.contains(&r"\first".to_owned()) && rows.contains(&r"\Links\999".to_owned()));
    let (done, out) = extract("extract-links", &volume, &[]);
    assert!(done.failures.is_empty(), "{:?}", done.failures);
    assert_eq!(fs::metadata(out.join("Links/7")).unwrap().nlink() as usize, LINKS);
    fs::remove_dir_all(out).unwrap();
}

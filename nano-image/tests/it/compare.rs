//! A build that is compared with a file, and the digests of outputs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fixtures::{Data, FileSpec, Tree, WimBuilder, outside, scenes};
use nano_image::{ByteSize, Difference, Firmware, Format, Recipe, Sources, Subformat, Target};
use tempfile::TempDir;

const NEEDLE: &[u8] = b"This text is in one place only. ";

fn wim(dir: &TempDir) -> PathBuf {
    let mut tree = Tree::new();
    tree.add(r"Windows\Boot\EFI\bootmgfw.efi", FileSpec::file(scenes::pe_stand_in()));
    for index in 0..20 {
        tree.add(&format!(r"Windows\System32\file{index:02}.dll"), FileSpec::file(Data::noise(index, 50_000)));
    }
    tree.add(r"Windows\System32\needle.txt", FileSpec::file(Data::bytes(NEEDLE.repeat(1000))));
    tree.add(r"Windows\small.txt", FileSpec::file(Data::bytes(b"in its record".to_vec())));
    let path = dir.path().join("small.wim");
    WimBuilder::new().image("Small", tree).write_file(&path).unwrap();
    path
}

/// Where `needle` is first.
fn find(bytes: &[u8], needle: &[u8]) -> usize {
    let mut starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == needle[0]).map(|(at, _)| at);
    starts.find(|&at| bytes[at..].starts_with(needle)).expect("the bytes are in the image")
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn every_difference_is_found_and_named() {
    let dir = TempDir::new().unwrap();
    let recipe = Recipe::image("1").disk_size(ByteSize::mib(124)).esp_size(ByteSize::mib(40)).build().unwrap();
    let plan = recipe.plan(&Sources::wim(wim(&dir)), &()).unwrap();
    let layout = plan.layout(&()).unwrap();
    for (name, format) in
        [("a.raw", Format::RAW), ("a.vhdx", Format::VHDX), ("a.vhd", Format::VHD), ("b.vhd", Format::AZURE)]
    {
        let path = dir.path().join(name);
        layout.write_file(&path, format, &()).unwrap();
        let check = |bytes: &[u8]| -> Option<Difference> {
            layout.compare(&bytes.to_vec(), Path::new(name), format, &()).unwrap()
        };
        let image = fs::read(&path).unwrap();
        assert_eq!(check(&image), None, "{name}");

        let changed = |at: usize| {
            let mut image = image.clone();
            image[at] ^= 0xFF;
            let difference = check(&image).unwrap_or_else(|| panic!("{name}: {at:#x} is not found"));
            assert_eq!(difference.offset, at as u64, "{name}");
            assert_eq!(difference.expected.map(|byte| byte ^ 0xFF), difference.found);
            difference
        };
        let text = find(&image, &NEEDLE.repeat(1000)) + 12_345;
        assert_eq!(changed(text).what, r"Windows volume, `\Windows\System32\needle.txt`", "{name}");
        let disk_offset = changed(text).disk_offset.unwrap();
        // The disk in the file has the byte where it is said to be.
        let raw = fs::read(dir.path().join("a.raw")).unwrap();
        assert_eq!(raw[disk_offset as usize], image[text], "{name}");
        assert_eq!(raw[disk_offset as usize - 12_345..][..NEEDLE.len()], *NEEDLE, "{name}");
        let record = changed(find(&image, b"in its record")).what;
        assert!(record.starts_with("Windows volume, MFT record "), "{record}");
        assert!(record.ends_with(r"`\Windows\small.txt`"), "{record}");
        // The first place of a name is the index of its directory.
        assert_eq!(changed(find(&image, &utf16("file07.dll"))).what, r"Windows volume, `\Windows\System32`", "{name}");
        assert_eq!(changed(find(&image, b"EFI PART")).what, "partition table", "{name}");
        assert_eq!(changed(find(&image, b"MZ")).what, "EFI system partition", "{name}");
        if format != Format::RAW {
            let last = changed(image.len() - 1);
            if format.name() == "vhd" {
                assert_eq!((&*last.what, last.disk_offset), ("a structure of the vhd format", None));
            }
        }

        let shorter = check(&image[..image.len() - 512]).unwrap();
        assert_eq!((shorter.offset, shorter.found), (image.len() as u64 - 512, None), "{name}");
        let longer = check(&[&image[..], &[0]].concat()).unwrap();
        assert_eq!((longer.expected, &*longer.what), (None, "the end of the file"), "{name}");
        assert_eq!(check(b"").unwrap().offset, 0);
    }
}

/// A byte of a compressed block belongs to all bytes of the disk that the block stands for.
#[test]
fn a_difference_in_a_compressed_block_names_the_block() {
    const SECTOR: usize = 512;
    const GRAIN: u64 = 64 << 10;
    let dir = TempDir::new().unwrap();
    let recipe = Recipe::image("1").disk_size(ByteSize::mib(124)).esp_size(ByteSize::mib(40)).build().unwrap();
    let plan = recipe.plan(&Sources::wim(wim(&dir)), &()).unwrap();
    let layout = plan.layout(&()).unwrap();
    let format = Format::named("vmdk").unwrap().with(Some(Subformat::StreamOptimized), None).unwrap();
    let (raw, path) = (dir.path().join("a.raw"), dir.path().join("a.vmdk"));
    layout.write_file(&raw, Format::RAW, &()).unwrap();
    layout.write_file(&path, format, &()).unwrap();
    let image = fs::read(&path).unwrap();
    let difference = |image: &[u8]| layout.compare(&image.to_vec(), &path, format, &()).unwrap();
    assert_eq!(difference(&image), None);
    let changed = |at: usize| {
        let mut image = image.clone();
        image[at] ^= 0xFF;
        let difference = difference(&image).unwrap();
        assert_eq!(difference.offset, at as u64);
        difference
    };
    // A compressed grain follows the number of its first sector on the disk.
    let text = find(&fs::read(&raw).unwrap(), &NEEDLE.repeat(1000)) as u64 + 31_000;
    let grain = text / GRAIN * GRAIN;
    let marker = (grain / SECTOR as u64).to_le_bytes();
    let at = (128..image.len() / SECTOR).map(|sector| sector * SECTOR).find(|at| image[*at..].starts_with(&marker));
    for inside in [0, 12 + 20] {
        let found = changed(at.unwrap() + inside);
        assert_eq!(found.disk_offset, Some(grain), "{}", found.what);
        assert!(found.what.starts_with(r"64 KiB from there, compressed: Windows volume, `"), "{}", found.what);
    }
    for structure in [3 * SECTOR, image.len() - 1] {
        let found = changed(structure);
        assert_eq!((found.disk_offset, &*found.what), (None, "a structure of the vmdk format"));
    }
    let longer = difference(&[&image[..], &[0]].concat()).unwrap();
    assert_eq!((longer.disk_offset, &*longer.what), (None, "the end of the file"));
}

#[test]
fn the_digest_is_that_of_the_file() {
    if !outside::programs("sha256sum") {
        return;
    }
    let dir = TempDir::new().unwrap();
    let recipe = Recipe::image("1")
        .disk_size(ByteSize::mib(124))
        .esp_size(ByteSize::mib(40))
        .firmware(Firmware::Uefi)
        .build()
        .unwrap();
    let plan = recipe.plan(&Sources::wim(wim(&dir)), &()).unwrap();
    let formats = [Format::RAW, Format::VHDX, Format::VHD, Format::AZURE];
    let layout = plan.layout(&()).unwrap();
    let paths: Vec<PathBuf> = (0..formats.len()).map(|index| dir.path().join(index.to_string())).collect();
    let targets = || paths.iter().zip(formats).map(|(path, format)| Target::file(path, format)).collect();
    let plain = layout.write(targets(), &()).unwrap();
    assert!(plain.outputs.iter().all(|output| output.sha256.is_none()));
    let report = layout.digests(true).write(targets(), &()).unwrap();
    let sums = Command::new("sha256sum").args(&paths).output().unwrap();
    let sums = String::from_utf8(sums.stdout).unwrap();
    let sums: Vec<&str> = sums.lines().map(|line| &line[..64]).collect();
    let told: Vec<&str> = report.outputs.iter().map(|output| output.sha256.as_deref().unwrap()).collect();
    assert_eq!(told, sums);
}

//! Disks with logical sectors of 4096 bytes, judged by libvhdi, 7-Zip, fdisk and fsck.fat.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;

use crate::support::disk::{IDENTITY, noise, open, run, text, time};
use nano_image::content::{Extent, ReadAt};
use nano_image::disk::{DiskSize, FileLayout, FileOutput, Format, Parent, gpt, open_path};
use nano_image::types::{ByteSize, DiskOffset};
use nano_image::volume::fat::{self, FatFile, FatOptions};

const SECTOR: u32 = 4096;

fn size() -> DiskSize {
    DiskSize { bytes: ByteSize::mib(400), sector_size: SECTOR }
}

/// A partition table, an EFI system partition with a file, and something at the end of a partition behind it.
fn pieces() -> Vec<(DiskOffset, Vec<u8>)> {
    let partition = |type_guid, name: &str, mib: u64, len| gpt::Partition {
        type_guid,
        guid: IDENTITY.disk.guid(name),
        name: name.into(),
        attributes: 0,
        start: DiskOffset(mib << 20),
        len: ByteSize::mib(len),
    };
    let esp = partition(gpt::EFI_SYSTEM, "EFI system partition", 1, 260);
    let options = FatOptions {
        size: esp.len,
        sector_size: SECTOR,
        serial: 0x1234_5678,
        label: "SYSTEM".into(),
        start: esp.start,
        time: time(),
    };
    let bytes = noise(1, 300_000);
    let file = FatFile { path: r"EFI\Boot\bootx64.efi", bytes: &bytes, attributes: 0x20 };
    let volume = fat::build(&options, &[file]).unwrap();
    let table = gpt::Table {
        disk_guid: IDENTITY.disk.guid("disk"),
        partitions: vec![esp, partition(gpt::BASIC_DATA, "Basic data partition", 261, 138)],
    };
    let mut pieces = gpt::build(&table, size().bytes, SECTOR).unwrap();
    pieces.extend(volume.into_iter().map(|(at, bytes)| (DiskOffset((1 << 20) + at.0), bytes)));
    pieces.push((DiskOffset((399 << 20) - 4096), noise(2, 4096)));
    pieces.sort_by_key(|(at, _)| *at);
    pieces
}

fn used(pieces: &[(DiskOffset, Vec<u8>)]) -> Vec<Extent> {
    pieces.iter().map(|(at, bytes)| Extent { start: at.0, len: bytes.len() as u64 }).collect()
}

fn write(file_layout: &FileLayout, pieces: &[(DiskOffset, Vec<u8>)], path: &std::path::Path) {
    let mut output = FileOutput::create(path).unwrap();
    let mut writer = file_layout.writer(&mut output).unwrap();
    pieces.iter().for_each(|(at, bytes)| writer.write_at(*at, bytes).unwrap());
    writer.finish().unwrap();
}

#[test]
fn strangers_read_disks_with_large_sectors() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let pieces = pieces();
    for (format, name) in [(Format::RAW, "disk.raw"), (Format::VHDX, "disk.vhdx")] {
        let file_layout = FileLayout::new(format, size(), &used(&pieces), &IDENTITY, time()).unwrap();
        write(&file_layout, &pieces, &at(name));
        let reader = open(&at(name));
        assert_eq!((reader.logical_sector_size(), reader.size()), (SECTOR, size().bytes), "{name}");
        assert_eq!(gpt::read(&reader, SECTOR).unwrap().unwrap().partitions.len(), 2);
    }
    let told = run("vhdiinfo", &[text(&at("disk.vhdx"))]);
    assert!(told.contains("Bytes per sector\t: 4096 bytes"), "{told}");
    // Not the partitions in it.
    let compare = "7zz e -so -tvhdx \"$1\" | cmp - \"$2\"";
    let same = |image: &str, raw: &str| {
        let said = Command::new("sh").args(["-c", compare, "sh", text(&at(image)), text(&at(raw))]).output().unwrap();
        let said = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        assert!(said.is_empty(), "{image}: {said}");
    };
    same("disk.vhdx", "disk.raw");

    let told = run("fdisk", &["-b", "4096", "-o", "Start,End,Sectors,Type", "-x", "-l", text(&at("disk.raw"))]);
    let lines: Vec<Vec<&str>> = told.lines().map(|line| line.split_whitespace().collect()).collect();
    let has = |words: &[&str]| lines.iter().any(|line| line.starts_with(words));
    assert!(has(&["256", "66815", "66560", "EFI"]) && has(&["66816", "102143", "35328", "Microsoft"]), "{told}");

    let mut esp = vec![0; 260 << 20];
    ReadAt::read_exact_at(&File::open(at("disk.raw")).unwrap(), &mut esp, 1 << 20).unwrap();
    fs::write(at("esp"), &esp).unwrap();
    let told = run("fsck.fat", &["-n", "-v", text(&at("esp"))]);
    assert!(told.contains("4096 bytes per logical sector") && told.contains("FATs, 32 bit entries"), "{told}");
    run("mcopy", &["-i", text(&at("esp")), "::EFI/Boot/bootx64.efi", text(&at("copy"))]);
    assert!(fs::read(at("copy")).unwrap() == noise(1, 300_000));

    // Of a differencing disk a bit of the sector bitmaps stands for a page.
    let changed = vec![(DiskOffset(4096), noise(3, 4096)), (DiskOffset(300 << 20), noise(4, 3 * 4096))];
    let parent = Parent { path: "disk.vhdx", format: "vhdx", identity: &IDENTITY, time: time() };
    let format = Format::VHDX.differencing(None).unwrap();
    let file_layout =
        FileLayout::over_parent(Some(&parent), format, size(), &used(&changed), &IDENTITY, time()).unwrap();
    write(&file_layout, &changed, &at("child.vhdx"));
    fs::copy(at("disk.raw"), at("child.raw")).unwrap();
    let raw = File::options().write(true).open(at("child.raw")).unwrap();
    changed.iter().for_each(|(offset, bytes)| raw.write_all_at(bytes, offset.0).unwrap());
    same("child.vhdx", "child.raw");
    let reader = open_path(at("child.vhdx")).unwrap();
    let (mut ours, mut expected) = (vec![0; 8 << 20], vec![0; 8 << 20]);
    for start in [0, 297 << 20] {
        reader.read_exact_at(&mut ours, start).unwrap();
        ReadAt::read_exact_at(&File::open(at("child.raw")).unwrap(), &mut expected, start).unwrap();
        assert!(ours == expected, "at {start:#x}");
    }
}

#[test]
fn formats_without_large_sectors_refuse_them_by_name() {
    for format in Format::all() {
        let is_large = [Format::RAW, Format::VHDX].contains(&format);
        let laid_out = FileLayout::new(format, size(), &[], &IDENTITY, time());
        match laid_out {
            Ok(_) => assert!(is_large, "{format:?}"),
            Err(error) => {
                let names = error.message().contains(format.title()) && error.message().contains("4096");
                assert!(!is_large && names && error.hint().unwrap().contains("VHDX or raw"), "{error}");
            }
        }
        assert!(format.check(ByteSize::mib(400), ByteSize::new(2048)).is_err());
    }
}

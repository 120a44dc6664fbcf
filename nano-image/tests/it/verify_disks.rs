//! `verify` vouches only for what it has read: disks with nothing on them, volumes that it does not read, and what
//! starts a machine.

use std::fs;
use std::path::PathBuf;

use crate::judge;
use crate::judge::run;
use crate::support::ntfs_volume::*;
use crate::verify::{ESP, Fault, NTFS, assert_clean, build, look, ours, plant, text};
use fixtures::{Data, FileSpec, Image, WimBuilder, scenes};
use nano_image::{Firmware, Format, Recipe, Sources};

const LAST: usize = (256 << 20) - 512;

#[test]
fn what_hides_a_volume_or_a_table_is_found() {
    const FAULTS: &[Fault<Vec<u8>>] = &[
        ("both tables wiped", "mbr-partition", |b| {
            b[512..34 * 512].fill(0);
            b[LAST - 32 * 512..].fill(0);
        }),
        ("boot sector of NTFS wiped", "volume", |b| b[NTFS..NTFS + 512].fill(0)),
        ("name of NTFS", "volume", |b| b[NTFS + 3..NTFS + 7].copy_from_slice(b"NTFX")),
        ("boot sector of FAT wiped", "volume", |b| b[ESP..ESP + 512].fill(0)),
        ("place of the backup entries", "gpt-header", |b| {
            b[LAST + 72..LAST + 80].copy_from_slice(&2u64.to_le_bytes());
            b[LAST + 16..LAST + 20].fill(0);
            let sum = crc32(&b[LAST..LAST + 92]).to_le_bytes();
            b[LAST + 16..LAST + 20].copy_from_slice(&sum);
        }),
    ];
    plant(FAULTS, &fs::read(ours()).unwrap(), "verify-hidden.raw", |b| b);
}

/// CRC-32 (ISO-HDLC).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn written(name: &str, bytes: &[u8]) -> PathBuf {
    let path = judge::scratch(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_disk_with_nothing_that_is_known_is_a_finding() {
    let noise = Data::noise(3, 1 << 20).to_vec();
    for (name, bytes) in
        [("verify-text.raw", vec![b'x'; 1 << 20]), ("verify-zeros.raw", vec![0; 1 << 20]), ("verify-noise.raw", noise)]
    {
        let found = look(&written(name, &bytes));
        assert_eq!(found.counts.keys().collect::<Vec<_>>(), [&"image"], "{name}: {found}");
    }
}

#[test]
fn volumes_that_are_not_read_are_named_as_such() {
    let path = judge::scratch("verify-fat16.raw");
    let _ = fs::remove_file(&path);
    run("mkfs.fat", &["-F", "16", "-C", text(&path), "32768"]);
    let found = look(&path);
    assert_eq!(found.not_checked[0], "partition 1 (FAT16)");
    assert!(found.counts.contains_key("not-checked"), "{found}");
    assert!(!found.checked.iter().any(|checked| checked.contains("FAT16")), "{found}");
    // Beside something that is read, they are no finding.
    let disk = judge::scratch("verify-fat16-disk.raw");
    fs::File::create(&disk).unwrap().set_len(64 << 20).unwrap();
    run("sgdisk", &["-n", "1:2048:+32M", "-t", "1:0700", "-n", "2:0:0", "-t", "2:8300", text(&disk)]);
    let mut bytes = fs::read(&disk).unwrap();
    bytes[1 << 20..(1 << 20) + (32 << 20)].copy_from_slice(&fs::read(&path).unwrap());
    fs::write(&disk, &bytes).unwrap();
    let found = look(&disk);
    assert!(found.is_clean(), "{found}");
    assert_eq!(found.not_checked[..2], ["partition 1 (FAT16)", "partition 2 (Linux data)"], "{found}");
    for (name, signature, at) in [("exFAT", "EXFAT   ", 3), ("BitLocker", "-FVE-FS-", 3), ("FAT12", "FAT12   ", 54)] {
        let sector = &mut bytes[1 << 20..(1 << 20) + 512];
        sector[..90].fill(0);
        sector[at..at + 8].copy_from_slice(signature.as_bytes());
        fs::write(&disk, &bytes).unwrap();
        assert_eq!(look(&disk).not_checked[0], format!("partition 1 ({name})"));
    }
}

#[test]
fn a_name_that_promises_a_container_is_kept() {
    let vhd = build("verify-footer.vhd", Recipe::image("1").firmware(Firmware::Bios), Format::AZURE);
    let bytes = fs::read(vhd).unwrap();
    let found = look(&written("verify-no-footer.vhd", &bytes[..bytes.len() - 512]));
    assert_eq!(found.counts.keys().collect::<Vec<_>>(), [&"vhd-footer"], "{found}");
    assert_clean(&written("verify-no-footer.raw", &bytes[..bytes.len() - 512]));
}

#[test]
fn free_entries_are_a_note_and_numbers_are_those_of_other_tools() {
    let path = judge::scratch("verify-gap.raw");
    fs::copy(ours(), &path).unwrap();
    run("sgdisk", &["-r", "2:5", text(&path)]);
    run("sgdisk", &["--transpose=1:7", text(&path)]);
    let found = look(&path);
    assert!(found.is_clean(), "{found}");
    assert!(found.notes[0].contains("(1, 2)") && found.notes[0].contains("Windows (3)"), "{found}");
    let numbers: Vec<u32> =
        nano_image::inspect::open(&path).unwrap().partition_table.partitions.iter().map(|part| part.number).collect();
    assert_eq!(numbers, [3, 5, 7]);
    let image = nano_image::inspect::Image::open(&path).unwrap();
    assert!(image.files(7).unwrap().find(r"EFI\Boot\bootx64.efi").unwrap().is_some());
    assert!(image.files(1).is_err());
}

/// What `mtools` does to the EFI system partition, and what must be found.
#[test]
fn missing_boot_files_are_found() {
    let path = judge::scratch("verify-boot.raw");
    let volume = format!("{}@@1M", text(&path));
    let zeros = written("verify-zeros.efi", &[0; 100]);
    for (file, replaced, code) in [
        ("::/EFI/Microsoft/Boot/BCD", false, "boot-store"),
        ("::/EFI/Boot/bootx64.efi", false, "boot-program"),
        ("::/EFI/Boot/bootx64.efi", true, "boot-program"),
        ("::/EFI/Microsoft/Boot/bootmgfw.efi", false, "boot-program"),
    ] {
        fs::copy(ours(), &path).unwrap();
        run("mdel", &["-i", &volume, file]);
        if replaced {
            run("mcopy", &["-i", &volume, text(&zeros), file]);
        }
        let found = look(&path);
        assert_eq!(found.counts.keys().collect::<Vec<_>>(), [&code], "{file}: {found}");
    }
}

#[test]
fn a_bios_disk_that_does_not_start_is_found() {
    const VOLUME: usize = 1 << 20;
    const FAULTS: &[Fault<Vec<u8>>] = &[
        ("another active flag", "mbr-partition", |b| b[446] = 1),
        ("no active partition", "boot-firmware", |b| b[446] = 0),
        ("boot code of the disk", "boot-code", |b| b[..100].fill(0x5A)),
        ("all boot code of the disk", "boot-code", |b| b[..440].fill(0)),
        ("boot code of the volume", "boot-code", |b| b[VOLUME + 0x60] ^= 1),
        ("further boot code of the volume", "boot-code", |b| b[VOLUME + 600..VOLUME + 700].fill(0x5A)),
    ];
    let disk = build("verify-bios.raw", Recipe::image("1").firmware(Firmware::Bios), Format::RAW);
    plant(FAULTS, &fs::read(disk).unwrap(), "verify-bios-planted.raw", |b| b);
}

/// Offset of an entry in a leaf of the directory with many files, and of its copy of the file's facts.
const THIRD: usize = 2;

fn in_entry(v: &mut Volume, at: usize) {
    let (wide, leaf) = (v.find("Wide"), v.leaf(v.find("Wide"), "$I30"));
    v.edit_block(wide, "$I30", leaf, |b| b[entries(b)[THIRD] + 16 + at] ^= 1);
}

/// The first file that has an attribute.
fn with(v: &Volume, kind: u32) -> usize {
    let has = |number: &usize| {
        let at = v.record_place(*number);
        v.bytes[at..].starts_with(b"FILE")
            && v.bytes[at + 0x16] & 1 == 1
            && v.attribute(&v.record(*number), kind, "").is_some()
    };
    (27..v.records).find(has).expect("a file has one")
}

#[test]
fn facts_that_are_kept_twice_are_compared() {
    const FAULTS: &[Fault<Volume>] = &[
        ("sequence of the parent", "ntfs-parent", |v| {
            v.edit_attribute(v.find("65536 noise"), FILE_NAME, "", |a| a[24 + 6] ^= 1);
        }),
        ("attributes in an entry", "ntfs-duplicate", |v| in_entry(v, 0x38)),
        ("allocated size in an entry", "ntfs-duplicate", |v| in_entry(v, 0x29)),
        ("tag in an entry", "ntfs-duplicate", |v| in_entry(v, 0x3C)),
        ("creation in an entry", "ntfs-duplicate", |v| in_entry(v, 0x08)),
        ("modification in an entry", "ntfs-duplicate", |v| in_entry(v, 0x10)),
        ("flag of a record", "ntfs-record", |v| v.edit(v.find("65536 noise"), |r| r[0x16] |= 0x40)),
        ("flag of a view", "ntfs-record", |v| v.edit(v.find("65536 noise"), |r| r[0x16] |= 8)),
        ("flag of $Extend", "ntfs-record", |v| v.edit(v.find("65536 noise"), |r| r[0x16] |= 4)),
        ("flag of an attribute", "ntfs-attribute", |v| {
            v.edit_attribute(v.find("65536 noise"), FILE_NAME, "", |a| a[13] = 0x80);
        }),
        ("time", "ntfs-time", |v| v.edit_attribute(v.find("65536 noise"), 0x10, "", |a| a[24 + 7] = 0xFF)),
        ("flags of an entry", "ntfs-index", |v| {
            let (wide, leaf) = (v.find("Wide"), v.leaf(v.find("Wide"), "$I30"));
            v.edit_block(wide, "$I30", leaf, |b| b[entries(b)[THIRD] + 12] |= 4);
        }),
    ];
    const OURS: &[Fault<Volume>] = &[
        ("packed size of extended attributes", "ntfs-ea", |v| {
            v.edit_attribute(with(v, 0xD0), 0xD0, "", |a| a[24] ^= 1)
        }),
        ("name of an extended attribute", "ntfs-ea", |v| v.edit_attribute(with(v, 0xE0), 0xE0, "", |a| a[24 + 5] ^= 1)),
        ("birth of an object id", "ntfs-object-id", |v| v.edit_attribute(with(v, 0x40), 0x40, "", |a| a[24 + 20] ^= 1)),
        ("length of the label", "ntfs-volume", |v| v.edit_attribute(3, 0x60, "", |a| a[16] ^= 1)),
    ];
    let bytes = fs::read(ours()).unwrap();
    let volume = Volume::new(bytes[NTFS..bytes.len() - (1 << 20)].to_vec());
    plant(&[FAULTS, OURS].concat(), &volume, "verify-twice-ours.ntfs", |v| &v.bytes);
    let foreign = Volume::new(fs::read(crate::verify::foreign()).unwrap());
    plant(FAULTS, &foreign, "verify-twice-foreign.ntfs", |v| &v.bytes);
}

/// What NTFS makes for itself below `$Extend` may have no descriptor.
#[test]
fn system_files_need_no_descriptor() {
    let bytes = fs::read(ours()).unwrap();
    let mut volume = Volume::new(bytes[NTFS..bytes.len() - (1 << 20)].to_vec());
    volume.edit_attribute(volume.find("$Reparse"), 0x10, "", |a| a[24 + 0x34..24 + 0x38].fill(0));
    assert_clean(&written("verify-no-descriptor.ntfs", &volume.bytes));
    volume.edit_attribute(volume.find("65536 noise"), 0x10, "", |a| a[24 + 0x34..24 + 0x38].fill(0));
    let found = look(&written("verify-no-descriptor.ntfs", &volume.bytes));
    assert_eq!(found.counts.keys().collect::<Vec<_>>(), [&"ntfs-security"], "{found}");
}

/// Windows opens but one of two names that differ in case only; and an image of such files cannot start.
#[test]
fn names_that_differ_in_case_only_are_found() {
    let wim = judge::scratch("verify-case.wim");
    let mut tree = fixtures::Tree::new();
    tree.add(r"Windows\Boot\EFI\bootmgfw.efi", FileSpec::file(scenes::pe_stand_in()));
    for name in ["été", "ÉTÉ", "eTE", "ETÉ"] {
        tree.add(&format!(r"Names\{name}"), FileSpec::file(name.into()));
    }
    WimBuilder::new().push(Image::new("Case", tree)).write_file(&wim).unwrap();
    let plan = Recipe::image("1").build().unwrap().plan(&Sources::wim(&wim), &()).unwrap();
    let path = judge::scratch("verify-case.vhdx");
    plan.layout(&()).unwrap().write_file(&path, Format::VHDX, &()).unwrap();
    let found = look(&path);
    let counts: Vec<_> = found.counts.iter().map(|(code, count)| (*code, *count)).collect();
    assert_eq!(counts, [("boot-hive", 1), ("boot-loader", 1), ("ntfs-case", 1)], "{found}");
    // The plan says the same of what starts.
    let codes: Vec<&str> = plan.boot_chain().kept().iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["boot-loader", "boot-hive"]);
    let error = plan.check_bootable().unwrap_err();
    assert_eq!(error.kind(), nano_image::ErrorKind::Unsatisfied);
    assert!(error.to_string().contains("cannot start") && error.hint().unwrap().contains("--allow-unbootable"));
}

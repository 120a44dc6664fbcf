//! `verify` finds what is planted, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::judge;
use crate::judge::run;
use crate::support::ntfs_volume::*;
use fixtures::{Data, FileSpec, Image, Rng, Tree, WimBuilder, manifest, scenes};
use nano_image::inspect::verify::{Manifest, Verification, VerifyOptions, verify};
use nano_image::registry::{Hive, HiveOptions, Value};
use nano_image::types::FileTime;
use nano_image::{ByteSize, Compact, ErrorKind, Firmware, Format, Observer, Phase, Recipe, RecipeBuilder, Sources};

struct Quiet;

impl Observer for Quiet {
    fn begin(&self, _phase: Phase, _total: Option<ByteSize>) {}
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub fn look(path: &Path) -> Verification {
    verify(path, &VerifyOptions::default()).unwrap()
}

pub fn assert_clean(path: &Path) {
    let found = look(path);
    assert!(found.is_clean(), "{found}");
}

fn tree() -> Tree {
    let mut tree = scenes::rich(300_000).images()[0].tree.clone();
    for name in ["Case", "CASE", "été", "tWIN"] {
        tree.unlink(&format!(r"Names\{name}"));
    }
    tree
}

/// A WIM with everything that a volume can hold, but names that differ in case only, and with what starts.
pub fn wim() -> &'static Path {
    static WIM: LazyLock<PathBuf> = LazyLock::new(|| {
        let mut tree = tree();
        let mut hive = Hive::new(FileTime(1), &HiveOptions::default().root_name("ROOT")).unwrap();
        let key = hive.create_key(hive.root(), r"Select\One\Two").unwrap();
        hive.set_value(key, "Current", Value::dword(1)).unwrap();
        for (path, bytes) in [
            (r"Windows\System32\config\SOFTWARE", hive.into_bytes()),
            (r"Windows\System32\config\SYSTEM", scenes::system_hive()),
            (r"Windows\Boot\PCAT\bootmgr", b"stand-in".to_vec()),
            (r"Windows\System32\winload.efi", b"stand-in".to_vec()),
            (r"Windows\System32\winload.exe", b"stand-in".to_vec()),
            (r"Windows\System32\drivers\driver0.sys", b"stand-in".to_vec()),
            (r"Windows\System32\drivers\wof.sys", b"stand-in".to_vec()),
        ] {
            tree.add(path, FileSpec::file(Data::bytes(bytes)));
        }
        let path = judge::scratch("verify.wim");
        WimBuilder::new().push(Image::new("Rich", tree).edition("ServerDatacenterNano")).write_file(&path).unwrap();
        path
    });
    &WIM
}

/// A volume that ntfs-3g and wimlib made, with the files of the WIM, in a file of its own.
pub fn foreign() -> &'static Path {
    static VOLUME: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = judge::scratch("verify-foreign.ntfs");
        mkntfs(&path, 96, "4096");
        run("wimlib-imagex", &["apply", text(wim()), "1", text(&path)]);
        path
    });
    &VOLUME
}

pub fn mkntfs(path: &Path, mib: u64, cluster: &str) {
    fs::File::create(path).unwrap().set_len(mib << 20).unwrap();
    run("mkntfs", &["-F", "-Q", "-q", "-s", "512", "-p", "2048", "-H", "255", "-S", "63", "-c", cluster, text(path)]);
}

pub fn build(name: &str, recipe: RecipeBuilder, format: Format) -> PathBuf {
    let recipe = recipe.disk_size(ByteSize::mib(256)).esp_size(ByteSize::mib(36));
    let plan = recipe.build().unwrap().plan(&Sources::wim(wim()).scratch(env!("CARGO_TARGET_TMPDIR")), &Quiet).unwrap();
    let path = judge::scratch(name);
    plan.layout(&Quiet).unwrap().write_file(&path, format, &Quiet).unwrap();
    path
}

/// A raw UEFI disk of ours: the EFI system partition at 1 MiB, NTFS at 53 MiB.
pub fn ours() -> &'static Path {
    static DISK: LazyLock<PathBuf> =
        LazyLock::new(|| build("verify-ours.raw", Recipe::image("1").firmware(Firmware::Uefi), Format::RAW));
    &DISK
}
pub const ESP: usize = 1 << 20;
pub const NTFS: usize = 53 << 20;

/// Our volume with files that WOF compresses.
pub fn compact() -> Volume {
    static DISK: LazyLock<PathBuf> = LazyLock::new(|| {
        let recipe = Recipe::image("1").firmware(Firmware::Uefi).compact(Compact::Lzx);
        build("verify-compact.raw", recipe, Format::RAW)
    });
    assert_clean(&DISK);
    let bytes = fs::read(&*DISK).unwrap();
    Volume::new(bytes[NTFS..bytes.len() - (1 << 20)].to_vec())
}

#[test]
fn nothing_is_found_on_sound_images() {
    for (mib, cluster) in [(8, "512"), (16, "1024"), (32, "4096"), (300, "65536")] {
        let path = judge::scratch(&format!("verify-empty-{cluster}.ntfs"));
        mkntfs(&path, mib, cluster);
        let source = judge::scratch("verify-source");
        for number in 0..40 {
            fs::write(&source, Data::noise(number, number * 700).to_vec()).unwrap();
            run("ntfscp", &["-q", text(&path), text(&source), &format!("a file with the number {number}")]);
        }
        assert_clean(&path);
    }
    assert_clean(foreign());
    assert_clean(ours());
    for (format, name) in Format::all().map(|format| (format, format.name())).chain([(Format::AZURE, "azure")]) {
        let name = format!("verify-{name}.{}", format.extension());
        assert_clean(&build(&name, Recipe::image("1").firmware(Firmware::Bios), format));
    }
    for kib in [8, 64] {
        let recipe = Recipe::image("1").firmware(Firmware::Uefi).cluster_size(ByteSize::kib(kib));
        assert_clean(&build(&format!("verify-{kib}k.vhdx"), recipe, Format::VHDX));
    }
}

#[test]
fn nothing_is_found_on_disks_of_other_tools() {
    let raw = ours();
    for (options, name) in [
        ("subformat=dynamic", "verify-qemu.vhdx"),
        ("force_size=on", "verify-qemu.vhd"),
        ("cluster_size=64k", "verify-qemu.qcow2"),
        ("cluster_size=512,lazy_refcounts=on", "verify-qemu-small.qcow2"),
    ] {
        let path = judge::scratch(name);
        let format = Format::named(name.rsplit('.').next().unwrap()).unwrap().qemu_name();
        run("qemu-img", &["convert", "-f", "raw", "-O", format, "-o", options, text(raw), text(&path)]);
        assert_clean(&path);
    }
    // Without that option QEMU rounds the size up, and the backup table is no longer at the end.
    let path = judge::scratch("verify-qemu-round.vhd");
    run("qemu-img", &["convert", "-f", "raw", "-O", "vpc", text(raw), text(&path)]);
    let found = look(&path);
    assert_eq!(found.counts.iter().collect::<Vec<_>>(), [(&"gpt-backup", &1)], "{found}");
    let disk = judge::scratch("verify-other.raw");
    fs::File::create(&disk).unwrap().set_len(200 << 20).unwrap();
    run("sgdisk", &["-n", "1:2048:+100M", "-t", "1:EF00", "-n", "2:0:0", text(&disk)]);
    let esp = judge::scratch("verify-other.fat");
    let _ = fs::remove_file(&esp);
    run("mkfs.fat", &["-F", "32", "-s", "1", "-C", text(&esp), "102400"]);
    run("mmd", &["-i", text(&esp), "::/EFI", "::/EFI/A directory with a long name"]);
    for number in 0..3 {
        let name = format!("::/EFI/A directory with a long name/file {number}");
        run("mcopy", &["-i", text(&esp), text(wim()), &name]);
    }
    run("mdel", &["-i", text(&esp), "::/EFI/A directory with a long name/file 1"]);
    let mut bytes = fs::read(&disk).unwrap();
    bytes[ESP..ESP + (100 << 20)].copy_from_slice(&fs::read(&esp).unwrap());
    fs::write(&disk, bytes).unwrap();
    assert_clean(&disk);
}

/// A fault, the kind of finding that it must cause, and how it is made.
pub type Fault<T> = (&'static str, &'static str, fn(&mut T));

/// Plants each fault, looks for its kind, and takes it back.
pub fn plant<T: Clone>(faults: &[Fault<T>], sound: &T, name: &str, bytes: fn(&T) -> &[u8]) {
    const PIECE: usize = 4096;
    let path = judge::scratch(name);
    fs::write(&path, bytes(sound)).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    let put = |places: &[usize], from: &[u8]| {
        for &at in places {
            file.write_all_at(&from[at..from.len().min(at + PIECE)], at as u64).unwrap();
        }
    };
    let mut missed = Vec::new();
    for (fault, code, make) in faults {
        let mut damaged = sound.clone();
        make(&mut damaged);
        let pieces = (0..).step_by(PIECE).zip(bytes(&damaged).chunks(PIECE).zip(bytes(sound).chunks(PIECE)));
        let changed: Vec<usize> = pieces.filter(|(_, (new, old))| new != old).map(|(at, _)| at).collect();
        assert!(!changed.is_empty(), "{fault} changes nothing");
        put(&changed, bytes(&damaged));
        let found = look(&path);
        assert!(!found.to_string().is_empty());
        if !found.counts.contains_key(code) {
            missed.push(format!("{fault}: no {code}, but {:?}", found.counts));
        }
        put(&changed, bytes(sound));
    }
    assert_clean(&path);
    fs::remove_file(&path).unwrap();
    assert!(missed.is_empty(), "{} of {} missed:\n{}", missed.len(), faults.len(), missed.join("\n"));
}

/// Our own faults, other than those of other people's fault generators.
const NTFS_FAULTS: &[Fault<Volume>] = &[
    ("media byte", "ntfs-boot", |v| v.bytes[0x15] = 0xF0),
    ("a larger volume", "ntfs-boot", |v| v.bytes[0x2A] += 16),
    ("record of another magic", "ntfs-record", |v| {
        let at = v.record_place(v.find("65536 noise"));
        v.bytes[at..at + 4].copy_from_slice(b"BAAD");
    }),
    ("number of a record", "ntfs-record", |v| v.edit(v.find("65536 noise"), |r| r[0x2C] ^= 1)),
    ("used size", "ntfs-record", |v| v.edit(v.find("65536 noise"), |r| r[0x18] += 8)),
    ("sequence number", "ntfs-index-dangling", |v| v.edit(v.find("65536 noise"), |r| r[0x10] += 1)),
    ("next number of an attribute", "ntfs-attribute", |v| v.edit(v.find("65536 noise"), |r| r[0x28] = 0)),
    ("attributes of one number", "ntfs-attribute", |v| {
        v.edit_attribute(v.find("65536 noise"), DATA, "", |a| a[14] = 0);
        v.edit_attribute(v.find("65536 noise"), FILE_NAME, "", |a| a[14] = 0);
    }),
    ("length of a value", "ntfs-attribute", |v| v.edit_attribute(v.find("65536 noise"), FILE_NAME, "", |a| a[17] = 9)),
    ("mapping pairs", "ntfs-attribute", |v| {
        v.edit_attribute(v.find("65536 noise"), DATA, "", |a| a[u16_at(a, 32) as usize] = 0x99);
    }),
    ("last VCN", "ntfs-attribute", |v| v.edit_attribute(v.find("65536 noise"), DATA, "", |a| a[24] += 1)),
    ("initialised size", "ntfs-size", |v| v.edit_attribute(v.find("65536 noise"), DATA, "", |a| a[58] = 9)),
    ("flag of a directory", "ntfs-directory", |v| v.edit(v.find("Wide"), |r| r[0x16] &= !2)),
    ("parent of a file", "ntfs-index-dangling", |v| {
        let other = v.find("Links") as u16;
        v.edit_attribute(v.find("65536 noise"), FILE_NAME, "", |a| a[24..26].copy_from_slice(&other.to_le_bytes()));
    }),
    ("character of a name", "ntfs-file-name", |v| {
        v.edit_attribute(v.find("65536 noise"), FILE_NAME, "", |a| {
            (a[24 + 65], a[24 + 66]) = (1, b'*');
        });
    }),
    ("namespace", "ntfs-file-name", |v| v.edit_attribute(v.find("65536 noise"), FILE_NAME, "", |a| a[24 + 65] = 9)),
    ("mark of a name as indexed", "ntfs-file-name", |v| {
        v.edit_attribute(v.find("65536 noise"), FILE_NAME, "", |a| a[22] = 0);
    }),
    ("bit of a reparse point", "ntfs-reparse", |v| {
        v.edit_attribute(v.find("Documents and Settings"), 0x10, "", |a| a[24 + 0x21] &= !4);
    }),
    ("length of reparse data", "ntfs-reparse", |v| {
        v.edit_attribute(v.find("Documents and Settings"), 0xC0, "", |a| a[24 + 4] ^= 2);
    }),
    ("free record that is marked", "ntfs-mft-bitmap", |v| {
        let at = v.stream_place(0, BITMAP, "", 2);
        v.bytes[at] |= 1;
    }),
    ("bit behind the last cluster", "ntfs-bitmap", |v| {
        let clusters = v.clusters();
        assert!(clusters % 8 != 0);
        let at = v.stream_place(6, DATA, "", clusters / 8);
        v.bytes[at] &= !0x80;
    }),
    ("magic of an index block", "ntfs-index", |v| {
        let at = v.stream_place(v.find("Wide"), INDEX_ALLOCATION, "$I30", 3 * 4096);
        v.bytes[at] = b'X';
    }),
    ("length of an index entry", "ntfs-index", |v| {
        let (wide, leaf) = (v.find("Wide"), v.leaf(v.find("Wide"), "$I30"));
        v.edit_block(wide, "$I30", leaf, |b| b[entries(b)[2] + 8] += 4);
    }),
    ("two entries with one sub-node", "ntfs-index", |v| {
        let wide = v.find("Wide");
        let inner = (0..1000).find(|block| {
            let at = v.stream_place(wide, INDEX_ALLOCATION, "$I30", block * 4096);
            v.bytes[at + 36] & 1 == 1
        });
        v.edit_block(wide, "$I30", inner.unwrap(), |b| {
            let (first, second) = (entries(b)[0], entries(b)[1]);
            let end = |at: usize| at + u16_at(b, at + 8) as usize;
            let (first, second) = (end(first), end(second));
            b.copy_within(first - 8..first, second - 8);
        });
    }),
    ("block that is in no tree", "ntfs-index-bitmap", |v| {
        let at = v.stream_place(v.find("Wide"), BITMAP, "$I30", 0);
        let byte = (at..).find(|&at| v.bytes[at] != 0xFF).unwrap();
        v.bytes[byte] |= 0x80;
    }),
    ("file that is a directory in its entry", "ntfs-duplicate", |v| {
        let (wide, leaf) = (v.find("Wide"), v.leaf(v.find("Wide"), "$I30"));
        v.edit_block(wide, "$I30", leaf, |b| b[entries(b)[2] + 16 + 0x3B] ^= 0x10);
    }),
    ("order of an index", "ntfs-index", |v| v.edit_attribute(v.find("Wide"), INDEX_ROOT, "$I30", |a| a[32 + 4] = 2)),
    ("length of a descriptor", "ntfs-secure", |v| {
        let at = v.stream_place(9, DATA, "$SDS", 16);
        v.bytes[at] += 4;
    }),
    ("descriptor in the middle", "ntfs-secure", |v| {
        let at = v.stream_place(9, DATA, "$SDS", 0x1000 + 60);
        v.bytes[at] ^= 1;
    }),
    ("version of the volume", "ntfs-volume", |v| v.edit_attribute(3, 0x70, "", |a| a[24 + 8] = 9)),
    ("upper case of ÿ", "ntfs-upcase", |v| {
        let at = v.stream_place(10, DATA, "", 2 * 0xFF);
        v.bytes[at] = 0xFF;
    }),
    ("largest size of an attribute", "ntfs-attrdef", |v| {
        let at = v.stream_place(4, DATA, "", 2 * 160 + 0x98);
        v.bytes[at] += 2;
    }),
    ("data in the middle of an unused log", "ntfs-log", |v| {
        let at = v.stream_place(2, DATA, "", 0x1_2340);
        v.bytes[at] = 7;
    }),
    ("size of the bad clusters", "ntfs-size", |v| v.edit_attribute(8, DATA, "$Bad", |a| a[41] ^= 0x10)),
    ("record that extends another", "ntfs-attribute-list", |v| {
        let extension = (0..v.records).find(|&number| {
            let at = v.record_place(number);
            v.bytes[at..].starts_with(b"FILE") && v.bytes[at + 0x20] != 0 && v.bytes[at + 0x16] & 1 == 1
        });
        v.edit(extension.unwrap(), |r| r[0x20] ^= 1);
    }),
    ("object id", "ntfs-object-id", |v| {
        // The first file in the folder.
        let file = (27..v.records).find(|&number| {
            v.bytes[v.record_place(number)..].starts_with(b"FILE") && v.attribute(&v.record(number), 0x40, "").is_some()
        });
        v.edit_attribute(file.unwrap(), 0x40, "", |a| a[24] ^= 1);
    }),
    ("flags of the root", "ntfs-directory", |v| v.edit(5, |r| r[0x16] &= !2)),
    ("system file that is not in use", "ntfs-record", |v| v.edit(10, |r| r[0x16] = 0)),
    ("cluster of the mirror", "ntfs-mft-mirror", |v| v.bytes[56] ^= 1),
];

#[test]
fn planted_faults_of_foreign_volumes_are_found() {
    plant(NTFS_FAULTS, &Volume::new(fs::read(foreign()).unwrap()), "verify-planted-foreign.ntfs", |v| &v.bytes);
}

#[test]
fn planted_faults_of_our_volumes_are_found() {
    let bytes = fs::read(ours()).unwrap();
    let volume = Volume::new(bytes[NTFS..bytes.len() - (1 << 20)].to_vec());
    plant(NTFS_FAULTS, &volume, "verify-planted-ours.ntfs", |v| &v.bytes);
}

#[test]
fn planted_faults_of_compact_files_are_found() {
    const FAULTS: &[Fault<Volume>] = &[
        ("table of chunks", "ntfs-wof", |v| {
            let at = v.stream_place(v.find("1000000 text"), DATA, "WofCompressedData", 4);
            v.bytes[at..at + 4].copy_from_slice(&[0; 4]);
        }),
        ("algorithm", "ntfs-wof", |v| v.edit_attribute(v.find("1000000 text"), 0xC0, "", |a| a[24 + 20] = 7)),
        ("initialised size", "ntfs-wof", |v| v.edit_attribute(v.find("1000000 text"), DATA, "", |a| a[58] = 0)),
        ("tag in the index", "ntfs-reparse-index", |v| {
            let reparse = v.find("$Reparse");
            let leaf = v.leaf(reparse, "$R");
            v.edit_block(reparse, "$R", leaf, |b| b[entries(b)[3] + 16 + 4] ^= 1);
        }),
    ];
    plant(FAULTS, &compact(), "verify-planted-compact.ntfs", |v| &v.bytes);
}

#[test]
fn planted_faults_of_disks_are_found() {
    const LAST: usize = (256 << 20) - 512;
    const FAT: usize = ESP + 32 * 512;
    const FAULTS: &[Fault<Vec<u8>>] = &[
        ("protective MBR", "gpt-mbr", |b| b[450] = 7),
        ("header", "gpt-checksum", |b| b[512 + 56] ^= 1),
        ("entries", "gpt-checksum", |b| b[1024 + 60] ^= 1),
        ("backup header", "gpt-checksum", |b| b[LAST + 56] ^= 1),
        ("backup entries", "gpt-checksum", |b| b[LAST - 32 * 512 + 60] ^= 1),
        ("no backup header", "gpt-header", |b| b[LAST..LAST + 8].fill(0)),
        ("backup of the FAT boot sector", "fat-boot-backup", |b| b[ESP + 6 * 512 + 100] ^= 1),
        ("second FAT", "fat-fat", |b| {
            let len = u32_at(b, ESP + 36) as usize * 512;
            b[FAT + len + 40] ^= 1;
        }),
        ("number of free clusters", "fat-fsinfo", |b| b[ESP + 512 + 488] ^= 1),
        ("cluster that nobody has", "fat-lost", |b| {
            let len = u32_at(b, ESP + 36) as usize * 512;
            for fat in [FAT, FAT + len] {
                b[fat + 4 * 60_000..][..4].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0x0F]);
            }
        }),
        ("chain that ends early", "fat-size", |b| {
            let len = u32_at(b, ESP + 36) as usize * 512;
            // The last cluster whose entry leads to the next one.
            let next = |cluster: &usize| u32_at(b, FAT + 4 * cluster) as usize == cluster + 1;
            let cluster = (2..60_000).rev().find(next).unwrap();
            for fat in [FAT, FAT + len] {
                b[fat + 4 * (cluster - 1)..][..4].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0x0F]);
            }
        }),
        ("parent of a directory", "fat-directory", |b| {
            let at = (ESP..NTFS).step_by(512).find(|&at| b[at..].starts_with(b".          ")).unwrap();
            b[at + 26] ^= 1;
        }),
        ("part of a long name", "fat-long-name", |b| {
            let is_long = |at: &usize| b[at + 11] == 0x0F && b[*at] & 0x40 != 0 && b[at + 32 + 8] != 0;
            let at = (ESP + (1 << 20) / 2..NTFS).step_by(32).find(is_long).unwrap();
            b[at + 13] ^= 1;
        }),
        ("hive", "hive", |b| {
            let at = (NTFS..b.len()).step_by(512).find(|&at| b[at..].starts_with(b"regf")).unwrap();
            b[at + 4096 + 32 + 4] ^= 0x40;
        }),
    ];
    plant(FAULTS, &fs::read(ours()).unwrap(), "verify-planted.raw", |b| b);
    let disk = judge::scratch("verify-other-guid.raw");
    fs::copy(ours(), &disk).unwrap();
    run("sgdisk", &["-u", "3:R", text(&disk)]);
    let found = look(&disk);
    assert_eq!(found.counts.keys().collect::<Vec<_>>(), [&"boot-entry"], "{found}");
}

#[test]
fn planted_faults_of_containers_are_found() {
    const VHDX: &[Fault<Vec<u8>>] = &[
        ("first header", "vhdx-header", |b| b[0x1_0010] ^= 1),
        ("second header", "vhdx-header", |b| b[0x2_0010] ^= 1),
        ("first region table", "vhdx-region-table", |b| b[0x3_0020] ^= 1),
        ("second region table", "vhdx-region-table", |b| b[0x4_0020] ^= 1),
        ("two blocks in one place", "vhdx-overlap", |b| {
            let bat = 3 << 20;
            let first = (bat..).step_by(8).find(|&at| b[at] == 6).unwrap();
            let second = (first + 8..).step_by(8).find(|&at| b[at] == 6).unwrap();
            b.copy_within(first..first + 8, second);
        }),
    ];
    let recipe = || Recipe::image("1").firmware(Firmware::Bios);
    let vhdx = fs::read(build("verify-sound.vhdx", recipe(), Format::VHDX)).unwrap();
    plant(VHDX, &vhdx, "verify-planted.vhdx", |b| b);
    const VHD: &[Fault<Vec<u8>>] = &[
        ("footer", "vhd-footer", |b| {
            let end = b.len();
            b[end - 400] ^= 1;
        }),
        ("copy of the footer", "vhd-footer", |b| b[100] ^= 1),
        ("header", "vhd-header", |b| b[512 + 600] ^= 1),
        ("two blocks in one place", "vhd-overlap", |b| {
            let used = |at: &usize| b[*at..at + 4] != [0xFF; 4];
            let table = 1536;
            let first = (table..).step_by(4).find(used).unwrap();
            let second = (first + 4..).step_by(4).find(used).unwrap();
            b.copy_within(first..first + 4, second);
        }),
    ];
    let vhd = fs::read(build("verify-sound.vhd", recipe(), Format::VHD)).unwrap();
    plant(VHD, &vhd, "verify-planted.vhd", |b| b);
    const QCOW2: &[Fault<Vec<u8>>] = &[
        ("dirty bit", "qcow2-dirty", |b| b[79] |= 1),
        ("refcount", "qcow2-refcount", |b| {
            let block = number(b, number(b, 48));
            b[block + 2 * 5 + 1] = 2;
        }),
        ("two clusters in one place", "qcow2-overlap", |b| {
            let table = number(b, number(b, 40)) & !(1 << 63);
            let used = |at: &usize| number(b, *at) != 0;
            let first = (table..).step_by(8).find(used).unwrap();
            let second = (first + 8..).step_by(8).find(used).unwrap();
            b.copy_within(first..first + 8, second);
        }),
    ];
    let qcow2 = fs::read(build("verify-sound.qcow2", recipe(), Format::named("qcow2").unwrap())).unwrap();
    plant(QCOW2, &qcow2, "verify-planted.qcow2", |b| b);
    const VMDK: &[Fault<Vec<u8>>] = &[
        ("not closed", "vmdk-unclean", |b| b[72] = 1),
        ("copy of a grain table", "vmdk-table", |b| {
            let table = sector(b, sector(b, 48));
            b[table + 4] ^= 1;
        }),
    ];
    let vmdk = fs::read(build("verify-sound.vmdk", recipe(), Format::named("vmdk").unwrap())).unwrap();
    plant(VMDK, &vmdk, "verify-planted.vmdk", |b| b);
    // A raw image has no structures of its own.
    let planted = ["vhdx", "vhd", "qcow2", "vmdk", "raw"];
    assert!(Format::all().all(|format| planted.contains(&format.name())), "a format without planted faults");
}

/// The byte that a sector number of a VMDK leads to.
fn sector(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize * 512
}

/// A number of qcow2.
fn number(bytes: &[u8], at: usize) -> usize {
    u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

#[test]
fn files_are_compared_with_a_manifest() {
    let lines: Vec<String> = manifest::lines(&tree()).iter().map(ToString::to_string).collect();
    assert!(lines.len() > 3000);
    let check = |path: &Path, text: &str| {
        let mut options = VerifyOptions::default();
        options.manifest = Some(Manifest::parse(text).unwrap());
        verify(path, &options).unwrap()
    };
    let all = lines.join("\n");
    for path in [foreign(), ours()] {
        let found = check(path, &all);
        assert!(found.is_clean(), "{found}");
    }
    // A byte of a file, which no structure shows.
    let mut volume = Volume::new(fs::read(foreign()).unwrap());
    let at = volume.stream_place(volume.find("65536 noise"), DATA, "", 40_000);
    volume.bytes[at] ^= 1;
    let damaged = judge::scratch("verify-flipped.ntfs");
    fs::write(&damaged, &volume.bytes).unwrap();
    assert_clean(&damaged);
    let found = check(&damaged, &all);
    let paths: BTreeSet<_> = found.findings.iter().map(|finding| finding.path.as_deref()).collect();
    assert_eq!(paths, BTreeSet::from([Some("/Sizes/65536 noise")]), "{found}");
    assert!(found.findings[0].message.contains("SHA-1"), "{found}");
    // What is missing, and what has another size.
    let sha = &lines[0][..40];
    let found = check(&damaged, &format!("{sha} 1 /Sizes/absent\n{sha} 17 /Sizes/1\n{sha} 1 /Sizes/1:stream"));
    let messages: Vec<&str> = found.findings.iter().map(|finding| finding.message.as_str()).collect();
    assert!(messages[0].contains("missing") && found.counts["manifest"] == 3, "{found}");
}

#[test]
fn what_is_no_image_is_an_error() {
    let error = verify(judge::scratch("verify-absent"), &VerifyOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = verify(wim(), &VerifyOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// Random damage gives findings at most, and the same ones again.
#[test]
fn random_damage_never_ends_the_check() {
    let sound = fs::read(foreign()).unwrap();
    let volume = Volume::new(sound.clone());
    let mut places: Vec<usize> = (0..512).collect();
    for number in (0..volume.records).filter(|&number| number < 60 || number % 40 == 0) {
        places.extend((0..420).map(|byte| volume.record_place(number) + byte));
    }
    let wide = volume.find("Wide");
    places.extend((0..8 * 4096).map(|byte| volume.stream_place(wide, INDEX_ALLOCATION, "$I30", byte)));
    places.extend((0..4096).map(|byte| volume.stream_place(9, DATA, "$SDS", byte)));
    let path = judge::scratch("verify-random.ntfs");
    let mut random = Rng::new(11);
    let mut found_in = 0;
    fs::write(&path, &sound).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    for round in 0..400 {
        let mut undo = Vec::new();
        for _ in 0..=random.below(3) {
            let at = places[random.below(places.len() as u64) as usize];
            let new = [0, 0xFF, sound[at] ^ 1 << random.below(8), random.below(256) as u8][random.below(4) as usize];
            file.write_all_at(&[new], at as u64).unwrap();
            undo.push(at);
        }
        let found = look(&path);
        found_in += u64::from(!found.is_clean());
        if round % 50 == 0 {
            assert_eq!(found, look(&path));
        }
        for at in undo {
            file.write_all_at(&[sound[at]], at as u64).unwrap();
        }
    }
    // Much of a record is times, and room that is not used.
    assert!(found_in > 100, "{found_in}");
}

/// The faults of the project's own judge of NTFS volumes, where its files are at hand.
#[test]
fn faults_that_others_plant_are_found() {
    let Some(folder) = fixtures::outside::shared("check/ntfs") else { return };
    let (good, bad) = (judge::scratch("verify-good.ntfs"), judge::scratch("verify-bad"));
    let python = |script: &str, arguments: &[&str]| {
        let output = Command::new("python3").arg(folder.join(script)).args(arguments).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    };
    python("mkgood.py", &[text(&good)]);
    assert_clean(&good);
    let _ = fs::remove_dir_all(&bad);
    python("corrupt.py", &[text(&good), text(&bad)]);
    let (mut total, mut missed) = (0, Vec::new());
    for entry in fs::read_dir(&bad).unwrap() {
        let path = entry.unwrap().path();
        total += 1;
        if look(&path).is_clean() {
            missed.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    fs::remove_dir_all(&bad).unwrap();
    // One byte of a file's contents is for a manifest to find.
    assert_eq!((total, missed), (37, vec!["data-flip".to_owned()]));
}

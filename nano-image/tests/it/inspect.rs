//! Inspection of images: ours, others', and damaged ones.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::judge;
use fixtures::{FileSpec, Rng, Tree, WimBuilder, scenes};
use nano_image::inspect::{self, BootDeviceKind, Inspection, Scheme, Volume};
use nano_image::progress::{Observer, Phase};
use nano_image::registry::{Hive, HiveOptions, Value};
use nano_image::types::{ByteSize, DiskOffset, FileTime, Guid};
use nano_image::windows::boot::bcd::{BcdObject, BcdStore, element, object_type, well_known};
use nano_image::windows::boot::{BootDevice, Firmware as StoreFirmware};
use nano_image::{BcdDevice, ErrorKind, Firmware, Format, Recipe, RecipeBuilder, Report, Sources, Subformat};

struct Quiet;

impl Observer for Quiet {
    fn begin(&self, _phase: Phase, _total: Option<ByteSize>) {}
}

const TIME: FileTime = FileTime(131_131_008_000_000_000);

fn hive(root: &str, values: &[(&str, &str, Value)]) -> Vec<u8> {
    let mut hive = Hive::new(TIME, &HiveOptions::default().root_name(root)).unwrap();
    for (path, name, value) in values {
        let key = hive.create_key(hive.root(), path).unwrap();
        hive.set_value(key, *name, value.clone()).unwrap();
    }
    hive.into_bytes()
}

fn software() -> Vec<u8> {
    let key = r"Microsoft\Windows NT\CurrentVersion";
    hive(
        "ROOT",
        &[
            (key, "ProductName", Value::sz("Windows Server 2016 Datacenter")),
            (key, "EditionID", Value::sz("ServerDatacenterNano")),
            (key, "InstallationType", Value::sz("Nano Server")),
            (key, "CurrentVersion", Value::sz("6.3")),
            (key, "CurrentBuildNumber", Value::sz("14393")),
            (key, "CurrentMajorVersionNumber", Value::dword(10)),
            (key, "CurrentMinorVersionNumber", Value::dword(0)),
            (key, "UBR", Value::dword(2248)),
        ],
    )
}

fn system() -> Vec<u8> {
    let key = r"ControlSet001\Control\ComputerName\ComputerName";
    hive("ROOT", &[("Select", "Current", Value::dword(1)), (key, "ComputerName", Value::sz("web-01"))])
}

/// A tiny image with hives.
fn wim(name: &str) -> PathBuf {
    let mut tree: Tree = scenes::tiny().images()[0].tree.clone();
    for (name, bytes) in [("SOFTWARE", software()), ("SYSTEM", system())] {
        let data = fixtures::Data::bytes(bytes);
        tree.add(&format!(r"Windows\System32\config\{name}"), FileSpec::file(data));
    }
    tree.add(r"Windows\Boot\PCAT\bootmgr", FileSpec::file("stand-in".into()));
    let path = judge::scratch(name);
    WimBuilder::new().image("Tiny", tree).write_file(&path).unwrap();
    path
}

fn build(name: &str, recipe: RecipeBuilder, format: Format) -> (PathBuf, Report) {
    let wim = wim(&format!("{name}.wim"));
    let plan = recipe.build().unwrap().plan(&Sources::wim(wim), &Quiet).unwrap();
    let path = judge::scratch(name);
    let report = plan.layout(&Quiet).unwrap().write_file(&path, format, &Quiet).unwrap();
    (path, report)
}

fn small(firmware: Firmware) -> RecipeBuilder {
    Recipe::image("1").disk_size(ByteSize::mib(256)).esp_size(ByteSize::mib(36)).firmware(firmware)
}

/// What every image of [`wim`] must show.
fn check(found: &Inspection, report: &Report, firmware: Firmware) {
    assert_eq!(found.notes, Vec::<String>::new());
    assert_eq!(found.container.virtual_size, report.disk_size);
    assert_eq!(found.container.file_size, report.outputs[0].file_size);
    assert_eq!(found.partition_table.disk_id.as_ref(), Some(&report.disk_id));
    let partitions = &found.partition_table.partitions;
    assert_eq!(partitions.len(), report.partitions.len());
    for (partition, reported) in partitions.iter().zip(&report.partitions) {
        assert_eq!((partition.start, partition.size), (reported.start, reported.size));
        assert_eq!((&partition.guid, &partition.partition_type), (&reported.guid, &reported.partition_type));
        assert!(partition.type_name.is_some());
        let name = if firmware == Firmware::Uefi { &*reported.name } else { "" };
        assert_eq!(partition.name, name);
    }
    let windows = partitions.last().unwrap();
    let Some(Volume::Ntfs(volume)) = &windows.volume else { panic!("{:?}", windows.volume) };
    assert_eq!((&*volume.version, &*volume.label, volume.dirty), ("3.1", "Windows", false));
    assert_eq!((volume.cluster_size, volume.size), (report.cluster_size, report.volume_size));
    assert_eq!(volume.used_clusters * volume.cluster_size, report.volume_used);
    assert_eq!((volume.used_clusters + volume.free_clusters) * volume.cluster_size, volume.size);
    assert!((30..60).contains(&volume.mft_records_in_use), "{}", volume.mft_records_in_use);

    let [store] = &found.boot.stores[..] else { panic!("{:?}", found.boot) };
    let (system, path, removable, name) = match firmware {
        Firmware::Uefi => (1, r"\EFI\Microsoft\Boot\BCD", Some(1), "uefi"),
        _ => (windows.number, r"\Boot\BCD", None, "bios"),
    };
    assert_eq!((store.partition, &*store.path, &*store.firmware), (system, path, name));
    assert_eq!(found.boot.removable_path, removable);
    let [manager, loader] = &store.entries[..] else { panic!("{store:?}") };
    assert!(manager.boot_manager && !loader.boot_manager);
    assert_eq!(store.default.as_ref(), Some(&loader.id));
    assert_eq!(loader.description.as_deref(), Some("Windows Server 2016 Datacenter"));
    assert_eq!(loader.system_root.as_deref(), Some(r"\Windows"));

    let [installation] = &found.windows[..] else { panic!("{:?}", found.windows) };
    assert_eq!(installation.partition, windows.number);
    assert_eq!(installation.product.as_deref(), Some("Windows Server 2016 Datacenter"));
    assert_eq!(installation.edition.as_deref(), Some("ServerDatacenterNano"));
    assert_eq!(installation.installation_type.as_deref(), Some("Nano Server"));
    assert_eq!(installation.version.as_deref(), Some("10.0.14393.2248"));
    assert_eq!(installation.computer_name.as_deref(), Some("web-01"));
}

#[test]
fn an_image_is_what_its_build_reported() {
    let fixed = Format::VHDX.with(Some(Subformat::Fixed), Some(ByteSize::mib(2))).unwrap();
    for (name, format, subformat, block_size) in [
        ("inspect.vhdx", Format::VHDX, Some("dynamic"), Some(1 << 20)),
        ("inspect-fixed.vhdx", fixed, Some("fixed"), Some(2 << 20)),
        ("inspect.vhd", Format::VHD, Some("dynamic"), Some(2 << 20)),
        ("inspect-azure.vhd", Format::AZURE, Some("fixed"), None),
        ("inspect.raw", Format::RAW, None, None),
    ] {
        for firmware in [Firmware::Uefi, Firmware::Bios] {
            let (path, report) = build(name, small(firmware), format);
            let found = inspect::open(&path).unwrap();
            check(&found, &report, firmware);
            let container = &found.container;
            assert_eq!(container.format, format.name());
            assert_eq!((container.subformat.as_deref(), container.block_size), (subformat, block_size));
            let loader = &found.boot.stores[0].entries[1];
            let windows = found.partition_table.partitions.last().unwrap().number;
            for device in [&loader.device, &loader.os_device] {
                assert_eq!(device.as_ref().unwrap().partition, Some(windows), "{device:?}");
            }
            let scheme = if firmware == Firmware::Uefi { Scheme::Gpt } else { Scheme::Mbr };
            assert_eq!(found.partition_table.scheme, scheme);
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn text_and_json_say_it_all() {
    let (path, report) = build("inspect-text.vhdx", small(Firmware::Uefi).bcd_device(BcdDevice::Locate), Format::VHDX);
    let found = inspect::open(&path).unwrap();
    check(&found, &report, Firmware::Uefi);
    let device = found.boot.stores[0].entries[1].os_device.as_ref().unwrap();
    assert_eq!((device.kind, device.partition), (BootDeviceKind::Locate, None));
    let text = found.to_string();
    for part in [
        "VHDX, dynamic, blocks of 1 MiB",
        "256 MiB (268435456 bytes)",
        &report.disk_id,
        "Microsoft reserved",
        "FAT32",
        "NTFS 3.1",
        "clean",
        r"EFI\Boot\bootx64.efi on partition 1",
        r"locate \Windows",
        "10.0.14393.2248",
        "web-01",
    ] {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
    let json: serde_json::Value = serde_json::to_value(&found).unwrap();
    assert_eq!(json["container"]["virtual-size"], 268_435_456);
    assert_eq!(json["partition-table"]["scheme"], "gpt");
    assert_eq!(json["partition-table"]["partitions"][0]["volume"]["file-system"], "fat32");
    assert_eq!(json["partition-table"]["partitions"][2]["volume"]["cluster-size"], 4096);
    assert_eq!(json["boot"]["stores"][0]["entries"][1]["os-device"]["kind"], "locate");
    assert_eq!(json["windows"][0]["computer-name"], "web-01");
}

const DISK: &str = "0f0e0d0c-0b0a-0908-0706-050403020100";
const ESP: &str = "11111111-2222-3333-4444-555555555555";
const WINDOWS: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";

/// A store whose boot manager is on the ESP and whose loaders are at `devices`.
fn store(firmware: StoreFirmware, system: BootDevice, devices: &[BootDevice]) -> Vec<u8> {
    let mut store = BcdStore::default();
    let mut manager = BcdObject::new(object_type::BOOT_MANAGER);
    let ids: Vec<Guid> = (1..).map(|id| Guid::from_bytes([id; 16])).take(devices.len()).collect();
    manager.set_string(element::DESCRIPTION, "Windows Boot Manager");
    manager.set_device(element::DEVICE, system);
    manager.set_integer(element::TIMEOUT, 5);
    manager.set_objects(element::DISPLAY_ORDER, &ids.iter().rev().copied().collect::<Vec<_>>());
    store.objects.insert(well_known::BOOTMGR, manager);
    for (id, device) in ids.into_iter().zip(devices) {
        let mut loader = BcdObject::new(object_type::OS_LOADER);
        loader.set_string(element::PATH, r"\Windows\system32\winload.efi");
        loader.set_device(element::DEVICE, *device);
        loader.set_device(element::OS_DEVICE, *device);
        store.objects.insert(id, loader);
    }
    store.to_bytes(firmware, TIME).unwrap()
}

fn put(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

fn empty(name: &str, size: u64) -> PathBuf {
    let path = judge::scratch(name);
    let _ = fs::remove_file(&path);
    File::create(&path).unwrap().set_len(size).unwrap();
    path
}

/// A volume with the files of [`wim`], made by mkntfs and wimlib.
fn foreign_ntfs(name: &str, mib: u64, bcd: Option<&[u8]>) -> PathBuf {
    let volume = empty(name, mib << 20);
    let path = volume.to_str().unwrap();
    judge::run("mkntfs", &["-F", "-Q", "-q", "-L", "Fremd", "-c", "8192", path]);
    let (wim, file) = (wim(&format!("{name}.wim")), judge::scratch(&format!("{name}.bcd")));
    if let Some(bcd) = bcd {
        let image = WimBuilder::new().image("BCD", {
            let mut tree = Tree::new();
            tree.add(r"Boot\BCD", FileSpec::file(fixtures::Data::bytes(bcd)));
            tree
        });
        image.write_file(&file).unwrap();
        judge::run("wimlib-imagex", &["apply", file.to_str().unwrap(), "1", path]);
    }
    judge::run("wimlib-imagex", &["apply", wim.to_str().unwrap(), "1", path]);
    judge::run("ntfscp", &["-q", path, wim.to_str().unwrap(), "copy.wim"]);
    volume
}

#[test]
fn a_gpt_disk_of_other_tools() {
    let guid = |text: &str| text.parse::<Guid>().unwrap();
    let windows = BootDevice::Gpt { disk: guid(DISK), partition: guid(WINDOWS) };
    let elsewhere = BootDevice::Gpt { disk: guid(ESP), partition: guid(WINDOWS) };
    let gone = BootDevice::Gpt { disk: guid(DISK), partition: guid(DISK) };
    let bcd = store(StoreFirmware::Uefi, BootDevice::Boot, &[windows, elsewhere, gone]);

    let disk = empty("inspect-foreign.raw", 200 << 20);
    let path = disk.to_str().unwrap();
    let (esp_guid, windows_guid) = (format!("1:{ESP}"), format!("3:{WINDOWS}"));
    #[rustfmt::skip]
    judge::run("sgdisk", &["-U", DISK,
        "-n", "1:2048:+40M", "-t", "1:EF00", "-c", "1:Système EFI", "-u", &esp_guid,
        "-n", "2:0:+16M", "-t", "2:0C01", "-c", "2:reserved",
        "-n", "3:0:+128M", "-t", "3:0700", "-c", "3:Windows", "-u", &windows_guid, path]);
    let esp = empty("inspect-foreign.esp", 40 << 20);
    let esp_path = esp.to_str().unwrap();
    judge::run("mkfs.fat", &["-F", "32", "-s", "1", "-n", "FOREIGN", "-i", "1234abcd", esp_path]);
    let (bcd_file, efi_file) = (judge::scratch("inspect-foreign.bcd"), judge::scratch("inspect-foreign.efi"));
    fs::write(&bcd_file, bcd).unwrap();
    fs::write(&efi_file, [0x90; 100_000]).unwrap();
    let directories = ["::/EFI", "::/EFI/BOOT", "::/EFI/Microsoft", "::/EFI/Microsoft/Boot"];
    judge::run("mmd", &[&["-i", esp_path], &directories[..]].concat());
    judge::run("mcopy", &["-i", esp_path, bcd_file.to_str().unwrap(), "::/EFI/Microsoft/Boot/BCD"]);
    judge::run("mcopy", &["-i", esp_path, efi_file.to_str().unwrap(), "::/EFI/BOOT/BOOTX64.EFI"]);
    let ntfs = foreign_ntfs("inspect-foreign.ntfs", 128, None);
    put(&disk, 1 << 20, &fs::read(&esp).unwrap());
    put(&disk, 57 << 20, &fs::read(&ntfs).unwrap());

    let (vhdx, vhd) = (disk.with_extension("vhdx"), disk.with_extension("vhd"));
    judge::run("qemu-img", &["convert", "-O", "vhdx", path, vhdx.to_str().unwrap()]);
    let options = "subformat=dynamic,force_size=on";
    judge::run("qemu-img", &["convert", "-O", "vpc", "-o", options, path, vhd.to_str().unwrap()]);
    for (image, format) in [(&disk, "raw"), (&vhdx, "vhdx"), (&vhd, "vhd")] {
        let found = inspect::open(image).unwrap();
        assert_eq!(found.notes, Vec::<String>::new());
        assert_eq!((&*found.container.format, found.container.virtual_size), (format, 200 << 20));
        let table = &found.partition_table;
        assert_eq!((table.scheme, table.disk_id.as_deref()), (Scheme::Gpt, Some(DISK)));
        let [esp, reserved, windows] = &table.partitions[..] else { panic!("{table:?}") };
        assert_eq!((&*esp.name, esp.guid.as_deref(), esp.start), ("Système EFI", Some(ESP), 1 << 20));
        assert_eq!((esp.type_name.as_deref(), esp.size), (Some("EFI system"), 40 << 20));
        assert_eq!((reserved.type_name.as_deref(), &reserved.volume), (Some("Microsoft reserved"), &None));
        assert_eq!((windows.number, windows.guid.as_deref(), windows.size), (3, Some(WINDOWS), 128 << 20));
        let Some(Volume::Fat32(fat)) = &esp.volume else { panic!("{esp:?}") };
        assert_eq!((&*fat.label, &*fat.serial, fat.files, fat.directories), ("FOREIGN", "1234-ABCD", 2, 4));
        let Some(Volume::Ntfs(ntfs)) = &windows.volume else { panic!("{windows:?}") };
        assert_eq!((&*ntfs.label, ntfs.cluster_size, ntfs.size), ("Fremd", 8192, (128 << 20) - 8192));

        assert_eq!(found.boot.removable_path, Some(1));
        let [store] = &found.boot.stores[..] else { panic!("{:?}", found.boot) };
        assert_eq!((store.partition, store.timeout, store.entries.len()), (1, Some(5), 4));
        // The loaders in the order of the menu.
        let devices: Vec<_> = store.entries.iter().map(|entry| entry.device.as_ref().unwrap()).collect();
        let partitions: Vec<_> = devices.iter().map(|device| device.partition).collect();
        assert_eq!(partitions, [None, None, None, Some(3)]);
        assert_eq!((devices[0].kind, &*devices[3].text), (BootDeviceKind::Boot, "partition 3"));
        assert!(devices[1].text.contains("does not have"), "{}", devices[1].text);
        assert!(devices[2].text.contains("which is not this one"), "{}", devices[2].text);
        assert_eq!(store.default.as_ref(), Some(&store.entries[1].id));
        assert_eq!(found.windows.len(), 1);
        assert_eq!(found.windows[0].computer_name.as_deref(), Some("web-01"));
    }
}

#[test]
fn an_mbr_disk_of_other_tools_and_a_disk_without_partitions() {
    let disk = empty("inspect-mbr.raw", 100 << 20);
    let path = disk.to_str().unwrap();
    judge::run("sgdisk", &["-n", "1:2048:+80M", "-t", "1:0700", "-m", "1", path]);
    // sgdisk marks no partition active.
    put(&disk, 446, &[0x80]);
    let mbr = fs::read(&disk).unwrap();
    let signature = u32::from_le_bytes(mbr[440..444].try_into().unwrap());
    let device = BootDevice::Mbr { signature, offset: DiskOffset(1 << 20) };
    let bcd = store(StoreFirmware::Bios, device, &[device]);
    let ntfs = foreign_ntfs("inspect-mbr.ntfs", 80, Some(&bcd));
    put(&disk, 1 << 20, &fs::read(&ntfs).unwrap());
    let found = inspect::open(&disk).unwrap();
    assert_eq!(found.notes, Vec::<String>::new());
    let table = &found.partition_table;
    assert_eq!((table.scheme, table.disk_id.as_deref()), (Scheme::Mbr, Some(&*format!("{signature:08x}"))));
    let [partition] = &table.partitions[..] else { panic!("{table:?}") };
    assert_eq!((&*partition.partition_type, partition.active, partition.size), ("07", true, 80 << 20));
    let [store] = &found.boot.stores[..] else { panic!("{:?}", found.boot) };
    assert_eq!((&*store.path, store.partition), (r"\Boot\BCD", 1));
    assert_eq!(store.entries[1].os_device.as_ref().unwrap().partition, Some(1));

    let found = inspect::open(&ntfs).unwrap();
    assert_eq!((found.partition_table.scheme, found.partition_table.partitions.len()), (Scheme::None, 1));
    assert!(matches!(&found.partition_table.partitions[0].volume, Some(Volume::Ntfs(_))));
    assert_eq!(found.windows.len(), 1);
}

#[test]
fn of_partitions_that_overlap_one_is_read() {
    let disk = empty("inspect-overlap.raw", 100 << 20);
    judge::run("sgdisk", &["-n", "1:2048:+80M", "-t", "1:0700", "-m", "1", disk.to_str().unwrap()]);
    let ntfs = foreign_ntfs("inspect-overlap.ntfs", 80, None);
    put(&disk, 1 << 20, &fs::read(&ntfs).unwrap());
    let mut entry = [0; 16];
    entry.copy_from_slice(&fs::read(&disk).unwrap()[446..462]);
    put(&disk, 462, &entry);
    let found = inspect::open(&disk).unwrap();
    let [first, second] = &found.partition_table.partitions[..] else { panic!("{found}") };
    assert!(first.volume.is_some() && second.volume.is_none());
    assert!(matches!(&found.notes[..], [note] if note.contains("overlaps partition 1")), "{:?}", found.notes);
    assert_eq!(found.windows.len(), 1);
}

#[test]
fn what_is_no_image_is_an_error_and_damage_is_a_note() {
    assert_eq!(inspect::open(judge::scratch("inspect-absent")).unwrap_err().kind(), ErrorKind::NotFound);
    let error = inspect::open(wim("inspect-no-disk.wim")).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("WIM file"), "{error}");
    let found = inspect::open(empty("inspect-empty.raw", 1 << 20)).unwrap();
    assert!(matches!(&found.notes[..], [note] if note.contains("neither")), "{:?}", found.notes);
    let (path, _) = build("inspect-damage.raw", small(Firmware::Uefi), Format::RAW);
    // The boot sector of the NTFS volume: sectors of 0 bytes.
    put(&path, (53 << 20) + 11, &[0, 0]);
    let found = inspect::open(&path).unwrap();
    assert!(matches!(&found.notes[..], [note] if note.contains("partition 3") && note.contains("cluster size")));
    assert_eq!(found.partition_table.partitions[2].volume, None);
    assert!(found.boot.stores.len() == 1 && found.to_string().contains("cluster size"));
    // Both partition tables.
    put(&path, 512 + 16, &[0xFF; 4]);
    put(&path, (256 << 20) - 512 + 16, &[0xFF; 4]);
    let error = inspect::open(&path).unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(&*path)));
}

/// Changes bytes at random places of `areas`, looks, and puts the bytes back.
fn mutate(image: &Path, areas: &[(u64, u64)], rounds: u64, seed: u64) -> (u64, u64) {
    use std::os::unix::fs::FileExt;
    let mut random = Rng::new(seed);
    let file = File::options().read(true).write(true).open(image).unwrap();
    let (mut refused, mut noted) = (0, 0);
    for _ in 0..rounds {
        let mut undo = Vec::new();
        for _ in 0..=random.below(3) {
            let (start, len) = areas[random.below(areas.len() as u64) as usize];
            let (at, mut old) = (start + random.below(len), [0; 1]);
            file.read_exact_at(&mut old, at).unwrap();
            undo.push((at, old));
            let new = match random.below(4) {
                0 => 0,
                1 => 0xFF,
                2 => old[0] ^ 1 << random.below(8),
                _ => random.below(256) as u8,
            };
            file.write_all_at(&[new], at).unwrap();
        }
        match inspect::open(image) {
            Ok(found) => {
                noted += u64::from(!found.notes.is_empty());
                assert!(!found.to_string().is_empty());
                serde_json::to_string(&found).unwrap();
            }
            Err(error) => {
                refused += 1;
                assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported), "{error}");
            }
        }
        for (at, old) in undo.into_iter().rev() {
            file.write_all_at(&old, at).unwrap();
        }
    }
    (refused, noted)
}

/// Places of the blocks of 512 bytes that begin with `magic`.
fn blocks(image: &[u8], magic: &[u8], len: u64) -> Vec<(u64, u64)> {
    let places = (0..).step_by(512).zip(image.chunks(512));
    places.filter(|(_, block)| block.starts_with(magic)).map(|(at, _)| (at, len)).collect()
}

#[test]
fn damaged_images_end_in_errors_or_notes() {
    let (raw, _) = build("inspect-mutated.raw", small(Firmware::Uefi), Format::RAW);
    let bytes = fs::read(&raw).unwrap();
    let ntfs = 53 << 20;
    let tables = [(0, 34 * 512), ((256 << 20) - 34 * 512, 34 * 512)];
    let fat = [(1 << 20, 64), ((1 << 20) + 32 * 512, 128)];
    let mut meta = vec![(ntfs, 0x50)];
    meta.extend(blocks(&bytes, b"FILE", 0x200));
    meta.extend(blocks(&bytes, b"INDX", 0x400));
    assert!(meta.len() > 20);
    let mut directories = blocks(&bytes, b".          ", 0x200);
    directories.extend(fat);
    assert!(directories.len() > 3);
    let hives = blocks(&bytes, b"regf", 0x2000);
    assert_eq!(hives.len(), 3);
    for (areas, rounds, seed) in [(&tables[..], 300, 1), (&directories, 1000, 2), (&meta, 2000, 3), (&hives, 1000, 4)] {
        let (refused, noted) = mutate(&raw, areas, rounds, seed);
        assert!(refused + noted > rounds / 20, "{seed}: {refused} refused, {noted} noted: the places are wrong");
    }
    assert_eq!(fs::read(&raw).unwrap(), bytes);
    for (name, format) in [("inspect-mutated.vhdx", Format::VHDX), ("inspect-mutated.vhd", Format::VHD)] {
        let (path, _) = build(name, small(Firmware::Bios), format);
        let areas = if format == Format::VHD {
            // Footer, header, block allocation table.
            vec![(0, 512), (512, 1024), (0x600, 0x200)]
        } else {
            // Header, region table, and the two regions that it names; in one the metadata items lie behind 64 KiB.
            let bytes = fs::read(&path).unwrap();
            let region = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
            let regions = [0x3_0020, 0x3_0040].map(region);
            let regions = regions.iter().flat_map(|start| [(*start, 0x100), (*start + 0x1_0000, 0x40)]);
            [(0x1_0000, 0x60), (0x3_0000, 0x60)].into_iter().chain(regions).collect()
        };
        let (refused, noted) = mutate(&path, &areas, 500, 5);
        assert!(refused + noted > 25, "{name}: {refused} refused, {noted} noted");
    }
}

//! Drivers in images, read back by tools that know nothing of this library: ntfscat takes files out of the volume,
//! hivexget and hivexregedit read the hives.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::judge;
use crate::judge::{run, scratch};
use fixtures::outside::shared;
use fixtures::{Data, FileSpec, Image, Tree, WimBuilder, security};
use nano_image::MachineConfig;
use nano_image::content::InputFiles;
use nano_image::registry::{Hive, HiveOptions, Value};
use nano_image::report::DriverReport;
use nano_image::source::wim::Wim;
use nano_image::tree::Times;
use nano_image::types::{Architecture, ByteSize, FileTime, Lba};
use nano_image::volume::ntfs::{NtfsLayout, NtfsOptions};
use nano_image::windows::configure::FileCopy;
use nano_image::windows::driver::{self, DriverOptions};
use nano_image::windows::edit::ImageEdit;

pub const TIME: FileTime = FileTime(131_138_784_120_000_000);

/// For Windows Server 2016.
pub fn options(boot_critical: bool) -> DriverOptions {
    DriverOptions { architecture: Architecture::Amd64, version: Some((10, 0, 14393)), is_client: false, boot_critical }
}

/// A WIM of an image with hives.
pub fn wim(path: &Path) {
    let mut system = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
    let root = system.root();
    system.create_key(root, r"ControlSet001\Services").unwrap();
    system.create_key(root, r"ControlSet001\Control").unwrap();
    let key = system.create_key(root, "Select").unwrap();
    system.set_value(key, "Current", Value::dword(1)).unwrap();
    let other = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
    let mut tree = Tree::new();
    *tree.spec_mut(Tree::ROOT) = FileSpec::directory().security(&security::directory());
    for (name, hive) in [("SYSTEM", system), ("SOFTWARE", other.clone()), ("DRIVERS", other)] {
        let spec = FileSpec::file(Data::bytes(hive.into_bytes())).security(&security::windows_file());
        tree.add(&format!(r"Windows\System32\config\{name}"), spec);
    }
    for name in ["disk.sys", "storport.sys"] {
        let spec = FileSpec::file(Data::noise(7, 50_000)).security(&security::windows_file());
        tree.add(&format!(r"Windows\System32\drivers\{name}"), spec);
    }
    WimBuilder::new().push(Image::new("Nano", tree)).write_file(path).unwrap();
}

/// A Windows volume with drivers, in a file of its own.
struct Volume {
    reports: Vec<DriverReport>,
    path: PathBuf,
}

impl Volume {
    /// With `drivers`, and a copied file that is too large for memory: blobs of the WIM, of files and of drivers.
    fn new(name: &str, drivers: &[PathBuf], boot_critical: bool) -> Self {
        let folder = scratch(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let (source, big) = (folder.join("source.wim"), folder.join("big"));
        wim(&source);
        fs::write(&big, vec![0x5A; 200_000]).unwrap();
        let wim = Wim::open(&source, &[]).unwrap();
        let mut tree = wim.read_image(1).unwrap().tree;
        let copy = vec![FileCopy { source: big, destination: Some(r"\Tools\".into()) }];
        let machine = MachineConfig { copy, ..MachineConfig::default() }.prepare(None, Architecture::Amd64).unwrap();
        let mut image = ImageEdit::new(&mut tree, wim.store().clone(), TIME);
        let prepared = driver::prepare(drivers, &InputFiles::default(), &options(boot_critical), &()).unwrap();
        let reports = prepared.apply(&mut image).unwrap();
        machine.apply(&mut image).unwrap();
        let store = image.finish().unwrap();

        let size = ByteSize::mib(64);
        let options = NtfsOptions {
            size,
            start: Lba(2048),
            sector_size: 512,
            cluster_size: None,
            serial_number: 7,
            label: "Windows".into(),
            time: Times::all(TIME),
            boot_code: None,
        };
        let layout = NtfsLayout::new(Arc::new(tree), options).unwrap();
        let path = folder.join("volume.ntfs");
        let mut file = File::create(&path).unwrap();
        file.set_len(size.bytes()).unwrap();
        let mut write = |at: nano_image::types::VolumeOffset, bytes: &[u8]| {
            file.seek(SeekFrom::Start(at.0)).unwrap();
            file.write_all(bytes).unwrap();
            Ok(())
        };
        layout.write(&store, 2, &mut write).unwrap();
        Self { reports, path }
    }

    fn read(&self, path: &str) -> Vec<u8> {
        let output = Command::new("ntfscat").arg("-f").arg(&self.path).arg(path).output().unwrap();
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn hive(&self, name: &str) -> PathBuf {
        let path = self.path.with_file_name(name);
        fs::write(&path, self.read(&format!("Windows/System32/config/{name}"))).unwrap();
        path
    }

    fn report(&self, inf: &str) -> &DriverReport {
        self.reports.iter().find(|report| report.inf == inf).unwrap_or_else(|| panic!("no {inf}"))
    }
}

/// A value as hivexget prints it.
fn value(hive: &Path, key: &str, name: &str) -> String {
    run("hivexget", &[hive.to_str().unwrap(), key, name]).trim_end().to_owned()
}

/// Keys and values as hivexregedit exports them: name and type of each value, by key.
fn export(hive: &Path, key: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let text = run("hivexregedit", &["--export", hive.to_str().unwrap(), key]);
    let (mut keys, mut at) = (BTreeMap::<String, BTreeMap<String, String>>::new(), String::new());
    for line in text.lines() {
        if let Some(key) = line.strip_prefix('[') {
            at = key.trim_end_matches(']').to_owned();
            keys.entry(at.clone()).or_default();
        } else if let Some((name, data)) = line.split_once('=') {
            let kind = match data.split_once(':') {
                Some(("dword", _)) => "hex(4)",
                Some(("hex", _)) => "hex(3)",
                Some((kind, _)) => kind,
                None => "hex(1)",
            };
            keys.entry(at.clone()).or_default().insert(name.trim_matches('"').to_owned(), kind.to_owned());
        }
    }
    keys
}

/// The keys without which the kernel does not bind a storage driver at boot: those that virt-v2v writes.
fn assert_bound(volume: &Volume, driver: &str, ids: &[&str]) {
    let report = volume.report(&format!("{driver}.inf"));
    assert!(report.boot_critical, "{report:?}");
    let (inf, package) = (report.published.as_deref().unwrap(), &report.package);
    let hive = volume.hive("SYSTEM");
    let get = |key: &str, name: &str| value(&hive, key, name);
    let service = format!(r"\ControlSet001\Services\{driver}");
    for (name, expected) in [("Type", "1"), ("Start", "0"), ("ErrorControl", "1"), ("Group", "SCSI miniport")] {
        assert_eq!(get(&service, name), expected, "{driver} {name}");
    }
    let image_path = get(&service, "ImagePath");
    assert!(image_path.eq_ignore_ascii_case(&format!(r"system32\drivers\{driver}.sys")), "{image_path}");
    assert_eq!(volume.read(&format!("Windows/System32/drivers/{driver}.sys")), stand_in(&format!("{driver}.sys")));
    let database = r"\DriverDatabase";
    assert_eq!(get(&format!(r"{database}\DriverInfFiles\{inf}"), "Active"), *package);
    assert_eq!(get(&format!(r"{database}\DriverInfFiles\{inf}"), "@"), *package);
    let class = "{4d36e97b-e325-11ce-bfc1-08002be10318}";
    run("hivexget", &[hive.to_str().unwrap(), &format!(r"{database}\DeviceIds\{class}"), inf]);
    for id in ids {
        run("hivexget", &[hive.to_str().unwrap(), &format!(r"{database}\DeviceIds\PCI\{id}"), inf]);
        let device = format!(r"{database}\DriverPackages\{package}\Descriptors\PCI\{id}");
        let section = format!(r"{database}\DriverPackages\{package}\Configurations\{}", get(&device, "Configuration"));
        assert_eq!((get(&section, "Service"), get(&section, "ConfigFlags")), (driver.into(), "0".into()));
    }
    let text =
        run("hivexregedit", &["--export", hive.to_str().unwrap(), &format!(r"{database}\DriverPackages\{package}")]);
    assert!(
        text.contains("\"Version\"=hex(3):00,ff,09,00,00,00,00,00,7b,e9,36,4d,25,e3,ce,11,bf,c1,08,00,2b,e1,03,18,")
    );
}

pub fn stand_in(name: &str) -> Vec<u8> {
    let name = name.to_ascii_lowercase();
    name.bytes().cycle().take(3000 + 700 * name.len()).collect()
}

pub const ADAPTER: &str = r#"[Version]
Signature="$Windows NT$"
Class=SCSIAdapter
ClassGUID={4D36E97B-E325-11CE-BFC1-08002BE10318}
Provider=%Vendor%
DriverVer=07/21/2023,1.2.3.4
CatalogFile=teststor.cat
[SourceDisksNames]
1 = disk,,,""
[SourceDisksFiles]
teststor.sys = 1,,
[DestinationDirs]
Files = 12
[Manufacturer]
%Vendor% = M,NTamd64.6.3
[M.NTamd64.6.3]
%Desc% = Inst, PCI\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00, PCI\VEN_1AF4&DEV_1001
[Files]
teststor.sys,,,2
[Inst]
CopyFiles=Files
[Inst.Services]
AddService = teststor,2,Service
[Service]
ServiceType    = 1
StartType      = 0
ErrorControl   = 1
ServiceBinary  = %12%\teststor.sys
LoadOrderGroup = SCSI miniport
[Strings]
Vendor = "Me"
Desc = "An adapter"
"#;

#[test]
fn a_storage_driver_is_bound_at_boot() {
    let folder = scratch("driver-adapter-source");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("teststor.inf"), ADAPTER).unwrap();
    for name in ["teststor.sys", "teststor.cat"] {
        fs::write(folder.join(name), stand_in(name)).unwrap();
    }
    let volume = Volume::new("driver-adapter", std::slice::from_ref(&folder), false);
    assert_bound(&volume, "teststor", &["VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00", "VEN_1AF4&DEV_1001"]);
    assert_eq!(volume.read("Windows/INF/oem0.inf"), ADAPTER.as_bytes());
    let catalogs = "Windows/System32/CatRoot/{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";
    assert_eq!(volume.read(&format!("{catalogs}/oem0.cat")), stand_in("teststor.cat"));
    let package = format!("Windows/System32/DriverStore/FileRepository/{}", volume.reports[0].package);
    for name in ["teststor.sys", "teststor.cat"] {
        assert_eq!(volume.read(&format!("{package}/{name}")), stand_in(name));
    }
    assert_eq!(volume.read("Tools/big"), [0x5A; 200_000]);
    assert_eq!(volume.read("Windows/System32/drivers/disk.sys").len(), 50_000);
    judge::ntfs_volume(&volume.path);
    let again = Volume::new("driver-adapter-again", &[folder], false);
    assert!(fs::read(&volume.path).unwrap() == fs::read(&again.path).unwrap(), "a second volume has other bytes");
}

/// The INF files of virtio-win, with stand-ins for what they name.
#[track_caller]
fn virtio(name: &str) -> Option<PathBuf> {
    let source = shared("data/drivers/virtio-win-0.1.240-2k16")?;
    let folder = scratch(&format!("{name}-source"));
    let _ = fs::remove_dir_all(&folder);
    let mut folders = vec![source.clone()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "inf") {
                continue;
            }
            let target = folder.join(next.strip_prefix(&source).unwrap());
            fs::create_dir_all(&target).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            fs::write(target.join(path.file_name().unwrap()), &text).unwrap();
            for word in text.split(|c: char| !(c.is_alphanumeric() || "-_.".contains(c))) {
                if [".sys", ".cat", ".dll", ".exe"].iter().any(|end| word.to_lowercase().ends_with(end)) {
                    fs::write(target.join(word), stand_in(word)).unwrap();
                }
            }
        }
    }
    Some(folder)
}

#[test]
fn of_a_tree_for_many_versions_the_drivers_for_the_image_are_added() {
    let Some(folder) = virtio("driver-versions") else { return };
    let prepare = |build: u32| {
        let options = DriverOptions { version: Some((10, 0, build)), ..options(false) };
        driver::prepare(std::slice::from_ref(&folder), &InputFiles::default(), &options, &()).unwrap()
    };
    let alone = prepare(14393).identity();
    let own = folder.join("viostor/2k16/amd64");
    for other in ["viostor/2k22/amd64", "viostor/2k16/ARM64", "viostor/w10/amd64", "amd64/2k16"] {
        fs::create_dir_all(folder.join(other)).unwrap();
        for entry in fs::read_dir(&own).unwrap() {
            let path = entry.unwrap().path();
            let more = if path.extension().is_some_and(|end| end == "sys") { other } else { "" };
            let bytes = [fs::read(&path).unwrap(), more.into()].concat();
            fs::write(folder.join(other).join(path.file_name().unwrap()), bytes).unwrap();
        }
    }
    let prepared = prepare(14393);
    assert!(prepared.warnings.is_empty() && prepared.identity() == alone, "{:?}", prepared.warnings);
    let newer = prepare(20348);
    let sources: Vec<&Path> = newer.sources().collect();
    assert!(!sources.is_empty() && sources.iter().all(|path| path.starts_with(folder.join("viostor/2k22"))));
}

/// The disk that virtio-win is shipped as: with the names of Joliet, of Rock Ridge, and of both.
#[test]
fn an_iso_image_of_drivers_gives_what_the_folder_gives() {
    let Some(folder) = virtio("driver-iso") else { return };
    for name in ["w10", "2k22"] {
        let other = folder.join("viostor").join(name).join("amd64");
        fs::create_dir_all(&other).unwrap();
        fs::copy(folder.join("viostor/2k16/amd64/viostor.inf"), other.join("viostor.inf")).unwrap();
    }
    let prepare = |path: &Path| driver::prepare(&[path.to_owned()], &InputFiles::default(), &options(false), &());
    let of_folder = prepare(&folder).unwrap();
    let dir = folder.parent().unwrap();
    for (number, names) in
        [&["-J", "-R"][..], &["-J", "-joliet-long"], &["-R"], &["-udf", "-J", "-R"]].iter().enumerate()
    {
        let iso = dir.join(format!("drivers-{number}.iso"));
        let file = iso.to_str().unwrap();
        run(
            "genisoimage",
            &[&["-quiet", "-V", "virtio-win", "-o", file], *names, &[folder.to_str().unwrap()]].concat(),
        );
        let of_iso = prepare(&iso).unwrap();
        assert!(of_iso.warnings.is_empty() && of_iso.identity() == of_folder.identity(), "{names:?}");
        assert!(of_iso.sources().all(|path| path == iso));
        // What is cut off lies at the end: the files.
        let bytes = fs::read(&iso).unwrap();
        fs::write(&iso, &bytes[..bytes.len() / 3]).unwrap();
        let error = prepare(&iso).err().expect("the image is cut");
        assert!(error.path().is_some_and(|path| path.starts_with(&iso)), "{names:?}: {error:?}");
    }
    let text = dir.join("drivers-text.iso");
    fs::write(&text, "no image").unwrap();
    assert!(prepare(&text).err().expect("no image").path().is_some());
    let volume = Volume::new(
        "driver-of-iso",
        &[dir.join("drivers-whole.iso")].map(|iso| {
            run("genisoimage", &["-quiet", "-J", "-R", "-o", iso.to_str().unwrap(), folder.to_str().unwrap()]);
            iso
        }),
        false,
    );
    assert_eq!(volume.reports.iter().filter(|report| report.published.is_some()).count(), 16);
    assert_bound(&volume, "viostor", &["VEN_1AF4&DEV_1001", "VEN_1AF4&DEV_1042"]);
    judge::ntfs_volume(&volume.path);
}

#[test]
fn virtio_drivers_are_bound_at_boot() {
    let Some(folder) = virtio("driver-virtio") else { return };
    let volume = Volume::new("driver-virtio", &[folder], false);
    assert_eq!(volume.reports.len(), 16);
    for report in &volume.reports {
        assert!(report.published.is_some() && report.has_catalog, "{report:?}");
        assert!(report.warnings.is_empty(), "{report:?}");
    }
    let (block, scsi) = (["VEN_1AF4&DEV_1001", "VEN_1AF4&DEV_1042"], ["VEN_1AF4&DEV_1004", "VEN_1AF4&DEV_1048"]);
    assert_bound(&volume, "viostor", &block);
    assert_bound(&volume, "vioscsi", &scsi);
    assert_bound(&volume, "viostor", &["VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01"]);
    let system = volume.hive("SYSTEM");
    let parameters = r"\ControlSet001\Services\viostor\Parameters";
    assert_eq!(value(&system, parameters, "BusType"), "1");
    assert_eq!(value(&system, &format!(r"{parameters}\PnpInterface"), "5"), "1");
    assert_eq!(value(&system, r"\ControlSet001\Services\netkvm", "Start"), "3");
    let net = volume.report("netkvm.inf");
    assert!(!net.boot_critical);
    let drivers = volume.hive("DRIVERS");
    assert!(export(&drivers, r"\DriverDatabase\DriverPackages").keys().any(|key| key.ends_with(&net.package)));
    assert!(!export(&system, r"\DriverDatabase\DriverPackages").keys().any(|key| key.ends_with(&net.package)));
    let display = volume.report("viogpudo.inf").published.clone().unwrap();
    let ids = run("hivexregedit", &["--export", drivers.to_str().unwrap(), r"\DriverDatabase\DeviceIds\PCI"]);
    assert!(ids.contains(&format!("\"{display}\"=hex(3):01,f9,00,00")), "as Windows writes its FeatureScore=F9");
    let rng = volume.report("viorng.inf").published.clone().unwrap();
    let name = value(&system, r"\ControlSet001\Services\VirtRng", "DisplayName");
    assert_eq!(name, format!("@{rng},%VirtRng.Service%;VirtIO RNG Service"));
    judge::ntfs_volume(&volume.path);
}

/// Every kind of value that Windows writes for a driver of its own, a network adapter, is written for one like it.
#[test]
fn keys_have_the_shape_that_windows_gives_them() {
    let Some(folder) = shared("data/cbs/dcm") else { return };
    let manifest = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).find(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.contains("dual_netvg63a.inf") && name.ends_with(".xml")
    });
    let manifest = fs::read_to_string(manifest.expect("the manifest of a driver")).unwrap();
    let Some(virtio) = virtio("driver-shape") else { return };
    let volume = Volume::new("driver-shape", &[virtio.join("NetKVM")], true);
    let (system, report) = (volume.hive("SYSTEM"), &volume.reports[0]);
    let mut keys = export(&system, r"\DriverDatabase");
    keys.extend(export(&system, r"\ControlSet001\Services"));

    // What is special to each driver becomes a word.
    let shape = |key: &str, words: &[(&str, &str)]| {
        let key = words.iter().fold(key.to_lowercase(), |key, (from, to)| key.replace(&from.to_lowercase(), to));
        let (start, device) = key.split_once(r"\pci\").map_or((key.as_str(), ""), |(start, _)| (start, r"\pci\DEVICE"));
        format!("{start}{device}")
    };
    let mut theirs = BTreeMap::<String, BTreeMap<String, String>>::new();
    let words = [
        ("HKEY_LOCAL_MACHINE\\SYSTEM\\", ""),
        ("netvg63a.inf_amd64_dd38edc9e96390ae", "PACKAGE"),
        ("netvg63a.inf", "INF"),
        ("CurrentControlSet", "controlset001"),
        ("VT3119.ndi.NTamd64", "SECTION"),
        ("GETNDIS", "SERVICE"),
        ("getn63a", "SERVICE"),
    ];
    let mut at = String::new();
    for element in manifest.split('<').map(str::trim) {
        let attribute = |name: &str| {
            let (_, rest) = element.split_once(&format!(" {name}=\""))?;
            Some(rest.split_once('"')?.0.replace("&amp;", "&"))
        };
        if element.starts_with("registryKey ") {
            at = shape(&attribute("keyName").unwrap(), &words);
        } else if element.starts_with("registryValue ") {
            let kind = match attribute("valueType").unwrap().as_str() {
                "REG_NONE" => "hex(0)".into(),
                "REG_SZ" => "hex(1)".into(),
                "REG_EXPAND_SZ" => "hex(2)".into(),
                "REG_BINARY" => "hex(3)".into(),
                "REG_DWORD" => "hex(4)".into(),
                "REG_MULTI_SZ" => "hex(7)".into(),
                "REG_QWORD" => "hex(b)".into(),
                other => other.to_owned(),
            };
            let name = attribute("name").unwrap();
            let name = if name.is_empty() { "@".into() } else { name.replace("netvg63a.inf", "INF") };
            theirs.entry(at.clone()).or_default().insert(name, kind);
        }
    }
    let inf = report.published.as_deref().unwrap();
    let words = [(report.package.as_str(), "PACKAGE"), (inf, "INF"), ("kvmnet6.ndi", "SECTION"), ("netkvm", "SERVICE")];
    let mut ours = BTreeMap::<String, BTreeMap<String, String>>::new();
    for (key, values) in keys {
        let values = values.into_iter().map(|(name, kind)| (name.replace(inf, "INF"), kind));
        ours.entry(shape(key.trim_start_matches('\\'), &words)).or_default().extend(values);
    }
    let mut compared = 0;
    for (key, values) in &theirs {
        // What the INF files say, and what setup resolves while it makes an image.
        if key.contains(r"SECTION\driver") || key.contains("strings") || key.contains("setup\\") {
            continue;
        }
        let own = ours.get(key).unwrap_or_else(|| panic!("no key {key} in {:#?}", ours.keys()));
        for (name, kind) in values.iter().filter(|(name, _)| *name != "ConfigScope") {
            assert_eq!(own.get(name), Some(kind), "{key}: {name}");
            compared += 1;
        }
    }
    assert!(compared > 20, "{compared}");
    let driver = &ours[r"driverdatabase\driverpackages\PACKAGE\configurations\SECTION\driver"];
    for (name, kind) in [("*IfType", "hex(4)"), ("Characteristics", "hex(4)"), ("BusType", "hex(1)")] {
        assert_eq!(driver.get(name).map(String::as_str), Some(kind), "{name}");
    }
}

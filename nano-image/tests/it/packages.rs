//! Packages installed into an image, judged by `scripts/check-packages`: 7-Zip reads the files, The Sleuth Kit the
//! links, wimlib the descriptors and hivexregedit the hives of the volume; hivexget some values once more.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use crate::judge;
use fixtures::Data;
use fixtures::cab::Method;
use fixtures::packages::{Cabinet, Form, Manifests, nano, wcp};
use fixtures::scenes::{nano_cbs, nano_cbs_state};
use nano_image::content::{BlobStore, Overlay};
use nano_image::report::InstallReport;
use nano_image::source::wim::Wim;
use nano_image::tree::{FileTree, Times};
use nano_image::types::{Architecture, ByteSize, FileTime, Lba};
use nano_image::volume::ntfs::{NtfsLayout, NtfsOptions};
use nano_image::windows::edit::ImageEdit;
use nano_image::windows::package::{CabinetSource, Install, InstallOptions, install};

const TIME: FileTime = FileTime(131_131_008_000_000_000);

/// The image of the Datacenter edition with `cabinets`, whose files are in `folder`.
fn installed(folder: &Path, what: &Install) -> (FileTree, Overlay, InstallReport) {
    let source = folder.join("source.wim");
    if !source.exists() {
        nano_cbs(&Data::noise(1, 9000)).write_file(&source).unwrap();
    }
    let wim = Wim::open(&source, &[]).unwrap();
    let mut tree = wim.read_image(2).unwrap().tree;
    let mut image = ImageEdit::new(&mut tree, wim.store().clone(), TIME);
    let options = InstallOptions { architecture: Architecture::Amd64, scratch: Some(folder), strict: false };
    let report = install(&mut image, what, &options, &()).unwrap();
    let store = image.finish().unwrap();
    (tree, store, report)
}

fn write_volume(path: &Path, tree: FileTree, store: &dyn BlobStore) {
    let options = NtfsOptions {
        size: ByteSize::mib(96),
        start: Lba(2048),
        sector_size: 512,
        cluster_size: None,
        serial_number: 1,
        label: "Windows".into(),
        time: Times::all(TIME),
        boot_code: None,
    };
    let layout = NtfsLayout::new(Arc::new(tree), options).unwrap();
    let mut file = File::create(path).unwrap();
    file.set_len(layout.size().bytes()).unwrap();
    layout
        .write(store, 1, &mut |at, bytes| {
            file.seek(SeekFrom::Start(at.0)).unwrap();
            file.write_all(bytes).unwrap();
            Ok(())
        })
        .unwrap();
}

/// Values as hivexget prints them.
fn value(hive: &Path, key: &str, name: &str) -> String {
    judge::run("hivexget", &[hive.to_str().unwrap(), key, name]).trim_end().to_owned()
}

#[test]
fn all_packages_are_found_by_other_programs() {
    let folder = judge::scratch("packages");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let dictionary = wcp::dictionary();
    let pairs: Vec<nano::Pair> = nano::packages(6_000_000).into_iter().chain(nano::others()).collect();
    let servicing = nano::servicing(400_000);
    let mut cabinets: Vec<&Cabinet> = pairs.iter().flat_map(|pair| [&pair.neutral, &pair.language]).collect();
    let source = |index: usize, cabinet: &Cabinet| {
        let form = match index % 3 {
            0 => Form { method: Method::Mszip, manifests: Manifests::Plain },
            1 => Form { method: Method::Lzx(18), manifests: Manifests::Compressed(&dictionary) },
            _ => Form { method: Method::Stored, manifests: Manifests::Plain },
        };
        CabinetSource { path: format!("{index}.cab").into(), data: Arc::new(cabinet.to_bytes(form)) }
    };
    let what = Install {
        cabinets: cabinets.iter().enumerate().map(|(index, cabinet)| source(index, cabinet)).collect(),
        servicing: vec![source(0, &servicing)],
        ..Install::default()
    };
    let (tree, store, report) = installed(&folder, &what);
    cabinets.push(&servicing);
    let before = nano_cbs_state("ServerDatacenterNano");
    let mut after = before.clone();
    after.install_all(&cabinets);

    let volume = folder.join("volume.ntfs");
    write_volume(&volume, tree, &store);
    judge::ntfs_volume(&volume);
    let (expected, told) = (folder.join("expected"), folder.join("report.json"));
    fs::write(&expected, after.lines_beyond(&before).join("\n") + "\n").unwrap();
    fs::write(&told, serde_json::to_string(&report).unwrap()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/check-packages");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let arguments = [script, &text(&volume), &text(&expected), "--report", &text(&told)];
    println!("{}", judge::run("python3", &arguments));

    let hive = folder.join("SYSTEM");
    let raw = judge::run(
        "sh",
        &["-c", &format!("ntfscat -f {} Windows/System32/config/SYSTEM > {}", text(&volume), text(&hive))],
    );
    assert!(raw.is_empty(), "{raw}");
    let service = r"ControlSet001\Services\gvmgmt";
    assert_eq!(value(&hive, service, "Start"), "2");
    assert_eq!(value(&hive, service, "ImagePath"), r"%systemroot%\system32\gvmgmt.exe");
    assert_eq!(value(&hive, service, "DependOnService"), "gvid");
    let rules = r"ControlSet001\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules";
    let rule = "v2.10|Action=Block|Active=FALSE|Dir=In|Protocol=6|LPort=6600|Name=Replica|";
    assert_eq!(value(&hive, rules, "GVMGMT-Replica-In"), rule);
}

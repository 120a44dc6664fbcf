//! Plans of small images.

use std::process::Command;
use std::sync::Arc;

use super::bcd::{BcdObject, BcdStore, element, object_type, well_known};
use super::template::TEMPLATE;
use super::*;
use crate::content::{BlobId, BlobSink, BlobStore, Content};
use crate::error::{Error, ErrorKind};
use crate::identity::Seed;
use crate::registry::{Hive, HiveOptions, Value};
use crate::tree::Times;
use crate::tree::{FileTree, Node, attribute};
use crate::types::{DiskOffset, FileTime};

/// Blob *n* is `n` bytes of the value `n`.
struct Blobs;

impl BlobStore for Blobs {
    fn read_blobs(&self, requests: &[BlobId], _jobs: usize, sink: &mut BlobSink<'_>) -> Result<()> {
        assert!(requests.is_sorted());
        requests.iter().enumerate().try_for_each(|(index, id)| {
            sink(index, &vec![id.0 as u8; id.0 as usize - 1])?;
            sink(index, &[id.0 as u8])
        })
    }

    fn read_blob(&self, id: BlobId, limit: u64) -> Result<Vec<u8>> {
        if u64::from(id.0) > limit { Err(Error::too_small("limit")) } else { Ok(vec![id.0 as u8; id.0 as usize]) }
    }
}

fn program() -> Vec<u8> {
    let mut bytes = vec![0; 512];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3C] = 0x80;
    bytes[0x80..0x86].copy_from_slice(b"PE\0\0\x64\x86");
    bytes
}

fn image() -> FileTree {
    let mut tree = FileTree::new(Node::directory(Times::default()));
    let mut put = |path: &str, data: Content| tree.write_file(path, data, Times::default()).unwrap();
    put(r"Windows\Boot\EFI\bootmgfw.efi", program().into());
    put(r"Windows\Boot\EFI\boot.stl", Content::Blob { id: BlobId(9), len: 9 });
    put(r"Windows\Boot\EFI\memtest.efi", Content::Blob { id: BlobId(5), len: 5 });
    put(r"Windows\Boot\EFI\de-DE\bootmgfw.efi.mui", Content::Blob { id: BlobId(5), len: 5 });
    put(r"Windows\Boot\PCAT\bootmgr", Content::Blob { id: BlobId(7), len: 7 });
    put(r"Windows\Boot\PCAT\bootnxt", Content::Blob { id: BlobId(1), len: 1 });
    put(r"Windows\Boot\PCAT\fr-FR\bootmgr.exe.mui", Content::Blob { id: BlobId(2), len: 2 });
    put(r"Windows\Boot\Fonts\segoe_slboot.ttf", Content::Blob { id: BlobId(3), len: 3 });
    put(r"Windows\Boot\Resources\bootres.dll", Content::empty());
    put(r"Windows\System32\winload.efi", program().into());
    put(r"Windows\System32\config\SOFTWARE", software().into());
    tree
}

fn software() -> Vec<u8> {
    let mut hive = Hive::new(FileTime(0), &HiveOptions::default()).unwrap();
    let key = hive.create_key(hive.root(), r"Microsoft\Windows NT\CurrentVersion").unwrap();
    hive.set_value(key, "ProductName", Value::sz("Windows Server 2016 Datacenter")).unwrap();
    hive.into_bytes()
}

fn options(firmware: Firmware) -> BootOptions {
    let id = |byte| Guid::from_bytes([byte; 16]);
    let device = BcdDevice::Partition(PartitionIds::Gpt { disk: id(1), system: id(2), windows: id(3) });
    BootOptions {
        firmware,
        device,
        recovery: None,
        locale: None,
        description: None,
        settings: BootSettings::default(),
        seed: Seed::from_bytes([4; 32]),
        time: FileTime::from_unix_seconds(1_468_627_200),
        jobs: 1,
    }
}

fn plan(tree: &mut FileTree, options: &BootOptions) -> Result<BootPlan> {
    super::plan(&mut ImageEdit::new(tree, Arc::new(Blobs), options.time), options)
}

fn edit(tree: &mut FileTree, settings: &BootSettings) -> Result<bool> {
    let mut image = ImageEdit::new(tree, Arc::new(Blobs), FileTime(9));
    let edited = edit_template(&mut image, settings)?;
    image.finish()?;
    Ok(edited)
}

/// Adds what is started, for an image without boot files.
pub fn add_boot_files(tree: &mut FileTree) {
    let mut put = |path: &str, data: Vec<u8>| tree.write_file(path, data, Times::default()).unwrap();
    put(r"Windows\Boot\EFI\bootmgfw.efi", program());
    put(TEMPLATE, template().to_bytes(Firmware::Uefi, FileTime(0)).unwrap());
}

/// Options that change the template too.
pub fn serial_debugging() -> BootOptions {
    let debug = Some(DebugTransport::Serial { port: 1, baud: 115_200 });
    BootOptions { settings: BootSettings { debug, ..BootSettings::default() }, ..options(Firmware::Uefi) }
}

fn file<'a>(plan: &'a BootPlan, path: &str) -> &'a BootFile {
    plan.files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}"))
}

fn store(plan: &BootPlan) -> BcdStore {
    let bcd = plan.files.iter().find(|file| file.path.ends_with(r"\BCD")).unwrap();
    BcdStore::parse(bcd.bytes.to_vec()).unwrap()
}

/// A template as Windows ships it, in the parts that matter.
fn template() -> BcdStore {
    let mut store = BcdStore::default();
    let mut put = |id: Guid, object: BcdObject| store.objects.insert(id, object);
    let mut pattern = BcdObject::new(object_type::OS_LOADER);
    pattern.set_string(element::LOCALE, "de-DE");
    pattern.set_string(element::TEMPLATE_PATH, r"\system32\boot\winload.efi");
    pattern.set_string(element::SYSTEM_ROOT, r"\windows");
    pattern.set_integer(element::TEMPLATE_DEVICE, 2);
    pattern.set_integer(element::NX, 3);
    pattern.set_object(element::RESUME_OBJECT, well_known::RESUME_EFI);
    put(well_known::TARGET_EFI, pattern.clone());
    put(well_known::TARGET_PCAT, pattern);
    put(well_known::SETUP_PCAT, BcdObject::new(object_type::OS_LOADER));
    put(well_known::NTLDR, BcdObject::new(0x1030_0006));
    let mut resume = BcdObject::new(object_type::RESUME);
    resume.set_boolean(0x4600_0004, true);
    put(well_known::RESUME_EFI, resume.clone());
    put(well_known::RESUME_PCAT, resume);
    let mut manager = BcdObject::new(object_type::BOOT_MANAGER);
    manager.set_integer(element::TIMEOUT, 12);
    put(well_known::BOOTMGR, manager);
    let mut debugger = BcdObject::new(object_type::INHERIT_ANY);
    debugger.set_integer(element::DEBUG_TYPE, 3);
    put(well_known::DEBUGGER_SETTINGS, debugger);
    store
}

fn with_template(bytes: Vec<u8>) -> FileTree {
    let mut tree = image();
    tree.write_file(r"Windows\System32\config\BCD-Template", bytes, Times::default()).unwrap();
    tree
}

#[test]
fn uefi_gets_copies_a_removable_loader_and_a_store() {
    let plan = plan(&mut image(), &options(Firmware::Uefi)).unwrap();
    let paths: Vec<&str> = plan.files.iter().map(|file| file.path.as_str()).collect();
    let expected = [
        r"EFI\Boot\bootx64.efi",
        r"EFI\Microsoft\Boot\BCD",
        r"EFI\Microsoft\Boot\boot.stl",
        r"EFI\Microsoft\Boot\bootmgfw.efi",
        r"EFI\Microsoft\Boot\BOOTSTAT.DAT",
        r"EFI\Microsoft\Boot\de-DE\bootmgfw.efi.mui",
        r"EFI\Microsoft\Boot\Fonts\segoe_slboot.ttf",
        r"EFI\Microsoft\Boot\memtest.efi",
        r"EFI\Microsoft\Boot\Resources\bootres.dll",
    ];
    assert_eq!(paths, expected);
    assert_eq!(*file(&plan, r"EFI\Boot\bootx64.efi").bytes, program());
    assert_eq!(*file(&plan, r"EFI\Microsoft\Boot\boot.stl").bytes, [9; 9]);
    assert_eq!(file(&plan, r"EFI\Microsoft\Boot\BOOTSTAT.DAT").bytes.len(), 65_536);
    assert!(plan.warnings.len() == 1 && plan.warnings[0].contains("BCD-Template"), "{:?}", plan.warnings);

    let store = store(&plan);
    let (id, loader) = store.default_entry().unwrap();
    assert_eq!(id, plan.loader);
    assert_eq!(loader.description().unwrap(), "Windows Server 2016 Datacenter");
    assert_eq!(loader.path().unwrap(), r"\Windows\system32\winload.efi");
    let [disk, system, windows] = [1, 2, 3].map(|byte| Guid::from_bytes([byte; 16]));
    assert_eq!(loader.device(), Some(BootDevice::Gpt { disk, partition: windows }));
    assert_eq!(loader.os_device(), loader.device());
    assert_eq!((loader.integer(element::NX), loader.string(element::LOCALE).unwrap()), (Some(1), "de-DE".into()));
    let manager = &store.objects[&well_known::BOOTMGR];
    assert_eq!(manager.device(), Some(BootDevice::Gpt { disk, partition: system }));
    assert_eq!(manager.path().unwrap(), r"\EFI\Microsoft\Boot\bootmgfw.efi");
    assert!(store.objects.contains_key(&well_known::MEMDIAG));
    // Every object that another one refers to exists.
    for object in store.objects.values() {
        for value in object.elements.values() {
            let ids = value.texts().unwrap_or_default().into_iter().chain(value.text());
            for id in ids.filter_map(|text| text.parse::<Guid>().ok()) {
                assert!(store.objects.contains_key(&id), "{id}");
            }
        }
    }
}

#[test]
fn bios_gets_hidden_files_in_the_root() {
    let mbr = PartitionIds::Mbr { signature: 5, system: DiskOffset(1 << 20), windows: DiskOffset(2 << 20) };
    let options = BootOptions { device: BcdDevice::Partition(mbr), ..options(Firmware::Bios) };
    let plan = plan(&mut image(), &options).unwrap();
    assert_eq!((file(&plan, "bootmgr").attributes, file(&plan, "BOOTNXT").attributes), (0x27, 0x26));
    assert_eq!(*file(&plan, "bootmgr").bytes, [7; 7]);
    assert_eq!(plan.directories, [("Boot".to_owned(), attribute::HIDDEN | attribute::SYSTEM)]);
    let store = store(&plan);
    let (_, loader) = store.default_entry().unwrap();
    assert_eq!(loader.device(), Some(BootDevice::Mbr { signature: 5, offset: DiskOffset(2 << 20) }));
    assert_eq!(loader.path().unwrap(), r"\Windows\system32\winload.exe");
    assert!(!loader.elements.contains_key(&element::ISOLATED_CONTEXT));
    assert_eq!(loader.string(element::LOCALE).unwrap(), "fr-FR");
    let manager = &store.objects[&well_known::BOOTMGR];
    assert_eq!(manager.path(), None);
    // There is no memtest.exe, so no entry offers it.
    assert!(!manager.elements.contains_key(&element::TOOLS_DISPLAY_ORDER));
    assert!(plan.warnings.iter().any(|warning| warning.contains("winload.exe")));
}

#[test]
fn settings_come_from_the_template() {
    let mut tree = with_template(template().to_bytes(Firmware::Uefi, FileTime(0)).unwrap());
    let options = BootOptions {
        device: BcdDevice::Locate,
        description: Some("Web".into()),
        locale: Some("ja-JP".into()),
        ..options(Firmware::Uefi)
    };
    let plan = plan(&mut tree, &options).unwrap();
    assert_eq!(plan.warnings, [""; 0]);
    let store = store(&plan);
    let loader = &store.objects[&plan.loader];
    assert_eq!(loader.path().unwrap(), r"\Windows\system32\boot\winload.efi");
    assert_eq!((loader.integer(element::NX), loader.description().unwrap()), (Some(3), "Web".into()));
    assert_eq!(loader.string(element::LOCALE).unwrap(), "ja-JP");
    assert_eq!(loader.device(), Some(BootDevice::Locate { element: element::PATH }));
    assert_eq!(loader.os_device(), Some(BootDevice::Locate { element: element::SYSTEM_ROOT }));
    let resume = &store.objects[&loader.object(element::RESUME_OBJECT).unwrap()];
    assert_eq!(resume.path().unwrap(), r"\Windows\system32\winresume.efi");
    let manager = &store.objects[&well_known::BOOTMGR];
    assert_eq!((manager.integer(element::TIMEOUT), manager.device()), (Some(12), Some(BootDevice::Boot)));
    assert_eq!(store.objects[&well_known::DEBUGGER_SETTINGS].integer(element::DEBUG_TYPE), Some(3));
    for pattern in [well_known::TARGET_EFI, well_known::TARGET_PCAT, well_known::SETUP_PCAT, well_known::NTLDR] {
        assert!(!store.objects.contains_key(&pattern));
    }
    let codes = store.objects.values().flat_map(|object| object.elements.keys());
    assert!(codes.into_iter().all(|code| code >> 28 != element::CLASS_TEMPLATE));
}

#[test]
fn changed_settings_reach_the_template_and_every_store_made_from_it() {
    let original = template().to_bytes(Firmware::Uefi, FileTime(0)).unwrap();
    let mut tree = with_template(original.clone());
    let debug = Some(DebugTransport::Serial { port: 1, baud: 115_200 });
    let settings = BootSettings { debug, test_signing: true, ..BootSettings::default() };
    assert!(edit(&mut tree, &BootSettings::default()).unwrap());
    let read = |tree: &FileTree| match tree[tree.find(template::TEMPLATE).unwrap()].data.as_ref() {
        Some(Content::Bytes(bytes)) => bytes.to_vec(),
        other => panic!("{other:?}"),
    };
    assert!(read(&tree) == original);
    assert!(edit(&mut tree, &settings).unwrap());
    // A later bcdboot gives the same as a plan with the settings.
    let through_template = plan(&mut tree, &options(Firmware::Bios)).unwrap();
    let options = BootOptions { settings, ..options(Firmware::Bios) };
    assert_eq!(store(&through_template), store(&plan(&mut with_template(original), &options).unwrap()));
    let loader = &store(&through_template).objects[&through_template.loader];
    assert_eq!(loader.integer(element::TEST_SIGNING), Some(1));
    assert_eq!(loader.integer(element::KERNEL_DEBUG), Some(1));
    assert!(!edit(&mut image(), &BootSettings::default()).unwrap());
}

#[test]
fn plans_depend_on_their_inputs_alone() {
    let bytes = |seed: u8| {
        let options = BootOptions { seed: Seed::from_bytes([seed; 32]), ..options(Firmware::Uefi) };
        file(&plan(&mut image(), &options).unwrap(), r"EFI\Microsoft\Boot\BCD").bytes.clone()
    };
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    let mut empty = FileTree::new(Node::directory(Times::default()));
    let error = plan(&mut empty, &options(Firmware::Uefi)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("bootmgfw.efi") && error.hint().is_some());
    assert!(plan(&mut empty, &options(Firmware::Bios)).unwrap_err().to_string().contains("bootmgr"));

    let mut damaged = template().to_bytes(Firmware::Uefi, FileTime(0)).unwrap();
    damaged[5000] ^= 0xFF;
    damaged[4096] = 0;
    let error = plan(&mut with_template(damaged), &options(Firmware::Uefi)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.path().unwrap().ends_with(r"BCD-Template") || error.to_string().contains("BCD-Template"));

    for other in [Vec::new(), software()] {
        let plan = plan(&mut with_template(other), &options(Firmware::Uefi)).unwrap();
        assert!(plan.warnings.iter().any(|warning| warning.contains("BCD-Template")));
    }
}

/// hivex, an independent reader of hives, must see the same objects.
#[cfg(feature = "internals")]
#[test]
fn hivexml_reads_the_store() {
    #[allow(clippy::print_stderr)]
    if cfg!(windows) {
        eprintln!("not run: hivexml is no program of Windows");
        return;
    }
    let plan = plan(&mut image(), &options(Firmware::Uefi)).unwrap();
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&path, &file(&plan, r"EFI\Microsoft\Boot\BCD").bytes).unwrap();
    #[allow(clippy::disallowed_methods)]
    let output = Command::new("hivexml").arg(path.path()).output().expect("hivexml (package libhivex-bin) runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let xml = String::from_utf8(output.stdout).unwrap();
    for text in [
        format!("<node name=\"{{{}}}\">", plan.loader),
        r"\Windows\system32\winload.efi".to_owned(),
        "<mtime>2016-07-16T00:00:00Z</mtime>".to_owned(),
        "value=\"BCD00000000\"".to_owned(),
    ] {
        assert!(xml.contains(&text), "{text}\n{xml}");
    }
    assert_eq!(xml.matches("key=\"Type\"").count(), store(&plan).objects.len());
}

/// A store made by Windows, if it lies beside the project. It is read, written again and must be equal in every
/// element.
#[cfg(feature = "internals")]
#[test]
fn a_store_of_windows_survives_and_its_devices_are_understood() {
    let Some(path) = fixtures::outside::shared("data/bcd/windeploy-linux.BCD") else { return };
    let store = BcdStore::parse(std::fs::read(path).unwrap()).unwrap();
    let (_, loader) = store.default_entry().unwrap();
    assert_eq!(loader.path().unwrap(), r"\windows\system32\winload.exe");
    assert_eq!(loader.device(), Some(BootDevice::Boot));
    for object in store.objects.values() {
        for (code, value) in object.elements.iter().filter(|(code, _)| *code >> 24 & 0xF == 1) {
            let device = BootDevice::from_bytes(&value.data).unwrap();
            assert_eq!(device.to_bytes().as_ref(), Some(&value.data), "{code:x} {device:?}");
        }
    }
    assert_eq!(BcdStore::parse(store.to_bytes(Firmware::Bios, FileTime(0)).unwrap()).unwrap(), store);
}

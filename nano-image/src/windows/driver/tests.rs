//! Whole drivers, added to small images.

mod shared;

use super::*;
use crate::content::InputFiles;
use crate::content::{BlobStore as _, Content, Overlay};
use crate::error::ErrorKind;
use crate::registry::{Hive, HiveOptions, Value, ValueKind};
use crate::tree::{FileTree, Node, Times};
use crate::types::FileTime;
use crate::windows::edit::HiveFile;
use crate::windows::edit::testing::{edit, hive};

const TIME: FileTime = FileTime(131_138_784_120_000_000);

/// A boot adapter whose INF file uses nearly everything that INF files can contain.
const STORAGE: &str = r#"; a comment
[Version]
Signature="$WINDOWS NT$" ; and one
Class=SCSIAdapter
ClassGuid={4D36E97B-E325-11CE-BFC1-08002BE10318}
Provider=%Vendor%
DriverVer=12/02/2021,100.90.104.21500
CatalogFile=Stor.cat
PnpLockdown=1
[SourceDisksNames]
1 = %Vendor%,,,"\bin"
[SourceDisksFiles]
stor.sys = 1,amd64
help.dll = 1,,
[DestinationDirs]
DefaultDestDir = 12
Help = 11,sub
Store = 13
[Manufacturer]
%Vendor%=Models,NTx86, \
    NTamd64.6.3,NTamd64.10.0...14393
Other Inc.=Second,NTamd64
[Models.NTamd64.6.3]
%Old%=Old_Inst,PCI\VEN_1111&DEV_0001
[Models.NTamd64.10.0...14393]
%Stor.Desc% = Stor_Inst, PCI\VEN_1111&DEV_0001&REV_00, PCI\VEN_1111&DEV_0001
[Second.NTamd64]
"Second, adapter" = Other_Inst, PCI\VEN_2222&DEV_0001
[Stor_Inst.NTamd64]
CopyFiles=@stor.sys, Help, Store
AddReg=Driver_Reg
FeatureScore=F9
Needs=Common, Elsewhere
Include=pci.inf
[Common]
AddReg=Common_Reg
DelReg=Stale
[Stor_Inst.NTamd64.HW]
AddReg=Hw_Reg
[Stor_Inst.NTamd64.Services]
AddService = Stor, %ASSOC%, Service_Inst, Event_Inst
AddService = Helper,0x10, Helper_Inst
[Stor_Inst.NTamd64.CoInstallers]
AddReg=Co_Reg
[Stor_Inst.NTamd64.Interfaces]
AddInterface={0},,x
[Stor_Inst.NTamd64.Wdf]
KmdfService = stor, Wdf_Inst
[Wdf_Inst]
KmdfLibraryVersion = 1.15
[Other_Inst]
[Other_Inst.Services]
AddService = ,2
[Help]
helper.dll,help.dll,,2
[Store]
help.dll
[Co_Reg]
HKR,,CoInstallers32,0x10000,"x.dll"
[Stale]
HKLM,SYSTEM\CurrentControlSet\Control\Stale,Old
HKLM,SYSTEM\CurrentControlSet\Control\Stale\Gone
HKLM,SYSTEM\CurrentControlSet\Control\Stale,Names,0x18002,TWO
HKR,,Common
[Driver_Reg]
HKR,,Plain,,"text"
HKR,Params,New,2,"only if new"
HKLM,SYSTEM\CurrentControlSet\Control\Things,List,0x10008,two
HKLM,Software\Vendor,Path,0x20000,%11%\sub
HKCU,Software,x
[Common_Reg]
HKR,,Common,0x10001,7
[Hw_Reg]
HKR,"Interrupt Management",,0x10
HKR,"Interrupt Management\Messages",MSISupported,%DWORD%,1
[Service_Inst]
DisplayName   = %Stor.Desc%
ServiceType   = 1
StartType     = 0
ErrorControl  = 1
ServiceBinary = %12%\stor.sys
LoadOrderGroup = SCSI miniport
Dependencies = +Base, Other
AddReg        = Service_Reg
Security      = "D:P"
[Service_Reg]
HKR,Parameters\PnpInterface,"5",%DWORD%,1
[Event_Inst]
AddReg=Event_Reg
[Event_Reg]
HKR,,EventMessageFile,0x20000,"%%SystemRoot%%\System32\IoLogMsg.dll"
[Helper_Inst]
ServiceType   = 16
StartType     = 2
ErrorControl  = 1
ServiceBinary = %11%\sub\helper.dll
[Strings]
Vendor = "Größe, Inc."
Stor.Desc = "A ""good"" adapter"
ASSOC = 0x2
DWORD = 0x10001
"#;

pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// [`STORAGE`] in UTF-16, with its files. Their names on the disk have another case.
    pub fn storage(&self) -> PathBuf {
        self.put("Bin/AMD64/Stor.SYS", b"storage driver");
        self.put("Bin/Help.dll", b"helper");
        self.put("STOR.CAT", [&[0x30, 0x82][..], &[0x2B, 6, 1, 4, 1, 0x82, 0x37, 10, 3, 5]].concat());
        let units = STORAGE.replace('\n', "\r\n");
        let units = "\u{FEFF}".encode_utf16().chain(units.encode_utf16());
        self.put("Stor.inf", units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
    }
}

/// An image with hives, and with a driver that has the first number.
fn image() -> FileTree {
    let mut tree = FileTree::new(Node::directory(Times::default()));
    let mut system = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
    let root = system.root();
    for set in ["ControlSet001", "ControlSet002"] {
        let things = system.create_key(root, &format!(r"{set}\Control\Things")).unwrap();
        system.set_value(things, "List", Value::multi_sz(["one"])).unwrap();
        let stale = system.create_key(root, &format!(r"{set}\Control\Stale")).unwrap();
        system.set_value(stale, "Old", Value::sz("x")).unwrap();
        system.set_value(stale, "Names", Value::multi_sz(["one", "two"])).unwrap();
        system.create_key(stale, r"Gone\Too").unwrap();
        let helper = system.create_key(root, &format!(r"{set}\Services\Helper")).unwrap();
        system.set_value(helper, "Start", Value::dword(4)).unwrap();
        system.create_key(root, &format!(r"{set}\Services\Stor\StartOverride")).unwrap();
    }
    let select = system.create_key(root, "Select").unwrap();
    system.set_value(select, "Current", Value::dword(2)).unwrap();
    let database = system.create_key(root, "DriverDatabase").unwrap();
    system.set_value(database, "OemInfMap", Value::binary([0x80])).unwrap();
    let other = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
    for (file, hive) in [(HiveFile::System, system), (HiveFile::Software, other.clone()), (HiveFile::Drivers, other)] {
        tree.write_file(file.path(), hive.into_bytes(), Times::default()).unwrap();
    }
    tree.write_file(r"Windows\INF\oem0.inf", vec![1], Times::default()).unwrap();
    tree.write_file(r"Windows\System32\drivers\STOR.sys", vec![1, 2], Times::default()).unwrap();
    tree
}

pub fn options() -> DriverOptions {
    DriverOptions {
        architecture: Architecture::Amd64,
        version: Some((10, 0, 14393)),
        is_client: false,
        boot_critical: false,
    }
}

fn add_to(tree: &mut FileTree, drivers: &[PathBuf]) -> Result<(Vec<DriverReport>, Overlay)> {
    edit(tree, TIME, |image| prepare(drivers, &InputFiles::default(), &options(), &())?.apply(image))
}

fn value(hive: &Hive, key: &str, name: &str) -> Option<Value> {
    hive.value(hive.find(key)?, name)
}

fn text(hive: &Hive, key: &str, name: &str) -> String {
    let value = value(hive, key, name).unwrap_or_else(|| panic!("no {key}!{name}"));
    value.text().or_else(|| Some(value.texts()?.join("|"))).or_else(|| Some(value.as_dword()?.to_string())).unwrap()
}

#[test]
fn a_driver_is_put_everywhere() {
    let (folder, mut tree) = (Folder::new(), image());
    let (reports, store) = add_to(&mut tree, &[folder.storage()]).unwrap();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!(report.published.as_deref(), Some("oem1.inf"));
    assert_eq!((report.inf.as_str(), report.provider.as_str()), ("stor.inf", "Größe, Inc."));
    assert_eq!((report.version.as_str(), report.services.join(" ")), ("100.90.104.21500", "Helper Stor".into()));
    assert!(report.boot_critical && report.has_catalog && report.files == 4);

    let package = format!(r"Windows\System32\DriverStore\FileRepository\{}", report.package);
    let node = |path: &str| tree.find(path).unwrap_or_else(|| panic!("no {path}"));
    let read = |path: &str| match tree[node(path)].data.as_ref().unwrap() {
        Content::Bytes(bytes) => bytes.to_vec(),
        Content::Blob { id, .. } => store.read_blob(*id, 1 << 20).unwrap(),
    };
    assert_eq!(read(&format!(r"{package}\bin\amd64\stor.sys")), b"storage driver");
    assert_eq!(read(r"Windows\System32\sub\helper.dll"), b"helper");
    assert_eq!(read(r"Windows\INF\oem1.inf"), read(&format!(r"{package}\stor.inf")));
    let catalogs = r"Windows\System32\CatRoot\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";
    assert_eq!(node(&format!(r"{catalogs}\oem1.cat")), node(&format!(r"{package}\Stor.cat")));
    assert_eq!(node(r"Windows\System32\drivers\stor.sys"), node(&format!(r"{package}\bin\amd64\stor.sys")));
    let drivers = tree[node(r"Windows\System32\drivers")].children.as_ref().unwrap();
    assert_eq!(drivers.len(), 1, "the file of the image is replaced");
    assert!(report.warnings.iter().any(|warning| warning.contains("drivers\\stor.sys of the image is replaced")));
    assert!(tree[node(&package)].security.is_none(), "inherited at layout");

    let told = report.not_applied.join("\n");
    for part in [
        "Needs Elsewhere: the image has no Windows\\INF\\pci.inf",
        "co-installer x.dll",
        "AddInterface {0}, x",
        "HKCU, Software, x",
        "Security D:P",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(report.not_applied.len(), 5, "{told}");
}

#[test]
fn the_registry_is_what_windows_would_write() {
    let (folder, mut tree) = (Folder::new(), image());
    let (reports, _) = add_to(&mut tree, &[folder.storage()]).unwrap();
    let label = &reports[0].package;
    let system = hive(&tree, HiveFile::System);
    let text = |key: &str, name: &str| text(&system, key, name);
    let value = |key: &str, name: &str| value(&system, key, name);
    let service = r"ControlSet002\Services\Stor";
    assert_eq!(text(service, "ImagePath"), r"System32\drivers\stor.sys");
    assert_eq!(text(service, "DisplayName"), "@oem1.inf,%Stor.Desc%;A \"good\" adapter");
    assert_eq!((text(service, "Start"), text(service, "Type")), ("0".into(), "1".into()));
    assert_eq!((text(service, "Group"), text(service, "Owners")), ("SCSI miniport".into(), "oem1.inf".into()));
    assert_eq!((text(service, "DependOnService"), text(service, "DependOnGroup")), ("Other".into(), "Base".into()));
    assert_eq!(text(&format!(r"{service}\Parameters\PnpInterface"), "5"), "1");
    assert_eq!(text(&format!(r"{service}\Parameters\Wdf"), "KmdfLibraryVersion"), "1.15");
    assert!(system.find(&format!(r"{service}\StartOverride")).is_none());
    assert!(system.find(r"ControlSet001\Services\Stor\StartOverride").is_some(), "another control set");
    let events = r"ControlSet002\Services\EventLog\System\Stor";
    assert_eq!(text(events, "EventMessageFile"), r"%SystemRoot%\System32\IoLogMsg.dll");
    let helper = r"ControlSet002\Services\Helper";
    assert_eq!(text(helper, "Start"), "4", "flag 0x10 keeps it");
    assert_eq!(text(helper, "ImagePath"), r"%SystemRoot%\System32\sub\helper.dll");
    assert_eq!(text(r"ControlSet002\Control\Things", "List"), "one|two");
    assert_eq!(text(r"ControlSet001\Control\Things", "List"), "one");
    let stale = r"ControlSet002\Control\Stale";
    assert_eq!((value(stale, "Old"), text(stale, "Names")), (None, "one".into()));
    assert!(system.find(&format!(r"{stale}\Gone")).is_none(), "with all below it");

    assert_eq!(value("DriverDatabase", "OemInfMap"), Some(Value::binary([0xC0])));
    let mark = |id: &str| value(&format!(r"DriverDatabase\DeviceIds\{id}"), "oem1.inf").unwrap();
    assert_eq!(mark(r"PCI\VEN_1111&DEV_0001&REV_00"), Value::binary([1, 0xF9, 0, 0]));
    assert_eq!(mark(r"PCI\VEN_1111&DEV_0001"), Value::binary([2, 0xF9, 0, 0]));
    assert_eq!(mark("{4d36e97b-e325-11ce-bfc1-08002be10318}"), Value::new(ValueKind::NONE, []));
    let inf = r"DriverDatabase\DriverInfFiles\oem1.inf";
    assert_eq!((text(inf, ""), text(inf, "Active")), (label.clone(), label.clone()));
    assert_eq!(text(inf, "Configurations"), "Stor_Inst.NTamd64|Other_Inst");
    let package = format!(r"DriverDatabase\DriverPackages\{label}");
    assert_eq!((text(&package, ""), text(&package, "InfName")), ("oem1.inf".into(), "stor.inf".into()));
    // The value that Windows has for viostor with that date and version.
    let version = "00ff0900000000007be9364d25e3ce11bfc108002be1031800c0978c0fe7d701fc5368005a0064000000000000000000";
    let bytes = hex::encode(value(&package, "Version").unwrap().data);
    assert_eq!(bytes, version);
    assert_eq!(value(&package, "SignerScore").unwrap().as_dword(), Some(0x0D00_0005));
    let section = format!(r"{package}\Configurations\Stor_Inst.NTamd64");
    assert_eq!((text(&section, "Service"), text(&section, "ConfigFlags")), ("Stor".into(), "0".into()));
    assert_eq!(text(&format!(r"{section}\Driver"), "Plain"), "text");
    assert_eq!(text(&format!(r"{section}\Driver"), "Common"), "7");
    let new = value(&format!(r"{section}\Driver\Params"), "New").unwrap();
    assert_eq!(new.kind, ValueKind(0x2_0001), "no-clobber, as in the manifests of Windows' own drivers");
    assert_eq!(text(&format!(r"{section}\Device\Interrupt Management\Messages"), "MSISupported"), "1");
    assert_eq!(text(&format!(r"{section}\Services\Stor\Parameters\PnpInterface"), "5"), "1");
    assert!(value(&format!(r"{package}\Configurations\Other_Inst"), "Service").is_none());
    let device = format!(r"{package}\Descriptors\PCI\VEN_1111&DEV_0001");
    assert_eq!(text(&device, "Configuration"), "Stor_Inst.NTamd64");
    assert_eq!(
        (text(&device, "Description"), text(&device, "Manufacturer")),
        ("%stor.desc%".into(), "%vendor%".into())
    );
    let other = format!(r"{package}\Descriptors\PCI\VEN_2222&DEV_0001");
    assert_eq!(
        (text(&other, "Description"), text(&other, "Manufacturer")),
        ("Second, adapter".into(), "Other Inc.".into())
    );
    assert_eq!(text(&format!(r"{package}\Strings"), "vendor"), "Größe, Inc.");

    let software = hive(&tree, HiveFile::Software);
    let files = r"Microsoft\Windows\CurrentVersion\Setup\PnpLockdownFiles\%SystemRoot%/System32/drivers/stor.sys";
    let text = |key: &str, name: &str| self::text(&software, key, name);
    assert_eq!((text(files, "Owners"), text(files, "Class")), ("oem1.inf".into(), "4".into()));
    let source = format!(r"%SystemRoot%\System32\DriverStore\FileRepository\{label}\bin\amd64\stor.sys");
    assert_eq!(text(files, "Source"), source);
    assert_eq!(text("Vendor", "Path"), r"%SystemRoot%\System32\sub");
    assert!(hive(&tree, HiveFile::Drivers).find("DriverDatabase").is_none(), "boot-critical ones are in SYSTEM alone");
}

#[test]
fn adding_again_changes_nothing() {
    let (folder, mut tree) = (Folder::new(), image());
    let path = folder.storage();
    add_to(&mut tree, std::slice::from_ref(&path)).unwrap();
    let before = (tree.node_count(), hive(&tree, HiveFile::System).into_bytes());
    let (reports, _) = add_to(&mut tree, &[path]).unwrap();
    assert_eq!(reports[0].published.as_deref(), Some("oem1.inf"));
    assert_eq!(reports[0].not_applied, ["the image has this driver already"]);
    assert!(before == (tree.node_count(), hive(&tree, HiveFile::System).into_bytes()));
}

/// A driver of another class, which tests change.
const NETWORK: &str = "[Version]\nSignature=$CHICAGO$\nClass=Net\nClassGuid={4d36e972-e325-11ce-bfc1-08002be10318}\n\
    Provider=Me\nDriverVer=01/02/2016\n[Manufacturer]\nMe=M,NTamd64\n[M.NTamd64]\nCard=Net_Inst,PCI\\VEN_3333\n\
    [Net_Inst]\nCharacteristics=0x84\nBusType=5\n*IfType=6\nCopyFiles=Files\nAddReg=Reg\n[Reg]\nHKR,Ndi,Service,0,net\n\
    [Files]\nnet.sys\n[DestinationDirs]\nDefaultDestDir=12\n[ClassInstall32]\nAddReg=Class\n[Class]\nHKR,,,0,Network\n\
    [Net_Inst.Services]\nAddService=net,2,Svc\n[Svc]\nServiceType=1\nStartType=3\nErrorControl=1\n\
    ServiceBinary=%12%\\net.sys\n";

#[test]
fn others_wait_in_the_driver_store() {
    let (folder, mut tree) = (Folder::new(), image());
    folder.put("net.sys", "");
    folder.put("net.inf", NETWORK);
    folder.put("sub/again/NET.INF", NETWORK);
    folder.put("sub/again/net.sys", "");
    folder.put("autorun.inf", "[AutoRun]\nopen=setup.exe\n");
    folder.put("x86/net.inf", NETWORK.replace("NTamd64", "NTx86"));
    let path = folder.0.path().to_owned();
    let (reports, _) = add_to(&mut tree, std::slice::from_ref(&path)).unwrap();
    let names: Vec<_> = reports.iter().map(|report| (report.inf.as_str(), report.published.as_deref())).collect();
    assert_eq!(names, [("net.inf", Some("oem1.inf")), ("autorun.inf", None), ("x86/net.inf", None)]);
    assert!(reports[2].not_applied[0].contains("NTx86"));
    assert!(!reports[0].boot_critical && reports[0].not_applied.is_empty(), "{:?}", reports[0]);
    assert!(reports[0].warnings[0].contains("no catalog"));
    let (system, drivers) = (hive(&tree, HiveFile::System), hive(&tree, HiveFile::Drivers));
    let package = format!(r"DriverDatabase\DriverPackages\{}", reports[0].package);
    assert_eq!(text(&drivers, &package, ""), "oem1.inf");
    assert_eq!(text(&drivers, r"DriverDatabase\DriverInfFiles\oem1.inf", "Active"), reports[0].package);
    let mark = value(&drivers, r"DriverDatabase\DeviceIds\PCI\VEN_3333", "oem1.inf");
    assert_eq!(mark, Some(Value::binary([1, 0xFF, 0, 0])));
    assert!(drivers.find(&format!(r"{package}\Configurations")).is_none() && system.find(&package).is_none());
    assert_eq!(value(&system, "DriverDatabase", "OemInfMap"), Some(Value::binary([0xC0])));
    assert_eq!(text(&system, r"ControlSet002\Services\net", "ImagePath"), r"\SystemRoot\System32\drivers\net.sys");
    assert!(tree.find(r"Windows\System32\drivers\net.sys").is_some());

    // Treated as if Windows needed it to start.
    let mut tree = image();
    let options = DriverOptions { boot_critical: true, ..options() };
    let (reports, _) = edit(&mut tree, TIME, |image| {
        prepare(std::slice::from_ref(&path), &InputFiles::default(), &options, &())?.apply(image)
    })
    .unwrap();
    let system = hive(&tree, HiveFile::System);
    let section = format!(r"DriverDatabase\DriverPackages\{}\Configurations\Net_Inst\Driver", reports[0].package);
    assert_eq!(text(&system, &section, "Characteristics"), "132");
    assert_eq!((text(&system, &section, "BusType"), text(&system, &section, "*IfType")), ("5".into(), "6".into()));
    assert_eq!(text(&system, &format!(r"{section}\Ndi"), "Service"), "net");
    let class = r"ControlSet002\Control\Class\{4d36e972-e325-11ce-bfc1-08002be10318}";
    assert_eq!((text(&system, class, "Class"), text(&system, class, "")), ("Net".into(), "Network".into()));
}

#[test]
fn what_is_wrong_is_one_clear_error() {
    let check = |change: &dyn Fn(&str) -> String, kind: ErrorKind, message: &str| {
        let (folder, mut tree) = (Folder::new(), image());
        folder.put("net.sys", "x");
        let path = folder.put("net.inf", change(NETWORK));
        let error = add_to(&mut tree, std::slice::from_ref(&path)).map(|_| ()).unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(message), "{message}: {error}");
        assert!(error.to_string().contains("net.inf"), "{error}");
        assert_eq!(tree.node_count(), image().node_count());
    };
    let replace = |from: &'static str, to: &'static str| move |text: &str| text.replace(from, to);
    check(&replace("net.sys\n[Dest", "net.sys\nb.sys\n[Dest"), ErrorKind::NotFound, "missing: b.sys");
    let many = |text: &str| text.replace("[Manu", "CatalogFile=a.cat\n[Manu").replace("net.sys\n[Dest", "c.sys\n[Dest");
    check(&many, ErrorKind::NotFound, "c.sys, a.cat");
    check(&replace("NTamd64", "NTarm64"), ErrorKind::Unsupported, "NTarm64");
    check(&replace("Me=M,NTamd64", "Me=M"), ErrorKind::Unsupported, "amd64");
    check(&replace("NTamd64", "NTamd64.10.0...17763"), ErrorKind::Unsupported, "17763");
    check(&replace("[Reg]", "[Reg"), ErrorKind::Corrupt, "line 17");
    check(&replace("HKR,Ndi", "HKX,Ndi"), ErrorKind::Corrupt, "line 18");
    check(&replace("Dir=12", "Dir=99"), ErrorKind::Unsupported, "99");
    check(&replace("Dir=12", "Dir=x"), ErrorKind::Corrupt, "`x`");
    check(&replace("Dir=12", "Dir=12,..\\.."), ErrorKind::Corrupt, "`..`");
    check(&replace("[Files]\nnet.sys", "[Files]\n..\\net.sys"), ErrorKind::Corrupt, "`..`");
    check(&replace("DriverVer", "Driver"), ErrorKind::Corrupt, "DriverVer");
    check(&replace("[Svc]", "[Other]"), ErrorKind::Corrupt, "[Svc]");
    check(&replace("[Net_Inst]", "[Inst]"), ErrorKind::Corrupt, "[Net_Inst]");
    check(&|_| "MZ\0\0".into(), ErrorKind::Corrupt, "");

    let (folder, mut tree) = (Folder::new(), image());
    let error = |tree: &mut FileTree, path: PathBuf| add_to(tree, &[path]).map(|_| ()).unwrap_err();
    assert_eq!(error(&mut tree, folder.0.path().join("none.inf")).kind(), ErrorKind::NotFound);
    assert_eq!(error(&mut tree, folder.0.path().to_owned()).kind(), ErrorKind::NotFound);
    assert_eq!(error(&mut tree, folder.put("a.sys", "")).kind(), ErrorKind::Recipe);
    folder.put("x/a.inf", "[AutoRun]\n");
    assert!(error(&mut tree, folder.0.path().to_owned()).message().contains("none of the 1"));
    for (version, bytes) in [("1", "one"), ("2", "two")] {
        folder.put(&format!("{version}/net.sys"), bytes);
        folder.put(&format!("{version}/net.inf"), NETWORK);
    }
    let clash = error(&mut tree, folder.0.path().to_owned());
    assert!(clash.kind() == ErrorKind::Recipe && clash.message().contains("net.sys"), "{clash}");
}

/// A keyboard filter with a bus in one package: parts of INF files of the image, filters, companions.
#[test]
fn what_other_files_have_is_taken_from_the_image() {
    const BUS: &str = "[Version]\nSignature=$CHICAGO$\nClass=Keyboard\nClassGuid={4d36e96b-e325-11ce-bfc1-08002be10318}\n\
        Provider=Me\nDriverVer=01/02/2016\n[Manufacturer]\nMe=M,NTamd64\n[M.NTamd64]\nKeys=Keys_Inst,ACPI\\PNP0303\n\
        [Keys_Inst]\nInclude=keyboard.inf, other.inf\nNeeds=Standard_Inst\nCopyFiles=@keyfilter.sys\n\
        CopyINF=net.inf,none.inf\n[Keys_Inst.HW]\nAddReg=Hw\n[Hw]\nHKR,,UpperFilters,0x10008,keyfilter\n\
        HKR,,LowerFilters,0x10000,missing\n[Keys_Inst.Services]\nInclude=keyboard.inf\nNeeds=Standard_Inst.Services\n\
        AddService=keyfilter,,Svc\n[Svc]\nServiceType=1\nStartType=3\nErrorControl=1\n\
        ServiceBinary=%12%\\keyfilter.sys\n[Keys_Inst.Filters]\nAddFilter=keyfilter,,Level\n[Level]\n\
        FilterPosition=Upper\n[DestinationDirs]\nDefaultDestDir=12\n";
    const OF_IMAGE: &str = "[Version]\nSignature=$CHICAGO$\n[Standard_Inst]\nNeeds=Deeper\nAddReg=Standard_Reg\n\
        CopyFiles=Standard_Files\n[Deeper]\nAddReg=Deeper_Reg\n[Standard_Reg]\nHKR,,DevLoader,,*ntkern\n[Deeper_Reg]\n\
        HKR,,Deep,0x10001,1\n[Standard_Files]\nport.sys\nthere.sys\ngone.sys\n[DestinationDirs]\nDefaultDestDir=12\n\
        [Standard_Inst.Services]\nAddService=port,2,Port_Svc\nAddService=new,,Port_Svc\n[Port_Svc]\nServiceType=1\n\
        StartType=3\nErrorControl=1\nServiceBinary=%12%\\port.sys\nDisplayName=%name%\n[Strings]\nname=\"A port\"\n";
    let (folder, mut tree) = (Folder::new(), image());
    let keys = folder.put("keys.inf", BUS);
    folder.put("keyfilter.sys", "filter");
    folder.put("net.inf", NETWORK);
    folder.put("net.sys", "net");
    let (without, _) = add_to(&mut tree.clone(), std::slice::from_ref(&keys)).unwrap();
    let told = without[0].not_applied.join("\n");
    assert!(told.contains(r"Needs Standard_Inst: the image has no Windows\INF\keyboard.inf"), "{told}");

    tree.write_file(r"Windows\INF\keyboard.inf", OF_IMAGE.as_bytes().to_vec(), Times::default()).unwrap();
    tree.write_file(r"Windows\System32\drivers\there.sys", vec![3], Times::default()).unwrap();
    let package = r"Windows\System32\DriverStore\FileRepository\keyboard.inf_amd64_1\port.sys";
    let port = tree.write_file(package, vec![4], Times::default()).unwrap();
    let mut system = hive(&tree, HiveFile::System);
    let root = system.root();
    let known = system.create_key(root, r"DriverDatabase\DriverInfFiles\keyboard.inf").unwrap();
    system.set_value(known, "Active", Value::sz("keyboard.inf_amd64_1")).unwrap();
    let service = system.create_key(root, r"ControlSet002\Services\port").unwrap();
    system.set_value(service, "Start", Value::dword(1)).unwrap();
    tree.write_file(HiveFile::System.path(), system.into_bytes(), Times::default()).unwrap();

    let mut warnings = Vec::new();
    let (reports, _) = edit(&mut tree, TIME, |image| {
        let prepared = prepare(std::slice::from_ref(&keys), &InputFiles::default(), &options(), &())?;
        warnings.clone_from(&prepared.warnings);
        prepared.apply(image)
    })
    .unwrap();
    let names: Vec<_> = reports.iter().map(|report| (&*report.inf, report.published.is_some())).collect();
    assert_eq!(names, [("keys.inf", true), ("net.inf", true)], "CopyINF adds it");
    assert!(warnings.len() == 1 && warnings[0].contains("CopyINF none.inf"), "{warnings:?}");
    let told = reports[0].not_applied.join("\n");
    assert!(told.contains("[Keys_Inst.Filters], line 31: AddFilter keyfilter, Level"), "{told}");
    assert!(told.contains(r"Windows\System32\drivers\gone.sys: the image has no gone.sys of keyboard.inf"), "{told}");
    assert_eq!(reports[0].not_applied.len(), 2, "{told}");
    let filters: Vec<_> = reports[0].warnings.iter().filter(|warning| warning.contains("filter")).collect();
    assert!(filters.len() == 1 && filters[0].contains("missing (LowerFilters)"), "{filters:?}");

    let system = hive(&tree, HiveFile::System);
    assert_eq!(tree.find(r"Windows\System32\drivers\port.sys"), Some(port));
    let section = format!(r"DriverDatabase\DriverPackages\{}\Configurations\Keys_Inst", reports[0].package);
    assert_eq!(text(&system, &section, "Service"), "port");
    assert_eq!(text(&system, &format!(r"{section}\Driver"), "DevLoader"), "*ntkern");
    assert_eq!(text(&system, &format!(r"{section}\Driver"), "Deep"), "1");
    assert_eq!(value(&system, &format!(r"{section}\Device"), "UpperFilters").unwrap().kind, ValueKind(0x8_0007));
    assert_eq!(text(&system, r"ControlSet002\Services\port", "Start"), "1", "the image's own service stays");
    assert_eq!(text(&system, r"ControlSet002\Services\new", "DisplayName"), "@keyboard.inf,%name%;A port");
    assert_eq!(text(&system, r"ControlSet002\Services\keyfilter", "Start"), "3");
}

/// A driver that is not for a device, files for directories that only Windows knows, and a file that two drivers have.
#[test]
fn other_kinds_of_files_are_told_or_left_to_windows() {
    let (folder, mut tree) = (Folder::new(), image());
    folder.put("net.sys", "x");
    let primitive =
        NETWORK.replace("[Manufacturer]\nMe=M,NTamd64\n", "").replace("[Net_Inst", "[DefaultInstall.NTamd64");
    let path = folder.put("a.inf", primitive);
    let error = add_to(&mut tree, std::slice::from_ref(&path)).map(|_| ()).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("pnputil /add-driver"), "{error}");

    // A printer: its files stay in the driver store, so their destinations do not matter.
    let printer = |class: &str| {
        let services = NETWORK.find("[Net_Inst.Services]").unwrap();
        NETWORK[..services].replace("Class=Net", class).replace("Dir=12", "Dir=66000")
    };
    std::fs::remove_file(path).unwrap();
    folder.put("b/b.inf", printer("Class=Printer"));
    folder.put("b/net.sys", "other");
    folder.put("c/c.inf", printer("Class=Printers").replace("66000", "11"));
    folder.put("c/net.sys", "third");
    folder.put("d/d.inf", printer("Class=Printing").replace("66000", "11"));
    folder.put("d/net.sys", "fourth");
    let (reports, _) = add_to(&mut tree, &[folder.0.path().to_owned()]).unwrap();
    assert_eq!(reports.iter().filter(|report| report.published.is_some()).count(), 3, "{reports:?}");
    assert!(reports.iter().all(|report| report.not_applied.is_empty()), "{reports:?}");
    // For a boot-critical driver it is reported.
    let bus = folder.put("e/e.inf", printer("Class=System"));
    folder.put("e/net.sys", "fifth");
    let (reports, _) = add_to(&mut tree, &[bus]).unwrap();
    assert!(reports[0].warnings.iter().any(|warning| warning.contains("net.sys is not copied: line")), "{reports:?}");
}

/// Truncated and damaged files give an error or a driver, and nothing else.
#[test]
fn hostile_files_do_no_harm() {
    let target = Target::new(Architecture::Amd64, None).unwrap();
    let folder = Folder::new();
    let path = folder.storage();
    let bytes = std::fs::read(&path).unwrap();
    let read = |bytes: Vec<u8>| {
        Package::read(&path, &InputFiles::default(), bytes, &target, false).map(|package| package.is_ok())
    };
    assert!(read(bytes.clone()).unwrap());
    let mut good = 0;
    for len in (0..bytes.len()).step_by(7).chain(bytes.len() - 20..bytes.len()) {
        good += u32::from(read(bytes[..len].to_vec()).unwrap_or(false));
    }
    assert!(good > 0, "the end of the file is its strings");
    let mut state = 1_u32;
    let text = STORAGE.as_bytes();
    for _ in 0..1500 {
        let mut damaged = text.to_vec();
        for _ in 0..3 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = state as usize % damaged.len();
            damaged[at] = b"%\\\"[]=,;\n\0\xFF.0"[(state >> 24) as usize % 13];
        }
        let _ = read(damaged);
    }
    // A hundred thousand sections that name each other: time must not grow with the square of their number.
    let many = |line: &dyn Fn(u32) -> String| (0..100_000).map(line).collect::<String>();
    let services = many(&|n| format!("AddService=S{n},2,Service_Inst\n"));
    let sections = many(&|n| format!("[N{n}]\nNeeds=N{}\n", n + 1));
    let texts = many(&|n| format!(",t{n}"));
    for large in [
        STORAGE.replace("AddService = Stor,", &format!("{services}AddService = Stor,")),
        STORAGE.replace("[Common]", &format!("{sections}[Common]\nNeeds=N1\n")),
        STORAGE.replace("0x10008,two", &format!("0x10008{texts}")),
    ] {
        folder.put("stor.inf", large);
        let (path, mut tree) = (folder.0.path().join("stor.inf"), image());
        let result = add_to(&mut tree, &[path]).map(|_| ());
        assert!(result.as_ref().err().is_none_or(|error| error.message().contains("too often")), "{result:?}");
    }
    let loops = STORAGE.replace("[Common]", "[Common]\nNeeds=Common,Stor_Inst.NTamd64");
    assert!(read(loops.into_bytes()).unwrap());
}

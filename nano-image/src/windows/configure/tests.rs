//! Whole configurations, applied to small images.

use super::*;
use crate::content::Content;
use crate::error::Result;
use crate::registry::{Hive, HiveOptions, Value};
use crate::tree::{FileTree, Node, Times};
use crate::types::{Architecture, FileTime};
use crate::windows::answer::{AnswerFile, Target};
use crate::windows::edit::HiveFile;
pub(super) use crate::windows::edit::testing::{edit, hive};

pub(super) const TIME: FileTime = FileTime(131_138_784_120_000_000);

/// An image with a SYSTEM hive of two control sets and a SOFTWARE hive.
pub(super) fn image() -> FileTree {
    let mut tree = FileTree::new(Node::directory(Times::default()));
    let mut system = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
    for set in ["ControlSet001", "ControlSet002"] {
        let key = system.create_key(system.root(), &format!(r"{set}\Control\ComputerName\ComputerName")).unwrap();
        system.set_value(key, "ComputerName", Value::sz("MINWINPC")).unwrap();
        system.create_key(system.root(), &format!(r"{set}\Services\Tcpip\Parameters")).unwrap();
    }
    let key = system.create_key(system.root(), "Select").unwrap();
    system.set_value(key, "Current", Value::dword(1)).unwrap();
    let software = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
    for (file, hive) in [(HiveFile::System, system), (HiveFile::Software, software)] {
        tree.write_file(file.path(), hive.into_bytes(), Times::default()).unwrap();
        tree.write_file(&format!("{}.LOG1", file.path()), vec![1; 512], Times::default()).unwrap();
    }
    tree
}

pub(super) fn configure(config: &MachineConfig, password: Option<&str>, tree: &mut FileTree) -> Result<Applied> {
    apply(config.prepare(password.map(Secret::new).as_ref(), Architecture::Amd64)?, tree)
}

fn apply(prepared: Prepared, tree: &mut FileTree) -> Result<Applied> {
    edit(tree, TIME, |image| prepared.apply(image)).map(|(applied, _)| applied)
}

pub(super) fn bytes(tree: &FileTree, path: &str) -> Option<Vec<u8>> {
    match &tree[tree.find(path)?].data {
        Some(Content::Bytes(bytes)) => Some(bytes.to_vec()),
        other => panic!("{path}: {other:?}"),
    }
}

fn answer_place() -> &'static str {
    crate::windows::answer::PLACE
}

fn answer(tree: &FileTree) -> Option<String> {
    bytes(tree, answer_place()).map(|bytes| String::from_utf8(bytes).unwrap())
}

fn named(name: &str) -> MachineConfig {
    MachineConfig { computer_name: Some(name.into()), ..MachineConfig::default() }
}

/// An answer file with `settings` of Shell-Setup in a pass.
fn with_answer(folder: &tempfile::TempDir, pass: &str, settings: &str) -> MachineConfig {
    let path = folder.path().join("unattend.xml");
    let text = format!(
        "<unattend xmlns=\"urn:schemas-microsoft-com:unattend\"><settings pass=\"{pass}\"><component \
         name=\"Microsoft-Windows-Shell-Setup\" processorArchitecture=\"amd64\" publicKeyToken=\"31bf3856ad364e35\" \
         language=\"neutral\">{settings}</component></settings></unattend>"
    );
    std::fs::write(&path, text).unwrap();
    MachineConfig { unattend: Some(path), ..MachineConfig::default() }
}

#[test]
fn the_default_changes_nothing_and_warns() {
    let mut tree = image();
    let before = hive(&tree, HiveFile::System).into_bytes();
    let applied = configure(&MachineConfig::default(), None, &mut tree).unwrap();
    assert_eq!(bytes(&tree, HiveFile::System.path()).unwrap(), before);
    assert!(answer(&tree).is_none() && bytes(&tree, setup_complete::PATH).is_none());
    let warnings = applied.warnings.join("\n");
    assert!(warnings.contains("MINWINPC") && warnings.contains("no administrator password"), "{warnings}");
    let mut empty = FileTree::new(Node::directory(Times::default()));
    configure(&MachineConfig::default(), None, &mut empty).unwrap();
}

#[test]
fn a_name_goes_into_every_control_set_and_logs_are_emptied() {
    let mut tree = image();
    let applied = configure(&named("web-01"), Some("pw"), &mut tree).unwrap();
    assert_eq!((applied.computer_name.as_deref(), applied.warnings.len()), (Some("web-01"), 0));
    let system = hive(&tree, HiveFile::System);
    for set in ["ControlSet001", "ControlSet002"] {
        let value = |path: &str, name: &str| {
            let key = system.find(&format!(r"{set}\{path}")).unwrap();
            assert_eq!(system.key_time(key), TIME);
            system.value(key, name).unwrap().text().unwrap()
        };
        assert_eq!(value(r"Control\ComputerName\ComputerName", "ComputerName"), "WEB-01");
        assert_eq!(value(r"Services\Tcpip\Parameters", "Hostname"), "web-01");
        assert_eq!(value(r"Services\Tcpip\Parameters", "NV Hostname"), "web-01");
    }
    assert!(bytes(&tree, &format!("{}.LOG1", HiveFile::System.path())).unwrap().is_empty());
    assert_eq!(bytes(&tree, &format!("{}.LOG1", HiveFile::Software.path())).unwrap().len(), 512);
    assert!(!answer(&tree).unwrap().contains("ComputerName"));
}

#[test]
fn the_name_reaches_specialize_when_it_must() {
    let star = || {
        let mut tree = image();
        configure(&named("*"), Some("pw"), &mut tree).map(|_| answer(&tree).unwrap())
    };
    assert!(star().unwrap().contains("<ComputerName>*</ComputerName>"));
    let mut tree = image();
    configure(&MachineConfig { name_in_specialize: true, ..named("web-01") }, None, &mut tree).unwrap();
    let text = answer(&tree).unwrap();
    assert!(text.contains("pass=\"specialize\"") && text.contains("<ComputerName>web-01</ComputerName>"), "{text}");
    for config in [
        MachineConfig { name_in_specialize: true, ..named("*") },
        MachineConfig { name_in_specialize: true, ..MachineConfig::default() },
    ] {
        assert!(config.prepare(None, Architecture::Amd64).err().unwrap().hint().is_some());
    }
}

#[test]
fn names_that_contradict_the_answer_file_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for pass in ["specialize", "offlineServicing"] {
        for other in ["db-01", "*", ""] {
            let config = with_answer(&folder, pass, &format!("<ComputerName>{other}</ComputerName>"));
            let config = MachineConfig { computer_name: Some("web-01".into()), ..config };
            let error = config.prepare(None, Architecture::Amd64).err().unwrap();
            assert!(error.message().contains(pass) && error.hint().unwrap().contains("remove"), "{error}");
            assert!(error.path().is_some());
        }
        let config = with_answer(&folder, pass, "<ComputerName>WEB-01</ComputerName>");
        MachineConfig { computer_name: Some("web-01".into()), ..config }.prepare(None, Architecture::Amd64).unwrap();
        let config = with_answer(&folder, pass, "<ComputerName>12345</ComputerName>");
        assert!(config.prepare(None, Architecture::Amd64).err().unwrap().message().contains("digits"));
    }
    let config =
        with_answer(&folder, "offlineServicing", "<ComputerName>web-02</ComputerName><TimeZone>UTC</TimeZone>");
    let mut tree = image();
    let applied = configure(&config, Some("pw"), &mut tree).unwrap();
    assert_eq!(applied.computer_name.as_deref(), Some("web-02"));
}

#[test]
fn domain_rules_are_those_of_microsofts_tool() {
    let domain = || MachineConfig { domain_name: Some("corp".into()), ..MachineConfig::default() };
    let blob = || MachineConfig { domain_blob: Some("blob".into()), ..MachineConfig::default() };
    let name = Some("web-01".to_owned());
    for (config, hint) in [
        (MachineConfig { domain_blob: Some("blob".into()), ..domain() }, "keep the blob"),
        (MachineConfig { computer_name: name.clone(), ..blob() }, "leave the name out"),
        (domain(), "give a computer name"),
        (MachineConfig { reuse_domain_node: true, ..MachineConfig::default() }, "/Reuse"),
        (MachineConfig { computer_name: name.clone(), ..domain() }, "djoin /Provision /Domain corp /Machine web-01"),
        (MachineConfig { computer_name: name, reuse_domain_node: true, ..domain() }, "/Reuse"),
    ] {
        let error = config.check().unwrap_err();
        assert!(error.hint().unwrap().contains(hint), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blob");
    std::fs::write(&path, "ARAIAMzM").unwrap();
    let named = with_answer(&folder, "specialize", "<ComputerName>web-01</ComputerName>");
    let error =
        MachineConfig { domain_blob: Some(path.clone()), ..named }.prepare(None, Architecture::Amd64).err().unwrap();
    assert!(error.hint().unwrap().contains("blob carries the name"));
    let mut tree = image();
    let config = MachineConfig { domain_blob: Some(path), ..MachineConfig::default() };
    let applied = configure(&config, Some("pw"), &mut tree).unwrap();
    assert!(applied.warnings.is_empty(), "{:?}", applied.warnings);
    assert!(answer(&tree).unwrap().contains("<AccountData>ARAIAMzM</AccountData>"));
    assert!(blob().prepare(None, Architecture::Amd64).err().unwrap().kind() == crate::error::ErrorKind::NotFound);
}

#[test]
fn the_answer_file_is_closed_to_users_and_shows_no_password() {
    let mut tree = image();
    let config = named("web-01");
    let applied = configure(&config, Some("hunter2"), &mut tree).unwrap();
    let node = tree.find(answer_place()).unwrap();
    let descriptor = &tree.descriptors()[tree[node].security.unwrap().0 as usize];
    assert_eq!((descriptor.len(), descriptor[3] & 0x90), (0x64, 0x90));
    assert!(!answer(&tree).unwrap().contains("hunter2"));
    assert!(!format!("{applied:?} {config:?}").contains("hunter2"));
    // New directories inherit their descriptors when the volume is laid out.
    assert_eq!(tree[tree.find(r"Windows\Panther").unwrap()].security, None);
}

#[test]
fn settings_of_the_offline_pass_are_applied_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("unattend.xml");
    let component = |name: &str, settings: &str| {
        format!(
            "<component name=\"{name}\" processorArchitecture=\"amd64\" publicKeyToken=\"31bf3856ad364e35\" \
             language=\"neutral\">{settings}</component>"
        )
    };
    let text = format!(
        "<unattend xmlns=\"urn:schemas-microsoft-com:unattend\"><settings pass=\"offlineServicing\">{}{}{}{}{}</settings></unattend>",
        component("Networking-MPSSVC-Svc", "<PublicProfile_EnableFirewall>false</PublicProfile_EnableFirewall>"),
        component("Microsoft-Windows-LUA-Settings", "<EnableLUA>true</EnableLUA>"),
        component("Microsoft-Windows-PartitionManager", "<SanPolicy>4</SanPolicy>"),
        component(
            "Microsoft-Windows-SecureStartup-FilterDriver",
            "<PreventDeviceEncryption>true</PreventDeviceEncryption>"
        ),
        component("Microsoft-Windows-Shell-Setup", "<RegisteredOwner>me</RegisteredOwner>"),
    );
    std::fs::write(&path, text).unwrap();
    let mut tree = image();
    let config = MachineConfig { unattend: Some(path), ..MachineConfig::default() };
    let applied = configure(&config, Some("pw"), &mut tree).unwrap();
    let system = hive(&tree, HiveFile::System);
    let key = r"ControlSet002\Services\SharedAccess\Parameters\FirewallPolicy\PublicProfile";
    assert_eq!(system.value(system.find(key).unwrap(), "EnableFirewall").unwrap().as_dword(), Some(0));
    let software = hive(&tree, HiveFile::Software);
    let key = software.find(r"Microsoft\Windows\CurrentVersion\Policies\System").unwrap();
    assert_eq!(software.value(key, "EnableLUA").unwrap().as_dword(), Some(1));
    let warnings = applied.warnings.join("\n");
    assert!(warnings.contains("Shell-Setup/RegisteredOwner (offlineServicing) is not set"), "{warnings}");
    for (key, name, number) in [
        (r"ControlSet002\Services\partmgr\Parameters", "SanPolicy", 4),
        (r"ControlSet002\Control\BitLocker", "PreventDeviceEncryption", 1),
    ] {
        assert_eq!(system.value(system.find(key).unwrap(), name).unwrap().as_dword(), Some(number), "{name}");
    }
}

#[test]
fn packages_that_nobody_takes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("unattend.xml");
    let text = "<unattend xmlns=\"urn:schemas-microsoft-com:unattend\"><servicing><package action=\"install\">\
        <assemblyIdentity name=\"Some-Package\" /></package></servicing></unattend>";
    std::fs::write(&path, text).unwrap();
    let config = MachineConfig { unattend: Some(path), ..MachineConfig::default() };
    let applied = configure(&config, Some("pw"), &mut image()).unwrap();
    assert!(applied.warnings.iter().any(|warning| warning.contains("Some-Package")), "{:?}", applied.warnings);
    let mut prepared = config.prepare(Some(&Secret::new("pw")), Architecture::Amd64).unwrap();
    assert_eq!(prepared.take_servicing().packages[0].identity.name, "Some-Package");
    let applied = apply(prepared, &mut image()).unwrap();
    assert!(!applied.warnings.iter().any(|warning| warning.contains("Some-Package")));
}

#[test]
fn time_zones_that_contradict_the_answer_file_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_answer(&folder, "oobeSystem", "<TimeZone>UTC</TimeZone>");
    let zone = |zone: &str| MachineConfig { time_zone: Some(zone.into()), ..config.clone() };
    assert!(zone("GMT Standard Time").prepare(None, Architecture::Amd64).err().unwrap().hint().is_some());
    let applied = configure(&zone("utc"), Some("pw"), &mut image()).unwrap();
    assert!(applied.warnings.iter().any(|warning| warning.contains("no list of time zones")));
}

#[test]
fn a_dirty_hive_is_completed_or_refused() {
    let mut tree = image();
    let path = HiveFile::System.path();
    let mut dirty = bytes(&tree, path).unwrap();
    // The first of the two sequence numbers.
    dirty[4] ^= 1;
    tree.write_file(path, dirty, Times::default()).unwrap();
    let error = configure(&named("web-01"), Some("pw"), &mut tree).unwrap_err();
    assert!(error.path() == Some(std::path::Path::new(path)) && error.hint().is_some(), "{error}");
    // If nothing must be written, a hive that cannot be read is not an error.
    configure(&MachineConfig::default(), Some("pw"), &mut tree).unwrap();
}

proptest::proptest! {
    #[test]
    fn damaged_inputs_never_panic(edits in proptest::collection::vec((0..400_usize, 0..=255_u8), 0..12), cut in 0..400_usize) {
        let answer = "\u{feff}<?xml version='1.0'?><unattend xmlns='urn:schemas-microsoft-com:unattend'><settings \
            pass='offlineServicing'><component name='Microsoft-Windows-UnattendedJoin'><ComputerName>a&amp;b\
            </ComputerName></component></settings><servicing><package action='install'/></servicing></unattend>";
        let reg = "Windows Registry Editor Version 5.00\r\n[HKEY_CLASSES_ROOT\\x]\r\n\"a\\\\b\"=\"c\\\"d\"\r\n\
            @=hex(7):61,00,\\\r\n  00,00\r\n\"n\"=dword:00000001\r\n[-HKLM\\SYSTEM\\CurrentControlSet\\\u{e9}]\r\n";
        for text in [answer, reg] {
            let mut bytes = text.as_bytes().to_vec();
            for (at, value) in &edits {
                let len = bytes.len();
                bytes[at % len] = *value;
            }
            bytes.truncate(bytes.len().saturating_sub(cut % 40));
            if let Ok(file) = AnswerFile::parse(&bytes) {
                file.judge(&bytes, &Target::default());
                let written = file.to_bytes();
                proptest::prop_assert_eq!(AnswerFile::parse(&written).unwrap().to_bytes(), written);
            }
            if let Ok(file) = reg_file::RegFile::parse(&bytes, None) {
                let mut tree = image();
                let _ = edit(&mut tree, TIME, |image| file.apply(image));
            }
            let _ = domain::read_blob(&bytes);
        }
    }
}

#[test]
fn first_boot_commands_have_the_order_of_microsofts_tool() {
    let mut tree = image();
    let config = MachineConfig {
        interface: Some("Ethernet".into()),
        ipv4_address: Some("10.0.0.5/24".into()),
        remote_management: Some(RemoteManagement::Script),
        setup_command: vec!["ver".into()],
        ..MachineConfig::default()
    };
    configure(&config, Some("pw"), &mut tree).unwrap();
    let script = String::from_utf8(bytes(&tree, setup_complete::PATH).unwrap()).unwrap();
    let at = |what: &str| script.find(what).unwrap_or_else(|| panic!("{what}: {script}"));
    assert!(at("10.0.0.5") < at("WinRM 5985") && at("-29252") < at("\r\nver >>"));
    let config = MachineConfig { setup_command: vec!["dir".into()], ..MachineConfig::default() };
    configure(&config, Some("pw"), &mut tree).unwrap();
    let again = configure(&config, Some("pw"), &mut tree.clone()).unwrap();
    assert!(again.warnings.iter().any(|warning| warning.contains("replaces that of the image")));
    let longer = String::from_utf8(bytes(&tree, setup_complete::PATH).unwrap()).unwrap();
    assert!(longer.starts_with(&script) && longer.ends_with("\r\ndir >> %SCLOG%\r\n"));
}

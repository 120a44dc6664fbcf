//! A configured image, read back by tools that know nothing of this library: ntfscat takes files out of the volume,
//! hivexget reads the hives, xmllint the answer file, ntfssecaudit the descriptor.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::judge;
use crate::judge::{run, scratch};
use fixtures::{Data, FileSpec, Image, Tree, WimBuilder, security};
use nano_image::registry::{Hive, HiveOptions, Value};
use nano_image::types::FileTime;
use nano_image::windows::configure::{FileCopy, RemoteManagement};
use nano_image::{BootSettings, ByteSize, Ems, Format, MachineConfig, Recipe, RecipeBuilder, Report, Secret, Sources};

const PASSWORD: &str = "Pa$$w0rd-of-the-test";
const TZ: &str = r"Microsoft\Windows NT\CurrentVersion\Time Zones";

/// A WIM of an image with boot files and hives. SYSTEM has thousands of keys beside those that are edited.
fn wim(path: &Path) {
    let mut system = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
    let root = system.root();
    for set in ["ControlSet001", "ControlSet002"] {
        let key = system.create_key(root, &format!(r"{set}\Control\ComputerName\ComputerName")).unwrap();
        system.set_value(key, "ComputerName", Value::sz("MINWINPC")).unwrap();
        let services = system.create_key(root, &format!(r"{set}\Services")).unwrap();
        for number in 0..1500 {
            let key = system.create_key(services, &format!("Service{number}")).unwrap();
            system.set_value(key, "Start", Value::dword(number % 5)).unwrap();
        }
    }
    let key = system.create_key(root, "Select").unwrap();
    system.set_value(key, "Current", Value::dword(2)).unwrap();
    let mut software = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
    let key = software.create_key(software.root(), &format!(r"{TZ}\UTC")).unwrap();
    software.set_value(key, "TZI", Value::binary([0; 44])).unwrap();
    for name in ["Std", "Dlt"] {
        software.set_value(key, name, Value::sz("UTC")).unwrap();
    }
    let default = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();

    let mut tree = Tree::new();
    *tree.spec_mut(Tree::ROOT) = FileSpec::directory().security(&security::directory());
    let mut add = |path: &str, data: Data| {
        tree.add(path, FileSpec::file(data).security(&security::windows_file()));
    };
    // Only the header of a PE program for x64 is looked at.
    let mut program = vec![0; 4096];
    program[..2].copy_from_slice(b"MZ");
    program[0x3C] = 0x80;
    program[0x80..0x86].copy_from_slice(b"PE\0\0\x64\x86");
    add(r"Windows\Boot\EFI\bootmgfw.efi", Data::bytes(program));
    add(r"Windows\System32\winload.efi", Data::noise(2, 300_000));
    for (name, hive) in [("SYSTEM", system), ("SOFTWARE", software), ("DEFAULT", default)] {
        add(&format!(r"Windows\System32\config\{name}"), Data::bytes(hive.into_bytes()));
        add(&format!(r"Windows\System32\config\{name}.LOG1"), Data::noise(3, 8192));
    }
    WimBuilder::new().push(Image::new("Nano", tree)).write_file(path).unwrap();
}

/// An image of the WIM, with its Windows volume in a file of its own.
struct Built {
    report: Report,
    image: PathBuf,
    volume: PathBuf,
}

impl Built {
    fn new(name: &str, recipe: RecipeBuilder) -> Self {
        let folder = scratch(name);
        fs::create_dir_all(&folder).unwrap();
        let (source, image) = (folder.join("source.wim"), folder.join("image.raw"));
        wim(&source);
        let recipe = recipe.disk_size(ByteSize::mib(256)).build().unwrap();
        let plan = recipe.plan(&Sources::wim(source), &()).unwrap();
        let report = plan.layout(&()).unwrap().write_file(&image, Format::RAW, &()).unwrap();
        let windows = report.partitions.last().unwrap();
        let volume = folder.join("volume.ntfs");
        let mut bytes = fs::read(&image).unwrap().split_off(windows.start as usize);
        bytes.truncate(windows.size as usize);
        fs::write(&volume, bytes).unwrap();
        Self { report, image, volume }
    }

    /// A file of the Windows volume, as ntfscat finds it, put beside the volume.
    fn extract(&self, path: &str) -> PathBuf {
        let output = Command::new("ntfscat").arg("-f").arg(&self.volume).arg(path).output().unwrap();
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        let file = self.volume.with_file_name(path.replace('/', "_"));
        fs::write(&file, output.stdout).unwrap();
        file
    }
}

/// A value as hivexget prints it.
fn value(hive: &Path, key: &str, name: &str) -> String {
    run("hivexget", &[hive.to_str().unwrap(), key, name]).trim_end().to_owned()
}

#[test]
fn a_configured_image_reads_back_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let unattend = put(
        "unattend.xml",
        br#"<?xml version="1.0" encoding="utf-8"?>
<unattend xmlns="urn:schemas-microsoft-com:unattend" xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State">
  <settings pass="offlineServicing" wasPassProcessed="true">
    <component name="Microsoft-Windows-UnattendedJoin" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral"><ComputerName>web-01</ComputerName></component>
  </settings>
  <settings pass="oobeSystem">
    <component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral"><RegisteredOwner>A &amp; B</RegisteredOwner></component>
  </settings>
</unattend>"#,
    );
    let reg = put(
        "edits.reg",
        b"Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\Service7]\r\n\
          \"Start\"=dword:00000004\r\n[-HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services\\Service8]\r\n",
    );
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let copy = |source: PathBuf, destination: &str| FileCopy { source, destination: Some(destination.into()) };
    let machine = MachineConfig {
        computer_name: Some("Web-01".into()),
        name_in_specialize: true,
        unattend: Some(unattend),
        interface: Some("Ethernet".into()),
        ipv4_address: Some("10.0.0.5/24".into()),
        remote_management: Some(RemoteManagement::Offline),
        setup_command: vec!["ver".into()],
        time_zone: Some("utc".into()),
        locale: Some("de-DE".into()),
        copy: vec![copy(put("big", &big), r"\Tools\big.bin"), copy(put("small", b"small"), r"\Tools\")],
        reg: vec![reg],
        ..MachineConfig::default()
    };
    let boot = BootSettings {
        ems: Some(Ems { port: 1, baud: 115_200 }),
        debug: Some("serial".parse().unwrap()),
        test_signing: false,
        ..BootSettings::default()
    };
    let recipe =
        || Recipe::image("1").machine(machine.clone()).boot(boot.clone()).administrator_password(Secret::new(PASSWORD));
    let built = Built::new("configured", recipe());

    let system = built.extract("Windows/System32/config/SYSTEM");
    run("hivexml", &[system.to_str().unwrap()]);
    for set in ["ControlSet001", "ControlSet002"] {
        let value = |key: &str, name: &str| value(&system, &format!(r"\{set}\{key}"), name);
        assert_eq!(value(r"Control\ComputerName\ComputerName", "ComputerName"), "WEB-01");
        assert_eq!(value(r"Services\Tcpip\Parameters", "Hostname"), "Web-01");
        assert_eq!(value(r"Services\Tcpip\Parameters", "NV Hostname"), "Web-01");
        assert_eq!(value(r"Control\TimeZoneInformation", "TimeZoneKeyName"), "UTC");
        assert_eq!(value(r"Control\Nls\Language", "Default"), "0407");
        assert_eq!(value(r"Control\Nls\CodePage", "ACP"), "1252");
        let rules = r"Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules";
        assert!(value(rules, "WINRM-5985-In-TCP").contains("LPort=5985"));
        assert_eq!(value(r"Services\Service1499", "Start"), "4");
    }
    assert_eq!(value(&system, r"\ControlSet002\Services\Service7", "Start"), "4");
    assert_eq!(value(&system, r"\ControlSet001\Services\Service7", "Start"), "2");
    let keys = run("hivexml", &[system.to_str().unwrap()]);
    assert_eq!(keys.matches("name=\"Service8\"").count(), 1);
    let default = built.extract("Windows/System32/config/DEFAULT");
    assert_eq!(value(&default, r"\Control Panel\International", "LocaleName"), "de-DE");
    for (log, len) in [("SYSTEM.LOG1", 0), ("DEFAULT.LOG1", 0), ("SOFTWARE.LOG1", 0)] {
        let file = built.extract(&format!("Windows/System32/config/{log}"));
        assert_eq!(fs::metadata(file).unwrap().len(), len, "{log}");
    }

    let answer = built.extract("Windows/Panther/Unattend.xml");
    let xpath = |pass: &str, path: &str| {
        let path = path.split('/').map(|name| format!("/*[local-name()='{name}']")).collect::<String>();
        let path = format!("string(//*[local-name()='settings'][@pass='{pass}']/*[local-name()='component']{path})");
        run("xmllint", &["--nonet", "--xpath", &path, answer.to_str().unwrap()]).trim_end().to_owned()
    };
    run("xmllint", &["--noout", "--nonet", answer.to_str().unwrap()]);
    assert_eq!(xpath("specialize", "ComputerName"), "Web-01");
    assert_eq!(xpath("oobeSystem", "RegisteredOwner"), "A & B");
    assert_eq!(xpath("oobeSystem", "TimeZone"), "UTC");
    assert_eq!(xpath("oobeSystem", "UserAccounts/AdministratorPassword/PlainText"), "false");
    let script = "import sys,base64; print(base64.b64decode(sys.argv[1]).decode('utf-16-le'))";
    let encoded = xpath("oobeSystem", "UserAccounts/AdministratorPassword/Value");
    assert_eq!(run("python3", &["-c", script, &encoded]).trim_end(), format!("{PASSWORD}AdministratorPassword"));
    let text = fs::read_to_string(&answer).unwrap();
    assert!(!text.contains("wasPassProcessed") && !text.contains("UnattendedJoin") && !text.contains(PASSWORD));
    let audit = run("ntfssecaudit", &[built.volume.to_str().unwrap(), "/Windows/Panther/Unattend.xml"]);
    assert!(audit.contains("mode 0700"), "{audit}");

    let script = fs::read_to_string(built.extract("Windows/Setup/Scripts/SetupComplete.cmd")).unwrap();
    assert!(script.starts_with("@ECHO OFF\r\n") && script.ends_with("\r\nver >> %SCLOG%\r\n"), "{script}");
    assert!(script.contains("set address \"Ethernet\" static 10.0.0.5 255.255.255.0 >> %SCLOG%\r\n"), "{script}");
    assert!(fs::read(built.extract("Tools/big.bin")).unwrap() == big);
    assert_eq!(fs::read(built.extract("Tools/small")).unwrap(), b"small");
    judge::ntfs_volume(&built.volume);

    let report = format!("{:?}", built.report);
    assert!(report.contains("0x80220001") && !report.contains(PASSWORD), "{report}");
    let again = Built::new("configured-again", recipe());
    assert!(fs::read(&built.image).unwrap() == fs::read(&again.image).unwrap(), "a second build has other bytes");
}

#[test]
fn a_recipe_is_flat_and_never_holds_the_password() {
    let copy = vec!["a:b".parse().unwrap()];
    let machine = MachineConfig { computer_name: Some("web-01".into()), copy, ..MachineConfig::default() };
    let recipe = Recipe::image("1").machine(machine).administrator_password(Secret::new(PASSWORD)).build().unwrap();
    let json = serde_json::to_string(&recipe).unwrap();
    assert!(json.contains(r#""computer-name":"web-01""#) && json.contains(r#""copy":["a:b"]"#), "{json}");
    assert!(!json.contains(PASSWORD) && !format!("{recipe:?}").contains(PASSWORD));
    let read: Recipe = serde_json::from_str(&json).unwrap();
    assert_eq!(read.machine(), recipe.machine());
    for (from, to) in [("\"strict\":false", "\"strict\":false,\"typo\":1"), ("\"copy\":[\"a:b\"]", "\"copy\":[\":b\"]")]
    {
        let wrong = json.replace(from, to);
        assert!(wrong != json && serde_json::from_str::<Recipe>(&wrong).is_err(), "{wrong}");
    }
    let given = json.replace("\"strict\":false", "\"administrator-password\":\"x\"");
    assert!(serde_json::from_str::<Recipe>(&given).is_err(), "a password in a recipe file is refused");
}

//! Images for every host and of every Windows of today, taken apart by programs of others alone: sgdisk finds the
//! partitions, mtools and ntfs-3g the files, hivex reads hives and stores, xmllint answer files.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::process::Command;

use fixtures::outside;

use crate::hosts::{BOOTMGR, build, drivers, number, place, store};
use crate::support::Place;

/// What `program` prints.
fn run(place: &Place, program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).current_dir(place.path("")).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// First byte and length of partition `number` of a raw image, as sgdisk or, of an MBR disk, sfdisk finds it.
fn extent(place: &Place, image: &str, number: usize, is_gpt: bool) -> (usize, usize) {
    let sectors: Vec<usize> = if is_gpt {
        let text = String::from_utf8(run(place, "sgdisk", &["-i", &number.to_string(), image])).unwrap();
        let sector = |name: &str| {
            let rest = text.split_once(name).unwrap_or_else(|| panic!("no {name}: {text}")).1;
            rest.split_whitespace().next().unwrap().parse().unwrap()
        };
        let first: usize = sector("First sector: ");
        vec![first, sector("Last sector: ") + 1 - first]
    } else {
        let text = String::from_utf8(run(place, "sfdisk", &["-d", image])).unwrap();
        let line = text.lines().filter(|line| line.starts_with(image)).nth(number - 1).unwrap();
        let value = |name: &str| line.split_once(name).unwrap().1.trim().split(',').next().unwrap().parse().unwrap();
        vec![value("start="), value("size=")]
    };
    (sectors[0] * 512, sectors[1] * 512)
}

/// Writes partition `number` of a raw image to the file `pN`.
fn cut(place: &Place, image: &str, number: usize, is_gpt: bool) -> String {
    let (start, len) = extent(place, image, number, is_gpt);
    let name = format!("p{number}");
    let mut disk = fs::File::open(place.path(image)).unwrap();
    disk.seek(SeekFrom::Start(start as u64)).unwrap();
    let mut volume = fs::File::create(place.path(&name)).unwrap();
    std::io::copy(&mut disk.take(len as u64), &mut volume).unwrap();
    name
}

/// Takes a file of an NTFS volume.
fn take(place: &Place, volume: &str, path: &str, name: &str) {
    fs::write(place.path(name), run(place, "ntfscat", &["-f", volume, path])).unwrap();
}

/// What an XPath expression gives of a file.
fn xpath(place: &Place, file: &str, expression: &str) -> String {
    String::from_utf8(run(place, "xmllint", &["--xpath", expression, file])).unwrap().trim().to_owned()
}

/// What a host is to have: name, ending of its format, firmware, whether it needs drivers that Windows lacks, whether its
/// clock is UTC, whether it has no screen.
type Row = (&'static str, &'static str, &'static str, bool, bool, bool);

const HOSTS: [Row; 10] = [
    ("hyper-v", "vhdx", "uefi", false, false, false),
    ("hyper-v", "vhd", "bios", false, false, false),
    ("kvm", "qcow2", "uefi", true, true, false),
    ("kubevirt", "qcow2", "uefi", true, true, true),
    ("openstack", "qcow2", "bios", true, true, true),
    ("azure", "vhd", "bios", false, true, true),
    ("azure", "vhd", "uefi", false, true, true),
    ("vmware", "vmdk", "uefi", false, false, false),
    ("virtualbox", "vhd", "uefi", false, false, false),
    ("cloud-hypervisor", "raw", "uefi", true, true, true),
];

fn every_host(windows: &str) {
    if !outside::programs("hivexget, hivexregedit, mtools, ntfscat, sfdisk, sgdisk, wimlib-imagex, xmllint") {
        return;
    }
    let place = place(windows);
    drivers(&place);
    let is_arm64 = windows.ends_with("arm64");
    let is_server = windows.starts_with("server");
    // The same Windows without its loaders, and without its drivers.
    for (name, gone) in [("no-loader.wim", "System32/winload.*"), ("no-drivers.wim", "System32/drivers/*.sys")] {
        fs::copy(place.path("install.wim"), place.path(name)).unwrap();
        let listed = String::from_utf8(run(&place, "wimlib-imagex", &["dir", name, "1"])).unwrap();
        let (start, end) = gone.split_once('*').unwrap();
        let is_gone = |path: &&str| {
            let path = path.to_lowercase();
            path.starts_with(&format!("/windows/{}", start.to_lowercase())) && path.ends_with(end)
        };
        let found: Vec<&str> = listed.lines().filter(is_gone).collect();
        assert!(!found.is_empty(), "{name}");
        for path in found {
            run(&place, "wimlib-imagex", &["update", name, "1", &format!("--command=delete '{path}'")]);
        }
    }
    for (host, ending, firmware, is_virtio, is_utc, is_headless) in HOSTS {
        let firmware = if is_arm64 { "uefi" } else { firmware };
        let uefi = firmware == "uefi";
        let (output, case) = (format!("a.{ending}"), format!("{windows}, {host}, {firmware}"));
        let needs_drivers = is_virtio || is_arm64 && ["vmware", "virtualbox"].contains(&host);
        let always = ["--for", host, "--firmware", firmware];
        if needs_drivers {
            build(&place, &output, &always).fails(3, &["the image is not fit for its host", host, "--driver"]);
        }
        let drivers: &[&str] = if needs_drivers { &["--driver", "virtio"] } else { &[] };
        for source in ["no-loader.wim", "no-drivers.wim"] {
            let from = ["build", "--wim", source, "--size", "256M", "-o", "none.raw"];
            place.run(&[&from[..], &always, drivers].concat()).fails(3, &["--allow-unbootable"]);
            assert!(!place.path("none.raw").exists(), "{case}");
        }
        let machine =
            ["--computer-name", "box-01", "--skip-oobe", "--local-user", "ann", "--secret", "user.ann=file:pw"];
        fs::write(place.path("pw"), "Passw0rd!").unwrap();
        let raw = if ending == "raw" { &[][..] } else { &["-o", "a.raw"] };
        let run_all = build(&place, &output, &[&always[..], drivers, &machine, raw, &["--json"]].concat()).ok();
        let report = run_all.json();
        assert!(!run_all.stderr.contains("Nano Server"), "{case}: {}", run_all.stderr);
        if ending == "vhd" {
            let format = if host == "azure" { "fixed" } else { "dynamic" };
            assert_eq!(report["outputs"][0]["subformat"], format, "{case}");
        }
        place.run(&["verify", &output]).ok();

        let volume = cut(&place, "a.raw", if uefi { 3 } else { 1 }, uefi);
        take(&place, &volume, "Windows/System32/config/SYSTEM", "SYSTEM");
        let clock = number(&place, r"\ControlSet001\Control\TimeZoneInformation", "RealTimeIsUniversal");
        assert_eq!(clock == Some(1), is_utc, "{case}");
        let disks = number(&place, r"\ControlSet001\Services\partmgr\Parameters", "SanPolicy");
        assert_eq!(disks == Some(1), is_utc, "{case}");
        if is_server {
            let console = number(&place, r"\ControlSet001\Services\sacsvr", "Start");
            assert_eq!(console, Some(if is_headless { 2 } else { 3 }), "{case}");
        }
        if is_virtio {
            assert_eq!(number(&place, r"\ControlSet001\Services\viostor", "Start"), Some(0), "{case}");
            take(&place, &volume, "Windows/System32/drivers/viostor.sys", "file");
            assert_eq!(place.read("file"), [7; 9000]);
        }
        if uefi {
            let esp = cut(&place, "a.raw", 1, uefi);
            run(&place, "mcopy", &["-n", "-o", "-i", &esp, "::EFI/Microsoft/Boot/BCD", "BCD"]);
            let program = if is_arm64 { "bootaa64.efi" } else { "bootx64.efi" };
            run(&place, "mcopy", &["-n", "-o", "-i", &esp, &format!("::EFI/Boot/{program}"), "boot.efi"]);
        } else {
            take(&place, &volume, "Boot/BCD", "BCD");
        }
        let store = store(&place);
        let has = |element: &str| store.iter().any(|found| found.ends_with(element));
        // recoveryenabled, bootstatuspolicy, ems.
        for element in ["16000009 hex(3):00", "250000e0 hex(3):01,00,00,00,00,00,00,00", "260000b0 hex(3):01"] {
            assert_eq!(has(element), is_headless, "{case} {element}: {store:#?}");
        }
        let integrity = format!("{BOOTMGR} 1500004b hex(3):01,00,00,00,00,00,00,00");
        assert_eq!(has(&integrity), host == "azure", "{case}");
        // A BIOS finds Windows, but Azure wants its partition.
        let locates = store.iter().any(|found| found.contains(" 21000001 ") && found.contains("08,00,00,00,00,00"));
        assert_eq!(locates, !uefi && host != "azure", "{case}: {store:#?}");

        take(&place, &volume, "Windows/Panther/Unattend.xml", "answer.xml");
        let of = |pass: &str, name: &str| {
            let expression = format!("string(//*[local-name()='settings'][@pass='{pass}']//*[local-name()='{name}'])");
            xpath(&place, "answer.xml", &expression)
        };
        assert_eq!(of("specialize", "ComputerName"), "box-01", "{case}");
        assert_eq!((of("oobeSystem", "HideEULAPage"), of("oobeSystem", "Name")), ("true".into(), "ann".into()));
        let architecture = if is_arm64 { "arm64" } else { "amd64" };
        let strangers = format!("count(//*[local-name()='component'][@processorArchitecture!='{architecture}'])");
        assert_eq!(xpath(&place, "answer.xml", &strangers), "0", "{case}");
    }
}

#[test]
fn server_core_is_built_for_every_host() {
    every_host("server-2022");
}

#[test]
fn windows_11_is_built_for_every_host() {
    every_host("windows-11");
}

#[test]
fn arm64_is_built_for_every_host() {
    every_host("windows-11-arm64");
}

#[test]
fn the_recovery_environment_lies_where_its_settings_say() {
    if !outside::programs("hivexregedit, mtools, ntfscat, sfdisk, sgdisk, xmllint") {
        return;
    }
    for (windows, output, is_gpt) in [("server-2022", "a.raw", true), ("windows-11", "a.raw", false)] {
        let place = place(windows);
        let firmware = if is_gpt { "uefi" } else { "bios" };
        build(&place, output, &["--recovery-size", "64M", "--firmware", firmware]).ok();
        let (windows, last) = if is_gpt { (3, 4) } else { (1, 2) };
        let (start, _) = extent(&place, output, last, is_gpt);
        let volumes = [windows, last].map(|number| cut(&place, output, number, is_gpt));
        take(&place, &volumes[0], "Windows/System32/Recovery/ReAgent.xml", "ReAgent.xml");
        take(&place, &volumes[1], "Recovery/WindowsRE/ReAgent.xml", "copy.xml");
        assert_eq!(place.read("ReAgent.xml"), place.read("copy.xml"));
        let find = |attribute: &str| xpath(&place, "ReAgent.xml", &format!("string(//{attribute})")).to_lowercase();
        assert_eq!(find("WinreLocation/@offset"), start.to_string());
        let text = String::from_utf8(match is_gpt {
            true => run(&place, "sgdisk", &["-p", "-i", "4", output]),
            false => run(&place, "sfdisk", &["-d", output]),
        });
        let text = text.unwrap().to_lowercase();
        let after = |name: &str| text.split_once(name).unwrap().1.split_whitespace().next().unwrap().to_owned();
        if is_gpt {
            assert_eq!(find("WinreLocation/@guid"), format!("{{{}}}", after("disk identifier (guid): ")));
            assert_eq!(find("WinreLocation/@id"), "0");
            assert!(text.contains("attribute flags: 8000000000000001"), "{text}");
            assert!(text.contains("de94bba4-06d1-4d40-a16a-bfd50179d6ac"), "{text}");
        } else {
            let signature = u32::from_str_radix(after("label-id: ").trim_start_matches("0x"), 16).unwrap();
            assert_eq!(find("WinreLocation/@id"), signature.to_string());
            assert_eq!(find("WinreLocation/@guid"), "{00000000-0000-0000-0000-000000000000}");
            assert!(text.contains("type=27"), "{text}");
        }
        let folder = xpath(&place, "ReAgent.xml", "string(//WinreLocation/@path)").replace('\\', "/");
        take(&place, &volumes[1], &format!("{folder}/Winre.wim"), "winre.wim");
        assert!(!place.read("winre.wim").is_empty());
        if is_gpt {
            let esp = cut(&place, output, 1, is_gpt);
            run(&place, "mcopy", &["-n", "-o", "-i", &esp, "::EFI/Microsoft/Boot/BCD", "BCD"]);
        } else {
            take(&place, &volumes[0], "Boot/BCD", "BCD");
        }
        // The entry that the settings name starts from a RAM disk (winpe).
        let entry = format!("{} 26000022", find("WinreBCD/@id"));
        assert!(store(&place).iter().any(|found| found.starts_with(&entry)), "{entry}");
    }
}

/// OpenSSH ignores keys that anybody else could have written. ntfssecaudit shows the descriptor of the file.
#[test]
fn keys_of_administrators_are_theirs_alone() {
    if !outside::programs("ntfscat, ntfssecaudit, sgdisk") {
        return;
    }
    let place = place("server-2025");
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPmMdeSFJdEfd0xrLgbZJkT4Jg0sGgrpVPgdnYQsiHso me\n";
    fs::write(place.path("key.pub"), key).unwrap();
    build(&place, "a.raw", &["--ssh-key", "key.pub"]).ok();
    let volume = cut(&place, "a.raw", 3, true);
    let keys = "ProgramData/ssh/administrators_authorized_keys";
    take(&place, &volume, keys, "keys");
    assert_eq!(String::from_utf8(place.read("keys")).unwrap().replace("\r\n", "\n"), key);
    let shown = |path: &str| {
        let text = String::from_utf8(run(&place, "ntfssecaudit", &["-v", &volume, path])).unwrap();
        assert!(text.contains("No errors were found"), "{text}");
        let is_line = |line: &&str| line.starts_with("        0") && line.len() > 14;
        let lines: Vec<&str> = text.lines().filter(is_line).map(|line| line[14..].trim()).collect();
        lines.join(" ").replace(' ', "")
    };
    let (system, administrators) = ("010100000000000512000000", "01020000000000052000000020020000");
    // Protected, so that nothing is inherited; all access for two, and no third entry.
    let file = shown(keys);
    let header = "0100049048000000580000000000000014000000";
    let list = format!("0200340002000000{}{system}{}{administrators}", "00001400ff011f00", "00001800ff011f00");
    assert_eq!(file, format!("{header}{list}{administrators}{system}"));
    // The folder hands that on, and lets users read what is told to them.
    let folder = shown("ProgramData/ssh");
    let users = "01010000000000050b000000";
    for entry in [format!("00031400ff011f00{system}"), format!("00031800ff011f00{administrators}")] {
        assert!(folder.contains(&entry), "{folder}");
    }
    assert!(folder.contains(&format!("00031400a9001200{users}")), "{folder}");
}

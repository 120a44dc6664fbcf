//! `--for` and `--boot-setting`: images of today's Windows, read back with tools of others.

use std::fs;
use std::process::Command;

use fixtures::outside;

use fixtures::scenes::{self, Windows};

use crate::support::{Place, Run};

/// A folder with the WIM of a Windows.
pub fn place(windows: &str) -> Place {
    let place = Place::empty();
    let windows = Windows::named(windows).unwrap();
    let efi = scenes::pe_stand_in_for(if windows.is_arm64 { 0xAA64 } else { 0x8664 });
    fs::write(place.path("install.wim"), windows.wim(&efi).to_bytes()).unwrap();
    place
}

/// Builds `output` in 256 MiB.
pub fn build(place: &Place, output: &str, more: &[&str]) -> Run {
    place.run(&[&["build", "--wim", "install.wim", "--size", "256M", "--force", "-o", output], more].concat())
}

/// Drivers in the shape of virtio-win's, and of those of VMware and VirtualBox for ARM64, which come with no Windows.
pub fn drivers(place: &Place) {
    for (name, class, start, ids) in [
        (
            "viostor",
            "SCSIAdapter",
            0,
            [r"1AF4&DEV_1001&SUBSYS_00021AF4&REV_00", r"1AF4&DEV_1042&SUBSYS_11001AF4&REV_01"],
        ),
        ("netkvm", "Net", 3, [r"1AF4&DEV_1000&SUBSYS_00011AF4&REV_00", r"1AF4&DEV_1041&SUBSYS_11001AF4&REV_01"]),
        ("vmnet", "Net", 3, ["15AD&DEV_07B0", "8086&DEV_100E"]),
    ] {
        let guid = if start == 0 { "4D36E97B" } else { "4D36E972" };
        let inf = format!(
            "[Version]\r\nSignature=\"$WINDOWS NT$\"\r\nClass={class}\r\n\
             ClassGuid={{{guid}-E325-11CE-BFC1-08002BE10318}}\r\nProvider=%who%\r\nDriverVer=01/01/2024,1.0.0.0\r\n\
             [Manufacturer]\r\n%who%=Models,NTamd64,NTarm64\r\n\
             [Models.NTamd64]\r\n%d%=Install,PCI\\VEN_{0}\r\n%d%=Install,PCI\\VEN_{1}\r\n\
             [Models.NTarm64]\r\n%d%=Install,PCI\\VEN_{0}\r\n%d%=Install,PCI\\VEN_{1}\r\n\
             [Install]\r\nCopyFiles=Files\r\n[Install.Services]\r\nAddService={name},2,Service\r\n\
             [Service]\r\nServiceType=1\r\nStartType={start}\r\nErrorControl=1\r\nServiceBinary=%12%\\{name}.sys\r\n\
             LoadOrderGroup=SCSI miniport\r\n[Files]\r\n{name}.sys\r\n[DestinationDirs]\r\nDefaultDestDir=12\r\n\
             [SourceDisksNames]\r\n1=d\r\n[SourceDisksFiles]\r\n{name}.sys=1\r\n[Strings]\r\nwho=\"x\"\r\nd=\"y\"\r\n",
            ids[0], ids[1]
        );
        fs::create_dir_all(place.path("virtio")).unwrap();
        fs::write(place.path(&format!("virtio/{name}.inf")), inf).unwrap();
        fs::write(place.path(&format!("virtio/{name}.sys")), vec![7; 9000]).unwrap();
    }
}

/// A file of the image's partition, by our own `cat`; what is in it is judged by others.
fn file(place: &Place, image: &str, partition: &str, path: &str, name: &str) {
    let bytes = place.run(&["cat", image, "-p", partition, path]).ok().stdout;
    fs::write(place.path(name), bytes).unwrap();
}

pub fn number(place: &Place, key: &str, name: &str) -> Option<u32> {
    let output = Command::new("hivexget").arg(place.path("SYSTEM")).args([key, name]).output();
    let output = output.expect("hivexget is installed");
    let text = String::from_utf8(output.stdout).unwrap();
    let digits = text.trim().strip_prefix("dword:").unwrap_or(text.trim()).to_owned();
    output.status.success().then(|| u32::from_str_radix(digits.trim_start_matches("0x"), 16).unwrap())
}

/// The elements of the store's objects: `GUID code` and the bytes as hexadecimal digits or text.
pub fn store(place: &Place) -> Vec<String> {
    let mut command = Command::new("hivexregedit");
    command.args(["--export", "--unsafe-printable-strings"]).arg(place.path("BCD")).arg(r"\Objects");
    let output = command.output().expect("hivexregedit is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap().to_lowercase();
    let mut elements = Vec::new();
    let mut key = String::new();
    for line in text.lines() {
        if let Some(path) = line.strip_prefix(r"[\objects\").or(line.strip_prefix("[objects\\")) {
            key = path.trim_end_matches(']').replace(r"\elements\", " ");
        } else if let Some(value) = line.strip_prefix("\"element\"=") {
            elements.push(format!("{key} {value}"));
        }
    }
    elements
}

pub const BOOTMGR: &str = "{9dea862c-5cdd-4e70-acc1-f32b344d4795}";

#[test]
fn explicit_flags_win() {
    if !outside::programs("hivexregedit") {
        return;
    }
    let place = place("server-2022");
    drivers(&place);
    let more = ["--for", "openstack", "--driver", "virtio", "--firmware", "uefi", "--boot-setting", "timeout=30"];
    let run = build(&place, "a.vhdx", &[&more[..], &["--boot-setting", "recoveryenabled=yes", "--json"]].concat()).ok();
    assert_eq!(run.json()["partitions"].as_array().unwrap().len(), 3);
    file(&place, "a.vhdx", "1", r"EFI\Microsoft\Boot\BCD", "BCD");
    let store = store(&place);
    assert!(store.contains(&format!("{BOOTMGR} 25000004 hex(3):1e,00,00,00,00,00,00,00")), "{store:#?}");
    assert!(store.iter().any(|found| found.ends_with(" 16000009 hex(3):01")), "{store:#?}");
    build(&place, "a.vhdx", &["--boot-setting", "timeuot=3"]).fails(2, &["timeuot", "did you mean `timeout`?"]);
    build(&place, "a.vhdx", &["--boot-setting", "sos=on", "--boot-setting", "loader:sos=off"])
        .fails(2, &["two values"]);
    // An answer file would hide that of the host, and a format that the host does not take is told.
    let run = build(&place, "a.qcow2", &["--for", "kubevirt", "--driver", "virtio", "--computer-name", "*"]).ok();
    assert!(run.stderr.contains("sysprep disk"), "{}", run.stderr);
    let run = build(&place, "a.vhdx", &["--for", "azure", "--progress", "plain"]).ok();
    assert!(run.stderr.contains("azure does not take such images"), "{}", run.stderr);
}

#[test]
fn a_driver_must_be_bound_start_and_be_there() {
    let place = place("server-2022");
    drivers(&place);
    let key = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services";
    let with = |text: &str| {
        fs::write(place.path("a.reg"), format!("Windows Registry Editor Version 5.00\r\n\r\n{text}\r\n")).unwrap();
        build(&place, "a.qcow2", &["--for", "kvm", "--driver", "virtio", "--reg", "a.reg"])
    };
    with(&format!("[{key}\\viostor]\r\n\"Start\"=dword:00000000")).ok();
    with(&format!("[{key}\\other\\StartOverride]\r\n\"0\"=dword:00000003")).ok();
    // Names as text of Windows: `gone`, and the end of the list.
    let filter = r"[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Class\{4d36e967-e325-11ce-bfc1-08002be10318}]"
        .to_owned()
        + "\r\n\"UpperFilters\"=hex(7):67,00,6f,00,6e,00,65,00,00,00,00,00";
    for (text, part) in [
        (format!("[{key}\\storvsc]\r\n\"Start\"=dword:00000003"), "its Start is 3, not 0"),
        (format!("[{key}\\storvsc\\StartOverride]\r\n\"0\"=dword:00000003"), "its StartOverride is 3"),
        (format!("[{key}\\storvsc]\r\n\"ImagePath\"=\"System32\\\\drivers\\\\none.sys\""), "none.sys"),
        (format!("[-{key}\\storvsc]"), "storvsc of wstorvsc.inf is not in the registry"),
        (format!("[{key}\\netvsc]\r\n\"Start\"=dword:00000004"), "netvsc is disabled"),
        (filter.clone(), "filter gone (UpperFilters of the class DiskDrive)"),
    ] {
        fs::write(place.path("a.reg"), format!("Windows Registry Editor Version 5.00\r\n\r\n{text}\r\n")).unwrap();
        build(&place, "a.vhdx", &["--for", "hyper-v", "--reg", "a.reg"]).fails(3, &[part, "hint: "]);
        assert!(!place.path("a.vhdx").exists());
        build(&place, "b.vhdx", &["--for", "hyper-v", "--reg", "a.reg", "--allow-unbootable"]).ok();
    }
}

#[test]
fn compact_images_need_the_driver_that_shows_them() {
    if !outside::programs("wimlib-imagex") {
        return;
    }
    let place = place("windows-11");
    build(&place, "a.vhdx", &["--compact=lzx"]).ok();
    place.run(&["verify", "a.vhdx"]).ok();
    let key = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\Wof";
    let text = format!("Windows Registry Editor Version 5.00\r\n\r\n[{key}]\r\n\"Start\"=dword:00000004\r\n");
    fs::write(place.path("a.reg"), text).unwrap();
    build(&place, "b.vhdx", &["--compact=lzx", "--reg", "a.reg"]).fails(3, &["wof.sys", "without --compact"]);
    build(&place, "b.vhdx", &["--reg", "a.reg"]).ok();
    // A solid source has no file in a form that Windows reads: all are compressed anew.
    let solid = Command::new("wimlib-imagex")
        .args(["export", "install.wim", "all", "solid.esd", "--solid"])
        .current_dir(place.path(""))
        .output()
        .expect("wimlib-imagex is installed");
    assert!(solid.status.success());
    let run =
        place.run(&["build", "--wim", "solid.esd", "--size", "256M", "-o", "c.vhdx", "--compact=xpress8k", "--json"]);
    let planned = place.run(&["plan", "--wim", "solid.esd", "--size", "256M", "--compact=xpress8k", "--json"]).ok();
    let run = run.ok();
    assert!(run.json()["compact"]["files"].as_u64().unwrap() > 10);
    assert_eq!(run.json()["outputs"], planned.json()["outputs"]);
    place.run(&["verify", "c.vhdx"]).ok();
}

#[test]
fn the_recovery_environment_gets_a_partition() {
    if !outside::programs("hivexregedit, qemu-img, sgdisk, xmllint") {
        return;
    }
    for windows in ["server-2022", "windows-11-arm64"] {
        let place = place(windows);
        let more = ["--recovery-size", "64M", "--json"];
        let planned = place.run(&[&["plan", "--wim", "install.wim", "--size", "256M"], &more[..]].concat()).ok().json();
        let made = build(&place, "a.vhdx", &more).ok().json();
        assert_eq!(planned["outputs"], made["outputs"]);
        place.run(&["verify", "a.vhdx"]).ok();
        let partitions = made["partitions"].as_array().unwrap();
        let (last, windows) = (&partitions[3], &partitions[2]);
        assert_eq!(last["partition-type"].as_str().unwrap().to_lowercase(), "de94bba4-06d1-4d40-a16a-bfd50179d6ac");
        let start = last["start"].as_u64().unwrap();
        assert_eq!(start, windows["start"].as_u64().unwrap() + windows["size"].as_u64().unwrap());
        // sgdisk reads the attributes, xmllint and hivex what leads to the partition.
        let raw = Command::new("qemu-img")
            .args(["convert", "-O", "raw", "a.vhdx", "a.raw"])
            .current_dir(place.path(""))
            .status();
        assert!(raw.expect("qemu-img is installed").success());
        let said = Command::new("sgdisk").args(["-i", "4", "a.raw"]).current_dir(place.path("")).output();
        let said = String::from_utf8(said.expect("sgdisk is installed").stdout).unwrap();
        assert!(said.contains("Attribute flags: 8000000000000001"), "{said}");
        file(&place, "a.vhdx", "3", r"Windows\System32\Recovery\ReAgent.xml", "ReAgent.xml");
        file(&place, "a.vhdx", "4", r"Recovery\WindowsRE\ReAgent.xml", "copy.xml");
        assert_eq!(place.read("ReAgent.xml"), place.read("copy.xml"));
        let find = |xpath: &str| {
            let mut command = Command::new("xmllint");
            command.args(["--xpath", &format!("string({xpath})"), "ReAgent.xml"]).current_dir(place.path(""));
            let output = command.output().expect("xmllint is installed");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        assert_eq!(find("//WinreLocation/@offset"), start.to_string());
        let disk = made["disk-id"].as_str().unwrap().to_lowercase();
        assert_eq!(find("//WinreLocation/@guid").to_lowercase(), format!("{{{disk}}}"));
        file(&place, "a.vhdx", "1", r"EFI\Microsoft\Boot\BCD", "BCD");
        let (store, entry) = (store(&place), find("//WinreBCD/@id").to_lowercase());
        assert!(store.iter().any(|found| found.starts_with(&format!("{entry} 26000022"))), "{entry}: {store:#?}");
        assert!(store.iter().any(|found| found.contains(" 14000008 ")), "{store:#?}");
        for path in [r"Recovery\WindowsRE\Winre.wim", r"Recovery\WindowsRE\boot.sdi"] {
            file(&place, "a.vhdx", "4", path, "file");
            assert!(!place.read("file").is_empty());
        }
        place.run(&["cat", "a.vhdx", "-p", "3", r"Windows\System32\Recovery\Winre.wim"]).fails(3, &["no such file"]);
        build(&place, "b.vhdx", &["--recovery-size", "2M"])
            .fails(5, &["recovery partition of 2 MiB", "--recovery-size"]);
    }
    let place = place("server-2022");
    let made = build(&place, "a.vhd", &["--recovery-size", "64M", "--json"]).ok().json();
    assert_eq!(made["partitions"][1]["partition-type"], "27");
    place.run(&["verify", "a.vhd"]).ok();
    fs::write(place.path("nano.wim"), crate::support::image_with_hives()).unwrap();
    place.build("b.vhdx", &["--recovery-size", "64M"]).fails(3, &["Winre.wim", "leave --recovery-size out"]);
}

#[test]
fn arm64_starts_by_its_own_boot_program() {
    let place = place("windows-11-arm64");
    build(&place, "a.vhdx", &["--for", "hyper-v", "--computer-name", "arm-01"]).ok();
    file(&place, "a.vhdx", "1", r"EFI\Boot\bootaa64.efi", "boot.efi");
    assert_eq!(place.read("boot.efi"), scenes::pe_stand_in_for(0xAA64).to_vec());
    place.run(&["cat", "a.vhdx", "-p", "1", r"EFI\Boot\bootx64.efi"]).fails(3, &["no such file"]);
    place.run(&["verify", "a.vhdx"]).ok();
    let hint = String::from_utf8(place.run(&["run-hint", "a.vhdx"]).ok().stdout).unwrap();
    assert!(hint.contains("qemu-system-aarch64"), "{hint}");
    build(&place, "b.vhd", &[]).fails(3, &["BIOS", "UEFI"]);
}

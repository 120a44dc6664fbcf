use std::fs;
use std::path::Path;

use fixtures::{Data, FileSpec, Tree, WimBuilder, scenes};

use super::super::golden::Golden;
use super::super::recipe::{Firmware, Recipe};
use super::super::sources::Sources;
use crate::disk::Format;
use crate::registry::{Hive, HiveOptions, Value};
use crate::types::{ByteSize, FileTime};
use crate::windows::configure::{MachineConfig, Secret};

/// A WIM with boot files, files of many sizes, and hives; the large ones have `padding` additional bytes.
fn write_wim(path: &Path, padding: usize) {
    let hive = |size: u32| {
        let mut hive = Hive::new(FileTime(1), &HiveOptions::default()).unwrap();
        let key = hive.create_key(hive.root(), r"ControlSet001\Control\ComputerName\ComputerName").unwrap();
        hive.set_value(key, "ComputerName", Value::sz("MINWINPC")).unwrap();
        hive.create_key(hive.root(), r"ControlSet001\Services\Tcpip\Parameters").unwrap();
        let key = hive.create_key(hive.root(), "Select").unwrap();
        hive.set_value(key, "Current", Value::dword(1)).unwrap();
        for number in 0..size {
            let key = hive.create_key(hive.root(), &format!(r"Many\Key {number}")).unwrap();
            hive.set_value(key, "Value", Value::sz("a value of some length")).unwrap();
        }
        if size > 10 {
            hive.set_value(key, "Padding", Value::binary(vec![1; padding])).unwrap();
        }
        Data::bytes(hive.into_bytes())
    };
    let mut tree = Tree::new();
    for (path, data) in [
        (r"Windows\Boot\EFI\bootmgfw.efi", scenes::pe_stand_in()),
        (r"Windows\Boot\PCAT\bootmgr", Data::noise(1, 300_000)),
        (r"Windows\System32\config\SYSTEM", hive(2000)),
        (r"Windows\System32\config\SOFTWARE", hive(500)),
        (r"Windows\System32\config\DEFAULT", hive(10)),
        (r"Users\Default\NTUSER.DAT", hive(10)),
    ] {
        tree.add(path, FileSpec::file(data));
    }
    for number in 0..200 {
        tree.add(
            &format!(r"Windows\System32\file{number}.dll"),
            FileSpec::file(Data::noise(number, 7 * number * number)),
        );
    }
    // Indexes, which may lie anywhere.
    for number in 0..if padding > 0 { 1000 } else { 0 } {
        let path = format!(r"Windows\{}\{number:0200}", number % 125);
        tree.add(&path, FileSpec::file(Data::bytes(*b"small")));
    }
    WimBuilder::new().image("Small", tree).write_file(path).unwrap();
}

fn machines(own: &Path) -> Vec<(&'static str, MachineConfig, Option<Secret>)> {
    let named = |name: &str| MachineConfig {
        computer_name: Some(name.into()),
        interface: Some("Ethernet".into()),
        ipv4_address: Some("10.0.0.1/24".into()),
        ..MachineConfig::default()
    };
    let password = |text: &str| Some(Secret::new(text));
    let long = MachineConfig {
        ipv4_address: Some("192.168.100.200/24".into()),
        ipv4_dns: ["192.168.100.1", "192.168.100.2"].map(|server| server.parse().unwrap()).into(),
        setup_command: vec!["echo a command that needs some more room than others do".repeat(20)],
        locale: Some("de-DE".into()),
        ..named("abcdefghijklmno")
    };
    let copied = MachineConfig { copy: vec![own.to_str().unwrap().parse().unwrap()], ..named("web-03") };
    vec![
        ("web-01", named("web-01"), password("short")),
        ("web-02", named("web-02"), password("a much longer password, which makes the answer file longer")),
        ("bare", MachineConfig { computer_name: Some("bare".into()), ..MachineConfig::default() }, None),
        ("long", long.clone(), password("x")),
        // With a copied file, as long as another machine's.
        ("copied", copied.clone(), password("short")),
        ("again", MachineConfig { computer_name: Some("web-04".into()), ..copied }, password("short")),
        ("last", MachineConfig { setup_command: Vec::new(), ..long }, password("y")),
    ]
}

/// A machine that is made from another one is the same as its own layout gives, and most machines are made so.
#[test]
fn machines_made_of_another_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (wim, own, path) =
        (folder.path().join("a.wim"), folder.path().join("own.txt"), folder.path().join("golden.vhdx"));
    write_wim(&wim, 0);
    for firmware in [Firmware::Uefi, Firmware::Bios] {
        let recipe = Recipe::image("1").disk_size(ByteSize::mib(256)).firmware(firmware).build().unwrap();
        let golden = || Golden::new(&recipe, &Sources::wim(&wim), &()).unwrap();
        let shared = golden();
        shared.plan().layout(&()).unwrap().write_file(&path, Format::VHDX, &()).unwrap();
        let mut kinds = Vec::new();
        for (name, config, password) in machines(&own) {
            fs::write(&own, format!("{name:>10}")).unwrap();
            let write = |golden: &Golden, output: &str| {
                let machine = golden.machine(name, config.clone(), password.clone(), None, &()).unwrap();
                let output = folder.path().join(output);
                let format = Format::VHDX.differencing(None).unwrap();
                let report = machine.write_clone(&golden.open(&path).unwrap(), &output, format).unwrap();
                (fs::read(&output).unwrap(), report)
            };
            let (made, expected) = (write(&shared, "made.vhdx"), write(&golden(), "expected.vhdx"));
            assert!(made == expected, "{firmware:?}, {name}: {:?} instead of {:?}", made.1, expected.1);
            kinds.push(shared.templates.read().unwrap().len());
        }
        // Most are made from the first; the one without an answer file and those with a copied file are other kinds.
        assert_eq!(kinds, [1, 1, 2, 2, 2, 2, 2], "{firmware:?}");
    }
}

/// With all kinds of settings, machines differ in eight blocks of a disk with a GPT, and in seven of one with an MBR.
#[test]
fn machines_differ_in_eight_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let (wim, reg) = (folder.path().join("a.wim"), folder.path().join("ten.reg"));
    let values: String = (0..10).map(|number| format!("\"Value {number}\"=dword:{number}\r\n")).collect();
    let key = r"[HKEY_LOCAL_MACHINE\SOFTWARE\Fleet]";
    fs::write(&reg, format!("Windows Registry Editor Version 5.00\r\n\r\n{key}\r\n{values}")).unwrap();
    let config = |name: &str, number: u8| MachineConfig {
        computer_name: Some(name.into()),
        interface: Some("Ethernet".into()),
        ipv4_address: Some(format!("10.0.0.{number}/24")),
        ipv4_dns: vec!["10.0.0.2".parse().unwrap()],
        ..MachineConfig::default()
    };
    let mut machine = config("abcdefghijklmno", 17);
    machine.ipv4_dns.push("10.0.0.3".parse().unwrap());
    machine.ipv6_address = Some("fd00::17/64".into());
    machine.locale = Some("de-DE".into());
    machine.setup_command = vec!["echo a command that needs some more room than others do".repeat(7)];
    machine.reg = vec![reg];
    write_wim(&wim, 2_300_000);
    for (firmware, format, most) in [(Firmware::Uefi, Format::VHDX, 8), (Firmware::Bios, Format::VHD, 7)] {
        let recipe = Recipe::image("1").disk_size(ByteSize::mib(256)).firmware(firmware).machine(config("golden", 1));
        let recipe = recipe.administrator_password(Secret::new("a password")).build().unwrap();
        let golden = Golden::new(&recipe, &Sources::wim(&wim), &()).unwrap();
        let (parent, child) = (folder.path().join("golden"), folder.path().join("child"));
        golden.plan().layout(&()).unwrap().write_file(&parent, format, &()).unwrap();
        let password = Some(Secret::new("another password"));
        let made = golden.machine("17", machine.clone(), password, None, &()).unwrap();
        let format = format.differencing(None).unwrap();
        let report = made.write_clone(&golden.open(&parent).unwrap(), &child, format).unwrap();
        assert_eq!(report.blocks, most, "{firmware:?}");
    }
}

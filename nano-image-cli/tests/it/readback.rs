//! The commands that read images back.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use fixtures::{Data, FileSpec, Image, Tree, WimBuilder, outside, scenes};
use serde_json::Value;

use crate::support::{Place, image_with_hives};

const SEED: &str = "1111111111111111111111111111111111111111111111111111111111111111";

/// Builds an image of `nano.wim` with a fixed seed.
fn build(place: &Place, name: &str, more: &[&str]) {
    place.build(name, &[&["--seed", SEED, "-q"], more].concat()).ok();
}

fn place_with_hives() -> Place {
    let place = Place::new();
    fs::write(place.path("nano.wim"), image_with_hives()).unwrap();
    place
}

#[test]
fn cat_prints_files_and_streams() {
    let place = Place::new();
    let mut tree = Tree::new();
    tree.add(r"Windows\Boot\EFI\bootmgfw.efi", FileSpec::file(scenes::pe_stand_in()));
    let file = FileSpec::file("the contents".into()).stream("note", "a note".into());
    tree.add(r"Windows\System32\drivers\etc\hosts", file);
    tree.add(r"Windows\large", FileSpec::file(Data::noise(1, 3 << 20)));
    let wim = WimBuilder::new().push(Image::new("Only", tree).edition("ServerDatacenterNano"));
    fs::write(place.path("nano.wim"), wim.to_bytes()).unwrap();
    build(&place, "a.vhdx", &["--allow-unbootable"]);
    let hosts = r"\windows\SYSTEM32/drivers\etc\hosts";
    assert_eq!(place.run(&["cat", "a.vhdx", hosts]).ok().stdout, b"the contents");
    assert_eq!(place.run(&["cat", "a.vhdx", &format!("C:{hosts}:note")]).ok().stdout, b"a note");
    assert!(place.run(&["cat", "a.vhdx", "Windows/large"]).ok().stdout == Data::noise(1, 3 << 20).to_vec());
    let efi = place.run(&["cat", "a.vhdx", "-p", "1", "efi/boot/bootx64.efi"]).ok().stdout;
    assert!(efi == scenes::pe_stand_in().to_vec());
    place.run(&["cat", "a.vhdx", "Windows/Sytem32/x"]).fails(3, &["no such file", "did you mean `System32`"]);
    place.run(&["cat", "a.vhdx", "Windows"]).fails(2, &["directory", "extract"]);
    place.run(&["cat", "a.vhdx", &format!("{hosts}:other")]).fails(3, &["no such stream", "`note`"]);
    place.run(&["cat", "a.vhdx", "-p", "2", "x"]).fails(4, &["partition 2", "3 (basic data)"]);
    place.run(&["cat", "a.vhdx", "-p", "9", "x"]).fails(3, &["no partition 9"]);
    place.run(&["cat", "nano.wim", "x"]).fails(4, &["WIM"]);
}

#[test]
fn extract_copies_whole_files_and_replaces_none() {
    let place = Place::new();
    build(&place, "a.vhdx", &["--compact=lzx"]);
    let run = place.run(&["extract", "a.vhdx", "Windows/System32", "-C", "out"]).ok();
    assert!(run.stdout.is_empty() && run.stderr.contains("files and"), "{}", run.stderr);
    let names: BTreeSet<String> = fs::read_dir(place.path("out/Windows/System32"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let listed = place.run(&["inspect", "--files", "--json", "a.vhdx"]).ok().json();
    let rows = listed.as_array().unwrap();
    for row in rows {
        let path = row["path"].as_str().unwrap();
        let Some(name) = path.strip_prefix(r"\Windows\System32\").filter(|name| !name.contains('\\')) else { continue };
        if row["target"].is_null() {
            assert!(names.contains(name), "{path}");
        }
        if row["directory"] == false && row["target"].is_null() {
            let len = fs::metadata(place.path("out/Windows/System32").join(name)).unwrap().len();
            assert_eq!(row["size"], len, "{path}");
        }
    }
    assert!(rows.iter().any(|row| row["compression"].is_string()));
    // A second time nothing is replaced, which is told.
    place.run(&["extract", "a.vhdx", "Windows/System32", "-C", "out"]).fails(4, &["could not be copied"]);
    place.run(&["extract", "a.vhdx", "Windows/none", "-C", "out2"]).fails(3, &["no such file"]);
    assert!(!place.path("out2").exists());
    // A link in the way leads nowhere.
    #[cfg(unix)]
    {
        fs::create_dir_all(place.path("trap")).unwrap();
        fs::create_dir_all(place.path("elsewhere")).unwrap();
        std::os::unix::fs::symlink(place.path("elsewhere"), place.path("trap/Windows")).unwrap();
        place.run(&["extract", "a.vhdx", "Windows/System32", "-C", "trap"]).fails(6, &["in the way"]);
        assert_eq!(fs::read_dir(place.path("elsewhere")).unwrap().count(), 0);
    }
}

#[test]
fn one_setting_makes_exactly_its_differences() {
    if !outside::programs("hivexget") {
        return;
    }
    let place = place_with_hives();
    build(&place, "a.vhdx", &["--computer-name", "web-01"]);
    build(&place, "b.vhdx", &["--computer-name", "web-02"]);
    place.run(&["diff", "a.vhdx", "a.vhdx"]).ok();
    let run = place.run(&["diff", "a.vhdx", "b.vhdx", "--json"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let found: Vec<(String, String, String, String)> = run.json()["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|difference| {
            let text = |name: &str| difference[name].as_str().unwrap_or_default().to_owned();
            assert_eq!(
                (text("path").as_str(), &difference["category"]),
                (r"\Windows\System32\config\SYSTEM", &"registry".into())
            );
            (text("key"), text("what"), text("old"), text("new"))
        })
        .collect();
    let own = |key: &str, what: &str, old: &str, new: &str| {
        (key.into(), what.into(), format!("\"{old}\""), format!("\"{new}\""))
    };
    let parameters = r"ControlSet001\Services\Tcpip\Parameters";
    assert_eq!(
        found,
        [
            own(r"ControlSet001\Control\ComputerName\ComputerName", "value ComputerName", "WEB-01", "WEB-02"),
            own(parameters, "value Hostname", "web-01", "web-02"),
            own(parameters, "value NV Hostname", "web-01", "web-02"),
        ]
    );
    // What hivexget says of both.
    for (image, name) in [("a.vhdx", "WEB-01"), ("b.vhdx", "WEB-02")] {
        let hive = place.run(&["cat", image, "Windows/System32/config/SYSTEM"]).ok().stdout;
        fs::write(place.path("SYSTEM"), hive).unwrap();
        let key = r"\ControlSet001\Control\ComputerName\ComputerName";
        let output = Command::new("hivexget").arg(place.path("SYSTEM")).args([key, "ComputerName"]).output();
        let output = output.unwrap_or_else(|error| panic!("hivexget: {error}; scripts/install-deps installs it"));
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), name);
    }
    let quiet = place.run(&["diff", "a.vhdx", "b.vhdx", "-q"]);
    assert!(quiet.code == Some(1) && quiet.stdout.is_empty());
    place.run(&["diff", "a.vhdx", "b.vhdx", "--ignore", "registry,times"]).ok();
    place.run(&["diff", "a.vhdx", "b.vhdx", "--ignore", "regstry"]).fails(2, &["regstry"]);
    place.run(&["diff", "a.vhdx", "none.vhdx"]).fails(3, &["none.vhdx"]);
}

#[test]
fn containers_identifiers_and_boot_entries_are_compared() {
    let place = place_with_hives();
    build(&place, "a.vhdx", &[]);
    place.build("b.vhd", &["--firmware", "uefi", "-q", "--setup-command", "echo"]).ok();
    let found = |more: &[&str]| {
        let run = place.run(&[&["diff", "a.vhdx", "b.vhd", "--json"], more].concat()).json();
        let lines = run["differences"].as_array().unwrap().iter().map(|difference| {
            let text = |name: &str| difference[name].as_str().unwrap_or_default();
            format!("{} {} {}", text("category"), text("path"), text("what"))
        });
        lines.collect::<Vec<_>>()
    };
    let all = found(&[]);
    for part in [
        "container  format",
        "container  block size",
        "identifiers  disk identifier",
        "identifiers  GUID",
        "identifiers  serial number",
        r"identifiers \EFI\Microsoft\Boot\BCD osdevice",
    ] {
        assert!(all.iter().any(|line| line == part), "{part}: {all:#?}");
    }
    let script = r"file \Windows\Setup\Scripts\SetupComplete.cmd file";
    let kept = found(&["--ignore", "container,identifiers,times"]);
    let others: Vec<&String> = kept.iter().filter(|line| !line.starts_with(r"file \Windows\Setup")).collect();
    assert!(kept.iter().any(|line| line == script) && others.is_empty(), "{kept:#?}");
    // How entries name the partition is a boot setting.
    build(&place, "c.vhdx", &["--computer-name", "web-01"]);
    build(&place, "d.vhdx", &["--computer-name", "web-01", "--bcd-device", "locate"]);
    let run = place.run(&["diff", "c.vhdx", "d.vhdx"]);
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(text.contains("osdevice: partition 3 → locate"), "{text}");
    assert!(!text.contains("partition 3\n  \\"), "no other file differs: {text}");
}

#[test]
fn size_tells_all_bytes_and_draws_them() {
    let place = Place::new();
    build(&place, "a.vhdx", &[]);
    let len = fs::metadata(place.path("a.vhdx")).unwrap().len();
    let report = place.run(&["size", "a.vhdx", "--json", "--svg", "a.svg"]).ok().json();
    let sum = |rows: &Value| rows.as_array().unwrap().iter().map(|row| row["bytes"].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum(&report["totals"]), report["file-size"].as_u64()), (len, Some(len)));
    assert!(place.read("a.svg").starts_with(b"<svg "));
    place.run(&["size", "a.vhdx", "--svg", "a.svg"]).fails(2, &["a.svg", "--force"]);
    let text = String::from_utf8(place.run(&["size", "a.vhdx", "--svg", "a.svg", "--force"]).ok().stdout).unwrap();
    for part in [&*len.to_string(), "contents of files", "container: log", r"\Windows\System32 (3: Windows)"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn size_tells_of_an_image_that_is_not_built() {
    let place = Place::new();
    build(&place, "a.vhdx", &[]);
    let built = place.run(&["size", "a.vhdx", "--json"]).ok().json();
    let flags = ["size", "--wim", "nano.wim", "--image", "1", "--size", "256M", "-o", "b.vhdx", "-q"];
    let planned = place.run(&[&flags[..], &["--json", "--svg", "b.svg"]].concat()).ok().json();
    assert_eq!((&planned["totals"], &planned["components"]), (&built["totals"], &built["components"]));
    assert!(place.read("b.svg").starts_with(b"<svg "));
    let names = fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| name.contains("b.vhdx") || name.starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
    place.run(&["size", "--wim", "none.wim"]).fails(3, &["none.wim"]);
}

#[test]
fn inspect_tells_details() {
    let place = place_with_hives();
    build(&place, "a.vhdx", &["--computer-name", "web-01"]);
    let text = |arguments: &[&str]| {
        String::from_utf8(place.run(&[&["inspect", "a.vhdx"], arguments].concat()).ok().stdout).unwrap()
    };
    let boot = text(&["--boot"]);
    for part in ["{bootmgr} (boot manager)", "osdevice                 partition 3", "displayorder"] {
        assert!(boot.contains(part), "{part}: {boot}");
    }
    assert!(text(&["--hives"]).contains("Computer name  WEB-01"));
    assert!(text(&["--packages"]).contains("Packages: 0"));
    assert!(text(&["--files"]).contains(r"\Windows\System32\winload.efi"));
    let hives = place.run(&["inspect", "a.vhdx", "--hives", "--json"]).ok().json();
    assert_eq!((&hives[0]["computer-name"], &hives[0]["partition"]), (&"WEB-01".into(), &3.into()));
    let location = place.run(&["inspect", "a.vhdx", "--map", "64K", "--json"]).ok().json();
    assert_eq!((&location["structure"], &location["offset"]), (&"header 1".into(), &65_536.into()));
    assert!(text(&["--map", "0x10000"]).contains("header 1"));
    place.run(&["inspect", "a.vhdx", "--map", "x"]).fails(2, &["number of bytes"]);
    place.run(&["inspect", "a.vhdx", "--map", "1T"]).fails(3, &["none at"]);
    place.run(&["inspect", "a.vhdx", "--map", "1", "--files"]).fails(2, &["cannot be used with"]);
}

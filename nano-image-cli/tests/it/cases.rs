//! Files that people have, and that were once refused or taken wrongly.

use std::fs;
use std::process::Command;

use fixtures::outside::{self, shared};
use fixtures::scenes;

use crate::support::{Place, Run};

/// A value of a hive of the built image, as hivex reads it.
fn value(place: &Place, hive: &str, key: &str, name: &str) -> String {
    let bytes = place.run(&["cat", "a.raw", hive]).ok().stdout;
    fs::write(place.path("hive"), bytes).unwrap();
    let output = Command::new("hivexget").arg(place.path("hive")).args([key, name]).output();
    let output = output.expect("hivexget is installed");
    assert!(output.status.success(), "{key} {name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A folder with a WIM whose second image has all hives.
fn place() -> Place {
    let place = Place::new();
    fs::write(place.path("nano.wim"), scenes::nano_cbs(&scenes::pe_stand_in()).to_bytes()).unwrap();
    place
}

fn raw(place: &Place, more: &[&str]) -> Run {
    place.build("a.raw", &[&["--image", "2", "--size", "512M", "--force"], more].concat())
}

#[test]
fn files_that_failed_are_taken() {
    if !outside::programs("hivexget") {
        return;
    }
    let Some(folder) = shared("cases") else { return };
    let place = place();
    let case = |name: &str| folder.join(name).to_str().unwrap().to_owned();

    // A number of 64 bits, and text before the first section.
    raw(&place, &["--driver", &case("inf-text-before-section/bh.inf")]).ok();
    raw(&place, &["--driver", &case("inf-qword/bh.inf")]).ok();

    let (own, default) = (case("reg-default-user/hkcu.reg"), case("reg-default-user/hku-default-ntuser.reg"));
    raw(&place, &["--reg", &default]).ok();
    assert_eq!(value(&place, "Users/Default/NTUSER.DAT", r"\Software\x", "x"), "1");
    raw(&place, &["--reg", &own, "--reg-user", "default"]).ok();
    assert_eq!(value(&place, "Users/Default/NTUSER.DAT", r"\Software\x", "x"), "1");
    raw(&place, &["--reg", &own]).fails(4, &["line 3", "--reg-user default", "SYSTEM's in spite of its name"]);

    let dual = case("unattend-foreign-arch-applied/dual.xml");
    raw(&place, &["--unattend", &dual, "--computer-name", "name-amd64"]).ok();
    let policies = r"\Microsoft\Windows\CurrentVersion\Policies\System";
    assert_eq!(value(&place, "Windows/System32/config/SOFTWARE", policies, "EnableLUA"), "1");
    let foreign = case("unattend-foreign-arch-password/a.xml");
    let run = raw(&place, &["--unattend", &foreign]).ok();
    assert!(run.stderr.contains("no administrator password is given"), "{}", run.stderr);
    fs::write(place.path("password"), "x").unwrap();
    raw(&place, &["--unattend", &foreign, "--secret", "admin=file:password"]).ok();

    for (name, word) in [
        ("unattend-duplicate-component/component.xml", "stands twice"),
        ("unattend-duplicate-component/setting.xml", "line 2, column"),
        ("unattend-duplicate-component/two-names.xml", "ComputerName"),
        ("unattend-long-path/a.xml", "312 characters"),
    ] {
        fs::remove_file(place.path("a.raw")).ok();
        raw(&place, &["--unattend", &case(name)]).fails(4, &[word]);
        assert!(!place.path("a.raw").exists(), "{name}");
    }
    for (name, word) in [
        ("unattend-unknown-component/a.xml", "did you mean Microsoft-Windows-Shell-Setup?"),
        ("unattend-windowspe-ignored/a.xml", "UserData/ProductKey"),
    ] {
        let run = raw(&place, &["--unattend", &case(name)]).ok();
        assert!(run.stderr.contains(word), "{name}: {}", run.stderr);
    }
}

#[test]
fn batch_files_are_called_and_an_exit_is_told() {
    let place = place();
    let commands = [r"--setup-command=C:\a\first.cmd /x", "--setup-command=exit /b 3", "--setup-command=echo last"];
    let run = raw(&place, &commands).ok();
    assert!(run.stderr.contains("`exit /b 3` ends the script"), "{}", run.stderr);
    let script = place.run(&["cat", "a.raw", "Windows/Setup/Scripts/SetupComplete.cmd"]).ok().stdout;
    let script = String::from_utf8(script).unwrap();
    assert!(script.contains("\r\ncall C:\\a\\first.cmd /x >> %SCLOG%\r\n"), "{script}");
    // A script that is copied is made readable.
    let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain("ver\r\n".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    fs::write(place.path("s.cmd"), utf16).unwrap();
    let run = raw(&place, &["--copy", r"s.cmd:\Windows\Setup\Scripts\SetupComplete.cmd"]).ok();
    assert!(run.stderr.contains("converted to ASCII"), "{}", run.stderr);
    let script = place.run(&["cat", "a.raw", "Windows/Setup/Scripts/SetupComplete.cmd"]).ok().stdout;
    assert_eq!(script, b"ver\r\n");
}

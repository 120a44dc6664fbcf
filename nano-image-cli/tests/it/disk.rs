//! `--disk`: the Windows of a disk image becomes a new image.

use std::fs;

use crate::support::{Place, image_with_hives};

/// A folder with `only.wim` and an image of it, `old.vhd`: BIOS, of a machine called `old-01`.
fn place() -> Place {
    let place = Place::new();
    fs::write(place.path("only.wim"), image_with_hives()).unwrap();
    let arguments = ["build", "--wim", "only.wim", "--size", "256M", "-o", "old.vhd", "--computer-name", "old-01"];
    place.run(&arguments).ok();
    place
}

#[test]
fn an_old_machine_gets_another_name_size_format_and_firmware() {
    let place = place();
    let before = place.read("old.vhd");
    let rebuild = |output: &str, more: &[&str]| {
        let arguments = ["build", "--disk", "old.vhd", "--size", "512M", "-o", output];
        place.run(&[&arguments[..], more].concat())
    };
    let made = rebuild("new.vhdx", &["--computer-name", "new-02", "--json", "--metadata-file", "new.json"]).ok();
    assert_eq!((made.json()["disk-size"].as_u64(), made.json()["image-index"].as_u64()), (Some(512 << 20), Some(1)));
    assert!(place.read("old.vhd") == before, "the source is only read");
    place.run(&["verify", "new.vhdx"]).ok();
    let told = place.run(&["inspect", "new.vhdx", "--json"]).ok().json();
    assert_eq!(told["partition-table"]["scheme"], "gpt");
    assert_eq!(told["windows"][0]["computer-name"], "NEW-02", "{}", told["windows"]);
    let metadata: serde_json::Value = serde_json::from_slice(&place.read("new.json")).unwrap();
    assert_eq!(metadata["build"]["recipe"]["disk"], "old.vhd");
    let inputs = metadata["build"]["inputs"].as_array().unwrap();
    assert!(inputs.iter().any(|input| input["role"] == "disk" && input["name"] == "old.vhd"), "{inputs:?}");
    // The metadata are a recipe of the same bytes, also for a check.
    place.run(&["build", "--recipe", "new.json", "-o", "again.vhdx"]).ok();
    assert!(place.read("again.vhdx") == place.read("new.vhdx"));
    place.run(&["build", "--recipe", "new.json", "--check", "new.vhdx"]).ok();
    // And back to where it came from.
    let back = ["build", "--disk", "new.vhdx", "--size", "256M", "-o", "back.vhd", "--computer-name", "old-01"];
    place.run(&back).ok();
    place.run(&["verify", "back.vhd"]).ok();
}

#[test]
fn what_is_no_source_or_would_be_written_over_is_refused() {
    let place = place();
    let run = |arguments: &[&str]| place.run(&[&["build", "--size", "256M", "--disk"], arguments].concat());
    run(&["old.vhd", "-o", "old.vhd", "--force"]).fails(2, &["over the disk", "hint: "]);
    run(&["missing.vhdx", "-o", "new.vhdx"]).fails(3, &["missing.vhdx", "cannot open"]);
    run(&["nano.wim", "-o", "new.vhdx"]).fails(4, &["WIM"]);
    run(&["old.vhd", "-o", "new.vhdx", "--image", "2"]).fails(3, &["partition 2", "hint: partitions: 1 (NTFS)"]);
    run(&["old.vhd", "-o", "new.vhdx", "--image", "Core"]).fails(2, &["`Core`", "partition"]);
    run(&["old.vhd", "-o", "new.vhdx", "--package", "IIS"]).fails(3, &["IIS", "--media"]);
    for rival in [&["--wim", "only.wim"][..], &["--edition", "standard"], &["--swm", "a.swm"]] {
        run(&[&["old.vhd", "-o", "new.vhdx"], rival].concat()).fails(2, &["--disk", rival[0]]);
    }
    assert!(!place.path("new.vhdx").exists());
}

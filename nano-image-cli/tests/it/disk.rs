//! `--disk`: the Windows of a disk image becomes a new image.

use std::fs;
use std::process::Command;

use fixtures::outside;

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

/// The names in the root of partition `number` of a raw image, as ntfsls lists them.
fn root_of(place: &Place, image: &str, report: &serde_json::Value, number: usize) -> Vec<String> {
    let partition = &report["partitions"][number - 1];
    let at = |name: &str| usize::try_from(partition[name].as_u64().unwrap()).unwrap();
    let bytes = place.read(image);
    fs::write(place.path("volume"), &bytes[at("start")..at("start") + at("size")]).unwrap();
    let output = Command::new("ntfsls").arg("-f").arg("-a").arg(place.path("volume")).output();
    let output = output.expect("ntfsls is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|name| name.trim().to_lowercase()).collect()
}

#[test]
fn old_boot_files_do_not_stay_beside_windows() {
    if !outside::programs("ntfsls") {
        return;
    }
    let place = place();
    // A file that no new boot folder has.
    fs::write(place.path("stale"), "stale").unwrap();
    let old = ["build", "--wim", "only.wim", "--size", "256M", "-o", "old.vhd", "--force", "--copy", r"stale:\Boot\"];
    place.run(&old).ok();
    let rebuild = |firmware: &str| {
        let arguments = ["build", "--disk", "old.vhd", "--size", "256M", "-o", "new.raw", "--force", "--json"];
        let run = place.run(&[&arguments[..], &["--firmware", firmware]].concat()).ok();
        let report = run.json();
        let notes = report["notes"].to_string();
        assert!(notes.contains(r"left out (\\bootmgr, ") && notes.contains("--boot-setting"), "{notes}");
        place.run(&["verify", "new.raw"]).ok();
        report
    };
    let report = rebuild("uefi");
    let names = root_of(&place, "new.raw", &report, 3);
    assert!(names.contains(&"windows".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| ["bootmgr", "boot", "bootnxt"].contains(&name.as_str())), "{names:?}");
    let report = rebuild("bios");
    let names = root_of(&place, "new.raw", &report, 1);
    assert!(names.contains(&"bootmgr".to_owned()) && names.contains(&"boot".to_owned()), "{names:?}");
    place.run(&["cat", "new.raw", r"Boot\stale"]).fails(3, &["no such file"]);
    place.run(&["cat", "new.raw", r"Boot\BCD"]).ok();
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

#[test]
fn disks_with_large_sectors_are_made_and_read_like_others() {
    let place = place();
    let build = |output: &str, more: &[&str]| {
        let arguments = ["build", "--wim", "only.wim", "--size", "512M", "--sector-size", "4096", "-o", output];
        place.run(&[&arguments[..], more].concat())
    };
    build("large.vhdx", &["-o", "large.raw", "--computer-name", "large-01", "--metadata-file", "large.json"]).ok();
    for image in ["large.vhdx", "large.raw"] {
        assert_eq!(place.run(&["inspect", image, "--json"]).ok().json()["container"]["sector-size"], 4096);
        place.run(&["verify", image]).ok();
    }
    let plain = ["build", "--wim", "only.wim", "--size", "512M", "-o", "small.vhdx", "--computer-name", "large-01"];
    place.run(&plain).ok();
    let file = r"Windows\Boot\EFI\bootmgfw.efi";
    let cat = |image: &str| place.run(&["cat", image, file]).ok().stdout;
    assert!(cat("large.raw") == cat("small.vhdx") && cat("large.vhdx") == cat("small.vhdx"));
    let told = place.run(&["diff", "large.raw", "large.vhdx", "--json"]).json();
    assert!(told["files"].as_array().is_none_or(Vec::is_empty), "{told}");
    // The metadata are a recipe of the same bytes.
    place.run(&["build", "--recipe", "large.json", "--check", "large.vhdx"]).ok();
    // From one sector size to the other, and back.
    for (from, to, bytes) in [("large.vhdx", "from.vhdx", "512"), ("from.vhdx", "back.raw", "4096")] {
        let again = ["build", "--disk", from, "--size", "512M", "--sector-size", bytes, "-o", to];
        place.run(&again).ok();
        place.run(&["verify", to]).ok();
        assert!(cat(to) == cat("small.vhdx"));
    }
    fs::write(place.path("list.csv"), "name\nlarge-02\n").unwrap();
    let clone = ["clone", "large.vhdx", "--recipe", "large.json", "--machines", "list.csv", "--check"];
    place.run(&[&clone[..], &["-o", "{name}.vhdx"]].concat()).ok();
    place.run(&["verify", "large-02.vhdx"]).ok();
    assert_eq!(
        place.run(&["inspect", "large-02.vhdx", "--json"]).ok().json()["windows"][0]["computer-name"],
        "LARGE-02"
    );
    // Hosts get what they take.
    let hints = place.run(&["run-hint", "large.raw", "--json"]).ok().json();
    assert!(hints["qemu"].as_str().unwrap().contains("logical_block_size=4096") && hints["az"].is_null(), "{hints}");
    let hints = place.run(&["run-hint", "large.vhdx", "--json"]).ok().json();
    assert!(hints["powershell"].is_string() && hints["qemu"].is_null(), "{hints}");

    for (more, parts) in [
        (&["-o", "bad.vhd", "--firmware", "uefi"][..], &["VHD", "4096", "VHDX or raw"][..]),
        (&["--firmware", "bios"], &["BIOS", "4096"]),
        (&["--esp-size", "100M"], &["100 MiB", "260 MiB"]),
    ] {
        build("bad.raw", more).fails(2, parts);
    }
    let other = ["build", "--wim", "only.wim", "--sector-size", "2K", "-o", "bad.raw"];
    place.run(&other).fails(2, &["2048", "512 or 4096"]);
    assert!(!place.path("bad.raw").exists() && !place.path("bad.vhd").exists());
}

#[test]
fn a_vmdk_of_an_appliance_is_no_longer_than_planned() {
    let place = place();
    let flags = ["--wim", "only.wim", "--size", "256M", "--firmware", "bios", "--subformat", "streamoptimized"];
    let arguments = |command, output| [&[command][..], &flags, &["-o", output, "--json"]].concat();
    let planned = place.run(&arguments("plan", "new.vmdk")).ok().json()["outputs"][0].clone();
    assert_eq!((&planned["is-bound"], &planned["subformat"]), (&true.into(), &"streamOptimized".into()), "{planned}");
    let told = place.run(&[&["plan"][..], &flags, &["-o", "new.vmdk"]].concat()).ok();
    assert!(String::from_utf8(told.stdout).unwrap().contains("at most "));
    let made = place.run(&arguments("build", "new.vmdk")).ok().json()["outputs"][0].clone();
    let len = fs::metadata(place.path("new.vmdk")).unwrap().len();
    assert!(made["file-size"] == len && made["is-bound"].is_null(), "{made}");
    assert!(planned["file-size"].as_u64().unwrap() >= len, "{planned}");
    place.run(&["verify", "new.vmdk"]).ok();
    let told = place.run(&["inspect", "new.vmdk", "--json"]).ok().json();
    assert_eq!(told["container"]["subformat"], "streamOptimized");
    let plain = [&["build"][..], &flags[..6], &["-o", "new.raw"]].concat();
    place.run(&plain).ok();
    let told = place.run(&["diff", "new.vmdk", "new.raw", "--json"]).json();
    assert!(told["files"].as_array().is_none_or(Vec::is_empty), "{told}");
    let check = [&["build"][..], &flags[..6], &["--check", "new.vmdk"]].concat();
    place.run(&check).ok();
    let extract = ["extract", "new.vmdk", r"Windows\Boot", "-C", "out"];
    place.run(&extract).ok();
    assert!(place.path("out/Windows/Boot/PCAT/bootmgr").exists());
}

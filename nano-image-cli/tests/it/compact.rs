//! Compact images and the check of the source, by flags.

use std::process::Command;

use fixtures::outside;

use crate::support::Place;

/// `nano.wim`, compressed by wimlib in LZX, as `lzx.wim`.
fn lzx(place: &Place) {
    let arguments = ["export", "nano.wim", "all", "lzx.wim", "--compress=LZX", "--quiet"];
    let status = Command::new("wimlib-imagex").args(arguments).current_dir(place.path("")).status();
    assert!(status.expect("wimlib-imagex is installed").success());
}

#[test]
fn the_form_is_chosen_and_the_summary_counts_files() {
    if !outside::programs("wimlib-imagex") {
        return;
    }
    let place = Place::new();
    lzx(&place);
    let build = |output: &str, more: &[&str]| {
        let arguments = ["build", "--wim", "lzx.wim", "--image", "1", "--size", "256M", "-o", output];
        place.run(&[&arguments[..], more].concat())
    };
    let plain = build("plain.vhdx", &["--json"]).ok();
    assert!(plain.json()["compact"].is_null());
    assert!(!plain.stderr.contains("compact"), "{}", plain.stderr);
    let copy = build("copy.vhdx", &["--compact", "--json"]).ok();
    let counted = &copy.json()["compact"];
    assert!(counted["files"].as_u64().unwrap() > 10, "{counted}");
    assert!(counted["compressed"].as_u64() < counted["contents"].as_u64());
    assert!(copy.stderr.contains(&format!("compact: {} files, ", counted["files"])), "{}", copy.stderr);
    assert!(copy.json()["volume-used"].as_u64() < plain.json()["volume-used"].as_u64());
    build("copy-too.vhdx", &["--compact=copy"]).ok();
    assert!(place.read("copy.vhdx") == place.read("copy-too.vhdx"));
    for form in ["xpress4k", "xpress8k", "xpress16k", "lzx"] {
        let made = build("form.vhdx", &[&format!("--compact={form}"), "--force", "--json"]).ok();
        // Files that are read before Windows' filter are compressed too when a form is named.
        assert!(made.json()["compact"]["files"].as_u64() > counted["files"].as_u64(), "{form}");
    }
    assert!(place.names().iter().all(|name| !name.contains("scratch")), "{:?}", place.names());
    build("a.vhdx", &["--compact", "--cluster-size", "64K"]).fails(2, &["4 KiB", "hint: "]);
    build("a.vhdx", &["--compact=lzy"]).fails(2, &["`lzy`", "`lzx`"]);
    build("a.vhdx", &["--compact=lzx", "--scratch", "none"]).fails(3, &["none", "scratch"]);
}

#[test]
fn a_trusted_source_is_not_checked_and_gives_the_same_bytes() {
    let place = Place::new();
    place.build("full.vhdx", &["--source-check", "full"]).ok();
    place.build("none.vhdx", &["--source-check", "none"]).ok();
    assert!(place.read("full.vhdx") == place.read("none.vhdx"));
    let mut wim = place.read("nano.wim");
    let middle = wim.len() / 2;
    wim[middle] ^= 1;
    std::fs::write(place.path("nano.wim"), wim).unwrap();
    place.build("a.vhdx", &["--source-check", "full"]).fails(4, &["nano.wim"]);
    place.build("a.vhdx", &["--source-check", "none"]).ok();
    place.build("b.vhdx", &["--source-check", "some"]).fails(2, &["`some`", "full", "none"]);
}

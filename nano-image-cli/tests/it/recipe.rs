//! Recipe files and several outputs, as their users meet them.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use fixtures::{outside, scenes};
use serde_json::Value;

use crate::packages::{driver, media, update};
use crate::support::{Place, image_with_hives};

#[test]
fn a_recipe_gives_what_its_flags_give() {
    let place = Place::new();
    fs::create_dir(place.path("recipes")).unwrap();
    fs::write(place.path("recipes/nano.wim"), image_with_hives()).unwrap();
    fs::write(place.path("recipes/password"), "Hunter2\n").unwrap();
    let recipe = |text: &str| fs::write(place.path("recipes/a.toml"), text).unwrap();
    recipe(
        "wim = 'nano.wim'\noutput = 'file.vhdx'\nsize = '256M'\ncomputer-name = 'web-01'\n\
         secret = 'admin=file:password'\nipv4-dns = ['10.0.0.1', '10.0.0.2']\ninterface = 'Ethernet'\nems = true\n",
    );
    let from_file = place.run(&["build", "--recipe", "recipes/a.toml"]).ok();
    assert!(!from_file.stderr.contains("Hunter2"));
    let flags = ["build", "--wim", "recipes/nano.wim", "--size", "256M", "--interface", "Ethernet", "--ems"];
    let secret = ["--secret", "admin=file:recipes/password"];
    let with = |output, name, dns| {
        let more = ["-o", output, "--computer-name", name, "--ipv4-dns", dns];
        place.run(&[&flags[..], &secret, &more].concat()).ok();
        place.read(output)
    };
    assert!(place.read("recipes/file.vhdx") == with("flags.vhdx", "web-01", "10.0.0.1,10.0.0.2"));
    // Given flags win, lists as a whole; their paths are not relative to the recipe.
    let given = ["--computer-name", "web-02", "--ipv4-dns", "10.0.0.9", "-o", "given.vhdx"];
    place.run(&[&["build", "--recipe", "recipes/a.toml"], &given[..]].concat()).ok();
    assert!(place.read("given.vhdx") == with("flags-2.vhdx", "web-02", "10.0.0.9"));
    assert!(place.read("given.vhdx") != place.read("flags.vhdx"));
}

#[test]
fn mistakes_in_a_recipe_are_named() {
    let place = Place::new();
    let run = |text: &str, more: &[&str]| {
        fs::write(place.path("a.toml"), text).unwrap();
        place.run(&[&["build", "--recipe", "a.toml"], more].concat())
    };
    run("wim = nano.wim", &[]).fails(2, &["a.toml: line 1: ", "without quotes", "hint: text stands in quotes"]);
    run("wim = 'nano.wim'\nsiez = '4G'", &[]).fails(2, &["a.toml: line 2: ", "`siez`", "hint: did you mean `size`?"]);
    run("size = '4X'", &[]).fails(2, &["a.toml: line 1: ", "`4X` is not a size"]);
    run("size = ", &[]).fails(2, &["a.toml: line 1: "]);
    run("size = '4G'", &[]).fails(2, &["no output", "-o nano.vhdx"]);
    run("compact = 'lzx'\ncluster-size = '64K'\nimage = 1\nwim = 'nano.wim'\noutput = 'a.vhdx'", &[])
        .fails(2, &["4 KiB", "hint: "]);
    run("secret = 'admin=Hunter2'\nwim = 'nano.wim'\noutput = 'a.vhdx'", &[]).fails(2, &["admin=env:"]);
    let json = run("siez = 1", &["--progress", "json"]);
    let error: serde_json::Value = serde_json::from_str(json.stderr.trim()).unwrap();
    assert_eq!((json.code, &error["kind"]), (Some(2), &"recipe".into()));
    place.run(&["build", "--recipe", "none.toml"]).fails(3, &["none.toml"]);
    place.run(&["build", "--wim", "nano.wim"]).fails(2, &["--wim nano.wim -o nano.vhdx"]);
    assert_eq!(place.names(), ["a.toml", "nano.wim"]);
}

#[test]
fn flags_take_what_they_exclude_out_of_a_recipe() {
    let place = Place::new();
    let text = "media = 'none.iso'\nedition = 'datacenter'\nsize = '256M'\noutput = 'a.vhdx'\n";
    fs::write(place.path("a.toml"), text).unwrap();
    let recipe = |more: &[&str]| place.run(&[&["build", "--recipe", "a.toml"], more].concat());
    recipe(&[]).fails(3, &["none.iso"]);
    recipe(&["--wim", "nano.wim", "--image", "1"]).ok();

    // A recipe that writes metadata can be checked as it is.
    fs::write(place.path("a.toml"), text.to_owned() + "metadata-file = 'a.json'\nsbom = 'a.cdx.json'\n").unwrap();
    let source = ["--wim", "nano.wim", "--image", "1"];
    recipe(&[&source[..], &["--force"]].concat()).ok();
    recipe(&[&source[..], &["--check", "a.json"]].concat()).ok();
    recipe(&[&source[..], &["--check", "a.vhdx"]].concat()).ok();
    recipe(&[&source[..], &["--check", "a.json", "--metadata-file", "b.json"]].concat()).fails(2, &["--check"]);
}

#[test]
fn several_outputs_have_the_bytes_of_each_alone() {
    let place = Place::new();
    let fixed = "type=vhd,subformat=fixed,path=b.vhd";
    let build = |output: &str, more: &[&str]| place.build(output, &[&["--firmware", "uefi"], more].concat());
    let report = build("a.vhdx", &["-o", fixed, "-o", "c.raw", "--json"]).ok();
    let outputs = report.json()["outputs"].as_array().unwrap().clone();
    for (output, name) in outputs.iter().zip(["a.vhdx", "b.vhd", "c.raw"]) {
        assert_eq!(output["file-size"], place.read(name).len(), "{name}");
        assert!(report.stderr.contains(&format!("{name}: ")), "{}", report.stderr);
    }
    build("alone.vhdx", &[]).ok();
    build("type=vhd,subformat=fixed,path=alone.vhd", &[]).ok();
    build("alone.raw", &[]).ok();
    for (one, other) in [("a.vhdx", "alone.vhdx"), ("b.vhd", "alone.vhd"), ("c.raw", "alone.raw")] {
        assert!(place.read(one) == place.read(other), "{one}");
    }
    // The disk in each is the same.
    assert!(place.read("b.vhd").starts_with(&place.read("c.raw")));
    build("d.raw", &["-o", "d.raw"]).fails(2, &["d.raw", "twice"]);
    build("d.raw", &["-o", "-"]).fails(2, &["standard output", "--format"]);
    assert!(!place.path("d.raw").exists());
    let piped = build("d.raw", &["-o", "type=raw,path=-"]).ok();
    assert!(piped.stdout == place.read("c.raw") && place.read("d.raw") == place.read("c.raw"));
    let warned = place.build("e.vhdx", &["-o", "e.vhd", "--progress", "json"]).ok();
    assert!(warned.stderr.contains("e.vhd is made for UEFI"), "{}", warned.stderr);
}

/// Keys of recipe files that decide neither bytes nor whether there are any, are outputs, or are always refused.
const NO_CHOICES: [&str; 13] = [
    "output-mode",
    "output",
    "scratch",
    "jobs",
    "force",
    "progress",
    "metadata-file",
    "sbom",
    "provenance",
    "json",
    "quiet",
    "domain-name",
    "reuse-domain-node",
];

/// Builds with `flags`, then with the recipe of the metadata: both have the same bytes. The keys that the recipe has
/// are added to `keys`.
fn round_trip(place: &Place, flags: &[&str], keys: &mut BTreeSet<String>) {
    let more = ["-o", "a.vhdx", "--metadata-file", "a.json", "--force", "-q"];
    place.run(&[&["build"], flags, &more].concat()).ok();
    let again = ["build", "--recipe", "a.json", "-o", "b.vhdx", "--metadata-file", "b.json", "--force", "-q"];
    place.run(&again).ok();
    assert!(place.read("a.vhdx") == place.read("b.vhdx"), "{flags:?}");
    let metadata = |name: &str| serde_json::from_slice::<Value>(&place.read(name)).unwrap();
    assert_eq!(metadata("a.json")["build"], metadata("b.json")["build"]);
    // The recipe alone is one, too, for those who take it out.
    let recipe = metadata("a.json")["build"]["recipe"].clone();
    fs::write(place.path("c.json"), recipe.to_string()).unwrap();
    place.run(&["build", "--recipe", "c.json", "-o", "b.vhdx", "--check", "a.json"]).ok();
    let chosen = recipe.as_object().unwrap().iter().filter(|(_, value)| **value != false);
    keys.extend(chosen.map(|(key, _)| key.clone()));
}

#[test]
fn the_recipe_in_metadata_gives_the_same_bytes() {
    if !outside::programs("wimlib-imagex") {
        return;
    }
    let place = media();
    let mut keys = BTreeSet::new();
    driver(&place);
    update(&place);
    let flags = ["--media", "media", "--edition", "datacenter", "--deployment", "host", "--storage", "--compute"];
    let roles = ["--defender", "--clustering", "--oem-drivers", "--containers", "--package", "IIS"];
    let files = ["--servicing-package", "update.cab", "--driver", "driver", "--timestamp", "1500000000"];
    let features = ["--feature", "replica", "--size", "512M"];
    round_trip(&place, &[&flags[..], &roles, &files, &features].concat(), &mut keys);

    fs::create_dir(place.path("parts")).unwrap();
    let mut split = Command::new("wimlib-imagex");
    split.arg("split").arg(place.path("nano.wim")).arg(place.path("first.swm")).arg("0.5");
    assert!(split.output().expect("wimlib-imagex is installed").status.success());
    let rest: Vec<String> =
        place.names().into_iter().filter(|name| name.starts_with("first") && name != "first.swm").collect();
    assert!(!rest.is_empty());
    let mut flags = vec!["--wim", "first.swm", "--image", "1", "--size", "256M", "--seed"];
    let seed = "33".repeat(32);
    flags.push(&seed);
    let parts: Vec<String> = rest.iter().map(|name| format!("parts/{name}")).collect();
    for (name, part) in rest.iter().zip(&parts) {
        fs::rename(place.path(name), place.path(part)).unwrap();
        flags.extend(["--swm", part]);
    }
    let disk =
        ["--compact=xpress4k", "--cluster-size", "4K", "--esp-size", "64M", "--bcd-device", "locate", "--strict"];
    let format = ["--format", "vhdx", "--subformat", "fixed", "--block-size", "2M"];
    round_trip(&place, &[&flags[..], &disk, &format].concat(), &mut keys);

    for (name, text) in [
        ("nano.wim", &image_with_hives()[..]),
        ("answer.xml", b"<unattend xmlns='urn:schemas-microsoft-com:unattend'/>"),
        ("password", b"Hunter2!"),
        ("motd", b"hello"),
        ("a.djoin", b"ARAIAMzM"),
        ("a.reg", b"Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\A]\r\n\"B\"=\"C\"\r\n"),
    ] {
        fs::write(place.path(name), text).unwrap();
    }
    let source = ["--wim", "nano.wim", "--size", "256M", "--firmware", "bios", "--label", "Nano"];
    let machine = ["--computer-name", "web-01", "--name-in-specialize", "--secret", "admin=file:password"];
    let files = ["--unattend", "answer.xml", "--copy", "motd:Tools/motd", "--reg", "a.reg", "--setup-command", "-ver"];
    let place_of = ["--time-zone", "UTC", "--locale", "de-DE", "--debug", "serial:2", "--ems", "--test-signing"];
    let user = ["--reg-user", "default"];
    let ipv4 = ["--interface", "Ethernet", "--ipv4-address", "10.0.0.5", "--ipv4-mask", "255.255.255.0"];
    let more = ["--ipv4-gateway", "10.0.0.1", "--ipv4-dns", "10.0.0.2,10.0.0.3", "--remote-management=script"];
    let ipv6 = ["--ipv6-address", "fd00::5/64", "--ipv6-dns", "fd00::1"];
    let mut flags = [&source[..], &machine, &files, &user, &place_of, &ipv4, &more, &ipv6].concat();
    // A value that looks like a flag.
    let command = flags.iter().position(|flag| *flag == "-ver").unwrap();
    flags.splice(command - 1..=command, ["--setup-command=-ver"]);
    round_trip(&place, &flags, &mut keys);
    round_trip(&place, &[&source[..], &["--domain-blob", "a.djoin"]].concat(), &mut keys);

    place.run(&["build", "--wim", "nano.wim", "--size", "256M", "-o", "old.vhdx", "-q"]).ok();
    round_trip(&place, &["--disk", "old.vhdx", "--size", "320M"], &mut keys);

    let windows = scenes::Windows::named("server-2025").unwrap().wim(&scenes::pe_stand_in());
    fs::write(place.path("today.wim"), windows.to_bytes()).unwrap();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";
    fs::write(place.path("id.pub"), key).unwrap();
    fs::write(place.path("cloud.msi"), "an installer").unwrap();
    let source = ["--wim", "today.wim", "--size", "256M"];
    let disk =
        ["--for", "hyper-v", "--recovery-size", "64M", "--boot-setting", "timeout=3", "--cloud-init", "cloud.msi"];
    let users = ["--local-user", "me", "--secret", "user.me=file:password", "--secret", "admin=file:password"];
    let logon = ["--skip-oobe", "--auto-logon", "1", "--first-logon-command", "x", "--rdp", "--ssh-key", "id.pub"];
    let words = ["--ui-language", "en-US", "--input-locale", "de-DE", "--kms"];
    round_trip(&place, &[&source[..], &disk, &users, &logon, &words].concat(), &mut keys);
    let key = ["--product-key", "TVRH6-WHNXV-R9WG3-9XRFY-MY832"];
    round_trip(&place, &[&source[..], &key].concat(), &mut keys);

    let storvsc = r"[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\storvsc]";
    let off = format!("Windows Registry Editor Version 5.00\r\n\r\n{storvsc}\r\n\"Start\"=dword:00000004\r\n");
    fs::write(place.path("off.reg"), off).unwrap();
    let broken = ["--for", "hyper-v", "--reg", "off.reg", "--source-check", "none", "--allow-unbootable"];
    round_trip(&place, &[&source[..], &broken].concat(), &mut keys);

    let schema = place.run(&["schema"]).ok().json();
    let all = schema["properties"].as_object().unwrap().keys().cloned();
    let all: BTreeSet<String> = all.filter(|key| !NO_CHOICES.contains(&&**key)).collect();
    assert_eq!(keys, all);
}

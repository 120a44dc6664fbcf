//! Recipe files and several outputs, as their users meet them.

use std::fs;

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
    run("wim = 'nano.wim'\nsiez = '4G'", &[]).fails(2, &["a.toml: line 2: ", "`siez`", "hint: did you mean `size`?"]);
    run("size = '4X'", &[]).fails(2, &["a.toml: line 1: ", "`4X` is not a size"]);
    run("size = ", &[]).fails(2, &["a.toml: line 1: "]);
    run("size = '4G'", &[]).fails(2, &["--output"]);
    run("compact = 'lzx'\ncluster-size = '64K'\nimage = 1\nwim = 'nano.wim'\noutput = 'a.vhdx'", &[])
        .fails(2, &["4 KiB", "hint: "]);
    run("secret = 'admin=Hunter2'\nwim = 'nano.wim'\noutput = 'a.vhdx'", &[]).fails(2, &["admin=env:"]);
    let json = run("siez = 1", &["--progress", "json"]);
    let error: serde_json::Value = serde_json::from_str(json.stderr.trim()).unwrap();
    assert_eq!((json.code, &error["kind"]), (Some(2), &"recipe".into()));
    place.run(&["build", "--recipe", "none.toml"]).fails(3, &["none.toml"]);
    place.run(&["build", "--wim", "nano.wim"]).fails(2, &["--output <FILE>"]);
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

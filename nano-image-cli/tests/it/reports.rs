//! Metadata, bills of materials and checks, as their users meet them.

use std::fs;
use std::process::Command;

use fixtures::outside;

use crate::support::{Place, Run, image_with_hives};
use serde_json::{Value, json};

fn json(place: &Place, name: &str) -> Value {
    serde_json::from_slice(&place.read(name)).unwrap()
}

fn sha256(place: &Place, name: &str) -> String {
    let sum = Command::new("sha256sum").arg(place.path(name)).output().unwrap();
    String::from_utf8(sum.stdout).unwrap()[..64].to_owned()
}

#[test]
fn metadata_tells_what_was_built_of_what() {
    if !outside::programs("sha256sum") {
        return;
    }
    let place = Place::new();
    fs::create_dir_all(place.path("folder/inner")).unwrap();
    fs::write(place.path("folder/inner/b.txt"), "b").unwrap();
    fs::write(place.path("folder/a.txt"), "a").unwrap();
    let more = ["-o", "b.vhd", "--firmware", "uefi", "--copy", "folder:Tools", "--metadata-file"];
    place.build("a.vhdx", &[&more[..], &["a.json"]].concat()).ok();
    let metadata = json(&place, "a.json");
    let build = &metadata["build"];
    let inputs = build["inputs"].as_array().unwrap();
    let names: Vec<&str> = inputs.iter().map(|input| input["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["nano.wim", "folder/a.txt", "folder/inner/b.txt"]);
    assert_eq!(inputs[0]["sha256"], sha256(&place, "nano.wim"));
    assert_eq!(inputs[2]["sha256"], sha256(&place, "folder/inner/b.txt"));
    for (output, name) in build["outputs"].as_array().unwrap().iter().zip(["a.vhdx", "b.vhd"]) {
        assert_eq!(output["sha256"], sha256(&place, name));
        assert_eq!(output["file-size"], place.read(name).len());
    }
    assert_eq!(build["recipe"]["size"], 256 << 20);
    assert_eq!(build["image"]["index"], 1);
    let start = build["partitions"][2]["start"].as_u64().unwrap();
    let extents = build["data-extents"].as_array().unwrap();
    assert!(extents.iter().any(|extent| extent[0] == start), "{extents:?}");
    let run = &metadata["run"];
    assert!(run["seconds"].as_f64().unwrap() > 0.0 && run["phases-seconds"]["write"].is_number());
    assert_eq!(run["outputs"][1], "b.vhd");
    assert!(run["bytes-written"].as_u64().unwrap() > place.read("a.vhdx").len() as u64 / 2);

    // Again, elsewhere and with one thread: the same, but for the run.
    fs::create_dir(place.path("other")).unwrap();
    place.build("other/x.vhdx", &["-o", "other/y.vhd", "-j", "1"]).ok();
    let outputs = ["-o", "other/y.vhd", "-j", "1", "--force"];
    place.build("other/x.vhdx", &[&more[2..], &["other/b.json"], &outputs[..]].concat()).ok();
    assert_eq!(json(&place, "other/b.json")["build"], *build);
    assert_ne!(json(&place, "other/b.json")["run"], *run);

    place.build("c.vhdx", &["--metadata-file", "a.json"]).fails(2, &["a.json", "exists", "--force"]);
    place.build("c.vhdx", &["--metadata-file", "none/a.json"]).fails(3, &["none"]);
    assert!(!place.path("c.vhdx").exists());
}

#[test]
fn a_password_is_told_by_its_presence_alone() {
    let place = Place::new();
    fs::write(place.path("nano.wim"), image_with_hives()).unwrap();
    fs::write(place.path("password"), "Hunter2!").unwrap();
    let more = ["--secret", "admin=file:password", "--metadata-file", "a.json", "--sbom", "a.cdx.json"];
    place.build("a.vhdx", &more).ok();
    assert_eq!(json(&place, "a.json")["build"]["secrets"], serde_json::json!(["admin"]));
    for name in ["a.json", "a.cdx.json"] {
        assert!(!String::from_utf8(place.read(name)).unwrap().contains("Hunter2"), "{name}");
    }
}

#[test]
fn a_statement_says_what_was_made_of_what() {
    if !outside::programs("sha256sum") {
        return;
    }
    let place = Place::new();
    place.build("a.vhdx", &["-o", "b.raw", "--provenance", "a.intoto.json"]).ok();
    let statement = json(&place, "a.intoto.json");
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    for (index, name) in ["a.vhdx", "b.raw"].into_iter().enumerate() {
        let subject = serde_json::json!({ "name": name, "digest": { "sha256": sha256(&place, name) } });
        assert_eq!(statement["subject"][index], subject);
    }
    let definition = &statement["predicate"]["buildDefinition"];
    assert_eq!(definition["resolvedDependencies"][0]["name"], "nano.wim");
    assert_eq!(definition["resolvedDependencies"][0]["digest"]["sha256"], sha256(&place, "nano.wim"));
    assert_eq!(definition["externalParameters"]["recipe"]["wim"], "nano.wim");
    // The same inputs, the same statement.
    place.build("a.vhdx", &["-o", "b.raw", "--provenance", "b.intoto.json", "--force", "--jobs", "1"]).ok();
    assert!(place.read("a.intoto.json") == place.read("b.intoto.json"));
}

/// What an older version left out, because it did not know it, or told, because it was not yet a default.
#[test]
fn a_check_compares_recipes_by_what_they_mean() {
    let place = Place::new();
    place.build("a.vmdk", &["--metadata-file", "a.json"]).ok();
    let check = |edit: &dyn Fn(&mut Value), more: &[&str]| {
        let mut metadata = json(&place, "a.json");
        edit(&mut metadata["build"]);
        fs::write(place.path("b.json"), metadata.to_string()).unwrap();
        let arguments = ["build", "--wim", "nano.wim", "--image", "1", "--size", "256M", "--check", "b.json"];
        place.run(&[&arguments[..], more].concat())
    };
    let remove = |value: &mut Value, key: &str| {
        assert!(value.as_object_mut().unwrap().remove(key).is_some(), "{key}");
    };
    let older = |build: &mut Value| {
        // What is told is left out, and what is left out is told.
        let defaults = [("sector-size", json!(512)), ("firmware", json!("uefi")), ("esp-size", json!("100M"))];
        for (key, value) in defaults.into_iter().chain([("bcd-device", json!("partition"))]) {
            let recipe = build["recipe"].as_object_mut().unwrap();
            if recipe.remove(key).is_none() {
                recipe.insert(key.into(), value);
            }
        }
        remove(&mut build["outputs"][0], "subformat");
        remove(build, "volume-serial");
    };
    check(&older, &[]).ok();
    for (edit, more, part) in [
        (&older as &dyn Fn(&mut Value), &["--label", "Other"][..], "build.recipe.label is \"Other\", not \"Windows\""),
        (&|build| build["recipe"]["esp-size"] = json!("200M"), &[], "build.recipe.esp-size is "),
        (&|build| build["recipe"]["computer-name"] = json!("web"), &[], "build.recipe.computer-name is null"),
        (&|build| build["recipe"]["later"] = json!(1), &[], "build.recipe.later is null, not 1"),
        (&|build| remove(&mut build["outputs"][0], "sha256"), &[], "build.outputs[0].sha256 is "),
    ] {
        let run = check(edit, more);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        let text = String::from_utf8(run.stdout).unwrap();
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_check_finds_the_first_difference_and_writes_nothing() {
    let place = Place::new();
    place.build("a.vhdx", &["--subformat", "fixed"]).ok();
    place.build("b.vhd", &["--block-size", "512K", "--metadata-file", "b.json"]).ok();
    place.build("c.raw", &["--label", "Other"]).ok();
    let check = |name: &str, more: &[&str]| {
        let arguments = ["build", "--wim", "nano.wim", "--image", "1", "--size", "256M", "--check", name];
        place.run(&[&arguments[..], more].concat())
    };
    let names = place.names();
    // Format, subformat and block size are taken from the file.
    let same = check("a.vhdx", &[]).ok();
    assert!(same.stdout.is_empty() && same.stderr.contains("a.vhdx: this is what is built"), "{}", same.stderr);
    check("b.vhd", &[]).ok();
    check("b.json", &[]).ok();
    check("c.raw", &["--label", "Other"]).ok();

    let differs = |run: Run, parts: &[&str]| {
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        let text = String::from_utf8(run.stdout).unwrap();
        for part in parts {
            assert!(text.contains(part), "`{part}` is not in {text}");
        }
    };
    let mut image = place.read("c.raw");
    image[150 << 20] ^= 1;
    fs::write(place.path("c.raw"), image).unwrap();
    differs(check("c.raw", &["--label", "Other"]), &["c.raw: differs at byte 0x9600000", "is built"]);
    differs(check("c.raw", &[]), &["c.raw: differs at byte 0x", "c.raw: has the identifiers of another seed"]);
    differs(check("b.json", &["--label", "Other"]), &["b.json: build.recipe.label is \"Other\"", "outputs[0].sha256"]);
    // What is asked for by flags wins over what is there.
    differs(check("a.vhdx", &["--subformat", "dynamic"]), &["a.vhdx: differs"]);
    differs(check("a.vhdx", &["--format", "vhd"]), &["a.vhdx: differs"]);
    let json = check("c.raw", &["--label", "Other", "--json"]);
    assert_eq!((json.code, &json.json()["difference"]["offset"]), (Some(1), &(150 << 20).into()));
    assert_eq!(json.json()["other-seed"], false);
    // A broken image is one that differs.
    fs::write(place.path("cut.vhdx"), &place.read("a.vhdx")[..100_000]).unwrap();
    differs(check("cut.vhdx", &[]), &["cut.vhdx: differs at byte"]);
    fs::remove_file(place.path("cut.vhdx")).unwrap();

    // Outputs that are named are not written.
    check("a.vhdx", &["-o", "type=vhdx,subformat=fixed,path=x.vhdx"]).ok();
    check("b.vhd", &["-o", "type=vhd,block-size=512K,path=./b.vhd", "-o", "x.vhdx"]).ok();
    check("a.vhdx", &["-o", "x.vhdx", "-o", "y.vhdx"]).fails(2, &["which of the outputs", "-o"]);
    check("none.vhdx", &[]).fails(3, &["none.vhdx"]);
    check("b.json", &["--metadata-file", "x.json"]).fails(2, &["--metadata-file"]);
    fs::write(place.path("x.json"), "{\"a\": 1}").unwrap();
    check("x.json", &[]).fails(4, &["x.json", "metadata"]);
    fs::remove_file(place.path("x.json")).unwrap();
    assert_eq!(place.names(), names);

    // A recipe's outputs are not written either.
    fs::write(place.path("a.toml"), "wim = 'nano.wim'\nimage = 1\nsize = '256M'\noutput = 'b.vhd'\nblock-size='512K'")
        .unwrap();
    let recipe = fs::read(place.path("b.vhd")).unwrap();
    place.run(&["build", "--recipe", "a.toml", "--check", "b.vhd"]).ok();
    assert!(place.read("b.vhd") == recipe);
}

#[test]
fn a_bill_of_materials_names_image_inputs_and_packages() {
    if !outside::programs("sha256sum") {
        return;
    }
    let place = Place::new();
    place.build("a.vhdx", &["--sbom", "a.cdx.json"]).ok();
    let bom = json(&place, "a.cdx.json");
    assert_eq!((&bom["bomFormat"], &bom["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    assert_eq!(bom["metadata"]["timestamp"], "2016-07-16T00:00:00Z");
    assert_eq!(bom["metadata"]["component"]["hashes"][0]["content"], sha256(&place, "a.vhdx"));
    let components = bom["components"].as_array().unwrap();
    let input = components.iter().find(|component| component["name"] == "nano.wim").unwrap();
    assert_eq!(input["hashes"][0]["content"], sha256(&place, "nano.wim"));
    // References are unique and lead somewhere.
    let mut references: Vec<&str> = components.iter().map(|component| component["bom-ref"].as_str().unwrap()).collect();
    assert_eq!(bom["dependencies"][0]["dependsOn"], Value::from(references.clone()));
    references.sort();
    references.dedup();
    assert_eq!(references.len(), components.len());
    let image = &bom["metadata"]["component"];
    assert_eq!(image["cpe"], "cpe:2.3:o:microsoft:windows_server_2016:10.0.14393.0:*:*:*:*:*:x64:*");
    assert_eq!(image["purl"], "pkg:generic/microsoft/ServerStandardNano@10.0.14393.0?arch=amd64");
    place.build("b.vhdx", &["--sbom", "b.cdx.json"]).ok();
    assert!(place.read("a.cdx.json") == place.read("b.cdx.json"));
    place.build("c.vhdx", &["--sbom", "c.cdx.json", "--label", "Other"]).ok();
    assert_ne!(json(&place, "c.cdx.json")["serialNumber"], bom["serialNumber"]);
}

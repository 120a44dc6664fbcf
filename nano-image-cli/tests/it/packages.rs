//! Install media and packages, as users of the program meet them.

use std::collections::BTreeMap;
use std::fs;

use crate::support::Place;
use fixtures::media::{Release, write_iso};
use fixtures::packages::nano;
use fixtures::{outside, scenes};
use serde_json::Value;

const GUEST: &str = "Microsoft-NanoServer-Guest-Package";

/// A folder `media` with the media of Windows Server 2016.
pub fn media() -> Place {
    let place = Place::new();
    Release::Rtm.write(&place.path("media"), &scenes::pe_stand_in(), 400_000).unwrap();
    place
}

#[test]
fn editions_and_packages_are_listed() {
    let place = media();
    let text = String::from_utf8(place.run(&["packages", "media"]).ok().stdout).unwrap();
    for part in ["NanoServer.wim", "Windows Server 2016", "ServerDatacenterNano", GUEST, "10.0.14393.0"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    let json = place.run(&["packages", "media", "--json"]).ok().json();
    assert_eq!(json["wims"][0]["images"][1]["edition"], "ServerDatacenterNano");
    let packages = json["packages"].as_array().unwrap();
    assert_eq!(packages.len(), Release::Rtm.packages().len());
    let guest = packages.iter().find(|package| package["name"] == GUEST).unwrap().clone();
    let cabinet = &guest["cabinets"][0];
    let size = fs::metadata(place.path("media/NanoServer/Packages").join(format!("{GUEST}.cab"))).unwrap().len();
    assert_eq!(cabinet["size"], size);
    assert_eq!(cabinet["parents"][0], nano::foundation_identity().package_id());

    let one = String::from_utf8(place.run(&["packages", "media", "guest"]).ok().stdout).unwrap();
    assert!(one.contains("needs") && one.contains(&nano::foundation_identity().package_id()), "{one}");
    place.run(&["packages", "media", "gest"]).fails(3, &["`gest`", &format!("did you mean `{GUEST}`?")]);
    place.run(&["packages", "none"]).fails(3, &["none"]);
    assert_eq!(place.run(&["packages", "media", "Guest", "--json"]).ok().json(), guest);

    // One that cannot be read is listed as what it is, and does not hide the others.
    fs::write(place.path("media/NanoServer/Packages/Bad.cab"), "bad").unwrap();
    let run = place.run(&["packages", "media"]).ok();
    assert!(run.stderr.contains("warning: ") && run.stderr.contains("Bad.cab"), "{}", run.stderr);
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(text.contains(GUEST) && text.lines().any(|line| line.starts_with("Bad ") && line.contains('?')), "{text}");
    let json = place.run(&["packages", "media", "--json"]).ok().json();
    let packages = json["packages"].as_array().unwrap();
    assert_eq!(packages.len(), Release::Rtm.packages().len() + 1);
    let bad = packages.iter().find(|package| package["name"] == "Bad").unwrap();
    assert_eq!((&bad["cabinets"][0]["file"], &bad["cabinets"][0]["size"]), (&"Bad.cab".into(), &3.into()));
    assert!(bad["error"].as_str().unwrap().contains("Bad.cab"), "{bad}");
}

#[test]
fn an_iso_image_in_the_wrong_place_is_told() {
    if !outside::programs("genisoimage") {
        return;
    }
    let place = media();
    write_iso(&place.path("media"), &place.path("a.iso"), "NANO").unwrap();
    place.run(&["images", "a.iso"]).fails(4, &["not a WIM", "it is an ISO image"]);
    place.run(&["plan", "--wim", "a.iso", "--image", "1"]).fails(4, &["not a WIM", "it is an ISO image"]);
    place.run(&["inspect", "a.iso"]).fails(4, &["is an ISO image", "`nano-image packages`"]);
    // It has cabinets inside, which are none that anybody means.
    let media = ["plan", "--media", "a.iso", "--edition", "datacenter", "--servicing-package", "a.iso"];
    place.run(&media).fails(4, &["a.iso: not a cabinet", ".msu"]);
}

#[test]
fn metadata_name_the_cabinets_that_are_installed() {
    if !outside::programs("genisoimage") {
        return;
    }
    let place = media();
    write_iso(&place.path("media"), &place.path("media.iso"), "NANO").unwrap();
    let inputs = |source: &[&str]| {
        let flags = ["--edition", "datacenter", "--package", "IIS", "--size", "256M", "--force", "-q"];
        let outputs = ["-o", "a.vhdx", "--metadata-file", "a.json"];
        place.run(&[&["build"], source, &flags, &outputs].concat()).ok();
        let metadata: Value = serde_json::from_slice(&place.read("a.json")).unwrap();
        let inputs = metadata["build"]["inputs"].as_array().unwrap().clone();
        let role = |input: &Value| format!("{} {}", input["role"].as_str().unwrap(), input["name"].as_str().unwrap());
        inputs.iter().map(role).collect::<Vec<_>>()
    };
    let package = "Microsoft-NanoServer-IIS-Package";
    assert_eq!(
        inputs(&["--media", "media"]),
        [
            "media NanoServer/NanoServer.wim".to_owned(),
            format!("media NanoServer/Packages/{package}.cab"),
            format!("media NanoServer/Packages/en-us/{package}_en-us.cab"),
        ]
    );
    assert_eq!(
        inputs(&["--wim", "media/NanoServer/NanoServer.wim"]),
        ["wim NanoServer.wim".to_owned(), format!("package {package}.cab"), format!("package {package}_en-us.cab")]
    );
    assert_eq!(inputs(&["--media", "media.iso"]), ["media media.iso"]);
}

#[test]
fn a_plan_tells_what_a_build_makes_and_writes_nothing() {
    let place = media();
    let flags = ["--media", "media", "--edition", "datacenter", "--size", "256M"];
    // Each format in all of its kinds whose length is known beforehand.
    let all = [
        "a.vhdx",
        "type=vhd,subformat=fixed,path=b.vhd",
        "c.raw",
        "type=vhdx,subformat=fixed,path=d.vhdx",
        "e.vhd",
        "f.qcow2",
        "type=qcow2,block-size=4K,path=g.qcow2",
        "h.vmdk",
    ];
    let outputs = all.map(|output| ["-o", output]).concat();
    let before = place.names();
    let plan = place.run(&[&["plan", "--json"], &flags[..], &outputs].concat()).ok().json();
    let text = place.run(&[&["plan"], &flags[..], &outputs].concat()).ok().stdout;
    let default = String::from_utf8(place.run(&[&["plan"], &flags[..]].concat()).ok().stdout).unwrap();
    assert_eq!(place.names(), before);
    let built = place.run(&[&["build", "--json"], &flags[..], &outputs].concat()).ok().json();
    assert_eq!(plan, built);
    let text = String::from_utf8(text).unwrap();
    for (index, output) in all.iter().enumerate() {
        let name = output.rsplit_once('=').map_or(*output, |(_, name)| name);
        let size = fs::metadata(place.path(name)).unwrap().len();
        assert_eq!(plan["outputs"][index]["file-size"], size, "{name}");
        assert!(text.contains(&format!(" {size} ")) && text.contains(name), "{text}");
    }
    assert!(plan["files"].as_u64().unwrap() > 200 && plan["directories"].as_u64().unwrap() > 20, "{plan}");
    assert!(default.contains(&format!(" {} ", plan["outputs"][0]["file-size"])), "{default}");
    // What is there is no obstacle to planning.
    place.run(&[&["plan"], &flags[..], &outputs].concat()).ok();
    place.run(&[&["build"], &flags[..], &outputs].concat()).fails(2, &["exists"]);
}

#[test]
fn media_give_what_their_wim_gives() {
    let place = media();
    place.run(&["build", "--media", "media", "--edition", "standard", "--size", "256M", "-o", "a.vhdx"]).ok();
    let wim = "media/NanoServer/NanoServer.wim";
    place.run(&["build", "--wim", wim, "--image", "1", "--size", "256M", "-o", "b.vhdx"]).ok();
    assert!(place.read("a.vhdx") == place.read("b.vhdx"));
    fs::write(place.path("a.toml"), "media = 'media'\nedition = 'standard'\nsize = '256M'\npackage = []\n").unwrap();
    place.run(&["build", "--recipe", "a.toml", "-o", "c.vhdx"]).ok();
    assert!(place.read("a.vhdx") == place.read("c.vhdx"));
    let plan = place.run(&["plan", "--recipe", "a.toml", "--json"]).ok().json();
    assert_eq!(plan["outputs"][0]["file-size"], place.read("a.vhdx").len());
}

#[test]
fn what_contradicts_or_is_missing_is_refused() {
    let place = media();
    let run = |more: &[&str]| place.run(&[&["build", "-o", "a.vhdx"], more].concat());
    run(&[]).fails(2, &["no source", "--media"]);
    run(&["--media", "media", "--wim", "nano.wim"]).fails(2, &["--wim", "--media"]);
    run(&["--media", "media", "--image", "1", "--edition", "standard"]).fails(2, &["--edition", "--image"]);
    run(&["--media", "media"]).fails(2, &["2 images", "--edition"]);
    let standard = ["--media", "media", "--edition", "standard"];
    run(&[&standard[..], &["--deployment", "guest", "--oem-drivers"]].concat()).fails(2, &["OEM-Drivers"]);
    run(&[&standard[..], &["--package", "Nothing", "--package", "IISS"]].concat()).fails(3, &["`Nothing`", "`IISS`"]);
    run(&[&standard[..], &["--servicing-package", "none.msu"]].concat()).fails(3, &["none.msu"]);
    run(&["--media", "media/efi"]).fails(3, &["NanoServer/NanoServer.wim"]);
    run(&["--wim", "nano.wim", "--image", "1", "--package", "IIS"]).fails(3, &["`IIS`", "NanoServer/Packages"]);
    assert_eq!(place.names(), ["media", "nano.wim"]);
}

/// Name and bytes of all packages of a report, with their parts and languages.
pub fn costs(report: &Value) -> BTreeMap<String, u64> {
    let packages = report["packages"].as_array().unwrap();
    let mut costs = BTreeMap::new();
    for package in packages {
        let mut owner = package;
        while let Some(id) = owner["part-of"].as_str() {
            owner = packages.iter().find(|package| package["id"] == id).unwrap();
        }
        let name = owner["id"].as_str().unwrap().split('~').next().unwrap().to_owned();
        *costs.entry(name).or_default() += package["bytes-added"].as_u64().unwrap();
    }
    costs
}

#[test]
fn packages_are_installed_and_their_cost_is_told() {
    if !outside::programs("genisoimage") {
        return;
    }
    let place = media();
    let media = ["--media", "media", "--edition", "datacenter", "--size", "512M", "--json"];
    let build = |output: &str, more: &[&str]| {
        let run = place.run(&[&["build", "-o", output], &media[..], more].concat()).ok();
        (run.json(), run.stderr)
    };
    let (bare, _) = build("bare.vhdx", &[]);
    assert_eq!(bare["packages"], Value::Array(Vec::new()));
    let all = ["--deployment", "guest", "--storage", "--compute", "--clustering", "--package"];
    let all = [&all[..], &["Microsoft-NanoServer-OEM-Drivers-Package", "--package", "IIS"]].concat();
    let (made, text) = build("all.vhdx", &all);
    let costs = costs(&made);
    for name in ["Guest", "Storage", "Compute", "FailoverCluster", "OEM-Drivers"] {
        let name = format!("Microsoft-NanoServer-{name}-Package");
        let cost = costs.get(&name).unwrap_or_else(|| panic!("{name}: {costs:?}"));
        assert!(*cost > 1000, "{name}: {cost}");
        assert!(text.contains(&name) && text.contains(&format!(" {cost} ")), "{name} {cost}:\n{text}");
    }
    // The volume grows by about what the packages cost.
    let used = |report: &Value| report["volume-used"].as_u64().unwrap();
    let (cost, grown): (u64, u64) = (costs.values().sum(), used(&made) - used(&bare));
    assert!(grown > cost && grown < 2 * cost + (4 << 20), "{cost} bytes of packages, {grown} on the volume");
    assert_ne!(bare["seed"], made["seed"]);

    // The same from an ISO image, in another order of flags, byte for byte.
    write_iso(&place.path("media"), &place.path("media.iso"), "NANO").unwrap();
    let from_iso = ["build", "-o", "iso.vhdx", "--media", "media.iso", "--edition", "datacenter", "--size", "512M"];
    let other = ["--package", "Microsoft-NanoServer-OEM-Drivers-Package", "--package", "IIS", "--clustering"];
    let run = place.run(&[&from_iso[..], &other, &["--compute", "--storage", "--deployment", "guest"]].concat()).ok();
    assert!(place.read("iso.vhdx") == place.read("all.vhdx"), "{}", run.stderr);
    let plan = place.run(&[&["plan", "-o", "all.vhdx"], &media[..], &all].concat()).ok().json();
    assert_eq!(plan, made);
}

/// A driver of a storage adapter, in a folder of its own.
pub fn driver(place: &Place) {
    fs::create_dir(place.path("driver")).unwrap();
    let inf = "[Version]\nSignature=\"$Windows NT$\"\nClass=SCSIAdapter\n\
               ClassGuid={4D36E97B-E325-11CE-BFC1-08002BE10318}\nProvider=%V%\nDriverVer=12/02/2021,1.2.3.4\n\
               CatalogFile=teststor.cat\n[SourceDisksNames]\n1=%V%\n[SourceDisksFiles]\nteststor.sys=1\n\
               [DestinationDirs]\nDefaultDestDir=12\n[Manufacturer]\n%V%=M,NTamd64\n[M.NTamd64]\n\
               %V%=I,PCI\\VEN_1111&DEV_0001\n[I]\nCopyFiles=F\n[F]\nteststor.sys\n[I.Services]\n\
               AddService=teststor,2,S\n[S]\nServiceType=1\nStartType=0\nErrorControl=1\n\
               ServiceBinary=%12%\\teststor.sys\n[Strings]\nV=\"Test\"\n";
    for (name, bytes) in [("teststor.inf", inf.as_bytes()), ("teststor.sys", b"MZ driver"), ("teststor.cat", b"cat")] {
        fs::write(place.path("driver").join(name), bytes).unwrap();
    }
}

/// An update, `update.cab`.
pub fn update(place: &Place) {
    let update = nano::servicing(100_000).to_bytes(Release::Rtm.form(&fixtures::packages::wcp::dictionary()));
    fs::write(place.path("update.cab"), update).unwrap();
}

#[test]
fn updates_features_and_drivers_are_added() {
    let place = media();
    driver(&place);
    update(&place);
    let media = ["--media", "media", "--edition", "standard", "--size", "512M", "--json"];
    let plan = |more: &[&str]| place.run(&[&["plan"], &media[..], more].concat());
    let files = |report: &Value| report["files"].as_u64().unwrap();

    let plain = plan(&["--storage"]).ok().json();
    let featured = plan(&["--storage", "--feature", "replica"]).ok().json();
    assert!(files(&featured) >= files(&plain) && featured["seed"] != plain["seed"]);
    plan(&["--storage", "--feature", "Replicas"]).fails(3, &["`Replicas`", "Replica"]);

    let updated = plan(&["--storage", "--servicing-package", "update.cab"]).ok().json();
    let last = updated["packages"].as_array().unwrap().iter().rfind(|package| package["part-of"].is_null()).unwrap();
    assert!(last["id"].as_str().unwrap().starts_with("Package_for_KB4000001~"), "{last}");

    let driven = plan(&["--driver", "driver"]).ok().json();
    assert_eq!(driven["drivers"][0]["published"], "oem0.inf");
    assert_eq!(driven["drivers"][0]["services"][0], "teststor");
    assert_eq!(driven["drivers"][0]["boot-critical"], true);
    let text =
        String::from_utf8(place.run(&[&["plan", "--driver", "driver"], &media[..6]].concat()).ok().stdout).unwrap();
    assert!(text.contains("teststor.inf  oem0.inf   SCSIAdapter  1.2.3.4"), "{text}");
    // The driver's bytes count, not where it is.
    fs::rename(place.path("driver"), place.path("elsewhere")).unwrap();
    assert_eq!(plan(&["--driver", "elsewhere/teststor.inf"]).ok().json()["seed"], driven["seed"]);
    fs::write(place.path("elsewhere/teststor.sys"), "MZ other").unwrap();
    assert_ne!(plan(&["--driver", "elsewhere"]).ok().json()["seed"], driven["seed"]);
    fs::remove_file(place.path("elsewhere/teststor.sys")).unwrap();
    plan(&["--driver", "elsewhere"]).fails(3, &["teststor.sys"]);

    // What only Windows can do is a warning, or an error if that is wanted.
    let warned = plan(&["--compute"]).ok();
    assert!(warned.stderr.contains("Compute") && warned.stderr.contains("not applied completely"), "{}", warned.stderr);
    plan(&["--compute", "--strict"]).fails(4, &["mof", "strict"]);
    plan(&["--package", "ShieldedVM"]).fails(3, &["ShieldedVM", "0x800f081e", "ServerDatacenterNano"]);
    let more = plan(&["--package", "NPDS"]).ok();
    assert!(more.stderr.contains("Microsoft-NanoServer-Defender-Package` is installed too"), "{}", more.stderr);
}

//! What the `servicing` section of answer files wants, features of an image itself, and what an image lists.

use std::fs;

use crate::packages::{costs, driver, media, update};
use crate::support::{Place, Run, cut_volume, run_script};
use fixtures::cab::Method;
use fixtures::hive::value;
use fixtures::media::{Release, write_iso};
use fixtures::packages::{Form, Manifests, State, core};
use fixtures::{outside, scenes};
use serde_json::Value;

const GUEST: &str = "Microsoft-NanoServer-Guest-Package";
const IIS: &str = "Microsoft-NanoServer-IIS-Feature-Package";

/// A `package` element.
fn package(action: &str, name: &str, language: &str, more: &str) -> String {
    format!(
        "<package action='{action}'><assemblyIdentity name='{name}' version='10.0.14393.0' language='{language}' \
         processorArchitecture='amd64' publicKeyToken='31bf3856ad364e35'/>{more}</package>"
    )
}

fn source(location: &str) -> String {
    format!("<source location='{location}'/>")
}

/// Writes the answer file `answer.xml` with this `servicing` section and these settings behind it.
fn write_answer(place: &Place, packages: &str, settings: &str) {
    let text = format!(
        "<unattend xmlns='urn:schemas-microsoft-com:unattend'><servicing>{packages}</servicing>{settings}</unattend>"
    );
    fs::write(place.path("answer.xml"), text).unwrap();
}

/// A plan of the last edition of the media with the answer file.
fn plan(place: &Place, more: &[&str]) -> Run {
    let edition = ["plan", "--json", "--media", "media", "--size", "512M", "--unattend", "answer.xml"];
    place.run(&[&edition[..], more].concat())
}

fn ids(run: Run) -> Vec<String> {
    let report = run.ok().json();
    let packages = report["packages"].as_array().unwrap().iter().filter(|package| package["part-of"].is_null());
    packages.map(|package| package["id"].as_str().unwrap().to_owned()).collect()
}

/// Identities of IIS and of its companion, as they are installed.
fn iis() -> [String; 2] {
    ["", "en-US"].map(|language| format!("{IIS}~31bf3856ad364e35~amd64~{language}~10.0.14393.0"))
}

/// The text of Microsoft's example for IIS, in own words: its files are called otherwise before Technical Preview 5.
fn example() -> String {
    let at = |path: &str| source(&format!(r"c:\packages\{path}.cab"));
    package("install", IIS, "neutral", &at("Microsoft-NanoServer-IIS-Package"))
        + &package("install", IIS, "en-US", &at(r"en-us\Microsoft-NanoServer-IIS-Package_en-us"))
}

fn media_of(release: Release) -> Place {
    let place = Place::empty();
    release.write(&place.path("media"), &scenes::pe_stand_in(), 100_000).unwrap();
    place
}

#[test]
fn packages_are_found_by_what_they_call_themselves() {
    for release in [Release::Tp4, Release::Tp5, Release::Rtm] {
        let place = media_of(release);
        let edition = release.images()[0].1;
        write_answer(&place, &example(), "");
        assert_eq!(ids(plan(&place, &["--image", edition])), iis(), "{release:?}");
        // Whatever its file is called.
        let packages = place.path("media/NanoServer/Packages");
        fs::rename(packages.join("Microsoft-NanoServer-IIS-Package.cab"), packages.join("Web.cab")).unwrap();
        let companion = release.companion("Web");
        fs::rename(packages.join(release.companion("Microsoft-NanoServer-IIS-Package")), packages.join(companion))
            .unwrap();
        assert_eq!(ids(plan(&place, &["--image", edition])), iis(), "{release:?}");
    }
}

/// The example that "Deploy Nano Server" on learn.microsoft.com has, where it is.
#[test]
fn the_example_of_microsoft_works_on_media_of_three_releases() {
    let Some(example) = outside::shared("data/unattend/MSDocs-nano-servicing-unattend.xml") else { return };
    for release in [Release::Tp4, Release::Tp5, Release::Rtm] {
        let place = media_of(release);
        fs::copy(&example, place.path("answer.xml")).unwrap();
        let edition = ["--image", release.images()[0].1];
        assert_eq!(ids(plan(&place, &edition)), iis(), "{release:?}");
        let image = ["--media", "media", "--size", "512M", "--unattend", "answer.xml", "-o", "a.vhdx"];
        place.run(&[&["build"], &edition[..], &image].concat()).ok();
        let text = String::from_utf8(place.run(&["inspect", "--packages", "a.vhdx"]).ok().stdout).unwrap();
        assert!(iis().iter().all(|id| text.contains(id)), "{text}");
    }
}

#[test]
fn packages_of_an_answer_file_are_installed() {
    let place = media();
    let answer = |packages: &str| {
        write_answer(&place, packages, "");
        plan(&place, &["--image", "2"])
    };
    let names = |run: Run| costs(&run.ok().json()).into_keys().collect::<Vec<_>>();
    let flags = ["plan", "--json", "--media", "media", "--image", "2", "--size", "512M", "--package", "Guest"];
    let by_flag = names(place.run(&flags));
    assert_eq!(by_flag, [GUEST]);
    let by_name = package("install", GUEST, "neutral", "") + &package("install", GUEST, "en-US", "");
    assert_eq!(names(answer(&by_name)), by_flag);
    // A cabinet beside the answer file, and an update, which comes last.
    fs::create_dir(place.path("set")).unwrap();
    fs::copy(place.path("media/NanoServer/Packages").join(format!("{GUEST}.cab")), place.path("set/g.cab")).unwrap();
    update(&place);
    let beside = package("install", GUEST, "neutral", &source(r"%configsetroot%\set\g.cab"));
    assert_eq!(names(answer(&beside)), by_flag);
    let updated = format!(
        "<package action='install'><assemblyIdentity name='Package_for_KB4000001'/>{}</package>{beside}",
        source("update.cab")
    );
    assert_eq!(names(answer(&updated)), [GUEST, "Package_for_KB4000001"]);
    // A companion alone needs its package.
    answer(&package("install", GUEST, "en-US", "")).fails(3, &[GUEST, "0x800f081e", "add the package"]);

    // Another package than the file says, another version, one that is nowhere.
    let other = package("install", IIS, "neutral", &source(r"set\g.cab"));
    answer(&other).fails(3, &["g.cab", IIS, &format!("it is `{GUEST}~")]);
    let later = package("install", IIS, "neutral", "").replace("14393", "14400");
    answer(&later).fails(3, &["10.0.14400.0", "the media have", "10.0.14393.0"]);
    let called = package("install", "Microsoft-NanoServer-IIS-Package", "neutral", "");
    answer(&called).fails(3, &["answer.xml", "no such package", "`Microsoft-NanoServer-IIS-Feature-Package~"]);
    let nowhere = package("install", "Nothing", "neutral", &source(r"d:\n.cab"));
    answer(&nowhere).fails(3, &["answer.xml", "`Nothing~", r"d:\n.cab"]);
    answer("<package action='instal'><assemblyIdentity name='A'/></package>").fails(4, &["line 1", "`install`"]);
}

/// DISM takes no companion along that the file does not name, and does nothing where the package is there already.
#[test]
fn an_answer_file_installs_what_it_names_and_lacks() {
    let place = media();
    write_answer(&place, &package("install", IIS, "neutral", ""), "");
    let run = plan(&place, &["--image", "2"]);
    let told = run.stderr.clone();
    assert_eq!(ids(run), iis()[..1]);
    let expected = format!("`{}` is installed without texts", iis()[0]);
    assert!(told.contains(&expected), "{told}");
    let there = "Microsoft-NanoServer-Edition-Package";
    for more in ["", &source(r"d:\gone.cab")] {
        write_answer(&place, &package("install", there, "neutral", more), "");
        assert!(ids(plan(&place, &["--image", "2"])).is_empty());
    }
    let other = package("install", there, "neutral", "").replace("14393", "14300");
    write_answer(&place, &other, "");
    plan(&place, &["--image", "2"]).fails(3, &["answer.xml", "no such package", "10.0.14300.0"]);

    let (place, _, _) = core_image(&[]);
    write_answer(&place, &package("install", "Microsoft-Windows-FaxServer-Package", "neutral", ""), "");
    let flags = ["plan", "--json", "--wim", "core.wim", "--size", "512M", "--unattend", "answer.xml"];
    place.run(&flags).fails(4, &["answer.xml", "component store only", "--feature"]);
}

#[test]
fn what_dism_refuses_of_packages_is_refused() {
    let place = media();
    let answer = |packages: &str| {
        write_answer(&place, packages, "");
        plan(&place, &["--image", "2"])
    };
    let there = "Microsoft-NanoServer-Edition-Package";
    answer(&package("remove", GUEST, "neutral", "")).fails(3, &["answer.xml", GUEST, "to remove", "0x800f0805"]);
    let other = package("remove", there, "neutral", "").replace("14393", "14300");
    answer(&other).fails(3, &["0x800f0805", "10.0.14300.0", "it has `Microsoft-NanoServer-Edition-Package~"]);
    answer(&package("remove", there, "neutral", "")).fails(4, &["removing packages is not done", "/remove-package"]);
    answer(&package("stage", GUEST, "neutral", "")).fails(4, &["answer.xml", "stages", GUEST]);
    let select = |feature: &str, state: bool| format!("<selection name='{feature}' state='{state}'/>");
    answer(&package("configure", GUEST, "neutral", &select("Web", true))).fails(3, &["to configure", "0x800f0805"]);
    answer(&package("configure", there, "neutral", &select("Web", true))).fails(3, &["`Web`", "0x800f080c"]);
    assert_eq!(place.names(), ["answer.xml", "media", "nano.wim"]);
}

fn core_state(features: &[&str]) -> State {
    scenes::core_cbs_state(&scenes::pe_stand_in(), features)
}

/// An image with features that are off, and the same state with `features` on.
fn core_image(features: &[&str]) -> (Place, State, State) {
    let place = Place::empty();
    scenes::core_cbs(&scenes::pe_stand_in()).write_file(place.path("core.wim")).unwrap();
    (place, core_state(&[]), core_state(features))
}

/// Builds an image and lets other programs compare its volume with what must be there beyond `before`.
fn judge(place: &Place, flags: &[&str], [before, after]: [&State; 2]) -> Value {
    let build = ["build", "--size", "256M", "-o", "core.raw", "--strict", "--force", "--json"];
    let report = place.run(&[&build[..], flags].concat()).ok().json();
    cut_volume(place, "core.raw", &report);
    let lines = after.lines_beyond(before);
    assert!(lines.len() > 20, "{lines:?}");
    fs::write(place.path("expected"), lines.join("\n") + "\n").unwrap();
    run_script(place, "check-packages", &["volume", "expected"], "- 0 wrong");
    run_script(place, "check-records", &["volume", "--prove"], "planted, 0 not found");
    report
}

#[test]
fn a_feature_of_the_image_is_turned_on_with_its_parent() {
    if !outside::programs("python3") {
        return;
    }
    let on = core::turned_on("Web-Server");
    let (place, before, after) = core_image(on);
    let report = judge(&place, &["--wim", "core.wim", "--feature", "web-server"], [&before, &after]);
    assert!(report["warnings"].as_array().unwrap().iter().all(|text| !text.as_str().unwrap().contains("feature")));
    // The image that was built lists them, as DISM would.
    let has = place.run(&["packages", "--disk", "core.raw", "--json"]).ok().json();
    let state = |name: &str| {
        let features = has["features"].as_array().unwrap();
        features.iter().find(|feature| feature["name"] == name).unwrap()["state"].as_str().unwrap().to_owned()
    };
    for feature in ["Web-Server-Role", "Web-Server", "Web-Common", "Web-Tools", "Fax-Server"] {
        let expected = if on.contains(&feature) { "enabled" } else { "disabled" };
        assert_eq!(state(feature), expected, "{feature}");
    }
    assert_eq!(state("Legacy-Runtime"), "disabled, payload removed");
    place
        .run(&["plan", "--wim", "core.wim", "--feature", "Web-Sever"])
        .fails(3, &["`Web-Sever` (0x800f080c)", "did you mean `Web-Server`?"]);
}

/// The same by an answer file, as servers have it: with a child that stays off.
#[test]
fn features_of_the_image_are_turned_on_by_an_answer_file() {
    if !outside::programs("python3") {
        return;
    }
    let (place, before, _) = core_image(&[]);
    let select = |name: &str, state: bool| format!("<selection name='{name}' state='{state}'/>");
    let configure = |selections: &str| {
        write_answer(&place, &package("configure", "Microsoft-Windows-Foundation-Package", "neutral", selections), "");
    };
    configure(&(select("Web-Server-Role", true) + &select("Web-Tools", true) + &select("Web-Server", false)));
    let after = core_state(core::turned_on("Web-Tools"));
    judge(&place, &["--wim", "core.wim", "--unattend", "answer.xml"], [&before, &after]);
    configure(&(select("Web-Server", true) + &select("web-common", false)));
    let build = ["build", "--wim", "core.wim", "--unattend", "answer.xml", "--size", "256M", "-o", "core.vhdx"];
    place.run(&build).ok();
    let has = place.run(&["packages", "--disk", "core.vhdx", "--json"]).ok().json();
    let features = has["features"].as_array().unwrap();
    let on = features.iter().filter(|one| one["state"] == "enabled").map(|one| one["name"].as_str().unwrap());
    assert_eq!(on.collect::<Vec<_>>(), ["Web-Server", "Web-Server-Role"]);
    configure(&select("Web-Sever", false));
    place.run(&[&build[..], &["--force"]].concat()).fails(3, &["has no feature `Web-Sever`", "0x800f080c"]);
}

#[test]
fn files_that_were_removed_are_taken_from_the_media() {
    if !outside::programs("genisoimage, python3") {
        return;
    }
    let feature = "Legacy-Runtime";
    let (place, before, after) = core_image(core::turned_on(feature));
    place
        .run(&["plan", "--wim", "core.wim", "--feature", feature])
        .fails(3, &["0x800f081f", "legacyruntime", "sources/sxs"]);
    fs::create_dir_all(place.path("media/sources/sxs")).unwrap();
    fs::rename(place.path("core.wim"), place.path("media/sources/install.wim")).unwrap();
    let cabinet = core::on_demand().to_bytes(Form { method: Method::Mszip, manifests: Manifests::Plain });
    fs::write(place.path("media/sources/sxs").join(format!("{}.cab", core::ON_DEMAND)), cabinet).unwrap();
    judge(&place, &["--media", "media", "--feature", feature], [&before, &after]);
    let from_folder = place.read("core.raw");
    write_iso(&place.path("media"), &place.path("core.iso"), "CORE").unwrap();
    judge(&place, &["--media", "core.iso", "--feature", feature], [&before, &after]);
    assert!(place.read("core.raw") == from_folder);
}

#[test]
fn an_image_lists_its_features_and_packages() {
    let (place, ..) = core_image(&[]);
    let text = String::from_utf8(place.run(&["packages", "--wim", "core.wim"]).ok().stdout).unwrap();
    for line in [
        "Features: 6\n",
        "  Legacy-Runtime   disabled, payload removed\n",
        "  Web-Server       disabled                   Web-Server-Role\n",
        "Capabilities: 0\n",
        "  Microsoft-Windows-WebServer-Package~31bf3856ad364e35~amd64~~10.0.14393.0",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    let json = place.run(&["packages", "core.wim", "--image", "1", "--json"]).ok().json();
    assert_eq!(json["features"].as_array().unwrap().len(), 6);
    assert_eq!(json["features"][0]["name"], "Fax-Server");
    let foundation = "Microsoft-Windows-Foundation-Package~31bf3856ad364e35~amd64~~10.0.14393.0";
    assert_eq!(json["features"][0]["package"], foundation);
    let packages = json["packages"].as_array().unwrap();
    assert_eq!(packages.iter().find(|one| one["identity"] == foundation).unwrap()["state"], "installed");
    place.run(&["packages", "--wim", "core.wim", "--image", "2"]).fails(3, &["core.wim", "2"]);
    place.run(&["packages", "core.wim", "--wim", "core.wim"]).fails(2, &["two sources"]);
    place.run(&["packages", "core.wim", "IIS", "--image", "1"]).fails(2, &["`IIS`"]);
    place.run(&["packages"]).fails(2, &["MEDIA"]);
}

#[test]
fn an_update_tells_what_of_it_applies() {
    let place = media();
    update(&place);
    let text = String::from_utf8(place.run(&["packages", "update.cab"]).ok().stdout).unwrap();
    for part in ["Package_for_KB4000001~", "article       KB4000001", "2 packages, 4 components", "Edition-Package"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    let wim = ["packages", "update.cab", "--wim", "media/NanoServer/NanoServer.wim", "--image", "2"];
    let applies = place.run(&[&wim[..], &["--json"]].concat()).ok().json()["applies"].clone();
    assert_eq!((&applies["components"], &applies["replaced"]), (&2.into(), &1.into()), "{applies}");
    assert!(applies["notes"][0].as_str().unwrap().contains("left out"), "{applies}");
    let text = String::from_utf8(place.run(&wim).ok().stdout).unwrap();
    assert!(text.contains("of which 1 replace earlier versions"), "{text}");
    // Of a disk it tells the same, and of one that has it that it is there.
    let build = ["build", "--media", "media", "--image", "2", "--size", "512M", "-o", "a.vhdx"];
    place.run(&build).ok();
    let disk = ["packages", "update.cab", "--disk", "a.vhdx", "--json"];
    assert_eq!(place.run(&disk).ok().json()["applies"], applies);
    place.run(&[&build[..], &["--servicing-package", "update.cab", "--force"]].concat()).ok();
    let again = place.run(&disk).ok().json()["applies"].clone();
    assert_eq!(again["components"], 0);
    assert!(again["notes"][0].as_str().unwrap().contains("installed already"), "{again}");
    place.run(&["packages", "update.cab", "Guest"]).fails(2, &["`Guest`"]);
    place.run(&["packages", "update.cab", "--image", "2"]).fails(2, &["--wim"]);
    fs::write(place.path("bad.msu"), "bad").unwrap();
    place.run(&["packages", "bad.msu"]).fails(4, &["bad.msu"]);
}

#[test]
fn drivers_of_an_answer_file_are_added() {
    let place = media();
    driver(&place);
    let settings = |path: &str| {
        write_answer(
            &place,
            "",
            &format!(
                "<settings pass='offlineServicing'><component name='Microsoft-Windows-PnpCustomizationsNonWinPE' \
                 processorArchitecture='amd64' publicKeyToken='31bf3856ad364e35' language='neutral' \
                 versionScope='nonSxS' xmlns:wcm='http://schemas.microsoft.com/WMIConfig/2002/State'><DriverPaths>\
                 <PathAndCredentials wcm:action='add' wcm:keyValue='1'><Path>{path}</Path></PathAndCredentials>\
                 </DriverPaths></component></settings>"
            ),
        );
    };
    settings(r"%configsetroot%\driver");
    let answered = plan(&place, &["--image", "2"]).ok();
    assert!(!answered.stderr.contains("DriverPaths"), "{}", answered.stderr);
    let flags = ["plan", "--json", "--media", "media", "--image", "2", "--size", "512M", "--driver", "driver"];
    let flagged = place.run(&flags).ok().json();
    assert_eq!(answered.json()["drivers"], flagged["drivers"]);
    assert_eq!(flagged["drivers"][0]["published"], "oem0.inf");
    settings(r"d:\drivers");
    plan(&place, &["--image", "2"]).fails(3, &["answer.xml", r"`d:\drivers`", "--driver"]);
}

/// Records whose form is not known: everything is told and nothing is written by halves.
#[test]
fn records_of_an_unknown_form_are_left_as_they_are() {
    let place = Place::empty();
    let mut state = core_state(&[]);
    let component = state.components()[0].key_form();
    let key = format!(r"DerivedData\Components\{component}");
    state.hive("COMPONENTS").set(&key, "f!of another form.dll", value::dword(1));
    scenes::core_of(&scenes::pe_stand_in(), state).write_file(place.path("core.wim")).unwrap();
    let build = ["build", "--wim", "core.wim", "--size", "256M", "-o", "core.vhdx", "--feature", "fax-server"];
    place.run(&[&build[..], &["--strict"]].concat()).fails(4, &["f!of another form.dll", "strict"]);
    assert_eq!(place.names(), ["core.wim"]);
    let run = place.run(&build).ok();
    assert!(run.stderr.contains("DISM will not list them") && run.stderr.contains("f!of another form.dll"));
    // The files are there, and no record of them.
    place.run(&["cat", "core.vhdx", "Windows/System32/drivers/genfax.sys"]).ok();
    place.run(&["build", "--wim", "core.wim", "--size", "256M", "-o", "plain.vhdx"]).ok();
    let hive = |image: &str| place.run(&["cat", image, "Windows/System32/config/COMPONENTS"]).ok().stdout;
    assert!(hive("core.vhdx") == hive("plain.vhdx"));
    let has = place.run(&["packages", "--disk", "core.vhdx", "--json"]).ok().json();
    assert_eq!(has["features"][0]["state"], "disabled");
}

//! Manifests of Windows are installed as they say, judged by programs that know nothing of ours.

use std::fs;
use std::path::Path;

use crate::support::{Place, cut_volume, run_script};
use fixtures::packages::{Component, Identity, Package, What, base64, update};
use fixtures::{outside, scenes};
use sha2::{Digest as _, Sha256};

const VERSION: &str = "10.0.26100.1";

/// The payload is not there, so a stand-in has its place, and the manifest its digest: nothing else is changed.
fn with_payload(text: &str, folder: &Path) -> String {
    let mut names = text.split("sourceName=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut parts = text.split("<dsig:DigestValue>");
    let mut changed = parts.next().unwrap().to_owned();
    for part in parts {
        let name = names.next().expect("a file has one digest");
        let payload = format!("in the place of {name}").repeat(500);
        let (_, rest) = part.split_once('<').unwrap();
        changed += &format!("<dsig:DigestValue>{}<{rest}", base64(&Sha256::digest(&payload)));
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(name), payload).unwrap();
    }
    assert_eq!(names.next(), None);
    changed
}

/// Those of build 26100, and a package that others made of resources of it.
#[test]
fn manifests_of_windows_leave_what_they_say() {
    let Some(shared) = outside::shared("data/cbs").filter(|_| outside::programs("python3")) else { return };
    let place = Place::empty();
    let folder = place.path("manifests");
    fs::create_dir(&folder).unwrap();
    let mut files = Vec::new();
    let (mut components, mut wanted) = (Vec::new(), Vec::new());
    for path in fs::read_dir(shared.join("dcm")).unwrap().map(|file| file.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".manifest.xml") else { continue };
        let text = with_payload(&fs::read_to_string(&path).unwrap(), &folder.join(stem));
        fs::write(folder.join(format!("{stem}.manifest")), &text).unwrap();
        let attribute = |name: &str| {
            let (_, identity) = text.split_once("<assemblyIdentity ").unwrap();
            let (identity, _) = identity.split_once('>').unwrap();
            let value = identity.split_once(&format!(" {name}=\"")).or(identity.split_once(&format!("{name}=\"")));
            value.map(|(_, rest)| rest.split('"').next().unwrap().to_owned())
        };
        let identity = Identity::component(&attribute("name").unwrap()).version(VERSION);
        let identity = identity.language(&attribute("language").unwrap());
        let identity = attribute("type").iter().fold(identity, |identity, kind| identity.kind(kind));
        assert_eq!(identity.key_form(), stem);
        // Drivers are what an update names themselves.
        match text.contains("<deployment") {
            true => wanted.push(What::Component(identity)),
            false => components.push(identity),
        }
        files.push((format!("{stem}.manifest"), text.into_bytes()));
        for payload in fs::read_dir(folder.join(stem)).into_iter().flatten().map(|file| file.unwrap().path()) {
            let name = payload.file_name().unwrap().to_string_lossy().into_owned();
            files.push((format!(r"{stem}\{name}"), fs::read(&payload).unwrap()));
        }
    }
    let deployment = Component::deployment(Identity::component("Of-Windows-Deployment").version(VERSION), &components);
    let package = Identity::package("Of-Windows-Package").version(VERSION);
    let package = Package::new(package, &[], wanted.into_iter().chain([What::Component(deployment.identity.clone())]));
    files.push((format!("{}.manifest", deployment.identity.key_form()), deployment.manifest()));
    files.push(("update.mum".into(), package.mum()));
    files.push(("update.cat".into(), package.catalog()));
    fs::write(place.path("windows.cab"), update::to_cabinet(&files)).unwrap();
    fs::copy(shared.join("Z-Atlas-NoTelemetry-Package31bf3856ad364e35amd645.0.0.0.cab"), place.path("other.cab"))
        .unwrap();
    scenes::nano_cbs(&scenes::pe_stand_in()).write_file(place.path("nano.wim")).unwrap();

    let build = ["build", "--wim", "nano.wim", "--image", "2", "--size", "256M", "-o", "a.raw", "--json"];
    let more = ["--servicing-package", "windows.cab", "--servicing-package", "other.cab"];
    let report = place.run(&[&build[..], &more].concat()).ok().json();
    cut_volume(&place, "a.raw", &report);
    let expected = run_script(&place, "expect-manifests", &["manifests"], "");
    fs::write(place.path("expected"), expected).unwrap();
    let said = run_script(&place, "check-packages", &["volume", "expected"], "- 0 wrong");
    assert!(said.contains("4 component, 8 file, 102 key, 291 value"), "{said}");
    run_script(&place, "check-records", &["volume"], "- 0 faults");
}

//! Install media of all releases, as folders and ISO images.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::judge::{run, scratch};
use fixtures::cab::Method;
use fixtures::media::Release;
use fixtures::{CabBuilder, Data, FileSpec, Image, Tree, WimBuilder, scenes};
use nano_image::content::ReadAt;
use nano_image::source::cab::{CabFile, Cabinet};
use nano_image::windows::media::ImageChoice;
use nano_image::{Deployment, Edition, ErrorKind, Media, Recipe, Result, Role, Sources};
use tempfile::TempDir;

const TOKEN: &str = "31bf3856ad364e35";

/// The cabinet of a package with one file and, if it has a language, with the neutral package as parent.
fn cabinet(name: &str, language: Option<&str>) -> Vec<u8> {
    let identity = |name: &str, language: &str| {
        format!(
            "<assemblyIdentity name='{name}' version='10.0.14393.0' processorArchitecture='amd64' \
             language='{language}' publicKeyToken='{TOKEN}'/>"
        )
    };
    let parent = match language {
        Some(_) => identity(name, "neutral"),
        None => identity("Microsoft-NanoServer-Edition-Package", "neutral"),
    };
    let mum = format!(
        "<?xml version='1.0'?><assembly xmlns='urn:schemas-microsoft-com:asm.v3' displayName='About {name}'>{}\
         <package identifier='x' releaseType='Feature Pack'><parent integrate='separate'>{parent}</parent>\
         <update name='Extra'><selectable><detectNone default='false'/></selectable></update></package></assembly>",
        identity(name, language.unwrap_or("neutral"))
    );
    let payload = Data::noise(name.len() as u64, 10_000).to_vec();
    CabBuilder::new()
        .folder(
            Method::Mszip,
            [("amd64_a_1_none_0000000000000000\\payload", payload), ("update.mum", mum.into_bytes())],
        )
        .to_bytes()
}

/// A WIM of images with these names and editions.
fn wim(images: &[(&str, &str)]) -> Vec<u8> {
    let mut wim = WimBuilder::new();
    for (name, edition) in images {
        let mut tree = Tree::new();
        tree.add(r"Windows\Boot\EFI\bootmgfw.efi", FileSpec::file(Data::noise(3, 5000)));
        tree.add(r"Windows\name", FileSpec::file(Data::from(*name)));
        let image = Image::new(name, tree);
        wim = wim.push(if edition.is_empty() { image } else { image.edition(edition) });
    }
    wim.to_bytes()
}

const RTM: [(&str, &str); 2] = [
    ("Windows Server 2016 SERVERSTANDARDNANO", "ServerStandardNano"),
    ("Windows Server 2016 SERVERDATACENTERNANO", "ServerDatacenterNano"),
];

/// A folder with files.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// A package with its cabinet for en-us.
    fn with_package(self, name: &str, has_suffix: bool) -> Self {
        let suffix = if has_suffix { "_en-us" } else { "" };
        self.with(&format!("NanoServer/Packages/{name}.cab"), cabinet(name, None))
            .with(&format!("NanoServer/Packages/en-us/{name}{suffix}.cab"), cabinet(name, Some("en-US")))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self) -> Media {
        Media::open(self.0.path(), &[]).unwrap()
    }
}

/// Name and first file of the image that `choice` means.
fn image(media: &Media, choice: ImageChoice<'_>) -> Result<String> {
    let folder = TempDir::new().unwrap();
    let (wim, _, index) = media.find_image(choice, Some(folder.path()), &mut Vec::new())?;
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a scratch file is left");
    Ok(wim.images()[index as usize - 1].name.clone())
}

/// Cabinets of packages for an image without words about its language.
fn cabinets(media: &Media, names: &[&str]) -> Result<Vec<String>> {
    let names: Vec<String> = names.iter().map(|name| (*name).into()).collect();
    let selection = media.select(&names, &Default::default())?;
    let root = if media.path().is_dir() { media.path() } else { media.path().parent().unwrap() };
    let relative = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    Ok(selection.cabinets.iter().map(|file| relative(&file.path)).collect())
}

#[test]
fn language_cabinets_are_found_in_all_releases() {
    for (has_suffix, language) in [(false, "en-us/A-Package.cab"), (true, "en-us/A-Package_en-us.cab")] {
        let media = Folder::new()
            .with("NanoServer/NanoServer.wim", wim(&RTM))
            .with_package("A-Package", has_suffix)
            .with_package("A-Package-More", has_suffix);
        let found = cabinets(&media.open(), &["a-package"]).unwrap();
        let packages = "NanoServer/Packages/";
        assert_eq!(found, [format!("{packages}A-Package.cab"), format!("{packages}{language}")]);
    }
}

#[test]
fn packages_take_along_what_they_need() {
    let folder = Folder::new();
    Release::Rtm.write(folder.0.path(), &scenes::pe_stand_in(), 50_000).unwrap();
    let media = folder.open();
    let select = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).into()).collect();
        media.select(&names, &Default::default()).unwrap()
    };
    let full = |short: &str| format!("Microsoft-NanoServer-{short}-Package");
    for (name, needed) in [("NPDS", "Defender"), ("SCVMM-Compute", "Compute")] {
        let alone = select(&[name]);
        assert_eq!(alone.names, [full(needed), full(name)]);
        assert!(alone.warnings.len() == 1 && alone.warnings[0].contains("needs it"), "{:?}", alone.warnings);
        let both = select(&[name, needed, name]);
        assert_eq!((both.names, both.cabinets), (alone.names, alone.cabinets));
        assert!(both.warnings.is_empty(), "{:?}", both.warnings);
    }
    assert_eq!(select(&["IIS", "iis"]).names, [full("IIS")]);
}

#[test]
fn packages_are_known_by_their_identities() {
    let folder = Folder::new();
    Release::Rtm.write(folder.0.path(), &scenes::pe_stand_in(), 50_000).unwrap();
    let media = folder.open();
    let identity = "Microsoft-NanoServer-DNS-Package~31bf3856ad364e35~amd64~~10.0.14393.0";
    for name in ["dns", "Microsoft-nanoserver-DNS-package", identity, &identity.to_lowercase()] {
        assert_eq!(media.package(name).unwrap().name, "Microsoft-NanoServer-DNS-Package", "{name}");
    }
    let error = media.package(&identity.replace("14393.0", "14393.1")).unwrap_err();
    assert!(error.message().contains(identity) && error.hint().is_some(), "{error}");
    // The file is called otherwise than its package.
    for name in ["Microsoft-NanoServer-IIS-Feature-Package", &identity.replace("DNS", "IIS-Feature")] {
        assert_eq!(media.package(name).unwrap().name, "Microsoft-NanoServer-IIS-Package", "{name}");
    }
}

/// The media of each release, as folder and ISO image: editions, and all packages with their languages.
#[test]
fn media_of_all_releases_are_read() {
    for release in Release::ALL {
        let folder = Folder::new();
        release.write(folder.0.path(), &scenes::pe_stand_in(), 50_000).unwrap();
        let [of_folder, of_iso] = folder.open_both().map(|media| {
            let standard = image(&media, ImageChoice::Edition(Edition::Standard)).unwrap();
            let datacenter = image(&media, ImageChoice::Edition(Edition::Datacenter)).unwrap();
            let scratch = TempDir::new().unwrap();
            let (wim, file, index) =
                media.find_image(ImageChoice::Named("1"), Some(scratch.path()), &mut Vec::new()).unwrap();
            assert_eq!(file.name(), "NanoServer.wim");
            let info = &wim.images()[index as usize - 1];
            assert_eq!(info.version.unwrap().build, release.build());
            let names: Vec<String> = media.packages().iter().map(|package| package.name.clone()).collect();
            let selection = media.select(&names, info).unwrap();
            let cabinets: Vec<String> = selection.cabinets.iter().map(|file| file.name().to_owned()).collect();
            assert_eq!((cabinets.len(), &selection.names), (2 * names.len(), &names));
            let described: Vec<_> = media.packages().iter().map(|package| media.describe(package).unwrap()).collect();
            // Names of other releases are understood, and told apart from what is missing.
            for role in [Role::Storage, Role::Compute, Role::Clustering, Role::OemDrivers] {
                assert_eq!(media.package(role.package()).unwrap().name, role.package());
            }
            assert_eq!(media.package("SCVMM").is_ok(), release.build() >= Release::Tp4.build());
            let select = |name: &str| media.select(&[name.to_owned()], info).map(|found| found.warnings.len());
            assert_eq!(
                select(Deployment::Host.package()).unwrap(),
                usize::from(release.build() < Release::Tp5.build())
            );
            let forwarders = select("Microsoft-OneCore-ReverseForwarders-Package").unwrap();
            assert_eq!(forwarders, usize::from(release.build() >= Release::Tp5.build()));
            (standard, datacenter, names, cabinets, described)
        });
        assert_eq!(of_folder, of_iso);
        let (standard, datacenter, mut names, ..) = of_folder;
        let images = release.images();
        assert_eq!(
            (&*standard, images.len() > 1 && release.build() >= Release::Tp5.build()),
            (images[0].0, standard != datacenter)
        );
        let mut want: Vec<String> = release.packages().into_iter().map(|(name, _)| name).collect();
        want.sort();
        names.sort();
        assert_eq!(names, want);
    }
}

#[test]
fn names_match_in_any_case_and_short_or_old_names_are_understood() {
    let media = Folder::new()
        .with("nanoserver/NANOSERVER.WIM", wim(&RTM))
        .with("nanoserver/PACKAGES/Microsoft-NanoServer-SCVMM-Package.CAB", cabinet("S", None))
        .with("nanoserver/PACKAGES/EN-US/Microsoft-NanoServer-SCVMM-Package_EN-US.CAB", cabinet("S", Some("en-US")));
    let opened = media.open();
    for name in ["scvmm", "Microsoft-Windows-Server-SCVMM-Package", "MICROSOFT-NANOSERVER-SCVMM-PACKAGE"] {
        assert_eq!(opened.package(name).unwrap().name, "Microsoft-NanoServer-SCVMM-Package");
        assert_eq!(cabinets(&opened, &[name]).unwrap().len(), 2);
    }
    assert_eq!(image(&opened, ImageChoice::Edition(Edition::Standard)).unwrap(), RTM[0].0);
}

#[test]
fn editions_of_the_previews_are_chosen() {
    let choose = |images: &[(&str, &str)], edition| {
        let media = Folder::new().with("NanoServer/NanoServer.wim", wim(images));
        image(&media.open(), ImageChoice::Edition(edition))
    };
    let preview = [("CORESYSTEMSERVER_INSTALL", ""), ("CORESYSTEMSERVER_BOOT", "")];
    for edition in [Edition::Standard, Edition::Datacenter] {
        assert_eq!(choose(&preview, edition).unwrap(), preview[0].0);
        assert_eq!(choose(&preview[..1], edition).unwrap(), preview[0].0);
    }
    assert_eq!(choose(&RTM, Edition::Datacenter).unwrap(), RTM[1].0);
    let error = choose(&RTM[..1], Edition::Datacenter).unwrap_err();
    assert!(error.kind() == ErrorKind::NotFound && error.message().contains(RTM[0].0), "{error}");
}

#[test]
fn images_of_other_server_media_are_found() {
    let install = [("Windows Server 2016 SERVERSTANDARD", "ServerStandard"), ("Other", "ServerDatacenter")];
    let folder = Folder::new()
        .with("sources/install.wim", wim(&install))
        .with("sources/boot.wim", wim(&[("Setup", "")]))
        .with("NanoServer/NanoServer.wim", wim(&RTM));
    for media in &folder.open_both() {
        assert_eq!(image(media, ImageChoice::Edition(Edition::Datacenter)).unwrap(), RTM[1].0);
        assert_eq!(image(media, ImageChoice::Named("1")).unwrap(), RTM[0].0);
        assert_eq!(image(media, ImageChoice::Named("other")).unwrap(), "Other");
        let error = image(media, ImageChoice::Named("Othr")).unwrap_err();
        assert!(error.message().contains(RTM[1].0) && error.message().contains("2: Other"), "{error}");
        assert_eq!(error.hint(), Some("did you mean `Other`?"));
        assert_eq!(image(media, ImageChoice::Only).unwrap_err().kind(), ErrorKind::Recipe);
    }
}

impl Folder {
    /// The folder, and an ISO image of it.
    fn open_both(&self) -> [Media; 2] {
        let iso = scratch(&format!("{}.iso", self.0.path().file_name().unwrap().display()));
        let folder = self.0.path().to_str().unwrap();
        let options = ["-quiet", "-udf", "-iso-level", "3", "-J", "-joliet-long", "-V", "MEDIA", "-o"];
        run("genisoimage", &[&options[..], &[iso.to_str().unwrap(), folder]].concat());
        let media = Media::open(&iso, &[]).unwrap();
        assert_eq!(media.label(), Some("MEDIA"));
        // What is open stays readable.
        fs::remove_file(iso).unwrap();
        [self.open(), media]
    }
}

#[test]
fn packages_are_described() {
    let name = "Microsoft-NanoServer-IIS-Package";
    let folder = Folder::new().with("NanoServer/NanoServer.wim", wim(&RTM)).with_package(name, true);
    let [of_folder, of_iso] = folder.open_both().map(|media| media.describe(media.package("IIS").unwrap()).unwrap());
    assert_eq!(of_folder, of_iso);
    let [neutral, english] = &of_folder.cabinets[..] else { panic!("{of_folder:?}") };
    assert_eq!(neutral.identity, format!("{name}~{TOKEN}~amd64~~10.0.14393.0"));
    assert_eq!(neutral.size, fs::metadata(folder.path(&format!("NanoServer/Packages/{name}.cab"))).unwrap().len());
    assert!(neutral.unpacked == 10_000 && neutral.files == 1 && neutral.language.is_none());
    assert_eq!(neutral.parents, [format!("Microsoft-NanoServer-Edition-Package~{TOKEN}~amd64~~10.0.14393.0")]);
    assert!(neutral.features[0].name == "Extra" && !neutral.features[0].default);
    assert_eq!(english.language.as_deref(), Some("en-US"));
    assert_eq!((english.parents.len(), &english.parents[0]), (1, &neutral.identity));

    let folder = folder.with("NanoServer/Packages/Bad.cab", CabBuilder::new().to_bytes());
    let media = folder.open();
    let error = media.describe(media.package("Bad").unwrap()).unwrap_err();
    assert!(error.path().unwrap().ends_with("NanoServer/Packages/Bad.cab"), "{error}");
}

#[test]
fn all_that_is_missing_is_named_at_once() {
    let iis = "Microsoft-NanoServer-IIS-Package";
    let media = Folder::new()
        .with("NanoServer/NanoServer.wim", wim(&RTM))
        .with_package(iis, true)
        .with("NanoServer/Packages/Lonely.cab", cabinet("Lonely", None))
        .with("NanoServer/Packages/en-us/Orphan_en-us.cab", cabinet("Orphan", Some("en-US")));
    let media = media.open();
    let error = cabinets(&media, &["ISS", iis, "Microsoft-NanoServer-Nothing-Package", "Lonely"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    for part in ["`ISS`", "Nothing", "`Lonely` has no cabinet for en-us"] {
        assert!(error.message().contains(part), "{part}: {error}");
    }
    assert!(error.hint().unwrap().contains(&format!("did you mean `{iis}`?")), "{:?}", error.hint());
    let error = cabinets(&media, &["Orphan"]).unwrap_err();
    assert!(error.hint().unwrap().contains("Orphan.cab"), "{error}");
    let error = cabinets(&media, &["x/IIS.cab"]).unwrap_err();
    assert!(error.hint().unwrap().contains(iis), "{error}");
}

#[test]
fn folders_of_a_wim_and_a_wim_alone_are_media_too() {
    let folder = Folder::new().with("NanoServer/NanoServer.wim", wim(&RTM)).with_package("A-Package", true);
    for place in ["NanoServer", "NanoServer/NanoServer.wim"] {
        let media = Media::open(folder.path(place), &[]).unwrap();
        assert_eq!((media.wims().len(), media.packages().len()), (1, 1), "{place}");
    }
    let alone = Folder::new().with("any.wim", wim(&RTM[..1]));
    let media = Media::open(alone.path("any.wim"), &[]).unwrap();
    assert_eq!(image(&media, ImageChoice::Only).unwrap(), RTM[0].0);
    let error = media.package("IIS").unwrap_err();
    assert!(error.hint().unwrap().contains("NanoServer/Packages"), "{error}");
}

#[test]
fn what_is_no_media_is_refused() {
    let folder = Folder::new().with("a/readme.txt", "text").with("b/custom.wim", wim(&RTM[..1])).with("text", "no");
    let refused = |name: &str| Media::open(folder.path(name), &[]).unwrap_err();
    let error = refused("a");
    assert!(error.kind() == ErrorKind::NotFound && error.hint().unwrap().contains("readme.txt"), "{error}");
    assert!(refused("b").hint().unwrap().contains("custom.wim"));
    assert_eq!(refused("text").kind(), ErrorKind::Unsupported);
    assert_eq!(refused("none").kind(), ErrorKind::NotFound);
    let twice = folder
        .with("c/NanoServer.wim", wim(&RTM))
        .with("c/Packages/en-us/P.cab", cabinet("P", Some("en-US")))
        .with("c/Packages/P_en-US.cab", cabinet("P", Some("en-US")));
    let error = Media::open(twice.path("c"), &[]).unwrap_err();
    assert!(error.message().contains("P_en-US.cab"), "{error}");
}

#[test]
fn media_with_several_languages_follow_the_image() {
    let packages = "NanoServer/Packages";
    let media = Folder::new()
        .with("NanoServer/NanoServer.wim", wim(&RTM))
        .with_package("P", true)
        .with(&format!("{packages}/de-de/P_de-de.cab"), cabinet("P", Some("de-DE")))
        .open();
    let error = cabinets(&media, &["P"]).unwrap_err();
    assert!(error.kind() == ErrorKind::Recipe && error.message().contains("de-de, en-us"), "{error}");
    let mut image = nano_image::source::wim::ImageInfo::default();
    image.default_language = Some("de-DE".into());
    let names = ["P".to_owned()];
    let selection = media.select(&names, &image).unwrap();
    assert!(selection.cabinets.len() == 2 && selection.cabinets[1].path.ends_with("de-de/P_de-de.cab"));
    image.languages = vec!["de-DE".into(), "en-US".into(), "fr-FR".into()];
    assert_eq!(media.select(&names, &image).unwrap().cabinets.len(), 3);
    image.default_language = Some("ja-JP".into());
    let error = media.select(&names, &image).unwrap_err();
    assert!(error.message().contains("ja-JP, only for de-de, en-us"), "{error}");
}

#[test]
fn recipes_follow_the_rules_for_packages() {
    let error = Recipe::new(Edition::Standard, Deployment::Guest).role(Role::OemDrivers).build().unwrap_err();
    assert!(error.kind() == ErrorKind::Recipe && error.hint().unwrap().contains("OEM-Drivers"), "{error}");
    assert!(Recipe::new(Edition::Standard, Deployment::Host).role(Role::OemDrivers).build().is_ok());
    assert!(Recipe::image("1").edition(Edition::Standard).build().is_err());
    assert!(Recipe::image("1").package(" ").build().is_err());
    // A WIM inside an ISO image needs a place for what libwim reads.
    let folder = Folder::new().with("NanoServer/NanoServer.wim", wim(&RTM));
    let [_, iso] = folder.open_both();
    let error = iso.find_image(ImageChoice::Named("1"), None, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Recipe);
    let recipe = Recipe::image("1").deployment(Deployment::Guest).build().unwrap();
    let error = recipe.plan(&Sources::media(folder.path("")), &()).err().unwrap();
    assert!(error.message().contains("Guest-Package"), "{error}");
}

/// A user's own media, which the environment names: every package is installed into an image, and what nobody has
/// published about them is told (run with `--nocapture`).
#[test]
fn real_media() {
    let Some(path) = fixtures::outside::media() else { return };
    let media = Media::open(&path, &[]).unwrap();
    println!("label {:?}", media.label());
    for choice in [Edition::Standard, Edition::Datacenter].map(ImageChoice::Edition) {
        println!("{choice:?}: {:?}", image(&media, choice));
    }
    let scratch = TempDir::new().unwrap();
    let sources = Sources::media(&path).scratch(scratch.path());
    for package in media.packages() {
        let details = media.describe(package).unwrap();
        for cabinet in &details.cabinets {
            println!("{} {} {:?} {:?}", cabinet.file, cabinet.identity, cabinet.parents, cabinet.features);
        }
        if let Some(neutral) = &package.neutral {
            println!("  {}", manifests(media.read(neutral).unwrap(), &neutral.path));
        }
        let recipe = Recipe::only_image().edition(Edition::Datacenter).package(&package.name).build().unwrap();
        let plan = match recipe.plan(&sources, &()) {
            Ok(plan) => plan,
            Err(error) => {
                // One that needs another package, or another edition.
                assert_eq!(error.kind(), ErrorKind::Unsatisfied, "{}: {error}", package.name);
                println!("  {error}");
                continue;
            }
        };
        let report = plan.layout(&()).unwrap().preview(&[]).unwrap();
        for installed in &report.packages {
            println!("  {}: {} bytes, tier {}", installed.id, installed.bytes_added, u8::from(installed.tier));
            for not in &installed.not_applied {
                println!("    {} <{}>: {}", not.component, not.element, not.why);
            }
        }
        report.warnings.iter().for_each(|warning| println!("  {warning}"));
    }
}

/// Forms of the manifests in a cabinet, and its drivers.
fn manifests(data: Arc<dyn ReadAt>, path: &Path) -> String {
    let cabinet = Cabinet::open(data, path).unwrap();
    let is_manifest = |file: &CabFile| file.name.to_lowercase().ends_with(".manifest");
    let (mut seen, mut magics) = (None, BTreeMap::<String, usize>::new());
    let mut sink = |index: usize, bytes: &[u8]| {
        if seen.replace(index) != Some(index) {
            *magics.entry(String::from_utf8_lossy(&bytes[..bytes.len().min(3)]).into_owned()).or_default() += 1;
        }
        Ok(())
    };
    cabinet.extract(&is_manifest, &mut sink).unwrap();
    let drivers = cabinet.files().iter().filter(|file| is_manifest(file) && file.name.contains("_dual_")).count();
    format!("manifests begin with {magics:?}; {drivers} are of drivers")
}

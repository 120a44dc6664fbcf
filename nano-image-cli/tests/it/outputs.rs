//! What is written destroys nothing: neither what is read, nor what was there, nor what comes in between.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{Place, Run, build};
use fixtures::media::Release;
use fixtures::scenes;

/// What is read: its role in messages, the flags that name it, and where it is.
const INPUTS: [(&str, &[&str], &str); 18] = [
    ("the WIM", &["--wim", "nano.wim"], "nano.wim"),
    ("a part of the WIM", &["--wim", "nano.wim", "--swm", "in/part.swm"], "in/part.swm"),
    ("a part of the WIM", &["--wim", "in/split.swm"], "in/split2.swm"),
    ("the media", &["--media", "in/disc.iso"], "in/disc.iso"),
    ("the WIM of the media", &["--media", "media"], "media/NanoServer/NanoServer.wim"),
    ("a package of the media", &["--media", "media"], GUEST),
    ("a package of the media", &["--wim", "media/NanoServer/NanoServer.wim"], GUEST),
    ("the servicing package", &["--wim", "nano.wim", "--servicing-package", "in/update.msu"], "in/update.msu"),
    ("the driver", &["--wim", "nano.wim", "--driver", "in/net.inf"], "in/net.inf"),
    ("the folder of drivers", &["--wim", "nano.wim", "--driver", "drivers"], "drivers/sub/net.sys"),
    ("the recipe", &["--recipe", "in/nano.toml"], "in/nano.toml"),
    ("the answer file", &["--wim", "nano.wim", "--unattend", "in/answer.xml"], "in/answer.xml"),
    ("the copied file", &["--wim", "nano.wim", "--copy", "in/file:Tools"], "in/file"),
    ("the copied folder", &["--wim", "nano.wim", "--copy", "kit:Tools"], "kit/sub/file"),
    ("the copied folder", &["--wim", "nano.wim", "--copy", "kit:Tools"], "kit/new"),
    ("the file of the password", &["--wim", "nano.wim", "--secret", "admin=file:in/password"], "in/password"),
    ("the registry file", &["--wim", "nano.wim", "--reg", "in/a.reg"], "in/a.reg"),
    ("the domain-join blob", &["--wim", "nano.wim", "--domain-blob", "in/blob"], "in/blob"),
];
const GUEST: &str = "media/NanoServer/Packages/Microsoft-NanoServer-Guest-Package.cab";

fn place() -> Place {
    let place = Place::new();
    Release::Rtm.write(&place.path("media"), &scenes::pe_stand_in(), 100_000).unwrap();
    for folder in ["in", "kit/sub", "drivers/sub"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    for (_, _, path) in INPUTS {
        if !path.ends_with(".wim") && path != GUEST && !path.ends_with("new") {
            fs::write(place.path(path), format!("precious {path}")).unwrap();
        }
    }
    fs::write(place.path("in/nano.toml"), "wim = '../nano.wim'\n").unwrap();
    // The first of two parts, by its header.
    let mut split = place.read("nano.wim");
    split[0x2A] = 2;
    fs::write(place.path("in/split.swm"), split).unwrap();
    place
}

/// The same place by other ways.
fn ways(place: &Place, path: &str, number: usize) -> String {
    let link = format!("other-{number}");
    match number % 4 {
        1 => format!("./in/../{path}"),
        2 if place.path(path).exists() => {
            let _ = fs::hard_link(place.path(path), place.path(&link));
            link
        }
        3 => {
            let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
            let _ = symlink(place.path(folder), place.path(&link));
            format!("{link}/{name}")
        }
        _ => path.to_owned(),
    }
}

/// All files of a folder with their contents.
fn contents(folder: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        } else if path.is_dir() {
            contents(&path, into);
        } else {
            into.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
}

#[test]
fn no_output_is_an_input() {
    let place = place();
    let mut pairs = 0;
    for (role, flags, path) in INPUTS {
        for (output, what) in [
            (&["-o", "type=raw,path=@"][..], "the image"),
            (&["-o", "free.raw", "-o", "type=vhd,path=@"], "the image"),
            (&["-o", "free.raw", "--metadata-file", "@"], "the metadata file"),
            (&["-o", "free.raw", "--sbom", "@"], "the bill of materials"),
        ] {
            let target = ways(&place, path, pairs);
            let output: Vec<String> = output.iter().map(|text| text.replace('@', &target)).collect();
            let mut before = BTreeMap::new();
            contents(&place.path(""), &mut before);
            for force in [&[][..], &["--force"]] {
                let output = output.iter().map(String::as_str);
                let arguments: Vec<&str> =
                    ["build", "--image", "1"].into_iter().chain(flags.iter().copied()).chain(output).collect();
                place.run(&[&arguments[..], force].concat()).fails(2, &[what, role, "hint: "]);
            }
            let mut after = BTreeMap::new();
            contents(&place.path(""), &mut after);
            assert!(before == after, "{role}, {what}");
            pairs += 1;
        }
    }
    assert!(pairs >= 60, "{pairs}");
}

#[test]
fn no_output_is_another() {
    let place = Place::new();
    fs::write(place.path("there"), "precious").unwrap();
    fs::hard_link(place.path("there"), place.path("link")).unwrap();
    let raw = "type=raw,path=there";
    for outputs in [
        &["-o", "a.raw", "-o", "./a.raw"][..],
        &["-o", "a.raw", "--metadata-file", "a.raw"],
        &["-o", "a.raw", "--sbom", "./a.raw"],
        &["-o", "b.raw", "--metadata-file", "a", "--sbom", "../x/a"],
        &["-o", raw, "-o", "type=vhd,path=link"],
        &["-o", raw, "--metadata-file", "link"],
        &["-o", "a.raw", "--metadata-file", "there", "--sbom", "link"],
        &["-o", "-", "-o", "/dev/stdout", "--format", "raw"],
        &["-o", "-", "-o", "/dev/fd/1", "--format", "raw"],
        &["-o", "-", "--format", "raw", "--metadata-file", "/proc/self/fd/1"],
        &["-o", "a.raw", "--metadata-file", "/dev/stdout", "--sbom", "-"],
    ] {
        let name = place.path("").file_name().unwrap().to_str().unwrap().to_owned();
        let outputs: Vec<String> = outputs.iter().map(|text| text.replace("../x/", &format!("../{name}/"))).collect();
        let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
        for force in [&[][..], &["--force"]] {
            let arguments = [&["build", "--wim", "nano.wim", "--image", "1"], &outputs[..], force].concat();
            place.run(&arguments).fails(2, &["twice", "hint: "]);
        }
    }
    let build = ["--wim", "nano.wim", "--image", "1", "--force"];
    place.run(&[&["size", "--svg", "nano.wim"], &build[..]].concat()).fails(2, &["the picture", "the WIM"]);
    place.run(&["size", "there", "--svg", "link", "--force"]).fails(2, &["the picture", "the disk image"]);
    assert_eq!((place.read("there"), place.names().len()), (b"precious".to_vec(), 3));
}

#[test]
fn only_regular_files_are_replaced() {
    let place = Place::new();
    fs::write(place.path("target"), "precious").unwrap();
    symlink("target", place.path("link.raw")).unwrap();
    symlink("nowhere", place.path("dangling.raw")).unwrap();
    fs::create_dir(place.path("folder.raw")).unwrap();
    assert!(Command::new("mkfifo").arg(place.path("pipe.raw")).status().unwrap().success());
    let names = place.names();
    for (name, part) in [
        ("link.raw", "symbolic link"),
        ("dangling.raw", "symbolic link"),
        ("folder.raw", "directory"),
        ("pipe.raw", "regular file"),
    ] {
        for more in [&[][..], &["--force"]] {
            place.build(name, more).fails(2, &[name, part]);
            place.build("a.raw", &[&["--metadata-file", name], more].concat()).fails(2, &[name, part]);
            place.build("a.raw", &[&["--sbom", name], more].concat()).fails(2, &[name, part]);
        }
    }
    assert_eq!((place.names(), place.read("target")), (names, b"precious".to_vec()));
    // What is planted under a name that only the program should use is not followed.
    symlink("target", place.path(".b.raw.1-0.partial")).unwrap();
    place.build("b.raw", &["--metadata-file", "b.json"]).ok();
    assert_eq!(place.read("target"), b"precious");
}

#[test]
fn what_appears_during_the_build_stays() {
    let place = Place::new();
    let secret = ["--secret", "admin=file:pipe", "--metadata-file", "a.json"];
    for (name, other) in [("a.raw", "a.json"), ("a.json", "a.raw")] {
        assert!(Command::new("mkfifo").arg(place.path("pipe")).status().unwrap().success());
        let mut child = spawn(&place, &build("a.raw", &secret));
        // The outputs are open by the time the password is read.
        let mut pipe = fs::File::options().write(true).open(place.path("pipe")).unwrap();
        fs::write(place.path(name), "precious").unwrap();
        pipe.write_all(b"Passw0rd!").unwrap();
        drop(pipe);
        assert_eq!(child.wait().unwrap().code(), Some(2), "{name}");
        Run::of(child.wait_with_output().unwrap()).fails(2, &[name, "appeared during the build", "--force"]);
        assert_eq!(place.read(name), b"precious");
        assert!(!place.path(other).exists(), "all or none");
        fs::remove_file(place.path("pipe")).unwrap();
        fs::remove_file(place.path(name)).unwrap();
        assert_eq!(place.names(), ["nano.wim"]);
    }
}

fn spawn(place: &Place, arguments: &[&str]) -> Child {
    place.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// `scripts/check-outputs` does the same a hundred times.
#[test]
fn of_two_builds_to_one_name_one_succeeds() {
    let place = Place::new();
    for _ in 0..5 {
        let children = [1, 2].map(|_| spawn(&place, &build("a.vhdx", &["-q"])));
        let mut runs = children.map(|child| Run::of(child.wait_with_output().unwrap()));
        runs.sort_by_key(|run| run.code);
        let [good, bad] = runs;
        good.ok();
        bad.fails(2, &["a.vhdx", "exists already", "--force"]);
        assert_eq!(place.names(), ["a.vhdx", "nano.wim"]);
        fs::remove_file(place.path("a.vhdx")).unwrap();
    }
}

/// `scripts/check-outputs` kills a thousand times.
#[test]
fn a_killed_build_leaves_nothing_once_it_has_run_again() {
    let place = Place::new();
    let arguments = build("a.vhdx", &["-o", "b.vhd", "--metadata-file", "a.json", "--compact=xpress4k", "--force"]);
    for tick in 0..10 {
        let mut child = spawn(&place, &arguments);
        std::thread::sleep(std::time::Duration::from_millis(tick * 40));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    place.run(&arguments).ok();
    assert_eq!(place.names(), ["a.json", "a.vhdx", "b.vhd", "nano.wim"]);
}

#[test]
fn leftovers_of_the_dead_are_removed_and_told() {
    let place = Place::new();
    for name in [".a.raw.4000000-0.partial", ".b.raw.4000000-0.partial"] {
        fs::write(place.path(name), "half").unwrap();
    }
    let run = place.build("a.raw", &[]).ok();
    assert!(run.stderr.contains(".a.raw.4000000-0.partial: removed"), "{}", run.stderr);
    assert_eq!(place.names(), [".b.raw.4000000-0.partial", "a.raw", "nano.wim"]);
}

#[test]
fn open_files_are_streams() {
    let place = Place::new();
    place.build("a.raw", &[]).ok();
    let shell = |script: &str| {
        let program = env!("CARGO_BIN_EXE_nano-image");
        let command = format!("b() {{ '{program}' build --wim nano.wim --image 1 --size 256M -q \"$@\"; }}; {script}");
        Run::of(Command::new("sh").args(["-c", &command]).current_dir(place.path("")).output().unwrap())
    };
    shell("b --format raw -o /dev/stdout > 1.raw; b --format raw -o /dev/fd/3 3> 2.raw; b --format raw -o /dev/fd/3 3>&1 | cat > 3.raw")
        .ok();
    shell("printf head > 4.raw; b --format raw -o /dev/fd/3 3>> 4.raw; { printf head >&3; b --format raw -o /proc/self/fd/3; } 3> 5.raw").ok();
    let image = place.read("a.raw");
    for name in ["1.raw", "2.raw", "3.raw"] {
        assert!(place.read(name) == image, "{name}");
    }
    for name in ["4.raw", "5.raw"] {
        let bytes = place.read(name);
        assert!(bytes.starts_with(b"head") && bytes[4..] == image, "{name}");
    }
    shell("b --format raw -o /dev/fd/3 3< a.raw").fails(2, &["/dev/fd/3", "reading only"]);
    shell("b --format raw -o /dev/fd/9").fails(3, &["/dev/fd/9"]);
    // A stream that is an input.
    shell("b --format raw -o - >> nano.wim").fails(2, &["the image", "the WIM"]);
    let run = shell("b -o c.raw --metadata-file /dev/stdout").ok();
    assert!(run.json()["build"]["outputs"][0]["sha256"].is_string());
}

#[test]
fn images_with_secrets_are_private() {
    let place = Place::new();
    fs::write(place.path("password"), "Passw0rd!").unwrap();
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    let secret = ["--secret", "admin=file:password", "--metadata-file", "a.json", "--sbom", "b.json"];
    let run = place.build("a.raw", &secret).ok();
    assert_eq!(run.stderr.matches("--output-mode").count(), 1, "{}", run.stderr);
    assert_eq!(["a.raw", "a.json", "b.json"].map(mode), [0o600; 3]);
    let run = place.build("a.raw", &[&secret[..], &["--output-mode", "640", "--force"]].concat()).ok();
    assert!(!run.stderr.contains("--output-mode"), "{}", run.stderr);
    assert_eq!(["a.raw", "a.json", "b.json"].map(mode), [0o640; 3]);
    place.build("c.raw", &["--output-mode", "9"]).fails(2, &["`9` is not a mode", "640"]);
}

#[test]
fn signals_and_limits_end_in_order() {
    let place = Place::new();
    assert!(Command::new("mkfifo").arg(place.path("pipe")).status().unwrap().success());
    for signal in ["-INT", "-TERM", "-HUP"] {
        let child = spawn(&place, &build("a.raw", &["--secret", "admin=file:pipe"]));
        // It waits for a writer, which comes, and then for bytes, which do not.
        let pipe = fs::File::options().write(true).open(place.path("pipe")).unwrap();
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let run = Run::of(child.wait_with_output().unwrap());
        assert_eq!(run.code, Some(130), "{signal}: {}", run.stderr);
        drop(pipe);
        // What is no file is not waited for.
        place.run(&["build", "--wim", "pipe", "-o", "a.raw"]).fails(3, &["pipe", "not a file"]);
        let child = spawn(&place, &["build", "--recipe", "none", "--wim", "nano.wim", "-o", "a.raw"]);
        Run::of(child.wait_with_output().unwrap()).fails(3, &["none"]);
    }
    let program = env!("CARGO_BIN_EXE_nano-image");
    let script = format!("ulimit -f 1000; '{program}' build --wim nano.wim --image 1 --size 256M -o a.raw");
    let output = Command::new("sh").args(["-c", &script]).current_dir(place.path("")).output().unwrap();
    Run::of(output).fails(6, &["a.raw", "cannot", "caused by: "]);
    assert_eq!(place.names(), ["nano.wim", "pipe"]);
}

#[test]
fn what_is_known_early_is_said_early() {
    let place = Place::new();
    // Nothing is read: the source is not there.
    let early = |more: &[&str]| place.run(&[&["build", "--wim", "none.wim"], more].concat());
    early(&["-o", "none/a.raw"]).fails(3, &["none"]);
    early(&["-o", "a.vhdx", "--block-size", "3M"]).fails(2, &["3 MiB"]);
    early(&["-o", "a.raw", "--cluster-size", "3K"]).fails(2, &["3 KiB"]);
    early(&["-o", "a.vhd", "--size", "3T"]).fails(2, &["VHD"]);
}

#[test]
fn skopeo_takes_the_disk_out_of_an_oci_image() {
    let place = Place::new();
    let skopeo = |arguments: &[&str]| {
        let output = Command::new("skopeo").args(arguments).current_dir(place.path("")).output();
        let output = output.expect("scripts/install-deps installs skopeo");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let outputs = ["-o", "type=oci,path=layout", "-o", "type=oci,path=web.tar", "-o", "web.qcow2"];
    let build = |more: &[&str]| {
        let source = ["build", "--wim", "nano.wim", "--image", "1", "--size", "256M"];
        place.run(&[&source[..], more].concat())
    };
    build(&outputs).ok();
    assert_eq!(place.names(), ["layout", "nano.wim", "web.qcow2", "web.tar"]);
    assert_eq!(place.names_in("layout"), ["blobs", "index.json", "oci-layout"]);
    let mut layers = Vec::new();
    for (source, copy) in [("oci:layout:latest", "one"), ("oci-archive:web.tar", "two")] {
        let told: serde_json::Value = serde_json::from_str(&skopeo(&["inspect", source])).unwrap();
        assert_eq!((&told["Architecture"], &told["Os"]), (&"amd64".into(), &"linux".into()), "{told}");
        let config: serde_json::Value = serde_json::from_str(&skopeo(&["inspect", "--config", source])).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], told["Layers"][0], "a layer that is not compressed");
        // It compares every blob with its digest.
        skopeo(&["--insecure-policy", "copy", "--preserve-digests", source, &format!("dir:{copy}")]);
        let digest = told["Layers"][0].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
        let layer = place.path(&format!("{copy}/{digest}"));
        let list = Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(&layer).output().unwrap();
        let list = String::from_utf8(list.stdout).unwrap();
        let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(lines.iter().all(|line| line[1] == "107/107"), "{list}");
        let names: Vec<[&str; 2]> = lines.iter().map(|line| [line[0], line[line.len() - 1]]).collect();
        assert_eq!(names, [["dr-xr-xr-x", "disk/"], ["-r--r-----", "disk/disk.qcow2"]]);
        let disk = Command::new("tar").arg("-xOf").arg(&layer).arg("disk/disk.qcow2").output().unwrap().stdout;
        assert!(disk == place.read("web.qcow2"), "{source}");
        layers.push(digest);
    }
    assert_eq!(layers[0], layers[1]);
    assert!(place.path(&format!("layout/blobs/sha256/{}", layers[0])).exists());

    build(&["-o", "type=oci,path=again.tar"]).ok();
    assert!(place.read("again.tar") == place.read("web.tar"), "the same bytes");
    build(&["-o", "type=oci,path=layout"]).fails(2, &["not empty", "layout"]);
    build(&["-o", "type=oci,path=web.tar"]).fails(2, &["exists", "--force"]);
    build(&["-o", "type=oci,path=-"]).fails(2, &["stream", ".tar"]);
    build(&["-o", "type=oci,path=new", "--provenance", "a.json"]).fails(2, &["digest"]);
    // Nothing is left of a build that fails: here it is too small.
    let small = ["build", "--wim", "nano.wim", "--image", "1", "--size", "130M", "-o", "type=oci,path=new"];
    place.run(&small).fails(5, &["too small"]);
    assert!(!place.path("new").exists());
    let bad = ["build", "--wim", "nano.wim", "-o", "type=oic,path=a"];
    place.run(&bad).fails(2, &["did you mean `oci`"]);
}

/// The folder of an OCI image after a build that was killed, and after one that a signal ends while it waits.
#[test]
fn nothing_of_an_ended_oci_image_is_in_the_way() {
    let place = Place::new();
    let arguments = build("type=oci,path=web", &["-q"]);
    for folder in ["web/blobs/sha256", "full/blobs/sha256", "mine"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    fs::write(place.path("web/.index.json.4000000-0.partial"), "half").unwrap();
    place.run(&arguments).ok();
    assert_eq!(place.names_in("web"), ["blobs", "index.json", "oci-layout"]);
    assert_eq!(place.names_in("web/blobs/sha256").len(), 3);
    // What a build does not leave is the user's.
    fs::write(place.path("full/blobs/sha256/mine"), "").unwrap();
    place.run(&build("type=oci,path=full", &[])).fails(2, &["full", "not empty"]);
    assert_eq!(place.names_in("full/blobs/sha256"), ["mine"]);
    // Nobody reads the other output: the program is ended while it writes, and the folder that was there stays.
    for (output, is_left) in [("type=oci,path=new", false), ("type=oci,path=mine", true)] {
        let mut child = spawn(&place, &build(output, &["-o", "-", "--format", "raw"]));
        let path = place.path(output.rsplit_once('=').unwrap().1);
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 4096]).unwrap();
        assert!(path.join("blobs/sha256").exists());
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert_eq!(path.exists(), is_left, "{output}");
        assert!(!path.join("blobs").exists());
    }
}

//! `clone`: many machines of one image.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use fixtures::outside;

use nano_image::content::ReadAt as _;
use nano_image::disk::open_path;
use serde_json::Value;

use crate::support::{Place, Run, image_with_hives};

const RECIPE: [&str; 5] = ["--wim", "only.wim", "--size", "256M", "--allow-unbootable"];

/// Three machines; the third has another address family, and a name as long as names may be.
const CSV: &str = "\
name,secret,interface,ipv4-address,ipv6-address,setup-command,reg
web-01,admin=file:secrets/1,Ethernet,10.0.0.1/24,,,
web-02,admin=file:secrets/2,Ethernet,10.0.0.2/24,,echo two,
abcdefghijklmno,admin=file:secrets/3,Ethernet,,fd00::3/64,,many.reg
";

/// A folder with `only.wim`, and what the lists of machines name.
fn place() -> Place {
    let place = Place::empty();
    fs::write(place.path("only.wim"), image_with_hives()).unwrap();
    for folder in ["secrets", "out", "more"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    for (number, password) in [("1", "Passw0rd!"), ("2", "Another-Passw0rd"), ("3", "x7!Yz")] {
        fs::write(place.path(&format!("secrets/{number}")), password).unwrap();
    }
    let values: String = (0..10).map(|number| format!("\"Value {number}\"=dword:{number:08x}\r\n")).collect();
    let reg = format!("Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Fleet]\r\n{values}");
    fs::write(place.path("many.reg"), reg).unwrap();
    fs::write(place.path("machines.csv"), CSV).unwrap();
    place
}

fn build(place: &Place, output: &str, more: &[&str]) -> Run {
    place.run(&[&["build", "-q", "-o", output], &RECIPE[..], more].concat())
}

fn clone(place: &Place, golden: &str, list: &str, output: &str, more: &[&str]) -> Run {
    place.run(&[&["clone", golden, "--machines", list, "-o", output], &RECIPE[..], more].concat())
}

/// The lines of `--json`.
fn lines(run: &Run) -> Vec<Value> {
    String::from_utf8(run.stdout.clone()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["name"].as_str().unwrap()).collect()
}

/// That `child`, with its parent, has the bytes of the raw image at `whole`.
#[track_caller]
fn same_disk(place: &Place, child: &str, whole: &str) {
    let (reader, expected) = (open_path(place.path(child)).unwrap(), place.read(whole));
    assert_eq!((reader.files().len(), reader.size().bytes()), (2, expected.len() as u64), "{child}");
    let mut found = vec![0; 1 << 20];
    for (number, expected) in expected.chunks(1 << 20).enumerate() {
        let found = &mut found[..expected.len()];
        reader.read_exact_at(found, (number as u64) << 20).unwrap();
        assert!(found == expected, "{child}: in MiB {number}");
    }
}

#[test]
fn each_machine_is_the_one_that_build_makes() {
    if !outside::programs("qemu-img") {
        return;
    }
    let place = place();
    let toml = CSV.lines().skip(1).map(|line| {
        let keys = ["name", "secret", "interface", "ipv4-address", "ipv6-address", "setup-command", "reg"];
        let pairs = keys.iter().zip(line.split(',')).filter(|(_, value)| !value.is_empty());
        pairs.fold("[[machine]]\n".to_owned(), |text, (key, value)| format!("{text}{key} = '{value}'\n"))
    });
    fs::write(place.path("machines.toml"), toml.collect::<String>()).unwrap();
    let json = r#"{"name": "web-01", "secret": ["admin=file:secrets/1"], "interface": "Ethernet", "ipv4-address": "10.0.0.1/24"}
{"name": "web-02", "secret": "admin=file:secrets/2", "interface": "Ethernet", "ipv4-address": "10.0.0.2/24", "setup-command": ["echo two"]}
{"name": "abcdefghijklmno", "secret": "admin=file:secrets/3", "interface": "Ethernet", "ipv6-address": "fd00::3/64", "reg": ["many.reg"]}
"#;
    fs::write(place.path("machines.json"), json).unwrap();
    let machines = [
        ("web-01", &["admin=file:secrets/1", "--ipv4-address", "10.0.0.1/24"][..]),
        ("web-02", &["admin=file:secrets/2", "--ipv4-address", "10.0.0.2/24", "--setup-command", "echo two"]),
        ("abcdefghijklmno", &["admin=file:secrets/3", "--ipv6-address", "fd00::3/64", "--reg", "many.reg"]),
    ];
    for (name, settings) in machines {
        let same = ["--firmware", "uefi", "--interface", "Ethernet", "--computer-name", name, "--secret"];
        let more = [&same[..], settings].concat();
        build(&place, &format!("{name}.raw"), &more).ok();
    }
    for (golden, list, format) in [
        ("golden.vhdx", "machines.csv", "vhdx"),
        ("golden.vhd", "machines.toml", "vhd"),
        ("golden.qcow2", "machines.json", "qcow2"),
        ("golden.vhdx", "machines.csv", "qcow2"),
        ("golden.raw", "machines.csv", "qcow2"),
    ] {
        let more = ["--firmware", "uefi", "--force"];
        build(&place, golden, &more).ok();
        let run = clone(&place, golden, list, &format!("out/{{name}}.{format}"), &[&more[..], &["--json"]].concat());
        let told = lines(&run.ok());
        assert_eq!(names(&told), machines.map(|(name, _)| name));
        for ((name, _), told) in machines.iter().zip(&told) {
            let child = format!("out/{name}.{format}");
            same_disk(&place, &child, &format!("{name}.raw"));
            assert_eq!(told["file-size"], fs::metadata(place.path(&child)).unwrap().len(), "{told}");
            assert_eq!(told["parent"], format!("../{golden}"), "{told}");
            let inspected = place.run(&["inspect", &child, "--json"]).ok().json();
            assert_eq!(inspected["windows"][0]["computer-name"], name.to_uppercase(), "{inspected}");
            if format == "qcow2" {
                let (child, whole) = (place.path(&child), place.path(&format!("{name}.raw")));
                let mut compare = Command::new("qemu-img");
                compare.args(["compare", "-f", "qcow2", "-F", "raw"]).args([child, whole]);
                let said = compare.output().expect("qemu-img is installed");
                assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
            }
        }
    }
    // Whole images are those of `build`, in any format.
    clone(&place, "golden.vhdx", "machines.csv", "more/{name}.raw", &["--full", "-q"]).ok();
    for (name, _) in machines {
        assert!(place.read(&format!("more/{name}.raw")) == place.read(&format!("{name}.raw")), "{name}");
    }
}

#[test]
fn a_second_run_makes_what_is_missing() {
    let place = place();
    build(&place, "golden.vhdx", &[]).ok();
    let run = |more: &[&str]| clone(&place, "golden.vhdx", "machines.csv", "out/{name}.vhdx", more);
    let first = run(&["--jobs", "1"]).ok();
    assert!(first.stderr.contains("3 made, 0 kept, 0 failed"), "{}", first.stderr);
    let files = || place.names_in("out").iter().map(|name| place.read(&format!("out/{name}"))).collect::<Vec<_>>();
    let before = files();
    fs::remove_file(place.path("out/web-02.vhdx")).unwrap();
    let second = run(&["--jobs", "3", "--json"]).ok();
    let told = lines(&second);
    assert_eq!(names(&told), ["web-01", "web-02", "abcdefghijklmno"]);
    assert_eq!(told.iter().map(|line| line["kept"] == true).collect::<Vec<_>>(), [true, false, true]);
    assert!(second.stderr.contains("1 made, 2 kept, 0 failed"), "{}", second.stderr);
    assert!(files() == before, "threads do not matter");
    // Another password is another machine: it is not replaced unasked, and the others are looked at all the same.
    fs::write(place.path("secrets/2"), "Changed-Passw0rd").unwrap();
    run(&[]).fails(2, &["machine web-02", "out/web-02.vhdx", "hint: use --force"]);
    assert!(files() == before);
    run(&["--force", "-q"]).ok();
    assert!(files() != before);
    // A golden image that moved is another parent for those that are there.
    fs::rename(place.path("golden.vhdx"), place.path("more/golden.vhdx")).unwrap();
    place.run(&["inspect", "out/web-01.vhdx"]).fails(3, &["golden.vhdx"]);
    let moved = clone(&place, "more/golden.vhdx", "machines.csv", "out/{name}.vhdx", &["--json"]);
    assert_eq!(moved.code, Some(2), "{}", moved.stderr);
    assert!(lines(&moved).iter().all(|line| line["error"].as_str().unwrap().contains("exists already")));
}

#[test]
fn shards_make_the_whole_list_together() {
    let place = place();
    build(&place, "golden.vhdx", &[]).ok();
    for (shard, expected) in [("0/2", &["abcdefghijklmno.vhdx", "web-01.vhdx"][..]), ("1/2", &["web-02.vhdx"])] {
        clone(&place, "golden.vhdx", "machines.csv", "out/{name}.vhdx", &["-q", "--shard", shard]).ok();
        assert_eq!(place.names_in("out"), expected);
        fs::remove_dir_all(place.path("out")).unwrap();
        fs::create_dir(place.path("out")).unwrap();
    }
    // More shards than machines.
    let none = clone(&place, "golden.vhdx", "machines.csv", "out/{name}.vhdx", &["--shard", "7/9"]).ok();
    assert!(none.stderr.contains("0 made"), "{}", none.stderr);
    clone(&place, "golden.vhdx", "machines.csv", "out/{name}.vhdx", &["--shard", "2/2"]).fails(2, &["not a shard"]);
}

#[test]
fn another_golden_image_is_refused() {
    let place = place();
    build(&place, "golden.vhdx", &["--computer-name", "golden"]).ok();
    let run = |golden: &str, more: &[&str]| {
        let named = ["--computer-name", "golden", "-q"];
        clone(&place, golden, "machines.csv", "out/{name}.vhdx", &[&named[..], more].concat())
    };
    let mut bytes = place.read("golden.vhdx");
    let whole = bytes.clone();
    let change = |bytes: &mut Vec<u8>, text: &[u8]| {
        let at = bytes.windows(text.len()).position(|window| window == text).unwrap();
        bytes[at + text.len()] ^= 1;
        fs::write(place.path("golden.vhdx"), &*bytes).unwrap();
    };
    // In a structure: found at once.
    change(&mut bytes, b"EFI PART");
    run("golden.vhdx", &[])
        .fails(2, &["golden.vhdx", "not the golden image of this recipe", "partition table", "hint: "]);
    // In a file of the source: found if it is asked for.
    bytes.clone_from(&whole);
    let noise = fixtures::Data::noise(2, 50_000).to_vec();
    change(&mut bytes, &noise[..32]);
    run("golden.vhdx", &["--check"]).fails(2, &["golden.vhdx", "byte ", "winload.exe", "build the golden image again"]);
    assert_eq!(place.names_in("out"), [""; 0]);
    run("golden.vhdx", &[]).ok();
    fs::remove_dir_all(place.path("out")).unwrap();
    fs::create_dir(place.path("out")).unwrap();
    // Another machine's, another size, no image, none at all.
    build(&place, "other.vhdx", &["--computer-name", "other"]).ok();
    run("other.vhdx", &[]).fails(2, &["other.vhdx", "its identifier is another"]);
    place.run(&["build", "-q", "-o", "large.vhdx", "--wim", "only.wim", "--size", "512M"]).ok();
    run("large.vhdx", &[]).fails(2, &["large.vhdx", "512 MiB"]);
    fs::write(place.path("golden.vhdx"), &whole[..whole.len() / 2]).unwrap();
    run("golden.vhdx", &[]).fails(4, &["golden.vhdx"]);
    fs::remove_file(place.path("golden.vhdx")).unwrap();
    run("golden.vhdx", &[]).fails(3, &["golden.vhdx", "cannot open", "hint: "]);
    fs::create_dir(place.path("golden.vhdx")).unwrap();
    run("golden.vhdx", &[]).fails(3, &["golden.vhdx", "a directory is not a disk image"]);
    fs::remove_dir(place.path("golden.vhdx")).unwrap();
    // A VHD has no VHDX for a parent.
    build(&place, "golden.vhd", &["--firmware", "uefi", "--computer-name", "golden"]).ok();
    run("golden.vhd", &["--firmware", "uefi"]).fails(2, &["VHDX", "VHD", "hint: "]);
    assert_eq!(place.names_in("out"), [""; 0]);
}

#[test]
fn a_bad_list_makes_nothing() {
    let place = place();
    build(&place, "golden.vhdx", &[]).ok();
    for (text, parts) in [
        ("name\nweb-01\nWEB-01\n", &["bad.csv", "line 3", "line 2"][..]),
        ("name,interface,ipv4-address\na,Ethernet,10.0.0.1/24\nb,Ethernet,10.0.0.256/24\n", &["bad.csv", "line 3"]),
        ("name,ipv4-address\na,10.0.0.1/24\n", &["bad.csv", "line 2", "without the interface"]),
        ("name,computer-name\na,far-too-long-a-name\n", &["bad.csv", "line 2", "far-too-long-a-name"]),
        ("name,adress\nweb-01,x\n", &["bad.csv", "`adress`", "hint: "]),
        ("name\n", &["bad.csv", "no machine"]),
        ("name,secret\nweb-01,admin=stdin\n", &["bad.csv", "line 2", "standard input"]),
    ] {
        fs::write(place.path("bad.csv"), text).unwrap();
        clone(&place, "golden.vhdx", "bad.csv", "out/{name}.vhdx", &[]).fails(2, parts);
    }
    clone(&place, "golden.vhdx", "none.csv", "out/{name}.vhdx", &[]).fails(3, &["none.csv"]);
    clone(&place, "golden.vhdx", "machines.csv", "out/name.vhdx", &[]).fails(2, &["one file for all", "{name}"]);
    clone(&place, "golden.vhdx", "machines.csv", "nowhere/{name}.vhdx", &[]).fails(3, &["nowhere"]);
    assert_eq!(place.names_in("out"), [""; 0]);
}

#[test]
fn what_fails_for_one_machine_is_told_and_leaves_the_others() {
    let place = place();
    build(&place, "golden.vhdx", &[]).ok();
    fs::remove_file(place.path("secrets/2")).unwrap();
    let run = clone(&place, "golden.vhdx", "machines.csv", "out/{name}.vhdx", &["--json"]);
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    let told = lines(&run);
    assert_eq!(names(&told), ["web-01", "web-02", "abcdefghijklmno"]);
    assert!(told[1]["error"].as_str().unwrap().contains("secrets/2"), "{}", told[1]);
    assert!(told[0]["seed"].is_string() && told[2]["seed"].is_string(), "{told:?}");
    assert_eq!(place.names_in("out"), ["abcdefghijklmno.vhdx", "web-01.vhdx"]);
}

/// As on a full disk: the file of one machine does not fit.
#[cfg(unix)]
#[test]
fn no_room_for_one_machine_leaves_nothing_of_it() {
    let place = place();
    build(&place, "golden.vhdx", &[]).ok();
    fs::write(place.path("large"), fixtures::Data::noise(5, 52 << 20).to_vec()).unwrap();
    let list = "name,copy\nweb-01,\nweb-02,large:Windows\\Temp\nweb-03,\n";
    fs::write(place.path("machines.csv"), list).unwrap();
    let arguments =
        ["clone", "golden.vhdx", "--machines", "machines.csv", "-o", "out/{name}.vhdx", "--json", "--jobs", "1"];
    let program = place.command(&[&arguments[..], &RECIPE].concat());
    let mut limited = Command::new("sh");
    // In blocks of 512 or 1024 bytes: more than two of the clones need.
    limited.args(["-c", "ulimit -f 50000; exec \"$@\"", "sh"]).arg(program.get_program()).args(program.get_args());
    let run = Run::of(limited.current_dir(place.path("")).output().unwrap());
    assert_eq!(run.code, Some(6), "{}", run.stderr);
    let told = lines(&run);
    assert!(told[1]["error"].as_str().unwrap().contains("web-02.vhdx"), "{told:?}");
    assert_eq!(place.names_in("out"), ["web-01.vhdx", "web-03.vhdx"]);
    for name in ["web-01", "web-03"] {
        place.run(&["inspect", &format!("out/{name}.vhdx")]).ok();
    }
    // With room, what is missing is made.
    let again = place.run(&[&arguments[..], &RECIPE].concat()).ok();
    assert_eq!(lines(&again).iter().map(|line| line["kept"] == true).collect::<Vec<_>>(), [true, false, true]);
}

/// A parent that is not there, and one in whose place another image lies.
#[test]
fn a_clone_with_another_parent_is_refused() {
    let place = place();
    build(&place, "golden.vhdx", &[]).ok();
    clone(&place, "golden.vhdx", "machines.csv", "out/{name}.vhdx", &["-q"]).ok();
    build(&place, "other.vhdx", &["--computer-name", "other"]).ok();
    fs::rename(place.path("golden.vhdx"), place.path("more/golden.vhdx")).unwrap();
    for command in ["inspect", "verify"] {
        place.run(&[command, "out/web-01.vhdx"]).fails(3, &["golden.vhdx", "is not there", "hint: "]);
    }
    fs::rename(place.path("other.vhdx"), place.path("golden.vhdx")).unwrap();
    let parts = ["out/web-01.vhdx", "golden.vhdx", "has changed, or is another", "hint: "];
    place.run(&["inspect", "out/web-01.vhdx"]).fails(4, &parts);
    let disk = ["build", "--disk", "out/web-01.vhdx", "--allow-unbootable", "-o", "new.vhdx"];
    place.run(&disk).fails(4, &parts);
    assert!(!place.path("new.vhdx").exists());
    // A clone is no golden image.
    clone(&place, "out/web-01.vhdx", "machines.csv", "out/x-{name}.vhdx", &[]).fails(4, &["differencing"]);
}

/// Outputs that cannot be made: over what is read, and in folders that are not there.
#[test]
fn an_output_in_a_wrong_place_is_refused() {
    let place = place();
    build(&place, "golden.vhdx", &[]).ok();
    let golden = place.read("golden.vhdx");
    fs::write(place.path("two.csv"), "name\ngolden\nweb-02\n").unwrap();
    let run = clone(&place, "golden.vhdx", "two.csv", "{name}.vhdx", &["--force", "--json"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(lines(&run)[0]["error"].as_str().unwrap().contains("the golden image"), "{:?}", lines(&run));
    assert!(place.read("golden.vhdx") == golden && place.path("web-02.vhdx").exists());
    fs::create_dir(place.path("out/web-02")).unwrap();
    let run = clone(&place, "golden.vhdx", "two.csv", "out/{name}/disk.vhdx", &["--json"]);
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    let told = lines(&run);
    assert_eq!((&told[0]["kind"], told[0]["causes"].as_array().unwrap().len()), (&"notfound".into(), 1), "{told:?}");
    assert!(told[1]["seed"].is_string(), "{told:?}");
    assert_eq!(place.names_in("out"), ["web-02"]);
}

/// Ended in the middle, by request and at once: finished machines stay whole, nothing else does, and the rest is made.
#[cfg(unix)]
#[test]
fn a_run_that_was_ended_is_completed_by_the_next() {
    let place = place();
    build(&place, "golden.vhdx", &[]).ok();
    let list: String = (0..40).map(|number| format!("web-{number},admin=file:secrets/1\n")).collect();
    fs::write(place.path("machines.csv"), format!("name,secret\n{list}")).unwrap();
    clone(&place, "golden.vhdx", "machines.csv", "more/{name}.vhdx", &["-q"]).ok();
    for (signal, code) in [("-INT", Some(130)), ("-KILL", None)] {
        let output = "out/{name}.vhdx";
        let arguments = ["clone", "golden.vhdx", "--machines", "machines.csv", "-o", output, "--json", "--jobs", "1"];
        let mut command = place.command(&[&arguments[..], &RECIPE].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap());
        for _ in 0..3 {
            told.read_line(&mut String::new()).unwrap();
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let run = Run::of(child.wait_with_output().unwrap());
        assert_eq!(run.code, code, "{signal}: {}", run.stderr);
        if code.is_some() {
            assert!(run.stderr.contains("stopped") && run.stderr.contains("second run"), "{}", run.stderr);
        }
        let finished = place.names_in("out");
        let whole = |name: &String| place.read(&format!("out/{name}")) == place.read(&format!("more/{name}"));
        let named = finished.iter().filter(|name| !name.starts_with('.'));
        assert!(named.clone().count() >= 3 && named.clone().all(whole), "{signal}: {finished:?}");
        // As where files have names while they are made.
        fs::write(place.path("out/.web-39.vhdx.4000000-0.partial"), "half").unwrap();
        let again = clone(&place, "golden.vhdx", "machines.csv", output, &["--json"]).ok();
        let kept = lines(&again).iter().filter(|line| line["kept"] == true).count();
        assert_eq!(kept, named.count(), "{signal}");
        assert_eq!(place.names_in("out"), place.names_in("more"), "{signal}");
        for name in place.names_in("out") {
            assert!(whole(&name), "{signal}: {name}");
            let mode = std::os::unix::fs::PermissionsExt::mode(
                &fs::metadata(place.path("out/").join(&name)).unwrap().permissions(),
            );
            assert_eq!(mode & 0o777, 0o600, "{name} has a password");
        }
        fs::remove_dir_all(place.path("out")).unwrap();
        fs::create_dir(place.path("out")).unwrap();
    }
}

#[test]
fn progress_is_told_for_people_and_for_programs() {
    let place = place();
    build(&place, "golden.vhdx", &[]).ok();
    fs::remove_file(place.path("secrets/3")).unwrap();
    let run = |more: &[&str]| clone(&place, "golden.vhdx", "machines.csv", "out/{name}.vhdx", more);
    let plain = run(&["--jobs", "1"]).stderr;
    for part in [
        "clone: 3 machines\n",
        "clone: 33 %, 1 of 3\n",
        "clone: 100 %, 3 of 3, 1 failed\n",
        "2 made, 0 kept, 1 failed\n",
    ] {
        assert!(plain.contains(part), "{plain}");
    }
    let told = run(&["--progress", "json", "--jobs", "1"]).stderr;
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let counts: Vec<_> = told.iter().filter(|line| line["phase"] == "clone").collect();
    assert_eq!(counts.iter().map(|line| &line["done"]).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((&counts[2]["total"], &counts[2]["failed"]), (&3.into(), &1.into()));
    assert_eq!(*told.last().unwrap(), serde_json::json!({ "made": 0, "kept": 2, "failed": 1 }));
    assert!(!run(&["-q"]).stderr.contains("machines"));
}

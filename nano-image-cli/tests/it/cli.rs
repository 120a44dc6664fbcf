//! The program as its users meet it: files, streams, messages and exit codes.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use fixtures::{Data, FileSpec, Image, Tree, WimBuilder, outside, scenes};
use serde_json::Value;

use crate::support::{Place, Run, build};

#[test]
fn builds_an_image_and_reports_on_it() {
    let place = Place::new();
    let run = place.build("a.vhdx", &["--json", "--progress", "plain"]).ok();
    let report = run.json();
    let file = place.read("a.vhdx");
    assert_eq!(report["image-index"], 1);
    assert_eq!(report["image-name"], "Windows Server 2016 SERVERSTANDARDNANO");
    assert_eq!(report["disk-size"], 256 << 20);
    assert_eq!(report["outputs"][0]["file-size"], file.len());
    assert_eq!(report["partitions"].as_array().unwrap().len(), 3);
    assert!(file.starts_with(b"vhdxfile"));
    for phase in ["read\n", "plan\n", "layout\n", "write: ", "100 %", "flush\n", "seed ", "a.vhdx: "] {
        assert!(run.stderr.contains(phase), "{phase}: {}", run.stderr);
    }
    assert!(!run.stderr.contains('\x1b'), "no colours without a terminal");
    assert_eq!(place.names(), ["a.vhdx", "nano.wim"]);

    let quiet = place.build("b.vhdx", &["-q"]).ok();
    assert!(quiet.stdout.is_empty());
    assert!(quiet.stderr.lines().all(|line| line.starts_with("warning: ")), "{}", quiet.stderr);
}

#[test]
fn the_extension_tells_format_and_firmware() {
    let place = Place::new();
    place.build("a.raw", &[]).ok();
    place.build("a.img", &[]).ok();
    place.build("a.vhd", &[]).ok();
    place.build("azure.vhd", &["--format", "azure"]).ok();
    place.build("fixed.vhdx", &["--subformat", "fixed"]).ok();
    let (raw, vhd, azure) = (place.read("a.raw"), place.read("a.vhd"), place.read("azure.vhd"));
    assert_eq!(raw.len(), 256 << 20);
    assert!(raw == place.read("a.img"));
    assert_eq!(&raw[512..520], b"EFI PART", "UEFI");
    assert!(vhd.starts_with(b"conectix"));
    assert_eq!(azure.len(), (256 << 20) + 512);
    assert_ne!(&azure[512..520], b"EFI PART", "BIOS");
    assert_eq!(azure[0x1be], 0x80, "active partition");
    assert!(place.read("fixed.vhdx").len() > 256 << 20);
    place.build("a.bin", &[]).fails(2, &["a.bin", "extension", "hint: ", "--format"]);
    place.build("b.raw", &["--block-size", "2M"]).fails(2, &["--block-size"]);
    place.build("b.vhd", &["--format", "azure", "--subformat", "dynamic"]).fails(2, &["Azure"]);
}

#[test]
fn an_existing_file_stays_unless_forced() {
    let place = Place::new();
    fs::write(place.path("a.vhdx"), "precious").unwrap();
    place.build("a.vhdx", &[]).fails(2, &["a.vhdx", "exists", "hint: ", "--force"]);
    assert_eq!(place.read("a.vhdx"), b"precious");
    // It is refused before anything is read.
    place.run(&["build", "--wim", "none.wim", "--image", "1", "-o", "a.vhdx"]).fails(2, &["exists"]);
    place.build("a.vhdx", &["--force"]).ok();
    assert!(place.read("a.vhdx").starts_with(b"vhdxfile"));
    let wim = place.read("nano.wim");
    place.build("./nano.wim", &["--force", "--format", "raw"]).fails(2, &["nano.wim", "the WIM"]);
    assert!(place.read("nano.wim") == wim);
    fs::create_dir(place.path("folder.vhdx")).unwrap();
    place.build("folder.vhdx", &["--force"]).fails(2, &["directory"]);
    place.build("none/a.vhdx", &[]).fails(3, &["none"]);
    #[cfg(unix)]
    place.build("/dev/null", &["--force", "--format", "raw"]).fails(2, &["/dev/null", "regular", "-o -"]);
    assert_eq!(place.names(), ["a.vhdx", "folder.vhdx", "nano.wim"]);
}

#[test]
fn images_are_listed_and_found_by_name() {
    let place = Place::new();
    let run = place.run(&["images", "nano.wim"]).ok();
    let text = String::from_utf8(run.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("index  name "), "{text}");
    for part in
        ["2 ", "SERVERDATACENTERNANO", "ServerDatacenterNano", "10.0.14393.0", "amd64", "en-US", "MiB", "2016-07-16"]
    {
        assert!(lines[2].contains(part), "{part}: {text}");
    }
    let images = place.run(&["images", "nano.wim", "--json"]).ok().json();
    assert_eq!(images[1]["edition"], "ServerDatacenterNano");
    assert_eq!(images[1]["created"], "2016-07-16T00:00:00Z");

    let missing = ["1: Windows Server 2016 SERVERSTANDARDNANO", "2: ", "hint: did you mean `ServerDatacenterNano`?"];
    place.build("a.vhdx", &["--image", "ServerDatacenterNan"]).fails(3, &missing);
    place.build("a.vhdx", &["--image", "3"]).fails(3, &missing[..2]);
    let all = ["2 images", missing[0], "2: ", "MiB", "--image"];
    place.run(&["build", "--wim", "nano.wim", "-o", "a.vhdx"]).fails(2, &all);

    // By index, name and edition it is the same image.
    place.build("index.vhdx", &["--image", "2"]).ok();
    place.build("name.vhdx", &["--image", "Windows Server 2016 SERVERDATACENTERNANO"]).ok();
    place.build("edition.vhdx", &["--image", "serverdatacenternano"]).ok();
    assert!(place.read("index.vhdx") == place.read("name.vhdx"));
    assert!(place.read("index.vhdx") == place.read("edition.vhdx"));
}

#[test]
fn an_image_is_inspected() {
    let place = Place::new();
    let report = place.build("a.vhdx", &["--json", "--label", "My volume"]).ok().json();
    let inspection = place.run(&["inspect", "a.vhdx", "--json"]).ok().json();
    assert_eq!(inspection["container"]["format"], "vhdx");
    assert_eq!(inspection["container"]["virtual-size"], 256 << 20);
    assert_eq!(inspection["partition-table"]["disk-id"], report["disk-id"]);
    let partitions = inspection["partition-table"]["partitions"].as_array().unwrap();
    for (index, partition) in partitions.iter().enumerate() {
        for field in ["guid", "start", "size"] {
            assert_eq!(partition[field], report["partitions"][index][field], "{field} of {index}");
        }
    }
    assert_eq!(partitions[2]["volume"]["label"], "My volume");
    let text = String::from_utf8(place.run(&["inspect", "a.vhdx"]).ok().stdout).unwrap();
    for part in ["VHDX", "My volume", report["disk-id"].as_str().unwrap()] {
        assert!(text.contains(part), "{part}: {text}");
    }
    place.run(&["inspect", "none.vhdx"]).fails(3, &["none.vhdx"]);
    let mut cut = place.read("a.vhdx");
    cut.truncate(100_000);
    fs::write(place.path("cut.vhdx"), cut).unwrap();
    place.run(&["inspect", "cut.vhdx"]).fails(4, &["cut.vhdx"]);
}

#[test]
fn the_only_image_needs_no_name() {
    let place = Place::new();
    one_image(&place.path("one.wim"), Data::text(1, 100_000));
    let arguments = ["build", "--wim", "one.wim", "--size", "256M"];
    place.run(&[&arguments[..], &["-o", "a.vhdx"]].concat()).ok();
    place.run(&[&arguments[..], &["-o", "b.vhdx", "--image", "1"]].concat()).ok();
    assert!(place.read("a.vhdx") == place.read("b.vhdx"));
}

#[test]
fn a_small_disk_is_refused_with_both_sizes() {
    let place = Place::new();
    let run =
        place.build("a.vhdx", &["--size", "130M"]).fails(5, &["130 MiB", "this image needs ", "hint: ", "--size"]);
    let hint = run.stderr.lines().last().unwrap();
    let size = hint.split_whitespace().skip_while(|word| *word != "--size").nth(1).unwrap();
    place.build("a.vhdx", &["--size", size]).ok();
    place.build("b.vhdx", &["--size", "8M"]).fails(5, &["8 MiB"]);
    assert_eq!(place.names(), ["a.vhdx", "nano.wim"]);
}

#[test]
fn a_broken_wim_leaves_no_file() {
    let place = Place::new();
    let mut wim = place.read("nano.wim");
    // Contents of files come first in the WIM.
    let middle = wim.len() / 2;
    wim[middle] ^= 1;
    fs::write(place.path("broken.wim"), &wim).unwrap();
    fs::write(place.path("short.wim"), &wim[..middle]).unwrap();
    fs::write(place.path("text.wim"), "not a WIM\n").unwrap();
    for name in ["broken.wim", "short.wim", "text.wim"] {
        let arguments = ["build", "--wim", name, "--image", "1", "-o", "a.vhdx", "--size", "256M"];
        place.run(&arguments).fails(4, &[name]);
    }
    place.run(&["images", "text.wim"]).fails(4, &["text.wim", "not a WIM"]);
    place.run(&["images", "none.wim"]).fails(3, &["none.wim", "caused by: "]);
    assert_eq!(place.names(), ["broken.wim", "nano.wim", "short.wim", "text.wim"]);
}

#[test]
fn standard_output_gets_the_same_bytes() {
    let place = Place::new();
    for format in nano_image::Preset::all().map(nano_image::Preset::name) {
        // A VMDK file says its own name.
        let name = if format == "vmdk" { "disk.vmdk" } else { "file" };
        place.build(name, &["--format", format, "--force"]).ok();
        let run = place.build("-", &["--format", format, "--json", "-q"]).ok();
        assert!(run.stdout == place.read(name), "{format}");
        let report: Value = serde_json::from_str(run.stderr.lines().last().unwrap()).unwrap();
        assert_eq!(report["report"]["image-index"], 1);
    }
    place.build("-", &[]).fails(2, &["standard output", "--format"]);
}

#[test]
fn a_reader_that_goes_away_is_no_crash() {
    let place = Place::new();
    let mut child =
        place.command(&build("-", &["--format", "raw"])).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut few = [0; 16];
    child.stdout.take().unwrap().read_exact(&mut few).unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!(run.code, Some(141), "as if SIGPIPE had ended it");
    assert!(!run.stderr.contains("error:"), "{}", run.stderr);

    let mut child = place.command(&["images", "nano.wim"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let place = Place::new();
    place.build("a.vhdx", &["--jobs", "1"]).ok();
    place.build("b.vhdx", &["--jobs", "8"]).ok();
    assert!(place.read("a.vhdx") == place.read("b.vhdx"));
    let elsewhere = Place::new();
    let wim = place.path("nano.wim");
    let output = elsewhere.path("c.vhdx");
    let mut arguments = build(output.to_str().unwrap(), &[]);
    arguments[2] = wim.to_str().unwrap();
    Run::of(elsewhere.command(&arguments).env("TZ", "Asia/Tokyo").env("LC_ALL", "C").output().unwrap()).ok();
    assert!(place.read("a.vhdx") == elsewhere.read("c.vhdx"));
}

#[test]
fn a_time_comes_from_the_flag_or_the_environment() {
    let place = Place::new();
    let with = |output, more: &[&str], epoch: Option<&str>| {
        let mut command = place.command(&build(output, more));
        epoch.map(|epoch| command.env("SOURCE_DATE_EPOCH", epoch));
        Run::of(command.output().unwrap())
    };
    with("none.raw", &[], None).ok();
    with("flag.raw", &["--timestamp", "1500000000"], None).ok();
    with("variable.raw", &[], Some("1500000000")).ok();
    with("both.raw", &["--timestamp", "1500000000"], Some("5")).ok();
    assert!(place.read("flag.raw") == place.read("variable.raw"));
    assert!(place.read("flag.raw") == place.read("both.raw"));
    assert!(place.read("flag.raw") != place.read("none.raw"));
    with("bad.raw", &[], Some("yesterday")).fails(2, &["SOURCE_DATE_EPOCH", "yesterday"]);
}

#[test]
fn two_seeds_share_no_identifier() {
    let place = Place::new();
    let identifiers = |output: &str, seed: &str| {
        let report = place.build(output, &["--json", "--seed", seed]).ok().json();
        let guids = report["partitions"].as_array().unwrap().iter().map(|partition| partition["guid"].clone());
        guids.chain([report["disk-id"].clone(), report["seed"].clone()]).collect::<Vec<Value>>()
    };
    let all =
        [identifiers("a.vhdx", &"1f".repeat(32)), identifiers("b.vhdx", "random"), identifiers("c.vhdx", "random")]
            .concat();
    assert!(all.iter().all(Value::is_string), "{all:?}");
    for (index, one) in all.iter().enumerate() {
        assert!(!all[..index].contains(one), "{one} is there twice");
    }
    place.build("d.vhdx", &["--seed", "12"]).fails(2, &["`12` is not a seed", "64"]);
    // The seed that a report tells builds the image again.
    place.build("e.vhdx", &["--seed", all[9].as_str().unwrap()]).ok();
    assert!(place.read("e.vhdx") == place.read("b.vhdx"));
}

#[test]
fn progress_for_programs_is_lines_of_json() {
    let place = Place::new();
    let run = place.build("a.vhdx", &["--progress", "json"]).ok();
    let lines: Vec<Value> = run.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["warning"].is_string()));
    let writes: Vec<&Value> = lines.iter().filter(|line| line["phase"] == "write").collect();
    assert_eq!(writes[0]["done"], 0);
    assert_eq!(writes[writes.len() - 1]["done"], writes[0]["total"]);
    assert!(writes.windows(2).all(|two| two[0]["done"].as_u64() <= two[1]["done"].as_u64()));
    let run = place.build("b.vhdx", &["--progress", "json", "--image", "9"]);
    let error: Value = serde_json::from_str(run.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((run.code, &error["kind"]), (Some(3), &Value::from("notfound")));
    assert!(error["error"].as_str().unwrap().contains("no image `9`"));
}

#[test]
fn bars_on_a_terminal_count_to_what_is_written() {
    if !outside::programs("script") {
        return;
    }
    let place = Place::new();
    let command = place.command(&build("a.vhdx", &["--progress", "bar"]));
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    // It starts the program in a terminal, and copies what that shows.
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]).current_dir(place.path(""));
    let run = script.env("TERM", "xterm").stdin(Stdio::null()).output().unwrap();
    let shown = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success(), "{shown}");
    for part in ["read ", "plan ", "write  [", "] 0 B/1", "flush ", "warning:", "a.vhdx: "] {
        assert!(shown.contains(part), "`{part}` is not in:\n{shown}");
    }
    assert!(!shown.contains("/0 B"), "{shown}");
    // Nothing is left of the last bar.
    let last = shown.trim_end().rsplit("\r\n").next().unwrap();
    assert!(last.ends_with(" s") && !last.contains('\x1b'), "{last:?}");
}

#[test]
fn colours_only_where_they_are_wanted() {
    let place = Place::new();
    let coloured = |variable: Option<&str>| {
        let mut command = place.command(&["images", "none.wim"]);
        variable.map(|variable| command.env(variable, "1"));
        Run::of(command.output().unwrap()).stderr.contains('\x1b')
    };
    assert!(coloured(Some("CLICOLOR_FORCE")));
    assert!(!coloured(Some("NO_COLOR")));
    assert!(!coloured(None));
}

#[test]
fn names_in_a_wim_cannot_steer_the_terminal() {
    let place = Place::new();
    let wim = WimBuilder::new().image("evil \u{9b}2J\u{202e} name", Tree::new());
    wim.write_file(place.path("evil.wim")).unwrap();
    let list = place.run(&["images", "evil.wim"]).ok();
    let text = String::from_utf8(list.stdout).unwrap();
    let error = place.run(&["build", "--wim", "evil.wim", "--image", "x", "-o", "a.raw"]).fails(3, &["evil"]).stderr;
    for text in [text, error] {
        assert!(text.contains("evil \\u{9b}2J\\u{202e} name"), "{text}");
    }
}

#[test]
fn help_has_examples_and_mistakes_get_suggestions() {
    let place = Place::new();
    for arguments in
        [&["--help"][..], &["build", "--help"], &["images", "--help"], &["inspect", "--help"], &["run-hint", "--help"]]
    {
        let text = String::from_utf8(place.run(arguments).ok().stdout).unwrap();
        assert!(text.contains("Examples:\n"), "{text}");
    }
    let version = String::from_utf8(place.run(&["--version"]).ok().stdout).unwrap();
    assert!(version.contains("\nlibwim 1."), "{version}");
    place.build("a.vhdx", &["--fromat", "vhd"]).fails(2, &["`--fromat`", "`--format`"]);
    place.build("a.vhdx", &["--format", "vhdxx"]).fails(2, &["`vhdxx`", "`vhdx`"]);
    place.run(&["biuld"]).fails(2, &["`biuld`", "`build`"]);
    place.build("a.vhdx", &["--size", "4X"]).fails(2, &["`4X` is not a size", "512M"]);
    assert_eq!(place.names(), ["nano.wim"]);
}

#[test]
#[cfg(unix)]
fn a_signal_stops_the_build_and_leaves_nothing() {
    let place = Place::new();
    // Large enough that the signal comes long before the end.
    one_image(&place.path("large.wim"), Data::noise(1, 400 << 20));
    for signal in ["-INT", "-TERM"] {
        let mut child = place
            .command(&["build", "--wim", "large.wim", "-o", "a.raw", "--size", "1G", "--progress", "json"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let writing = lines.find(|line| line.contains("\"write\"") && !line.contains("\"done\":0,"));
        assert!(writing.is_some());
        assert!(!place.path("a.raw").exists());
        let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let last: Value = serde_json::from_str(&lines.last().unwrap()).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert_eq!(last["kind"], "cancelled");
        assert_eq!(place.names(), ["large.wim", "nano.wim"]);
    }
}

/// A WIM with one image: boot files, and a file with `data`.
fn one_image(path: &Path, data: Data) {
    let mut tree = Tree::new();
    tree.add(r"Windows\Boot\EFI\bootmgfw.efi", FileSpec::file(scenes::pe_stand_in()));
    tree.add(r"Windows\System32\winload.efi", FileSpec::file("stand-in".into()));
    tree.add(r"Windows\System32\config\SYSTEM", FileSpec::file(Data::bytes(scenes::system_hive())));
    for driver in ["driver0", "wof"] {
        tree.add(&format!(r"Windows\System32\drivers\{driver}.sys"), FileSpec::file("stand-in".into()));
    }
    tree.add(r"Windows\System32\large.dll", FileSpec::file(data));
    WimBuilder::new().push(Image::new("Only", tree).edition("ServerDatacenterNano")).write_file(path).unwrap();
}

//! What the program tells of itself: completions, manual pages, the schema of recipes, suggestions.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use fixtures::outside;

use crate::support::Place;

const COMMANDS: [&str; 4] = ["build", "images", "inspect", "run-hint"];

#[test]
fn completions_name_commands_and_flags() {
    if !outside::programs("bash") {
        return;
    }
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let text = String::from_utf8(place.run(&["completions", shell]).ok().stdout).unwrap();
        for word in COMMANDS.iter().chain(&["computer-name", "metadata-file"]) {
            assert!(text.contains(word), "{shell}: {word}");
        }
        if shell == "bash" {
            let mut bash = Command::new("bash");
            let script = format!(
                "{text}\nCOMP_WORDS=(nano-image build --comp); COMP_CWORD=2; f=$(complete -p nano-image); f=${{f#*-F }}; ${{f%% *}} nano-image --comp build; echo \"${{COMPREPLY[@]}}\""
            );
            let completed = bash.args(["-c", &script]).output().unwrap();
            let reply = String::from_utf8(completed.stdout).unwrap();
            assert!(reply.contains("--compact") && reply.contains("--computer-name"), "{reply}");
        }
    }
    place.run(&["completions", "bahs"]).fails(2, &["bash", "zsh", "fish", "powershell", "elvish"]);
}

#[test]
fn the_readme_names_every_format() {
    let readme = include_str!("../../../README.md");
    for format in nano_image::Format::all() {
        assert!(readme.contains(&format!("`nano.{}", format.extension())), "{format:?}");
    }
    for preset in nano_image::Preset::all() {
        assert!(readme.contains(preset.name()), "{preset:?}");
    }
}

#[test]
fn manual_pages_are_made_for_all_commands() {
    let place = Place::new();
    let page = String::from_utf8(place.run(&["man"]).ok().stdout).unwrap();
    assert!(page.contains(".TH nano-image 1") && page.contains(".SH \"EXIT STATUS\""), "{page}");
    fs::create_dir(place.path("man")).unwrap();
    place.run(&["man", "-C", "man"]).ok();
    for command in COMMANDS {
        let page = fs::read_to_string(place.path(&format!("man/nano-image-{command}.1"))).unwrap();
        assert!(page.contains(".SH OPTIONS") && page.contains(".SH EXAMPLES") && !page.contains("EXTRA"), "{page}");
    }
    let build = fs::read_to_string(place.path("man/nano-image-build.1")).unwrap();
    assert!(build.contains("computer\\-name"), "{build}");
    place.run(&["man", "-C", "man"]).fails(2, &["nano-image-", "exists", "--force"]);
    place.run(&["man", "-C", "man", "--force"]).ok();
    place.run(&["man", "-C", "none"]).fails(3, &["none", "directory"]);
}

#[test]
fn the_examples_keep_to_the_schema() {
    let place = Place::new();
    let schema = place.run(&["schema"]).ok().json();
    let properties = schema["properties"].as_object().unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let mut checked = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        for line in text.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line)) {
            let Some((key, value)) = line.split_once(" = ").filter(|(key, _)| !key.starts_with('#')) else { continue };
            let property = properties.get(key).unwrap_or_else(|| panic!("{key} is not in the schema"));
            let kinds = property.to_string();
            let fits = match value.as_bytes()[0] {
                b'[' => kinds.contains("\"array\""),
                b't' | b'f' => kinds.contains("\"boolean\""),
                b'"' => kinds.contains("\"string\"") || kinds.contains("enum"),
                _ => kinds.contains("\"integer\""),
            };
            assert!(fits, "{line}: {kinds}");
            checked += 1;
        }
    }
    assert!(checked > 60, "{checked}");
}

#[test]
fn the_manual_has_every_flag_of_build() {
    let schema = Place::new().run(&["schema"]).ok().json();
    let manual = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/manual.md")).unwrap();
    // The first two are only there to say what to use instead; the manual calls the last `-q`.
    let others = ["domain-name", "reuse-domain-node", "quiet"];
    let keys = schema["properties"].as_object().unwrap().keys().filter(|key| !others.contains(&&***key));
    let has = |flag: &str| manual.split(|c: char| c != '-' && !c.is_ascii_alphanumeric()).any(|word| word == flag);
    let missing: Vec<_> = keys.filter(|key| !has(&format!("--{key}"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn slips_are_answered_with_what_may_be_meant() {
    let place = Place::new();
    for (arguments, meant) in [
        (&["buidl"][..], "`build`"),
        (&["run_hint"], "`run-hint`"),
        (&["build", "--wmi", "a.wim"], "`--wim`"),
        (&["build", "--computername", "a"], "`--computer-name`"),
        (&["build", "--wim", "a", "-o", "a.vhdx", "--format", "vdhx"], "`vhdx`"),
        (&["build", "--wim", "a", "-o", "tpye=vhd,path=a.vhd"], "`type`"),
        (&["build", "--wim", "a", "-o", "type=vhdz,path=a.vhd"], "`vhd`"),
        (&["build", "--wim", "a", "-o", "a.vhdx", "--jobs", "0"], "a whole number, 1 or more"),
        (&["build", "--wim", "a", "-o", "a.vhdx", "--timestamp", "yesterday"], "seconds since 1970"),
        (&["build", "--wim", "a", "-o", "a.vhdx", "--ipv4-dns", "x"], "like 10.0.0.1"),
        (&["build", "--wim", "a b"], if cfg!(windows) { "--wim \"a b\" -o" } else { "build --wim 'a b' -o nano.vhdx" }),
        (&["ls", "a.vhdx"], "inspect --files"),
    ] {
        place.run(arguments).fails(2, &[meant]);
    }
}

#[test]
fn parameters_of_powershell_are_answered_as_the_guide_says() {
    let place = Place::new();
    let guide = include_str!("../../../docs/new-nanoserverimage.md");
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| `-")?.split_once("` | `"));
    let mut count = 0;
    for (parameter, rest) in rows {
        let ours = rest.split('`').next().unwrap();
        place.run(&["build", &format!("-{parameter}"), "x"]).fails(2, &[&format!("-{parameter} is {ours}")]);
        count += 1;
    }
    assert_eq!(count, 45);
}

#[test]
fn values_are_taken_in_any_case() {
    let place = Place::new();
    place
        .build("a.img", &["--format", "VHDX", "--subformat", "Dynamic", "--firmware", "UEFI", "--progress", "NONE"])
        .ok();
    place.build("type=VHDX,path=b.img", &["--compact=COPY", "--source-check", "Full", "--seed", "Random"]).ok();
    place.run(&["diff", "a.img", "a.img", "--ignore", "Times"]).ok();
}

#[test]
fn help_is_wrapped_once() {
    let place = Place::new();
    let commands = String::from_utf8(place.run(&["--help"]).ok().stdout).unwrap();
    let commands = commands.split("Commands:\n").nth(1).unwrap().lines().take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    assert!(commands.len() > 14, "{commands:?}");
    for width in [80, 100] {
        for command in commands.iter().filter(|name| !["", "help"].contains(name)) {
            let mut run = place.command(&[command, "--help"]);
            let help = run.env("COLUMNS", width.to_string()).output().unwrap();
            let help = String::from_utf8(help.stdout).unwrap();
            let lines: Vec<&str> = help.split("\nExamples:").next().unwrap().lines().collect();
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{command}: {help}");
            for pair in lines.windows(2) {
                let [indent, next] = [0, 1].map(|at| pair[at].len() - pair[at].trim_start().len());
                let Some(word) = pair[1].split_whitespace().next().filter(|_| indent == next) else { continue };
                // A line that ends early is followed by one that begins something new.
                let fits = pair[0].chars().count() + 1 + word.chars().count() <= width;
                assert!(!fits || word.starts_with(['-', '[', '<']) || pair[0].trim().is_empty(), "{command}: {pair:?}");
            }
        }
    }
}

/// The program that checks man pages reads them from standard input; it is in every Linux system with manual pages.
#[test]
fn manual_pages_are_read_by_groff() {
    if !outside::programs("groff") {
        return;
    }
    let place = Place::new();
    fs::create_dir(place.path("man")).unwrap();
    place.run(&["man", "-C", "man"]).ok();
    for entry in fs::read_dir(place.path("man")).unwrap() {
        let page = fs::read(entry.unwrap().path()).unwrap();
        let mut groff = Command::new("groff");
        groff.args(["-man", "-Kutf8", "-Tutf8", "-ww", "-z"]).stdin(Stdio::piped());
        let mut groff = groff.stderr(Stdio::piped()).spawn().expect("groff is installed");
        groff.stdin.take().unwrap().write_all(&page).unwrap();
        let said = groff.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&said.stderr);
        assert!(said.is_empty(), "{said}");
    }
}

//! What the program tells of itself: completions, manual pages, the schema of recipes, suggestions.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::Place;

const COMMANDS: [&str; 4] = ["build", "images", "inspect", "run-hint"];

#[test]
fn completions_name_commands_and_flags() {
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
    for preset in nano_image::disk::Preset::all() {
        assert!(readme.contains(preset.name()), "{preset:?}");
    }
}

#[test]
fn manual_pages_are_made_for_all_commands() {
    let place = Place::new();
    let page = String::from_utf8(place.run(&["man"]).ok().stdout).unwrap();
    assert!(page.contains(".TH nano-image 1"), "{page}");
    fs::create_dir(place.path("man")).unwrap();
    place.run(&["man", "-C", "man"]).ok();
    for command in COMMANDS {
        let page = fs::read_to_string(place.path(&format!("man/nano-image-{command}.1"))).unwrap();
        assert!(page.contains(".SH OPTIONS") && page.contains("Examples:"), "{page}");
    }
    let build = fs::read_to_string(place.path("man/nano-image-build.1")).unwrap();
    assert!(build.contains("computer\\-name"), "{build}");
    place.run(&["man", "-C", "man"]).fails(2, &["man/nano-image", "exists", "--force"]);
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
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
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
fn slips_are_answered_with_what_may_be_meant() {
    let place = Place::new();
    for (arguments, meant) in [
        (&["buidl"][..], "'build'"),
        (&["run_hint"], "'run-hint'"),
        (&["build", "--wmi", "a.wim"], "'--wim'"),
        (&["build", "--computername", "a"], "'--computer-name'"),
        (&["build", "--wim", "a", "-o", "a.vhdx", "--format", "vdhx"], "'vhdx'"),
        (&["build", "--wim", "a", "-o", "tpye=vhd,path=a.vhd"], "`type`"),
        (&["build", "--wim", "a", "-o", "type=vhdz,path=a.vhd"], "`vhd`"),
    ] {
        place.run(arguments).fails(2, &[meant]);
    }
}

/// The program that checks man pages reads them from standard input; it is in every Linux system with manual pages.
#[test]
fn manual_pages_are_read_by_groff() {
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

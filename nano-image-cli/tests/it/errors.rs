//! The catalogue of errors says what the program says.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::Place;
use fixtures::media::Release;
use fixtures::{outside, scenes};

const CATALOGUE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
const KINDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../nano-image/src/error.rs");

/// Kinds with their exit statuses, as the table has them.
fn table(catalogue: &str) -> Vec<(&str, i32)> {
    let rows = catalogue.lines().filter_map(|line| line.strip_prefix("| [`"));
    rows.map(|row| {
        let (kind, rest) = row.split_once('`').unwrap();
        (kind, rest.split('|').nth(1).unwrap().trim().parse().unwrap())
    })
    .collect()
}

#[test]
fn every_kind_is_in_the_catalogue() {
    let (catalogue, source) = (fs::read_to_string(CATALOGUE).unwrap(), fs::read_to_string(KINDS).unwrap());
    let body = source.split("pub enum ErrorKind {").nth(1).unwrap().split('}').next().unwrap();
    let lines = body.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    let kinds: Vec<&str> = lines.map(|line| line.trim_end_matches(',')).collect();
    assert!(kinds.len() >= 8, "{kinds:?}");
    let listed: Vec<&str> = table(&catalogue).iter().map(|(kind, _)| *kind).collect();
    assert_eq!(listed, kinds);
    for kind in kinds {
        assert!(catalogue.contains(&format!("\n## {kind}\n")), "{kind} has no section");
    }
}

#[test]
fn the_messages_are_real() {
    if !outside::programs("sh") {
        return;
    }
    let place = Place::new();
    let wim = place.read("nano.wim");
    fs::write(place.path("cut.wim"), &wim[..wim.len() / 2]).unwrap();
    fs::write(place.path("nano.toml"), "wim = \"nano.wim\"\nsiez = \"8G\"\n").unwrap();
    fs::write(place.path("there.vhdx"), "").unwrap();
    Release::Rtm.write(&place.path("media"), &scenes::pe_stand_in(), 400_000).unwrap();
    scenes::tiny().write_file(place.path("bare.wim")).unwrap();
    fixtures::scenes::encrypted().write_file(place.path("encrypted.wim")).unwrap();
    let folder = Path::new(env!("CARGO_BIN_EXE_nano-image")).parent().unwrap();
    let search = std::env::join_paths([folder, Path::new("/usr/bin"), Path::new("/bin")]).unwrap();

    let catalogue = fs::read_to_string(CATALOGUE).unwrap();
    let statuses = table(&catalogue);
    let mut wrong = Vec::new();
    let mut count = 0;
    for section in catalogue.split("\n## ").skip(1) {
        let kind = section.lines().next().unwrap();
        let status = statuses.iter().find(|(known, _)| *known == kind).unwrap().1;
        for block in section.split("```console\n$ ").skip(1) {
            let (command, expected) = block.split("```").next().unwrap().split_once('\n').unwrap();
            let run =
                Command::new("sh").args(["-c", command]).env("PATH", &search).current_dir(place.path("")).output();
            let run = run.unwrap();
            let said = String::from_utf8(run.stderr).unwrap();
            let error = said.find("error: ").map(|at| &said[at..]).unwrap_or_default();
            count += 1;
            if (run.status.code(), error) != (Some(status), expected) {
                wrong.push(format!("$ {command}\n{said}({:?}, not {status})", run.status.code()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(count >= 15, "{count}");
}

//! Answer files of others: what is said of them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::judge::run;
use fixtures::outside::{programs, shared};
use nano_image::{Architecture, Lint, Verdict};

fn xml_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(xml_files(&path));
        } else if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml")) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What is refused and told: codes with line and column.
fn remarks(path: &Path, architecture: Architecture) -> Vec<String> {
    let lint = Lint::file(path, Some(architecture)).unwrap();
    let rest = lint.remarks.iter().filter(|remark| remark.verdict != Verdict::Applied);
    let shown = rest.map(|remark| format!("{} {} {}:{}", remark.verdict, remark.code, remark.line, remark.column));
    shown.collect()
}

/// Line and column of the elements `settings` for a pass that never runs, by a search in the text.
fn idle_passes(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for pass in ["windowsPE", "generalize", "auditSystem", "auditUser"] {
            if let Some(at) = line.find(&format!("<settings pass=\"{pass}\"")) {
                found.push(format!("told pass-never-runs {}:{}", number + 1, line[..at].chars().count() + 1));
            }
        }
    }
    found
}

/// All of them are in use, so Windows takes them. xmllint counts what comes into force.
#[test]
fn public_answer_files_are_accepted() {
    let Some(folder) = shared("data/unattend") else { return };
    if !programs("xmllint") {
        return;
    }
    let files = xml_files(&folder);
    assert_eq!(files.len(), 13);
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let foreign = |remark: &String| !remark.contains("foreign-architecture");
        let told: Vec<String> = remarks(&path, Architecture::Amd64).into_iter().filter(foreign).collect();
        assert_eq!(told, idle_passes(&text), "{}", path.display());
        let settings = "//*[local-name()='settings'][@pass='offlineServicing' or @pass='specialize' or \
            @pass='oobeSystem']/*[@processorArchitecture='amd64']/*";
        let packages = "//*[local-name()='servicing']/*[local-name()='package']";
        let xpath = format!("count({settings}) + count({packages})");
        let counted = run("xmllint", &["--xpath", &xpath, path.to_str().unwrap()]);
        let lint = Lint::file(&path, Some(Architecture::Amd64)).unwrap();
        assert_eq!(lint.count(Verdict::Applied).to_string(), counted.trim(), "{}", path.display());
    }
}

#[test]
fn answer_files_that_failed_are_judged() {
    let Some(folder) = shared("cases") else { return };
    let expected = [
        ("unattend-duplicate-component/component.xml", "refused duplicate-component 2:333"),
        ("unattend-duplicate-component/setting.xml", "refused duplicate-setting 2:321"),
        ("unattend-duplicate-component/two-names.xml", "refused duplicate-setting 1:266"),
        ("unattend-foreign-arch-applied/dual.xml", "told foreign-architecture 5:5"),
        ("unattend-foreign-arch-applied/x86-only.xml", "told foreign-architecture 1:88"),
        ("unattend-foreign-arch-password/a.xml", "told foreign-architecture 1:82"),
        ("unattend-long-path/a.xml", "refused bad-value 2:368"),
        ("unattend-unknown-component/a.xml", "told unknown-component 2:144"),
        ("unattend-windowspe-ignored/a.xml", "told pass-never-runs 2:116"),
    ];
    for (name, remark) in expected {
        let path = folder.join(name);
        assert_eq!(remarks(&path, Architecture::Amd64), [remark], "{name}");
        // The element that is meant begins there.
        let place: Vec<usize> = remark.rsplit(' ').next().unwrap().split(':').map(|at| at.parse().unwrap()).collect();
        let text = fs::read_to_string(&path).unwrap();
        let line: String = text.lines().nth(place[0] - 1).unwrap().chars().skip(place[1] - 1).collect();
        let element = match remark.split(' ').nth(1).unwrap() {
            "pass-never-runs" => "<settings ",
            "duplicate-component" | "foreign-architecture" | "unknown-component" => "<component ",
            "bad-value" => "<Path>",
            _ if name.ends_with("two-names.xml") => "<ComputerName>",
            _ => "<TimeZone>",
        };
        assert!(line.starts_with(element), "{name}: {line}");
    }
    assert!(xml_files(&folder).len() == expected.len(), "a case is not in the table");
    let x86 = remarks(&folder.join("unattend-foreign-arch-applied/x86-only.xml"), Architecture::X86);
    assert!(x86.is_empty(), "{x86:?}");
}

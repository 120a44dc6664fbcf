//! Answer files of others: what is said of them.

use std::fs;
use std::path::{Path, PathBuf};

use fixtures::outside::shared;
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

/// Codes of what is refused and told.
fn codes(path: &Path, architecture: Architecture) -> (Vec<&'static str>, Vec<&'static str>) {
    let lint = Lint::file(path, Some(architecture)).unwrap();
    let of = |verdict| lint.remarks.iter().filter(|r| r.verdict == verdict).map(|r| r.code).collect();
    (of(Verdict::Refused), of(Verdict::Told))
}

#[test]
fn public_answer_files_are_accepted() {
    let Some(folder) = shared("data/unattend") else { return };
    let files = xml_files(&folder);
    assert!(files.len() > 10, "found only {}", files.len());
    for path in files {
        // All of them are in use, so Windows takes them.
        let (refused, told) = codes(&path, Architecture::Amd64);
        assert!(refused.is_empty(), "{}: {refused:?}\n{}", path.display(), Lint::file(&path, None).unwrap());
        let known = ["pass-never-runs", "foreign-architecture", "unknown-component"];
        assert!(told.iter().all(|code| known.contains(code)), "{}: {told:?}", path.display());
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text.contains("pass=\"windowsPE\""),
            told.contains(&"pass-never-runs") && text.contains("windowsPE")
        );
    }
}

#[test]
fn answer_files_that_failed_are_judged() {
    let Some(folder) = shared("cases") else { return };
    let expected: [(&str, &[&str], &[&str]); 9] = [
        ("unattend-duplicate-component/component.xml", &["duplicate-component"], &[]),
        ("unattend-duplicate-component/setting.xml", &["duplicate-setting"], &[]),
        ("unattend-duplicate-component/two-names.xml", &["duplicate-setting"], &[]),
        ("unattend-foreign-arch-applied/dual.xml", &[], &["foreign-architecture"]),
        ("unattend-foreign-arch-applied/x86-only.xml", &[], &["foreign-architecture"]),
        ("unattend-foreign-arch-password/a.xml", &[], &["foreign-architecture"]),
        ("unattend-long-path/a.xml", &["bad-value"], &[]),
        ("unattend-unknown-component/a.xml", &[], &["unknown-component"]),
        ("unattend-windowspe-ignored/a.xml", &[], &["pass-never-runs"]),
    ];
    for (name, refused, told) in expected {
        assert_eq!(codes(&folder.join(name), Architecture::Amd64), (refused.to_vec(), told.to_vec()), "{name}");
    }
    let x86 = codes(&folder.join("unattend-foreign-arch-applied/x86-only.xml"), Architecture::X86);
    assert_eq!(x86, (vec![], vec![]));
}

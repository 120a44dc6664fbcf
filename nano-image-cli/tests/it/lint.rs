//! `nano-image lint`: what is said of an answer file, alone and for an image.

use std::fs;

use crate::support::Place;

const HEAD: &str = "<unattend xmlns=\"urn:schemas-microsoft-com:unattend\">\n";

fn component(architecture: &str, settings: &str) -> String {
    format!(
        "<component name=\"Microsoft-Windows-Shell-Setup\" processorArchitecture=\"{architecture}\" \
         publicKeyToken=\"31bf3856ad364e35\" language=\"neutral\">\n{settings}</component>\n"
    )
}

fn file(place: &Place, pass: &str, components: &str) {
    let text = format!("{HEAD}<settings pass=\"{pass}\">\n{components}</settings>\n</unattend>\n");
    fs::write(place.path("answer.xml"), text).unwrap();
}

#[test]
fn the_exit_status_says_whether_windows_stops_at_it() {
    let place = Place::new();
    let lint = |flags: &[&str]| {
        let run = place.run(&[&["lint", "answer.xml"], flags].concat());
        (run.code, String::from_utf8_lossy(&run.stdout).into_owned())
    };
    file(&place, "specialize", &component("amd64", "<TimeZone>Nowhere</TimeZone>\n"));
    let (code, text) = lint(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("answer.xml:4:1: refused: Microsoft-Windows-Shell-Setup/TimeZone (specialize)"), "{text}");
    // For another architecture it counts for nothing.
    let (code, text) = lint(&["--architecture", "arm64"]);
    assert!(code == Some(0) && text.contains("told: components for amd64"), "{text}");
    file(&place, "specialize", &component("amd64", "<TimeZone>UTC</TimeZone>\n"));
    let (code, text) = lint(&["--all"]);
    assert!(code == Some(0) && text.contains("0 refused, 0 told, 1 applied"), "{text}");
    assert!(text.contains("answer.xml:4:1: applied: "), "{text}");
    let json: serde_json::Value = serde_json::from_str(&lint(&["--json"]).1).unwrap();
    assert_eq!((&json["remarks"][0]["verdict"], &json["remarks"][0]["line"]), (&"applied".into(), &4.into()));
    fs::write(place.path("answer.xml"), "<a>\n<b></a>").unwrap();
    let (code, text) = lint(&[]);
    assert!(code == Some(1) && text.contains("answer.xml:2:4: refused: bad answer file"), "{text}");
    assert_eq!(place.run(&["lint", "absent.xml"]).code, Some(3));
    assert_eq!(place.run(&["lint"]).code, Some(2));
    assert_eq!(lint(&["--image", "absent.vhdx"]).0, Some(3));
}

#[test]
fn an_image_is_asked_what_it_has() {
    let place = Place::new();
    file(
        &place,
        "specialize",
        &(component("x86", "<A/>") + &component("amd64", "<ComputerName>web-01</ComputerName>")),
    );
    place.build("a.raw", &["-q", "--unattend", "answer.xml"]).ok();
    for flags in [&["--image", "a.raw"][..], &["--wim", "nano.wim", "--image", "1"], &["--image", "nano.wim"]] {
        let run = place.run(&[&["lint", "answer.xml"], flags].concat());
        let text = String::from_utf8_lossy(&run.stdout).into_owned();
        // A WIM of several images must be told which one.
        if flags == ["--image", "nano.wim"] && run.code == Some(2) {
            continue;
        }
        assert_eq!(run.code, Some(0), "{flags:?} {text}");
        assert!(text.contains("components for x86"), "{flags:?} {text}");
        assert_eq!(flags[1] == "a.raw", text.contains("replaces that of the image"), "{flags:?} {text}");
    }
    let absent = place.run(&["lint", "answer.xml", "--wim", "nano.wim", "--image", "none"]);
    assert_eq!(absent.code, Some(3));
}

/// The table in docs/answer-files.md has every kind of remark.
#[test]
fn every_kind_of_remark_is_documented() {
    let table = include_str!("../../../docs/answer-files.md");
    let sources = [
        include_str!("../../../nano-image/src/windows/answer/image.rs"),
        include_str!("../../../nano-image/src/windows/answer/judge.rs"),
        include_str!("../../../nano-image/src/windows/answer/judge/list.rs"),
        include_str!("../../../nano-image/src/windows/answer/judge/password.rs"),
        include_str!("../../../nano-image/src/windows/answer/judge/settings.rs"),
        include_str!("../../../nano-image/src/windows/answer/remark.rs"),
    ];
    let is_code = |text: &&str| {
        text.contains('-')
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            && *text != "kebab-case"
    };
    let mut codes: Vec<&str> = sources.iter().flat_map(|source| source.split('"')).filter(is_code).collect();
    codes.sort_unstable();
    codes.dedup();
    assert!(codes.len() > 25, "{codes:?}");
    let missing: Vec<&&str> = codes.iter().filter(|code| !table.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "docs/answer-files.md lacks {missing:?}");
}

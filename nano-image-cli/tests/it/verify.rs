//! `nano-image verify`: exit status, text and JSON.

use std::fs;

use crate::support::Place;
use fixtures::{manifest, scenes};

#[test]
fn the_exit_status_says_whether_anything_is_wrong() {
    let place = Place::new();
    place.build("sound.raw", &["-q"]).ok();
    let run = place.run(&["verify", "sound.raw"]);
    assert_eq!(run.code, Some(0), "{}", String::from_utf8_lossy(&run.stdout));
    assert!(
        String::from_utf8_lossy(&run.stdout).contains("Nothing is wrong"),
        "{}",
        String::from_utf8_lossy(&run.stdout)
    );

    let wim = scenes::nano_small(&scenes::pe_stand_in());
    let lines = manifest::lines(&wim.images()[0].tree);
    // Hives and what boots are changed by the build.
    let same = lines.iter().filter(|line| line.path.starts_with("/Windows/WinSxS/"));
    let list: Vec<String> = same.map(|line| format!("{line}\n")).collect();
    assert!(list.len() > 10);
    fs::write(place.path("list"), list.concat()).unwrap();
    assert_eq!(place.run(&["verify", "sound.raw", "--manifest", "list"]).code, Some(0));
    fs::write(place.path("list"), list.concat().replacen("/Windows/WinSxS/", "/Windows/absent/", 1)).unwrap();
    let run = place.run(&["verify", "sound.raw", "--manifest", "list"]);
    assert!(
        run.code == Some(1) && String::from_utf8_lossy(&run.stdout).contains("is missing"),
        "{}",
        String::from_utf8_lossy(&run.stdout)
    );
    fs::write(place.path("list"), "what is this?").unwrap();
    assert_eq!(place.run(&["verify", "sound.raw", "--manifest", "list"]).code, Some(2));

    let mut bytes = place.read("sound.raw");
    let last = bytes.len() - 512;
    bytes[last + 56] ^= 1;
    fs::write(place.path("damaged.raw"), bytes).unwrap();
    let run = place.run(&["verify", "--json", "damaged.raw"]);
    assert_eq!(run.code, Some(1));
    let found = run.json();
    assert_eq!(found["counts"], serde_json::json!({ "gpt-checksum": 1 }), "{found}");
    assert_eq!(found["findings"][0]["offset"], last, "{found}");
    assert_eq!(place.run(&["verify", "absent.raw"]).code, Some(3));
    assert_eq!(place.run(&["verify"]).code, Some(2));
}

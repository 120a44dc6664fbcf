//! What the library promises: a list in `surface.txt`, so that a change of it is seen; and the example in README.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fixtures::outside;

/// Every public item with its signature, as rustdoc sees the library that is packaged.
#[test]
fn the_surface_is_as_it_is_listed() {
    if !outside::programs("cargo") {
        return;
    }
    let api = public_api::Builder::from_rustdoc_json(rustdoc())
        .omit_auto_derived_impls(true)
        .omit_auto_trait_impls(true)
        .omit_blanket_impls(true)
        .build();
    // Each compiler writes a form of its own, and the crate that reads it knows one.
    let Some(api) = outside::host("a compiler whose rustdoc the crate public-api reads", api.ok()) else { return };
    let found: String = api.items().map(|item| format!("{item}\n")).collect();
    let list = root().join("tests/it/surface.txt");
    if std::env::var_os("UPDATE_SURFACE").is_some() {
        fs::write(&list, &found).unwrap();
    }
    let listed = fs::read_to_string(list).unwrap();
    let only = |a: &str, b: &str, mark: &str| -> String {
        let b: BTreeSet<&str> = b.lines().collect();
        a.lines().filter(|line| !b.contains(line)).map(|line| format!("{mark} {line}\n")).collect()
    };
    let (gone, new) = (only(&listed, &found, "-"), only(&found, &listed, "+"));
    let hint = "if this change of the surface is meant, run the test again with UPDATE_SURFACE=1";
    assert!(found == listed, "{hint}; what is gone may break programs:\n{gone}{new}");
}

/// The documentation as data. Without libwim, as docs.rs makes it, so that only Rust is compiled.
fn rustdoc() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../docs");
    let output = Command::new(env!("CARGO"))
        .args(["rustdoc", "--locked", "--quiet", "--package", "nano-image", "--lib", "--features", "clap"])
        .arg("--target-dir")
        .arg(&target)
        .args(["--", "-Z", "unstable-options", "--output-format", "json", "--cap-lints", "allow"])
        .current_dir(root())
        .envs([("RUSTFLAGS", "--cfg without_libwim"), ("RUSTDOCFLAGS", "--cfg without_libwim")])
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("doc/nano_image.json")
}

#[test]
fn the_readme_has_the_example_of_the_documentation() {
    let readme = fs::read_to_string(root().join("../README.md")).unwrap();
    let shown = readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let docs: String =
        lib.lines().map_while(|line| line.strip_prefix("//!")).map(|line| line.to_owned() + "\n").collect();
    let tested = docs.split("```no_run\n").nth(1).and_then(|rest| rest.split(" ```").next()).unwrap();
    let tested: String = tested.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned() + "\n").collect();
    assert_eq!(shown, tested);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

//! What the library promises: a list in `surface.txt`, so that a change of it is seen; and the example in README.md.

use std::fs;
use std::path::Path;

/// Where the façade, the four steps and the keys of a recipe are.
const FILES: [&str; 10] = [
    "lib.rs",
    "pipeline/recipe.rs",
    "pipeline/recipe/builder.rs",
    "pipeline/sources.rs",
    "pipeline/plan.rs",
    "pipeline/golden.rs",
    "pipeline/layout.rs",
    "pipeline/summary.rs",
    "pipeline/write.rs",
    "pipeline/check.rs",
];

#[test]
fn the_surface_is_as_it_is_listed() {
    let found: String = FILES.iter().flat_map(|file| names(file)).map(|name| name + "\n").collect();
    let list = root().join("tests/it/surface.txt");
    if std::env::var_os("UPDATE_SURFACE").is_some() {
        fs::write(&list, &found).unwrap();
    }
    let listed = fs::read_to_string(list).unwrap();
    let hint = "if this change of the surface is meant, run the test again with UPDATE_SURFACE=1";
    assert!(found == listed, "{hint}; it is now:\n{found}");
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

/// Names of what a file makes public, in their order; of `lib.rs` without the rooms that are hidden.
fn names(file: &str) -> Vec<String> {
    let source = fs::read_to_string(root().join("src").join(file)).unwrap();
    let ends = ["#[cfg(test)]", "pub mod internals"];
    let source = ends.iter().fold(&*source, |source, end| source.split(end).next().unwrap());
    let mut names = Vec::new();
    let mut is_hidden = false;
    for line in source.lines().map(str::trim) {
        let Some(item) = line.strip_prefix("pub ").filter(|_| !is_hidden) else {
            is_hidden = line == "#[doc(hidden)]";
            continue;
        };
        match item.strip_prefix("use ") {
            Some(list) => {
                let list = list.rsplit("::").next().unwrap().trim_matches(['{', '}', ';']);
                let list = list.rsplit_once('{').map_or(list, |(_, list)| list);
                names.extend(list.split(", ").map(|name| format!("{file} {}", name.rsplit(' ').next().unwrap())));
            }
            None => {
                let end = item.find(['(', '<', '{', ':', ';', '=']).unwrap_or(item.len());
                names.push(format!("{file} {}", item[..end].trim()));
            }
        }
    }
    names
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

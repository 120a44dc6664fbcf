//! The rooms and floors of ARCHITECTURE.md, enforced: a room uses lower floors and itself only.
//!
//! Sources are read as tokens, so comments, strings and the insides of macros are told apart.

use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Rooms of each floor, the lowest first.
const FLOORS: [&[&str]; 6] = [
    &["error", "types"],
    &["identity", "progress", "content", "security", "xml"],
    &["tree", "report"],
    &["source", "registry", "volume", "disk"],
    &["windows"],
    &["pipeline", "inspect"],
];

/// Rooms of one floor that may know each other: errors tell sizes, and values that cannot be parsed give errors.
const NEIGHBOURS: [&str; 2] = ["error", "types"];

/// Parts of a room that know nothing of each other; what they share lies beside them in the room.
const PARTS: [(&str, &[&str]); 4] = [
    ("source", &["wim", "iso", "cab", "delta", "update"]),
    ("volume", &["ntfs", "fat"]),
    ("disk", &["gpt", "mbr", "qcow2", "raw", "vhd", "vhdx", "vmdk"]),
    ("windows", &["boot", "configure", "driver", "package"]),
];

/// Folders beside the parts, which the parts of their room use.
const SHARED: [&str; 1] = ["source/lzx"];

/// The only files with unsafe code: calls of libwim, and one of Windows that no crate makes safe.
const UNSAFE: [&str; 2] = ["source/wim/ffi.rs", "content/sparse.rs"];

const MAX_LINES: usize = 600;

/// The only file that knows where data beside the repository is: it records which tests did not find it.
const OUTSIDE: (&str, &str) = ("fixtures/src/outside.rs", concat!("/..", "/../shared"));

#[test]
fn rooms_use_lower_floors_only() {
    let files = sources(&root().join("nano-image/src"));
    assert!(files.len() > 50, "found only {} files", files.len());
    let violations: Vec<String> = files.iter().flat_map(|(path, source)| check(path, source)).collect();
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn every_folder_of_a_room_of_parts_is_one() {
    // Not all of `windows` is parts.
    for (room, parts) in PARTS.iter().filter(|(room, _)| *room != "windows") {
        for entry in fs::read_dir(root().join("nano-image/src").join(room)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let is_known = parts.contains(&&*name) || SHARED.contains(&&*format!("{room}/{name}"));
            assert!(!entry.path().is_dir() || is_known, "{room}/{name} is not among the parts");
        }
    }
}

#[test]
fn every_room_has_a_floor() {
    let lib = fs::read_to_string(root().join("nano-image/src/lib.rs")).unwrap();
    let rooms: Vec<&str> = lib
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    assert!(rooms.len() > 10, "{rooms:?}");
    for room in rooms {
        assert!(floor(room).is_some(), "`{room}` has no floor");
    }
}

#[test]
fn files_are_short_and_finished() {
    let mut violations = Vec::new();
    for package in ["nano-image", "nano-image-cli", "fixtures", "benches"] {
        for (path, source) in sources(&root().join(package)) {
            violations.extend(check_form(&format!("{package}/{path}"), &source));
        }
    }
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn fixtures_use_nothing_of_the_library() {
    let manifest = fs::read_to_string(root().join("fixtures/Cargo.toml")).unwrap();
    assert!(!manifest.contains("path = \"../nano-image\""), "a writer would be proven with itself");
}

#[test]
fn planted_violations_are_found() {
    let planted = [
        ("volume/fat.rs", "use crate::windows::boot;", "`volume` (floor 4) uses `windows` (floor 5)"),
        ("volume.rs", "use crate::{error::Error, disk::Format};", "`volume` (floor 4) uses `disk` (floor 4)"),
        ("types/size.rs", "fn f() { vec![crate::tree::FileTree::new()]; }", "`types` (floor 1) uses `tree` (floor 3)"),
        ("inspect.rs", "use super::{types, pipeline as p};", "`inspect` (floor 6) uses `pipeline` (floor 6)"),
        ("disk/vhd/read.rs", "use super::super::super::registry;", "`disk` (floor 4) uses `registry` (floor 4)"),
        ("disk/vhd.rs", "mod tests { use super::super::super::volume::fat; }", "uses `volume`"),
        ("content.rs", "use crate::identity::Seed;", "`content` (floor 2) uses `identity` (floor 2)"),
        ("volume/ntfs/write.rs", "use super::super::fat::build;", "`volume::ntfs` uses `volume::fat`"),
        ("disk/vhdx.rs", "use crate::disk::{blocks, vhd::format};", "`disk::vhdx` uses `disk::vhd`"),
        ("tree.rs", "use crate::Error;", "`Error` is not a room"),
        ("tree.rs", "use crate::*;", "`*` is not a room"),
        ("volume/ntfs.rs", "fn f() { unsafe { g() } }", "unsafe"),
    ];
    for (path, source, message) in planted {
        let found = check(path, source);
        assert!(found.len() == 1 && found[0].contains(message), "{path}: {source}: {found:?}");
    }
    let long = "\n".repeat(MAX_LINES + 1);
    let outside = format!("const FOLDER: &str = \"{}\";", OUTSIDE.1);
    for (source, message) in [
        ("fn f() { todo!() }", "todo!"),
        ("fn f() { g(unimplemented!()) }", "unimplemented!"),
        (&long, "601"),
        (&outside, "outside"),
    ] {
        let found = check_form("a.rs", source);
        assert!(found.len() == 1 && found[0].contains(message), "{source}: {found:?}");
    }
}

#[test]
fn what_is_allowed_is_not_found() {
    let allowed = [
        ("windows/boot.rs", "use crate::{registry::{Hive, edit}, tree::*}; use super::boot_code; use self::bcd::x;"),
        ("disk/vhd/read.rs", "use super::super::blocks::BlockMap; use super::format; use crate::disk::vhd;"),
        ("disk/file_layout.rs", "use super::{vhd, vhdx};"),
        (
            "error.rs",
            "//! crate::pipeline\n/// [x](crate::windows)\nconst A: &str = \"crate::pipeline\"; use crate::types::ByteSize;",
        ),
        ("types.rs", "use crate::error::Error; mod tests { use super::*; }"),
        ("volume/fat.rs", "mod tests { use super::*; mod inner { use super::super::name; } }"),
        (UNSAFE[0], "fn f() { unsafe { g() } }"),
        ("lib.rs", "pub use pipeline::Layout; pub use crate::disk::Format;"),
    ];
    for (path, source) in allowed {
        assert_eq!(check(path, source), Vec::<String>::new(), "{path}: {source}");
    }
    assert!(check_form("a.rs", "// todo!()\nfn todo() {}").is_empty());
}

/// What a file of `nano-image/src` does that it may not.
fn check(path: &str, source: &str) -> Vec<String> {
    let module: Vec<String> = match path.trim_end_matches(".rs") {
        "lib" => Vec::new(),
        path => path.split('/').map(str::to_owned).collect(),
    };
    let mut scan = Scan { path, violations: Vec::new() };
    scan.tokens(&tokens(path, source), &module);
    scan.violations
}

/// What no file may have.
fn check_form(path: &str, source: &str) -> Vec<String> {
    let mut violations = Vec::new();
    let lines = source.lines().count();
    if lines > MAX_LINES {
        violations.push(format!("{path}: {lines} lines; split it, {MAX_LINES} are the limit"));
    }
    if path != OUTSIDE.0 && source.contains(OUTSIDE.1) {
        violations.push(format!("{path}: use `fixtures::outside::shared`, or nobody sees that a test did not run"));
    }
    unfinished(path, &tokens(path, source), &mut violations);
    violations
}

fn unfinished(path: &str, tokens: &[TokenTree], violations: &mut Vec<String>) {
    for (index, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => unfinished(path, &list(group.stream()), violations),
            TokenTree::Ident(name)
                if (name == "todo" || name == "unimplemented") && is_punct(tokens.get(index + 1), '!') =>
            {
                violations.push(format!("{path}: {name}!"));
            }
            _ => {}
        }
    }
}

struct Scan<'a> {
    path: &'a str,
    violations: Vec<String>,
}

impl Scan<'_> {
    /// Looks at all paths among `tokens`, which are of the module at `module`.
    fn tokens(&mut self, tokens: &[TokenTree], module: &[String]) {
        let mut index = 0;
        while index < tokens.len() {
            match &tokens[index..] {
                [TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Group(body), ..] if word == "mod" => {
                    let inner = [module, &[name.to_string()]].concat();
                    self.tokens(&list(body.stream()), &inner);
                    index += 3;
                    continue;
                }
                [TokenTree::Ident(word), ..] if word == "unsafe" && !UNSAFE.contains(&self.path) => {
                    self.violations.push(format!("{}: unsafe code", self.path));
                }
                [TokenTree::Ident(word), rest @ ..] if word == "crate" || word == "super" => {
                    let mut base =
                        if word == "crate" { Vec::new() } else { module[..module.len().max(1) - 1].to_vec() };
                    let mut rest = rest;
                    while let [colon, _, TokenTree::Ident(next), after @ ..] = rest
                        && is_punct(Some(colon), ':')
                        && next == "super"
                    {
                        base.pop();
                        rest = after;
                    }
                    // `pub(crate)` and `pub(super)` have no path.
                    if is_punct(rest.first(), ':') {
                        for used in paths(&rest[2..]) {
                            self.used(module, &[&base[..], &used].concat());
                        }
                    }
                }
                [TokenTree::Group(group), ..] => self.tokens(&list(group.stream()), module),
                _ => {}
            }
            index += 1;
        }
    }

    /// A path from the crate's root that is used in `module`.
    fn used(&mut self, module: &[String], used: &[String]) {
        let (Some(room), Some(other)) = (module.first(), used.first()) else { return };
        // What the crate's face passes on to the project's own tools.
        if self.path == "lib.rs" {
            return;
        }
        let place = format!("{}: {}", self.path, used.join("::"));
        let Some(from) = floor(room) else {
            return self.violations.push(format!("{place}: `{room}` has no floor"));
        };
        let Some(to) = floor(other) else {
            return self.violations.push(format!("{place}: `{other}` is not a room; name the room that it is from"));
        };
        let neighbours = NEIGHBOURS.contains(&room.as_str()) && NEIGHBOURS.contains(&other.as_str());
        if room != other && to >= from && !neighbours {
            self.violations.push(format!("{place}: `{room}` (floor {from}) uses `{other}` (floor {to})"));
        }
        if let ([_, part, ..], [_, other_part, ..]) = (module, used)
            && let Some((_, parts)) = PARTS.iter().find(|(name, _)| name == room && room == other)
            && part != other_part
            && [part, other_part].iter().all(|part| parts.contains(&part.as_str()))
        {
            self.violations.push(format!("{place}: `{room}::{part}` uses `{room}::{other_part}`"));
        }
    }
}

/// The paths that begin with `tokens`: several for `{a, b::c}`.
pub fn paths(tokens: &[TokenTree]) -> Vec<Vec<String>> {
    match tokens {
        [TokenTree::Ident(name), rest @ ..] => {
            let after = match rest {
                [colon, second, rest @ ..] if is_punct(Some(colon), ':') && is_punct(Some(second), ':') => paths(rest),
                _ => vec![Vec::new()],
            };
            after.into_iter().map(|after| [vec![name.to_string()], after].concat()).collect()
        }
        [TokenTree::Punct(star), ..] if star.as_char() == '*' => vec![vec!["*".into()]],
        [TokenTree::Group(group), ..] if group.delimiter() == Delimiter::Brace => {
            let inside = list(group.stream());
            inside.split(|token| is_punct(Some(token), ',')).flat_map(paths).collect()
        }
        _ => Vec::new(),
    }
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room)).map(|index| index + 1)
}

pub fn tokens(path: &str, source: &str) -> Vec<TokenTree> {
    list(source.parse().unwrap_or_else(|error| panic!("{path}: {error}")))
}

pub fn list(stream: TokenStream) -> Vec<TokenTree> {
    stream.into_iter().collect()
}

pub fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// All Rust files below `folder` with their paths there, in order of their names.
pub fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display())) {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default();
            if path.is_dir() && name != "target" {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(folder).unwrap().to_str().unwrap().replace('\\', "/");
                files.push((relative, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

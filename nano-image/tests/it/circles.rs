//! No circles of files: if a file names what another declares, that one names nothing of the first, however many files
//! are between. A name that a file only passes on (`pub use`) counts for the file that declares it.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};

use crate::architecture::{is_punct, list, paths, root, sources, tokens};

#[test]
fn files_do_not_use_each_other_in_circles() {
    for package in ["nano-image", "nano-image-cli"] {
        let files = Files::parse(&sources(&root().join(package).join("src")));
        assert_eq!(first_circle(&files.uses()), None, "{package}");
    }
}

#[test]
fn every_file_is_a_module() {
    let files = Files::parse(&sources(&root().join("nano-image/src")));
    let lost = files.0.keys().filter(|path| {
        let Some((name, parent)) = path.split_last() else { return false };
        !files.0.get(parent).is_some_and(|parent| parent.children.contains(name))
    });
    assert_eq!(lost.collect::<Vec<_>>(), Vec::<&Vec<String>>::new(), "no `mod` names them, so nothing compiles them");
}

#[test]
fn planted_circles_are_found() {
    let circle = |files: &[(&str, &str)]| {
        let files: Vec<(String, String)> = files.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
        first_circle(&Files::parse(&files).uses())
    };
    let face = ("a.rs", "mod b; mod c; pub use b::B; pub use c::*;");
    let lib = ("lib.rs", "mod a;");
    assert!(circle(&[lib, face, ("a/b.rs", "use super::c::C; pub struct B;"), ("a/c.rs", "pub struct C;")]).is_none());
    assert!(
        circle(&[lib, face, ("a/b.rs", "use super::C; struct B;"), ("a/c.rs", "use crate::a::B; struct C;")]).is_some()
    );
    assert!(circle(&[lib, face, ("a/b.rs", "struct B;"), ("a/c.rs", "fn f() { super::b::g() } struct C;")]).is_none());
    let owner = ("a.rs", "mod b; pub struct A; fn f() { b::g() }");
    assert!(circle(&[lib, owner, ("a/b.rs", "use super::A; pub fn g() {}")]).is_some());
    assert!(circle(&[lib, owner, ("a/b.rs", "pub fn g() {} mod tests { use super::super::A; }")]).is_none());
}

/// Each module that is a file, by its path from the root of the crate.
struct Files(BTreeMap<Vec<String>, File>);

#[derive(Default)]
struct File {
    name: String,
    /// Modules that are files of their own.
    children: BTreeSet<String>,
    /// What it declares itself.
    declared: BTreeSet<String>,
    /// Paths that it names, from the root of the crate; `*` for all of a module.
    named: Vec<Vec<String>>,
    /// What it imports under which name.
    imported: BTreeMap<String, Vec<String>>,
    /// Modules of which it imports everything.
    globs: Vec<Vec<String>>,
    /// Names that it passes on, with their paths. It uses those that it names again.
    passed_on: Vec<(String, Vec<String>)>,
    /// How often it has each word.
    words: BTreeMap<String, usize>,
}

impl Files {
    fn parse(sources: &[(String, String)]) -> Self {
        let files = sources.iter().map(|(name, text)| {
            let module: Vec<String> = match name.trim_end_matches(".rs") {
                "lib" | "main" => Vec::new(),
                path => path.split('/').map(str::to_owned).collect(),
            };
            let mut file = File { name: name.clone(), ..File::default() };
            let tokens = tokens(name, text);
            file.declarations(&tokens);
            file.scan(&tokens, &module);
            (module, file)
        });
        Self(files.collect())
    }

    /// The files that each file uses.
    fn uses(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let uses = self.0.values().map(|file| {
            let passed_on =
                file.passed_on.iter().filter(|(name, _)| file.words.get(name).is_some_and(|count| *count > 1));
            let named = file.named.iter().chain(passed_on.map(|(_, path)| path));
            let used = named.filter_map(|path| self.declaring(path, 0));
            let used = used.map(|other| &*other.name).filter(|other| *other != file.name);
            (&*file.name, used.collect())
        });
        uses.collect()
    }

    /// The file that declares what is at `path`.
    fn declaring(&self, path: &[String], depth: usize) -> Option<&File> {
        let len = (0..=path.len()).rev().find(|len| self.0.contains_key(&path[..*len]))?;
        let file = &self.0[&path[..len]];
        // Faces that pass names on to each other end somewhere; anything else does not compile.
        let Some(name) = path.get(len).filter(|name| *name != "*" && depth < 8) else { return Some(file) };
        if let Some(import) = file.imported.get(name) {
            return self.declaring(&[&import[..], &path[len + 1..]].concat(), depth + 1);
        }
        if !file.declared.contains(name) {
            for glob in &file.globs {
                let target = self.declaring(&[&glob[..], &path[len..]].concat(), depth + 1);
                if target.is_some_and(|target| target.declared.contains(name)) {
                    return target;
                }
            }
        }
        // Of a crate's root nothing is used but its rooms.
        (len > 0).then_some(file)
    }
}

impl File {
    fn declarations(&mut self, tokens: &[TokenTree]) {
        for pair in tokens.windows(2) {
            if let [TokenTree::Ident(word), TokenTree::Ident(name)] = pair {
                match word.to_string().as_str() {
                    "struct" | "enum" | "fn" | "const" | "static" | "trait" | "type" | "union" => {
                        self.declared.insert(name.to_string());
                    }
                    _ => {}
                }
            }
        }
        for triple in tokens.windows(3) {
            if let [TokenTree::Ident(word), TokenTree::Ident(name), end] = triple
                && word == "mod"
                && is_punct(Some(end), ';')
            {
                self.children.insert(name.to_string());
            }
        }
    }

    fn scan(&mut self, tokens: &[TokenTree], module: &[String]) {
        let mut index = 0;
        while index < tokens.len() {
            match &tokens[index..] {
                // Tests may look at what the file they are in is used for.
                [TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Group(_), ..]
                    if word == "mod" && name == "tests" =>
                {
                    index += 3;
                    continue;
                }
                // What a module is called is no use of what is passed on from it by the same name.
                [TokenTree::Ident(word), TokenTree::Ident(_), end, ..] if word == "mod" && is_punct(Some(end), ';') => {
                    index += 3;
                    continue;
                }
                // `pub(in path)` says who may use it.
                [TokenTree::Ident(word), TokenTree::Group(_), ..] if word == "pub" => {
                    index += 2;
                    continue;
                }
                [TokenTree::Ident(word), rest @ ..] if word == "use" => {
                    let end = rest.iter().position(|token| is_punct(Some(token), ';')).unwrap_or(rest.len());
                    let before = &tokens[..index];
                    let is_passed_on = match before {
                        [.., TokenTree::Ident(word), TokenTree::Group(_)] | [.., TokenTree::Ident(word)] => {
                            word == "pub"
                        }
                        _ => false,
                    };
                    for path in imports(&rest[..end]) {
                        *self.words.entry(path.1.clone()).or_default() += 1;
                        self.import(path, module, is_passed_on);
                    }
                    index += end + 1;
                    continue;
                }
                [TokenTree::Ident(word), ..] if !is_path_inside(tokens, index) => {
                    *self.words.entry(word.to_string()).or_default() += 1;
                    let path = paths(&tokens[index..]).into_iter().next().unwrap_or_default();
                    if path.len() > 1
                        && let Some(path) = self.absolute(&path, module)
                    {
                        self.named.push(path);
                    }
                }
                [TokenTree::Group(group), ..] => self.scan(&list(group.stream()), module),
                _ => {}
            }
            index += 1;
        }
    }

    fn import(&mut self, (mut path, alias): (Vec<String>, String), module: &[String], is_passed_on: bool) {
        if path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let Some(path) = self.absolute(&path, module) else { return };
        if path.last().is_some_and(|last| last == "*") {
            self.globs.push(path[..path.len() - 1].to_vec());
        } else {
            self.imported.insert(alias.clone(), path.clone());
        }
        if is_passed_on {
            self.passed_on.push((alias, path));
        } else {
            self.named.push(path);
        }
    }

    /// A path from the root of the crate; `None` for one of another crate or of a name that is imported.
    fn absolute(&self, path: &[String], module: &[String]) -> Option<Vec<String>> {
        let mut base = module.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => (base, rest) = (Vec::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {}
            first if self.children.contains(first) => {}
            _ => return None,
        }
        while let [first, after @ ..] = rest
            && first == "super"
        {
            base.pop();
            rest = after;
        }
        Some([&base[..], rest].concat())
    }
}

/// The paths of a `use`, each with the name that it gets.
fn imports(tokens: &[TokenTree]) -> Vec<(Vec<String>, String)> {
    match tokens {
        [TokenTree::Ident(name), rest @ ..] => {
            let name = name.to_string();
            match rest {
                [colon, second, rest @ ..] if is_punct(Some(colon), ':') && is_punct(Some(second), ':') => {
                    let inner = imports(rest).into_iter();
                    inner
                        .map(|(path, alias)| {
                            let alias = if alias == "self" { name.clone() } else { alias };
                            ([vec![name.clone()], path].concat(), alias)
                        })
                        .collect()
                }
                [TokenTree::Ident(word), TokenTree::Ident(alias), ..] if word == "as" => {
                    vec![(vec![name], alias.to_string())]
                }
                _ => vec![(vec![name.clone()], name)],
            }
        }
        [TokenTree::Punct(star), ..] if star.as_char() == '*' => vec![(vec!["*".into()], "*".into())],
        [TokenTree::Group(group), ..] => {
            let inside: Vec<TokenTree> = list(TokenStream::clone(&group.stream()));
            inside.split(|token| is_punct(Some(token), ',')).flat_map(imports).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether the word at `index` continues a path.
fn is_path_inside(tokens: &[TokenTree], index: usize) -> bool {
    index >= 2 && is_punct(tokens.get(index - 1), ':') && is_punct(tokens.get(index - 2), ':')
}

/// Whether `from` uses `to`, itself or by what it uses.
fn reaches(uses: &BTreeMap<&str, BTreeSet<&str>>, from: &str, to: &str) -> bool {
    let (mut seen, mut pending) = (BTreeSet::new(), vec![from]);
    while let Some(file) = pending.pop() {
        if file == to {
            return true;
        }
        if seen.insert(file.to_owned()) {
            pending.extend(uses.get(file).into_iter().flatten());
        }
    }
    false
}

/// A circle of uses, one of its shortest from the first file that is in any.
fn first_circle(uses: &BTreeMap<&str, BTreeSet<&str>>) -> Option<Vec<String>> {
    uses.iter().find_map(|(file, used)| {
        used.iter().find(|other| reaches(uses, other, file)).map(|other| {
            let mut circle = vec![(*file).to_owned()];
            let mut at = *other;
            while at != *file {
                circle.push(at.to_owned());
                // The next step to the beginning that does not go round.
                let next = uses[at]
                    .iter()
                    .find(|next| *next == file || !circle.contains(&(**next).to_owned()) && reaches(uses, next, file));
                let Some(next) = next else { break };
                at = next;
            }
            circle
        })
    })
}

//! Microsoft's updates, where they lie beside the clone: every file that their deltas make is judged by the index of
//! the package and by the manifest of its component.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::prelude::*;
use nano_image::ByteSize;
use nano_image::content::ReadAt;
use nano_image::source::cab::Cabinet;
use nano_image::source::delta;
use sha2::{Digest, Sha256};

/// Name, SHA-256; files in the index, deltas, and digests in the manifests of components.
const UPDATES: [(&str, &str, [usize; 3]); 3] = [
    ("Windows6.1-KB2883457-amd64.cab", "a97ae2fc4cc35ee390ef9d3b21dd7c14056fe75c06e7c0f42bda12aaa4072f06", [22, 6, 6]),
    ("Windows6.1-KB2999226-x64.msu", "f2619b122c818e2d026e6826541b800d0b764c05aa014d9a13002f259e6e816e", [118, 48, 96]),
    ("Windows8.1-KB2999226-x64.msu", "67b838012ecafdf4086863224eb09f2376b2afd4b62a8224940a468ff89cf0d7", [45, 32, 32]),
];

#[test]
fn files_of_real_updates() {
    for (name, digest, counts) in UPDATES {
        let Some(path) = fixtures::outside::shared(&format!("data/updates/{name}")) else { continue };
        let update = std::fs::read(path).unwrap();
        assert_eq!(hex(&Sha256::digest(&update)), digest, "{name}");
        let package = match name.ends_with(".msu") {
            true => {
                members(update, &|member| member.ends_with(".cab") && member != "WSUSSCAN.cab").pop_first().unwrap().1
            }
            false => update,
        };
        let package = Package::read(members(package, &|_| true));
        assert_eq!(package.check(), counts, "{name}");
    }
}

/// The files of a cabinet.
fn members(cabinet: Vec<u8>, wanted: &dyn Fn(&str) -> bool) -> BTreeMap<String, Vec<u8>> {
    let cabinet: Arc<dyn ReadAt> = Arc::new(cabinet);
    let cabinet = Cabinet::open(cabinet, "update.cab").unwrap();
    let mut members = BTreeMap::new();
    let sink = &mut |index: usize, piece: &[u8]| {
        members.entry(cabinet.files()[index].name.clone()).or_insert_with(Vec::new).extend_from_slice(piece);
        Ok(())
    };
    cabinet.extract(&|file| wanted(&file.name), sink).unwrap();
    members
}

/// A package whose index says how its files are made.
struct Package {
    members: BTreeMap<String, Vec<u8>>,
    /// By number.
    files: BTreeMap<String, File>,
}

#[derive(Default)]
struct File {
    name: String,
    length: usize,
    hash: String,
    /// Type and member.
    source: Option<(String, String)>,
    basis: Option<String>,
}

impl Package {
    fn read(members: BTreeMap<String, Vec<u8>>) -> Self {
        let index = String::from_utf8(members["_manifest_.cix.xml"].clone()).unwrap();
        let mut files = BTreeMap::new();
        for text in index.split("<File ").skip(1) {
            let value = |tag: &str, name: &str| {
                let (_, tag) = if tag.is_empty() { ("", text) } else { text.split_once(tag)? };
                let (_, value) = tag.split_once('>')?.0.split_once(&format!("{name}=\""))?;
                Some(value.split_once('"')?.0.to_owned())
            };
            let source = value("<Source ", "type").map(|kind| (kind, value("<Source ", "name").unwrap()));
            let file = File {
                name: value("", "name").unwrap(),
                length: value("", "length").unwrap().parse().unwrap(),
                hash: value("<Hash ", "value").unwrap(),
                source,
                basis: value("<Basis ", "file"),
            };
            files.insert(text.split('"').nth(1).unwrap().to_owned(), file);
        }
        Self { members, files }
    }

    /// Makes all files; gives how many files, deltas and digests of components there are.
    fn check(&self) -> [usize; 3] {
        let mut made = BTreeMap::new();
        for id in self.files.keys() {
            self.make(id, &mut made);
        }
        let by_name: BTreeMap<&str, &Vec<u8>> =
            self.files.iter().map(|(id, file)| (file.name.as_str(), &made[id])).collect();
        let mut digests = 0;
        for (manifest, text) in by_name.iter().filter(|(name, _)| name.ends_with(".manifest")) {
            let component = manifest.strip_suffix(".manifest").unwrap();
            for file in std::str::from_utf8(text).unwrap().split("<file ").skip(1) {
                let between = |from: &str, to: &str| file.split_once(from).unwrap().1.split_once(to).unwrap().0;
                let name = format!("{component}\\{}", between(" sourceName=\"", "\"").to_lowercase());
                let digest = between("DigestValue", "</").split_once('>').unwrap().1;
                assert_eq!(BASE64_STANDARD.encode(Sha256::digest(by_name[name.as_str()])), digest, "{name}");
                digests += 1;
            }
        }
        let deltas = self.files.values().filter(|file| matches!(&file.source, Some((kind, _)) if kind == "PA30"));
        [self.files.len(), deltas.count(), digests]
    }

    fn make(&self, id: &str, made: &mut BTreeMap<String, Vec<u8>>) {
        if made.contains_key(id) {
            return;
        }
        let file = &self.files[id];
        let basis = file.basis.as_ref().map_or(Vec::new(), |basis| {
            self.make(basis, made);
            made[basis].clone()
        });
        let result = match &file.source {
            None => basis,
            Some((kind, member)) if kind == "RAW" => self.members[member].clone(),
            Some((kind, member)) => {
                assert_eq!(kind, "PA30");
                let patch = &self.members[member];
                assert_eq!(delta::header(patch).unwrap().target_size, ByteSize::new(file.length as u64));
                delta::apply(&basis, patch, ByteSize::mib(64)).unwrap_or_else(|error| panic!("{}: {error}", file.name))
            }
        };
        assert_eq!(result.len(), file.length, "{}", file.name);
        let hash = match file.hash.len() {
            40 => hex(&sha1::Sha1::digest(&result)),
            _ => hex(&Sha256::digest(&result)),
        };
        assert_eq!(hash, file.hash, "{}", file.name);
        made.insert(id.to_owned(), result);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

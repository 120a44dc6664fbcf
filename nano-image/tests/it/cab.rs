//! Cabinets are read as the tools of other people read them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::judge::{run, scratch};
use fixtures::cab::Method;
use fixtures::{CabBuilder, Data};
use nano_image::content::ReadAt;
use nano_image::source::cab::Cabinet;
use nano_image::{ErrorKind, Result};
use proptest::prelude::*;

/// Files in the order of the cabinet.
type Files = Vec<(String, Vec<u8>)>;

/// The `wanted` files of a cabinet.
fn some_contents(cabinet: &Cabinet, wanted: &dyn Fn(&str) -> bool) -> Result<Files> {
    let mut files: Files = Vec::new();
    let mut last = None;
    cabinet.extract(&|file| wanted(&file.name), &mut |index, bytes| {
        if last != Some(index) {
            assert!(last < Some(index), "out of order");
            files.push((cabinet.files()[index].name.clone(), Vec::new()));
            last = Some(index);
        }
        files.last_mut().expect("just pushed").1.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(files)
}

fn contents(cabinet: &Cabinet) -> Result<Files> {
    let files = some_contents(cabinet, &|_| true)?;
    let announced: Vec<(&str, usize)> =
        cabinet.files().iter().map(|file| (&file.name[..], file.size as usize)).collect();
    assert_eq!(files.iter().map(|(name, bytes)| (&name[..], bytes.len())).collect::<Vec<_>>(), announced);
    Ok(files)
}

fn open_bytes(bytes: Vec<u8>) -> Result<Cabinet> {
    Cabinet::open(Arc::new(bytes), "test.cab")
}

/// Files that say much: calls, empty ones, more than a window, ends on and off the border of a block.
fn sample() -> Files {
    let mut code = Data::noise(7, 70_000).to_vec();
    for (at, target) in
        (0..65_000).step_by(50).zip([0i32, 10, 500, 11_999_999, -1, 12_000_000, i32::MIN].iter().cycle())
    {
        code[at] = 0xE8;
        code[at + 1..at + 5].copy_from_slice(&target.wrapping_sub(at as i32).to_le_bytes());
    }
    let repeated = [Data::text(1, 3000).to_vec(), vec![0; 5000], Data::text(1, 3000).to_vec()].concat();
    let file = |name: &str, bytes| (name.to_owned(), bytes);
    vec![
        file(r"amd64_one\code.dll", code),
        file("empty.txt", Vec::new()),
        file("update.mum", Data::text(2, 61_072).to_vec()), // ends on the border of a block
        file("next.txt", repeated),
        file(r"grün\ファイル.txt", Data::text(3, 41).to_vec()),
        file("zeros.bin", vec![0; 100_000]),
        file("last.txt", Data::text(4, 99_999).to_vec()),
    ]
}

fn folder_of(builder: CabBuilder, method: Method, files: &Files) -> CabBuilder {
    builder.folder(method, files.iter().map(|(name, bytes)| (&name[..], bytes.clone())))
}

/// What cabextract says is in the cabinet at `path`, one file after another.
fn cabextract(path: &Path) -> Vec<u8> {
    let output = Command::new("cabextract").arg("-q").arg("-p").arg(path).output();
    let output = output.unwrap_or_else(|error| panic!("cabextract: {error}; scripts/install-deps installs it"));
    assert!(output.status.success(), "cabextract {}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn joined(files: &Files) -> Vec<u8> {
    files.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
}

const METHODS: [Method; 9] = [
    Method::Stored,
    Method::Mszip,
    Method::Lzx(15),
    Method::Lzx(18),
    Method::Lzx(20),
    Method::Lzx(21),
    Method::LzxCalls(15),
    Method::LzxCalls(21),
    Method::LzxRaw(16),
];

#[test]
fn every_method_is_read_as_by_cabextract() {
    for (number, method) in METHODS.into_iter().enumerate() {
        let files = sample();
        let bytes = folder_of(CabBuilder::new(), method, &files).to_bytes();
        let path = scratch(&format!("method{number}.cab"));
        std::fs::write(&path, &bytes).unwrap();
        assert!(cabextract(&path) == joined(&files), "{method:?}: cabextract reads something else");
        assert!(contents(&open_bytes(bytes).unwrap()).unwrap() == files, "{method:?}");
        assert!(run("7zz", &["t", path.to_str().unwrap()]).contains("Everything is Ok"));
    }
}

#[test]
fn gcab_and_we_agree() {
    let folder = scratch("gcab");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("amd64_one")).unwrap();
    let files: Files = sample().into_iter().filter(|(name, _)| name.is_ascii()).collect();
    for (name, bytes) in &files {
        std::fs::write(folder.join(name.replace('\\', "/")), bytes).unwrap();
    }
    for option in ["-c", "-cz"] {
        let mut gcab = Command::new("gcab");
        gcab.arg(option).arg("made.cab").args(files.iter().map(|(name, _)| name.replace('\\', "/")));
        let status = gcab.current_dir(&folder).status();
        assert!(status.expect("gcab; scripts/install-deps installs it").success());
        let path = folder.join("made.cab");
        let read = contents(&Cabinet::open(Arc::new(File::open(&path).unwrap()), &path).unwrap()).unwrap();
        assert_eq!(
            read.into_iter().collect::<BTreeMap<_, _>>(),
            files.iter().cloned().collect::<BTreeMap<_, _>>(),
            "{option}"
        );
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_set_is_read_in_any_order_and_needs_all_its_cabinets() {
    for method in [Method::Stored, Method::Mszip, Method::Lzx(16)] {
        // Only the last file goes on in other cabinets: that is how makecab does it, and all that cabextract reads.
        let mut files: Files = sample().split_off(2);
        files.truncate(3);
        files.push(("large.bin".into(), [&sample()[0].1[..], &sample()[6].1].concat()));
        let set = folder_of(CabBuilder::new().reserve(3, 5, 7), method, &files).to_set("part", 3);
        assert!(set.len() > 3);
        let folder = scratch("set");
        std::fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in &set {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        assert!(cabextract(&folder.join(&set[0].0)) == joined(&files), "{method:?}: cabextract reads something else");

        let parts = |wanted: &dyn Fn(usize) -> bool| -> Vec<(Arc<dyn ReadAt>, PathBuf)> {
            let parts = set.iter().enumerate().rev().filter(|(index, _)| wanted(*index));
            parts.map(|(_, (name, bytes))| (Arc::new(bytes.clone()) as Arc<dyn ReadAt>, name.into())).collect()
        };
        assert!(contents(&Cabinet::open_set(parts(&|_| true)).unwrap()).unwrap() == files, "{method:?}");
        for (missing, wanted) in [(0, "previous"), (1, "`part2.cab`"), (set.len() - 1, "next")] {
            let error = Cabinet::open_set(parts(&|index| index != missing)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(error.message().contains(wanted), "{error}");
        }
        let twice = parts(&|_| true).into_iter().chain(parts(&|index| index == 1));
        assert_eq!(Cabinet::open_set(twice).unwrap_err().kind(), ErrorKind::Recipe);
    }
}

#[test]
fn several_folders_reserved_fields_trailers_and_other_places() {
    let files = sample();
    let mut builder = CabBuilder::new().reserve(20, 9, 4).no_checksums();
    for (index, method) in METHODS.into_iter().enumerate() {
        let files: Files = files.iter().map(|(name, bytes)| (format!("{index}\\{name}"), bytes.clone())).collect();
        builder = folder_of(builder, method, &files);
    }
    let cabinet = builder.to_bytes();
    let one = open_bytes(cabinet.clone()).unwrap();
    let all = contents(&one).unwrap();
    assert_eq!(all.len(), METHODS.len() * files.len());
    // Only what is wanted, from folders in the middle.
    let some = some_contents(&one, &|name| name.ends_with("mum")).unwrap();
    assert!(some.len() == METHODS.len() && some.iter().all(|(_, bytes)| *bytes == files[2].1));

    // Inside of a program, with a signature behind it, and another one behind that.
    let program =
        [vec![b'M'; 300_000], b"MSCF".to_vec(), cabinet.clone(), vec![9; 70_000], cabinet.clone(), vec![7; 9]];
    let program: Arc<dyn ReadAt> = Arc::new(program.concat());
    assert!(contents(&Cabinet::open(program, "setup.exe").unwrap()).unwrap() == all);
}

#[test]
fn damage_is_named() {
    let files = sample();
    let good = folder_of(CabBuilder::new(), Method::Mszip, &files).to_bytes();
    let fails = |bytes: Vec<u8>, kind, message: &str| {
        let error = open_bytes(bytes).and_then(|cabinet| contents(&cabinet)).unwrap_err();
        assert!(error.kind() == kind && error.message().contains(message), "{error}");
        assert!(error.path().is_some() && (error.offset().is_some() || kind == ErrorKind::Unsupported), "{error}");
    };
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    fails(vec![], ErrorKind::Corrupt, "not a cabinet");
    fails(b"MSWIM\0\0\0".repeat(20), ErrorKind::Corrupt, "not a cabinet");
    fails(good[..30].to_vec(), ErrorKind::Corrupt, "truncated");
    fails(good[..good.len() - 1].to_vec(), ErrorKind::Corrupt, "bytes, ");
    fails(with(good.len() - 1, !good[good.len() - 1]), ErrorKind::Corrupt, "checksum");
    fails(with(0x19, 2), ErrorKind::Unsupported, "version 2.3");
    fails(with(36 + 6, 2), ErrorKind::Unsupported, "Quantum");
    fails(with(36 + 6, 9), ErrorKind::Unsupported, "method 9");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_cabinets_give_errors_or_files_and_nothing_else(
        method in 0..METHODS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        in_data in any::<bool>(),
    ) {
        let files: Files = vec![("a.txt".into(), Data::text(1, 900).to_vec()), ("b".into(), vec![7; 40_000])];
        let mut bytes = folder_of(CabBuilder::new().no_checksums(), METHODS[method], &files).to_bytes();
        // The tables have 79 bytes; most of the rest are codes.
        let start = if in_data { 79 } else { 0 };
        for (index, byte) in changes {
            let len = bytes.len().min(start + 400);
            bytes[start + index.index(len - start)] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(cabinet) = open_bytes(bytes) {
            let _ = contents(&cabinet);
        }
    }
}

/// A collection of real and hostile cabinets, where it lies beside the clone: each cabinet in each file is read as by
/// cabextract, or refused.
#[test]
fn foreign_cabinets() {
    let Some(folder) = fixtures::outside::shared("data/cab") else { return };
    let mut counts = [0; 2];
    for entry in std::fs::read_dir(folder).unwrap().flat_map(|entry| std::fs::read_dir(entry.unwrap().path()).unwrap())
    {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "cab") {
            continue;
        }
        match read_foreign(&path) {
            Ok(bytes) => assert!(bytes == cabextract(&by_its_name(&path)), "{}: differs", path.display()),
            Err(error) => {
                let kinds = [ErrorKind::Corrupt, ErrorKind::Unsupported, ErrorKind::NotFound];
                assert!(kinds.contains(&error.kind()), "{error}");
                println!("{error}");
                counts[1] += 1;
            }
        }
        counts[0] += 1;
    }
    println!("{} of {} are refused", counts[1], counts[0]);
    assert!(counts[0] >= 79 && counts[1] <= 53, "of 79 at most 53 were refused once");
}

/// The path of a cabinet whose neighbours can be found by the names that they give each other.
fn by_its_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap().to_str().unwrap();
    let Some(stem) = name.strip_suffix("1.cab").filter(|stem| stem.starts_with("multi")) else {
        return path.to_owned();
    };
    let folder = scratch("foreign-set");
    std::fs::create_dir_all(&folder).unwrap();
    let place = |number: u32| folder.join(format!("cabd_{stem}{number}.cab"));
    for number in 1..=5 {
        std::fs::copy(path.with_file_name(format!("{stem}{number}.cab")), place(number)).unwrap();
    }
    place(1)
}

/// The bytes of all cabinets in a file, each with its set if its file is `…1.cab`.
fn read_foreign(path: &Path) -> Result<Vec<u8>> {
    let data: Arc<dyn ReadAt> = Arc::new(File::open(path).unwrap());
    let name = path.to_str().unwrap();
    if let Some(stem) = name.strip_suffix("1.cab").filter(|stem| Path::new(&format!("{stem}5.cab")).exists()) {
        let parts = (1..=5).map(|number| PathBuf::from(format!("{stem}{number}.cab")));
        let parts = parts.map(|path| (Arc::new(File::open(&path).unwrap()) as Arc<dyn ReadAt>, path));
        return Ok(joined(&contents(&Cabinet::open_set(parts)?)?));
    }
    let bytes = std::fs::read(path).unwrap();
    let places = places(&bytes);
    if places.is_empty() {
        return Err(Cabinet::open(data, path).map(drop).unwrap_err());
    }
    let all =
        places.into_iter().map(|place| contents(&open_bytes(bytes[place..].to_vec())?).map(|files| joined(&files)));
    Ok(all.collect::<Result<Vec<_>>>()?.concat())
}

/// Where the cabinets in a file begin, none inside of another.
fn places(bytes: &[u8]) -> Vec<usize> {
    let (mut places, mut at) = (Vec::new(), 0);
    while let Some(next) = bytes[at..].windows(36).position(|window| window.starts_with(b"MSCF")) {
        at += next;
        let number = |place: usize| u32::from_le_bytes(bytes[at + place..at + place + 4].try_into().unwrap());
        let (len, files) = (number(8) as usize, number(16) as usize);
        let sound = [number(4), number(12), number(20)] == [0; 3] && bytes[at + 25] == 1 && number(26) & 0xFFFF != 0;
        if sound && number(28) & 0xFFFF != 0 && (36..len).contains(&files) && len <= bytes.len() - at {
            places.push(at);
            at += len;
        } else {
            at += 4;
        }
    }
    places
}

//! Images read back: files against what the fixtures put into them and what ntfs-3g reads, sizes and places against
//! qemu-img and ntfscluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::judge;
use fixtures::{Rng, manifest, scenes};
use nano_image::inspect::{self, Category, ExtractOptions, FileId, Files, Image};
use nano_image::{ByteSize, Compact, ErrorKind, Format, Recipe, Sources};
use sha1::{Digest, Sha1};

fn folder() -> PathBuf {
    let folder = judge::scratch("readback");
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Builds image 1 of a scene.
fn build(scene: &fixtures::WimBuilder, name: &str, compact: Option<Compact>, format: Format) -> PathBuf {
    let (wim, path) = (folder().join(format!("{name}.wim")), folder().join(name));
    scene.write_file(&wim).unwrap();
    let mut recipe = Recipe::image("1").disk_size(ByteSize::mib(256));
    if let Some(compact) = compact {
        recipe = recipe.compact(compact);
    }
    let plan = recipe.build().unwrap().plan(&Sources::wim(&wim).scratch(folder()), &()).unwrap();
    plan.layout(&()).unwrap().write_file(&path, format, &()).unwrap();
    fs::remove_file(wim).unwrap();
    path
}

/// The partition of Windows in a file of its own.
fn volume(image: &Path) -> PathBuf {
    let path = image.with_extension("ntfs");
    let table = Image::open(image).unwrap().partition_table().clone();
    let windows = table.partitions.last().unwrap();
    let mut raw = File::open(image).unwrap();
    raw.seek(SeekFrom::Start(windows.start)).unwrap();
    std::io::copy(&mut raw.take(windows.size), &mut File::create(&path).unwrap()).unwrap();
    path
}

fn contents(files: &Files<'_>, file: FileId, stream: &str) -> Option<Vec<u8>> {
    let stream = files.open_stream(file, stream).unwrap()?;
    let mut bytes = Vec::new();
    inspect::copy(&*stream, &mut |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })
    .unwrap();
    Some(bytes)
}

fn sha1(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Length and SHA-1 of all streams by `/path` or `/path:stream`.
fn streams(files: &Files<'_>) -> BTreeMap<String, (u64, String)> {
    let mut found = BTreeMap::new();
    files
        .walk(files.root().unwrap(), "", &mut |path, _, file| {
            let path = format!("/{}", path.replace('\\', "/"));
            let mut names = vec![String::new()];
            names.extend(files.named_streams(file)?.iter().map(|(name, _)| name.to_string()));
            for name in names {
                if let Some(bytes) = contents(files, file, &name) {
                    let path = if name.is_empty() { path.clone() } else { format!("{path}:{name}") };
                    found.insert(path, (bytes.len() as u64, sha1(&bytes)));
                }
            }
            Ok(true)
        })
        .unwrap();
    found
}

/// The hives that a machine's settings may touch.
const HIVES: [&str; 4] = [
    "/Windows/System32/config/SYSTEM",
    "/Windows/System32/config/SOFTWARE",
    "/Windows/System32/config/DEFAULT",
    "/Users/Default/NTUSER.DAT",
];

#[test]
fn all_streams_are_those_of_the_fixture_plain_and_compact() {
    let scene = scenes::nano_small(&scenes::pe_stand_in());
    let expected = manifest::lines(&scene.images()[0].tree);
    for (name, compact) in [
        ("plain.raw", None),
        ("lzx.raw", Some(Compact::Lzx)),
        ("xpress4k.raw", Some(Compact::Xpress4k)),
        ("xpress8k.raw", Some(Compact::Xpress8k)),
        ("xpress16k.raw", Some(Compact::Xpress16k)),
    ] {
        let path = build(&scene, name, compact, Format::RAW);
        let image = Image::open(&path).unwrap();
        let files = image.main_files().unwrap();
        let found = streams(&files);
        for line in &expected {
            let stream = found.get(&line.path).unwrap_or_else(|| panic!("{name}: {} is missing", line.path));
            if let Some(rest) = HIVES.iter().find_map(|hive| line.path.strip_prefix(hive)) {
                // They have room for a machine's settings, and their logs are empty.
                assert!(if rest.is_empty() { stream.0 > line.size } else { stream.0 == 0 }, "{name}: {}", line.path);
                continue;
            }
            assert_eq!(stream, &(line.size, line.sha1.clone()), "{name}: {}", line.path);
        }
        // Each file once, however many names it has.
        let rows = inspect_rows(&image);
        let packed = rows.values().filter(|row| row.compression.is_some()).map(|row| 1.0 / f64::from(row.links));
        let packed = packed.sum::<f64>().round() as u64;
        assert_eq!(packed > 20, compact.is_some(), "{packed} files of {name} are compressed");
        // Without a given seed, identifiers depend on the recipe.
        let ignore = BTreeSet::from([Category::Identifiers]);
        let compared = inspect::diff(&folder().join("plain.raw"), &path, &ignore, &(), &mut |difference| {
            assert_eq!(difference.category, Category::Storage, "{difference:?}");
            Ok(())
        });
        let compared = compared.unwrap();
        assert_eq!((compared.differences, compared.notes), (packed, vec![]), "{name}");
        if compact.is_some() {
            fs::remove_file(path).unwrap();
        }
    }
}

fn inspect_rows(image: &Image) -> BTreeMap<String, inspect::FileRow> {
    let mut rows = BTreeMap::new();
    let notes = inspect::list_files(image, None, &mut |row| {
        rows.insert(format!("{}:{}", row.partition, row.path), row.clone());
        Ok(())
    });
    assert_eq!(notes.unwrap(), Vec::<String>::new());
    rows
}

#[test]
fn ntfscat_reads_the_same() {
    let path = build(&scenes::rich(3 << 20), "rich.raw", None, Format::RAW);
    let volume = volume(&path);
    let image = Image::open(&path).unwrap();
    let files = image.main_files().unwrap();
    let mut checked = 0;
    files
        .walk(files.root().unwrap(), "", &mut |path, _, file| {
            let upper = path.to_uppercase();
            // ntfscat cannot say names that are not text, or that differ only in case.
            if file.is_directory() || !path.is_ascii() || upper.contains("TWIN") || upper.contains("DESCRIPTORS") {
                return Ok(true);
            }
            let Some(bytes) = contents(&files, file, "") else { return Ok(true) };
            let unix = format!("/{}", path.replace('\\', "/"));
            let output = std::process::Command::new("ntfscat").args([text(&volume), &unix]).output();
            let output = output.unwrap_or_else(|error| panic!("ntfscat: {error}; scripts/install-deps installs it"));
            assert!(output.status.success(), "{unix}: {}", String::from_utf8_lossy(&output.stderr));
            assert!(output.stdout == bytes, "{unix}");
            checked += 1;
            Ok(true)
        })
        .unwrap();
    assert!(checked > 50, "only {checked} files");

    // The same by path, and extracted.
    let (file, stream) = files.resolve(r"C:\windows/boot\EFI/BOOTMGFW.efi").unwrap();
    assert_eq!(stream, "");
    let out = folder().join("rich.out");
    let _ = fs::remove_dir_all(&out);
    let mut options = ExtractOptions::default();
    options.streams = true;
    let done = inspect::extract(&files, &[], &out, options, &()).unwrap();
    assert!(fs::read(out.join("Windows/Boot/EFI/bootmgfw.efi")).unwrap() == contents(&files, file, "").unwrap());
    assert!(done.skipped.len() > 3, "{:?}", done.skipped);
    // Names of 255 characters that need more bytes than the host allows are told, as are names that Windows would read
    // as others; everything else is there.
    let is_of_name =
        |failure: &String| ["write", "ends in a dot", "only in case"].iter().any(|why| failure.contains(why));
    assert!(done.failures.iter().all(is_of_name), "{:?}", done.failures);
    let mut compared = 0;
    for (path, (len, sha)) in streams(&files) {
        if let Ok(bytes) = fs::read(out.join(&path[1..])) {
            assert_eq!((bytes.len() as u64, sha1(&bytes)), (len, sha), "{path}");
            compared += 1;
        }
    }
    assert_eq!(compared, done.files, "{:?}", done.failures);
    // Nothing that is there is replaced, and no half file stays.
    let again = inspect::extract(&files, &["Windows".to_owned()], &out, options, &()).unwrap();
    assert!(again.files == 0 && again.failures.iter().all(|failure| failure.contains("not replaced")));
    let partial = judge::run("find", &[text(&out), "-name", "*.partial"]);
    assert_eq!(partial, "");
    fs::remove_dir_all(out).unwrap();
    for path in [path, volume] {
        fs::remove_file(path).unwrap();
    }
}

/// A volume of mkntfs with files of ntfscp.
fn foreign_volume(name: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let (path, input) = (folder().join(name), folder().join(format!("{name}.input")));
    File::create(&path).unwrap().set_len(8 << 20).unwrap();
    judge::run("mkntfs", &["-F", "-Q", "-q", "-L", "Foreign", text(&path)]);
    for (name, bytes) in files {
        fs::write(&input, bytes).unwrap();
        match name.split_once(':') {
            Some((file, stream)) => judge::run("ntfscp", &["-f", "-N", stream, text(&path), text(&input), file]),
            None => judge::run("ntfscp", &["-f", text(&path), text(&input), name]),
        };
    }
    fs::remove_file(input).unwrap();
    path
}

#[test]
fn volumes_of_others_are_read_and_compared() {
    let large = vec![7; 300_000];
    let changed = [&large[..200_000], &[8], &large[200_001..]].concat();
    let a = foreign_volume("a.img", &[("same", b"same"), ("same:note", b"one"), ("large", &large), ("gone", b"x")]);
    let b = foreign_volume("b.img", &[("same", b"same"), ("same:note", b"two"), ("large", &changed), ("new", b"")]);
    let image = Image::open(&a).unwrap();
    let files = image.main_files().unwrap();
    let (file, stream) = files.resolve("/SAME:note:$DATA").unwrap();
    assert_eq!((stream.as_str(), contents(&files, file, "note").unwrap()), ("note", b"one".to_vec()));
    assert!(contents(&files, files.find("large").unwrap().unwrap(), "").unwrap() == large);
    assert_eq!(files.resolve("none").unwrap_err().kind(), ErrorKind::NotFound);

    let ignore = BTreeSet::from([Category::Times, Category::Identifiers]);
    let mut found = Vec::new();
    let compared = inspect::diff(&a, &b, &ignore, &(), &mut |difference| {
        let short = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let path = difference.path.clone().unwrap_or_default();
        found.push(format!("{path} {} {} {}", difference.what, short(&difference.old), short(&difference.new)));
        Ok(())
    });
    assert_eq!(compared.unwrap().notes, Vec::<String>::new());
    let expected = [
        r"\gone file file, 1 bytes -",
        r"\large content 300000 bytes 300000 bytes, differs at byte 200000",
        r"\new file - file, 0 bytes",
        r"\same stream note 3 bytes, line 1: one 3 bytes, line 1: two",
    ];
    found.sort();
    assert_eq!(found, expected);
    // What ntfscat says of the second one.
    assert_eq!(judge::run("ntfscat", &["-n", "note", text(&b), "same"]), "two");
    for path in [a, b] {
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn sizes_sum_to_the_file_in_every_container() {
    let path = build(&scenes::nano_small(&scenes::pe_stand_in()), "size.raw", None, Format::RAW);
    let used = {
        let inspection = inspect::open(&path).unwrap();
        let Some(inspect::Volume::Ntfs(volume)) = &inspection.partition_table.partitions.last().unwrap().volume else {
            panic!("no NTFS")
        };
        volume.used_clusters * volume.cluster_size
    };
    let converted = |name: &str, format: &str, options: &str| {
        let to = folder().join(name);
        judge::run("qemu-img", &["convert", "-f", "raw", "-O", format, "-o", options, text(&path), text(&to)]);
        to
    };
    let paths = [
        path.clone(),
        converted("size.vhd", "vpc", "subformat=dynamic,force_size=on"),
        converted("size-fixed.vhd", "vpc", "subformat=fixed,force_size=on"),
        converted("size.vhdx", "vhdx", "subformat=dynamic"),
    ];
    let mut contents = BTreeSet::new();
    for path in &paths {
        let report = inspect::size(path).unwrap();
        assert_eq!(report.notes, Vec::<String>::new());
        assert_eq!(report.file_size, fs::metadata(path).unwrap().len());
        assert_eq!(report.totals.iter().map(|row| row.bytes).sum::<u64>(), report.file_size, "{}", path.display());
        // `$Bitmap` knows nothing of owners, and says the same.
        let windows = |row: &&inspect::SizeRow| row.name.contains("(3: ") && !row.name.starts_with("free space");
        let owned: u64 = report.totals.iter().filter(windows).map(|row| row.bytes).sum();
        let backup = report.totals.iter().find(|row| row.name.starts_with("backup boot sector")).unwrap().bytes;
        assert_eq!(owned - backup, used, "{}", path.display());
        let of_kind = |kind: &str| report.totals.iter().find(|row| row.name.starts_with(kind)).unwrap().bytes;
        contents.insert((of_kind("contents of files (3"), of_kind("$MFT"), of_kind("directories (3")));
        let files: u64 = report.files.iter().map(|row| row.bytes).sum();
        let folders: u64 = report.folders.iter().map(|row| row.bytes).sum();
        assert_eq!(files, folders);
        let svg = report.to_svg();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("System32"));
        if path != &paths[0] {
            fs::remove_file(path).unwrap();
        }
    }
    assert_eq!(contents.len(), 1, "the container does not matter: {contents:?}");
    fs::remove_file(path).unwrap();
}

#[test]
fn every_byte_is_where_the_map_says() {
    let scene = scenes::nano_small(&scenes::pe_stand_in());
    let format = Format::VHDX.with(None, Some(ByteSize::mib(2))).unwrap();
    let (path, raw) = (build(&scene, "map.vhdx", None, format), build(&scene, "map.raw", None, Format::RAW));
    let volume = volume(&raw);
    let image = Image::open(&path).unwrap();
    let files = image.main_files().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let mut random = Rng::new(1);
    let (mut named, mut clusters) = (0, BTreeMap::new());
    for _ in 0..120 {
        let offset = random.below(bytes.len() as u64);
        let found = inspect::locate(&path, offset).unwrap();
        assert_eq!(found.structure.is_some(), found.disk_offset.is_none(), "{found:?}");
        let (Some(file), Some(byte), Some(3)) = (&found.path, found.byte, found.partition) else { continue };
        if found.slack || found.owner.starts_with("the directory") || found.owner.starts_with("MFT") {
            continue;
        }
        let (id, _) = files.resolve(file).unwrap();
        let whole = contents(&files, id, found.stream.as_deref().unwrap_or("")).unwrap();
        assert_eq!(whole[byte as usize], bytes[offset as usize], "{found:?}");
        clusters.insert(found.cluster.unwrap(), id.number().unwrap());
        named += 1;
    }
    assert!(named > 20, "only {named} bytes of files");
    for (cluster, record) in clusters.iter().take(12) {
        let said = judge::run("ntfscluster", &["-f", "-c", &cluster.to_string(), text(&volume)]);
        assert!(said.contains(&format!("Inode {record} ")), "cluster {cluster}: {said}");
    }
    // A record of the MFT, by its signature.
    let mft = inspect::size(&path).unwrap().totals.iter().any(|row| row.name.starts_with("$MFT"));
    assert!(mft);
    let at = bytes.windows(5).rposition(|window| window == b"FILE0").unwrap();
    let found = inspect::locate(&path, at as u64).unwrap();
    assert!(found.record.is_some() && found.owner.contains("MFT"), "{found:?}");
    assert_eq!(inspect::locate(&path, bytes.len() as u64).unwrap_err().kind(), ErrorKind::NotFound);
    bytes.clear();
    for path in [path, raw, volume] {
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn damaged_volumes_are_told_and_never_panic() {
    let large: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    let names: Vec<String> = (0..40).map(|number| format!("file number {number}")).collect();
    let mut inputs: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &large[..500])).collect();
    inputs.extend([("large", &large[..]), ("large:stream", &large[..9000])]);
    let good = foreign_volume("good.img", &inputs);
    let bytes = fs::read(&good).unwrap();
    let mft = bytes.windows(5).position(|window| window == b"FILE0").unwrap();
    let bad = folder().join("bad.img");
    let out = folder().join("bad.out");
    let mut random = Rng::new(7);
    let mut told = 0;
    for round in 0..60 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + random.below(12) {
            // In the boot sector, the MFT, or anywhere.
            let at = match round % 3 {
                0 => random.below(0x60) as usize,
                1 => mft + random.below(110 << 10) as usize,
                _ => random.below(bytes.len() as u64) as usize,
            };
            damaged[at] = random.next_u64() as u8;
        }
        fs::write(&bad, &damaged).unwrap();
        let nothing = BTreeSet::new();
        let compared = inspect::diff(&good, &bad, &nothing, &(), &mut |_| Ok(()));
        told += usize::from(compared.map_or(true, |compared| compared.differences > 0 || !compared.notes.is_empty()));
        let size = inspect::size(&bad).unwrap();
        assert_eq!(size.totals.iter().map(|row| row.bytes).sum::<u64>(), bytes.len() as u64, "round {round}");
        let _ = inspect::locate(&bad, random.below(bytes.len() as u64)).unwrap();
        let image = Image::open(&bad).unwrap();
        let _ = inspect::list_files(&image, None, &mut |_| Ok(()));
        if let Ok(files) = image.main_files() {
            let _ = fs::remove_dir_all(&out);
            let _ = inspect::extract(&files, &[], &out, ExtractOptions::default(), &());
        }
    }
    assert!(told > 15, "only {told} damaged volumes were told");
    let _ = fs::remove_dir_all(out);
    for path in [good, bad] {
        fs::remove_file(path).unwrap();
    }
}

//! The NTFS reader, on volumes made by ntfs-3g's tools and on ours; 7-Zip and ntfscat say what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::judge;
use fixtures::{Tree, manifest, scenes};
use nano_image::content::{Extent, ReadAt, Window};
use nano_image::progress::{Observer, Phase};
use nano_image::types::ByteSize;
use nano_image::volume::ntfs::NtfsReader;
use nano_image::{ErrorKind, Format, Recipe, Sources, disk};
use sha1::{Digest, Sha1};

struct Quiet;

impl Observer for Quiet {
    fn begin(&self, _phase: Phase, _total: Option<ByteSize>) {}
}

/// SHA-1 and length of every stream by `/path` or `/path:stream`.
type Streams = BTreeMap<String, (String, u64)>;

fn hex(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_all(stream: &dyn ReadAt) -> Vec<u8> {
    let mut bytes = vec![0; stream.len().unwrap() as usize];
    stream.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Every stream of every file; each name is also looked up. Files with a compressed stream go to `unsupported`.
fn walk(reader: &NtfsReader<'_>, unsupported: &mut Vec<String>) -> Streams {
    let mut streams = Streams::new();
    let root = reader.find("").unwrap().unwrap();
    let mut open = vec![(String::new(), root)];
    while let Some((path, directory)) = open.pop() {
        let entries = reader.list(directory).unwrap();
        let folded: Vec<String> = entries.iter().map(|entry| entry.name.to_string().to_uppercase()).collect();
        let mut counts = BTreeMap::new();
        folded.iter().for_each(|name| *counts.entry(name).or_insert(0) += 1);
        for (entry, folded) in entries.iter().zip(&folded) {
            let below = format!("{path}/{}", entry.name);
            if path.is_empty() && entry.name.to_string().starts_with('$') {
                continue;
            }
            // Of names that differ only in case any one is found, and of their directories any one is entered.
            let found = reader.find(&below).unwrap_or_else(|error| panic!("{below}: {error}"));
            if counts[folded] == 1 && !below.to_uppercase().starts_with("/NAMES/TWIN/") {
                assert_eq!(found, Some(entry.reference), "{below}");
            }
            let file = reader.file(entry.reference).unwrap();
            assert_eq!(file.is_directory(), entry.is_directory, "{below}");
            for (name, len) in file.streams() {
                let path = if name.units().is_empty() { below.clone() } else { format!("{below}:{name}") };
                match reader.stream(&file, &name.to_string()) {
                    Ok(stream) => {
                        let bytes = read_all(&stream.unwrap());
                        assert_eq!(bytes.len() as u64, len);
                        streams.insert(path, (hex(&bytes), len));
                    }
                    Err(error) if error.kind() == ErrorKind::Unsupported => unsupported.push(path),
                    Err(error) => panic!("{path}: {error}"),
                }
            }
            if entry.is_directory {
                open.push((below, entry.reference));
            }
        }
    }
    streams
}

fn expected(tree: &Tree) -> Streams {
    manifest::lines(tree).into_iter().map(|line| (line.path, (line.sha1, line.size))).collect()
}

/// Compares what was read with what the source has; empty contents beside a reparse point are the writer's affair.
fn compare(mut read: Streams, expected: Streams) {
    read.retain(|path, (_, len)| *len > 0 || expected.contains_key(path));
    for (path, stream) in &expected {
        assert_eq!(read.get(path), Some(stream), "{path}");
    }
    let more: Vec<_> = read.keys().filter(|path| !expected.contains_key(*path)).collect();
    assert!(more.is_empty(), "{more:?}");
}

/// What 7-Zip extracts from a volume: the contents of every file.
fn extracted(volume: &Path) -> Streams {
    let folder = volume.with_extension("extracted");
    let _ = fs::remove_dir_all(&folder);
    let switch = format!("-o{}", folder.to_str().unwrap());
    // Not what this system cannot hold: a stream as a file with a name too long, a link to outside.
    let without = ["-x!Streams/long*", "-x!Reparse/directory link"];
    judge::run("7zz", &[&["x", "-tntfs", "-y", "-bd", &switch], &without[..], &[volume.to_str().unwrap()]].concat());
    let mut streams = Streams::new();
    let mut open = vec![(folder.clone(), String::new())];
    while let Some((directory, path)) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let below = format!("{path}/{}", entry.file_name().to_str().unwrap());
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && below != "/[SYSTEM]" {
                open.push((entry.path(), below));
            } else if kind.is_file() {
                let bytes = fs::read(entry.path()).unwrap();
                streams.insert(below, (hex(&bytes), bytes.len() as u64));
            }
        }
    }
    fs::remove_dir_all(folder).unwrap();
    streams
}

fn wim(name: &str, builder: &fixtures::WimBuilder) -> PathBuf {
    let path = judge::scratch(name);
    builder.write_file(&path).unwrap();
    path
}

fn make_ntfs(name: &str, size: u64, arguments: &[&str]) -> PathBuf {
    let volume = judge::scratch(name);
    let _ = fs::remove_file(&volume);
    File::create(&volume).unwrap().set_len(size).unwrap();
    judge::run("mkntfs", &[&["-F", "-Q", "-q"], arguments, &[volume.to_str().unwrap()]].concat());
    volume
}

#[test]
fn volumes_that_others_make_are_read() {
    let scene = scenes::rich(3_000_000);
    let wim = wim("read-foreign.wim", &scene);
    // Clusters smaller than, as large as and larger than a record and an index block.
    for (cluster_size, size) in [("512", 96 << 20), ("1024", 96 << 20), ("4096", 128 << 20), ("65536", 400 << 20)] {
        let name = format!("read-foreign-{cluster_size}.ntfs");
        let volume = make_ntfs(&name, size, &["-c", cluster_size, "-L", "Fremd ✓"]);
        judge::run("wimlib-imagex", &["apply", wim.to_str().unwrap(), "1", volume.to_str().unwrap()]);
        let file = File::open(&volume).unwrap();
        let reader = NtfsReader::open(&file).unwrap();
        let mut unsupported = Vec::new();
        let streams = walk(&reader, &mut unsupported);
        assert!(unsupported.is_empty(), "{unsupported:?}");
        compare(streams, expected(&scene.images()[0].tree));

        let facts = reader.volume().unwrap();
        let told = judge::run("ntfsinfo", &["-m", volume.to_str().unwrap()]);
        let value = |name: &str| {
            let line = told.lines().find(|line| line.trim().starts_with(name)).expect(name);
            line.split(':').next_back().unwrap().split_whitespace().next().unwrap().to_owned()
        };
        assert_eq!(facts.clusters.to_string(), value("Volume Size in Clusters"));
        assert_eq!(facts.cluster_size.bytes().to_string(), value("Cluster Size"));
        assert_eq!(format!("{}.{}", facts.version.0, facts.version.1), value("Volume Version"));
        assert_eq!(facts.label, "Fremd ✓");
        let told = judge::run("ntfscluster", &["-i", volume.to_str().unwrap()]);
        let value = |name: &str| {
            let line = told.lines().find(|line| line.starts_with(name)).expect(name);
            line.split(": ").nth(1).unwrap().parse::<u64>().unwrap()
        };
        assert_eq!(facts.clusters - facts.used_clusters, value("clusters of free space"));
        // It counts files; the other records of a file with several are named one by one.
        let more = told.lines().filter(|line| line.contains(" is an extent of inode ")).count() as u64;
        assert!(more > 20, "the scene has files of several records");
        assert_eq!(facts.records_in_use, value("mft records in use") + more);
        fs::remove_file(volume).unwrap();
    }
}

#[test]
fn a_file_that_ntfscp_writes_is_what_ntfscat_reads() {
    let volume = make_ntfs("read-ntfscp.ntfs", 32 << 20, &["-c", "1024"]);
    let path = volume.to_str().unwrap();
    let (file, copy) = (judge::scratch("read-ntfscp.in"), judge::scratch("read-ntfscp.out"));
    for (index, len) in [0, 10, 700, 1024, 1025, 300_000, 5_000_000].into_iter().enumerate() {
        let bytes = fixtures::Data::noise(index as u64, len).to_vec();
        fs::write(&file, &bytes).unwrap();
        let name = format!("Datei {index} – ß.bin");
        judge::run("ntfscp", &["-q", path, file.to_str().unwrap(), &name]);
        judge::run("ntfscp", &["-q", "-N", "side", path, file.to_str().unwrap(), &name]);
        let opened = File::open(&volume).unwrap();
        let reader = NtfsReader::open(&opened).unwrap();
        assert!(reader.read_file(&name.to_uppercase().replace("SS", "ß"), len).unwrap().unwrap() == bytes);
        if len > 0 {
            assert_eq!(reader.read_file(&name, len - 1).unwrap_err().kind(), ErrorKind::Unsupported);
        }
        let found = reader.file(reader.find(&name).unwrap().unwrap()).unwrap();
        let side = reader.stream(&found, "SIDE").unwrap().unwrap();
        fs::write(&copy, read_all(&side)).unwrap();
        let script = r#"ntfscat -n side "$0" "$1" | cmp - "$2""#;
        judge::run("bash", &["-c", script, path, &name, copy.to_str().unwrap()]);
        assert!(reader.stream(&found, "other").unwrap().is_none());
        assert!(reader.find(&format!("{name}x")).unwrap().is_none());
        assert!(reader.find(&format!(r"{name}\x")).unwrap().is_none());
    }
}

#[test]
fn volumes_that_we_make_are_read_as_7_zip_reads_them() {
    let scene = scenes::rich(3_000_000);
    let wim = wim("read-ours.wim", &scene);
    for kib in [4, 64] {
        let recipe = Recipe::image("1").disk_size(ByteSize::mib(512)).cluster_size(ByteSize::kib(kib)).build().unwrap();
        let plan = recipe.plan(&Sources::wim(&wim), &Quiet).unwrap();
        let image = judge::scratch(&format!("read-ours-{kib}.raw"));
        let report = plan.layout(&Quiet).unwrap().write_file(&image, Format::RAW, &Quiet).unwrap();
        let disk = disk::open(Arc::new(File::open(&image).unwrap())).unwrap();
        let windows = report.partitions.last().unwrap();
        let window = Window::new(Arc::new(disk), Extent { start: windows.start, len: windows.size });
        let reader = NtfsReader::open(&window).unwrap();
        let mut unsupported = Vec::new();
        let streams = walk(&reader, &mut unsupported);
        assert!(unsupported.is_empty());
        let source = expected(&scene.images()[0].tree);
        compare(streams.clone(), source.clone());

        let volume = judge::scratch(&format!("read-ours-{kib}.ntfs"));
        let script = r#"dd if="$0" of="$1" bs=1M skip="$2" count="$3" conv=sparse status=none"#;
        let (skip, count) = ((windows.start >> 20).to_string(), (windows.size >> 20).to_string());
        judge::run("bash", &["-c", script, image.to_str().unwrap(), volume.to_str().unwrap(), &skip, &count]);
        let others = extracted(&volume);
        // Beside a link it extracts no stream.
        let contents: BTreeSet<&String> = source
            .keys()
            .filter(|path| !path.starts_with("/Streams/long") && !path.starts_with("/Reparse/junction"))
            .collect();
        assert!(contents.len() > 3000);
        for path in contents {
            assert_eq!(others.get(path), streams.get(path), "{path}");
        }
        for file in [image, volume] {
            fs::remove_file(file).unwrap();
        }
    }
}

/// Reads every file of a volume that may be damaged; how many calls failed.
fn explore(reader: &NtfsReader<'_>) -> u64 {
    let mut failures = u64::from(reader.volume().is_err());
    let mut seen = BTreeSet::new();
    let mut open: Vec<_> = reader.find("").ok().flatten().into_iter().collect();
    while let Some(directory) = open.pop() {
        let Ok(entries) = reader.list(directory) else {
            failures += 1;
            continue;
        };
        for entry in entries {
            let Ok(file) = reader.file(entry.reference) else {
                failures += 1;
                continue;
            };
            for (name, _) in file.streams() {
                match reader.stream(&file, &name.to_string()) {
                    Ok(Some(stream)) => {
                        // The ends are enough: a damaged length can be that of a sparse stream of terabytes.
                        let mut bytes = vec![0; stream.size().min(5000) as usize];
                        failures += u64::from(stream.read_exact_at(&mut bytes, 0).is_err());
                        let end = stream.size() - bytes.len() as u64;
                        failures += u64::from(stream.read_exact_at(&mut bytes, end).is_err());
                    }
                    _ => failures += 1,
                }
            }
            if entry.is_directory && seen.insert(entry.reference.record()) {
                open.push(entry.reference);
            }
        }
    }
    failures
}

#[test]
fn damaged_volumes_end_in_errors() {
    let wim = wim("read-damaged.wim", &scenes::tiny());
    let volume = make_ntfs("read-damaged.ntfs", 16 << 20, &[]);
    judge::run("wimlib-imagex", &["apply", wim.to_str().unwrap(), "1", volume.to_str().unwrap()]);
    let mut bytes = fs::read(&volume).unwrap();
    assert_eq!(explore(&NtfsReader::open(&bytes).unwrap()), 0);
    let magic =
        |block: &[u8]| block.starts_with(b"FILE") || block.starts_with(b"INDX") || block[3..].starts_with(b"NTFS");
    let places = |bytes: &[u8]| (0..bytes.len()).step_by(512).filter(|&at| magic(&bytes[at..])).collect::<Vec<_>>();
    let places = places(&bytes);
    let mut random = fixtures::Rng::new(16);
    let mut failed = 0;
    for _ in 0..2000 {
        let at = places[random.below(places.len() as u64) as usize] + random.below(512) as usize;
        let old = bytes[at];
        bytes[at] = [0, 0xFF, old ^ 1 << random.below(8), random.below(256) as u8][random.below(4) as usize];
        failed += u64::from(NtfsReader::open(&bytes).map_or(1, |reader| explore(&reader)) > 0);
        bytes[at] = old;
    }
    assert!(failed > 100, "{failed}: the places are wrong");
}

#[test]
fn a_file_compressed_by_wof_is_refused_by_name() {
    let mut tree = scenes::tiny().images()[0].tree.clone();
    tree.add("packed.exe", fixtures::FileSpec::file("data".into()).reparse(0x8000_0017, vec![1, 0, 0, 0, 2, 0, 0, 0]));
    let wim = wim("read-wof.wim", &fixtures::WimBuilder::new().image("WOF", tree));
    let image = judge::scratch("read-wof.raw");
    let recipe = Recipe::image("1").disk_size(ByteSize::mib(256)).build().unwrap();
    let plan = recipe.plan(&Sources::wim(&wim), &Quiet).unwrap();
    let report = plan.layout(&Quiet).unwrap().write_file(&image, Format::RAW, &Quiet).unwrap();
    let file = Arc::new(File::open(&image).unwrap());
    let windows = report.partitions.last().unwrap();
    let window = Window::new(file, Extent { start: windows.start, len: windows.size });
    let error = NtfsReader::open(&window).unwrap().read_file("packed.exe", 1 << 20).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("WOF"), "{error}");
}

#[test]
fn compressed_and_encrypted_streams_are_refused_by_name() {
    let volume = make_ntfs("read-compressed.ntfs", 16 << 20, &[]);
    let file = judge::scratch("read-compressed.in");
    fs::write(&file, vec![7; 100_000]).unwrap();
    judge::run("ntfscp", &["-q", volume.to_str().unwrap(), file.to_str().unwrap(), "file"]);
    let mut bytes = fs::read(&volume).unwrap();
    let number = NtfsReader::open(&bytes).unwrap().find("file").unwrap().unwrap().record();
    // From the boot sector's cluster of the MFT to the record's $DATA.
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let record = word(&bytes, 0x30) * 4096 + number as usize * 1024;
    let mut attribute = record + (word(&bytes, record + 0x14) & 0xFFFF);
    while word(&bytes, attribute) != 0x80 {
        attribute += word(&bytes, attribute + 4);
    }
    for (flags, what) in [(0x0001u16, "LZNT1"), (0x4000, "EFS")] {
        bytes[attribute + 0x0C..attribute + 0x0E].copy_from_slice(&flags.to_le_bytes());
        let error = NtfsReader::open(&bytes).unwrap().read_file("file", 1 << 20).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains(what) && error.path() == Some(Path::new("file")), "{error}");
    }
}

//! Compact images of WIMs in several forms. What the volume holds compressed is put into a WIM again, and wimlib-imagex
//! decompresses it and checks it against the SHA-1 of what the file must hold.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::judge;
use fixtures::{data::hex, manifest, scenes};
use nano_image::content::{BlobForm, BlobId, BlobRequest, BlobStore, Content, ReadOptions, SourceCheck};
use nano_image::source::wim::Wim;
use nano_image::tree::NodeId;
use nano_image::windows::compact::mark;
use nano_image::{ByteSize, Compact, ErrorKind, Format, Recipe, Report, Result, Sources};
use ntfs::structured_values::NtfsFileNamespace;
use ntfs::{NtfsAttributeFlags, NtfsAttributeType, NtfsFile};

/// Byte at which the Windows volume begins.
const VOLUME_START: u64 = 117 << 20;
const DISK_SIZE: ByteSize = ByteSize::mib(256);
/// The volume ends a MiB before the disk.
const VOLUME_LEN: u64 = (256 - 117 - 1) << 20;

/// A compressed stream of the volume: algorithm, bytes.
type Stored = (u32, Vec<u8>);

fn scene() -> fixtures::WimBuilder {
    scenes::nano_small(&scenes::pe_stand_in())
}

/// The scene's WIM, exported as `arguments` say.
fn exported(name: &str, arguments: &[&str]) -> PathBuf {
    let folder = judge::scratch("compact");
    std::fs::create_dir_all(&folder).unwrap();
    let (plain, wim) = (folder.join(format!("{name}.plain")), folder.join(format!("{name}.wim")));
    scene().write_file(&plain).unwrap();
    let _ = std::fs::remove_file(&wim);
    wimlib(&[&["export", text(&plain), "all", text(&wim)][..], arguments].concat());
    std::fs::remove_file(plain).unwrap();
    wim
}

fn wimlib(arguments: &[&str]) {
    let output = Command::new("wimlib-imagex").args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("wimlib-imagex: {error}; scripts/install-deps installs it"));
    assert!(output.status.success(), "wimlib-imagex {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn build(wim: &Path, compact: Option<Compact>, jobs: usize, check: SourceCheck, out: &Path) -> Result<Report> {
    let mut recipe = Recipe::image("1").disk_size(DISK_SIZE);
    if let Some(compact) = compact {
        recipe = recipe.compact(compact);
    }
    let scratch = wim.with_extension("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    let sources = Sources::wim(wim).scratch(&scratch);
    let plan = recipe.build()?.plan(&sources, &())?;
    let report = plan.layout(&())?.jobs(jobs).source_check(check).write_file(out, Format::RAW, &());
    drop(plan);
    std::fs::remove_dir(scratch).expect("nothing is left in it");
    report
}

/// Builds the volume and lets it be judged; returns the report and the compressed streams by path.
fn judged(wim: &Path, compact: Compact) -> (Report, BTreeMap<String, Stored>) {
    let (disk, volume) = (wim.with_extension("raw"), wim.with_extension("ntfs"));
    let report = build(wim, Some(compact), 2, SourceCheck::Full, &disk).unwrap();
    for (jobs, check) in [(1, SourceCheck::Full), (8, SourceCheck::None)] {
        let other = wim.with_extension("again");
        build(wim, Some(compact), jobs, check, &other).unwrap();
        judge::run("cmp", &[text(&disk), text(&other)]);
        std::fs::remove_file(other).unwrap();
    }
    let mut raw = File::open(&disk).unwrap();
    raw.seek(SeekFrom::Start(VOLUME_START)).unwrap();
    std::io::copy(&mut raw.take(VOLUME_LEN), &mut File::create(&volume).unwrap()).unwrap();
    std::fs::remove_file(disk).unwrap();
    judge::ntfs_volume(&volume);
    let stored = compressed_streams(&volume);
    assert_eq!(report.compact.unwrap().compressed, stored.values().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
    std::fs::remove_file(volume).unwrap();
    (report, stored)
}

/// All compact files of a volume by one of their paths; checks the form that Windows gives them.
fn compressed_streams(volume: &Path) -> BTreeMap<String, Stored> {
    let mut reader = BufReader::new(File::open(volume).unwrap());
    let mut ntfs = ntfs::Ntfs::new(&mut reader).unwrap();
    ntfs.read_upcase_table(&mut reader).unwrap();
    let root = ntfs.root_directory(&mut reader).unwrap().file_record_number();
    let (mut found, mut by_record) = (BTreeMap::new(), BTreeMap::new());
    let mut pending = vec![(root, String::new())];
    while let Some((record, path)) = pending.pop() {
        let file = ntfs.file(&mut reader, record).unwrap();
        if !file.is_directory() {
            if !by_record.contains_key(&record)
                && let Some(stored) = compressed_stream(&file, &mut reader)
            {
                by_record.insert(record, ());
                found.insert(path, stored);
            }
            continue;
        }
        let index = file.directory_index(&mut reader).unwrap();
        let mut entries = index.entries();
        while let Some(entry) = entries.next(&mut reader) {
            let entry = entry.unwrap();
            let name = entry.key().unwrap().unwrap();
            let number = entry.file_reference().file_record_number();
            if number >= 24 && name.namespace() != NtfsFileNamespace::Dos {
                pending.push((number, format!("{path}/{}", name.name().to_string_lossy())));
            }
        }
    }
    found
}

fn compressed_stream(file: &NtfsFile<'_>, reader: &mut BufReader<File>) -> Option<Stored> {
    let (mut algorithm, mut stored, mut unnamed) = (None, None, None);
    let mut attributes = file.attributes();
    while let Some(item) = attributes.next(reader) {
        let item = item.unwrap();
        let attribute = item.to_attribute().unwrap();
        let name = attribute.name().unwrap().to_string_lossy();
        let mut value = Vec::new();
        match attribute.ty().unwrap() {
            NtfsAttributeType::ReparsePoint => {
                attribute.value(reader).unwrap().attach(reader).read_to_end(&mut value).unwrap();
                let words: Vec<u32> =
                    value.chunks_exact(4).map(|w| u32::from_le_bytes(w.try_into().unwrap())).collect();
                if words[0] == 0x8000_0017 {
                    assert_eq!((&words[1..5], words.len()), (&[16, 1, 2, 1][..], 6));
                    algorithm = Some(words[5]);
                }
            }
            NtfsAttributeType::Data if name == "WofCompressedData" => {
                attribute.value(reader).unwrap().attach(reader).read_to_end(&mut value).unwrap();
                stored = Some(value);
            }
            NtfsAttributeType::Data if name.is_empty() => {
                let value = attribute.value(reader).unwrap();
                let is_hole = value.data_position().value().is_none();
                unnamed = Some((attribute.flags(), attribute.is_resident(), is_hole, attribute.value_length()));
            }
            _ => {}
        }
    }
    let (algorithm, stored) = (algorithm?, stored.expect("a compact file has the stream"));
    let (flags, is_resident, is_hole, len) = unnamed.expect("a compact file has an unnamed stream");
    assert!(flags.contains(NtfsAttributeFlags::SPARSE) && !is_resident && is_hole && len > 4096);
    assert_eq!(file.info().unwrap().file_attributes().bits() & 0x600, 0x600);
    Some((algorithm, stored))
}

/// SHA-1 and size by path.
fn described() -> BTreeMap<String, ([u8; 20], u64)> {
    let scene = scene();
    let byte = |digits: &str, at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    let digest = |digits: &str| std::array::from_fn(|at| byte(digits, 2 * at));
    manifest::lines(&scene.images()[0].tree)
        .into_iter()
        .map(|line| (line.path, (digest(&line.sha1), line.size)))
        .collect()
}

/// Lets wimlib-imagex decompress the streams: a WIM of the same scene gets them as its resources.
fn verify(streams: &BTreeMap<String, Stored>, name: &str) {
    let described = described();
    for (algorithm, (flag, chunk_size)) in
        [(0, (0x2_0000, 0x1000)), (1, (0x4_0000u32, 0x8000u32)), (2, (0x2_0000, 0x2000)), (3, (0x2_0000, 0x4000))]
    {
        let mut wim = scene().to_bytes();
        let word = |wim: &[u8], at: usize| u64::from_le_bytes(wim[at..at + 8].try_into().unwrap());
        let (table_len, table_at) = (word(&wim, 0x30) & ((1 << 56) - 1), word(&wim, 0x38) as usize);
        let entries: BTreeMap<[u8; 20], usize> = (table_at..table_at + table_len as usize)
            .step_by(50)
            .map(|at| (wim[at + 30..at + 50].try_into().unwrap(), at))
            .collect();
        let mut count = 0;
        for (path, (_, bytes)) in streams.iter().filter(|(_, (of, _))| *of == algorithm) {
            let (digest, size) = described[path];
            let entry = entries[&digest];
            let offset = wim.len() as u64;
            wim.extend_from_slice(bytes);
            assert!((bytes.len() as u64) < size);
            wim[entry..entry + 8].copy_from_slice(&(bytes.len() as u64 | 4 << 56).to_le_bytes());
            wim[entry + 8..entry + 16].copy_from_slice(&offset.to_le_bytes());
            count += 1;
        }
        if count == 0 {
            continue;
        }
        wim[0x10..0x14].copy_from_slice(&(2 | flag).to_le_bytes());
        wim[0x14..0x18].copy_from_slice(&chunk_size.to_le_bytes());
        let path = judge::scratch(&format!("compact-{name}-{algorithm}.wim"));
        std::fs::write(&path, wim).unwrap();
        wimlib(&["verify", text(&path)]);
        std::fs::remove_file(path).unwrap();
    }
}

/// How many files have each algorithm.
fn count(streams: &BTreeMap<String, Stored>) -> [usize; 4] {
    [0, 1, 2, 3].map(|algorithm| streams.values().filter(|(of, _)| *of == algorithm).count())
}

fn xpress(chunk_size: &str) -> Vec<&str> {
    vec!["--compress=XPRESS", "--chunk-size", chunk_size]
}

#[test]
fn lzx_is_copied_except_where_the_boot_loader_reads() {
    let wim = exported("lzx", &["--compress=LZX"]);
    let (report, streams) = judged(&wim, Compact::Copy);
    let [xpress4k, lzx, ..] = count(&streams);
    assert!(xpress4k == 0 && lzx > 20, "{lzx}");
    verify(&streams, "lzx");
    // Byte for byte what the WIM has.
    let (wim, described) = (Wim::open(&wim, &[]).unwrap(), described());
    for (path, (_, bytes)) in &streams {
        let id = wim.store().find(&described[path].0).unwrap();
        let (file, extent) = wim.store().stored(id).unwrap();
        let mut stored = vec![0; extent.len as usize];
        file.read_exact_at(&mut stored, extent.start).unwrap();
        assert!(stored == *bytes, "{path} ({})", hex(&described[path].0));
    }
    for path in streams.keys().map(|path| path.to_lowercase()) {
        let plain = ["/windows/system32/config/", "/windows/boot/", "/windows/system32/drivers/"];
        assert!(!plain.iter().any(|folder| path.starts_with(folder)), "{path}");
    }
    assert_eq!(report.compact.unwrap().files, streams.len() as u64);
    let compact = report.compact.unwrap();
    assert!(compact.compressed * 10 < compact.contents * 9, "{compact:?}");
}

#[test]
fn xpress_is_copied_in_the_chunk_sizes_that_windows_has() {
    for (chunk_size, algorithm) in [("4K", 0), ("8K", 2), ("16K", 3)] {
        let name = format!("xpress-{chunk_size}");
        let (_, streams) = judged(&exported(&name, &xpress(chunk_size)), Compact::Copy);
        assert!(count(&streams)[algorithm] == streams.len() && streams.len() > 20, "{name}");
        verify(&streams, &name);
    }
}

#[test]
fn what_cannot_be_copied_stays_plain_unless_an_algorithm_is_named() {
    for (name, arguments) in [
        ("xpress-32K", xpress("32K")),
        ("none", vec!["--compress=none"]),
        ("solid", vec!["--solid"]),
        ("pipable", vec!["--compress=LZX", "--pipable"]),
    ] {
        let wim = exported(name, &arguments);
        let (report, streams) = judged(&wim, Compact::Copy);
        assert!(streams.is_empty() && !report.warnings.is_empty(), "{name}");
    }
    let wim = exported("made", &["--solid"]);
    for (choice, wanted) in [(Compact::Lzx, 1), (Compact::Xpress4k, 0), (Compact::Xpress8k, 2), (Compact::Xpress16k, 3)]
    {
        let (_, streams) = judged(&wim, choice);
        let counts = count(&streams);
        // The boot loader's files have XPRESS4K at most.
        assert!(counts[wanted] > 20 && counts[0] > 0, "{choice:?} {counts:?}");
        assert_eq!(counts.iter().sum::<usize>(), if wanted == 0 { counts[0] } else { counts[0] + counts[wanted] });
        verify(&streams, &format!("{choice:?}"));
    }
    let error = Recipe::image("1").compact(Compact::Lzx).build().unwrap().plan(&Sources::wim(&wim), &()).err().unwrap();
    assert!(error.kind() == ErrorKind::Recipe && error.hint().is_some(), "{error}");
}

#[test]
fn a_damaged_chunk_is_noticed_by_a_full_check_only() {
    let wim = exported("damaged", &["--compress=LZX"]);
    let path = wim.clone();
    let opened = Wim::open(&wim, &[]).unwrap();
    let mut tree = opened.read_image(1).unwrap().tree;
    mark(&mut tree, &**opened.store(), Compact::Copy, Some(14393), 4096).unwrap();
    let nodes = (0..tree.node_count() as u32).map(|number| &tree[NodeId(number)]);
    let copied = nodes.filter_map(|node| match (&node.compact, &node.data) {
        (Some(_), Some(Content::Blob { id, len })) => Some((*len, *id)),
        _ => None,
    });
    let extent = opened.store().stored(copied.max().unwrap().1).unwrap().1;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[(extent.end() - 7) as usize] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
    let out = wim.with_extension("raw");
    let error = build(&path, Some(Compact::Copy), 2, SourceCheck::Full, &out).unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.offset().is_some(), "{error}");
    build(&path, Some(Compact::Copy), 2, SourceCheck::None, &out).unwrap();
    std::fs::remove_file(out).unwrap();
}

#[test]
fn both_forms_of_all_blobs_are_read_in_one_pass() {
    let wim = Wim::open(exported("forms", &["--compress=LZX"]), &[]).unwrap();
    let store = wim.store();
    let mut requests = Vec::new();
    for id in (0..store.blob_count()).map(BlobId) {
        let forms = [BlobForm::Contents, BlobForm::Stored, BlobForm::Stored];
        let usable = if store.stored_form(id).is_some() { 3 } else { 1 };
        // Several in one form, several in both.
        let skipped = (usable - 1).min(id.0 as usize / 3 % 3);
        requests.extend(forms[skipped..usable].iter().map(|form| BlobRequest { id, form: *form }));
    }
    for (jobs, check) in [(1, SourceCheck::Full), (3, SourceCheck::Full), (3, SourceCheck::None)] {
        let mut read = vec![Vec::new(); requests.len()];
        let mut last = 0;
        store
            .read_forms(&requests, ReadOptions { jobs, check }, &mut |index, bytes| {
                assert!(index >= last);
                last = index;
                read[index].extend_from_slice(bytes);
                Ok(())
            })
            .unwrap();
        for (request, bytes) in requests.iter().zip(read) {
            if request.form == BlobForm::Contents {
                assert_eq!(bytes, store.read_blob(request.id, u64::MAX).unwrap());
            } else {
                let (file, extent) = store.stored(request.id).unwrap();
                let mut stored = vec![0; extent.len as usize];
                file.read_exact_at(&mut stored, extent.start).unwrap();
                assert_eq!(bytes, stored);
            }
        }
    }
    let solid = Wim::open(exported("solid-forms", &["--solid"]), &[]).unwrap();
    let request = BlobRequest { id: BlobId(0), form: BlobForm::Stored };
    let error = solid.store().read_forms(&[request], 1.into(), &mut |_, _| Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

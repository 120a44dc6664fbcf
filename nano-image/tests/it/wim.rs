//! WIMs in every form that wimlib-imagex writes are read as they were described, and as wimlib-imagex reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use fixtures::{Data, Tree, WimBuilder, data::hex, hostile, outside, scenes};
use nano_image::ErrorKind;
use nano_image::content::{BlobId, BlobStore, Content, ReadAt};
use nano_image::source::wim::{Image, ResourceForm, Wim, WimStore};
use nano_image::tree::{FileTree, NodeId};
use nano_image::types::FileTime;
use sha1::{Digest, Sha1};

/// What is compared of one name, as sorted lines.
type Facts = Vec<String>;

/// Forms of a WIM: file name and how wimlib-imagex exports it.
const FORMS: [(&str, &[&str]); 9] = [
    ("none.wim", &["--compress=none"]),
    ("lzx.wim", &["--compress=LZX"]),
    ("lzx-128k.wim", &["--compress=LZX", "--chunk-size=128K"]),
    ("xpress.wim", &["--compress=XPRESS"]),
    ("xpress-4k.wim", &["--compress=XPRESS", "--chunk-size=4K"]),
    ("lzms.wim", &["--compress=LZMS"]),
    ("solid.esd", &["--solid"]),
    ("solid-lzx.esd", &["--solid", "--solid-compress=LZX", "--solid-chunk-size=32K"]),
    ("pipable.wim", &["--pipable", "--compress=LZX"]),
];

#[test]
fn every_form_is_read_as_described() {
    if !outside::programs("wimlib-imagex") {
        return;
    }
    let (folder, wim) = written("forms", &scenes::rich(3_000_000));
    let scene = scenes::rich(3_000_000);
    let described = describe(&scene.images()[0].tree);
    for (name, arguments) in FORMS {
        let file = folder.join(name);
        let _ = std::fs::remove_file(&file);
        wimlib(&folder, &[&["export", text(&wim), "all", name][..], arguments].concat());
        check_form(&file, &described);
    }
    wimlib(&folder, &["split", "lzx.wim", "split.swm", "1"]);
    assert!(folder.join("split3.swm").exists());
    check_form(&folder.join("split.swm"), &described);
}

fn check_form(file: &Path, described: &BTreeMap<String, Facts>) {
    let wim = Wim::open(file, &[]).unwrap();
    let images: Vec<(&str, &str)> =
        wim.images().iter().map(|image| (image.name.as_str(), image.edition_id.as_str())).collect();
    let name = "Windows Server 2016 SERVER";
    let (first, second) = (format!("{name}STANDARDNANO"), format!("{name}DATACENTERNANO"));
    assert_eq!(images, [(&first[..], "ServerStandardNano"), (&second[..], "ServerDatacenterNano")]);
    let image = wim.read_image(1).unwrap();
    let found = facts_of(&image.tree, wim.store(), true);
    for (path, facts) in described {
        assert_eq!(found.get(path), Some(facts), "{} {path}", file.display());
    }
    assert_eq!(found.len(), described.len());
    // The scene has two names that differ only in case, and nothing else that is worth a word.
    assert!(
        matches!(&image.warnings[..], [warning] if warning.contains("differ only in case")),
        "{:?}",
        image.warnings
    );
    assert_eq!(wim.read_image(2).unwrap().tree.node_count(), image.tree.node_count() + 1);
    check_contents(wim.store());
}

/// Every blob, once and repeated, has its SHA-1; neither bytes nor pieces depend on the number of threads.
fn check_contents(store: &WimStore) {
    let all: Vec<BlobId> = (0..store.blob_count()).map(BlobId).collect();
    let places: Vec<_> = all.iter().map(|id| (store.resource(*id).part, store.resource(*id).offset)).collect();
    assert!(places.is_sorted());
    let largest = *all.iter().max_by_key(|id| store.blob_len(**id)).unwrap();
    let some = all.iter().filter(|id| id.0 % 7 == 3 || **id == largest);
    let repeated: Vec<BlobId> = some.flat_map(|id| [*id; 3]).collect();
    for requests in [&all, &repeated, &vec![largest; 2]] {
        let pieces = [1, 2, 5].map(|jobs| {
            let mut pieces = Vec::new();
            let mut hashes = vec![Sha1::new(); requests.len()];
            let mut read = |request: usize, bytes: &[u8]| {
                pieces.push((request, bytes.len()));
                hashes[request].update(bytes);
                Ok(())
            };
            store.read_blobs(requests, jobs, &mut read).unwrap();
            for (id, hash) in requests.iter().zip(hashes) {
                assert_eq!(hex(&store.digest(*id)), hex(&hash.finalize()));
            }
            pieces
        });
        assert!(pieces[0].is_sorted_by_key(|(request, _)| *request));
        assert!(pieces.iter().all(|other| *other == pieces[0]));
        let total: u64 = requests.iter().map(|id| store.blob_len(*id)).sum();
        assert_eq!(pieces[0].iter().map(|(_, len)| *len as u64).sum::<u64>(), total);
    }
    assert_eq!(store.read_blob(largest, u64::MAX).unwrap().len() as u64, store.blob_len(largest));
    assert!(store.read_blob(largest, store.blob_len(largest) - 1).is_err());
    assert_eq!(store.find(&store.digest(largest)), Some(largest));
    assert!(store.read_blobs(&[BlobId(store.blob_count())], 2, &mut |_, _| Ok(())).is_err());
    let mut calls = 0;
    let stop = &mut |_: usize, _: &[u8]| {
        calls += 1;
        if calls == 3 { Err(nano_image::Error::cancelled()) } else { Ok(()) }
    };
    assert_eq!(store.read_blobs(&all, 4, stop).unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(calls, 3);
    let stored = store.stored(largest);
    assert_eq!(stored.is_none(), store.resource(largest).form == ResourceForm::Solid);
    assert!(stored.is_none_or(|(_, extent)| extent.len == store.resource(largest).stored_len));
}

#[test]
fn wimlib_reads_the_same() {
    if !outside::programs("wimlib-imagex") {
        return;
    }
    for (name, scene) in [("rich", scenes::rich(100_000)), ("extremes", scenes::extremes())] {
        let (folder, wim) = written(name, &scene);
        compare_with_wimlib(&folder, &wim);
        let found = read(&wim);
        assert_eq!(facts_of(&found.1.tree, found.0.store(), true), describe(&scene.images()[0].tree));
    }
}

#[test]
fn captured_folders() {
    if !outside::programs("wimlib-imagex") {
        return;
    }
    let folder = folder("captured");
    let source = folder.join("source");
    let _ = std::fs::remove_dir_all(&source);
    std::fs::create_dir_all(source.join("folder/empty")).unwrap();
    std::fs::write(source.join("folder/a.txt"), Data::text(1, 200_000).to_vec()).unwrap();
    std::fs::hard_link(source.join("folder/a.txt"), source.join("b.txt")).unwrap();
    std::fs::write(source.join("empty.txt"), "").unwrap();
    std::fs::create_dir_all(folder.join("nothing")).unwrap();
    for (name, from, options) in [
        ("plain.wim", "source", &["--no-acls"][..]),
        ("unix.wim", "source", &["--unix-data"]),
        ("nothing.wim", "nothing", &[]),
    ] {
        let _ = std::fs::remove_file(folder.join(name));
        wimlib(&folder, &[&["capture", from, name, "A name"], options].concat());
        compare_with_wimlib(&folder, &folder.join(name));
        check_warnings(&folder.join(name), name == "unix.wim");
    }
    let (_, image) = read(&folder.join("plain.wim"));
    assert_eq!(image.tree.find("b.txt"), image.tree.find(r"folder\a.txt"));
    assert_eq!(read(&folder.join("nothing.wim")).1.tree.node_count(), 1);
}

fn check_warnings(wim: &Path, some: bool) {
    assert_eq!(!read(wim).1.warnings.is_empty(), some, "{}", wim.display());
}

#[test]
fn encrypted_files_are_refused_by_name() {
    let (_, wim) = written("encrypted", &scenes::encrypted());
    let error = Wim::open(&wim, &[]).unwrap().read_image(1).unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Unsupported, Some(wim.as_path())));
    assert!(error.message().contains(r"\Users\secret.txt"), "{error}");
}

#[test]
fn images_are_found_by_index_name_and_edition() {
    let (_, file) = written("find", &scenes::rich(1000));
    let wim = Wim::open(&file, &[]).unwrap();
    for (wanted, index) in
        [("2", 2), ("windows server 2016 SERVERstandardnano", 1), ("ServerDatacenterNano", 2), (" 1 ", 1)]
    {
        assert_eq!(wim.find_image(wanted).unwrap(), index, "{wanted}");
    }
    let error = wim.find_image("ServerDatacentreNano").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.hint(), Some("did you mean `ServerDatacenterNano`?"));
    assert!(error.message().contains("1: Windows Server 2016 SERVERSTANDARDNANO (ServerStandardNano), 2:"), "{error}");
    for wanted in ["0", "3", "", "Hyper-V"] {
        let error = wim.find_image(wanted).unwrap_err();
        assert!(error.kind() == ErrorKind::NotFound && error.hint().is_some(), "{wanted}");
    }
    assert_eq!(wim.read_image(3).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(wim.read_image(0).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn parts_are_found_or_named() {
    if !outside::programs("wimlib-imagex") {
        return;
    }
    let (folder, _) = written("parts", &scenes::rich(3_000_000));
    for (_, old) in (2..9).map(|part| (part, folder.join(format!("s{part}.swm")))) {
        let _ = std::fs::remove_file(old);
    }
    wimlib(&folder, &["split", "scene.wim", "s.swm", "3"]);
    let (first, second, third) = (folder.join("s.swm"), folder.join("s2.swm"), folder.join("s3.swm"));
    Wim::open(&first, &[]).unwrap();
    let error = Wim::open(&second, &[]).unwrap_err();
    assert!(error.kind() == ErrorKind::NotFound && error.hint().is_some(), "{error}");

    let moved = folder.join("moved part");
    std::fs::rename(&second, &moved).unwrap();
    let error = Wim::open(&first, &[]).unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::NotFound, Some(second.as_path())));
    assert!(error.message().contains("part 2 of"), "{error}");
    let wim = Wim::open(&first, &[moved.clone(), first.clone()]).unwrap();
    check_contents(wim.store());

    std::fs::copy(&third, &second).unwrap();
    assert_eq!(Wim::open(&first, &[]).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(Wim::open(&first, &[folder.join("scene.wim")]).unwrap_err().kind(), ErrorKind::Recipe);
    assert_eq!(Wim::open(folder.join("scene.wim"), &[moved]).unwrap_err().kind(), ErrorKind::Recipe);
}

/// A WIM that begins at a byte of a larger file.
struct Within(std::fs::File, u64);

impl ReadAt for Within {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_exact_at(buf, self.1 + offset)
    }

    fn len(&self) -> std::io::Result<u64> {
        Ok(ReadAt::len(&self.0)? - self.1)
    }
}

#[test]
fn wims_inside_another_file() {
    if !outside::programs("wimlib-imagex") {
        return;
    }
    let scene = scenes::rich(50_000);
    let (folder, wim) = written("within", &scene);
    let scratch = folder.join("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    let open = |name: &str| {
        let outer = folder.join("outer.iso");
        let bytes = [vec![7; 4097], std::fs::read(folder.join(name)).unwrap()].concat();
        std::fs::write(&outer, bytes).unwrap();
        let data = Within(std::fs::File::open(&outer).unwrap(), 4097);
        let opened = Wim::open_within(std::sync::Arc::new(data), name, &scratch);
        assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0, "nothing is left");
        opened
    };
    for form in ["scene.wim", "lzx.wim", "pipable.wim", "solid.esd"] {
        let arguments = FORMS.iter().find(|(name, _)| *name == form).map_or(&[][..], |(_, arguments)| arguments);
        if form != "scene.wim" {
            let _ = std::fs::remove_file(folder.join(form));
            wimlib(&folder, &[&["export", text(&wim), "all", form][..], arguments].concat());
        }
        let wim = match open(form) {
            Ok(wim) => wim,
            Err(error) => {
                assert!(
                    error.kind() == ErrorKind::Unsupported && ["pipable.wim", "solid.esd"].contains(&form),
                    "{error}"
                );
                continue;
            }
        };
        let image = wim.read_image(1).unwrap();
        assert_eq!(facts_of(&image.tree, wim.store(), true), describe(&scene.images()[0].tree));
        check_contents(wim.store());
    }
    std::fs::write(folder.join("bad.wim"), vec![0; 300]).unwrap();
    let error = open("bad.wim").unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(Path::new("bad.wim"))));
}

#[test]
fn what_is_no_wim_is_refused() {
    let folder = folder("no-wim");
    let file = folder.join("text.wim");
    std::fs::write(&file, "MZ, not a WIM, but as long as its header".repeat(10)).unwrap();
    let error = Wim::open(&file, &[]).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (ErrorKind::Corrupt, format!("{}: not a WIM file (at byte 0x0)", file.display()))
    );
    for missing in [folder.join("missing.wim"), folder.clone()] {
        let error = Wim::open(&missing, &[]).unwrap_err();
        assert_eq!((error.kind(), error.path()), (ErrorKind::NotFound, Some(missing.as_path())));
    }
}

#[test]
fn hostile_forms_are_refused() {
    // Bits that no reader needs, and what is legal though odd.
    let harmless = [
        "boot-index-huge",
        "blob-flag-compressed",
        "blob-flag-solid",
        "blob-flag-free",
        "blob-references-0",
        "blob-references-huge",
        "root-missing-list",
        "link-group-of-a-directory",
    ];
    let folder = folder("hostile");
    let wim = scenes::tiny().to_bytes();
    let mut accepted = BTreeSet::new();
    for (name, bytes) in hostile::mutations(&wim) {
        if read_all(&folder, &name, &bytes) {
            accepted.insert(name);
        }
    }
    accepted.retain(|name| !name.starts_with("flip-"));
    let unexpected: Vec<&String> = accepted.iter().filter(|name| !harmless.contains(&name.as_str())).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

#[test]
fn damaged_bytes_are_found() {
    if !outside::programs("wimlib-imagex") {
        return;
    }
    let (folder, wim) = written("damaged", &scenes::tiny());
    for (name, arguments) in FORMS {
        let _ = std::fs::remove_file(folder.join(name));
        wimlib(&folder, &[&["export", text(&wim), "1", name][..], arguments].concat());
        let bytes = std::fs::read(folder.join(name)).unwrap();
        assert!(read_all(&folder, name, &bytes));
        for at in (0..bytes.len()).step_by(bytes.len() / 150) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            read_all(&folder, name, &flipped);
            // The XML data at the end is not needed to the last byte, nor is it hashed.
            assert!(!read_all(&folder, name, &bytes[..at]), "{name} of {at} bytes");
        }
    }
}

/// Whether everything in a WIM can be read; if not, one error says why.
fn read_all(folder: &Path, name: &str, bytes: &[u8]) -> bool {
    let file = folder.join("form.wim");
    std::fs::write(&file, bytes).unwrap();
    let result = Wim::open(&file, &[]).and_then(|wim| {
        wim.read_image(1)?;
        let all: Vec<BlobId> = (0..wim.store().blob_count()).map(BlobId).collect();
        wim.store().read_blobs(&all, 2, &mut |_, _| Ok(()))
    });
    if let Err(error) = &result {
        let kinds = [ErrorKind::Corrupt, ErrorKind::Unsupported, ErrorKind::NotFound];
        assert!(kinds.contains(&error.kind()) && error.path().is_some(), "{name}: {error:?}");
    }
    result.is_ok()
}

fn compare_with_wimlib(folder: &Path, file: &Path) {
    let listing = parse(&wimlib(folder, &["dir", "--detailed", text(file), "1"]));
    let (wim, image) = read(file);
    let found = facts_of(&image.tree, wim.store(), false);
    for (path, facts) in &listing {
        assert_eq!(found.get(path), Some(facts), "{} {path}", file.display());
    }
    assert_eq!(found.len(), listing.len());
}

fn read(file: &Path) -> (Wim, Image) {
    let wim = Wim::open(file, &[]).unwrap();
    let image = wim.read_image(1).unwrap();
    (wim, image)
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wim").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn written(name: &str, builder: &WimBuilder) -> (PathBuf, PathBuf) {
    let folder = folder(name);
    let wim = folder.join("scene.wim");
    builder.write_file(&wim).unwrap();
    (folder, wim)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn wimlib(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("wimlib-imagex").args(arguments).current_dir(folder).env("LC_ALL", "C.UTF-8").output();
    let output = output.expect("wimlib-imagex (Debian: wimtools) must be installed");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    // wimlib writes an unpaired surrogate in three bytes; it counts as one U+FFFD here.
    let chunks = output.stdout.utf8_chunks();
    chunks
        .map(|chunk| {
            format!("{}{}", chunk.valid(), if chunk.invalid().first() == Some(&0xED) { "\u{fffd}" } else { "" })
        })
        .collect()
}

/// Facts of every name of our tree; `all` adds what `wimlib-imagex dir` does not tell.
fn facts_of(tree: &FileTree, store: &WimStore, all: bool) -> BTreeMap<String, Facts> {
    let mut names: BTreeMap<NodeId, Vec<String>> = BTreeMap::new();
    let mut found = vec![(NodeId::ROOT, "/".to_string(), String::new())];
    let mut next = 0;
    while let Some((directory, path, _)) = found.get(next).cloned() {
        names.entry(directory).or_default().push(path.clone());
        for (name, entry) in tree[directory].children.iter().flatten() {
            let short_name = entry.short_name.as_ref().map(ToString::to_string).unwrap_or_default();
            found.push((entry.node, format!("{}/{name}", path.trim_end_matches('/')), short_name));
        }
        next += 1;
    }
    let sha1 = |content: &Content| match content {
        Content::Bytes(bytes) => (hex(&Sha1::digest(bytes)), bytes.len() as u64),
        Content::Blob { id, len } => (hex(&store.digest(*id)), *len),
    };
    let facts = |node: NodeId, short_name: &str| {
        let spec = &tree[node];
        let directory = if spec.is_directory() { 0x10 } else { 0 };
        let reparse = if spec.reparse.is_some() { 0x400 } else { 0 };
        let mut facts = vec![
            format!("Attributes = {:#010x}", spec.attributes | directory | reparse),
            format!("Short Name = \"{short_name}\""),
            format!("Link Count = {}", names[&node].len()),
        ];
        let descriptor = spec.security.map(|id| hex(&tree.descriptors()[id.0 as usize]));
        facts.extend(descriptor.map(|bytes| format!("Security Descriptor = {bytes}")));
        facts.extend(spec.reparse.as_ref().map(|reparse| format!("Reparse Tag = 0x{:08x}", reparse.tag)));
        let mut stream = |kind: String, content: &Content| {
            let (sha1, len) = sha1(content);
            facts.extend((len > 0).then(|| format!("{kind} 0x{sha1} {len}")));
        };
        spec.data.iter().for_each(|data| stream("Unnamed data".into(), data));
        spec.reparse.iter().for_each(|reparse| stream("Reparse point".into(), &Content::Bytes(reparse.data.clone())));
        spec.streams.iter().for_each(|named| stream(format!("Named data \"{}\"", named.name), &named.content));
        let id = spec.object_id.as_deref();
        let times = [spec.times.created, spec.times.modified, spec.times.accessed];
        if all {
            facts.extend(id.map(|id| format!("Object ID = {}", hex(id))));
            facts.push(format!("Times = {:?}", times.map(|time| time.0)));
            facts.extend(spec.extended_attributes.iter().map(|list| format!("EA = {}", hex(list))));
            let others: Vec<&String> = names[&node].iter().collect();
            facts.push(format!("Names = {others:?}"));
        } else {
            facts.extend(id.map(|id| format!("Object ID = 0x{}", hex(&id[..16]))));
            let labels = ["Creation Time", "Last Write Time", "Last Access Time"];
            facts.extend(labels.iter().zip(times).map(|(label, time)| format!("{label} = {}", date(time))));
        }
        facts.sort();
        facts
    };
    found.iter().map(|(node, path, short_name)| (path.clone(), facts(*node, short_name))).collect()
}

/// `Jul 16 19:10:14 2016 UTC`.
fn date(time: FileTime) -> String {
    let (year, month, day, hour, minute, second) = time.civil();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    format!("{} {day:02} {hour:02}:{minute:02}:{second:02} {year} UTC", months[usize::from(month) - 1])
}

/// The same facts of a fixture's tree, all of them.
fn describe(tree: &Tree) -> BTreeMap<String, Facts> {
    let mut names: BTreeMap<fixtures::NodeId, Vec<String>> = BTreeMap::new();
    let mut found = vec![(Tree::ROOT, "/".to_string(), String::new())];
    let mut next = 0;
    while let Some((directory, path, _)) = found.get(next).cloned() {
        names.entry(directory).or_default().push(path.clone());
        for (name, entry) in tree.children(directory) {
            let short_name = entry.short_name.as_ref().map(ToString::to_string).unwrap_or_default();
            found.push((entry.node, format!("{}/{name}", path.trim_end_matches('/')), short_name));
        }
        next += 1;
    }
    let facts = |node: fixtures::NodeId, short_name: &str| {
        let spec = tree.spec(node);
        let mut names = names[&node].clone();
        names.sort();
        // NORMAL stands for no attribute and is not kept.
        let mut facts = vec![
            format!("Attributes = {:#010x}", spec.attributes & !0x80),
            format!("Short Name = \"{short_name}\""),
            format!("Link Count = {}", names.len()),
            format!("Times = {:?}", [spec.times.created, spec.times.written, spec.times.accessed]),
            format!("Names = {names:?}"),
        ];
        facts.extend(spec.security.as_ref().map(|bytes| format!("Security Descriptor = {}", hex(bytes))));
        facts.extend(spec.reparse.as_ref().map(|(tag, _)| format!("Reparse Tag = 0x{tag:08x}")));
        facts.extend(spec.object_id.as_ref().map(|id| format!("Object ID = {}", hex(id))));
        let mut stream = |kind: String, data: &Data| {
            facts.extend((!data.is_empty()).then(|| format!("{kind} 0x{} {}", hex(&data.sha1()), data.len())));
        };
        stream("Unnamed data".into(), &spec.data);
        spec.reparse.iter().for_each(|(_, data)| stream("Reparse point".into(), &Data::bytes(data.as_slice())));
        spec.streams.iter().for_each(|(name, data)| stream(format!("Named data \"{name}\""), data));
        let attributes = spec.extended_attributes.iter();
        let lists: Vec<(Vec<u8>, usize)> = attributes
            .map(|attribute| {
                let mut entry = vec![attribute.flags, attribute.name.len() as u8];
                entry.extend((attribute.value.len() as u16).to_le_bytes());
                entry.extend([attribute.name.as_bytes(), &[0], &attribute.value[..]].concat());
                let padded = (entry.len() + 4).next_multiple_of(4);
                (entry, padded)
            })
            .collect();
        let mut list = Vec::new();
        for (index, (entry, padded)) in lists.iter().enumerate() {
            let last = index + 1 == lists.len();
            list.extend(if last { 0 } else { *padded as u32 }.to_le_bytes());
            list.extend(entry);
            list.resize(if last { list.len() } else { list.len() - entry.len() - 4 + padded }, 0);
        }
        facts.extend((!list.is_empty()).then(|| format!("EA = {}", hex(&list))));
        facts.sort();
        facts
    };
    found.iter().map(|(node, path, short_name)| (path.clone(), facts(*node, short_name))).collect()
}

/// The facts in the output of `wimlib-imagex dir --detailed`.
fn parse(listing: &str) -> BTreeMap<String, Facts> {
    let fields = ["Short Name", "Link Count", "Security Descriptor", "Reparse Tag", "Object ID"];
    let mut all = BTreeMap::new();
    for record in listing.split(&format!("{}\n", "-".repeat(76))).filter(|record| !record.trim().is_empty()) {
        let (mut path, mut facts, mut stream, mut hash) = (None, Facts::new(), String::new(), String::new());
        for line in record.lines() {
            if let Some(kind) = line.strip_prefix('\t').and_then(|line| line.strip_suffix(':')) {
                stream = kind.replacen(" stream", "", 1);
            }
            let Some((field, value)) = line.split_once('=') else { continue };
            let (field, value) = (field.trim(), value.trim());
            match field {
                "Full Path" => path = Some(value.trim_matches('"').to_string()),
                "Hash" => hash = value.into(),
                "Uncompressed size" if value != "0 bytes" => {
                    facts.push(format!("{stream} {hash} {}", value.trim_end_matches(" bytes")));
                }
                "Attributes" => {
                    let bits = u32::from_str_radix(value.trim_start_matches("0x"), 16).unwrap();
                    facts.push(format!("Attributes = {:#010x}", bits & !0x80));
                }
                // The day of the week comes first.
                "Creation Time" | "Last Write Time" | "Last Access Time" => {
                    facts.push(format!("{field} = {}", value[3..].trim()));
                }
                _ if fields.contains(&field) => facts.push(format!("{field} = {value}")),
                _ => {}
            }
        }
        facts.sort();
        all.insert(path.expect("a path"), facts);
    }
    all
}

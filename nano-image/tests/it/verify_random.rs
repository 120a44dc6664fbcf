//! Faults at random places of the metadata: each is found, or is in a field that nothing depends on, by its name.

use std::fs;
use std::os::unix::fs::FileExt;

use crate::judge;
use crate::judge::run;
use crate::support::ntfs_volume::*;
use crate::verify::{look, mkntfs, text};
use fixtures::{Data, FileSpec, Image, Rng, Tree, WimBuilder};

/// Faults that are planted.
const FAULTS: u64 = 100;
/// How many at least are found or harmless.
const ENOUGH: u64 = 95;

/// Fields whose value changes nothing, and why. What [`field`] calls a field ends in one of these.
const HARMLESS: &[&str] = &[
    // Only the replay of a log looks at it, and the log is empty.
    "log sequence number",
    // Bytes that have no meaning.
    "unused",
    "padding",
    "slack",
    // An attribute without a name has no place of its name.
    "place of no name",
    // Greater than needed; a smaller one is found.
    "next number of an attribute",
    // The copy in a file's record is of the day when it got its name; the copy in the directory is checked.
    "own copy of the facts",
    // Windows sets it when it likes, and tells programs so.
    "time of access",
    // A directory's times are not repeated in time where it is listed.
    "times of a directory",
    // Used by quotas, the change journal, link tracking and object classes, none of which is on.
    "version",
    "class",
    "owner",
    "quota",
    "USN",
    // Contents are for a list of digests to check; who may do what is what a descriptor says, not how.
    "contents",
    "rights",
    "label",
];

/// A volume that ntfs-3g made, with a little of everything.
fn volume() -> Volume {
    let mut tree = Tree::new();
    for number in 0..150 {
        let data = Data::noise(number, number * 97 % 9000);
        tree.add(&format!(r"Wide\a file of number {number}"), FileSpec::file(data));
    }
    tree.add("attributes", FileSpec::file("1".into()).extended_attribute("NAME", b"value", 0));
    tree.add("streams", FileSpec::file("2".into()).stream("one", Data::noise(3, 9000)).stream("two", "2".into()));
    tree.add("identified", FileSpec::file("3".into()).object_id(7));
    tree.add("junction", FileSpec::directory().junction(r"C:\Wide"));
    tree.add(r"Folder\Folder\file", FileSpec::file("4".into()));
    let (wim, path) = (judge::scratch("verify-random.wim"), judge::scratch("verify-faults.ntfs"));
    WimBuilder::new().push(Image::new("Faults", tree)).write_file(&wim).unwrap();
    mkntfs(&path, 16, "4096");
    run("wimlib-imagex", &["apply", text(&wim), "1", text(&path)]);
    Volume::new(fs::read(path).unwrap())
}

/// Name of the field that has byte `at` of an unsealed record.
fn field(record: &[u8], at: usize) -> String {
    let header: &[(usize, &str)] = &[
        (4, "signature"),
        (8, "place of the update sequence"),
        (16, "log sequence number"),
        (18, "sequence number"),
        (20, "number of links"),
        (22, "place of the attributes"),
        (24, "flags"),
        (28, "used size"),
        (32, "allocated size"),
        (40, "base record"),
        (42, "next number of an attribute"),
        (44, "unused"),
        (48, "number"),
    ];
    let named = |fields: &[(usize, &str)], at: usize| {
        fields.iter().find(|(end, _)| at < *end).map(|(_, name)| (*name).to_owned())
    };
    if let Some(name) = named(header, at) {
        return format!("record: {name}");
    }
    let is_directory = record[22] & 2 != 0;
    let mut start = u16_at(record, 20) as usize;
    if at < start {
        return "record: update sequence, padding".into();
    }
    while u32_at(record, start) != u32::MAX {
        let (kind, len) = (u32_at(record, start), u32_at(record, start + 4) as usize);
        if at < start + len {
            return format!(
                "attribute {kind:#x}: {}",
                attribute_field(&record[start..start + len], kind, at - start, is_directory)
            );
        }
        start += len;
    }
    if at < start + 4 { "record: end of the attributes".into() } else { "record: slack".into() }
}

fn attribute_field(attribute: &[u8], kind: u32, at: usize, is_directory: bool) -> String {
    let name_len = 2 * usize::from(attribute[9]);
    let common: &[(usize, &str)] = &[
        (4, "type"),
        (8, "length"),
        (9, "whether it is in the record"),
        (10, "length of the name"),
        (12, if name_len == 0 { "place of no name" } else { "place of the name" }),
        (14, "flags"),
        (16, "number"),
    ];
    let inside: &[(usize, &str)] =
        &[(20, "length of the value"), (22, "place of the value"), (23, "mark of an index"), (24, "unused")];
    let outside: &[(usize, &str)] =
        &[(32, "VCNs"), (34, "place of the mapping pairs"), (35, "compression unit"), (40, "unused"), (64, "sizes")];
    let rest = if attribute[8] == 0 { inside } else { outside };
    if let Some((_, name)) = common.iter().chain(rest).find(|(end, _)| at < *end) {
        return (*name).to_owned();
    }
    if attribute[8] != 0 {
        let pairs = u16_at(attribute, 32) as usize;
        let mut end = pairs;
        while attribute[end] != 0 {
            end += 1 + usize::from(attribute[end] & 15) + usize::from(attribute[end] >> 4);
        }
        return if at <= end { "mapping pairs or name".into() } else { "padding".into() };
    }
    let (len, value) = (u32_at(attribute, 16) as usize, u16_at(attribute, 20) as usize);
    if at >= value + len {
        return "padding".into();
    }
    let Some(at) = at.checked_sub(value) else { return "name".into() };
    let times = if is_directory { "times of a directory" } else { "times" };
    let fields: &[(usize, &str)] = match kind {
        0x10 => &[
            (8, "creation"),
            (24, times),
            (32, "time of access"),
            (36, "attributes"),
            (44, "version"),
            (48, "class"),
            (52, "owner"),
            (56, "security id"),
            (64, "quota"),
            (72, "USN"),
        ],
        0x30 => {
            &[(8, "directory"), (64, "own copy of the facts"), (66, "length of the name, namespace"), (600, "name")]
        }
        0x50 => &[(20, "header of the descriptor"), (1024, "rights")],
        0x60 => &[(600, "label")],
        0x70 => &[(8, "unused"), (12, "version and flags")],
        0x80 => &[(1024, "contents")],
        0x90 => &[(13, "index"), (16, "unused"), (29, "index header"), (32, "unused"), (1024, "entries")],
        _ => &[(1024, "value")],
    };
    let name = fields.iter().find(|(end, _)| at < *end).expect("a record is no longer").1;
    if kind == 0x90 && at >= 32 { entry_field(&attribute[value + 16..value + len], at - 16) } else { name.to_owned() }
}

/// Name of the field of an index entry; `node` begins with the header of the entries.
fn entry_field(node: &[u8], at: usize) -> String {
    let mut start = u32_at(node, 0) as usize;
    if at < start {
        return "place before the entries, padding".into();
    }
    loop {
        let (len, key) = (u16_at(node, start + 8) as usize, u16_at(node, start + 10) as usize);
        let is_last = u16_at(node, start + 12) & 2 != 0;
        if at < start + len {
            let at = at - start;
            let name = match at {
                8..14 => "entry: sizes and flags",
                14..16 => "entry: unused",
                0..8 if is_last => "entry: last, unused",
                0..8 => "entry: file",
                // Keys of names are longer than those of views.
                _ if !is_last && key > 66 && (16 + 32..16 + 40).contains(&at) => "entry: time of access",
                _ if at < 16 + key => "entry: key",
                _ if key > 66 || is_last => "entry: behind the key, padding",
                _ => "entry: data",
            };
            return name.to_owned();
        }
        if is_last {
            return "slack".into();
        }
        start += len;
    }
}

/// Changes a bit of a random structure; the name of its field.
fn plant(volume: &mut Volume, random: &mut Rng) -> String {
    let bit = 1u8 << random.below(8);
    match random.below(10) {
        0 => {
            let at = random.below(512) as usize;
            volume.bytes[at] ^= bit;
            "boot sector".into()
        }
        1 => {
            let at = volume.stream_place(6, DATA, "", random.below(volume.clusters() as u64 / 8) as usize);
            volume.bytes[at] ^= bit;
            "$Bitmap".into()
        }
        2 => {
            let at = volume.stream_place(9, DATA, "$SDS", random.below(0xE0) as usize);
            volume.bytes[at] ^= bit;
            "$SDS".into()
        }
        3 => {
            let at = volume.stream_place(10, DATA, "", random.below(0x2_0000) as usize);
            volume.bytes[at] ^= bit;
            "$UpCase".into()
        }
        4 | 5 => {
            let wide = volume.find("Wide");
            let block = random.below(3) as usize;
            let mut name = String::new();
            let within = random.below(4096 - 64) as usize + 64;
            volume.edit_block(wide, "$I30", block, |bytes| {
                name = entry_field(&bytes[24..], within - 24);
                bytes[within] ^= bit;
            });
            format!("index block: {name}")
        }
        _ => loop {
            let number = random.below(volume.records as u64) as usize;
            let place = volume.record_place(number);
            if !volume.bytes[place..].starts_with(b"FILE") || volume.bytes[place + 0x16] & 1 == 0 {
                continue;
            }
            let record = volume.record(number);
            let at = random.below(u32_at(&record, 24).into()) as usize;
            let usa = u16_at(&record, 4) as usize;
            // Sealing would undo a fault there.
            if (usa..usa + 6).contains(&at) || (4..8).contains(&at) {
                continue;
            }
            volume.edit(number, |record| record[at] ^= bit);
            break format!("record {number}: {}", field(&record, at));
        },
    }
}

#[test]
fn faults_at_random_are_found_or_harmless() {
    let sound = volume();
    let path = judge::scratch("verify-faults.raw");
    fs::write(&path, &sound.bytes).unwrap();
    assert!(look(&path).is_clean(), "{}", look(&path));
    let file = fs::File::options().write(true).open(&path).unwrap();
    let mut random = Rng::new(1207);
    let (mut found, mut harmless, mut missed) = (0, 0, Vec::new());
    for _ in 0..FAULTS {
        let mut damaged = sound.clone();
        let name = plant(&mut damaged, &mut random);
        let pieces = damaged.bytes.chunks(512).zip(sound.bytes.chunks(512)).enumerate();
        let changed: Vec<usize> = pieces.filter(|(_, (new, old))| new != old).map(|(index, _)| 512 * index).collect();
        assert!(!changed.is_empty(), "{name}: nothing changes");
        let put =
            |from: &[u8]| changed.iter().for_each(|&at| file.write_all_at(&from[at..at + 512], at as u64).unwrap());
        put(&damaged.bytes);
        match look(&path).is_clean() {
            false => found += 1,
            true if HARMLESS.iter().any(|field| name.ends_with(field)) => harmless += 1,
            true => missed.push(name),
        }
        put(&sound.bytes);
    }
    println!("{found} found, {harmless} harmless, {} missed: {missed:?}", missed.len());
    assert!(found + harmless >= ENOUGH && found > harmless, "{found} found, {harmless} harmless, missed: {missed:?}");
}

//! File systems.

use std::sync::Arc;

use nano_image::source::wim::Wim;
use nano_image::tree::Times;
use nano_image::types::{ByteSize, DiskOffset, FileTime, Lba};
use nano_image::volume::{fat, ntfs};
use nano_image::{Error, Result};

use super::{Input, MAX_READ, read_all};
use crate::Target;

pub const NTFS: Target = Target { name: "ntfs", run: ntfs, seeds: ntfs_seeds, rounds: 300 };
pub const FAT: Target = Target { name: "fat", run: fat, seeds: fat_seeds, rounds: 400 };

const TIME: FileTime = FileTime(131_131_008_000_000_000);
/// How many entries are looked at.
const MAX_ENTRIES: usize = 20_000;

/// A volume without findings can be read completely.
fn ntfs(input: &[u8]) -> bool {
    let volume = Input(input);
    let is_clean = ntfs::check(&volume).counts().is_empty();
    let read = ntfs::NtfsReader::open(&volume).and_then(|reader| walk(&reader));
    assert!(!is_clean || read.is_ok(), "the check finds nothing, but {read:?}");
    read.is_ok()
}

fn walk(reader: &ntfs::NtfsReader<'_>) -> Result<()> {
    reader.volume()?;
    let descriptors = reader.descriptors()?;
    let root = reader.find("")?.ok_or_else(|| Error::corrupt("no root"))?;
    let (mut open, mut seen) = (vec![root], std::collections::BTreeSet::from([root.record()]));
    while let Some(reference) = open.pop() {
        let file = reader.file(reference)?;
        descriptors.of(&file)?;
        for (name, len) in file.streams() {
            let stream = reader.stream(&file, &name.to_string())?;
            if let Some(stream) = stream.filter(|_| len <= MAX_READ) {
                read_all(&stream).ok_or_else(|| Error::corrupt(format!("the stream `{name}` cannot be read")))?;
            }
        }
        if file.is_directory() {
            for entry in reader.list(reference)? {
                if seen.len() < MAX_ENTRIES && seen.insert(entry.reference.record()) {
                    open.push(entry.reference);
                }
            }
        }
    }
    Ok(())
}

fn ntfs_seeds() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.wim");
    fixtures::scenes::tiny().write_file(&path).expect("a WIM");
    let wim = Wim::open(&path, &[]).expect("a WIM of the fixtures");
    let volume = |cluster_size: u64| {
        let options = ntfs::NtfsOptions {
            size: ByteSize::mib(64),
            start: Lba(2048),
            sector_size: 512,
            cluster_size: Some(ByteSize::new(cluster_size)),
            serial_number: 7,
            label: "Windows".into(),
            time: Times::all(TIME),
            boot_code: None,
        };
        let tree = wim.read_image(1).expect("an image").tree;
        let layout = ntfs::NtfsLayout::new(Arc::new(tree), options).expect("room for it");
        let mut bytes = vec![0; layout.size().bytes() as usize];
        let mut sink = |at: nano_image::types::VolumeOffset, data: &[u8]| {
            bytes[at.0 as usize..][..data.len()].copy_from_slice(data);
            Ok(())
        };
        layout.write(&**wim.store(), 1, &mut sink).expect("it was laid out");
        bytes
    };
    vec![volume(4096), volume(65536)]
}

/// A volume without findings can be read, and its files can be written to a new volume that holds the same.
fn fat(input: &[u8]) -> bool {
    let volume = Input(input);
    let is_clean = fat::check(&volume).counts().is_empty();
    let read = fat::FatReader::open(&volume).and_then(|reader| {
        let files = files(&reader)?;
        Ok((reader, files))
    });
    assert!(!is_clean || read.is_ok(), "the check finds nothing, but {:?}", read.err());
    let Ok((reader, files)) = read else { return false };
    let options = fat::FatOptions {
        size: ByteSize::new(input.len() as u64),
        sector_size: 512,
        serial: reader.serial(),
        label: String::new(),
        start: DiskOffset(1 << 20),
        time: TIME,
    };
    let wanted: Vec<fat::FatFile<'_>> =
        files.iter().map(|(path, bytes)| fat::FatFile { path, bytes, attributes: 0 }).collect();
    if let Ok(parts) = fat::build(&options, &wanted) {
        let mut volume = vec![0; input.len()];
        for (at, bytes) in parts {
            volume[at.0 as usize..][..bytes.len()].copy_from_slice(&bytes);
        }
        assert!(fat::check(&volume).counts().is_empty(), "a volume of ours has findings");
        let again = self::files(&fat::FatReader::open(&volume).expect("it was just written"));
        let mut files = files;
        let mut again = again.expect("it was just written");
        files.sort();
        again.sort();
        assert!(files == again, "the files change when they are written again");
    }
    true
}

fn files(reader: &fat::FatReader<'_>) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    let mut left = MAX_READ;
    for entry in reader.entries()?.into_iter().filter(|entry| !entry.is_directory) {
        left = left.checked_sub(u64::from(entry.size)).ok_or_else(|| Error::unsupported("too large to try"))?;
        files.push((entry.path.clone(), reader.read(&entry)?));
    }
    Ok(files)
}

fn fat_seeds() -> Vec<Vec<u8>> {
    let options = fat::FatOptions {
        size: ByteSize::mib(34),
        sector_size: 512,
        serial: 0x1234_ABCD,
        label: "SYSTEM".into(),
        start: DiskOffset(1 << 20),
        time: TIME,
    };
    let content = vec![b'x'; 10_000];
    let file = |path, bytes| fat::FatFile { path, bytes, attributes: 0 };
    let files = [
        file(r"EFI\Boot\bootx64.efi", &content[..]),
        file(r"EFI\Microsoft\Boot\BCD", &content[..600]),
        file(r"EFI\Microsoft\Boot\A name that is long and has ü.txt", &[]),
    ];
    let mut volume = vec![0; options.size.bytes() as usize];
    for (at, bytes) in fat::build(&options, &files).expect("a small volume") {
        volume[at.0 as usize..][..bytes.len()].copy_from_slice(&bytes);
    }
    vec![volume]
}

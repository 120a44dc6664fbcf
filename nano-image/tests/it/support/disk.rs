//! A sample disk, the formats it is written in, and how to call foreign tools.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use nano_image::Seed;
use nano_image::content::{Extent, ReadAt};
use nano_image::disk::{self, FileLayout, FileOutput, Format, Output, StreamOutput, Subformat, gpt};
use nano_image::identity::Identity;
use nano_image::types::{ByteSize, DiskOffset, FileTime};

pub const SEED: Seed = Seed::from_bytes([7; 32]);
pub const IDENTITY: Identity = Identity { disk: SEED, bytes: SEED };

pub fn time() -> FileTime {
    FileTime::from_unix_seconds(1_468_627_200)
}

pub fn vhdx(subformat: Subformat, mib: u64) -> Format {
    Format::VHDX.with(Some(subformat), Some(ByteSize::mib(mib))).unwrap()
}

/// Every format in every subformat, with the usual, the smallest and the largest blocks.
pub fn formats() -> Vec<Format> {
    let mut formats: Vec<Format> = Vec::new();
    for format in Format::all() {
        let subformats = Subformat::ALL.iter().map(|subformat| format.with(Some(*subformat), None));
        for format in subformats.flatten().chain([format]) {
            let mut sizes: Vec<ByteSize> = (9..=28).map(|bits| ByteSize::new(1 << bits)).collect();
            sizes.retain(|size| format.with(format.subformat(), Some(*size)).is_ok());
            let ends = sizes.first().into_iter().chain(sizes.last());
            let ends = ends.map(|size| format.with(format.subformat(), Some(*size)).unwrap());
            formats.extend(ends.chain([format]));
        }
    }
    let mut all: Vec<Format> = Vec::new();
    for format in formats {
        if !all.contains(&format) {
            all.push(format);
        }
    }
    assert!(all.contains(&Format::AZURE) && all.contains(&vhdx(Subformat::Dynamic, 256)), "{all:?}");
    all
}

/// A disk: ascending pieces, zeros between them.
pub struct Disk {
    pub size: ByteSize,
    pub pieces: Vec<(DiskOffset, Vec<u8>)>,
}

impl Disk {
    /// A partitioned disk with data on, before and behind block borders.
    pub fn sample(size: ByteSize) -> Self {
        let table = gpt::Table { disk_guid: SEED.guid("disk"), partitions: partitions(size) };
        let mut ends = gpt::build(&table, size, 512).unwrap();
        let tail = ends.pop().unwrap();
        let mut pieces = ends;
        let end = size.bytes();
        let near =
            [(1 << 20, 5000), ((2 << 20) - 512, 1024), ((5 << 20) + 7, 3 << 20), (32 << 20, 1), (40 << 20, 4096)];
        let chunk = 4 << 30;
        let far = [(chunk - 100, 200), (2 * chunk, 1 << 20), (end - (3 << 20), (2 << 20) + 1)];
        for (start, len) in near.into_iter().chain(far).filter(|(start, len)| start + len < tail.0.0) {
            if pieces.last().is_none_or(|(at, bytes)| at.0 + bytes.len() as u64 <= start) {
                pieces.push((DiskOffset(start), noise(start, len as usize)));
            }
        }
        pieces.push(tail);
        Self { size, pieces }
    }

    pub fn used(&self) -> Vec<Extent> {
        self.pieces.iter().map(|(at, bytes)| Extent { start: at.0, len: bytes.len() as u64 }).collect()
    }

    pub fn layout(&self, format: Format) -> FileLayout {
        FileLayout::new(format, self.size, &self.used(), &IDENTITY, time()).unwrap()
    }

    pub fn write(&self, file_layout: &FileLayout, output: &mut dyn Output) {
        let mut writer = file_layout.writer(output).unwrap();
        for (at, bytes) in &self.pieces {
            // In uneven pieces, as a decompressor delivers them.
            for (start, piece) in (at.0..).step_by(70_001).zip(bytes.chunks(70_001)) {
                writer.write_at(DiskOffset(start), piece).unwrap();
            }
        }
        writer.finish().unwrap();
    }

    pub fn write_file(&self, format: Format, path: &Path) {
        let file_layout = self.layout(format);
        self.write(&file_layout, &mut FileOutput::create(path).unwrap());
        is_length(&file_layout, fs::metadata(path).unwrap().len());
    }

    pub fn check(&self, reader: &dyn ReadAt) {
        assert_eq!(reader.len().unwrap(), self.size.bytes());
        let mut end = 0;
        for (at, bytes) in &self.pieces {
            let mut read = vec![1; bytes.len()];
            reader.read_exact_at(&mut read, at.0).unwrap();
            assert!(read == *bytes, "the piece at {at:?} differs");
            let mut gap = vec![1; (at.0 - end).min(8 << 20) as usize];
            reader.read_exact_at(&mut gap, end).unwrap();
            assert!(gap.iter().all(|&byte| byte == 0), "the gap before {at:?} is not zero");
            end = at.0 + bytes.len() as u64;
        }
        assert!(reader.read_exact_at(&mut [0; 2], self.size.bytes() - 1).is_err());
    }
}

/// That a file has the length that its layout tells; a compressed one has no more.
pub fn is_length(file_layout: &FileLayout, len: u64) {
    let told = file_layout.file_size().bytes();
    let is_right = if file_layout.is_packed() { len <= told } else { len == told };
    assert!(is_right, "{:?}: {len} bytes, {told} were told", file_layout.format());
}

pub fn partitions(size: ByteSize) -> Vec<gpt::Partition> {
    let mib = |n: u64| n << 20;
    let spans = [
        (gpt::EFI_SYSTEM, "EFI system partition", 1, 16),
        (gpt::MICROSOFT_RESERVED, "Microsoft reserved partition", 17, 16),
        (gpt::BASIC_DATA, "Basic data partition", 33, size.bytes() / mib(1) - 34),
    ];
    spans
        .map(|(type_guid, name, start, len)| gpt::Partition {
            type_guid,
            guid: SEED.guid(name),
            name: name.into(),
            attributes: if type_guid == gpt::BASIC_DATA { 0 } else { gpt::ATTRIBUTE_NO_DRIVE_LETTER },
            start: DiskOffset(mib(start)),
            len: ByteSize::new(mib(len)),
        })
        .to_vec()
}

/// Bytes that do not compress, different for every `seed`.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Runs a tool that must exist and succeed.
pub fn run(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).output();
    let output = output.unwrap_or_else(|e| panic!("{tool} is needed for this test: {e}"));
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments:?}: {text}");
    text.into_owned()
}

pub fn open(path: &Path) -> disk::DiskReader {
    disk::open(Arc::new(File::open(path).unwrap())).unwrap()
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub fn to_bytes(disk: &Disk, format: Format) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file_layout = disk.layout(format);
    disk.write(&file_layout, &mut StreamOutput::new(&mut bytes, "memory"));
    bytes
}

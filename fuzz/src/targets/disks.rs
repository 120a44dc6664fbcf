//! Disk image formats and partition tables.

use std::io::ErrorKind;
use std::sync::Arc;

use nano_image::content::{Extent, ReadAt};
use nano_image::disk::{self, FileLayout, Output, gpt, mbr};
use nano_image::identity::Identity;
use nano_image::types::{ByteSize, DiskOffset, FileTime, Guid};
use nano_image::{Format, Result, Seed};

use super::Input;
use crate::Target;

pub const VHDX: Target = Target { name: "vhdx", run: disk_image, seeds: || seeds(Format::VHDX), rounds: 4000 };
pub const VHD: Target = Target { name: "vhd", run: disk_image, seeds: || seeds(Format::VHD), rounds: 4000 };
pub const QCOW2: Target =
    Target { name: "qcow2", run: disk_image, seeds: || seeds(Format::named("qcow2").expect("a format")), rounds: 4000 };
pub const GPT: Target = Target { name: "gpt", run: gpt, seeds: gpt_seeds, rounds: 20_000 };
pub const MBR: Target = Target { name: "mbr", run: mbr, seeds: mbr_seeds, rounds: 20_000 };

const SEED: Seed = Seed::from_bytes([7; 32]);
const IDENTITY: Identity = Identity { disk: SEED, bytes: SEED };
/// A larger disk is not written again.
const MAX_DISK: u64 = 64 << 20;

/// An image that can be opened tells where all of its bytes belong, and its contents can be written to an image again.
fn disk_image(input: &[u8]) -> bool {
    let file = Arc::new(input.to_vec());
    disk::check(&*file);
    let Ok(reader) = disk::open(file) else { return false };
    let mut end = 0;
    for (part, _) in reader.file_contents() {
        assert_eq!(part.start, end, "a byte of the file belongs to nothing, or to two things");
        end = part.end();
    }
    assert_eq!(end, input.len() as u64, "the contents end before the file, or behind it");
    let (size, allocated) = (reader.size(), reader.allocated());
    assert!(allocated.windows(2).all(|pair| pair[0].end() <= pair[1].start), "extents overlap");
    assert!(allocated.iter().all(|part| part.end() <= size.bytes()), "extents behind the end of the disk");
    if size.bytes() > MAX_DISK || reader.logical_sector_size() != 512 || !size.bytes().is_multiple_of(512) {
        return true;
    }
    let mut contents = vec![0; size.bytes() as usize];
    if let Err(error) = reader.read_exact_at(&mut contents, 0) {
        // Clusters of a qcow2 file may be compressed: damage in them shows when they are read.
        assert_eq!(error.kind(), ErrorKind::InvalidData, "what is open can be read: {error}");
        return true;
    }
    if let Ok(written) = write(reader.format(), size, &allocated, &contents) {
        let again = disk::open(Arc::new(written)).expect("what was written can be opened");
        let mut read = vec![1; contents.len()];
        again.read_exact_at(&mut read, 0).expect("what was written can be read");
        assert!(read == contents, "the disk has other contents when it is written again");
    }
    true
}

fn write(format: Format, size: ByteSize, used: &[Extent], contents: &[u8]) -> Result<Vec<u8>> {
    let file_layout = FileLayout::new(format, size, used, &IDENTITY, FileTime(131_131_008_000_000_000))?;
    let mut output = Memory(Vec::new());
    let mut writer = file_layout.writer(&mut output)?;
    for part in used {
        writer.write_at(DiskOffset(part.start), &contents[part.start as usize..part.end() as usize])?;
    }
    writer.finish()?;
    Ok(output.0)
}

struct Memory(Vec<u8>);

impl Output for Memory {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn skip(&mut self, zeros: u64) -> Result<()> {
        self.0.resize(self.0.len() + zeros as usize, 0);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

fn seeds(format: Format) -> Vec<Vec<u8>> {
    let size = ByteSize::mib(8);
    let contents: Vec<u8> = (0..size.bytes()).map(|at| (at / 4096 % 251) as u8).collect();
    let part = |start, len| Extent { start, len };
    let used = [&[part(0, 512)][..], &[part(4096, 8192), part(5 << 20, 100 << 10)], &[]];
    used.iter().map(|used| write(format, size, used, &contents).expect("a small disk")).collect()
}

/// What the reader accepts is written so that it reads the same, unless the writer refuses it.
fn gpt(input: &[u8]) -> bool {
    let (len, disk) = (input.len() as u64, Input(input));
    let is_clean = gpt::check(&disk, 512).counts().is_empty();
    let table = match gpt::read(&disk, 512) {
        Ok(Some(table)) => table,
        Ok(None) => return false,
        Err(error) => {
            assert!(!is_clean, "the check finds nothing, and yet: {error}");
            return false;
        }
    };
    if let Ok(parts) = gpt::build(&table, ByteSize::new(len), 512) {
        let mut disk = vec![0; input.len()];
        for (at, bytes) in parts {
            disk[at.0 as usize..][..bytes.len()].copy_from_slice(&bytes);
        }
        assert_eq!(gpt::read(&disk, 512).expect("it was just written"), Some(table));
    }
    true
}

fn gpt_seeds() -> Vec<Vec<u8>> {
    let size = ByteSize::new(128 << 10);
    let partition = |number: u64, name: &str| gpt::Partition {
        type_guid: gpt::BASIC_DATA,
        guid: Guid::from_bytes([number as u8 + 1; 16]),
        name: name.into(),
        attributes: number << 60,
        start: DiskOffset((48 + 32 * number) * 512),
        len: ByteSize::new(32 * 512),
    };
    let tables = [vec![], vec![partition(0, "EFI system partition"), partition(2, "ü\u{1F600}")]];
    let build = |partitions| {
        let table = gpt::Table { disk_guid: Guid::from_bytes([9; 16]), partitions };
        let mut disk = vec![0; size.bytes() as usize];
        for (at, bytes) in gpt::build(&table, size, 512).expect("a small disk") {
            disk[at.0 as usize..][..bytes.len()].copy_from_slice(&bytes);
        }
        disk
    };
    tables.into_iter().map(build).collect()
}

/// Like [`gpt`].
fn mbr(input: &[u8]) -> bool {
    let Ok(Some(record)) = mbr::read(&Input(input), 512) else { return false };
    if let Ok(sector) = mbr::build(&record) {
        assert_eq!(mbr::read(&sector.to_vec(), 512).expect("it was just written"), Some(record));
    }
    true
}

fn mbr_seeds() -> Vec<Vec<u8>> {
    let partition = |number: u64| mbr::Partition {
        partition_type: mbr::TYPE_NTFS,
        active: number == 0,
        start: DiskOffset((1 + number) << 20),
        len: ByteSize::mib(1),
    };
    let record = mbr::Mbr {
        disk_signature: 0x1234_5678,
        boot_code: vec![0x90; 64],
        partitions: (0..4).map(partition).collect(),
    };
    let empty = mbr::Mbr { disk_signature: 1, boot_code: Vec::new(), partitions: Vec::new() };
    [record, empty].iter().map(|record| mbr::build(record).expect("a record").to_vec()).collect()
}

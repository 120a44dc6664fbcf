//! Partition tables, judged by gdisk.

use crate::support::disk::*;
use nano_image::ErrorKind;
use nano_image::disk::{Format, gpt, mbr};
use nano_image::types::{ByteSize, DiskOffset, Guid};

#[test]
fn partition_tables_please_gdisk() {
    let folder = tempfile::tempdir().unwrap();
    for size in [ByteSize::mib(64), ByteSize::new((100 << 20) + 512 * 7), ByteSize::tib(3)] {
        let path = folder.path().join("disk.raw");
        let table = gpt::Table { disk_guid: SEED.guid("disk"), partitions: partitions(size) };
        let disk = Disk { size, pieces: gpt::build(&table, size, 512).unwrap() };
        disk.write_file(Format::RAW, &path);
        let report = run("sgdisk", &["-v", text(&path)]);
        assert!(report.contains("No problems found"), "{report}");
        assert!(!report.contains("Warning"), "{report}");
        let report = run("sgdisk", &["-i", "1", text(&path)]);
        assert!(report.to_lowercase().contains(&gpt::EFI_SYSTEM.to_string()), "{report}");
        assert!(report.to_lowercase().contains(&SEED.guid("EFI system partition").to_string()), "{report}");
        assert!(report.contains("Attribute flags: 8000000000000000"), "{report}");
        assert_eq!(gpt::read(&open(&path), 512).unwrap().unwrap(), table);
        assert_eq!(mbr::read(&open(&path), 512).unwrap().unwrap().partitions[0].partition_type, mbr::TYPE_GPT);
    }
}

#[test]
fn a_damaged_primary_table_is_read_from_the_backup() {
    for sector_size in [512, 4096] {
        let size = ByteSize::mib(64);
        let table = gpt::Table { disk_guid: SEED.guid("disk"), partitions: partitions(size) };
        let disk = Disk { size, pieces: gpt::build(&table, size, sector_size).unwrap() };
        let mut bytes = to_bytes(&disk, Format::RAW);
        assert_eq!(gpt::read(&bytes, sector_size).unwrap().unwrap(), table);
        bytes[2 * sector_size as usize + 40] ^= 1;
        assert_eq!(gpt::read(&bytes, sector_size).unwrap().unwrap(), table);
        bytes[sector_size as usize] ^= 1;
        assert_eq!(gpt::read(&bytes, sector_size).unwrap().unwrap(), table);
        let end = bytes.len();
        bytes[end - sector_size as usize + 20] ^= 1;
        assert_eq!(gpt::read(&bytes, sector_size).unwrap_err().kind(), ErrorKind::Corrupt);
        bytes[end - sector_size as usize] ^= 1;
        assert_eq!(gpt::read(&bytes, sector_size).unwrap(), None);
    }
}

#[test]
fn bad_partitions_are_refused() {
    let size = ByteSize::mib(64);
    let good = partitions(size);
    let refused = |change: &dyn Fn(&mut Vec<gpt::Partition>)| {
        let mut partitions = good.clone();
        change(&mut partitions);
        let table = gpt::Table { disk_guid: Guid::NIL, partitions };
        gpt::build(&table, size, 512).unwrap_err().kind()
    };
    assert_eq!(refused(&|p| p[0].start = DiskOffset(512)), ErrorKind::TooSmall);
    assert_eq!(refused(&|p| p[2].len = ByteSize::mib(31)), ErrorKind::TooSmall);
    assert_eq!(refused(&|p| p[2].len = ByteSize::new(u64::MAX - 511)), ErrorKind::TooSmall);
    assert_eq!(refused(&|p| p[1].start = DiskOffset(2 << 20)), ErrorKind::Recipe);
    assert_eq!(refused(&|p| p[1].start = DiskOffset((17 << 20) + 1)), ErrorKind::Recipe);
    assert_eq!(refused(&|p| p[1].name = "n".repeat(37)), ErrorKind::Recipe);
}

#[test]
fn mutated_partition_tables_give_errors() {
    let size = ByteSize::mib(64);
    let table = gpt::Table { disk_guid: SEED.guid("disk"), partitions: partitions(size) };
    let good = gpt::build(&table, size, 512).unwrap();
    let mut bytes = vec![0; size.bytes() as usize];
    for round in 0..2000u64 {
        for (at, piece) in &good {
            bytes[at.0 as usize..][..piece.len()].copy_from_slice(piece);
        }
        let random = noise(round * 31 + 1, 8);
        for hit in 0..3 {
            bytes[512 + usize::from(random[hit]) * 3 % 1000] = random[hit + 3];
        }
        // The header's sum, so that its fields are looked at.
        bytes[528..532].fill(0);
        let sum = crc32(&bytes[512..604]);
        bytes[528..532].copy_from_slice(&sum.to_le_bytes());
        if let Ok(Some(read)) = gpt::read(&bytes, 512) {
            assert!(read.partitions.iter().all(|p| p.start.0 + p.len.bytes() <= size.bytes()));
        }
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 != 0 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

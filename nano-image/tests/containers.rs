//! Containers and partition tables, judged by QEMU, libvhdi, 7-Zip, gdisk and the crate `vhdx`.
#![allow(clippy::disallowed_methods, reason = "tests call foreign tools")]

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use nano_image::content::{Extent, ReadAt};
use nano_image::disk::{self, Container, FileOutput, Format, Output, StreamOutput, Subformat, gpt, mbr};
use nano_image::types::{ByteSize, DiskOffset, FileTime, Guid};
use nano_image::{ErrorKind, Seed};

const SEED: Seed = Seed::from_bytes([7; 32]);

fn time() -> FileTime {
    FileTime::from_unix_seconds(1_468_627_200)
}

fn vhdx(subformat: Subformat, mib: u64) -> Format {
    Format::Vhdx { subformat, block_size: ByteSize::mib(mib) }
}

/// Every format, with QEMU's name for it.
fn formats() -> Vec<(Format, &'static str)> {
    use Subformat::{Dynamic, Fixed};
    vec![
        (Format::Raw, "raw"),
        (vhdx(Dynamic, 1), "vhdx"),
        (vhdx(Dynamic, 32), "vhdx"),
        (vhdx(Dynamic, 256), "vhdx"),
        (vhdx(Fixed, 1), "vhdx"),
        (vhdx(Fixed, 32), "vhdx"),
        (Format::VHD, "vpc"),
        (Format::Vhd { subformat: Dynamic, block_size: ByteSize::kib(512) }, "vpc"),
        (Format::AZURE, "vpc"),
    ]
}

/// A disk: ascending pieces, zeros between them.
struct Disk {
    size: ByteSize,
    pieces: Vec<(DiskOffset, Vec<u8>)>,
}

impl Disk {
    /// A partitioned disk with data on, before and behind block borders.
    fn sample(size: ByteSize) -> Self {
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

    fn used(&self) -> Vec<Extent> {
        self.pieces.iter().map(|(at, bytes)| Extent { start: at.0, len: bytes.len() as u64 }).collect()
    }

    fn lay_out(&self, format: Format) -> Container {
        Container::lay_out(format, self.size, &self.used(), &SEED, time()).unwrap()
    }

    fn write(&self, container: &Container, output: &mut dyn Output) {
        let mut writer = container.writer(output).unwrap();
        for (at, bytes) in &self.pieces {
            // In uneven pieces, as a decompressor delivers them.
            for (start, piece) in (at.0..).step_by(70_001).zip(bytes.chunks(70_001)) {
                writer.write_at(DiskOffset(start), piece).unwrap();
            }
        }
        writer.finish().unwrap();
    }

    fn write_file(&self, format: Format, path: &Path) {
        let container = self.lay_out(format);
        self.write(&container, &mut FileOutput::create(path).unwrap());
        assert_eq!(container.file_size().bytes(), fs::metadata(path).unwrap().len(), "{format:?}");
    }

    fn check(&self, reader: &dyn ReadAt) {
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

fn partitions(size: ByteSize) -> Vec<gpt::Partition> {
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
fn noise(seed: u64, len: usize) -> Vec<u8> {
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
fn run(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).output();
    let output = output.unwrap_or_else(|e| panic!("{tool} is needed for this test: {e}"));
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments:?}: {text}");
    text.into_owned()
}

fn open(path: &Path) -> disk::DiskReader {
    disk::open(Arc::new(File::open(path).unwrap())).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn every_container_holds_the_same_disk() {
    let folder = tempfile::tempdir().unwrap();
    let size = ByteSize::mib(97);
    let disk = Disk::sample(size);
    let raw = folder.path().join("disk.raw");
    disk.write_file(Format::Raw, &raw);
    for (number, (format, qemu)) in formats().into_iter().enumerate() {
        let path = folder.path().join(format!("{number}.{}", format.extension()));
        disk.write_file(format, &path);
        // QEMU finds out by itself what all but a fixed VHD are: that has its signature at the end.
        let named: &[&str] = if format == Format::AZURE { &["-f", "vpc"] } else { &[] };
        let info = run("qemu-img", &[&["info", "--output=json", text(&path)], named].concat());
        let info: serde_json::Value = serde_json::from_str(&info).unwrap();
        assert_eq!(info["virtual-size"], size.bytes(), "{format:?}");
        assert_eq!(info["format"], qemu, "{format:?}");
        run("qemu-img", &["compare", "-f", "raw", "-F", qemu, text(&raw), text(&path)]);
        let back = folder.path().join("back.raw");
        run("qemu-img", &["convert", "-f", qemu, "-O", "raw", text(&path), text(&back)]);
        assert!(fs::read(&back).unwrap() == fs::read(&raw).unwrap(), "{format:?}");
        if qemu == "vhdx" {
            assert!(run("qemu-img", &["check", text(&path)]).contains("No errors were found"), "{format:?}");
        }
        if qemu != "raw" {
            let info = run("vhdiinfo", &[text(&path)]);
            assert!(info.contains(&format!("({} bytes)", size.bytes())), "{info}");
        }
        let list = run("7zz", &["l", text(&path)]);
        assert!(!list.contains("Warning") && !list.contains("ERROR"), "{format:?}: {list}");
        let reader = open(&path);
        assert_eq!(reader.size(), size);
        match reader.format() {
            Format::Vhd { subformat: Subformat::Fixed, .. } => assert_eq!(format, Format::AZURE),
            read => assert_eq!(read, format),
        }
        disk.check(&reader);
    }
}

#[test]
fn a_pipe_gets_the_same_bytes_as_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::sample(ByteSize::mib(67));
    for (format, _) in formats() {
        let path = folder.path().join("file");
        disk.write_file(format, &path);
        let (mut from, to) = io::pipe().unwrap();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let container = disk.lay_out(format);
        disk.write(&container, &mut StreamOutput::new(to, "pipe"));
        let piped = reader.join().unwrap();
        assert!(piped == fs::read(&path).unwrap(), "{format:?}");
    }
}

#[test]
fn the_crate_vhdx_reads_a_dynamic_vhdx() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.vhdx");
    let disk = Disk::sample(ByteSize::mib(97));
    disk.write_file(Format::VHDX, &path);
    let mut file = vhdx::Vhdx::load(&path);
    // Its reader panics instead of ending.
    let mut bytes = vec![0; disk.size.bytes() as usize];
    file.reader().read_exact(&mut bytes).unwrap();
    disk.check(&bytes);
}

#[test]
fn the_largest_disks() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("disk"), folder.path().join("copy"));
    for (format, size, qemu) in [
        // The block allocation table has bitmap entries every 4 GiB, whatever the block size.
        (Format::VHDX, ByteSize::tib(64), "vhdx"),
        (vhdx(Subformat::Dynamic, 32), ByteSize::gib(300), "vhdx"),
        (Format::VHD, ByteSize::gib(2040), "vpc"),
    ] {
        let disk = Disk::sample(size);
        disk.write_file(format, &path);
        disk.check(&open(&path));
        let info = run("qemu-img", &["info", "-f", qemu, "--output=json", text(&path)]);
        let info: serde_json::Value = serde_json::from_str(&info).unwrap();
        assert_eq!(info["virtual-size"], size.bytes());
        if qemu == "vhdx" {
            run("qemu-img", &["check", text(&path)]);
        }
        for (at, bytes) in &disk.pieces {
            let (start, inside) = (at.0 >> 20 << 20, (at.0 & 0xF_FFFF) as usize);
            let size = (inside + bytes.len()).next_multiple_of(1 << 20);
            let part = format!(
                "driver=raw,offset={start},size={size},file.driver={qemu},file.file.driver=file,file.file.filename={}",
                text(&path)
            );
            run("qemu-img", &["convert", "--image-opts", "-O", "raw", &part, text(&copy)]);
            assert!(fs::read(&copy).unwrap()[inside..][..bytes.len()] == *bytes, "{format:?}: the piece at {at:?}");
        }
    }
    let over = |format, size: ByteSize| {
        let size = ByteSize::new(size.bytes() + (1 << 20));
        Container::lay_out(format, size, &[], &SEED, time()).unwrap_err().kind()
    };
    assert_eq!(over(Format::VHDX, ByteSize::tib(64)), ErrorKind::Recipe);
    assert_eq!(over(Format::VHD, ByteSize::gib(2040)), ErrorKind::Recipe);
}

#[test]
fn a_fixed_disk_of_64_tib_needs_no_memory_for_its_table() {
    /// Keeps only what is not zero.
    #[derive(Default)]
    struct Sparse {
        len: u64,
        written: u64,
    }
    impl Output for Sparse {
        fn write_all(&mut self, bytes: &[u8]) -> nano_image::Result<()> {
            self.len += bytes.len() as u64;
            self.written += bytes.len() as u64;
            Ok(())
        }
        fn skip(&mut self, zeros: u64) -> nano_image::Result<()> {
            self.len += zeros;
            Ok(())
        }
        fn finish(&mut self) -> nano_image::Result<()> {
            Ok(())
        }
    }
    let container = Container::lay_out(vhdx(Subformat::Fixed, 1), ByteSize::tib(64), &[], &SEED, time()).unwrap();
    let mut output = Sparse::default();
    container.writer(&mut output).unwrap().finish().unwrap();
    assert_eq!(output.len, container.file_size().bytes());
    assert!(output.written > 8 << 26);
}

#[test]
fn files_are_sparse_and_deterministic() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let disk = Disk::sample(ByteSize::mib(300));
    for (format, _) in formats() {
        disk.write_file(format, &one);
        // An old file's bytes must not shine through the holes.
        fs::write(&two, noise(1, 6 << 20)).unwrap();
        disk.write_file(format, &two);
        run("cmp", &[text(&one), text(&two)]);
        let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&one).unwrap());
        assert!(blocks * 512 < 16 << 20, "{format:?} takes {blocks} sectors");
    }
}

#[test]
fn images_of_qemu_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("disk.raw");
    let disk = Disk::sample(ByteSize::mib(510));
    disk.write_file(Format::Raw, &raw);
    let kinds = [
        ("vhdx", "subformat=dynamic", Some(Subformat::Dynamic)),
        ("vhdx", "subformat=fixed,block_size=1M", Some(Subformat::Fixed)),
        ("vhdx", "subformat=dynamic,block_size=2M,block_state_zero=off", Some(Subformat::Dynamic)),
        ("vpc", "subformat=dynamic,force_size=on", Some(Subformat::Dynamic)),
        ("vpc", "subformat=fixed,force_size=on", Some(Subformat::Fixed)),
    ];
    for (qemu, options, expected) in kinds {
        let path = folder.path().join(qemu);
        run("qemu-img", &["convert", "-f", "raw", "-O", qemu, "-o", options, text(&raw), text(&path)]);
        let reader = open(&path);
        let (Format::Vhdx { subformat, .. } | Format::Vhd { subformat, .. }) = reader.format() else {
            panic!("{options} was read as {:?}", reader.format())
        };
        assert_eq!(Some(subformat), expected, "{options}");
        disk.check(&reader);
    }
}

#[test]
fn a_vhdx_with_a_log_and_a_differencing_vhd_are_refused() {
    let disk = Disk::sample(ByteSize::mib(64));
    let mut bytes = to_bytes(&disk, Format::VHDX);
    for header in [64 << 10, 128 << 10] {
        bytes[header + 48] = 1;
        bytes[header + 4..header + 8].fill(0);
        let sum = crc32c::crc32c(&bytes[header..header + 4096]);
        bytes[header + 4..header + 8].copy_from_slice(&sum.to_le_bytes());
    }
    let error = disk::open(Arc::new(bytes)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.hint().unwrap().contains("qemu-img"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let (parent, child) = (folder.path().join("parent.vhdx"), folder.path().join("child.vhd"));
    disk.write_file(Format::VHD, &parent);
    let mut bytes = fs::read(&parent).unwrap();
    let end = bytes.len();
    for footer in [0, end - 512] {
        bytes[footer + 63] = 4;
        let sum = !bytes[footer..footer + 512]
            .iter()
            .enumerate()
            .fold(0u32, |sum, (i, &byte)| sum + if (64..68).contains(&i) { 0 } else { u32::from(byte) });
        bytes[footer + 64..footer + 68].copy_from_slice(&sum.to_be_bytes());
    }
    fs::write(&child, bytes).unwrap();
    let error = disk::open(Arc::new(File::open(&child).unwrap())).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

fn to_bytes(disk: &Disk, format: Format) -> Vec<u8> {
    let mut bytes = Vec::new();
    let container = disk.lay_out(format);
    disk.write(&container, &mut StreamOutput::new(&mut bytes, "memory"));
    bytes
}

/// An image with other bytes in some places.
struct Damaged {
    good: Arc<Vec<u8>>,
    /// Where `Self::bytes` differ: the structures, which all lie before the first block or in the footer.
    spans: [(usize, Vec<u8>); 2],
    len: usize,
}

impl ReadAt for Damaged {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len as u64) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.good.read_exact_at(buf, offset)?;
        let (start, end) = (offset as usize, offset as usize + buf.len());
        for (at, bytes) in &self.spans {
            let (from, to) = (start.max(*at), end.min(at + bytes.len()));
            if from < to {
                buf[from - start..to - start].copy_from_slice(&bytes[from - at..to - at]);
            }
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.len as u64)
    }
}

#[test]
fn damaged_images_give_errors() {
    let disk = Disk::sample(ByteSize::mib(64));
    for format in [Format::VHDX, vhdx(Subformat::Fixed, 1), Format::VHD] {
        let good = Arc::new(to_bytes(&disk, format));
        let vhdx = matches!(format, Format::Vhdx { .. });
        let end = good.len();
        let (head, tail) = if vhdx { (4 << 20, end) } else { (4096, end - 512) };
        // Where structures are: change bytes there, mend the checksums half of the time, then read everything.
        const MIB: usize = 1 << 20;
        let places: &[(usize, usize)] = if vhdx {
            &[
                (65536, 80),
                (131072, 80),
                (196608, 80),
                (262144, 80),
                (2 * MIB, 200),
                (2 * MIB + 65536, 48),
                (3 * MIB, 600),
            ]
        } else {
            &[(0, 100), (512, 100), (1536, 256), (end - 512, 100)]
        };
        let mut errors = 0;
        for round in 0..1000u64 {
            let mut spans = [(0, good[..head].to_vec()), (tail, good[tail..].to_vec())];
            let random = noise(round * 7919 + 3, 16);
            for hit in 0..1 + usize::from(random[0] % 3) {
                let (start, len) = places[usize::from(random[hit * 4 + 1]) % places.len()];
                let at = start + usize::from(random[hit * 4 + 2]) * 7 % len;
                let (span, bytes) = spans.iter_mut().rfind(|(start, _)| *start <= at).unwrap();
                let byte = &mut bytes[at - *span];
                *byte = [0, 0xFF, *byte ^ 0x80, random[hit * 4 + 4]][usize::from(random[hit * 4 + 3] % 4)];
            }
            if random[0] & 0x80 != 0 {
                mend(&mut spans, vhdx);
            }
            let len = if random[15].is_multiple_of(16) { end * usize::from(random[14]) / 256 } else { end };
            match disk::open(Arc::new(Damaged { good: good.clone(), spans, len })) {
                Err(_) => errors += 1,
                Ok(reader) => {
                    let len = reader.size().bytes();
                    for start in (0..len).step_by(1 << 19).take(200) {
                        let _ = reader.read_exact_at(&mut [0; 512], start);
                    }
                    let _ = (reader.allocated(), gpt::read(&reader, 512), mbr::read(&reader));
                }
            }
        }
        assert!((100..990).contains(&errors), "{format:?}: {errors} of 1000 damaged images were refused");
    }
}

/// Makes checksums right again.
fn mend([(_, head), (_, tail)]: &mut [(usize, Vec<u8>); 2], vhdx: bool) {
    if vhdx {
        for (start, len) in [(65536, 4096), (131072, 4096), (196608, 65536), (262144, 65536)] {
            head[start + 4..start + 8].fill(0);
            let sum = crc32c::crc32c(&head[start..start + len]);
            head[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
        }
    } else {
        let (footer, header) = head.split_at_mut(512);
        for (bytes, field) in [(footer, 64), (&mut header[..1024], 36), (&mut tail[..], 64)] {
            bytes[field..field + 4].fill(0);
            let sum = !bytes.iter().fold(0u32, |sum, &byte| sum + u32::from(byte));
            bytes[field..field + 4].copy_from_slice(&sum.to_be_bytes());
        }
    }
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

#[test]
fn writes_outside_the_layout_are_refused() {
    let used = [Extent { start: 4096, len: 4096 }, Extent { start: 8192, len: 512 }, Extent { start: 1 << 20, len: 1 }];
    for (format, _) in formats() {
        let container = Container::lay_out(format, ByteSize::mib(4), &used, &SEED, time()).unwrap();
        let mut output = StreamOutput::new(io::sink(), "nowhere");
        let mut writer = container.writer(&mut output).unwrap();
        assert!(writer.write_at(DiskOffset(0), &[1]).is_err());
        writer.write_at(DiskOffset(5000), &[1; 3704]).unwrap();
        assert!(writer.write_at(DiskOffset(8600), &[1]).is_err(), "goes back");
        assert!(writer.write_at(DiskOffset(8704), &[1]).is_err(), "behind the extent");
        assert!(writer.write_at(DiskOffset(1 << 20), &[1, 2]).is_err(), "too long");
        writer.write_at(DiskOffset(1 << 20), &[1]).unwrap();
        writer.finish().unwrap();
    }
    let lay_out = |used: &[Extent]| Container::lay_out(Format::VHDX, ByteSize::mib(4), used, &SEED, time());
    assert_eq!(lay_out(&[Extent { start: 4 << 20, len: 1 }]).unwrap_err().kind(), ErrorKind::TooSmall);
    assert!(lay_out(&[Extent { start: 9, len: 2 }, Extent { start: 10, len: 1 }]).is_err());
    assert!(lay_out(&[Extent { start: u64::MAX, len: 2 }]).is_err());
    let bad = |format, bytes| Container::lay_out(format, ByteSize::new(bytes), &[], &SEED, time()).unwrap_err().kind();
    assert_eq!(bad(Format::AZURE, (1 << 20) + 512), ErrorKind::Recipe);
    assert_eq!(bad(Format::VHDX, 100), ErrorKind::Recipe);
    assert_eq!(bad(vhdx(Subformat::Dynamic, 3), 1 << 20), ErrorKind::Recipe);
    assert_eq!(bad(vhdx(Subformat::Dynamic, 512), 1 << 20), ErrorKind::Recipe);
}

#[test]
fn partition_tables_please_gdisk() {
    let folder = tempfile::tempdir().unwrap();
    for size in [ByteSize::mib(64), ByteSize::new((100 << 20) + 512 * 7), ByteSize::tib(3)] {
        let path = folder.path().join("disk.raw");
        let table = gpt::Table { disk_guid: SEED.guid("disk"), partitions: partitions(size) };
        let disk = Disk { size, pieces: gpt::build(&table, size, 512).unwrap() };
        disk.write_file(Format::Raw, &path);
        let report = run("sgdisk", &["-v", text(&path)]);
        assert!(report.contains("No problems found"), "{report}");
        assert!(!report.contains("Warning"), "{report}");
        let report = run("sgdisk", &["-i", "1", text(&path)]);
        assert!(report.to_lowercase().contains(&gpt::EFI_SYSTEM.to_string()), "{report}");
        assert!(report.to_lowercase().contains(&SEED.guid("EFI system partition").to_string()), "{report}");
        assert!(report.contains("Attribute flags: 8000000000000000"), "{report}");
        assert_eq!(gpt::read(&open(&path), 512).unwrap().unwrap(), table);
        assert_eq!(mbr::read(&open(&path)).unwrap().unwrap().partitions[0].partition_type, mbr::TYPE_GPT);
    }
}

#[test]
fn a_damaged_primary_table_is_read_from_the_backup() {
    for sector_size in [512, 4096] {
        let size = ByteSize::mib(64);
        let table = gpt::Table { disk_guid: SEED.guid("disk"), partitions: partitions(size) };
        let disk = Disk { size, pieces: gpt::build(&table, size, sector_size).unwrap() };
        let mut bytes = to_bytes(&disk, Format::Raw);
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
fn images_of_windows_are_read() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/vhd"));
    if !folder.exists() {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    for (name, unpack, qemu) in [
        ("hyperv2012r2-dynamic.vhd.bz2", "bzip2 -dc", "vpc"),
        ("iotest-dynamic-1G.vhdx.bz2", "bzip2 -dc", "vhdx"),
        ("ws2022-test.vhdx.zip", "unzip -p", "vhdx"),
    ] {
        let (image, raw) = (work.path().join("image"), work.path().join("raw"));
        let bytes =
            Command::new("sh").args(["-c", &format!("{unpack} {}", text(&folder.join(name)))]).output().unwrap();
        assert!(bytes.status.success());
        File::create(&image).unwrap().write_all(&bytes.stdout).unwrap();
        run("qemu-img", &["convert", "-f", qemu, "-O", "raw", text(&image), text(&raw)]);
        let (reader, raw) = (open(&image), File::open(&raw).unwrap());
        let len = ReadAt::len(&raw).unwrap();
        assert_eq!(reader.size().bytes(), len, "{name}");
        let (mut ours, mut theirs) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        for start in (0..len).step_by(1 << 20) {
            let n = (len - start).min(1 << 20) as usize;
            reader.read_exact_at(&mut ours[..n], start).unwrap();
            ReadAt::read_exact_at(&raw, &mut theirs[..n], start).unwrap();
            assert!(ours[..n] == theirs[..n], "{name} differs in the MiB at {start:#x}");
        }
    }
}

//! Containers, judged by QEMU, libvhdi, 7-Zip and the crate `vhdx`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::process::Command;
use std::sync::Arc;

use crate::support::disk::*;
use nano_image::ErrorKind;
use nano_image::content::{Extent, ReadAt};
use nano_image::disk::{self, FileLayout, Format, Output, StreamOutput, Subformat, gpt, mbr};
use nano_image::types::{ByteSize, DiskOffset};
use proptest::prelude::*;

#[test]
fn every_container_holds_the_same_disk() {
    let folder = tempfile::tempdir().unwrap();
    let size = ByteSize::mib(97);
    let disk = Disk::sample(size);
    let raw = folder.path().join("disk.raw");
    disk.write_file(Format::RAW, &raw);
    for (number, format) in formats().into_iter().enumerate() {
        let qemu = format.qemu_name();
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
        if !["raw", "vpc"].contains(&qemu) {
            assert!(run("qemu-img", &["check", text(&path)]).contains("No errors were found"), "{format:?}");
        }
        if ["vhdx", "vpc"].contains(&qemu) {
            let info = run("vhdiinfo", &[text(&path)]);
            assert!(info.contains(&format!("({} bytes)", size.bytes())), "{info}");
        }
        let list = run("7zz", &["l", text(&path)]);
        assert!(!list.contains("Warning") && !list.contains("ERROR"), "{format:?}: {list}");
        let reader = open(&path);
        assert_eq!(reader.size(), size);
        assert_eq!(reader.format(), format);
        disk.check(&reader);
    }
}

#[test]
fn a_pipe_gets_the_same_bytes_as_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::sample(ByteSize::mib(67));
    for format in formats() {
        let path = folder.path().join("file");
        disk.write_file(format, &path);
        let (mut from, to) = io::pipe().unwrap();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let file_layout = disk.layout(format);
        disk.write(&file_layout, &mut StreamOutput::new(to, "pipe"));
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
        FileLayout::new(format, size, &[], &IDENTITY, time()).unwrap_err().kind()
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
    let file_layout = FileLayout::new(vhdx(Subformat::Fixed, 1), ByteSize::tib(64), &[], &IDENTITY, time()).unwrap();
    let mut output = Sparse::default();
    file_layout.writer(&mut output).unwrap().finish().unwrap();
    assert_eq!(output.len, file_layout.file_size().bytes());
    assert!(output.written > 8 << 26);
}

#[test]
fn files_are_sparse_and_deterministic() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let disk = Disk::sample(ByteSize::mib(300));
    for format in formats() {
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
    disk.write_file(Format::RAW, &raw);
    let kinds = [
        ("vhdx", "subformat=dynamic", Some(Subformat::Dynamic)),
        ("vhdx", "subformat=fixed,block_size=1M", Some(Subformat::Fixed)),
        ("vhdx", "subformat=dynamic,block_size=2M,block_state_zero=off", Some(Subformat::Dynamic)),
        ("vpc", "subformat=dynamic,force_size=on", Some(Subformat::Dynamic)),
        ("vpc", "subformat=fixed,force_size=on", Some(Subformat::Fixed)),
        ("qcow2", "compat=1.1", None),
        ("qcow2", "compat=0.10,cluster_size=512", None),
        ("qcow2", "preallocation=metadata,cluster_size=2M", None),
        ("qcow2", "lazy_refcounts=on,compression_type=zstd", None),
        ("vmdk", "subformat=monolithicSparse", Some(Subformat::MonolithicSparse)),
        ("vmdk", "subformat=streamOptimized", Some(Subformat::StreamOptimized)),
    ];
    for (qemu, options, expected) in kinds {
        let path = folder.path().join(qemu);
        run("qemu-img", &["convert", "-f", "raw", "-O", qemu, "-o", options, text(&raw), text(&path)]);
        let reader = open(&path);
        assert_eq!((reader.format().qemu_name(), reader.format().subformat()), (qemu, expected), "{options}");
        disk.check(&reader);
    }
}

#[test]
fn what_is_not_read_is_named_with_what_helps() {
    let folder = tempfile::tempdir().unwrap();
    let (raw, other, back) = (folder.path().join("disk.raw"), folder.path().join("other"), folder.path().join("back"));
    let disk = Disk::sample(ByteSize::mib(67));
    disk.write_file(Format::RAW, &raw);
    let refused = |bytes: Vec<u8>| {
        let error = disk::open(Arc::new(bytes)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        error
    };
    let drivers = [("vdi", "VDI"), ("qed", "QED"), ("parallels", "Parallels")];
    for (driver, name) in drivers {
        run("qemu-img", &["convert", "-f", "raw", "-O", driver, text(&raw), text(&other)]);
        let error = refused(fs::read(&other).unwrap());
        assert!(error.message().contains(name), "{error}");
        // The command helps.
        let hint = error.hint().unwrap().split_once("qemu-img ").unwrap().1;
        let words: Vec<&str> = hint.split(' ').collect();
        let words = words.iter().map(|word| match *word {
            "IN" => text(&other),
            "OUT.vhdx" => text(&back),
            word => word,
        });
        run("qemu-img", &words.collect::<Vec<_>>());
        disk.check(&open(&back));
    }
    for (program, unpack, name) in [
        ("gzip", "gunzip", "gzip"),
        ("xz", "unxz", "xz"),
        ("zstd", "unzstd", "Zstandard"),
        ("bzip2", "bunzip2", "bzip2"),
    ] {
        let packed =
            Command::new(program).args(["-c", text(&raw)]).output().unwrap_or_else(|e| panic!("{program}: {e}"));
        let error = refused(packed.stdout);
        assert!(error.message().contains(name) && error.hint().unwrap().contains(unpack), "{error}");
    }
    let overlay = format!("backing_file={},backing_fmt=raw", text(&raw));
    for options in [&["-c"][..], &["-o", "compat=1.1"], &["-c", "-o", "cluster_size=4k"], &["-o", &overlay]] {
        let convert = ["convert", "-f", "raw", "-O", "qcow2"];
        run("qemu-img", &[&convert, options, &[text(&raw), text(&other)]].concat());
        disk.check(&disk::open_path(&other).unwrap());
    }
    // An overlay is read with what it builds on, or not at all.
    let error = refused(fs::read(&other).unwrap());
    assert!(error.message().contains("differencing") && error.hint().is_some(), "{error}");
    run(
        "qemu-img",
        &["convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zstd", text(&raw), text(&back)],
    );
    let error = refused(fs::read(&back).unwrap());
    assert!(error.message().contains("Zstandard") && error.hint().unwrap().contains("qemu-img"), "{error}");
    let raw_moved = folder.path().join("moved.raw");
    fs::rename(&raw, &raw_moved).unwrap();
    let error = disk::open_path(&other).err().unwrap();
    assert!(error.kind() == ErrorKind::NotFound && error.message().contains("disk.raw"), "{error}");
    fs::rename(&raw_moved, &raw).unwrap();
    // A disk keeps its bytes whatever they are, except at the start.
    let mut bytes = fs::read(&raw).unwrap();
    bytes[4096..4100].copy_from_slice(b"KDMV");
    assert_eq!(disk::open(Arc::new(bytes)).unwrap().format(), Format::RAW);
    // A VHDX that lost its first bytes is still known as one.
    let mut bytes = to_bytes(&disk, Format::VHDX);
    bytes[..8].fill(0);
    let error = disk::open(Arc::new(bytes)).err().unwrap();
    assert!(error.kind() == ErrorKind::Corrupt && error.message().contains("vhdxfile"), "{error}");
    let extension = |name: &str| disk::not_written(name).unwrap().hint().unwrap().to_owned();
    assert!(extension("VDI").contains("-O vdi") && disk::not_written("vhdx").is_none());
}

#[test]
fn disks_with_sectors_of_4096_bytes_are_known() {
    let volume = [&[0xEB, 0x52, 0x90][..], b"NTFS    ", &4096u16.to_le_bytes()].concat();
    let mut mbr = mbr::build(&mbr::Mbr {
        disk_signature: 7,
        boot_code: Vec::new(),
        partitions: vec![mbr::Partition {
            partition_type: mbr::TYPE_NTFS,
            active: true,
            start: DiskOffset(256 * 512),
            len: ByteSize::mib(1),
        }],
    })
    .unwrap()
    .to_vec();
    mbr.resize(4 << 20, 0);
    assert_eq!(disk::open(Arc::new(mbr.clone())).unwrap().logical_sector_size(), 512);
    // The same numbers of sectors, eight times as large.
    mbr[1 << 20..][..volume.len()].copy_from_slice(&volume);
    mbr[(1 << 20) + 510..][..2].copy_from_slice(&[0x55, 0xAA]);
    let reader = disk::open(Arc::new(mbr)).unwrap();
    assert_eq!(reader.logical_sector_size(), 4096);
    let table = mbr::read(&reader, 4096).unwrap().unwrap();
    assert_eq!(table.partitions[0].start, DiskOffset(1 << 20));

    let size = ByteSize::mib(64);
    let table = gpt::Table { disk_guid: SEED.guid("disk"), partitions: partitions(size) };
    let mut bytes = vec![0; size.bytes() as usize];
    for (at, piece) in gpt::build(&table, size, 4096).unwrap() {
        bytes[at.0 as usize..][..piece.len()].copy_from_slice(&piece);
    }
    let reader = disk::open(Arc::new(bytes)).unwrap();
    assert_eq!(reader.logical_sector_size(), 4096);
    assert_eq!(gpt::read(&reader, 4096).unwrap().unwrap().partitions.len(), 3);
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
    for format in [Format::VHDX, vhdx(Subformat::Fixed, 1), Format::VHD, Format::named("qcow2").unwrap()] {
        let good = Arc::new(to_bytes(&disk, format));
        let (vhdx, qcow2) = (format.name() == "vhdx", format.name() == "qcow2");
        let end = good.len();
        let (head, tail) = match format.name() {
            "vhdx" => (4 << 20, end),
            // Header, L1 table, refcount table, refcounts, L2 table.
            "qcow2" => (5 << 16, end),
            _ => (4096, end - 512),
        };
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
        } else if qcow2 {
            &[(0, 104), (1 << 16, 8), (4 << 16, 8192)]
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
            if random[0] & 0x80 != 0 && !qcow2 {
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
                    let _ = (reader.allocated(), gpt::read(&reader, 512), mbr::read(&reader, 512));
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
fn writes_outside_the_layout_are_refused() {
    let used = [Extent { start: 4096, len: 4096 }, Extent { start: 8192, len: 512 }, Extent { start: 1 << 20, len: 1 }];
    for format in formats() {
        let file_layout = FileLayout::new(format, ByteSize::mib(4), &used, &IDENTITY, time()).unwrap();
        let mut output = StreamOutput::new(io::sink(), "nowhere");
        let mut writer = file_layout.writer(&mut output).unwrap();
        assert!(writer.write_at(DiskOffset(0), &[1]).is_err());
        writer.write_at(DiskOffset(5000), &[1; 3704]).unwrap();
        assert!(writer.write_at(DiskOffset(8600), &[1]).is_err(), "goes back");
        assert!(writer.write_at(DiskOffset(8704), &[1]).is_err(), "behind the extent");
        assert!(writer.write_at(DiskOffset(1 << 20), &[1, 2]).is_err(), "too long");
        writer.write_at(DiskOffset(1 << 20), &[1]).unwrap();
        writer.finish().unwrap();
    }
    let layout = |used: &[Extent]| FileLayout::new(Format::VHDX, ByteSize::mib(4), used, &IDENTITY, time());
    assert_eq!(layout(&[Extent { start: 4 << 20, len: 1 }]).unwrap_err().kind(), ErrorKind::TooSmall);
    assert!(layout(&[Extent { start: 9, len: 2 }, Extent { start: 10, len: 1 }]).is_err());
    assert!(layout(&[Extent { start: u64::MAX, len: 2 }]).is_err());
    let bad = |format, bytes| FileLayout::new(format, ByteSize::new(bytes), &[], &IDENTITY, time()).unwrap_err().kind();
    assert_eq!(bad(Format::AZURE, (1 << 20) + 512), ErrorKind::Recipe);
    assert_eq!(bad(Format::VHDX, 100), ErrorKind::Recipe);
    for mib in [3, 512] {
        assert_eq!(Format::VHDX.with(None, Some(ByteSize::mib(mib))).unwrap_err().kind(), ErrorKind::Recipe);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_disk_reads_back(mib in 1..40u64, spans in prop::collection::vec((0..(40u64 << 20), 0..200_000usize), 0..8)) {
        let size = ByteSize::mib(mib);
        let (mut spans, mut pieces, mut expected) = (spans, Vec::new(), vec![0; size.bytes() as usize]);
        spans.sort_unstable();
        let mut end = 0;
        for (start, len) in spans {
            let start = start.max(end);
            let len = (len as u64).min(size.bytes().saturating_sub(start)) as usize;
            if len > 0 {
                let bytes = noise(start, len);
                expected[start as usize..][..len].copy_from_slice(&bytes);
                pieces.push((DiskOffset(start), bytes));
                end = start + len as u64;
            }
        }
        let disk = Disk { size, pieces };
        for format in formats() {
            // Blocks of 256 MiB only cost time here.
            if disk.layout(format).file_size() > ByteSize::mib(128) {
                continue;
            }
            let bytes = to_bytes(&disk, format);
            is_length(&disk.layout(format), bytes.len() as u64);
            let reader = disk::open(Arc::new(bytes)).unwrap();
            let mut read = vec![1; expected.len()];
            reader.read_exact_at(&mut read, 0).unwrap();
            prop_assert!(read == expected, "{:?}", format);
        }
    }
}

#[test]
fn images_of_windows_are_read() {
    let Some(folder) = fixtures::outside::shared("data/vhd") else { return };
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
        let allocated = reader.allocated();
        for start in (0..len).step_by(1 << 20) {
            // Of what is not in the file, which qemu-img left as holes of up to 127 GiB, the start of each MiB.
            let inside = allocated.iter().any(|part| part.start < start + (1 << 20) && start < part.end());
            let n = (len - start).min(if inside { 1 << 20 } else { 4096 }) as usize;
            reader.read_exact_at(&mut ours[..n], start).unwrap();
            ReadAt::read_exact_at(&raw, &mut theirs[..n], start).unwrap();
            assert!(ours[..n] == theirs[..n], "{name} differs in the MiB at {start:#x}");
        }
    }
}

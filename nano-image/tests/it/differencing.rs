//! Differencing disks, read with their parents by QEMU and 7-Zip.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use crate::support::disk::{Disk, IDENTITY, is_length, noise, run, text, time};
use nano_image::ErrorKind;
use nano_image::Seed;
use nano_image::content::{Extent, ReadAt};
use nano_image::disk::{FileLayout, FileOutput, Format, Parent, open, open_path};
use nano_image::identity::Identity;
use nano_image::types::{ByteSize, DiskOffset};

const CHILD: Identity = Identity { disk: Seed::from_bytes([8; 32]), bytes: Seed::from_bytes([9; 32]) };
const PAGE: u64 = 4096;

/// The disk of a parent with some pages changed: in the first and the last, in two chunks of a VHDX, on both sides of
/// their border, and one that becomes zero.
fn changed(disk: &Disk) -> (Vec<(DiskOffset, Vec<u8>)>, Vec<Extent>) {
    let (size, chunk) = (disk.size.bytes(), 4 << 30);
    let mut pieces = vec![
        (DiskOffset(0), noise(1, PAGE as usize)),
        (DiskOffset(5 << 20), noise(2, 3 * PAGE as usize)),
        (DiskOffset(6 << 20), vec![0; PAGE as usize]),
        (DiskOffset((7 << 20) - PAGE), noise(3, 2 * PAGE as usize)),
        (DiskOffset(chunk - PAGE), noise(4, 2 * PAGE as usize)),
        (DiskOffset(size - PAGE), noise(5, PAGE as usize)),
    ];
    pieces.retain(|(at, bytes)| at.0 + bytes.len() as u64 <= size);
    let used = pieces.iter().map(|(at, bytes)| Extent { start: at.0, len: bytes.len() as u64 }).collect();
    (pieces, used)
}

fn write_child(format: Format, parent: &Parent<'_>, disk: &Disk, path: &Path) -> FileLayout {
    let (pieces, used) = changed(disk);
    let file_layout = FileLayout::over_parent(Some(parent), format, disk.size, &used, &CHILD, time()).unwrap();
    let mut output = FileOutput::new(File::create(path).unwrap(), path).unwrap();
    let mut writer = file_layout.writer(&mut output).unwrap();
    pieces.iter().for_each(|(at, bytes)| writer.write_at(*at, bytes).unwrap());
    writer.finish().unwrap();
    is_length(&file_layout, fs::metadata(path).unwrap().len());
    file_layout
}

/// The raw disk that the child shall show.
fn write_reference(disk: &Disk, path: &Path) {
    use std::os::unix::fs::FileExt;
    disk.write_file(Format::RAW, path);
    let file = File::options().write(true).open(path).unwrap();
    changed(disk).0.iter().for_each(|(at, bytes)| file.write_all_at(bytes, at.0).unwrap());
}

/// That our reader finds in the child what the reference has: around all that changed, and in what the parent has.
fn same_as(child: &Path, disk: &Disk, reference: &Path) {
    let reader = open_path(child).unwrap();
    assert_eq!((reader.files().len(), reader.size()), (2, disk.size));
    let reference = File::open(reference).unwrap();
    let changed = changed(disk).1.into_iter();
    let parents = disk.pieces.iter().map(|(at, bytes)| Extent { start: at.0, len: bytes.len() as u64 });
    for extent in changed.chain(parents) {
        let start = extent.start.saturating_sub(3 * PAGE + 700);
        let len = (extent.len + 7 * PAGE).min(disk.size.bytes() - start) as usize;
        let (mut ours, mut expected) = (vec![0; len], vec![0; len]);
        reader.read_exact_at(&mut ours, start).unwrap();
        reference.read_exact_at(&mut expected, start).unwrap();
        assert!(ours == expected, "{}: at {start:#x}", child.display());
    }
}

#[test]
fn a_parent_that_is_gone_or_another_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::sample(ByteSize::mib(97));
    for format in [Format::VHDX, Format::VHD] {
        let golden = folder.path().join(format!("golden.{}", format.extension()));
        let child = folder.path().join(format!("child.{}", format.extension()));
        disk.write_file(format, &golden);
        let path = golden.file_name().unwrap().to_str().unwrap().to_owned();
        let wrong = Identity { disk: CHILD.disk, bytes: Seed::from_bytes([3; 32]) };
        for (identity, is_right) in [(&IDENTITY, true), (&wrong, false)] {
            let parent = Parent { path: &path, format: format.qemu_name(), identity, time: time() };
            write_child(format.differencing(None).unwrap(), &parent, &disk, &child);
            match open_path(&child) {
                Ok(reader) => assert!(is_right && reader.files()[1] == golden, "{format:?}"),
                Err(error) => {
                    assert!(!is_right && error.kind() == ErrorKind::Corrupt && error.hint().is_some(), "{error}");
                    assert!(error.message().contains("another"), "{error}");
                }
            }
        }
        fs::remove_file(&golden).unwrap();
        let error = open_path(&child).err().unwrap();
        assert!(error.kind() == ErrorKind::NotFound && error.message().contains(&path), "{error}");
        // Without its path it has no parent.
        let error = open(std::sync::Arc::new(File::open(&child).unwrap())).err().unwrap();
        assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("differencing"), "{error}");
    }
}

#[test]
fn strangers_read_children_with_their_parents() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("children")).unwrap();
    let qcow2 = Format::named("qcow2").unwrap();
    for (parent_format, format, kib, mib) in [
        (Format::VHDX, Format::VHDX, 1024, 97),
        (Format::VHDX, Format::VHDX, 1024, 4112),
        (Format::VHDX, Format::VHDX, 32 << 10, 97),
        (Format::VHD, Format::VHD, 2048, 97),
        (Format::VHD, Format::VHD, 512, 97),
        (qcow2, qcow2, 4, 97),
        (Format::VHDX, qcow2, 4, 97),
        (Format::RAW, qcow2, 4, 97),
        (qcow2, qcow2, 64, 97),
        (Format::VHDX, qcow2, 64, 4112),
    ] {
        let disk = Disk::sample(ByteSize::mib(mib));
        let extension = parent_format.extension();
        let golden = folder.path().join(format!("golden.{extension}"));
        disk.write_file(parent_format, &golden);
        // 7-Zip finds a parent beside its child only.
        let up = if format.name() == "qcow2" { "../" } else { "" };
        let path = format!("{up}golden.{extension}");
        let parent = Parent { path: &path, format: parent_format.qemu_name(), identity: &IDENTITY, time: time() };
        let below = if up.is_empty() { "" } else { "children/" };
        let child = folder.path().join(format!("{below}child.{}", format.extension()));
        let format = format.differencing(Some(ByteSize::kib(kib))).unwrap();
        write_child(format, &parent, &disk, &child);
        let reference = folder.path().join("child.raw");
        write_reference(&disk, &reference);
        same_as(&child, &disk, &reference);
        if format.name() != "qcow2" {
            // Streams, for a disk is large.
            let compare = "7zz e -so \"$1\" | cmp - \"$2\"";
            let said = Command::new("sh").args(["-c", compare, "sh", text(&child), text(&reference)]).output().unwrap();
            let said = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
            assert!(said.is_empty(), "{format:?} of {parent_format:?}, {mib} MiB: {said}");
        }
        if format.name() == "qcow2" {
            run("qemu-img", &["check", text(&child)]);
            run("qemu-img", &["compare", text(&child), "-f", "qcow2", "-F", "raw", text(&reference)]);
        }
    }
}

#[test]
fn what_cannot_have_a_parent_is_refused() {
    let refused = |format: Format, block_size| format.differencing(block_size).unwrap_err();
    assert!(refused(Format::RAW, None).message().contains("parent"));
    let qcow2 = Format::named("qcow2").unwrap();
    assert!(refused(qcow2, Some(ByteSize::kib(32))).hint().unwrap().contains("4 KiB"));
    let format = Format::VHDX.differencing(None).unwrap();
    let layout = |start| {
        let parent = Parent { path: "golden.vhdx", format: "vhdx", identity: &IDENTITY, time: time() };
        let used = [Extent { start, len: PAGE }];
        FileLayout::over_parent(Some(&parent), format, ByteSize::mib(97), &used, &CHILD, time())
    };
    assert!(layout(PAGE).is_ok());
    assert_eq!(layout(512).unwrap_err().kind(), ErrorKind::Recipe);
    assert!(FileLayout::new(format, ByteSize::mib(97), &[], &CHILD, time()).is_err());
}

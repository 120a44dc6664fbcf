//! FAT32 volumes, judged by dosfstools, mtools and the crate `fatfs`.

use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;
use std::process::Command;

use nano_image::ErrorKind;
use nano_image::types::{ByteSize, DiskOffset, FileTime};
use nano_image::volume::fat::format::{ATTRIBUTE_ARCHIVE, ATTRIBUTE_HIDDEN, ATTRIBUTE_SYSTEM};
use nano_image::volume::fat::{FatFile, FatOptions, FatReader, build};

fn options(size: ByteSize, sector_size: u32) -> FatOptions {
    FatOptions {
        size,
        sector_size,
        serial: 0x1234_ABCD,
        label: "System".into(),
        start: DiskOffset(1 << 20),
        time: FileTime::from_unix_seconds(1_468_627_201),
    }
}

/// What an EFI system partition of Windows holds, in kind and number.
fn files() -> Vec<(String, Vec<u8>, u8)> {
    let mut files = vec![
        (r"EFI\Microsoft\Boot\bootmgfw.efi".into(), noise(1, 1_200_000), ATTRIBUTE_ARCHIVE),
        (r"EFI\Boot\bootx64.efi".into(), noise(1, 1_200_000), 0),
        (r"EFI\Microsoft\Boot\BCD".into(), noise(2, 32768), ATTRIBUTE_HIDDEN | ATTRIBUTE_SYSTEM),
        (r"EFI\Microsoft\Boot\BCD.LOG".into(), Vec::new(), ATTRIBUTE_HIDDEN),
        (r"EFI\Microsoft\Boot\Fonts\wgl4_boot.ttf".into(), noise(3, 47_452), 0),
        (r"EFI\Microsoft\Boot\Resources\bootres.dll".into(), noise(4, 4095), 0),
        (r"ein ganz langer Name für eine Datei, über mehr als drei Einträge hinweg.txt".into(), noise(5, 1), 0),
    ];
    for number in 0..40 {
        let name = format!(r"EFI\Microsoft\Boot\l{number}-XX\bootmgfw.efi.mui");
        files.push((name, noise(number, 70_000 + number as usize), 0));
        files.push((format!(r"efi\MICROSOFT\boot\L{number}-xx\memtest.efi.mui"), noise(number, 512), 0));
    }
    files
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed * 2 + 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn borrowed(files: &[(String, Vec<u8>, u8)]) -> Vec<FatFile<'_>> {
    files.iter().map(|(path, bytes, attributes)| FatFile { path, bytes, attributes: *attributes }).collect()
}

fn volume(options: &FatOptions, files: &[FatFile<'_>]) -> Vec<u8> {
    let mut volume = vec![0; options.size.bytes() as usize];
    let mut end = 0;
    for (at, bytes) in build(options, files).unwrap() {
        assert!(at.0 >= end, "segments ascend");
        end = at.0 + bytes.len() as u64;
        volume[at.0 as usize..end as usize].copy_from_slice(&bytes);
    }
    volume
}

fn run(tool: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(tool).args(arguments).env("MTOOLS_SKIP_CHECK", "0").output();
    let output = output.unwrap_or_else(|e| panic!("{tool} is needed for this test: {e}"));
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments:?}: {text}");
    output.stdout
}

fn fsck(path: &Path) {
    let report = String::from_utf8(run("fsck.fat", &["-n", path.to_str().unwrap()])).unwrap();
    // The version and the summary, and not a word more.
    let lines: Vec<&str> = report.lines().collect();
    assert!(lines.len() == 2 && lines[1].contains("clusters"), "{report}");
}

#[test]
fn volumes_of_every_size_are_clean_and_hold_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("esp");
    let files = files();
    let sizes = [
        (ByteSize::mib(33), 512),
        (ByteSize::mib(64), 512),
        (ByteSize::mib(65), 512),
        (ByteSize::mib(100), 512),
        (ByteSize::mib(128), 512),
        (ByteSize::new((200 << 20) - 512), 512),
        (ByteSize::mib(257), 512),
        (ByteSize::mib(260), 512),
        (ByteSize::mib(257), 4096),
        (ByteSize::mib(300), 4096),
    ];
    for (size, sector_size) in sizes {
        let options = options(size, sector_size);
        let bytes = volume(&options, &borrowed(&files));
        fs::write(&path, &bytes).unwrap();
        fsck(&path);
        let reader = FatReader::open(&bytes).unwrap();
        assert_eq!((reader.serial(), reader.label()), (options.serial, "SYSTEM".into()));
        let entries = reader.entries().unwrap();
        for (path, bytes, attributes) in &files {
            let entry = entries.iter().find(|entry| entry.path.eq_ignore_ascii_case(path));
            let entry = entry.unwrap_or_else(|| panic!("{path} is missing"));
            assert_eq!(entry.attributes, *attributes, "{path}");
            assert!(reader.read(entry).unwrap() == *bytes, "{path}");
        }
        assert_eq!(entries.iter().filter(|entry| !entry.is_directory).count(), files.len());

        if sector_size == 512 {
            let fat = fatfs::FileSystem::new(Cursor::new(bytes), fatfs::FsOptions::new()).unwrap();
            assert_eq!(fat.fat_type(), fatfs::FatType::Fat32);
            let stats = fat.stats().unwrap();
            let free = stats.free_clusters();
            for (path, bytes, _) in &files {
                let mut read = Vec::new();
                fat.root_dir().open_file(&path.replace('\\', "/")).unwrap().read_to_end(&mut read).unwrap();
                assert!(read == *bytes, "{path}");
            }
            assert!(free > 0 && free < stats.total_clusters());
        }
    }
}

#[test]
fn mtools_lists_and_reads_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("esp");
    let files = files();
    fs::write(&path, volume(&options(ByteSize::mib(100), 512), &borrowed(&files))).unwrap();
    let image = path.to_str().unwrap();
    let list = String::from_utf8(run("mdir", &["-i", image, "-/", "-b", "-a", "::"])).unwrap().to_lowercase();
    for (path, bytes, _) in files.iter().filter(|(path, ..)| path.is_ascii()) {
        let path = format!("::/{}", path.replace('\\', "/"));
        assert!(list.contains(&path.to_lowercase()), "{path} is not in {list}");
        assert!(run("mtype", &["-i", image, &path]) == *bytes, "{path}");
    }
    let list = String::from_utf8(run("mdir", &["-i", image, "::/EFI/Boot"])).unwrap();
    assert!(list.contains("Volume Serial Number is 1234-ABCD"), "{list}");
    assert!(list.contains("BOOTX64  EFI   1200000 2016-07-16   0:00  bootx64.efi"), "{list}");
    assert!(String::from_utf8(run("minfo", &["-i", image, "::"])).unwrap().contains("hidden sectors: 2048"));
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let (files, options) = (files(), options(ByteSize::mib(100), 512));
    assert!(build(&options, &borrowed(&files)).unwrap() == build(&options, &borrowed(&files)).unwrap());
}

#[test]
fn volumes_of_mtools_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let (path, source) = (folder.path().join("esp"), folder.path().join("source"));
    fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
    let image = path.to_str().unwrap();
    run("mkfs.fat", &["-F", "32", "-n", "FOREIGN", "-i", "DEADBEEF", image]);
    run("mmd", &["-i", image, "::/EFI", "::/EFI/Long directory name", "::/lower"]);
    let content = noise(9, 300_000);
    fs::write(&source, &content).unwrap();
    let source = source.to_str().unwrap();
    let paths = [r"EFI\Long directory name\A file.with dots.txt", r"lower\case.txt", r"UPPER.TXT"];
    for path in paths {
        run("mcopy", &["-i", image, source, &format!("::/{}", path.replace('\\', "/"))]);
    }
    let bytes = fs::read(&path).unwrap();
    let reader = FatReader::open(&bytes).unwrap();
    assert_eq!((reader.serial(), reader.label()), (0xDEAD_BEEF, "FOREIGN".into()));
    let entries = reader.entries().unwrap();
    let files: Vec<_> = entries.iter().filter(|entry| !entry.is_directory).collect();
    assert_eq!(files.len(), 3);
    for file in files {
        assert!(paths.contains(&file.path.as_str()), "{}", file.path);
        assert!(reader.read(file).unwrap() == content);
    }
}

#[test]
fn a_folder_larger_than_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("esp");
    let files: Vec<_> = (0..3000).map(|n| (format!(r"many\a long name, number {n}.txt"), noise(n, 10), 0)).collect();
    let bytes = volume(&options(ByteSize::mib(100), 512), &borrowed(&files));
    fs::write(&path, &bytes).unwrap();
    fsck(&path);
    let reader = FatReader::open(&bytes).unwrap();
    assert_eq!(reader.entries().unwrap().len(), 3001);
    let list = String::from_utf8(run("mdir", &["-i", path.to_str().unwrap(), "-b", "::/many"])).unwrap();
    assert_eq!(list.lines().count(), 3000);
}

#[test]
fn an_empty_volume_and_a_full_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("esp");
    let mut options = options(ByteSize::mib(40), 512);
    for label in ["", "SYSTEM"] {
        options.label = label.into();
        let empty = volume(&options, &[]);
        fs::write(&path, &empty).unwrap();
        fsck(&path);
    }
    // The root takes one of the clusters of 512 bytes; the last file takes what is left.
    let fs = fatfs::FileSystem::new(Cursor::new(volume(&options, &[])), fatfs::FsOptions::new()).unwrap();
    let free = fs.stats().unwrap().free_clusters() as usize * 512;
    let exact = vec![1; free];
    let file = |bytes| [FatFile { path: "FULL", bytes, attributes: 0 }];
    fs::write(&path, volume(&options, &file(&exact))).unwrap();
    fsck(&path);
    let over = vec![1; free + 1];
    let error = build(&options, &file(&over)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooSmall);
    assert!(error.to_string().contains("40 MiB"), "{error}");
}

#[test]
fn what_fat32_cannot_hold_is_refused() {
    let kind = |options: &FatOptions, paths: &[&str]| {
        let files: Vec<_> = paths.iter().map(|path| FatFile { path, bytes: b"x", attributes: 0 }).collect();
        build(options, &files).unwrap_err().kind()
    };
    assert_eq!(kind(&options(ByteSize::mib(32), 512), &[]), ErrorKind::TooSmall);
    assert_eq!(kind(&options(ByteSize::new(0), 512), &[]), ErrorKind::TooSmall);
    assert_eq!(kind(&options(ByteSize::mib(200), 4096), &[]), ErrorKind::TooSmall);
    assert_eq!(kind(&options(ByteSize::tib(3), 512), &[]), ErrorKind::Recipe);
    assert_eq!(kind(&options(ByteSize::mib(100), 513), &[]), ErrorKind::Recipe);
    let good = options(ByteSize::mib(100), 512);
    for paths in [&["a", "A"][..], &["a", r"a\b"], &[r"a\b", "A"], &[r"a\\b"], &[""], &["a/b"], &[r"\a"]] {
        assert_eq!(kind(&good, paths), ErrorKind::Recipe, "{paths:?}");
    }
    let labelled = |label: &str| FatOptions { label: label.into(), ..good.clone() };
    assert_eq!(kind(&labelled("twelve chars"), &[]), ErrorKind::Recipe);
    assert_eq!(kind(&labelled("a*b"), &[]), ErrorKind::Recipe);
}

#[test]
fn damaged_volumes_give_errors() {
    let files = files();
    let options = options(ByteSize::mib(40), 512);
    let segments = build(&options, &borrowed(&files)).unwrap();
    let mut bytes = vec![0; options.size.bytes() as usize];
    let mut errors = 0;
    for round in 0..1500u64 {
        for (at, piece) in &segments {
            bytes[at.0 as usize..][..piece.len()].copy_from_slice(piece);
        }
        let random = noise(round * 977 + 5, 24);
        for hit in 0..1 + usize::from(random[0] % 4) {
            // Mostly the boot sector, the start of the FAT and the directories.
            let which = [0, 4, 6, 7, 8, 9, 10][usize::from(random[hit * 4 + 1]) % 7];
            let (at, piece) = &segments[which];
            let span = if which == 0 { 90 } else { piece.len().min(2048) };
            let place = (usize::from(random[hit * 4 + 2]) << 8 | usize::from(random[hit * 4 + 3])) % span;
            bytes[at.0 as usize + place] = random[hit * 4 + 4];
        }
        let read = FatReader::open(&bytes).and_then(|reader| {
            for entry in reader.entries()? {
                reader.read(&entry)?;
            }
            Ok(())
        });
        errors += u32::from(read.is_err());
    }
    assert!((100..1400).contains(&errors), "{errors} of 1500 damaged volumes were refused");
}

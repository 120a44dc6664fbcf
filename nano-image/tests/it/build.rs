//! Whole builds: one WIM into every container, for both firmwares, read and started by others.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::bios::{GOOD, boot, bootmgr, path, tool};
use crate::support::disk;
use fixtures::{Data, FileSpec, Tree, WimBuilder, outside, scenes};
use nano_image::{ByteSize, ErrorKind, Firmware, NewFileOptions, NewFiles, Observer, Preset, Recipe, Report, Result};
use nano_image::{Seed, Sources, Subformat, Target};
use tempfile::TempDir;

/// A WIM with boot programs for both firmwares and some files.
fn wim(dir: &TempDir) -> PathBuf {
    let mut tree = Tree::new();
    let mut file = |name: &str, data| {
        tree.add(name, FileSpec::file(data));
    };
    file(r"Windows\Boot\PCAT\bootmgr", Data::bytes(bootmgr(300_000)));
    file(r"Windows\Boot\EFI\bootmgfw.efi", scenes::pe_stand_in());
    for index in 0..300 {
        file(&format!(r"Windows\System32\file{index:03}.dll"), Data::noise(index, 5 * index * index));
    }
    let path = dir.path().join("small.wim");
    WimBuilder::new().image("Small", tree).write_file(&path).unwrap();
    path
}

fn build(recipe: &Recipe, wim: &Path, jobs: usize, targets: Vec<Target<'_>>) -> Result<Report> {
    recipe.plan(&Sources::wim(wim), &())?.layout(&())?.jobs(jobs).write(targets, &())
}

fn recipe(firmware: Firmware) -> nano_image::RecipeBuilder {
    Recipe::image("1").disk_size(ByteSize::mib(200)).firmware(firmware)
}

#[test]
fn a_bios_starts_bootmgr_from_every_container() {
    if !outside::programs("nasm") {
        return;
    }
    let dir = TempDir::new().unwrap();
    let wim = wim(&dir);
    for cluster_size in [4, 64] {
        let recipe = recipe(Firmware::Bios).cluster_size(ByteSize::kib(cluster_size)).build().unwrap();
        for (index, format) in disk::formats().into_iter().enumerate() {
            let driver = format.qemu_name();
            let image = dir.path().join(format!("{cluster_size}-{index}.{driver}"));
            build(&recipe, &wim, 2, vec![Target::file(&image, format)]).unwrap();
            let text = boot(&image, driver);
            assert!(text.contains(GOOD), "{format:?}, clusters of {cluster_size} KiB: {text}");
            fs::remove_file(image).unwrap();
        }
    }
}

#[test]
fn a_packed_disk_goes_into_no_oci_image() {
    if !outside::programs("nasm") {
        return;
    }
    let dir = TempDir::new().unwrap();
    let (wim, files) = (wim(&dir), nano_image::oci_files(&dir.path().join("web.tar")));
    let format = |name, subformat| Preset::named(name).unwrap().format(subformat, None).unwrap();
    let write = |format| {
        let new = NewFiles::create(&files, NewFileOptions::default()).unwrap();
        let target = Target::oci(new.files().iter().collect(), format);
        build(&recipe(Firmware::Uefi).build().unwrap(), &wim, 1, vec![target])
    };
    let error = write(format("vmdk", Some(Subformat::StreamOptimized))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Recipe);
    assert!(error.message().contains("length is not known") && error.hint().is_some(), "{error:?}");
    write(format("vmdk", None)).unwrap();
}

#[test]
fn one_pass_writes_what_each_output_gets_alone() {
    if !outside::programs("nasm, qemu-img") {
        return;
    }
    let dir = TempDir::new().unwrap();
    let wim = wim(&dir);
    fs::create_dir(dir.path().join("alone")).unwrap();
    for firmware in [Firmware::Uefi, Firmware::Bios] {
        let recipe = recipe(firmware).build().unwrap();
        let together = |index: usize| dir.path().join(format!("together{index}"));
        let formats = disk::formats();
        let targets = formats.iter().enumerate().map(|(index, format)| Target::file(together(index), *format));
        let mut stream = Vec::new();
        let stream_target = Target::stream(&mut stream, formats[1]);
        build(&recipe, &wim, 8, targets.chain([stream_target]).collect()).unwrap();
        for (index, format) in formats.iter().enumerate() {
            // Of the same name: a VMDK file says its own.
            let alone = dir.path().join("alone").join(together(index).file_name().unwrap());
            build(&recipe, &wim, 1, vec![Target::file(&alone, *format)]).unwrap();
            assert!(fs::read(&alone).unwrap() == fs::read(together(index)).unwrap(), "{format:?}");
            let raw = together(formats.iter().position(|format| *format == nano_image::Format::RAW).unwrap());
            tool("qemu-img", &["compare", "-f", "raw", "-F", format.qemu_name(), path(&raw), path(&alone)]);
        }
        assert!(fs::read(together(1)).unwrap() == stream, "a stream gets what a file gets");
    }
}

#[test]
fn two_seeds_share_no_identifier() {
    if !outside::programs("nasm") {
        return;
    }
    let dir = TempDir::new().unwrap();
    let wim = wim(&dir);
    let report = |seed: u8| {
        let seed = Seed::from_bytes([seed; 32]);
        let recipe = recipe(Firmware::Uefi).seed(seed).build().unwrap();
        build(&recipe, &wim, 1, vec![Target::file(dir.path().join("seeded"), nano_image::Format::VHDX)]).unwrap()
    };
    let (one, two) = (report(1), report(2));
    let ids = |report: &Report| {
        let guids = report.partitions.iter().filter_map(|partition| partition.guid.clone());
        guids.chain([report.disk_id.clone()]).collect::<Vec<String>>()
    };
    assert_eq!(ids(&one).len(), 4);
    assert!(ids(&one).iter().all(|id| !ids(&two).contains(id)));
}

/// Stops a build once it writes.
struct Stop;

impl Observer for Stop {
    fn cancelled(&self) -> bool {
        true
    }
}

#[test]
fn failures_leave_no_file() {
    if !outside::programs("nasm") {
        return;
    }
    let dir = TempDir::new().unwrap();
    let wim = wim(&dir);
    let recipe = recipe(Firmware::Uefi).build().unwrap();
    let plan = recipe.plan(&Sources::wim(&wim), &()).unwrap();
    let layout = plan.layout(&()).unwrap();
    // The second target cannot be made, so the first must go too.
    let first = dir.path().join("first.vhdx");
    let nowhere = dir.path().join("missing").join("second.vhdx");
    let vhdx = nano_image::Format::VHDX;
    let error = layout.write(vec![Target::file(&first, vhdx), Target::file(nowhere, vhdx)], &()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = layout.write_file(&first, vhdx, &Stop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let mut damaged = fs::read(&wim).unwrap();
    // The middle of the file is file data.
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&wim, damaged).unwrap();
    let plan = recipe.plan(&Sources::wim(&wim), &()).unwrap();
    let error = plan.layout(&()).unwrap().write_file(&first, vhdx, &()).unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(&*wim)));
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["small.wim"]);
}

#[test]
fn a_disk_too_small_says_what_is_needed() {
    if !outside::programs("nasm") {
        return;
    }
    let dir = TempDir::new().unwrap();
    let wim = wim(&dir);
    let plan = |mib| {
        let recipe = Recipe::image("1").disk_size(ByteSize::mib(mib)).build().unwrap();
        recipe.plan(&Sources::wim(&wim), &()).and_then(|plan| plan.layout(&()).map(|_| ()))
    };
    for mib in [1, 64, 117, 118, 150] {
        let error = plan(mib).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooSmall, "{mib} MiB");
        assert!(error.message().contains(&ByteSize::mib(mib).to_string()), "{error}");
        assert!(error.needed().is_some_and(|needed| needed > ByteSize::mib(mib)), "{mib} MiB");
    }
    // What is said to be needed is enough, and no less is.
    let needed = plan(150).unwrap_err().needed().unwrap().bytes() >> 20;
    plan(needed).unwrap();
    assert_eq!(plan(needed - 1).unwrap_err().kind(), ErrorKind::TooSmall);
}

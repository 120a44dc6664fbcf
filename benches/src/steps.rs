//! `steps`: the parts of a build, in one process as in a program that embeds the library.

use std::hint::black_box;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use fixtures::cab::Method;
use fixtures::{CabBuilder, Data};
use nano_image::content::{BlobId, BlobStore, Extent};
use nano_image::disk::{FileLayout, StreamOutput};
use nano_image::identity::Identity;
use nano_image::registry::{Hive, HiveOptions, Value};
use nano_image::source::cab::Cabinet;
use nano_image::source::wim::Wim;
use nano_image::tree::Times;
use nano_image::types::{DiskOffset, FileTime, Lba};
use nano_image::volume::ntfs::{NtfsLayout, NtfsOptions};
use nano_image::{ByteSize, Format, Recipe, Result, Seed, Sources, Target};

use crate::results::Spread;

/// Number of keys of the edited hive: it has about 12 MB, like a server's SYSTEM hive.
const HIVE_KEYS: u32 = 32_000;
/// Bytes of the files in the cabinet, and of the disk that is written to a VHDX.
const CABINET: u64 = 64 << 20;
const DISK: u64 = 512 << 20;

/// Prints the median and the spread of each step in milliseconds, and peak memory.
pub fn run(wim: &Path, image: &str, rounds: usize) -> Result<()> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut table = Table::default();
    let (hive, cabinet) = (sample_hive()?, Arc::new(sample_cabinet()));
    for _ in 0..rounds {
        let (opened, tree) = table.time("WIM: open and read the tree", || {
            let opened = Wim::open(wim, &[])?;
            let index = opened.find_image(image)?;
            opened.read_image(index).map(|image| (opened, Arc::new(image.tree)))
        })?;
        let requests: Vec<_> = (0..opened.store().blob_count()).map(BlobId).collect();
        let mut bytes = 0;
        table.time("WIM: read and check all blobs", || {
            opened.store().read_blobs(&requests, jobs, &mut |_, piece| {
                bytes += piece.len();
                Ok(())
            })
        })?;
        table.time("cabinet: read all files (MSZIP, 64 MiB)", || {
            let cabinet = Cabinet::open(cabinet.clone(), "sample.cab")?;
            cabinet.extract(&|_| true, &mut |_, piece| {
                bytes += piece.len();
                Ok(())
            })
        })?;
        black_box(bytes);
        table.time("NTFS: tree to layout", || NtfsLayout::new(tree.clone(), volume()))?;
        table.time("VHDX: wrap 512 MiB", wrap)?;
        let recipe = Recipe::image(image).build()?;
        let plan = table.time("recipe to plan", || recipe.plan(&Sources::wim(wim), &()))?;
        let layout = table.time("plan to layout", || plan.layout(&()))?;
        let mut sink = io::sink();
        table.time("layout to bytes (VHDX, not stored)", || {
            layout.write(vec![Target::stream(&mut sink as &mut dyn Write, Format::VHDX)], &())
        })?;
        let layout = layout.digests(true);
        table.time("the same, with SHA-256 of the file", || {
            layout.write(vec![Target::stream(&mut sink as &mut dyn Write, Format::VHDX)], &())
        })?;
        table.time("hive: parse, edit, serialise (12 MB)", || edit(hive.clone()))?;
    }
    table.print();
    Ok(())
}

/// A volume that is large enough for every measured image.
fn volume() -> NtfsOptions {
    NtfsOptions {
        size: ByteSize::gib(64),
        start: Lba(2048),
        sector_size: 512,
        cluster_size: None,
        serial_number: 1,
        label: "Windows".into(),
        time: Times::all(FileTime(0)),
        boot_code: None,
    }
}

/// Writes a disk full of bytes as a VHDX with blocks of 1 MiB, and discards it.
fn wrap() -> Result<()> {
    let used = [Extent { start: 0, len: DISK }];
    let size = ByteSize::new(DISK);
    let seed = Seed::from_bytes([1; 32]);
    let identity = Identity { disk: seed, bytes: seed };
    let file_layout = FileLayout::new(Format::VHDX, size, &used, &identity, FileTime(0))?;
    let mut output = StreamOutput::new(io::sink(), "nowhere");
    let mut writer = file_layout.writer(&mut output)?;
    let piece = vec![7; 64 << 10];
    for offset in (0..DISK).step_by(piece.len()) {
        writer.write_at(DiskOffset(offset), &piece)?;
    }
    writer.finish().map(|_| ())
}

/// A cabinet with files of 1 MiB that compress well, in one folder.
fn sample_cabinet() -> Vec<u8> {
    let names: Vec<String> = (0..CABINET >> 20).map(|number| format!("file{number:03}.dll")).collect();
    let files = names.iter().zip(0..).map(|(name, seed)| (name.as_str(), Data::text(seed, 1 << 20).to_vec()));
    CabBuilder::new().folder(Method::Mszip, files).to_bytes()
}

/// A hive with many small keys, made by the library.
fn sample_hive() -> Result<Vec<u8>> {
    let mut hive = Hive::new(FileTime(0), &HiveOptions::default())?;
    let root = hive.root();
    for number in 0..HIVE_KEYS {
        let key = hive.create_key(root, &format!(r"ControlSet001\Services\service{:03}\key{number}", number / 100))?;
        hive.set_value(key, "ImagePath", Value::expand_sz(r"\SystemRoot\System32\drivers\service.sys"))?;
        hive.set_value(key, "Data", Value::binary(vec![7; 100]))?;
    }
    Ok(hive.into_bytes())
}

/// The edits for a computer name, and a value of 50 KB.
fn edit(bytes: Vec<u8>) -> Result<Vec<u8>> {
    let mut hive = Hive::parse(bytes)?;
    let root = hive.root();
    let key = hive.create_key(root, r"ControlSet001\Control\ComputerName\ComputerName")?;
    hive.set_value(key, "ComputerName", Value::sz("WEB-01"))?;
    hive.set_value(key, "Large", Value::binary(vec![1; 50_000]))?;
    Ok(hive.into_bytes())
}

/// The milliseconds of each step, in the order of the first round.
#[derive(Default)]
struct Table(Vec<(&'static str, Vec<f64>)>);

impl Table {
    fn time<T>(&mut self, step: &'static str, run: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = run();
        let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
        match self.0.iter_mut().find(|(known, _)| *known == step) {
            Some((_, all)) => all.push(milliseconds),
            None => self.0.push((step, vec![milliseconds])),
        }
        result
    }

    fn print(&self) {
        println!("{:<40} {:>9} {:>9} {:>9}", "step (ms)", "median", "min", "max");
        for (step, all) in &self.0 {
            if let Some(Spread { median, min, max }) = Spread::of(all.iter().copied()) {
                println!("{step:<40} {median:>9.1} {min:>9.1} {max:>9.1}");
            }
        }
        if let Ok(status) = std::fs::read_to_string("/proc/self/status")
            && let Some(peak) = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))
        {
            println!("peak memory of the process: {}", peak.trim());
        }
    }
}

//! `nano-bench`: how long the steps of a build take, in the process that an embedding program would have.
//!
//! `cargo run --release -p benches -- WIM [IMAGE] [ROUNDS]` prints a table: the median and the spread of each step in
//! milliseconds, and peak memory. Warm the page cache with a first run; compare only figures of one run.

use std::io::{self, Write};
use std::time::Instant;

use nano_image::content::BlobStore;
use nano_image::registry::{Hive, HiveOptions, Value};
use nano_image::source::wim::Wim;
use nano_image::types::FileTime;
use nano_image::{Format, Recipe, Result, Sources, Target};

/// Keys of the hive that is edited: it has some 12 MB, like a server's SYSTEM hive.
const HIVE_KEYS: u32 = 32_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(wim) = arguments.first() else {
        eprintln!("usage: nano-bench WIM [IMAGE] [ROUNDS]");
        std::process::exit(2);
    };
    let image = arguments.get(1).map_or("1", String::as_str);
    let rounds = arguments.get(2).and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut table = Table::default();
    let hive = sample_hive()?;
    for _ in 0..rounds {
        let opened = table.time("WIM: open and read the tree", || {
            let wim = Wim::open(wim, &[])?;
            let index = wim.find_image(image)?;
            wim.read_image(index).map(|_| wim)
        })?;
        let requests: Vec<_> = (0..opened.store().blob_count()).map(nano_image::content::BlobId).collect();
        let mut bytes = 0;
        table.time("WIM: read and check all blobs", || {
            opened.store().read_blobs(&requests, jobs, &mut |_, piece| {
                bytes += piece.len();
                Ok(())
            })
        })?;
        let recipe = Recipe::image(image).build()?;
        let plan = table.time("recipe to plan", || recipe.plan(&Sources::wim(wim), &()))?;
        let layout = table.time("plan to layout", || plan.layout(&()))?;
        let mut sink = io::sink();
        table.time("layout to bytes (raw, not stored)", || {
            layout.write(vec![Target::stream(&mut sink as &mut dyn Write, Format::Raw)], &())
        })?;
        table.time("hive: parse, edit, serialise (12 MB)", || edit(hive.clone()))?;
    }
    table.print();
    Ok(())
}

/// A hive of many small keys, made by the library.
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

/// What setting a computer name does, and a value of 50 KB.
fn edit(bytes: Vec<u8>) -> Result<Vec<u8>> {
    let mut hive = Hive::parse(bytes)?;
    let root = hive.root();
    let key = hive.create_key(root, r"ControlSet001\Control\ComputerName\ComputerName")?;
    hive.set_value(key, "ComputerName", Value::sz("WEB-01"))?;
    hive.set_value(key, "Large", Value::binary(vec![1; 50_000]))?;
    Ok(hive.into_bytes())
}

/// Milliseconds of each step, in the order of the first round.
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

    fn print(&mut self) {
        println!("{:<40} {:>9} {:>9} {:>9}", "step (ms)", "median", "min", "max");
        for (step, all) in &mut self.0 {
            all.sort_by(f64::total_cmp);
            println!("{step:<40} {:>9.1} {:>9.1} {:>9.1}", all[all.len() / 2], all[0], all[all.len() - 1]);
        }
        if let Ok(status) = std::fs::read_to_string("/proc/self/status")
            && let Some(peak) = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))
        {
            println!("peak memory of the process: {}", peak.trim());
        }
    }
}

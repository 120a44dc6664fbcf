//! `run`: whole builds of one WIM, in turn with other programs.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde_json::Value;

use crate::child::Program;
use crate::machine::Machine;
use crate::results::{Kind, Measurement, Results, Row};
use crate::{Failure, Output};

/// What is built: name, flags.
const SCENARIOS: [(&str, &[&str]); 7] = [
    ("plain", &[]),
    ("one thread", &["-j", "1"]),
    ("computer name", &["--computer-name", "NANO01"]),
    ("metadata and SBOM", &["--metadata-file", "{dir}/metadata.json", "--sbom", "{dir}/sbom.json"]),
    ("compact", &["--compact"]),
    ("compact, LZX", &["--compact=lzx"]),
    ("compact, unchecked", &["--compact", "--source-check", "none"]),
];
/// The outputs: name, file, flags.
const FORMATS: [(&str, &str, &[&str]); 5] = [
    ("VHDX", "out.vhdx", &[]),
    ("VHDX fixed", "out.vhdx", &["--subformat", "fixed"]),
    ("VHD", "out.vhd", &["--firmware", "uefi"]),
    ("VHD fixed", "out.vhd", &["--firmware", "uefi", "--subformat", "fixed"]),
    ("raw", "out.raw", &[]),
];

/// How something is measured.
#[derive(Args, Debug)]
pub struct Setup {
    /// Rounds that count; one more warms up
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Folder for WIMs and images; existing generated WIMs are used again [default: beside this program]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// nano-image to measure [default: beside this program]
    #[arg(long)]
    nano_image: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

impl Setup {
    /// The folder, which is created if it is missing.
    pub fn folder(&self) -> Result<PathBuf, Failure> {
        let folder = match &self.dir {
            Some(folder) => folder.clone(),
            None => std::env::current_exe()?.with_file_name("nano-bench-files"),
        };
        fs::create_dir_all(&folder)?;
        Ok(fs::canonicalize(folder)?)
    }

    /// The program that is measured.
    pub fn program(&self) -> Result<PathBuf, Failure> {
        let program = match &self.nano_image {
            Some(program) => program.clone(),
            None => std::env::current_exe()?.with_file_name("nano-image"),
        };
        match program.is_file() {
            true => Ok(fs::canonicalize(program)?),
            false => Err(format!("{} is missing: cargo build --release -p nano-image-cli", program.display()).into()),
        }
    }
}

/// Which builds, and how often.
#[derive(Args, Debug)]
pub struct Run {
    /// WIM to build from
    wim: PathBuf,
    /// Index of the image
    #[arg(long, default_value = "1")]
    image: String,
    /// Script that makes the same image with other programs, and measures the floor: its rows run in the same rounds
    #[arg(long, value_name = "SCRIPT")]
    peer: Option<PathBuf>,
    /// Another wimlib-imagex, for more rows of the foreign pipeline
    #[arg(long, value_name = "FILE")]
    wimlib: Option<PathBuf>,
    /// All scenarios in all formats; otherwise all scenarios as VHDX, and all formats plain
    #[arg(long)]
    all: bool,
    /// Only rows whose name contains this; may be repeated
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    #[command(flatten)]
    pub setup: Setup,
}

/// Name, file and environment of a foreign variant.
type Variant<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// A row to be measured.
pub struct Entry {
    pub row: Row,
    pub program: Program,
}

impl Run {
    pub fn results(&self) -> Result<Results, Failure> {
        let dir = self.setup.folder()?;
        let wim = fs::canonicalize(&self.wim).map_err(|error| format!("{}: {error}", self.wim.display()))?;
        let facts = facts(&wim, &self.image)?;
        let mut entries = self.own(&wim, &dir, facts)?;
        let scratch = PathBuf::from(format!("/dev/shm/nano-bench-{}", std::process::id()));
        if let Some(peer) = &self.peer {
            fs::create_dir_all(&scratch)?;
            entries.extend(self.foreign(&fs::canonicalize(peer)?, &wim, &dir, &scratch, facts));
        }
        entries.retain(|entry| self.only.is_empty() || self.only.iter().any(|part| entry.row.name.contains(part)));
        let machine = Machine::this(&dir);
        let measured = rounds(&mut entries, self.setup.rounds, &dir);
        let _ = fs::remove_dir_all(&scratch);
        measured?;
        let name = wim.file_name().unwrap_or_default().display().to_string();
        let title = format!(
            "Builds of {name}: {:.0} MB in {} files and directories, a WIM of {:.0} MB",
            facts.0 as f64 / 1e6,
            facts.1,
            fs::metadata(&wim)?.len() as f64 / 1e6,
        );
        let rows = entries.into_iter().map(|entry| entry.row).collect();
        let mut results = Results { title, machine, rounds: self.setup.rounds, rows, findings: Vec::new() };
        results.findings = findings(&results);
        Ok(results)
    }

    fn own(&self, wim: &Path, dir: &Path, facts: (u64, u64)) -> Result<Vec<Entry>, Failure> {
        let program = self.setup.program()?;
        let mut entries = Vec::new();
        for (scenario, flags) in SCENARIOS {
            for (format, file, format_flags) in FORMATS {
                if !self.all && scenario != "plain" && format != "VHDX" {
                    continue;
                }
                let output = dir.join(file);
                let flags = flags.iter().map(|flag| flag.replace("{dir}", &dir.display().to_string()));
                let mut arguments: Vec<OsString> = vec![program.clone().into(), "build".into(), "--wim".into()];
                arguments.push(wim.into());
                arguments.extend(
                    ["--image", &self.image, "--allow-unbootable", "--quiet", "--force", "-o"].map(OsString::from),
                );
                arguments.push(output.clone().into());
                arguments.extend(flags.map(OsString::from).chain(format_flags.iter().map(OsString::from)));
                let name = format!("nano-image, {scenario}, {format}");
                entries.push(Entry::new(name, Kind::Own, facts, arguments, Some(output)));
            }
        }
        Ok(entries)
    }

    /// The modes of the script are described in its first lines.
    fn foreign(&self, peer: &Path, wim: &Path, dir: &Path, scratch: &Path, facts: (u64, u64)) -> Vec<Entry> {
        let mut entries = Vec::new();
        let wimlibs = [("", None), (", other wimlib", self.wimlib.as_ref())];
        for (suffix, wimlib) in wimlibs.iter().filter(|(suffix, wimlib)| suffix.is_empty() || wimlib.is_some()) {
            let variants: [Variant; 5] = [
                ("VHDX", "peer.vhdx", &[]),
                ("VHDX, scratch in memory", "peer.vhdx", &[("WORKPARENT", "{scratch}")]),
                ("VHDX, flushed", "peer.vhdx", &[("SYNC", "1")]),
                ("VHDX, blocks of 1 MiB", "peer.vhdx", &[("CREATE_OPTS", ",block_size=1M")]),
                ("VHD", "peer.vhd", &[]),
            ];
            for (name, file, environment) in variants {
                let output = dir.join(file);
                let arguments = vec![peer.into(), wim.into(), output.clone().into(), self.image.clone().into()];
                let name = format!("foreign pipeline, {name}{suffix}");
                let mut entry = Entry::new(name, Kind::Foreign, facts, arguments, Some(output));
                let scratch = scratch.display().to_string();
                let environment = environment.iter().chain(&[("VARIANT", "offset"), ("STEPS", "/dev/null")]);
                let replaced =
                    environment.map(|(name, value)| (name.to_string(), value.replace("{scratch}", &scratch)));
                entry.program.environment = replaced.map(|(name, value)| (name, value.into())).collect();
                if let Some(wimlib) = wimlib {
                    entry.program.environment.push(("WIMLIB".into(), wimlib.into()));
                }
                entries.push(entry);
            }
            let wimlib = wimlib.map_or("wimlib-imagex".into(), |wimlib| wimlib.clone().into_os_string());
            let arguments = vec![wimlib, "verify".into(), wim.into()];
            entries.push(Entry::new(format!("wimverify{suffix}"), Kind::Floor, facts, arguments, None));
        }
        let out = dir.join("floor.bin");
        let floors: [(&str, &[&str]); 4] = [
            ("floor: decompress, SHA-1, write", &[]),
            ("floor: the same, flushed", &["--fsync"]),
            ("floor: copy compressed", &["--wof"]),
            ("floor: copy compressed, flushed", &["--wof", "--fsync"]),
        ];
        for (name, flags) in floors {
            let mut arguments = vec![peer.into(), "floor".into(), wim.into(), out.clone().into()];
            arguments.extend(flags.iter().map(OsString::from));
            entries.push(Entry::new(name.into(), Kind::Floor, facts, arguments, Some(out.clone())));
        }
        let arguments = vec!["cat".into(), wim.into()];
        entries.push(Entry::new("floor: read the WIM".into(), Kind::Floor, facts, arguments, None));
        entries
    }
}

impl Entry {
    pub fn new(
        name: String,
        kind: Kind,
        (stream_bytes, files): (u64, u64),
        arguments: Vec<OsString>,
        output: Option<PathBuf>,
    ) -> Self {
        let row = Row { name, kind, stream_bytes, files, runs: Vec::new() };
        Self { row, program: Program { arguments, environment: Vec::new(), output } }
    }
}

/// Runs all entries once to warm up, then in turn, round by round: forwards and backwards, so that a row does not
/// always follow the same other row.
pub fn rounds(entries: &mut [Entry], count: usize, dir: &Path) -> Result<(), Failure> {
    let log = dir.join("stderr.log");
    for round in 0..=count {
        if round > 0 {
            entries.reverse();
        }
        for (number, entry) in entries.iter_mut().enumerate() {
            let measured = entry.program.measure(&log).map_err(|error| format!("{}: {error}", entry.row.name))?;
            eprintln!("round {round}, row {}: {:.2} s  {}", number + 1, measured.wall, entry.row.name);
            if round > 0 {
                entry.row.runs.push(measured);
            }
        }
    }
    if count % 2 == 1 {
        entries.reverse();
    }
    Ok(())
}

/// Bytes of all streams, and the number of files and directories.
pub fn facts(wim: &Path, image: &str) -> Result<(u64, u64), Failure> {
    let found = Command::new(std::env::current_exe()?).arg("facts").arg(wim).arg(image).output()?;
    if !found.status.success() {
        return Err(String::from_utf8_lossy(&found.stderr).trim().to_owned().into());
    }
    let facts: Value = serde_json::from_slice(&found.stdout)?;
    let number = |name: &str| facts[name].as_u64().ok_or("no facts");
    Ok((number("stream-bytes")?, number("files")?))
}

/// How nano-image compares with the others, in the same rounds.
fn findings(results: &Results) -> Vec<String> {
    let mut findings = Vec::new();
    let Some(own) = results.row("nano-image, plain, VHDX") else { return findings };
    let wall = |run: &Measurement| run.wall;
    let foreign = results.rows.iter().filter(|row| row.kind == Kind::Foreign);
    let mut compare = |what: &str, other: Option<&Row>, figure: &dyn Fn(&Measurement) -> f64| {
        if let Some(other) = other
            && let Some(ratio) = own.ratio(other, figure)
        {
            let (name, other) = (&own.name, &other.name);
            let (median, min, max) = (ratio.median, ratio.min, ratio.max);
            findings.push(format!("{what}, `{name}` / `{other}`: {median:.2} ({min:.2}–{max:.2})"));
        }
    };
    let best = foreign.min_by(|a, b| a.spread(wall).median.total_cmp(&b.spread(wall).median));
    compare("wall time against the fastest foreign variant", best, &wall);
    compare("wall time, both flushed", results.row("foreign pipeline, VHDX, flushed"), &wall);
    compare("wall time against the floor", results.row("floor: the same, flushed"), &wall);
    compare("processor time", results.row("wimverify"), &Measurement::cpu);
    compare("processor time", results.row("wimverify, other wimlib"), &Measurement::cpu);
    compare("peak memory", results.row("foreign pipeline, VHDX"), &|run| run.peak_memory as f64);
    findings
}

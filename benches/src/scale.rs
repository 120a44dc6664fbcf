//! `scale`: how the cost grows with the number of files, and with bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};

use crate::Failure;
use crate::machine::Machine;
use crate::results::{Kind, Results, Row};
use crate::run::{Entry, Setup, facts, rounds};

/// How much, and how often.
#[derive(Args, Debug)]
pub struct Scale {
    /// Numbers of small files
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1000,10000,100000")]
    files: Vec<u64>,
    /// Bytes in large files, in GB
    #[arg(long, value_name = "GB,…", value_delimiter = ',', default_value = "0.1,0.5,5")]
    gigabytes: Vec<f64>,
    /// How the WIMs are compressed; needs wimlib-imagex unless none
    #[arg(long, value_enum, default_value = "xpress")]
    compress: Compression,
    #[command(flatten)]
    pub setup: Setup,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Compression {
    None,
    Xpress,
    Lzx,
}

impl Scale {
    pub fn results(&self) -> Result<Results, Failure> {
        let dir = self.setup.folder()?;
        let program = self.setup.program()?;
        let files = self.files.iter().map(|count| (format!("{count} files"), "--files", *count));
        let bytes = self.gigabytes.iter().map(|size| (format!("{size} GB"), "--bytes", (size * 1e9) as u64));
        let mut entries = Vec::new();
        for (name, flag, amount) in files.chain(bytes) {
            let wim = self.generate(&dir, flag, amount)?;
            let facts = facts(&wim, "1")?;
            let output = dir.join("out.vhdx");
            // A quarter more than the streams, and a GiB.
            let size = format!("{}G", (facts.0 * 5 / 4).div_ceil(1 << 30) + 1);
            let arguments = vec![
                program.clone().into(),
                "build".into(),
                "--wim".into(),
                wim.into(),
                "--image".into(),
                "1".into(),
                "--size".into(),
                size.into(),
                "--allow-unbootable".into(),
                "--quiet".into(),
                "--force".into(),
                "-o".into(),
                output.clone().into(),
            ];
            entries.push(Entry::new(name, Kind::Own, facts, arguments, Some(output)));
        }
        let machine = Machine::this(&dir);
        rounds(&mut entries, self.setup.rounds, &dir)?;
        let rows: Vec<Row> = entries.into_iter().map(|entry| entry.row).collect();
        let title = format!("Builds of generated WIMs ({} compression)", format!("{:?}", self.compress).to_lowercase());
        let findings = [("files", &|row: &Row| row.files as f64), ("GB", &|row: &Row| row.stream_bytes as f64)]
            as [(&str, &dyn Fn(&Row) -> f64); 2];
        let findings = findings.iter().flat_map(|(unit, amount)| growth(&rows, unit, amount)).collect();
        Ok(Results { title, machine, rounds: self.setup.rounds, rows, findings })
    }

    /// The WIM with `amount` of what `flag` means, made if it is missing.
    fn generate(&self, dir: &Path, flag: &str, amount: u64) -> Result<PathBuf, Failure> {
        let form = format!("{:?}", self.compress).to_lowercase();
        let wim = dir.join(format!("{}-{amount}-{form}.wim", flag.trim_start_matches('-')));
        if wim.exists() {
            return Ok(wim);
        }
        eprintln!("making {}", wim.display());
        let partial = wim.with_extension("partial");
        let amount = amount.to_string();
        checked(Command::new(std::env::current_exe()?).arg("generate").arg(&partial).args([flag, &amount]))?;
        if self.compress != Compression::None {
            let compressed = wim.with_extension("compressed");
            let _ = fs::remove_file(&compressed);
            let mut command = Command::new("wimlib-imagex");
            command.arg("export").arg(&partial).arg("1").arg(&compressed);
            checked(command.arg(format!("--compress={}", form.to_uppercase())).arg("--quiet"))?;
            fs::rename(compressed, &partial)?;
        }
        fs::rename(partial, &wim)?;
        Ok(wim)
    }
}

fn checked(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}").into()) }
}

/// What one unit costs in each row, compared with the row before.
fn growth(rows: &[Row], unit: &str, amount: &dyn Fn(&Row) -> f64) -> Vec<String> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.name.ends_with(&format!(" {unit}"))).collect();
    let pairs = rows.windows(2).map(|pair| {
        let cost = |row: &Row| row.spread(|run| run.wall).median / amount(row);
        let cpu = |row: &Row| row.spread(|run| run.cpu()).median / amount(row);
        let memory = |row: &Row| row.spread(|run| run.peak_memory as f64).median;
        let more = (memory(pair[1]) - memory(pair[0])) / (amount(pair[1]) - amount(pair[0]));
        let each =
            if unit == "files" { format!(", and each further file {more:.0} bytes of memory") } else { String::new() };
        format!(
            "of {} a file and byte takes {:.2} times the wall time and {:.2} times the processor time of {}{each}",
            pair[1].name,
            cost(pair[1]) / cost(pair[0]),
            cpu(pair[1]) / cpu(pair[0]),
            pair[0].name,
        )
    });
    pairs.collect()
}

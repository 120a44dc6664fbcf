//! `nano-bench`: the time, memory and input/output of a build, compared with other programs and with bare minimums.
//!
//! `BENCHMARKS.md` says what is measured, how, and what the figures do not show.

#[cfg(target_os = "linux")]
mod child;
mod deltas;
mod generate;
mod lzx;
mod machine;
mod markdown;
mod plot;
mod results;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod scale;
mod steps;
#[cfg(target_os = "linux")]
mod tasks;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use results::Results;

/// Failure of a benchmark, for people.
type Failure = Box<dyn std::error::Error>;

/// Measures nano-image: its steps, whole builds beside other programs, and how cost grows with the source
#[derive(Debug, Parser)]
#[command(name = "nano-bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Time the steps of a build in one process: reading a WIM and a cabinet, hive edit, layout, VHDX, whole pipeline
    Steps {
        /// WIM to build from
        wim: PathBuf,
        /// Image of the WIM
        #[arg(long, default_value = "1")]
        image: String,
        /// How often each step runs
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// Measure whole builds of a WIM as processes, in turn with the foreign pipeline if --peer is given
    #[cfg(target_os = "linux")]
    Run(run::Run),
    /// Measure builds of generated WIMs: more files, more bytes
    #[cfg(target_os = "linux")]
    Scale(scale::Scale),
    /// Measure builds with packages, a driver or an update, and clones, from generated media
    #[cfg(target_os = "linux")]
    Tasks(tasks::Tasks),
    /// Measure how fast the files of updates (.cab, .msu) are made from their deltas, on one core
    Deltas {
        /// Updates whose files are deltas of each other
        #[arg(required = true)]
        updates: Vec<PathBuf>,
        /// How often all deltas are applied
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// Measure how fast the LZX chunks of a WIM decompress, on one core, compared with libwim
    Lzx {
        /// WIM with chunks of 32 KiB
        wim: PathBuf,
        /// Rounds that count; one more warms up
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// Make Markdown and a plot of earlier results
    Report {
        /// JSON that `run`, `scale` or `tasks` wrote
        results: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Print the facts of a WIM's image as JSON
    #[command(hide = true)]
    Facts { wim: PathBuf, image: String },
    /// Write a WIM of generated files
    #[command(hide = true)]
    Generate(generate::Generate),
}

/// Where results go.
#[derive(Args, Debug)]
struct Output {
    /// Write all measurements
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write tables [default: to standard output]
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write a plot
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl Output {
    fn write(&self, results: &Results) -> Result<(), Failure> {
        if let Some(path) = &self.json {
            std::fs::write(path, serde_json::to_string_pretty(results)? + "\n")?;
        }
        match &self.markdown {
            Some(path) => std::fs::write(path, markdown::of(results))?,
            None => print!("{}", markdown::of(results)),
        }
        if let Some(path) = &self.svg {
            std::fs::write(path, plot::of(results))?;
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Steps { wim, image, rounds } => steps::run(&wim, &image, rounds).map_err(Failure::from),
        #[cfg(target_os = "linux")]
        Command::Run(run) => run.results().and_then(|results| run.setup.output.write(&results)),
        #[cfg(target_os = "linux")]
        Command::Scale(scale) => scale.results().and_then(|results| scale.setup.output.write(&results)),
        #[cfg(target_os = "linux")]
        Command::Tasks(tasks) => tasks.results().and_then(|results| tasks.setup.output.write(&results)),
        Command::Deltas { updates, rounds } => deltas::run(&updates, rounds),
        Command::Lzx { wim, rounds } => lzx::run(&wim, rounds),
        Command::Report { results, output } => std::fs::read(results)
            .map_err(Failure::from)
            .and_then(|text| Ok(serde_json::from_slice(&text)?))
            .and_then(|results| output.write(&results)),
        Command::Facts { wim, image } => generate::facts(&wim, &image),
        Command::Generate(generate) => generate.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nano-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

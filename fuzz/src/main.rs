//! Runs fuzz targets on a stable toolchain: `fuzz-run [--times N] [TARGET]...` mutates their seeds, N times as often as
//! usual; `fuzz-run --corpus DIR` writes the seeds for cargo-fuzz; `fuzz-run TARGET --input FILE` tries one input.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, thread};

use fuzz::{TARGETS, Target, mutate, target};

fn main() -> ExitCode {
    match arguments().and_then(|arguments| arguments.run()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("fuzz-run: {message}");
            ExitCode::from(2)
        }
    }
}

#[derive(Default)]
struct Arguments {
    targets: Vec<&'static Target>,
    times: u32,
    corpus: Option<PathBuf>,
    input: Option<PathBuf>,
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments { times: 1, ..Arguments::default() };
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        match word.as_str() {
            "--times" => arguments.times = value()?.parse().map_err(|_| "--times wants a number")?,
            "--corpus" => arguments.corpus = Some(value()?.into()),
            "--input" => arguments.input = Some(value()?.into()),
            name => {
                let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
                arguments
                    .targets
                    .push(target(name).ok_or(format!("no target {name}; there are {}", names.join(", ")))?);
            }
        }
    }
    if arguments.targets.is_empty() {
        arguments.targets = TARGETS.iter().collect();
    }
    Ok(arguments)
}

impl Arguments {
    /// Whether nothing was found.
    fn run(&self) -> Result<bool, String> {
        if let Some(folder) = &self.corpus {
            return self.write_corpus(folder).map(|()| true).map_err(|error| error.to_string());
        }
        if let Some(path) = &self.input {
            let [target] = self.targets[..] else { return Err("--input wants one target".into()) };
            let input = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            println!("{}", if (target.run)(&input) { "accepted" } else { "refused" });
            return Ok(true);
        }
        let failures: u32 = self.targets.iter().map(|target| try_target(target, self.times)).sum();
        Ok(failures == 0)
    }

    fn write_corpus(&self, folder: &Path) -> std::io::Result<()> {
        for target in &self.targets {
            let folder = folder.join(target.name);
            fs::create_dir_all(&folder)?;
            for (index, seed) in (target.seeds)().iter().enumerate() {
                fs::write(folder.join(format!("seed-{index}")), seed)?;
            }
        }
        Ok(())
    }
}

/// Tries the seeds and their mutations, and returns how many failed.
fn try_target(target: &Target, times: u32) -> u32 {
    let seeds = (target.seeds)();
    let (failures, accepted, next) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    let rounds = target.rounds.saturating_mul(times);
    let fail = |what: &str, input: &[u8]| {
        failures.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("fuzz-{}-{}", target.name, what.replace(' ', "-")));
        let place = fs::write(&path, input).map_or("not kept".into(), |()| path.display().to_string());
        println!("FAIL {}: {what}: {place}", target.name);
    };
    for (index, seed) in seeds.iter().enumerate() {
        match catch_unwind(|| (target.run)(seed)) {
            Ok(true) => {}
            Ok(false) => fail(&format!("seed {index} is refused"), seed),
            Err(_) => fail(&format!("seed {index}"), seed),
        }
    }
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let round = next.fetch_add(1, Ordering::Relaxed);
                    if round >= rounds {
                        break;
                    }
                    let input = mutate::round(&seeds, round);
                    match catch_unwind(AssertUnwindSafe(|| (target.run)(&input))) {
                        Ok(true) => _ = accepted.fetch_add(1, Ordering::Relaxed),
                        Ok(false) => {}
                        Err(_) => fail(&format!("round {round}"), &input),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner();
    println!(
        "{:<12} {} seeds, {rounds} mutations, {} accepted, {failures} failed",
        target.name,
        seeds.len(),
        accepted.into_inner()
    );
    failures
}

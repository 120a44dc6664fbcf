//! `nano-image clone`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nano_image::{Error, Format, Golden, GoldenFile, NewFileOptions, NewFiles, Result, Target, UsedFile};
use nano_image::{Observer as _, keep_apart, open_disk};
use serde_json::{Value, json};

use crate::args::{Clones, ProgressStyle};
use crate::build::{self, Prepared};
use crate::machines::{self, Row};
use crate::outputs::Output;
use crate::progress::Count;
use crate::report::{self, message, output, printable};
use crate::{secret, signals};

/// Stands for the name of a machine in the pattern of the outputs.
const NAME: &str = "{name}";

/// Makes all machines of a list. Failures do not stop the others; the exit status is that of the first failure.
pub fn run(arguments: &Clones) -> Result<ExitCode> {
    let build = &arguments.build;
    signals::stop_on_signals(build.json_errors())?;
    let rows = machines::read(&arguments.machines)?;
    let [pattern] = &Output::described(&build.output, build)?[..] else {
        return Err(Error::recipe("clones need one pattern for their names")
            .with_hint("give one -o, e.g. -o 'out/{name}.vhdx'"));
    };
    if pattern.is_oci {
        let error = Error::recipe("clones cannot be OCI images");
        return Err(error.with_hint("write files, e.g. -o 'out/{name}.qcow2'"));
    }
    if !pattern.path.to_string_lossy().contains(NAME) {
        let error = Error::recipe(format!("`{}` names one file for all machines", pattern.path.display()));
        return Err(error.with_hint("write {name} where the machine's name should be, e.g. -o 'out/{name}.vhdx'"));
    }
    let format = match arguments.full {
        true => pattern.format,
        false => pattern.format.differencing(build.block_size)?,
    };
    // Asked first, because Windows cannot open a directory.
    if arguments.golden.is_dir() {
        return Err(Error::not_found("a directory is not a disk image").with_path(&arguments.golden));
    }
    let file = File::open(&arguments.golden).map_err(|error| {
        let error = Error::io("open", &arguments.golden, error);
        error.with_hint("give the golden image where it lies, or build it again; clones name it by its place")
    })?;
    let golden_format = open_disk(Arc::new(file)).map_err(|error| error.with_path(&arguments.golden))?.format();
    let golden_output = [Output { path: arguments.golden.clone(), format: golden_format, is_oci: false }];
    let Prepared { recipe, sources, progress, .. } = build::prepare(build, &golden_output)?;
    machines::check(&rows, &arguments.machines, recipe.machine())?;
    // A list says where passwords are.
    if rows.iter().any(|row| !row.secret.is_empty()) {
        signals::hold_secrets();
    }
    let golden = Golden::new(&recipe, &sources, &progress)?;
    let file = golden.open(&arguments.golden)?;
    if arguments.check_golden {
        let layout = golden.plan().layout(&progress)?.source_check(build.source_check);
        let opened = File::open(&arguments.golden).map_err(|error| Error::io("open", &arguments.golden, error))?;
        if let Some(difference) = layout.compare(&opened, &arguments.golden, golden_format, &progress)? {
            let what = format!("byte {} is not what the recipe makes: {}", difference.offset, difference.what);
            return Err(Error::recipe(what).with_path(&arguments.golden).with_hint("build the golden image again"));
        }
    }
    drop(progress);
    let mut inputs = build::inputs(build, &golden_output)?;
    inputs.push(UsedFile::new("the golden image", &arguments.golden));
    inputs.push(UsedFile::new("the list of machines", &arguments.machines));
    let (first, step) = arguments.shard.unwrap_or((0, 1));
    let rows: Vec<&Row> = rows.iter().skip(first).step_by(step).collect();
    let work = Work { arguments, golden: &golden, file: &file, format, pattern: &pattern.path, inputs: &inputs };
    work.all(&rows)
}

/// What is the same for all machines.
struct Work<'a> {
    arguments: &'a Clones,
    golden: &'a Golden,
    file: &'a GoldenFile,
    format: Format,
    pattern: &'a Path,
    inputs: &'a [UsedFile],
}

/// Results, which are printed in the order of the list.
#[derive(Default)]
struct Told {
    next: usize,
    waiting: std::collections::BTreeMap<usize, (String, Result<Value>)>,
    made: usize,
    kept: usize,
    failed: usize,
    first_failure: Option<ExitCode>,
}

impl Work<'_> {
    fn all(&self, rows: &[&Row]) -> Result<ExitCode> {
        let build = &self.arguments.build;
        let (next, told) = (AtomicUsize::new(0), Mutex::new(Told::default()));
        let count = Count::new(build::progress_style(build), rows.len());
        let jobs =
            build.jobs.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), |jobs| jobs.get());
        std::thread::scope(|scope| {
            for _ in 0..jobs.min(rows.len()) {
                scope.spawn(|| {
                    while let Some((number, row)) = next_of(rows, &next) {
                        let result = self.one(row);
                        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                        count.undisturbed(|| told.tell(number, row, result, self.arguments));
                        count.advance(told.made + told.kept + told.failed, told.failed);
                    }
                });
            }
        });
        drop(count);
        if signals::stopped() {
            return Err(Error::cancelled().with_hint("machines that are made stay; a second run makes the others"));
        }
        let told = told.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (made, kept, failed) = (told.made, told.kept, told.failed);
        match build::progress_style(build) {
            ProgressStyle::Json => message(&format!("{}\n", json!({ "made": made, "kept": kept, "failed": failed }))),
            _ if build.quiet => {}
            _ => message(&format!("{made} made, {kept} kept, {failed} failed\n")),
        }
        Ok(told.first_failure.unwrap_or(ExitCode::SUCCESS))
    }

    fn path(&self, row: &Row) -> PathBuf {
        PathBuf::from(self.pattern.to_string_lossy().replace(NAME, &row.name))
    }

    /// Makes one machine, unless it exists already.
    fn one(&self, row: &Row) -> Result<Value> {
        let build = &self.arguments.build;
        let path = self.path(row);
        keep_apart(&[UsedFile::new("the image", &*path)], self.inputs)?;
        let config = row.config(self.golden.plan().recipe().machine())?;
        let passwords = secret::read_all(&row.secret)?;
        let mut config = config;
        config.user_passwords.extend(passwords.users);
        let has_secrets = !build.machine.secret.is_empty()
            || passwords.administrator.is_some()
            || !config.user_passwords.is_empty()
            || config.domain_blob.is_some();
        let machine = self.golden.machine(&row.name, config, passwords.administrator, row.seed, &())?;
        let format = self.format;
        if path.exists() && !build.force {
            if self.arguments.full || machine.is_clone(self.file, &path, format)? {
                return Ok(json!({ "kept": true }));
            }
            return Err(Error::recipe("the output exists already, and is another machine's or golden image's clone")
                .with_path(&path)
                .with_hint("use --force to replace it"));
        }
        let mode = build.output_mode.or(has_secrets.then_some(0o600));
        let files = NewFiles::create(&[&path], NewFileOptions { replace: build.force, mode })?;
        signals::remove_if_killed(files.temporary_paths());
        let value = match self.arguments.full {
            true => {
                let target = Target::new_file(&files.files()[0], format);
                let made = machine.write_full(target, &Stop)?;
                json!({ "seed": made.seed, "disk-id": made.disk_id, "file-size": made.outputs[0].file_size })
            }
            false => serde_json::to_value(machine.write_clone_to(self.file, &files.files()[0], format)?).expect("JSON"),
        };
        signals::undisturbed(|| files.publish())?;
        Ok(value)
    }
}

/// Stops the work when the program is stopped.
struct Stop;

impl nano_image::Observer for Stop {
    fn cancelled(&self) -> bool {
        signals::stopped()
    }
}

fn next_of<'r>(rows: &[&'r Row], next: &AtomicUsize) -> Option<(usize, &'r Row)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    rows.get(number).filter(|_| !Stop.cancelled()).map(|row| (number, *row))
}

impl Told {
    fn tell(&mut self, number: usize, row: &Row, result: Result<Value>, arguments: &Clones) {
        self.waiting.insert(number, (row.name.clone(), result));
        while let Some((name, result)) = self.waiting.remove(&self.next) {
            self.next += 1;
            self.line(&name, result, arguments);
        }
    }

    fn line(&mut self, name: &str, result: Result<Value>, arguments: &Clones) {
        let build = &arguments.build;
        let value = match result {
            Ok(mut value) => {
                let kept = value.get("kept").is_some();
                (self.made, self.kept) = (self.made + usize::from(!kept), self.kept + usize::from(kept));
                value["name"] = name.into();
                value
            }
            Err(error) => {
                self.failed += 1;
                let error = error.within(format_args!("machine {}", printable(name)));
                let mut value = report::as_json(&error);
                value["name"] = name.into();
                let code = match build.json {
                    true => report::exit_code(error.kind()),
                    false => report::failure(&error, build.json_errors()),
                };
                self.first_failure.get_or_insert(code);
                value
            }
        };
        if build.json {
            // If nobody reads the output, it is not needed.
            let _ = output(&format!("{value}\n"));
        }
    }
}

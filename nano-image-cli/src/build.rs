//! `nano-image build`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use nano_image::{ByteSize, Error, ErrorKind, Observer, Recipe, RecipeBuilder, Report, Result, Seed, Sources, Target};

use crate::args::{Build, ProgressStyle, SeedArgument};
use crate::check::Existing;
use crate::metadata::{self, Facts, Inputs, Run};
use crate::outputs::Output;
use crate::progress::{Progress, stop_on_signals};
use crate::{report, sbom, secret};

/// What the flags ask for, checked as far as that goes without reading the source.
pub struct Prepared {
    pub recipe: Recipe,
    pub sources: Sources,
    pub progress: Progress,
    pub warnings: Vec<String>,
}

/// Turns flags into a recipe for `outputs`.
pub fn prepare(arguments: &Build, outputs: &[Output]) -> Result<Prepared> {
    let (firmware, firmware_warning) = Output::firmware(outputs, arguments.firmware);
    let timestamp = timestamp(arguments)?;
    let seed = seed(arguments)?;
    let sources = sources(arguments, outputs)?;
    let password = arguments.machine.secret.as_deref().map(secret::read).transpose()?;

    let recipe = match (&arguments.image, arguments.edition) {
        (Some(image), _) => Recipe::image(image),
        (None, Some(edition)) => Recipe::only_image().edition(edition),
        (None, None) => Recipe::only_image(),
    };
    let (recipe, sources) = arguments.packages.add_to(recipe, sources);
    let mut recipe = recipe
        .disk_size(arguments.size)
        .esp_size(arguments.esp_size)
        .firmware(firmware)
        .label(&arguments.label)
        .bcd_device(arguments.bcd_device)
        .machine(arguments.machine.config(&arguments.network))
        .boot(arguments.boot.settings());
    recipe = seed.into_iter().fold(recipe, RecipeBuilder::seed);
    recipe = password.into_iter().fold(recipe, RecipeBuilder::administrator_password);
    recipe = arguments.cluster_size.into_iter().fold(recipe, RecipeBuilder::cluster_size);
    recipe = arguments.compact.into_iter().fold(recipe, RecipeBuilder::compact);
    let recipe = timestamp.into_iter().fold(recipe, RecipeBuilder::timestamp).build()?;
    let progress = Progress::new(if arguments.quiet && arguments.progress != ProgressStyle::Json {
        ProgressStyle::None
    } else {
        arguments.progress
    });
    if let Some(warning) = &firmware_warning {
        progress.warn(warning);
    }
    Ok(Prepared { recipe, sources, progress, warnings: firmware_warning.into_iter().collect() })
}

/// Builds an image and reports on it, or compares it with one that is there.
pub fn run(arguments: &Build) -> Result<ExitCode> {
    let (started, started_at) = (Instant::now(), SystemTime::now());
    // What can be refused without reading anything is refused first.
    let reports = &arguments.reports;
    let existing = reports.check.as_deref().map(Existing::open).transpose()?;
    let outputs = match &existing {
        Some(existing) => existing.outputs(arguments)?,
        None => Output::all(arguments)?,
    };
    let report_files = || reports.metadata_file.iter().chain(&reports.sbom);
    report_files().try_for_each(|path| metadata::check(path, arguments))?;
    let to_stdout = outputs.iter().any(|output| output.path.is_none());
    let Prepared { recipe, sources, progress, warnings } = prepare(arguments, &outputs)?;
    let wants_digests = report_files().next().is_some() || matches!(existing, Some(Existing::Metadata(..)));
    stop_on_signals()?;
    let plan = recipe.plan(&sources, &progress)?;
    let inputs = wants_digests.then(|| Inputs::begin(arguments, &plan)).transpose()?;
    let mut layout = plan.layout(&progress)?.source_check(arguments.source_check);
    if let Some(jobs) = arguments.jobs {
        layout = layout.jobs(jobs.get());
    }
    let facts = Facts { arguments, recipe: &recipe, plan: &plan };
    if let Some(existing) = existing {
        return existing.compare(layout, &outputs, inputs, facts, progress, arguments);
    }
    let layout = layout.digests(wants_digests);
    let mut stdout = io::stdout().lock();
    let mut streams: Vec<&mut dyn Write> = vec![&mut stdout];
    let targets = outputs.iter().filter_map(|output| match &output.path {
        Some(path) => Some(Target::file(path, output.format)),
        // There is one such output at most.
        None => streams.pop().map(|stream| Target::stream(stream, output.format)),
    });
    let made = layout.write(targets.collect(), &progress)?;
    drop(stdout);
    if let Some(inputs) = inputs {
        let inputs = inputs.join()?;
        if let Some(path) = &reports.sbom {
            metadata::write(path, &sbom::value(&facts, &made, &inputs))?;
        }
        if let Some(path) = &reports.metadata_file {
            let build = metadata::build(&facts, &layout, &made, &inputs)?;
            let run = Run {
                started: started_at,
                duration: started.elapsed(),
                phases: progress.durations(),
                warnings: warnings.iter().chain(&made.warnings).cloned().collect(),
            };
            metadata::write(path, &serde_json::json!({ "build": build, "run": run.value(arguments) }))?;
        }
    }
    drop(progress);

    if !arguments.quiet && arguments.progress != ProgressStyle::Json {
        report::message(&summary(&outputs, &made, started.elapsed()));
    }
    if arguments.json {
        if !to_stdout {
            report::output(&(serde_json::to_string_pretty(&made).expect("a report is JSON") + "\n"))?;
            return Ok(ExitCode::SUCCESS);
        }
        // Standard error may carry lines of JSON already, so this is one, too.
        report::message(&format!("{}\n", serde_json::json!({ "report": made })));
    }
    Ok(ExitCode::SUCCESS)
}

/// The flag, or else SOURCE_DATE_EPOCH (<https://reproducible-builds.org/specs/source-date-epoch/>).
fn timestamp(arguments: &Build) -> Result<Option<u64>> {
    let variable = std::env::var_os("SOURCE_DATE_EPOCH").filter(|value| !value.is_empty());
    match (arguments.timestamp, variable) {
        (Some(seconds), _) => Ok(Some(seconds)),
        (None, Some(value)) => {
            let seconds = value.to_str().and_then(|value| value.parse().ok());
            let message = || format!("SOURCE_DATE_EPOCH is `{}`, not seconds since 1970", value.display());
            seconds.map(Some).ok_or_else(|| Error::recipe(message()).with_hint("unset it, or use --timestamp"))
        }
        (None, None) => Ok(None),
    }
}

fn seed(arguments: &Build) -> Result<Option<Seed>> {
    match arguments.seed {
        None => Ok(None),
        Some(SeedArgument::Given(seed)) => Ok(Some(seed)),
        Some(SeedArgument::Random) => {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes)
                .map_err(|error| Error::new(ErrorKind::Io, "the system gives no random bytes").with_source(error))?;
            Ok(Some(Seed::from_bytes(bytes)))
        }
    }
}

fn sources(arguments: &Build, outputs: &[Output]) -> Result<Sources> {
    let source = arguments.source()?;
    let sources = if arguments.media.is_some() { Sources::media(source) } else { Sources::wim(source) };
    Ok(arguments.swm.iter().fold(sources, Sources::part).scratch(scratch(arguments, outputs)))
}

/// The folder for scratch files: where the image goes there is room.
pub fn scratch(arguments: &Build, outputs: &[Output]) -> PathBuf {
    let beside = outputs.iter().find_map(|output| output.path.as_deref()).map(|path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => ".".into(),
    });
    arguments.scratch.clone().or(beside).unwrap_or_else(std::env::temp_dir)
}

fn summary(outputs: &[Output], made: &Report, duration: Duration) -> String {
    let size = ByteSize::new;
    let mut text = String::new();
    for (output, made) in outputs.iter().zip(&made.outputs) {
        text += &format!("{}: {}\n", report::printable(&output.label()), size(made.file_size));
    }
    text += &format!(
        "disk {}, Windows volume {} of {} used\n",
        size(made.disk_size),
        size(made.volume_used),
        size(made.volume_size),
    );
    if let Some(compact) = &made.compact {
        let (compressed, contents) = (size(compact.compressed), size(compact.contents));
        text += &format!("compact: {} files, {compressed} for {contents}\n", compact.files);
    }
    text += &report::additions(made);
    text + &format!(
        "image {}: {}\nseed {}\n{:.1} s\n",
        made.image_index,
        report::printable(&made.image_name),
        made.seed,
        duration.as_secs_f64(),
    )
}

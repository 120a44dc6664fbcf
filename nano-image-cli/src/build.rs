//! `nano-image build`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use nano_image::UsedFile;
use nano_image::{
    ByteSize, Error, ErrorKind, Layout, Observer, Recipe, RecipeBuilder, Report, Result, Secret, Seed, Sources,
};

use serde_json::{Value, json};

use crate::args::{Build, ProgressStyle, SeedArgument};
use crate::check::Existing;
use crate::metadata::{self, Facts, Input, Inputs, Timing};
use crate::outputs::{Folder, Output, OutputOptions, Outputs, is_stdout, is_stream};
use crate::progress::Progress;
use crate::{provenance, report, sbom, secret, signals};

/// What the flags ask for, checked as far as possible without reading the source.
pub struct Prepared {
    pub recipe: Recipe,
    pub sources: Sources,
    pub progress: Progress,
    pub warnings: Vec<String>,
}

/// Turns flags into a recipe for `outputs`.
pub fn prepare(arguments: &Build, outputs: &[Output]) -> Result<Prepared> {
    let (firmware, firmware_warning) = Output::firmware(outputs, arguments);
    let timestamp = timestamp(arguments)?;
    let seed = seed(arguments)?;
    let sources = sources(arguments, outputs)?;
    if has_secrets(arguments) {
        signals::hold_secrets();
    }
    let passwords = secret::read_all(&arguments.machine.secret)?;

    let recipe = match (&arguments.image, arguments.edition) {
        (Some(image), _) => Recipe::image(image),
        (None, Some(edition)) => Recipe::only_image().edition(edition),
        (None, None) => Recipe::only_image(),
    };
    let (recipe, sources) = arguments.packages.add_to(recipe, sources);
    let mut recipe = recipe
        .disk_size(arguments.size)
        .sector_size(arguments.sector_size)
        .label(&arguments.label)
        .machine(arguments.machine.config(&arguments.network))
        .boot(arguments.boot.settings());
    recipe = firmware.into_iter().fold(recipe, RecipeBuilder::firmware);
    recipe = arguments.host.into_iter().fold(recipe, RecipeBuilder::host);
    recipe = arguments.bcd_device.into_iter().fold(recipe, RecipeBuilder::bcd_device);
    recipe = seed.into_iter().fold(recipe, RecipeBuilder::seed);
    recipe = passwords.administrator.into_iter().fold(recipe, RecipeBuilder::administrator_password);
    let of_user = |recipe: RecipeBuilder, (name, password): (String, Secret)| recipe.user_password(name, password);
    recipe = passwords.users.into_iter().fold(recipe, of_user);
    recipe = arguments.esp_size.into_iter().fold(recipe, RecipeBuilder::esp_size);
    recipe = arguments.cluster_size.into_iter().fold(recipe, RecipeBuilder::cluster_size);
    recipe = arguments.recovery_size.into_iter().fold(recipe, RecipeBuilder::recovery_size);
    recipe = arguments.compact.into_iter().fold(recipe, RecipeBuilder::compact);
    let recipe = timestamp.into_iter().fold(recipe, RecipeBuilder::timestamp).build()?;
    let progress = Progress::new(progress_style(arguments));
    let warnings: Vec<String> = firmware_warning.into_iter().chain(Output::doubts(outputs, arguments.host)).collect();
    warnings.iter().for_each(|warning| progress.warn(warning));
    Ok(Prepared { recipe, sources, progress, warnings })
}

/// How progress is told: `--quiet` leaves what is for programs.
pub fn progress_style(arguments: &Build) -> ProgressStyle {
    match arguments.progress {
        ProgressStyle::Json => ProgressStyle::Json,
        _ if arguments.quiet => ProgressStyle::None,
        style => style,
    }
}

/// Builds an image and reports on it, or compares it with one that is there.
pub fn run(arguments: &Build) -> Result<ExitCode> {
    let (started, started_at) = (Instant::now(), SystemTime::now());
    signals::stop_on_signals(arguments.json_errors())?;
    // What can be refused without reading anything is refused first.
    let reports = &arguments.reports;
    let existing = reports.check.as_deref().map(Existing::open).transpose()?;
    let outputs = match &existing {
        Some(existing) => existing.outputs(arguments)?,
        None => Output::described(&arguments.output, arguments)?,
    };
    check_oci(arguments, &outputs)?;
    let report_files = || reports.metadata_file.iter().chain(&reports.sbom).chain(&reports.provenance);
    let mut files = match &existing {
        Some(_) => None,
        None => Some(open(arguments, &outputs)?),
    };
    let to_stdout = outputs.iter().map(|output| &output.path).chain(report_files()).any(|path| is_stdout(path));
    let Prepared { recipe, sources, progress, warnings } = prepare(arguments, &outputs)?;
    files.iter().flat_map(Outputs::leftovers).for_each(|text| progress.warn(&text));
    let wants_digests = report_files().next().is_some() || matches!(existing, Some(Existing::Metadata(..)));
    let plan = recipe.plan(&sources, &progress)?;
    // What is compared has been built before.
    if existing.is_none() {
        match plan.check_bootable() {
            Err(error) if arguments.allow_unbootable => progress.warn(&error.to_string()),
            checked => checked?,
        }
    }
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
    let mut files = files.take().expect("without --check there are outputs");
    let images = outputs.iter().map(|output| (output.format, output.is_oci.then(|| output.files().len())));
    let made = match layout.write(files.targets(images), &progress) {
        // The program that read the image says why it ended.
        Err(error) if outputs.len() == 1 && is_stream(&outputs[0].path) && is_closed_pipe(&error) => {
            return Ok(ExitCode::from(CLOSED_PIPE));
        }
        made => made?,
    };
    if let Some(inputs) = inputs {
        let timing = Timing {
            started: started_at,
            duration: started.elapsed(),
            phases: progress.durations(),
            warnings: warnings.iter().chain(&made.warnings).cloned().collect(),
        };
        let first = outputs.iter().map(|output| output.files().len()).sum();
        for (number, report) in (first..).zip(made_reports(&facts, &layout, &outputs, &made, &inputs.join()?, &timing)?)
        {
            files.write(number, format!("{report:#}\n").as_bytes())?;
        }
    }
    files.publish()?;
    drop(progress);

    tell(arguments, &outputs, &made, started.elapsed(), to_stdout)?;
    Ok(ExitCode::SUCCESS)
}

/// The files about a build, in the order in which [`open`] names them.
fn made_reports(
    facts: &Facts<'_>,
    layout: &Layout<'_>,
    outputs: &[Output],
    made: &Report,
    inputs: &[Input],
    timing: &Timing,
) -> Result<Vec<Value>> {
    let wanted = &facts.arguments.reports;
    let mut reports = Vec::new();
    if wanted.metadata_file.is_some() {
        let build = metadata::build(facts, layout, made, inputs)?;
        reports.push(json!({ "build": build, "run": timing.value(facts.arguments) }));
    }
    if wanted.sbom.is_some() {
        reports.push(sbom::value(facts, made, inputs));
    }
    if wanted.provenance.is_some() {
        reports.push(provenance::value(facts, outputs, made, inputs)?);
    }
    Ok(reports)
}

/// Reports what was made: as text for people, or as JSON for programs that ask for it.
fn tell(arguments: &Build, outputs: &[Output], made: &Report, duration: Duration, stdout_is_taken: bool) -> Result<()> {
    if !arguments.quiet && arguments.progress != ProgressStyle::Json {
        let private = cfg!(unix) && has_secrets(arguments) && arguments.output_mode.is_none();
        report::message(&summary(outputs, made, duration, private));
    }
    match arguments.json {
        // Standard error may have lines of JSON already, so this is one, too.
        true if stdout_is_taken => report::message(&format!("{}\n", json!({ "report": made }))),
        true => report::output(&(serde_json::to_string_pretty(made).expect("a report is JSON") + "\n"))?,
        false => {}
    }
    Ok(())
}

/// What is not supported for OCI images.
fn check_oci(arguments: &Build, outputs: &[Output]) -> Result<()> {
    let Some(output) = outputs.iter().find(|output| output.is_oci) else { return Ok(()) };
    let refused = match &arguments.reports {
        reports if reports.check.is_some() => "cannot be compared",
        reports if reports.provenance.is_some() => "has its own digest, which its provenance would not name",
        _ => return Ok(()),
    };
    let error = Error::recipe(format!("an OCI image {refused}")).with_path(&output.path);
    Err(error.with_hint("write the qcow2 image as a file, too: -o web.qcow2"))
}

/// The exit status of a program that SIGPIPE ended, as shells report it.
const CLOSED_PIPE: u8 = 141;

/// Whether the reader of a stream went away.
fn is_closed_pipe(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(report::is_closed_pipe)
}

/// Opens everything that is written: the images, the metadata, the bill of materials.
fn open(arguments: &Build, outputs: &[Output]) -> Result<Outputs> {
    let reports = &arguments.reports;
    let files = outputs.iter().flat_map(Output::files);
    let images = files.map(|path| UsedFile::new("the image", path));
    let metadata = reports.metadata_file.iter().map(|path| UsedFile::new("the metadata file", path));
    let bill = reports.sbom.iter().map(|path| UsedFile::new("the bill of materials", path));
    let provenance = reports.provenance.iter().map(|path| UsedFile::new("the provenance", path));
    let wanted: Vec<UsedFile> = images.chain(metadata).chain(bill).chain(provenance).collect();
    let folders = outputs.iter().filter(|output| output.is_oci && output.files().len() > 1);
    let folders = folders.map(|output| Folder::make(&output.path, &output.files())).collect::<Result<Vec<_>>>()?;
    Ok(Outputs::open(&wanted, &inputs(arguments, outputs)?, output_options(arguments))?.with_folders(folders))
}

/// All files that are read, each with what it is called.
pub fn inputs(arguments: &Build, outputs: &[Output]) -> Result<Vec<UsedFile>> {
    let sources = arguments.packages.add_sources(sources(arguments, outputs)?);
    let mut inputs = sources.inputs(&arguments.machine.config(&arguments.network));
    inputs.extend(arguments.recipe.iter().map(|path| UsedFile::new("the recipe", path)));
    let secrets = arguments.machine.secret.iter().filter_map(|text| secret::file(text));
    inputs.extend(secrets.map(|path| UsedFile::new("the file of the password", path)));
    Ok(inputs)
}

/// How outputs are made: if they have secrets, only their owner may read them, unless a flag says otherwise.
pub fn output_options(arguments: &Build) -> OutputOptions {
    let private = has_secrets(arguments).then_some(PRIVATE);
    OutputOptions { replace: arguments.force, mode: arguments.output_mode.or(private) }
}

/// Whether the image contains a password, a product key or the secret of a machine account.
fn has_secrets(arguments: &Build) -> bool {
    let machine = &arguments.machine;
    !machine.secret.is_empty() || machine.domain_blob.is_some() || machine.product_key.is_some()
}

/// Permission bits of files that only their owner may read and write.
const PRIVATE: u32 = 0o600;

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
    let sources = match (&arguments.disk, &arguments.media) {
        (Some(disk), media) => media.iter().fold(Sources::disk(disk), Sources::package_media),
        (None, Some(media)) => Sources::media(media),
        (None, None) => Sources::wim(source),
    };
    Ok(arguments.swm.iter().fold(sources, Sources::part).scratch(scratch(arguments, outputs)))
}

/// The folder for scratch files: by default that of the image, which has enough room.
pub fn scratch(arguments: &Build, outputs: &[Output]) -> PathBuf {
    let beside = outputs.iter().map(|output| &*output.path).find(|path| !is_stream(path));
    let beside = beside.map(|path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => ".".into(),
    });
    arguments.scratch.clone().or(beside).unwrap_or_else(std::env::temp_dir)
}

fn summary(outputs: &[Output], made: &Report, duration: Duration, private: bool) -> String {
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
    if private {
        text +=
            "the image has secrets in it: only you may read what was written (mode 600); --output-mode changes that\n";
    }
    text + &format!(
        "image {}: {}\nseed {}\n{:.1} s\n",
        made.image_index,
        report::printable(&made.image_name),
        made.seed,
        duration.as_secs_f64(),
    )
}

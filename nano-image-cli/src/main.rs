//! Command line of `nano-image`: flags, progress and exit codes; the library knows the formats.

mod about;
mod args;
mod build;
mod check;
mod clone;
mod diff;
mod images;
mod inspect;
mod launch;
mod lint;
mod machines;
mod manual;
mod metadata;
mod outputs;
mod packages;
mod plan;
mod progress;
mod provenance;
mod read;
mod recipe;
mod report;
mod sbom;
mod secret;
mod signals;
mod size;
mod suggest;
mod text_file;
mod usage;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use args::{Arguments, Command, ProgressStyle};
use clap::FromArgMatches;

fn main() -> ExitCode {
    signals::prepare();
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let json_errors = matches!(&arguments.command, Command::Build(build) | Command::Plan(build) if build.json_errors());
    let result = match &arguments.command {
        Command::Verify(arguments) => verify::run(arguments),
        Command::Lint(arguments) => lint::run(arguments),
        Command::Build(arguments) => build::run(arguments),
        Command::Clone(arguments) => clone::run(arguments),
        Command::Plan(arguments) => done(plan::run(arguments)),
        Command::Packages(arguments) => done(packages::run(arguments)),
        Command::Images(arguments) => done(images::run(arguments)),
        Command::Inspect(arguments) if arguments.launch => {
            done(launch::run(&arguments.image, &launch::Wishes::default(), arguments.json))
        }
        Command::Inspect(arguments) => done(inspect::run(arguments)),
        Command::Cat(arguments) => done(read::cat(arguments)),
        Command::Extract(arguments) => read::extract(arguments),
        Command::Diff(arguments) => diff::run(arguments),
        Command::Size(arguments) => done(size::run(arguments)),
        Command::RunHint(arguments) => {
            done(launch::run(&arguments.image, &launch::Wishes::of(arguments), arguments.json))
        }
        Command::Completions(arguments) => done(about::completions(arguments.shell)),
        Command::Man(arguments) => done(manual::man(arguments.directory.as_deref(), arguments.force)),
        Command::Schema(_) => done(about::schema()),
    };
    result.unwrap_or_else(|error| report::failure(&error, json_errors))
}

/// Success if nothing failed.
fn done(result: nano_image::Result<()>) -> nano_image::Result<ExitCode> {
    result.map(|()| ExitCode::SUCCESS)
}

/// The command line, with the flags of a recipe file added. Help and wrong usage end the program.
fn arguments() -> Result<Arguments, ExitCode> {
    let mut given: Vec<OsString> = std::env::args_os().collect();
    let typed = given.clone();
    let mut command = args::command();
    if let Ok(matches) = recipe::lenient_command().try_get_matches_from(&given)
        && let Some((name, build)) = matches.subcommand()
        && args::WITH_BUILD_FLAGS.contains(&name)
    {
        let json_errors = build.get_one("progress") == Some(&ProgressStyle::Json);
        let more = recipe::flags(build).map_err(|error| report::failure(&error, json_errors))?;
        if build.contains_id("check") {
            command = command.mut_subcommand("build", |build| build.mut_arg("output", |arg| arg.required(false)));
        }
        // After the names of the program and of the subcommand.
        given.splice(2..2, more);
    }
    let matches = command.try_get_matches_from_mut(&given);
    matches.and_then(|matches| Arguments::from_arg_matches(&matches)).map_err(|error| {
        let inner = given.get(1).and_then(|name| command.find_subcommand(name)).unwrap_or(&command);
        match suggest::better(&error, &command, &typed).or_else(|| usage::mistake(&error, inner)) {
            Some(mistake) => report::failure(&mistake, false),
            None => error.exit(),
        }
    })
}

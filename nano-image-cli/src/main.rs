//! Command line of `nano-image`: flags, progress and exit codes; the library knows the formats.

mod args;
mod build;
mod diff;
mod images;
mod inspect;
mod launch;
mod outputs;
mod packages;
mod plan;
mod progress;
mod read;
mod recipe;
mod report;
mod secret;
mod size;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches;

use args::{Arguments, Command, ProgressStyle};

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let json_errors = matches!(&arguments.command, Command::Build(build) | Command::Plan(build) if build.json_errors());
    let result = match &arguments.command {
        Command::Verify(arguments) => match verify::run(arguments) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Build(arguments) => build::run(arguments),
        Command::Plan(arguments) => plan::run(arguments),
        Command::Packages(arguments) => packages::run(arguments),
        Command::Images(arguments) => images::run(arguments),
        Command::Inspect(arguments) if arguments.launch => launch::run(&arguments.image, arguments.json),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Cat(arguments) => read::cat(arguments),
        Command::Extract(arguments) => read::extract(arguments),
        Command::Diff(arguments) => match diff::run(arguments) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Size(arguments) => size::run(arguments),
        Command::RunHint(arguments) => launch::run(&arguments.image, arguments.json),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failure(&error, json_errors),
    }
}

/// The command line, with the flags of a recipe file. Help and wrong usage end the program.
fn arguments() -> Result<Arguments, ExitCode> {
    let mut given: Vec<OsString> = std::env::args_os().collect();
    if let Ok(matches) = recipe::lenient_command().try_get_matches_from(&given)
        && let Some(("build" | "plan", build)) = matches.subcommand()
    {
        let json_errors = build.get_one("progress") == Some(&ProgressStyle::Json);
        let more = recipe::flags(build).map_err(|error| report::failure(&error, json_errors))?;
        // Behind the program's and the subcommand's name.
        given.splice(2..2, more);
    }
    let matches = args::command().get_matches_from(given);
    Ok(Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
}

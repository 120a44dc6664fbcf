//! Command line of `nano-image`: flags, progress and exit codes; the library knows the formats.

mod args;
mod build;
mod images;
mod inspect;
mod outputs;
mod progress;
mod report;
mod secret;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json_errors = matches!(&arguments.command, Command::Build(build) if build.json_errors());
    let result = match &arguments.command {
        Command::Build(arguments) => build::run(arguments),
        Command::Images(arguments) => images::run(arguments),
        Command::Inspect(arguments) => inspect::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failure(&error, json_errors),
    }
}

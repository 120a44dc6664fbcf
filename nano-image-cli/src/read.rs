//! `nano-image cat` and `nano-image extract`.

use std::io::{self, Write};
use std::process::ExitCode;

use nano_image::inspect::{self, ExtractOptions, FileId, Files, Image};
use nano_image::{Error, ErrorKind, Result};

use crate::args::ProgressStyle;
use crate::args::read::{Cat, Extract};
use crate::progress::Progress;
use crate::report::{is_closed_pipe, message, printable, warning};
use crate::signals::stop_on_signals;

/// Prints a file of an image.
pub fn cat(arguments: &Cat) -> Result<()> {
    let image = Image::open(&arguments.image)?;
    let files = open(&image, arguments.partition)?;
    let (file, name) = resolve(&files, &arguments.path)?;
    let stream = files.open_stream(file, &name).map_err(|error| error.with_path(&arguments.path))?;
    let Some(stream) = stream else {
        if file.is_directory() && name.is_empty() {
            let error = Error::recipe("this is a directory").with_path(&arguments.path);
            return Err(error.with_hint("copy it with `nano-image extract`, list it with `nano-image inspect --files`"));
        }
        let names: Vec<String> = files.named_streams(file)?.iter().map(|(name, _)| format!("`{name}`")).collect();
        let hint = if names.is_empty() {
            "it has no named streams".to_owned()
        } else {
            format!("it has {}", names.join(", "))
        };
        return Err(Error::not_found("the file has no such stream").with_path(&arguments.path).with_hint(hint));
    };
    let mut output = io::stdout().lock();
    let mut closed = false;
    let copied = inspect::copy(&*stream, &mut |piece| match output.write_all(piece).and_then(|()| output.flush()) {
        // A reader that has read enough is not an error.
        Err(error) if is_closed_pipe(&error) => {
            closed = true;
            Err(Error::cancelled())
        }
        written => written.map_err(|error| Error::io("write", "standard output", error)),
    });
    if closed { Ok(()) } else { copied.map_err(|error| error.with_path(&arguments.path)) }
}

/// Copies files of an image into a folder. Links are not copied, which is not an error; the exit status tells it.
pub fn extract(arguments: &Extract) -> Result<ExitCode> {
    let image = Image::open(&arguments.image)?;
    let files = open(&image, arguments.partition)?;
    for path in &arguments.paths {
        resolve(&files, path)?;
    }
    let mut options = ExtractOptions::default();
    options.streams = arguments.streams;
    stop_on_signals(false)?;
    let observer = Progress::new(ProgressStyle::None);
    let done = inspect::extract(&files, &arguments.paths, &arguments.directory, options, &observer)?;
    for failure in done.skipped.iter().chain(&done.failures) {
        message(&warning(failure));
    }
    if !arguments.quiet {
        let folder = printable(&arguments.directory.display().to_string());
        let bytes = nano_image::ByteSize::new(done.bytes);
        message(&format!("{folder}: {} files and {} folders, {bytes} written\n", done.files, done.directories));
    }
    match done.failures.len() {
        0 if done.skipped.is_empty() => Ok(ExitCode::SUCCESS),
        0 => Ok(ExitCode::from(1)),
        count => Err(Error::unsupported(format!("{count} of the files could not be copied; all others were"))),
    }
}

/// The files of partition `number`, or of Windows.
fn open(image: &Image, number: Option<u32>) -> Result<Files<'_>> {
    match number {
        Some(number) => image.files(number),
        None => image.main_files(),
    }
}

/// The file at `path`; if it does not exist, the error names a similar one.
fn resolve(files: &Files<'_>, path: &str) -> Result<(FileId, String)> {
    let error = match files.resolve(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => error,
        result => return result,
    };
    match nearest(files, path) {
        Some(hint) => Err(error.with_hint(hint)),
        None => Err(error),
    }
}

/// The first name of `path` that does not exist, and a similar one that does.
fn nearest(files: &Files<'_>, path: &str) -> Option<String> {
    let mut known = String::new();
    let mut directory = files.root().ok()?;
    for name in path.split(['\\', '/']).filter(|name| !name.is_empty()) {
        let deeper = format!("{known}\\{name}");
        match files.find(&deeper).ok()? {
            Some(found) => (directory, known) = (found, deeper),
            None if !directory.is_directory() => return Some(format!("`{}` is a file", &known[1..])),
            None => {
                let entries = files.list(directory).ok()?;
                let names: Vec<String> = entries.into_iter().map(|entry| entry.name.to_string()).collect();
                let place = if known.is_empty() { "the root".to_owned() } else { format!("`{}`", &known[1..]) };
                return Some(match nano_image::nearest(name, names.iter().map(String::as_str)) {
                    Some(best) => format!("{place} has no `{name}`; did you mean `{best}`?"),
                    None => format!("{place} has no `{name}`"),
                });
            }
        }
    }
    None
}

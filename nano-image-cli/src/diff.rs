//! `nano-image diff`.

use std::collections::BTreeSet;
use std::process::ExitCode;

use nano_image::inspect::{self, DiffText};
use nano_image::{Error, Result};
use serde_json::json;

use crate::args::ProgressStyle;
use crate::args::read::Diff;
use crate::progress::Progress;
use crate::report::{message, output, warning};
use crate::signals::stop_on_signals;

/// Tells what differs between two images.
pub fn run(arguments: &Diff) -> Result<ExitCode> {
    stop_on_signals(false)?;
    let ignore: BTreeSet<_> = arguments.ignore.iter().copied().collect();
    let observer = Progress::new(ProgressStyle::None);
    let (mut text, mut first) = (DiffText::default(), true);
    if arguments.json {
        let paths = json!({ "a": arguments.a, "b": arguments.b }).to_string();
        output(&format!("{},\n\"differences\": [", paths.trim_end_matches('}')))?;
    }
    let compared = inspect::diff(&arguments.a, &arguments.b, &ignore, &observer, &mut |difference| {
        if arguments.quiet {
            return Ok(());
        }
        if arguments.json {
            let value = serde_json::to_string(difference).expect("a difference is JSON");
            let comma = if std::mem::take(&mut first) { "" } else { "," };
            return output(&format!("{comma}\n{value}"));
        }
        output(&text.lines(difference))
    });
    let compared = match compared {
        Ok(compared) => compared,
        Err(error) => {
            if arguments.json {
                output("\n]}\n")?;
            }
            return Err(error);
        }
    };
    if arguments.json {
        output(&format!("\n],\n\"notes\": {}}}\n", json!(compared.notes)))?;
    }
    for note in &compared.notes {
        message(&warning(note));
    }
    match (compared.differences, compared.notes.len()) {
        (0, 0) => Ok(ExitCode::SUCCESS),
        (0, count) => Err(Error::unsupported(format!("{count} files could not be compared; nothing else differs"))),
        _ => Ok(ExitCode::from(1)),
    }
}

//! What an update is, and what an image needs of it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use nano_image::{Applicability, ByteSize, Error, Result, Update, UpdateDetails};
use serde_json::json;

use super::image;
use crate::args::PackagesOf;
use crate::report::{output, printable};

/// Whether the file is an update: a cabinet, or named like one.
pub fn is_update(path: &Path) -> bool {
    let is_called =
        path.extension().is_some_and(|ending| ["msu", "cab"].iter().any(|update| ending.eq_ignore_ascii_case(update)));
    let mut magic = [0; 4];
    let is_cabinet = path.is_file()
        && File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && magic == *b"MSCF";
    is_cabinet || (is_called && !path.is_dir())
}

/// Describes the update.
pub fn run(arguments: &PackagesOf, path: &Path) -> Result<()> {
    if let Some(name) = &arguments.name {
        let error = Error::recipe(format!("an update has no package called `{name}` to describe"));
        return Err(error.with_path(path).with_hint("leave the name out: an update is described as a whole"));
    }
    let scratch = std::env::temp_dir();
    let update = Update::open(path)?;
    let details = update.describe(Some(&scratch))?;
    let sources = image::source(arguments);
    if arguments.image.is_some() && sources.is_none() {
        let error = Error::recipe("--image without a WIM or disk that has the image").with_path(path);
        return Err(error.with_hint("name it with --wim or --disk"));
    }
    let applies = sources.map(|sources| update.applies(&sources, arguments.image.as_deref())).transpose()?;
    output(&match arguments.json {
        true => format!("{:#}\n", json!({ "packages": details, "applies": applies })),
        false => text(&details, applies.as_ref()),
    })
}

fn text(packages: &[UpdateDetails], applies: Option<&Applicability>) -> String {
    let mut text = String::new();
    for package in packages {
        text += &format!("{}\n", printable(&package.file));
        let mut line = |name: &str, value: &str| {
            if !value.is_empty() {
                text += &format!("  {name:13} {}\n", printable(value));
            }
        };
        line("identity", &package.identity);
        line("article", package.kb.as_deref().unwrap_or_default());
        line("build", package.build.as_deref().unwrap_or_default());
        line("kind", &package.release_type);
        line("form", package.form);
        line("stack", if package.is_stack { "a new servicing stack, installed first" } else { "" });
        line("parts", &format!("{} packages, {} components", package.parts, package.components));
        line("files", &format!("{} in {} files", ByteSize::new(package.unpacked), package.files));
        for (index, parent) in package.parents.iter().enumerate() {
            line(if index == 0 { "needs" } else { "or" }, parent);
        }
    }
    if let Some(applies) = applies {
        text += &format!(
            "applies: {} packages, {} components, of which {} replace earlier versions; {} more are staged\n",
            applies.packages.len(),
            applies.components,
            applies.replaced,
            applies.staged
        );
        applies.notes.iter().for_each(|note| text += &format!("  {}\n", printable(note)));
    }
    text
}

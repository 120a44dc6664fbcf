//! `nano-image size`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use nano_image::inspect::{self, SizeReport, SizeRow};
use nano_image::{ByteSize, Error, Result, SourceCheck};

use crate::args::Build;
use crate::args::read::{ShowSize, Size};
use crate::build::{self, Prepared};
use crate::plan;
use crate::progress::stop_on_signals;
use crate::report::{message, output, printable, warning};

/// Tells where the bytes of an image are.
pub fn run(arguments: &Size) -> Result<()> {
    let build = &arguments.build;
    let report = match &arguments.image {
        Some(image) => inspect::size(image)?,
        None => of_build(build)?,
    };
    show(&report, &arguments.show, build.force, build.json)
}

/// Where the bytes of the image would be that flags of `build` ask for.
fn of_build(build: &Build) -> Result<SizeReport> {
    let outputs = plan::outputs(build)?;
    let Prepared { recipe, sources, progress, .. } = build::prepare(build, &outputs)?;
    stop_on_signals()?;
    let plan = recipe.plan(&sources, &progress)?;
    let layout = plan.layout(&progress)?.source_check(SourceCheck::None);
    let image = Scratch(build::scratch(build, &outputs).join(format!(".nano-image-size-{}", std::process::id())));
    layout.write_file(&image.0, outputs[0].format, &progress)?;
    drop(progress);
    let mut report = inspect::size(&image.0)?;
    report.path = outputs[0].label();
    Ok(report)
}

/// A file that is removed in the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // If it was never made there is nothing to remove.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn show(report: &SizeReport, how: &ShowSize, force: bool, json: bool) -> Result<()> {
    if let Some(path) = &how.svg {
        write_picture(path, &report.to_svg(), force)?;
    }
    for note in &report.notes {
        message(&warning(note));
    }
    if json {
        let json = serde_json::to_string_pretty(report).expect("a report is JSON");
        return output(&format!("{json}\n"));
    }
    output(&text(report, how.top))
}

fn write_picture(path: &Path, svg: &str, force: bool) -> Result<()> {
    let failed = |error| Error::io("write", path, error);
    let mut file = if force { File::create(path) } else { File::create_new(path) }.map_err(|error| {
        if error.kind() != std::io::ErrorKind::AlreadyExists {
            return failed(error);
        }
        Error::recipe("the output exists already").with_path(path).with_hint("use --force to replace it")
    })?;
    file.write_all(svg.as_bytes()).map_err(failed)
}

fn text(report: &SizeReport, top: usize) -> String {
    let all = report.file_size;
    let mut text = format!("{}: {} ({all} bytes)\n\n", printable(&report.path), ByteSize::new(all));
    text += &table("Bytes of the file", &report.totals, usize::MAX, all);
    for (title, rows) in [("Folders", &report.folders), ("Components", &report.components), ("Files", &report.files)] {
        if !rows.is_empty() {
            text += "\n";
            text += &table(title, rows, top, all);
        }
    }
    text
}

fn table(title: &str, rows: &[SizeRow], top: usize, all: u64) -> String {
    let cells = rows.iter().take(top).map(|row| {
        let files = if row.files == 0 { String::new() } else { format!("{} files", row.files) };
        let share = format!("{:.1} %", row.bytes as f64 * 100.0 / all.max(1) as f64);
        [ByteSize::new(row.bytes).to_string(), row.bytes.to_string(), share, files, printable(&row.name)]
    });
    let cells: Vec<[String; 5]> = cells.collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..4).map(width).collect();
    let sum: u64 = rows.iter().map(|row| row.bytes).sum();
    let count = if rows.len() > top { format!(", the largest {top} of {}", rows.len()) } else { String::new() };
    let mut text = format!("{title}: {}{count}\n", ByteSize::new(sum));
    for [human, exact, share, files, name] in &cells {
        let (a, b, c, d) = (widths[0], widths[1], widths[2], widths[3]);
        let gap = if d == 0 { "" } else { "  " };
        text += &format!("  {human:>a$}  {exact:>b$}  {share:>c$}{gap}{files:>d$}  {name}\n");
    }
    text
}

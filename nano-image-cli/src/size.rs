//! `nano-image size`.

use nano_image::inspect::{self, SizeReport, SizeRow};
use nano_image::{ByteSize, Result, SourceCheck, Target};
use nano_image::{NewFileOptions, NewFiles, UsedFile};

use crate::args::read::ShowSize;
use crate::args::{Build, Size};
use crate::build::{self, Prepared};
use crate::outputs::{OutputOptions, Outputs};
use crate::plan;
use crate::report::{message, output, printable, warning};
use crate::signals::{self, stop_on_signals};

/// Tells what takes up the space of an image.
pub fn run(arguments: &Size) -> Result<()> {
    let build = &arguments.build;
    let (report, picture) = match &arguments.image {
        Some(image) => {
            let inputs = [UsedFile::new("the disk image", image)];
            let picture = open(&arguments.show, &inputs, OutputOptions { replace: build.force, mode: None })?;
            (inspect::size(image)?, picture)
        }
        None => of_build(build, &arguments.show)?,
    };
    show(&report, &arguments.show, picture, build.json)
}

/// The same for the image that flags of `build` would make.
fn of_build(build: &Build, how: &ShowSize) -> Result<(SizeReport, Option<Outputs>)> {
    stop_on_signals(build.json_errors())?;
    let outputs = plan::outputs(build)?;
    let picture = open(how, &build::inputs(build, &outputs)?, build::output_options(build))?;
    let Prepared { recipe, sources, progress, .. } = build::prepare(build, &outputs)?;
    let plan = recipe.plan(&sources, &progress)?;
    let layout = plan.layout(&progress)?.source_check(SourceCheck::None);
    let scratch = build::scratch(build, &outputs).join("nano-image-size");
    let image = NewFiles::create(&[scratch], NewFileOptions { replace: true, mode: Some(0o600) })?;
    signals::remove_if_killed(image.temporary_paths());
    let file = &image.files()[0];
    layout.write(vec![Target::new_file(file, outputs[0].format)], &progress)?;
    drop(progress);
    let mut report = inspect::size(file.open_path())?;
    report.path = outputs[0].label();
    Ok((report, picture))
}

/// Opens the picture, if one is wanted.
fn open(how: &ShowSize, inputs: &[UsedFile], options: OutputOptions) -> Result<Option<Outputs>> {
    let wanted = how.svg.as_ref().map(|path| UsedFile::new("the picture", path));
    wanted.map(|wanted| Outputs::open(&[wanted], inputs, options)).transpose()
}

fn show(report: &SizeReport, how: &ShowSize, picture: Option<Outputs>, json: bool) -> Result<()> {
    if let Some(mut picture) = picture {
        picture.write(0, report.to_svg().as_bytes())?;
        picture.publish()?;
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

fn text(report: &SizeReport, top: usize) -> String {
    let all = report.file_size;
    let mut text = format!("{}: {} ({all} bytes)\n\n", printable(&report.path), ByteSize::new(all));
    text += &titled("Bytes of the file", &report.totals, usize::MAX, all);
    for (title, rows) in [("Folders", &report.folders), ("Components", &report.components), ("Files", &report.files)] {
        if !rows.is_empty() {
            text += "\n";
            text += &titled(title, rows, top, all);
        }
    }
    text
}

fn titled(title: &str, rows: &[SizeRow], top: usize, all: u64) -> String {
    let cells = rows.iter().take(top).map(|row| {
        let files = if row.files == 0 { String::new() } else { format!("{} files", row.files) };
        let share = format!("{:.1} %", row.bytes as f64 * 100.0 / all.max(1) as f64);
        [ByteSize::new(row.bytes).to_string(), row.bytes.to_string(), share, files, row.name.clone()]
    });
    let cells: Vec<[String; 5]> = cells.collect();
    let sum: u64 = rows.iter().map(|row| row.bytes).sum();
    let count = if rows.len() > top { format!(", the largest {top} of {}", rows.len()) } else { String::new() };
    format!("{title}: {}{count}\n", ByteSize::new(sum)) + &nano_image::table("  ", None, 4, &cells)
}

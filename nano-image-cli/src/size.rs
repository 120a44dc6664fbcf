//! `nano-image size`.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use nano_image::inspect::{self, SizeReport, SizeRow};
use nano_image::{ByteSize, Error, Result};

use crate::args::read::Size;
use crate::report::{message, output, printable, warning};

/// Tells where the bytes of an image are.
pub fn run(arguments: &Size) -> Result<()> {
    let report = inspect::size(&arguments.image)?;
    if let Some(path) = &arguments.svg {
        write_picture(path, &report.to_svg(), arguments.force)?;
    }
    for note in &report.notes {
        message(&warning(note));
    }
    if arguments.json {
        let json = serde_json::to_string_pretty(&report).expect("a report is JSON");
        return output(&format!("{json}\n"));
    }
    output(&text(&report, arguments.top))
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

//! Results as tables.

use crate::results::{Kind, Results, Row, Spread};

/// A table of everything that was measured.
pub fn of(results: &Results) -> String {
    let machine = &results.machine;
    let mut text = format!("### {}\n\n", results.title);
    text += &format!(
        "{} × {}, {:.0} GiB, Linux {}, {}; {} rounds, each row once per round; median (smallest–largest). Load before: {:.1}.\n\n",
        machine.processors,
        machine.processor,
        machine.memory as f64 / (1u64 << 30) as f64,
        machine.kernel,
        machine.file_system,
        results.rounds,
        machine.load,
    );
    text +=
        "| | wall, s | processor, s | peak MB | read MB | written MB | file MB | file / streams | MB/s | µs/file |\n";
    text += "|---|---|---|---|---|---|---|---|---|---|\n";
    for kind in [Kind::Own, Kind::Foreign, Kind::Floor] {
        results.rows.iter().filter(|row| row.kind == kind).for_each(|row| text += &line(row));
    }
    if !results.findings.is_empty() {
        text.push('\n');
        results.findings.iter().for_each(|finding| text += &format!("- {finding}\n"));
    }
    text
}

fn line(row: &Row) -> String {
    let megabytes = |bytes: f64| format!("{:.0}", bytes / 1e6);
    let wall = row.spread(|run| run.wall);
    let is_build = row.kind != Kind::Floor && wall.median > 0.0;
    let of_build = |text: String| if is_build { text } else { String::new() };
    let size = row.runs.last().and_then(|run| run.file_size);
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        row.name,
        spread(wall),
        spread(row.spread(|run| run.cpu())),
        megabytes(row.spread(|run| run.peak_memory as f64).max),
        megabytes(row.spread(|run| run.read as f64).median),
        megabytes(row.spread(|run| run.written as f64).median),
        size.map(|size| megabytes(size as f64)).unwrap_or_default(),
        row.overhead().filter(|_| is_build).map(|ratio| format!("{ratio:.3}")).unwrap_or_default(),
        of_build(format!("{:.0}", row.stream_bytes as f64 / 1e6 / wall.median)),
        of_build(format!("{:.0}", wall.median * 1e6 / row.files as f64)),
    )
}

fn spread(spread: Spread) -> String {
    format!("{:.2} ({:.2}–{:.2})", spread.median, spread.min, spread.max)
}

//! `nano-image plan`.

use nano_image::{ByteSize, Observer, Report, Result};

use crate::args::{Build, OutputArgument};
use crate::build::{self, Prepared};
use crate::outputs::Output;
use crate::report::{additions, output, printable};
use crate::signals::stop_on_signals;

/// The output that is assumed if none is named.
const DEFAULT_OUTPUT: &str = "nano.vhdx";

/// Says what a build would make.
pub fn run(arguments: &Build) -> Result<()> {
    stop_on_signals(arguments.json_errors())?;
    let outputs = outputs(arguments)?;
    let Prepared { recipe, sources, progress, .. } = build::prepare(arguments, &outputs)?;
    let plan = recipe.plan(&sources, &progress)?;
    if let Err(error) = plan.check_bootable() {
        progress.warn(&format!("{error}; build refuses that without --allow-unbootable"));
    }
    let layout = plan.layout(&progress)?;
    let formats: Vec<_> = outputs.iter().map(|output| output.format).collect();
    let report = layout.preview(&formats)?;
    drop(progress);
    if arguments.json {
        return output(&(serde_json::to_string_pretty(&report).expect("a report is JSON") + "\n"));
    }
    output(&text(&report, &outputs, arguments.output.is_empty()))
}

/// The outputs that are meant, even if they cannot be written.
pub fn outputs(arguments: &Build) -> Result<Vec<Output>> {
    match &arguments.output[..] {
        [] => Output::described(&[OutputArgument::parse(DEFAULT_OUTPUT).expect("a path")], arguments),
        list => Output::described(list, arguments),
    }
}

fn text(report: &Report, outputs: &[Output], is_default: bool) -> String {
    let size = |bytes| ByteSize::new(bytes).to_string();
    let mut text = format!("image {}: {}\nseed {}\n\n", report.image_index, printable(&report.image_name), report.seed);
    let partitions = report.partitions.iter().map(|partition| {
        [partition.name.clone(), partition.partition_type.clone(), partition.start.to_string(), size(partition.size)]
    });
    text += &format!("disk {}, {}\n", size(report.disk_size), report.disk_id);
    text += &nano_image::table("", Some(["partition", "type", "start", "size"]), 0, &partitions.collect::<Vec<_>>());
    text += &format!(
        "\nWindows volume: {} of {} used, clusters of {}\n{} files, {} directories\n",
        size(report.volume_used),
        size(report.volume_size),
        size(report.cluster_size),
        report.files,
        report.directories
    );
    if let Some(compact) = &report.compact {
        let (compressed, contents) = (size(compact.compressed), size(compact.contents));
        text += &format!("compact: {} files, {compressed} for {contents}\n", compact.files);
    }
    let additions = additions(report);
    if !additions.is_empty() {
        text += &format!("\n{additions}");
    }
    let outputs = outputs.iter().zip(&report.outputs).map(|(output, made)| {
        let name = if is_default { String::new() } else { output.label() };
        let most = if made.is_bound { "at most " } else { "" };
        [name, made.format.clone(), format!("{most}{}", made.file_size), size(made.file_size)]
    });
    text + "\n" + &nano_image::table("", Some(["output", "format", "bytes", "size"]), 0, &outputs.collect::<Vec<_>>())
}

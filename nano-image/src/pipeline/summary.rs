//! Describes an image before or after it is written.

use super::layout::Layout;
use super::scheme::Scheme;
use crate::disk::{FileLayout, Format, Written, gpt, mbr};
use crate::error::Result;
use crate::report::{LAYOUT_VERSION, OutputReport, PartitionReport, Report};
use crate::tree::{FileTree, NodeId};
use crate::types::ByteSize;

impl Layout<'_> {
    /// What [`write`](Self::write) would report for outputs of these formats; nothing is written.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) for a size that a format cannot have.
    pub fn preview(&self, formats: &[Format]) -> Result<Report> {
        let containers = formats.iter().map(|format| self.file_layout(*format)).collect::<Result<Vec<FileLayout>>>()?;
        let outputs = formats.iter().zip(&containers);
        Ok(self.report(outputs.map(|(format, file_layout)| output_report(*format, file_layout, None)).collect()))
    }

    /// What is or would be written.
    pub(super) fn report(&self, outputs: Vec<OutputReport>) -> Report {
        let plan = self.plan;
        let (files, directories) = count(&plan.tree);
        let (used, clusters) = self.ntfs.clusters();
        let cluster_size = self.ntfs.cluster_size();
        let partitions = match &plan.scheme {
            Scheme::Gpt { esp, msr, windows, recovery, .. } => {
                let report = |partition: &gpt::Partition| {
                    PartitionReport::new(
                        &partition.name,
                        partition.type_guid.to_string(),
                        Some(partition.guid.to_string()),
                        partition.start.0,
                        partition.len.bytes(),
                    )
                };
                [esp, msr, windows].into_iter().chain(recovery).map(report).collect()
            }
            Scheme::Mbr { windows, recovery, .. } => {
                let report = |name: &str, partition: &mbr::Partition| {
                    let kind = format!("{:02x}", partition.partition_type);
                    PartitionReport::new(name, kind, None, partition.start.0, partition.len.bytes())
                };
                let recovery = recovery.iter().map(|partition| report("Recovery", partition));
                std::iter::once(report("Windows", windows)).chain(recovery).collect()
            }
        };
        Report {
            layout_version: LAYOUT_VERSION,
            image_index: plan.image.index,
            image_name: plan.image.name.clone(),
            seed: plan.seed().to_string(),
            disk_size: plan.recipe.disk_size().bytes(),
            disk_id: plan.disk_id(),
            volume_serial: format!("{:016x}", self.ntfs.serial_number()),
            partitions,
            cluster_size: cluster_size.bytes(),
            volume_used: used * cluster_size.bytes(),
            volume_size: clusters * cluster_size.bytes(),
            outputs,
            files,
            directories,
            compact: plan.compact,
            packages: plan.packages.clone(),
            build: plan.build.clone(),
            drivers: plan.drivers.clone(),
            notes: plan.notes.clone(),
            warnings: plan
                .warnings
                .iter()
                .chain(self.volumes().flat_map(|(_, volume)| volume.warnings()))
                .cloned()
                .collect(),
        }
    }
}

/// The report of one output, `written` or not yet.
pub(super) fn output_report(format: Format, file_layout: &FileLayout, written: Option<Written>) -> OutputReport {
    let file_size = written.map_or(file_layout.file_size(), |written| written.file_size);
    let mut report = OutputReport::new(format.name(), file_size.bytes());
    report.is_bound = written.is_none() && file_layout.is_packed();
    report.subformat = format.subformat().map(|subformat| subformat.name().into());
    report.block_size = format.block_size().map(ByteSize::bytes);
    report.sha256 = written.and_then(|written| written.digest).map(hex::encode);
    report
}

/// The numbers of files and directories of `tree`; a file with several names counts once, the root does not count.
fn count(tree: &FileTree) -> (u64, u64) {
    let mut seen = vec![false; tree.node_count()];
    let mut pending = vec![NodeId::ROOT];
    let (mut files, mut directories) = (0, 0);
    while let Some(directory) = pending.pop() {
        for entry in tree[directory].children.iter().flat_map(|children| children.values()) {
            if std::mem::replace(&mut seen[entry.node.0 as usize], true) {
                continue;
            }
            if tree[entry.node].is_directory() {
                directories += 1;
                pending.push(entry.node);
            } else {
                files += 1;
            }
        }
    }
    (files, directories)
}

//! What changes on a volume when it holds the files of another machine, found without a new layout.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::attributes::stored_attributes;
use super::files::Files;
use super::format::*;
use super::layout::{NtfsLayout, NtfsOptions};
use super::pack::Packing;
use super::record::{Allocation, Form, Source};
use crate::tree::{FileTree, NodeId};
use crate::types::VolumeOffset;

impl NtfsLayout {
    /// The bytes in which a [new](Self::new) layout of `tree` with `options` would differ from this one. They do not
    /// overlap, and come in no order. `None` if more differs than the serial number and contents in memory at the same
    /// places.
    pub fn changes(&self, tree: &Arc<FileTree>, options: &NtfsOptions) -> Option<Vec<(VolumeOffset, Vec<u8>)>> {
        let serial_number = self.options.serial_number;
        // A mirror that lies behind the MFT contains records of files.
        if (NtfsOptions { serial_number, ..options.clone() }) != self.options || self.mft_mirr.lcn > self.mft.lcn {
            return None;
        }
        let changed = tree.changed_since(&self.files.tree)?;
        let mut files = self.files.clone();
        files.tree = tree.clone();
        let (mut rewritten, mut directories) = (BTreeSet::new(), BTreeSet::new());
        for node in changed {
            // A node without a name is not on the volume.
            let Some(place) = self.place_of(node) else { continue };
            self.resize(&mut files, place)?;
            rewritten.insert(place);
            if shown(&files, place) != shown(&self.files, place) {
                let parents = files.names(&files.files[place]).map(|link| link.parent);
                directories.extend(parents.filter_map(|parent| self.place_of(parent)));
            }
        }
        let mut blocks = BTreeMap::new();
        for place in directories {
            blocks.insert(place, self.index_again(&mut files, place)?);
            rewritten.insert(place);
        }
        let mut changes = Vec::from(self.boot_sectors(options));
        let mft_start = self.mft.lcn.unwrap_or(0) * self.sizes.cluster_size;
        for place in rewritten {
            self.values(&mut files, place, blocks.remove(&place), &mut changes)?;
            let file = &files.files[place];
            let records = files.records(file, || &[]);
            changes.push((VolumeOffset(mft_start + file.record * self.sizes.record_size), records.concat()));
        }
        Some(changes)
    }

    fn place_of(&self, node: NodeId) -> Option<usize> {
        self.files.places.get(node.0 as usize).filter(|place| **place != u32::MAX).map(|place| *place as usize)
    }

    /// Sets the sizes of the file at `place` of `files`; `None` if its attributes no longer lie where they did.
    fn resize(&self, files: &mut Files, place: usize) -> Option<()> {
        if forms(&self.files, place)? != forms(files, place)? {
            return None;
        }
        let file = &files.files[place];
        let mut attributes = files.attributes(file);
        Packing::of(&mut attributes, files.cluster_size, files.record_size);
        let sizes = files.shown_sizes(file, &attributes);
        drop(attributes);
        let file = &mut files.files[place];
        (file.allocated_size, file.data_size) = sizes;
        Some(())
    }

    /// Builds an index again, with unchanged names, and returns its blocks.
    fn index_again(&self, files: &mut Files, place: usize) -> Option<Vec<u8>> {
        // The root directory also lists system files.
        if place == 0 {
            return None;
        }
        files.finish_index(place, &[]);
        Some(files.index_blocks(place, Vec::new()))
    }

    /// Adds the clusters of the file at `place`. `blocks` are the blocks of its index, if they are new.
    fn values(
        &self,
        files: &mut Files,
        place: usize,
        mut blocks: Option<Vec<u8>>,
        changes: &mut Vec<(VolumeOffset, Vec<u8>)>,
    ) -> Option<()> {
        forms(files, place)?;
        let (cluster_size, first_run) = (files.cluster_size, files.files[place].first_run as usize);
        let (mut runs, mut number) = (Vec::new(), first_run);
        let mut attributes = files.attributes(&files.files[place]);
        Packing::of(&mut attributes, cluster_size, self.sizes.record_size);
        for attribute in attributes {
            let Form::NonResident(run, source) = attribute.form else { continue };
            let before = self.files.runs[number];
            number += 1;
            runs.push(Allocation { lcn: before.lcn, ..run });
            let mut bytes = match source {
                Source::Value(bytes) => bytes.into_owned(),
                // Blocks that are not new stay where they were.
                Source::Generated => match blocks.take() {
                    Some(blocks) => blocks,
                    None => continue,
                },
                Source::Hole | Source::Stream(_) => return None,
            };
            // Behind a shorter value there are remains of the longer one, which are overwritten.
            bytes.resize(before.size.max(run.size) as usize, 0);
            changes.push((VolumeOffset(before.lcn? * cluster_size), bytes));
        }
        files.runs[first_run..first_run + runs.len()].copy_from_slice(&runs);
        Some(())
    }
}

/// For each attribute of the file at `place`: its type, and its first cluster. `None` if some lie outside of the first
/// record, or are blobs.
fn forms(files: &Files, place: usize) -> Option<Vec<(u32, Option<u64>)>> {
    let mut attributes = files.attributes(&files.files[place]);
    let packing = Packing::of(&mut attributes, files.cluster_size, files.record_size);
    if packing.record_count() != 1 || attributes.iter().any(|one| one.kind == attribute_type::ATTRIBUTE_LIST) {
        return None;
    }
    let form = |form: &Form<'_>| match form {
        Form::Resident(_) => Some(None),
        Form::NonResident(run, Source::Value(_) | Source::Generated) => Some(Some(run.clusters)),
        Form::NonResident(..) | Form::ResidentStream(_) => None,
    };
    attributes.iter().map(|attribute| Some((attribute.kind, form(&attribute.form)?))).collect()
}

/// What directories repeat of the file at `place`.
fn shown(files: &Files, place: usize) -> impl PartialEq {
    let file = &files.files[place];
    let node = &files.tree[file.node];
    (file.allocated_size, file.data_size, node.times, stored_attributes(node))
}

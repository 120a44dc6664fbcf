//! Says what lies at a byte of a layout, for people.

use super::files::{File, Files};
use super::layout::NtfsLayout;
use super::record::{Allocation, Attribute, Form};
use crate::tree::NodeId;
use crate::types::VolumeOffset;

impl NtfsLayout {
    /// Describes in a few words what is at `offset`: a file, the MFT record of a file, or free space.
    pub fn describe(&self, offset: VolumeOffset) -> String {
        let cluster = offset.0 / self.sizes.cluster_size;
        if contains(&self.mft, cluster) {
            let number = (offset.0 - self.mft.lcn.unwrap_or(0) * self.sizes.cluster_size) / self.sizes.record_size;
            return format!("MFT record {number}, {}", self.owner_of_record(number));
        }
        let has =
            |attribute: &Attribute<'_>| matches!(&attribute.form, Form::NonResident(run, _) if contains(run, cluster));
        if let Some(file) = self.system.iter().find(|file| file.attributes.iter().any(has)) {
            return file.name.into();
        }
        // The runs are ordered by file. The owner of a run is the last file whose runs begin at or before it.
        if let Some(run) = self.files.runs.iter().position(|run| contains(run, cluster)) {
            let owner = self.files.files.partition_point(|file| file.first_run as usize <= run) - 1;
            return format!("`{}`", self.files.path(&self.files.files[owner]));
        }
        if offset.0 >= self.sizes.clusters * self.sizes.cluster_size { "backup boot sector" } else { "free space" }
            .into()
    }

    fn owner_of_record(&self, number: u64) -> String {
        if let Some(file) = self.system.iter().find(|file| file.record == number) {
            return file.name.into();
        }
        // The root has a record of its own. The records of all others ascend, extension records after the base record.
        let (root, others) = (&self.files.files[0], &self.files.files[1..]);
        let owner = match others.partition_point(|file| file.record <= number) {
            _ if number == root.record => Some(root),
            _ if number >= self.files.next_record || self.files.free_records.binary_search(&number).is_ok() => None,
            0 => None,
            next => Some(&others[next - 1]),
        };
        owner.map_or_else(|| "not in use".into(), |file| format!("`{}`", self.files.path(file)))
    }
}

impl Files {
    /// The first path of a file, without a drive; `\` for the root.
    pub fn path(&self, file: &File) -> String {
        let mut names = Vec::new();
        let mut file = file;
        while file.node != NodeId::ROOT {
            let link = self.names(file).next().expect("every file has a name");
            names.push(link.name.to_string());
            file = self.file_of(link.parent);
        }
        names.iter().rev().fold(String::new(), |path, name| path + "\\" + name)
            + if names.is_empty() { "\\" } else { "" }
    }
}

fn contains(run: &Allocation, cluster: u64) -> bool {
    run.lcn.is_some_and(|first| (first..first + run.clusters).contains(&cluster))
}

//! The files that a build reads: no output may overwrite one of them.

use super::plan::Plan;
use super::sources::Sources;
use crate::content::UsedFile;
use crate::source::wim::parts_beside;
use crate::windows::configure::MachineConfig;
use crate::windows::media::MediaFile;

impl Sources {
    /// The files and folders that a plan for these sources and `machine` reads, as far as names and a look into the
    /// folders of media show. What is missing or broken is left out here: the plan refuses it.
    pub fn inputs(&self, machine: &MachineConfig) -> Vec<UsedFile> {
        let mut inputs = Vec::new();
        let files = &self.files;
        let mut add = |role: &str, path: &std::path::Path| {
            if !files.is_all_in_memory(path) {
                inputs.push(UsedFile::new(role, path));
            }
        };
        if let Some(disk) = self.disk_image() {
            add("the disk", disk);
        }
        match self.source() {
            Some((source, true)) => add("the WIM", source),
            Some((source, false)) if !files.is_folder(source) => add("the media", source),
            _ => {}
        }
        for part in self.parts() {
            add("a part of the WIM", part);
        }
        // An ISO image is one file, whatever it contains.
        if let Some((source, is_wim)) = self.source()
            && (is_wim || files.is_folder(source))
            && let Ok(media) = self.open()
        {
            for wim in media.wims() {
                if !is_wim {
                    add("the WIM of the media", &wim.path);
                }
                for part in parts_beside(&wim.path) {
                    add("a part of the WIM", &part);
                }
            }
            let cabinets = media.packages().iter().flat_map(|package| {
                package.neutral.iter().chain(package.languages.iter().map(|(_, file): &(_, MediaFile)| file))
            });
            cabinets.for_each(|file| add("a package of the media", &file.path));
        }
        for package in &self.servicing_packages {
            add("the servicing package", package);
        }
        for driver in &self.drivers {
            add(if files.is_folder(driver) { "the folder of drivers" } else { "the driver" }, driver);
        }
        if let Some(path) = &machine.unattend {
            add("the answer file", path);
        }
        if let Some(path) = &machine.domain_blob {
            add("the domain-join blob", path);
        }
        if let Some(path) = &machine.cloud_init {
            add("the installer of cloudbase-init", path);
        }
        for path in &machine.ssh_key {
            add("the public key", path);
        }
        for path in &machine.reg {
            add("the registry file", path);
        }
        for copy in &machine.copy {
            add(if files.is_folder(&copy.source) { "the copied folder" } else { "the copied file" }, &copy.source);
        }
        inputs
    }
}

impl Plan {
    /// The files that the plan was made from and that a build reads.
    pub fn inputs(&self) -> &[UsedFile] {
        &self.inputs
    }
}

//! Whether the image of a plan can start.

use super::plan::Plan;
use super::scheme::Scheme;
use crate::content::{BlobStore, Content};
use crate::error::{Error, ErrorKind, Result};
use crate::registry::Hive;
use crate::report::{Finding, Findings};
use crate::tree::FileTree;
use crate::windows::boot::{BootDevice, BootFile, Firmware};
use crate::windows::boot_chain::{self, BootDisk, BootPartition, BootVolume, FileForm, VolumeFile};
use crate::windows::host;

impl Plan {
    /// What keeps the image from starting: each missing link from the firmware to the drivers that Windows starts
    /// first, as `verify` finds it in a finished image. Reads hives and boot files.
    pub fn boot_chain(&self) -> Findings {
        let windows = TreeVolume { tree: &self.tree, blobs: &*self.store };
        let system = SystemFiles(&self.boot_files);
        let partition = |number, device, is_system, volume| BootPartition {
            number,
            device,
            is_system,
            volume: Some(volume),
            // This crate wrote the boot code.
            boot_record: None,
        };
        let (firmware, partitions) = match &self.scheme {
            Scheme::Gpt { disk_guid, esp, windows: ours, .. } => {
                let device = |partition| BootDevice::Gpt { disk: *disk_guid, partition };
                let esp = partition(1, device(esp.guid), true, &system as &dyn BootVolume);
                (Firmware::Uefi, vec![esp, partition(3, device(ours.guid), false, &windows)])
            }
            Scheme::Mbr { signature, windows: ours, .. } => {
                let device = BootDevice::Mbr { signature: *signature, offset: ours.start };
                (Firmware::Bios, vec![partition(1, device, true, &windows as &dyn BootVolume)])
            }
        };
        let mut findings = boot_chain::check(&BootDisk { firmware, partitions, boot_record: None });
        if let Some(host) = self.recipe.host() {
            findings.append(host::check(host, firmware, &windows), |_| {});
        }
        let is_compact = self.compact.is_some_and(|compact| compact.files > 0);
        if is_compact && !boot_chain::shows_compressed(&windows, "Windows").unwrap_or(false) {
            let message = "does not start at boot or is missing: Windows cannot read the compressed files";
            findings.add(Finding::new("boot-wof", "the driver of Compact OS (service Wof, wof.sys)", message));
        }
        findings
    }

    /// Refuses an image that cannot start.
    ///
    /// # Errors
    /// [`Unsatisfied`](ErrorKind::Unsatisfied) with the first link that is missing.
    pub fn check_bootable(&self) -> Result<()> {
        let findings = self.boot_chain();
        let mut fatal = findings.kept().iter().filter(|finding| !boot_chain::is_optional(finding));
        let Some(first) = fatal.next() else { return Ok(()) };
        let others = match fatal.count() {
            0 => String::new(),
            others => format!("; {others} more"),
        };
        let path = first.path.as_ref().map(|path| format!(" `{path}`")).unwrap_or_default();
        let what = if first.code == host::CODE { "is not fit for its host" } else { "cannot start" };
        let message = format!("the image {what}: {}{path} {}{others}", first.structure, first.message);
        let anyway = "--allow-unbootable builds it all the same";
        Err(Error::new(ErrorKind::Unsatisfied, message).with_hint(match first.code {
            host::CODE => format!("add it with --driver; {anyway}"),
            "boot-wof" => format!("build a plain image, without --compact; {anyway}"),
            _ => format!("{anyway}, and `verify` lists all that is missing"),
        }))
    }
}

/// The Windows volume before it is written.
struct TreeVolume<'p> {
    tree: &'p FileTree,
    blobs: &'p dyn BlobStore,
}

impl BootVolume for TreeVolume<'_> {
    fn file(&self, path: &str) -> Result<Option<VolumeFile>> {
        let node = self.tree.find(path).map(|node| &self.tree[node]).filter(|node| !node.is_directory());
        Ok(node.map(|node| VolumeFile {
            len: node.data.as_ref().map_or(0, Content::len),
            form: if node.compact.is_some() { FileForm::Wof } else { FileForm::Plain },
        }))
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(data) = self.tree.find(path).and_then(|node| self.tree[node].data.as_ref()) else { return Ok(None) };
        match data {
            Content::Bytes(bytes) => Ok(Some(bytes.to_vec())),
            Content::Blob { id, .. } => self.blobs.read_blob(*id, limit).map(Some),
        }
    }

    fn hive(&self, path: &str) -> Result<Option<Hive>> {
        Hive::open(path, |path, limit| self.read(path, limit))
    }
}

/// The files of the EFI system partition before it is written.
struct SystemFiles<'p>(&'p [BootFile]);

impl SystemFiles<'_> {
    fn find(&self, path: &str) -> Option<&BootFile> {
        let path = path.trim_start_matches('\\');
        self.0.iter().find(|file| file.path.trim_start_matches('\\').eq_ignore_ascii_case(path))
    }
}

impl BootVolume for SystemFiles<'_> {
    fn file(&self, path: &str) -> Result<Option<VolumeFile>> {
        Ok(self.find(path).map(|file| VolumeFile { len: file.bytes.len() as u64, form: FileForm::Plain }))
    }

    fn read(&self, path: &str, _limit: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.find(path).map(|file| file.bytes.to_vec()))
    }

    fn hive(&self, _path: &str) -> Result<Option<Hive>> {
        Ok(None)
    }
}

//! Whether a machine starts from a disk: checks each link of the chain from firmware to boot drivers.
//!
//! The same check serves a plan, before anything is written, and an image that is read back: it sees partitions and
//! files, but not how they are stored.
//!
//! Sources: UEFI 2.10 §3.5.1.1 (removable media), "Boot Configuration Data" and "HKLM\SYSTEM\CurrentControlSet\Services
//! Registry Tree" on learn.microsoft.com; the loaders' own rules for compressed files as in
//! [`compact`](super::compact).

mod code;
mod services;
mod store;
#[cfg(test)]
mod tests;

pub use services::shows_compressed;
pub(super) use services::{driver_path, starts_at_boot};

use super::boot::{BootDevice, Firmware};
use super::program;
use crate::error::{Error, Result};
use crate::registry::Hive;
use crate::report::{Finding, Findings};

/// Boot managers that UEFI firmware starts from an unknown disk, each with its processor.
const REMOVABLE: [(&str, u16); 4] = [
    (r"EFI\Boot\bootx64.efi", program::AMD64),
    (r"EFI\Boot\bootaa64.efi", program::ARM64),
    (r"EFI\Boot\bootia32.efi", program::I386),
    (r"EFI\Boot\bootarm.efi", program::ARM),
];
/// Bytes of the largest boot manager that is looked at.
const MAX_PROGRAM: u64 = 64 << 20;
/// Code for a missing driver without which Windows still starts.
const WITHOUT_DRIVER: &str = "boot-driver-optional";

/// A file, as the loaders see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeFile {
    /// Bytes of its contents.
    pub len: u64,
    /// How it is compressed.
    pub form: FileForm,
}

/// How the contents of a file are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileForm {
    /// Uncompressed.
    Plain,
    /// Compressed for the Windows Overlay Filter.
    Wof,
    /// Compressed by NTFS.
    Lznt1,
}

/// The files of a volume. Paths are found ignoring case.
pub trait BootVolume {
    /// The file at `path`; `None` if there is none, or if it is a directory.
    fn file(&self, path: &str) -> Result<Option<VolumeFile>>;

    /// Its contents, of at most `limit` bytes.
    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>>;

    /// The registry hive in the file, with its logs applied; `None` if it is not a hive.
    fn hive(&self, path: &str) -> Result<Option<Hive>>;
}

/// A partition of the disk.
pub struct BootPartition<'a> {
    /// Number of its entry.
    pub number: u32,
    /// How a boot configuration store identifies it.
    pub device: BootDevice,
    /// Whether firmware starts from it: the EFI system partition, or the active one.
    pub is_system: bool,
    /// Its volume, if it can be read.
    pub volume: Option<&'a dyn BootVolume>,
    /// First sectors of an active partition, to look at its boot code.
    pub boot_record: Option<Vec<u8>>,
}

/// The disk from which a machine should start.
pub struct BootDisk<'a> {
    /// The machine's firmware.
    pub firmware: Firmware,
    /// The partitions, in the order of the table.
    pub partitions: Vec<BootPartition<'a>>,
    /// First sector of the disk, to look at its boot code.
    pub boot_record: Option<Vec<u8>>,
}

/// Reports each missing link of the chain.
pub fn check(disk: &BootDisk<'_>) -> Findings {
    let mut chain = Chain { disk, findings: Findings::default() };
    chain.run();
    chain.findings
}

/// Whether Windows starts even though this link is missing.
pub fn is_optional(finding: &Finding) -> bool {
    finding.code == WITHOUT_DRIVER
}

struct Chain<'d> {
    disk: &'d BootDisk<'d>,
    findings: Findings,
}

impl<'d> Chain<'d> {
    fn run(&mut self) {
        let system: Vec<&BootPartition<'_>> = self.disk.partitions.iter().filter(|part| part.is_system).collect();
        let readable = system.iter().find(|part| part.volume.is_some());
        let (firmware, what) = match self.disk.firmware {
            Firmware::Uefi => ("UEFI firmware", "EFI system partition"),
            Firmware::Bios => ("a BIOS", "active partition"),
        };
        let Some(system) = readable else {
            let message = match system.first() {
                None => format!("{firmware} finds nothing to start: there is no {what}"),
                Some(_) => format!("{firmware} finds nothing to start: the {what} has no volume that can be read"),
            };
            return self.bad("boot-firmware", "disk", None, None, message);
        };
        match self.disk.firmware {
            Firmware::Uefi => self.removable_program(system),
            Firmware::Bios => self.boot_code(system),
        }
        self.store(system);
    }

    /// Checks the program that UEFI firmware starts without boot settings.
    fn removable_program(&mut self, system: &BootPartition<'_>) {
        let mut found = false;
        for (path, machine) in REMOVABLE {
            match self.read(system, path, MAX_PROGRAM) {
                Ok(None) => continue,
                Ok(Some(bytes)) => {
                    if let Err(fault) = program::check(&bytes, machine) {
                        self.bad("boot-program", "boot program", Some(system), Some(path), fault);
                    }
                }
                Err(error) => self.failed("boot-program", "boot program", system, path, &error),
            }
            found = true;
        }
        if !found {
            let message = "is missing: firmware that was not told of another starts nothing";
            self.bad("boot-program", "boot program", Some(system), Some(REMOVABLE[0].0), message);
        }
    }

    /// Checks what a BIOS starts: the boot records, and the boot manager that they load.
    fn boot_code(&mut self, system: &BootPartition<'_>) {
        if let Some(message) = self.disk.boot_record.as_deref().and_then(code::master_fault) {
            self.bad("boot-code", "boot code of the MBR", None, None, message);
        }
        if let Some(message) = system.boot_record.as_deref().and_then(code::volume_fault) {
            self.bad("boot-code", "boot code of the volume", Some(system), None, message);
        }
        const MANAGER: &str = "bootmgr";
        match self.file(system, MANAGER) {
            Ok(Some(file)) if file.form != FileForm::Plain => {
                let message = "is compressed: the boot code reads plain files only";
                self.bad("boot-program", "boot program", Some(system), Some(MANAGER), message);
            }
            Ok(Some(file)) if file.len > 0 => {}
            Ok(_) => {
                let message = "is missing or empty: the boot code starts it";
                self.bad("boot-program", "boot program", Some(system), Some(MANAGER), message);
            }
            Err(error) => self.failed("boot-program", "boot program", system, MANAGER, &error),
        }
    }

    fn file(&self, partition: &BootPartition<'_>, path: &str) -> Result<Option<VolumeFile>> {
        partition.volume.map_or(Ok(None), |volume| volume.file(path))
    }

    fn read(&self, partition: &BootPartition<'_>, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        partition.volume.map_or(Ok(None), |volume| volume.read(path, limit))
    }

    fn failed(
        &mut self,
        code: &'static str,
        structure: &str,
        partition: &BootPartition<'_>,
        path: &str,
        error: &Error,
    ) {
        self.bad(code, structure, Some(partition), Some(path), format!("cannot be read: {}", error.message()));
    }

    fn bad(
        &mut self,
        code: &'static str,
        structure: &str,
        partition: Option<&BootPartition<'_>>,
        path: Option<&str>,
        message: impl Into<String>,
    ) {
        let path = path.map(|path| format!("\\{}", path.trim_start_matches('\\')));
        let mut finding = Finding::new(code, structure, message).with_path(path);
        finding.partition = partition.map(|partition| partition.number);
        self.findings.add(finding);
    }
}

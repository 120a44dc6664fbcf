//! Checks an image: container, partition table, volumes, what Windows keeps in them, and the files' digests.

mod manifest;
mod text;
mod windows;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use serde::Serialize;

use super::model::{Partition, Scheme};
use super::read;
use super::read::image::Image;
use super::read::volume;
use crate::disk::{self, gpt, mbr};
use crate::error::{Error, ErrorKind, Result};
use crate::report::{Finding, Findings};
use crate::volume::{fat, ntfs};
pub use manifest::Manifest;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Verification {
    /// The image file.
    pub path: String,
    /// What was checked, in order.
    pub checked: Vec<String>,
    /// What is wrong. Of many findings of one kind only the first are here.
    pub findings: Vec<Finding>,
    /// How many findings there were of each kind, also of those that are not in `findings`.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.counts.is_empty()
    }
}

/// What is checked besides the image's own structures.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// What the files of the Windows volume must contain.
    pub manifest: Option<Manifest>,
}

/// Checks the image file at `path`: VHDX, VHD or raw, or a volume without a disk.
///
/// Only metadata are read, and hives; with a [manifest](VerifyOptions::manifest) the files that it lists, too.
///
/// # Errors
/// [`ErrorKind::Io`] and [`ErrorKind::NotFound`] if the file cannot be read, [`ErrorKind::Unsupported`] for a
/// container that is not handled. Damage is no error but a finding.
pub fn verify(path: impl AsRef<Path>, options: &VerifyOptions) -> Result<Verification> {
    let path = path.as_ref();
    let mut verify = Verify { checked: Vec::new(), findings: Findings::default() };
    verify.image(path, options)?;
    Ok(Verification {
        path: path.display().to_string(),
        checked: verify.checked,
        findings: verify.findings.kept().to_vec(),
        counts: verify.findings.counts().clone(),
    })
}

/// Byte of a boot sector, of FAT and NTFS alike, with the number of sectors before the partition.
const HIDDEN_SECTORS: usize = 0x1C;

struct Verify {
    checked: Vec<String>,
    findings: Findings,
}

impl Verify {
    fn image(&mut self, path: &Path, options: &VerifyOptions) -> Result<()> {
        let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            self.findings.append(disk::check(&file), |_| {});
        }
        drop(file);
        let image = match Image::open(path) {
            Ok(image) => image,
            // Damage is a finding; what the system refuses or nobody handles is an error.
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                self.findings.add(Finding::new("image", "image", error.message()).at(error.offset()));
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::Unsupported && !self.findings.is_empty() => return Ok(()),
            Err(error) => return Err(error),
        };
        self.checked.push(format!("container ({})", image.disk().format().extension()));
        self.partition_table(&image);
        for part in &image.partition_table().partitions {
            self.volume(&image, part);
        }
        // What cannot be read there has been told of.
        if let Ok(inspection) = read::open(path) {
            windows::boot(&inspection.boot, &mut self.findings);
            let count = inspection.boot.stores.len();
            if count > 0 {
                self.checked.push(format!("boot entries ({count} store{})", plural(count)));
            }
        }
        if let Some(manifest) = &options.manifest {
            match image.main_files() {
                Ok(files) => manifest::check(&files, manifest, &mut self.findings),
                Err(error) if error.kind() == ErrorKind::Io => return Err(error),
                Err(error) => self.findings.add(Finding::new("manifest", "files", error.message())),
            }
            let count = manifest.len();
            self.checked.push(format!("contents of {count} file{}", plural(count)));
        }
        Ok(())
    }

    fn partition_table(&mut self, image: &Image) {
        let disk = image.disk();
        match image.partition_table().scheme {
            Scheme::Gpt => {
                self.findings.append(gpt::check(disk, disk.logical_sector_size()), |_| {});
                self.checked.push("partition tables (GPT)".to_owned());
            }
            Scheme::Mbr => {
                if let Ok(Some(table)) = mbr::read(disk) {
                    self.findings.append(mbr::check(&table, disk.size()), |_| {});
                }
                self.checked.push("partition table (MBR)".to_owned());
            }
            Scheme::None => {}
        }
    }

    fn volume(&mut self, image: &Image, part: &Partition) {
        let Some(bytes) = image.partition_bytes(part.number) else { return };
        let (mut findings, mut sector) = (Findings::default(), [0; 512]);
        if let Err(error) = bytes.read_exact_at(&mut sector, 0) {
            let message = format!("its first sector cannot be read: {error}");
            findings.add(Finding::new("volume", "volume", message).at(0));
        }
        let name = volume::signature(&sector);
        match name {
            Some("NTFS") => findings.append(ntfs::check(bytes), |_| {}),
            Some("FAT32") => findings.append(fat::check(bytes), |_| {}),
            _ => {}
        }
        // What a BIOS starts finds the volume by this number alone.
        let hidden = u64::from(u32::from_le_bytes(sector[HIDDEN_SECTORS..][..4].try_into().expect("4 bytes")));
        if part.active && matches!(name, Some("NTFS" | "FAT32")) && hidden * 512 != part.start {
            let message = format!("says that {hidden} sectors are before it; it begins at byte {}", part.start);
            findings.add(Finding::new("hidden-sectors", "boot sector", message).at(HIDDEN_SECTORS as u64));
        }
        if let Some(name) = name {
            self.checked.push(format!("partition {} ({name})", part.number));
        }
        // Offsets of a volume are those of its first byte; what people look up is the disk's.
        self.findings.append(findings, |finding| {
            finding.partition = Some(part.number);
            finding.offset = finding.offset.and_then(|offset| offset.checked_add(part.start));
        });
        if let Ok(files) = image.files(part.number) {
            let mut findings = Findings::default();
            let count = windows::hives(&files, &mut findings);
            self.findings.append(findings, |finding| finding.partition = Some(part.number));
            if count > 0 {
                self.checked.push(format!("{count} registry hive{}", plural(count)));
            }
        }
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

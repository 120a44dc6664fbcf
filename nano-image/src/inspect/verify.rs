//! Checks an image: container, partition table, volumes, what Windows keeps in them, and the files' digests.

mod boot;
mod manifest;
mod text;
mod windows;

use std::fs::File;
use std::path::Path;

pub use super::model::Verification;
use super::model::{Partition, Scheme};
use super::read::image::Image;
use crate::disk::{self, Format, gpt, mbr};
use crate::error::{Error, ErrorKind, Result};
use crate::report::{Finding, Findings};
use crate::volume::{fat, ntfs, signature};
use crate::windows::contents::is_hibernated;
pub use manifest::Manifest;

/// Options of [`verify`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// What the files of the Windows volume must contain.
    pub manifest: Option<Manifest>,
}

/// Checks the image file at `path`. It can also contain a volume without a disk.
///
/// Only metadata and hives are read; with a [manifest](VerifyOptions::manifest) also the files in it.
///
/// # Errors
/// [`ErrorKind::Io`] and [`ErrorKind::NotFound`] if the file cannot be read, [`ErrorKind::Unsupported`] for a container
/// that is not handled. Damage is not an error but a finding.
pub fn verify(path: impl AsRef<Path>, options: &VerifyOptions) -> Result<Verification> {
    let path = path.as_ref();
    let mut verify = Verify::default();
    verify.image(path, options)?;
    Ok(Verification {
        path: path.display().to_string(),
        checked: verify.checked,
        not_checked: verify.not_checked,
        notes: verify.notes,
        findings: verify.findings.kept().to_vec(),
        counts: verify.findings.counts().clone(),
    })
}

/// Position in a boot sector, of FAT or NTFS, of the number of sectors before the partition.
const HIDDEN_SECTORS: usize = 0x1C;

/// Types of partitions (GPT, MBR) that contain a volume which Windows knows. The contents of others are not known.
const VOLUME_TYPES: [&str; 12] = [
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7",
    "de94bba4-06d1-4d40-a16a-bfd50179d6ac",
    "01",
    "04",
    "06",
    "07",
    "0b",
    "0c",
    "0e",
    "27",
    "ef",
];
/// Type of a partition that is always empty.
const MICROSOFT_RESERVED: &str = "e3c9e316-0b5c-4db8-817d-f92df00215ae";

#[derive(Default)]
struct Verify {
    checked: Vec<String>,
    not_checked: Vec<String>,
    notes: Vec<String>,
    findings: Findings,
}

impl Verify {
    fn image(&mut self, path: &Path, options: &VerifyOptions) -> Result<()> {
        if path.is_file() {
            let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
            self.findings.append(disk::check(&file), |_| {});
        }
        let image = match Image::open(path) {
            Ok(image) => image,
            // Damage is a finding. What the system refuses, or what is not handled, is an error.
            Err(error) if error.kind() == ErrorKind::Corrupt && !self.findings.is_empty() => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                self.findings.add(Finding::new("image", "image", error.message()).at(error.offset()));
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::Unsupported && !self.findings.is_empty() => return Ok(()),
            Err(error) => return Err(error),
        };
        self.checked.push(format!("container ({})", image.disk().format().name()));
        self.not_checked.extend(self.findings.skipped().iter().map(|what| (*what).to_owned()));
        if let [_, parents @ ..] = image.disk().files()
            && !parents.is_empty()
        {
            let parents: Vec<String> = parents.iter().map(|path| path.display().to_string()).collect();
            self.not_checked.push(format!("containers of what it builds on ({})", parents.join(", ")));
        }
        self.name(path, &image);
        self.partition_table(&image);
        let mut volumes = 0;
        for part in &image.partition_table().partitions {
            volumes += u32::from(self.volume(&image, part));
        }
        if volumes == 0 && image.partition_table().scheme == Scheme::None && self.findings.is_empty() {
            let message = format!("nothing of it can be checked: {}", self.not_checked.join(", "));
            self.findings.add(Finding::new("not-checked", "disk", message).at(0));
        }
        self.boot_chain(&image);
        if let Some(manifest) = &options.manifest {
            match image.main_files() {
                Ok(files) => manifest::check(&files, manifest, &mut self.findings),
                Err(error) if error.kind() == ErrorKind::Io => return Err(error),
                Err(error) => self.findings.add(Finding::new("manifest", "files", error.message())),
            }
            let count = manifest.len();
            self.checked.push(format!("contents of {count} file{}", plural(count)));
        } else {
            self.not_checked.push("contents of files (no list of digests)".to_owned());
        }
        Ok(())
    }

    /// Reports a file whose name says VHD or VHDX, but which lacks what makes it one.
    fn name(&mut self, path: &Path, image: &Image) {
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        let (code, lacks) = match extension.as_deref().and_then(|extension| extension.to_str()) {
            Some("vhd" | "avhd") => ("vhd-footer", "no VHD footer at its end"),
            Some("vhdx" | "avhdx") => ("vhdx-header", "no VHDX signature at its start"),
            _ => return,
        };
        if image.disk().format() == Format::RAW {
            let message = format!("has {lacks}, as its name says: Windows does not open it");
            self.findings.add(Finding::new(code, "image", message).at(0));
        }
    }

    fn partition_table(&mut self, image: &Image) {
        let disk = image.disk();
        match image.partition_table().scheme {
            Scheme::Gpt => {
                self.findings.append(gpt::check(disk, disk.logical_sector_size()), |_| {});
                self.checked.push("partition tables (GPT)".to_owned());
            }
            Scheme::Mbr => {
                self.findings.append(mbr::check(disk, disk.size(), disk.logical_sector_size()), |_| {});
                self.checked.push("partition table (MBR)".to_owned());
            }
            Scheme::None => {}
        }
    }

    /// Checks the volume of a partition; returns whether there is one that can be checked.
    fn volume(&mut self, image: &Image, part: &Partition) -> bool {
        let Some(bytes) = image.partition_bytes(part.number) else { return false };
        let (mut findings, mut sector) = (Findings::default(), [0; 512]);
        if let Err(error) = bytes.read_exact_at(&mut sector, 0) {
            let message = format!("its first sector cannot be read: {error}");
            findings.add(Finding::new("volume", "volume", message).at(0));
        }
        let kind = part.type_name.as_deref().unwrap_or(&part.partition_type);
        let name = signature(&sector);
        let is_checked = matches!(name, Some("NTFS" | "FAT32"));
        match name {
            Some("NTFS") => findings.append(ntfs::check(bytes), |_| {}),
            Some("FAT32") => findings.append(fat::check(bytes), |_| {}),
            Some(other) => self.not_checked.push(format!("partition {} ({other})", part.number)),
            None if part.active || VOLUME_TYPES.contains(&part.partition_type.as_str()) => {
                let message =
                    format!("its first sector has no volume that is known, but the partition's type is {kind}");
                findings.add(Finding::new("volume", "volume", message).at(0));
            }
            None if image.partition_table().scheme == Scheme::None => {
                let message = "has neither a partition table nor a volume that is known";
                self.findings.add(Finding::new("image", "disk", message).at(0));
            }
            // It has been reported that there is no GPT.
            None if part.partition_type == "ee" || part.partition_type == MICROSOFT_RESERVED => {}
            None => self.not_checked.push(format!("partition {} ({kind})", part.number)),
        }
        // Code that a BIOS starts finds the volume only by this number.
        let hidden = u64::from(u32::from_le_bytes(sector[HIDDEN_SECTORS..][..4].try_into().expect("4 bytes")));
        if part.active && is_checked && hidden * u64::from(image.disk().logical_sector_size()) != part.start {
            let message = format!("says that {hidden} sectors are before it; it begins at byte {}", part.start);
            findings.add(Finding::new("hidden-sectors", "boot sector", message).at(HIDDEN_SECTORS as u64));
        }
        if let Some(name) = name.filter(|_| is_checked) {
            self.checked.push(format!("partition {} ({name})", part.number));
        }
        // Offsets in a volume count from its start, but users look them up on the disk.
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
            if files.ntfs().is_some_and(is_hibernated) {
                self.notes.push(format!(
                    "the Windows of partition {} is hibernated (fast startup): what others change there it takes for \
                     damage, or overwrites",
                    part.number
                ));
            }
            if matches!(files.find("Windows"), Ok(Some(found)) if found.is_directory()) {
                self.free_entries(image, part.number);
            }
        }
        is_checked
    }

    /// Reports free entries of a GPT before the entry of Windows. Some versions of Windows stop because of them (0x7B,
    /// INACCESSIBLE_BOOT_DEVICE).
    fn free_entries(&mut self, image: &Image, windows: u32) {
        let table = image.partition_table();
        let is_free = |number: &u32| table.partitions.iter().all(|partition| partition.number != *number);
        let free: Vec<String> = (1..windows).filter(is_free).map(|number| number.to_string()).collect();
        if table.scheme == Scheme::Gpt && !free.is_empty() {
            self.notes.push(format!(
                "unused entries of the partition table ({}) are before that of Windows ({windows}): some versions of \
                 Windows stop with 0x7B (INACCESSIBLE_BOOT_DEVICE) at such a table",
                free.join(", ")
            ));
        }
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

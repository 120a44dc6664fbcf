//! Checks an image: container, partition table, volumes, what Windows keeps in them, and the files' digests.

mod text;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::{Partition, Scheme, partition, volume};
use crate::content::{Extent, ReadAt, Window};
use crate::disk;
use crate::error::{Error, ErrorKind, Result};
use crate::report::{Finding, Findings};
use crate::volume::ntfs;

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

/// Checks the image file at `path`: VHDX, VHD or raw, or a volume without a disk.
///
/// # Errors
/// [`ErrorKind::Io`] and [`ErrorKind::NotFound`] if the file cannot be read, [`ErrorKind::Unsupported`] for a
/// container that is not handled. Damage is no error but a finding.
pub fn verify(path: impl AsRef<Path>) -> Result<Verification> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(Error::not_found("a directory is no disk image").with_path(path));
    }
    let mut verify = Verify { checked: Vec::new(), findings: Findings::default() };
    verify.file(Arc::new(file)).map_err(|error| error.with_path(path))?;
    Ok(Verification {
        path: path.display().to_string(),
        checked: verify.checked,
        findings: verify.findings.kept().to_vec(),
        counts: verify.findings.counts().clone(),
    })
}

struct Verify {
    checked: Vec<String>,
    findings: Findings,
}

impl Verify {
    fn file(&mut self, file: Arc<dyn ReadAt>) -> Result<()> {
        let disk = match disk::open(file) {
            Ok(disk) => disk,
            Err(error) => return self.damage("container", "container", error),
        };
        self.checked.push(format!("container: {}", disk.format().extension()));
        let table = match partition::read(&disk, &mut Vec::new()) {
            Ok(table) => table,
            Err(error) => return self.damage("partition-table", "partition table", error),
        };
        self.checked.push(match table.scheme {
            Scheme::Gpt => "partition table: GPT".to_owned(),
            Scheme::Mbr => "partition table: MBR".to_owned(),
            Scheme::None => "no partition table".to_owned(),
        });
        for part in &table.partitions {
            let window = Window::new(&disk, Extent { start: part.start, len: part.size });
            self.volume(part, &window);
        }
        Ok(())
    }

    fn volume(&mut self, part: &Partition, window: &dyn ReadAt) {
        let mut sector = [0; 512];
        let mut findings = Findings::default();
        if let Err(error) = window.read_exact_at(&mut sector, 0) {
            let message = format!("its first sector cannot be read: {error}");
            findings.add(Finding::new("volume", "volume", message).at(0));
        } else {
            let name = volume::signature(&sector);
            if let Some("NTFS") = name {
                findings = ntfs::check(window);
            }
            self.checked.push(format!("partition {}: {}", part.number, name.unwrap_or("no known volume")));
        }
        self.findings.append(findings, |finding| {
            finding.partition = Some(part.number);
            // Offsets of a volume are those of its first byte; what a person looks up is the disk's.
            finding.offset = finding.offset.and_then(|offset| offset.checked_add(part.start));
        });
    }

    /// Damage is a finding; what the system refuses or nobody handles is an error.
    fn damage(&mut self, code: &'static str, structure: &str, error: Error) -> Result<()> {
        if error.kind() != ErrorKind::Corrupt {
            return Err(error);
        }
        self.findings.add(Finding::new(code, structure, error.message()).at(error.offset()));
        Ok(())
    }
}

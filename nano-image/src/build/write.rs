//! One ascending pass over the sources makes the image.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::layout::Layout;
use super::plan::Scheme;
use crate::disk::{FileOutput, Output, StreamOutput, gpt};
use crate::error::{Error, Result};
use crate::progress::{Observer, Phase};
use crate::report::{PartitionReport, Report};
use crate::types::{ByteSize, DiskOffset};

impl Layout<'_> {
    /// Writes the image to `path`, replacing what is there: into a file beside it, which is flushed to storage and
    /// renamed when it is complete. On failure nothing is left behind.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if the source's data is broken, [`Io`](crate::ErrorKind::Io),
    /// [`Cancelled`](crate::ErrorKind::Cancelled).
    pub fn write_file(&self, path: impl AsRef<Path>, observer: &dyn Observer) -> Result<Report> {
        let path = path.as_ref();
        let mut temporary = Temporary::create(path)?;
        let mut output = FileOutput::new(temporary.file()?, &temporary.path)?;
        let report = self.write(&mut output, observer)?;
        observer.begin(Phase::Flush, None);
        temporary.persist(path)?;
        Ok(report)
    }

    /// Writes the image to a stream, e.g. a pipe; zeros are written out.
    ///
    /// # Errors
    /// As [`write_file`](Self::write_file); what was written before the error is the caller's to discard.
    pub fn write_to(&self, stream: &mut dyn Write, observer: &dyn Observer) -> Result<Report> {
        self.write(&mut StreamOutput::new(stream, "output"), observer)
    }

    fn write(&self, output: &mut dyn Output, observer: &dyn Observer) -> Result<Report> {
        let total = self.ntfs.blob_bytes();
        observer.begin(Phase::Write, Some(total));
        let mut writer = self.container.writer(output)?;
        for (at, bytes) in &self.before {
            writer.write_at(*at, bytes)?;
        }
        let volume_start = self.plan.scheme.windows().0.0;
        let (mut done, mut reported) = (0, 0);
        self.ntfs.write(&*self.plan.store, self.jobs, &mut |at, bytes| {
            writer.write_at(DiskOffset(volume_start + at.0), bytes)?;
            done += bytes.len() as u64;
            if done - reported >= REPORT_EVERY {
                reported = done;
                if observer.cancelled() {
                    return Err(Error::cancelled());
                }
                observer.advance(ByteSize::new(done.min(total.bytes())));
            }
            Ok(())
        })?;
        for (at, bytes) in &self.after {
            writer.write_at(*at, bytes)?;
        }
        writer.finish()?;
        observer.advance(total);
        if observer.cancelled() { Err(Error::cancelled()) } else { Ok(self.report()) }
    }

    fn report(&self) -> Report {
        let plan = self.plan;
        let (used, clusters) = self.ntfs.clusters();
        let cluster_size = self.ntfs.cluster_size();
        let (disk_id, partitions) = match &plan.scheme {
            Scheme::Gpt { disk_guid, esp, msr, windows } => {
                let report = |partition: &gpt::Partition| {
                    PartitionReport::new(
                        &partition.name,
                        partition.type_guid.to_string(),
                        Some(partition.guid.to_string()),
                        partition.start.0,
                        partition.len.bytes(),
                    )
                };
                (disk_guid.to_string(), [esp, msr, windows].map(report).to_vec())
            }
            Scheme::Mbr { signature, windows } => {
                let kind = format!("{:02x}", windows.partition_type);
                let windows = PartitionReport::new("Windows", kind, None, windows.start.0, windows.len.bytes());
                (format!("{signature:08x}"), vec![windows])
            }
        };
        Report {
            image_index: plan.image.index,
            image_name: plan.image.name.clone(),
            seed: plan.seed.to_string(),
            disk_size: plan.recipe.disk_size,
            disk_id,
            partitions,
            cluster_size: cluster_size.bytes(),
            volume_used: used * cluster_size.bytes(),
            volume_size: clusters * cluster_size.bytes(),
            file_size: self.file_size().bytes(),
            warnings: plan.warnings.iter().chain(self.ntfs.warnings()).cloned().collect(),
        }
    }
}

/// Bytes between two calls of the observer.
const REPORT_EVERY: u64 = 4 << 20;

/// A file beside the output that is removed unless it is complete.
struct Temporary {
    path: PathBuf,
    file: Option<File>,
}

impl Temporary {
    fn create(target: &Path) -> Result<Self> {
        let name = target
            .file_name()
            .ok_or_else(|| Error::recipe(format!("`{}` is not the name of a file", target.display())))?;
        if target.is_dir() {
            return Err(Error::recipe("the output is a directory").with_path(target));
        }
        for attempt in 0..100 {
            let mut temporary = OsString::from(".");
            temporary.push(name);
            temporary.push(format!(".{}-{attempt}.partial", std::process::id()));
            let path = target.with_file_name(temporary);
            match File::options().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { path, file: Some(file) }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create the output", target, error)),
            }
        }
        Err(Error::io("create the output", target, std::io::ErrorKind::AlreadyExists.into()))
    }

    fn file(&self) -> Result<File> {
        let file = self.file.as_ref().expect("open until it is persisted");
        file.try_clone().map_err(|error| Error::io("open", &self.path, error))
    }

    fn persist(&mut self, target: &Path) -> Result<()> {
        if let Some(file) = &self.file {
            file.sync_all().map_err(|error| Error::io("flush", target, error))?;
        }
        fs::rename(&self.path, target).map_err(|error| Error::io("rename the finished file to", target, error))?;
        self.file = None;
        // The name is durable when the directory is; where it cannot be opened, the file itself still is.
        if let Some(directory) =
            target.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
            && let Ok(directory) = File::open(directory)
        {
            let _ = directory.sync_all();
        }
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

//! One ascending pass over the sources makes the image.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::layout::Layout;
use super::summary::output_report;
use crate::content::ReadOptions;
use crate::disk::{Container, FileOutput, Format, Output, StreamOutput, Writer};
use crate::error::{Error, Result};
use crate::progress::{Observer, Phase};
use crate::report::Report;
use crate::types::{ByteSize, DiskOffset};

/// Where an image goes, and in which format.
pub struct Target<'a> {
    format: Format,
    place: Place<'a>,
}

enum Place<'a> {
    File(PathBuf),
    Stream(&'a mut dyn Write),
}

impl<'a> Target<'a> {
    /// A file, replaced if it is there. The image is written into a file beside it, which is flushed to storage and
    /// renamed when it is complete; on failure nothing is left behind.
    pub fn file(path: impl Into<PathBuf>, format: Format) -> Self {
        Self { format, place: Place::File(path.into()) }
    }

    /// A stream, e.g. a pipe; zeros are written out. What it got before an error is the caller's to discard.
    pub fn stream(stream: &'a mut dyn Write, format: Format) -> Self {
        Self { format, place: Place::Stream(stream) }
    }
}

impl Layout<'_> {
    /// Writes one image file; see [`Target::file`].
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_file(&self, path: impl Into<PathBuf>, format: Format, observer: &dyn Observer) -> Result<Report> {
        self.write(vec![Target::file(path, format)], observer)
    }

    /// Writes the disk to every target in one pass over the sources. Each gets the bytes that it would get alone.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if the source's data is broken, [`Recipe`](crate::ErrorKind::Recipe) for
    /// a size that a format does not have, [`Io`](crate::ErrorKind::Io), [`Cancelled`](crate::ErrorKind::Cancelled).
    pub fn write(&self, targets: Vec<Target<'_>>, observer: &dyn Observer) -> Result<Report> {
        let formats: Vec<Format> = targets.iter().map(|target| target.format).collect();
        let containers = formats.iter().map(|format| self.container(*format)).collect::<Result<Vec<Container>>>()?;
        let mut files = Vec::new();
        let mut outputs: Vec<Box<dyn Output + '_>> = Vec::new();
        for target in targets {
            outputs.push(match target.place {
                Place::Stream(stream) => Box::new(StreamOutput::new(stream, "output")),
                Place::File(path) => {
                    let temporary = Temporary::create(&path)?;
                    let output = FileOutput::new(temporary.file()?, &path)?;
                    files.push((temporary, path));
                    Box::new(output)
                }
            });
        }
        let writers = containers.iter().zip(&mut outputs).map(|(container, output)| match self.digests {
            true => container.digesting_writer(&mut **output),
            false => container.writer(&mut **output),
        });
        let digests = self.write_disk(writers.collect::<Result<_>>()?, observer)?;
        drop(outputs);
        observer.begin(Phase::Flush, None);
        for (temporary, path) in &files {
            temporary.flush(path)?;
        }
        for (temporary, path) in &mut files {
            temporary.persist(path)?;
        }
        let outputs = formats.iter().zip(&containers).zip(digests);
        Ok(self
            .report(outputs.map(|((format, container), digest)| output_report(*format, container, digest)).collect()))
    }

    /// Writes the disk, and returns the digests of the outputs that make one.
    pub(super) fn write_disk(
        &self,
        mut writers: Vec<Writer<'_>>,
        observer: &dyn Observer,
    ) -> Result<Vec<Option<[u8; 32]>>> {
        let total = self.ntfs.blob_bytes();
        observer.begin(Phase::Write, Some(total));
        let mut write_at = |at: DiskOffset, bytes: &[u8]| writers.iter_mut().try_for_each(|w| w.write_at(at, bytes));
        for (at, bytes) in &self.before {
            write_at(*at, bytes)?;
        }
        let volume_start = self.plan.scheme.windows().0.0;
        let (mut done, mut reported) = (0, 0);
        let options = ReadOptions { jobs: self.jobs, check: self.source_check };
        self.ntfs.write(&*self.plan.store, options, &mut |at, bytes| {
            write_at(DiskOffset(volume_start + at.0), bytes)?;
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
            write_at(*at, bytes)?;
        }
        let digests = writers.into_iter().map(Writer::finish).collect::<Result<_>>()?;
        observer.advance(total);
        if observer.cancelled() { Err(Error::cancelled()) } else { Ok(digests) }
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

    fn flush(&self, target: &Path) -> Result<()> {
        let flushed = self.file.as_ref().map_or(Ok(()), File::sync_all);
        flushed.map_err(|error| Error::io("flush", target, error))
    }

    fn persist(&mut self, target: &Path) -> Result<()> {
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

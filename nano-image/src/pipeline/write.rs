//! Makes the image in one ascending pass over the sources.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::layout::Layout;
use super::oci::OciImage;
use super::summary::output_report;
use crate::content::{NewFile, NewFileOptions, NewFiles, ReadOptions, UsedFile, allow_holes, keep_apart};
use crate::disk::{FileLayout, FileOutput, Format, Output, StreamOutput, Writer, Written};
use crate::error::{Error, Result};
use crate::progress::{Observer, Phase};
use crate::report::Report;
use crate::types::{ByteSize, DiskOffset};

/// Where an image goes, and in which format.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{Format, Recipe, Sources, Target};
///
/// let plan = Recipe::image("1").build()?.plan(&Sources::wim("nano.wim"), &())?;
/// let mut pipe = std::io::stdout().lock();
/// let targets = vec![Target::file("nano.vhdx", Format::VHDX), Target::stream(&mut pipe, Format::RAW)];
/// plan.layout(&())?.write(targets, &())?;
/// # Ok(())
/// # }
/// ```
pub struct Target<'a> {
    format: Format,
    kind: OutputKind<'a>,
}

enum OutputKind<'a> {
    File(PathBuf, NewFileOptions),
    New(&'a NewFile),
    Oci(Vec<&'a NewFile>),
    Stream(&'a mut dyn Write, Option<PathBuf>),
}

impl<'a> Target<'a> {
    /// A file. It appears under its name when all targets are complete and flushed to storage; on failure nothing is
    /// left behind. An existing regular file is replaced, unless the build reads it.
    pub fn file(path: impl Into<PathBuf>, format: Format) -> Self {
        Self::file_with(path, format, NewFileOptions { replace: true, mode: None })
    }

    /// [`file`](Self::file) with options: to replace nothing, not even a file that appears during the build, or to have
    /// other permissions.
    pub fn file_with(path: impl Into<PathBuf>, format: Format, options: NewFileOptions) -> Self {
        Self { format, kind: OutputKind::File(path.into(), options) }
    }

    /// A file that the caller created, perhaps with others that must appear together with it: it is written and flushed
    /// here, and the caller [publishes](NewFiles::publish) it.
    pub fn new_file(file: &'a NewFile, format: Format) -> Self {
        Self { format, kind: OutputKind::New(file) }
    }

    /// An OCI image whose layer has the disk image at `/disk/`, where KubeVirt looks for it. It is written into
    /// `files`, which are those of [`oci_files`](crate::oci_files), and which the caller
    /// [publishes](NewFiles::publish). The report describes the disk image.
    pub fn oci(files: Vec<&'a NewFile>, format: Format) -> Self {
        Self { format, kind: OutputKind::Oci(files) }
    }

    /// A stream, for example a pipe. Zeros are written too. After an error the caller must discard what was written.
    pub fn stream(stream: &'a mut dyn Write, format: Format) -> Self {
        Self { format, kind: OutputKind::Stream(stream, None) }
    }

    /// Like [`stream`](Self::stream), for bytes that will be the file at `path`: some formats contain the file's name.
    pub fn named_stream(stream: &'a mut dyn Write, path: impl Into<PathBuf>, format: Format) -> Self {
        Self { format, kind: OutputKind::Stream(stream, Some(path.into())) }
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

    /// Writes the disk to every target in one pass over the sources. Each target gets the bytes that it would get
    /// alone.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if the source's data is broken, [`Recipe`](crate::ErrorKind::Recipe) for
    /// a size that a format cannot have, and for targets that must not be replaced or that the build reads,
    /// [`Io`](crate::ErrorKind::Io), [`Cancelled`](crate::ErrorKind::Cancelled).
    pub fn write(&self, mut targets: Vec<Target<'_>>, observer: &dyn Observer) -> Result<Report> {
        let formats: Vec<Format> = targets.iter().map(|target| target.format).collect();
        let mut containers =
            formats.iter().map(|format| self.file_layout(*format)).collect::<Result<Vec<FileLayout>>>()?;
        for (file_layout, target) in containers.iter_mut().zip(&targets) {
            if let Some(path) = target.path() {
                file_layout.name_file(path);
            }
        }
        let named: Vec<UsedFile> = targets.iter().filter_map(Target::used).collect();
        keep_apart(&named, self.plan.inputs())?;
        // Each target may have its own options.
        let mut made = Vec::new();
        for target in &targets {
            if let OutputKind::File(path, options) = &target.kind {
                made.push(NewFiles::create(&[path], *options)?);
            }
        }
        let made = NewFiles::together(made);
        let mut own = made.files().iter();
        let mut files: Vec<&NewFile> = Vec::new();
        let mut outputs: Vec<Box<dyn Output + '_>> = Vec::new();
        let mut images = Vec::new();
        for (target, file_layout) in targets.iter_mut().zip(&containers) {
            let file = match &mut target.kind {
                OutputKind::Oci(_) if file_layout.is_packed() => {
                    let hint = "choose a form whose length is known beforehand, such as qcow2";
                    return Err(Error::recipe("an OCI image with a disk whose length is not known").with_hint(hint));
                }
                OutputKind::Oci(all) if all.is_empty() => return Err(Error::recipe("an OCI image without files")),
                OutputKind::Oci(all) => {
                    let image = OciImage::new(std::mem::take(all), self.plan.image.architecture);
                    outputs.push(image.layer(target.format.extension(), file_layout.file_size())?);
                    images.push(image);
                    continue;
                }
                OutputKind::Stream(stream, _) => {
                    outputs.push(Box::new(StreamOutput::new(stream, "output")));
                    continue;
                }
                OutputKind::New(file) => Some(*file),
                OutputKind::File(..) => own.next(),
            };
            let file = file.expect("one was made for each path");
            let open = file.file().try_clone().map_err(|error| Error::io("open", file.path(), error))?;
            if target.format == Format::RAW {
                allow_holes(&open);
            }
            outputs.push(Box::new(FileOutput::new(open, file.path())?));
            files.push(file);
        }
        let writers = containers.iter().zip(&mut outputs).map(|(file_layout, output)| match self.digests {
            true => file_layout.digesting_writer(&mut **output),
            false => file_layout.writer(&mut **output),
        });
        let written = self.write_disk(writers.collect::<Result<_>>()?, observer)?;
        drop(outputs);
        for image in &images {
            image.finish()?;
            files.extend(image.files());
        }
        observer.begin(Phase::Flush, None);
        files.iter().try_for_each(|file| file.flush())?;
        made.publish()?;
        let outputs = formats.iter().zip(&containers).zip(written);
        Ok(self.report(
            outputs
                .map(|((format, file_layout), written)| output_report(*format, file_layout, Some(written)))
                .collect(),
        ))
    }

    /// Writes the disk, and describes the files.
    pub(super) fn write_disk(&self, mut writers: Vec<Writer<'_>>, observer: &dyn Observer) -> Result<Vec<Written>> {
        let total = ByteSize::new(self.volumes().map(|(_, volume)| volume.blob_bytes().bytes()).sum());
        observer.begin(Phase::Write, Some(total));
        let mut write_at = |at: DiskOffset, bytes: &[u8]| writers.iter_mut().try_for_each(|w| w.write_at(at, bytes));
        for (at, bytes) in &self.before {
            write_at(*at, bytes)?;
        }
        let (mut done, mut reported) = (0, 0);
        let options = ReadOptions { jobs: self.jobs, check: self.source_check };
        for (start, volume) in self.volumes() {
            volume.write(&*self.plan.store, options, &mut |at, bytes| {
                write_at(DiskOffset(start.0 + at.0), bytes)?;
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
        }
        for (at, bytes) in &self.after {
            write_at(*at, bytes)?;
        }
        let written = writers.into_iter().map(Writer::finish).collect::<Result<_>>()?;
        observer.advance(total);
        if observer.cancelled() { Err(Error::cancelled()) } else { Ok(written) }
    }
}

impl Target<'_> {
    /// The file that this target writes, if it writes one.
    fn used(&self) -> Option<UsedFile> {
        match &self.kind {
            OutputKind::Stream(..) => None,
            _ => self.path().map(|path| UsedFile::new("the output", path)),
        }
    }

    fn path(&self) -> Option<&Path> {
        match &self.kind {
            OutputKind::File(path, _) => Some(path),
            OutputKind::New(file) => Some(file.path()),
            OutputKind::Oci(files) => files.first().map(|file| file.path()),
            OutputKind::Stream(_, path) => path.as_deref(),
        }
    }
}

/// Bytes between two calls of the observer.
const REPORT_EVERY: u64 = 4 << 20;

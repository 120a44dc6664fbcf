//! Copies files of an image into a folder of the host.

mod names;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use self::names::{host_name, stream_name};
use super::read::files::{FileId, Files, read_error};
use crate::content::{Extent, ReadAt, allow_holes};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Observer;
use crate::types::{ByteSize, FileTime, Utf16Name};
use crate::windows::contents::{Stream, elsewhere, wof};

/// Options of [`extract`].
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ExtractOptions {
    /// Also copy named streams, as files called `name:stream`.
    pub streams: bool,
}

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extracted {
    /// Number of files, including hard links and named streams.
    pub files: u64,
    /// Number of directories.
    pub directories: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Links and junctions, which are not copied, one sentence each.
    pub skipped: Vec<String>,
    /// What could not be copied, and why, one sentence each. Everything else was copied.
    pub failures: Vec<String>,
}

/// Bytes that are read at once.
const PIECE: u64 = 1 << 20;
/// Bytes that become a hole if all are zero.
const BLOCK: usize = 64 << 10;

/// Facts about a file that are looked up once for all its names.
#[derive(Clone, Copy)]
struct Facts {
    /// Position of its contents.
    address: u64,
    /// Tag of a reparse point that stands for another file.
    link: Option<u32>,
}

/// A file that is to be copied.
struct Job {
    address: u64,
    file: FileId,
    /// Path in the image, for messages.
    path: String,
    target: PathBuf,
}

/// Copies `paths` with everything below them to the folder `into`, where they keep their paths. Without `paths`,
/// everything is copied. Contents are decompressed; holes stay holes, hard links stay hard links. Nothing that exists
/// is replaced, no file is written outside of `into`, and a file is either complete or not there. Files are copied in
/// the order in which they lie on the volume.
///
/// Names are written as on the volume, even if `paths` write them differently. Links and junctions are not copied but
/// [reported](Extracted::skipped). [Failures](Extracted::failures) are files that cannot be read, and files whose name
/// Windows would read as another; they are the same on every host. Folders and files with other reparse tags are
/// copied, if their contents are on the volume.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if a path does not exist, before anything is written; [`Io`](ErrorKind::Io) if the
/// folder cannot be created; [`Cancelled`](ErrorKind::Cancelled).
pub fn extract(
    files: &Files<'_>,
    paths: &[String],
    into: &Path,
    options: ExtractOptions,
    observer: &dyn Observer,
) -> Result<Extracted> {
    let mut found = Vec::new();
    for path in paths {
        let (file, stream) = files.resolve(path)?;
        if !stream.is_empty() {
            return Err(Error::recipe("a stream is not extracted by itself")
                .with_path(path)
                .with_hint("print it with cat"));
        }
        found.push((files.own_names(path)?, file));
    }
    if paths.is_empty() {
        found.push((Vec::new(), files.root()?));
    }
    fs::create_dir_all(into).map_err(|error| Error::io("make", into, error))?;
    let mut extractor = Extractor {
        files,
        options,
        done: Extracted::default(),
        jobs: Vec::new(),
        known: BTreeMap::new(),
        last: BTreeMap::new(),
    };
    for (names, file) in found {
        extractor.collect(&names, file, into)?;
    }
    extractor.run(observer)?;
    Ok(extractor.done)
}

struct Extractor<'f, 'a> {
    files: &'f Files<'a>,
    options: ExtractOptions,
    done: Extracted,
    jobs: Vec<Job>,
    /// By the number of the file.
    known: BTreeMap<u64, Facts>,
    /// The last name in each folder: names that differ only in case follow each other.
    last: BTreeMap<PathBuf, Utf16Name>,
}

impl Extractor<'_, '_> {
    /// Creates the directories and collects the files of one path.
    fn collect(&mut self, names: &[Utf16Name], file: FileId, into: &Path) -> Result<()> {
        let mut target = into.to_owned();
        let path: Vec<String> = names.iter().map(ToString::to_string).collect();
        let path = path.join("\\");
        // A link that is a file is reported when its job is made.
        if file.is_directory() && self.is_link(&path, file)? {
            return Ok(());
        }
        let parents = if file.is_directory() { names } else { &names[..names.len().saturating_sub(1)] };
        for name in parents {
            target.push(host_name(name)?);
            make_directory(&target)?;
        }
        if !file.is_directory() {
            let name = names.last().expect("the root is a directory");
            return self.push(path, name, file, &target);
        }
        self.streams_of_directory(&path, file, &target);
        // The folder of each directory; `None` for directories that are not copied.
        let mut folders = BTreeMap::from([(path.clone(), target)]);
        let files = self.files;
        files.walk(file, &path, &mut |path, name, file| {
            let parent = path.len().saturating_sub(name.to_string().len() + 1);
            let Some(folder) = folders.get(&path[..parent]).cloned() else { return Ok(false) };
            if !file.is_directory() {
                self.push(path.to_owned(), name, file, &folder)?;
                return Ok(false);
            }
            let made = self.is_link(path, file).and_then(|link| match link {
                false => {
                    let target = self.target(&folder, name)?;
                    make_directory(&target).map(|()| Some(target))
                }
                true => Ok(None),
            });
            match made {
                Ok(Some(target)) => {
                    self.done.directories += 1;
                    self.streams_of_directory(path, file, &target);
                    folders.insert(path.to_owned(), target);
                    Ok(true)
                }
                Ok(None) => Ok(false),
                Err(error) => {
                    self.failed(path, &error);
                    Ok(false)
                }
            }
        })
    }

    /// Adds a file to the jobs.
    fn push(&mut self, path: String, name: &Utf16Name, file: FileId, folder: &Path) -> Result<()> {
        let target = self.is_link(&path, file).and_then(|link| match link {
            false => self.target(folder, name).map(Some),
            true => Ok(None),
        });
        match target {
            Ok(Some(target)) => {
                let address = self.facts(file)?.address;
                self.jobs.push(Job { address, file, path, target });
            }
            Ok(None) => {}
            Err(error) => self.failed(&path, &error),
        }
        Ok(())
    }

    /// The path to which a name of `folder` is copied. Names that differ only in case are refused.
    fn target(&mut self, folder: &Path, name: &Utf16Name) -> Result<PathBuf> {
        let target = folder.join(host_name(name)?);
        let last = self.last.insert(folder.to_owned(), name.clone());
        if last.is_some_and(|last| last != *name && last.eq_ignore_case(name)) {
            let message = format!("`{name}` differs only in case from another name of its folder");
            return Err(Error::unsupported(message).with_hint("extract it by itself, into another folder"));
        }
        Ok(target)
    }

    /// Facts that all names of a file share.
    fn facts(&mut self, file: FileId) -> Result<Facts> {
        if let Some(known) = file.number().and_then(|number| self.known.get(&number)) {
            return Ok(*known);
        }
        let tag = self.files.ntfs_file(file)?.and_then(|file| file.reparse_tag());
        // Tag 0 stands for data outside of the record, of an unknown kind.
        let is_link = |tag: &u32| *tag != wof::TAG && (*tag == 0 || elsewhere::is_surrogate(*tag));
        let facts = Facts { address: self.files.address(file), link: tag.filter(is_link) };
        self.known.extend(file.number().map(|number| (number, facts)));
        Ok(facts)
    }

    /// Whether it is a reparse point that stands for another file or folder. If so, that is reported.
    fn is_link(&mut self, path: &str, file: FileId) -> Result<bool> {
        let link = self.facts(file)?.link;
        self.done.skipped.extend(link.map(|tag| format!("{path}: a link (reparse tag {tag:#010x}) is not copied")));
        Ok(link.is_some())
    }

    fn streams_of_directory(&mut self, path: &str, file: FileId, target: &Path) {
        if self.options.streams {
            self.named_streams(path, file, target);
        }
    }

    fn run(&mut self, observer: &dyn Observer) -> Result<()> {
        let mut jobs = std::mem::take(&mut self.jobs);
        jobs.sort_by(|a, b| (a.address, &a.path).cmp(&(b.address, &b.path)));
        let mut copies: BTreeMap<u64, PathBuf> = BTreeMap::new();
        for job in jobs {
            if observer.cancelled() {
                return Err(Error::cancelled());
            }
            let first = job.file.number().and_then(|number| copies.get(&number));
            if first.is_some_and(|first| link(first, &job.target).is_ok()) {
                self.done.files += 1;
                continue;
            }
            match self.file(&job, observer) {
                Ok(()) => {
                    if let Some(number) = job.file.number() {
                        copies.insert(number, job.target);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
                Err(error) => self.failed(&job.path, &error),
            }
        }
        Ok(())
    }

    fn file(&mut self, job: &Job, observer: &dyn Observer) -> Result<()> {
        let modified = self.files.ntfs_file(job.file)?.and_then(|file| file.times()).map(|times| times[1]);
        let stream = self.files.open_stream(job.file, "")?;
        let parts = self.files.stored_parts(job.file, "")?;
        self.write(stream, parts, &job.target, modified, observer)?;
        if self.options.streams {
            self.named_streams(&job.path, job.file, &job.target);
        }
        Ok(())
    }

    /// Copies the named streams of a file. A stream that cannot be copied is reported; the others are copied.
    fn named_streams(&mut self, path: &str, file: FileId, target: &Path) {
        let streams = match self.files.named_streams(file) {
            Ok(streams) => streams,
            Err(error) => return self.failed(path, &error),
        };
        for (name, _) in streams {
            if let Err(error) = self.named_stream(&name, file, target) {
                self.failed(&format!("{path}:{name}"), &error);
            }
        }
    }

    fn named_stream(&mut self, name: &Utf16Name, file: FileId, target: &Path) -> Result<()> {
        let mut path = target.as_os_str().to_owned();
        path.push(":");
        path.push(stream_name(name)?);
        let text = name.to_string();
        let stream = self.files.open_stream(file, &text)?;
        let parts = self.files.stored_parts(file, &text)?;
        self.write(stream, parts, Path::new(&path), None, &())
    }

    /// Writes `stream` beside `target` and renames it. `parts` are the stored parts, if they are known.
    fn write(
        &mut self,
        stream: Option<Stream<'_>>,
        parts: Option<Vec<Extent>>,
        target: &Path,
        modified: Option<FileTime>,
        observer: &dyn Observer,
    ) -> Result<()> {
        let name = format!(".nano-image.{}-{}.partial", std::process::id(), self.done.files);
        // On Windows a stream belongs to its file, and nothing can be renamed to it.
        let in_place = cfg!(windows) && target.file_name().is_some_and(|name| name.as_encoded_bytes().contains(&b':'));
        let mut partial = Partial(if in_place { target.to_owned() } else { target.with_file_name(name) });
        let failed = |error| Error::io("write", target, error);
        if fs::symlink_metadata(target).is_ok() {
            return Err(Error::new(ErrorKind::Io, "it exists already and is not replaced").with_path(target));
        }
        let mut output = File::create_new(&partial.0).map_err(failed)?;
        let mut bytes = 0;
        if let Some(stream) = stream {
            let len = stream.len().map_err(|error| read_error(error, "cannot read the file"))?;
            // What is not written reads as zeros, and takes no space where the host supports that.
            let parts = parts.unwrap_or_else(|| vec![Extent { start: 0, len }]);
            if parts.iter().map(|part| part.len).sum::<u64>() < len {
                allow_holes(&output);
            }
            output.set_len(len).map_err(failed)?;
            for part in parts {
                bytes += copy_part(&*stream, part, &mut output, target, observer)?;
            }
        }
        if let Some(time) = modified.and_then(system_time) {
            // If the host cannot store the time, the file is still complete.
            let _ = output.set_modified(time);
        }
        drop(output);
        match in_place {
            true => partial.0.clear(),
            false => fs::rename(&partial.0, target).map_err(failed)?,
        }
        self.done.files += 1;
        self.done.bytes += bytes;
        observer.advance(ByteSize::new(self.done.bytes));
        Ok(())
    }

    fn failed(&mut self, path: &str, error: &Error) {
        let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
        self.done.failures.push(format!("{path}: {error}{source}"));
    }
}

/// Copies a part of `stream` to the same position of `output`, except for blocks of zeros; returns the number of bytes.
fn copy_part(
    stream: &dyn ReadAt,
    part: Extent,
    output: &mut File,
    target: &Path,
    observer: &dyn Observer,
) -> Result<u64> {
    let (mut at, end, mut piece, mut written) = (part.start, part.start.saturating_add(part.len), Vec::new(), 0);
    while at < end {
        if observer.cancelled() {
            return Err(Error::cancelled());
        }
        piece.resize((end - at).min(PIECE) as usize, 0);
        stream.read_exact_at(&mut piece, at).map_err(|error| read_error(error, "cannot read the file"))?;
        for block in piece.chunks(BLOCK) {
            if block.iter().any(|&byte| byte != 0) {
                let put = output.seek(SeekFrom::Start(at)).and_then(|_| output.write_all(block));
                put.map_err(|error| Error::io("write", target, error))?;
                written += block.len() as u64;
            }
            at += block.len() as u64;
        }
    }
    Ok(written)
}

/// A file that is removed when this is dropped, unless it was renamed or the path is cleared.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.0);
        }
    }
}

fn link(first: &Path, target: &Path) -> io::Result<()> {
    fs::hard_link(first, target)
}

/// Creates a directory in one that was checked before. A link in its place would lead elsewhere.
fn make_directory(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(Error::new(ErrorKind::Io, "something that is not a directory is in the way").with_path(path)),
        Err(_) => fs::create_dir(path).map_err(|error| Error::io("make", path, error)),
    }
}

fn system_time(time: FileTime) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.unix_seconds()))
}

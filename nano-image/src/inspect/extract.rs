//! Copies files of an image into a folder of the host.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::read::files::{FileId, Files, Stream, copy};
use super::read::wof;
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Observer;
use crate::types::{ByteSize, FileTime, Utf16Name};

/// What of the files is copied.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ExtractOptions {
    /// Named streams too, as files called `name:stream`.
    pub streams: bool,
}

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extracted {
    /// Number of files, hard links and named streams among them.
    pub files: u64,
    /// Number of directories.
    pub directories: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Links, junctions and other reparse points, which are not copied; a sentence each.
    pub skipped: Vec<String>,
    /// What could not be copied, and why; a sentence each. Everything else was.
    pub failures: Vec<String>,
}

/// A file that is to be copied.
struct Job {
    address: u64,
    file: FileId,
    /// In the image, for messages.
    path: String,
    target: PathBuf,
}

/// Copies `paths` with everything below them into the folder `into`, where they keep their paths; no path is
/// everything. Contents come decompressed, hard links stay hard links. Nothing that exists is replaced, no file is
/// written outside of `into`, and a file is there whole or not at all. Files are copied in the order in which they lie
/// on the volume.
///
/// Reparse points (links, junctions) are not copied but [told](Extracted::skipped), as are [files that cannot be
/// read](Extracted::failures).
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if a path is not there, before anything is written; [`Io`](ErrorKind::Io) if the
/// folder cannot be made; [`Cancelled`](ErrorKind::Cancelled).
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
        found.push((parts(path), file));
    }
    if paths.is_empty() {
        found.push((Vec::new(), files.root()?));
    }
    fs::create_dir_all(into).map_err(|error| Error::io("make", into, error))?;
    let mut extractor = Extractor { files, options, done: Extracted::default(), jobs: Vec::new() };
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
}

impl Extractor<'_, '_> {
    /// Makes the directories and collects the files of one path.
    fn collect(&mut self, names: &[Utf16Name], file: FileId, into: &Path) -> Result<()> {
        let mut target = into.to_owned();
        let path: Vec<String> = names.iter().map(ToString::to_string).collect();
        let parents = if file.is_directory() { names } else { &names[..names.len().saturating_sub(1)] };
        for name in parents {
            target.push(host_name(name)?);
            make_directory(&target)?;
        }
        let path = path.join("\\");
        if !file.is_directory() {
            let name = names.last().expect("the root is a directory");
            return self.push(path, name, file, &target);
        }
        self.streams_of_directory(&path, file, &target);
        // The folder of each directory; none for those that are not copied.
        let mut folders = BTreeMap::from([(path.clone(), target)]);
        let files = self.files;
        files.walk(file, &path, &mut |path, name, file| {
            let parent = path.len().saturating_sub(name.to_string().len() + 1);
            let Some(folder) = folders.get(&path[..parent]).cloned() else { return Ok(false) };
            if !file.is_directory() {
                self.push(path.to_owned(), name, file, &folder)?;
                return Ok(false);
            }
            let made = self.is_plain(path, file).and_then(|plain| match plain {
                true => {
                    let target = folder.join(host_name(name)?);
                    make_directory(&target).map(|()| Some(target))
                }
                false => Ok(None),
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
        match self.is_plain(&path, file).and_then(|plain| Ok((plain, host_name(name)?))) {
            Ok((true, name)) => {
                let address = self.files.address(file);
                self.jobs.push(Job { address, file, path, target: folder.join(name) });
            }
            Ok((false, _)) => {}
            Err(error) => self.failed(&path, &error),
        }
        Ok(())
    }

    /// Whether it is no reparse point, or one that only compresses; others are told.
    fn is_plain(&mut self, path: &str, file: FileId) -> Result<bool> {
        let tag = self.files.ntfs_file(file)?.and_then(|file| file.reparse_tag());
        match tag.filter(|&tag| tag != wof::TAG) {
            Some(tag) => {
                self.done.skipped.push(format!("{path}: a reparse point (tag {tag:#010x}) is not copied"));
                Ok(false)
            }
            None => Ok(true),
        }
    }

    fn streams_of_directory(&mut self, path: &str, file: FileId, target: &Path) {
        if self.options.streams
            && let Err(error) = self.named_streams(file, target)
        {
            self.failed(path, &error);
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
        self.write(stream, &job.target, modified, observer)?;
        if self.options.streams { self.named_streams(job.file, &job.target) } else { Ok(()) }
    }

    fn named_streams(&mut self, file: FileId, target: &Path) -> Result<()> {
        for (name, _) in self.files.named_streams(file)? {
            let mut path = target.as_os_str().to_owned();
            path.push(":");
            path.push(host_name(&name)?);
            let stream = self.files.open_stream(file, &name.to_string())?;
            self.write(stream, Path::new(&path), None, &())?;
        }
        Ok(())
    }

    /// Writes `stream` beside `target` and renames it.
    fn write(
        &mut self,
        stream: Option<Stream<'_>>,
        target: &Path,
        modified: Option<FileTime>,
        observer: &dyn Observer,
    ) -> Result<()> {
        let name = format!(".nano-image.{}-{}.partial", std::process::id(), self.done.files);
        let partial = Partial(target.with_file_name(name));
        let failed = |error| Error::io("write", target, error);
        if fs::symlink_metadata(target).is_ok() {
            return Err(Error::new(ErrorKind::Io, "it exists already and is not replaced").with_path(target));
        }
        let mut output = File::create_new(&partial.0).map_err(failed)?;
        let mut bytes = 0;
        if let Some(stream) = stream {
            copy(&*stream, &mut |piece| {
                if observer.cancelled() {
                    return Err(Error::cancelled());
                }
                bytes += piece.len() as u64;
                output.write_all(piece).map_err(failed)
            })?;
        }
        if let Some(time) = modified.and_then(system_time) {
            // A host that cannot keep the time still has the file.
            let _ = output.set_modified(time);
        }
        drop(output);
        fs::rename(&partial.0, target).map_err(failed)?;
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

/// A file that is removed unless it was renamed.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn link(first: &Path, target: &Path) -> io::Result<()> {
    fs::hard_link(first, target)
}

/// Makes a directory in one that was checked before. A link in its place would lead elsewhere.
fn make_directory(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(Error::new(ErrorKind::Io, "something that is no directory is in the way").with_path(path)),
        Err(_) => fs::create_dir(path).map_err(|error| Error::io("make", path, error)),
    }
}

/// The names of a path in an image.
fn parts(path: &str) -> Vec<Utf16Name> {
    let names = path.split(['\\', '/']).filter(|name| !name.is_empty());
    let mut names: Vec<&str> = names.collect();
    // A drive letter, which `resolve` takes too.
    if names.len() > 1 && names[0].len() == 2 && names[0].ends_with(':') {
        names.remove(0);
    }
    names.into_iter().map(Utf16Name::from).collect()
}

/// A name as the host has it, if it is one that stays in its folder.
fn host_name(name: &Utf16Name) -> Result<OsString> {
    let text = name.to_string();
    if text.is_empty() || text == "." || text == ".." || text.contains(['/', '\\', '\0']) {
        return Err(Error::unsupported(format!("`{text}` is no name that a file of this system can have")));
    }
    Ok(units_to_host(name.units(), text))
}

/// Unpaired surrogates in three bytes each, as UTF-8 would have them, so that two names stay two.
#[cfg(unix)]
fn units_to_host(units: &[u16], text: String) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    if !text.contains(char::REPLACEMENT_CHARACTER) {
        return text.into();
    }
    let mut bytes = Vec::new();
    for unit in char::decode_utf16(units.iter().copied()) {
        match unit {
            Ok(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(error) => {
                let unit = error.unpaired_surrogate();
                bytes.extend([0xE0 | (unit >> 12) as u8, 0x80 | (unit >> 6 & 0x3F) as u8, 0x80 | (unit & 0x3F) as u8]);
            }
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(windows)]
fn units_to_host(units: &[u16], _text: String) -> OsString {
    std::os::windows::ffi::OsStringExt::from_wide(units)
}

fn system_time(time: FileTime) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.unix_seconds()))
}

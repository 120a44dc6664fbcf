//! Files that appear under their names once they are complete: several together or none, and never over an existing
//! file unless asked.
//!
//! Where the system can, a file is made without a name (`O_TMPFILE`), so that a killed program leaves nothing behind.
//! Elsewhere it is `.NAME.PID-N.partial` beside its place, and holds a lock. Whoever makes the same file again removes
//! such files that nobody has locked.
//!
//! Our own code because `tempfile` chooses random names, cannot give a nameless file a name, and knows no sets of
//! files.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::identity::folder_of;
use super::sparse::allow_holes;
use crate::error::{Error, Result};
use kind::Kind;

mod kind;
#[cfg(not(unix))]
mod portable;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use portable as system;
#[cfg(unix)]
use unix as system;

/// How files are made. There is an example at [`NewFiles`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewFileOptions {
    /// Whether an existing regular file is replaced.
    pub replace: bool,
    /// Permission bits, on systems that have them; with `None` the system's default for new files.
    pub mode: Option<u32>,
}

/// Files that are being written.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{NewFileOptions, NewFiles};
/// use std::io::Write;
///
/// # let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("notes");
/// let files = NewFiles::create(&[&path], NewFileOptions { replace: true, mode: None })?;
/// files.files()[0].file().write_all(b"text").expect("there is room");
/// assert!(!path.exists(), "it has no name yet");
/// files.flush()?;
/// files.publish()?;
/// assert!(path.exists());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct NewFiles {
    files: Vec<NewFile>,
    leftovers: Vec<PathBuf>,
}

/// A file that has no name yet, or a temporary name that is removed with it.
#[derive(Debug)]
pub struct NewFile {
    /// The path that it will get.
    path: PathBuf,
    folder: system::Folder,
    name: OsString,
    /// Its name in the folder while it is written.
    temporary: Option<OsString>,
    file: File,
    replace: bool,
    /// A name that was decided while it was written.
    late_name: OnceLock<OsString>,
}

/// How a file came to its place, so that this can be undone.
enum Step {
    /// There was no file before.
    New,
    /// The old file now has the temporary name.
    Exchanged,
    /// The old file is gone.
    Replaced,
}

impl NewFiles {
    /// Begins a file for each of `paths`, and removes what killed builds of the same files left behind.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) for a file that exists and is not to be replaced, and for a path that is
    /// not a regular file: a folder, a symbolic link, a device. [`NotFound`](crate::ErrorKind::NotFound) without the
    /// folder, [`Io`](crate::ErrorKind::Io) if it cannot be written to.
    pub fn create<P: AsRef<Path>>(paths: &[P], options: NewFileOptions) -> Result<Self> {
        let mut all = Self::default();
        // All paths are checked before the first file is made.
        let places =
            paths.iter().map(|path| Destination::find(path.as_ref(), options.replace)).collect::<Result<Vec<_>>>()?;
        for place in places {
            let removed = place.folder.remove_leftovers(&|name| is_partial_of(name, &place.name));
            all.leftovers.extend(removed.into_iter().map(|name| place.path.with_file_name(name)));
            let path = place.path.clone();
            all.files.push(place.create(options).map_err(|error| Error::io("create the output", path, error))?);
        }
        Ok(all)
    }

    /// All files of `sets`, to be published together.
    pub fn together(sets: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for set in sets {
            all.files.extend(set.files);
            all.leftovers.extend(set.leftovers);
        }
        all
    }

    /// The files, in the order of their paths.
    pub fn files(&self) -> &[NewFile] {
        &self.files
    }

    /// Files that killed builds left behind and that have been removed now.
    pub fn leftovers(&self) -> &[PathBuf] {
        &self.leftovers
    }

    /// The temporary names of the files; empty where they need none.
    pub fn temporary_paths(&self) -> Vec<PathBuf> {
        let named = self.files.iter().filter_map(|file| Some((file, file.temporary.as_ref()?)));
        named.map(|(file, name)| file.path.with_file_name(name)).collect()
    }

    /// Flushes all files to storage.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io).
    pub fn flush(&self) -> Result<()> {
        self.files.iter().try_for_each(NewFile::flush)
    }

    /// Gives the files their names, all or none. They should be [flushed](Self::flush) before.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) if a file has appeared in the meantime, [`Io`](crate::ErrorKind::Io). If a
    /// file that already has its name cannot be taken back, the hint names it.
    pub fn publish(mut self) -> Result<()> {
        let mut steps = Vec::new();
        for index in 0..self.files.len() {
            match self.files[index].publish() {
                Ok(step) => steps.push(step),
                Err(error) => return Err(self.take_back(&steps, error)),
            }
        }
        for (file, step) in self.files.iter_mut().zip(&steps) {
            if let Step::Exchanged = step {
                file.discard();
            }
            file.temporary = None;
            file.folder.flush();
        }
        Ok(())
    }

    /// Removes the files that already have their names, and restores the old ones.
    fn take_back(&mut self, steps: &[Step], error: Error) -> Error {
        let mut stay = Vec::new();
        for (file, step) in self.files.iter_mut().zip(steps).rev() {
            let done = match (step, &file.temporary) {
                (Step::New, _) => file.folder.remove_own(&file.name, &file.file),
                (Step::Exchanged, Some(temporary)) => file.folder.exchange(temporary, &file.name),
                _ => Err(io::ErrorKind::Unsupported.into()),
            };
            if done.is_err() {
                // Another file has the temporary name now, and it is not ours to remove.
                file.temporary = None;
                stay.push(file.path.display().to_string());
            }
        }
        match stay.is_empty() {
            true => error,
            false => error.with_hint(format!("these files are complete and stay in place: {}", stay.join(", "))),
        }
    }
}

impl NewFile {
    /// A temporary file in `folder` for the duration of a build. Nobody else can read it.
    pub(crate) fn scratch(folder: &Path) -> io::Result<Self> {
        let place =
            Destination { path: folder.join(SCRATCH), folder: system::Folder::open(folder)?, name: SCRATCH.into() };
        place.folder.remove_leftovers(&|name| is_partial_of(name, SCRATCH.as_ref()));
        let file = place.create(NewFileOptions { replace: false, mode: Some(0o600) })?;
        allow_holes(&file.file);
        Ok(file)
    }

    /// A path, for code that opens files only by path.
    pub(crate) fn named_path(&mut self) -> io::Result<PathBuf> {
        let name = match self.temporary.clone() {
            Some(name) => name,
            None => self.name_temporarily()?,
        };
        Ok(self.path.with_file_name(name))
    }

    /// A path by which this process can open the file again while it is written.
    pub fn open_path(&self) -> PathBuf {
        match &self.temporary {
            Some(name) => self.path.with_file_name(name),
            None => self.folder.open_path(&self.file),
        }
    }

    /// The path that it will get.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file, for reading and writing.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Sets the name of the file in its folder, where that depends on its bytes. Only the first call counts.
    pub(crate) fn rename(&self, name: &str) {
        let _ = self.late_name.set(name.into());
    }

    /// Flushes it to storage.
    pub(crate) fn flush(&self) -> Result<()> {
        self.file.sync_all().map_err(|error| Error::io("flush", &self.path, error))
    }

    /// Gives the file its name.
    fn publish(&mut self) -> Result<Step> {
        if let Some(name) = self.late_name.take() {
            self.path.set_file_name(&name);
            self.name = name;
        }
        let path = self.path.clone();
        let failed = |error| Error::io("give the finished file its name", &path, error);
        let is_new = match &self.temporary {
            None => self.folder.link(&self.file, &self.name),
            Some(temporary) => self.folder.rename_new(temporary, &self.name),
        };
        match is_new {
            Ok(()) => {
                self.temporary = None;
                return Ok(Step::New);
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            Err(_) if !self.replace => {
                let error = Error::recipe("the output exists already: it appeared during the build").with_path(&path);
                return Err(error.with_hint("use --force to replace it"));
            }
            Err(_) => {}
        }
        refuse_kinds(&self.folder, &self.name, &path)?;
        let temporary = match self.temporary.clone() {
            Some(temporary) => temporary,
            None => self.name_temporarily().map_err(failed)?,
        };
        if self.folder.exchange(&temporary, &self.name).is_ok() {
            return Ok(Step::Exchanged);
        }
        self.folder.rename(&temporary, &self.name).map_err(failed)?;
        self.temporary = None;
        Ok(Step::Replaced)
    }

    /// Gives a temporary name to a file without a name.
    fn name_temporarily(&mut self) -> io::Result<OsString> {
        for attempt in 0..MAX_ATTEMPTS {
            let name = temporary_name(&self.name, attempt);
            match self.folder.link(&self.file, &name) {
                Ok(()) => {
                    self.temporary = Some(name.clone());
                    return Ok(name);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Removes the file under the temporary name.
    fn discard(&mut self) {
        if let Some(name) = self.temporary.take() {
            // It may be gone already.
            let _ = self.folder.remove(&name);
        }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        self.discard();
    }
}

/// The name from which names of scratch files are made.
const SCRATCH: &str = "nano-image.scratch";
/// How many builds can write the same file at once.
const MAX_ATTEMPTS: u32 = 100;

/// The path that a file will get.
struct Destination {
    path: PathBuf,
    folder: system::Folder,
    name: OsString,
}

impl Destination {
    fn find(path: &Path, replace: bool) -> Result<Self> {
        let name = path
            .file_name()
            .ok_or_else(|| Error::recipe(format!("`{}` is not the name of a file", path.display())))?
            .to_owned();
        if let Some(fault) = system::Folder::name_fault(&name) {
            let message = format!("`{}` {fault}: no file can have this name", name.display());
            return Err(Error::recipe(message).with_path(path).with_hint("choose another name for the output"));
        }
        let parent = folder_of(path);
        let folder = system::Folder::open(parent).map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory => Error::not_found("not a directory").with_path(parent),
            _ => Error::io("open the directory of the output", parent, error),
        })?;
        if refuse_kinds(&folder, &name, path)? {
            if !replace {
                let error = Error::recipe("the output exists already").with_path(path);
                return Err(error.with_hint("use --force to replace it"));
            }
            folder.check_replaceable(&name).map_err(|error| {
                let hint = "close the program that has the file open, or choose another name for the output";
                Error::io("replace the output", path, error).with_hint(hint)
            })?;
        }
        Ok(Self { path: path.to_owned(), folder, name })
    }

    /// Creates the file: without a name if possible, else with a temporary one.
    fn create(self, options: NewFileOptions) -> io::Result<NewFile> {
        match self.folder.create_unnamed(options.mode, &temporary_name(&self.name, 0))? {
            Some(file) => Ok(self.with(file, None, options)),
            None => self.create_named(options),
        }
    }

    fn create_named(self, options: NewFileOptions) -> io::Result<NewFile> {
        for attempt in 0..MAX_ATTEMPTS {
            let temporary = temporary_name(&self.name, attempt);
            match self.folder.create_named(&temporary, options.mode) {
                Ok(file) => return Ok(self.with(file, Some(temporary), options)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn with(self, file: File, temporary: Option<OsString>, options: NewFileOptions) -> NewFile {
        let Self { path, folder, name } = self;
        NewFile { path, folder, name, temporary, file, replace: options.replace, late_name: OnceLock::new() }
    }
}

/// Refuses what is not a regular file; returns whether there is a file.
fn refuse_kinds(folder: &system::Folder, name: &OsStr, path: &Path) -> Result<bool> {
    let kind = folder.kind(name).map_err(|error| Error::io("look at", path, error))?;
    let (what, hint) = match kind {
        None => return Ok(false),
        Some(Kind::Regular) => return Ok(true),
        Some(Kind::Folder) => return Err(Error::recipe("the output is a directory").with_path(path)),
        Some(Kind::Link) => ("the output is a symbolic link", "name the file that it leads to, or remove the link"),
        Some(Kind::Other) => {
            ("the output is not a regular file", "write to standard output with -o -, and redirect that")
        }
    };
    Err(Error::recipe(what).with_path(path).with_hint(hint))
}

fn temporary_name(name: &OsStr, attempt: u32) -> OsString {
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{attempt}.partial", std::process::id()));
    temporary
}

/// Whether `name` is a temporary name of the file `of`.
fn is_partial_of(name: &OsStr, of: &OsStr) -> bool {
    let numbers = |name: &OsStr| -> Option<bool> {
        let rest = name.as_encoded_bytes().strip_prefix(b".")?.strip_prefix(of.as_encoded_bytes())?;
        let numbers = std::str::from_utf8(rest.strip_prefix(b".")?.strip_suffix(b".partial")?).ok()?;
        let (process, attempt) = numbers.split_once('-')?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        Some(is_number(process) && is_number(attempt))
    };
    numbers(name).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn create(paths: &[PathBuf], replace: bool) -> Result<NewFiles> {
        NewFiles::create(paths, NewFileOptions { replace, mode: None })
    }

    fn write(files: &NewFiles) {
        files.files().iter().for_each(|file| file.file().write_all(b"new").unwrap());
        files.flush().unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Runs a test with both ways to make files: without a name where that is possible, and with a temporary name.
    fn each_way(test: impl Fn(&Path, &dyn Fn(&[PathBuf], bool) -> Result<NewFiles>)) {
        let folder = tempfile::tempdir().unwrap();
        test(folder.path(), &create);
        let folder = tempfile::tempdir().unwrap();
        test(folder.path(), &|paths, replace| {
            let mut all = create(paths, replace)?;
            for file in &mut all.files {
                if file.temporary.is_none() {
                    file.name_temporarily().unwrap();
                }
            }
            Ok(all)
        });
    }

    #[test]
    fn files_appear_complete_and_together() {
        each_way(|folder, create| {
            let paths = [folder.join("a"), folder.join("b")];
            let files = create(&paths, false).unwrap();
            write(&files);
            assert!(!paths[0].exists() && !paths[1].exists());
            files.publish().unwrap();
            assert_eq!(names(folder), ["a", "b"]);
            assert!(create(&paths, false).unwrap_err().message().contains("exists"));
            drop(create(&paths, true).unwrap());
            assert_eq!((fs::read(&paths[0]).unwrap(), names(folder).len()), (b"new".to_vec(), 2));
        });
    }

    #[test]
    fn what_appears_meanwhile_stays_and_takes_the_others_back() {
        each_way(|folder, create| {
            let paths = [folder.join("a"), folder.join("b")];
            let files = create(&paths, false).unwrap();
            write(&files);
            fs::write(&paths[1], "precious").unwrap();
            let error = files.publish().unwrap_err();
            assert!(error.message().contains("exists") && error.path() == Some(&*paths[1]), "{error}");
            assert_eq!(names(folder), ["b"]);
            assert_eq!(fs::read(&paths[1]).unwrap(), b"precious");
        });
    }

    #[test]
    fn what_was_replaced_comes_back_if_another_fails() {
        each_way(|folder, create| {
            let paths = [folder.join("a"), folder.join("b")];
            fs::write(&paths[0], "old").unwrap();
            let files = create(&paths, true).unwrap();
            write(&files);
            fs::create_dir(&paths[1]).unwrap();
            assert!(files.publish().unwrap_err().message().contains("directory"));
            assert_eq!(names(folder), ["a", "b"]);
            #[cfg(target_os = "linux")]
            assert_eq!(fs::read(&paths[0]).unwrap(), b"old");
            fs::remove_dir(&paths[1]).unwrap();
            let files = create(&paths, true).unwrap();
            write(&files);
            files.publish().unwrap();
            assert_eq!((names(folder), fs::read(&paths[0]).unwrap()), (vec!["a".into(), "b".into()], b"new".to_vec()));
        });
    }

    #[test]
    fn leftovers_of_the_same_file_are_removed_if_nobody_holds_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [".a.1-0.partial", ".a.b.1-0.partial", ".a.1-x.partial", "a.1-0.partial", ".a.2-0.partial"] {
            fs::write(at(name), "").unwrap();
        }
        let held = File::open(at(".a.2-0.partial")).unwrap();
        held.lock().unwrap();
        let files = create(&[at("a")], false).unwrap();
        assert_eq!(files.leftovers(), [at(".a.1-0.partial")]);
        drop(files);
        assert_eq!(names(folder.path()), [".a.1-x.partial", ".a.2-0.partial", ".a.b.1-0.partial", "a.1-0.partial"]);
    }

    #[cfg(windows)]
    #[test]
    fn what_a_program_holds_is_refused_before_anything_is_made() {
        use std::os::windows::fs::OpenOptionsExt;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a"), "old").unwrap();
        // Shared for reading only, as programs hold a disk.
        let held = File::options().read(true).share_mode(1).open(at("a")).unwrap();
        let error = create(&[at("free"), at("a")], true).unwrap_err();
        assert!(error.hint().unwrap().contains("close the program") && error.path() == Some(&*at("a")), "{error}");
        assert_eq!(names(folder.path()), ["a"]);
        drop(held);
        let files = create(&[at("a")], true).unwrap();
        write(&files);
        files.publish().unwrap();
        assert_eq!(fs::read(at("a")).unwrap(), b"new");
    }

    #[cfg(unix)]
    #[test]
    fn links_and_pipes_are_refused_and_modes_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        symlink("nowhere", at("link")).unwrap();
        for (name, part) in [("link", "symbolic link"), (".", "not the name"), ("none/x", "cannot open")] {
            let error = create(&[at("free"), at(name).join("")], true).err();
            let error = error.or_else(|| create(&[at("free"), at(name)], true).err()).unwrap();
            assert!(error.to_string().contains(part) || name == ".", "{name}: {error}");
        }
        assert_eq!(names(folder.path()), ["link"]);
        for mode in [0o600, 0o664] {
            let files = NewFiles::create(&[at("a")], NewFileOptions { replace: true, mode: Some(mode) }).unwrap();
            files.publish().unwrap();
            assert_eq!(fs::metadata(at("a")).unwrap().permissions().mode() & 0o7777, mode);
        }
    }
}

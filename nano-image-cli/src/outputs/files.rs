//! Everything that a command writes: files, which replace others only if a flag says so and appear together, and
//! streams.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use nano_image::{Error, Format, Result, Target};
use nano_image::{NewFileOptions, NewFiles, UsedFile, keep_apart};

use crate::signals;

/// How outputs are made.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutputOptions {
    /// Whether existing files are replaced.
    pub replace: bool,
    /// Permission bits of files.
    pub mode: Option<u32>,
}

/// The open outputs of a command.
pub struct Outputs {
    places: Vec<OutputSlot>,
    files: NewFiles,
    folders: Vec<Folder>,
}

enum OutputSlot {
    /// The file with this number.
    File(usize),
    Stream(Stream),
}

/// A stream that a program reads while it is written.
struct Stream {
    path: PathBuf,
    to: Box<dyn Write>,
}

impl Outputs {
    /// Opens `wanted` in this order. Before that it checks that none of them is the same as another or as one of
    /// `inputs`.
    ///
    /// # Errors
    /// Those of [`keep_apart`] and [`NewFiles::create`]; a stream that is not open.
    pub fn open(wanted: &[UsedFile], inputs: &[UsedFile], options: OutputOptions) -> Result<Self> {
        let wanted: Vec<UsedFile> = wanted.iter().map(|file| UsedFile::new(&*file.role, plain(&file.path))).collect();
        keep_apart(&wanted, inputs)?;
        let (mut places, mut paths) = (Vec::new(), Vec::new());
        for UsedFile { path, .. } in wanted {
            places.push(match descriptor(&path) {
                Some(number) => OutputSlot::Stream(Stream { to: open_stream(number, &path)?, path }),
                None => {
                    paths.push(path);
                    OutputSlot::File(paths.len() - 1)
                }
            });
        }
        let OutputOptions { replace, mode } = options;
        let files = NewFiles::create(&paths, NewFileOptions { replace, mode })?;
        signals::remove_if_killed(files.temporary_paths());
        Ok(Self { places, files, folders: Vec::new() })
    }

    /// Files that were left by builds that were killed; they are removed now.
    pub fn leftovers(&self) -> Vec<String> {
        let paths = self.files.leftovers().iter();
        paths.map(|path| format!("{}: removed: a killed build had left it", path.display())).collect()
    }

    /// Keeps folders that were made for the files until the files are published.
    pub fn with_folders(self, folders: Vec<Folder>) -> Self {
        Self { folders, ..self }
    }

    /// The targets of the images, whose files come first: the format of each, and for an OCI image its number of files.
    pub fn targets(&mut self, images: impl IntoIterator<Item = (Format, Option<usize>)>) -> Vec<Target<'_>> {
        let Self { places, files, .. } = self;
        let mut places = places.iter_mut();
        let mut targets = Vec::new();
        for (format, oci_files) in images {
            let own: Vec<&mut OutputSlot> = places.by_ref().take(oci_files.unwrap_or(1)).collect();
            if oci_files.is_some() {
                let index =
                    |place: &mut OutputSlot| if let OutputSlot::File(index) = place { Some(*index) } else { None };
                let all = own.into_iter().filter_map(index).map(|index| &files.files()[index]);
                targets.push(Target::oci(all.collect(), format));
                continue;
            }
            targets.extend(own.into_iter().map(|place| match place {
                OutputSlot::File(index) => Target::new_file(&files.files()[*index], format),
                OutputSlot::Stream(stream) => Target::stream(&mut stream.to, format),
            }));
        }
        targets
    }

    /// Writes all of output number `index`.
    pub fn write(&mut self, index: usize, bytes: &[u8]) -> Result<()> {
        let (written, path) = match &mut self.places[index] {
            OutputSlot::File(index) => {
                let file = &self.files.files()[*index];
                (file.file().write_all(bytes), file.path())
            }
            OutputSlot::Stream(stream) => (stream.to.write_all(bytes).and_then(|()| stream.to.flush()), &*stream.path),
        };
        written.map_err(|error| Error::io("write", path, error))
    }

    /// Gives all files their names, or none of them.
    pub fn publish(self) -> Result<()> {
        let Self { files, folders, .. } = self;
        files.flush()?;
        signals::undisturbed(|| files.publish())?;
        folders.into_iter().for_each(Folder::keep);
        Ok(())
    }
}

/// A folder that is made for files, and removed with them if they are not published.
pub struct Folder {
    /// The folders that were made, the innermost last.
    made: Vec<PathBuf>,
}

impl Folder {
    /// Makes the folders of `files` below `root`, which is new, empty, or has only what a killed build left.
    ///
    /// # Errors
    /// [`Recipe`](nano_image::ErrorKind::Recipe) if it has anything else; the errors of the file system.
    pub fn make(root: &Path, files: &[PathBuf]) -> Result<Self> {
        let failed = |path: &Path, error| Error::io("make the folder", path, error);
        let mut folders: Vec<&Path> =
            files.iter().flat_map(|file| file.ancestors().skip(1).take_while(|path| path.starts_with(root))).collect();
        folders.sort();
        folders.dedup();
        for folder in &folders {
            let entries = match std::fs::read_dir(folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(folder, error)),
            };
            for entry in entries {
                let path = entry.map_err(|error| failed(folder, error))?.path();
                if !folders.contains(&&*path) && !is_unfinished(&path, files) {
                    return Err(Error::recipe("the folder of the OCI image is not empty")
                        .with_path(root)
                        .with_hint("name another one, or remove it"));
                }
            }
        }
        let mut folder = Self { made: Vec::new() };
        for path in folders {
            match std::fs::create_dir(path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(path, error)),
                // An empty folder that is there may be the user's.
                Err(_) if path == root => {}
                _ => folder.made.push(path.to_owned()),
            }
        }
        signals::remove_if_killed(folder.made.clone());
        Ok(folder)
    }

    fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for path in self.made.iter().rev() {
            // What others put into it stays.
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// Whether `path` is a file that becomes one of `files`, whose name it has in it. If no other build is making it, it is
/// removed before it is made again.
fn is_unfinished(path: &Path, files: &[PathBuf]) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let of_file = |file: &PathBuf| {
        let own = file.file_name().and_then(|own| own.to_str()).unwrap_or_default();
        let rest = name.strip_prefix('.').and_then(|name| name.strip_prefix(own));
        file.parent() == path.parent() && rest.is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".partial"))
    };
    files.iter().any(of_file)
}

/// Standard output by the name that it has in the file system, so that it can be compared with others.
fn plain(path: &Path) -> PathBuf {
    if is_stdout(path) { "/dev/stdout".into() } else { path.to_owned() }
}

/// Whether the output goes to standard output.
pub fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-" || descriptor(path) == Some(1)
}

/// Whether the output is a stream rather than a file.
pub fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-" || descriptor(path).is_some()
}

/// The number of an open file that `path` names.
fn descriptor(path: &Path) -> Option<u32> {
    match path.to_str()? {
        "/dev/stdout" => Some(1),
        "/dev/stderr" => Some(2),
        text => ["/dev/fd/", "/proc/self/fd/"].iter().find_map(|folder| text.strip_prefix(folder)?.parse().ok()),
    }
}

fn open_stream(number: u32, path: &Path) -> Result<Box<dyn Write>> {
    match number {
        1 if io::stdout().is_terminal() => {
            let error = Error::recipe("standard output is a terminal, which cannot show a disk image");
            Err(error.with_hint("send it to a file or a program: nano-image … -o - | zstd > nano.raw.zst"))
        }
        1 => Ok(Box::new(io::stdout())),
        2 => Ok(Box::new(io::stderr())),
        _ => Ok(Box::new(reopen(number, path)?)),
    }
}

/// Opens again what is open already, and continues at its current position, which the kernel tells
/// (proc_pid_fdinfo(5)); other systems do so themselves when the path is opened.
fn reopen(number: u32, path: &Path) -> Result<File> {
    use std::io::{Seek, SeekFrom};
    let told = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
    let value = |key: &str| told.lines().find_map(|line| line.strip_prefix(key)?.trim().split(' ').next());
    let flags = value("flags:").and_then(|text| u32::from_str_radix(text, 8).ok());
    if flags.is_some_and(|flags| flags & ACCESS == 0) {
        return Err(Error::recipe("it is open for reading only").with_path(path));
    }
    let appends = flags.is_some_and(|flags| flags & APPEND != 0);
    let mut how = File::options();
    let how = if appends { how.append(true) } else { how.write(true) };
    let mut file = how.open(path).map_err(|error| Error::io("open", path, error))?;
    if let (false, Some(position)) = (appends, value("pos:").and_then(|text| text.parse().ok()))
        && position != 0
    {
        file.seek(SeekFrom::Start(position)).map_err(|error| Error::io("seek", path, error))?;
    }
    Ok(file)
}

/// Flags of open(2) on Linux: whether the file may be read or written, and whether writes go to its end.
const ACCESS: u32 = 0o3;
const APPEND: u32 = 0o2000;

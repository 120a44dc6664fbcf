//! Which file of the host a path leads to, and a check that no output overwrites an input.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Folders nested deeper are not looked into: the code that reads them refuses them.
const MAX_DEPTH: usize = 128;

/// Identifies a file, whatever path led to it: hard links, symbolic links and other paths give equal values.
///
/// ```
/// use nano_image::FileIdentity;
///
/// let folder = std::env::temp_dir();
/// assert_eq!(FileIdentity::of(&folder).unwrap(), FileIdentity::of(&folder.join(".")).unwrap());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileIdentity(Inner);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Inner {
    /// Number of the device or volume, and number of the file on it.
    #[cfg_attr(not(any(unix, windows)), allow(dead_code, reason = "other systems tell no numbers"))]
    Number(u64, u64),
    /// The path with its links resolved.
    #[cfg_attr(any(unix, windows), allow(dead_code, reason = "numbers are better"))]
    Path(PathBuf),
}

impl FileIdentity {
    /// The file at `path`; links are followed.
    ///
    /// # Errors
    /// If there is none, or it cannot be reached.
    #[cfg(unix)]
    pub fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(path)?;
        Ok(Self(Inner::Number(metadata.dev(), metadata.ino())))
    }

    /// The file at `path`; links are followed.
    ///
    /// # Errors
    /// If there is none, or it cannot be reached.
    #[cfg(windows)]
    pub fn of(path: &Path) -> io::Result<Self> {
        let handle = winapi_util::Handle::from_path_any(path)?;
        let information = winapi_util::file::information(&handle)?;
        Ok(Self(Inner::Number(information.volume_serial_number(), information.file_index())))
    }

    /// The file at `path`; links are followed.
    ///
    /// # Errors
    /// If there is none, or it cannot be reached.
    #[cfg(not(any(unix, windows)))]
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self(Inner::Path(fs::canonicalize(path)?)))
    }
}

/// A file or folder that is read or written, and its role.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsedFile {
    /// Its role, as part of a sentence: `the answer file`.
    pub role: String,
    /// Where it is.
    pub path: PathBuf,
}

impl UsedFile {
    /// The file or folder at `path`, which is `role`.
    pub fn new(role: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { role: role.into(), path: path.into() }
    }
}

/// Checks that no file of `outputs` is one of `inputs`, or the same as another output. If an input is a folder, all
/// files in it count, and no output may be created in it. No file is opened.
///
/// # Errors
/// [`Recipe`](crate::ErrorKind::Recipe), naming both roles.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::UsedFile;
///
/// let (image, wim) = (UsedFile::new("the image", "missing/nano.vhdx"), UsedFile::new("the WIM", "missing/nano.wim"));
/// nano_image::keep_apart(&[image], &[wim])?;
/// # Ok(())
/// # }
/// ```
pub fn keep_apart(outputs: &[UsedFile], inputs: &[UsedFile]) -> Result<()> {
    for (index, output) in outputs.iter().enumerate() {
        let same = outputs[..index].iter().find(|other| is_same_place(&other.path, &output.path));
        if let Some(other) = same {
            return Err(meeting(
                output,
                &format!("as {} and as {}", other.role, output.role),
                "would be written twice:",
            ));
        }
    }
    // A file that does not exist yet cannot be an input. A terminal may be both read and written.
    let existing = outputs.iter().filter(|output| output.path.is_file());
    let existing: Vec<(&UsedFile, FileIdentity)> =
        existing.filter_map(|output| Some((output, FileIdentity::of(&output.path).ok()?))).collect();
    for input in inputs {
        let Ok(metadata) = fs::metadata(&input.path) else { continue };
        if metadata.is_dir() {
            if let Some(output) = outputs.iter().find(|output| is_inside(&output.path, &input.path)) {
                return Err(meeting(output, &input.role, "would be written into"));
            }
            if !existing.is_empty() {
                check_folder(&existing, &input.path, &input.role, 0)?;
            }
            continue;
        }
        check_file(&existing, &input.path, &input.role)?;
    }
    Ok(())
}

fn check_file(existing: &[(&UsedFile, FileIdentity)], path: &Path, role: &str) -> Result<()> {
    let Ok(identity) = FileIdentity::of(path) else { return Ok(()) };
    match existing.iter().find(|(_, output)| *output == identity) {
        Some((output, _)) => Err(meeting(output, role, "would be written over")),
        None => Ok(()),
    }
}

/// Looks into `folder`. A folder that cannot be listed is passed over: the code that reads it reports that.
fn check_folder(existing: &[(&UsedFile, FileIdentity)], folder: &Path, role: &str, depth: usize) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => {
                check_folder(existing, &entry.path(), role, depth + 1)?;
            }
            Ok(kind) if kind.is_dir() => {}
            _ => check_file(existing, &entry.path(), &format!("a file of {role}"))?,
        }
    }
    Ok(())
}

fn meeting(output: &UsedFile, other: &str, how: &str) -> Error {
    Error::recipe(format!("{} {how} {other}", output.role))
        .with_path(&output.path)
        .with_hint(format!("choose another name for {}", output.role))
}

/// Whether both paths lead to the same file, or would once it is created.
fn is_same_place(a: &Path, b: &Path) -> bool {
    match (FileIdentity::of(a), FileIdentity::of(b)) {
        (Ok(a), Ok(b)) => a == b,
        (Err(_), Err(_)) => {
            a.file_name() == b.file_name()
                && matches!((FileIdentity::of(folder_of(a)), FileIdentity::of(folder_of(b))), (Ok(a), Ok(b)) if a == b)
        }
        _ => false,
    }
}

/// Whether a file at `path` would be in `folder` or a folder below it.
fn is_inside(path: &Path, folder: &Path) -> bool {
    matches!((fs::canonicalize(folder_of(path)), fs::canonicalize(folder)), (Ok(a), Ok(b)) if a.starts_with(&b))
}

/// Refuses a `path` in `folder` that links lead out of the folder: the user named the folder, not files elsewhere.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported); [`Io`](crate::ErrorKind::Io) for links that lead nowhere.
pub(super) fn stays_inside(path: &Path, folder: &Path) -> Result<()> {
    let real = |path: &Path| fs::canonicalize(path).map_err(|error| Error::io("follow the link", path, error));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    match real(path)?.starts_with(real(folder)?) {
        true => Ok(()),
        false => Err(Error::unsupported("a link that leads out of its folder is not followed")
            .with_path(path)
            .with_hint("put the file itself there, or name it by itself")),
    }
}

/// The folder that contains the file at `path`.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_no_inputs_under_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("in/sub")).unwrap();
        fs::write(at("a"), "a").unwrap();
        fs::write(at("in/sub/b"), "b").unwrap();
        fs::hard_link(at("a"), at("link")).unwrap();
        fs::hard_link(at("in/sub/b"), at("far")).unwrap();
        let input = |path: &str| UsedFile::new("the input", at(path));
        let output = |path: &str| UsedFile::new("the output", at(path));
        for (path, read) in
            [("a", "a"), ("link", "a"), ("in/../a", "a"), ("far", "in"), ("in/new", "in"), ("in/sub/new", "in/sub/..")]
        {
            let error = keep_apart(&[output(path)], &[input(read)]).unwrap_err();
            assert!(error.to_string().contains("the output") && error.to_string().contains("the input"), "{error}");
        }
        for (path, read) in [("new", "a"), ("far", "a"), ("new", "in"), ("a", "none"), ("link", "in")] {
            keep_apart(&[output(path)], &[input(read)]).unwrap();
        }
        for (one, two) in [("a", "link"), ("new", "in/../new"), ("none/x", "none/x")] {
            let result = keep_apart(&[output(one), output(two)], &[]);
            // A folder that is not there has no files.
            assert_eq!(result.is_err(), !one.starts_with("none"), "{one} {two}");
        }
    }
}

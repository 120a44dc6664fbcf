//! Finds the files of a driver beside its INF file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::inf::{Inf, bad_line};
use super::place;
use super::target::Target;
use super::tree;
use crate::content::{InputFile, InputFiles, InputKind};
use crate::error::{Error, Result};

/// A file of a driver package.
pub(super) struct SourceFile {
    /// Path in the package.
    pub path: String,
    /// Path on the host.
    pub source: PathBuf,
    pub file: InputFile,
}

/// The files of a package, by their names in lower case.
#[derive(Default)]
pub(super) struct SourceFiles {
    pub files: Vec<SourceFile>,
    by_name: BTreeMap<String, usize>,
}

impl SourceFiles {
    /// Finds all `wanted` files: those that are copied, and the catalog.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) with a list of all missing files.
    pub fn find(inf: &Inf, inf_path: &Path, from: &InputFiles, wanted: &[String], target: &Target) -> Result<Self> {
        let folder = inf_path.parent().unwrap_or(Path::new(""));
        let places = places(inf, target)?;
        let (mut found, mut missing) = (Self::default(), Vec::new());
        let mut listings = BTreeMap::new();
        for name in wanted {
            let key = name.to_lowercase();
            if found.by_name.contains_key(&key) {
                continue;
            }
            let folder_in_package = places.get(&key).map_or("", String::as_str);
            let path = match folder_in_package {
                "" => place::relative(name)?,
                folder => format!(r"{folder}\{}", place::relative(name)?),
            };
            match resolve(from, folder, &path, &mut listings)? {
                Some(file) => {
                    found.by_name.insert(key, found.files.len());
                    found.files.push(SourceFile { path, file: InputFile::open(from, &file)?, source: file });
                }
                None => missing.push(path),
            }
        }
        if !missing.is_empty() {
            return Err(Error::not_found(format!("files that the driver needs are missing: {}", missing.join(", ")))
                .with_hint("put them beside the INF file, as the vendor ships them"));
        }
        Ok(found)
    }

    /// A file by its name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(&name.to_lowercase()).copied()
    }
}

/// Folders of the files in the source, by the files' names in lower case, from SourceDisksFiles and SourceDisksNames.
fn places(inf: &Inf, target: &Target) -> Result<BTreeMap<String, String>> {
    let sections = |name: &str| [name.to_owned(), format!("{name}.{}", target.architecture())];
    let mut disks = BTreeMap::new();
    for section in sections("SourceDisksNames") {
        for line in inf.lines(&section)? {
            let path = inf.expand(line.fields.get(3).map_or("", String::as_str))?;
            disks.insert(inf.expand(line.key.as_deref().unwrap_or_default())?, place::relative(&path)?);
        }
    }
    let mut places = BTreeMap::new();
    for section in sections("SourceDisksFiles") {
        for line in inf.lines(&section)? {
            let Some(name) = line.key.as_deref() else {
                return Err(bad_line(line.number, "no file: `name = disk` is expected"));
            };
            let disk = disks.get(&inf.expand(line.field(0).unwrap_or_default())?).map_or("", String::as_str);
            let subdirectory = inf.expand(line.fields.get(1).map_or("", String::as_str))?;
            places.insert(inf.expand(name)?.to_lowercase(), place::relative(&format!(r"{disk}\{subdirectory}"))?);
        }
    }
    Ok(places)
}

/// The file `name` in the folder of the INF file `inf`, if there is one.
pub(super) fn beside(from: &InputFiles, inf: &Path, name: &str) -> Result<Option<PathBuf>> {
    let folder = inf.parent().unwrap_or(Path::new(""));
    resolve(from, folder, &place::relative(name)?, &mut BTreeMap::new()).map_err(|error| error.with_path(inf))
}

/// The file at `path` below `folder`; case is ignored.
fn resolve(
    from: &InputFiles,
    folder: &Path,
    path: &str,
    listings: &mut BTreeMap<PathBuf, BTreeMap<String, PathBuf>>,
) -> Result<Option<PathBuf>> {
    let mut at = folder.to_owned();
    for part in path.split('\\') {
        if !listings.contains_key(&at) {
            listings.insert(at.clone(), list(from, &at)?);
        }
        match listings[&at].get(&part.to_lowercase()) {
            Some(next) => at = next.clone(),
            None => return Ok(None),
        }
    }
    if !from.is_file(&at) {
        return Ok(None);
    }
    from.check_inside(&at, folder)?;
    Ok(Some(at))
}

/// The entries of a folder by their names in lower case; empty if it is not a folder.
fn list(from: &InputFiles, folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let shown = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if !from.is_folder(shown) {
        return Ok(BTreeMap::new());
    }
    let mut paths = from.list(folder).map_err(|error| Error::io("read", shown, error))?;
    // Of names that differ only in case the first one is used.
    paths.reverse();
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().to_lowercase());
    Ok(paths.into_iter().filter_map(|path| Some((name(&path)?, path))).collect())
}

/// The INF files of `paths`: named files, and all files below named folders, each once. Files of a folder have their
/// path in it as the name, separated by `/`.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) for what is missing and for folders without any.
pub(super) fn find_infs(
    paths: &[PathBuf],
    from: &InputFiles,
    target: &Target,
    warnings: &mut Vec<String>,
) -> Result<Vec<(PathBuf, Option<String>)>> {
    let mut found = Vec::new();
    let mut known = std::collections::BTreeSet::new();
    for path in paths {
        let kind = from.kind(path).map_err(|error| Error::io("read the driver", path, error))?;
        if kind != InputKind::Folder {
            if !is_inf(path) {
                return Err(Error::recipe("this is not an INF file")
                    .with_path(path)
                    .with_hint("name the driver's .inf file, or a folder that holds it"));
            }
            if known.insert(from.real_path(path).map_err(|error| Error::io("read", path, error))?) {
                found.push((path.clone(), None));
            }
            continue;
        }
        let mut below = Vec::new();
        walk(from, path, path, 0, &mut below)?;
        if below.is_empty() {
            return Err(Error::not_found("the folder holds no INF file")
                .with_path(path)
                .with_hint("name the folder of a driver; drivers inside an archive must be extracted first"));
        }
        for inf in tree::choose(path, below, target, warnings)? {
            if known.insert(from.real_path(&inf).map_err(|error| Error::io("read", &inf, error))?) {
                let name = inf.strip_prefix(path).unwrap_or(&inf).to_string_lossy().replace('\\', "/");
                found.push((inf, Some(name)));
            }
        }
    }
    Ok(found)
}

const MAX_DEPTH: usize = 64;

fn walk(from: &InputFiles, root: &Path, folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::unsupported(format!("folders nested deeper than {MAX_DEPTH}")).with_path(folder));
    }
    let failed = |error| Error::io("read", folder, error);
    for path in from.list(folder).map_err(failed)? {
        if from.is_folder(&path) {
            // Links to folders are not followed, because they may lead back.
            if !from.is_link(&path).map_err(failed)? {
                walk(from, root, &path, depth + 1, found)?;
            }
        } else if is_inf(&path) && from.is_file(&path) {
            from.check_inside(&path, root)?;
            found.push(path);
        }
    }
    Ok(())
}

fn is_inf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("inf"))
}

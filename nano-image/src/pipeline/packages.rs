//! Which packages go into an image: those of the recipe, of its answer file, and updates.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::recipe::Recipe;
use super::sources::Sources;
use crate::content::InputFiles;
use crate::error::{Error, Result};
use crate::progress::Observer;
use crate::report::InstallReport;
use crate::source::wim::ImageInfo;
use crate::windows::configure::ServicingPackage;
use crate::windows::edit::ImageEdit;
use crate::windows::media::Media;
use crate::windows::package::{self, CabinetSource, Install, InstallOptions};

/// What cabinets and WIM files, which updates are delivered in, begin with.
const MAGICS: [[u8; 4]; 2] = [*b"MSCF", *b"MSWI"];
/// Bytes read at once to digest a cabinet.
const PIECE: u64 = 1 << 20;

/// What is installed.
#[derive(Default)]
pub(super) struct Packages {
    pub install: Install,
    /// Names of those of the media.
    names: Vec<String>,
    pub warnings: Vec<String>,
}

impl Packages {
    /// Finds and opens all that `recipe`, `sources` and the packages of the answer file name.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) names all packages that are missing.
    pub fn find(
        recipe: &Recipe,
        sources: &Sources,
        media: &Media,
        image: &ImageInfo,
        answered: Vec<ServicingPackage>,
    ) -> Result<Self> {
        let mut packages = Self::default();
        packages.install.files = sources.files.clone();
        packages.install.features = recipe.features().to_vec();
        packages.install.features.sort();
        packages.install.features.dedup();
        let mut names = recipe.package_names();
        let answer_file = recipe.machine().unattend.as_deref().unwrap_or(Path::new(""));
        for package in answered {
            packages
                .add_answered(package, answer_file, media, &mut names)
                .map_err(|error| error.with_path(answer_file))?;
        }
        let selection = media.select(&names, image)?;
        packages.warnings.extend(selection.warnings);
        packages.names = selection.names;
        for file in &selection.cabinets {
            packages.install.cabinets.push(media.cabinet(file)?);
        }
        if !packages.install.features.is_empty() {
            for file in media.on_demand() {
                packages.install.sources.push(media.cabinet(file)?);
            }
        }
        for path in &sources.servicing_packages {
            packages.install.servicing.push(open(&sources.files, path)?);
        }
        Ok(packages)
    }

    /// Adds what the answer file names: a cabinet where it says, or a package of the media.
    fn add_answered(
        &mut self,
        package: ServicingPackage,
        answer_file: &Path,
        media: &Media,
        names: &mut Vec<String>,
    ) -> Result<()> {
        let name = &package.name;
        if !package.action.eq_ignore_ascii_case("install") {
            let message =
                format!("the answer file wants to {} the package `{name}`, which is not done", package.action);
            self.warnings.push(message);
            return Ok(());
        }
        // A Windows path: what counts is relative to the configuration set, that is the answer file's folder.
        let source = package.source.as_deref().map(|source| source.replace('\\', "/"));
        let relative = source.as_deref().map(|source| source.trim_start_matches("%configsetroot%/"));
        if let (Some(relative), Some(folder)) = (relative, answer_file.parent()) {
            let path = folder.join(relative);
            if self.install.files.is_file(&path) {
                self.install.cabinets.push(open(&self.install.files, &path)?);
                return Ok(());
            }
        }
        let file = relative.and_then(|relative| Path::new(relative).file_stem()?.to_str());
        let found = [Some(&name[..]), file].into_iter().flatten().find_map(|name| media.package(name).ok());
        match found {
            Some(found) if names.contains(&found.name) => {}
            Some(found) => names.push(found.name.clone()),
            None => {
                let place = source.map(|source| format!(", and no file `{source}`")).unwrap_or_default();
                let what = format!("the answer file installs `{name}`: there is no such package on the media{place}");
                return Err(Error::not_found(what)
                    .with_hint("take it out of the answer file, or give its cabinet as an update"));
            }
        }
        Ok(())
    }

    /// Whether nothing is installed.
    pub fn is_empty(&self) -> bool {
        self.install.cabinets.is_empty() && self.install.servicing.is_empty() && self.install.features.is_empty()
    }

    /// Installs them into `edit`. What the user should know is added to `warnings`.
    pub fn install(
        &self,
        edit: &mut ImageEdit<'_>,
        options: &InstallOptions<'_>,
        media: &Media,
        observer: &dyn Observer,
        warnings: &mut Vec<String>,
    ) -> Result<InstallReport> {
        if self.is_empty() {
            return Ok(InstallReport::default());
        }
        let mut report = package::install(edit, &self.install, options, observer)
            .map_err(|error| self.name_parents(error, media))?;
        warnings.append(&mut report.warnings);
        for package in &report.packages {
            // The report has all; thousands of lines would hide other warnings.
            if let [first, ..] = &package.not_applied[..] {
                let (count, what) = (package.not_applied.len(), format!("<{}>: {}", first.element, first.why));
                let more = if count > 1 { format!(", and {} more in the report", count - 1) } else { String::new() };
                warnings.push(format!("the package {} is not applied whole: {what}{more}", package.id));
            }
        }
        Ok(report)
    }

    /// If packages lack others that the media have, says which.
    fn name_parents(&self, error: Error, media: &Media) -> Error {
        let is_missing = |name: &&str| {
            error.missing().iter().any(|missing| missing.eq_ignore_ascii_case(name))
                && !self.names.iter().any(|selected| selected == name)
        };
        let names: Vec<&str> = media.packages().iter().map(|package| &*package.name).filter(is_missing).collect();
        match &names[..] {
            [] => error,
            names => {
                let hint = format!("the media have what is missing: add the package {}", names.join(", "));
                error.with_hint(hint)
            }
        }
    }

    /// Digests of everything that is installed, which decide the bytes of the image; empty for nothing.
    pub fn identity(&self) -> Result<Vec<u8>> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let mut hash = Sha256::new();
        for (kind, cabinets) in [("packages", &self.install.cabinets), ("servicing", &self.install.servicing)] {
            hash.update(kind);
            hash.update([0]);
            let mut digests = cabinets.iter().map(digest).collect::<Result<Vec<_>>>()?;
            if kind == "servicing" {
                // Updates are installed in the order of their names, each once.
                digests.sort();
                digests.dedup();
            }
            digests.iter().for_each(|digest| hash.update(digest));
        }
        // The cabinets that features may come from decide bytes, too.
        for cabinet in &self.install.sources {
            hash.update("sources\0");
            hash.update(digest(cabinet)?);
        }
        hash.update("features\0");
        for feature in &self.install.features {
            hash.update(feature);
            hash.update([0]);
        }
        Ok(hash.finalize().to_vec())
    }
}

fn open(files: &InputFiles, path: &Path) -> Result<CabinetSource> {
    if files.is_folder(path) {
        let error = Error::not_found("a folder, but a package is expected").with_path(path);
        return Err(error.with_hint("name each .cab or .msu file"));
    }
    let data = files.open(path).map_err(|error| Error::io("open the package", path, error))?;
    let source = CabinetSource { path: path.to_owned(), data };
    // Cabinets are also found inside of other files: in an ISO image it would be any.
    let mut magic = [0; 4];
    if source.data.read_exact_at(&mut magic, 0).is_err() || !MAGICS.contains(&magic) {
        let error = Error::corrupt("not a cabinet").at(0).with_path(path);
        return Err(error.with_hint("name a .cab or .msu file; packages of media are named as they are listed there"));
    }
    Ok(source)
}

/// SHA-256 of the file.
fn digest(cabinet: &CabinetSource) -> Result<[u8; 32]> {
    let io = |error| Error::io("read the package", &cabinet.path, error);
    let len = cabinet.data.len().map_err(io)?;
    let (mut hash, mut at, mut buffer) = (Sha256::new(), 0, Vec::new());
    while at < len {
        buffer.resize(PIECE.min(len - at) as usize, 0);
        cabinet.data.read_exact_at(&mut buffer, at).map_err(io)?;
        hash.update(&buffer);
        at += buffer.len() as u64;
    }
    Ok(hash.finalize().into())
}

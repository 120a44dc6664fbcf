//! Which packages go into an image: those of the recipe, those of its answer file, and updates.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::answered::{self, Answered};
use super::cabinet;
use super::recipe::Recipe;
use super::sources::Sources;
use crate::error::{Error, Result};
use crate::progress::Observer;
use crate::report::InstallReport;
use crate::source::wim::ImageInfo;
use crate::windows::configure::Servicing;
use crate::windows::edit::ImageEdit;
use crate::windows::media::{Media, MediaPackage};
use crate::windows::package::identity::AssemblyIdentity;
use crate::windows::package::{self, CabinetSource, Install, InstallOptions, Named};

/// Bytes read at once to digest a cabinet.
const PIECE: u64 = 1 << 20;

/// What is installed.
#[derive(Default)]
pub(super) struct Packages {
    pub install: Install,
    /// What the answer file wants of packages apart from installing them.
    named: Vec<Named>,
    answer_file: PathBuf,
    /// Names of the packages from the media.
    names: Vec<String>,
    pub warnings: Vec<String>,
}

impl Packages {
    /// Finds and opens everything that `recipe`, `sources` and the packages of the answer file name.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) names all packages that are missing.
    pub fn find(
        recipe: &Recipe,
        sources: &Sources,
        media: &Media,
        image: &ImageInfo,
        servicing: &Servicing,
    ) -> Result<Self> {
        let Answered { install, cabinets: mut named_cabinets, named } = answered::find(servicing, sources, media)?;
        let mut packages = Self { install, named, ..Self::default() };
        packages.install.files = sources.files.clone();
        packages.install.features.extend_from_slice(recipe.features());
        packages.answer_file.clone_from(&servicing.answer_file);
        packages.install.features.sort();
        packages.install.features.dedup();
        let selection = media.select(&recipe.package_names(), image)?;
        packages.warnings.extend(selection.warnings);
        packages.names = selection.names;
        for file in &selection.cabinets {
            packages.install.cabinets.push(media.cabinet(file)?);
        }
        named_cabinets.retain(|file| !selection.cabinets.contains(file));
        for file in &named_cabinets {
            packages.install.cabinets.push(media.cabinet(file)?);
        }
        if !packages.install.features.is_empty() {
            for file in media.on_demand() {
                packages.install.sources.push(media.cabinet(file)?);
            }
        }
        for path in &sources.servicing_packages {
            packages.install.servicing.push(cabinet::open(&sources.files, path)?);
        }
        Ok(packages)
    }

    /// Whether nothing is installed.
    pub fn is_empty(&self) -> bool {
        let Install { cabinets, servicing, features, .. } = &self.install;
        cabinets.is_empty() && servicing.is_empty() && features.is_empty()
    }

    /// Installs the packages into `edit`. Adds what the user should know to `warnings`.
    pub fn install(
        &self,
        edit: &mut ImageEdit<'_>,
        options: &InstallOptions<'_>,
        media: &Media,
        observer: &dyn Observer,
        warnings: &mut Vec<String>,
    ) -> Result<InstallReport> {
        package::check_named(edit, &self.named).map_err(|error| error.with_path(&self.answer_file))?;
        if self.is_empty() {
            return Ok(InstallReport::default());
        }
        let mut report = package::install(edit, &self.install, options, observer)
            .map_err(|error| self.name_parents(error, media))?;
        warnings.append(&mut report.warnings);
        for package in &report.packages {
            // The report has all of them; thousands of lines would hide other warnings.
            if let [first, ..] = &package.not_applied[..] {
                let (count, what) = (package.not_applied.len(), format!("<{}>: {}", first.element, first.why));
                let more = if count > 1 { format!(", and {} more in the report", count - 1) } else { String::new() };
                warnings.push(format!("the package {} is not applied completely: {what}{more}", package.id));
            }
        }
        Ok(report)
    }

    /// If packages lack others that the media have, says which these are.
    fn name_parents(&self, error: Error, media: &Media) -> Error {
        let find = |name: &String| {
            let identity = AssemblyIdentity::from_attributes([("name", &**name)]).ok()?;
            Some(media.identified(&identity, None).ok()??.0)
        };
        let found = error.missing().iter().filter_map(find);
        let mut names: Vec<&str> = found.map(|package: &MediaPackage| &*package.name).collect();
        names.retain(|name| !self.names.iter().any(|selected| selected == name));
        names.sort_unstable();
        names.dedup();
        match &names[..] {
            [] => error,
            names => {
                let hint = format!("the missing one is on the media: add the package {}", names.join(", "));
                error.with_hint(hint)
            }
        }
    }

    /// Digests of everything that is installed, which decides the bytes of the image; empty if there is nothing.
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
                // Updates are installed by name, each only once.
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
        for feature in &self.install.off {
            hash.update("off\0");
            hash.update(feature);
        }
        Ok(hash.finalize().to_vec())
    }
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

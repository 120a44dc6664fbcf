//! Finds the packages and drivers that the answer file names, by the names in their own descriptions.

use std::path::{Path, PathBuf};

use super::cabinet;
use super::sources::Sources;
use crate::content::InputFiles;
use crate::error::{Error, ErrorKind, Result};
use crate::windows::answer::{ServicingAction, ServicingPackage};
use crate::windows::configure::Servicing;
use crate::windows::media::{Media, MediaFile};
use crate::windows::package::architecture::AssemblyArchitecture;
use crate::windows::package::identity::AssemblyIdentity;
use crate::windows::package::{CabinetSource, Install, Named, UpdateDetails, describe};

/// What an answer file wants of packages.
#[derive(Default)]
pub(super) struct Answered {
    /// What is installed: the cabinets of files, and features.
    pub install: Install,
    /// Cabinets on the media.
    pub cabinets: Vec<MediaFile>,
    /// What the answer file wants of packages apart from installing them.
    pub named: Vec<Named>,
}

/// Finds what `servicing` wants to have installed.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) for a package that is nowhere to be found,
/// [`Unsupported`](crate::ErrorKind::Unsupported) for what this crate does not do.
pub(super) fn find(servicing: &Servicing, sources: &Sources, media: &Media) -> Result<Answered> {
    let mut search = Search { answered: Answered::default(), servicing, sources, media };
    let all = servicing.packages.iter().try_for_each(|package| search.add(package));
    all.map_err(|error| error.with_path(&servicing.answer_file))?;
    Ok(search.answered)
}

/// The folders and INF files from which `servicing` wants drivers.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) for a path that does not exist.
pub(super) fn drivers(servicing: &Servicing, files: &InputFiles) -> Result<Vec<PathBuf>> {
    let find = |path: &String| {
        let place = servicing.place(path);
        match files.kind(&place).is_ok() {
            true => Ok(place),
            false => {
                Err(Error::not_found(format!("the answer file takes drivers from `{path}`, which does not exist"))
                    .with_path(&servicing.answer_file)
                    .with_hint("put them beside the answer file, or take DriverPaths out and name them with --driver"))
            }
        }
    };
    servicing.drivers.iter().map(find).collect()
}

struct Search<'a> {
    answered: Answered,
    servicing: &'a Servicing,
    sources: &'a Sources,
    media: &'a Media,
}

impl Search<'_> {
    fn add(&mut self, package: &ServicingPackage) -> Result<()> {
        let identity = &package.identity;
        let off: Vec<String> =
            package.features.iter().filter(|(_, is_on)| !is_on).map(|(name, _)| name.clone()).collect();
        match package.action {
            ServicingAction::Install => self.install(package)?,
            ServicingAction::Stage => {
                let what =
                    format!("the answer file stages the package `{}`, and this is not supported", shown(identity));
                return Err(Error::unsupported(what).with_hint("install it, or take it out of the answer file"));
            }
            ServicingAction::Remove => {
                self.answered.named.push(Named::Removed(identity.clone()));
                return Ok(());
            }
            ServicingAction::Configure => {}
        }
        self.answered
            .install
            .features
            .extend(package.features.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| name.clone()));
        self.answered.install.off.extend(off.iter().cloned());
        let mut installed = self.servicing.packages.iter().filter(|one| one.action == ServicingAction::Install);
        let is_installed = installed.any(|one| one.identity == *identity);
        self.answered.named.push(Named::Configured { package: identity.clone(), is_installed, off });
        Ok(())
    }

    fn install(&mut self, package: &ServicingPackage) -> Result<()> {
        let wanted = &package.identity;
        let place = package.source.as_deref().map(|source| self.servicing.place(source));
        if let Some(place) = place.as_deref().filter(|place| self.sources.files.kind(place).is_ok()) {
            return self.install_file(wanted, place);
        }
        let called = place.as_deref().and_then(|place| place.file_stem()?.to_str());
        let other = match self.media.identified(wanted, called) {
            // Only what is named: DISM takes no languages along either.
            Ok(Some((_, file))) => {
                self.answered.cabinets.push(file.clone());
                return Ok(());
            }
            Ok(None) => None,
            Err(error) if error.kind() == ErrorKind::NotFound => Some(error),
            Err(error) => return Err(error),
        };
        for path in &self.sources.servicing_packages {
            if self.describe(&cabinet::open(&self.sources.files, path)?)?.iter().any(|inside| is_it(inside, wanted)) {
                return Ok(());
            }
        }
        // If the image already has it, there is nothing to do, and no file is needed.
        let error = match other {
            Some(error) => error,
            None => self.nowhere(package, called),
        };
        self.answered.named.push(Named::Installed {
            package: wanted.clone(),
            absent: error.message().to_owned(),
            hint: error.hint().unwrap_or_default().to_owned(),
        });
        Ok(())
    }

    /// The error for a package that neither the media nor any file has; `called` is what its cabinet may be called.
    fn nowhere(&self, package: &ServicingPackage, called: Option<&str>) -> Error {
        let wanted = &package.identity;
        let place = package.source.as_ref().map(|source| format!(", and no file `{source}`")).unwrap_or_default();
        let what =
            format!("the answer file installs `{}`: there is no such package on the media{place}", shown(wanted));
        let called = called.unwrap_or(&wanted.name);
        let other = self.media.package(called).ok().and_then(|package| package.neutral.as_ref());
        let other = other.and_then(|file| Some((file, self.media.identity(file).ok()?)));
        Error::not_found(what).with_hint(match other {
            Some((file, is)) => format!("{} is `{}`: write its identity", file.name(), is.package_id()),
            None => "take it out of the answer file, or give its cabinet as an update".into(),
        })
    }

    /// Installs the package `wanted` of the file at `path`.
    fn install_file(&mut self, wanted: &AssemblyIdentity, path: &Path) -> Result<()> {
        let source = cabinet::open(&self.sources.files, path)?;
        let inside = self.describe(&source)?;
        let Some(package) = inside.iter().find(|inside| is_it(inside, wanted)) else {
            let is: Vec<&str> = inside.iter().map(|inside| &*inside.identity).collect();
            let what = format!("the answer file installs `{}` of it, and it is `{}`", shown(wanted), is.join("`, `"));
            return Err(Error::not_found(what).with_path(path).with_hint("write its identity into the answer file"));
        };
        let kind = package.release_type.to_ascii_lowercase();
        let is_update = ["update", "hotfix", "service pack"].iter().any(|word| kind.contains(word));
        match is_update {
            true => self.answered.install.servicing.push(source),
            false => self.answered.install.cabinets.push(source),
        }
        Ok(())
    }

    fn describe(&self, source: &CabinetSource) -> Result<Vec<UpdateDetails>> {
        describe(source, self.sources.scratch.as_deref())
    }
}

fn is_it(inside: &UpdateDetails, wanted: &AssemblyIdentity) -> bool {
    AssemblyIdentity::from_package_id(&inside.identity).is_some_and(|identity| identity.is_meant_by(wanted))
}

/// An identity for a message: only its name if nothing else is given.
fn shown(identity: &AssemblyIdentity) -> String {
    match identity.public_key_token.is_empty() && identity.architecture == AssemblyArchitecture::Unsaid {
        true => identity.name.clone(),
        false => identity.package_id(),
    }
}

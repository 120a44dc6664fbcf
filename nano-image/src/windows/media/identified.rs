//! Finds packages of the media by the identity in their descriptions.

use std::sync::PoisonError;

use super::{Media, MediaFile, MediaPackage, same};
use crate::error::{Error, Result};
use crate::windows::package::cabinet::summary;
use crate::windows::package::identity::AssemblyIdentity;
use crate::windows::package::mum::Package;

impl Media {
    /// The package with the identity `wanted` in its description, and its cabinet, which is that of a language or the
    /// neutral one. A file called `likely` (without the extension) is opened first. Files that cannot be read are
    /// passed over.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the media have it only in another version or for another
    /// architecture.
    pub fn identified(
        &self,
        wanted: &AssemblyIdentity,
        likely: Option<&str>,
    ) -> Result<Option<(&MediaPackage, &MediaFile)>> {
        let of_package = |package: &MediaPackage| same(&package.name, likely.unwrap_or(&wanted.name));
        let mut packages: Vec<&MediaPackage> = self.packages.iter().collect();
        packages.sort_by_key(|package| !of_package(package));
        let mut other = None;
        for package in packages {
            for file in package.neutral.iter().chain(package.languages.iter().map(|(_, file)| file)) {
                let Ok(identity) = self.identity(file) else { continue };
                if identity.is_meant_by(wanted) {
                    return Ok(Some((package, file)));
                }
                if identity.is_named_by(wanted) {
                    other.get_or_insert(identity);
                }
            }
        }
        match other {
            None => Ok(None),
            Some(has) => {
                let (wanted, has) = (wanted.package_id(), has.package_id());
                let error = Error::not_found(format!("no package `{wanted}`: the media have `{has}`"));
                Err(error.with_path(&self.path).with_hint("write the identity that the media have"))
            }
        }
    }

    /// The identity of the package in a cabinet.
    ///
    /// # Errors
    /// Errors of a cabinet that cannot be understood.
    pub fn identity(&self, file: &MediaFile) -> Result<AssemblyIdentity> {
        Ok(self.description(file)?.identity)
    }

    /// The description in a cabinet of the package for which it was made.
    pub(super) fn description(&self, file: &MediaFile) -> Result<Package> {
        let mut known = self.descriptions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(package) = known.get(file) {
            return Ok(package.clone());
        }
        let summary = summary(&self.cabinet(file)?).map_err(|error| error.with_path(&file.path))?;
        let package = summary.packages.into_iter().next();
        let package = package.ok_or_else(|| Error::corrupt("a cabinet without a package").with_path(&file.path))?;
        known.insert(file.clone(), package.clone());
        Ok(package)
    }
}

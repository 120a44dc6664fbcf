//! Packages: what Windows adds to an image with `dism /add-package`, done offline.
//!
//! Each cabinet is decompressed once ([`payload`], [`cabinet`]); then it is decided what is installed
//! ([`resolve`](resolve())), put into the image ([`apply`](apply())) and noted for the servicing stack
//! ([`record`](record())).

pub mod apply;
pub mod cabinet;
pub mod identity;
pub mod installed;
mod macros;
pub mod manifest;
pub mod mum;
pub mod name;
pub mod payload;
pub mod record;
pub mod resolve;
mod sddl;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod xml;

use std::path::Path;
use std::sync::Arc;

use crate::content::BlobStore;
use crate::error::{Error, Result};
use crate::progress::Observer;
use crate::report::InstallReport;
use crate::tree::FileTree;
use crate::types::FileTime;
use apply::apply;
use installed::Installed;
use payload::Payload;
use record::{Recorded, record};
use resolve::{Given, resolve};

pub use cabinet::CabinetSource;

/// Packages to install.
#[derive(Clone, Debug, Default)]
pub struct Install {
    /// Cabinets of packages and of their languages, in any order.
    pub cabinets: Vec<CabinetSource>,
    /// Updates, which come last.
    pub servicing: Vec<CabinetSource>,
    /// Names of features to turn on.
    pub features: Vec<String>,
}

/// How packages are installed.
#[derive(Clone, Copy, Debug)]
pub struct InstallOptions<'a> {
    /// The image's processor architecture, as component names have it: `amd64`.
    pub architecture: &'a str,
    /// Time of everything that is changed.
    pub time: FileTime,
    /// Folder for what does not fit into memory.
    pub scratch: Option<&'a Path>,
    /// Whether it is an error if something that a package asks for is not done.
    pub strict: bool,
}

/// Installs packages into the image `tree`, whose contents `store` has; afterwards it has the packages' too.
///
/// What is missing is found before the image is touched. After another error the image is of no use.
///
/// # Errors
/// [`Unsatisfied`](crate::ErrorKind::Unsatisfied) names all that is missing, with DISM's codes;
/// [`Unsupported`](crate::ErrorKind::Unsupported) for files that are no packages, or not whole ones, and with
/// [`strict`](InstallOptions::strict) for what is not done; [`Corrupt`](crate::ErrorKind::Corrupt) for broken
/// cabinets, manifests and hives, and for files with another digest than their manifest says;
/// [`NotFound`](crate::ErrorKind::NotFound).
pub fn install(
    tree: &mut FileTree,
    store: &mut Arc<dyn BlobStore>,
    what: &Install,
    options: &InstallOptions<'_>,
    observer: &dyn Observer,
) -> Result<InstallReport> {
    let installed = Installed::read(tree, &**store)?;
    let mut sources = cabinet::unpack(&what.cabinets, options.scratch)?;
    let first_servicing = sources.len();
    sources.extend(cabinet::unpack(&what.servicing, options.scratch)?);
    let (raws, payload) = Payload::read(&sources, store.clone(), options.scratch, observer)?;
    let dictionary = match raws.iter().any(cabinet::Raw::is_compressed) {
        true => installed::dictionary(tree, &**store)?,
        false => Vec::new(),
    };
    let parse = raws.into_iter().zip(&sources).map(|(raw, source)| raw.parse(&source.path, &dictionary));
    let cabinets = parse.collect::<Result<Vec<_>>>()?;
    let given = cabinets.iter().enumerate();
    let given: Vec<Given<'_>> =
        given.map(|(index, cabinet)| Given { cabinet, servicing: index >= first_servicing }).collect();
    let resolution = resolve(&given, &what.features, &installed, options.architecture)?;
    if observer.cancelled() {
        return Err(Error::cancelled());
    }
    let mut report = apply(tree, store, &payload, &resolution, options, observer)?;
    for (done, package) in report.packages.iter_mut().zip(&resolution.packages) {
        done.part_of = package.owner.map(|owner| resolution.packages[owner].identity().package_id());
    }
    report.warnings.extend(resolution.notes.iter().cloned());
    if resolution.packages.is_empty() {
        return Ok(report);
    }
    match record(tree, &**store, &resolution, options.time)? {
        Recorded::Completely => report.packages.iter_mut().for_each(|package| package.tier = 2),
        Recorded::NotAtAll(why) => report.warnings.push(format!(
            "the packages are installed, but not noted in the image's component store, so that its servicing tools do \
             not know of them: {why}"
        )),
    }
    Ok(report)
}

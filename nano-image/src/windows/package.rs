//! Packages: what Windows adds to an image with `dism /add-package`, done offline.
//!
//! The cabinets are opened, however they are packed ([`cabinet`]). Then it is decided what is installed
//! ([`resolve`](resolve())). Its files are made ([`payload`]), put into the image ([`apply`](apply())) and recorded for
//! the servicing stack ([`record`](record())).

pub mod apply;
pub mod architecture;
mod base;
pub mod cabinet;
pub mod contents;
mod describe;
#[cfg(all(test, feature = "internals"))]
mod feature_tests;
mod files;
pub mod identity;
pub mod installed;
mod listing;
mod macros;
pub mod manifest;
pub mod mum;
pub mod name;
mod named;
mod options;
pub mod past;
pub mod payload;
pub mod record;
pub mod resolve;
mod spool;
pub mod state;
mod store;
#[cfg(all(test, feature = "internals"))]
mod testing;
#[cfg(all(test, feature = "internals"))]
pub(super) mod tests;
#[cfg(all(test, feature = "internals"))]
mod update_tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::progress::Observer;
use crate::report::{BuildChange, InstallReport, Tier};
use crate::windows::edit::ImageEdit;
use apply::apply;
use base::Bases;
use cabinet::{Opened, PackageCabinet};
use contents::{Dictionary, PackageSource};
use files::Unpacked;
use installed::Installed;
use options::MEMORY;
use payload::Produced;
use record::{Recorded, record};
use resolve::{Choice, Given, Purpose, Request, Resolution, resolve};
use spool::Spool;

pub use cabinet::CabinetSource;
pub use describe::{Applicability, UpdateDetails, applicability, describe};
pub use listing::{FeatureState, ImageCapability, ImageFeature, ImagePackage, ImageServicing, list};
pub use name::shortened_component;
pub use named::{Named, check_named};
pub use options::{Install, InstallOptions};

/// Installs packages into `image`.
///
/// What is missing is found before the image is touched. After any other error the image must not be used.
///
/// # Errors
/// [`Unsatisfied`](crate::ErrorKind::Unsatisfied) names everything that is missing, with DISM's codes;
/// [`Unsupported`](crate::ErrorKind::Unsupported) for files that are not packages or are incomplete, and with
/// [`strict`](InstallOptions::strict) for what is not done; [`Corrupt`](crate::ErrorKind::Corrupt) for damaged
/// cabinets, manifests and hives, and for files that do not have the digest of their manifest;
/// [`NotFound`](crate::ErrorKind::NotFound).
pub fn install(
    image: &mut ImageEdit<'_>,
    what: &Install,
    options: &InstallOptions<'_>,
    observer: &dyn Observer,
) -> Result<InstallReport> {
    let before = if what.servicing.is_empty() { None } else { installed::build(image)? };
    let spool = Arc::new(Spool::new(options.scratch, MEMORY));
    let cabinets = open(what, &spool, observer)?;
    let is_stack = |(cabinet, purpose): &(Opened, Purpose)| *purpose == Purpose::Update && cabinet.contents.is_stack();
    let (first, then): (Vec<_>, Vec<_>) = match cabinets.iter().any(is_stack) {
        // What follows a new servicing stack is read with that stack.
        true => cabinets.into_iter().partition(|one| one.1 != Purpose::Update || is_stack(one)),
        false => (cabinets, Vec::new()),
    };
    let stage = Stage { options, spool, observer };
    let mut report = stage.install(image, first, Choice { on: &what.features, off: &what.off })?;
    if !then.is_empty() {
        let more = stage.install(image, then, Choice::default())?;
        report.packages.extend(more.packages);
        report.warnings.extend(more.warnings);
    }
    if let Some(before) = before
        && let Some(after) = installed::build(image)?
    {
        report.build = Some(BuildChange { before, after });
    }
    Ok(report)
}

/// Opens all cabinets, several at a time: those of packages in the given order; then those of updates in the order of
/// their names, so that the image does not depend on the given order; last those that are only searched. Each is
/// returned with its purpose.
fn open(what: &Install, spool: &Arc<Spool>, observer: &dyn Observer) -> Result<Vec<(Opened, Purpose)>> {
    let sources = if what.features.is_empty() { &[] } else { &what.sources[..] };
    let mut cabinets: Vec<(Unpacked, Purpose)> = Vec::new();
    for (sources, purpose) in
        [(&what.cabinets[..], Purpose::Package), (&what.servicing, Purpose::Update), (sources, Purpose::Source)]
    {
        cabinets.extend(cabinet::unpack(sources, &what.files, spool)?.into_iter().map(|cabinet| (cabinet, purpose)));
    }
    let purposes: Vec<Purpose> = cabinets.iter().map(|(_, purpose)| *purpose).collect();
    let waiting: Vec<_> = cabinets.into_iter().map(|cabinet| Mutex::new((Some(cabinet), None))).collect();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(waiting.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(one) = waiting.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut one = one.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some((cabinet, purpose)) = one.0.take().filter(|_| !observer.cancelled()) {
                        one.1 = Some(Opened::read(cabinet, spool.clone(), purpose == Purpose::Package));
                    }
                }
            });
        }
    });
    let mut opened = Vec::new();
    for (one, purpose) in waiting.into_iter().zip(purposes) {
        let result = one.into_inner().unwrap_or_else(PoisonError::into_inner).1;
        opened.push((result.unwrap_or_else(|| Err(Error::cancelled()))?, purpose));
    }
    let first = opened.iter().filter(|(_, purpose)| *purpose == Purpose::Package).count();
    opened[first..].sort_by_key(|(cabinet, purpose)| (*purpose == Purpose::Source, cabinet.id()));
    Ok(opened)
}

/// What is installed in one go, and what the image has before.
struct Stage<'a> {
    options: &'a InstallOptions<'a>,
    spool: Arc<Spool>,
    observer: &'a dyn Observer,
}

impl Stage<'_> {
    fn install(
        &self,
        image: &mut ImageEdit<'_>,
        cabinets: Vec<(Opened, Purpose)>,
        features: Choice<'_>,
    ) -> Result<InstallReport> {
        let (resolution, files) = self.prepare(image, cabinets, features)?;
        let payload = files.add_to(&mut image.blobs)?;
        let mut report = apply(image, &payload, &resolution, self.options, self.observer)?;
        for (done, package) in report.packages.iter_mut().zip(&resolution.packages) {
            done.part_of = package.owner.map(|owner| resolution.packages[owner].identity().package_id());
            done.replaced = package.components.iter().filter(|component| component.replaces).count() as u64;
        }
        report.warnings.extend(resolution.notes.iter().cloned());
        report.features = resolution.features.clone();
        if resolution.packages.is_empty() {
            return Ok(report);
        }
        match record(image, &resolution, &mut report.warnings)? {
            Recorded::Completely => report.packages.iter_mut().for_each(|package| package.tier = Tier::Recorded),
            Recorded::Except(why) if self.options.strict => {
                let what = format!("not everything about the packages can be noted for the servicing stack: {why}");
                let hint = "without the strict mode DISM lists the packages as installed all the same";
                return Err(Error::unsupported(what).with_hint(hint));
            }
            Recorded::Except(why) => {
                report.packages.iter_mut().for_each(|package| package.tier = Tier::Recorded);
                report.warnings.push(format!(
                    "what the packages wait for is not noted for the servicing stack: {why}; later updates may be offered \
                     where they do not apply"
                ));
            }
            Recorded::NotAtAll(why) if self.options.strict => {
                let what = format!("the packages cannot be noted in the image's component store: {why}");
                let hint = "without the strict mode they are installed all the same, and DISM does not list them";
                return Err(Error::unsupported(what).with_hint(hint));
            }
            Recorded::NotAtAll(why) => report.warnings.push(format!(
                "the packages are installed, but not noted in the image's component store: DISM will not list them, and \
                 cannot remove or update them: {why}"
            )),
        }
        Ok(report)
    }

    /// Decides what is installed, and makes its files.
    fn prepare(
        &self,
        image: &mut ImageEdit<'_>,
        cabinets: Vec<(Opened, Purpose)>,
        features: Choice<'_>,
    ) -> Result<(Resolution, Produced)> {
        let installed = Installed::read(image)?;
        let image = &*image;
        let dictionary = Dictionary::new(|| installed::dictionary(image));
        let purposes: Vec<Purpose> = cabinets.iter().map(|(_, purpose)| *purpose).collect();
        let cabinets: Vec<PackageCabinet<'_>> =
            cabinets.into_iter().map(|(opened, _)| PackageCabinet::new(opened, &dictionary)).collect();
        let given = cabinets.iter().zip(purposes);
        let given: Vec<Given<'_>> = given.map(|(cabinet, purpose)| Given { cabinet, purpose }).collect();
        let store = match features.on {
            [] => None,
            _ => Some(PackageSource::new(store::contents(image, self.spool.clone())?, &dictionary)),
        };
        let (installed, architecture) = (&installed, self.options.architecture);
        let mut resolution =
            resolve(&Request { given: &given, store: store.as_ref(), features, installed, architecture })?;
        resolution.past = past::read(image, installed, &resolution, &dictionary, architecture)?;
        if self.observer.cancelled() {
            return Err(Error::cancelled());
        }
        let bases = Bases::new(image.tree, &image.blobs);
        let sources: Vec<&PackageSource<'_>> = cabinets.iter().map(|cabinet| &cabinet.source).chain(&store).collect();
        let files = Produced::make(&sources, &resolution, &bases, self.observer)?;
        Ok((resolution, files))
    }
}

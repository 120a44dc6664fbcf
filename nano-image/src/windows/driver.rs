//! Adds drivers to an image, as DISM's `/Add-Driver` does: INF files with their files and catalogs.
//!
//! Every driver goes into the driver store and gets a name `oemN.inf`, and the database of drivers learns which devices
//! it is for. Windows installs most drivers when it finds a device. What it needs before that, it must have: the files of
//! boot-critical drivers go where the INF file wants them, their services and settings into the registry, and what the
//! INF file says of devices into the database. So the boot loader and the kernel find a storage driver at the first
//! start; without it Windows stops with 0x7B. What these drivers need of Windows' own INF files is taken from the image.
//! What only Windows can do (co-installers, declarative filters, interfaces) is reported by name.
//!
//! Sources: the INF pages on learn.microsoft.com; for `DriverDatabase`, the manifests of drivers that come with
//! Windows, and the keys that virt-v2v and distrobuilder write for virtio drivers.

mod add_reg;
mod database;
mod edit_key;
mod files;
mod image;
mod inf;
mod install;
mod models;
mod package;
mod place;
mod reader;
mod section;
mod service;
mod target;
mod tree;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::content::InputFiles;
use crate::error::{Error, Result};
use crate::progress::Observer;
use crate::report::DriverReport;
use crate::types::Architecture;
use crate::windows::edit::ImageEdit;
use install::Installer;
use package::Package;
use target::Target;

/// The image that gets drivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverOptions {
    /// Its processor.
    pub architecture: Architecture,
    /// Major, minor and build number of its Windows; `None` is Windows Server 2016.
    pub version: Option<(u32, u32, u32)>,
    /// Whether its Windows is no server.
    pub is_client: bool,
    /// Treat all drivers as needed to start Windows, not only those whose class or INF file says so.
    pub boot_critical: bool,
}

/// Drivers that are read and checked.
pub struct Prepared {
    packages: Vec<Package>,
    /// Reports of what is not added.
    skipped: Vec<DriverReport>,
    /// The ISO images among what was named.
    images: Vec<PathBuf>,
    target: Target,
    /// What the user should know, a sentence each.
    pub warnings: Vec<String>,
}

/// Reads all INF files and the files that they name.
///
/// Drivers are INF files, folders and ISO images. Of a folder that has folders for versions of Windows and processors, as virtio-win has, those for the image are taken.
/// An INF file that is for other processors or versions of Windows is an error if it was named itself; in a folder it
/// is passed over, as long as there is another one to add.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) with the line of the INF file, [`NotFound`](crate::ErrorKind::NotFound) for
/// missing files, [`Unsupported`](crate::ErrorKind::Unsupported) for drivers that the image cannot use,
/// [`Recipe`](crate::ErrorKind::Recipe) if two drivers bring different files of one name.
pub fn prepare(
    drivers: &[PathBuf],
    from: &InputFiles,
    options: &DriverOptions,
    observer: &dyn Observer,
) -> Result<Prepared> {
    let (from, images) = image::with_images(drivers, from)?;
    let target = Target::new(options.architecture, options.version)?.client(options.is_client);
    let mut warnings = Vec::new();
    let (mut packages, mut skipped) = (Vec::<Package>::new(), Vec::new());
    let mut open = VecDeque::from(files::find_infs(drivers, &from, &target, &mut warnings)?);
    let mut found: BTreeSet<PathBuf> = open.iter().map(|(path, _)| path.clone()).collect();
    while let Some((path, name)) = open.pop_front() {
        if observer.cancelled() {
            return Err(Error::cancelled());
        }
        let bytes = from.read(&path, inf::MAX_LEN, "an INF file")?;
        match Package::read(&path, &from, bytes, &target, options.boot_critical)
            .map_err(|error| error.with_path(&path))?
        {
            // The same driver, found in two places.
            Ok(package) if packages.iter().any(|known| known.label == package.label) => {}
            Ok(mut package) => {
                for companion in std::mem::take(&mut package.companions) {
                    match files::beside(&from, &path, &companion)? {
                        Some(other) if found.contains(&other) => {}
                        Some(other) => {
                            found.insert(other.clone());
                            open.push_back((other, Some(companion)));
                        }
                        None => warnings.push(format!(
                            "{}: CopyINF {companion}: there is no such file beside the INF file",
                            package.name
                        )),
                    }
                }
                packages.push(package);
            }
            Err(why) => match name {
                Some(inf) => skipped.push(DriverReport { inf, not_applied: vec![why], ..DriverReport::default() }),
                None => {
                    return Err(Error::unsupported(format!("the driver cannot be added: {why}"))
                        .with_path(&path)
                        .with_hint(format!("get the driver for {target}")));
                }
            },
        }
    }
    if packages.is_empty()
        && let Some(first) = skipped.first()
    {
        let count = skipped.len();
        let what = format!("none of the {count} INF files can be used; {}: {}", first.inf, first.not_applied[0]);
        let error = Error::unsupported(what).with_hint(format!("get the drivers for {target}"));
        return Err(if let Some(path) = drivers.first() { error.with_path(path) } else { error });
    }
    // Not by the folders that they are in, so that these do not decide the names in the image.
    packages.sort_by(|a, b| a.label.cmp(&b.label));
    check_conflicts(&packages)?;
    Ok(Prepared { packages, skipped, images, target, warnings })
}

impl Prepared {
    /// What decides the bytes of the image: a digest of all drivers; empty without any.
    pub fn identity(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        for package in &self.packages {
            hash.update(&package.label);
            hash.update([0, u8::from(package.boot_critical)]);
        }
        if self.packages.is_empty() { Vec::new() } else { hash.finalize().to_vec() }
    }

    /// Paths of the files that the drivers consist of, or of the ISO images that these are in.
    pub fn sources(&self) -> impl Iterator<Item = &Path> {
        let files = self.packages.iter().flat_map(|package| package.files.files.iter().map(|source| &*source.source));
        let is_outside = |path: &&Path| !self.images.iter().any(|image| path.starts_with(image));
        files.filter(is_outside).chain(self.images.iter().map(PathBuf::as_path))
    }

    /// Adds the drivers to `image`.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the image has no SYSTEM hive,
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for hives, [`Recipe`](crate::ErrorKind::Recipe) if a directory is in the
    /// way of a file.
    pub fn apply(self, image: &mut ImageEdit<'_>) -> Result<Vec<DriverReport>> {
        if self.packages.is_empty() {
            return Ok(self.skipped);
        }
        let mut installer = Installer::new(image)?;
        let mut reports = Vec::new();
        for package in self.packages {
            reports.push(installer.install(package, &self.target)?);
        }
        reports.extend(self.skipped);
        Ok(reports)
    }
}

/// Two drivers that bring different files for one place would be mixed.
fn check_conflicts(packages: &[Package]) -> Result<()> {
    let mut places = BTreeMap::new();
    for package in packages {
        for (index, destination) in package.placed() {
            let digest = package.files.files[*index].file.digest();
            let (other, other_digest) = places.entry(destination.to_lowercase()).or_insert((package, digest));
            if *other_digest != digest {
                let what = format!("two drivers bring different files for {destination}");
                return Err(Error::recipe(format!("{what}: {} too", other.path.display()))
                    .with_path(&package.path)
                    .with_hint("name the folder of one version of the driver, not that of all versions"));
            }
        }
    }
    Ok(())
}

/// What an INF file says, for fuzzing.
#[cfg(feature = "internals")]
pub fn read_inf(bytes: &[u8]) -> Result<String> {
    inf::Inf::parse(bytes).map(|inf| format!("{inf:?}"))
}

#[cfg(test)]
pub(super) mod tests;

//! Adds drivers to an image, like DISM's `/Add-Driver`: INF files with their files and catalogs.
//!
//! Every driver goes into the driver store and gets a name `oemN.inf`; the driver database records its devices. Windows
//! installs most drivers when it finds a device. Boot-critical drivers must be installed before: their files go where
//! the INF file says, their services and settings into the registry, and their device settings into the database. So
//! the boot loader and the kernel find a storage driver at the first start; without it Windows stops with 0x7B. Parts
//! of Windows' own INF files that these drivers need are read from the image. What only Windows can do (co-installers,
//! declarative filters, interfaces) is reported by name.
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

/// Facts about the image that gets drivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverOptions {
    /// Its architecture.
    pub architecture: Architecture,
    /// Major, minor and build number of its Windows; `None` means Windows Server 2016.
    pub version: Option<(u32, u32, u32)>,
    /// Whether its Windows is not a server.
    pub is_client: bool,
    /// Treat all drivers as needed to start Windows, not only those whose class or INF file says so.
    pub boot_critical: bool,
}

/// Drivers that have been read and checked.
pub struct Prepared {
    packages: Vec<Package>,
    /// Reports about drivers that are not added.
    skipped: Vec<DriverReport>,
    /// The ISO images among the given drivers.
    images: Vec<PathBuf>,
    target: Target,
    /// What the user should know, one sentence each.
    pub warnings: Vec<String>,
}

/// Reads all INF files and the files that they name.
///
/// Drivers are INF files, folders and ISO images. If a folder has subfolders for versions of Windows and processors,
/// like virtio-win, those for the image are used. An INF file for other processors or versions of Windows is an error
/// if it was named itself; in a folder it is passed over, as long as there is another one to add.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) with the line of the INF file, [`NotFound`](crate::ErrorKind::NotFound) for
/// missing files, [`Unsupported`](crate::ErrorKind::Unsupported) for drivers that the image cannot use,
/// [`Recipe`](crate::ErrorKind::Recipe) if two drivers have different files with the same name.
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
            // The same driver was found in two places.
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
    // Sorted by label and not by folder, so that folders do not decide the names in the image.
    packages.sort_by(|a, b| a.label.cmp(&b.label));
    check_conflicts(&packages)?;
    Ok(Prepared { packages, skipped, images, target, warnings })
}

impl Prepared {
    /// What decides the bytes of the image: a digest of all drivers; empty without drivers.
    pub fn identity(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        for package in &self.packages {
            hash.update(&package.label);
            hash.update([0, u8::from(package.boot_critical)]);
        }
        if self.packages.is_empty() { Vec::new() } else { hash.finalize().to_vec() }
    }

    /// Paths of the drivers' files, or of the ISO images that contain them.
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

/// Refuses two drivers with different files for one place: the drivers would be mixed.
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

/// The contents of an INF file; for fuzzing.
#[cfg(feature = "internals")]
pub fn read_inf(bytes: &[u8]) -> Result<String> {
    inf::Inf::parse(bytes).map(|inf| format!("{inf:?}"))
}

#[cfg(test)]
pub(super) mod tests;

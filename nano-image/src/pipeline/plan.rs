//! What the disk contains.

use std::path::PathBuf;
use std::sync::Arc;

use super::recipe::Recipe;
use super::scheme::Scheme;
use crate::content::{BlobStore, UsedFile};
use crate::identity::{Identity, Seed};
use crate::report::{BuildChange, CompactReport, DriverReport, InstalledPackage};
use crate::source::wim::ImageInfo;
use crate::tree::FileTree;
use crate::types::FileTime;
use crate::windows::boot::BootFile;

/// What the disk contains: files, partitions and identifiers, without addresses of data.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// let sources = nano_image::Sources::wim("nano.wim");
/// let plan = nano_image::Recipe::image("1").build()?.plan(&sources, &())?;
/// println!("{}, disk {}, seed {}", plan.image().name, plan.disk_id(), plan.seed());
/// # Ok(())
/// # }
/// ```
pub struct Plan {
    pub(super) recipe: Recipe,
    pub(super) image: ImageInfo,
    pub(super) tree: Arc<FileTree>,
    /// Files of the partition of the recovery environment.
    pub(super) recovery: Option<Arc<FileTree>>,
    pub(super) store: Arc<dyn BlobStore>,
    /// Files of the EFI system partition.
    pub(super) boot_files: Vec<BootFile>,
    pub(super) scheme: Scheme,
    pub(super) identity: Identity,
    pub(super) time: FileTime,
    /// How much is compressed, if the recipe asks for it.
    pub(super) compact: Option<CompactReport>,
    pub(super) wim_files: Vec<PathBuf>,
    pub(super) disk_files: Vec<PathBuf>,
    pub(super) cabinets: Vec<PathBuf>,
    pub(super) inputs: Vec<UsedFile>,
    pub(super) packages: Vec<InstalledPackage>,
    pub(super) build: Option<BuildChange>,
    pub(super) drivers: Vec<DriverReport>,
    pub(super) notes: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Plan {
    /// The recipe that this plan was made from.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// What the WIM says about the image.
    pub fn image(&self) -> &ImageInfo {
        &self.image
    }

    /// The time of what the build makes.
    pub fn time(&self) -> FileTime {
        self.time
    }

    /// The disk's GUID (GPT) or signature (MBR), as in the report.
    pub fn disk_id(&self) -> String {
        self.scheme.disk_id()
    }

    /// What the identifiers of the image are derived from.
    pub fn seed(&self) -> &Seed {
        &self.identity.disk
    }

    /// The WIM that has the image, with all parts. If it is inside an ISO image, its path begins with the ISO image's.
    pub fn wim_files(&self) -> &[PathBuf] {
        &self.wim_files
    }

    /// The disk image that is the source, with the images that it is based on; empty if the source is a WIM.
    pub fn disk_files(&self) -> &[PathBuf] {
        &self.disk_files
    }

    /// The cabinets that are installed, except servicing packages: those of the media (if they are inside an ISO image,
    /// their paths begin with its path), and those of the answer file.
    pub fn cabinets(&self) -> &[PathBuf] {
        &self.cabinets
    }

    /// The Windows packages on the volume, sorted: the names of their descriptions (`.mum`) in
    /// `Windows\servicing\Packages`, which are their identities (`Name~token~architecture~language~version`).
    pub fn packages(&self) -> Vec<String> {
        let folder = self.tree.find(r"Windows\servicing\Packages");
        let names = folder.into_iter().flat_map(|folder| self.tree[folder].children.iter().flatten());
        let identity = |name: String| {
            let (stem, extension) = name.rsplit_once('.')?;
            extension.eq_ignore_ascii_case("mum").then(|| stem.to_owned())
        };
        let mut packages: Vec<String> = names.filter_map(|(name, _)| identity(name.to_string())).collect();
        packages.sort();
        packages
    }
}

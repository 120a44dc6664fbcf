//! What the disk contains.

use std::path::PathBuf;
use std::sync::Arc;

use super::base::Base;
use super::packages::Packages;
use super::recipe::{BcdDevice, Firmware, Recipe};
use super::scheme::Scheme;
use super::seed::{self, Decisive, Inputs};
use super::sources::Sources;
use super::{compact, drivers};
use crate::content::{BlobStore, Overlay, UsedFile};
use crate::error::{Error, Result};
use crate::identity::{Identity, Seed};
use crate::progress::{Observer, Phase};
use crate::report::{BuildChange, CompactReport, DriverReport, InstallReport, InstalledPackage};
use crate::source::wim::{Architecture, ImageInfo};
use crate::tree::FileTree;
use crate::types::FileTime;
use crate::volume::ntfs;
use crate::windows::boot::{self, BootFile, BootOptions, BootSettings};
use crate::windows::compact::Compact;
use crate::windows::configure::Prepared as Machine;
use crate::windows::disk_source;
use crate::windows::driver::Prepared as Drivers;
use crate::windows::edit::ImageEdit;
use crate::windows::media::Media;
use crate::windows::package::InstallOptions;
use crate::windows::recovery;

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
    /// What is compressed, if anything is asked to be.
    pub(super) compact: Option<CompactReport>,
    wim_files: Vec<PathBuf>,
    disk_files: Vec<PathBuf>,
    cabinets: Vec<PathBuf>,
    pub(super) inputs: Vec<UsedFile>,
    pub(super) packages: Vec<InstalledPackage>,
    pub(super) build: Option<BuildChange>,
    pub(super) drivers: Vec<DriverReport>,
    pub(super) notes: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Recipe {
    /// Opens the sources, reads the image's metadata, and decides what the disk contains.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the image or its boot files are missing,
    /// [`Corrupt`](crate::ErrorKind::Corrupt) and [`Unsupported`](crate::ErrorKind::Unsupported) for what the sources
    /// hold, [`TooSmall`](crate::ErrorKind::TooSmall) if the partitions do not fit the disk.
    pub fn plan(&self, sources: &Sources, observer: &dyn Observer) -> Result<Plan> {
        observer.begin(Phase::Read, None);
        // What the recipe says is checked before anything is read.
        ntfs::check_cluster_size(Scheme::new(self, &Seed::from_bytes([0; 32]))?.windows().1, self.cluster_size())?;
        let (mut opened, additions) = Opened::new(self, sources, observer)?;
        let inputs = opened.used_files(self, sources, &additions);
        let (mut tree, warnings) = opened.base.read()?;
        if observer.cancelled() {
            return Err(Error::cancelled());
        }
        observer.begin(Phase::Plan, None);
        let derived = seed::derive(self, &opened.inputs(&additions)?);
        let seed = self.seed().unwrap_or(derived);
        let scheme = Scheme::new(self, &seed)?;

        let edit = ImageEdit::new(&mut tree, opened.base.store(), opened.time);
        let mut draft = Draft::new(self, sources, &opened, edit, warnings);
        draft.leave_disk()?;
        // Packages first: what the recipe says of the machine has the last word in hives and files.
        let InstallReport { packages, build, .. } = draft.install_packages(observer)?;
        let secrets = additions.machine.secrets();
        draft.prepare_for_host()?;
        let notes = draft.configure_machine(additions.machine)?;
        let drivers = draft.add_drivers(additions.drivers)?;
        let place = scheme.recovery_place(&seed);
        let recovery = place.map(|(_, place)| recovery::take(&mut draft.edit, &place)).transpose()?;
        let boot_files = draft.add_boot_files(&scheme, seed)?;
        let (mut blobs, mut warnings) = (draft.edit.finish()?, draft.warnings);
        let compact = opened.compress(self.compact(), &mut tree, &mut blobs, sources, observer)?;
        warnings.extend(compact.and_then(|report| nothing_compressed(self.compact(), &report)));

        let decisive = Decisive { time: opened.time, windows: &opened.windows(), secrets, tree: &tree };
        Ok(Plan {
            recipe: self.clone(),
            identity: seed::identity(seed, derived, &decisive),
            tree: Arc::new(tree),
            recovery: recovery.map(Arc::new),
            store: Arc::new(blobs),
            boot_files,
            scheme,
            time: opened.time,
            compact,
            wim_files: opened.base.wim_files(),
            disk_files: opened.base.disk_files(),
            cabinets: opened.packages.install.cabinets.iter().map(|cabinet| cabinet.path.clone()).collect(),
            inputs,
            packages,
            build,
            drivers,
            notes,
            warnings,
            image: opened.info,
        })
    }
}

impl Plan {
    /// What the WIM says of the image.
    pub fn image(&self) -> &ImageInfo {
        &self.image
    }

    /// The time of what the build makes.
    pub fn time(&self) -> FileTime {
        self.time
    }

    /// The disk's GUID (GPT) or signature (MBR), as the report has it.
    pub fn disk_id(&self) -> String {
        self.scheme.disk_id()
    }

    /// Where the identifiers of the image come from.
    pub fn seed(&self) -> &Seed {
        &self.identity.disk
    }

    /// The WIM that has the image, with its parts. Inside an ISO image its path begins with that of the ISO image.
    pub fn wim_files(&self) -> &[PathBuf] {
        &self.wim_files
    }

    /// The disk image that is the source, with those that it builds on; none if a WIM is.
    pub fn disk_files(&self) -> &[PathBuf] {
        &self.disk_files
    }

    /// The cabinets that are installed, but for servicing packages: of the media (inside an ISO image, their paths begin
    /// with its), and of the answer file.
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

/// What recipe and sources name, found, read and checked.
struct Opened {
    media: Media,
    base: Base,
    info: ImageInfo,
    packages: Packages,
    /// The time of what the build makes.
    time: FileTime,
    warnings: Vec<String>,
}

/// What goes into the image beside packages.
struct Additions {
    machine: Machine,
    drivers: Option<Drivers>,
}

impl Opened {
    fn new(recipe: &Recipe, sources: &Sources, observer: &dyn Observer) -> Result<(Self, Additions)> {
        let media = sources.open()?;
        let mut warnings = Vec::new();
        let base = Base::open(recipe, sources, &media, observer, &mut warnings)?;
        let info = base.info();
        // What the recipe names is checked before the image, which takes longer.
        let architecture = info.architecture.unwrap_or(Architecture::Amd64).to_string();
        let mut machine = recipe.machine().prepare(recipe.administrator_password.as_ref(), &architecture)?;
        let packages = Packages::find(recipe, sources, &media, &info, machine.take_packages())?;
        let time = recipe.time(info.creation_time);
        let drivers = drivers::prepare(&sources.drivers, &info, observer)?;
        Ok((Self { media, base, info, packages, time, warnings }, Additions { machine, drivers }))
    }

    fn inputs(&self, additions: &Additions) -> Result<Inputs> {
        Ok(Inputs {
            image: self.base.digest()?,
            files: additions.machine.identity().to_vec(),
            packages: self.packages.identity()?,
            drivers: additions.drivers.as_ref().map(Drivers::identity).unwrap_or_default(),
        })
    }

    /// Everything that is read.
    fn used_files(&self, recipe: &Recipe, sources: &Sources, additions: &Additions) -> Vec<UsedFile> {
        let mut used = sources.inputs(recipe.machine());
        used.extend(self.base.used_files());
        let cabinets = self.packages.install.cabinets.iter();
        used.extend(cabinets.map(|cabinet| UsedFile::new("a package", &cabinet.path)));
        let drivers = additions.drivers.iter().flat_map(Drivers::sources);
        used.extend(drivers.map(|path| UsedFile::new("a file of a driver", path)));
        used
    }

    /// In the words of component names: `amd64`.
    fn architecture(&self) -> String {
        self.info.architecture.unwrap_or(Architecture::Amd64).to_string()
    }

    /// What of the image's description decides bytes.
    fn windows(&self) -> String {
        let build = self.info.version.map(|version| version.build.to_string()).unwrap_or_default();
        let language = self.info.default_language.as_deref().unwrap_or_default();
        format!("{} {build} {language}", self.architecture())
    }

    /// Compresses what `choice` wants, once all else is in `tree`.
    fn compress(
        &self,
        choice: Option<Compact>,
        tree: &mut FileTree,
        blobs: &mut Overlay,
        sources: &Sources,
        observer: &dyn Observer,
    ) -> Result<Option<CompactReport>> {
        let apply = |choice| compact::apply(tree, blobs, choice, &self.info, self.base.path(), sources, observer);
        choice.map(apply).transpose()
    }
}

/// What the user should know if files were to be copied in compressed form and none was.
fn nothing_compressed(choice: Option<Compact>, report: &CompactReport) -> Option<String> {
    let message = "no file is compressed: the source has none in a form that Windows reads from a disk";
    let is_nothing = choice == Some(Compact::Copy) && report.files == 0;
    is_nothing.then(|| format!("{message} (LZX in chunks of 32 KiB, XPRESS in chunks of 4, 8 or 16 KiB)"))
}

/// The volume in the making.
struct Draft<'a> {
    recipe: &'a Recipe,
    sources: &'a Sources,
    opened: &'a Opened,
    edit: ImageEdit<'a>,
    warnings: Vec<String>,
}

impl<'a> Draft<'a> {
    fn new(
        recipe: &'a Recipe,
        sources: &'a Sources,
        opened: &'a Opened,
        edit: ImageEdit<'a>,
        of_image: Vec<String>,
    ) -> Self {
        let warnings = [&opened.warnings[..], &of_image, &opened.packages.warnings].concat();
        Self { recipe, sources, opened, edit, warnings }
    }

    /// Takes from the Windows of a disk what binds it to that disk.
    fn leave_disk(&mut self) -> Result<()> {
        let Some(disk) = self.opened.base.disk() else { return Ok(()) };
        disk_source::forget_disk(&mut self.edit)?;
        let compact = disk.compact_files();
        if compact > 0 && self.recipe.compact().is_none() {
            self.warnings
                .push(format!("{compact} compressed files of the disk are decompressed: --compact keeps them"));
        }
        Ok(())
    }

    fn install_packages(&mut self, observer: &dyn Observer) -> Result<InstallReport> {
        let Opened { packages, media, .. } = self.opened;
        let options = InstallOptions {
            architecture: &self.opened.architecture(),
            scratch: self.sources.scratch.as_deref(),
            strict: self.recipe.strict(),
        };
        packages.install(&mut self.edit, &options, media, observer, &mut self.warnings)
    }

    fn configure_machine(&mut self, machine: Machine) -> Result<Vec<String>> {
        let applied = machine.apply(&mut self.edit)?;
        self.warnings.extend(applied.warnings);
        self.warnings.extend(self.recipe.host().and_then(|host| host.doubts(self.edit.tree)));
        Ok(applied.notes)
    }

    /// Before the machine is configured, so that what the recipe says has the last word.
    fn prepare_for_host(&mut self) -> Result<()> {
        self.recipe.host().map_or(Ok(()), |host| host.prepare(&mut self.edit, &mut self.warnings))
    }

    fn add_drivers(&mut self, drivers: Option<Drivers>) -> Result<Vec<DriverReport>> {
        let Some(drivers) = drivers else { return Ok(Vec::new()) };
        self.warnings.extend(drivers.warnings.iter().cloned());
        let added = drivers.apply(&mut self.edit)?;
        self.warnings.extend(drivers::warnings(&added, self.recipe.strict())?);
        Ok(added)
    }

    /// Puts the boot files into the volume of a BIOS disk; returns those for the EFI system partition.
    fn add_boot_files(&mut self, scheme: &Scheme, seed: Seed) -> Result<Vec<BootFile>> {
        let settings = self.recipe.all_boot_settings();
        let options = BootOptions {
            firmware: self.recipe.firmware().into(),
            device: match self.recipe.bcd_device() {
                BcdDevice::Partition => boot::BcdDevice::Partition(scheme.ids()),
                BcdDevice::Locate => boot::BcdDevice::Locate,
            },
            recovery: scheme.recovery_place(&seed).map(|(device, _)| device),
            locale: self.opened.info.default_language.clone(),
            description: None,
            settings: settings.clone(),
            seed,
            time: self.opened.time,
            jobs: 1,
        };
        let mut boot =
            boot::plan(&mut self.edit, &options).map_err(|error| error.with_path(self.opened.base.path()))?;
        self.warnings.append(&mut boot.warnings);
        if settings != BootSettings::default() {
            boot::edit_template(&mut self.edit, &settings)?;
        }
        if self.recipe.firmware() == Firmware::Bios {
            boot.add_to(self.edit.tree)?;
        }
        Ok(boot.files)
    }
}

//! What all machines of a recipe have in common, and the plan of one machine.

use std::sync::{Arc, OnceLock};

use super::base::Base;
use super::packages::Packages;
use super::plan::Plan;
use super::recipe::{BcdDevice, Firmware, Recipe};
use super::scheme::Scheme;
use super::seed::{self, Decisive, Inputs};
use super::sources::Sources;
use super::{answered, compact, drivers};
use crate::content::{InputFiles, Overlay, UsedFile};
use crate::error::{Error, Result};
use crate::identity::Seed;
use crate::progress::{Observer, Phase};
use crate::report::{BuildChange, CompactReport, DriverReport, InstalledPackage};
use crate::source::wim::{Architecture, ImageInfo};
use crate::tree::FileTree;
use crate::types::FileTime;
use crate::volume::ntfs;
use crate::windows::answer::Manifests;
use crate::windows::boot::{self, BootOptions, BootSettings, Collected};
use crate::windows::compact::Compact;
use crate::windows::configure::{Prepared as Machine, Servicing};
use crate::windows::disk_source;
use crate::windows::driver::Prepared as Drivers;
use crate::windows::edit::{ImageEdit, Registry};
use crate::windows::media::Media;
use crate::windows::package::InstallOptions;
use crate::windows::recovery;

/// The image with its packages and drivers, before it becomes a certain machine.
#[derive(Clone)]
pub(super) struct Shared {
    opened: Arc<Opened>,
    sources: Sources,
    tree: FileTree,
    blobs: Overlay,
    registry: Registry,
    inputs: Inputs,
    used: Vec<UsedFile>,
    /// The packages and drivers that the answer file wants.
    servicing: Servicing,
    packages: Vec<InstalledPackage>,
    build: Option<BuildChange>,
    drivers: Vec<DriverReport>,
    notes: Vec<String>,
    warnings: Vec<String>,
    /// The boot files, once they have been read.
    boot: Option<Collected>,
    /// The manifests of the image, once an answer file has needed them.
    manifests: Arc<OnceLock<Manifests>>,
}

impl Shared {
    /// Reads what `recipe` and `sources` name, and does everything that does not depend on the machine.
    pub fn new(recipe: &Recipe, sources: &Sources, observer: &dyn Observer) -> Result<(Self, Machine)> {
        observer.begin(Phase::Read, None);
        // The recipe is checked before anything is read.
        let scheme = Scheme::new(recipe, &Seed::from_bytes([0; 32]))?;
        ntfs::check_cluster_size(scheme.windows().1, recipe.cluster_size())?;
        let (mut opened, additions) = Opened::new(recipe, sources, observer)?;
        let (inputs, used) = (opened.inputs(&additions)?, opened.used_files(&additions, &sources.files));
        let Additions { machine, servicing, drivers } = additions;
        let (mut tree, of_image) = opened.base.read()?;
        if observer.cancelled() {
            return Err(Error::cancelled());
        }
        observer.begin(Phase::Plan, None);
        let mut warnings = [&opened.warnings[..], &of_image, &opened.packages.warnings].concat();
        let mut notes = Vec::new();
        let mut edit = ImageEdit::new(&mut tree, opened.base.store(), opened.time);
        if let Some(disk) = opened.base.disk() {
            // What ties the Windows of a disk to that disk.
            notes.push(disk_source::forget_disk(&mut edit)?);
            let compact = disk.compact_files();
            if compact > 0 && recipe.compact().is_none() {
                warnings.push(format!("{compact} compressed files of the disk are decompressed: --compact keeps them"));
            }
        }
        let options = InstallOptions {
            architecture: opened.architecture(),
            scratch: sources.scratch.as_deref(),
            strict: recipe.strict(),
        };
        let installed = opened.packages.install(&mut edit, &options, &opened.media, observer, &mut warnings)?;
        // Before drivers and machine, which may overrule it.
        recipe.host().map_or(Ok(()), |host| host.prepare(&mut edit, &mut warnings))?;
        let drivers = match drivers {
            Some(drivers) => {
                warnings.extend(drivers.warnings.iter().cloned());
                let added = drivers.apply(&mut edit)?;
                warnings.extend(drivers::warnings(&added, recipe.strict())?);
                added
            }
            None => Vec::new(),
        };
        edit.reserve()?;
        // The hives are written back here; a machine that edits some writes them back again.
        edit.put_back()?;
        let (mut blobs, registry) = edit.suspend();
        opened.compress(recipe.compact(), &mut tree, &mut blobs, sources, observer)?;
        tree.settle(blobs.next());
        let (packages, build) = (installed.packages, installed.build);
        let (opened, sources, boot) = (Arc::new(opened), sources.clone(), None);
        let shared = Self {
            opened,
            sources,
            tree,
            blobs,
            registry,
            inputs,
            used,
            servicing,
            packages,
            build,
            drivers,
            notes,
            warnings,
            boot,
            manifests: Arc::default(),
        };
        Ok((shared, machine))
    }

    /// Reads what every plan needs from the sources, so that it is read only once.
    pub fn read_ahead(&mut self, recipe: &Recipe) -> Result<()> {
        let scheme = Scheme::new(recipe, &Seed::from_bytes([0; 32]))?;
        let options = self.boot_options(recipe, &scheme, Seed::from_bytes([0; 32]));
        let (blobs, registry) = (self.blobs.clone(), self.registry.clone());
        let mut edit = ImageEdit::resume(&mut self.tree, blobs, self.opened.time, registry);
        self.boot = Some(boot::collect(&edit, &options)?);
        // The template of the boot store is a hive, too.
        boot::plan(&mut edit, &options)?;
        (self.blobs, self.registry) = edit.suspend();
        Ok(())
    }

    /// The image's architecture.
    pub fn architecture(&self) -> Architecture {
        self.opened.architecture()
    }

    /// Where files are found.
    pub fn files(&self) -> &InputFiles {
        &self.sources.files
    }

    /// The packages and drivers that the answer file wants; they are the same for all machines.
    pub fn servicing(&self) -> &Servicing {
        &self.servicing
    }

    /// The seed that `recipe` and `machine`, which was prepared from it, give.
    pub fn seed(&self, recipe: &Recipe, machine: &Machine) -> Seed {
        seed::derive(recipe, &Inputs { files: machine.identity().to_vec(), ..self.inputs.clone() })
    }

    /// The plan of one machine. `recipe` may differ from the shared one only in its machine, from which `machine` was
    /// prepared.
    pub fn plan(mut self, recipe: &Recipe, machine: Machine, observer: &dyn Observer) -> Result<Plan> {
        let derived = self.seed(recipe, &machine);
        let seed = recipe.seed().unwrap_or(derived);
        let scheme = Scheme::new(recipe, &seed)?;
        let (opened, mut warnings) = (self.opened.clone(), std::mem::take(&mut self.warnings));
        let options = self.boot_options(recipe, &scheme, seed);
        // Copied files may be boot files.
        let collected = self.boot.take().filter(|_| recipe.machine().copy.is_empty());
        let secrets = machine.secrets();
        let machine = machine.for_image(&opened.info.installation_type, &opened.info.edition_id);
        let mut edit = ImageEdit::resume(&mut self.tree, self.blobs, opened.time, self.registry);
        let applied = machine.apply_with(&mut edit, &self.manifests)?;
        warnings.extend(applied.warnings);
        warnings.extend(recipe.host().and_then(|host| host.doubts(edit.tree)));
        let place = scheme.recovery_place(&seed);
        let recovery = place.map(|(_, place)| recovery::take(&mut edit, &place)).transpose()?;
        let collected = match collected {
            Some(collected) => collected,
            None => boot::collect(&edit, &options).map_err(|error| error.with_path(opened.base.path()))?,
        };
        let planned = boot::plan_with(collected, &mut edit, &options);
        let mut boot = planned.map_err(|error| error.with_path(opened.base.path()))?;
        warnings.append(&mut boot.warnings);
        if options.settings != BootSettings::default() {
            boot::edit_template(&mut edit, &options.settings)?;
        }
        if recipe.firmware() == Firmware::Bios {
            boot.add_to(edit.tree)?;
        }
        let mut blobs = edit.finish()?;
        let mut tree = self.tree;
        let compact = opened.compress(recipe.compact(), &mut tree, &mut blobs, &self.sources, observer)?;
        warnings.extend(compact.and_then(|report| nothing_compressed(recipe.compact(), &report)));

        let mut inputs = self.sources.inputs(recipe.machine());
        inputs.extend(self.used);
        let decisive = Decisive { time: opened.time, windows: &opened.windows(), secrets, tree: &tree };
        Ok(Plan {
            recipe: recipe.clone(),
            identity: seed::identity(seed, derived, &decisive),
            tree: Arc::new(tree),
            recovery: recovery.map(Arc::new),
            store: Arc::new(blobs),
            boot_files: boot.files,
            scheme,
            time: opened.time,
            compact,
            wim_files: opened.base.wim_files(),
            disk_files: opened.base.disk_files(),
            cabinets: opened.packages.install.cabinets.iter().map(|cabinet| cabinet.path.clone()).collect(),
            inputs,
            packages: self.packages,
            build: self.build,
            drivers: self.drivers,
            notes: [self.notes, applied.notes].concat(),
            warnings,
            image: opened.info.clone(),
        })
    }

    fn boot_options(&self, recipe: &Recipe, scheme: &Scheme, seed: Seed) -> BootOptions {
        BootOptions {
            firmware: recipe.firmware().into(),
            device: match recipe.bcd_device() {
                BcdDevice::Partition => boot::BcdDevice::Partition(scheme.ids()),
                BcdDevice::Locate => boot::BcdDevice::Locate,
            },
            recovery: scheme.recovery_place(&seed).map(|(device, _)| device),
            locale: self.opened.info.default_language.clone(),
            description: None,
            settings: recipe.all_boot_settings(),
            seed,
            time: self.opened.time,
            jobs: 1,
        }
    }
}

/// What recipe and sources name, after it was found, read and checked.
struct Opened {
    media: Media,
    base: Base,
    info: ImageInfo,
    packages: Packages,
    /// The time of what the build makes.
    time: FileTime,
    warnings: Vec<String>,
}

/// What goes into the image in addition to packages.
struct Additions {
    machine: Machine,
    /// The packages and drivers that the answer file wants.
    servicing: Servicing,
    drivers: Option<Drivers>,
}

impl Opened {
    fn new(recipe: &Recipe, sources: &Sources, observer: &dyn Observer) -> Result<(Self, Additions)> {
        let media = sources.open()?;
        let mut warnings = Vec::new();
        let base = Base::open(recipe.choice(), sources, &media, observer, &mut warnings)?;
        let info = base.info();
        // What the recipe names is checked before the image is read, which takes longer.
        let architecture = info.architecture.unwrap_or(Architecture::Amd64);
        let password = recipe.administrator_password.as_ref();
        let mut machine = recipe.machine().prepare_from(&sources.files, password, architecture)?;
        let servicing = machine.take_servicing();
        let packages = Packages::find(recipe, sources, &media, &info, &servicing)?;
        let time = recipe.time(info.creation_time);
        let all_drivers = [&sources.drivers[..], &answered::drivers(&servicing, &sources.files)?].concat();
        let drivers = drivers::prepare(&all_drivers, &sources.files, &info, observer)?;
        Ok((Self { media, base, info, packages, time, warnings }, Additions { machine, servicing, drivers }))
    }

    /// Digests of everything that all machines share.
    fn inputs(&self, additions: &Additions) -> Result<Inputs> {
        Ok(Inputs {
            image: self.base.digest()?,
            files: Vec::new(),
            packages: self.packages.identity()?,
            drivers: additions.drivers.as_ref().map(Drivers::identity).unwrap_or_default(),
        })
    }

    /// All files that are read for all machines alike.
    fn used_files(&self, additions: &Additions, files: &InputFiles) -> Vec<UsedFile> {
        let mut used: Vec<UsedFile> = self.base.used_files().collect();
        let install = &self.packages.install;
        let cabinets = install.cabinets.iter().chain(&install.servicing).chain(&install.sources);
        used.extend(cabinets.map(|cabinet| UsedFile::new("a package", &cabinet.path)));
        let drivers = additions.drivers.iter().flat_map(Drivers::sources);
        used.extend(drivers.map(|path| UsedFile::new("a file of a driver", path)));
        used.retain(|used| !files.is_all_in_memory(&used.path));
        used
    }

    /// The image's architecture.
    fn architecture(&self) -> Architecture {
        self.info.architecture.unwrap_or(Architecture::Amd64)
    }

    /// The parts of the image's description that decide bytes.
    fn windows(&self) -> String {
        let build = self.info.version.map(|version| version.build.to_string()).unwrap_or_default();
        let language = self.info.default_language.as_deref().unwrap_or_default();
        format!("{} {build} {language}", self.architecture())
    }

    /// Compresses what `choice` says, once everything else is in `tree`.
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

/// What the user should know if compressed files were to be copied as they are and there was none.
fn nothing_compressed(choice: Option<Compact>, report: &CompactReport) -> Option<String> {
    let message = "no file is compressed: the source has none in a form that Windows reads from a disk";
    let is_nothing = choice == Some(Compact::Copy) && report.files == 0;
    is_nothing.then(|| format!("{message} (LZX in chunks of 32 KiB, XPRESS in chunks of 4, 8 or 16 KiB)"))
}

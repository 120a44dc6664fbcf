//! What the disk contains.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::packages::Packages;
use super::recipe::{BcdDevice, Firmware, Recipe, Sources};
use super::{compact, drivers};
use crate::content::BlobStore;
use crate::disk::{gpt, mbr};
use crate::error::{Error, Result};
use crate::identity::Seed;
use crate::progress::{Observer, Phase};
use crate::report::{CompactReport, DriverReport, InstalledPackage};
use crate::source::wim::{Architecture, ImageInfo};
use crate::tree::FileTree;
use crate::types::{ByteSize, DiskOffset, FileTime, Guid};
use crate::windows::boot::{self, BootFile, BootOptions, BootSettings, PartitionIds};
use crate::windows::compact::Compact;
use crate::windows::configure::ImageFacts;
use crate::windows::driver::Prepared as Drivers;
use crate::windows::package::InstallOptions;

/// Alignment of partitions.
const ALIGNMENT: ByteSize = ByteSize::mib(1);
/// The Microsoft reserved partition, which Windows expects on every GPT disk.
const MSR_SIZE: ByteSize = ByteSize::mib(16);

/// What the disk contains: files, partitions and identifiers, without addresses of data.
pub struct Plan {
    pub(super) recipe: Recipe,
    pub(super) image: ImageInfo,
    pub(super) tree: Arc<FileTree>,
    pub(super) store: Arc<dyn BlobStore>,
    /// Files of the EFI system partition.
    pub(super) boot_files: Vec<BootFile>,
    pub(super) scheme: Scheme,
    pub(super) seed: Seed,
    pub(super) time: FileTime,
    /// What is compressed, if anything is asked to be.
    pub(super) compact: Option<CompactReport>,
    wim_files: Vec<PathBuf>,
    cabinets: Vec<PathBuf>,
    pub(super) packages: Vec<InstalledPackage>,
    pub(super) drivers: Vec<DriverReport>,
    pub(super) warnings: Vec<String>,
}

/// The partitions of the disk.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub(super) enum Scheme {
    /// EFI system partition, Microsoft reserved partition, Windows.
    Gpt { disk_guid: Guid, esp: gpt::Partition, msr: gpt::Partition, windows: gpt::Partition },
    /// One active partition.
    Mbr { signature: u32, windows: mbr::Partition },
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
        // What the recipe names is checked before the image, which takes longer.
        let mut machine = self.machine.prepare(self.administrator_password.as_ref())?;
        let settings = self.boot.settings()?;
        let media = sources.open()?;
        let mut warnings = Vec::new();
        let (wim, file, index) = media.find_image(self.choice(), sources.scratch.as_deref(), &mut warnings)?;
        let info = wim.images().iter().find(|info| info.index == index).cloned().unwrap_or_default();
        let packages = Packages::find(self, sources, &media, &info, machine.take_packages())?;
        let architecture = info.architecture.unwrap_or(Architecture::Amd64).to_string();
        let time = self.time(info.creation_time);
        let drivers = drivers::prepare(&sources.drivers, &info, time, observer)?;
        let image = wim.read_image(index)?;
        if observer.cancelled() {
            return Err(Error::cancelled());
        }
        observer.begin(Phase::Plan, None);
        let drivers_identity = drivers.as_ref().map(Drivers::identity).unwrap_or_default();
        let added = [packages.identity()?, drivers_identity].concat();
        let seed = self.seed(&[&wim.image_digest(index)?[..], machine.identity(), &added].concat())?;
        let scheme = Scheme::new(self, &seed)?;
        let mut tree = image.tree;
        warnings.extend(image.warnings);
        warnings.extend(packages.warnings.iter().cloned());
        let mut store: Arc<dyn BlobStore> = wim.store().clone();
        // Packages first: what the recipe says of the machine has the last word in hives and files.
        let install = InstallOptions {
            architecture: &architecture,
            time,
            scratch: sources.scratch.as_deref(),
            strict: self.strict,
        };
        let installed = packages.install(&mut tree, &mut store, &install, &media, observer, &mut warnings)?;
        store = machine.store(store);
        let applied = machine.apply(&mut tree, &*store, &ImageFacts { architecture, time })?;
        warnings.extend(applied.warnings);
        let mut added_drivers = Vec::new();
        if let Some(drivers) = drivers {
            store = drivers.store(store);
            added_drivers = drivers.apply(&mut tree, &*store)?;
            warnings.extend(drivers::warnings(&added_drivers, self.strict)?);
        }
        let options = BootOptions {
            firmware: match self.firmware {
                Firmware::Uefi => boot::Firmware::Uefi,
                Firmware::Bios => boot::Firmware::Bios,
            },
            device: match self.bcd_device {
                BcdDevice::Partition => boot::BcdDevice::Partition(scheme.ids()),
                BcdDevice::Locate => boot::BcdDevice::Locate,
            },
            locale: info.default_language.clone(),
            description: None,
            settings,
            seed,
            time,
            jobs: 1,
        };
        let mut boot = boot::plan(&tree, &*store, &options).map_err(|error| error.with_path(&file.path))?;
        warnings.append(&mut boot.warnings);
        if options.settings != BootSettings::default() {
            boot::edit_template(&mut tree, &*store, &options.settings, time)?;
        }
        if self.firmware == Firmware::Bios {
            boot.add_to(&mut tree)?;
        }
        let compact = match self.compact {
            Some(choice) => Some(compact::apply(&mut tree, &mut store, choice, &info, &file.path, sources, observer)?),
            None => None,
        };
        if self.compact == Some(Compact::Copy) && compact.is_some_and(|report| report.files == 0) {
            let message = "no file is compressed: the source has none in a form that Windows reads from a disk";
            warnings.push(format!("{message} (LZX in chunks of 32 KiB, XPRESS in chunks of 4, 8 or 16 KiB)"));
        }
        Ok(Plan {
            recipe: self.clone(),
            image: info,
            tree: Arc::new(tree),
            store,
            boot_files: boot.files,
            scheme,
            seed,
            time,
            compact,
            wim_files: wim.files().into_iter().map(Path::to_owned).collect(),
            cabinets: packages.install.cabinets.iter().map(|cabinet| cabinet.path.clone()).collect(),
            packages: installed,
            drivers: added_drivers,
            warnings,
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
        match &self.scheme {
            Scheme::Gpt { disk_guid, .. } => disk_guid.to_string(),
            Scheme::Mbr { signature, .. } => format!("{signature:08x}"),
        }
    }

    /// Where the identifiers of the image come from.
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// The WIM that has the image, with its parts. Inside an ISO image its path begins with that of the ISO image.
    pub fn wim_files(&self) -> &[PathBuf] {
        &self.wim_files
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

impl Scheme {
    fn new(recipe: &Recipe, seed: &Seed) -> Result<Self> {
        let start = ALIGNMENT.bytes();
        let windows_start = match recipe.firmware {
            Firmware::Uefi => start + recipe.esp_size + MSR_SIZE.bytes(),
            Firmware::Bios => start,
        };
        // The last MiB is the backup partition table's.
        let windows_end = match recipe.firmware {
            Firmware::Uefi => recipe.disk_size.saturating_sub(ALIGNMENT.bytes()),
            Firmware::Bios => recipe.disk_size,
        };
        if windows_end <= windows_start {
            let needed = ByteSize::new(windows_start + 2 * ALIGNMENT.bytes());
            let size = ByteSize::new(recipe.disk_size);
            return Err(Error::too_small(format!("a disk of {size} has no room for its partitions"))
                .with_needed(needed)
                .with_hint(format!("without any file a disk needs {needed}")));
        }
        let windows_len = ByteSize::new(windows_end - windows_start);
        if recipe.firmware == Firmware::Bios {
            let windows = mbr::Partition {
                partition_type: mbr::TYPE_NTFS,
                active: true,
                start: DiskOffset(windows_start),
                len: windows_len,
            };
            return Ok(Self::Mbr { signature: seed.signature("disk"), windows });
        }
        let partition = |type_guid, name: &str, start, len| gpt::Partition {
            type_guid,
            guid: seed.guid(name),
            name: name.into(),
            attributes: 0,
            start: DiskOffset(start),
            len,
        };
        let msr_start = start + recipe.esp_size;
        Ok(Self::Gpt {
            disk_guid: seed.guid("disk"),
            esp: partition(gpt::EFI_SYSTEM, "EFI system partition", start, ByteSize::new(recipe.esp_size)),
            msr: partition(gpt::MICROSOFT_RESERVED, "Microsoft reserved partition", msr_start, MSR_SIZE),
            windows: partition(gpt::BASIC_DATA, "Basic data partition", windows_start, windows_len),
        })
    }

    /// Where the Windows volume is.
    pub fn windows(&self) -> (DiskOffset, ByteSize) {
        match self {
            Self::Gpt { windows, .. } => (windows.start, windows.len),
            Self::Mbr { windows, .. } => (windows.start, windows.len),
        }
    }

    fn ids(&self) -> PartitionIds {
        match self {
            Self::Gpt { disk_guid, esp, windows, .. } => {
                PartitionIds::Gpt { disk: *disk_guid, system: esp.guid, windows: windows.guid }
            }
            Self::Mbr { signature, windows } => {
                PartitionIds::Mbr { signature: *signature, system: windows.start, windows: windows.start }
            }
        }
    }

    /// The partition table of a GPT disk; empty for an MBR disk.
    pub fn table(&self) -> gpt::Table {
        match self {
            Self::Gpt { disk_guid, esp, msr, windows } => {
                gpt::Table { disk_guid: *disk_guid, partitions: vec![esp.clone(), msr.clone(), windows.clone()] }
            }
            Self::Mbr { .. } => gpt::Table { disk_guid: Guid::NIL, partitions: Vec::new() },
        }
    }
}

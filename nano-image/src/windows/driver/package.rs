//! A driver package: everything in an INF file for one version of Windows, read and checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::add_reg::Edit;
use super::files::SourceFiles;
use super::inf::Inf;
use super::models::{Devices, Model, Version, devices};
use super::place;
use super::reader::{Copies, Reader, Step};
use super::section::{Included, Section};
use super::service::{BOOT_START, Service, Services, Text};
use super::target::Target;
use crate::content::InputFiles;
use crate::error::{Error, Result};
use crate::windows::program;

/// Classes whose drivers must be installed before Windows starts: boot devices, their buses, and keyboards.
const BOOT_CLASSES: [&str; 10] =
    ["scsiadapter", "hdc", "diskdrive", "volume", "system", "computer", "usb", "sdhost", "hidclass", "keyboard"];
/// Classes of storage adapters. Windows can only be started from their devices if their drivers start at boot.
const STORAGE_CLASSES: [&str; 2] = ["scsiadapter", "hdc"];
const NET_CLASS: &str = "net";
/// Edits of the registry for the devices of one driver, at most. Large drivers have some thousands.
const MAX_EDITS: usize = 1 << 18;
/// INF files of Windows that one driver includes, at most.
const MAX_INCLUDED: usize = 64;
/// Bytes of a program that show whether it is signed.
const MAX_HEADER: u64 = 64 << 10;
/// Larger catalogs are not read.
const MAX_CATALOG: u64 = 64 << 20;

/// A driver package.
pub(super) struct Package {
    pub path: PathBuf,
    /// Name of the INF file in lower case.
    pub name: String,
    pub inf: Vec<u8>,
    /// Name of its directory in the driver store.
    pub label: String,
    pub version: Version,
    pub files: SourceFiles,
    /// Index of the catalog among the files.
    pub catalog: Option<usize>,
    /// Whether the catalog names Microsoft's hardware laboratory as its signer. The signature is checked by Windows,
    /// not here.
    pub is_whql: bool,
    /// Where files go outside of the package: index of the file, path in the image.
    pub copies: Vec<(usize, String)>,
    pub models: Vec<DeviceModel>,
    pub configurations: Vec<Configuration>,
    /// By their names in lower case.
    pub services: BTreeMap<String, Service>,
    /// Edits of the machine's registry.
    pub edits: Vec<Edit>,
    /// Edits of the class's key. They are made if the image does not have the class.
    pub class_edits: Vec<Arc<[Edit]>>,
    /// INF files of Windows that it includes, in lower case.
    pub includes: BTreeSet<String>,
    /// Files that it needs from their packages: INF file, name in the package, path in the image.
    pub included_copies: Vec<(String, String, String)>,
    /// INF files beside it that should be added too.
    pub companions: Vec<String>,
    /// Whether Windows needs it to start.
    pub boot_critical: bool,
    pub not_applied: Vec<String>,
    pub warnings: Vec<String>,
}

/// Why a driver without devices is not installed.
const PRIMITIVE: &str = "it is for no device (DefaultInstall): Windows installs such drivers only while it runs; copy it, \
                         and let --setup-command run `pnputil /add-driver FILE /install`";

/// A device.
pub(super) struct DeviceModel {
    pub model: Model,
    pub description: Text,
    pub manufacturer: Text,
}

/// The contents of an install section.
#[derive(Default)]
pub(super) struct Configuration {
    /// Name of the section.
    pub name: String,
    /// The driver of the device.
    pub service: Option<String>,
    /// Names of the services that it installs.
    pub services: Vec<String>,
    /// Rank of the driver among those for the same device.
    pub feature_score: u8,
    /// Relative to the driver's key; sections share their edits.
    pub driver: Vec<Arc<[Edit]>>,
    /// Relative to the device's key.
    pub device: Vec<Arc<[Edit]>>,
}

impl Configuration {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

impl Package {
    /// Reads the INF file at `path`, which has `bytes`, and finds the files that it names; or says why it is not for `target`.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) with the line, [`NotFound`](crate::ErrorKind::NotFound) for missing
    /// files; all with the path.
    pub fn read(
        path: &Path,
        from: &InputFiles,
        bytes: Vec<u8>,
        target: &Target,
        boot_critical: bool,
    ) -> Result<Result<Self, String>> {
        let inf = Inf::parse(&bytes)?;
        let Some(version) = Version::read(&inf, target)? else {
            return Ok(Err("it is no INF file of a driver for Windows".into()));
        };
        let models = match devices(&inf, target)? {
            Devices::These(models) => models,
            Devices::None(_) if is_primitive(&inf, target) => return Ok(Err(PRIMITIVE.into())),
            Devices::None(why) => return Ok(Err(why)),
        };
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        place::relative(&name)?;
        let configurations = configurations(&models);
        let included = Included::new();
        let mut reader = Reader::new(&inf, &included);
        let (copies, companions) = read_copies(&mut reader, &configurations, target)?;
        let mut wanted = copies.sources();
        wanted.extend(version.catalog.clone());
        let files = SourceFiles::find(&inf, path, from, &wanted, target)?;
        let label = label(&name, &bytes, &files, target);
        reader.package.clone_from(&label);

        let catalog = version.catalog.as_ref().and_then(|name| files.index(name));
        let mut package = Self {
            path: path.to_owned(),
            boot_critical: boot_critical || BOOT_CLASSES.contains(&version.class.to_ascii_lowercase().as_str()),
            catalog,
            is_whql: catalog.map_or(Ok(false), |index| is_whql(from, &files.files[index].source))?,
            copies: Vec::new(),
            models: Vec::new(),
            configurations: configurations.iter().map(|name| Configuration::new(name)).collect(),
            services: BTreeMap::new(),
            edits: Vec::new(),
            class_edits: Vec::new(),
            includes: BTreeSet::new(),
            included_copies: Vec::new(),
            companions,
            not_applied: Vec::new(),
            warnings: Vec::new(),
            name,
            label,
            inf: Vec::new(),
            version,
            files,
        };
        for (source, destination) in copies.outside() {
            let index = package.files.index(source).expect("all copied files were found");
            package.copies.push((index, destination.to_owned()));
        }
        package.read_sections(&mut reader, target)?;
        for model in models {
            let description = Text::of(&inf, &model.description)?;
            let manufacturer = Text::of(&inf, &model.manufacturer)?;
            package.models.push(DeviceModel { model, description, manufacturer });
        }
        package.inf = bytes;
        package.judge();
        package.check_signatures(from)?;
        package.check_unknown(&copies)?;
        Ok(Ok(package))
    }

    /// Reads the sections anew with those INF files of the image that they include. `find` gives one of these, if there
    /// is one.
    ///
    /// # Errors
    /// As [`read`](Self::read), and those of `find`.
    pub fn include(&mut self, target: &Target, find: &dyn Fn(&str) -> Result<Option<Inf>>) -> Result<()> {
        let inf = Inf::parse(&self.inf)?;
        let (mut included, mut asked) = (Included::new(), BTreeSet::new());
        while let Some(file) = self.includes.iter().find(|file| !asked.contains(*file)).cloned() {
            if asked.len() == MAX_INCLUDED {
                return Err(Error::unsupported(format!("it includes more than {MAX_INCLUDED} INF files of Windows")));
            }
            if let Some(other) = find(&file)? {
                included.insert(file.clone(), other);
            }
            asked.insert(file);
            let mut reader = Reader::new(&inf, &included);
            reader.package.clone_from(&self.label);
            self.configurations.iter_mut().for_each(|known| *known = Configuration::new(&known.name));
            (self.services, self.edits) = (BTreeMap::new(), Vec::new());
            self.read_sections(&mut reader, target)?;
        }
        Ok(())
    }

    /// The files that are copied while the image is built: for a boot-critical driver all of them, for others only the
    /// programs of services that do nothing before a device is there.
    pub fn placed(&self) -> impl Iterator<Item = &(usize, String)> {
        let is_of_service = |destination: &str| {
            self.services.values().any(|service| service.is_on_demand() && service.is_in(destination))
        };
        self.copies.iter().filter(move |(_, destination)| self.boot_critical || is_of_service(destination))
    }

    /// Reads everything in the install sections and in the section of the class.
    fn read_sections(&mut self, reader: &mut Reader<'_>, target: &Target) -> Result<()> {
        reader.restart();
        self.class_edits = reader.class_edits(target)?;
        self.included_copies.clear();
        for number in 0..self.configurations.len() {
            self.read_configuration(reader, number)?;
        }
        self.not_applied = std::mem::take(&mut reader.not_applied);
        // Several sections may need the same one.
        let mut known = BTreeSet::new();
        self.not_applied.retain(|what| known.insert(what.clone()));
        self.includes.append(&mut reader.includes);
        Ok(())
    }

    fn read_configuration(&mut self, reader: &mut Reader<'_>, number: usize) -> Result<()> {
        let name = &*self.configurations[number].name.clone();
        let (mut driver, mut device) = (Vec::new(), Vec::new());
        for section in reader.with_needs(name)? {
            driver.push(self.edits_of(reader, &section)?);
            driver.push(reader.directives(&section, self.version.class.eq_ignore_ascii_case(NET_CLASS))?);
        }
        for section in reader.with_needs(&format!("{name}.HW"))? {
            device.push(self.edits_of(reader, &section)?);
        }
        let mut services = Services::default();
        for section in reader.with_needs(&format!("{name}.Services"))? {
            reader.services(&section, &mut services)?;
        }
        reader.frameworks(name, &mut services)?;
        reader.left(name)?;
        let names = services.services.iter().map(|service| service.name.clone()).collect();
        self.included_copies.extend(reader.included_copies(name)?);
        self.configurations[number] = Configuration {
            name: name.into(),
            feature_score: reader.feature_score(name)?,
            service: services.associated,
            services: names,
            driver,
            device,
        };
        for service in services.services {
            self.services.entry(service.name.to_lowercase()).or_insert(service);
        }
        Ok(())
    }

    /// The edits of a section that are relative to a device. Others are added to the machine's, once for each section.
    fn edits_of<'a>(&mut self, reader: &mut Reader<'a>, section: &Section<'a>) -> Result<Arc<[Edit]>> {
        let edits = reader.edits(section)?;
        if reader.is_first(Step::Machine, section) {
            self.edits.extend_from_slice(&edits.others);
        }
        Ok(edits.relative)
    }

    /// Refuses a driver for which too much would have to be written into the registry: what install sections share is
    /// written for each of them.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported).
    pub fn check_edits(&self) -> Result<()> {
        let of_services = |configuration: &Configuration| -> usize {
            let services = configuration.services.iter().filter_map(|name| self.services.get(&name.to_lowercase()));
            services.map(|service| 1 + service.edits.len()).sum()
        };
        let count = |configuration: &Configuration| {
            let edits = configuration.driver.iter().chain(&configuration.device);
            edits.map(|edits| edits.len()).sum::<usize>() + of_services(configuration)
        };
        let edits: usize = self.configurations.iter().map(count).sum();
        if edits <= MAX_EDITS {
            return Ok(());
        }
        let message = format!("its install sections make {edits} edits of the registry; {MAX_EDITS} are handled");
        Err(Error::unsupported(message).with_path(&self.path).with_hint("get a driver for fewer devices"))
    }

    /// Decides what depends on all sections together.
    fn judge(&mut self) {
        let class = self.version.class.to_ascii_lowercase();
        self.boot_critical |= self.services.values().any(|service| service.start == BOOT_START);
        if !self.boot_critical {
            // Windows reads the INF file itself when it finds a device.
            self.not_applied.clear();
        }
        if STORAGE_CLASSES.contains(&class.as_str()) {
            let associated = self.configurations.iter().filter_map(|configuration| configuration.service.as_ref());
            let names: BTreeSet<String> = associated.map(|name| name.to_lowercase()).collect();
            let services = names.iter().filter_map(|name| self.services.get(name));
            for service in services.filter(|service| service.start != BOOT_START) {
                self.warnings.push(format!(
                    "the INF file does not let the service {} start at boot (StartType {}): Windows cannot be \
                     started from its devices",
                    service.name, service.start
                ));
            }
        }
        if self.catalog.is_none() {
            let warning = "the driver has no catalog: Windows does not install it without test signing";
            self.warnings.push(warning.into());
        }
    }
}

impl Package {
    /// Warns of drivers that a machine with Secure Boot does not start. Boot drivers must be signed themselves, because
    /// catalogs cannot be read that early ("Driver signing" on learn.microsoft.com).
    fn check_signatures(&mut self, from: &InputFiles) -> Result<()> {
        let at_boot: Vec<&Service> = self.services.values().filter(|service| service.start == BOOT_START).collect();
        for (index, destination) in &self.copies {
            if !at_boot.iter().any(|service| service.is_in(destination)) {
                continue;
            }
            let source = &self.files.files[*index].source;
            let failed = |error| Error::io("read", source, error);
            let file = from.open(source).map_err(failed)?;
            let mut head = vec![0; file.len().map_err(failed)?.min(MAX_HEADER) as usize];
            file.read_exact_at(&mut head, 0).map_err(failed)?;
            if program::is_signed(&head) == Some(false) {
                self.warnings.push(format!(
                    "{destination} starts at boot and is not signed itself: with Secure Boot Windows stops at it (0xC0000428)"
                ));
            }
        }
        Ok(())
    }

    /// Handles files with an unknown destination: an error for the program of a service, a warning for boot-critical
    /// drivers.
    fn check_unknown(&mut self, copies: &Copies<'_>) -> Result<()> {
        for (file, why) in &copies.unknown {
            if self.services.values().any(|service| service.is_in(file)) {
                return Err(Error::unsupported(format!("{why}, where {file} is to go, the program of a service")));
            }
            if self.boot_critical {
                self.warnings.push(format!("{file} is not copied: {why}"));
            }
        }
        Ok(())
    }
}

/// The names of the install sections of `models`, each once.
fn configurations(models: &[Model]) -> Vec<String> {
    let mut known = BTreeSet::new();
    let names = models.iter().map(|model| &model.configuration);
    names.filter(|name| known.insert(name.to_lowercase())).cloned().collect()
}

/// Whether it is for no device: a driver that is installed only by the name of its INF file.
fn is_primitive(inf: &Inf, target: &Target) -> bool {
    !inf.has("Manufacturer") && target.platforms().iter().any(|platform| inf.has(&format!("DefaultInstall{platform}")))
}

/// The files that the sections `configurations` copy, and the INF files that should be added with them.
fn read_copies<'a>(
    reader: &mut Reader<'a>,
    configurations: &[String],
    target: &Target,
) -> Result<(Copies<'a>, Vec<String>)> {
    let (mut copies, mut companions) = (Copies::default(), Vec::new());
    for configuration in configurations {
        reader.copies(configuration, &mut copies)?;
        companions.extend(reader.companions(configuration)?);
    }
    reader.class_copies(target, &mut copies)?;
    Ok((copies, companions))
}

/// Whether a catalog has the object identifier 1.3.6.1.4.1.311.10.3.5, by which Microsoft signs tested drivers.
fn is_whql(from: &InputFiles, path: &Path) -> Result<bool> {
    const IDENTIFIER: [u8; 10] = [0x2B, 6, 1, 4, 1, 0x82, 0x37, 10, 3, 5];
    let bytes = from.read(path, MAX_CATALOG, "a catalog")?;
    Ok(bytes.windows(IDENTIFIER.len()).any(|window| window == IDENTIFIER))
}

/// Name of a package's directory. Windows' own digits are not documented and mean nothing to it: these tell packages
/// of different contents apart.
fn label(name: &str, inf: &[u8], files: &SourceFiles, target: &Target) -> String {
    let mut hash = Sha256::new().chain_update(Sha256::digest(inf));
    let mut parts: Vec<(String, &[u8; 32])> =
        files.files.iter().map(|file| (file.path.to_lowercase(), file.file.digest())).collect();
    parts.sort();
    for (path, digest) in parts {
        hash.update(path);
        hash.update(digest);
    }
    let digits = hex::encode(&hash.finalize()[..8]);
    format!("{name}_{}_{digits}", target.architecture())
}

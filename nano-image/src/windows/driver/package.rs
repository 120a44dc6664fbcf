//! A driver package: everything that an INF file says for one version of Windows, read and checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::add_reg::{Edit, Root};
use super::files::SourceFiles;
use super::inf::Inf;
use super::models::{Devices, Model, Version, devices};
use super::place;
use super::reader::{Copies, Reader};
use super::service::{BOOT_START, Service, Services, Text};
use super::target::Target;
use crate::content::InputFiles;
use crate::error::Result;

/// Classes whose drivers Windows has from the start: what it is started from, the buses that this is on, and keyboards.
const BOOT_CLASSES: [&str; 10] =
    ["scsiadapter", "hdc", "diskdrive", "volume", "system", "computer", "usb", "sdhost", "hidclass", "keyboard"];
/// Class of storage adapters, whose driver must start at boot to be of use for that.
const STORAGE_CLASSES: [&str; 2] = ["scsiadapter", "hdc"];
const NET_CLASS: &str = "net";
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
    /// Whether the catalog names Microsoft's hardware laboratory as its signer. Windows checks that, nobody here does.
    pub is_whql: bool,
    /// Where files go outside of the package: index of the file, path in the image.
    pub copies: Vec<(usize, String)>,
    pub models: Vec<DeviceModel>,
    pub configurations: Vec<Configuration>,
    /// By their names in lower case.
    pub services: BTreeMap<String, Service>,
    /// Edits of the machine's registry.
    pub edits: Vec<Edit>,
    /// Edits of the class's key, made if the image does not know the class.
    pub class_edits: Vec<Edit>,
    /// Whether Windows needs it to start.
    pub boot_critical: bool,
    pub not_applied: Vec<String>,
    pub warnings: Vec<String>,
}

/// A device.
pub(super) struct DeviceModel {
    pub model: Model,
    pub description: Text,
    pub manufacturer: Text,
}

/// What an install section says.
pub(super) struct Configuration {
    /// Name of the section.
    pub name: String,
    /// The driver of the device.
    pub service: Option<String>,
    /// Names of the services that it installs.
    pub services: Vec<String>,
    /// How good the driver is among others for its device.
    pub feature_score: u8,
    /// Relative to the driver's key.
    pub driver: Vec<Edit>,
    /// Relative to the device's key.
    pub device: Vec<Edit>,
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
            Devices::None(why) => return Ok(Err(why)),
        };
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        place::relative(&name)?;
        let mut reader = Reader::new(&inf);
        let mut configurations: Vec<&str> = Vec::new();
        let mut known = BTreeSet::new();
        for model in &models {
            if known.insert(model.configuration.to_lowercase()) {
                configurations.push(&model.configuration);
            }
        }
        let mut copies = Copies::default();
        for configuration in &configurations {
            reader.copies(configuration, &mut copies)?;
        }
        let mut wanted = copies.sources();
        wanted.extend(version.catalog.clone());
        let files = SourceFiles::find(&inf, path, from, &wanted, target)?;
        let label = label(&name, &bytes, &files, target);
        reader.package.clone_from(&label);

        let mut package = Self {
            path: path.to_owned(),
            boot_critical: boot_critical || BOOT_CLASSES.contains(&version.class.to_ascii_lowercase().as_str()),
            catalog: version.catalog.as_ref().and_then(|name| files.index(name)),
            is_whql: match version.catalog.as_ref().and_then(|name| files.index(name)) {
                Some(index) => is_whql(from, &files.files[index].source)?,
                None => false,
            },
            copies: Vec::new(),
            models: Vec::new(),
            configurations: Vec::new(),
            services: BTreeMap::new(),
            edits: Vec::new(),
            class_edits: reader.class_edits(target)?,
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
        for name in configurations {
            package.read_configuration(&mut reader, name)?;
        }
        for model in models {
            let description = Text::of(&inf, &model.description)?;
            let manufacturer = Text::of(&inf, &model.manufacturer)?;
            package.models.push(DeviceModel { model, description, manufacturer });
        }
        package.not_applied = reader.not_applied;
        package.inf = bytes;
        package.judge();
        Ok(Ok(package))
    }

    fn read_configuration(&mut self, reader: &mut Reader<'_>, name: &str) -> Result<()> {
        let (mut driver, mut device) = (Vec::new(), Vec::new());
        for section in reader.with_needs(name)? {
            self.sort(reader.edits(&section)?, &mut driver);
            driver.extend(reader.directives(&section, self.version.class.eq_ignore_ascii_case(NET_CLASS))?);
        }
        for section in reader.with_needs(&format!("{name}.HW"))? {
            self.sort(reader.edits(&section)?, &mut device);
        }
        let mut services = Services::default();
        for section in reader.with_needs(&format!("{name}.Services"))? {
            reader.services(&section, &mut services)?;
        }
        reader.frameworks(name, &mut services)?;
        reader.left(name)?;
        let names = services.services.iter().map(|service| service.name.clone()).collect();
        self.configurations.push(Configuration {
            name: name.into(),
            feature_score: reader.feature_score(name)?,
            service: services.associated,
            services: names,
            driver,
            device,
        });
        for service in services.services {
            self.services.entry(service.name.to_lowercase()).or_insert(service);
        }
        Ok(())
    }

    /// Puts edits relative to a device into `relative`, and others to the machine's.
    fn sort(&mut self, edits: Vec<Edit>, relative: &mut Vec<Edit>) {
        for edit in edits {
            match edit.root {
                Root::Relative => relative.push(edit),
                Root::Machine | Root::Classes => self.edits.push(edit),
            }
        }
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
            let warning =
                "the driver has no catalog, so it is not signed: Windows does not load it without test signing";
            self.warnings.push(warning.into());
        }
    }
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

//! Checks that an image has drivers for a host's disk and network adapter, and that they are bound to these and start
//! in time.

use super::devices::{self, Device};
use super::kind::Host;
use crate::error::Result;
use crate::registry::{Hive, KeyId};
use crate::report::{Finding, Findings};
use crate::windows::boot::Firmware;
use crate::windows::boot_chain::{BootVolume, driver_path, starts_at_boot};
use crate::windows::edit::{HiveFile, control_set};

/// Code for a driver that a host needs and the image does not have.
pub const CODE: &str = "host-driver";
/// Folder of the drivers' packages.
const REPOSITORY: &str = r"Windows\System32\DriverStore\FileRepository";

/// Reports what a machine of `host` would lack in the Windows of `volume`.
pub fn check(host: Host, firmware: Firmware, volume: &dyn BootVolume) -> Findings {
    let mut findings = Findings::default();
    let image = match Image::open(volume) {
        Ok(Some(image)) => image,
        // A missing registry is reported by the check of what starts Windows.
        Ok(None) => return findings,
        Err(error) => {
            findings.add(Finding::new(CODE, "registry", format!("cannot be read: {error}")));
            return findings;
        }
    };
    for (what, alternatives, is_storage) in
        [("storage", devices::storage(host, firmware), true), ("network", devices::network(host), false)]
    {
        let missing = |devices: &&[Device]| -> Vec<Fault> {
            devices.iter().filter_map(|device| image.missing(device, is_storage)).collect()
        };
        let faults: Vec<Vec<Fault>> = alternatives.iter().map(missing).collect();
        if faults.iter().any(Vec::is_empty) {
            continue;
        }
        // If some devices of a set have a driver, or one with a fault, that set was meant; otherwise the usual one.
        let began = |(faults, devices): &(&Vec<Fault>, &&[Device])| {
            faults.len() < devices.len() || faults.iter().any(|fault| !fault.is_absent)
        };
        let meant = faults.iter().zip(alternatives).find(began).map_or(&faults[0], |(faults, _)| faults);
        let texts: Vec<&str> = meant.iter().map(|fault| fault.text.as_str()).collect();
        let message = format!("that a machine of {} needs is missing: {}", host.name(), texts.join("; "));
        findings.add(Finding::new(CODE, format!("the {what} driver"), message));
    }
    findings
}

/// Driver facts from the registry of an image.
struct Image<'v> {
    volume: &'v dyn BootVolume,
    system: Hive,
    /// Drivers that Windows can start without.
    drivers: Option<Hive>,
    control_set: String,
}

/// Why no driver serves a device.
struct Fault {
    text: String,
    /// Whether there is no driver at all.
    is_absent: bool,
}

/// A driver for a device.
struct Bound {
    inf: String,
    /// Name of its package, if it is in the database.
    package: Option<String>,
    service: Option<String>,
}

impl<'v> Image<'v> {
    fn open(volume: &'v dyn BootVolume) -> Result<Option<Self>> {
        let hive = |file: HiveFile| match volume.file(file.path())?.filter(|found| found.len > 0) {
            Some(_) => volume.hive(file.path()),
            None => Ok(None),
        };
        let Some(system) = hive(HiveFile::System)? else { return Ok(None) };
        let (drivers, control_set) = (hive(HiveFile::Drivers)?, control_set(&system));
        Ok(Some(Self { volume, system, drivers, control_set }))
    }

    /// Why no driver serves `device`; `None` if one does.
    fn missing(&self, device: &Device, is_storage: bool) -> Option<Fault> {
        let mut faults = Vec::new();
        for bound in self.bound(device, is_storage) {
            match self.fault(&bound, is_storage) {
                None => return None,
                Some(fault) => faults.push(fault),
            }
        }
        let (name, id) = (device.name, device.known_as());
        let text = match faults.first() {
            Some(fault) => format!("{fault} (for the {name} {id})"),
            None => format!("no driver is for the {name} {id}"),
        };
        Some(Fault { text, is_absent: faults.is_empty() })
    }

    /// The drivers for a device. Those for the boot disk must be in the SYSTEM hive.
    fn bound(&self, device: &Device, is_storage: bool) -> Vec<Bound> {
        let ids = device.ids();
        let others = self.drivers.as_ref().filter(|_| !is_storage);
        let mut found = Vec::new();
        for hive in std::iter::once(&self.system).chain(others) {
            for id in &ids {
                let Some(key) = hive.find(&format!(r"DriverDatabase\DeviceIds\{id}")) else { continue };
                found.extend(hive.value_names(key).into_iter().map(|inf| bound(hive, &inf.to_string(), id)));
            }
        }
        // Before Windows 8.
        for id in ids {
            let id = id.replace('\\', "#");
            let path = format!(r"{}\Control\CriticalDeviceDatabase\{id}", self.control_set);
            let service = self.system.find(&path).and_then(|key| self.system.value(key, "Service")?.text());
            found.extend(service.map(|service| Bound { inf: service.clone(), package: None, service: Some(service) }));
        }
        found
    }

    /// Why a driver would not run when it is needed; `None` if it would.
    fn fault(&self, bound: &Bound, is_storage: bool) -> Option<String> {
        let key = bound.service.as_ref().and_then(|service| {
            let key = self.system.find(&format!(r"{}\Services\{service}", self.control_set))?;
            Some((service, key))
        });
        let Some((service, key)) = key else {
            // Windows installs it when it finds the device.
            let is_staged = !is_storage && bound.package.as_ref().is_some_and(|package| self.is_staged(bound, package));
            return (!is_staged).then(|| match &bound.service {
                Some(service) => format!("the service {service} of {} is not in the registry", bound.inf),
                None => format!("{} is for it, but its files are not in the driver store", bound.inf),
            });
        };
        if is_storage && !starts_at_boot(&self.system, key) {
            return Some(format!("the service {service} {}", when(&self.system, key)));
        }
        if !is_storage && self.start(key) == Some(DISABLED) {
            return Some(format!("the service {service} is disabled (Start 4)"));
        }
        let path = driver_path(&self.system, key, service, "Windows");
        let is_there = matches!(self.volume.file(&path), Ok(Some(file)) if file.len > 0);
        (!is_there).then(|| format!(r"\{path} of the service {service} is missing or empty"))
    }

    fn start(&self, key: KeyId) -> Option<u32> {
        self.system.value(key, "Start")?.as_dword()
    }

    fn is_staged(&self, bound: &Bound, package: &str) -> bool {
        // A package's name begins with the original name of its INF file.
        let original = package.to_lowercase().find(".inf_").map(|end| &package[..end + 4]);
        let names = [Some(bound.inf.as_str()), original].into_iter().flatten();
        names.into_iter().any(
            |inf| matches!(self.volume.file(&format!(r"{REPOSITORY}\{package}\{inf}")), Ok(Some(file)) if file.len > 0),
        )
    }
}

/// `Start` of a service that never starts.
const DISABLED: u32 = 4;

/// When a service starts that does not start at boot.
fn when(hive: &Hive, key: KeyId) -> String {
    let number = |key: KeyId, name: &str| hive.value(key, name)?.as_dword();
    let overridden = hive.find_from(key, "StartOverride").and_then(|key| number(key, "0"));
    match (number(key, "Start"), overridden) {
        (Some(0), Some(start)) => format!("is started later than at boot: its StartOverride is {start}"),
        (Some(0), None) => "is not a driver".into(),
        (Some(start), _) => format!("does not start at boot: its Start is {start}, not 0"),
        (None, _) => "has no Start".into(),
    }
}

/// What a database says about the driver `inf` for the device `id`.
fn bound(hive: &Hive, inf: &str, id: &str) -> Bound {
    let text = |path: &str, name: &str| hive.value(hive.find(path)?, name)?.text();
    let package = text(&format!(r"DriverDatabase\DriverInfFiles\{inf}"), "Active");
    let service = package.as_ref().and_then(|package| {
        let package = format!(r"DriverDatabase\DriverPackages\{package}");
        let named = text(&format!(r"{package}\Descriptors\{id}"), "Configuration");
        let configurations = hive.find(&format!(r"{package}\Configurations"));
        let all = configurations.map(|key| hive.subkeys(key)).unwrap_or_default();
        let service = |key: KeyId| hive.value(key, "Service")?.text();
        let of = |name: String| hive.find(&format!(r"{package}\Configurations\{name}")).and_then(service);
        named.and_then(of).or_else(|| all.into_iter().find_map(service))
    });
    Bound { inf: inf.into(), package, service }
}

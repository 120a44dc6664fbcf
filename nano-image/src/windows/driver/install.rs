//! Installs a driver package in an image.

use super::add_reg::{Action, Edit, Root};
use super::database::{self, Published};
use super::edit_key::{append, edit_key};
use super::files::SourceFile;
use super::inf::{self, Inf};
use super::package::Package;
use super::place::{REPOSITORY, relative};
use super::service::{Service, Text};
use super::target::Target;
use crate::content::{Added, Content};
use crate::error::{Error, Result};
use crate::registry::Value;
use crate::report::DriverReport;
use crate::tree::NodeId;
use crate::windows::edit::{HiveFile, HiveKey, ImageEdit};

/// Hives that may contain the driver database.
const DATABASES: [HiveFile; 2] = [HiveFile::System, HiveFile::Drivers];
/// Hives that lines of an INF file may edit.
const EDITED: [HiveFile; 2] = [HiveFile::System, HiveFile::Software];
const INF: &str = r"Windows\INF";
/// Catalogs of the subsystem that checks drivers.
const CATALOGS: &str = r"Windows\System32\CatRoot\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";
/// The key that 32-bit programs see as SOFTWARE.
const SOFTWARE_32: &str = "WOW6432Node";
/// Values that name filter drivers above and below that of a device.
const FILTERS: [&str; 2] = ["UpperFilters", "LowerFilters"];
const LOCKDOWN: &str = r"Microsoft\Windows\CurrentVersion\Setup\PnpLockdownFiles";
/// The highest number that Windows gives.
const MAX_OEM: u32 = 10_000;

/// Installs drivers in an image, one after another.
pub(super) struct Installer<'e, 'i> {
    image: &'e mut ImageEdit<'i>,
    /// Files with lower numbers were in the image before.
    first_node: usize,
    /// All numbers below it are used.
    next_number: u32,
}

impl<'e, 'i> Installer<'e, 'i> {
    pub fn new(image: &'e mut ImageEdit<'i>) -> Result<Self> {
        image.control_set()?;
        let first_node = image.tree.node_count();
        Ok(Self { image, first_node, next_number: 0 })
    }

    pub fn install(&mut self, mut package: Package, target: &Target) -> Result<DriverReport> {
        self.include(&mut package, target)?;
        if package.boot_critical {
            package.check_edits()?;
        }
        let mut report = report(&package);
        if self.image.tree.find(&format!(r"{REPOSITORY}\{}", package.label)).is_some() {
            for file in DATABASES {
                let published = self.image.hive(file)?.and_then(|hive| database::published_name(hive, &package.label));
                report.published = report.published.or(published);
            }
            report.not_applied = vec!["the image has this driver already".into()];
            (report.files, report.bytes_added) = (0, 0);
            return Ok(report);
        }
        let number = self.free_number()?;
        let name = format!("oem{number}.inf");
        self.place_files(&package, number, &mut report)?;

        let services = std::mem::take(&mut package.services);
        let has_now = |service: &&Service| package.boot_critical || service.is_on_demand();
        for service in services.values().filter(has_now) {
            self.write_service(service, &name, &mut report)?;
        }
        if package.boot_critical {
            for edit in &package.edits {
                self.edit_machine(edit, &mut report)?;
            }
            self.check_filters(&package, &mut report)?;
            self.write_class(&package)?;
            self.write_lockdown(&package, &name)?;
        }
        let time = self.image.time;
        let published = Published { name: &name, package: &package, services: &services, time };
        let has_others = self.image.hive(HiveFile::Drivers)?.is_some();
        let database = if has_others && !package.boot_critical { HiveFile::Drivers } else { HiveFile::System };
        database::write(self.image.edit(database)?, &published, target)?;
        database::mark_number(self.image.edit(HiveFile::System)?, number, time)?;
        report.published = Some(name);
        Ok(report)
    }

    /// The lowest number that no driver has.
    fn free_number(&mut self) -> Result<u32> {
        for number in self.next_number..MAX_OEM {
            let name = format!("oem{number}.inf");
            let mut is_free = self.image.tree.find(&format!(r"{INF}\{name}")).is_none()
                && self.image.tree.find(&format!(r"{CATALOGS}\oem{number}.cat")).is_none();
            for file in DATABASES {
                is_free = is_free && self.image.hive(file)?.is_none_or(|hive| !database::has(hive, &name));
            }
            if is_free {
                self.next_number = number + 1;
                return Ok(number);
            }
        }
        Err(Error::unsupported(format!("the image has {MAX_OEM} drivers already")))
    }

    /// Reads the image's own INF files that a boot-critical driver includes.
    fn include(&self, package: &mut Package, target: &Target) -> Result<()> {
        if !package.boot_critical || package.includes.is_empty() {
            return Ok(());
        }
        let image = &*self.image;
        let find = |file: &str| {
            let bytes = image.read(&format!(r"{INF}\{}", relative(file)?), inf::MAX_LEN)?;
            // A file that cannot be read is treated as missing.
            Ok(bytes.and_then(|bytes| Inf::parse(&bytes).ok()))
        };
        let path = package.path.clone();
        package.include(target, &find).map_err(|error| error.with_path(path))
    }

    /// Ensures that the image has the files that its own INF files copy for the driver.
    fn place_included(&mut self, package: &Package, report: &mut DriverReport) -> Result<()> {
        for (inf, source, destination) in &package.included_copies {
            if self.image.tree.find(destination).is_some() {
                continue;
            }
            let mut label = None;
            for file in DATABASES {
                label = label.or(self.image.hive(file)?.and_then(|hive| database::active_package(hive, inf)));
            }
            let from = label.map(|label| format!(r"{REPOSITORY}\{label}\{source}"));
            let node = from.and_then(|from| self.image.tree.find(&from)).filter(|node| {
                // A directory cannot be linked.
                !self.image.tree[*node].is_directory()
            });
            match node {
                Some(node) => self.place(destination, node).map(drop)?,
                None => report.not_applied.push(format!("{destination}: the image has no {source} of {inf}")),
            }
        }
        Ok(())
    }

    fn place_files(&mut self, package: &Package, number: u32, report: &mut DriverReport) -> Result<()> {
        let folder = format!(r"{REPOSITORY}\{}", package.label);
        let inf: Content = package.inf.clone().into();
        self.write(&format!(r"{folder}\{}", package.name), inf.clone())?;
        self.write(&format!(r"{INF}\oem{number}.inf"), inf)?;
        let mut nodes = Vec::new();
        for SourceFile { path, file, .. } in &package.files.files {
            let content = self.image.blobs.add(Added::File(file.clone()))?;
            nodes.push(self.write(&format!(r"{folder}\{path}"), content)?);
        }
        // One file in all its places (hard links), as Windows does for its own drivers.
        for (index, destination) in package.placed() {
            if self.place(destination, nodes[*index])? {
                report.warnings.push(format!("{destination} of the image is replaced"));
            }
        }
        if package.boot_critical {
            self.place_included(package, report)?;
        }
        if let Some(catalog) = package.catalog {
            self.place(&format!(r"{CATALOGS}\oem{number}.cat"), nodes[catalog])?;
        }
        Ok(())
    }

    /// A new file.
    fn write(&mut self, path: &str, content: Content) -> Result<NodeId> {
        let node = self.image.add_file(content);
        self.place(path, node)?;
        Ok(node)
    }

    /// Gives a file the path `path`; `true` if a file of the image had it before.
    fn place(&mut self, path: &str, node: NodeId) -> Result<bool> {
        let old = self.image.link(&relative(path)?, node)?;
        Ok(old.is_some_and(|old| (old.0 as usize) < self.first_node))
    }

    fn write_service(&mut self, service: &Service, inf: &str, report: &mut DriverReport) -> Result<()> {
        let path = format!(r"{}\Services\{}", self.image.control_set()?, service.name);
        let hive = self.image.edit(HiveFile::System)?;
        let is_new = hive.find(&path).is_none();
        // The settings of Windows' own service are already right.
        if service.of.is_some() && !is_new {
            return Ok(());
        }
        let inf = service.of.as_deref().unwrap_or(inf);
        let key = hive.create_key(hive.root(), &path)?;
        let shown = |text: &Text| match &text.name {
            Some(name) => format!("@{inf},%{name}%;{}", text.text),
            None => text.text.clone(),
        };
        let names = |names: &[String]| (!names.is_empty()).then(|| Value::multi_sz(names));
        let values = [
            ("Type", Some(Value::dword(service.kind))),
            ("Start", Some(Value::dword(service.start))),
            ("ErrorControl", Some(Value::dword(service.error_control))),
            ("ImagePath", Some(Value::expand_sz(&service.image_path))),
            ("DisplayName", service.display_name.as_ref().map(|text| Value::sz(&shown(text)))),
            ("Description", service.description.as_ref().map(|text| Value::sz(&shown(text)))),
            ("Group", service.group.as_ref().map(|group| Value::sz(group))),
            ("ObjectName", service.account.as_ref().map(|account| Value::sz(account))),
            ("DependOnService", names(&service.depends_on_services)),
            ("DependOnGroup", names(&service.depends_on_groups)),
            ("BootFlags", service.boot_flags.map(Value::dword)),
        ];
        for (name, value) in values {
            let Some(value) = value else { continue };
            if is_new || !service.keeps.contains(&name) || hive.value(key, name).is_none() {
                hive.set_value(key, name, value)?;
            }
        }
        append(hive, key, "Owners", &[inf.to_owned()])?;
        // A start type that the image has for its own hardware would take precedence.
        if let Some(start) = hive.child(key, "StartOverride") {
            hive.delete_key(start)?;
        }
        for edit in &service.edits {
            match edit.root {
                Root::Relative => edit_key(self.image.edit(HiveFile::System)?, key, edit, false)?,
                Root::Machine | Root::Machine32 | Root::Classes => self.edit_machine(edit, report)?,
            }
        }
        if let Some(version) = &service.kmdf_version {
            let hive = self.image.edit(HiveFile::System)?;
            let wdf = hive.create_key(key, r"Parameters\Wdf")?;
            hive.set_value(wdf, "KmdfLibraryVersion", Value::sz(version))?;
        }
        if let Some((log, source, edits)) = &service.event_log {
            let (hive, key) = self.image.system_key(&format!(r"Services\EventLog\{log}\{source}"))?;
            for edit in edits.iter().filter(|edit| edit.root == Root::Relative) {
                edit_key(hive, key, edit, false)?;
            }
        }
        Ok(())
    }

    /// Makes an edit of HKLM or HKCR.
    fn edit_machine(&mut self, edit: &Edit, report: &mut DriverReport) -> Result<()> {
        let root = if edit.root == Root::Classes { "HKCR" } else { "HKLM" };
        let place = HiveKey::find(&format!(r"{root}\{}", edit.key));
        if let Some(place) = place.filter(|place| EDITED.contains(&place.file) && !place.path.is_empty()) {
            let mut path = self.image.resolve(&place)?;
            if let Some(hive) = self.image.edit_if_there(place.file)? {
                if edit.root == Root::Machine32 && place.file == HiveFile::Software {
                    if hive.find(SOFTWARE_32).is_none() {
                        let what = format!("registry key {}: the image runs no programs of 32 bits", edit.key);
                        report.not_applied.push(what);
                        return Ok(());
                    }
                    path = format!(r"{SOFTWARE_32}\{path}");
                }
                return edit_key(hive, hive.root(), &Edit { key: path, ..edit.clone() }, false);
            }
        }
        report.not_applied.push(format!("registry key {}: it is in no hive of the image", edit.key));
        Ok(())
    }

    /// Warns of filters of the driver's devices that are not services: Windows does not start a device with such a
    /// filter.
    fn check_filters(&mut self, package: &Package, report: &mut DriverReport) -> Result<()> {
        let services = format!(r"{}\Services", self.image.control_set()?);
        let Some(hive) = self.image.hive(HiveFile::System)? else { return Ok(()) };
        let edits = package.configurations.iter().flat_map(|configuration| &configuration.device);
        for edit in edits.flat_map(|edits| edits.iter()) {
            let is_filter = FILTERS.iter().any(|name| edit.name.eq_ignore_ascii_case(name)) && edit.key.is_empty();
            let names = match &edit.action {
                Action::Set(value) | Action::SetNew(value) => value.texts().or_else(|| Some(vec![value.text()?])),
                Action::Append(texts) => Some(texts.clone()),
                _ => None,
            };
            for name in names.into_iter().flatten().filter(|name| is_filter && !name.is_empty()) {
                if hive.find(&format!(r"{services}\{name}")).is_none() {
                    report.warnings.push(format!(
                        "its devices get the filter {name} ({}), and the image has no such service: Windows does not \
                         start a device without its filters",
                        edit.name
                    ));
                }
            }
        }
        Ok(())
    }

    /// Creates the key of the driver's class if the image does not have it.
    fn write_class(&mut self, package: &Package) -> Result<()> {
        let path = format!(r"{}\Control\Class\{{{}}}", self.image.control_set()?, package.version.class_guid);
        let hive = self.image.edit(HiveFile::System)?;
        if package.class_edits.is_empty() || hive.find(&path).is_some() {
            return Ok(());
        }
        let key = hive.create_key(hive.root(), &path)?;
        hive.set_value(key, "Class", Value::sz(&package.version.class))?;
        for edit in package.class_edits.iter().flat_map(|edits| edits.iter()) {
            edit_key(hive, key, edit, false)?;
        }
        Ok(())
    }

    /// Records that files belong to a driver package.
    fn write_lockdown(&mut self, package: &Package, inf: &str) -> Result<()> {
        let Some(software) = self.image.edit_if_there(HiveFile::Software)? else { return Ok(()) };
        let parent = software.create_key(software.root(), LOCKDOWN)?;
        for (index, destination) in &package.copies {
            let Some(in_windows) = destination.strip_prefix(r"Windows\") else { continue };
            let name = format!("%SystemRoot%/{}", in_windows.replace('\\', "/"));
            let key = software.create_child(parent, name.as_str())?;
            // As observed after installations with and without PnpLockdown.
            software.set_value(key, "Class", Value::dword(if package.version.lockdown { 4 } else { 5 }))?;
            append(software, key, "Owners", &[inf.to_owned()])?;
            let folder = REPOSITORY.trim_start_matches("Windows");
            let source = format!(r"%SystemRoot%{folder}\{}\{}", package.label, package.files.files[*index].path);
            software.set_value(key, "Source", Value::expand_sz(&source))?;
        }
        Ok(())
    }
}

fn report(package: &Package) -> DriverReport {
    let copies = package.files.files.iter();
    let inf = package.inf.len() as u64;
    let version = package.version.version.map(|part| part.to_string()).join(".");
    let ids = package.models.iter().flat_map(|device| device.model.hardware.iter().chain(&device.model.compatible));
    let mut devices: Vec<String> = ids.cloned().collect();
    devices.sort();
    devices.dedup();
    DriverReport {
        inf: package.name.clone(),
        published: None,
        package: package.label.clone(),
        provider: package.version.provider.clone(),
        class: package.version.class.clone(),
        version,
        devices,
        services: package.services.values().map(|service| service.name.clone()).collect(),
        boot_critical: package.boot_critical,
        has_catalog: package.catalog.is_some(),
        files: 1 + copies.len() as u64,
        bytes_added: 2 * inf + copies.map(|source| source.file.len()).sum::<u64>(),
        not_applied: package.not_applied.clone(),
        warnings: package.warnings.clone(),
    }
}

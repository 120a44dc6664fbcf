//! Putting a driver package into an image.

use std::collections::BTreeSet;

use super::FIRST_BLOB;
use super::add_reg::{Action, Edit, Root};
use super::database::{self, Published};
use super::files::SourceFile;
use super::package::Package;
use super::place::{REPOSITORY, relative};
use super::service::{Service, Text};
use super::target::Target;
use crate::content::{BlobStore, Content, WithFiles};
use crate::error::{Error, Result};
use crate::registry::{Hive, KeyId, Value, ValueKind};
use crate::report::DriverReport;
use crate::tree::{Entry, FileTree, Node, NodeId, Times};
use crate::types::{FileTime, Utf16Name};

const SYSTEM: &str = r"Windows\System32\config\SYSTEM";
const SOFTWARE: &str = r"Windows\System32\config\SOFTWARE";
/// Where Windows keeps the database of drivers that it can start without.
const DRIVERS: &str = r"Windows\System32\config\DRIVERS";
const INF: &str = r"Windows\INF";
/// Catalogs of the subsystem that checks drivers.
const CATALOGS: &str = r"Windows\System32\CatRoot\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";
const LOCKDOWN: &str = r"Microsoft\Windows\CurrentVersion\Setup\PnpLockdownFiles";
/// Windows gives no higher number.
const MAX_OEM: u32 = 10_000;

/// The image under edit.
pub(super) struct Image<'a> {
    tree: &'a mut FileTree,
    time: FileTime,
    system: Hive,
    software: Option<Hive>,
    drivers: Option<Hive>,
    /// Name of the control set that is in use.
    control_set: String,
    /// Files with lower numbers are the image's own.
    first_node: usize,
    /// Numbers below it are taken.
    next_number: u32,
}

impl<'a> Image<'a> {
    pub fn open(tree: &'a mut FileTree, blobs: &dyn BlobStore, time: FileTime) -> Result<Self> {
        let open = |path| -> Result<Option<Hive>> {
            let hive = Hive::open(tree, blobs, path)?;
            Ok(hive.map(|mut hive| {
                hive.set_time(time);
                hive
            }))
        };
        let Some(system) = open(SYSTEM)? else {
            return Err(Error::not_found("the image has no such registry hive")
                .with_path(SYSTEM)
                .with_hint("drivers can only be added to images of an installed Windows, not to install media"));
        };
        let (software, drivers) = (open(SOFTWARE)?, open(DRIVERS)?);
        let select = system.find("Select").ok_or_else(|| Error::corrupt("registry hive without the key `Select`"));
        let select = select.map_err(|error| error.with_path(SYSTEM))?;
        let number = ["Current", "Default"].into_iter().find_map(|name| system.value(select, name)?.as_dword());
        let control_set = format!("ControlSet{:03}", number.unwrap_or(1));
        let first_node = tree.node_count();
        Ok(Self { tree, time, system, software, drivers, control_set, first_node, next_number: 0 })
    }

    /// Writes the hives back.
    pub fn save(self) -> Result<()> {
        self.system.save(self.tree, SYSTEM)?;
        self.software.map_or(Ok(()), |hive| hive.save(self.tree, SOFTWARE))?;
        self.drivers.map_or(Ok(()), |hive| hive.save(self.tree, DRIVERS))
    }

    /// Installs a package, whose files are blobs from the number `first` of driver files on.
    pub fn install(&mut self, mut package: Package, target: &Target, first: usize) -> Result<DriverReport> {
        let mut report = report(&package);
        if self.tree.find(&format!(r"{REPOSITORY}\{}", package.label)).is_some() {
            let published = database::published_name(&self.system, &package.label)
                .or_else(|| database::published_name(self.drivers.as_ref()?, &package.label));
            report.published = published;
            report.not_applied = vec!["the image has this driver already".into()];
            (report.files, report.bytes_added) = (0, 0);
            return Ok(report);
        }
        let number = self.free_number()?;
        let name = format!("oem{number}.inf");
        self.place_files(&package, number, first, &mut report)?;

        let services = std::mem::take(&mut package.services);
        let has_now = |service: &&Service| package.boot_critical || service.is_on_demand();
        for service in services.values().filter(has_now) {
            self.write_service(service, &name, &mut report)?;
        }
        if package.boot_critical {
            for edit in &package.edits {
                self.edit_machine(edit, &mut report)?;
            }
            self.write_class(&package)?;
            self.write_lockdown(&package, &name)?;
        }
        let published = Published { name: &name, package: &package, services: &services, time: self.time };
        let others = if package.boot_critical { None } else { self.drivers.as_mut() };
        database::write(others.unwrap_or(&mut self.system), &published, target)?;
        database::mark_number(&mut self.system, number, self.time)?;
        report.published = Some(name);
        Ok(report)
    }

    /// The lowest number that no driver has.
    fn free_number(&mut self) -> Result<u32> {
        let is_free = |number: &u32| {
            let name = format!("oem{number}.inf");
            let hives = [Some(&self.system), self.drivers.as_ref()];
            self.tree.find(&format!(r"{INF}\{name}")).is_none()
                && self.tree.find(&format!(r"{CATALOGS}\oem{number}.cat")).is_none()
                && hives.into_iter().flatten().all(|hive| !database::has(hive, &name))
        };
        let number = (self.next_number..MAX_OEM).find(is_free);
        let number = number.ok_or_else(|| Error::unsupported(format!("the image has {MAX_OEM} drivers already")))?;
        self.next_number = number + 1;
        Ok(number)
    }

    fn place_files(&mut self, package: &Package, number: u32, first: usize, report: &mut DriverReport) -> Result<()> {
        let folder = format!(r"{REPOSITORY}\{}", package.label);
        let inf: Content = package.inf.clone().into();
        self.write(&format!(r"{folder}\{}", package.name), inf.clone())?;
        self.write(&format!(r"{INF}\oem{number}.inf"), inf)?;
        let mut nodes = Vec::new();
        for (index, SourceFile { path, file, .. }) in package.files.files.iter().enumerate() {
            let content = WithFiles::content_from(FIRST_BLOB, first + index, file);
            nodes.push(self.write(&format!(r"{folder}\{path}"), content)?);
        }
        // One file in all its places, as Windows has its own drivers.
        let copies = package.copies.iter().filter(|(_, destination)| {
            package.boot_critical
                || package.services.values().any(|service| service.is_on_demand() && service.is_in(destination))
        });
        for (index, destination) in copies {
            if self.place(destination, nodes[*index])? {
                report.warnings.push(format!("{destination} of the image is replaced"));
            }
        }
        if let Some(catalog) = package.catalog {
            self.place(&format!(r"{CATALOGS}\oem{number}.cat"), nodes[catalog])?;
        }
        Ok(())
    }

    /// A new file.
    fn write(&mut self, path: &str, content: Content) -> Result<NodeId> {
        let node = self.tree.add_node(Node::file(Times::all(self.time), content));
        self.place(path, node)?;
        Ok(node)
    }

    /// Gives a file the path `path`; `true` if one of the image had it. New directories inherit their descriptors.
    fn place(&mut self, path: &str, node: NodeId) -> Result<bool> {
        let path = relative(path)?;
        let (directory, name) = path.rsplit_once('\\').unwrap_or(("", &path));
        let known = self.tree.node_count();
        let directory = self.tree.create_directories(directory, Times::all(self.time))?;
        for number in known..self.tree.node_count() {
            self.tree[NodeId(number as u32)].security = None;
        }
        let name = Utf16Name::from(name);
        let old = self.tree.child(directory, &name);
        if let Some(old) = old {
            if self.tree[old].is_directory() {
                return Err(Error::recipe(format!("`{path}` is a directory in the image, not a file")));
            }
            // The old file may have other names, which keep it.
            let children = self.tree[directory].children.as_mut().expect("it has a child");
            children.retain(|known, entry| entry.node != old || !known.eq_ignore_case(&name));
        }
        self.tree.link(directory, name, Entry { short_name: None, node })?;
        Ok(old.is_some_and(|old| (old.0 as usize) < self.first_node))
    }

    fn write_service(&mut self, service: &Service, inf: &str, report: &mut DriverReport) -> Result<()> {
        let path = format!(r"{}\Services\{}", self.control_set, service.name);
        let root = self.system.root();
        let hive = &mut self.system;
        let is_new = hive.find(&path).is_none();
        let key = hive.create_key(root, &path)?;
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
        // A start type that the image has for its own hardware would win.
        if let Some(start) = hive.child(key, "StartOverride") {
            hive.delete_key(start)?;
        }
        for edit in &service.edits {
            match edit.root {
                Root::Relative => edit_key(&mut self.system, key, edit, false)?,
                Root::Machine | Root::Classes => self.edit_machine(edit, report)?,
            }
        }
        if let Some(version) = &service.kmdf_version {
            let wdf = self.system.create_key(key, r"Parameters\Wdf")?;
            self.system.set_value(wdf, "KmdfLibraryVersion", Value::sz(version))?;
        }
        if let Some((log, source, edits)) = &service.event_log {
            let path = format!(r"{}\Services\EventLog\{log}\{source}", self.control_set);
            let key = self.system.create_key(root, &path)?;
            for edit in edits.iter().filter(|edit| edit.root == Root::Relative) {
                edit_key(&mut self.system, key, edit, false)?;
            }
        }
        Ok(())
    }

    /// An edit of HKLM or HKCR.
    fn edit_machine(&mut self, edit: &Edit, report: &mut DriverReport) -> Result<()> {
        let (first, rest) = edit.key.split_once('\\').unwrap_or((&edit.key, ""));
        let (hive, path) = match (edit.root, first.to_ascii_uppercase().as_str()) {
            (Root::Classes, _) => (self.software.as_mut(), format!(r"Classes\{}", edit.key)),
            (_, "SOFTWARE") => (self.software.as_mut(), rest.to_owned()),
            (_, "SYSTEM") => {
                let (set, below) = rest.split_once('\\').unwrap_or((rest, ""));
                let is_current = set.eq_ignore_ascii_case("CurrentControlSet");
                let path = if is_current { format!(r"{}\{below}", self.control_set) } else { rest.to_owned() };
                (Some(&mut self.system), path)
            }
            _ => (None, String::new()),
        };
        match hive {
            Some(hive) if !path.trim_end_matches('\\').is_empty() => edit_key_at(hive, &path, edit),
            _ => {
                report.not_applied.push(format!("registry key {}: it is in no hive of the image", edit.key));
                Ok(())
            }
        }
    }

    /// Makes the key of the driver's class if the image does not know it.
    fn write_class(&mut self, package: &Package) -> Result<()> {
        let path = format!(r"{}\Control\Class\{{{}}}", self.control_set, package.version.class_guid);
        let root = self.system.root();
        if package.class_edits.is_empty() || self.system.find(&path).is_some() {
            return Ok(());
        }
        let key = self.system.create_key(root, &path)?;
        self.system.set_value(key, "Class", Value::sz(&package.version.class))?;
        for edit in package.class_edits.iter().filter(|edit| edit.root == Root::Relative) {
            edit_key(&mut self.system, key, edit, false)?;
        }
        Ok(())
    }

    /// Tells Windows that files belong to a driver package.
    fn write_lockdown(&mut self, package: &Package, inf: &str) -> Result<()> {
        let Some(software) = &mut self.software else { return Ok(()) };
        let parent = software.create_key(software.root(), LOCKDOWN)?;
        for (index, destination) in &package.copies {
            let Some(in_windows) = destination.strip_prefix(r"Windows\") else { continue };
            let name = format!("%SystemRoot%/{}", in_windows.replace('\\', "/"));
            let key = software.create_child(parent, name.as_str())?;
            // As seen after installations with and without PnpLockdown.
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

/// Makes an edit below `parent`. A deferred one is not made but written down, for Windows to make it in the key of the
/// device: what depends on the value that is there carries flags in the upper half of its type.
pub(super) fn edit_key(hive: &mut Hive, parent: KeyId, edit: &Edit, deferred: bool) -> Result<()> {
    let flagged = |value: &Value, flag: u32| Value::new(ValueKind(value.kind.0 | flag << 16), value.data.clone());
    if let Action::Delete = edit.action {
        let key = hive.find_from(parent, &edit.key).filter(|_| !deferred);
        return match key {
            Some(key) if !edit.name.is_empty() => hive.delete_value(key, edit.name.as_str()).map(|_| ()),
            Some(key) if !edit.key.is_empty() => hive.delete_key(key),
            _ => Ok(()),
        };
    }
    let is_there = |hive: &Hive| {
        hive.find_from(parent, &edit.key).is_some_and(|key| hive.value(key, edit.name.as_str()).is_some())
    };
    if matches!(edit.action, Action::SetOld(_)) && !deferred && !is_there(hive) {
        return Ok(());
    }
    let key = hive.create_key(parent, &edit.key)?;
    let name = edit.name.as_str();
    match &edit.action {
        Action::Key | Action::Delete => Ok(()),
        Action::Set(value) => hive.set_value(key, name, value.clone()),
        Action::SetNew(value) if deferred => hive.set_value(key, name, flagged(value, 0x2)),
        Action::SetNew(_) if hive.value(key, name).is_some() => Ok(()),
        Action::SetOld(value) if deferred => hive.set_value(key, name, flagged(value, 0x20)),
        Action::SetNew(value) | Action::SetOld(value) => hive.set_value(key, name, value.clone()),
        Action::Append(texts) if deferred => hive.set_value(key, name, flagged(&Value::multi_sz(texts), 0x8)),
        Action::Append(texts) => append(hive, key, name, texts),
    }
}

fn edit_key_at(hive: &mut Hive, path: &str, edit: &Edit) -> Result<()> {
    let root = hive.root();
    edit_key(hive, root, &Edit { key: path.into(), ..edit.clone() }, false)
}

/// Adds those of `texts` to the strings of a value that it lacks.
fn append(hive: &mut Hive, key: KeyId, name: &str, texts: &[String]) -> Result<()> {
    let mut all = hive.value(key, name).and_then(|value| value.texts()).unwrap_or_default();
    let mut known: BTreeSet<String> = all.iter().map(|text| text.to_lowercase()).collect();
    all.extend(texts.iter().filter(|text| !text.is_empty() && known.insert(text.to_lowercase())).cloned());
    hive.set_value(key, name, Value::multi_sz(all))
}

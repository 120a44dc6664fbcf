//! Services that a driver installs.
//!
//! Sources: "INF AddService Directive" on learn.microsoft.com. The names of the values are those that Windows writes.

use super::add_reg::{self, Edit};
use super::inf::{Inf, Line, bad_line, number};
use super::place::{self, Style};
use super::section::Section;
use crate::error::Result;

/// The service is the driver of the device.
const ASSOCIATED: u32 = 0x2;
/// Flags that keep an existing value of a service, and the name of that value.
const KEEP: [(u32, &str); 6] = [
    (0x8, "DisplayName"),
    (0x10, "Start"),
    (0x20, "ErrorControl"),
    (0x40, "Group"),
    (0x80, "DependOnService"),
    (0x100, "Description"),
];
/// Service types that the kernel loads.
const KERNEL_TYPES: u32 = 0xB;
pub(super) const BOOT_START: u32 = 0;
const DEMAND_START: u32 = 3;

/// A text that may be a replaceable string, so that Windows can translate it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// Name of the replaceable string.
    pub name: Option<String>,
    pub text: String,
}

impl Text {
    /// The text of a field.
    pub fn of(inf: &Inf, field: &str) -> Result<Self> {
        let name = field.strip_prefix('%').and_then(|rest| rest.strip_suffix('%'));
        let name = name.filter(|name| inf.string(name).is_some()).map(str::to_owned);
        Ok(Self { name, text: inf.expand(field)? })
    }
}

/// A service.
#[derive(Debug)]
pub(super) struct Service {
    pub name: String,
    /// The INF file of Windows that installs it; `None` for the driver's own file.
    pub of: Option<String>,
    pub kind: u32,
    pub start: u32,
    pub error_control: u32,
    pub image_path: String,
    pub group: Option<String>,
    pub display_name: Option<Text>,
    pub description: Option<Text>,
    pub account: Option<String>,
    pub depends_on_services: Vec<String>,
    pub depends_on_groups: Vec<String>,
    pub boot_flags: Option<u32>,
    /// Names of values that are kept if the service exists already.
    pub keeps: Vec<&'static str>,
    /// Relative to the service's key.
    pub edits: Vec<Edit>,
    /// Name of the event log (`System`), name of the source in it, and edits relative to the source's key.
    pub event_log: Option<(String, String, Vec<Edit>)>,
    /// Version of the kernel-mode driver framework that it needs.
    pub kmdf_version: Option<String>,
}

impl Service {
    /// Whether it does nothing before a device is there. Such services are installed from the start; others only when
    /// Windows finds a device.
    pub fn is_on_demand(&self) -> bool {
        self.kind & KERNEL_TYPES != 0 && self.start == DEMAND_START
    }

    /// Whether its program is the file at `path`.
    pub fn is_in(&self, path: &str) -> bool {
        let name = |path: &str| path.rsplit('\\').next().map(str::to_lowercase);
        name(&self.image_path) == name(path)
    }
}

/// The contents of a services section.
#[derive(Default)]
pub(super) struct Services {
    pub services: Vec<Service>,
    /// The service that is the driver of the device.
    pub associated: Option<String>,
}

/// Reads the AddService lines of a services section into `services`.
pub(super) fn read(
    section: &Section<'_>,
    package: &str,
    services: &mut Services,
    not_applied: &mut Vec<String>,
) -> Result<()> {
    let inf = section.inf;
    for line in section.lines()? {
        let Some(key) = &line.key else { continue };
        match key.to_ascii_lowercase().as_str() {
            "addservice" => {}
            "include" | "needs" => continue,
            _ => {
                not_applied.push(section.shown(line));
                continue;
            }
        }
        let text = |index: usize| inf.expand(line.fields.get(index).map_or("", String::as_str));
        let name = text(0)?;
        let flags = number(&text(1)?).unwrap_or(0);
        // A line without a name means that the device needs no driver.
        if name.is_empty() {
            continue;
        }
        if name.contains(['\\', '/']) || name.encode_utf16().count() > 255 {
            return Err(bad_line(line.number, "this is not a name of a service"));
        }
        if flags & ASSOCIATED != 0 {
            services.associated = Some(name.clone());
        }
        let mut service = service(inf, line, name, &text(2)?, package, not_applied)?;
        service.of = section.file.map(str::to_owned);
        service.keeps = KEEP.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, value)| *value).collect();
        let events = text(3)?;
        if !events.is_empty() {
            let log = Some(text(4)?).filter(|log| !log.is_empty()).unwrap_or_else(|| "System".into());
            let source = Some(text(5)?).filter(|source| !source.is_empty()).unwrap_or_else(|| service.name.clone());
            service.event_log = Some((log, source, add_reg::all(inf, &events, package, not_applied)?));
        }
        services.services.push(service);
    }
    Ok(())
}

fn service(
    inf: &Inf,
    line: &Line,
    name: String,
    section: &str,
    package: &str,
    not_applied: &mut Vec<String>,
) -> Result<Service> {
    if !inf.has(section) {
        return Err(bad_line(line.number, &format!("there is no section [{section}] for the service {name}")));
    }
    let required = |key: &str| -> Result<u32> {
        let value = inf.value(section, key)?.as_deref().and_then(number);
        value.ok_or_else(|| bad_line(line.number, &format!("the service {name} has no {key} in [{section}]")))
    };
    let (kind, start) = (required("ServiceType")?, required("StartType")?);
    let error_control = required("ErrorControl")?;
    let style = match (kind & KERNEL_TYPES != 0, start) {
        (true, BOOT_START) => Style::Boot,
        (true, _) => Style::Kernel,
        (false, _) => Style::Environment,
    };
    let binary = inf.lines(section)?.iter().find(|line| line.has_key("ServiceBinary"));
    let image_path = match binary.and_then(|line| line.field(0)) {
        Some(field) => inf.expand_with(field, &|id| place::directory(id, package, style))?,
        None => return Err(bad_line(line.number, &format!("the service {name} has no ServiceBinary in [{section}]"))),
    };
    let edits = add_reg::all(inf, section, package, not_applied)?;
    let mut service = Service {
        of: None,
        kind,
        start,
        error_control,
        image_path,
        group: inf.value(section, "LoadOrderGroup")?,
        display_name: None,
        description: None,
        account: inf.value(section, "StartName")?,
        depends_on_services: Vec::new(),
        depends_on_groups: Vec::new(),
        boot_flags: inf.value(section, "BootFlags")?.as_deref().and_then(number),
        keeps: Vec::new(),
        edits,
        event_log: None,
        kmdf_version: None,
        name,
    };
    for line in inf.lines(section)? {
        let Some(key) = &line.key else { continue };
        let field = line.field(0);
        match key.to_ascii_lowercase().as_str() {
            "displayname" => service.display_name = field.map(|field| Text::of(inf, field)).transpose()?,
            "description" => service.description = field.map(|field| Text::of(inf, field)).transpose()?,
            "dependencies" => {
                for field in line.fields.iter().filter(|field| !field.is_empty()) {
                    let name = inf.expand(field)?;
                    match name.strip_prefix('+') {
                        Some(group) => service.depends_on_groups.push(group.into()),
                        None => service.depends_on_services.push(name),
                    }
                }
            }
            "servicetype" | "starttype" | "errorcontrol" | "servicebinary" | "loadordergroup" | "startname"
            | "addreg" | "delreg" | "bootflags" => {}
            _ => not_applied.push(format!("[{section}], line {}: {}", line.number, line.shown())),
        }
    }
    Ok(service)
}

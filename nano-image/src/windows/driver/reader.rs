//! Reading the sections of one INF file: what is copied, edited and installed, and what is left.

use std::collections::{BTreeMap, BTreeSet};

use super::add_reg::{self, Action, Edit, Root};
use super::inf::{Inf, Line, number};
use super::place::{self, Style};
use super::service::{self, Services};
use super::target::Target;
use crate::error::{Error, Result};
use crate::registry::Value;

/// Lines of the install section of a network adapter that become values of its driver, and whether these are texts.
const NET_VALUES: [(&str, bool); 5] = [
    ("Characteristics", false),
    ("BusType", true),
    ("*IfType", false),
    ("*MediaType", false),
    ("*PhysicalMediaType", false),
];
/// Lines of an install section that are read elsewhere, and one that Windows reads from the file again.
const KNOWN: [&str; 6] = ["CopyFiles", "AddReg", "Include", "Needs", "DriverVer", "FeatureScore"];
/// The score of a driver that names none.
const NO_FEATURE_SCORE: u8 = 0xFF;
/// What may follow the name of an install section and is left to Windows.
const LEFT_SECTIONS: [&str; 9] =
    ["Interfaces", "Components", "Software", "Events", "Filters", "WMI", "FactDef", "LogConfigOverride", "Extensions"];

/// Reads the sections of one file.
pub(super) struct Reader<'a> {
    inf: &'a Inf,
    /// Name of the package in the driver store; empty while it is not known.
    pub package: String,
    pub not_applied: Vec<String>,
}

/// Files to copy.
#[derive(Default)]
pub(super) struct Copies {
    /// Name in the source, and path in the image; `None` for what is only in the package.
    files: Vec<(String, Option<String>)>,
    known: BTreeSet<String>,
}

impl Copies {
    fn add(&mut self, source: String, destination: Option<String>) {
        // Of two files that go to one place the first counts, as in Windows.
        if destination.as_ref().is_none_or(|destination| self.known.insert(destination.to_lowercase())) {
            self.files.push((source, destination));
        }
    }

    /// Names in the source.
    pub fn sources(&self) -> Vec<String> {
        self.files.iter().map(|(source, _)| source.clone()).collect()
    }

    /// Names in the source and paths in the image.
    pub fn outside(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(source, destination)| Some((source.as_str(), destination.as_deref()?)))
    }
}

impl<'a> Reader<'a> {
    pub fn new(inf: &'a Inf) -> Self {
        Self { inf, package: String::new(), not_applied: Vec::new() }
    }

    /// A section and those that it needs, as far as they are in the file. Others are left, and said so.
    pub fn with_needs(&mut self, section: &str) -> Result<Vec<String>> {
        let (sections, missing) = self.needs(section)?;
        self.not_applied.extend(missing);
        Ok(sections)
    }

    fn needs(&self, section: &str) -> Result<(Vec<String>, Vec<String>)> {
        let (mut sections, mut missing, mut next) = (vec![section.to_owned()], Vec::new(), 0);
        let mut known = BTreeSet::from([section.to_lowercase()]);
        while let Some(section) = sections.get(next).cloned() {
            next += 1;
            let files = self.inf.list(&section, "Include")?.join(", ");
            let needed = self.inf.list(&section, "Needs")?;
            if needed.is_empty() && !files.is_empty() {
                missing.push(format!("[{section}]: Include {files}: other INF files are not read"));
            }
            for needed in needed {
                if !self.inf.has(&needed) {
                    missing.push(format!("[{section}]: Needs {needed}: it is in another INF file ({files})"));
                } else if known.insert(needed.to_lowercase()) {
                    sections.push(needed);
                }
            }
        }
        Ok((sections, missing))
    }

    /// Edits of the AddReg lines of a section.
    pub fn edits(&mut self, section: &str) -> Result<Vec<Edit>> {
        let mut edits = Vec::new();
        for section in self.inf.list(section, "AddReg")? {
            edits.extend(add_reg::read(self.inf, &section, &self.package, &mut self.not_applied)?);
        }
        Ok(edits)
    }

    /// Edits of the class's key.
    pub fn class_edits(&mut self, target: &Target) -> Result<Vec<Edit>> {
        let sections = target.platforms().map(|platform| format!("ClassInstall32{platform}"));
        match sections.into_iter().find(|section| self.inf.has(section)) {
            Some(section) => self.edits(&section),
            None => Ok(Vec::new()),
        }
    }

    /// Values of a network adapter's driver that stand in its install section; other lines that are not known are left.
    pub fn directives(&mut self, section: &str, is_net: bool) -> Result<Vec<Edit>> {
        let mut edits = Vec::new();
        for line in self.inf.lines(section)? {
            if KNOWN.iter().any(|name| line.has_key(name)) {
                continue;
            }
            let text = self.inf.expand(line.field(0).unwrap_or_default())?;
            let found = NET_VALUES.iter().filter(|_| is_net).find(|(name, _)| line.has_key(name));
            let value = found.and_then(|(name, is_text)| {
                let value = if *is_text { Some(Value::sz(&text)) } else { number(&text).map(Value::dword) };
                Some(((*name).to_owned(), Action::Set(value?)))
            });
            match value {
                Some((name, action)) => edits.push(Edit { root: Root::Relative, key: String::new(), name, action }),
                None => self.leave(section, line),
            }
        }
        Ok(edits)
    }

    /// How good the driver is among others for its device: the lower, the better.
    pub fn feature_score(&mut self, section: &str) -> Result<u8> {
        let Some(text) = self.inf.value(section, "FeatureScore")? else { return Ok(NO_FEATURE_SCORE) };
        let digits = text.trim_start_matches("0x").trim_start_matches("0X");
        Ok(u8::from_str_radix(digits, 16).unwrap_or_else(|_| {
            self.not_applied.push(format!("[{section}]: FeatureScore {text}: two hexadecimal digits are expected"));
            NO_FEATURE_SCORE
        }))
    }

    /// The services of a services section.
    pub fn services(&mut self, section: &str, services: &mut Services) -> Result<()> {
        service::read(self.inf, section, &self.package, services, &mut self.not_applied)
    }

    /// The versions of driver frameworks that services are made for.
    pub fn frameworks(&mut self, name: &str, services: &mut Services) -> Result<()> {
        let section = format!("{name}.Wdf");
        let mut versions = BTreeMap::new();
        for line in self.inf.lines(&section)? {
            if !line.has_key("KmdfService") {
                self.leave(&section, line);
                continue;
            }
            let service = self.inf.expand(line.field(0).unwrap_or_default())?;
            let framework = self.inf.expand(line.field(1).unwrap_or_default())?;
            let version = self.inf.value(&framework, "KmdfLibraryVersion")?;
            versions.insert(service.to_lowercase(), version);
        }
        for service in &mut services.services {
            service.kmdf_version = versions.get(&service.name.to_lowercase()).cloned().flatten();
        }
        Ok(())
    }

    /// Says what else belongs to an install section and is left to Windows, which reads the file when it finds the
    /// device.
    pub fn left(&mut self, name: &str) -> Result<()> {
        let co_installers = format!("{name}.CoInstallers");
        for list in self.inf.list(&co_installers, "AddReg")? {
            if !self.inf.lines(&list)?.is_empty() {
                self.not_applied.push(format!("[{co_installers}]: co-installers run when Windows finds the device"));
            }
        }
        for left in LEFT_SECTIONS {
            let section = format!("{name}.{left}");
            if !self.inf.lines(&section)?.is_empty() {
                self.not_applied.push(format!("[{section}]: read by Windows when it finds the device"));
            }
        }
        Ok(())
    }

    fn leave(&mut self, section: &str, line: &Line) {
        let fields = line.fields.iter().filter(|field| !field.is_empty()).cloned().collect::<Vec<_>>().join(", ");
        let key = line.key.as_deref().unwrap_or_default();
        self.not_applied.push(format!("[{section}], line {}: {}", line.number, format!("{key} {fields}").trim()));
    }

    /// Adds what an install section copies to `copies`. Co-installers belong to the package too.
    pub fn copies(&self, name: &str, copies: &mut Copies) -> Result<()> {
        let (mut sections, _) = self.needs(name)?;
        sections.push(format!("{name}.CoInstallers"));
        for section in sections {
            for list in self.inf.list(&section, "CopyFiles")? {
                if let Some(file) = list.strip_prefix('@') {
                    copies.add(file.into(), self.destination("DefaultDestDir", file)?);
                    continue;
                }
                let has_place = self.inf.lines("DestinationDirs")?.iter().any(|line| line.has_key(&list));
                let place = if has_place { list.as_str() } else { "DefaultDestDir" };
                for line in self.inf.lines(&list)? {
                    let text = |index: usize| self.inf.expand(line.fields.get(index).map_or("", String::as_str));
                    let name = text(0)?;
                    let source = Some(text(1)?).filter(|source| !source.is_empty()).unwrap_or_else(|| name.clone());
                    if !name.is_empty() {
                        copies.add(source, self.destination(place, &name)?);
                    }
                }
            }
        }
        Ok(())
    }

    /// The path in the image of a file that a section copies; `None` for what stays in the package.
    fn destination(&self, section: &str, file: &str) -> Result<Option<String>> {
        let file = place::relative(file)?;
        let Some(line) = self.inf.lines("DestinationDirs")?.iter().find(|line| line.has_key(section)) else {
            return Ok(Some(format!(r"Windows\System32\{file}")));
        };
        let in_line = |error: Error| error.within(format_args!("line {}", line.number));
        let id = place::identifier(&self.inf.expand(line.field(0).unwrap_or_default())?).map_err(in_line)?;
        let subdirectory = self.inf.expand(line.fields.get(1).map_or("", String::as_str))?;
        if place::is_package(id) {
            return Ok(None);
        }
        let directory = place::directory(id, &self.package, Style::Image).unwrap_or_default();
        place::relative(&format!(r"{directory}\{subdirectory}\{file}")).map(Some).map_err(in_line)
    }
}

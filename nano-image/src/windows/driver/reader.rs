//! Reads the sections of one INF file: what is copied, edited and installed, and what is left to Windows.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::add_reg::{self, Action, Edit, Root};
use super::inf::{Inf, Line, number};
use super::place::{self, Style};
use super::section::{self, Included, Section, SectionKey};
use super::service::{self, Services};
use super::target::Target;
use crate::error::{Error, Result};
use crate::registry::Value;

/// Lines in the install section of a network adapter that become values of its driver; the flag says whether the value
/// is text.
const NET_VALUES: [(&str, bool); 5] = [
    ("Characteristics", false),
    ("BusType", true),
    ("*IfType", false),
    ("*MediaType", false),
    ("*PhysicalMediaType", false),
];
/// Lines of sections that are read elsewhere, and one that Windows reads from the file itself.
const KNOWN: [&str; 8] = ["CopyFiles", "CopyINF", "AddReg", "DelReg", "Include", "Needs", "DriverVer", "FeatureScore"];
/// The score of a driver without one.
const NO_FEATURE_SCORE: u8 = 0xFF;
/// Suffixes of install sections that are left to Windows.
const LEFT_SECTIONS: [&str; 9] =
    ["Filters", "Interfaces", "Components", "Software", "Events", "WMI", "FactDef", "LogConfigOverride", "Extensions"];
/// Values that name co-installers.
const CO_INSTALLERS: &str = "CoInstallers32";

/// Reads the sections of one file.
pub(super) struct Reader<'a> {
    inf: &'a Inf,
    /// INF files of the image.
    included: &'a Included,
    /// Name of the package in the driver store; empty as long as it is not known.
    pub package: String,
    pub not_applied: Vec<String>,
    /// INF files of the image that sections include, in lower case.
    pub includes: BTreeSet<String>,
    known: Known<'a>,
}

/// What was read of sections already. Many install sections may need the same section.
#[derive(Default)]
struct Known<'a> {
    /// The sections that each section needs itself.
    needs: BTreeMap<SectionKey<'a>, Rc<[Section<'a>]>>,
    edits: BTreeMap<SectionKey<'a>, SectionEdits>,
    directives: BTreeMap<SectionKey<'a>, Arc<[Edit]>>,
    /// What was done with a section and is not to be done again.
    done: BTreeSet<(Step, SectionKey<'a>)>,
}

/// What is done with a section once, however many others need it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Its edits of the machine's registry are taken.
    Machine,
    Companions,
    Interfaces,
    IncludedCopies,
    /// What it leaves undone is told, as the kind of section that it is.
    Services,
    Frameworks,
    CoInstallers,
    Left,
}

/// The edits of the registry that a section wants.
#[derive(Clone)]
pub(super) struct SectionEdits {
    /// Relative to what the section is for.
    pub relative: Arc<[Edit]>,
    pub others: Arc<[Edit]>,
}

/// Files to copy.
#[derive(Default)]
pub(super) struct Copies<'a> {
    /// Name in the source, and path in the image; `None` for a file that is only in the package.
    files: Vec<(String, Option<String>)>,
    known: BTreeSet<String>,
    /// Sections that were read.
    sections: BTreeSet<SectionKey<'a>>,
    /// Files for directories that only Windows knows: their names, and the reasons.
    pub unknown: Vec<(String, String)>,
}

/// Where a file goes.
enum Destination {
    /// Nowhere: it stays in the package.
    Package,
    /// A path in the image.
    Image(String),
    /// A directory that only Windows knows, for this reason.
    Unknown(String),
}

impl Copies<'_> {
    fn add(&mut self, source: String, name: &str, destination: Destination) {
        let destination = match destination {
            Destination::Package => None,
            Destination::Image(path) => Some(path),
            Destination::Unknown(why) => {
                self.unknown.push((name.to_owned(), why));
                None
            }
        };
        // If two files go to one place, the first one is used, as in Windows.
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
    pub fn new(inf: &'a Inf, included: &'a Included) -> Self {
        let (package, not_applied, includes) = (String::new(), Vec::new(), BTreeSet::new());
        Self { inf, included, package, not_applied, includes, known: Known::default() }
    }

    /// Begins anew, but keeps the INF files of the image that are known to be included.
    pub fn restart(&mut self) {
        self.not_applied.clear();
        self.known = Known::default();
    }

    /// Whether `step` is done with `section` for the first time.
    pub fn is_first(&mut self, step: Step, section: &Section<'a>) -> bool {
        self.known.done.insert((step, section.key()))
    }

    /// A section and those that it needs. What cannot be found is reported.
    pub fn with_needs(&mut self, section: &str) -> Result<Vec<Section<'a>>> {
        let mut all = vec![Section { inf: self.inf, file: None, name: section.to_owned() }];
        let mut known = BTreeSet::from([all[0].key()]);
        let mut next = 0;
        while let Some(section) = all.get(next).cloned() {
            next += 1;
            all.extend(self.needs(&section)?.iter().filter(|needed| known.insert(needed.key())).cloned());
        }
        Ok(all)
    }

    /// The sections that a section needs itself.
    fn needs(&mut self, section: &Section<'a>) -> Result<Rc<[Section<'a>]>> {
        section.inf.spend(section.name.len() as u64 + 16)?;
        if let Some(known) = self.known.needs.get(&section.key()) {
            return Ok(Rc::clone(known));
        }
        let needed = section::needed(section, self.included)?;
        self.not_applied.extend(needed.missing);
        self.includes.extend(needed.files);
        let sections: Rc<[Section<'a>]> = needed.sections.into();
        self.known.needs.insert(section.key(), Rc::clone(&sections));
        Ok(sections)
    }

    /// Edits of the registry that a section wants.
    pub fn edits(&mut self, section: &Section<'a>) -> Result<SectionEdits> {
        if let Some(known) = self.known.edits.get(&section.key()) {
            return Ok(known.clone());
        }
        let edits = add_reg::all(section.inf, &section.name, &self.package, &mut self.not_applied)?;
        let (relative, others): (Vec<Edit>, Vec<Edit>) =
            edits.into_iter().partition(|edit| edit.root == Root::Relative);
        let edits = SectionEdits { relative: relative.into(), others: others.into() };
        self.known.edits.insert(section.key(), edits.clone());
        Ok(edits)
    }

    /// Edits of the class's key.
    pub fn class_edits(&mut self, target: &Target) -> Result<Vec<Arc<[Edit]>>> {
        let Some(section) = self.class_section(target) else { return Ok(Vec::new()) };
        self.with_needs(&section)?.iter().map(|section| Ok(self.edits(section)?.relative)).collect()
    }

    fn class_section(&self, target: &Target) -> Option<String> {
        let sections = target.platforms().map(|platform| format!("ClassInstall32{platform}"));
        sections.into_iter().find(|section| self.inf.has(section))
    }

    /// Values of a network adapter's driver in its install section. Other unknown lines are left to Windows.
    pub fn directives(&mut self, section: &Section<'a>, is_net: bool) -> Result<Arc<[Edit]>> {
        if let Some(known) = self.known.directives.get(&section.key()) {
            return Ok(Arc::clone(known));
        }
        let mut edits = Vec::new();
        for line in section.lines()? {
            if KNOWN.iter().any(|name| line.has_key(name)) {
                continue;
            }
            let text = section.inf.expand(line.field(0).unwrap_or_default())?;
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
        let edits: Arc<[Edit]> = edits.into();
        self.known.directives.insert(section.key(), Arc::clone(&edits));
        Ok(edits)
    }

    /// Rank of the driver among those for the same device: lower is better.
    pub fn feature_score(&mut self, section: &str) -> Result<u8> {
        let Some(text) = self.inf.value(section, "FeatureScore")? else { return Ok(NO_FEATURE_SCORE) };
        let digits = text.trim_start_matches("0x").trim_start_matches("0X");
        Ok(u8::from_str_radix(digits, 16).unwrap_or_else(|_| {
            self.not_applied.push(format!("[{section}]: FeatureScore {text}: two hexadecimal digits are expected"));
            NO_FEATURE_SCORE
        }))
    }

    /// The services of a services section.
    pub fn services(&mut self, section: &Section<'a>, services: &mut Services) -> Result<()> {
        let is_first = self.is_first(Step::Services, section);
        let mut told = Vec::new();
        service::read(section, &self.package, services, &mut told)?;
        self.not_applied.extend(told.into_iter().filter(|_| is_first));
        Ok(())
    }

    /// Reads the versions of driver frameworks that services need.
    pub fn frameworks(&mut self, name: &str, services: &mut Services) -> Result<()> {
        let mut versions = BTreeMap::new();
        for section in self.with_needs(&format!("{name}.Wdf"))? {
            let is_first = self.is_first(Step::Frameworks, &section);
            for line in section.lines()? {
                if !line.has_key("KmdfService") {
                    if is_first && !KNOWN.iter().any(|name| line.has_key(name)) {
                        self.leave(&section, line);
                    }
                    continue;
                }
                let service = section.inf.expand(line.field(0).unwrap_or_default())?;
                let framework = section.inf.expand(line.field(1).unwrap_or_default())?;
                let version = section.inf.value(&framework, "KmdfLibraryVersion")?;
                versions.entry(service.to_lowercase()).or_insert(version);
            }
        }
        for service in &mut services.services {
            service.kmdf_version = versions.get(&service.name.to_lowercase()).cloned().flatten();
        }
        Ok(())
    }

    /// Reports what else belongs to an install section and is left to Windows, which reads the file when it finds the
    /// device.
    pub fn left(&mut self, name: &str) -> Result<()> {
        for section in self.with_needs(&format!("{name}.CoInstallers"))? {
            if !self.is_first(Step::CoInstallers, &section) {
                continue;
            }
            // Only Windows' own installation runs them.
            let edits = self.edits(&section)?;
            for edit in edits.relative.iter().chain(&*edits.others) {
                let programs = match &edit.action {
                    Action::Set(value) | Action::SetNew(value) => value.texts().unwrap_or_default(),
                    Action::Append(texts) => texts.clone(),
                    _ => continue,
                };
                let is_it = edit.name.eq_ignore_ascii_case(CO_INSTALLERS);
                self.not_applied.extend(programs.iter().filter(|_| is_it).map(|program| {
                    format!("[{}]: co-installer {program}: Windows runs it when it finds the device", section.name)
                }));
            }
        }
        for left in LEFT_SECTIONS {
            for section in self.with_needs(&format!("{name}.{left}"))? {
                if !self.is_first(Step::Left, &section) {
                    continue;
                }
                for line in section.lines()?.iter().filter(|line| !KNOWN.iter().any(|name| line.has_key(name))) {
                    let what = section.shown(line);
                    self.not_applied.push(format!("{what}: done by Windows when it finds the device"));
                }
            }
        }
        Ok(())
    }

    fn leave(&mut self, section: &Section<'_>, line: &Line) {
        self.not_applied.push(section.shown(line));
    }

    /// INF files that an install section names for being added too.
    pub fn companions(&mut self, name: &str) -> Result<Vec<String>> {
        let mut files = Vec::new();
        for section in self.with_needs(name)?.iter().filter(|section| section.file.is_none()) {
            if self.is_first(Step::Companions, section) {
                files.extend(section.list("CopyINF")?);
            }
        }
        Ok(files)
    }

    /// Adds the files that an install section copies from its own package to `copies`, including those of its
    /// co-installers and interfaces.
    pub fn copies(&mut self, name: &str, copies: &mut Copies<'a>) -> Result<()> {
        let mut sections = self.with_needs(name)?;
        sections.extend(self.with_needs(&format!("{name}.CoInstallers"))?);
        for interfaces in self.with_needs(&format!("{name}.Interfaces"))? {
            if !self.is_first(Step::Interfaces, &interfaces) {
                continue;
            }
            let lines = interfaces.lines()?.iter().filter(|line| line.has_key("AddInterface"));
            for line in lines.filter_map(|line| line.field(2)) {
                let name = interfaces.inf.expand(line)?;
                sections.push(Section { name, ..interfaces.clone() });
            }
        }
        self.own_copies(sections, copies)
    }

    /// Adds the files of the class: what installs it, and its icons.
    pub fn class_copies(&mut self, target: &Target, copies: &mut Copies<'a>) -> Result<()> {
        let Some(section) = self.class_section(target) else { return Ok(()) };
        let sections = self.with_needs(&section)?;
        self.own_copies(sections, copies)
    }

    fn own_copies(&self, sections: Vec<Section<'a>>, copies: &mut Copies<'a>) -> Result<()> {
        for section in sections.iter().filter(|section| section.file.is_none()) {
            if copies.sections.insert(section.key()) {
                self.section_copies(section, copies)?;
            }
        }
        Ok(())
    }

    /// Files of Windows that an install section copies: INF file, name in its package, and path in the image.
    pub fn included_copies(&mut self, name: &str) -> Result<Vec<(String, String, String)>> {
        let mut all = Vec::new();
        for section in self.with_needs(name)? {
            let Some(file) = section.file.filter(|_| self.is_first(Step::IncludedCopies, &section)) else { continue };
            let mut copies = Copies::default();
            self.section_copies(&section, &mut copies)?;
            all.extend(copies.outside().map(|(source, path)| (file.to_owned(), source.to_owned(), path.to_owned())));
        }
        Ok(all)
    }

    fn section_copies(&self, section: &Section<'_>, copies: &mut Copies<'_>) -> Result<()> {
        let inf = section.inf;
        for list in section.list("CopyFiles")? {
            if let Some(file) = list.strip_prefix('@') {
                copies.add(file.into(), file, self.destination(inf, "DefaultDestDir", file)?);
                continue;
            }
            let has_place = inf.lines("DestinationDirs")?.iter().any(|line| line.has_key(&list));
            let place = if has_place { list.as_str() } else { "DefaultDestDir" };
            for line in inf.lines(&list)? {
                let text = |index: usize| inf.expand(line.fields.get(index).map_or("", String::as_str));
                let name = text(0)?;
                let source = Some(text(1)?).filter(|source| !source.is_empty()).unwrap_or_else(|| name.clone());
                if !name.is_empty() {
                    copies.add(source, &name, self.destination(inf, place, &name)?);
                }
            }
        }
        Ok(())
    }

    /// The destination of a file that a section of `inf` copies.
    fn destination(&self, inf: &Inf, section: &str, file: &str) -> Result<Destination> {
        let file = place::relative(file)?;
        let Some(line) = inf.lines("DestinationDirs")?.iter().find(|line| line.has_key(section)) else {
            return Ok(Destination::Image(format!(r"Windows\System32\{file}")));
        };
        let in_line = |error: Error| error.within(format_args!("line {}", line.number));
        let text = inf.expand(line.field(0).unwrap_or_default())?;
        let Some(id) = place::identifier(&text).map_err(in_line)? else {
            let why = format!("line {}: the directory identifier {text} is not known", line.number);
            return Ok(Destination::Unknown(why));
        };
        let subdirectory = inf.expand(line.fields.get(1).map_or("", String::as_str))?;
        if place::is_package(id) {
            return Ok(Destination::Package);
        }
        let directory = place::directory(id, &self.package, Style::Image).unwrap_or_default();
        place::relative(&format!(r"{directory}\{subdirectory}\{file}")).map(Destination::Image).map_err(in_line)
    }
}

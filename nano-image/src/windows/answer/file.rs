//! An answer file as a tree, for queries and edits.

use std::borrow::Cow;

use super::judge::{Target, judge};
use super::place::Lines;
use super::servicing::{self, ServicingPackage};
use super::{NAMESPACE, PROCESSED, Pass, Remark, SHELL_SETUP, TOKEN, UNATTENDED_JOIN, Verdict, WCM, is_for};
use crate::error::{Error, Result};
use crate::types::Architecture;
use crate::windows::package::architecture::AssemblyArchitecture;
use crate::xml::{Document, Element};

/// Largest answer file that is read, bytes.
pub const MAX_LEN: u64 = 16 << 20;
/// The most elements, attributes and texts of an answer file; usual ones have some hundreds.
const MAX_NODES: usize = 100_000;

/// An answer file.
#[derive(Clone, Debug)]
pub struct AnswerFile {
    document: Document,
    /// The architecture of the image. Components for others are skipped. If it is not known, all components count.
    architecture: Option<Architecture>,
    /// The packages in its `servicing` section that could be understood; [`judge`](Self::judge) refuses the rest.
    pub packages: Vec<ServicingPackage>,
}

impl AnswerFile {
    /// An answer file without settings.
    pub fn empty() -> Self {
        Self { document: Document::new("unattend", NAMESPACE), architecture: None, packages: Vec::new() }
    }

    /// Reads a file, without judging its contents.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if it is not XML, or not an answer file, with line, column and byte.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let in_line = |error: Error| match error.offset() {
            Some(offset) => {
                let (line, column) = Lines::new(bytes).place(offset);
                error.within(format_args!("line {line}, column {column}"))
            }
            None => error,
        };
        let document = Document::parse(bytes, "answer file", MAX_NODES).map_err(in_line)?;
        let root = &document.root;
        if root.local() != "unattend" || &*root.namespace != NAMESPACE {
            let error = Error::corrupt("not an answer file: its root is not `unattend`").at(root.offset);
            let hint = format!("it must begin with <unattend xmlns=\"{NAMESPACE}\">");
            return Err(in_line(error).with_hint(hint));
        }
        let sections = root.elements().filter(|section| section.local() == "servicing" && is_ours(section));
        let packages = sections.flat_map(servicing::packages).filter_map(|one| ServicingPackage::read(one).ok());
        let packages = packages.collect();
        Ok(Self { document, architecture: None, packages })
    }

    /// Sets the architecture of the image: from now on components for others are skipped.
    pub fn is_for(&mut self, architecture: Architecture) {
        self.architecture = Some(architecture);
    }

    /// The architecture of the image, if it was set.
    pub fn architecture(&self) -> Option<Architecture> {
        self.architecture
    }

    /// Says what becomes of each setting, in the order of the file. `bytes` are the bytes of the file.
    pub fn judge(&self, bytes: &[u8], target: &Target<'_>) -> Vec<Remark> {
        judge(&self.document.root, bytes, target)
    }

    /// Repairs mistakes that Windows would refuse or skip although the intention is clear: marks of passes that were
    /// run, and a `ComputerName` of UnattendedJoin, which becomes that of Shell-Setup. [`judge`](Self::judge) reports
    /// both.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if there are then two names.
    pub fn repair(&mut self) -> Result<()> {
        for name in Pass::ALL.map(Pass::name) {
            let path = &["ComputerName"];
            let Some(computer) = self.text(name, UNATTENDED_JOIN, path) else { continue };
            match self.text(name, SHELL_SETUP, path) {
                Some(other) if other != computer => {
                    let what = format!("bad answer file: two computer names in {name}: `{computer}` and `{other}`");
                    return Err(Error::corrupt(what).with_hint(format!("remove the one under {UNATTENDED_JOIN}")));
                }
                _ => {}
            }
            self.remove(name, UNATTENDED_JOIN, "ComputerName");
            self.set(name, SHELL_SETUP, path, &computer);
        }
        for settings in self.document.root.elements_mut() {
            settings.remove_attribute(PROCESSED);
        }
        Ok(())
    }

    /// Whether it has no settings.
    pub fn is_empty(&self) -> bool {
        self.document.root.is_empty()
    }

    /// Texts of the setting at `path`, in all places of the file that count.
    pub fn texts(&self, pass: &str, component: &str, path: &[&str]) -> Vec<String> {
        let components = self.components(pass, component);
        components.filter_map(|component| component.find(path)).map(|setting| setting.text().into_owned()).collect()
    }

    /// Text of the setting at `path`. If there are several, the last one.
    pub fn text(&self, pass: &str, component: &str, path: &[&str]) -> Option<String> {
        self.texts(pass, component, path).pop()
    }

    /// The text of `field` of each item `item` of the list at `path`; empty where the item has no such field.
    pub fn items(&self, pass: &str, component: &str, path: &[&str], item: &str, field: &str) -> Vec<String> {
        let lists = self.components(pass, component).filter_map(|component| component.find(path));
        let items = lists.flat_map(Element::elements).filter(|element| element.local() == item);
        items.map(|item| item.child(field).map(Element::text).map_or_else(String::new, Cow::into_owned)).collect()
    }

    /// Sets the setting at `path`.
    pub fn set(&mut self, pass: &str, component: &str, path: &[&str], text: &str) {
        self.setting(pass, component, path).set_text(text);
    }

    /// Adds an item to the list at `path`: an element `item` with `fields`. If it `is_ordered`, it gets a free number
    /// in `Order` first. A field may be nested (`Password/Value`), or an attribute of `wcm` (`@keyValue`).
    pub fn add_item(
        &mut self,
        pass: &str,
        component: &str,
        path: &[&str],
        item: &str,
        is_ordered: bool,
        fields: &[(&str, &str)],
    ) {
        let last = self.items(pass, component, path, item, "Order").iter().filter_map(|n| n.parse::<u32>().ok()).max();
        let order = (last.unwrap_or(0) + 1).to_string();
        let list = self.setting(pass, component, path);
        let mut new = Element::like(list, item, None);
        new.declare("wcm", WCM);
        new.push_attribute_of("wcm", WCM, "action", "add");
        let order = is_ordered.then_some(("Order", &*order));
        for (name, text) in order.into_iter().chain(fields.iter().copied()) {
            match name.strip_prefix('@') {
                Some(attribute) => new.push_attribute_of("wcm", WCM, attribute, text),
                None => name.split('/').fold(&mut new, |element, name| element.child_or_new(name)).set_text(text),
            }
        }
        list.push(new);
    }

    /// Removes a setting, and its component and section if they are empty then.
    pub fn remove(&mut self, pass: &str, component: &str, setting: &str) {
        let architecture = self.architecture;
        let is_it = |element: &Element| is_component(element, component, architecture);
        let root = &mut self.document.root;
        for settings in root.elements_mut().filter(|settings| is_pass(settings, pass)) {
            for element in settings.elements_mut().filter(|element| is_it(element)) {
                element.retain(|child| child.local() != setting);
            }
            settings.retain(|element| !is_it(element) || !element.is_empty());
        }
        root.retain(|settings| !is_pass(settings, pass) || !settings.is_empty());
    }

    /// Names of the passes for which it has sections, and of those that are marked as run.
    pub fn passes(&self) -> (Vec<String>, Vec<String>) {
        let sections =
            self.document.root.elements().filter(|section| section.local() == "settings" && is_ours(section));
        let (mut passes, mut processed) = (Vec::new(), Vec::new());
        for section in sections {
            let name = section.attribute("pass").unwrap_or_default().to_owned();
            if section.attribute(PROCESSED).is_some() {
                processed.push(name.clone());
            }
            passes.push(name);
        }
        (passes, processed)
    }

    /// Settings of `pass`, as `component/setting`.
    #[cfg(test)]
    pub fn settings(&self, pass: &str) -> Vec<String> {
        let mut all = Vec::new();
        for settings in self.document.root.elements().filter(|settings| is_pass(settings, pass)) {
            for component in settings.elements().filter(|element| self.counts(element)) {
                let name = component.attribute("name").unwrap_or_default();
                all.extend(component.elements().map(|setting| format!("{name}/{}", setting.local())));
            }
        }
        all
    }

    /// Names and architectures of the components for the image whose settings take effect in it.
    pub(super) fn component_names(&self) -> impl Iterator<Item = (&str, AssemblyArchitecture)> {
        let comes_into_force = |name: &str| Pass::find(name.trim()).is_some_and(Pass::comes_into_force);
        let sections = self.document.root.elements().filter(move |section| {
            section.local() == "settings" && is_ours(section) && section.attribute("pass").is_some_and(comes_into_force)
        });
        sections.flat_map(Element::elements).filter(|element| self.counts(element)).filter_map(|component| {
            let architecture = match AssemblyArchitecture::named(component.attribute("processorArchitecture")?.trim()) {
                AssemblyArchitecture::Neutral => self.architecture.map(AssemblyArchitecture::Processor),
                other => Some(other),
            };
            let architecture = architecture.unwrap_or(AssemblyArchitecture::Neutral);
            Some((component.attribute("name")?.trim(), architecture))
        })
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.document.to_bytes()
    }

    /// Whether an element is a component that counts for the image.
    fn counts(&self, element: &Element) -> bool {
        element.local() == "component" && is_ours(element) && is_of(element, self.architecture)
    }

    fn components<'a>(&'a self, pass: &'a str, component: &'a str) -> impl Iterator<Item = &'a Element> {
        let settings = self.document.root.elements().filter(move |settings| is_pass(settings, pass));
        let architecture = self.architecture;
        settings.flat_map(Element::elements).filter(move |element| is_component(element, component, architecture))
    }

    /// The element at `path` of a component. It is created, with component and section, if it is missing.
    fn setting(&mut self, pass: &str, component: &str, path: &[&str]) -> &mut Element {
        let architecture = self.architecture;
        let root = &mut self.document.root;
        let at = root.elements().position(|settings| is_pass(settings, pass));
        let settings = match at {
            Some(at) => root.elements_mut().nth(at).expect("just found"),
            None => {
                let mut settings = Element::like(root, "settings", None);
                settings.push_attribute("pass", pass);
                root.push(settings)
            }
        };
        let is_it = |element: &Element| is_component(element, component, architecture);
        let at = settings.elements().position(is_it);
        let component = match at {
            Some(at) => settings.elements_mut().nth(at).expect("just found"),
            None => {
                let mut new = Element::like(settings, "component", None);
                for (name, value) in [
                    ("name", component),
                    ("processorArchitecture", &architecture.unwrap_or(Architecture::Amd64).to_string()),
                    ("publicKeyToken", TOKEN),
                    ("language", "neutral"),
                    ("versionScope", "nonSxS"),
                ] {
                    new.push_attribute(name, value);
                }
                settings.push(new)
            }
        };
        path.iter().fold(component, |element, name| element.child_or_new(name))
    }
}

impl AnswerFile {
    /// The error for a file that Windows refuses; `None` if it does not.
    pub fn refusal(remarks: &[Remark]) -> Option<Error> {
        let mut refused = remarks.iter().filter(|remark| remark.verdict == Verdict::Refused);
        let first = refused.next()?;
        let more = refused.count();
        let more = match more {
            0 => String::new(),
            _ => format!(", and {more} more"),
        };
        let message = format!("line {}, column {}: bad answer file: {}{more}", first.line, first.column, first.message);
        let error = Error::corrupt(message).at(first.offset);
        Some(match &first.hint {
            Some(hint) => error.with_hint(hint.clone()),
            None => error,
        })
    }
}

fn is_ours(element: &Element) -> bool {
    &*element.namespace == NAMESPACE
}

fn is_pass(element: &Element, pass: &str) -> bool {
    let is_it = |name: &str| name.trim().eq_ignore_ascii_case(pass);
    element.local() == "settings" && is_ours(element) && element.attribute("pass").is_some_and(is_it)
}

fn is_component(element: &Element, component: &str, architecture: Option<Architecture>) -> bool {
    let is_it = |name: &str| name.trim().eq_ignore_ascii_case(component);
    element.local() == "component"
        && is_ours(element)
        && element.attribute("name").is_some_and(is_it)
        && is_of(element, architecture)
}

/// Whether a component counts in an image of `architecture`.
fn is_of(element: &Element, architecture: Option<Architecture>) -> bool {
    let (Some(image), Some(component)) = (architecture, element.attribute("processorArchitecture")) else {
        return true;
    };
    is_for(component.trim(), image)
}

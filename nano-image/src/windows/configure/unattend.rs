//! Answer files: checking the user's, applying what can be applied offline, and adding what the recipe asks for.

mod known;

use known::{NAMESPACE, PASSES, REGISTRY_SETTINGS, RegistrySetting, Verdict};
pub(super) use known::{SHELL_SETUP, UNATTENDED_JOIN};

use super::ServicingPackage;
use crate::error::{Error, Result};
use crate::windows::xml::{Document, Element};

/// Largest answer file that is read, bytes.
pub(super) const MAX_LEN: u64 = 16 << 20;
/// Elements, attributes and texts of an answer file; usual ones have some hundreds.
const MAX_NODES: usize = 100_000;
/// Where Windows looks for it at first boot.
pub(super) const PATH: &str = r"Windows\Panther\Unattend.xml";
/// Where Windows looks first.
pub(super) const STRONGER_PATH: &str = r"Windows\Panther\Unattend\Unattend.xml";

/// The attribute with which Windows marks a pass that it has done.
const PROCESSED: &str = "wasPassProcessed";
/// The public key token of Windows' components.
const TOKEN: &str = "31bf3856ad364e35";

/// An answer file.
#[derive(Clone, Debug)]
pub(super) struct AnswerFile {
    document: Document,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What its `servicing` section wants.
    pub packages: Vec<ServicingPackage>,
}

impl AnswerFile {
    /// One without settings.
    pub fn empty() -> Self {
        Self { document: Document::new("unattend", NAMESPACE), warnings: Vec::new(), packages: Vec::new() }
    }

    /// Reads and checks a file. `ComputerName` under the wrong component is moved to the right one, with a warning.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for what Windows would refuse as a whole, with the byte.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut file = Self { document: Document::parse(bytes, "answer file", MAX_NODES)?, ..Self::empty() };
        let root = &mut file.document.root;
        if root.local() != "unattend" || &*root.namespace != NAMESPACE {
            return Err(Error::corrupt("not an answer file: its root is not `unattend`")
                .at(root.offset)
                .with_hint(format!("it must begin with <unattend xmlns=\"{NAMESPACE}\">")));
        }
        for section in root.elements_mut().filter(|section| &*section.namespace == NAMESPACE) {
            match section.local() {
                "settings" => check_settings(section, &mut file.warnings)?,
                "servicing" => {
                    let packages = section.elements().filter(|package| package.local() == "package");
                    file.packages.extend(packages.map(read_package));
                }
                other => file.warnings.push(format!("the answer file has an unknown section `{other}`")),
            }
        }
        Ok(file)
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.document.root.is_empty()
    }

    /// Texts of the setting at `path`, in all places of the file.
    pub fn texts(&self, pass: &str, component: &str, path: &[&str]) -> Vec<String> {
        let settings = self.document.root.elements().filter(|settings| is_pass(settings, pass));
        let components = settings.flat_map(Element::elements).filter(|element| is_component(element, component));
        components.filter_map(|component| component.find(path)).map(|setting| setting.text().into_owned()).collect()
    }

    /// Text of the setting at `path`, the last where there are several.
    pub fn text(&self, pass: &str, component: &str, path: &[&str]) -> Option<String> {
        self.texts(pass, component, path).pop()
    }

    /// Sets the setting at `path`, for images of `architecture`.
    pub fn set(&mut self, pass: &str, component: &str, path: &[&str], text: &str, architecture: &str) {
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
        let is_it = |element: &Element| {
            is_component(element, component)
                && element.attribute("processorArchitecture").is_none_or(|a| a.eq_ignore_ascii_case(architecture))
        };
        let at = settings.elements().position(is_it);
        let component = match at {
            Some(at) => settings.elements_mut().nth(at).expect("just found"),
            None => {
                let mut new = Element::like(settings, "component", None);
                for (name, value) in [
                    ("name", component),
                    ("processorArchitecture", architecture),
                    ("publicKeyToken", TOKEN),
                    ("language", "neutral"),
                    ("versionScope", "nonSxS"),
                ] {
                    new.push_attribute(name, value);
                }
                settings.push(new)
            }
        };
        let setting = path.iter().fold(component, |element, name| element.child_or_new(name));
        setting.set_text(text);
    }

    /// Removes a setting, and the component and section that have become empty by that.
    pub fn remove(&mut self, pass: &str, component: &str, setting: &str) {
        let root = &mut self.document.root;
        for settings in root.elements_mut().filter(|settings| is_pass(settings, pass)) {
            for element in settings.elements_mut().filter(|element| is_component(element, component)) {
                element.retain(|child| child.local() != setting);
            }
            settings.retain(|element| !is_component(element, component) || !element.is_empty());
        }
        root.retain(|settings| !is_pass(settings, pass) || !settings.is_empty());
    }

    /// Registry settings of the offlineServicing pass and their values. They are removed from the file.
    pub fn take_registry_settings(&mut self) -> Result<Vec<(&'static RegistrySetting, u32)>> {
        let mut found = Vec::new();
        for known in &REGISTRY_SETTINGS {
            let Some(text) = self.text(OFFLINE, known.component, &[known.setting]) else { continue };
            let value = match text.to_ascii_lowercase().as_str() {
                "true" | "1" => 1,
                "false" | "0" => 0,
                _ => {
                    let what = format!("`{text}` is no value of {}/{}", known.component, known.setting);
                    return Err(Error::corrupt(format!("bad answer file: {what}")).with_hint("write true or false"));
                }
            };
            self.remove(OFFLINE, known.component, known.setting);
            found.push((known, value));
        }
        Ok(found)
    }

    /// Settings that the offlineServicing pass still has, as `component/setting`.
    pub fn left_offline(&self) -> Vec<String> {
        let mut left = Vec::new();
        for settings in self.document.root.elements().filter(|settings| is_pass(settings, OFFLINE)) {
            for component in settings.elements().filter(|element| element.local() == "component") {
                let name = component.attribute("name").unwrap_or_default();
                left.extend(component.elements().map(|setting| format!("{name}/{}", setting.local())));
            }
        }
        left
    }

    /// Components for other architectures, which Windows does not apply.
    pub fn foreign_components(&self, architecture: &str) -> Vec<String> {
        let components = self.document.root.elements().flat_map(Element::elements);
        let foreign = components.filter_map(|component| {
            let other = component.attribute("processorArchitecture")?;
            let is_foreign = ![architecture, "neutral", "wow64"].iter().any(|a| a.eq_ignore_ascii_case(other));
            is_foreign.then(|| format!("{} ({other})", component.attribute("name").unwrap_or_default()))
        });
        foreign.collect()
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.document.to_bytes()
    }
}

/// The pass that is applied to an image that does not run.
pub(super) const OFFLINE: &str = "offlineServicing";

fn is_pass(element: &Element, pass: &str) -> bool {
    element.local() == "settings" && element.attribute("pass").is_some_and(|name| name.eq_ignore_ascii_case(pass))
}

fn is_component(element: &Element, component: &str) -> bool {
    element.local() == "component" && element.attribute("name").is_some_and(|name| name.eq_ignore_ascii_case(component))
}

/// Checks one `settings` section and repairs what can be repaired.
fn check_settings(settings: &mut Element, warnings: &mut Vec<String>) -> Result<()> {
    let bad = |what: String, at: u64| Error::corrupt(format!("bad answer file: {what}")).at(at);
    if settings.remove_attribute(PROCESSED) {
        warnings.push(format!("the answer file was used before: `{PROCESSED}` is removed"));
    }
    let pass = settings.attribute("pass").ok_or_else(|| bad("`settings` without `pass`".into(), settings.offset))?;
    let known = PASSES.iter().find(|known| known.eq_ignore_ascii_case(pass));
    let Some(pass) = known.copied() else {
        return Err(bad(format!("there is no configuration pass `{pass}`"), settings.offset)
            .with_hint(format!("the passes are {}", PASSES.join(", "))));
    };
    let mut misplaced = None;
    for component in settings.elements_mut() {
        let at = component.offset;
        if component.local() != "component" || &*component.namespace != NAMESPACE {
            return Err(bad(format!("`{}` among the components of {pass}", component.local()), at));
        }
        let Some(name) = component.attribute("name").map(str::to_owned) else {
            return Err(bad(format!("a component without a name in {pass}"), at));
        };
        for setting in component.elements() {
            let local = setting.local();
            match known::judge(&name, local, pass) {
                Verdict::Fine => {}
                Verdict::BelongsTo(SHELL_SETUP)
                    if local == "ComputerName" && name.eq_ignore_ascii_case(UNATTENDED_JOIN) =>
                {
                    warnings.push(format!(
                        "the answer file has ComputerName under {UNATTENDED_JOIN} ({pass}), which Windows refuses with \
                         error 0x80220001, and with it the whole file: it is taken as {SHELL_SETUP}/ComputerName"
                    ));
                    misplaced = Some((component_like(component), setting.text().into_owned()));
                }
                Verdict::BelongsTo(owner) => {
                    let what = format!("{name} has no setting `{local}`; Windows would refuse the file (0x80220001)");
                    return Err(bad(what, setting.offset).with_hint(format!("`{local}` is a setting of {owner}")));
                }
                Verdict::Unknown => warnings.push(format!(
                    "the answer file has {name}/{local} ({pass}), which is not known; Windows may refuse the file \
                     (0x80220001)"
                )),
                Verdict::WrongPass(passes) => warnings.push(format!(
                    "the answer file has {name}/{local} in the pass {pass}; it belongs to {}",
                    passes.join(" or ")
                )),
            }
        }
        if misplaced.is_some() && name.eq_ignore_ascii_case(UNATTENDED_JOIN) {
            component.retain(|setting| setting.local() != "ComputerName");
        }
    }
    if let Some((mut component, name)) = misplaced {
        settings.retain(|element| !is_component(element, UNATTENDED_JOIN) || !element.is_empty());
        let at = settings.elements().position(|element| is_component(element, SHELL_SETUP));
        match at {
            Some(at) => {
                let shell = settings.elements_mut().nth(at).expect("just found");
                let there = shell.child("ComputerName").map(|name| name.text().into_owned());
                if there.as_ref().is_some_and(|there| *there != name) {
                    let what = format!("two computer names in {pass}: `{name}` and `{}`", there.unwrap_or_default());
                    return Err(bad(what, shell.offset).with_hint(format!("remove the one under {UNATTENDED_JOIN}")));
                }
                shell.child_or_new("ComputerName").set_text(&name);
            }
            None => {
                component.child_or_new("ComputerName").set_text(&name);
                settings.push(component);
            }
        }
    }
    Ok(())
}

/// An empty Shell-Setup component with the architecture and so on of `other`.
fn component_like(other: &Element) -> Element {
    let mut component = Element::like(other, "component", None);
    component.push_attribute("name", SHELL_SETUP);
    for name in ["processorArchitecture", "publicKeyToken", "language", "versionScope"] {
        if let Some(value) = other.attribute(name) {
            component.push_attribute(name, value);
        }
    }
    component
}

fn read_package(package: &Element) -> ServicingPackage {
    let identity = package.child("assemblyIdentity");
    let of = |name: &str| identity.and_then(|identity| identity.attribute(name)).unwrap_or_default().to_owned();
    let source = package.child("source").and_then(|source| source.attribute("location"));
    ServicingPackage {
        action: package.attribute("action").unwrap_or_default().into(),
        name: of("name"),
        version: of("version"),
        architecture: of("processorArchitecture"),
        language: of("language"),
        source: source.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(pass: &str, component: &str, settings: &str) -> String {
        format!(
            "<unattend xmlns=\"{NAMESPACE}\"><settings pass=\"{pass}\" wasPassProcessed=\"true\"><component \
             name=\"{component}\" processorArchitecture=\"amd64\">{settings}</component></settings></unattend>"
        )
    }

    fn parse(pass: &str, component: &str, settings: &str) -> Result<AnswerFile> {
        AnswerFile::parse(file(pass, component, settings).as_bytes())
    }

    #[test]
    fn a_name_under_unattended_join_is_explained_and_honoured() {
        let name = "<ComputerName>web-01</ComputerName>";
        let file = parse(OFFLINE, UNATTENDED_JOIN, name).unwrap();
        assert!(file.warnings.iter().any(|warning| warning.contains("0x80220001")), "{:?}", file.warnings);
        assert_eq!(file.text(OFFLINE, SHELL_SETUP, &["ComputerName"]).unwrap(), "web-01");
        let text = String::from_utf8(file.to_bytes()).unwrap();
        assert!(!text.contains(UNATTENDED_JOIN) && !text.contains(PROCESSED), "{text}");
    }

    #[test]
    fn settings_in_wrong_places_are_named() {
        let error = parse("specialize", SHELL_SETUP, "<InputLocale>de-DE</InputLocale>").unwrap_err();
        assert!(error.message().contains("InputLocale") && error.hint().unwrap().contains("International-Core"));
        assert!(error.offset().is_some());
        let error = parse("offline", SHELL_SETUP, "").unwrap_err();
        assert!(error.hint().unwrap().contains("offlineServicing"));
        let file = parse("specialize", SHELL_SETUP, "<OOBE/><Nonsense/>").unwrap();
        assert!(file.warnings.iter().any(|warning| warning.contains("oobeSystem")), "{:?}", file.warnings);
        assert!(file.warnings.iter().any(|warning| warning.contains("Nonsense")), "{:?}", file.warnings);
        for text in
            ["<a/>", "<unattend/>", "<unattend xmlns='urn:schemas-microsoft-com:unattend'><settings/></unattend>"]
        {
            assert!(AnswerFile::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn settings_are_added_to_what_is_there_and_removed_with_what_held_them() {
        let mut file = parse("oobeSystem", SHELL_SETUP, "<RegisteredOwner>me</RegisteredOwner>").unwrap();
        file.set("oobeSystem", SHELL_SETUP, &["UserAccounts", "AdministratorPassword", "Value"], "v", "amd64");
        file.set("specialize", SHELL_SETUP, &["ComputerName"], "web-01", "amd64");
        let again = AnswerFile::parse(&file.to_bytes()).unwrap();
        assert_eq!(again.text("oobeSystem", SHELL_SETUP, &["RegisteredOwner"]).unwrap(), "me");
        assert_eq!(again.text("specialize", SHELL_SETUP, &["ComputerName"]).unwrap(), "web-01");
        let text = String::from_utf8(file.to_bytes()).unwrap();
        assert_eq!(text.matches("<component").count(), 2, "{text}");
        file.remove("specialize", SHELL_SETUP, "ComputerName");
        assert!(!String::from_utf8(file.to_bytes()).unwrap().contains("specialize"));
    }

    #[test]
    fn packages_and_offline_settings_are_found() {
        let text = file(OFFLINE, "Microsoft-Windows-LUA-Settings", "<EnableLUA>false</EnableLUA><Other/>").replace(
            "<settings",
            "<servicing><package action=\"install\"><assemblyIdentity name=\"P\" version=\"1.2\" language=\"en-US\"/>\
             <source location=\"c:\\p.cab\"/></package></servicing><settings",
        );
        let mut file = AnswerFile::parse(text.as_bytes()).unwrap();
        assert_eq!((file.packages[0].name.as_str(), file.packages[0].source.as_deref()), ("P", Some(r"c:\p.cab")));
        let found = file.take_registry_settings().unwrap();
        assert_eq!((found.len(), found[0].0.value, found[0].1), (1, "EnableLUA", 0));
        assert_eq!(file.left_offline(), ["Microsoft-Windows-LUA-Settings/Other"]);
    }
}

//! Judges what becomes of every setting of a file.

mod list;
mod password;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use super::components::{Components, Found};
use super::known::{self, Component, page};
use super::place::Lines;
use super::schema::Schema;
use super::servicing::{self, ServicingAction, ServicingPackage};
use super::value::{Fault, shown};
use super::{NAMESPACE, PROCESSED, Pass, Remark, TOKEN, Verdict, is_for};
use crate::types::{Architecture, nearest};
use crate::xml::Element;

/// Elements that Windows knows below the root.
const SECTIONS: [&str; 2] = ["servicing", "settings"];
/// Attributes that every component has.
const IDENTITY: [&str; 4] = ["name", "processorArchitecture", "publicKeyToken", "language"];
/// Architectures of components.
const ARCHITECTURES: [&str; 9] = ["amd64", "x86", "arm64", "arm", "wow64", "ia64", "msil", "neutral", "arm64.x86"];
/// A group whose settings are listed when it is lost, because they are of different kinds.
const OPENED: &str = "UserData";

/// The image for which a file is. What is not known about it is not checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Target<'a> {
    /// Its architecture.
    pub architecture: Option<Architecture>,
    /// Installed display languages of Windows; empty if they are not known.
    pub languages: &'a [String],
    /// Its time zones; empty if they are not known.
    pub time_zones: &'a [String],
    /// What its manifests say about the components in the file.
    pub components: Option<&'a Components>,
}

/// Says what becomes of everything in a file, in the order of the file.
pub(super) fn judge(root: &Element, bytes: &[u8], target: &Target<'_>) -> Vec<Remark> {
    let mut judge = Judge {
        target,
        remarks: Vec::new(),
        components: BTreeMap::new(),
        foreign: BTreeMap::new(),
        computer_names: Vec::new(),
        accounts: Vec::new(),
    };
    judge.root(root);
    judge.foreign_components();
    judge.names();
    let mut remarks = judge.remarks;
    leave_refused(&mut remarks);
    remarks.sort_by_key(|remark| remark.offset);
    let mut lines = Lines::new(bytes);
    for remark in &mut remarks {
        (remark.line, remark.column) = lines.place(remark.offset);
    }
    remarks
}

/// Removes remarks that a setting takes effect, if it is refused or contains something that is refused.
fn leave_refused(remarks: &mut Vec<Remark>) {
    let key = |remark: &Remark| Some((remark.pass?, remark.component.clone()?, remark.setting.clone()));
    let refused = remarks.iter().filter(|remark| remark.verdict == Verdict::Refused).filter_map(key);
    // Each refused setting, and everything that contains it.
    let mut around = BTreeSet::new();
    for (pass, component, setting) in refused {
        let setting = setting.unwrap_or_default();
        let ends = setting.match_indices('/').map(|(end, _)| end).chain([setting.len()]);
        around.extend(ends.map(|end| (pass, component.clone(), setting[..end].to_owned())));
    }
    remarks.retain(|remark| match key(remark) {
        Some((pass, component, setting)) if remark.verdict == Verdict::Applied => {
            let is_refused = |setting: String| around.contains(&(pass, component.clone(), setting));
            !is_refused(String::new()) && !is_refused(setting.unwrap_or_default())
        }
        _ => true,
    });
}

struct Judge<'a> {
    target: &'a Target<'a>,
    remarks: Vec<Remark>,
    /// Position of the first component for each pass, name and architecture.
    components: BTreeMap<(Pass, String, String), u64>,
    /// Components for architectures other than the image's: position of the first, and names.
    foreign: BTreeMap<String, (u64, Vec<String>)>,
    /// Names for the computer, and names of accounts with their positions.
    computer_names: Vec<String>,
    accounts: Vec<(String, u64)>,
}

/// A position in a file.
#[derive(Clone, Copy)]
struct SettingAt<'a> {
    pass: Pass,
    component: &'a str,
    /// Whether Microsoft documents the component.
    is_documented: bool,
    /// The setting and the settings around it; empty for the component itself.
    path: &'a str,
    offset: u64,
}

impl SettingAt<'_> {
    /// Its name in messages.
    fn name(&self) -> String {
        match self.path {
            "" => self.component.to_owned(),
            path => format!("{}/{path}", self.component),
        }
    }
}

impl Judge<'_> {
    fn root(&mut self, root: &Element) {
        self.stray_text(root, "the root");
        let mut settings = 0;
        for section in root.elements() {
            let name = section.local();
            match (&*section.namespace, name) {
                (NAMESPACE, "settings") => {
                    settings += 1;
                    self.settings_section(section);
                }
                (NAMESPACE, "servicing") => self.servicing_section(section, settings > 0),
                (NAMESPACE, other) => {
                    let message = format!("`{other}` is no section of an answer file: Windows calls the file invalid");
                    let hint = match nearest(other, SECTIONS) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "its sections are `servicing` and `settings`".into(),
                    };
                    self.say(Verdict::Refused, "unknown-section", section.offset, message).hint = Some(hint);
                }
                // Tools store data of their own after the settings, in other namespaces.
                ("", "settings" | "servicing") => {
                    let message = format!("`{name}` is in no namespace: Windows ignores it");
                    self.say(Verdict::Told, "no-namespace", section.offset, message).hint =
                        Some("remove its xmlns=\"\"".into());
                }
                _ => {}
            }
        }
    }

    fn servicing_section(&mut self, section: &Element, is_late: bool) {
        if is_late {
            let message = "`servicing` stands behind `settings`; the schema of answer files wants it first";
            self.say(Verdict::Told, "section-order", section.offset, message).hint =
                Some("move it to the front".into());
        }
        for package in servicing::packages(section) {
            match ServicingPackage::read(package) {
                Err(Fault { what, hint, .. }) => {
                    let message = format!("a package of `servicing` {what}");
                    self.say(Verdict::Refused, "bad-package", package.offset, message).hint = hint;
                }
                Ok(package_of) => {
                    let name = shown(&package_of.identity.name);
                    let (verdict, what) = match package_of.action {
                        ServicingAction::Install => (Verdict::Applied, "is installed while the image is built"),
                        ServicingAction::Configure => (Verdict::Applied, "gets its features while the image is built"),
                        ServicingAction::Remove => (Verdict::Told, "is to be removed, which a build refuses"),
                        ServicingAction::Stage => (Verdict::Told, "is to be staged only, which a build refuses"),
                    };
                    let code = if verdict == Verdict::Applied { "applied" } else { "package-action" };
                    self.say(verdict, code, package.offset, format!("the package {name} {what}"));
                }
            }
        }
    }

    fn settings_section(&mut self, section: &Element) {
        self.stray_text(section, "`settings`");
        let offset = section.offset;
        let Some(name) = section.attribute("pass") else {
            let message = "`settings` does not say its pass: Windows calls the file invalid";
            self.say(Verdict::Refused, "missing-attribute", offset, message).hint =
                Some("write <settings pass=\"…\">".into());
            return;
        };
        let Some(pass) = Pass::find(name) else {
            let names = Pass::ALL.map(Pass::name);
            let message = format!("there is no configuration pass `{}`", shown(name));
            let hint = match nearest(name, names) {
                Some(near) => format!("did you mean `{near}`? The passes are {}", names.join(", ")),
                None => format!("the passes are {}", names.join(", ")),
            };
            self.say(Verdict::Refused, "unknown-pass", offset, message).hint = Some(hint);
            return;
        };
        if section.attribute(PROCESSED).is_some() {
            let message = format!(
                "the file was used before: with `{PROCESSED}` Windows would not run the pass {} again; it is removed",
                pass.name()
            );
            self.say(Verdict::Told, "pass-was-processed", offset, message).pass = Some(pass.name());
        }
        let mut lost = Vec::new();
        for component in section.elements() {
            if component.local() != "component" || &*component.namespace != NAMESPACE {
                let message = format!("`{}` stands among the components of {}", component.local(), pass.name());
                let hint = "put settings into <component …> elements";
                let remark = self.say(Verdict::Refused, "unknown-section", component.offset, message);
                (remark.pass, remark.hint) = (Some(pass.name()), Some(hint.into()));
                continue;
            }
            self.component(component, pass, &mut lost);
        }
        if !lost.is_empty() {
            self.lost(section, pass, &lost);
        }
    }

    /// Reports that a pass never runs, and what is lost with it.
    fn lost(&mut self, section: &Element, pass: Pass, lost: &[String]) {
        let (name, when) = (pass.name(), pass.runs_only());
        let message = format!(
            "the pass {name} runs only {when}, so never in an image that is deployed ready made. Lost with it: {}",
            lost.join(", ")
        );
        let hint = match pass {
            Pass::WindowsPe => {
                "give the disk's layout, packages and drivers to the build, and the product key in \
                                Microsoft-Windows-Shell-Setup/ProductKey of the pass specialize"
            }
            Pass::AuditSystem | Pass::AuditUser => {
                "what shall be set at first boot belongs to specialize or oobeSystem"
            }
            _ => "leave it out, or keep the file for sysprep",
        };
        let remark = self.say(Verdict::Told, "pass-never-runs", section.offset, message);
        (remark.pass, remark.hint) = (Some(name), Some(hint.into()));
    }

    fn component(&mut self, component: &Element, pass: Pass, lost: &mut Vec<String>) {
        let offset = component.offset;
        let given = component.attribute("name").unwrap_or_default().trim();
        if self.lacks_attributes(component, given, pass) {
            return;
        }
        let architecture = component.attribute("processorArchitecture").unwrap_or_default().trim();
        let known = known::component(given);
        let name = known.map_or(given, |known| known.name);
        let place = SettingAt { pass, component: name, is_documented: known.is_some(), path: "", offset };
        if !self.identity(component, architecture, place) {
            return;
        }
        if self.target.architecture.is_some_and(|image| !is_for(architecture, image)) {
            let (_, names) = self.foreign.entry(architecture.to_lowercase()).or_insert((offset, Vec::new()));
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
            return;
        }
        let key = (pass, name.to_lowercase(), architecture.to_lowercase());
        if self.components.insert(key, offset).is_some() {
            let what = format!("stands twice in the pass {} for {architecture}", pass.name());
            let fault = Fault::refused(what).with_hint("put all its settings into one element");
            self.fault("duplicate-component", place, fault);
        }
        let of_image = self.target.components.filter(|_| pass.comes_into_force());
        let of_image = of_image.and_then(|components| components.get(given));
        let schema = match of_image {
            Some(Found::There(schema)) => schema.as_ref(),
            _ => None,
        };
        self.known_component(known, of_image, schema, place);
        let mut lost_settings = Vec::new();
        for setting in component.elements().filter(|setting| setting.namespace == component.namespace) {
            match pass.comes_into_force() {
                true => self.comes_into_force(setting, place),
                false => lost_settings.extend(lost_names(setting)),
            }
        }
        if !lost_settings.is_empty() {
            lost.push(format!("{name} ({})", lost_settings.join(", ")));
        }
        let schema = schema.filter(|schema| !schema.parts.is_empty());
        self.component_settings(component, known, schema, place);
    }

    /// Refuses a component that does not say which it is. Whether that is so.
    fn lacks_attributes(&mut self, component: &Element, given: &str, pass: Pass) -> bool {
        let missing: Vec<&str> =
            IDENTITY.into_iter().filter(|name| component.attribute(name).is_none_or(|v| v.trim().is_empty())).collect();
        if missing.is_empty() {
            return false;
        }
        let what = if given.is_empty() { "a component" } else { given };
        let message = format!(
            "{} ({}) has no {}: Windows calls the file invalid",
            shown(what),
            pass.name(),
            missing.join(", no ")
        );
        let hint = "write processorArchitecture=\"amd64\" (or what the image has), \
                    publicKeyToken=\"31bf3856ad364e35\" and language=\"neutral\"";
        let remark = self.say(Verdict::Refused, "missing-attribute", component.offset, message);
        (remark.pass, remark.hint) = (Some(pass.name()), Some(hint.into()));
        remark.component = Some(given.to_owned());
        true
    }

    /// Says what is wrong with the choice of the component: by the manifests of the image, which know, else by what is
    /// documented.
    fn known_component(
        &mut self,
        known: Option<&Component>,
        of_image: Option<&Found>,
        schema: Option<&Schema>,
        place: SettingAt<'_>,
    ) {
        let pass = place.pass;
        match known {
            _ if matches!(of_image, Some(Found::Missing(_))) => self.missing_component(of_image, place),
            _ if schema.is_some_and(|schema| schema.parts.is_empty()) => {
                let what = "is a component without settings, says its manifest in the image";
                self.fault("not-in-image", place, Fault::told(what).with_hint("look for its name once more"));
            }
            // Whether settings belong to the pass is checked for each of them.
            _ if schema.is_some() => {}
            None if of_image.is_some() => {}
            None => self.unknown_component(place),
            Some(known) if !known.passes.is_empty() && !known.passes.contains(&pass) => {
                let passes: Vec<&str> = known.passes.iter().map(|pass| pass.name()).collect();
                let what = format!("has no settings for the pass {}", pass.name());
                // Components of Setup are not in images; others may have settings for more passes than are documented.
                let is_setup = known.passes == [Pass::WindowsPe];
                let fault = if is_setup { Fault::refused(what) } else { Fault::told(what) };
                self.fault("wrong-pass", place, fault.with_hint(format!("it belongs to {}", passes.join(" or "))));
            }
            Some(_) => {}
        }
    }

    /// Checks the attributes that identify the component; returns whether Windows would use it.
    fn identity(&mut self, component: &Element, architecture: &str, place: SettingAt<'_>) -> bool {
        let mut is_possible = true;
        if !ARCHITECTURES.iter().any(|known| known.eq_ignore_ascii_case(architecture)) {
            let hint = match architecture.to_ascii_lowercase().as_str() {
                "x64" | "x86_64" | "x86-64" | "intel64" => "Windows calls 64-bit Intel and AMD processors amd64",
                "aarch64" => "Windows calls these processors arm64",
                _ => "it is amd64, arm64, x86, wow64 or neutral",
            };
            let what = format!("has the processorArchitecture `{}`, which Windows does not know", shown(architecture));
            self.fault_of_file("bad-attribute", place, Fault::refused(what).with_hint(hint));
            is_possible = false;
        }
        let token = component.attribute("publicKeyToken").unwrap_or_default().trim();
        if token.len() != TOKEN.len() || !token.bytes().all(|b| b.is_ascii_hexdigit()) {
            let what = format!("has the publicKeyToken `{}`, which is not 16 hexadecimal digits", shown(token));
            self.fault_of_file(
                "bad-attribute",
                place,
                Fault::refused(what).with_hint(format!("that of Windows is {TOKEN}")),
            );
        } else if !token.eq_ignore_ascii_case(TOKEN) && place.is_documented {
            let what = format!("has the publicKeyToken {token}: no component of Windows has");
            self.fault("bad-attribute", place, Fault::told(what).with_hint(format!("that of Windows is {TOKEN}")));
        }
        let scope = component.attribute("versionScope").map_or("nonSxS", str::trim);
        if !["nonSxS", "neutral", "SxS", ""].iter().any(|known| known.eq_ignore_ascii_case(scope)) {
            let what = format!("has the versionScope `{}`, which Windows does not know", shown(scope));
            self.fault_of_file("bad-attribute", place, Fault::refused(what).with_hint("it is nonSxS"));
        }
        is_possible
    }

    fn unknown_component(&mut self, place: SettingAt<'_>) {
        let near = known::nearest_component(place.component);
        let what = "is not among the documented components; Windows ignores a component that it does not have, or stops \
                    at it";
        let hint = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "if the image has it, all is well".into(),
        };
        self.fault("unknown-component", place, Fault::told(what).with_hint(hint));
    }

    /// Reports a component for which the image has no manifest.
    fn missing_component(&mut self, found: Option<&Found>, place: SettingAt<'_>) {
        let documented =
            known::nearest_component(place.component).filter(|near| !near.eq_ignore_ascii_case(place.component));
        let near = match found {
            Some(Found::Missing(Some(near))) => Some(near.as_str()),
            _ => documented,
        };
        let hint = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "it may belong to another edition, or to a feature that the image has not".into(),
        };
        let what = "is no component of this image: Windows ignores its settings, or stops at them";
        self.fault("not-in-image", place, Fault::told(what).with_hint(hint));
    }

    fn foreign_components(&mut self) {
        let Some(image) = self.target.architecture else { return };
        for (architecture, (offset, names)) in std::mem::take(&mut self.foreign) {
            let message = format!(
                "components for {architecture} are in the file, and the image is for another architecture, {image}: \
                 Windows will ignore {}",
                names.join(", ")
            );
            self.say(Verdict::Told, "foreign-architecture", offset, message);
        }
    }

    /// Checks that names which must be different are different.
    fn names(&mut self) {
        for (account, offset) in std::mem::take(&mut self.accounts) {
            if self.computer_names.iter().any(|name| name.eq_ignore_ascii_case(&account)) {
                let message = format!("the account `{account}` has the name of the computer: Windows cannot make it");
                self.say(Verdict::Told, "account-is-computer", offset, message).hint =
                    Some("give one of them another name".into());
            }
        }
    }

    /// Reports text where there should only be elements.
    fn stray_text(&mut self, element: &Element, what: &str) {
        let text = element.text();
        if !text.is_empty() {
            let message =
                format!("the text `{}` stands directly in {what}: Windows calls the file invalid", shown(&text));
            self.say(Verdict::Refused, "stray-text", element.offset, message).hint =
                Some("remove it, or make it a comment".into());
        }
    }

    /// Reports a fault at `place`. In a pass that never runs it is only told.
    fn fault(&mut self, code: &'static str, place: SettingAt<'_>, fault: Fault) {
        let is_refused = fault.is_refused && place.pass.comes_into_force();
        self.fault_of_file(code, place, Fault { is_refused, ..fault });
    }

    /// Reports a fault for which Windows does not read the file at all.
    fn fault_of_file(&mut self, code: &'static str, place: SettingAt<'_>, fault: Fault) {
        let verdict = if fault.is_refused { Verdict::Refused } else { Verdict::Told };
        let message = format!("{} ({}) {}", place.name(), place.pass.name(), fault.what);
        let remark = self.say(verdict, code, place.offset, message);
        remark.hint = fault.hint;
        remark.set_place(place);
    }

    fn say(&mut self, verdict: Verdict, code: &'static str, offset: u64, message: impl Into<String>) -> &mut Remark {
        self.remarks.push(Remark {
            verdict,
            code,
            line: 0,
            column: 0,
            offset,
            pass: None,
            component: None,
            setting: None,
            message: message.into(),
            hint: None,
            page: None,
        });
        self.remarks.last_mut().expect("just added")
    }
}

impl Remark {
    fn set_place(&mut self, place: SettingAt<'_>) {
        self.pass = Some(place.pass.name());
        self.component = Some(place.component.to_owned());
        self.setting = (!place.path.is_empty()).then(|| place.path.to_owned());
        self.page = place.is_documented.then(|| page(place.component, place.path));
    }
}

/// Names of the settings that are lost together with their pass.
fn lost_names(setting: &Element) -> Vec<String> {
    let name = setting.local();
    match name == OPENED {
        true => setting.elements().map(|inner| format!("{name}/{}", inner.local())).collect(),
        false => vec![name.to_owned()],
    }
}

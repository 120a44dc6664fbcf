//! Judges the settings of a component, and the groups in them.

use super::super::known::{self, Component, Key, Kind, Setting};
use super::super::schema::{Part, Schema, Type};
use super::super::value::{Fault, check, shown};
use super::super::{Pass, SHELL_SETUP, UNATTENDED_JOIN, Verdict, WCM};
use super::{Judge, SettingAt};
use crate::types::nearest;
use crate::xml::Element;

/// The documented settings of a component or group.
#[derive(Clone, Copy)]
struct Known<'a> {
    settings: &'a [Setting],
    /// Whether these are all settings.
    is_complete: bool,
}

/// The settings that the component's manifest in the image declares.
#[derive(Clone, Copy)]
struct Declared<'a> {
    schema: &'a Schema,
    parts: &'a [Part],
    /// Whether these are all settings.
    is_complete: bool,
}

impl Judge<'_> {
    /// Reports that a setting of a component takes effect, and when.
    pub(super) fn comes_into_force(&mut self, setting: &Element, place: SettingAt<'_>) {
        let path = join(place.path, setting.local());
        let place = SettingAt { path: &path, offset: setting.offset, ..place };
        let when = match place.pass {
            Pass::OfflineServicing if known::is_opened_offline(place.component, &path) => {
                let inner = setting.elements().filter(|inner| inner.namespace == setting.namespace);
                return inner.for_each(|inner| self.comes_into_force(inner, place));
            }
            Pass::OfflineServicing if !known::is_applied_offline(place.component, &path) => {
                let what =
                    "is not set: of this pass a build does what is a value of the registry, and some settings more";
                let hint = "set it in specialize or oobeSystem, as far as the component has it there, or with --reg";
                return self.fault("not-applied-offline", place, Fault::told(what).with_hint(hint));
            }
            Pass::OfflineServicing => "while the image is built",
            Pass::Specialize => "by Windows at its first start (specialize)",
            _ => "by Windows at its first start, before the first logon (oobeSystem)",
        };
        let message = format!("{} is set {when}", place.name());
        self.say(Verdict::Applied, "applied", setting.offset, message).set_place(place);
    }

    pub(super) fn component_settings(
        &mut self,
        element: &Element,
        known: Option<&Component>,
        schema: Option<&Schema>,
        place: SettingAt<'_>,
    ) {
        let known = known.filter(|known| !known.settings.is_empty());
        let known = known.map(|known| Known { settings: known.settings, is_complete: known.is_complete });
        let declared = schema.map(|schema| Declared { schema, parts: &schema.parts, is_complete: schema.is_complete });
        self.group(element, known, declared, place);
    }

    /// The settings in `element`, all of which are known.
    pub(super) fn parts(&mut self, element: &Element, settings: &[Setting], place: SettingAt<'_>) {
        self.group(element, Some(Known { settings, is_complete: true }), None, place);
    }

    /// Checks the settings in `element`: whether they exist, and whether one is there twice.
    fn group(
        &mut self,
        element: &Element,
        known: Option<Known<'_>>,
        declared: Option<Declared<'_>>,
        place: SettingAt<'_>,
    ) {
        let text = element.text();
        if !text.is_empty() {
            let what = match text.contains("*SENSITIVE*DATA*DELETED*") {
                true => "was deleted by Windows when it used this file".to_owned(),
                false => format!("holds the text `{}` beside its settings", shown(&text)),
            };
            let fault = if known.is_some() { Fault::refused(what) } else { Fault::told(what) };
            self.fault("stray-text", place, fault.with_hint("settings are elements of their own"));
        }
        let children: Vec<&Element> = element.elements().filter(|child| child.namespace == element.namespace).collect();
        // Sorted, so that many settings with the same name cost no more than others.
        let mut names: Vec<(&str, usize)> =
            children.iter().enumerate().map(|(at, child)| (child.local(), at)).collect();
        names.sort_unstable();
        let is_first = |at: usize| {
            let found = names.binary_search(&(children[at].local(), at)).unwrap_or_default();
            found == 0 || names[found - 1].0 != children[at].local()
        };
        for (at, child) in children.iter().enumerate() {
            let name = child.local();
            let path = join(place.path, name);
            let inner = SettingAt { path: &path, offset: child.offset, ..place };
            let setting = known.and_then(|known| known.settings.iter().find(|setting| setting.name == name));
            let part = declared.and_then(|declared| declared.parts.iter().find(|part| part.name == name));
            let is_list = setting.is_some_and(|setting| setting.key.is_some()) || part.is_some_and(|part| part.is_list);
            if !is_first(at) && !is_list {
                self.duplicate(child, setting.is_some() || part.is_some(), inner);
            }
            if let Some(declared) = declared.filter(|_| part.is_none() && !is_misplaced_name(inner)) {
                self.undeclared(name, declared, inner);
                continue;
            }
            let part = part.zip(declared).map(|(part, declared)| (part, declared.schema));
            match (setting, known) {
                (Some(setting), Some(known)) => self.setting(child, setting, part, known.is_complete, inner),
                (None, Some(known)) if known.is_complete && part.is_none() => {
                    self.unknown(name, known.settings, inner);
                }
                // Settings that are not documented may still contain faults.
                _ => self.by_schema(child, part, inner),
            }
        }
        if let Some(items) = known.map(|known| known.settings.iter().filter(|setting| setting.key.is_some())) {
            for item in items {
                let of_list: Vec<&Element> =
                    children.iter().copied().filter(|child| child.local() == item.name).collect();
                self.list(&of_list, item, place);
            }
        }
    }

    /// Reports a setting that is there again. If it is not known, `wcm:action` shows that it is an item of a list.
    fn duplicate(&mut self, element: &Element, is_known: bool, place: SettingAt<'_>) {
        let is_item = ["action", "keyValue"].iter().any(|name| element.attribute_of(WCM, name).is_some());
        if !is_known && is_item {
            return;
        }
        let what = "stands there more than once, and is no list";
        let fault = if is_known { Fault::refused(what) } else { Fault::told(what) };
        self.fault("duplicate-setting", place, fault.with_hint("keep one of them"));
    }

    /// Reports a setting that the manifest of its component does not have. Windows goes by that manifest.
    fn undeclared(&mut self, name: &str, declared: Declared<'_>, place: SettingAt<'_>) {
        let what =
            "is no setting of this component in the image, says its manifest: Windows refuses the file (0x80220001)";
        let is_refused = declared.is_complete;
        let near = nearest(name, declared.parts.iter().map(|part| &*part.name));
        let owner = known::owner(name).filter(|owner| place.path == name && owner.name != place.component);
        let hint = match (near, owner) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some(owner)) => format!("`{name}` is a setting of {}", owner.name),
            (None, None) => "leave it out for this image".to_owned(),
        };
        self.fault("not-in-image", place, Fault { is_refused, ..Fault::told(what).with_hint(hint) });
    }

    /// Checks the contents of a setting that only the image's manifest describes, if that says anything about them.
    fn by_schema(&mut self, element: &Element, part: Option<(&Part, &Schema)>, place: SettingAt<'_>) {
        let Some((part, schema)) = part else {
            if !element.is_empty() {
                self.group(element, None, None, place);
            }
            return;
        };
        if !self.is_in_pass(part, place) {
            return;
        }
        match schema.kind(part) {
            Type::Group(parts) => self.group(element, None, Some(Declared { schema, parts, is_complete: true }), place),
            Type::Value(_) if element.is_empty() => self.value_by_schema(element, part, schema, place),
            _ if !element.is_empty() => self.group(element, None, None, place),
            _ => {}
        }
    }

    fn value_by_schema(&mut self, element: &Element, part: &Part, schema: &Schema, place: SettingAt<'_>) {
        let text = element.whole_text();
        let Type::Value(limits) = schema.kind(part) else { return };
        // What an empty value does is not documented; many templates contain some.
        let fault = schema.check(limits, &text).filter(|_| !text.trim().is_empty());
        if let Some(fault) = fault {
            let what = format!("is `{}`, which {fault}", shown(text.trim()));
            self.fault("not-in-image", place, Fault::refused(what));
        }
    }

    /// Checks whether the image's manifest allows a setting in this pass; otherwise it is refused.
    fn is_in_pass(&mut self, part: &Part, place: SettingAt<'_>) -> bool {
        let is_fine = part.passes.is_empty() || part.passes.contains(&place.pass);
        if !is_fine {
            self.wrong_pass(&part.passes, place);
        }
        is_fine
    }

    fn wrong_pass(&mut self, passes: &[Pass], place: SettingAt<'_>) {
        let passes: Vec<&str> = passes.iter().map(|pass| pass.name()).collect();
        let what = format!("is no setting of the pass {}: Windows says that it does not exist", place.pass.name());
        self.fault(
            "wrong-pass",
            place,
            Fault::refused(what).with_hint(format!("it belongs to {}", passes.join(" or "))),
        );
    }

    fn setting(
        &mut self,
        element: &Element,
        setting: &Setting,
        part: Option<(&Part, &Schema)>,
        is_complete: bool,
        place: SettingAt<'_>,
    ) {
        let passes = part.map(|(part, _)| &*part.passes).filter(|passes| !passes.is_empty());
        let passes = passes.unwrap_or(setting.passes);
        if !passes.is_empty() && !passes.contains(&place.pass) {
            return self.wrong_pass(passes, place);
        }
        self.doubts(place);
        let declared = part.and_then(|(part, schema)| match schema.kind(part) {
            Type::Group(parts) => Some(Declared { schema, parts, is_complete: true }),
            _ => None,
        });
        match &setting.kind {
            Kind::Any => self.by_schema(element, part, place),
            Kind::Group(settings) => {
                // Elements with the items of a list contain nothing else.
                let is_list = settings.iter().any(|setting| setting.key.is_some());
                let known = Known { settings, is_complete: is_complete || is_list };
                self.group(element, Some(known), declared, place);
            }
            Kind::Password => self.password(element, setting.name, place),
            kind if element.is_empty() => {
                let text = element.whole_text();
                self.note_name(kind, text.trim(), place);
                let is_listed = matches!(kind, Kind::TimeZone) && !self.target.time_zones.is_empty();
                if let Some(fault) = check(kind, &text).filter(|_| !is_listed) {
                    self.fault("bad-value", place, fault);
                } else if let Some(fault) = self.check_with_image(kind, text.trim()) {
                    self.fault("not-in-image", place, fault);
                } else if let Some((part, schema)) = part {
                    self.value_by_schema(element, part, schema, place);
                }
            }
            _ => {
                let fault = Fault::refused("holds elements, where a value is expected");
                self.fault("bad-value", place, fault.with_hint("put the value directly into the element"));
            }
        }
    }

    /// Reports what the documentation warns of, although it was not seen to be refused.
    fn doubts(&mut self, place: SettingAt<'_>) {
        if (place.component, place.path, place.pass)
            == ("Microsoft-Windows-Deployment", "RunSynchronous", Pass::OobeSystem)
        {
            let what = "is for specialize and auditUser alone: Windows may say that it does not exist";
            let hint = "put it into specialize, or use FirstLogonCommands of Microsoft-Windows-Shell-Setup";
            self.fault("wrong-pass", place, Fault::told(what).with_hint(hint));
        }
    }

    /// Stores names that are compared when everything has been read.
    fn note_name(&mut self, kind: &Kind, name: &str, place: SettingAt<'_>) {
        match kind {
            Kind::ComputerName if place.pass.comes_into_force() => self.computer_names.push(name.to_owned()),
            Kind::AccountName if place.pass.comes_into_force() => self.accounts.push((name.to_owned(), place.offset)),
            _ => {}
        }
    }

    /// Checks a value against what the image has.
    fn check_with_image(&self, kind: &Kind, text: &str) -> Option<Fault> {
        let is_in = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case(text));
        match kind {
            Kind::TimeZone if !text.is_empty() && !self.target.time_zones.is_empty() => {
                let zone = known::without_daylight(text);
                let zones = self.target.time_zones;
                let hint = match nearest(zone, zones.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "use the names of Windows, e.g. `UTC` or `W. Europe Standard Time`".into(),
                };
                let is_known = zones.iter().any(|name| name.eq_ignore_ascii_case(zone));
                let what = format!("is `{}`, which the image does not know", shown(text));
                (!is_known).then(|| Fault::refused(what).with_hint(hint))
            }
            Kind::Language
                if !text.is_empty() && !self.target.languages.is_empty() && !is_in(self.target.languages) =>
            {
                let what = format!("is `{}`, which is not installed in the image", shown(text));
                Some(Fault::told(what).with_hint(format!("the image has {}", self.target.languages.join(", "))))
            }
            _ => None,
        }
    }

    fn unknown(&mut self, name: &str, settings: &[Setting], place: SettingAt<'_>) {
        let owner = known::owner(name).filter(|owner| place.path == name && owner.name != place.component);
        if is_misplaced_name(place) {
            let what = "is refused by Windows with error 0x80220001, and with it the whole file";
            let fault = Fault::told(what).with_hint(format!("it is taken as {SHELL_SETUP}/ComputerName"));
            return self.fault("misplaced-name", place, fault);
        }
        let fault = match (nearest(name, settings.iter().map(|setting| setting.name)), owner) {
            (_, Some(owner)) => {
                let what = "is no setting of this component: Windows would refuse the file (0x80220001)";
                Fault::refused(what).with_hint(format!("`{name}` is a setting of {}", owner.name))
            }
            (Some(near), None) => Fault::told("is not known; Windows may refuse the file (0x80220001)")
                .with_hint(format!("did you mean `{near}`?")),
            (None, None) => Fault::told("is not known; Windows may refuse the file (0x80220001)"),
        };
        self.fault("unknown-setting", place, fault);
    }
}

/// Whether it is the computer's name in the wrong component, where it is often put.
fn is_misplaced_name(place: SettingAt<'_>) -> bool {
    place.path == "ComputerName" && place.component == UNATTENDED_JOIN
}

pub(super) fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}/{name}"),
    }
}

impl Key {
    /// The element that contains it.
    pub(super) fn element(self) -> Option<&'static str> {
        match self {
            Self::Order => Some("Order"),
            Self::Child(name) => Some(name),
            Self::Attribute => None,
        }
    }
}

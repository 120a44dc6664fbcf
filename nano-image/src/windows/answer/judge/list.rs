//! Judges the items of a list.

use std::collections::BTreeSet;

use super::super::WCM;
use super::super::known::{Key, Setting};
use super::super::value::{Fault, shown};
use super::settings::join;
use super::{Judge, SettingAt};
use crate::xml::Element;

/// Values of `wcm:action`.
const ACTIONS: [&str; 3] = ["add", "modify", "remove"];
/// The highest number of a command.
const LAST: u32 = 500;

impl Judge<'_> {
    /// Checks what distinguishes the items of a list.
    pub(super) fn list(&mut self, items: &[&Element], item: &Setting, place: SettingAt<'_>) {
        let path = join(place.path, item.name);
        let mut keys = BTreeSet::new();
        for element in items {
            let place = SettingAt { path: &path, offset: element.offset, ..place };
            self.action(element, place);
            let Some(key) = item.key else { continue };
            let text = match key.element() {
                Some(name) => element.child(name).map(|key| key.text().into_owned()),
                None => element.attribute_of(WCM, "keyValue").map(|text| text.trim().to_owned()),
            };
            let Some(text) = text else {
                if key == Key::Order {
                    let fault =
                        Fault::refused("has no Order").with_hint(format!("number the commands from 1 to {LAST}"));
                    self.fault("bad-order", place, fault);
                }
                continue;
            };
            let code = if key == Key::Order { "bad-order" } else { "duplicate-item" };
            if key == Key::Order {
                let number = text.parse::<u32>().ok().filter(|number| (1..=LAST).contains(number));
                let Some(number) = number else {
                    let fault = Fault::refused(format!("has the Order `{}`", shown(&text)));
                    self.fault(code, place, fault.with_hint(format!("number the commands from 1 to {LAST}")));
                    continue;
                };
                if !keys.insert(number.to_string()) {
                    let fault = Fault::refused(format!("has the Order {number}, as one before it"));
                    self.fault(code, place, fault.with_hint("give each command a number of its own"));
                }
            } else if !text.is_empty() && !keys.insert(text.to_lowercase()) {
                let what = format!("is there twice as `{}`", shown(&text));
                self.fault(code, place, Fault::refused(what).with_hint("put all its settings into one element"));
            }
        }
    }

    fn action(&mut self, element: &Element, place: SettingAt<'_>) {
        match element.attribute_of(WCM, "action") {
            Some(action) if ACTIONS.iter().any(|known| known.eq_ignore_ascii_case(action)) => {}
            Some(action) => {
                let fault = Fault::refused(format!("has wcm:action=\"{}\"", shown(action)));
                self.fault("bad-action", place, fault.with_hint("write wcm:action=\"add\""));
            }
            None => {
                let hint = format!("write wcm:action=\"add\", with xmlns:wcm=\"{WCM}\" in the root");
                self.fault("no-action", place, Fault::told("is an item of a list without wcm:action").with_hint(hint));
            }
        }
    }
}

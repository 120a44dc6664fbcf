//! Passwords: `Value`, and whether it is `PlainText`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::known::{Kind, Setting};
use super::super::value::Fault;
use super::settings::join;
use super::{Judge, SettingAt};
use crate::types::text;
use crate::xml::Element;

/// The longest password that Windows accepts here.
const MAX_LEN: usize = 127;

const PARTS: &[Setting] = &[
    Setting { name: "Value", kind: Kind::Text(0), key: None, passes: &[] },
    Setting { name: "PlainText", kind: Kind::Flag, key: None, passes: &[] },
];

impl Judge<'_> {
    /// Checks a password in the element `name`. Messages never show it.
    pub(super) fn password(&mut self, element: &Element, name: &str, place: SettingAt<'_>) {
        self.parts(element, PARTS, place);
        let Some(value) = element.child("Value") else { return };
        let path = join(place.path, "Value");
        let place = SettingAt { path: &path, offset: value.offset, ..place };
        let text = value.text();
        let is_plain = element.child("PlainText").map(|plain| plain.text().to_ascii_lowercase());
        let fault = if text.contains("*SENSITIVE*DATA*DELETED*") {
            Some(Fault::refused("was deleted by Windows when it used this file").with_hint("give the password again"))
        } else if is_plain.is_some_and(|plain| matches!(plain.as_str(), "false" | "0")) {
            encoded(&text, name)
        } else {
            too_long(&text)
        };
        if let Some(fault) = fault {
            self.fault("bad-password", place, fault);
        }
    }
}

/// What is wrong with an encoded password: it should be Base64 of the UTF-16LE form of password and element name.
fn encoded(text: &str, name: &str) -> Option<Fault> {
    const HINT: &str = "with PlainText false it is Base64 of the UTF-16LE form of the password and the element's name; \
                        or write PlainText true";
    let text: String = text.split_whitespace().collect();
    if text.is_empty() {
        return None;
    }
    let Some(bytes) = STANDARD.decode(text).ok() else {
        return Some(Fault::refused("is not Base64, as PlainText says").with_hint(HINT));
    };
    let Some(whole) = text::utf16(&bytes) else {
        return Some(Fault::refused("is Base64, but not of UTF-16LE text").with_hint(HINT));
    };
    match whole.strip_suffix(name) {
        Some(password) => too_long(password),
        None => {
            Some(Fault::told(format!("does not end with `{name}`, so another password may be set")).with_hint(HINT))
        }
    }
}

fn too_long(password: &str) -> Option<Fault> {
    let len = password.encode_utf16().count();
    (len > MAX_LEN).then(|| Fault::refused(format!("has {len} characters; Windows takes {MAX_LEN} at most")))
}

//! Helpers for several elements of a manifest.

use super::model::{Manifest, Unhandled};
use crate::xml::Element;

impl Manifest {
    /// Records that `element` is not applied.
    pub(super) fn unhandled(&mut self, element: &Element, why: impl Into<String>) {
        self.not_applied.push(Unhandled { element: element.local().to_owned(), name: label(element), why: why.into() });
    }
}

/// The name of the security descriptor that `element` has.
pub(super) fn security_name(element: &Element) -> Option<String> {
    element.first("securityDescriptor")?.attribute("name").map(str::to_owned)
}

/// The attributes that distinguish an element from its neighbours.
fn label(element: &Element) -> Option<String> {
    const NAMES: [&str; 8] =
        ["name", "keyName", "destinationPath", "typeName", "internalName", "InternalName", "executableName", "id"];
    NAMES.iter().find_map(|name| element.attribute(name)).map(str::to_owned)
}

/// Whether an attribute is true.
pub(super) fn is_true(value: Option<&str>) -> bool {
    value.is_some_and(|value| ["true", "yes", "1"].iter().any(|word| value.eq_ignore_ascii_case(word)))
}

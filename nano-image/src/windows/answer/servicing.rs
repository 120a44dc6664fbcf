//! The section `servicing`: what DISM should do with packages. Source: "Add Packages to a Windows Image" and "package"
//! in the "Unattended Windows Setup Reference" on learn.microsoft.com.

use super::value::{Fault, shown};
use crate::types::nearest;
use crate::windows::package::identity::AssemblyIdentity;
use crate::xml::Element;

/// What should be done with a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServicingAction {
    /// It is installed.
    Install,
    /// It is only put into the component store.
    Stage,
    /// It is removed.
    Remove,
    /// Its features are turned on and off.
    Configure,
}

impl ServicingAction {
    /// All actions, with their names in files.
    const NAMED: [(&'static str, Self); 4] =
        [("install", Self::Install), ("stage", Self::Stage), ("remove", Self::Remove), ("configure", Self::Configure)];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        Self::NAMED.into_iter().find(|(_, action)| *action == self).map_or("", |(name, _)| name)
    }
}

/// A package of the section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicingPackage {
    /// What is to be done with it.
    pub action: ServicingAction,
    /// Its identity; fields that are missing in the file are empty.
    pub identity: AssemblyIdentity,
    /// Path of its cabinet, as given in the file.
    pub source: Option<String>,
    /// Its features, and whether each should be on.
    pub features: Vec<(String, bool)>,
}

impl ServicingPackage {
    /// Reads a `package` element.
    pub(super) fn read(package: &Element) -> Result<Self, Fault> {
        let action = package.attribute("action").unwrap_or_default().trim();
        let known = ServicingAction::NAMED.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(action));
        let Some((_, action)) = known else {
            let names = ServicingAction::NAMED.map(|(name, _)| name);
            let hint = match nearest(action, names) {
                Some(near) if !action.is_empty() => format!("did you mean `{near}`?"),
                _ => format!("the actions are {}", names.join(", ")),
            };
            let what = match action {
                "" => "has no action".to_owned(),
                other => format!("has the action `{}`, which DISM does not know", shown(other)),
            };
            return Err(Fault::refused(what).with_hint(hint));
        };
        let Some(identity) = package.child("assemblyIdentity") else {
            return Err(Fault::refused("has no assemblyIdentity").with_hint("`nano-image packages` tells identities"));
        };
        let given = identity.attributes().map(|(name, value)| (name, value.trim()));
        let identity = AssemblyIdentity::from_attributes(given.filter(|(_, value)| !value.is_empty()));
        let identity = identity.map_err(|error| Fault::refused(format!("has a bad identity: {}", error.message())))?;
        let mut features = Vec::new();
        for selection in package.elements().filter(|element| element.local() == "selection") {
            let name = selection.attribute("name").unwrap_or_default().trim();
            let state = match selection.attribute("state").unwrap_or_default().trim().to_ascii_lowercase().as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            };
            let Some(state) = state.filter(|_| !name.is_empty()) else {
                let what = format!("has a selection of the feature `{}` that is neither true nor false", shown(name));
                return Err(Fault::refused(what).with_hint("write <selection name=\"…\" state=\"true\" />"));
            };
            features.push((name.to_owned(), state));
        }
        let source = package.child("source").and_then(|source| source.attribute("location"));
        let source = source.map(str::trim).filter(|source| !source.is_empty()).map(str::to_owned);
        Ok(Self { action, identity, source, features })
    }
}

/// The `package` elements of a section.
pub(super) fn packages(section: &Element) -> impl Iterator<Item = &Element> {
    section.elements().filter(|element| element.local() == "package")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ServicingPackage, String> {
        let root = Element::parse(format!("<servicing>{text}</servicing>").as_bytes(), "section").unwrap();
        ServicingPackage::read(packages(&root).next().unwrap()).map_err(|fault| fault.what)
    }

    #[test]
    fn packages_are_read_as_files_have_them() {
        let package = read(
            "<package action='Configure' permanence='removable'><assemblyIdentity name=' A ' version='10.0.14393.0' \
             language='neutral'/><source location=' '/><selection name='Web' state='TRUE'/><selection name='Fax' \
             state='false'/></package>",
        );
        let package = package.unwrap();
        assert_eq!((package.action.name(), package.source.as_deref()), ("configure", None));
        assert_eq!((&*package.identity.name, package.identity.language.as_deref()), ("A", None));
        assert_eq!(package.features, [("Web".to_owned(), true), ("Fax".to_owned(), false)]);
    }

    #[test]
    fn what_dism_does_not_know_is_refused() {
        for (text, part) in [
            ("<package><assemblyIdentity name='A'/></package>", "no action"),
            ("<package action='instal'><assemblyIdentity name='A'/></package>", "`instal`"),
            ("<package action='install'/>", "no assemblyIdentity"),
            ("<package action='install'><assemblyIdentity/></package>", "without a name"),
            ("<package action='install'><assemblyIdentity name='A' version='1.2'/></package>", "`1.2`"),
            ("<package action='install'><assemblyIdentity name='A'/><selection name='F'/></package>", "`F`"),
        ] {
            let what = read(text).unwrap_err();
            assert!(what.contains(part), "{text}: {what}");
        }
    }
}

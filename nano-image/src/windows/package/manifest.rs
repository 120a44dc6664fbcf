//! The typed content of a component manifest (`urn:schemas-microsoft-com:asm.v3`).
//!
//! What a manifest asks for and this library does not do is kept as [`Unhandled`]. What has no effect on an offline
//! installation (markers, migration rules, resource caches) is left out. Macros are not expanded here: see
//! [`macros`](super::macros).
//!
//! The schema is not published; what is known about it comes from manifests of Windows and public descriptions.

mod common;
mod events;
mod files;
mod firewall;
mod model;
mod registry;
mod services;
mod settings;

use super::identity::AssemblyIdentity;
use crate::error::{Error, Result};
use crate::xml::Element;

pub use model::*;
pub(super) use registry::decode_value;
pub(super) use settings::decode_default;

/// Elements that change nothing in an image: markers, data that other tools read from the manifest itself, and what
/// Windows does later from the store.
const WITHOUT_EFFECT: [&str; 20] = [
    "assemblyIdentity",
    "deployment",
    "description",
    "noInherit",
    "noInheritable",
    "localization",
    "migration",
    "rescache",
    "deconstructionTool",
    "mvid",
    "feature",
    "signatureInfo",
    "unattendActions",
    "application",
    "compatibility",
    "comInterfaceExternalProxyStub",
    "clrClass",
    "clrSurrogate",
    "bindingRedirect",
    "osVersionInfo",
];

impl Manifest {
    /// Reads a manifest. A compressed one must be expanded before
    /// ([`expand_manifest`](crate::source::delta::expand_manifest)).
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt), with the byte, for what is not well-formed, is not a manifest or has no
    /// identity.
    pub fn parse(xml: &[u8]) -> Result<Self> {
        let root = Element::parse(xml, "manifest")?;
        if !root.is("assembly") {
            let what = format!("not a manifest: its root is `{}` of the namespace `{}`", root.local(), root.namespace);
            return Err(Error::corrupt(what).at(root.offset));
        }
        let identity = root.first("assemblyIdentity");
        let identity = identity.ok_or_else(|| Error::corrupt("manifest without an identity").at(root.offset))?;
        let mut manifest = Self::new(read_identity(identity)?);
        manifest.is_deployment = root.first("deployment").is_some();
        for element in root.all("localization") {
            manifest.read_strings(element);
        }
        for element in root.elements() {
            manifest.read(element)?;
        }
        Ok(manifest)
    }

    fn read(&mut self, element: &Element) -> Result<()> {
        if element.local().eq_ignore_ascii_case("firewallRule") {
            self.read_firewall_rule(element);
            return Ok(());
        }
        match element.local() {
            "instrumentation" => self.read_instrumentation(element),
            "rescache" => {}
            _ if !element.is_asm() => {
                let why = format!("the namespace `{}` is not known", element.namespace);
                self.unhandled(element, why);
            }
            "file" => self.read_file(element)?,
            "directories" => self.each(element, "directory", Self::read_directory),
            "registryKeys" => self.each(element, "registryKey", Self::read_registry_key),
            "configuration" => self.read_configuration(element),
            "memberships" => self.read_memberships(element),
            "trustInfo" => self.read_trust(element),
            "dependency" => self.read_dependency(element)?,
            name if WITHOUT_EFFECT.contains(&name) => {}
            name => self.unhandled(element, online_reason(name)),
        }
        Ok(())
    }

    /// Reads the elements `name` in `parent`; others are reported as not handled.
    fn each(&mut self, parent: &Element, name: &str, mut read: impl FnMut(&mut Self, &Element)) {
        for element in parent.elements() {
            match element.is(name) {
                true => read(self, element),
                false => self.unhandled(element, format!("not known in `{}`", parent.local())),
            }
        }
    }

    fn read_strings(&mut self, localization: &Element) {
        let tables = localization.all("resources").flat_map(|resources| resources.all("stringTable"));
        for string in tables.flat_map(|table| table.all("string")) {
            if let (Some(id), Some(value)) = (string.attribute("id"), string.attribute("value")) {
                self.strings.entry(id.to_ascii_lowercase()).or_insert_with(|| value.to_owned());
            }
        }
    }

    fn read_trust(&mut self, element: &Element) {
        for security in element.elements() {
            if !security.is("security") {
                self.unhandled(security, "not known in `trustInfo`");
                continue;
            }
            for part in security.elements() {
                match part.local() {
                    "accessControl" => self.read_access_control(part),
                    // Privileges that programs ask for when they start.
                    "requestedPrivileges" | "applicationRequestMinimum" => {}
                    _ => self.unhandled(part, "not known in `security`"),
                }
            }
        }
    }

    fn read_access_control(&mut self, element: &Element) {
        for part in element.elements() {
            if !part.is("securityDescriptorDefinitions") {
                self.unhandled(part, "groups and privileges are changed by a running Windows only");
                continue;
            }
            for definition in part.elements() {
                match (definition.attribute("name"), definition.attribute("sddl")) {
                    (Some(name), Some(sddl)) if definition.is("securityDescriptorDefinition") => {
                        self.security.insert(name.to_owned(), sddl.to_owned());
                    }
                    _ => self.unhandled(definition, "it defines no security descriptor"),
                }
            }
        }
    }

    fn read_dependency(&mut self, element: &Element) -> Result<()> {
        let is_resource = element.attribute("resourceType").is_some_and(|kind| kind.eq_ignore_ascii_case("Resources"));
        for dependent in element.elements() {
            if !dependent.is("dependentAssembly") || dependent.first("bindingRedirect").is_some() {
                continue;
            }
            let kind = match dependent.attribute("dependencyType").map(str::to_ascii_lowercase).as_deref() {
                None | Some("" | "install") => DependencyKind::Install,
                Some("prerequisite") => DependencyKind::Prerequisite,
                Some(other) => {
                    self.unhandled(dependent, format!("`{other}` is not a known kind of dependency"));
                    continue;
                }
            };
            let Some(identity) = dependent.first("assemblyIdentity") else {
                return Err(Error::corrupt("a dependency without an identity").at(dependent.offset));
            };
            let identity = read_identity(identity)?;
            self.dependencies.push(Dependency { identity, kind, resources: is_resource });
        }
        Ok(())
    }
}

/// Why an element must be left to a running Windows.
fn online_reason(name: &str) -> &'static str {
    const KNOWN: [(&str, &str); 15] = [
        ("taskScheduler", "scheduled tasks are registered by a running Windows only"),
        ("networkComponents", "the bindings of network components are made by a running Windows only"),
        ("genericCommands", "a program would have to run"),
        ("genericCommand", "a program would have to run"),
        ("mof", "WMI classes are compiled by a running Windows only"),
        ("imaging", "it is registered with sysprep by an installer of Windows only"),
        ("sppInstaller", "licenses are installed by a running Windows only"),
        ("bcdedit", "boot entries are made when the image is built"),
        ("bfsvc", "boot files are put into place when the image is built"),
        ("SecureBoot", "variables of the firmware are set by a running Windows only"),
        ("HTTPAI", "URLs are reserved by a running Windows only"),
        ("iisSetup", "IIS is set up by a running Windows only"),
        ("msdtc", "MSDTC is set up by a running Windows only"),
        ("configureNetFx", ".NET is set up by a running Windows only"),
        ("cleanupCache", "caches are cleaned by a running Windows only"),
    ];
    let known = KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, why)| *why);
    let lower = name.to_ascii_lowercase();
    known.unwrap_or(match lower.as_str() {
        lower if lower.starts_with("winsock") => "network providers are registered by a running Windows only",
        lower if lower.starts_with("msmq") => "message queuing is set up by a running Windows only",
        lower if lower.starts_with("appx") => "apps are registered by a running Windows only",
        _ => "the element is not known",
    })
}

/// The identity in `element`.
fn read_identity(element: &Element) -> Result<AssemblyIdentity> {
    AssemblyIdentity::from_attributes(element.attributes()).map_err(|error| error.at(element.offset))
}

#[cfg(test)]
mod tests;

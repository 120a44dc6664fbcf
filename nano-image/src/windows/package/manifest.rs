//! The typed content of a component manifest (`urn:schemas-microsoft-com:asm.v3`).
//!
//! What a manifest asks for and this library does not do is kept as [`Unhandled`]; what has no effect on an offline
//! installation (markers, migration rules, resource caches) is left out. Macros stay as they are written: see
//! [`macros`](super::macros).
//!
//! The schema is not published; what is known of it comes from manifests of Windows and public descriptions of them.

mod events;
mod files;
mod firewall;
mod registry;
mod services;
mod settings;

use std::collections::BTreeMap;

use super::identity::AssemblyIdentity;
use crate::error::{Error, Result};
use crate::windows::xml::Element;

pub use events::{Channel, EventProvider, ImportedChannel};
pub use files::{Digest, DigestAlgorithm, Directory, ManifestFile};
pub use firewall::FirewallRule;
pub(super) use registry::decode_value;
pub use registry::{Operation, RegistryKey, RegistryValue};
pub use services::{FailureAction, FailureActions, Service, ServiceGroup, Trigger};
pub use settings::Setting;
pub(super) use settings::decode_default;

/// The content of a manifest.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Manifest {
    /// Name of the component.
    pub identity: AssemblyIdentity,
    /// Files, in the order of the manifest, as is everything else.
    pub files: Vec<ManifestFile>,
    /// Directories.
    pub directories: Vec<Directory>,
    /// Registry keys with their values.
    pub registry: Vec<RegistryKey>,
    /// Settings (SMI) that have a default in the registry.
    pub settings: Vec<Setting>,
    /// Services and drivers.
    pub services: Vec<Service>,
    /// Services that run together in a `svchost.exe`.
    pub service_groups: Vec<ServiceGroup>,
    /// Rules of the firewall.
    pub firewall_rules: Vec<FirewallRule>,
    /// Providers of events.
    pub event_providers: Vec<EventProvider>,
    /// Security descriptors (SDDL) by their names.
    pub security: BTreeMap<String, String>,
    /// Texts for `$(resourceString.NAME)`, by their lower-case names.
    pub strings: BTreeMap<String, String>,
    /// Other components that this one needs.
    pub dependencies: Vec<Dependency>,
    /// Whether it is the entry to the components of a package.
    pub is_deployment: bool,
    /// What the manifest asks for and is not done.
    pub not_applied: Vec<Unhandled>,
}

/// Something in a manifest that is not applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unhandled {
    /// Local name of the element.
    pub element: String,
    /// What tells it from its neighbours, if it has that.
    pub name: Option<String>,
    /// Why it is not applied.
    pub why: String,
}

/// What a component needs another one for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependencyKind {
    /// It is installed along with this one.
    Install,
    /// This one is not installed without it.
    Prerequisite,
}

/// A component that another one needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Which; its language may be `*`.
    pub identity: AssemblyIdentity,
    /// What for.
    pub kind: DependencyKind,
    /// Whether it has the texts of this one in some language: never missed.
    pub resources: bool,
}

/// Elements that change nothing in an image: markers, what other tools read from the manifest itself, and what Windows
/// does later from the store.
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
    /// Reads a manifest. A compressed one is expanded before ([`expand_manifest`](crate::source::delta::expand_manifest)).
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt), with the byte, for what is not well-formed, is no manifest or has no
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

    /// A component that asks for nothing.
    pub fn new(identity: AssemblyIdentity) -> Self {
        Self {
            identity,
            files: Vec::new(),
            directories: Vec::new(),
            registry: Vec::new(),
            settings: Vec::new(),
            services: Vec::new(),
            service_groups: Vec::new(),
            firewall_rules: Vec::new(),
            event_providers: Vec::new(),
            security: BTreeMap::new(),
            strings: BTreeMap::new(),
            dependencies: Vec::new(),
            is_deployment: false,
            not_applied: Vec::new(),
        }
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

    /// Reads the elements `name` in `parent`; others are not handled.
    fn each(&mut self, parent: &Element, name: &str, mut read: impl FnMut(&mut Self, &Element)) {
        for element in parent.elements() {
            match element.is(name) {
                true => read(self, element),
                false => self.unhandled(element, format!("not known in `{}`", parent.local())),
            }
        }
    }

    /// Notes that `element` is not applied.
    fn unhandled(&mut self, element: &Element, why: impl Into<String>) {
        self.not_applied.push(Unhandled { element: element.local().to_owned(), name: label(element), why: why.into() });
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
                    // What programs ask for when they start.
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

/// Why an element is left to a running Windows.
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

/// The identity that `element` names.
fn read_identity(element: &Element) -> Result<AssemblyIdentity> {
    AssemblyIdentity::from_attributes(element.attributes()).map_err(|error| error.at(element.offset))
}

/// The name of the security descriptor that `element` has.
fn security_name(element: &Element) -> Option<String> {
    element.first("securityDescriptor")?.attribute("name").map(str::to_owned)
}

/// What tells an element from its neighbours.
fn label(element: &Element) -> Option<String> {
    const NAMES: [&str; 8] =
        ["name", "keyName", "destinationPath", "typeName", "internalName", "InternalName", "executableName", "id"];
    NAMES.iter().find_map(|name| element.attribute(name)).map(str::to_owned)
}

/// Whether an attribute says yes.
fn is_true(value: Option<&str>) -> bool {
    value.is_some_and(|value| ["true", "yes", "1"].iter().any(|word| value.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests;

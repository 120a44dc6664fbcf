//! Types for the contents of a manifest.

use std::collections::BTreeMap;

use crate::registry::ValueKind;
use crate::types::Guid;
use crate::windows::package::identity::AssemblyIdentity;

/// The content of a manifest.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Manifest {
    /// Name of the component.
    pub identity: AssemblyIdentity,
    /// Files. Like all lists here, they are in the order of the manifest.
    pub files: Vec<ManifestFile>,
    /// Directories.
    pub directories: Vec<Directory>,
    /// Registry keys with their values.
    pub registry: Vec<RegistryKey>,
    /// Settings (SMI) that have a default in the registry.
    pub settings: Vec<Setting>,
    /// Services and drivers.
    pub services: Vec<Service>,
    /// Services that share a `svchost.exe`.
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
    /// Whether it is the component through which a package refers to its components.
    pub is_deployment: bool,
    /// Requests of the manifest that are not applied.
    pub not_applied: Vec<Unhandled>,
}

/// Something in a manifest that is not applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unhandled {
    /// Local name of the element.
    pub element: String,
    /// The key that distinguishes it from its neighbours, if it has one.
    pub name: Option<String>,
    /// Why it is not applied.
    pub why: String,
}

/// Why a component needs another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependencyKind {
    /// It is installed along with this one.
    Install,
    /// This one is not installed without the other.
    Prerequisite,
}

/// A component that another one needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The other component; its language may be `*`.
    pub identity: AssemblyIdentity,
    /// Purpose of the dependency.
    pub kind: DependencyKind,
    /// Whether it contains the texts of this one in some language. It may be missing.
    pub resources: bool,
}

impl Dependency {
    /// Whether it is for texts in a language: those that exist are used.
    pub fn is_optional(&self) -> bool {
        self.resources || self.identity.language.as_deref() == Some("*")
    }
}

/// A file of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ManifestFile {
    /// Name in the component's folder of the store.
    pub name: String,
    /// Name in the component's folder of the cabinet, if it differs.
    pub source_name: Option<String>,
    /// Folder to which it is installed, with macros; `None` if it stays only in the store.
    pub destination_path: Option<String>,
    /// Name there, if it differs.
    pub destination_name: Option<String>,
    /// Further paths of hard links to it, with macros.
    pub links: Vec<String>,
    /// Names or number of file attributes, as written.
    pub attributes: Option<String>,
    /// Whether programs change it, so that it is a copy of the store's file and not a link.
    pub writeable: bool,
    /// Name of its security descriptor.
    pub security: Option<String>,
    /// Digest of its contents.
    pub digest: Option<Digest>,
}

/// The digest of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// How it is computed.
    pub algorithm: DigestAlgorithm,
    /// Its bytes.
    pub value: Vec<u8>,
}

/// An algorithm for digests (`http://www.w3.org/2000/09/xmldsig#…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// A directory of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Directory {
    /// Path, with macros.
    pub path: String,
    /// Names or number of file attributes, as written.
    pub attributes: Option<String>,
    /// Whether the component owns it: its descriptor is then set even if the directory existed.
    pub is_owner: bool,
    /// Name of its security descriptor.
    pub security: Option<String>,
}

/// A key of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryKey {
    /// Path from a root (`HKEY_LOCAL_MACHINE\…`), with macros.
    pub path: String,
    /// Values.
    pub values: Vec<RegistryValue>,
    /// Name of its security descriptor.
    pub security: Option<String>,
}

/// A value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryValue {
    /// Name; empty for the default value.
    pub name: String,
    /// Name of its type, as written; see [`kind`](Self::kind).
    pub type_name: String,
    /// Data as written, with macros; `None` if there is none.
    pub text: Option<String>,
    /// Whether an existing value is kept.
    pub keep_existing: bool,
    /// What happens to an existing value.
    pub operation: Operation,
}

/// What happens to an existing value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is replaced.
    Replace,
    /// The items of a list are added to it.
    Append,
}

/// A setting with a default value in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// Path of the key from a root, with macros.
    pub path: String,
    /// Name of the value.
    pub name: String,
    /// Type of the value.
    pub kind: ValueKind,
    /// The default in the notation of XML Schema, with macros.
    pub default: String,
    /// Name of the key's security descriptor.
    pub security: Option<String>,
}

/// A service or driver. Numbers have the meaning that they have in the service control manager's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// Name of its key.
    pub name: String,
    /// Numbers by the names of their values: `Type`, `Start` …
    pub numbers: Vec<(&'static str, u32)>,
    /// Texts by the names of their values, with macros.
    pub texts: Vec<(&'static str, String)>,
    /// Program or driver, with macros.
    pub image_path: Option<String>,
    /// Lists by the names of their values: `DependOnService` …
    pub lists: Vec<(&'static str, Vec<String>)>,
    /// What happens when it fails.
    pub failure: Option<FailureActions>,
    /// What starts and stops it.
    pub triggers: Vec<Trigger>,
    /// Name of its security descriptor.
    pub security: Option<String>,
}

/// What happens when a service fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailureActions {
    /// Seconds after which the count of failures is reset.
    pub reset_period: u32,
    /// What happens at the first failure, the second …
    pub actions: Vec<FailureAction>,
}

/// What happens at a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureAction {
    /// 0 nothing, 1 restart, 2 reboot, 3 run a program.
    pub kind: u32,
    /// Milliseconds before it happens.
    pub delay: u32,
}

/// What starts or stops a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Kind of event.
    pub kind: u32,
    /// 1 starts, 2 stops the service.
    pub action: u32,
    /// The event among those of its kind.
    pub subtype: Guid,
    /// Type and bytes of the data that the event must carry.
    pub data: Vec<(u32, Vec<u8>)>,
}

/// A service in a group whose services share a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceGroup {
    /// The group.
    pub group: String,
    /// The service.
    pub service: String,
    /// Whether it comes before the others.
    pub is_first: bool,
}

/// A rule of the firewall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirewallRule {
    /// Name of its value.
    pub id: String,
    /// Fields in the order of the rule, with macros.
    pub fields: Vec<(&'static str, String)>,
}

/// A provider of events.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventProvider {
    /// Name.
    pub name: String,
    /// Identifier.
    pub guid: Guid,
    /// Files with its texts by the names of their values (`ResourceFileName` …), with macros.
    pub files: Vec<(&'static str, String)>,
    /// Its own channels.
    pub channels: Vec<Channel>,
    /// Channels of other providers to which it writes.
    pub imported: Vec<ImportedChannel>,
}

/// A channel to which events are written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Channel {
    /// Name, e.g. `Microsoft-Windows-Hyper-V-VMMS-Admin`.
    pub name: String,
    /// Number in its provider, if it is given.
    pub number: Option<u32>,
    /// 0 Admin, 1 Operational, 2 Analytic, 3 Debug.
    pub kind: u32,
    /// 0 Application, 1 System, 2 Custom.
    pub isolation: u32,
    /// Whether events are recorded.
    pub enabled: bool,
    /// Who may read and write, as SDDL.
    pub access: Option<String>,
    /// The most bytes that it keeps.
    pub max_size: Option<u32>,
    /// Whether old events are kept when it is full.
    pub retention: bool,
    /// Whether a full log is archived.
    pub auto_backup: bool,
}

/// A channel of another provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedChannel {
    /// Name.
    pub name: String,
    /// Number in this provider, if it is given.
    pub number: Option<u32>,
}

impl Manifest {
    /// A component without any requests.
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
}

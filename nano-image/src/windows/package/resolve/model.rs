//! Types for what is installed, and for what is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::types::Architecture;
use crate::windows::package::cabinet::PackageCabinet;
use crate::windows::package::contents::{Mum, PackageSource, StoredManifest};
use crate::windows::package::identity::AssemblyIdentity;
use crate::windows::package::installed::Installed;
use crate::windows::package::manifest::{
    EventProvider, FirewallRule, ManifestFile, RegistryKey, Service, ServiceGroup, Setting,
};

/// DISM's codes (cbsapi.h).
pub(in crate::windows::package) const INVALID_PACKAGE: &str = "0x800f0805";
pub(super) const NOT_APPLICABLE: &str = "0x800f081e";
pub(super) const SOURCE_MISSING: &str = "0x800f081f";
pub(in crate::windows::package) const UNKNOWN_UPDATE: &str = "0x800f080c";

/// The most missing things that one error lists.
pub(super) const MAX_LISTED: usize = 30;

/// Packages to install, in order.
#[derive(Clone, Debug, Default)]
pub struct Resolution {
    /// Inner packages come before the package that contains them; updates are last.
    pub packages: Vec<ResolvedPackage>,
    /// Files and keys that belong only to replaced versions, and are removed.
    pub past: Vec<Past>,
    /// Names of the features that are turned on, with those that they need or bring along.
    pub features: Vec<String>,
    /// What is left out and why, one sentence each.
    pub notes: Vec<String>,
}

/// A package to install.
#[derive(Clone, Debug)]
pub struct ResolvedPackage {
    /// Its description and catalog.
    pub mum: Arc<Mum>,
    /// Index of its cabinet; the index after the last one stands for the image's own store.
    pub cabinet: usize,
    /// Whether the image has the package already, and only more of its updates are installed.
    pub in_image: bool,
    /// Whether it is a part of a feature that is off.
    pub staged: bool,
    /// Index in [`Resolution::packages`] of the package that contains it; `None` for a requested package.
    pub owner: Option<usize>,
    /// What becomes of its updates, in the order of the description.
    pub updates: Vec<ResolvedUpdate>,
    /// Components that no earlier package has. Each comes after those that it needs; deployments come last.
    pub components: Vec<ResolvedComponent>,
}

impl ResolvedPackage {
    /// What the package is called.
    pub fn identity(&self) -> &AssemblyIdentity {
        &self.mum.package.identity
    }
}

/// An update of a package.
#[derive(Clone, Debug)]
pub struct ResolvedUpdate {
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub state: UpdateState,
    /// The components that it names itself.
    pub deployments: Vec<AssemblyIdentity>,
}

/// What becomes of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UpdateState {
    /// Nothing, because what it updates is not there.
    NotApplicable,
    /// Its files are only put into the component store: a feature that is off.
    Staged,
    /// It is installed.
    Installed,
}

/// A component to install.
#[derive(Clone, Debug)]
pub struct ResolvedComponent {
    /// Its manifest.
    pub manifest: Arc<StoredManifest>,
    /// Index of the cabinet with its files; the index after the last one stands for the image's own store.
    pub cabinet: usize,
    /// Whether the image's own store has its files.
    pub in_store: bool,
    /// Whether it is already in use in the image, and only belongs to one more deployment.
    pub is_present: bool,
    /// Whether it is only put into the component store, for a feature that is off.
    pub staged: bool,
    /// Whether a later version is in use, so that it is only put into the component store.
    pub superseded: bool,
    /// Whether it replaces an earlier version in the image.
    pub replaces: bool,
    /// The deployments that it belongs to; a deployment belongs to itself.
    pub deployments: Vec<AssemblyIdentity>,
}

impl ResolvedComponent {
    /// Whether it is the version in use.
    pub fn is_in_use(&self) -> bool {
        self.is_new() && !self.superseded
    }

    /// Whether its family gets one more version, which need not be the one in use.
    pub fn is_new(&self) -> bool {
        !self.staged && !self.is_present
    }
}

/// A cabinet to install.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The cabinet.
    pub cabinet: &'a PackageCabinet<'a>,
    /// Its purpose.
    pub purpose: Purpose,
}

/// The purpose of a cabinet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is installed.
    Package,
    /// It is installed last, because it updates what others install.
    Update,
    /// It is searched for features that are turned on, and for files that the image does not have for them.
    Source,
}

/// A request to [`resolve`](super::resolve).
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Cabinets.
    pub given: &'a [Given<'a>],
    /// The component store of the image, if features are turned on.
    pub store: Option<&'a PackageSource<'a>>,
    /// Features.
    pub features: Choice<'a>,
    /// What is installed in the image.
    pub installed: &'a Installed,
    /// The image's architecture.
    pub architecture: Architecture,
}

/// Features by their names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice<'a> {
    /// Those that are turned on.
    pub on: &'a [String],
    /// Features that stay off, even if others would bring them along.
    pub off: &'a [String],
}

/// Files and keys that are removed together with the old version of a component.
#[derive(Clone, Debug)]
pub struct Past {
    /// Key form of that version.
    pub key_form: String,
    /// Texts for its macros.
    pub strings: BTreeMap<String, String>,
    /// Its files, with those links that the later version does not have.
    pub files: Vec<ManifestFile>,
    /// Keys with the values that the later version does not have.
    pub registry: Vec<RegistryKey>,
    /// Settings that it does not have.
    pub settings: Vec<Setting>,
    /// Paths of keys that it does not have, with macros, deepest first.
    pub keys: Vec<String>,
    /// Services that it does not have.
    pub services: Vec<Service>,
    /// Memberships in service groups that it does not have.
    pub service_groups: Vec<ServiceGroup>,
    /// Rules of the firewall that it does not have.
    pub firewall_rules: Vec<FirewallRule>,
    /// Providers of events that it does not have.
    pub event_providers: Vec<EventProvider>,
}

/// What is missing, in the order in which it was found.
#[derive(Debug, Default)]
pub(super) struct Missing {
    /// Whether files have been removed from the image.
    pub is_removed: bool,
    texts: Vec<String>,
    seen: BTreeSet<String>,
    names: Vec<String>,
}

impl Missing {
    /// Adds something that is in the way. `names` are the names of what would help.
    pub fn add(&mut self, text: String, names: impl IntoIterator<Item = String>) {
        if self.seen.insert(text.clone()) {
            self.texts.push(text);
            self.names.extend(names);
        }
    }

    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The error that names everything; `None` if nothing is missing.
    pub fn into_error(self) -> Option<Error> {
        let count = self.texts.len();
        let more = match count.saturating_sub(MAX_LISTED) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let what = match &self.texts[..] {
            [] => return None,
            [one] => one.clone(),
            texts => format!("{count} things are in the way: {}{more}", texts[..count.min(MAX_LISTED)].join("; ")),
        };
        let error = Error::new(ErrorKind::Unsatisfied, what).with_missing(self.names);
        Some(match self.is_removed {
            true => error.with_hint("give the media that the image is of: their folder sources/sxs has such files"),
            false => error,
        })
    }
}

//! What is installed in an image.

use std::collections::{BTreeMap, BTreeSet};

use super::identity::{AssemblyIdentity, Version};
use super::mum::Parent;
use super::state::State;
use crate::error::{Error, ErrorKind, Result};
use crate::registry::{Hive, KeyId};
use crate::source::delta;
use crate::types::Utf16Name;
use crate::windows::edit::{HiveFile, ImageEdit, ImageFiles};

/// The key of SOFTWARE that lists packages.
pub(super) const SERVICING: &str = r"Microsoft\Windows\CurrentVersion\Component Based Servicing";
/// The component store.
pub const STORE: &str = r"Windows\WinSxS";
/// The key with the winning versions of components, by versionless key form.
pub(super) const WINNERS: &str = r"Microsoft\Windows\CurrentVersion\SideBySide\Winners";

/// The file in which the servicing stack leaves work for the next start.
const PENDING: &str = r"Windows\WinSxS\pending.xml";

/// The largest `wcp.dll` of a servicing stack.
const MAX_WCP: u64 = 64 << 20;

/// What is installed in an image.
#[derive(Clone, Debug, Default)]
pub struct Installed {
    packages: Vec<InstalledPackage>,
    /// Numbers of packages by name in lower case.
    by_name: BTreeMap<String, Vec<usize>>,
    /// Packages that are only in the component store, and their numbers.
    staged: Vec<InstalledPackage>,
    staged_by_name: BTreeMap<String, Vec<usize>>,
    /// Names of manifests in the component store, without extension, in lower case.
    components: BTreeSet<String>,
    /// Winning versions by versionless key form, in lower case.
    winners: BTreeMap<String, Version>,
}

/// A package that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledPackage {
    /// What it is called.
    pub identity: AssemblyIdentity,
    /// Its state.
    pub state: State,
    /// Names of its updates with their states.
    pub updates: Vec<(String, State)>,
}

impl InstalledPackage {
    /// The state of its update `name`.
    pub fn update(&self, name: &str) -> Option<State> {
        let found = self.updates.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, state)| *state)
    }
}

impl Installed {
    /// Reads what is installed in an image.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if it is not an image of an installed Windows,
    /// [`Unsatisfied`](crate::ErrorKind::Unsatisfied) if an installation in it has not been finished,
    /// [`Corrupt`](crate::ErrorKind::Corrupt).
    pub fn read(image: &mut ImageEdit<'_>) -> Result<Self> {
        let has_pending_file = image.tree.find(PENDING).is_some();
        if let Some(hive) = image.hive(HiveFile::Software)?
            && let Some(servicing) = hive.find(SERVICING)
        {
            check_pending(has_pending_file, hive, servicing)?;
        }
        Self::read_unfinished(image)
    }

    /// Like [`read`](Self::read), but also for images in which an installation has not been finished.
    ///
    /// # Errors
    /// The others of [`read`](Self::read).
    pub fn read_unfinished(image: &mut ImageEdit<'_>) -> Result<Self> {
        let manifests = image.tree.find(&format!(r"{STORE}\Manifests"));
        let manifests = manifests.and_then(|node| image.tree[node].children.as_ref()).into_iter().flatten();
        let name = |name: &Utf16Name| name.to_string().to_ascii_lowercase();
        let components = manifests.filter_map(|(file, _)| name(file).strip_suffix(".manifest").map(str::to_owned));
        let components = components.collect();
        let hive = image.needed(HiveFile::Software)?;
        let Some(servicing) = hive.find(SERVICING) else {
            let what = format!("the image lists no packages: its registry has no key `{SERVICING}`");
            return Err(Error::not_found(what).with_path(HiveFile::Software.path()));
        };
        let winners = match hive.find(WINNERS) {
            Some(winners) => hive.subkeys(winners).into_iter().filter_map(|key| winner(hive, key)).collect(),
            None => BTreeMap::new(),
        };
        Ok(Self { components, winners, ..Self::listed(hive, servicing) })
    }

    /// Only the packages that are listed in the key `servicing` of the SOFTWARE hive.
    pub(super) fn listed(software: &Hive, servicing: KeyId) -> Self {
        let packages = packages_of(software, servicing);
        let (packages, others): (Vec<_>, Vec<_>) = packages.partition(|package| package.state.is_installed());
        let staged: Vec<_> = others.into_iter().filter(|package| package.state == State::Staged).collect();
        let (by_name, staged_by_name) = (numbers(&packages), numbers(&staged));
        Self { packages, by_name, staged, staged_by_name, ..Self::default() }
    }

    /// The packages, in the order of their names.
    pub fn packages(&self) -> &[InstalledPackage] {
        &self.packages
    }

    /// The packages that are only in the component store, sorted by name.
    pub fn staged(&self) -> &[InstalledPackage] {
        &self.staged
    }

    /// The package `identity`, in exactly this version, installed or staged.
    pub fn known(&self, identity: &AssemblyIdentity) -> Option<&InstalledPackage> {
        let numbers = self.staged_by_name.get(&identity.name.to_ascii_lowercase()).into_iter().flatten();
        let mut staged = numbers.map(|number| &self.staged[*number]);
        self.package(identity).or_else(|| staged.find(|package| package.identity.is(identity)))
    }

    /// The package `identity`, in exactly this version.
    pub fn package(&self, identity: &AssemblyIdentity) -> Option<&InstalledPackage> {
        self.called(&identity.name).find(|package| package.identity.is(identity))
    }

    /// The latest version of the package `identity`.
    pub fn family(&self, identity: &AssemblyIdentity) -> Option<&AssemblyIdentity> {
        let family =
            self.called(&identity.name).map(|package| &package.identity).filter(|other| other.is_family(identity));
        family.max_by_key(|other| other.version)
    }

    /// Packages with this name, in any language and version.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a AssemblyIdentity> {
        self.called(name).map(|package| &package.identity)
    }

    /// Packages with this name, or all for `*`.
    fn called(&self, name: &str) -> impl Iterator<Item = &InstalledPackage> {
        let all = (name == "*").then_some(&self.packages[..]).into_iter().flatten();
        let numbers = self.by_name.get(&name.to_ascii_lowercase()).into_iter().flatten();
        all.chain(numbers.map(|number| &self.packages[*number]))
    }

    /// The package of the image's edition, e.g. Nano Server Datacenter.
    pub fn edition(&self) -> Option<&AssemblyIdentity> {
        let identities = self.packages.iter().map(|package| &package.identity).filter(|other| other.language.is_none());
        let editions = identities.filter(|other| other.name.to_ascii_lowercase().contains("edition"));
        // Besides the edition's own package there are its parts, and a package that all editions have.
        editions.min_by_key(|other| {
            let name = other.name.to_ascii_lowercase();
            (name.contains("-merged-"), name.contains("edition-package"))
        })
    }

    /// Languages of installed packages, as written, each once.
    pub fn languages(&self) -> Vec<&str> {
        let mut languages: BTreeMap<String, &str> = BTreeMap::new();
        for language in self.packages.iter().filter_map(|package| package.identity.language.as_deref()) {
            languages.entry(language.to_ascii_lowercase()).or_insert(language);
        }
        languages.into_values().collect()
    }

    /// Whether a package fits the parent, with the parent's own parents.
    pub fn has_parent(&self, parent: &Parent) -> bool {
        let mut names = parent.identities.iter().map(|wanted| wanted.identity.name.as_str());
        names.any(|name| self.called(name).any(|package| parent.fits(&package.identity)))
            && parent.parents.iter().all(|parent| self.has_parent(parent))
    }

    /// Whether the update `name` of one of the packages `parents` is installed.
    pub fn has_update(&self, parents: &[Parent], name: &str) -> bool {
        let packages = parents.iter().flat_map(|parent| {
            let names = parent.identities.iter().map(|wanted| wanted.identity.name.as_str());
            names.flat_map(|name| self.called(name)).filter(|package| parent.fits(&package.identity))
        });
        let mut updates = packages.flat_map(|package| &package.updates);
        updates.any(|(update, state)| update.eq_ignore_ascii_case(name) && state.is_on())
    }

    /// Whether a version of the component is in use, and not only in the store for a feature that is off.
    pub fn is_in_use(&self, identity: &AssemblyIdentity) -> bool {
        self.winners.is_empty() || self.winners.contains_key(&identity.versionless_key_form())
    }

    /// Whether exactly this version of the component, or a later one, is in use.
    pub fn uses(&self, identity: &AssemblyIdentity) -> bool {
        self.winners.get(&identity.versionless_key_form()).is_some_and(|version| *version >= identity.version)
    }

    /// Whether the component store has the component, in this or a later version.
    pub fn has_component(&self, identity: &AssemblyIdentity) -> bool {
        self.components.contains(&identity.key_form())
            || self.winner(identity).is_some_and(|version| version >= identity.version)
    }

    /// The version of the component that is in use. If the image does not state it, the latest one in the store.
    pub fn winner(&self, identity: &AssemblyIdentity) -> Option<Version> {
        self.winners.get(&identity.versionless_key_form()).copied().or_else(|| self.latest(identity))
    }

    /// The latest version in the store, for a component whose name is not shortened there.
    fn latest(&self, identity: &AssemblyIdentity) -> Option<Version> {
        let key = identity.key_form();
        // The name ends where the version begins. The language follows the version.
        let (start, end) = key.split_once(&format!("_{}_", identity.version))?;
        let (language, _) = end.rsplit_once('_')?;
        if start.contains("..") {
            return None;
        }
        let start = format!("{start}_");
        let same = self.components.range(start.clone()..).take_while(|key| key.starts_with(&start));
        let versions = same.filter_map(|key| {
            let (version, rest) = key[start.len()..].split_once('_')?;
            let (other, _) = rest.rsplit_once('_')?;
            (other == language).then(|| version.parse().ok())?
        });
        versions.max()
    }
}

/// All packages that the SOFTWARE hive lists, in any state, sorted by name.
pub(super) fn all(software: &Hive) -> Vec<InstalledPackage> {
    software.find(SERVICING).map(|servicing| packages_of(software, servicing).collect()).unwrap_or_default()
}

fn packages_of(software: &Hive, servicing: KeyId) -> impl Iterator<Item = InstalledPackage> {
    let keys = software.find_from(servicing, "Packages").map(|key| software.subkeys(key)).unwrap_or_default();
    keys.into_iter().filter_map(|key| package(software, key))
}

/// Windows' build: number and revision; `None` if the registry does not state it.
///
/// # Errors
/// Those of [`ImageEdit::hive`].
pub(super) fn build(image: &mut ImageEdit<'_>) -> Result<Option<String>> {
    let Some(hive) = image.hive(HiveFile::Software)? else { return Ok(None) };
    let Some(key) = hive.find(r"Microsoft\Windows NT\CurrentVersion") else { return Ok(None) };
    let number = ["CurrentBuildNumber", "CurrentBuild"].into_iter().find_map(|name| hive.value(key, name)?.text());
    let revision = hive.value(key, "UBR").and_then(|value| value.as_dword());
    Ok(number.map(|number| revision.map_or(number.clone(), |revision| format!("{number}.{revision}"))))
}

/// The dictionary for compressed manifests, from the latest servicing stack in the image.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) if there is none.
pub fn dictionary(image: &dyn ImageFiles) -> Result<Vec<u8>> {
    let stacks = image.names(STORE)?.into_iter().filter_map(|name| {
        let name = name.to_ascii_lowercase();
        let [_, stack, _, version, ..] = name.split('_').collect::<Vec<_>>()[..] else { return None };
        let version: Version = (stack == "microsoft-windows-servicingstack").then(|| version.parse().ok())??;
        Some((version, format!(r"{STORE}\{name}\wcp.dll")))
    });
    let mut stacks: Vec<_> = stacks.collect();
    stacks.sort();
    for (_, path) in stacks.into_iter().rev() {
        if let Some(bytes) = image.read_file(&path, MAX_WCP)? {
            return delta::dictionary(&bytes).map(<[u8]>::to_vec).map_err(|error| error.with_path(&path));
        }
    }
    let what = format!(r"no servicing stack in the image ({STORE}\*_microsoft-windows-servicingstack_*\wcp.dll)");
    Err(Error::not_found(what)
        .with_hint("the package has compressed manifests, which can be read with the image's servicing stack only"))
}

/// Refuses images in which Windows must still finish an installation.
fn check_pending(has_file: bool, hive: &Hive, servicing: KeyId) -> Result<()> {
    let pending = has_file.then_some(PENDING);
    let keys = ["PackagesPending", "RebootPending"].into_iter().find(|name| {
        hive.find_from(servicing, name).is_some_and(|key| *name == "RebootPending" || !hive.subkeys(key).is_empty())
    });
    let exclusive = hive.find_from(servicing, "SessionsPending").and_then(|key| hive.value(key, "Exclusive"));
    let exclusive =
        exclusive.and_then(|value| value.as_dword()).filter(|number| *number != 0).map(|_| "SessionsPending");
    match pending.or(keys).or(exclusive) {
        Some(what) => Err(is_pending(what)),
        None => Ok(()),
    }
}

/// The error for an image in which Windows must still finish an installation, as `what` shows.
pub(super) fn is_pending(what: &str) -> Error {
    let what = format!("an installation in the image is not finished (0x800f082f): it has `{what}`");
    Error::new(ErrorKind::Unsatisfied, what).with_hint("boot it once, or take an image without pending operations")
}

/// Numbers of packages by name in lower case.
fn numbers(packages: &[InstalledPackage]) -> BTreeMap<String, Vec<usize>> {
    let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, package) in packages.iter().enumerate() {
        by_name.entry(package.identity.name.to_ascii_lowercase()).or_default().push(number);
    }
    by_name
}

fn package(hive: &Hive, key: KeyId) -> Option<InstalledPackage> {
    let identity = AssemblyIdentity::from_package_id(&hive.name(key).to_string())?;
    let state = State::of(hive.value(key, "CurrentState")?.as_dword()?);
    let updates = hive.find_from(key, "Updates").map(|key| hive.values(key)).unwrap_or_default();
    let updates =
        updates.into_iter().filter_map(|(name, value)| Some((name.to_string(), State::of(value.as_dword()?))));
    Some(InstalledPackage { identity, state, updates: updates.collect() })
}

/// The winning version under a key of [`WINNERS`]: the default value of its subkey `major.minor`.
fn winner(hive: &Hive, key: KeyId) -> Option<(String, Version)> {
    let versions = hive.subkeys(key).into_iter().filter_map(|key| hive.value(key, "")?.text()?.parse().ok());
    Some((hive.name(key).to_string().to_ascii_lowercase(), versions.max()?))
}

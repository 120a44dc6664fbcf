//! Lists what an image has: packages, and their features and capabilities, with their states.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::contents::{Dictionary, Mum, PackageSource, lower_id};
use super::identity::AssemblyIdentity;
use super::installed::{self, Installed, InstalledPackage};
use super::manifest::{Dependency, DependencyKind};
use super::mum::{Condition, Item, Update};
use super::options::MEMORY;
use super::spool::Spool;
use super::state::State;
use super::store;
use crate::error::Result;
use crate::windows::edit::{HiveFile, ImageEdit};

/// What an image has, as DISM's `/Get-Packages`, `/Get-Features` and `/Get-Capabilities` list it.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{ImageServicing, Sources};
///
/// let has: ImageServicing = Sources::wim("install.wim").servicing(Some("2"))?;
/// for feature in &has.features {
///     println!("{}: {}", feature.name, feature.state);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ImageServicing {
    /// Features, in the order of their names.
    pub features: Vec<ImageFeature>,
    /// Capabilities, in the order of their names.
    pub capabilities: Vec<ImageCapability>,
    /// Packages, in the order of their names.
    pub packages: Vec<ImagePackage>,
    /// What could not be read, one sentence each.
    pub notes: Vec<String>,
}

/// A feature of an image.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// let has = nano_image::Sources::wim("core.wim").servicing(None)?;
/// let first: Option<&nano_image::ImageFeature> = has.features.first();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ImageFeature {
    /// Its name.
    pub name: String,
    /// Whether it is on.
    pub state: FeatureState,
    /// The features that it needs; one of them is enough.
    pub needs: Vec<String>,
    /// Name for people; empty if it has none.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// The package that contains it: `Name~token~amd64~~10.0.14393.0`.
    pub package: String,
}

/// Whether a feature of an image is on.
///
/// ```
/// assert_eq!(nano_image::FeatureState::Removed.to_string(), "disabled, payload removed");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeatureState {
    /// It is on.
    Enabled,
    /// Windows turns it on when it starts.
    EnablePending,
    /// It is off, and the image has its files.
    Disabled,
    /// It is off, and its files must be taken from elsewhere.
    Removed,
    /// Windows turns it off when it starts.
    DisablePending,
}

/// A capability of an image.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// let has = nano_image::Sources::disk("core.vhdx").servicing(None)?;
/// let first: Option<&nano_image::ImageCapability> = has.capabilities.first();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ImageCapability {
    /// As DISM spells it: `OpenSSH.Server~~~~0.0.1.0`.
    pub name: String,
    /// State of the package that has it.
    pub state: String,
    /// The package.
    pub package: String,
}

/// A package of an image.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// let has = nano_image::Sources::wim("core.wim").servicing(None)?;
/// let first: Option<&nano_image::ImagePackage> = has.packages.first();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ImagePackage {
    /// Its identity: `Name~token~amd64~~10.0.14393.0`.
    pub identity: String,
    /// `installed`, `staged` …
    pub state: String,
}

impl FeatureState {
    fn text(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::EnablePending => "enable pending",
            Self::Disabled => "disabled",
            Self::Removed => "disabled, payload removed",
            Self::DisablePending => "disable pending",
        }
    }
}

impl std::fmt::Display for FeatureState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.text())
    }
}

impl Serialize for FeatureState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

/// Lists what `image` has. Large data is kept in the folder `scratch` meanwhile.
///
/// # Errors
/// Those of [`install`](super::install) for images that do not contain an installed Windows.
pub fn list(image: &mut ImageEdit<'_>, scratch: Option<&Path>) -> Result<ImageServicing> {
    let installed = Installed::read_unfinished(image)?;
    let all = match image.hive(HiveFile::Software)? {
        Some(hive) => installed::all(hive),
        None => Vec::new(),
    };
    let image = &*image;
    let dictionary = Dictionary::new(|| installed::dictionary(image));
    let store = store::contents(image, Arc::new(Spool::new(scratch, MEMORY)))?;
    let store = PackageSource::new(store, &dictionary);
    let mut listing = Listing { store: &store, installed: &installed, features: BTreeMap::new(), notes: Vec::new() };
    let mut capabilities = Vec::new();
    for package in all.iter().filter(|package| package.state >= State::Staged) {
        let id = package.identity.package_id();
        let mum = match store.package(&lower_id(&package.identity)) {
            Ok(Some(mum)) => mum,
            Ok(None) => {
                listing.notes.push(format!("the image lists the package `{id}`, and has no description of it"));
                continue;
            }
            Err(error) => {
                listing.notes.push(error.to_string());
                continue;
            }
        };
        for capability in &mum.package.capabilities {
            let name = format!("{}~~~{}~{}", capability.name, capability.language, capability.version);
            capabilities.push(ImageCapability { name, state: package.state.to_string(), package: id.clone() });
        }
        listing.add(package, &mum);
    }
    capabilities.sort_by(|one, other| one.name.cmp(&other.name));
    let package = |package: &InstalledPackage| ImagePackage {
        identity: package.identity.package_id(),
        state: package.state.to_string(),
    };
    Ok(ImageServicing {
        features: listing.features.into_values().collect(),
        capabilities,
        packages: all.iter().map(package).collect(),
        notes: listing.notes,
    })
}

struct Listing<'a> {
    store: &'a PackageSource<'a>,
    installed: &'a Installed,
    /// By name in lower case.
    features: BTreeMap<String, ImageFeature>,
    notes: Vec<String>,
}

impl Listing<'_> {
    /// Adds the features of a package. Of features with the same name the first installed one is listed.
    fn add(&mut self, package: &InstalledPackage, mum: &Mum) {
        for update in mum.package.updates.iter().filter(|update| update.selectable.is_some()) {
            let key = update.name.to_ascii_lowercase();
            if self.features.contains_key(&key) && package.state == State::Staged {
                continue;
            }
            let noted = package.update(&update.name).unwrap_or(State::Absent);
            let state = match noted.min(package.state) {
                State::UninstallRequested => FeatureState::DisablePending,
                State::InstallRequested => FeatureState::EnablePending,
                state if state.is_on() => FeatureState::Enabled,
                _ if self.has_payload(update) => FeatureState::Disabled,
                _ => FeatureState::Removed,
            };
            let needs = update.applicable.iter().filter_map(|condition| match condition {
                Condition::Update { name, .. } => Some(name.clone()),
                Condition::Component { .. } => None,
            });
            let feature = ImageFeature {
                name: update.name.clone(),
                state,
                needs: needs.collect(),
                display_name: update.display_name.clone(),
                description: update.description.clone(),
                package: package.identity.package_id(),
            };
            self.features.insert(key, feature);
        }
    }

    /// Whether the image has all files that are needed to turn the update on. Files that cannot be read count as
    /// missing.
    fn has_payload(&self, update: &Update) -> bool {
        let (mut packages, mut components) = (BTreeSet::new(), BTreeSet::new());
        let mut items: Vec<Item> = update.items.clone();
        while let Some(item) = items.pop() {
            match item {
                Item::Package(identity) => {
                    let id = lower_id(&identity);
                    if packages.insert(id.clone()) {
                        let Ok(Some(mum)) = self.store.package(&id) else { return false };
                        let inner = mum.package.updates.iter().filter(|update| update.selectable.is_none());
                        items.extend(inner.flat_map(|update| update.items.iter().cloned()));
                    }
                }
                Item::Component(identity) | Item::Driver { identity, .. } => {
                    if !self.has_component(&identity, &mut components) {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Whether the image has the files of the component, and of everything that is installed with it.
    fn has_component(&self, identity: &AssemblyIdentity, seen: &mut BTreeSet<String>) -> bool {
        let mut open = vec![identity.clone()];
        while let Some(identity) = open.pop() {
            if self.installed.uses(&identity) || !seen.insert(identity.key_form()) {
                continue;
            }
            let Ok(Some(file)) = self.store.manifest(&identity) else { return false };
            if !self.store.is_whole(&file) {
                return false;
            }
            let is_needed = |need: &&Dependency| need.kind == DependencyKind::Install && !need.is_optional();
            open.extend(file.manifest.dependencies.iter().filter(is_needed).map(|need| need.identity.clone()));
        }
        true
    }
}

#[cfg(all(test, feature = "internals"))]
mod tests {
    use fixtures::packages::{core, nano};
    use fixtures::scenes::nano_cbs_state;

    use super::*;
    use crate::tree::{FileTree, Times};
    use crate::types::FileTime;
    use crate::windows::edit::testing::edit;
    use crate::windows::package::testing::image;

    fn listed(tree: &mut FileTree) -> ImageServicing {
        edit(tree, FileTime(0), |image| list(image, None)).unwrap().0
    }

    fn states(has: &ImageServicing) -> Vec<(&str, FeatureState)> {
        has.features.iter().map(|feature| (&*feature.name, feature.state)).collect()
    }

    #[test]
    fn features_are_listed_with_what_the_image_has_of_them() {
        use FeatureState::{Disabled, Enabled, Removed};
        let has = listed(&mut image(&core::state(&[])));
        let off = [
            ("Fax-Server", Disabled),
            ("Legacy-Runtime", Removed),
            ("Web-Common", Disabled),
            ("Web-Server", Disabled),
            ("Web-Server-Role", Disabled),
            ("Web-Tools", Disabled),
        ];
        assert_eq!(states(&has), off);
        assert_eq!(has.features[3].needs, ["Web-Server-Role"]);
        assert!(has.features[3].package.starts_with("Microsoft-Windows-Foundation-Package~31bf3856ad364e35~amd64~~"));
        assert!(has.notes.is_empty(), "{:?}", has.notes);
        let state = |name: &str| {
            let identity = format!("Microsoft-Windows-{name}-Package~31bf3856ad364e35~amd64~~10.0.14393.0");
            has.packages.iter().find(|package| package.identity == identity).map(|package| &*package.state)
        };
        assert_eq!((state("Foundation"), state("WebServer")), (Some("installed"), Some("staged")));

        let has = listed(&mut image(&core::state(core::turned_on("Web-Server"))));
        let on = [0, 1, 2, 3, 4, 5].map(|index| if (2..5).contains(&index) { Enabled } else { off[index].1 });
        assert_eq!(states(&has).iter().map(|(_, state)| *state).collect::<Vec<_>>(), on);
        let has = listed(&mut image(&core::state(core::turned_on("Legacy-Runtime"))));
        assert_eq!(states(&has)[1].1, Enabled);
    }

    #[test]
    fn descriptions_that_cannot_be_read_are_told() {
        let mut tree = image(&nano_cbs_state("ServerDatacenterNano"));
        let id = nano::foundation_identity().package_id();
        let path = format!(r"{}\{id}.mum", store::PACKAGES);
        tree.write_file(&path, b"bad".to_vec(), Times::default()).unwrap();
        let has = listed(&mut tree);
        assert!(
            has.notes[0].contains("package description") && has.packages.iter().any(|package| package.identity == id),
            "{has:?}"
        );
    }
}

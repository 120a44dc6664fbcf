//! Records an installation: what the component store and the servicing stack store about a package, so that DISM lists
//! it and later updates can build on it.
//!
//! Windows runs without these records; they are read when the image is serviced. A wrong record is worse than none, so
//! two things are checked first. The [`gate`]: the names that are computed here must reproduce every name that the
//! image has. The [`Shape`]: values are written in the form of the image's own packages, because it differs between
//! builds.

mod detect;
mod gate;
mod manifests;
mod shape;
#[cfg(all(test, feature = "internals"))]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::identity::{AssemblyIdentity, Version};
use super::installed::{SERVICING, WINNERS, is_pending};
use super::mum::Parent;
use super::name;
use super::resolve::{Resolution, ResolvedComponent, ResolvedPackage, UpdateState};
use super::state::State;
use crate::error::Result;
use crate::registry::{Hive, KeyId, Value};
use crate::types::FileTime;
use crate::windows::edit::{HiveFile, ImageEdit};
use detect::{Forms, Wait};
use shape::{Shape, any_version};

/// The value that tools which register components give to deployments (`CF`).
const DEPLOYMENT_FLAGS: u32 = 0x40;
/// The key in which programs look up which features are on.
const NOTIFICATIONS: &str = r"Notifications\OptionalFeatures";

/// How much of an installation is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Everything: DISM lists the packages as installed.
    Completely,
    /// Everything, except for what this text says.
    Except(String),
    /// Nothing, for this reason: files and settings are in place, but the servicing stack does not know about it.
    NotAtAll(String),
}

/// Records the installation of `resolution` in the hives of `image`. Nothing is changed unless everything can be
/// recorded. What the user should know about the image's own records is added to `warnings`.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) for hives; [`Unsatisfied`](crate::ErrorKind::Unsatisfied) if the component
/// store must still finish another installation.
pub fn record(image: &mut ImageEdit<'_>, resolution: &Resolution, warnings: &mut Vec<String>) -> Result<Recorded> {
    let time = image.time;
    let Some(components) = image.hive(HiveFile::Components)? else {
        return Ok(Recorded::NotAtAll("the image has no COMPONENTS hive".into()));
    };
    let marker = "PendingXmlIdentifier";
    if components.value(components.root(), marker).is_some_and(|value| !value.data.is_empty()) {
        return Err(is_pending(marker));
    }
    let listed = gate::components(components);
    let manifests = manifests::read(image, &listed)?;
    let waits = |package: &ResolvedPackage| !package.in_image && !detect::waits(&package.mum.package).is_empty();
    let forms = match resolution.packages.iter().any(waits) {
        true => match Forms::learn(image)? {
            Ok(forms) => forms,
            Err(why) => return Ok(Recorded::NotAtAll(why)),
        },
        false => Forms::default(),
    };
    let (Some(components), Some(software)) = image.edit_both(HiveFile::Components, HiveFile::Software)? else {
        return Ok(Recorded::NotAtAll("the image has no SOFTWARE hive".into()));
    };
    let silent = match gate::check(components, software, &manifests) {
        Ok(silent) => silent,
        Err(why) => return Ok(Recorded::NotAtAll(why)),
    };
    let mut won = resolution.packages.iter().flat_map(|package| &package.components).filter(|one| one.is_new());
    let family = won.find_map(|one| silent.get(&one.manifest.manifest.identity.versionless_key_form()));
    if let Some(family) = family {
        let why = format!("`{family}` among the winners in the image does not say which series is in use");
        return Ok(Recorded::NotAtAll(why));
    }
    if let Some(family) = silent.first() {
        let others = match silent.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        warnings.push(format!(
            "`{family}`{others} among the winners in the image does not say which series is in use: that stays, and \
             an update of it cannot be noted"
        ));
    }
    let shape = match Shape::of(software, components) {
        Ok(shape) => shape,
        Err(why) => return Ok(Recorded::NotAtAll(why)),
    };
    let mut record = Record { components, software, shape: &shape, forms, time, unknown: BTreeSet::new() };
    record.packages(resolution)?;
    for component in resolution.packages.iter().flat_map(|package| &package.components) {
        record.component(component)?;
    }
    record.features(&resolution.features)?;
    record.forget_index()?;
    let unknown: Vec<&str> = record.unknown.into_iter().collect();
    Ok(match &unknown[..] {
        [] => Recorded::Completely,
        keys => Recorded::Except(format!("the image has no example of {}", keys.join(" and "))),
    })
}

struct Record<'a> {
    components: &'a mut Hive,
    software: &'a mut Hive,
    shape: &'a Shape,
    forms: Forms,
    time: FileTime,
    /// Keys whose form cannot be learnt from the image.
    unknown: BTreeSet<&'static str>,
}

impl Record<'_> {
    fn packages(&mut self, resolution: &Resolution) -> Result<()> {
        for package in &resolution.packages {
            let owner = package.owner.map_or(package, |owner| &resolution.packages[owner]).identity().package_id();
            match package.in_image {
                true => self.known_package(package)?,
                false => self.package(package, &owner)?,
            }
            let catalog = package.mum.catalog.as_ref().map(|catalog| hex::encode(Sha256::digest(catalog)));
            for update in &package.updates {
                for deployment in &update.deployments {
                    self.deployment(package, &update.name, update.state, deployment, catalog.as_deref())?;
                }
            }
        }
        Ok(())
    }

    /// Records a package for the servicing stack, with its owner `owner`. A package that was asked for owns itself.
    fn package(&mut self, package: &ResolvedPackage, owner: &str) -> Result<()> {
        let identity = package.identity();
        let id = identity.package_id();
        let is_root = package.owner.is_none();
        let servicing = self.software.create_key(self.software.root(), SERVICING)?;
        let packages = self.software.create_key(servicing, "Packages")?;
        let key = self.software.create_child(packages, id.as_str())?;
        let state = if package.staged { State::Staged } else { State::Installed };
        for (name, own) in [
            ("CurrentState", Value::dword(state.number())),
            ("InstallClient", Value::sz("DISM Package Manager Provider")),
            ("InstallLocation", Value::sz(r"\\?\C:\Windows\servicing\Packages")),
            ("InstallName", Value::sz(&if is_root { "update.mum".to_owned() } else { format!("{id}.mum") })),
            ("InstallTimeHigh", Value::dword((self.time.0 >> 32) as u32)),
            ("InstallTimeLow", Value::dword(self.time.0 as u32)),
            ("InstallUser", Value::sz("S-1-5-18")),
            ("SelfUpdate", Value::dword(0)),
            ("Visibility", Value::dword(if is_root { 1 } else { 2 })),
            ("Trusted", Value::dword(1)),
        ] {
            if self.shape.package_values.contains(name) {
                self.software.set_value(key, name, own)?;
            }
        }
        if let Some(value) = self.shape.owner(is_root, state) {
            let owners = self.software.create_child(key, "Owners")?;
            self.software.set_value(owners, owner, value)?;
        }
        self.updates(key, package)?;
        let versionless = any_version(identity);
        if let Some(value) = &self.shape.index {
            let index = self.software.create_key(servicing, "PackageIndex")?;
            let index = self.software.create_child(index, versionless.as_str())?;
            self.software.set_value(index, id.as_str(), value.clone())?;
        }
        if let Some(value) = &self.shape.detect {
            let detect = self.software.create_key(servicing, "PackageDetect")?;
            for parent in package.mum.package.parents.iter().flat_map(parents_of) {
                let parent = self.software.create_child(detect, any_version(&parent).as_str())?;
                self.software.set_value(parent, id.as_str(), value.clone())?;
            }
        }
        for (update, wait) in detect::waits(&package.mum.package) {
            match self.forms.value(&id, update, &wait) {
                Some((detect, name, value)) => {
                    let detect = self.software.create_key(servicing, detect)?;
                    let key = self.software.create_child(detect, wait.key().as_str())?;
                    self.software.set_value(key, name.as_str(), value)?;
                }
                None => drop(self.unknown.insert(match wait {
                    Wait::Component { .. } => detect::COMPONENTS,
                    Wait::Update { .. } => detect::UPDATES,
                })),
            }
        }
        self.forget_cache(servicing, identity)
    }

    /// Updates the record of a package that the image has, and of which more is installed now.
    fn known_package(&mut self, package: &ResolvedPackage) -> Result<()> {
        let identity = package.identity();
        let id = identity.package_id();
        let servicing = self.software.create_key(self.software.root(), SERVICING)?;
        let Some(key) = self.software.find_from(servicing, &format!(r"Packages\{id}")) else { return Ok(()) };
        let state = self.software.value(key, "CurrentState").and_then(|value| value.as_dword()).map(State::of);
        if state == Some(State::Staged) {
            for (name, value) in [
                ("CurrentState", State::Installed.number()),
                ("InstallTimeHigh", (self.time.0 >> 32) as u32),
                ("InstallTimeLow", self.time.0 as u32),
            ] {
                if self.software.value(key, name).is_some() {
                    self.software.set_value(key, name, Value::dword(value))?;
                }
            }
            // The flags of owners depend on the state.
            if let Some(owners) = self.software.child(key, "Owners") {
                for owner in self.software.value_names(owners) {
                    let is_own = owner.eq_ignore_case(&id.as_str().into());
                    if let Some(value) = self.shape.owner(is_own, State::Installed) {
                        self.software.set_value(owners, owner, value)?;
                    }
                }
            }
        }
        self.updates(key, package)?;
        self.forget_cache(servicing, identity)
    }

    /// Records the states of a package's updates.
    fn updates(&mut self, key: KeyId, package: &ResolvedPackage) -> Result<()> {
        if !self.shape.has_updates {
            return Ok(());
        }
        let updates = self.software.create_child(key, "Updates")?;
        for update in &package.updates {
            let state = match update.state {
                UpdateState::Installed => State::Installed,
                UpdateState::Staged => State::Staged,
                UpdateState::NotApplicable => State::Absent,
            };
            self.software.set_value(updates, update.name.as_str(), Value::dword(state.number()))?;
        }
        Ok(())
    }

    /// Removes cached facts about the package, which no longer hold.
    fn forget_cache(&mut self, servicing: KeyId, identity: &AssemblyIdentity) -> Result<()> {
        let Some(cache) = self.software.find_from(servicing, "ApplicabilityEvaluationCache") else { return Ok(()) };
        for name in [identity.package_id(), any_version(identity)] {
            if let Some(key) = self.software.child(cache, name.as_str()) {
                self.software.delete_key(key)?;
            }
        }
        Ok(())
    }

    /// Marks features as on where programs look them up, if they are listed there.
    fn features(&mut self, names: &[String]) -> Result<()> {
        let Some(listed) = self.software.find(&format!(r"{SERVICING}\{NOTIFICATIONS}")) else { return Ok(()) };
        for name in names {
            if let Some(key) = self.software.child(listed, name.as_str()) {
                self.software.set_value(key, "Selection", Value::dword(1))?;
            }
        }
        Ok(())
    }

    /// Records in the component store a component that an update names.
    fn deployment(
        &mut self,
        package: &ResolvedPackage,
        update: &str,
        state: UpdateState,
        deployment: &AssemblyIdentity,
        catalog: Option<&str>,
    ) -> Result<()> {
        let prefixes = match state {
            UpdateState::Installed => &['p', 's', 'i'][..],
            UpdateState::Staged => &['p', 's'],
            UpdateState::NotApplicable => return Ok(()),
        };
        let root = self.components.root();
        let deployments = self.components.create_key(root, r"CanonicalData\Deployments")?;
        let name = deployment.deployment_key();
        let key = self.components.create_child(deployments, name.as_str())?;
        self.components.set_value(key, "appid", Value::binary(deployment.identity_text()))?;
        if self.shape.deployments_have_flags {
            self.components.set_value(key, "CF", Value::dword(DEPLOYMENT_FLAGS))?;
        }
        if let Some(catalog) = catalog {
            self.components.set_value(key, "CatalogThumbprint", Value::sz(catalog))?;
            let catalogs = self.components.create_key(root, r"CanonicalData\Catalogs")?;
            let catalog = self.components.create_child(catalogs, catalog)?;
            self.components.set_value(catalog, format!("c!{name}").as_str(), Value::binary([]))?;
        }
        let package_id = package.identity().package_id();
        let id = format!("{package_id}.{update}");
        for prefix in prefixes {
            let extra = self.shape.extra.get(prefix).map(Vec::as_slice).unwrap_or_default();
            let lengths = [id.len() as u32, extra.len() as u32].map(u32::to_le_bytes).concat();
            let data = [&lengths[..], id.as_bytes(), extra].concat();
            let value = name::truncated_update(*prefix, &package_id, update);
            self.components.set_value(key, value.as_str(), Value::binary(data))?;
        }
        Ok(())
    }

    fn component(&mut self, component: &ResolvedComponent) -> Result<()> {
        let manifest = &component.manifest.manifest;
        let root = self.components.root();
        let components = self.components.create_key(root, r"DerivedData\Components")?;
        let key = self.components.create_child(components, manifest.identity.key_form().as_str())?;
        for deployment in &component.deployments {
            let name = format!("c!{}", deployment.deployment_key());
            self.components.set_value(key, name.as_str(), Value::binary([]))?;
        }
        if component.is_present {
            return Ok(());
        }
        self.components.set_value(key, "identity", Value::binary(manifest.identity.identity_text()))?;
        self.components.set_value(key, "S256H", Value::binary(component.manifest.digest))?;
        for file in &manifest.files {
            self.components.set_value(key, name::truncated_file(&file.name).as_str(), Value::dword(1))?;
        }
        if component.is_new() {
            self.winner(&manifest.identity)?;
        }
        Ok(())
    }

    /// Makes the component the winner, unless a later version is.
    fn winner(&mut self, identity: &AssemblyIdentity) -> Result<()> {
        let Some(winners) = self.software.find(WINNERS) else { return Ok(()) };
        let family = self.software.create_child(winners, identity.versionless_key_form().as_str())?;
        let [major, minor, ..] = identity.version.0;
        let (series, version) = (format!("{major}.{minor}"), identity.version.to_string());
        let key = self.software.create_child(family, series.as_str())?;
        let text = |hive: &Hive, key: KeyId| hive.value(key, "").and_then(|value| value.text());
        let latest = |hive: &Hive, key: KeyId| text(hive, key)?.parse::<Version>().ok();
        if latest(self.software, key).is_none_or(|old| old < identity.version) {
            self.software.set_value(key, "", Value::sz(&version))?;
        }
        // The family names the series of the version in use.
        let used = text(self.software, family).and_then(|series| self.software.child(family, series.as_str()));
        if used.and_then(|key| latest(self.software, key)).is_none_or(|old| old <= identity.version) {
            self.software.set_value(family, "", Value::sz(&series))?;
        }
        self.software.set_value(key, version.as_str(), Value::binary([1]))
    }

    /// Removes what the store has derived from its records, so that it is derived again.
    fn forget_index(&mut self) -> Result<()> {
        let Some(index) = self.components.find(r"DerivedData\VersionedIndex") else { return Ok(()) };
        let versions: Vec<KeyId> = self.components.subkeys(index);
        versions.into_iter().try_for_each(|version| self.components.delete_key(version))
    }
}

/// The identities of a parent and of its own parents.
fn parents_of(parent: &Parent) -> Vec<AssemblyIdentity> {
    let mut names: BTreeMap<String, AssemblyIdentity> = BTreeMap::new();
    let mut stack = vec![parent];
    while let Some(parent) = stack.pop() {
        for name in &parent.identities {
            names.insert(name.identity.package_id(), name.identity.clone());
        }
        stack.extend(&parent.parents);
    }
    names.into_values().collect()
}

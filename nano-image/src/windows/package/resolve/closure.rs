//! The components that updates need. Each comes after those that it needs itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::model::{Missing, ResolvedComponent, ResolvedPackage, SOURCE_MISSING, UpdateState};
use crate::error::Result;
use crate::windows::package::contents::{PackageSource, StoredManifest};
use crate::windows::package::identity::{AssemblyIdentity, Version};
use crate::windows::package::installed::Installed;
use crate::windows::package::manifest::{Dependency, DependencyKind};

/// The most superseded components that are named one by one.
const MAX_NOTED: usize = 8;

/// Components found so far. A component is known by its key form.
pub(super) struct Closure<'a> {
    /// The cabinets, followed by the image's own store if it is used.
    sources: Vec<&'a PackageSource<'a>>,
    store: Option<usize>,
    installed: &'a Installed,
    found: BTreeMap<String, Found>,
    /// Key forms of found components, by the versionless one.
    families: BTreeMap<String, Vec<String>>,
    /// Key forms that updates name, and whether all of these updates only stage them.
    deployments: BTreeMap<String, bool>,
    /// Cabinets with components whose texts are in other cabinets.
    pub untranslated: BTreeSet<usize>,
    /// Key forms that were found since the last [`take`](Self::take), in order.
    fresh: Vec<String>,
    /// Versionless key forms of components of the store that came into use since the last
    /// [`take_turned_on`](Self::take_turned_on).
    turned_on: BTreeSet<String>,
}

/// A manifest and the cabinet that it is in.
type Located = (usize, Arc<StoredManifest>);

struct Found {
    component: ResolvedComponent,
    /// Key forms of what it needs and was found.
    needs: Vec<String>,
}

/// A component whose dependencies are being visited.
struct Frame {
    key: String,
    file: Arc<StoredManifest>,
    cabinet: usize,
    next: usize,
    needs: Vec<String>,
    /// What must be visited before it.
    inner: Vec<Located>,
}

impl<'a> Closure<'a> {
    pub fn new(sources: Vec<&'a PackageSource<'a>>, store: Option<usize>, installed: &'a Installed) -> Self {
        Self {
            sources,
            store,
            installed,
            found: BTreeMap::new(),
            families: BTreeMap::new(),
            deployments: BTreeMap::new(),
            untranslated: BTreeSet::new(),
            fresh: Vec::new(),
            turned_on: BTreeSet::new(),
        }
    }

    /// Adds the component `identity`, which an update of `package` in `cabinet` names, and what it needs.
    pub fn add(
        &mut self,
        identity: &AssemblyIdentity,
        cabinet: usize,
        staged: bool,
        package: &AssemblyIdentity,
        missing: &mut Missing,
    ) -> Result<()> {
        let Some((index, file)) = self.find(identity, cabinet)? else {
            if self.is_lacking(identity, cabinet) {
                let (id, key, place) = (package.package_id(), identity.key_form(), self.place(cabinet, missing));
                missing.add(format!("the component `{key}` of `{id}` is not {place} ({SOURCE_MISSING})"), [key]);
            }
            return Ok(());
        };
        self.visit(index, file.clone(), missing)?;
        // Everything below it belongs to this deployment.
        let deployment = file.manifest.identity.clone();
        let key = deployment.key_form();
        let is_new = match self.deployments.get(&key) {
            Some(known) if !known | staged => return Ok(()),
            known => known.is_none(),
        };
        self.deployments.insert(key.clone(), staged);
        let mut seen = BTreeSet::new();
        let mut stack = vec![key];
        while let Some(key) = stack.pop() {
            let Some(found) = self.found.get_mut(&key).filter(|_| seen.insert(key)) else { continue };
            if is_new {
                found.component.deployments.push(deployment.clone());
            }
            if found.component.staged && !staged && found.component.in_store && !found.component.is_present {
                self.turned_on.insert(found.component.manifest.manifest.identity.versionless_key_form());
            }
            found.component.staged &= staged;
            stack.extend(found.needs.iter().cloned());
        }
        Ok(())
    }

    /// The latest version of the component that was found, and whether it is installed rather than only staged.
    pub fn family(&self, identity: &AssemblyIdentity) -> Option<(Version, bool)> {
        let keys = self.families.get(&identity.versionless_key_form()).into_iter().flatten();
        let components = keys.filter_map(|key| self.found.get(key)).map(|found| &found.component);
        components.map(|component| (component.manifest.manifest.identity.version, !component.staged)).max()
    }

    /// The latest version of the component that is installed and not left out.
    fn in_use(&self, identity: &AssemblyIdentity, dropped: &BTreeSet<String>) -> Option<(Version, bool)> {
        let keys = self.families.get(&identity.versionless_key_form()).into_iter().flatten();
        let components = keys.filter(|key| !dropped.contains(*key)).filter_map(|key| self.found.get(key));
        let in_use = components.map(|found| &found.component).filter(|component| !component.staged);
        in_use.map(|component| (component.manifest.manifest.identity.version, true)).max()
    }

    /// Versionless key forms of components of the store that came into use since the last call.
    pub fn take_turned_on(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.turned_on)
    }

    /// The components found since the last call, in order.
    pub fn take(&mut self) -> Vec<ResolvedComponent> {
        let (deployments, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.fresh)
            .into_iter()
            .map(|key| self.found[&key].component.clone())
            .partition(|component| component.manifest.manifest.is_deployment);
        others.into_iter().chain(deployments).collect()
    }

    /// Completes the components in `packages`: sets the deployments to which they belong, and removes those whose
    /// prerequisites are missing.
    pub fn finish(&mut self, packages: &mut [ResolvedPackage], notes: &mut Vec<String>) {
        let dropped = self.without_prerequisites(notes);
        let mut superseded: Vec<String> = Vec::new();
        for package in packages {
            package.components.retain(|component| !dropped.contains(&component.manifest.manifest.identity.key_form()));
            for update in package.updates.iter_mut().filter(|update| !update.deployments.is_empty()) {
                update.deployments.retain(|deployment| !dropped.contains(&deployment.key_form()));
                if update.deployments.is_empty() {
                    update.state = UpdateState::NotApplicable;
                }
            }
            for component in &mut package.components {
                let identity = &component.manifest.manifest.identity;
                if let Some(found) = self.found.get(&identity.key_form()) {
                    *component = found.component.clone();
                    component.deployments.retain(|deployment| !dropped.contains(&deployment.key_form()));
                }
                let identity = &component.manifest.manifest.identity;
                let in_image = self.installed.winner(identity).filter(|winner| *winner > identity.version);
                if let Some(winner) = in_image {
                    superseded
                        .push(format!("`{}` is superseded by version {winner} in the image", identity.key_form()));
                }
                let is_later = |(version, in_use): (Version, bool)| in_use && version > identity.version;
                component.superseded = in_image.is_some() || self.in_use(identity, &dropped).is_some_and(is_later);
                let earlier = self.installed.winner(identity).filter(|winner| *winner < identity.version);
                component.replaces = component.is_in_use() && earlier.is_some();
            }
        }
        match superseded.len() {
            ..=MAX_NOTED => notes.extend(superseded),
            count => notes.push(format!("{count} components are superseded by later versions in the image")),
        }
    }

    /// Key forms of components whose prerequisites are missing, and of those that need them. A deployment only lists
    /// the parts of an update: it stays as long as any of them does.
    fn without_prerequisites(&self, notes: &mut Vec<String>) -> BTreeSet<String> {
        let mut dropped = BTreeSet::new();
        let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut names: BTreeMap<String, Vec<&AssemblyIdentity>> = BTreeMap::new();
        for (key, found) in &self.found {
            found.needs.iter().for_each(|need| users.entry(need).or_default().push(key));
            let identity = &found.component.manifest.manifest.identity;
            names.entry(identity.name.to_ascii_lowercase()).or_default().push(identity);
        }
        let mut stack = Vec::new();
        for (key, found) in &self.found {
            let needs = found.component.manifest.manifest.dependencies.iter();
            let mut needs = needs.filter(|need| need.kind == DependencyKind::Prerequisite && !need.is_optional());
            let is_missing = |need: &Dependency| {
                let same_name = names.get(&need.identity.name.to_ascii_lowercase());
                let is_found =
                    |other: &&AssemblyIdentity| other.fits(&need.identity) && other.version >= need.identity.version;
                !same_name.is_some_and(|others| others.iter().any(is_found))
                    && !self.installed.has_component(&need.identity)
            };
            if let Some(need) = needs.find(|need| is_missing(need)) {
                let need = need.identity.key_form();
                notes.push(format!("`{key}` is left out: its prerequisite `{need}` is not there"));
                stack.push(key.as_str());
            }
        }
        let mut left: BTreeMap<&str, usize> = BTreeMap::new();
        while let Some(key) = stack.pop() {
            if dropped.insert(key.to_owned()) {
                for &user in users.get(key).into_iter().flatten() {
                    let left = left.entry(user).or_insert_with(|| self.parts(&self.found[user]));
                    *left -= 1;
                    if *left == 0 || !self.found[user].component.manifest.manifest.is_deployment {
                        stack.push(user);
                    }
                }
            }
        }
        dropped
    }

    /// Number of components that it needs, here or in the image.
    fn parts(&self, found: &Found) -> usize {
        let needs = found.component.manifest.manifest.dependencies.iter();
        let needs = needs.filter(|need| need.kind == DependencyKind::Install && !need.is_optional());
        found.needs.len() + needs.filter(|need| self.installed.has_component(&need.identity)).count()
    }

    /// Visits a component and everything that it needs, depth first.
    fn visit(&mut self, cabinet: usize, file: Arc<StoredManifest>, missing: &mut Missing) -> Result<()> {
        let mut open = BTreeSet::new();
        let mut stack = Vec::new();
        self.open(&mut stack, &mut open, cabinet, file);
        while let Some(frame) = stack.last_mut() {
            if let Some((index, inner)) = frame.inner.pop() {
                frame.needs.push(inner.manifest.identity.key_form());
                self.open(&mut stack, &mut open, index, inner);
                continue;
            }
            let dependencies = &frame.file.manifest.dependencies;
            let Some(dependency) = dependencies.get(frame.next) else {
                let Frame { key, file, cabinet, needs, .. } = stack.pop().expect("it is there");
                let family = file.manifest.identity.versionless_key_form();
                let deployments = Vec::new();
                let in_store = self.store == Some(cabinet);
                let component = ResolvedComponent {
                    is_present: in_store && self.installed.uses(&file.manifest.identity),
                    manifest: file,
                    cabinet,
                    in_store,
                    staged: true,
                    superseded: false,
                    replaces: false,
                    deployments,
                };
                self.fresh.push(key.clone());
                self.families.entry(family).or_default().push(key.clone());
                self.found.insert(key, Found { component, needs });
                continue;
            };
            frame.next += 1;
            if dependency.kind == DependencyKind::Prerequisite && !dependency.resources {
                continue;
            }
            let cabinet = frame.cabinet;
            if dependency.is_optional() {
                let mut inner = self.resources(&dependency.identity, cabinet)?;
                if inner.is_empty() {
                    self.untranslated.insert(cabinet);
                }
                // The last one is taken first.
                inner.reverse();
                frame.inner = inner;
            } else if let Some(found) = self.find(&dependency.identity, cabinet)? {
                frame.inner = vec![found];
            } else if self.is_lacking(&dependency.identity, cabinet) {
                let (need, by) = (dependency.identity.key_form(), &frame.key);
                let place = self.place(cabinet, missing);
                let text = format!("the component `{need}`, needed by `{by}`, is not {place} ({SOURCE_MISSING})");
                missing.add(text, [need]);
            }
        }
        Ok(())
    }

    fn open(&self, stack: &mut Vec<Frame>, open: &mut BTreeSet<String>, cabinet: usize, file: Arc<StoredManifest>) {
        let key = file.manifest.identity.key_form();
        if !self.found.contains_key(&key) && open.insert(key.clone()) {
            stack.push(Frame { key, file, cabinet, next: 0, needs: Vec::new(), inner: Vec::new() });
        }
    }

    /// The manifest of exactly this component, from `cabinet` if possible.
    fn find(&self, identity: &AssemblyIdentity, cabinet: usize) -> Result<Option<Located>> {
        for index in self.cabinets(cabinet) {
            if let Some(file) = self.sources[index].manifest(identity)?
                && (self.store != Some(index) || self.sources[index].is_whole(&file))
            {
                return Ok(Some((index, file)));
            }
        }
        Ok(None)
    }

    /// All languages of the component in `cabinet`, in one version each: the wanted one, or else the latest. Other
    /// cabinets with languages name their components themselves.
    fn resources(&self, identity: &AssemblyIdentity, cabinet: usize) -> Result<Vec<Located>> {
        let mut languages: BTreeMap<String, Arc<StoredManifest>> = BTreeMap::new();
        for file in self.sources[cabinet].matching(identity)? {
            if self.store == Some(cabinet) && !self.sources[cabinet].is_whole(&file) {
                continue;
            }
            let other = &file.manifest.identity;
            let language = other.language.as_deref().unwrap_or_default().to_ascii_lowercase();
            let rank = |version| (version == identity.version, version);
            let known = languages.get(&language).map(|known| rank(known.manifest.identity.version));
            if known < Some(rank(other.version)) {
                languages.insert(language, file);
            }
        }
        Ok(languages.into_values().map(|file| (cabinet, file)).collect())
    }

    /// Whether the image does not have a component that no source has. If it is only staged in the store, it must be in
    /// use.
    fn is_lacking(&self, identity: &AssemblyIdentity, cabinet: usize) -> bool {
        match self.store == Some(cabinet) {
            true => !self.installed.uses(identity),
            false => !self.installed.has_component(identity),
        }
    }

    /// Describes for a message where something is missing.
    fn place(&self, cabinet: usize, missing: &mut Missing) -> String {
        match self.store == Some(cabinet) {
            true => {
                missing.is_removed = true;
                "whole in the image: its files were removed".into()
            }
            false => format!("in {}", self.sources[cabinet].path().display()),
        }
    }

    /// Indexes of all sources, starting with `first`.
    fn cabinets(&self, first: usize) -> impl Iterator<Item = usize> + use<'a> {
        [first].into_iter().chain((0..self.sources.len()).filter(move |index| *index != first))
    }
}

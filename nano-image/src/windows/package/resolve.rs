//! Decides what is installed, in which order, and what is missing for it.
//!
//! All that is missing is collected and reported at once, by name, with the code that DISM gives where it has one.

mod applicable;
mod closure;
mod features;
mod model;
#[cfg(all(test, feature = "internals"))]
mod tests;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::contents::{Mum, PackageSource, lower_id};
use super::identity::{AssemblyIdentity, Version};
use super::installed::Installed;
use super::mum::{Condition, Elevate, Item, Package, Parent, Update};
use super::state::State;
use crate::error::Result;
use closure::Closure;
use features::Features;
pub use model::{
    Choice, Given, Past, Purpose, Request, Resolution, ResolvedComponent, ResolvedPackage, ResolvedUpdate, UpdateState,
};
pub(super) use model::{INVALID_PACKAGE, UNKNOWN_UPDATE};
use model::{Missing, NOT_APPLICABLE, SOURCE_MISSING};

/// Decides what is installed.
///
/// # Errors
/// [`Unsatisfied`](crate::ErrorKind::Unsatisfied) names everything that is missing; errors of reading descriptions and
/// manifests.
pub fn resolve(request: &Request<'_>) -> Result<Resolution> {
    let Request { given, store, installed, architecture, .. } = *request;
    let (mut missing, mut notes) = (Missing::default(), Vec::new());
    let features = Features::choose(request.features, given, store, installed, &mut missing, &mut notes)?;
    let chosen = features.cabinets();
    let roots = applicable::order(given, installed, &chosen, architecture, &mut missing, &mut notes);
    let mut by_id: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, given) in given.iter().enumerate() {
        for identity in given.cabinet.source.identities() {
            by_id.entry(lower_id(identity)).or_default().push(index);
        }
    }
    let sources: Vec<&PackageSource<'_>> = given.iter().map(|given| &given.cabinet.source).chain(store).collect();
    let mut resolver = Resolver {
        given,
        store: store.map(|_| given.len()),
        sources: sources.clone(),
        installed,
        features,
        packages: Vec::new(),
        by_id,
        resolved: BTreeMap::new(),
        by_name: BTreeMap::new(),
        closure: Closure::new(sources, store.map(|_| given.len()), installed),
        missing,
        notes,
        left_out: LeftOut::default(),
    };
    for root in roots {
        resolver.package(root, given[root].cabinet.root().clone())?;
    }
    resolver.turn_on()?;
    resolver.finish()
}

/// The result of a condition. Of several conditions the first one that decides counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Applies,
    /// What it updates is only in the component store.
    AppliesStaged,
    Superseded,
    DoesNot,
}

impl Verdict {
    fn applies(self) -> bool {
        matches!(self, Self::Applies | Self::AppliesStaged)
    }
}

struct Resolver<'a> {
    given: &'a [Given<'a>],
    /// Index of the image's own store among the sources.
    store: Option<usize>,
    /// The cabinets, followed by the store.
    sources: Vec<&'a PackageSource<'a>>,
    installed: &'a Installed,
    features: Features,
    packages: Vec<ResolvedPackage>,
    /// Cabinets that contain a package, by its identifier in lower case.
    by_id: BTreeMap<String, Vec<usize>>,
    /// Identifiers, in lower case, of packages whose resolution has begun, and whether it is complete.
    resolved: BTreeMap<String, bool>,
    /// Packages whose dependencies are being searched, by name in lower case.
    by_name: BTreeMap<String, Vec<AssemblyIdentity>>,
    closure: Closure<'a>,
    missing: Missing,
    notes: Vec<String>,
    /// Parts of the requested package that are not installed.
    left_out: LeftOut,
}

/// The parts of a package that are not installed.
#[derive(Debug, Default)]
struct LeftOut {
    /// Parts that extend something that the image does not have, in the order in which they were found.
    without_parent: Vec<Arc<Mum>>,
    /// Number of all parts.
    parts: usize,
    /// Number of updates for components that the image has in this version or a later one.
    superseded: usize,
}

/// A package whose updates are being resolved.
struct Frame {
    cabinet: usize,
    mum: Arc<Mum>,
    /// Whether it is a part of a feature that is off.
    staged: bool,
    updates: Vec<ResolvedUpdate>,
    /// Indexes of the next update, and of the next item in it.
    next: (usize, usize),
    /// Packages from this index on are parts of this one.
    first_part: usize,
}

impl Resolver<'_> {
    /// Resolves what is turned on in the image, and what updates it there.
    fn turn_on(&mut self) -> Result<()> {
        let Some(store) = self.store else { return Ok(()) };
        let mut packages = self.features.of_image();
        while !packages.is_empty() {
            for mum in packages {
                self.package(store, mum)?;
            }
            packages = self.features.follow(&self.closure.take_turned_on(), self.installed);
            packages.retain(|mum| !self.resolved.contains_key(&lower_id(&mum.package.identity)));
        }
        Ok(())
    }

    /// Resolves a package with everything inside it.
    fn package(&mut self, cabinet: usize, mum: Arc<Mum>) -> Result<()> {
        self.left_out = LeftOut::default();
        let mut stack = Vec::new();
        self.push(&mut stack, cabinet, mum, false);
        while let Some(frame) = stack.last_mut() {
            let (cabinet, mum, staged) = (frame.cabinet, frame.mum.clone(), frame.staged);
            let Some(update) = mum.package.updates.get(frame.next.0) else {
                let frame = stack.pop().expect("it is there");
                self.complete(frame, stack.is_empty());
                continue;
            };
            if frame.next.1 == 0 {
                let Some(state) = self.state(update, &mum.package, cabinet) else {
                    frame.next.0 += 1;
                    continue;
                };
                let state = if staged { state.min(UpdateState::Staged) } else { state };
                frame.updates.push(ResolvedUpdate { name: update.name.clone(), state, deployments: Vec::new() });
            }
            let state = frame.updates.last().expect("just pushed").state;
            let item = update.items.get(frame.next.1).filter(|_| state != UpdateState::NotApplicable);
            let Some(item) = item else {
                frame.next = (frame.next.0 + 1, 0);
                continue;
            };
            frame.next.1 += 1;
            let staged = state == UpdateState::Staged;
            match item {
                Item::Component(identity) | Item::Driver { identity, .. } => {
                    frame.updates.last_mut().expect("just pushed").deployments.push(identity.clone());
                    self.closure.add(identity, cabinet, staged, &mum.package.identity, &mut self.missing)?;
                }
                Item::Package(identity) => self.child(&mut stack, identity, cabinet, &mum, staged)?,
            }
        }
        Ok(())
    }

    fn push(&mut self, stack: &mut Vec<Frame>, cabinet: usize, mum: Arc<Mum>, staged: bool) {
        let identity = &mum.package.identity;
        if let Entry::Vacant(new) = self.resolved.entry(lower_id(identity)) {
            new.insert(false);
            self.by_name.entry(identity.name.to_ascii_lowercase()).or_default().push(identity.clone());
            let first_part = self.packages.len();
            stack.push(Frame { cabinet, mum, staged, updates: Vec::new(), next: (0, 0), first_part });
        }
    }

    /// Resolves the package `identity`, to which `owner` refers.
    fn child(
        &mut self,
        stack: &mut Vec<Frame>,
        identity: &AssemblyIdentity,
        cabinet: usize,
        owner: &Mum,
        staged: bool,
    ) -> Result<()> {
        let (id, lower) = (identity.package_id(), lower_id(identity));
        let is_image = self.store == Some(cabinet);
        if is_image && self.installed.package(identity).is_some() {
            return Ok(());
        }
        let found = self.by_id.get(&lower).and_then(|found| {
            let here = found.iter().find(|index| **index == cabinet);
            here.or(found.first()).copied()
        });
        let in_store = is_image && self.installed.known(identity).is_some();
        let found = match found.filter(|_| !in_store).or(self.store.filter(|_| is_image)) {
            Some(index) => self.sources[index].package(&lower)?.map(|mum| (index, mum)),
            None => None,
        };
        let Some((index, mum)) = found else {
            if self.installed.package(identity).is_none() {
                let path = self.sources[cabinet].path().display();
                let owner = owner.package.identity.package_id();
                let text = format!("the package `{id}`, a part of `{owner}`, is not in {path} ({SOURCE_MISSING})");
                self.missing.add(text, [identity.name.clone()]);
            }
            return Ok(());
        };
        if self.resolved.get(&lower) == Some(&false) {
            self.missing.add(format!("the package `{id}` contains itself ({INVALID_PACKAGE})"), []);
            return Ok(());
        }
        self.left_out.parts += 1;
        let parents = &mum.package.parents;
        if parents.is_empty() || parents.iter().any(|parent| self.has_parent(parent)) {
            self.push(stack, index, mum, staged);
        } else {
            self.left_out.without_parent.push(mum);
        }
        Ok(())
    }

    /// Whether the parent is in the image or will be.
    fn has_parent(&self, parent: &Parent) -> bool {
        let begun = |name: &str| match name {
            "*" => self.by_name.values().flatten().any(|identity| parent.fits(identity)),
            name => {
                let same_name = self.by_name.get(&name.to_ascii_lowercase());
                same_name.is_some_and(|same_name| same_name.iter().any(|identity| parent.fits(identity)))
            }
        };
        self.installed.has_parent(parent) || parent.identities.iter().any(|name| begun(&name.identity.name))
    }

    /// Records a package whose updates have all been seen, if any of them does something.
    fn complete(&mut self, frame: Frame, is_root: bool) {
        let id = frame.mum.package.identity.package_id();
        let index = self.packages.len();
        let parts = index - frame.first_part;
        let has_components = frame.updates.iter().any(|update| !update.deployments.is_empty());
        let is_image = self.store == Some(frame.cabinet);
        let is_empty = !is_image && !frame.updates.is_empty() && parts == 0 && !has_components;
        self.resolved.insert(id.to_ascii_lowercase(), true);
        if is_root && !is_image {
            self.note_left_out(&frame.mum, &id, is_empty);
        }
        if is_empty {
            return;
        }
        for part in &mut self.packages[frame.first_part..] {
            part.owner.get_or_insert(index);
        }
        let components = self.closure.take();
        let Frame { cabinet, mum, staged, updates, .. } = frame;
        self.packages.push(ResolvedPackage {
            mum,
            cabinet,
            in_image: is_image,
            staged,
            owner: None,
            updates,
            components,
        });
    }

    /// Reports what is not installed of the requested package. It is an error if nothing is, unless the image is newer.
    fn note_left_out(&mut self, root: &Mum, id: &str, is_empty: bool) {
        let LeftOut { without_parent, parts, superseded } = std::mem::take(&mut self.left_out);
        if is_empty && superseded > 0 {
            self.notes
                .push(format!("`{id}` is superseded: the image has all that it updates in these versions or later"));
        } else if is_empty && self.missing.is_empty() {
            let (text, names) = match &without_parent[..] {
                [] => (format!("`{id}` does not apply: it has nothing for this image ({NOT_APPLICABLE})"), Vec::new()),
                [part, ..] => {
                    let absent = applicable::absent_parents(&part.package, self.installed);
                    let part_id = part.package.identity.package_id();
                    let text = format!("`{id}` does not apply: {absent}; its part `{part_id}` needs it");
                    (text, applicable::parent_names(&part.package))
                }
            };
            self.missing.add(text, names);
        } else if let [one] = &without_parent[..]
            && root.package.updates.len() == 1
        {
            let part = one.package.identity.package_id();
            self.notes.push(format!("`{part}` is left out: what it extends is not in the image"));
        } else if !without_parent.is_empty() {
            let count = without_parent.len();
            self.notes
                .push(format!("{count} of {parts} parts of `{id}` are left out: what they extend is not in the image"));
        }
    }

    /// What becomes of an update of `package`; `None` if it stays as it is in the image.
    fn state(&mut self, update: &Update, package: &Package, cabinet: usize) -> Option<UpdateState> {
        let id = lower_id(&package.identity);
        let is_chosen = self.features.has(&id, &update.name);
        if self.store == Some(cabinet) && !is_chosen {
            return None;
        }
        let mut is_staged = false;
        if !update.applicable.is_empty() {
            match self.applies(update, package, &mut BTreeSet::new()) {
                Verdict::Applies => {}
                Verdict::AppliesStaged => is_staged = true,
                Verdict::Superseded => {
                    self.left_out.superseded += 1;
                    return Some(UpdateState::NotApplicable);
                }
                Verdict::DoesNot => return Some(UpdateState::NotApplicable),
            }
        }
        let is_on = is_chosen || self.is_selected(update, package, &mut BTreeSet::new());
        Some(if is_on && !is_staged { UpdateState::Installed } else { UpdateState::Staged })
    }

    /// The result of all conditions of an update. `seen` are the updates of the package that are being asked about.
    fn applies<'m>(&self, update: &Update, package: &'m Package, seen: &mut BTreeSet<&'m str>) -> Verdict {
        let verdicts = update.applicable.iter().map(|condition| self.judge(condition, package, seen));
        verdicts.min().unwrap_or(Verdict::Applies)
    }

    /// Whether a feature is on by default.
    fn is_selected<'m>(&self, update: &Update, package: &'m Package, seen: &mut BTreeSet<&'m str>) -> bool {
        let Some(selectable) = &update.selectable else { return true };
        if self.features.is_off(&update.name) {
            return false;
        }
        selectable.default
            || selectable.conditions.iter().any(|condition| self.judge(condition, package, seen).applies())
    }

    /// Judges a condition of an update of `package` by the image and what is installed before.
    fn judge<'m>(&self, condition: &Condition, package: &'m Package, seen: &mut BTreeSet<&'m str>) -> Verdict {
        let is_met = match condition {
            Condition::Component { identities, elevate } => {
                let verdicts = identities.iter().map(|identity| self.judge_component(identity, *elevate));
                return verdicts.min().unwrap_or(Verdict::DoesNot);
            }
            Condition::Update { parents, name } if parents.is_empty() => self.has_own(name, package, seen),
            Condition::Update { parents, name } => {
                let is_parent =
                    |package: &&ResolvedPackage| parents.iter().any(|parent| parent.fits(package.identity()));
                let mut updates = self.packages.iter().filter(is_parent).flat_map(|package| &package.updates);
                let is_installed = |update: &ResolvedUpdate| {
                    update.name.eq_ignore_ascii_case(name) && update.state == UpdateState::Installed
                };
                self.installed.has_update(parents, name)
                    || self.features.has_update(parents, name)
                    || updates.any(is_installed)
            }
        };
        if is_met { Verdict::Applies } else { Verdict::DoesNot }
    }

    /// Whether the update `name` of `package` is on.
    fn has_own<'m>(&self, name: &str, package: &'m Package, seen: &mut BTreeSet<&'m str>) -> bool {
        let in_image = self.installed.package(&package.identity).and_then(|package| package.update(name));
        if in_image.is_some_and(State::is_on) || self.features.has(&lower_id(&package.identity), name) {
            return true;
        }
        let Some(update) = package.updates.iter().find(|update| update.name.eq_ignore_ascii_case(name)) else {
            return false;
        };
        // Updates that need each other in a cycle are off.
        seen.insert(&update.name)
            && self.applies(update, package, seen) == Verdict::Applies
            && self.is_selected(update, package, seen)
    }

    fn judge_component(&self, identity: &AssemblyIdentity, elevate: Elevate) -> Verdict {
        let in_image = self.installed.winner(identity).map(|version| (version, self.installed.is_in_use(identity)));
        let found: Option<(Version, bool)> = self.closure.family(identity).into_iter().chain(in_image).max();
        let version = found.map(|(version, _)| version);
        match found {
            _ if elevate.applies(version, identity.version) => match found {
                Some((_, false)) => Verdict::AppliesStaged,
                _ => Verdict::Applies,
            },
            Some((version, _)) if version >= identity.version => Verdict::Superseded,
            _ => Verdict::DoesNot,
        }
    }

    fn finish(mut self) -> Result<Resolution> {
        self.closure.finish(&mut self.packages, &mut self.notes);
        self.note_languages();
        for mum in self.packages.iter().map(|package| &package.mum.package).filter(|mum| !mum.unknown.is_empty()) {
            let (id, unknown) = (mum.identity.package_id(), mum.unknown.join(">, <"));
            self.notes.push(format!("`{id}` has elements that are not known and not heeded: <{unknown}>"));
        }
        match self.missing.into_error() {
            Some(error) => Err(error),
            None => Ok(Resolution {
                packages: self.packages,
                features: self.features.names,
                past: Vec::new(),
                notes: self.notes,
            }),
        }
    }

    /// Reports packages in languages that the image does not have, and packages without texts in any language.
    fn note_languages(&mut self) {
        let languages = self.installed.languages();
        let roots: Vec<_> = self.packages.iter().filter(|package| package.owner.is_none()).collect();
        for root in &roots {
            let Some(given) = self.given.get(root.cabinet) else { continue };
            let is_update = given.purpose == Purpose::Update;
            let id = root.identity().package_id();
            let known = |language: &str| languages.iter().any(|known| known.eq_ignore_ascii_case(language));
            match root.identity().language.as_deref() {
                Some(language) if !languages.is_empty() && !known(language) => {
                    let has = languages.join(", ");
                    self.notes.push(format!("`{id}` is for the language {language}; the image has {has}"));
                }
                None if self.closure.untranslated.contains(&root.cabinet) && !is_update => {
                    let is_companion = |other: &&&ResolvedPackage| {
                        other.identity().language.is_some() && other.identity().name == root.identity().name
                    };
                    if !roots.iter().any(|other| is_companion(&other)) {
                        self.notes
                            .push(format!("`{id}` is installed without texts: no package of a language is given"));
                    }
                }
                _ => {}
            }
        }
    }
}

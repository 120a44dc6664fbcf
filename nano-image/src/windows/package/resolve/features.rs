//! Decides which features are turned on, with those that they need, like DISM's `/Enable-Feature /All`.
//!
//! A feature is an update that can be chosen. It may need another one (`detectUpdate`) of the same or another package,
//! and its package may be a part of another feature. What is on by default once these are on is turned on too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::model::{Choice, Given, MAX_LISTED, Missing, NOT_APPLICABLE, Purpose, UNKNOWN_UPDATE};
use crate::error::Result;
use crate::types::nearest;
use crate::windows::package::contents::{Mum, PackageSource, lower_id};
use crate::windows::package::installed::Installed;
use crate::windows::package::mum::{Condition, Item, Parent, Selectable, Update};
use crate::windows::package::state::State;

/// An update with more packages is a cumulative one, which has no features.
const MAX_PARTS: usize = 4096;

/// Number of a candidate and of an update of it.
type Spot = (usize, usize);

/// Where a candidate is; better places for a feature come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Availability {
    /// Installed in the image.
    Installed,
    /// Only in the component store of the image.
    Staged,
    /// In a cabinet that is installed.
    Given,
    /// In a cabinet that is only searched for features.
    Source,
}

/// A package that may have features.
struct Candidate {
    /// Index of the cabinet; `None` for the image.
    cabinet: Option<usize>,
    place: Availability,
    mum: Arc<Mum>,
    id: String,
}

/// What is turned on.
#[derive(Default)]
pub(super) struct Features {
    candidates: Vec<Candidate>,
    /// By name in lower case.
    updates: BTreeMap<String, Vec<Spot>>,
    /// Updates that contain a package, by its identifier in lower case.
    owners: BTreeMap<String, Vec<Spot>>,
    /// Updates that need another one, by its name in lower case.
    dependents: BTreeMap<String, Vec<Spot>>,
    /// Packages that are staged in the image, by their identifiers in lower case.
    staged: BTreeMap<String, usize>,
    on: BTreeSet<Spot>,
    /// Identifiers of packages and names of updates that are on, in lower case.
    on_by_name: BTreeSet<(String, String)>,
    /// Candidates of the image that will be installed.
    becoming: BTreeSet<usize>,
    /// Names, in lower case, of features that stay off unless they are needed.
    off: BTreeSet<String>,
    /// Names of the features that are turned on, in the order in which they were found.
    pub names: Vec<String>,
}

impl Features {
    /// Finds the features of `choice` in the image, whose component store is `store`, and in the cabinets `given`. What
    /// cannot be found is added to `missing`, what need not be done to `notes`.
    ///
    /// # Errors
    /// Errors of reading descriptions.
    pub fn choose(
        choice: Choice<'_>,
        given: &[Given<'_>],
        store: Option<&PackageSource<'_>>,
        installed: &Installed,
        missing: &mut Missing,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let off = choice.off.iter().map(|name| name.to_ascii_lowercase()).collect();
        let mut features = Self { off, ..Self::default() };
        if choice.on.is_empty() {
            return Ok(features);
        }
        features.collect(given, store, installed)?;
        let mut stack = Vec::new();
        for name in choice.on {
            let spots = features.updates.get(&name.to_ascii_lowercase()).into_iter().flatten().copied();
            let mut spots: Vec<Spot> = spots.filter(|spot| features.update(*spot).selectable.is_some()).collect();
            let best = spots.iter().map(|spot| features.candidates[spot.0].place).min();
            spots.retain(|spot| Some(features.candidates[spot.0].place) == best);
            if spots.is_empty() {
                let (text, name) = features.unknown(name);
                missing.add(text, [name]);
            } else if spots.iter().all(|spot| features.is_on_in_image(*spot, installed)) {
                notes.push(format!("the feature `{name}` is on already"));
            }
            // The last one is taken first.
            stack.extend(spots.into_iter().rev());
        }
        while let Some(spot) = stack.pop() {
            if !features.is_on_in_image(spot, installed) && features.on.insert(spot) {
                let next = features.turn_on(spot, installed, missing);
                stack.extend(next.into_iter().rev());
            }
        }
        Ok(features)
    }

    /// Whether the update `name` of the package `id`, in lower case, is turned on.
    pub fn has(&self, id: &str, name: &str) -> bool {
        !self.on.is_empty() && self.on_by_name.contains(&(id.to_owned(), name.to_ascii_lowercase()))
    }

    /// Whether the feature `name` should be off.
    pub fn is_off(&self, name: &str) -> bool {
        !self.off.is_empty() && self.off.contains(&name.to_ascii_lowercase())
    }

    /// Whether the update `name` of one of the packages `parents` is turned on.
    pub fn has_update(&self, parents: &[Parent], name: &str) -> bool {
        self.on.iter().any(|spot| {
            let identity = &self.candidates[spot.0].mum.package.identity;
            self.update(*spot).name.eq_ignore_ascii_case(name) && parents.iter().any(|parent| parent.fits(identity))
        })
    }

    /// Cabinets that are only searched, and from which something is turned on.
    pub fn cabinets(&self) -> BTreeSet<usize> {
        self.on.iter().filter_map(|spot| self.candidates[spot.0].cabinet).collect()
    }

    /// Packages of the image from which something is turned on, without those that are parts of others.
    pub fn of_image(&self) -> Vec<Arc<Mum>> {
        let numbers: BTreeSet<usize> = self.on.iter().map(|spot| spot.0).collect();
        let of_image = numbers.into_iter().filter(|number| self.candidates[*number].cabinet.is_none());
        let is_part = |number: usize| {
            let owners = self.owners.get(&self.candidates[number].id).into_iter().flatten();
            self.candidates[number].place == Availability::Staged
                && owners.into_iter().any(|spot| self.on.contains(spot))
        };
        let (parts, roots): (Vec<usize>, Vec<usize>) = of_image.partition(|number| is_part(*number));
        roots.into_iter().chain(parts).map(|number| self.candidates[number].mum.clone()).collect()
    }

    /// Turns on what in the image updates `components`: versionless key forms of components that have just come into
    /// use. Returns the packages.
    pub fn follow(&mut self, components: &BTreeSet<String>, installed: &Installed) -> Vec<Arc<Mum>> {
        let mut found = Vec::new();
        for number in 0..self.candidates.len() {
            let candidate = &self.candidates[number];
            if candidate.place > Availability::Staged {
                continue;
            }
            let updates_one = |update: &Update| {
                let mut identities = update.applicable.iter().flat_map(|condition| match condition {
                    Condition::Component { identities, .. } => &identities[..],
                    Condition::Update { .. } => &[],
                });
                identities.any(|identity| components.contains(&identity.versionless_key_form()))
            };
            let updates = candidate.mum.package.updates.iter().enumerate();
            let spots: Vec<Spot> = updates
                .filter(|(_, update)| update.selectable.is_none() && updates_one(update))
                .map(|(update, _)| (number, update))
                .filter(|spot| !self.is_on_in_image(*spot, installed) && !self.on.contains(spot))
                .collect();
            if !spots.is_empty() {
                found.push(candidate.mum.clone());
            }
            for spot in spots {
                self.note(spot);
            }
        }
        found
    }

    fn update(&self, spot: Spot) -> &Update {
        &self.candidates[spot.0].mum.package.updates[spot.1]
    }

    fn is_on_in_image(&self, spot: Spot, installed: &Installed) -> bool {
        let candidate = &self.candidates[spot.0];
        let package = installed.known(&candidate.mum.package.identity).filter(|_| candidate.cabinet.is_none());
        package.and_then(|package| package.update(&self.update(spot).name)).is_some_and(State::is_on)
    }

    /// Reads the descriptions of packages that may have features.
    fn collect(&mut self, given: &[Given<'_>], store: Option<&PackageSource<'_>>, installed: &Installed) -> Result<()> {
        if let Some(store) = store {
            for (packages, place) in
                [(installed.packages(), Availability::Installed), (installed.staged(), Availability::Staged)]
            {
                for package in packages {
                    if let Some(mum) = store.package(&lower_id(&package.identity))? {
                        self.add(None, place, mum);
                    }
                }
            }
        }
        for (index, given) in given.iter().enumerate() {
            let source = &given.cabinet.source;
            if source.identities().count() > MAX_PARTS {
                continue;
            }
            let place = if given.purpose == Purpose::Source { Availability::Source } else { Availability::Given };
            for identity in source.identities() {
                if let Some(mum) = source.package(&lower_id(identity))? {
                    self.add(Some(index), place, mum);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, cabinet: Option<usize>, place: Availability, mum: Arc<Mum>) {
        let number = self.candidates.len();
        for (index, update) in mum.package.updates.iter().enumerate() {
            self.updates.entry(update.name.to_ascii_lowercase()).or_default().push((number, index));
            for item in &update.items {
                if let Item::Package(identity) = item {
                    self.owners.entry(lower_id(identity)).or_default().push((number, index));
                }
            }
            for condition in &update.applicable {
                if let Condition::Update { name, .. } = condition {
                    self.dependents.entry(name.to_ascii_lowercase()).or_default().push((number, index));
                }
            }
        }
        let id = lower_id(&mum.package.identity);
        if place == Availability::Staged {
            self.staged.insert(id.clone(), number);
        }
        self.candidates.push(Candidate { cabinet, place, mum, id });
    }

    /// Records that an update is turned on.
    fn note(&mut self, spot: Spot) {
        self.on.insert(spot);
        let (id, update) = (self.candidates[spot.0].id.clone(), self.update(spot));
        let (name, is_feature) = (update.name.clone(), update.selectable.is_some());
        self.on_by_name.insert((id, name.to_ascii_lowercase()));
        if is_feature && !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    /// Records that an update is turned on; returns those that it needs, and those that it brings along.
    fn turn_on(&mut self, spot: Spot, installed: &Installed, missing: &mut Missing) -> Vec<Spot> {
        self.note(spot);
        let mut next = self.needed(spot, installed, missing);
        if self.candidates[spot.0].cabinet.is_none() {
            let items = self.update(spot).items.clone();
            let parts = items.iter().filter_map(|item| match item {
                Item::Package(identity) => Some(identity),
                _ => None,
            });
            let parts: Vec<usize> =
                parts.filter_map(|identity| self.staged.get(&lower_id(identity)).copied()).collect();
            next.extend(parts.into_iter().flat_map(|part| self.install(part, installed)));
            next.extend(self.dependents(spot, installed));
        }
        next
    }

    /// The features that an update needs.
    fn needed(&self, spot: Spot, installed: &Installed, missing: &mut Missing) -> Vec<Spot> {
        let (candidate, update) = (&self.candidates[spot.0], self.update(spot));
        let mut next = Vec::new();
        let conditions = || update.applicable.iter().filter(|one| matches!(one, Condition::Update { .. }));
        let is_met = |condition: &Condition| self.is_met(condition, spot.0, installed);
        if update.applicable.iter().any(|one| matches!(one, Condition::Component { .. })) || conditions().any(is_met) {
            // Something other than a feature is enough.
        } else if let Some(found) = conditions().map(|one| self.spots(one, spot.0)).find(|spots| !spots.is_empty()) {
            next.extend(found.into_iter().take(1));
        } else if let Some(Condition::Update { name, .. }) = conditions().next() {
            let text = format!("`{}` needs the feature `{name}`, which is nowhere ({NOT_APPLICABLE})", update.name);
            missing.add(text, [name.clone()]);
        }
        if candidate.place != Availability::Installed {
            let owners = self.owners.get(&candidate.id).into_iter().flatten();
            let same = owners.filter(|owner| self.candidates[owner.0].cabinet == candidate.cabinet);
            next.extend(same.take(1));
        }
        next
    }

    /// Updates to which `condition` of a package, candidate number `own`, refers.
    fn spots(&self, condition: &Condition, own: usize) -> Vec<Spot> {
        let Condition::Update { parents, name } = condition else { return Vec::new() };
        let spots = self.updates.get(&name.to_ascii_lowercase()).into_iter().flatten();
        let fits = |spot: &&Spot| match &parents[..] {
            [] => spot.0 == own,
            parents => {
                let identity = &self.candidates[spot.0].mum.package.identity;
                parents.iter().any(|parent| parent.fits(identity))
            }
        };
        spots.filter(fits).copied().collect()
    }

    fn is_met(&self, condition: &Condition, own: usize, installed: &Installed) -> bool {
        let is_on = |spot: &Spot| self.on.contains(spot) || self.is_on_in_image(*spot, installed);
        self.spots(condition, own).iter().any(is_on)
    }

    /// Handles a package of the image that will be installed: turns on what is on by default.
    fn install(&mut self, number: usize, installed: &Installed) -> Vec<Spot> {
        if !self.becoming.insert(number) {
            return Vec::new();
        }
        let updates = 0..self.candidates[number].mum.package.updates.len();
        updates.map(|update| (number, update)).filter(|spot| self.comes(*spot, installed)).collect()
    }

    /// Whether an update of an installed package is on by default.
    fn comes(&self, spot: Spot, installed: &Installed) -> bool {
        let update = self.update(spot);
        let mut conditions = update.applicable.iter().filter(|one| matches!(one, Condition::Update { .. })).peekable();
        let applies = conditions.peek().is_none() || conditions.any(|one| self.is_met(one, spot.0, installed));
        let is_updating = update.applicable.iter().any(|one| matches!(one, Condition::Component { .. }));
        let is_default = |selectable: &Selectable| selectable.default && !self.is_off(&update.name);
        update.selectable.as_ref().is_none_or(is_default) && applies && !is_updating
    }

    /// Updates of installed packages that are on by default, and apply because `spot` is on now.
    fn dependents(&self, spot: Spot, installed: &Installed) -> Vec<Spot> {
        let name = self.update(spot).name.to_ascii_lowercase();
        let about = self.dependents.get(&name).into_iter().flatten().copied();
        let is_there =
            |one: &Spot| self.candidates[one.0].place == Availability::Installed || self.becoming.contains(&one.0);
        let applies = |one: &Spot| {
            let mut conditions = self.update(*one).applicable.iter();
            conditions.any(|condition| self.spots(condition, one.0).contains(&spot)) && self.comes(*one, installed)
        };
        about.filter(|one| is_there(one) && applies(one)).collect()
    }

    /// The message about a name that is not a feature, and the name.
    fn unknown(&self, name: &str) -> (String, String) {
        let is_feature = |spots: &&Vec<Spot>| spots.iter().any(|spot| self.update(*spot).selectable.is_some());
        let known = || self.updates.values().filter(is_feature).map(|spots| &*self.update(spots[0]).name);
        let listed: Vec<&str> = known().take(MAX_LISTED).collect();
        let hint = match nearest(name, known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if listed.is_empty() => "the image and the packages have none".into(),
            None => format!("there are: {}", listed.join(", ")),
        };
        let text = format!("neither the image nor a package has the feature `{name}` ({UNKNOWN_UPDATE}); {hint}");
        (text, name.to_owned())
    }
}

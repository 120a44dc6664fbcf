//! Records which packages wait for components and for updates of others: `ComponentDetect` and `UpdateDetect`.
//!
//! The forms of these records differ between builds and are not documented, so they are learnt from those of the
//! image's own packages. If the image has none of a kind, none is written, and that is reported.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::registry::{Hive, KeyId, Value, ValueKind};
use crate::windows::edit::{HiveFile, ImageEdit};
use crate::windows::package::identity::{AssemblyIdentity, Version};
use crate::windows::package::installed::SERVICING;
use crate::windows::package::mum::{Condition, Elevate, Package};
use crate::windows::package::store::PACKAGES;

pub(super) const COMPONENTS: &str = "ComponentDetect";
pub(super) const UPDATES: &str = "UpdateDetect";

/// The most values of the image that are examined.
const SAMPLES: usize = 256;
/// The largest description, in bytes.
const MAX_MUM: u64 = 64 << 20;

/// Something that a package waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// A component in an earlier version than this.
    Component { component: AssemblyIdentity, elevate: Elevate },
    /// An update of this name.
    Update { name: String },
}

impl Wait {
    /// Name of its key.
    pub fn key(&self) -> String {
        match self {
            Self::Component { component, .. } => key_of(component),
            Self::Update { name } => name.clone(),
        }
    }
}

/// What a package waits for, with the names of the updates that wait.
pub(super) fn waits(package: &Package) -> Vec<(&str, Wait)> {
    let mut waits = Vec::new();
    for update in &package.updates {
        let selected = update.selectable.iter().flat_map(|selectable| &selectable.conditions);
        for condition in update.applicable.iter().chain(selected) {
            match condition {
                Condition::Component { identities, elevate } => waits.extend(identities.iter().map(|component| {
                    (&*update.name, Wait::Component { component: component.clone(), elevate: *elevate })
                })),
                Condition::Update { name, .. } => waits.push((&*update.name, Wait::Update { name: name.clone() })),
            }
        }
    }
    waits
}

/// The key of a component: its key form with version 0.0.0.0.
fn key_of(component: &AssemblyIdentity) -> String {
    AssemblyIdentity { version: Version::default(), ..component.clone() }.key_form()
}

/// The form of the data for a component.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Data {
    /// Its version, followed by this text.
    Version(String),
    /// A number.
    Number(u32),
}

/// The forms in the image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Forms {
    /// Data for components, by how they are elevated.
    components: BTreeMap<Elevate, Data>,
    /// Data for updates.
    updates: Option<Value>,
    /// For each of the two keys: whether names of values contain the name of the update after that of the package.
    with_update: BTreeMap<&'static str, bool>,
}

impl Forms {
    /// The forms in `image`, as far as it has examples.
    ///
    /// # Errors
    /// Those of the image's store. The inner error says what has an unknown form.
    pub fn learn(image: &mut ImageEdit<'_>) -> Result<Result<Self, String>> {
        let Some(software) = image.hive(HiveFile::Software)? else { return Ok(Ok(Self::default())) };
        let (components, updates) = (samples(software, COMPONENTS), samples(software, UPDATES));
        let mut descriptions: BTreeMap<String, Option<Package>> = BTreeMap::new();
        for id in components.iter().filter_map(|sample| sample.package()) {
            if let Entry::Vacant(new) = descriptions.entry(id) {
                let mum = image.read(&format!(r"{PACKAGES}\{}.mum", new.key()), MAX_MUM)?;
                new.insert(mum.and_then(|mum| Package::parse(&mum).ok()));
            }
        }
        let mut forms = Self::default();
        let learnt = forms.learn_components(&components, &descriptions).and_then(|()| forms.learn_updates(&updates));
        Ok(learnt.map(|()| forms))
    }

    fn learn_components(
        &mut self,
        samples: &[Sample],
        descriptions: &BTreeMap<String, Option<Package>>,
    ) -> Result<(), String> {
        for sample in samples {
            let id = sample.package().ok_or_else(|| sample.odd(COMPONENTS))?;
            self.note_name(COMPONENTS, sample)?;
            // Packages without a description cannot serve as examples.
            let Some(package) = descriptions.get(&id).and_then(Option::as_ref) else { continue };
            let asked = waits(package).into_iter().find_map(|(_, wait)| match wait {
                Wait::Component { component, elevate } if key_of(&component).eq_ignore_ascii_case(&sample.key) => {
                    Some((component.version, elevate))
                }
                _ => None,
            });
            let Some((version, elevate)) = asked else { continue };
            let data = match (sample.value.text(), sample.value.as_dword()) {
                (Some(text), _) if sample.value.kind == ValueKind::SZ => {
                    let behind = text.strip_prefix(&version.to_string()).filter(|behind| behind.starts_with('@'));
                    behind.map(|behind| Data::Version(behind.to_owned()))
                }
                (_, Some(number)) => Some(Data::Number(number)),
                _ => None,
            };
            let data = data.ok_or_else(|| sample.odd(COMPONENTS))?;
            if *self.components.entry(elevate).or_insert_with(|| data.clone()) != data {
                return Err(sample.odd(COMPONENTS));
            }
        }
        Ok(())
    }

    fn learn_updates(&mut self, samples: &[Sample]) -> Result<(), String> {
        for sample in samples {
            sample.package().ok_or_else(|| sample.odd(UPDATES))?;
            self.note_name(UPDATES, sample)?;
            if *self.updates.get_or_insert_with(|| sample.value.clone()) != sample.value {
                return Err(sample.odd(UPDATES));
            }
        }
        Ok(())
    }

    fn note_name(&mut self, key: &'static str, sample: &Sample) -> Result<(), String> {
        let has_update = AssemblyIdentity::from_package_id(&sample.name).is_none();
        match *self.with_update.entry(key).or_insert(has_update) == has_update {
            true => Ok(()),
            false => Err(sample.odd(key)),
        }
    }

    /// The value for what the update `update` of `package` waits for: its key, name and data; `None` if the image has
    /// no example of it.
    pub fn value(&self, package: &str, update: &str, wait: &Wait) -> Option<(&'static str, String, Value)> {
        let (key, value) = match wait {
            Wait::Component { component, elevate } => {
                let value = match self.components.get(elevate)? {
                    Data::Version(behind) => Value::sz(&format!("{}{behind}", component.version)),
                    Data::Number(number) => Value::dword(*number),
                };
                (COMPONENTS, value)
            }
            Wait::Update { .. } => (UPDATES, self.updates.clone()?),
        };
        let name = if *self.with_update.get(key)? { format!("{package}.{update}") } else { package.to_owned() };
        Some((key, name, value))
    }
}

/// A value of the image.
struct Sample {
    key: String,
    name: String,
    value: Value,
}

impl Sample {
    /// The package identifier at the start of its name.
    fn package(&self) -> Option<String> {
        if AssemblyIdentity::from_package_id(&self.name).is_some() {
            return Some(self.name.clone());
        }
        // The name of the update follows the four numbers of the version.
        let (start, end) = self.name.rsplit_once('~')?;
        let mut numbers = end.splitn(5, '.');
        let version: Vec<&str> = numbers.by_ref().take(4).collect();
        numbers.next()?;
        let id = format!("{start}~{}", version.join("."));
        AssemblyIdentity::from_package_id(&id).map(|_| id)
    }

    fn odd(&self, key: &str) -> String {
        format!(r"`{}` in `{key}\{}` of the image has an unknown form", self.name, self.key)
    }
}

/// Values below a key of the servicing stack. If there are many, only some.
fn samples(software: &Hive, key: &str) -> Vec<Sample> {
    let key = software.find(&format!(r"{SERVICING}\{key}"));
    let keys: Vec<KeyId> = key.map(|key| software.subkeys(key)).unwrap_or_default();
    let mut found = Vec::new();
    let mut packages = BTreeSet::new();
    for key in keys {
        for (name, value) in software.values(key) {
            let sample = Sample { key: software.name(key).to_string(), name: name.to_string(), value };
            // A few packages have many values each.
            if packages.len() < SAMPLES || packages.contains(&sample.package()) {
                packages.insert(sample.package());
                found.push(sample);
            }
        }
    }
    found
}

//! The components in an image's component store, and the settings of those that an answer file names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::schema::Schema;
use super::{TOKEN, known};
use crate::error::Result;
use crate::source::delta;
use crate::windows::edit::ImageFiles;
use crate::windows::package::architecture::AssemblyArchitecture;
use crate::windows::package::identity::Version;
use crate::windows::package::installed::{STORE, dictionary};
use crate::windows::package::shortened_component;

/// Largest manifest that is read, bytes; the largest of Windows have some 2 MB.
const MAX_LEN: u64 = 16 << 20;
/// The most versions of a manifest that are tried.
const MOST_READ: usize = 3;
/// The most unknown names for which a similar one is looked for among all names.
const MOST_COMPARED: usize = 100;

/// What an image says about the components that an answer file names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Components {
    /// By name in lower case.
    found: BTreeMap<String, Arc<Found>>,
}

/// What an image says about a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It has the component, with these settings if they can be read.
    There(Option<Schema>),
    /// It does not have the component, but perhaps one with this similar name.
    Missing(Option<String>),
}

impl Components {
    /// What the image says about the component; `None` if it has no manifests, so that nothing is known.
    pub fn get(&self, name: &str) -> Option<&Found> {
        self.found.get(&name.to_lowercase()).map(|found| &**found)
    }
}

/// The manifests of an image, by name. Only those of components that answer files name are read, once.
#[derive(Debug, Default)]
pub struct Manifests {
    /// For each component and architecture, its versions with their files, latest first.
    files: BTreeMap<(String, AssemblyArchitecture), Vec<(Version, String)>>,
    dictionary: OnceLock<Option<Vec<u8>>>,
    found: Mutex<BTreeMap<(String, AssemblyArchitecture), Arc<Found>>>,
}

impl Manifests {
    /// The manifests of `image`.
    ///
    /// # Errors
    /// Errors of reading the folder.
    pub fn new(image: &dyn ImageFiles) -> Result<Self> {
        let mut manifests = Self::default();
        for file in image.names(&folder())? {
            if let Some((architecture, name, version)) = fields(&file) {
                manifests.files.entry((name, architecture)).or_default().push((version, file));
            }
        }
        manifests.files.values_mut().for_each(|versions| versions.sort_by(|a, b| b.cmp(a)));
        Ok(manifests)
    }

    /// What `image`, to which these manifests belong, says about components with these names and architectures.
    pub fn look_up<'a>(
        &self,
        names: impl Iterator<Item = (&'a str, AssemblyArchitecture)>,
        image: &dyn ImageFiles,
    ) -> Components {
        let mut components = Components::default();
        if self.files.is_empty() {
            return components;
        }
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, architecture) in names {
            let key = (name.to_lowercase(), architecture);
            let compare = components.found.len() < MOST_COMPARED;
            let one = found.entry(key).or_insert_with_key(|key| Arc::new(self.find(&key.0, &key.1, compare, image)));
            components.found.insert(name.to_lowercase(), one.clone());
        }
        components
    }

    fn find(&self, name: &str, architecture: &AssemblyArchitecture, compare: bool, image: &dyn ImageFiles) -> Found {
        if let Some(versions) = self.files.get(&(shortened_component(name), architecture.clone())) {
            // Settings that cannot be read are not known; then the table is used instead.
            let texts = versions.iter().take(MOST_READ).filter_map(|(_, file)| self.text(file, image).ok().flatten());
            let mut schemas = texts.filter_map(|text| Schema::parse(&text).ok());
            return Found::There(schemas.find(|schema| schema.component.eq_ignore_ascii_case(name)));
        }
        let is_there = |near: &&str| self.files.contains_key(&(shortened_component(near), architecture.clone()));
        let documented = known::nearest_component(name).filter(is_there);
        let near = || known::nearest_name(name, self.files.keys().map(|(name, _)| &**name));
        Found::Missing(documented.or_else(|| if compare { near() } else { None }).map(str::to_owned))
    }

    fn text(&self, file: &str, image: &dyn ImageFiles) -> Result<Option<Vec<u8>>> {
        let Some(stored) = image.read_file(&format!(r"{}\{file}", folder()), MAX_LEN)? else { return Ok(None) };
        if !delta::is_compressed(&stored) {
            return Ok(Some(stored));
        }
        match self.dictionary.get_or_init(|| dictionary(image).ok()) {
            Some(dictionary) => delta::expand_manifest(&stored, dictionary).map(|text| Some(text.into_owned())),
            None => Ok(None),
        }
    }
}

fn folder() -> String {
    format!(r"{STORE}\Manifests")
}

/// Architecture, name and version of the component, from a manifest's name: `amd64_NAME_TOKEN_VERSION_none_HASH`.
/// `None` for manifests of languages and of other makers, which have no settings.
fn fields(manifest: &str) -> Option<(AssemblyArchitecture, String, Version)> {
    let lower = manifest.to_lowercase();
    let mut parts = lower.strip_suffix(".manifest")?.rsplitn(5, '_');
    let (_hash, language, version, token) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (architecture, name) = parts.next()?.split_once('_')?;
    let is_wanted = language == "none" && token == TOKEN;
    is_wanted.then(|| Some((AssemblyArchitecture::named(architecture), name.to_owned(), version.parse().ok()?)))?
}

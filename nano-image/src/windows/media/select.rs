//! Chooses packages of the media, and the packages that they need.

use std::collections::VecDeque;

use super::{Media, MediaFile, MediaPackage, names, same};
use crate::error::{Error, ErrorKind, Result};
use crate::source::wim::ImageInfo;
use crate::types::nearest;
use crate::windows::package::mum::{Package, Parent};

/// The cabinets of the chosen packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selection {
    /// Names of the packages, sorted, without repeats.
    pub names: Vec<String>,
    /// Their cabinets. The neutral one of each package comes before those of languages.
    pub cabinets: Vec<MediaFile>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Media {
    /// The package that `name` stands for, in any case. Allowed are also `IIS` for `Microsoft-NanoServer-IIS-Package`,
    /// its name in another release, its identity (`Name~token~amd64~~10.0.14393.0`), and the name in its description if
    /// its file is called differently.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) lists the packages and hints the nearest; those of
    /// [`describe`](Self::describe).
    pub fn package(&self, name: &str) -> Result<&MediaPackage> {
        let meanings = names::meanings(name);
        let found = self.by_file(&meanings).or_else(|| self.described(&meanings));
        let found = found.ok_or_else(|| self.no_package(name))?;
        let tail = |identity: &str| identity.split_once('~').map(|(_, tail)| tail.trim().to_lowercase());
        if let Some(wanted) = tail(name)
            && let Some(file) = &found.neutral
        {
            let has = self.description(file)?.identity.package_id();
            if tail(&has).is_some_and(|has| has != wanted) {
                return Err(Error::not_found(format!("no package `{name}`: the media have `{has}`"))
                    .with_path(&self.path)
                    .with_hint("leave the version out to get the one that the media have"));
            }
        }
        Ok(found)
    }

    /// The package whose description has one of these names. Cabinets that cannot be read are passed over.
    fn described(&self, names: &[String]) -> Option<&MediaPackage> {
        self.packages.iter().find(|package| {
            let description = package.neutral.as_ref().and_then(|file| self.description(file).ok());
            description.is_some_and(|has| names.iter().any(|name| same(name, &has.identity.name)))
        })
    }

    /// A package of the media that `package` needs, besides the `selected` ones and those that only the image can have.
    fn needed_by(&self, package: &Package, selected: &[String]) -> Option<&MediaPackage> {
        // One parent is enough, so nothing is lacking unless all parents are.
        let lacking: Option<Vec<&MediaPackage>> =
            package.parents.iter().map(|parent| self.lacking(parent, selected)).collect();
        lacking?.first().copied()
    }

    fn lacking(&self, parent: &Parent, selected: &[String]) -> Option<&MediaPackage> {
        // A package that is not on the media may be in the image.
        let on_media: Option<Vec<&MediaPackage>> =
            parent.identities.iter().map(|any| self.by_file(&names::meanings(&any.identity.name))).collect();
        let unselected = on_media.filter(|all| !all.iter().any(|package| selected.contains(&package.name)));
        let first = unselected.and_then(|all| all.first().copied());
        first.or_else(|| parent.parents.iter().find_map(|parent| self.lacking(parent, selected)))
    }

    /// The package whose file has the most likely of these names.
    fn by_file(&self, names: &[String]) -> Option<&MediaPackage> {
        names.iter().find_map(|name| self.packages.iter().find(|package| same(&package.name, name)))
    }

    fn no_package(&self, name: &str) -> Error {
        if !self.has_packages {
            return Error::not_found(format!("no package `{name}`: there is no folder with packages"))
                .with_missing([name.to_owned()])
                .with_path(&self.path)
                .with_hint(
                    "packages are in the folder NanoServer/Packages of the media of Nano Server: name it with --media",
                );
        }
        let is_file = name.to_lowercase().ends_with(".cab") || name.contains(['/', '\\']);
        let bare = name.rsplit(['/', '\\']).next().unwrap_or(name);
        let bare = bare.strip_suffix(".cab").unwrap_or(bare);
        // The part that all names share does not help to find the nearest one.
        let near = nearest(names::short(bare), self.packages.iter().map(|package| names::short(&package.name)));
        let near = near.and_then(|near| self.packages.iter().find(|package| names::short(&package.name) == near));
        let hint = match near {
            Some(near) => format!("did you mean `{}`?", near.name),
            None if is_file => "name a package, not a file; cabinets from elsewhere can be given as updates".into(),
            None => {
                format!("there is: {}", super::list(self.packages.iter().map(|package| package.name.clone()).collect()))
            }
        };
        let error = Error::not_found(format!("no package `{name}`")).with_missing([name.to_owned()]);
        error.with_path(&self.path).with_hint(hint)
    }

    /// The cabinets of the packages that `names` stand for and of those that they need, including those for the
    /// languages of `image`.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) names everything that is missing; [`Recipe`](crate::ErrorKind::Recipe)
    /// if there are several languages and the image does not say which it has.
    pub fn select(&self, names: &[String], image: &ImageInfo) -> Result<Selection> {
        let mut selection = Selection::default();
        let mut selected: Vec<(String, Vec<MediaFile>)> = Vec::new();
        let mut missing = Vec::new();
        let mut languages = None;
        let mut names: VecDeque<(String, Option<String>)> = names.iter().map(|name| (name.clone(), None)).collect();
        loop {
            // Dependencies are resolved after all named packages have been selected.
            let needed = || self.missing_parents(&selected).filter(|_| missing.is_empty());
            let Some((name, needed_by)) = names.pop_front().or_else(needed) else { break };
            let name = &name;
            let build = image.version.map(|version| version.build);
            let meanings = names::meanings(name);
            let why = |build| meanings.iter().find_map(|name| names::needs_no_package(name, build));
            if self.by_file(&meanings).is_none()
                && let Some(why) = build.and_then(why)
            {
                selection.warnings.push(format!("no package `{name}` is installed: {why}"));
                continue;
            }
            let package = match self.package(name) {
                Ok(package) => package,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    missing.push(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if selected.iter().any(|(name, _)| *name == package.name) {
                continue;
            }
            let languages = match &languages {
                Some(languages) => languages,
                None => languages.insert(self.languages_of(image)?),
            };
            match package.cabinets(languages) {
                Ok(cabinets) => selected.push((package.name.clone(), cabinets)),
                Err(error) => missing.push(error.with_path(&self.path)),
            }
            if let Some(dependent) = needed_by {
                selection.warnings.push(format!("`{name}` is installed too: `{dependent}` needs it"));
            }
        }
        // The order in which packages are named must not change the image; only dependencies decide.
        selected.sort();
        for (name, cabinets) in selected {
            selection.names.push(name);
            selection.cabinets.extend(cabinets);
        }
        match missing.len() {
            0 => Ok(selection),
            1 => Err(missing.remove(0)),
            _ => {
                let all: Vec<&str> = missing.iter().map(Error::message).collect();
                let mut hints: Vec<&str> = missing.iter().filter_map(Error::hint).collect();
                hints.dedup();
                let names = missing.iter().flat_map(Error::missing).cloned();
                let error = Error::not_found(all.join("; ")).with_missing(names);
                Err(error.with_path(&self.path).with_hint(hints.join("; ")))
            }
        }
    }

    /// A package that `selected` ones need and that is not among them, and the package that needs it.
    fn missing_parents(&self, selected: &[(String, Vec<MediaFile>)]) -> Option<(String, Option<String>)> {
        let known: Vec<String> = selected.iter().map(|(name, _)| name.clone()).collect();
        for (name, cabinets) in selected {
            let Some(neutral) = cabinets.first() else { continue };
            // A cabinet that cannot be read is reported when it is installed, with more details.
            let Ok(package) = self.description(neutral) else { continue };
            if let Some(needed) = self.needed_by(&package, &known) {
                return Some((needed.name.clone(), Some(name.clone())));
            }
        }
        None
    }

    /// The languages of the image. If it lists none, the only language of the media.
    fn languages_of(&self, image: &ImageInfo) -> Result<Vec<String>> {
        let mut languages: Vec<String> = image.default_language.iter().chain(&image.languages).cloned().collect();
        if languages.is_empty() {
            let on_media = self.packages.iter().flat_map(|package| &package.languages);
            languages = on_media.map(|(language, _)| language.to_lowercase()).collect();
            languages.sort();
            languages.dedup();
            if languages.len() > 1 {
                let message = format!(
                    "the packages have several languages, and the image does not say which it has: {}",
                    languages.join(", ")
                );
                return Err(Error::recipe(message)
                    .with_path(&self.path)
                    .with_hint("copy the media to a folder, without the languages that are not wanted"));
            }
        }
        let mut unique: Vec<String> = Vec::new();
        for language in languages {
            if !unique.iter().any(|known| same(known, &language)) {
                unique.push(language);
            }
        }
        Ok(unique)
    }
}

impl MediaPackage {
    /// The neutral cabinet and those for `languages`. The first language must be there.
    fn cabinets(&self, languages: &[String]) -> Result<Vec<MediaFile>> {
        let neutral = self.neutral.as_ref().ok_or_else(|| {
            Error::not_found(format!("only a language cabinet of the package `{}`", self.name))
                .with_hint(format!("the folder of packages should have {}.cab", self.name))
        })?;
        let mut cabinets = vec![neutral.clone()];
        for (index, language) in languages.iter().enumerate() {
            match self.languages.iter().find(|(found, _)| same(found, language)) {
                Some((_, file)) => cabinets.push(file.clone()),
                None if index > 0 => {}
                None => return Err(self.no_language(language)),
            }
        }
        if languages.is_empty() {
            return Err(self.no_language("any language"));
        }
        Ok(cabinets)
    }

    fn no_language(&self, language: &str) -> Error {
        let found: Vec<&str> = self.languages.iter().map(|(language, _)| language.as_str()).collect();
        let what = format!("the package `{}` has no cabinet for {language}", self.name);
        Error::not_found(match &found[..] {
            [] => what,
            found => format!("{what}, only for {}", found.join(", ")),
        })
        .with_hint("it is in the folder of its language beside the packages: take all folders of the media")
    }
}

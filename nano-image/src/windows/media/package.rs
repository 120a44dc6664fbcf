//! Lists the package cabinets of the media.

use super::files::{Directory, Files};
use super::{MediaFile, same};
use crate::error::{Error, Result};

/// A package of the media.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// let media = nano_image::Media::open("WS2016.iso", &[])?;
/// let iis: &nano_image::MediaPackage = media.package("IIS")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MediaPackage {
    /// Name of its cabinet without the extension, e.g. `Microsoft-NanoServer-IIS-Package`.
    pub name: String,
    /// The cabinet for all languages; `None` if there are only cabinets for single languages.
    pub neutral: Option<MediaFile>,
    /// Languages, written as on the media, with their cabinets, sorted.
    pub languages: Vec<(String, MediaFile)>,
}

/// The packages in `directory` and in its language directories, sorted.
pub(super) fn list(files: &Files, directory: &Directory) -> Result<Vec<MediaPackage>> {
    let mut packages: Vec<MediaPackage> = Vec::new();
    let cabinets = |directory: &Directory| directory.files.clone().into_iter().filter(|file| file.has_extension("cab"));
    for file in cabinets(directory) {
        match file.stem().rsplit_once('_') {
            Some((name, language)) if is_language(language) => {
                let (name, language) = (name.to_owned(), language.to_owned());
                at(&mut packages, &name).languages.push((language, file));
            }
            _ => {
                let name = file.stem().to_owned();
                at(&mut packages, &name).neutral = Some(file);
            }
        }
    }
    for language in directory.directories.iter().filter(|name| is_language(name)) {
        let Some(inner) = files.directory(directory, language)? else { continue };
        for file in cabinets(&inner) {
            let name = match file.stem().rsplit_once('_') {
                Some((name, tail)) if same(tail, language) => name.to_owned(),
                _ => file.stem().to_owned(),
            };
            let package = at(&mut packages, &name);
            if let Some((_, other)) = package.languages.iter().find(|(other, _)| same(other, language)) {
                let (one, other) = (file.path.display(), other.path.display());
                return Err(Error::corrupt(format!("two cabinets for the same package and language: {other}, {one}")));
            }
            package.languages.push((language.clone(), file));
        }
    }
    packages.iter_mut().for_each(|package| package.languages.sort_by(|a, b| a.0.cmp(&b.0)));
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

/// The package `name`. It is added if it is new.
fn at<'a>(packages: &'a mut Vec<MediaPackage>, name: &str) -> &'a mut MediaPackage {
    let index = packages.iter().position(|package| same(&package.name, name)).unwrap_or_else(|| {
        packages.push(MediaPackage { name: name.into(), neutral: None, languages: Vec::new() });
        packages.len() - 1
    });
    &mut packages[index]
}

/// Whether `text` has the form of a language tag: `en-us`, `zh-hans-cn`.
fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let first = parts.next().is_some_and(|part| (2..=3).contains(&part.len()) && is_letters(part));
    let rest: Vec<&str> = parts.collect();
    let is_part = |part: &&str| (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    first && !rest.is_empty() && rest.iter().all(is_part)
}

fn is_letters(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_tags_are_told_from_names() {
        for tag in ["en-us", "de-DE", "zh-hans-cn", "es-419", "sr-latn-rs"] {
            assert!(is_language(tag), "{tag}");
        }
        for other in ["en", "", "Package", "amd64", "a-b", "en-", "-us", "Microsoft-Nano Server"] {
            assert!(!is_language(other), "{other}");
        }
    }
}

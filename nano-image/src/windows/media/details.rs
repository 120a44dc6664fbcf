//! Descriptions of the packages on the media.

use serde::Serialize;

use super::{Media, MediaFile, MediaPackage};
use crate::error::{Error, Result};
use crate::windows::package::cabinet::{self, CabinetSource};
use crate::windows::package::mum::ParentIdentity;

/// A package with the descriptions in its cabinets.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// let media = nano_image::Media::open("WS2016.iso", &[])?;
/// let details: nano_image::PackageDetails = media.describe(media.package("IIS")?)?;
/// println!("{} cabinets", details.cabinets.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PackageDetails {
    /// Name of its cabinet without the extension. Recipes use this name.
    pub name: String,
    /// The neutral cabinet first, then those of languages.
    pub cabinets: Vec<CabinetDetails>,
}

/// A cabinet and the package in it.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// let media = nano_image::Media::open("WS2016.iso", &[])?;
/// let details = media.describe(media.package("IIS")?)?;
/// let parents = details.cabinets.iter().flat_map(|cabinet: &nano_image::CabinetDetails| &cabinet.parents);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CabinetDetails {
    /// Name of the file.
    pub file: String,
    /// Bytes of the file.
    pub size: u64,
    /// Number of files of components in it.
    pub files: u64,
    /// Bytes of these.
    pub unpacked: u64,
    /// Name, token, architecture, language and version: `Name~token~amd64~~10.0.14393.0`.
    pub identity: String,
    /// The version alone.
    pub version: String,
    /// Language; `None` for the neutral package.
    pub language: Option<String>,
    /// Name for people; it may refer to a resource.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// `Feature Pack`, `Language Pack` …
    pub release_type: String,
    /// Packages of which one must be installed, in the form of `identity`; `*` stands for any.
    pub parents: Vec<String>,
    /// Packages inside it, in the form of `identity`.
    pub contains: Vec<String>,
    /// Features of all these packages that can be chosen.
    pub features: Vec<Feature>,
}

/// A feature of a package that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// Whether it is installed by default.
    pub default: bool,
}

impl Media {
    /// Reads the descriptions in the cabinets of `package`.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) and [`Unsupported`](crate::ErrorKind::Unsupported) for a bad cabinet.
    pub fn describe(&self, package: &MediaPackage) -> Result<PackageDetails> {
        let files = package.neutral.iter().chain(package.languages.iter().map(|(_, file)| file));
        let cabinets = files.map(|file| describe(file, &self.cabinet(file)?)).collect::<Result<_>>()?;
        Ok(PackageDetails { name: package.name.clone(), cabinets })
    }
}

fn describe(file: &MediaFile, source: &CabinetSource) -> Result<CabinetDetails> {
    let summary = cabinet::summary(source).map_err(|error| error.with_path(&file.path))?;
    let [package, children @ ..] = &summary.packages[..] else {
        return Err(Error::corrupt("a cabinet without a package").with_path(&file.path));
    };
    let parent = |parent: &ParentIdentity| {
        let id = parent.identity.package_id();
        match id.rsplit_once('~') {
            Some((name, _)) if parent.any_version => format!("{name}~*"),
            _ => id,
        }
    };
    let updates = package.updates.iter().chain(children.iter().flat_map(|child| &child.updates));
    let features = updates.filter_map(|update| {
        let selectable = update.selectable.as_ref()?;
        Some(Feature { name: update.name.clone(), default: selectable.default })
    });
    Ok(CabinetDetails {
        file: file.name().into(),
        size: file.size,
        files: summary.files,
        unpacked: summary.payload_len,
        identity: package.identity.package_id(),
        version: package.identity.version.to_string(),
        language: package.identity.language.clone(),
        display_name: package.display_name.clone(),
        description: package.description.clone(),
        release_type: package.release_type.clone(),
        parents: package.parents.iter().flat_map(|any| &any.identities).map(parent).collect(),
        contains: children.iter().map(|child| child.identity.package_id()).collect(),
        features: features.collect(),
    })
}

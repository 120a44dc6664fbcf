//! What the packages of the media say of themselves.

use std::sync::Arc;

use serde::Serialize;

use super::{Media, MediaFile, MediaPackage};
use crate::content::ReadAt;
use crate::error::{Error, Result};
use crate::source::cab::Cabinet;
use crate::windows::package::mum;

/// The description of a package in its cabinet.
const DESCRIPTION: &str = "update.mum";
/// A description of more bytes than this is refused; those of cumulative updates have some 10 MB.
const MAX_DESCRIPTION: u32 = 64 << 20;

/// A package and what its cabinets say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PackageDetails {
    /// Name of its cabinet without extension: what a recipe calls it.
    pub name: String,
    /// The neutral cabinet first, then those of languages.
    pub cabinets: Vec<CabinetDetails>,
}

/// A cabinet and the package in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CabinetDetails {
    /// Name of the file.
    pub file: String,
    /// Bytes of the file.
    pub size: u64,
    /// Files in it.
    pub files: u64,
    /// Bytes of these.
    pub unpacked: u64,
    /// Name, token, architecture, language and version: `Name~token~amd64~~10.0.14393.0`.
    pub identity: String,
    /// The version alone.
    pub version: String,
    /// Language; none for the neutral package.
    pub language: Option<String>,
    /// Name for people; may refer to a resource.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// `Feature Pack`, `Language Pack` …
    pub release_type: String,
    /// Packages of which one must be installed, as `identity`; `*` stands for any.
    pub parents: Vec<String>,
    /// Updates that can be chosen.
    pub features: Vec<Feature>,
}

/// What a package has to choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// Whether it is installed without a choice.
    pub default: bool,
}

impl Media {
    /// Reads what the cabinets of `package` say.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) and [`Unsupported`](crate::ErrorKind::Unsupported) for a bad cabinet.
    pub fn describe(&self, package: &MediaPackage) -> Result<PackageDetails> {
        let files = package.neutral.iter().chain(package.languages.iter().map(|(_, file)| file));
        let cabinets = files
            .map(|file| describe(file, self.read(file)?).map_err(|error| error.with_path(&file.path)))
            .collect::<Result<_>>()?;
        Ok(PackageDetails { name: package.name.clone(), cabinets })
    }
}

fn describe(file: &MediaFile, data: Arc<dyn ReadAt>) -> Result<CabinetDetails> {
    let cabinet = Cabinet::open(data, &file.path)?;
    let is_description = |name: &str| name.trim_start_matches(['\\', '/']).eq_ignore_ascii_case(DESCRIPTION);
    let Some(description) = cabinet.files().iter().position(|file| is_description(&file.name)) else {
        return Err(Error::unsupported(format!("not a package: the cabinet has no {DESCRIPTION}")));
    };
    if cabinet.files()[description].size > MAX_DESCRIPTION {
        return Err(Error::corrupt(format!("{DESCRIPTION} of {} bytes", cabinet.files()[description].size)));
    }
    let mut bytes = Vec::new();
    let offset = (cabinet.files()[description].folder, cabinet.files()[description].offset);
    cabinet.extract(
        &|file| is_description(&file.name) && (file.folder, file.offset) == offset,
        &mut |index, piece| {
            if index == description {
                bytes.extend_from_slice(piece);
            }
            Ok(())
        },
    )?;
    let package = mum::Package::parse(&bytes)?;
    let parents = package.parents.iter().flat_map(|parent| &parent.identities);
    let features = package.updates.iter().filter_map(|update| {
        let selectable = update.selectable.as_ref()?;
        Some(Feature { name: update.name.clone(), default: selectable.default })
    });
    Ok(CabinetDetails {
        file: file.name().into(),
        size: file.size,
        files: cabinet.files().len() as u64,
        unpacked: cabinet.files().iter().map(|file| u64::from(file.size)).sum(),
        identity: package.identity.package_id(),
        version: package.identity.version.to_string(),
        language: package.identity.language.clone(),
        parents: parents
            .map(|parent| match parent.any_version {
                true => {
                    parent.identity.package_id().rsplit_once('~').map_or_else(String::new, |(id, _)| format!("{id}~*"))
                }
                false => parent.identity.package_id(),
            })
            .collect(),
        features: features.collect(),
        display_name: package.display_name,
        description: package.description,
        release_type: package.release_type,
    })
}

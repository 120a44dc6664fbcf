//! Describes updates, and what an image needs of them.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::cabinet::{CabinetSource, Opened, PackageCabinet, unpack};
use super::contents::Dictionary;
use super::installed::{self, Installed};
use super::resolve::{Choice, Given, Purpose, Request, Resolution, resolve};
use super::spool::Spool;
use super::{Install, MEMORY};
use crate::content::InputFiles;
use crate::error::Result;
use crate::types::Architecture;
use crate::windows::edit::ImageEdit;

/// One package of an update file.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// let packages: Vec<nano_image::UpdateDetails> = nano_image::Update::open("kb4103723.msu")?.describe(None)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct UpdateDetails {
    /// The file that contains it.
    pub file: String,
    /// Name, token, architecture, language and version: `Name~token~amd64~~10.0.14393.0`.
    pub identity: String,
    /// Number of the article about it, `KB4000001`, if its names contain one.
    pub kb: Option<String>,
    /// For a cumulative update, the build to which it brings an image, `14393.7699`.
    pub build: Option<String>,
    /// `Update`, `Security Update` …
    pub release_type: String,
    /// How its files are packed: `whole`, `intra-package-deltas`, `express`.
    pub form: &'static str,
    /// Whether it is a new servicing stack, which is installed before others.
    pub is_stack: bool,
    /// Number of packages inside it.
    pub parts: usize,
    /// Number of components.
    pub components: usize,
    /// Files, and their bytes as the update has them.
    pub files: u64,
    /// Bytes of these.
    pub unpacked: u64,
    /// Packages of which one must be installed.
    pub parents: Vec<String>,
}

/// What an image needs of an update.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{Applicability, Sources, Update};
///
/// let image = Sources::wim("NanoServer.wim").scratch(".");
/// let applies: Applicability = Update::open("kb4103723.msu")?.applies(&image, Some("1"))?;
/// println!("{} components", applies.components);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Applicability {
    /// Packages that are installed; inner ones come first.
    pub packages: Vec<String>,
    /// Number of components that are installed.
    pub components: usize,
    /// Number of those of which the image has an earlier version.
    pub replaced: usize,
    /// Number of components that are only put into the component store.
    pub staged: usize,
    /// What is left out and why.
    pub notes: Vec<String>,
}

/// Describes the update `source`. Large data is kept in the folder `scratch`.
///
/// # Errors
/// Those of [`install`](super::install) for files that are not packages.
pub fn describe(source: &CabinetSource, scratch: Option<&Path>) -> Result<Vec<UpdateDetails>> {
    let spool = Arc::new(Spool::new(scratch, MEMORY));
    let packages = unpack(std::slice::from_ref(source), &InputFiles::default(), &spool)?;
    let opened = packages.into_iter().map(|package| Opened::read(package, spool.clone(), false));
    opened.map(|opened| Ok(details(&opened?))).collect()
}

/// Describes what the image needs of `what`.
///
/// # Errors
/// Those of [`install`](super::install) that come before the image is touched.
pub fn applicability(
    image: &mut ImageEdit<'_>,
    what: &Install,
    architecture: Architecture,
    scratch: Option<&Path>,
) -> Result<Applicability> {
    let spool = Arc::new(Spool::new(scratch, MEMORY));
    let installed = Installed::read(image)?;
    let image = &*image;
    let dictionary = Dictionary::new(|| installed::dictionary(image));
    let opened = super::open(what, &spool, &())?;
    let cabinets: Vec<(PackageCabinet<'_>, Purpose)> =
        opened.into_iter().map(|(opened, purpose)| (PackageCabinet::new(opened, &dictionary), purpose)).collect();
    let given: Vec<Given<'_>> =
        cabinets.iter().map(|(cabinet, purpose)| Given { cabinet, purpose: *purpose }).collect();
    let (installed, features) = (&installed, Choice { on: &what.features, off: &what.off });
    let resolution = resolve(&Request { given: &given, store: None, features, installed, architecture })?;
    Ok(summary(&resolution))
}

fn summary(resolution: &Resolution) -> Applicability {
    let components = || resolution.packages.iter().flat_map(|package| &package.components);
    let in_use = || components().filter(|component| component.is_in_use());
    Applicability {
        packages: resolution.packages.iter().map(|package| package.identity().package_id()).collect(),
        components: in_use().count(),
        replaced: components().filter(|component| component.replaces).count(),
        staged: components().count() - in_use().count(),
        notes: resolution.notes.clone(),
    }
}

fn details(opened: &Opened) -> UpdateDetails {
    let package = &opened.root().package;
    let identity = &package.identity;
    let (files, unpacked) = opened.contents.files.payload_len();
    let path = opened.contents.files.path();
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let parents = package.parents.iter().flat_map(|parent| &parent.identities);
    let [build, revision, ..] = identity.version.0;
    let is_cumulative = identity.name.to_ascii_lowercase().contains("rollupfix");
    UpdateDetails {
        kb: article(&identity.name).or_else(|| article(&path.to_string_lossy())),
        build: is_cumulative.then(|| format!("{build}.{revision}")),
        identity: identity.package_id(),
        release_type: package.release_type.clone(),
        form: opened.contents.form(),
        is_stack: opened.contents.is_stack(),
        parts: opened.contents.package_count() - 1,
        components: opened.contents.manifest_count(),
        files,
        unpacked,
        parents: parents.map(|parent| parent.identity.package_id()).collect(),
        file,
    }
}

/// The number of an article in a name.
fn article(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    lower.match_indices("kb").find_map(|(at, _)| {
        let digits: String = lower[at + 2..].chars().take_while(char::is_ascii_digit).collect();
        (digits.len() >= 6).then(|| format!("KB{digits}"))
    })
}

#[cfg(all(test, feature = "internals"))]
mod tests {
    use fixtures::packages::{nano, update};
    use fixtures::scenes::nano_cbs_state;

    use super::*;
    use crate::types::FileTime;
    use crate::windows::edit::testing::edit;
    use crate::windows::package::testing::image;

    #[test]
    fn an_update_tells_what_it_is_and_what_of_it_applies() {
        let cabinet = update::cumulative(50, 10);
        let bytes = update::to_cabinet(&update::intra(&cabinet));
        let source = CabinetSource { path: "Windows10.0-KB4000002-x64.cab".into(), data: Arc::new(bytes) };
        let [details] = <[UpdateDetails; 1]>::try_from(describe(&source, None).unwrap()).unwrap();
        assert_eq!((details.kb.as_deref(), details.build.as_deref()), (Some("KB4000002"), Some("14393.4000")));
        assert_eq!((details.parts, details.components, details.files), (10, 60, 50));
        assert_eq!((details.form, details.is_stack), ("intra-package-deltas", false));
        assert_eq!(details.parents, [nano::foundation_identity().package_id()]);
        let mut tree = image(&nano_cbs_state("ServerDatacenterNano"));
        let what = Install { servicing: vec![source], ..Install::default() };
        let (applies, _) =
            edit(&mut tree, FileTime(0), |image| applicability(image, &what, Architecture::Amd64, None)).unwrap();
        assert_eq!((applies.packages.len(), applies.components, applies.replaced), (3, 12, 0));
        assert!(applies.notes[0].contains("8 of 10 parts"), "{:?}", applies.notes);
    }
}

//! The descriptions in a package cabinet.

use std::sync::Arc;

use super::msu::unpack;
use super::{CabinetSource, Opened};
use crate::content::InputFiles;
use crate::error::{Error, Result};
use crate::windows::package::contents::lower_id;
use crate::windows::package::files::Unpacked;
use crate::windows::package::mum::Package;
use crate::windows::package::spool::Spool;

/// The most bytes of descriptions, catalogs and manifests that are read from a cabinet without a scratch folder.
const MAX_METADATA: u64 = 512 << 20;

/// The descriptions in a package cabinet, without its components.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The packages in it: the one for which it was made, then those inside, sorted by name.
    pub packages: Vec<Package>,
    /// Files of components.
    pub files: u64,
    /// Their bytes.
    pub payload_len: u64,
}

/// Reads the descriptions of packages in a cabinet. Components may be decompressed on the way, but are not kept.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported) for cabinets that are not packages,
/// [`Corrupt`](crate::ErrorKind::Corrupt) for broken ones.
pub fn summary(source: &CabinetSource) -> Result<Summary> {
    let spool = Arc::new(Spool::new(None, MAX_METADATA));
    let [package] = <[Unpacked; 1]>::try_from(unpack(std::slice::from_ref(source), &InputFiles::default(), &spool)?)
        .map_err(|_| Error::unsupported("an update of several packages").with_path(&source.path))?;
    let cabinet = Opened::read(package, spool, false)?;
    let contents = &cabinet.contents;
    let (files, payload_len) = contents.files.payload_len();
    let (mut packages, root) = (Vec::new(), cabinet.root.package.clone());
    for identity in contents.identities() {
        packages.extend(contents.package(&lower_id(identity))?.map(|mum| mum.package.clone()));
    }
    packages.retain(|package| *package != root);
    packages.insert(0, root);
    Ok(Summary { packages, files, payload_len })
}

//! What a package cabinet says of itself.

use std::sync::Arc;

use super::msu::unpack;
use super::{CabinetSource, Opened};
use crate::content::InputFiles;
use crate::error::{Error, Result};
use crate::windows::package::contents::lower_id;
use crate::windows::package::files::Unpacked;
use crate::windows::package::mum::Package;
use crate::windows::package::spool::Spool;

/// Descriptions, catalogs and manifests of one cabinet that are read at once without a scratch folder, in bytes.
const MAX_METADATA: u64 = 512 << 20;

/// What a package cabinet says of itself, without its components.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The packages in it: the one that it is made for, and then those inside of that, in the order of their names.
    pub packages: Vec<Package>,
    /// Files of components.
    pub files: u64,
    /// Their bytes.
    pub payload_len: u64,
}

/// Reads what is said of the packages in a cabinet; components are decompressed at most, and not kept.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported) for cabinets that are no packages,
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

//! Packages that are named for something other than installing them from a cabinet.

use super::identity::AssemblyIdentity;
use super::installed::{Installed, InstalledPackage};
use super::resolve::{INVALID_PACKAGE, UNKNOWN_UPDATE};
use crate::error::{Error, ErrorKind, Result};
use crate::windows::edit::ImageEdit;

/// What is wanted of a package, other than installing it from a cabinet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// It must be installed already, because no cabinet has it.
    Installed {
        /// The package.
        package: AssemblyIdentity,
        /// Message if the image does not have it.
        absent: String,
        /// Hint for that case.
        hint: String,
    },
    /// It should be removed.
    Removed(AssemblyIdentity),
    /// Some of its features should be on or off.
    Configured {
        /// The package.
        package: AssemblyIdentity,
        /// Whether it is installed, too.
        is_installed: bool,
        /// Features that should be off.
        off: Vec<String>,
    },
}

/// Refuses what is impossible with `image`, like DISM does, and what this library does not do.
///
/// # Errors
/// [`Unsatisfied`](crate::ErrorKind::Unsatisfied) for packages and features that the image does not have,
/// [`NotFound`](crate::ErrorKind::NotFound) for packages that cannot be found,
/// [`Unsupported`](crate::ErrorKind::Unsupported) for removing packages; errors of hives.
pub fn check_named(image: &mut ImageEdit<'_>, named: &[Named]) -> Result<()> {
    if named.is_empty() {
        return Ok(());
    }
    let installed = &Installed::read(image)?;
    named.iter().try_for_each(|named| match named {
        Named::Installed { package, absent, hint } => {
            let is_it = |one: &&InstalledPackage| one.identity.is_meant_by(package);
            if installed.packages().iter().any(|one| is_it(&one)) {
                return Ok(());
            }
            Err(match installed.staged().iter().find(is_it) {
                Some(staged) => {
                    let id = staged.identity.package_id();
                    let what =
                        format!("`{id}` is in the image's component store only, and installing it there is not done");
                    Error::unsupported(what).with_hint("turn on its feature: <selection> of `configure`, or --feature")
                }
                None => Error::not_found(absent.clone()).with_hint(hint.clone()),
            })
        }
        Named::Removed(package) => {
            let id = find(package, installed, "remove")?.package_id();
            let error = Error::unsupported(format!("removing packages is not done: `{id}` is to be removed"));
            Err(error.with_hint("leave it, or let Windows remove it when it runs: dism /online /remove-package"))
        }
        Named::Configured { package, is_installed, off } => {
            let has = match find(package, installed, "configure") {
                Ok(has) => installed.known(has),
                Err(_) if *is_installed => None,
                Err(error) => return Err(error),
            };
            let Some(has) = has else { return Ok(()) };
            off.iter().try_for_each(|feature| match has.update(feature) {
                Some(state) if state.is_on() => Err(off_is_not_done(feature)),
                Some(_) => Ok(()),
                None => {
                    let id = has.identity.package_id();
                    let what = format!("the package `{id}` has no feature `{feature}` ({UNKNOWN_UPDATE})");
                    Err(Error::new(ErrorKind::Unsatisfied, what).with_missing([feature.clone()]))
                }
            })
        }
    })
}

fn off_is_not_done(feature: &str) -> Error {
    let error = Error::unsupported(format!("turning features off is not done: `{feature}` is on in the image"));
    error.with_hint("leave it, or let Windows turn it off when it runs: dism /online /disable-feature")
}

/// The package of the image that `wanted` stands for.
fn find<'a>(wanted: &AssemblyIdentity, installed: &'a Installed, to: &str) -> Result<&'a AssemblyIdentity> {
    let known = || installed.packages().iter().chain(installed.staged()).map(|package| &package.identity);
    if let Some(found) = known().find(|identity| identity.is_meant_by(wanted)) {
        return Ok(found);
    }
    let has: Vec<String> =
        known().filter(|identity| identity.is_named_by(wanted)).map(AssemblyIdentity::package_id).collect();
    let id = match wanted.public_key_token.is_empty() {
        true => wanted.name.clone(),
        false => wanted.package_id(),
    };
    let instead = match &has[..] {
        [] => String::new(),
        has => format!("; it has `{}`", has.join("`, `")),
    };
    let what = format!("there is no package `{id}` in the image to {to} ({INVALID_PACKAGE}){instead}");
    let error = Error::new(ErrorKind::Unsatisfied, what).with_missing([wanted.name.clone()]);
    Err(error.with_hint("`nano-image packages --image` lists what an image has"))
}

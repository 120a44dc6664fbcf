//! Decides which of the requested packages fit the image, and in which order they are installed.

use std::collections::BTreeSet;

use super::model::{Given, Missing, NOT_APPLICABLE, Purpose};
use crate::types::Architecture;
use crate::windows::package::cabinet::PackageCabinet;
use crate::windows::package::identity::AssemblyIdentity;
use crate::windows::package::installed::Installed;
use crate::windows::package::mum::{Package, Parent};

/// Indexes of the cabinets to install, including those `chosen` from the ones that are only searched. Parents come
/// before what extends them, otherwise the given order is kept; updates come last.
pub(super) fn order(
    given: &[Given<'_>],
    installed: &Installed,
    chosen: &BTreeSet<usize>,
    architecture: Architecture,
    missing: &mut Missing,
    notes: &mut Vec<String>,
) -> Vec<usize> {
    let mut waiting = Vec::new();
    for (index, candidate) in given.iter().enumerate() {
        if (candidate.purpose != Purpose::Source || chosen.contains(&index)) && wants(index, given, installed, notes) {
            let identity = &root(candidate).identity;
            if !identity.architecture.is_for(architecture) {
                let (id, other) = (identity.package_id(), &identity.architecture);
                missing.add(format!("`{id}` is for {other}, the image for {architecture} ({NOT_APPLICABLE})"), []);
            } else {
                waiting.push(index);
            }
        }
    }
    let mut order = Vec::new();
    for servicing in [false, true] {
        // In each round packages are taken that need only packages that were taken before; a package that must wait is
        // taken in a later round.
        loop {
            let is_ready = |index: &usize| {
                let package = root(&given[*index]);
                (given[*index].purpose == Purpose::Update) == servicing
                    && fits(package, |parent| {
                        installed.has_parent(parent)
                            || order.iter().any(|taken: &usize| has_package(given[*taken].cabinet, parent))
                    })
            };
            let ready: Vec<usize> = waiting.iter().copied().filter(is_ready).collect();
            if ready.is_empty() {
                break;
            }
            waiting.retain(|index| !ready.contains(index));
            order.extend(ready);
        }
    }
    for index in &waiting {
        if let Some((text, parents)) = refusal(*index, &waiting, given, installed) {
            missing.add(text, parents);
        }
    }
    order
}

/// Whether the package should be installed. It should not if it, or a later version, is installed or given too.
fn wants(index: usize, given: &[Given<'_>], installed: &Installed, notes: &mut Vec<String>) -> bool {
    let identity = &root(&given[index]).identity;
    let id = identity.package_id();
    if let Some(other) = installed.family(identity).filter(|other| other.version >= identity.version) {
        notes.push(match other.version == identity.version {
            true => format!("`{id}` is installed already"),
            false => format!("`{id}` is left out: the image has version {}", other.version),
        });
        return false;
    }
    let later =
        given.iter().enumerate().filter(|(_, other)| other.purpose != Purpose::Source).find(|(other, candidate)| {
            let other_identity = &root(candidate).identity;
            let later = (other_identity.version, index) > (identity.version, *other);
            *other != index && other_identity.is_family(identity) && later
        });
    if let Some((_, later)) = later {
        let later = &root(later).identity;
        notes.push(match later.version == identity.version {
            true => format!("`{id}` is given twice"),
            false => format!("`{id}` is left out: version {} is given too", later.version),
        });
    }
    later.is_none()
}

/// Why the package at `index` cannot be installed, and the names of the parents that it lacks; `None` if it only waits
/// for another package that cannot be installed.
fn refusal(
    index: usize,
    waiting: &[usize],
    given: &[Given<'_>],
    installed: &Installed,
) -> Option<(String, Vec<String>)> {
    let package = root(&given[index]);
    let id = package.identity.package_id();
    let awaited = |parent: &Parent| waiting.iter().any(|other| has_package(given[*other].cabinet, parent));
    if fits(package, awaited) {
        let mut seen = vec![index];
        let mut at = index;
        // Follows the chain: it either comes back, or ends at a package that is reported itself.
        loop {
            let next = waiting
                .iter()
                .copied()
                .find(|other| fits(root(&given[at]), |parent| has_package(given[*other].cabinet, parent)))?;
            if next == index {
                return Some((format!("`{id}` needs a package that needs it ({NOT_APPLICABLE})"), Vec::new()));
            }
            if seen.contains(&next) {
                return None;
            }
            seen.push(next);
            at = next;
        }
    }
    let absent = absent_parents(package, installed);
    Some((format!("`{id}` does not apply: {absent}"), parent_names(package)))
}

/// Says that none of the packages that `package` extends is there, and what is there instead.
pub(super) fn absent_parents(package: &Package, installed: &Installed) -> String {
    let mut wanted: Vec<String> = Vec::new();
    let mut similar: Vec<String> = Vec::new();
    for name in package.parents.iter().flat_map(|parent| &parent.identities) {
        let version = if name.any_version { "any version".into() } else { name.identity.version.to_string() };
        let language = name.identity.language.as_deref().map(|language| format!(" {language}")).unwrap_or_default();
        wanted.push(format!("`{}`{language} {version}", name.identity.name));
        similar.extend(installed.named(&name.identity.name).map(AssemblyIdentity::package_id));
    }
    wanted.dedup();
    similar.sort();
    similar.dedup();
    const MAX: usize = 8;
    let more = if wanted.len() > MAX { format!(" or {} others", wanted.len() - MAX) } else { String::new() };
    let wanted = wanted[..wanted.len().min(MAX)].join(" or ");
    let has = match &similar[..] {
        [] => match installed.edition() {
            Some(edition) => format!("the image is `{}`", edition.package_id()),
            None => "the image has none of them".into(),
        },
        similar => format!("the image has `{}`", similar[..similar.len().min(MAX)].join("`, `")),
    };
    format!("parent {wanted}{more} is not in the image ({NOT_APPLICABLE}); {has}")
}

/// Names of the packages that `package` extends.
pub(super) fn parent_names(package: &Package) -> Vec<String> {
    package.parents.iter().flat_map(|parent| &parent.identities).map(|name| name.identity.name.clone()).collect()
}

/// Whether the package needs no parent, or one of its parents is found.
fn fits(package: &Package, found: impl Fn(&Parent) -> bool) -> bool {
    package.parents.is_empty() || package.parents.iter().any(found)
}

fn has_package(cabinet: &PackageCabinet<'_>, parent: &Parent) -> bool {
    cabinet.source.identities().any(|identity| parent.fits(identity))
}

fn root<'a>(given: &Given<'a>) -> &'a Package {
    &given.cabinet.root().package
}

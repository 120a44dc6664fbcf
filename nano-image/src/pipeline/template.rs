//! A machine that was laid out completely, from which others are made if their files lie in the same places.

use std::collections::BTreeSet;

use super::layout::{Layout, Segments};
use super::pages::{self, PAGE, Page, Pieces};
use super::plan::Plan;
use crate::content::Extent;
use crate::error::Result;
use crate::volume::ntfs::{NtfsLayout, Piece};

/// The settings of a machine touch fewer pages. If more differ, the machine is laid out anew.
const MAX_PAGES: u64 = 4096;

/// A machine from which others are made.
pub(super) struct Template {
    volume: Volume,
    ntfs: NtfsLayout,
}

/// Its volume of Windows.
pub(super) struct Volume {
    start: u64,
    /// By disk offset. No page that differs holds one of the stand-ins for blobs in records.
    pieces: Vec<(u64, Piece<'static>)>,
    /// The pages that differ from the golden image.
    pages: Vec<Extent>,
}

impl Volume {
    /// The volume of `layout`, whose disk has `pieces` and differs from the golden image in `all`; `None` if blobs of
    /// only this machine are in it, or if there are other volumes.
    pub fn new(layout: &Layout<'_>, pieces: &Pieces<'_>, all: &[Extent]) -> Option<Self> {
        let (start, size) = layout.plan.scheme.windows();
        let volume = start.0..start.0 + size.bytes();
        let pages: Vec<Extent> = all.iter().copied().filter(|page| volume.contains(&page.start)).collect();
        let is_usable = layout.recovery.is_none()
            && pages.iter().map(|page| page.len).sum::<u64>() <= MAX_PAGES * PAGE
            && pages.iter().flat_map(numbers).all(|number| pages::page(pieces, number * PAGE).is_some())
            && layout.residents_in(&pages).is_empty();
        let inside = pieces.iter().filter(|(at, _)| volume.contains(at));
        let own = |(at, piece): &(u64, Piece<'_>)| (*at, piece.clone().into_owned());
        is_usable.then(|| Self { start: start.0, pieces: inside.map(own).collect(), pages })
    }
}

impl Template {
    /// The machine of `layout`, whose volume is `volume`.
    pub fn new(volume: Volume, layout: Layout<'_>) -> Self {
        Self { volume, ntfs: layout.ntfs }
    }

    /// The pages of `plan` that differ from the `golden` image, ascending; `None` if something has another place than
    /// in this machine.
    pub fn pages_of(&self, golden: &Pieces<'_>, plan: &Plan) -> Result<Option<Vec<(u64, Page)>>> {
        if plan.recovery.is_some() {
            return Ok(None);
        }
        let Some(changes) = self.ntfs.changes(&plan.tree, &plan.ntfs_options()) else { return Ok(None) };
        let mut changes: Vec<(u64, Vec<u8>)> =
            changes.into_iter().map(|(at, bytes)| (self.volume.start + at.0, bytes)).collect();
        changes.sort_by_key(|(at, _)| *at);
        let Some(volume) = self.changed(golden, &changes) else { return Ok(None) };
        let end = self.volume.start + plan.scheme.windows().1.bytes();
        let (before, after) = plan.around()?;
        let split = |at: u64| golden.partition_point(|(start, _)| *start < at);
        let mut all = differing(&golden[..split(self.volume.start)], before);
        all.extend(volume);
        all.extend(differing(&golden[split(end)..], after));
        Ok(Some(all))
    }

    /// The pages of the volume that differ if it has `changes`; `None` if one of them has a blob.
    fn changed(&self, golden: &Pieces<'_>, changes: &[(u64, Vec<u8>)]) -> Option<Vec<(u64, Page)>> {
        let own: BTreeSet<u64> = self.volume.pages.iter().flat_map(numbers).collect();
        let touched = changes.iter().map(|(at, bytes)| Extent { start: *at, len: bytes.len() as u64 });
        let all: BTreeSet<u64> = touched.flat_map(|extent| numbers(&extent)).chain(own.iter().copied()).collect();
        let (mut pages, mut new) = (Vec::new(), Vec::new());
        for number in all {
            let at = number * PAGE;
            let before = pages::page(&self.volume.pieces, at)?;
            let mut page = before;
            // One page may have several, as it does with records.
            let first = changes.partition_point(|(start, bytes)| start + bytes.len() as u64 <= at);
            for (start, bytes) in changes[first..].iter().take_while(|(start, _)| *start < at + PAGE) {
                let (from, end) = ((*start).max(at), (start + bytes.len() as u64).min(at + PAGE));
                if from < end {
                    let part = &bytes[(from - start) as usize..(end - start) as usize];
                    page[(from - at) as usize..(end - at) as usize].copy_from_slice(part);
                }
            }
            // What has not changed is as in the golden image.
            if !own.contains(&number) && page == before {
                continue;
            }
            if !own.contains(&number) {
                new.push((at - self.volume.start, at + PAGE - self.volume.start));
            }
            if pages::page(golden, at).is_none_or(|golden| golden != page) {
                pages.push((at, page));
            }
        }
        // Records near those that changed may hold stand-ins for contents.
        if !self.ntfs.residents_in(&new).is_empty() {
            return None;
        }
        Some(pages)
    }
}

/// The pages in which `segments` differ from `golden`.
fn differing(golden: &Pieces<'_>, segments: Segments) -> Vec<(u64, Page)> {
    let own: Vec<(u64, Piece<'_>)> =
        segments.into_iter().map(|(at, bytes)| (at.0, Piece::Bytes(bytes.into()))).collect();
    let differing = pages::differing(golden, &own, &|_| true);
    let page = |number| pages::page(&own, number * PAGE).map(|page| (number * PAGE, page));
    differing.iter().flat_map(numbers).filter_map(page).collect()
}

/// The pages that `extent` touches.
fn numbers(extent: &Extent) -> std::ops::Range<u64> {
    extent.start / PAGE..extent.end().div_ceil(PAGE)
}

#[cfg(all(test, feature = "internals"))]
#[path = "template/tests.rs"]
mod tests;

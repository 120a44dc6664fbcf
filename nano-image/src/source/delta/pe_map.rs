//! Where in the basis, if it is a program, each part of the result likely comes from (§10).

use super::pe::Pe;
use super::preprocess::Preprocess;
use super::rift::{Breakpoint, Rift};
use crate::error::Result;

/// The map from offsets in the result to offsets in the basis, whose headers are `basis`.
pub(super) fn pe_map(basis: &Pe, result: &Preprocess) -> Result<Rift> {
    offset_to_address(basis).then(&result.addresses)?.then(&result.address_to_offset)?.reverse()
}

/// The map from offsets in a program to its addresses.
pub(super) fn offset_to_address(pe: &Pe) -> Rift {
    let sections = pe
        .sections
        .iter()
        .map(|section| Breakpoint { source: section.raw_offset.get().into(), target: section.rva.get().into() });
    let start = Breakpoint { source: 0, target: 0 };
    Rift::new([start].into_iter().chain(sections.filter(|entry| entry.source != 0 && entry.target != 0)).collect())
}

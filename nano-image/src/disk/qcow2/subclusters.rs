//! Extended L2 tables: for each cluster its place, and which of its subclusters are in the file or read as zeros.

use std::collections::BTreeSet;

use super::format::*;
use crate::content::ReadAt;
use crate::disk::map::{Places, read_entries};
use crate::error::{Error, Result};

/// Hint for an image that is not handled.
pub(super) const CONVERT: &str = "convert it: qemu-img convert -O qcow2 IN OUT.qcow2";
/// The most subclusters of zeros that an overlay may have, so that a small file cannot ask for much memory.
const MAX_ZEROS: usize = 1 << 23;

/// Adds the places of the subclusters of `count` clusters from the table at `start`, and those that are zeros.
pub(super) fn read(
    file: &dyn ReadAt,
    start: u64,
    count: u64,
    cluster: u64,
    places: &mut Places,
    mut zeros: Option<&mut BTreeSet<u64>>,
) -> Result<()> {
    read_entries(file, start, count, |_, at, bytes: [u8; 16]| {
        let word = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let (entry, bitmap) = (word(0), word(8));
        if entry & ENTRY_COMPRESSED != 0 {
            let error = Error::unsupported("the qcow2 image has compressed clusters and subclusters").at(at);
            return Err(error.with_hint(CONVERT));
        }
        let (offset, allocated, zero) = (entry & ENTRY_OFFSET, bitmap as u32, (bitmap >> 32) as u32);
        let is_sound = entry & (ENTRY_RESERVED | ENTRY_ZERO) == 0
            && offset.is_multiple_of(cluster)
            && allocated & zero == 0
            && (allocated == 0 || offset != 0);
        if !is_sound {
            return Err(Error::corrupt(format!("bad L2 entry {entry:#x} with bitmap {bitmap:#x}")).at(at));
        }
        if bitmap == 0 {
            places.push_absent(SUBCLUSTERS);
            return Ok(());
        }
        if let Some(zeros) = zeros.as_deref_mut() {
            zeros.extend((0..SUBCLUSTERS).filter(|part| zero >> part & 1 == 1).map(|part| places.len() + part));
            if zeros.len() > MAX_ZEROS {
                return Err(Error::unsupported("the qcow2 image has too many subclusters of zeros").at(at));
            }
        }
        let place = (allocated != 0).then(|| offset / cluster);
        places.push_entry(place, allocated).map_err(|error| error.at(at))
    })
}

//! What a differencing VHDX has besides the parts of a dynamic one: the parent locator, sector bitmaps, and their
//! entries in the block allocation table. All of it is small, because it describes only what differs.

use std::collections::BTreeMap;

use zerocopy::IntoBytes;

use super::format::*;
use crate::content::Extent;
use crate::disk::blocks::BlockMap;
use crate::disk::parent::{GRAIN, Parent};
use crate::disk::parts::Structure;
use crate::types::text::to_utf16;

/// Purpose of the identifier by which a differencing disk recognises its parent.
pub(super) const DATA_WRITE: &str = "vhdx data write";
/// Bytes of a sector bitmap that are written together; the rest of its block is a hole.
const PIECE: u64 = 4096;

/// Value of item [`PARENT_LOCATOR`]: the linkage, and where the parent is. Windows adds the other paths itself.
pub(super) fn parent_locator(parent: &Parent<'_>) -> Vec<u8> {
    let linkage = format!("{{{}}}", parent.identity.bytes.guid(DATA_WRITE));
    let pairs = [(PARENT_LINKAGE, linkage), (RELATIVE_PATH, parent.windows_path())];
    let header = ParentLocatorHeader {
        locator_type: PARENT_LOCATOR_TYPE.to_bytes(),
        reserved: 0.into(),
        key_value_count: (pairs.len() as u16).into(),
    };
    let (mut locator, mut texts) = (header.as_bytes().to_vec(), Vec::new());
    let start = size_of::<ParentLocatorHeader>() + pairs.len() * size_of::<ParentLocatorEntry>();
    for (key, value) in &pairs {
        let mut add = |text: &str| {
            let at = start + texts.len();
            texts.extend(to_utf16(text));
            (at as u32, (start + texts.len() - at) as u16)
        };
        let ((key_offset, key_length), (value_offset, value_length)) = (add(key), add(value));
        let entry = ParentLocatorEntry {
            key_offset: key_offset.into(),
            value_offset: value_offset.into(),
            key_length: key_length.into(),
            value_length: value_length.into(),
        };
        locator.extend_from_slice(entry.as_bytes());
    }
    [locator, texts].concat()
}

/// The block allocation table at `bat` and, from `start` on, a sector bitmap block for each chunk that has blocks. They
/// are given as ascending pieces with their file offsets; the rest is zero. Returns where the blocks begin.
pub(super) fn tables(
    bat: u64,
    start: u64,
    chunk_ratio: u64,
    sector: u64,
    blocks: &mut BlockMap,
    used: &[Extent],
) -> Vec<(u64, Structure)> {
    let chunk_size = chunk_ratio * blocks.block_size;
    let all = || blocks.runs.iter().flat_map(|run| run.first..run.first + run.count);
    // The bitmap block of each chunk, in the order of the disk.
    let mut bitmaps: BTreeMap<u64, u64> = all().map(|block| (block / chunk_ratio, 0)).collect();
    for (place, offset) in bitmaps.values_mut().zip((start..).step_by(MIB as usize)) {
        *place = offset;
    }
    let first_block = start + bitmaps.len() as u64 * MIB;

    let mut entries: Vec<(u64, u64)> = bitmaps
        .iter()
        .map(|(chunk, offset)| ((chunk + 1) * chunk_ratio + chunk, offset | BITMAP_PRESENT))
        .chain(
            all()
                .zip((first_block..).step_by(blocks.block_size as usize))
                .map(|(block, offset)| (block + block / chunk_ratio, offset | BLOCK_PARTIALLY_PRESENT)),
        )
        .collect();
    entries.sort_unstable();
    let mut pieces: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut end = None;
    for (slot, entry) in entries {
        let offset = bat + slot * size_of::<BatEntry>() as u64;
        let bytes = BatEntry::new(entry).to_bytes();
        match pieces.last_entry().filter(|_| end == Some(offset)) {
            Some(mut last) => last.get_mut().extend(bytes),
            None => drop(pieces.insert(offset, bytes.to_vec())),
        }
        end = Some(offset + bytes.len() as u64);
    }
    for page in used.iter().flat_map(|extent| (extent.start..extent.end()).step_by(GRAIN as usize)) {
        let (chunk, inside) = (page / chunk_size, page % chunk_size);
        // One bit for each sector, lowest first.
        for bit in (inside / sector)..((inside + GRAIN) / sector) {
            let byte = bit / 8;
            let piece = pieces.entry(bitmaps[&chunk] + byte / PIECE * PIECE).or_insert_with(|| vec![0; PIECE as usize]);
            piece[(byte % PIECE) as usize] |= 1 << (bit % 8);
        }
    }
    blocks.start = first_block;
    pieces.into_iter().map(|(offset, bytes)| (offset, bytes.into())).collect()
}

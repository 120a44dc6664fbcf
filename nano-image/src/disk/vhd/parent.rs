//! What a differencing VHD says about its parent.

use std::collections::{BTreeMap, BTreeSet};

use zerocopy::FromBytes;

use super::format::*;
use crate::content::ReadAt;
use crate::disk::layer::{Layer, ParentLink};
use crate::disk::map::{Map, read_array, read_into};
use crate::error::Result;
use crate::types::Guid;

/// Longest path of a parent that is read, in bytes.
const MAX_PATH: u32 = 64 << 10;

/// Reads it from the header at `offset`, which must be valid. Each block in the file, of `block_size` bytes, has its
/// own bitmap before it.
pub(super) fn layer(file: &dyn ReadAt, offset: u64, block_size: u64, map: &Map) -> Result<Layer> {
    let bytes: [u8; size_of::<DynamicHeader>()] = read_array(file, offset)?;
    let header = DynamicHeader::read_from_bytes(&bytes).expect("the array has the struct's size");
    let mut paths = Vec::new();
    for code in [RELATIVE_PATH, ABSOLUTE_PATH] {
        for locator in header.parent_locators.iter().filter(|locator| locator.platform_code == code) {
            let mut text = vec![0; locator.data_length.get().min(MAX_PATH) as usize];
            read_into(file, locator.data_offset.get(), &mut text)?;
            let units: Vec<u16> = text.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
            paths.push(path_of(&units));
        }
    }
    let name: Vec<u16> = header.parent_name.iter().map(|unit| unit.get()).take_while(|unit| *unit != 0).collect();
    paths.push(path_of(&name));
    paths.retain(|path| !path.is_empty());
    let mut bitmaps = BTreeMap::new();
    if let Map::Blocks { places, unit, .. } = map {
        bitmaps.extend(places.present().map(|(block, place)| (block, place * unit)));
    }
    debug_assert!(bitmap_size(block_size) * 8 >= block_size / SECTOR);
    let parent = ParentLink { paths, id: Some(Guid::from_bytes(header.parent_unique_id)), format: None };
    Ok(Layer { parent, zeros: BTreeSet::new(), bitmaps, sector_size: SECTOR, high_bit_first: true })
}

/// A Windows path with `/` as the separator.
fn path_of(units: &[u16]) -> String {
    String::from_utf16_lossy(units).trim_end_matches('\0').replace('\\', "/")
}

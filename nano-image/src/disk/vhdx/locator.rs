//! The parent of a differencing VHDX, and where it is ([MS-VHDX] §2.6.2.6).

use std::collections::BTreeMap;

use zerocopy::FromBytes;

use super::format::*;
use crate::content::ReadAt;
use crate::disk::layer::ParentLink;
use crate::disk::map::read_into;
use crate::error::{Error, Result};
use crate::types::Guid;

/// A second key for the identifier, which Windows writes while it changes a parent.
const PARENT_LINKAGE_2: &str = "parent_linkage2";
/// Paths in the order in which Windows tries them.
const PATHS: [&str; 3] = [RELATIVE_PATH, "volume_path", "absolute_win32_path"];

/// Reads the item of `len` bytes, at most [`MAX_ITEM_SIZE`], at file offset `start`.
pub(super) fn read(file: &dyn ReadAt, start: u64, len: u64) -> Result<ParentLink> {
    let bad = |what: &str| Error::corrupt(format!("the parent locator of the VHDX {what}")).at(start);
    let mut item = vec![0; len as usize];
    read_into(file, start, &mut item)?;
    let (header, entries) = ParentLocatorHeader::read_from_prefix(&item).map_err(|_| bad("is too short"))?;
    if Guid::from_bytes(header.locator_type) != PARENT_LOCATOR_TYPE {
        return Err(Error::unsupported("the parent of the VHDX is of an unknown kind").at(start));
    }
    let text = |offset: u32, len: u16| -> Option<String> {
        let (offset, len) = (offset as usize, usize::from(len));
        let units = item.get(offset..offset.checked_add(len)?)?.chunks_exact(2);
        let units: Vec<u16> = units.map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok()
    };
    let mut pairs = BTreeMap::new();
    let entries = entries.chunks_exact(size_of::<ParentLocatorEntry>()).take(header.key_value_count.get().into());
    for entry in entries {
        let entry = ParentLocatorEntry::read_from_bytes(entry).expect("the chunk has the struct's size");
        let key = text(entry.key_offset.get(), entry.key_length.get());
        let value = text(entry.value_offset.get(), entry.value_length.get());
        let (Some(key), Some(value)) = (key, value) else { return Err(bad("has a damaged entry")) };
        pairs.insert(key, value);
    }
    let linkage = pairs.get(PARENT_LINKAGE).or_else(|| pairs.get(PARENT_LINKAGE_2));
    let linkage = linkage.ok_or_else(|| bad("does not say which parent it is"))?;
    let id = linkage.trim_matches(['{', '}']).parse().map_err(|_| bad("has no valid identifier of the parent"))?;
    let paths = PATHS.iter().filter_map(|key| pairs.get(*key)).map(|path| path.replace('\\', "/"));
    Ok(ParentLink { paths: paths.collect(), id: Some(id), format: None })
}

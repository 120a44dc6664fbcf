//! The dictionary of compressed manifests, a resource of the servicing stack's `wcp.dll`.
//!
//! Source: Microsoft, "PE Format" (the `.rsrc` section).

use super::pe::format::{NAMED_ENTRIES, NUMBERED_ENTRIES, RESOURCE_BIT, RESOURCE_DIRECTORY, RESOURCES};
use super::pe::{Pe, read_u16, read_u32};
use crate::error::{Error, Result};

/// Type and name of the resource, as numbers.
const RESOURCE: [u32; 2] = [0x266, 1];
/// Length of an entry of a resource directory.
const ENTRY: usize = 8;

/// The dictionary in `wcp`: the contents of the `wcp.dll` of a component `microsoft-windows-servicingstack` of the
/// image.
///
/// # Errors
///
/// [`Corrupt`](crate::error::ErrorKind::Corrupt) if it is not an executable file,
/// [`NotFound`](crate::error::ErrorKind::NotFound) if the dictionary is not in it.
pub fn dictionary(wcp: &[u8]) -> Result<&[u8]> {
    let pe = Pe::parse(wcp)?;
    let missing = || Error::not_found("no dictionary for manifests in this file");
    let truncated = |at: usize| Error::corrupt("the executable file is truncated").at(at as u64);
    let word = |at: usize| read_u16(wcp, at).ok_or_else(|| truncated(at));
    let long = |at: usize| read_u32(wcp, at).ok_or_else(|| truncated(at));
    let offset = |rva: u32| pe.offset(rva).ok_or_else(|| Error::corrupt(format!("address {rva:#x} is in no section")));
    let table = offset(pe.directory(RESOURCES).ok_or_else(missing)?.0)?;
    let mut directory = table;
    // Three levels: type, name, language. Any language is fine.
    for wanted in RESOURCE.map(Some).into_iter().chain([None]) {
        let count = usize::from(word(directory + NAMED_ENTRIES)?) + usize::from(word(directory + NUMBERED_ENTRIES)?);
        let mut entries = (0..count).map(|index| directory + RESOURCE_DIRECTORY + ENTRY * index);
        let found = entries.find(|entry| wanted.is_none_or(|id| long(*entry).ok() == Some(id)));
        let target = long(found.ok_or_else(missing)? + 4)?;
        if (target & RESOURCE_BIT != 0) != wanted.is_some() {
            return Err(Error::corrupt("the resources do not have three levels").at(directory as u64));
        }
        directory = table + (target & !RESOURCE_BIT) as usize;
    }
    let (start, len) = (offset(long(directory)?)?, long(directory + 4)? as usize);
    wcp.get(start..).and_then(|bytes| bytes.get(..len)).ok_or_else(|| truncated(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// A PE32+ file with one section at address 0x1000. It has a resource with name 1 and this text for each of the
    /// types.
    fn executable(types: &[u32], text: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 0x400];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"MZ");
        put(0x3C, &[0x80]);
        put(0x80, b"PE\0\0\x64\x86\x01");
        put(0x80 + 20, &[240]);
        put(0x98, &[0x0B, 2]);
        put(0x98 + 108, &[16]);
        put(0x98 + 112 + 16, &[0x1000u32.to_le_bytes(), 0x800u32.to_le_bytes()].concat());
        let section = 0x98 + 240;
        put(section + 12, &0x1000u32.to_le_bytes());
        put(section + 16, &0x800u32.to_le_bytes());
        put(section + 20, &0x400u32.to_le_bytes());
        let mut table = vec![0; 0x800];
        let put = |table: &mut Vec<u8>, at: usize, values: &[u32]| {
            for (place, value) in table[at..].chunks_mut(4).zip(values) {
                place.copy_from_slice(&value.to_le_bytes());
            }
        };
        put(&mut table, 12, &[(types.len() as u32) << 16]);
        for (index, kind) in types.iter().enumerate() {
            let at = 0x100 * (index + 1);
            let address = at as u32;
            put(&mut table, 16 + 8 * index, &[*kind, RESOURCE_BIT | address]);
            put(&mut table, at + 12, &[1 << 16, 1, RESOURCE_BIT | (address + 0x20)]);
            put(&mut table, at + 0x2C, &[1 << 16, 1033, address + 0x40]);
            put(&mut table, at + 0x40, &[0x1000 + address + 0x50, text.len() as u32]);
            table[at + 0x50..][..text.len()].copy_from_slice(text);
            table[at + 0x50] += index as u8;
        }
        [file, table].concat()
    }

    #[test]
    fn the_resource_is_found() {
        let file = executable(&[16, 0x266, 0x267], b"0text");
        assert_eq!(dictionary(&file).unwrap(), b"1text");
        assert_eq!(dictionary(&executable(&[16], b"text")).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(dictionary(b"MZ").unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn damage_gives_an_error_or_bytes() {
        let file = executable(&[16, 0x266], b"text");
        for at in 0..file.len() {
            for byte in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut file = file.clone();
                file[at] = byte;
                let _ = dictionary(&file);
            }
            let _ = dictionary(&file[..at]);
        }
    }
}

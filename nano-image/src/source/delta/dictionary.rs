//! The dictionary of compressed manifests, a resource of the servicing stack's `wcp.dll`.
//!
//! Source: Microsoft, "PE Format" (headers, section table, the `.rsrc` section).

use crate::error::{Error, Result};

/// Type and name of the resource.
const RESOURCE: [u32; 2] = [0x266, 1];
/// Index of the resource table among the data directories.
const RESOURCE_TABLE: usize = 2;
/// Bit of the offset in a directory entry: it leads to another directory.
const SUBDIRECTORY: u32 = 1 << 31;

/// The dictionary in `wcp`, the contents of `wcp.dll` in a component `microsoft-windows-servicingstack` of the image.
///
/// # Errors
///
/// [`Corrupt`](crate::error::ErrorKind::Corrupt) if it is not an executable file,
/// [`NotFound`](crate::error::ErrorKind::NotFound) if the dictionary is not in it.
pub fn dictionary(wcp: &[u8]) -> Result<&[u8]> {
    let file = Executable { bytes: wcp };
    let header = file.u32(0x3C)? as usize;
    if !wcp.starts_with(b"MZ") || file.slice(header, 4)? != b"PE\0\0" {
        return Err(Error::corrupt("not an executable file").at(0));
    }
    let optional = header + 24;
    let optional_len = usize::from(file.u16(header + 20)?);
    let directories = match file.u16(optional)? {
        0x10B => optional + 96,
        0x20B => optional + 112,
        magic => return Err(Error::corrupt(format!("an optional header of kind {magic:#x}")).at(optional as u64)),
    };
    let entry = directories + 8 * RESOURCE_TABLE;
    let missing = || Error::not_found("no dictionary for manifests in this file");
    if entry + 8 > optional + optional_len || file.u32(entry)? == 0 {
        return Err(missing());
    }
    let sections = Sections { file: &file, start: optional + optional_len, count: file.u16(header + 6)?.into() };
    let table = sections.offset(file.u32(entry)?)?;
    let mut directory = table;
    // Three levels: type, name, language. Any language will do.
    for wanted in RESOURCE.map(Some).into_iter().chain([None]) {
        let named = usize::from(file.u16(directory + 12)?);
        let count = named + usize::from(file.u16(directory + 14)?);
        let mut entries = (0..count).map(|index| directory + 16 + 8 * index);
        let found = entries.find(|entry| match wanted {
            Some(id) => file.u32(*entry).ok() == Some(id),
            None => true,
        });
        let target = file.u32(found.ok_or_else(missing)? + 4)?;
        if (target & SUBDIRECTORY != 0) != wanted.is_some() {
            return Err(Error::corrupt("the resources have another depth").at(directory as u64));
        }
        directory = table + (target & !SUBDIRECTORY) as usize;
    }
    file.slice(sections.offset(file.u32(directory)?)?, file.u32(directory + 4)? as usize)
}

/// An executable file. Offsets are sums of few u32s, so they do not overflow.
struct Executable<'a> {
    bytes: &'a [u8],
}

impl<'a> Executable<'a> {
    fn slice(&self, offset: usize, len: usize) -> Result<&'a [u8]> {
        let bytes = self.bytes.get(offset..).and_then(|bytes| bytes.get(..len));
        bytes.ok_or_else(|| Error::corrupt("the executable file is truncated").at(offset as u64))
    }

    fn u16(&self, offset: usize) -> Result<u16> {
        self.slice(offset, 2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&self, offset: usize) -> Result<u32> {
        self.slice(offset, 4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
}

/// The section table: where addresses of the loaded program are in the file.
struct Sections<'a> {
    file: &'a Executable<'a>,
    start: usize,
    count: usize,
}

impl Sections<'_> {
    fn offset(&self, address: u32) -> Result<usize> {
        for index in 0..self.count {
            let section = self.start + 40 * index;
            let (first, len) = (self.file.u32(section + 12)?, self.file.u32(section + 16)?);
            if let Some(offset) = address.checked_sub(first).filter(|offset| *offset < len) {
                return Ok(self.file.u32(section + 20)? as usize + offset as usize);
            }
        }
        Err(Error::corrupt(format!("address {address:#x} is in no section")).at(self.start as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// A PE32+ file with one section at address 0x1000, with these resource types, each with name 1 and text.
    fn executable(types: &[u32], text: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 0x400];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"MZ");
        put(0x3C, &[0x80]);
        put(0x80, b"PE\0\0\x64\x86\x01");
        put(0x80 + 20, &[240]);
        put(0x98, &[0x0B, 2]);
        put(0x98 + 112 + 16, &0x1000u32.to_le_bytes());
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
            put(&mut table, 16 + 8 * index, &[*kind, SUBDIRECTORY | address]);
            put(&mut table, at + 12, &[1 << 16, 1, SUBDIRECTORY | (address + 0x20)]);
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

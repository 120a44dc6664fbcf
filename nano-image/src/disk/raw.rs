//! Raw images: the disk's bytes and nothing else.

use super::blocks::BlockMap;
use super::map::{Map, Opened, has, read_array};
use super::parts::{Leads, Parts};
use super::row::{Request, Row, UsualFirmware};
use crate::content::ReadAt;
use crate::error::Result;

pub(super) const FORMAT: Row = Row {
    name: "raw",
    title: "raw",
    about: "The disk's bytes, sparse where the file system can (.raw, .img)",
    extensions: &["raw", "img"],
    qemu: "raw",
    libvirt: Some("raw"),
    firmware: UsualFirmware::Any,
    shapes: &[(None, &[])],
    sectors: &[512, 4096],
    differencing: &[],
    presets: &[],
    // Any file that has no other format.
    is: |_, _| Ok(true),
    open,
    // Every byte belongs to the disk.
    check: |_, _, _| (),
    parts,
};

fn open(file: &dyn ReadAt, len: u64) -> Result<Opened> {
    let logical_sector_size = sector_size(file)?;
    Ok(Opened { logical_sector_size, ..Opened::new(None, None, len, Map::Linear(0), Vec::new()) })
}

/// A raw image does not state its sector size. The positions in its partition tables do.
fn sector_size(file: &dyn ReadAt) -> Result<u32> {
    // The header of a GPT is in the second sector.
    let has_gpt = |sector: u64| has(file, sector, b"EFI PART");
    if has_gpt(512)? || !has(file, 510, &[0x55, 0xAA])? {
        return Ok(512);
    }
    if has_gpt(4096)? {
        return Ok(4096);
    }
    // The volume in the first partition of an MBR states its sector size at its byte 11.
    let first = u64::from(u32::from_le_bytes(read_array(file, 446 + 8)?));
    let has_volume = |sector: u64| -> Result<bool> {
        Ok(has(file, first * sector + 510, &[0x55, 0xAA])?
            && has(file, first * sector + 11, &(sector as u16).to_le_bytes())?)
    };
    Ok(if !has_volume(512)? && has_volume(4096)? { 4096 } else { 512 })
}

fn parts(request: &Request<'_>) -> Result<Parts> {
    let size = request.disk_size.bytes();
    Ok(Parts {
        head: Vec::new(),
        blocks: BlockMap::fixed(size, 1, 0),
        leads: Leads::None,
        tail: Vec::new(),
        file_size: size,
        packing: None,
        content_id: None,
    })
}

//! Checks both footers, header and block allocation table, and that no two things share a place in the file.

use zerocopy::{FromBytes, IntoBytes};

use super::format::*;
use crate::content::ReadAt;
use crate::report::{Finding, Findings};

const FOOTER_SIZE: u64 = size_of::<Footer>() as u64;
const HEADER_SIZE: u64 = size_of::<DynamicHeader>() as u64;
/// Bytes of the block allocation table that are read at once.
const TABLE_PIECE: u64 = 1 << 20;

/// Adds what is wrong with a file of `len` bytes.
pub(crate) fn check(file: &dyn ReadAt, len: u64, findings: &mut Findings) {
    let last = footer(file, len - FOOTER_SIZE, "VHD footer", findings);
    // A fixed disk begins where other disks have the copy.
    if last.is_some_and(|footer| footer.disk_type.get() == TYPE_FIXED) {
        let size = last.map_or(0, |footer| footer.current_size.get());
        if size != len - FOOTER_SIZE {
            let message = format!("says that the disk has {size} bytes; the file has {}", len - FOOTER_SIZE);
            findings.add(Finding::new("vhd-footer", "VHD footer", message).at(len - FOOTER_SIZE));
        }
        return;
    }
    let copy = footer(file, 0, "copy of the VHD footer", findings);
    if let (Some(last), Some(copy)) = (&last, &copy)
        && last.as_bytes() != copy.as_bytes()
    {
        let at = last.as_bytes().iter().zip(copy.as_bytes()).position(|(a, b)| a != b).unwrap_or(0);
        let message = format!("differs from the footer from its byte {at:#x} on");
        findings.add(Finding::new("vhd-footer", "copy of the VHD footer", message).at(0));
    }
    let Some(footer) = last.or(copy) else { return };
    let mut things = vec![(0, FOOTER_SIZE, Thing::Copy), (len - FOOTER_SIZE, FOOTER_SIZE, Thing::Footer)];
    blocks(file, len, &footer, &mut things, findings);
    overlaps(things, findings);
}

fn footer(file: &dyn ReadAt, at: u64, name: &str, findings: &mut Findings) -> Option<Footer> {
    let mut bytes = [0; size_of::<Footer>()];
    let read = file.read_exact_at(&mut bytes, at).is_ok();
    let footer = Footer::read_from_bytes(&bytes).expect("the array has the struct's size");
    let mut summed = footer;
    summed.checksum = 0.into();
    let sum = checksum(summed.as_bytes());
    let message = match () {
        () if !read => "cannot be read".to_owned(),
        () if footer.cookie != FOOTER_COOKIE => "has no signature `conectix`".to_owned(),
        () if footer.checksum.get() != sum => format!("has the checksum {:#010x}, not {sum:#010x}", footer.checksum),
        () if footer.saved_state != 0 => "says that the disk is in a saved state".to_owned(),
        () => return Some(footer),
    };
    findings.add(Finding::new("vhd-footer", name, message).at(at));
    None
}

fn blocks(file: &dyn ReadAt, len: u64, footer: &Footer, things: &mut Vec<(u64, u64, Thing)>, findings: &mut Findings) {
    let at = footer.data_offset.get();
    let mut bytes = [0; size_of::<DynamicHeader>()];
    let read = file.read_exact_at(&mut bytes, at).is_ok();
    let header = DynamicHeader::read_from_bytes(&bytes).expect("the array has the struct's size");
    let mut summed = header;
    summed.checksum = 0.into();
    let sum = checksum(summed.as_bytes());
    let block_size = u64::from(header.block_size.get());
    let message = match () {
        () if !read => "cannot be read".to_owned(),
        () if header.cookie != HEADER_COOKIE => "has no signature `cxsparse`".to_owned(),
        () if header.checksum.get() != sum => format!("has the checksum {:#010x}, not {sum:#010x}", header.checksum),
        () if !block_size.is_power_of_two() => format!("says that a block has {block_size} bytes"),
        () => String::new(),
    };
    if !message.is_empty() {
        return findings.add(Finding::new("vhd-header", "VHD header", message).at(at));
    }
    things.push((at, HEADER_SIZE, Thing::Header));
    let size = footer.current_size.get();
    let (start, entries) = (header.table_offset.get(), size.div_ceil(block_size));
    let end = start.checked_add(entries.saturating_mul(4));
    if entries > header.max_table_entries.get().into() || end.is_none_or(|end| end > len) {
        let message = format!("has {} entries from {start:#x} on; {entries} are needed", header.max_table_entries);
        return findings.add(Finding::new("vhd-bat", "block allocation table", message).at(start));
    }
    things.push((start, entries * 4, Thing::Table));
    let lead = bitmap_size(block_size);
    let mut piece = Vec::new();
    for first in (0..entries).step_by(TABLE_PIECE as usize / 4) {
        piece.resize(((entries - first) * 4).min(TABLE_PIECE) as usize, 0);
        if file.read_exact_at(&mut piece, start + first * 4).is_err() {
            let finding = Finding::new("vhd-bat", "block allocation table", "cannot be read");
            return findings.add(finding.at(start + first * 4));
        }
        for (block, bytes) in (first..).zip(piece.chunks_exact(4)) {
            let sector = u32::from_be_bytes(bytes.try_into().expect("chunks of 4"));
            if sector == BAT_UNUSED {
                continue;
            }
            let place = u64::from(sector) * SECTOR;
            // The last block may end where the disk ends.
            let needed = lead + size.saturating_sub(block * block_size).min(block_size);
            if place + needed > len - FOOTER_SIZE {
                let message = format!("should be at {place:#x}, but the file has only {len:#x} bytes");
                findings.add(Finding::new("vhd-bat", format!("block {block}"), message).at(start + block * 4));
            } else {
                things.push((place, needed, Thing::Block(block)));
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Thing {
    Copy,
    Footer,
    Header,
    Table,
    Block(u64),
}

impl Thing {
    fn text(self) -> String {
        match self {
            Self::Copy => "copy of the VHD footer".to_owned(),
            Self::Footer => "VHD footer".to_owned(),
            Self::Header => "VHD header".to_owned(),
            Self::Table => "block allocation table".to_owned(),
            Self::Block(number) => format!("block {number}"),
        }
    }
}

fn overlaps(mut things: Vec<(u64, u64, Thing)>, findings: &mut Findings) {
    things.sort_by_key(|(start, ..)| *start);
    for pair in things.windows(2) {
        let ((start, len, thing), (next, _, other)) = (pair[0], pair[1]);
        if start + len > next {
            let message = format!("lies on the {} from {start:#x} to {:#x}", thing.text(), start + len);
            findings.add(Finding::new("vhd-overlap", other.text(), message).at(next));
        }
    }
}

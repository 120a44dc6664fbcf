//! Reads header, grain directory and grain tables of sparse VMDK files from untrusted bytes.

use std::collections::BTreeMap;
use std::io;

use zerocopy::FromBytes;

use super::format::*;
use crate::content::{Extent, ReadAt};
use crate::disk::layer::{Packed, inflate};
use crate::disk::map::{Map, Opened, Places, has, read_array, read_entries, read_into};
use crate::disk::subformat::Subformat;
use crate::error::{Error, Result};

const CONVERT: &str = "convert it: qemu-img convert -f vmdk -O vhdx IN OUT.vhdx";
/// Grains of 4 KiB to 8 MiB; other sizes make no sense.
const GRAIN_SECTORS: std::ops::RangeInclusive<u64> = 8..=16_384;
/// Longest description that is read, bytes.
const MAX_DESCRIPTOR: u64 = 64 << 10;

/// Whether a file has the signature of a sparse VMDK.
pub(crate) fn is_vmdk(file: &dyn ReadAt, _: u64) -> Result<bool> {
    has(file, 0, &MAGIC)
}

/// Reads everything but the grains of a file of `len` bytes.
pub(crate) fn open(file: &dyn ReadAt, len: u64) -> Result<Opened> {
    let mut header = header(file, 0)?;
    refuse_delta(file, &header)?;
    let mut structures = vec![(Extent { start: 0, len: SECTOR }, "header")];
    if header.gd_offset.get() == GD_AT_END {
        // The file was written in one pass: the header with the position is the last sector but one.
        let at = len.checked_sub(2 * SECTOR).ok_or_else(|| Error::corrupt("the file ends too early").at(len))?;
        header = self::header(file, at)?;
        structures.push((Extent { start: at, len: SECTOR }, "header at the end"));
    }
    let (capacity, grain_sectors) = (header.capacity.get(), header.grain_size.get());
    let grain = grain_sectors * SECTOR;
    let size = capacity.checked_mul(SECTOR).filter(|size| (1..=64 << 40).contains(size));
    let size = size.ok_or_else(|| Error::corrupt(format!("a VMDK cannot hold {capacity} sectors")).at(12))?;
    let grains = size.div_ceil(grain);
    let tables = grains.div_ceil(TABLE_ENTRIES);
    let place = |sectors: u64, what: &str, len_of: u64| {
        let start = sectors.checked_mul(SECTOR).filter(|start| start.checked_add(len_of).is_some_and(|end| end <= len));
        start.ok_or_else(|| Error::corrupt(format!("the {what} is not in the file")))
    };
    let directory = place(header.gd_offset.get(), "grain directory", tables * 4).map_err(|error| error.at(56))?;
    structures.push((Extent { start: directory, len: tables * 4 }, "grain directory"));
    let descriptor = header.descriptor_offset.get().saturating_mul(SECTOR);
    structures
        .push((Extent { start: descriptor, len: header.descriptor_size.get().saturating_mul(SECTOR) }, "description"));
    let mut starts = Vec::new();
    read_entries(file, directory, tables, |_, at, bytes| {
        starts.push((u64::from(u32::from_le_bytes(bytes)), at));
        Ok(())
    })?;
    let is_compressed = header.flags.get() & FLAG_COMPRESSED != 0;
    let has_zero_grains = header.flags.get() & FLAG_ZERO_GRAINS != 0;
    let (mut places, mut packed, mut seen) = (Places::default(), BTreeMap::new(), std::collections::BTreeSet::new());
    for (start, at) in starts {
        let count = (grains - places.len()).min(TABLE_ENTRIES);
        if start == 0 {
            places.push_absent(count);
            continue;
        }
        let table = place(start, "grain table", count * 4).map_err(|error| error.at(at))?;
        // Tables may not be shared by two parts of the disk: otherwise a small file could ask for much memory.
        if !seen.insert(start) {
            return Err(Error::corrupt(format!("the grain table at sector {start} is used twice")).at(at));
        }
        structures.push((Extent { start: table, len: TABLE_ENTRIES * 4 }, "grain tables"));
        read_entries(file, table, count, |_, at, bytes| {
            let sector = u32::from_le_bytes(bytes);
            if sector == 0 || (has_zero_grains && sector == ZERO_GRAIN) {
                return places.push(None);
            }
            if is_compressed {
                if u64::from(sector) * SECTOR >= len {
                    return Err(Error::corrupt("a grain lies behind the end of the file").at(at));
                }
                packed.insert(places.len(), sector);
                return places.push(None);
            }
            places.push(Some(u64::from(sector)))
        })?;
    }
    let packed: Option<Box<dyn Packed>> = match is_compressed {
        true => Some(Box::new(Grains { sectors: packed, grain_sectors, len })),
        false => None,
    };
    Ok(Opened {
        packed,
        ..Opened::new(
            Some(if is_compressed { Subformat::StreamOptimized } else { Subformat::MonolithicSparse }),
            Some(grain),
            size,
            Map::Blocks { block_size: grain, unit: SECTOR, lead: 0, places },
            structures,
        )
    })
}

/// The header at `offset`, if it contains nothing unknown.
pub(super) fn header(file: &dyn ReadAt, offset: u64) -> Result<SparseHeader> {
    let bytes: [u8; size_of::<SparseHeader>()] = read_array(file, offset)?;
    let header = SparseHeader::read_from_bytes(&bytes).expect("the array has the struct's size");
    let unsupported = |what: String, at: u64| Err(Error::unsupported(what).at(offset + at).with_hint(CONVERT));
    if header.magic != MAGIC {
        return Err(Error::corrupt("the header at the end of the VMDK has no signature").at(offset));
    }
    if !(1..=3).contains(&header.version.get()) {
        return unsupported(format!("version {} of VMDK is not handled", header.version), 4);
    }
    let flags = header.flags.get();
    if flags & FLAG_NEWLINES != 0 && header.newlines != NEWLINES {
        let error = Error::corrupt("the line ends in the header of the VMDK were changed: it was copied as text");
        return Err(error.at(offset + 73).with_hint("copy it again, as binary data"));
    }
    let compression = header.compression.get();
    if (flags & FLAG_COMPRESSED != 0) != (compression == COMPRESSION_DEFLATE) || compression > COMPRESSION_DEFLATE {
        return unsupported(format!("compression {compression} of VMDK is not handled"), 77);
    }
    if !GRAIN_SECTORS.contains(&header.grain_size.get()) || !header.grain_size.get().is_power_of_two() {
        return Err(
            Error::corrupt(format!("a VMDK cannot have grains of {} sectors", header.grain_size)).at(offset + 20)
        );
    }
    if u64::from(header.table_entries.get()) != TABLE_ENTRIES {
        return unsupported(format!("grain tables of {} entries are not handled", header.table_entries), 44);
    }
    Ok(header)
}

/// Refuses a file that holds only what differs from another. The description says so.
fn refuse_delta(file: &dyn ReadAt, header: &SparseHeader) -> Result<()> {
    let len = header.descriptor_size.get().saturating_mul(SECTOR).min(MAX_DESCRIPTOR);
    let start = header.descriptor_offset.get().saturating_mul(SECTOR);
    let mut text = vec![0; len as usize];
    if start == 0 || read_into(file, start, &mut text).is_err() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&text);
    let parent = text.lines().filter_map(|line| line.trim().split_once('=')).find(|(key, _)| key.trim() == "parentCID");
    match parent {
        Some((_, value)) if !value.trim().eq_ignore_ascii_case("ffffffff") => {
            let error =
                Error::unsupported("the VMDK holds only what differs from another (a snapshot or linked clone)");
            Err(error.at(start).with_hint(CONVERT))
        }
        _ => Ok(()),
    }
}

/// Compressed grains, each after a marker.
struct Grains {
    /// Sector of each grain, by its number.
    sectors: BTreeMap<u64, u32>,
    grain_sectors: u64,
    /// Length of the file in bytes.
    len: u64,
}

impl Packed for Grains {
    fn blocks(&self) -> Vec<u64> {
        self.sectors.keys().copied().collect()
    }

    fn contains(&self, block: u64) -> bool {
        self.sectors.contains_key(&block)
    }

    fn unpack(&self, file: &dyn ReadAt, block: u64, bytes: &mut [u8]) -> io::Result<()> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("the grain {block} is damaged"));
        let start = u64::from(*self.sectors.get(&block).ok_or_else(damaged)?) * SECTOR;
        let mut marker = [0; size_of::<GrainMarker>()];
        file.read_exact_at(&mut marker, start)?;
        let marker = GrainMarker::read_from_bytes(&marker).expect("the array has the struct's size");
        let (first, size) = (start + size_of::<GrainMarker>() as u64, u64::from(marker.size.get()));
        // Random data becomes longer by a few bytes in each 16 KiB.
        let most = 2 * self.grain_sectors * SECTOR;
        if marker.lba.get() != block * self.grain_sectors || size > most || first + size > self.len {
            return Err(damaged());
        }
        let mut packed = vec![0; size as usize];
        file.read_exact_at(&mut packed, first)?;
        inflate(&packed, true, bytes)
    }
}

//! streamOptimized files: header, description, then compressed grains in disk order, each grain table after the grains
//! that it lists, the directory, and the header again, now with the position of the directory.
//!
//! The length of a grain is known only after it was compressed, so only the largest possible length of the file is
//! known before.

use std::sync::Arc;

use flate2::{Compress, Compression, FlushCompress, Status};
use zerocopy::IntoBytes;

use super::description::{description, too_much};
use super::format::*;
use crate::disk::blocks::BlockMap;
use crate::disk::parts::{Leads, Packer, Packing, Parts, Structure};
use crate::disk::row::Request;
use crate::error::{Error, Result};

/// Sectors before the first grain, the same as VMware's.
const OVERHEAD_SECTORS: u64 = 128;
/// Effort of compression; zlib's default.
const LEVEL: u32 = 6;
/// The most bytes by which a grain may grow when it is compressed: with two stored blocks it is 16.
const GROWTH: usize = 64;

/// Lays out a streamOptimized file.
pub(super) fn parts(request: &Request<'_>) -> Result<Parts> {
    let &Request { block_size: grain, disk_size, used, identity, .. } = request;
    let capacity = disk_size.bytes() / SECTOR;
    let blocks = BlockMap::dynamic(grain, used, OVERHEAD_SECTORS * SECTOR, 0);
    let tables = disk_size.bytes().div_ceil(grain).div_ceil(TABLE_ENTRIES);
    let used_tables = |first: u64, count: u64| (first + count - 1) / TABLE_ENTRIES - first / TABLE_ENTRIES + 1;
    // Two runs may share a table, which then counts twice.
    let used_tables: u64 = blocks.runs.iter().map(|run| used_tables(run.first, run.count)).sum();
    let sectors = |bytes: u64| bytes.div_ceil(SECTOR);
    let most = OVERHEAD_SECTORS
        + blocks.count() * sectors(grain + (size_of::<GrainMarker>() + GROWTH) as u64)
        + used_tables.min(tables) * (1 + sectors(TABLE_ENTRIES * 4))
        + 1
        + sectors(tables * 4)
        + 3;
    if most > u64::from(u32::MAX) {
        return Err(too_much(disk_size));
    }
    let header = SparseHeader {
        magic: MAGIC,
        version: 3.into(),
        flags: (FLAG_NEWLINES | FLAG_COMPRESSED | FLAG_MARKERS).into(),
        capacity: capacity.into(),
        grain_size: (grain / SECTOR).into(),
        descriptor_offset: 1.into(),
        descriptor_size: DESCRIPTOR_SECTORS.into(),
        table_entries: (TABLE_ENTRIES as u32).into(),
        rgd_offset: 0.into(),
        gd_offset: GD_AT_END.into(),
        overhead: OVERHEAD_SECTORS.into(),
        unclean_shutdown: 0,
        newlines: NEWLINES,
        compression: COMPRESSION_DEFLATE.into(),
        reserved: [0; 433],
    };
    let text = description("streamOptimized", capacity, identity.bytes.signature("VMDK content, streamOptimized"));
    Ok(Parts {
        head: vec![
            (0, header.as_bytes().to_vec().into()),
            (SECTOR, Structure::Named { text, name: "disk.vmdk".into() }),
        ],
        blocks,
        leads: Leads::None,
        tail: Vec::new(),
        file_size: most * SECTOR,
        content_id: None,
        packing: Some(Arc::new(Grains { header, tables })),
    })
}

#[derive(Clone, Copy)]
struct Grains {
    header: SparseHeader,
    tables: u64,
}

impl std::fmt::Debug for Grains {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "compressed grains, {} tables", self.tables)
    }
}

impl Packing for Grains {
    fn begin(&self, position: u64) -> Box<dyn Packer> {
        Box::new(Stream {
            header: self.header,
            sector: position / SECTOR,
            directory: vec![0; self.tables as usize],
            table: vec![0; TABLE_ENTRIES as usize],
            number: None,
            compress: Compress::new(Compression::new(LEVEL), true),
            packed: Vec::new(),
            out: Vec::new(),
        })
    }
}

/// A pass over the grains.
struct Stream {
    header: SparseHeader,
    /// Number of sectors of the file before `out`.
    sector: u64,
    directory: Vec<u32>,
    /// The table with this number, which is written after its last grain.
    table: Vec<u32>,
    number: Option<u64>,
    compress: Compress,
    packed: Vec<u8>,
    out: Vec<u8>,
}

impl Packer for Stream {
    fn block(&mut self, number: u64, bytes: &[u8]) -> Result<[&[u8]; 2]> {
        self.begin_piece();
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok([&[], &[]]);
        }
        let table = number / TABLE_ENTRIES;
        if self.number.is_some_and(|open| open != table) {
            self.end_table();
        }
        let before = self.out.len();
        self.number = Some(table);
        self.table[(number % TABLE_ENTRIES) as usize] = self.here();
        self.pack(bytes)?;
        let lba = number * self.header.grain_size.get();
        let marker = GrainMarker { lba: lba.into(), size: (self.packed.len() as u32).into() };
        self.out.extend_from_slice(marker.as_bytes());
        self.out.extend_from_slice(&self.packed);
        self.pad();
        Ok(self.out.split_at(before).into())
    }

    fn finish(&mut self) -> Result<&[u8]> {
        self.begin_piece();
        self.end_table();
        let directory: Vec<u8> = self.directory.iter().flat_map(|table| table.to_le_bytes()).collect();
        self.marker((directory.len() as u64).div_ceil(SECTOR), MARKER_DIRECTORY);
        let gd_offset = u64::from(self.here());
        self.out.extend_from_slice(&directory);
        self.pad();
        self.marker(1, MARKER_FOOTER);
        let footer = SparseHeader { gd_offset: gd_offset.into(), ..self.header };
        self.out.extend_from_slice(footer.as_bytes());
        self.marker(0, MARKER_END);
        Ok(&self.out)
    }
}

impl Stream {
    fn begin_piece(&mut self) {
        self.sector += self.out.len() as u64 / SECTOR;
        self.out.clear();
    }

    /// The next sector of the file.
    fn here(&self) -> u32 {
        (self.sector + self.out.len() as u64 / SECTOR) as u32
    }

    fn pad(&mut self) {
        self.out.resize(self.out.len().next_multiple_of(SECTOR as usize), 0);
    }

    fn marker(&mut self, sectors: u64, kind: u32) {
        let marker = Marker { sectors: sectors.into(), size: 0.into(), kind: kind.into() };
        self.out.extend_from_slice(marker.as_bytes());
        self.pad();
    }

    /// Writes the table of the grains before.
    fn end_table(&mut self) {
        let Some(number) = self.number.take() else { return };
        self.marker(TABLE_ENTRIES * 4 / SECTOR, MARKER_TABLE);
        self.directory[number as usize] = self.here();
        for entry in &mut self.table {
            self.out.extend_from_slice(&std::mem::take(entry).to_le_bytes());
        }
    }

    /// Compresses a grain. A grain that would become longer is stored.
    fn pack(&mut self, bytes: &[u8]) -> Result<()> {
        let most = bytes.len() + GROWTH;
        let mut pack = |compress: &mut Compress| {
            self.packed.resize(most, 0);
            let status = compress.compress(bytes, &mut self.packed, FlushCompress::Finish);
            self.packed.truncate(compress.total_out() as usize);
            matches!(status, Ok(Status::StreamEnd))
        };
        self.compress.reset();
        if pack(&mut self.compress) || pack(&mut Compress::new(Compression::none(), true)) {
            return Ok(());
        }
        Err(Error::unsupported("a grain of the VMDK cannot be compressed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Extent;
    use crate::identity::{Identity, Seed};
    use crate::types::{ByteSize, FileTime};

    #[test]
    fn noise_is_not_longer_than_the_layout_says() {
        let seed = Seed::from_bytes([1; 32]);
        let (grain, size) = (GRAIN.bytes(), ByteSize::mib(64));
        let used = [Extent { start: 0, len: size.bytes() }];
        let parts = parts(&Request {
            subformat: None,
            block_size: grain,
            disk_size: size,
            sector_size: 512,
            used: &used,
            identity: &Identity { disk: seed, bytes: seed },
            time: FileTime(0),
            parent: None,
        })
        .unwrap();
        let start = OVERHEAD_SECTORS * SECTOR;
        let mut packer = parts.packing.unwrap().begin(start);
        let (mut state, mut len) = (1_u64, start);
        for number in 0..size.bytes() / grain {
            let noise: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .take(grain as usize)
            .collect();
            len += packer.block(number, &noise).unwrap().concat().len() as u64;
        }
        len += packer.finish().unwrap().len() as u64;
        assert_eq!(len, parts.file_size);
    }
}

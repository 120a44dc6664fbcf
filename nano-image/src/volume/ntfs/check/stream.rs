//! The bytes of an attribute that may be damaged.

use super::boot::Geometry;
use super::mft::{Attribute, CheckedRun, Form};
use crate::content::ReadAt;

/// The bytes of a whole attribute. Bytes that are not where they should be cannot be read.
#[derive(Clone)]
pub(super) struct Stream<'a> {
    volume: &'a dyn ReadAt,
    cluster_size: u64,
    bytes: Bytes,
    /// Number of bytes in clusters that are on the volume.
    backed: u64,
}

#[derive(Clone)]
enum Bytes {
    Resident(Vec<u8>),
    Outside { runs: Vec<CheckedRun>, size: u64, initialized: u64, compressed: bool },
}

impl<'a> Stream<'a> {
    /// From the parts of an attribute, in the order of their VCNs.
    pub fn new(volume: &'a dyn ReadAt, geometry: &Geometry, parts: &[&Attribute]) -> Option<Self> {
        let first = parts.first()?;
        let bytes = match &first.form {
            Form::Resident { value, .. } => Bytes::Resident(value.clone()),
            Form::Outside(outside) => Bytes::Outside {
                runs: parts.iter().filter_map(|part| part.outside()).flat_map(|part| part.runs.clone()).collect(),
                size: outside.data_size,
                initialized: outside.initialized_size.min(outside.data_size),
                compressed: outside.total_allocated.is_some() && first.flags & 0xFF != 0,
            },
        };
        let cluster_size = geometry.cluster_size;
        let backed = match &bytes {
            Bytes::Resident(bytes) => bytes.len() as u64,
            Bytes::Outside { runs, .. } => {
                let real = runs.iter().filter(|run| run.lcn.is_some()).map(|run| run.len);
                real.fold(0, u64::saturating_add).min(geometry.clusters) * cluster_size
            }
        };
        Some(Self { volume, cluster_size, bytes, backed })
    }

    /// The most bytes that can be there, as a bound for loops: a damaged stream may state any size.
    pub fn backed_size(&self) -> u64 {
        self.size().min(self.backed)
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        match &self.bytes {
            Bytes::Resident(bytes) => bytes.len() as u64,
            Bytes::Outside { size, .. } => *size,
        }
    }

    /// Its runs; empty if it is resident.
    pub fn runs(&self) -> &[CheckedRun] {
        match &self.bytes {
            Bytes::Resident(_) => &[],
            Bytes::Outside { runs, .. } => runs,
        }
    }

    /// Position in the volume of the stream's byte `offset`.
    pub fn place(&self, offset: u64) -> Option<u64> {
        let run = self.run(offset / self.cluster_size)?;
        let start = run.lcn?.checked_mul(self.cluster_size)?;
        start.checked_add(offset - run.vcn * self.cluster_size)
    }

    fn run(&self, vcn: u64) -> Option<CheckedRun> {
        let runs = self.runs();
        let after = runs.partition_point(|run| run.vcn <= vcn);
        after.checked_sub(1).map(|index| runs[index]).filter(|run| vcn - run.vcn < run.len)
    }

    /// Fills `buf` from byte `offset` on; returns whether that was possible. If not, the rest is filled with zeros.
    pub fn read(&self, buf: &mut [u8], offset: u64) -> bool {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.size()) {
            buf.fill(0);
            return false;
        }
        let (mut buf, mut offset) = match &self.bytes {
            Bytes::Resident(bytes) => {
                buf.copy_from_slice(&bytes[offset as usize..offset as usize + buf.len()]);
                return true;
            }
            Bytes::Outside { compressed: true, .. } => {
                buf.fill(0);
                return false;
            }
            Bytes::Outside { initialized, .. } => {
                let written = initialized.saturating_sub(offset).min(buf.len() as u64) as usize;
                let (written, rest) = buf.split_at_mut(written);
                rest.fill(0);
                (written, offset)
            }
        };
        while !buf.is_empty() {
            let Some(run) = self.run(offset / self.cluster_size) else {
                buf.fill(0);
                return false;
            };
            let inside = offset - run.vcn * self.cluster_size;
            // Lengths of runs are positive signed numbers of bytes.
            let len = (run.len * self.cluster_size - inside).min(buf.len() as u64) as usize;
            let (piece, rest) = buf.split_at_mut(len);
            match run.lcn.map(|lcn| lcn.checked_mul(self.cluster_size).and_then(|start| start.checked_add(inside))) {
                None => piece.fill(0),
                Some(Some(place)) if self.volume.read_exact_at(piece, place).is_ok() => {}
                Some(_) => {
                    piece.fill(0);
                    rest.fill(0);
                    return false;
                }
            }
            (buf, offset) = (rest, offset + len as u64);
        }
        true
    }

    /// All bytes, if they are at most `limit`.
    pub fn whole(&self, limit: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.size()).ok().filter(|_| self.size() <= limit)?];
        self.read(&mut bytes, 0).then_some(bytes)
    }
}

/// Bytes of a bitmap that are kept in memory.
const PIECE: u64 = 16 << 10;

/// A bitmap that is read as its bits are asked for.
pub(super) struct Bits<'a> {
    stream: Stream<'a>,
    piece: Vec<u8>,
    piece_start: u64,
}

impl<'a> Bits<'a> {
    pub fn new(stream: Stream<'a>) -> Self {
        Self { stream, piece: Vec::new(), piece_start: 0 }
    }

    /// Number of bits.
    pub fn len(&self) -> u64 {
        self.stream.size().saturating_mul(8)
    }

    /// Whether bit `index` is set. A bit that cannot be read counts as clear.
    pub fn get(&mut self, index: u64) -> bool {
        let byte = index / 8;
        if byte >= self.stream.size() {
            return false;
        }
        if byte < self.piece_start || byte - self.piece_start >= self.piece.len() as u64 {
            self.piece_start = byte / PIECE * PIECE;
            self.piece.resize((self.stream.size() - self.piece_start).min(PIECE) as usize, 0);
            self.stream.read(&mut self.piece, self.piece_start);
        }
        self.piece[(byte - self.piece_start) as usize] >> (index % 8) & 1 == 1
    }
}

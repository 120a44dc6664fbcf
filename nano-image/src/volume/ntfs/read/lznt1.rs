//! Streams that NTFS itself compresses (LZNT1, [MS-XCA] 2.5).
//!
//! A stream is cut into units, usually of 16 clusters. A unit with all its clusters is stored uncompressed, a unit
//! without clusters is zeros, and a unit with fewer clusters holds chunks that decompress to 4 KiB each.

use std::io;
use std::sync::{Mutex, PoisonError};

use super::mft::{Attribute, AttributeValue};
use super::runs::Runs;
use crate::content::ReadAt;
use crate::error::{Error, Result};
use crate::types::Vcn;
use crate::volume::ntfs::format::attribute_flag;

/// Decompressed length of a chunk in bytes.
const CHUNK: usize = 4096;
/// Bit of a chunk's header: the chunk is compressed.
const COMPRESSED: u16 = 0x8000;
/// Log₂ of the clusters of the largest unit that is accepted.
const MAX_UNIT_SHIFT: u8 = 8;
/// The number of LZNT1 among the bits that name a compression method.
const METHOD: u16 = 1;

/// The decompressed bytes of a stream. It holds one unit in memory.
pub struct NtfsCompressedStream<'a> {
    volume: &'a dyn ReadAt,
    cluster_size: u64,
    runs: Runs,
    size: u64,
    initialized_size: u64,
    unit_clusters: u64,
    unit: Mutex<Unit>,
}

#[derive(Default)]
struct Unit {
    /// Number of the unit in `bytes`.
    number: Option<u64>,
    bytes: Vec<u8>,
}

impl<'a> NtfsCompressedStream<'a> {
    /// For a whole attribute; `None` if it is not compressed.
    pub(super) fn new(volume: &'a dyn ReadAt, cluster_size: u64, attribute: &Attribute) -> Result<Option<Self>> {
        let method = attribute.flags & attribute_flag::COMPRESSION_MASK;
        let AttributeValue::NonResident { runs, data_size, initialized_size, unit_shift } = &attribute.value else {
            return Ok(None);
        };
        if method == 0 {
            return Ok(None);
        }
        let unit_bytes = cluster_size << (*unit_shift).min(MAX_UNIT_SHIFT);
        if method != METHOD || attribute.flags & attribute_flag::ENCRYPTED != 0 {
            return Err(Error::unsupported(format!(
                "the stream is compressed with method {method}, which is not known"
            )));
        }
        if *unit_shift == 0 || *unit_shift > MAX_UNIT_SHIFT || unit_bytes > 1 << 20 || !unit_bytes.is_multiple_of(4096)
        {
            return Err(Error::corrupt(format!("a compressed stream cannot have units of 2^{unit_shift} clusters")));
        }
        if runs.first().0 != 0 || *data_size > runs.end().0 * cluster_size {
            return Err(Error::corrupt("a compressed stream has fewer clusters than its size needs"));
        }
        Ok(Some(Self {
            volume,
            cluster_size,
            runs: runs.clone(),
            size: *data_size,
            initialized_size: *initialized_size,
            unit_clusters: 1 << unit_shift,
            unit: Mutex::default(),
        }))
    }

    fn load(&self, unit: &mut Unit, number: u64) -> io::Result<()> {
        if unit.number == Some(number) {
            return Ok(());
        }
        unit.number = None;
        let mut stored = Vec::new();
        for (lcn, clusters) in self.runs.pieces(Vcn(number * self.unit_clusters), self.unit_clusters) {
            let Some(lcn) = lcn else { continue };
            let at = stored.len();
            stored.resize(at + (clusters * self.cluster_size) as usize, 0);
            self.volume.read_exact_at(&mut stored[at..], lcn.0 * self.cluster_size)?;
        }
        let len = (self.unit_clusters * self.cluster_size) as usize;
        if stored.len() == len {
            unit.bytes = stored;
        } else {
            unit.bytes.clear();
            unit.bytes.resize(len, 0);
            decompress(&stored, &mut unit.bytes).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("unit {number} of the compressed stream is damaged"))
            })?;
        }
        unit.number = Some(number);
        Ok(())
    }
}

impl ReadAt for NtfsCompressedStream<'_> {
    fn read_exact_at(&self, buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let written = self.initialized_size.saturating_sub(offset).min(buf.len() as u64) as usize;
        let (mut buf, rest) = buf.split_at_mut(written);
        rest.fill(0);
        let unit_bytes = self.unit_clusters * self.cluster_size;
        let mut unit = self.unit.lock().unwrap_or_else(PoisonError::into_inner);
        while !buf.is_empty() {
            self.load(&mut unit, offset / unit_bytes)?;
            let inside = &unit.bytes[(offset % unit_bytes) as usize..];
            let (piece, after) = buf.split_at_mut(buf.len().min(inside.len()));
            piece.copy_from_slice(&inside[..piece.len()]);
            (offset, buf) = (offset + piece.len() as u64, after);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.size)
    }
}

/// Decompresses the chunks in `input` to the start of `output`, which must be zeros; `None` if they are damaged.
fn decompress(mut input: &[u8], output: &mut [u8]) -> Option<()> {
    for chunk in output.chunks_mut(CHUNK) {
        let Some((header, rest)) = input.split_first_chunk() else { break };
        let header = u16::from_le_bytes(*header);
        // This marks the end; what follows is ignored.
        if header == 0 {
            break;
        }
        let (stored, rest) = rest.split_at_checked(usize::from(header & 0x0FFF) + 1)?;
        input = rest;
        if header & COMPRESSED == 0 {
            chunk.get_mut(..stored.len())?.copy_from_slice(stored);
        } else {
            decompress_chunk(stored, chunk)?;
        }
    }
    Some(())
}

/// Eight items follow each byte of flags. An item is a byte, or the distance and length of earlier bytes to copy.
fn decompress_chunk(mut input: &[u8], output: &mut [u8]) -> Option<()> {
    let mut at = 0;
    while let Some((flags, rest)) = input.split_first() {
        input = rest;
        for bit in 0..8 {
            if input.is_empty() {
                break;
            }
            if flags >> bit & 1 == 0 {
                *output.get_mut(at)? = input[0];
                (at, input) = (at + 1, &input[1..]);
                continue;
            }
            let (token, rest) = input.split_first_chunk()?;
            input = rest;
            let token = usize::from(u16::from_le_bytes(*token));
            // The farther the position in the chunk, the more bits belong to the distance.
            let mut length_bits = 12;
            while length_bits > 4 && at > 1 << (16 - length_bits) {
                length_bits -= 1;
            }
            let (len, distance) = ((token & ((1 << length_bits) - 1)) + 3, (token >> length_bits) + 1);
            let from = at.checked_sub(distance)?;
            // The copied bytes may overlap those that are written.
            for index in from..from + len {
                *output.get_mut(index + distance)? = output[index];
            }
            at += len;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_decompresses() {
        // [MS-XCA] 3.3.
        let input = [
            0x38, 0xB0, 0x88, 0x46, 0x23, 0x20, 0x00, 0x20, 0x47, 0x20, 0x41, 0x00, 0x10, 0xA2, 0x47, 0x01, 0xA0, 0x45,
            0x20, 0x44, 0x00, 0x08, 0x45, 0x01, 0x50, 0x79, 0x00, 0xC0, 0x45, 0x20, 0x05, 0x24, 0x13, 0x88, 0x05, 0xB4,
            0x02, 0x4A, 0x44, 0xEF, 0x03, 0x58, 0x02, 0x8C, 0x09, 0x16, 0x01, 0x48, 0x45, 0x00, 0xBE, 0x00, 0x9E, 0x00,
            0x04, 0x01, 0x18, 0x90, 0x00,
        ];
        let text = b"F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D E E F# D E F# G F# D E F# \
                     G F# E D E A F# F# G A A G F# E D D E F# E D D\0";
        let mut output = vec![0; CHUNK];
        decompress(&input, &mut output).unwrap();
        assert_eq!(&output[..text.len()], text);
        assert!(output[text.len()..].iter().all(|&byte| byte == 0));
        // Any prefix and any changed byte gives an error or other bytes, and never a panic.
        for at in 0..input.len() {
            let _ = decompress(&input[..at], &mut vec![0; CHUNK]);
            let mut damaged = input;
            damaged[at] ^= 0xFF;
            let _ = decompress(&damaged, &mut vec![0; CHUNK]);
        }
    }
}

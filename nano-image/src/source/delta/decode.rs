//! Applies a PA30 delta: literals, and copies from the source and from what was made so far.

use zerocopy::FromBytes;

use super::bits::Bits;
use super::format::{Header, PA30_MAGIC, TYPE_RAW};
use super::prefix_code::{Codes, Segment};
use crate::error::{Error, Result};

/// See [`super::apply`]; the delta is at `offset` of its file.
pub(super) fn apply(delta: &[u8], offset: u64, source: &[u8], limit: usize) -> Result<Vec<u8>> {
    let corrupt = |message: &str| Error::corrupt(message).at(offset);
    let (header, rest) = Header::read_from_prefix(delta).map_err(|_| corrupt("the delta is truncated"))?;
    if header.magic != PA30_MAGIC {
        return Err(corrupt("not a PA30 delta"));
    }
    let unsupported = |feature: &str| Error::unsupported(format!("a delta with {feature}")).at(offset);
    let mut bits = Bits::new(rest, offset + size_of::<Header>() as u64)?;
    let _file_type_set = bits.number()?;
    let file_type = bits.number()?;
    let _flags = bits.number()?;
    let len = bits.number()? as usize;
    let hash_algorithm = bits.number()?;
    let (hash, _) = bits.buffer()?;
    let (preprocessing, _) = bits.buffer()?;
    let (patch, patch_offset) = bits.buffer()?;
    if file_type != TYPE_RAW {
        return Err(unsupported(&format!("a transformation for programs (file type {file_type})")));
    }
    if !preprocessing.is_empty() {
        return Err(unsupported("preprocessing"));
    }
    if hash_algorithm != 0 || !hash.is_empty() {
        return Err(unsupported(&format!("a hash of its result (algorithm {hash_algorithm:#x})")));
    }
    if len > limit {
        return Err(Error::corrupt(format!("a delta for {len} bytes, more than {limit}")).at(offset));
    }
    let mut bits = Bits::new(patch, patch_offset)?;
    if bits.flag()? {
        return Err(unsupported("a rift table"));
    }
    let segments = Segment::read_all(&mut bits)?;
    Decoder { bits, source, made: Vec::new(), len, recent: [0; 3] }.run(&segments)
}

/// The state of a patch.
struct Decoder<'a> {
    bits: Bits<'a>,
    source: &'a [u8],
    made: Vec<u8>,
    /// Length of the result in bytes.
    len: usize,
    /// The last three distances that differ.
    recent: [u64; 3],
}

impl Decoder<'_> {
    fn run(mut self, segments: &[Segment]) -> Result<Vec<u8>> {
        let mut segments = segments.iter().peekable();
        let mut codes = segments.next().expect("at least one segment").codes();
        while self.made.len() < self.len {
            let here = (self.source.len() + self.made.len()) as u64;
            while let Some(segment) = segments.next_if(|segment| segment.start <= here) {
                if segments.peek().is_none_or(|next| next.start > here) {
                    codes = segment.codes();
                }
            }
            match codes.main.read(&mut self.bits)? {
                literal @ 0..256 => self.made.push(literal as u8),
                symbol => {
                    let distance = self.distance((symbol - 256) >> 3, &codes)?;
                    let len = self.copy_len((symbol - 256) & 7, &codes)?;
                    self.copy(distance, len)?;
                }
            }
        }
        Ok(self.made)
    }

    /// How far before the next byte a copy begins; the source lies before the result.
    fn distance(&mut self, slot: u16, codes: &Codes) -> Result<u64> {
        let bits = &mut self.bits;
        let source_len = self.source.len() as i64;
        // Near the same offset in the source, ever farther from it.
        let mut near = |count: u32, skip: i64| -> Result<i64> {
            let value = bits.take(count)? as i64 - (1 << (count - 1));
            Ok(source_len + if value < 0 { value - skip } else { value + skip })
        };
        let distance = match slot {
            0 => near(14, 0)?,
            1 => near(16, 0x2000)?,
            2 => near(18, 0xA000)?,
            3 => source_len,
            4..=6 => self.recent[usize::from(slot) - 4] as i64,
            7 => {
                let (base, count) = match bits.flag()? {
                    false => (36, 2),
                    true if bits.take(1)? == 0 => (40, 3),
                    true => (48, 4),
                };
                let class = base + bits.take(count)? as u32;
                self.far(class, codes)?
            }
            slot => self.far(u32::from(slot) - 7, codes)?,
        };
        if distance < 1 || distance > source_len + self.made.len() as i64 {
            return Err(self.bits.corrupt("a copy from before the source"));
        }
        Ok(distance as u64)
    }

    /// A distance from its class: a number with half the class's bits behind the top two, the lowest four of them by
    /// a code.
    fn far(&mut self, class: u32, codes: &Codes) -> Result<i64> {
        if class <= 3 {
            return Ok(class.into());
        }
        let (top, count) = (i64::from(2 | class & 1), (class >> 1) - 1);
        if count < 4 {
            return Ok(top << count | self.bits.take(count)? as i64);
        }
        let high = top << (count - 4) | self.bits.take(count - 4)? as i64;
        Ok(high << 4 | i64::from(codes.aligned.read(&mut self.bits)?))
    }

    /// The length of a copy, in bytes.
    fn copy_len(&mut self, low: u16, codes: &Codes) -> Result<usize> {
        if low > 0 {
            return Ok(usize::from(low) + 1);
        }
        let symbol = codes.length.read(&mut self.bits)?;
        if symbol > 0 {
            return Ok(usize::from(symbol) + 8);
        }
        let count = self.bits.zeros(23)? + 8;
        Ok((1 << count | self.bits.take(count)? as usize) + 8)
    }

    /// Copies `len` bytes, or as many as are wanted; they may overlap what they make.
    fn copy(&mut self, distance: u64, len: usize) -> Result<()> {
        if self.recent[0] != distance {
            let [first, second, third] = self.recent;
            self.recent = [distance, first, if second == distance { third } else { second }];
        }
        let len = len.min(self.len - self.made.len());
        let distance = distance as usize;
        let mut left = len;
        // From the source, up to its end.
        if let Some(before) = distance.checked_sub(self.made.len()).filter(|before| *before > 0) {
            let start = self.source.len() - before;
            let count = before.min(left);
            self.made.extend_from_slice(&self.source[start..start + count]);
            left -= count;
        }
        // From the result: what was copied becomes part of what can be copied.
        while left > 0 {
            let start = self.made.len() - distance;
            let count = left.min(distance);
            self.made.extend_from_within(start..start + count);
            left -= count;
        }
        Ok(())
    }
}

//! The patch (§6–8): literals, and copies from the basis and from the result so far.

use super::bits::{Bits, Buffer};
use super::rift::{Breakpoint, Rift};
use super::segments::{Codes, Segment};
use crate::error::Result;

/// Applies `patch` to `basis`; the result has `len` bytes. `map` tells where in the basis a part of the result likely
/// comes from. Its positions count from the start of the basis; the result follows the basis.
pub(super) fn apply(patch: Buffer<'_>, basis: &[u8], map: Vec<Breakpoint>, len: usize) -> Result<Vec<u8>> {
    let mut bits = patch.bits()?;
    let mut entries = Rift::read(&mut bits)?.0;
    entries.extend(map);
    entries.push(Breakpoint { source: basis.len() as i64, target: 0 });
    let segments = Segment::read_all(&mut bits)?;
    let shifts = Shifts { rift: Rift::new(entries), next: 0 };
    let decoder = Decoder { bits, basis, made: Vec::with_capacity(len), len, shifts, recent: [0; 3] };
    decoder.run(&segments)
}

/// The state of a patch.
struct Decoder<'a> {
    bits: Bits<'a>,
    basis: &'a [u8],
    made: Vec<u8>,
    /// Length of the result in bytes.
    len: usize,
    shifts: Shifts,
    /// The last three distances, all different.
    recent: [i64; 3],
}

/// A rift table that is looked up at ascending positions.
struct Shifts {
    rift: Rift,
    /// Index of the first breakpoint after the position.
    next: usize,
}

/// Where a copy comes from.
enum From {
    /// From this number of bytes before.
    Distance(i64),
    /// From where the rift table says, up to the next breakpoint, then from where that says.
    Basis,
}

impl Decoder<'_> {
    fn run(mut self, segments: &[Segment]) -> Result<Vec<u8>> {
        let mut segments = segments.iter().peekable();
        let mut codes = segments.next().expect("at least one segment").codes();
        while self.made.len() < self.len {
            let here = self.position() as u64;
            while let Some(segment) = segments.next_if(|segment| segment.start <= here) {
                if segments.peek().is_none_or(|next| next.start > here) {
                    codes = segment.codes();
                }
            }
            match codes.main.read(&mut self.bits)? {
                literal @ 0..256 => self.made.push(literal as u8),
                symbol => {
                    let from = self.from((symbol - 256) >> 3, &codes)?;
                    let len = self.copy_len((symbol - 256) & 7, &codes)?;
                    self.copy(from, len)?;
                }
            }
        }
        self.bits.finish()?;
        Ok(self.made)
    }

    /// Position of the next byte, counted from the start of the basis.
    fn position(&self) -> i64 {
        (self.basis.len() + self.made.len()) as i64
    }

    /// Where a copy comes from.
    fn from(&mut self, slot: u16, codes: &Codes) -> Result<From> {
        let here = self.position();
        let bits = &mut self.bits;
        let shift = self.shifts.at(here);
        // A place near the one that the rift table gives; each case covers places that are farther away.
        let mut near = |count: u32, skip: i64| -> Result<i64> {
            let value = bits.take(count)? as i64 - (1 << (count - 1));
            let delta = if value < 0 { value - skip } else { value + skip };
            Ok(delta.wrapping_sub(shift))
        };
        let distance = match slot {
            0 => near(14, 0)?,
            1 => near(16, 0x2000)?,
            2 => near(18, 0xA000)?,
            3 => return Ok(From::Basis),
            4..=6 => self.recent[usize::from(slot) - 4],
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
        Ok(From::Distance(distance))
    }

    /// Reads a distance of this class. Half as many bits as the class number follow the top two bits; the lowest four
    /// of them are given by a code.
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

    /// Copies `len` bytes, or fewer if the result is complete before.
    fn copy(&mut self, from: From, len: usize) -> Result<()> {
        let mut left = len.min(self.len - self.made.len());
        let distance = match from {
            From::Distance(distance) => distance,
            From::Basis => self.shifts.at(self.position()).wrapping_neg(),
        };
        self.remember(distance);
        if let From::Distance(distance) = from {
            return self.copy_from(distance, left);
        }
        while left > 0 {
            let here = self.position();
            let distance = self.shifts.at(here).wrapping_neg();
            let count = self.shifts.end().map_or(left, |end| left.min(end.abs_diff(here) as usize));
            self.copy_from(distance, count)?;
            left -= count;
        }
        Ok(())
    }

    fn remember(&mut self, distance: i64) {
        let [first, second, third] = self.recent;
        if first != distance {
            self.recent = [distance, first, if second == distance { third } else { second }];
        }
    }

    /// Copies `len` bytes from `distance` bytes before. Source and destination may overlap.
    fn copy_from(&mut self, distance: i64, len: usize) -> Result<()> {
        if distance < 1 || distance > self.position() {
            return Err(self.bits.corrupt("a copy from before the basis, or from beyond the end of the result so far"));
        }
        let distance = distance as usize;
        let mut left = len;
        // From the basis, up to its end.
        if let Some(before) = distance.checked_sub(self.made.len()).filter(|before| *before > 0) {
            let start = self.basis.len() - before;
            let count = before.min(left);
            self.made.extend_from_slice(&self.basis[start..start + count]);
            left -= count;
        }
        if left == 0 {
            return Ok(());
        }
        // From the result. Copied bytes can be copied again, so the length doubles in whole periods.
        let start = self.made.len() - distance;
        while left > 0 {
            let count = left.min(self.made.len() - start);
            self.made.extend_from_within(start..start + count);
            left -= count;
        }
        Ok(())
    }
}

impl Shifts {
    /// The shift at `position`, which must not be smaller than in the last call.
    fn at(&mut self, position: i64) -> i64 {
        let entries = &self.rift.0;
        while entries.get(self.next).is_some_and(|entry| entry.source <= position) {
            self.next += 1;
        }
        entries[self.next.checked_sub(1).unwrap_or(entries.len() - 1)].shift()
    }

    /// Where the shift of the last call ends; `None` if it does not end.
    fn end(&self) -> Option<i64> {
        self.rift.0.get(self.next).map(|entry| entry.source)
    }
}

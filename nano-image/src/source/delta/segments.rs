//! How the symbols of a patch are coded (§6). Either all codes have nearly the same length, or the patch is cut into
//! segments, each with its own codes. The code lengths of a segment are stored as differences from the segment before.

use super::bits::Bits;
use super::format::{ALIGNED_SYMBOLS, LENGTH_SYMBOLS, MAIN_SYMBOLS, MAX_CODE, PRE_SYMBOLS};
use super::prefix_code::PrefixCode;
use crate::error::{Error, Result};

/// Number of symbols in the three codes of a segment.
const SYMBOLS: usize = MAIN_SYMBOLS + LENGTH_SYMBOLS + ALIGNED_SYMBOLS;
/// More segments are refused; a result of 3 MB has three.
const MAX_SEGMENTS: u64 = 1 << 16;

/// A part of the patch.
pub(super) struct Segment {
    /// Position where it begins, counted from the start of the basis; the result follows the basis.
    pub start: u64,
    /// Lengths of all codes.
    lengths: Box<[u8; SYMBOLS]>,
}

/// The codes of a segment.
pub(super) struct Codes {
    pub main: PrefixCode,
    pub length: PrefixCode,
    pub aligned: PrefixCode,
}

impl Segment {
    /// Reads all segments.
    pub fn read_all(bits: &mut Bits<'_>) -> Result<Vec<Self>> {
        if bits.flag()? {
            let lengths = [MAIN_SYMBOLS, LENGTH_SYMBOLS, ALIGNED_SYMBOLS].into_iter().flat_map(flat_lengths);
            let mut segment = Self { start: 0, lengths: Box::new([0; SYMBOLS]) };
            segment.lengths.iter_mut().zip(lengths).for_each(|(place, length)| *place = length);
            return Ok(vec![segment]);
        }
        let count = bits.size()?;
        if count == 0 {
            return Err(bits.corrupt("a patch without segments"));
        }
        if count > MAX_SEGMENTS {
            return Err(Error::unsupported(format!("a delta of {count} segments")).at(bits.place()));
        }
        let mut starts = Vec::new();
        let mut start = 0u64;
        for _ in 0..count {
            start = start.saturating_add(bits.size()?);
            starts.push(start);
        }
        let mut pre_lengths = [0; PRE_SYMBOLS];
        for length in &mut pre_lengths {
            *length = bits.take(4)? as u8;
        }
        let pre_code = PrefixCode::new(&pre_lengths);
        let mut segments: Vec<Self> = Vec::new();
        for start in starts {
            let previous = segments.last().map_or([0; SYMBOLS], |segment| *segment.lengths);
            segments.push(Self { start, lengths: Box::new(read_lengths(bits, &pre_code, &previous)?) });
        }
        Ok(segments)
    }

    /// The segment's codes.
    pub fn codes(&self) -> Codes {
        let (main, rest) = self.lengths.split_at(MAIN_SYMBOLS);
        let (length, aligned) = rest.split_at(LENGTH_SYMBOLS);
        Codes { main: PrefixCode::new(main), length: PrefixCode::new(length), aligned: PrefixCode::new(aligned) }
    }
}

/// Reads the code lengths of a segment. Those of the segment before are `previous`.
fn read_lengths(bits: &mut Bits<'_>, pre_code: &PrefixCode, previous: &[u8; SYMBOLS]) -> Result<[u8; SYMBOLS]> {
    let mut lengths = [0u8; SYMBOLS];
    let mut at = 0;
    while at < SYMBOLS {
        let symbol = pre_code.read(bits)?;
        let length = match symbol {
            0..=16 => Some(symbol as u8),
            17..=19 => previous[at].checked_add(symbol as u8 - 16),
            20..=22 => previous[at].checked_sub(symbol as u8 - 19),
            _ => {
                let class = u32::from(symbol - 23) & 7;
                let run =
                    if class < 3 { class as usize + 1 } else { 1 << (class - 1) | bits.take(class - 1)? as usize };
                let repeats = symbol < 31;
                if at + run > SYMBOLS || (repeats && at == 0) {
                    return Err(bits.corrupt("the lengths of the codes are broken"));
                }
                match repeats {
                    true => {
                        let length = lengths[at - 1];
                        lengths[at..at + run].fill(length);
                    }
                    false => lengths[at..at + run].copy_from_slice(&previous[at..at + run]),
                }
                at += run;
                continue;
            }
        };
        lengths[at] = length
            .filter(|length| *length <= MAX_CODE)
            .ok_or_else(|| bits.corrupt("the lengths of the codes are broken"))?;
        at += 1;
    }
    Ok(lengths)
}

/// Lengths of nearly equal codes for `count` symbols: those of the first symbols are one bit shorter.
fn flat_lengths(count: usize) -> impl Iterator<Item = u8> {
    let bits = count.next_power_of_two().ilog2() as u8;
    let short = (1 << bits) - count;
    (0..count).map(move |symbol| bits - u8::from(symbol < short))
}

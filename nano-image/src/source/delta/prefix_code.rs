//! Canonical prefix codes (§4). Codes of the same length ascend with their symbols; longer codes have lower numbers.
//! The bits of a code are stored highest first.

use super::bits::Bits;
use super::format::MAX_CODE;
use crate::error::Result;

/// Codes of at most this many bits are found with one table look-up.
const TABLE_BITS: u8 = 10;
/// Bits of a table entry that hold the length.
const LEN_BITS: u32 = 4;

/// A canonical prefix code. Some bit patterns may stand for no symbol: delta makers write such codes.
pub(super) struct PrefixCode {
    /// By the next bits: symbol and length of its code; 0 if the code is longer or there is none.
    table: Vec<u16>,
    /// By length: the first code, the number of codes, and the index in `symbols` of the first one.
    levels: Vec<(u32, u32, u32)>,
    symbols: Vec<u16>,
}

impl PrefixCode {
    /// The code with these lengths (at most [`MAX_CODE`]); length 0 means that the symbol does not occur.
    pub fn new(lengths: &[u8]) -> Self {
        let longest = lengths.iter().max().copied().unwrap_or(0);
        debug_assert!(longest <= MAX_CODE);
        let mut levels = vec![(0u32, 0u32, 0u32); usize::from(longest) + 1];
        lengths.iter().filter(|length| **length > 0).for_each(|length| levels[usize::from(*length)].1 += 1);
        let (mut next_code, mut place) = (0, 0);
        for (first, count, symbols) in levels.iter_mut().skip(1).rev() {
            (*first, *symbols) = (next_code, place);
            next_code = (next_code + *count) >> 1;
            place += *count;
        }
        let mut symbols: Vec<u16> =
            (0..lengths.len() as u16).filter(|symbol| lengths[usize::from(*symbol)] > 0).collect();
        symbols.sort_by_key(|symbol| std::cmp::Reverse(lengths[usize::from(*symbol)]));
        let table_bits = u32::from(longest.min(TABLE_BITS));
        let mut table = vec![0; 1 << table_bits];
        for (length, (first, count, symbols_start)) in (1..=table_bits).zip(&levels[1..]) {
            for index in 0..*count {
                let code = first + index;
                if code >> length != 0 {
                    break;
                }
                let entry = symbols[(symbols_start + index) as usize] << LEN_BITS | length as u16;
                let start = code.reverse_bits() >> (32 - length);
                // Where codes overlap, the shorter one wins.
                table.iter_mut().skip(start as usize).step_by(1 << length).filter(|place| **place == 0).for_each(
                    |place| {
                        *place = entry;
                    },
                );
            }
        }
        Self { table, levels, symbols }
    }

    /// Reads a symbol.
    #[inline]
    pub fn read(&self, bits: &mut Bits<'_>) -> Result<u16> {
        let word = bits.peek();
        let entry = self.table[word as usize & (self.table.len() - 1)];
        if entry == 0 {
            return self.read_long(bits, word);
        }
        bits.skip(u32::from(entry) & ((1 << LEN_BITS) - 1))?;
        Ok(entry >> LEN_BITS)
    }

    /// Reads a symbol whose code is too long for the table.
    #[cold]
    fn read_long(&self, bits: &mut Bits<'_>, word: u64) -> Result<u16> {
        let mut code = 0;
        for (length, (first, count, symbols)) in (1..).zip(self.levels.iter().skip(1)) {
            code = code << 1 | (word >> (length - 1)) as u32 & 1;
            if let Some(index) = code.checked_sub(*first).filter(|index| index < count) {
                bits.skip(length)?;
                return Ok(self.symbols[(symbols + index) as usize]);
            }
        }
        bits.skip(self.levels.len() as u32 - 1)?;
        Err(bits.corrupt("a code that stands for nothing"))
    }
}

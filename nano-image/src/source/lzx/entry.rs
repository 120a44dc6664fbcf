//! Entries of the tables: all that there is to know of a symbol, in 32 bits.
//!
//! | bits | of | |
//! |---|---|---|
//! | 0–5 | all | how many bits it takes: the code, and what of the offset is plain bits |
//! | 6–14 | literals, matches, length symbols | bytes that it makes; of a length symbol those that it adds |
//! | 15–19 | matches | how many bits of the offset are plain |
//! | 16–23 | literals, other codes | the byte, the symbol |
//! | 20–23 | matches | the first bits of the offset, before the plain ones |
//! | 24–26 | aligned symbols | the last bits of the offset |
//! | 28–31 | all | [`LONG`], [`ALIGNED`], [`LENGTH`], [`MATCH`] |

/// The code is longer than the table, which cannot tell its symbol.
pub const LONG: u32 = 1 << 28;
/// The last three bits of the offset are an aligned symbol.
pub const ALIGNED: u32 = 1 << 29;
/// A length symbol follows the code.
pub const LENGTH: u32 = 1 << 30;
/// A match, else a literal.
pub const MATCH: u32 = 1 << 31;

/// The shortest match.
const MIN_MATCH: u32 = 2;
/// Symbols of the main code with a window of 2 MiB.
const MAX_MAIN: usize = 256 + 8 * 50;

/// Entries of the main code, without the lengths of codes, in verbatim blocks.
pub static VERBATIM: [u32; MAX_MAIN] = main_entries(false);
/// The same in blocks with aligned offsets.
pub static WITH_ALIGNED: [u32; MAX_MAIN] = main_entries(true);

const fn main_entries(aligned: bool) -> [u32; MAX_MAIN] {
    let mut entries = [0; MAX_MAIN];
    let mut symbol = 0;
    while symbol < MAX_MAIN {
        entries[symbol] = if symbol < 256 {
            (symbol as u32) << 16 | 1 << 6
        } else {
            let (slot, header) = ((symbol - 256) as u32 / 8, symbol as u32 % 8);
            // An offset has these bits first, and as many plain ones.
            let (first, plain) = match slot {
                0..4 => (slot, 0),
                4..36 => (2 + slot % 2, slot / 2 - 1),
                _ => (slot - 34, 17),
            };
            let is_aligned = aligned && plain >= 3;
            let plain = if is_aligned { plain - 3 } else { plain };
            let flags = MATCH | if is_aligned { ALIGNED } else { 0 } | if header == 7 { LENGTH } else { 0 };
            flags | first << 20 | plain << 15 | (MIN_MATCH + header) << 6 | plain
        };
        symbol += 1;
    }
    entries
}

/// Entry of a symbol of the length code, without the length of its code.
pub fn length_entry(symbol: usize) -> u32 {
    (symbol as u32) << 6
}

/// Entry of a symbol of the aligned code, without the length of its code.
pub fn aligned_entry(symbol: usize) -> u32 {
    (symbol as u32) << 24
}

/// Entry of a symbol of the code for lengths, without the length of its code.
pub fn plain_entry(symbol: usize) -> u32 {
    (symbol as u32) << 16
}

/// How many bits an entry takes.
#[inline(always)]
pub fn taken(entry: u32) -> u32 {
    entry & 63
}

/// How many bits of a match's offset are plain.
#[inline(always)]
pub fn plain_count(entry: u32) -> u32 {
    entry >> 15 & 31
}

/// The byte of a literal, or the symbol of a plain entry.
#[inline(always)]
pub fn byte(entry: u32) -> u8 {
    (entry >> 16) as u8
}

/// Bytes that a literal or a match makes.
#[inline(always)]
pub fn made(entry: u32) -> usize {
    (entry >> 6 & 0x1FF) as usize
}

/// The offset as the format counts it: 0, 1, 2 are those before, others are 2 more than the offset. `plain` ends with
/// the plain bits; the aligned symbol's entry was added to `entry`.
#[inline(always)]
pub fn formatted_offset(entry: u32, plain: u64) -> u32 {
    let count = plain_count(entry);
    let value = (entry >> 20 & 15) << count | plain as u32 & ((1 << count) - 1);
    if entry & ALIGNED == 0 { value } else { value << 3 | entry >> 24 & 7 }
}

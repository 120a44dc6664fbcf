//! Entries of the tables: everything about a symbol, in 32 bits.
//!
//! | bits | for | |
//! |---|---|---|
//! | 0–5 | all | how many bits it takes: the code, and the plain bits of the offset |
//! | 6–14 | literals, matches, length symbols | how many bytes it produces; for a length symbol, how many it adds |
//! | 15–19 | matches | how many bits of the offset are plain |
//! | 16–23 | literals, other codes | the byte, the symbol |
//! | 20–23 | matches | the first bits of the offset, before the plain ones |
//! | 24–26 | aligned symbols | the last bits of the offset |
//! | 28–31 | all | [`LONG`], [`ALIGNED`], [`LENGTH`], [`MATCH`] |

/// The code is too long for the table, which does not know its symbol.
pub const LONG: u32 = 1 << 28;
/// The last three bits of the offset are given by an aligned symbol.
pub const ALIGNED: u32 = 1 << 29;
/// A length symbol follows the code.
pub const LENGTH: u32 = 1 << 30;
/// It is a match; otherwise a literal.
pub const MATCH: u32 = 1 << 31;

/// The shortest match.
const MIN_MATCH: u32 = 2;
/// Symbols of the main code with a window of 2 MiB.
const MAX_MAIN: usize = 256 + 8 * 50;

/// Entries of the main code for verbatim blocks, without the lengths of codes.
pub static VERBATIM: [u32; MAX_MAIN] = main_entries(false);
/// Entries of the main code for blocks with aligned offsets.
pub static WITH_ALIGNED: [u32; MAX_MAIN] = main_entries(true);

const fn main_entries(aligned: bool) -> [u32; MAX_MAIN] {
    let mut entries = [0; MAX_MAIN];
    let mut symbol = 0;
    while symbol < MAX_MAIN {
        entries[symbol] = if symbol < 256 {
            (symbol as u32) << 16 | 1 << 6
        } else {
            let (slot, header) = ((symbol - 256) as u32 / 8, symbol as u32 % 8);
            // An offset begins with the bits `first`, and then has `plain` plain bits.
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

/// The byte of a literal, or the symbol of another code.
#[inline(always)]
pub fn byte(entry: u32) -> u8 {
    (entry >> 16) as u8
}

/// Number of bytes that a literal or a match produces.
#[inline(always)]
pub fn made(entry: u32) -> usize {
    (entry >> 6 & 0x1FF) as usize
}

/// The offset as the format counts it: 0, 1 and 2 are the last three offsets, other values are the offset plus 2.
/// `plain` ends with the plain bits. The entry of the aligned symbol, if any, has been added to `entry`.
#[inline(always)]
pub fn formatted_offset(entry: u32, plain: u64) -> u32 {
    let count = plain_count(entry);
    let value = (entry >> 20 & 15) << count | plain as u32 & ((1 << count) - 1);
    if entry & ALIGNED == 0 { value } else { value << 3 | entry >> 24 & 7 }
}

//! Headers of blocks: their kind and their codes.

use super::bits::{Bits, CUT};
use super::code::{BROKEN, Code};
use super::entry::{VERBATIM, WITH_ALIGNED, aligned_entry, byte, length_entry, plain_entry};

/// How many bits the table of the main code is indexed with.
pub const MAIN_BITS: u32 = 11;
/// Message for a block of no bytes.
pub const EMPTY: &str = "LZX: an empty block";
/// Symbols of the length code.
const LENGTHS: usize = 249;

/// The codes of a block, and their lengths, from which the lengths of the next block are stored as differences.
pub struct Codes {
    pub main: Code<{ 1 << MAIN_BITS }>,
    pub length: Code<256>,
    /// The aligned code, indexed with the next 7 bits. The same number of zeros precedes it, for matches without an
    /// aligned symbol.
    pub aligned: [u32; 256],
    main_lengths: Vec<u8>,
    length_lengths: [u8; LENGTHS],
    /// The code for lengths, also used for the aligned code.
    pre: Code<128>,
}

/// Kinds of blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Offsets are stored in plain bits.
    Verbatim,
    /// The last bits of offsets are symbols of a code.
    Aligned,
    /// Uncompressed bytes.
    Stored,
}

impl Codes {
    /// Codes for a window of 2^`window_bits` bytes, 15 to 21.
    pub fn new(window_bits: u8) -> Self {
        let slots = match window_bits {
            20 => 42,
            21 => 50,
            bits => 2 * usize::from(bits),
        };
        Self {
            main: Code::new(),
            length: Code::new(),
            aligned: [0; 256],
            main_lengths: vec![0; 256 + 8 * slots],
            length_lengths: [0; LENGTHS],
            pre: Code::new(),
        }
    }

    /// Forgets the lengths.
    pub fn reset(&mut self) {
        self.main_lengths.fill(0);
        self.length_lengths.fill(0);
    }

    /// Reads the codes of a block of `kind`, which must not be [`Kind::Stored`].
    pub fn read(&mut self, bits: &mut Bits<'_>, kind: Kind) -> Result<(), &'static str> {
        if kind == Kind::Aligned {
            let mut lengths = [0; 8];
            for length in &mut lengths {
                *length = bits.take(3)? as u8;
            }
            self.pre.fill(&lengths, aligned_entry)?;
            if self.pre.is_empty() {
                return Err(BROKEN);
            }
            self.aligned[128..].copy_from_slice(&self.pre.table);
        }
        let (literals, matches) = self.main_lengths.split_at_mut(256);
        read_lengths(&mut self.pre, bits, literals)?;
        read_lengths(&mut self.pre, bits, matches)?;
        read_lengths(&mut self.pre, bits, &mut self.length_lengths)?;
        let entries = if kind == Kind::Aligned { &WITH_ALIGNED } else { &VERBATIM };
        self.main.fill(&self.main_lengths, |symbol| entries[symbol])?;
        self.length.fill(&self.length_lengths, length_entry)?;
        if self.main.is_empty() { Err(BROKEN) } else { Ok(()) }
    }
}

/// Reads the kind of a block.
pub fn read_kind(bits: &mut Bits<'_>) -> Result<Kind, &'static str> {
    match bits.take(3)? {
        1 => Ok(Kind::Verbatim),
        2 => Ok(Kind::Aligned),
        3 => Ok(Kind::Stored),
        _ => Err("LZX: a block of unknown kind"),
    }
}

/// The last three offsets, which precede a stored block, and the position of its bytes. Its header ends at bit
/// `position` of `bytes`.
pub fn stored_offsets(position: usize, bytes: &[u8]) -> Result<([u32; 3], usize), &'static str> {
    // They begin at the next whole word. If the position is at a word already, one word is skipped.
    let at = position / 16 * 2 + 2;
    let offsets = bytes.get(at..at + 12).ok_or(CUT)?.as_chunks().0;
    Ok((std::array::from_fn(|index| u32::from_le_bytes(offsets[index])), at + 12))
}

/// Reads the lengths of codes: differences from the previous lengths, and runs.
fn read_lengths(code: &mut Code<128>, bits: &mut Bits<'_>, lengths: &mut [u8]) -> Result<(), &'static str> {
    let mut pre_lengths = [0; 20];
    for length in &mut pre_lengths {
        *length = bits.take(4)? as u8;
    }
    code.fill(&pre_lengths, plain_entry)?;
    let less = |length: u8, by: u8| if length >= by { length - by } else { length + 17 - by };
    let mut at = 0;
    while at < lengths.len() {
        // 15 bits for a code, then 5 bits, or 1 bit and another code.
        bits.refill()?;
        let found = code.entry(bits.next())?;
        bits.skip(found);
        let mut plain = |count: u32| {
            let value = (bits.next() >> (64 - count)) as usize;
            bits.skip(count);
            value
        };
        let (run, length) = match byte(found) {
            17 => (4 + plain(4), 0),
            18 => (20 + plain(5), 0),
            19 => {
                let run = 4 + plain(1);
                let found = code.entry(bits.next())?;
                bits.skip(found);
                let symbol = byte(found);
                (run, if symbol > 16 { return Err(BROKEN) } else { less(lengths[at], symbol) })
            }
            symbol => {
                lengths[at] = less(lengths[at], symbol);
                at += 1;
                continue;
            }
        };
        lengths.get_mut(at..at + run).ok_or(BROKEN)?.fill(length);
        at += run;
    }
    Ok(())
}

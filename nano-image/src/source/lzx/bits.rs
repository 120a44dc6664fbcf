//! Bits of little-endian 16-bit words, the highest first.

/// Zero bytes behind the swapped words, so that a refill never looks beyond the end.
pub const PADDING: usize = 64;

/// Copies the whole words of `bytes` to `swapped`, with the two bytes of each swapped, so that they form one stream of
/// bits. Zeros follow them.
pub fn swap_words(bytes: &[u8], swapped: &mut [u8]) {
    let end = bytes.len() / 2 * 2;
    let swap = |word: &[u8; 8]| {
        let (word, low) = (u64::from_le_bytes(*word), 0x00FF_00FF_00FF_00FF);
        (word >> 8 & low | (word & low) << 8).to_le_bytes()
    };
    let (words, rest) = bytes[..end].as_chunks();
    let (targets, behind) = swapped.split_at_mut(8 * words.len());
    for (target, word) in targets.as_chunks_mut().0.iter_mut().zip(words) {
        *target = swap(word);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    behind[..8].copy_from_slice(&swap(&last));
    swapped[end..end + PADDING].fill(0);
}

/// Reads bits from 16-bit words whose bytes are swapped.
#[derive(Clone, Copy)]
pub struct Bits<'a> {
    /// The swapped words and [`PADDING`].
    bytes: &'a [u8],
    /// Index of the next byte that is not in `word`.
    at: usize,
    /// The next bits, starting from the highest. Below the `count` valid bits there are the bits that follow in
    /// `bytes`.
    word: u64,
    /// How many bits of `word` are valid, in the lowest 6 bits.
    count: u32,
}

/// Message for input that ends within a code.
pub const CUT: &str = "LZX: a block ends within a code";

impl<'a> Bits<'a> {
    /// Starts at byte `at` of swapped words.
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, word: 0, count: 0 }
    }

    /// Starts at bit `position`.
    pub fn at_bit(bytes: &'a [u8], position: usize) -> Result<Self, &'static str> {
        let mut bits = Self::new(bytes, position / 8);
        bits.refill()?;
        bits.skip((position % 8) as u32);
        Ok(bits)
    }

    /// Makes [`next`](Self::next) hold at least 56 valid bits.
    #[inline(always)]
    pub fn refill(&mut self) -> Result<(), &'static str> {
        let next = self.bytes.get(self.at..).and_then(|bytes| bytes.first_chunk()).ok_or(CUT)?;
        self.word |= u64::from_be_bytes(*next) >> (self.count & 63);
        self.at += (!self.count & 63) as usize / 8;
        self.count |= 56;
        Ok(())
    }

    /// The next bits, starting from the highest.
    #[inline(always)]
    pub fn next(&self) -> u64 {
        self.word
    }

    /// Skips as many bits as the lowest 6 bits of `count` say. The other bits of `count` are ignored.
    #[inline(always)]
    pub fn skip(&mut self, count: u32) {
        self.word <<= count & 63;
        self.count = self.count.wrapping_sub(count);
    }

    /// Takes `count` bits, 1 to 32.
    pub fn take(&mut self, count: u32) -> Result<u32, &'static str> {
        self.refill()?;
        let value = (self.word >> (64 - count)) as u32;
        self.skip(count);
        Ok(value)
    }

    /// How many bits have been taken.
    pub fn position(&self) -> usize {
        8 * self.at - (self.count & 63) as usize
    }

    /// Whether more bits have been taken than there are.
    pub fn is_behind_end(&self) -> bool {
        self.position() > 8 * (self.bytes.len() - PADDING)
    }
}

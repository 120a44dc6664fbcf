//! Canonical prefix codes: shorter codes have lower numbers.

use super::entry::LONG;

/// The longest code, in bits.
pub const MAX_LEN: usize = 16;
/// At least the number of symbols of any code.
const MAX_SYMBOLS: usize = 256 + 8 * 50;

/// Message for lengths that form no valid prefix code.
pub const BROKEN: &str = "LZX: a code is broken";

/// A code. `table` has an entry for each value of the next `BITS` bits (`1 << BITS == ENTRIES`); longer codes are found
/// by comparison.
pub struct Code<const ENTRIES: usize> {
    /// The entry of the symbol whose code comes next; [`LONG`] if the code is too long for the table.
    pub table: [u32; ENTRIES],
    /// By length: the first 16-bit number that is above all codes up to this length. 0 for lengths that are in the
    /// table.
    limits: [u32; MAX_LEN + 1],
    /// By length: what must be added to the first bits of a number to get the index of its symbol in `sorted`.
    places: [u32; MAX_LEN + 1],
    /// Entries of symbols with longer codes, sorted by code.
    sorted: [u32; MAX_SYMBOLS],
}

impl<const ENTRIES: usize> Code<ENTRIES> {
    const BITS: usize = ENTRIES.ilog2() as usize;

    /// A code without symbols.
    pub const fn new() -> Self {
        Self { table: [LONG; ENTRIES], limits: [0; 17], places: [0; 17], sorted: [0; MAX_SYMBOLS] }
    }

    /// Becomes the code with these lengths, which must use all codes or none. Length 0 means that the symbol does not
    /// occur. Each entry is that of `entries` for the symbol, with the length added to the number of bits that it
    /// takes.
    pub fn fill(&mut self, lengths: &[u8], entries: impl Fn(usize) -> u32) -> Result<(), &'static str> {
        // Two rows of counters: often the same length comes twice in a row, and the second would wait for the first.
        let mut rows = [[0u32; 32]; 2];
        let (pairs, odd) = lengths.as_chunks();
        for [one, other] in pairs {
            rows[0][usize::from(*one & 31)] += 1;
            rows[1][usize::from(*other & 31)] += 1;
        }
        for length in odd {
            rows[0][usize::from(*length & 31)] += 1;
        }
        let counts: [u32; MAX_LEN + 1] = std::array::from_fn(|length| rows[0][length] + rows[1][length]);
        let mut starts = [0u32; MAX_LEN + 1];
        let (mut used, mut symbols) = (0u32, 0u32);
        for length in 1..=MAX_LEN {
            starts[length] = symbols;
            // The index of the symbol that has the first number of this length.
            self.places[length] = symbols.wrapping_sub(used >> (MAX_LEN - length));
            used += counts[length] << (MAX_LEN - length);
            symbols += counts[length];
            self.limits[length] = if length <= Self::BITS { 0 } else { used };
        }
        if used == 0 {
            self.table.fill(LONG);
            self.limits.fill(0);
            return Ok(());
        }
        if used != 1 << MAX_LEN {
            return Err(BROKEN);
        }
        let mut next = starts;
        for (symbol, length) in lengths.iter().enumerate() {
            if *length > 0 {
                let place = &mut next[usize::from(*length)];
                self.sorted[*place as usize] = entries(symbol) + u32::from(*length);
                *place += 1;
            }
        }
        let mut at = 0;
        for length in 1..=Self::BITS {
            let run = 1 << (Self::BITS - length);
            let from = starts[length] as usize;
            let sorted = &self.sorted[from..from + counts[length] as usize];
            let end = at + run * sorted.len();
            let table = &mut self.table[at..end];
            match run {
                1 => table.copy_from_slice(sorted),
                2 => table.as_chunks_mut().0.iter_mut().zip(sorted).for_each(|(pair, entry)| *pair = [*entry; 2]),
                _ => {
                    for (run, entry) in table.chunks_exact_mut(run).zip(sorted) {
                        run.as_chunks_mut().0.iter_mut().for_each(|part| *part = [*entry; 4]);
                    }
                }
            }
            at = end;
        }
        self.table[at..].fill(LONG);
        Ok(())
    }

    /// Whether no symbol has a code.
    pub fn is_empty(&self) -> bool {
        self.table[0] == LONG && self.limits[MAX_LEN] == 0
    }

    /// The entry of the code at the start of `next`, which is longer than the table.
    #[cold]
    pub fn long(&self, next: u64) -> Result<u32, &'static str> {
        let number = (next >> 48) as u32;
        let length = (Self::BITS + 1..=MAX_LEN).find(|length| number < self.limits[*length]).ok_or(BROKEN)?;
        let place = self.places[length].wrapping_add(number >> (MAX_LEN - length));
        self.sorted.get(place as usize).copied().ok_or(BROKEN)
    }

    /// The entry of the code at the start of `next`.
    #[inline(always)]
    pub fn entry(&self, next: u64) -> Result<u32, &'static str> {
        let entry = self.table[(next >> (64 - Self::BITS)) as usize];
        if entry & LONG == 0 { Ok(entry) } else { self.long(next) }
    }
}

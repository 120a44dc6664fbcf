//! Rift tables (§5): each number is shifted by an amount that changes at breakpoints. Numbers wrap at 64 bits.

mod algebra;

use super::bits::Bits;
use super::prefix_code::PrefixCode;
use crate::error::{Error, Result};

/// Tables with more breakpoints are refused; large programs have some ten thousand.
pub(super) const MAX_ENTRIES: usize = 1 << 19;

/// Symbols of an integer format: half of them for numbers from 0 up, half for negative ones.
const INTEGER_SYMBOLS: usize = 252;
const HALF: usize = INTEGER_SYMBOLS / 2;

/// A table, sorted by source. Of breakpoints with the same source the last one wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rift(pub Vec<Breakpoint>);

/// From `source` up to the next breakpoint, numbers are shifted by `target - source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Breakpoint {
    pub source: i64,
    pub target: i64,
}

impl Breakpoint {
    pub fn shift(self) -> i64 {
        self.target.wrapping_sub(self.source)
    }
}

impl Rift {
    /// The table with `entries`, which may be in any order.
    pub fn new(mut entries: Vec<Breakpoint>) -> Self {
        entries.sort_by_key(|entry| entry.source);
        Self(entries)
    }

    /// Reads a table.
    pub fn read(bits: &mut Bits<'_>) -> Result<Self> {
        if !bits.flag()? {
            return Ok(Self::default());
        }
        let (sources, targets) = (IntegerFormat::read(bits)?, IntegerFormat::read(bits)?);
        let place = bits.place();
        let count = bits.size()?;
        if count > MAX_ENTRIES as u64 {
            return Err(Error::unsupported(format!("a rift table of {count} entries")).at(place));
        }
        let mut entries = Vec::new();
        let (mut source, mut distance) = (0i64, 0i64);
        for _ in 0..count {
            source = source.wrapping_add(sources.value(bits)?);
            distance = distance.wrapping_add(targets.value(bits)?);
            entries.push(Breakpoint { source, target: source.wrapping_add(distance) });
        }
        Ok(Self::new(entries))
    }

    /// Index of the breakpoint that is in force at `at`. Before the first breakpoint the last one is in force. `None`
    /// if the table is empty.
    pub fn place(&self, at: i64) -> Option<usize> {
        let after = self.0.partition_point(|entry| entry.source <= at);
        after.checked_sub(1).or(self.0.len().checked_sub(1))
    }

    /// The position in the result for position `at` of the basis.
    pub fn map(&self, at: i64) -> i64 {
        self.place(at).map_or(at, |place| at.wrapping_add(self.0[place].shift()))
    }

    /// The address in the result for address `rva` of the basis.
    pub fn map_address(&self, rva: u32) -> u32 {
        self.map(rva.into()) as u32
    }
}

/// How the numbers of a table are coded: a symbol for sign and size, then bits.
struct IntegerFormat(PrefixCode);

impl IntegerFormat {
    fn read(bits: &mut Bits<'_>) -> Result<Self> {
        let place = bits.place();
        let mut count = || bits.take(8).map(|count| count as usize);
        let (positive, negative, fill) = (count()?, count()?, count()?);
        if positive > HALF || negative > HALF || fill > INTEGER_SYMBOLS - positive - negative {
            return Err(Error::corrupt("the codes of a rift table are broken").at(place));
        }
        let mut lengths = [0; INTEGER_SYMBOLS];
        let length = |bits: &mut Bits<'_>| bits.take(4).map(|length| length as u8 + 1);
        for place in lengths[..positive].iter_mut() {
            *place = length(bits)?;
        }
        for place in lengths[HALF..HALF + negative].iter_mut() {
            *place = length(bits)?;
        }
        let last = length(bits)?;
        let rest = (positive..HALF).chain(HALF + negative..INTEGER_SYMBOLS);
        for (index, symbol) in rest.enumerate() {
            lengths[symbol] = if index < fill { last } else { last - 1 };
        }
        Ok(Self(PrefixCode::new(&lengths)))
    }

    fn value(&self, bits: &mut Bits<'_>) -> Result<i64> {
        let symbol = usize::from(self.0.read(bits)?);
        let class = (symbol % HALF) as u32;
        let value = if class <= 3 {
            class.into()
        } else {
            let count = (class >> 1) - 1;
            u64::from(2 | class & 1) << count | bits.take(count)?
        };
        Ok(if symbol < HALF { value as i64 } else { !(value as i64) })
    }
}

//! Composition and inversion of rift tables (§10).

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use super::{Breakpoint, MAX_ENTRIES, Rift};
use crate::error::{Error, Result};

/// The largest number plus one.
const END: i128 = i64::MAX as i128 + 1;

impl Rift {
    /// The table that applies `self`, then `next`. An empty table changes nothing.
    pub fn then(self, next: &Self) -> Result<Self> {
        if self.0.is_empty() || next.0.is_empty() {
            return Ok(if self.0.is_empty() { next.clone() } else { self });
        }
        let mut made = Vec::new();
        let (first, last) = (self.0[0], self.0[self.0.len() - 1]);
        // Before the first breakpoint the last one is in force.
        if let Some(end) = first.source.checked_sub(1) {
            compose(i64::MIN, end, last.shift(), next, &mut made)?;
        }
        for (index, entry) in self.0.iter().enumerate() {
            let end = match self.0.get(index + 1) {
                None => i64::MAX,
                Some(after) if after.source == entry.source => continue,
                Some(after) => after.source - 1,
            };
            compose(entry.source, end, entry.shift(), next, &mut made)?;
        }
        Ok(Self::new(made))
    }

    /// The inverse table. Where several numbers lead to the same one, the first of them counting up from 0 wins.
    pub fn reverse(&self) -> Result<Self> {
        let entries = &self.0;
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(Self::default()) };
        if first.source == last.source {
            return Ok(Self(vec![Breakpoint { source: 0, target: first.shift() }]));
        }
        let start = self.place(0).expect("not empty");
        let mut walk = Reverse::default();
        let (mut index, mut at) = (start, 0i64);
        loop {
            let shift = entries[index].shift();
            index = (index + 1) % entries.len();
            let end = entries[index].source;
            walk.piece(at, end.wrapping_sub(at) as u64, shift)?;
            at = end;
            if index == start {
                break;
            }
        }
        walk.made.sort_by_key(|entry| entry.source);
        walk.made.retain(|entry| entry.source != i64::MIN && entry.target != i64::MIN);
        // Of breakpoints with the same source the last one wins.
        walk.made.reverse();
        walk.made.dedup_by_key(|entry| entry.source);
        walk.made.reverse();
        Ok(Self(walk.made))
    }
}

/// Adds breakpoints for the numbers from `start` to `end`, both included, which are shifted by `shift` and then mapped
/// by `next`.
fn compose(start: i64, end: i64, shift: i64, next: &Rift, made: &mut Vec<Breakpoint>) -> Result<()> {
    let image = start.wrapping_add(shift);
    add(made, Breakpoint { source: start, target: next.map(image) })?;
    // The breakpoints of `next` in the shifted range, which may wrap.
    let len = end.wrapping_sub(start) as u64;
    let after = next.0.partition_point(|entry| entry.source <= image);
    let (before, behind) = next.0.split_at(after);
    let inside = behind.iter().chain(before).take_while(|entry| {
        let distance = entry.source.wrapping_sub(image) as u64;
        distance > 0 && distance <= len
    });
    let mut last = image;
    for entry in inside {
        if entry.source != last {
            last = entry.source;
            add(made, Breakpoint { source: last.wrapping_sub(shift), target: next.map(last) })?;
        }
    }
    Ok(())
}

fn add(made: &mut Vec<Breakpoint>, entry: Breakpoint) -> Result<()> {
    if made.len() == MAX_ENTRIES {
        return Err(Error::unsupported(format!("a map of addresses of more than {MAX_ENTRIES} pieces")));
    }
    made.push(entry);
    Ok(())
}

/// The state of [`Rift::reverse`].
#[derive(Default)]
struct Reverse {
    made: Vec<Breakpoint>,
    /// Intervals that are reached already, each from its start to the number after its end. They do not touch.
    covered: BTreeMap<i128, i128>,
}

impl Reverse {
    /// Handles `len` numbers from `start`, which are shifted by `shift`.
    fn piece(&mut self, start: i64, len: u64, shift: i64) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        let image = i128::from(start.wrapping_add(shift));
        let end = image + i128::from(len);
        self.interval(image, end.min(END), shift)?;
        if end > END {
            let low = i128::from(i64::MIN);
            self.interval(low, low + (end - END), shift)?;
        }
        Ok(())
    }

    /// Adds the parts of an interval that are not covered yet.
    fn interval(&mut self, start: i128, end: i128, shift: i64) -> Result<()> {
        let (mut merged_start, mut merged_end) = (start, end);
        let mut at = start;
        // The interval that begins at or before `start`, if it reaches `start`.
        if let Some((&before, &before_end)) = self.covered.range(..=start).next_back()
            && before_end >= start
        {
            (merged_start, merged_end) = (before, merged_end.max(before_end));
            at = before_end;
        }
        while let Some((&next, &next_end)) = self.covered.range((Excluded(start), Unbounded)).next() {
            if next > end {
                break;
            }
            self.covered.remove(&next);
            self.uncovered(at, next.min(end), shift)?;
            at = at.max(next_end);
            merged_end = merged_end.max(next_end);
        }
        self.uncovered(at, end, shift)?;
        self.covered.insert(merged_start, merged_end);
        Ok(())
    }

    fn uncovered(&mut self, start: i128, end: i128, shift: i64) -> Result<()> {
        if start >= end {
            return Ok(());
        }
        let source = start as i64;
        add(&mut self.made, Breakpoint { source, target: source.wrapping_sub(shift) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rift(entries: &[(i64, i64)]) -> Rift {
        Rift::new(entries.iter().map(|&(source, target)| Breakpoint { source, target }).collect())
    }

    #[test]
    fn one_after_the_other() {
        let (one, two) = (rift(&[(0, 100), (10, 5)]), rift(&[(0, 1000), (8, 0), (104, 50)]));
        let both = one.clone().then(&two).unwrap();
        for x in [i64::MIN, -1, 0, 3, 4, 9, 10, 12, 13, 14, 108, 109, i64::MAX] {
            assert_eq!(both.map(x), two.map(one.map(x)), "{x}");
        }
        // The last shift of the first table (-5) is in force below 0, too.
        let sources: Vec<i64> = both.0.iter().map(|entry| entry.source).collect();
        assert_eq!(sources, [i64::MIN, 0, 4, 10, 13, 109]);
        assert_eq!(Rift::default().then(&two).unwrap(), two);
        assert_eq!(two.clone().then(&Rift::default()).unwrap(), two);
    }

    #[test]
    fn images_that_wrap() {
        let (one, two) = (rift(&[(i64::MAX - 5, i64::MAX - 1)]), rift(&[(i64::MIN + 1, 7), (0, 0)]));
        let both = one.clone().then(&two).unwrap();
        for x in (0..12).map(|x| (i64::MAX - 6).wrapping_add(x)) {
            assert_eq!(both.map(x), two.map(one.map(x)), "{x}");
        }
    }

    #[test]
    fn turned_around() {
        assert_eq!(Rift::default().reverse().unwrap(), Rift::default());
        let back = rift(&[(0, 0), (0x400, 0x1000), (0x600, 0x3000)]).reverse().unwrap();
        // The gaps belong to the last shift, which wraps around to 0.
        for (target, source) in [(0, 0), (0x3FF, 0x3FF), (0x1000, 0x400), (0x11FF, 0x5FF), (0x3000, 0x600)] {
            assert_eq!(back.map(target), source, "{target:#x}");
        }
        assert_eq!(back.map(0x2000), 0x2000 - 0x2A00);
        // Of several numbers, the smallest one from 0 up wins.
        let back = rift(&[(0, 100), (10, 100), (20, 110)]).reverse().unwrap();
        assert_eq!((back.map(100), back.map(109), back.map(110), back.map(120)), (0, 9, 20, 30));
    }
}

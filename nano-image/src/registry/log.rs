//! Dirty hives: replaying log files.
//!
//! Windows writes changes to a log before it writes them to the hive. If the two sequence numbers of a hive differ, or
//! its base block is damaged, a write did not finish; the log then holds what is missing.

use zerocopy::FromBytes;

use super::check;
use super::format::*;
use super::hive::{Hive, base_block};
use crate::error::{Error, Result};

impl Hive {
    /// Reads a hive that may be dirty. `logs` are the contents of its log files (`.LOG1`, `.LOG2`, `.LOG`), in any
    /// order; they may be empty. A clean hive needs no logs and ignores them. After a recovery [`Self::into_bytes`]
    /// gives a clean hive.
    ///
    /// # Errors
    /// As [`Self::parse`]; [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if the hive is dirty and no log fits it.
    pub fn recover(mut bytes: Vec<u8>, logs: &[&[u8]]) -> Result<Self> {
        let dirty = Self::is_dirty(&bytes);
        if matches!(dirty, Ok(false)) || bytes.len() < BASE_BLOCK_LEN {
            return Self::parse(bytes);
        }
        // If the base block is damaged or missing, the log can replace it.
        let base_is_good = dirty.is_ok() && checksum(&bytes) == stored_checksum(&bytes);
        let limit = logs.iter().fold(bytes.len(), |sum, log| sum.saturating_add(log.len()));
        let replayed = replay_entries(&mut bytes, logs, base_is_good, limit)?
            || replay_sectors(&mut bytes, logs, base_is_good, limit)?;
        if !replayed {
            dirty?;
            return Err(Error::corrupt("registry hive is dirty and none of its logs completes it")
                .at(4)
                .with_hint("supply the .LOG1 and .LOG2 of this very hive, or load and unload it on Windows once"));
        }
        let mut hive = check::open(bytes)?;
        hive.edited = true;
        Ok(hive)
    }

    /// Whether the last write of a hive did not finish.
    pub fn is_dirty(bytes: &[u8]) -> Result<bool> {
        let base = base_block(bytes)?;
        Ok(base.primary_sequence != base.secondary_sequence || checksum(bytes) != base.checksum.get())
    }
}

fn stored_checksum(base: &[u8]) -> u32 {
    BaseBlock::ref_from_prefix(base).map_or(0, |(base, _)| base.checksum.get())
}

/// The base block of a log, if it is undamaged and of one of these types.
fn log_base<'a>(log: &'a [u8], types: &[u32]) -> Option<&'a BaseBlock> {
    let (base, _) = BaseBlock::ref_from_prefix(log).ok()?;
    let good = base.signature == REGF && checksum(log) == base.checksum.get();
    (good && types.contains(&base.file_type.get())).then_some(base)
}

/// Replaces the base block of a hive with that of a log.
fn restore_base(bytes: &mut [u8], base: &BaseBlock) {
    let mut base = *base;
    base.file_type = TYPE_PRIMARY.into();
    zerocopy::IntoBytes::write_to_prefix(&base, bytes).expect("a hive has a base block");
}

/// Sets the length of all bins and makes the file long enough.
fn set_bins_len(bytes: &mut Vec<u8>, bins_len: u32, limit: usize) -> Result<()> {
    let end = BASE_BLOCK_LEN + bins_len as usize;
    if bins_len > MAX_BINS_LEN || end > limit {
        return Err(Error::corrupt(format!("registry log makes the hive {end} bytes long, more than it can fill")));
    }
    if end > bytes.len() {
        bytes.resize(end, 0);
    }
    BaseBlock::mut_from_prefix(bytes).expect("a hive has a base block").0.bins_len = bins_len.into();
    Ok(())
}

/// Writes one page at `offset` of the bins.
fn put_page(bytes: &mut [u8], bins_len: u32, offset: u32, page: &[u8]) -> Result<()> {
    let end = u64::from(offset) + page.len() as u64;
    if end > u64::from(bins_len) {
        return Err(Error::corrupt(format!("registry log holds a page for byte {offset:#x}, past the hive's end")));
    }
    let at = BASE_BLOCK_LEN + offset as usize;
    bytes[at..at + page.len()].copy_from_slice(page);
    Ok(())
}

/// Applies the entries of new logs; returns whether one of them continues the hive.
fn replay_entries(bytes: &mut Vec<u8>, logs: &[&[u8]], base_is_good: bool, limit: usize) -> Result<bool> {
    let mut logs: Vec<(&BaseBlock, Vec<GoodEntry<'_>>)> = logs
        .iter()
        .filter_map(|log| Some((log_base(log, &[TYPE_LOG])?, entries(log))))
        .filter(|(_, entries)| !entries.is_empty())
        .collect();
    logs.sort_by_key(|(_, entries)| entries[0].sequence);
    let Some((newest, _)) = logs.last() else { return Ok(false) };
    if !base_is_good {
        restore_base(bytes, newest);
    }
    let base = BaseBlock::ref_from_prefix(bytes).expect("a hive has a base block").0;
    // Changes up to this number were written completely and need no entry.
    let written = if base_is_good { base.secondary_sequence.get() } else { logs[0].1[0].sequence };
    let mut last: Option<u32> = None;
    for entry in logs.iter().flat_map(|(_, entries)| entries) {
        if entry.sequence < written || last.is_some_and(|last| entry.sequence <= last) {
            continue;
        }
        if last.is_some_and(|last| entry.sequence != last + 1) {
            break;
        }
        set_bins_len(bytes, entry.bins_len, limit)?;
        let mut data = entry.data;
        for page in entry.references {
            let (head, rest) = data
                .split_at_checked(page.len.get() as usize)
                .ok_or_else(|| Error::corrupt("registry log entry is shorter than its pages"))?;
            put_page(bytes, entry.bins_len, page.offset.get(), head)?;
            data = rest;
        }
        last = Some(entry.sequence);
    }
    if let Some(last) = last {
        let (base, _) = BaseBlock::mut_from_prefix(bytes).expect("a hive has a base block");
        (base.primary_sequence, base.secondary_sequence) = (last.into(), last.into());
    }
    Ok(last.is_some())
}

struct GoodEntry<'a> {
    sequence: u32,
    bins_len: u32,
    references: &'a [PageReference],
    data: &'a [u8],
}

/// The undamaged entries at the start of a log, as long as their sequence has no gap.
fn entries(log: &[u8]) -> Vec<GoodEntry<'_>> {
    let mut entries: Vec<GoodEntry<'_>> = Vec::new();
    let mut rest = log.get(LOG_SECTOR..).unwrap_or_default();
    while let Some((entry, len)) = entry(rest) {
        if entries.last().is_some_and(|last| last.sequence.checked_add(1) != Some(entry.sequence)) {
            break;
        }
        entries.push(entry);
        rest = &rest[len..];
    }
    entries
}

fn entry(bytes: &[u8]) -> Option<(GoodEntry<'_>, usize)> {
    let (head, _) = LogEntry::ref_from_prefix(bytes).ok()?;
    let len = head.len.get() as usize;
    let whole = bytes.get(..len).filter(|_| len.is_multiple_of(LOG_SECTOR) && len >= LOG_SECTOR)?;
    let body = &whole[size_of::<LogEntry>()..];
    if head.signature != HVLE
        || marvin32(MARVIN_SEED, &whole[..32]) != head.head_hash.get()
        || marvin32(MARVIN_SEED, body) != head.body_hash.get()
    {
        return None;
    }
    let pages = head.pages.get() as usize;
    let (references, data) = <[PageReference]>::ref_from_prefix_with_elems(body, pages).ok()?;
    Some((GoodEntry { sequence: head.sequence.get(), bins_len: head.bins_len.get(), references, data }, len))
}

/// Applies the dirty sectors of the newest old log that belongs to the hive; returns whether there was one.
fn replay_sectors(bytes: &mut Vec<u8>, logs: &[&[u8]], base_is_good: bool, limit: usize) -> Result<bool> {
    let primary = BaseBlock::ref_from_prefix(bytes).expect("a hive has a base block").0.primary_sequence;
    let fits = |base: &BaseBlock| {
        base.primary_sequence == base.secondary_sequence && (!base_is_good || base.primary_sequence == primary)
    };
    let logs = logs.iter().filter_map(|log| Some((log_base(log, &TYPES_OLD_LOG)?, *log)));
    let newest = logs.filter(|(base, _)| fits(base)).max_by_key(|(base, _)| base.primary_sequence.get());
    let Some((base, log)) = newest else { return Ok(false) };
    let bins_len = base.bins_len.get();
    let sectors = bins_len as usize / LOG_SECTOR;
    let cut_off = || Error::corrupt("registry log is cut off");
    let bitmap_at = LOG_SECTOR + DIRT.len();
    if log.get(LOG_SECTOR..bitmap_at) != Some(&DIRT) {
        return Err(Error::corrupt("registry log has no bitmap of dirty sectors").at(LOG_SECTOR as u64));
    }
    let bitmap = log.get(bitmap_at..bitmap_at + sectors.div_ceil(8)).ok_or_else(cut_off)?;
    restore_base(bytes, base);
    set_bins_len(bytes, bins_len, limit)?;
    let mut at = (bitmap_at + bitmap.len()).next_multiple_of(LOG_SECTOR);
    for sector in (0..sectors).filter(|sector| bitmap[sector / 8] & 1 << (sector % 8) != 0) {
        let page = log.get(at..at + LOG_SECTOR).ok_or_else(cut_off)?;
        put_page(bytes, bins_len, (sector * LOG_SECTOR) as u32, page)?;
        at += LOG_SECTOR;
    }
    Ok(true)
}

/// The hash Marvin32, which .NET publishes as its hash for strings.
pub(super) fn marvin32(seed: u64, bytes: &[u8]) -> u64 {
    let (mut low, mut high) = (seed as u32, (seed >> 32) as u32);
    let mut mix = |word: u32| {
        low = low.wrapping_add(word);
        high ^= low;
        low = low.rotate_left(20).wrapping_add(high);
        high = high.rotate_left(9) ^ low;
        low = low.rotate_left(27).wrapping_add(high);
        high = high.rotate_left(19);
    };
    let words = bytes.chunks_exact(4);
    let mut tail = [0; 4];
    tail[..words.remainder().len()].copy_from_slice(words.remainder());
    tail[words.remainder().len()] = 0x80;
    words.for_each(|word| mix(u32::from_le_bytes(word.try_into().expect("4 bytes"))));
    mix(u32::from_le_bytes(tail));
    mix(0);
    u64::from(high) << 32 | u64::from(low)
}

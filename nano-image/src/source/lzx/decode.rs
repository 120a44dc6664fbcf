//! Decodes symbols to bytes.

use super::bits::{Bits, CUT};
use super::copy::{SLACK, copy_match};
use super::entry::{ALIGNED, LENGTH, LONG, MATCH, byte, formatted_offset, made, plain_count, taken};
use super::header::{Codes, MAIN_BITS};

/// Message for a match that begins before the first byte.
const TOO_FAR: &str = "LZX: a match begins before the data or the window";
/// Message for a match that is longer than the rest of its block, or of its frame.
pub const TOO_LONG: &str = "LZX: a match continues behind its block";

/// Decodes exactly the bytes `at..end` of `buffer`, which has [`SLACK`](super::copy::SLACK) bytes behind `end`.
pub fn decode(
    bits: &mut Bits<'_>,
    codes: &Codes,
    recent: &mut [u32; 3],
    buffer: &mut [u8],
    mut at: usize,
    end: usize,
) -> Result<(), &'static str> {
    let (mut input, mut row) = (*bits, *recent);
    let buffer = buffer.get_mut(..end + SLACK).expect("slack");
    let last = end.saturating_sub(2);
    while at < last {
        input.refill()?;
        let mut entry = codes.main.table[(input.next() >> (64 - MAIN_BITS)) as usize];
        // Up to three literals of at most 11 bits; that leaves enough for the next lookup.
        let mut literals = 0;
        while entry & (MATCH | LONG) == 0 {
            input.skip(entry);
            buffer[at] = byte(entry);
            at += 1;
            literals += 1;
            if literals == 3 {
                break;
            }
            entry = codes.main.table[(input.next() >> (64 - MAIN_BITS)) as usize];
        }
        if literals == 3 {
            continue;
        }
        if literals > 0 {
            input.refill()?;
        }
        at = one(&mut input, codes, &mut row, buffer, at, end, entry)?;
    }
    while at < end {
        input.refill()?;
        let entry = codes.main.table[(input.next() >> (64 - MAIN_BITS)) as usize];
        at = one(&mut input, codes, &mut row, buffer, at, end, entry)?;
    }
    (*bits, *recent) = (input, row);
    if input.is_behind_end() { Err(CUT) } else { Ok(()) }
}

/// Decodes the symbol of `entry`; returns where the next byte goes.
#[inline(always)]
fn one(
    input: &mut Bits<'_>,
    codes: &Codes,
    recent: &mut [u32; 3],
    buffer: &mut [u8],
    at: usize,
    end: usize,
    mut entry: u32,
) -> Result<usize, &'static str> {
    if entry & LONG != 0 {
        entry = codes.main.long(input.next())?;
    }
    if entry & MATCH == 0 {
        input.skip(entry);
        buffer[at] = byte(entry);
        return Ok(at + 1);
    }
    if entry & LENGTH != 0 {
        let code = taken(entry) - plain_count(entry);
        entry += codes.length.entry(input.next() << code)?;
    }
    let plain = input.next().rotate_left(entry);
    input.skip(entry);
    if entry & ALIGNED != 0 {
        let aligned = codes.aligned[128 + (input.next() >> 57) as usize];
        input.skip(aligned);
        entry += aligned & !63;
    }
    let offset = next_offset(recent, formatted_offset(entry, plain)) as usize;
    let len = made(entry);
    if offset.wrapping_sub(1) >= at {
        return Err(TOO_FAR);
    }
    if len > end - at {
        return Err(TOO_LONG);
    }
    copy_match(buffer, at, offset, len);
    Ok(at + len)
}

/// The offset that `formatted` stands for. Updates the last three offsets.
#[inline(always)]
fn next_offset(recent: &mut [u32; 3], formatted: u32) -> u32 {
    if formatted < 3 {
        recent.swap(0, formatted as usize);
    } else {
        *recent = [formatted - 2, recent[0], recent[1]];
    }
    recent[0]
}

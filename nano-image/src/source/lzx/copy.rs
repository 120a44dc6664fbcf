//! Copies what a match repeats.

/// Bytes behind a match that may be overwritten.
pub const SLACK: usize = 64;

/// Copies `len` bytes to `at` from `offset`, which is at most `at`, before it; and some bytes more.
#[inline(always)]
pub fn copy_match(buffer: &mut [u8], at: usize, offset: usize, len: usize) {
    let end = at + len;
    if offset >= 8 {
        copy::<8>(buffer, at, offset);
        copy::<8>(buffer, at + 8, offset);
        let mut at = at + 16;
        while at < end {
            copy::<8>(buffer, at, offset);
            copy::<8>(buffer, at + 8, offset);
            at += 16;
        }
    } else {
        repeat(buffer, at, offset, end);
    }
}

#[inline(always)]
fn copy<const N: usize>(buffer: &mut [u8], at: usize, offset: usize) {
    let bytes: [u8; N] = *buffer[at - offset..].first_chunk().expect("slack");
    buffer[at..at + N].copy_from_slice(&bytes);
}

/// [`copy_match`] of 1 to 7 bytes again and again.
#[inline(always)]
fn repeat(buffer: &mut [u8], mut at: usize, offset: usize, end: usize) {
    let bits = 8 * offset as u32;
    let bytes = buffer[at - offset..].first_chunk().expect("slack");
    let one = u64::from_le_bytes(*bytes) & ((1 << bits) - 1);
    let two = one | one << bits;
    let four = two | two.checked_shl(2 * bits).unwrap_or(0);
    let pattern = four | four.checked_shl(4 * bits).unwrap_or(0);
    // Each time as many whole repetitions as there are in 8 bytes.
    let step = 8 / offset * offset;
    while at < end {
        buffer[at..at + 8].copy_from_slice(&pattern.to_le_bytes());
        at += step;
    }
}

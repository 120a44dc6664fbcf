//! Copies the bytes of a match.

/// How many bytes behind a match may be overwritten.
pub const SLACK: usize = 64;

/// Copies `len` bytes to `at`, from `offset` bytes before it; `offset` is at most `at`. It may write some bytes more.
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

/// Like [`copy_match`] for offsets of 1 to 7: the bytes are repeated.
#[inline(always)]
fn repeat(buffer: &mut [u8], mut at: usize, offset: usize, end: usize) {
    let bits = 8 * offset as u32;
    let bytes = buffer[at - offset..].first_chunk().expect("slack");
    let one = u64::from_le_bytes(*bytes) & ((1 << bits) - 1);
    let two = one | one << bits;
    let four = two | two.checked_shl(2 * bits).unwrap_or(0);
    let pattern = four | four.checked_shl(4 * bits).unwrap_or(0);
    // In each step as many whole repetitions as fit into 8 bytes.
    let step = 8 / offset * offset;
    while at < end {
        buffer[at..at + 8].copy_from_slice(&pattern.to_le_bytes());
        at += step;
    }
}

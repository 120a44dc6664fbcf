//! E8 translation.

/// Bytes that are examined together.
const BLOCK: usize = 32;
const CALL: u8 = 0xE8;

/// Makes the operands of x86 calls (E8) relative again. `bytes` begin at `position` of a file of `size` bytes;
/// `position` plus their length is below 2^31.
pub fn restore(bytes: &mut [u8], position: usize, size: i32) {
    // Calls in the last 10 bytes are left alone.
    let end = bytes.len().saturating_sub(10);
    // Where the next call may begin: not within the operand of the last one.
    let mut free = 0;
    for base in (0..end).step_by(BLOCK) {
        // The processor compares all of them at once.
        let block = bytes[base..].first_chunk::<BLOCK>();
        if block.is_some_and(|block| !block.iter().fold(false, |found, byte| found | (*byte == CALL))) {
            continue;
        }
        for base in (base..end.min(base + BLOCK)).step_by(8) {
            let mut calls = bytes[base..].first_chunk().map_or(0, |word| calls_in(*word));
            while calls != 0 {
                let at = base + calls.trailing_zeros() as usize / 8;
                calls &= calls - 1;
                if (free..end).contains(&at) {
                    free = at + 5;
                    let operand = bytes[at + 1..].first_chunk_mut().expect("10 bytes follow");
                    *operand = relative(*operand, (position + at) as i32, size);
                }
            }
        }
    }
}

/// Sets the highest bit of each byte that is E8.
fn calls_in(word: [u8; 8]) -> u64 {
    let word = u64::from_le_bytes(word) ^ u64::from_le_bytes([CALL; 8]);
    let low = u64::from_le_bytes([0x7F; 8]);
    !(((word & low) + low) | word | low)
}

fn relative(operand: [u8; 4], here: i32, size: i32) -> [u8; 4] {
    let absolute = i32::from_le_bytes(operand);
    let is_inside = absolute >= -here && absolute < size;
    let relative = if absolute >= 0 { absolute - here } else { absolute.wrapping_add(size) };
    if is_inside { relative.to_le_bytes() } else { operand }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte by byte, as the specification describes it.
    fn restore_plainly(bytes: &mut [u8], position: usize, size: i32) {
        let mut at = 0;
        while at + 10 < bytes.len() {
            if bytes[at] != CALL {
                at += 1;
                continue;
            }
            let operand = bytes[at + 1..].first_chunk_mut().unwrap();
            *operand = relative(*operand, (position + at) as i32, size);
            at += 5;
        }
    }

    #[test]
    fn all_calls_and_nothing_else_are_found() {
        let mut state = 1u32;
        for len in (0..150).chain([1000, 5000]) {
            // Many calls, calls within operands, and operands that are small enough to be translated.
            let mut bytes = vec![0; len];
            for byte in &mut bytes {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = [CALL, 0, 0, 0xE7, 0xE9, 0x68, 0, 1][(state >> 29) as usize];
            }
            let mut expected = bytes.clone();
            restore_plainly(&mut expected, 70_000, 12_000_000);
            assert!(len < 1000 || expected != bytes, "{len}");
            restore(&mut bytes, 70_000, 12_000_000);
            assert_eq!(bytes, expected, "{len}");
        }
    }

    #[test]
    fn operands_outside_the_file_stay() {
        for (absolute, expected) in
            [(100, 0), (0, -100), (-1, 999), (-100, 900), (-101, -101), (999, 899), (1000, 1000)]
        {
            assert_eq!(i32::from_le_bytes(relative(i32::to_le_bytes(absolute), 100, 1000)), expected, "{absolute}");
        }
    }
}

//! Changes to inputs, decided by a number.

use fixtures::Rng;

/// Values that readers often handle wrongly.
const EDGES: [u64; 12] =
    [0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF];

/// The input of a round: one of the seeds, changed.
pub fn round(seeds: &[Vec<u8>], number: u32) -> Vec<u8> {
    let mut rng = Rng::new(u64::from(number));
    let seed = &seeds[rng.below(seeds.len() as u64) as usize];
    mutate(seed, seeds, &mut rng)
}

/// `seed` with some changes, or a part of it joined with a part of another seed.
fn mutate(seed: &[u8], seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    // Images consist mostly of zeros, and changing a zero that nobody reads shows nothing.
    let holds = |block: &[u8]| block != &[0; 64][..block.len()];
    let full: Vec<usize> =
        bytes.chunks(64).enumerate().filter(|(_, block)| holds(block)).map(|(number, _)| number).collect();
    for _ in 0..1 + rng.below(4) {
        if bytes.is_empty() {
            break;
        }
        let block = if full.is_empty() { 0 } else { full[rng.below(full.len() as u64) as usize] };
        let at = (block * 64 + rng.below(64) as usize).min(bytes.len() - 1);
        match rng.below(16) {
            0..4 => bytes[at] ^= 1 << rng.below(8),
            4..6 => bytes[at] = rng.next_u64() as u8,
            6..10 => {
                let width = [1, 2, 4, 8][rng.below(4) as usize].min(bytes.len() - at);
                let value = EDGES[rng.below(EDGES.len() as u64) as usize];
                bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            }
            10..12 => bytes[at] = bytes[at].wrapping_add([1, 0xFF][rng.below(2) as usize]),
            12 => bytes.truncate(at),
            13 => {
                let len = (1 + rng.below(64) as usize).min(bytes.len() - at);
                bytes.drain(at..at + len);
            }
            14 => {
                let len = (1 + rng.below(64) as usize).min(bytes.len() - at);
                let copy = bytes[at..at + len].to_vec();
                let to = (rng.below(bytes.len() as u64)) as usize;
                bytes.splice(to..to, copy);
            }
            _ => {
                let other = &seeds[rng.below(seeds.len() as u64) as usize];
                let start = rng.below(other.len().max(1) as u64) as usize;
                let piece = &other[start.min(other.len())..];
                let piece = &piece[..piece.len().min(1 + rng.below(256) as usize)];
                let end = (at + piece.len()).min(bytes.len());
                bytes.splice(at..end, piece.iter().copied());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_changes_the_same() {
        let seeds = [b"one two three".to_vec(), vec![0; 500]];
        let all = |number| -> Vec<Vec<u8>> {
            let mut rng = Rng::new(number);
            (0..200).map(|_| mutate(&seeds[0], &seeds, &mut rng)).collect()
        };
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));
        assert!(all(1).iter().filter(|bytes| **bytes != seeds[0]).count() > 150);
        assert!(mutate(&[], &seeds, &mut Rng::new(3)).is_empty());
    }
}

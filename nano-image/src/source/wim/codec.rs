//! Decompresses chunks: LZX by our own code, others by libwim.

use super::ffi::Decompressor;
use super::format::Compression;
use crate::source::lzx::ChunkDecoder;

/// Decompresses chunks of one compression and chunk size; one per thread.
pub(super) enum Codec {
    Lzx(Box<ChunkDecoder>),
    Libwim(Decompressor),
}

impl Codec {
    /// A codec for chunks that decompress to at most `chunk_size` bytes; `None` if the compression has no such chunks
    /// or memory is short.
    pub fn new(compression: Compression, chunk_size: u32) -> Option<Self> {
        if compression != Compression::Lzx {
            return Decompressor::new(compression, chunk_size).map(Self::Libwim);
        }
        let window_bits = chunk_size.is_power_of_two().then(|| chunk_size.trailing_zeros())?;
        let is_valid = compression.chunk_shifts().contains(&window_bits);
        is_valid.then(|| Self::Lzx(Box::new(ChunkDecoder::new(window_bits as u8))))
    }

    /// Decompresses `chunk` so that it exactly fills `output`, which is longer; `false` if the data is invalid.
    pub fn decompress(&mut self, chunk: &[u8], output: &mut [u8]) -> bool {
        match self {
            Self::Lzx(decoder) => decoder.decompress(chunk, output).is_ok(),
            Self::Libwim(decompressor) => decompressor.decompress(chunk, output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ffi::Compressor;
    use super::*;

    /// Text, random bytes and x86 calls.
    fn sample(len: usize) -> Vec<u8> {
        let byte = |index: usize| match index / 97 % 4 {
            0 => index as u8 & 7,
            1 => (index as u32).wrapping_mul(0x9E37_79B1).to_be_bytes()[0],
            2 if index.is_multiple_of(7) => 0xE8,
            2 => u8::from(index.is_multiple_of(5)),
            _ => b"the quick brown fox"[index % 19],
        };
        (0..len).map(byte).collect()
    }

    #[test]
    fn lzx_is_what_libwim_makes_of_it() {
        for (chunk_size, len) in [(1u32 << 15, 11), (1 << 15, 3000), (1 << 15, 1 << 15), (1 << 17, 40_001)] {
            let bytes = sample(len);
            let mut chunk = vec![0; len - 1];
            let stored = Compressor::new(Compression::Lzx, chunk_size).unwrap().compress(&bytes, &mut chunk);
            // Eleven bytes cannot be compressed.
            let Some(stored) = stored else { continue };
            let mut output = vec![1; len];
            assert!(Codec::new(Compression::Lzx, chunk_size).unwrap().decompress(&chunk[..stored], &mut output));
            assert!(output == bytes, "{len}");
        }
    }

    /// Both give the same bytes, and libwim accepts everything that is accepted here.
    #[test]
    fn damaged_lzx_is_what_libwim_makes_of_it_or_refused() {
        let bytes = sample(1500);
        let mut sound = vec![0; 1499];
        let len = Compressor::new(Compression::Lzx, 1 << 15).unwrap().compress(&bytes, &mut sound).unwrap();
        let mut ours = Codec::new(Compression::Lzx, 1 << 15).unwrap();
        let mut libwim = Decompressor::new(Compression::Lzx, 1 << 15).unwrap();
        let (mut one, mut other, mut accepted) = (vec![0; 1500], vec![0; 1500], 0);
        for round in 0..1000usize {
            let mut chunk = sound[..len].to_vec();
            chunk[round * 7919 % len] ^= 1 << (round % 8);
            chunk[round * 104_729 % len] ^= (round / len) as u8;
            if ours.decompress(&chunk, &mut one) {
                accepted += 1;
                assert!(libwim.decompress(&chunk, &mut other) && one == other, "round {round}");
            }
        }
        assert!((1..1000).contains(&accepted), "{accepted}");
    }

    #[test]
    fn chunks_of_other_sizes_are_refused() {
        assert!(Codec::new(Compression::Lzx, 1 << 14).is_none() && Codec::new(Compression::Lzx, 3 << 15).is_none());
        let mut lzx = Codec::new(Compression::Lzx, 1 << 15).unwrap();
        assert!(!lzx.decompress(&[], &mut [0; 16]));
        assert!(!lzx.decompress(&[0; 16], &mut [0; 16]));
        assert!(!lzx.decompress(&[0; 16], &mut vec![0; (1 << 15) + 1]));
    }
}

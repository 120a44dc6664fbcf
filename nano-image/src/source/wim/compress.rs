//! Compresses to and decompresses from the compressed form of WOF files, which is that of WIM resources.

use super::codec::Codec;
use super::ffi::Compressor;
use super::format::Compression;
use crate::content::WofAlgorithm;
use crate::error::{Error, Result};

/// Compresses the chunks of files; one per thread. The result depends only on the chunk and the algorithm.
pub struct WofCompressor {
    algorithm: WofAlgorithm,
    compressor: Compressor,
}

impl WofCompressor {
    /// A compressor for `algorithm`.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) if memory is short.
    pub fn new(algorithm: WofAlgorithm) -> Result<Self> {
        let compressor = Compressor::new(compression(algorithm), algorithm.chunk_size());
        let error =
            || Error::new(crate::error::ErrorKind::Io, format!("not enough memory to compress with {algorithm:?}"));
        Ok(Self { algorithm, compressor: compressor.ok_or_else(error)? })
    }

    /// The algorithm.
    pub fn algorithm(&self) -> WofAlgorithm {
        self.algorithm
    }

    /// Appends the stored form of `chunk`, which has 1 to [`chunk_size`](WofAlgorithm::chunk_size) bytes, to `output`:
    /// the chunk itself if it does not become shorter.
    pub fn compress(&mut self, chunk: &[u8], output: &mut Vec<u8>) {
        let start = output.len();
        output.resize(start + chunk.len(), 0);
        let room = chunk.len().saturating_sub(1);
        match self.compressor.compress(chunk, &mut output[start..start + room]) {
            Some(len) => output.truncate(start + len),
            None => output[start..].copy_from_slice(chunk),
        }
    }
}

/// Decompresses the chunks of files; one per thread.
pub struct WofDecompressor(Codec);

impl WofDecompressor {
    /// A decompressor for `algorithm`.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) if memory is short.
    pub fn new(algorithm: WofAlgorithm) -> Result<Self> {
        let decompressor = Codec::new(compression(algorithm), algorithm.chunk_size());
        let error =
            || Error::new(crate::error::ErrorKind::Io, format!("not enough memory to decompress {algorithm:?}"));
        decompressor.map(Self).ok_or_else(error)
    }

    /// A decompressor that uses libwim also for LZX, for comparisons.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) if memory is short.
    #[cfg(feature = "internals")]
    pub fn libwim(algorithm: WofAlgorithm) -> Result<Self> {
        let decompressor = super::ffi::Decompressor::new(compression(algorithm), algorithm.chunk_size());
        let error = || Error::new(crate::error::ErrorKind::Io, "not enough memory to decompress");
        decompressor.map(|decompressor| Self(Codec::Libwim(decompressor))).ok_or_else(error)
    }

    /// Fills `output` from `chunk`; a chunk of the same length is not compressed. `false` means that it is damaged.
    pub fn decompress(&mut self, chunk: &[u8], output: &mut [u8]) -> bool {
        if chunk.len() == output.len() {
            output.copy_from_slice(chunk);
            return true;
        }
        self.0.decompress(chunk, output)
    }
}

fn compression(algorithm: WofAlgorithm) -> Compression {
    if algorithm == WofAlgorithm::Lzx { Compression::Lzx } else { Compression::Xpress }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_decompresses() {
        use WofAlgorithm::{Lzx, Xpress4k, Xpress8k, Xpress16k};
        for algorithm in [Xpress4k, Lzx, Xpress8k, Xpress16k] {
            let size = algorithm.chunk_size() as usize;
            let text: Vec<u8> = (0..size).map(|i| (i / 7 % 50) as u8).collect();
            let mut compressor = WofCompressor::new(algorithm).unwrap();
            for chunk in [&text[..], &text[..100], &text[..1]] {
                let mut stored = vec![9];
                compressor.compress(chunk, &mut stored);
                let stored = &stored[1..];
                let mut output = vec![0; chunk.len()];
                assert!(WofDecompressor::new(algorithm).unwrap().decompress(stored, &mut output));
                assert_eq!(output, chunk);
            }
        }
    }
}

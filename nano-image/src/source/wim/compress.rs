//! Makes the compressed form of a WOF file, which is that of a WIM resource, with libwim's compressors.

use super::ffi::Compressor;
use super::format::Compression;
use crate::content::WofAlgorithm;
use crate::error::{Error, Result};

/// Compresses the chunks of files; one per thread. The bytes depend on the chunk and the algorithm alone.
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
        let compression = if algorithm == WofAlgorithm::Lzx { Compression::Lzx } else { Compression::Xpress };
        let compressor = Compressor::new(compression, algorithm.chunk_size());
        let error =
            || Error::new(crate::error::ErrorKind::Io, format!("not enough memory to compress with {algorithm:?}"));
        Ok(Self { algorithm, compressor: compressor.ok_or_else(error)? })
    }

    /// What it compresses with.
    pub fn algorithm(&self) -> WofAlgorithm {
        self.algorithm
    }

    /// Appends the stored form of `chunk`, 1 to [`chunk_size`](WofAlgorithm::chunk_size) bytes, to `output`: the chunk
    /// itself if it does not become shorter.
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

#[cfg(test)]
mod tests {
    use super::super::ffi::Decompressor;
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
                if stored.len() == chunk.len() {
                    assert_eq!(stored, chunk);
                    continue;
                }
                let compression = if algorithm == Lzx { Compression::Lzx } else { Compression::Xpress };
                let mut output = vec![0; chunk.len()];
                assert!(Decompressor::new(compression, size as u32).unwrap().decompress(stored, &mut output));
                assert_eq!(output, chunk);
            }
        }
    }
}

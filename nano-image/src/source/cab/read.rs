//! Decompresses folders and hands out the files in them.

use std::collections::BTreeSet;

use super::codec::Codec;
use super::format::{self, Data, checksum};
use super::input::Input;
use super::{CabFile, Cabinet, Folder, Method, Piece};
use crate::content::BlobSink;
use crate::error::{Error, Result};

impl Cabinet {
    /// Decompresses the `wanted` files and hands their bytes to `sink`, with the index of the file in
    /// [`files`](Self::files). The files come in that order, each in pieces from its start to its end; an empty file is
    /// one empty piece. Each folder is decompressed once, up to its last wanted file. At most a block and a window (2
    /// MiB) are in memory.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported), before the first piece, if a wanted file is compressed with
    /// Quantum; [`Corrupt`](crate::ErrorKind::Corrupt) says which block is broken; errors of `sink` are passed on.
    #[cfg(any(test, feature = "internals"))]
    pub fn extract(&self, wanted: &dyn Fn(&CabFile) -> bool, sink: &mut BlobSink<'_>) -> Result<()> {
        let files = self.files.iter().enumerate();
        extract(self, &files.filter(|(_, file)| wanted(file)).collect::<Vec<_>>(), sink)
    }

    /// Like [`extract`](Self::extract), for files by their indexes.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn extract_indexes(&self, wanted: &BTreeSet<usize>, sink: &mut BlobSink<'_>) -> Result<()> {
        let files = wanted.iter().filter_map(|index| Some((*index, self.files.get(*index)?)));
        extract(self, &files.collect::<Vec<_>>(), sink)
    }
}

fn extract(cabinet: &Cabinet, wanted: &[(usize, &CabFile)], sink: &mut BlobSink<'_>) -> Result<()> {
    let path = &cabinet.parts[0].path;
    if let Some((_, file)) = wanted.iter().find(|(_, file)| cabinet.folders[file.folder].method == Method::Quantum) {
        let message = format!("file `{}` is compressed with Quantum", file.name);
        return Err(Error::unsupported(message).with_path(path).with_hint("repack the cabinet with MSZIP or LZX"));
    }
    for files in wanted.chunk_by(|one, other| one.1.folder == other.1.folder) {
        extract_folder(cabinet, &cabinet.folders[files[0].1.folder], files, sink)?;
    }
    Ok(())
}

/// Decompresses `folder` up to the end of the last file in `files`, which are sorted by offset and do not overlap.
fn extract_folder(
    cabinet: &Cabinet,
    folder: &Folder,
    files: &[(usize, &CabFile)],
    sink: &mut BlobSink<'_>,
) -> Result<()> {
    let mut blocks = Blocks::new(cabinet, folder)?;
    // The bytes that are decompressed now begin at `start` of the folder.
    let (mut start, mut bytes): (u64, &[u8]) = (0, &[]);
    for (index, file) in files {
        let mut at = u64::from(file.offset);
        let end = at + u64::from(file.size);
        if at == end {
            sink(*index, &[])?;
        }
        while at < end {
            let here = at - start;
            if here >= bytes.len() as u64 {
                start += bytes.len() as u64;
                bytes = match blocks.next()? {
                    Some(bytes) => bytes,
                    None => return Err(blocks.error(format!("file `{}` lies behind the end of its folder", file.name))),
                };
                continue;
            }
            let rest = &bytes[here as usize..];
            let piece = &rest[..rest.len().min((end - at) as usize)];
            sink(*index, piece)?;
            at += piece.len() as u64;
        }
    }
    Ok(())
}

/// The blocks of a folder, decompressed one after another.
struct Blocks<'a> {
    cabinet: &'a Cabinet,
    pieces: std::slice::Iter<'a, Piece>,
    input: Input<'a>,
    data_reserve: usize,
    /// Blocks left in this piece.
    left: u16,
    /// Blocks left in the whole folder.
    left_in_all: u64,
    codec: Codec,
    compressed: Vec<u8>,
    /// Position of the last block.
    at: u64,
}

impl<'a> Blocks<'a> {
    fn new(cabinet: &'a Cabinet, folder: &'a Folder) -> Result<Self> {
        let mut pieces = folder.pieces.iter();
        let first = pieces.next().expect("a folder has a piece");
        let part = &cabinet.parts[first.part];
        Ok(Self {
            cabinet,
            input: Input::new(&*part.data, &part.path, first.offset, part.end),
            data_reserve: part.data_reserve.into(),
            left: first.block_count,
            left_in_all: folder.pieces.iter().map(|piece| u64::from(piece.block_count)).sum(),
            codec: Codec::new(folder.method)?,
            pieces,
            compressed: Vec::new(),
            at: first.offset,
        })
    }

    /// The bytes of the next block; `None` after the last one.
    fn next(&mut self) -> Result<Option<&[u8]>> {
        self.compressed.clear();
        let uncompressed_len = loop {
            while self.left == 0 {
                let Some(piece) = self.pieces.next() else {
                    return match self.compressed.is_empty() {
                        true => Ok(None),
                        false => Err(self.error("the last block of a folder continues in a cabinet that is missing")),
                    };
                };
                let part = &self.cabinet.parts[piece.part];
                self.input = Input::new(&*part.data, &part.path, piece.offset, part.end);
                self.data_reserve = part.data_reserve.into();
                self.left = piece.block_count;
            }
            let len = self.take_block()?;
            self.left -= 1;
            self.left_in_all -= 1;
            if len != 0 {
                break len;
            }
            if self.left != 0 {
                return Err(self.error("a block of 0 bytes within a folder"));
            }
        };
        let is_last = self.left_in_all == 0;
        match self.codec.decompress(&mut self.compressed, uncompressed_len, is_last) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(message) => Err(self.input.corrupt(message, self.at)),
        }
    }

    /// Adds the bytes of a block, or of a part of one, to `compressed`; returns how many bytes they decompress to.
    fn take_block(&mut self) -> Result<usize> {
        self.at = self.input.position();
        let header: Data = self.input.take_struct("a block")?;
        let (len, uncompressed_len) = (usize::from(header.len.get()), usize::from(header.uncompressed_len.get()));
        if uncompressed_len > format::MAX_BLOCK || self.compressed.len() + len > 2 * format::MAX_BLOCK {
            let message =
                format!("a block of {len} bytes whose header says that it decompresses to {uncompressed_len}");
            return Err(self.error(message));
        }
        let reserve = self.data_reserve;
        let bytes = self.input.take(reserve + len, "a block")?;
        let lengths = u32::from(header.len.get()) | u32::from(header.uncompressed_len.get()) << 16;
        // Some makers include the reserved bytes in the checksum, others do not.
        let sums = [checksum(&bytes[reserve..], lengths), checksum(bytes, lengths)];
        self.compressed.extend_from_slice(&bytes[reserve..]);
        if header.checksum != 0 && !sums.contains(&header.checksum.get()) {
            let message = format!("a block has checksum {:#010x}, not {:#010x}", sums[0], header.checksum);
            return Err(self.error(message).with_hint("the file is damaged: copy it again"));
        }
        Ok(uncompressed_len)
    }

    /// The error `message` at the last block.
    fn error(&self, message: impl Into<String>) -> Error {
        self.input.corrupt(message, self.at)
    }
}

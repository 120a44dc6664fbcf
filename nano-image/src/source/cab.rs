//! Cabinets: update packages and language packs.
//!
//! The container is read by our own code. The crate `cab` decompresses a folder from its start for each file, so that a
//! package of n files costs n² (21 s against 0.04 s for 1,500 files); it knows no sets of cabinets, and panics on bad
//! input. Here each folder is decompressed once, and its files are streamed in order. MSZIP is decompressed by the
//! crate `flate2`; `source::lzx` says why LZX is not left to a crate.

mod codec;
mod find;
mod format;
mod input;
mod open;
mod read;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::content::ReadAt;

/// An open cabinet, or a set of cabinets in which each continues the one before.
pub struct Cabinet {
    parts: Vec<Part>,
    folders: Vec<Folder>,
    files: Vec<CabFile>,
}

/// A file in a cabinet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CabFile {
    /// Path as stored, mostly with `\` between names. It is what the cabinet's maker wrote: it may be absolute, contain
    /// `..`, or occur twice. Bytes above 0x7F are read as Latin-1 unless they are flagged as UTF-8.
    pub name: String,
    /// Length in bytes.
    pub size: u32,
    /// DOS attributes (FILE_ATTRIBUTE_READONLY 1, HIDDEN 2, SYSTEM 4, ARCHIVE 0x20; 0x40: run after extraction).
    pub attributes: u16,
    /// Time of the last change, in the maker's time zone, which is not stored.
    pub time: DosTime,
    /// Index of the folder in which it is compressed.
    pub folder: usize,
    /// Offset in the decompressed folder, in bytes.
    pub offset: u32,
}

/// A local time in steps of two seconds, as DOS writes it. It is not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DosTime {
    /// Year since 1980 (7 bits), month 1–12 (4 bits), day (5 bits).
    pub date: u16,
    /// Hour (5 bits), minute (6 bits), seconds / 2 (5 bits).
    pub time: u16,
}

/// How a folder is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Stored,
    Mszip,
    Quantum,
    Lzx { window_bits: u8 },
}

/// One file of a set of cabinets.
struct Part {
    data: Arc<dyn ReadAt>,
    path: PathBuf,
    /// First byte of the cabinet in `data`, and the byte after its end.
    start: u64,
    end: u64,
    /// Reserved bytes behind the header of each block.
    data_reserve: u8,
}

/// A folder, which may continue in the next part.
#[derive(Debug)]
struct Folder {
    method: Method,
    pieces: Vec<Piece>,
}

/// The blocks of a folder that lie in one part.
#[derive(Debug)]
struct Piece {
    part: usize,
    /// Offset of the first block in the part's data.
    offset: u64,
    block_count: u16,
}

impl fmt::Debug for Cabinet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<&Path> = self.parts.iter().map(|part| part.path.as_path()).collect();
        f.debug_struct("Cabinet").field("paths", &paths).field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl Cabinet {
    /// The files, ordered by folder and offset.
    pub fn files(&self) -> &[CabFile] {
        &self.files
    }
}

//! Files that the Windows Overlay Filter (WOF) compresses.

use super::Check;
use super::file::File;
use super::mft::record_text;
use super::stream::Stream;
use crate::volume::ntfs::format::{ATTRIBUTE_SPARSE, WofReparsePoint, attribute_type};

/// Reparse tag ([MS-FSCC] 2.1.2.1, IO_REPARSE_TAG_WOF).
pub(super) const TAG: u32 = 0x8000_0017;
/// The compressed form is in the file itself; other providers keep it elsewhere.
pub(super) const PROVIDER_FILE: u32 = 2;

const STREAM: &str = "WofCompressedData";
/// Bytes of the table of chunks that are read at once.
const PIECE: usize = 64 << 10;

impl Check<'_> {
    /// Checks the streams of such a file: a hole of its size, and the table of chunks followed by the chunks.
    pub fn wof(&mut self, file: &File, point: &WofReparsePoint) {
        let text = record_text(file.base.number);
        let bad = |check: &mut Self, message: &str| check.bad("ntfs-wof", &text, file.base.at, message);
        // FILE_PROVIDER_COMPRESSION_XPRESS4K, LZX, XPRESS8K, XPRESS16K.
        let chunk = match point.algorithm.get() {
            0 => 0x1000,
            1 => 0x8000,
            2 => 0x2000,
            3 => 0x4000,
            other => return bad(self, &format!("is compressed in the unknown way {other}")),
        };
        if point.version.get() != 1 || point.provider_version.get() != 1 {
            let versions = (point.version.get(), point.provider_version.get());
            bad(self, &format!("has reparse data of versions {versions:?}, not (1, 1)"));
        }
        let Some(stream) = self.file_stream(file, attribute_type::DATA, STREAM) else {
            return bad(self, &format!("has no stream {STREAM}"));
        };
        let data = file.parts(attribute_type::DATA, "");
        let Some((data, outside)) = data.first().and_then(|data| Some((data, data.outside()?))) else {
            return bad(self, "has contents in its record; they should be a hole");
        };
        if data.flags & ATTRIBUTE_SPARSE == 0 || outside.real_clusters() > 0 {
            bad(self, "has contents that are not a hole");
        }
        if outside.initialized_size != outside.data_size {
            let message = format!("has {} initialised bytes of {}", outside.initialized_size, outside.data_size);
            bad(self, &message);
        }
        if let Some(message) = table_fault(&stream, outside.data_size, chunk) {
            bad(self, &message);
        }
    }
}

/// What is wrong with the table of chunks of a file of `size` bytes. The table has the end of each chunk except the
/// last.
fn table_fault(stream: &Stream<'_>, size: u64, chunk: u64) -> Option<String> {
    let entry = if size > u64::from(u32::MAX) { 8 } else { 4 };
    let entries = size.div_ceil(chunk).saturating_sub(1);
    let table = entries.saturating_mul(entry);
    if table > stream.size() {
        return Some(format!("has a {STREAM} of {} bytes, less than its table of {table}", stream.size()));
    }
    let chunks_len = stream.size() - table;
    let (mut start, mut piece) = (0, Vec::new());
    for first in (0..table).step_by(PIECE) {
        piece.resize((table - first).min(PIECE as u64) as usize, 0);
        if !stream.read(&mut piece, first) {
            return Some(format!("has a {STREAM} that cannot be read at its byte {first:#x}"));
        }
        for (bytes, index) in piece.chunks_exact(entry as usize).zip(first / entry..) {
            let mut wide = [0; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            let end = u64::from_le_bytes(wide);
            if end <= start || end - start > chunk || end > chunks_len {
                return Some(format!("has chunk {index} from {start} to {end} of its {chunks_len} bytes of chunks"));
            }
            start = end;
        }
    }
    let last = chunks_len - start;
    let bad = size > 0 && (last == 0 || last > chunk);
    bad.then(|| format!("has a last chunk of {last} bytes; the limit is {chunk}"))
}

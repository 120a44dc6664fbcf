//! The header of a delta (§3): what the result is, and where the parts of the delta are.

use zerocopy::FromBytes;

use super::bits::{Bits, Buffer};
use super::format::{self, FILE_TYPE_RAW, FILE_TYPES, PA19_MAGIC, PA30_MAGIC, PA31_MAGIC, Preamble, REVERSE};
use super::hash::Hash;
use crate::error::{Error, Result};
use crate::types::ByteSize;

/// What a delta says about its result.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Header {
    /// Length of the result.
    pub target_size: ByteSize,
    /// Hash of the result. Deltas of manifests have none.
    pub target_hash: Option<Hash>,
    /// Hash of the basis to which it must be applied; only the newer form (`PA31`) has one.
    pub source_hash: Option<Hash>,
    /// Kinds of programs that the delta's maker considered, one bit each; see `file_type`.
    pub file_type_set: u64,
    /// Kind of program for which the delta was made: 1 any file, 2 i386, 4 IA64, 8 AMD64. The values 0x10 to 0x80 are
    /// i386, AMD64, ARM and ARM64 of newer delta makers, which know managed code.
    pub file_type: u64,
    /// Steps that are applied to basis and result, one bit each.
    pub flags: u64,
}

impl Header {
    /// Whether the basis is a program whose addresses are changed before it is copied from.
    pub fn is_pe(&self) -> bool {
        self.file_type != FILE_TYPE_RAW
    }
}

/// The parts of a delta.
pub(super) struct Parts<'a> {
    pub header: Header,
    pub preprocess: Buffer<'a>,
    pub patch: Buffer<'a>,
}

impl<'a> Parts<'a> {
    /// Reads the delta at `offset` of its file.
    pub fn read(delta: &'a [u8], offset: u64) -> Result<Self> {
        let corrupt = |message: &str| Error::corrupt(message).at(offset);
        if delta.starts_with(&PA19_MAGIC) {
            return Err(Error::unsupported("a delta of the old form PA19").at(offset));
        }
        let truncated = || corrupt("the delta is truncated");
        let (preamble, rest) = Preamble::read_from_prefix(delta).map_err(|_| truncated())?;
        let mut bits = match preamble.magic {
            PA30_MAGIC | PA31_MAGIC => Bits::new(rest, offset + size_of::<Preamble>() as u64)?,
            _ => return Err(corrupt("not a PA30 delta")),
        };
        let header = if preamble.magic == PA30_MAGIC {
            read_numbers(&mut bits)?.0
        } else {
            let mut inner = bits.buffer()?.bits()?;
            let (mut header, algorithm) = read_numbers(&mut inner)?;
            let _info_size = inner.number()?;
            let _is_pa31 = inner.number()?;
            let _client_version = inner.number()?;
            header.source_hash = Hash::read(algorithm, inner.buffer()?, true)?;
            header
        };
        if header.file_type_set & REVERSE != 0 {
            return Err(Error::unsupported("a reverse delta").at(offset));
        }
        let preprocess = bits.buffer()?;
        let patch = bits.buffer()?;
        bits.finish()?;
        if patch.bytes.starts_with(&format::COMPRESSION_API_MAGIC) {
            return Err(Error::unsupported("a delta with an LZMS body").at(patch.offset));
        }
        Ok(Self { header, preprocess, patch })
    }
}

/// Reads the five numbers and the hash of the result; also returns the number of the hash algorithm.
fn read_numbers(bits: &mut Bits<'_>) -> Result<(Header, i64)> {
    let file_type_set = bits.size()?;
    let place = bits.place();
    let file_type = bits.size()?;
    if !FILE_TYPES.contains(&file_type) {
        return Err(Error::unsupported(format!("a delta for files of type {file_type:#x}")).at(place));
    }
    let flags = bits.size()?;
    let target_size = ByteSize::new(bits.size()?);
    let algorithm = bits.number()?;
    let target_hash = Hash::read(algorithm, bits.buffer()?, false)?;
    let header = Header { target_size, target_hash, source_hash: None, file_type_set, file_type, flags };
    Ok((header, algorithm))
}

//! Directory indexes: B-trees of names.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use zerocopy::FromBytes;

use super::mft::{name_of, unseal};
use super::stream::NtfsStream;
use crate::content::ReadAt;
use crate::error::{Error, Result};
use crate::types::Utf16Name;
use crate::volume::ntfs::format::*;

/// A tree with more levels is treated as damage; 2³² names need eight.
const MAX_DEPTH: usize = 32;
const BLOCK_SIZES: std::ops::RangeInclusive<usize> = SECTOR_SIZE..=65_536;

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NtfsEntry {
    /// Name.
    pub name: Utf16Name,
    /// The file.
    pub reference: FileReference,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Bits of [`attribute`](crate::tree::attribute).
    pub attributes: u32,
}

/// The index `$I30` of a directory.
pub(super) struct Index<'a> {
    /// Node header and entries of the root.
    root: Vec<u8>,
    blocks: Option<NtfsStream<'a>>,
    block_size: usize,
    /// Number of bytes that block numbers count in.
    vcn_size: u64,
    /// MFT record of the directory, for messages.
    record: u64,
}

struct NodeEntry<'n> {
    reference: FileReference,
    /// `None` in the last entry of a node.
    key: Option<&'n [u8]>,
    sub_node: Option<u64>,
}

impl<'a> Index<'a> {
    /// From the value of `$INDEX_ROOT` and the stream of `$INDEX_ALLOCATION`.
    pub fn new(record: u64, root: &[u8], blocks: Option<NtfsStream<'a>>, cluster_size: u64) -> Result<Self> {
        let bad = |what: &str| Error::corrupt(format!("the index of MFT record {record} {what}"));
        let (header, node) = IndexRootHeader::read_from_prefix(root).map_err(|_| bad("has no header"))?;
        if header.attribute_type.get() != attribute_type::FILE_NAME || header.collation.get() != collation::FILE_NAME {
            return Err(bad("is not one of names"));
        }
        let block_size = header.index_block_size.get() as usize;
        if !BLOCK_SIZES.contains(&block_size) || !block_size.is_power_of_two() {
            return Err(bad(&format!("has blocks of {block_size} bytes")));
        }
        // Blocks that are smaller than a cluster are counted in sectors.
        let vcn_size = if cluster_size <= block_size as u64 { cluster_size } else { SECTOR_SIZE as u64 };
        Ok(Self { root: node.to_vec(), blocks, block_size, vcn_size, record })
    }

    /// The file called `name`; case is ignored.
    pub fn find(&self, name: &Utf16Name) -> Result<Option<FileReference>> {
        let mut block;
        let mut node = &self.root[..];
        for _ in 0..MAX_DEPTH {
            let mut next = None;
            for entry in self.entries(node)? {
                let order = match entry.key {
                    Some(key) => name.cmp_ignore_case(&self.key(key)?.1),
                    None => Ordering::Less,
                };
                match order {
                    Ordering::Equal => return Ok(Some(entry.reference)),
                    Ordering::Greater => continue,
                    Ordering::Less => next = entry.sub_node,
                }
                break;
            }
            let Some(vcn) = next else { return Ok(None) };
            block = self.block(vcn)?;
            node = &block[size_of::<IndexBlockHeader>()..];
        }
        Err(self.too_deep())
    }

    /// All names except those for DOS, in the order of the index.
    pub fn list(&self) -> Result<Vec<NtfsEntry>> {
        let mut entries = Vec::new();
        self.walk(&self.root, 0, &mut BTreeSet::new(), &mut entries)?;
        Ok(entries)
    }

    fn walk(&self, node: &[u8], depth: usize, seen: &mut BTreeSet<u64>, found: &mut Vec<NtfsEntry>) -> Result<()> {
        if depth == MAX_DEPTH {
            return Err(self.too_deep());
        }
        for entry in self.entries(node)? {
            if let Some(vcn) = entry.sub_node {
                if !seen.insert(vcn) {
                    return Err(self.bad(&format!("has block {vcn} twice")));
                }
                self.walk(&self.block(vcn)?[size_of::<IndexBlockHeader>()..], depth + 1, seen, found)?;
            }
            let Some(key) = entry.key else { continue };
            let (header, name) = self.key(key)?;
            if header.namespace != namespace::DOS {
                found.push(NtfsEntry {
                    name,
                    reference: entry.reference,
                    is_directory: header.attributes.get() & file_name_flag::DIRECTORY != 0,
                    attributes: header.attributes.get() & !(file_name_flag::DIRECTORY | file_name_flag::VIEW_INDEX),
                });
            }
        }
        Ok(())
    }

    /// The block with number `vcn`.
    fn block(&self, vcn: u64) -> Result<Vec<u8>> {
        let blocks = self.blocks.as_ref().ok_or_else(|| self.bad("has no blocks"))?;
        let damaged = || self.bad(&format!("has a damaged block {vcn}"));
        let offset = vcn.checked_mul(self.vcn_size).ok_or_else(damaged)?;
        let mut bytes = vec![0; self.block_size];
        blocks.read_exact_at(&mut bytes, offset).map_err(|error| damaged().with_source(error))?;
        let header = IndexBlockHeader::read_from_prefix(&bytes).expect("the block holds its header").0;
        if header.magic != *b"INDX" || header.vcn.get() != vcn {
            return Err(damaged());
        }
        unseal(&mut bytes, header.usa_offset.get(), header.usa_count.get()).ok_or_else(damaged)?;
        Ok(bytes)
    }

    /// The entries of a node, given from its header on.
    fn entries<'n>(&self, node: &'n [u8]) -> Result<Vec<NodeEntry<'n>>> {
        self.parse(node).ok_or_else(|| self.bad("has a damaged node"))
    }

    fn parse<'n>(&self, node: &'n [u8]) -> Option<Vec<NodeEntry<'n>>> {
        let (header, _) = IndexHeader::read_from_prefix(node).ok()?;
        let end = usize::try_from(header.total_size.get()).ok()?;
        let mut rest = node.get(usize::try_from(header.entries_offset.get()).ok()?..end)?;
        let mut entries = Vec::new();
        loop {
            let (header, _) = IndexEntryHeader::read_from_prefix(rest).ok()?;
            let len = usize::from(header.length.get());
            let (this, after) = rest.split_at_checked(len)?;
            let flags = header.flags.get();
            let mut body = this.get(size_of::<IndexEntryHeader>()..)?;
            let mut sub_node = None;
            if flags & entry_flag::HAS_SUBNODE != 0 {
                let (key, vcn) = body.split_last_chunk::<8>()?;
                (body, sub_node) = (key, Some(u64::from_le_bytes(*vcn)));
            }
            let last = flags & entry_flag::LAST != 0;
            let key = if last { None } else { Some(body.get(..usize::from(header.key_length.get()))?) };
            entries.push(NodeEntry { reference: FileReference(header.reference.get()), key, sub_node });
            if last {
                return Some(entries);
            }
            rest = after;
        }
    }

    fn key(&self, key: &[u8]) -> Result<(FileName, Utf16Name)> {
        FileName::read_from_prefix(key)
            .ok()
            .and_then(|(header, name)| Some((header, name_of(name.get(..2 * usize::from(header.name_length))?))))
            .ok_or_else(|| self.bad("has a damaged name"))
    }

    fn too_deep(&self) -> Error {
        self.bad("has too many levels")
    }

    fn bad(&self, what: &str) -> Error {
        Error::corrupt(format!("the index of MFT record {} {what}", self.record))
    }
}

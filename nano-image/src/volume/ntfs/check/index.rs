//! Indexes: B-trees of names and of views.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use zerocopy::FromBytes;

use super::Check;
use super::file::{File, NAME_INDEX};
use super::mft::{record_text, unseal};
use super::stream::{Bits, Stream};
use crate::report::{Finding, Findings};
use crate::types::{Utf16Name, text};
use crate::volume::ntfs::format::*;

/// A tree with more levels is treated as damage.
const MAX_DEPTH: usize = 32;

/// One entry of an index.
pub(super) struct CheckedEntry<'n> {
    /// The file of a name; unused in views.
    pub reference: FileReference,
    pub key: &'n [u8],
    /// Data of a view.
    pub data: &'n [u8],
    /// Its position in the volume.
    pub at: Option<u64>,
}

/// Receives the entries in order.
pub(super) type Visitor<'v> = dyn FnMut(&mut Findings, &CheckedEntry<'_>) + 'v;

/// An index while it is walked.
struct Walk<'a, 'v> {
    text: String,
    is_names: bool,
    /// Whether names may differ only in case.
    case_sensitive: bool,
    collation: u32,
    upcase: &'v [u16],
    blocks: Option<Stream<'a>>,
    bitmap: Option<Bits<'a>>,
    block_size: usize,
    /// Number of bytes that VCNs of this index count in.
    vcn_size: u64,
    seen: BTreeSet<u64>,
    last_key: Option<Vec<u8>>,
    whole: bool,
    findings: &'v mut Findings,
    visit: &'v mut Visitor<'v>,
}

/// A node in memory.
struct Node<'n> {
    bytes: &'n [u8],
    /// Its position in the volume.
    at: Option<u64>,
    text: String,
}

impl<'a> Check<'a> {
    /// Walks the index `name` of `file`; returns whether all of it could be read.
    pub fn walk<'v>(&mut self, file: &File, name: &Utf16Name, visit: &'v mut Visitor<'v>) -> bool {
        let shown = name.to_string();
        let text = format!("{}, index {shown}", record_text(file.base.number));
        let Some(root) = file.parts(attribute_type::INDEX_ROOT, &shown).first().copied() else { return false };
        let mut findings = Findings::default();
        let mut bad = |message: String| findings.add(Finding::new("ntfs-index", text.clone(), message).at(root.at));
        let is_names = shown == NAME_INDEX;
        let header = root.value().and_then(|value| IndexRootHeader::read_from_prefix(value).ok());
        let Some((header, _)) = header else {
            bad("has a root without its header".into());
            self.findings.append(findings, |_| {});
            return false;
        };
        let (indexed, collation) = (header.attribute_type.get(), header.collation.get());
        let expected = if is_names { (attribute_type::FILE_NAME, collation::FILE_NAME) } else { (0, collation) };
        if (indexed, collation) != expected {
            bad(format!("is of attribute type {indexed:#x} and order {collation:#x}, not {expected:#x?}"));
        }
        let block_size = header.index_block_size.get() as usize;
        let cluster = self.geometry.cluster_size;
        let vcn_size = if cluster <= block_size as u64 { cluster } else { SECTOR_SIZE as u64 };
        let sane = block_size.is_power_of_two() && (SECTOR_SIZE..=65_536).contains(&block_size);
        if block_size != self.geometry.index_block_size {
            bad(format!("has blocks of {block_size} bytes; the volume's have {}", self.geometry.index_block_size));
        }
        if sane && u64::from(header.clusters_per_index_block) != block_size as u64 / vcn_size {
            let (found, expected) = (header.clusters_per_index_block, block_size as u64 / vcn_size);
            bad(format!("says that a block has {found} units of VCNs, not {expected}"));
        }
        let mut walk = Walk {
            is_names,
            case_sensitive: is_case_sensitive(file),
            collation,
            upcase: &self.upcase,
            blocks: self.file_stream(file, attribute_type::INDEX_ALLOCATION, &shown).filter(|_| sane),
            bitmap: self.file_stream(file, attribute_type::BITMAP, &shown).map(Bits::new),
            block_size,
            vcn_size,
            seen: BTreeSet::new(),
            last_key: None,
            whole: true,
            findings: &mut findings,
            visit,
            text,
        };
        let value = root.value().expect("it has its header");
        let bytes = &value[size_of::<IndexRootHeader>()..];
        let text = format!("{}, root", walk.text);
        walk.node(&Node { bytes, at: Some(root.at), text }, 0);
        walk.unreachable();
        let whole = walk.whole;
        self.findings.append(findings, |_| {});
        whole
    }
}

impl Walk<'_, '_> {
    fn bad(&mut self, code: &'static str, structure: &str, at: Option<u64>, message: impl Into<String>) {
        self.findings.add(Finding::new(code, structure, message).at(at));
    }

    /// Reports damage that hides entries.
    fn broken(&mut self, structure: &str, at: Option<u64>, message: impl Into<String>) {
        self.whole = false;
        self.bad("ntfs-index", structure, at, message);
    }

    /// Walks the node whose bytes begin with its [`IndexHeader`], in order.
    fn node(&mut self, node: &Node<'_>, depth: usize) {
        let Ok((header, _)) = IndexHeader::read_from_prefix(node.bytes) else {
            return self.broken(&node.text, node.at, "has no header");
        };
        let (first, total) = (header.entries_offset.get() as usize, header.total_size.get() as usize);
        let allocated = header.allocated_size.get() as usize;
        if header.flags > 1 {
            self.bad("ntfs-index", &node.text, node.at, format!("has the flags {:#04x}", header.flags));
        }
        if allocated < node.bytes.len() {
            let message = format!("says that it has room for {allocated} bytes; it has {}", node.bytes.len());
            self.bad("ntfs-index", &node.text, node.at, message);
        }
        if total > allocated || allocated > node.bytes.len() || first < size_of::<IndexHeader>() || first % 8 != 0 {
            let message = format!("has entries from {first:#x} to {total:#x} of {allocated:#x} bytes");
            return self.broken(&node.text, node.at, message);
        }
        let has_children = header.flags & 1 != 0;
        let mut place = first;
        loop {
            let at = node.at.map(|at| at + place as u64);
            let entry = node.bytes.get(place..total).and_then(|rest| {
                let (header, _) = IndexEntryHeader::read_from_prefix(rest).ok()?;
                let len = usize::from(header.length.get());
                let sane = len >= size_of::<IndexEntryHeader>() && len % 8 == 0;
                Some((header, rest.get(..len).filter(|_| sane)?))
            });
            let Some((header, bytes)) = entry else {
                return self.broken(&node.text, at, "has a damaged entry, or no last one");
            };
            place += bytes.len();
            let flags = header.flags.get();
            if flags & !(entry_flag::HAS_SUBNODE | entry_flag::LAST) != 0 {
                self.bad("ntfs-index", &node.text, at, format!("has an entry with the flags {flags:#06x}"));
            }
            let mut body = &bytes[size_of::<IndexEntryHeader>()..];
            if (flags & entry_flag::HAS_SUBNODE != 0) != has_children {
                return self.broken(&node.text, at, "has an entry with a sub-node in a leaf, or one without elsewhere");
            }
            if has_children {
                let Some((rest, vcn)) = body.split_last_chunk::<8>() else {
                    return self.broken(&node.text, at, "has an entry too short for its sub-node");
                };
                body = rest;
                self.block(u64::from_le_bytes(*vcn), &node.text, at, depth + 1);
            }
            if flags & entry_flag::LAST != 0 {
                if place != total {
                    self.bad("ntfs-index", &node.text, at, format!("has {} bytes behind its end", total - place));
                }
                return;
            }
            let key_len = usize::from(header.key_length.get());
            let Some(key) = body.get(..key_len).filter(|key| !key.is_empty()) else {
                return self.broken(&node.text, at, format!("has an entry with a key of {key_len} bytes"));
            };
            if self.is_names && body.len() != align8(size_of::<IndexEntryHeader>() + key_len) - 16 {
                self.bad("ntfs-index", &node.text, at, format!("has an entry of {} bytes", bytes.len()));
            }
            let data = if self.is_names { Some(&[][..]) } else { view_data(header.reference.get(), bytes) };
            let Some(data) = data else {
                return self.broken(&node.text, at, "has an entry with its data outside of it");
            };
            self.order(key, node, at);
            let reference = FileReference(header.reference.get());
            (self.visit)(self.findings, &CheckedEntry { reference, key, data, at });
        }
    }

    fn order(&mut self, key: &[u8], node: &Node<'_>, at: Option<u64>) {
        if let Some(last) = &self.last_key
            && compare(self.collation, self.is_names, self.upcase, last, key) != Some(Ordering::Less)
        {
            let shown = |key: &[u8]| match super::names::parse(key).filter(|_| self.is_names) {
                Some((_, name)) => format!("`{}`", super::mft::name_of(name)),
                None => format!("{:02x?}", &key[..key.len().min(20)]),
            };
            let message = format!("is not in order: {} comes behind {}", shown(key), shown(last));
            self.bad("ntfs-index-order", &node.text, at, message);
        }
        if let Some((last, shown)) = self.last_key.as_deref().and_then(|last| self.differ_in_case(last, key)) {
            let message = format!("`{last}` and `{shown}` differ only in case: Windows opens only one of them");
            self.bad("ntfs-case", &node.text, at, message);
        }
        self.last_key = Some(key.to_vec());
    }

    /// Two names of a directory that Windows cannot tell apart.
    fn differ_in_case(&self, a: &[u8], b: &[u8]) -> Option<(Utf16Name, Utf16Name)> {
        if !self.is_names || self.case_sensitive {
            return None;
        }
        let (a, b) = (super::names::parse(a)?.1, super::names::parse(b)?.1);
        let fold = |name: &[u8]| text::units(name).map(|unit| self.upcase[usize::from(unit)]).collect::<Vec<u16>>();
        let same = a.len() == b.len() && a != b && fold(a) == fold(b);
        same.then(|| (super::mft::name_of(a), super::mft::name_of(b)))
    }

    /// Walks the block with number `vcn`, to which `by` points.
    fn block(&mut self, vcn: u64, by: &str, by_at: Option<u64>, depth: usize) {
        let Some(blocks) = &self.blocks else {
            return self.broken(by, by_at, format!("names block {vcn}, but there is no usable $INDEX_ALLOCATION"));
        };
        let offset = vcn.checked_mul(self.vcn_size).filter(|offset| {
            let end = offset.checked_add(self.block_size as u64);
            offset % self.block_size as u64 == 0 && end.is_some_and(|end| end <= blocks.size())
        });
        let Some(offset) = offset else {
            return self.broken(by, by_at, format!("names block {vcn}, which $INDEX_ALLOCATION does not have"));
        };
        let (number, at) = (offset / self.block_size as u64, blocks.place(offset));
        let mut bytes = vec![0; self.block_size];
        let readable = blocks.read(&mut bytes, offset);
        let text = format!("{}, block {vcn}", self.text);
        if !self.seen.insert(number) {
            return self.broken(by, by_at, format!("names block {vcn}, which is in the tree already"));
        }
        if depth > MAX_DEPTH {
            return self.broken(&text, at, "is at an impossible depth");
        }
        if !self.bitmap.as_mut().is_some_and(|bitmap| bitmap.get(number)) {
            self.bad("ntfs-index-bitmap", &text, at, "is in use, but free in the index's $BITMAP");
        }
        if !readable {
            return self.broken(&text, at, "cannot be read");
        }
        let header = IndexBlockHeader::read_from_prefix(&bytes).expect("a block holds its header").0;
        if header.magic != *b"INDX" {
            return self.broken(&text, at, format!("begins with {:02x?}, not `INDX`", header.magic));
        }
        if let Err(message) = unseal(&mut bytes, header.usa_offset.get(), header.usa_count.get()) {
            return self.broken(&text, at, message);
        }
        if header.vcn.get() != vcn {
            self.bad("ntfs-index", &text, at, format!("says that its number is {}", header.vcn.get()));
        }
        let start = size_of::<IndexBlockHeader>();
        let node = Node { bytes: &bytes[start..], at: at.map(|at| at + start as u64), text };
        self.node(&node, depth);
    }

    /// Reports blocks that are in the bitmap, but not in the tree.
    fn unreachable(&mut self) {
        let Some(mut bitmap) = self.bitmap.take().filter(|_| self.whole) else { return };
        let blocks = self.blocks.as_ref().map_or(0, |blocks| blocks.backed_size() / self.block_size as u64);
        // Bits without a block are in the rest of the last word, or in words behind it.
        let bits = bitmap.len().min(blocks.next_multiple_of(64) + 512);
        let unused = (0..bits).filter(|number| !self.seen.contains(number));
        for number in unused.filter(|&number| bitmap.get(number)).take(Findings::PER_CODE as usize).collect::<Vec<_>>()
        {
            let message = match number < blocks {
                true => format!("says that block {number} is in use, but the tree does not have it"),
                false => format!("says that block {number} is in use; there are {blocks}"),
            };
            self.bad("ntfs-index-bitmap", &format!("{}, $BITMAP", self.text), None, message);
        }
    }
}

/// Whether names in the directory `file` may differ only in case (Windows 10 1803 and later): a bit in a field of
/// `$STANDARD_INFORMATION` that was the version of the file before.
fn is_case_sensitive(file: &File) -> bool {
    const VERSION: usize = 0x28;
    file.value(attribute_type::STANDARD_INFORMATION)
        .and_then(|value| value.get(VERSION))
        .is_some_and(|bits| bits & 1 == 1)
}

/// The data of a view's entry. Its position and length are in the field that holds the file reference in a directory.
fn view_data(reference: u64, entry: &[u8]) -> Option<&[u8]> {
    let (offset, len) = (reference as u16, (reference >> 16) as u16);
    if len == 0 {
        return Some(&[]);
    }
    entry.get(usize::from(offset)..usize::from(offset) + usize::from(len))
}

/// Order of two keys; `None` if one is damaged or the order is not known.
fn compare(collation: u32, is_names: bool, upcase: &[u16], a: &[u8], b: &[u8]) -> Option<Ordering> {
    let words = |bytes: &[u8]| -> Vec<u32> {
        bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("4 bytes"))).collect()
    };
    match collation {
        collation::FILE_NAME if is_names => {
            let [a, b] = [a, b].map(|key| super::names::parse(key).map(|(_, name)| name));
            let units = |name: &[u8]| -> Vec<u16> { text::units(name).collect() };
            let (a, b) = (units(a?), units(b?));
            let fold = |unit: &u16| upcase[usize::from(*unit)];
            Some(a.iter().map(fold).cmp(b.iter().map(fold)).then_with(|| a.cmp(&b)))
        }
        collation::ULONG | collation::SECURITY_HASH | collation::ULONGS => Some(words(a).cmp(&words(b))),
        // Views whose order is not known are not judged.
        _ => Some(Ordering::Less),
    }
}

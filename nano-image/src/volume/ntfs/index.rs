//! Indexes: B-trees of directory entries and of views (`$SII`, `$R`, …), built in one go from sorted entries.
//!
//! A small index lies completely in `$INDEX_ROOT`. A large one has blocks in `$INDEX_ALLOCATION`: leaves are filled one
//! after another, the first entry that does not fit becomes a separator in the level above, and the root only points to
//! the single block of the topmost level. All leaves have the same depth, and none is empty.

use zerocopy::IntoBytes;

use super::format::*;

/// One entry: the reference field of its header, its key, and for a view its data.
#[derive(Clone, Debug)]
pub(super) struct IndexEntry {
    reference: u64,
    key_length: u16,
    /// Key; for a view also the data, at the offset that `reference` states.
    payload: Vec<u8>,
}

impl IndexEntry {
    /// An entry of a directory: `key` is the value of a `$FILE_NAME`.
    pub fn directory(file: FileReference, key: Vec<u8>) -> Self {
        Self { reference: file.0, key_length: key.len() as u16, payload: key }
    }

    /// An entry of a view. `data_offset` is counted from the start of the entry.
    pub fn view(key: &[u8], data_offset: u16, data: &[u8]) -> Self {
        let mut payload = key.to_vec();
        payload.resize(usize::from(data_offset) - 0x10, 0);
        payload.extend_from_slice(data);
        Self { reference: u64::from(data_offset) | (data.len() as u64) << 16, key_length: key.len() as u16, payload }
    }

    /// Appends `bytes` that are part of neither key nor data.
    pub fn append_tail(&mut self, bytes: &[u8]) {
        self.payload.extend_from_slice(bytes);
    }

    /// Bytes of the entry in a leaf.
    pub fn len(&self) -> usize {
        align8(0x10 + self.payload.len())
    }

    fn write(&self, out: &mut Vec<u8>, child: Option<u64>) {
        let length = self.len() + if child.is_some() { 8 } else { 0 };
        let header = IndexEntryHeader {
            reference: self.reference.into(),
            length: (length as u16).into(),
            key_length: self.key_length.into(),
            flags: if child.is_some() { entry_flag::HAS_SUBNODE } else { 0 }.into(),
            unused: 0.into(),
        };
        let start = out.len();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(&self.payload);
        out.resize(start + self.len(), 0);
        out.extend(child.iter().flat_map(|vcn| vcn.to_le_bytes()));
    }
}

/// Bytes of a directory entry for a name of `units` units.
pub(super) const fn directory_entry_len(units: usize) -> usize {
    align8(0x10 + size_of::<FileName>() + 2 * units)
}

/// What an index is made of, apart from its entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexKind {
    pub attribute_type: u32,
    pub collation: u32,
    pub cluster_size: u64,
}

/// A finished index.
#[derive(Clone, Debug)]
pub(super) struct Index {
    /// Value of `$INDEX_ROOT`.
    pub root: Vec<u8>,
    /// Contents of `$INDEX_ALLOCATION`; empty for a small index.
    pub blocks: Vec<u8>,
}

/// Value of the `$BITMAP` of a large index: all of its `blocks` are in use.
pub(super) fn bitmap(blocks: usize) -> Vec<u8> {
    let mut bitmap = vec![0xFF; blocks / 8];
    bitmap.extend((!blocks.is_multiple_of(8)).then_some(((1u16 << (blocks % 8)) - 1) as u8));
    bitmap.resize(bitmap.len().next_multiple_of(8), 0);
    bitmap
}

/// Value of `$INDEX_ROOT` for a large index, whose last block is the topmost one.
pub(super) fn large_root(kind: IndexKind, blocks: usize) -> Vec<u8> {
    let mut node = Vec::with_capacity(INNER_END);
    write_end(&mut node, Some(vcn(kind, (blocks - 1) * INDEX_BLOCK_SIZE)));
    root(kind, &node, true)
}

/// Number of blocks of a large index whose sorted entries have the lengths `lens`.
pub(super) fn block_count(lens: &[usize]) -> usize {
    let mut nodes = split(lens.len(), |index| lens[index], LEAF_END);
    let mut separators: Vec<usize> = nodes.iter().filter_map(|node| node.separator).collect();
    let mut blocks = nodes.len();
    while nodes.len() > 1 {
        nodes = split(separators.len(), |index| lens[separators[index]] + 8, INNER_END);
        separators = nodes.iter().filter_map(|node| node.separator).map(|index| separators[index]).collect();
        blocks += nodes.len();
    }
    blocks
}

/// Length of the value of `$INDEX_ROOT` when it holds entries of `entries_len` bytes in total.
pub(super) const fn small_root_len(entries_len: usize) -> usize {
    0x20 + entries_len + LEAF_END
}

const LEAF_END: usize = 0x10;
const INNER_END: usize = 0x18;
/// Position of the entries in a block: after header, index header, nine words of update sequence array, and padding.
const BLOCK_ENTRIES_OFFSET: usize = 0x40;
const BLOCK_CAPACITY: usize = INDEX_BLOCK_SIZE - BLOCK_ENTRIES_OFFSET;

/// Builds an index of `entries`, which must be sorted by its collation. It is small if the value of its root has at
/// most `max_root_len` bytes.
pub(super) fn build(kind: IndexKind, entries: &[IndexEntry], max_root_len: usize) -> Index {
    let entries_len: usize = entries.iter().map(IndexEntry::len).sum();
    if small_root_len(entries_len) <= max_root_len {
        let mut node = Vec::with_capacity(entries_len + LEAF_END);
        entries.iter().for_each(|entry| entry.write(&mut node, None));
        write_end(&mut node, None);
        return Index { root: root(kind, &node, false), blocks: Vec::new() };
    }
    let mut blocks = Vec::new();
    let leaves = split(entries.len(), |index| entries[index].len(), LEAF_END);
    let mut level = Level::default();
    for node in leaves {
        level.children.push(vcn(kind, blocks.len()));
        let mut bytes = Vec::with_capacity(BLOCK_CAPACITY);
        entries[node.entries].iter().for_each(|entry| entry.write(&mut bytes, None));
        write_end(&mut bytes, None);
        write_block(kind, &mut blocks, &bytes, false);
        level.separators.extend(node.separator);
    }
    while level.children.len() > 1 {
        let separators = &level.separators;
        let nodes = split(separators.len(), |index| entries[separators[index]].len() + 8, INNER_END);
        let mut above = Level::default();
        for node in nodes {
            above.children.push(vcn(kind, blocks.len()));
            let mut bytes = Vec::with_capacity(BLOCK_CAPACITY);
            let last = node.entries.end;
            for index in node.entries {
                entries[separators[index]].write(&mut bytes, Some(level.children[index]));
            }
            write_end(&mut bytes, Some(level.children[last]));
            write_block(kind, &mut blocks, &bytes, true);
            above.separators.extend(node.separator.map(|index| separators[index]));
        }
        level = above;
    }
    Index { root: large_root(kind, blocks.len() / INDEX_BLOCK_SIZE), blocks }
}

/// The nodes of one level, and the entries between them.
#[derive(Default)]
struct Level {
    children: Vec<u64>,
    separators: Vec<usize>,
}

/// A future node: a range of the level's entries, and the entry after it, which moves up.
struct NodeRange {
    entries: std::ops::Range<usize>,
    separator: Option<usize>,
}

/// Divides `count` entries into nodes. The entry between two nodes belongs to neither.
fn split(count: usize, len: impl Fn(usize) -> usize, end_len: usize) -> Vec<NodeRange> {
    let mut nodes: Vec<NodeRange> = Vec::new();
    let (mut start, mut used) = (0, end_len);
    for index in 0..count {
        if used + len(index) <= BLOCK_CAPACITY {
            used += len(index);
        } else if index + 1 == count {
            // If the last entry were a separator, an empty node would follow it. So the entry before it moves up.
            nodes.push(NodeRange { entries: start..index - 1, separator: Some(index - 1) });
            start = index;
        } else {
            nodes.push(NodeRange { entries: start..index, separator: Some(index) });
            (start, used) = (index + 1, end_len);
        }
    }
    nodes.push(NodeRange { entries: start..count, separator: None });
    nodes
}

fn write_end(node: &mut Vec<u8>, child: Option<u64>) {
    let length = if child.is_some() { INNER_END } else { LEAF_END };
    let flags = entry_flag::LAST | if child.is_some() { entry_flag::HAS_SUBNODE } else { 0 };
    let header = IndexEntryHeader {
        reference: 0.into(),
        length: (length as u16).into(),
        key_length: 0.into(),
        flags: flags.into(),
        unused: 0.into(),
    };
    node.extend_from_slice(header.as_bytes());
    node.extend(child.iter().flat_map(|vcn| vcn.to_le_bytes()));
}

/// VCN of the block at byte `offset` of the allocation.
fn vcn(kind: IndexKind, offset: usize) -> u64 {
    (offset / vcn_unit(kind.cluster_size)) as u64
}

/// VCNs of an index count clusters, or sectors if a cluster is larger than a block.
fn vcn_unit(cluster_size: u64) -> usize {
    if cluster_size <= INDEX_BLOCK_SIZE as u64 { cluster_size as usize } else { SECTOR_SIZE }
}

fn write_block(kind: IndexKind, blocks: &mut Vec<u8>, entries: &[u8], has_children: bool) {
    let start = blocks.len();
    let header = IndexBlockHeader {
        magic: *b"INDX",
        usa_offset: 0x28.into(),
        usa_count: (INDEX_BLOCK_SIZE as u16 / SECTOR_SIZE as u16 + 1).into(),
        lsn: 0.into(),
        vcn: vcn(kind, start).into(),
    };
    let index = IndexHeader {
        entries_offset: (BLOCK_ENTRIES_OFFSET as u32 - 0x18).into(),
        total_size: ((BLOCK_ENTRIES_OFFSET - 0x18 + entries.len()) as u32).into(),
        allocated_size: (INDEX_BLOCK_SIZE as u32 - 0x18).into(),
        flags: has_children.into(),
        unused: [0; 3],
    };
    blocks.extend_from_slice(header.as_bytes());
    blocks.extend_from_slice(index.as_bytes());
    blocks.resize(start + BLOCK_ENTRIES_OFFSET, 0);
    blocks.extend_from_slice(entries);
    blocks.resize(start + INDEX_BLOCK_SIZE, 0);
    seal(&mut blocks[start..], 0x28);
}

fn root(kind: IndexKind, node: &[u8], large: bool) -> Vec<u8> {
    let header = IndexRootHeader {
        attribute_type: kind.attribute_type.into(),
        collation: kind.collation.into(),
        index_block_size: (INDEX_BLOCK_SIZE as u32).into(),
        clusters_per_index_block: (INDEX_BLOCK_SIZE / vcn_unit(kind.cluster_size)) as u8,
        unused: [0; 3],
    };
    let size = (0x10 + node.len()) as u32;
    let index = IndexHeader {
        entries_offset: 0x10.into(),
        total_size: size.into(),
        allocated_size: size.into(),
        flags: large.into(),
        unused: [0; 3],
    };
    [header.as_bytes(), index.as_bytes(), node].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: IndexKind = IndexKind { attribute_type: 0, collation: collation::ULONG, cluster_size: 4096 };

    fn entries(count: u32) -> Vec<IndexEntry> {
        (0..count).map(|id| IndexEntry::view(&id.to_be_bytes(), 0x14, &[7; 20])).collect()
    }

    /// Collects the keys below `node` in order, and the depths of its leaves.
    fn walk(index: &Index, node: &[u8], depth: usize, keys: &mut Vec<Vec<u8>>, depths: &mut Vec<usize>) {
        let mut at = 0;
        loop {
            let field = |o: usize| usize::from(u16::from_le_bytes([node[at + o], node[at + o + 1]]));
            let (length, key, flags) = (field(8), field(10), field(12) as u16);
            if flags & entry_flag::HAS_SUBNODE != 0 {
                let vcn = u64::from_le_bytes(node[at + length - 8..at + length].try_into().unwrap()) as usize;
                let mut block = index.blocks[vcn * 4096..(vcn + 1) * 4096].to_vec();
                for sector in 1..=8 {
                    block.copy_within(0x28 + 2 * sector..0x2A + 2 * sector, sector * 512 - 2);
                }
                assert_eq!(block[0x10..0x18], (vcn as u64).to_le_bytes());
                walk(index, &block[0x40..], depth + 1, keys, depths);
            } else if flags & entry_flag::LAST != 0 {
                depths.push(depth);
            }
            if flags & entry_flag::LAST != 0 {
                assert!(at > 0 || flags & entry_flag::HAS_SUBNODE != 0 || depth == 0, "an empty leaf");
                return;
            }
            keys.push(node[at + 0x10..at + 0x10 + key].to_vec());
            at += length;
        }
    }

    #[test]
    fn every_size_around_the_level_boundaries_holds_every_key_in_order() {
        // Entries have 40 bytes: 100 fill a leaf; 84 separators of 48 bytes fill an inner node.
        for count in (0..420).chain(8_480..8_590).chain([60_000]) {
            let index = build(KIND, &entries(count), 600);
            let (mut keys, mut depths) = (Vec::new(), Vec::new());
            walk(&index, &index.root[0x20..], 0, &mut keys, &mut depths);
            let expected: Vec<Vec<u8>> = (0..count).map(|id| id.to_be_bytes().to_vec()).collect();
            assert!(keys == expected, "{count}");
            assert!(depths.windows(2).all(|pair| pair[0] == pair[1]), "{count}: leaves at different depths");
            if !index.blocks.is_empty() {
                assert_eq!(block_count(&vec![40; count as usize]) * INDEX_BLOCK_SIZE, index.blocks.len(), "{count}");
            }
        }
    }

    #[test]
    fn large_clusters_count_blocks_in_sectors() {
        let index = build(IndexKind { cluster_size: 65536, ..KIND }, &entries(500), 100);
        assert_eq!(index.root[0x0C], 8);
        assert_eq!(index.blocks[4096 + 0x10..4096 + 0x18], 8u64.to_le_bytes());
        assert_eq!(bitmap(index.blocks.len() / INDEX_BLOCK_SIZE).len(), 8);
    }
}

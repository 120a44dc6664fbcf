//! Checks that a hive is whole before anything relies on it.
//!
//! Every cell is claimed by the one structure that uses it. A second claim means a loop or a shared cell; an edit would
//! turn either into damage. Used cells that nothing claims are harmless and stay.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::cells::{Cell, Cells, corrupt, file_index};
use super::format::*;
use super::hive::{Hive, base_block, cell_list};
use super::list::entry_len;
use super::name::StoredName;
use crate::error::{Error, Result};
use crate::types::{FileTime, upcase};

/// Reads and checks a hive whose base block is good.
pub(super) fn open(bytes: Vec<u8>) -> Result<Hive> {
    examine(bytes).map(|(hive, _)| hive)
}

/// The hive, and its used cells that no structure uses.
pub(super) fn examine(bytes: Vec<u8>) -> Result<(Hive, CellSet)> {
    let base = base_block(&bytes)?;
    let (bins_len, root, minor) = (base.bins_len.get(), base.root_cell.get(), base.minor.get());
    let time = FileTime(base.last_written.get());
    let available = bytes.len() - BASE_BLOCK_LEN;
    if bins_len == 0 || !bins_len.is_multiple_of(BIN_ALIGNMENT) || bins_len > MAX_BINS_LEN {
        return Err(Error::corrupt(format!("registry hive has an impossible length of bins: {bins_len}")).at(0x28));
    }
    if bins_len as usize > available {
        let short =
            format!("registry hive is cut short: its bins have {bins_len} bytes, of which the file holds {available}");
        return Err(Error::corrupt(short).at(bytes.len() as u64));
    }
    let mut used = CellSet::new(bins_len);
    let cells = Cells::parse(bytes, bins_len, |cell| used.insert(cell))?;
    let mut hive = Hive::assemble(cells, minor, root, time);
    let mut check = Check { hive: &hive, used, items: CellSet::new(bins_len), ordered: true };
    let mut references = Vec::new();
    check.keys(root, &mut references)?;
    let ring = check.ring(references.first().copied())?;
    let (items, ordered, leaked) = (check.items, check.ordered, check.used);
    hive.ordered = ordered;
    hive.descriptors.references = ring.into_iter().map(|item| (item, 0)).collect();
    for item in references {
        match hive.descriptors.references.get_mut(&item) {
            Some(count) => *count += 1,
            None => return Err(corrupt("security descriptor is not linked with the others", item)),
        }
    }
    debug_assert!(hive.descriptors.references.keys().all(|item| items.contains(*item)));
    Ok((hive, leaked))
}

/// A set of cells, with one bit for each possible position.
pub(super) struct CellSet(Vec<u64>);

impl CellSet {
    fn new(bins_len: u32) -> Self {
        Self(vec![0; (bins_len / CELL_ALIGNMENT).div_ceil(64) as usize])
    }

    fn place(cell: Cell) -> (usize, u64) {
        let index = cell / CELL_ALIGNMENT;
        (index as usize / 64, 1 << (index % 64))
    }

    fn insert(&mut self, cell: Cell) {
        let (word, bit) = Self::place(cell);
        self.0[word] |= bit;
    }

    fn contains(&self, cell: Cell) -> bool {
        let (word, bit) = Self::place(cell);
        cell.is_multiple_of(CELL_ALIGNMENT) && self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Whether the set is empty.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Removes a cell; returns whether it was in the set.
    fn remove(&mut self, cell: Cell) -> bool {
        let present = self.contains(cell);
        if present {
            let (word, bit) = Self::place(cell);
            self.0[word] &= !bit;
        }
        present
    }
}

struct Check<'a> {
    hive: &'a Hive,
    /// Used cells that nothing has claimed.
    used: CellSet,
    /// Claimed security items.
    items: CellSet,
    ordered: bool,
}

impl<'a> Check<'a> {
    /// Claims the contents of a cell that `by` uses for `what`.
    fn claim(&mut self, cell: Cell, what: &str, by: Cell) -> Result<&'a [u8]> {
        if self.used.remove(cell) {
            return self.hive.cells.get(cell).ok_or_else(|| corrupt(format!("{what} runs out of the hive"), cell));
        }
        let place = file_index(cell);
        Err(corrupt(
            format!("{what} should be the cell at byte {place:#x}, which is free, in use elsewhere or missing"),
            by,
        ))
    }

    fn claim_at_least(&mut self, cell: Cell, len: usize, what: &str, by: Cell) -> Result<&'a [u8]> {
        let bytes = self.claim(cell, what, by)?;
        bytes.get(..len).ok_or_else(|| corrupt(format!("{what} is shorter than its {len} bytes"), cell))
    }

    /// Checks all keys from the root down, and records the security item of each.
    fn keys(&mut self, root: Cell, references: &mut Vec<Cell>) -> Result<()> {
        self.claim(root, "root key", 0)?;
        let mut pending = vec![(root, None)];
        while let Some((cell, parent)) = pending.pop() {
            let (node, _) = self.hive.node(cell).ok_or_else(|| corrupt("no registry key where one should be", cell))?;
            if parent.is_some_and(|parent| parent != node.parent.get()) {
                return Err(corrupt("registry key names another parent", cell));
            }
            let name = self.hive.key_name(cell).ok_or_else(|| corrupt("name of a registry key is cut off", cell))?;
            if !name.latin1 && name.bytes.len() % 2 != 0 {
                return Err(corrupt("name of a registry key is half a character too long", cell));
            }
            if node.class_len.get() > 0 {
                self.claim_at_least(node.class.get(), node.class_len.get().into(), "class of a key", cell)?;
            }
            let item = node.security.get();
            if item != NO_CELL {
                self.item(item, cell)?;
                references.push(item);
            }
            self.values(cell, node)?;
            self.children(cell, node, &mut pending)?;
        }
        Ok(())
    }

    fn children(&mut self, key: Cell, node: &KeyNode, pending: &mut Vec<(Cell, Option<Cell>)>) -> Result<()> {
        let expected = node.subkey_count.get() as usize;
        if expected == 0 {
            return Ok(());
        }
        let list = node.subkey_list.get();
        let first = pending.len();
        let bytes = self.claim(list, "list of subkeys", key)?;
        if bytes.starts_with(&RI) {
            let count = usize::from(u16::from_le_bytes([bytes[2], bytes[3]]));
            let leaves = bytes.get(4..4 + 4 * count).ok_or_else(|| corrupt("list of lists is cut off", list))?;
            for leaf in cell_list(leaves) {
                let bytes = self.claim(leaf, "list of subkeys", list)?;
                self.leaf(key, leaf, bytes, pending)?;
            }
        } else {
            self.leaf(key, list, bytes, pending)?;
        }
        let found = pending.len() - first;
        if found != expected {
            return Err(corrupt(format!("registry key has {expected} subkeys and lists {found}"), key));
        }
        self.names(&pending[first..])
    }

    /// Checks that the names of `children` are in order and that none occurs twice.
    fn names(&mut self, children: &[(Cell, Option<Cell>)]) -> Result<()> {
        // A child that is not a key is reported when it is checked itself.
        let names = || children.iter().filter_map(|(cell, _)| Some((*cell, self.hive.key_name(*cell)?)));
        let twice = |cell, name: StoredName<'_>| corrupt(format!("two subkeys are called `{}`", name.to_name()), cell);
        let mut ordered = true;
        for ((_, name), (cell, next)) in names().zip(names().skip(1)) {
            match name.cmp_folded(next.units()) {
                Ordering::Less => {}
                Ordering::Greater => ordered = false,
                Ordering::Equal => return Err(twice(cell, next)),
            }
        }
        if !ordered {
            let mut folded = BTreeSet::new();
            for (cell, name) in names() {
                if !folded.insert(name.units().map(upcase::fold).collect::<Vec<u16>>()) {
                    return Err(twice(cell, name));
                }
            }
            self.ordered = false;
        }
        Ok(())
    }

    fn leaf(&mut self, key: Cell, leaf: Cell, bytes: &[u8], pending: &mut Vec<(Cell, Option<Cell>)>) -> Result<()> {
        let signature = [bytes[0], bytes[1]];
        if ![LF, LH, LI].contains(&signature) {
            return Err(corrupt("no list of subkeys where one should be", leaf));
        }
        let (count, len) = (usize::from(u16::from_le_bytes([bytes[2], bytes[3]])), entry_len(signature));
        if count == 0 {
            return Err(corrupt("list of subkeys is empty", leaf));
        }
        let entries = bytes.get(4..4 + count * len).ok_or_else(|| corrupt("list of subkeys is cut off", leaf))?;
        for child in entries.chunks_exact(len).flat_map(|entry| cell_list(&entry[..4])) {
            // Claimed here, so that a list with repetitions cannot fill the memory.
            self.claim(child, "subkey", leaf)?;
            pending.push((child, Some(key)));
        }
        Ok(())
    }

    fn values(&mut self, key: Cell, node: &KeyNode) -> Result<()> {
        let count = node.value_count.get() as usize;
        if count == 0 {
            return Ok(());
        }
        let len = count.checked_mul(4).ok_or_else(|| corrupt("impossible number of values", key))?;
        let list = self.claim_at_least(node.value_list.get(), len, "list of values", key)?;
        for cell in cell_list(list) {
            self.claim(cell, "registry value", key)?;
            let (value, _) = self.hive.value_node(cell).ok_or_else(|| corrupt("no registry value", cell))?;
            self.hive.value_name(cell).ok_or_else(|| corrupt("name of a registry value is cut off", cell))?;
            self.data(cell, value.data_len.get(), value.data.get())?;
        }
        Ok(())
    }

    fn data(&mut self, value: Cell, len: u32, data: Cell) -> Result<()> {
        if len & VALUE_INLINE != 0 {
            return match len & !VALUE_INLINE {
                0..=4 => Ok(()),
                _ => Err(corrupt("registry value holds more than four bytes in its offset field", value)),
            };
        }
        let len = len as usize;
        if len == 0 {
            return Ok(());
        }
        if !self.hive.is_big(len) {
            return self.claim_at_least(data, len, "data of a registry value", value).map(drop);
        }
        self.claim_at_least(data, size_of::<BigData>(), "big data of a registry value", value)?;
        let (big, _) = self.hive.cells.read::<BigData>(data).expect("claimed with its length");
        let count = usize::from(big.count.get());
        if big.signature != DB || count != len.div_ceil(BIG_DATA_SEGMENT) {
            return Err(corrupt("no big data of the length that its registry value gives", data));
        }
        let list = self.claim_at_least(big.list.get(), 4 * count, "list of segments", data)?;
        for (index, segment) in cell_list(list).enumerate() {
            let piece = (len - index * BIG_DATA_SEGMENT).min(BIG_DATA_SEGMENT);
            self.claim_at_least(segment, piece, "segment of a registry value", data)?;
        }
        Ok(())
    }

    /// Checks a security item when it is met for the first time.
    fn item(&mut self, item: Cell, by: Cell) -> Result<()> {
        if self.items.contains(item) {
            return Ok(());
        }
        self.claim(item, "security descriptor", by)?;
        self.hive.descriptor(item).ok_or_else(|| corrupt("no security descriptor, or one cut off", item))?;
        self.items.insert(item);
        Ok(())
    }

    /// Checks the ring of all security items, including those that no key uses.
    fn ring(&mut self, start: Option<Cell>) -> Result<Vec<Cell>> {
        let Some(start) = start else { return Ok(Vec::new()) };
        let (mut ring, mut at) = (Vec::new(), start);
        let mut seen = CellSet::new(self.hive.cells.bins_len);
        loop {
            self.item(at, start)?;
            seen.insert(at);
            ring.push(at);
            let (item, _) = self.hive.cells.read::<KeySecurity>(at).expect("checked item");
            let next = item.next.get();
            let broken = || corrupt("ring of security descriptors is broken", at);
            if next != start {
                self.item(next, at)?;
            }
            let (following, _) = self.hive.cells.read::<KeySecurity>(next).ok_or_else(broken)?;
            if following.previous.get() != at || (next != start && seen.contains(next)) {
                return Err(broken());
            }
            if next == start {
                return Ok(ring);
            }
            at = next;
        }
    }
}

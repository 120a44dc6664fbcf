//! Lists of subkeys: `lf`, `lh` and `li` leaves, either one leaf or several below an `ri`.

use std::cmp::Ordering;

use super::cells::{Cell, corrupt};
use super::format::*;
use super::hive::Hive;
use super::name;
use crate::error::{Error, Result};

/// A leaf, and the length of its entries.
#[derive(Clone, Copy)]
struct Leaf {
    cell: Cell,
    signature: [u8; 2],
    count: usize,
}

impl Leaf {
    fn entry_len(self) -> usize {
        entry_len(self.signature)
    }

    fn limit(self) -> usize {
        if self.signature == LI { MAX_PLAIN_LEAF } else { MAX_HINTED_LEAF }
    }
}

/// Length of an entry of a list.
pub(super) fn entry_len(signature: [u8; 2]) -> usize {
    if signature == LF || signature == LH { 8 } else { 4 }
}

/// The leaves of a key: one, or those of an `ri`.
#[derive(Clone, Copy)]
struct Leaves {
    list: Cell,
    has_root: bool,
    count: usize,
}

/// The position of a name in the lists of a key, or the position where it belongs.
struct ListPosition {
    /// Index of the leaf; 0 without an `ri`.
    leaf: usize,
    /// Index of the entry in the leaf.
    entry: usize,
    found: Option<Cell>,
}

impl Hive {
    /// Cells of the subkeys of a key.
    pub(super) fn children(&self, key: Cell) -> Vec<Cell> {
        let leaves = self.leaves(key);
        let leaves = (0..leaves.count).filter_map(|index| self.leaf_at(leaves, index));
        leaves.flat_map(|leaf| (0..leaf.count).filter_map(move |index| self.entry(leaf, index))).collect()
    }

    /// The subkey `name` of a key.
    pub(super) fn find_child(&self, key: Cell, name: &[u16]) -> Option<Cell> {
        if self.ordered {
            return self.place(self.leaves(key), name).found;
        }
        self.children(key).into_iter().find(|child| self.key_name(*child).is_some_and(|n| n.eq_folded(name)))
    }

    /// Puts `child` into the lists of `key`, which must not have its name yet.
    pub(super) fn insert_child(&mut self, key: Cell, child: Cell, name: &[u16]) -> Result<()> {
        let leaves = self.leaves(key);
        let hint = |signature| if signature == LH { name::hash(name) } else { name::hint(name) };
        if leaves.count == 0 {
            let signature = if self.minor >= MINOR_HASH_LEAF { LH } else { LF };
            let leaf = self.new_leaf(signature, 1)?;
            self.insert_entry(leaf, 0, child, hint(signature))?;
            self.cells.write::<KeyNode>(key)?.0.subkey_list = leaf.cell.into();
            return self.count_child(key, 1);
        }
        let ListPosition { leaf: mut index, mut entry, .. } = self.place(leaves, name);
        let mut leaf = self.leaf_at(leaves, index).ok_or_else(|| corrupt("no list of subkeys", key))?;
        if leaf.count >= leaf.limit() {
            // Keys often arrive in order. Then the last leaf stays full and the new key starts another one.
            let keep = if index + 1 == leaves.count && entry == leaf.count { leaf.count } else { leaf.count / 2 };
            let upper = self.split(leaf, keep)?;
            self.insert_leaf(key, index, upper.cell)?;
            if entry > keep || keep == leaf.count {
                (leaf, index, entry) = (upper, index + 1, entry - keep);
            } else {
                leaf.count = keep;
            }
        }
        let moved = self.reserve_entry(leaf)?;
        if moved.cell != leaf.cell {
            self.replace_leaf(key, index, moved.cell)?;
        }
        self.insert_entry(moved, entry, child, hint(moved.signature))?;
        self.count_child(key, 1)
    }

    /// Removes `child` from the lists of `key`.
    pub(super) fn remove_child(&mut self, key: Cell, child: Cell) -> Result<()> {
        let leaves = self.leaves(key);
        let found = self.find_entry(leaves, child);
        let (index, entry, leaf) = found.ok_or_else(|| corrupt("key is not in its list", child))?;
        self.remove_entry(leaf, entry)?;
        if leaf.count == 1 {
            self.cells.free(leaf.cell)?;
            self.remove_leaf(key, index)?;
        }
        self.count_child(key, -1)
    }

    /// The leaf that holds `child`, and its index there.
    fn find_entry(&self, leaves: Leaves, child: Cell) -> Option<(usize, usize, Leaf)> {
        if self.ordered {
            let name: Vec<u16> = self.key_name(child)?.units().collect();
            let place = self.place(leaves, &name);
            let leaf = self.leaf_at(leaves, place.leaf)?;
            return (place.found == Some(child)).then_some((place.leaf, place.entry, leaf));
        }
        (0..leaves.count).find_map(|index| {
            let leaf = self.leaf_at(leaves, index)?;
            let entry = (0..leaf.count).find(|entry| self.entry(leaf, *entry) == Some(child))?;
            Some((index, entry, leaf))
        })
    }

    /// Wipes the lists of a key that loses all its subkeys.
    pub(super) fn free_lists(&mut self, key: Cell) -> Result<()> {
        let node = self.live(key)?;
        let (list, count) = (node.subkey_list.get(), node.subkey_count.get());
        if count == 0 {
            return Ok(());
        }
        let leaves = self.leaves(key);
        for index in 0..if leaves.has_root { leaves.count } else { 0 } {
            let leaf = self.leaf_at(leaves, index).ok_or_else(|| corrupt("no list of subkeys", list))?;
            self.cells.free(leaf.cell)?;
        }
        self.cells.free(list)?;
        let (node, _) = self.cells.write::<KeyNode>(key)?;
        (node.subkey_list, node.subkey_count) = (NO_CELL.into(), 0.into());
        Ok(())
    }

    /// Whether the hints in a key's lists, by which Windows searches, fit the names of its subkeys.
    #[cfg(test)]
    pub(super) fn hints_are_right(&self, key: Cell) -> bool {
        let leaves = self.leaves(key);
        (0..leaves.count).filter_map(|index| self.leaf_at(leaves, index)).all(|leaf| {
            (0..leaf.count).all(|index| {
                let name: Vec<u16> = self.key_name(self.entry(leaf, index).unwrap()).unwrap().units().collect();
                let at = size_of::<ListHeader>() + index * leaf.entry_len() + 4;
                let stored = || self.cells.get(leaf.cell).unwrap()[at..at + 4].try_into().map(u32::from_le_bytes).ok();
                match leaf.signature {
                    LH => stored() == Some(name::hash(&name)),
                    LF => stored() == Some(name::hint(&name)),
                    _ => true,
                }
            })
        })
    }

    fn leaves(&self, key: Cell) -> Leaves {
        let none = Leaves { list: NO_CELL, has_root: false, count: 0 };
        let Some((node, _)) = self.node(key).filter(|(node, _)| node.subkey_count.get() > 0) else { return none };
        let list = node.subkey_list.get();
        match self.root_list_len(list) {
            Some(count) => Leaves { list, has_root: true, count },
            None => Leaves { list, has_root: false, count: 1 },
        }
    }

    fn leaf_at(&self, leaves: Leaves, index: usize) -> Option<Leaf> {
        if !leaves.has_root {
            return self.leaf(leaves.list);
        }
        let at = size_of::<ListHeader>() + 4 * index;
        self.leaf(Cell::from_le_bytes(self.cells.get(leaves.list)?.get(at..at + 4)?.try_into().ok()?))
    }

    fn leaf(&self, cell: Cell) -> Option<Leaf> {
        let (header, rest) = self.cells.read::<ListHeader>(cell)?;
        let leaf = Leaf { cell, signature: header.signature, count: header.count.get().into() };
        ([LF, LH, LI].contains(&leaf.signature) && rest.len() >= leaf.count * leaf.entry_len())
            .then_some(leaf)
            .filter(|leaf| leaf.count > 0)
    }

    fn entry(&self, leaf: Leaf, index: usize) -> Option<Cell> {
        let at = size_of::<ListHeader>() + index * leaf.entry_len();
        Some(Cell::from_le_bytes(self.cells.get(leaf.cell)?.get(at..at + 4)?.try_into().ok()?))
    }

    /// Compares the name of an entry with `name`.
    fn compare(&self, leaf: Leaf, index: usize, name: &[u16]) -> Ordering {
        let stored = self.entry(leaf, index).and_then(|cell| self.key_name(cell));
        stored.map_or(Ordering::Less, |stored| stored.cmp_folded(name.iter().copied()))
    }

    /// Searches for the first leaf whose last name is not below `name`, then in that leaf; both by halving.
    fn place(&self, leaves: Leaves, name: &[u16]) -> ListPosition {
        let (mut index, mut end) = (0, leaves.count.saturating_sub(1));
        while index < end {
            let middle = index + (end - index) / 2;
            let leaf = self.leaf_at(leaves, middle);
            match leaf.is_some_and(|leaf| self.compare(leaf, leaf.count - 1, name).is_lt()) {
                true => index = middle + 1,
                false => end = middle,
            }
        }
        let Some(leaf) = self.leaf_at(leaves, index) else { return ListPosition { leaf: 0, entry: 0, found: None } };
        let (mut low, mut high) = (0, leaf.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.compare(leaf, middle, name) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return ListPosition { leaf: index, entry: middle, found: self.entry(leaf, middle) },
            }
        }
        ListPosition { leaf: index, entry: low, found: None }
    }

    fn count_child(&mut self, key: Cell, change: i32) -> Result<()> {
        let (node, _) = self.cells.write::<KeyNode>(key)?;
        node.subkey_count = node.subkey_count.get().wrapping_add_signed(change).into();
        Ok(())
    }

    fn new_leaf(&mut self, signature: [u8; 2], capacity: usize) -> Result<Leaf> {
        let cell = self.cells.allocate(size_of::<ListHeader>() + capacity * entry_len(signature))?;
        *self.cells.write::<ListHeader>(cell)?.0 = ListHeader { signature, count: 0.into() };
        Ok(Leaf { cell, signature, count: 0 })
    }

    /// Makes room in a leaf for one more entry.
    fn reserve_entry(&mut self, leaf: Leaf) -> Result<Leaf> {
        let capacity = |hive: &Self| hive.cells.get(leaf.cell).map_or(0, |bytes| (bytes.len() - 4) / leaf.entry_len());
        if leaf.count < capacity(self) {
            return Ok(leaf);
        }
        let wanted = (leaf.count + 1 + leaf.count / 2).min(leaf.limit()).max(leaf.count + 1);
        let cell = self.cells.resize(leaf.cell, size_of::<ListHeader>() + wanted * leaf.entry_len())?;
        Ok(Leaf { cell, ..leaf })
    }

    fn insert_entry(&mut self, leaf: Leaf, index: usize, child: Cell, hint: u32) -> Result<()> {
        let entry = [child.to_le_bytes(), hint.to_le_bytes()].concat();
        let (header, rest) = self.cells.write::<ListHeader>(leaf.cell)?;
        insert(rest, leaf.count, index, &entry[..leaf.entry_len()]);
        header.count = (leaf.count as u16 + 1).into();
        Ok(())
    }

    fn remove_entry(&mut self, leaf: Leaf, index: usize) -> Result<()> {
        let (header, rest) = self.cells.write::<ListHeader>(leaf.cell)?;
        remove(rest, leaf.count, index, leaf.entry_len());
        header.count = (leaf.count as u16 - 1).into();
        Ok(())
    }

    /// Moves the entries from index `keep` on to a new leaf.
    fn split(&mut self, leaf: Leaf, keep: usize) -> Result<Leaf> {
        let (len, moved) = (leaf.entry_len(), leaf.count - keep);
        let upper = self.new_leaf(leaf.signature, (moved + 1 + moved / 2).min(leaf.limit()).max(moved))?;
        let (header, rest) = self.cells.write::<ListHeader>(leaf.cell)?;
        header.count = (keep as u16).into();
        let entries = rest[keep * len..leaf.count * len].to_vec();
        rest[keep * len..leaf.count * len].fill(0);
        let (header, rest) = self.cells.write::<ListHeader>(upper.cell)?;
        header.count = (moved as u16).into();
        rest[..entries.len()].copy_from_slice(&entries);
        Ok(Leaf { count: moved, ..upper })
    }

    fn root_list_len(&self, list: Cell) -> Option<usize> {
        let (header, _) = self.cells.read::<ListHeader>(list)?;
        (header.signature == RI).then_some(header.count.get().into())
    }

    /// Lists `leaf` after the leaf `index` in the `ri` of `key`, which is created if there is none.
    fn insert_leaf(&mut self, key: Cell, index: usize, leaf: Cell) -> Result<()> {
        let list = self.live(key)?.subkey_list.get();
        let Some(count) = self.root_list_len(list) else {
            let root = self.cells.allocate(size_of::<ListHeader>() + 8)?;
            let (header, rest) = self.cells.write::<ListHeader>(root)?;
            *header = ListHeader { signature: RI, count: 2.into() };
            rest[..4].copy_from_slice(&list.to_le_bytes());
            rest[4..8].copy_from_slice(&leaf.to_le_bytes());
            self.cells.write::<KeyNode>(key)?.0.subkey_list = root.into();
            return Ok(());
        };
        if count == usize::from(u16::MAX) {
            return Err(Error::unsupported("a registry key with more than 65,535 lists of subkeys"));
        }
        let mut root = list;
        if self.cells.get(list).is_some_and(|bytes| bytes.len() < 4 + 4 * (count + 1)) {
            root = self.cells.resize(list, 4 + 4 * (count + 1 + count / 2))?;
            self.cells.write::<KeyNode>(key)?.0.subkey_list = root.into();
        }
        let (header, rest) = self.cells.write::<ListHeader>(root)?;
        insert(rest, count, index + 1, &leaf.to_le_bytes());
        header.count = (count as u16 + 1).into();
        Ok(())
    }

    fn replace_leaf(&mut self, key: Cell, index: usize, leaf: Cell) -> Result<()> {
        let list = self.live(key)?.subkey_list.get();
        // Without an `ri`, the list was the leaf itself, which has moved.
        if self.root_list_len(list).is_none() {
            self.cells.write::<KeyNode>(key)?.0.subkey_list = leaf.into();
            return Ok(());
        }
        let (_, rest) = self.cells.write::<ListHeader>(list)?;
        rest[4 * index..4 * index + 4].copy_from_slice(&leaf.to_le_bytes());
        Ok(())
    }

    fn remove_leaf(&mut self, key: Cell, index: usize) -> Result<()> {
        let list = self.live(key)?.subkey_list.get();
        if let Some(count) = self.root_list_len(list) {
            if count > 1 {
                let (header, rest) = self.cells.write::<ListHeader>(list)?;
                remove(rest, count, index, 4);
                header.count = (count as u16 - 1).into();
                return Ok(());
            }
            self.cells.free(list)?;
        }
        self.cells.write::<KeyNode>(key)?.0.subkey_list = NO_CELL.into();
        Ok(())
    }
}

/// Inserts an entry before entry `index` of `count`. There must be room.
pub(super) fn insert(entries: &mut [u8], count: usize, index: usize, entry: &[u8]) {
    let (len, at) = (entry.len(), index * entry.len());
    entries.copy_within(at..count * len, at + len);
    entries[at..at + len].copy_from_slice(entry);
}

/// Removes entry `index` of `count`, and wipes the bytes behind the rest.
pub(super) fn remove(entries: &mut [u8], count: usize, index: usize, len: usize) {
    entries.copy_within((index + 1) * len..count * len, index * len);
    entries[(count - 1) * len..count * len].fill(0);
}

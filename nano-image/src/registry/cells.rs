//! Bins and cells: checking, allocating and freeing them.

use std::collections::{BTreeMap, BTreeSet};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::format::*;
use crate::error::{Error, Result};

/// Offset of a cell from the end of the base block.
pub(super) type Cell = u32;

/// The bytes of a hive file as cells.
#[derive(Clone)]
pub(super) struct Cells {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// Length of all bins.
    pub bins_len: u32,
    free: FreeCells,
    /// New cells are made here or after this place, if they fit.
    spare: Option<Cell>,
    /// The smallest size of a new bin, in bytes.
    growth: u32,
}

/// Free runs of bytes. A run lies in one bin and may consist of several free cells.
#[derive(Clone, Default)]
struct FreeCells {
    by_offset: BTreeMap<Cell, u32>,
    by_len: BTreeSet<(u32, Cell)>,
}

impl FreeCells {
    fn insert(&mut self, cell: Cell, len: u32) {
        self.by_offset.insert(cell, len);
        self.by_len.insert((len, cell));
    }

    fn remove(&mut self, cell: Cell) -> Option<u32> {
        let len = self.by_offset.remove(&cell)?;
        self.by_len.remove(&(len, cell));
        Some(len)
    }
}

impl Cells {
    /// Takes the bins of `bytes`, which are the first `bins_len` bytes behind the base block, and checks that bins and
    /// cells cover them without gaps. `allocated` is called with every used cell.
    pub fn parse(bytes: Vec<u8>, bins_len: u32, mut allocated: impl FnMut(Cell)) -> Result<Self> {
        let mut cells = Self { bytes, bins_len, free: FreeCells::default(), spare: None, growth: BIN_ALIGNMENT };
        let mut bin = 0;
        while bin < bins_len {
            let header = BinHeader::ref_from_prefix(&cells.bytes[file_index(bin)..]).expect("bins lie in the file").0;
            let len = header.len.get();
            let bad = |what: &str| Err(corrupt(what, bin));
            if header.signature != HBIN {
                return bad("no hive bin where one should begin");
            }
            if header.offset.get() != bin {
                return bad("hive bin says that it belongs elsewhere");
            }
            if len == 0 || !len.is_multiple_of(BIN_ALIGNMENT) || len > bins_len - bin {
                return bad("hive bin has an impossible length");
            }
            cells.parse_bin(bin, len, &mut allocated)?;
            bin += len;
        }
        Ok(cells)
    }

    fn parse_bin(&mut self, bin: Cell, len: u32, allocated: &mut impl FnMut(Cell)) -> Result<()> {
        let (mut at, end) = (bin + size_of::<BinHeader>() as u32, bin + len);
        let mut run: Option<(Cell, u32)> = None;
        while at < end {
            let size = self.raw_size(at);
            let cell_len = size.unsigned_abs();
            if cell_len == 0 || !cell_len.is_multiple_of(CELL_ALIGNMENT) || cell_len > end - at {
                return Err(corrupt("cell has an impossible length", at));
            }
            if size < 0 {
                allocated(at);
                run.take().inspect(|run| self.free.insert(run.0, run.1));
            } else {
                run.get_or_insert((at, 0)).1 += cell_len;
            }
            at += cell_len;
        }
        run.inspect(|run| self.free.insert(run.0, run.1));
        Ok(())
    }

    /// Size field of the cell: negative if the cell is used.
    fn raw_size(&self, cell: Cell) -> i32 {
        let at = file_index(cell);
        i32::from_le_bytes(self.bytes[at..at + 4].try_into().expect("4 bytes"))
    }

    fn set_raw_size(&mut self, cell: Cell, size: i32) {
        let at = file_index(cell);
        self.bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
    }

    /// Length of a used cell, including its size field.
    fn used_len(&self, cell: Cell) -> Option<u32> {
        if !cell.is_multiple_of(CELL_ALIGNMENT) || cell >= self.bins_len {
            return None;
        }
        let size = self.raw_size(cell);
        let len = size.unsigned_abs();
        (size < 0 && len >= CELL_ALIGNMENT && len <= self.bins_len - cell).then_some(len)
    }

    /// Contents of a used cell.
    pub fn get(&self, cell: Cell) -> Option<&[u8]> {
        let len = self.used_len(cell)?;
        Some(&self.bytes[file_index(cell) + 4..file_index(cell) + len as usize])
    }

    /// Mutable contents of a used cell.
    pub fn get_mut(&mut self, cell: Cell) -> Result<&mut [u8]> {
        let len = self.used_len(cell).ok_or_else(|| corrupt("no cell", cell))?;
        Ok(&mut self.bytes[file_index(cell) + 4..file_index(cell) + len as usize])
    }

    /// The structure at the start of a used cell.
    pub fn read<T: FromBytes + Immutable + KnownLayout>(&self, cell: Cell) -> Option<(&T, &[u8])> {
        T::ref_from_prefix(self.get(cell)?).ok()
    }

    /// The mutable structure at the start of a used cell.
    pub fn write<T: FromBytes + IntoBytes + KnownLayout>(&mut self, cell: Cell) -> Result<(&mut T, &mut [u8])> {
        T::mut_from_prefix(self.get_mut(cell)?).map_err(|_| corrupt("cell is too short", cell))
    }

    /// A zeroed cell with room for `len` bytes. It is made in the smallest free run that fits, the lowest of several;
    /// if there is none, in a new bin.
    pub fn allocate(&mut self, len: usize) -> Result<Cell> {
        let need = cell_len(len)?;
        let spare = self.spare.and_then(|spare| self.free.by_offset.range(spare..).find(|(_, len)| **len >= need));
        let spare = spare.map(|(cell, len)| (*len, *cell));
        let found = spare.or_else(|| self.free.by_len.range((need, 0)..).next().copied());
        let (run, cell) = match found {
            Some(found) => found,
            None => self.add_bin(need)?,
        };
        self.free.remove(cell);
        self.occupy(cell, need, run);
        let at = file_index(cell);
        self.bytes[at + 4..at + need as usize].fill(0);
        Ok(cell)
    }

    /// Frees a used cell and wipes it.
    pub fn free(&mut self, cell: Cell) -> Result<()> {
        let mut len = self.used_len(cell).ok_or_else(|| corrupt("no cell to free", cell))?;
        self.bytes[file_index(cell)..file_index(cell) + len as usize].fill(0);
        let mut start = cell;
        if let Some(next) = self.free.remove(cell + len) {
            len += next;
        }
        if let Some((&before, &before_len)) = self.free.by_offset.range(..cell).next_back()
            && before + before_len == cell
        {
            self.free.remove(before);
            (start, len) = (before, len + before_len);
        }
        self.set_raw_size(start, len as i32);
        self.free.insert(start, len);
        Ok(())
    }

    /// Makes room for `len` bytes in a used cell. The contents stay, but the cell may move.
    pub fn resize(&mut self, cell: Cell, len: usize) -> Result<Cell> {
        let need = cell_len(len)?;
        let old = self.used_len(cell).ok_or_else(|| corrupt("no cell to resize", cell))?;
        if need <= old {
            return Ok(cell);
        }
        if let Some(&next) = self.free.by_offset.get(&(cell + old))
            && old + next >= need
        {
            self.free.remove(cell + old);
            self.occupy(cell, need, old + next);
            let at = file_index(cell);
            self.bytes[at + old as usize..at + need as usize].fill(0);
            return Ok(cell);
        }
        let new = self.allocate(len)?;
        let (from, to) = (file_index(cell) + 4, file_index(new) + 4);
        self.bytes.copy_within(from..from + old as usize - 4, to);
        self.free(cell)?;
        Ok(new)
    }

    /// Marks `need` of the `run` bytes at `cell` as used and the rest as free.
    fn occupy(&mut self, cell: Cell, need: u32, run: u32) {
        self.set_raw_size(cell, -(need as i32));
        if run > need {
            self.set_raw_size(cell + need, (run - need) as i32);
            self.free.insert(cell + need, run - need);
        }
    }

    /// Adds an empty bin of `len` bytes, a multiple of [`BIN_ALIGNMENT`], in which cells are made from now on. When it
    /// is full, further bins of this size are added.
    pub fn reserve(&mut self, len: u32) -> Result<()> {
        self.growth = len;
        self.spare = Some(self.add_bin(1)?.1);
        Ok(())
    }

    fn add_bin(&mut self, need: u32) -> Result<(u32, Cell)> {
        let (bin, header) = (self.bins_len, size_of::<BinHeader>());
        let len = (need + header as u32).next_multiple_of(self.growth);
        if len > MAX_BINS_LEN - bin {
            return Err(Error::unsupported("the hive would grow past 2 GiB"));
        }
        let (start, end) = (file_index(bin), file_index(bin + len));
        // Windows makes the file longer than its bins; what lies behind the bins is not part of the hive.
        let reused = end.min(self.bytes.len());
        self.bytes[start..reused].fill(0);
        if end > self.bytes.len() {
            if end > self.bytes.capacity() {
                self.bytes.reserve_exact((end - self.bytes.len()).max(self.bytes.len() / 8));
            }
            self.bytes.resize(end, 0);
        }
        let fields = BinHeader {
            signature: HBIN,
            offset: bin.into(),
            len: len.into(),
            reserved: [0; 8],
            time: 0.into(),
            spare: 0.into(),
        };
        self.bytes[start..start + header].copy_from_slice(fields.as_bytes());
        self.bins_len += len;
        let (cell, free) = (bin + header as u32, len - header as u32);
        self.set_raw_size(cell, free as i32);
        self.free.insert(cell, free);
        Ok((free, cell))
    }
}

/// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) at a cell.
pub(super) fn corrupt(what: impl Into<String>, cell: Cell) -> Error {
    Error::corrupt(what).at(file_index(cell) as u64)
}

/// Position in the file of a cell.
pub(super) fn file_index(cell: Cell) -> usize {
    BASE_BLOCK_LEN + cell as usize
}

/// Length of a cell that holds `len` bytes.
fn cell_len(len: usize) -> Result<u32> {
    u32::try_from(len)
        .ok()
        .filter(|len| *len < MAX_BINS_LEN / 2)
        .map(|len| (len + 4).next_multiple_of(CELL_ALIGNMENT))
        .ok_or_else(|| Error::unsupported(format!("a registry cell of {len} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Cells {
        Cells {
            bytes: vec![0; BASE_BLOCK_LEN],
            bins_len: 0,
            free: FreeCells::default(),
            spare: None,
            growth: BIN_ALIGNMENT,
        }
    }

    #[test]
    fn freed_neighbours_join_and_are_used_again() {
        let mut cells = empty();
        let [a, b, c] = [100, 200, 300].map(|len| cells.allocate(len).unwrap());
        cells.get_mut(b).unwrap().fill(0xAA);
        for cell in [a, c, b] {
            cells.free(cell).unwrap();
        }
        assert_eq!(cells.free.by_offset.iter().collect::<Vec<_>>(), [(&32, &(4096 - 32))]);
        assert_eq!(cells.allocate(600).unwrap(), a);
        assert!(cells.get(a).unwrap().iter().all(|byte| *byte == 0));
        assert_eq!(cells.bins_len, 4096);
    }

    #[test]
    fn a_cell_grows_in_place_or_moves_with_its_contents() {
        let mut cells = empty();
        let a = cells.allocate(12).unwrap();
        cells.get_mut(a).unwrap()[..3].copy_from_slice(b"abc");
        assert_eq!(cells.resize(a, 100).unwrap(), a);
        cells.allocate(8).unwrap();
        let moved = cells.resize(a, 5000).unwrap();
        assert_ne!(moved, a);
        assert_eq!(&cells.get(moved).unwrap()[..4], b"abc\0");
        assert_eq!(cells.get(a), None);
        assert_eq!(cells.bins_len, 4096 + 8192);
    }
}

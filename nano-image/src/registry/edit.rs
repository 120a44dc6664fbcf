//! Creating, changing and deleting keys and values, in place.

use std::collections::BTreeMap;

use super::cells::{Cell, corrupt};
use super::format::*;
use super::hive::{Hive, KeyId, ValueIndex, cell_list, parts};
use super::list;
use super::name::encode;
use super::value::Value;
use crate::error::{Error, Result};
use crate::types::{Utf16Name, upcase};

impl Hive {
    /// The key at `path` below `parent`. Missing keys are created and get the descriptors of their parents.
    pub fn create_key(&mut self, parent: KeyId, path: &str) -> Result<KeyId> {
        parts(path).try_fold(parent, |key, name| self.create_child(key, name))
    }

    /// The subkey `name` of `parent`. It is created if it is missing, and then gets the descriptor of `parent`. `name`
    /// may contain any character but `\`.
    pub fn create_child(&mut self, parent: KeyId, name: impl Into<Utf16Name>) -> Result<KeyId> {
        let name = name.into();
        if let Some(key) = self.find_child(parent.0, name.units()) {
            return Ok(KeyId(key));
        }
        let units = name.units();
        if units.is_empty() || units.len() > MAX_KEY_NAME || units.contains(&u16::from(b'\\')) {
            return Err(Error::recipe(format!(
                "`{name}` cannot be the name of a registry key: 1 to 255 characters without `\\`"
            )));
        }
        let security = self.live(parent.0)?.security.get();
        let (bytes, latin1) = encode(units);
        let cell = self.cells.allocate(size_of::<KeyNode>() + bytes.len())?;
        let (node, rest) = self.cells.write::<KeyNode>(cell)?;
        *node = new_node(if latin1 { KEY_COMP_NAME } else { 0 }, parent.0, bytes.len());
        node.security = security.into();
        rest[..bytes.len()].copy_from_slice(&bytes);
        self.touch(cell)?;
        self.add_reference(security)?;
        self.insert_child(parent.0, cell, units)?;
        let parent = self.touch(parent.0)?;
        parent.max_subkey_name_len = parent.max_subkey_name_len.get().max(units.len() as u16 * 2).into();
        Ok(KeyId(cell))
    }

    /// Deletes `key` with everything below it.
    pub fn delete_key(&mut self, key: KeyId) -> Result<()> {
        let parent = self.live(key.0)?.parent.get();
        if key.0 == self.root {
            return Err(Error::recipe("the root key of a registry hive cannot be deleted"));
        }
        self.remove_child(parent, key.0)?;
        let node = self.touch(parent)?;
        if node.subkey_count.get() == 0 {
            node.max_subkey_name_len = 0.into();
            node.max_subkey_class_len = 0.into();
        }
        let mut doomed = vec![key.0];
        while let Some(cell) = doomed.pop() {
            doomed.extend(self.children(cell));
            self.free_lists(cell)?;
            for value in self.value_cells(cell) {
                self.free_value(value)?;
            }
            self.value_index.take_if(|index| index.key == cell);
            let node = *self.live(cell)?;
            if node.value_count.get() > 0 {
                self.cells.free(node.value_list.get())?;
            }
            if node.class_len.get() > 0 {
                self.cells.free(node.class.get())?;
            }
            self.drop_reference(node.security.get())?;
            self.cells.free(cell)?;
        }
        Ok(())
    }

    /// Sets the class of `key` to `class` (UTF-16 by convention); empty removes it.
    pub fn set_class(&mut self, key: KeyId, class: &[u8]) -> Result<()> {
        let node = *self.live(key.0)?;
        let len = u16::try_from(class.len()).map_err(|_| Error::recipe("class of a registry key is too long"))?;
        let cell = match class {
            [] => NO_CELL,
            _ => self.cells.allocate(class.len())?,
        };
        if cell != NO_CELL {
            self.cells.get_mut(cell)?[..class.len()].copy_from_slice(class);
        }
        if node.class_len.get() > 0 {
            self.cells.free(node.class.get())?;
        }
        let changed = self.touch(key.0)?;
        (changed.class, changed.class_len) = (cell.into(), len.into());
        if key.0 != self.root {
            let (parent, _) = self.cells.write::<KeyNode>(node.parent.get())?;
            parent.max_subkey_class_len = parent.max_subkey_class_len.get().max(len.into()).into();
        }
        Ok(())
    }

    /// Sets the value `name` of `key`; the empty name is the default value. An existing value keeps its position and
    /// the case of its name. If it has this type and data already, nothing is edited.
    pub fn set_value(&mut self, key: KeyId, name: impl Into<Utf16Name>, value: Value) -> Result<()> {
        let name = name.into();
        self.live(key.0)?;
        if let Some(cell) = self.find_value_to_edit(key.0, name.units()) {
            if self.read_value(cell).is_some_and(|old| old == value) {
                return Ok(());
            }
            let old = *self.value_node(cell).ok_or_else(|| corrupt("no value", cell))?.0;
            self.check_data_len(value.data.len())?;
            self.free_data(old.data_len.get(), old.data.get())?;
            let (len, data) = self.write_data(&value.data)?;
            let (node, _) = self.cells.write::<KeyValue>(cell)?;
            (node.data_len, node.data, node.kind) = (len.into(), data.into(), value.kind.0.into());
        } else {
            if name.units().len() > MAX_VALUE_NAME {
                return Err(Error::recipe(format!("name of a registry value is longer than {MAX_VALUE_NAME}")));
            }
            let cell = self.new_value(name.units(), &value)?;
            self.append_value(key.0, cell)?;
            if let Some(index) = self.value_index.as_mut().filter(|index| index.key == key.0) {
                index.cells.insert(folded(name.units()), cell);
            }
        }
        let node = self.touch(key.0)?;
        node.max_value_data_len = node.max_value_data_len.get().max(value.data.len() as u32).into();
        node.max_value_name_len = node.max_value_name_len.get().max(name.units().len() as u32 * 2).into();
        Ok(())
    }

    /// Deletes the value `name` of `key`; `false` if there is none.
    pub fn delete_value(&mut self, key: KeyId, name: impl Into<Utf16Name>) -> Result<bool> {
        let node = *self.live(key.0)?;
        let name = name.into();
        let Some(cell) = self.find_value_to_edit(key.0, name.units()) else { return Ok(false) };
        if let Some(index) = self.value_index.as_mut().filter(|index| index.key == key.0) {
            index.cells.remove(&folded(name.units()));
        }
        let (list, count) = (node.value_list.get(), node.value_count.get() as usize);
        if count == 1 {
            self.cells.free(list)?;
        } else {
            let cells = self.cells.get_mut(list)?;
            let index = cell_list(&cells[..4 * count]).position(|entry| entry == cell);
            list::remove(cells, count, index.ok_or_else(|| corrupt("value is not in its list", cell))?, 4);
        }
        self.free_value(cell)?;
        let node = self.touch(key.0)?;
        node.value_count = (count as u32 - 1).into();
        if count == 1 {
            node.value_list = NO_CELL.into();
            node.max_value_name_len = 0.into();
            node.max_value_data_len = 0.into();
        }
        Ok(true)
    }

    /// Adds room for later edits at the end and uses it for them as far as it suffices. Two hives that differ only in
    /// such edits then have the same length and differ in few pages. `len` is a multiple of 4 KiB.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if the hive would be too large.
    pub fn reserve(&mut self, len: u32) -> Result<()> {
        self.edited = true;
        self.cells.reserve(len)
    }

    /// Moves `key` and its values to the room for later edits, see [`reserve`](Self::reserve), so that later edits of
    /// its values change nothing elsewhere. Its contents, class, descriptor and time stay the same. The root key is not
    /// moved, nor is a key with a value that cannot be read.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if its cells are damaged.
    pub fn gather(&mut self, key: KeyId) -> Result<KeyId> {
        let node = *self.live(key.0)?;
        let (parent, name, values) = (node.parent.get(), self.name(key), self.values(key));
        let cells = self.value_cells(key.0);
        if key.0 == self.root || values.len() != cells.len() {
            return Ok(key);
        }
        let len = size_of::<KeyNode>() + usize::from(node.name_len.get());
        let bytes = self.cells.get(key.0).and_then(|bytes| bytes.get(..len)).unwrap_or_default().to_vec();
        let children = self.children(key.0);
        cells.iter().try_for_each(|cell| self.free_value(*cell))?;
        if !cells.is_empty() {
            self.cells.free(node.value_list.get())?;
        }
        self.value_index.take_if(|index| index.key == key.0);
        self.remove_child(parent, key.0)?;
        self.cells.free(key.0)?;
        let cell = self.cells.allocate(len)?;
        self.cells.get_mut(cell)?[..len].copy_from_slice(&bytes);
        let (moved, _) = self.cells.write::<KeyNode>(cell)?;
        (moved.value_count, moved.value_list) = (0.into(), NO_CELL.into());
        self.insert_child(parent, cell, name.units())?;
        for child in children {
            self.cells.write::<KeyNode>(child)?.0.parent = cell.into();
        }
        for (name, value) in values {
            self.set_value(KeyId(cell), name, value)?;
        }
        self.touch(cell)?.last_written = node.last_written;
        Ok(KeyId(cell))
    }

    /// Marks a key as changed.
    pub(super) fn touch(&mut self, key: Cell) -> Result<&mut KeyNode> {
        self.edited = true;
        let time = self.time;
        let (node, _) = self.cells.write::<KeyNode>(key)?;
        node.last_written = time.0.into();
        Ok(node)
    }

    /// The value `name` of a key. If the key has many values they are found through an index. Otherwise the time for
    /// setting all values of a key would grow with the square of their number.
    fn find_value_to_edit(&mut self, key: Cell, name: &[u16]) -> Option<Cell> {
        if self.node(key)?.0.value_count.get() < MANY_VALUES {
            return self.find_value(key, name);
        }
        let index = match self.value_index.take().filter(|index| index.key == key) {
            Some(index) => index,
            None => {
                let mut cells = BTreeMap::new();
                for cell in self.value_cells(key) {
                    let name: Vec<u16> = self.value_name(cell)?.units().collect();
                    cells.entry(folded(&name)).or_insert(cell);
                }
                ValueIndex { key, cells }
            }
        };
        let found = index.cells.get(&folded(name)).copied();
        self.value_index = Some(index);
        found
    }

    fn new_value(&mut self, name: &[u16], value: &Value) -> Result<Cell> {
        let (bytes, latin1) = encode(name);
        let (data_len, data) = self.write_data(&value.data)?;
        let cell = self.cells.allocate(size_of::<KeyValue>() + bytes.len())?;
        let (node, rest) = self.cells.write::<KeyValue>(cell)?;
        *node = KeyValue {
            signature: VK,
            name_len: (bytes.len() as u16).into(),
            data_len: data_len.into(),
            data: data.into(),
            kind: value.kind.0.into(),
            // Windows does not set the flag for the default value.
            flags: if latin1 && !name.is_empty() { VALUE_COMP_NAME } else { 0 }.into(),
            spare: 0.into(),
        };
        rest[..bytes.len()].copy_from_slice(&bytes);
        Ok(cell)
    }

    fn append_value(&mut self, key: Cell, value: Cell) -> Result<()> {
        let node = self.live(key)?;
        let (mut list, count) = (node.value_list.get(), node.value_count.get() as usize);
        if count == 0 {
            list = self.cells.allocate(4)?;
        } else if self.cells.get(list).is_some_and(|bytes| bytes.len() < 4 * (count + 1)) {
            list = self.cells.resize(list, 4 * (count + 1 + count / 2))?;
        }
        list::insert(self.cells.get_mut(list)?, count, count, &value.to_le_bytes());
        let (node, _) = self.cells.write::<KeyNode>(key)?;
        (node.value_list, node.value_count) = (list.into(), (count as u32 + 1).into());
        Ok(())
    }

    /// Stores data; returns the length and data fields of its value.
    fn write_data(&mut self, data: &[u8]) -> Result<(u32, u32)> {
        let len = data.len() as u32;
        if data.len() <= 4 {
            let mut inline = [0; 4];
            inline[..data.len()].copy_from_slice(data);
            return Ok((len | VALUE_INLINE, u32::from_le_bytes(inline)));
        }
        self.check_data_len(data.len())?;
        if !self.is_big(data.len()) {
            return Ok((len, self.store(data)?));
        }
        let mut list = Vec::new();
        for segment in data.chunks(BIG_DATA_SEGMENT) {
            list.extend(self.store(segment)?.to_le_bytes());
        }
        let count = (list.len() / 4) as u16;
        let list = self.store(&list)?;
        let cell = self.cells.allocate(size_of::<BigData>())?;
        *self.cells.write::<BigData>(cell)?.0 = BigData { signature: DB, count: count.into(), list: list.into() };
        Ok((len, cell))
    }

    fn check_data_len(&self, len: usize) -> Result<()> {
        let limit = if self.minor < MINOR_BIG_DATA { MAX_PLAIN_DATA } else { BIG_DATA_SEGMENT * usize::from(u16::MAX) };
        if len > limit {
            let version = self.minor;
            let what =
                format!("registry value of {len} bytes in a hive of version 1.{version}, which allows at most {limit}");
            return Err(Error::unsupported(what));
        }
        Ok(())
    }

    fn store(&mut self, data: &[u8]) -> Result<Cell> {
        let cell = self.cells.allocate(data.len())?;
        self.cells.get_mut(cell)?[..data.len()].copy_from_slice(data);
        Ok(cell)
    }

    fn free_value(&mut self, cell: Cell) -> Result<()> {
        let value = *self.value_node(cell).ok_or_else(|| corrupt("no value", cell))?.0;
        self.free_data(value.data_len.get(), value.data.get())?;
        self.cells.free(cell)
    }

    fn free_data(&mut self, len: u32, data: Cell) -> Result<()> {
        if len & VALUE_INLINE != 0 || len == 0 {
            return Ok(());
        }
        if self.is_big(len as usize) {
            let segments: Vec<Cell> = self.segments(data).map(Iterator::collect).unwrap_or_default();
            let list = self.cells.read::<BigData>(data).ok_or_else(|| corrupt("no big data", data))?.0.list.get();
            for segment in segments {
                self.cells.free(segment)?;
            }
            self.cells.free(list)?;
        }
        self.cells.free(data)
    }
}

/// With this many values or more, edits keep a [`ValueIndex`].
const MANY_VALUES: u32 = 64;

fn folded(name: &[u16]) -> Vec<u16> {
    name.iter().map(|unit| upcase::fold(*unit)).collect()
}

/// A key without subkeys and values.
pub(super) fn new_node(flags: u16, parent: Cell, name_len: usize) -> KeyNode {
    let none = NO_CELL.into();
    KeyNode {
        signature: NK,
        flags: flags.into(),
        last_written: 0.into(),
        access: 0.into(),
        parent: parent.into(),
        subkey_count: 0.into(),
        volatile_subkey_count: 0.into(),
        subkey_list: none,
        volatile_subkey_list: none,
        value_count: 0.into(),
        value_list: none,
        security: none,
        class: none,
        max_subkey_name_len: 0.into(),
        user_flags: 0.into(),
        max_subkey_class_len: 0.into(),
        max_value_name_len: 0.into(),
        max_value_data_len: 0.into(),
        work: 0.into(),
        name_len: (name_len as u16).into(),
        class_len: 0.into(),
    }
}

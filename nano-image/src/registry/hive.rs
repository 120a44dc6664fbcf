//! A hive in memory, and functions that read it.

use std::collections::BTreeMap;

use zerocopy::FromBytes;

use super::cells::{Cell, Cells, corrupt};
use super::format::*;
use super::name::StoredName;
use super::value::{Value, ValueKind};
use crate::error::{Error, Result};
use crate::types::{FileTime, Utf16Name};

/// A key of one [`Hive`]; valid until the key is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(super) Cell);

/// A registry hive.
///
/// Reading a deleted key gives nothing; editing it is an error. Names are compared as Windows does, ignoring case.
/// Names in a path are separated by `\`; the empty path is the key itself.
#[derive(Clone)]
pub struct Hive {
    pub(super) cells: Cells,
    pub(super) minor: u32,
    pub(super) root: Cell,
    /// The time that edits set.
    pub(super) time: FileTime,
    pub(super) edited: bool,
    /// Whether every list of subkeys is in the order in which Windows searches it.
    pub(super) ordered: bool,
    pub(super) descriptors: Descriptors,
    pub(super) value_index: Option<ValueIndex>,
}

/// The security items of a hive.
#[derive(Clone, Default)]
pub(super) struct Descriptors {
    /// The number of keys that use each item, as counted; what the items themselves say is ignored.
    pub references: BTreeMap<Cell, u32>,
    /// The item of each descriptor. This map is made when it is first needed.
    pub by_bytes: Option<BTreeMap<Vec<u8>, Cell>>,
}

/// The values of the last edited key, by their upper-case names.
#[derive(Clone)]
pub(super) struct ValueIndex {
    pub key: Cell,
    pub cells: BTreeMap<Vec<u16>, Cell>,
}

impl Hive {
    /// Sets the time that later edits set. Without this they set the time at which the hive was last written.
    pub fn set_time(&mut self, time: FileTime) {
        self.time = time;
    }

    /// The time that edits set. Without [`set_time`](Self::set_time) it is the time at which the hive was last written.
    pub fn time(&self) -> FileTime {
        self.time
    }

    /// The minor version, 3 to 6.
    pub fn minor_version(&self) -> u32 {
        self.minor
    }

    /// The root key.
    pub fn root(&self) -> KeyId {
        KeyId(self.root)
    }

    /// The key at `path` below the root.
    pub fn find(&self, path: &str) -> Option<KeyId> {
        self.find_from(self.root(), path)
    }

    /// The key at `path` below `key`.
    pub fn find_from(&self, key: KeyId, path: &str) -> Option<KeyId> {
        parts(path).try_fold(key, |key, name| self.child(key, name))
    }

    /// The subkey `name` of `key`; `name` may contain any character.
    pub fn child(&self, key: KeyId, name: impl Into<Utf16Name>) -> Option<KeyId> {
        self.find_child(key.0, name.into().units()).map(KeyId)
    }

    /// Subkeys, ordered by their upper-case names.
    pub fn subkeys(&self, key: KeyId) -> Vec<KeyId> {
        self.children(key.0).into_iter().map(KeyId).collect()
    }

    /// Name of a key. The root's name has no meaning.
    pub fn name(&self, key: KeyId) -> Utf16Name {
        self.key_name(key.0).map_or_else(|| "".into(), StoredName::to_name)
    }

    /// The parent of `key`; `None` for the root.
    pub fn parent(&self, key: KeyId) -> Option<KeyId> {
        if key.0 == self.root { None } else { Some(KeyId(self.node(key.0)?.0.parent.get())) }
    }

    /// When `key` was last changed.
    pub fn key_time(&self, key: KeyId) -> FileTime {
        FileTime(self.node(key.0).map_or(0, |(node, _)| node.last_written.get()))
    }

    /// Class of a key, as stored (UTF-16 by convention).
    pub fn class(&self, key: KeyId) -> Option<&[u8]> {
        let (node, _) = self.node(key.0)?;
        match usize::from(node.class_len.get()) {
            0 => None,
            len => self.cells.get(node.class.get())?.get(..len),
        }
    }

    /// Self-relative security descriptor of a key ([MS-DTYP] 2.4.6).
    pub fn security(&self, key: KeyId) -> Option<&[u8]> {
        self.descriptor(self.node(key.0)?.0.security.get())
    }

    /// Names of the values of `key`, in stored order; the name of the default value is empty.
    pub fn value_names(&self, key: KeyId) -> Vec<Utf16Name> {
        let names = self.value_cells(key.0).into_iter();
        names.filter_map(|cell| Some(self.value_name(cell)?.to_name())).collect()
    }

    /// Names and values of `key`, in stored order.
    pub fn values(&self, key: KeyId) -> Vec<(Utf16Name, Value)> {
        let cells = self.value_cells(key.0).into_iter();
        cells.filter_map(|cell| Some((self.value_name(cell)?.to_name(), self.read_value(cell)?))).collect()
    }

    /// The value `name` of `key`; the empty name is the default value.
    pub fn value(&self, key: KeyId, name: impl Into<Utf16Name>) -> Option<Value> {
        let cell = self.find_value(key.0, name.into().units())?;
        self.read_value(cell)
    }

    pub(super) fn node(&self, cell: Cell) -> Option<(&KeyNode, &[u8])> {
        self.cells.read::<KeyNode>(cell).filter(|(node, _)| node.signature == NK)
    }

    pub(super) fn key_name(&self, cell: Cell) -> Option<StoredName<'_>> {
        let (node, rest) = self.node(cell)?;
        let bytes = rest.get(..usize::from(node.name_len.get()))?;
        Some(StoredName { bytes, latin1: node.flags.get() & KEY_COMP_NAME != 0 })
    }

    pub(super) fn value_node(&self, cell: Cell) -> Option<(&KeyValue, &[u8])> {
        self.cells.read::<KeyValue>(cell).filter(|(value, _)| value.signature == VK)
    }

    pub(super) fn value_name(&self, cell: Cell) -> Option<StoredName<'_>> {
        let (value, rest) = self.value_node(cell)?;
        let bytes = rest.get(..usize::from(value.name_len.get()))?;
        Some(StoredName { bytes, latin1: value.flags.get() & VALUE_COMP_NAME != 0 })
    }

    /// Cells of the values of a key.
    pub(super) fn value_cells(&self, key: Cell) -> Vec<Cell> {
        self.value_list(key).map(Iterator::collect).unwrap_or_default()
    }

    fn value_list(&self, key: Cell) -> Option<impl Iterator<Item = Cell> + '_> {
        let (node, _) = self.node(key)?;
        let count = node.value_count.get() as usize;
        let list = if count == 0 { &[] } else { self.cells.get(node.value_list.get())? };
        Some(cell_list(list.get(..count.checked_mul(4)?)?))
    }

    /// Cell of the value `name`.
    pub(super) fn find_value(&self, key: Cell, name: &[u16]) -> Option<Cell> {
        self.value_list(key)?.find(|cell| self.value_name(*cell).is_some_and(|stored| stored.eq_folded(name)))
    }

    pub(super) fn read_value(&self, cell: Cell) -> Option<Value> {
        let (value, _) = self.value_node(cell)?;
        let kind = ValueKind(value.kind.get());
        let len = value.data_len.get();
        if len & VALUE_INLINE != 0 {
            let len = (len & !VALUE_INLINE) as usize;
            return Some(Value::new(kind, value.data.get().to_le_bytes().get(..len)?));
        }
        let len = len as usize;
        if len == 0 {
            return Some(Value::new(kind, []));
        }
        let data = self.cells.get(value.data.get())?;
        if !self.is_big(len) {
            return Some(Value::new(kind, data.get(..len)?));
        }
        let mut bytes = Vec::with_capacity(len.min(self.cells.bytes.len()));
        for segment in self.segments(value.data.get())? {
            let piece = (len - bytes.len()).min(BIG_DATA_SEGMENT);
            bytes.extend_from_slice(self.cells.get(segment)?.get(..piece)?);
        }
        (bytes.len() == len).then(|| Value::new(kind, bytes))
    }

    /// Whether data of `len` bytes are stored as big data.
    pub(super) fn is_big(&self, len: usize) -> bool {
        self.minor >= MINOR_BIG_DATA && len > BIG_DATA_SEGMENT
    }

    /// Cells of the segments of big data.
    pub(super) fn segments(&self, cell: Cell) -> Option<impl Iterator<Item = Cell> + '_> {
        let (big, _) = self.cells.read::<BigData>(cell).filter(|(big, _)| big.signature == DB)?;
        let list = self.cells.get(big.list.get())?.get(..4 * usize::from(big.count.get()))?;
        Some(cell_list(list))
    }
}

/// The base block, if the hive's version is supported.
pub(super) fn base_block(bytes: &[u8]) -> Result<&BaseBlock> {
    if bytes.get(..4) != Some(&REGF) {
        return Err(Error::corrupt("not a registry hive: it does not begin with `regf`").at(0));
    }
    if bytes.len() < BASE_BLOCK_LEN {
        return Err(Error::corrupt("registry hive is shorter than its base block").at(bytes.len() as u64));
    }
    let base = BaseBlock::ref_from_prefix(bytes).expect("4,096 bytes").0;
    let (major, minor) = (base.major.get(), base.minor.get());
    if major != 1 || !(3..=6).contains(&minor) {
        return Err(Error::unsupported(format!("registry hive of version {major}.{minor}; 1.3 to 1.6 are known"))
            .at(std::mem::offset_of!(BaseBlock, major) as u64));
    }
    if base.file_type.get() != TYPE_PRIMARY || base.file_format.get() != FORMAT_MEMORY {
        return Err(Error::corrupt("registry file is not a hive but a log")
            .at(std::mem::offset_of!(BaseBlock, file_type) as u64)
            .with_hint("name the hive itself, without .LOG1 or .LOG2"));
    }
    Ok(base)
}

/// The cells in a list of cells.
pub(super) fn cell_list(bytes: &[u8]) -> impl Iterator<Item = Cell> + '_ {
    bytes.chunks_exact(4).map(|cell| Cell::from_le_bytes(cell.try_into().expect("4 bytes")))
}

/// The names of a path.
pub(super) fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('\\').filter(|part| !part.is_empty())
}

impl Hive {
    pub(super) fn assemble(cells: Cells, minor: u32, root: Cell, time: FileTime) -> Self {
        let descriptors = Descriptors::default();
        Self { cells, minor, root, time, edited: false, ordered: true, descriptors, value_index: None }
    }

    /// The node of a key that is about to be edited.
    pub(super) fn live(&self, key: Cell) -> Result<&KeyNode> {
        self.node(key).map(|(node, _)| node).ok_or_else(|| corrupt("no such registry key (deleted?)", key))
    }
}

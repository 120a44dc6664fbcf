//! Creates new hives, and turns hives into files.

use zerocopy::{FromBytes, IntoBytes};

use super::cells::Cells;
use super::edit::new_node;
use super::format::*;
use super::hive::Hive;
use super::name::encode;
use super::security::check_descriptor;
use crate::error::{Error, Result};
use crate::types::FileTime;

/// Options for a new hive.
#[derive(Clone, Debug)]
pub struct HiveOptions {
    minor: u32,
    root_name: String,
    file_name: String,
    descriptor: Vec<u8>,
}

impl Default for HiveOptions {
    /// Version 1.5, root `ROOT`, no file name, full control for Administrators and SYSTEM.
    fn default() -> Self {
        let descriptor = super::descriptor_for(super::KEY_ALL_ACCESS, true);
        Self { minor: 5, root_name: "ROOT".into(), file_name: String::new(), descriptor }
    }
}

impl HiveOptions {
    /// Minor version: 3 (as BCD stores) to 6.
    pub fn minor_version(mut self, minor: u32) -> Self {
        self.minor = minor;
        self
    }

    /// Name of the root key.
    pub fn root_name(mut self, name: impl Into<String>) -> Self {
        self.root_name = name.into();
        self
    }

    /// Path of the file. Its last 31 characters are recorded in the hive, for people to read.
    pub fn file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = name.into();
        self
    }

    /// Self-relative security descriptor of the root. New keys get it too.
    pub fn security(mut self, descriptor: impl Into<Vec<u8>>) -> Self {
        self.descriptor = descriptor.into();
        self
    }
}

impl Hive {
    /// A hive with only a root key. All times are `time`.
    pub fn new(time: FileTime, options: &HiveOptions) -> Result<Self> {
        let root_name: Vec<u16> = options.root_name.encode_utf16().collect();
        if !(3..=6).contains(&options.minor) || root_name.is_empty() || root_name.len() > MAX_KEY_NAME {
            return Err(Error::recipe("a registry hive has version 1.3 to 1.6 and a root name of 1 to 255 characters"));
        }
        check_descriptor(&options.descriptor)?;
        let mut file_name = [0; 64];
        let units: Vec<u16> = options.file_name.encode_utf16().collect();
        for (pair, unit) in file_name.chunks_exact_mut(2).zip(&units[units.len().saturating_sub(31)..]) {
            pair.copy_from_slice(&unit.to_le_bytes());
        }
        let base = BaseBlock {
            signature: REGF,
            primary_sequence: 0.into(),
            secondary_sequence: 0.into(),
            last_written: time.0.into(),
            major: 1.into(),
            minor: options.minor.into(),
            file_type: TYPE_PRIMARY.into(),
            file_format: FORMAT_MEMORY.into(),
            root_cell: NO_CELL.into(),
            bins_len: 0.into(),
            clustering: 1.into(),
            file_name,
            reserved: [0; 396],
            checksum: 0.into(),
        };
        let mut bytes = vec![0; BASE_BLOCK_LEN];
        bytes[..size_of::<BaseBlock>()].copy_from_slice(base.as_bytes());
        let cells = Cells::parse(bytes, 0, |_| {})?;
        let mut hive = Hive::assemble(cells, options.minor, NO_CELL, time);

        let (name, latin1) = encode(&root_name);
        hive.root = hive.cells.allocate(size_of::<KeyNode>() + name.len())?;
        let flags = KEY_HIVE_ENTRY | KEY_NO_DELETE | if latin1 { KEY_COMP_NAME } else { 0 };
        let (node, rest) = hive.cells.write::<KeyNode>(hive.root)?;
        *node = new_node(flags, NO_CELL, name.len());
        rest[..name.len()].copy_from_slice(&name);
        let item = hive.item_for(&options.descriptor, NO_CELL)?;
        hive.add_reference(item)?;
        hive.touch(hive.root)?.security = item.into();
        let (bin, _) = BinHeader::mut_from_prefix(&mut hive.cells.bytes[BASE_BLOCK_LEN..]).expect("the root has a bin");
        bin.time = time.0.into();
        Ok(hive)
    }

    /// The bytes of the file. A hive that was not edited gives the bytes that were parsed. An edited one gets the next
    /// sequence number, so that Windows does not apply an older log to it; its log files should be emptied all the
    /// same.
    pub fn into_bytes(mut self) -> Vec<u8> {
        if self.edited {
            let (base, _) = BaseBlock::mut_from_prefix(&mut self.cells.bytes).expect("a hive has a base block");
            let sequence = base.primary_sequence.get().max(base.secondary_sequence.get()).wrapping_add(1);
            (base.primary_sequence, base.secondary_sequence) = (sequence.into(), sequence.into());
            base.last_written = self.time.0.into();
            base.root_cell = self.root.into();
            base.bins_len = self.cells.bins_len.into();
            let sum = checksum(&self.cells.bytes);
            self.cells.bytes[CHECKSUM_COVERS..CHECKSUM_COVERS + 4].copy_from_slice(&sum.to_le_bytes());
        }
        self.cells.bytes
    }

    /// Like [`into_bytes`](Self::into_bytes), for a hive that is edited further.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.clone().into_bytes()
    }
}

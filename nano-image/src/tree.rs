//! The Windows volume as names, attributes, streams and links, before any layout.
//!
//! A [`FileTree`] is a graph of [`Node`]s (files and directories). A directory holds [`Entry`]s in the order of an
//! NTFS index; a file with several entries has hard links. Names, attributes and descriptors are kept as Windows
//! stores them; nothing here knows sectors or clusters.

mod keep;
mod path;

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use crate::content::{BlobId, Content, WofAlgorithm};
use crate::error::{Error, Result};
use crate::types::{FileTime, Utf16Name};

/// File attribute bits ([MS-FSCC] 2.6).
pub mod attribute {
    #![allow(missing_docs)]
    pub const READONLY: u32 = 0x1;
    pub const HIDDEN: u32 = 0x2;
    pub const SYSTEM: u32 = 0x4;
    pub const DIRECTORY: u32 = 0x10;
    pub const ARCHIVE: u32 = 0x20;
    pub const NORMAL: u32 = 0x80;
    pub const SPARSE_FILE: u32 = 0x200;
    pub const REPARSE_POINT: u32 = 0x400;
    pub const COMPRESSED: u32 = 0x800;
    pub const NOT_CONTENT_INDEXED: u32 = 0x2000;
    pub const ENCRYPTED: u32 = 0x4000;
}

/// Number of a node in its tree; the root directory is [`NodeId::ROOT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The root directory.
    pub const ROOT: Self = Self(0);
}

/// Number of a security descriptor in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecurityId(pub u32);

/// The four times that NTFS keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Creation.
    pub created: FileTime,
    /// Last change of the contents.
    pub modified: FileTime,
    /// Last change of contents or metadata.
    pub changed: FileTime,
    /// Last access.
    pub accessed: FileTime,
}

impl Times {
    /// All four alike.
    pub fn all(time: FileTime) -> Self {
        Self { created: time, modified: time, changed: time, accessed: time }
    }
}

/// A named stream (alternate data stream).
#[derive(Clone, Debug)]
pub struct NamedStream {
    /// Name, without colons.
    pub name: Utf16Name,
    /// Contents.
    pub content: Content,
}

/// A reparse point: tag, and the data after the 8-byte header ([MS-FSCC] 2.1.2).
#[derive(Clone, Debug)]
pub struct Reparse {
    /// Which filter interprets it, e.g. 0xA0000003 for a junction.
    pub tag: u32,
    /// The reparse data, without tag and length; at most 16 KiB with them.
    pub data: Arc<[u8]>,
}

/// The compressed form of a file. The Windows Overlay Filter (WOF, Compact OS) decompresses it when the file is read.
/// The file's [`data`](Node::data) are still its contents.
#[derive(Clone, Debug)]
pub struct CompactForm {
    /// How it is compressed.
    pub algorithm: WofAlgorithm,
    /// The compressed form: the table of chunk offsets and the chunks.
    pub source: CompactSource,
}

/// Where the compressed form of a file comes from.
#[derive(Clone, Debug)]
pub enum CompactSource {
    /// The form in which the store keeps the blob: [`BlobForm::Stored`](crate::content::BlobForm::Stored).
    Copy {
        /// Which blob.
        id: BlobId,
        /// Length of the stored form in bytes.
        len: u64,
    },
    /// Compressed by the build.
    Made(Content),
}

/// One file or directory.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// [`attribute`] bits. `DIRECTORY`, `NORMAL` and `REPARSE_POINT` are left out: they follow from the other fields
    /// (see [`is_directory`](Self::is_directory)).
    pub attributes: u32,
    /// Times.
    pub times: Times,
    /// Security descriptor; with `None` the layout lets it inherit one.
    pub security: Option<SecurityId>,
    /// Contents of the unnamed stream; `None` in a directory, which usually has no such stream.
    pub data: Option<Content>,
    /// Compressed form, if the volume shall keep the unnamed stream in one. Files with a reparse point or extended
    /// attributes cannot have one.
    pub compact: Option<Box<CompactForm>>,
    /// Named streams, sorted by name.
    pub streams: Vec<NamedStream>,
    /// Reparse point.
    pub reparse: Option<Box<Reparse>>,
    /// The 16 or 64 bytes of `$OBJECT_ID`.
    pub object_id: Option<Box<[u8]>>,
    /// Extended attributes as a packed list of FILE_FULL_EA_INFORMATION ([MS-FSCC] 2.4.16).
    pub extended_attributes: Option<Arc<[u8]>>,
    /// Entries of a directory; `None` for a file.
    pub children: Option<BTreeMap<Utf16Name, Entry>>,
}

impl Node {
    /// An empty directory.
    pub fn directory(times: Times) -> Self {
        Self { times, children: Some(BTreeMap::new()), ..Self::default() }
    }

    /// A file with `data`.
    pub fn file(times: Times, data: Content) -> Self {
        Self { times, attributes: attribute::ARCHIVE, data: Some(data), ..Self::default() }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.children.is_some()
    }
}

/// An entry of a directory: what it says about one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The 8.3 name, where there is one and it differs from the long name.
    pub short_name: Option<Utf16Name>,
    /// The file or directory.
    pub node: NodeId,
}

/// A file or directory that gets the same place on the volume whatever it holds, and even if it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Path, separated by `\`.
    pub path: String,
    /// Bytes that are reserved for it. Longer contents get a multiple of this. 0 for a directory.
    pub room: u64,
    /// Its own descriptor; `None` if it inherits one.
    pub security: Option<SecurityId>,
}

/// Where the nodes and blobs end that all machines of a recipe have in common. The others lie behind them on the
/// volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Settled(Option<(u32, BlobId)>);

/// A volume's files, directories and security descriptors.
#[derive(Clone, Debug)]
pub struct FileTree {
    /// Trees of two machines share the nodes that are equal.
    nodes: Vec<Arc<Node>>,
    descriptors: Vec<Arc<[u8]>>,
    descriptor_ids: BTreeMap<Arc<[u8]>, SecurityId>,
    kept: Vec<Kept>,
    settled: Settled,
}

impl FileTree {
    /// A tree that holds only `root`, which must be a directory.
    pub fn new(root: Node) -> Self {
        debug_assert!(root.is_directory());
        Self {
            nodes: vec![Arc::new(root)],
            descriptors: Vec::new(),
            descriptor_ids: BTreeMap::new(),
            kept: Vec::new(),
            settled: Settled::default(),
        }
    }

    /// Adds a node that no directory names yet.
    pub fn add_node(&mut self, node: Node) -> NodeId {
        self.nodes.push(Arc::new(node));
        NodeId(self.nodes.len() as u32 - 1)
    }

    /// The number after the highest blob that any file has.
    pub fn next_blob(&self) -> BlobId {
        let next = |content: &Content| match content {
            Content::Blob { id, .. } => id.0.saturating_add(1),
            Content::Bytes(_) => 0,
        };
        let contents = self
            .nodes
            .iter()
            .flat_map(|node| node.data.iter().chain(node.streams.iter().map(|stream| &stream.content)));
        BlobId(contents.map(next).max().unwrap_or(0))
    }

    /// Number of nodes, named or not.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Gives `node` the name `name` in `directory`. A name that exists already (in exactly these units) is an error;
    /// one that differs only in case is legal on NTFS.
    pub fn link(&mut self, directory: NodeId, name: Utf16Name, entry: Entry) -> Result<()> {
        use std::collections::btree_map::Entry::{Occupied, Vacant};
        let children = Arc::make_mut(&mut self.nodes[directory.0 as usize])
            .children
            .as_mut()
            .ok_or_else(|| Error::corrupt(format!("`{name}` is inside something that is not a directory")))?;
        match children.entry(name) {
            Vacant(vacant) => {
                vacant.insert(entry);
                Ok(())
            }
            Occupied(occupied) => Err(Error::corrupt(format!("`{}` occurs twice in one directory", occupied.key()))),
        }
    }

    /// Adds a self-relative security descriptor ([MS-DTYP] 2.4.6); equal ones share a number.
    pub fn add_descriptor(&mut self, descriptor: &[u8]) -> SecurityId {
        if let Some(id) = self.descriptor_ids.get(descriptor) {
            return *id;
        }
        let (bytes, id) = (Arc::<[u8]>::from(descriptor), SecurityId(self.descriptors.len() as u32));
        self.descriptors.push(bytes.clone());
        self.descriptor_ids.insert(bytes, id);
        id
    }

    /// All descriptors, in the order of their numbers.
    pub fn descriptors(&self) -> &[Arc<[u8]>] {
        &self.descriptors
    }
}

impl Index<NodeId> for FileTree {
    type Output = Node;

    fn index(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }
}

impl IndexMut<NodeId> for FileTree {
    fn index_mut(&mut self, id: NodeId) -> &mut Node {
        Arc::make_mut(&mut self.nodes[id.0 as usize])
    }
}

//! Builds the [`FileTree`] of an image from its metadata resource.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::format::REPARSE_NOT_FIXED;
use super::metadata::{Digest, Metadata, RawEntry};
use super::store::WimStore;
use crate::content::{BlobId, BlobStore, Content};
use crate::error::{Error, Result};
use crate::security::fault;
use crate::tree::{Entry, FileTree, NamedStream, Node, NodeId, Reparse, SecurityId, Times, attribute};
use crate::types::Utf16Name;

/// A path of NTFS has at most 32,767 characters, and each directory takes at least two of them.
const MAX_DEPTH: u32 = 16_384;
/// NTFS stores at most 16 KiB including the header ([MS-FSCC] 2.1.2).
const MAX_REPARSE_DATA: u64 = (16 << 10) - 8;
/// Tags whose absolute targets a capture makes relative to the image's root: junction and symbolic link.
const LINK_TAGS: [u32; 2] = [0xa000_0003, 0xa000_000c];

/// What an image contains.
#[derive(Debug)]
#[non_exhaustive]
pub struct Image {
    /// Its files.
    pub tree: FileTree,
    /// Junctions and symbolic links whose absolute target was made relative to the image's root at capture. Their drive
    /// letter stands for any drive to which the image is applied. The tree holds their data as it is stored.
    pub relative_links: Vec<NodeId>,
    /// What the image contains and a Windows volume cannot hold, one sentence each.
    pub warnings: Vec<String>,
}

/// Reads the tree in `bytes`; the contents of its files are in `store`.
pub(super) fn build(bytes: &[u8], store: &WimStore, reparse_fixed: bool) -> Result<Image> {
    let metadata = Metadata::new(bytes)?;
    let root = if metadata.root() >= metadata.len() { None } else { metadata.entry(metadata.root())? };
    // An empty image has no root.
    let Some((root, _)) = root else {
        return Ok(Image {
            tree: FileTree::new(Node::directory(Times::default())),
            relative_links: Vec::new(),
            warnings: Vec::new(),
        });
    };
    let mut builder = Builder {
        tree: FileTree::new(Node::directory(root.times)),
        store,
        metadata: &metadata,
        seen: vec![0; (metadata.len() / 512 + 1) as usize],
        security: BTreeMap::new(),
        groups: BTreeMap::new(),
        parents: BTreeMap::new(),
        relative_links: Vec::new(),
        last_reparse: None,
        reparse: Vec::new(),
        reparse_fixed,
        unix_files: 0,
        tails: 0,
        split_groups: 0,
    };
    let place = EntryPath { parent: NodeId::ROOT, name: &Utf16Name::from("") };
    let node = builder.node(&root, place)?;
    if !node.is_directory() {
        return Err(Error::corrupt("bad image metadata: the root is not a directory"));
    }
    builder.tree[NodeId::ROOT] = node;
    builder.note(&root, NodeId::ROOT);
    let mut pending = vec![(NodeId::ROOT, root.children, 0)];
    while let Some((directory, list, depth)) = pending.pop() {
        builder.read_list(directory, list, depth, &mut pending)?;
    }
    builder.read_reparse_data()?;
    let warnings = builder.warnings();
    Ok(Image { tree: builder.tree, relative_links: builder.relative_links, warnings })
}

struct Builder<'a> {
    tree: FileTree,
    store: &'a WimStore,
    metadata: &'a Metadata<'a>,
    /// One bit for each multiple of 8: whether an entry that begins there was read.
    seen: Vec<u64>,
    /// Maps numbers of descriptors in the metadata to those in the tree.
    security: BTreeMap<u32, SecurityId>,
    /// Files of each hard-link group. A group has several only if its names disagree about the contents.
    groups: BTreeMap<u64, Vec<Linked>>,
    /// The parent of each directory, for messages.
    parents: BTreeMap<NodeId, NodeId>,
    relative_links: Vec<NodeId>,
    /// Blob with the reparse data of the last node.
    last_reparse: Option<BlobId>,
    /// Nodes whose reparse data is still to be read.
    reparse: Vec<(BlobId, NodeId)>,
    reparse_fixed: bool,
    unix_files: u64,
    tails: u64,
    split_groups: u64,
}

/// A file of a hard-link group, with the properties that all its names must share.
struct Linked {
    node: NodeId,
    is_directory: bool,
    attributes: u32,
    security: Option<u32>,
    unnamed: Vec<Digest>,
    named: Vec<(Utf16Name, Digest)>,
}

/// Where an entry is, for messages.
#[derive(Clone, Copy)]
struct EntryPath<'a> {
    parent: NodeId,
    name: &'a Utf16Name,
}

impl Builder<'_> {
    /// Reads the list of `directory`, which is `depth` levels below the root, and appends its directories to `pending`.
    fn read_list(
        &mut self,
        directory: NodeId,
        mut offset: u64,
        depth: u32,
        pending: &mut Vec<(NodeId, u64, u32)>,
    ) -> Result<()> {
        if offset == 0 {
            return Ok(());
        }
        let first_pending = pending.len();
        loop {
            let entry = self.metadata.entry(offset).map_err(|error| self.inside(error, directory))?;
            let Some((entry, next)) = entry else {
                break;
            };
            let place = EntryPath { parent: directory, name: &entry.name };
            // Every entry is in only one list: this excludes cycles and bounds the work.
            let (word, bit) = ((offset / 512) as usize, 1 << (offset / 8 % 64));
            if self.seen[word] & bit != 0 {
                return Err(self.fault(place, "it is in more than one directory: the tree has a cycle"));
            }
            self.seen[word] |= bit;
            offset = next;
            self.check_name(place)?;
            let siblings = self.tree[directory].children.as_ref();
            if siblings.is_some_and(|names| names.contains_key(place.name)) {
                return Err(self.fault(place, "the name occurs twice in its directory"));
            }
            let node = self.link_group(&entry, place)?;
            let short_name = entry.short_name.clone().filter(|name| *name != entry.name);
            self.tree.link(directory, entry.name.clone(), Entry { short_name, node })?;
            if self.tree[node].is_directory() {
                if depth == MAX_DEPTH {
                    return Err(self.fault(place, "directories are nested too deep"));
                }
                self.parents.insert(node, directory);
                pending.push((node, entry.children, depth + 1));
            }
        }
        // A tree of names that were added in ascending order has half empty nodes. Building it anew fills them.
        if let Some(children) = &mut self.tree[directory].children {
            *children = std::mem::take(children).into_iter().collect();
        }
        pending[first_pending..].reverse();
        Ok(())
    }

    fn check_name(&self, place: EntryPath<'_>) -> Result<()> {
        let units = place.name.units();
        let is_bad = |unit: &u16| [0, u16::from(b'/'), u16::from(b'\\'), u16::from(b':')].contains(unit);
        let is_dots = units == [u16::from(b'.')] || units == [u16::from(b'.'), u16::from(b'.')];
        if units.is_empty() || units.len() > 255 || is_dots || units.iter().any(is_bad) {
            return Err(self.fault(place, &format!("{:?} is not a file name", place.name)));
        }
        Ok(())
    }

    /// The node of `entry`: that of its hard-link group if there is one, else a new one.
    fn link_group(&mut self, entry: &RawEntry, place: EntryPath<'_>) -> Result<NodeId> {
        if entry.link_group == 0 {
            return self.add(entry, place);
        }
        let is_directory = entry.attributes & attribute::DIRECTORY != 0;
        let files = self.groups.get(&entry.link_group).map_or(&[][..], Vec::as_slice);
        if files.first().is_some_and(|file| file.is_directory || is_directory) {
            return Err(self.fault(place, "a directory is in a hard-link group"));
        }
        let same = files.iter().find(|file| {
            (file.attributes, file.security) == (entry.attributes, entry.security)
                && file.unnamed == entry.unnamed
                && file.named == entry.named
        });
        if let Some(file) = same {
            return Ok(file.node);
        }
        self.split_groups += u64::from(files.len() == 1);
        let linked = Linked {
            node: self.add(entry, place)?,
            is_directory,
            attributes: entry.attributes,
            security: entry.security,
            unnamed: entry.unnamed.clone(),
            named: entry.named.clone(),
        };
        let node = linked.node;
        self.groups.entry(entry.link_group).or_default().push(linked);
        Ok(node)
    }

    fn add(&mut self, entry: &RawEntry, place: EntryPath<'_>) -> Result<NodeId> {
        let node = self.node(entry, place)?;
        let id = self.tree.add_node(node);
        self.note(entry, id);
        Ok(id)
    }

    /// Records facts about `entry` that the tree does not hold.
    fn note(&mut self, entry: &RawEntry, id: NodeId) {
        self.unix_files += u64::from(entry.has_unix_data);
        self.reparse.extend(self.last_reparse.take().map(|blob| (blob, id)));
        self.tails += u64::from(entry.has_tail);
        let link = entry.reparse.is_some_and(|(tag, flags)| LINK_TAGS.contains(&tag) && flags & REPARSE_NOT_FIXED == 0);
        if link && self.reparse_fixed {
            self.relative_links.push(id);
        }
    }

    fn node(&mut self, entry: &RawEntry, place: EntryPath<'_>) -> Result<Node> {
        if let Some(tag) = entry.other_tags.first() {
            return Err(self.unsupported(place, &format!("metadata with the unknown tag {tag:#x}")));
        }
        if entry.attributes & attribute::ENCRYPTED != 0 {
            return Err(self.unsupported(place, "an encrypted file"));
        }
        let is_directory = entry.attributes & attribute::DIRECTORY != 0;
        if !is_directory && entry.children != 0 {
            return Err(self.fault(place, "a file has a list of a directory"));
        }
        // Reparse data comes before the unnamed data. If only one of them has contents, Microsoft's tools may leave the
        // other out, or add any number of empty digests.
        let mut contents = entry.unnamed.iter().filter(|digest| **digest != [0; 20]);
        let reparse = match entry.reparse {
            Some((0, _)) => return Err(self.fault(place, "a reparse point without a tag")),
            Some((tag, _)) => {
                let data = contents.next().map_or(Ok(Content::empty()), |digest| self.content(digest, place))?;
                if data.len() > MAX_REPARSE_DATA {
                    return Err(self.fault(place, &format!("it has {} bytes of reparse data", data.len())));
                }
                if let Content::Blob { id, .. } = data {
                    self.last_reparse = Some(id);
                }
                Some(Box::new(Reparse { tag, data: Arc::from([]) }))
            }
            None => None,
        };
        let data = contents.next().map(|digest| self.content(digest, place)).transpose()?;
        if contents.next().is_some() {
            return Err(self.fault(place, "it has more than one unnamed stream"));
        }
        let mut streams = Vec::with_capacity(entry.named.len());
        for (name, digest) in &entry.named {
            let content = self.content(digest, place)?;
            if name.units().iter().any(|unit| [0, u16::from(b':'), u16::from(b'/'), u16::from(b'\\')].contains(unit)) {
                return Err(self.fault(place, &format!("{name:?} is not a stream name")));
            }
            streams.push(NamedStream { name: name.clone(), content });
        }
        streams.sort_by(|a, b| a.name.cmp(&b.name));
        if streams.windows(2).any(|pair| pair[0].name.eq_ignore_case(&pair[1].name)) {
            return Err(self.fault(place, "two of its streams have the same name"));
        }
        const DERIVED: u32 = attribute::DIRECTORY | attribute::NORMAL | attribute::REPARSE_POINT;
        Ok(Node {
            attributes: entry.attributes & !DERIVED,
            times: entry.times,
            security: entry.security.map(|number| self.descriptor(number, place)).transpose()?,
            data: if is_directory { data } else { Some(data.unwrap_or_else(Content::empty)) },
            compact: None,
            streams,
            reparse,
            object_id: entry.object_id.clone(),
            extended_attributes: entry.extended_attributes.as_deref().map(Into::into),
            children: is_directory.then(BTreeMap::new),
        })
    }

    /// Fills in the data of all reparse points, read in the order of the store.
    fn read_reparse_data(&mut self) -> Result<()> {
        self.reparse.sort();
        let requests: Vec<BlobId> = self.reparse.iter().map(|(blob, _)| *blob).collect();
        let mut data = vec![Vec::new(); requests.len()];
        self.store.read_blobs(&requests, 1, &mut |index, bytes| {
            data[index].extend_from_slice(bytes);
            Ok(())
        })?;
        for ((_, node), data) in self.reparse.iter().zip(data) {
            if let Some(reparse) = &mut self.tree[*node].reparse {
                reparse.data = data.into();
            }
        }
        Ok(())
    }

    fn descriptor(&mut self, number: u32, place: EntryPath<'_>) -> Result<SecurityId> {
        if let Some(id) = self.security.get(&number) {
            return Ok(*id);
        }
        let descriptor = self.metadata.descriptor(number);
        let descriptor = descriptor.ok_or_else(|| self.fault(place, "its security descriptor does not exist"))?;
        if let Some(fault) = fault(descriptor) {
            return Err(self.fault(place, &format!("bad security descriptor {number}: {fault}")));
        }
        let id = self.tree.add_descriptor(descriptor);
        self.security.insert(number, id);
        Ok(id)
    }

    fn content(&self, digest: &Digest, place: EntryPath<'_>) -> Result<Content> {
        if *digest == [0; 20] {
            return Ok(Content::empty());
        }
        let id = self.store.find(digest).ok_or_else(|| {
            self.fault(place, &format!("its contents (SHA-1 {}) are not in the WIM", hex::encode(digest)))
                .with_hint("a WIM made as the difference to another one must be exported with that one first")
        })?;
        Ok(match self.store.blob_len(id) {
            0 => Content::empty(),
            len => Content::Blob { id, len },
        })
    }

    fn fault(&self, place: EntryPath<'_>, what: &str) -> Error {
        Error::corrupt(format!("bad file `{}` in the image: {what}", self.path(place)))
    }

    fn unsupported(&self, place: EntryPath<'_>, what: &str) -> Error {
        Error::unsupported(format!("`{}` in the image: {what}", self.path(place)))
    }

    /// Adds the path of the directory to `error`.
    fn inside(&self, error: Error, directory: NodeId) -> Error {
        let path = self.path(EntryPath { parent: directory, name: &Utf16Name::from("") });
        error.within(format_args!("`{path}`"))
    }

    /// Path from the root, with backslashes.
    fn path(&self, place: EntryPath<'_>) -> String {
        let mut names = vec![place.name.to_string()];
        let mut directory = place.parent;
        while let Some(parent) = self.parents.get(&directory) {
            let children = self.tree[*parent].children.as_ref().into_iter().flatten();
            let name = children.filter(|(_, entry)| entry.node == directory).map(|(name, _)| name.to_string()).next();
            names.push(name.unwrap_or_default());
            directory = *parent;
        }
        names.push(String::new());
        names.reverse();
        names.join("\\")
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.unix_files > 0 {
            warnings
                .push(format!("{} files have Unix metadata, which NTFS cannot hold: it is left out", self.unix_files));
        }
        if self.tails > 0 {
            warnings.push(format!("{} files have bytes after their metadata, which are ignored", self.tails));
        }
        if self.split_groups > 0 {
            let groups = self.split_groups;
            warnings.push(format!("names in {groups} hard-link groups disagree about the contents; they become files"));
        }
        warnings.extend(self.twins());
        warnings
    }

    /// Names in one directory that Windows cannot tell apart.
    fn twins(&self) -> Option<String> {
        let (mut first, mut count) = (None, 0u64);
        for directory in (0..self.tree.node_count() as u32).map(NodeId) {
            let Some(children) = &self.tree[directory].children else { continue };
            // Names that differ only in case are neighbours.
            for (name, other) in children.keys().zip(children.keys().skip(1)) {
                if name.eq_ignore_case(other) {
                    count += 1;
                    first.get_or_insert_with(|| (self.path(EntryPath { parent: directory, name }), other.to_string()));
                }
            }
        }
        let (path, other) = first?;
        let more = if count > 1 { format!(", and so do {} others", count - 1) } else { String::new() };
        Some(format!("`{path}` and `{other}` differ only in case{more}: Windows finds only one of them by name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::source::wim::ffi::Info;
    use crate::source::wim::format::{Compression, TAG_UNIX_DATA};

    /// The fields of an entry that a test sets; the rest is zero.
    #[derive(Clone, Copy, Default)]
    struct Spec {
        name: &'static str,
        attributes: u32,
        /// Hard-link group, or tag and flags of a reparse point.
        group: u64,
        tag: Option<u32>,
    }

    fn entry(spec: Spec, children: u64) -> Vec<u8> {
        let mut bytes = vec![0; 102];
        bytes[8..12].copy_from_slice(&spec.attributes.to_le_bytes());
        bytes[12..16].fill(0xff);
        bytes[16..24].copy_from_slice(&children.to_le_bytes());
        bytes[88..96].copy_from_slice(&spec.group.to_le_bytes());
        bytes[100..102].copy_from_slice(&(spec.name.len() as u16 * 2).to_le_bytes());
        bytes.extend(spec.name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        if let Some(tag) = spec.tag {
            bytes.extend([tag, 4, 0, 0].into_iter().flat_map(u32::to_le_bytes));
        }
        let len = bytes.len() as u64;
        bytes[..8].copy_from_slice(&len.to_le_bytes());
        bytes
    }

    /// An image with the entries `specs` in its root.
    fn image(specs: &[Spec]) -> Result<Image> {
        let mut bytes = vec![0; 8];
        let root = entry(Spec { attributes: attribute::DIRECTORY, ..Spec::default() }, 0);
        let list = (bytes.len() + root.len() + 8) as u64;
        bytes.extend(entry(Spec { attributes: attribute::DIRECTORY, ..Spec::default() }, list));
        bytes.extend([0; 8]);
        bytes.extend(specs.iter().flat_map(|spec| entry(*spec, 0)));
        bytes.extend([0; 8]);
        build(&bytes, &store(), true)
    }

    fn store() -> WimStore {
        let compression = Compression::None;
        let info = Info { image_count: 1, chunk_size: 0, compression, pipable: false, reparse_fixed: true };
        WimStore::new([].into(), &info, Vec::new()).unwrap()
    }

    fn file(name: &'static str, attributes: u32, group: u64) -> Spec {
        Spec { name, attributes, group, tag: None }
    }

    #[test]
    fn an_image_of_nothing_is_an_empty_root() {
        for bytes in [&[0; 8][..], &[0; 16]] {
            let image = build(bytes, &store(), false).unwrap();
            assert_eq!((image.tree.node_count(), image.tree[NodeId::ROOT].is_directory()), (1, true));
        }
    }

    #[test]
    fn hard_links_that_disagree_become_files() {
        let image = image(&[file("a", 1, 7), file("b", 1, 7), file("c", 2, 7), file("d", 2, 7), file("e", 1, 0)]);
        let image = image.unwrap();
        let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(|name| image.tree.find(name).unwrap());
        assert_eq!((a, c), (b, d));
        assert!(a != c && a != e);
        assert_eq!(image.warnings.len(), 1);
    }

    #[test]
    fn names_that_differ_in_case_alone_are_told() {
        let image = image(&[file("Readme", 1, 0), file("README", 2, 0), file("other", 3, 0)]).unwrap();
        assert_eq!(image.warnings.len(), 1);
        assert!(image.warnings[0].contains(r"`\README` and `Readme` differ"), "{:?}", image.warnings);
    }

    #[test]
    fn directories_have_no_hard_links() {
        let directory = file("a", attribute::DIRECTORY, 7);
        image(&[directory]).unwrap();
        for other in [file("b", attribute::DIRECTORY, 7), file("b", 0, 7)] {
            assert_eq!(image(&[directory, other]).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }

    #[test]
    fn links_made_relative_are_told() {
        let link = |name, group| file(name, attribute::REPARSE_POINT, group);
        let image = image(&[link("a", 0xa000_000c), link("b", 0xa000_000c | 1 << 48), link("c", 0x8000_0013)]).unwrap();
        assert_eq!(image.relative_links, [image.tree.find("a").unwrap()]);
        assert_eq!(image.tree[image.tree.find("c").unwrap()].reparse.as_ref().unwrap().tag, 0x8000_0013);
    }

    #[test]
    fn what_has_no_place_is_refused_by_name() {
        let unknown = Spec { name: "x", tag: Some(99), ..Spec::default() };
        for (spec, kind) in [
            (unknown, ErrorKind::Unsupported),
            (file("x", attribute::ENCRYPTED, 0), ErrorKind::Unsupported),
            (file("x", attribute::REPARSE_POINT, 0), ErrorKind::Corrupt),
        ] {
            let error = image(&[spec]).unwrap_err();
            assert!(error.kind() == kind && error.message().contains(r"`\x`"), "{error}");
        }
        let unix = Spec { name: "x", tag: Some(TAG_UNIX_DATA), ..Spec::default() };
        assert_eq!(image(&[unix]).unwrap().warnings.len(), 1);
    }
}

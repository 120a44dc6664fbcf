//! The tree's files and directories as MFT records: their names, attributes and indexes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::format::*;
use super::index::{self, IndexEntry, IndexKind};
use super::pack::Packing;
use super::record::*;
use super::secure::SecurityTable;
use super::wof;
use crate::error::{Error, Result};
use crate::tree::{FileTree, NodeId};
use crate::types::Utf16Name;

/// The most names that Windows gives to a file.
const MAX_NAMES: usize = 1024;
/// Bytes of a page: differences between images are counted in whole pages.
const PAGE: u64 = 4096;
/// The largest `$ATTRIBUTE_LIST`, in bytes.
const MAX_LIST_LEN: usize = 0x4_0000;

/// A name in a directory.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub node: NodeId,
    pub parent: NodeId,
    pub name: Utf16Name,
    /// A second name that differs from the first in more than case.
    pub short_name: Option<Utf16Name>,
    /// Whether the name is its own short name.
    pub is_short: bool,
}

/// A file or directory. They are in the order of their records.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub node: NodeId,
    /// Number of the base record; the extension records follow it.
    pub record: u64,
    pub security_id: u32,
    /// Bytes of the unnamed stream on disk, and its length; 0 for a directory.
    pub allocated_size: u64,
    pub data_size: u64,
    /// Its names: a range of [`Files::by_file`].
    names: Range<u32>,
    /// Its entries, if it is a directory: a range of [`Files::links`].
    entries: Range<u32>,
    /// Its index, if it is a directory.
    pub index: DirectoryIndex,
    /// Its runs begin at this index of [`Files::runs`].
    pub first_run: u32,
    /// The zone of its clusters.
    pub zone: Zone,
    /// Bytes for which its contents have clusters, even if they are shorter; 0 if only their length counts.
    pub room: u64,
}

/// A part of the volume, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Zone {
    /// For what is the same on all machines of a recipe.
    Settled,
    /// Before the MFT, whose first records belong to it: for what has a reserved place, whether it is there or not.
    Kept,
    /// Behind the MFT: for what only this machine has.
    Late,
}

/// How much of a directory's index has been made.
#[derive(Clone, Debug)]
pub(super) enum DirectoryIndex {
    /// Not a directory.
    None,
    /// The value of its root. It consists of zeros until all files have their records.
    Small(Box<[u8]>),
    /// Its number of blocks, 1 until they are counted. The blocks are made when they are written.
    Large(u32),
}

/// All files of a tree.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub tree: Arc<FileTree>,
    pub files: Vec<File>,
    /// Names, directory by directory.
    links: Vec<Link>,
    /// Indexes of `links`, file by file.
    by_file: Vec<u32>,
    /// For each node, its index in `files`.
    pub(super) places: Vec<u32>,
    /// Runs of all non-resident attributes, file by file.
    pub runs: Vec<Allocation>,
    pub cluster_size: u64,
    /// Bytes of an MFT record.
    pub record_size: u64,
    /// The number after the last record.
    pub next_record: u64,
    /// Indexes of what the tree [keeps](FileTree::kept); `None` for what is not there.
    pub kept: Vec<Option<usize>>,
    /// Free records that lie before the last used one.
    pub free_records: Vec<u64>,
    pub warnings: Vec<String>,
}

impl Files {
    /// Names, descriptors and records of everything in `tree`. `system_len` is the length in bytes of the root
    /// directory's entries for system files.
    pub fn plan(
        tree: Arc<FileTree>,
        security: &mut SecurityTable,
        [cluster_size, record_size]: [u64; 2],
        system_len: usize,
    ) -> Result<Self> {
        let mut files = Self {
            files: Vec::with_capacity(tree.node_count()),
            links: Vec::new(),
            by_file: Vec::new(),
            places: vec![u32::MAX; tree.node_count()],
            runs: Vec::new(),
            cluster_size,
            record_size,
            next_record: record::FIRST_USER,
            kept: Vec::new(),
            free_records: Vec::new(),
            warnings: Vec::new(),
            tree,
        };
        files.walk()?;
        files.group_names()?;
        files.find_kept();
        files.assign_descriptors(security)?;
        files.order();
        files.size_records(system_len)?;
        Ok(files)
    }

    /// Reference of the file for `node`.
    pub fn reference(&self, node: NodeId) -> FileReference {
        FileReference::of_fresh(self.file_of(node).record)
    }

    /// The file for `node`, which must have a name.
    pub fn file_of(&self, node: NodeId) -> &File {
        &self.files[self.places[node.0 as usize] as usize]
    }

    /// Names of a file, the first one first.
    pub fn names(&self, file: &File) -> impl Iterator<Item = &Link> {
        self.by_file[file.names.start as usize..file.names.end as usize].iter().map(|&link| &self.links[link as usize])
    }

    /// Makes the root of the index of the directory at `place`, if it is small; otherwise counts its blocks. `system`
    /// are the root directory's entries for system files.
    pub fn finish_index(&mut self, place: usize, system: &[(Utf16Name, IndexEntry)]) {
        self.files[place].index = match &self.files[place].index {
            DirectoryIndex::None => DirectoryIndex::None,
            DirectoryIndex::Small(root) => {
                let entries = self.index_entries(place, system.to_vec());
                DirectoryIndex::Small(index::build(self.index_kind(), &entries, root.len()).root.into())
            }
            DirectoryIndex::Large(_) => {
                let own = self.entries(place).flat_map(Link::names).map(|(name, _)| (name, name_entry_len(name)));
                let mut all: Vec<_> = system.iter().map(|(name, entry)| (name, entry.len())).chain(own).collect();
                all.sort_by_key(|(name, _)| *name);
                let lens: Vec<usize> = all.into_iter().map(|(_, len)| len).collect();
                DirectoryIndex::Large(index::block_count(&lens) as u32)
            }
        };
    }

    /// The blocks of the index of the directory at `place`, if it is large. `system` as in
    /// [`finish_index`](Self::finish_index).
    pub fn index_blocks(&self, place: usize, system: Vec<(Utf16Name, IndexEntry)>) -> Vec<u8> {
        match self.files[place].index {
            DirectoryIndex::Large(_) => index::build(self.index_kind(), &self.index_entries(place, system), 0).blocks,
            _ => Vec::new(),
        }
    }

    fn entries(&self, place: usize) -> impl Iterator<Item = &Link> {
        let entries = &self.files[place].entries;
        self.links[entries.start as usize..entries.end as usize].iter()
    }

    /// The entries of a directory's index in their order.
    fn index_entries(&self, place: usize, system: Vec<(Utf16Name, IndexEntry)>) -> Vec<IndexEntry> {
        let mut entries = system;
        for link in self.entries(place) {
            let child = &self.files[self.places[link.node.0 as usize] as usize];
            let reference = FileReference::of_fresh(child.record);
            for (name, namespace) in link.names() {
                entries.push((
                    name.clone(),
                    IndexEntry::directory(reference, self.file_name(child, link, name, namespace)),
                ));
            }
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries.into_iter().map(|(_, entry)| entry).collect()
    }

    pub(super) fn index_kind(&self) -> IndexKind {
        IndexKind {
            attribute_type: attribute_type::FILE_NAME,
            collation: collation::FILE_NAME,
            cluster_size: self.cluster_size,
        }
    }

    /// Numbers the nodes that have a name, level by level, and collects their names.
    fn walk(&mut self) -> Result<()> {
        let tree = self.tree.clone();
        let nodes = (0..tree.node_count() as u32).map(|node| &tree[NodeId(node)]);
        self.links.reserve_exact(1 + nodes.flat_map(|node| &node.children).map(BTreeMap::len).sum::<usize>());
        self.push_file(NodeId::ROOT);
        let mut next = 0;
        while next < self.files.len() {
            let directory = self.files[next].node;
            let first = self.links.len() as u32;
            let mut short_names = BTreeSet::new();
            for (name, entry) in tree[directory].children.iter().flatten() {
                if name.units().is_empty() || name.units().len() > 255 {
                    return Err(Error::unsupported(format!("a name of {} UTF-16 units", name.units().len()))
                        .with_hint("NTFS names have 1 to 255 units"));
                }
                let is_known = self.places[entry.node.0 as usize] != u32::MAX;
                if is_known && tree[entry.node].is_directory() {
                    return Err(Error::corrupt(format!("the directory `{name}` has two names")));
                }
                if !is_known {
                    self.push_file(entry.node);
                }
                let short_name = entry.short_name.as_ref().filter(|short| !short.units().is_empty());
                let mut link = Link {
                    node: entry.node,
                    parent: directory,
                    name: name.clone(),
                    short_name: None,
                    is_short: short_name.is_some_and(|short| short.eq_ignore_case(name)),
                };
                if let Some(short) = short_name.filter(|_| !link.is_short) {
                    let reason = if !is_8_3(short.units()) {
                        "it is not an 8.3 name"
                    } else if tree.child(directory, short).is_some() || !short_names.insert(folded(short)) {
                        "another file in the directory has that name"
                    } else {
                        link.short_name = Some(short.clone());
                        ""
                    };
                    if !reason.is_empty() {
                        self.warnings.push(format!("the short name `{short}` of `{name}` is left out: {reason}"));
                    }
                }
                self.links.push(link);
            }
            self.files[next].entries = first..self.links.len() as u32;
            next += 1;
        }
        // The root's own name comes last, so that it belongs to no directory's range.
        let root =
            Link { node: NodeId::ROOT, parent: NodeId::ROOT, name: ".".into(), short_name: None, is_short: true };
        self.links.push(root);
        Ok(())
    }

    fn push_file(&mut self, node: NodeId) {
        let data = self.tree[node].data.as_ref();
        let is_late = self.tree.is_late(node) || data.is_some_and(|data| self.tree.is_late_content(data));
        self.places[node.0 as usize] = self.files.len() as u32;
        self.files.push(File {
            node,
            record: 0,
            security_id: 0,
            allocated_size: 0,
            data_size: 0,
            names: 0..0,
            entries: 0..0,
            index: DirectoryIndex::None,
            first_run: 0,
            zone: if is_late { Zone::Late } else { Zone::Settled },
            room: 0,
        });
    }

    fn group_names(&mut self) -> Result<()> {
        let place = |link: &Link| self.places[link.node.0 as usize];
        let mut by_file: Vec<u32> = (0..self.links.len() as u32).collect();
        by_file.sort_by_key(|&link| (place(&self.links[link as usize]), link));
        let mut start = 0;
        while start < by_file.len() {
            let owner = place(&self.links[by_file[start] as usize]);
            let count = by_file[start..].iter().take_while(|&&link| place(&self.links[link as usize]) == owner).count();
            if count > MAX_NAMES {
                let name = &self.links[by_file[start] as usize].name;
                return Err(Error::unsupported(format!("`{name}` has {count} names"))
                    .with_hint(format!("NTFS allows {MAX_NAMES} hard links to a file")));
            }
            self.files[owner as usize].names = start as u32..(start + count) as u32;
            start += count;
        }
        // A file has at most one pair of a long and a short name, however many names it has.
        for file in &self.files {
            let mut has_pair = false;
            for &link in &by_file[file.names.start as usize..file.names.end as usize] {
                let link = &mut self.links[link as usize];
                if let Some(short) = link.short_name.take_if(|_| has_pair) {
                    let name = &link.name;
                    self.warnings
                        .push(format!("the short name `{short}` of `{name}` is left out: the file has one already"));
                }
                has_pair |= link.short_name.is_some();
            }
        }
        self.by_file = by_file;
        Ok(())
    }

    /// Gives every file its records and the sizes that directories repeat.
    fn size_records(&mut self, system_len: usize) -> Result<()> {
        self.size_file(0, system_len)?;
        let mut next = 1;
        for is_there in self.kept.iter().map(Option::is_some).collect::<Vec<_>>() {
            if is_there {
                self.size_file(next, 0)?;
                next += 1;
            } else {
                self.skip_record();
            }
        }
        // No page contains records of both reserved and other files, so that the reserved ones can be changed without
        // the others.
        while !self.kept.is_empty() && !self.next_record.is_multiple_of(PAGE / self.record_size) {
            self.skip_record();
        }
        (next..self.files.len()).try_for_each(|place| self.size_file(place, 0))
    }

    fn skip_record(&mut self) {
        self.free_records.push(self.next_record);
        self.next_record += 1;
    }

    fn size_file(&mut self, place: usize, system_len: usize) -> Result<()> {
        if self.tree[self.files[place].node].is_directory() {
            self.files[place].index = self.index_shape(place, system_len);
        }
        let file = &self.files[place];
        let name = &self.names(file).next().expect("every file has a name").name;
        wof::check(&self.tree[file.node], name)?;
        let mut attributes = self.attributes(file);
        let packing = Packing::of(&mut attributes, self.cluster_size, self.record_size);
        let list_len = packing.attribute_list(&attributes, 0).len();
        let record_count = packing.record_count() as u64;
        if record_count > 1 && (place == 0 || list_len > MAX_LIST_LEN) {
            return Err(Error::unsupported(format!("`{name}` has more streams than NTFS can list")));
        }
        let shown = self.shown_sizes(file, &attributes);
        let record = if place == 0 { record::ROOT } else { self.next_record };
        self.next_record += if place == 0 { 0 } else { record_count };
        let file = &mut self.files[place];
        file.record = record;
        (file.allocated_size, file.data_size) = shown;
        Ok(())
    }

    /// Bytes of the unnamed stream on disk, and its length, as directories show them.
    pub fn shown_sizes(&self, file: &File, attributes: &[Attribute<'_>]) -> (u64, u64) {
        attributes
            .iter()
            .find(|attribute| attribute.kind == attribute_type::DATA && attribute.name.is_empty())
            .filter(|_| !self.tree[file.node].is_directory())
            .map_or((0, 0), |attribute| match (&attribute.form, attribute.resident_len()) {
                (_, Some(len)) => (len.next_multiple_of(8), len),
                (Form::NonResident(run, Source::Hole), _) => (0, run.size),
                (Form::NonResident(run, _), _) => (run.allocated(), run.size),
                _ => (0, 0),
            })
    }

    fn index_shape(&self, place: usize, system_len: usize) -> DirectoryIndex {
        let file = &self.files[place];
        let entries_len: usize = self.entries(place).flat_map(Link::names).map(|(name, _)| name_entry_len(name)).sum();
        let root_len = index::small_root_len(system_len + entries_len);
        let others: u64 = self.attributes(file).iter().map(Attribute::max_record_size).sum();
        // An empty directory has no block for an allocation.
        if system_len + entries_len == 0 || others + 0x20 + align8(root_len) as u64 <= record_capacity(self.record_size)
        {
            DirectoryIndex::Small(vec![0; root_len].into())
        } else {
            DirectoryIndex::Large(1)
        }
    }
}

impl Link {
    /// The names with their namespaces. A long name without a short one is POSIX; Windows does the same when 8.3 names
    /// are off.
    pub fn names(&self) -> impl Iterator<Item = (&Utf16Name, u8)> {
        let namespace = match (&self.short_name, self.is_short) {
            (Some(_), _) => namespace::WIN32,
            (None, true) => namespace::WIN32_AND_DOS,
            (None, false) => namespace::POSIX,
        };
        let short = self.short_name.iter().map(|short| (short, namespace::DOS));
        std::iter::once((&self.name, namespace)).chain(short)
    }
}

/// Bytes of the entry for `name` in an index.
fn name_entry_len(name: &Utf16Name) -> usize {
    index::directory_entry_len(name.units().len())
}

fn folded(name: &Utf16Name) -> Vec<u16> {
    name.units().iter().map(|unit| crate::types::upcase::fold(*unit)).collect()
}

/// Whether NTFS accepts it as a short name: one to eight units, then optionally a dot and one to three units; no
/// spaces, and no characters with a special meaning in DOS.
fn is_8_3(units: &[u16]) -> bool {
    let legal = |unit: &u16| *unit > 0x20 && !br#""*+,/:;<=>?[\]|."#.iter().any(|&byte| u16::from(byte) == *unit);
    let mut parts = units.split(|unit| *unit == u16::from(b'.'));
    let base = parts.next().unwrap_or_default();
    let extension = parts.next();
    (1..=8).contains(&base.len())
        && extension.is_none_or(|extension| (1..=3).contains(&extension.len()))
        && parts.next().is_none()
        && base.iter().chain(extension.unwrap_or_default()).all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names() {
        for good in ["PROGRA~1", "A", "FILE.TXT", "X.Y"] {
            assert!(is_8_3(Utf16Name::from(good).units()), "{good}");
        }
        for bad in ["", ".", "TOOLONGNAME", "A.LONG", "A.B.C", "A B", "A.", ".TXT", "A:B"] {
            assert!(!is_8_3(Utf16Name::from(bad).units()), "{bad}");
        }
    }
}

//! The files of an NTFS volume as a [`FileTree`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::store::{Blob, BlobKind, VolumeStore};
use crate::content::{BlobId, Content, ReadAt, StoredForm};
use crate::error::{Error, Result};
use crate::security::fault;
use crate::tree::{Entry, FileTree, NamedStream, Node, NodeId, Reparse, SecurityId, Times, attribute};
use crate::types::Utf16Name;
use crate::volume::ntfs::format::{FileReference, attribute_flag, attribute_type, namespace, record};
use crate::volume::ntfs::{NtfsAttribute, NtfsDescriptors, NtfsFile, NtfsName, NtfsReader};
use crate::windows::contents::{elsewhere, wof};

/// A path has at most 32,767 characters, and each directory takes at least two of them.
const MAX_DEPTH: usize = 16_384;
/// NTFS stores at most 16 KiB.
const MAX_REPARSE: u64 = 16 << 10;
/// The same for the list of extended attributes and for a descriptor: at most 64 KiB.
const MAX_VALUE: u64 = 64 << 10;
/// Files in the root that Windows creates again at each start.
const PAGING: [&str; 3] = ["pagefile.sys", "swapfile.sys", "hiberfil.sys"];
/// Attribute bits that follow from other fields of a node, or from how a volume stores it.
const DERIVED: u32 = attribute::DIRECTORY
    | attribute::NORMAL
    | attribute::REPARSE_POINT
    | attribute::SPARSE_FILE
    | attribute::COMPRESSED;

/// The files of a volume.
pub struct VolumeFiles {
    /// Its files.
    pub tree: FileTree,
    /// Their contents.
    pub store: VolumeStore,
    /// What differs from the volume, one sentence each.
    pub warnings: Vec<String>,
}

/// Reads the files of the NTFS volume `volume`, except their contents.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) for damage, [`Unsupported`](crate::ErrorKind::Unsupported) for a file whose
/// contents cannot be read from the volume alone; both name the file.
pub fn read_volume(volume: &Arc<dyn ReadAt>) -> Result<VolumeFiles> {
    let reader = NtfsReader::open(&**volume)?;
    let mut walk = Walk {
        descriptors: reader.descriptors()?,
        reader: &reader,
        tree: FileTree::new(Node::directory(Times::default())),
        known: BTreeMap::new(),
        security: BTreeMap::new(),
        blobs: Vec::new(),
        paging: 0,
        expanded: 0,
    };
    let root = reader.file_in_record(record::ROOT)?;
    walk.tree[NodeId::ROOT] = walk.node(&root, NodeId::ROOT)?;
    walk.known.insert(record::ROOT, Known { node: NodeId::ROOT, names: Vec::new() });
    let mut pending = vec![(root.reference(), NodeId::ROOT, String::new(), 0)];
    while let Some((reference, node, path, depth)) = pending.pop() {
        if depth > MAX_DEPTH {
            return Err(Error::corrupt("directories are nested without end").with_path(path));
        }
        walk.directory(reference, node, &path, depth, &mut pending).map_err(|error| match path.is_empty() {
            true => error,
            false => error.with_path(&path),
        })?;
    }
    let warnings = walk.warnings();
    let Walk { mut tree, blobs, .. } = walk;
    let store = VolumeStore::new(volume.clone(), number_blobs(&mut tree, blobs)?);
    Ok(VolumeFiles { tree, store, warnings })
}

struct Walk<'r, 'a> {
    reader: &'r NtfsReader<'a>,
    descriptors: NtfsDescriptors<'a>,
    tree: FileTree,
    /// Keyed by MFT record.
    known: BTreeMap<u64, Known>,
    /// Keyed by the volume's numbers.
    security: BTreeMap<u32, SecurityId>,
    blobs: Vec<Found>,
    /// Bytes of paging files, which are left out.
    paging: u64,
    /// Zeros of sparse files that take clusters on the new volume.
    expanded: u64,
}

struct Known {
    node: NodeId,
    /// All names of the file.
    names: Vec<NtfsName>,
}

/// A blob, and the stream to which it belongs.
struct Found {
    blob: Blob,
    /// Its first byte on the volume; 0 if it is resident.
    place: u64,
    node: NodeId,
    /// Name of the stream; `None` for the contents.
    stream: Option<Utf16Name>,
}

type Pending = Vec<(FileReference, NodeId, String, usize)>;

impl Walk<'_, '_> {
    fn directory(
        &mut self,
        reference: FileReference,
        parent: NodeId,
        path: &str,
        depth: usize,
        pending: &mut Pending,
    ) -> Result<()> {
        let is_root = reference.record() == record::ROOT;
        let first = pending.len();
        for entry in self.reader.list(reference)? {
            // System files are created again.
            if is_root && entry.reference.record() < record::FIRST_FREE {
                continue;
            }
            let separator = if is_root { "" } else { "\\" };
            let path = format!("{path}{separator}{}", entry.name);
            let node = match self.known.get(&entry.reference.record()) {
                Some(known) if self.tree[known.node].is_directory() => {
                    return Err(Error::corrupt("the directory has two names").with_path(path));
                }
                Some(known) => known.node,
                None => {
                    let file = self.reader.file(entry.reference).map_err(|error| error.with_path(&path))?;
                    if is_root && !file.is_directory() && self.is_paging(&file, &entry.name) {
                        continue;
                    }
                    let node = self.tree.add_node(Node::default());
                    self.tree[node] = self.node(&file, node).map_err(|error| error.with_path(&path))?;
                    if file.is_directory() {
                        pending.push((entry.reference, node, path.clone(), depth + 1));
                    }
                    self.known.insert(entry.reference.record(), Known { node, names: file.names() });
                    node
                }
            };
            let names = self.known.get(&entry.reference.record()).map_or(&[][..], |known| &known.names);
            let short_name = short_name(names, reference, &entry.name);
            self.tree
                .link(parent, entry.name.clone(), Entry { short_name, node })
                .map_err(|error| error.with_path(&path))?;
        }
        pending[first..].reverse();
        Ok(())
    }

    fn is_paging(&mut self, file: &NtfsFile, name: &Utf16Name) -> bool {
        let is_paging = PAGING.iter().any(|known| name.eq_ignore_case(&(*known).into()));
        if is_paging {
            self.paging += file.streams().map(|(_, len)| len).sum::<u64>();
        }
        is_paging
    }

    fn node(&mut self, file: &NtfsFile, id: NodeId) -> Result<Node> {
        let facts = file.standard_information();
        let facts = facts.ok_or_else(|| Error::corrupt("the file has no $STANDARD_INFORMATION"))?;
        let [created, modified, changed, accessed] = file.times().unwrap_or_default();
        let attributes = facts.attributes.get();
        if attributes & attribute::ENCRYPTED != 0 && !file.is_directory() {
            return Err(
                Error::unsupported("the file is encrypted (EFS)").with_hint("decrypt it in that Windows (cipher /d)")
            );
        }
        if let Some(error) = elsewhere::error(file) {
            return Err(error);
        }
        let compact = wof::algorithm(file)?;
        let mut node = Node {
            attributes: attributes & !DERIVED,
            times: Times { created, modified, changed, accessed },
            security: self.descriptor(file)?,
            children: file.is_directory().then(BTreeMap::new),
            data: (!file.is_directory()).then(Content::empty),
            ..Node::default()
        };
        for attribute in file.attributes() {
            match attribute.kind() {
                attribute_type::DATA => {
                    let is_stored_form = attribute.name().eq_ignore_case(&wof::STREAM.into());
                    let is_contents = attribute.name().units().is_empty();
                    let form = compact.filter(|_| is_contents);
                    if compact.is_some() && is_stored_form {
                        continue;
                    }
                    let content = match form {
                        Some(algorithm) => {
                            let stored = file.attributes().find(|stream| {
                                stream.kind() == attribute_type::DATA
                                    && stream.name().eq_ignore_case(&wof::STREAM.into())
                            });
                            let stored = stored.ok_or_else(|| {
                                Error::corrupt(format!("the compressed file has no stream `{}`", wof::STREAM))
                            })?;
                            let form = StoredForm { algorithm, len: stored.size() };
                            self.content(file, id, attribute, stored, BlobKind::Wof(form))
                        }
                        None => self.content(file, id, attribute, attribute, kind_of(attribute)),
                    }?;
                    if is_contents {
                        node.data = Some(content);
                    } else {
                        node.streams.push(NamedStream { name: attribute.name().clone(), content });
                    }
                }
                attribute_type::REPARSE_POINT if compact.is_none() => node.reparse = Some(self.reparse(file)?.into()),
                attribute_type::OBJECT_ID => node.object_id = attribute.resident().map(Box::from),
                attribute_type::EA => {
                    let list = self.reader.attribute_value(file, attribute_type::EA, "", MAX_VALUE)?;
                    node.extended_attributes = list.map(|list| packed(list).into());
                }
                _ => {}
            }
        }
        node.streams.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(node)
    }

    /// The content for a stream whose bytes are at `stored`.
    fn content(
        &mut self,
        file: &NtfsFile,
        node: NodeId,
        stream: NtfsAttribute<'_>,
        stored: NtfsAttribute<'_>,
        kind: BlobKind,
    ) -> Result<Content> {
        let len = stream.size();
        if len == 0 {
            return Ok(Content::empty());
        }
        if len > self.reader.size().bytes().max(1 << 44) {
            return Err(Error::corrupt(format!("a stream cannot have {len} bytes")));
        }
        if stored.flags() & attribute_flag::ENCRYPTED != 0 {
            return Err(Error::unsupported("a stream is encrypted (EFS)"));
        }
        let cluster = self.reader.cluster_size();
        if kind == BlobKind::Plain && stored.resident().is_none() {
            let held: u64 = stored.runs().filter(|run| run.lcn.is_some()).map(|run| run.clusters).sum();
            self.expanded += len.next_multiple_of(cluster.bytes()).saturating_sub(held.saturating_mul(cluster.bytes()));
        }
        let place = stored.first_lcn().map_or(0, |lcn| lcn.0.saturating_mul(cluster.bytes()));
        let name = stream.name();
        let blob = Blob::new(file.reference(), name.clone(), len, kind);
        let stream = (!name.units().is_empty()).then(|| name.clone());
        self.blobs.push(Found { blob, place, node, stream });
        // The number is set when all blobs are known.
        Ok(Content::Blob { id: BlobId(0), len })
    }

    fn descriptor(&mut self, file: &NtfsFile) -> Result<Option<SecurityId>> {
        let id = file.security_id().filter(|id| *id != 0);
        if let Some(known) = id.and_then(|id| self.security.get(&id)) {
            return Ok(Some(*known));
        }
        let own = self.reader.attribute_value(file, attribute_type::SECURITY_DESCRIPTOR, "", MAX_VALUE)?;
        let descriptor = match own {
            Some(own) => Some(own),
            None => self.descriptors.of(file)?,
        };
        let Some(descriptor) = descriptor else { return Ok(None) };
        if let Some(fault) = fault(&descriptor) {
            return Err(Error::corrupt(format!("bad security descriptor: {fault}")));
        }
        let added = self.tree.add_descriptor(&descriptor);
        if let Some(id) = id {
            self.security.insert(id, added);
        }
        Ok(Some(added))
    }

    fn reparse(&self, file: &NtfsFile) -> Result<Reparse> {
        let bad = || Error::corrupt("the reparse point is damaged");
        let value = self.reader.attribute_value(file, attribute_type::REPARSE_POINT, "", MAX_REPARSE)?;
        let value = value.ok_or_else(bad)?;
        let (head, data) = value.split_first_chunk::<8>().ok_or_else(bad)?;
        let [t0, t1, t2, t3, l0, l1, ..] = *head;
        let (tag, len) = (u32::from_le_bytes([t0, t1, t2, t3]), usize::from(u16::from_le_bytes([l0, l1])));
        let data = data.get(..len).filter(|_| tag != 0).ok_or_else(bad)?;
        Ok(Reparse { tag, data: data.into() })
    }

    fn warnings(&self) -> Vec<String> {
        let size = |bytes| crate::types::ByteSize::new(bytes);
        let mut warnings = Vec::new();
        if self.paging > 0 {
            let list = PAGING.join(", ");
            warnings.push(format!("{} of {list} are left out: Windows makes them anew", size(self.paging)));
        }
        if self.expanded > 0 {
            warnings.push(format!(
                "sparse files are written out: {} that took no room on the old volume take it on the new one",
                size(self.expanded)
            ));
        }
        warnings
    }
}

/// The short name of the file with these `names` in `directory` beside `name`: `name` itself if it is a short name.
fn short_name(names: &[NtfsName], directory: FileReference, name: &Utf16Name) -> Option<Utf16Name> {
    let mut here = names.iter().filter(|known| known.parent.record() == directory.record());
    let own = here.clone().find(|known| known.name == *name && known.namespace != namespace::DOS)?;
    match own.namespace {
        namespace::WIN32_AND_DOS => Some(own.name.clone()),
        namespace::WIN32 => here.find(|known| known.namespace == namespace::DOS).map(|known| known.name.clone()),
        _ => None,
    }
}

fn kind_of(stream: NtfsAttribute<'_>) -> BlobKind {
    let is_compressed = stream.resident().is_none() && stream.flags() & attribute_flag::COMPRESSION_MASK != 0;
    if is_compressed { BlobKind::Lznt1 } else { BlobKind::Plain }
}

/// A list of extended attributes in the form that programs see. On a volume the last entry, too, has the offset of a
/// next one.
fn packed(mut list: Vec<u8>) -> Vec<u8> {
    let (mut last, mut len) = (0, list.len());
    while let Some(next) = list.get(last..last + 4) {
        let next = u32::from_le_bytes(next.try_into().expect("4 bytes")) as usize;
        if next == 0 || last + next >= list.len() {
            break;
        }
        last += next;
    }
    if let Some(entry) = list.get(last..).filter(|entry| entry.len() >= 8) {
        let value = usize::from(u16::from_le_bytes([entry[6], entry[7]]));
        len = len.min(last + 8 + usize::from(entry[5]) + 1 + value);
        list[last..last + 4].fill(0);
    }
    list.truncate(len);
    list
}

/// Numbers blobs in the order in which they lie on the volume, and sets their numbers in the tree.
fn number_blobs(tree: &mut FileTree, mut found: Vec<Found>) -> Result<Vec<Blob>> {
    found.sort_by(|a, b| (a.place, a.node, &a.stream).cmp(&(b.place, b.node, &b.stream)));
    if u32::try_from(found.len()).is_err() {
        return Err(Error::unsupported("the volume has too many files"));
    }
    for (number, Found { node, stream, .. }) in (0u32..).zip(&found) {
        let node = &mut tree[*node];
        let content = match stream {
            None => node.data.as_mut(),
            Some(name) => node.streams.iter_mut().find(|other| other.name == *name).map(|other| &mut other.content),
        };
        if let Some(Content::Blob { id, .. }) = content {
            *id = BlobId(number);
        }
    }
    Ok(found.into_iter().map(|found| found.blob).collect())
}

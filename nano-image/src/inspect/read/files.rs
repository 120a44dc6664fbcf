//! The files of a volume, with the same interface for FAT32 and NTFS.

use std::collections::BTreeMap;
use std::io;

use crate::content::{Extent, ReadAt};
use crate::error::{Error, ErrorKind, Result};
use crate::types::{ByteSize, Utf16Name};
use crate::volume::fat::{FatEntry, FatReader};
use crate::volume::ntfs::format::{FileReference, attribute_flag, attribute_type, record};
use crate::volume::ntfs::{NtfsFile, NtfsReader};
use crate::windows::contents::{self, Stream, wof};
use crate::windows::edit::ImageFiles;

/// Bytes that are copied at once.
const PIECE: u64 = 1 << 20;
/// Deeper nesting of directories is treated as damage.
const MAX_DEPTH: usize = 512;

/// The files of a partition.
pub struct Files<'a> {
    partition: u32,
    kind: Kind<'a>,
}

pub(crate) enum Kind<'a> {
    Ntfs(Box<NtfsReader<'a>>),
    Fat(Box<Fat<'a>>),
}

/// A FAT volume with all its directories.
pub(crate) struct Fat<'a> {
    pub volume: &'a dyn ReadAt,
    pub reader: FatReader<'a>,
    pub entries: Vec<FatEntry>,
    /// Numbers of the entries of each directory, by its path in upper case.
    children: BTreeMap<String, Vec<usize>>,
}

/// A file or directory of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    pub(crate) number: FileNumber,
    is_directory: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileNumber {
    Ntfs(FileReference),
    /// Number of the entry; `None` for the root directory.
    Fat(Option<usize>),
}

/// A name in a directory.
#[derive(Clone, Debug)]
pub struct DirectoryEntry {
    /// Name.
    pub name: Utf16Name,
    /// The file or directory with this name.
    pub file: FileId,
}

impl FileId {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.is_directory
    }

    /// Number of the file in its volume, which all its hard links share; `None` on FAT.
    pub fn number(&self) -> Option<u64> {
        match self.number {
            FileNumber::Ntfs(reference) => Some(reference.record()),
            FileNumber::Fat(_) => None,
        }
    }
}

impl ImageFiles for Files<'_> {
    fn names(&self, path: &str) -> Result<Vec<String>> {
        match self.find(path)?.filter(FileId::is_directory) {
            Some(folder) => Ok(self.list(folder)?.into_iter().map(|entry| entry.name.to_string()).collect()),
            None => Ok(Vec::new()),
        }
    }

    fn read_file(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.read_file(path, limit)
    }
}

impl<'a> Files<'a> {
    /// The files of `volume`, which is partition `partition`.
    pub(crate) fn open(volume: &'a dyn ReadAt, partition: u32) -> Result<Self> {
        let mut sector = [0; 512];
        volume.read_exact_at(&mut sector, 0).map_err(|error| read_error(error, "cannot read the partition"))?;
        let kind = match crate::volume::signature(&sector) {
            Some("NTFS") => Kind::Ntfs(Box::new(NtfsReader::open(volume)?)),
            Some("FAT32") => Kind::Fat(Box::new(Fat::open(volume)?)),
            Some(other) => return Err(Error::unsupported(format!("files of a volume of {other} are not handled"))),
            None => return Err(Error::unsupported("the partition holds no known volume")),
        };
        Ok(Self { partition, kind })
    }

    /// Number of the partition.
    pub fn partition(&self) -> u32 {
        self.partition
    }

    pub(crate) fn kind(&self) -> &Kind<'a> {
        &self.kind
    }

    /// The NTFS volume, if it is one.
    pub(crate) fn ntfs(&self) -> Option<&NtfsReader<'a>> {
        match &self.kind {
            Kind::Ntfs(reader) => Some(reader),
            Kind::Fat(_) => None,
        }
    }

    /// The root directory.
    pub fn root(&self) -> Result<FileId> {
        match &self.kind {
            Kind::Ntfs(reader) => {
                let reference = reader.file_in_record(record::ROOT)?.reference();
                Ok(FileId { number: FileNumber::Ntfs(reference), is_directory: true })
            }
            Kind::Fat(_) => Ok(FileId { number: FileNumber::Fat(None), is_directory: true }),
        }
    }

    /// The file or directory at `path`. Names are separated by `\` or `/`, and case is ignored; the empty path is the
    /// root. Reparse points are not followed.
    pub fn find(&self, path: &str) -> Result<Option<FileId>> {
        match &self.kind {
            Kind::Ntfs(reader) => match reader.find(path)? {
                Some(reference) => {
                    let is_directory = reader.file(reference)?.is_directory();
                    Ok(Some(FileId { number: FileNumber::Ntfs(reference), is_directory }))
                }
                None => Ok(None),
            },
            Kind::Fat(fat) => {
                let names: Vec<&str> = path.split(['\\', '/']).filter(|name| !name.is_empty()).collect();
                let Some((last, parents)) = names.split_last() else { return self.root().map(Some) };
                let siblings = fat.children.get(&parents.join("\\").to_uppercase());
                let last = last.to_uppercase();
                let found = siblings.into_iter().flatten().copied().find(|&index| {
                    let path = &fat.entries[index].path;
                    path.rsplit('\\').next().is_some_and(|name| name.to_uppercase() == last)
                });
                Ok(found.map(|index| fat.id(index)))
            }
        }
    }

    /// The file, and the name of the stream, for `path`. This is a path as for [`find`](Self::find), optionally with a
    /// drive letter, and optionally followed by `:` and the name of a stream.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such file. Whether the stream exists is not checked.
    pub fn resolve(&self, path: &str) -> Result<(FileId, String)> {
        let rest = match path.as_bytes() {
            [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic() => &path[2..],
            _ => path,
        };
        if let Some(file) = self.find(rest)? {
            return Ok((file, String::new()));
        }
        let name = rest.rfind(['\\', '/']).map_or(0, |at| at + 1);
        if let Some(at) = rest[name..].find(':')
            && let Some(file) = self.find(&rest[..name + at])?
        {
            let stream = &rest[name + at + 1..];
            return Ok((file, stream.strip_suffix(":$DATA").unwrap_or(stream).to_owned()));
        }
        let partition = self.partition;
        Err(Error::not_found(format!("partition {partition} of the image has no such file")).with_path(path))
    }

    /// The entries of a directory, sorted like an NTFS index.
    pub fn list(&self, directory: FileId) -> Result<Vec<DirectoryEntry>> {
        match (&self.kind, directory.number) {
            (Kind::Ntfs(reader), FileNumber::Ntfs(reference)) => {
                let mut entries: Vec<DirectoryEntry> = Vec::new();
                for entry in reader.list(reference)? {
                    let number = FileNumber::Ntfs(entry.reference);
                    let file = FileId { number, is_directory: entry.is_directory };
                    // System files can be found only by their number.
                    let is_system = reference.record() == record::ROOT && entry.reference.record() < record::FIRST_FREE;
                    if !is_system {
                        entries.push(DirectoryEntry { name: entry.name, file });
                    }
                }
                Ok(entries)
            }
            (Kind::Fat(fat), FileNumber::Fat(index)) => {
                let path = index.map_or("", |index| &fat.entries[index].path);
                let children = fat.children.get(&path.to_uppercase()).map_or(&[][..], |children| children);
                let entry = |&index: &usize| {
                    let name = fat.entries[index].path.rsplit('\\').next().unwrap_or_default();
                    DirectoryEntry { name: name.into(), file: fat.id(index) }
                };
                let mut entries: Vec<DirectoryEntry> = children.iter().map(entry).collect();
                entries.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(entries)
            }
            _ => Err(Error::not_found("the file belongs to another volume")),
        }
    }

    /// Calls `visit` with path and file of everything below `directory`; a directory comes before its contents. The
    /// paths begin with `path`. If `visit` returns `false`, a directory is not entered.
    pub fn walk(
        &self,
        directory: FileId,
        path: &str,
        visit: &mut dyn FnMut(&str, &Utf16Name, FileId) -> Result<bool>,
    ) -> Result<()> {
        // No directory is entered twice, so damage cannot make this endless.
        let mut seen = std::collections::BTreeSet::new();
        let mut open = vec![(path.to_owned(), self.list(directory)?.into_iter())];
        while let Some((path, entries)) = open.last_mut() {
            let Some(entry) = entries.next() else {
                open.pop();
                continue;
            };
            let path = if path.is_empty() { entry.name.to_string() } else { format!("{path}\\{}", entry.name) };
            let enter = visit(&path, &entry.name, entry.file)? && entry.file.is_directory;
            if enter && entry.file.number().is_none_or(|number| seen.insert(number)) {
                if open.len() >= MAX_DEPTH {
                    return Err(Error::corrupt("directories are nested without end").with_path(path));
                }
                let list = self.list(entry.file).map_err(|error| error.with_path(&path))?;
                open.push((path, list.into_iter()));
            }
        }
        Ok(())
    }

    /// Record of an NTFS file; `None` on FAT.
    pub(crate) fn ntfs_file(&self, file: FileId) -> Result<Option<NtfsFile>> {
        match (&self.kind, file.number) {
            (Kind::Ntfs(reader), FileNumber::Ntfs(reference)) => reader.file(reference).map(Some),
            _ => Ok(None),
        }
    }

    /// The stream `name` of a file; `None` if there is no such stream. The contents have the empty name, and are
    /// decompressed.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if it is encrypted, or if its contents are not on the volume:
    /// deduplicated files, and placeholders of cloud storage.
    pub fn open_stream(&self, file: FileId, name: &str) -> Result<Option<Stream<'a>>> {
        match (&self.kind, file.number) {
            (Kind::Ntfs(reader), FileNumber::Ntfs(reference)) => contents::open(reader, &reader.file(reference)?, name),
            (Kind::Fat(fat), FileNumber::Fat(Some(index))) if name.is_empty() && !file.is_directory => {
                let entry = &fat.entries[index];
                let extents = fat.reader.extents(entry)?;
                if extents.iter().map(|extent| extent.len).sum::<u64>() < entry.size.into() {
                    let message = format!("the file has fewer clusters than its {} bytes need", entry.size);
                    return Err(Error::corrupt(message).with_path(&entry.path));
                }
                let stream = FatStream { volume: fat.volume, extents, size: entry.size.into() };
                Ok(Some(Box::new(stream)))
            }
            _ => Ok(None),
        }
    }

    /// The parts of a stream that are stored, in ascending order; the rest is zeros. `None` if that is not known.
    pub(crate) fn stored_parts(&self, file: FileId, name: &str) -> Result<Option<Vec<Extent>>> {
        let (Some(record), Kind::Ntfs(reader)) = (self.ntfs_file(file)?, &self.kind) else { return Ok(None) };
        let is_wof = name.is_empty() && record.reparse_tag() == Some(wof::TAG);
        let data = record.attributes().find(|data| data.kind() == attribute_type::DATA && *data.name() == name.into());
        let data = data.filter(|data| !is_wof && data.flags() & attribute_flag::COMPRESSION_MASK == 0);
        Ok(data.map(|data| data.stored_parts(reader.cluster_size())))
    }

    /// The names on the path to `file`, as they are written on the volume.
    pub(crate) fn own_names(&self, path: &str) -> Result<Vec<Utf16Name>> {
        let (mut names, mut directory) = (Vec::new(), self.root()?);
        let mut asked = path.split(['\\', '/']).filter(|name| !name.is_empty()).peekable();
        // A drive letter, which `resolve` accepts too.
        if asked.peek().is_some_and(|name| name.len() == 2 && name.ends_with(':')) {
            asked.next();
        }
        let mut known = String::new();
        for name in asked {
            known = format!("{known}\\{name}");
            let Some(file) = self.find(&known)? else { break };
            let wanted = Utf16Name::from(name);
            let mut same = self.list(directory)?.into_iter().filter(|entry| entry.file == file).peekable();
            // Listings have no short names. The first long name of the file stands for it.
            let first = same.peek().map(|entry| entry.name.clone());
            let own = same.find(|entry| entry.name.eq_ignore_case(&wanted)).map(|entry| entry.name);
            names.push(own.or(first).unwrap_or(wanted));
            directory = file;
        }
        Ok(names)
    }

    /// Names and lengths of a file's streams, except the contents and the stream in which WOF keeps them.
    pub fn named_streams(&self, file: FileId) -> Result<Vec<(Utf16Name, u64)>> {
        let Some(file) = self.ntfs_file(file)? else { return Ok(Vec::new()) };
        let is_wof = file.reparse_tag() == Some(wof::TAG);
        let named = file.attributes().filter(|attribute| attribute.kind() == attribute_type::DATA);
        let named = named.map(|stream| (stream.name().clone(), stream.size()));
        let shown = |(name, _): &(Utf16Name, u64)| {
            let is_stored_form = is_wof && name.eq_ignore_case(&wof::STREAM.into());
            !name.units().is_empty() && !is_stored_form
        };
        Ok(named.filter(shown).collect())
    }

    /// The contents of the file at `path`, at most `limit` bytes; `None` if there is no such file.
    pub fn read_file(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.find(path)? else { return Ok(None) };
        self.read_contents(file, limit).map_err(|error| error.with_path(path))
    }

    /// All contents of `file`, at most `limit` bytes; `None` if it has none.
    pub(crate) fn read_contents(&self, file: FileId, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(stream) = self.open_stream(file, "")? else { return Ok(None) };
        let size = stream.len().map_err(|error| read_error(error, "cannot read the file"))?;
        if size > limit {
            let (size, limit) = (ByteSize::new(size), ByteSize::new(limit));
            return Err(Error::unsupported(format!("the file has {size}; more than {limit} are not read")));
        }
        let mut bytes = vec![0; size as usize];
        stream.read_exact_at(&mut bytes, 0).map_err(|error| read_error(error, "cannot read the file"))?;
        Ok(Some(bytes))
    }

    /// Position of a file's contents on the volume, so that files can be read in a fast order; 0 if they have no place
    /// of their own.
    pub(crate) fn address(&self, file: FileId) -> u64 {
        match (&self.kind, file.number) {
            (Kind::Ntfs(reader), FileNumber::Ntfs(reference)) => {
                let Ok(file) = reader.file(reference) else { return 0 };
                let data = file.attributes().filter(|attribute| attribute.kind() == attribute_type::DATA);
                data.filter_map(|data| data.first_lcn())
                    .map(|lcn| lcn.0 * reader.cluster_size().bytes())
                    .min()
                    .unwrap_or(0)
            }
            (Kind::Fat(fat), FileNumber::Fat(Some(index))) => fat
                .reader
                .extents(&fat.entries[index])
                .ok()
                .and_then(|extents| Some(extents.first()?.start))
                .unwrap_or(0),
            _ => 0,
        }
    }
}

impl<'a> Fat<'a> {
    fn open(volume: &'a dyn ReadAt) -> Result<Self> {
        let reader = FatReader::open(volume)?;
        let entries = reader.entries()?;
        let mut children: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let parent = entry.path.rsplit_once('\\').map_or("", |(parent, _)| parent);
            children.entry(parent.to_uppercase()).or_default().push(index);
        }
        Ok(Self { volume, reader, entries, children })
    }

    fn id(&self, index: usize) -> FileId {
        FileId { number: FileNumber::Fat(Some(index)), is_directory: self.entries[index].is_directory }
    }
}

/// Hands the bytes of a stream to `sink`, in pieces.
pub fn copy(stream: &dyn ReadAt, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let failed = |error| read_error(error, "cannot read the file");
    let size = stream.len().map_err(failed)?;
    let (mut at, mut piece) = (0, Vec::new());
    while at < size {
        piece.resize((size - at).min(PIECE) as usize, 0);
        stream.read_exact_at(&mut piece, at).map_err(failed)?;
        sink(&piece)?;
        at += piece.len() as u64;
    }
    Ok(())
}

/// The error for a failed read. Bytes that the image lacks count as damage of the image.
pub(crate) fn read_error(error: io::Error, what: &str) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => ErrorKind::Corrupt,
        _ => ErrorKind::Io,
    };
    Error::new(kind, what).with_source(error)
}

/// The bytes of a file on FAT.
struct FatStream<'a> {
    volume: &'a dyn ReadAt,
    extents: Vec<Extent>,
    size: u64,
}

impl ReadAt for FatStream<'_> {
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for extent in &self.extents {
            if offset >= extent.len {
                offset -= extent.len;
                continue;
            }
            let len = usize::try_from(extent.len - offset).map_or(buf.len(), |len| len.min(buf.len()));
            let (piece, rest) = buf.split_at_mut(len);
            self.volume.read_exact_at(piece, extent.start + offset)?;
            (buf, offset) = (rest, 0);
            if buf.is_empty() {
                return Ok(());
            }
        }
        if buf.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.size)
    }
}

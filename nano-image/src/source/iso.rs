//! ISO images, read in place. Microsoft writes install media as UDF 1.02, beside an ISO 9660 file system that only says
//! that there is UDF. Disks with drivers are ISO 9660 with names of Rock Ridge or Joliet.
//!
//! The crates `hadris-udf` and `hadris-iso` read the file systems. The data of a file is read from its extents without
//! them, by any number of threads.

mod device;
mod volume;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hadris_fs::{DirCursor, FileType, NodeId};

use crate::content::ReadAt;
use crate::error::{Error, Result};
use volume::Volume;

/// A directory with more entries than this is refused.
const MAX_ENTRIES: usize = 1 << 16;
/// A file in more pieces than this is refused; a piece has at most 1 GiB.
const MAX_EXTENTS: usize = 4096;

/// An open ISO image.
pub struct Iso {
    data: Arc<dyn ReadAt>,
    path: PathBuf,
    len: u64,
    label: String,
    /// Behind a mutex because it has buffers of its own.
    volume: Mutex<Volume>,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IsoEntry {
    /// Its name.
    pub name: String,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Length in bytes; for a directory, the length of its list of entries.
    pub size: u64,
}

/// The data of a file in an ISO image.
pub struct IsoFile {
    data: Arc<dyn ReadAt>,
    len: u64,
    /// In ascending order, without overlap. Bytes between them are 0.
    pieces: Vec<Piece>,
}

/// A run of bytes of a file.
#[derive(Clone, Copy)]
struct Piece {
    /// Offset in the file, offset in the image, and length, in bytes.
    start: u64,
    place: u64,
    len: u64,
}

impl fmt::Debug for Iso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iso").field("path", &self.path).field("label", &self.label).finish_non_exhaustive()
    }
}

impl fmt::Debug for IsoFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IsoFile").field("len", &self.len).field("pieces", &self.pieces.len()).finish_non_exhaustive()
    }
}

impl Iso {
    /// Opens the image in `data`. Errors call the file `path`.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if there is no UDF or ISO 9660 file system, or one that a plain
    /// disc does not have; [`Corrupt`](crate::ErrorKind::Corrupt) names the damaged structure.
    pub fn open(data: Arc<dyn ReadAt>, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let len = data.len().map_err(|error| Error::io("read the ISO image", path, error))?;
        let mut volume = Volume::mount(&data, len).map_err(|error| device::error(error, path))?;
        let label = volume.label().map_err(|error| device::error(error, path))?;
        Ok(Self { data, path: path.to_owned(), len, label, volume: Mutex::new(volume) })
    }

    /// Name of the volume.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The entries of directory `path`, in the order of the image. Parts of the path are separated by `/` or `\` and
    /// match in any case; the empty path is the root.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) lists what is there instead.
    pub fn entries(&self, path: &str) -> Result<Vec<IsoEntry>> {
        let (node, is_directory) = self.resolve(path)?;
        if !is_directory {
            return Err(Error::not_found(format!("`{path}` is a file")).with_path(&self.path));
        }
        Ok(self.list(node)?.into_iter().map(|(entry, _)| entry).collect())
    }

    /// Opens the file `path`, written as for [`entries`](Self::entries).
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) lists what is there instead; [`Corrupt`](crate::ErrorKind::Corrupt)
    /// if the file lies beyond the end of the image.
    pub fn file(&self, path: &str) -> Result<IsoFile> {
        let (node, is_directory) = self.resolve(path)?;
        if is_directory {
            return Err(Error::not_found(format!("`{path}` is a directory")).with_path(&self.path));
        }
        let mut volume = self.volume.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |error| device::error(error, &self.path);
        let len = volume.stat(node).map_err(failed)?.len();
        let mut extents = vec![hadris_fs::Extent::new(0, 0); MAX_EXTENTS];
        let count = volume.extents(node, &mut extents).map_err(failed)?;
        if count == MAX_EXTENTS {
            return Err(Error::unsupported(format!("`{path}` has too many pieces")).with_path(&self.path));
        }
        let written = extents[..count].iter().filter(|extent| !extent.is_unwritten());
        let pieces: Vec<Piece> = written
            .map(|extent| Piece { start: extent.file_offset(), place: extent.offset(), len: extent.len() })
            .collect();
        if let Some(piece) = pieces.iter().find(|piece| piece.place.saturating_add(piece.len) > self.len) {
            return Err(Error::corrupt(format!("`{path}` lies beyond the end of the image: it is truncated"))
                .at(piece.place)
                .with_path(&self.path)
                .with_hint("copy the image again and compare its size and hash with the original"));
        }
        Ok(IsoFile { data: self.data.clone(), len, pieces })
    }

    /// The node that `path` means, and whether it is a directory.
    fn resolve(&self, path: &str) -> Result<(NodeId, bool)> {
        let mut node = (self.volume.lock().unwrap_or_else(PoisonError::into_inner).root(), true);
        for part in path.split(['/', '\\']).filter(|part| !part.is_empty()) {
            let entries = if node.1 { self.list(node.0)? } else { Vec::new() };
            let same = |name: &str| name.to_lowercase() == part.to_lowercase();
            let exact = entries.iter().find(|(entry, _)| entry.name == part);
            let Some((entry, child)) = exact.or_else(|| entries.iter().find(|(entry, _)| same(&entry.name))) else {
                let names: Vec<&str> = entries.iter().take(20).map(|(entry, _)| &entry.name[..]).collect();
                return Err(Error::not_found(format!("no `{path}` in the image"))
                    .with_path(&self.path)
                    .with_hint(format!("in the place of `{part}` there is: {}", names.join(", "))));
            };
            node = (*child, entry.is_directory);
        }
        Ok(node)
    }

    /// The entries of a directory.
    fn list(&self, directory: NodeId) -> Result<Vec<(IsoEntry, NodeId)>> {
        let mut volume = self.volume.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = Vec::new();
        let mut cursor = DirCursor::START;
        while let Some(entry) = volume.readdir(directory, cursor).map_err(|error| device::error(error, &self.path))? {
            if entries.len() == MAX_ENTRIES {
                let message = format!("a directory of more than {MAX_ENTRIES} entries");
                return Err(Error::unsupported(message).with_path(&self.path));
            }
            let name = entry.name().to_str().map_err(|_| Error::corrupt("a name that is not Unicode"));
            let listed = IsoEntry {
                name: name.map_err(|error| error.with_path(&self.path))?.to_owned(),
                is_directory: entry.file_type() == FileType::Dir,
                size: entry.metadata().len(),
            };
            entries.push((listed, entry.node()));
            cursor = entry.next_cursor();
        }
        Ok(entries)
    }
}

impl ReadAt for IsoFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let first = self.pieces.partition_point(|piece| piece.start + piece.len <= offset);
        let mut filled = offset;
        for piece in self.pieces[first..].iter().take_while(|piece| piece.start < end) {
            let (start, stop) = (piece.start.max(offset), (piece.start + piece.len).min(end));
            buf[(filled - offset) as usize..(start - offset) as usize].fill(0);
            let bytes = &mut buf[(start - offset) as usize..(stop - offset) as usize];
            self.data.read_exact_at(bytes, piece.place + (start - piece.start))?;
            filled = stop;
        }
        buf[(filled - offset) as usize..].fill(0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.len)
    }
}

//! Opens a WIM and its parts.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zerocopy::FromBytes;

use super::ffi::Handle;
use super::format::{Header, MAGIC, PIPABLE_MAGIC, VERSION_SOLID};
use super::resource::Part;
use super::store::WimStore;
use super::{Wim, xml};
use crate::content::{NewFile, ReadAt};
use crate::error::{Error, Result};

/// libwim holds the blob table and the XML data in memory; larger ones are refused.
const MAX_TABLE: u64 = 1 << 30;

/// Byte of the first volume descriptor of an ISO image (ECMA-119 §6.2.1, 8.1).
const ISO_DESCRIPTOR: u64 = 16 * 2048;

impl Wim {
    /// Opens the WIM at `path`. If the WIM is split, `path` is its first part; the others are looked for beside it
    /// (`name.swm`, `name2.swm`, `name3.swm` …) unless they are among `parts`.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) names a part that is missing, [`Corrupt`](crate::ErrorKind::Corrupt)
    /// says what is damaged, [`Unsupported`](crate::ErrorKind::Unsupported) names an encrypted ESD file or an unknown
    /// version.
    pub fn open(path: impl AsRef<Path>, parts: &[PathBuf]) -> Result<Self> {
        open(path.as_ref(), parts)
    }

    /// Opens a WIM that is part of a larger file (an ISO image) and is given as `data`. Errors call it `path`. libwim
    /// reads only plain files, so a temporary one is made in the folder `scratch`: as long as the WIM, but a hole
    /// except for the header and the tables.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open); also [`Unsupported`](crate::ErrorKind::Unsupported) for a split or pipable WIM
    /// and for one with solid resources (ESD), and [`Io`](crate::ErrorKind::Io) for the folder.
    pub fn open_within(data: Arc<dyn ReadAt>, path: impl AsRef<Path>, scratch: impl AsRef<Path>) -> Result<Self> {
        open_within(data, path.as_ref(), scratch.as_ref())
    }
}

fn open(path: &Path, more_parts: &[PathBuf]) -> Result<Wim> {
    let (part, header) = open_part(path)?;
    let parts: Arc<[Part]> = find_parts(part, &header, more_parts)?.into();
    let mut handle = Handle::open(path, path)?;
    for part in &parts[1..] {
        handle.reference(&part.path)?;
    }
    read_tables(&handle, parts)
}

fn open_within(data: Arc<dyn ReadAt>, path: &Path, scratch: &Path) -> Result<Wim> {
    let len = data.len().map_err(|error| Error::io("open the WIM", path, error))?;
    let part = Part { path: path.to_owned(), data, len };
    let header = read_header(&part)?;
    let kinds = [
        ("a split", header.total_parts.get() != 1),
        ("a solid", header.version.get() == VERSION_SOLID),
        ("a pipable", header.magic == PIPABLE_MAGIC),
    ];
    if let Some((kind, _)) = kinds.iter().find(|(_, is_kind)| *is_kind) {
        return Err(Error::unsupported(format!("{kind} WIM inside another file"))
            .with_path(path)
            .with_hint("copy its files out and name them"));
    }
    let io = |error| Error::io("create a scratch file in", scratch, error);
    let mut skeleton = NewFile::scratch(scratch).map_err(io)?;
    write_skeleton(&part, &header, skeleton.file(), scratch)?;
    // The handle is closed before the skeleton is dropped: Windows does not remove a file that libwim has open.
    let handle = Handle::open(&skeleton.named_path().map_err(io)?, path)?;
    read_tables(&handle, [part].into())
}

/// Copies what libwim reads when it opens a WIM to the same places of the empty `file`; the rest is a hole.
fn write_skeleton(part: &Part, header: &Header, mut file: &File, folder: &Path) -> Result<()> {
    let io = |error| Error::io("write the scratch file in", folder, error);
    file.set_len(part.len).map_err(io)?;
    let header_place = (0, size_of::<Header>() as u64);
    let tables = [&header.blob_table, &header.xml].map(|place| (place.offset.get(), place.stored_len()));
    for (offset, len) in [header_place, tables[0], tables[1]] {
        let mut bytes = vec![0; len as usize];
        part.read(&mut bytes, offset)?;
        file.seek(SeekFrom::Start(offset)).and_then(|_| file.write_all(&bytes)).map_err(io)?;
    }
    Ok(())
}

/// Reads what the opened WIM says about its images and blobs, which lie in `parts`.
fn read_tables(handle: &Handle, parts: Arc<[Part]>) -> Result<Wim> {
    let path = &*parts[0].path.clone();
    let info = handle.info(path)?;
    let images = xml::parse(&handle.xml(path)?).map_err(|error| error.with_path(path))?;
    let (metadata, blobs): (Vec<_>, Vec<_>) = handle.blobs(path)?.into_iter().partition(|blob| blob.is_metadata);
    if metadata.len() != info.image_count as usize || images.len() != metadata.len() {
        let (count, described) = (metadata.len(), images.len());
        let message =
            format!("the WIM has {count} images, but describes {described} and announces {}", info.image_count);
        return Err(Error::corrupt(message).with_path(path));
    }
    let digests: Vec<[u8; 20]> = metadata.iter().map(|blob| blob.digest).collect();
    let store = Arc::new(WimStore::new(parts.clone(), &info, blobs)?);
    let metadata = WimStore::new(parts, &info, metadata)?;
    let metadata_ids = digests.iter().filter_map(|digest| metadata.find(digest)).collect();
    Ok(Wim { path: path.to_owned(), images, store, metadata, metadata_ids, reparse_fixed: info.reparse_fixed })
}

/// Opens one file and reads its header.
fn open_part(path: &Path) -> Result<(Part, Header)> {
    let io = |error| Error::io("open the WIM", path, error);
    // Before it is opened: Windows cannot open a directory, and opening a pipe would wait.
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(Error::not_found("not a file, but a WIM is expected").with_path(path));
    }
    let file = File::open(path).map_err(io)?;
    let len = file.len().map_err(io)?;
    let part = Part { path: path.to_owned(), data: Arc::new(file), len };
    let header = read_header(&part)?;
    Ok((part, header))
}

/// Reads the header of a part, and checks what libwim does not check.
fn read_header(part: &Part) -> Result<Header> {
    let len = part.len;
    let mut bytes = [0; size_of::<Header>()];
    let known = len.min(bytes.len() as u64) as usize;
    part.read(&mut bytes[..known], 0)?;
    if known < 8 || (bytes[..8] != MAGIC && bytes[..8] != PIPABLE_MAGIC) {
        let error = part.corrupt("not a WIM file", 0);
        let mut descriptor = [0; 6];
        let is_iso = part.data.read_exact_at(&mut descriptor, ISO_DESCRIPTOR).is_ok() && &descriptor[1..] == b"CD001";
        return Err(if is_iso { error.with_hint("it is an ISO image: name it as install media") } else { error });
    }
    if known < bytes.len() {
        return Err(part.corrupt("the WIM is truncated in its header", len));
    }
    let header = Header::read_from_bytes(&bytes).expect("an array of this size");
    for (what, place, at) in [("blob table", &header.blob_table, 0x30), ("XML data", &header.xml, 0x48)] {
        if place.offset.get().checked_add(place.read_len()).is_none_or(|end| end > len) {
            return Err(part
                .corrupt(format!("the {what} lies beyond the end of the WIM: it is truncated"), at)
                .with_hint("copy the file again and compare its size and hash with the original"));
        }
        if place.len.get() > MAX_TABLE || place.stored_len() > MAX_TABLE {
            return Err(part.corrupt(format!("the {what} claims {} bytes", place.len), at));
        }
    }
    Ok(header)
}

/// Paths at which the other parts of the split WIM at `path` are looked for; empty if it is not split, or not a WIM.
pub fn parts_beside(path: &Path) -> Vec<PathBuf> {
    let total = open_part(path).map_or(1, |(_, header)| header.total_parts.get());
    (2..=total).map(|number| sibling(path, number)).collect()
}

/// All parts of the WIM, in order; `first` is the given file.
fn find_parts(first: Part, header: &Header, more: &[PathBuf]) -> Result<Vec<Part>> {
    let total = header.total_parts.get();
    let path = first.path.clone();
    if header.part_number.get() == 0 || header.part_number > header.total_parts {
        let message = format!("part {} of {total}", header.part_number);
        return Err(first.corrupt(message, 0x28));
    }
    if header.part_number.get() != 1 {
        let message = format!("this is part {} of {total} of a split WIM", header.part_number);
        return Err(Error::not_found(message).with_path(&path).with_hint("name the first part; it has the images"));
    }
    if total == 1 && !more.is_empty() {
        return Err(Error::recipe("the WIM is not split, so it has no further parts").with_path(&path));
    }
    let mut others: Vec<Option<Part>> = (1..total).map(|_| None).collect();
    for path in more {
        let (part, other) = open_part(path)?;
        if other.guid != header.guid || other.total_parts != header.total_parts {
            return Err(Error::recipe(format!("not a part of `{}`", first.path.display())).with_path(path));
        }
        // The first part may be among them.
        if let Some(place) = others.get_mut((other.part_number.get() as usize).wrapping_sub(2)) {
            *place = Some(part);
        }
    }
    let mut parts = vec![first];
    for (part, number) in others.into_iter().zip(2..) {
        parts.push(match part {
            Some(part) => part,
            None => open_sibling(&path, number, header)?,
        });
    }
    Ok(parts)
}

/// Where part `number` of the split WIM that begins at `first` is looked for: `name2.swm` for `name.swm`.
fn sibling(first: &Path, number: u16) -> PathBuf {
    let mut name = first.file_stem().unwrap_or_default().to_owned();
    name.push(number.to_string());
    if let Some(extension) = first.extension() {
        name.push(".");
        name.push(extension);
    }
    first.with_file_name(name)
}

fn open_sibling(first: &Path, number: u16, header: &Header) -> Result<Part> {
    let path = sibling(first, number);
    let missing = |message: &str| {
        let message = format!("part {number} of {} of the split WIM {message}", header.total_parts);
        Error::not_found(message).with_path(&path).with_hint("put all parts beside the first, or name each of them")
    };
    if !path.exists() {
        return Err(missing("is missing"));
    }
    let (part, other) = open_part(&path)?;
    if other.guid != header.guid || other.part_number != number || other.total_parts != header.total_parts {
        return Err(missing("should be here, but this file belongs to another WIM or is another part"));
    }
    Ok(part)
}

//! Opens cabinets: reads the tables of each part, and joins the parts of a set.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::find::find;
use super::format::{self, Header, MAGIC, Reserve};
use super::input::Input;
use super::{CabFile, Cabinet, DosTime, Folder, Method, Part, Piece};
use crate::content::ReadAt;
use crate::error::{Error, Result};

/// One cabinet of a set, on its own.
struct Opened {
    part: Part,
    set_id: u16,
    number: u16,
    /// File names of the neighbours in the set.
    previous: Option<String>,
    next: Option<String>,
    folders: Vec<Folder>,
    /// Each file with the value of [`format::File::folder`] and the position of its entry.
    files: Vec<(CabFile, u16, u64)>,
}

impl Cabinet {
    /// Opens the cabinet at the start of `data` or, if something else is there (a self-extracting program), the first
    /// cabinet inside of it. Errors call the file `path`. What follows the cabinet, e.g. an Authenticode signature, is
    /// ignored.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](crate::ErrorKind::Corrupt) says what is broken at which byte;
    /// [`NotFound`](crate::ErrorKind::NotFound) names the neighbour in the set if a file continues in it.
    pub fn open(data: Arc<dyn ReadAt>, path: impl AsRef<Path>) -> Result<Self> {
        Self::open_set([(data, path.as_ref().to_owned())])
    }

    /// Opens a set of cabinets that continue each other. They can be given in any order.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), also for a part that is missing, occurs twice or belongs to another set.
    pub fn open_set(parts: impl IntoIterator<Item = (Arc<dyn ReadAt>, PathBuf)>) -> Result<Self> {
        let parts = parts.into_iter().map(|(data, path)| {
            let offset = first_cabinet(&*data, &path)?;
            open_part(data, offset, path)
        });
        join(parts.collect::<Result<_>>()?)
    }
}

/// Where the cabinet in `data` begins.
fn first_cabinet(data: &dyn ReadAt, path: &Path) -> Result<u64> {
    let io = |error| Error::io("read the cabinet", path, error);
    let mut magic = [0; 4];
    if data.len().map_err(io)? >= 4 {
        data.read_exact_at(&mut magic, 0).map_err(io)?;
    }
    if magic == MAGIC {
        return Ok(0);
    }
    find(data, path)?.ok_or_else(|| Error::corrupt("not a cabinet").at(0).with_path(path))
}

/// Reads the tables of the cabinet at `start`.
fn open_part(data: Arc<dyn ReadAt>, start: u64, path: PathBuf) -> Result<Opened> {
    let file_len = data.len().map_err(|error| Error::io("read the cabinet", &path, error))?;
    let mut input = Input::new(&*data, &path, start, file_len);
    let header: Header = input.take_struct("its header")?;
    if header.magic != MAGIC {
        return Err(input.corrupt("not a cabinet", start));
    }
    if header.version_major != format::VERSION_MAJOR {
        let message = format!("a cabinet of version {}.{}", header.version_major, header.version_minor);
        return Err(Error::unsupported(message).at(start + 0x18).with_path(&path));
    }
    let end = start.saturating_add(header.len.get().into());
    if end > file_len {
        let message = format!("the cabinet should have {} bytes, but has {}", header.len, file_len - start);
        return Err(input.corrupt(message, start + 8).with_hint("it is truncated: copy it again"));
    }
    if header.folder_count == 0 || header.file_count == 0 {
        return Err(input.corrupt("a cabinet without folders or files", start + 0x1A));
    }
    let flags = header.flags.get();
    let mut reserve = Reserve { header: 0.into(), folder: 0, data: 0 };
    if flags & format::HAS_RESERVE != 0 {
        reserve = input.take_struct("its header")?;
        input.take(reserve.header.get().into(), "the reserved bytes of its header")?;
    }
    let mut neighbour = |flag| -> Result<Option<String>> {
        if flags & flag == 0 {
            return Ok(None);
        }
        let name = input.take_string(format::MAX_NAME, "the name of a neighbour")?;
        input.take_string(format::MAX_NAME, "the name of a neighbour's disk")?;
        Ok(Some(latin1(&name)))
    };
    let (previous, next) = (neighbour(format::HAS_PREVIOUS)?, neighbour(format::HAS_NEXT)?);

    let mut folders = Vec::new();
    for _ in 0..header.folder_count.get() {
        let at = input.position();
        let folder: format::Folder = input.take_struct("its folders")?;
        input.take(reserve.folder.into(), "its folders")?;
        let offset = start + u64::from(folder.data_offset.get());
        if offset > end {
            return Err(input.corrupt("a folder that begins behind the end of the cabinet", at));
        }
        let method = Method::parse(folder.compression.get()).map_err(|error| error.at(at + 6).with_path(&path))?;
        folders.push(Folder { method, pieces: vec![Piece { part: 0, offset, block_count: folder.block_count.get() }] });
    }

    let mut input = Input::new(&*data, &path, start + u64::from(header.files_offset.get()), end);
    let mut files = Vec::new();
    for _ in 0..header.file_count.get() {
        files.push(take_file(&mut input, folders.len())?);
    }
    let part = Part { data: data.clone(), path: path.clone(), start, end, data_reserve: reserve.data };
    let (set_id, number) = (header.set_id.get(), header.number.get());
    Ok(Opened { part, set_id, number, previous, next, folders, files })
}

/// Reads the entry of a file.
fn take_file(input: &mut Input<'_>, folder_count: usize) -> Result<(CabFile, u16, u64)> {
    let at = input.position();
    let entry: format::File = input.take_struct("its list of files")?;
    let name = input.take_string(format::MAX_NAME, "the name of a file")?;
    if name.is_empty() {
        return Err(input.corrupt("a file without a name", at));
    }
    let attributes = entry.attributes.get();
    let name = if attributes & format::NAME_IS_UTF8 == 0 {
        latin1(&name)
    } else {
        let message = |_| input.corrupt("the name of a file is flagged as UTF-8, but is not", at + 0x10);
        String::from_utf8(name).map_err(message)?
    };
    let index = entry.folder.get();
    let folder = match index {
        format::CONTINUED_FROM_PREVIOUS | format::CONTINUED_BOTH => 0,
        format::CONTINUED_TO_NEXT => folder_count - 1,
        index => index.into(),
    };
    if folder >= folder_count || (index == format::CONTINUED_BOTH && folder_count != 1) {
        let message = format!("file `{name}` lies in folder {index:#x} of {folder_count}");
        return Err(input.corrupt(message, at + 8));
    }
    let file = CabFile {
        name,
        size: entry.len.get(),
        attributes: attributes & !format::NAME_IS_UTF8,
        time: DosTime { date: entry.date.get(), time: entry.time.get() },
        folder,
        offset: entry.offset.get(),
    };
    Ok((file, index, at))
}

/// Joins the parts of a set. A file that continues from part to part is listed in each of them.
fn join(mut parts: Vec<Opened>) -> Result<Cabinet> {
    parts.sort_by_key(|part| part.number);
    check_set(&parts)?;
    let mut cabinet = Cabinet { parts: Vec::new(), folders: Vec::new(), files: Vec::new() };
    let mut open_files: Vec<CabFile> = Vec::new();
    for (number, part) in parts.into_iter().enumerate() {
        let corrupt = |message: String, at| Err(Error::corrupt(message).at(at).with_path(&part.part.path));
        let goes_on = |index| matches!(index, format::CONTINUED_FROM_PREVIOUS | format::CONTINUED_BOTH);
        let continues = part.files.iter().any(|(_, index, _)| goes_on(*index));
        if continues == open_files.is_empty() {
            return corrupt("no file continues from one cabinet of the set to the next".into(), part.part.start);
        }
        let first = cabinet.folders.len() - usize::from(continues);
        for (index, mut folder) in part.folders.into_iter().enumerate() {
            folder.pieces[0].part = number;
            match cabinet.folders.last_mut().filter(|_| continues && index == 0) {
                Some(last) if last.method != folder.method => {
                    return corrupt("a folder continues with another compression".into(), part.part.start);
                }
                Some(last) => last.pieces.append(&mut folder.pieces),
                None => cabinet.folders.push(folder),
            }
        }
        let mut still_open = Vec::new();
        for (mut file, index, at) in part.files {
            file.folder += first;
            if matches!(index, format::CONTINUED_TO_NEXT | format::CONTINUED_BOTH) {
                still_open.push(file.clone());
            }
            if !goes_on(index) {
                cabinet.files.push(file);
            } else if !open_files.contains(&file) {
                let message = format!("file `{}` continues here, but the cabinet before does not have it", file.name);
                return corrupt(message, at);
            }
        }
        open_files = still_open;
        cabinet.parts.push(part.part);
    }
    cabinet.files.sort_by_key(|file| (file.folder, file.offset, file.size));
    check_places(&cabinet)?;
    Ok(cabinet)
}

/// Checks that the parts, sorted by number, belong to one set, and that no part is missing in which a file continues.
fn check_set(parts: &[Opened]) -> Result<()> {
    let Some(first) = parts.first() else { return Err(Error::recipe("an empty set of cabinets")) };
    let missing = |part: &Opened, name: &Option<String>, what: &str| {
        let name = name.as_deref().unwrap_or("unnamed");
        Error::not_found(format!("the {what} cabinet of the set, `{name}`, is missing"))
            .with_path(&part.part.path)
            .with_hint("give all cabinets of the set")
    };
    let uses = |part: &Opened, wanted: [u16; 2]| part.files.iter().any(|(_, index, _)| wanted.contains(index));
    if uses(first, [format::CONTINUED_FROM_PREVIOUS, format::CONTINUED_BOTH]) {
        return Err(missing(first, &first.previous, "previous"));
    }
    let last = parts.last().expect("there is a first");
    if uses(last, [format::CONTINUED_TO_NEXT, format::CONTINUED_BOTH]) {
        return Err(missing(last, &last.next, "next"));
    }
    for pair in parts.windows(2) {
        let (one, other) = (&pair[0], &pair[1]);
        let shown = one.part.path.display();
        if one.set_id != other.set_id {
            return Err(Error::recipe(format!("not of the same set as `{shown}`")).with_path(&other.part.path));
        }
        if one.number == other.number {
            let message = format!("number {} in its set, as is `{shown}`", one.number);
            return Err(Error::recipe(message).with_path(&other.part.path));
        }
        if one.number + 1 != other.number {
            return Err(missing(one, &one.next, "next"));
        }
    }
    Ok(())
}

/// Checks that the files, which are sorted, do not overlap. Otherwise a small cabinet could stand for any number of
/// bytes.
fn check_places(cabinet: &Cabinet) -> Result<()> {
    let path = &cabinet.parts[0].path;
    let mut end = (0, 0);
    for file in &cabinet.files {
        let start = u64::from(file.offset);
        if file.folder == end.0 && start < end.1 && file.size > 0 {
            return Err(Error::corrupt(format!("file `{}` overlaps another", file.name)).with_path(path));
        }
        let blocks: u64 = cabinet.folders[file.folder].pieces.iter().map(|piece| u64::from(piece.block_count)).sum();
        let file_end = start + u64::from(file.size);
        if file_end > blocks * format::MAX_BLOCK as u64 {
            let message = format!("file `{}` ends at byte {file_end} of a folder of {blocks} blocks", file.name);
            return Err(Error::corrupt(message).with_path(path));
        }
        end = (file.folder, file_end.max(if file.folder == end.0 { end.1 } else { 0 }));
    }
    Ok(())
}

impl Method {
    fn parse(compression: u16) -> Result<Self> {
        Ok(match compression & format::METHOD {
            format::METHOD_STORED => Self::Stored,
            format::METHOD_MSZIP => Self::Mszip,
            format::METHOD_QUANTUM => Self::Quantum,
            format::METHOD_LZX => match (compression >> 8) as u8 & 0x1F {
                window_bits @ 15..=21 => Self::Lzx { window_bits },
                bits => return Err(Error::corrupt(format!("LZX with a window of 2^{bits} bytes"))),
            },
            method => return Err(Error::unsupported(format!("a folder with compression method {method}"))),
        })
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

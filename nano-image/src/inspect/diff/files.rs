//! The files of two volumes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::report::{Place, Report, difference, first_difference};
use super::{boot, hive};
use crate::error::{Error, Result};
use crate::inspect::model::{Category, Difference, Volume};
use crate::inspect::read::files::{DirectoryEntry, FileId, FileNumber, Files, Kind};
use crate::inspect::read::image::Image;
use crate::inspect::read::listing::reparse_target;
use crate::inspect::read::{hives, volume};
use crate::inspect::tell::value;
use crate::inspect::tell::words::{attribute_text, fat_time_text, time_text};
use crate::registry::Hive;
use crate::types::{FileTime, Utf16Name};
use crate::volume::ntfs::format::{attribute_flag, attribute_type, namespace};
use crate::volume::ntfs::{NtfsDescriptors, NtfsFile};
use crate::windows::boot::bcd::BcdStore;
use crate::windows::contents::wof;

/// Files whose contents are compared together, in the order in which they lie on the volume.
const BATCH: usize = 8192;
/// For text files up to this size, the first line that differs is shown.
const MAX_TEXT: u64 = 1 << 20;
/// The most characters of such a line that are shown.
const MAX_LINE: usize = 160;
/// Longest extended attributes ([MS-FSCC] 2.4.16).
const MAX_EXTENDED_ATTRIBUTES: u64 = 64 << 10;
/// Attribute bits that depend on how a file is stored.
const STORAGE_BITS: u32 = crate::tree::attribute::SPARSE_FILE
    | crate::tree::attribute::REPARSE_POINT
    | crate::tree::attribute::COMPRESSED
    | crate::tree::attribute::ENCRYPTED;
/// The bit that means that no other bit is set.
const NORMAL: u32 = crate::tree::attribute::NORMAL;

/// One of the volumes.
struct Side<'s> {
    image: &'s Image,
    files: &'s Files<'s>,
    descriptors: Option<NtfsDescriptors<'s>>,
    known: BTreeMap<u32, Arc<[u8]>>,
}

/// Files whose contents must be compared.
struct Pair {
    address: u64,
    /// Position of its differences among those of the batch.
    order: usize,
    path: String,
    old: FileId,
    new: FileId,
    /// Name of the stream.
    stream: String,
}

/// What a volume says about a file besides its contents.
#[derive(Default)]
struct Facts {
    attributes: u32,
    times: Vec<(&'static str, u64)>,
    security: Option<Arc<[u8]>>,
    reparse: Option<Vec<u8>>,
    storage: &'static str,
    object_id: Option<Vec<u8>>,
    extended_attributes: Option<Vec<u8>>,
    short_names: Vec<String>,
    /// Length of the contents.
    size: Option<u64>,
    streams: Vec<(Utf16Name, u64)>,
}

/// Compares two volumes.
pub(super) fn compare(sides: [(&Image, &Files<'_>); 2], place: &Place, report: &mut Report<'_>) -> Result<()> {
    let [a, b] = sides.map(|(image, files)| {
        let descriptors = files.ntfs().map(|reader| reader.descriptors()).transpose();
        let descriptors = descriptors.unwrap_or_else(|error| {
            report.note(place, &error);
            None
        });
        Side { image, files, descriptors, known: BTreeMap::new() }
    });
    volumes(&a, &b, place, report)?;
    let mut comparison =
        Comparison { a, b, place: place.clone(), partners: BTreeMap::new(), found: Vec::new(), pairs: Vec::new() };
    comparison.run(report)
}

/// Compares label, serial number and the like.
fn volumes(a: &Side<'_>, b: &Side<'_>, place: &Place, report: &mut Report<'_>) -> Result<()> {
    let mut facts = Vec::new();
    for side in [a, b] {
        let bytes = side.image.partition_bytes(side.files.partition());
        let mut failures = Vec::new();
        let read = bytes.map(|bytes| volume::read(bytes, &mut |_: &str, error| failures.push(error)));
        facts.push(match read {
            Some(Ok((facts, _))) => facts,
            Some(Err(error)) => {
                failures.push(error);
                None
            }
            None => None,
        });
        failures.iter().for_each(|error| report.note(place, error));
    }
    let described = facts.iter().map(|facts| match facts {
        Some(Volume::Ntfs(volume)) => [
            format!("NTFS {}", volume.version),
            volume.label.clone(),
            volume.serial.clone(),
            format!("{} bytes", volume.cluster_size),
            if volume.dirty { "dirty" } else { "clean" }.to_owned(),
        ],
        Some(Volume::Fat32(volume)) => {
            ["FAT32".to_owned(), volume.label.clone(), volume.serial.clone(), String::new(), String::new()]
        }
        _ => Default::default(),
    });
    let described: Vec<[String; 5]> = described.collect();
    for (index, what) in ["file system", "label", "serial number", "cluster size", "state"].into_iter().enumerate() {
        let category = if what == "serial number" { Category::Identifiers } else { Category::Volume };
        report.values(category, place, what, Some(&described[0][index]), Some(&described[1][index]))?;
    }
    Ok(())
}

struct Comparison<'s> {
    a: Side<'s>,
    b: Side<'s>,
    place: Place,
    /// The counterpart of each file of the first volume, and one of its paths.
    partners: BTreeMap<u64, (u64, Arc<str>)>,
    /// Differences of the batch, with their order.
    found: Vec<(usize, Difference)>,
    pairs: Vec<Pair>,
}

impl Comparison<'_> {
    fn run(&mut self, report: &mut Report<'_>) -> Result<()> {
        let (old, new) = (self.a.files.root()?, self.b.files.root()?);
        self.files("\\", old, new, report)?;
        let mut open = vec![(String::new(), old, new)];
        let mut entered = std::collections::BTreeSet::new();
        while let Some((path, old, new)) = open.pop() {
            let lists = (self.a.files.list(old), self.b.files.list(new));
            let (old, new) = match lists {
                (Ok(old), Ok(new)) => (old, new),
                (old, new) => {
                    for error in [old.err(), new.err()].iter().flatten() {
                        report.note(&self.at(&path), error);
                    }
                    continue;
                }
            };
            let mut deeper = Vec::new();
            for (old, new) in matched(old, new) {
                if let Some((path, old, new)) = self.entry(&path, old, new, report)?
                    && old.number().is_none_or(|number| entered.insert(number))
                {
                    deeper.push((path, old, new));
                }
            }
            open.extend(deeper.into_iter().rev());
            if self.pairs.len() >= BATCH || self.found.len() >= BATCH {
                self.flush(report)?;
            }
        }
        self.flush(report)
    }

    /// Compares two entries with the same name; returns directories that both sides have.
    fn entry(
        &mut self,
        parent: &str,
        old: Option<DirectoryEntry>,
        new: Option<DirectoryEntry>,
        report: &mut Report<'_>,
    ) -> Result<Option<(String, FileId, FileId)>> {
        let path = |entry: &DirectoryEntry| format!("{parent}\\{}", entry.name);
        match (old, new) {
            (Some(old), Some(new)) => {
                if old.name != new.name {
                    self.push(Category::Links, &path(&old), "name", Some(path(&old)), Some(path(&new)));
                }
                let path = path(&new);
                if old.file.is_directory() != new.file.is_directory() {
                    let [old, new] = [old, new].map(|entry| Some(kind(entry.file).to_owned()));
                    self.push(Category::File, &path, "kind", old, new);
                    return Ok(None);
                }
                self.files(&path, old.file, new.file, report)?;
                Ok(old.file.is_directory().then_some((path, old.file, new.file)))
            }
            (Some(old), None) => self.one_sided(path(&old), old.file, false, report).map(|()| None),
            (None, Some(new)) => self.one_sided(path(&new), new.file, true, report).map(|()| None),
            (None, None) => Ok(None),
        }
    }

    /// Reports a file or directory that only one volume has, with everything below it.
    fn one_sided(&mut self, path: String, file: FileId, is_new: bool, report: &mut Report<'_>) -> Result<()> {
        let files = if is_new { self.b.files } else { self.a.files };
        self.tell_one(&path, file, is_new);
        if !file.is_directory() {
            return Ok(());
        }
        let walked = files.walk(file, &path, &mut |path, _, file| {
            self.tell_one(path, file, is_new);
            if self.found.len() >= BATCH {
                self.flush(report)?;
            }
            Ok(true)
        });
        match walked {
            Err(error) if error.kind() == crate::error::ErrorKind::Cancelled => return Err(error),
            Err(error) => report.note(&self.at(&path), &error),
            Ok(()) => {}
        }
        Ok(())
    }

    fn tell_one(&mut self, path: &str, file: FileId, is_new: bool) {
        let files = if is_new { self.b.files } else { self.a.files };
        let mut text = kind(file).to_owned();
        if let Ok(Some(stream)) = files.open_stream(file, "") {
            text += &stream.len().map(|len| format!(", {len} bytes")).unwrap_or_default();
        }
        let (old, new) = if is_new { (None, Some(text)) } else { (Some(text), None) };
        self.push(Category::File, path, "file", old, new);
    }

    /// Compares two files or directories, except for their names and entries.
    fn files(&mut self, path: &str, old: FileId, new: FileId, report: &mut Report<'_>) -> Result<()> {
        if let (Some(a), Some(b)) = (old.number(), new.number()) {
            if let Some((known, first)) = self.partners.get(&a) {
                if *known != b {
                    let text = format!("a hard link of {first}");
                    self.push(Category::Links, path, "links", Some(text), Some("another file".to_owned()));
                }
                return Ok(());
            }
            self.partners.insert(a, (b, path.into()));
        }
        let facts = (self.a.facts(old), self.b.facts(new));
        let (a, b) = match facts {
            (Ok(a), Ok(b)) => (a, b),
            (a, b) => {
                for error in [a.err(), b.err()].iter().flatten() {
                    report.note(&self.at(path), error);
                }
                return Ok(());
            }
        };
        self.facts(path, &a, &b);
        if let (Some(_), Some(_)) = (a.size, b.size) {
            self.pair(path, old, new, "");
        } else if a.size != b.size {
            let text = |size: Option<u64>| size.map(|size| format!("{size} bytes"));
            self.push(Category::Content, path, "content", text(a.size), text(b.size));
        }
        for (name, size) in &a.streams {
            let what = format!("stream {name}");
            match b.streams.iter().find(|(other, _)| other.eq_ignore_case(name)) {
                Some(_) => self.pair(path, old, new, &name.to_string()),
                None => self.push(Category::Stream, path, &what, Some(format!("{size} bytes")), None),
            }
        }
        for (name, size) in &b.streams {
            if !a.streams.iter().any(|(other, _)| other.eq_ignore_case(name)) {
                self.push(Category::Stream, path, &format!("stream {name}"), None, Some(format!("{size} bytes")));
            }
        }
        Ok(())
    }

    fn facts(&mut self, path: &str, a: &Facts, b: &Facts) {
        if a.storage != b.storage {
            self.push(Category::Storage, path, "storage", Some(a.storage.to_owned()), Some(b.storage.to_owned()));
        }
        let meant = |facts: &Facts| match facts.attributes & !STORAGE_BITS & !NORMAL {
            0 => "none".to_owned(),
            bits => attribute_text(bits),
        };
        self.texts(Category::Attributes, path, "attributes", Some(meant(a)), Some(meant(b)));
        for (what, old) in &a.times {
            let new = b.times.iter().find(|(other, _)| other == what);
            if let Some((_, new)) = new.filter(|(_, new)| new != old) {
                let is_fat = *what == "written";
                let text = |time: u64| if is_fat { fat_time_text(time as u32) } else { time_text(FileTime(time)) };
                self.push(Category::Times, path, what, Some(text(*old)), Some(text(*new)));
            }
        }
        if a.security != b.security {
            let text = |facts: &Facts| facts.security.as_deref().map(value::descriptor);
            let (mut old, mut new) = (text(a), text(b));
            if old == new {
                // They are the same rights with their bytes in another order.
                [old, new] = [a, b].map(|facts| facts.security.as_deref().map(hex::encode));
            }
            self.push(Category::Security, path, "security", old, new);
        }
        let bytes = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(hex::encode);
        if a.reparse != b.reparse {
            let text = |facts: &Facts| facts.reparse.as_deref().map(reparse_text);
            let (mut old, mut new) = (text(a), text(b));
            if old == new {
                (old, new) = (bytes(&a.reparse), bytes(&b.reparse));
            }
            self.push(Category::Reparse, path, "reparse point", old, new);
        }
        self.texts(Category::Identifiers, path, "object id", bytes(&a.object_id), bytes(&b.object_id));
        let [old, new] = [&a.extended_attributes, &b.extended_attributes].map(bytes);
        self.texts(Category::Attributes, path, "extended attributes", old, new);
        let short = |facts: &Facts| (!facts.short_names.is_empty()).then(|| facts.short_names.join(", "));
        self.texts(Category::Links, path, "short name", short(a), short(b));
    }

    fn texts(&mut self, category: Category, path: &str, what: &str, old: Option<String>, new: Option<String>) {
        if old != new {
            self.push(category, path, what, old, new);
        }
    }

    fn pair(&mut self, path: &str, old: FileId, new: FileId, stream: &str) {
        let (address, order) = (self.a.files.address(old), self.found.len());
        self.pairs.push(Pair { address, order, path: path.to_owned(), old, new, stream: stream.to_owned() });
    }

    fn push(&mut self, category: Category, path: &str, what: &str, old: Option<String>, new: Option<String>) {
        let order = self.found.len() + 1;
        self.found.push((order, difference(category, &self.at(path), what, old, new)));
    }

    fn at(&self, path: &str) -> Place {
        let path = if path.is_empty() { "\\" } else { path };
        Place { path: Some(path.to_owned()), ..self.place.clone() }
    }

    /// Compares the contents of the batch, and reports its differences in order.
    fn flush(&mut self, report: &mut Report<'_>) -> Result<()> {
        let mut pairs = std::mem::take(&mut self.pairs);
        let mut found = std::mem::take(&mut self.found);
        pairs.sort_by_key(|pair| (pair.address, pair.order));
        for pair in &pairs {
            if report.observer.cancelled() {
                return Err(Error::cancelled());
            }
            let place = self.at(&pair.path);
            let (a, b) = (&self.a, &self.b);
            let mut sink = |difference: &Difference| {
                found.push((pair.order, difference.clone()));
                Ok(())
            };
            let nothing = std::collections::BTreeSet::new();
            let mut inner =
                Report { ignore: &nothing, observer: report.observer, found: &mut sink, done: Default::default() };
            if let Err(error) = contents(a, b, pair, &place, &mut inner) {
                if error.kind() == crate::error::ErrorKind::Cancelled {
                    return Err(error);
                }
                inner.note(&place, &error);
            }
            let notes = inner.done.notes;
            report.done.notes.extend(notes);
        }
        // Differences of contents come after those that were found before, in their own order.
        found.sort_by_key(|(order, _)| *order);
        found.iter().try_for_each(|(_, difference)| report.tell(difference))
    }
}

fn contents(a: &Side<'_>, b: &Side<'_>, pair: &Pair, place: &Place, report: &mut Report<'_>) -> Result<()> {
    let missing = || Error::corrupt("a stream is listed that is not there");
    let old = a.files.open_stream(pair.old, &pair.stream)?.ok_or_else(missing)?;
    let new = b.files.open_stream(pair.new, &pair.stream)?.ok_or_else(missing)?;
    let Some(at) = first_difference(&*old, &*new)? else { return Ok(()) };
    if pair.stream.is_empty() {
        let hives = (open_hive(a, pair, pair.old), open_hive(b, pair, pair.new));
        if let (Some(old), Some(new)) = hives {
            return match (old, new) {
                (Ok(old), Ok(new)) => registry([&old, &new], [a, b], place, report),
                (old, new) => {
                    for error in [old.err(), new.err()].iter().flatten() {
                        report.note(place, error);
                    }
                    report.values(Category::Content, place, "content", None, Some(format!("differs at byte {at}")))
                }
            };
        }
    }
    let read = |stream: &dyn crate::content::ReadAt| -> Result<(u64, Option<Vec<u8>>)> {
        let failed = |error| crate::inspect::read::files::read_error(error, "cannot read the file");
        let len = stream.len().map_err(failed)?;
        if len > MAX_TEXT {
            return Ok((len, None));
        }
        let mut bytes = vec![0; len as usize];
        stream.read_exact_at(&mut bytes, 0).map_err(failed)?;
        Ok((len, Some(bytes)))
    };
    let ((old_len, old), (new_len, new)) = (read(&*old)?, read(&*new)?);
    let lines = old.zip(new).and_then(|(old, new)| Some((line(&old, at)?, line(&new, at)?)));
    let (old, new) = match lines {
        Some((old, new)) if old != new => (format!("{old_len} bytes, {old}"), format!("{new_len} bytes, {new}")),
        _ => (format!("{old_len} bytes"), format!("{new_len} bytes, differs at byte {at}")),
    };
    let (category, what) = match pair.stream.is_empty() {
        true => (Category::Content, "content".to_owned()),
        false => (Category::Stream, format!("stream {}", pair.stream)),
    };
    report.values(category, place, &what, Some(old), Some(new))
}

/// The line of a text that contains byte `at`; `None` if it is not text.
fn line(bytes: &[u8], at: u64) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))?;
    let at = usize::try_from(at).ok()?.min(bytes.len());
    let start = bytes[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let number = bytes[..start].iter().filter(|&&byte| byte == b'\n').count() + 1;
    let line = text.get(start..)?.lines().next().unwrap_or_default();
    let shown: String = line.trim().chars().take(MAX_LINE).collect();
    Some(format!("line {number}: {shown}"))
}

/// The hive in a file; `None` if it is not a hive.
fn open_hive(side: &Side<'_>, pair: &Pair, file: FileId) -> Option<Result<Hive>> {
    hives::open(side.files, &pair.path, file).transpose()
}

fn registry(hives: [&Hive; 2], sides: [&Side<'_>; 2], place: &Place, report: &mut Report<'_>) -> Result<()> {
    let before = report.done.differences;
    let [old, new] = hives;
    let stores = (BcdStore::from_hive(old), BcdStore::from_hive(new));
    if let (Ok(Some(old)), Ok(Some(new))) = stores
        && old != new
    {
        let tables = sides.map(|side| side.image.partition_table());
        boot::compare(&old, &new, tables, place, report)?;
    } else {
        hive::compare(old, new, place, report)?;
    }
    if report.done.differences == before {
        let text = "its bytes, not its keys and values".to_owned();
        report.values(Category::Storage, place, "hive", None, Some(text))?;
    }
    Ok(())
}

impl Side<'_> {
    fn facts(&mut self, id: FileId) -> Result<Facts> {
        match (self.files.kind(), id.number) {
            (Kind::Fat(fat), FileNumber::Fat(index)) => {
                let Some(entry) = index.map(|index| &fat.entries[index]) else { return Ok(Facts::default()) };
                Ok(Facts {
                    attributes: entry.attributes.into(),
                    times: vec![("written", entry.modified.into())],
                    size: (!entry.is_directory).then_some(entry.size.into()),
                    storage: "plain",
                    ..Facts::default()
                })
            }
            (Kind::Ntfs(reader), FileNumber::Ntfs(reference)) => {
                let file = reader.file(reference)?;
                let value = |kind, limit| reader.attribute_value(&file, kind, "", limit);
                let mut reparse = value(attribute_type::REPARSE_POINT, 16 << 10)?;
                if file.reparse_tag() == Some(wof::TAG) {
                    reparse = None;
                }
                let names = ["created", "modified", "changed", "accessed"];
                let times = file.times().unwrap_or_default().map(|time| time.0);
                let short = file.names().into_iter().filter(|name| name.namespace == namespace::DOS);
                Ok(Facts {
                    attributes: file.standard_information().map_or(0, |facts| facts.attributes.get()),
                    times: names.into_iter().zip(times).collect(),
                    reparse,
                    storage: storage(&file)?,
                    object_id: value(attribute_type::OBJECT_ID, 64)?,
                    extended_attributes: value(attribute_type::EA, MAX_EXTENDED_ATTRIBUTES)?,
                    short_names: short.map(|name| name.name.to_string()).collect(),
                    size: file.streams().find(|(name, _)| name.units().is_empty()).map(|(_, size)| size),
                    streams: self.files.named_streams(id)?,
                    security: self.security(&file)?,
                })
            }
            _ => Ok(Facts::default()),
        }
    }

    fn security(&mut self, file: &NtfsFile) -> Result<Option<Arc<[u8]>>> {
        let Some(descriptors) = &self.descriptors else { return Ok(None) };
        match file.security_id().filter(|id| *id != 0) {
            None => Ok(descriptors.of(file)?.map(Arc::from)),
            Some(id) => {
                if let Some(known) = self.known.get(&id) {
                    return Ok(Some(known.clone()));
                }
                let descriptor: Arc<[u8]> = descriptors.get(id)?.into();
                self.known.insert(id, descriptor.clone());
                Ok(Some(descriptor))
            }
        }
    }
}

fn storage(file: &NtfsFile) -> Result<&'static str> {
    if let Some(algorithm) = wof::algorithm(file)? {
        return Ok(wof::name(algorithm));
    }
    let data = file.attributes().find(|data| data.kind() == attribute_type::DATA && data.name().units().is_empty());
    let flags = data.map_or(0, |data| data.flags());
    Ok(match () {
        () if flags & attribute_flag::COMPRESSION_MASK != 0 => "LZNT1",
        () if flags & attribute_flag::ENCRYPTED != 0 => "EFS",
        () if flags & attribute_flag::SPARSE != 0 => "sparse",
        () => "plain",
    })
}

/// Pairs of entries with the same name: exactly the same, or else the same except for case.
fn matched(
    old: Vec<DirectoryEntry>,
    new: Vec<DirectoryEntry>,
) -> Vec<(Option<DirectoryEntry>, Option<DirectoryEntry>)> {
    let mut others: BTreeMap<Utf16Name, DirectoryEntry> =
        new.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
    let exact: Vec<(DirectoryEntry, Option<DirectoryEntry>)> = old
        .into_iter()
        .map(|entry| {
            let other = others.remove(&entry.name);
            (entry, other)
        })
        .collect();
    let mut pairs: Vec<_> = exact
        .into_iter()
        .map(|(entry, other)| {
            let other = other.or_else(|| {
                let name = others.keys().find(|name| name.eq_ignore_case(&entry.name)).cloned();
                name.and_then(|name| others.remove(&name))
            });
            (Some(entry), other)
        })
        .collect();
    pairs.extend(others.into_values().map(|entry| (None, Some(entry))));
    let name = |pair: &(Option<DirectoryEntry>, Option<DirectoryEntry>)| {
        pair.0.as_ref().or(pair.1.as_ref()).map(|entry| entry.name.clone())
    };
    pairs.sort_by_key(name);
    pairs
}

fn kind(file: FileId) -> &'static str {
    if file.is_directory() { "directory" } else { "file" }
}

fn reparse_text(data: &[u8]) -> String {
    let tag = data.first_chunk().map_or(0, |tag| u32::from_le_bytes(*tag));
    reparse_target(data).unwrap_or_else(|| format!("tag {tag:#010x}"))
}

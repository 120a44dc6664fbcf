//! The index of a container (`_manifest_.cix.xml`, `express.psf.cix.xml`; namespace `urn:ContainerIndex`).

use std::collections::BTreeMap;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::Hash;
use crate::content::Extent;
use crate::error::{Error, Result};

/// Attributes that one element may have.
const MAX_ATTRIBUTES: usize = 32;

/// Number of a file in its [`Index`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(u32);

impl FileId {
    /// Its position in the index, from 0.
    pub fn number(self) -> usize {
        self.0 as usize
    }
}

/// The files of a container.
#[derive(Clone, Debug, Default)]
pub struct Index {
    files: Vec<IndexedFile>,
    /// By name in lower case.
    by_name: BTreeMap<Box<str>, FileId>,
}

/// A file of a container, and what it is made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IndexedFile {
    /// Path with `\` between names, in lower case.
    pub name: Box<str>,
    /// Bytes of the contents.
    pub len: u64,
    /// Digest of the contents.
    pub hash: Option<Hash>,
    /// Where the delta or the contents are; `None` for a copy of the basis.
    pub source: Option<Source>,
    /// The file to which the delta is applied; `None` for a delta that needs no basis.
    pub basis: Option<FileId>,
}

/// A part of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// Whether it holds a delta or contents.
    pub kind: SourceKind,
    /// Where it is.
    pub place: StoredAt,
    /// Digest of its bytes.
    pub hash: Option<Hash>,
}

/// What a part of a container holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// The contents of the file.
    Raw,
    /// A delta of msdelta (PA30 or PA31).
    Delta,
    /// Another kind, which is not handled, by its name in the index.
    Other(String),
}

/// Where a part of a container is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoredAt {
    /// A member of the cabinet, by its name in lower case.
    Member(String),
    /// Bytes of the `.psf` file.
    Range(Extent),
}

impl Index {
    /// Reads an index.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt), with the byte, for what is not well-formed or not an index, for
    /// malformed names, numbers and digests, and for a basis that is not listed;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for a file of several parts.
    pub fn parse(xml: &[u8]) -> Result<Self> {
        let skipped = if xml.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        let text = std::str::from_utf8(&xml[skipped..])
            .map_err(|error| bad("it is not UTF-8", (skipped + error.valid_up_to()) as u64))?;
        let mut reader = Reader::from_str(text);
        let mut parser = Parser::default();
        loop {
            let at = reader.buffer_position() + skipped as u64;
            match reader.read_event().map_err(|error| bad(&format!("not well-formed: {error}"), at))? {
                Event::Start(tag) => parser.open(&tag, at, false)?,
                Event::Empty(tag) => parser.open(&tag, at, true)?,
                Event::End(_) => parser.close(at)?,
                Event::DocType(_) => return Err(bad("it has a document type", at)),
                Event::Eof => return parser.finish(at),
                _ => {}
            }
        }
    }

    /// The files, in the order of the index.
    pub fn files(&self) -> impl Iterator<Item = (FileId, &IndexedFile)> {
        (0..).map(FileId).zip(&self.files)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    #[cfg(any(test, feature = "internals"))]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The file called `name`, which must be in lower case.
    pub fn find(&self, name: &str) -> Option<FileId> {
        self.by_name.get(name).copied()
    }

    /// The file of this number.
    pub fn file(&self, id: FileId) -> &IndexedFile {
        &self.files[id.0 as usize]
    }

    /// The files `wanted` and all that they are based on, each once and after its basis.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for a file that is based on itself.
    pub fn needed(&self, wanted: impl IntoIterator<Item = FileId>) -> Result<Vec<FileId>> {
        let mut seen = vec![false; self.files.len()];
        let mut needed = Vec::new();
        for id in wanted {
            let mut chain = Vec::new();
            let mut next = Some(id);
            while let Some(id) = next.filter(|id| !seen[id.0 as usize]) {
                seen[id.0 as usize] = true;
                chain.push(id);
                next = self.file(id).basis;
            }
            if let Some(id) = next.filter(|id| chain.contains(id)) {
                let what = format!("bad index of an update: `{}` is a delta of itself", self.file(id).name);
                return Err(Error::corrupt(what));
            }
            needed.extend(chain.into_iter().rev());
        }
        Ok(needed)
    }
}

fn bad(why: &str, at: u64) -> Error {
    Error::corrupt(format!("bad index of an update: {why}")).at(at)
}

/// A file whose element is not closed yet.
struct Open {
    id: String,
    file: IndexedFile,
    basis: Option<(String, u64)>,
    sources: usize,
}

#[derive(Default)]
struct Parser {
    /// Names of the open elements.
    path: Vec<String>,
    seen_root: bool,
    current: Option<Open>,
    files: Vec<IndexedFile>,
    /// The name of each file's basis in the index, and its position.
    bases: Vec<Option<(String, u64)>>,
    ids: BTreeMap<String, FileId>,
}

impl Parser {
    fn open(&mut self, tag: &BytesStart<'_>, at: u64, is_empty: bool) -> Result<()> {
        let name = tag.local_name().as_ref().to_owned();
        let attributes = attributes(tag, at)?;
        let get = |wanted: &str| attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let within = |parent: &str| self.path.last().is_some_and(|last| last == parent);
        match name.as_str() {
            _ if self.path.is_empty() => {
                if self.seen_root || name != "Container" {
                    return Err(bad("it does not have a <Container> as its root", at));
                }
                self.seen_root = true;
            }
            "File" if within("Files") => {
                let wanted = |name| get(name).ok_or_else(|| bad(&format!("a file without `{name}`"), at));
                let name = wanted("name")?.replace('/', "\\").to_lowercase().into_boxed_str();
                let len = number(wanted("length")?, at)?;
                let file = IndexedFile { name, len, hash: None, source: None, basis: None };
                self.current = Some(Open { id: wanted("id")?.to_owned(), file, basis: None, sources: 0 });
            }
            "Source" if within("Delta") => {
                let Some(open) = &mut self.current else { return Err(bad("a <Source> outside of a file", at)) };
                open.sources += 1;
                if open.sources > 1 {
                    let what = format!("the file `{}` of an update is made of several parts", open.file.name);
                    return Err(Error::unsupported(what).at(at));
                }
                let kind = match get("type").unwrap_or_default() {
                    "RAW" => SourceKind::Raw,
                    "PA30" | "PA31" => SourceKind::Delta,
                    other => SourceKind::Other(other.to_owned()),
                };
                let place = match (get("name"), get("offset"), get("length")) {
                    (_, Some(start), Some(len)) => {
                        StoredAt::Range(Extent { start: number(start, at)?, len: number(len, at)? })
                    }
                    (Some(name), ..) => StoredAt::Member(name.replace('/', "\\").to_lowercase()),
                    _ => return Err(bad("a source without `name` or `offset`", at)),
                };
                open.file.source = Some(Source { kind, place, hash: None });
            }
            "Basis" if within("Delta") => {
                let Some(open) = &mut self.current else { return Err(bad("a basis outside of a file", at)) };
                let file = get("file").ok_or_else(|| bad("a basis without `file`", at))?;
                if open.basis.replace((file.to_owned(), at)).is_some() {
                    let what = format!("the file `{}` of an update is a delta of several", open.file.name);
                    return Err(Error::unsupported(what).at(at));
                }
            }
            "Hash" => {
                let (algorithm, value) = (get("alg").unwrap_or_default(), get("value").unwrap_or_default());
                let hash = || {
                    let none = || bad(&format!("`{algorithm}` `{value}` is not a digest"), at);
                    Hash::parse(algorithm, value).ok_or_else(none)
                };
                let (is_file, is_source) = (within("File"), within("Source"));
                match &mut self.current {
                    Some(open) if is_file => open.file.hash = Some(hash()?),
                    Some(Open { file: IndexedFile { source: Some(source), .. }, .. }) if is_source => {
                        source.hash = Some(hash()?);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        self.path.push(name);
        if is_empty { self.close(at) } else { Ok(()) }
    }

    fn close(&mut self, at: u64) -> Result<()> {
        let name = self.path.pop();
        if name.as_deref() != Some("File") || self.path.last().is_none_or(|parent| parent != "Files") {
            return Ok(());
        }
        let Some(Open { id, file, basis, .. }) = self.current.take() else { return Ok(()) };
        if file.source.is_none() && basis.is_none() && file.len != 0 {
            return Err(bad(&format!("`{}` has no contents and no basis", file.name), at));
        }
        let number = u32::try_from(self.files.len()).map_err(|_| bad("too many files", at))?;
        if self.ids.insert(id.clone(), FileId(number)).is_some() {
            return Err(bad(&format!("two files have the number `{id}`"), at));
        }
        self.files.push(file);
        self.bases.push(basis);
        Ok(())
    }

    fn finish(mut self, at: u64) -> Result<Index> {
        if !self.seen_root || !self.path.is_empty() {
            return Err(bad("it ends early", at));
        }
        for (file, basis) in self.files.iter_mut().zip(self.bases) {
            if let Some((id, at)) = basis {
                let unknown = || bad(&format!("`{}` is a delta of `{id}`, which is not listed", file.name), at);
                file.basis = Some(*self.ids.get(&id).ok_or_else(unknown)?);
            }
        }
        let mut by_name = BTreeMap::new();
        for (number, file) in (0..).zip(&self.files) {
            if by_name.insert(file.name.clone(), FileId(number)).is_some() {
                return Err(bad(&format!("`{}` is listed twice", file.name), at));
            }
        }
        Ok(Index { files: self.files, by_name })
    }
}

/// Local names and values of the attributes of an element.
fn attributes(tag: &BytesStart<'_>, at: u64) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    // The check for duplicates compares all attributes with each other, so their number is limited here.
    for attribute in tag.attributes().with_checks(false) {
        let fault = |error: &dyn std::fmt::Display| bad(&format!("not well-formed: {error}"), at);
        let attribute = attribute.map_err(|error| fault(&error))?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| fault(&error))?;
        found.push((attribute.key.local_name().as_ref().to_owned(), value.into_owned()));
        if found.len() > MAX_ATTRIBUTES {
            return Err(bad(&format!("an element with more than {MAX_ATTRIBUTES} attributes"), at));
        }
    }
    Ok(found)
}

fn number(text: &str, at: u64) -> Result<u64> {
    text.trim().parse().map_err(|_| bad(&format!("`{text}` is not a number of bytes"), at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn container(files: &str) -> Result<Index> {
        let text = format!(
            "\u{feff}<?xml version='1.0'?><Container name='a.cab' type='CAB' xmlns='urn:ContainerIndex'><Description/>\
             <Files>{files}</Files></Container>"
        );
        Index::parse(text.as_bytes())
    }

    const SHA1: &str = "dcb3981119225f993918dc820469d69d97ec6bb6";

    #[test]
    fn files_sources_and_bases() {
        let index = container(&format!(
            "<File id='7' name='A/b.DLL' length='10'><Hash alg='SHA1' value='{SHA1}'/><Delta><Source type='PA30' name='0'>\
             <Hash alg='SHA1' value='{}'/></Source><Basis file='x'/></Delta></File>\
             <File id='8' name='copy' length='3'><Delta><Basis file='7'/></Delta></File>\
             <File id='x' name='root' length='3'><Delta><Source type='RAW' offset='5' length='3'/></Delta></File>\
             <File id='y' name='old' length='3'><Delta><Source type='PA19' name='1'/></Delta></File>",
            SHA1.to_uppercase()
        ))
        .unwrap();
        let id = |name| index.find(name).unwrap();
        let file = index.file(id(r"a\b.dll"));
        let source = file.source.as_ref().unwrap();
        assert_eq!((&source.kind, &source.place, file.len), (&SourceKind::Delta, &StoredAt::Member("0".into()), 10));
        assert!(file.hash.is_some() && source.hash == file.hash);
        assert_eq!(index.file(id("root")).source.as_ref().unwrap().place, StoredAt::Range(Extent { start: 5, len: 3 }));
        assert_eq!(index.file(id("old")).source.as_ref().unwrap().kind, SourceKind::Other("PA19".into()));
        assert_eq!(index.needed([id("copy")]).unwrap(), [id("root"), id(r"a\b.dll"), id("copy")]);
        assert_eq!(index.needed([id("root"), id("copy"), id("copy")]).unwrap().len(), 3);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let file = |id: &str, name: &str, inner: &str| {
            format!("<File id='{id}' name='{name}' length='1'><Delta>{inner}</Delta></File>")
        };
        let raw = "<Source type='RAW' name='0'/>";
        for (files, message) in [
            (file("1", "a", ""), "has no contents"),
            (file("1", "a", "<Basis file='2'/>"), "not listed"),
            (file("1", "a", raw) + &file("1", "b", raw), "two files"),
            (file("1", "a", raw) + &file("2", "A", raw), "twice"),
            (file("1", "a", "<Source type='RAW'/>"), "`offset`"),
            (file("1", "a", "<Source type='RAW' name='0'><Hash alg='MD4' value='00'/></Source>"), "not a digest"),
            (file("1", "a", raw).replace("'1'><D", "'x'><D"), "not a number"),
            ("<a>".into(), "not well-formed"),
        ] {
            let error = container(&files).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{files}");
            assert!(error.to_string().contains(message), "{files}: {error}");
        }
        let several = file("1", "a", &raw.repeat(2));
        assert_eq!(container(&several).unwrap_err().kind(), ErrorKind::Unsupported);
        let cycle = container(&(file("1", "a", "<Basis file='2'/>") + &file("2", "b", "<Basis file='1'/>"))).unwrap();
        let error = cycle.needed([cycle.find("a").unwrap()]).unwrap_err();
        assert!(error.to_string().contains("of itself"), "{error}");
        for text in ["", "<Files/>", "<Container>", "<Container/><Container/>", "<!DOCTYPE a><Container/>"] {
            assert_eq!(Index::parse(text.as_bytes()).unwrap_err().kind(), ErrorKind::Corrupt, "{text}");
        }
    }
}

//! Reads a document.

use std::fmt::Display;
use std::sync::Arc;

use quick_xml::NsReader;
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;

use super::{Attribute, Document, Element, Node};
use crate::error::{Error, Result};
use crate::types::text::{Text, Unmarked};

/// Elements nested deeper are refused.
const MAX_DEPTH: usize = 64;
/// Elements with more attributes are refused, because the search for duplicates compares them all with each other.
const MAX_ATTRIBUTES: usize = 64;
/// More namespaces than this are not shared between elements.
const MAX_SHARED: usize = 64;

impl Document {
    /// Reads UTF-8, or UTF-16 with a byte order mark. Errors call the file `what`. A file with more than `max_nodes`
    /// elements, attributes, texts and comments is refused, because each of them costs memory.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for what is not well-formed, with its byte;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for other encodings and for document types.
    pub fn parse(bytes: &[u8], what: &str, max_nodes: usize) -> Result<Self> {
        let decoded = Text::decode(bytes, what, Unmarked::Utf8)?;
        let (text, mut places) = (&*decoded.text, decoded.places());
        if let Some((at, bad)) = text.char_indices().find(|(_, c)| !is_xml(*c)) {
            let bad = format!("bad {what}: it contains the character U+{:04X}", u32::from(bad));
            return Err(Error::corrupt(bad).at(places.place(at as u64)));
        }
        let mut reader = NsReader::from_str(text);
        reader.config_mut().check_comments = true;
        let mut builder = Builder::new(max_nodes);
        loop {
            let at = places.place(reader.buffer_position());
            let fault = |why: &dyn Display| Error::corrupt(format!("bad {what}: {why}")).at(at);
            let malformed = |why: &dyn Display| fault(&format_args!("not well-formed: {why}"));
            let event = reader.read_event().map_err(|error| malformed(&error))?;
            match event {
                Event::Start(ref tag) | Event::Empty(ref tag) => {
                    builder.open(&reader, tag, at).map_err(|why| fault(&why))?;
                    if matches!(event, Event::Empty(_)) {
                        builder.close();
                    }
                }
                // The reader has checked that ends and starts match.
                Event::End(_) => builder.close(),
                Event::Text(text) => builder.text(&text.xml10_content()).map_err(|why| fault(&why))?,
                Event::CData(_) if builder.open.is_empty() => return Err(malformed(&OUTSIDE)),
                Event::CData(data) => builder.text(&data.xml10_content()).map_err(|why| fault(&why))?,
                Event::GeneralRef(reference) => {
                    let name = reference.xml10_content();
                    let character = reference.resolve_char_ref().map_err(|error| fault(&error))?;
                    let character = character.filter(|c| is_xml(*c)).map(String::from);
                    let resolved = character.or_else(|| resolve_predefined_entity(&name).map(str::to_owned));
                    let resolved = resolved.ok_or_else(|| malformed(&format_args!("unknown entity `&{name};`")))?;
                    builder.text(&resolved).map_err(|why| fault(&why))?;
                }
                Event::Comment(text) => {
                    builder.push(Node::Comment(text.xml10_content().into())).map_err(|why| fault(&why))?;
                }
                Event::PI(instruction) => {
                    builder.push(Node::Instruction(instruction.to_string().into())).map_err(|why| fault(&why))?;
                }
                Event::Decl(declaration) => {
                    let encoding = declaration.encoding().transpose().map_err(|error| fault(&error))?;
                    if let Some(encoding) = encoding.filter(|name| !is_encoding(name, &decoded)) {
                        let hint = "save it as UTF-8, or as UTF-16 with a byte order mark";
                        return Err(Error::unsupported(format!("{what} in the encoding `{encoding}`"))
                            .at(at)
                            .with_hint(hint));
                    }
                }
                Event::DocType(_) => {
                    let error = Error::unsupported(format!("{what} with a document type"));
                    return Err(error.at(at).with_hint("remove DOCTYPE"));
                }
                Event::Eof => {
                    if let Some(open) = builder.open.last() {
                        let what = format!("bad {what}: not well-formed: `{}` has no end", open.name);
                        return Err(Error::corrupt(what).at(open.offset));
                    }
                    let root = builder.root.ok_or_else(|| malformed(&"it has no element"))?;
                    return Ok(Self { before: builder.before, root, after: builder.after });
                }
            }
        }
    }
}

const OUTSIDE: &str = "text outside of the root element";

/// The elements that are still open, and those that are complete.
struct Builder {
    open: Vec<Element>,
    before: Vec<Node>,
    root: Option<Element>,
    after: Vec<Node>,
    /// Namespaces seen so far, so that elements can share them.
    namespaces: Vec<Arc<str>>,
    nodes: usize,
    max_nodes: usize,
}

impl Builder {
    fn new(max_nodes: usize) -> Self {
        let namespaces = vec![Arc::from("")];
        Self { open: Vec::new(), before: Vec::new(), root: None, after: Vec::new(), namespaces, nodes: 0, max_nodes }
    }

    fn open(&mut self, reader: &NsReader<&[u8]>, tag: &BytesStart<'_>, offset: u64) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("elements are nested more than {MAX_DEPTH} deep"));
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err("not well-formed: a second root element".into());
        }
        let name: Box<str> = tag.name().as_ref().into();
        let namespace = self.namespace(reader.resolver().resolve_element(tag.name()).0)?;
        let count = tag.attributes().with_checks(false).count();
        if count > MAX_ATTRIBUTES {
            return Err(format!("`{name}` has more than {MAX_ATTRIBUTES} attributes"));
        }
        self.count(1 + count)?;
        let mut attributes = Vec::with_capacity(count);
        for attribute in tag.attributes() {
            let bad = |error: &dyn Display| format!("not well-formed: {error}");
            let attribute = attribute.map_err(|error| bad(&error))?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| bad(&error))?;
            if !value.chars().all(is_xml) {
                return Err(bad(&"a character reference that XML does not allow"));
            }
            let namespace = match attribute.key.as_namespace_binding() {
                Some(_) => None,
                None => Some(self.namespace(reader.resolver().resolve_attribute(attribute.key).0)?),
            };
            attributes.push(Attribute { name: attribute.key.as_ref().into(), namespace, value: value.into() });
        }
        self.open.push(Element { name, namespace, attributes, content: Vec::new(), offset });
        Ok(())
    }

    fn close(&mut self) {
        let Some(mut element) = self.open.pop() else { return };
        element.content.shrink_to_fit();
        match self.open.last_mut() {
            Some(parent) => parent.content.push(Node::Element(element)),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        let Some(parent) = self.open.last_mut() else {
            return if text.trim().is_empty() { Ok(()) } else { Err(format!("not well-formed: {OUTSIDE}")) };
        };
        match parent.content.last_mut() {
            Some(Node::Text(before)) => before.push_str(text),
            _ => {
                parent.content.push(Node::Text(text.into()));
                self.count(1)?;
            }
        }
        Ok(())
    }

    fn push(&mut self, node: Node) -> Result<(), String> {
        self.count(1)?;
        match (self.open.last_mut(), &self.root) {
            (Some(parent), _) => parent.content.push(node),
            (None, None) => self.before.push(node),
            (None, Some(_)) => self.after.push(node),
        }
        Ok(())
    }

    fn count(&mut self, more: usize) -> Result<(), String> {
        self.nodes += more;
        match self.nodes > self.max_nodes {
            true => Err(format!("it has more than {} elements, attributes and texts", self.max_nodes)),
            false => Ok(()),
        }
    }

    fn namespace(&mut self, resolved: ResolveResult<'_>) -> Result<Arc<str>, String> {
        let name = match resolved {
            ResolveResult::Bound(namespace) => namespace.as_ref().to_owned(),
            ResolveResult::Unbound => String::new(),
            ResolveResult::Unknown(prefix) => {
                return Err(format!("not well-formed: no namespace for the prefix `{prefix}`"));
            }
        };
        if let Some(known) = self.namespaces.iter().find(|known| ***known == *name) {
            return Ok(known.clone());
        }
        let new = Arc::<str>::from(name);
        if self.namespaces.len() < MAX_SHARED {
            self.namespaces.push(new.clone());
        }
        Ok(new)
    }
}

/// Whether the declared encoding is that of the file. Encodings that extend ASCII are accepted as UTF-8.
fn is_encoding(name: &str, file: &Text<'_>) -> bool {
    match name.to_ascii_lowercase().as_str() {
        "utf-16" | "utf-16le" | "utf-16be" => file.is_utf16,
        // A file whose byte order mark says UTF-16 is read as UTF-16, whatever it declares. Windows does the same.
        "utf-8" | "us-ascii" => true,
        _ => file.text.is_ascii(),
    }
}

fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::text::to_utf16;

    const MAX_NODES: usize = 1000;

    fn parse(text: &str) -> Result<Element> {
        Document::parse(text.as_bytes(), "manifest `m`", MAX_NODES).map(|document| document.root)
    }

    #[test]
    fn namespaces_count_and_prefixes_do_not() {
        let root = parse(
            "\u{feff}<?xml version='1.0'?><a:assembly xmlns:a='urn:schemas-microsoft-com:asm.v1' \
             xmlns:b='urn:schemas-microsoft-com:asm.v3' xmlns:w='wcm'><b:file name='&lt;x&#65;' b:importPath='p' \
             w:name='other'>t<![CDATA[<]]>&amp;<b:c/>u</b:file><file xmlns='other'/></a:assembly>",
        )
        .unwrap();
        assert!(root.is("assembly"));
        let file = root.first("file").unwrap();
        assert_eq!((file.attribute("name"), file.attribute("importPath")), (Some("<xA"), Some("p")));
        assert_eq!((file.attribute_of("wcm", "name"), &*file.text()), (Some("other"), "t<&u"));
        assert_eq!((root.all("file").count(), root.elements().count()), (1, 2));
        assert_eq!(root.attributes().count() + root.elements().last().unwrap().attributes().count(), 0);
    }

    #[test]
    fn what_is_not_well_formed_is_refused_with_its_byte() {
        let deep = "<a>".repeat(MAX_DEPTH + 1);
        let wide: String = (0..=MAX_ATTRIBUTES).map(|n| format!(" a{n}=''")).collect();
        let many = format!("<a>{}</a>", "<a/>".repeat(MAX_NODES));
        for text in [
            "",
            "x",
            "<a>",
            "<a></b>",
            "</a>",
            "<a/><b/>",
            "<a/>x",
            "<a/><![CDATA[x]]>",
            "<a b=c/>",
            "<a b='1' b='2'/>",
            "<a>&b;</a>",
            "<a>&#0;</a>",
            "<a>\u{1}</a>",
            "<a b='&#1;'/>",
            "<p:a/>",
            "<a><!-- -- --></a>",
            &deep,
            &format!("<a{wide}/>"),
            &many,
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.offset().is_some() && error.message().starts_with("bad manifest `m`: "), "{text}: {error}");
        }
        assert_eq!(Document::parse(b"<a>\xFC</a>", "m", MAX_NODES).unwrap_err().offset(), Some(3));
        assert!(parse("<!DOCTYPE a><a/>").unwrap_err().hint().is_some());
    }

    #[test]
    fn encodings_are_what_they_say() {
        let text = "<?xml version=\"1.0\" encoding=\"utf-16\"?><a>ü<b/></a>";
        let little = [&[0xFF, 0xFE], &to_utf16(text)[..]].concat();
        let marked = ["\u{feff}<a>ü<b/></a>".as_bytes().to_vec(), little.clone()];
        for bytes in marked {
            let root = Document::parse(&bytes, "m", MAX_NODES).unwrap().root;
            assert_eq!(root.text(), "ü");
            let offset = root.elements().next().unwrap().offset as usize;
            assert_eq!(bytes[offset], b'<', "{offset} is a byte of the file");
        }
        assert!(parse(text).is_err(), "declared as UTF-16, but it is not");
        assert!(parse("<?xml version='1.0' encoding='windows-1252'?><a>ü</a>").is_err());
        assert!(parse("<?xml version='1.0' encoding='windows-1252'?><a/>").is_ok());
    }
}

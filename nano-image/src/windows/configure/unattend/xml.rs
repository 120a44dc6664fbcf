//! The elements of an answer file, to be searched, changed and written again.

use std::fmt::Write;

use quick_xml::NsReader;
use quick_xml::XmlVersion;
use quick_xml::escape::{partial_escape, resolve_predefined_entity};
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;

use crate::error::{Error, Result};

/// Elements nested deeper are refused.
const MAX_DEPTH: usize = 64;
/// Elements with more attributes are refused: looking for duplicates compares them all.
const MAX_ATTRIBUTES: usize = 64;
/// Larger files are no answer files.
pub(super) const MAX_LEN: u64 = 16 << 20;

/// An XML document.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// Comments and instructions before the root.
    before: Vec<Child>,
    pub root: Element,
    after: Vec<Child>,
}

/// An element with everything in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Element {
    /// Name as written, with prefix.
    name: String,
    /// Namespace; empty for none.
    pub namespace: String,
    /// Names as written, and values; `xmlns` among them.
    attributes: Vec<(String, String)>,
    children: Vec<Child>,
    /// Byte in the (UTF-8) text.
    pub offset: u64,
}

#[derive(Clone, Debug)]
enum Child {
    Element(Element),
    Text(String),
    Comment(String),
    Instruction(String),
}

impl Element {
    /// An element like `parent` in prefix and namespace, with text if any.
    pub fn like(parent: &Self, local: &str, text: Option<&str>) -> Self {
        let name = parent.name.split_once(':').map_or(local.into(), |(prefix, _)| format!("{prefix}:{local}"));
        let children = text.map(|text| Child::Text(text.into())).into_iter().collect();
        Self { name, namespace: parent.namespace.clone(), children, ..Self::default() }
    }

    /// Name without prefix.
    pub fn local(&self) -> &str {
        self.name.split_once(':').map_or(&self.name, |(_, local)| local)
    }

    /// The attribute `name`, as written.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Adds an attribute.
    pub fn push_attribute(&mut self, name: &str, value: &str) {
        self.attributes.push((name.into(), value.into()));
    }

    /// Removes the attribute `name`; whether there was one.
    pub fn remove_attribute(&mut self, name: &str) -> bool {
        let before = self.attributes.len();
        self.attributes.retain(|(key, _)| key != name);
        self.attributes.len() < before
    }

    /// Elements directly in this one.
    pub fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|child| if let Child::Element(element) = child { Some(element) } else { None })
    }

    /// Elements directly in this one.
    pub fn elements_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        let elements = self.children.iter_mut();
        elements.filter_map(|child| if let Child::Element(element) = child { Some(element) } else { None })
    }

    /// The first element in this one with this local name in the same namespace.
    pub fn child(&self, local: &str) -> Option<&Self> {
        self.elements().find(|element| element.local() == local && element.namespace == self.namespace)
    }

    /// The element at this path.
    pub fn find(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// The child `local`, made if it is missing.
    pub fn child_or_new(&mut self, local: &str) -> &mut Self {
        let namespace = self.namespace.clone();
        let is_it =
            |child: &Child| matches!(child, Child::Element(e) if e.local() == local && e.namespace == namespace);
        let at = self.children.iter().position(is_it).unwrap_or_else(|| {
            let new = Self::like(self, local, None);
            self.children.push(Child::Element(new));
            self.children.len() - 1
        });
        match &mut self.children[at] {
            Child::Element(element) => element,
            _ => unreachable!("an element was found or made"),
        }
    }

    /// Adds an element at the end.
    pub fn push(&mut self, element: Self) -> &mut Self {
        self.children.push(Child::Element(element));
        self.elements_mut().last().expect("just added")
    }

    /// Keeps the elements that `keep` wants.
    pub fn retain(&mut self, mut keep: impl FnMut(&Self) -> bool) {
        self.children.retain(|child| if let Child::Element(element) = child { keep(element) } else { true });
    }

    /// Whether there is no element in this one.
    pub fn is_empty(&self) -> bool {
        self.elements().next().is_none()
    }

    /// The text directly in this element, without white space around it.
    pub fn text(&self) -> String {
        let texts = self.children.iter().filter_map(|child| if let Child::Text(t) = child { Some(&**t) } else { None });
        texts.collect::<String>().trim().into()
    }

    /// Puts `text` in place of everything in the element.
    pub fn set_text(&mut self, text: &str) {
        self.children = vec![Child::Text(text.into())];
    }

    fn write(&self, out: &mut String, depth: usize) {
        let _ = write!(out, "<{}", self.name);
        for (name, value) in &self.attributes {
            let _ = write!(out, " {name}=\"{}\"", escape(value, true));
        }
        if self.children.is_empty() {
            out.push_str(" />");
            return;
        }
        out.push('>');
        // What has no text of its own may be indented.
        let indent = !self.children.iter().any(|child| matches!(child, Child::Text(_)));
        for child in &self.children {
            if indent {
                let _ = write!(out, "\n{:1$}", "", 2 * (depth + 1));
            }
            child.write(out, depth + 1);
        }
        if indent {
            let _ = write!(out, "\n{:1$}", "", 2 * depth);
        }
        let _ = write!(out, "</{}>", self.name);
    }
}

impl Child {
    fn write(&self, out: &mut String, depth: usize) {
        let _ = match self {
            Self::Element(element) => {
                element.write(out, depth);
                Ok(())
            }
            Self::Text(text) => write!(out, "{}", escape(text, false)),
            Self::Comment(text) => write!(out, "<!--{text}-->"),
            Self::Instruction(text) => write!(out, "<?{text}?>"),
        };
    }
}

impl Document {
    /// Of this root.
    pub fn new(name: &str, namespace: &str) -> Self {
        let attributes = vec![("xmlns".into(), namespace.into())];
        let root = Element { name: name.into(), namespace: namespace.into(), attributes, ..Element::default() };
        Self { before: Vec::new(), root, after: Vec::new() }
    }

    /// Reads UTF-8, or UTF-16 with a byte order mark.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for what is not well-formed, with its byte (of the text as UTF-8),
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for other encodings and document types.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let (text, is_utf16) = decode(bytes)?;
        let text = &text;
        if let Some((at, bad)) = text.char_indices().find(|(_, c)| !is_xml(*c)) {
            return Err(corrupt(&format_args!("it contains the character U+{:04X}", u32::from(bad)), at as u64));
        }
        let mut reader = NsReader::from_str(text);
        reader.config_mut().check_comments = true;
        let mut builder = Builder::default();
        loop {
            let at = reader.buffer_position();
            let (namespace, event) =
                reader.read_resolved_event().map_err(|error| corrupt(&format_args!("not well-formed: {error}"), at))?;
            match event {
                Event::Start(tag) => builder.open(namespace, &tag, at)?,
                Event::Empty(tag) => {
                    builder.open(namespace, &tag, at)?;
                    builder.close();
                }
                Event::End(_) => builder.close(),
                Event::Text(text) => builder.text(&text.xml10_content(), at)?,
                Event::CData(data) if !builder.open.is_empty() => builder.text(&data.xml10_content(), at)?,
                Event::CData(_) => return Err(corrupt(&"not well-formed: text outside of the root element", at)),
                Event::GeneralRef(reference) => {
                    let name = reference.xml10_content();
                    let resolved = reference.resolve_char_ref().map_err(|error| corrupt(&error, at))?;
                    let resolved = resolved.filter(|c| is_xml(*c)).map(String::from);
                    let resolved = resolved.or_else(|| resolve_predefined_entity(&name).map(str::to_owned));
                    let unknown = || corrupt(&format_args!("not well-formed: unknown entity `&{name};`"), at);
                    builder.text(&resolved.ok_or_else(unknown)?, at)?;
                }
                Event::Comment(text) => builder.push(Child::Comment(text.xml10_content().into_owned())),
                Event::PI(instruction) => builder.push(Child::Instruction(instruction.to_string())),
                Event::Decl(declaration) => {
                    let encoding = declaration.encoding().transpose().map_err(|error| corrupt(&error, at))?;
                    check_encoding(encoding.as_deref(), is_utf16, at)?;
                }
                Event::DocType(_) => {
                    return Err(Error::unsupported("answer file with a document type")
                        .at(at)
                        .with_hint("remove DOCTYPE"));
                }
                Event::Eof => return builder.finish(at),
            }
        }
    }

    /// As UTF-8.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
        for child in &self.before {
            child.write(&mut out, 0);
            out.push('\n');
        }
        self.root.write(&mut out, 0);
        for child in &self.after {
            out.push('\n');
            child.write(&mut out, 0);
        }
        out.push('\n');
        out.into_bytes()
    }
}

/// The elements that are open, and what is complete.
#[derive(Default)]
struct Builder {
    open: Vec<Element>,
    before: Vec<Child>,
    root: Option<Element>,
    after: Vec<Child>,
}

impl Builder {
    fn open(&mut self, namespace: ResolveResult<'_>, tag: &BytesStart<'_>, at: u64) -> Result<()> {
        if self.open.len() >= MAX_DEPTH {
            return Err(corrupt(&format_args!("elements are nested more than {MAX_DEPTH} deep"), at));
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(corrupt(&"not well-formed: a second root element", at));
        }
        let name = tag.name().as_ref().to_owned();
        let namespace = match namespace {
            ResolveResult::Bound(namespace) => namespace.as_ref().to_owned(),
            ResolveResult::Unbound => String::new(),
            ResolveResult::Unknown(prefix) => {
                return Err(corrupt(&format_args!("not well-formed: no namespace for the prefix `{prefix}`"), at));
            }
        };
        if tag.attributes().with_checks(false).count() > MAX_ATTRIBUTES {
            return Err(corrupt(&format_args!("`{name}` has more than {MAX_ATTRIBUTES} attributes"), at));
        }
        let mut attributes = Vec::new();
        for attribute in tag.attributes() {
            let bad = |error: &dyn std::fmt::Display| corrupt(&format_args!("not well-formed: {error}"), at);
            let attribute = attribute.map_err(|error| bad(&error))?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| bad(&error))?;
            if !value.chars().all(is_xml) {
                return Err(bad(&"a character reference that XML does not allow"));
            }
            attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
        }
        self.open.push(Element { name, namespace, attributes, children: Vec::new(), offset: at });
        Ok(())
    }

    fn close(&mut self) {
        // The reader has checked that ends and starts match.
        let Some(element) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Child::Element(element)),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, text: &str, at: u64) -> Result<()> {
        let Some(parent) = self.open.last_mut() else {
            return match text.trim().is_empty() {
                true => Ok(()),
                false => Err(corrupt(&"not well-formed: text outside of the root element", at)),
            };
        };
        match parent.children.last_mut() {
            Some(Child::Text(before)) => before.push_str(text),
            _ => parent.children.push(Child::Text(text.into())),
        }
        Ok(())
    }

    fn push(&mut self, child: Child) {
        match (self.open.last_mut(), &self.root) {
            (Some(parent), _) => parent.children.push(child),
            (None, None) => self.before.push(child),
            (None, Some(_)) => self.after.push(child),
        }
    }

    fn finish(self, at: u64) -> Result<Document> {
        if let Some(open) = self.open.last() {
            return Err(corrupt(&format_args!("not well-formed: `{}` has no end", open.name), open.offset));
        }
        let root = self.root.ok_or_else(|| corrupt(&"not well-formed: it has no element", at))?;
        Ok(Document { before: self.before, root, after: self.after })
    }
}

fn decode(bytes: &[u8]) -> Result<(String, bool)> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        let text = String::from_utf16(&units).ok().filter(|_| bytes.len().is_multiple_of(2));
        Ok((text.ok_or_else(|| corrupt(&"it is not UTF-16, as its byte order mark says", 0))?, true))
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] | rest => {
            let text = std::str::from_utf8(rest).map_err(|error| {
                let at = bytes.len() - rest.len() + error.valid_up_to();
                corrupt(&"it is not UTF-8", at as u64)
                    .with_hint("save it as UTF-8, or as UTF-16 with a byte order mark")
            })?;
            Ok((text.to_owned(), false))
        }
    }
}

fn check_encoding(encoding: Option<&str>, is_utf16: bool, at: u64) -> Result<()> {
    let Some(encoding) = encoding else { return Ok(()) };
    let good = match encoding.to_ascii_lowercase().as_str() {
        "utf-16" | "utf-16le" | "utf-16be" => is_utf16,
        // A file that says otherwise but is UTF-16 by its byte order mark is read as UTF-16 by Windows too.
        "utf-8" | "us-ascii" => true,
        _ => false,
    };
    if good {
        return Ok(());
    }
    let what = format!("answer file in the encoding `{encoding}`");
    Err(Error::unsupported(what).at(at).with_hint("save it as UTF-8, or as UTF-16 with a byte order mark"))
}

fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

fn escape(text: &str, attribute: bool) -> String {
    let escaped = partial_escape(text).replace('\r', "&#13;");
    match attribute {
        true => escaped.replace('"', "&quot;").replace('\t', "&#9;").replace('\n', "&#10;"),
        false => escaped,
    }
}

fn corrupt(what: &dyn std::fmt::Display, at: u64) -> Error {
    Error::corrupt(format!("bad answer file: {what}")).at(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(text: &str) -> String {
        String::from_utf8(Document::parse(text.as_bytes()).unwrap().to_bytes()).unwrap()
    }

    #[test]
    fn what_is_read_is_written_again() {
        let text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- a -->\n<a xmlns=\"u\" b=\"&lt;&quot;&#10;\">x &amp; \
            <c:d xmlns:c=\"v\" /><![CDATA[<e>]]>&#13;</a>\n<?p q?>";
        let written = round(text);
        assert_eq!(written, round(&written));
        assert!(written.contains("b=\"&lt;&quot;&#10;\">x &amp; <c:d xmlns:c=\"v\" />&lt;e&gt;&#13;</a>"), "{written}");
        assert!(written.contains("<!-- a -->") && written.contains("<?p q?>"), "{written}");
    }

    #[test]
    fn both_encodings_of_windows_are_read() {
        let text = "<?xml version=\"1.0\" encoding=\"utf-16\"?><a>ü</a>";
        let units = text.encode_utf16();
        let little: Vec<u8> = [0xFF, 0xFE].into_iter().chain(units.clone().flat_map(u16::to_le_bytes)).collect();
        let big: Vec<u8> = [0xFE, 0xFF].into_iter().chain(units.flat_map(u16::to_be_bytes)).collect();
        let marked = ["\u{feff}<a>ü</a>".as_bytes().to_vec(), little, big];
        for bytes in marked {
            assert_eq!(Document::parse(&bytes).unwrap().root.text(), "ü");
        }
        assert!(Document::parse(text.as_bytes()).is_err(), "declared as UTF-16, but it is not");
        let error = Document::parse(b"<a>\xFC</a>").unwrap_err();
        assert_eq!((error.offset(), error.hint().is_some()), (Some(3), true));
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        let deep = "<a>".repeat(MAX_DEPTH + 1) + &"</a>".repeat(MAX_DEPTH + 1);
        let wide: String = (0..=MAX_ATTRIBUTES).map(|n| format!(" a{n}=\"\"")).collect();
        for text in [
            "",
            "x",
            "<a>",
            "<a></b>",
            "</a>",
            "<a/><b/>",
            "<a/>x",
            "<a b=c/>",
            "<a b='1' b='2'/>",
            "<a>&b;</a>",
            "<a>&#0;</a>",
            "<a>\u{1}</a>",
            "<a b='&#1;'/>",
            "<p:a/>",
            "<!DOCTYPE a><a/>",
            "<a><!-- -- --></a>",
            "<?xml version='1.0' encoding='windows-1252'?><a/>",
            &deep,
            &format!("<a{wide}/>"),
        ] {
            assert!(Document::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}

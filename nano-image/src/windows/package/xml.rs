//! The elements of manifests and package descriptions, by namespace.
//!
//! Prefixes mean nothing here: `asm:`, `asmv2:` and `asmv3:` are all seen bound to the same namespace. An answer file,
//! which is written again, has a tree of its own with everything that was read (`configure::unattend::xml`).

use std::sync::Arc;

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use crate::error::{Error, Result};

/// Elements nested deeper are refused.
const MAX_DEPTH: usize = 64;
/// Elements with more attributes are refused: looking for duplicates compares them all.
const MAX_ATTRIBUTES: usize = 64;

/// What the namespaces of assemblies (`asm.v1`, `asm.v2`, `asm.v3`) begin with.
const ASM: &str = "urn:schemas-microsoft-com:asm.v";

/// An element with everything in it.
#[derive(Clone, Debug)]
pub(super) struct Element {
    /// Namespace; empty for none.
    pub namespace: Arc<str>,
    /// Name without prefix.
    pub name: String,
    attributes: Vec<Attribute>,
    /// Elements directly in this one.
    pub children: Vec<Element>,
    /// Text directly in this element.
    pub text: String,
    /// Byte in the file.
    pub offset: u64,
}

#[derive(Clone, Debug)]
struct Attribute {
    namespace: Arc<str>,
    name: String,
    value: String,
}

impl Element {
    /// The root element of an XML file in UTF-8, which errors call `what`.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for what is not well-formed, with its byte.
    pub fn parse(bytes: &[u8], what: &str) -> Result<Self> {
        let corrupt = |why: &dyn std::fmt::Display, at: u64| Error::corrupt(format!("bad {what}: {why}")).at(at);
        let skipped = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        let text = std::str::from_utf8(&bytes[skipped..])
            .map_err(|error| corrupt(&"it is not UTF-8", (skipped + error.valid_up_to()) as u64))?;
        let mut reader = NsReader::from_str(text);
        let mut open: Vec<Element> = Vec::new();
        let mut root = None;
        let mut names = Interned(vec![Arc::from("")]);
        loop {
            let at = reader.buffer_position() + skipped as u64;
            let fault = |why: &dyn std::fmt::Display| corrupt(why, at);
            let event = reader.read_event().map_err(|error| fault(&format_args!("not well-formed: {error}")))?;
            let mut text = |piece: &str| match open.last_mut() {
                Some(element) => {
                    element.text.push_str(piece);
                    Ok(())
                }
                None if piece.trim().is_empty() => Ok(()),
                None => Err(fault(&"not well-formed: text outside of the root element")),
            };
            match event {
                Event::Start(ref tag) | Event::Empty(ref tag) => {
                    if open.is_empty() && root.is_some() {
                        return Err(fault(&"not well-formed: a second root element"));
                    }
                    if open.len() >= MAX_DEPTH {
                        return Err(fault(&format_args!("elements are nested more than {MAX_DEPTH} deep")));
                    }
                    let element = element(&reader, tag, at, &mut names).map_err(|why| fault(&why))?;
                    open.push(element);
                    if matches!(event, Event::Empty(_)) {
                        close(&mut open, &mut root);
                    }
                }
                // The reader has checked that ends and starts match.
                Event::End(_) => close(&mut open, &mut root),
                Event::Text(piece) => text(&piece.xml10_content())?,
                Event::CData(piece) => text(&piece.xml10_content())?,
                Event::GeneralRef(reference) => {
                    let name = reference.xml10_content();
                    let character = reference.resolve_char_ref().map_err(|error| fault(&error))?.map(String::from);
                    let resolved = character.or_else(|| resolve_predefined_entity(&name).map(str::to_owned));
                    let unknown = || fault(&format_args!("not well-formed: unknown entity `&{name};`"));
                    text(&resolved.ok_or_else(unknown)?)?;
                }
                Event::DocType(_) => return Err(fault(&"it has a document type")),
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
                Event::Eof => {
                    if let Some(element) = open.last() {
                        return Err(corrupt(&format_args!("`{}` has no end", element.name), element.offset));
                    }
                    return root.ok_or_else(|| fault(&"it has no element"));
                }
            }
        }
    }

    /// Whether it is the element `name` of an assembly namespace, whatever its version.
    pub fn is(&self, name: &str) -> bool {
        self.name == name && self.is_asm()
    }

    /// Whether it is in an assembly namespace.
    pub fn is_asm(&self) -> bool {
        self.namespace.starts_with(ASM)
    }

    /// Elements `name` of an assembly namespace directly in this one.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.is(name))
    }

    /// The first element `name` of an assembly namespace directly in this one.
    pub fn first(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.is(name))
    }

    /// The attribute `name` without a namespace, or in one of assemblies.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let own = |attribute: &&Attribute| attribute.namespace.is_empty() || attribute.namespace.starts_with(ASM);
        self.attributes.iter().filter(own).find(|attribute| attribute.name == name).map(|found| &*found.value)
    }

    /// The attribute `name` of `namespace`.
    pub fn attribute_of(&self, namespace: &str, name: &str) -> Option<&str> {
        let attributes = self.attributes.iter().filter(|attribute| &*attribute.namespace == namespace);
        attributes.into_iter().find(|attribute| attribute.name == name).map(|found| &*found.value)
    }

    /// Local names and values of all attributes, in their order.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().map(|attribute| (&*attribute.name, &*attribute.value))
    }
}

/// Namespaces seen so far, so that elements share them.
struct Interned(Vec<Arc<str>>);

impl Interned {
    fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().take(64).find(|known| &***known == name) {
            return known.clone();
        }
        let new = Arc::<str>::from(name);
        self.0.push(new.clone());
        new
    }
}

fn element<R>(
    reader: &NsReader<R>,
    tag: &BytesStart<'_>,
    offset: u64,
    names: &mut Interned,
) -> Result<Element, String> {
    let mut name_of = |(namespace, local): (ResolveResult<'_>, quick_xml::name::LocalName<'_>)| match namespace {
        ResolveResult::Bound(namespace) => Ok((names.get(namespace.as_ref()), local.as_ref().to_owned())),
        ResolveResult::Unbound => Ok((names.get(""), local.as_ref().to_owned())),
        ResolveResult::Unknown(prefix) => Err(format!("not well-formed: no namespace for the prefix `{prefix}`")),
    };
    let (namespace, name) = name_of(reader.resolver().resolve_element(tag.name()))?;
    if tag.attributes().with_checks(false).count() > MAX_ATTRIBUTES {
        return Err(format!("`{name}` has more than {MAX_ATTRIBUTES} attributes"));
    }
    let mut attributes = Vec::new();
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|error| format!("not well-formed: {error}"))?;
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_err(|error| format!("not well-formed: {error}"))?.into_owned();
        let (namespace, name) = name_of(reader.resolver().resolve_attribute(attribute.key))?;
        attributes.push(Attribute { namespace, name, value });
    }
    Ok(Element { namespace, name, attributes, children: Vec::new(), text: String::new(), offset })
}

fn close(open: &mut Vec<Element>, root: &mut Option<Element>) {
    let Some(element) = open.pop() else { return };
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => *root = Some(element),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Element> {
        Element::parse(text.as_bytes(), "manifest `m`")
    }

    #[test]
    fn namespaces_count_and_prefixes_do_not() {
        let root = parse(
            "\u{feff}<?xml version='1.0'?><a:assembly xmlns:a='urn:schemas-microsoft-com:asm.v1' \
             xmlns:b='urn:schemas-microsoft-com:asm.v3' xmlns:w='wcm'><b:file name='&lt;x&#65;' b:importPath='p' \
             w:name='other'>t<![CDATA[<]]>&amp;u</b:file><file xmlns='other'/></a:assembly>",
        )
        .unwrap();
        assert!(root.is("assembly"));
        let file = root.first("file").unwrap();
        assert_eq!((file.attribute("name"), file.attribute("importPath")), (Some("<xA"), Some("p")));
        assert_eq!((file.attribute_of("wcm", "name"), file.text.as_str()), (Some("other"), "t<&u"));
        assert_eq!((root.all("file").count(), root.children.len()), (1, 2));
    }

    #[test]
    fn what_is_not_well_formed_is_refused_with_its_byte() {
        let deep = "<a>".repeat(MAX_DEPTH + 1);
        let wide: String = (0..=MAX_ATTRIBUTES).map(|n| format!(" a{n}=''")).collect();
        let wide = format!("<a{wide}/>");
        let bad = ["", "x", "<a>", "<a></b>", "<a/><b/>", "<a>&b;</a>", "<p:a/>", "<!DOCTYPE a><a/>", &deep, &wide];
        for text in bad {
            let error = parse(text).unwrap_err();
            assert!(error.offset().is_some() && error.message().starts_with("bad manifest `m`: "), "{text}: {error}");
        }
        assert_eq!(Element::parse(b"<a>\xFC</a>", "m").unwrap_err().offset(), Some(3));
    }
}

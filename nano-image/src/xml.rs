//! XML with positions and namespaces: manifests, package descriptions, what a WIM says about its images, and answer
//! files, which are also written.
//!
//! Prefixes do not matter: files bind `asm:`, `asmv2:` and `asmv3:` to the same namespace.

mod parse;
mod write;

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::Result;

/// Elements, attributes and texts of a manifest, at most. The description of the largest known update has some 200,000.
const MAX_NODES: usize = 1 << 20;
/// What the namespaces of assemblies (`asm.v1`, `asm.v2`, `asm.v3`) begin with.
const ASM: &str = "urn:schemas-microsoft-com:asm.v";

/// An XML document.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// Comments and instructions before the root.
    before: Vec<Node>,
    pub root: Element,
    after: Vec<Node>,
}

/// An element with everything in it.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    /// Name as written, with prefix.
    name: Box<str>,
    /// Namespace; empty if it has none.
    pub namespace: Arc<str>,
    attributes: Vec<Attribute>,
    content: Vec<Node>,
    /// Its first byte in the file.
    pub offset: u64,
}

/// An attribute, or the declaration of a namespace.
#[derive(Clone, Debug)]
struct Attribute {
    /// Name as written, with prefix.
    name: Box<str>,
    /// Namespace, empty if it has none; `None` for a declaration.
    namespace: Option<Arc<str>>,
    value: Box<str>,
}

#[derive(Clone, Debug)]
enum Node {
    Element(Element),
    Text(String),
    Comment(Box<str>),
    Instruction(Box<str>),
}

impl Document {
    /// A document with this root.
    pub fn new(name: &str, namespace: &str) -> Self {
        let declaration = Attribute { name: "xmlns".into(), namespace: None, value: namespace.into() };
        let root = Element {
            name: name.into(),
            namespace: namespace.into(),
            attributes: vec![declaration],
            content: Vec::new(),
            offset: 0,
        };
        Self { before: Vec::new(), root, after: Vec::new() }
    }
}

impl Element {
    /// The root of a manifest or package description. Errors call the file `what`. See [`Document::parse`].
    pub fn parse(bytes: &[u8], what: &str) -> Result<Self> {
        Document::parse(bytes, what, MAX_NODES).map(|document| document.root)
    }

    /// A new element `local` with the prefix and namespace of `parent`, and with `text` if there is any.
    pub fn like(parent: &Self, local: &str, text: Option<&str>) -> Self {
        let name = parent.name.split_once(':').map_or(local.into(), |(prefix, _)| format!("{prefix}:{local}").into());
        let content = text.map(|text| Node::Text(text.into())).into_iter().collect();
        Self { name, namespace: parent.namespace.clone(), attributes: Vec::new(), content, offset: 0 }
    }

    /// Name without prefix.
    pub fn local(&self) -> &str {
        local(&self.name)
    }

    /// Elements directly in this one.
    pub fn elements(&self) -> impl Iterator<Item = &Self> {
        self.content.iter().filter_map(|node| if let Node::Element(element) = node { Some(element) } else { None })
    }

    /// Elements directly in this one.
    pub fn elements_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        let nodes = self.content.iter_mut();
        nodes.filter_map(|node| if let Node::Element(element) = node { Some(element) } else { None })
    }

    /// Whether there is no element in this one.
    pub fn is_empty(&self) -> bool {
        self.elements().next().is_none()
    }

    /// The text directly in this element, trimmed of white space.
    pub fn text(&self) -> Cow<'_, str> {
        let mut texts =
            self.content.iter().filter_map(|node| if let Node::Text(text) = node { Some(text) } else { None });
        match (texts.next(), texts.next()) {
            (None, _) => "".into(),
            (Some(text), None) => text.trim().into(),
            (Some(first), Some(second)) => {
                let all: String = [first, second].into_iter().chain(texts).map(String::as_str).collect();
                all.trim().to_owned().into()
            }
        }
    }

    /// All text directly in this element, untrimmed.
    pub fn whole_text(&self) -> String {
        self.content.iter().filter_map(|node| if let Node::Text(text) = node { Some(&**text) } else { None }).collect()
    }

    /// Whether it is the element `name` of an assembly namespace of any version.
    pub fn is(&self, name: &str) -> bool {
        self.local() == name && self.is_asm()
    }

    /// Whether it is in an assembly namespace.
    pub fn is_asm(&self) -> bool {
        self.namespace.starts_with(ASM)
    }

    /// The elements called `name`, of an assembly namespace, directly in this one.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.elements().filter(move |child| child.is(name))
    }

    /// The first element called `name`, of an assembly namespace, directly in this one.
    pub fn first(&self, name: &str) -> Option<&Self> {
        self.elements().find(|child| child.is(name))
    }

    /// The first element called `name` in this one, of the same namespace.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.elements().find(|element| element.local() == name && element.namespace == self.namespace)
    }

    /// The element at this path below this one, all in the same namespace.
    pub fn find(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// The attribute `name`, without a namespace or in an assembly namespace.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attribute_in(name, |namespace| namespace.is_empty() || namespace.starts_with(ASM))
    }

    /// The attribute `name` of `namespace`.
    pub fn attribute_of(&self, namespace: &str, name: &str) -> Option<&str> {
        self.attribute_in(name, |other| other == namespace)
    }

    fn attribute_in(&self, name: &str, is_it: impl Fn(&str) -> bool) -> Option<&str> {
        let mut attributes =
            self.attributes.iter().filter(|attribute| attribute.namespace.as_deref().is_some_and(&is_it));
        attributes.find(|attribute| local(&attribute.name) == name).map(|found| &*found.value)
    }

    /// Names without prefix and values of all attributes, in their order.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        let attributes = self.attributes.iter().filter(|attribute| attribute.namespace.is_some());
        attributes.map(|attribute| (local(&attribute.name), &*attribute.value))
    }

    /// Adds an attribute without a namespace.
    pub fn push_attribute(&mut self, name: &str, value: &str) {
        self.attributes.push(Attribute { name: name.into(), namespace: Some("".into()), value: value.into() });
    }

    /// Declares `prefix` for `namespace` in this element.
    pub fn declare(&mut self, prefix: &str, namespace: &str) {
        let name = format!("xmlns:{prefix}").into();
        self.attributes.push(Attribute { name, namespace: None, value: namespace.into() });
    }

    /// Adds the attribute `name` of `namespace`; `prefix` must be declared for it.
    pub fn push_attribute_of(&mut self, prefix: &str, namespace: &str, name: &str, value: &str) {
        let name = format!("{prefix}:{name}").into();
        self.attributes.push(Attribute { name, namespace: Some(namespace.into()), value: value.into() });
    }

    /// Removes the attribute that is written as `name`; returns whether there was one.
    pub fn remove_attribute(&mut self, name: &str) -> bool {
        let before = self.attributes.len();
        self.attributes.retain(|attribute| &*attribute.name != name);
        self.attributes.len() < before
    }

    /// The child `name`; it is added if it is missing.
    pub fn child_or_new(&mut self, name: &str) -> &mut Self {
        let is_it = |node: &Node| matches!(node, Node::Element(element) if element.local() == name && element.namespace == self.namespace);
        let at = self.content.iter().position(is_it).unwrap_or_else(|| {
            self.content.push(Node::Element(Self::like(self, name, None)));
            self.content.len() - 1
        });
        match &mut self.content[at] {
            Node::Element(element) => element,
            _ => unreachable!("an element was found or made"),
        }
    }

    /// Adds an element at the end.
    pub fn push(&mut self, element: Self) -> &mut Self {
        self.content.push(Node::Element(element));
        self.elements_mut().last().expect("just added")
    }

    /// Keeps only the elements for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&Self) -> bool) {
        self.content.retain(|node| if let Node::Element(element) = node { keep(element) } else { true });
    }

    /// Replaces everything in the element by `text`.
    pub fn set_text(&mut self, text: &str) {
        self.content = vec![Node::Text(text.into())];
    }
}

fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}

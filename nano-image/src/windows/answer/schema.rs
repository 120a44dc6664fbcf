//! The settings of a component as declared in its manifest in the image, in the part of XML Schema that manifests use.
//!
//! Microsoft does not document this; what is read here was seen in manifests of Windows 10 and 11. A type that is not
//! known accepts anything, so that nothing is refused by mistake.

use std::collections::BTreeMap;

use super::{Pass, WCM};
use crate::error::{Error, Result};
use crate::xml::Element;

const XSD: &str = "http://www.w3.org/2001/XMLSchema";
/// The longest chain of types that name each other; more is treated as a cycle.
const MAX_DEPTH: usize = 16;

/// What a manifest says about its component's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// Name of the component.
    pub component: String,
    /// Its settings.
    pub parts: Vec<Part>,
    /// Whether these are all settings.
    pub is_complete: bool,
    /// Types with names.
    types: BTreeMap<String, Type>,
}

/// A setting, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Name of the element.
    pub name: String,
    /// Passes in which it can be set; empty if the manifest does not say.
    pub passes: Vec<Pass>,
    /// Whether it can be there several times.
    pub is_list: bool,
    kind: Type,
}

/// What a setting contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Not known, or not checked.
    Any,
    /// A value.
    Value(Limits),
    /// Other settings.
    Group(Vec<Part>),
    /// The type of this name.
    Named(String),
}

/// Limits of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The type that it is derived from.
    base: String,
    /// If not empty, the only allowed values.
    words: Vec<String>,
    min: Option<i128>,
    max: Option<i128>,
    /// The most characters.
    max_len: Option<usize>,
}

impl Schema {
    /// The settings that a manifest declares.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if it is not a manifest.
    pub fn parse(manifest: &[u8]) -> Result<Self> {
        let root = Element::parse(manifest, "manifest")?;
        let name = root.first("assemblyIdentity").and_then(|identity| identity.attribute("name"));
        let name = name.ok_or_else(|| Error::corrupt("manifest without an identity").at(root.offset))?;
        let mut schema = Self { component: name.to_owned(), is_complete: true, ..Self::default() };
        let sections = root.all("configuration").flat_map(|section| section.all("configurationSchema"));
        for section in sections.flat_map(Element::elements).filter(|section| is_schema(section, "schema")) {
            for element in section.elements() {
                schema.read(element);
            }
        }
        Ok(schema)
    }

    fn read(&mut self, element: &Element) {
        let name = element.attribute("name").unwrap_or_default().to_owned();
        match element.local() {
            "annotation" => {}
            "element" if !name.is_empty() => self.parts.push(part(element)),
            "simpleType" if !name.is_empty() => drop(self.types.insert(name, simple(element))),
            "complexType" if !name.is_empty() => drop(self.types.insert(name, complex(element))),
            _ => self.is_complete = false,
        }
    }

    /// What `part` contains. Names of types are resolved.
    pub fn kind<'a>(&'a self, part: &'a Part) -> &'a Type {
        let mut kind = &part.kind;
        for _ in 0..MAX_DEPTH {
            let Type::Named(name) = kind else { return kind };
            match self.types.get(name) {
                Some(named) => kind = named,
                None => return &Type::Any,
            }
        }
        &Type::Any
    }

    /// What is wrong with a value that has `limits`. The limits of the types that it is derived from count too.
    pub fn check<'a>(&'a self, mut limits: &'a Limits, text: &str) -> Option<String> {
        for _ in 0..MAX_DEPTH {
            if let Some(fault) = limits.check(text) {
                return Some(fault);
            }
            match self.types.get(&limits.base) {
                Some(Type::Value(base)) => limits = base,
                Some(_) => return None,
                None => return check_builtin(&limits.base, text),
            }
        }
        None
    }
}

impl Limits {
    fn check(&self, text: &str) -> Option<String> {
        let trimmed = text.trim();
        let len = text.encode_utf16().count();
        if let Some(max) = self.max_len.filter(|max| len > *max) {
            return Some(format!("has {len} characters; the image's manifest allows {max}"));
        }
        if !self.words.is_empty() && !self.words.iter().any(|word| word.eq_ignore_ascii_case(trimmed)) {
            return Some(format!("is none of the values that the image's manifest lists: {}", self.words.join(", ")));
        }
        let number = trimmed.parse::<i128>().ok()?;
        let is_in = self.min.is_none_or(|min| number >= min) && self.max.is_none_or(|max| number <= max);
        let show = |end: Option<i128>| end.map_or("any".to_owned(), |end| end.to_string());
        (!is_in).then(|| format!("is not from {} to {}, as the image's manifest wants", show(self.min), show(self.max)))
    }
}

/// Checks a value against a built-in type of XML Schema.
fn check_builtin(name: &str, text: &str) -> Option<String> {
    let text = text.trim();
    let (min, max): (i128, i128) = match name {
        "boolean" => {
            let is_known = ["true", "false", "1", "0"].iter().any(|word| word.eq_ignore_ascii_case(text));
            return (!is_known).then(|| "is neither true nor false".to_owned());
        }
        "integer" => (i128::MIN, i128::MAX),
        "nonNegativeInteger" => (0, i128::MAX),
        "positiveInteger" => (1, i128::MAX),
        "unsignedByte" => (0, u8::MAX.into()),
        "unsignedShort" => (0, u16::MAX.into()),
        "unsignedInt" => (0, u32::MAX.into()),
        "unsignedLong" => (0, u64::MAX.into()),
        "byte" => (i8::MIN.into(), i8::MAX.into()),
        "short" => (i16::MIN.into(), i16::MAX.into()),
        "int" => (i32::MIN.into(), i32::MAX.into()),
        "long" => (i64::MIN.into(), i64::MAX.into()),
        _ => return None,
    };
    let number = text.parse::<i128>().ok().filter(|number| (min..=max).contains(number));
    number.is_none().then(|| format!("is no number of the type {name}"))
}

fn part(element: &Element) -> Part {
    let passes = element.attribute_of(WCM, "passes").unwrap_or_default();
    let passes = passes.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(Pass::find).collect();
    let inner = element.elements().find_map(|inner| match inner.local() {
        "simpleType" => Some(simple(inner)),
        "complexType" => Some(complex(inner)),
        _ => None,
    });
    let kind = inner.or_else(|| element.attribute("type").map(named)).unwrap_or(Type::Any);
    let is_list = element.attribute("maxOccurs").is_some_and(|most| most != "1");
    Part { name: element.attribute("name").unwrap_or_default().to_owned(), passes, is_list, kind }
}

/// The type with this name: one of the schema, or a built-in one.
fn named(name: &str) -> Type {
    let local = name.rsplit(':').next().unwrap_or_default().to_owned();
    match name.contains(':') {
        true => Type::Value(Limits { base: local, ..Limits::default() }),
        false => Type::Named(local),
    }
}

fn simple(element: &Element) -> Type {
    let mut inner = element.elements().filter(|inner| inner.local() != "annotation");
    let (Some(restriction), None) = (inner.next(), inner.next()) else { return Type::Any };
    if !is_schema(restriction, "restriction") {
        return Type::Any;
    }
    let base = restriction.attribute("base").unwrap_or_default();
    let mut limits = Limits { base: base.rsplit(':').next().unwrap_or_default().to_owned(), ..Limits::default() };
    for facet in restriction.elements() {
        let value = facet.attribute("value").unwrap_or_default();
        let number = || value.trim().parse::<i128>().ok();
        match facet.local() {
            "enumeration" => limits.words.push(value.to_owned()),
            "minInclusive" => limits.min = number(),
            "maxInclusive" => limits.max = number(),
            "minExclusive" => limits.min = number().and_then(|number| number.checked_add(1)),
            "maxExclusive" => limits.max = number().and_then(|number| number.checked_sub(1)),
            "maxLength" | "length" => limits.max_len = value.trim().parse().ok(),
            _ => {}
        }
    }
    Type::Value(limits)
}

fn complex(element: &Element) -> Type {
    let mut parts = Vec::new();
    if parts_of(element, &mut parts) { Type::Group(parts) } else { Type::Any }
}

/// Adds the elements in a type or a part of it; returns whether these are all.
fn parts_of(element: &Element, parts: &mut Vec<Part>) -> bool {
    element.elements().all(|inner| match inner.local() {
        "annotation" | "attribute" => true,
        "sequence" | "all" | "choice" => parts_of(inner, parts),
        "element" if inner.attribute("name").is_some() => {
            parts.push(part(inner));
            true
        }
        _ => false,
    })
}

fn is_schema(element: &Element, name: &str) -> bool {
    element.local() == name && &*element.namespace == XSD
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written as in Windows' own manifests.
    const MANIFEST: &str = r#"<assembly xmlns="urn:schemas-microsoft-com:asm.v3" xmlns:xsd="http://www.w3.org/2001/XMLSchema">
      <assemblyIdentity name="Microsoft-Windows-Test"/>
      <configuration xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State"><configurationSchema>
       <xsd:schema xmlns="Microsoft-Windows-Test" targetNamespace="Microsoft-Windows-Test">
        <xsd:simpleType name="Level"><xsd:restriction base="xsd:integer">
          <xsd:minInclusive value="1"/><xsd:maxInclusive value="3"/></xsd:restriction></xsd:simpleType>
        <xsd:simpleType name="Low"><xsd:restriction base="Level"><xsd:maxExclusive value="3"/></xsd:restriction></xsd:simpleType>
        <xsd:simpleType name="Place"><xsd:restriction base="xsd:string">
          <xsd:enumeration value="Home"/><xsd:enumeration value="Work"/></xsd:restriction></xsd:simpleType>
        <xsd:simpleType name="Round"><xsd:restriction base="Round"/></xsd:simpleType>
        <xsd:complexType name="Group"><xsd:sequence>
          <xsd:element name="Place" type="Place" minOccurs="0" maxOccurs="1"/>
          <xsd:element name="Item" type="Group" minOccurs="0" maxOccurs="unbounded"/></xsd:sequence></xsd:complexType>
        <xsd:complexType name="Odd"><xsd:complexContent><xsd:extension base="Group"/></xsd:complexContent></xsd:complexType>
        <xsd:element name="Low" type="Low" wcm:passes="specialize, oobeSystem"/>
        <xsd:element name="On" type="xsd:boolean" wcm:passes="specialize"/>
        <xsd:element name="Name" wcm:passes="oobeSystem"><xsd:simpleType><xsd:restriction base="xsd:string">
          <xsd:maxLength value="4"/></xsd:restriction></xsd:simpleType></xsd:element>
        <xsd:element name="Group" type="Group"/><xsd:element name="Odd" type="Odd"/>
        <xsd:element name="Round" type="Round"/><xsd:element name="Lost" type="Missing"/>
       </xsd:schema></configurationSchema></configuration></assembly>"#;

    #[test]
    fn the_settings_of_a_manifest() {
        let schema = Schema::parse(MANIFEST.as_bytes()).unwrap();
        assert!(schema.is_complete && schema.component == "Microsoft-Windows-Test");
        let part = |name: &str| schema.parts.iter().find(|part| part.name == name).unwrap();
        assert_eq!(part("Low").passes, [Pass::Specialize, Pass::OobeSystem]);
        let is_good = |name: &str, text: &str| match schema.kind(part(name)) {
            Type::Value(limits) => schema.check(limits, text).is_none(),
            kind => panic!("{name}: {kind:?}"),
        };
        for (name, good, bad) in [
            ("Low", &["1", " 2 "][..], &["0", "3", "a", ""][..]),
            ("On", &["true", "0"], &["yes"]),
            ("Name", &["abcd", ""], &["abcde"]),
            ("Round", &["anything"], &[]),
        ] {
            good.iter().for_each(|text| assert!(is_good(name, text), "{name} {text:?}"));
            bad.iter().for_each(|text| assert!(!is_good(name, text), "{name} {text:?}"));
        }
        let Type::Group(parts) = schema.kind(part("Group")) else { panic!("a group") };
        assert_eq!(
            parts.iter().map(|part| (&*part.name, part.is_list)).collect::<Vec<_>>(),
            [("Place", false), ("Item", true)]
        );
        assert!(matches!(schema.kind(&parts[1]), Type::Group(inner) if inner == parts));
        assert_eq!((schema.kind(part("Odd")), schema.kind(part("Lost"))), (&Type::Any, &Type::Any));
    }

    #[test]
    fn what_is_not_known_makes_it_incomplete() {
        let odd = MANIFEST.replace("<xsd:element name=\"On\"", "<xsd:element ref=\"On\"");
        assert!(!Schema::parse(odd.as_bytes()).unwrap().is_complete);
        let none = br#"<assembly xmlns="urn:schemas-microsoft-com:asm.v3"><assemblyIdentity name="a"/></assembly>"#;
        assert_eq!(Schema::parse(none).unwrap().parts, []);
        assert!(Schema::parse(b"<assembly/>").is_err());
    }
}

//! What the XML data of a WIM says about its images.

use std::fmt;

use crate::error::{Error, Result};
use crate::types::{Architecture, ByteSize, FileTime, nearest};
use crate::xml::Element;

/// The most images that an error lists.
const MAX_LISTED: usize = 20;

/// An image, as the WIM's XML data describes it. Texts are empty where the XML has none.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// let wim = nano_image::Wim::open("install.wim", &[])?;
/// let nano: Vec<&nano_image::ImageInfo> =
///     wim.images().iter().filter(|image| image.installation_type == "Nano Server").collect();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageInfo {
    /// Number, from 1.
    pub index: u32,
    /// Name, e.g. `Windows Server 2016 SERVERDATACENTERNANO`.
    pub name: String,
    /// Description.
    pub description: String,
    /// Name that Windows Setup shows.
    pub display_name: String,
    /// Edition, e.g. `ServerDatacenterNano`.
    pub edition_id: String,
    /// Product, e.g. `Microsoft® Windows® Operating System`.
    pub product_name: String,
    /// E.g. `Nano Server`.
    pub installation_type: String,
    /// Version of Windows.
    pub version: Option<Version>,
    /// Processor architecture.
    pub architecture: Option<Architecture>,
    /// Languages, e.g. `en-US`.
    pub languages: Vec<String>,
    /// The default language.
    pub default_language: Option<String>,
    /// When the image was captured.
    pub creation_time: FileTime,
    /// Total length of all files; each hard link counts.
    pub total_bytes: ByteSize,
    /// Number of files; each hard link counts.
    pub file_count: u64,
    /// Number of directories.
    pub directory_count: u64,
}

/// Version of Windows, e.g. 10.0.14393.1884.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub build: u32,
    /// Fourth number: the build of the service pack or update.
    pub service_pack_build: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.major, self.minor, self.build, self.service_pack_build)
    }
}

/// Reads the XML data (UTF-16LE, byte order mark allowed). The images are sorted by index.
pub(super) fn parse(xml: &[u8]) -> Result<Vec<ImageInfo>> {
    let mut text = [&MARK[..], xml.strip_prefix(&MARK).unwrap_or(xml)].concat();
    while text.len() > 2 && text.ends_with(&[0, 0]) && text.len().is_multiple_of(2) {
        text.truncate(text.len() - 2);
    }
    let root = Element::parse(&text, "XML data in the WIM")?;
    let mut images: Vec<ImageInfo> = children(&root, "IMAGE").map(image).collect::<Result<_>>()?;
    images.sort_by_key(|image| image.index);
    Ok(images)
}

/// UTF-16LE.
const MARK: [u8; 2] = [0xFF, 0xFE];

fn children<'a>(element: &'a Element, name: &'a str) -> impl Iterator<Item = &'a Element> {
    element.elements().filter(move |child| child.local() == name)
}

fn image(element: &Element) -> Result<ImageInfo> {
    let index = element.attribute("INDEX").and_then(|index| index.trim().parse().ok());
    let index = index.ok_or_else(|| {
        Error::corrupt("bad XML data in the WIM: an IMAGE without a number in INDEX").at(element.offset)
    })?;
    let text = |path: &[&str]| element.find(path).map(|found| found.text().into_owned());
    let number = |path: &[&str]| text(path).and_then(|text| text.parse().ok()).unwrap_or_default();
    let half = |name: &str| {
        let digits = text(&["CREATIONTIME", name]).unwrap_or_default();
        u64::from_str_radix(digits.trim_start_matches("0x"), 16).unwrap_or_default() & 0xFFFF_FFFF
    };
    let languages = element.find(&["WINDOWS", "LANGUAGES"]);
    Ok(ImageInfo {
        index,
        name: text(&["NAME"]).unwrap_or_default(),
        description: text(&["DESCRIPTION"]).unwrap_or_default(),
        display_name: text(&["DISPLAYNAME"]).unwrap_or_default(),
        edition_id: text(&["WINDOWS", "EDITIONID"]).unwrap_or_default(),
        product_name: text(&["WINDOWS", "PRODUCTNAME"]).unwrap_or_default(),
        installation_type: text(&["WINDOWS", "INSTALLATIONTYPE"]).unwrap_or_default(),
        version: element.find(&["WINDOWS", "VERSION"]).filter(|version| !version.is_empty()).map(version),
        architecture: text(&["WINDOWS", "ARCH"]).and_then(|text| text.parse().ok()).map(architecture),
        languages: languages
            .iter()
            .flat_map(|languages| children(languages, "LANGUAGE"))
            .map(|language| language.text().into_owned())
            .collect(),
        default_language: text(&["WINDOWS", "LANGUAGES", "DEFAULT"]),
        creation_time: FileTime(half("HIGHPART") << 32 | half("LOWPART")),
        total_bytes: ByteSize::new(number(&["TOTALBYTES"])),
        file_count: number(&["FILECOUNT"]),
        directory_count: number(&["DIRCOUNT"]),
    })
}

fn version(element: &Element) -> Version {
    let part = |name| element.child(name).and_then(|part| part.text().parse().ok()).unwrap_or_default();
    Version { major: part("MAJOR"), minor: part("MINOR"), build: part("BUILD"), service_pack_build: part("SPBUILD") }
}

/// The architecture with this number in SYSTEM_INFO.
fn architecture(number: u32) -> Architecture {
    match number {
        0 => Architecture::X86,
        5 => Architecture::Arm,
        6 => Architecture::Ia64,
        9 => Architecture::Amd64,
        12 => Architecture::Arm64,
        other => Architecture::Other(other),
    }
}

/// See [`Wim::find_image`](super::Wim::find_image).
pub(super) fn find_image(images: &[ImageInfo], wanted: &str) -> Result<u32> {
    let wanted = wanted.trim();
    if let Some(image) = images.iter().find(|image| wanted.parse() == Ok(image.index)) {
        return Ok(image.index);
    }
    let same = |text: &str| !text.is_empty() && text.to_lowercase() == wanted.to_lowercase();
    let by_name = images.iter().filter(|image| same(&image.name)).collect::<Vec<_>>();
    let by_other = images.iter().filter(|image| same(&image.edition_id) || same(&image.display_name)).collect();
    let found = if by_name.is_empty() { by_other } else { by_name };
    if let [image] = found[..] {
        return Ok(image.index);
    }
    let mut list: Vec<String> = images.iter().take(MAX_LISTED).map(describe).collect();
    if images.len() > MAX_LISTED {
        list.push("…".into());
    }
    let list = list.join(", ");
    if !found.is_empty() {
        let message = format!("`{wanted}` fits several images of the WIM; it has {list}");
        return Err(Error::not_found(message).with_hint(format!("use the index: {}", found[0].index)));
    }
    let error = Error::not_found(format!("the WIM has no image `{wanted}`; it has {list}"));
    let names = images.iter().flat_map(|image| [&image.name, &image.edition_id, &image.display_name]);
    Err(match nearest(wanted, names.map(String::as_str)) {
        Some(name) => error.with_hint(format!("did you mean `{name}`?")),
        None => error.with_hint("use an index or a name from the list"),
    })
}

fn describe(image: &ImageInfo) -> String {
    let edition = if image.edition_id.is_empty() { String::new() } else { format!(" ({})", image.edition_id) };
    format!("{}: {}{edition}", image.index, image.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn all_fields_are_read() {
        let xml = "\u{feff}<WIM><TOTALBYTES>9</TOTALBYTES><IMAGE INDEX=\"2\"><NAME>B</NAME></IMAGE>\
            <IMAGE INDEX=\"1\"><NAME>A &amp; &#x42;</NAME><DESCRIPTION>d</DESCRIPTION><DIRCOUNT>3</DIRCOUNT>\
            <FILECOUNT>4</FILECOUNT><TOTALBYTES>5</TOTALBYTES><CREATIONTIME><HIGHPART>0x01D1DEF6</HIGHPART>\
            <LOWPART>0x6BF60001</LOWPART></CREATIONTIME><WINDOWS><ARCH>9</ARCH><EDITIONID>E</EDITIONID>\
            <PRODUCTNAME>P</PRODUCTNAME><INSTALLATIONTYPE>Nano Server</INSTALLATIONTYPE><LANGUAGES>\
            <LANGUAGE>en-US</LANGUAGE><LANGUAGE>de-DE</LANGUAGE><DEFAULT>en-US</DEFAULT></LANGUAGES>\
            <VERSION><MAJOR>10</MAJOR><MINOR>0</MINOR><BUILD>14393</BUILD><SPBUILD>1884</SPBUILD></VERSION>\
            </WINDOWS><DISPLAYNAME>D</DISPLAYNAME></IMAGE></WIM>";
        let images = parse(&utf16(xml)).unwrap();
        assert_eq!(images[1], ImageInfo { index: 2, name: "B".into(), ..ImageInfo::default() });
        let first = ImageInfo {
            index: 1,
            name: "A & B".into(),
            description: "d".into(),
            display_name: "D".into(),
            edition_id: "E".into(),
            product_name: "P".into(),
            installation_type: "Nano Server".into(),
            version: Some(Version { major: 10, minor: 0, build: 14393, service_pack_build: 1884 }),
            architecture: Some(Architecture::Amd64),
            languages: vec!["en-US".into(), "de-DE".into()],
            default_language: Some("en-US".into()),
            creation_time: FileTime(0x01D1_DEF6_6BF6_0001),
            total_bytes: ByteSize::new(5),
            file_count: 4,
            directory_count: 3,
        };
        assert_eq!(images[0], first);
        assert_eq!(first.version.unwrap().to_string(), "10.0.14393.1884");
    }

    #[test]
    fn bad_xml_is_an_error() {
        let deep = "<A>".repeat(100_000);
        for bad in [
            "<WIM><IMAGE INDEX=\"1\">",
            "<WIM><IMAGE/></WIM>",
            "<WIM><IMAGE></IMAGE></WIM>",
            "<WIM>&foo;</WIM>",
            "<WIM></A>",
            &deep,
        ] {
            assert!(parse(&utf16(bad)).is_err(), "{}", &bad[..20.min(bad.len())]);
        }
        assert!(parse(&[0, 0xd8]).is_err());
    }
}

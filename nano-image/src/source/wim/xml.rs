//! What the XML data of a WIM says about its images.

use std::fmt;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::error::{Error, Result};
use crate::types::text;
use crate::types::{Architecture, ByteSize, FileTime, nearest};

/// Elements nested deeper than this are refused.
const MAX_DEPTH: usize = 32;
/// Images that an error lists.
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
    /// Language used without a choice.
    pub default_language: Option<String>,
    /// When the image was captured.
    pub creation_time: FileTime,
    /// Length of all files, hard links counted each.
    pub total_bytes: ByteSize,
    /// Number of files, hard links counted each.
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

/// Reads the XML data (UTF-16LE, byte order mark allowed): images sorted by index.
pub(super) fn parse(xml: &[u8]) -> Result<Vec<ImageInfo>> {
    let text = text::utf16(xml).ok_or_else(|| Error::corrupt("the WIM's XML data is not UTF-16"))?;
    let text = text.trim_start_matches('\u{feff}').trim_end_matches('\0');
    let bad = |error: &dyn fmt::Display| Error::corrupt(format!("bad XML data in the WIM: {error}"));
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let (mut path, mut value): (Vec<String>, String) = (Vec::new(), String::new());
    let mut images: Vec<ImageInfo> = Vec::new();
    // High and low half of the creation time.
    let mut halves = (0, 0);
    loop {
        match reader.read_event().map_err(|error| bad(&error))? {
            Event::Start(tag) => {
                path.push(tag.local_name().as_ref().to_owned());
                value.clear();
                if path.len() > MAX_DEPTH {
                    return Err(bad(&"elements are nested too deep"));
                }
                if path == ["WIM", "IMAGE"] {
                    let attribute = tag.try_get_attribute("INDEX").map_err(|error| bad(&error))?;
                    let index = attribute.and_then(|index| index.value.trim().parse().ok());
                    let index = index.ok_or_else(|| bad(&"an IMAGE without INDEX"))?;
                    images.push(ImageInfo { index, ..ImageInfo::default() });
                    halves = (0, 0);
                }
            }
            Event::Text(text) => value.push_str(&text.xml10_content()),
            Event::CData(data) => value.push_str(&data.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().map_err(|error| bad(&error))? {
                Some(character) => value.push(character),
                None => {
                    let name = reference.xml10_content();
                    let resolved = quick_xml::escape::resolve_predefined_entity(&name);
                    value.push_str(resolved.ok_or_else(|| bad(&format_args!("unknown entity `{name}`")))?);
                }
            },
            Event::End(_) => {
                let names: Vec<&str> = path.iter().map(String::as_str).collect();
                if let (["WIM", "IMAGE", names @ ..], Some(image)) = (&names[..], images.last_mut()) {
                    set(image, &mut halves, names, value.trim());
                }
                path.pop();
                value.clear();
            }
            Event::Eof if !path.is_empty() => return Err(bad(&"it ends within an element")),
            Event::Eof => break,
            _ => {}
        }
    }
    images.sort_by_key(|image| image.index);
    Ok(images)
}

/// Stores the text `value` of the element at `path` below IMAGE.
fn set(image: &mut ImageInfo, halves: &mut (u64, u64), path: &[&str], value: &str) {
    let text = || value.to_owned();
    let number = || value.parse().unwrap_or_default();
    let half = || u64::from_str_radix(value.trim_start_matches("0x"), 16).unwrap_or_default() & 0xffff_ffff;
    let mut part = |field: fn(&mut Version) -> &mut u32| {
        *field(image.version.get_or_insert_default()) = value.parse().unwrap_or_default();
    };
    match path {
        ["NAME"] => image.name = text(),
        ["DESCRIPTION"] => image.description = text(),
        ["DISPLAYNAME"] => image.display_name = text(),
        ["TOTALBYTES"] => image.total_bytes = ByteSize::new(number()),
        ["FILECOUNT"] => image.file_count = number(),
        ["DIRCOUNT"] => image.directory_count = number(),
        ["CREATIONTIME", "HIGHPART"] => halves.0 = half(),
        ["CREATIONTIME", "LOWPART"] => halves.1 = half(),
        ["CREATIONTIME"] => image.creation_time = FileTime(halves.0 << 32 | halves.1),
        ["WINDOWS", "EDITIONID"] => image.edition_id = text(),
        ["WINDOWS", "PRODUCTNAME"] => image.product_name = text(),
        ["WINDOWS", "INSTALLATIONTYPE"] => image.installation_type = text(),
        ["WINDOWS", "ARCH"] => {
            image.architecture = value.parse().ok().map(|value| match value {
                0 => Architecture::X86,
                5 => Architecture::Arm,
                6 => Architecture::Ia64,
                9 => Architecture::Amd64,
                12 => Architecture::Arm64,
                other => Architecture::Other(other),
            });
        }
        ["WINDOWS", "LANGUAGES", "LANGUAGE"] => image.languages.push(text()),
        ["WINDOWS", "LANGUAGES", "DEFAULT"] => image.default_language = Some(text()),
        ["WINDOWS", "VERSION", "MAJOR"] => part(|version| &mut version.major),
        ["WINDOWS", "VERSION", "MINOR"] => part(|version| &mut version.minor),
        ["WINDOWS", "VERSION", "BUILD"] => part(|version| &mut version.build),
        ["WINDOWS", "VERSION", "SPBUILD"] => part(|version| &mut version.service_pack_build),
        _ => {}
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
        let message = format!("`{wanted}` means several images of the WIM; it has {list}");
        return Err(Error::not_found(message).with_hint(format!("take the index: {}", found[0].index)));
    }
    let error = Error::not_found(format!("the WIM has no image `{wanted}`; it has {list}"));
    let names = images.iter().flat_map(|image| [&image.name, &image.edition_id, &image.display_name]);
    Err(match nearest(wanted, names.map(String::as_str)) {
        Some(name) => error.with_hint(format!("did you mean `{name}`?")),
        None => error.with_hint("take an index or a name from the list"),
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

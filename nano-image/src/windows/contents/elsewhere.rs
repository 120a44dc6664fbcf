//! Files whose contents are not on the volume: deduplicated, archived, or in a cloud.

use crate::error::Error;
use crate::volume::ntfs::NtfsFile;
use crate::volume::ntfs::format::attribute_type;

/// Bit of reparse tags that stand for another file or folder ([MS-FSCC] 2.1.2.1): links, junctions, mount points.
const NAME_SURROGATE: u32 = 0x2000_0000;
/// Reparse tags of filters that keep contents elsewhere, and what they do with them ([MS-FSCC] 2.1.2.1).
const FILTERS: [(u32, &str); 8] = [
    (0x8000_0006, "archived (HSM)"),
    (0xC000_0004, "archived (HSM)"),
    (0x8000_0007, "kept once for several files (SIS)"),
    (0x8000_0008, "in a WIM"),
    (0x8000_0013, "deduplicated"),
    (0x8000_0018, "in the layers of a container"),
    (0x9000_1018, "in the layers of a container"),
    (0x9000_001C, "projected by a program (ProjFS)"),
];
/// FILE_ATTRIBUTE_OFFLINE, FILE_ATTRIBUTE_RECALL_ON_OPEN, FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS ([MS-FSCC] 2.6).
const RECALLED: u32 = 0x1000 | 0x4_0000 | 0x40_0000;

/// Whether a reparse point stands for another file or folder.
pub fn is_surrogate(tag: u32) -> bool {
    tag & NAME_SURROGATE != 0
}

/// Why the contents of `file` cannot be read from its volume, although its clusters read as zeros; `None` if they can.
pub fn error(file: &NtfsFile) -> Option<Error> {
    let data = file.attributes().find(|data| data.kind() == attribute_type::DATA && data.name().units().is_empty())?;
    let tag = file.reparse_tag();
    let is_hole = data.size() > 0 && data.resident().is_none() && data.first_lcn().is_none();
    let bits = file.standard_information().map_or(0, |facts| facts.attributes.get());
    let filter = FILTERS.iter().find(|(known, _)| tag == Some(*known)).map(|(_, what)| *what);
    let is_filtered = tag.is_some_and(|tag| !is_surrogate(tag) && tag != super::wof::TAG);
    let what = match filter {
        Some(what) if data.size() > 0 => what,
        // Downloaded files of a cloud keep their tag. A file whose contents are all a hole is not downloaded.
        _ if bits & RECALLED != 0 && (is_filtered || is_hole) => "offline: a program fetches them when they are read",
        _ if is_filtered && is_hole => "kept by a filter",
        _ => return None,
    };
    let tag = tag.map(|tag| format!(", reparse tag {tag:#010x}")).unwrap_or_default();
    let message = format!("the contents of the file are not in the volume's clusters: they are {what}{tag}");
    Some(Error::unsupported(message).with_hint("only the Windows that made the file can read it"))
}

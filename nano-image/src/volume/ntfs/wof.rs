//! Files in the form of the Windows Overlay Filter (WOF, Compact OS).
//!
//! The unnamed stream is a hole of the length of the contents, the compressed form is a stream of its own, and a
//! reparse point names the algorithm. `wof.sys` decompresses such a file when it is read. Public sources: wofapi.h and
//! ntifs.h of the Windows SDK and WDK for the reparse data; the layout of the streams is that of files compressed by
//! Windows.

use zerocopy::IntoBytes;

use super::format::*;
use super::record::{Allocation, Attribute, BlobStream, Form, Source};
use crate::content::{BlobForm, BlobRequest, WofAlgorithm};
use crate::error::{Error, Result};
use crate::tree::{CompactForm, CompactSource, Node};
use crate::types::Utf16Name;

/// `IO_REPARSE_TAG_WOF`
const REPARSE_TAG: u32 = 0x8000_0017;

/// Name of the stream with the compressed form.
static STREAM_NAME: [u16; 17] = {
    let (text, mut units, mut at) = (b"WofCompressedData", [0; 17], 0);
    while at < units.len() {
        units[at] = text[at] as u16;
        at += 1;
    }
    units
};

/// Tag of the reparse point that a file has on the volume.
pub(super) fn reparse_tag(node: &Node) -> Option<u32> {
    let wof = node.compact.as_ref().map(|_| REPARSE_TAG);
    wof.or_else(|| node.reparse.as_ref().map(|reparse| reparse.tag))
}

/// Refuses a compact file that has something for which the filter leaves no room.
pub(super) fn check(node: &Node, name: &Utf16Name) -> Result<()> {
    let is_taken = |stream: &Utf16Name| stream.eq_ignore_case(&Utf16Name::from_units(STREAM_NAME));
    let reason = if node.compact.is_none() {
        return Ok(());
    } else if node.is_directory() || node.data.as_ref().is_none_or(|data| data.is_empty()) {
        "it has no contents"
    } else if node.reparse.is_some() {
        "it is a reparse point"
    } else if node.extended_attributes.is_some() {
        "it has extended attributes"
    } else if node.streams.iter().any(|stream| is_taken(&stream.name)) {
        "it has a stream with the name that is needed for it"
    } else {
        return Ok(());
    };
    Err(Error::unsupported(format!("`{name}` cannot be compact: {reason}")))
}

/// The `$DATA` attributes of a compact file, sorted.
pub(super) fn data_attributes<'a>(node: &'a Node, compact: &'a CompactForm, cluster_size: u64) -> Vec<Attribute<'a>> {
    let size = node.data.as_ref().map_or(0, |data| data.len());
    let hole = Form::NonResident(hole(size, cluster_size), Source::Hole);
    let mut attributes = vec![Attribute { kind: attribute_type::DATA, name: [][..].into(), form: hole }];
    let name = Utf16Name::from_units(STREAM_NAME);
    let before = node.streams.partition_point(|stream| stream.name < name);
    let stream = |stream: &'a crate::tree::NamedStream| {
        Attribute::stream(attribute_type::DATA, stream.name.units(), &stream.content)
    };
    attributes.extend(node.streams[..before].iter().map(stream));
    attributes.push(match &compact.source {
        CompactSource::Copy { id, len } => {
            let request = BlobRequest { id: *id, form: BlobForm::Stored };
            let form = Form::ResidentStream(BlobStream { request, len: *len });
            Attribute { kind: attribute_type::DATA, name: STREAM_NAME[..].into(), form }
        }
        CompactSource::Made(content) => Attribute::stream(attribute_type::DATA, &STREAM_NAME, content),
    });
    attributes.extend(node.streams[before..].iter().map(stream));
    attributes
}

/// Value of the `$REPARSE_POINT` of a compact file.
pub(super) fn reparse_point(algorithm: WofAlgorithm) -> Vec<u8> {
    let value = WofReparsePoint {
        tag: REPARSE_TAG.into(),
        length: 16.into(),
        reserved: 0.into(),
        version: 1.into(),
        provider: 2.into(),
        provider_version: 1.into(),
        algorithm: (algorithm as u32).into(),
    };
    value.as_bytes().to_vec()
}

/// A hole of `size` bytes in whole compression units: readers treat a partial unit as compressed data.
fn hole(size: u64, cluster_size: u64) -> Allocation {
    let clusters = size.div_ceil(cluster_size).next_multiple_of(1 << SPARSE_UNIT_SHIFT);
    Allocation { size, clusters, lcn: None, cluster_size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reparse_data_is_what_windows_writes() {
        let value = reparse_point(WofAlgorithm::Xpress16k);
        let words: Vec<u32> = value.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
        assert_eq!(words, [0x8000_0017, 16, 1, 2, 1, 3]);
    }

    #[test]
    fn holes_are_whole_units() {
        for (size, clusters) in [(1, 16), (65_536, 16), (65_537, 32)] {
            assert_eq!(hole(size, 4096).clusters, clusters);
        }
    }
}

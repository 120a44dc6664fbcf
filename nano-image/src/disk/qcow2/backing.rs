//! The backing file of an overlay.

use std::collections::{BTreeMap, BTreeSet};

use zerocopy::FromBytes;

use super::format::*;
use crate::content::ReadAt;
use crate::disk::layer::{Layer, ParentLink};
use crate::disk::map::{read_array, read_into};
use crate::error::{Error, Result};

/// Longest name of a format.
const MAX_FORMAT: u32 = 64;

/// What an overlay says about its backing file; `None` if the image has none. `zeros` are the clusters that are zeros
/// in it.
pub(super) fn layer(file: &dyn ReadAt, header: &Header, zeros: BTreeSet<u64>) -> Result<Option<Layer>> {
    let (offset, len) = (header.backing_file_offset.get(), header.backing_file_size.get() as usize);
    if offset == 0 {
        return Ok(None);
    }
    if len == 0 || len > MAX_BACKING_NAME {
        return Err(Error::corrupt(format!("a backing file cannot have a name of {len} bytes")).at(16));
    }
    let mut name = vec![0; len];
    read_into(file, offset, &mut name)?;
    let name = String::from_utf8(name)
        .map_err(|_| Error::unsupported("the name of the backing file is not UTF-8").at(offset))?;
    // QEMU also accepts names with a protocol.
    let path = name.strip_prefix("file:").unwrap_or(&name);
    if name.starts_with("json:") || path.split('/').next().is_some_and(|first| first.contains(':')) {
        let error = Error::unsupported(format!("the backing file `{name}` is not a file on this machine")).at(offset);
        return Err(error.with_hint("merge both first: qemu-img convert -O qcow2 IN OUT.qcow2"));
    }
    let parent = ParentLink { paths: vec![path.to_owned()], id: None, format: format(file, header)? };
    Ok(Some(Layer { parent, zeros, bitmaps: BTreeMap::new(), sector_size: 512, high_bit_first: false }))
}

/// QEMU's name of the backing file's format, if an extension of the header has it.
fn format(file: &dyn ReadAt, header: &Header) -> Result<Option<String>> {
    let mut at = match header.version.get() {
        2 => 72,
        _ => u64::from(header.header_length.get()).max(size_of::<Header>() as u64),
    };
    // All extensions are in the first cluster.
    while at + size_of::<ExtensionHeader>() as u64 <= 1 << header.cluster_bits.get() {
        let bytes: [u8; size_of::<ExtensionHeader>()] = read_array(file, at)?;
        let extension = ExtensionHeader::read_from_bytes(&bytes).expect("the array has the struct's size");
        let (kind, len) = (extension.kind.get(), extension.length.get());
        at += bytes.len() as u64;
        match kind {
            0 => break,
            BACKING_FORMAT if len <= MAX_FORMAT => {
                let mut name = vec![0; len as usize];
                read_into(file, at, &mut name)?;
                return Ok(String::from_utf8(name).ok());
            }
            _ => at += u64::from(len).next_multiple_of(8),
        }
    }
    Ok(None)
}

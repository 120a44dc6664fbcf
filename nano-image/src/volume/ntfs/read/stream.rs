//! The bytes of a stream.

use std::io;

use super::mft::{Attribute, AttributeValue};
use crate::content::ReadAt;
use crate::error::{Error, Result};
use crate::volume::ntfs::format::attribute_flag;

/// The bytes of one stream of a file.
pub struct NtfsStream<'a> {
    volume: &'a dyn ReadAt,
    cluster_size: u64,
    value: AttributeValue,
}

impl<'a> NtfsStream<'a> {
    /// For a whole attribute, joined from all its parts.
    pub(super) fn new(volume: &'a dyn ReadAt, cluster_size: u64, attribute: &Attribute) -> Result<Self> {
        if let AttributeValue::NonResident { runs, data_size, .. } = &attribute.value {
            let what = attribute.kind;
            if attribute.flags & attribute_flag::COMPRESSION_MASK != 0 {
                return Err(Error::unsupported("the stream is compressed (LZNT1), which is not handled"));
            }
            if attribute.flags & attribute_flag::ENCRYPTED != 0 {
                return Err(Error::unsupported("the stream is encrypted (EFS), which is not handled"));
            }
            if runs.first().0 != 0 || *data_size > runs.end().0 * cluster_size {
                return Err(Error::corrupt(format!(
                    "attribute {what:#x} has fewer clusters than its {data_size} bytes need"
                )));
            }
        }
        Ok(Self { volume, cluster_size, value: attribute.value.clone() })
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        match &self.value {
            AttributeValue::Resident(bytes) => bytes.len() as u64,
            AttributeValue::NonResident { data_size, .. } => *data_size,
        }
    }
}

impl ReadAt for NtfsStream<'_> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.size()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match &self.value {
            AttributeValue::Resident(bytes) => bytes.read_exact_at(buf, offset),
            AttributeValue::NonResident { runs, initialized_size, .. } => {
                let written = initialized_size.saturating_sub(offset).min(buf.len() as u64) as usize;
                let (written, rest) = buf.split_at_mut(written);
                rest.fill(0);
                runs.read(self.volume, self.cluster_size, written, offset)
            }
        }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.size())
    }
}

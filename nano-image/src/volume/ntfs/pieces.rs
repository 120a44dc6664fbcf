//! What lies where on a volume, without reading any blob. Two layouts of one recipe are compared by it.

use std::borrow::Cow;

use super::layout::NtfsLayout;
use super::place::{Place, Request, SegmentBytes};
use crate::content::{BlobForm, BlobRequest};
use crate::error::Result;
use crate::types::VolumeOffset;

/// What lies at one position.
#[derive(Clone, Debug)]
pub enum Piece<'a> {
    /// These bytes.
    Bytes(Cow<'a, [u8]>),
    /// This number of bytes 0xFF.
    Ones(u64),
    /// A blob with its length in bytes.
    Blob(BlobRequest, u64),
}

/// Returns the bytes of a blob that lies in a record.
pub type Resident<'r> = dyn FnMut(BlobRequest, u64) -> Result<Vec<u8>> + 'r;

impl NtfsLayout {
    /// Everything on the volume, in ascending order; what lies between is zero. `resident` gives the blobs that lie in
    /// records.
    ///
    /// # Errors
    /// Those of `resident`.
    pub fn pieces(&self, resident: &mut Resident<'_>) -> Result<Vec<(VolumeOffset, Piece<'_>)>> {
        let mut pieces: Vec<(VolumeOffset, Piece<'_>)> = Vec::new();
        for segment in &self.segments {
            let piece = match &segment.bytes {
                SegmentBytes::Owned(bytes) => Piece::Bytes(Cow::Borrowed(bytes)),
                SegmentBytes::Index { place, .. } => Piece::Bytes(Cow::Owned(self.index_blocks(*place))),
                SegmentBytes::Ones(len) => Piece::Ones(*len),
            };
            pieces.push((segment.offset, piece));
        }
        for request in self.requests.iter().chain(&self.late_requests) {
            if let Place::Clusters(offset) = request.place {
                pieces.push((offset, Piece::Blob(request.blob, request.len)));
            }
        }
        let blobs = self.resident_blobs(resident)?;
        self.write_all_records(&blobs, &mut |offset, bytes| {
            pieces.push((offset, Piece::Bytes(Cow::Owned(bytes.to_vec()))));
            Ok(())
        })?;
        pieces.retain(|(_, piece)| piece.size() > 0);
        pieces.sort_by_key(|(offset, _)| *offset);
        Ok(pieces)
    }

    /// The blobs in records that may reach into one of `wanted`, which are ranges of bytes of the volume, ascending and
    /// not overlapping.
    pub fn residents_in(&self, wanted: &[(u64, u64)]) -> Vec<BlobRequest> {
        let start = self.mft.lcn.unwrap_or(0) * self.sizes.cluster_size;
        let is_wanted = |request: &&Request| {
            // Extension records follow the first record.
            let first = start + request.record * self.sizes.record_size;
            let end = first + MAX_RECORDS * self.sizes.record_size;
            let next = wanted.partition_point(|(_, wanted_end)| *wanted_end <= first);
            matches!(request.place, Place::Record(_)) && wanted.get(next).is_some_and(|(start, _)| *start < end)
        };
        self.requests.iter().filter(is_wanted).map(|request| request.blob).collect()
    }
}

/// Records of a file that are searched for its blobs.
const MAX_RECORDS: u64 = 64;

impl Piece<'_> {
    /// Length in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Ones(len) | Self::Blob(_, len) => *len,
        }
    }

    /// The same piece with its own copy of the bytes.
    pub fn into_owned(self) -> Piece<'static> {
        match self {
            Self::Bytes(bytes) => Piece::Bytes(Cow::Owned(bytes.into_owned())),
            Self::Ones(len) => Piece::Ones(len),
            Self::Blob(blob, len) => Piece::Blob(blob, len),
        }
    }
}

/// Bytes in the place of a blob that is not read. Different blobs have different bytes.
pub fn stand_in(blob: BlobRequest, len: u64, mark: u32) -> Vec<u8> {
    let form = u32::from(blob.form == BlobForm::Stored);
    let unit = [blob.id.0, form, mark].map(u32::to_le_bytes).concat();
    unit.iter().copied().cycle().take(len as usize).collect()
}

//! What lies where on a disk, taken from its layout.

use super::layout::Layout;
use crate::content::{BlobRequest, Extent};
use crate::error::Result;
use crate::types::DiskOffset;
use crate::volume::ntfs::{self, Piece};

impl Layout<'_> {
    /// Everything that is on the disk, by ascending disk offset.
    pub(super) fn pieces(&self, resident: &mut ntfs::Resident<'_>) -> Result<Vec<(u64, Piece<'_>)>> {
        let known = |segments: &'_ [(DiskOffset, Vec<u8>)]| -> Vec<(u64, Vec<u8>)> {
            segments.iter().map(|(at, bytes)| (at.0, bytes.clone())).collect()
        };
        let own = |(at, bytes): (u64, Vec<u8>)| (at, Piece::Bytes(bytes.into()));
        let mut all: Vec<(u64, Piece<'_>)> = known(&self.before).into_iter().map(own).collect();
        for (start, volume) in self.volumes() {
            all.extend(volume.pieces(resident)?.into_iter().map(|(at, piece)| (start.0 + at.0, piece)));
        }
        all.extend(known(&self.after).into_iter().map(own));
        all.retain(|(_, piece)| piece.size() > 0);
        Ok(all)
    }

    /// Where the MFTs are on the disk.
    pub(super) fn mfts(&self) -> Vec<Extent> {
        let mft = |(start, volume): (DiskOffset, &ntfs::NtfsLayout)| {
            let mft = volume.mft_extent();
            Extent { start: start.0 + mft.start, len: mft.len }
        };
        self.volumes().map(mft).collect()
    }

    /// The blobs inside MFT records that may lie in `pages` of the disk.
    pub(super) fn residents_in(&self, pages: &[Extent]) -> Vec<BlobRequest> {
        let mut all = Vec::new();
        for (start, volume) in self.volumes() {
            let inside = pages.iter().filter(|page| page.end() > start.0);
            let wanted = inside.map(|page| (page.start.saturating_sub(start.0), page.end() - start.0));
            all.extend(volume.residents_in(&wanted.collect::<Vec<_>>()));
        }
        all
    }
}

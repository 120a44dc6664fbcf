//! The boot sector and its copy, which state the sizes of everything else.

use zerocopy::IntoBytes;

use super::format::*;
use crate::types::{ByteSize, Lba, VolumeOffset};

/// The facts in the boot sector.
pub(super) struct Facts {
    /// Size of the partition.
    pub size: ByteSize,
    /// First sector of the partition.
    pub start: Lba,
    /// Bytes of a sector.
    pub sector_size: u32,
    pub cluster_size: u64,
    pub record_size: u64,
    /// First clusters of the MFT and of its mirror.
    pub mft_lcn: u64,
    pub mft_mirr_lcn: u64,
    pub serial_number: u64,
    pub boot_code: Option<&'static [u8]>,
}

impl Facts {
    /// The boot file, and the copy of its first sector after the last cluster.
    pub fn sectors(&self) -> [(VolumeOffset, Vec<u8>); 2] {
        let cluster_size = self.cluster_size;
        let backup_offset = backup_offset(self.size, self.sector_size);
        let sector_size = self.sector_size as usize;
        let mut boot = self.boot_code.unwrap_or(HALT_STUB).to_vec();
        boot.resize(boot.len().max(sector_size), 0);
        let jump = [boot[0], boot[1], boot[2]];
        let sector = BootSector {
            jump,
            oem_id: *b"NTFS    ",
            bytes_per_sector: (sector_size as u16).into(),
            sectors_per_cluster: (cluster_size as usize / sector_size) as u8,
            unused1: [0; 7],
            media: 0xF8,
            unused2: [0; 2],
            sectors_per_track: 63.into(),
            heads: 255.into(),
            hidden_sectors: (self.start.0 as u32).into(),
            unused3: [0; 4],
            signature: [0x80, 0, 0x80, 0],
            total_sectors: (backup_offset.0 / sector_size as u64).into(),
            mft_lcn: self.mft_lcn.into(),
            mft_mirr_lcn: self.mft_mirr_lcn.into(),
            clusters_per_record: clusters_or_shift(self.record_size, cluster_size),
            unused4: [0; 3],
            clusters_per_index_block: clusters_or_shift(INDEX_BLOCK_SIZE as u64, cluster_size),
            unused5: [0; 3],
            serial_number: self.serial_number.into(),
            checksum: 0.into(),
            boot_code: boot[0x54..0x1FE].try_into().expect("426 bytes"),
            end_marker: [0x55, 0xAA],
        };
        boot[..sector.as_bytes().len()].copy_from_slice(sector.as_bytes());
        let backup = boot[..sector_size].to_vec();
        [(VolumeOffset(0), boot), (backup_offset, backup)]
    }
}

/// Position of the last sector of the partition, which holds the copy of the boot sector.
pub(super) fn backup_offset(size: ByteSize, sector_size: u32) -> VolumeOffset {
    let sector_size = u64::from(sector_size);
    VolumeOffset((size.bytes() / sector_size - 1) * sector_size)
}

/// A size in the form of the boot sector: a number of clusters, or if it is less than one cluster, minus log₂ of its
/// bytes.
fn clusters_or_shift(size: u64, cluster_size: u64) -> i8 {
    if size < cluster_size { -(size.trailing_zeros() as i8) } else { (size / cluster_size) as i8 }
}

/// `jmp $+0x54; nop`, and at 0x54 `cli; hlt; jmp $-1`: for a volume that no BIOS boots from.
const HALT_STUB: &[u8] = &{
    let mut code = [0; SECTOR_SIZE];
    (code[0], code[1], code[2]) = (0xEB, 0x52, 0x90);
    (code[0x54], code[0x55], code[0x56], code[0x57]) = (0xFA, 0xF4, 0xEB, 0xFD);
    code
};

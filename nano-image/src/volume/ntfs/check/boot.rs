//! The boot sector and its copy.

use zerocopy::{FromBytes, IntoBytes};

use crate::content::ReadAt;
use crate::report::{Finding, Findings};
use crate::volume::ntfs::format::BootSector;

/// What the boot sector says about the volume.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    /// Bytes.
    pub cluster_size: u64,
    /// Number of clusters.
    pub clusters: u64,
    /// Bytes of an MFT record.
    pub record_size: usize,
    /// Bytes of an index block.
    pub index_block_size: usize,
    /// Cluster of `$MFT`.
    pub mft_lcn: u64,
    /// Cluster of `$MFTMirr`.
    pub mirror_lcn: u64,
}

const BOOT: &str = "boot sector";

/// Checks both boot sectors. `None` if the first one is too damaged for further checks.
pub(super) fn check(volume: &dyn ReadAt, findings: &mut Findings) -> Option<Geometry> {
    let mut bad = |at: u64, message: String| findings.add(Finding::new("ntfs-boot", BOOT, message).at(at));
    let mut bytes = [0; size_of::<BootSector>()];
    if volume.read_exact_at(&mut bytes, 0).is_err() {
        bad(0, "cannot be read".into());
        return None;
    }
    let boot = BootSector::read_from_bytes(&bytes).expect("the array has the struct's size");
    if boot.oem_id != *b"NTFS    " {
        bad(3, "the OEM id is not `NTFS`".into());
        return None;
    }
    if boot.end_marker != [0x55, 0xAA] {
        bad(0x1FE, format!("ends in {:02x?}, not in [55, aa]", boot.end_marker));
    }
    if boot.media != 0xF8 {
        bad(0x15, format!("the media byte is {:#04x}, not 0xf8", boot.media));
    }
    if boot.unused1 != [0; 7] || boot.unused2 != [0; 2] || boot.unused3 != [0; 4] {
        bad(0x0E, "fields of FAT that NTFS keeps zero are not".into());
    }

    let sector_size = u64::from(boot.bytes_per_sector.get());
    let sectors_per_cluster = power(boot.sectors_per_cluster, 128);
    let cluster_size = sectors_per_cluster.saturating_mul(sector_size);
    let sane_sector = sector_size.is_power_of_two() && (256..=4096).contains(&sector_size);
    if !sane_sector || !cluster_size.is_power_of_two() || cluster_size > 2 << 20 {
        bad(0x0B, format!("sectors of {sector_size} bytes, clusters of {sectors_per_cluster} sectors"));
        return None;
    }
    let sectors = boot.total_sectors.get();
    let clusters = sectors / sectors_per_cluster;
    let available = volume.len().unwrap_or(0);
    if clusters == 0 || clusters > u64::from(u32::MAX) || sectors.saturating_mul(sector_size) > available {
        let message = format!("{sectors} sectors of {sector_size} bytes do not fit the partition of {available} bytes");
        bad(0x28, message);
        return None;
    }
    let size = |stored: i8| match stored {
        1.. => stored as u64 * cluster_size,
        _ => 1u64.checked_shl(-i32::from(stored) as u32).unwrap_or(0),
    };
    let (record_size, index_block_size) = (size(boot.clusters_per_record), size(boot.clusters_per_index_block));
    if ![512, 1024, 2048, 4096].contains(&record_size) || !(512..=65_536).contains(&index_block_size) {
        bad(0x40, format!("MFT records of {record_size} bytes, index blocks of {index_block_size}"));
        return None;
    }
    let (mft_lcn, mirror_lcn) = (boot.mft_lcn.get(), boot.mft_mirr_lcn.get());
    for (at, name, lcn) in [(0x30, "$MFT", mft_lcn), (0x38, "$MFTMirr", mirror_lcn)] {
        if lcn >= clusters {
            bad(at, format!("{name} begins at cluster {lcn}, but there are {clusters}"));
        }
    }
    backup(volume, &boot, sectors * sector_size, findings);
    Some(Geometry {
        cluster_size,
        clusters,
        record_size: record_size as usize,
        index_block_size: index_block_size as usize,
        mft_lcn,
        mirror_lcn,
    })
}

/// Checks the copy, which is in the sector behind the last one that the boot sector counts.
fn backup(volume: &dyn ReadAt, boot: &BootSector, at: u64, findings: &mut Findings) {
    let mut copy = [0; size_of::<BootSector>()];
    let message = match volume.read_exact_at(&mut copy, at) {
        Err(_) => "cannot be read: the partition ends before it".to_owned(),
        Ok(()) => match boot.as_bytes().iter().zip(&copy).position(|(a, b)| a != b) {
            Some(first) => format!("differs from the boot sector from its byte {first:#x} on"),
            None => return,
        },
    };
    findings.add(Finding::new("ntfs-boot-backup", "backup boot sector", message).at(at));
}

/// A number; if it is above `limit`, it stands for 2 to the power of 256 minus it.
fn power(stored: u8, limit: u8) -> u64 {
    if stored <= limit { stored.into() } else { 1u64.checked_shl(256 - u32::from(stored)).unwrap_or(0) }
}

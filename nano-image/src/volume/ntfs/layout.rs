//! From tree to extents: the position of every byte of the volume.

use std::sync::Arc;

use super::boot;
use super::files::{Files, Zone};
use super::format::*;
use super::index::IndexEntry;
use super::place::{Allocator, Parts, Request, Segment, SegmentBytes, bitmap_run, run_of};
use super::record::*;
use super::secure::SecurityTable;
use super::system::{self, SystemFile, SystemSizes};
use crate::content::Extent;
use crate::error::{Error, Result};
use crate::tree::{FileTree, NodeId, Times};
use crate::types::{ByteSize, Lba, Utf16Name, VolumeOffset};

/// Options of a volume, apart from its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NtfsOptions {
    /// Size of the partition, whole sectors.
    pub size: ByteSize,
    /// First sector of the partition.
    pub start: Lba,
    /// Logical sector size of the disk, bytes: 512 or 4096.
    pub sector_size: u32,
    /// 4–64 KiB, a power of two; with `None` the size that Windows chooses, 4 KiB up to 16 TiB.
    pub cluster_size: Option<ByteSize>,
    /// Serial number; not 0.
    pub serial_number: u64,
    /// Label of at most 32 units.
    pub label: Utf16Name,
    /// Times of the system files.
    pub time: Times,
    /// Boot code for `$Boot`, at most 8,192 bytes; the BIOS parameter block at 0x0B is filled in by the volume. With
    /// `None` a stub that halts is written.
    pub boot_code: Option<&'static [u8]>,
}

/// The address of every byte of a volume.
#[derive(Debug)]
pub struct NtfsLayout {
    pub(super) files: Files,
    pub(super) system: Vec<SystemFile>,
    pub(super) options: NtfsOptions,
    pub(super) sizes: SystemSizes,
    pub(super) segments: Vec<Segment>,
    /// Blobs that are written before the MFT, or in it.
    pub(super) requests: Vec<Request>,
    /// Blobs that are written behind the MFT.
    pub(super) late_requests: Vec<Request>,
    pub(super) mft: Allocation,
    pub(super) mft_mirr: Allocation,
    pub(super) used_clusters: u64,
    /// Clusters of blobs, before and behind the MFT.
    data: [Extent; 2],
}

/// The smallest volume.
const MIN_SIZE: ByteSize = ByteSize::mib(64);
const MAX_SIZE: ByteSize = ByteSize::tib(64);
/// Windows counts clusters with 32 bits.
const MAX_CLUSTERS: u64 = u32::MAX as u64;
/// Free records at the end of the MFT, so that a mounted volume can grow at once.
const SPARE_RECORDS: u64 = 256;

impl NtfsLayout {
    /// Lays out `tree` as an NTFS 3.1 volume.
    ///
    /// Everything has one run. In ascending order: boot file, system files; the blobs in the order in which their store reads
    /// best; generated files and indexes; what the tree [keeps](FileTree::kept); the MFT, which begins with the records of
    /// that; some of the indexes, so many that what is kept lies in the fewest blocks; what only this machine has; free
    /// space, and the backup boot sector.
    ///
    /// # Errors
    /// [`TooSmall`](crate::ErrorKind::TooSmall) with the size that is needed; [`Recipe`](crate::ErrorKind::Recipe) for
    /// sizes that NTFS does not allow; [`Unsupported`](crate::ErrorKind::Unsupported) and
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for trees that it cannot hold.
    pub fn new(tree: Arc<FileTree>, options: NtfsOptions) -> Result<Self> {
        let cluster_size = cluster_size(&options)?;
        let record_size = record_size(options.sector_size);
        let mut security = SecurityTable::new();
        let mut files = Files::plan(tree, &mut security, [cluster_size, record_size], system::root_entries_len())?;

        let sizes = system_sizes(&options, &files);
        let mut system = SystemFile::all(sizes, &options.label, &files, &security, options.time);

        reject_system_names(&files)?;

        let mut space = Allocator::new(cluster_size);
        space.place_system(&mut system);
        let root_entries = root_entries(&files, &system, options.time);
        let mut parts = Parts::of(&mut files, root_entries);
        let mut requests = std::mem::take(&mut parts.resident);
        let early = space.place_blobs(&mut files, &mut requests, parts.blobs(Zone::Settled));
        let (mut settled, kept) = (parts.bytes(Zone::Settled), parts.kept(&files));
        let mft_bitmap = bitmap_run(&mut system);
        let start = options.start.0 * u64::from(options.sector_size);
        let behind = space.take_behind(&files, &mut settled, &kept, start, mft_bitmap.clusters);
        space.place_bytes(&mut files, settled);

        let mft_bitmap = space.place(mft_bitmap);
        space.segment(&mft_bitmap, SegmentBytes::Owned(record_bitmap(&sizes, &files)));
        let unused = space.place_kept(&mut files, kept);
        let mft = space.place(run_of(&mut system, record::MFT));
        if !space.is_mirror_early() {
            space.place(run_of(&mut system, record::MFT_MIRR));
        }
        let mft_mirr = *run_of(&mut system, record::MFT_MIRR);
        space.place_bytes(&mut files, behind);
        let mut late_requests = Vec::new();
        let late = space.place_blobs(&mut files, &mut late_requests, parts.blobs(Zone::Late));
        space.place_bytes(&mut files, parts.bytes(Zone::Late));
        check_space(&space, &sizes, &options)?;
        let bitmap = *run_of(&mut system, record::BITMAP);
        space.segments.extend(cluster_bitmap(&bitmap, sizes.clusters, space.next, &unused));
        let used_clusters = space.next - unused.iter().map(|(_, clusters)| clusters).sum::<u64>();

        let is_mirror_early = space.is_mirror_early();
        let mut layout = Self {
            files,
            system,
            sizes,
            requests,
            late_requests,
            segments: space.segments,
            mft,
            mft_mirr,
            used_clusters,
            data: [early, late],
            options,
        };
        layout.add_copies(is_mirror_early);
        Ok(layout)
    }

    /// Size of the partition.
    pub fn size(&self) -> ByteSize {
        self.options.size
    }

    /// Serial number.
    pub fn serial_number(&self) -> u64 {
        self.options.serial_number
    }

    /// What the volume could not hold unchanged, one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.files.warnings
    }

    /// Bytes of the volume that may be non-zero, in ascending order.
    pub fn used_extents(&self) -> Vec<Extent> {
        let mut extents: Vec<Extent> = self
            .segments
            .iter()
            .map(|segment| Extent { start: segment.offset.0, len: segment.bytes.len() })
            .chain(self.data)
            .chain([self.records_extent(self.mft), self.records_extent(self.mft_mirr)])
            .filter(|extent| extent.len > 0)
            .collect();
        extents.sort();
        extents.dedup_by(|next, previous| {
            let touches = next.start <= previous.end();
            if touches {
                previous.len = previous.len.max(next.end() - previous.start);
            }
            touches
        });
        extents
    }

    /// Bytes of blobs that [`write`](Self::write) reads.
    pub fn blob_bytes(&self) -> ByteSize {
        ByteSize::new(self.data.iter().map(|data| data.len).sum())
    }

    /// Bytes of a cluster.
    pub fn cluster_size(&self) -> ByteSize {
        ByteSize::new(self.sizes.cluster_size)
    }

    /// Number of clusters in use, and number of all clusters.
    pub fn clusters(&self) -> (u64, u64) {
        (self.used_clusters, self.sizes.clusters)
    }

    /// Position of the MFT.
    pub fn mft_extent(&self) -> Extent {
        Extent { start: self.mft.lcn.unwrap_or(0) * self.sizes.cluster_size, len: self.mft.size }
    }

    fn records_extent(&self, run: Allocation) -> Extent {
        let records = self.files.next_record.min(run.size / self.sizes.record_size);
        Extent { start: run.lcn.unwrap_or(0) * self.sizes.cluster_size, len: records * self.sizes.record_size }
    }

    /// Adds what repeats other parts that have their positions: the boot sectors, and the mirror if it is `early`.
    fn add_copies(&mut self, early: bool) {
        let owned = |(offset, bytes)| Segment { offset, bytes: SegmentBytes::Owned(bytes) };
        let boot_sectors = self.boot_sectors(&self.options);
        self.segments.extend(boot_sectors.into_iter().map(owned));
        if early {
            let (time, record_size) = (self.options.time, self.sizes.record_size);
            let records: Vec<u8> = self.system[..4].iter().flat_map(|file| file.record(time, record_size)).collect();
            let offset = VolumeOffset(self.mft_mirr.lcn.unwrap_or(0) * self.sizes.cluster_size);
            self.segments.push(owned((offset, records)));
        }
        self.segments.sort_by_key(|segment| segment.offset);
    }

    /// The boot file, and the copy of its first sector.
    pub(super) fn boot_sectors(&self, options: &NtfsOptions) -> [(VolumeOffset, Vec<u8>); 2] {
        let &NtfsOptions { size, start, sector_size, serial_number, boot_code, .. } = options;
        let SystemSizes { cluster_size, record_size, .. } = self.sizes;
        let [mft_lcn, mft_mirr_lcn] = [self.mft, self.mft_mirr].map(|run| run.lcn.unwrap_or(0));
        let facts = boot::Facts {
            size,
            start,
            sector_size,
            cluster_size,
            record_size,
            mft_lcn,
            mft_mirr_lcn,
            serial_number,
            boot_code,
        };
        facts.sectors()
    }
}

fn system_sizes(options: &NtfsOptions, files: &Files) -> SystemSizes {
    let &Files { cluster_size, record_size, next_record, .. } = files;
    SystemSizes {
        cluster_size,
        record_size,
        clusters: boot::backup_offset(options.size, options.sector_size).0 / cluster_size,
        records: (next_record + SPARE_RECORDS).next_multiple_of(64),
        mirrored_records: (cluster_size / record_size).max(4),
        log_file: log_file_size(options.size),
    }
}

/// The root directory's entries for the system files and for itself.
fn root_entries(files: &Files, system: &[SystemFile], time: Times) -> Vec<(Utf16Name, IndexEntry)> {
    let in_root = system.iter().filter(|file| file.record < record::FIRST_FREE);
    in_root.map(|file| file.entry(time)).chain([(".".into(), root_entry(files))]).collect()
}

fn check_space(space: &Allocator, sizes: &SystemSizes, options: &NtfsOptions) -> Result<()> {
    if space.next <= sizes.clusters {
        return Ok(());
    }
    let needed = ByteSize::new(((space.next + 1) * sizes.cluster_size).next_multiple_of(1 << 20));
    let message =
        format!("the Windows volume needs {needed} for its files and their metadata, but has {}", options.size);
    Err(Error::too_small(message).with_needed(needed))
}

/// The root directory's entry for itself.
fn root_entry(files: &Files) -> IndexEntry {
    let root = &files.files[0];
    let link = files.names(root).next().expect("the root is called `.`");
    let key = files.file_name(root, link, &link.name, namespace::WIN32_AND_DOS);
    IndexEntry::directory(FileReference::of_fresh(record::ROOT), key)
}

/// Refuses files in the root directory that have names of system files.
fn reject_system_names(files: &Files) -> Result<()> {
    for (name, _) in system::ROOT_NAMES {
        if files.tree.child(NodeId::ROOT, &name.into()).is_some() {
            return Err(Error::corrupt(format!("`{name}` in the root directory is the name of an NTFS system file")));
        }
    }
    Ok(())
}

fn cluster_size(options: &NtfsOptions) -> Result<u64> {
    let size = options.size;
    if ![512, 4096].contains(&options.sector_size) {
        return Err(Error::recipe(format!("sectors of {} bytes are not 512 or 4096", options.sector_size)));
    }
    if size < MIN_SIZE {
        return Err(
            Error::too_small(format!("an NTFS volume needs at least {MIN_SIZE}, but has {size}")).with_needed(MIN_SIZE)
        );
    }
    if size > MAX_SIZE {
        return Err(Error::recipe(format!("the volume would have {size}")).with_hint(format!("{MAX_SIZE} is the most")));
    }
    check_cluster_size(size, options.cluster_size)
}

/// The cluster size of a volume of `size`: the one that is `wanted`, or else the one that Windows chooses.
///
/// # Errors
/// [`Recipe`](crate::ErrorKind::Recipe) for a cluster size that does not exist, or that is too small for the volume.
pub fn check_cluster_size(size: ByteSize, wanted: Option<ByteSize>) -> Result<u64> {
    let smallest = [4u64, 8, 16, 32, 64]
        .map(|kib| kib << 10)
        .into_iter()
        .find(|cluster| size.bytes() / cluster <= MAX_CLUSTERS)
        .unwrap_or(65536);
    let chosen = wanted.map_or(smallest, ByteSize::bytes);
    if !chosen.is_power_of_two() || !(4096..=65536).contains(&chosen) {
        return Err(Error::recipe(format!("a cluster size of {}", ByteSize::new(chosen)))
            .with_hint("choose 4K, 8K, 16K, 32K or 64K"));
    }
    if chosen < smallest {
        return Err(Error::recipe(format!("a volume of {size} with clusters of {}", ByteSize::new(chosen)))
            .with_hint(format!("Windows needs clusters of {} or more", ByteSize::new(smallest))));
    }
    Ok(chosen)
}

/// 1/2048 of the volume, but at least 2 MiB, and at most 64 MiB, which Windows gives large volumes.
fn log_file_size(volume: ByteSize) -> u64 {
    (volume.bytes() / 2048).clamp(2 << 20, 64 << 20).next_multiple_of(1 << 16)
}

/// `$MFT:$BITMAP`: records 0–15, and all used ones from 24 on.
fn record_bitmap(sizes: &SystemSizes, files: &Files) -> Vec<u8> {
    let mut bitmap = vec![0; (sizes.records.div_ceil(64) * 8) as usize];
    let used = (0..record::FIRST_FREE).chain(record::QUOTA..files.next_record);
    for record in used.filter(|record| files.free_records.binary_search(record).is_err()) {
        bitmap[(record / 8) as usize] |= 1 << (record % 8);
    }
    bitmap
}

/// `$Bitmap`: everything before `first_free` except `unused`, and the bits behind the last cluster.
fn cluster_bitmap(run: &Allocation, clusters: u64, first_free: u64, unused: &[(u64, u64)]) -> Vec<Segment> {
    let start = run.lcn.unwrap_or(0) * run.cluster_size;
    // The set bits of a 64-bit word: they lie before `first_free` or behind `clusters`.
    let word = |index: u64| -> u64 {
        let below = |end: u64| match end.saturating_sub(index * 64) {
            count @ 0..64 => (1 << count) - 1,
            _ => u64::MAX,
        };
        let free = unused.iter().fold(0, |bits, (first, count)| bits | (below(first + count) & !below(*first)));
        below(first_free) & !free | !below(clusters)
    };
    let at = |index: u64| VolumeOffset(start + index * 8);
    let (split, last) = (first_free / 64, clusters.div_ceil(64) - 1);
    let from = unused.iter().map(|(first, _)| first / 64).min().unwrap_or(split).min(split);
    let mut segments = vec![Segment { offset: at(0), bytes: SegmentBytes::Ones(from * 8) }];
    let single = |index| Segment { offset: at(index), bytes: SegmentBytes::Owned(word(index).to_le_bytes().to_vec()) };
    segments.extend((from..split.min(last)).map(single));
    segments.push(single(split.min(last)));
    segments.extend((last > split).then(|| single(last)));
    segments
}

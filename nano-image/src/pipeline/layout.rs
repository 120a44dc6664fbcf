//! Gives every byte its place.

use super::plan::Plan;
use super::scheme::Scheme;
use crate::content::{Extent, SourceCheck};
use crate::disk::{DiskSize, FileLayout, Format, gpt, mbr};
use crate::error::{Error, Result};
use crate::progress::{Observer, Phase};
use crate::tree::Times;
use crate::types::{ByteSize, DiskOffset, Lba};
use crate::volume::fat::{self, FatFile, FatOptions};
use crate::volume::ntfs::{NtfsLayout, NtfsOptions};
use crate::windows::boot_code;

/// The address of every byte of an image.
///
/// ```no_run
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{Format, Recipe, Sources};
///
/// let plan = Recipe::image("1").build()?.plan(&Sources::wim("nano.wim"), &())?;
/// let report = plan.layout(&())?.preview(&[Format::VHDX, Format::AZURE])?;
/// println!("{} and {} bytes", report.outputs[0].file_size, report.outputs[1].file_size);
/// # Ok(())
/// # }
/// ```
pub struct Layout<'p> {
    pub(super) plan: &'p Plan,
    pub(super) ntfs: NtfsLayout,
    /// The volume of the recovery environment, behind that of Windows.
    pub(super) recovery: Option<(DiskOffset, NtfsLayout)>,
    /// Partition table and EFI system partition, ascending; before and after the Windows volume.
    pub(super) before: Segments,
    pub(super) after: Segments,
    /// Bytes of the disk that may be other than zero.
    used: Vec<Extent>,
    pub(super) jobs: usize,
    pub(super) source_check: SourceCheck,
    pub(super) digests: bool,
}

/// Bytes of the disk whose values are known.
pub(super) type Segments = Vec<(DiskOffset, Vec<u8>)>;

impl Plan {
    /// Gives every byte of the disk its address; reads no file.
    ///
    /// # Errors
    /// [`TooSmall`](crate::ErrorKind::TooSmall) with the size that is needed and the size that is given,
    /// [`Recipe`](crate::ErrorKind::Recipe) for sizes that a format cannot have.
    pub fn layout(&self, observer: &dyn Observer) -> Result<Layout<'_>> {
        observer.begin(Phase::Layout, None);
        let start = self.scheme.windows().0;
        let options = self.ntfs_options();
        let ntfs = NtfsLayout::new(self.tree.clone(), options).map_err(|error| self.explain_size(error))?;
        let recovery = self.recovery_volume()?;
        let (before, after) = self.around()?;

        let extent = |(at, bytes): &(DiskOffset, Vec<u8>)| Extent { start: at.0, len: bytes.len() as u64 };
        let volumes = || std::iter::once((start, &ntfs)).chain(recovery.iter().map(|(start, volume)| (*start, volume)));
        let in_volumes = volumes().flat_map(|(start, volume)| {
            let used = volume.used_extents().into_iter();
            used.map(move |used| Extent { start: start.0 + used.start, len: used.len })
        });
        let used: Vec<Extent> = before.iter().map(extent).chain(in_volumes).chain(after.iter().map(extent)).collect();
        let warnings = self.warnings.iter().chain(volumes().flat_map(|(_, volume)| volume.warnings()));
        warnings.for_each(|warning| observer.warn(warning));
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let source_check = SourceCheck::default();
        Ok(Layout { plan: self, ntfs, recovery, before, after, used, jobs, source_check, digests: false })
    }

    /// What the volume of Windows is like, apart from its files.
    pub(super) fn ntfs_options(&self) -> NtfsOptions {
        let ((start, size), sector_size) = (self.scheme.windows(), self.recipe.disk().sector_size);
        NtfsOptions {
            size,
            start: Lba(start.0 / u64::from(sector_size)),
            sector_size,
            cluster_size: self.recipe.cluster_size(),
            serial_number: self.identity.disk.serial("NTFS volume"),
            label: self.recipe.label().into(),
            time: Times::all(self.time),
            boot_code: matches!(self.scheme, Scheme::Mbr { .. }).then(boot_code::volume_boot_code),
        }
    }

    /// What lies before the volume of Windows, and behind it, except other NTFS volumes; ascending.
    pub(super) fn around(&self) -> Result<(Segments, Segments)> {
        let mut before = self.scheme_segments(self.recipe.disk())?;
        before.sort_by_key(|(at, _)| *at);
        let after = before.split_off(before.partition_point(|(at, _)| *at < self.scheme.windows().0));
        Ok((before, after))
    }

    /// The volume of the recovery environment.
    fn recovery_volume(&self) -> Result<Option<(DiskOffset, NtfsLayout)>> {
        let (Some((start, size)), Some(tree)) = (self.scheme.recovery(), &self.recovery) else { return Ok(None) };
        let sector_size = self.recipe.disk().sector_size;
        let options = NtfsOptions {
            size,
            start: Lba(start.0 / u64::from(sector_size)),
            sector_size,
            cluster_size: None,
            serial_number: self.identity.disk.serial("recovery volume"),
            label: "Recovery".into(),
            time: Times::all(self.time),
            boot_code: None,
        };
        let volume = NtfsLayout::new(tree.clone(), options).map_err(|error| {
            let Some(needed) = error.needed() else { return error };
            let needed = ByteSize::new(needed.bytes().next_multiple_of(1 << 20));
            Error::too_small(format!("a recovery partition of {size} is too small: it needs {needed}"))
                .with_needed(needed)
                .with_hint(
                    "give --recovery-size more; updates of the recovery environment need about 250 MiB of free space",
                )
        })?;
        Ok(Some((start, volume)))
    }

    /// Everything outside the NTFS volumes: partition table and EFI system partition.
    fn scheme_segments(&self, disk: DiskSize) -> Result<Segments> {
        match &self.scheme {
            Scheme::Mbr { signature, windows, recovery } => {
                let mbr = mbr::Mbr {
                    disk_signature: *signature,
                    boot_code: boot_code::mbr_code().to_vec(),
                    partitions: std::iter::once(*windows).chain(*recovery).collect(),
                };
                Ok(vec![(DiskOffset(0), mbr::build(&mbr)?.to_vec())])
            }
            Scheme::Gpt { esp, .. } => {
                let options = FatOptions {
                    size: esp.len,
                    sector_size: disk.sector_size,
                    serial: self.identity.disk.signature("EFI system partition"),
                    label: "SYSTEM".into(),
                    start: esp.start,
                    time: self.time,
                };
                let mut files: Vec<FatFile<'_>> = self
                    .boot_files
                    .iter()
                    .map(|file| FatFile { path: &file.path, bytes: &file.bytes, attributes: file.attributes as u8 })
                    .collect();
                // What differs between machines lies near the start of the volume, so this file does too.
                files.sort_by_key(|file| !file.path.ends_with(r"\BCD"));
                let mut segments = gpt::build(&self.scheme.table(), disk.bytes, disk.sector_size)?;
                let fat = fat::build(&options, &files)?;
                segments.extend(fat.into_iter().map(|(at, bytes)| (DiskOffset(esp.start.0 + at.0), bytes)));
                Ok(segments)
            }
        }
    }

    /// Turns the size that the volume lacks into the size that the disk lacks.
    fn explain_size(&self, error: Error) -> Error {
        let Some(volume) = error.needed() else { return error };
        let given = self.recipe.disk_size();
        let around = given.bytes() - self.scheme.windows().1.bytes();
        let needed = ByteSize::new((volume.bytes() + around).next_multiple_of(1 << 20));
        Error::too_small(format!("a disk of {given} is too small: this image needs {needed}"))
            .with_needed(needed)
            .with_hint(format!("use --size {}M or more; Windows needs free space to run", needed.bytes() >> 20))
    }
}

impl Layout<'_> {
    /// The NTFS volumes and where they begin, ascending.
    pub(super) fn volumes(&self) -> impl Iterator<Item = (DiskOffset, &NtfsLayout)> {
        let windows = (self.plan.scheme.windows().0, &self.ntfs);
        std::iter::once(windows).chain(self.recovery.iter().map(|(start, volume)| (*start, volume)))
    }

    /// All parts of the disk that may hold bytes other than zero, ascending: the first byte of each and its length.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) for a disk that is not possible.
    pub fn data_extents(&self) -> Result<Vec<(u64, u64)>> {
        Ok(self.file_layout(Format::RAW)?.used().iter().map(|extent| (extent.start, extent.len)).collect())
    }

    /// The place of every byte of an image file in this format.
    ///
    /// # Errors
    /// [`Recipe`](crate::ErrorKind::Recipe) for a size of the disk or of a block that the format cannot have.
    pub(super) fn file_layout(&self, format: Format) -> Result<FileLayout> {
        let plan = self.plan;
        FileLayout::new(format, plan.recipe.disk(), &self.used, &plan.identity, plan.time)
    }

    /// Uses `jobs` threads to decompress instead of one per processor. The bytes do not depend on it.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs.max(1);
        self
    }

    /// Says whether the source's digests are checked while it is read; by default they are.
    pub fn source_check(mut self, check: SourceCheck) -> Self {
        self.source_check = check;
        self
    }

    /// Computes the SHA-256 of every output while it is written, for the report.
    pub fn digests(mut self, wanted: bool) -> Self {
        self.digests = wanted;
        self
    }
}

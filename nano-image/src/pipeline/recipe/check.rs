//! What a recipe must not say.

use super::{COMPACT_CLUSTER_SIZE, Choices, Firmware, LARGE_SECTORS, LARGE_SECTORS_ESP_SIZE};
use crate::error::{Error, Result};
use crate::types::ByteSize;
use crate::windows::host::Host;
use crate::windows::media::{Deployment, Role};

/// The size of the largest VHDX, and of the largest NTFS volume that this crate writes.
const MAX_DISK_SIZE: ByteSize = ByteSize::tib(64);
/// A compact volume has clusters of 4 KiB, and NTFS at most 2^32 of them.
const MAX_COMPACT_DISK_SIZE: ByteSize = ByteSize::tib(16);
/// FAT32 counts its sectors of 512 bytes with 32 bits; a recovery partition does not need more either.
const MAX_ESP_SIZE: ByteSize = ByteSize::tib(2);
/// The last second of year 9999.
const MAX_TIMESTAMP: u64 = 253_402_300_799;
/// The largest number of UTF-16 units in an NTFS volume label.
const MAX_LABEL: usize = 32;

impl Choices {
    /// Refuses what contradicts a limit or another choice; no file is touched.
    pub(super) fn check(&self) -> Result<()> {
        self.check_keys()?;
        self.check_sizes()?;
        self.check_sectors()?;
        self.check_compact()?;
        self.check_label()?;
        if self.timestamp.is_some_and(|timestamp| timestamp > MAX_TIMESTAMP) {
            return Err(Error::recipe("the timestamp is after the year 9999")
                .with_hint("give seconds since 1970, as `date +%s` prints them"));
        }
        self.check_packages()?;
        self.machine.check()?;
        self.boot.check()?;
        self.check_boot()
    }

    fn check_keys(&self) -> Result<()> {
        match self.unknown.first() {
            Some(unknown) => Err(Error::recipe(format!("there is no key `{unknown}`"))
                .with_hint("the keys are the flags of `nano-image build`, except those for sources and outputs")),
            None => Ok(()),
        }
    }

    fn check_sizes(&self) -> Result<()> {
        let mut sizes = vec![("a disk", self.size, MAX_DISK_SIZE)];
        if self.firmware() == Firmware::Uefi {
            sizes.push(("an EFI system partition", self.esp_size(), MAX_ESP_SIZE));
        }
        sizes.extend(self.recovery_size.map(|size| ("a recovery partition", size, MAX_ESP_SIZE)));
        for (what, size, most) in sizes {
            if size == ByteSize::new(0) || !size.bytes().is_multiple_of(ByteSize::mib(1).bytes()) {
                let what = format!("{what} of {} bytes is not a whole number of MiB", size.bytes());
                return Err(Error::recipe(what).with_hint("write a size in MiB or GiB: 512M, 8G"));
            }
            if size > most {
                return Err(
                    Error::recipe(format!("{what} of {size} is too large")).with_hint(format!("give at most {most}"))
                );
            }
        }
        let clusters = [4, 8, 16, 32, 64].map(ByteSize::kib);
        match self.cluster_size.filter(|size| !clusters.contains(size)) {
            Some(size) => Err(Error::recipe(format!("the Windows volume cannot have clusters of {size}"))
                .with_hint("choose 4K, 8K, 16K, 32K or 64K, or leave the cluster size out")),
            None => Ok(()),
        }
    }

    fn check_sectors(&self) -> Result<()> {
        let bytes = self.sector_size.bytes();
        if self.sector_size == ByteSize::new(512) {
            return Ok(());
        }
        if self.sector_size != LARGE_SECTORS {
            return Err(Error::recipe(format!("a disk cannot have sectors of {bytes} bytes"))
                .with_hint("choose 512 or 4096, or leave the sector size out"));
        }
        if self.firmware() == Firmware::Bios {
            return Err(Error::recipe(format!("a BIOS cannot start a disk with sectors of {bytes} bytes"))
                .with_hint("choose UEFI (--firmware uefi), or sectors of 512 bytes"));
        }
        if self.esp_size() < LARGE_SECTORS_ESP_SIZE {
            let what =
                format!("an EFI system partition of {} is too small for sectors of {bytes} bytes", self.esp_size());
            let hint =
                format!("FAT32 needs 65,525 clusters: give {LARGE_SECTORS_ESP_SIZE} or more, or leave the size out");
            return Err(Error::recipe(what).with_hint(hint));
        }
        Ok(())
    }

    fn check_compact(&self) -> Result<()> {
        if self.compact.is_none() {
            return Ok(());
        }
        if self.cluster_size.is_some_and(|size| size != COMPACT_CLUSTER_SIZE) {
            let error = Error::recipe("a compact image needs clusters of 4 KiB");
            return Err(error.with_hint("leave the cluster size out"));
        }
        if self.size > MAX_COMPACT_DISK_SIZE {
            return Err(Error::recipe("a compact image has at most 16 TiB, because its clusters have 4 KiB")
                .with_hint("choose a smaller disk, or keep the files plain"));
        }
        Ok(())
    }

    fn check_label(&self) -> Result<()> {
        let label = &self.label;
        if label.encode_utf16().count() > MAX_LABEL {
            return Err(Error::recipe(format!("the label `{label}` has more than {MAX_LABEL} characters"))
                .with_hint("NTFS allows no more"));
        }
        if label.chars().any(char::is_control) {
            return Err(Error::recipe("the label contains a control character").with_hint("use plain text"));
        }
        Ok(())
    }

    /// Boot settings that the host refuses.
    fn check_boot(&self) -> Result<()> {
        match (self.host, self.firmware()) {
            (Some(host @ Host::CloudHypervisor), Firmware::Bios) => {
                Err(Error::recipe(format!("a machine of {} has no BIOS", host.name()))
                    .with_hint("leave the firmware out"))
            }
            _ => Ok(()),
        }
    }

    /// The rules of New-NanoServerImage about packages.
    fn check_packages(&self) -> Result<()> {
        if self.image.is_some() && self.edition.is_some() {
            return Err(Error::recipe("both an image and an edition are given").with_hint("leave one of them out"));
        }
        if self.deployment == Some(Deployment::Guest) && self.oem_drivers {
            let (guest, oem) = (Deployment::Guest.package(), Role::OemDrivers.package());
            return Err(Error::recipe("drivers of physical machines for a guest").with_hint(format!(
                "{guest} has the drivers of a guest; to have the others all the same, name the package {oem}"
            )));
        }
        match self.package.iter().chain(&self.feature).find(|name| name.trim().is_empty()) {
            Some(_) => Err(Error::recipe("a package or feature without a name")
                .with_hint("`nano-image packages` lists what the media have")),
            None => Ok(()),
        }
    }
}

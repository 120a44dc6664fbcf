//! The table of formats: their names, and the functions that read, check and lay out each.

use super::row::{PresetRow, Request, Row, UsualFirmware};
use super::subformat::Subformat;
use super::{qcow2, raw, vhd, vhdx, vmdk};
use crate::content::ReadAt;
use crate::error::{Error, Result};
use crate::identity::{Identity, Seed};
use crate::types::{ByteSize, FileTime};

/// All formats that are written and read, in the order in which they are tried on a file. The last one accepts every
/// file.
const TABLE: [&Row; 5] = [&vhdx::FORMAT, &vhd::FORMAT, &qcow2::FORMAT, &vmdk::FORMAT, &raw::FORMAT];

/// File format of a disk image: its kind, its subformat and the size of its blocks.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{ByteSize, Format, Subformat};
///
/// let large = Format::VHDX.with(Some(Subformat::Dynamic), Some(ByteSize::mib(32)))?;
/// assert_eq!(large.extension(), "vhdx");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Format {
    row: &'static Row,
    subformat: Option<Subformat>,
    block_size: Option<ByteSize>,
}

/// What a user can ask for by name: a format, or the variant of it that a certain host needs.
///
/// ```
/// assert!(nano_image::Preset::all().any(|preset| preset.name() == "azure"));
/// ```
#[derive(Clone, Copy)]
pub struct Preset {
    row: &'static Row,
    shape: Option<&'static PresetRow>,
}

impl Format {
    /// The disk's bytes and nothing else; sparse if the output supports it.
    pub const RAW: Self = Self::default_of(&raw::FORMAT);
    /// VHDX ([MS-VHDX]), dynamic, with blocks of 1 MiB. That is the smallest size, so that the file holds the fewest
    /// zeros.
    pub const VHDX: Self = Self::default_of(&vhdx::FORMAT);
    /// VHD (Virtual Hard Disk Image Format Specification 1.0), dynamic with 2 MiB blocks, the specification's default.
    pub const VHD: Self = Self::default_of(&vhd::FORMAT);
    /// What Azure accepts: a fixed VHD.
    pub const AZURE: Self = Self { row: &vhd::FORMAT, subformat: Some(Subformat::Fixed), block_size: None };

    /// Each format, in its default form.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| Self::default_of(row))
    }

    /// The format with this [name](Self::name), in its default form.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|format| format.name() == name)
    }

    /// This format with another subformat or block size. What is not given is the default.
    ///
    /// # Errors
    /// [`ErrorKind::Recipe`](crate::ErrorKind::Recipe) if the format has no such subformat or block size.
    pub fn with(self, subformat: Option<Subformat>, block_size: Option<ByteSize>) -> Result<Self> {
        let row = self.row;
        let shape = match subformat {
            None => &row.shapes[0],
            Some(_) => {
                row.shapes.iter().find(|shape| shape.0 == subformat).ok_or_else(|| no_subformat(row, subformat))?
            }
        };
        let (subformat, sizes) = *shape;
        let block_size = match block_size {
            Some(size) if !sizes.contains(&size) => return Err(no_block_size(row, subformat, sizes, size)),
            given => given.or_else(|| sizes.first().copied()),
        };
        Ok(Self { row, subformat, block_size })
    }

    /// The differencing images of this format, with blocks of `block_size`. They hold what differs from a parent.
    ///
    /// # Errors
    /// [`ErrorKind::Recipe`](crate::ErrorKind::Recipe) if the format has no such images, or none with such blocks.
    pub fn differencing(self, block_size: Option<ByteSize>) -> Result<Self> {
        let row = self.row;
        let Some(usual) = row.differencing.first() else {
            return Err(Error::recipe(format!("a {} image cannot have a parent", row.title))
                .with_hint("choose VHDX, VHD or qcow2, or make whole images (--full)"));
        };
        let block_size = block_size.unwrap_or(*usual);
        if !row.differencing.contains(&block_size) {
            return Err(no_block_size(row, Some(Subformat::Differencing), row.differencing, block_size));
        }
        Ok(Self { row, subformat: Some(Subformat::Differencing), block_size: Some(block_size) })
    }

    /// Checks whether a disk of `disk_size` with logical sectors of `sector_size` can have this format, before anything
    /// else about it is known.
    ///
    /// # Errors
    /// [`ErrorKind::Recipe`](crate::ErrorKind::Recipe) if it cannot.
    pub fn check(self, disk_size: ByteSize, sector_size: ByteSize) -> Result<()> {
        let sector_size = sector_size.bytes() as u32;
        let seed = Seed::from_bytes([0; 32]);
        let identity = Identity { disk: seed, bytes: seed };
        let (subformat, block_size, used, time) = (None, 0, &[][..], FileTime(0));
        let (identity, parent) = (&identity, None);
        self.parts(Request { subformat, block_size, disk_size, sector_size, used, identity, time, parent }).map(drop)
    }

    /// Its name on a command line and in reports: one lower-case word.
    pub fn name(self) -> &'static str {
        self.row.name
    }

    /// Its name in a sentence.
    pub fn title(self) -> &'static str {
        self.row.title
    }

    /// The usual file name extension, without the dot.
    pub fn extension(self) -> &'static str {
        self.row.extensions[0]
    }

    /// Which blocks the file holds; `None` if the format has no subformats.
    pub fn subformat(self) -> Option<Subformat> {
        self.subformat
    }

    /// Bytes per block; `None` if the file has no blocks.
    pub fn block_size(self) -> Option<ByteSize> {
        self.block_size
    }

    /// QEMU's name for it.
    pub fn qemu_name(self) -> &'static str {
        self.row.qemu
    }

    /// libvirt's name for it; `None` if libvirt does not support it.
    pub fn libvirt_name(self) -> Option<&'static str> {
        self.row.libvirt
    }

    /// The firmware of machines that boot from it.
    pub fn usual_firmware(self) -> UsualFirmware {
        self.row.firmware
    }

    /// Titles of all formats, for a sentence: `VHDX, VHD or raw`.
    pub fn titles() -> String {
        let titles: Vec<&str> = TABLE.iter().map(|row| row.title).collect();
        either(&titles)
    }

    /// Lays out a file of this format; see [`Request`].
    pub(super) fn parts(self, request: Request<'_>) -> Result<super::parts::Parts> {
        if !self.row.sectors.contains(&request.sector_size) {
            return Err(no_sectors(self.row, request.sector_size));
        }
        let block_size = self.block_size.map_or(0, ByteSize::bytes);
        (self.row.parts)(&Request { subformat: self.subformat, block_size, ..request })
    }

    /// The format of a file, from what its reader found.
    pub(super) fn found(row: &'static Row, subformat: Option<Subformat>, block_size: Option<u64>) -> Self {
        Self { row, subformat, block_size: block_size.map(ByteSize::new) }
    }

    const fn default_of(row: &'static Row) -> Self {
        let (subformat, sizes) = row.shapes[0];
        let block_size = match sizes {
            [first, ..] => Some(*first),
            [] => None,
        };
        Self { row, subformat, block_size }
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        (self.name(), self.subformat, self.block_size) == (other.name(), other.subformat, other.block_size)
    }
}

impl Eq for Format {}

impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())?;
        self.subformat.map_or(Ok(()), |subformat| write!(f, " {}", subformat.name()))?;
        self.block_size.map_or(Ok(()), |size| write!(f, ", blocks of {size}"))
    }
}

impl Preset {
    /// All of them: each format, then the variants for hosts.
    pub fn all() -> impl Iterator<Item = Self> {
        let formats = TABLE.iter().map(|row| Self { row, shape: None });
        formats.chain(TABLE.iter().flat_map(|row| row.presets.iter().map(|shape| Self { row, shape: Some(shape) })))
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|preset| preset.name() == name)
    }

    /// The format of files with this extension, in upper or lower case.
    pub fn of_extension(extension: &str) -> Option<Self> {
        let has = |row: &&&Row| row.extensions.iter().any(|known| known.eq_ignore_ascii_case(extension));
        TABLE.iter().find(has).map(|row| Self { row, shape: None })
    }

    /// The name: one lower-case word.
    pub fn name(self) -> &'static str {
        self.shape.map_or(self.row.name, |shape| shape.name)
    }

    /// What it is, in a few words.
    pub fn about(self) -> &'static str {
        self.shape.map_or(self.row.about, |shape| shape.about)
    }

    /// The format with these options.
    ///
    /// # Errors
    /// [`ErrorKind::Recipe`](crate::ErrorKind::Recipe) if it has no such subformat or blocks.
    pub fn format(self, subformat: Option<Subformat>, block_size: Option<ByteSize>) -> Result<Format> {
        let format = Format::default_of(self.row);
        let Some(PresetRow { host, subformat: only, .. }) = self.shape else {
            return format.with(subformat, block_size);
        };
        if subformat.is_some_and(|given| given != *only) {
            return Err(Error::recipe(format!("{host} takes {} {}s only", only.name(), self.row.title))
                .with_hint("leave out the subformat (--subformat)"));
        }
        format.with(Some(*only), block_size)
    }
}

impl From<Format> for Preset {
    /// The format without its variant.
    fn from(format: Format) -> Self {
        Self { row: format.row, shape: None }
    }
}

impl PartialEq for Preset {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Preset {}

impl std::fmt::Debug for Preset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The row of the format of `file`, which has `len` bytes.
pub(super) fn row_of(file: &dyn ReadAt, len: u64) -> Result<&'static Row> {
    for row in TABLE {
        if (row.is)(file, len)? {
            return Ok(row);
        }
    }
    Ok(&raw::FORMAT)
}

/// The row of the format that QEMU calls `name`, if there is one.
pub(super) fn row_of_qemu(name: &str) -> Option<&'static Row> {
    TABLE.into_iter().find(|row| row.qemu == name)
}

/// Names joined for a sentence.
pub(super) fn either(names: &[&str]) -> String {
    match names {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        names => names.concat(),
    }
}

fn no_subformat(row: &Row, given: Option<Subformat>) -> Error {
    let names: Vec<&str> = row.shapes.iter().filter_map(|shape| Some(shape.0?.name())).collect();
    let given = given.map_or("", Subformat::name);
    let error = Error::recipe(format!("the format {} has no subformat `{given}`", row.name));
    error.with_hint(if names.is_empty() {
        "leave it out (--subformat)".to_owned()
    } else {
        format!("choose {}", either(&names))
    })
}

fn no_sectors(row: &Row, sector_size: u32) -> Error {
    let with = |size: u32| -> Vec<&str> {
        TABLE.iter().filter(|row| row.sectors.contains(&size)).map(|row| row.title).collect()
    };
    let hint = match with(sector_size) {
        titles if titles.is_empty() => "choose 512 or 4096 (--sector-size)".into(),
        titles => format!("choose {}, or sectors of 512 bytes (--sector-size)", either(&titles)),
    };
    Error::recipe(format!("a {} image cannot have sectors of {sector_size} bytes", row.title)).with_hint(hint)
}

fn no_block_size(row: &Row, subformat: Option<Subformat>, sizes: &[ByteSize], size: ByteSize) -> Error {
    let what = subformat.map(|subformat| format!("{} ", subformat.name())).unwrap_or_default();
    if sizes.is_empty() {
        let error = Error::recipe(format!("a {what}{} image has no blocks: their size does not apply", row.title));
        return error.with_hint("leave out the block size (--block-size)");
    }
    let names: Vec<String> = sizes.iter().map(ToString::to_string).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Error::recipe(format!("a {} image cannot have blocks of {size}", row.title))
        .with_hint(format!("choose {}", either(&names)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_can_be_told_apart() {
        let mut names: Vec<&str> = Preset::all().map(Preset::name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
        for row in TABLE {
            for extension in row.extensions {
                let found = Preset::of_extension(&extension.to_uppercase()).unwrap();
                assert_eq!(found.name(), row.name);
            }
            assert!(Format::named(row.name) == Some(Format::default_of(row)));
            assert!(!row.shapes.is_empty(), "{}", row.name);
        }
        assert_eq!(TABLE.last().unwrap().name, "raw", "it takes every file");
    }

    #[test]
    fn what_a_format_does_not_have_is_refused() {
        let fixed = Some(Subformat::Fixed);
        assert_eq!(Format::VHD.with(fixed, None).unwrap(), Format::AZURE);
        assert_eq!(Format::VHDX.with(None, None).unwrap(), Format::VHDX);
        for (format, subformat, mib) in [
            (Format::RAW, fixed, None),
            (Format::RAW, None, Some(1)),
            (Format::AZURE, fixed, Some(2)),
            (Format::VHDX, None, Some(3)),
        ] {
            let error = format.with(subformat, mib.map(ByteSize::mib)).unwrap_err();
            assert!(error.hint().is_some(), "{error}");
        }
        let azure = Preset::named("azure").unwrap();
        assert_eq!(azure.format(None, None).unwrap(), Format::AZURE);
        assert!(azure.format(Some(Subformat::Dynamic), None).unwrap_err().message().contains("Azure"));
    }
}

//! Files that people take for disk images and that are not read: what they are, and which command helps.

use super::formats::Format;
use super::map::has;
use crate::content::ReadAt;
use crate::error::{Error, Result};

/// A kind of file that is not read.
struct Foreign {
    /// Its name in a sentence, with an article.
    title: &'static str,
    /// Extensions of its files.
    extensions: &'static [&'static str],
    /// Offset and bytes of its signatures. One of them is enough.
    signatures: &'static [(u64, &'static [u8])],
    /// A hint: how to convert it.
    help: Help,
}

#[derive(Clone, Copy)]
enum Help {
    /// QEMU can read it, under this name.
    Convert(&'static str),
    /// This program unpacks it.
    Unpack(&'static str),
    /// Another hint.
    Say(&'static str),
}

/// Kinds whose signature no disk begins with. They are tried before anything else.
const CERTAIN: &[Foreign] = &[
    foreign(
        "a VMDK of an older kind, or the description of one in several files",
        &[],
        &[(0, b"COWD"), (0, b"# Disk DescriptorFile")],
        Help::Convert("vmdk"),
    ),
    foreign("a VDI image", &["vdi"], &[(0x40, &0xBEDA_107F_u32.to_le_bytes())], Help::Convert("vdi")),
    foreign("a QED image", &["qed"], &[(0, b"QED\0")], Help::Convert("qed")),
    foreign(
        "a Parallels image",
        &["hds", "hdd"],
        &[(0, b"WithoutFreeSpace"), (0, b"WithouFreSpacExt")],
        Help::Convert("parallels"),
    ),
    foreign("compressed (gzip)", &["gz"], &[(0, b"\x1F\x8B\x08")], Help::Unpack("gunzip")),
    foreign("compressed (xz)", &["xz"], &[(0, b"\xFD7zXZ\0")], Help::Unpack("unxz")),
    foreign("compressed (Zstandard)", &["zst"], &[(0, b"\x28\xB5\x2F\xFD")], Help::Unpack("unzstd")),
    foreign("compressed (bzip2)", &["bz2"], &[(4, b"1AY&SY")], Help::Unpack("bunzip2")),
    foreign("a ZIP archive", &["zip"], &[(0, b"PK\x03\x04")], Help::Unpack("unzip")),
    foreign("a 7-Zip archive", &["7z"], &[(0, b"7z\xBC\xAF\x27\x1C")], Help::Unpack("7z x")),
    foreign(
        "a WIM file",
        &["wim", "esd", "swm"],
        &[(0, b"MSWIM\0\0\0")],
        Help::Say("build a disk image from it first"),
    ),
    foreign("a cabinet", &["cab"], &[(0, b"MSCF\0\0\0\0")], Help::Say("name a disk image")),
    foreign("a registry hive", &[], &[(0, b"regf")], Help::Say("name the disk image that holds it")),
];

/// Kinds that a disk with partitions may look like. They are tried only if there is neither a partition table nor a
/// volume.
const LIKELY: &[Foreign] = &[
    foreign(
        "an ISO image",
        &["iso"],
        &[(16 * 2048 + 1, b"CD001")],
        Help::Say("`nano-image packages` lists what install media have"),
    ),
    foreign("a tar archive", &["tar", "ova"], &[(257, b"ustar")], Help::Unpack("tar xf")),
    foreign("a program", &["exe", "dll", "efi"], &[(0, b"MZ")], Help::Say("name a disk image")),
];

/// Kinds that are known only by their extension.
const NAMED: &[Foreign] = &[foreign(
    "a VHD set",
    &["vhds"],
    &[],
    Help::Say("it only describes its disks: name the .avhdx file beside it, or copy it with Convert-VHD to a .vhdx"),
)];

/// The error for a file of a kind that is not read, even if its bytes could be a disk.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) with what helps.
pub(super) fn refuse(file: &dyn ReadAt) -> Result<()> {
    match find(CERTAIN, file)? {
        Some(kind) => Err(kind.error()),
        None => Ok(()),
    }
}

/// The error for a raw image with neither a partition table nor a known volume, if it looks like something else.
pub fn not_a_disk(file: &dyn ReadAt) -> Option<Error> {
    find(LIKELY, file).ok()?.map(Foreign::error)
}

/// The error for a file whose kind is known only by its extension.
pub fn not_read_by_name(extension: &str) -> Option<Error> {
    by_extension(NAMED.iter(), extension).map(Foreign::error)
}

/// The error for an output whose extension belongs to a format that is not written.
pub fn not_written(extension: &str) -> Option<Error> {
    let kind = by_extension(CERTAIN.iter().chain(LIKELY).chain(NAMED), extension)?;
    let error = Error::recipe(format!("files with the extension .{extension} are not written"));
    Some(match kind.help {
        Help::Convert(qemu) => error.with_hint(format!(
            "make a raw image and convert it: nano-image … -o nano.raw && qemu-img convert -O {qemu} nano.raw \
             nano.{extension}"
        )),
        _ => error,
    })
}

const fn foreign(
    title: &'static str,
    extensions: &'static [&'static str],
    signatures: &'static [(u64, &'static [u8])],
    help: Help,
) -> Foreign {
    Foreign { title, extensions, signatures, help }
}

impl Foreign {
    fn error(&self) -> Error {
        let error = Error::unsupported(format!("the file is {}, not a {} image", self.title, Format::titles()));
        error.with_hint(match self.help {
            Help::Convert(qemu) => format!("convert it: qemu-img convert -f {qemu} -O vhdx IN OUT.vhdx"),
            Help::Unpack(program) => format!("unpack it first, with {program}"),
            Help::Say(hint) => hint.to_owned(),
        })
    }
}

fn find(kinds: &'static [Foreign], file: &dyn ReadAt) -> Result<Option<&'static Foreign>> {
    for kind in kinds {
        for (offset, bytes) in kind.signatures {
            if has(file, *offset, bytes)? {
                return Ok(Some(kind));
            }
        }
    }
    Ok(None)
}

fn by_extension<'a>(mut kinds: impl Iterator<Item = &'a Foreign>, extension: &str) -> Option<&'a Foreign> {
    kinds.find(|kind| kind.extensions.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

#[cfg(test)]
mod tests {
    use super::super::formats::Preset;
    use super::*;

    #[test]
    fn what_is_read_is_not_foreign() {
        for kind in CERTAIN.iter().chain(LIKELY).chain(NAMED) {
            for extension in kind.extensions {
                assert!(Preset::of_extension(extension).is_none(), "{extension} is read");
                assert!(not_written(extension).is_some());
            }
        }
    }
}

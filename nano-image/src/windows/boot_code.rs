//! Boot code for BIOS machines. It is our own, because Microsoft's may not be shipped and media do not contain it as a
//! file.
//!
//! The BIOS runs the master boot record, which runs the boot record of the active partition, which loads `\bootmgr`.
//! The assembled code is part of the repository, so a build needs no assembler. A test assembles the source again and
//! compares.

/// Master boot record code: at most 440 bytes, for the start of the disk's first sector.
///
/// It loads the first sector of the active partition. The rest of the sector (disk signature, partition table,
/// signature 55 AA) must be added by the caller.
pub fn mbr_code() -> &'static [u8] {
    include_bytes!("boot_code/mbr.bin")
}

/// NTFS boot record (`$Boot`): whole 512-byte sectors, at most 16, for the start of the volume.
///
/// It finds `\bootmgr` by reading NTFS and enters it at 2000:0000, with the BIOS drive in DL, this boot sector at
/// 0000:7C00 and SP below it. It supports all cluster sizes, fragmented `$MFT` and folders, and attribute lists. For a
/// `bootmgr` that is compressed, or does not fit into the BIOS's memory (about 510 KiB), it shows a message.
///
/// The BIOS parameter block, bytes 0x0B..0x54, is zero here: keep that of the volume. Its hidden sectors must be the
/// first LBA of the partition, and its sectors must have 512 bytes. The first sector is also the backup boot sector.
pub fn volume_boot_code() -> &'static [u8] {
    include_bytes!("boot_code/vbr.bin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_where_it_goes() {
        assert!(mbr_code().len() <= 440, "the disk signature follows");
        let code = volume_boot_code();
        assert!(code.len() <= 16 * 512 && code.len().is_multiple_of(512));
        assert_eq!(code[..11], *b"\xEB\x52\x90NTFS    ");
        assert!(code[0x0B..0x54].iter().all(|&byte| byte == 0), "the volume's own");
        assert_eq!(code[510..512], [0x55, 0xAA]);
    }
}

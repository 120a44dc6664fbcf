//! File systems of volumes: NTFS and FAT32, written and read.

pub mod fat;
pub mod ntfs;

/// Name of the file system of a boot sector; `None` if it is not known.
pub fn signature(sector: &[u8; 512]) -> Option<&'static str> {
    let has = |at: usize, text: &[u8; 8]| sector[at..at + 8] == *text;
    match () {
        () if has(3, b"NTFS    ") => Some("NTFS"),
        () if has(3, b"-FVE-FS-") => Some("BitLocker"),
        () if has(3, b"ReFS\0\0\0\0") => Some("ReFS"),
        () if has(3, b"EXFAT   ") => Some("exFAT"),
        () if has(82, b"FAT32   ") => Some("FAT32"),
        () if has(54, b"FAT16   ") => Some("FAT16"),
        () if has(54, b"FAT12   ") => Some("FAT12"),
        () => None,
    }
}

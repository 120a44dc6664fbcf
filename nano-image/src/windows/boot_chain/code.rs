//! Checks the boot code of a BIOS disk, whether it is ours or another maker's.

use crate::windows::boot_code;

/// Bytes of a master boot record before the disk signature.
const MASTER: usize = 440;
/// Bytes of a boot sector that belong to the volume: its parameters, after the jump and the name.
const PARAMETERS: std::ops::Range<usize> = 3..0x54;
/// Texts in the boot code of other makers: Windows, GRUB, SYSLINUX, FreeDOS, ms-sys.
const OTHERS: [&[u8]; 9] = [
    b"Invalid partition table",
    b"Missing operating system",
    b"Error loading operating system",
    b"BOOTMGR",
    b"NTLDR",
    b"GRUB ",
    b"SYSLINUX",
    b"LILO",
    b"FreeDOS",
];

/// What is wrong with the code in the first sector of a disk.
pub(super) fn master_fault(sector: &[u8]) -> Option<String> {
    fault(sector.get(..MASTER)?, boot_code::mbr_code(), 0..0)
}

/// What is wrong with the code in the first sectors of a volume.
pub(super) fn volume_fault(sectors: &[u8]) -> Option<String> {
    fault(sectors, boot_code::volume_boot_code(), PARAMETERS)
}

fn fault(found: &[u8], ours: &[u8], other_use: std::ops::Range<usize>) -> Option<String> {
    let code =
        |bytes: &[u8]| bytes.iter().enumerate().any(|(at, &byte)| byte != 0 && at < 510 && !other_use.contains(&at));
    if !code(found) {
        return Some("is empty".to_owned());
    }
    let places = (0..ours.len().min(found.len())).filter(|at| !other_use.contains(at) && ours[*at] != 0);
    let (same, different): (Vec<usize>, Vec<usize>) = places.partition(|&at| found[at] == ours[at]);
    match different.first() {
        None => None,
        Some(first) if same.len() > different.len() => Some(format!("is damaged from its byte {first:#x} on")),
        Some(_) if OTHERS.iter().any(|text| found.windows(text.len()).any(|part| part == *text)) => None,
        Some(_) => Some("is not known".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_ours_or_of_a_known_maker() {
        let mut sector = vec![0; 512];
        assert_eq!(master_fault(&sector).unwrap(), "is empty");
        let ours = boot_code::mbr_code();
        sector[..ours.len()].copy_from_slice(ours);
        assert_eq!(master_fault(&sector), None);
        sector[7] ^= 0x40;
        assert_eq!(master_fault(&sector).unwrap(), "is damaged from its byte 0x7 on");
        sector[..MASTER].fill(0x5A);
        assert_eq!(master_fault(&sector).unwrap(), "is not known");
        sector[200..223].copy_from_slice(OTHERS[0]);
        assert_eq!(master_fault(&sector), None);
        let mut record = boot_code::volume_boot_code().to_vec();
        record[PARAMETERS].fill(0x77);
        assert_eq!(volume_fault(&record), None);
        record[600] ^= 1;
        assert!(volume_fault(&record).unwrap().contains("0x258"));
    }
}
